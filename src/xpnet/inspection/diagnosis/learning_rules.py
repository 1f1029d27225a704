"""Rules about learning: the history of the cost, the size of the next step, and the outcome.

A rule yields a :class:`Finding` for each place where its number is beyond its threshold.
"""

from collections.abc import Iterator

import numpy as np

from .case import Case
from .finding import Finding
from .measures import constant_loss, loss_over_constant, updates

_SMITH = (
    "Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, section 3.3: at too high a rate accuracy "
    "becomes ragged or falls; the threshold is xpnet's own"
)
_CURVES = "Karpathy, Stanford CS231n notes, Neural Networks 3 (2015), on loss curves: "
_HEAVY = 0.05
"""The lambda, for a mean loss, above which a penalty keeps a network of scaled data from learning."""


def change(case: Case, factor: float) -> str:
    """What to set the learning rate to, in words."""
    if case.rate is None:  # L-BFGS has none
        return "take solver='adam'"
    return f"set {case.rate_name} to {case.rate * factor:.3g} (it is {case.rate:.3g})"


# --- the rate is too high


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
    noise = 0.06 if case.model.is_stochastic else 0.03  # the masks of Dropout alone make a cost ragged
    yield ups, noise, "the mean rise in an epoch of the second half, as a share of the cost's range"


def _leaps(case: Case) -> Iterator[tuple[float, float, str]]:
    """Measures against the cost of outputs that are all 0, near which training begins with small weights.

    Only rises are counted: the cost of a poor start or of a penalty is high and falls.
    """
    L = case.history
    blank = constant_loss(case, np.zeros(1))
    blank *= case.n_samples / case.Y.shape[0] if case.model.reduction == "sum" else 1.0
    if blank > 0.0:
        rises = np.maximum(np.diff(L), 0.0) / blank
        yield float(rises.max()), 0.3, "the cost's largest rise in an epoch, over the cost of outputs that are all 0"
        if L.max() > 3.0 * blank and not case.model.is_stochastic:
            yield float(rises.sum()), 0.1, "all rises of the cost together, over the cost of outputs that are all 0"


def large_updates(case: Case) -> Iterator[Finding]:
    """||step|| / ||W|| above 0.1, a hundred times the rule of thumb."""
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


# --- the rate is too low


def rate_too_low(case: Case) -> Iterator[Finding]:
    """A cost that hardly moved and is no lower than a constant's, or was still falling when training ended."""
    L = case.history
    if len(L) < 3 or case.rate is None:
        return
    kind, range_ = ("learning rate too low", "history"), float(np.ptp(L))
    moved = range_ / abs(L[0]) if L[0] else np.inf
    late = float(L[-1 - len(L) // 10] - L[-1]) / (range_ or 1.0)  # 0 for fewer than ten epochs
    if moved < 0.01 and loss_over_constant(case) > 0.9:  # a cost that has converged does not move either
        measure = f"how far the cost moved in {len(L)} epochs, as a share of its first value"
        source = _CURVES + "too low a rate makes hardly any improvement; the threshold is xpnet's own"
        fix = f"{change(case, 10.0)}; if the cost still does not move, check y"
        yield Finding(*kind, measure, float(moved), 0.01, source, fix)
    elif late > 0.05 and not case.stopped:
        measure = "the part of the cost's whole fall that came in the last tenth of the epochs"
        source = (
            _CURVES + "with too low a rate improvements are linear, which would give 0.1; the threshold is xpnet's own"
        )
        yield Finding(*kind, measure, late, 0.05, source, f"{change(case, 10.0)}, or train for more epochs")


# --- the outcome is poor


def penalty_too_large(case: Case) -> Iterator[Finding]:
    """A loss no better than a constant's, if the penalty is large enough to be the cause."""
    per_sample = case.model.reduction == "sum" or case.model.scale_penalty
    if max(case.model.l1, case.model.l2) / (case.batch_size if per_sample else 1) > _HEAVY:
        fix = "lower the penalty (alpha of an estimator, l1 and l2 of a Model) to a hundredth"
        yield from no_better_than_a_constant(case, fix)


def no_better_than_a_constant(case: Case, fix: str | None = None) -> Iterator[Finding]:
    """A loss about as high as that of a constant output."""
    if len(case.history) >= 3 and (number := loss_over_constant(case)) > 0.95:
        measure = "the loss over that of the best constant prediction (class frequencies, or the mean of y)"
        source = (
            "Karpathy, A Recipe for Training Neural Networks, 2019: beat the baseline that ignores the input; the "
            "threshold is xpnet's own"
        )
        yield Finding("no better than a constant", "outputs", measure, number, 0.95, source, fix or _longer(case))


def _longer(case: Case) -> str:
    """How to train longer, or what to check if that would not help."""
    L = case.history
    if case.stopped:
        return (
            f"early stopping ended training after {len(L)} epochs: hold more samples out (validation_fraction), wait "
            f"longer (n_iter_no_change), or {change(case, 10.0)}"
        )
    if case.rate is not None and L[-1] < L[-2]:
        return f"train for more epochs than {len(L)}, or {change(case, 10.0)}"
    return "check that the rows of y belong to those of X; if they do, take more units, or other features"
