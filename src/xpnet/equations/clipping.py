"""The norm of a gradient, and the factor that clips it."""

from typing import Any

from ..backends import array_namespace

Array = Any


def euclidean_norm(g: Array) -> Array:
    """||g|| = sqrt(sum_i g_i^2), without a square that overflows.

    Parameters
    ----------
    g : array, (n,)
        The gradient.

    Returns
    -------
    0-d array
    """
    xp = array_namespace(g)
    size = xp.max(xp.abs(g))
    unit = g / xp.where(size > 0.0, size, 1.0)
    return size * xp.sqrt(xp.vecdot(unit, unit))


def clipping_scale(norm: Array, limit: float) -> Array:
    """min(1, limit / ||g||), the factor that clips a gradient's norm   (Pascanu et al., ICML 2013).

    Parameters
    ----------
    norm : 0-d array
        The gradient's norm.
    limit : float
        The largest norm that is not clipped.

    Returns
    -------
    0-d array
    """
    return limit / array_namespace(norm).maximum(norm, limit)
