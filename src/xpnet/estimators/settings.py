"""An estimator's parameters as layers, a loss, an update rule and a schedule.

``params`` is an estimator, or anything else that has the parameters as attributes.
"""

import functools
import logging
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from sklearn.metrics import check_scoring
from sklearn.utils._param_validation import Interval, StrOptions

from ..equations.activations import BY_NAME, Activation, Sigmoid, activation
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
    """An estimator's parameters as training uses them.

    Attributes
    ----------
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
        """The settings for these parameters, each of which is valid by itself; a ValueError if they contradict."""
        check_together(params)
        by_name = params.learning_rate if params.solver == "sgd" else None
        adaptive = params.learning_rate if isinstance(params.learning_rate, Adaptive) else None
        if isinstance(by_name, str) and by_name == "adaptive":
            adaptive = Adaptive(params.n_iter_no_change)
        names = "solver batch_size max_iter max_fun shuffle tol early_stopping verbose".split()
        return cls(
            schedule(params),
            adaptive,
            InverseScaling(params.power_t) if by_name == "invscaling" else None,
            params.n_iter_no_change if adaptive is None else adaptive.patience,
            None if params.clip_norm is None else float(params.clip_norm),
            **{name: getattr(params, name) for name in names},
        )


def check_together(params: Any) -> None:
    """Raise a ValueError if parameters that are valid by themselves contradict each other."""
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
    """One for each hidden layer, and the last once more: the output layer's initial weights depend on it."""
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
    """A model of dense layers, each with its dropout; equal arguments give the same object."""
    layers: list[Any] = []
    for k, (n, f, rate) in enumerate(zip(sizes, activations, rates, strict=True)):
        initializer = GlorotUniform(2.0 if isinstance(f, Sigmoid) else 6.0)
        is_last = k == len(sizes) - 1
        layers.append(Dense(n, "linear" if is_last else f, True, initializer, initializer))
        if rate:
            layers.append(Dropout(rate))
    return Model(Sequential(*layers), loss, l1, l2, scale_penalty=True, precision=precision)


# --- the parameters of both classes: what is allowed, and their documentation

BEYOND_SCIKIT_LEARN: dict[str, list] = {
    "activation": [StrOptions(set(BY_NAME)), Activation, list, tuple],
    "solver": [StrOptions({"lbfgs", "sgd", "adam", "adamw"})],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
    "penalty": [StrOptions({"l1", "l2", "elasticnet"}), None],
    "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
    "clip_norm": [Interval(Real, 0, None, closed="right"), None],
    "scoring": [str, callable, None],
    "backend": [str, None],
    "precision": [str, None],
}
"""The allowed values of parameters that scikit-learn does not have or restricts more."""

PARAMETERS = """\
    hidden_layer_sizes : int or sequence of int, default (100,)
        Units of each hidden layer; () is logistic or linear regression.
    activation : str, Activation, or a list of them
        One for all hidden layers, or a list with one for each: scikit-learn's "identity", "logistic", "tanh" and
        "relu", any other name of :data:`xpnet.activations.BY_NAME`, or an object, also of a class of your own.
    solver : {"adam", "sgd", "lbfgs", "adamw"}
        :class:`xpnet.Adam`, :class:`xpnet.Momentum`, SciPy's L-BFGS on all samples at once, or :class:`xpnet.AdamW`.
        L-BFGS computes in float64 unless ``precision`` says otherwise, and has no ``partial_fit``.
    alpha : float
        The penalty's strength; lambda = alpha / sum of the batch's sample weights.
    learning_rate : {"constant", "invscaling", "adaptive"} or callable
        scikit-learn's names are for sgd alone. A schedule such as ``xpnet.schedules.Cosine(steps)``, a function of the
        step, and ``xpnet.schedules.Adaptive()`` are for every solver that steps.
    penalty : {"l2", "l1", "elasticnet"} or None
        On the weights (D0): alpha/2 sum w^2, alpha sum |w|, or a mix of both by ``l1_ratio``.
    l1_ratio : float
        L1's share in "elasticnet", from 0 to 1.
    weight_decay : float
        For AdamW: theta -= rate * weight_decay * theta on the weights.
    dropout : float or list of float
        The fraction of each hidden layer's units that a step leaves out; a list has one for each layer. The masks
        follow from ``random_state`` and are the same on every backend.
    clip_norm : float, optional
        Longer gradients are scaled down to this norm; inf only records the norm in ``history_``.
    scoring : str or callable, optional
        The score for early stopping: by default the accuracy or R^2; "loss" for the loss of the validation set; or any
        scorer of scikit-learn's.
    backend : {"numpy", "cpu", "cupy", "cuda", "cupy:N", "auto"}, optional
        The backend that computes; see :func:`xpnet.get_backend`. By default it follows X.
    precision : {"float32", "float64", "tf32", "bfloat16"}, optional
        The precision of the computation, see :class:`xpnet.Model`. By default that of X, float32 or float64.
    verbose : bool or int
        Whether to print scikit-learn's lines; 2 prints a table of ``history_``.
    batch_size, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, warm_start, \
momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As in scikit-learn.
"""

ATTRIBUTES = """\
    coefs_, intercepts_ : lists of arrays, of X's library
        W_k (n_{k-1}, n_k) and b_k (n_k,).
    history_ : dict of lists
        Epoch by epoch: loss, validation_loss, validation_score, learning_rate, gradient_norm, seconds; what was not
        recorded is not there.
    validation_loss_curve_ : list of float, or None without a validation set
        Its loss after each epoch, without the penalty.
    loss_curve_, loss_, best_loss_, validation_scores_, best_validation_score_, n_iter_, t_, n_features_in_, \
feature_names_in_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.
"""
