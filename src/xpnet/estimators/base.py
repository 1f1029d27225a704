"""What the classifier and the regressor share: parameters to layers, data to arrays, and the loop around ``epochs``."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_n_features, _check_sample_weight, check_is_fitted, validate_data

from ..backends import Backend, data_dtype, get_backend, is_host_data, namespace, read_data, to_numpy
from ..equations.initializers import GlorotUniform
from ..equations.layers import Dense
from ..equations.losses import Loss
from ..equations.optimizers import Adam, GradientDescent, Momentum, Optimizer
from ..model import Model, State, initial_state
from ..network import Sequential
from .lbfgs import LBFGSFit
from .stochastic import RECORDS, StochasticFit

Array = Any


class BaseMLP(StochasticFit, LBFGSFit, BaseEstimator):
    """A multilayer perceptron with scikit-learn's parameters, attributes and methods, and ``backend=``.

    Between calls ``coefs_`` and ``intercepts_`` are the truth: they are read at every call and may be set by hand.
    """

    def _keep(self, given: dict[str, Any]) -> None:
        """Store the constructor's arguments as they are (scikit-learn's rule)."""
        for name in self._get_param_names():
            setattr(self, name, given[name])

    # --- what the subclasses say

    def _loss(self) -> Loss:
        """The loss that is trained on."""
        raise TypeError(f"{type(self).__name__} must define _loss")

    def _targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        """y (host) as the network's targets, (m, n_outputs)."""
        raise TypeError(f"{type(self).__name__} must define _targets")

    # --- fit

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "BaseMLP":
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

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> "BaseMLP":
        home = None if is_host_data(X) else get_backend(None, X)
        with self._unchanged_by_errors():
            self._validate_params()
            if self.early_stopping and incremental:
                raise ValueError("partial_fit does not support early_stopping=True")
            first_pass = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
            backend, data = self._read(X, y, sample_weight, first_pass, incremental)
            rng = check_random_state(self.random_state)
            if first_pass:
                self._initialize(n_outputs=data[1].shape[1])
            if self.solver != "lbfgs":
                self._ready_records()
            state = self._state(backend, data[0], rng, incremental)
            if self.solver != "lbfgs":
                data, held_out = self._split(data, rng)
        stopped = True
        try:
            if self.solver == "lbfgs":
                self._minimize(backend, state, data)
            else:
                stopped = self._train(backend, state, data, held_out, rng, n_epochs=1 if incremental else self.max_iter)
        finally:
            self._publish(home)
        if not stopped and not incremental:
            self._warn_unconverged()
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

    def _read(self, X: Any, y: Any, sample_weight: Any, first_pass: bool, incremental: bool) -> tuple[Backend, tuple]:
        """The backend that computes, and X, the targets Y (m, n_outputs) and the weights or None, checked, on it."""
        backend = get_backend(self.backend, X)
        y = y if is_host_data(y) else to_numpy(y)
        if is_host_data(X):
            kinds = {"multi_output": True, "y_numeric": self._y_numeric, "dtype": (np.float64, np.float32)}
            X, y = validate_data(self, X, y, reset=first_pass, accept_sparse=("csr", "csc"), **kinds)
        else:
            y = np.asarray(y)
        X = self._matrix(X, backend, reset=first_pass)
        if y.shape[0] != X.shape[0]:
            raise ValueError(f"X has {X.shape[0]} samples and y has {y.shape[0]}; each sample needs one row of y")
        Y = self._targets(y, incremental)
        if not first_pass and Y.shape[1] != self.n_outputs_:
            raise ValueError(f"y has {Y.shape[1]} outputs, but the fitted model has {self.n_outputs_}; call fit afresh")
        w = None
        if sample_weight is not None:
            host_X = np.empty((X.shape[0], 0))  # only its length is asked for
            w = sample_weight if is_host_data(sample_weight) else to_numpy(sample_weight)
            w = _check_sample_weight(w, host_X, dtype=np.float64, ensure_non_negative=True)
        home = get_backend("numpy") if is_host_data(X) else backend
        return backend, (X, *(None if a is None else home.asarray(a, X.dtype) for a in (Y, w)))

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
        for stale in ("coefs_", "intercepts_", "_resume", "_plateau", *RECORDS):
            self.__dict__.pop(stale, None)

    def _hidden(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if np.iterable(sizes) else [sizes]
        if any(not isinstance(n, (int, np.integer)) or n <= 0 for n in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}; give whole numbers, such as (100, 50)")
        return [int(n) for n in sizes]

    def _model(self) -> Model:
        """The parameters as layers and a loss: alpha becomes lambda."""
        initializer = GlorotUniform(2.0 if self.activation == "logistic" else 6.0)
        layers = [Dense(n, self.activation, True, initializer, initializer) for n in self._hidden()]
        layers.append(Dense(self.n_outputs_, "linear", True, initializer, initializer))
        network, l2 = Sequential(*layers), float(self.alpha)
        return Model(network, self._loss(), l2=l2, scale_penalty=True, precision=self._precision)

    @property
    def _precision(self) -> Any:
        """L-BFGS's line search compares costs to the last digit: it gets float64, unless the user says otherwise."""
        return "float64" if self.solver == "lbfgs" and self.precision is None else self.precision

    def _update_rule(self) -> Optimizer:
        rate = float(self.learning_rate_init)
        if self.solver == "adam":
            return Adam(rate, self.beta_1, self.beta_2, self.epsilon)
        if self.solver == "lbfgs" or self.momentum == 0.0:
            return GradientDescent(rate)
        return Momentum(rate, self.momentum, self.nesterovs_momentum)

    def _state(self, backend: Backend, X: Array, rng: Any, incremental: bool) -> State:
        """Where training begins: new parameters, or the fitted ones; partial_fit also goes on with the moments."""
        if not hasattr(self, "coefs_"):
            return initial_state(backend.asarray(self._model().draw(rng, X.shape[1]), X.dtype), self._update_rule())
        theta = self._theta(backend, X)
        if incremental and hasattr(self, "_resume"):
            return replace(self._resume, theta=theta)
        return initial_state(theta, self._update_rule())

    def _theta(self, backend: Backend, X: Array) -> Array:
        """coefs_ and intercepts_ as the flat vector, on the backend and in the dtype that X is computed in."""
        dtype = data_dtype(self._precision, backend) or X.dtype
        layers = zip(self.coefs_, self.intercepts_, strict=True)
        arrays = tuple(tuple(backend.asarray(a, dtype) for a in layer) for layer in layers)
        return self._model().layout(X.shape[1]).pack(arrays)

    def _publish(self, home: Backend | None) -> None:
        """Set coefs_ and intercepts_ in the library that X came from (None: the host), and keep the moments there."""
        bring = to_numpy if home is None else home.asarray
        state = self._resume
        layers = self._model().layout(self.n_features_in_).unpack(bring(state.theta))
        xp = namespace(layers[0][0])
        self.coefs_, self.intercepts_ = ([xp.asarray(layer[i], copy=True) for layer in layers] for i in (0, 1))
        if self.solver == "lbfgs":
            del self._resume  # no optimiser's state: partial_fit by another solver begins afresh
            return
        self._resume = replace(state, theta=None, moments=tuple(map(bring, state.moments)), rng=None, order=None)

    def __getstate__(self) -> dict[str, Any]:
        """What pickle saves: host arrays, so that a model fitted on a GPU loads where there is none."""
        state = dict(super().__getstate__())
        for name in {"coefs_", "intercepts_"} & state.keys():
            state[name] = [a if is_host_data(a) else to_numpy(a) for a in state[name]]
        if "_resume" in state:
            state["_resume"] = replace(self._resume, moments=tuple(map(to_numpy, self._resume.moments)))
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags

    def explain_step(self, X: Any, y: Any, sample_weight: Any = None, *, check: bool = True) -> Any:
        """The step that ``partial_fit`` would make next on all of X at once, explained; the model stays as it is.

        X, y and sample_weight are as in ``fit``; see :func:`xpnet.explain` for ``check`` and the record returned.
        """
        from ..explain import explain

        check_is_fitted(self)
        if self.solver == "lbfgs":
            raise ValueError(
                "solver='lbfgs' searches along lines and makes no single steps: explain_step is for 'sgd' and 'adam'"
            )
        backend, (X, Y, w) = self._read(X, y, sample_weight, first_pass=False, incremental=True)
        state = self._state(backend, X, None, incremental=True)
        model = replace(self._model(), loss=self._loss_descended())
        return explain(model, state, X, Y, w, check=check, backend=backend)

    def _loss_descended(self) -> Loss:
        """The loss whose gradient training follows; ``_loss`` may report another value of it."""
        return self._loss()

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
        if is_host_data(X):
            X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=(np.float64, np.float32), reset=False)
        backend = get_backend(self.backend, X)
        X = self._matrix(X, backend, reset=False)
        A = getattr(self._model(), method)(self._theta(backend, X), X, backend)
        return to_numpy(A) if is_host_data(source) else get_backend(None, source).asarray(A)


_SCIKIT_LEARN_NAMES = {"Linear": "identity", "Sigmoid": "logistic", "Softmax": "softmax", "Exp": "exp"}
