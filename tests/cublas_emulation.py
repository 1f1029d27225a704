"""cuBLASLt on host memory: C functions as its header declares them, behind which NumPy multiplies.

``CublasLt()`` takes the library's place, ``empty`` makes arrays with CuPy's face at a chosen alignment, and
``make_lt`` makes the ``Lt`` under test. The numbers here are written down from the header once more, on purpose.
"""

import ctypes
from collections import Counter
from ctypes import c_int, c_int64, c_size_t, c_uint64, c_void_p
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from xpnet.backends.cublas import Lt

STATUSES = {
    0: "CUBLAS_STATUS_SUCCESS",
    1: "CUBLAS_STATUS_NOT_INITIALIZED",
    3: "CUBLAS_STATUS_ALLOC_FAILED",
    7: "CUBLAS_STATUS_INVALID_VALUE",
    8: "CUBLAS_STATUS_ARCH_MISMATCH",
    13: "CUBLAS_STATUS_EXECUTION_FAILED",
    14: "CUBLAS_STATUS_INTERNAL_ERROR",
    15: "CUBLAS_STATUS_NOT_SUPPORTED",
}
PROTOTYPES = {
    "cublasLtCreate": (c_int, c_void_p),
    "cublasLtDestroy": (c_int, c_void_p),
    "cublasLtGetStatusName": (c_void_p, c_int),
    "cublasLtMatmulDescCreate": (c_int, c_void_p, c_int, c_int),
    "cublasLtMatmulDescSetAttribute": (c_int, c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulDescDestroy": (c_int, c_void_p),
    "cublasLtMatrixLayoutCreate": (c_int, c_void_p, c_int, c_uint64, c_uint64, c_int64),
    "cublasLtMatrixLayoutDestroy": (c_int, c_void_p),
    "cublasLtMatmulPreferenceCreate": (c_int, c_void_p),
    "cublasLtMatmulPreferenceSetAttribute": (c_int, c_void_p, c_int, c_void_p, c_size_t),
    "cublasLtMatmulPreferenceDestroy": (c_int, c_void_p),
    "cublasLtMatmulAlgoGetHeuristic": (c_int, *[c_void_p] * 7, c_int, c_void_p, c_void_p),
    "cublasLtMatmul": (c_int, *[c_void_p] * 14, c_size_t, c_void_p),
}
COMPUTE, SCALE, TRANSA, TRANSB, EPILOGUE, BIAS = 0, 1, 3, 4, 7, 8
TYPE, ROWS, COLUMNS, LEADING = 0, 2, 3, 4
WORKSPACE, ALIGNMENT_A, ALIGNMENT_B, ALIGNMENT_C, ALIGNMENT_D = 1, 5, 6, 7, 8
SIZES = {
    "MatmulDesc": {COMPUTE: 4, SCALE: 4, TRANSA: 4, TRANSB: 4, EPILOGUE: 4, BIAS: 8},
    "MatrixLayout": {TYPE: 4, ROWS: 8, COLUMNS: 8, LEADING: 8},
    "MatmulPreference": {WORKSPACE: 8, ALIGNMENT_A: 4, ALIGNMENT_B: 4, ALIGNMENT_C: 4, ALIGNMENT_D: 4},
}
"""Every attribute that is read here, and its bytes."""
RELU, ADD_BIAS, BGRADA = 2, 4, 256
TYPES = {0: "float32", 1: "float64", 2: "float16", 14: "bfloat16"}
TABLE = {
    # compute and scale type, type of A and B, of C and D
    *((68, 0, ab, cd) for ab, cd in ((0, 0), (2, 2), (14, 14), (2, 0), (14, 0))),
    (77, 0, 0, 0),
    (70, 1, 1, 1),
}


class Refusal(Exception):
    """A call is answered with this status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def require(condition: Any, why: str, status: int = 7) -> None:
    if not condition:
        raise Refusal(status, why)


class Query(NamedTuple):
    """What an algorithm was asked for."""

    operation: dict[int, int]
    A: dict[int, int]
    B: dict[int, int]
    C: dict[int, int]
    D: dict[int, int]
    preference: dict[int, int]


class CublasLt:
    """A stand-in for the library; its functions are C functions, so what ctypes passes wrongly arrives wrong."""

    def __init__(self) -> None:
        self.objects: dict[int, tuple[str, dict[int, int]]] = {}
        """Every object that is not destroyed yet: its kind and its attributes."""
        self.calls: Counter[str] = Counter()
        self.queries: list[Query] = []
        self.streams: list[int] = []
        """The stream of each product."""
        self.workspaces: set[tuple[int, int]] = set()
        """The address and the size of each workspace."""
        self.refusals: list[str] = []
        """Why calls were refused, but for a missing algorithm."""
        self.statuses: dict[str, int] = {}
        """A status for each function that is to fail, or to find no algorithm."""
        self.without_algorithm: set[int] = set()
        """Epilogues that there is no algorithm for."""
        self.answer_without_algorithm = "status"
        """How a query says so: by its status, by the count of results, or by a result's state."""
        self._names = {status: ctypes.create_string_buffer(name.encode()) for status, name in STATUSES.items()}
        for name, (result, *arguments) in PROTOTYPES.items():
            callback = ctypes.CFUNCTYPE(result, *arguments)(self._function(name))
            # As a library has it: a function that doesn't know what it takes.
            bare = ctypes.CFUNCTYPE(c_int)(ctypes.cast(callback, c_void_p).value)
            bare.callback = callback  # lives as long
            setattr(self, name, bare)

    def _function(self, name: str) -> Any:
        body = getattr(type(self), "_" + name.removeprefix("cublasLt"))

        def function(*arguments: Any) -> int:
            self.calls[name] += 1
            if name in self.statuses:
                return self.statuses[name]
            try:
                return body(self, *arguments) or 0
            except Refusal as refusal:
                if refusal.status != 15:
                    self.refusals.append(str(refusal))
                return refusal.status
            except Exception as error:  # it can't pass through C
                self.refusals.append(repr(error))
                return 14

        return function

    # --- objects

    def _new(self, kind: str, to: int, attributes: dict[int, int]) -> None:
        address = 0x7FFF_0000_0010 + 0x100 * self.calls.total()  # never read, and longer than 32 bits
        self.objects[address] = kind, attributes
        c_void_p.from_address(to).value = address

    def _end(self, kind: str, address: int) -> None:
        require(self.objects.pop(address, ("nothing", {}))[0] == kind, f"{address} is no {kind}")

    def _set(self, kind: str, address: int, attribute: int, value: int, size: int) -> None:
        require(size == SIZES[kind].get(attribute), f"attribute {attribute} of {kind} has not {size} bytes")
        self._attributes(kind, address)[attribute] = int.from_bytes(ctypes.string_at(value, size), "little")

    def _attributes(self, kind: str, address: int) -> dict[int, int]:
        found, attributes = self.objects.get(address, ("nothing", {}))
        require(found == kind, f"{address} is no {kind}")
        return attributes

    def _Create(self, to: int) -> None:
        self._new("", to, {})

    def _Destroy(self, address: int) -> None:
        self._end("", address)

    def _GetStatusName(self, status: int) -> int:
        return ctypes.addressof(self._names[status])

    def _MatmulDescCreate(self, to: int, compute: int, scale: int) -> None:
        self._new("MatmulDesc", to, {COMPUTE: compute, SCALE: scale, TRANSA: 0, TRANSB: 0, EPILOGUE: 1, BIAS: 0})

    def _MatmulDescSetAttribute(self, *arguments: int) -> None:
        self._set("MatmulDesc", *arguments)

    def _MatmulDescDestroy(self, address: int) -> None:
        self._end("MatmulDesc", address)

    def _MatrixLayoutCreate(self, to: int, dtype: int, rows: int, columns: int, leading: int) -> None:
        self._new("MatrixLayout", to, {TYPE: dtype, ROWS: rows, COLUMNS: columns, LEADING: leading})

    def _MatrixLayoutDestroy(self, address: int) -> None:
        self._end("MatrixLayout", address)

    def _MatmulPreferenceCreate(self, to: int) -> None:
        default = dict.fromkeys((ALIGNMENT_A, ALIGNMENT_B, ALIGNMENT_C, ALIGNMENT_D), 256)
        self._new("MatmulPreference", to, {WORKSPACE: 0, **default})

    def _MatmulPreferenceSetAttribute(self, *arguments: int) -> None:
        self._set("MatmulPreference", *arguments)

    def _MatmulPreferenceDestroy(self, address: int) -> None:
        self._end("MatmulPreference", address)

    # --- products

    def _MatmulAlgoGetHeuristic(self, handle, operation, A, B, C, D, preference, wanted, results, count) -> None:
        self._is_handle(handle)
        require(wanted == 1, "one result is expected")
        layouts = (dict(self._attributes("MatrixLayout", X)) for X in (A, B, C, D))
        query = Query(
            dict(self._attributes("MatmulDesc", operation)),
            *layouts,
            dict(self._attributes("MatmulPreference", preference)),
        )
        self.queries.append(query)
        check_shapes(query)
        count, found = c_int.from_address(count), results
        if query.operation[EPILOGUE] in self.without_algorithm or not supported(query):
            require(self.answer_without_algorithm != "status", "no algorithm", 15)
            count.value = self.answer_without_algorithm == "state"
            c_int.from_address(found + 72).value = 15 * count.value
            return
        count.value = 1
        c_uint64.from_address(found).value = self._algorithm(len(self.queries) - 1)
        c_uint64.from_address(found + 56).value = self._algorithm(len(self.queries) - 1)
        c_size_t.from_address(found + 64).value = query.preference[WORKSPACE]
        c_int.from_address(found + 72).value = 0

    @staticmethod
    def _algorithm(number: int) -> int:
        return 0xA160_0000_0000_0000 + number

    def _is_handle(self, handle: int) -> None:
        require(self.objects.get(handle, ("nothing",))[0] == "", f"{handle} is no handle", 1)

    def _Matmul(
        self, handle, operation, alpha, A, A_is, B, B_is, beta, C, C_is, D, D_is, algorithm, workspace, size, stream
    ) -> None:
        self._is_handle(handle)
        asked = self.queries[c_uint64.from_address(algorithm).value - self._algorithm(0)]
        require(
            c_uint64.from_address(algorithm + 56).value == c_uint64.from_address(algorithm).value, "a cut algorithm"
        )
        done = self._attributes("MatmulDesc", operation)
        layouts = [self._attributes("MatrixLayout", X) for X in (A_is, B_is, C_is, D_is)]
        require({**done, BIAS: 0} == {**asked.operation, BIAS: 0}, "another operation than was asked for")
        require(layouts == list(asked[1:5]), "other layouts than were asked for")
        require(C == D and C_is == D_is, "C is D in their place only if it is D in its description too")
        require(size >= asked.preference[WORKSPACE] and workspace % 256 == 0, "the workspace")
        for address, attribute in ((A, ALIGNMENT_A), (B, ALIGNMENT_B), (C, ALIGNMENT_C), (D, ALIGNMENT_D)):
            require(address % asked.preference[attribute] == 0, "misaligned address", 13)
        if done[EPILOGUE] & (ADD_BIAS | BGRADA):
            require(done[BIAS] and done[BIAS] % max(16, lowest_bit(asked.operation[BIAS])) == 0, "misaligned bias", 13)
        self.streams.append(stream)
        self.workspaces.add((workspace, size))
        multiply(done, (A, layouts[0]), (B, layouts[1]), (D, layouts[3]), alpha, beta)


def lowest_bit(address: int) -> int:
    return min(256, address & -address)


def supported(query: Query) -> bool:
    """Whether NVIDIA's table has these types; and the gradient of a bias wants A as it lies."""
    operation = query.operation
    kinds = operation[COMPUTE], operation[SCALE], query.A[TYPE], query.D[TYPE]
    ordered = operation[EPILOGUE] != BGRADA or not operation[TRANSA]
    return kinds in TABLE and query.A[TYPE] == query.B[TYPE] and query.C == query.D and ordered


def check_shapes(query: Query) -> None:
    for X in query[1:5]:
        require(X[LEADING] >= X[ROWS] > 0 and X[COLUMNS] > 0, "a leading dimension smaller than the rows, or nothing")
    m, k = (query.A[COLUMNS], query.A[ROWS]) if query.operation[TRANSA] else (query.A[ROWS], query.A[COLUMNS])
    l, n = (query.B[COLUMNS], query.B[ROWS]) if query.operation[TRANSB] else (query.B[ROWS], query.B[COLUMNS])
    require(k == l and (m, n) == (query.D[ROWS], query.D[COLUMNS]), "shapes that don't fit")


def multiply(operation: dict[int, int], A: tuple, B: tuple, D: tuple, alpha: int, beta: int) -> None:
    """D = alpha op(A) op(B) + beta D, and the epilogue, column by column in memory."""
    number = ctypes.c_double if operation[SCALE] == 1 else ctypes.c_float
    alpha, beta = number.from_address(alpha).value, number.from_address(beta).value
    left, right, result = at(*A), at(*B), at(*D)
    left = as_computed(left.T if operation[TRANSA] else left, operation[COMPUTE])
    right = as_computed(right.T if operation[TRANSB] else right, operation[COMPUTE])
    value = alpha * (left @ right)
    if beta:
        value = value + beta * result.astype(value.dtype)
    if operation[EPILOGUE] & ADD_BIAS:
        value = value + vector(operation[BIAS], result).astype(value.dtype)[:, None]
    if operation[EPILOGUE] & RELU:
        value = np.where(value > 0, value, 0)  # of a NaN too
    if operation[EPILOGUE] == BGRADA:
        vector(operation[BIAS], result)[...] = left.sum(axis=1)
    result[...] = value


def as_computed(X: np.ndarray, compute: int) -> np.ndarray:
    """X in the type that is computed in; TF32 keeps ten bits of the mantissa."""
    X = X.astype(np.float64 if compute == 70 else np.float32)
    return (X.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) if compute == 77 else X


def dtype_of(number: int) -> np.dtype:
    if TYPES[number] == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(TYPES[number])


def at(address: int, layout: dict[int, int]) -> np.ndarray:
    """The matrix at an address, in place."""
    dtype = dtype_of(layout[TYPE])
    rows, columns, leading = layout[ROWS], layout[COLUMNS], layout[LEADING]
    memory = (ctypes.c_char * ((leading * (columns - 1) + rows) * dtype.itemsize)).from_address(address)
    strides = (dtype.itemsize, leading * dtype.itemsize)
    return np.ndarray((rows, columns), dtype, memory, strides=strides)


def vector(address: int, result: np.ndarray) -> np.ndarray:
    """The bias, or its gradient: packed, a number for each row of the result, and of its type."""
    memory = (ctypes.c_char * (result.shape[0] * result.itemsize)).from_address(address)
    return np.ndarray((result.shape[0],), result.dtype, memory)


class DeviceArray(np.ndarray):
    """A host array with CuPy's face: ``.data.ptr`` is its address."""

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.__array_interface__["data"][0])


def empty(shape: Any, dtype: Any, order: str = "C", offset: int = 0) -> DeviceArray:
    """An array, filled with 77, ``offset`` bytes behind a multiple of 256."""
    dtype = np.dtype(dtype)
    memory = np.zeros(int(np.prod(shape)) * dtype.itemsize + 512, np.uint8)
    start = -memory.__array_interface__["data"][0] % 256 + offset
    array = DeviceArray(shape, dtype, memory, start, order=order)
    array[...] = 77
    return array


def make_lt(library: Any, workspace_bytes: int = 1 << 12) -> Lt:
    """An ``Lt`` of this library, with a workspace."""
    workspace = empty(workspace_bytes, np.uint8)
    lt = Lt(library, workspace.data.ptr, workspace_bytes)
    lt.workspace = workspace  # kept alive as long
    return lt
