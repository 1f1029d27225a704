"""The parts of a GPU report: how each went, and the end of a failed one's log."""

from pathlib import Path
from typing import Any

Part = dict[str, Any]
TAIL = 12
"""Lines of a failed part's log that the page keeps."""


def read(folder: Path) -> dict[str, list[Part]]:
    """What ``gpu_report.sh`` left in its folder: {"parts": ...}."""
    parts, told = [], folder / "parts.tsv"
    for line in told.read_text().splitlines() if told.exists() else ():
        name, status, seconds = line.split("\t")
        log = (folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        kept = log[-1:] if status == "0" else log[-TAIL:]
        parts.append({"part": name, "status": int(status), "seconds": int(seconds), "said": kept})
    return {"parts": parts}


def markdown(record: dict[str, Any]) -> str:
    """The table, and the logs of what failed."""
    from report import table

    parts = record.get("parts", [])
    lines = [[part["part"], _went(part), f"{part['seconds']} s", _plain(part["said"][-1:])] for part in parts]
    sections = [table(["part", "went", "took", "last line"], lines)]
    for part in parts:
        if part["status"]:
            sections.append(f"The end of {part['part']}:\n\n" + "\n".join(f"    {line}" for line in part["said"]))
    return "\n\n".join(section for section in sections if section)


def _went(part: Part) -> str:
    return {0: "well", 124: "OUT OF TIME", 137: "OUT OF TIME"}.get(part["status"], f"FAILED ({part['status']})")


def _plain(lines: list[str]) -> str:
    """One cell of a table."""
    return " ".join(lines).replace("|", "/").strip("= ")[:600]
