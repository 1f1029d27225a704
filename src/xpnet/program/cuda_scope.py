"""The C variables of one thread of a kernel, and reductions over the threads of a block."""

from collections.abc import Iterable, Sequence
from typing import Any

from . import cuda_elements
from .cuda_elements import Elements
from .cuda_expressions import combined, expression, literal, type_name
from .cuda_memory import THREADS, Memory, Node, Range, root_name
from .plan import REGISTERS
from .recorder import Value


class Scope:
    """C variables: one for each value of the group that has been computed, and for each element that has been loaded.

    ``at`` is the element that the thread computes.
    """

    def __init__(self, memory: Memory, node: Node, group: Sequence[Value], at: Elements) -> None:
        self.memory, self.node, self.group, self.at = memory, node, set(group), at
        self.lines: list[str] = []
        self.names: dict[Any, str] = {}
        self._count = 0

    def value(self, x: Value) -> str:
        """The variable that holds this thread's element of x, or a literal if x is a constant number."""
        if x.data is not None and x.size == 1:
            return literal(x.data.reshape(()), x.dtype)
        if x.owner in self.group:
            return self.computed(x.owner)
        return self.loaded(x)

    def computed(self, x: Value) -> str:
        """The variable of a value of the group, which is computed if there is none yet."""
        if x not in self.names:
            outside, self.at = self.at, self.at.like(x.shape)
            self.names[x] = self.declared(x, self.right_side(x))
            self.at = outside
        return self.names[x]

    def right_side(self, x: Value) -> str:
        """The C expression that computes an element of x."""
        if x.operation == "take":
            return self._taken(x)
        if x.operation == "concat":
            return self._chosen(x)
        return expression(x, [self.value(y) for y in x.operands])

    def loaded(self, x: Value) -> str:
        """The variable of an element that is loaded from memory, once."""
        key = x.owner, cuda_elements.index_of(x, self.at)
        if key not in self.names:
            self.node.reads.append(self.memory.range(x))
            self.names[key] = self.declared(x, f"{self.memory.pointer(x, self.node)}[{key[1]}]")
        return self.names[key]

    def _taken(self, x: Value) -> str:
        """An element of ``take``: the index along the axis is read from the array of indices."""
        of, indices = x.operands
        (axis,) = x.settings
        self.node.reads += [self.memory.range(of), self.memory.range(indices)]
        at = f"{self.at.coordinate(axis)} * {indices.strides[0]} + {indices.offset}"
        which = f"{self.memory.pointer(indices, self.node)}[{at}]"
        n = of.shape[axis]
        k = self.declared(indices, f"{which} < 0 ? {which} + {n} : {which}")
        return f"{self.memory.pointer(of, self.node)}[{self._index_with(of, axis, k)}]"

    def _index_with(self, x: Value, axis: int, index: str) -> str:
        """The index of this element in x's owner, with another index along one axis."""
        terms = [
            f"(long long){index if i == axis else self.at.coordinate(i)} * {stride}"
            for i, (n, stride) in enumerate(zip(x.shape, x.strides, strict=True))
            if stride != 0 and (n > 1 or i == axis)
        ]
        return " + ".join([*terms, str(x.offset)])

    def _chosen(self, x: Value) -> str:
        """An element of ``concat``: it is read from the part that it lies in."""
        (axis,) = x.settings
        along = self.at.coordinate(axis)
        choices, start = [], 0
        for part in x.operands:
            self.node.reads.append(self.memory.range(part))
            index = self._index_with(part, axis, f"({along} - {start})")
            start += part.shape[axis]
            read = f"{self.memory.pointer(part, self.node)}[{index}]"
            choices.append((f"{along} < {start} ? {read} : ", read))
        return "".join(first for first, _ in choices[:-1]) + choices[-1][1]

    def declared(self, x: Value, right_side: str) -> str:
        """Declare a variable of x's type, and return its name."""
        name = self.new_name()
        self.lines.append(f"const {type_name(x.dtype)} {name} = {right_side};")
        return name

    def new_name(self) -> str:
        """A variable name that is not in use."""
        self._count += 1
        return f"v{self._count}"

    def store(self, values: Iterable[Value]) -> None:
        """Write these values of the group to memory, after everything has been read."""
        kept = [x for x in values if self.memory.place(x)[0] != REGISTERS]
        names = [self.value(x) for x in kept]
        for x, name in zip(kept, names, strict=True):
            self.node.writes.append(self.memory.range(x))
            self.lines.append(f"{self.memory.pointer(x, self.node)}[{self.index_in_memory(x)}] = {name};")

    def index_in_memory(self, x: Value) -> str:
        """The index of this thread's element in a value of the group."""
        return "0" if x.size == 1 else self.at.linear()

    def copy(self, x: Value, root: int) -> None:
        """Copy x to the beginning of a root."""
        self.node.roots.add(root)
        self.node.writes.append(Range(root, 0, x.nbytes))
        self.lines.append(f"(({type_name(x.dtype)}*){root_name(root)})[{self.at.linear()}] = {self.value(x)};")


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
