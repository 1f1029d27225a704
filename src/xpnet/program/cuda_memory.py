"""What generated kernels read and write: launches, products, and where values lie on the device."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .cuda_expressions import type_name
from .plan import MEMORY, Plan, rounded
from .recorder import Value

THREADS = 256
"""Threads of a block."""


class Operand(NamedTuple):
    """A matrix of a product: where it begins, (rows, columns), strides in elements, and its dtype."""

    root: int
    offset: int
    shape: tuple[int, int]
    strides: tuple[int, int]
    dtype: np.dtype


class Product(NamedTuple):
    """out = A B, or A B + bias, or max(A B + bias, 0)."""

    A: Operand
    B: Operand
    out: Operand
    bias: Operand | None = None
    has_relu: bool = False


class Kernel(NamedTuple):
    """A launch of so many blocks; its arguments are where these roots begin, and 0 for those of ``COUNTER``'s steps."""

    name: str
    blocks: int
    roots: tuple[int, ...]


COUNTER = -4
"""The root of the number of steps that have been made; inputs that slide move on with it."""


class Range(NamedTuple):
    """Bytes from ``start`` up to ``stop`` of a root."""

    root: int
    start: int
    stop: int

    def meets(self, other: "Range") -> bool:
        return self.root == other.root and self.start < other.stop and other.start < self.stop


@dataclass(eq=False)
class Node:
    """A body or a product, with what it reads and writes."""

    body: str = ""
    blocks: int = 0
    product: Product | None = None
    roots: set[int] = field(default_factory=set)
    reads: list[Range] = field(default_factory=list)
    writes: list[Range] = field(default_factory=list)

    def must_follow(self, earlier: "Node") -> bool:
        """Whether the other one, which comes first, has to be through."""
        pairs = ((self.reads, earlier.writes), (self.writes, earlier.reads), (self.writes, earlier.writes))
        return any(a.meets(b) for mine, others in pairs for a in mine for b in others)


class Memory:
    """Where the values of a plan lie: at roots, which are the plan's memory, its inputs and its constants."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.size = rounded(plan.memory)
        self._roots = {value: j for j, value in enumerate(plan.program.inputs)}
        self.constants: list[np.ndarray] = []

    def place(self, x: Value) -> tuple[int, int]:
        """The root of a value's owner, and its first byte there."""
        owner = x.owner
        if owner in self._roots:
            return self._roots[owner], 0
        if owner.data is not None:
            self._roots[owner] = len(self.plan.program.inputs) + len(self.constants)
            self.constants.append(owner.data)
            return self._roots[owner], 0
        return tuple(self.plan.places[owner])  # type: ignore[return-value]

    def range(self, x: Value) -> Range:
        """The bytes that a value lies in."""
        root, start = self.place(x)
        first, last = x.extent
        size = x.dtype.itemsize
        return Range(root, start + first * size, start + (last + 1) * size)

    def pointer(self, x: Value, node: Node) -> str:
        """A pointer to the first element of a value's owner."""
        root, start = self.place(x)
        node.roots.add(root)
        return f"(({type_name(x.dtype)}*)({root_name(root)} + {start}))"

    def scratch(self, n_bytes: int) -> int:
        """Where so many bytes for partial results begin in the memory."""
        at = self.size
        self.size += rounded(n_bytes)
        return at

    def operand(self, x: Value) -> Operand:
        """A matrix, or a vector that has been made one."""
        root, start = self.place(x)
        return Operand(root, start + x.offset * x.dtype.itemsize, x.shape, x.strides, x.dtype)  # type: ignore[arg-type]


def root_name(root: int) -> str:
    return "memory" if root == MEMORY else f"r{root}"


def braced(head: str, lines: Iterable[str]) -> str:
    return "\n".join([head + " {", *("    " + line for text in lines for line in text.split("\n")), "}"])


def quotient(a: int, b: int) -> int:
    return max(1, -(-a // b))
