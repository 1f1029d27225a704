"""MLPRegressor: one or several real targets."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor as ScikitLearns
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from ..backends import on_host
from ..equations.losses import AbsoluteError, HalfPoissonDeviance, HalfSquaredError, Huber, Loss, Quantile
from .architecture import Array
from .base import BEYOND_SCIKIT_LEARN, BaseMLP


@dataclass(frozen=True)
class ReportedPerOutput(HalfSquaredError):
    """Half squared error whose value, not its gradient, is divided by the number of outputs: scikit-learn's report."""

    @property
    def descended(self) -> Loss:
        """The loss that dZ belongs to."""
        return HalfSquaredError()

    def per_element(self, Z, Y):
        L, dZ = super().per_element(Z, Y)
        return L / Z.shape[1], dZ


_OTHER_LOSSES = {
    "poisson": HalfPoissonDeviance(),
    "huber": Huber(),
    "quantile": Quantile(),
    "absolute_error": AbsoluteError(),
}


class MLPRegressor(RegressorMixin, BaseMLP):
    """scikit-learn's multilayer perceptron regressor, on NumPy, CuPy or any Array API library.

    Hidden layers, a linear output and half the squared error (D1, D2, D4), or an exponential output
    and half the Poisson deviance. Parameters, defaults and attributes are those of
    :class:`sklearn.neural_network.MLPRegressor`, which has the first two losses.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "huber", "quantile", "absolute_error"} or Loss
        Half the squared error, half the Poisson deviance (y >= 0), Huber's with delta = 1, the median's by its two
        names (a quantile's is twice as flat), or an object such as ``xpnet.losses.Quantile(0.9)``.
    hidden_layer_sizes : int or sequence of int, default (100,)
        Units of each hidden layer; () is linear regression.
    activation : str, Activation, or a list of them
        Of the hidden layers; a list has one for each. scikit-learn's "identity", "logistic", "tanh" and "relu", any
        other name of :data:`xpnet.activations.BY_NAME`, or an object, also of a class of your own.
    solver : {"adam", "sgd", "lbfgs", "adamw"}
        :class:`xpnet.Adam`, :class:`xpnet.Momentum`, SciPy's L-BFGS on all samples at once, or :class:`xpnet.AdamW`.
        L-BFGS computes in float64 unless ``precision`` says otherwise, and has no ``partial_fit``.
    alpha : float
        The penalty's strength; lambda = alpha / sum of the batch's sample weights.
    learning_rate : {"constant", "invscaling", "adaptive"} or callable
        scikit-learn's names are for sgd alone. A schedule such as ``xpnet.schedules.Cosine(steps)``, a function of the
        step, and ``xpnet.schedules.Adaptive()`` are for every solver that steps.
    penalty : {"l2", "l1", "elasticnet"} or None
        On the weights (D0): alpha/2 sum w^2, alpha sum |w|, or ``l1_ratio`` of the one and the rest of the other.
    l1_ratio : float
        L1's share in "elasticnet", from 0 to 1.
    weight_decay : float
        AdamW's: theta -= rate * weight_decay * theta on the weights.
    dropout : float or list of float
        The share of each hidden layer's units that is left out of a step; a list has one for each layer. The masks
        follow from ``random_state`` and are the same on every backend.
    clip_norm : float, optional
        Longer gradients are scaled down to this norm; inf only records the norm in ``history_``.
    scoring : str or callable, optional
        What early stopping looks at: by default R^2, "loss" the loss of the held-out samples, or any scorer of
        scikit-learn's.
    backend : {"numpy", "cpu", "cupy", "cuda", "cupy:N", "auto"}, optional
        Who computes; see :func:`xpnet.get_backend`. By default everything follows X.
    precision : {"float32", "float64", "tf32", "bfloat16"}, optional
        What is computed in, see :class:`xpnet.Model`. By default float32 or float64 as X is.
    verbose : bool or int
        scikit-learn's lines; 2 is a table of ``history_``.
    batch_size, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, warm_start, \
momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As in scikit-learn.

    Attributes
    ----------
    coefs_, intercepts_ : lists of arrays, of X's library
        W_k (n_{k-1}, n_k) and b_k (n_k,).
    history_ : dict of lists
        Epoch by epoch: loss, validation_loss, validation_score, learning_rate, gradient_norm, seconds; what was not
        recorded is not there.
    validation_loss_curve_ : list of float, or None without held-out samples
        Their loss after each epoch, without the penalty.
    loss_curve_, loss_, best_loss_, validation_scores_, best_validation_score_, n_iter_, t_, n_features_in_, \
feature_names_in_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.
    """

    _parameter_constraints: ClassVar[dict] = {
        **ScikitLearns._parameter_constraints,
        **BEYOND_SCIKIT_LEARN,
        "loss": [str, Loss],
    }
    _y_numeric = True
    _stratify = False

    def __init__(
        self,
        loss="squared_error",
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        penalty="l2",
        l1_ratio=0.15,
        weight_decay=0.01,
        dropout=0.0,
        clip_norm=None,
        scoring=None,
        backend=None,
        precision=None,
    ):
        self._keep(locals())

    @available_if(lambda est: est._check_solver())
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: tuple | None = None
    ) -> "MLPRegressor":
        """One pass over X; X, y, sample_weight and validation_data are as in ``fit``.

        With ``early_stopping`` and ``validation_data``, ``stopped_early_`` tells when the score of ``n_iter_no_change``
        calls has not improved; ``coefs_`` are then the best ones.
        """
        return self._fit(X, y, sample_weight, validation_data, incremental=True)

    def predict(self, X: Any) -> Array:
        """Predictions, (n_samples,) or (n_samples, n_outputs)."""
        self._follows_fit(X, "predict")
        return self._output(X, "predict", lambda A: A[:, 0] if self.n_outputs_ == 1 else A)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R^2 of ``predict(X)``; predictions, targets and weights of any library are compared on the host."""
        return r2_score(on_host(y), on_host(self.predict(X)), sample_weight=on_host(sample_weight))

    def _loss(self) -> Loss:
        if isinstance(self.loss, Loss):
            return self.loss
        if self.loss == "squared_error":
            return HalfSquaredError() if self.n_outputs_ == 1 else ReportedPerOutput()
        if self.loss not in _OTHER_LOSSES:
            raise ValueError(
                f"loss is {self.loss!r}; allowed: 'squared_error', {', '.join(map(repr, _OTHER_LOSSES))}, or a Loss "
                "such as xpnet.losses.Quantile(0.9)"
            )
        return _OTHER_LOSSES[self.loss]

    def _learn_targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        return y

    def _loss_descended(self) -> Loss:
        loss = self._loss()
        return HalfSquaredError() if isinstance(loss, ReportedPerOutput) else loss

    def _encode(self, y: np.ndarray) -> np.ndarray:
        if y.dtype.kind not in "fiub":
            raise ValueError(f"y has dtype {y.dtype}; a regressor needs real numbers")
        if not np.isfinite(y).all():
            raise ValueError("y contains NaN or infinity; remove or impute those samples first")
        if self.loss == "poisson" and (y < 0).any():
            raise ValueError("loss='poisson' needs y >= 0, and y has negative values; use loss='squared_error'")
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def _decode(self, Y: np.ndarray) -> np.ndarray:
        return Y[:, 0] if self.n_outputs_ == 1 else Y

    def _score_outputs(self, y: np.ndarray, A: np.ndarray, sample_weight: np.ndarray | None) -> float:
        return r2_score(y, A, sample_weight=sample_weight)
