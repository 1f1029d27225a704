"""The parts of a GPU report: how each went, the end of a failed one's log, and what the probes found."""

import json
from pathlib import Path
from typing import Any

Part = dict[str, Any]
TAIL = 12
"""Lines of a failed part's log that the page keeps."""


def read(folder: Path) -> dict[str, list[Part]]:
    """What ``gpu_report.sh`` left in its folder: {"parts": ..., "probes": ...}."""
    parts, told = [], folder / "parts.tsv"
    for line in told.read_text().splitlines() if told.exists() else ():
        name, status, seconds = line.split("\t")
        log = (folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
        kept = log[-1:] if status == "0" else log[-TAIL:]
        parts.append({"part": name, "status": int(status), "seconds": int(seconds), "said": kept})
    probes = folder / "probes.json"
    return {"parts": parts, "probes": json.loads(probes.read_text()) if probes.exists() else []}


def markdown(record: dict[str, Any]) -> str:
    """Both tables, and the logs of what failed."""
    from report import table

    parts, probes = record.get("parts", []), record.get("probes", [])
    lines = [[part["part"], _went(part), f"{part['seconds']} s", _plain(part["said"][-1:])] for part in parts]
    sections = [table(["part", "went", "took", "last line"], lines)]
    if probes:
        told = [[probe["probe"].replace("_", " "), "yes" if probe["ok"] else "NO", _found(probe)] for probe in probes]
        sections.append(table(["probe", "holds", "found"], told))
    for part in parts:
        if part["status"] and part["part"] != "probes":  # they are in the table
            sections.append(f"The end of {part['part']}:\n\n" + "\n".join(f"    {line}" for line in part["said"]))
    return "\n\n".join(section for section in sections if section)


def _went(part: Part) -> str:
    return {0: "well", 124: "OUT OF TIME", 137: "OUT OF TIME"}.get(part["status"], f"FAILED ({part['status']})")


def _found(probe: Part) -> str:
    if not probe["ok"]:
        return _plain([probe["error"]])
    return _plain(["; ".join(f"{what}: {value}" for what, value in probe["found"].items())])


def _plain(lines: list[str]) -> str:
    """One cell of a table."""
    return " ".join(lines).replace("|", "/").strip("= ")[:600]
