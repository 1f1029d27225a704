"""Rules about what training came to: a network that does no better than a constant.

A rule yields a :class:`Finding` for each place where its number is beyond its threshold.
"""

from collections.abc import Callable, Iterator

from .case import Case
from .finding import Finding
from .learning import change
from .measures import loss_over_constant

_SOURCE = (
    "Karpathy, A Recipe for Training Neural Networks, 2019: beat the baseline that ignores the input; the threshold is "
    "xpnet's own"
)
_HEAVY = 0.05
"""lambda for a mean loss from which a penalty holds a network of scaled data down."""


def penalty_too_large(case: Case) -> Iterator[Finding]:
    """No better than a constant, under a penalty that leaves no room for more."""
    if _penalty(case) > _HEAVY:
        yield from _constant(
            case, lambda _: "lower the penalty (alpha of an estimator, l1, l2 of a Model) to a hundredth"
        )


def no_better_than_a_constant(case: Case) -> Iterator[Finding]:
    """No better than a constant, where nothing else was found to be the cause."""
    yield from _constant(case, _fix)


def _constant(case: Case, fix: Callable[[Case], str]) -> Iterator[Finding]:
    if len(case.history) < 3:
        return
    number = loss_over_constant(case)
    if number > 0.95:
        measure = "the loss over that of the best constant prediction (class frequencies, or the mean of y)"
        yield Finding("no better than a constant", "outputs", measure, number, 0.95, _SOURCE, fix(case))


def _penalty(case: Case) -> float:
    """The larger lambda, for a mean loss."""
    model = case.model
    per_sample = model.reduction == "sum" or model.scale_penalty
    return max(model.l1, model.l2) / (case.batch if per_sample else 1)


def _fix(case: Case) -> str:
    L = case.history
    if case.stopped:
        return (
            f"early stopping ended training after {len(L)} epochs: hold more samples out (validation_fraction), wait "
            f"longer (n_iter_no_change), or {change(case, 10.0)}"
        )
    if case.rate is not None and L[-1] < L[-2]:
        return f"train for more epochs than {len(L)}, or {change(case, 10.0)}"
    return "check that the rows of y belong to those of X; if they do, take more units, or other features"
