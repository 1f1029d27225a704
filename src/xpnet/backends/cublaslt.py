"""NVIDIA's cuBLASLt as it is: its numbers, its functions, and its objects, which are destroyed when they go.

The numbers are those of ``cublasLt.h``, ``cublas_api.h`` and ``library_types.h``, the same in CUDA 12 and 13.
"""

import ctypes
import weakref
from typing import Any

from .selector import _INSTALL, BackendUnavailableError

SUCCESS, NOT_SUPPORTED = 0, 15  # cublasStatus_t
R_32F, R_64F, R_16F, R_16BF = 0, 1, 2, 14  # cudaDataType
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77  # cublasComputeType_t
DEFAULT, RELU, BIAS, BGRADA = 1, 2, 4, 256  # cublasLtEpilogue_t
TRANSA, TRANSB, EPILOGUE, BIAS_POINTER = 3, 4, 7, 8  # cublasLtMatmulDescAttributes_t
MAX_WORKSPACE_BYTES = 1  # cublasLtMatmulPreferenceAttributes_t
MIN_ALIGNMENT_BYTES = (5, 6, 7, 8)  # likewise: of A, B, C, D

_int, _size, _pointer = ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p
_STATUS_OF = {
    "cublasLtCreate": (_pointer,),
    "cublasLtDestroy": (_pointer,),
    "cublasLtMatmulDescCreate": (_pointer, _int, _int),
    "cublasLtMatmulDescSetAttribute": (_pointer, _int, _pointer, _size),
    "cublasLtMatmulDescDestroy": (_pointer,),
    "cublasLtMatrixLayoutCreate": (_pointer, _int, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64),
    "cublasLtMatrixLayoutDestroy": (_pointer,),
    "cublasLtMatmulPreferenceCreate": (_pointer,),
    "cublasLtMatmulPreferenceSetAttribute": (_pointer, _int, _pointer, _size),
    "cublasLtMatmulPreferenceDestroy": (_pointer,),
    "cublasLtMatmulAlgoGetHeuristic": (*[_pointer] * 7, _int, _pointer, _pointer),
    "cublasLtMatmul": (*[_pointer] * 14, _size, _pointer),
}


class HeuristicResult(ctypes.Structure):
    """cublasLtMatmulHeuristicResult_t: an algorithm, and whether it can be had."""

    _fields_ = (
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace_bytes", _size),
        ("state", _int),
        ("waves", ctypes.c_float),
        ("reserved", _int * 4),
    )


class CublasError(RuntimeError):
    """A call of cuBLASLt failed; the message names the call, its status and the product."""


def load() -> ctypes.CDLL:
    """The cuBLASLt that CuPy uses.

    Raises
    ------
    BackendUnavailableError
        cuda-pathfinder or the library is missing.
    """
    try:
        from cuda import pathfinder
    except ImportError as error:
        raise BackendUnavailableError(
            f"cuBLASLt is found by cuda-pathfinder, a part of CuPy 14, which can't be imported ({error}): {_INSTALL}"
        ) from error
    try:
        # CuPy asks pathfinder for cublas, and that for cublasLt; it remembers, so the answer is one for both of us.
        found = pathfinder.load_nvidia_dynamic_lib("cublasLt")
    except pathfinder.DynamicLibNotFoundError as error:
        raise BackendUnavailableError(
            "matrix products on a GPU need the CUDA toolkit's library cuBLASLt, which can't be found "
            f"({str(error).strip()}): {_INSTALL}"
        ) from error
    return ctypes.CDLL(found.abs_path)


def declare(library: Any) -> None:
    """Tell ctypes what the functions take: left to itself it would cut 64-bit pointers."""
    for name, arguments in _STATUS_OF.items():
        getattr(library, name).argtypes = arguments
        getattr(library, name).restype = _int
    library.cublasLtGetStatusName.argtypes = (_int,)
    library.cublasLtGetStatusName.restype = ctypes.c_char_p


def call(library: Any, name: str, *arguments: Any, also: int = SUCCESS) -> int:
    """The call's status, which is success or the one ``also`` allowed."""
    status = getattr(library, name)(*arguments)
    if status not in (SUCCESS, also):
        raise CublasError(
            f"{name} gave {library.cublasLtGetStatusName(status).decode()} "
            "(with CUBLASLT_LOG_LEVEL=5 in the environment cuBLASLt says why)"
        )
    return status


class Object:
    """One of cuBLASLt's opaque objects; it is destroyed when this goes."""

    def __init__(self, library: Any, kind: str, *arguments: Any) -> None:
        self._library, self._kind = library, kind
        self._as_parameter_ = _pointer()
        call(library, f"cublasLt{kind}Create", ctypes.byref(self._as_parameter_), *arguments)
        destroy = getattr(library, f"cublasLt{kind}Destroy")
        # Not at exit: the driver may have gone before, and a process gives back all it has.
        weakref.finalize(self, destroy, self._as_parameter_).atexit = False

    def set(self, attribute: int, value: Any) -> None:
        """Set an attribute to a ctypes value, whose size must be that of the attribute."""
        reference, size = ctypes.byref(value), ctypes.sizeof(value)
        call(self._library, f"cublasLt{self._kind}SetAttribute", self, attribute, reference, size)
