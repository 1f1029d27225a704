"""The C variables of one thread of a kernel."""

from collections.abc import Iterable, Sequence
from typing import Any

from ..plan_items import REGISTERS
from ..recorded_values import Value
from . import indices
from .expressions import expression, literal, type_name
from .indices import Element
from .memory import Memory, Node, Range, root_name


class Variables:
    """One variable for each value of a group that has been computed, and for each element that has been loaded.

    ``at`` is the element that the thread computes; ``lines`` are the C statements so far.
    """

    def __init__(self, memory: Memory, node: Node, group: Sequence[Value], at: Element) -> None:
        self.memory, self.node, self.group, self.at = memory, node, set(group), at
        self.lines: list[str] = []
        self.names: dict[Any, str] = {}
        self._count = 0

    def value(self, x: Value) -> str:
        """The variable that holds this thread's element of x, or a literal if x is a constant number."""
        if x.data is not None and x.size == 1:
            return literal(x.data.reshape(()), x.dtype)
        return self.computed(x.owner) if x.owner in self.group else self._loaded(x)

    def computed(self, x: Value) -> str:
        """The variable of a value of the group, which is computed if there is none yet."""
        if x not in self.names:
            outside, self.at = self.at, self.at.like(x.shape)
            self.names[x] = self._declared(x, self._right_side(x))
            self.at = outside
        return self.names[x]

    def _right_side(self, x: Value) -> str:
        """The C expression that computes an element of x."""
        if x.operation == "take":
            return self._taken(x)
        if x.operation == "concat":
            return self._from_a_part(x)
        return expression(x, [self.value(y) for y in x.operands])

    def _loaded(self, x: Value) -> str:
        """The variable of an element that is loaded from memory, once."""
        key = x.owner, indices.index_of(x, self.at)
        if key not in self.names:
            self.names[key] = self._declared(x, f"{self.memory.source(x, self.node)}[{key[1]}]")
        return self.names[key]

    def _taken(self, x: Value) -> str:
        """An element of ``take``: its index along the axis is read from the array of indices."""
        (of, positions), (axis,) = x.operands, x.settings
        at = f"{self.at.coordinate(axis)} * {positions.strides[0]} + {positions.offset}"
        which, n = f"{self.memory.source(positions, self.node)}[{at}]", of.shape[axis]
        k = self._declared(positions, f"{which} < 0 ? {which} + {n} : {which}")
        return f"{self.memory.source(of, self.node)}[{self._index_with(of, axis, k)}]"

    def _from_a_part(self, x: Value) -> str:
        """An element of ``concat``: it is read from the part that it lies in."""
        (axis,) = x.settings
        along, stop, read, choices = self.at.coordinate(axis), 0, "", list[str]()
        for part in x.operands:
            read = f"{self.memory.source(part, self.node)}[{self._index_with(part, axis, f'({along} - {stop})')}]"
            stop += part.shape[axis]
            choices.append(f"{along} < {stop} ? {read} : ")
        return "".join(choices[:-1]) + read

    def _index_with(self, x: Value, axis: int, index: str) -> str:
        """The index of this element in x's owner, with another index along one axis."""
        terms = [
            f"(long long){index if i == axis else self.at.coordinate(i)} * {stride}"
            for i, (n, stride) in enumerate(zip(x.shape, x.strides, strict=True))
            if stride != 0 and (n > 1 or i == axis)
        ]
        return " + ".join([*terms, str(x.offset)])

    def _declared(self, x: Value, right_side: str) -> str:
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
        stored = [x for x in values if self.memory.place(x)[0] != REGISTERS]
        names = [self.value(x) for x in stored]
        for x, name in zip(stored, names, strict=True):
            index = "0" if x.size == 1 else self.at.linear()
            self.lines.append(f"{self.memory.target(x, self.node)}[{index}] = {name};")

    def copy(self, x: Value, root: int) -> None:
        """Copy x to the beginning of a root."""
        self.node.roots.add(root)
        self.node.writes.append(Range(root, 0, x.nbytes))
        self.lines.append(f"(({type_name(x.dtype)}*){root_name(root)})[{self.at.linear()}] = {self.value(x)};")
