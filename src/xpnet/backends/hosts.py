"""Data on the host, and the conversion of other data to NumPy arrays."""

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

from .sparse import is_sparse, values_of


def to_numpy(x: Any) -> np.ndarray:
    """x as a NumPy array, which is a copy only if x is not in the host's memory."""
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
    return is_numpy_array(x) or not (is_array_api_obj(x) or hasattr(x, "__cuda_array_interface__"))


def on_host(x: Any) -> Any:
    """x itself if it is host data, otherwise a copy of it on the host: a NumPy array, or a matrix of SciPy's."""
    if is_host_data(x):
        return x
    return x.get() if is_sparse(x) else to_numpy(x)
