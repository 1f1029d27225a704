"""Watching one step of ``epochs``: layers, activations, the loss and the optimiser wrapped, their results taken down.

A wrapper calls what it wraps and hands the result on untouched. What is seen goes to the watch of this thread or task,
not into the wrappers: equal wrappers stay equal, so that caches keyed by layers and rules hold no step's arrays.
"""

import contextvars
import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...backends import Backend, to_numpy
from ...equations.activations import Activation, Linear
from ...equations.layers import Shape
from ...equations.losses import HalfSquaredError, Loss
from ...equations.optimizers import GradientDescent, Optimizer
from ...equations.schedules import Schedule
from ...model import Model
from ...network import Layout, Sequential
from ...program import definitions_as_they_stand
from ...state import State
from ...training import DivergedError, epochs
from ..observer import watched_layer, watching

Array = Any


@dataclass
class Seen:
    """What one step computed: ``of[kind, k]`` for layer k = 1, 2, ...; ``loss``; ``update``; and ``rate``, the number
    of the step and its learning rate.
    """

    of: dict[tuple[str, int], Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    update: dict[str, Any] = field(default_factory=dict)
    rate: tuple[int, float] = (0, 0.0)
    cost: float | None = None
    diverged: DivergedError | None = None


_seen: contextvars.ContextVar[Seen] = contextvars.ContextVar("xpnet_seen")


@dataclass(frozen=True)
class WatchedLoss(Loss):
    """The loss: L of each sample, its sum, the sum of weights and dZ are taken down."""

    of: Loss = HalfSquaredError()

    @property
    def link(self) -> Activation:  # type: ignore[override]
        """The loss's."""
        return self.of.link

    def check(self, Y):
        self.of.check(Y)

    def __call__(self, Z, Y, w=None):
        loss_sum, weight_sum, dZ = self.of(Z, Y, w)
        each = {"L": self.of.per_element(Z, Y)[0], "A": self.of.link.forward(Z)}
        _seen.get().loss.update(each, loss_sum=loss_sum, weight_sum=weight_sum, dZ=dZ)
        return loss_sum, weight_sum, dZ


@dataclass(frozen=True)
class WatchedOptimizer(Optimizer):
    """The update rule: parameters, the cost's gradient, slots and scalars before it, and what it makes of them."""

    of: Optimizer = GradientDescent()

    @property
    def slots(self) -> int:  # type: ignore[override]
        """The rule's."""
        return self.of.slots

    def scalars(self, t, learning_rate):
        _seen.get().rate = t, learning_rate
        return self.of.scalars(t, learning_rate)

    def decayed(self, W, scalars):
        return self.of.decayed(W, scalars)

    def update(self, theta, g, slots, scalars):
        new = self.of.update(theta, g, slots, scalars)
        _seen.get().update = {"g": g, "slots": slots, "scalars": scalars, "new": new}
        return new


@dataclass(frozen=True)
class Step:
    """A step that was watched: the model without its watchers, the data as they were computed with, what was seen."""

    model: Model
    state: State
    layout: Layout
    backend: Backend
    theta: Array
    data: tuple[Array, Array, Array | None]
    clip_norm: float | None
    seen: Seen

    @property
    def depth(self) -> int:
        """K, the number of layers."""
        return len(self.model.network.layers)

    @property
    def has_link(self) -> bool:
        """Whether the prediction is the loss's link of the network's output."""
        return type(self.model.criterion.link) is not Linear

    @property
    def c(self) -> Any:
        """What the sums over the samples are multiplied by."""
        return self.model.scale(self.seen.loss["weight_sum"])

    def activation(self, k: int) -> Activation | None:
        """f of layer k, where it was watched."""
        layer: Any = self.model.network.layers[k - 1]
        return layer.f if ("Z", k) in self.seen.of else None

    def parameters(self, k: int) -> Iterator[tuple[str, bool, slice, Shape]]:
        """Name, whether it is a weight, window in theta and shape of each parameter of layer k."""
        of_layers, _ = self.model.network.shapes(self.layout.in_shape)
        for parameter, (at, shape) in zip(of_layers[k - 1], self.layout.windows[k - 1], strict=True):
            yield f"{parameter.name}{k}", parameter.role == "weight", at, shape

    @functools.cached_property
    def gradient(self) -> np.ndarray:
        """The cost's gradient before any clipping, (n_parameters,)."""
        return to_numpy(self.seen.update["g"] if self.clip_norm is None else self.at(self.theta)[1])

    def at(self, theta: Any) -> tuple[float, Array]:
        """J and its gradient on the step's samples at other parameters, by the same definitions and masks."""
        with definitions_as_they_stand(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self.model.objective(*self.data, self.backend, self.seen.of["train", 1])(theta)


def watch(
    model: Model, state: State, X: Any, Y: Any, w: Any, schedule: Schedule, clip_norm: float | None, backend: Any
) -> Step:
    """One step on all of X by ``epochs``, definitions as they stand, and all that it computed on its way."""
    chosen, *data = model.read(X, Y, w, backend)
    layers = [watched_layer(layer, k) for k, layer in enumerate(model.network.layers, 1)]
    watched = dataclasses.replace(model, network=Sequential(*layers), loss=WatchedLoss(model.criterion))
    rule = dataclasses.replace(state.optimizer, learning_rate=1.0)  # the rate comes with the scalars
    start = dataclasses.replace(state, optimizer=WatchedOptimizer(1.0, rule))
    seen = Seen()
    token = _seen.set(seen)
    try:
        with watching() as seen.of, definitions_as_they_stand():
            options: dict[str, Any] = {"schedule": schedule, "clip_norm": clip_norm, "backend": chosen}
            passes = epochs(watched, start, data[0], data[1], sample_weight=data[2], **options)
            _, seen.cost = next(passes)
            passes.close()
    except DivergedError as error:
        seen.diverged = error
    finally:
        _seen.reset(token)
    layout = model.layout(data[0].shape[1:])
    theta = chosen.asarray(state.theta, data[0].dtype)
    return Step(model, state, layout, chosen, theta, tuple(data), clip_norm, seen)
