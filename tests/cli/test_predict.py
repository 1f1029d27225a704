"""``xpnet predict`` as a user runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import xpnet

FEW = "--epochs", "3"


def test_predictions_and_score(iris_model, succeed, rows, flowers):
    out, err = succeed("predict", "iris.safetensors", "iris.csv")
    predicted = iris_model.predict(flowers.drop(columns="species"))
    assert rows(out) == [["species"], *([label] for label in predicted)]
    n_right = (predicted == flowers["species"]).sum()
    assert err == f"accuracy {n_right / 1.5:.2f} % ({n_right} of 150 right)\n"


def test_probabilities_have_the_classes_names(iris_model, succeed, rows, flowers):
    out, _ = succeed("predict", "iris.safetensors", "iris.csv", "--proba")
    header, *values = rows(out)
    assert header == ["species", "p(setosa)", "p(versicolor)", "p(virginica)"]
    written = np.array([row[1:] for row in values], dtype=float)
    assert (written == iris_model.predict_proba(flowers.drop(columns="species"))).all()


def test_out_is_written_whole_and_stdout_left_empty(iris_model, succeed):
    straight, _ = succeed("predict", "iris.safetensors", "iris.csv")
    out, err = succeed("predict", "iris.safetensors", "iris.csv", "--out", "p.csv")
    assert not out
    assert "150 predictions to p.csv" in err
    assert Path("p.csv").read_text() == straight


def test_regression_is_scored_in_the_targets_units(succeed, refused, rows, patients):
    succeed("train", "diabetes.csv", "--target", "target", "--epochs", "20")
    out, err = succeed("predict", "diabetes.safetensors", "diabetes.csv")
    model = xpnet.load("diabetes.safetensors")
    features = patients.drop(columns="target")
    assert np.array([row[0] for row in rows(out)[1:]], dtype=float).tolist() == model.predict(features).tolist()
    assert err == f"R^2 {model.score(features, patients['target']):.4f}\n"
    refused("--proba needs a classifier", "predict", "diabetes.safetensors", "diabetes.csv", "--proba")


def test_digits_can_be_predicted_with_a_note_on_the_score(succeed, refused, rows):
    succeed("train", "digits", *FEW)
    out, err = succeed("predict", "digits.safetensors", "digits")
    assert len(rows(out)) == 1798
    assert "seen most of these scans" in err
    assert "accuracy" in err
    header = ",".join(map(str, range(64)))
    np.savetxt("blank.csv", np.zeros((2, 64)), delimiter=",", header=header, comments="")
    assert len(rows(succeed("predict", "digits.safetensors", "blank.csv")[0])) == 3
    refused("5 features and the model was trained on 64", "predict", "digits.safetensors", "iris.csv")


def test_a_target_that_cant_be_compared_gives_no_score(iris_model, succeed, make, rows, flowers):
    flowers.assign(species=flowers["species"].factorize()[0]).to_csv("numbers.csv", index=False)
    make("no-target.csv")
    for name in ("numbers.csv", "no-target.csv"):
        out, err = succeed("predict", "iris.safetensors", name)
        assert len(rows(out)) == 151
        assert "note: no score" in err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("none.safetensors iris.csv", "no file 'none.safetensors'"),
        ("iris.csv iris.csv", "'iris.csv' is not a model file"),
        ("iris.curve.png iris.csv", "'iris.curve.png' is not a model file"),
        ("iris.safetensors none.csv", "no file 'none.csv'"),
        ("iris.safetensors diabetes.csv", "lacks the columns sepal l, sepal w, petal l, petal w"),
        ("iris.safetensors missing.csv", r"missing in the columns sepal w \(2\)"),
        ("iris.safetensors digits", "64 features and the model was trained on 4"),
        ("iris.safetensors iris.csv --out p.txt", "written as .csv"),
        ("iris.safetensors iris.csv --out iris.csv", "the file that is read"),
        ("iris.safetensors iris.csv --out none/p.csv", "folder .* is not there"),
        ("iris.safetensors iris.csv --backend tpu", "'tpu'; allowed"),
        ("iris.safetensors iris.csv --backend cupy:99", "install|cupy:99|nvidia-smi"),
        ("iris.safetensors", "required: FILE"),
    ],
)
def test_mistakes_in_predict_get_one_line(command, message, iris_model, run, make):
    argv = command.split()
    for name in argv:
        make(name)
    code, _, err = run("predict", *argv)
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert code == 2
    assert len(lines) == 1
    assert re.search(message, lines[0])
    assert not os.path.exists("p.csv")


def test_a_reader_that_goes_away_is_no_error(iris_model, flowers):
    flowers.iloc[np.tile(np.arange(150), 300)].to_csv("long.csv", index=False)
    command = [sys.executable, "-m", "xpnet", "predict", "iris.safetensors", "long.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "species\n"
        process.stdout.close()
        assert "Error" not in process.stderr.read()
