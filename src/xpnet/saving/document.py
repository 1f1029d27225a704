"""A network and its scalers as a JSON document beside their arrays, and back."""

from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer, StandardScaler

from ..estimators import MLPClassifier, MLPRegressor
from ..estimators.history import restore
from .header import encoded
from .scaled_network import LEARNED, ScaledNetwork, is_multilabel

_CLASSES: dict[str, Any] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
_NEEDED = "n_features_in_", "n_outputs_", "n_layers_", "out_activation_", "n_iter_", "t_"
_RECORDED = (
    "loss_ loss_curve_ best_loss_ validation_scores_ best_validation_score_ validation_loss_curve_ _course "
    "_no_improvement_count"
).split()
"""Attributes that training records, which a model that was made elsewhere may lack."""


def to_document(network: ScaledNetwork) -> dict[str, Any]:
    """Everything but the arrays, in JSON's types."""
    mlp = network.mlp
    params = mlp.get_params(deep=False)
    if not isinstance(params["random_state"], int | np.integer):
        params["random_state"] = None
    facts = {name: getattr(mlp, name) for name in (*_NEEDED, *_RECORDED) if hasattr(mlp, name)}
    if "_course" in facts:  # how long an epoch took is left out: equal models make equal files
        facts["_course"] = facts["_course"] | {"seconds": [None] * len(facts["_course"]["seconds"])}
    named = mlp if network.features is None else network.features
    return {
        "class": type(mlp).__name__,
        "params": {name: encoded(value, f"the parameter {name}") for name, value in params.items()},
        "facts": {name: encoded(value, name) for name, value in facts.items()},
        "labels": _described_labels(mlp.classes_) if hasattr(mlp, "classes_") else None,
        "multilabel": is_multilabel(mlp),
        "features": _described_scaler(network.features),
        "target": _described_scaler(network.target),
        "feature_names": list(map(str, named.feature_names_in_)) if hasattr(named, "feature_names_in_") else None,
        "steps": list(network.steps),
        "target_ndim": network.target_ndim,
    }


def _described_scaler(scaler: Any) -> dict[str, Any] | None:
    if scaler is None:
        return None
    seen = np.asarray(scaler.n_samples_seen_).tolist()
    return {"params": scaler.get_params(), "n_samples_seen": seen, "n_features": int(scaler.n_features_in_)}


def _described_labels(labels: np.ndarray) -> dict[str, Any]:
    values = labels.tolist()
    if not all(isinstance(value, bool | int | float | str) for value in values) or labels.dtype.kind not in "biufUO":
        raise ValueError(
            f"the labels have dtype {labels.dtype}, such as {values[0]!r}; a model file holds labels that are bool, "
            "int, float or str: fit on y.astype(str), or on numbers"
        )
    return {"values": values, "dtype": "object" if labels.dtype.kind == "O" else labels.dtype.str}


def rebuilt(document: dict[str, Any], tensors: dict[str, np.ndarray]) -> ScaledNetwork:
    """The network of a document and its tensors; KeyError, TypeError or ValueError if they hold none."""
    mlp, facts = _CLASSES[document["class"]](**document["params"]), document["facts"]
    for name in (*_NEEDED, *(name for name in _RECORDED if name in facts)):
        setattr(mlp, name, facts[name])
    restore(vars(mlp), mlp.tol, facts.get("_no_improvement_count", 0))
    if document["labels"] is not None:
        mlp.classes_ = np.asarray(document["labels"]["values"], dtype=np.dtype(document["labels"]["dtype"]))
        seen = np.eye(len(mlp.classes_), dtype=np.int64) if is_multilabel(mlp) else mlp.classes_
        mlp._label_binarizer = LabelBinarizer().fit(seen)
    layers = range(mlp.n_layers_ - 1)
    mlp.coefs_ = [_tensor(tensors, f"coefs.{k}") for k in layers]
    mlp.intercepts_ = [_tensor(tensors, f"intercepts.{k}") for k in layers]
    features, target = (_rebuilt_scaler(document[name], name, tensors) for name in ("features", "target"))
    if document["feature_names"] is not None:
        named = mlp if features is None else features
        named.feature_names_in_ = np.asarray(document["feature_names"], dtype=object)
    return ScaledNetwork(mlp, features, target, tuple(document["steps"]), int(document["target_ndim"]))


def _rebuilt_scaler(document: dict[str, Any] | None, name: str, tensors: dict[str, np.ndarray]) -> Any:
    if document is None:
        return None
    scaler = StandardScaler(**document["params"])
    scaler.n_features_in_ = int(document["n_features"])
    scaler.n_samples_seen_ = np.asarray(document["n_samples_seen"])[()]
    is_learned = {"mean": scaler.with_mean or scaler.with_std, "scale": scaler.with_std, "variance": scaler.with_std}
    for kind, place in LEARNED.items():
        setattr(scaler, place, _tensor(tensors, f"{name}.{kind}") if is_learned[kind] else None)
    return scaler


def _tensor(tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
    a = tensors.get(name)
    if a is None:
        raise ValueError(f"it lacks the tensor {name!r}")
    if a.dtype not in (np.float32, np.float64):
        raise ValueError(f"its tensor {name!r} has dtype {a.dtype}, and float32 or float64 is needed")
    return a
