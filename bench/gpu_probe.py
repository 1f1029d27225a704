"""What the CuPy border rests on, asked of the GPU itself, each question in a process of its own.

python bench/gpu_probe.py [--json probes.json]

A probe fails with its error where something is missing or the answer is not the one that the border was written for.
GB/s count each operand read once and each result written once; beside them stands a copy from device to device.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from probes import PROBES, Figures

PATIENCE = 45.0
"""Seconds for one probe."""


def asked(name: str) -> Figures:
    """The probe in a fresh process: what it found, or its error."""
    start, found = time.monotonic(), {"probe": name}
    try:
        command = [sys.executable, __file__, "--one", name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        last = lines[-1] if lines else f"exit status {done.returncode}, and nothing said"
        found |= {"ok": True, "found": json.loads(last)} if done.returncode == 0 else {"ok": False, "error": last}
    except subprocess.TimeoutExpired:
        found |= {"ok": False, "error": f"no answer within {PATIENCE:.0f} s"}
    return found | {"seconds": round(time.monotonic() - start, 1)}


def main() -> None:
    """Ask each, say what it found, and exit with 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=PROBES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(PROBES[given.one]()))
        return
    answers = []
    for name in PROBES:
        answers.append(asked(name))
        print(json.dumps(answers[-1]), flush=True)
        if given.json:
            given.json.write_text(json.dumps(answers, indent=1) + "\n")
    sys.exit(not all(answer["ok"] for answer in answers))


if __name__ == "__main__":
    main()
