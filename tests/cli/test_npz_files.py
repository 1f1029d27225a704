"""Arrays in .npz files: what they mean, and what is refused."""

import re

import numpy as np
import pytest

load_iris = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed").load_iris

X, Y = load_iris(return_X_y=True)
FEW = "--epochs", "3"


@pytest.mark.parametrize(
    ("y", "task", "n_columns"),
    [
        (Y, "classification", 1),
        (Y.reshape(-1, 1), "classification", 1),
        (np.array(["a", "b", "c"])[Y], "classification", 1),
        (X[:, 0] * 1.01, "regression", 1),
        (np.eye(3, dtype=int)[Y], "classification", 3),
        (X[:, 2:], "regression", 2),
    ],
)
def test_arrays_become_a_model(y, task, n_columns, succeed, rows):
    np.savez("a.npz", X=X.astype("float32"), what=y)
    out, _ = succeed("train", "a.npz", "--target", "what", *FEW)
    assert f"task      {task} ('what" in out
    assert "float32" in out
    out, err = succeed("predict", "a.safetensors", "a.npz")
    names = ["what"] if n_columns == 1 else [f"what_{i}" for i in range(n_columns)]
    assert rows(out)[0] == names
    assert len(rows(out)) == 151
    assert re.search(r"accuracy|R\^2", err)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("text.npz", "dtype <U1; features must be real numbers"),
        ("object.npz", "can't be read as an .npz of numbers.*numpy.savez"),
        ("complex.npz", "dtype complex128"),
        ("other.npz", "no array 'X'; it has: images, y"),
        ("cubes.npz", r"flatten each sample with X.reshape\(len\(X\), -1\)"),
        ("nan.npz", "600 values that are NaN"),
        ("nan-y.npz", "150 values that are NaN"),
        ("short.npz", r"y in 'short.npz' has shape \(9,\)"),
        ("short.npz --target z", "no array 'z'"),
        ("fake.npz", "not what numpy.savez writes"),
    ],
)
def test_arrays_with_mistakes_get_one_line(command, message, make, refused):
    argv = command.split()
    make(argv[0])
    refused(message, "train", *argv)
