"""The page of a run, from a small one that was recorded with two rounds on two cores of a CPU."""

import copy
import itertools
import json
import re
from pathlib import Path

import bars
import matplotlib.pyplot as plt
import parts
import pytest
import report
from chart import _longest, apart, charts

RECORD = json.loads((Path(__file__).parent / "record.json").read_text())


@pytest.fixture
def record():
    """A copy to change."""
    return copy.deepcopy(RECORD)


def cells(table):
    """The table's rows, the head first."""
    lines = [line for line in table.splitlines() if not set(line) <= set("| -")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def on_gpu(record, **seconds):
    """The record's steps as they would be had CuPy taken so long: numbers for the test alone."""
    steps = [result for result in record["results"] if result["path"] == "step"]
    for result in steps:
        for name, time in seconds.items():
            found = {"seconds": time * result["flops"] ** 0.5, "host": time, "noise": 0.0, "memory": 1 << 20}
            result["contenders"][name.replace("_", " ")] = found
        result["ratios"]["cupy"] = {"limit": [2.0, 1.9, 2.1, 11]}
    return steps


def test_a_line_for_each_case(record):
    head, *rows = cells(report.ratios(record))
    assert len(rows) == len(record["results"])
    assert head[:4] == ["path", "net @ batch", "xpnet on", "/ limit"]
    assert "/ torch graph" not in head, "a column in which nothing was measured"
    update = rows[0]
    assert update[:3] == ["update", "64-32-10 @ 32, GD, float32", "numpy"]
    found = record["results"][0]["ratios"]["numpy"]["limit"]
    assert update[3] == f"{found[0]:.2f} (2 rounds)"


def test_an_interval_is_written_where_there_is_one(record):
    record["results"][0]["ratios"]["numpy"]["limit"] = [1.2345, 1.2, 1.3, 31]
    assert cells(report.ratios(record))[1][3] == "1.234 [1.200, 1.300]"


def test_rates(record):
    head, *rows = cells(report.figures(record))
    by_path = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    step = next(result for result in record["results"] if result["path"] == "predict")
    seconds = step["contenders"]["numpy"]["seconds"]
    assert float(by_path["predict"]["GFLOP/s"]) == pytest.approx(step["flops"] / seconds / 1e9, rel=1e-3)
    update, own = record["results"][0], record["results"][0]["contenders"]["numpy"]["seconds"]
    assert float(by_path["update"]["elementwise GB/s"]) == pytest.approx(update["bytes"] / own / 1e9, rel=0.01)
    assert by_path["update"]["GFLOP/s"] == ""


def test_a_bar_is_met_by_the_intervals_upper_end(record):
    result = record["results"][0]
    result |= {"bar": 1.3, "path": "epoch"}
    for high, said in ((1.29, "met"), (1.31, "not met")):
        result["ratios"]["numpy"]["limit"] = [1.2, 1.1, high, 31]
        assert cells(bars.on_two_cores(record))[1][-1] == said
    result["bar"] = None
    assert bars.on_two_cores(record) == ""


def test_the_limit_stands_beside_the_time(record):
    (first, *_) = on_gpu(record, cupy=3e-9, cupy_limit=2e-9)
    first["contenders"]["cupy limit"] |= {"seconds": 1e-9}
    head, *rows = cells(report.figures(record))
    row = next(row for row in rows if row[2] == "cupy")
    assert float(row[head.index("ms its limit")]) == pytest.approx(1e-6)


def test_where_the_gpu_takes_over(record):
    steps = [result for result in on_gpu(record, cupy=1.0) if len(result["widths"]) == 4]
    for result, numpy, cupy in zip(steps, (1.0, 4.0), (2.0, 2.0), strict=True):
        result["contenders"]["numpy"]["seconds"], result["contenders"]["cupy"]["seconds"] = numpy, cupy
    (_, row) = cells(report.crossovers(record))
    between = (steps[0]["flops"] * steps[1]["flops"]) ** 0.5
    assert row[-1] == f"from {between:.2g} FLOPs a step"
    assert report.crossovers(RECORD) == ""


def test_equal_failures_are_told_once(record):
    for result in record["results"]:
        result["failed"] = {"torch": "PeerError: no | luck\nmore"}
    _, row = cells(report.failures(record))
    assert row[:3] == ["torch", "PeerError: no / luck", str(len(record["results"]))]


def test_the_page_names_the_machine_and_everything_has_a_place(record, tmp_path):
    record["means"] = {"numpy": {"torch": [0.5, 0.4, 0.6, 12]}}
    page = report.write(record, tmp_path)
    assert page.name == "amd-epyc-2-cores-2026-11-21.md"
    text = page.read_text()
    for said in (record["NumPy"], record["commit"], *record["peers"].values(), "0.500 [0.400, 0.600]"):
        assert said in text
    assert json.loads(page.with_suffix(".json").read_text())["means"] == record["means"]
    assert "GPU takes over" not in text


def test_a_picture_needs_three_points(record, tmp_path):
    assert charts(record, tmp_path / "none") == []
    wide = copy.deepcopy(next(result for result in record["results"] if result["widths"][0] == 256))
    wide["widths"] = [512, 512, 512, 10]
    record["results"].append(wide)
    page = report.write(record, tmp_path).read_text()
    (drawn,) = tmp_path.glob("*.png")
    assert f"({drawn.name})" in page
    height, width, _ = plt.imread(drawn).shape
    assert (width, height) == (1600, 992)


def test_names_at_the_ends_of_lines_do_not_touch():
    moved = apart([10.0, 11.0, 12.0, 50.0], 5.0, 0.0, 100.0)
    assert all(b - a > 4.9 for a, b in itertools.pairwise(moved))
    assert moved[3] == 50.0
    assert max(apart([98.0, 99.0], 5.0, 0.0, 100.0)) <= 100.0


def test_a_net_measured_twice_is_one_point(record):
    wide = [result for result in record["results"] if result["path"] == "step" and len(result["widths"]) == 4]
    again = [copy.deepcopy(result) for result in wide]
    for result in again:
        own = result["contenders"]["numpy"]
        result["contenders"] = {"numpy": own | {"seconds": 9.0}, "torch compile": own}
    points = _longest({"results": wide + again}, "width", "batch")
    assert [point["width"] for point in points] == [128, 256]
    assert all("torch compile" in point["contenders"] for point in points)
    assert all(point["contenders"]["numpy"]["seconds"] < 9.0 for point in points)


def test_parts(tmp_path):
    (tmp_path / "parts.tsv").write_text("check\t0\t5\nfirst\t1\t9\ntests\t0\t60\nbench\t124\t300\n")
    for name in ("check", "first", "tests", "bench"):
        (tmp_path / f"{name}.log").write_text("".join(f"{name} {i}\n" for i in range(99)))
    (tmp_path / "bench.log").write_text("a.py::test FAILED\n" + "passed\n" * 99)
    text = parts.markdown(parts.read(tmp_path))
    assert "check 0\n    check 1\n" in text, "the whole table of the check"
    assert cells(text)[2] == ["first", "FAILED (1)", "9 s", "first 98"]
    assert "| bench | OUT OF TIME | 300 s |" in text
    assert "    a.py::test FAILED\n    passed\n" in text, "what failed before the end of the log"
    assert re.findall(r"^From the log of (\w+):$", text, flags=re.MULTILINE) == ["check", "first", "bench"]
    assert parts.markdown(parts.read(tmp_path / "empty")) == ""
