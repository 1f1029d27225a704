"""Where the values of a plan lie in memory."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .concatenations import Homes
from .plan_items import MEMORY, REGISTERS, SCRATCH, Item, Place, is_joined, is_pointwise, rounded, rows_of
from .recorded_values import REDUCTIONS, Value

SMALL = 1 << 16
"""The size in bytes up to which values of a plan for a GPU do not share memory, so that no operation waits for it."""


class Span(NamedTuple):
    """The bytes that a value needs from its first to its last use."""

    value: Value
    start: int
    end: int
    nbytes: int


class Arrangement:
    """Finds the ``places`` of all values except for views and constants, from when they are written and read.

    ``copies`` are the outputs that are copied to an input at the end, as they can't be computed there. ``memory`` is
    the size in bytes of everything outside the inputs; its end is the scratch memory of groups in blocks.
    """

    def __init__(self, items: list[Item], homes: Homes, outputs: list[Value], has_kernels: bool) -> None:
        self.items, self.homes, self.outputs, self.has_kernels = items, homes, outputs, has_kernels
        self.places: dict[Value, Place] = {}
        self.copies: list[tuple[Value, int]] = []
        self.memory = 0
        self._time: dict[Value, tuple[int, int]] = {}
        """When an operation runs: a time, and its number among the operations of that time."""
        self._reads: dict[Value, list[tuple[Value, Value]]] = {}
        """For each value, the pairs (operation, operand) that read it or a view of it."""
        self._end = 0
        for item in items:
            is_at_once = has_kernels or item.block > 0
            for i, value in enumerate(item.operations):
                self._time[value] = (self._end, i) if is_at_once else (self._end, 0)
                for x in value.operands:
                    self._reads.setdefault(x.owner, []).append((value, x))
                self._end += not is_at_once
            self._end += is_at_once

    def arrange(
        self, inputs: list[Value], overwrites: Mapping[int, int], written: dict[Value, tuple[int, int]]
    ) -> None:
        """Find all places; ``overwrites`` are the inputs that outputs replace, ``written`` the operations that do."""
        may = {op: self._may_write(op, at, inputs[j]) for op, (j, at) in written.items()}
        for k, j in overwrites.items():
            if all(may[op] for op, _ in self.homes.makers(self.outputs[k])):
                self.places[self.outputs[k]] = Place(j, 0)
            else:
                self.copies.append((self.outputs[k], j))
        for item in self.items:
            if self.has_kernels and item.n_rows is not None:
                self.places |= {x: Place(REGISTERS, 0) for x in self._local(item)}
            elif item.block:
                sizes = {x: x.nbytes // x.shape[0] * item.block for x in self._local(item)}
                spans = [Span(x, self._time[x][1], self._last(x), size) for x, size in sizes.items()]
                item.scratch = self._arranged(spans, SCRATCH)
        self.memory = self._arranged(list(self._spans()), MEMORY)
        if any(item.block for item in self.items):
            self.memory = rounded(self.memory) + max(rounded(item.scratch) for item in self.items)
        for value in self.homes:
            joined, offset = self.homes.root(value)
            self.places[value] = Place(self.places[joined].root, self.places[joined].offset + offset)

    def _may_write(self, new: Value, offset: int, old: Value) -> bool:
        """Whether a value may be written into an old one at this offset in bytes: no operation reads that later."""
        start = offset // new.dtype.itemsize
        for reader, x in self._reads.get(old, ()):
            first, last = x.extent
            if last < start or first >= start + new.size or self._time[reader][0] < self._time[new][0]:
                continue
            is_earlier = self._time[reader] <= self._time[new]
            is_the_same = x.is_contiguous and x.offset == start and x.shape == new.shape
            if reader is new:  # ``where`` writes its second choice before it reads the first one
                may_share = is_pointwise(new) and (new.operation != "where" or x is new.operands[2])
            else:  # in the same group a block may read no other rows, and a thread no other elements
                may_share = rows_of(x, reader) and (not self.has_kernels or _reads_first(reader, new))
            if not (is_earlier and is_the_same and may_share):
                return False
        return True

    def _readers(self, value: Value) -> list[Value]:
        return [reader for reader, _ in self._reads.get(value, ())]

    def _last(self, value: Value) -> int:
        """Which operation of a value's own item is the last to read it."""
        return max((self._time[reader][1] for reader in self._readers(value)), default=self._time[value][1])

    def _local(self, item: Item) -> list[Value]:
        """The values that only the item needs."""
        elsewhere = (self.homes, self.places, self.outputs)
        inside = [x for x in item.operations if not any(x in found for found in elsewhere)]
        return [x for x in inside if all(reader in item.operations for reader in self._readers(x))]

    def _spans(self) -> Iterator[Span]:
        """The values that lie in the plan's memory, from their first to their last use."""
        used: dict[Value, list[int]] = {}
        for value in (*self._time, *self.homes.parts):
            root, _ = self.homes.root(value)
            if root not in self.places:
                users = (x for x in (value, *self._readers(value)) if x in self._time)
                times = used.setdefault(root, [])
                times += [*(self._time[x][0] for x in users), *([self._end] if value in self.outputs else [])]
        for value, times in used.items():
            if self.has_kernels and value.nbytes <= SMALL:
                times += [0, self._end]
            yield Span(value, min(times), max(times), value.nbytes)

    def _arranged(self, spans: list[Span], root: int) -> int:
        """Give each span the lowest free place, or that of an operand it may overwrite; return the bytes in all."""
        busy: dict[Value, tuple[int, Span]] = {}
        total = 0
        for span in sorted(spans, key=lambda span: span.start):
            busy = {x: held for x, held in busy.items() if held[1].end >= span.start}
            offset = self._inherited(span, busy)
            if offset is None:
                offset = 0
                for at, other in sorted(busy.values(), key=lambda held: held[0]):
                    if offset + span.nbytes <= at:
                        break
                    offset = max(offset, rounded(at + other.nbytes))
            busy[span.value] = offset, span
            self.places[span.value] = Place(root, offset)
            total = max(total, offset + span.nbytes)
        return total

    def _inherited(self, span: Span, busy: dict[Value, tuple[int, Span]]) -> int | None:
        """The offset of an operand whose memory the value takes over; None if there is none."""
        for x in span.value.operands if is_pointwise(span.value) else ():
            old = x.owner
            alike = old.nbytes == span.value.nbytes and old.dtype.itemsize == span.value.dtype.itemsize
            if old not in busy or is_joined(old) or not alike:
                continue
            offset, held = busy[old]
            if held.end == span.start and self._may_write(span.value, 0, old):
                del busy[old]
                return offset
        return None


def _reads_first(reader: Value, new: Value) -> bool:
    """Whether a kernel of rows reads the operands of ``reader`` before it writes the result of ``new``.

    It reduces rows first, then computes the values of each width in a loop of its own, and writes values of one column
    last.
    """
    return reader.operation in REDUCTIONS or reader.size == new.size or new.size == math.prod(new.shape[:1])
