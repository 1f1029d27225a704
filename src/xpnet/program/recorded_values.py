"""Programs and their values: what a recorded function did, operation by operation."""

import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, MappingProxyType
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
"""The elementwise functions of the standard, and NumPy's ufuncs for them. Dtypes are the same on every library."""
REDUCTIONS = MappingProxyType(
    {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum, "all": np.logical_and}
    | {"any": np.logical_or}
)
VIEWS = ("broadcast_to", "expand_dims", "flip", "matrix_transpose", "moveaxis", "permute_dims", "squeeze")

_RECORDING = {f"{__package__}.{name}" for name in ("recorded_values", "recorded_array", "namespace", "recorder")}


class NotRecordable(TypeError):
    """A function can't be recorded; the message names the operation and the line."""


def contiguous(shape: Shape) -> Shape:
    """The strides of a C-contiguous array of this shape, in elements."""
    strides, stride = [], 1
    for n in reversed(shape):
        strides.append(stride)
        stride *= n
    return tuple(reversed(strides))


class Value:
    """A value of a program: the operation that makes it, its shape and dtype, and the source line.

    A view has a ``base``, which is not a view itself; its ``offset`` and ``strides`` are in elements of the base. A
    constant has ``data``.
    """

    def __init__(self, operation: str, operands: tuple, settings: tuple, shape: Shape, dtype: Any, site: Any) -> None:
        self.operation, self.operands, self.settings = operation, operands, settings
        self.shape, self.dtype, self.site = shape, dtype, site
        self.ndim, self.size = len(shape), math.prod(shape)
        self.base: Value | None = None
        self.data: np.ndarray | None = None
        self.offset, self.strides = 0, contiguous(shape)

    def viewed(self, operation: str, offset: int, shape: Shape, strides: Shape, site: Any = None) -> "Value":
        """A view of this value's memory."""
        view = Value(operation, (self,), (), shape, self.dtype, site or self.site)
        view.base, view.offset, view.strides = self.owner, offset, strides
        return view

    def rebuilt(self, now: Mapping["Value", "Value"]) -> "Value":
        """The same operation on the values that now stand for its operands; the value itself if nothing changes."""
        operands = tuple(now[x] for x in self.operands)
        if operands == self.operands:
            return self
        if self.base is not None:
            return now[self.base].viewed(self.operation, self.offset, self.shape, self.strides, self.site)
        return Value(self.operation, operands, self.settings, self.shape, self.dtype, self.site)

    @property
    def nbytes(self) -> int:
        """The size of its elements in bytes."""
        return self.size * self.dtype.itemsize

    @property
    def owner(self) -> "Value":
        """The value whose memory it lies in: its base, or itself."""
        return self if self.base is None else self.base

    @property
    def is_contiguous(self) -> bool:
        """Whether it is C-contiguous."""
        pairs = zip(self.shape, self.strides, contiguous(self.shape), strict=True)
        return all(stride == wanted for n, stride, wanted in pairs if n != 1)

    @property
    def extent(self) -> tuple[int, int]:
        """The first and the last element of its owner that it contains."""
        if self.base is None:
            return 0, self.size - 1
        reach = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        return self.offset + sum(min(0, r) for r in reach), self.offset + sum(max(0, r) for r in reach)

    @property
    def flops(self) -> int:
        """Floating-point operations: 2 m k n for a product, otherwise one for each element that is read or made.

        Copies, comparisons and choices count as 0.
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
    """The source line of an operation: the innermost one outside NumPy and the recording modules."""
    frame: Any = sys._getframe(1)
    while (name := frame.f_globals["__name__"]) in _RECORDING or name.partition(".")[0] == "numpy":
        frame = frame.f_back
    return frame.f_code, frame.f_lineno


def described(site: tuple[CodeType, int]) -> str:
    """A source line as text: its file, number and function."""
    path = Path(site[0].co_filename)
    return f"{path.parent.name}/{path.name}:{site[1]}, {site[0].co_name}"


def not_recordable(what: str) -> NotRecordable:
    """The error that names what can't be recorded, and the source line."""
    return NotRecordable(f"{what} can't be recorded ({described(_site())})")


class Program:
    """The operations of a function, in order.

    Attributes
    ----------
    inputs, outputs : list of Value
        The arrays that the function was given and those that it returned, in the order of their nested tuples.
    results : nested tuples
        What it returned, with Values in place of arrays.
    values : list of Value
        All arrays in the order of their operations. The same operation on the same operands is one value.
    """

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.results: Any = ()
        self.values: list[Value] = []
        self._known: dict[Any, Value] = {}

    def input(self, shape: Shape, dtype: Any) -> Value:
        """Add an argument of the function."""
        self.inputs.append(self.add("input", (), (len(self.inputs),), shape, np.dtype(dtype)))
        return self.inputs[-1]

    def constant(self, data: Any) -> Value:
        """Add an array of known numbers."""
        data = np.asarray(data, order="C")
        settings = (data.tobytes() if data.size < 64 else id(data),)
        value = self.add("constant", (), settings, data.shape, data.dtype)
        value.data, value.settings = data, ()
        return value

    def add(self, operation: str, operands: Sequence[Value], settings: tuple, shape: Shape, dtype: np.dtype) -> Value:
        """The result of an operation, which is added unless it is known."""
        key = (operation, *map(id, operands), settings, shape, dtype.num)
        if key not in self._known:
            value = Value(operation, tuple(operands), settings, tuple(shape), dtype, _site())
            self._known[key] = value
            self.values.append(value)
        return self._known[key]

    def view(self, operation: str, x: Value, offset: int, shape: Shape, strides: Shape) -> Value:
        """A view of a value, which is added unless it is known."""
        if (offset, shape, strides) == (x.offset, x.shape, x.strides):
            return x
        key = (id(x.owner), offset, shape, strides)
        if key not in self._known:
            self._known[key] = x.viewed(operation, offset, shape, strides, _site())
            self.values.append(self._known[key])
        return self._known[key]

    @property
    def descriptions(self) -> list[tuple]:
        """Everything known about each value, except its source line."""
        number = {x: i for i, x in enumerate(self.values)}
        return [
            (x.operation, [number[y] for y in x.operands], x.settings, x.shape, x.dtype, x.offset, x.strides)
            + (() if x.data is None else (hashlib.sha256(x.data.tobytes()).digest(),))
            for x in self.values
        ]

    @property
    def identity(self) -> str:
        """A digest of all operations, constants and outputs: it is equal for two programs if and only if these are."""
        outputs = [self.values.index(x) for x in self.outputs]
        return hashlib.sha256(repr((self.descriptions, outputs)).encode()).hexdigest()

    @property
    def flops(self) -> int:
        """Floating-point operations, see :attr:`Value.flops`."""
        return sum(value.flops for value in self.values)

    @property
    def product_flops(self) -> int:
        """Floating-point operations of the matrix products alone."""
        return sum(value.flops for value in self.values if value.operation in ("matmul", "vecdot"))

    def __str__(self) -> str:
        names = {value: f"%{i}" for i, value in enumerate(self.values)}
        names |= {v: f"{v.data.item():.9g}" for v in self.values if v.data is not None and v.data.ndim == 0}
        lines = []
        for value in (value for value in self.values if names[value].startswith("%")):
            arguments = [names[x] for x in value.operands] + [str(s) for s in value.settings]
            call = f"{value.operation}({', '.join(arguments)})"
            kind = f"{value.dtype}[{','.join(map(str, value.shape))}]"
            results = [str(k) for k, output in enumerate(self.outputs) if output is value]
            end = f" -> output {', '.join(results)}" if results else ""
            site = described(value.site) if value.operands else ""
            lines.append(f"{names[value]:>5} = {call:<34} {kind:<22} {site}{end}".rstrip())
        return "\n".join(lines)
