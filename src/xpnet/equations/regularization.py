"""L1 and L2 on the weights, never on biases or slopes   (D0, "Regularisation")."""

from typing import Any

from ..backends import composite, elementwise

Array = Any


def add_penalty(xp: Any, g: Array, W: Array, l1: Any, l2: Any) -> Array:
    """dW += lambda sign(W) for L1 and dW += lambda W for L2   (D0); None leaves a term out. Elementwise."""
    if l2 is not None:
        g = g + l2 * W
    if l1 is not None:
        g = g + l1 * (xp.astype(W > 0.0, W.dtype) - xp.astype(W < 0.0, W.dtype))
    return g


@elementwise
def cost_gradient(xp: Any, g: Array, W: Array, c: Any, l1: Any, l2: Any) -> Array:
    """The gradient of the cost, c * sum_i dL_i + the penalty's: lambda is added after c."""
    return add_penalty(xp, c * g, W, l1, l2)


@composite
def penalty(xp: Any, W: Array, l1: Any, l2: Any) -> Any:
    """lambda_1 sum |W| + lambda_2 / 2 sum W^2 over all weights; None leaves a term out."""
    value = 0.0
    if l2 is not None:
        value = value + 0.5 * l2 * xp.vecdot(W, W)
    if l1 is not None:
        value = value + l1 * xp.sum(xp.abs(W))
    return value


@composite
def euclidean_norm(xp: Any, g: Array) -> Array:
    """||g|| = sqrt(sum_i g_i^2), without a square that overflows."""
    size = xp.max(xp.abs(g))
    unit = g / xp.where(size > 0.0, size, 1.0)
    return size * xp.sqrt(xp.vecdot(unit, unit))


@elementwise
def clipping_scale(xp: Any, norm: Array, limit: float) -> Array:
    """min(1, limit / ||g||): what a gradient is multiplied by to clip its norm   (Pascanu et al., ICML 2013)."""
    return limit / xp.maximum(norm, limit)
