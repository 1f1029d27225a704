"""Numbers of a network in training: what its units do, what gradients reach its layers, how far a step moves them.

All come from the code that trains: layers are watched while :meth:`Model.objective` runs, and a step is made by
:func:`xpnet.epochs`. Everything returned is on the host.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..backends import is_host_data, namespace, to_numpy
from ..backends.sparse import is_sparse
from ..equations.activations import Activation, Linear, Softmax
from ..equations.layers import Layer
from ..gradcheck.subjects import named_windows
from ..network import Sequential
from ..training import DivergedError, epochs
from ..watched import WatchedLayer, watching
from .case import Case

Array = Any


@dataclass(frozen=True)
class Units:
    """One layer's units over all samples, and the gradient that reaches it.

    Attributes
    ----------
    number : int
        The layer, counted from 1.
    activation : Activation or None
        Its f, where it has one that acts on each unit by itself.
    slopes : array, (m, n_units), or None
        f'(Z), by f's own backward, as a fraction of f'(0) where that is not 0.
    gradient : float
        The norm of dA over all samples and units.
    """

    number: int
    activation: Activation | None
    slopes: np.ndarray | None
    gradient: float


@np.errstate(over="ignore", invalid="ignore")
def units(case: Case) -> list[Units]:
    """Each layer, after one pass forwards and back."""
    layers = case.model.network.layers
    watched = Sequential(*(WatchedLayer(layer, k) for k, layer in enumerate(layers, 1)))
    with watching() as seen:
        replace(case.model, network=watched).objective(case.X, case.Y, case.w, case.backend)(case.theta)
    return [_units(k, layer, seen["A", k], norm(to_numpy(seen["dA", k]))) for k, layer in enumerate(layers, 1)]


def _units(number: int, layer: Layer, A: Array, size: float) -> Units:
    f = getattr(layer, "f", None)
    if not isinstance(f, Activation) or isinstance(f, Linear | Softmax):
        return Units(number, None, None, size)
    xp = namespace(A)
    slopes = to_numpy(f.backward(xp.ones_like(A), A))
    at_0 = float(to_numpy(f.backward(xp.ones_like(A), f.forward(xp.zeros_like(A)))).flat[0])
    return Units(number, f, slopes / (at_0 or 1.0), size)


@np.errstate(over="ignore", invalid="ignore")
def updates(case: Case) -> dict[str, float]:
    """||step|| / ||W|| of each array of weights, for the next step from the state; infinite where it diverges."""
    if case.state is None:
        return {}
    X, Y, w = (A if A is None else A[: case.batch, ...] for A in (case.X, case.Y, case.w))
    try:
        state, _ = next(epochs(case.model, case.state, X, Y, sample_weight=w, backend=case.backend))
    except DivergedError:
        return {"the next step": np.inf}
    before, after = to_numpy(case.theta), to_numpy(state.theta)
    found = {}
    for name, role, at, _ in named_windows(case.model.layout(tuple(case.X.shape[1:]))):
        size = np.linalg.norm(before[at])
        if role == "weight" and size > 0.0:
            found[name] = float(np.linalg.norm(after[at] - before[at]) / size)
    return found


def column_sizes(A: Array) -> np.ndarray:
    """The root mean square of each column, (n,)."""
    if is_sparse(A):
        squares = A.multiply(A).mean(axis=0)
        return np.sqrt(np.asarray(squares if is_host_data(squares) else to_numpy(squares)).ravel())
    host = to_numpy(A)
    return np.sqrt(np.mean(np.square(host.reshape(len(host), -1), dtype=np.float64), axis=0))


def norm(A: np.ndarray) -> float:
    """sqrt(sum a^2), without overflow."""
    largest = float(np.max(np.abs(A)))
    return largest * float(np.linalg.norm(np.ravel(A / largest))) if 0.0 < largest < np.inf else largest
