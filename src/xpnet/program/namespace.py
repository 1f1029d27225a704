"""The functions of the Array API standard over recorded arrays: they compute nothing and record each call.

Dtypes are promoted as in NumPy, also if the standard leaves that open, and views have the strides of NumPy's views.
"""

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .recorded_array import Recorded
from .recorded_values import ELEMENTWISE, REDUCTIONS, VIEWS, Program, Shape, Value, contiguous, not_recordable

_NOTHING = np.zeros(1, np.uint8)


class RecordedNamespace:
    """The functions that a program can hold, over recorded arrays."""

    __name__ = "xpnet.program.namespace"
    pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None

    def __init__(self, program: Program) -> None:
        self._program = program

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name) if name.startswith("__") else not_recordable(f"xp.{name}")

    # --- operands

    def _value(self, x: Any) -> Value:
        """The Value of a recorded array; a number or an array of the host becomes a constant."""
        if not isinstance(x, Recorded):
            return self._program.constant(x)
        if x.xp is not self:
            raise not_recordable("an array of another recording")
        return x.value

    def _as(self, x: Any, dtype: np.dtype) -> Value:
        """The Value of an array or number in this dtype."""
        if not isinstance(x, Recorded):
            return self._program.constant(np.asarray(x, dtype))
        x = self._value(x)
        if x.dtype == dtype:
            return x
        if x.data is not None:
            return self._program.constant(x.data.astype(dtype))
        return self._program.add("astype", (x,), (), x.shape, dtype)

    def _promoted(self, *operands: Any) -> list[Value]:
        dtype = self.result_type(*operands)
        return [self._as(x, dtype) for x in operands]

    def _add(self, operation: str, operands: Sequence[Value], settings: tuple, shape: Any, dtype: Any) -> Recorded:
        return Recorded(self._program.add(operation, operands, settings, tuple(shape), dtype), self)

    # --- elementwise, reductions, products

    def _elementwise(self, name: str, *operands: Any) -> Recorded:
        kinds = [type(x) if type(x) in (int, float) else np.dtype(getattr(x, "dtype", type(x))) for x in operands]
        *dtypes, dtype = ELEMENTWISE[name].resolve_dtypes((*kinds, None))
        values = [self._as(x, d) for x, d in zip(operands, dtypes, strict=True)]
        return self._add(name, values, (), _broadcast(values), dtype)

    def where(self, condition: Any, x: Any, y: Any) -> Recorded:
        """x if the condition holds, otherwise y."""
        condition, (x, y) = self._as(condition, np.dtype(bool)), self._promoted(x, y)
        return self._add("where", (condition, x, y), (), _broadcast((condition, x, y)), x.dtype)

    def clip(self, x: Any, /, min: Any = None, max: Any = None) -> Recorded:
        """min(max(x, lower), upper)."""
        x = x if min is None else self.maximum(x, min)
        return x if max is None else self.minimum(x, max)

    def astype(self, x: Recorded, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Recorded:
        """x in another dtype."""
        return Recorded(self._as(x, np.dtype(dtype)), self)

    def _reduction(
        self, name: str, x: Recorded, /, *, axis: Any = None, keepdims: bool = False, dtype: Any = None
    ) -> Recorded:
        if name in ("sum", "prod") and x.dtype.kind in "biu":
            dtype = dtype or np.promote_types(x.dtype, "uint64" if x.dtype.kind == "u" else "int64")
        value = self._as(x, np.dtype(dtype or x.dtype))
        axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(sorted(range(x.ndim)[i] for i in axes))
        if name in ("max", "min") and not all(x.shape[i] for i in axes):
            raise ValueError(f"{name} of no elements")
        kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
        shape = kept if keepdims else [n for i, n in enumerate(x.shape) if i not in axes]
        is_predicate = name in ("all", "any")
        return self._add(name, (value,), (axes, bool(keepdims)), shape, np.dtype(bool) if is_predicate else value.dtype)

    def mean(self, x: Recorded, /, *, axis: Any = None, keepdims: bool = False) -> Recorded:
        """The sum divided by the number of elements."""
        total = self.sum(x, axis=axis, keepdims=keepdims)
        return total / float(x.size // max(1, total.size))

    def matmul(self, a: Any, b: Any, /) -> Recorded:
        """A B over the last two axes."""
        a, b = self._promoted(a, b)
        if 0 in (a.ndim, b.ndim) or a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
            raise ValueError(f"matmul of arrays of shapes {a.shape} and {b.shape}")
        rows, columns = a.shape[-2:-1], b.shape[-1:] if b.ndim > 1 else ()
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *rows, *columns)
        return self._add("matmul", (a, b), (), shape, a.dtype)

    def vecdot(self, a: Any, b: Any, /, *, axis: int = -1) -> Recorded:
        """sum_i a_i b_i over the last axis."""
        a, b = self._promoted(a, b)
        if axis != -1 or a.shape[-1:] != b.shape[-1:] or not a.shape:
            raise not_recordable(f"vecdot of arrays of shapes {a.shape} and {b.shape} over axis {axis}")
        return self._add("vecdot", (a, b), (), _broadcast((a, b))[:-1], a.dtype)

    # --- views

    def _view(self, name: str, function: Callable, x: Recorded, *arguments: Any, **settings: Any) -> Recorded:
        """A view, whose shape, strides and offset are those of NumPy's view of an array with the same strides.

        That array has one byte an element and no memory of its own: it is never read.
        """
        value = self._value(x)
        array = np.lib.stride_tricks.as_strided(_NOTHING, value.shape, value.strides)
        view = function(array, *arguments, **settings)
        if not isinstance(view, np.ndarray):  # NumPy's flip of a 0-d array is a number
            return x
        start, of_array = (a.__array_interface__["data"][0] for a in (view, array))
        offset = value.offset + start - of_array
        return Recorded(self._program.view(name, value, offset, view.shape, view.strides), self)

    def reshape(self, x: Recorded, /, shape: Any, *, copy: bool | None = None) -> Recorded:
        """The same elements in another shape, in row-major order."""
        shape, value = (shape,) if isinstance(shape, int) else tuple(map(operator.index, shape)), self._value(x)
        if -1 in shape:
            shape = tuple(value.size // max(1, -math.prod(shape)) if n == -1 else n for n in shape)
        if math.prod(shape) != value.size:
            raise ValueError(f"an array of shape {x.shape} can't become one of shape {shape}")
        if not value.is_contiguous:
            value = self._program.add("copy", (value,), (), value.shape, value.dtype)
        return Recorded(self._program.view("reshape", value, value.offset, shape, contiguous(shape)), self)

    # --- new arrays

    def take(self, x: Recorded, indices: Any, /, *, axis: int = 0) -> Recorded:
        """The elements at these indices along an axis."""
        value, indices, axis = self._value(x), self._value(indices), range(x.ndim)[axis]
        if indices.ndim != 1:
            raise not_recordable(f"take with indices of {indices.ndim} axes")
        if indices.data is not None and ((indices.data < -x.shape[axis]) | (indices.data >= x.shape[axis])).any():
            raise IndexError(f"take of indices {indices.data} along an axis of {x.shape[axis]}")
        shape = (*x.shape[:axis], indices.size, *x.shape[axis + 1 :])
        return self._add("take", (value, indices), (axis,), shape, x.dtype)

    def concat(self, arrays: Sequence[Any], /, *, axis: int | None = 0) -> Recorded:
        """The arrays one after the other along an axis."""
        values = self._promoted(*([self.reshape(x, (-1,)) for x in arrays] if axis is None else arrays))
        axis = range(values[0].ndim)[axis or 0]
        if len({(*x.shape[:axis], *x.shape[axis + 1 :]) for x in values}) > 1:
            raise ValueError(f"concat over axis {axis} of arrays of shapes {[x.shape for x in values]}")
        if len(values) == 1:
            return Recorded(values[0], self)
        shape = list(values[0].shape)
        shape[axis] = sum(x.shape[axis] for x in values)
        return self._add("concat", values, (axis,), shape, values[0].dtype)

    def stack(self, arrays: Sequence[Any], /, *, axis: int = 0) -> Recorded:
        """The arrays along a new axis."""
        return self.concat([self.expand_dims(x, axis=axis) for x in arrays], axis=axis)

    def asarray(self, x: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Recorded:
        """A recorded array; a number or an array of the host becomes a constant."""
        if not isinstance(x, Recorded):
            x = Recorded(self._value(np.asarray(x, dtype)), self)
        return x if dtype is None else self.astype(x, dtype)

    def full(self, shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Recorded:
        """An array that is filled with one number."""
        return self.broadcast_to(self.asarray(fill_value, dtype=dtype), shape)

    def full_like(self, x: Recorded, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Recorded:
        """An array like x that is filled with one number."""
        return self.full(x.shape, fill_value, dtype=dtype or x.dtype)

    def _filled(self, number: int, shape: Any, *, dtype: Any = None, device: Any = None) -> Recorded:
        return self.full(shape, number, dtype=dtype or np.float64)

    def _filled_like(self, number: int, x: Recorded, /, *, dtype: Any = None, device: Any = None) -> Recorded:
        return self.full_like(x, number, dtype=dtype)

    def arange(self, *limits: Any, dtype: Any = None, device: Any = None, **named: Any) -> Recorded:
        """Evenly spaced numbers."""
        return self.asarray(np.arange(*limits, **named, dtype=dtype))

    # --- dtypes

    def result_type(self, *given: Any) -> np.dtype:
        """The dtype of an operation on these arrays, dtypes and numbers."""
        return np.result_type(*(getattr(x, "dtype", x) for x in given))

    def finfo(self, x: Any, /) -> Any:
        """The limits of a floating-point dtype."""
        return np.finfo(getattr(x, "dtype", x))


for _name in ELEMENTWISE:
    setattr(RecordedNamespace, _name, functools.partialmethod(RecordedNamespace._elementwise, _name))
for _name in REDUCTIONS:
    setattr(RecordedNamespace, _name, functools.partialmethod(RecordedNamespace._reduction, _name))
for _name in VIEWS:
    setattr(RecordedNamespace, _name, functools.partialmethod(RecordedNamespace._view, _name, getattr(np, _name)))
for _name, _number in (("zeros", 0), ("empty", 0), ("ones", 1)):
    setattr(RecordedNamespace, _name, functools.partialmethod(RecordedNamespace._filled, _number))
    setattr(RecordedNamespace, f"{_name}_like", functools.partialmethod(RecordedNamespace._filled_like, _number))
for _name in "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split():
    setattr(RecordedNamespace, _name, np.dtype(_name))


def _broadcast(values: Sequence[Value]) -> Shape:
    shapes = {x.shape for x in values} - {()}
    return np.broadcast_shapes(*shapes) if len(shapes) > 1 else shapes.pop() if shapes else ()
