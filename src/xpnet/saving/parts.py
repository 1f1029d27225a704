"""The kinds of models that a file can hold, taken apart and put together."""

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
from ..estimators.settings import hidden_sizes

_ALLOWED = (
    "an xpnet MLPClassifier or MLPRegressor, a Pipeline of StandardScaler and one of them, or a "
    "TransformedTargetRegressor of such a Pipeline for regression and transformer=StandardScaler()"
)


@dataclass(frozen=True)
class Parts:
    """What a model is made of: the network, the scalers of features and target if any, and the steps' names."""

    mlp: Any
    features: Any = None
    target: Any = None
    steps: tuple[str, ...] = ("standardscaler", "mlp")
    target_ndim: int = 1


def take_apart(model: Any) -> Parts:
    """The parts of a fitted model of one of the allowed kinds."""
    parts, wanted = Parts(model), model
    if type(model) is TransformedTargetRegressor:
        wanted = getattr(model, "regressor_", model.regressor)
        transformer = getattr(model, "transformer_", model.transformer)
        parts = Parts(wanted, target=transformer, target_ndim=getattr(model, "_training_dim", 1))
    if type(wanted) is Pipeline and len(wanted.steps) == 2:
        (first, features), (last, mlp) = wanted.steps
        parts = Parts(mlp, features, parts.target, (first, last), parts.target_ndim)
    has_target = type(model) is TransformedTargetRegressor
    scalers = [parts.features] * (wanted is not parts.mlp) + [parts.target] * has_target
    if (
        type(parts.mlp) not in ((MLPRegressor,) if has_target else (MLPClassifier, MLPRegressor))
        or any(type(scaler) is not StandardScaler for scaler in scalers)
        or (has_target and wanted is parts.mlp)
    ):
        raise ValueError(f"model is {_named(model)}, which a model file can't hold; allowed: {_ALLOWED}")
    fitted = [hasattr(parts.mlp, "coefs_"), *(hasattr(scaler, "n_samples_seen_") for scaler in scalers)]
    if not all(fitted):
        raise NotFittedError(f"this {type(model).__name__} is not fitted, so there is nothing to save: call fit first")
    return parts


def _named(model: Any) -> str:
    """The model in words; scikit-learn's estimators may bear the names of ours."""
    if type(model) is Pipeline:
        return f"a Pipeline of {', '.join(_named(step) for _, step in model.steps)}"
    if type(model) is TransformedTargetRegressor:
        return f"a TransformedTargetRegressor of {_named(model.regressor)} and {_named(model.transformer)}"
    kind = type(model)
    return repr(model) if model is None else f"{kind.__module__.split('.')[0]}'s {kind.__name__}"


def put_together(parts: Parts) -> Any:
    """The fitted model made of these parts; the inverse of ``take_apart``."""
    if parts.features is None:
        return parts.mlp
    pipeline = Pipeline(list(zip(parts.steps, (parts.features, parts.mlp), strict=True)))
    if parts.target is None:
        return pipeline
    model = TransformedTargetRegressor(regressor=clone(pipeline), transformer=clone(parts.target))
    model.regressor_, model.transformer_, model._training_dim = pipeline, parts.target, parts.target_ndim
    if hasattr(pipeline, "feature_names_in_"):
        model.feature_names_in_ = pipeline.feature_names_in_
    return model


def check(parts: Parts, what_fails: str) -> None:
    """Raise where the parts don't fit together: shapes, dtypes, finiteness, numbers of features and classes."""
    mlp = parts.mlp
    try:
        mlp._validate_params()
    except ValueError as error:
        raise ValueError(f"{what_fails}: {error}") from error
    sizes = [mlp.n_features_in_, *hidden_sizes(mlp.hidden_layer_sizes), mlp.n_outputs_]
    shapes = list(pairwise(sizes))
    if not len(mlp.coefs_) == len(mlp.intercepts_) == len(shapes):
        raise ValueError(
            f"{what_fails}: hidden_layer_sizes={mlp.hidden_layer_sizes!r} needs {len(shapes)} coefs_ and intercepts_, "
            f"and there are {len(mlp.coefs_)} and {len(mlp.intercepts_)}"
        )
    wanted: list[tuple[str, Any, tuple]] = [(f"coefs.{k}", mlp.coefs_[k], shape) for k, shape in enumerate(shapes)]
    wanted += [(f"intercepts.{k}", mlp.intercepts_[k], shape[1:]) for k, shape in enumerate(shapes)]
    for name, scaler, size in (("features", parts.features, sizes[0]), ("target", parts.target, sizes[-1])):
        if scaler is not None:
            learned = [(place, getattr(scaler, place)) for place in ("mean_", "scale_", "var_")]
            wanted += [(f"{name}.{place}", a, (size,)) for place, a in learned if a is not None]
    for name, a, shape in wanted:
        _check_array(name, to_numpy(a), shape, what_fails)
    n_classes = len(mlp.classes_) if hasattr(mlp, "classes_") else None
    if n_classes is not None and mlp.n_outputs_ != (1 if n_classes == 2 and not mlp._multilabel else n_classes):
        raise ValueError(f"{what_fails}: {n_classes} classes don't fit {mlp.n_outputs_} outputs")


def _check_array(name: str, a: np.ndarray, shape: tuple[int, ...], what_fails: str) -> None:
    if a.shape != shape:
        raise ValueError(f"{what_fails}: the array {name} has shape {a.shape}, and the network needs {shape}")
    if a.dtype.kind not in "fiu":
        raise ValueError(f"{what_fails}: the array {name} has dtype {a.dtype}; float32 or float64 is needed")
    if not np.isfinite(a).all():
        raise ValueError(f"{what_fails}: the array {name} holds NaN or infinity: train again")
