"""scikit-learn's loop around ``epochs``: held-out data, plateaus, learning rates, and what is recorded on the way."""

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from array_api_compat import device
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from ..backends import Backend, gather, namespace, to_numpy
from ..equations.schedules import Adaptive, InverseScaling, Plateau
from ..model import Model, State
from ..training import DivergedError, epochs

Array = Any

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
RECORDS = ("loss_curve_", "best_loss_", "validation_scores_", "best_validation_score_")
"""Attributes that grow with the epochs."""


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


class StochasticFit:
    """Training by minibatches, for an estimator with scikit-learn's parameters and attributes."""

    solver: str
    batch_size: Any
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    tol: float
    verbose: Any
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: float
    n_outputs_: int
    t_: int
    loss_curve_: list[float]
    validation_scores_: Any
    best_loss_: float | None
    best_validation_score_: float | None
    _stratify: bool
    _plateau: Plateau
    _resume: State

    def _model(self) -> Model:
        raise TypeError(f"{type(self).__name__} must define _model")

    def _score_outputs(self, y: np.ndarray, A: np.ndarray, sample_weight: np.ndarray | None) -> float:
        """The validation score of predictions A for y, both on the host."""
        raise TypeError(f"{type(self).__name__} must define _score_outputs")

    def _check_solver(self) -> bool:
        """Whether there is a partial_fit; the error says why not."""
        if self.solver == "lbfgs":
            raise AttributeError("partial_fit is only available for stochastic optimizers. lbfgs is not stochastic.")
        return True

    @property
    def _optimizer(self) -> State:
        """Where training stands: ``learning_rate`` and moments, under scikit-learn's name."""
        return self._resume

    @property
    def _no_improvement_count(self) -> int:
        """Epochs on the plateau, under scikit-learn's name."""
        return self._plateau.epochs

    @_no_improvement_count.setter
    def _no_improvement_count(self, epochs: int) -> None:
        self._plateau = replace(getattr(self, "_plateau", Plateau()), epochs=epochs)

    def _ready_records(self) -> None:
        """Begin the attributes that grow with the epochs, where they are missing or of another kind of stopping."""
        of_scores = getattr(self, "validation_scores_", None) is not None
        if hasattr(self, "loss_curve_") and of_scores == self.early_stopping:
            return
        self.__dict__.pop("_plateau", None)
        self.loss_curve_ = []
        self.validation_scores_ = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None
        self.best_loss_ = None if self.early_stopping else np.inf

    def _split(self, data: tuple, rng: Any) -> tuple[tuple, tuple | None]:
        """What is trained on, (X, Y, w), and what early stopping holds out: X, and Y and w on the host."""
        if not self.early_stopping:
            return data, None
        X, Y, _ = data
        labels = to_numpy(Y) > 0.5 if self._stratify and self.n_outputs_ == 1 else None
        places = train_test_split(
            np.arange(X.shape[0]), random_state=rng, test_size=self.validation_fraction, stratify=labels
        )
        if len(places[1]) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        rows = [namespace(Y).asarray(at, device=device(Y)) for at in places]
        train, held_out = (tuple(A if A is None else gather(A, at) for A in data) for at in rows)
        return train, (held_out[0], *(A if A is None else to_numpy(A) for A in held_out[1:]))

    def _train(
        self, backend: Backend, state: State, data: tuple, held_out: tuple | None, rng: Any, n_epochs: int
    ) -> bool:
        """Epochs until the loss or the validation score stops improving, or there were n_epochs; whether it stopped.

        The state to go on from is in ``_resume`` afterwards, also when training was interrupted or diverged.
        """
        X, Y, w = data
        model, m = self._model(), X.shape[0]
        batches: dict[str, Any] = {"batch_size": self._batch_size(m), "shuffle": self.shuffle, "rng": Shuffles(rng)}
        passes = epochs(model, state, X, Y, sample_weight=w, backend=backend, **batches)
        self._resume, self._plateau = state, getattr(self, "_plateau", Plateau())
        self.n_iter_ = 0
        # scikit-learn's rule: a warm start keeps its last parameters until a score beats the best of earlier fits.
        keeps_last = held_out is None or self._plateau.best < math.inf
        try:
            while self.n_iter_ < n_epochs:
                state, cost = passes.send(state if self.n_iter_ else None)
                self._count_epoch(cost, m)
                cost = self._validate(model, state, held_out, backend) if held_out else cost
                if held_out and cost < self._plateau.best:
                    self._resume, keeps_last = state, False
                elif keeps_last:
                    self._resume = state
                self._plateau = replace(self._plateau, tol=self.tol).after(cost)
                self._keep_best()
                self._after_epoch(model, state)
                rate, stops = self._next_rate(state.learning_rate)
                state = replace(state, learning_rate=rate)
                self._resume = replace(self._resume, learning_rate=rate)
                if stops:
                    return True
        except DivergedError as error:
            return self._diverged(error, m)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=4)
            return True
        return False

    def _diverged(self, error: DivergedError, m: int) -> bool:
        """Raise, with scikit-learn's words first; under early stopping only warn: the best parameters are finite."""
        if not self.early_stopping:
            self._resume = error.state
            error.args = (f"{NOT_FINITE} {error}",)
            raise error
        self._count_epoch(math.nan, m)
        self.validation_scores_.append(math.nan)
        warnings.warn(f"{error}: those of the best validation score.", ConvergenceWarning, stacklevel=5)
        return True

    def _batch_size(self, m: int) -> int:
        if self.batch_size == "auto":
            return min(200, m)
        if self.batch_size > m:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
            )
        return int(min(self.batch_size, m))

    def _has_schedule(self, name: str) -> bool:
        return self.solver == "sgd" and self.learning_rate == name

    def _count_epoch(self, cost: float, m: int) -> None:
        self.n_iter_ += 1
        self.t_ += m
        self.loss_ = cost
        self.loss_curve_.append(cost)
        if self.verbose:
            print(f"Iteration {self.n_iter_}, loss = {cost:.8f}")

    @np.errstate(over="ignore", invalid="ignore")  # a run that diverges says so itself
    def _validate(self, model: Model, state: State, validation: tuple, backend: Backend) -> float:
        """Minus the validation score, so that less is better, as for a cost."""
        X, y, w = validation
        A = to_numpy(model.predict(state.theta, X, backend))
        score = self._score_outputs(y, A, w) if np.isfinite(A).all() else np.nan
        self.validation_scores_.append(score)
        if self.verbose:
            print(f"Validation score: {score:f}")
        return -score

    def _keep_best(self) -> None:
        if self.early_stopping:
            self.best_validation_score_ = -self._plateau.best
        else:
            self.best_loss_ = self._plateau.best

    def _after_epoch(self, model: Model, state: State) -> None:
        """What a subclass does after every epoch, with the model and the state that it reached; nothing here."""

    def _next_rate(self, rate: float) -> tuple[float, bool]:
        """The next epoch's learning rate, and whether training stops before it."""
        if self._has_schedule("invscaling"):
            rate = self.learning_rate_init * InverseScaling(self.power_t)(self.t_)
        if self._plateau.epochs <= self.n_iter_no_change:
            return rate, False
        what = "Validation score" if self.early_stopping else "Training loss"
        message = f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change:d} consecutive epochs."
        new_rate = None
        if self._has_schedule("adaptive"):
            new_rate, self._plateau = Adaptive(self.n_iter_no_change)(rate, self._plateau)
            message += " Learning rate too small." if new_rate is None else f" Setting learning rate to {new_rate:f}"
        if self.verbose:
            print(message + (" Stopping." if new_rate is None else ""))
        return (rate, True) if new_rate is None else (new_rate, False)

    def _warn_unconverged(self) -> None:
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
            "converged yet.",
            ConvergenceWarning,
            stacklevel=4,
        )
