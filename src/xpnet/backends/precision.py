"""The precision of a model: the dtype of its data, and the rounding of its matrix products. It is never process-wide.

=============  ==============  ===========================================================================
precision      data, theta     products
=============  ==============  ===========================================================================
``"float32"``  float32         float32
``"float64"``  float64         float64
``"tf32"``     float32         may round their factors to 10 bits of mantissa    (CuPy only)
``"bfloat16"`` float32         may round their factors to 7 bits of mantissa     (CuPy only)
=============  ==============  ===========================================================================

The last two allow rounding and do not guarantee it: on CuPy the first steps or predictions of a kind, and everything
that is not replayed, are computed in float32. The log says so once if something is never replayed.
"""

import functools
import logging
import warnings
from typing import Any, Literal

from .backend import Backend
from .gpu import facts

Precision = Literal["float32", "float64", "tf32", "bfloat16"]
NARROW = ("tf32", "bfloat16")
NAMES = '"float32", "float64", "tf32", "bfloat16", or None for that of X'

logger = logging.getLogger("xpnet")


def data_dtype(precision: str | None, backend: Backend) -> Any:
    """The dtype of data and parameters on this backend; None if X keeps its own.

    Raises
    ------
    ValueError
        The backend does not have this precision.
    """
    if precision is None:
        return None
    if precision in NARROW:
        if not backend.is_cupy:
            raise ValueError(
                f'precision is "{precision}", which {backend.name} can\'t compute: it does not round float32. '
                'Use precision="float32", or backend="cupy" on an NVIDIA GPU'
            )
        _check_capability(precision, backend.device)
    return backend.xp.float64 if precision == "float64" else backend.xp.float32


@functools.cache
def say_that_it_is_float32(precision: str) -> None:
    """Log, once for each precision, that products are computed in float32."""
    logger.warning('precision is "%s"; products are computed in float32, which is more precise and slower', precision)


def _check_capability(precision: str, device: Any) -> None:
    """Raise a ValueError if the GPU has no matrix units for this precision: they came with compute capability 8.0."""
    gpu = facts(device.id)
    if gpu.capability < (8, 0):
        raise ValueError(
            f'precision is "{precision}", and GPU {device.id} ({gpu.name}) has compute capability '
            f'{gpu.capability[0]}.{gpu.capability[1]}; 8.0 or newer is needed: use precision="float32"'
        )


@functools.cache
def warn_of_slow_float64(index: int) -> None:
    """Warn once for each GPU if it computes float64 at 1/32 of the speed of float32 or less."""
    gpu = facts(index)
    if gpu.float32_to_float64 >= 32:
        warnings.warn(
            f"GPU {index} ({gpu.name}) computes float64 at 1/{gpu.float32_to_float64} of the speed of float32: "
            'precision="float32" is faster',
            RuntimeWarning,
            stacklevel=3,
        )


def checked_precision(precision: Any) -> None:
    """Raise a ValueError if there is no such precision."""
    if precision not in (None, "float32", "float64", *NARROW):
        raise ValueError(f"precision is {precision!r}; allowed: {NAMES}")
