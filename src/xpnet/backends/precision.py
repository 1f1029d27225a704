"""How precisely a model computes: the dtype of its data, and how its matrix products round. Never process-wide.

=============  ==============  ===========================================================================
precision      data, theta     products
=============  ==============  ===========================================================================
``"float32"``  float32         float32
``"float64"``  float64         float64
``"tf32"``     float32         may round their factors to 10 bits of mantissa    (CuPy alone)
``"bfloat16"`` float32         may round their factors to 7 bits of mantissa     (CuPy alone)
=============  ==============  ===========================================================================

The last two allow a rounding, which the first steps or predictions of a kind and whatever runs as it stands on CuPy do
without: they are computed in float32, and the log says so once if that is to stay so.
"""

import functools
import logging
import warnings
from typing import Any, Literal

import numpy as np

from .backend import Backend
from .gpu import facts

Precision = Literal["float32", "float64", "tf32", "bfloat16"]
NARROW = ("tf32", "bfloat16")
NAMES = '"float32", "float64", "tf32", "bfloat16", or None for that of X'

logger = logging.getLogger("xpnet")


def data_dtype(precision: str | None, backend: Backend) -> Any:
    """The dtype of data and parameters on this backend, None where it is X's own.

    Raises
    ------
    ValueError
        The backend can't compute so.
    """
    if precision is None:
        return None
    if precision in NARROW:
        if not backend.is_cupy:
            raise ValueError(
                f'precision is "{precision}", which {backend.name} can\'t compute: it multiplies float32 in full. '
                'Use precision="float32", or backend="cupy" on an NVIDIA GPU'
            )
        _check_capability(precision, backend.device)
    return backend.xp.float64 if precision == "float64" else backend.xp.float32


@functools.cache
def say_that_it_is_float32(precision: str) -> None:
    """One line in the log: definitions that run as they stand know no narrower products."""
    logger.warning('precision is "%s"; products are computed in float32, which is more precise and slower', precision)


def _check_capability(precision: str, device: Any) -> None:
    """Raise if the GPU is older than its matrix units for such products: compute capability 8.0, Ampere."""
    gpu = facts(device.id)
    if gpu.capability < (8, 0):
        raise ValueError(
            f'precision is "{precision}", and GPU {device.id} ({gpu.name}) has compute capability '
            f'{gpu.capability[0]}.{gpu.capability[1]}; 8.0 or newer is needed: use precision="float32"'
        )


def warn_of_slow_float64(dtype: Any, backend: Backend) -> None:
    """Warn, once a process and GPU, if data of this dtype are computed at 1/32 of the speed of float32 or less."""
    if backend.is_cupy and dtype == np.float64:
        _warn_of_slow_float64(backend.device.id)


@functools.cache
def _warn_of_slow_float64(index: int) -> None:
    gpu = facts(index)
    if gpu.float32_to_float64 >= 32:
        warnings.warn(
            f"GPU {index} ({gpu.name}) computes float64 at 1/{gpu.float32_to_float64} of the speed of float32: "
            'precision="float32" is faster',
            RuntimeWarning,
            stacklevel=4,
        )


def checked_precision(precision: Any) -> None:
    """Raise where there is no such precision."""
    if precision not in (None, "float32", "float64", *NARROW):
        raise ValueError(f"precision is {precision!r}; allowed: {NAMES}")
