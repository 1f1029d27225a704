"""The validation set: samples that are not trained on, and their loss and score after each epoch."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from ..backends import Backend, get_backend, is_host_data, on_host, reading_order, to_numpy
from ..model import Model
from .coefficients import attributes_of
from .data import Samples

Array = Any


@dataclass(frozen=True)
class ValidationSet:
    """Samples that are not trained on, and the same as scorers of scikit-learn's take them: X and y."""

    samples: Samples
    X: Any
    y: Any

    @classmethod
    def given(cls, validation_data: Any, estimator: Any, model: Model, backend: Backend) -> "ValidationSet":
        """What the user gives, checked as the training data were."""
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
        """theta -> the loss of the samples, without the penalty, and their score, of which more is better."""
        X, Y, w = self.samples.X, self.samples.Y, self.samples.w
        evaluate, weights = model.evaluation(X, Y, w, backend), None if w is None else to_numpy(w)

        @np.errstate(over="ignore", invalid="ignore")  # training that diverges says so itself
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
            fitted.backend = backend.name  # which an X on the host does not tell
        if not hasattr(X, "columns"):
            vars(fitted).pop("feature_names_in_", None)  # X no longer has the table's names
        is_weighted = w is not None and not callable(estimator.scoring)
        weighted = {"sample_weight": bring(w)} if is_weighted else {}
        return float(check_scoring(fitted, estimator.scoring)(fitted, X, self.y, **weighted))


def _for_scorer(X: Any, y: Any, scoring: Any) -> tuple:
    """X and y as a scorer takes them, both on X's device if scikit-learn computes there, otherwise on the host."""
    if scoring in (None, "loss") or is_host_data(X):
        return X, y
    if get_config()["array_api_dispatch"] and y.dtype.kind in "biuf":
        return X, get_backend(None, X).asarray(y)
    return on_host(X), y
