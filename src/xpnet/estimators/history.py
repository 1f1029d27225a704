"""The history of training: curves, printed lines, and a table."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..equations.schedules import Plateau
from .settings import Settings

RECORDS = (
    "loss_curve_",
    "best_loss_",
    "validation_loss_curve_",
    "validation_scores_",
    "best_validation_score_",
    "_course",
)
"""Attributes of an estimator that grow with the epochs; training goes on with them in a warm start."""


@dataclass
class History:
    """The curves and counts of training; the fields have the names of the estimator's attributes that show them.

    ``_course`` has the values of each epoch that scikit-learn does not record.
    """

    loss_curve_: list[float] = field(default_factory=list)
    best_loss_: float | None = math.inf
    validation_loss_curve_: list[float] | None = None
    validation_scores_: list[float] | None = None
    best_validation_score_: float | None = None
    _course: dict[str, list] = field(default_factory=lambda: {"learning_rate": [], "gradient_norm": [], "seconds": []})
    t_: int = 0
    n_iter_: int = 0
    loss_: float = field(init=False)

    @classmethod
    def of(cls, attributes: dict[str, Any], early_stopping: bool, is_validated: bool) -> "History":
        """The history in an estimator's attributes, or a new one; with curves for a validation set if there is one."""
        known = {name: attributes[name] for name in (*RECORDS, "t_") if name in attributes}
        history = cls(**{"best_loss_": None if early_stopping else math.inf, **known})
        if is_validated and history.validation_scores_ is None:
            unknown = [math.nan] * len(history.loss_curve_)
            history.validation_loss_curve_, history.validation_scores_ = [*unknown], [*unknown]
            history.best_validation_score_ = -math.inf
        return history

    def add(self, cost: float, loss: float, score: float, best_cost: float, **course: float | None) -> bool:
        """Add an epoch: its cost, and the loss and score of the validation set. Returns whether the score is the best.

        ``best_cost`` is the lowest so far, and ``course`` the learning_rate, gradient_norm and seconds.
        """
        self.n_iter_ += 1
        self.loss_ = cost
        self.loss_curve_.append(cost)
        for name, value in course.items():
            self._course[name].append(value)
        if self.best_loss_ is not None:
            self.best_loss_ = best_cost
        if self.validation_scores_ is None or self.validation_loss_curve_ is None:
            return False
        self.validation_loss_curve_.append(loss)
        self.validation_scores_.append(score)
        is_best = self.best_validation_score_ is None or score > self.best_validation_score_
        if is_best:
            self.best_validation_score_ = score
        return is_best


def drop_other_kind(attributes: dict[str, Any], settings: Settings) -> None:
    """Drop the history in an estimator's attributes if it is of another kind of training and can't be continued."""
    by_score = attributes.get("best_loss_") is None
    rates = attributes.get("_course", {}).get("learning_rate", [])
    is_search = settings.solver == "lbfgs" or rates[-1:] == [None]
    if "loss_curve_" in attributes and (by_score != settings.early_stopping or is_search):
        for name in ("_plateau", *RECORDS):
            attributes.pop(name, None)


def restore(attributes: dict[str, Any], tol: float, plateau_epochs: int = 0) -> None:
    """Complete the attributes that grow with the epochs for a model that was made elsewhere: unknown values are NaN."""
    n = len(attributes.setdefault("loss_curve_", []))
    for name in RECORDS:
        attributes.setdefault(name, None)
    if attributes["validation_scores_"] is not None and attributes["validation_loss_curve_"] is None:
        attributes["validation_loss_curve_"] = [math.nan] * n
    if attributes["_course"] is None:
        attributes["_course"] = {"learning_rate": [math.nan] * n, "gradient_norm": [None] * n, "seconds": [None] * n}
    score = attributes["best_validation_score_"]
    best = attributes["best_loss_"] if score is None else -score
    attributes["_plateau"] = Plateau(tol, math.inf if best is None else best, plateau_epochs)


def curves(history: Any) -> dict[str, list]:
    """The curves of a history or an estimator by their names in ``history_``, without those that have no values."""
    validation = {"validation_loss": history.validation_loss_curve_, "validation_score": history.validation_scores_}
    found = {"loss": history.loss_curve_, **validation, **history._course}
    return {name: list(values) for name, values in found.items() if values and any(v is not None for v in values)}


def print_epoch(history: History, settings: Settings, score: float | None) -> None:
    """Print the last epoch as ``verbose`` says: scikit-learn's lines, or with 2 a line of a table.

    ``score`` is that of the validation set, if there is one. SciPy prints L-BFGS's lines, as in scikit-learn.
    """
    if settings.verbose == 2:
        _print_row(history, settings.early_stopping)
    elif settings.verbose and settings.solver != "lbfgs":
        print(f"Iteration {history.n_iter_}, loss = {history.loss_:.8f}")
        if score is not None:
            print(f"Validation score: {score:f}")


def _print_row(history: History, by_score: bool) -> None:
    """Print the epoch as a line of a table; * marks the best loss so far, or with early stopping the best score."""
    found = curves(history)
    if len(history.loss_curve_) == 1:
        print("  ".join([f"{'epoch':>6}", *(f"{name.replace('validation', 'val'):>14}" for name in found)]))
    judged, best = ("validation_score", np.nanmax) if by_score else ("loss", np.nanmin)
    cells = []
    for name, values in found.items():
        mark = "*" if name == judged and not np.isnan(values[-1]) and values[-1] == best(values) else " "
        cells.append(" " * 14 if values[-1] is None else f"{values[-1]:>13.6g}{mark}")
    print("  ".join([f"{history.n_iter_:>6}", *cells]))
