"""Numbers of a network in training: what its units do, what gradients reach its layers, how far a step moves them.

All come from the code that trains: layers are watched while :meth:`Model.objective` runs, and a step is made by
:func:`xpnet.epochs`. Everything returned is on the host.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..backends import is_host_data, namespace, to_numpy
from ..backends.sparse import is_sparse
from ..equations.activations import Activation, Linear, Softmax
from ..equations.layers import Layer, Parameter, Shape
from ..gradcheck.subjects import named_windows
from ..network import Sequential
from ..training import DivergedError, epochs
from .case import Case

Array = Any


@dataclass(frozen=True, eq=False)
class Watched:
    """A layer that remembers its latest A, and the size of the dA that came back."""

    layer: Layer
    seen: dict[str, Any] = field(default_factory=dict)

    def shapes(self, in_shape: Shape) -> tuple[tuple[Parameter, ...], Shape]:
        """The layer's."""
        return self.layer.shapes(in_shape)

    def initial(self, rng: Any, in_shape: Shape) -> tuple[Array, ...]:
        """The layer's."""
        return self.layer.initial(rng, in_shape)

    def forward(self, params: tuple[Array, ...], X: Array, train: Any = None) -> tuple[Array, Callable]:
        """The layer's, remembered."""
        A, backward = self.layer.forward(params, X, train)
        self.seen["A"] = A

        def watched(dA: Array, need_dX: bool = True) -> tuple:
            self.seen["dA"] = norm(to_numpy(dA))
            return backward(dA, need_dX)

        return A, watched


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
    layers = [Watched(layer) for layer in case.model.network.layers]
    model = replace(case.model, network=Sequential(*layers))
    model.objective(case.X, case.Y, case.w, case.backend)(case.theta)
    found = [_units(k, layer) for k, layer in enumerate(layers, 1)]
    for layer in layers:
        layer.seen.clear()  # layouts are kept, and their networks with them
    return found


def _units(number: int, watched: Watched) -> Units:
    f, A, size = getattr(watched.layer, "f", None), watched.seen["A"], watched.seen["dA"]
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
