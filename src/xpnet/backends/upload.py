"""Copies large host arrays to a GPU in chunks, through two page-locked buffers.

CuPy itself would make a page-locked copy of the whole array, and keep that memory.
"""

from typing import Any

import numpy as np

LARGE = 1 << 24
"""The size in bytes above which an array is copied in chunks."""
CHUNK = 1 << 23
"""The size of a buffer in bytes."""


def upload(host: np.ndarray, dtype: Any = None) -> Any:
    """The array on the current GPU, C-contiguous and in this dtype. It is copied on the current stream."""
    import cupy
    import cupyx

    dtype = host.dtype.newbyteorder("=") if dtype is None else np.dtype(dtype)
    there = cupy.empty(host.shape, dtype)
    rows, to = (host, there) if _size(host[:1], dtype) <= CHUNK else (host.reshape(-1), there.reshape(-1))
    n = max(1, CHUNK // _size(rows[:1], dtype))
    stream = cupy.cuda.get_current_stream()
    buffers = [cupyx.empty_pinned((n, *rows.shape[1:]), dtype) for _ in range(2)]
    copied = [cupy.cuda.Event(disable_timing=True) for _ in buffers]
    for i, at in enumerate(range(0, len(rows), n)):
        part, done = rows[at : at + n], copied[i % 2]
        buffer = buffers[i % 2][: len(part)]
        done.synchronize()  # what the buffer held two chunks ago has been copied
        np.copyto(buffer, part, casting="unsafe")
        to[at : at + n].set(buffer, stream=stream)
        done.record(stream)
    for done in copied:
        done.synchronize()  # before the buffers are used for anything else
    return there


def _size(rows: np.ndarray, dtype: np.dtype) -> int:
    """The size in bytes of these rows in this dtype."""
    return rows.size * dtype.itemsize
