"""What the classifier and the regressor share: parameters to layers, data to arrays, and the loop around ``epochs``."""

import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_n_features, _check_sample_weight, check_is_fitted, validate_data

from ..backends import Backend, get_backend, is_host_data, namespace, read_data, to_numpy
from ..equations.initializers import GlorotUniform
from ..equations.layers import Dense
from ..equations.losses import Loss
from ..equations.optimizers import Adam, GradientDescent, Momentum, Optimizer
from ..equations.schedules import Adaptive, InverseScaling, Plateau
from ..network import Model, Sequential, State, initial_state
from ..training import DivergedError, epochs

Array = Any


class BaseMLP(BaseEstimator):
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

    def _score_outputs(self, y: np.ndarray, A: np.ndarray, sample_weight: np.ndarray | None) -> float:
        """The validation score of predictions A for y, both on the host."""
        raise TypeError(f"{type(self).__name__} must define _score_outputs")

    # --- fit

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "BaseMLP":
        """Train until ``tol`` or ``max_iter`` ends it.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Real and finite. An array of a GPU or another Array API library is computed where it is.
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
        with self._unchanged_by_errors():
            self._validate_params()
            if self.solver == "lbfgs":
                raise ValueError(
                    "solver is 'lbfgs', which this version doesn't have; use solver='adam' or solver='sgd'"
                )
            if self.early_stopping and incremental:
                raise ValueError("partial_fit does not support early_stopping=True")
            first_pass = not hasattr(self, "coefs_") or (not self.warm_start and not incremental)
            backend, X, Y, w = self._read(X, y, sample_weight, first_pass, incremental)
            rng = self._random_state = check_random_state(self.random_state)
            if first_pass:
                self._initialize(Y.shape[1])
            state = self._state(backend, X, rng, incremental)
            validation, X, Y, w = self._split(backend, X, Y, w, rng)
        self._train(backend, state, X, Y, w, validation, rng, incremental)
        return self

    @contextmanager
    def _unchanged_by_errors(self):
        """Bad input leaves a fitted model as it was."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _read(self, X, y, sample_weight, first_pass: bool, incremental: bool) -> tuple[Backend, Array, Array, Any]:
        """X, the targets Y (m, n_outputs) and the weights, checked, on the backend that computes."""
        backend = get_backend(self.backend, X)
        y = y if is_host_data(y) else to_numpy(y)
        if is_host_data(X):
            X, y = validate_data(
                self,
                X,
                y,
                multi_output=True,
                y_numeric=self._y_numeric,
                dtype=(np.float64, np.float32),
                reset=first_pass,
            )
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
            w = _check_sample_weight(to_numpy(sample_weight), host_X, dtype=np.float64, ensure_non_negative=True)
        return backend, X, *(None if a is None else backend.asarray(a, X.dtype) for a in (Y, w))

    def _matrix(self, X: Any, backend: Backend, reset: bool) -> Array:
        """X on the backend, with as many features as the model was fitted on."""
        _, X = read_data(X, "X", backend)
        if X.ndim != 2:
            raise ValueError(f"X has shape {tuple(X.shape)}; it must be (n_samples, n_features): reshape it")
        _check_n_features(self, X, reset=reset)
        return X

    def _initialize(self, n_outputs: int) -> None:
        self.n_outputs_ = n_outputs
        self.n_layers_ = len(self._hidden()) + 2
        self.n_iter_, self.t_ = 0, 0
        self.out_activation_ = _SCIKIT_LEARN_NAMES[type(self._loss().link).__name__]
        self.loss_curve_: list[float] = []
        self.validation_scores_: list[float] | None = [] if self.early_stopping else None
        self.best_validation_score_ = -np.inf if self.early_stopping else None
        self.best_loss_ = None if self.early_stopping else np.inf
        self._plateau = Plateau(self.tol)
        for stale in ("coefs_", "intercepts_", "_resume"):
            vars(self).pop(stale, None)

    def _hidden(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if np.iterable(sizes) else [sizes]
        if any(not isinstance(n, (int, np.integer)) or n <= 0 for n in sizes):
            raise ValueError(
                f"hidden_layer_sizes must be > 0, got {sizes}; give whole numbers such as (100,) or (64, 32)"
            )
        return [int(n) for n in sizes]

    def _model(self) -> Model:
        """The parameters as layers and a loss: alpha becomes lambda."""
        initializer = GlorotUniform(2.0 if self.activation == "logistic" else 6.0)
        layers = [Dense(n, self.activation, True, initializer, initializer) for n in self._hidden()]
        layers.append(Dense(self.n_outputs_, "linear", True, initializer, initializer))
        return Model(Sequential(*layers), self._loss(), l2=float(self.alpha), scale_penalty=True)

    def _optimizer(self) -> Optimizer:
        rate = float(self.learning_rate_init)
        if self.solver == "adam":
            return Adam(rate, self.beta_1, self.beta_2, self.epsilon)
        if self.momentum == 0.0:
            return GradientDescent(rate)
        return Momentum(rate, self.momentum, self.nesterovs_momentum)

    def _state(self, backend: Backend, X: Array, rng: Any, incremental: bool) -> State:
        """Where training begins: new parameters, or the fitted ones; partial_fit also goes on with the moments."""
        if not hasattr(self, "coefs_"):
            return self._model().initial(rng, X.shape[1], self._optimizer())
        theta = self._theta(backend, X)
        if incremental and hasattr(self, "_resume"):
            return replace(self._resume, theta=theta)
        return initial_state(theta, self._optimizer())

    def _theta(self, backend: Backend, X: Array) -> Array:
        """coefs_ and intercepts_ as the flat vector, on the backend and in X's dtype."""
        layers = zip(self.coefs_, self.intercepts_, strict=True)
        return (
            self._model()
            .layout(X.shape[1])
            .pack(tuple(tuple(backend.asarray(a, X.dtype) for a in layer) for layer in layers))
        )

    def _split(self, backend: Backend, X: Array, Y: Array, w: Array | None, rng: Any) -> tuple:
        """The validation set (X, y, w) of early stopping, or None, and what is left to train on."""
        if not self.early_stopping:
            return None, X, Y, w
        labels = to_numpy(Y) if self._stratify and self.n_outputs_ == 1 else None
        rows = train_test_split(
            np.arange(X.shape[0]), random_state=rng, test_size=self.validation_fraction, stratify=labels
        )
        if len(rows[1]) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        take = namespace(X).take
        train, held_out = (
            [None if A is None else take(A, backend.asarray(at), axis=0) for A in (X, Y, w)] for at in rows
        )
        on_host = [None if A is None else to_numpy(A) for A in held_out[1:]]
        return (held_out[0], *on_host), *train

    def _train(self, backend, state, X, Y, w, validation, rng, incremental) -> None:
        """scikit-learn's loop: epochs until the loss or the validation score stops improving, or max_iter."""
        model, m = self._model(), X.shape[0]
        best = state if validation else None
        adaptive = Adaptive(self.n_iter_no_change) if self._has_schedule("adaptive") else None
        passes = epochs(
            model,
            state,
            X,
            Y,
            sample_weight=w,
            batch_size=self._batch_size(m),
            shuffle=self.shuffle,
            rng=rng,
            backend=backend,
        )
        self.n_iter_ = 0
        sent = None
        try:
            while self.n_iter_ < self.max_iter:
                state, cost = passes.send(sent)
                self._count_epoch(cost, m)
                if validation:
                    cost = self._validate(model, state, validation, backend)
                    best = state if cost < self._plateau.best else best
                self._plateau = replace(self._plateau, tol=self.tol).after(cost)
                self._keep_best()
                rate = state.learning_rate
                if self._has_schedule("invscaling"):
                    rate = self.learning_rate_init * InverseScaling(self.power_t)(self.t_)
                if self._plateau.epochs > self.n_iter_no_change:
                    rate = self._after_plateau(adaptive, rate)
                    if rate is None:
                        break
                sent = replace(state, learning_rate=rate)
                if incremental:
                    break
                if self.n_iter_ == self.max_iter:
                    self._warn_unconverged()
        except DivergedError as error:
            state, best = error.state, None
            raise
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=3)
        finally:
            self._publish(model, sent or state, best, X)

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

    def _after_plateau(self, adaptive: Adaptive | None, rate: float) -> float | None:
        """The next learning rate, or None to stop."""
        what = "Validation score" if self.early_stopping else "Training loss"
        message = f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change:d} consecutive epochs."
        new_rate = None
        if adaptive is not None:
            new_rate, self._plateau = adaptive(rate, self._plateau)
            message += " Learning rate too small." if new_rate is None else f" Setting learning rate to {new_rate:f}"
        if self.verbose:
            print(message + (" Stopping." if new_rate is None else ""))
        return new_rate

    def _warn_unconverged(self) -> None:
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=4,
        )

    def _publish(self, model: Model, state: State, best: State | None, X: Array) -> None:
        """Set coefs_ and intercepts_, in X's library, and keep what partial_fit goes on with."""
        layers = model.layout(X.shape[1]).unpack((best or state).theta)
        xp = namespace(X)
        self.coefs_, self.intercepts_ = ([xp.asarray(layer[i], copy=True) for layer in layers] for i in (0, 1))
        self._resume = replace(state, theta=None, rng=None, order=None)

    # --- predict

    def _output(self, X: Any, method: str) -> Array:
        """``Model.<method>`` of the fitted parameters: "predict", or "output" before the link; X's library."""
        check_is_fitted(self)
        source = X
        if is_host_data(X):
            X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        backend = get_backend(self.backend, X)
        X = self._matrix(X, backend, reset=False)
        A = getattr(self._model(), method)(self._theta(backend, X), X, backend)
        return to_numpy(A) if is_host_data(source) else get_backend(None, source).asarray(A)


_SCIKIT_LEARN_NAMES = {"Linear": "identity", "Sigmoid": "logistic", "Softmax": "softmax", "Exp": "exp"}
