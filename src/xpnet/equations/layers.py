"""Layers: forward and backward side by side; the closure is the cache.

A layer is a frozen dataclass. ``forward(params, X)`` returns A and ``backward``, which maps dA to dX and the gradients
of the parameters, summed over the samples and without 1/m. Nothing is stored on a layer: threads may share one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

from ..backends import array_namespace
from . import whole_number
from .activations import Activation, Linear, Softmax, activation
from .initializers import Constant, initializer

__all__ = ["Dense", "Layer", "PReLU", "Parameter", "Shape", "Training", "affine", "affine_gradients"]

Array = Any
Shape = tuple[int, ...]


class Parameter(NamedTuple):
    """One learned array of a layer.

    Attributes
    ----------
    name : str
        Its symbol, such as "W".
    shape : tuple of int
        Its shape.
    role : {"weight", "bias", "other"}
        The flat vector is ordered by role; penalties act on weights alone.
    """

    name: str
    shape: Shape
    role: Literal["weight", "bias", "other"]


class Training(NamedTuple):
    """What ``forward`` is given in training, and not in prediction: the only source of a layer's random numbers.

    Attributes
    ----------
    key : float or 0-d array, optional
        A whole number below 2^24, different for each step. None if nothing is to be drawn: then the cost is a
        function of the parameters alone.
    layer : int
        The number of the layer, from 0.
    """

    key: Any = None
    layer: int = 0


class Layer(Protocol):
    """What a network needs of a layer; a class of your own needs no base class.

    Three optional attributes describe what it computes: ``equation``, such as "A = max(X, 0)", ``source``, and
    ``steps``, the right-hand sides of Z and of the backward pass by their left-hand sides ("dX", or "dW" for W).
    """

    def shapes(self, in_shape: Shape) -> tuple[tuple[Parameter, ...], Shape]:
        """The parameters, and the shape of one sample's output, for the shape of one sample's input."""

    def initial(self, rng: Any, in_shape: Shape) -> tuple[Array, ...]:
        """Initial parameters as host arrays in float64, in the order of ``shapes``."""

    def forward(self, params: tuple[Array, ...], X: Array, train: Training | None = None) -> tuple[Array, Callable]:
        """The output, and ``backward(dA, need_dX=True) -> (dX, gradients)``."""


def affine(X: Array, W: Array, b: Array | None) -> Array:
    """Z = X W + b   (D0 forward 1, 3; D1; D2 eq. (1), (2); D3; D4 section 3).

    Parameters
    ----------
    X : array, (m, n_in)
        Samples.
    W : array, (n_in, n_out)
        Weights.
    b : array, (n_out,), or None
        Biases.

    Returns
    -------
    array, (m, n_out)
    """
    Z = array_namespace(X).matmul(X, W)
    return Z if b is None else Z + b


def affine_gradients(X: Array, W: Array, b: Array | None, dZ: Array, need_dX: bool) -> tuple:
    """dW = X^T dZ; db = sum_i dZ_i; dX = dZ W^T   (D0 backward 2-4, 7, 8; D1; D2 eq. (8), (9), (11); D3; D4).

    Parameters
    ----------
    X, W, b : arrays
        As for :func:`affine`.
    dZ : array, (m, n_out)
        The gradient by the layer's Z.
    need_dX : bool
        Whether to compute dX, which the first layer does not need.

    Returns
    -------
    tuple of arrays
        dX or None, dW, and db or None.
    """
    xp = array_namespace(X)
    dW = xp.matmul(xp.matrix_transpose(X), dZ)
    db = None if b is None else column_sum(dZ)
    dX = xp.matmul(dZ, xp.matrix_transpose(W)) if need_dX else None
    return dX, dW, db


def column_sum(Z: Array) -> Array:
    """sum_i Z[i, :]; over very many rows in groups of 64, which keeps float32 accurate."""
    xp = array_namespace(Z)
    m, n = Z.shape
    if m <= 1024:
        return xp.sum(Z, axis=0)
    grouped = m - m % 64
    groups = xp.sum(xp.reshape(Z[:grouped, :], (grouped // 64, 64, n)), axis=1)
    total = column_sum(groups)
    return total if grouped == m else total + xp.sum(Z[grouped:, :], axis=0)


@dataclass(frozen=True)
class Dense:
    """A = f(X W + b), with X (m, n_in), W (n_in, n_out), b (n_out,), A (m, n_out).

    D0 forward 1-4 and backward 2-8; D1; D2 eq. (1)-(4); D3; D4 sections 3, 4.

    Parameters
    ----------
    n_out : int
        The number of units.
    activation : str or Activation
        f, a name of :data:`xpnet.activations.BY_NAME` or an object.
    bias : bool
        Whether there is a b.
    initializer, bias_initializer : str or callable
        How W and b start: a name of :data:`xpnet.initializers.BY_NAME` or a callable (rng, shape, n_in, n_out).
    """

    n_out: int
    activation: str | Activation = "linear"
    bias: bool = True
    initializer: Any = "glorot_uniform"
    bias_initializer: Any = "zeros"

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_out", whole_number("n_out of Dense", self.n_out))
        initializer(self.initializer), initializer(self.bias_initializer)
        if isinstance(self.f, Softmax) and self.n_out == 1:
            raise ValueError(
                "Dense(1, 'softmax'): softmax of one unit is the constant 1 and can't learn; use 'sigmoid'"
            )

    @property
    def f(self) -> Activation:
        """The activation as an object."""
        return activation(self.activation)

    @property
    def equation(self) -> str:
        """A = f(X W + b), with this layer's f, and without b if there is no bias."""
        Z, f = self.steps["Z"], self.f
        return f"A = {Z}" if f == Linear() else f"A = {type(f).__name__.lower()}({Z})"

    @property
    def steps(self) -> dict[str, str]:
        """Z, and the products of the backward pass, in symbols."""
        Z = "X W + b" if self.bias else "X W"
        return {"Z": Z, "dX": "dZ Wᵀ", "dW": "Xᵀ dZ", "db": "sum_i dZ_i"}

    def shapes(self, in_shape: Shape) -> tuple[tuple[Parameter, ...], Shape]:
        """W and b, and (n_out,)."""
        if len(in_shape) != 1:
            raise ValueError(
                f"Dense takes samples of one dimension, got samples of shape {in_shape}; reshape X to (m, n)"
            )
        W = Parameter("W", (in_shape[0], self.n_out), "weight")
        b = Parameter("b", (self.n_out,), "bias")
        return ((W, b) if self.bias else (W,)), (self.n_out,)

    def initial(self, rng: Any, in_shape: Shape) -> tuple[Array, ...]:
        """W, then b, drawn from rng."""
        n_in = in_shape[0]
        W = initializer(self.initializer)(rng, (n_in, self.n_out), n_in, self.n_out)
        if not self.bias:
            return (W,)
        return W, initializer(self.bias_initializer)(rng, (self.n_out,), n_in, self.n_out)

    def forward(self, params: tuple[Array, ...], X: Array, train: Training | None = None) -> tuple[Array, Callable]:
        """A = f(X W + b), and its backward."""
        W, b = params if self.bias else (*params, None)
        f = self.f
        Z = affine(X, W, b)
        A = f.forward(Z)

        def backward(dA: Array, need_dX: bool = True) -> tuple:
            dZ = f.backward(dA, Z, A)
            dX, dW, db = affine_gradients(X, W, b, dZ, need_dX)
            return dX, ((dW, db) if self.bias else (dW,))

        return A, backward


@dataclass(frozen=True)
class PReLU:
    """ReLU with one learned slope alpha_j for each unit below 0.

    The slopes are neither weights nor biases: no penalty acts on them.

    Parameters
    ----------
    initial_slope : float
        The initial value of each slope.
    """

    initial_slope: float = 0.25

    equation = "a = z if z >= 0, else alpha_j z"
    steps = MappingProxyType({"dX": "dA (1 if X >= 0, else alpha)", "dalpha": "sum_i dA_i min(X_i, 0)"})
    source = "D4, table; He et al., ICCV 2015"

    def shapes(self, in_shape: Shape) -> tuple[tuple[Parameter, ...], Shape]:
        """alpha, and the input's own shape."""
        return (Parameter("alpha", in_shape, "other"),), in_shape

    def initial(self, rng: Any, in_shape: Shape) -> tuple[Array, ...]:
        """The initial slope, for every unit."""
        return (Constant(self.initial_slope)(rng, in_shape, 0, 0),)

    def forward(self, params: tuple[Array, ...], X: Array, train: Training | None = None) -> tuple[Array, Callable]:
        """max(X, 0) + alpha min(X, 0), and its backward."""
        (alpha,) = params
        xp = array_namespace(X)
        A = xp.maximum(X, 0.0) + alpha * xp.minimum(X, 0.0)

        def backward(dA: Array, need_dX: bool = True) -> tuple:
            dX = dA * (1.0 + (alpha - 1.0) * xp.astype(X < 0.0, dA.dtype))
            return dX, (column_sum(dA * xp.minimum(X, 0.0)),)

        return A, backward
