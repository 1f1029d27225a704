"""Samples, read, checked, encoded and brought to the backend once; and the validation set."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import _check_n_features, _check_sample_weight, column_or_1d, validate_data

from ..backends import (
    Backend,
    RowSource,
    array_namespace,
    data_dtype,
    device,
    gather,
    get_backend,
    is_host_data,
    is_in_rows,
    on_host,
    read_data,
    reading_order,
    subset,
    to_numpy,
)
from ..model import Model
from .coefficients import attributes_of

Array = Any


@dataclass(frozen=True)
class Samples:
    """Samples on the backend that computes with them; host data too large for a GPU stay on the host.

    Attributes
    ----------
    X : array, (m, n_features)
    Y : array, (m, n_outputs)
        Targets, in X's dtype.
    w : array, (m,), or None
        Weights.
    targets : host array, (m, n_outputs)
        Y before it took X's dtype.
    y : host array, (m,) or (m, n_outputs)
        As it was given.
    """

    X: Array
    Y: Array
    w: Array | None
    targets: np.ndarray
    y: Any

    @classmethod
    def read(
        cls,
        estimator: Any,
        backend: Backend,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        trains: bool = False,
        is_first: bool = False,
        is_part: bool = False,
    ) -> "Samples":
        """Read what an estimator is given; X is checked for NaN and infinity only here.

        If the estimator ``trains`` on the samples, it learns their labels, and in a first fit (``is_first``) also the
        number of features and their names. ``is_part`` says that more training data may follow.
        """
        if trains and estimator.solver == "lbfgs" and is_in_rows(X):
            X = _all_rows(X)
        X, y, w = _read(estimator, backend, X, y, sample_weight, is_first)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=trains)
        if trains:
            estimator._kind.learn(estimator, y, is_part)
            X = X if is_first or estimator.precision is not None else _in_dtype_of(estimator.coefs_, X)
        kind = estimator._targets
        w, targets = kind.weigh(y, w, is_part), kind.encode(y)
        home = get_backend("numpy") if is_host_data(X) else backend
        Y, w = (None if a is None else home.asarray(a, X.dtype) for a in (targets, w))
        return cls(X, Y, w, targets, y)

    def rows(self, at: np.ndarray) -> "Samples":
        """The samples at these indices; if X lies in a file, its rows are read when they are needed."""
        there = array_namespace(self.Y).asarray(at, device=device(self.Y))
        of_file = subset(self.X, at)
        X = gather(self.X, there) if of_file is None else of_file
        w = None if self.w is None else gather(self.w, there)
        return Samples(X, gather(self.Y, there), w, self.targets[at], self.y[at])


@dataclass(frozen=True)
class ValidationSet:
    """Samples that are not trained on; ``X`` and ``y`` are the same samples for scikit-learn's scorers."""

    samples: Samples
    X: Any
    y: Any

    @classmethod
    def given(cls, validation_data: Any, estimator: Any, model: Model, backend: Backend) -> "ValidationSet":
        """The ``validation_data`` of ``fit``, checked as the training data were."""
        if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
            raise ValueError(
                f"validation_data is a {type(validation_data).__name__}; give a tuple (X, y) or (X, y, sample_weight)"
            )
        X, y, w = (*validation_data, None)[:3]
        try:
            samples = Samples.read(estimator, backend, X, y, w)
            n_outputs = samples.targets.shape[1]
            if n_outputs != estimator.n_outputs_:
                raise ValueError(f"y has {n_outputs} outputs, and the training data have {estimator.n_outputs_}")
            model.criterion.check(samples.Y)
        except ValueError as error:
            raise ValueError(f"validation_data: {error}") from error
        return cls(samples, *_for_scorer(X, samples.y, estimator.scoring))

    @classmethod
    def split_off(cls, samples: Samples, estimator: Any, rng: Any) -> tuple[Samples, "ValidationSet"]:
        """The samples that are left to train on, and a validation set of ``validation_fraction`` of them."""
        places = train_test_split(
            np.arange(samples.X.shape[0]),
            random_state=rng,
            test_size=estimator.validation_fraction,
            stratify=estimator._targets.strata(samples.targets),
        )
        if len(places[1]) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        train, rest = (samples.rows(reading_order(samples.X, at)) for at in places)
        return train, cls(rest, *_for_scorer(rest.X, rest.y, estimator.scoring))

    def judge(self, estimator: Any, model: Model, backend: Backend) -> Callable[[Array], tuple[float, float]]:
        """theta -> the loss of the samples, without the penalty, and their score; higher is better."""
        X, Y, w = self.samples.X, self.samples.Y, self.samples.w
        evaluate, weights = model.evaluation(X, Y, w, backend), None if w is None else to_numpy(w)

        @np.errstate(over="ignore", invalid="ignore")  # training that diverges raises its own error
        def judge(theta: Array) -> tuple[float, float]:
            loss, A = evaluate(theta)
            A = to_numpy(A)
            if not np.isfinite(A).all():
                return loss, np.nan
            if estimator.scoring is None:
                return loss, estimator._targets.score(self.samples.targets, A, weights)
            return loss, -loss if estimator.scoring == "loss" else self._by_scorer(estimator, model, theta, weights)

        return judge

    def _by_scorer(self, estimator: Any, model: Model, theta: Array, w: np.ndarray | None) -> float:
        """The score of the parameters theta; a scorer of scikit-learn's, by its name, is given the weights too."""
        fitted, X = copy.copy(estimator), self.X
        bring = to_numpy if is_host_data(X) else get_backend(None, X).asarray
        vars(fitted).update(attributes_of(model.layout(estimator.n_features_in_), bring(theta)))
        if not is_host_data(theta) and (backend := get_backend(None, theta)).is_cupy:
            fitted.backend = backend.name  # an X on the host does not determine it
        if not hasattr(X, "columns"):
            vars(fitted).pop("feature_names_in_", None)  # X no longer has the table's names
        is_weighted = w is not None and not callable(estimator.scoring)
        weighted = {"sample_weight": bring(w)} if is_weighted else {}
        return float(check_scoring(fitted, estimator.scoring)(fitted, X, self.y, **weighted))


def _read(estimator: Any, backend: Backend, X: Any, y: Any, sample_weight: Any, is_first: bool) -> tuple:
    """X on the backend; y and the weights or None on the host; all checked."""
    y = on_host(y)
    is_checked = is_host_data(X) and not is_in_rows(X)
    if is_checked:
        kinds = {"multi_output": True, "y_numeric": estimator._kind.is_numeric, "dtype": (np.float64, np.float32)}
        X, y = validate_data(estimator, X, y, reset=is_first, accept_sparse=("csr", "csc"), **kinds)
    else:
        y = np.asarray(y)
        if is_first:
            vars(estimator).pop("feature_names_in_", None)
    X = read_matrix(estimator, X, backend, is_first, is_checked)
    if y.shape[0] != X.shape[0]:
        raise ValueError(f"X has {X.shape[0]} samples and y has {y.shape[0]}; each sample needs one row of y")
    if sample_weight is None:
        return X, y, None
    host_X = np.empty((X.shape[0], 0))  # only its length is used
    return X, y, _check_sample_weight(on_host(sample_weight), host_X, dtype=np.float64)


def read_matrix(estimator: Any, X: Any, backend: Backend, is_first: bool, is_checked: bool) -> Array:
    """X on the backend (host data too large for a GPU: on the host), with as many features as were fitted on.

    ``is_checked`` if its numbers are known to be finite, or are checked later.
    """
    dtype = data_dtype(estimator.precision, backend)
    _, X = read_data(X, "X", backend, dtype, may_stay=True, is_checked=is_checked)
    if X.ndim != 2:
        raise ValueError(f"X has shape {tuple(X.shape)}; it must be (n_samples, n_features): reshape it")
    _check_n_features(estimator, X, reset=is_first)
    return X


def _in_dtype_of(coefs: list, X: Array) -> Array:
    """X in the dtype of fitted coefficients, which keep theirs; rows in a file stay as they are."""
    if isinstance(X, RowSource):
        return X
    home = get_backend("numpy") if is_host_data(X) else get_backend(None, X)
    return home.asarray(X, getattr(home.xp, to_numpy(coefs[0][:0, ...]).dtype.name))


def _all_rows(X: Any) -> np.ndarray:
    """All rows of a memmap, which joblib's workers get for a large array; other sources raise a ValueError."""
    if isinstance(X, np.memmap):
        return np.asarray(X, np.float64)
    raise ValueError(
        f"X is a {type(X).__name__} that is read in rows, and solver='lbfgs' computes with all at once: pass X[:], or "
        "use solver='adam'"
    )


def _for_scorer(X: Any, y: Any, scoring: Any) -> tuple:
    """X and y as a scorer takes them, both on X's device if scikit-learn computes there, otherwise on the host."""
    if scoring in (None, "loss") or is_host_data(X):
        return X, y
    if get_config()["array_api_dispatch"] and y.dtype.kind in "biuf":
        return X, get_backend(None, X).asarray(y)
    return on_host(X), y
