"""The device functions and matrix products of a plan's items."""

import math
from collections.abc import Callable
from typing import Any

from ..plan_items import Item
from ..recorded_values import REDUCTIONS, NotRecordable, Value
from .indices import flat
from .memory import THREADS, Memory, Node, Product, block_of_c, ceil_divide
from .reductions import Reduction
from .rows import Rows
from .variables import Variables

NARROW = 32
"""The largest number of columns with which one thread computes a row."""


class Writer:
    """Writes the nodes of a plan's items, in their order."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.nodes: list[Node] = []

    def _new(self, blocks: int) -> Node:
        """Add a node after those that are there."""
        self.nodes.append(Node(blocks=blocks))
        return self.nodes[-1]

    def item(self, item: Item) -> None:
        """Add the nodes of an item of the plan."""
        operations, (first, *_) = item.operations, item.operations
        if not any(x.size for x in operations):
            return
        if item.n_rows == 0:  # numbers, and arrays of no rows
            self._numbers([x for x in operations if x.size])
        elif item.n_rows is not None:
            has_reductions = any(x.operation in REDUCTIONS for x in operations)
            if has_reductions or len({x.size for x in operations}) > 1:
                self._rows(operations, item.n_rows)
            else:
                self._elements(operations, max((x.shape for x in operations), key=len))
        elif first.operation == "matmul":
            self._product(first)
        elif first.operation in REDUCTIONS or first.operation == "vecdot":
            Reduction(self.memory, self._new, first).write()
        elif first.operation in ("concat", "take"):
            self._elements([first], first.shape)
        else:
            raise NotRecordable(f"there is no kernel for {first.operation}")

    def _numbers(self, operations: list[Value]) -> None:
        """Operations on single numbers, by one thread."""
        node = self._new(1)
        variables = Variables(self.memory, node, operations, flat(()))
        variables.store(operations)
        node.body = block_of_c("if (threadIdx.x == 0)", variables.lines)

    def _elements(self, operations: list[Value], shape: Any) -> None:
        """Elementwise operations, one thread an element."""
        self._for_each(shape, operations, lambda variables: variables.store(operations))

    def copy(self, x: Value, root: int) -> None:
        """Copy a value to the beginning of a root."""
        self._for_each(x.shape, [], lambda variables: variables.copy(x, root))

    def _for_each(self, shape: Any, group: list[Value], write: Callable[[Variables], None]) -> None:
        """What ``write`` does with each element of an array of this shape, one thread an element."""
        size = math.prod(shape)
        node = self._new(ceil_divide(size, THREADS))
        variables = Variables(self.memory, node, group, flat(shape))
        write(variables)
        index = "int" if size < 1 << 31 else "long long"
        begin = f"const {index} i = ({index})block * {THREADS} + threadIdx.x;"
        node.body = "\n".join((begin, f"if (i >= {size}) return;", *variables.lines))

    def _rows(self, operations: list[Value], n_rows: int) -> None:
        """A group in which rows are reduced."""
        reduced = [x for op in operations if op.operation in REDUCTIONS for x in op.operands]
        is_narrow = max(x.size for x in (*operations, *reduced)) <= NARROW * n_rows
        node = self._new(ceil_divide(n_rows, THREADS) if is_narrow else n_rows)
        node.body = Rows(self.memory, node, operations, n_rows, is_narrow).text()

    def _product(self, x: Value) -> None:
        """A matrix product."""
        node, (A, B, *bias) = self._new(0), x.operands
        rows, columns = A.shape[0], B.shape[1]
        out = self.memory.operand(x)._replace(shape=(rows, columns), strides=(columns, 1))
        vector = self.memory.operand(bias[0]) if bias else None
        node.product = Product(self.memory.operand(A), self.memory.operand(B), out, vector, "relu" in x.settings)
        node.reads, node.writes = [self.memory.range(y) for y in x.operands], [self.memory.range(x)]
