"""One run of training: its epochs, their records, the best parameters, and when to stop."""

import math
import sys
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..backends import Backend
from ..backends.threads import threads_for
from ..equations.dropout import draw_seed
from ..equations.schedules import Plateau
from ..model import Model
from ..program.steps import Batch
from ..state import State, initial_state
from ..step import LastSteps
from ..training import DivergedError, passes
from .callbacks import Callbacks
from .history import History, print_epoch
from .settings import Settings, update_rule
from .stopping import next_rate

Array = Any

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


@dataclass
class Run:
    """One run of training, by minibatches or by L-BFGS.

    Attributes
    ----------
    data : Batch
        What is trained on.
    state : State
        Where training would go on: the last epoch, or the one with the best validation score.
    plateau : Plateau
        Epochs without improvement.
    judge : callable or None
        theta -> the loss and the score of the validation set.
    attributes : dict
        The estimator's, which show the history after each epoch.
    keeps_last : bool
        Whether ``state`` follows every epoch: without early stopping, and, as in scikit-learn, in a warm start until a
        score beats the best of earlier fits.
    is_best : bool
        Whether an epoch had the best validation score so far.
    stops : bool
        Whether a plateau has ended training.
    """

    settings: Settings
    model: Model
    backend: Backend
    data: Batch
    state: State
    history: History
    plateau: Plateau = Plateau()
    judge: Callable[[Array], tuple[float, float]] | None = None
    callbacks: Callbacks | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    is_best: bool = False
    stops: bool = False

    def __post_init__(self) -> None:
        self.keeps_last = not self.settings.early_stopping or self.plateau.best < math.inf

    def publish(self) -> None:
        """Set the estimator's attributes that show the history and the state of training."""
        self.attributes.update(vars(self.history), _plateau=self.plateau, _resume=self.state)

    def train(self, rng: Any, last_steps: LastSteps | None, n_epochs: int) -> bool:
        """Train until the loss or the validation score stops improving, or for n_epochs. Returns whether it stopped.

        ``state`` is also set if training is interrupted or diverges. ``last_steps`` has the runner of an earlier
        training's steps, and keeps this one's.
        """
        settings, model, data = self.settings, self.model, self.data
        size = self._batch_size(data.X.shape[0])
        runners = LastSteps() if last_steps is None else last_steps
        steps = runners.of(model, data.X, self.state.optimizer, settings.clip_norm, self.backend)
        shuffles = Shuffles(rng) if settings.shuffle else None
        is_last = last_steps is None
        epochs = passes(steps, self.state, data, size, shuffles, settings.schedule, self.backend, is_last)
        try:
            # Once a fit and not once an epoch: the product that follows a change takes BLAS longer.
            with threads_for(size * model.layout(data.X.shape[1:]).largest_product):
                return self._loop(epochs, n_epochs)
        except DivergedError as error:
            return self._diverged(error)
        except KeyboardInterrupt:
            warn("Training interrupted by user.")
            return True

    def _loop(self, epochs: Generator[tuple[State, float], State | None, None], n_epochs: int) -> bool:
        """Run the epochs. Returns whether anything but their number ended them."""
        state, m = self.state, self.data.X.shape[0]
        while self.history.n_iter_ < n_epochs:
            self.begin_epoch(state)
            begin = time.perf_counter()
            state, cost = epochs.send(state if self.history.n_iter_ else None)
            self.history.t_ += m
            ends = self.end_epoch(state, cost, state.learning_rate, time.perf_counter() - begin)
            rate, self.plateau, self.stops = next_rate(
                self.settings, self.state, self.history.t_, self.plateau, state.learning_rate
            )
            if rate != self.state.learning_rate:
                self.state = replace(self.state, learning_rate=rate)
            if rate != state.learning_rate:
                state = replace(state, learning_rate=rate)
            if self.stops or ends:
                return True
        return False

    def begin_epoch(self, state: State) -> None:
        """Report to the callbacks that an epoch begins at this state."""
        if self.callbacks is not None:
            self.publish()
            self.callbacks.begin_epoch(state)

    def end_epoch(self, state: State, cost: float, rate: float | None, seconds: float) -> bool:
        """Record an epoch that led to this state, and keep the best. Returns whether a callback ends training."""
        by_score, best = self.settings.early_stopping, self.plateau.best
        loss, score = (math.nan, math.nan) if self.judge is None else self.judge(state.theta)
        monitored = -score if by_score else cost
        if by_score and monitored < best:
            self.state, self.keeps_last = state, False
        elif self.keeps_last or best == math.inf:  # no score has been finite yet
            self.state = state
        self.plateau = self.plateau.after(monitored)
        return self._record(state, cost, loss, score, rate, state.gradient_norm, seconds)

    def _record(
        self, state: State, cost: float, loss: float, score: float, rate: Any, gradient_norm: Any, seconds: Any
    ) -> bool:
        course = {"learning_rate": rate, "gradient_norm": gradient_norm, "seconds": seconds}
        self.is_best |= self.history.add(cost, loss, score, self.plateau.best, **course)
        print_epoch(self.history, self.settings, None if self.judge is None else score)
        self.publish()
        return self.callbacks is not None and self.callbacks.end_epoch(state)

    def _diverged(self, error: DivergedError) -> bool:
        """Raise the error, or with early stopping, which has kept finite parameters, warn of it."""
        if not self.settings.early_stopping:
            self.state = error.state
            error.args = (f"{NOT_FINITE} {error}",)
            raise error
        self._record(error.state, math.nan, math.nan, math.nan, error.state.learning_rate, None, None)
        warn(f"{error}: those of the best validation score.", ConvergenceWarning)
        return True

    def _batch_size(self, m: int) -> int:
        given = self.settings.batch_size
        if given == "auto":
            return min(200, m)
        if given > m:
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
        return int(min(given, m))


def starting_state(estimator: Any, model: Model, backend: Backend, X: Array, rng: Any, resumes: bool) -> State:
    """New parameters, or those of a fitted estimator, and with them its slots if training ``resumes``."""
    if not hasattr(estimator, "coefs_"):
        state = initial_state(backend.asarray(model.draw(rng, X.shape[1]), X.dtype), update_rule(estimator))
    else:
        theta = estimator._theta(backend, X)
        resumes = resumes and hasattr(estimator, "_resume")
        state = replace(estimator._resume, theta=theta) if resumes else initial_state(theta, update_rule(estimator))
    return replace(state, seed=draw_seed(rng)) if model.is_stochastic and state.seed == 0 else state


class Shuffles:
    """An estimator's source of shuffles, which is not copied, as an estimator resumes with its own generator.

    Copying a RandomState takes as long as an epoch over a few hundred samples.
    """

    def __init__(self, rng: np.random.RandomState) -> None:
        self.rng = rng

    def permutation(self, n: int) -> np.ndarray:
        """The numbers below n in random order."""
        return self.rng.permutation(n)

    def __deepcopy__(self, memo: dict) -> "Shuffles":
        return self


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of the line that called the estimator: the first one outside of this package and scikit-learn's wrapper."""
    level, frame = 1, sys._getframe()
    inside = ("xpnet.", "sklearn.callback.")
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(inside):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
