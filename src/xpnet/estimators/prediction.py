"""Predictions of a fitted estimator, in blocks of rows, on X's library or on ``backend=``."""

import contextlib
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import check_is_fitted, validate_data

from ..backends import Backend, data_dtype, finite_check, get_backend, is_host_data, is_in_rows, to_numpy
from ..block_prediction import LastPredictions, in_row_blocks, last_prediction
from ..equations.activations import Linear
from .coefficients import layers_of
from .data import read_matrix
from .settings import precision

Array = Any

last_predictions: weakref.WeakKeyDictionary[Any, LastPredictions] = weakref.WeakKeyDictionary()
"""The programs of each estimator's predictions on a GPU, kept here because predicting must change no attribute."""


def check_library(estimator: Any, X: Any, method: str) -> None:
    """With scikit-learn's dispatch on, X must be of fit's library and device; with it off, X is moved."""
    check_is_fitted(estimator)
    if get_config()["array_api_dispatch"] and get_backend(None, X) != get_backend(None, estimator.coefs_[0]):
        raise ValueError(
            f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and the same device "
            f"as those passed to fit(): fit's was {get_backend(None, estimator.coefs_[0])}, X's is "
            f"{get_backend(None, X)}. "
            "Move X there, or set array_api_dispatch=False"
        )


def predicted(estimator: Any, X: Any, finish: Callable[[Array], Array] = lambda A: A, linked: bool = True) -> Array:
    """The network's outputs for X, after the loss's link if ``linked``, as an array of X's library.

    ``finish`` is applied to the result before it leaves the backend.
    """
    backend = get_backend(estimator.backend, X)
    with backend.active():
        A = finish(_on_backend(estimator, backend, X, linked))
        return to_numpy(A) if is_host_data(X) else get_backend(None, X).asarray(A)


def _on_backend(estimator: Any, backend: Backend, X: Any, linked: bool) -> Array:
    is_checked = is_host_data(X) and not is_in_rows(X)
    if is_checked:
        X = validate_data(estimator, X, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32), reset=False)
    X = read_matrix(estimator, X, backend, is_first=False, is_checked=True)
    model = estimator._model(drops=False)
    link, network = model.criterion.link if linked else Linear(), model.network
    last = last_prediction(last_predictions, estimator, "predict" if linked else "output", model, X, backend)
    dtype = data_dtype(precision(estimator), backend) or X.dtype
    with contextlib.nullcontext() if is_checked else finite_check(X, "X"):
        return in_row_blocks(
            lambda A, *params: link.forward(network.forward(params, A)[0]),
            layers_of(estimator, backend, dtype),
            X,
            model.layout(X.shape[1]),
            backend,
            last,
        )
