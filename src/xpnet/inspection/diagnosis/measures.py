"""Numbers of a network in training: what its units do, which gradients reach its layers, how far a step moves them.

All come from the code that trains: layers are watched while :meth:`Model.objective` runs, and a step is made by
:func:`xpnet.epochs`. Everything returned is on the host.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...backends import array_namespace, is_host_data, is_sparse, to_numpy
from ...equations.activations import Activation, Linear, Sigmoid, Softmax
from ...equations.layers import Layer
from ...network import Sequential
from ...training import DivergedError, epochs
from ..observer import watched_layer, watching
from .case import Case

Array = Any


@dataclass(frozen=True)
class Units:
    """One layer's units over all samples, and the gradient that reaches it."""

    number: int  # of the layer, counted from 1
    activation: Activation | None  # its f, if it has one that acts on each unit by itself
    slopes: np.ndarray | None  # (m, n_units), f'(Z) by f's own backward, as a fraction of f'(0) if that is not 0
    gradient: float  # the norm of dA over all samples and units


@np.errstate(over="ignore", invalid="ignore")
def units(case: Case) -> list[Units]:
    """Each layer, after one forward and one backward pass."""
    layers = case.model.network.layers
    watched = Sequential(*(watched_layer(layer, k) for k, layer in enumerate(layers, 1)))
    with watching() as seen:
        replace(case.model, network=watched).objective(case.X, case.Y, case.w, case.backend)(case.theta)
    sizes = {k: norm(to_numpy(seen["dA", k])) for k in range(1, len(layers) + 1)}
    return [_units(k, layer, seen.get(("Z", k)), sizes[k]) for k, layer in enumerate(layers, 1)]


def _units(number: int, layer: Layer, Z: Array | None, size: float) -> Units:
    f = getattr(layer, "f", None)
    if Z is None or not isinstance(f, Activation) or isinstance(f, Linear | Softmax):
        return Units(number, None, None, size)
    xp = array_namespace(Z)
    one, zero = xp.ones_like(Z), xp.zeros_like(Z)
    slopes = to_numpy(f.backward(one, Z, f.forward(Z)))
    at_0 = float(to_numpy(f.backward(one, zero, f.forward(zero))).flat[0])
    return Units(number, f, slopes / (at_0 or 1.0), size)


@np.errstate(over="ignore", invalid="ignore")
def updates(case: Case) -> dict[str, float]:
    """||step|| / ||W|| of each array of weights, for the next step from the state; infinite if it diverges."""
    if case.state is None:
        return {}
    X, Y, w = (A if A is None else A[: case.batch_size, ...] for A in (case.X, case.Y, case.w))
    try:
        state, _ = next(epochs(case.model, case.state, X, Y, sample_weight=w, backend=case.backend))
    except DivergedError:
        return {"the next step": np.inf}
    before, after = to_numpy(case.theta), to_numpy(state.theta)
    found = {}
    for window in case.layout.named:
        old, new = before[window.at], after[window.at]
        size = np.linalg.norm(old)
        if window.role == "weight" and size > 0.0:
            found[window.name] = float(np.linalg.norm(new - old) / size)
    return found


def column_moments(A: Array) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the root mean square of each column, (n,) each."""
    if is_sparse(A):
        first, second = (B.mean(axis=0) for B in (A, A.multiply(A)))
        first, second = (np.asarray(v if is_host_data(v) else to_numpy(v)).ravel() for v in (first, second))
        return first, np.sqrt(second)
    columns = to_numpy(A).reshape(A.shape[0], -1)
    squares = np.square(columns, dtype=np.float64)
    return columns.mean(axis=0, dtype=np.float64), np.sqrt(squares.mean(axis=0))


@np.errstate(over="ignore", invalid="ignore")
def loss_over_constant(case: Case) -> float:
    """The loss over that of the best constant output, both without penalties; near 1 nothing has been learned."""
    bare = replace(case.model, l1=0.0, l2=0.0)
    loss = bare.objective(case.X, case.Y, case.w, case.backend)(case.theta)[0]
    least = min(constant_loss(case, z) for z in _constants(case))
    return loss / least if least > 0.0 else 0.0


def constant_loss(case: Case, z: np.ndarray) -> float:
    """The loss of outputs that are z (n_out,) for every sample, as in training, without a penalty."""
    Z = np.zeros(tuple(case.Y.shape)) + z
    loss_sum, weight_sum, _ = case.model.criterion(case.backend.asarray(Z, case.Y.dtype), case.Y, case.w)
    return float(case.model.scale(weight_sum) * loss_sum)


def _constants(case: Case) -> Iterator[np.ndarray]:
    """Constant outputs, one of them the best: the link's inverse of the mean, and quantiles for robust losses."""
    Y, link = to_numpy(case.Y).astype(np.float64), case.model.criterion.link
    mean = np.average(Y, axis=0, weights=None if case.w is None else to_numpy(case.w))
    if isinstance(link, Linear):
        yield mean
        yield from (np.quantile(Y, q, axis=0) for q in np.linspace(0.05, 0.95, 19))
    elif isinstance(link, Sigmoid):
        mean = np.clip(mean, 1e-6, 1.0 - 1e-6)
        yield np.log(mean) - np.log1p(-mean)
    else:
        yield np.log(np.maximum(mean, 1e-6))


def norm(A: np.ndarray) -> float:
    """sqrt(sum a^2), without overflow."""
    largest = float(np.max(np.abs(A)))
    return largest * float(np.linalg.norm(np.ravel(A / largest))) if 0.0 < largest < np.inf else largest
