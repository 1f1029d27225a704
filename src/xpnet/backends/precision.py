"""How precisely a model computes: the dtype of its data, and how its matrix products round. Never process-wide.

=============  ==============  ===========================================================================
precision      data, theta     products
=============  ==============  ===========================================================================
``"float32"``  float32         float32
``"float64"``  float64         float64
``"tf32"``     float32         factors rounded to 10 bits of mantissa, added up in float32   (CuPy alone)
``"bfloat16"`` float32         activations, errors and a copy of theta in bfloat16 (7 bits), added up in
                               float32; theta, gradients, moments and the loss in float32    (CuPy alone)
=============  ==============  ===========================================================================
"""

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any, Literal

from .selector import Backend

Precision = Literal["float32", "float64", "tf32", "bfloat16"]
NARROW = ("tf32", "bfloat16")
NAMES = '"float32", "float64", "tf32", "bfloat16", or None for that of X'

_precision: contextvars.ContextVar[str | None] = contextvars.ContextVar("xpnet_precision", default=None)


def data_dtype(precision: str | None, backend: Backend) -> Any:
    """The dtype of data and parameters on this backend, None where it is X's own.

    Raises
    ------
    ValueError
        The backend can't compute so.
    """
    if precision is None:
        return None
    if precision in NARROW and not backend.name.startswith("cupy"):
        raise narrow_error(precision, backend.name)
    return backend.xp.float64 if precision == "float64" else backend.xp.float32


def narrow_error(precision: str | None, name: str) -> ValueError:
    """The error of a backend that multiplies float32 in full."""
    return ValueError(
        f'precision is "{precision}", which {name} can\'t compute: it multiplies float32 in full. '
        'Use precision="float32", or backend="cupy" on an NVIDIA GPU'
    )


def checked_precision(precision: Any) -> None:
    """Raise where there is no such precision."""
    if precision not in (None, "float32", "float64", *NARROW):
        raise ValueError(f"precision is {precision!r}; allowed: {NAMES}")


_AS_DATA = contextlib.nullcontext()


def products_in(precision: str | None) -> contextlib.AbstractContextManager:
    """A context, of this thread or task alone, in which products are computed in this precision."""
    return _in_context(precision) if precision in NARROW else _AS_DATA


@contextlib.contextmanager
def _in_context(precision: str | None) -> Iterator[None]:
    token = _precision.set(precision)
    try:
        yield
    finally:
        _precision.reset(token)


def current_precision() -> str | None:
    """ "tf32" or "bfloat16" inside their contexts, None elsewhere."""
    return _precision.get()
