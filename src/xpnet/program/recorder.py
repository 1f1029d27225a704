"""An Array API namespace that computes nothing and writes down what was asked of it.

``record(function, *examples)`` calls a function with arrays that have a shape and a dtype but no numbers, and returns a
Program: the list of the operations, each with its operands, shape, dtype and the line that asked for it. NumPy says how
dtypes promote (as the standard has it, and where that leaves a dtype open) and where the elements of a view lie.
"""

import functools
import math
import operator
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np

Shape = tuple[int, ...]

ELEMENTWISE = MappingProxyType(
    {
        name: getattr(np, name)
        for name in (
            "abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or "
            "bitwise_right_shift bitwise_xor ceil copysign cos cosh divide equal exp expm1 floor floor_divide greater "
            "greater_equal hypot isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logical_and "
            "logical_not logical_or logical_xor maximum minimum multiply negative nextafter not_equal positive pow "
            "reciprocal remainder sign signbit sin sinh sqrt square subtract tan tanh trunc"
        ).split()
    }
)
"""By the standard's name, the ufunc that computes it on NumPy; the dtypes are the same on every library."""
REDUCTIONS = MappingProxyType(
    {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum, "all": np.logical_and}
    | {"any": np.logical_or}
)
VIEWS = ("broadcast_to", "expand_dims", "flip", "matrix_transpose", "moveaxis", "permute_dims", "squeeze")
_NOTHING = np.zeros(1, np.uint8)


class NotRecordable(TypeError):
    """A function that can't be written down; the message names the operation and the line."""


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

    def __init__(self, operation: str, operands: tuple, settings: tuple, shape: Shape, dtype: Any, site: Any) -> None:
        self.operation, self.operands, self.settings = operation, operands, settings
        self.shape, self.dtype, self.site = shape, dtype, site
        self.ndim, self.size = len(shape), math.prod(shape)
        self.base: Value | None = None
        self.data: np.ndarray | None = None
        self.offset, self.strides = 0, contiguous(shape)

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
    def extent(self) -> tuple[int, int]:
        """The first and the last element of its owner that it has."""
        if self.base is None:
            return 0, self.size - 1
        reach = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        return self.offset + sum(min(0, r) for r in reach), self.offset + sum(max(0, r) for r in reach)

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


def _site() -> tuple[CodeType, int]:
    """The line that asks for something: in neither this file nor NumPy."""
    frame: Any = sys._getframe(1)
    while frame.f_globals["__name__"].partition(".")[0] == "numpy" or frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def said(site: tuple[CodeType, int]) -> str:
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
        self.inputs.append(self.add("input", (), (len(self.inputs),), shape, np.dtype(dtype)))
        return self.inputs[-1]

    def constant(self, data: Any) -> Value:
        """An array of known numbers."""
        data = np.asarray(data, order="C")
        settings = (data.tobytes() if data.size < 64 else id(data),)
        value = self.add("constant", (), settings, data.shape, data.dtype)
        value.data, value.settings = data, ()
        return value

    def add(self, operation: str, operands: Sequence[Value], settings: tuple, shape: Shape, dtype: np.dtype) -> Value:
        """The result of an operation."""
        key = (operation, *map(id, operands), settings, shape, dtype.num)
        if key not in self._known:
            self._known[key] = self._new(operation, tuple(operands), settings, tuple(shape), dtype)
        return self._known[key]

    def view(self, operation: str, x: Value, offset: int, shape: Shape, strides: Shape) -> Value:
        """Another look at the elements of a value."""
        if (offset, shape, strides) == (x.offset, x.shape, x.strides):
            return x
        key = (id(x.owner), offset, shape, strides)
        if key not in self._known:
            view = self._known[key] = self._new(operation, (x,), (), shape, x.dtype)
            view.base, view.offset, view.strides = x.owner, offset, strides
        return self._known[key]

    def _new(self, operation: str, operands: tuple, settings: tuple, shape: Shape, dtype: np.dtype) -> Value:
        self.values.append(Value(operation, operands, settings, shape, dtype, _site()))
        return self.values[-1]

    @property
    def identity(self) -> tuple:
        """What two programs have in common if they compute the same: their operations, and all constants in full."""
        return str(self), tuple(x.data.tobytes() for x in self.values if x.data is not None)

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
            asked = said(value.site) if value.operands else ""
            lines.append(f"{names[value]:>5} = {call:<34} {kind:<22} {asked}{end}".rstrip())
        return "\n".join(lines)


class Recorded:
    """An array of a function that is being recorded: a Value with the operators of the standard, and no numbers."""

    __slots__ = ("value", "xp")
    __array_ufunc__ = None  # NumPy's arrays and scalars leave arithmetic with it to it
    device = "cpu"

    def __init__(self, value: Value, xp: "RecordedNamespace") -> None:
        self.value, self.xp = value, xp

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    T = property(lambda self: self.xp.permute_dims(self, (1, 0)))
    mT = property(lambda self: self.xp.matrix_transpose(self))

    def __array_namespace__(self, api_version: str | None = None) -> "RecordedNamespace":
        return self.xp

    def to_device(self, device: Any, /, stream: Any = None) -> "Recorded":
        """Itself: a program has one device."""
        return self

    def __getitem__(self, key: Any) -> "Recorded":
        keys = key if isinstance(key, tuple) else (key,)
        for k in keys:
            is_basic = k is None or k is Ellipsis or isinstance(k, slice | int | np.integer)
            if not is_basic or isinstance(k, bool):
                raise not_recordable(f"an index that is a {type(k).__name__}")
        return self.xp._view("index", operator.getitem, self, keys if Ellipsis in keys else (*keys, Ellipsis))

    def __len__(self) -> int:
        return self.shape[0]

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise not_recordable("the value of an array, which is not known when a step is recorded,")

    __array__ = __bool__ = __complex__ = __dlpack__ = __float__ = __index__ = __int__ = __setitem__ = _refuse
    __hash__ = object.__hash__  # comparing makes an array


def _operator(name: str, is_reversed: bool = False) -> Callable:
    def apply(self: Recorded, *others: Any) -> Recorded:
        return getattr(self.xp, name)(*(self, *others)[:: -1 if is_reversed else 1])

    return apply


for _pair in (
    "add:add sub:subtract mul:multiply truediv:divide floordiv:floor_divide mod:remainder pow:pow matmul:matmul "
    "and:bitwise_and or:bitwise_or xor:bitwise_xor lshift:bitwise_left_shift rshift:bitwise_right_shift lt:less "
    "le:less_equal gt:greater ge:greater_equal eq:equal ne:not_equal neg:negative pos:positive abs:abs "
    "invert:bitwise_invert"
).split():
    _short, _, _name = _pair.partition(":")
    setattr(Recorded, f"__{_short}__", _operator(_name))
    setattr(Recorded, f"__r{_short}__", _operator(_name, is_reversed=True))


class RecordedNamespace:
    """The functions of the standard that a program can hold, over recorded arrays."""

    __name__ = "xpnet.program.recorder"
    pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None

    def __init__(self, program: Program) -> None:
        self._program = program

    def __getattr__(self, name: str) -> Any:
        found = _found(name)
        if found is None:
            raise AttributeError(name) if name.startswith("__") else not_recordable(f"xp.{name}")
        return found if isinstance(found, np.dtype) else functools.partial(found, self)

    # --- operands

    def _value(self, x: Any) -> Value:
        """The Value of an array; one of the host, or a number, is a constant."""
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
        """x where the condition holds, else y."""
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
        """The sum over the number of addends."""
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

    # --- other looks at the same elements

    def _view(self, name: str, look: Callable, x: Recorded, *arguments: Any, **settings: Any) -> Recorded:
        """What NumPy makes of an array that lies as x does, of one byte an element and none of its own: it is never
        read.
        """
        value = self._value(x)
        there = np.lib.stride_tricks.as_strided(_NOTHING, value.shape, value.strides)
        view = look(there, *arguments, **settings)
        if not isinstance(view, np.ndarray):  # what NumPy's flip makes of a number
            return x
        start, there_start = (a.__array_interface__["data"][0] for a in (view, there))
        offset = value.offset + start - there_start
        return Recorded(self._program.view(name, value, offset, view.shape, view.strides), self)

    def reshape(self, x: Recorded, /, shape: Any, *, copy: bool | None = None) -> Recorded:
        """The same elements, row by row, in another shape."""
        shape, value = (shape,) if isinstance(shape, int) else tuple(map(operator.index, shape)), self._value(x)
        if -1 in shape:
            shape = tuple(value.size // max(1, -math.prod(shape)) if n == -1 else n for n in shape)
        if math.prod(shape) != value.size:
            raise ValueError(f"an array of shape {x.shape} can't become one of shape {shape}")
        if not value.is_contiguous:
            value = self._program.add("copy", (value,), (), value.shape, value.dtype)
        return Recorded(self._program.view("reshape", value, value.offset, shape, contiguous(shape)), self)

    # --- other elements, new arrays

    def take(self, x: Recorded, indices: Any, /, *, axis: int = 0) -> Recorded:
        """The parts at these indices along an axis."""
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
        """A recorded array, or an array or number of the host as a constant."""
        if not isinstance(x, Recorded):
            x = Recorded(self._value(np.asarray(x, dtype)), self)
        return x if dtype is None else self.astype(x, dtype)

    def full(self, shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Recorded:
        """One number everywhere."""
        return self.broadcast_to(self.asarray(fill_value, dtype=dtype), shape)

    def full_like(self, x: Recorded, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Recorded:
        """One number everywhere, in the shape of x."""
        return self.full(x.shape, fill_value, dtype=dtype or x.dtype)

    def arange(self, *limits: Any, dtype: Any = None, device: Any = None, **named: Any) -> Recorded:
        """Numbers at equal distances."""
        return self.asarray(np.arange(*limits, **named, dtype=dtype))

    # --- dtypes

    def result_type(self, *given: Any) -> np.dtype:
        """The dtype that arrays, dtypes and numbers have together."""
        return np.result_type(*(getattr(x, "dtype", x) for x in given))

    def finfo(self, x: Any, /) -> Any:
        """The limits of a floating dtype."""
        return np.finfo(getattr(x, "dtype", x))


@functools.cache
def _found(name: str) -> Any:
    """The dtype of this name, or a function of a namespace and more."""
    number, is_like = {"zeros": 0, "empty": 0, "ones": 1}.get(name.removesuffix("_like")), name.endswith("_like")
    if name in ELEMENTWISE:
        return lambda xp, *operands: xp._elementwise(name, *operands)
    if name in REDUCTIONS:
        return lambda xp, *arguments, **settings: xp._reduction(name, *arguments, **settings)
    if name in VIEWS:
        return lambda xp, x, *arguments, **settings: xp._view(name, getattr(np, name), x, *arguments, **settings)
    if number is not None and is_like:
        return lambda xp, x, **settings: xp.full_like(x, number, **settings)
    if number is not None:
        return lambda xp, shape, dtype=np.float64, **settings: xp.full(shape, number, dtype=dtype, **settings)
    is_dtype = name == "bool" or name.rstrip("123468") in ("int", "uint", "float")
    return np.dtype(name) if is_dtype else None


def _broadcast(values: Sequence[Value]) -> Shape:
    shapes = {x.shape for x in values} - {()}
    return np.broadcast_shapes(*shapes) if len(shapes) > 1 else shapes.pop() if shapes else ()


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
        The function asks for the value of an array or for something that RecordedNamespace does not have; or objects
        from outside this package take part, and it does something else when it is called again, as one does that draws
        random numbers on the host.
    """
    outsiders = list(_outsiders(function, set()))
    for x in outsiders:
        if not any(hasattr(x, name) for name in ("__dict__", "__slots__", "__call__")):
            raise NotRecordable(f"a {type(x).__name__} takes part, and what it draws can't be recorded")
    program = _recorded(function, examples)
    if outsiders:
        before = _drawn_on_the_host()
        once, again = _descriptions(program), _descriptions(_recorded(function, examples))
        if once != again or before != _drawn_on_the_host():
            changed = (x for x, one, other in zip(program.values, once, again, strict=False) if one != other)
            where = next((f" ({x.operation}, {said(x.site)})" for x in changed), "")
            raise NotRecordable(
                f"the function is another when it is called again; what it draws can't be recorded{where}"
            )
    return program


def _recorded(function: Callable, examples: tuple) -> Program:
    program = Program()
    xp = RecordedNamespace(program)
    program.results = function(*mapped(lambda a: Recorded(program.input(a.shape, a.dtype), xp), examples))
    program.outputs += [xp._value(a) for a in leaves(program.results)]
    return program


_DATA = int | float | str | slice | np.ndarray | np.generic | np.dtype | ModuleType | None


def _outsiders(x: Any, seen: set[int]) -> Iterator[Any]:
    """What takes part in a function, and is neither data nor of this package, which draws nothing on the host."""
    if isinstance(x, MethodType | BuiltinFunctionType):
        x = x.__self__
    if isinstance(x, _DATA | Recorded) or id(x) in seen:
        return
    seen.add(id(x))
    if isinstance(x, tuple | list | dict | set | frozenset):
        parts = x.values() if isinstance(x, dict) else x
    else:
        home = x if isinstance(x, FunctionType | type) else type(x)
        if home.__module__.partition(".")[0] != __name__.partition(".")[0]:
            yield x
        if isinstance(x, FunctionType):
            parts = [cell.cell_contents for cell in x.__closure__ or ()]
        else:
            names = () if isinstance(x, type) else (*getattr(x, "__slots__", ()), *getattr(x, "__dict__", ()))
            parts = [getattr(x, name) for name in names]
    for part in parts:
        yield from _outsiders(part, seen)


def _drawn_on_the_host() -> tuple:
    """The states of the random numbers that belong to the process."""
    return random.getstate(), str(np.random.get_state(legacy=False))  # noqa: NPY002 (only looked at)


def _descriptions(program: Program) -> list[tuple]:
    """What each value is, but for the line that asked for it."""
    at = {x: i for i, x in enumerate(program.values)}
    return [
        (x.operation, [at[y] for y in x.operands], x.settings, x.shape, x.dtype, x.offset, x.strides)
        + (() if x.data is None else (x.data.tobytes(),))
        for x in program.values
    ]
