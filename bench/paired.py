"""Paired timings: contenders take turns round by round, so that a machine's slow minutes fall on all of them alike."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

ROUNDS = 31
"""Rounds by default; an odd number, whose median is one of them."""
FEWEST = 30
"""Below this many rounds an interval of the median says little."""


class Ratio(NamedTuple):
    """The median over the rounds of a ratio, and the 95% interval of that median."""

    ratio: float
    low: float
    high: float
    n_rounds: int

    def __str__(self) -> str:
        return f"{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interleave(*contenders: Callable[[], object], rounds: int = ROUNDS, warmup: int = 3) -> list[list[float]]:
    """Seconds of each contender in each round, in the order A B A B ...; the warm-up rounds are not kept."""
    times: list[list[float]] = [[] for _ in contenders]
    for i in range(warmup + rounds):
        for contender, of_contender in zip(contenders, times, strict=True):
            start = time.perf_counter()
            contender()
            seconds = time.perf_counter() - start
            if i >= warmup:
                of_contender.append(seconds)
    return times


def paired_ratio(a: Sequence[float], b: Sequence[float]) -> Ratio:
    """The median of a_i / b_i over the rounds i, with its 95% interval by order statistics.

    The number of rounds below the true median is binomial (n, 1/2) whatever the ratios' distribution, so the k-th
    smallest and the k-th largest ratio enclose it with a probability of 1 - 2 P(B < k); k is the largest that leaves
    95%. Nothing is drawn at random and no outlier moves the ends.
    """
    ratios = sorted(x / y for x, y in zip(a, b, strict=True))
    n = len(ratios)
    if n < FEWEST:
        raise ValueError(f"{n} rounds; an interval of the median needs {FEWEST} or more")
    k, outside = 0, 0.5**n
    while outside <= 0.025:
        k += 1
        outside += math.comb(n, k) * 0.5**n
    return Ratio(statistics.median(ratios), ratios[k - 1], ratios[n - k], n)


def noise(times: Sequence[float]) -> float:
    """The interquartile range over the median: above some 10% the machine was busy, and the run says little."""
    first, second, third = statistics.quantiles(times, n=4)
    return (third - first) / second
