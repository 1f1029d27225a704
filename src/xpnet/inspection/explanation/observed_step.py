"""One step of ``epochs``, observed."""

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...backends import Backend, is_sparse, to_numpy
from ...equations.activations import Activation, Linear
from ...equations.schedules import Schedule
from ...model import Model
from ...network import Layout, Window
from ...program import without_replays
from ...state import State
from ...training import DivergedError, epochs
from ..equation_text import renamed
from ..observer import Seen, WatchedOptimizer, watched_model, watching

Array = Any


@dataclass(frozen=True)
class Step:
    """A step: the model, the data as they were computed with, and ``seen``, which :func:`watching` describes."""

    model: Model
    state: State
    layout: Layout
    backend: Backend
    theta: Array
    data: tuple[Array, Array, Array | None]
    clip_norm: float | None
    seen: Seen
    cost: float | None
    diverged: bool

    @property
    def depth(self) -> int:
        """K, the number of layers."""
        return len(self.model.network.layers)

    @property
    def has_link(self) -> bool:
        """Whether the prediction is the loss's link of the network's output."""
        return type(self.model.criterion.link) is not Linear

    @property
    def output_error(self) -> str:
        """The name of the loss's gradient: dZ if its link or a linear layer comes last, else dA."""
        K, f = self.depth, self.activation(self.depth)
        if f == Linear() or (f is None and self.has_link):
            return f"dZ{K}"
        return f"df(Z{K})" if self.has_link else f"dA{K}"

    @property
    def c(self) -> Any:
        """The factor of the sums over the samples: 1, or 1 over the sum of weights."""
        return self.model.scale(self.seen["weight_sum", 0])

    def layer(self, k: int) -> Any:
        """Layer k = 1, 2, ..."""
        return self.model.network.layers[k - 1]

    def activation(self, k: int) -> Activation | None:
        """f of layer k, if it was watched."""
        return self.layer(k).f if ("Z", k) in self.seen else None

    def passes_through(self, k: int) -> bool:
        """Whether dA of layer k becomes dZ by its f; for a linear output they are the same."""
        f = self.activation(k)
        return f is not None and not (k == self.depth and f == Linear())

    def parameters(self, k: int) -> list[Window]:
        """The windows in theta of the parameters of layer k."""
        return [window for window in self.layout.named if window.layer == k]

    def equation(self, name: str, k: int, what: str, otherwise: str) -> str:
        """``name`` = the equation for "Z", "dX", "dW", ... in ``steps`` of layer k, in this network's symbols."""
        equation = getattr(self.layer(k), "steps", {}).get(what)
        if equation is None:
            return name + otherwise
        of_parameters = (window.symbol for window in self.parameters(k))
        symbols = {symbol: f"{symbol}{k}" for symbol in ("Z", "dZ", "A", "dA", *of_parameters)}
        return f"{name} = {renamed(equation, {**symbols, 'X': before(k)})}"

    @functools.cached_property
    def gradient(self) -> np.ndarray:
        """The cost's gradient before any clipping, (n_parameters,)."""
        return to_numpy(self.seen["g", 0] if self.clip_norm is None else self.at(self.theta)[1])

    def at(self, theta: Any) -> tuple[float, Array]:
        """J and its gradient on the step's samples at other parameters, by the same definitions and masks."""
        with without_replays(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return self.model.objective(*self.data, self.backend, self.seen["train", 1])(theta)


def observed_step(
    model: Model, state: State, X: Any, Y: Any, w: Any, schedule: Schedule, clip_norm: float | None, backend: Any
) -> Step:
    """Make one step on all of X by ``epochs`` and the equations as written, and observe all that it computes."""
    chosen, X, Y, w = model.read(X, Y, w, backend)
    rule = replace(state.optimizer, learning_rate=1.0)  # the rate comes with the scalars
    start = replace(state, optimizer=WatchedOptimizer(1.0, rule))
    cost, diverged = None, False
    options: dict[str, Any] = {"schedule": schedule, "clip_norm": clip_norm, "backend": chosen}
    with watching() as seen, without_replays():
        passes = epochs(watched_model(model), start, X, Y, sample_weight=w, **options)
        try:
            _, cost = next(passes)
        except DivergedError:
            diverged = True
        passes.close()
    theta = chosen.asarray(state.theta, X.dtype)
    return Step(model, state, model.layout(X.shape[1:]), chosen, theta, (X, Y, w), clip_norm, seen, cost, diverged)


def before(k: int) -> str:
    """The name of layer k's input: X, or the output of the layer before."""
    return "X" if k == 1 else f"A{k - 1}"


def host(a: Any) -> np.ndarray:
    """A copy on the host; sparse data become dense, and bfloat16 becomes float32."""
    a = np.array(to_numpy(a.toarray() if is_sparse(a) else a))
    return a if a.dtype.kind == "f" else a.astype(np.float32)
