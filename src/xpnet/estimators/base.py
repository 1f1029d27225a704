"""What the classifier and the regressor share: data to arrays, fit and partial_fit, prediction."""

import contextlib
import copy
import math
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from ..backends import Backend, checked_beside, get_backend, is_host_data, is_in_rows, to_numpy
from ..equations.activations import BY_NAME, Activation, Linear
from ..equations.dropout import draw_seed
from ..prediction import LastPredictions, in_row_blocks
from ..state import State, initial_state
from ..step import LastSteps
from .architecture import Architecture, Array
from .conversion import Conversion
from .inside import Inside
from .lbfgs import LBFGSFit
from .reading import Reading
from .records import RECORDS, Job
from .stochastic import StochasticFit
from .validation import Validation

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
    Reading, Architecture, Validation, StochasticFit, LBFGSFit, Conversion, Inside, CallbackSupportMixin, BaseEstimator
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
        with get_backend(self.backend, X).active():
            home = None if is_host_data(X) else get_backend(None, X)
            with self._unchanged_by_errors():
                job, self._resume = self._prepare(X, y, sample_weight, validation_data, incremental)
                self._tell_fit(job, X, y, sample_weight, incremental)
            stopped = True
            try:
                if self.solver == "lbfgs":
                    self._minimize(job)
                else:
                    stopped = self._train(job, n_epochs=1 if incremental else self.max_iter)
            finally:
                self._publish(home)
            if incremental:
                self._keep_best(job)
            elif not stopped:
                self._warn_unconverged()
            if self.early_stopping and self._plateau.best == math.inf:
                warnings.warn("No validation score was finite: the parameters are the last ones.", stacklevel=4)
            if job.tasks is not None:
                job.tasks.call_on_fit_task_end(estimator=self, **job.given)
            return self

    @contextlib.contextmanager
    def _unchanged_by_errors(self) -> Iterator[None]:
        """Bad input leaves a fitted model as it was."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            begun = {name: value for name, value in self.__dict__.items() if name in _OF_CALLBACKS}
            self.__dict__.clear()
            self.__dict__.update(before | begun)  # callbacks that were set up are still to be torn down
            raise

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, incremental: bool
    ) -> tuple[Job, State]:
        """All that was given, checked and on the backend; and the state where training begins."""
        self._validate_params()
        self._check_settings()
        if not incremental:
            self.__dict__.pop("_last_steps", None)
            _last_predictions.pop(self, None)
        elif "_last_steps" not in self.__dict__:
            self._last_steps = LastSteps()
        if self.solver == "lbfgs" and is_in_rows(X):
            X = self._all_rows(X)
        if self.early_stopping and incremental and validation_data is None:
            raise ValueError("partial_fit does not support early_stopping=True without validation_data")
        first_pass = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
        backend = get_backend(self.backend, X)
        X, y, w = self._read(backend, X, y, sample_weight, first_pass)
        X = X if first_pass else self._as_wide_as_coefs(X)
        y = self._learn_targets(y, incremental)
        w = self._weigh_classes(y, w, incremental)
        targets = self._encode(y)
        data = self._placed(backend, X, targets, w)
        if first_pass:
            self._initialize(n_outputs=targets.shape[1])
        elif targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {targets.shape[1]} outputs, but the fitted model has {self.n_outputs_}; call fit afresh"
            )
        self._loss().check(data[1])
        if incremental and self.early_stopping and hasattr(self, "coefs_") and not hasattr(self, "_best"):
            self._best = {"coefs_": self.coefs_, "intercepts_": self.intercepts_}
        held_out = None if validation_data is None else self._read_held_out(backend, validation_data)
        rng = check_random_state(self.random_state)
        self._ready_records(has_held_out=held_out is not None or self.early_stopping)
        state = self._state(backend, data[0], rng, incremental)
        if self.early_stopping and held_out is None:
            data, held_out = self._split(data, targets, rng)
        model = self._model()
        evaluate = None if held_out is None else model.evaluation(held_out.X, held_out.Y, held_out.w, backend)
        X, Y, w = data
        return Job(backend, model, X, Y, w, held_out, evaluate, rng), state

    @staticmethod
    def _all_rows(X: Any) -> np.ndarray:
        """A memmap in full, as workers of joblib get one for any large array; other files are refused."""
        if isinstance(X, np.memmap):
            return np.asarray(X, np.float64)
        raise ValueError(
            f"X is a {type(X).__name__} that is read in rows, and solver='lbfgs' computes with all at once: pass X[:], "
            "or use solver='adam'"
        )

    def _check_settings(self) -> None:
        """Settings that are right alone and not together, before anything is changed."""
        self._check_solver_takes()
        if isinstance(self.learning_rate, type):
            raise ValueError(f"learning_rate is the class {self.learning_rate.__name__}; give an object of it")
        if self._asks_scorer():
            check_scoring(self, self.scoring)

    def _initialize(self, n_outputs: int) -> None:
        self.n_outputs_ = n_outputs
        self.n_layers_ = len(self._hidden()) + 2
        self.n_iter_, self.t_ = 0, 0
        link = type(self._loss().link).__name__
        self.out_activation_ = _SCIKIT_LEARN_NAMES.get(link, link.lower())
        for stale in ("coefs_", "intercepts_", "loss_", "stopped_early_", "_resume", "_plateau", "_best", *RECORDS):
            self.__dict__.pop(stale, None)

    def _state(self, backend: Backend, X: Array, rng: Any, incremental: bool) -> State:
        """Where training begins: new parameters, or the fitted ones; partial_fit also goes on with the slots."""
        model = self._model()
        if not hasattr(self, "coefs_"):
            theta = backend.asarray(model.draw(rng, X.shape[1]), X.dtype)
        else:
            theta = self._theta(backend, X)
        resumes = incremental and hasattr(self, "coefs_") and hasattr(self, "_resume")
        state = replace(self._resume, theta=theta) if resumes else initial_state(theta, self._update_rule())
        return replace(state, seed=draw_seed(rng)) if model.is_stochastic and state.seed == 0 else state

    def _tell_fit(self, job: Job, X: Any, y: Any, sample_weight: Any, incremental: bool) -> None:
        """Begin the task of fit, where callbacks are set: they are scikit-learn's, and know of fit alone."""
        if incremental or not hasattr(self, "_skl_callbacks"):
            return
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        job.given = {"X": X, "y": y, "metadata": metadata}
        # One more than max_iter: L-BFGS may begin an iteration in which its line search fails.
        job.tasks = self._init_callback_context(max_subtasks=self.max_iter + (self.solver == "lbfgs"))
        job.tasks.call_on_fit_task_begin(estimator=self, **job.given)

    def _publish(self, home: Backend | None) -> None:
        """Set coefs_ and intercepts_ in the library that X came from (None: the host), and keep the slots there."""
        bring = to_numpy if home is None else home.asarray
        state = self._resume
        self.__dict__.update(self._coefficients(bring(state.theta)))
        if self.solver == "lbfgs":
            del self._resume  # no optimiser's state: partial_fit by another solver begins afresh
            return
        self._resume = replace(state, theta=None, slots=tuple(map(bring, state.slots)), rng=None, order=None)

    def __copy__(self) -> "BaseMLP":
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        copied.__dict__.pop("_last_steps", None)  # whose memory is this one's
        return copied

    def __deepcopy__(self, memo: dict) -> "BaseMLP":
        """A copy whose arrays stay in their library; what pickle makes is on the host."""
        copied = object.__new__(type(self))
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied

    def __getstate__(self) -> dict[str, Any]:
        """What pickle saves: host arrays, so that a model fitted on a GPU loads where there is none."""
        state = dict(super().__getstate__())
        for name in {"coefs_", "intercepts_"} & state.keys():
            state[name] = [a if is_host_data(a) else to_numpy(a) for a in state[name]]
        if "_best" in state:
            state["_best"] = {name: [to_numpy(a) for a in arrays] for name, arrays in self._best.items()}
        if "_resume" in state:
            state["_resume"] = replace(self._resume, slots=tuple(map(to_numpy, self._resume.slots)))
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags

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

    def _output(self, X: Any, method: str, finish: Callable[[Array], Array] = lambda A: A) -> Array:
        """``Model.predict`` or ``Model.output`` (before the link) of the fitted parameters, as an array of X's library.

        ``finish`` is applied to the result before it leaves the backend.
        """
        with get_backend(self.backend, X).active():
            A = finish(self._output_there(X, method))
            return to_numpy(A) if is_host_data(X) else get_backend(None, X).asarray(A)

    def _output_there(self, X: Any, method: str) -> Array:
        """The result, as an array of the backend."""
        is_checked = is_host_data(X) and not is_in_rows(X)
        if is_checked:
            X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32), reset=False)
        backend = get_backend(self.backend, X)
        X = self._matrix(X, backend, reset=False, is_checked=True)
        model = self._model(drops=False)
        link, network = model.criterion.link if method == "predict" else Linear(), model.network
        last = _last_predictions.setdefault(self, LastPredictions()).of(method, model, X, backend)
        with contextlib.nullcontext() if is_checked else checked_beside(X, "X"):
            return in_row_blocks(
                lambda A, *params: link.forward(network.forward(params, A)[0]),
                self._params(backend, X),
                X,
                model.layout(X.shape[1]),
                backend,
                last,
            )


_last_predictions: weakref.WeakKeyDictionary[BaseMLP, LastPredictions] = weakref.WeakKeyDictionary()
"""The programs of each estimator's predictions on a GPU, kept here because predicting must change no attribute."""

_OF_CALLBACKS = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")
_SCIKIT_LEARN_NAMES = {"Linear": "identity", "Sigmoid": "logistic", "Softmax": "softmax", "Exp": "exp"}
