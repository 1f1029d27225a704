"""To scikit-learn's estimators and from them: the same predictions, from copies of the coefficients."""

import warnings
from typing import Any

import numpy as np
import sklearn.neural_network

from ..backends import to_numpy
from ..equations.activations import activation
from ..equations.losses import HalfPoissonDeviance
from .history import restore
from .settings import activations

_ACTIVATIONS = {activation(name): name for name in ("identity", "logistic", "tanh", "relu")}
_FITTED = (
    "n_features_in_ feature_names_in_ n_outputs_ n_layers_ n_iter_ t_ out_activation_ loss_ loss_curve_ best_loss_ "
    "validation_scores_ best_validation_score_ classes_ _label_binarizer"
).split()
_CHANGES_NO_FIT = ("backend", "precision")


def to_sklearn(estimator: Any) -> Any:
    """A fitted estimator as scikit-learn's own."""
    kind = getattr(sklearn.neural_network, type(estimator).__name__)
    params, known = estimator.get_params(deep=False), kind().get_params(deep=False)
    translated = {name: _translated(estimator, name, params[name]) for name in known}
    lost = [name for name in known if translated[name] != params[name] and name != "activation"]
    standard = type(estimator)().get_params(deep=False)
    lost += [n for n in params if n not in (*known, *_CHANGES_NO_FIT) and params[n] != standard[n]]
    if lost:
        named = ", ".join(f"{name}={params[name]!r}" for name in lost)
        warnings.warn(
            f"scikit-learn's {kind.__name__} has no {named}: the copy predicts the same, but would train differently",
            stacklevel=3,
        )
    copied = _copied(estimator, kind(**translated))
    copied._no_improvement_count = getattr(estimator, "_no_improvement_count", 0)
    if estimator.early_stopping:
        copied._best_coefs, copied._best_intercepts = copied.coefs_, copied.intercepts_
    return copied


def from_sklearn(kind: type, estimator: Any) -> Any:
    """An estimator of this class from a fitted one of scikit-learn's class of the same name."""
    if not isinstance(estimator, getattr(sklearn.neural_network, kind.__name__)) or not hasattr(estimator, "coefs_"):
        raise ValueError(
            f"estimator is {estimator!r}; {kind.__name__}.from_sklearn takes a fitted sklearn.neural_network."
            f"{kind.__name__}"
        )
    copied = _copied(estimator, kind(**estimator.get_params(deep=False)))
    restore(vars(copied), copied.tol, getattr(estimator, "_no_improvement_count", 0))
    return copied


def _translated(estimator: Any, name: str, value: Any) -> Any:
    """The parameter for scikit-learn's class; a value that it does not allow becomes its default."""
    if name == "activation":
        return _one_activation(estimator)
    if name == "solver":
        return "adam" if value == "adamw" else value
    if name == "loss":
        loss = estimator._targets.loss(estimator.n_outputs_)
        return "poisson" if isinstance(loss, HalfPoissonDeviance) else "squared_error"
    return "constant" if name == "learning_rate" and not isinstance(value, str) else value


def _one_activation(estimator: Any) -> str:
    """scikit-learn's name for the activation of all hidden layers."""
    found = {_ACTIVATIONS.get(f) for f in activations(estimator, len(estimator.coefs_) - 1)}
    if len(found) != 1 or None in found:
        raise ValueError(
            f"activation is {estimator.activation!r}; scikit-learn has one for all hidden layers, of "
            f"{', '.join(map(repr, _ACTIVATIONS.values()))}: save the model with xpnet.save instead"
        )
    return found.pop() or ""


def _copied(source: Any, target: Any) -> Any:
    """The target, fitted as the source is."""
    for name in _FITTED:
        if hasattr(source, name):
            value = getattr(source, name)
            setattr(target, name, list(value) if isinstance(value, list) else value)
    target.coefs_, target.intercepts_ = (
        [np.array(to_numpy(a)) for a in arrays] for arrays in (source.coefs_, source.intercepts_)
    )
    return target
