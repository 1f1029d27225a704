"""Intervals of medians, geometric means over cases, and where two curves cross."""

import math

import numpy as np
import pytest
from paired import crossover, geometric_mean, median_interval, noise, paired_ratio


def test_an_interval_encloses_the_median_as_often_as_it_says(rng):
    inside = [
        low <= 0.0 <= high for low, high in (median_interval(values)[1:3] for values in rng.standard_normal((4000, 15)))
    ]
    assert 0.95 <= np.mean(inside) < 0.98


def test_no_narrower_interval_would_do():
    n, (_, low, high, _) = 31, median_interval(range(1, 32))
    outside = 2 * sum(math.comb(n, k) for k in range(low)) / 2**n  # as often the low-th smallest lies above the median
    assert (low, high) == (10, 22)
    assert outside <= 0.05 < outside + 2 * math.comb(n, low) / 2**n


def test_below_six_rounds_there_is_no_interval():
    assert median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])[1:3] == (1.0, 6.0)
    five = median_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert five.low is None
    assert str(five) == "3.00 (5 rounds)"


def test_rounds_are_paired():
    slow_minutes = [1.0, 9.0, 2.0, 30.0, 1.0, 4.0, 2.5]
    assert paired_ratio([1.5 * t for t in slow_minutes], slow_minutes) == (1.5, 1.5, 1.5, 7)
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio(slow_minutes, slow_minutes[1:])


def test_the_geometric_mean_is_that_of_each_round():
    mean = geometric_mean([[2.0] * 6, [8.0] * 6, [0.5] * 6])
    assert mean.ratio == pytest.approx(2.0)
    assert (mean.low, mean.high) == pytest.approx((2.0, 2.0))


def test_noise_is_the_middle_half_over_the_median():
    assert noise([10.0] * 8) == 0.0
    assert noise([9.0, 10.0, 11.0]) == pytest.approx(0.2)


SIZES = [1e3, 1e5, 1e7]


def test_a_crossover_is_found_between_the_points():
    slow, fast = [1e-9 * n for n in SIZES], [1e-5 * n**0.5 / 1e1 for n in SIZES]  # they meet at n = 1e6
    kind, size = crossover(SIZES, slow, fast)
    assert kind == "from"
    assert size == pytest.approx(1e6)


def test_the_last_crossing_counts_whatever_the_order_of_the_points():
    fast = [1.0, 1.0, 1.0, 1.0]
    kind, size = crossover([1e4, 1e1, 1e2, 1e3], [10.0, 2.0, 0.5, 0.1], fast)  # ahead, behind, behind, ahead
    assert kind == "from"
    assert size == pytest.approx(10**3.5)


def test_no_crossover():
    assert crossover(SIZES, [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]) == ("below", pytest.approx(1e3))
    assert crossover(SIZES, [2.0, 2.0, 1.0], [1.0, 1.0, 1.0]) is None
    assert crossover([], [], []) is None
