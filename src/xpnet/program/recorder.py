"""An Array API namespace that computes nothing and writes down what was asked of it.

``record(function, *examples)`` calls a function with arrays that have a shape and a dtype but no numbers, and returns a
Program: the list of the operations, each with its operands, shape, dtype and the line that asked for it. Promotion,
broadcasting and indexing follow the standard (2024.12). If the standard leaves a result open, and for everything that
is not in the list below, NotRecordable is raised.
"""

import functools
import math
import operator
import sys
from collections.abc import Callable, Iterator, Sequence
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
    """A value of a program: what makes it, its shape and dtype, and the line that asked for it.

    A view has a ``base``, which is no view, and lies in it at ``offset`` with these ``strides``, in elements. Constants
    have ``data``.
    """

    __slots__ = (  # as a step has a hundred of them
        "base", "data", "dtype", "offset", "operands", "operation", "program", "settings", "shape", "site", "strides",
    )  # fmt: skip

    def __init__(self, program: "Program", operation: str, operands: tuple, settings: tuple, shape: Shape, dtype: Any):
        self.program, self.operation, self.operands, self.settings = program, operation, operands, settings
        self.shape, self.dtype, self.site = shape, dtype, _site()
        self.base: Value | None = None
        self.data: np.ndarray | None = None
        self.offset, self.strides = 0, contiguous(shape)

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

    @property
    def flops(self) -> int:
        """Floating-point operations: 2 m k n of a product, one for each element that another operation reads or makes;
        copies, comparisons and choices are none.
        """
        is_none = self.operation in ("input", "constant", "astype", "copy", "where", "take", "concat")
        if is_none or self.base is not None or self.dtype.kind != "f":
            return 0
        if self.operation in ("matmul", "vecdot"):
            return 2 * self.size * self.operands[0].shape[-1]
        return max(self.size, *(x.size for x in self.operands))

    def __repr__(self) -> str:
        return f"<{self.operation} {self.dtype}{list(self.shape)}>"


def _site() -> tuple[Any, int]:
    frame = sys._getframe(1)
    while frame.f_code.co_filename == __file__ and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def said(site: tuple[Any, int]) -> str:
    """A line of source in words: file, number, function."""
    path = Path(site[0].co_filename)
    return f"{path.parent.name}/{path.name}:{site[1]}, {site[0].co_name}"


def not_recordable(what: str) -> NotRecordable:
    """The error that names what was asked for, and the line that asked."""
    return NotRecordable(f"{what} can't be recorded ({said(_site())})")


class Program:
    """What a function did, operation by operation.

    Attributes
    ----------
    inputs, outputs : list of Value
        The arrays that the function was given and those that it returned, in the order of their nested tuples.
    results : nested tuples
        What it returned, with arrays that have no numbers.
    values : list of Value
        All arrays, in the order in which they were asked for; the same operation on the same operands is one.
    """

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.results: Any = ()
        self.values: list[Value] = []
        self._known: dict[Any, Value] = {}

    def input(self, shape: Shape, dtype: Any) -> Value:
        """A new argument of the function."""
        self.inputs.append(self._new("input", (), (len(self.inputs),), shape, dtype))
        return self.inputs[-1]

    def constant(self, data: Any) -> Value:
        """An array of known numbers."""
        data = np.asarray(data)
        key = (data.dtype, data.shape, data.tobytes() if data.size < 64 else id(data))
        if key not in self._known:
            self._known[key] = self._new("constant", (), (), data.shape, data.dtype)
            self._known[key].data = data
        return self._known[key]

    def add(self, operation: str, operands: Sequence[Value], settings: tuple, shape: Shape, dtype: Any) -> Value:
        """The result of an operation."""
        key = (operation, tuple(map(id, operands)), settings, shape, dtype)
        if key not in self._known:
            self._known[key] = self._new(operation, tuple(operands), settings, shape, dtype)
        return self._known[key]

    def view(self, operation: str, value: Value, offset: int, shape: Shape, strides: Shape) -> Value:
        """Another look at the elements of a value."""
        if (offset, shape, strides) == (value.offset, value.shape, value.strides):
            return value
        key = ("view", id(value.owner), offset, shape, strides)
        if key not in self._known:
            view = self._known[key] = self._new(operation, (value,), (), shape, value.dtype)
            view.base, view.offset, view.strides = value.owner, offset, strides
        return self._known[key]

    def _new(self, operation: str, operands: tuple, settings: tuple, shape: Shape, dtype: Any) -> Value:
        value = Value(self, operation, operands, settings, tuple(shape), np.dtype(dtype))
        self.values.append(value)
        return value

    @property
    def flops(self) -> int:
        """Floating-point operations, see :attr:`Value.flops`."""
        return sum(value.flops for value in self.values)

    @property
    def product_flops(self) -> int:
        """Those of the matrix products alone."""
        return sum(value.flops for value in self.values if value.operation in ("matmul", "vecdot"))

    def __str__(self) -> str:
        names = {value: f"%{i}" for i, value in enumerate(self.values)}
        names |= {v: f"{v.data.item():.9g}" for v in self.values if v.data is not None and v.data.ndim == 0}
        lines = []
        for value in self.values:
            if not names[value].startswith("%"):
                continue
            arguments = [names[x] for x in value.operands] + [str(s) for s in value.settings]
            call = f"{value.operation}({', '.join(arguments)})"
            kind = f"{value.dtype}[{','.join(map(str, value.shape))}]"
            results = [str(k) for k, output in enumerate(self.outputs) if output is value]
            end = f" -> output {', '.join(results)}" if results else ""
            lines.append(f"{names[value]:>5} = {call:<34} {kind:<22} {said(value.site)}{end}")
        return "\n".join(lines)


class Recorded:
    """An array of a function that is being recorded: a Value with the operators of the standard, and no numbers."""

    __slots__ = ("value",)
    __array_ufunc__ = None  # NumPy's arrays and scalars leave arithmetic with it to it
    device = "cpu"

    def __init__(self, value: Value) -> None:
        self.value = value

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    T = property(lambda self: self.__array_namespace__().permute_dims(self, (1, 0)))
    mT = property(lambda self: self.__array_namespace__().matrix_transpose(self))

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return RecordedNamespace(self.value.program)

    def to_device(self, device: Any, /, stream: Any = None) -> "Recorded":
        """Itself: a program has one device."""
        return self

    def __getitem__(self, key: Any) -> "Recorded":
        return Recorded(_indexed(self.value, key))

    def __len__(self) -> int:
        return self.shape[0]

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise not_recordable("the value of an array, which is not known when a step is recorded,")

    __array__ = __bool__ = __complex__ = __dlpack__ = __float__ = __index__ = __int__ = __setitem__ = _refuse
    __hash__ = object.__hash__  # comparing makes an array


def _operator(name: str, is_reversed: bool = False) -> Callable:
    def apply(self: Recorded, *others: Any) -> Recorded:
        operands = (self, *others)[:: -1 if is_reversed else 1]
        return getattr(self.__array_namespace__(), name)(*operands)

    return apply


for _name in (
    "add:add sub:subtract mul:multiply truediv:divide floordiv:floor_divide mod:remainder pow:pow matmul:matmul "
    "and:bitwise_and or:bitwise_or xor:bitwise_xor lshift:bitwise_left_shift rshift:bitwise_right_shift"
).split():
    _short, _, _name = _name.partition(":")
    setattr(Recorded, f"__{_short}__", _operator(_name))
    setattr(Recorded, f"__r{_short}__", _operator(_name, is_reversed=True))
for _name in (
    "lt:less le:less_equal gt:greater ge:greater_equal eq:equal ne:not_equal neg:negative pos:positive abs:abs "
    "invert:bitwise_invert"
).split():
    _short, _, _name = _name.partition(":")
    setattr(Recorded, f"__{_short}__", _operator(_name))


class RecordedNamespace:
    """The functions below, over recorded arrays."""

    __name__ = "xpnet.program.recorder"
    pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None

    def __init__(self, program: Program) -> None:
        self._program = program

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in DTYPES:
            return DTYPES[name]
        function = FUNCTIONS.get(name)
        if function is None:
            raise not_recordable(f"xp.{name}")
        return functools.partial(self._call, function)

    def _call(self, function: Callable, *arguments: Any, **settings: Any) -> Any:
        bare = [_bare(a) for a in arguments]
        return _dressed(function(self._program, *bare, **{name: _bare(a) for name, a in settings.items()}))


def _bare(x: Any) -> Any:
    return x.value if isinstance(x, Recorded) else [_bare(a) for a in x] if isinstance(x, list | tuple) else x


def _dressed(x: Any) -> Any:
    return Recorded(x) if isinstance(x, Value) else tuple(map(_dressed, x)) if isinstance(x, tuple) else x


# --- operands


def _is_number(x: Any) -> bool:
    return type(x) in (bool, int, float)


def _array(program: Program, x: Any) -> Value:
    """A Value, or an array of the host as a constant."""
    if not isinstance(x, Value):
        return program.constant(x)
    if x.program is not program:
        raise not_recordable("an array of another recording")
    return x


def _promoted(program: Program, name: str, operands: Sequence[Any], kinds: str = "fib") -> list[Value]:
    """The operands as Values of one dtype; Python's numbers take that of the arrays."""
    arrays = [_array(program, x) for x in operands if not _is_number(x)]
    if not arrays:
        raise not_recordable(f"{name} of numbers alone")
    dtype = result_type(program, *arrays)
    _check_kind(name, dtype, kinds)
    found = iter(arrays)
    return [
        _number(program, name, x, dtype) if _is_number(x) else astype(program, next(found), dtype) for x in operands
    ]


def _number(program: Program, name: str, x: Any, dtype: np.dtype) -> Value:
    allowed = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}[dtype.kind]
    if type(x) not in allowed:
        raise not_recordable(f"{name} of an array of {dtype} and the number {x!r}")
    return program.constant(np.asarray(x, dtype))


def _check_kind(name: str, dtype: np.dtype, kinds: str) -> None:
    if dtype.kind.replace("u", "i") not in kinds:
        raise not_recordable(f"{name} of {dtype}")


def _broadcast(values: Sequence[Value]) -> Shape:
    shapes = {x.shape for x in values} - {()}
    return np.broadcast_shapes(*shapes) if len(shapes) > 1 else shapes.pop() if shapes else ()


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    if any(not -ndim <= i < ndim for i in axes):
        raise ValueError(f"axis {axis} of an array of {ndim} axes")
    return tuple(sorted(i % ndim for i in axes))


def _shape(shape: Any) -> Shape:
    return (shape,) if isinstance(shape, int) else tuple(map(operator.index, shape))


# --- elementwise, reductions, products


def _elementwise(name: str, program: Program, *operands: Any) -> Value:
    ufunc, kinds, is_predicate = ELEMENTWISE[name]
    if len(operands) != ufunc.nin:
        raise TypeError(f"{name} takes {ufunc.nin} arrays, got {len(operands)}")
    values = _promoted(program, name, operands, kinds)
    return program.add(name, values, (), _broadcast(values), np.dtype(bool) if is_predicate else values[0].dtype)


def where(program: Program, condition: Any, x: Any, y: Any) -> Value:
    """x where the condition holds, else y."""
    condition, (x, y) = _array(program, condition), _promoted(program, "where", (x, y))
    _check_kind("where", condition.dtype, "b")
    return program.add("where", (condition, x, y), (), _broadcast((condition, x, y)), x.dtype)


def clip(program: Program, x: Any, /, min: Any = None, max: Any = None) -> Value:
    """min(max(x, lower), upper)."""
    x = x if min is None else _elementwise("maximum", program, x, min)
    return x if max is None else _elementwise("minimum", program, x, max)


def astype(program: Program, x: Value, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Value:
    """x in another dtype."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        return x
    if x.data is not None and x.ndim == 0:
        return program.constant(x.data.astype(dtype))
    return program.add("astype", (x,), (), x.shape, dtype)


def _reduce(
    name: str, program: Program, x: Value, *, axis: Any = None, keepdims: bool = False, dtype: Any = None
) -> Value:
    _, kinds, is_predicate = REDUCTIONS[name]
    _check_kind(name, x.dtype, kinds)
    if name in ("sum", "prod"):
        whole = np.dtype("uint64" if x.dtype.kind == "u" else "int64")
        x = astype(program, x, dtype or (x.dtype if x.dtype.kind == "f" else np.promote_types(x.dtype, whole)))
    axes = _axes(axis, x.ndim)
    if name in ("max", "min") and not all(x.shape[i] for i in axes):
        raise ValueError(f"{name} of no elements")
    kept = [1 if i in axes else n for i, n in enumerate(x.shape)]
    shape = kept if keepdims else [n for i, n in enumerate(x.shape) if i not in axes]
    return program.add(name, (x,), (axes, bool(keepdims)), tuple(shape), np.dtype(bool) if is_predicate else x.dtype)


def mean(program: Program, x: Value, *, axis: Any = None, keepdims: bool = False) -> Value:
    """The sum over the number of addends."""
    _check_kind("mean", x.dtype, "f")
    total = _reduce("sum", program, x, axis=axis, keepdims=keepdims)
    return _elementwise("divide", program, total, float(x.size // max(1, total.size)))


def matmul(program: Program, a: Any, b: Any, /) -> Value:
    """A B over the last two axes."""
    a, b = _promoted(program, "matmul", (a, b), "fi")
    if 0 in (a.ndim, b.ndim) or a.shape[-1] != b.shape[0 if b.ndim == 1 else -2]:
        raise ValueError(f"matmul of arrays of shapes {a.shape} and {b.shape}")
    rows, columns = a.shape[-2:-1], b.shape[-1:] if b.ndim > 1 else ()
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), *rows, *columns)
    return program.add("matmul", (a, b), (), shape, a.dtype)


def vecdot(program: Program, a: Any, b: Any, /, *, axis: int = -1) -> Value:
    """sum_i a_i b_i over the last axis."""
    a, b = _promoted(program, "vecdot", (a, b), "fi")
    shape = _broadcast((a, b))
    if axis != -1 or a.shape[-1:] != b.shape[-1:] or not shape:
        raise not_recordable(f"vecdot of arrays of shapes {a.shape} and {b.shape} over axis {axis}")
    return program.add("vecdot", (a, b), (), shape[:-1], a.dtype)


# --- other looks at the same elements


def _indexed(value: Value, key: Any) -> Value:
    """``value[key]``, by the rules of basic indexing."""
    keys = key if isinstance(key, tuple) else (key,)
    n_axes = sum(k is not None and k is not Ellipsis for k in keys)
    rest = (slice(None),) * (value.ndim - n_axes)
    at = next((i for i, k in enumerate(keys) if k is Ellipsis), len(keys))
    keys = (*keys[:at], *rest, *keys[at + 1 :])
    if n_axes > value.ndim or any(k is Ellipsis for k in keys):
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
    return value.program.view("index", value, offset, tuple(shape), tuple(strides))


def permute_dims(program: Program, x: Value, axes: Sequence[int], /) -> Value:
    """The axes in another order."""
    if sorted(axes) != list(range(x.ndim)):
        raise ValueError(f"{axes} are not the axes of an array of {x.ndim}")
    shape, strides = (tuple(of[i] for i in axes) for of in (x.shape, x.strides))
    return program.view("permute_dims", x, x.offset, shape, strides)


def matrix_transpose(program: Program, x: Value, /) -> Value:
    """The last two axes exchanged."""
    return permute_dims(program, x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def moveaxis(program: Program, x: Value, source: int, destination: int, /) -> Value:
    """One axis moved to another place."""
    order = [i for i in range(x.ndim) if i != source % x.ndim]
    order.insert(destination % x.ndim, source % x.ndim)
    return permute_dims(program, x, order)


def reshape(program: Program, x: Value, /, shape: Any, *, copy: bool | None = None) -> Value:
    """The same elements, row by row, in another shape."""
    shape = _shape(shape)
    if -1 in shape:
        shape = tuple(x.size // max(1, -math.prod(shape)) if n == -1 else n for n in shape)
    if math.prod(shape) != x.size:
        raise ValueError(f"an array of shape {x.shape} can't become one of shape {shape}")
    if not x.is_contiguous:
        x = program.add("copy", (x,), (), x.shape, x.dtype)
    return program.view("reshape", x, x.offset, shape, contiguous(shape))


def expand_dims(program: Program, x: Value, /, *, axis: int = 0) -> Value:
    """A new axis of length 1."""
    return _indexed(x, (*(slice(None),) * (axis % (x.ndim + 1)), None))


def squeeze(program: Program, x: Value, /, axis: Any) -> Value:
    """Axes of length 1 taken out."""
    axes = _axes(axis, x.ndim)
    if any(x.shape[i] != 1 for i in axes):
        raise ValueError(f"axes {axes} of an array of shape {x.shape} are not all of length 1")
    return _indexed(x, tuple(0 if i in axes else slice(None) for i in range(x.ndim)))


def flip(program: Program, x: Value, /, *, axis: Any = None) -> Value:
    """The elements of an axis in reverse."""
    axes = _axes(axis, x.ndim)
    return _indexed(x, tuple(slice(None, None, -1 if i in axes else 1) for i in range(x.ndim)))


def broadcast_to(program: Program, x: Value, /, shape: Any) -> Value:
    """x repeated along new axes and those of length 1."""
    shape = _shape(shape)
    if np.broadcast_shapes(x.shape, shape) != shape:
        raise ValueError(f"an array of shape {x.shape} can't be broadcast to {shape}")
    n_new = len(shape) - x.ndim
    strides = [s if n == m else 0 for n, m, s in zip(x.shape, shape[n_new:], x.strides, strict=True)]
    return program.view("broadcast_to", x, x.offset, shape, (*[0] * n_new, *strides))


def unstack(program: Program, x: Value, /, *, axis: int = 0) -> tuple[Value, ...]:
    """The parts along an axis."""
    x = moveaxis(program, x, axis, 0)
    return tuple(_indexed(x, i) for i in range(x.shape[0]))


# --- other elements, new arrays


def take(program: Program, x: Value, indices: Any, /, *, axis: int = 0) -> Value:
    """The parts at these indices along an axis."""
    indices, axis = _array(program, indices), axis % x.ndim
    _check_kind("take", indices.dtype, "i")
    if indices.ndim != 1:
        raise not_recordable(f"take with indices of {indices.ndim} axes")
    return program.add("take", (x, indices), (axis,), (*x.shape[:axis], indices.size, *x.shape[axis + 1 :]), x.dtype)


def concat(program: Program, arrays: Sequence[Any], /, *, axis: int | None = 0) -> Value:
    """The arrays one after the other along an axis."""
    arrays = [reshape(program, x, (-1,)) for x in arrays] if axis is None else arrays
    values = _promoted(program, "concat", arrays)
    axis = (axis or 0) % values[0].ndim
    if len({(*x.shape[:axis], *x.shape[axis + 1 :]) for x in values}) > 1:
        raise ValueError(f"concat over axis {axis} of arrays of shapes {[x.shape for x in values]}")
    if len(values) == 1:
        return values[0]
    shape = list(values[0].shape)
    shape[axis] = sum(x.shape[axis] for x in values)
    return program.add("concat", values, (axis,), tuple(shape), values[0].dtype)


def stack(program: Program, arrays: Sequence[Value], /, *, axis: int = 0) -> Value:
    """The arrays along a new axis."""
    return concat(program, [expand_dims(program, x, axis=axis) for x in arrays], axis=axis)


def asarray(program: Program, x: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Value:
    """A recorded array, or an array or number of the host as a constant."""
    x = x if isinstance(x, Value) else np.asarray(x, dtype)
    return _array(program, x) if dtype is None else astype(program, _array(program, x), dtype)


def full(program: Program, shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Value:
    """One number everywhere."""
    return broadcast_to(program, asarray(program, fill_value, dtype=dtype), shape)


def _filled(number: int, program: Program, shape: Any, *, dtype: Any = np.float64, device: Any = None) -> Value:
    return full(program, shape, number, dtype=dtype)


def _filled_like(number: Any, program: Program, x: Value, /, *, dtype: Any = None, device: Any = None) -> Value:
    return full(program, x.shape, number, dtype=dtype or x.dtype)


def full_like(program: Program, x: Value, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Value:
    """One number everywhere, in the shape of x."""
    return full(program, x.shape, fill_value, dtype=dtype or x.dtype)


def arange(program: Program, *limits: Any, dtype: Any = None, device: Any = None, **named: Any) -> Value:
    """Numbers at equal distances."""
    return program.constant(np.arange(*limits, **named, dtype=dtype))


# --- dtypes


def result_type(program: Program, *arrays_and_dtypes: Any) -> np.dtype:
    """The dtype that these have together; of one kind of numbers only."""
    dtypes = {x.dtype if isinstance(x, Value) else np.dtype(x) for x in arrays_and_dtypes}
    if len(dtypes) == 1:
        return dtypes.pop()
    kinds, dtype = {dtype.kind.replace("u", "i") for dtype in dtypes}, np.result_type(*dtypes)
    if kinds != {dtype.kind.replace("u", "i")}:
        raise not_recordable(f"an operation between {' and '.join(sorted(map(str, dtypes)))}")
    return dtype


def _limits(of: Callable, program: Program, x: Any, /) -> Any:
    return of(x.dtype if isinstance(x, Value) else x)


DTYPES = {
    name: np.dtype(name) for name in "bool float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
}
FUNCTIONS: dict[str, Callable] = {
    **{name: functools.partial(_elementwise, name) for name in ELEMENTWISE},
    **{name: functools.partial(_reduce, name) for name in REDUCTIONS},
    **{
        f.__name__: f
        for f in (
            where, clip, astype, mean, matmul, vecdot, permute_dims, matrix_transpose, moveaxis, reshape, expand_dims,
            squeeze, flip, broadcast_to, unstack, take, concat, stack, asarray, full, full_like, arange, result_type,
        )
    },
    **{name: functools.partial(_filled, number) for name, number in (("zeros", 0), ("empty", 0), ("ones", 1))},
    **{f"{name}_like": functools.partial(_filled_like, n) for name, n in (("zeros", 0), ("empty", 0), ("ones", 1))},
    "finfo": functools.partial(_limits, np.finfo),
    "iinfo": functools.partial(_limits, np.iinfo),
    "isdtype": lambda program, dtype, kind: np.isdtype(np.dtype(dtype), kind),
}  # fmt: skip
"""All that a program can hold, by the names of the standard: ``function(program, *arguments)``."""


# --- recording


def leaves(nest: Any) -> Iterator[Any]:
    """The arrays of nested tuples and lists, in order."""
    if isinstance(nest, tuple | list):
        for x in nest:
            yield from leaves(x)
    elif hasattr(nest, "shape"):
        yield nest


def mapped(leaf: Callable, nest: Any) -> Any:
    """Nested tuples and lists with each array in them replaced; None and numbers stay as they are."""
    if isinstance(nest, tuple | list):
        found = [mapped(leaf, x) for x in nest]
        return type(nest)(*found) if hasattr(nest, "_fields") else type(nest)(found)
    return leaf(nest) if hasattr(nest, "shape") else nest


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
        The function asks for the value of an array or for an operation that is not among those of ``FUNCTIONS``, or it
        does something else when it is called again, as one does that draws random numbers on the host.
    """
    program, again = (_recorded(function, examples) for _ in range(2))
    if len(program.values) != len(again.values):
        raise NotRecordable("the function does something else when it is called again; what it draws can't be recorded")
    others = dict(zip(program.values, again.values, strict=True))
    for one, other in others.items():
        if not _alike(one, other) or any(others[x] is not y for x, y in zip(one.operands, other.operands, strict=True)):
            raise NotRecordable(
                f"{one.operation} is another when the function is called again; what it draws can't be recorded "
                f"({said(one.site)})"
            )
    return program


def _recorded(function: Callable, examples: tuple) -> Program:
    program = Program()
    results = function(*mapped(lambda a: Recorded(program.input(a.shape, a.dtype)), examples))
    program.results, program.outputs = results, [_array(program, _bare(a)) for a in leaves(results)]
    return program


def _alike(one: Value, other: Value) -> bool:
    names = ("operation", "settings", "shape", "dtype", "offset", "strides")
    if any(getattr(one, name) != getattr(other, name) for name in names):
        return False
    if one.data is None or other.data is None:
        return one.data is other.data
    return one.data is other.data or np.array_equal(one.data, other.data, equal_nan=one.data.dtype.kind == "f")
