"""Helpers for the tables of a report: Markdown, the name of a case, a ratio with its interval."""

from typing import Any

from paired import Ratio

Record = dict[str, Any]
OURS = ("numpy", "cupy")
"""The names of xpnet's contenders: the libraries that it runs on."""
STAGES = {"forward", "backward", "predict"}


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table without the columns in which every row is empty; an empty string if there are no rows."""
    if not rows:
        return ""
    kept = [i for i in range(len(head)) if any(row[i] not in ("", None) for row in rows)]
    lines = [[head[i] for i in kept], ["---"] * len(kept), *([str(row[i] or "") for i in kept] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def name(result: Record) -> str:
    """The net, the batch size and the settings that are not the default."""
    widths = "-".join(map(str, result["widths"]))
    rule = "" if result["path"] in STAGES else {"GradientDescent": "GD"}.get(result["optimizer"], result["optimizer"])
    parts = [result["hidden"] * (result["hidden"] != "relu"), rule, result["precision"]]
    return f"{widths} @ {result['batch']}, {', '.join(part for part in parts if part)}"


def ratio(found: list[float] | None) -> str:
    """A ratio with its interval."""
    return str(Ratio(*found)) if found else ""


def each(record: Record) -> list[tuple[Record, str]]:
    """All pairs of a result and a backend for which it has ratios."""
    return [(result, backend) for result in record["results"] for backend in OURS if backend in result["ratios"]]
