"""Data held out of training: split off for early stopping or given to fit; its loss and its score after each epoch."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from ..backends import (
    array_namespace,
    device,
    gather,
    get_backend,
    is_host_data,
    on_host,
    reading_order,
    subset,
    to_numpy,
)

Array = Any


class HeldOut(NamedTuple):
    """Samples to validate on: X, targets Y (m, n_outputs) and weights w or None, where training is; the targets on the
    host, unrounded; X and y as a scorer takes them.
    """

    X: Array
    Y: Array
    w: Array | None
    targets: np.ndarray
    source: Any
    y: Any

    @property
    def size(self) -> int:
        """How many samples."""
        return self.X.shape[0]


class Validation:
    """What an estimator does with held-out data."""

    early_stopping: bool
    validation_fraction: float
    scoring: Any
    n_outputs_: int
    _stratify: bool

    def _score_outputs(self, y: np.ndarray, A: np.ndarray, sample_weight: np.ndarray | None) -> float:
        """The validation score of predictions A for targets y, both on the host."""
        raise TypeError(f"{type(self).__name__} must define _score_outputs")

    def _decode(self, Y: np.ndarray) -> np.ndarray:
        """y for targets Y (host): the inverse of encoding."""
        raise TypeError(f"{type(self).__name__} must define _decode")

    def _asks_scorer(self) -> bool:
        return self.scoring not in (None, "loss")

    def _for_scorer(self, X: Any, y: Any) -> tuple:
        """X and y as a scorer takes them, both on X's device if scikit-learn computes there, otherwise on the host."""
        if not self._asks_scorer() or is_host_data(X):
            return X, y
        if get_config()["array_api_dispatch"] and y.dtype.kind in "biuf":
            return X, get_backend(None, X).asarray(y)
        return on_host(X), y

    def _split(self, data: tuple, targets: np.ndarray, rng: Any) -> tuple[tuple, HeldOut]:
        """What is trained on, (X, Y, w), and what early stopping holds out of it; ``targets`` are Y on the host."""
        X = data[0]
        labels = targets if self._stratify and self.n_outputs_ == 1 else None
        places = train_test_split(
            np.arange(X.shape[0]), random_state=rng, test_size=self.validation_fraction, stratify=labels
        )
        if len(places[1]) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        places = [reading_order(X, at) for at in places]
        train, (X, Y, w) = (self._rows(data, at) for at in places)
        targets = targets[places[1]]
        return train, HeldOut(X, Y, w, targets, *self._for_scorer(X, self._decode(targets)))

    @staticmethod
    def _rows(data: tuple, at: np.ndarray) -> tuple:
        """These rows of X, Y and w; X's are read when they are needed where X lies in a file."""
        X, Y, _ = data
        there = array_namespace(Y).asarray(at, device=device(Y))
        of_file = subset(X, at)
        rest = (A if A is None else gather(A, there) for A in data[1:])
        return gather(X, there) if of_file is None else of_file, *rest

    @np.errstate(over="ignore", invalid="ignore")  # a run that diverges says so itself
    def _validate(self, evaluate: Callable, theta: Array, held_out: HeldOut) -> tuple[float, float]:
        """The loss of the held-out samples, without the penalty, and their score, of which more is better."""
        loss, A = evaluate(theta)
        A, w = to_numpy(A), held_out.w
        if not np.isfinite(A).all():
            return loss, np.nan
        if self.scoring == "loss":
            return loss, -loss
        weights = None if w is None else to_numpy(w)
        if not self._asks_scorer():
            return loss, self._score_outputs(held_out.targets, A, weights)
        return loss, self._score_by_scorer(theta, held_out.source, held_out.y, weights)

    def _score_by_scorer(self, theta: Array, X: Any, y: Any, w: np.ndarray | None) -> float:
        """The score of the parameters theta; a scorer of scikit-learn's, by its name, is given the weights too."""
        fitted: Any = copy.copy(self)
        bring = to_numpy if is_host_data(X) else get_backend(None, X).asarray
        vars(fitted).update(self._coefficients(bring(theta)))
        if not is_host_data(theta) and (backend := get_backend(None, theta)).is_cupy:
            fitted.backend = backend.name  # which an X on the host does not say
        if not hasattr(X, "columns"):
            fitted.__dict__.pop("feature_names_in_", None)  # the table's names are no longer with X
        w = w if w is None else bring(w)
        weighted = {} if w is None or callable(self.scoring) else {"sample_weight": w}
        return float(check_scoring(fitted, self.scoring)(fitted, X, y, **weighted))

    def _coefficients(self, theta: Array) -> dict[str, list]:
        raise TypeError(f"{type(self).__name__} must define _coefficients")
