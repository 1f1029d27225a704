"""What every epoch leaves behind: curves and history, printed lines, the best parameters, and reports to callbacks."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backends import Backend
from ..equations.schedules import Plateau
from ..model import Model
from ..state import State
from .validation import HeldOut

Array = Any

RECORDS = (
    "loss_curve_",
    "best_loss_",
    "validation_loss_curve_",
    "validation_scores_",
    "best_validation_score_",
    "_course",
)
"""Attributes that grow with the epochs."""


@dataclass
class Job:
    """What one call of fit or partial_fit works with, all of it checked and where it is computed.

    Attributes
    ----------
    backend : Backend
    model : Model
    X, Y, w : arrays, or None for w
    held_out : HeldOut or None
    evaluate : callable or None
        theta -> the loss of the held-out samples, and their predictions.
    rng : numpy.random.RandomState
        Of the shuffles.
    tasks : CallbackContext or None
        Where callbacks are told of epochs; ``task`` is the epoch's.
    given : dict
        X, y and metadata as the user gave them, for callbacks.
    keeps_last : bool
        Whether parameters are kept epoch by epoch: without early stopping, and, as in scikit-learn, in a warm start
        until a score beats the best of earlier fits.
    is_best : bool
        Whether the last epoch had the best validation score so far.
    stops : bool
        Whether a plateau has ended training.
    """

    backend: Backend
    model: Model
    X: Array
    Y: Array
    w: Array | None
    held_out: HeldOut | None
    evaluate: Any
    rng: Any
    tasks: Any = None
    task: Any = None
    given: dict[str, Any] = field(default_factory=dict)
    keeps_last: bool = True
    is_best: bool = False
    stops: bool = False


class Records:
    """The attributes that grow with the epochs, and who looks at them."""

    solver: str
    early_stopping: bool
    tol: float
    verbose: Any
    n_iter_: int
    loss_: float
    loss_curve_: list[float]
    best_loss_: float | None
    validation_loss_curve_: Any
    validation_scores_: Any
    best_validation_score_: Any
    _course: dict[str, list]
    _plateau: Plateau
    _resume: State
    _validate: Callable[..., tuple[float, float]]
    _coefficients: Callable[[Array], dict[str, list]]

    @property
    def history_(self) -> dict[str, list]:
        """Epoch by epoch: loss, validation_loss and validation_score where there are such data, learning_rate (of the
        epoch's first step, before a schedule), gradient_norm where there is a ``clip_norm``, and seconds.
        """
        validation = {"validation_loss": self.validation_loss_curve_, "validation_score": self.validation_scores_}
        curves = {"loss": self.loss_curve_, **validation, **self._course}
        return {name: list(values) for name, values in curves.items() if values and any(v is not None for v in values)}

    def _ready_records(self, has_held_out: bool) -> None:
        """Begin the attributes that grow with the epochs, where they are missing or of another kind of training."""
        of_scores = getattr(self, "best_loss_", None) is None
        is_search = self.solver == "lbfgs" or getattr(self, "_course", {}).get("learning_rate", [])[-1:] == [None]
        if hasattr(self, "loss_curve_") and (of_scores != self.early_stopping or is_search):
            for name in ("_plateau", *RECORDS):
                self.__dict__.pop(name, None)
        at_first: dict[str, Any] = {
            "loss_curve_": [],
            "best_loss_": None if self.early_stopping else np.inf,
            "_course": {"learning_rate": [], "gradient_norm": [], "seconds": []},
        }
        for name in RECORDS:
            self.__dict__.setdefault(name, at_first.get(name))
        if has_held_out and self.validation_scores_ is None:
            unknown = [math.nan] * len(self.loss_curve_)
            self.validation_loss_curve_, self.validation_scores_ = [*unknown], [*unknown]
            self.best_validation_score_ = -np.inf

    def _restore_records(self, plateau_epochs: int = 0) -> None:
        """Complete what grows with the epochs, for a model that was made elsewhere: what is unknown is NaN."""
        n = len(self.__dict__.setdefault("loss_curve_", []))
        for name in RECORDS:
            self.__dict__.setdefault(name, None)
        if self.validation_scores_ is not None and self.validation_loss_curve_ is None:
            self.validation_loss_curve_ = [math.nan] * n
        if self._course is None:
            self._course = {"learning_rate": [math.nan] * n, "gradient_norm": [None] * n, "seconds": [None] * n}
        best = self.best_loss_ if self.best_validation_score_ is None else -self.best_validation_score_
        self._plateau = Plateau(self.tol, math.inf if best is None else best, plateau_epochs)

    def _after_epoch(self, job: Job, state: State, cost: float, rate: float | None, seconds: float) -> bool:
        """Record an epoch that led to ``state``, keep the best, and tell; whether a callback ends training."""
        loss, score = math.nan, math.nan
        if job.held_out is not None:
            loss, score = self._validate(job.evaluate, state.theta, job.held_out)
        monitored = -score if self.early_stopping else cost
        if self.early_stopping and monitored < self._plateau.best:
            self._resume, job.keeps_last = state, False
        elif job.keeps_last or self._plateau.best == math.inf:  # no score has been finite yet
            self._resume = state
        self._plateau = self._plateau.after(monitored)
        self._record(job, cost, loss, score, rate, state.gradient_norm, seconds)
        return self._end_epoch(job, state)

    def _record(
        self, job: Job, cost: float, loss: float, score: float, rate: Any, gradient_norm: Any, seconds: Any
    ) -> None:
        """Append an epoch to every curve, and print it."""
        self._count_epoch(cost)
        for name, value in (("learning_rate", rate), ("gradient_norm", gradient_norm), ("seconds", seconds)):
            self._course[name].append(value)
        if self.validation_scores_ is not None:
            self.validation_loss_curve_.append(loss)
            self.validation_scores_.append(score)
            if score > self.best_validation_score_:
                self.best_validation_score_, job.is_best = score, True
        if self._prints_lines() and job.held_out is not None:
            print(f"Validation score: {score:f}")
        if not self.early_stopping:
            self.best_loss_ = self._plateau.best
        if self._prints_table():
            self._print_row()

    def _prints_table(self) -> bool:
        return self.verbose == 2

    def _prints_lines(self) -> bool:
        """scikit-learn's lines, which it prints for every other true value; for L-BFGS it leaves that to SciPy."""
        return bool(self.verbose) and not self._prints_table() and self.solver != "lbfgs"

    def _count_epoch(self, cost: float) -> None:
        self.n_iter_ += 1
        self.loss_ = cost
        self.loss_curve_.append(cost)
        if self._prints_lines():
            print(f"Iteration {self.n_iter_}, loss = {cost:.8f}")

    def _print_row(self) -> None:
        """The epoch as a line of a table; * marks the best so far of what training is stopped by."""
        history = self.history_
        if len(self.loss_curve_) == 1:
            print("  ".join([f"{'epoch':>6}", *(f"{name.replace('validation', 'val'):>14}" for name in history)]))
        judged, best = ("validation_score", np.nanmax) if self.early_stopping else ("loss", np.nanmin)
        cells = []
        for name, values in history.items():
            mark = "*" if name == judged and not np.isnan(values[-1]) and values[-1] == best(values) else " "
            cells.append(" " * 14 if values[-1] is None else f"{values[-1]:>13.6g}{mark}")
        print("  ".join([f"{self.n_iter_:>6}", *cells]))

    def _begin_epoch(self, job: Job, state: State) -> None:
        """Report to the callbacks that an epoch begins at ``state``."""
        if job.tasks is not None:
            job.task = job.tasks.subcontext(task_name="epoch")
            job.task.call_on_fit_task_begin(estimator=self, **job.given, **self._reached(state))

    def _end_epoch(self, job: Job, state: State) -> bool:
        """Report to the callbacks that it led to ``state``; whether one of them ends training."""
        if job.tasks is None:
            return False
        return job.task.call_on_fit_task_end(estimator=self, **job.given, **self._reached(state))

    def _reached(self, state: State) -> dict[str, Any]:
        return {"reconstruction_attributes": lambda: self._coefficients(state.theta)}
