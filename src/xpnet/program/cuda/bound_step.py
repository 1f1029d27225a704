"""A training step on fixed arrays of a GPU, launched or replayed by CUDA graphs."""

import functools
from typing import Any, NamedTuple

import cupy

from ..steps import Batch, batch_of
from .graph import captured
from .launches import Launches

Array = Any


class StepData(NamedTuple):
    """Data on the device, and the rows of each step's batch, (n_steps, batch size); None if a batch is all data."""

    data: Batch
    rows: Array | None

    @property
    def first_rows(self) -> Array | None:
        """The rows of the first step."""
        return None if self.rows is None else self.rows[0]

    def batch(self, k: int = 0) -> Batch:
        """The batch of step k."""
        return batch_of(self.data, None if self.rows is None else self.rows[k])


class BoundStep:
    """A step on fixed arrays, with a graph of one step and a graph of several."""

    def __init__(self, launches: Launches, counter: Array, n_a_graph: int) -> None:
        self.launches, self.counter, self.n_a_graph = launches, counter, n_a_graph
        self._graphs: dict[int, Any] = {}

    def capture(self) -> None:
        """Capture the graphs that have not been captured yet."""
        self._count(0)  # CUDA may load a kernel when it first runs, and must not do so during a capture
        for n in {1, self.n_a_graph} - self._graphs.keys():
            self._graphs[n] = captured(functools.partial(self._launch_all, n))

    def _launch_all(self, n: int, stream: Any) -> None:
        """Launch n steps, and move the counter on."""
        for k in range(n):
            self.launches(stream, k)
        self._count(n)

    def _count(self, n: int) -> None:
        """Add n to the counter, on the current stream."""
        _counting()((1,), (1,), (self.counter, n))

    def launch(self, first: int, n: int) -> None:
        """Run n steps, beginning with step ``first`` of the epoch, launch by launch."""
        self.counter.fill(first)
        stream = cupy.cuda.get_current_stream()
        for k in range(n):
            self.launches(stream, k)

    def replay(self, first: int, n: int) -> None:
        """Run the same steps by graphs."""
        self.counter.fill(first)
        for size in (self.n_a_graph, 1):
            for _ in range(n // size):
                self._graphs[size].launch()
            n %= size

    def run(self, first: int, n: int) -> None:
        """Run the same steps by graphs if they have been captured, otherwise launch by launch."""
        (self.replay if self._graphs else self.launch)(first, n)


@functools.cache
def _counting() -> Any:
    code = 'extern "C" __global__ void count(long long* counter, long long n) { *counter += n; }'
    return cupy.RawKernel(code, "count")
