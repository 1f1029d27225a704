"""L1 and L2 on the weights, never on biases or slopes   (D0, "Regularisation")."""

from typing import Any

from ..backends import array_namespace

__all__ = ["add_penalty", "cost_gradient", "penalty"]

Array = Any


def penalty(W: Array, l1: Any, l2: Any) -> Any:
    """lambda_1 sum |W| + lambda_2 / 2 sum W^2 over all weights; None leaves a term out.

    Parameters
    ----------
    W : array, (n_weights,)
        All weights.
    l1, l2 : float, 0-d array or None
        lambda_1 and lambda_2.

    Returns
    -------
    0-d array
    """
    xp = array_namespace(W)
    of_squares = 0.0 if l2 is None else 0.5 * l2 * xp.vecdot(W, W)
    return of_squares if l1 is None else of_squares + l1 * xp.sum(xp.abs(W))


def add_penalty(dW: Array, W: Array, l1: Any, l2: Any) -> Array:
    """dW += lambda sign(W) for L1 and dW += lambda W for L2   (D0); None leaves a term out.

    Parameters
    ----------
    dW, W : array, (n_weights,)
        The gradient of the loss by the weights, and the weights.
    l1, l2 : float, 0-d array or None
        lambda_1 and lambda_2.

    Returns
    -------
    array, (n_weights,)
    """
    xp = array_namespace(W)
    if l2 is not None:
        dW = dW + l2 * W
    if l1 is not None:
        dW = dW + l1 * (xp.astype(W > 0.0, W.dtype) - xp.astype(W < 0.0, W.dtype))
    return dW


def cost_gradient(g: Array, theta: Array, n_weights: int, c: Any, l1: Any, l2: Any) -> Array:
    """c * sum_i dL_i, plus the penalty's gradient on the weights, which come first; c does not multiply lambda.

    Parameters
    ----------
    g : array, (n_parameters,)
        The sum of the samples' gradients.
    theta : array, (n_parameters,)
        The parameters, the weights first.
    n_weights : int
        How many of them are weights.
    c : float or 0-d array
        1/m for a mean, 1 for a sum.
    l1, l2 : float, 0-d array or None
        lambda_1 and lambda_2.

    Returns
    -------
    array, (n_parameters,)
    """
    if l1 is None and l2 is None:
        return c * g
    dW = add_penalty(c * g[:n_weights], theta[:n_weights], l1, l2)
    return array_namespace(theta).concat([dW, c * g[n_weights:]])
