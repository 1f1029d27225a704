"""What each item of a plan does, as the body of a kernel."""

import math
from typing import Any

from .cuda_elements import AnyAxes, Columns, Elements
from .cuda_expressions import combined, identity, type_name
from .cuda_memory import THREADS, Memory, Node, Product, Range, braced, quotient, root_name
from .cuda_rows import Rows
from .cuda_scope import Scope, tree
from .plan import MEMORY, Item
from .recorder import REDUCTIONS, NotRecordable, Value

NARROW = 32
"""Columns up to which one thread computes a row."""
AT_ONCE = 1 << 14
"""Elements that one block adds up by itself."""
SLICE = 1 << 11
"""Rows that one block of a sum over rows adds up by itself."""
TILE = 8
"""Columns of such a block: of float32 a transfer from memory brings so many."""


class Writer:
    """Writes the nodes of a plan's items."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.nodes: list[Node] = []

    def new(self, blocks: int) -> Node:
        """A node after those that are there."""
        self.nodes.append(Node(blocks=blocks))
        return self.nodes[-1]

    def item(self, item: Item) -> None:
        """The nodes of an item."""
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
        node = self.new(1)
        scope = Scope(self.memory, node, operations, Elements(()))
        scope.store(operations)
        node.body = braced("if (threadIdx.x == 0)", scope.lines)

    def elements(self, operations: list[Value], shape: Any) -> None:
        """One thread an element."""
        scope = self._each(math.prod(shape), operations, shape)
        scope.store(operations)
        self._end_of_each(math.prod(shape), scope)

    def copy(self, x: Value, root: int) -> None:
        """A value to the beginning of a root."""
        scope = self._each(x.size, [], x.shape)
        scope.copy(x, root)
        self._end_of_each(x.size, scope)

    def _each(self, size: int, group: list[Value], shape: Any) -> Scope:
        return Scope(self.memory, self.new(quotient(size, THREADS)), group, Elements(shape))

    def _end_of_each(self, size: int, scope: Scope) -> None:
        index = "int" if size < 1 << 31 else "long long"
        begin = f"const {index} i = ({index})block * {THREADS} + threadIdx.x;"
        scope.node.body = "\n".join((begin, f"if (i >= {size}) return;", *scope.lines))

    def rows(self, operations: list[Value], n_rows: int) -> None:
        reduced = [x for op in operations if op.operation in REDUCTIONS for x in op.operands]
        is_narrow = max(x.size for x in (*operations, *reduced)) <= NARROW * n_rows
        node = self.new(quotient(n_rows, THREADS) if is_narrow else n_rows)
        node.body = Rows(self.memory, node, operations, n_rows, is_narrow).text()

    def product(self, x: Value) -> None:
        node, (A, B, *bias) = self.new(0), x.operands
        rows, columns = A.shape[0], B.shape[1]
        out = self.memory.operand(x)._replace(shape=(rows, columns), strides=(columns, 1))
        vector = self.memory.operand(bias[0]) if bias else None
        node.product = Product(self.memory.operand(A), self.memory.operand(B), out, vector, "relu" in x.settings)
        node.reads, node.writes = [self.memory.range(y) for y in x.operands], [self.memory.range(x)]

    # --- reductions

    def reduction(self, x: Value) -> None:
        """Over all elements, over the leading axes, or over any."""
        of = x.operands[0]
        axes = x.settings[0] if x.operation != "vecdot" else tuple(range(of.ndim))
        kept = [n for i, n in enumerate(of.shape) if i not in axes]
        if x.size == 1 and math.prod(kept) == 1:
            self.whole(x)
        elif axes == tuple(range(len(axes))):
            self.columns(x, math.prod(of.shape[: len(axes)]), x.size)
        else:
            self.any_axes(x, axes)

    def _element(self, x: Value, scope: "Scope") -> str:
        """What a reduction adds up: an element of its operand, or the product of two."""
        values = [scope.value(y) for y in x.operands]
        return values[0] if len(values) == 1 else f"{values[0]} * {values[1]}"

    def whole(self, x: Value) -> None:
        of, kind = x.operands[0], type_name(x.dtype)
        blocks = 1 if of.size <= AT_ONCE else min(256, quotient(of.size, AT_ONCE))
        at = self.memory.scratch(blocks * x.dtype.itemsize) if blocks > 1 else 0
        node = self.new(blocks)
        scope = Scope(self.memory, node, [], Elements(of.shape, "i"))
        element = self._element(x, scope)
        loop = (
            f"for (long long i = (long long)block * {THREADS} + threadIdx.x; i < {of.size}; i += {blocks * THREADS}LL)"
        )
        lines = [f"{kind} a = {identity(x)};", braced(loop, [*scope.lines, combined(x, "a", element)])]
        target = f"(({kind}*)({root_name(MEMORY)} + {at}))[block]"
        if blocks == 1:
            self._finish(x, node, lines)
            return
        node.roots.add(MEMORY)
        node.writes.append(Range(MEMORY, at, at + blocks * x.dtype.itemsize))
        node.body = "\n".join([*lines, *tree(x, THREADS), f"if (threadIdx.x == 0) {target} = s[0];"])
        last = self.new(1)
        last.roots.add(MEMORY)
        last.reads.append(node.writes[0])
        read = (
            f"if (threadIdx.x < {blocks}) {combined(x, 'a', f'(({kind}*)({root_name(MEMORY)} + {at}))[threadIdx.x]')}"
        )
        self._finish(x, last, [f"{kind} a = {identity(x)};", read])

    def _finish(self, x: Value, node: Node, lines: list[str]) -> None:
        """One block's result is the reduction's."""
        out = f"if (threadIdx.x == 0) {self.memory.pointer(x, node)}[0] = s[0];"
        node.writes.append(self.memory.range(x))
        node.body = "\n".join([*lines, *tree(x, THREADS), out])

    def columns(self, x: Value, n_rows: int, n_columns: int) -> None:
        of, kind, lanes = x.operands[0], type_name(x.dtype), THREADS // TILE
        slices = 1 if n_rows <= SLICE else min(64, quotient(n_rows, SLICE // 2))
        length, tiles = quotient(n_rows, slices), quotient(n_columns, TILE)
        at = self.memory.scratch(slices * x.nbytes) if slices > 1 else 0
        node = self.new(tiles * slices)
        scope = Scope(self.memory, node, [], Columns(of.shape, n_columns))
        element = self._element(x, scope)
        begin = f"const int c = block % {tiles} * {TILE} + threadIdx.x % {TILE}, lane = threadIdx.x / {TILE};"
        first = f"const long long first = (long long)(block / {tiles}) * {length};"
        loop = (
            f"if (c < {n_columns}) for (long long r = first + lane; r < {n_rows} && r < first + {length}; r += {lanes})"
        )
        lines = [begin, first, f"{kind} a = {identity(x)};", braced(loop, [*scope.lines, combined(x, "a", element)])]
        out = (
            self.memory.pointer(x, node)
            if slices == 1
            else f"(({kind}*)({root_name(MEMORY)} + {at}) + (long long)(block / {tiles}) * {n_columns})"
        )
        lines += [*tree(x, lanes, TILE), f"if (lane == 0 && c < {n_columns}) {out}[c] = s[threadIdx.x];"]
        node.body = "\n".join(lines)
        if slices == 1:
            node.writes.append(self.memory.range(x))
            return
        node.roots.add(MEMORY)
        node.writes.append(Range(MEMORY, at, at + slices * x.nbytes))
        last = self.new(quotient(n_columns, THREADS))
        last.roots.add(MEMORY)
        last.reads.append(node.writes[0])
        last.writes.append(self.memory.range(x))
        part = f"(({kind}*)({root_name(MEMORY)} + {at}))[(long long)k * {n_columns} + c]"
        last.body = "\n".join(
            [
                f"const int c = block * {THREADS} + threadIdx.x;",
                f"if (c >= {n_columns}) return;",
                f"{kind} a = {identity(x)};",
                f"for (int k = 0; k < {slices}; k++) {combined(x, 'a', part)}",
                f"{self.memory.pointer(x, last)}[c] = a;",
            ]
        )

    def any_axes(self, x: Value, axes: tuple[int, ...]) -> None:
        """One thread a result, which goes through its elements one after the other."""
        of, kind = x.operands[0], type_name(x.dtype)
        kept = tuple(n for i, n in enumerate(of.shape) if i not in axes)
        reduced = tuple(of.shape[i] for i in axes)
        node = self.new(quotient(x.size, THREADS))
        scope = Scope(self.memory, node, [], AnyAxes(of.shape, axes, kept, reduced))
        element = self._element(x, scope)
        node.writes.append(self.memory.range(x))
        node.body = "\n".join(
            [
                f"const long long i = (long long)block * {THREADS} + threadIdx.x;",
                f"if (i >= {x.size}) return;",
                f"{kind} a = {identity(x)};",
                braced(
                    f"for (long long k = 0; k < {math.prod(reduced)}; k++)",
                    [*scope.lines, combined(x, "a", element)],
                ),
                f"{self.memory.pointer(x, node)}[i] = a;",
            ]
        )
