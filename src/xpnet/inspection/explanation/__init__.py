"""A network that explains its own training step: every quantity in order, its equation, its source and a check."""

import dataclasses
from typing import Any

from ...backends import Backend
from ...equations.schedules import ConstantRate, Schedule
from ...model import Model
from ...state import State
from .check import Check, checks
from .quantities import backward, described, facts, forward, loss, notes
from .quantity import Quantity
from .record import Record
from .update import update
from .watch import watch

__all__ = ["Check", "Quantity", "Record", "explain"]


def explain(
    model: Model,
    state: State,
    X: Any,
    Y: Any,
    sample_weight: Any = None,
    *,
    check: bool = True,
    schedule: Schedule = ConstantRate(),
    clip_norm: float | None = None,
    backend: str | Backend | None = None,
) -> Record:
    """Make one training step on X by the code that trains, and return every quantity on its way.

    The step is that of ``epochs`` on all of X at once, with every definition as it is written (no lowerings): its
    numbers are to the last bit those under ``XPNET_REPLAY=off``. Neither the model nor the state is changed. A model
    of the precision "tf32" or "bfloat16" is shown in full float32.

    Parameters
    ----------
    model : Model
        What is trained. Any layers, a user's own among them; of those with an activation Z and dZ are shown too.
    state : State
        Where the step begins: ``model.initial(...)``, or any state that ``epochs`` yielded.
    X : array-like, (m, n)
    Y : array-like, (m, n_out)
        Samples and targets of this one step, as for ``epochs``.
    sample_weight : array-like, (m,), optional
        Weights of the samples' losses.
    check : bool
        Whether every gradient is compared with central differences of the forward pass, in float64.
    schedule, clip_norm, backend
        As for ``epochs``.

    Returns
    -------
    Record
        ``print`` it, or see its ``markdown``, ``html`` and ``json``; ``record["dW1"].value`` is an array.

    Examples
    --------
    >>> model = Model(Sequential(Dense(2, "relu"), Dense(1)))
    >>> state = model.initial(np.random.default_rng(0), 3, GradientDescent(0.1))
    >>> print(explain(model, state, X, Y))
    """
    if not isinstance(model, Model):
        raise ValueError(
            f"model is a {type(model).__name__}; explain takes a Model and its state, and a fitted MLPClassifier or "
            "MLPRegressor has explain_step(X, y)"
        )
    narrow = model.precision if model.precision in ("tf32", "bfloat16") else None
    if narrow is not None:  # rounding to it is a lowering's
        model = dataclasses.replace(model, precision="float32")
    step = watch(model, state, X, Y, sample_weight, schedule, clip_norm, backend)
    with step.backend.active():
        found = [*forward(step), *loss(step), *backward(step), *update(step)]
        checked = checks(step) if check and step.seen.diverged is None else {}
    if checked:
        found = [dataclasses.replace(q, check=checked.get(q.name)) for q in found]
    return Record(tuple(found), facts(step), tuple(map(described, model.network.layers)), notes=notes(step, narrow))
