"""An estimator's parameters as layers, a loss and an update rule, and its coefficients as the flat vector."""

import functools
from typing import Any

import numpy as np

from ..backends import Backend, array_namespace, data_dtype, on_device_of
from ..equations.activations import Activation, Sigmoid, activation
from ..equations.dropout import Dropout
from ..equations.initializers import GlorotUniform
from ..equations.layers import Dense
from ..equations.losses import Loss
from ..equations.optimizers import Adam, AdamW, GradientDescent, Momentum, Optimizer
from ..equations.schedules import Adaptive, ConstantRate, Schedule
from ..model import Model
from ..network import Sequential

Array = Any


class Architecture:
    """What the parameters of scikit-learn's estimators, and those beyond them, mean in layers."""

    hidden_layer_sizes: Any
    activation: Any
    solver: str
    alpha: float
    penalty: str | None
    l1_ratio: float
    dropout: Any
    learning_rate: Any
    learning_rate_init: float
    momentum: float
    nesterovs_momentum: bool
    beta_1: float
    beta_2: float
    epsilon: float
    weight_decay: float
    clip_norm: float | None
    precision: Any
    n_outputs_: int
    n_features_in_: int
    coefs_: list
    intercepts_: list

    def _loss(self) -> Loss:
        """The loss that is trained on."""
        raise TypeError(f"{type(self).__name__} must define _loss")

    def _loss_descended(self) -> Loss:
        """The loss whose gradient training follows; ``_loss`` may report another value of it."""
        return self._loss()

    def _hidden(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if np.iterable(sizes) else [sizes]
        if any(not isinstance(n, (int, np.integer)) or n <= 0 for n in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}; give whole numbers, such as (100, 50)")
        return [int(n) for n in sizes]

    def _widths(self) -> list[int]:
        """Units of each hidden layer: of the fitted coefficients, where there are any, as they are the truth."""
        return [W.shape[1] for W in self.coefs_[:-1]] if hasattr(self, "coefs_") else self._hidden()

    def _for_each_hidden_layer(self, name: str) -> list:
        """The parameter ``name``, which is one value for all hidden layers or a list with one for each."""
        given, n = getattr(self, name), len(self._widths())
        if not isinstance(given, list | tuple):
            return [given] * n
        if len(given) != n:
            raise ValueError(
                f"{name} has {len(given)} entries and there are {n} hidden layers; give one for each, or a single value"
            )
        return list(given)

    def _activations(self) -> list[Activation]:
        """Of the hidden layers; and the last one's once more, by which the output layer's initial weights are drawn."""
        given = self._for_each_hidden_layer("activation")
        last = given[-1:] or [self.activation if isinstance(self.activation, str | Activation) else "linear"]
        return [activation(f) for f in given + last]

    def _model(self, drops: bool = True) -> Model:
        """The parameters as layers and a loss: alpha becomes lambda. A prediction ``drops`` nothing."""
        sizes = (*self._widths(), self.n_outputs_)
        rates = (*self._for_each_hidden_layer("dropout"), 0.0) if drops else (0.0,) * len(sizes)
        share = {None: None, "l2": 0.0, "l1": 1.0, "elasticnet": float(self.l1_ratio)}[self.penalty]
        l1, l2 = (0.0, 0.0) if share is None else (self.alpha * share, self.alpha * (1.0 - share))
        return _model(sizes, tuple(self._activations()), rates, self._loss(), l1, l2, self._precision)

    @property
    def _precision(self) -> Any:
        """L-BFGS's line search compares costs to the last digit: it gets float64, unless the user says otherwise."""
        return "float64" if self.solver == "lbfgs" and self.precision is None else self.precision

    def _update_rule(self) -> Optimizer:
        rate = float(self.learning_rate_init)
        if self.solver == "adam":
            return Adam(rate, self.beta_1, self.beta_2, self.epsilon)
        if self.solver == "adamw":
            return AdamW(rate, self.beta_1, self.beta_2, self.epsilon, self.weight_decay)
        if self.solver == "lbfgs" or self.momentum == 0.0:
            return GradientDescent(rate)
        return Momentum(rate, self.momentum, self.nesterovs_momentum)

    def _schedule(self) -> Schedule:
        """The factor of the learning rate at each step; scikit-learn's own schedules go by epochs."""
        given = self.learning_rate
        return ConstantRate() if isinstance(given, str | Adaptive) else given

    def _check_solver_takes(self) -> None:
        """Refuse what L-BFGS can't do: it has no steps, and wants a smooth cost that is the same at every call."""
        if self.solver != "lbfgs":
            return
        refused = {
            "dropout": (bool(np.any(self.dropout)), "0", "the cost must not change from call to call"),
            "penalty": (self.penalty in ("l1", "elasticnet"), "'l2'", "the cost must have no kinks"),
            "clip_norm": (self.clip_norm is not None, "None", "there are no steps of its own to clip"),
            "learning_rate": (not isinstance(self.learning_rate, str), "'constant'", "its line search sets the rate"),
        }
        for name, (is_given, allowed, why) in refused.items():
            if is_given:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, and solver='lbfgs' takes {allowed} alone: {why}; "
                    "use solver='adam', 'adamw' or 'sgd'"
                )

    # --- coefficients and the flat vector

    def _theta(self, backend: Backend, X: Array) -> Array:
        """coefs_ and intercepts_ as the flat vector, on the backend and in the dtype that X is computed in."""
        with backend.active():
            return self._model(drops=False).layout(X.shape[1]).pack(self._params(backend, X))

    def _params(self, backend: Backend, X: Array) -> tuple:
        """coefs_ and intercepts_ layer by layer, on the backend and in the dtype that X is computed in."""
        dtype = data_dtype(self._precision, backend) or X.dtype
        layers = zip(self.coefs_, self.intercepts_, strict=True)
        return tuple(tuple(backend.asarray(a, dtype) for a in layer) for layer in layers)

    def _coefficients(self, theta: Array) -> dict[str, list]:
        """coefs_ and intercepts_ for this flat vector, copied out of it, in its library."""
        layers = self._model(drops=False).layout(self.n_features_in_).unpack(theta)
        xp = array_namespace(theta)
        with on_device_of(theta):
            coefs, intercepts = ([xp.asarray(layer[i], copy=True) for layer in layers] for i in (0, 1))
        return {"coefs_": coefs, "intercepts_": intercepts}


@functools.lru_cache(maxsize=64)
def _model(sizes: tuple, activations: tuple, rates: tuple, loss: Loss, l1: float, l2: float, precision: Any) -> Model:
    """A model of dense layers, each with its dropout; made once, as its parts are compared wherever it is used."""
    layers: list[Any] = []
    for k, (n, f, rate) in enumerate(zip(sizes, activations, rates, strict=True)):
        initializer = GlorotUniform(2.0 if isinstance(f, Sigmoid) else 6.0)
        is_last = k == len(sizes) - 1
        layers.append(Dense(n, "linear" if is_last else f, True, initializer, initializer))
        if rate:
            layers.append(Dropout(rate))
    return Model(Sequential(*layers), loss, l1, l2, scale_penalty=True, precision=precision)
