"""L-BFGS: SciPy searches on the host in float64, as in scikit-learn; the backend computes the cost and its gradient."""

import time
from dataclasses import replace

import numpy as np
import scipy.optimize
from sklearn.utils.fixes import _get_additional_lbfgs_options_dict
from sklearn.utils.optimize import _check_optimize_result

from ..backends import data_dtype, read_data, to_numpy
from ..state import State
from .training_run import NOT_FINITE, Run


class EndedEarlyError(Exception):
    """A validation score or a callback ends SciPy's search."""


class Search:
    """What SciPy calls: the cost and its gradient, and the end of each iteration."""

    def __init__(self, run: Run) -> None:
        self.run, self.start = run, run.state
        self.dtype = data_dtype(run.model.precision, run.backend)
        X, *others = run.data
        _, X = read_data(X, "X", run.backend, self.dtype, is_checked=True)
        Y, w = (a if a is None else run.backend.asarray(a, self.dtype) for a in others)
        self.cost_and_gradient = run.model.objective_of(X, Y, w, run.backend)
        self.evaluated: tuple[np.ndarray, float] | None = None
        self.began: float | None = None

    def state_at(self, theta: np.ndarray) -> State:
        """The state with these parameters, on the backend."""
        return replace(self.start, theta=self.run.backend.asarray(theta, self.dtype))

    def evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """J(theta) and its gradient, on the host."""
        if self.began is None:  # an iteration begins when SciPy first asks for a cost
            self.began = time.perf_counter()
            self.run.begin_epoch(self.run.state)
        cost, gradient = self.cost_and_gradient(self.state_at(theta).theta)
        self.evaluated = theta.copy(), cost
        return cost, to_numpy(gradient).astype(np.float64, copy=False)

    def end_iteration(self, theta: np.ndarray) -> None:
        """Record theta, which the search has moved to; raise if that ends it."""
        is_last = self.evaluated is not None and np.array_equal(self.evaluated[0], theta)
        cost = self.evaluated[1] if is_last and self.evaluated else self.evaluate(theta)[0]
        run, began = self.run, self.began or 0.0
        self.began = None
        ends = run.end_epoch(self.state_at(theta), cost, None, time.perf_counter() - began)
        if ends or (run.settings.early_stopping and run.plateau.epochs > run.settings.patience):
            raise EndedEarlyError


def minimize(run: Run) -> None:
    """Minimize J from the run's state; a warning says if SciPy stops before it converges, as at ``max_iter``.

    After each iteration the run's state has its parameters, or those of the best validation score, so that they are
    kept if the search is interrupted.
    """
    settings, search = run.settings, Search(run)
    # SciPy before 1.15 printed its own report for iprint.
    printed = _get_additional_lbfgs_options_dict("iprint", 1 if settings.verbose else -1)
    limits = {"maxfun": settings.max_fun, "maxiter": settings.max_iter, "gtol": settings.tol}
    try:
        result = scipy.optimize.minimize(
            search.evaluate,
            to_numpy(run.state.theta).astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=search.end_iteration,
            options={**limits, **printed},
        )
    except EndedEarlyError:
        return
    run.history.n_iter_ = _check_optimize_result("lbfgs", result, settings.max_iter)
    run.history.loss_ = result.fun
    if not np.isfinite(result.x).all():
        run.state = search.start
        raise ValueError(f"{NOT_FINITE} Scale the features. The parameters are those before this call.")
    if not settings.early_stopping:
        run.state = search.state_at(result.x)
