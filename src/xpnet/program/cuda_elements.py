"""Indices of array elements, as C expressions in a thread's variables."""

import math
from collections.abc import Sequence
from typing import Any

from .recorder import Value, contiguous


class Elements:
    """Element ``i`` of an array of this shape, in row-major order."""

    def __init__(self, shape: Any, name: str = "i") -> None:
        self.shape, self.name = tuple(shape), name

    def like(self, shape: Any) -> "Elements":
        """The element with the same index in an array of another shape."""
        return Elements(shape, self.name)

    def linear(self) -> str:
        """The index of the element in the flattened array."""
        return self.name

    def coordinate(self, axis: int) -> str:
        """The index of the element along one axis."""
        return unravelled(self.name, self.shape, axis)


class InRow(Elements):
    """Element ``j`` of row ``r`` of an array of this shape."""

    def like(self, shape: Any) -> "InRow":
        return InRow(shape)

    def linear(self) -> str:
        width = math.prod(self.shape[1:])
        return "r" if width == 1 else f"((long long)r * {width} + j)"

    def coordinate(self, axis: int) -> str:
        return "r" if axis == 0 else unravelled("j", self.shape[1:], axis - 1)


class Columns(Elements):
    """Element ``c`` of row ``r``, where the leading axes of the array together count as rows."""

    def __init__(self, shape: Any, n_columns: int) -> None:
        super().__init__(shape)
        self.n_columns = n_columns

    def linear(self) -> str:
        return f"(r * {self.n_columns} + c)"

    def coordinate(self, axis: int) -> str:
        return unravelled(self.linear(), self.shape, axis)


class AnyAxes(Elements):
    """Element ``k`` along the reduced axes and ``i`` along the others."""

    def __init__(self, shape: Any, axes: tuple[int, ...], kept: Any, reduced: Any) -> None:
        super().__init__(shape)
        self.axes, self.kept, self.reduced = axes, kept, reduced

    def linear(self) -> str:
        strides = contiguous(self.shape)
        return "(" + " + ".join(f"(long long){self.coordinate(i)} * {s}" for i, s in enumerate(strides)) + ")"

    def coordinate(self, axis: int) -> str:
        if axis in self.axes:
            return unravelled("k", self.reduced, self.axes.index(axis))
        others = [i for i in range(len(self.shape)) if i not in self.axes]
        return unravelled("i", self.kept, others.index(axis))


def unravelled(name: str, shape: Sequence[int], axis: int) -> str:
    """The index along one axis, from the index in the flattened array."""
    inner = math.prod(shape[axis + 1 :])
    found = name if inner == 1 else f"{name} / {inner}"
    return f"({found})" if axis == 0 else f"({found} % {shape[axis]})" if inner == 1 else f"(({found}) % {shape[axis]})"


def index_of(x: Value, at: Elements) -> str:
    """The index, in the memory of x's owner, of the element of x that broadcasting pairs with this element."""
    if x.size == 1:
        return str(x.offset)
    is_alike = x.size == math.prod(at.shape) and x.shape == at.shape[len(at.shape) - x.ndim :]
    if is_alike and x.is_contiguous:
        return at.linear() if x.offset == 0 else f"({at.linear()} + {x.offset}LL)"
    missing = len(at.shape) - x.ndim
    terms = [
        at.coordinate(axis + missing) + (f" * {stride}" if stride != 1 else "")
        for axis, (n, stride) in enumerate(zip(x.shape, x.strides, strict=True))
        if n > 1 and stride != 0
    ]
    terms = [f"(long long){term}" for term in terms] if x.owner.size >= 1 << 31 else terms
    return " + ".join([*terms, *([str(x.offset)] if x.offset or not terms else [])])
