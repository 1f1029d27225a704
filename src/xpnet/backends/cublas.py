"""out = A B on a GPU, by cuBLASLt: with a handle and a workspace of our own, a CUDA graph can hold the call.

(CuPy refuses to capture its own cuBLAS calls.) cuBLAS reads matrices column by column. A row-major matrix read so is
its own transpose, and out^T = B^T A^T: cuBLAS's A is our B, its B our A, and its bias, a number for each of its rows,
is our row of biases.
"""

import ctypes
import functools
from typing import Any, NamedTuple

from . import cublaslt as lt
from .cublaslt import CublasError, load

__all__ = ["CublasError", "Lt", "load"]

Array = Any

TYPES = {"float32": lt.R_32F, "float64": lt.R_64F, "float16": lt.R_16F, "bfloat16": lt.R_16BF}
RESULTS = {*((t, t) for t in TYPES.values()), (lt.R_16F, lt.R_32F), (lt.R_16BF, lt.R_32F)}
"""The types of (operands, out) in cuBLASLt's table; a bias, or its gradient, is of out's type."""
PRECISIONS = {"float32": lt.COMPUTE_32F, "tf32": lt.COMPUTE_32F_FAST_TF32}
VECTOR_ALIGNMENT = 16
"""Bytes that an algorithm may read of a bias at once: cuBLASLt doesn't always see that it lies amiss."""
MOST_PLANS = 4096
"""The number of rows is the user's, anew in each call: without a bound a server's memory would fill up."""


class Operand(NamedTuple):
    """A matrix as cuBLAS reads its memory: column by column, ``leading`` elements from one to the next."""

    rows: int
    columns: int
    leading: int
    transposed: bool
    alignment: int


class Problem(NamedTuple):
    """All that the choice of an algorithm depends on, in cuBLAS's terms: ``first`` is our B, ``second`` our A."""

    first: Operand
    second: Operand
    result: Operand
    vector_alignment: int
    dtype: int
    result_dtype: int
    compute: int
    epilogue: int


class Plan(NamedTuple):
    """A problem in cuBLASLt's objects, the algorithm for it, and the numbers 1 and 0 in the type it computes in."""

    operation: lt.Object
    first: lt.Object
    second: lt.Object
    result: lt.Object
    found: lt.HeuristicResult
    one: Any
    zero: Any


class Lt:
    """Matrix products of one device, by cuBLASLt: own handle, own workspace.

    All products use the one workspace, and a lock would keep threads in order, but not the GPU. So it is one ``Lt``
    for each thread, and for each stream or graph that may run beside another. The device must be the current one in
    every call. When the ``Lt`` goes, its handle is destroyed, which waits for the device; what is left at the end of
    the process goes with it.

    Parameters
    ----------
    library : ctypes.CDLL
        From :func:`load`.
    workspace : int
        A device pointer, aligned to 256 bytes. Its owner keeps the memory as long as this object and as every graph
        that was captured with it.
    workspace_bytes : int
        The workspace's size.
    """

    def __init__(self, library: Any, workspace: int, workspace_bytes: int) -> None:
        if workspace % 256:
            raise ValueError(f"workspace is {workspace:#x}; allowed: a multiple of 256, as CuPy's memory pool gives it")
        lt.declare(library)
        self._library = library
        self._handle = lt.Object(library, "")
        self._workspace, self._workspace_bytes = workspace, workspace_bytes
        self._plans: dict[Problem, Plan | None] = {}

    def product(
        self,
        A: Array,
        B: Array,
        out: Array,
        *,
        stream: int,
        precision: str = "float32",
        bias: Array | None = None,
        relu: bool = False,
        column_sums: Array | None = None,
    ) -> bool:
        """out = A B, or A B + bias, or max(A B + bias, 0); with ``column_sums`` also sum_k B[k, :].

        A is (M, K), B (K, N) and out (M, N), which shares no memory with them; bias and column_sums are (N,) and of
        out's dtype. The elements of a row of out lie side by side, and those of a row or a column of A and of B: they
        may be transposed, or slices of rows or columns. The relu is NVIDIA's and makes a NaN 0.

        ``precision`` says how float32 is multiplied, "float32" or "tf32"; the other dtypes have one way each.

        Returns whether all of it is done. False, with nothing written: cuBLASLt can't do this along with the product,
        or K = 0, a sum of nothing; the caller then takes the definition. The first call for a problem asks cuBLASLt
        for an algorithm, which may fail while a graph is captured; later calls have it.

        Raises
        ------
        ValueError
            An argument has the wrong shape, layout, dtype or name.
        CublasError
            A call failed, or there is no algorithm for a product alone.
        """
        vector = column_sums if bias is None else bias
        epilogue = _epilogue(bias, relu, column_sums)
        _check(A, B, out, vector, precision)
        if 0 in A.shape or 0 in B.shape:
            return 0 in out.shape and (column_sums is None or 0 in column_sums.shape)
        problem = _problem(A, B, out, vector, epilogue, precision)
        if not _can_have_epilogue(problem):
            return False
        try:
            plan = self._plan(problem, vector)
            if plan is not None:
                self._run(plan, A, B, out, vector, stream)
            elif epilogue == lt.DEFAULT:
                raise CublasError("cublasLtMatmulAlgoGetHeuristic found no algorithm")
        except CublasError as error:
            raise CublasError(
                f"{error}, for {A.dtype} {A.shape} by {B.shape} into {out.dtype} {out.shape}; {problem}"
            ) from None
        return plan is not None

    def _plan(self, problem: Problem, vector: Array | None) -> Plan | None:
        """The plan for this problem, made once; None where there is no algorithm."""
        plan = self._plans.pop(problem) if problem in self._plans else self._make_plan(problem, vector)
        self._plans[problem] = plan  # the most recently used stands last
        if len(self._plans) > MOST_PLANS:
            del self._plans[next(iter(self._plans))]
        return plan

    def _make_plan(self, problem: Problem, vector: Array | None) -> Plan | None:
        scale, number = (lt.R_64F, ctypes.c_double) if problem.dtype == lt.R_64F else (lt.R_32F, ctypes.c_float)
        operation = lt.Object(self._library, "MatmulDesc", problem.compute, scale)
        operation.set(lt.TRANSA, ctypes.c_int32(problem.first.transposed))
        operation.set(lt.TRANSB, ctypes.c_int32(problem.second.transposed))
        operation.set(lt.EPILOGUE, ctypes.c_uint32(problem.epilogue))
        if vector is not None:
            operation.set(lt.BIAS_POINTER, ctypes.c_void_p(vector.data.ptr))  # its alignment counts in the choice
        first = self._layout(problem.first, problem.dtype)
        second = self._layout(problem.second, problem.dtype)
        result = self._layout(problem.result, problem.result_dtype)
        found = self._algorithm(problem, operation, first, second, result)
        return None if found is None else Plan(operation, first, second, result, found, number(1), number(0))

    def _layout(self, X: Operand, dtype: int) -> lt.Object:
        return lt.Object(self._library, "MatrixLayout", dtype, X.rows, X.columns, X.leading)

    def _algorithm(
        self, problem: Problem, operation: lt.Object, first: lt.Object, second: lt.Object, result: lt.Object
    ) -> lt.HeuristicResult | None:
        """The algorithm that cuBLASLt takes for the fastest, or None."""
        preference = lt.Object(self._library, "MatmulPreference")
        preference.set(lt.MAX_WORKSPACE_BYTES, ctypes.c_uint64(self._workspace_bytes))
        operands = (problem.first, problem.second, problem.result, problem.result)
        for attribute, X in zip(lt.MIN_ALIGNMENT_BYTES, operands, strict=True):
            preference.set(attribute, ctypes.c_uint32(X.alignment))
        found, count = lt.HeuristicResult(), ctypes.c_int()
        status = lt.call(
            self._library,
            "cublasLtMatmulAlgoGetHeuristic",
            *(self._handle, operation, first, second, result, result, preference),
            *(1, ctypes.byref(found), ctypes.byref(count)),
            also=lt.NOT_SUPPORTED,
        )
        return found if status == found.state == lt.SUCCESS and count.value else None

    def _run(self, plan: Plan, A: Array, B: Array, out: Array, vector: Array | None, stream: int) -> None:
        if vector is not None:
            plan.operation.set(lt.BIAS_POINTER, ctypes.c_void_p(vector.data.ptr))
        lt.call(
            self._library,
            "cublasLtMatmul",
            *(self._handle, plan.operation),
            *(ctypes.byref(plan.one), B.data.ptr, plan.first, A.data.ptr, plan.second),
            *(ctypes.byref(plan.zero), out.data.ptr, plan.result),  # times 0: it is not read
            *(out.data.ptr, plan.result),
            *(ctypes.byref(plan.found.algorithm), self._workspace, self._workspace_bytes, stream),
        )


def _epilogue(bias: Array | None, relu: bool, column_sums: Array | None) -> int:
    if column_sums is None:
        return (lt.RELU if relu else 0) | (0 if bias is None else lt.BIAS) or lt.DEFAULT
    if relu or bias is not None:
        raise ValueError("column_sums is given together with bias or relu; cuBLASLt does one of them: call it twice")
    return lt.BGRADA


def _check(A: Array, B: Array, out: Array, vector: Array | None, precision: str) -> None:
    """What cuBLASLt can't notice: it is given addresses."""
    if not len(A.shape) == len(B.shape) == 2 or A.shape[1] != B.shape[0] or out.shape != (A.shape[0], B.shape[1]):
        raise ValueError(f"A, B, out have shapes {A.shape}, {B.shape}, {out.shape}; allowed: (M, K), (K, N), (M, N)")
    if A.dtype != B.dtype or (_cuda_type(A.dtype), _cuda_type(out.dtype)) not in RESULTS:
        raise ValueError(
            f"A, B, out have dtypes {A.dtype}, {B.dtype}, {out.dtype}; allowed: the same three times, of "
            f"{', '.join(TYPES)}, or float32 for out where A and B have 16 bits: cast with astype first"
        )
    if vector is not None:
        packed = out.shape[1] == 1 or vector.strides == (vector.dtype.itemsize,)
        if vector.shape != out.shape[1:] or vector.dtype != out.dtype or not packed:
            raise ValueError(
                f"bias or column_sums has shape {vector.shape}, dtype {vector.dtype} and strides {vector.strides}; "
                f"allowed, to fit out: {out.shape[1:]} and {out.dtype}, packed"
            )
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}; allowed: {', '.join(map(repr, PRECISIONS))}")


@functools.cache
def _cuda_type(dtype: Any) -> Any:
    return TYPES.get(dtype.name)


def _problem(A: Array, B: Array, out: Array, vector: Array | None, epilogue: int, precision: str) -> Problem:
    first, second, result = _operand("B", B), _operand("A", A), _operand("out", out)
    if result.transposed:
        raise ValueError(f"out has strides {out.strides}; allowed: rows whose elements lie side by side (order C)")
    dtype = _cuda_type(A.dtype)
    compute = {lt.R_32F: PRECISIONS[precision], lt.R_64F: lt.COMPUTE_64F}.get(dtype, lt.COMPUTE_32F)
    vector_alignment = 0 if vector is None else _alignment(vector)
    return Problem(first, second, result, vector_alignment, dtype, _cuda_type(out.dtype), compute, epilogue)


def _operand(name: str, X: Array) -> Operand:
    (rows, columns), (down, along), size = X.shape, X.strides, X.dtype.itemsize
    leading = _leading(rows, columns, down, along, size)
    if leading:
        return Operand(columns, rows, leading, False, _alignment(X))
    leading = _leading(columns, rows, along, down, size)
    if leading:
        return Operand(rows, columns, leading, True, _alignment(X))
    raise ValueError(
        f"{name} has shape {X.shape} and strides {X.strides}; allowed: rows or columns that don't overlap and whose "
        "elements lie side by side: pack first, with ascontiguousarray"
    )


def _leading(lines: int, length: int, to_next: int, step: int, size: int) -> int:
    """Elements from the start of a line to the next; 0 where lines overlap or their elements lie apart."""
    if length > 1 and step != size:
        return 0
    if lines == 1:
        return length  # a stride that is never taken says nothing
    return to_next // size if to_next % size == 0 and to_next >= length * size else 0


def _alignment(X: Array) -> int:
    return min(256, X.data.ptr & -X.data.ptr)


def _can_have_epilogue(problem: Problem) -> bool:
    if problem.epilogue == lt.BGRADA and problem.first.transposed:
        return False  # it is there for an A read as it lies in memory only
    return not problem.epilogue & (lt.BIAS | lt.BGRADA) or problem.vector_alignment >= VECTOR_ALIGNMENT
