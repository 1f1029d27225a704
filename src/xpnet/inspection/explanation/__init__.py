"""A network that explains its own training step: every quantity in order, its equation, its source and a check."""

from dataclasses import replace
from typing import Any

from ...backends import Backend
from ...equations.schedules import ConstantRate, Schedule
from ...model import Model
from ...state import State
from ..equation_text import described
from ..pipelines import opened
from .backward import backward
from .checks import checks
from .forward import facts, forward, loss
from .observed_step import observed_step
from .quantity import Check, Quantity
from .result import Explanation
from .update import update

__all__ = ["Check", "Explanation", "Quantity", "explain"]


def explain(
    model: Any,
    X: Any,
    Y: Any,
    sample_weight: Any = None,
    *,
    state: State | None = None,
    check: bool = True,
    schedule: Schedule = ConstantRate(),
    clip_norm: float | None = None,
    backend: str | Backend | None = None,
) -> Explanation:
    """Make one training step on X by the code that trains, and return every quantity of it.

    The step is that of ``epochs`` on all of X at once. The equations run as they are written, so the numbers are those
    under ``XPNET_REPLAY=off`` to the last bit. Neither the model nor the state is changed. A model of the precision
    "tf32" or "bfloat16" is shown in full float32.

    Parameters
    ----------
    model : Model, or a fitted MLPClassifier or MLPRegressor
        What is trained. Layers of your own are shown as well, with Z and dZ if they have an activation. An estimator,
        which may be inside pipelines, target transformers and searches, makes the step that its ``partial_fit`` would
        make next.
    X : array-like, (m, n)
    Y : array-like, (m, n_out)
        Samples and targets of this one step, as for ``epochs``; for an estimator as for its ``fit``.
    sample_weight : array-like, (m,), optional
        Weights of the samples' losses.
    state : State
        Where the step of a Model begins: ``model.initial(...)``, or any state that ``epochs`` yielded.
    check : bool
        Whether every gradient is compared with central differences of the forward pass, in float64.
    schedule, clip_norm, backend
        For a Model, as for ``epochs``; an estimator has its own.

    Returns
    -------
    Explanation
        ``print`` it, or call its ``markdown``, ``html`` or ``json``; ``explanation["dW1"].value`` is an array.

    Raises
    ------
    ValueError
        A Model comes without a state, an estimator with one or without a network, or the data do not fit.

    Examples
    --------
    >>> model = Model(Sequential(Dense(2, "relu"), Dense(1)))
    >>> state = model.initial(np.random.default_rng(0), 3, GradientDescent(0.1))
    >>> print(explain(model, X, Y, state=state))
    >>> print(explain(fitted_pipeline, X, y))
    """
    if not isinstance(model, Model):
        has_options = clip_norm is not None or backend is not None or schedule != ConstantRate()
        return _of_estimator(model, X, Y, sample_weight, check, state is not None or has_options)
    if not isinstance(state, State):
        raise ValueError(
            "state is missing: explain(model, X, Y, state=state) takes the state in which a Model's step begins, such "
            "as model.initial(rng, n_features, Adam()) or what epochs yields"
        )
    precision = "float32" if model.rounding is not None else model.precision  # only replayed steps round
    step = observed_step(replace(model, precision=precision), state, X, Y, sample_weight, schedule, clip_norm, backend)
    with step.backend.active():
        found = [*forward(step), *loss(step), *backward(step), *update(step)]
        checked = checks(step) if check and not step.diverged else {}
    notes = []
    if model.rounding is not None:
        notes.append(f"Training rounds the factors of products to {model.rounding}; here they are in full float32.")
    if step.diverged:
        notes.append("The step diverges: the cost or a parameter is no longer finite. No gradient was checked.")
    quantities = tuple(replace(q, check=checked.get(q.name)) for q in found)
    return Explanation(quantities, facts(step), tuple(map(described, model.network.layers)), notes=tuple(notes))


def _of_estimator(model: Any, X: Any, Y: Any, w: Any, check: bool, has_options: bool) -> Explanation:
    """The step that the network in a fitted estimator would make next."""
    if not hasattr(model, "fit"):
        raise ValueError(
            f"model is a {type(model).__name__}; explain takes a Model with its state, or a fitted MLPClassifier "
            "or MLPRegressor, alone or in a pipeline, target transformer or search"
        )
    if has_options:
        raise ValueError(
            f"state, schedule, clip_norm and backend are for a Model, and model is a {type(model).__name__}"
        )
    found = opened(model)
    return found.network.explain_step(*found.reached(X, Y), w, check=check)
