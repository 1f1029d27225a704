"""``xpnet predict``: a model and a table in; predictions as CSV out."""

import argparse
import os
import sys
from typing import Any

import numpy as np
import pandas as pd

from ..saving import check_place, describe, load, write_file
from .console import computing_on, listed, note
from .data import as_labels, digits, is_table, matrix, numbers, read_arrays, read_table


def run(args: argparse.Namespace) -> int:
    """The whole command; errors are ValueErrors that explain themselves."""
    _check_out(args)
    with computing_on(args.backend):
        document = describe(args.model)
        model = load(args.model, args.backend)
        if args.proba and document["labels"] is None:
            raise ValueError("--proba needs a classifier, and this model is for regression: leave it out")
        X, y = samples(args.data, model, document)
        if args.data == "digits":
            note("a model of 'train digits' has seen most of these scans; its held-out accuracy speaks of others")
        text = pd.DataFrame(_columns(model, X, document, args.proba)).to_csv(index=False, lineterminator="\n")
        score = _score(model, X, y) if y is not None else None
    if args.out is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_file(args.out, text.encode())
        note(f"wrote {len(X)} predictions to {args.out}")
    if score is not None:
        print(score, file=sys.stderr)
    return 0


def _check_out(args: argparse.Namespace) -> None:
    if args.out is None:
        return
    if not args.out.lower().endswith(".csv"):
        raise ValueError(f"--out is {args.out!r}, and predictions are written as .csv: add the ending, or leave it out")
    if os.path.realpath(args.out) == os.path.realpath(args.data):
        raise ValueError(f"--out is {args.out!r}, the file that is read: give another path")
    check_place(args.out)


# --- in


def samples(path: str, model: Any, document: dict[str, Any], target: str | None = None) -> tuple[Any, Any]:
    """The features as the model wants them, and the target, by its name or by the model's, where the file has it."""
    targets = [target] if target is not None else document.get("target_names") or []
    if path == "digits":
        if target is not None:
            raise ValueError("--target is for files; 'digits' knows its target: leave it out")
        data = digits()
        X, y = data.X, data.y
    elif is_table(path):
        table = read_table(path)
        known = getattr(model, "feature_names_in_", None)
        X = _by_name(table, list(known), targets, path) if known is not None else _by_place(table, model, targets, path)
        y = table[targets].to_numpy() if targets and set(targets) <= set(table.columns) else None
    else:
        arrays = read_arrays(path)
        X = matrix(arrays, path)
        # train numbers the columns of an array y: y_0, y_1, ...
        name = targets[0] if len(targets) == 1 else targets[0].removesuffix("_0") if targets else "y"
        y = arrays.get(name)
    if y is not None and y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    _check_count(X, model, path)
    if not hasattr(X, "columns") and hasattr(model, "feature_names_in_"):
        X = pd.DataFrame(X, columns=model.feature_names_in_)  # an array's columns are taken in the model's order
    return X, y


def _check_count(X: Any, model: Any, path: str) -> None:
    if X.shape[1] != model.n_features_in_:
        raise ValueError(
            f"{path!r} has {X.shape[1]} features and the model was trained on {model.n_features_in_}: give the same "
            "ones, in the same order"
        )


def _by_name(table: pd.DataFrame, known: list[str], targets: list[str], path: str) -> pd.DataFrame:
    """The model's columns, in the model's order; the rest is left out."""
    missing = [name for name in known if name not in table.columns]
    if missing:
        raise ValueError(
            f"{path!r} lacks the columns {listed(missing)} that the model was trained on; it has: "
            f"{listed(table.columns)}"
        )
    extra = [name for name in table.columns if name not in known and name not in targets]
    if extra:
        note(f"left out the columns {listed(extra)}: the model was not trained on them")
    return numbers(table[known], path, "")


def _by_place(table: pd.DataFrame, model: Any, targets: list[str], path: str) -> np.ndarray:
    features = table.drop(columns=[name for name in targets if name in table.columns])
    _check_count(features, model, path)
    return numbers(features, path, "").to_numpy()


# --- out


def _columns(model: Any, X: Any, document: dict[str, Any], proba: bool) -> dict[str, Any]:
    """The columns of the answer by name."""
    predicted = model.predict(X)
    rows = predicted.reshape(len(predicted), -1)
    names = document.get("target_names") or []
    if len(names) != rows.shape[1]:
        names = [f"prediction_{i}" for i in range(rows.shape[1])] if rows.shape[1] > 1 else ["prediction"]
    columns = {name: rows[:, i] for i, name in enumerate(names)}
    if proba:
        labels = names if document["multilabel"] else document["labels"]["values"]
        columns |= {f"p({label})": P for label, P in zip(labels, model.predict_proba(X).T, strict=True)}
    return columns


def _score(model: Any, X: Any, y: np.ndarray) -> str | None:
    """The score as a line; a note where this target can't be compared."""
    try:
        if (y.dtype.kind not in "iufb" and pd.isna(y.ravel()).any()) or (y.dtype.kind == "f" and np.isnan(y).any()):
            raise ValueError("the target has missing values")
        if not hasattr(model, "classes_"):
            return f"R^2 {model.score(X, y.astype(np.float64)):.4f}"
        predicted, y = model.predict(X), as_labels(y, "the target")
        if predicted.shape != y.shape or (predicted.dtype.kind in "UO") != (y.dtype.kind in "UO"):
            raise ValueError(
                f"the target is {y.dtype} of shape {y.shape}, the answer {predicted.dtype} of shape {predicted.shape}"
            )
    except ValueError as error:
        note(f"no score: {error}")
        return None
    right = (predicted == y).reshape(len(y), -1).all(axis=1)
    return f"accuracy {100 * right.mean():.2f} % ({right.sum()} of {len(y)} right)"
