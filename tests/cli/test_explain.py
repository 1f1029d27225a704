"""``xpnet explain`` as a user runs it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xpnet.cli import arguments, main
from xpnet.examples.documents import EXAMPLES

WITHOUT = "import sys; sys.modules.update(dict.fromkeys(['sklearn', 'pandas', 'matplotlib', 'rich', 'scipy']))\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Each test in a folder of its own."""
    monkeypatch.chdir(tmp_path)


def run(capsys, *argv):
    """Exit code, stdout and stderr of a command."""
    capsys.readouterr()
    try:
        code = main(["explain", *argv])
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def shown(capsys, *argv):
    code, out, err = run(capsys, *argv)
    assert code == 0, err
    return out


@pytest.mark.parametrize("what", ["exercise", "D0", "D1", "D2", "D3", "D4"])
def test_documents_need_nothing_but_numpy(what):
    code = f"{WITHOUT}from xpnet.cli import main; sys.exit(main(['explain', '{what}']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert f"\n{what[:2] if what != 'exercise' else 'D4'}" in f"\n{done.stdout}"
    assert re.search(r"check +(\d+) of \1 gradients agree", done.stdout)


def test_the_documents_of_the_command_are_all_there_are():
    assert arguments.DOCUMENTS == tuple(EXAMPLES)


def test_without_scikit_learn_the_rest_says_what_is_missing():
    code = f"{WITHOUT}from xpnet.cli import main; sys.exit(main(['explain', 'digits']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "scikit-learn" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_exercise_beside_the_document(capsys):
    out = " ".join(shown(capsys, "exercise").split())
    assert out.count(": the same") == 15
    assert "the document prints w_35; w_45, new = -3; -1: the same" in out
    assert "NOT THE SAME" not in out


def test_both_networks_of_d2_and_d3(capsys):
    assert "D2, section 2: the perceptron" in (out := shown(capsys, "D2"))
    assert "D2, section 3: a multilayer perceptron" in out
    assert len(json.loads(shown(capsys, "D3", "--format", "json"))) == 2
    assert shown(capsys, "D3", "--format", "html").count('class="xpnet-step"') == 2


def test_formats_and_files(capsys):
    assert shown(capsys, "exercise", "--format", "markdown").startswith("# D4")
    for name, begins in (("a.txt", "D4"), ("a.md", "# D4"), ("a.html", "<!DOCTYPE html>"), ("a.json", "{")):
        assert shown(capsys, "exercise", "--out", name) == ""
        assert Path(name).read_text(encoding="utf-8").startswith(begins)


def test_options(capsys):
    assert "central differences" not in shown(capsys, "D0", "--no-check")
    fast = json.loads(shown(capsys, "D1", "--format", "json", "--learning-rate", "2"))
    assert {q["name"]: q for q in fast["quantities"]}["rate"]["values"] == 2.0
    assert "by numpy" in shown(capsys, "exercise", "--backend", "numpy")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("exercise", "--out", "a.pdf"), r"--out is 'a.pdf'.*\.txt, \.md, \.html, \.json"),
        (("exercise", "--out", "a.md", "--format", "html"), "is for markdown, and --format is html"),
        (("exercise", "--out", "nowhere/a.md"), "the folder .*nowhere' is not there"),
        (("exercise", "--learning-rate", "0.2"), "those of the learning rate 0.1"),
        (("D0", "--batch-size", "2"), "brings its own samples"),
        (("D0", "data.csv"), "brings its own samples"),
        (("m.safetensors",), "FILE is missing: give samples .* xpnet explain m.safetensors FILE"),
        (("D0", "--target", "y"), "brings its own samples"),
        (("digits", "--target", "y"), "brings its own samples"),
        (("D7",), "'D7' is none of exercise, D0, .*digits; for a saved model give its data file"),
        (("D0", "--format", "pdf"), "invalid choice"),
        (("missing.safetensors", "data.csv"), "missing.safetensors"),
        (("exercise", "--backend", "abacus"), "backend is 'abacus'"),
        ((), "required: exercise"),
    ],
)
def test_mistakes_are_one_line(argv, message, capsys):
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert len(err.splitlines()) == 1, err
    assert re.search(message, err), err
    assert list(Path().iterdir()) == []


def test_a_terminal_that_lacks_letters():
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(sys.modules["xpnet"].__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "xpnet", "explain", "exercise"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "dW2 = A1? dZ2" in done.stdout


# --- what needs scikit-learn and pandas


@pytest.fixture
def tables():
    """A table for classification and one for regression."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    iris = datasets.load_iris(as_frame=True)
    iris.data.assign(species=iris.target_names[iris.target]).to_csv("iris.csv", index=False)
    datasets.load_diabetes(as_frame=True, scaled=False).frame.to_csv("patients.csv", index=False)
    return pandas


def test_digits(tables, capsys):
    found = json.loads(shown(capsys, "digits", "--format", "json", "--batch-size", "8"))
    by_name = {q["name"]: q for q in found["quantities"]}
    assert by_name["X"]["shape"] == [8, 64]
    assert {q["check"]["verdict"] for q in found["quantities"] if "check" in q} <= {"agrees", "kink"}


@pytest.mark.parametrize(("data", "target"), [("iris.csv", "species"), ("patients.csv", "target")])
def test_a_saved_model_on_its_table(data, target, tables, capsys):
    few = "--epochs", "3", "--hidden", "5", "--quiet", "--out", "m.safetensors"
    assert main(["train", data, "--target", target, *few]) == 0
    options = "--format", "json", "--batch-size", "7", "--learning-rate", "0.5"
    found = json.loads(shown(capsys, "m.safetensors", data, *options))
    by_name = {q["name"]: q for q in found["quantities"]}
    assert by_name["X"]["shape"][0] == 7
    assert abs(np.asarray(by_name["Y"]["values"])).max() < 4.0  # scaled, or 0 and 1
    assert {q["check"]["verdict"] for q in found["quantities"] if "check" in q} <= {"agrees", "kink"}
    assert "A step of m.safetensors" in found["title"]
    assert found["notes"] == [
        "A model file holds no optimizer slots: this step starts with new ones; training would have kept its own."
    ]
    assert not np.any(by_name["m of W1"]["values"])
    if target == "species":  # the table is sorted by it
        assert set(np.argmax(by_name["Y"]["values"], axis=1)) == {0, 1, 2}
    tables.read_csv(data).drop(columns=target).to_csv("without.csv", index=False)
    code, _, err = run(capsys, "m.safetensors", "without.csv")
    assert code == 2
    assert f"lacks the target {target}" in err
    assert "--target" in err
