"""The network inside scikit-learn's pipelines, target transformers and searches."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import to_numpy


@dataclass(frozen=True)
class Opened:
    """An estimator, and what lies inside it down to the network."""

    estimators: tuple[Any, ...]  # the outermost first; the last is the network, an MLPClassifier or MLPRegressor

    @property
    def network(self) -> Any:
        """The fitted MLPClassifier or MLPRegressor."""
        return self.estimators[-1]

    def network_on(self, backend: Any) -> Any:
        """The network, which computes on this backend; by default, None, on its own."""
        return self.network if backend is None else copy.copy(self.network).set_params(backend=backend)

    def reached(self, X: Any, y: Any) -> tuple[Any, Any]:
        """X and y as they reach the network: after the steps before it, and after a transformer of the target."""
        for outer in self.estimators[:-1]:
            if hasattr(outer, "regressor_"):
                y = np.asarray(to_numpy(y), np.float64)
                y = outer.transformer_.transform(y.reshape(len(y), -1)).reshape(y.shape)
            elif len(getattr(outer, "steps", ())) > 1:
                X = outer[:-1].transform(X)
        return X, y

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns of the table that was fitted on, as they reach the network; empty if they have no names."""
        names = getattr(self.network, "feature_names_in_", ())
        for outer in self.estimators[:-1]:
            if len(getattr(outer, "steps", ())) > 1 and hasattr(outer, "feature_names_in_"):
                try:
                    names = outer[:-1].get_feature_names_out()
                except (AttributeError, ValueError):  # a step that can't name what it makes
                    return ()
        return tuple(map(str, names))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The class of each output; the second class if one output is its probability; empty for a regressor."""
        labels = tuple(map(str, getattr(self.network, "classes_", ())))
        return labels[-1:] if self.network.n_outputs_ == 1 else labels


def opened(estimator: Any, attribute: str | None = None, also: str = "") -> Opened:
    """The estimator and what lies inside it, down to a fitted network of xpnet.

    Parameters
    ----------
    estimator : estimator
        A network, or a pipeline, target transformer or search around one.
    attribute : str, optional
        If given, anything with a non-empty attribute of this name is accepted in place of a network of xpnet.
    also : str
        What the caller accepts besides estimators, for the message of an error.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The estimator, or the network in it, is not fitted.
    ValueError
        There is no network of xpnet in it, or nothing with the attribute.
    """
    found = [estimator]
    while (inner := _inside(found[-1])) is not None:
        found.append(inner)
    last = found[-1]
    if getattr(last, attribute, None) if attribute else hasattr(last, "coefs_") and hasattr(last, "_as_trained"):
        return Opened(tuple(found))
    if any(hasattr(last, name) for name in ("_as_trained", "regressor", "estimator")):
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(last, msg="this %(name)s is not fitted: call fit first")
    missing = f"this {type(estimator).__name__} has no {attribute}"
    if attribute is None:
        missing = f"there is no network of xpnet in this {type(estimator).__name__}"
    if hasattr(last, "coefs_"):
        missing += "; MLPClassifier.from_sklearn and MLPRegressor.from_sklearn convert scikit-learn's own"
    elif getattr(last, "refit", True) is False:
        missing += ", as it was made with refit=False"
    raise ValueError(
        f"{missing}; allowed: {also}a fitted MLPClassifier or MLPRegressor, or a pipeline, target transformer or "
        "search around one"
    )


def _inside(estimator: Any) -> Any:
    """The estimator inside this one; None if there is none, or this one is not fitted."""
    if hasattr(estimator, "named_steps"):
        return estimator.steps[-1][1]
    return getattr(estimator, "regressor_", None) or getattr(estimator, "best_estimator_", None)
