"""What is diagnosed: a model with its data, its parameters and its history, of a training loop or of an estimator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...backends import Backend
from ...block_prediction import rows_a_block
from ...model import Model
from ...network import Layout
from ...state import State
from ..pipelines import opened

Array = Any


@dataclass(frozen=True, eq=False)
class Case:
    """A model in training, as the rules see it."""

    model: Model
    backend: Backend
    X: Array  # (m, n), (m, n_out), and (m,) or None: the samples looked at, on the backend, as the network sees them
    Y: Array
    w: Array | None
    n_samples: int  # how many there were: the samples looked at are evenly spaced among them
    theta: Array  # (n_parameters,), the current ones
    state: State | None  # None if the optimizer's slots are not known
    batch_size: int
    history: np.ndarray  # (n_epochs,), the cost of each epoch
    stopped: bool = False  # whether a validation score ended training, so that the cost may still fall
    classes: Sequence = ()  # the labels, if they are known
    rate: float | None = None  # the learning rate; L-BFGS has none
    rate_name: str = "the optimizer's learning rate"

    @property
    def layout(self) -> Layout:
        """Where the parameters lie in theta."""
        return self.model.layout(tuple(self.X.shape[1:]))


def of_model(model: Model, X: Any, Y: Any, state: State | None, history: Any, sample_weight: Any, backend: Any) -> Case:
    """The case of a model and a state of its training."""
    if state is None:
        raise ValueError("state is missing: a Model is diagnosed with the state that epochs yields, state=state")
    backend, X, Y, w, n = _evenly(model, X, Y, sample_weight, backend)
    theta = model.layout(tuple(X.shape[1:])).checked(backend.asarray(state.theta, X.dtype))
    curve, rate = _finite(history), state.learning_rate
    return Case(model, backend, X, Y, w, n, theta, state, batch_size=X.shape[0], history=curve, rate=rate)


def of_estimator(estimator: Any, X: Any, y: Any, sample_weight: Any, backend: Any) -> Case:
    """The case of a fitted estimator, or of a pipeline, target transformer or search around one."""
    found = opened(estimator)
    X, y = found.reached(X, y)
    mlp = found.network_on(backend)
    model = mlp._model()
    backend, (X, Y, w) = mlp._as_trained(X, y, sample_weight)
    backend, X, Y, w, n = _evenly(model, X, Y, w, backend)
    theta = mlp._theta(backend, X)
    return Case(
        model,
        backend,
        X,
        Y,
        w,
        n,
        theta,
        state=replace(mlp._resume, theta=theta) if hasattr(mlp, "_resume") else None,  # a file holds no slots
        batch_size=min(200 if mlp.batch_size == "auto" else mlp.batch_size, X.shape[0]),
        history=_finite(getattr(mlp, "loss_curve_", [])),
        stopped=mlp.early_stopping and mlp.n_iter_ < mlp.max_iter,
        classes=list(getattr(mlp, "classes_", ())),
        rate=None if mlp.solver == "lbfgs" else mlp.learning_rate_init,
        rate_name="learning_rate_init",
    )


def _evenly(model: Model, X: Any, Y: Any, w: Any, backend: Any) -> tuple[Backend, Array, Array, Array | None, int]:
    """The data on the backend, thinned out evenly so that memory stays bounded; and how many samples there were."""
    backend, X, Y, w = model.read(X, Y, w, backend)
    m = X.shape[0]
    each = -(-m // rows_a_block(model.layout(tuple(X.shape[1:]))))
    if each > 1:
        with backend.active():
            X, Y, w = X[::each], Y[::each, ...], None if w is None else w[::each]
    return backend, X, Y, w, m


def _finite(history: Any) -> np.ndarray:
    """The costs up to where training diverged, if it did."""
    L = np.asarray(list(history), np.float64)
    return L[: int(np.argmin(np.isfinite(L)))] if not np.isfinite(L).all() else L
