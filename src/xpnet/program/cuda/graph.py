"""The capture of launches as a CUDA graph."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import cupy


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """A context without garbage collection, which might free device memory: a capture forbids that."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def captured(launch: Callable[[Any], None]) -> Any:
    """The CUDA graph of all launches that ``launch(stream)`` makes on a new stream, which is current meanwhile.

    If ``launch`` raises an error, the capture is ended, and the error is raised again.
    """
    stream = cupy.cuda.Stream(non_blocking=True)  # the legacy stream can't be captured
    with _without_garbage_collection(), stream:
        try:
            stream.begin_capture()
            launch(stream)
            return stream.end_capture()
        except BaseException:
            # CuPy's is_capturing raises an error if CUDA has invalidated the capture, so it can't be used here.
            with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError):
                stream.end_capture()
            raise
