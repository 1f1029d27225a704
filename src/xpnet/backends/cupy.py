"""CuPy's way: products by cuBLASLt calls that CUDA graphs can hold, with bias, ReLU and bias gradients in one call.

Only this folder imports CuPy, and only when a CuPy array or the name "cupy" asks for it.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import array_api_compat.cupy
import cupy
import numpy as np

from . import cublas
from .kernels import evaluate, merged
from .precision import current_precision

Array = Any

xp: Any = array_api_compat.cupy

# --- products


class _Local(threading.local):
    """What one thread computes with: its cuBLASLt of each device, and where a captured step's gradients go."""

    def __init__(self) -> None:
        self.products: dict[int, Products] = {}
        self.windows: GradientWindows | None = None


_LOCAL = _Local()
WORKSPACE = 32 << 20
"""Bytes of cuBLASLt's workspace: what NVIDIA advises on Hopper."""


class Products(cublas.Lt):
    """cuBLASLt on the current device, with a workspace of its own."""

    def __init__(self) -> None:
        self._memory = cupy.empty(WORKSPACE, cupy.uint8)
        super().__init__(cublas.load(), self._memory.data.ptr, WORKSPACE)


def _products() -> Products:
    device = cupy.cuda.runtime.getDevice()
    if device not in _LOCAL.products:
        _LOCAL.products[device] = Products()
    return _LOCAL.products[device]


@contextlib.contextmanager
def computing_with(products: Products, windows: "GradientWindows") -> Iterator[None]:
    """Products by this handle, and gradients into these windows: two streams must not share a workspace."""
    device = cupy.cuda.runtime.getDevice()
    before = _LOCAL.products.get(device), _LOCAL.windows
    _LOCAL.products[device], _LOCAL.windows = products, windows
    try:
        yield
    finally:
        if before[0] is None:
            del _LOCAL.products[device]
        else:
            _LOCAL.products[device] = before[0]
        _LOCAL.windows = before[1]


class GradientWindows:
    """The gradient of a window of theta is the same window of one vector, so that an update reads it in one piece."""

    def __init__(self, theta: Array) -> None:
        self.theta, self.gradient = theta, cupy.empty_like(theta)
        self.rounded: Array | None = None

    def of(self, W: Array) -> Array | None:
        """Where the gradient of W goes; None where W is no window of theta, nor of its rounded copy."""
        for vector in (self.theta, self.rounded):
            if vector is None or W.dtype != vector.dtype or not W.flags.c_contiguous:
                continue
            at = (W.data.ptr - vector.data.ptr) // vector.itemsize
            if 0 <= at and at + W.size <= vector.size:
                return self.gradient[at : at + W.size].reshape(W.shape)
        return None


def _place(W: Array) -> Array:
    """Where the gradient of W is written: its window, or an array of its own; float32 for bfloat16."""
    place = None if _LOCAL.windows is None else _LOCAL.windows.of(W)
    return cupy.empty(W.shape, _accumulated(W.dtype)) if place is None else place


def _accumulated(dtype: Any) -> Any:
    return np.dtype(np.float32) if dtype.name == "bfloat16" else dtype


def _multiply(A: Array, B: Array, out: Array, **epilogue: Any) -> bool:
    precision = "tf32" if current_precision() == "tf32" and A.dtype == np.float32 else "float32"
    stream = cupy.cuda.get_current_stream().ptr
    return _products().product(_packed(A), _packed(B), out, stream=stream, precision=precision, **epilogue)


def _packed(A: Array) -> Array:
    return A if A.flags.c_contiguous or A.flags.f_contiguous else cupy.ascontiguousarray(A)


def matmul(A: Array, B: Array) -> Array:
    """A B by cuBLASLt; anything but two matrices of one floating dtype by CuPy."""
    if A.ndim != 2 or B.ndim != 2 or A.dtype != B.dtype or A.dtype.name not in ("float32", "float64", "bfloat16"):
        return xp.matmul(A, B)
    out = cupy.empty((A.shape[0], B.shape[1]), A.dtype)
    if not _multiply(A, B, out):
        out[...] = 0.0  # a sum of nothing
    return out


def vecdot(a: Array, b: Array, *, axis: int = -1) -> Array:
    """sum a b: CuPy's own is a product, which no graph can hold."""
    return xp.sum(a * b, axis=axis)


namespace = SimpleNamespace(**{**vars(xp), "matmul": matmul, "vecdot": vecdot})
"""The namespace of composites: CuPy's, with products that CUDA graphs can hold."""


# --- composites that are one call with an epilogue

_EPILOGUES = {
    "xpnet.equations.activations.ReLU()": True,
    "xpnet.equations.activations.Linear(alpha=1.0, c=0.0)": False,
}
"""Activations that cuBLASLt adds to a product with bias: whether it is a ReLU. Its ReLU makes 0 of NaN."""


def affine_activation(definition: Callable, X: Array, W: Array, b: Array | None, f: Any) -> Array:
    """f(X W + b) in one call, where f is a ReLU or the identity."""
    relu = _EPILOGUES.get(f"{type(f).__module__}.{f!r}")
    if b is None or relu is None:
        return definition(X, W, b, f)
    A = cupy.empty((X.shape[0], W.shape[1]), X.dtype)
    return A if _multiply(X, W, A, bias=b, relu=relu) else definition(X, W, b, f)


def affine_gradients(definition: Callable, X: Array, W: Array, b: Array | None, dZ: Array, need_dX: bool) -> tuple:
    """X^T dZ, with the columns' sums of dZ in the same call; and dZ W^T."""
    dW = _place(W)
    db = None if b is None else _place(b)
    if db is None or not _multiply(X.T, dZ, dW, column_sums=db):
        _multiply(X.T, dZ, dW)
        if db is not None:
            _add_up_rows(dZ, db)
    return matmul(dZ, W.T) if need_dX else None, dW, db


def column_sum(definition: Callable, Z: Array) -> Array:
    """The columns' sums as a product with ones."""
    sums = cupy.empty(Z.shape[1:], _accumulated(Z.dtype))
    _add_up_rows(Z, sums)
    return sums


def _add_up_rows(Z: Array, sums: Array) -> None:
    # CuPy's own sum over the first axis of a matrix fills a few blocks of the GPU.
    _multiply(cupy.ones((1, Z.shape[0]), Z.dtype), Z, sums[None, :])


def join(definition: Callable, *pieces: Array) -> Array:
    """The pieces as they lie, where each begins in memory where the last one ends; else a copy."""
    parts = merged([(piece,) for piece in pieces])
    return parts[0][0] if len(parts) == 1 else definition(*pieces)


COMPOSITES: dict[str, Callable] = {
    "affine_activation": affine_activation,
    "affine_gradients": affine_gradients,
    "column_sum": column_sum,
    "join": join,
}
"""The composites, by name, that have a lowering of their own: ``lowering(definition, *arguments)``."""


# --- bfloat16


def cast(A: Array, dtype: str) -> Array:
    """A in "float32" or "bfloat16": itself where it already is."""
    if A.dtype.name == dtype:
        return A
    out = cupy.empty(A.shape, _bfloat16() if dtype == "bfloat16" else np.float32)
    evaluate(_itself, (A,), (out,))
    windows = _LOCAL.windows
    if windows is not None and A.data.ptr == windows.theta.data.ptr and A.size == windows.theta.size:
        windows.rounded = out
    return out


def _itself(xp: Any, A: Array) -> Array:
    return A


@functools.cache
def _bfloat16() -> np.dtype:
    try:
        import ml_dtypes
    except ImportError as error:
        raise ModuleNotFoundError(
            'precision is "bfloat16", which needs ml_dtypes:  python -m pip install ml_dtypes'
        ) from error
    return np.dtype(ml_dtypes.bfloat16)
