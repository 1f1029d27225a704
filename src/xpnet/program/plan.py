"""When each value of a program is computed and where it lies, decided before anything is allocated.

- Operations that no output needs are left out, and views cost nothing.
- Neighbors whose rows depend on the same rows alone form a group: one kernel, or blocks of rows that stay in a cache.
- The parts of a concatenation are computed in their places, and an elementwise operation on a long concatenation is one
  on each part, so that long vectors need not be assembled.
- A value that is no longer needed leaves its memory to another one. Outputs may overwrite inputs.

A plan for a GPU makes one kernel of each group: values that only the group needs stay in registers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .concatenations import Homes, InParts
from .grouping import grouped, with_early_updates
from .memory_plan import Arrangement
from .plan_items import Item, Place, copy_of
from .recorded_values import Program, Value

BLOCK = 1 << 17
"""Elements of a block of rows: a few arrays of this size fit in a core's cache. Longer vectors are split."""
MOST_BLOCKS = 1 << 10


@dataclass(frozen=True, eq=False)
class Plan:
    """A program in order of execution. ``places``, ``copies`` and ``memory`` are those of :class:`Arrangement`."""

    program: Program
    items: list[Item]
    places: dict[Value, Place]
    copies: list[tuple[Value, int]]
    outputs: list[Value]
    memory: int


def plan(program: Program, overwrites: Mapping[int, int] | None = None, has_kernels: bool = False) -> Plan:
    """The plan of a program.

    ``overwrites`` are the outputs, by number, that replace an input of the same shape and dtype. With ``has_kernels`` a
    group is one kernel of a GPU, whose rows all run at once; by default it is calls of NumPy.
    """
    order, outputs = InParts(program, None if has_kernels else BLOCK).order_and_outputs()
    for k, x in enumerate(outputs):
        if x.base is not None or not x.operands or x in outputs[:k]:
            outputs[k] = copy_of(x)
            order.append(outputs[k])
    homes = Homes(_needed(order, outputs), outputs)
    items = grouped(homes, has_kernels)
    for item in () if has_kernels else items:
        widest = max(max(x.size, *(y.size for y in x.operands)) for x in item.operations)
        if item.n_rows and widest > BLOCK:
            item.block = max(1, max(BLOCK, widest // MOST_BLOCKS) * item.n_rows // widest)
    overwrites = overwrites or {}
    written = {op: (j, at) for k, j in overwrites.items() for op, at in homes.makers(outputs[k])}
    items = with_early_updates(items, homes, written, program.inputs)
    arrangement = Arrangement(items, homes, outputs, has_kernels)
    arrangement.arrange(program.inputs, overwrites, written)
    return Plan(program, items, arrangement.places, arrangement.copies, outputs, arrangement.memory)


def _needed(order: list[Value], outputs: list[Value]) -> list[Value]:
    """The values that outputs depend on, each once."""
    needed = set(outputs)
    for x in reversed(order):
        if x in needed:
            needed.update(x.operands)
            needed.add(x.owner)
    return [x for x in dict.fromkeys(order) if x in needed]
