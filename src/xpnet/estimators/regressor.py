"""MLPRegressor: one or several real targets."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor as ScikitLearns

from ..backends import on_host
from ..equations.activations import Activation
from ..equations.losses import Loss
from ..equations.schedules import Adaptive, Schedule
from . import fitting
from .base import BaseMLP
from .prediction import check_library, predicted
from .settings import ATTRIBUTES, BEYOND_SCIKIT_LEARN, PARAMETERS
from .targets import Numbers
from .typed_decorators import available_if

Array = Any


class MLPRegressor(RegressorMixin, BaseMLP):
    __doc__ = (
        """scikit-learn's multilayer perceptron regressor, on NumPy, CuPy or any Array API library.

    Hidden layers, a linear output and half the squared error (D1, D2, D4), or an exponential output
    and half the Poisson deviance. Parameters, defaults and attributes are those of
    :class:`sklearn.neural_network.MLPRegressor`, which has the first two losses.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "huber", "quantile", "absolute_error"} or Loss
        Half the squared error; half the Poisson deviance (y >= 0); Huber's loss with delta = 1; the quantile loss of
        the median, or the absolute error, which is twice that; or an object such as ``xpnet.losses.Quantile(0.9)``.
"""
        + PARAMETERS
        + """
    Attributes
    ----------
"""
        + ATTRIBUTES
    )

    _parameter_constraints: ClassVar[dict] = {
        **ScikitLearns._parameter_constraints,
        **BEYOND_SCIKIT_LEARN,
        "loss": [str, Loss],
    }
    _kind = Numbers

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Activation | Sequence[str | Activation] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule | Adaptive = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        penalty: str | None = "l2",
        l1_ratio: float = 0.15,
        weight_decay: float = 0.01,
        dropout: float | Sequence[float] = 0.0,
        clip_norm: float | None = None,
        scoring: str | Callable | None = None,
        backend: str | None = None,
        precision: str | None = None,
    ) -> None:
        self._keep(locals())

    @available_if(BaseMLP._has_steps)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation_data: tuple | None = None) -> Self:
        """Make one pass over X.

        With ``early_stopping`` and ``validation_data``, ``stopped_early_`` tells when the score of ``n_iter_no_change``
        calls has not improved; ``coefs_`` are then the best ones.

        Parameters
        ----------
        X, y, sample_weight, validation_data
            As in ``fit``.

        Returns
        -------
        self : MLPRegressor
            The estimator after the pass.

        Raises
        ------
        ValueError
            As in ``fit``.
        """
        return fitting.fit(self, X, y, sample_weight, validation_data, is_part=True)

    def predict(self, X: Any) -> Array:
        """Predict the targets.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Samples.

        Returns
        -------
        array of X's library, (n_samples,) or (n_samples, n_outputs)
            Predictions.
        """
        check_library(self, X, "predict")
        return predicted(self, X, lambda A: A[:, 0] if self.n_outputs_ == 1 else A)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score ``predict(X)`` by R^2.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Samples.
        y : array-like, (n_samples,) or (n_samples, n_outputs)
            Their targets, of any library; they are compared on the host.
        sample_weight : array-like, (n_samples,), optional
            Weights of the samples.

        Returns
        -------
        float
            1 at best.
        """
        return r2_score(on_host(y), on_host(self.predict(X)), sample_weight=on_host(sample_weight))
