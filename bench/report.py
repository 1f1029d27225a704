"""A pytest-benchmark JSON as a Markdown table and a picture.

python -m pytest bench --backend numpy --benchmark-json bench.json
python bench/report.py bench.json [--out bench]         # bench.md and bench.png
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Row = dict[str, Any]

STAGES = ["forward", "backward", "update", "step"]
COLOURS = {"numpy": "#1f6fb4", "cupy": "#4f9d2f"}
MARKERS = {"GradientDescent": "o", "Adam": "s", "forward": ">", "backward": "<"}


def rows(results: dict[str, Any]) -> list[Row]:
    """What each benchmark left in ``extra_info``, in the order of backend, width and stage."""
    found = [benchmark["extra_info"] for benchmark in results["benchmarks"] if "ratio" in benchmark["extra_info"]]
    if not found:
        raise SystemExit("no ratios in this file: make it with  python -m pytest bench --benchmark-json FILE")
    return sorted(found, key=lambda row: (row["backend"] != "numpy", row["width"], STAGES.index(row["stage"])))


def markdown(results: dict[str, Any]) -> str:
    """The machine, and one line a benchmark."""
    of_machine = results["machine_info"]["libraries"]
    lines = [
        f"{of_machine['processor']}; NumPy {of_machine['numpy']}; {'; '.join(of_machine['blas'])}; "
        f"xpnet {of_machine['xpnet']}; {results['datetime'][:10]}",
        "",
        "| backend | net @ batch | stage | optimiser | ms a step | ms its products | ratio [95%] | rounds | noise |",
        "| --- | --- | --- | --- | ---: | ---: | --- | ---: | ---: |",
    ]
    for row in rows(results):
        ms, limit = (f"{1e3 * row[name]:.3g}" for name in ("seconds_a_step", "limit_seconds_a_step"))
        ratio = f"{row['ratio']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        cells = [row["backend"], row["net"], row["stage"], row["optimizer"] or "", ms, limit, ratio]
        lines.append(f"| {' | '.join(cells)} | {row['n_rounds']} | {row['noise']:.0%} |")
    return "\n".join(lines) + "\n"


def picture(results: dict[str, Any], path: Path) -> None:
    """Above, the time of a step against the width, with its products; below, the ratio of each stage."""
    found = rows(results)
    nets = {row["width"]: row["net"] for row in found}
    figure, axes = plt.subplots(2, 1, figsize=(8, 8), height_ratios=(3, 2), layout="constrained")
    for backend in dict.fromkeys(row["backend"] for row in found):
        of_backend = [row for row in found if row["backend"] == backend]
        _times(axes[0], of_backend, backend)
        _ratios(axes[1], of_backend, backend)
    axes[0].set(ylabel="milliseconds a step", yscale="log", title="A training step and its matrix products alone")
    axes[1].set(ylabel="time / time of the products", xlabel="network, by the width of its hidden layers")
    axes[1].axhline(1.0, color="grey", linewidth=0.8)
    for axis in axes:
        axis.set_xscale("log", base=2)
        axis.set_xticks(list(nets), list(nets.values()))
        axis.minorticks_off()
        axis.margins(x=0.1)
        axis.grid(alpha=0.3)
        axis.legend(fontsize="small", ncols=2)
    machine = results["machine_info"]["libraries"]
    figure.supxlabel(f"{machine['processor']}, NumPy {machine['numpy']}, {results['datetime'][:10]}", fontsize="small")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _colour(backend: str) -> str:
    return COLOURS.get(backend.split(":")[0], "#b4531f")


def _series(found: list[Row], stage: str, optimizer: str | None) -> list[Row]:
    return [row for row in found if row["stage"] == stage and row["optimizer"] == optimizer]


def _times(axis: Any, found: list[Row], backend: str) -> None:
    for optimizer in dict.fromkeys(row["optimizer"] for row in found if row["stage"] == "step"):
        series = _series(found, "step", optimizer)
        x, y = [row["width"] for row in series], [1e3 * row["seconds_a_step"] for row in series]
        axis.plot(x, y, marker=MARKERS[optimizer], color=_colour(backend), label=f"{backend}, {optimizer}")
    limits = {row["width"]: 1e3 * row["limit_seconds_a_step"] for row in found if row["stage"] == "step"}
    axis.plot(list(limits), list(limits.values()), "--", color=_colour(backend), label=f"{backend}, products alone")


def _ratios(axis: Any, found: list[Row], backend: str) -> None:
    styles = {"forward": ":", "backward": "--", "step": "-"}
    for stage, optimizer in [("forward", None), ("backward", None), ("step", "GradientDescent"), ("step", "Adam")]:
        series = _series(found, stage, optimizer)
        if not series:
            continue
        x, y = [row["width"] for row in series], [row["ratio"] for row in series]
        ends = [[r["ratio"] - r["low"] for r in series], [r["high"] - r["ratio"] for r in series]]
        label = f"{backend}, {stage}" + (f", {optimizer}" if optimizer else "")
        axis.errorbar(
            x,
            y,
            ends,
            linestyle=styles[stage],
            marker=MARKERS[optimizer or stage],
            color=_colour(backend),
            capsize=3,
            label=label,
        )


def main() -> None:
    """Write the table and the picture, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", type=Path)
    parser.add_argument("--out", type=Path, help="where to write, without an ending; by default beside the JSON")
    given = parser.parse_args()
    results = json.loads(given.json.read_text())
    out = given.out or given.json.with_suffix("")
    table = markdown(results)
    out.with_suffix(".md").write_text(table)
    picture(results, out.with_suffix(".png"))
    print(table)


if __name__ == "__main__":
    main()
