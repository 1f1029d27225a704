"""scikit-learn's L-BFGS: SciPy searches on the host in float64, the cost and its gradient come from where X is."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.utils.fixes import _get_additional_lbfgs_options_dict
from sklearn.utils.optimize import _check_optimize_result

from ..backends import data_dtype, to_numpy
from ..equations.schedules import Plateau
from ..model import Model
from ..state import State
from .records import Job, Records
from .stochastic import NOT_FINITE


class EndedEarlyError(Exception):
    """Out of SciPy's search: a validation score or a callback has ended it."""


class Search:
    """What SciPy calls: the cost and its gradient, and the end of each iteration."""

    def __init__(self, estimator: Any, job: Job, start: State) -> None:
        self.estimator, self.job, self.start = estimator, job, start
        self.cost_and_gradient = job.model.objective(job.X, job.Y, job.w, job.backend)
        self.dtype = data_dtype(job.model.precision, job.backend)
        self.evaluated: tuple[np.ndarray, float] | None = None
        self.began: float | None = None

    def state_at(self, theta: np.ndarray) -> State:
        """The state with these parameters, where they are computed with."""
        return replace(self.start, theta=self.job.backend.asarray(theta, self.dtype))

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """J(theta) and its gradient, on the host."""
        if self.began is None:  # an iteration begins where SciPy first asks for it
            self.began = time.perf_counter()
            self.estimator._begin_epoch(self.job, self.estimator._resume)
        cost, gradient = self.cost_and_gradient(self.state_at(theta).theta)
        self.evaluated = theta.copy(), cost
        return cost, to_numpy(gradient).astype(np.float64, copy=False)

    def end_iteration(self, theta: np.ndarray) -> None:
        """Record theta, which the search has moved to; raise where that ends it."""
        is_last = self.evaluated is not None and np.array_equal(self.evaluated[0], theta)
        cost = self.evaluated[1] if is_last and self.evaluated else self.evaluate(theta)[0]
        mlp, state, began = self.estimator, self.state_at(theta), self.began
        self.began = None
        ends = mlp._after_epoch(self.job, state, cost, None, time.perf_counter() - (began or 0.0))
        if ends or (mlp.early_stopping and mlp._plateau.epochs > mlp.n_iter_no_change):
            raise EndedEarlyError


class LBFGSFit(Records):
    """Training on the whole of X by L-BFGS-B, for an estimator with scikit-learn's parameters and attributes."""

    max_iter: int
    max_fun: int
    n_iter_no_change: float
    _model: Callable[[], Model]

    def _minimize(self, job: Job) -> None:
        """Minimise J from ``_resume.theta``; SciPy's end, ``max_iter`` and ``max_fun`` among them, is warned of.

        The state to go on from, with the parameters of the last iteration or those of the best validation score, is in
        ``_resume`` throughout: an interrupt keeps it.
        """
        state, self._plateau, self.n_iter_ = self._resume, Plateau(self.tol), 0
        job.keeps_last = not self.early_stopping
        search = Search(self, job, state)
        # SciPy before 1.15 printed its own report for iprint.
        printed = _get_additional_lbfgs_options_dict("iprint", 1 if self.verbose else -1)
        limits = {"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol}
        start = to_numpy(state.theta).astype(np.float64)
        try:
            result = scipy.optimize.minimize(
                search.evaluate,
                start,
                method="L-BFGS-B",
                jac=True,
                callback=search.end_iteration,
                options={**limits, **printed},
            )
        except EndedEarlyError:
            return
        self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = result.fun
        if not np.isfinite(result.x).all():
            self._resume = state
            raise ValueError(f"{NOT_FINITE} Scale the features. The parameters are those before this call.")
        if not self.early_stopping:
            self._resume = search.state_at(result.x)

    def _loss_grad_lbfgs(self, theta: Any, X: Any, Y: Any, sample_weight: Any = None, *_buffers: Any) -> tuple:
        """J(theta) and its gradient for targets Y, under scikit-learn's name and order of arguments."""
        return self._model().cost_and_gradient(theta, X, Y, sample_weight)
