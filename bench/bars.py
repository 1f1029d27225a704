"""The bars: the highest ratios of times that are accepted, compared with the ratios that were measured.

A bar is met if the upper end of the ratio's interval is not above it. Without an interval it is not met.
"""

from collections.abc import Callable
from typing import NamedTuple

from tables import Record, each, name, ratio, table

TRAINING = ("step", "epoch")
EAGER, COMPILED = ("torch", "torch fused"), ("torch compile", "torch reduce-overhead")


class Bar(NamedTuple):
    """The highest ratios of xpnet's time to the time of each other contender, for all cases that it covers."""

    said: str
    highest: float
    others: tuple[str, ...]
    covers: Callable[[Record], bool]
    precisions: tuple[str, ...] = ("float32", "tf32", "bfloat16")


ON_A_GPU = (
    Bar("never slower than PyTorch eager", 1.0, EAGER, lambda r: r["path"] in (*TRAINING, "predict")),
    Bar(
        "3 times as fast at batches of 256 or fewer",
        1 / 3,
        EAGER,
        lambda r: r["path"] in TRAINING and r["batch"] <= 256,
    ),
    Bar("at least as fast as torch.compile", 1.0, COMPILED, lambda r: r["path"] in TRAINING),
    Bar(
        "95% of the speed of the matrix products alone, width 2048 or more",
        1 / 0.95,
        ("limit",),
        lambda r: r["path"] in TRAINING and min(r["widths"][:-1]) >= 2048,
        ("float32",),
    ),
)


def on_two_cores(record: Record) -> str:
    """The time of training over that of its products, for the cases with a bar on two cores."""
    rows = []
    for result, backend in each(record):
        found = result["ratios"][backend].get("limit")
        if result["bar"] and backend == "numpy" and found:
            rows.append([name(result), ratio(found), f"{result['bar']:.2f}", _said(_is_met(found, result["bar"]))])
    return table(["an epoch of", "/ its products", "bar", ""], rows)


def on_a_gpu(record: Record) -> str:
    """Each bar in each precision: how many ratios meet it, and the worst ratio."""
    if not any(backend == "cupy" for _, backend in each(record)):
        return ""
    rows = [_row(record, bar, precision) for bar in ON_A_GPU for precision in bar.precisions]
    return table(["CuPy", "precision", "at most", "worst ratio [95%]", "beside", "in", "ratios that meet it", ""], rows)


def _row(record: Record, bar: Bar, precision: str) -> list[str]:
    found = [
        (result["ratios"]["cupy"][other], other, f"{result['path']}, {name(result)}")
        for result, backend in each(record)
        for other in bar.others
        if backend == "cupy" and result["precision"] == precision and bar.covers(result)
        if other in result["ratios"]["cupy"]
    ]
    first = [bar.said, precision, f"{bar.highest:.4g}"]
    if not found:
        return [*first, "", "", "", "", "not measured"]
    n_met = sum(_is_met(ratios, bar.highest) for ratios, *_ in found)
    worst, other, case = max(found, key=lambda one: (not _is_met(one[0], bar.highest), one[0][0]))
    return [*first, ratio(worst), other, case, f"{n_met} of {len(found)}", _said(n_met == len(found))]


def _is_met(found: list[float], highest: float) -> bool:
    return found[2] is not None and found[2] <= highest


def _said(is_met: bool) -> str:
    return "met" if is_met else "not met"
