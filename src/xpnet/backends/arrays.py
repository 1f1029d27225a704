"""Namespaces of arrays, sparse matrices, host data, and the conversion to NumPy arrays.

A sparse matrix of SciPy or CuPy may be used in X W, in X^T dZ and as batches of rows. The vector of its values is an
ordinary array, which tells its library and device.
"""

from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np
from array_api_compat import is_array_api_obj, is_cupy_array, is_jax_array, is_numpy_array, is_torch_array, to_device


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse matrix or array of SciPy or CuPy. Its methods tell, so that neither is imported."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def values_of(x: Any) -> Any:
    """The stored values of a sparse x, or x itself if it is dense."""
    if not is_sparse(x):
        return x
    return x.data if x.format in ("csr", "csc", "coo") else x.tocsr().data


class _SparseNamespace:
    """The namespace of a sparse matrix: products and the transpose. Anything else would make X dense."""

    @staticmethod
    def matmul(A: Any, B: Any) -> Any:
        """A B, dense unless both are sparse."""
        return A @ B

    @staticmethod
    def matrix_transpose(A: Any) -> Any:
        """A^T, without a copy of the values."""
        return A.T

    def __getattr__(self, name: str) -> Any:
        raise TypeError(
            f"X is sparse, and {name} would make it dense: use Dense as the first layer, or pass X.toarray()"
        )


_SPARSE = _SparseNamespace()
_BY_TYPE: dict[type, Any] = {}


def array_namespace(array: Any) -> Any:
    """The Array API namespace of an array's library, by array-api-compat, looked up once for each type.

    A recorded array has the namespace of its program.
    """
    kind = type(array)
    if kind not in _BY_TYPE:
        xp = _SPARSE if is_sparse(array) else array_api_compat.array_namespace(array)
        _BY_TYPE[kind] = xp if isinstance(xp, ModuleType) or xp is _SPARSE else None
    xp = _BY_TYPE[kind]
    return array.__array_namespace__() if xp is None else xp


def to_numpy(x: Any) -> np.ndarray:
    """x as a NumPy array, which is a copy only if x is not in the host's memory."""
    if isinstance(x, np.ndarray | np.generic) or not is_array_api_obj(x):
        return np.asarray(x)
    if is_cupy_array(x):
        return x.get()
    if is_torch_array(x):
        x = x.detach().cpu()
    elif not is_jax_array(x):
        xp = array_api_compat.array_namespace(x)
        x = to_device(x, xp.__array_namespace_info__().default_device())
    return np.from_dlpack(x)


def is_host_data(x: Any) -> bool:
    """Whether x is a list, a table or a NumPy array, which do not determine the backend."""
    if isinstance(x, np.ndarray):
        return True
    x = values_of(x)
    return is_numpy_array(x) or not (is_array_api_obj(x) or hasattr(x, "__cuda_array_interface__"))


def on_host(x: Any) -> Any:
    """x itself if it is host data, otherwise a copy of it on the host: a NumPy array, or a sparse matrix of SciPy."""
    if is_host_data(x):
        return x
    return x.get() if is_sparse(x) else to_numpy(x)
