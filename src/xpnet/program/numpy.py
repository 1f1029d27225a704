"""A plan as a list of NumPy calls, whose arguments and outputs are prepared beforehand."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .plan import Plan
from .plan_items import ALIGNMENT, MEMORY, SCRATCH, Item, rounded, rows_of
from .recorded_values import ELEMENTWISE, REDUCTIONS, Shape, Value

Call = tuple[Callable, tuple]


class Replay:
    """A program over these arrays: ``replay()`` makes the ``calls`` that compute its ``outputs`` and allocates nothing.

    ``inputs`` are C-contiguous arrays, which are read in place each time and overwritten by outputs as the plan says.
    ``memory`` is used for everything else; it is allocated here if it is missing or too small, and replays that never
    run at the same time may share it.
    """

    def __init__(self, plan: Plan, inputs: Sequence[np.ndarray], memory: np.ndarray | None = None) -> None:
        for value, array in zip(plan.program.inputs, inputs, strict=True):
            if (value.shape, value.dtype) != (array.shape, array.dtype) or not array.flags.c_contiguous:
                raise ValueError(f"an input is {array.dtype}{array.shape}, and the program has {value!r}")
        self.memory = aligned(plan.memory) if memory is None or memory.size < plan.memory else memory
        self._places, self._inputs = plan.places, inputs
        self._arrays: dict[Value, np.ndarray] = dict(zip(plan.program.inputs, inputs, strict=True))
        self.calls: list[Call] = []
        for item in plan.items:
            scratch = self.memory[plan.memory - rounded(item.scratch) : plan.memory]
            self.calls += self._in_blocks(item, scratch) if item.block else self._at_once(item)
        self.calls += [(np.copyto, (inputs[j], self._array(value))) for value, j in plan.copies]
        self.outputs = [self._array(value) for value in plan.outputs]

    def __call__(self) -> None:
        for f, arguments in self.calls:
            f(*arguments)

    def in_turn(self) -> contextlib.AbstractContextManager:
        """A context in which the arrays are used; on NumPy nothing has to be synchronized."""
        return contextlib.nullcontext()

    # --- arrays

    def _array(self, x: Value) -> np.ndarray:
        """The array of a value that does not lie in a block's memory."""
        if x not in self._arrays:
            self._arrays[x] = self._new_array(x)
        return self._arrays[x]

    def _new_array(self, x: Value) -> np.ndarray:
        if x.base is not None:
            return _view(x, self._array(x.base))
        if x.data is not None:
            return x.data
        root, offset = self._places[x]
        return np.ndarray(x.shape, x.dtype, self.memory if root == MEMORY else self._inputs[root], offset)

    def _rows(self, x: Value, of: Value, start: int, stop: int, scratch: np.ndarray) -> np.ndarray:
        """Rows of x if the operation computes them row by row, otherwise all of it."""
        place = self._places.get(x.owner)
        if place is not None and place.root == SCRATCH:
            return _view(x, scratch, place.offset, (stop - start, *x.shape[1:]))
        array = self._array(x)
        return array[start:stop] if x is of or rows_of(x, of) else array

    # --- calls

    def _at_once(self, item: Item) -> list[Call]:
        found: list[Call] = []
        for x in item.operations:
            found += calls_of(x, self._array(x), [self._array(y) for y in x.operands])
        return found

    def _in_blocks(self, item: Item, scratch: np.ndarray) -> list[Call]:
        """The calls, block by block; values that only this group needs lie in memory that stays in the cache."""
        found: list[Call] = []
        n_rows = item.n_rows or 0
        for start in range(0, n_rows, item.block):
            stop = min(start + item.block, n_rows)
            for x in item.operations:
                out, *operands = (self._rows(y, x, start, stop, scratch) for y in (x, *x.operands))
                found += calls_of(x, out, operands)
        return found


def _view(x: Value, memory: np.ndarray, start: int = 0, shape: Shape | None = None) -> np.ndarray:
    """The elements of x in the memory of its owner, which begins at this byte."""
    size, shape = x.dtype.itemsize, x.shape if shape is None else shape
    if 0 in shape:
        return np.empty(shape, x.dtype)
    strides = [s * size for s in x.strides]
    return np.ndarray(shape, x.dtype, memory, start + x.offset * size, strides)


def aligned(size: int) -> np.ndarray:
    """An array of bytes that is aligned to cache lines."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + size]


# --- NumPy's calls for one operation


def calls_of(x: Value, out: np.ndarray, operands: list[np.ndarray]) -> list[Call]:
    """The NumPy calls that compute an operation."""
    if x.operation in ELEMENTWISE:
        ufunc = ELEMENTWISE[x.operation]
        if x.operation in ("maximum", "minimum"):  # NumPy deprecates ``out`` as their third positional argument
            pairs = zip(x.operands, operands, strict=True)
            repeated = tuple(a if y.data is None else _repeated(a, out) for y, a in pairs)
            return [(functools.partial(ufunc, out=out), repeated)]
        return [(ufunc, (*operands, out))]
    if x.operation in REDUCTIONS:
        return _reduced(x, out, operands[0])
    return _OTHERS[x.operation](x, out, operands)


NARROW = 32
"""The number of columns up to which NumPy's reductions of rows are slow, as it starts a loop for each row."""


def _reduced(x: Value, out: np.ndarray, a: np.ndarray) -> list[Call]:
    axes, keepdims = x.settings
    reduce = REDUCTIONS[x.operation].reduce
    if a.ndim == 2 and len(axes) == 1 and a.dtype.kind == "f" and min(a.shape) > 1:
        is_narrow, vector = axes == (1,) and a.shape[1] <= NARROW, out.reshape(-1)
        if x.operation == "sum" and axes == (0,):  # as a product: NumPy would add up row by row
            return [(np.matmul, (_constant(1.0, a.dtype, a.shape[0]), a, vector))]
        if x.operation == "sum" and is_narrow:
            return [(np.matmul, (a, _constant(1.0, a.dtype, a.shape[1]), vector))]
        if x.operation in ("max", "min") and is_narrow:
            columns = np.empty(a.shape[::-1], a.dtype)
            return [(np.copyto, (columns, a.T)), (reduce, (columns, 0, None, vector))]
    return [(reduce, (a, axes, None, out, keepdims and out.ndim == a.ndim))]


def _where(x: Value, out: np.ndarray, operands: list[np.ndarray]) -> list[Call]:
    condition, yes, no = operands
    second = [] if no is out else [(np.copyto, (out, no))]
    return [*second, (np.copyto, (out, yes, "no", condition))]


def _concat(x: Value, out: np.ndarray, operands: list[np.ndarray]) -> list[Call]:
    (axis,) = x.settings
    calls: list[Call] = []
    at = 0
    for part in operands:
        window = (slice(None),) * axis + (slice(at, at + part.shape[axis]),)
        calls.append((np.copyto, (out[window], part)))
        at += part.shape[axis]
    return calls


_OTHERS: dict[str, Callable[[Value, np.ndarray, list[np.ndarray]], list[Call]]] = {
    "matmul": lambda x, out, operands: [(np.matmul, (*operands, out))],
    "vecdot": lambda x, out, operands: [(np.vecdot, (*operands, out))],
    "take": lambda x, out, operands: [(np.take, (*operands, x.settings[0], out, _take_mode(x)))],
    "astype": lambda x, out, operands: [(np.copyto, (out, _as_numbers(*operands), "unsafe"))],
    "copy": lambda x, out, operands: [(np.copyto, (out, *operands))],
    "where": _where,
    "concat": _concat,
}


def _take_mode(x: Value) -> str:
    """Constant indices were checked when they were recorded; NumPy's check would allocate memory for the result."""
    return "raise" if x.operands[1].data is None else "wrap"


def _as_numbers(a: np.ndarray) -> np.ndarray:
    """A boolean array as bytes, which NumPy converts faster."""
    return a.view(np.uint8) if a.dtype == bool else a


def _repeated(a: np.ndarray, out: np.ndarray) -> np.ndarray:
    """A constant number as an array like ``out``: NumPy's maximum is then five times as fast."""
    return a if a.ndim or not out.ndim else _constant(a.item(), a.dtype, out.size).reshape(out.shape)


_CONSTANTS: weakref.WeakValueDictionary[tuple, np.ndarray] = weakref.WeakValueDictionary()


def _constant(value: Any, dtype: np.dtype, size: int) -> np.ndarray:
    """An array of one number, which all replays share and which is freed with the last of them."""
    key = str(value), dtype, size
    constant = _CONSTANTS.get(key)
    if constant is None:
        constant = _CONSTANTS[key] = np.full(size, value, dtype)
        constant.flags.writeable = False
    return constant
