"""Which task a target means, classification or regression, and the target as that task needs it."""

import numpy as np

FEW = 20
"""The largest number of distinct whole numbers that are taken for labels."""


def decide_task(y: np.ndarray, asked: str, name: str) -> tuple[str, str]:
    """ "classification" or "regression", and why; ``asked`` is what ``--task`` says."""
    if asked != "auto":
        return asked, f"--task {asked}"
    n, kind = len(np.unique(y)), y.dtype.kind
    if y.ndim == 2:
        if n <= 2 and np.isin(y, (0, 1)).all():
            return "classification", f"{name} are {y.shape[1]} columns of 0 and 1; --task regression overrides"
        return "regression", f"{name} are {y.shape[1]} columns of numbers"
    if kind == "f":
        return "regression", f"{name} is numbers with decimals; --task classification overrides"
    if kind not in "iu":
        return "classification", f"{name} is {'true or false' if kind == 'b' else 'text'} with {n} distinct values"
    numbers = f"{name} is {n} distinct whole numbers"
    if n <= FEW:
        return "classification", f"{numbers}, at most {FEW}; --task regression overrides"
    return "regression", f"{numbers}, more than {FEW}; --task classification overrides"


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
    y = y.astype(np.float64)
    if (np.ptp(y, axis=0) == 0).any():
        raise ValueError(
            f"{name} is constant, {y.flat[0]} in every row: there is nothing to learn; choose another target"
        )
    return y
