"""Training steps as CUDA graphs: a window of steps is run once as it stands, then captured, then replayed.

A GPU is through with a small step before its host has asked for the next kernel. A graph asks for all of them at once.
It replays fixed kernels on fixed addresses, so everything that a step reads or writes lies still: the carry, which the
step overwrites; each step's row indices and scalars, which are copied in before a launch; and what the step allocates
while it is captured, from a memory pool of the graph's own that nobody else ever allocates from.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import cupy
import cupyx
import numpy as np

from . import cupy as cupy_way

Array = Any

logger = logging.getLogger("xpnet")

MOST_STEPS, MOST_ROWS = 32, 4096
"""Steps of one graph, and rows of all its steps together: a launch then outlasts the host's part in it."""


class Captured:
    """A function without arguments, run as it stands the first time (which compiles kernels and fills the pool),
    captured the second, and replayed from then on. It must read and write the same addresses whenever it is called.

    Where CUDA can't capture it, it goes on as it stands and says so once; XPNET_CAPTURE=require makes that an error,
    XPNET_CAPTURE=off never captures.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function
        self.pool = cupy.cuda.MemoryPool()  # lives as long as the graph: its replays write to the pool's blocks
        self.graph: Any = None
        self.wish = os.environ.get("XPNET_CAPTURE", "on").lower()
        self.times = 0

    def __call__(self, stream: Any) -> None:
        """Once more, on the current stream."""
        if self.times == 1 and self.wish != "off":
            self._capture(stream)
        self.times += 1
        if self.graph is not None:
            self.graph.launch(stream)
        else:
            self._as_it_stands()

    def _as_it_stands(self) -> None:
        with cupy.cuda.using_allocator(self.pool.malloc):
            self.function()

    def _capture(self, stream: Any) -> None:
        stream.begin_capture()
        try:
            self._as_it_stands()
        except Exception as error:
            # The capture that the error has broken says so once more when it ends.
            with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):
                stream.end_capture()
            if self.wish == "require":
                raise
            say_once(f"{type(error).__name__}: {error}")
            return
        self.graph = stream.end_capture()


@cache
def say_once(why: str) -> None:
    """One line in the log, however many windows can't be captured."""
    logger.warning("training steps run without a CUDA graph, which costs time on small batches: %s", why)


class Window:
    """The next n steps: what changes from one launch to the next is copied to where the graph reads it."""

    def __init__(self, steps: "CapturedSteps", batch_of: Callable[[int], list], scalars: Array) -> None:
        self.steps, self.batch_of = steps, batch_of
        self.scalars = cupy.empty_like(scalars)
        self.captured = Captured(self._run)

    def __call__(self, scalars: Array) -> None:
        """These steps, their scalars (n, n_scalars) given."""
        self.scalars[...] = scalars
        self.captured(self.steps.stream)

    def _run(self) -> None:
        carry = self.steps.carry
        n, n_scalars = self.scalars.shape
        for k in range(n):
            carry = self.steps.step(carry, self.batch_of(k), [self.scalars[k, j] for j in range(n_scalars)], True)
        for lies_still, new in zip(self.steps.carry, carry, strict=True):
            if new is not lies_still:
                lies_still[...] = new


class CapturedSteps:
    """``run(carry, order, size, table) -> carry`` of :func:`xpnet.backends.compile_step`, on the device of ``like``."""

    def __init__(self, gather: Callable, step: Callable, data: tuple, like: Array, work: float) -> None:
        self.gather, self.step, self.data, self.device = gather, step, data, like.device
        with self.device:
            self.stream = cupy.cuda.Stream(non_blocking=True)  # the legacy stream can't be captured
            self.products = cupy_way.Products()
        self.carry: tuple[Array, ...] = ()
        self.came_out: tuple[Array | None, ...] = ()
        self.made: dict[Any, Any] = {}

    def __call__(self, carry: tuple, order: Any, size: int, table: np.ndarray) -> tuple:
        with self.device, _explained(size):
            self._take_in(carry)
            caller = cupy.cuda.get_current_stream()
            self.stream.wait_event(caller.record())
            with self.stream, cupy_way.computing_with(self.products, self.gradients):
                scalars = cupy.asarray(table.astype(self.carry[0].dtype))
                self._run(order, size, scalars)
            caller.wait_event(self.stream.record())
            self.came_out = out = tuple(a.copy() for a in self.carry)
            return out

    def _take_in(self, carry: tuple) -> None:
        """Copy what comes in to where the graphs expect it, unless it is what went out."""
        if not self.carry:
            self.carry = tuple(a.copy() for a in carry)
            self.gradients = cupy_way.GradientWindows(self.carry[0])
        else:
            for lies_still, given, last in zip(self.carry, carry, self.came_out, strict=True):
                if given is not last:
                    lies_still[...] = given
        self.came_out = (None,) * len(carry)  # until these steps have ended well

    def _run(self, order: Any, size: int, scalars: Array) -> None:
        if not isinstance(self.data[0], cupy.ndarray):
            self._stream_in(order, size, scalars)
        elif isinstance(order, range) and len(order) <= size:  # one batch of everything, where it lies
            self._once("all", lambda: Window(self, lambda k: list(self.data), scalars))(scalars)
        else:
            self._windows(order, size, scalars)

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def _windows(self, order: Any, size: int, scalars: Array) -> None:
        indices = cupy.asarray(np.asarray(order))
        full, rest = divmod(len(order), size)
        most = max(1, min(MOST_STEPS, MOST_ROWS // size))
        n = -(-full // -(-full // most)) if full else 1  # windows as even as they can be: one graph, or two
        for at in range(0, full, n):
            to = min(at + n, full)
            self._window(indices[at * size : to * size], to - at, scalars[at:to, :])
        if rest:
            self._window(indices[full * size :], 1, scalars[full:, :])

    def _window(self, indices: Array, n: int, scalars: Array) -> None:
        size = indices.shape[0] // n

        def make() -> tuple[Array, Window]:
            rows = cupy.empty_like(indices)

            def batch_of(k: int) -> list:
                of_step = rows[k * size : (k + 1) * size]
                return [None if A is None else self.gather(A, of_step) for A in self.data]

            return rows, Window(self, batch_of, scalars)

        rows, window = self._once((n, size), make)
        rows[...] = indices
        window(scalars)

    def _stream_in(self, order: Any, size: int, scalars: Array) -> None:
        """Data that stays on the host: while one batch is computed with, the next is on its way."""
        for i in range(scalars.shape[0]):
            rows = order[i * size : min((i + 1) * size, len(order))]
            buffer, window = self._once((i % 2, len(rows)), partial(self._streamed, len(rows), scalars[:1, :]))
            buffer.fill(rows, self.stream)
            window(scalars[i : i + 1, :])
            buffer.consumed.record(self.stream)

    def _streamed(self, size: int, scalars: Array) -> tuple["StreamedBatch", Window]:
        buffer = StreamedBatch(self.data, size)
        return buffer, Window(self, lambda k: list(buffer.on_device), scalars)


class StreamedBatch:
    """A batch's place on the device, and the page-locked memory that it is copied from without the host waiting."""

    def __init__(self, data: tuple, size: int) -> None:
        self.data = data
        shapes = [None if A is None else (size, *A.shape[1:]) for A in data]
        both = list(zip(data, shapes, strict=True))
        self.on_host: list[Any] = [None if s is None else cupyx.empty_pinned(s, A.dtype) for A, s in both]
        self.on_device: list[Any] = [None if s is None else cupy.empty(s, A.dtype) for A, s in both]
        self.copies = cupy.cuda.Stream(non_blocking=True)
        self.filled, self.consumed = cupy.cuda.Event(disable_timing=True), cupy.cuda.Event(disable_timing=True)

    def fill(self, rows: Any, stream: Any) -> None:
        """Start to copy these rows of the data; ``stream`` will wait for them."""
        self.filled.synchronize()  # the page-locked memory has been read
        for A, here in zip(self.data, self.on_host, strict=True):
            if A is not None and isinstance(rows, range):
                here[...] = A[rows.start : rows.stop]
            elif A is not None:
                np.take(A, rows, axis=0, out=here, mode="clip")  # the checked mode would buffer `out`
        self.copies.wait_event(self.consumed)
        for here, there in zip(self.on_host, self.on_device, strict=True):
            if there is not None:
                there.set(here, stream=self.copies)
        self.filled.record(self.copies)
        stream.wait_event(self.filled)


@contextlib.contextmanager
def _explained(size: int) -> Iterator[None]:
    try:
        yield
    except cupy.cuda.memory.OutOfMemoryError as error:
        free, total = cupy.cuda.runtime.memGetInfo()
        raise MemoryError(
            f"a training step on {size} samples needs more memory than the GPU has: {error} ({free / 1e9:.2f} GB of "
            f'its {total / 1e9:.2f} GB are free). Use a smaller batch_size, narrower layers, precision="bfloat16", '
            "or end what else runs on this GPU (nvidia-smi lists it)"
        ) from error
