"""One call of ``fit`` or ``partial_fit``: from an estimator's parameters and data to a run and its attributes."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from ..backends import Backend, get_backend, is_host_data, to_numpy
from ..equations.schedules import Plateau
from ..model import Model, check_weights
from ..program.steps import Batch
from ..step import LastSteps
from .callbacks import Callbacks
from .coefficients import attributes_of
from .data import Samples, ValidationSet
from .history import RECORDS, History, drop_other_kind
from .lbfgs import minimize
from .prediction import last_predictions
from .settings import Settings, hidden_sizes
from .training_run import Run, starting_state, warn

_OF_CALLBACKS = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
_SCIKIT_LEARN_NAMES = {"Linear": "identity", "Sigmoid": "logistic", "Softmax": "softmax", "Exp": "exp"}


def fit(estimator: Any, X: Any, y: Any, sample_weight: Any, validation_data: Any, is_part: bool = False) -> Any:
    """Train the estimator until it stops, or for one pass if X ``is_part`` of the data; returns the estimator."""
    backend = get_backend(estimator.backend, X)
    with backend.active():
        with unchanged_by_errors(estimator):
            rng = check_random_state(estimator.random_state)
            run = _prepare(estimator, backend, X, y, sample_weight, validation_data, is_part, rng)
            if not is_part and hasattr(estimator, "_skl_callbacks"):
                layout = run.model.layout(estimator.n_features_in_)
                run.callbacks = Callbacks(estimator, X, y, sample_weight, lambda theta: attributes_of(layout, theta))
        stopped = True
        try:
            if estimator.solver == "lbfgs":
                minimize(run)
            else:
                last_steps = vars(estimator).get("_last_steps")
                stopped = run.train(rng, last_steps, n_epochs=1 if is_part else estimator.max_iter)
        finally:
            _finish(estimator, run, None if is_host_data(X) else get_backend(None, X))
        if is_part and estimator.early_stopping:
            _keep_best(estimator, run)
        if not is_part and not stopped:
            warn(
                f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
            )
        if estimator.early_stopping and run.plateau.best == math.inf:
            warn("No validation score was finite: the parameters are the last ones.")
        if run.callbacks is not None:
            run.callbacks.end()
        return estimator


@contextlib.contextmanager
def unchanged_by_errors(estimator: Any) -> Iterator[None]:
    """A context in which an error leaves the estimator's attributes as they were."""
    attributes = vars(estimator)
    before = dict(attributes)
    try:
        yield
    except BaseException:
        begun = {name: value for name, value in attributes.items() if name in _OF_CALLBACKS}
        attributes.clear()
        attributes.update(before | begun)  # callbacks that were set up are still to be torn down
        raise


def _prepare(
    estimator: Any, backend: Backend, X: Any, y: Any, w: Any, validation_data: Any, is_part: bool, rng: Any
) -> Run:
    """The parameters as settings, the data on the backend, and the state that training begins with."""
    estimator._validate_params()
    settings, stops_early, attributes = Settings.of(estimator), estimator.early_stopping, vars(estimator)
    if stops_early and is_part and validation_data is None:
        raise ValueError("partial_fit does not support early_stopping=True without validation_data")
    _forget_programs(estimator, is_part)
    is_first = "coefs_" not in attributes or (not estimator.warm_start and not is_part)
    samples = Samples.read(estimator, backend, X, y, w, trains=True, is_first=is_first, is_part=is_part)
    model = _begin_model(estimator, samples, is_first)
    validation = None
    if validation_data is not None:
        validation = ValidationSet.given(validation_data, estimator, model, backend)
    drop_other_kind(attributes, settings)
    history = History.of(attributes, stops_early, validation is not None or stops_early)
    plateau = replace(attributes.get("_plateau", Plateau()), tol=estimator.tol)
    state = starting_state(estimator, model, backend, samples.X, rng, resumes=is_part)
    if is_part and stops_early and "coefs_" in attributes and "_best" not in attributes:
        estimator._best = {name: attributes[name] for name in ("coefs_", "intercepts_")}
    if stops_early and validation is None:
        samples, validation = ValidationSet.split_off(samples, estimator, rng)
    if samples.w is not None:
        check_weights(samples.w)
    judge = None if validation is None else validation.judge(estimator, model, backend)
    data = Batch(samples.X, samples.Y, samples.w)
    run = Run(settings, model, backend, data, state, history, plateau, judge, attributes=attributes)
    run.publish()
    return run


def _forget_programs(estimator: Any, is_part: bool) -> None:
    """Discard the programs of steps and predictions, which only partial_fit uses again."""
    if not is_part:
        vars(estimator).pop("_last_steps", None)
        last_predictions.pop(estimator, None)
    elif "_last_steps" not in vars(estimator):
        estimator._last_steps = LastSteps()


def _begin_model(estimator: Any, samples: Samples, is_first: bool) -> Model:
    """The model that is trained; a first fit also sets the attributes that follow from its layers."""
    n_outputs = samples.targets.shape[1]
    if not is_first and n_outputs != estimator.n_outputs_:
        raise ValueError(f"y has {n_outputs} outputs, but the fitted model has {estimator.n_outputs_}; call fit afresh")
    if is_first:
        for name in ("coefs_", "intercepts_", "loss_", "stopped_early_", "_resume", "_plateau", "_best", *RECORDS):
            vars(estimator).pop(name, None)
        estimator.n_outputs_, estimator.t_ = n_outputs, 0
    model = estimator._model()
    if is_first:
        estimator.n_layers_ = len(hidden_sizes(estimator.hidden_layer_sizes)) + 2
        link = type(model.criterion.link).__name__
        estimator.out_activation_ = _SCIKIT_LEARN_NAMES.get(link, link.lower())
    model.criterion.check(samples.Y)
    return model


def _finish(estimator: Any, run: Run, home: Backend | None) -> None:
    """Set coefs_ and intercepts_ in the library that X came from (None: the host), and keep the slots there."""
    run.publish()
    bring = to_numpy if home is None else home.asarray
    vars(estimator).update(attributes_of(run.model.layout(estimator.n_features_in_), bring(run.state.theta)))
    if estimator.solver == "lbfgs":
        del estimator._resume  # no optimizer's state: partial_fit by another solver begins afresh
        return
    slots = tuple(map(bring, run.state.slots))
    estimator._resume = replace(run.state, theta=None, slots=slots, rng=None, order=None)


def _keep_best(estimator: Any, run: Run) -> None:
    """partial_fit's early stopping: keep the best coefficients, and restore them when training stops."""
    if run.is_best or not hasattr(estimator, "_best"):
        estimator._best = {"coefs_": estimator.coefs_, "intercepts_": estimator.intercepts_}
    estimator.stopped_early_ = run.stops
    if run.stops:
        vars(estimator).update(estimator._best)
        del estimator._resume  # the slots are those of other coefficients
        estimator._plateau = replace(estimator._plateau, epochs=0)
