"""What is wrong with a training: findings with their numbers, thresholds, sources and fixes.

The thresholds are well away from what healthy training shows: networks on scaled digits, iris and diabetes, with ReLU,
tanh and sigmoid, trained by Adam, SGD and L-BFGS.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from ...model import Model
from ...state import State
from .case import Case, of_estimator, of_model
from .data_rules import class_imbalance, unscaled_features, unscaled_targets
from .finding import Diagnosis, Finding
from .learning_rules import large_updates, no_better_than_a_constant, penalty_too_large, rate_too_high, rate_too_low
from .measures import units
from .unit_rules import alike_units, dead_units, gradients_across_layers, saturated_units

__all__ = ["Diagnosis", "Finding", "diagnose"]


def diagnose(
    subject: Any,
    X: Any,
    y: Any,
    *,
    state: State | None = None,
    history: Sequence[float] = (),
    sample_weight: Any = None,
    backend: Any = None,
) -> Diagnosis:
    """Diagnose a training: look for what is wrong with the data, the learning rate, the units and the gradients.

    Parameters
    ----------
    subject : estimator or Model
        A fitted MLPClassifier or MLPRegressor, or a pipeline, target transformer or search around one; or a model,
        with ``state``.
    X : array-like, (n_samples, n_features)
        The samples that were trained on, or samples like them, before the pipeline's own scaling. If there are too
        many for a bounded memory, only evenly spaced ones are looked at.
    y : array-like, (n_samples,) or (n_samples, n_outputs)
        As in ``fit``; for a model its targets, as in ``epochs``.
    state : State, optional
        For a model: the last state that ``epochs`` yielded.
    history : sequence of float, optional
        For a model: the costs that ``epochs`` yielded. An estimator has its own.
    sample_weight : array-like, (n_samples,), optional
        Weights of the samples' losses, as in training.
    backend : str or Backend, optional
        See :func:`xpnet.get_backend`; by default the estimator's own.

    Returns
    -------
    Diagnosis
        A sequence of :class:`Finding`, empty if all is well: unscaled features or targets, class imbalance, a
        penalty too large, units all alike, a learning rate too high or too low, updates too large, dead or saturated
        units, vanishing or exploding gradients, outputs no better than a constant. Updates are not looked at without a
        state (L-BFGS, or a model from a file), and learning rate and outcome not without a history; ``looked_at`` says
        so.

    Raises
    ------
    ValueError
        The subject holds no fitted network of xpnet, or the data don't fit it.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from xpnet import MLPRegressor, diagnose
    >>> X, y = load_diabetes(return_X_y=True, scaled=False)
    >>> [finding.kind for finding in diagnose(MLPRegressor(random_state=0).fit(X, y), X, y)][:2]
    ['unscaled features', 'unscaled targets']
    """
    if isinstance(subject, Model):
        case = of_model(subject, X, y, state, history, sample_weight, backend)
    elif state is not None or len(history):
        raise ValueError(f"state= and history= are for a Model, and this is a {type(subject).__name__}: leave them out")
    else:
        case = of_estimator(subject, X, y, sample_weight, backend)
    with case.backend.active():
        return Diagnosis(tuple(_findings(case)), _looked_at(case))


def _findings(case: Case) -> Iterator[Finding]:
    """Causes come first, and a consequence of theirs only if it has a fix of its own."""
    data = [*unscaled_features(case), *unscaled_targets(case)]
    yield from data
    yield from class_imbalance(case)
    causes = (
        list(penalty_too_large(case))
        or list(alike_units(case))
        or list(_while_training(case, unscaled=bool(data)))
        or list(rate_too_low(case))
    )
    yield from causes
    if not (data or causes):
        yield from no_better_than_a_constant(case)


def _while_training(case: Case, unscaled: bool) -> Iterator[Finding]:
    """What the history of training, the next step, the units and the gradients show."""
    yield from rate_too_high(case, unscaled)
    yield from large_updates(case)
    layers = units(case)
    yield from dead_units(case, layers, unscaled)
    yield from saturated_units(layers, unscaled)
    yield from gradients_across_layers(layers)


def _looked_at(case: Case) -> str:
    m, epochs = case.X.shape[0], len(case.history)
    parts = [
        f"{m} samples" if m == case.n_samples else f"{m} of {case.n_samples} samples, evenly spaced",
        f"{case.theta.shape[0]} parameters",
        f"{epochs} epochs" if epochs else "no history: learning rate and outcome not looked at",
    ]
    return ", ".join(parts + ["no optimizer's state: updates not looked at"] * (case.state is None))
