"""The first level, the step to a lower one, and the comparison of results."""

import numpy as np
import pytest

from xpnet.program.cuda.levels import TOLERANCES, Disagreement, LevelError, compare, difference, first_level, step_down

NAMES = "XPNET_REPLAY", "XPNET_CAPTURE", "XPNET_EPILOGUES"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, "graph"),
        ({"XPNET_CAPTURE": "require"}, "graph"),
        ({"XPNET_CAPTURE": "OFF"}, "launches"),
        ({"XPNET_EPILOGUES": "on"}, "graph with epilogues"),
        ({"XPNET_EPILOGUES": "on", "XPNET_CAPTURE": "off"}, "launches"),
        ({"XPNET_REPLAY": "0", "XPNET_EPILOGUES": "1"}, "definitions"),
    ],
    ids=str,
)
def test_the_first_level(settings, level, monkeypatch):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert first_level() == level


@pytest.mark.parametrize("name", NAMES)
def test_a_value_that_is_not_allowed_is_an_error(name, monkeypatch):
    monkeypatch.setenv(name, "perhaps")
    with pytest.raises(ValueError, match=f"{name} is 'perhaps'; allowed: on, off"):
        first_level()


def test_only_capture_can_be_required(monkeypatch):
    monkeypatch.setenv("XPNET_REPLAY", "require")
    with pytest.raises(ValueError, match="XPNET_REPLAY"):
        first_level()


def test_a_step_to_a_lower_level_gives_one_warning_with_all_details():
    with pytest.warns(RuntimeWarning) as caught:
        step_down("graph", "launches", Disagreement("they differ by 1"), "a GPU (compute capability 9.0; CuPy 14)")
    (warning,) = caught
    for part in ('level "graph"', "Disagreement: they differ by 1", "capability 9.0; CuPy 14", "XPNET_CAPTURE=off"):
        assert part in str(warning.message)


def test_a_required_level_that_fails_is_an_error(monkeypatch):
    monkeypatch.setenv("XPNET_CAPTURE", "require")
    with pytest.raises(LevelError, match="XPNET_CAPTURE=require"):
        step_down("graph", "launches", Disagreement("they differ"), "a GPU")


# --- how much results may differ


def results(rng, dtype):
    """theta, a moment and a cost before a step and after it."""
    before = [rng.normal(size=1000).astype(dtype), np.zeros(1000, dtype), np.zeros((), dtype)]
    moved = rng.normal(size=1000).astype(dtype)
    return before, [before[0] - dtype(1e-2) * moved, moved, np.asarray(2, dtype)]


@pytest.mark.parametrize("precision", TOLERANCES)
def test_a_wrong_element_is_a_disagreement_and_rounding_is_not(precision, rng):
    dtype = np.float64 if precision == "float64" else np.float32
    before, after = results(rng, dtype)
    compare("these", after, after, before, precision)
    noise = {"float64": 1e-13, "float32": 1e-6, "tf32": 1e-3, "bfloat16": 1e-2}[precision]
    near = [b + noise * (b - a) * rng.normal(size=b.shape) for a, b in zip(before, after, strict=True)]
    compare("these", [a.astype(dtype) for a in near], after, before, precision, True)
    for k in range(3):
        wrong = [a.copy() for a in after]
        wrong[k][...] = np.roll(wrong[k], 1) if wrong[k].ndim else 2.5
        with pytest.raises(Disagreement, match=precision):
            compare("these", wrong, after, before, precision)


def test_differences_are_relative_to_what_a_step_changes(rng):
    before = [np.full(10, 8.0)]
    after = [before[0] + 1e-3]
    assert difference([after[0] + 1e-6], after, before, "float64") == pytest.approx(1e-3, rel=1e-2)


def test_equal_results_of_a_step_that_changes_nothing():
    same = [np.ones(3, np.float32)]
    assert difference(same, same, same, "float32") == 0.0
    compare("these", [same[0] * np.float32(1 + 1e-7)], same, same, "float32")


def test_the_same_elements_must_be_finite_in_both_results():
    a, b = np.array([1.0, np.nan]), np.array([1.0, 2.0])
    assert difference([a], [a], [b], "float64") == 0.0
    assert difference([b], [a], [b], "float64") == np.inf
    assert difference([a], [b], [b], "float64") == np.inf


def test_an_element_without_a_gradient_is_compared_by_its_moment(rng):
    """Adam turns a rounding error into a step of full size."""
    before, after = results(rng, np.float32)
    after[1][3] = 1e-9
    ours = [a.copy() for a in after]
    ours[0][3] += 2e-2
    assert difference(ours, after, before, "float32") > 0.1
    assert difference(ours, after, before, "float32", has_slots=True) == 0.0
