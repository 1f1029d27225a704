"""Charts: the time of a step over the width of the net, and the time of a sample over the batch size."""

from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from tables import OURS, Record

Lines = dict[str, tuple[list[float], list[float]]]

# A dark background: the chart looks the same on light and dark pages.
GROUND, TEXT, FAINT = "#0f1624", "#e8edf5", "#8b97ab"
STYLES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "numpy": ("xpnet, NumPy", "#5ab0ff", {"linewidth": 3.2, "zorder": 5}),
    "numpy limit": ("products alone, CPU", "#5ab0ff", {"linewidth": 1.4, "linestyle": (0, (2, 2)), "zorder": 4}),
    "cupy": ("xpnet, CuPy", "#6ee7a0", {"linewidth": 3.2, "zorder": 5}),
    "cupy limit": ("products alone, GPU", "#6ee7a0", {"linewidth": 1.4, "linestyle": (0, (2, 2)), "zorder": 4}),
    "torch compile": ("torch.compile", "#ff9d5c", {"linewidth": 2.0, "zorder": 3}),
    "torch": ("PyTorch eager", "#c58bff", {"linewidth": 2.0, "zorder": 3}),
}


def charts(record: Record, base: Path) -> list[tuple[str, str]]:
    """Draw the charts that have at least three points; return (file, description) of each."""
    found = []
    for along, other, suffix in (("width", "batch", ""), ("batch", "width", "-batch")):
        group = _longest(record, along, other)
        if len(group) >= 3:
            path = base.with_name(f"{base.name}{suffix}.png")
            draw(record, group, along, path)
            found.append((path.name, f"time of a training step against the {along}"))
    return found


def _point(result: Record) -> Record:
    """The result with the width of its net; None unless all layers are as wide as the input."""
    return result | {"width": result["widths"][0], "depth": len(result["widths"]) - 2}


def _longest(record: Record, along: str, other: str) -> list[Record]:
    """The longest series of plain steps of square nets that differ in one size only, in the order of this size."""
    plain = {"path": "step", "hidden": "relu", "precision": "float32", "optimizer": "GradientDescent"}
    points = [
        _point(result)
        for result in record["results"]
        if all(result[key] == value for key, value in plain.items()) and len({*result["widths"][:-1]}) == 1
    ]
    if not points:
        return []
    fixed = Counter((point["depth"], point[other]) for point in points).most_common(1)[0][0]
    group: dict[int, Record] = {}
    for point in points:
        if (point["depth"], point[other]) == fixed:
            same = group.setdefault(point[along], point)  # the same net may have been measured with torch.compile too
            group[point[along]] = same | {"contenders": point["contenders"] | same["contenders"]}
    return [group[size] for size in sorted(group)]


def _lines(group: list[Record], along: str) -> Lines:
    """The sizes and seconds of each contender."""
    found: Lines = {}
    for name in STYLES:
        for point in group:
            if name in point["contenders"]:
                x, y = found.setdefault(name, ([], []))
                x.append(point[along])
                y.append(point["contenders"][name]["seconds"] / (point["batch"] if along == "batch" else 1))
    return {name: line for name, line in found.items() if len(line[0]) > 1}


def draw(record: Record, group: list[Record], along: str, path: Path) -> None:
    """Draw one chart with logarithmic axes and the names of the lines at their ends."""
    figure, axis = plt.subplots(figsize=(10, 6.2), facecolor=GROUND)
    figure.subplots_adjust(left=0.09, right=0.745, top=0.80, bottom=0.13)
    axis.set(facecolor=GROUND, xscale="log", yscale="log")
    lines = _lines(group, along)
    for name, (x, y) in lines.items():
        _, colour, style = STYLES[name]
        marker = {} if "limit" in name else {"marker": "o", "markersize": 5, "markeredgecolor": GROUND}
        axis.plot(x, y, color=colour, solid_capstyle="round", **marker, **style)
    for backend in OURS:
        if backend in lines and f"{backend} limit" in lines:
            (x, y), (_, limit) = lines[backend], lines[f"{backend} limit"]
            axis.fill_between(x, limit, y, color=STYLES[backend][1], alpha=0.14, linewidth=0)
    axis.margins(x=0.03, y=0.08)
    _axes(axis, sorted({point[along] for point in group}), along)
    _names_at_the_ends(axis, lines)
    _words(figure, record, group[0], along)
    figure.savefig(path, dpi=160, facecolor=GROUND)
    plt.close(figure)


def _axes(axis: Any, sizes: list[int], along: str) -> None:
    axis.xaxis.set_major_locator(FixedLocator(sizes))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axis.xaxis.set_minor_locator(NullLocator())
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0)))
    axis.yaxis.set_major_formatter(FuncFormatter(_seconds))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.tick_params(colors=FAINT, labelsize=11, length=0, pad=7)
    axis.grid(axis="y", color=TEXT, alpha=0.10, linewidth=0.8)
    axis.set_axisbelow(True)
    for side in axis.spines.values():
        side.set_visible(False)
    unit = "width of every layer" if along == "width" else "samples a batch"
    axis.set_xlabel(unit, color=FAINT, fontsize=11, labelpad=10)


def _seconds(value: float, _: Any = None) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if value >= scale * 0.999:
            return f"{value / scale:g} {unit}"
    return f"{value:g} s"


def _names_at_the_ends(axis: Any, lines: Lines) -> None:
    """Write the name and last time of each line behind its last point, moved apart so that no two overlap."""
    axis.figure.canvas.draw()
    ends, box = {x[-1] for x, _ in lines.values()}, axis.bbox
    for end in ends:
        ending = sorted((y[-1], name) for name, (x, y) in lines.items() if x[-1] == end)
        points = [axis.transData.transform((end, y)) for y, _ in ending]
        side = 1 if end == max(ends) else -1  # a line that ends early is named before its end, above it
        lowest = box.y0 if side > 0 else points[-1][1]
        heights = apart([y for _, y in points], 20 * axis.figure.dpi / 72, lowest, box.y1)
        for (seconds, name), (_, y), height in zip(ending, points, heights, strict=True):
            label, colour, style = STYLES[name]
            up = (height - y) * 72 / axis.figure.dpi
            line = {"arrowstyle": "-", "color": colour, "alpha": 0.45, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 5}
            axis.annotate(
                f"{label}  {_seconds(float(f'{seconds:.2g}'))}",
                (end, seconds),
                (22 * side, up),
                textcoords="offset points",
                arrowprops=line | {"relpos": (0 if side > 0 else 1, 0.5)},
                ha="left" if side > 0 else "right",
                va="center",
                color=colour,
                fontsize=11.5,
                weight="bold" if style["linewidth"] > 3 else "normal",
                annotation_clip=False,
            )


def apart(heights: list[float], least: float, bottom: float, top: float) -> list[float]:
    """Increasing heights, moved so that neighbors are at least ``least`` apart and all lie between bottom and top."""
    moved = list(heights)
    for _ in range(500):
        for i in range(len(moved) - 1):
            overlap = max(0.0, least - (moved[i + 1] - moved[i]))
            moved[i], moved[i + 1] = moved[i] - overlap / 2, moved[i + 1] + overlap / 2
        moved = [min(max(height, bottom), top) for height in moved]
    return moved


def _words(figure: Any, record: Record, first: Record, along: str) -> None:
    what = "One training step" if along == "width" else "One training step, a sample's share"
    figure.text(0.035, 0.935, what, color=TEXT, fontsize=20, weight="bold", va="center")
    hidden = first["depth"]
    net = f"{hidden} hidden layers" if hidden > 1 else "1 hidden layer"
    size = f"batch {first['batch']:,}" if along == "width" else f"width {first['width']:,}"
    said = f"{net}, ReLU, {size}, float32, gradient descent.  Shaded: what xpnet adds to its matrix products"
    figure.text(0.035, 0.872, said, color=FAINT, fontsize=11.5, va="center")
    machine = "  ·  ".join(dict.fromkeys(str(record[key]) for key in ("gpu", "processor", "date") if key in record))
    figure.text(0.965, 0.03, machine, color=FAINT, fontsize=9.5, ha="right", va="center")
