"""The samples that are given: read, checked, encoded, and brought to where they are computed with, once."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_n_features, _check_sample_weight, validate_data

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
    subset,
    to_numpy,
)

Array = Any


@dataclass(frozen=True)
class Samples:
    """Samples where they are computed with; host data too large for a GPU stay on the host.

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
        What was given.
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
        """Samples as an estimator is given them, checked; X is checked for NaN and infinity this once.

        Parameters
        ----------
        trains : bool
            Whether they are to be trained on, so that the estimator learns the labels.
        is_first : bool
            Whether it takes the number of features and their names from X; otherwise X must have the same.
        is_part : bool
            Whether more training data will follow.
        """
        if trains and estimator.solver == "lbfgs" and is_in_rows(X):
            X = _all_rows(X)
        X, y, w = _read(estimator, backend, X, y, sample_weight, is_first)
        if trains:
            estimator._kind.learn(estimator, y, is_part)
            X = X if is_first or estimator.precision is not None else _in_dtype_of(estimator.coefs_, X)
        kind = estimator._targets
        w, targets = kind.weigh(y, w, is_part), kind.encode(y)
        home = get_backend("numpy") if is_host_data(X) else backend
        Y, w = (None if a is None else home.asarray(a, X.dtype) for a in (targets, w))
        return cls(X, Y, w, targets, y)

    def rows(self, at: np.ndarray) -> "Samples":
        """These of the samples; if X lies in a file, its rows are read when they are needed."""
        there = array_namespace(self.Y).asarray(at, device=device(self.Y))
        of_file = subset(self.X, at)
        X = gather(self.X, there) if of_file is None else of_file
        w = None if self.w is None else gather(self.w, there)
        return Samples(X, gather(self.Y, there), w, self.targets[at], self.y[at])


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
    host_X = np.empty((X.shape[0], 0))  # only its length is asked for
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
    """All of a memmap, as workers of joblib get one for any large array; other files are refused."""
    if isinstance(X, np.memmap):
        return np.asarray(X, np.float64)
    raise ValueError(
        f"X is a {type(X).__name__} that is read in rows, and solver='lbfgs' computes with all at once: pass X[:], or "
        "use solver='adam'"
    )
