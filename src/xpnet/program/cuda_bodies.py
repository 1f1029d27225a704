"""The C source of each item of a plan: elementwise operations, rows, reductions and copies."""

import math
from typing import Any

from .cuda_elements import AnyAxes, Columns, Elements
from .cuda_expressions import combined, identity, type_name
from .cuda_memory import THREADS, Memory, Node, Product, Range, block_of_c, ceil_divide, root_name
from .cuda_rows import Rows
from .cuda_scope import Scope, tree
from .plan import MEMORY, Item
from .recorder import REDUCTIONS, NotRecordable, Value

NARROW = 32
"""The largest number of columns with which one thread computes a row."""
AT_ONCE = 1 << 14
"""The largest number of elements that one block reduces by itself."""
SLICE = 1 << 11
"""The largest number of rows that one block reduces by itself."""
TILE = 8
"""Columns of such a block: 8 numbers of float32 are the 32 bytes that a read from memory transfers."""


class Writer:
    """Writes the nodes of a plan's items."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.nodes: list[Node] = []

    def new(self, blocks: int) -> Node:
        """Add a node after those that are there."""
        self.nodes.append(Node(blocks=blocks))
        return self.nodes[-1]

    def item(self, item: Item) -> None:
        """Add the nodes of an item of the plan."""
        if not any(x.size for x in item.operations):
            return
        first, *_ = item.operations
        if item.n_rows == 0:  # numbers, and arrays of no rows
            self.numbers([x for x in item.operations if x.size])
        elif item.n_rows is not None:
            widths = {x.size // item.n_rows for x in item.operations}
            has_reductions = any(x.operation in REDUCTIONS for x in item.operations)
            if len(widths) > 1 or has_reductions:
                self.rows(item.operations, item.n_rows)
            else:
                self.elements(item.operations, max((x.shape for x in item.operations), key=len))
        elif first.operation == "matmul":
            self.product(first)
        elif first.operation in REDUCTIONS or first.operation == "vecdot":
            self.reduction(first)
        elif first.operation in ("concat", "take"):
            self.elements([first], first.shape)
        else:
            raise NotRecordable(f"there is no kernel for {first.operation}")

    def numbers(self, operations: list[Value]) -> None:
        """Operations on single numbers, by one thread."""
        node = self.new(1)
        scope = Scope(self.memory, node, operations, Elements(()))
        scope.store(operations)
        node.body = block_of_c("if (threadIdx.x == 0)", scope.lines)

    def elements(self, operations: list[Value], shape: Any) -> None:
        """Elementwise operations, one thread an element."""
        scope = self._begin_elements(math.prod(shape), operations, shape)
        scope.store(operations)
        self._finish_elements(math.prod(shape), scope)

    def copy(self, x: Value, root: int) -> None:
        """Copy a value to the beginning of a root."""
        scope = self._begin_elements(x.size, [], x.shape)
        scope.copy(x, root)
        self._finish_elements(x.size, scope)

    def _begin_elements(self, size: int, group: list[Value], shape: Any) -> Scope:
        return Scope(self.memory, self.new(ceil_divide(size, THREADS)), group, Elements(shape))

    def _finish_elements(self, size: int, scope: Scope) -> None:
        index = "int" if size < 1 << 31 else "long long"
        begin = f"const {index} i = ({index})block * {THREADS} + threadIdx.x;"
        scope.node.body = "\n".join((begin, f"if (i >= {size}) return;", *scope.lines))

    def rows(self, operations: list[Value], n_rows: int) -> None:
        """A group in which rows are reduced."""
        reduced = [x for op in operations if op.operation in REDUCTIONS for x in op.operands]
        is_narrow = max(x.size for x in (*operations, *reduced)) <= NARROW * n_rows
        node = self.new(ceil_divide(n_rows, THREADS) if is_narrow else n_rows)
        node.body = Rows(self.memory, node, operations, n_rows, is_narrow).text()

    def product(self, x: Value) -> None:
        """A matrix product, which is no kernel."""
        node, (A, B, *bias) = self.new(0), x.operands
        rows, columns = A.shape[0], B.shape[1]
        out = self.memory.operand(x)._replace(shape=(rows, columns), strides=(columns, 1))
        vector = self.memory.operand(bias[0]) if bias else None
        node.product = Product(self.memory.operand(A), self.memory.operand(B), out, vector, "relu" in x.settings)
        node.reads, node.writes = [self.memory.range(y) for y in x.operands], [self.memory.range(x)]

    # --- reductions

    def reduction(self, x: Value) -> None:
        """A reduction over all elements, over the leading axes, or over any others."""
        of = x.operands[0]
        axes = x.settings[0] if x.operation != "vecdot" else tuple(range(of.ndim))
        kept = [n for i, n in enumerate(of.shape) if i not in axes]
        if x.size == 1 and math.prod(kept) == 1:
            self.whole(x)
        elif axes == tuple(range(len(axes))):
            self.columns(x, math.prod(of.shape[: len(axes)]), x.size)
        else:
            self.any_axes(x, axes)

    def _loop(self, x: Value, node: Node, head: str, at: Elements) -> list[str]:
        """Declare the partial result ``a`` and reduce into it, in a loop, the elements that a thread has.

        An element is one of the operand's, or for ``vecdot`` the product of two.
        """
        scope = Scope(self.memory, node, [], at)
        element = " * ".join(scope.value(y) for y in x.operands)
        start = f"{type_name(x.dtype)} a = {identity(x)};"
        return [start, block_of_c(head, [*scope.lines, combined(x, "a", element)])]

    def _partial_results(self, x: Value, n: int, node: Node) -> str:
        """The pointer to n partial results of a reduction, which the node writes."""
        start = self.memory.scratch(n * x.dtype.itemsize)
        node.roots.add(MEMORY)
        node.writes.append(Range(MEMORY, start, start + n * x.dtype.itemsize))
        return f"(({type_name(x.dtype)}*)({root_name(MEMORY)} + {start}))"

    def _reader_of(self, node: Node, blocks: int) -> Node:
        """A node that reads the partial results of another one."""
        last = self.new(blocks)
        last.roots.add(MEMORY)
        last.reads += node.writes
        return last

    def whole(self, x: Value) -> None:
        """A reduction over all elements: by one block, or by several, whose partial results another one reduces."""
        of = x.operands[0]
        blocks = 1 if of.size <= AT_ONCE else min(THREADS, ceil_divide(of.size, AT_ONCE))
        node = self.new(blocks)
        first, step = f"(long long)block * {THREADS} + threadIdx.x", f"{blocks * THREADS}LL"
        lines = self._loop(x, node, f"for (long long i = {first}; i < {of.size}; i += {step})", Elements(of.shape))
        if blocks == 1:
            self._finish(x, node, lines)
            return
        partial = self._partial_results(x, blocks, node)
        node.body = "\n".join([*lines, *tree(x, THREADS), f"if (threadIdx.x == 0) {partial}[block] = s[0];"])
        read = f"if (threadIdx.x < {blocks}) {combined(x, 'a', f'{partial}[threadIdx.x]')}"
        self._finish(x, self._reader_of(node, 1), [f"{type_name(x.dtype)} a = {identity(x)};", read])

    def _finish(self, x: Value, node: Node, lines: list[str]) -> None:
        """Reduce the threads of the only block, and write the result."""
        out = f"if (threadIdx.x == 0) {self.memory.pointer(x, node)}[0] = s[0];"
        node.writes.append(self.memory.range(x))
        node.body = "\n".join([*lines, *tree(x, THREADS), out])

    def columns(self, x: Value, n_rows: int, n_columns: int) -> None:
        """A reduction over the leading axes: blocks of ``TILE`` columns and, if there are many rows, slices of them."""
        lanes = THREADS // TILE
        slices = 1 if n_rows <= SLICE else min(64, ceil_divide(n_rows, SLICE // 2))
        length, tiles = ceil_divide(n_rows, slices), ceil_divide(n_columns, TILE)
        node = self.new(tiles * slices)
        head = (
            f"if (c < {n_columns}) for (long long r = first + lane; r < {n_rows} && r < first + {length}; r += {lanes})"
        )
        lines = [
            f"const int c = block % {tiles} * {TILE} + threadIdx.x % {TILE}, lane = threadIdx.x / {TILE};",
            f"const long long first = (long long)(block / {tiles}) * {length};",
            *self._loop(x, node, head, Columns(x.operands[0].shape, n_columns)),
            *tree(x, lanes, TILE),
        ]
        if slices == 1:
            node.writes.append(self.memory.range(x))
            out = f"{self.memory.pointer(x, node)}[c]"
        else:
            partial = self._partial_results(x, slices * n_columns, node)
            out = f"{partial}[(long long)(block / {tiles}) * {n_columns} + c]"
            self._combine_slices(x, self._reader_of(node, ceil_divide(n_columns, THREADS)), partial, slices, n_columns)
        node.body = "\n".join([*lines, f"if (lane == 0 && c < {n_columns}) {out} = s[threadIdx.x];"])

    def _combine_slices(self, x: Value, node: Node, partial: str, slices: int, n_columns: int) -> None:
        """Reduce the partial results of all slices, one thread a column."""
        node.writes.append(self.memory.range(x))
        part = f"{partial}[(long long)k * {n_columns} + c]"
        node.body = "\n".join(
            [
                f"const int c = block * {THREADS} + threadIdx.x;",
                f"if (c >= {n_columns}) return;",
                f"{type_name(x.dtype)} a = {identity(x)};",
                f"for (int k = 0; k < {slices}; k++) {combined(x, 'a', part)}",
                f"{self.memory.pointer(x, node)}[c] = a;",
            ]
        )

    def any_axes(self, x: Value, axes: tuple[int, ...]) -> None:
        """A reduction over any axes: one thread a result, which goes through its elements one after the other."""
        of = x.operands[0]
        kept = tuple(n for i, n in enumerate(of.shape) if i not in axes)
        reduced = tuple(of.shape[i] for i in axes)
        node = self.new(ceil_divide(x.size, THREADS))
        head = f"for (long long k = 0; k < {math.prod(reduced)}; k++)"
        node.writes.append(self.memory.range(x))
        node.body = "\n".join(
            [
                f"const long long i = (long long)block * {THREADS} + threadIdx.x;",
                f"if (i >= {x.size}) return;",
                *self._loop(x, node, head, AnyAxes(of.shape, axes, kept, reduced)),
                f"{self.memory.pointer(x, node)}[i] = a;",
            ]
        )
