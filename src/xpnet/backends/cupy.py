"""CuPy's way: a fused kernel for each elementwise definition, and products by cuBLASLt calls that CUDA graphs can hold.

Only this folder imports CuPy, and only when a CuPy array or the name "cupy" asks for it.
"""

import contextlib
import functools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import array_api_compat.cupy
import cupy
import numpy as np

from . import cublas
from .precision import current_precision

Array = Any

xp: Any = array_api_compat.cupy

# --- elementwise definitions


def kernel_name(definition: Callable) -> str:
    """A C identifier for profilers, from the definition's own name."""
    return "xpnet_" + re.sub(r"\W+", "_", getattr(definition, "__qualname__", "kernel"))


@functools.cache
def fused(definition: Callable) -> Any:
    """``definition`` as one CUDA kernel, its namespace bound."""
    return cupy.fuse(kernel_name=kernel_name(definition))(functools.partial(definition, xp))


@functools.cache
def fused_into(definition: Callable, n_outputs: int, narrow: tuple[int, ...]) -> Any:
    """The same, its results written to the first ``n_outputs`` arguments.

    The arguments ``narrow`` hold bfloat16 and are computed with in float32, as CuPy would round after every operation.
    """

    def write(*arrays: Any) -> None:
        outputs, arguments = arrays[:n_outputs], arrays[n_outputs:]
        wide = [xp.astype(a, xp.float32) if i in narrow else a for i, a in enumerate(arguments)]
        values = definition(xp, *wide)
        for output, value in zip(outputs, values if isinstance(values, tuple) else (values,), strict=True):
            output[...] = value

    return cupy.fuse(kernel_name=kernel_name(definition))(write)


def evaluate(definition: Callable, arguments: Sequence[Any], outputs: Sequence[Array] = ()) -> Any:
    """``definition(xp, *arguments)`` in one kernel, written to ``outputs`` where there are any."""
    narrow = tuple(i for i, a in enumerate(arguments) if _is_narrow(a))
    if not narrow and not outputs:
        kernel = fused(definition)
        return _launched(definition, kernel, kernel(*arguments))
    n_results = _n_results(definition, tuple(None if a is None else 1.0 for a in arguments))
    if not outputs:
        first = arguments[0]
        outputs = [cupy.empty(first.shape, first.dtype) for _ in range(n_results or 1)]
    kernel = fused_into(definition, len(outputs), narrow)
    _launched(definition, kernel, kernel(*outputs, *arguments))
    return tuple(outputs) if n_results else outputs[0]


def _launched(definition: Callable, kernel: Any, values: Any) -> Any:
    if kernel.new_fusion is not None:
        # CuPy falls back in silence, and for good, to an engine that fills a fraction of the GPU.
        raise RuntimeError(
            f"{kernel_name(definition)} can't be fused into one CUDA kernel by CuPy {cupy.__version__}; "
            "write it with elementwise operations alone, or install cupy >= 14.2"
        )
    return values


def _is_narrow(a: Any) -> bool:
    return getattr(a, "ndim", 0) > 0 and a.dtype.name == "bfloat16"


@functools.cache
def _n_results(definition: Callable, arguments: tuple) -> int:
    """How many results a definition returns as a tuple, 0 for one by itself: found out on the host."""
    import array_api_compat.numpy as host

    with np.errstate(all="ignore"):
        values = definition(host, *(None if a is None else np.full((1, 1), a) for a in arguments))
    return len(values) if isinstance(values, tuple) else 0


def joined(definition: Callable, parts: Sequence[tuple], onto: Sequence[Array] = ()) -> Any:
    """The results for each part, one after the other: written to the arrays ``onto``, or to new ones.

    Parts that lie one after the other in memory are one: the update of a whole network is two kernels.
    """
    parts = merged(parts)
    if not onto:
        values = [evaluate(definition, part) for part in parts]
        if len(values) == 1:
            return values[0]
        if isinstance(values[0], tuple):
            return tuple(xp.concat(column) for column in zip(*values, strict=True))
        return xp.concat(values)
    at = 0
    for part in parts:
        to = at + part[0].shape[0]
        values = evaluate(definition, part, [output[at:to] for output in onto])
        at = to
    return tuple(onto) if isinstance(values, tuple) else onto[0]


def merged(parts: Sequence[tuple]) -> list[tuple]:
    """The parts, those whose arrays follow each other in memory and whose numbers agree put together."""
    found = [tuple(parts[0])]
    for part in parts[1:]:
        together = tuple(_put_together(a, b) for a, b in zip(found[-1], part, strict=True))
        if any(value is _APART for value in together):
            found.append(tuple(part))
        else:
            found[-1] = together
    return found


_APART = object()


def _put_together(a: Any, b: Any) -> Any:
    if not (hasattr(a, "data") and hasattr(b, "data")):
        return a if type(a) is type(b) and a == b else _APART
    if a.dtype != b.dtype or a.ndim != b.ndim or a.ndim > 1:
        return _APART
    if a.ndim == 0:
        return a if a.data.ptr == b.data.ptr else _APART
    follows = a.flags.c_contiguous and b.flags.c_contiguous and b.data.ptr == a.data.ptr + a.nbytes
    # Neighbours in one allocation only: two allocations may lie side by side and be freed apart.
    if not follows or a.data.mem is not b.data.mem:
        return _APART
    return cupy.ndarray((a.size + b.size,), a.dtype, memptr=a.data)


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
