"""scikit-learn's own tests of its multilayer perceptron, from its installed package, run against xpnet's classes."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

# A case that can't hold for a class with another inside: its name, and the reason.
CANNOT_HOLD: dict[str, str] = {}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What became of each case. A process of its own: the classes are swapped before the module is imported."""
    folder = tmp_path_factory.mktemp("scikit_learns_own")
    xml = folder / "report.xml"
    path = [str(Path(__file__).parents[1]), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    command = [sys.executable, "-m", "pytest", "-p", "scikit_learns_classes_swapped", "-p", "no:cacheprovider"]
    command += ["-c", os.devnull, f"--rootdir={folder}", f"--junitxml={xml}", "-q"]
    command += ["--pyargs", "sklearn.neural_network.tests.test_mlp"]
    # One thread a product: these networks are small, and the tests run beside others.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert xml.exists(), done.stdout + done.stderr
    return list(ET.parse(xml).getroot().iter("testcase")), done.stdout


def test_every_case_passes(report):
    cases, said = report
    assert len(cases) >= 59, said
    ended = {case.get("name"): [child.tag for child in case] for case in cases}
    not_passed = {name for name, tags in ended.items() if {"failure", "error", "skipped"} & set(tags)}
    assert not_passed == set(CANNOT_HOLD), said
