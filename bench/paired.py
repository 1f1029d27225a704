"""Statistics of paired timings: ratios and their intervals, means over cases, and the size at which two curves cross.

Contenders take turns within a round, so that slow minutes of the machine affect all of them alike.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Ratio(NamedTuple):
    """The median over the rounds of a ratio, and the 95% interval of that median (None if there are too few rounds)."""

    ratio: float
    low: float | None
    high: float | None
    n_rounds: int

    def __str__(self) -> str:
        if self.low is None:
            return f"{self.ratio:.2f} ({self.n_rounds} rounds)"
        return f"{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"


def median_interval(values: Sequence[float]) -> Ratio:
    """The median with its 95% interval by order statistics.

    The number of values below the true median is binomial (n, 1/2) whatever their distribution, so the k-th smallest
    and the k-th largest enclose it with a probability of 1 - 2 P(B < k); k is the largest that leaves 95%. There is
    no randomness, and outliers do not move the ends. With fewer than six values there is no such k.
    """
    ordered, n = sorted(values), len(values)
    k, outside = 0, 0.5**n
    while outside <= 0.025:
        k += 1
        outside += math.comb(n, k) * 0.5**n
    low, high = (ordered[k - 1], ordered[n - k]) if k else (None, None)
    return Ratio(statistics.median(ordered), low, high, n)


def paired_ratio(a: Sequence[float], b: Sequence[float]) -> Ratio:
    """The median of a_i / b_i over the rounds i."""
    return median_interval([x / y for x, y in zip(a, b, strict=True)])


def geometric_mean(ratios: Sequence[Sequence[float]]) -> Ratio:
    """The geometric mean over cases of their ratios, round by round, and the median of these with its interval."""
    rounds = zip(*ratios, strict=True)
    return median_interval([math.exp(statistics.fmean(map(math.log, of_round))) for of_round in rounds])


def noise(times: Sequence[float]) -> float:
    """The interquartile range over the median: above about 10% the machine was busy, and the run is not reliable."""
    first, second, third = statistics.quantiles(times, n=4)
    return (third - first) / second


def crossover(sizes: Sequence[float], slow: Sequence[float], fast: Sequence[float]) -> tuple[str, float] | None:
    """The size from which ``fast`` takes less time than ``slow``: ("from", size), interpolated between logarithms.

    The result is ("below", the smallest size) if it always does, and None if it does not at the largest size.
    """
    points = sorted(
        (math.log(size), math.log(a / b)) for size, a, b in zip(sizes, slow, fast, strict=True)
    )  # the gain, by size
    if not points or points[-1][1] <= 0.0:
        return None
    losing = [i for i, (_, gain) in enumerate(points) if gain <= 0.0]
    if not losing:
        return "below", math.exp(points[0][0])
    (x0, y0), (x1, y1) = points[losing[-1]], points[losing[-1] + 1]
    return "from", math.exp(x0 + (x1 - x0) * -y0 / (y1 - y0))
