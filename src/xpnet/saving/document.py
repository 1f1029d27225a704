"""A model's parts as a JSON document and tensors, and back."""

import dataclasses
import math
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer, StandardScaler

from ..backends import to_numpy
from ..equations import activations, losses, schedules
from ..estimators import MLPClassifier, MLPRegressor
from ..estimators.history import RECORDS, restore
from ..estimators.settings import hidden_sizes
from .parts import Parts

_CLASSES: dict[str, Any] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
_OBJECTS: dict[str, Any] = {
    name: kind
    for module in (activations, losses, schedules)
    for name, kind in vars(module).items()
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind.__module__ == module.__name__
}
"""What a parameter may hold beside numbers, text and lists of them: the package's own settings, and nothing else."""
_FACTS = (
    "n_features_in_ n_outputs_ n_layers_ out_activation_ n_iter_ t_ loss_ loss_curve_ best_loss_ validation_scores_ "
    "best_validation_score_ validation_loss_curve_ _course "
    "_no_improvement_count"
).split()


# --- out


def describe_parts(parts: Parts) -> dict[str, Any]:
    """Everything but the arrays, in JSON's types."""
    mlp = parts.mlp
    params = mlp.get_params(deep=False)
    if not isinstance(params["random_state"], int | np.integer):
        params["random_state"] = None
    return {
        "class": type(mlp).__name__,
        "params": {name: _encode(value, f"the parameter {name}") for name, value in params.items()},
        "facts": {name: _encode(_fact(mlp, name), name) for name in _FACTS if hasattr(mlp, name)},
        "labels": _describe_labels(mlp.classes_) if hasattr(mlp, "classes_") else None,
        "multilabel": bool(getattr(mlp, "_multilabel", False)),
        "features": _describe_scaler(parts.features),
        "target": _describe_scaler(parts.target),
        "feature_names": _names(mlp if parts.features is None else parts.features),
        "steps": list(parts.steps),
        "target_ndim": parts.target_ndim,
    }


def _fact(mlp: Any, name: str) -> Any:
    """The attribute; but not how long an epoch took: equal models make equal files."""
    value = getattr(mlp, name)
    return value if name != "_course" else {**value, "seconds": [None] * len(value["seconds"])}


def _names(part: Any) -> list[str] | None:
    return [str(name) for name in part.feature_names_in_] if hasattr(part, "feature_names_in_") else None


def _describe_scaler(scaler: Any) -> dict[str, Any] | None:
    if scaler is None:
        return None
    seen = np.asarray(scaler.n_samples_seen_).tolist()
    return {"params": scaler.get_params(), "n_samples_seen": seen, "n_features": int(scaler.n_features_in_)}


def _describe_labels(labels: np.ndarray) -> dict[str, Any]:
    values = labels.tolist()
    if not all(isinstance(value, bool | int | float | str) for value in values) or labels.dtype.kind not in "biufUO":
        raise ValueError(
            f"the labels have dtype {labels.dtype}, such as {values[0]!r}; a model file holds labels that are bool, "
            "int, float or str: fit on y.astype(str), or on numbers"
        )
    return {"values": values, "dtype": "object" if labels.dtype.kind == "O" else labels.dtype.str}


def _encode(value: Any, what: str) -> Any:
    """In JSON's types; what JSON doesn't know is an object with a name for its kind.

    {"tuple": [...]}, {"float": "inf"}, {"dict": [[key, value], ...]}, {"object": "ELU", "settings": {...}}.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = tuple(value.tolist())
    if isinstance(value, list | tuple):
        items = [_encode(item, what) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, dict):
        return {"dict": [[_encode(k, what), _encode(v, what)] for k, v in value.items()]}
    if type(value) in _OBJECTS.values():
        settings = {field.name: _encode(getattr(value, field.name), what) for field in dataclasses.fields(value)}
        return {"object": type(value).__name__, "settings": settings}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{what} is {value!r}; a model file holds numbers, text, None and lists of them: set it to such")


def decode(item: dict[str, Any]) -> Any:
    """The inverse of ``_encode``, for each JSON object (json.loads' ``object_hook``)."""
    kinds = tuple(item)
    if kinds == ("tuple",):
        return tuple(item["tuple"])
    if kinds == ("float",):
        return float(item["float"])
    if kinds == ("dict",):
        return dict(map(tuple, item["dict"]))
    return _OBJECTS[item["object"]](**item["settings"]) if kinds == ("object", "settings") else item


def tensors_of(parts: Parts) -> dict[str, np.ndarray]:
    """The arrays, on the host, float32 or float64."""
    tensors: dict[str, Any] = {}
    for k, (W, b) in enumerate(zip(parts.mlp.coefs_, parts.mlp.intercepts_, strict=True)):
        tensors[f"coefs.{k}"], tensors[f"intercepts.{k}"] = W, b
    for name, scaler in (("features", parts.features), ("target", parts.target)):
        if scaler is not None:
            tensors |= {f"{name}.{kind}": getattr(scaler, place) for kind, place in _learned(scaler)}
    return {name: _plain(to_numpy(a)) for name, a in tensors.items()}


def _plain(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a, dtype=np.float32 if a.dtype == np.float32 else np.float64)


def _learned(scaler: Any) -> list[tuple[str, str]]:
    """The tensors of a StandardScaler with these parameters, and its attributes for them."""
    mean = [("mean", "mean_")] if scaler.with_mean or scaler.with_std else []
    return mean + ([("scale", "scale_"), ("variance", "var_")] if scaler.with_std else [])


# --- in


def rebuild(document: dict[str, Any], tensors: dict[str, np.ndarray]) -> Parts:
    """The inverse of ``describe_parts`` and ``tensors_of``; KeyError, TypeError or ValueError where that can't be."""
    mlp = _CLASSES[document["class"]](**document["params"])
    facts = document["facts"]
    for name in _FACTS:
        if name in facts or name not in ("loss_", "_no_improvement_count", *RECORDS):
            setattr(mlp, name, facts[name])
    restore(vars(mlp), mlp.tol, facts.get("_no_improvement_count", 0))
    if document["labels"] is not None:
        mlp.classes_ = np.asarray(document["labels"]["values"], dtype=np.dtype(document["labels"]["dtype"]))
        seen = np.eye(len(mlp.classes_), dtype=np.int64) if document["multilabel"] else mlp.classes_
        mlp._label_binarizer = LabelBinarizer().fit(seen)
    layers = range(len(hidden_sizes(mlp.hidden_layer_sizes)) + 1)
    mlp.coefs_, mlp.intercepts_ = (
        [_tensor(tensors, f"{kind}.{k}") for k in layers] for kind in ("coefs", "intercepts")
    )
    features, target = (_scaler(document[name], name, tensors) for name in ("features", "target"))
    if document["feature_names"] is not None:
        named = mlp if features is None else features
        named.feature_names_in_ = np.asarray(document["feature_names"], dtype=object)
    return Parts(mlp, features, target, tuple(document["steps"]), int(document["target_ndim"]))


def _scaler(document: dict[str, Any] | None, name: str, tensors: dict[str, np.ndarray]) -> Any:
    if document is None:
        return None
    scaler = StandardScaler(**document["params"])
    scaler.mean_ = scaler.scale_ = scaler.var_ = None
    scaler.n_features_in_ = int(document["n_features"])
    scaler.n_samples_seen_ = np.asarray(document["n_samples_seen"])[()]
    for kind, place in _learned(scaler):
        setattr(scaler, place, _tensor(tensors, f"{name}.{kind}"))
    return scaler


def _tensor(tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
    a = tensors.get(name)
    if a is None:
        raise ValueError(f"it lacks the tensor {name!r}")
    if a.dtype not in (np.float32, np.float64):
        raise ValueError(f"its tensor {name!r} has dtype {a.dtype}, and float32 or float64 is needed")
    return a
