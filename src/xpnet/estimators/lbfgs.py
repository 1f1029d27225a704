"""scikit-learn's L-BFGS: SciPy searches on the host in float64, the cost and its gradient come from where X is."""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.utils.fixes import _get_additional_lbfgs_options_dict
from sklearn.utils.optimize import _check_optimize_result

from ..backends import Backend, data_dtype, to_numpy
from ..model import Model, State
from .stochastic import NOT_FINITE


class LBFGSFit:
    """Training on the whole of X by L-BFGS-B, for an estimator with scikit-learn's parameters and attributes."""

    max_iter: int
    max_fun: int
    tol: float
    verbose: Any
    _resume: State

    def _model(self) -> Model:
        raise TypeError(f"{type(self).__name__} must define _model")

    def _minimize(self, backend: Backend, state: State, data: tuple) -> None:
        """Minimise J from ``state.theta``; SciPy's end, ``max_iter`` and ``max_fun`` among them, is warned of.

        The state that was evaluated last is in ``_resume`` throughout: an interrupt keeps it.
        """
        model = self._model()
        X, Y, w = data
        cost_and_gradient = model.objective(X, Y, w, backend)
        dtype = data_dtype(model.precision, backend)

        def evaluate(theta):
            self._resume = replace(state, theta=backend.asarray(theta, dtype))
            cost, gradient = cost_and_gradient(self._resume.theta)
            return cost, to_numpy(gradient).astype(np.float64, copy=False)

        self._resume = state
        # SciPy before 1.15 printed its own report for iprint.
        printed = _get_additional_lbfgs_options_dict("iprint", 1 if self.verbose else -1)
        limits = {"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol}
        start = to_numpy(state.theta).astype(np.float64)
        options = {**limits, **printed}
        result = scipy.optimize.minimize(evaluate, start, method="L-BFGS-B", jac=True, options=options)
        self.n_iter_ = _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = result.fun
        if not np.isfinite(result.x).all():
            self._resume = state
            raise ValueError(f"{NOT_FINITE} Scale the features. The parameters are those before this call.")
        self._resume = replace(state, theta=backend.asarray(result.x, dtype))

    def _loss_grad_lbfgs(self, theta: Any, X: Any, Y: Any, sample_weight: Any = None, *_buffers: Any) -> tuple:
        """J(theta) and its gradient for targets Y, under scikit-learn's name and order of arguments."""
        return self._model().cost_and_gradient(theta, X, Y, sample_weight)
