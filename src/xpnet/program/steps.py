"""Many training steps, as they stand or replayed.

A runner makes whole epochs. As they stand, steps are pure, and what an epoch has made is never overwritten. Replayed,
they overwrite arrays that belong to the runner; what an epoch led to is copied out when somebody asks for it, or when
its memory is needed and somebody may still ask.
"""

import contextlib
import math
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..backends import (
    Backend,
    RowSource,
    array_namespace,
    device,
    gather,
    is_sparse,
    on_device_of,
    to_numpy,
)
from ..backends.threads import SMALL_PRODUCT, threads_for
from .functions import FIRST_CALLS, planned
from .numpy import Replay, aligned
from .plan import Plan
from .recorder import leaves, mapped

Array = Any

MOST_SIZES = 8
"""Sizes of batches whose programs and memory are kept; the oldest goes first."""
SMALL_DATA = 1 << 24
"""Bytes of data that are copied where their rows do not lie one after the other."""


class Carry(NamedTuple):
    """What a step hands on to the next one: parameters, slots, the epoch's cost so far, and the sum of the squares of
    the gradient's norms, if they are recorded.
    """

    theta: Array
    slots: tuple[Array, ...]
    cost: Array
    square: Array | None = None


class Batch(NamedTuple):
    """A step's samples, targets and weights."""

    X: Array
    Y: Array
    w: Array | None


class Kept:
    """Parameters and slots after an epoch: where they lie, until they are asked for or their memory is needed.

    ``overwriter`` is who may overwrite them; nobody does if it is None or is no more.
    """

    def __init__(self, arrays: tuple[Array, ...], overwriter: Any = None) -> None:
        self.arrays, self._lock = arrays, threading.Lock()
        self._overwriter = None if overwriter is None else weakref.ref(overwriter)
        self._taken: dict[int, Array] = {}

    def take(self, *which: int) -> tuple[Array, ...]:
        """These of (theta, *slots), never to be overwritten."""
        with self._lock:
            is_safe = self._overwriter is None or self._overwriter() is None
            for k in which:
                if k not in self._taken:
                    self._taken[k] = self.arrays[k] if is_safe else _copied(self.arrays[k])
            if self.is_taken:
                self.arrays = tuple(self._taken[k] for k in range(len(self.arrays)))
            return tuple(self._taken[k] for k in which)

    def take_all(self) -> None:
        """Copy what has not been handed out, as its memory is needed."""
        self.take(*range(len(self.arrays)))

    @property
    def is_taken(self) -> bool:
        """Whether every array has been handed out, so that the original memory may be overwritten."""
        return len(self._taken) == len(self.arrays)

    def move(self, arrays: tuple[Array, ...]) -> None:
        """The same numbers now lie here."""
        with self._lock:
            self.arrays = arrays


def _copied(a: Array) -> Array:
    """A copy that is there: on a GPU another stream may overwrite the original as soon as this returns."""
    if isinstance(a, np.ndarray):
        return a.copy()
    with on_device_of(a):
        copy = a.copy()
        array_namespace(a).cuda.get_current_stream().synchronize()
    return copy


class Steps(Protocol):
    """A runner of epochs."""

    def bring(self, data: Batch) -> None:
        """Take batches from these data: all samples, targets and weights."""

    def begin(self, theta: Array, slots: tuple[Array, ...], step: int) -> None:
        """Go on from these, which are left as they are; so many steps have led to them."""

    def epoch(self, order: Any, size: int, table: np.ndarray) -> tuple[float, float | None, bool]:
        """One step for each row of scalars, step i on the rows ``order[i * size : (i + 1) * size]`` of the data.

        ``order`` is a host array of indices or a range. The sums of the epoch, and whether all is finite.
        """

    def after(self) -> Kept:
        """Where the last epoch has led to."""

    def before(self) -> Kept:
        """Where the last epoch began."""

    def close(self) -> None:
        """Give back all memory; there is no epoch after this."""


class Definitions:
    """Steps as they stand, on any library."""

    def __init__(self, step: Callable, backend: Backend, has_norm: bool) -> None:
        self.step, self.backend, self.has_norm = step, backend, has_norm

    def bring(self, data: Batch) -> None:
        self.data = data

    def begin(self, theta: Array, slots: tuple[Array, ...], step: int) -> None:
        self._now = theta, slots

    def epoch(self, order: Any, size: int, table: np.ndarray) -> tuple[float, float | None, bool]:
        self._earlier = theta, slots = self._now
        xp, here = array_namespace(theta), device(theta)
        zero = xp.zeros((), dtype=theta.dtype, device=here)
        carry = Carry(theta, slots, zero, zero if self.has_norm else None)
        rows = order if isinstance(order, range) else xp.asarray(order, device=here)
        scalars = xp.asarray(table, dtype=theta.dtype, device=here)
        quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
        # A run that diverges ends with an error of its own, not with NumPy's warnings.
        with quiet if self.backend.name == "numpy" else contextlib.nullcontext():
            for i in range(len(table)):
                at = slice(i * size, min((i + 1) * size, len(order)))
                batch = Batch(*(self._rows(A, order[at], rows[at]) for A in self.data))
                carry = self.step(carry, batch, tuple(scalars[i, j] for j in range(table.shape[1])))
        self._now = carry.theta, carry.slots
        return read_sums(carry)

    def _rows(self, A: Any, order: Any, rows: Any) -> Array:
        """A batch of A where it is computed with; data too large for a GPU's memory come from the host."""
        if A is None or is_sparse(A):
            return A if A is None else gather(A, order)
        is_here = not isinstance(A, RowSource) and array_namespace(A) is self.backend.xp
        return gather(A, rows) if is_here else self.backend.asarray(gather(A, order))

    def after(self) -> Kept:
        return Kept((self._now[0], *self._now[1]))

    def before(self) -> Kept:
        return Kept((self._earlier[0], *self._earlier[1]))

    def close(self) -> None:
        del self.data


def ending(theta: Array, cost: Array, square: Array | None) -> Array:
    """The sums of an epoch, and whether parameters and cost are finite."""
    xp = array_namespace(theta)
    is_finite = xp.isfinite(xp.max(theta)) & xp.isfinite(xp.min(theta)) & xp.isfinite(cost)
    return xp.stack([cost, cost if square is None else square, xp.astype(is_finite, theta.dtype)])


def read_sums(carry: Carry) -> tuple[float, float | None, bool]:
    """What ``ending`` says, read from the device at once."""
    read = to_numpy(ending(carry.theta, carry.cost, carry.square))
    return float(read[0]), None if carry.square is None else float(read[1]), bool(read[2])


class Overwriting:
    """Steps that overwrite parameters and slots where they lie, and what may still be asked for of those before."""

    def __init__(self, step: Callable, has_norm: bool) -> None:
        self.step, self.has_norm = step, has_norm
        self._carry: Any = None
        self._now: tuple[Array, ...] = ()
        self._earlier: tuple[Array, ...] = ()
        """What was given, or ``_copies`` of what is now."""
        self._copies: tuple[Array, ...] = ()
        self._has_begun = False
        self._kept: list[weakref.ref[Kept]] = []

    def begin(self, theta: Array, slots: tuple[Array, ...], step: int) -> None:
        self._step, self._has_begun, self._earlier = step, True, (theta, *slots)
        if self._carry is None:
            xp = array_namespace(theta)
            self._now = copied, *others = tuple(a.copy() for a in self._earlier)
            cost, square = xp.zeros((), dtype=theta.dtype), xp.zeros((), dtype=theta.dtype)
            self._carry = Carry(copied, tuple(others), cost, square if self.has_norm else None)
            return
        for kept in self._waiting():
            if kept.arrays is self._now:
                kept.take_all()
        for mine, given in zip(self._now, self._earlier, strict=True):
            mine[...] = given

    def _waiting(self) -> list[Kept]:
        """What may still be asked for, of all that is about to be overwritten."""
        found = [kept for look in self._kept if (kept := look()) is not None and not kept.is_taken]
        self._kept = list(map(weakref.ref, found))
        return found

    def _keep(self) -> None:
        """Save the arrays as they are at the start of an epoch, before they are overwritten."""
        if self._has_begun:  # from what is there
            self._has_begun = False
            return
        waiting = self._waiting()
        for kept in waiting:
            if kept.arrays is self._copies:
                kept.take_all()
        self._earlier = ()  # before there is memory for the copies
        self._copies = self._copies or tuple(map(array_namespace(self._now[0]).empty_like, self._now))
        for copied, now in zip(self._copies, self._now, strict=True):
            copied[...] = now
        self._earlier = self._copies
        for kept in waiting:
            if kept.arrays is self._now:
                kept.move(self._copies)

    def after(self) -> Kept:
        kept = Kept(self._now, self)
        self._kept.append(weakref.ref(kept))
        return kept

    def before(self) -> Kept:
        return Kept(tuple(map(_copied, self._earlier)))

    def _take_over(self, carry: Carry, may_share: Callable) -> None:
        """Overwrite the parameters and slots with what a step has made of them."""
        mine, new = list(leaves(self._carry)), list(leaves(carry))
        for k, a in enumerate(new):  # a rule may hand on what it was given, which is overwritten below
            if any(may_share(a, other) for other in mine):
                new[k] = a.copy()
        for array, a in zip(mine, new, strict=True):
            array[...] = a

    def close(self) -> None:
        """Let go of the arrays; what has been handed out stays."""
        self._carry, self._now, self._earlier, self._copies = None, (), (), ()


class Replays(Overwriting):
    """Steps replayed on NumPy, over parameters, slots and batches that stay where they are."""

    def __init__(self, step: Callable, has_norm: bool, work: float) -> None:
        super().__init__(step, has_norm)
        self.work = work
        self._plans: dict[Any, Plan | None] = {}
        """By the shapes and dtypes of a batch; None if the step can't be recorded."""
        self._bound: dict[tuple[int, bool], Bound | None] = {}
        """By the number of rows, and whether they are all there are."""
        self._kinds: Any = None
        self._memory = aligned(0)

    def bring(self, data: Batch) -> None:
        data = Batch(*map(_in_order, data))
        kinds = mapped(lambda a: (a.shape[1:], a.dtype.str), tuple(data))
        is_alike, self._kinds, self.data = kinds == self._kinds, kinds, data
        self._bound = {key: bound for key, bound in self._bound.items() if is_alike and not key[1]}

    def epoch(self, order: Any, size: int, table: np.ndarray) -> tuple[float, float | None, bool]:
        self._keep()
        theta, _, cost, square = self._carry
        for total in (cost, square):
            if total is not None:
                total[...] = 0.0
        # A run that diverges ends with an error of its own, not with NumPy's warnings.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"), threads_for(size * self.work):
            for i, row in enumerate(table.astype(theta.dtype)):
                at = order[i * size : min((i + 1) * size, len(order))]
                is_early = self._step < FIRST_CALLS and size * self.work < SMALL_PRODUCT
                bound = None if is_early else self._bound_for(at, len(row))
                if bound is None:
                    self._as_it_stands(at, row)
                else:
                    bound(self.data, at, row)
                self._step += 1
            is_finite = math.isfinite(np.add.reduce(theta)) or bool(np.isfinite(theta).all())
        return float(cost), None if square is None else float(square), is_finite and math.isfinite(cost)

    def _as_it_stands(self, at: Any, row: np.ndarray) -> None:
        batch = Batch(*(None if A is None else gather(A, at) for A in self.data))
        self._take_over(self.step(self._carry, batch, tuple(row)), np.may_share_memory)

    def _bound_for(self, at: Any, n_scalars: int) -> "Bound | None":
        n = len(at)
        key = n, isinstance(at, range) and n == self.data.X.shape[0]
        if key not in self._bound:
            make_room(self._bound)
            self._bound[key] = self._bind(Batch(*(self._place(A, *key) for A in self.data)), n_scalars)
        return self._bound[key]

    def _bind(self, batch: Batch, n_scalars: int) -> "Bound | None":
        kind = mapped(lambda a: (a.shape, a.dtype.str), tuple(batch))
        if kind not in self._plans:
            make_room(self._plans)
            row = tuple(np.zeros((), self._carry.theta.dtype) for _ in range(n_scalars))
            in_place = {k: k for k, _ in enumerate(leaves(self._carry))}
            self._plans[kind] = planned(self.step, (self._carry, batch, row), in_place)
        plan = self._plans[kind]
        if plan is None:
            return None
        bound = Bound(plan, self._carry, batch, n_scalars, self._memory)
        self._memory = bound.replay.memory
        return bound

    @staticmethod
    def _place(A: Any, n: int, is_whole: bool) -> np.ndarray | None:
        """Where a batch lies: all of A where it is."""
        if A is None or (is_whole and isinstance(A, np.ndarray) and A.flags.c_contiguous):
            return A
        return np.empty((n, *A.shape[1:]), A.dtype)


class Bound:
    """A step bound to its arrays: ``bound(data, at, row)`` makes one on these rows of data, with these scalars."""

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


def make_room(kept: dict) -> None:
    """Let go of the oldest entry if there are as many as may be."""
    if len(kept) >= MOST_SIZES:
        del kept[next(iter(kept))]


def _in_order(A: Any) -> Any:
    """A, or a copy of it whose rows lie one after the other if it is small: batches are read faster from that."""
    is_small = isinstance(A, np.ndarray) and A.nbytes <= SMALL_DATA
    return np.ascontiguousarray(A) if is_small else A


def read_rows(A: Any, at: Any, out: np.ndarray) -> None:
    """A's rows at these indices, or in this range, put into ``out``."""
    if isinstance(at, range):
        out[...] = A[at.start : at.stop]
    elif isinstance(A, RowSource):
        A.take(at, out=out)
    elif A.flags.c_contiguous:
        A.take(at, 0, out, "clip")  # the checked mode would copy what is there in ``out`` first
    else:
        out[...] = A[at]  # of other arrays NumPy's take would copy all
