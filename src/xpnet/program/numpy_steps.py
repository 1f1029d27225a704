"""Training steps replayed on NumPy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends import gather
from ..backends.threads import SMALL_PRODUCT, threads_for
from .bounded_dict import Bounded
from .numpy import Replay, aligned
from .overwriting_steps import Overwriting
from .plan import Plan, plan
from .recorder import leaves, mapped, recorded
from .replayed_functions import FIRST_CALLS
from .steps import MOST_SIZES, SMALL_DATA, Batch, Carry, read_rows


class Replays(Overwriting):
    """Steps replayed on NumPy, over parameters, slots and batches that stay where they are."""

    def __init__(self, step: Callable, has_norm: bool, work: float) -> None:
        super().__init__(step, has_norm)
        self.work = work
        self._plans = Bounded(MOST_SIZES)
        """By the shapes and dtypes of a batch; None if the step can't be recorded."""
        self._bound = Bounded(MOST_SIZES)
        """By the number of rows of a batch, and whether it is all data; None likewise."""
        self._kinds: Any = None
        self._memory = aligned(0)

    def use_data(self, data: Batch) -> None:
        data = mapped(_in_order, data)
        kinds = mapped(lambda a: (a.shape[1:], a.dtype.str), tuple(data))
        is_alike, self._kinds, self.data = kinds == self._kinds, kinds, data
        for key in [key for key in self._bound if key[1] or not is_alike]:
            del self._bound[key]

    def epoch(self, order: Any, size: int, table: np.ndarray) -> tuple[float, float | None, bool]:
        self._keep()
        theta, _, cost, square = self._carry
        cost[...] = 0.0
        if square is not None:
            square[...] = 0.0
        # A run that diverges ends with an error of its own, not with NumPy's warnings.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"), threads_for(size * self.work):
            for i, row in enumerate(table.astype(theta.dtype)):
                at = order[i * size : min((i + 1) * size, len(order))]
                is_early = self._step < FIRST_CALLS and size * self.work < SMALL_PRODUCT
                bound = None if is_early else self._bound_for(at, len(row))
                if bound is None:
                    self._run_definition(at, row)
                else:
                    bound(self.data, at, row)
                self._step += 1
            is_finite = math.isfinite(np.add.reduce(theta)) or bool(np.isfinite(theta).all())
        return float(cost), None if square is None else float(square), is_finite and math.isfinite(cost)

    def _run_definition(self, at: Any, row: np.ndarray) -> None:
        batch = mapped(lambda A: gather(A, at), self.data)
        self._take_over(self.step(self._carry, batch, tuple(row)), np.may_share_memory)

    def _bound_for(self, at: Any, n_scalars: int) -> "Bound | None":
        n = len(at)
        key = n, isinstance(at, range) and n == self.data.X.shape[0]
        if key not in self._bound:
            self._bound[key] = self._bind(mapped(lambda A: _place(A, *key), self.data), n_scalars)
        return self._bound[key]

    def _bind(self, batch: Batch, n_scalars: int) -> "Bound | None":
        kind = mapped(lambda a: (a.shape, a.dtype.str), tuple(batch))
        plan = self._plans.get_or_make(kind, lambda: self._planned(batch, n_scalars))
        if plan is None:
            return None
        bound = Bound(plan, self._carry, batch, n_scalars, self._memory)
        self._memory = bound.replay.memory
        return bound

    def _planned(self, batch: Batch, n_scalars: int) -> Plan | None:
        row = tuple(np.zeros((), self._carry.theta.dtype) for _ in range(n_scalars))
        program = recorded(self.step, self._carry, batch, row)
        return None if program is None else plan(program, {k: k for k, _ in enumerate(leaves(self._carry))})


class Bound:
    """A step on fixed arrays: ``bound(data, at, row)`` makes one on these rows of data, with these scalars."""

    def __init__(self, plan: Plan, carry: Carry, batch: Batch, n_scalars: int, memory: np.ndarray) -> None:
        self.batch, self.scalars = batch, np.empty(n_scalars, carry.theta.dtype)
        scalars = tuple(self.scalars[k : k + 1].reshape(()) for k in range(n_scalars))
        self.replay = Replay(plan, list(leaves((carry, batch, scalars))), memory)

    def __call__(self, data: Batch, at: Any, row: np.ndarray) -> None:
        for A, mine in zip(data, self.batch, strict=True):
            if A is not mine:
                read_rows(A, at, mine)
        self.scalars[...] = row
        self.replay()


def _in_order(A: Any) -> Any:
    """A, or a C-contiguous copy of it if it is small: reading batches is then faster."""
    is_small = isinstance(A, np.ndarray) and A.nbytes <= SMALL_DATA
    return np.ascontiguousarray(A) if is_small else A


def _place(A: Any, n: int, is_whole: bool) -> np.ndarray:
    """The array that batches of A are read into: A itself if the batch is all of it."""
    is_itself = is_whole and isinstance(A, np.ndarray) and A.flags.c_contiguous
    return A if is_itself else np.empty((n, *A.shape[1:]), A.dtype)
