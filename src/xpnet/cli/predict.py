"""``xpnet predict``: a model and a table in; predictions as CSV out."""

import argparse
import os
import sys
from typing import Any

import numpy as np
import pandas as pd

from ..saving import describe, load, write_file
from .backend_choice import computing_on
from .console import note
from .output_files import output_file
from .saved_model_data import samples
from .scores import accuracy
from .task import as_labels


def run(args: argparse.Namespace) -> int:
    """Run the command; a ValueError says what is wrong with its arguments or files."""
    if args.out is not None:
        output_file("--out", args.out, ".csv", "predictions are written as .csv: add the ending, or leave it out")
        if os.path.realpath(args.out) == os.path.realpath(args.data):
            raise ValueError(f"--out is {args.out!r}, the file that is read: give another path")
    with computing_on(args.backend):
        document, model = describe(args.model), load(args.model, args.backend)
        if args.proba and document["labels"] is None:
            raise ValueError("--proba needs a classifier, and this model is for regression: leave it out")
        X, y = samples(args.data, model, document)
        if args.data == "digits":
            note("a model of 'train digits' has seen most of these scans; its held-out accuracy speaks of others")
        text = _predictions(model, X, document, args.proba).to_csv(index=False, lineterminator="\n")
        score = _score(model, X, y) if y is not None else None
    if args.out is None:
        print(text, end="", flush=True)
    else:
        write_file(args.out, text.encode())
        note(f"wrote {len(X)} predictions to {args.out}")
    if score is not None:
        print(score, file=sys.stderr)
    return 0


def _predictions(model: Any, X: Any, document: dict[str, Any], proba: bool) -> pd.DataFrame:
    """A column for each target, and one for the probability of each class if asked for."""
    predicted = model.predict(X)
    rows = predicted.reshape(len(predicted), -1)
    names = document.get("target_names") or []
    if len(names) != rows.shape[1]:
        names = [f"prediction_{i}" for i in range(rows.shape[1])] if rows.shape[1] > 1 else ["prediction"]
    columns = dict(zip(names, rows.T, strict=True))
    if proba:
        labels = names if document["multilabel"] else document["labels"]["values"]
        columns |= {f"p({label})": P for label, P in zip(labels, model.predict_proba(X).T, strict=True)}
    return pd.DataFrame(columns)


def _score(model: Any, X: Any, y: np.ndarray) -> str | None:
    """The score as a line; a note if this target can't be compared."""
    try:
        if pd.isna(y).any():
            raise ValueError("the target has missing values")
        if not hasattr(model, "classes_"):
            return f"R^2 {model.score(X, y.astype(np.float64)):.4f}"
        predicted, y = model.predict(X), as_labels(y, "the target")
        if predicted.shape != y.shape or (predicted.dtype.kind in "UO") != (y.dtype.kind in "UO"):
            raise ValueError(
                f"the target is {y.dtype} of shape {y.shape}, predicted is {predicted.dtype} of shape {predicted.shape}"
            )
    except ValueError as error:
        note(f"no score: {error}")
        return None
    return accuracy(predicted, y)
