"""Training steps on a GPU: an epoch is a few launches of a graph of several steps, and one read of the host.

A graph replays fixed launches on fixed addresses. So each step reads its rows and its scalars from tables that are
copied to the device once an epoch, and a counter on the device says which step it is.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import cupyx
import numpy as np

from ..backends import Backend, array_namespace, say_that_it_is_float32
from .cupy import Compiled, Launches, at_highest_level, captured, context_error, context_has_ended, replay_of
from .functions import FIRST_CALLS, recorded
from .ladder import LAUNCHES, TOLERANCES, compare, difference
from .recorder import Program, leaves, mapped, record
from .steps import SMALL_DATA, Batch, Carry, Overwriting, ending, make_room, read_rows, read_sums

Array = Any

SMALL_BATCH, MOST_STEPS = 256, 8
"""Up to 256 rows a graph has up to 8 steps, up to 1,024 rows half as many: launching a graph takes the host about as
long as a small step takes the device.
"""


def steps_a_graph(n_steps: int, size: int) -> int:
    """The number of steps of a graph, for ``n_steps`` steps of ``size`` rows an epoch, such that few are left over."""
    most = MOST_STEPS if size <= SMALL_BATCH else MOST_STEPS // 2 if size <= 4 * SMALL_BATCH else 1
    choices = range(min(most, n_steps), min(most, n_steps) // 2, -1)
    return min(choices, key=lambda n: n_steps % n, default=1)


class Tables:
    """The order of an epoch's samples, and the scalars of each step, on the device."""

    def __init__(self, kind: tuple) -> None:
        self.kind = kind
        self._m, self._size, shape, dtype = kind
        self.counter, self.scalars = cupy.zeros(1, np.int64), cupy.empty(shape, dtype)
        self._on_host = cupyx.empty_pinned(shape, dtype)
        self._order: Any = None
        self._order_on_host: Any = None
        self._sent: Any = None

    def send(self, order: Any, table: np.ndarray, is_needed: bool) -> None:
        """Copy them to the device, without waiting for the copies.

        The page-locked memory that they are copied from is not written again before the epoch has ended.
        """
        self.counter.fill(0)
        self._on_host[...] = table
        self.scalars.set(self._on_host)
        if not is_needed or (isinstance(order, range) and self._sent == order):
            return
        if self._order is None:
            self._order, self._order_on_host = cupy.empty(self._m, np.int64), cupyx.empty_pinned(self._m, np.int64)
        self._order_on_host[...] = order
        self._order.set(self._order_on_host)
        self._sent = order if isinstance(order, range) else None

    def rows(self, first: int, n: int) -> Array:
        """The indices of the rows of n steps, beginning with step ``first``; shape (n, batch size)."""
        return self._order[first * self._size : (first + n) * self._size].reshape(n, -1)

    def row(self, i: int) -> tuple:
        """The scalars of step i, as 0-d arrays."""
        return tuple(self.scalars[i, j] for j in range(self.scalars.shape[1]))


class BoundStep:
    """A step bound to its arrays, with a graph of one step and a graph of several."""

    def __init__(self, launches: Launches, counter: Array, n_a_graph: int) -> None:
        self.launches, self.counter, self.n_a_graph = launches, counter, n_a_graph
        self._graphs: dict[int, Any] = {}

    def capture(self) -> None:
        """Capture the graphs, unless that has been done."""
        self._count(0)  # CUDA may load a kernel when it first runs, and must not do so during a capture
        for n in {1, self.n_a_graph} - self._graphs.keys():
            self._graphs[n] = captured(functools.partial(self._ask, n))

    def _ask(self, n: int, stream: Any) -> None:
        """Launch n steps, and move the counter on."""
        for k in range(n):
            self.launches(stream, k)
        self._count(n)

    def _count(self, n: int) -> None:
        """Add n to the counter, on the current stream."""
        _counting()((1,), (1,), (self.counter, n))

    def launch(self, first: int, n: int) -> None:
        """Run n steps, beginning with this one of the epoch, launch by launch."""
        self.counter.fill(first)
        stream = cupy.cuda.get_current_stream()
        for k in range(n):
            self.launches(stream, k)

    def replay(self, first: int, n: int) -> None:
        """Run the same steps by graphs."""
        self.counter.fill(first)
        for of in (self.n_a_graph, 1):
            for _ in range(n // of):
                self._graphs[of].launch()
            n %= of

    def run(self, first: int, n: int) -> None:
        """Run the same steps by graphs, if there are any."""
        (self.replay if self._graphs else self.launch)(first, n)


@functools.cache
def _counting() -> Any:
    code = 'extern "C" __global__ void count(long long* counter, long long n) { *counter += n; }'
    return cupy.RawKernel(code, "count")


class GPUSteps(Overwriting):
    """Steps replayed on a GPU, over parameters and slots that stay at their addresses.

    All copies and launches are made on the current stream, so that no events are needed; only data that stay on the
    host are copied on a stream of their own.

    Parameters
    ----------
    step : callable
        ``step(carry, batch, row) -> carry``, see :func:`training_steps`.
    has_norm : bool
        Whether the gradient's norm is recorded.
    backend : Backend
        CuPy on one device, which is the current one in all calls.
    precision : {"tf32", "bfloat16"} or None
        What products may round their factors to.
    """

    def __init__(self, step: Callable, has_norm: bool, backend: Backend, precision: str | None) -> None:
        super().__init__(step, has_norm)
        self.backend, self.precision = backend, precision
        self._programs: dict[Any, Program | None] = {}
        self._bound: dict[Any, BoundStep | None] = {}
        self._n_made: dict[Any, int] = {}
        """How many steps of a kind have run as definitions or were about to."""
        self._slots: dict[tuple[int, int], Slot] = {}
        self._tables: Tables | None = None
        self._end: Any = None
        self._has_end = False
        self._kinds: Any = None
        self._is_own = False
        self.data: Any = None

    def bring(self, data: Batch) -> None:
        """Take batches from these data.

        Data of the same shapes and dtypes as the last ones are copied into the same buffers if they are small, so that
        the graphs stay valid.
        """
        kinds = mapped(lambda a: (a.shape, str(a.dtype)), tuple(data))
        is_here = isinstance(data.X, cupy.ndarray)
        if is_here and kinds == self._kinds and data.X.nbytes <= SMALL_DATA:
            if not self._is_own:
                self._bound, self._is_own = {}, True
                self.data = Batch(*(None if A is None else cupy.empty(A.shape, A.dtype) for A in data))
            for mine, given in zip(self.data, data, strict=True):
                if mine is not None:
                    mine[...] = given
            return
        self._bound, self._slots, self._kinds, self._is_own = {}, {}, kinds, False
        self.data = Batch(*(None if A is None else cupy.ascontiguousarray(A) for A in data)) if is_here else data

    def close(self) -> None:
        """Free the graphs, the buffers and the data."""
        super().close()
        self._bound, self._slots, self._programs = {}, {}, {}
        self._tables = self._end = self.data = self._kinds = None

    # --- an epoch

    def epoch(self, order: Any, size: int, table: np.ndarray) -> tuple[float, float | None, bool]:
        try:
            return self._epoch(order, size, table)
        except cupy.cuda.runtime.CUDARuntimeError as error:
            if context_has_ended():
                raise context_error(error) from error
            raise

    def _epoch(self, order: Any, size: int, table: np.ndarray) -> tuple[float, float | None, bool]:
        self._keep()
        for total in (self._carry.cost, self._carry.square):
            if total is not None:
                total.fill(0)
        full, rest = divmod(len(order), size)
        is_here = isinstance(self.data.X, cupy.ndarray)
        is_whole = isinstance(order, range) and full == 1 and rest == 0
        tables = self._tables_of(order, size, table, is_here and not is_whole)
        if not is_here:
            is_warm_up = self._is_warm_up(size, full), rest > 0 and self._is_warm_up(rest, 1)
            for i in range(len(table)):
                at = order[i * size : min((i + 1) * size, len(order))]
                self._run_from_host(tables, at, i, is_warm_up[i == full])
        else:
            self._run(tables, 0, full, size, is_whole)
            self._run(tables, full, int(rest > 0), rest, False)
        return self.read()

    def _tables_of(self, order: Any, size: int, table: np.ndarray, is_needed: bool) -> Tables:
        """The tables of an epoch, whose copies have been launched."""
        shape = len(order), size, table.shape, self._carry.theta.dtype
        if self._tables is None or self._tables.kind != shape:
            self._tables, self._bound, self._slots = Tables(shape), {}, {}
        self._tables.send(order, table, is_needed)
        return self._tables

    def _run(self, tables: Tables, first: int, n: int, size: int, is_whole: bool) -> None:
        """Run n steps of this size, beginning with step ``first`` of the epoch."""
        if n == 0:
            return
        key = size, is_whole, first
        if key not in self._bound and not self._is_warm_up(key, n):
            make_room(self._bound)
            rows = None if is_whole else tables.rows(first, n)
            self._bound[key] = self._bind(key, (self.data, rows), tables, first, steps_a_graph(n, size))
        bound = self._bound.get(key)
        if bound is not None:
            bound.run(first, n)
            return
        for i in range(first, first + n):
            self._run_definition(_batch(self.data, None if is_whole else tables.rows(i, 1)[0]), tables.row(i))

    def _run_definition(self, batch: Batch, row: tuple) -> None:
        """Run a step as a definition."""
        self._take_over(self.step(self._carry, batch, row), cupy.may_share_memory)

    # --- programs

    def _is_warm_up(self, key: Any, n: int) -> bool:
        """Count n more steps of a kind, and return whether they are among its first ones.

        Those run as definitions: there may be no others, and compiling kernels takes as long as many steps.
        """
        kind = key, self._kinds
        if kind not in self._n_made:
            make_room(self._n_made)
        made = self._n_made.get(kind, 0) + n
        self._n_made[kind] = made
        return made <= FIRST_CALLS

    def _bind(self, key: Any, given: tuple, tables: Tables, first: int, n_a_graph: int) -> BoundStep | None:
        """The steps on these data and rows, at the highest level that agrees with the definition; None if none does."""
        data, rows = given
        of_step = None if rows is None else rows[0]
        program = self._program((key[:2], self._kinds), (self._carry, data, of_step, tables.scalars[0]))
        made = None if program is None else self._at_highest_level(program, given, tables, first, n_a_graph)
        if made is None and self.precision is not None:
            say_that_it_is_float32(self.precision)
        return made

    def _at_highest_level(
        self, program: Program, given: tuple, tables: Tables, first: int, n_a_graph: int
    ) -> BoundStep | None:
        """Like ``_bind``, of a step that has been recorded."""
        data, rows = given
        of_step = None if rows is None else rows[0]
        n_carry, n_data = len([*leaves(self._carry)]), len([*leaves(data)])
        sliding = {n_carry + n_data + (rows is not None): tables.scalars[0].nbytes}
        if rows is not None and len(rows) > 1:
            sliding[n_carry + n_data] = rows[0].nbytes
        inputs = [*leaves(self._carry), *leaves(data), *([] if rows is None else [rows]), tables.scalars]
        name = self.precision or self._carry.theta.dtype.name
        overwrites = {k: k for k in range(n_carry)}

        def make(level: str, is_known: bool) -> BoundStep:
            compiled = Compiled(program, overwrites, sliding, name, level)
            launches = compiled.bound(inputs, tables.counter, self._memory())
            bound = BoundStep(launches, tables.counter, n_a_graph)
            if is_known:
                with self._restoring():  # CUDA may load what runs for the first time, but not during a capture
                    bound.launch(first, 1)
            else:
                self._check(bound, level, _batch(data, of_step), tables.row(first), first, name)
            if level != LAUNCHES:
                bound.capture()
            return bound

        return at_highest_level((program.identity, name, tuple(sorted(sliding.items()))), make)

    def _memory(self) -> Any:
        """The largest memory in use, which other launches may share."""
        return max((b.launches.memory for b in self._bound.values() if b is not None), key=len, default=None)

    def _program(self, key: Any, examples: tuple) -> Program | None:
        """The program of a step that takes its rows out of all data; None if the step can't be recorded."""
        if key not in self._programs:
            make_room(self._programs)
            step = self.step

            def stepped(carry: Carry, data: tuple, rows: Any, row: Any) -> Carry:
                return step(carry, _batch(Batch(*data), rows), tuple(row[j] for j in range(row.shape[0])))

            self._programs[key] = recorded(stepped, *examples)
        return self._programs[key]

    def _check(self, bound: BoundStep, level: str, batch: Batch, row: tuple, first: int, precision: str) -> None:
        """Compare a step with its definition, and the steps of a graph with the launches.

        That is done on the arrays of the training, which are restored afterwards.

        Raises
        ------
        Disagreement
            The results differ.
        """

        def after(run: Callable, *arguments: Any) -> list[np.ndarray]:
            for a, old in zip(carry, starts, strict=True):
                a[...] = old
            made = run(*arguments)
            return [*map(cupy.asnumpy, carry if made is None else leaves(made))]

        settings = precision, len(self._carry.slots) > 0
        with self._restoring() as (carry, before):
            # Rounding rarely changes the sign of a ReLU's input: if it did, it does not from other parameters as well.
            for starts in (before, [0.9 * before[0], *before[1:]]):
                expected, found = after(self.step, self._carry, batch, row), after(bound.launch, first, 1)
                host = [*map(cupy.asnumpy, starts)]
                if difference(found, expected, host, *settings) <= TOLERANCES[precision]:
                    break
            compare("the launches and the definitions", found, expected, host, *settings)
            if level != LAUNCHES:
                bound.capture()
                steps = first, bound.n_a_graph
                made, expected = after(bound.replay, *steps), after(bound.launch, *steps)
                compare("the graph and the launches", made, expected, host, *settings)

    @contextlib.contextmanager
    def _restoring(self) -> Iterator[tuple[list[Array], list[Array]]]:
        """A context at whose end the arrays of the training are as they were; these arrays, and copies of them."""
        carry = [*leaves(self._carry)]
        before = [a.copy() for a in carry]
        try:
            yield carry, before
        finally:
            for a, old in zip(carry, before, strict=True):
                a[...] = old

    # --- data that stay on the host

    def _run_from_host(self, tables: Tables, at: Any, i: int, is_warm_up: bool) -> None:
        """Run step i on these rows of the host: they are copied while the step before is computed."""
        key = len(at), i % 2
        if key not in self._slots:
            self._slots[key] = Slot(self.data, len(at))
        slot = self._slots[key]
        slot.fill(at)
        if key not in self._bound and not is_warm_up:
            self._bound[key] = self._bind((len(at), True), (slot.batch, None), tables, i, 1)
        bound = self._bound.get(key)
        if bound is not None:
            bound.run(i, 1)
        else:
            self._run_definition(slot.batch, tables.row(i))
        slot.consumed.record()

    # --- what an epoch leads to

    def read(self) -> tuple[float, float | None, bool]:
        """The sums of the epoch, and whether parameters and cost are finite. Waits for the device."""
        theta, _, cost, square = self._carry
        if not self._has_end:
            arrays = [*leaves((theta, cost, square))]
            program = record(ending, theta, cost, square)
            self._end = replay_of(program, arrays, lambda: ending(theta, cost, square), self.precision)
            self._has_end = True
        if self._end is None:
            return read_sums(self._carry)
        self._end()
        read = self._end.outputs[0].get()
        return float(read[0]), None if square is None else float(read[1]), bool(read[2])


def _batch(data: Batch, rows: Any) -> Batch:
    """These rows of the data, or all of them."""
    if rows is None:
        return data
    return Batch(*(None if A is None else array_namespace(A).take(A, rows, axis=0) for A in data))


class Slot:
    """Memory of the device for one batch, and page-locked memory of the host from which it is copied."""

    def __init__(self, data: Batch, size: int) -> None:
        self.data = data
        shapes = [None if A is None else (size, *A.shape[1:]) for A in data]
        both = list(zip(data, shapes, strict=True))
        self._on_host = [None if s is None else cupyx.empty_pinned(s, A.dtype) for A, s in both]
        self.batch = Batch(*(None if s is None else cupy.empty(s, A.dtype) for A, s in both))
        self._copies = cupy.cuda.Stream(non_blocking=True)
        self._filled, self.consumed = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
        self.consumed.record()  # what the pool has handed out may still be in use

    def fill(self, at: Any) -> None:
        """Copy these rows of the data to the device; the current stream waits for the copies, the host does not."""
        self._filled.synchronize()  # the page-locked memory has been read
        for A, here in zip(self.data, self._on_host, strict=True):
            if here is not None:
                read_rows(A, at, here)
        self._copies.wait_event(self.consumed)
        for here, there in zip(self._on_host, self.batch, strict=True):
            if there is not None:
                there.set(here, stream=self._copies)
        self._filled.record(self._copies)
        cupy.cuda.get_current_stream().wait_event(self._filled)
