"""The samples and the target that ``train`` learns from: the digits, a .csv or an .npz file."""

import os
from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import npz_files
from .console import listed, note
from .tables import numbers, read_table


@dataclass(frozen=True)
class TrainingData:
    """Features, in a table if they have names, and the target."""

    X: pd.DataFrame | np.ndarray
    y: np.ndarray
    target_names: list[str]
    description: str


def training_data(path: str, target: str | None, drop: list[str]) -> TrainingData:
    """Features and target of a file, numeric and complete."""
    if path == "digits":
        if target is not None or drop:
            raise ValueError("--target and --drop are for files; 'digits' knows its target: leave them out")
        return digits()
    return _from_table(path, target, drop) if is_table(path) else _from_arrays(path, target or "y", drop)


def digits() -> TrainingData:
    """scikit-learn's scans of handwritten digits."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return TrainingData(X, y, ["digit"], "1797 scans of handwritten digits, 8 x 8 pixels")


def is_table(path: str) -> bool:
    """Whether the file is a table (.csv) rather than arrays (.npz); an error if it is neither, or is not there."""
    if not os.path.isfile(path):
        hint = " (the built-in data set is called 'digits')" if "." not in os.path.basename(path) else ""
        raise ValueError(f"there is no file {path!r}{hint}: check the path")
    ending = os.path.splitext(path)[1].lower()
    if ending not in (".csv", ".npz"):
        raise ValueError(f"{path!r} ends in {ending!r}, and .csv or .npz is needed: convert the file to one of them")
    return ending == ".csv"


def _from_table(path: str, target: str | None, drop: list[str]) -> TrainingData:
    table = read_table(path)
    if target is None:
        raise ValueError(f"--target is missing; the columns of {path!r} are: {listed(table.columns)}")
    for option, name in [("--target", target), *(("--drop", name) for name in drop)]:
        if name not in table.columns:
            raise ValueError(
                f"{option} names {name!r}, which is no column of {path!r}; its columns are: {listed(table.columns)}"
            )
    if target in drop:
        raise ValueError(f"--drop names the target {target!r}: take it out of --drop")
    X, y = numbers(table.drop(columns=[target, *drop]), path), table[target]
    nameless = [name for name in X.columns if name.startswith("Unnamed: ")]
    if nameless:
        note(f"the header has no name for {listed(nameless)}: if that numbers the rows, leave it out with --drop")
    if y.isna().any():
        raise ValueError(f"the target {target!r} is missing in {y.isna().sum()} row(s) of {path!r}: remove them")
    return TrainingData(X, y.to_numpy(), [target], f"{len(X)} rows of {path}, {X.shape[1]} features")


def _from_arrays(path: str, target: str, drop: list[str]) -> TrainingData:
    if drop:
        raise ValueError("--drop is for the columns of a .csv; leave the columns out of X before saving the .npz")
    file = npz_files.read_arrays(path)
    X = npz_files.features(file, path)
    y = npz_files.target(file, target, len(X), path)
    names = [target] if y.ndim == 1 else [f"{target}_{i}" for i in range(y.shape[1])]
    return TrainingData(X, y, names, f"{len(X)} samples of {path}, {X.shape[1]} features")
