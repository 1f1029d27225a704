"""One training step as a pure function of arrays, its scalars, and the runner that makes many of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from .backends import Backend, array_namespace, host, is_sparse
from .distributed import Alone
from .equations.clipping import clipping_scale, euclidean_norm
from .equations.dropout import step_key
from .equations.layers import Training
from .equations.optimizers import Optimizer
from .equations.schedules import Schedule
from .model import Model
from .network import Layout
from .program import may_replay
from .program.runner import training_steps
from .program.steps import Batch, Carry, Steps

Array = Any


class StepScalars(NamedTuple):
    """A step's numbers: its share of the epoch's samples, its key for layers' random numbers, and the rule's own."""

    share: Any
    key: Any
    rule: Any


def training_step(
    model: Model, layout: Layout, optimizer: Optimizer, clip_norm: float | None = None, communicator: Any = Alone()
) -> Callable[[Carry, Batch, StepScalars], Carry]:
    """``step(carry, batch, scalars) -> carry``, a pure function of arrays of one library and dtype.

    The batch's cost before the step is added to the epoch's, weighted by its share of the epoch (for a sum, the penalty
    alone is); so is the square of the gradient's norm, if there is a ``clip_norm``.
    """

    def step(carry: Carry, batch: Batch, scalars: StepScalars) -> Carry:
        theta, slots, cost, square = carry
        sums = communicator.sum(*model.sums(theta, *batch, Training(scalars.key)))
        loss, penalty, g = model.assemble(theta, layout, *sums)
        if model.reduction == "mean":
            cost = cost + scalars.share * (loss + penalty)
        else:
            cost = cost + (loss + scalars.share * penalty)
        if clip_norm is not None:
            norm = euclidean_norm(g)
            square = square + scalars.share * (norm * norm)
            g = g if clip_norm == math.inf else clipping_scale(norm, clip_norm) * g
        start = _decayed(theta, layout, optimizer, scalars.rule)
        theta, *updated = optimizer.update(start, g, slots, scalars.rule)
        return Carry(theta, tuple(updated), cost, square)

    return step


def _decayed(theta: Array, layout: Layout, optimizer: Optimizer, scalars: Any) -> Array:
    """theta with its weights decayed, if the rule has weight decay."""
    W = theta[: layout.n_weights]
    decayed = optimizer.decayed(W, scalars)
    return theta if decayed is W else array_namespace(theta).concat([decayed, theta[layout.n_weights :]])


def step_scalars(course: dict[str, Any], schedule: Schedule, shares: Sequence[float]) -> Any:
    """A row for each of an epoch's steps: its share of the epoch, its key, the rule's scalars.

    Host float64, (n_steps, 2 + n_scalars): in float32 Adam's 1 - b2^t would be off by 1e-5.
    """
    rule, rate, seed, t = course["optimizer"], course["learning_rate"], course["seed"], course["step"]
    rows = []
    for t, share in enumerate(shares, t):
        rows.append((share, step_key(seed, t), *rule.scalars(t + 1, rate * schedule(t))))
    return host.asarray(rows)


def steps_of(
    model: Model, X: Array, optimizer: Optimizer, clip_norm: float | None, backend: Backend, communicator: Any = Alone()
) -> Steps:
    """A runner of steps on samples such as X."""
    layout = model.layout(X.shape[1:])
    rule = replace(optimizer, learning_rate=1.0)  # the rate comes with the scalars
    named = getattr(type(rule.scalars(1, 1.0)), "_make", tuple)
    step = training_step(model, layout, rule, clip_norm, communicator)

    def step_of_row(carry: Carry, batch: Batch, row: Sequence) -> Carry:
        share, key, *of_rule = row
        return step(carry, batch, StepScalars(share, key, named(of_rule)))

    return training_steps(step_of_row, X, backend, clip_norm is not None, layout.largest_product, model.rounding)


KEPT_PARAMETERS = 1 << 20
"""Parameters above which a runner of steps is not kept: recording a step is quick compared with such a training."""


class LastSteps:
    """The runner of the last training's steps, for the next training of its kind. A copy of this object has none."""

    def __init__(self) -> None:
        self._kind: Any = None
        self._steps: Any = None

    def __reduce__(self) -> tuple:
        return LastSteps, ()

    def of(self, model: Model, X: Array, optimizer: Optimizer, clip_norm: float | None, backend: Backend) -> Steps:
        """The last runner if it was made for the same kind of training, otherwise a new one from ``steps_of``."""
        rule = replace(optimizer, learning_rate=1.0)
        kind = model, rule, clip_norm, backend, X.shape[1:], X.dtype, is_sparse(X), may_replay()
        if kind != self._kind:
            steps = steps_of(model, X, optimizer, clip_norm, backend)
            if model.layout(X.shape[1:]).n_parameters > KEPT_PARAMETERS:
                return steps
            self._kind, self._steps = kind, steps
        return self._steps
