"""What is diagnosed: a model with its data, its parameters and its history, out of whatever holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...backends import Backend, get_backend, to_numpy
from ...model import Model, rows_a_block
from ...state import State

Array = Any


@dataclass(frozen=True, eq=False)
class Case:
    """A model in training, as the rules see it.

    Attributes
    ----------
    model, backend : Model, Backend
        What computes, and where.
    X, Y, w : arrays, (m, n), (m, n_out), and (m,) or None
        The samples looked at, on the backend, as the network sees them.
    n_samples : int
        How many there were: the samples looked at are evenly spaced among them.
    theta : array, (n_parameters,)
        The parameters now.
    state : State or None
        Where training stands; None where the optimiser's moments are not known.
    batch : int
        Samples a step.
    history : array, (n_epochs,)
        The cost of each epoch.
    stopped : bool
        Whether a validation score ended training, so that the cost may still fall.
    classes : sequence
        The labels, where they are known.
    rate : float or None
        The learning rate.
    rate_name : str
        What sets it.
    """

    model: Model
    backend: Backend
    X: Array
    Y: Array
    w: Array | None
    n_samples: int
    theta: Array
    state: State | None
    batch: int
    history: np.ndarray
    stopped: bool = False
    classes: Sequence = ()
    rate: float | None = None
    rate_name: str = "the optimiser's learning rate"


def of_model(model: Model, X: Any, Y: Any, state: State | None, history: Any, sample_weight: Any, backend: Any) -> Case:
    """A model and a state of its training."""
    if state is None:
        raise ValueError("state is missing: a Model is diagnosed with the state that epochs yields, state=state")
    backend, X, Y, w = model.read(X, Y, sample_weight, backend)
    with backend.active():
        X, Y, w, n = _evenly(model, X, Y, w)
    theta = model.layout(tuple(X.shape[1:])).checked(backend.asarray(state.theta, X.dtype))
    curve = _finite(history)
    rate = state.learning_rate
    return Case(model, backend, X, Y, w, n, theta, state, X.shape[0], curve, rate=rate)


def of_estimator(estimator: Any, X: Any, y: Any, sample_weight: Any, backend: Any) -> Case:
    """A fitted estimator, or a pipeline, target transformer or search around one."""
    mlp, X, y = opened(estimator, X, y)
    backend = get_backend(mlp.backend if backend is None else backend, X)
    model = mlp._model()
    y, w = to_numpy(y), None if sample_weight is None else to_numpy(sample_weight)
    backend, X, Y, w = model.read(X, mlp._targets.encode(y), mlp._targets.weigh(y, w), backend)
    with backend.active():
        X, Y, w, n = _evenly(model, X, Y, w)
    theta = mlp._theta(backend, X)
    state = replace(mlp._resume, theta=theta) if hasattr(mlp, "_resume") else None  # a file holds no moments
    return Case(
        model,
        backend,
        X,
        Y,
        w,
        n,
        theta,
        state,
        min(200 if mlp.batch_size == "auto" else mlp.batch_size, X.shape[0]),
        _finite(getattr(mlp, "loss_curve_", [])),
        stopped=mlp.early_stopping and mlp.n_iter_ < mlp.max_iter,
        classes=list(getattr(mlp, "classes_", ())),
        rate=None if mlp.solver == "lbfgs" else mlp.learning_rate_init,
        rate_name="learning_rate_init",
    )


def opened(estimator: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
    """The network inside pipelines, target transformers and searches, with X and y as they reach it."""
    inner = estimator
    while not hasattr(inner, "coefs_"):
        if hasattr(inner, "best_estimator_"):
            inner = inner.best_estimator_
        elif hasattr(inner, "regressor_"):
            y = np.asarray(to_numpy(y), np.float64)
            scaled = inner.transformer_.transform(y.reshape(len(y), -1))
            inner, y = inner.regressor_, scaled.reshape(y.shape)
        elif hasattr(inner, "steps"):
            X = inner[:-1].transform(X) if len(inner.steps) > 1 else X
            inner = inner.steps[-1][1]
        else:
            break
    if not (hasattr(inner, "coefs_") and hasattr(inner, "_theta")):
        raise ValueError(
            f"this {type(estimator).__name__} can't be diagnosed: give a fitted MLPClassifier or MLPRegressor of "
            "xpnet, a pipeline, target transformer or search around one, or a Model with state="
        )
    return inner, X, y


def _evenly(model: Model, X: Array, Y: Array, w: Array | None) -> tuple[Array, Array, Array | None, int]:
    """As many evenly spaced samples as a bounded memory holds in all layers, and how many there were."""
    m = X.shape[0]
    each = -(-m // rows_a_block(model.layout(tuple(X.shape[1:]))))
    if each == 1:
        return X, Y, w, m
    return X[::each], Y[::each, ...], None if w is None else w[::each], m


def _finite(history: Any) -> np.ndarray:
    """The costs up to where training diverged, if it did."""
    L = np.asarray(list(history), np.float64)
    return L[: int(np.argmin(np.isfinite(L)))] if not np.isfinite(L).all() else L
