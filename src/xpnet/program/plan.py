"""When each value of a program is computed and where it lies, decided before anything is allocated.

- What no output needs is left out, and a view costs nothing.
- Neighbours whose rows depend on the same rows alone form a group: one kernel, or blocks of rows that stay in a cache.
- The parts of a concatenation are computed in their places, and an elementwise operation on a long concatenation is one
  on each part, so that no long vector is put together only to fall apart again.
- A value that is no longer needed hands its memory on to another. Outputs may overwrite inputs.

A plan for a GPU makes one kernel of each group: what only the group needs stays in registers.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .values import ELEMENTWISE, REDUCTIONS, Program, Shape, Value

BLOCK = 1 << 17
"""Elements of a block of rows: a few arrays of so many stay in a core's cache. Longer vectors are in parts."""
MOST_BLOCKS = 1 << 10
SMALL = 1 << 16
"""The size in bytes up to which values of a plan for a GPU do not share memory, so that no operation waits for it."""
ALIGNMENT = 64


def rounded(n_bytes: int, to: int = ALIGNMENT) -> int:
    """The next multiple, of a cache line by default."""
    return -(-n_bytes // to) * to


class Place(NamedTuple):
    """Where an array begins: in an input (its number), in the plan's memory or in a block's; in bytes."""

    root: int
    offset: int


MEMORY, SCRATCH, REGISTERS = -1, -2, -3


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
        Bytes of all that lies in no input; at their end lies what a group in blocks alone needs.
    """

    program: Program
    items: list[Item]
    places: dict[Value, Place]
    copies: list[tuple[Value, int]]
    outputs: list[Value]
    memory: int


def plan(program: Program, overwrites: Mapping[int, int] | None = None, has_kernels: bool = False) -> Plan:
    """The plan of a program.

    Parameters
    ----------
    program : Program
    overwrites : mapping of int to int, optional
        Output: the input, of the same shape and dtype, in whose memory it lies at the end.
    has_kernels : bool
        Whether a group is one kernel of a GPU, whose rows all run at once. By default it is calls of NumPy.
    """
    order, outputs = _InParts(program, has_kernels).order_and_outputs()
    for k, x in enumerate(outputs):
        if x.base is not None or not x.operands or x in outputs[:k]:
            outputs[k] = _copy(x)
            order.append(outputs[k])
    order, homes = _parts_in_their_places(_needed(order, outputs), outputs)
    written = {op: (j, at) for k, j in (overwrites or {}).items() for op, at in _makers(outputs[k], homes)}
    items = _in_good_time(_grouped(order, homes, has_kernels), homes, written, program.inputs)
    return _Arrangement(program, items, homes, outputs, has_kernels).plan(overwrites or {}, written)


# --- what is computed


def is_pointwise(x: Value) -> bool:
    """Whether each element depends on one element of each operand."""
    return x.base is None and (x.operation in ELEMENTWISE or x.operation in ("astype", "where", "copy", "bfloat16"))


def _made(like: Value, operation: str, operands: tuple[Value, ...], shape: Shape, settings: tuple = ()) -> Value:
    return Value(operation, operands, settings, shape, like.dtype, like.site)


def _copy(x: Value) -> Value:
    return _made(x, "copy", (x,), x.shape)


def _is_joined(x: Value) -> bool:
    """Whether x is a concatenation whose parts lie one after the other, so that it is there once they are."""
    return x.operation == "concat" and x.settings == (0,)


class _InParts:
    """The values of a program, whose elementwise operations on long concatenations are concatenations of such.

    Kernels do not mind how long a vector is: they take apart what has a part that they can compute along with the rest.
    """

    def __init__(self, program: Program, has_kernels: bool) -> None:
        self.program, self.has_kernels = program, has_kernels
        self.order: list[Value] = []
        self._known: dict[tuple[Value, int, int], Value] = {}

    def order_and_outputs(self) -> tuple[list[Value], list[Value]]:
        """The values in order, and those that are the program's outputs."""
        now: dict[Value, Value] = {}
        for value in self.program.values:
            operands = tuple(now[x] for x in value.operands)
            new = value if operands == value.operands else _made(value, value.operation, operands, value.shape)
            if new is not value:
                new.settings = value.settings
                if value.base is not None:
                    new.base, new.offset, new.strides = now[value.base], value.offset, value.strides
            parts = self._cut(new) if new.base is None else self._window(new)
            if len(parts) > 1:
                new = _made(new, "concat", tuple(parts), new.shape, (0,))
            elif parts:
                new = parts[0]
            now[value] = new
            self.order.append(new)
        return self.order, [now[x] for x in self.program.outputs]

    def _cut(self, value: Value) -> list[Value]:
        """An elementwise operation on long vectors, as one on each part of a concatenation among its operands."""
        if not is_pointwise(value) or any(x.shape != value.shape and x.size != 1 for x in value.operands):
            return []
        parts = max((self._parts(x) for x in value.operands), key=len, default=[])
        return [self._part(value, at, at + part.size) for at, part in parts]

    def _parts(self, x: Value) -> list[tuple[int, Value]]:
        """The parts of a concatenation that is to be taken apart, and where they begin."""
        found: list[tuple[int, Value]] = []
        at = 0
        parts = x.operands if _is_joined(x) and x.ndim == 1 and self._is_to_be_cut(x) else ()
        for part in (part for part in parts if part.size):
            found += [(at + start, inside) for start, inside in self._parts(part)] or [(at, part)]
            at += part.size
        return found

    def _is_to_be_cut(self, x: Value) -> bool:
        return any(map(is_pointwise, x.operands)) if self.has_kernels else x.size > BLOCK

    def _window(self, view: Value) -> list[Value]:
        """The parts of a concatenation that a window of it consists of; none if it cuts one."""
        start, stop = view.offset, view.offset + view.size
        if view.ndim != 1 or view.strides != (1,):
            return []
        inside = [part for at, part in self._parts(view.owner) if at >= start and at + part.size <= stop]
        return inside if sum(part.size for part in inside) == view.size else []

    def _part(self, x: Value, start: int, stop: int) -> Value:
        """A part of a vector: of an elementwise operation it is the operation on parts."""
        if x.size == 1 or (start, stop) == (0, x.size):
            return x
        key = x, start, stop
        if key not in self._known:
            self._known[key] = self._new_part(x, start, stop)
            self.order.append(self._known[key])
        return self._known[key]

    def _new_part(self, x: Value, start: int, stop: int) -> Value:
        for at, part in self._parts(x):
            if at <= start and stop <= at + part.size:
                return self._part(part, start - at, stop - at)
        if is_pointwise(x) and all(y.shape == x.shape or y.size == 1 for y in x.operands):
            operands = tuple(self._part(y, start, stop) for y in x.operands)
            return _made(x, x.operation, operands, (stop - start,), x.settings)
        view = _made(x, "index", (x,), (stop - start,))
        view.base, view.offset, view.strides = x.owner, x.offset + start * x.strides[0], x.strides
        return view


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


def _parts_in_their_places(order: list[Value], outputs: list[Value]) -> tuple[list[Value], dict[Value, Home]]:
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


def _makers(value: Value, homes: dict[Value, Home], offset: int = 0) -> Iterator[tuple[Value, int]]:
    """The operations that make a value, and where in it they write, in bytes."""
    if not _is_joined(value):
        yield value, offset
    for part, home in homes.items():
        if home.joined is value:
            yield from _makers(part, homes, offset + home.offset)


def _around(value: Value, homes: dict[Value, Home]) -> Iterator[Home]:
    """The concatenations that a value lies in, from the inside to the outside."""
    offset = 0
    while value in homes:
        value, at = homes[value]
        offset += at
        yield Home(value, offset)


def _root(value: Value, homes: dict[Value, Home]) -> Home:
    """What a value is a part of in the end: itself if it is a part of nothing."""
    return [Home(value, 0), *_around(value, homes)][-1]


# --- in which order


def _grouped(order: list[Value], homes: dict[Value, Home], has_kernels: bool) -> list[Item]:
    """The operations as items: each joins the last group that it fits into, if only groups have come since."""
    items: list[Item] = []
    at: dict[Value, int] = {}
    for value in order:
        if _is_joined(value):
            at[value] = max(at[x] for x, home in homes.items() if home.joined is value)
        elif value.base is None and value.operands:
            n_rows, latest = _rows(value, has_kernels), max((at.get(x.owner, -1) for x in value.operands), default=-1)
            k = _group_to_join(items, at, value, n_rows, latest)
            if k is not None and has_kernels and not _fits_in(value, n_rows or 1, items[k].operations):
                k = None
            if k is None:
                k = len(items)
                items.append(Item([], n_rows))
            items[k].operations.append(value)
            at[value] = k
    for item in () if has_kernels else items:
        widest = max(max(x.size, *(y.size for y in x.operands)) for x in item.operations)
        if item.n_rows and widest > BLOCK:
            item.block = max(1, max(BLOCK, widest // MOST_BLOCKS) * item.n_rows // widest)
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


def _rows(x: Value, has_kernels: bool) -> int | None:
    """The number of rows over which an operation can run in blocks, 0 for one of scalars, None where it can't."""
    if is_pointwise(x):
        return x.shape[0] if x.shape else 0
    if x.operation in REDUCTIONS and 0 not in x.settings[0] and x.operands[0].ndim > 1:
        n_rows = x.operands[0].shape[0]
        return n_rows if x.size == n_rows or not has_kernels else None
    if x.operation == "take" and has_kernels and x.settings == (0,):
        return x.shape[0]
    return None


def _reads_first(reader: Value, new: Value) -> bool:
    """Whether a kernel of rows reads the operands of ``reader`` before it writes the result of ``new``.

    It reduces rows first, then computes the values of each width in a loop of its own, and writes values of one column
    last.
    """
    return reader.operation in REDUCTIONS or reader.size == new.size or new.size == math.prod(new.shape[:1])


def _fits_in(value: Value, n_rows: int, group: list[Value]) -> bool:
    """Whether element j of a row of the result depends on elements j of the group's rows alone, or on whole ones: a
    thread has no others at hand.
    """
    inside = [x for x in value.operands if x.owner in group]
    width = max(x.size for x in (value, *value.operands)) if value.operation in REDUCTIONS else value.size
    alike = (x.is_contiguous and x.size == x.owner.size and x.size in (n_rows, width) for x in inside)
    return value.operation != "take" and all(alike) if inside else True


def rows_of(x: Value, value: Value) -> bool:
    """Whether an operand is cut into blocks of rows along with the result of its operation."""
    if value.operation == "take" and x is value.operands[0]:
        return False
    like = value.operands[0] if value.operation in REDUCTIONS else value
    return x.ndim == like.ndim and x.ndim > 0 and x.shape[0] == like.shape[0]


def _has_the_owners_rows(x: Value) -> bool:
    """Whether row i of x lies within row i of the value that it is a view of."""
    owner = x.owner
    inner = x.offset + sum((n - 1) * s for n, s in zip(x.shape[1:], x.strides[1:], strict=True))
    alike = owner.shape[:1] == x.shape[:1] and owner.strides[:1] == x.strides[:1] and not _is_joined(owner)
    return alike and min(x.strides) >= 0 and inner < max(1, owner.strides[0])


def _in_good_time(
    items: list[Item], homes: dict[Value, Home], written: dict[Value, tuple[int, int]], inputs: list[Value]
) -> list[Item]:
    """Parameters are updated as soon as nobody needs the old ones, which frees their gradients' memory; so numbers that
    follow from inputs alone, such as a penalty, come first.
    """
    found = _numbers_of_inputs(items)
    for item in (item for item in items if item not in found):
        updates = [y for y in item.operations if y in written]
        if not updates:
            found.append(item)
            continue
        needed = {x.owner for y in item.operations for x in y.operands}
        needed |= {part for part in homes if any(home.joined in needed for home in _around(part, homes))}
        old = [(inputs[j], at // y.dtype.itemsize, y.size) for y in updates for j, at in [written[y]]]
        last = (i for i, other in enumerate(found) if needed & set(other.operations) or _reads(other, old))
        found.insert(1 + max(last, default=-1), item)
    return found


def _numbers_of_inputs(items: list[Item]) -> list[Item]:
    """What makes the numbers that follow from inputs alone."""
    follow: set[Value] = set()
    for item in items:
        inside = follow.union(item.operations)
        if all(x.owner in inside or not x.owner.operands for y in item.operations for x in y.operands):
            follow = inside
    found: list[Item] = []
    needed: set[Value] = set()
    for item in reversed(items):
        mine = set(item.operations)
        if mine <= follow and (mine & needed or any(y.size == 1 for y in mine)):
            found.insert(0, item)
            needed |= {x.owner for y in mine for x in y.operands}
    return found


def _reads(item: Item, windows: list[tuple[Value, int, int]]) -> bool:
    """Whether an item reads any of these windows: an input, the first element, and how many."""
    operands = ((x.owner, *x.extent) for y in item.operations for x in y.operands)
    return any(x is old and first < at + n and last >= at for x, first, last in operands for old, at, n in windows)


# --- and where


class _Span(NamedTuple):
    """Bytes that a value needs from one time to another."""

    value: Value
    start: int
    end: int
    nbytes: int


class _Arrangement:
    """Finds a place for every value, by the times at which it is written and read."""

    def __init__(
        self, program: Program, items: list[Item], homes: dict[Value, Home], outputs: list[Value], has_kernels: bool
    ) -> None:
        self.program, self.items, self.homes, self.outputs = program, items, homes, outputs
        self.has_kernels = has_kernels
        self.places: dict[Value, Place] = {}
        self.time: dict[Value, tuple[int, int]] = {}
        """When an operation runs: its slot, and its number among the operations of the slot."""
        self.reads: dict[Value, list[tuple[Value, Value]]] = {}
        """For each value, who reads it or a view of it: (operation, operand)."""
        self.end = 0
        for item in items:
            is_at_once = has_kernels or item.block > 0
            for i, value in enumerate(item.operations):
                self.time[value] = (self.end, i) if is_at_once else (self.end, 0)
                for x in value.operands:
                    self.reads.setdefault(x.owner, []).append((value, x))
                self.end += not is_at_once
            self.end += is_at_once

    def plan(self, overwrites: Mapping[int, int], written: dict[Value, tuple[int, int]]) -> Plan:
        """The plan, its outputs in place of these inputs."""
        may = {op: self._may_write(op, at, self.program.inputs[j]) for op, (j, at) in written.items()}
        copies = []
        for k, j in overwrites.items():
            if all(may[op] for op, _ in _makers(self.outputs[k], self.homes)):
                self.places[self.outputs[k]] = Place(j, 0)
            else:
                copies.append((self.outputs[k], j))
        for item in self.items:
            if self.has_kernels and item.n_rows is not None:
                local = [x for x in item.operations if self._is_local(x, item)]
                self.places |= {x: Place(REGISTERS, 0) for x in local}
            elif item.block:
                local = [x for x in item.operations if self._is_local(x, item)]
                row = {x: x.nbytes // x.shape[0] * item.block for x in local}
                spans = [_Span(x, self.time[x][1], self._last(x), row[x]) for x in local]
                item.scratch = self._arrange(spans, SCRATCH)
        memory = self._arrange(list(self._spans()), MEMORY)
        if any(item.block for item in self.items):
            memory = rounded(memory) + max(rounded(item.scratch) for item in self.items)
        for value in self.homes:
            root, offset = _root(value, self.homes)
            self.places[value] = Place(self.places[root].root, self.places[root].offset + offset)
        return Plan(self.program, self.items, self.places, copies, self.outputs, memory)

    def _may_write(self, new: Value, offset: int, old: Value) -> bool:
        """Whether nobody will read what is old there once the new value has been written, at this offset in bytes."""
        start = offset // new.dtype.itemsize
        for reader, x in self.reads.get(old, ()):
            first, last = x.extent
            if last < start or first >= start + new.size or self.time[reader][0] < self.time[new][0]:
                continue
            is_earlier = self.time[reader] <= self.time[new]
            is_the_same = x.is_contiguous and x.offset == start and x.shape == new.shape
            if reader is new:  # where a condition chooses, the second choice is written first
                may_share = is_pointwise(new) and (new.operation != "where" or x is new.operands[2])
            else:  # of the same group: a block of it may read no other rows, and a thread no other elements
                may_share = rows_of(x, reader) and (not self.has_kernels or _reads_first(reader, new))
            if not (is_earlier and is_the_same and may_share):
                return False
        return True

    def _last(self, value: Value) -> int:
        """Which operation of a value's own item is the last to read it."""
        return max((self.time[reader][1] for reader, _ in self.reads.get(value, ())), default=self.time[value][1])

    def _is_local(self, value: Value, item: Item) -> bool:
        if value in self.homes or value in self.places or value in self.outputs:
            return False
        return all(reader in item.operations for reader, _ in self.reads.get(value, ()))

    def _spans(self) -> Iterator[_Span]:
        """What lies in the plan's memory, from its first to its last use."""
        used: dict[Value, list[int]] = {}
        for value in (*self.time, *dict.fromkeys(home.joined for home in self.homes.values())):
            root, _ = _root(value, self.homes)
            if root not in self.places:
                times = used.setdefault(root, [])
                times += [self.time[x][0] for x in (value, *(reader for reader, _ in self.reads.get(value, ())))
                          if x in self.time]  # fmt: skip
                times += [self.end] * (value in self.outputs)
        for value, times in used.items():
            if self.has_kernels and value.nbytes <= SMALL:
                times += [0, self.end]
            yield _Span(value, min(times), max(times), value.nbytes)

    def _arrange(self, spans: list[_Span], root: int) -> int:
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
                    offset = max(offset, rounded(at + other.nbytes))
            busy[span.value] = offset, span
            self.places[span.value] = Place(root, offset)
            total = max(total, offset + span.nbytes)
        return total

    def _inherited(self, span: _Span, busy: dict) -> int | None:
        for x in span.value.operands if is_pointwise(span.value) else ():
            old = x.owner
            alike = old.nbytes == span.value.nbytes and old.dtype.itemsize == span.value.dtype.itemsize
            if old not in busy or _is_joined(old) or not alike:
                continue
            offset, held = busy[old]
            if held.end == span.start and self._may_write(span.value, 0, old):
                del busy[old]
                return offset
        return None
