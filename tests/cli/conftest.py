"""What the tests of the commands share: a folder with tables, a command run in this process, files with mistakes."""

import csv
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xpnet
from xpnet.cli import main


@pytest.fixture(scope="session")
def datasets() -> Any:
    """scikit-learn's data sets, if all that the commands need is installed."""
    for name in ("pandas", "matplotlib"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    return pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")


@pytest.fixture(scope="session")
def flowers(datasets) -> Any:
    """A table for classification, by the column "species"."""
    iris = datasets.load_iris(as_frame=True)
    features = iris.data.set_axis(["sepal l", "sepal w", "petal l", "petal w"], axis=1)
    return features.assign(species=iris.target_names[iris.target])


@pytest.fixture(scope="session")
def patients(datasets) -> Any:
    """A table for regression, of the column "target"."""
    return datasets.load_diabetes(as_frame=True, scaled=False).frame


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, flowers, patients) -> Path:
    """Each test in a folder of its own, with two tables."""
    monkeypatch.chdir(tmp_path)
    flowers.to_csv("iris.csv", index=False)
    patients.to_csv("diabetes.csv", index=False)
    return tmp_path


@pytest.fixture
def run(capsys) -> Callable:
    """``run(*argv)``: exit code, stdout and stderr of a command."""

    def command(*argv: str) -> tuple[Any, str, str]:
        capsys.readouterr()
        try:
            code = main(argv)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def succeed(run) -> Callable:
    """``succeed(*argv)``: stdout and stderr of a command that must succeed."""

    def command(*argv: str) -> tuple[str, str]:
        code, out, err = run(*argv)
        assert code == 0, err
        return out, err

    return command


@pytest.fixture
def refused(run, contents) -> Callable:
    """``refused(message, *argv)``: exit code 2, one line on stderr that matches, and no file written or changed."""

    def command(message: str, *argv: str) -> None:
        before = contents()
        code, _, err = run(*argv)
        assert code == 2
        assert len(err.splitlines()) == 1, err
        assert re.search(message, err), err
        assert "Traceback" not in err
        assert contents() == before

    return command


@pytest.fixture
def contents() -> Callable:
    """``contents()``: the files of the folder by name."""
    return lambda: {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


@pytest.fixture
def rows() -> Callable:
    """``rows(text)``: CSV as a list of rows."""
    return lambda text: list(csv.reader(io.StringIO(text)))


@pytest.fixture
def iris_model(folder, succeed) -> Any:
    """A trained model of the flowers."""
    succeed("train", "iris.csv", "--target", "species", "--epochs", "30", "--learning-rate", "0.01")
    return xpnet.load("iris.safetensors")


@pytest.fixture
def in_a_terminal() -> Callable:
    """``in_a_terminal(argv, **environment)``: what ``python -m xpnet`` writes to a terminal, and its exit code."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")

    def command(argv: list[str], **environment: str) -> tuple[str, int]:
        ours, theirs = pty.openpty()
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
        env |= {"TERM": "xterm-256color", "COLUMNS": "120", **environment}
        process = subprocess.Popen([sys.executable, "-m", "xpnet", *argv], stdout=theirs, stderr=theirs, env=env)
        os.close(theirs)
        chunks = []
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # on Linux, the other side was closed
                break
            if not chunk:
                break
            chunks.append(chunk)
        os.close(ours)
        return b"".join(chunks).decode(), process.wait()

    return command


TEXT = {
    "twice.csv": "a,b,a\n1,2,3\n",
    "empty.csv": "",
    "header.csv": "a,b\n",
    "wide.csv": "a,b\n1,2,3\n4,5,6\n",
    "ragged.csv": "a,b\n1,2\n4,5,6\n",
    "table.xlsx": "a",
    "fake.npz": "hello",
}


@pytest.fixture
def make(flowers, patients) -> Callable:
    """``make(name)``: write the file of this name, which has a mistake; other names are passed over."""
    X, y = flowers.iloc[:, :4].to_numpy(), flowers["species"].factorize()[0]
    tables = {
        "text.csv": flowers.assign(farm="north", soil="clay"),
        "missing.csv": flowers.assign(**{"sepal w": [np.nan, np.nan, *range(148)]}),
        "no-target.csv": flowers.assign(species=[None, *flowers["species"][1:]]),
        "one-class.csv": flowers.assign(species="setosa"),
        "rare.csv": flowers.assign(species=["odd", *flowers["species"][1:]]),
        "rare-number.csv": flowers.assign(species=[7, *y[1:]]),
        "infinite.csv": flowers.assign(**{"petal l": np.inf}),
        "alone.csv": flowers[["species"]],
        "constant.csv": patients.assign(target=2.5),
        "small.csv": patients[:3],
    }
    arrays = {
        "text.npz": {"X": np.array([["a", "b"]]), "y": [1]},
        "object.npz": {"X": np.array([[None, 1]], dtype=object), "y": [1]},
        "complex.npz": {"X": np.ones((9, 2), complex), "y": np.ones(9)},
        "other.npz": {"images": X, "y": y},
        "cubes.npz": {"X": X.reshape(150, 2, 2), "y": y},
        "nan.npz": {"X": X * np.nan, "y": y},
        "nan-y.npz": {"X": X, "y": y * np.nan},
        "short.npz": {"X": X, "y": y[:9]},
    }

    def write(name: str) -> None:
        if name in tables:
            tables[name].to_csv(name, index=False)
        elif name in arrays:
            np.savez(name, **arrays[name], allow_pickle=True)
        elif name in TEXT:
            Path(name).write_text(TEXT[name])
        elif name == "binary.csv":
            Path(name).write_bytes(bytes(range(128, 256)))

    return write
