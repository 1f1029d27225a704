"""Arrays in .npz files: X, (samples, features), and a target; objects and numbers that are not finite are refused."""

import zipfile
import zlib

import numpy as np

from .console import listed


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name; those that hold Python objects are refused."""
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is not what numpy.savez writes")
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path!r} can't be read as an .npz of numbers ({error}): write it with numpy.savez(path, X=X, y=y)"
        ) from error


def features(arrays: dict[str, np.ndarray], path: str) -> np.ndarray:
    """The array X, (samples, features), float32 or float64 and finite."""
    X = _named(arrays, "X", path)
    if X.dtype.kind not in "biuf":
        raise ValueError(f"X in {path!r} has dtype {X.dtype}; features must be real numbers: encode text as numbers")
    if X.ndim != 2 or 0 in X.shape:
        fix = "flatten each sample with X.reshape(len(X), -1)" if X.ndim > 2 else "one row for each sample is needed"
        raise ValueError(f"X in {path!r} has shape {X.shape}, and (samples, features) is needed: {fix}")
    if not np.isfinite(X).all():
        raise ValueError(f"X in {path!r} holds {(~np.isfinite(X)).sum()} values that are NaN or infinite: remove them")
    return X if X.dtype in (np.float32, np.float64) else X.astype(np.float64)


def target(arrays: dict[str, np.ndarray], name: str, n: int, path: str) -> np.ndarray:
    """The array of this name, (n,) or (n, targets), finite; a single column becomes (n,)."""
    y = as_vector(_named(arrays, name, path))
    if y.ndim not in (1, 2) or len(y) != n:
        raise ValueError(f"{name} in {path!r} has shape {y.shape}; one value (or row) for each of {n} samples")
    if y.dtype.kind not in "biufU":
        raise ValueError(f"{name} in {path!r} has dtype {y.dtype}; save numbers, booleans or text")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{name} in {path!r} holds {(~np.isfinite(y)).sum()} values that are NaN or infinite")
    return y


def as_vector(y: np.ndarray) -> np.ndarray:
    """y, (n,) if it is a single column, (n, 1)."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _named(arrays: dict[str, np.ndarray], name: str, path: str) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"{path!r} has no array {name!r}; it has: {listed(arrays)}")
    return arrays[name]
