"""Layers that tell what passes through them, for whoever watches a step.

What is seen goes to the watch of this thread or task and not into the layers: equal layers stay equal, so that caches
keyed by networks hold no step's arrays.
"""

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from ..equations.activations import Activation, Linear
from ..equations.layers import Layer, Parameter, Shape, Training

Array = Any
Seen = dict[tuple[str, int], Any]

_watch: contextvars.ContextVar[Seen] = contextvars.ContextVar("xpnet_watch")


@contextmanager
def watching() -> Iterator[Seen]:
    """What watched layers tell inside this block: ``seen[name, k]`` for layer k = 1, 2, ..., the latest of each.

    Names are "params", "X", "train", "A", and after a backward pass "dA", "dX", "gradients"; "Z" and "dZ" too where the
    layer has an activation that can be watched.
    """
    seen: Seen = {}
    token = _watch.set(seen)
    try:
        yield seen
    finally:
        _watch.reset(token)


def tell(name: str, k: int, value: Any) -> None:
    """Take a value of layer k down."""
    _watch.get()[name, k] = value


@dataclass(frozen=True)
class WatchedLayer:
    """Layer k, whatever it is: it is called as it stands, and its results are handed on untouched."""

    layer: Layer
    k: int

    def shapes(self, in_shape: Shape) -> tuple[tuple[Parameter, ...], Shape]:
        """The layer's."""
        return self.layer.shapes(in_shape)

    def initial(self, rng: Any, in_shape: Shape) -> tuple[Array, ...]:
        """The layer's."""
        return self.layer.initial(rng, in_shape)

    def forward(self, params: tuple[Array, ...], X: Array, train: Training | None = None) -> tuple[Array, Callable]:
        """The layer's output and backward; parameters, X, ``train``, A, and then dA, dX and gradients are told."""
        A, backward = self.layer.forward(params, X, train)
        for name, value in (("params", params), ("X", X), ("train", train), ("A", A)):
            tell(name, self.k, value)

        def watched_backward(dA, need_dX=True):
            dX, gradients = backward(dA, need_dX)
            for name, value in (("dA", dA), ("dX", dX), ("gradients", gradients)):
                tell(name, self.k, value)
            return dX, gradients

        return A, watched_backward


@dataclass(frozen=True)
class WatchedActivation(Activation):
    """The activation of layer k: Z and dZ, which lie inside the layer, are told."""

    of: Activation = Linear()
    k: int = 0

    def forward(self, Z):
        tell("Z", self.k, Z)
        return self.of.forward(Z)

    def backward(self, dA, Z, A):
        dZ = self.of.backward(dA, Z, A)
        tell("dZ", self.k, dZ)
        return dZ


def watched_layer(layer: Any, k: int) -> WatchedLayer:
    """Layer k with its activation watched as well, if it is a dataclass with a field ``activation`` and its f."""
    names = {f.name for f in fields(layer)} if is_dataclass(layer) else set()
    f = getattr(layer, "f", None)
    if "activation" in names and isinstance(f, Activation):
        layer = replace(layer, activation=WatchedActivation(f, k))  # type: ignore[type-var]
    return WatchedLayer(layer, k)
