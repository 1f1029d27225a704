"""The commands as a user runs them: what they print, write and refuse, in a terminal and in a pipe."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pandas = pytest.importorskip("pandas", reason="pandas is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from sklearn.datasets import load_diabetes, load_iris  # noqa: E402

import xpnet  # noqa: E402
from xpnet.cli import main  # noqa: E402

IRIS = load_iris(as_frame=True)
FLOWERS = IRIS.data.set_axis(["sepal l", "sepal w", "petal l", "petal w"], axis=1).assign(
    species=IRIS.target_names[IRIS.target]
)
PATIENTS = load_diabetes(as_frame=True, scaled=False).frame
X, Y = IRIS.data.to_numpy(), IRIS.target.to_numpy()
FEW = "--epochs", "3"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test in a folder of its own, with two tables."""
    monkeypatch.chdir(tmp_path)
    FLOWERS.to_csv("iris.csv", index=False)
    PATIENTS.to_csv("diabetes.csv", index=False)
    return tmp_path


def run(capsys, *argv):
    """Exit code, stdout and stderr of a command."""
    capsys.readouterr()
    try:
        code = main(argv)
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def succeed(capsys, *argv):
    code, out, err = run(capsys, *argv)
    assert code == 0, err
    return out, err


def contents():
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def assert_refused(capsys, message, *argv):
    """Exit code 2, one line on stderr that matches, and no file written or changed."""
    before = contents()
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert len(err.splitlines()) == 1, err
    assert re.search(message, err), err
    assert "Traceback" not in err
    assert contents() == before


def rows(text):
    return list(csv.reader(io.StringIO(text)))


def python_m_xpnet(*argv, **options):
    return subprocess.run([sys.executable, "-m", "xpnet", *argv], capture_output=True, text=True, **options)


# --- train


def test_digits_in_a_pipe():
    done = python_m_xpnet("train", "digits")
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
    from sklearn.datasets import load_digits

    scans, digits = load_digits(return_X_y=True)
    assert xpnet.load("digits.safetensors").score(scans, digits) > 0.98


def terminal_output(argv, **environment):
    """What ``python -m xpnet`` writes to a terminal, and its exit code."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    ours, theirs = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    env |= {"TERM": "xterm-256color", "COLUMNS": "120", **environment}
    process = subprocess.Popen([sys.executable, "-m", "xpnet", *argv], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    chunks = []
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # how Linux says that the other side was closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(ours)
    return b"".join(chunks).decode(), process.wait()


def test_a_terminal_shows_a_bar_that_moves():
    pytest.importorskip("rich", reason="rich is not installed")
    text, code = terminal_output(["train", "digits", "--epochs", "40"])
    assert code == 0
    assert "\x1b[" in text
    shown = {int(n) for n in re.findall(r"(\d+)/40", text)}
    assert {0, 40} < shown
    assert re.search(r"loss [\d.]+ +held-out accuracy 0\.\d+", text)
    assert "held-out" in text
    assert "━" in text


def test_no_color_is_honoured():
    pytest.importorskip("rich", reason="rich is not installed")
    coloured, _ = terminal_output(["train", "iris.csv", "--target", "species", *FEW])
    plain, _ = terminal_output(["train", "iris.csv", "--target", "species", *FEW], NO_COLOR="1")
    colours = re.compile(r"\x1b\[[\d;]*3\d[\d;]*m")
    assert colours.search(coloured)
    assert not colours.search(plain)


def test_a_console_without_rich_or_a_terminal_is_plain(monkeypatch):
    from xpnet.cli import console

    monkeypatch.setattr(console, "_is_terminal", lambda: True)
    assert (console.Console().rich is None) == (console.importlib.util.find_spec("rich") is None)
    assert console.Console(quiet=True).rich is None
    monkeypatch.setattr(console.importlib.util, "find_spec", lambda name: None)
    assert console.Console().rich is None
    monkeypatch.undo()
    assert console.Console().rich is None


def test_a_table_becomes_a_model(capsys):
    out, err = succeed(capsys, "train", "iris.csv", "--target", "species", "--epochs", "60", "--learning-rate", "0.01")
    assert not err
    assert "150 rows of iris.csv, 4 features: 112 to train on, 38 held out" in out
    assert "classification ('species' is text with 3 distinct values)" in out
    model = xpnet.load("iris.safetensors")
    assert model.feature_names_in_.tolist() == list(FLOWERS.columns[:4])
    assert model.score(FLOWERS.drop(columns="species"), FLOWERS["species"]) > 0.9
    held_out = float(re.search(r"accuracy ([\d.]+) %", out)[1]) / 100
    assert f"{held_out:.3f}" == f"{float(re.findall(r'held-out accuracy ([0-9.]+)', out)[-1]):.3f}"


def test_the_same_seed_gives_the_same_file(capsys):
    for name in ("a", "b"):
        succeed(capsys, "train", "iris.csv", "--target", "species", *FEW, "--out", f"{name}.safetensors", "--seed", "5")
    succeed(capsys, "train", "iris.csv", "--target", "species", *FEW, "--out", "c.safetensors", "--seed", "6")
    made = contents()
    assert made["a.safetensors"] == made["b.safetensors"] != made["c.safetensors"]


def test_regression_scales_the_target_and_saves_the_scaling(capsys):
    out, _ = succeed(capsys, "train", "diabetes.csv", "--target", "target", "--epochs", "40")
    assert "regression ('target' is numbers with decimals; --task classification overrides)" in out
    assert float(re.search(r"held-out  R\^2 ([\d.]+)", out)[1]) > 0.25
    predicted = xpnet.load("diabetes.safetensors").predict(PATIENTS.drop(columns="target"))
    assert 50 < predicted.min() < predicted.max() < 350


def test_options_reach_the_estimator(capsys):
    options = "--hidden 7,3 --activation tanh --solver sgd --alpha 0.5 --learning-rate 0.02 --batch-size 9 --epochs 2"
    out, _ = succeed(capsys, "train", "iris.csv", "--target", "species", *options.split(), "--test-size", "0.5")
    assert "4 -> 7 -> 3 -> 3" in out
    assert "75 to train on, 75 held out" in out
    params = xpnet.load("iris.safetensors")[-1].get_params()
    wanted = {"hidden_layer_sizes": (7, 3), "activation": "tanh", "solver": "sgd", "alpha": 0.5, "max_iter": 2}
    wanted |= {"learning_rate_init": 0.02, "batch_size": 9, "random_state": 0, "backend": None, "early_stopping": False}
    assert {name: params[name] for name in wanted} == wanted
    succeed(capsys, "train", "iris.csv", "--target", "species", "--hidden", "none", *FEW)
    assert len(xpnet.load("iris.safetensors")[-1].coefs_) == 1


def test_early_stopping_shows_the_validation_score(capsys):
    out, _ = succeed(capsys, "train", "iris.csv", "--target", "species", "--early-stopping", "--epochs", "30")
    assert re.search(r"epoch +1/30 +loss [\d.]+ +validation accuracy 0\.\d+", out)
    assert "after" in re.search(r"stopped +.*", out)[0] or "at --epochs" in out
    assert xpnet.load("iris.safetensors")[-1].validation_scores_


def test_long_runs_print_few_lines(capsys):
    out, _ = succeed(capsys, "train", "iris.csv", "--target", "species", "--epochs", "397", "--hidden", "2")
    shown = [int(n) for n in re.findall(r"(?m)^epoch +(\d+)/397", out)]
    assert shown[0] == 1
    assert len(shown) <= 20
    assert f"{shown[-1]}" in re.search(r"stopped +.*", out)[0]


def test_quiet_prints_nothing(capsys):
    assert succeed(capsys, "train", "iris.csv", "--target", "species", *FEW, "--quiet") == ("", "")
    assert os.path.exists("iris.safetensors")


def test_whole_numbers_tell_the_task(capsys):
    PATIENTS.astype({"target": int}).to_csv("many.csv", index=False)
    FLOWERS.assign(species=Y).to_csv("few.csv", index=False)
    FLOWERS.assign(species=Y > 0).to_csv("bool.csv", index=False)
    assert "regression ('target' is 214 distinct" in succeed(capsys, "train", "many.csv", "--target", "target", *FEW)[0]
    assert "classification ('species' is 3 dist" in succeed(capsys, "train", "few.csv", "--target", "species", *FEW)[0]
    assert "is true or false" in succeed(capsys, "train", "bool.csv", "--target", "species", *FEW)[0]
    assert xpnet.load("bool.safetensors").classes_.dtype == bool
    forced = succeed(capsys, "train", "few.csv", "--target", "species", *FEW, "--task", "regression")[0]
    assert "regression (--task regression)" in forced


def test_other_separators_and_a_byte_order_mark(capsys):
    FLOWERS.to_csv("s.csv", index=False, sep=";", encoding="utf-8-sig")
    FLOWERS.to_csv("t.csv", index=False, sep="\t")
    for name in ("s.csv", "t.csv"):
        succeed(capsys, "train", name, "--target", "species", "--drop", "sepal l, sepal w", *FEW)
    assert xpnet.load("s.safetensors").feature_names_in_.tolist() == ["petal l", "petal w"]


def test_a_column_without_a_name_is_noticed(capsys):
    FLOWERS.to_csv("indexed.csv")
    _, err = succeed(capsys, "train", "indexed.csv", "--target", "species", *FEW)
    assert "note: the header has no name for Unnamed: 0" in err
    _, err = succeed(capsys, "train", "indexed.csv", "--target", "species", *FEW, "--drop", "Unnamed: 0")
    assert not err


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
def test_arrays_become_a_model(y, task, n_columns, capsys):
    np.savez("a.npz", X=X.astype("float32"), what=y)
    out, _ = succeed(capsys, "train", "a.npz", "--target", "what", *FEW)
    assert f"task      {task} ('what" in out
    assert "float32" in out
    out, err = succeed(capsys, "predict", "a.safetensors", "a.npz")
    names = ["what"] if n_columns == 1 else [f"what_{i}" for i in range(n_columns)]
    assert rows(out)[0] == names
    assert len(rows(out)) == 151
    assert re.search(r"accuracy|R\^2", err)


def test_an_interrupted_training_keeps_its_model(capsys, monkeypatch):
    from xpnet.cli import train

    scores, score = [], train._score_while_training

    def interrupt(*args):
        scores.append(score(*args))
        if len(scores) == 3:
            raise KeyboardInterrupt
        return scores[-1]

    monkeypatch.setattr(train, "_score_while_training", interrupt)
    code, out, _ = run(capsys, "train", "iris.csv", "--target", "species")
    assert code == 130
    assert "by Ctrl-C after 24 epochs; the model trained so far is kept" in out
    assert xpnet.load("iris.safetensors")[-1].n_iter_ == 24
    assert os.path.exists("iris.curve.png")


def test_an_interruption_before_the_first_epoch_writes_nothing(capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(xpnet.MLPClassifier, "_count_epoch", interrupt)
    before = contents()
    code, _, err = run(capsys, "train", "iris.csv", "--target", "species")
    assert (code, err) == (130, "interrupted; nothing was written\n")
    assert contents() == before


def test_a_failed_write_keeps_the_model_that_was_there(capsys, monkeypatch):
    succeed(capsys, "train", "iris.csv", "--target", "species", *FEW)

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("xpnet.saving.files.os.replace", fail)
    assert_refused(capsys, "no space left", "train", "iris.csv", "--target", "species", "--epochs", "4")


# --- what train refuses

MADE = {
    "text.csv": lambda: FLOWERS.assign(farm="north", soil="clay"),
    "missing.csv": lambda: FLOWERS.assign(**{"sepal w": [np.nan, np.nan, *range(148)]}),
    "no-target.csv": lambda: FLOWERS.assign(species=[None, *FLOWERS["species"][1:]]),
    "one-class.csv": lambda: FLOWERS.assign(species="setosa"),
    "rare.csv": lambda: FLOWERS.assign(species=["odd", *FLOWERS["species"][1:]]),
    "rare-number.csv": lambda: FLOWERS.assign(species=[7, *Y[1:]]),
    "infinite.csv": lambda: FLOWERS.assign(**{"petal l": np.inf}),
    "alone.csv": lambda: FLOWERS[["species"]],
    "constant.csv": lambda: PATIENTS.assign(target=2.5),
    "small.csv": lambda: PATIENTS[:3],
}
ARRAYS = {
    "text.npz": {"X": np.array([["a", "b"]]), "y": [1]},
    "object.npz": {"X": np.array([[None, 1]], dtype=object), "y": [1]},
    "complex.npz": {"X": np.ones((9, 2), complex), "y": np.ones(9)},
    "other.npz": {"images": X, "y": Y},
    "cubes.npz": {"X": X.reshape(150, 2, 2), "y": Y},
    "nan.npz": {"X": X * np.nan, "y": Y},
    "nan-y.npz": {"X": X, "y": Y * np.nan},
    "short.npz": {"X": X, "y": Y[:9]},
}
TEXT = {
    "twice.csv": "a,b,a\n1,2,3\n",
    "empty.csv": "",
    "header.csv": "a,b\n",
    "wide.csv": "a,b\n1,2,3\n4,5,6\n",
    "ragged.csv": "a,b\n1,2\n4,5,6\n",
    "table.xlsx": "a",
    "fake.npz": "hello",
}


def make(name):
    if name in MADE:
        MADE[name]().to_csv(name, index=False)
    elif name in ARRAYS:
        np.savez(name, **ARRAYS[name], allow_pickle=True)
    elif name in TEXT:
        Path(name).write_text(TEXT[name])
    elif name == "binary.csv":
        Path(name).write_bytes(bytes(range(128, 256)))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("text.csv --target species", "columns farm, soil of 'text.csv' hold text.*--drop"),
        ("missing.csv --target species", r"missing in the columns sepal w \(2\).*--drop"),
        ("no-target.csv --target species", r"'species' is missing in 1 row\(s\).*remove"),
        ("one-class.csv --target species", "only one class, setosa"),
        ("rare.csv --target species", r"1 sample\(s\) of the class odd, and 2 are needed: add"),
        ("rare-number.csv --target species", "of the class 7.*--task regression"),
        ("infinite.csv --target species", "columns petal l of .* infinite"),
        ("alone.csv --target species", "no columns left"),
        ("constant.csv --target target", "is constant, 2.5 in every row"),
        ("small.csv --target target", "3 samples with --test-size 0.25 are too few"),
        ("iris.csv", "--target is missing; the columns of 'iris.csv' are: sepal l, sepal w"),
        ("iris.csv --target kind", "'kind', which is no column.* its columns are: sepal l"),
        ("iris.csv --target species --drop kind", "--drop names 'kind', which is no column"),
        ("iris.csv --target species --drop species", "take it out of --drop"),
        ("iris.csv --target species --task regression", "holds text, such as 'setosa'"),
        ("diabetes.csv --target bmi --task classification", "numbers with decimals.*--task regression"),
        ("diabetes.csv --target target --task classification", "of the class .*--task regression"),
        ("iris.csv --target species --test-size 0.99", "at least 3 and at most 147"),
        ("iris.csv --target species --test-size 0.9 --early-stopping", "too few.*leave out --early-stopping"),
        ("iris.csv --target species --learning-rate 1e9 --solver sgd", "diverged in epoch .* --learning-rate below"),
        ("iris.csv --target species --backend tpu", "'tpu'; allowed: \"numpy\""),
        ("iris.csv --target species --backend cupy:99", "install|cupy:99|nvidia-smi"),
        ("iris.csv --target species --out none/a.safetensors", "folder .*none' is not there: make it"),
        ("iris.csv --target species --out iris.csv", "ends in .safetensors"),
        ("nowhere.csv --target a", "there is no file 'nowhere.csv'"),
        ("digit", "built-in data set is called 'digits'"),
        ("digits --target digit", "leave them out"),
        ("table.xlsx --target a", "ends in '.xlsx', and .csv or .npz is needed"),
        ("twice.csv --target b", "names a more than once"),
        ("empty.csv --target a", "'empty.csv' is empty"),
        ("header.csv --target a", "no rows of data"),
        ("wide.csv --target a", "as many fields as the header"),
        ("ragged.csv --target a", "as many fields as the header"),
        ("binary.csv --target a", "not text in UTF-8"),
        ("text.npz", "dtype <U1; features must be real numbers"),
        ("object.npz", "can't be read as an .npz of numbers.*numpy.savez"),
        ("complex.npz", "dtype complex128"),
        ("other.npz", "no array 'X'; it has: images, y"),
        ("cubes.npz", r"flatten each sample with X.reshape\(len\(X\), -1\)"),
        ("nan.npz", "600 values that are NaN"),
        ("nan-y.npz", "150 values that are NaN"),
        ("short.npz", r"y in 'short.npz' has shape \(9,\)"),
        ("short.npz --target z", "no array 'z'"),
        ("short.npz --drop z", "--drop is for the columns of a .csv"),
        ("fake.npz", "not what numpy.savez writes"),
    ],
)
def test_mistakes_get_one_line(command, message, capsys):
    argv = command.split()
    make(argv[0])
    assert_refused(capsys, message, "train", *argv)


@pytest.mark.parametrize(
    "option",
    "--hidden a|--hidden 5,0|--epochs 0|--test-size 1|--alpha -1|--solver lbfgs|--seed x|--batch-size -3|"
    "--learning-rate 0|--activation step|--task guess|--nonsense".split("|"),
)
def test_options_out_of_range_get_one_line(option, capsys):
    assert_refused(capsys, "see xpnet", "train", "iris.csv", "--target", "species", *option.split())


# --- predict


@pytest.fixture
def flowers(folder, capsys):
    """A trained model of the flowers."""
    succeed(capsys, "train", "iris.csv", "--target", "species", "--epochs", "30", "--learning-rate", "0.01")
    return xpnet.load("iris.safetensors")


def test_predictions_and_score(flowers, capsys):
    out, err = succeed(capsys, "predict", "iris.safetensors", "iris.csv")
    predicted = flowers.predict(FLOWERS.drop(columns="species"))
    assert rows(out) == [["species"], *([label] for label in predicted)]
    n_right = (predicted == FLOWERS["species"]).sum()
    assert err == f"accuracy {n_right / 1.5:.2f} % ({n_right} of 150 right)\n"


def test_probabilities_have_the_classes_names(flowers, capsys):
    out, _ = succeed(capsys, "predict", "iris.safetensors", "iris.csv", "--proba")
    header, *values = rows(out)
    assert header == ["species", "p(setosa)", "p(versicolor)", "p(virginica)"]
    written = np.array([row[1:] for row in values], dtype=float)
    assert (written == flowers.predict_proba(FLOWERS.drop(columns="species"))).all()


def test_columns_are_found_by_name(flowers, capsys):
    straight, _ = succeed(capsys, "predict", "iris.safetensors", "iris.csv")
    FLOWERS.drop(columns="species")[["petal w", "sepal w", "petal l", "sepal l"]].assign(note="x").to_csv("mixed.csv")
    mixed, err = succeed(capsys, "predict", "iris.safetensors", "mixed.csv")
    assert mixed == straight
    assert "note: left out the columns Unnamed: 0, note" in err
    assert "accuracy" not in err


def test_out_is_written_whole_and_stdout_left_empty(flowers, capsys):
    straight, _ = succeed(capsys, "predict", "iris.safetensors", "iris.csv")
    out, err = succeed(capsys, "predict", "iris.safetensors", "iris.csv", "--out", "p.csv")
    assert not out
    assert "150 predictions to p.csv" in err
    assert Path("p.csv").read_text() == straight


def test_arrays_are_taken_in_the_models_order(flowers, capsys):
    np.savez("a.npz", X=X)
    assert succeed(capsys, "predict", "iris.safetensors", "a.npz") == (
        succeed(capsys, "predict", "iris.safetensors", "iris.csv")[0],
        "",
    )


def test_regression_is_scored_in_the_targets_units(capsys):
    succeed(capsys, "train", "diabetes.csv", "--target", "target", "--epochs", "20")
    out, err = succeed(capsys, "predict", "diabetes.safetensors", "diabetes.csv")
    model = xpnet.load("diabetes.safetensors")
    features = PATIENTS.drop(columns="target")
    assert np.array([row[0] for row in rows(out)[1:]], dtype=float).tolist() == model.predict(features).tolist()
    assert err == f"R^2 {model.score(features, PATIENTS['target']):.4f}\n"
    assert_refused(capsys, "--proba needs a classifier", "predict", "diabetes.safetensors", "diabetes.csv", "--proba")


def test_digits_can_be_predicted_and_the_score_is_put_right(capsys):
    succeed(capsys, "train", "digits", *FEW)
    out, err = succeed(capsys, "predict", "digits.safetensors", "digits")
    assert len(rows(out)) == 1798
    assert "seen most of these scans" in err
    assert "accuracy" in err
    pandas.DataFrame(np.zeros((2, 64))).to_csv("blank.csv", index=False)
    assert len(rows(succeed(capsys, "predict", "digits.safetensors", "blank.csv")[0])) == 3
    assert_refused(capsys, "5 features and the model was trained on 64", "predict", "digits.safetensors", "iris.csv")


def test_a_target_that_cant_be_compared_gives_no_score(flowers, capsys):
    FLOWERS.assign(species=Y).to_csv("numbers.csv", index=False)
    make("no-target.csv")
    for name in ("numbers.csv", "no-target.csv"):
        out, err = succeed(capsys, "predict", "iris.safetensors", name)
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
def test_mistakes_in_predict_get_one_line(command, message, flowers, capsys):
    argv = command.split()
    for name in argv:
        make(name)
    code, _, err = run(capsys, "predict", *argv)
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    assert code == 2
    assert len(lines) == 1
    assert re.search(message, lines[0])
    assert not os.path.exists("p.csv")


def test_a_reader_that_goes_away_is_no_error(flowers):
    pandas.concat([FLOWERS] * 300).to_csv("long.csv", index=False)
    command = [sys.executable, "-m", "xpnet", "predict", "iris.safetensors", "long.csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "species\n"
        process.stdout.close()
        assert "Error" not in process.stderr.read()


# --- info, and the rest


def test_info_names_versions_and_backends(capsys, monkeypatch):
    out, _ = succeed(capsys, "info")
    for text in (xpnet.__version__, np.__version__, "GPU", "backend auto      would take", "numpy (the default"):
        assert text in out
    monkeypatch.setenv("XPNET_BACKEND", "numpy")
    assert "backend now       numpy (XPNET_BACKEND=numpy)" in succeed(capsys, "info")[0]
    assert "backend now       numpy (--backend cpu)" in succeed(capsys, "info", "--backend", "cpu")[0]
    assert "(--backend auto: " in succeed(capsys, "info", "--backend", "auto")[0]
    monkeypatch.setenv("XPNET_BACKEND", "tpu")
    assert_refused(capsys, "XPNET_BACKEND is 'tpu'; allowed", "info")


@pytest.mark.gpu
def test_info_checks_every_level_in_every_precision(capsys, monkeypatch):
    pytest.importorskip("cupy", reason="CuPy is not installed")
    monkeypatch.setenv("XPNET_CAPTURE", "off")
    out, _ = succeed(capsys, "info", "--check")
    assert os.environ["XPNET_CAPTURE"] == "off"
    assert "compute capability" in out
    assert re.search(r"precision +graph with epilogues +graph +launches", out)
    for precision in ("float64", "float32", "tf32", "bfloat16"):
        assert re.search(rf"^{precision} +(ok  \S+ \(\S+\) *){{3}}$", out, re.M), out


@pytest.mark.gpu
def test_info_says_which_level_fails(capsys, monkeypatch):
    pytest.importorskip("cupy", reason="CuPy is not installed")
    monkeypatch.setattr("xpnet.program.cuda.replay.captured", lambda ask: 1 / 0)
    monkeypatch.setattr("xpnet.program.cuda.bound_step.captured", lambda ask: 1 / 0)
    code, out, _ = run(capsys, "info", "--check")
    assert code == 1
    assert re.search(r"^float64 +FAILED \[1\] +FAILED \[1\] +ok", out, re.M), out
    assert "[1] division by zero" in out


def test_info_checks_nothing_but_a_gpu(capsys):
    assert_refused(capsys, "--check compares what a GPU computes", "info", "--check", "--backend", "numpy")


def test_summary_prints_the_table_and_draws_the_picture(flowers, capsys):
    out, err = succeed(capsys, "summary", "iris.safetensors", "--svg", "net.svg", "--batch-size", "10")
    assert out.rstrip("\n") == str(xpnet.summary(xpnet.load("iris.safetensors"), batch_size=10))
    assert "batches of 10" in out
    assert "wrote the picture to net.svg" in err
    svg = Path("net.svg").read_text(encoding="utf-8")
    assert svg == xpnet.to_svg(xpnet.load("iris.safetensors"))
    assert_refused(capsys, "the picture is written as .svg", "summary", "iris.safetensors", "--svg", "iris.safetensors")
    assert_refused(capsys, "the folder", "summary", "iris.safetensors", "--svg", "nowhere/net.svg")
    assert_refused(capsys, "is not a model file", "summary", "iris.csv")


def test_the_picture_of_a_regression_names_the_target(capsys):
    succeed(capsys, "train", "diabetes.csv", "--target", "target", "--hidden", "3", *FEW)
    succeed(capsys, "summary", "diabetes.safetensors", "--svg", "net.svg")
    text = Path("net.svg").read_text(encoding="utf-8")
    assert ">target</text>" in text
    assert ">bmi</text>" in text


def test_info_tells_what_a_model_holds(flowers, capsys):
    out, _ = succeed(capsys, "info", "iris.safetensors")
    for text in (
        "format 1, written by xpnet " + xpnet.__version__,
        "MLPClassifier on scaled features",
        "4 -> 100 -> 3, 803 parameters, float64",
        "sepal l, sepal w, petal l, petal w",
        "classes   setosa, versicolor, virginica",
        "target    species",
        "30 epochs",
        "learning_rate_init=0.01",
    ):
        assert text in out
    assert_refused(capsys, "is not a model file", "info", "iris.csv")


def test_auto_says_what_it_took(capsys):
    out, _ = succeed(capsys, "train", "iris.csv", "--target", "species", *FEW, "--backend", "auto")
    assert re.search(r"backend   (numpy|cupy:0) \(--backend auto: .+\)", out)
    assert xpnet.load("iris.safetensors")[-1].backend is None


@pytest.mark.gpu
def test_a_model_trained_on_a_gpu_predicts_on_the_cpu(capsys):
    out, _ = succeed(capsys, "train", "iris.csv", "--target", "species", "--epochs", "30", "--backend", "cupy")
    assert "backend   cupy:0" in out
    on_gpu, _ = succeed(capsys, "predict", "iris.safetensors", "iris.csv", "--backend", "cupy")
    assert succeed(capsys, "predict", "iris.safetensors", "iris.csv")[0] == on_gpu


def test_help_version_and_unknown_commands(capsys):
    out, _ = succeed(capsys)
    assert "train" in out
    assert "predict" in out
    assert succeed(capsys, "--version")[0] == f"xpnet {xpnet.__version__}\n"
    assert "by default" in succeed(capsys, "train", "--help")[0]
    assert_refused(capsys, "invalid choice: 'trian'", "trian")


def test_missing_packages_name_the_install_line(capsys, monkeypatch):
    monkeypatch.setattr("xpnet.cli.importlib.util.find_spec", lambda name: None if name != "sklearn" else "there")
    install = r'pandas and matplotlib not installed: run python -m pip install "xpnet\[cli\]"'
    assert_refused(capsys, install, "train", "digits")
    assert_refused(capsys, install, "predict", "a.safetensors", "iris.csv")
    succeed(capsys, "info")


def test_importing_the_commands_is_cheap():
    code = "import sys, xpnet.cli; print(*{'numpy', 'sklearn', 'pandas', 'matplotlib', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


# --- diagnose and gradcheck


def test_diagnose_says_what_is_wrong_and_exits_with_1(capsys):
    few = FLOWERS[FLOWERS.species != "setosa"]
    few.drop(few.index[few.species == "virginica"][3:]).to_csv("few.csv", index=False)
    succeed(capsys, "train", "few.csv", "--target", "species", "--learning-rate", "1e-6", "--epochs", "20", "--quiet")
    code, out, err = run(capsys, "diagnose", "few.safetensors", "few.csv")
    assert code == 1
    assert err == ""
    assert out.startswith("2 finding(s): 53 samples")
    assert "class imbalance (class virginica): 16.7, threshold 10: " in out
    assert "50 to 3" in out
    assert "set learning_rate_init to 1e-05 (it is 1e-06)" in out
    code, out, _ = run(capsys, "diagnose", "few.safetensors", "few.csv", "--json")
    assert code == 1
    assert [f["kind"] for f in json.loads(out)["findings"]] == ["class imbalance", "learning rate too low"]


@pytest.mark.parametrize(("data", "target"), [("iris.csv", "species"), ("diabetes.csv", "target")])
def test_diagnose_is_silent_where_all_is_well(capsys, data, target):
    succeed(capsys, "train", data, "--target", target, "--learning-rate", "0.003", "--epochs", "600", "--quiet")
    model = data.replace(".csv", ".safetensors")
    out, err = succeed(capsys, "diagnose", model, data)
    assert out.startswith("nothing found: ")
    assert err == ""


def test_diagnose_and_gradcheck_refuse(capsys):
    succeed(capsys, "train", "iris.csv", "--target", "species", *FEW, "--quiet")
    FLOWERS.drop(columns="species").to_csv("no.csv", index=False)
    for command in ("diagnose", "gradcheck"):
        assert_refused(capsys, "lacks the target species", command, "iris.safetensors", "no.csv")
        assert_refused(capsys, "there is no file 'x.safetensors'", command, "x.safetensors", "iris.csv")
        assert_refused(capsys, "backend is 'abacus'", command, "iris.safetensors", "iris.csv", "--backend", "abacus")
    assert_refused(capsys, "FILE is missing", "gradcheck", "iris.safetensors")


def test_the_target_of_a_model_saved_from_python_is_named(capsys):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import xpnet

    X, y = FLOWERS.drop(columns="species"), FLOWERS["species"]
    settings = {"learning_rate_init": 0.01, "max_iter": 200, "tol": 0.0, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged, or early
        pipe = make_pipeline(StandardScaler(), xpnet.MLPClassifier((5,), **settings)).fit(X, y)
    path = xpnet.save(pipe, "plain.safetensors") or "plain.safetensors"
    for command in ("gradcheck", "diagnose", "explain"):
        for target, lacked in (((), "y"), (("--target", "size"), "size")):
            code, _, err = run(capsys, command, str(path), "iris.csv", *target)
            assert code == 2
            assert f"lacks the target {lacked}, which {command} needs: add it, or name its column with --target" in err
        code, out, err = run(capsys, command, str(path), "iris.csv", "--target", "species")
        assert code in ((0, 1) if command == "diagnose" else (0,)), err
        assert out
        assert_refused(capsys, "'digits' knows its target", command, str(path), "digits", "--target", "y")


def test_gradcheck_of_a_model(capsys):
    succeed(capsys, "train", "iris.csv", "--target", "species", "--activation", "tanh", *FEW, "--quiet")
    for every, looked_at in (((), "5 directions of 803"), (("--every",), "each of 803")):
        out, _ = succeed(capsys, "gradcheck", "iris.safetensors", "iris.csv", *every)
        error = float(re.search(r"right: off by (\S+) of its norm", out)[1])
        assert error <= 1e-12
        assert looked_at in out


def test_gradcheck_of_the_package(capsys):
    out, _ = succeed(capsys, "gradcheck")
    from xpnet.equations import activations, losses

    for f in activations.BY_NAME.values():
        assert f"activation {type(f).__name__} " in out
    for loss in losses.BY_NAME.values():
        assert f"loss {type(loss).__name__} " in out
    n = len(re.findall(r"right: off by \S+", out))
    assert f"{n} of {n} gradients are right" in out


def test_gradcheck_of_the_package_has_every_layer():
    from xpnet.cli.gradcheck import LAYERS
    from xpnet.equations import dropout, layers

    homes = {**vars(layers), **vars(dropout)}.values()
    kinds = {kind for kind in homes if hasattr(kind, "shapes")} - {layers.Layer}
    assert len(kinds) >= 3
    assert {type(layer) for layer in LAYERS} >= kinds


def test_gradcheck_finds_a_wrong_gradient_in_the_package(capsys, monkeypatch):
    from xpnet.equations.losses import HalfSquaredError

    def doubled(self, Z, Y):
        E = Z - Y
        return E * E, E

    monkeypatch.setattr(HalfSquaredError, "per_element", doubled)
    code, out, err = run(capsys, "gradcheck")
    assert code == 1
    assert err == ""
    assert len(re.findall("the gradient is wrong", out)) == 1
    assert re.search(r"loss HalfSquaredError +the gradient is wrong: .* worst Z\[", out)


def test_gradcheck_of_the_package_needs_numpy_alone():
    code = (
        "import sys\n"
        "for name in ('sklearn', 'pandas', 'matplotlib', 'rich'): sys.modules[name] = None\n"
        "from xpnet.cli import main\n"
        "sys.exit(main(['gradcheck']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "gradients are right" in done.stdout
