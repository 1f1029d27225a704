"""``xpnet info --check``."""

import contextlib
import os
import re
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.mark.gpu
def test_info_checks_every_level_in_every_precision(monkeypatch, succeed):
    pytest.importorskip("cupy", reason="CuPy is not installed")
    monkeypatch.setenv("XPNET_CAPTURE", "off")
    out, _ = succeed("info", "--check")
    assert os.environ["XPNET_CAPTURE"] == "off"
    assert "compute capability" in out
    assert re.search(r"precision +graph with epilogues +graph +launches", out)
    for precision in ("float64", "float32", "tf32", "bfloat16"):
        assert re.search(rf"^{precision} +(ok  \S+ \(\S+\) *){{3}}$", out, re.M), out


@pytest.mark.gpu
def test_info_says_which_level_fails(monkeypatch, run):
    pytest.importorskip("cupy", reason="CuPy is not installed")

    monkeypatch.setattr("xpnet.program.cuda.replay.captured", lambda ask: 1 / 0)
    monkeypatch.setattr("xpnet.program.cuda.bound_step.captured", lambda ask: 1 / 0)
    code, out, _ = run("info", "--check")
    assert code == 1
    assert re.search(r"^float64 +FAILED \[1\] +FAILED \[1\] +ok", out, re.M), out
    assert "[1] division by zero" in out


def test_rows_before_a_gpu_that_fails_are_kept(monkeypatch, run):
    pytest.importorskip("cupy", reason="CuPy is not installed")
    from xpnet.cli import gpu_check

    def cell(gpu, precision, level, notes):
        if precision == "tf32":
            raise RuntimeError("an illegal memory access was encountered")
        return f"FAILED [{gpu_check._noted(notes, ArithmeticError(precision))}]"

    gpu = SimpleNamespace(name="cupy:0", active=contextlib.nullcontext)
    monkeypatch.setattr(gpu_check, "get_backend", lambda name: gpu)
    monkeypatch.setattr("xpnet.program.cuda.launches.device_name", lambda: "a GPU")
    monkeypatch.setattr(gpu_check, "_cell", cell)
    code, out, err = run("info", "--check")
    assert (code, err) == (2, "xpnet info: error: an illegal memory access was encountered\n")
    assert re.search(r"^device +a GPU\n\nprecision .*\nfloat64 +FAILED \[1\] .*\nfloat32 +FAILED \[2\]", out)
    assert "\n[1] float64\n[2] float32\n" in out


@pytest.mark.parametrize(("change", "cell"), [(0.0, "ok  0e+00 (1e-04)"), (1e-2, "FAILED [1]")])
def test_a_level_that_disagrees_with_the_definitions_fails(change, cell, monkeypatch):
    pytest.importorskip("cupy", reason="CuPy is not installed")
    from xpnet.cli import gpu_check
    from xpnet.program.cuda.replay import chosen_levels

    def trained(gpu, precision, level):
        if level is not None:
            monkeypatch.setitem(chosen_levels, "a program", level)
        return [np.full(3, 2.0 + (change if level else 0.0), "float32")] * 2, [np.ones(3, "float32")] * 2

    monkeypatch.setattr(gpu_check, "_trained", trained)
    notes = []
    assert gpu_check._cell(None, "float32", "graph", notes) == cell
    if change:
        assert "differ by 1.0e-02 of what a step changes, and 1e-04 is allowed in float32" in notes[0]


def test_info_checks_nothing_but_a_gpu(refused):
    refused("--check compares what a GPU computes", "info", "--check", "--backend", "numpy")
