"""What every epoch leaves behind: curves and history, printed lines, the best parameters, and reports to callbacks."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backends import Backend
from ..equations.schedules import Plateau
from ..model import Model, State
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
    rng : numpy.random.RandomState
        Of the shuffles.
    tasks : CallbackContext or None
        Where callbacks are told of epochs; ``task`` is the epoch's.
    given : dict
        X, y and metadata as the user gave them, for callbacks.
    keeps_last : bool
        Whether parameters are kept epoch by epoch: without early stopping, and, as in scikit-learn, in a warm start
        until a score beats the best of earlier fits.
    """

    backend: Backend
    model: Model
    X: Array
    Y: Array
    w: Array | None
    held_out: HeldOut | None
    rng: Any
    tasks: Any = None
    task: Any = None
    given: dict[str, Any] = field(default_factory=dict)
    keeps_last: bool = True


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

    def _after_epoch(self, job: Job, state: State, cost: float, rate: float | None, seconds: float) -> bool:
        """Record an epoch that led to ``state``, keep the best, and tell; whether a callback ends training."""
        self._count_epoch(cost)
        for name, value in (("learning_rate", rate), ("gradient_norm", state.gradient_norm), ("seconds", seconds)):
            self._course[name].append(value)
        monitored = self._look_at_held_out(job, state) if self.validation_scores_ is not None else cost
        monitored = monitored if self.early_stopping else cost
        if self.early_stopping and monitored < self._plateau.best:
            self._resume, job.keeps_last = state, False
        elif job.keeps_last:
            self._resume = state
        self._plateau = self._plateau.after(monitored)
        if not self.early_stopping:
            self.best_loss_ = self._plateau.best
        if self._prints_table():
            self._print_row()
        return self._end_epoch(job, state)

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

    def _look_at_held_out(self, job: Job, state: State) -> float:
        """Minus the validation score, so that less is better, as for a cost."""
        loss, score = math.nan, math.nan
        if job.held_out is not None:
            loss, score = self._validate(job.model, state.theta, job.held_out, job.backend)
            if self._prints_lines():
                print(f"Validation score: {score:f}")
        self.validation_loss_curve_.append(loss)
        self.validation_scores_.append(score)
        if score > self.best_validation_score_:
            self.best_validation_score_ = score
        return -score

    def _print_row(self) -> None:
        """The epoch as a line of a table; * marks the best so far of what training is stopped by."""
        history = self.history_
        if self.n_iter_ == 1:
            print("  ".join([f"{'epoch':>6}", *(f"{name.replace('validation', 'val'):>14}" for name in history)]))
        judged = "validation_score" if self.early_stopping else "loss"
        cells = []
        for name, values in history.items():
            best = max if name == "validation_score" else min
            mark = "*" if name == judged and values[-1] == best(values) else " "
            cells.append(f"{values[-1]:>13.6g}{mark}")
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
