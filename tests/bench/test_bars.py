"""The bars of a report: which ratios they cover, and when they are met."""

import bars
import pytest

STEP = {
    "path": "step",
    "widths": [2048, 2048, 10],
    "batch": 256,
    "optimizer": "Adam",
    "precision": "float32",
    "hidden": "relu",
    "bar": None,
}


def ratios(**given):
    """A step's result with ratios whose intervals reach from 0.9 to 1.1 times the median."""
    of_cupy = {other.replace("_", " "): [r, 0.9 * r, 1.1 * r, 11] for other, r in given.items()}
    return STEP | {"ratios": {"cupy": of_cupy}}


def rows(*results):
    """The table's rows by (bar, precision): what is said of the worst ratio, and of the bar."""
    lines = bars.on_a_gpu({"results": list(results)}).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {(said, precision): rest for said, precision, *rest in cells}


EAGER, SMALL, COMPILED, PRODUCTS = (bar.said for bar in bars.ON_A_GPU)


def test_each_bar_has_its_worst_ratio():
    found = rows(ratios(torch=0.2, torch_fused=0.5, torch_compile=0.9, limit=1.0), ratios(torch=0.9))
    assert found[EAGER, "float32"][1:3] == ["0.900 [0.810, 0.990]", "torch"]
    assert found[EAGER, "float32"][-2:] == ["3 of 3", "met"]
    assert found[SMALL, "float32"][1:3] == ["0.900 [0.810, 0.990]", "torch"]
    assert found[SMALL, "float32"][-2:] == ["1 of 3", "not met"]
    assert found[COMPILED, "float32"][-2:] == ["1 of 1", "met"]
    assert found[PRODUCTS, "float32"][-2:] == ["0 of 1", "not met"], "the interval reaches above 1 / 0.95"
    assert found[EAGER, "tf32"][-1] == "not measured"
    assert (PRODUCTS, "bfloat16") not in found


@pytest.mark.parametrize(
    ("change", "bar"),
    [({"batch": 512}, SMALL), ({"widths": [2048, 1024, 10]}, PRODUCTS), ({"path": "forward"}, EAGER)],
)
def test_a_bar_covers_its_cases_only(change, bar):
    measured = ratios(torch=0.1, limit=1.0)
    assert rows(measured)[bar, "float32"][-1] != "not measured"
    assert rows(measured, measured | change)[bar, "float32"] == rows(measured)[bar, "float32"]


def test_without_an_interval_no_bar_is_met():
    measured = ratios()
    measured["ratios"]["cupy"]["torch"] = [0.1, None, None, 2]
    assert rows(measured)[EAGER, "float32"][-2:] == ["0 of 1", "not met"]


def test_a_run_on_numpy_has_no_bars_of_a_gpu():
    assert bars.on_a_gpu({"results": [STEP | {"ratios": {"numpy": {"torch": [1.0, 1.0, 1.0, 11]}}}]}) == ""
