"""The parts of a plan: items, which are operations that run together, and the places of values in memory."""

from dataclasses import dataclass
from typing import NamedTuple

from .recorded_values import ELEMENTWISE, REDUCTIONS, Shape, Value

MEMORY, SCRATCH, REGISTERS = -1, -2, -3
"""Roots of places: the plan's memory, that of a block of rows, and the registers of a kernel."""
ALIGNMENT = 64


def rounded(n_bytes: int, to: int = ALIGNMENT) -> int:
    """The next multiple, of a cache line by default."""
    return -(-n_bytes // to) * to


class Place(NamedTuple):
    """Where an array begins: in an input (its number), or in one of the roots above; in bytes."""

    root: int
    offset: int


@dataclass(eq=False)
class Item:
    """Operations that run together: a group over ``n_rows`` rows (0 for a group of scalars), or one operation alone.

    ``block`` is the number of rows that a group computes at a time, with ``scratch`` bytes for what it alone needs, and
    0 if each operation runs over all rows.
    """

    operations: list[Value]
    n_rows: int | None
    block: int = 0
    scratch: int = 0


def is_pointwise(x: Value) -> bool:
    """Whether each element depends on one element of each operand."""
    return x.base is None and (x.operation in ELEMENTWISE or x.operation in ("astype", "where", "copy", "bfloat16"))


def is_joined(x: Value) -> bool:
    """Whether x is a concatenation whose parts are contiguous in it, so that it is complete once they are computed."""
    return x.operation == "concat" and x.settings == (0,)


def rows_of(x: Value, value: Value) -> bool:
    """Whether an operand is cut into blocks of rows along with the result of its operation."""
    if value.operation == "take" and x is value.operands[0]:
        return False
    like = value.operands[0] if value.operation in REDUCTIONS else value
    return x.ndim == like.ndim and x.ndim > 0 and x.shape[0] == like.shape[0]


def value_like(other: Value, operation: str, operands: tuple[Value, ...], shape: Shape, settings: tuple = ()) -> Value:
    """A new value of the same dtype and site as another one."""
    return Value(operation, operands, settings, shape, other.dtype, other.site)


def copy_of(value: Value) -> Value:
    """The operation that copies a value."""
    return value_like(value, "copy", (value,), value.shape)
