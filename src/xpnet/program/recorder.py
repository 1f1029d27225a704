"""An Array API namespace that computes nothing and writes down what was asked of it.

``record(function, *examples)`` calls a function with arrays that have a shape and a dtype but no numbers, and returns a
Program: the list of the operations, each with its operands, shape, dtype and the line that asked for it. Promotion,
broadcasting and indexing follow the standard (2024.12). If the standard leaves a result open, and for everything that
is not in the list below, NotRecordable is raised.
"""

import math
import operator
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

Shape = tuple[int, ...]


class NotRecordable(TypeError):
    """A function that can't be written down; the message names the operation and the line."""


class Elementwise(NamedTuple):
    """NumPy's function, the kinds of numbers that it takes ("f", "i", "b"), and whether it answers with bool."""

    ufunc: Any
    kinds: str
    is_predicate: bool = False


def _table() -> dict[str, Elementwise]:
    groups = {
        ("f", False): "acos acosh asin asinh atan atan2 atanh copysign cos cosh divide exp expm1 hypot log log10 log1p "
        "log2 logaddexp reciprocal sin sinh sqrt tan tanh",
        ("fi", False): "abs add ceil floor floor_divide maximum minimum multiply negative positive pow remainder sign "
        "square subtract trunc",
        ("fi", True): "greater greater_equal isfinite isinf isnan less less_equal",
        ("fib", True): "equal not_equal",
        ("f", True): "signbit",
        ("i", False): "bitwise_left_shift bitwise_right_shift",
        ("ib", False): "bitwise_and bitwise_invert bitwise_or bitwise_xor",
        ("b", True): "logical_and logical_not logical_or logical_xor",
    }
    found = {
        name: Elementwise(getattr(np, name), kinds, is_predicate)
        for (kinds, is_predicate), names in groups.items()
        for name in names.split()
    }
    return {**found, "round": Elementwise(np.rint, "fi")}


ELEMENTWISE = MappingProxyType(_table())
REDUCTIONS = MappingProxyType(
    {
        "sum": Elementwise(np.add, "fi"),
        "prod": Elementwise(np.multiply, "fi"),
        "max": Elementwise(np.maximum, "fi"),
        "min": Elementwise(np.minimum, "fi"),
        "all": Elementwise(np.logical_and, "fib", True),
        "any": Elementwise(np.logical_or, "fib", True),
    }
)


def contiguous(shape: Shape) -> Shape:
    """The strides, in elements, of an array of this shape whose rows lie one after the other."""
    strides, stride = [], 1
    for n in reversed(shape):
        strides.append(stride)
        stride *= n
    return tuple(reversed(strides))


class Value:
    """An array of a program: what made it, and its shape and dtype, but no numbers.

    A view has a ``base``, which is no view, and lies in it at ``offset`` with these ``strides``, in elements.
    """

    __slots__ = (  # as a step has a hundred of them
        "base", "data", "dtype", "offset", "operands", "operation", "program", "settings", "shape", "site", "strides",
    )  # fmt: skip

    __array_ufunc__ = None  # NumPy's arrays and scalars leave arithmetic with a Value to it
    device = "cpu"

    def __init__(self, program: "Program", operation: str, operands: tuple, settings: tuple, shape: Shape, dtype: Any):
        self.program, self.operation, self.operands, self.settings = program, operation, operands, settings
        self.shape, self.dtype = shape, dtype
        self.base: Value | None = None
        self.offset, self.strides = 0, contiguous(shape)
        self.data: np.ndarray | None = None
        self.site = _site()

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return self.size * self.dtype.itemsize

    @property
    def owner(self) -> "Value":
        """What it lies in: its base, or itself."""
        return self if self.base is None else self.base

    @property
    def is_contiguous(self) -> bool:
        """Whether its rows lie one after the other."""
        pairs = zip(self.shape, self.strides, contiguous(self.shape), strict=True)
        return all(stride == wanted for n, stride, wanted in pairs if n != 1)

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return self.program.namespace

    def to_device(self, device: Any, /, stream: Any = None) -> "Value":
        """Itself: a program has one device."""
        return self

    T = property(lambda self: self.program.namespace.permute_dims(self, (1, 0)))
    mT = property(lambda self: self.program.namespace.matrix_transpose(self))

    def __getitem__(self, key: Any) -> "Value":
        return self.program.view("index", self, *_indexed(self, key))

    def __len__(self) -> int:
        return self.shape[0]

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise not_recordable("the value of an array, which is not known when a step is recorded,")

    __array__ = __bool__ = __complex__ = __dlpack__ = __float__ = __index__ = __int__ = __setitem__ = _refuse
    __hash__ = object.__hash__  # comparing makes an array

    def __repr__(self) -> str:
        return f"<{self.operation} {self.dtype}{list(self.shape)}>"


def _operators() -> None:
    both = {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
        "mod": "remainder", "pow": "pow", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
        "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift", "matmul": "matmul",
    }  # fmt: skip
    comparisons = {
        "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
    }  # fmt: skip
    alone = {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}

    def method(name: str, reverse: bool = False) -> Callable:
        def apply(self: Value, *others: Any) -> Value:
            return getattr(self.program.namespace, name)(*(reversed((self, *others)) if reverse else (self, *others)))

        return apply

    for short, name in {**both, **comparisons, **alone}.items():
        setattr(Value, f"__{short}__", method(name))
    for short, name in both.items():
        setattr(Value, f"__r{short}__", method(name, reverse=True))


_operators()


def not_recordable(what: str) -> NotRecordable:
    """The error that names what was asked for, and the line that asked."""
    return NotRecordable(f"{what} can't be recorded ({said(_site())})")


def _site() -> tuple[Any, int]:
    frame = sys._getframe(1)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def said(site: tuple[Any, int]) -> str:
    """A line of source in words: file, number, function."""
    code, line = site
    path = Path(code.co_filename)
    return f"{path.parent.name}/{path.name}:{line}, {code.co_name}"


def _indexed(value: Value, key: Any) -> tuple[int, Shape, Shape]:
    """Offset, shape and strides of ``value[key]``, by the rules of basic indexing."""
    keys = key if isinstance(key, tuple) else (key,)
    n_axes = sum(k is not None and k is not Ellipsis for k in keys)
    rest = (slice(None),) * (value.ndim - n_axes)
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys = (*keys[:at], *rest, *keys[at + 1 :])
    if n_axes > value.ndim or Ellipsis in [k for k in keys if k is Ellipsis]:
        raise IndexError(f"an array of {value.ndim} axes has no item {key!r}")
    offset, shape, strides = value.offset, [], []
    axes = zip(value.shape, value.strides, strict=True)
    for k in keys:
        if k is None:
            shape.append(1)
            strides.append(0)
            continue
        n, stride = next(axes)
        if isinstance(k, slice):
            start, stop, step = k.indices(n)
            shape.append(len(range(start, stop, step)))
            strides.append(stride * step)
            offset += start * stride if shape[-1] else 0
        elif isinstance(k, int | np.integer) and not isinstance(k, bool):
            if not -n <= k < n:
                raise IndexError(f"index {k} is out of bounds for an axis of {n}")
            offset += int(k) % n * stride
        else:
            raise not_recordable(f"an index that is a {type(k).__name__}")
    return offset, tuple(shape), tuple(strides)


class Program:
    """What a function did, operation by operation.

    Attributes
    ----------
    inputs, outputs : list of Value
        The arrays that the function was given and those that it returned, in the order of their nested tuples.
    values : list of Value
        All arrays, in the order in which they were asked for; the same operation on the same operands is one.
    """

    def __init__(self) -> None:
        self.namespace = Namespace(self)
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.values: list[Value] = []
        self._known: dict[Any, Value] = {}

    def input(self, shape: Shape, dtype: Any) -> Value:
        """A new argument of the function."""
        value = Value(self, "input", (), (len(self.inputs),), tuple(shape), np.dtype(dtype))
        self.inputs.append(value)
        self.values.append(value)
        return value

    def constant(self, data: Any) -> Value:
        """An array of known numbers."""
        data = np.asarray(data)
        key = ("constant", data.dtype, data.shape, data.tobytes() if data.size < 64 else id(data))
        return self._once(key, "constant", (), (), data.shape, data.dtype, data)

    def add(self, operation: str, operands: Sequence[Value], settings: tuple, shape: Shape, dtype: Any) -> Value:
        """The result of an operation."""
        key = (operation, tuple(map(id, operands)), settings, shape, dtype)
        return self._once(key, operation, tuple(operands), settings, tuple(shape), np.dtype(dtype))

    def view(self, operation: str, value: Value, offset: int, shape: Shape, strides: Shape) -> Value:
        """Another look at the elements of a value."""
        if (offset, shape, strides) == (value.offset, value.shape, value.strides):
            return value
        key = ("view", id(value.owner), offset, shape, strides)
        view = self._once(key, operation, (value,), (), tuple(shape), value.dtype)
        view.base, view.offset, view.strides = value.owner, offset, tuple(strides)
        return view

    def _once(self, key: Any, *made: Any) -> Value:
        value = self._known.get(key)
        if value is None:
            *described, data = made if len(made) == 6 else (*made, None)
            value = self._known[key] = Value(self, *described)
            value.data = data
            self.values.append(value)
        return value

    @property
    def flops(self) -> int:
        """Floating-point operations: 2 m k n of a product, one for each element that any other operation reads or
        makes; comparisons and copies are none.
        """
        return sum(map(_flops, self.values))

    @property
    def product_flops(self) -> int:
        """Those of the matrix products alone."""
        return sum(_flops(value) for value in self.values if value.operation in ("matmul", "vecdot"))

    def __str__(self) -> str:
        number = {value: i for i, value in enumerate(self.values)}
        names = {value: f"%{i}" for value, i in number.items()}
        names |= {v: f"{v.data.item():.9g}" for v in self.values if v.data is not None and v.data.ndim == 0}
        results: dict[Value, list[int]] = {}
        for k, value in enumerate(self.outputs):
            results.setdefault(value, []).append(k)
        lines = []
        for value in self.values:
            if value in names and not names[value].startswith("%"):
                continue
            settings = [str(s) for s in value.settings]
            call = f"{value.operation}({', '.join([*(names[x] for x in value.operands), *settings])})"
            is_output = f" -> output {', '.join(map(str, results[value]))}" if value in results else ""
            kind = f"{value.dtype}[{','.join(map(str, value.shape))}]"
            lines.append(f"{names[value]:>5} = {call:<34} {kind:<22} {said(value.site)}{is_output}")
        return "\n".join(lines)


def _flops(value: Value) -> int:
    if value.dtype.kind != "f" or value.operation in ("input", "constant", "astype", "copy", "where", "take", "concat"):
        return 0
    if value.base is not None:
        return 0
    if value.operation in ("matmul", "vecdot"):
        return 2 * value.size * value.operands[0].shape[-1]
    return max(value.size, *(x.size for x in value.operands))


class Namespace:
    """The functions of the standard that a program can hold, over the Values of one program."""

    __name__ = "xpnet.program.recorder"
    pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None
    int8, int16, int32, int64 = (np.dtype(f"int{n}") for n in (8, 16, 32, 64))
    uint8, uint16, uint32, uint64 = (np.dtype(f"uint{n}") for n in (8, 16, 32, 64))
    float32, float64 = np.dtype("float32"), np.dtype("float64")

    def __init__(self, program: Program) -> None:
        self._program = program

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ELEMENTWISE:
            return lambda *operands: self._elementwise(name, *operands)
        if name in REDUCTIONS:
            return lambda x, *, axis=None, keepdims=False, dtype=None: self._reduce(name, x, axis, keepdims, dtype)
        raise not_recordable(f"xp.{name}")

    # --- elementwise

    def _elementwise(self, name: str, *operands: Any) -> Value:
        ufunc, kinds, is_predicate = ELEMENTWISE[name]
        if len(operands) != ufunc.nin:
            raise TypeError(f"{name} takes {ufunc.nin} arrays, got {len(operands)}")
        values = self._promoted(name, operands)
        self._check_kind(name, values[0], kinds)
        shape = _broadcast(values)
        return self._program.add(name, values, (), shape, np.dtype(bool) if is_predicate else values[0].dtype)

    def _promoted(self, name: str, operands: Sequence[Any]) -> list[Value]:
        """The operands as Values of one dtype; Python's numbers take that of the arrays."""
        arrays = [self.asarray(x) for x in operands if type(x) not in (bool, int, float)]
        if not arrays:
            raise not_recordable(f"{name} of numbers alone")
        dtype = self.result_type(*arrays)
        found = iter(arrays)
        return [
            self._number(name, x, dtype) if type(x) in (bool, int, float) else self.astype(next(found), dtype)
            for x in operands
        ]

    def _number(self, name: str, x: Any, dtype: np.dtype) -> Value:
        allowed = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}[dtype.kind]
        if type(x) not in allowed:
            raise not_recordable(f"{name} of an array of {dtype} and the number {x!r}")
        return self._program.constant(np.asarray(x, dtype))

    @staticmethod
    def _check_kind(name: str, x: Value, kinds: str) -> None:
        if x.dtype.kind.replace("u", "i") not in kinds:
            raise not_recordable(f"{name} of {x.dtype}")

    def where(self, condition: Value, x: Any, y: Any) -> Value:
        """x where the condition holds, else y."""
        condition, (x, y) = self.asarray(condition), self._promoted("where", (x, y))
        self._check_kind("where", condition, "b")
        shape = _broadcast((condition, x, y))
        return self._program.add("where", (condition, x, y), (), shape, x.dtype)

    def clip(self, x: Value, /, min: Any = None, max: Any = None) -> Value:
        """min(max(x, lower), upper)."""
        x = x if min is None else self.maximum(x, min)
        return x if max is None else self.minimum(x, max)

    def astype(self, x: Value, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Value:
        """x in another dtype."""
        dtype = np.dtype(dtype)
        if x.dtype == dtype:
            return x
        if x.data is not None and x.ndim == 0:
            return self._program.constant(x.data.astype(dtype))
        return self._program.add("astype", (x,), (), x.shape, dtype)

    # --- reductions and products

    def _reduce(self, name: str, x: Value, axis: Any, keepdims: bool, dtype: Any) -> Value:
        _, kinds, is_predicate = REDUCTIONS[name]
        self._check_kind(name, x, kinds)
        if name in ("sum", "prod"):
            whole = np.dtype("uint64" if x.dtype.kind == "u" else "int64")
            x = self.astype(x, dtype or (x.dtype if x.dtype.kind == "f" else np.promote_types(x.dtype, whole)))
        axes = _axes(axis, x.ndim)
        if name in ("max", "min") and not all(x.shape[i] for i in axes):
            raise ValueError(f"{name} of no elements")
        kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
        shape = kept if keepdims else [n for i, n in enumerate(x.shape) if i not in axes]
        return self._program.add(
            name, (x,), (axes, bool(keepdims)), tuple(shape), np.dtype(bool) if is_predicate else x.dtype
        )

    def mean(self, x: Value, *, axis: Any = None, keepdims: bool = False) -> Value:
        """The sum over the number of addends."""
        self._check_kind("mean", x, "f")
        total = self.sum(x, axis=axis, keepdims=keepdims)
        return total / float(x.size // max(1, total.size))

    def matmul(self, a: Any, b: Any, /) -> Value:
        """A B over the last two axes."""
        a, b = self._promoted("matmul", (a, b))
        self._check_kind("matmul", a, "fi")
        if 0 in (a.ndim, b.ndim) or a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
            raise ValueError(f"matmul of arrays of shapes {a.shape} and {b.shape}")
        rows, columns = a.shape[-2:-1], b.shape[-1:] if b.ndim > 1 else ()
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *rows, *columns)
        return self._program.add("matmul", (a, b), (), shape, a.dtype)

    def vecdot(self, a: Any, b: Any, /, *, axis: int = -1) -> Value:
        """sum_i a_i b_i over the last axis."""
        a, b = self._promoted("vecdot", (a, b))
        self._check_kind("vecdot", a, "fi")
        shape = np.broadcast_shapes(a.shape, b.shape)
        if axis != -1 or a.shape[-1:] != b.shape[-1:] or not shape:
            raise not_recordable(f"vecdot of arrays of shapes {a.shape} and {b.shape} over axis {axis}")
        return self._program.add("vecdot", (a, b), (), shape[:-1], a.dtype)

    # --- other looks at the same elements

    def permute_dims(self, x: Value, axes: Sequence[int], /) -> Value:
        """The axes in another order."""
        if sorted(axes) != list(range(x.ndim)):
            raise ValueError(f"{axes} are not the axes of an array of {x.ndim}")
        shape, strides = (tuple(of[i] for i in axes) for of in (x.shape, x.strides))
        return self._program.view("permute_dims", x, x.offset, shape, strides)

    def matrix_transpose(self, x: Value, /) -> Value:
        """The last two axes exchanged."""
        return self.permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))

    def moveaxis(self, x: Value, source: int, destination: int, /) -> Value:
        """One axis moved to another place."""
        order = [i for i in range(x.ndim) if i != source % x.ndim]
        order.insert(destination % x.ndim, source % x.ndim)
        return self.permute_dims(x, order)

    def reshape(self, x: Value, /, shape: Sequence[int], *, copy: bool | None = None) -> Value:
        """The same elements, row by row, in another shape."""
        shape = (shape,) if isinstance(shape, int) else tuple(map(operator.index, shape))
        if -1 in shape:
            known = -math.prod(shape)
            shape = tuple(x.size // max(1, known) if n == -1 else n for n in shape)
        if math.prod(shape) != x.size:
            raise ValueError(f"an array of shape {x.shape} can't become one of shape {shape}")
        if not x.is_contiguous:
            x = self._program.add("copy", (x,), (), x.shape, x.dtype)
        return self._program.view("reshape", x, x.offset, shape, contiguous(shape))

    def expand_dims(self, x: Value, /, *, axis: int = 0) -> Value:
        """A new axis of length 1."""
        axis %= x.ndim + 1
        return x[(*(slice(None),) * axis, None)]

    def squeeze(self, x: Value, /, axis: Any) -> Value:
        """Axes of length 1 taken out."""
        axes = _axes(axis, x.ndim)
        if any(x.shape[i] != 1 for i in axes):
            raise ValueError(f"axes {axes} of an array of shape {x.shape} are not all of length 1")
        return x[tuple(0 if i in axes else slice(None) for i in range(x.ndim))]

    def flip(self, x: Value, /, *, axis: Any = None) -> Value:
        """The elements of an axis in reverse."""
        axes = _axes(axis, x.ndim)
        return x[tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim))]

    def broadcast_to(self, x: Value, /, shape: Sequence[int]) -> Value:
        """x repeated along new axes and those of length 1."""
        shape = tuple(shape)
        if np.broadcast_shapes(x.shape, shape) != shape:
            raise ValueError(f"an array of shape {x.shape} can't be broadcast to {shape}")
        n_new = len(shape) - x.ndim
        strides = [s if n == m else 0 for n, m, s in zip(x.shape, shape[n_new:], x.strides, strict=True)]
        return self._program.view("broadcast_to", x, x.offset, shape, (*[0] * n_new, *strides))

    def unstack(self, x: Value, /, *, axis: int = 0) -> tuple[Value, ...]:
        """The parts along an axis."""
        x = self.moveaxis(x, axis, 0)
        return tuple(x[i] for i in range(x.shape[0]))

    # --- other elements

    def take(self, x: Value, indices: Any, /, *, axis: int = 0) -> Value:
        """The parts at these indices along an axis."""
        indices, axis = self.asarray(indices), axis % x.ndim
        self._check_kind("take", indices, "i")
        if indices.ndim != 1:
            raise not_recordable(f"take with indices of {indices.ndim} axes")
        shape = (*x.shape[:axis], indices.size, *x.shape[axis + 1 :])
        return self._program.add("take", (x, indices), (axis,), shape, x.dtype)

    def concat(self, arrays: Sequence[Value], /, *, axis: int | None = 0) -> Value:
        """The arrays one after the other along an axis."""
        arrays = [self.reshape(x, (-1,)) for x in arrays] if axis is None else arrays
        values = self._promoted("concat", list(arrays))
        axis = (axis or 0) % values[0].ndim
        rest = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in values}
        if len(rest) > 1:
            raise ValueError(f"concat over axis {axis} of arrays of shapes {[x.shape for x in values]}")
        if len(values) == 1:
            return values[0]
        shape = list(values[0].shape)
        shape[axis] = sum(x.shape[axis] for x in values)
        return self._program.add("concat", values, (axis,), tuple(shape), values[0].dtype)

    def stack(self, arrays: Sequence[Value], /, *, axis: int = 0) -> Value:
        """The arrays along a new axis."""
        return self.concat([self.expand_dims(x, axis=axis) for x in arrays], axis=axis)

    # --- new arrays

    def asarray(self, x: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Value:
        """A Value, or an array of the host as a constant."""
        if not isinstance(x, Value):
            x = self._program.constant(np.asarray(x, dtype))
        elif x.program is not self._program:
            raise not_recordable("an array of another recording")
        return x if dtype is None else self.astype(x, dtype)

    def full(self, shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Value:
        """One number everywhere."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        return self.broadcast_to(self.asarray(fill_value, dtype=dtype), shape)

    def zeros(self, shape: Any, *, dtype: Any = np.float64, device: Any = None) -> Value:
        """0 everywhere."""
        return self.full(shape, 0, dtype=dtype)

    def ones(self, shape: Any, *, dtype: Any = np.float64, device: Any = None) -> Value:
        """1 everywhere."""
        return self.full(shape, 1, dtype=dtype)

    empty = zeros

    def full_like(self, x: Value, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Value:
        """One number everywhere, in the shape of x."""
        return self.full(x.shape, fill_value, dtype=dtype or x.dtype)

    def zeros_like(self, x: Value, /, *, dtype: Any = None, device: Any = None) -> Value:
        """0 everywhere, in the shape of x."""
        return self.full_like(x, 0, dtype=dtype)

    def ones_like(self, x: Value, /, *, dtype: Any = None, device: Any = None) -> Value:
        """1 everywhere, in the shape of x."""
        return self.full_like(x, 1, dtype=dtype)

    empty_like = zeros_like

    def arange(self, *limits: Any, dtype: Any = None, device: Any = None, **named: Any) -> Value:
        """Numbers at equal distances."""
        return self._program.constant(np.arange(*limits, **named, dtype=dtype))

    # --- dtypes

    def result_type(self, *arrays_and_dtypes: Any) -> np.dtype:
        """The dtype that these have together; of one kind of numbers only."""
        dtypes = {x.dtype if isinstance(x, Value) else np.dtype(x) for x in arrays_and_dtypes}
        if len(dtypes) == 1:
            return dtypes.pop()
        kinds = {dtype.kind.replace("u", "i") for dtype in dtypes}
        dtype = np.result_type(*dtypes)
        if len(kinds) > 1 or dtype.kind.replace("u", "i") not in kinds:
            raise not_recordable(f"an operation between {' and '.join(sorted(map(str, dtypes)))}")
        return dtype

    @staticmethod
    def isdtype(dtype: Any, kind: Any) -> bool:
        """Whether a dtype is of a kind."""
        return np.isdtype(np.dtype(dtype), kind)

    @staticmethod
    def finfo(type: Any, /) -> Any:
        """Limits of a floating dtype."""
        return np.finfo(type.dtype if isinstance(type, Value) else type)

    @staticmethod
    def iinfo(type: Any, /) -> Any:
        """Limits of an integer dtype."""
        return np.iinfo(type.dtype if isinstance(type, Value) else type)


Namespace.bool = np.dtype("bool")  # type: ignore[attr-defined]  # after the class, whose annotations say bool too


def _broadcast(values: Sequence[Value]) -> Shape:
    shapes = {x.shape for x in values}
    shapes.discard(())
    return np.broadcast_shapes(*shapes) if len(shapes) > 1 else shapes.pop() if shapes else ()


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if any(not -ndim <= i < ndim for i in axes):
        raise ValueError(f"axis {axis} of an array of {ndim} axes")
    return tuple(sorted(i % ndim for i in axes))


def mapped(leaf: Callable, tree: Any) -> Any:
    """A nest of tuples and lists with each array in it replaced; None and numbers stay as they are."""
    if isinstance(tree, tuple | list):
        found = [mapped(leaf, x) for x in tree]
        return type(tree)(*found) if hasattr(tree, "_fields") else type(tree)(found)
    return leaf(tree) if hasattr(tree, "shape") else tree


def record(function: Callable, *examples: Any) -> Program:
    """The program of a function.

    Parameters
    ----------
    function : callable
        A pure function of arrays, which may come in nested tuples, and of whatever else stays the same.
    *examples : arrays, or anything with a shape and a dtype; nested tuples of them
        What it is called with. Their numbers are not looked at.

    Raises
    ------
    NotRecordable
        The function asks for the value of an array or for an operation that is not among those of ``Namespace``, or it
        does not do the same when it is called again, as one that draws random numbers on the host.
    """
    program, again = (_recorded(function, examples) for _ in range(2))
    if len(program.values) != len(again.values):
        raise NotRecordable(
            "the function does other operations when it is called again: what it draws can't be recorded"
        )
    places = {value: i for i, value in enumerate(program.values)} | {value: i for i, value in enumerate(again.values)}
    for one, other in zip(program.values, again.values, strict=True):
        alike = _alike(one, other) and [places[x] for x in one.operands] == [places[x] for x in other.operands]
        if not alike:
            raise NotRecordable(
                f"{one.operation} is another when the function is called again: what it draws can't be recorded "
                f"({said(one.site)})"
            )
    return program


def _recorded(function: Callable, examples: tuple) -> Program:
    program = Program()
    results = function(*mapped(lambda a: program.input(a.shape, a.dtype), examples))
    mapped(lambda a: program.outputs.append(program.namespace.asarray(a)), results)
    return program


def _alike(one: Value, other: Value) -> bool:
    same = all(
        getattr(one, name) == getattr(other, name)
        for name in ("operation", "settings", "shape", "dtype", "offset", "strides")
    )
    if one.data is None or other.data is None or not same:
        return same and one.data is other.data
    return one.data is other.data or np.array_equal(one.data, other.data, equal_nan=one.data.dtype.kind == "f")
