"""Concatenations: long ones are split, and the parts of the others are computed in their places."""

from collections.abc import Iterator
from typing import NamedTuple

from .plan_items import copy_of, is_joined, is_pointwise, value_like
from .recorded_values import Program, Value


class InParts:
    """The values of a program in which elementwise operations on long concatenations are concatenations themselves.

    Concatenations are long if they have more than ``longest`` elements. If that is None, as for kernels, they are split
    if a part of them is the result of an elementwise operation, however long they are.
    """

    def __init__(self, program: Program, longest: int | None) -> None:
        self.program, self.longest = program, longest
        self.order: list[Value] = []
        self._known: dict[tuple[Value, int, int], Value] = {}

    def order_and_outputs(self) -> tuple[list[Value], list[Value]]:
        """The values in order, and those that are the program's outputs."""
        now: dict[Value, Value] = {}
        for value in self.program.values:
            new = value.rebuilt(now)
            parts = self._cut(new) if new.base is None else self._window(new)
            if len(parts) > 1:
                new = value_like(new, "concat", tuple(parts), new.shape, (0,))
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
        """The parts of a concatenation that is to be split, and where they begin."""
        found: list[tuple[int, Value]] = []
        at = 0
        parts = x.operands if is_joined(x) and x.ndim == 1 and self._is_to_be_cut(x) else ()
        for part in (part for part in parts if part.size):
            found += [(at + start, inside) for start, inside in self._parts(part)] or [(at, part)]
            at += part.size
        return found

    def _is_to_be_cut(self, x: Value) -> bool:
        return any(map(is_pointwise, x.operands)) if self.longest is None else x.size > self.longest

    def _window(self, view: Value) -> list[Value]:
        """The parts that a contiguous view of a concatenation consists of; none if it cuts a part."""
        start, stop = view.offset, view.offset + view.size
        if view.ndim != 1 or view.strides != (1,):
            return []
        inside = [part for at, part in self._parts(view.owner) if at >= start and at + part.size <= stop]
        return inside if sum(part.size for part in inside) == view.size else []

    def _part(self, x: Value, start: int, stop: int) -> Value:
        """A part of a vector; if an elementwise operation makes the vector, the operation on parts of its operands."""
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
            return value_like(x, x.operation, operands, (stop - start,), x.settings)
        return x.viewed("index", x.offset + start * x.strides[0], (stop - start,), x.strides)


class Home(NamedTuple):
    """A concatenation that a value is a part of, and the value's offset there in bytes."""

    joined: Value
    offset: int


class Homes:
    """The places of the parts of concatenations.

    ``order`` are the given values, with copies of those parts that can't be computed in their places.
    """

    def __init__(self, order: list[Value], outputs: list[Value]) -> None:
        self.order: list[Value] = []
        self.parts: dict[Value, list[Value]] = {}
        self._home: dict[Value, Home] = {}
        for value in order:
            if is_joined(value):
                self.parts[value] = self._placed(value, outputs)
            self.order.append(value)

    def _placed(self, joined: Value, outputs: list[Value]) -> list[Value]:
        parts, at = [], 0
        for part in joined.operands:
            owner = part.owner
            is_whole = part.is_contiguous and part.size == owner.size
            if not is_whole or not owner.operands or owner in self._home or owner in outputs:
                owner = copy_of(part)
                self.order.append(owner)
            self._home[owner] = Home(joined, at * joined.dtype.itemsize)
            parts.append(owner)
            at += part.size
        return parts

    def __iter__(self) -> Iterator[Value]:
        """All parts."""
        return iter(self._home)

    def __contains__(self, value: Value) -> bool:
        return value in self._home

    def makers(self, value: Value, offset: int = 0) -> Iterator[tuple[Value, int]]:
        """The operations that make a value, and where in it they write, in bytes."""
        if not is_joined(value):
            yield value, offset
        for part in self.parts.get(value, ()):
            yield from self.makers(part, offset + self._home[part].offset)

    def around(self, value: Value) -> Iterator[Home]:
        """The concatenations that a value lies in, from the inside to the outside."""
        offset = 0
        while value in self._home:
            value, at = self._home[value]
            offset += at
            yield Home(value, offset)

    def root(self, value: Value) -> Home:
        """The outermost concatenation that a value lies in; the value itself if there is none."""
        return [Home(value, 0), *self.around(value)][-1]
