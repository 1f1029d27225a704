"""The walk in the estimators' README: the files that one minibatch passes on its way to new weights, as traced."""

import re
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_iris

import xpnet
import xpnet.estimators

PACKAGE = Path(xpnet.__file__).parent
README = (PACKAGE / "estimators" / "README.md").read_text(encoding="utf-8")


def first_entries(fit):
    """The files in the order in which they are first entered: the estimators' up to the step, then all in the step."""
    entered, stage = [], "before the step"

    def look(frame, event, _):
        nonlocal stage
        path, function = Path(frame.f_code.co_filename), frame.f_code.co_name
        if not path.is_relative_to(PACKAGE):
            return
        file = path.relative_to(PACKAGE).as_posix()
        is_step = file == "step.py" and function == "step"
        if event == "call":
            stage = "the step" if is_step and stage == "before the step" else stage
            is_asked = stage == "the step" or (stage == "before the step" and file.startswith("estimators/"))
            if is_asked and file not in entered:
                entered.append(file)
        elif event == "return" and is_step:
            stage = "after the step"

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        fit()
    finally:
        sys.setprofile(before)
    assert stage == "after the step"
    return entered


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_walk_is_what_a_minibatch_does(monkeypatch):
    monkeypatch.setenv("XPNET_REPLAY", "off")
    X, y = load_iris(return_X_y=True)
    model = xpnet.MLPClassifier(max_iter=1, random_state=0)
    entered = first_entries(lambda: model.fit(X, y))
    listed = re.findall(r"^\d+\. `([^`]+)`: ", README, re.MULTILINE)
    left_out = re.findall(r"`([a-z_/]+(?:\.py)?)`", re.search(r"^Left out.*?\n\n", README, re.MULTILINE | re.DOTALL)[0])
    assert len(left_out) == 6

    def is_left_out(file):
        return any(file == other or (other.endswith("/") and file.startswith(other)) for other in left_out)

    assert [file for file in entered if not is_left_out(file)] == listed
    assert len(listed) == len(set(listed)) <= 12
    for other in left_out:
        assert any(file.startswith(other) for file in entered), f"{other} is not entered at all"


def test_every_file_of_the_folder_is_in_the_table():
    files = {path.name for path in (PACKAGE / "estimators").glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"`(\w+\.py)`", README.partition("## The walk")[0])) == files
