"""Functions that are replayed after a few calls, and the switch that turns all replays off."""

import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from array_api_compat import is_cupy_array

from ..backends.environment import setting
from .numpy import Replay
from .plan import plan
from .recorder import leaves, mapped, recorded

FIRST_CALLS = 3
"""The number of calls that are not replayed: recording a function takes as long as about ten calls of a small one."""

_without_replays: contextvars.ContextVar[bool] = contextvars.ContextVar("xpnet_without_replays", default=False)


@contextlib.contextmanager
def without_replays() -> Iterator[None]:
    """A context in which this thread or task records and replays nothing, as with ``XPNET_REPLAY=off``."""
    token = _without_replays.set(True)
    try:
        yield
    finally:
        _without_replays.reset(token)


def may_replay(*arrays: Any) -> bool:
    """Whether functions of these arrays may be replayed: the arrays are NumPy's, and replays are not switched off."""
    if _without_replays.get() or setting("XPNET_REPLAY") == "off":
        return False
    return all(a is None or isinstance(a, np.ndarray) for a in arrays)


class Replayed:
    """``replayed(*arrays)`` returns ``function(*arrays, *fixed)`` in new arrays, by a replay from the fourth call on.

    Arrays may come in nested tuples.

    Parameters
    ----------
    function : callable
        A pure function of arrays that returns arrays. Calls with other shapes or dtypes than the fourth
        call's are not replayed.
    fixed : nested tuples of arrays
        Arguments that stay the same.
    precision : {"tf32", "bfloat16"}, optional
        What products on a GPU may round their factors to.
    """

    def __init__(self, function: Callable, fixed: tuple = (), precision: str | None = None) -> None:
        self.function, self.fixed, self.precision = function, fixed, precision
        self._calls = 0
        self._replay: Any = None
        self._lock = threading.Lock()

    def __call__(self, *arrays: Any) -> Any:
        with self._lock:
            self._calls += 1
            if self._calls == FIRST_CALLS + 1:
                self._bind(arrays)
            if self._replay is None or not self._takes(arrays):
                return self.function(*arrays, *self.fixed)
            with self._replay.in_turn():
                for mine, array in zip(leaves(self._inputs), leaves(arrays), strict=True):
                    mine[...] = array
                self._replay()
                return mapped(lambda a: a.copy(), self._results)

    def _takes(self, arrays: tuple) -> bool:
        pairs = zip(leaves(arrays), leaves(self._inputs), strict=True)
        return may_replay() and all(
            type(a) is type(mine) and (a.shape, a.dtype) == (mine.shape, mine.dtype) for a, mine in pairs
        )

    def _bind(self, arrays: tuple) -> None:
        every = [*leaves((arrays, self.fixed))]
        is_on_gpu = all(map(is_cupy_array, every))
        program = recorded(self.function, *arrays, *self.fixed) if may_replay(*() if is_on_gpu else every) else None
        if program is None:
            return
        self._inputs = mine = mapped(lambda a: a.copy(), arrays)
        inputs = [*leaves(mine), *(_in_order(a) for a in leaves(self.fixed))]
        if is_on_gpu:
            from .cuda.replay import replay_of

            definition = functools.partial(self.function, *mine, *self.fixed)
            self._replay = replay_of(program, inputs, definition, self.precision)
        else:
            self._replay = Replay(plan(program), inputs)
        if self._replay is not None:
            outputs = iter(self._replay.outputs)
            self._results = mapped(lambda _: next(outputs), program.results)


def _in_order(a: Any) -> Any:
    """a, or a C-contiguous copy of it."""
    return a if a.flags.c_contiguous else a.copy(order="C")
