"""Reads and checks the data that a user passes: their backend, their dtype, and errors."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from array_api_compat import is_cupy_array

from . import gpu
from .arrays import array_namespace, is_host_data, is_sparse, to_numpy, values_of
from .backend import Backend
from .precision import warn_of_slow_float64
from .row_source import RowSource, is_in_rows
from .selector import get_backend

Array = Any


def read_data(
    X: Any,
    name: str,
    backend: str | Backend | None = None,
    dtype: Any = None,
    may_stay: bool = False,
    is_checked: bool = False,
) -> tuple[Backend, Array]:
    """The backend that computes with X, and X there: real, finite, float32 or float64.

    Parameters
    ----------
    X : array-like
        Any Array API array, NumPy array, list or table of numbers.
    name : str
        The name of X in error messages.
    backend : str or Backend, optional
        See :func:`xpnet.get_backend`.
    dtype : dtype, optional
        float32 or float64 of that backend; by default X's own, or float64 if X has another one.
    may_stay : bool
        Whether host data that is larger than the GPU's memory may stay on the host, as a NumPy array.
    is_checked : bool
        Whether X is known to be finite, so that it is not checked again.

    Raises
    ------
    ValueError
        X holds no numbers, complex numbers, NaN or infinity, or is empty.
    """
    chosen = get_backend(backend, X)
    with chosen.active():
        if isinstance(X, RowSource) or is_in_rows(X):
            X = _read_rows(X, name, chosen, dtype, may_stay)
        else:
            X = _read_array(X, name, chosen, dtype, may_stay)
            if not is_checked:
                check_finite(X, name)
        if chosen.is_cupy and X.dtype == np.float64:
            warn_of_slow_float64(chosen.device.id)
    return chosen, X


def _read_array(X: Any, name: str, backend: Backend, dtype: Any, may_stay: bool) -> Array:
    """X on the backend in the dtype that is computed in, of real numbers."""
    home = backend
    if backend.is_cupy and gpu.is_on_gpu(X):
        X = backend.asarray(X)
    if is_sparse(X):
        X = X.tocsr()
        _check_kind(X, name)
    elif is_host_data(X):
        X = _host_numbers(X, name)
        home = get_backend("numpy") if may_stay and not backend.holds(X.nbytes) else backend
    elif not array_namespace(X).isdtype(X.dtype, ("real floating", "integral", "bool")):
        raise ValueError(f"{name} has dtype {X.dtype}; real numbers are needed")
    X = home.asarray(X, dtype if is_host_data(X) else None)
    X = home.asarray(X, home.floating(X.dtype) if dtype is None else dtype)
    if 0 in X.shape or X.ndim == 0:
        raise ValueError(f"{name} has shape {tuple(X.shape)}; at least one sample and one value are needed")
    return X


def _read_rows(X: Any, name: str, backend: Backend, dtype: Any, may_stay: bool) -> Any:
    """X as rows that are read when they are needed, or all of them if they may not stay on the host."""
    may_stay = may_stay and (backend.name == "numpy" or backend.is_cupy)
    if isinstance(X, RowSource):  # which was checked when it was made
        return X if may_stay else backend.asarray(X[:])
    _check_kind(X, name)
    rows = RowSource(X, None if dtype is None else to_numpy(backend.xp.zeros(0, dtype=dtype)).dtype)
    if 0 in rows.shape or rows.ndim == 0:
        raise ValueError(f"{name} has shape {rows.shape}; at least one sample and one value are needed")
    for block in rows.blocks():
        check_finite(block, name)
    return rows if may_stay else backend.asarray(rows[:])


def _host_numbers(X: Any, name: str) -> Array:
    try:
        host = to_numpy(X)
    except ValueError as error:
        raise ValueError(
            f"{name} can't be converted to an array: its rows must all have the same length ({error})"
        ) from error
    _check_kind(host, name)
    return host if host.dtype in (np.float32, np.float64) else host.astype(np.float64)


def _check_kind(X: Any, name: str) -> None:
    if X.dtype.kind not in "fiub":
        fix = "take the real part or its absolute value" if X.dtype.kind == "c" else "encode text as numbers first"
        raise ValueError(f"{name} has dtype {X.dtype}; real numbers are needed: {fix}")


def all_finite(X: Array) -> Any:
    """Whether X holds neither NaN nor infinity: a bool, or a 0-d array of X's library, so that nothing waits for a GPU.

    No array of X's size is made.
    """
    X = values_of(X)
    xp = array_namespace(X)
    return 0 in X.shape or (xp.isfinite(xp.max(X)) & xp.isfinite(xp.min(X)))


def check_finite(X: Array, name: str) -> None:
    """Raise a ValueError if X holds NaN or infinity; it says how many."""
    if all_finite(X):
        return
    X = values_of(X)
    xp = array_namespace(X)
    n_bad = int(xp.count_nonzero(~xp.isfinite(X)))
    raise ValueError(f"{name} contains {n_bad} value(s) that are NaN or infinite; remove or impute those samples first")


@contextlib.contextmanager
def finite_check(X: Any, name: str) -> Iterator[None]:
    """A context that calls ``check_finite`` before its block, or after it if X is on a GPU.

    Reading the result of a check waits for the GPU, which meanwhile computes the results of the block.
    """
    is_on_gpu, is_finite = is_cupy_array(values_of(X)), True
    if is_on_gpu:
        is_finite = all_finite(X)
    elif not isinstance(X, RowSource):  # these have been checked
        check_finite(X, name)
    yield
    if not is_finite:
        check_finite(X, name)
