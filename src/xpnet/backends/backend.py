"""A backend: an array library and one of its devices, with the conversion of arrays to it."""

import contextlib
import functools
from dataclasses import dataclass, field
from typing import Any

import array_api_compat.numpy as numpy_namespace
import numpy as np
from array_api_compat import array_namespace, device as device_of, is_array_api_obj, is_cupy_array, to_device

from .arrays import is_sparse, to_numpy
from .gpu import current, free_and_total_bytes, from_gpu, is_nvidia_gpu, is_on_gpu, moved
from .upload import LARGE, upload


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
        """x as an array of this backend.

        Parameters
        ----------
        x : array-like
            An array of any library, a sparse matrix, or anything else that NumPy can convert.
        dtype : dtype, optional
            The dtype of the result; by default that of x.

        Returns
        -------
        array
            x itself if it is an array of this backend and dtype. Arrays of other libraries on the same GPU are
            exchanged with CuPy by DLPack, without a copy; all others are copied.

        Raises
        ------
        TypeError
            x is a sparse matrix of another library or on another device.
        """
        if type(x) is np.ndarray and self.xp is numpy_namespace:  # a shortcut: the lines below do the same
            return x if dtype is None else x.astype(dtype, copy=False)
        if is_sparse(x):
            return self._as_csr(x, dtype)
        if is_array_api_obj(x) and array_namespace(x) is self.xp:
            return self._converted(x, dtype)
        if self.is_cupy and is_on_gpu(x):
            return self._converted(from_gpu(x), dtype)
        if is_cupy_array(x) and is_nvidia_gpu(self.device):
            return self._converted(self.xp.from_dlpack(x), dtype)
        host = x if isinstance(x, np.ndarray) else to_numpy(x)
        if self.xp is numpy_namespace:
            return host if dtype is None else host.astype(dtype, copy=False)
        with self.active():
            if self.is_cupy and host.nbytes > LARGE:
                return upload(host, dtype)
            # Always a copy, as torch would write through a read-only NumPy array; in a layout that every library reads.
            host = np.asarray(host, host.dtype.newbyteorder("="), order="C")
            return self.xp.asarray(host, dtype=dtype, device=self.device, copy=True)

    def _converted(self, x: Any, dtype: Any) -> Any:
        """An array of this library, on this device and in this dtype."""
        if device_of(x) != self.device:
            x = moved(x, self.device) if self.is_cupy else to_device(x, self.device)
        if dtype is None or x.dtype == dtype:
            return x
        with self.active():
            return self.xp.astype(x, dtype)

    def _as_csr(self, x: Any, dtype: Any) -> Any:
        x = x.tocsr()
        if array_namespace(x.data) is not self.xp or device_of(x.data) != self.device:
            raise TypeError(
                f"X is a sparse {type(x).__name__} of {type(x).__module__.split('.')[0]}, which {self.name} can't "
                'compute with: pass X.toarray(), or use backend="numpy" for SciPy\'s and cupyx.scipy.sparse for CuPy'
            )
        return x if dtype is None or x.dtype == dtype else x.astype(dtype)

    def floating(self, dtype: Any) -> Any:
        """The dtype to compute in for data of this dtype.

        Returns
        -------
        dtype
            float32 or float64 if that is given, otherwise float64, or float32 if the library has no float64.
        """
        if dtype == self.xp.float32 or dtype == self.xp.float64:
            return dtype
        return _default_floating(self.xp)

    def holds(self, n_bytes: int) -> bool:
        """Whether data of this size fit into the free memory of the GPU and leave room for a training step.

        Returns
        -------
        bool
            True on backends without a GPU.
        """
        return not self.is_cupy or n_bytes <= 0.7 * self.free_bytes()

    def free_bytes(self) -> int:
        """The free memory of the GPU in bytes, including what CuPy's memory pool holds and does not use."""
        with self.active():
            return free_and_total_bytes()[0]

    @functools.cached_property
    def is_cupy(self) -> bool:
        """Whether the library is CuPy."""
        return self.name.startswith("cupy")

    def active(self) -> contextlib.AbstractContextManager:
        """A context in which this backend's device is current (CuPy launches kernels on the current device).

        Raises
        ------
        MemoryError
            The GPU's memory is full; the message says how much is free and what to do.
        """
        # PyTorch's device is a context manager too, but it slows down every call.
        return current(self.device) if self.is_cupy else contextlib.nullcontext()


@functools.cache
def _default_floating(xp: Any) -> Any:
    # JAX has float64 only if the user has enabled it.
    return xp.float64 if "float64" in xp.__array_namespace_info__().dtypes() else xp.float32
