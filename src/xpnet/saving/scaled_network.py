"""The kinds of models that a file can hold: a network, alone or with scalers of its features and its target."""

import operator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from ..backends import to_numpy
from ..estimators import MLPClassifier, MLPRegressor

_KINDS = (
    [MLPClassifier],
    [MLPRegressor],
    [Pipeline, StandardScaler, MLPClassifier],
    [Pipeline, StandardScaler, MLPRegressor],
    [TransformedTargetRegressor, StandardScaler, Pipeline, StandardScaler, MLPRegressor],
)
_IN_WORDS = (
    "an xpnet MLPClassifier or MLPRegressor, a Pipeline of StandardScaler and one of them, or a "
    "TransformedTargetRegressor of such a Pipeline for regression and transformer=StandardScaler()"
)
LEARNED = {"mean": "mean_", "scale": "scale_", "variance": "var_"}
"""The names of a scaler's tensors, and the attributes of a StandardScaler that hold them or are None."""


@dataclass(frozen=True)
class ScaledNetwork:
    """A network, and the scalers around it if there are any."""

    mlp: Any
    features: Any = None  # StandardScaler of the features
    target: Any = None  # StandardScaler of the target
    steps: tuple[str, ...] = ("standardscaler", "mlp")  # the names of a pipeline's steps
    target_ndim: int = 1

    @property
    def scalers(self) -> dict[str, Any]:
        """The scalers that there are."""
        scalers = {"features": self.features, "target": self.target}
        return {name: scaler for name, scaler in scalers.items() if scaler is not None}

    def arrays(self) -> dict[str, np.ndarray]:
        """The learned arrays of the network and the scalers, on the host, by the names of a file's tensors."""
        layers = range(len(self.mlp.coefs_))
        found = {f"coefs.{k}": self.mlp.coefs_[k] for k in layers}
        found |= {f"intercepts.{k}": self.mlp.intercepts_[k] for k in layers}
        for name, scaler in self.scalers.items():
            found |= {f"{name}.{kind}": getattr(scaler, place) for kind, place in LEARNED.items()}
        return {name: to_numpy(a) for name, a in found.items() if a is not None}


def take_apart(model: Any) -> ScaledNetwork:
    """The network and the scalers of a fitted model of one of the allowed kinds."""
    mlp, features, target, steps, ndim = model, None, None, ScaledNetwork.steps, 1
    kinds: list[type] = []
    if type(mlp) is TransformedTargetRegressor:  # before fit it has templates alone
        target, ndim = getattr(mlp, "transformer_", mlp.transformer), getattr(mlp, "_training_dim", 1)
        mlp = getattr(mlp, "regressor_", mlp.regressor)
        kinds += [TransformedTargetRegressor, type(target)]
    if type(mlp) is Pipeline and len(mlp.steps) == 2:
        steps = tuple(name for name, _ in mlp.steps)
        features, mlp = (step for _, step in mlp.steps)
        kinds += [Pipeline, type(features)]
    if [*kinds, type(mlp)] not in _KINDS:
        raise ValueError(f"model is {_named(model)}, which a model file can't hold; allowed: {_IN_WORDS}")
    network = ScaledNetwork(mlp, features, target, steps, ndim)
    if not hasattr(mlp, "coefs_") or not all(hasattr(s, "n_samples_seen_") for s in network.scalers.values()):
        raise NotFittedError(f"this {type(model).__name__} is not fitted, so there is nothing to save: call fit first")
    return network


def _named(model: Any) -> str:
    """The model in words; scikit-learn's estimators may have the names of ours."""
    if type(model) is Pipeline:
        return f"a Pipeline of {', '.join(_named(step) for _, step in model.steps)}"
    if type(model) is TransformedTargetRegressor:
        return f"a TransformedTargetRegressor of {_named(model.regressor)} and {_named(model.transformer)}"
    kind = type(model)
    return repr(model) if model is None else f"{kind.__module__.split('.')[0]}'s {kind.__name__}"


def put_together(network: ScaledNetwork) -> Any:
    """The fitted model that is made of these; the inverse of ``take_apart``."""
    if network.features is None:
        return network.mlp
    pipeline = Pipeline(list(zip(network.steps, (network.features, network.mlp), strict=True)))
    if network.target is None:
        return pipeline
    model = TransformedTargetRegressor(regressor=clone(pipeline), transformer=clone(network.target))
    model.regressor_, model.transformer_, model._training_dim = pipeline, network.target, network.target_ndim
    if hasattr(pipeline, "feature_names_in_"):
        model.feature_names_in_ = pipeline.feature_names_in_
    return model


def is_multilabel(mlp: Any) -> bool:
    """Whether a sample may have several labels: a probability for each of them."""
    return mlp.n_outputs_ > 1 and mlp.out_activation_ == "logistic"


def check(network: ScaledNetwork, what_fails: str) -> None:
    """Raise if the arrays, parameters, labels and scalers don't fit together, or hold NaN or infinity."""
    mlp, hidden = network.mlp, network.mlp.hidden_layer_sizes
    try:
        mlp._validate_params()
        widths = [operator.index(n) for n in (hidden if np.iterable(hidden) else [hidden])]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what_fails}: {error}") from error
    sizes = [mlp.n_features_in_, *widths, mlp.n_outputs_]
    shapes = list(pairwise(sizes))
    if not len(mlp.coefs_) == len(mlp.intercepts_) == len(shapes):
        raise ValueError(
            f"{what_fails}: hidden_layer_sizes={hidden!r} needs {len(shapes)} coefs_ and intercepts_, "
            f"and there are {len(mlp.coefs_)} and {len(mlp.intercepts_)}"
        )
    needed: dict[str, tuple] = {f"coefs.{k}": shape for k, shape in enumerate(shapes)}
    needed |= {f"intercepts.{k}": shape[1:] for k, shape in enumerate(shapes)}
    needed |= {f"features.{kind}": (sizes[0],) for kind in LEARNED}
    needed |= {f"target.{kind}": (sizes[-1],) for kind in LEARNED}
    for name, a in network.arrays().items():
        if a.shape != needed[name]:
            raise ValueError(
                f"{what_fails}: the array {name} has shape {a.shape}, and the network needs {needed[name]}"
            )
        if a.dtype.kind not in "fiu":
            raise ValueError(f"{what_fails}: the array {name} has dtype {a.dtype}; float32 or float64 is needed")
        if not np.isfinite(a).all():
            raise ValueError(f"{what_fails}: the array {name} holds NaN or infinity: train again")
    n_classes = len(mlp.classes_) if hasattr(mlp, "classes_") else None
    if n_classes is not None and mlp.n_outputs_ != (1 if n_classes == 2 and not is_multilabel(mlp) else n_classes):
        raise ValueError(f"{what_fails}: {n_classes} classes don't fit {mlp.n_outputs_} outputs")
