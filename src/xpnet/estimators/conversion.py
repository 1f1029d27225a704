"""To scikit-learn's estimators and from them: the same predictions, from copies of the coefficients."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn.neural_network
from sklearn.utils.validation import check_is_fitted

from ..backends import to_numpy
from ..equations.activations import activation
from ..equations.losses import HalfPoissonDeviance

_ACTIVATIONS = {activation(name): name for name in ("identity", "logistic", "tanh", "relu")}
_FITTED = (
    "n_features_in_ feature_names_in_ n_outputs_ n_layers_ n_iter_ t_ out_activation_ loss_ loss_curve_ best_loss_ "
    "validation_scores_ best_validation_score_ classes_ _label_binarizer"
).split()
_OF_NO_CONSEQUENCE = ("backend", "precision")


class Conversion:
    """``to_sklearn`` and ``from_sklearn``."""

    early_stopping: bool
    _restore_records: Callable[[int], None]

    def to_sklearn(self) -> Any:
        """scikit-learn's own estimator, fitted: it predicts the same within 1e-12, on the host.

        Parameters that scikit-learn lacks are left out, with a warning that names them: they change a fit, not a
        prediction. The optimiser's slots stay behind.

        Raises
        ------
        ValueError
            A hidden layer's activation is one that scikit-learn does not have.
        """
        check_is_fitted(self)
        kind = getattr(sklearn.neural_network, type(self).__name__)
        params, known = _given(self), kind().get_params(deep=False)
        translated = {name: _translated(self, name, params[name]) for name in known}
        lost = [name for name in known if translated[name] != params[name] and name != "activation"]
        standard = _given(type(self)())
        lost += [n for n in params if n not in (*known, *_OF_NO_CONSEQUENCE) and params[n] != standard[n]]
        if lost:
            named = ", ".join(f"{name}={params[name]!r}" for name in lost)
            warnings.warn(
                f"scikit-learn's {kind.__name__} has no {named}: the copy predicts the same, and would train otherwise",
                stacklevel=2,
            )
        copied = _copied(self, kind(**translated))
        copied._no_improvement_count = getattr(self, "_no_improvement_count", 0)
        if self.early_stopping:
            copied._best_coefs, copied._best_intercepts = copied.coefs_, copied.intercepts_
        return copied

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Any:
        """This estimator with the parameters and coefficients of a fitted one of scikit-learn's.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            Fitted.
        """
        kind = getattr(sklearn.neural_network, cls.__name__)
        if not isinstance(estimator, kind) or not hasattr(estimator, "coefs_"):
            raise ValueError(
                f"estimator is {estimator!r}; {cls.__name__}.from_sklearn takes a fitted sklearn.neural_network."
                f"{cls.__name__}"
            )
        copied = _copied(estimator, cls(**_given(estimator)))
        copied._restore_records(getattr(estimator, "_no_improvement_count", 0))
        return copied


def _given(estimator: Any) -> dict[str, Any]:
    return estimator.get_params(deep=False)


def _translated(mlp: Any, name: str, value: Any) -> Any:
    """The parameter in scikit-learn's terms; what it has no word for becomes its default."""
    if name == "activation":
        return _one_activation(mlp)
    if name == "solver":
        return "adam" if value == "adamw" else value
    if name == "loss":
        is_poisson = isinstance(mlp._loss(), HalfPoissonDeviance)
        return "poisson" if is_poisson else "squared_error"
    return "constant" if name == "learning_rate" and not isinstance(value, str) else value


def _one_activation(mlp: Any) -> str:
    """scikit-learn's name for the activation of all hidden layers."""
    found = {_ACTIVATIONS.get(f) for f in mlp._activations()}
    if len(found) != 1 or None in found:
        raise ValueError(
            f"activation is {mlp.activation!r}; scikit-learn has one for all hidden layers, of "
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
