"""What generated kernels read and write: kernels, matrix products, and the addresses of values on the device.

An address is a *root*, the number of an allocation, and an offset in bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..plan import Plan
from ..plan_items import MEMORY, rounded
from ..recorded_values import Value
from .expressions import type_name

THREADS = 256
"""The number of threads in a block of every kernel."""
COUNTER = -4
"""The root of the step counter: one int64, which says how far the sliding inputs have moved on."""


class Operand(NamedTuple):
    """A matrix, or a vector that is added to one; ``offset`` is in bytes, ``strides`` are in elements."""

    root: int
    offset: int
    shape: tuple[int, int]
    strides: tuple[int, int]
    dtype: np.dtype


class Product(NamedTuple):
    """The matrix product out = A B, with a bias A B + bias, and with a ReLU as well max(A B + bias, 0)."""

    A: Operand
    B: Operand
    out: Operand
    bias: Operand | None = None
    has_relu: bool = False


class Kernel(NamedTuple):
    """A kernel and its number of blocks; its arguments are the addresses at which these roots begin."""

    name: str
    blocks: int
    roots: tuple[int, ...]


class Range(NamedTuple):
    """The bytes of a root from ``start`` up to, but not including, ``stop``."""

    root: int
    start: int
    stop: int

    def overlaps(self, other: "Range") -> bool:
        """Whether the two ranges have a byte in common."""
        return self.root == other.root and self.start < other.stop and other.start < self.stop


@dataclass(eq=False)
class Node:
    """A device function or a matrix product, with the memory that it reads and writes.

    ``body`` is the C source of the function, ``blocks`` the number of thread blocks that it needs.
    """

    body: str = ""
    blocks: int = 0
    product: Product | None = None
    roots: set[int] = field(default_factory=set)
    reads: list[Range] = field(default_factory=list)
    writes: list[Range] = field(default_factory=list)

    def must_follow(self, earlier: "Node") -> bool:
        """Whether this node needs the results of an earlier one, or overwrites memory that it reads or writes."""
        pairs = ((self.reads, earlier.writes), (self.writes, earlier.reads), (self.writes, earlier.writes))
        return any(a.overlaps(b) for mine, others in pairs for a in mine for b in others)


class Memory:
    """The addresses of a plan's values. The roots are the plan's memory, its inputs and its constants."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.size = rounded(plan.memory)
        self._roots = {value: j for j, value in enumerate(plan.program.inputs)}
        self.constants: list[np.ndarray] = []

    def place(self, x: Value) -> tuple[int, int]:
        """The address of a value's owner: a root, and an offset in bytes."""
        owner = x.owner
        if owner.data is not None and owner not in self._roots:
            self._roots[owner] = len(self.plan.program.inputs) + len(self.constants)
            self.constants.append(owner.data)
        return (self._roots[owner], 0) if owner in self._roots else self.plan.places[owner]

    def range(self, x: Value) -> Range:
        """The bytes from the first to the last element of a value."""
        root, start = self.place(x)
        first, last = x.extent
        size = x.dtype.itemsize
        return Range(root, start + first * size, start + (last + 1) * size)

    def pointer(self, x: Value, node: Node) -> str:
        """The C expression of a pointer to the first element of a value's owner."""
        root, start = self.place(x)
        node.roots.add(root)
        return f"(({type_name(x.dtype)}*)({root_name(root)} + {start}))"

    def source(self, x: Value, node: Node) -> str:
        """The pointer to a value's owner, of a node that reads the value."""
        node.reads.append(self.range(x))
        return self.pointer(x, node)

    def target(self, x: Value, node: Node) -> str:
        """The pointer to a value, of a node that writes the value."""
        node.writes.append(self.range(x))
        return self.pointer(x, node)

    def scratch(self, n_bytes: int) -> int:
        """Reserve memory for partial results, and return its offset in the plan's memory."""
        at = self.size
        self.size += rounded(n_bytes)
        return at

    def operand(self, x: Value) -> Operand:
        """A matrix or a vector as an operand of a product."""
        root, start = self.place(x)
        return Operand(root, start + x.offset * x.dtype.itemsize, x.shape, x.strides, x.dtype)  # type: ignore[arg-type]


def root_name(root: int) -> str:
    """The name of a root in C."""
    return "memory" if root == MEMORY else f"r{root}"


def block_of_c(head: str, lines: Iterable[str]) -> str:
    """A block of C: the head, and the lines in braces and indented."""
    return "\n".join([head + " {", *("    " + line for text in lines for line in text.split("\n")), "}"])


def ceil_divide(a: int, b: int) -> int:
    """a / b rounded up, and at least 1."""
    return max(1, -(-a // b))
