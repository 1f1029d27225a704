"""The level at which a GPU runs a program, and programs over arrays that stay where they are."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cupy
import numpy as np

from ..bounded_dict import Bounded
from ..recorded_values import NotRecordable, Program
from ..recorder import leaves, say_why
from . import levels
from .cublaslt import CORRECT_SINCE
from .graph import captured
from .launches import Compiled, Launches, cublas_version, device_name
from .levels import DEFINITIONS, EPILOGUES, GRAPH, LAUNCHES, LEVELS

Array = Any

chosen_levels = Bounded(1024)
"""The level at which a program runs, by the device, the level that was tried first, and the program.

Every number of rows is a program of its own: without a bound a server's memory would fill up.
"""


def first_level() -> str:
    """The level that the environment selects, without epilogues if this version of cuBLAS computes some wrongly."""
    level = levels.first_level()
    return GRAPH if level == EPILOGUES and cublas_version() < CORRECT_SINCE else level


def context_has_ended() -> bool:
    """Whether the CUDA context has ended, so that no GPU can be used in this process any more.

    Only the current stream is waited for: waiting for the device would break the capture of another thread.
    """
    try:
        cupy.cuda.get_current_stream().synchronize()
    except cupy.cuda.runtime.CUDARuntimeError:
        return True
    return False


def context_error(error: Exception) -> RuntimeError:
    """The error to raise after one that has ended the CUDA context."""
    return RuntimeError(
        f"the CUDA context of this process has ended ({type(error).__name__}: {error}), and no GPU can be used in "
        "it any more: restart with XPNET_REPLAY=off in the environment, which runs the equations directly, and please "
        "report this with the output of  python -m xpnet info --check, run in a new process"
    )


def at_highest_level(program: Any, make: Callable[[str, bool], Any]) -> Any:
    """``make(level, is_known)`` at the highest level at which it succeeds; None if that is the definitions' level.

    ``make`` raises an error if the level can't be trusted; a level that ``is_known`` has been checked before. The level
    that is found is used in this process for every equal ``program``, which is any hashable object. A LevelError is
    raised if XPNET_CAPTURE=require does not allow that a level fails, a RuntimeError if the CUDA context has ended, and
    a MemoryError if the GPU's memory is full: a lower level would need as much.
    """
    first = first_level()
    key = cupy.cuda.Device().id, first, program
    known = chosen_levels.get(key)
    for k in range(LEVELS.index(known or first), LEVELS.index(DEFINITIONS)):
        try:
            made = make(LEVELS[k], LEVELS[k] == known)
        except cupy.cuda.memory.OutOfMemoryError:
            raise
        except NotRecordable as error:
            say_why(str(error))
            break
        except Exception as error:
            if context_has_ended():
                raise context_error(error) from error
            levels.step_down(LEVELS[k], LEVELS[k + 1], error, device_name())
        else:
            chosen_levels[key] = LEVELS[k]
            return made
    chosen_levels[key] = DEFINITIONS
    return None


class Replay:
    """A program over arrays that stay where they are: ``replay()`` computes it on the current stream.

    Streams that share a replay write its inputs and read its outputs within ``in_turn()``.
    """

    def __init__(self, launches: Launches) -> None:
        self._launches, self.outputs = launches, launches.outputs
        self._graph: Any = None
        self._is_done = cupy.cuda.Event(disable_timing=True)

    def capture(self) -> None:
        """Capture the launches as a CUDA graph, which is launched from then on."""
        self._graph = captured(self._launches)

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """A context in which the current stream uses the arrays after every stream that has used them before."""
        stream = cupy.cuda.get_current_stream()
        stream.wait_event(self._is_done)
        try:
            yield
        finally:
            self._is_done.record(stream)

    def __call__(self) -> None:
        stream = cupy.cuda.get_current_stream()
        if self._graph is None:
            self._launches(stream)
        else:
            self._graph.launch(stream)

    def results(self) -> list[np.ndarray]:
        """The outputs of a replay, on the host."""
        self()
        return [*map(cupy.asnumpy, self.outputs)]


def replay_of(program: Program, inputs: Sequence[Array], definition: Callable, precision: str | None) -> Replay | None:
    """A program over these inputs at the highest level that agrees with ``definition()``; None if none does."""
    name = precision or next(x.dtype.name for x in program.outputs if x.dtype.kind == "f")

    def compare(what: str, found: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> None:
        levels.compare(what, found, expected, [np.zeros_like(a) for a in expected], name)

    def make(level: str, is_known: bool) -> Replay:
        replay = Replay(Launches(Compiled(program, {}, {}, name, level == EPILOGUES), inputs))
        launched = replay.results()  # CUDA may load what runs for the first time, and must not do so during a capture
        if not is_known:
            compare("the launches and the definition", launched, [*map(cupy.asnumpy, leaves(definition()))])
        if level != LAUNCHES:
            replay.capture()
            if not is_known:
                compare("the graph and the launches", replay.results(), launched)
        return replay

    return at_highest_level((program.identity, name), make)
