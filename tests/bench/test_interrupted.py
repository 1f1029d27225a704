"""A run that is cut short: what it has measured is kept, and the page says what is missing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import report

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "bench" / "gpu_report.sh"
STANDIN = """#!/usr/bin/env bash
# Python, but the parts of a report are played; the benchmark is killed after its first cases.
case "$*" in
    *get_backend*) ;;
    *--check*) echo "bfloat16 | FAILED"; exit 1 ;;
    *"-m gpu"*) echo "$XPNET_CAPTURE, 9 passed" ;;
    *"pytest bench"*) cd "$(dirname "$0")"/report/run-*; cp {record} bench.json; kill -9 $$ ;;
    *) exec {python} "$@" ;;
esac
"""
needs_bash = pytest.mark.skipif(os.name != "posix" or not shutil.which("bash"), reason="needs a POSIX shell")


def test_a_killed_run_keeps_its_cases(tmp_path):
    path = tmp_path / "bench.json"
    command = [sys.executable, "-m", "pytest", "bench", "--peers", "", "--json", str(path), "-p", "no:cacheprovider"]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 60
        while not path.exists() or not json.loads(path.read_text())["results"]:
            assert time.monotonic() < ends
            assert run.poll() is None
            time.sleep(0.01)
    finally:
        run.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        run.wait()
    record = json.loads(path.read_text())
    assert record["results"]
    assert record["missing"][-1] == "step-256-256-256-10@64-GradientDescent-float32"
    page = report.write(record, tmp_path).read_text()
    assert f"Not reached, {len(record['missing'])} cases: `{record['missing'][0]}`" in page
    assert report.name(record["results"][0]) in page


def script(tmp_path, python):
    """What gpu_report.sh does: the process, and the folder that it would write into."""
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(python), "OUT": str(tmp_path / "report")}
    environment["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, timeout=120)
    return done, tmp_path / "report"


@needs_bash
def test_without_a_gpu_nothing_is_written(tmp_path):
    done, folder = script(tmp_path, sys.executable)
    assert done.returncode == 2
    assert done.stderr.startswith("No report without a GPU: ")
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert not folder.exists()


@needs_bash
def test_what_fails_is_reported_and_the_rest_runs(tmp_path):
    python = tmp_path / "python"
    python.write_text(STANDIN.format(record=Path(__file__).parent / "record.json", python=sys.executable))
    python.chmod(0o755)
    done, folder = script(tmp_path, python)
    assert done.returncode == 1, done.stderr
    (page,) = folder.glob("*.md")
    text = page.read_text()
    assert "| check | FAILED (1) |" in text
    assert "    bfloat16 | FAILED" in text
    assert "require, 9 passed" in text
    assert "| bench | KILLED |" in text
    assert "64-32-10 @ 32, GD, float32" in text
    assert (page.with_suffix(".json")).exists()
    assert list(folder.glob("run-*/bench.log"))
