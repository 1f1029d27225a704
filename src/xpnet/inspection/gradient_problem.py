"""The cost as a function of parameters; a layer, activation or loss becomes the smallest model that holds it.

The input of a layer, or what a network computes up to some layer, is then itself a parameter, and so has a gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..backends import Backend, get_backend, is_sparse, read_data, to_numpy
from ..equations.activations import Activation, Linear
from ..equations.layers import Layer, Parameter, Shape, Training
from ..equations.losses import Loss
from ..model import Model
from ..network import Layout, Sequential, layout_of
from .pipelines import opened

Array = Any


@dataclass(frozen=True)
class Given:
    """A layer whose output does not depend on its input: A = f(parameter), (m, ...)."""

    name: str
    shape: Shape
    after: Activation = Linear()

    def shapes(self, in_shape: Shape) -> tuple[tuple[Parameter, ...], Shape]:
        """All samples at once are one parameter."""
        return (Parameter(self.name, self.shape, "other"),), self.shape[1:]

    def initial(self, rng: Any, in_shape: Shape) -> tuple[Array, ...]:
        """Zeros."""
        return (np.zeros(self.shape),)

    def forward(self, params: tuple[Array, ...], X: Array, train: Any = None) -> tuple[Array, Callable]:
        """f of the parameter, and its gradient."""
        (Z,) = params
        A = self.after.forward(Z)
        return A, lambda dA, need_dX=True: (None, (self.after.backward(dA, Z, A),))


@dataclass(frozen=True)
class Projection(Loss):
    """L = sum_j r_j z_j, dZ = R: a network's output against weights R, given as the targets."""

    def per_element(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        return Z * Y, Y


@dataclass(frozen=True)
class Problem:
    """A model, its data on a backend, and the parameters (host, float64) at which its gradient is checked."""

    model: Model
    backend: Backend
    X: Array
    Y: Array
    w: Array | None
    theta: np.ndarray

    def cost_and_gradient(self, train: Training) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        """theta -> J and its gradient, by the code that trains, theta and gradient on the host."""
        objective = self.model.objective(self.X, self.Y, self.w, self.backend, train)

        def on_host(theta: np.ndarray) -> tuple[float, np.ndarray]:
            J, g = objective(theta)
            return J, to_numpy(g)

        return on_host

    def name(self, place: int) -> str:
        """What the parameter at this place of theta is called: "W2[3, 1]" is in the second layer."""
        layout = self.model.layout(tuple(self.X.shape[1:]))
        given = isinstance(layout.network.layers[0], Given)  # it is the input, and layers are counted after it
        for window in layout.named:
            if window.at.start <= place < window.at.stop:
                where = np.unravel_index(place - window.at.start, window.shape)
                return f"{window.symbol}{window.layer - given or ''}[{', '.join(map(str, where))}]"
        raise IndexError(f"there is no parameter {place}; there are {self.theta.size}")


def has_float64(backend: Backend) -> bool:
    """Whether the backend computes in float64 here; JAX does only if that is enabled."""
    return "float64" in backend.xp.__array_namespace_info__().dtypes()


def problem(subject: Any, X: Any, Y: Any, theta: Any, sample_weight: Any, rng: Any, backend: Any) -> Problem:
    """The subject as a model in float64, with parameters to check it at."""
    if hasattr(subject, "fit") and not isinstance(subject, type):
        found = opened(subject)
        X, Y = found.reached(X, _needed(Y, subject))
        mlp = found.network_on(backend)
        backend, (X, Y, sample_weight) = mlp._as_trained(X, Y, sample_weight)
        theta = mlp._theta(backend, X) if theta is None else theta
        model = mlp._model()
        subject = replace(model, loss=model.criterion.descended)
    backend = get_backend(backend, X)
    if not has_float64(backend):
        raise ValueError(f"{backend.name} has no float64 here, and differences need it: enable it, or use NumPy")
    if isinstance(subject, Model):
        model = replace(subject, precision="float64")
        _, X, Y, w = model.read(X, _needed(Y, subject), sample_weight, backend)
        inner = model.layout(tuple(X.shape[1:]))
        if not inner.n_parameters:
            raise ValueError("the model has no parameters; give its network or a layer, whose input is checked too")
        return Problem(model, backend, X, Y, w, inner.pack(_parameters(inner, theta, rng)))
    layers, loss, name, f = _around(subject)
    _, X = read_data(X, "X", backend, backend.xp.float64)
    if is_sparse(X):
        raise ValueError(f"X is sparse, and is itself checked with a {type(subject).__name__}: pass X.toarray()")
    model = Model(Sequential(Given(name, tuple(X.shape), f), *layers), loss, reduction="sum", precision="float64")
    layout = model.layout(tuple(X.shape[1:]))
    of_layers = _parameters(layout_of(Sequential(*layers), layout.in_shape), theta, rng) if layers else ()
    if Y is None and isinstance(loss, Projection):
        Y = rng.normal(size=(X.shape[0], *layout.out_shape))
    _, X, Y, w = model.read(X, _needed(Y, subject), sample_weight, backend)
    return Problem(model, backend, X, Y, w, layout.pack(((to_numpy(X),), *of_layers)))


def _around(subject: Any) -> tuple[tuple[Layer, ...], Loss, str, Activation]:
    """The layers and the loss that hold the subject, the name of their input, and an activation applied to it first."""
    if isinstance(subject, Loss):
        return (), subject, "Z", Linear()
    if isinstance(subject, Activation):
        return (), Projection(), "Z", subject
    if isinstance(subject, Sequential):
        return subject.layers, Projection(), "X", Linear()
    if isinstance(subject, type) or not all(hasattr(subject, name) for name in ("shapes", "initial", "forward")):
        raise TypeError(
            f"{subject!r} can't be checked; allowed: an instance of Model, Sequential, Activation or Loss, a layer, or "
            "a fitted MLPClassifier or MLPRegressor, alone or in a pipeline, target transformer or search"
        )
    return (subject,), Projection(), "X", Linear()


def _needed(Y: Any, subject: Any) -> Any:
    if Y is None:
        raise ValueError(f"Y is missing: a {type(subject).__name__} is checked with targets, one row a sample")
    return Y


def _parameters(layout: Layout, theta: Any, rng: Any) -> tuple[tuple[np.ndarray, ...], ...]:
    """Each layer's arrays: those of theta, or initial ones, moved so that no zero hides anything."""
    if theta is None and layout.n_parameters:
        theta = layout.pack(layout.network.initial(rng, layout.in_shape))
        theta = theta + 0.1 * rng.normal(size=theta.size)
    return layout.unpack(layout.checked(np.asarray([] if theta is None else to_numpy(theta), np.float64)))
