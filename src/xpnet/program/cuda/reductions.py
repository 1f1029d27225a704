"""Kernels that reduce arrays: sums, products, maxima, minima, ``all``, ``any`` and ``vecdot``.

The order of the operations is always the same, so that results are reproducible.
"""

import math
from collections.abc import Callable

from ..plan_items import MEMORY
from ..recorded_values import Value
from .expressions import combined, identity, type_name
from .indices import Element, along, flat, in_column
from .memory import THREADS, Memory, Node, Range, block_of_c, ceil_divide, root_name
from .variables import Variables

AT_ONCE = 1 << 14
"""The largest number of elements that one block reduces by itself."""
SLICE = 1 << 11
"""The largest number of rows that one block reduces by itself."""
TILE = 8
"""Columns of such a block: 8 numbers of float32 are the 32 bytes that a read from memory transfers."""


class Reduction:
    """Writes the nodes of a reduction; ``new(blocks)`` adds a node."""

    def __init__(self, memory: Memory, new: Callable[[int], Node], x: Value) -> None:
        self.memory, self.new, self.x, self.of = memory, new, x, x.operands[0]
        self.type = type_name(x.dtype)
        self.start = f"{self.type} a = {identity(x)};"

    def write(self) -> None:
        """A reduction over all elements, over the leading axes, or over any others."""
        shape = self.of.shape
        axes = self.x.settings[0] if self.x.operation != "vecdot" else tuple(range(self.of.ndim))
        if self.x.size == 1 and math.prod(n for i, n in enumerate(shape) if i not in axes) == 1:
            self._over_all()
        elif axes == tuple(range(len(axes))):
            self._over_rows(len(axes), math.prod(shape[: len(axes)]), self.x.size)
        else:
            self._over_any(axes)

    def _loop(self, node: Node, head: str, at: Element) -> list[str]:
        """Declare the partial result ``a`` and reduce the elements of a thread into it, in a loop.

        For ``vecdot`` an element is the product of two.
        """
        variables = Variables(self.memory, node, [], at)
        element = " * ".join(variables.value(y) for y in self.x.operands)
        return [self.start, block_of_c(head, [*variables.lines, combined(self.x, "a", element)])]

    def _partial(self, n: int, node: Node) -> str:
        """The pointer to n partial results, which the node writes."""
        at = self.memory.scratch(n * self.x.dtype.itemsize)
        node.roots.add(MEMORY)
        node.writes.append(Range(MEMORY, at, at + n * self.x.dtype.itemsize))
        return f"(({self.type}*)({root_name(MEMORY)} + {at}))"

    def _second(self, first: Node, blocks: int) -> Node:
        """A node that reads the partial results of the first one."""
        node = self.new(blocks)
        node.roots.add(MEMORY)
        node.reads += first.writes
        return node

    def _over_all(self) -> None:
        """One block reduces all elements, or several do, whose partial results another one reduces."""
        x, size = self.x, self.of.size
        blocks = 1 if size <= AT_ONCE else min(THREADS, ceil_divide(size, AT_ONCE))
        node = self.new(blocks)
        first, step = f"(long long)block * {THREADS} + threadIdx.x", f"{blocks * THREADS}LL"
        lines = self._loop(node, f"for (long long i = {first}; i < {size}; i += {step})", flat(self.of.shape))
        if blocks > 1:
            partial = self._partial(blocks, node)
            node.body = "\n".join([*lines, *tree(x, THREADS), f"if (threadIdx.x == 0) {partial}[block] = s[0];"])
            node = self._second(node, 1)
            read = combined(x, "a", f"{partial}[threadIdx.x]")
            lines = [self.start, f"if (threadIdx.x < {blocks}) {read}"]
        out = f"if (threadIdx.x == 0) {self.memory.target(x, node)}[0] = s[0];"
        node.body = "\n".join([*lines, *tree(x, THREADS), out])

    def _over_rows(self, n_leading: int, n_rows: int, n_columns: int) -> None:
        """Blocks reduce ``TILE`` columns each and, if there are many rows, slices of them."""
        lanes = THREADS // TILE
        slices = 1 if n_rows <= SLICE else min(64, ceil_divide(n_rows, SLICE // 2))
        length, tiles = ceil_divide(n_rows, slices), ceil_divide(n_columns, TILE)
        node = self.new(tiles * slices)
        loop = f"for (long long r = first + lane; r < {n_rows} && r < first + {length}; r += {lanes})"
        lines = [
            f"const int c = block % {tiles} * {TILE} + threadIdx.x % {TILE}, lane = threadIdx.x / {TILE};",
            f"const long long first = (long long)(block / {tiles}) * {length};",
            *self._loop(node, f"if (c < {n_columns}) {loop}", in_column(self.of.shape, n_leading)),
            *tree(self.x, lanes, TILE),
        ]
        if slices == 1:
            out = f"{self.memory.target(self.x, node)}[c]"
        else:
            partial = self._partial(slices * n_columns, node)
            out = f"{partial}[(long long)(block / {tiles}) * {n_columns} + c]"
            self._over_slices(self._second(node, ceil_divide(n_columns, THREADS)), partial, slices, n_columns)
        node.body = "\n".join([*lines, f"if (lane == 0 && c < {n_columns}) {out} = s[threadIdx.x];"])

    def _over_slices(self, node: Node, partial: str, slices: int, n_columns: int) -> None:
        """Reduce the partial results of all slices, one thread a column."""
        part = f"{partial}[(long long)k * {n_columns} + c]"
        lines = [
            f"const int c = block * {THREADS} + threadIdx.x;",
            f"if (c >= {n_columns}) return;",
            self.start,
            f"for (int k = 0; k < {slices}; k++) {combined(self.x, 'a', part)}",
            f"{self.memory.target(self.x, node)}[c] = a;",
        ]
        node.body = "\n".join(lines)

    def _over_any(self, axes: tuple[int, ...]) -> None:
        """One thread makes a result: it goes through its elements one after the other."""
        node = self.new(ceil_divide(self.x.size, THREADS))
        head = f"for (long long k = 0; k < {math.prod(self.of.shape[i] for i in axes)}; k++)"
        lines = [
            f"const long long i = (long long)block * {THREADS} + threadIdx.x;",
            f"if (i >= {self.x.size}) return;",
            *self._loop(node, head, along(self.of.shape, axes)),
            f"{self.memory.target(self.x, node)}[i] = a;",
        ]
        node.body = "\n".join(lines)


def tree(x: Value, n: int, stride: int = 1) -> list[str]:
    """Statements that combine the ``a`` of n threads, ``stride`` apart, into ``s`` of the first in shared memory.

    All threads of the block must run them.
    """
    step = combined(x, "s[threadIdx.x]", f"s[threadIdx.x + k * {stride}]")
    first = "threadIdx.x" if stride == 1 else f"threadIdx.x / {stride}"
    return [
        f"__shared__ {type_name(x.dtype)} s[{THREADS}];",
        "__syncthreads();",
        "s[threadIdx.x] = a;",
        "__syncthreads();",
        f"for (int k = {n // 2}; k > 0; k /= 2) {{",
        f"    if ({first} < k) {step}",
        "    __syncthreads();",
        "}",
    ]
