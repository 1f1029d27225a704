"""A plan as CUDA C: one source for all its kernels, and the list of launches and matrix products that it consists of.

Every kernel has blocks of 256 threads. A *body* is what one item of the plan does:

- elements: one thread an element;
- rows: one thread a row of up to 32 columns, or one block a row; a value that is needed again after a reduction of the
  row is computed again;
- sums over all elements or over the leading axes, and other reductions: partial ones of many blocks first if there is
  much to add up, always in the same order;
- numbers: one thread.

Bodies that do not depend on one another share a launch, and small ones that do run one after the other in one block.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .cuda_expressions import PRELUDE, combined, expression, identity, literal, type_name
from .plan import MEMORY, REGISTERS, Item, Plan, rounded
from .recorder import REDUCTIONS, NotRecordable, Value, contiguous

THREADS = 256
NARROW = 32
"""Columns up to which one thread computes a row."""
AT_ONCE = 1 << 14
"""Elements that one block adds up by itself."""
SLICE = 1 << 11
"""Rows that one block of a sum over rows adds up by itself."""
TILE = 8
"""Columns of such a block: of float32 a transfer from memory brings so many."""


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


@dataclass(frozen=True, eq=False)
class Source:
    """CUDA C, and what to call.

    Attributes
    ----------
    text : str
    launches : list of Kernel or Product
    constants : list of ndarray
        What lies at the roots after those of the plan's inputs.
    memory : int
        Bytes of the root ``MEMORY``.
    """

    text: str
    launches: list[Kernel | Product]
    constants: list[np.ndarray]
    memory: int


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


def source(plan: Plan, sliding: dict[int, int] | None = None) -> Source:
    """The CUDA C of a plan that was made for kernels.

    Parameters
    ----------
    plan : Plan
    sliding : dict of int to int, optional
        Inputs that each step reads further on, and by how many bytes: the root ``COUNTER`` is the number of steps.

    Raises
    ------
    NotRecordable
        There is no kernel for an operation.
    """
    writer = _Writer(plan)
    for item in plan.items:
        writer.item(item)
    for value, j in plan.copies:
        writer.elements([value], value.shape, lambda k, j=j: Range(j, 0, k.nbytes))
    return _Schedule(writer, sliding or {}).source()


class _Writer:
    """Writes the nodes of a plan's items."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.nodes: list[Node] = []
        self.memory = rounded(plan.memory)
        self._roots = {value: j for j, value in enumerate(plan.program.inputs)}
        self.constants: list[np.ndarray] = []

    # --- where values lie

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
        return f"(({type_name(x.dtype)}*)({_root(root)} + {start}))"

    def scratch(self, n_bytes: int) -> int:
        """Where so many bytes for partial results begin in the memory."""
        at = self.memory
        self.memory += rounded(n_bytes)
        return at

    def operand(self, x: Value) -> Operand:
        """A matrix, or a vector that has been made one."""
        root, start = self.place(x)
        return Operand(root, start + x.offset * x.dtype.itemsize, x.shape, x.strides, x.dtype)  # type: ignore[arg-type]

    # --- nodes

    def new(self, blocks: int) -> Node:
        """A node after those that are there."""
        self.nodes.append(Node(blocks=blocks))
        return self.nodes[-1]

    def item(self, item: Item) -> None:
        """The nodes of an item."""
        first, *_ = item.operations
        if item.n_rows == 0:
            self.numbers(item.operations)
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
        scope = _Scope(self, node, operations, _Elements(()))
        scope.store(operations)
        node.body = _braced("if (threadIdx.x == 0)", scope.lines)

    def elements(self, operations: list[Value], shape: Any, target: Callable[[Value], Range] | None = None) -> None:
        """One thread an element; ``target`` says where to copy what has been computed before."""
        size = math.prod(shape)
        node = self.new(_ceil(size, THREADS))
        index = "int" if size < 1 << 31 else "long long"
        scope = _Scope(self, node, operations if target is None else [], _Elements(shape))
        if target is None:
            scope.store(operations)
        else:
            for x in operations:
                at = target(x)
                scope.write(x, f"(({type_name(x.dtype)}*)({_root(at.root)} + {at.start}))", at)
                node.roots.add(at.root)
        node.body = "\n".join(
            (f"const {index} i = ({index})block * {THREADS} + threadIdx.x;", f"if (i >= {size}) return;", *scope.lines)
        )

    def rows(self, operations: list[Value], n_rows: int) -> None:
        reduced = [x for op in operations if op.operation in REDUCTIONS for x in op.operands]
        is_narrow = max(x.size for x in (*operations, *reduced)) <= NARROW * n_rows
        node = self.new(_ceil(n_rows, THREADS) if is_narrow else n_rows)
        node.body = _Rows(self, node, operations, n_rows, is_narrow).text()

    def product(self, x: Value) -> None:
        node, (A, B, *bias) = self.new(0), x.operands
        rows, columns = A.shape[0], B.shape[1]
        out = self.operand(x)._replace(shape=(rows, columns), strides=(columns, 1))
        vector = self.operand(bias[0]) if bias else None
        node.product = Product(self.operand(A), self.operand(B), out, vector, "relu" in x.settings)
        node.reads, node.writes = [self.range(y) for y in x.operands], [self.range(x)]

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

    def _element(self, x: Value, scope: "_Scope") -> str:
        """What a reduction adds up: an element of its operand, or the product of two."""
        values = [scope.value(y) for y in x.operands]
        return values[0] if len(values) == 1 else f"{values[0]} * {values[1]}"

    def whole(self, x: Value) -> None:
        of, kind = x.operands[0], type_name(x.dtype)
        blocks = 1 if of.size <= AT_ONCE else min(256, _ceil(of.size, AT_ONCE))
        at = self.scratch(blocks * x.dtype.itemsize) if blocks > 1 else 0
        node = self.new(blocks)
        scope = _Scope(self, node, [], _Elements(of.shape, "i"))
        element = self._element(x, scope)
        loop = (
            f"for (long long i = (long long)block * {THREADS} + threadIdx.x; i < {of.size}; i += {blocks * THREADS}LL)"
        )
        lines = [f"{kind} a = {identity(x)};", _braced(loop, [*scope.lines, combined(x, "a", element)])]
        target = f"(({kind}*)({_root(MEMORY)} + {at}))[block]"
        if blocks == 1:
            self._finish(x, node, lines)
            return
        node.roots.add(MEMORY)
        node.writes.append(Range(MEMORY, at, at + blocks * x.dtype.itemsize))
        node.body = "\n".join([*lines, *_tree(x, THREADS), f"if (threadIdx.x == 0) {target} = s[0];"])
        last = self.new(1)
        last.roots.add(MEMORY)
        last.reads.append(node.writes[0])
        read = f"if (threadIdx.x < {blocks}) {combined(x, 'a', f'(({kind}*)({_root(MEMORY)} + {at}))[threadIdx.x]')}"
        self._finish(x, last, [f"{kind} a = {identity(x)};", read])

    def _finish(self, x: Value, node: Node, lines: list[str]) -> None:
        """One block's result is the reduction's."""
        out = f"if (threadIdx.x == 0) {self.pointer(x, node)}[0] = s[0];"
        node.writes.append(self.range(x))
        node.body = "\n".join([*lines, *_tree(x, THREADS), out])

    def columns(self, x: Value, n_rows: int, n_columns: int) -> None:
        of, kind, lanes = x.operands[0], type_name(x.dtype), THREADS // TILE
        slices = 1 if n_rows <= SLICE else min(64, _ceil(n_rows, SLICE // 2))
        length, tiles = _ceil(n_rows, slices), _ceil(n_columns, TILE)
        at = self.scratch(slices * x.nbytes) if slices > 1 else 0
        node = self.new(tiles * slices)
        scope = _Scope(self, node, [], _Columns(of.shape, n_columns))
        element = self._element(x, scope)
        begin = f"const int c = block % {tiles} * {TILE} + threadIdx.x % {TILE}, lane = threadIdx.x / {TILE};"
        first = f"const long long first = (long long)(block / {tiles}) * {length};"
        loop = (
            f"if (c < {n_columns}) for (long long r = first + lane; r < {n_rows} && r < first + {length}; r += {lanes})"
        )
        lines = [begin, first, f"{kind} a = {identity(x)};", _braced(loop, [*scope.lines, combined(x, "a", element)])]
        out = (
            self.pointer(x, node)
            if slices == 1
            else f"(({kind}*)({_root(MEMORY)} + {at}) + block / {tiles} * {n_columns})"
        )
        lines += [*_tree(x, lanes, TILE), f"if (lane == 0 && c < {n_columns}) {out}[c] = s[threadIdx.x];"]
        node.body = "\n".join(lines)
        if slices == 1:
            node.writes.append(self.range(x))
            return
        node.roots.add(MEMORY)
        node.writes.append(Range(MEMORY, at, at + slices * x.nbytes))
        last = self.new(_ceil(n_columns, THREADS))
        last.roots.add(MEMORY)
        last.reads.append(node.writes[0])
        last.writes.append(self.range(x))
        part = f"(({kind}*)({_root(MEMORY)} + {at}))[(long long)k * {n_columns} + c]"
        last.body = "\n".join(
            [
                f"const int c = block * {THREADS} + threadIdx.x;",
                f"if (c >= {n_columns}) return;",
                f"{kind} a = {identity(x)};",
                f"for (int k = 0; k < {slices}; k++) {combined(x, 'a', part)}",
                f"{self.pointer(x, last)}[c] = a;",
            ]
        )

    def any_axes(self, x: Value, axes: tuple[int, ...]) -> None:
        """One thread a result, which goes through its elements one after the other."""
        of, kind = x.operands[0], type_name(x.dtype)
        kept = tuple(n for i, n in enumerate(of.shape) if i not in axes)
        reduced = tuple(of.shape[i] for i in axes)
        node = self.new(_ceil(x.size, THREADS))
        scope = _Scope(self, node, [], _AnyAxes(of.shape, axes, kept, reduced))
        element = self._element(x, scope)
        node.writes.append(self.range(x))
        node.body = "\n".join(
            [
                f"const long long i = (long long)block * {THREADS} + threadIdx.x;",
                f"if (i >= {x.size}) return;",
                f"{kind} a = {identity(x)};",
                _braced(
                    f"for (long long k = 0; k < {math.prod(reduced)}; k++)",
                    [*scope.lines, combined(x, "a", element)],
                ),
                f"{self.pointer(x, node)}[i] = a;",
            ]
        )


def _ceil(a: int, b: int) -> int:
    return max(1, -(-a // b))


def _root(root: int) -> str:
    return "memory" if root == MEMORY else f"r{root}"


def _braced(head: str, lines: Iterable[str]) -> str:
    return "\n".join([head + " {", *("    " + line for text in lines for line in text.split("\n")), "}"])


def _tree(x: Value, n: int, stride: int = 1) -> list[str]:
    """Combine the ``a`` of so many threads into the s of the first; all threads take part."""
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


# --- which element a thread has


class _Elements:
    """Element i of an array of this shape."""

    def __init__(self, shape: Any, name: str = "i") -> None:
        self.shape, self.name = tuple(shape), name

    def like(self, shape: Any) -> "_Elements":
        """The same element of an array of another shape."""
        return _Elements(shape, self.name)

    def linear(self) -> str:
        """Its number, row by row."""
        return self.name

    def coordinate(self, axis: int) -> str:
        """Its index along an axis."""
        return _unravelled(self.name, self.shape, axis)


class _InRow(_Elements):
    """Element j of row r of an array of this shape."""

    def like(self, shape: Any) -> "_InRow":
        return _InRow(shape)

    def linear(self) -> str:
        width = math.prod(self.shape[1:])
        return "r" if width == 1 else f"((long long)r * {width} + j)"

    def coordinate(self, axis: int) -> str:
        return "r" if axis == 0 else _unravelled("j", self.shape[1:], axis - 1)


class _Columns(_Elements):
    """Element c of row r, of an array whose leading axes are the rows."""

    def __init__(self, shape: Any, n_columns: int) -> None:
        super().__init__(shape)
        self.n_columns = n_columns

    def linear(self) -> str:
        return f"(r * {self.n_columns} + c)"

    def coordinate(self, axis: int) -> str:
        return _unravelled(self.linear(), self.shape, axis)


class _AnyAxes(_Elements):
    """Element k along the reduced axes and i along the others."""

    def __init__(self, shape: Any, axes: tuple[int, ...], kept: Any, reduced: Any) -> None:
        super().__init__(shape)
        self.axes, self.kept, self.reduced = axes, kept, reduced

    def linear(self) -> str:
        strides = contiguous(self.shape)
        return "(" + " + ".join(f"(long long){self.coordinate(i)} * {s}" for i, s in enumerate(strides)) + ")"

    def coordinate(self, axis: int) -> str:
        if axis in self.axes:
            return _unravelled("k", self.reduced, self.axes.index(axis))
        others = [i for i in range(len(self.shape)) if i not in self.axes]
        return _unravelled("i", self.kept, others.index(axis))


def _unravelled(name: str, shape: Sequence[int], axis: int) -> str:
    """The index along an axis of an element that has this number."""
    inner = math.prod(shape[axis + 1 :])
    found = name if inner == 1 else f"{name} / {inner}"
    return f"({found})" if axis == 0 else f"({found} % {shape[axis]})" if inner == 1 else f"(({found}) % {shape[axis]})"


def index_of(x: Value, at: _Elements) -> str:
    """The index, in x's owner, of the element of x that meets this element of an array it is broadcast to."""
    if x.size == 1:
        return str(x.offset)
    is_alike = x.size == math.prod(at.shape) and x.shape == at.shape[len(at.shape) - x.ndim :]
    if is_alike and x.is_contiguous:
        return at.linear() if x.offset == 0 else f"({at.linear()} + {x.offset})"
    missing = len(at.shape) - x.ndim
    terms = [
        at.coordinate(axis + missing) + (f" * {stride}" if stride != 1 else "")
        for axis, (n, stride) in enumerate(zip(x.shape, x.strides, strict=True))
        if n > 1 and stride != 0
    ]
    terms = [f"(long long){term}" for term in terms] if x.owner.size >= 1 << 31 else terms
    return " + ".join([*terms, *([str(x.offset)] if x.offset or not terms else [])])


# --- the values of a thread


class _Scope:
    """C variables: each value of the group that has been asked for, computed once, and each element that was loaded."""

    def __init__(self, writer: _Writer, node: Node, group: Sequence[Value], at: _Elements) -> None:
        self.writer, self.node, self.group, self.at = writer, node, set(group), at
        self.lines: list[str] = []
        self.names: dict[Any, str] = {}
        self._count = 0

    def value(self, x: Value) -> str:
        """The name of the variable that holds this thread's element of x, or a literal."""
        if x.data is not None and x.size == 1:
            return literal(x.data.reshape(()), x.dtype)
        if x.owner in self.group:
            return self.computed(x.owner)
        return self.loaded(x)

    def computed(self, x: Value) -> str:
        """A value of the group."""
        if x not in self.names:
            outside, self.at = self.at, self.at.like(x.shape)
            self.names[x] = self.declared(x, self.right_side(x))
            self.at = outside
        return self.names[x]

    def right_side(self, x: Value) -> str:
        if x.operation == "take":
            return self._taken(x)
        if x.operation == "concat":
            return self._chosen(x)
        return expression(x, [self.value(y) for y in x.operands])

    def loaded(self, x: Value) -> str:
        """An element from memory."""
        key = x.owner, index_of(x, self.at)
        if key not in self.names:
            self.node.reads.append(self.writer.range(x))
            self.names[key] = self.declared(x, f"{self.writer.pointer(x, self.node)}[{key[1]}]")
        return self.names[key]

    def _taken(self, x: Value) -> str:
        """The element of a row, or of another part along an axis, that an index names."""
        of, indices = x.operands
        (axis,) = x.settings
        self.node.reads += [self.writer.range(of), self.writer.range(indices)]
        which = f"{self.writer.pointer(indices, self.node)}[{self.at.coordinate(axis)} * {indices.strides[0]} + {indices.offset}]"
        n = of.shape[axis]
        k = self.declared(indices, f"{which} < 0 ? {which} + {n} : {which}")
        return f"{self.writer.pointer(of, self.node)}[{self._index_with(of, axis, k)}]"

    def _index_with(self, x: Value, axis: int, index: str) -> str:
        """The index in x's owner of this element, but for its index along one axis."""
        terms = [
            f"(long long){index if i == axis else self.at.coordinate(i)} * {stride}"
            for i, (n, stride) in enumerate(zip(x.shape, x.strides, strict=True))
            if stride != 0 and (n > 1 or i == axis)
        ]
        return " + ".join([*terms, str(x.offset)])

    def _chosen(self, x: Value) -> str:
        """The element of the part of a concatenation that it falls into."""
        (axis,) = x.settings
        along = self.at.coordinate(axis)
        choices, start = [], 0
        for part in x.operands:
            self.node.reads.append(self.writer.range(part))
            index = self._index_with(part, axis, f"({along} - {start})")
            start += part.shape[axis]
            read = f"{self.writer.pointer(part, self.node)}[{index}]"
            choices.append((f"{along} < {start} ? {read} : ", read))
        return "".join(first for first, _ in choices[:-1]) + choices[-1][1]

    def declared(self, x: Value, right_side: str) -> str:
        """A new variable."""
        name = self.new_name()
        self.lines.append(f"const {type_name(x.dtype)} {name} = {right_side};")
        return name

    def new_name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def store(self, values: Iterable[Value]) -> None:
        """Write these of the group to memory, after all has been read."""
        kept = [x for x in values if self.writer.place(x)[0] != REGISTERS]
        names = [self.value(x) for x in kept]
        for x, name in zip(kept, names, strict=True):
            self.node.writes.append(self.writer.range(x))
            self.lines.append(f"{self.writer.pointer(x, self.node)}[{self.index_in_memory(x)}] = {name};")

    def index_in_memory(self, x: Value) -> str:
        """Where this thread's element of a value of the group lies in it."""
        return "0" if x.size == 1 else self.at.linear()

    def write(self, x: Value, pointer: str, at: Range) -> None:
        """Copy x there."""
        self.lines.append(f"{pointer}[{self.at.linear()}] = {self.value(x)};")
        self.node.writes.append(at)


class _RowScope(_Scope):
    """Values of one width in a row; what there is one of in each row belongs to the row."""

    def __init__(self, rows: "_Rows", width: int) -> None:
        super().__init__(rows.writer, rows.node, rows.operations, _InRow((rows.n_rows, width)))
        self.rows, self.width = rows, width

    def value(self, x: Value) -> str:
        if self.width > 1 and x.owner in self.group and x.owner.size == self.rows.n_rows:
            return self.rows.numbers.value(x)
        return super().value(x)

    def computed(self, x: Value) -> str:
        if x not in self.names and x.operation in REDUCTIONS:
            raise AssertionError("a reduction comes before what needs it")
        return super().computed(x)

    def new_name(self) -> str:
        return self.rows.new_name()


class _Rows:
    """The body of a group whose rows are reduced."""

    def __init__(self, writer: _Writer, node: Node, operations: list[Value], n_rows: int, is_narrow: bool) -> None:
        self.writer, self.node, self.operations, self.n_rows = writer, node, operations, n_rows
        self.is_narrow = is_narrow
        self._count = 0
        self.numbers = _RowScope(self, 1)

    def new_name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def text(self) -> str:
        if self.is_narrow:
            head = [f"const int r = block * {THREADS} + threadIdx.x;", f"if (r >= {self.n_rows}) return;"]
        else:
            head = ["const int r = block;"]
        lines = self.numbers.lines
        for x in (x for x in self.operations if x.operation in REDUCTIONS):
            self._reduce(x, lines)
        stored = [x for x in self.operations if self.writer.place(x)[0] != REGISTERS]
        for width in sorted({x.size // self.n_rows for x in stored} - {1}):
            scope = _RowScope(self, width)
            scope.store([x for x in stored if x.size == width * self.n_rows])
            lines.append(self._loop(width, scope.lines))
        numbers = [x for x in stored if x.size == self.n_rows]
        names = [self.numbers.value(x) for x in numbers]
        stores = []
        for x, name in zip(numbers, names, strict=True):
            self.node.writes.append(self.writer.range(x))
            stores.append(f"{self.writer.pointer(x, self.node)}[r] = {name};")
        if stores and not self.is_narrow:
            lines += ["__syncthreads();", _braced("if (threadIdx.x == 0)", stores)]
        else:
            lines += stores
        return "\n".join([*head, *lines])

    def _reduce(self, x: Value, lines: list[str]) -> None:
        """A reduction of the row, which becomes one of its numbers."""
        (of,) = x.operands
        width, kind = of.size // self.n_rows, type_name(x.dtype)
        scope = _RowScope(self, width)
        scope.at = _InRow(of.shape)
        element = scope.value(of)
        name = self.new_name()
        inside = [f"{kind} a = {identity(x)};", self._loop(width, [*scope.lines, combined(x, "a", element)])]
        end = [f"{name} = a;"] if self.is_narrow else [*_tree(x, THREADS), f"{name} = s[0];"]
        lines += [f"{kind} {name};", _braced("", [*inside, *end])]
        self.numbers.names[x] = name

    def _loop(self, width: int, lines: list[str]) -> str:
        start, step = ("0", "1") if self.is_narrow else ("threadIdx.x", str(THREADS))
        return _braced(f"for (int j = {start}; j < {width}; j += {step})", lines)


# --- launches


class _Schedule:
    """Products as early as they can be, and all bodies that are ready in one launch before them."""

    def __init__(self, writer: _Writer, sliding: dict[int, int]) -> None:
        self.writer, self.sliding = writer, sliding
        nodes = writer.nodes
        self.waits = {b: {a for a in nodes[:k] if b.must_follow(a)} for k, b in enumerate(nodes)}
        self.texts: list[str] = []
        self.launches: list[Kernel | Product] = []

    def source(self) -> Source:
        left, done = list(self.writer.nodes), set[Node]()
        while left:
            ready = [node for node in left if self.waits[node] <= done]
            products = [node for node in ready if node.product is not None]
            if products:
                self.launches += [node.product for node in products if node.product is not None]
                made = products
            else:
                made = self._launch(ready, left, done)
            done.update(made)
            left = [node for node in left if node not in done]
        text = "\n".join([PRELUDE, *self.texts])
        return Source(text, self.launches, self.writer.constants, self.writer.memory)

    def _launch(self, ready: list[Node], left: list[Node], done: set[Node]) -> list[Node]:
        """One kernel of these bodies, each in its own blocks; small ones that need one another share a block."""
        sequences = [[node] for node in ready]
        made = set(ready)
        for node in left:
            missing = self.waits[node] - done
            if node.blocks != 1 or node in made:
                continue
            home = next((s for s in sequences if all(x.blocks == 1 for x in s) and missing <= set(s)), None)
            if home is not None:
                home.append(node)
                made.add(node)
        self._write(sequences)
        return [*made]

    def _write(self, sequences: list[list[Node]]) -> None:
        roots = sorted({root for s in sequences for node in s for root in node.roots})
        parameters = ", ".join(f"char* {_root(root)}" for root in roots)
        arguments = "".join(f", {_root(root)}" for root in roots)
        begin, lines = 0, list[str]()
        for s in sequences:
            calls = []
            for node in s:
                name = f"body{len(self.texts)}"
                self.texts.append(_braced(f"static __device__ void {name}(int block, {parameters})", [node.body]))
                calls.append(f"{name}((int)blockIdx.x - {begin}{arguments});")
            end = begin + max(node.blocks for node in s)
            lines.append(
                _braced(
                    f"if (blockIdx.x >= {begin} && blockIdx.x < {end})", "\n__syncthreads();\n".join(calls).split("\n")
                )
            )
            begin = end
        slides = [root for root in roots if root in self.sliding]
        moved = [f"{_root(root)} += *(const long long*)counter * {self.sliding[root]}LL;" for root in slides]
        name = f"kernel{len(self.launches)}"
        head = f'extern "C" __global__ void __launch_bounds__({THREADS}) {name}({parameters}'
        self.texts.append(_braced(head + (", const char* counter)" if slides else ")"), [*moved, *lines]))
        self.launches.append(Kernel(name, begin, (*roots, *((COUNTER,) if slides else ()))))
