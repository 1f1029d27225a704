"""CuPy's way: one fused kernel for each elementwise definition.

Only this folder imports CuPy, and only when a CuPy array or the name "cupy" asks for it.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

import array_api_compat.cupy as xp
import cupy


def kernel_name(definition: Callable) -> str:
    """A C identifier for profilers, from the definition's own name."""
    return "xpnet_" + re.sub(r"\W+", "_", getattr(definition, "__qualname__", "kernel"))


@functools.cache
def fused(definition: Callable) -> Any:
    """``definition`` as one CUDA kernel, its namespace bound."""
    return cupy.fuse(kernel_name=kernel_name(definition))(functools.partial(definition, xp))


def evaluate(definition: Callable, *arguments: Any) -> Any:
    """``definition(xp, *arguments)`` in one kernel."""
    kernel = fused(definition)
    values = kernel(*arguments)
    if kernel.new_fusion is not None:
        # CuPy falls back in silence, and for good, to an engine that fills a fraction of the GPU.
        raise RuntimeError(
            f"{kernel_name(definition)} can't be fused into one CUDA kernel by CuPy {cupy.__version__}; "
            "write it with elementwise operations alone, or install cupy >= 14.2"
        )
    return values


def on_device(step: Callable, like: Any) -> Callable:
    """The step, with its kernels launched on the device that holds the array ``like``."""

    @functools.wraps(step)
    def launch(*arguments: Any) -> Any:
        with like.device:
            return step(*arguments)

    return launch
