"""Runners of training steps, which make whole epochs.

Definitions are pure: the arrays that an epoch has made are never overwritten. Replayed steps overwrite arrays that
belong to the runner; the state after an epoch is copied when it is read, or when its memory is needed and it may still
be read.
"""

import contextlib
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
from .recorder import mapped

Array = Any

MOST_SIZES = 8
"""The number of batch sizes whose programs and memory are kept."""
SMALL_DATA = 1 << 24
"""The largest size in bytes of data that may be copied to make batches faster."""


class Carry(NamedTuple):
    """The results of a step that the next one needs: parameters, optimizer slots and the cost of the epoch so far.

    ``square`` is the sum of the squares of the gradient's norms, if they are recorded.
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


def batch_of(data: Batch, rows: Any) -> Batch:
    """These rows of the data, or all of them if ``rows`` is None."""
    return data if rows is None else mapped(lambda A: array_namespace(A).take(A, rows, axis=0), data)


def step_on_rows(step: Callable) -> Callable:
    """A step that takes its batch from all data: ``(carry, data, rows, row) -> carry``; ``row`` holds its scalars."""

    def run(carry: Carry, data: tuple, rows: Any, row: Any) -> Carry:
        return step(carry, batch_of(Batch(*data), rows), tuple(row[j] for j in range(row.shape[0])))

    return run


class Kept:
    """Parameters and slots after an epoch, which are copied when they are read or when their memory is needed.

    ``overwriter`` is the object that may overwrite them; if it is None or no longer exists, they stay.
    """

    def __init__(self, arrays: tuple[Array, ...], overwriter: Any = None) -> None:
        self.arrays, self._lock = arrays, threading.Lock()
        self._overwriter = None if overwriter is None else weakref.ref(overwriter)
        self._taken: dict[int, Array] = {}

    def take(self, *which: int) -> tuple[Array, ...]:
        """These of (theta, *slots), as arrays that are never overwritten."""
        with self._lock:
            is_safe = self._overwriter is None or self._overwriter() is None
            for k in which:
                if k not in self._taken:
                    self._taken[k] = self.arrays[k] if is_safe else _copied(self.arrays[k])
            if self.is_taken:
                self.arrays = tuple(self._taken[k] for k in range(len(self.arrays)))
            return tuple(self._taken[k] for k in which)

    def take_all(self) -> None:
        """Copy the arrays that have not been handed out, because their memory is needed."""
        self.take(*range(len(self.arrays)))

    @property
    def is_taken(self) -> bool:
        """Whether every array has been handed out, so that the original memory may be overwritten."""
        return len(self._taken) == len(self.arrays)

    def move(self, arrays: tuple[Array, ...]) -> None:
        """From now on use these arrays, which hold the same numbers."""
        with self._lock:
            self.arrays = arrays


def _copied(a: Array) -> Array:
    """A copy that is complete: on a GPU another stream may overwrite the original as soon as this returns."""
    if isinstance(a, np.ndarray):
        return a.copy()
    with on_device_of(a):
        copy = a.copy()
        array_namespace(a).cuda.get_current_stream().synchronize()
    return copy


class Steps(Protocol):
    """A runner of epochs."""

    def use_data(self, data: Batch) -> None:
        """Take batches from these data: all samples, targets and weights."""

    def begin(self, theta: Array, slots: tuple[Array, ...], step: int) -> None:
        """Go on from these arrays, which are never written to, after this many steps."""

    def epoch(self, order: Any, size: int, table: np.ndarray) -> tuple[float, float | None, bool]:
        """One step for each row of scalars, step i on the rows ``order[i * size : (i + 1) * size]`` of the data.

        ``order`` is a host array of indices or a range. The result is the epoch's cost, the sum of the squares of the
        gradient's norms, and whether cost and parameters are finite.
        """

    def after(self) -> Kept:
        """The state after the last epoch."""

    def before(self) -> Kept:
        """The state before the last epoch."""

    def close(self) -> None:
        """Free all memory; there is no epoch after this."""


class Definitions:
    """Steps by the definitions, on any library."""

    def __init__(self, step: Callable, backend: Backend, has_norm: bool) -> None:
        self.step, self.backend, self.has_norm = step, backend, has_norm

    def use_data(self, data: Batch) -> None:
        self.data = data

    def begin(self, theta: Array, slots: tuple[Array, ...], step: int) -> None:
        self._now = theta, *slots

    def epoch(self, order: Any, size: int, table: np.ndarray) -> tuple[float, float | None, bool]:
        self._earlier = self._now
        theta, *slots = self._now
        xp, here = array_namespace(theta), device(theta)
        zero = xp.zeros((), dtype=theta.dtype, device=here)
        carry = Carry(theta, tuple(slots), zero, zero if self.has_norm else None)
        rows = order if isinstance(order, range) else xp.asarray(order, device=here)
        scalars = xp.asarray(table, dtype=theta.dtype, device=here)
        quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
        # A run that diverges ends with an error of its own, not with NumPy's warnings.
        with quiet if self.backend.name == "numpy" else contextlib.nullcontext():
            for i in range(len(table)):
                at = slice(i * size, min((i + 1) * size, len(order)))
                batch = mapped(lambda A, at=at: self._rows(A, order[at], rows[at]), self.data)
                carry = self.step(carry, batch, tuple(scalars[i, j] for j in range(table.shape[1])))
        self._now = carry.theta, *carry.slots
        return sums_in(to_numpy(ending(carry.theta, carry.cost, carry.square)), self.has_norm)

    def _rows(self, A: Any, order: Any, rows: Any) -> Array:
        """A batch of A on the backend; data that are too large for a GPU's memory come from the host."""
        if is_sparse(A):
            return gather(A, order)
        is_here = not isinstance(A, RowSource) and array_namespace(A) is self.backend.xp
        return gather(A, rows) if is_here else self.backend.asarray(gather(A, order))

    def after(self) -> Kept:
        return Kept(self._now)

    def before(self) -> Kept:
        return Kept(self._earlier)

    def close(self) -> None:
        del self.data


def ending(theta: Array, cost: Array, square: Array | None) -> Array:
    """The sums of an epoch, and 1 if parameters and cost are finite."""
    xp = array_namespace(theta)
    is_finite = xp.isfinite(xp.max(theta)) & xp.isfinite(xp.min(theta)) & xp.isfinite(cost)
    return xp.stack([cost, cost if square is None else square, xp.astype(is_finite, theta.dtype)])


def sums_in(read: np.ndarray, has_norm: bool) -> tuple[float, float | None, bool]:
    """The results of :func:`ending` as Python numbers."""
    return float(read[0]), float(read[1]) if has_norm else None, bool(read[2])


def read_rows(A: Any, at: Any, out: np.ndarray) -> None:
    """Read A's rows at these indices, or in this range, into ``out``."""
    if isinstance(at, range):
        out[...] = A[at.start : at.stop]
    elif isinstance(A, RowSource):
        A.take(at, out=out)
    elif A.flags.c_contiguous:
        A.take(at, 0, out, "clip")  # the default mode would copy ``out`` first
    else:
        out[...] = A[at]  # NumPy's take would copy all of a strided array
