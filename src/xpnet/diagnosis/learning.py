"""Rules about the learning rate: by the history of the cost, and by the size of the next step.

A rule yields a :class:`Finding` for each place where its number is beyond its threshold.
"""

from collections.abc import Iterator

import numpy as np

from ..backends import namespace
from .case import Case
from .finding import Finding
from .measures import updates

_SMITH = "Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, section 3.3 (range test): "
_CURVES = "Karpathy, Stanford CS231n notes, Neural Networks 3 (2015), on loss curves: "


def change(case: Case, factor: float) -> str:
    """What to set the learning rate to, in words."""
    if case.rate is None:  # L-BFGS has none
        return "take solver='adam'"
    return f"set {case.rate_name} to {case.rate * factor:.3g} (it is {case.rate:.3g})"


def learning_rate(case: Case) -> Iterator[Finding]:
    """One thing at most: a cost that leaps about may also fall in the end."""
    for rule in (standing, rate_too_high, rate_too_low):
        found = list(rule(case))
        if found:
            yield from found
            return


def standing(case: Case) -> Iterator[Finding]:
    """A cost that hardly moved."""
    L = case.history
    if len(L) < 10 or L[0] == 0.0:
        return
    moved = float(np.ptp(L) / abs(L[0]))
    if moved < 0.01:
        yield Finding(
            "learning rate too low",
            "history",
            f"how far the cost moved in {len(L)} epochs, as a share of its first value",
            moved,
            0.01,
            _CURVES + "too low a rate makes hardly any improvement",
            f"{change(case, 10.0)}; if the cost still stands, start from other weights (not zeros) and check y",
        )


def rate_too_high(case: Case) -> Iterator[Finding]:
    """A cost above what outputs of 0 cost, above its own lowest at the end, or rising again and again."""
    L = case.history
    if len(L) < 3 or np.ptp(L) == 0.0:
        return
    range_, blank = float(np.ptp(L)), _blank_cost(case)
    above = float(np.max(L) / blank) if blank > 0.0 else 0.0
    rise = float(L[-1] - np.min(L)) / range_
    ups = float(np.mean(np.maximum(np.diff(L[len(L) // 2 :]), 0.0))) / range_ if len(L) >= 6 else 0.0
    of_range = "as a share of its range"
    for number, threshold, measure, source in (
        (rise, 0.2, f"how far the cost rose above its lowest, {of_range}", "the loss rises where the rate is too high"),
        (above, 3.0, "the highest cost over that of a network that puts out 0", "the loss leaps up, not down"),
        (ups, 0.02, f"the mean rise an epoch in the second half, {of_range}", "the loss becomes ragged"),
    ):
        if number > threshold:
            yield Finding(
                "learning rate too high", "history", measure, number, threshold, _SMITH + source, change(case, 0.1)
            )
            return


def _blank_cost(case: Case) -> float:
    """The cost of outputs that are all 0, without a penalty: where training begins with small weights."""
    loss_sum, weight_sum, _ = case.model.criterion(namespace(case.Y).zeros_like(case.Y), case.Y, case.w)
    of_all = case.n_samples / case.Y.shape[0] if case.model.reduction == "sum" else 1.0
    return of_all * float(case.model.scale(weight_sum) * loss_sum)


def rate_too_low(case: Case) -> Iterator[Finding]:
    """A cost that was still falling like a straight line when training ended."""
    L = case.history
    if len(L) < 10 or case.stopped or np.ptp(L) == 0.0:
        return
    late = float((L[-1 - len(L) // 10] - L[-1]) / np.ptp(L))
    if late > 0.05:
        yield Finding(
            "learning rate too low",
            "history",
            "the part of the cost's whole fall that came in the last tenth of the epochs",
            late,
            0.05,
            _CURVES + "with too low a rate improvements are linear; a straight line would give 0.1",
            f"{change(case, 10.0)}, or train for more epochs",
        )


def large_updates(case: Case) -> Iterator[Finding]:
    """||step|| / ||W|| above 0.1, a hundred times the rule."""
    for where, ratio in updates(case).items():
        if ratio > 0.1:
            yield Finding(
                "updates too large",
                where,
                "the norm of the next step over that of the weights",
                ratio,
                0.1,
                "Karpathy, Stanford CS231n notes, Neural Networks 3 (2015), on ratios of update to weight: about 1e-3",
                change(case, 0.1),
            )
