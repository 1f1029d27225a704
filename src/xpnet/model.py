"""The model, a pure function of the flat vector theta."""

import math
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from .backends import (
    NARROW,
    Backend,
    Precision,
    RowSource,
    array_namespace,
    checked_precision,
    data_dtype,
    finite_check,
    get_backend,
    is_host_data,
    read_data,
    to_numpy,
)
from .backends.environment import check_environment
from .block_prediction import LastPredictions, in_row_blocks, last_prediction, rows_a_block
from .equations import plain_numbers, whole_number
from .equations.activations import Activation, Linear
from .equations.dropout import draw_seed
from .equations.layers import Shape, Training
from .equations.losses import CrossEntropy, Loss, loss
from .equations.optimizers import Optimizer
from .equations.penalties import cost_gradient, penalty
from .network import Layout, Sequential, layout_of
from .program import Replayed
from .state import State, initial_state

Array = Any


@dataclass(frozen=True)
class Model:
    """J(theta) = c sum_i L(network(x_i), y_i) + penalty, with c = 1/m for a mean cost and 1 for a sum.

    Parameters
    ----------
    network : Sequential
        Its last layer must be linear if the loss has its own link ("cross_entropy", "binary_cross_entropy",
        "half_poisson_deviance"). With the other losses it may have any activation.
    loss : str or Loss
        A name of :data:`xpnet.losses.BY_NAME` or an object.
    l1, l2 : float
        lambda of D0's regularization, on the weights only.
    reduction : {"mean", "sum"}
        D0, D3: the mean over the samples (weighted by sample weights); D1, D4: their sum.
    scale_penalty : bool
        Whether lambda is multiplied by c as well, as scikit-learn's alpha is.
    precision : {"float32", "float64", "tf32", "bfloat16"}, optional
        The precision of the computation; by default that of X, float32 or float64. With "tf32" and "bfloat16" (CuPy
        alone) the matrix products round their factors; parameters, slots and the loss stay in float32.
    """

    network: Sequential
    loss: str | Loss = "half_squared_error"
    l1: float = 0.0
    l2: float = 0.0
    reduction: Literal["mean", "sum"] = "mean"
    scale_penalty: bool = False
    precision: Precision | None = None

    def __post_init__(self):
        plain_numbers(self)
        if not isinstance(self.network, Sequential):
            raise ValueError(f"network is {self.network!r}; it must be a Sequential, such as Sequential(Dense(1))")
        checked_precision(self.precision)
        for name in ("l1", "l2"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be a finite number, 0 or more")
        if self.reduction not in ("mean", "sum"):
            raise ValueError(f"reduction is {self.reduction!r}; allowed: 'mean', 'sum'")
        self._check_link()

    def _check_link(self):
        link, last = self.criterion.link, self.network.layers[-1]
        f = getattr(last, "f", None)
        if type(link) is not Linear and isinstance(f, Activation) and type(f) is not Linear:
            raise ValueError(
                f"the loss {type(self.criterion).__name__} has its own {type(link).__name__.lower()}, so that "
                f"dZ = A - Y; the last layer's activation is {type(f).__name__.lower()} and would be applied first: "
                "make that layer linear"
            )
        if isinstance(self.criterion, CrossEntropy) and getattr(last, "n_out", 2) == 1:
            raise ValueError(
                "cross_entropy over one unit is constant (softmax of one unit is 1); use binary_cross_entropy"
            )

    @property
    def criterion(self) -> Loss:
        """The loss as an object."""
        return loss(self.loss)

    def layout(self, n_features: int | Shape) -> Layout:
        """Where the parameters lie, for samples of ``n_features`` numbers or of this shape."""
        shape = n_features if isinstance(n_features, tuple) else (n_features,)
        return layout_of(self.network, tuple(whole_number("n_features", n) for n in shape))

    def draw(self, rng: Any, n_features: int | Shape) -> Array:
        """Initial parameters, drawn on the host in float64 from rng, a NumPy Generator or RandomState."""
        if not hasattr(rng, "uniform"):
            raise ValueError(f"rng is {rng!r}; it must be a generator, such as numpy.random.default_rng(0)")
        layout = self.layout(n_features)
        return layout.pack(self.network.initial(rng, layout.in_shape))

    def initial(self, rng: Any, n_features: int | Shape, optimizer: Optimizer) -> State:
        """The state before the first step, its parameters drawn from rng."""
        state = initial_state(self.draw(rng, n_features), optimizer, rng)
        state = replace(state, in_shape=self.layout(n_features).in_shape)
        return replace(state, seed=draw_seed(rng)) if self.is_stochastic else state

    @property
    def rounding(self) -> str | None:
        """The precision that products round their factors to: "tf32", "bfloat16" or None."""
        return self.precision if self.precision in NARROW else None

    @property
    def is_stochastic(self) -> bool:
        """Whether a step of training draws random numbers, as a layer says by an attribute ``is_stochastic``."""
        return any(getattr(layer, "is_stochastic", False) for layer in self.network.layers)

    def sums(
        self, theta: Array, X: Array, Y: Array, w: Array | None = None, train: Training = Training()
    ) -> tuple[Array, Any, Any]:
        """(the sum of the samples' gradients, loss_sum, weight_sum), which several processes would add up.

        theta (n_parameters,), X (m, n), Y (m, n_out) and w (m,) or None are arrays of one library and dtype. ``train``
        has the step's key if layers are to draw random numbers.
        """
        layout = self.layout(X.shape[1:])
        Z, backward = self.network.forward(layout.unpack(theta), X, train)
        loss_sum, weight_sum, dZ = self.criterion(Z, Y, w)
        return layout.pack(backward(dZ)), loss_sum, weight_sum

    def scale(self, weight_sum: Any) -> Any:
        """c: 1 for a sum; for a mean 1 / sum of sample weights, or 0 if all of them are 0."""
        if self.reduction == "sum":
            return 1.0
        if type(weight_sum) is float:  # a number of samples; NumPy's float64 is a float too, and may be 0
            return 1.0 / weight_sum
        xp = array_namespace(weight_sum)
        is_there = weight_sum != 0.0
        return xp.where(is_there, 1.0 / xp.where(is_there, weight_sum, 1.0), 0.0)

    def lambdas(self, c: Any) -> tuple[Any, Any]:
        """(lambda_1, lambda_2) for this c; None for a term that is left out."""
        scale = c if self.scale_penalty else 1.0
        return self.l1 * scale if self.l1 else None, self.l2 * scale if self.l2 else None

    def penalty(self, theta: Array, layout: Layout, c: Any) -> Any:
        """lambda_1 sum |W| + lambda_2 / 2 sum W^2."""
        return penalty(theta[: layout.n_weights], *self.lambdas(c))

    def assemble(
        self, theta: Array, layout: Layout, gradient: Array, loss_sum: Any, weight_sum: Any
    ) -> tuple[Any, Any, Array]:
        """(c sum_i L_i, the penalty, the gradient of their sum J) from what ``sums`` has added up."""
        c = self.scale(weight_sum)
        loss, penalty = c * loss_sum, self.penalty(theta, layout, c)
        return loss, penalty, cost_gradient(gradient, theta, layout.n_weights, c, *self.lambdas(c))

    def cost(self, theta: Any, X: Any, Y: Any, sample_weight: Any = None) -> float:
        """J(theta) on these samples."""
        return self.cost_and_gradient(theta, X, Y, sample_weight)[0]

    def cost_and_gradient(self, theta: Any, X: Any, Y: Any, sample_weight: Any = None) -> tuple[float, Array]:
        """J(theta) and its gradient (n_parameters,), on X's backend."""
        return self.objective(X, Y, sample_weight)(theta)

    def objective(
        self, X: Any, Y: Any, sample_weight: Any = None, backend: Any = None, train: Training = Training()
    ) -> Callable[[Any], tuple[float, Array]]:
        """theta -> J(theta) and its gradient (n_parameters,), on the backend, for minimizers of other libraries.

        The data are read and checked once. No random numbers are drawn unless ``train`` has a step's key.
        """
        backend, X, Y, w = self.read(X, Y, sample_weight, backend)
        return self.objective_of(X, Y, w, backend, train)

    def objective_of(
        self, X: Array, Y: Array, w: Array | None, backend: Backend, train: Training = Training()
    ) -> Callable[[Any], tuple[float, Array]]:
        """``objective`` for samples that have been read and are on the backend."""
        check_environment()
        layout = self.layout(X.shape[1:])

        def evaluate(theta: Array, X: Array, Y: Array, w: Array | None) -> tuple[Array, Array]:
            loss, penalty, gradient = self.assemble(theta, layout, *self.sums(theta, X, Y, w, train))
            return loss + penalty, gradient

        evaluated = Replayed(evaluate, (X, Y, w), self.rounding)

        def cost_and_gradient(theta: Any) -> tuple[float, Array]:
            with backend.active():
                cost, gradient = evaluated(layout.checked(backend.asarray(theta, X.dtype)))
                return float(cost), gradient

        return cost_and_gradient

    def evaluation(
        self, X: Array, Y: Array, w: Array | None, backend: Backend
    ) -> Callable[[Array], tuple[float, Array]]:
        """theta -> the loss of these samples, without the penalty, and ``predict`` of them.

        The samples have been read; those that do not fit into the memory of ``backend`` may still be on the host.
        """
        layout = self.layout(X.shape[1:])

        def judge(Z: Array, Y: Array, w: Array | None) -> tuple[Array, Array]:
            loss_sum, weight_sum, _ = self.criterion(Z, Y, w)
            return self.scale(weight_sum) * loss_sum, self.criterion.link.forward(Z)

        def outputs(X: Array, theta: Array) -> Array:
            return self.network.forward(layout.unpack(theta), X)[0]

        at_once = Replayed(lambda theta, X, Y, w: judge(outputs(X, theta), Y, w), (X, Y, w), self.rounding)
        is_here = not isinstance(X, RowSource) and array_namespace(X) is backend.xp
        is_one_block = is_here and X.shape[0] <= rows_a_block(layout, backend)

        def evaluate(theta: Array) -> tuple[float, Array]:
            with backend.active():
                if is_one_block:
                    loss, A = at_once(theta)
                else:
                    Z = in_row_blocks(outputs, (theta,), X, layout, backend)
                    loss, A = judge(Z, *(a if a is None else backend.asarray(a) for a in (Y, w)))
                return float(loss), A

        return evaluate

    def read(
        self, X: Any, Y: Any, sample_weight: Any = None, backend: Any = None, may_stay: bool = False
    ) -> tuple[Backend, Array, Array, Array | None]:
        """The data on the backend that computes, in X's dtype, their shapes checked against the network.

        With ``may_stay``, host data too large for a GPU's memory stay where they are, as NumPy arrays.
        """
        chosen = get_backend(backend, X)
        with chosen.active():
            _, X = read_data(X, "X", chosen, data_dtype(self.precision, chosen), may_stay)
            return chosen, X, *self._read_targets(X, Y, sample_weight, chosen)

    def _read_targets(self, X: Array, Y: Any, sample_weight: Any, backend: Backend) -> tuple[Array, Array | None]:
        """The targets and the weights, checked, on the host if X is there, otherwise on the backend."""
        layout = self.layout(X.shape[1:])
        home = get_backend("numpy") if is_host_data(X) else backend
        _, Y = read_data(Y, "Y", home, X.dtype)
        if Y.ndim == 1 and layout.out_shape == (1,):
            Y = Y[:, None]
        if tuple(Y.shape) != (X.shape[0], *layout.out_shape):
            raise ValueError(
                f"Y has shape {tuple(Y.shape)}; for X of shape {tuple(X.shape)} and this network it must be "
                f"{(X.shape[0], *layout.out_shape)} (class labels as one-hot rows)"
            )
        self.criterion.check(Y)
        if sample_weight is None:
            return Y, None
        _, w = read_data(sample_weight, "sample_weight", home, X.dtype)
        if tuple(w.shape) != (X.shape[0],):
            raise ValueError(
                f"sample_weight has shape {tuple(w.shape)}; it must be ({X.shape[0]},), one number a sample"
            )
        check_weights(w)
        return Y, w

    def predict(self, theta: Any, X: Any, backend: Any = None) -> Array:
        """link(network(X)), (m, n_out), in blocks of rows; an array of X's own library (NumPy's for a list)."""
        return self._in_row_blocks(theta, X, "predict", self.criterion.link.forward, backend)

    def output(self, theta: Any, X: Any, backend: Any = None) -> Array:
        """network(X), (m, n_out), before the link: the logits of a classifier."""
        return self._in_row_blocks(theta, X, "output", Linear().forward, backend)

    def log_predict(self, theta: Any, X: Any, backend: Any = None) -> Array:
        """log of ``predict``, from the logits: -200 stays -200."""
        return self._in_row_blocks(theta, X, "log_predict", self.criterion.log_predict, backend)

    def _in_row_blocks(self, theta: Any, X: Any, method: str, link: Callable, backend: Any) -> Array:
        source, backend = X, get_backend(backend, X)
        with backend.active():
            dtype = data_dtype(self.precision, backend)
            _, X = read_data(X, "X", backend, dtype, may_stay=True, is_checked=True)
            layout = self.layout(X.shape[1:])
            params = layout.unpack(layout.checked(backend.asarray(theta, X.dtype)))
            last, network = last_prediction(_last_predictions, self, method, self, X, backend), self.network
            with finite_check(X, "X"):
                A = in_row_blocks(
                    lambda A, *params: link(network.forward(params, A)[0]), params, X, layout, backend, last
                )
            return to_numpy(A) if is_host_data(source) else get_backend(None, source).asarray(A)


def check_weights(w: Array) -> None:
    """Raise a ValueError if the samples' weights sum to 0."""
    if float(array_namespace(w).sum(w)) == 0.0:
        raise ValueError("sample_weight sums to 0, so there is no mean to train on; leave it out, or give others")


_last_predictions: weakref.WeakKeyDictionary[Model, LastPredictions] = weakref.WeakKeyDictionary()
"""The programs of each model's predictions, kept as long as the model exists; equal models share them."""
