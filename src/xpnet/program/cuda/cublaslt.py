"""Matrix products on a GPU by NVIDIA's cuBLASLt, called on fixed addresses, so that CUDA graphs can contain them.

CuPy does not allow its own cuBLAS calls to be captured. cuBLAS stores matrices by columns: to it, a matrix
that is stored by rows is the transpose. Since out^T = B^T A^T, cuBLAS's A is our B, its B is our A, and its bias, one
number for each row, is our row of biases. The constants below are those of ``cublasLt.h``, ``cublas_api.h`` and
``library_types.h``, which are the same in CUDA 12 and 13. All results are float32 or float64, so that no algorithm
rounds partial sums of bfloat16 products to bfloat16.
"""

import ctypes
import functools
import math
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..bounded_dict import Bounded
from .lowering import leading
from .memory import Operand, Product

SUCCESS = 0
REFUSALS = (7, 8, 15)
"""cublasStatus_t of a problem that is not supported: invalid value, architecture mismatch, not supported."""
DATA_TYPES = {"float32": 0, "float64": 1, "uint16": 14}  # cudaDataType; uint16 holds bfloat16
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77  # cublasComputeType_t
DEFAULT, RELU, BIAS = 1, 2, 4  # cublasLtEpilogue_t
TRANSA, TRANSB, EPILOGUE, BIAS_POINTER = 3, 4, 7, 8  # cublasLtMatmulDescAttributes_t
MAX_WORKSPACE_BYTES = 1  # cublasLtMatmulPreferenceAttributes_t
MIN_ALIGNMENT_BYTES = (5, 6, 7, 8)  # likewise: of A, B, C, D
ALGORITHM_ID, SPLIT_K = 0, 2  # cublasLtMatmulAlgoConfigAttributes_t
MOST_ALGORITHMS = 8

WORKSPACE = 32 << 20
"""The largest workspace of an algorithm in bytes: NVIDIA's recommendation for Hopper."""
SPARE = 256
"""Bytes behind a workspace that are left free: some versions of cuBLASLt write beyond its end."""
CORRECT_SINCE = 120804
"""The first version of cuBLAS (CUDA 12.8, update 1) whose results with one row or column are correct: before, the bias
epilogue was wrong, and so were the addresses of matrices with 2^31 elements or more.
"""

_int, _size, _pointer = ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p
_STATUS_OF = {
    "cublasLtCreate": (_pointer,),
    "cublasLtMatmulDescCreate": (_pointer, _int, _int),
    "cublasLtMatmulDescSetAttribute": (_pointer, _int, _pointer, _size),
    "cublasLtMatmulDescDestroy": (_pointer,),
    "cublasLtMatrixLayoutCreate": (_pointer, _int, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64),
    "cublasLtMatrixLayoutDestroy": (_pointer,),
    "cublasLtMatmulPreferenceCreate": (_pointer,),
    "cublasLtMatmulPreferenceSetAttribute": (_pointer, _int, _pointer, _size),
    "cublasLtMatmulPreferenceDestroy": (_pointer,),
    "cublasLtMatmulAlgoGetHeuristic": (*[_pointer] * 7, _int, _pointer, _pointer),
    "cublasLtMatmulAlgoConfigGetAttribute": (_pointer, _int, _pointer, _size, _pointer),
    "cublasLtMatmul": (*[_pointer] * 14, _size, _pointer),
}


class CublasError(RuntimeError):
    """A call of cuBLASLt failed; the message names the call and its status."""


class Refused(CublasError):
    """cuBLASLt does not support a problem."""


class HeuristicResult(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t: an algorithm, the workspace that it needs, and whether it can be used."""

    _fields_ = (
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace_bytes", _size),
        ("state", _int),
        ("waves", ctypes.c_float),
        ("reserved", _int * 4),
    )


@functools.cache
def library() -> Any:
    """The cuBLASLt library that belongs to CuPy's cuBLAS: cuda-pathfinder finds both."""
    from cuda import pathfinder

    found = ctypes.CDLL(pathfinder.load_nvidia_dynamic_lib("cublasLt").abs_path)
    for name, arguments in _STATUS_OF.items():  # without these ctypes would cut off 64-bit pointers
        if hasattr(found, name):
            getattr(found, name).argtypes = arguments
            getattr(found, name).restype = _int
    found.cublasLtGetStatusName.argtypes = (_int,)
    found.cublasLtGetStatusName.restype = ctypes.c_char_p
    return found


@functools.cache
def _handle(device: int) -> Any:
    """The handle of a device, which must be the current one. It is never destroyed: that would wait for the device."""
    handle = _pointer()
    call("cublasLtCreate", ctypes.byref(handle))
    return handle


def call(name: str, *arguments: Any) -> None:
    """Call a function of cuBLASLt that returns a status."""
    status = getattr(library(), name)(*arguments)
    if status != SUCCESS:
        text = library().cublasLtGetStatusName(status).decode()
        error = Refused if status in REFUSALS else CublasError
        raise error(f"{name} gave {text} (with CUBLASLT_LOG_LEVEL=5 in the environment cuBLASLt says why)")


class _Object:
    """A descriptor of cuBLASLt, which is destroyed along with this object."""

    def __init__(self, kind: str, *arguments: Any) -> None:
        self._kind, self._as_parameter_ = kind, _pointer()
        call(f"cublasLt{kind}Create", ctypes.byref(self._as_parameter_), *arguments)
        # Not at exit: the driver may have been unloaded by then.
        weakref.finalize(self, getattr(library(), f"cublasLt{kind}Destroy"), self._as_parameter_).atexit = False

    def set(self, attribute: int, value: Any) -> None:
        """Set an attribute to a ctypes value, whose size must be that of the attribute."""
        call(f"cublasLt{self._kind}SetAttribute", self, attribute, ctypes.byref(value), ctypes.sizeof(value))


class Matrix(NamedTuple):
    """A matrix that is stored by columns, as cuBLAS sees it; ``leading`` is its leading dimension in elements."""

    rows: int
    columns: int
    leading: int
    is_transposed: bool
    alignment: int
    data_type: int


class Problem(NamedTuple):
    """Everything that the choice of an algorithm depends on. ``first`` is cuBLAS's A (our B), ``second`` its B."""

    device: int
    first: Matrix
    second: Matrix
    result: Matrix
    compute: int
    epilogue: int
    bias_alignment: int

    @property
    def is_double(self) -> bool:
        """Whether the result is float64."""
        return self.result.data_type == DATA_TYPES["float64"]

    @property
    def n_terms(self) -> int:
        """The number of products that are added for one element of the result."""
        return self.first.rows if self.first.is_transposed else self.first.columns


_algorithms = Bounded(4096)
"""The algorithms that cuBLASLt has chosen; None if there is none. Choosing takes longer than a product."""


class Multiplication:
    """A matrix product: ``run(stream, workspace)`` launches it; ``place`` sets where the operands lie.

    The operands are aligned as ``addresses`` (by root) say; ``workspace`` is the size in bytes of the memory that it
    needs. Refused is raised if cuBLASLt does not support the product.
    """

    def __init__(self, product: Product, addresses: Mapping[int, int], device: int, is_tf32: bool) -> None:
        self._product, at = product, _addresses(product, addresses)
        self.problem = problem = _problem(product, at, device, is_tf32)
        number: Any = ctypes.c_double if problem.is_double else ctypes.c_float
        self._one, self._zero = number(1), number(0)
        of_numbers = DATA_TYPES["float64" if problem.is_double else "float32"]
        self._operation = _Object("MatmulDesc", problem.compute, of_numbers)
        self._operation.set(TRANSA, ctypes.c_int32(problem.first.is_transposed))
        self._operation.set(TRANSB, ctypes.c_int32(problem.second.is_transposed))
        self._operation.set(EPILOGUE, ctypes.c_uint32(problem.epilogue))
        matrices = problem.first, problem.second, problem.result
        self._layouts = [_Object("MatrixLayout", x.data_type, x.rows, x.columns, x.leading) for x in matrices]
        self.place(addresses)
        self._found = _algorithms.get_or_make(problem, self._fastest)
        if self._found is None:
            raise Refused(f"cuBLASLt has no algorithm for {problem}")
        self.workspace = self._found.workspace_bytes

    def place(self, addresses: Mapping[int, int]) -> None:
        """Let the roots of the operands begin at these addresses."""
        A, B, out, *bias = _addresses(self._product, addresses)
        self._A, self._B, self._out = A, B, out
        if bias:
            self._operation.set(BIAS_POINTER, ctypes.c_void_p(bias[0]))

    def _fastest(self) -> HeuristicResult | None:
        """The usable algorithm that cuBLASLt expects to be the fastest; None if there is none."""
        preference, problem = _Object("MatmulPreference"), self.problem
        preference.set(MAX_WORKSPACE_BYTES, ctypes.c_uint64(WORKSPACE))
        matrices = problem.first, problem.second, problem.result, problem.result
        for attribute, x in zip(MIN_ALIGNMENT_BYTES, matrices, strict=True):
            preference.set(attribute, ctypes.c_uint32(x.alignment))
        found, count = (HeuristicResult * MOST_ALGORITHMS)(), ctypes.c_int()
        first, second, result = self._layouts
        described = _handle(problem.device), self._operation, first, second, result, result, preference
        try:
            call("cublasLtMatmulAlgoGetHeuristic", *described, MOST_ALGORITHMS, found, ctypes.byref(count))
        except Refused:
            return None
        good = (x for x in found[: count.value] if x.state == SUCCESS and not _has_remainder(x, problem.n_terms))
        return next(good, None)

    def run(self, stream: int, workspace: int) -> None:
        """Launch it on a stream; the workspace has ``self.workspace`` bytes, and its address is a multiple of 256."""
        first, second, result = self._layouts
        try:
            call(
                "cublasLtMatmul",
                *(_handle(self.problem.device), self._operation),
                *(ctypes.byref(self._one), self._B, first, self._A, second),
                *(ctypes.byref(self._zero), self._out, result),  # times 0: it is not read
                *(self._out, result),
                *(ctypes.byref(self._found.algorithm), workspace, self.workspace, stream),
            )
        except Refused:
            _algorithms[self.problem] = None
            raise


def _addresses(product: Product, addresses: Mapping[int, int]) -> list[int]:
    """The addresses of A, B, the result and, if there is one, the bias."""
    return [addresses[x.root] + x.offset for x in (product.A, product.B, product.out, product.bias) if x is not None]


def _has_remainder(found: HeuristicResult, n_terms: int) -> bool:
    """Whether an algorithm splits its sums into unequal parts and is known to be wrong then.

    That is algorithm 66, in CUDA 12.6 to 13.4 on compute capability 9.0 and later (NVIDIA's bug 6580689).
    """
    return _configured(found, ALGORITHM_ID) == 66 and n_terms % max(1, _configured(found, SPLIT_K)) != 0


def _configured(found: HeuristicResult, attribute: int) -> int:
    """An attribute of an algorithm, or 0 if the library has no function that returns it."""
    if not hasattr(library(), "cublasLtMatmulAlgoConfigGetAttribute"):
        return 0
    value, written = ctypes.c_int32(), _size()
    described = ctypes.byref(found.algorithm), attribute, ctypes.byref(value)
    call("cublasLtMatmulAlgoConfigGetAttribute", *described, ctypes.sizeof(value), ctypes.byref(written))
    return value.value


def is_safe(product: Product, version: int) -> bool:
    """Whether no known bug of this version of cuBLAS affects a product."""
    n_most = max(math.prod(x.shape) for x in (product.A, product.B, product.out))
    return version >= CORRECT_SINCE or min(product.out.shape) > 1 or n_most < 1 << 31


def _problem(product: Product, at: list[int], device: int, is_tf32: bool) -> Problem:
    A, B, out, *bias = at
    pairs = (product.B, B), (product.A, A), (product.out, out)
    first, second, result = (_matrix(x, address) for x, address in pairs)
    compute = COMPUTE_32F_FAST_TF32 if is_tf32 and product.A.dtype == np.float32 else COMPUTE_32F
    compute = COMPUTE_64F if product.out.dtype == np.float64 else compute
    epilogue = DEFAULT if product.bias is None else BIAS | RELU if product.has_relu else BIAS
    return Problem(device, first, second, result, compute, epilogue, _alignment(bias[0]) if bias else 0)


def _matrix(x: Operand, address: int) -> Matrix:
    found = leading(x.shape, x.strides)
    if found is None:
        raise Refused(f"a matrix of shape {x.shape} and strides {x.strides} can't be read by cuBLASLt")
    step, is_transposed = found
    rows, columns = x.shape[::-1] if not is_transposed else x.shape
    return Matrix(rows, columns, step, is_transposed, _alignment(address), DATA_TYPES[x.dtype.name])


def _alignment(address: int) -> int:
    return math.gcd(address, 256)
