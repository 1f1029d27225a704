"""The samples that a saved model is applied to: columns are found by the names that it was trained on."""

import argparse
from typing import Any

import numpy as np
import pandas as pd

from ..saving import describe, load
from . import npz_files
from .console import listed, note
from .tables import numbers, read_table
from .task import as_labels
from .training_data import digits, is_table


def with_target(args: argparse.Namespace, path: str) -> tuple[Any, Any, np.ndarray]:
    """The model saved at ``path``, the samples of ``args.data``, and the target as the model was trained on it."""
    model, document = load(path, args.backend), describe(path)
    X, y = samples(args.data, model, document, args.target)
    if y is None:
        named = args.target or ", ".join(document.get("target_names") or ["y"])
        raise ValueError(
            f"{args.data!r} lacks the target {named}, which {args.command} needs: add it, or name its column with "
            "--target"
        )
    return model, X, y if document["labels"] is None else as_labels(y, "the target")


def samples(
    path: str, model: Any, document: dict[str, Any], target: str | None = None
) -> tuple[pd.DataFrame | np.ndarray, np.ndarray | None]:
    """The features as the model takes them, and the target, if the file holds it.

    ``document`` is what ``describe`` says of the model; it names the target, if ``target`` does not.
    """
    targets = [target] if target is not None else document.get("target_names") or []
    y: np.ndarray | None
    if path == "digits":
        if target is not None:
            raise ValueError("--target is for files; 'digits' knows its target: leave it out")
        data = digits()
        X, y = data.X, data.y
    elif is_table(path):
        X, y = _from_table(path, model, targets)
    else:
        X, y = _from_arrays(path, targets)
    _check_count(X, model, path)
    if not hasattr(X, "columns") and hasattr(model, "feature_names_in_"):
        X = pd.DataFrame(X, columns=model.feature_names_in_)  # the columns of an array are taken in the model's order
    return X, y if y is None else npz_files.as_vector(y)


def _from_table(path: str, model: Any, targets: list[str]) -> tuple[pd.DataFrame | np.ndarray, np.ndarray | None]:
    table = read_table(path)
    y = table[targets].to_numpy() if targets and set(targets) <= set(table.columns) else None
    features = table.drop(columns=targets, errors="ignore")
    if not hasattr(model, "feature_names_in_"):
        _check_count(features, model, path)
        return numbers(features, path, "").to_numpy(), y
    known = list(model.feature_names_in_)
    missing = [name for name in known if name not in table.columns]
    if missing:
        raise ValueError(
            f"{path!r} lacks the columns {listed(missing)} that the model was trained on; it has: "
            f"{listed(table.columns)}"
        )
    extra = features.columns.difference(known, sort=False)
    if len(extra):
        note(f"left out the columns {listed(extra)}: the model was not trained on them")
    return numbers(table[known], path, ""), y


def _from_arrays(path: str, targets: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    file = npz_files.read_arrays(path)
    # train numbers the columns of an array y: y_0, y_1, ...
    name = targets[0] if len(targets) == 1 else targets[0].removesuffix("_0") if targets else "y"
    return npz_files.features(file, path), file.get(name)


def _check_count(X: Any, model: Any, path: str) -> None:
    if X.shape[1] != model.n_features_in_:
        raise ValueError(
            f"{path!r} has {X.shape[1]} features and the model was trained on {model.n_features_in_}: give the same "
            "ones, in the same order"
        )
