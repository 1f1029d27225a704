"""What is wrong with a training: findings with their numbers, thresholds, sources and fixes.

Thresholds stand clear of what healthy training shows: networks on scaled digits, iris and diabetes, with ReLU, tanh and
sigmoid, by Adam, SGD and L-BFGS.
"""

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...model import Model
from ...state import State
from .case import Case, of_estimator, of_model
from .data import class_imbalance, unscaled_features, unscaled_targets
from .finding import Finding
from .learning import large_updates, rate_too_high, rate_too_low
from .measures import units
from .network import alike_units, dead_units, gradients_across_layers, saturated_units
from .outcome import no_better_than_a_constant, penalty_too_large

__all__ = ["Diagnosis", "Finding", "diagnose"]


@dataclass(frozen=True)
class Diagnosis(Sequence):
    """Findings, causes before what follows from them; empty, and so false, where nothing is wrong.

    Attributes
    ----------
    findings : tuple of Finding
        What is wrong.
    looked_at : str
        At what, in words.
    """

    findings: tuple[Finding, ...]
    looked_at: str

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, place: Any) -> Any:
        return self.findings[place]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __str__(self) -> str:
        if not self.findings:
            return f"nothing found: {self.looked_at}"
        numbered = [f"{i}. {finding}" for i, finding in enumerate(self.findings, 1)]
        return "\n".join([f"{len(self)} finding(s): {self.looked_at}", *numbered])

    def _repr_html_(self) -> str:
        heading = f"{len(self) or 'no'} finding(s): {html.escape(self.looked_at)}"
        cells = ("kind", "where", "measure", "number", "threshold", "fix", "source")
        head = "".join(f"<th>{name}</th>" for name in cells)
        rows = "".join(f"<tr>{''.join(_cell(getattr(f, name)) for name in cells)}</tr>" for f in self.findings)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if self.findings else ""
        return f"<div><p>{heading}</p>{table}</div>"

    def to_json(self) -> str:
        """The same as JSON: {"looked_at", "findings": [{"kind", "where", "number", ...}]}; null for infinity."""
        found = [{k: None if v == float("inf") else v for k, v in asdict(f).items()} for f in self.findings]
        return json.dumps({"looked_at": self.looked_at, "findings": found}, allow_nan=False)


def _cell(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f'<td style="text-align: left">{html.escape(text)}</td>'


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
    """What is wrong with a training: data, learning rate, units, gradients.

    Parameters
    ----------
    subject : estimator or Model
        MLPClassifier or MLPRegressor, or a pipeline, target transformer or search around one, fitted; or a model, with
        ``state``.
    X : array-like, (n_samples, n_features)
        What was trained on, or samples like it, before the pipeline's own scaling. If they are many, as many evenly
        spaced ones are looked at as a bounded memory holds.
    y : array-like, (n_samples,) or (n_samples, n_outputs)
        As in ``fit``; for a model its targets, as in ``epochs``.
    state : State, optional
        For a model: what ``epochs`` yielded last.
    history : sequence of float, optional
        For a model: the costs that ``epochs`` yielded. An estimator has its own.
    sample_weight : array-like, (n_samples,), optional
        Weights of the samples' losses, as in training.
    backend : str or Backend, optional
        See :func:`xpnet.get_backend`; by default the estimator's own.

    Returns
    -------
    Diagnosis
        A sequence of :class:`Finding`, empty where all is well: unscaled features or targets, class imbalance, a
        penalty too large, units all alike, a learning rate too high or too low, updates too large, dead or saturated
        units, vanishing or exploding gradients, outputs no better than a constant. Without a state (L-BFGS, or a model
        from a file) updates are not looked at; without a history the cost and the outcome are not. ``looked_at`` says
        so.

    Raises
    ------
    ValueError
        The subject holds no fitted network of xpnet's, or the data don't fit it.
    """
    if isinstance(subject, Model):
        case = of_model(subject, X, y, state, history, sample_weight, backend)
    elif state is not None or len(history):
        raise ValueError("state= and history= are for a Model: an estimator has its own; leave them out")
    else:
        case = of_estimator(subject, X, y, sample_weight, backend)
    with case.backend.active():
        return Diagnosis(tuple(_findings(case)), _looked_at(case))


def _findings(case: Case) -> Iterator[Finding]:
    """Causes first, and of what follows from them no more than what has a fix of its own."""
    data = [*unscaled_features(case), *unscaled_targets(case)]
    yield from data
    yield from class_imbalance(case)
    causes = list(penalty_too_large(case)) or list(alike_units(case))
    causes = causes or [*_steps(case, bool(data)), *_units(case, bool(data))] or list(rate_too_low(case))
    yield from causes
    if not (data or causes):
        yield from no_better_than_a_constant(case)


def _steps(case: Case, unscaled: bool) -> Iterator[Finding]:
    yield from rate_too_high(case, unscaled)
    yield from large_updates(case)


def _units(case: Case, unscaled: bool) -> Iterator[Finding]:
    found = units(case)
    yield from dead_units(case, found, unscaled)
    yield from saturated_units(found, unscaled)
    yield from gradients_across_layers(found)


def _looked_at(case: Case) -> str:
    m, epochs = case.X.shape[0], len(case.history)
    parts = [
        f"{m} samples" if m == case.n_samples else f"{m} of {case.n_samples} samples, evenly spaced",
        f"{case.theta.shape[0]} parameters",
        f"{epochs} epochs" if epochs else "no history: learning rate and outcome not looked at",
    ]
    skipped = ["no optimiser's state: updates not looked at"] * (case.state is None)
    return ", ".join(parts + skipped)
