"""What was given, checked and brought to where it is computed with."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_n_features, _check_sample_weight, validate_data

from ..backends import (
    Backend,
    RowSource,
    data_dtype,
    get_backend,
    is_host_data,
    is_in_rows,
    on_host,
    read_data,
    to_numpy,
)
from ..equations.losses import Loss
from .validation import HeldOut

Array = Any


class Reading:
    """Data of an estimator: X, targets and weights."""

    backend: Any
    precision: Any
    n_outputs_: int
    coefs_: list
    _y_numeric: bool
    _loss: Callable[[], Loss]
    _for_scorer: Callable[[Any, Any], tuple]

    def _encode(self, y: np.ndarray) -> np.ndarray:
        """y (host) as the network's targets, (m, n_outputs)."""
        raise TypeError(f"{type(self).__name__} must define _encode")

    def _weigh_classes(self, y: np.ndarray, w: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        """The samples' weights, those of their classes among them."""
        return w

    def _read(self, backend: Backend, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple:
        """X on the backend; y and the weights or None on the host; all checked."""
        y = on_host(y)
        is_checked = is_host_data(X) and not is_in_rows(X)
        if is_checked:
            kinds = {"multi_output": True, "y_numeric": self._y_numeric, "dtype": (np.float64, np.float32)}
            X, y = validate_data(self, X, y, reset=reset, accept_sparse=("csr", "csc"), **kinds)
        else:
            y = np.asarray(y)
            if reset:
                self.__dict__.pop("feature_names_in_", None)
        X = self._matrix(X, backend, reset, is_checked)
        if y.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} samples and y has {y.shape[0]}; each sample needs one row of y")
        if sample_weight is None:
            return X, y, None
        host_X = np.empty((X.shape[0], 0))  # only its length is asked for
        return X, y, _check_sample_weight(on_host(sample_weight), host_X, dtype=np.float64)

    def _as_wide_as_coefs(self, X: Array) -> Array:
        """X in the dtype of the fitted coefficients, which go on in theirs; rows in a file come as they are."""
        if self.precision is not None or isinstance(X, RowSource):
            return X
        home = get_backend(None, X) if not is_host_data(X) else get_backend("numpy")
        return home.asarray(X, getattr(home.xp, to_numpy(self.coefs_[0][:0, ...]).dtype.name))

    def _placed(self, backend: Backend, X: Array, Y: np.ndarray, w: np.ndarray | None) -> tuple:
        """(X, Y, w), Y and w in X's dtype and where X is."""
        home = get_backend("numpy") if is_host_data(X) else backend
        return X, *(None if a is None else home.asarray(a, X.dtype) for a in (Y, w))

    def _read_held_out(self, backend: Backend, validation_data: Any) -> HeldOut:
        if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
            raise ValueError(
                f"validation_data is a {type(validation_data).__name__}; give a tuple (X, y) or (X, y, sample_weight)"
            )
        source, labels, w = (*validation_data, None)[:3]
        try:
            X, y, w = self._read(backend, source, labels, w, reset=False)
            targets = self._encode(y)
            if targets.shape[1] != self.n_outputs_:
                raise ValueError(f"y has {targets.shape[1]} outputs, and the training data have {self.n_outputs_}")
            w = self._weigh_classes(y, w, incremental=False)
            X, Y, w = self._placed(backend, X, targets, w)
            self._loss().check(Y)
        except ValueError as error:
            raise ValueError(f"validation_data: {error}") from error
        return HeldOut(X, Y, w, targets, *self._for_scorer(source, y))

    def _matrix(self, X: Any, backend: Backend, reset: bool, is_checked: bool) -> Array:
        """X on the backend (host data too large for a GPU: on the host), with as many features as were fitted on.

        ``is_checked`` if its numbers are known to be finite, or are looked at later.
        """
        _, X = read_data(X, "X", backend, data_dtype(self.precision, backend), may_stay=True, is_checked=is_checked)
        if X.ndim != 2:
            raise ValueError(f"X has shape {tuple(X.shape)}; it must be (n_samples, n_features): reshape it")
        _check_n_features(self, X, reset=reset)
        return X

    def _as_trained(self, X: Any, y: Any, sample_weight: Any) -> tuple[Backend, tuple]:
        """The backend that computes, and X, the targets and the weights as the fitted model trains on them."""
        backend = get_backend(self.backend, X)
        with backend.active():
            X, y, w = self._read(backend, X, y, sample_weight, reset=False)
            return backend, self._placed(backend, X, self._encode(y), self._weigh_classes(y, w, incremental=False))
