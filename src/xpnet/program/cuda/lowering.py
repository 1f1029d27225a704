"""Lowers a program to what a GPU can run: every product becomes one of two matrices that cuBLASLt can read.

*Lowering* is the compilers' term for rewriting a program in simpler operations. On request the factors of products are
rounded to bfloat16, or products also add biases and take ReLUs.
"""

import math
from collections import Counter
from typing import Any

import numpy as np

from ..recorded_values import NotRecordable, Program, Shape, Value, contiguous

VECTOR_ALIGNMENT = 16
"""The alignment of a bias in bytes: algorithms read this many bytes at once."""


def lowered(program: Program, is_bfloat16: bool = False, has_epilogues: bool = False) -> Program:
    """The lowered program, in which ``vecdot`` of arrays with two or more axes is a sum of products.

    With ``is_bfloat16`` products of float32 round their factors to bfloat16. With ``has_epilogues`` a product also adds
    the bias and takes the ReLU that follow it immediately. NotRecordable is raised if the program has products of
    integers, of empty arrays or of stacks of matrices.
    """
    return _Lowering(program, is_bfloat16, has_epilogues).program()


class _Lowering:
    def __init__(self, program: Program, is_bfloat16: bool, has_epilogues: bool) -> None:
        self.old, self.is_bfloat16, self.has_epilogues = program, is_bfloat16, has_epilogues
        self.new = Program()
        self.now: dict[Value, Value] = {}
        self.narrow: dict[Value, Value] = {}
        self.uses = Counter(x.owner for value in program.values for x in value.operands if value.base is None)
        self.uses.update(x.owner for x in program.outputs)

    def program(self) -> Program:
        """The lowered program."""
        for value in self.old.values:
            self.now[value] = self._lowered(value, tuple(self.now[x] for x in value.operands))
        self.new.inputs, self.new.results = self.old.inputs, self.old.results
        self.new.outputs = [self.now[x] for x in self.old.outputs]
        return self.new

    def _lowered(self, value: Value, operands: tuple[Value, ...]) -> Value:
        if value.operation == "matmul":
            return self._product(value, *operands)
        if value.operation == "vecdot" and operands[0].ndim > 1:
            shape = np.broadcast_shapes(*(x.shape for x in operands))
            both = self._add(value, "multiply", operands, (), shape)
            return self._add(value, "sum", (both,), ((len(shape) - 1,), False), value.shape)
        found = self._with_epilogue(value, operands) if self.has_epilogues else None
        return found or self._added(value.rebuilt(self.now))

    def _added(self, value: Value) -> Value:
        self.new.values.append(value)
        return value

    def _add(
        self, like: Value, operation: str, operands: tuple, settings: tuple, shape: Any, dtype: Any = None
    ) -> Value:
        return self._added(Value(operation, operands, settings, shape, dtype or like.dtype, like.site))

    def _view(self, x: Value, offset: int, shape: Shape, strides: Shape) -> Value:
        return self._added(x.owner.viewed("view", offset, shape, strides))

    # --- products

    def _product(self, value: Value, a: Value, b: Value) -> Value:
        if value.dtype.kind != "f" or not value.size or not a.shape[-1]:
            raise NotRecordable(f"there is no product of {a!r} and {b!r} on a GPU")
        factors = self._matrix(value, a, is_first=True), self._matrix(value, b, is_first=False)
        if self.is_bfloat16 and value.dtype == np.float32:
            factors = self._rounded(factors[0]), self._rounded(factors[1])
        return self._add(value, "matmul", factors, (), value.shape)

    def _matrix(self, product: Value, x: Value, is_first: bool) -> Value:
        """A factor as a matrix whose rows or columns are contiguous; it is copied if it is not."""
        if x.ndim == 1:
            shape, strides = ((1, x.size), (1, *x.strides)) if is_first else ((x.size, 1), (*x.strides, 1))
            x = self._view(x, x.offset, shape, strides)
        elif x.ndim > 2 and is_first and product.operands[1].ndim <= 2:
            x = x if x.is_contiguous else self._add(x, "copy", (x,), (), x.shape)
            shape = math.prod(x.shape[:-1]), x.shape[-1]
            x = self._view(x, x.offset, shape, contiguous(shape))
        elif x.ndim > 2:
            raise NotRecordable(f"there is no product of stacks of matrices on a GPU ({product!r})")
        return x if leading(x.shape, x.strides) else self._add(x, "copy", (x,), (), x.shape)

    def _rounded(self, x: Value) -> Value:
        """A factor rounded to bfloat16, with the same strides."""
        owner = x.owner
        if owner not in self.narrow:
            self.narrow[owner] = self._add(x, "bfloat16", (owner,), (), owner.shape, np.dtype(np.uint16))
        narrow = self.narrow[owner]
        return narrow if x is owner else self._view(narrow, x.offset, x.shape, x.strides)

    def _with_epilogue(self, value: Value, operands: tuple[Value, ...]) -> Value | None:
        """The product with this bias or ReLU; None if this is neither, or if the product has other uses."""
        if value.operation not in ("add", "maximum"):
            return None
        for k, product in enumerate(operands):
            other = operands[1 - k]
            is_alone = product.operation == "matmul" and self.uses[value.operands[k]] == 1 and product.ndim == 2
            if not is_alone or product.shape != value.shape:
                continue
            A, B, *bias = product.operands
            if value.operation == "add" and not bias and _can_be_added(other, product):
                return self._add(value, "matmul", (A, B, other), (), value.shape)
            is_zero = other.data is not None and other.size == 1 and not other.data.any()
            if value.operation == "maximum" and bias and is_zero and not product.settings:
                return self._add(value, "matmul", product.operands, ("relu",), value.shape)
        return None


def _can_be_added(bias: Value, product: Value) -> bool:
    """Whether cuBLASLt can add this value to the rows of a product."""
    (m, n), k = product.shape, product.operands[0].shape[1]
    is_aligned = bias.offset * bias.dtype.itemsize % VECTOR_ALIGNMENT == 0
    return bias.shape == (n,) and bias.is_contiguous and min(m, n, k) > 1 and is_aligned


def leading(shape: Shape, strides: Shape) -> tuple[int, bool] | None:
    """The leading dimension of a matrix in elements, and whether it is stored by columns; None if neither its rows nor
    its columns are contiguous.
    """
    for is_transposed in (False, True):
        (lines, length), (to_next, step) = (shape[::-1], strides[::-1]) if is_transposed else (shape, strides)
        if length > 1 and step != 1:
            continue
        if lines == 1:
            return length, is_transposed
        if to_next >= length:
            return to_next, is_transposed
    return None
