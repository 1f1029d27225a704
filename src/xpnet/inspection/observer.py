"""Wrappers of layers, activations, losses and optimizers that report what passes through them.

A wrapper calls what it wraps and returns the results unchanged. What it sees goes to the ``watching`` block of this
thread or task, and is not kept in the wrapper: equal wrappers stay equal, and caches keyed by networks hold no arrays.
"""

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from ..equations.activations import Activation, Linear
from ..equations.layers import Layer, Parameter, Shape, Training
from ..equations.losses import HalfSquaredError, Loss
from ..equations.optimizers import GradientDescent, Optimizer
from ..model import Model
from ..network import Sequential

Array = Any
Seen = dict[tuple[str, int], Any]

_seen: contextvars.ContextVar[Seen] = contextvars.ContextVar("xpnet_seen")


@contextmanager
def watching() -> Iterator[Seen]:
    """Collect what watched parts report inside this block: ``seen[name, k]``, the latest of each.

    For layer k = 1, 2, ... the names are "params", "X", "train", "A", after a backward pass also "dA", "dX" and
    "gradients", and "Z" and "dZ" if the layer has an activation that can be watched. For k = 0 they are the loss's
    "L" (before weights), "A" (the prediction), "loss_sum", "weight_sum", "dZ", and the optimizer's "t", "rate",
    "scalars", "g", "slots" and "new".
    """
    seen: Seen = {}
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


def report(k: int, **values: Any) -> None:
    """Report values of layer k; k = 0 stands for the loss and the optimizer."""
    _seen.get().update({(name, k): value for name, value in values.items()})


def watched_model(model: Model) -> Model:
    """The same model with its layers, their activations and its loss watched."""
    layers = (watched_layer(layer, k) for k, layer in enumerate(model.network.layers, 1))
    return replace(model, network=Sequential(*layers), loss=WatchedLoss(model.criterion))


def watched_layer(layer: Any, k: int) -> "WatchedLayer":
    """Layer k, with its activation watched as well if it is a dataclass with a field ``activation`` and an f."""
    names = {f.name for f in fields(layer)} if is_dataclass(layer) else set()
    f = getattr(layer, "f", None)
    if "activation" in names and isinstance(f, Activation):
        layer = replace(layer, activation=WatchedActivation(f, k))  # type: ignore[type-var]
    return WatchedLayer(layer, k)


@dataclass(frozen=True)
class WatchedLayer:
    """Layer k, of any class."""

    layer: Layer
    k: int

    def shapes(self, in_shape: Shape) -> tuple[tuple[Parameter, ...], Shape]:
        """The layer's own."""
        return self.layer.shapes(in_shape)

    def initial(self, rng: Any, in_shape: Shape) -> tuple[Array, ...]:
        """The layer's own."""
        return self.layer.initial(rng, in_shape)

    def forward(self, params: tuple[Array, ...], X: Array, train: Training | None = None) -> tuple[Array, Callable]:
        """The layer's own output and backward, reported."""
        A, backward = self.layer.forward(params, X, train)
        report(self.k, params=params, X=X, train=train, A=A)

        def watched_backward(dA, need_dX=True):
            dX, gradients = backward(dA, need_dX)
            report(self.k, dA=dA, dX=dX, gradients=gradients)
            return dX, gradients

        return A, watched_backward


@dataclass(frozen=True)
class WatchedActivation(Activation):
    """The activation of layer k, whose Z and dZ lie inside the layer."""

    of: Activation = Linear()
    k: int = 0

    def forward(self, Z):
        report(self.k, Z=Z)
        return self.of.forward(Z)

    def backward(self, dA, Z, A):
        dZ = self.of.backward(dA, Z, A)
        report(self.k, dZ=dZ)
        return dZ


@dataclass(frozen=True)
class WatchedLoss(Loss):
    """The loss of each sample, its sum, the sum of weights and dZ."""

    of: Loss = HalfSquaredError()

    @property
    def link(self) -> Activation:  # type: ignore[override]
        """The loss's own."""
        return self.of.link

    def check(self, Y):
        self.of.check(Y)

    def __call__(self, Z, Y, w=None):
        loss_sum, weight_sum, dZ = self.of(Z, Y, w)
        L, A = self.of.per_element(Z, Y)[0], self.of.link.forward(Z)
        report(0, L=L, A=A, loss_sum=loss_sum, weight_sum=weight_sum, dZ=dZ)
        return loss_sum, weight_sum, dZ


@dataclass(frozen=True)
class WatchedOptimizer(Optimizer):
    """The update rule: the gradient, slots and scalars that it is given, and its results."""

    of: Optimizer = GradientDescent()

    @property
    def slots(self) -> int:  # type: ignore[override]
        """The rule's own."""
        return self.of.slots

    def scalars(self, t, learning_rate):
        report(0, t=t, rate=learning_rate)
        return self.of.scalars(t, learning_rate)

    def decayed(self, W, scalars):
        return self.of.decayed(W, scalars)

    def update(self, theta, g, slots, scalars):
        new = self.of.update(theta, g, slots, scalars)
        report(0, g=g, slots=slots, scalars=scalars, new=new)
        return new
