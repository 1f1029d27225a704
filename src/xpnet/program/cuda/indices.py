"""Indices of array elements, as C expressions in the variables of a thread."""

import math
from collections.abc import Sequence

from ..recorded_values import Shape, Value, contiguous


class Element:
    """One element of an array.

    ``variables`` are pairs of a C variable and a group of axes; the variable is the index of the element along these
    axes, flattened in row-major order.
    """

    def __init__(self, shape: Shape, *variables: tuple[str, Sequence[int]]) -> None:
        self.shape, self.variables = tuple(shape), variables

    def like(self, shape: Shape) -> "Element":
        """The element of the same index, or of the same row and index in it, in an array of another shape."""
        return flat(shape) if len(self.variables) == 1 else in_row(shape)

    def linear(self) -> str:
        """The index of the element in the flattened array."""
        if len(self.variables) == 1:
            return self.variables[0][0]
        (first, leading), (second, inner) = self.variables
        if [*leading, *inner] == [*range(len(self.shape))]:
            width = math.prod(self.shape[axis] for axis in inner)
            return first if width == 1 else f"((long long){first} * {width} + {second})"
        strides = contiguous(self.shape)
        return "(" + " + ".join(f"(long long){self.coordinate(i)} * {s}" for i, s in enumerate(strides)) + ")"

    def coordinate(self, axis: int) -> str:
        """The index of the element along one axis."""
        name, axes = next((name, axes) for name, axes in self.variables if axis in axes)
        position, lengths = list(axes).index(axis), [self.shape[i] for i in axes]
        inner = math.prod(lengths[position + 1 :])
        found = name if inner == 1 else f"{name} / {inner}"
        if position == 0:
            return f"({found})"
        return f"({found} % {lengths[position]})" if inner == 1 else f"(({found}) % {lengths[position]})"


def flat(shape: Shape) -> Element:
    """Element ``i`` in row-major order."""
    return Element(shape, ("i", range(len(shape))))


def in_row(shape: Shape) -> Element:
    """Element ``j`` of row ``r``."""
    return Element(shape, ("r", (0,)), ("j", range(1, len(shape))))


def in_column(shape: Shape, n_leading: int) -> Element:
    """Element ``r`` along the leading axes, and ``c`` along the others."""
    return Element(shape, ("r", range(n_leading)), ("c", range(n_leading, len(shape))))


def along(shape: Shape, axes: Sequence[int]) -> Element:
    """Element ``k`` along these axes, and ``i`` along the others."""
    return Element(shape, ("i", [axis for axis in range(len(shape)) if axis not in axes]), ("k", axes))


def index_of(x: Value, at: Element) -> str:
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
