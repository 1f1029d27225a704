"""What the classifier and the regressor share: data to arrays, fit and partial_fit, prediction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_n_features, _check_sample_weight, check_is_fitted, validate_data

from ..backends import Backend, data_dtype, get_backend, is_host_data, is_in_rows, read_data, to_numpy
from ..equations.activations import BY_NAME, Activation
from ..equations.dropout import draw_seed
from ..model import State, initial_state
from .architecture import Architecture, Array
from .conversion import Conversion
from .inside import Inside
from .lbfgs import LBFGSFit
from .records import RECORDS, Job
from .stochastic import StochasticFit
from .validation import HeldOut, Validation

BEYOND_SCIKIT_LEARN: dict[str, list] = {
    "activation": [StrOptions(set(BY_NAME)), Activation, list, tuple],
    "solver": [StrOptions({"lbfgs", "sgd", "adam", "adamw"})],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
    "penalty": [StrOptions({"l1", "l2", "elasticnet"}), None],
    "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    "weight_decay": [Interval(Real, 0, None, closed="left")],
    "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
    "clip_norm": [Interval(Real, 0, None, closed="right"), None],
    "scoring": [str, callable, None],
    "backend": [str, None],
    "precision": [str, None],
}
"""What the parameters may be that scikit-learn does not have, or not as much of."""


class BaseMLP(
    Architecture, Validation, StochasticFit, LBFGSFit, Conversion, Inside, CallbackSupportMixin, BaseEstimator
):
    """A multilayer perceptron with scikit-learn's parameters, attributes and methods, and ``backend=``.

    Between calls ``coefs_`` and ``intercepts_`` are the truth: they are read at every call and may be set by hand.
    """

    def _keep(self, given: dict[str, Any]) -> None:
        """Store the constructor's arguments as they are (scikit-learn's rule)."""
        for name in self._get_param_names():
            setattr(self, name, given[name])

    # --- what the subclasses say

    def _learn_targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        """Check y (host) of training and learn what there is to be known of it; y, in the form that is encoded."""
        raise TypeError(f"{type(self).__name__} must define _learn_targets")

    def _encode(self, y: np.ndarray) -> np.ndarray:
        """y (host) as the network's targets, (m, n_outputs)."""
        raise TypeError(f"{type(self).__name__} must define _encode")

    def _weigh_classes(self, y: np.ndarray, w: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        """The samples' weights, those of their classes among them."""
        return w

    # --- fit

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: tuple | None = None) -> "BaseMLP":
        """Train until ``tol`` or ``max_iter`` ends it.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Real and finite. An array of a GPU or another Array API library is computed where it is; sparse data (CSR,
            and CSC, which becomes CSR) are never made dense.
        y : array-like, (n_samples,) or (n_samples, n_outputs)
            Class labels or targets.
        sample_weight : array-like, (n_samples,), optional
            Weights of the samples.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Samples that are not trained on. Their loss and score are recorded after each epoch; with
            ``early_stopping`` they are validated on, in place of a part of X.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool) -> "BaseMLP":
        home = None if is_host_data(X) else get_backend(None, X)
        with self._unchanged_by_errors():
            job, state = self._prepare(X, y, sample_weight, validation_data, incremental)
        stopped = True
        self._tell_fit(job, X, y, sample_weight, incremental)
        try:
            if self.solver == "lbfgs":
                self._minimize(job, state)
            else:
                stopped = self._train(job, state, n_epochs=1 if incremental else self.max_iter)
        finally:
            self._publish(home)
        if incremental:
            self._keep_best(stopped)
        elif not stopped:
            self._warn_unconverged()
        if job.tasks is not None:
            job.tasks.call_on_fit_task_end(estimator=self, **job.given)
        return self

    @contextmanager
    def _unchanged_by_errors(self) -> Iterator[None]:
        """Bad input leaves a fitted model as it was."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool
    ) -> tuple[Job, State]:
        """All that was given, checked and on the backend; and the state where training begins."""
        self._validate_params()
        if self.solver == "lbfgs" and is_in_rows(X):
            raise ValueError(
                f"X is a {type(X).__name__} that is read in rows, and solver='lbfgs' computes with all at once: "
                "pass X[:], or use solver='adam'"
            )
        self._check_solver_takes()
        if self.early_stopping and incremental and validation_data is None:
            raise ValueError("partial_fit does not support early_stopping=True without validation_data")
        first_pass = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        backend = get_backend(self.backend, X)
        X, y, w = self._read(backend, X, y, sample_weight, first_pass)
        y = self._learn_targets(y, incremental)
        w = self._weigh_classes(y, w, incremental)
        data = self._placed(backend, X, self._encode(y), w)
        if first_pass:
            self._initialize(n_outputs=data[1].shape[1])
        elif data[1].shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {data[1].shape[1]} outputs, but the fitted model has {self.n_outputs_}; call fit afresh"
            )
        held_out = None if validation_data is None else self._read_held_out(backend, validation_data)
        rng = check_random_state(self.random_state)
        self._ready_records(has_held_out=held_out is not None or self.early_stopping)
        state = self._state(backend, data[0], rng, incremental)
        if self.early_stopping and held_out is None:
            data, held_out = self._split(data, rng)
        X, Y, w = data
        return Job(backend, self._model(), X, Y, w, held_out, rng), state

    def _read(self, backend: Backend, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple:
        """X on the backend; y and the weights or None on the host; all checked."""
        y = y if is_host_data(y) else to_numpy(y)
        if is_host_data(X) and not is_in_rows(X):
            kinds = {"multi_output": True, "y_numeric": self._y_numeric, "dtype": (np.float64, np.float32)}
            X, y = validate_data(self, X, y, reset=reset, accept_sparse=("csr", "csc"), **kinds)
        else:
            y = np.asarray(y)
            if reset:
                self.__dict__.pop("feature_names_in_", None)
        X = self._matrix(X, backend, reset=reset)
        if y.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} samples and y has {y.shape[0]}; each sample needs one row of y")
        if sample_weight is None:
            return X, y, None
        host_X = np.empty((X.shape[0], 0))  # only its length is asked for
        w = sample_weight if is_host_data(sample_weight) else to_numpy(sample_weight)
        return X, y, _check_sample_weight(w, host_X, dtype=np.float64)

    def _placed(self, backend: Backend, X: Array, Y: np.ndarray, w: np.ndarray | None) -> tuple:
        """(X, Y, w), Y and w in X's dtype and where X is."""
        home = get_backend("numpy") if is_host_data(X) else backend
        return X, *(None if a is None else home.asarray(a, X.dtype) for a in (Y, w))

    def _read_held_out(self, backend: Backend, validation_data: Any) -> HeldOut:
        if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
            raise ValueError(
                f"validation_data is a {type(validation_data).__name__}; give a tuple (X, y) or (X, y, sample_weight)"
            )
        X, y, w = (*validation_data, None)[:3]
        for_scorer = (X, to_numpy(y)) if self._asks_scorer() else None
        X, y, w = self._read(backend, X, y, w, reset=False)
        X, Y, w = self._placed(backend, X, self._encode(y), w)
        return HeldOut(X, Y, w, for_scorer)

    def _matrix(self, X: Any, backend: Backend, reset: bool) -> Array:
        """X on the backend (host data too large for a GPU: on the host), with as many features as were fitted on."""
        _, X = read_data(X, "X", backend, data_dtype(self.precision, backend), may_stay=True)
        if X.ndim != 2:
            raise ValueError(f"X has shape {tuple(X.shape)}; it must be (n_samples, n_features): reshape it")
        _check_n_features(self, X, reset=reset)
        return X

    def _initialize(self, n_outputs: int) -> None:
        self.n_outputs_ = n_outputs
        self.n_layers_ = len(self._hidden()) + 2
        self.n_iter_, self.t_ = 0, 0
        self.out_activation_ = _SCIKIT_LEARN_NAMES[type(self._loss().link).__name__]
        for stale in ("coefs_", "intercepts_", "_resume", "_plateau", "_best", *RECORDS):
            self.__dict__.pop(stale, None)

    def _state(self, backend: Backend, X: Array, rng: Any, incremental: bool) -> State:
        """Where training begins: new parameters, or the fitted ones; partial_fit also goes on with the moments."""
        model = self._model()
        if not hasattr(self, "coefs_"):
            theta = backend.asarray(model.draw(rng, X.shape[1]), X.dtype)
        else:
            theta = self._theta(backend, X)
            if incremental and hasattr(self, "_resume"):
                return replace(self._resume, theta=theta)
        state = initial_state(theta, self._update_rule())
        return replace(state, seed=draw_seed(rng)) if model.draws else state

    def _tell_fit(self, job: Job, X: Any, y: Any, sample_weight: Any, incremental: bool) -> None:
        """Begin the task of fit, where callbacks are set: they are scikit-learn's, and know of fit alone."""
        if incremental or not hasattr(self, "_skl_callbacks"):
            return
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        job.given = {"X": X, "y": y, "metadata": metadata}
        # One more than max_iter: L-BFGS begins an iteration before SciPy says that there is none.
        job.tasks = self._init_callback_context(max_subtasks=self.max_iter + (self.solver == "lbfgs"))
        job.tasks.call_on_fit_task_begin(estimator=self, **job.given)

    def _publish(self, home: Backend | None) -> None:
        """Set coefs_ and intercepts_ in the library that X came from (None: the host), and keep the moments there."""
        bring = to_numpy if home is None else home.asarray
        state = self._resume
        self.__dict__.update(self._coefficients(bring(state.theta)))
        if self.solver == "lbfgs":
            del self._resume  # no optimiser's state: partial_fit by another solver begins afresh
            return
        self._resume = replace(state, theta=None, moments=tuple(map(bring, state.moments)), rng=None, order=None)

    def __getstate__(self) -> dict[str, Any]:
        """What pickle saves: host arrays, so that a model fitted on a GPU loads where there is none."""
        state = dict(super().__getstate__())
        for name in {"coefs_", "intercepts_"} & state.keys():
            state[name] = [a if is_host_data(a) else to_numpy(a) for a in state[name]]
        if "_best" in state:
            state["_best"] = {name: [to_numpy(a) for a in arrays] for name, arrays in self._best.items()}
        if "_resume" in state:
            state["_resume"] = replace(self._resume, moments=tuple(map(to_numpy, self._resume.moments)))
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags

    def _as_trained(self, X: Any, y: Any, sample_weight: Any) -> tuple[Backend, tuple]:
        """The backend that computes, and X, the targets and the weights as the fitted model trains on them."""
        backend = get_backend(self.backend, X)
        X, y, w = self._read(backend, X, y, sample_weight, reset=False)
        return backend, self._placed(backend, X, self._encode(y), self._weigh_classes(y, w, incremental=False))

    # --- predict

    def _follows_fit(self, X: Any, method: str) -> None:
        """With scikit-learn's dispatch on, X must be of fit's library and device; with it off, X is moved."""
        check_is_fitted(self)
        if get_config()["array_api_dispatch"] and get_backend(None, X) != get_backend(None, self.coefs_[0]):
            raise ValueError(
                f"Inputs passed to {type(self).__name__}.{method}() must use the same namespace and the same device as "
                f"those passed to fit(): fit's was {get_backend(None, self.coefs_[0])}, X's is {get_backend(None, X)}. "
                "Move X there, or set array_api_dispatch=False"
            )

    def _output(self, X: Any, method: str) -> Array:
        """``Model.<method>`` of the fitted parameters: "predict", or "output" before the link; X's library."""
        source = X
        if is_host_data(X) and not is_in_rows(X):
            X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32), reset=False)
        backend = get_backend(self.backend, X)
        X = self._matrix(X, backend, reset=False)
        A = getattr(self._model(drops=False), method)(self._theta(backend, X), X, backend)
        return to_numpy(A) if is_host_data(source) else get_backend(None, source).asarray(A)


_SCIKIT_LEARN_NAMES = {"Linear": "identity", "Sigmoid": "logistic", "Softmax": "softmax", "Exp": "exp"}
