"""When each value of a program is computed and where it lies, decided before anything is allocated.

- What no output needs is left out, and a view costs nothing.
- Neighbours whose rows depend on the same rows alone form a group: one kernel, or blocks of rows that stay in a cache.
- The parts of a concatenation are computed in their places, and an elementwise operation on a long concatenation is one
  on each part, so that no long vector is put together only to fall apart again.
- A value that is no longer needed lends its memory to the next one. Outputs may overwrite inputs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .recorder import ELEMENTWISE, REDUCTIONS, Program, Shape, Value

BLOCK = 1 << 15
"""Elements of a block of rows: a few arrays of so many stay in a core's cache."""
MOST_BLOCKS = 1 << 10
ALIGNMENT = 64


class Place(NamedTuple):
    """Where an array begins: in an input (its number), in the plan's memory or in a block's; in bytes."""

    root: int
    offset: int


MEMORY, SCRATCH = -1, -2


@dataclass(eq=False)
class Item:
    """Operations that run together: a group over ``n_rows`` rows (0 for a group of scalars), or one operation alone.

    ``block`` is the number of rows that a group computes at a time, with ``scratch`` bytes for what it alone needs, and
    0 where each operation runs over all rows.
    """

    operations: list[Value]
    n_rows: int | None
    block: int = 0
    scratch: int = 0


@dataclass(frozen=True, eq=False)
class Plan:
    """A program in order of execution.

    Attributes
    ----------
    items : list of Item
    places : dict
        Where each value lies that is neither a view nor a constant.
    copies : list of (Value, int)
        Outputs that are copied to an input at the end, as they could not be computed there.
    outputs : list of Value
    memory : int
        Bytes of all that lies in no input.
    """

    program: Program
    items: list[Item]
    places: dict[Value, Place]
    copies: list[tuple[Value, int]]
    outputs: list[Value]
    memory: int


def plan(program: Program, overwrites: Mapping[int, int] | None = None) -> Plan:
    """The plan of a program.

    Parameters
    ----------
    program : Program
    overwrites : mapping of int to int, optional
        Output: the input, of the same shape and dtype, in whose memory it lies at the end.
    """
    order, outputs = _with_long_vectors_in_parts(program)
    for k, x in enumerate(outputs):
        if x.base is not None or not x.operands or x in set(outputs[:k]):
            outputs[k] = _copy(x)
            order.append(outputs[k])
    order, homes = _parts_in_their_places(_needed(order, outputs), set(outputs))
    return _Arrangement(program, _grouped(order, homes), homes, outputs).plan(overwrites or {})


# --- what is computed


def is_pointwise(x: Value) -> bool:
    """Whether each element depends on one element of each operand."""
    return x.base is None and (x.operation in ELEMENTWISE or x.operation in ("astype", "where", "copy"))


def _made(like: Value, operation: str, operands: tuple[Value, ...], shape: Shape) -> Value:
    value = Value(like.program, operation, operands, like.settings, shape, like.dtype)
    value.site = like.site
    return value


def _copy(x: Value) -> Value:
    copied = _made(x, "copy", (x,), x.shape)
    copied.settings = ()
    return copied


def _window(x: Value, start: int, stop: int) -> Value:
    """A part of a vector, as a view."""
    view = _made(x, "index", (x,), (stop - start,))
    view.base, view.offset, view.strides = x.owner, x.offset + start * x.strides[0], x.strides
    return view


def _with_long_vectors_in_parts(program: Program) -> tuple[list[Value], list[Value]]:
    """The values in order and the outputs; elementwise operations on long concatenations are concatenations of such."""
    now: dict[Value, Value] = {}
    order: list[Value] = []
    for value in program.values:
        operands = tuple(now[x] for x in value.operands)
        new = value
        if any(x is not old for x, old in zip(operands, value.operands, strict=True)):
            new = _made(value, value.operation, operands, value.shape)
            if value.base is not None:
                new.base, new.offset, new.strides = now[value.base], value.offset, value.strides
        joined = _to_cut_along(new)
        if joined is not None:
            parts, at = [], 0
            for part in joined.operands:
                stop = at + part.size
                windows = [_part(x, at, stop) if x.shape == new.shape else x for x in operands]
                order += [x for x in windows if x.base is not None]
                parts.append(_made(new, new.operation, tuple(windows), (part.size,)))
                at = stop
            order += parts
            new = _made(new, "concat", tuple(parts), new.shape)
            new.settings = (0,)
        now[value] = new
        order.append(new)
    return order, [now[x] for x in program.outputs]


def _to_cut_along(value: Value) -> Value | None:
    """The concatenation along whose parts an elementwise operation on long vectors may be cut."""
    if not is_pointwise(value) or value.ndim != 1 or value.size <= BLOCK:
        return None
    if any(x.shape != value.shape and x.size != 1 for x in value.operands):
        return None
    return next((x for x in value.operands if x.operation == "concat" and x.shape == value.shape), None)


def _part(x: Value, start: int, stop: int) -> Value:
    at = 0
    for part in x.operands if x.operation == "concat" else ():
        if (at, at + part.size) == (start, stop):
            return part
        at += part.size
    return _window(x, start, stop)


def _needed(order: list[Value], outputs: list[Value]) -> list[Value]:
    needed = set(outputs)
    for x in reversed(order):
        if x in needed:
            needed.update(x.operands)
            needed.add(x.owner)
    return [x for x in dict.fromkeys(order) if x in needed]


class Home(NamedTuple):
    """The concatenation that a value is a part of, and its offset there in bytes."""

    joined: Value
    offset: int


def _parts_in_their_places(order: list[Value], outputs: set[Value]) -> tuple[list[Value], dict[Value, Home]]:
    """The order, with copies of parts that can't be computed in their places; and where each part lies."""
    homes: dict[Value, Home] = {}
    found: list[Value] = []
    for value in order:
        at = 0
        for part in value.operands if _is_joined(value) else ():
            owner = part.owner
            is_whole = part.is_contiguous and part.size == owner.size
            if not is_whole or not owner.operands or owner in homes or owner in outputs:
                owner = _copy(part)
                found.append(owner)
            homes[owner] = Home(value, at * value.dtype.itemsize)
            at += part.size
        found.append(value)
    return found, homes


def _is_joined(x: Value) -> bool:
    """Whether x is a concatenation whose parts lie one after the other, so that it is there once they are."""
    return x.operation == "concat" and x.settings == (0,)


# --- in which order


def _grouped(order: list[Value], homes: dict[Value, Home]) -> list[Item]:
    """The operations as items: each joins the last group that it fits into, if only groups have come since."""
    items: list[Item] = []
    at: dict[Value, int] = {}
    for value in order:
        if value.base is not None or not value.operands:
            continue
        if _is_joined(value):
            at[value] = max(at[x] for x, home in homes.items() if home.joined is value)
            continue
        latest = max((at.get(x.owner, -1) for x in value.operands), default=-1)
        n_rows = _rows(value)
        k = _group_to_join(items, at, value, n_rows, latest)
        if k is None:
            k = len(items)
            items.append(Item([], n_rows))
        items[k].operations.append(value)
        at[value] = k
    for item in items:
        _cut_into_blocks(item)
    return items


def _group_to_join(
    items: list[Item], at: dict[Value, int], value: Value, n_rows: int | None, latest: int
) -> int | None:
    for k in range(len(items) - 1, max(latest, 0) - 1, -1):
        if n_rows is None or items[k].n_rows is None:
            return None
        if items[k].n_rows == n_rows:
            inside = [x for x in value.operands if at.get(x.owner) == k]
            return k if n_rows == 0 or all(rows_of(x, value) and _has_the_owners_rows(x) for x in inside) else None
    return None


def _rows(x: Value) -> int | None:
    """The number of rows over which an operation can run in blocks, 0 for one of scalars, None where it can't."""
    if is_pointwise(x):
        return x.shape[0] if x.shape else 0
    if x.operation in REDUCTIONS and 0 not in x.settings[0] and x.operands[0].ndim > 1:
        return x.operands[0].shape[0]
    return None


def _has_the_owners_rows(x: Value) -> bool:
    """Whether row i of x lies within row i of the value that it is a view of."""
    owner = x.owner
    inner = x.offset + sum((n - 1) * s for n, s in zip(x.shape[1:], x.strides[1:], strict=True))
    alike = owner.shape[:1] == x.shape[:1] and owner.strides[:1] == x.strides[:1] and not _is_joined(owner)
    return alike and min(x.strides) >= 0 and inner < max(1, owner.strides[0])


def rows_of(x: Value, value: Value) -> bool:
    """Whether an operand is cut into blocks of rows along with the result of its operation."""
    like = value.operands[0] if value.operation in REDUCTIONS else value
    return x.ndim == like.ndim and x.ndim > 0 and x.shape[0] == like.shape[0]


def _cut_into_blocks(item: Item) -> None:
    widest = max((max(x.size, *(y.size for y in x.operands)) for x in item.operations), default=0)
    if item.n_rows and widest > BLOCK:
        elements = max(BLOCK, widest // MOST_BLOCKS)
        item.block = max(1, elements * item.n_rows // widest)


# --- and where


class _Arrangement:
    """Finds a place for every value, by the times at which it is written and read."""

    def __init__(self, program: Program, items: list[Item], homes: dict[Value, Home], outputs: list[Value]) -> None:
        self.program, self.items, self.homes, self.outputs = program, items, homes, outputs
        self.places: dict[Value, Place] = {}
        self.copies: list[tuple[Value, int]] = []
        self.time: dict[Value, tuple[int, int]] = {}
        """When an operation runs: its slot, and its number among the operations of the slot."""
        self.reads: dict[Value, list[tuple[Value, Value]]] = {}
        """For each value, who reads it or a view of it: (operation, operand)."""
        self.end = 0
        for item in items:
            for i, value in enumerate(item.operations):
                self.time[value] = (self.end, i) if item.block else (self.end, 0)
                for x in value.operands:
                    self.reads.setdefault(x.owner, []).append((value, x))
                self.end += not item.block
            self.end += bool(item.block)

    def plan(self, overwrites: Mapping[int, int]) -> Plan:
        """The plan, its outputs in place of these inputs."""
        for k, j in overwrites.items():
            self._write_over(self.outputs[k], j)
        for item in self.items:
            local = [x for x in item.operations if item.block and self._is_local(x, item)]
            spans = [_Span(x, self.time[x][1], self._last(x, 1), _row(x) * item.block) for x in local]
            item.scratch = self._arrange(spans, SCRATCH)
        memory = self._arrange(list(self._spans()), MEMORY)
        for value in self.homes:
            root, offset = self._root(value)
            self.places[value] = Place(self.places[root].root, self.places[root].offset + offset)
        return Plan(self.program, self.items, self.places, self.copies, self.outputs, memory)

    # --- outputs in place of inputs

    def _write_over(self, output: Value, j: int) -> None:
        if all(self._may_write(new, at, self.program.inputs[j]) for new, at in self._parts(output, 0)):
            self.places[output] = Place(j, 0)
        else:
            self.copies.append((output, j))

    def _parts(self, value: Value, offset: int) -> Iterator[tuple[Value, int]]:
        """The operations that make a value, with their offsets in it in bytes."""
        if not _is_joined(value):
            yield value, offset
        for part, home in self.homes.items():
            if home.joined is value:
                yield from self._parts(part, offset + home.offset)

    def _may_write(self, new: Value, offset: int, old: Value) -> bool:
        """Whether nobody will read what is old there once the new value has been written, at this offset in bytes."""
        start = offset // new.dtype.itemsize
        for reader, x in self.reads.get(old, ()):
            first, last = _extent(x)
            if last < start or first >= start + new.size or self.time[reader][0] < self.time[new][0]:
                continue
            is_earlier = self.time[reader] <= self.time[new]
            is_the_same = x.is_contiguous and x.offset == start and x.shape == new.shape
            # Where a condition chooses, the second choice is written first.
            may_share = reader is not new or (is_pointwise(new) and (new.operation != "where" or x is new.operands[2]))
            if not (is_earlier and is_the_same and may_share):
                return False
        return True

    # --- memory

    def _root(self, value: Value) -> tuple[Value, int]:
        """What a value is a part of in the end, and its offset there in bytes."""
        offset = 0
        while value in self.homes:
            value, at = self.homes[value]
            offset += at
        return value, offset

    def _last(self, value: Value, i: int = 0) -> int:
        """When a value is read for the last time: the slot, or the number within it."""
        return max((self.time[reader][i] for reader, _ in self.reads.get(value, ())), default=self.time[value][i])

    def _is_local(self, value: Value, item: Item) -> bool:
        if value in self.homes or value in self.places or value in set(self.outputs):
            return False
        mine = set(item.operations)
        return all(reader in mine for reader, _ in self.reads.get(value, ()))

    def _spans(self) -> Iterator["_Span"]:
        """What lies in the plan's memory, from its first to its last use."""
        used: dict[Value, list[int]] = {}
        outputs = set(self.outputs)
        for value in (*self.time, *dict.fromkeys(home.joined for home in self.homes.values())):
            root, _ = self._root(value)
            if root not in self.places:
                times = [self.time[value][0]] if value in self.time else []
                times += [self.time[reader][0] for reader, _ in self.reads.get(value, ())]
                used.setdefault(root, []).extend([*times, self.end] if value in outputs else times)
        for value, times in used.items():
            yield _Span(value, min(times), max(times), value.nbytes)

    def _arrange(self, spans: list["_Span"], root: int) -> int:
        """Give each span a place, the lowest that is free or that of an operand it may overwrite; bytes in all."""
        busy: dict[Value, tuple[int, _Span]] = {}
        total = 0
        for span in sorted(spans, key=lambda span: span.start):
            busy = {x: held for x, held in busy.items() if held[1].end >= span.start}
            offset = self._inherited(span, busy)
            if offset is None:
                offset = 0
                for at, other in sorted(busy.values(), key=lambda held: held[0]):
                    if offset + span.nbytes <= at:
                        break
                    offset = max(offset, -(-(at + other.nbytes) // ALIGNMENT) * ALIGNMENT)
            busy[span.value] = offset, span
            self.places[span.value] = Place(root, offset)
            total = max(total, offset + span.nbytes)
        return total

    def _inherited(self, span: "_Span", busy: dict) -> int | None:
        if not is_pointwise(span.value):
            return None
        for x in span.value.operands:
            old = x.owner
            if old not in busy or _is_joined(old) or old.nbytes != span.value.nbytes:
                continue
            offset, held = busy[old]
            if held.end == span.start and self._may_write(span.value, 0, old):
                del busy[old]
                return offset
        return None


class _Span(NamedTuple):
    """Bytes that a value needs from one time to another."""

    value: Value
    start: int
    end: int
    nbytes: int


def _row(x: Value) -> int:
    return x.nbytes // x.shape[0]


def _extent(x: Value) -> tuple[int, int]:
    """The first and the last element of its owner that a view reads."""
    reach = [(n - 1) * s for n, s in zip(x.shape, x.strides, strict=True)]
    return x.offset + sum(min(0, r) for r in reach), x.offset + sum(max(0, r) for r in reach)
