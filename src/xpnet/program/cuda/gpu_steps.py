"""Training steps on a GPU: an epoch is a few launches of a graph of several steps, and one read by the host.

A graph replays fixed launches on fixed addresses. So each step reads its rows and its scalars from tables that are
copied to the device once an epoch, and a counter on the device says which step it is.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numpy as np

from ...backends import Backend, say_that_it_is_float32, to_numpy
from ..bounded_dict import Bounded
from ..overwriting_steps import Overwriting
from ..recorded_values import Program
from ..recorder import leaves, mapped, record, recorded
from ..replayed_functions import FIRST_CALLS
from ..steps import MOST_SIZES, SMALL_DATA, Batch, ending, step_on_rows, sums_in
from .bound_step import BoundStep, StepData
from .launches import Compiled, Launches
from .levels import EPILOGUES, LAUNCHES, TOLERANCES, compare, difference
from .replay import at_highest_level, context_error, context_has_ended, replay_of
from .staging import EpochTables, StagedBatch

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


class GPUSteps(Overwriting):
    """Steps replayed on a GPU, over parameters and slots that stay at their addresses.

    All copies and launches are made on the current stream, so that no events are needed; only data that stay on the
    host are copied on a stream of their own. ``step`` and ``precision`` are those of :func:`training_steps`; the
    backend is CuPy on one device, which is the current one in all calls.
    """

    def __init__(self, step: Callable, has_norm: bool, backend: Backend, precision: str | None) -> None:
        super().__init__(step, has_norm)
        self.backend, self.precision = backend, precision
        self._programs, self._bound = Bounded(MOST_SIZES), Bounded(MOST_SIZES)
        self._n_made = Bounded(MOST_SIZES)
        """How many steps of a kind have run or were about to, until they are bound."""
        self._staged: dict[tuple[int, int], StagedBatch] = {}
        self._tables: EpochTables | None = None
        self._end: Callable[[], np.ndarray] | None = None
        self._kinds: Any = None
        self._is_own = False
        """Whether ``data`` are buffers of this object, into which other data may be copied."""
        self.data: Any = None

    def use_data(self, data: Batch) -> None:
        """Take batches from these data.

        Data of the same shapes and dtypes as the last ones are copied into the same buffers if they are small, so that
        the graphs stay valid.
        """
        kinds = mapped(lambda a: (a.shape, str(a.dtype)), tuple(data))
        is_here = isinstance(data.X, cupy.ndarray)
        if is_here and kinds == self._kinds and data.X.nbytes <= SMALL_DATA:
            if not self._is_own:
                self._bound.clear()
                self._is_own = True
                self.data = mapped(lambda a: cupy.empty(a.shape, a.dtype), data)
            for mine, given in zip(leaves(self.data), leaves(data), strict=True):
                mine[...] = given
            return
        self._forget()
        self._kinds, self._is_own = kinds, False
        self.data = mapped(cupy.ascontiguousarray, data) if is_here else data

    def _forget(self) -> None:
        """Free everything that is bound to the data or the tables."""
        self._bound.clear()
        self._staged.clear()

    def close(self) -> None:
        """Free the graphs, the buffers and the data."""
        super().close()
        self._forget()
        self._programs.clear()
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
        for total in leaves((self._carry.cost, self._carry.square)):
            total.fill(0)
        full, rest = divmod(len(order), size)
        is_here = isinstance(self.data.X, cupy.ndarray)
        is_whole = isinstance(order, range) and full == 1 and rest == 0
        tables = self._tables_of(order, size, table, is_here and not is_whole)
        if is_here:
            self._run_from_device(tables, 0, full, size, is_whole)
            self._run_from_device(tables, full, int(rest > 0), rest, False)
        else:
            is_warm_up = self._is_warm_up(size, full), rest > 0 and self._is_warm_up(rest, 1)
            for i in range(len(table)):
                at = order[i * size : min((i + 1) * size, len(order))]
                self._run_from_host(tables, at, i, is_warm_up[i == full])
        return self._sums()

    def _tables_of(self, order: Any, size: int, table: np.ndarray, is_needed: bool) -> EpochTables:
        """The tables of an epoch, whose copies have been launched."""
        kind = len(order), size, table.shape, self._carry.theta.dtype
        if self._tables is None or self._tables.kind != kind:
            self._tables = EpochTables(kind)
            self._forget()
        self._tables.send(order, table, is_needed)
        return self._tables

    def _run_from_device(self, tables: EpochTables, first: int, n: int, size: int, is_whole: bool) -> None:
        """Run n steps of this size, beginning with step ``first`` of the epoch."""
        if n == 0:
            return
        key = size, is_whole, first
        bound = self._bound.get(key)
        if bound is not None:
            bound.run(first, n)
            return
        given = StepData(self.data, None if is_whole else tables.rows(first, n))
        if key not in self._bound and not self._is_warm_up(key, n):
            bound = self._bound[key] = self._bind(key[:2], given, tables, first, steps_a_graph(n, size))
        self._run(bound, given, tables, first, n)

    def _run_from_host(self, tables: EpochTables, at: Any, i: int, is_warm_up: bool) -> None:
        """Run step i on these rows of the host: they are copied while the step before is computed."""
        key = len(at), i % 2
        if key not in self._staged:
            self._staged[key] = StagedBatch(self.data, len(at))
        staged = self._staged[key]
        staged.fill(at)
        given = StepData(staged.batch, None)
        if key not in self._bound and not is_warm_up:
            self._bound[key] = self._bind((len(at), True), given, tables, i, 1)
        self._run(self._bound.get(key), given, tables, i, 1)
        staged.consumed.record()

    def _run(self, bound: BoundStep | None, given: StepData, tables: EpochTables, first: int, n: int) -> None:
        """Run n steps, by the definition if the step is not bound."""
        if bound is not None:
            bound.run(first, n)
            return
        for k in range(n):
            carry = self.step(self._carry, given.batch(k), tables.row(first + k))
            self._take_over(carry, cupy.may_share_memory)

    # --- programs

    def _is_warm_up(self, key: Any, n: int) -> bool:
        """Count n more steps of a kind, and return whether they are among its first ones.

        The first steps run as definitions: few may follow, and compiling kernels takes as long as many steps.
        """
        kind = key, self._kinds
        self._n_made[kind] = made = self._n_made.get(kind, 0) + n
        return made <= FIRST_CALLS

    def _bind(self, kind: Any, given: StepData, tables: EpochTables, first: int, n_a_graph: int) -> BoundStep | None:
        """The steps on these arrays, at the highest level that agrees with the definition; None if none does."""
        examples = self._carry, given.data, given.first_rows, tables.scalars[0]
        step = step_on_rows(self.step)
        program = self._programs.get_or_make((kind, self._kinds), lambda: recorded(step, *examples))
        made = None if program is None else self._at_highest_level(program, given, tables, first, n_a_graph)
        if made is None and self.precision is not None:
            say_that_it_is_float32(self.precision)
        return made

    def _at_highest_level(
        self, program: Program, given: StepData, tables: EpochTables, first: int, n_a_graph: int
    ) -> BoundStep | None:
        """Like ``_bind``, for a step that has been recorded."""
        carry, arrays = [*leaves(self._carry)], [*leaves(given)]
        inputs = [*carry, *arrays, tables.scalars]
        sliding = {len(inputs) - 1: tables.scalars[0].nbytes}
        if given.rows is not None and len(given.rows) > 1:
            sliding[len(inputs) - 2] = given.rows[0].nbytes
        name = self.precision or self._carry.theta.dtype.name
        overwrites = {k: k for k in range(len(carry))}

        def make(level: str, is_known: bool) -> BoundStep:
            compiled = Compiled(program, overwrites, sliding, name, level == EPILOGUES)
            # The largest memory in use may be shared: no two steps run at the same time.
            others = (other.launches.memory for other in self._bound.values() if other is not None)
            launches = Launches(compiled, inputs, tables.counter, max(others, key=len, default=None))
            bound = BoundStep(launches, tables.counter, n_a_graph)
            if is_known:
                with self._restoring():  # CUDA may load what runs for the first time, but not during a capture
                    bound.launch(first, 1)
            else:
                self._check(bound, level, given.batch(), tables.row(first), first, name)
            if level != LAUNCHES:
                bound.capture()
            return bound

        return at_highest_level((program.identity, name, tuple(sorted(sliding.items()))), make)

    def _check(self, bound: BoundStep, level: str, batch: Batch, row: tuple, first: int, precision: str) -> None:
        """Compare a step with its definition, and the steps of a graph with the launches.

        That is done on the arrays of the training, which are restored afterwards. Disagreement is raised if results
        differ.
        """

        def after(run: Callable, *arguments: Any) -> list[np.ndarray]:
            for a, old in zip(carry, starts, strict=True):
                a[...] = old
            made = run(*arguments)
            return [*map(cupy.asnumpy, carry if made is None else leaves(made))]

        settings = precision, len(self._carry.slots) > 0
        with self._restoring() as (carry, before):
            # Rounding may change the sign of a ReLU's input, but hardly with two different sets of parameters.
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
        """A context that restores the arrays of the training at its end; it yields them and copies of them."""
        carry = [*leaves(self._carry)]
        before = [a.copy() for a in carry]
        try:
            yield carry, before
        finally:
            for a, old in zip(carry, before, strict=True):
                a[...] = old

    # --- the sums of an epoch

    def _sums(self) -> tuple[float, float | None, bool]:
        """The sums of the epoch, and whether parameters and cost are finite. Waits for the device."""
        if self._end is None:
            self._end = self._ending()
        return sums_in(self._end(), self.has_norm)

    def _ending(self) -> Callable[[], np.ndarray]:
        """A function that computes :func:`ending` and reads it: a replay if possible."""
        theta, _, cost, square = self._carry
        definition = functools.partial(ending, theta, cost, square)
        inputs = [*leaves((theta, cost, square))]
        replay = replay_of(record(ending, theta, cost, square), inputs, definition, self.precision)
        return (lambda: to_numpy(definition())) if replay is None else (lambda: replay.results()[0])
