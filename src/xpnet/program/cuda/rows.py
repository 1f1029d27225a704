"""Kernels of groups in which rows are reduced, such as a softmax."""

from ..plan_items import REGISTERS
from ..recorded_values import REDUCTIONS, Value
from .expressions import combined, identity, type_name
from .indices import in_row
from .memory import THREADS, Memory, Node, block_of_c
from .reductions import tree
from .variables import Variables


class RowVariables(Variables):
    """The elements of values with the same number of columns; values of one column are those of ``rows.numbers``."""

    def __init__(self, rows: "Rows", width: int) -> None:
        super().__init__(rows.memory, rows.node, rows.operations, in_row((rows.n_rows, width)))
        self.rows = rows

    def value(self, x: Value) -> str:
        is_other = self is not self.rows.numbers
        if is_other and x.owner in self.group and x.owner.size == self.rows.n_rows:
            return self.rows.numbers.value(x)
        return super().value(x)

    def new_name(self) -> str:
        return self.rows.new_name()


class Rows:
    """The C source of a group: one thread computes a row if rows are narrow, otherwise one block does.

    A value that is needed again after a reduction of the row is computed again.
    """

    def __init__(self, memory: Memory, node: Node, operations: list[Value], n_rows: int, is_narrow: bool) -> None:
        self.memory, self.node, self.operations, self.n_rows = memory, node, operations, n_rows
        self.is_narrow = is_narrow
        self._count = 0
        self.numbers = RowVariables(self, 1)

    def new_name(self) -> str:
        """A variable name that is not in use in the kernel."""
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
            self._reduce(x)
        stored = [x for x in self.operations if self.memory.place(x)[0] != REGISTERS]
        for width in sorted({x.size // self.n_rows for x in stored} - {1}):
            variables = RowVariables(self, width)
            variables.store([x for x in stored if x.size == width * self.n_rows])
            lines.append(self._loop(width, variables.lines))
        numbers = [x for x in stored if x.size == self.n_rows]
        names = [self.numbers.value(x) for x in numbers]
        pairs = zip(numbers, names, strict=True)
        stores = [f"{self.memory.target(x, self.node)}[r] = {name};" for x, name in pairs]
        if stores and not self.is_narrow:
            stores = ["__syncthreads();", block_of_c("if (threadIdx.x == 0)", stores)]
        return "\n".join([*head, *lines, *stores])

    def _reduce(self, x: Value) -> None:
        """Reduce the row: the result becomes one of its single values."""
        (of,) = x.operands
        width, kind = of.size // self.n_rows, type_name(x.dtype)
        variables = RowVariables(self, width)
        variables.at = in_row(of.shape)
        element = variables.value(of)
        name = self.numbers.names[x] = self.new_name()
        inside = [f"{kind} a = {identity(x)};", self._loop(width, [*variables.lines, combined(x, "a", element)])]
        end = [f"{name} = a;"] if self.is_narrow else [*tree(x, THREADS), f"{name} = s[0];"]
        self.numbers.lines += [f"{kind} {name};", block_of_c("", [*inside, *end])]

    def _loop(self, width: int, lines: list[str]) -> str:
        start, step = ("0", "1") if self.is_narrow else ("threadIdx.x", str(THREADS))
        return block_of_c(f"for (int j = {start}; j < {width}; j += {step})", lines)
