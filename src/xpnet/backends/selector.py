"""Which backend computes, see :func:`get_backend`.

"cupy" requires a GPU and raises an error that says what is missing. "auto" prefers a GPU and logs its choice.
"""

import contextlib
import contextvars
import functools
import logging
import re
from collections.abc import Iterator
from typing import Any

from array_api_compat import array_namespace, device as device_of, is_array_api_obj, is_cupy_array

from .arrays import is_host_data, values_of
from .backend import Backend
from .environment import setting
from .gpu import from_gpu

logger = logging.getLogger("xpnet")

NAMES = '"numpy" (or "cpu"), "cupy" (or "cuda"), "cupy:N" for GPU number N, "auto"'


class BackendUnavailableError(RuntimeError):
    """The requested backend can't run on this machine; the message says what is missing and how to fix it."""


_process_wide: str | None = None
_in_context: contextvars.ContextVar[str | None] = contextvars.ContextVar("xpnet_backend", default=None)


def set_backend(name: str | None) -> None:
    """Choose the backend for host data in the whole process.

    Parameters
    ----------
    name : {"numpy", "cupy", "cupy:N", "auto"} or None
        "cpu" and "cuda" are other names of "numpy" and "cupy". None resets the choice.

    Raises
    ------
    ValueError, BackendUnavailableError
        See :func:`get_backend`.
    """
    global _process_wide
    if name is not None:
        _named(name)
    _process_wide = name


@contextlib.contextmanager
def using_backend(name: str) -> Iterator[Backend]:
    """Choose the backend for host data inside a ``with`` block.

    Parameters
    ----------
    name : {"numpy", "cupy", "cupy:N", "auto"}
        See :func:`set_backend`.

    Yields
    ------
    Backend

    Raises
    ------
    ValueError, BackendUnavailableError
        See :func:`get_backend`.

    Examples
    --------
    >>> from xpnet import get_backend, using_backend
    >>> with using_backend("numpy"):
    ...     get_backend().name
    'numpy'
    """
    backend = _named(name)
    token = _in_context.set(name)
    try:
        yield backend
    finally:
        _in_context.reset(token)


def get_backend(backend: "str | Backend | None" = None, X: Any = None) -> Backend:
    """The backend that computes with this argument and this X.

    The first of these that is given decides:

    1. the argument ``backend``, which survives clone, pickle and worker processes;
    2. an X that is neither NumPy's nor a list or table: its library and its device compute;
    3. :func:`using_backend`, then :func:`set_backend`;
    4. the environment variable ``XPNET_BACKEND``, read when it is needed;
    5. NumPy.

    Parameters
    ----------
    backend : str or Backend, optional
        A name that :func:`set_backend` takes, or a backend, which is returned.
    X : array-like, optional
        The data.

    Returns
    -------
    Backend

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
    from_environment = setting("XPNET_BACKEND")
    if from_environment:
        return _named(from_environment, source="the environment variable XPNET_BACKEND")
    return _numpy()


def on_device_of(x: Any) -> contextlib.AbstractContextManager:
    """A context in which the device of x is current; host data have none."""
    return contextlib.nullcontext() if is_host_data(x) else _following(values_of(x)).active()


def _following(X: Any) -> Backend:
    if not is_array_api_obj(X):  # a library with GPU arrays and without a namespace, such as Numba: CuPy computes
        _cupy(0)  # raises if there is no CuPy
        return _cupy(from_gpu(X).device.id)
    xp = array_namespace(X)
    device = device_of(X)
    if is_cupy_array(X):
        return Backend(f"cupy:{device.id}", xp, device)
    name = xp.__name__.removeprefix("array_api_compat.").split(".")[0]
    return Backend(name, xp, device)


def _named(name: Any, source: str = "backend") -> Backend:
    match = re.fullmatch(r"(numpy|cpu|auto|(?:cupy|cuda)(?::(\d+))?)", name.lower()) if isinstance(name, str) else None
    if match is None:
        raise ValueError(f"{source} is {name!r}; allowed: {NAMES}")
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
            f'the backend "cupy" needs an NVIDIA GPU and its driver, but CUDA reports "{reason}": {fix}, '
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
    """The backend that "auto" takes, and why; decided and logged once in each process."""
    try:
        backend, why = _cupy(0), "a GPU and CuPy are available"
    except BackendUnavailableError as error:
        backend, why = _numpy(), str(error)
    logger.info('backend "auto" takes %s: %s', backend.name, why)
    return backend, why


def auto_choice() -> tuple[str, str]:
    """The name of the backend that "auto" takes on this machine, and the reason."""
    backend, why = _auto()
    return backend.name, why
