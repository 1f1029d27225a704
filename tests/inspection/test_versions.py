"""Versions are printed, those of the GPU and the BLAS among them."""

import sys

import numpy as np
import pytest

from xpnet import show_versions


def test_versions_are_printed(capsys):
    show_versions()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["numpy"] == np.__version__
    assert set(lines) >= {"python", "xpnet", "array-api-compat", "scikit-learn", "cupy", "GPU", "CPU", "BLAS"}


def test_versions_without_threadpoolctl(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    show_versions()
    assert "threadpoolctl is not installed" in capsys.readouterr().out


@pytest.mark.gpu
def test_the_gpu_is_named(capsys):
    show_versions()
    assert "NVIDIA" in capsys.readouterr().out
