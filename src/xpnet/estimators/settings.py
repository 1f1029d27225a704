"""An estimator's parameters as layers, a loss, an update rule and a schedule.

``params`` is an estimator, or anything else that has the parameters as attributes.
"""

import functools
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring

from ..equations.activations import Activation, Sigmoid, activation
from ..equations.dropout import Dropout
from ..equations.initializers import GlorotUniform
from ..equations.layers import Dense
from ..equations.losses import Loss
from ..equations.optimizers import Adam, AdamW, GradientDescent, Momentum, Optimizer
from ..equations.schedules import Adaptive, ConstantRate, InverseScaling, Schedule
from ..model import Model
from ..network import Sequential

logger = logging.getLogger("xpnet")


@dataclass(frozen=True)
class Settings:
    """What an estimator's parameters mean in training.

    Attributes
    ----------
    rule : Optimizer
        The update rule.
    schedule : Schedule
        The factor of the learning rate at each step.
    adaptive : Adaptive or None
        How the learning rate falls after a plateau.
    inverse_scaling : InverseScaling or None
        How it falls from epoch to epoch.
    patience : float
        Epochs on a plateau after which training stops, or the learning rate falls.
    solver, batch_size, max_iter, max_fun, shuffle, clip_norm, tol, early_stopping, verbose
        As given.
    """

    rule: Optimizer
    schedule: Schedule
    adaptive: Adaptive | None
    inverse_scaling: InverseScaling | None
    patience: float
    clip_norm: float | None
    solver: str
    batch_size: Any
    max_iter: int
    max_fun: int
    shuffle: bool
    tol: float
    early_stopping: bool
    verbose: Any

    @classmethod
    def of(cls, params: Any) -> "Settings":
        """The settings of these parameters, each of which is right by itself; a ValueError if they contradict."""
        check_together(params)
        by_name = params.learning_rate if params.solver == "sgd" else None
        adaptive = params.learning_rate if isinstance(params.learning_rate, Adaptive) else None
        if isinstance(by_name, str) and by_name == "adaptive":
            adaptive = Adaptive(params.n_iter_no_change)
        names = "solver batch_size max_iter max_fun shuffle tol early_stopping verbose".split()
        return cls(
            update_rule(params),
            schedule(params),
            adaptive,
            InverseScaling(params.power_t) if by_name == "invscaling" else None,
            params.n_iter_no_change if adaptive is None else adaptive.patience,
            None if params.clip_norm is None else float(params.clip_norm),
            **{name: getattr(params, name) for name in names},
        )


def check_together(params: Any) -> None:
    """Raise a ValueError if parameters that are right by themselves are wrong together."""
    given, solver = params.learning_rate, params.solver
    if isinstance(given, type):
        raise ValueError(f"learning_rate is the class {given.__name__}; give an object of it")
    if params.scoring not in (None, "loss"):
        check_scoring(params, params.scoring)
    if solver in ("adam", "adamw") and given in ("invscaling", "adaptive"):
        _say_that_it_is_ignored(given, solver)
    if solver != "lbfgs":
        return
    # L-BFGS has no steps, and needs a smooth cost that is the same at every call.
    refused = {
        "dropout": (bool(np.any(params.dropout)), "0", "the cost must not change from call to call"),
        "penalty": (params.penalty in ("l1", "elasticnet"), "'l2'", "the cost must have no kinks"),
        "clip_norm": (params.clip_norm is not None, "None", "there are no steps of its own to clip"),
        "learning_rate": (not isinstance(given, str), "'constant'", "its line search sets the rate"),
    }
    for name, (is_given, allowed, why) in refused.items():
        if is_given:
            raise ValueError(
                f"{name} is {getattr(params, name)!r}, and solver='lbfgs' takes {allowed} alone: {why}; "
                "use solver='adam', 'adamw' or 'sgd'"
            )


@functools.cache
def _say_that_it_is_ignored(learning_rate: str, solver: str) -> None:
    logger.warning(
        "learning_rate=%r is for solver='sgd' and does nothing for %r, as in scikit-learn; a schedule such as "
        "xpnet.schedules.Adaptive() works for every solver that steps",
        learning_rate,
        solver,
    )


def update_rule(params: Any) -> Optimizer:
    """The rule of the solver."""
    rate = float(params.learning_rate_init)
    if params.solver == "adam":
        return Adam(rate, params.beta_1, params.beta_2, params.epsilon)
    if params.solver == "adamw":
        return AdamW(rate, params.beta_1, params.beta_2, params.epsilon, params.weight_decay)
    if params.solver == "lbfgs" or params.momentum == 0.0:
        return GradientDescent(rate)
    return Momentum(rate, params.momentum, params.nesterovs_momentum)


def schedule(params: Any) -> Schedule:
    """The factor of the learning rate at each step; scikit-learn's own schedules go by epochs."""
    given = params.learning_rate
    return ConstantRate() if isinstance(given, str | Adaptive) else given


def precision(params: Any) -> Any:
    """L-BFGS's line search compares costs to the last digit: it gets float64, unless the user says otherwise."""
    return "float64" if params.solver == "lbfgs" and params.precision is None else params.precision


# --- layers


def hidden_sizes(given: Any) -> list[int]:
    """``hidden_layer_sizes`` as a list."""
    sizes = list(given) if np.iterable(given) else [given]
    if any(not isinstance(n, (int, np.integer)) or n <= 0 for n in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}; give whole numbers, such as (100, 50)")
    return [int(n) for n in sizes]


def activations(params: Any, n_hidden: int) -> list[Activation]:
    """Of each hidden layer; and once more the last one's, by which the output layer's initial weights are drawn."""
    given = _for_each_layer(params, "activation", n_hidden)
    one = params.activation if isinstance(params.activation, str | Activation) else "linear"
    return [activation(f) for f in (*given, given[-1] if given else one)]


def _for_each_layer(params: Any, name: str, n_hidden: int) -> list:
    """The parameter ``name``, which is one value for all hidden layers or a list with one for each."""
    given = getattr(params, name)
    if not isinstance(given, list | tuple):
        return [given] * n_hidden
    if len(given) != n_hidden:
        raise ValueError(
            f"{name} has {len(given)} entries and there are {n_hidden} hidden layers; give one for each, or a single "
            "value"
        )
    return list(given)


def model_of(params: Any, hidden: list[int], n_outputs: int, loss: Loss, drops: bool = True) -> Model:
    """A network with these hidden layers, its loss and its penalty: alpha becomes lambda. Predictions drop no units."""
    sizes = (*hidden, n_outputs)
    rates = (*_for_each_layer(params, "dropout", len(hidden)), 0.0) if drops else (0.0,) * len(sizes)
    share = {None: None, "l2": 0.0, "l1": 1.0, "elasticnet": float(params.l1_ratio)}[params.penalty]
    l1, l2 = (0.0, 0.0) if share is None else (params.alpha * share, params.alpha * (1.0 - share))
    return _model(sizes, tuple(activations(params, len(hidden))), rates, loss, l1, l2, precision(params))


@functools.lru_cache(maxsize=64)
def _model(sizes: tuple, activations: tuple, rates: tuple, loss: Loss, l1: float, l2: float, precision: Any) -> Model:
    """A model of dense layers, each with its dropout; made once, as its parts are compared wherever it is used."""
    layers: list[Any] = []
    for k, (n, f, rate) in enumerate(zip(sizes, activations, rates, strict=True)):
        initializer = GlorotUniform(2.0 if isinstance(f, Sigmoid) else 6.0)
        is_last = k == len(sizes) - 1
        layers.append(Dense(n, "linear" if is_last else f, True, initializer, initializer))
        if rate:
            layers.append(Dropout(rate))
    return Model(Sequential(*layers), loss, l1, l2, scale_penalty=True, precision=precision)
