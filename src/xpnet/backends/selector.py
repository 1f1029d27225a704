"""Which backend computes. The first of these that is given decides:

1. the argument ``backend=`` ("numpy", "cpu", "cupy", "cuda", "cupy:1", "auto"): it survives clone, pickle, workers;
2. an X that is neither NumPy's nor a list or table: everything follows X, its library and its device;
3. :func:`using_backend` and :func:`set_backend`, for host data;
4. the environment variable ``XPNET_BACKEND``, read when it is needed;
5. NumPy.

"cupy" requires a GPU and says what is missing; "auto" prefers one and logs what it took. Nothing falls back in silence.
"""

import contextlib
import contextvars
import functools
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from array_api_compat import (
    array_namespace,
    is_array_api_obj,
    is_cupy_array,
    is_jax_array,
    is_numpy_array,
    is_torch_array,
    to_device,
)
from array_api_compat import device as device_of

from .sparse import is_sparse, values_of

logger = logging.getLogger("xpnet")

NAMES = '"numpy" (or "cpu"), "cupy" (or "cuda"), "cupy:N" for GPU number N, "auto"'


class BackendUnavailableError(RuntimeError):
    """The backend that was asked for can't run on this machine; the message names the missing piece and the fix."""


@dataclass(frozen=True)
class Backend:
    """An array library and one of its devices.

    Attributes
    ----------
    name : str
        "numpy", "cupy:0", or the name of another Array API library.
    xp : module
        Its Array API namespace.
    device : object
        The device that arrays are made on, as that library names it.
    """

    name: str
    xp: Any = field(compare=False, repr=False)
    device: Any

    def asarray(self, x: Any, dtype: Any = None) -> Any:
        """x on this backend: itself where it already is, otherwise a copy. Other libraries' arrays come by DLPack."""
        if type(x) is np.ndarray and is_numpy_namespace(self.xp):  # what the lines below would find out, slowly
            return x if dtype is None else x.astype(dtype, copy=False)
        if is_sparse(x):
            return self._as_csr(x, dtype)
        if is_array_api_obj(x) and array_namespace(x) is self.xp:
            x = x if device_of(x) == self.device else to_device(x, self.device)
            return x if dtype is None or x.dtype == dtype else self.xp.astype(x, dtype)
        host = x if isinstance(x, np.ndarray) else to_numpy(x)
        if is_numpy_namespace(self.xp):
            return host if dtype is None else host.astype(dtype, copy=False)
        with self.active():
            # A copy always (torch would write through a read-only NumPy array), of memory that every library can read.
            host = np.asarray(host, host.dtype.newbyteorder("="), order="C")
            return self.xp.asarray(host, dtype=dtype, device=self.device, copy=True)

    def _as_csr(self, x: Any, dtype: Any) -> Any:
        x = x.tocsr()
        if array_namespace(x.data) is not self.xp or device_of(x.data) != self.device:
            raise TypeError(
                f"X is a sparse {type(x).__name__} of {type(x).__module__.split('.')[0]}, which {self.name} can't "
                'compute with: pass X.toarray(), or use backend="numpy" for SciPy\'s and cupyx.scipy.sparse for CuPy'
            )
        return x if dtype is None or x.dtype == dtype else x.astype(dtype)

    def floating(self, dtype: Any) -> Any:
        """The dtype to compute in: float32 and float64 stay, all else becomes float64 where the library has it."""
        if dtype == self.xp.float32 or dtype == self.xp.float64:
            return dtype
        return _default_floating(self.xp)

    def holds(self, n_bytes: int) -> bool:
        """Whether data of this size fits into a GPU's free memory with room for a training step; elsewhere always."""
        if not self.name.startswith("cupy"):
            return True
        import cupy

        with self.active():
            free = cupy.cuda.runtime.memGetInfo()[0] + cupy.get_default_memory_pool().free_bytes()
        return n_bytes <= 0.7 * free

    def active(self) -> contextlib.AbstractContextManager:
        """A context in which this backend's device is current (CuPy launches kernels on the current device)."""
        # PyTorch's device can be entered too, and then slows every call down.
        return self.device if self.name.startswith("cupy") else contextlib.nullcontext()


def is_numpy_namespace(xp: Any) -> bool:
    """Whether the namespace is array-api-compat's NumPy."""
    return xp.__name__ == "array_api_compat.numpy"


@functools.cache
def _default_floating(xp: Any) -> Any:
    # JAX holds float64 only where its user has enabled it.
    return xp.float64 if "float64" in xp.__array_namespace_info__().dtypes() else xp.float32


def to_numpy(x: Any) -> np.ndarray:
    """x as a NumPy array; a copy only where its memory is not the host's. Array libraries hand over by DLPack."""
    if isinstance(x, np.ndarray | np.generic) or not is_array_api_obj(x):
        return np.asarray(x)
    if is_cupy_array(x):
        return x.get()
    if is_torch_array(x):
        x = x.detach().cpu()
    elif not is_jax_array(x):
        x = to_device(x, array_namespace(x).__array_namespace_info__().default_device())
    return np.from_dlpack(x)


def is_host_data(x: Any) -> bool:
    """Whether x is a list, a table or a NumPy array, and so leaves the choice of the backend to others."""
    if isinstance(x, np.ndarray):
        return True
    x = values_of(x)
    return is_numpy_array(x) or not is_array_api_obj(x)


_process_wide: str | None = None
_in_context: contextvars.ContextVar[str | None] = contextvars.ContextVar("xpnet_backend", default=None)


def set_backend(name: str | None) -> None:
    """Choose the backend for host data in the whole process, so that the next notebook cell sees it; None resets it."""
    global _process_wide
    if name is not None:
        _named(name)
    _process_wide = name


@contextlib.contextmanager
def using_backend(name: str) -> Iterator[Backend]:
    """Choose the backend for host data inside a ``with`` block."""
    backend = _named(name)
    token = _in_context.set(name)
    try:
        yield backend
    finally:
        _in_context.reset(token)


def get_backend(backend: "str | Backend | None" = None, X: Any = None) -> Backend:
    """The backend that would compute with this argument and this X; see the module for the order.

    Raises
    ------
    ValueError
        The name is not one of those allowed.
    BackendUnavailableError
        CuPy, the driver or the GPU is missing.
    """
    if isinstance(backend, Backend):
        return backend
    if backend is not None:
        return _named(backend)
    if X is not None and not is_host_data(X):
        return _following(values_of(X))
    chosen = _in_context.get() or _process_wide
    if chosen is not None:
        return _named(chosen)
    from_environment = os.environ.get("XPNET_BACKEND")
    if from_environment:
        return _named(from_environment, said_by="the environment variable XPNET_BACKEND")
    return _numpy()


def _following(X: Any) -> Backend:
    xp = array_namespace(X)
    device = device_of(X)
    if is_cupy_array(X):
        return Backend(f"cupy:{device.id}", xp, device)
    name = xp.__name__.removeprefix("array_api_compat.").split(".")[0]
    return Backend(name, xp, device)


def _named(name: Any, said_by: str = "backend") -> Backend:
    match = re.fullmatch(r"(numpy|cpu|auto|(?:cupy|cuda)(?::(\d+))?)", name.lower()) if isinstance(name, str) else None
    if match is None:
        raise ValueError(f"{said_by} is {name!r}; allowed: {NAMES}")
    if match[1] in ("numpy", "cpu"):
        return _numpy()
    if match[1] == "auto":
        return _auto()[0]
    return _cupy(int(match[2] or 0))


@functools.cache
def _numpy() -> Backend:
    import array_api_compat.numpy as xp

    return Backend("numpy", xp, "cpu")


_INSTALL = (
    'install it with  python -m pip install "xpnet[cuda12]"  (cupy-cuda12x[ctk], for CUDA 12) '
    'or  "xpnet[cuda13]"  (cupy-cuda13x[ctk], for CUDA 13)'
)


def _cupy(index: int) -> Backend:
    try:
        import array_api_compat.cupy as xp
        import cupy
    except ImportError as error:
        raise BackendUnavailableError(
            f'the backend "cupy" needs CuPy, which can\'t be imported ({error}): {_INSTALL}'
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        reason = str(error).split(": ")[-1]
        fix = (
            "no GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES"
            if "cudaErrorNoDevice" in str(error)
            else "install or update the NVIDIA driver (nvidia-smi must run)"
        )
        raise BackendUnavailableError(
            f'the backend "cupy" needs an NVIDIA GPU and its driver, and CUDA says "{reason}": {fix}, '
            'or use backend="numpy"'
        ) from error
    if index >= count:
        raise BackendUnavailableError(
            f'backend is "cupy:{index}", but this machine has {count} GPU(s): use "cupy:0" to "cupy:{count - 1}"'
            if count
            else 'the backend "cupy" needs an NVIDIA GPU and none is visible: check CUDA_VISIBLE_DEVICES, '
            'or use backend="numpy"'
        )
    return Backend(f"cupy:{index}", xp, cupy.cuda.Device(index))


@functools.cache
def _auto() -> tuple[Backend, str]:
    """The backend that "auto" takes, and why; decided and logged once a process."""
    try:
        backend, why = _cupy(0), "a GPU and CuPy are here"
    except BackendUnavailableError as error:
        backend, why = _numpy(), str(error)
    logger.info('backend "auto" takes %s: %s', backend.name, why)
    return backend, why


def auto_choice() -> tuple[str, str]:
    """The name of the backend that "auto" takes on this machine, and the reason."""
    backend, why = _auto()
    return backend.name, why
