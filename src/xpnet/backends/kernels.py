"""CuPy's kernels: each elementwise definition fused into one, its results written where they belong."""

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import array_api_compat.cupy
import cupy
import numpy as np

Array = Any

xp: Any = array_api_compat.cupy


def kernel_name(definition: Callable) -> str:
    """A C identifier for profilers, from the definition's own name."""
    return "xpnet_" + re.sub(r"\W+", "_", getattr(definition, "__qualname__", "kernel"))


@functools.cache
def fused(definition: Callable) -> Any:
    """``definition`` as one CUDA kernel, its namespace bound."""
    return cupy.fuse(kernel_name=kernel_name(definition))(functools.partial(definition, xp))


@functools.cache
def fused_into(definition: Callable, n_outputs: int, narrow: tuple[int, ...]) -> Any:
    """The same, its results written to the first ``n_outputs`` arguments.

    The arguments ``narrow`` hold bfloat16 and are computed with in float32, as CuPy would round after every operation.
    """

    def write(*arrays: Any) -> None:
        outputs, arguments = arrays[:n_outputs], arrays[n_outputs:]
        wide = [xp.astype(a, xp.float32) if i in narrow else a for i, a in enumerate(arguments)]
        values = definition(xp, *wide)
        for output, value in zip(outputs, values if isinstance(values, tuple) else (values,), strict=True):
            output[...] = value

    return cupy.fuse(kernel_name=kernel_name(definition))(write)


def evaluate(definition: Callable, arguments: Sequence[Any], outputs: Sequence[Array] = ()) -> Any:
    """``definition(xp, *arguments)`` in one kernel, written to ``outputs`` where there are any."""
    narrow = tuple(i for i, a in enumerate(arguments) if _is_narrow(a))
    if not narrow and not outputs:
        kernel = fused(definition)
        return _launched(definition, kernel, kernel(*arguments))
    n_results = _n_results(definition, tuple(map(_number_like, arguments)))
    if not outputs:
        first = arguments[0]
        outputs = [cupy.empty(first.shape, first.dtype) for _ in range(n_results or 1)]
    kernel = fused_into(definition, len(outputs), narrow)
    _launched(definition, kernel, kernel(*outputs, *arguments))
    return tuple(outputs) if n_results else outputs[0]


def _launched(definition: Callable, kernel: Any, values: Any) -> Any:
    if kernel.new_fusion is not None:
        # CuPy falls back in silence, and for good, to an engine that fills a fraction of the GPU.
        raise RuntimeError(
            f"{kernel_name(definition)} can't be fused into one CUDA kernel by CuPy {cupy.__version__}; "
            "write it with elementwise operations alone, or install cupy >= 14.2"
        )
    return values


def _is_narrow(a: Any) -> bool:
    return getattr(a, "ndim", 0) > 0 and a.dtype.name == "bfloat16"


def _number_like(a: Any) -> int | float | None:
    """A number of an argument's kind."""
    return None if a is None else 1 if isinstance(a, int) or getattr(a, "dtype", np.float64) == np.int32 else 1.0


@functools.cache
def _n_results(definition: Callable, arguments: tuple) -> int:
    """How many results a definition returns as a tuple, 0 for one by itself: found out on the host."""
    import array_api_compat.numpy as host

    with np.errstate(all="ignore"):
        values = definition(host, *(None if a is None else np.full((1, 1), a) for a in arguments))
    return len(values) if isinstance(values, tuple) else 0


def joined(each_part: Callable, definition: Callable, parts: Sequence[tuple], onto: Sequence[Array] = ()) -> Any:
    """The results for each part, one after the other: written to the arrays ``onto``, or by ``each_part`` to new ones.

    Parts that lie one after the other in memory are one: the update of a whole network is two kernels.
    """
    parts = merged(parts)
    if not onto:
        return each_part(evaluate, definition, parts)
    at = 0
    for part in parts:
        to = at + part[0].shape[0]
        values = evaluate(definition, part, [output[at:to] for output in onto])
        at = to
    return tuple(onto) if isinstance(values, tuple) else onto[0]


def merged(parts: Sequence[tuple]) -> list[tuple]:
    """The parts, those whose arrays follow each other in memory and whose numbers agree put together."""
    found = [tuple(parts[0])]
    for part in parts[1:]:
        together = tuple(_put_together(a, b) for a, b in zip(found[-1], part, strict=True))
        if any(value is _APART for value in together):
            found.append(tuple(part))
        else:
            found[-1] = together
    return found


_APART = object()


def _put_together(a: Any, b: Any) -> Any:
    if not (hasattr(a, "data") and hasattr(b, "data")):
        return a if type(a) is type(b) and a == b else _APART
    if a.dtype != b.dtype or a.ndim != b.ndim or a.ndim > 1:
        return _APART
    if a.ndim == 0:
        return a if a.data.ptr == b.data.ptr else _APART
    follows = a.flags.c_contiguous and b.flags.c_contiguous and b.data.ptr == a.data.ptr + a.nbytes
    # Neighbours in one allocation only: two allocations may lie side by side and be freed apart.
    if not follows or a.data.mem is not b.data.mem:
        return _APART
    return cupy.ndarray((a.size + b.size,), a.dtype, memptr=a.data)
