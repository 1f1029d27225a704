"""NumPy's way: cache-sized blocks for elementwise work, and a small pool for large results.

Beside the matrix products, most of a training step on a CPU is lost to page faults: the C library hands large freed
arrays back to the system, and the next step pays to get the same pages again. CuPy has a memory pool for this; NumPy
has none, so the border keeps one.
"""

import functools
import os
import sys
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import array_api_compat.numpy as xp
import numpy as np

BLOCK = 1 << 15
"""Elements a block: the intermediate results of a chain of operations stay in the cache."""


_ALIGNMENT = 64


class Buffer(bytearray):
    """Memory with room for ``size`` aligned bytes, which begin at ``start``."""

    __slots__ = ("start",)

    def __init__(self, size: int) -> None:
        super().__init__(size + _ALIGNMENT)
        self.start = -np.frombuffer(self, np.uint8).__array_interface__["data"][0] % _ALIGNMENT


class Pool(threading.local):
    """Buffers that are handed out again once no array lives in them; one pool a thread.

    A buffer is a ``bytearray`` that arrays are laid upon. Every array and every view of it holds a reference to the
    buffer, so its reference count alone says whether it is free: nothing has to be given back, and an array that a
    user keeps, or that an exception's traceback holds, is never overwritten.
    """

    limit = 1 << 30
    """Bytes that are kept track of. Past it, the sizes longest unused become ordinary memory."""
    smallest = 1 << 16
    """Bytes below which the C library is left to itself: it keeps such memory."""
    most = 32
    """Buffers of one size, so that the search for a free one stays short."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget every buffer; those in use live on as long as their arrays."""
        self.buffers: dict[int, list[Buffer]] = {}
        self.bytes = 0

    def empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """An uninitialised C-contiguous array of this shape and dtype, aligned to 64 bytes."""
        dtype = np.dtype(dtype)
        size = dtype.itemsize
        for n in shape:
            size *= n
        if not _COUNTS or not self.smallest <= size <= self.limit:
            return np.empty(shape, dtype)
        same_size = self.buffers[size] = self.buffers.pop(size, [])  # the most recently used size stands last
        for i in range(len(same_size)):
            if sys.getrefcount(same_size[i]) == _IDLE:
                return np.ndarray(shape, dtype, same_size[i], same_size[i].start)
        buffer = self._new_buffer(size)
        return np.ndarray(shape, dtype, buffer, buffer.start)

    def _new_buffer(self, size: int) -> Buffer:
        buffer = Buffer(size)
        if len(self.buffers[size]) == self.most:
            self.bytes -= len(self.buffers[size].pop(0))
        while self.buffers and self.bytes + len(buffer) > self.limit:
            longest_unused = self.buffers.pop(next(iter(self.buffers)))
            self.bytes -= sum(map(len, longest_unused))
        self.buffers.setdefault(size, []).append(buffer)
        self.bytes += len(buffer)
        return buffer


def _count_when_idle() -> int:
    buffers = [bytearray(1)]
    return sys.getrefcount(buffers[0])


_IDLE = _count_when_idle()
# Without the interpreter's lock a reference count is no longer exact: there the pool stands aside.
_COUNTS = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()

POOL = Pool()
os.register_at_fork(after_in_child=POOL.clear)


def matmul(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """A B, written into a pooled array."""
    if A.ndim != 2 or B.ndim != 2 or A.dtype != B.dtype or A.shape[1] != B.shape[0]:
        return np.matmul(A, B)
    return np.matmul(A, B, out=POOL.empty((A.shape[0], B.shape[1]), A.dtype))


def take(X: np.ndarray, indices: np.ndarray, *, axis: int) -> np.ndarray:
    """X's rows at these indices, which the caller has made and knows to be within bounds."""
    if axis != 0:
        return np.take(X, indices, axis=axis)
    if not X.flags.c_contiguous:
        return X[indices]  # NumPy's take would first copy all of X
    # NumPy would buffer `out` in its checked mode.
    return np.take(X, indices, axis=0, out=POOL.empty(indices.shape + X.shape[1:], X.dtype), mode="clip")


def concat(arrays: Sequence[np.ndarray], *, axis: int | None = 0) -> np.ndarray:
    """The arrays one after the other, written into a pooled array where they are one-dimensional."""
    length, dtype = sum([a.size for a in arrays]), arrays[0].dtype
    if axis != 0 or length * dtype.itemsize < POOL.smallest or any(a.ndim != 1 or a.dtype != dtype for a in arrays):
        return np.concatenate(arrays, axis=axis)
    return np.concatenate(arrays, out=POOL.empty((length,), dtype))


def reshape(X: np.ndarray, shape: tuple[int, ...], *, copy: bool | None = None) -> np.ndarray:
    """X in another shape; by the method, as NumPy's function takes six times as long to call it."""
    return X.reshape(shape) if copy is None else vars(xp)["reshape"](X, shape, copy=copy)


def total(X: np.ndarray, *, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    """sum_i x_i over the axis, by the method's own reduction, as ``reshape``."""
    return np.add.reduce(X, axis=axis, dtype=dtype, keepdims=keepdims)


def largest(X: np.ndarray, *, axis: Any = None, keepdims: Any = False) -> Any:
    """max_i x_i over the axis, as ``total``."""
    return np.maximum.reduce(X, axis=axis, keepdims=keepdims)


shorter = {**vars(xp), "reshape": reshape, "sum": total, "max": largest}

pooled = SimpleNamespace(**{**shorter, "matmul": matmul, "take": take, "concat": concat})
"""The namespace of composites: NumPy's, with the functions that make large arrays pooled."""


@functools.lru_cache(maxsize=64)
def _repeated(value: float, dtype: np.dtype) -> np.ndarray:
    constant = np.full(BLOCK, value, dtype)
    constant.flags.writeable = False
    return constant


def _as_long_as(X: np.ndarray, y: Any) -> Any:
    if type(y) is not float or X.size > BLOCK:
        return y
    return _repeated(y, X.dtype)[: X.size].reshape(X.shape)


def maximum(X: np.ndarray, y: Any) -> np.ndarray:
    """max(x, y); against an array of one constant NumPy is five times as fast as against the number."""
    return np.maximum(X, _as_long_as(X, y))


def minimum(X: np.ndarray, y: Any) -> np.ndarray:
    """min(x, y), as ``maximum``."""
    return np.minimum(X, _as_long_as(X, y))


blockwise = SimpleNamespace(**{**shorter, "maximum": maximum, "minimum": minimum})
"""The namespace of elementwise definitions, which see one block at a time."""


def blocked(definition: Callable, parts: Sequence[tuple], onto: Sequence[np.ndarray] = ()) -> Any:
    """``definition(xp, *part)`` for each part, block by block, joined along the first axis.

    A part's first argument has as many rows as the result; every other argument of the same length is cut along with
    it. The results are written to the arrays ``onto``, or to pooled ones.
    """
    if not onto and len(parts) == 1 and parts[0][0].size <= BLOCK:
        return definition(blockwise, *parts[0])
    length = sum(part[0].shape[0] for part in parts)
    outputs = list(onto)
    at = 0
    for part in parts:
        for blocks in _blocks(part) if part[0].size > BLOCK else (part,):
            values = definition(blockwise, *blocks)
            several = values if isinstance(values, tuple) else (values,)
            if not outputs:
                outputs = [POOL.empty((length, *v.shape[1:]), v.dtype) for v in several]
            to = at + several[0].shape[0]
            for output, value in zip(outputs, several, strict=True):
                output[at:to] = value
            at = to
    return tuple(outputs) if isinstance(values, tuple) else outputs[0]


def _blocks(part: tuple) -> Any:
    first = part[0]
    length = first.shape[0]
    rows = max(1, BLOCK * length // max(1, first.size))
    cut = [isinstance(a, np.ndarray) and a.ndim == first.ndim and a.shape[0] == length for a in part]
    for start in range(0, max(1, length), rows):
        yield [a[start : start + rows] if along else a for a, along in zip(part, cut, strict=True)]
