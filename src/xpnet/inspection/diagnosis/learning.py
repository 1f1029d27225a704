"""Rules about the learning rate: by the history of the cost, and by the size of the next step.

A rule yields a :class:`Finding` for each place where its number is beyond its threshold.
"""

from collections.abc import Iterator

import numpy as np

from .case import Case
from .finding import Finding
from .measures import constant_loss, loss_over_constant, updates

_SMITH = (
    "Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, section 3.3: at too high a rate accuracy "
    "becomes ragged or falls; so much of it is xpnet's own threshold"
)
_CURVES = "Karpathy, Stanford CS231n notes, Neural Networks 3 (2015), on loss curves: "


def change(case: Case, factor: float) -> str:
    """What to set the learning rate to, in words."""
    if case.rate is None:  # L-BFGS has none
        return "take solver='adam'"
    return f"set {case.rate_name} to {case.rate * factor:.3g} (it is {case.rate:.3g})"


def rate_too_high(case: Case, unscaled: bool) -> Iterator[Finding]:
    """A cost above its own lowest at the end, leaping up, or rising again and again; one finding at most."""
    L = case.history
    if len(L) < 3 or np.ptp(L) == 0.0:
        return
    for number, threshold, measure in (*_unrest(case), *(() if unscaled else _leaps(case))):
        if number > threshold:
            yield Finding("learning rate too high", "history", measure, number, threshold, _SMITH, change(case, 0.1))
            return


def _unrest(case: Case) -> Iterator[tuple[float, float, str]]:
    """Measures within the history: (number, threshold, what the number is)."""
    L, range_ = case.history, float(np.ptp(case.history))
    end = float(np.mean(L[-1 - len(L) // 20 :]))  # one epoch of small batches may be unlucky
    yield (end - float(np.min(L))) / range_, 0.2, "how far the cost ended above its lowest, as a share of its range"
    ups = float(np.mean(np.maximum(np.diff(L[len(L) // 2 :]), 0.0))) / range_ if len(L) >= 6 else 0.0
    noise = 0.06 if case.model.is_stochastic else 0.03  # the masks of Dropout make a cost ragged by themselves
    yield ups, noise, "the mean rise an epoch in the second half, as a share of the cost's range"


def _leaps(case: Case) -> Iterator[tuple[float, float, str]]:
    """Measures against the cost of outputs that are all 0, where training begins with small weights.

    Rises alone are counted: a poor start or a penalty is high and falls.
    """
    L = case.history
    blank = constant_loss(case, np.zeros(1))
    blank *= case.n_samples / case.Y.shape[0] if case.model.reduction == "sum" else 1.0
    if blank > 0.0:
        rises = np.maximum(np.diff(L), 0.0) / blank
        yield float(rises.max()), 0.3, "the cost's largest rise in an epoch, over the cost of outputs that are all 0"
        if L.max() > 3.0 * blank and not case.model.is_stochastic:
            yield float(rises.sum()), 0.1, "all rises of the cost together, over the cost of outputs that are all 0"


def rate_too_low(case: Case) -> Iterator[Finding]:
    """A cost that hardly moved, or was still falling when training ended."""
    yield from list(standing(case)) or still_falling(case)


def standing(case: Case) -> Iterator[Finding]:
    """A cost that hardly moved and is no lower than a constant's."""
    L = case.history
    if len(L) < 3 or L[0] == 0.0 or case.rate is None:
        return
    moved = float(np.ptp(L) / abs(L[0]))
    if moved < 0.01 and loss_over_constant(case) > 0.9:  # what has converged stands as well
        yield Finding(
            "learning rate too low",
            "history",
            f"how far the cost moved in {len(L)} epochs, as a share of its first value",
            moved,
            0.01,
            _CURVES + "too low a rate makes hardly any improvement; the threshold is xpnet's own",
            f"{change(case, 10.0)}; if the cost still stands, check y",
        )


def still_falling(case: Case) -> Iterator[Finding]:
    """A cost that was still falling like a straight line when training ended."""
    L = case.history
    if len(L) < 10 or case.stopped or case.rate is None or np.ptp(L) == 0.0:
        return
    late = float((L[-1 - len(L) // 10] - L[-1]) / np.ptp(L))
    if late > 0.05:
        yield Finding(
            "learning rate too low",
            "history",
            "the part of the cost's whole fall that came in the last tenth of the epochs",
            late,
            0.05,
            _CURVES + "with too low a rate improvements are linear, which would give 0.1; the threshold is xpnet's own",
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
                "Karpathy, Stanford CS231n notes, Neural Networks 3 (2015), on ratios of update to weight: about 1e-3; "
                "a hundred times that is xpnet's own threshold",
                change(case, 0.1),
            )
