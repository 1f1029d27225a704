"""``xpnet train`` as a user runs it: what it prints and writes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import xpnet

FEW = "--epochs", "3"


def test_digits_in_a_pipe(datasets):
    done = subprocess.run([sys.executable, "-m", "xpnet", "train", "digits"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    accuracy = float(re.search(r"held-out  accuracy ([\d.]+) %", done.stdout)[1])
    assert accuracy > 96.5
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", done.stdout + done.stderr)
    shown = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
    assert 5 <= len(shown) <= 20
    assert re.search(r"loss [\d.]+ +held-out accuracy 0\.\d+$", shown[-1])
    for text in (
        "numpy (the default",
        "trained in",
        "predict digits.safetensors",
        "--backend auto",
        "YOUR.csv",
        "info",
    ):
        assert text in done.stdout
    assert Path("digits.curve.png").read_bytes()[:4] == b"\x89PNG"
    scans, digits = datasets.load_digits(return_X_y=True)
    assert xpnet.load("digits.safetensors").score(scans, digits) > 0.98


def test_a_table_becomes_a_model(succeed, rows, flowers):
    out, err = succeed("train", "iris.csv", "--target", "species", "--epochs", "60", "--learning-rate", "0.01")
    assert not err
    assert "150 rows of iris.csv, 4 features: 112 to train on, 38 held out" in out
    assert "classification ('species' is text with 3 distinct values)" in out
    model = xpnet.load("iris.safetensors")
    assert model.feature_names_in_.tolist() == list(flowers.columns[:4])
    assert model.score(flowers.drop(columns="species"), flowers["species"]) > 0.9
    held_out = float(re.search(r"accuracy ([\d.]+) %", out)[1]) / 100
    assert f"{held_out:.3f}" == f"{float(re.findall(r'held-out accuracy ([0-9.]+)', out)[-1]):.3f}"


def test_the_same_seed_gives_the_same_file(succeed, contents):
    for name in ("a", "b"):
        succeed("train", "iris.csv", "--target", "species", *FEW, "--out", f"{name}.safetensors", "--seed", "5")
    succeed("train", "iris.csv", "--target", "species", *FEW, "--out", "c.safetensors", "--seed", "6")
    made = contents()
    assert made["a.safetensors"] == made["b.safetensors"] != made["c.safetensors"]


def test_regression_scales_the_target_and_saves_the_scaling(succeed, patients):
    out, _ = succeed("train", "diabetes.csv", "--target", "target", "--epochs", "40")
    assert "regression ('target' is numbers with decimals; --task classification overrides)" in out
    assert float(re.search(r"held-out  R\^2 ([\d.]+)", out)[1]) > 0.25
    predicted = xpnet.load("diabetes.safetensors").predict(patients.drop(columns="target"))
    assert 50 < predicted.min() < predicted.max() < 350


def test_options_reach_the_estimator(succeed):
    options = "--hidden 7,3 --activation tanh --solver sgd --alpha 0.5 --learning-rate 0.02 --batch-size 9 --epochs 2"
    out, _ = succeed("train", "iris.csv", "--target", "species", *options.split(), "--test-size", "0.5")
    assert "4 -> 7 -> 3 -> 3" in out
    assert "75 to train on, 75 held out" in out
    params = xpnet.load("iris.safetensors")[-1].get_params()
    wanted = {"hidden_layer_sizes": (7, 3), "activation": "tanh", "solver": "sgd", "alpha": 0.5, "max_iter": 2}
    wanted |= {"learning_rate_init": 0.02, "batch_size": 9, "random_state": 0, "backend": None, "early_stopping": False}
    assert {name: params[name] for name in wanted} == wanted
    succeed("train", "iris.csv", "--target", "species", "--hidden", "none", *FEW)
    assert len(xpnet.load("iris.safetensors")[-1].coefs_) == 1


def test_early_stopping_shows_the_validation_score(succeed):
    out, _ = succeed("train", "iris.csv", "--target", "species", "--early-stopping", "--epochs", "30")
    assert re.search(r"epoch +1/30 +loss [\d.]+ +validation accuracy 0\.\d+", out)
    assert "after" in re.search(r"stopped +.*", out)[0] or "at --epochs" in out
    assert xpnet.load("iris.safetensors")[-1].validation_scores_


def test_quiet_prints_nothing(succeed):
    assert succeed("train", "iris.csv", "--target", "species", *FEW, "--quiet") == ("", "")
    assert os.path.exists("iris.safetensors")


def test_an_interrupted_training_keeps_its_model(monkeypatch, run):
    from xpnet.cli import train

    scores, score = [], train._score_while_training

    def interrupt(*args):
        scores.append(score(*args))
        if len(scores) == 3:
            raise KeyboardInterrupt
        return scores[-1]

    monkeypatch.setattr(train, "_score_while_training", interrupt)
    code, out, _ = run("train", "iris.csv", "--target", "species")
    assert code == 130
    assert "by Ctrl-C after 24 epochs; the model trained so far is kept" in out
    assert xpnet.load("iris.safetensors")[-1].n_iter_ == 24
    assert os.path.exists("iris.curve.png")


def test_an_interruption_before_the_first_epoch_writes_nothing(monkeypatch, run, contents):
    from xpnet.cli import train

    def interrupt(self, estimator, context):
        if context.task_name == "epoch":
            raise KeyboardInterrupt

    monkeypatch.setattr(train.ShowEpochs, "on_fit_task_begin", interrupt)
    before = contents()
    code, _, err = run("train", "iris.csv", "--target", "species")
    assert (code, err) == (130, "interrupted; nothing was written\n")
    assert contents() == before


def test_a_failed_write_keeps_the_model_that_was_there(monkeypatch, succeed, refused):
    succeed("train", "iris.csv", "--target", "species", *FEW)

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("xpnet.saving.files.os.replace", fail)
    refused("no space left", "train", "iris.csv", "--target", "species", "--epochs", "4")


def test_auto_names_its_choice(succeed):
    out, _ = succeed("train", "iris.csv", "--target", "species", *FEW, "--backend", "auto")
    assert re.search(r"backend   (numpy|cupy:0) \(--backend auto: .+\)", out)
    assert xpnet.load("iris.safetensors")[-1].backend is None


@pytest.mark.gpu
def test_a_model_trained_on_a_gpu_predicts_on_the_cpu(succeed):
    out, _ = succeed("train", "iris.csv", "--target", "species", "--epochs", "30", "--backend", "cupy")
    assert "backend   cupy:0" in out
    on_gpu, _ = succeed("predict", "iris.safetensors", "iris.csv", "--backend", "cupy")
    assert succeed("predict", "iris.safetensors", "iris.csv")[0] == on_gpu


def test_a_divergence_keeps_the_best_parameters_of_early_stopping(succeed):
    flags = "--early-stopping", "--solver", "sgd", "--learning-rate", "1e9"
    out, _ = succeed("train", "iris.csv", "--target", "species", *flags)
    assert "training diverged, and the parameters of the best validation score are kept" in out
    assert "still improving" not in out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("iris.csv --target species --learning-rate 1e9 --solver sgd", "diverged in epoch .* --learning-rate below"),
        ("iris.csv --target species --backend tpu", "'tpu'; allowed: \"numpy\""),
        ("iris.csv --target species --backend cupy:99", "install|cupy:99|nvidia-smi"),
    ],
)
def test_mistakes_in_training_get_one_line(command, message, make, refused):
    argv = command.split()
    make(argv[0])
    refused(message, "train", *argv)
