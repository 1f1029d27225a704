"""scikit-learn's loop around ``epochs``: minibatches, plateaus, learning rates, and when to stop."""

import functools
import logging
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..backends.threads import threads_for
from ..equations.schedules import Adaptive, InverseScaling, Plateau, Schedule
from ..model import check_weights
from ..program.steps import Batch
from ..state import State
from ..step import LastSteps
from ..training import DivergedError, passes
from .records import Job, Records

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


logger = logging.getLogger("xpnet")


@functools.cache
def _say_that_it_is_ignored(learning_rate: str, solver: str) -> None:
    logger.warning(
        "learning_rate=%r is for solver='sgd' and does nothing for %r, as in scikit-learn; a schedule such as "
        "xpnet.schedules.Adaptive() works for every solver that steps",
        learning_rate,
        solver,
    )


class Shuffles:
    """An estimator's source of shuffles, which ``epochs`` need not copy: an estimator resumes with its own.

    Copying a RandomState takes as long as an epoch over a few hundred samples.
    """

    def __init__(self, rng: np.random.RandomState) -> None:
        self.rng = rng

    def permutation(self, n: int) -> np.ndarray:
        """The numbers below n in random order."""
        return self.rng.permutation(n)

    def __deepcopy__(self, memo: dict) -> "Shuffles":
        return self


class StochasticFit(Records):
    """Training by minibatches, for an estimator with scikit-learn's parameters and attributes."""

    solver: str
    batch_size: Any
    learning_rate: Any
    learning_rate_init: float
    power_t: float
    clip_norm: float | None
    max_iter: int
    shuffle: bool
    n_iter_no_change: float
    t_: int
    stopped_early_: bool
    coefs_: list
    intercepts_: list
    _best: dict[str, list]
    _schedule: Callable[[], Schedule]

    def _check_solver(self) -> bool:
        """Whether there is a partial_fit; the error says why not."""
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    @property
    def _optimizer(self) -> State:
        """Where training stands: ``learning_rate`` and slots, under scikit-learn's name."""
        return self._resume

    @property
    def _no_improvement_count(self) -> int:
        """Epochs on the plateau, under scikit-learn's name."""
        return self._plateau.epochs

    @_no_improvement_count.setter
    def _no_improvement_count(self, epochs: int) -> None:
        self._plateau = replace(getattr(self, "_plateau", Plateau()), epochs=epochs)

    def _train(self, job: Job, n_epochs: int) -> bool:
        """Epochs until the loss or the validation score stops improving, or there were n_epochs; whether it stopped.

        The state to go on from is in ``_resume`` before and afterwards, also when training was interrupted or diverged.
        """
        m = job.X.shape[0]
        if self.solver != "sgd" and self.learning_rate in ("invscaling", "adaptive"):
            _say_that_it_is_ignored(self.learning_rate, self.solver)
        self._plateau = replace(getattr(self, "_plateau", Plateau()), tol=self.tol)
        size = self._batch_size(m)
        if job.w is not None:
            check_weights(job.w)
        clip_norm = None if self.clip_norm is None else float(self.clip_norm)
        rule = self._resume.optimizer
        steps = getattr(self, "_last_steps", LastSteps()).of(job.model, job.X, rule, clip_norm, job.backend)
        rng = Shuffles(job.rng) if self.shuffle else None
        data, is_last = Batch(job.X, job.Y, job.w), not hasattr(self, "_last_steps")
        epochs = passes(steps, self._resume, data, size, rng, self._schedule(), job.backend, is_last)
        job.keeps_last = not self.early_stopping or self._plateau.best < math.inf
        self.n_iter_ = 0
        try:
            # Once a fit and not once an epoch: the product that follows a change takes BLAS longer.
            with threads_for(size * job.model.layout(job.X.shape[1:]).largest_product):
                return self._run(job, epochs, n_epochs)
        except DivergedError as error:
            return self._diverged(job, error)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=5)
            return True

    def _run(self, job: Job, epochs: Any, n_epochs: int) -> bool:
        """Epoch after epoch; whether anything but their number ends it."""
        state = self._resume
        while self.n_iter_ < n_epochs:
            self._begin_epoch(job, state)
            begin = time.perf_counter()
            state, cost = epochs.send(state if self.n_iter_ else None)
            self.t_ += job.X.shape[0]
            ends = self._after_epoch(job, state, cost, state.learning_rate, time.perf_counter() - begin)
            rate, job.stops = self._next_rate(state.learning_rate)
            if rate != self._resume.learning_rate:
                self._resume = replace(self._resume, learning_rate=rate)
            if rate != state.learning_rate:
                state = replace(state, learning_rate=rate)
            if job.stops or ends:
                return True
        return False

    def _keep_best(self, job: Job) -> None:
        """partial_fit's early stopping: the best coefficients are kept aside until it stops, and then come back."""
        if not self.early_stopping:
            return
        if job.is_best or not hasattr(self, "_best"):
            self._best = {"coefs_": self.coefs_, "intercepts_": self.intercepts_}
        self.stopped_early_ = job.stops
        if job.stops:
            vars(self).update(self._best)
            del self._resume  # the slots are those of other coefficients
            self._plateau = replace(self._plateau, epochs=0)

    def _diverged(self, job: Job, error: DivergedError) -> bool:
        """Raise, with scikit-learn's words first; under early stopping only warn: the best parameters are finite."""
        if not self.early_stopping:
            self._resume = error.state
            error.args = (f"{NOT_FINITE} {error}",)
            raise error
        self._record(job, math.nan, math.nan, math.nan, error.state.learning_rate, None, None)
        self._end_epoch(job, error.state)
        warnings.warn(f"{error}: those of the best validation score.", ConvergenceWarning, stacklevel=6)
        return True

    def _batch_size(self, m: int) -> int:
        if self.batch_size == "auto":
            return min(200, m)
        if self.batch_size > m:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=6
            )
        return int(min(self.batch_size, m))

    def _adaptive(self) -> Adaptive | None:
        """The rule by which the learning rate falls after a plateau; scikit-learn's name is for sgd alone."""
        if isinstance(self.learning_rate, Adaptive):
            return self.learning_rate
        return Adaptive(self.n_iter_no_change) if self._is_sgds("adaptive") else None

    def _is_sgds(self, name: str) -> bool:
        return self.solver == "sgd" and self.learning_rate == name

    def _next_rate(self, rate: float) -> tuple[float, bool]:
        """The next epoch's learning rate, and whether training stops before it."""
        if self._is_sgds("invscaling"):
            rate = self._resume.optimizer.learning_rate * InverseScaling(self.power_t)(self.t_)
        adaptive = self._adaptive()
        patience = self.n_iter_no_change if adaptive is None else adaptive.patience
        if self._plateau.epochs <= patience:
            return rate, False
        what = "Validation score" if self.early_stopping else "Training loss"
        message = f"{what} did not improve more than tol={self.tol:f} for {patience:g} consecutive epochs."
        new_rate = None
        if adaptive is not None:
            new_rate, self._plateau = adaptive(rate, self._plateau)
            message += " Learning rate too small." if new_rate is None else f" Setting learning rate to {new_rate:f}"
        if self.verbose:
            print(message + (" Stopping." if new_rate is None else ""))
        return (rate, True) if new_rate is None else (new_rate, False)

    def _warn_unconverged(self) -> None:
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
            "converged yet.",
            ConvergenceWarning,
            stacklevel=5,
        )
