"""GPUs, through CuPy: the current one, their properties and free memory, and arrays from other GPUs and libraries."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from array_api_compat import is_torch_array

_CUDA = 2, 13
"""DLPack's device types kDLCUDA and kDLCUDAManaged."""


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
            free, total = free_and_total_bytes()
        raise MemoryError(
            f"GPU {device.id} has too little memory: {free / 2**30:.2f} of {total / 2**30:.2f} GiB are free. Use a "
            'smaller batch_size, narrower layers, or precision="float32" in place of "float64"; nvidia-smi lists other '
            f"processes that use this GPU. ({error})"
        ) from error


def free_and_total_bytes() -> tuple[int, int]:
    """The memory of the current GPU: what is free, including what CuPy's memory pool does not use, and all of it."""
    import cupy

    free, total = cupy.cuda.runtime.memGetInfo()
    return free + cupy.get_default_memory_pool().free_bytes(), total


class Facts(NamedTuple):
    """Properties of a GPU: its name, its compute capability, and the ratio of its speeds in float32 and in float64,
    which is 0 if unknown.
    """

    name: str
    capability: tuple[int, int]
    float32_to_float64: int


@functools.cache
def facts(index: int) -> Facts:
    """The properties of the GPU with this index."""
    import cupy

    properties = cupy.cuda.runtime.getDeviceProperties(index)
    ratio = cupy.cuda.Device(index).attributes.get("SingleToDoublePrecisionPerfRatio", 0)
    return Facts(properties["name"].decode(), (properties["major"], properties["minor"]), ratio)


def moved(x: Any, device: Any) -> Any:
    """A CuPy array on another GPU.

    CuPy copies on a stream of one GPU, which does not wait for streams of the other: so both are synchronized.
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
    """Whether x is in the memory of an NVIDIA GPU, according to DLPack or the CUDA array interface."""
    if hasattr(x, "__dlpack_device__"):
        return x.__dlpack_device__()[0] in _CUDA
    return hasattr(x, "__cuda_array_interface__")


def from_gpu(x: Any) -> Any:
    """An array of another library on a GPU as a CuPy array, which shares its memory."""
    import cupy

    x = x.detach() if is_torch_array(x) else x
    return cupy.from_dlpack(x) if hasattr(x, "__dlpack__") else cupy.asarray(x)


def is_nvidia_gpu(device: Any) -> bool:
    """Whether a device of another library is an NVIDIA GPU, as PyTorch and JAX name theirs."""
    return getattr(device, "type", None) == "cuda" or getattr(device, "platform", None) in ("gpu", "cuda")
