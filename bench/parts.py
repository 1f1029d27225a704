"""The parts of a GPU report: the result of each, and the end of the log of those that failed."""

from pathlib import Path
from typing import Any

from tables import table

Part = dict[str, Any]
TAIL = 12
"""The number of lines at the end of a failed part's log that the page shows, after those that name a failed test."""
SHOWN = "check"
"""The part whose whole log is shown, as it is a table."""


def read(folder: Path) -> dict[str, list[Part]]:
    """The results in the folder of ``gpu_report.sh``: {"parts": ...}."""
    parts, results = [], folder / "parts.tsv"
    for line in results.read_text().splitlines() if results.exists() else ():
        name, status, seconds = line.split("\t")
        log = (folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        kept = log if name == SHOWN else log[-1:]
        if status != "0" and name != SHOWN:
            kept = [line for line in log[:-TAIL] if " FAILED" in line][:TAIL] + log[-TAIL:]
        parts.append({"part": name, "status": int(status), "seconds": int(seconds), "said": kept})
    return {"parts": parts}


def markdown(record: dict[str, Any]) -> str:
    """The table, and the logs of the parts that failed."""
    parts = record.get("parts", [])
    lines = [[part["part"], _went(part), f"{part['seconds']} s", _plain(part["said"][-1:])] for part in parts]
    sections = [table(["part", "went", "took", "last line"], lines)]
    for part in parts:
        if part["status"] or part["part"] == SHOWN:
            sections.append(f"From the log of {part['part']}:\n\n" + "\n".join(f"    {line}" for line in part["said"]))
    return "\n\n".join(section for section in sections if section)


def _went(part: Part) -> str:
    return {0: "well", 124: "OUT OF TIME", 137: "KILLED"}.get(part["status"], f"FAILED ({part['status']})")


def _plain(lines: list[str]) -> str:
    """One cell of a table."""
    return " ".join(lines).replace("|", "/").strip("= ")[:600]
