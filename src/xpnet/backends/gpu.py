"""CuPy's GPUs: which one is current, arrays that come from another one or another library, and memory that is full."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from array_api_compat import is_torch_array

_CUDA = 2, 13
"""DLPack's numbers for a GPU's memory, and for memory that CUDA moves by itself."""


@contextlib.contextmanager
def current(device: Any) -> Iterator[Any]:
    """A context in which this GPU is current; if its memory runs out there, the MemoryError says what to do."""
    try:
        with device:
            yield device
    except MemoryError as error:
        import cupy

        if not isinstance(error, cupy.cuda.memory.OutOfMemoryError):
            raise
        with device:
            free, total = cupy.cuda.runtime.memGetInfo()
            free += cupy.get_default_memory_pool().free_bytes()
        raise MemoryError(
            f"GPU {device.id} has too little memory: {free / 2**30:.2f} of {total / 2**30:.2f} GiB are free. Use a "
            'smaller batch_size, narrower layers, or precision="float32" in place of "float64"; nvidia-smi lists other '
            f"processes that use this GPU. ({error})"
        ) from error


class Facts(NamedTuple):
    """What CUDA says about a GPU: its name, its compute capability, and how many times as fast float32 is as float64 (0
    if it is unknown).
    """

    name: str
    capability: tuple[int, int]
    float32_to_float64: int


@functools.cache
def facts(index: int) -> Facts:
    """Facts about this GPU."""
    import cupy

    said = cupy.cuda.runtime.getDeviceProperties(index)
    ratio = cupy.cuda.Device(index).attributes.get("SingleToDoublePrecisionPerfRatio", 0)
    return Facts(said["name"].decode(), (said["major"], said["minor"]), ratio)


def moved(x: Any, device: Any) -> Any:
    """A CuPy array on another GPU.

    CuPy puts the copy into a stream of one GPU, which does not wait for the other's: both are waited for.
    """
    import cupy

    with x.device:
        x = cupy.ascontiguousarray(x)
        cupy.cuda.get_current_stream().synchronize()
    with device:
        there = cupy.asarray(x)
        cupy.cuda.get_current_stream().synchronize()
    return there


def is_on_gpu(x: Any) -> bool:
    """Whether x lies in the memory of an NVIDIA GPU, as it says by DLPack or the CUDA array interface."""
    if hasattr(x, "__dlpack_device__"):
        return x.__dlpack_device__()[0] in _CUDA
    return hasattr(x, "__cuda_array_interface__")


def from_gpu(x: Any) -> Any:
    """What another library has on a GPU, as a CuPy array of the same memory."""
    import cupy

    x = x.detach() if is_torch_array(x) else x
    return cupy.from_dlpack(x) if hasattr(x, "__dlpack__") else cupy.asarray(x)


def takes_from_gpu(device: Any) -> bool:
    """Whether a device of another library is an NVIDIA GPU, as PyTorch and JAX name theirs."""
    return getattr(device, "type", None) == "cuda" or getattr(device, "platform", None) in ("gpu", "cuda")
