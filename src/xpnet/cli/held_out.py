"""The samples that ``train`` learns from, and those that it holds out for the score."""

import argparse
import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split


class Split(NamedTuple):
    """Samples to train on and samples held out, with their targets."""

    X: pd.DataFrame | np.ndarray
    X_held_out: pd.DataFrame | np.ndarray
    y: np.ndarray
    y_held_out: np.ndarray


def split(X: pd.DataFrame | np.ndarray, y: np.ndarray, name: str, has_labels: bool, args: argparse.Namespace) -> Split:
    """Hold out a share of the samples at random, of every class; an error if there are too few of them."""
    n, classes = len(y), None
    n_held_out = math.ceil(args.test_size * n)
    least, most = 2, n - 2
    if has_labels and y.ndim == 1:
        classes, counts = np.unique(y, return_counts=True)
        _check_classes(name, classes, counts, 3 if args.early_stopping else 2)
        least, most = len(classes), n - len(classes)
    if args.early_stopping:
        most = min(most, n - 20)  # a tenth of the rest is the validation set
    if not least <= n_held_out <= most:
        raise ValueError(
            f"{n} samples with --test-size {args.test_size:g} are too few: {n_held_out} would be held out, and at "
            f"least {least} and at most {most} can be; add samples, or change --test-size"
            + (" or leave out --early-stopping" if args.early_stopping else "")
        )
    stratify = None if classes is None else y
    return Split(*train_test_split(X, y, test_size=n_held_out, stratify=stratify, random_state=args.seed))


def _check_classes(name: str, classes: np.ndarray, counts: np.ndarray, least: int) -> None:
    if len(classes) < 2:
        raise ValueError(f"{name} has only one class, {classes[0]}: at least two are needed; choose another target")
    if counts.min() < least:
        fix = ", or use --task regression" if classes.dtype.kind in "iu" else ""
        raise ValueError(
            f"{name} has {counts.min()} sample(s) of the class {classes[counts.argmin()]}, and {least} are "
            f"needed: add samples, or remove that class{fix}"
        )
