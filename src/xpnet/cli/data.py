"""Tables and arrays from files, checked: every error names the place and the fix."""

import csv
import os
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .console import listed, note

FEW = 20
"""Distinct whole numbers up to which a target is taken for labels."""


@dataclass(frozen=True)
class Data:
    """Samples and what is to be predicted; X is a table where its columns have names, else an array."""

    X: Any
    y: Any
    target: list[str]
    about: str


def is_table(path: str) -> bool:
    """Whether the file is a table (.csv) rather than arrays (.npz); an error where it is neither, or not there."""
    if not os.path.isfile(path):
        hint = " (the built-in data set is called 'digits')" if "." not in os.path.basename(path) else ""
        raise ValueError(f"there is no file {path!r}{hint}: check the path")
    ending = os.path.splitext(path)[1].lower()
    if ending not in (".csv", ".npz"):
        raise ValueError(f"{path!r} ends in {ending!r}, and .csv or .npz is needed: convert the file to one of them")
    return ending == ".csv"


def digits() -> Data:
    """1797 scans of handwritten digits, 8 x 8 pixels, with scikit-learn."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return Data(X, y, ["digit"], "1797 scans of handwritten digits, 8 x 8 pixels")


def training_data(path: str, target: str | None, drop: list[str]) -> Data:
    """Features and target of a file, numeric and complete."""
    if path == "digits":
        if target is not None or drop:
            raise ValueError("--target and --drop are for files; 'digits' knows its target: leave them out")
        return digits()
    return _from_table(path, target, drop) if is_table(path) else _from_arrays(path, target or "y", drop)


# --- .csv


def _from_table(path: str, target: str | None, drop: list[str]) -> Data:
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
    X = numbers(table.drop(columns=[target, *drop]), path)
    nameless = [name for name in X.columns if name.startswith("Unnamed: ")]
    if nameless:
        note(f"the header has no name for {listed(nameless)}: if that numbers the rows, leave it out with --drop")
    y = table[target]
    if y.isna().any():
        raise ValueError(f"the target {target!r} is missing in {y.isna().sum()} row(s) of {path!r}: remove them")
    return Data(X, y.to_numpy(), [target], f"{len(X)} rows of {path}, {X.shape[1]} features")


def read_table(path: str) -> pd.DataFrame:
    """A .csv file with a header line of distinct names."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            separator = max(",;\t", key=first.count)
            header = next(csv.reader([first], delimiter=separator), [])
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise ValueError(f"the header of {path!r} names {listed(twice)} more than once: give each column its name")
        if not first.strip():
            raise ValueError(f"{path!r} is empty: a header line and rows of data are needed")
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows that are all too long
            table = pd.read_csv(path, sep=separator, encoding="utf-8-sig", index_col=False, low_memory=False)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path!r} is not text in UTF-8 ({error}): save it as CSV in UTF-8") from error
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise ValueError(
            f"{path!r} can't be read as a table ({error}): each row needs as many fields as the header"
        ) from error
    if len(table) == 0:
        raise ValueError(f"{path!r} has a header but no rows of data")
    return table


def numbers(table: pd.DataFrame, path: str, or_drop: str = ", or leave them out with --drop") -> pd.DataFrame:
    """The table as float64; text, missing and infinite values are refused by column."""
    if table.shape[1] == 0:
        raise ValueError(f"{path!r} has no columns left to learn from: at least one feature is needed")
    text = [name for name in table.columns if _is_text(table[name])]
    if text:
        raise ValueError(
            f"the columns {listed(text)} of {path!r} hold text, and features must be numbers: encode them as "
            f"numbers{or_drop}"
        )
    missing = table.isna().sum()
    missing = missing[missing > 0]
    if len(missing):
        counts = listed([f"{name} ({count})" for name, count in missing.items()])
        raise ValueError(
            f"values are missing in the columns {counts} of {path!r}: fill them, or remove these rows{or_drop}"
        )
    table = table.astype(np.float64)
    infinite = [name for name in table.columns if np.isinf(table[name]).any()]
    if infinite:
        raise ValueError(f"the columns {listed(infinite)} of {path!r} hold infinite values: replace them{or_drop}")
    return table


def _is_text(column: pd.Series) -> bool:
    known = column.dropna().infer_objects()
    return not (pd.api.types.is_numeric_dtype(known) or pd.api.types.is_bool_dtype(known)) and len(known) > 0


# --- .npz


def _from_arrays(path: str, target: str, drop: list[str]) -> Data:
    if drop:
        raise ValueError("--drop is for the columns of a .csv; leave the columns out of X before saving the .npz")
    arrays = read_arrays(path)
    X, y = matrix(arrays, path), array_named(arrays, target, path)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2) or len(y) != len(X):
        raise ValueError(f"{target} in {path!r} has shape {y.shape}; one value (or row) for each of {len(X)} samples")
    if y.dtype.kind not in "biufU":
        raise ValueError(f"{target} in {path!r} has dtype {y.dtype}; save numbers, booleans or text")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{target} in {path!r} holds {(~np.isfinite(y)).sum()} values that are NaN or infinite")
    names = [target] if y.ndim == 1 else [f"{target}_{i}" for i in range(y.shape[1])]
    return Data(X, y, names, f"{len(X)} samples of {path}, {X.shape[1]} features")


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; those that hold Python objects are refused."""
    try:
        with open(path, "rb") as opened:
            if opened.read(2) != b"PK":
                raise ValueError("it is not what numpy.savez writes")
            opened.seek(0)
            file = np.load(opened, allow_pickle=False)
            return {name: file[name] for name in file.files}
    except (
        ValueError,
        OSError,
        EOFError,
        KeyError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise ValueError(
            f"{path!r} can't be read as an .npz of numbers ({error}): write it with numpy.savez(path, X=X, y=y)"
        ) from error


def array_named(arrays: dict[str, np.ndarray], name: str, path: str) -> np.ndarray:
    """One of the arrays of a file."""
    if name not in arrays:
        raise ValueError(f"{path!r} has no array {name!r}; it has: {listed(arrays)}")
    return arrays[name]


def matrix(arrays: dict[str, np.ndarray], path: str) -> np.ndarray:
    """The array X, (samples, features), float32 or float64 and finite."""
    X = array_named(arrays, "X", path)
    if X.dtype.kind not in "biuf":
        raise ValueError(f"X in {path!r} has dtype {X.dtype}; features must be real numbers: encode text as numbers")
    if X.ndim != 2 or 0 in X.shape:
        fix = "flatten each sample with X.reshape(len(X), -1)" if X.ndim > 2 else "one row for each sample is needed"
        raise ValueError(f"X in {path!r} has shape {X.shape}, and (samples, features) is needed: {fix}")
    if not np.isfinite(X).all():
        raise ValueError(f"X in {path!r} holds {(~np.isfinite(X)).sum()} values that are NaN or infinite: remove them")
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


# --- the target


def decide_task(y: np.ndarray, asked: str, name: str) -> tuple[str, str]:
    """ "classification" or "regression", and why."""
    several = y.ndim == 2
    distinct = len(np.unique(y))
    if asked != "auto":
        return asked, f"--task {asked}"
    if several and distinct <= 2 and np.isin(y, (0, 1)).all():
        return "classification", f"{name} are {y.shape[1]} columns of 0 and 1; --task regression overrides"
    if several:
        return "regression", f"{name} are {y.shape[1]} columns of numbers"
    if y.dtype.kind == "b" or y.dtype.kind not in "iuf":
        kind = "true or false" if y.dtype.kind == "b" else "text"
        return "classification", f"{name} is {kind} with {distinct} distinct values"
    if y.dtype.kind == "f":
        return "regression", f"{name} is numbers with decimals; --task classification overrides"
    if distinct <= FEW:
        return (
            "classification",
            f"{name} is {distinct} distinct whole numbers, at most {FEW}; --task regression overrides",
        )
    return (
        "regression",
        f"{name} is {distinct} distinct whole numbers, more than {FEW}; --task classification overrides",
    )


def as_labels(y: np.ndarray, name: str) -> np.ndarray:
    """y as labels; whole numbers that were read as floats become integers."""
    if y.dtype.kind == "f":
        if not (y == np.round(y)).all():
            raise ValueError(f"{name} holds numbers with decimals, which are no labels: use --task regression")
        y = y.astype(np.int64)
    if y.dtype.kind == "O":
        y = y.astype(str)
    if y.ndim == 2 and not np.isin(y, (0, 1)).all():
        raise ValueError(f"{name} have other values than 0 and 1: use --task regression, or one column of labels")
    return y


def as_targets(y: np.ndarray, name: str) -> np.ndarray:
    """y as float64 targets that vary."""
    if y.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} holds text, such as {y.flat[0]!r}; regression needs numbers: use --task classification"
        )
    if (np.ptp(y.astype(np.float64), axis=0) == 0).any():
        raise ValueError(
            f"{name} is constant, {y.flat[0]} in every row: there is nothing to learn; choose another target"
        )
    return y.astype(np.float64)
