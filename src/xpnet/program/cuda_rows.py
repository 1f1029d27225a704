"""Kernels of groups in which rows are reduced, such as a softmax."""

from .cuda_elements import InRow
from .cuda_expressions import combined, identity, type_name
from .cuda_memory import THREADS, Memory, Node, block_of_c
from .cuda_scope import Scope, tree
from .plan import REGISTERS
from .recorder import REDUCTIONS, Value


class RowScope(Scope):
    """The elements of values with the same number of columns; values of one column are those of ``rows.numbers``."""

    def __init__(self, rows: "Rows", width: int) -> None:
        super().__init__(rows.memory, rows.node, rows.operations, InRow((rows.n_rows, width)))
        self.rows, self.width = rows, width

    def value(self, x: Value) -> str:
        is_other = self is not self.rows.numbers
        if is_other and x.owner in self.group and x.owner.size == self.rows.n_rows:
            return self.rows.numbers.value(x)
        return super().value(x)

    def computed(self, x: Value) -> str:
        if x not in self.names and x.operation in REDUCTIONS:
            raise AssertionError("a reduction comes before what needs it")
        return super().computed(x)

    def new_name(self) -> str:
        return self.rows.new_name()


class Rows:
    """The C source of a group in which rows are reduced.

    One thread computes a row if rows are narrow, otherwise one block does.
    """

    def __init__(self, memory: Memory, node: Node, operations: list[Value], n_rows: int, is_narrow: bool) -> None:
        self.memory, self.node, self.operations, self.n_rows = memory, node, operations, n_rows
        self.is_narrow = is_narrow
        self._count = 0
        self.numbers = RowScope(self, 1)

    def new_name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def text(self) -> str:
        """The C source: the reductions of a row, then its elements, then its single values."""
        if self.is_narrow:
            head = [f"const int r = block * {THREADS} + threadIdx.x;", f"if (r >= {self.n_rows}) return;"]
        else:
            head = ["const int r = block;"]
        lines = self.numbers.lines
        for x in (x for x in self.operations if x.operation in REDUCTIONS):
            self._reduce(x, lines)
        stored = [x for x in self.operations if self.memory.place(x)[0] != REGISTERS]
        for width in sorted({x.size // self.n_rows for x in stored} - {1}):
            scope = RowScope(self, width)
            scope.store([x for x in stored if x.size == width * self.n_rows])
            lines.append(self._loop(width, scope.lines))
        numbers = [x for x in stored if x.size == self.n_rows]
        names = [self.numbers.value(x) for x in numbers]
        stores = []
        for x, name in zip(numbers, names, strict=True):
            self.node.writes.append(self.memory.range(x))
            stores.append(f"{self.memory.pointer(x, self.node)}[r] = {name};")
        if stores and not self.is_narrow:
            lines += ["__syncthreads();", block_of_c("if (threadIdx.x == 0)", stores)]
        else:
            lines += stores
        return "\n".join([*head, *lines])

    def _reduce(self, x: Value, lines: list[str]) -> None:
        """Reduce the row: the result becomes one of its single values."""
        (of,) = x.operands
        width, kind = of.size // self.n_rows, type_name(x.dtype)
        scope = RowScope(self, width)
        scope.at = InRow(of.shape)
        element = scope.value(of)
        name = self.new_name()
        inside = [f"{kind} a = {identity(x)};", self._loop(width, [*scope.lines, combined(x, "a", element)])]
        end = [f"{name} = a;"] if self.is_narrow else [*tree(x, THREADS), f"{name} = s[0];"]
        lines += [f"{kind} {name};", block_of_c("", [*inside, *end])]
        self.numbers.names[x] = name

    def _loop(self, width: int, lines: list[str]) -> str:
        start, step = ("0", "1") if self.is_narrow else ("threadIdx.x", str(THREADS))
        return block_of_c(f"for (int j = {start}; j < {width}; j += {step})", lines)
