"""Activations f and their derivatives: D4's table, D0's softmax, and exp.

Each class is one row of the table: ``forward(Z)`` is A = f(Z), and ``derivative(Z, A)`` is f'(Z), written through Z or
through A = f(Z), whichever is shorter. All are free of branches and stable for every finite float32 and float64 input.
"""

from dataclasses import dataclass
from typing import Any

from ..backends import array_namespace
from . import plain_numbers

__all__ = [
    "Activation",
    "BY_NAME",
    "ELU",
    "Exp",
    "LeakyReLU",
    "Linear",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "activation",
    "log_sigmoid",
    "log_softmax",
    "sigmoid",
    "softmax",
]

Array = Any


@dataclass(frozen=True)
class Activation:
    """A function of Z and its derivative. Subclasses write ``forward`` and ``derivative``.

    Three attributes describe what it computes; they are optional in a class of your own: ``equation``, such as
    "a = e^z", ``derivative_equation``, such as "f' = a", and ``source``, where they come from.
    """

    def __post_init__(self) -> None:
        plain_numbers(self)

    def forward(self, Z: Array) -> Array:
        """A = f(Z), (m, n)."""
        raise TypeError(f"{type(self).__name__} must define forward(self, Z)")

    def derivative(self, Z: Array, A: Array) -> Array:
        """f'(Z) element by element, (m, n), from Z and A = f(Z)."""
        raise TypeError(f"{type(self).__name__} must define derivative(self, Z, A)")

    def backward(self, dA: Array, Z: Array, A: Array) -> Array:
        """dZ = dA * f'(Z), all (m, n)."""
        return dA * self.derivative(Z, A)


@dataclass(frozen=True)
class Linear(Activation):
    """A straight line; by default the identity.

    Parameters
    ----------
    alpha : float
        The slope.
    c : float
        The value at 0.
    """

    alpha: float = 1.0
    c: float = 0.0

    equation = "a = alpha z + c"
    derivative_equation = "f' = alpha"
    source = "D4, table"

    def forward(self, Z: Array) -> Array:
        return Z if (self.alpha, self.c) == (1.0, 0.0) else self.alpha * Z + self.c

    def backward(self, dA: Array, Z: Array, A: Array) -> Array:
        return dA if self.alpha == 1.0 else self.alpha * dA


@dataclass(frozen=True)
class Sigmoid(Activation):
    """The logistic function."""

    equation = "a = 1 / (1 + e^-z)"
    derivative_equation = "f' = a (1 - a)"
    source = "D0 forward 2 and backward 5; D1; D3; D4, table"

    def forward(self, Z: Array) -> Array:
        return sigmoid(Z)

    def derivative(self, Z: Array, A: Array) -> Array:
        return A * (1.0 - A)


def sigmoid(Z: Array) -> Array:
    """1 / (1 + e^-z); neither exponential can overflow, and both tails keep their relative accuracy.

    Parameters
    ----------
    Z : array, (m, n)
        The logits.

    Returns
    -------
    array, (m, n)
    """
    xp = array_namespace(Z)
    return xp.exp(xp.minimum(Z, 0.0)) / (1.0 + xp.exp(-xp.abs(Z)))


@dataclass(frozen=True)
class Tanh(Activation):
    """The hyperbolic tangent."""

    equation = "a = 2 / (1 + e^(-2 z)) - 1"
    derivative_equation = "f' = 1 - a^2"
    source = "D4, table"

    def forward(self, Z: Array) -> Array:
        return array_namespace(Z).tanh(Z)

    def derivative(self, Z: Array, A: Array) -> Array:
        return 1.0 - A * A


@dataclass(frozen=True)
class ReLU(Activation):
    """The rectified linear unit."""

    equation = "a = max(z, 0)"
    derivative_equation = "f' = 1 if z > 0, else 0"
    source = "D4, exercise; its table has 1 at z = 0"

    def forward(self, Z: Array) -> Array:
        return array_namespace(Z).maximum(Z, 0.0)

    def derivative(self, Z: Array, A: Array) -> Array:
        return array_namespace(A).astype(A > 0.0, A.dtype)


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """ReLU with a fixed slope alpha > 0 below 0.

    A learned slope, which may have either sign, is a layer: :class:`xpnet.layers.PReLU`.

    Parameters
    ----------
    alpha : float
        The slope for z < 0; it must be above 0.
    """

    alpha: float = 0.25

    equation = "a = z if z >= 0, else alpha z"
    derivative_equation = "f' = 1 if z >= 0, else alpha"
    source = "D4, table, PReLU"

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive("LeakyReLU", self.alpha, "use ReLU() for 0, or the layer PReLU() for a slope that is learned")

    def forward(self, Z: Array) -> Array:
        xp = array_namespace(Z)
        return xp.maximum(Z, 0.0) + self.alpha * xp.minimum(Z, 0.0)

    def derivative(self, Z: Array, A: Array) -> Array:
        return 1.0 + (self.alpha - 1.0) * array_namespace(A).astype(A < 0.0, A.dtype)


@dataclass(frozen=True)
class ELU(Activation):
    """The exponential linear unit, alpha > 0.

    Parameters
    ----------
    alpha : float
        Minus the limit of a for z towards minus infinity; it must be above 0.
    """

    alpha: float = 1.0

    equation = "a = z if z >= 0, else alpha (e^z - 1)"
    derivative_equation = "f' = 1 if z >= 0, else a + alpha"
    source = "D4, table"

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive("ELU", self.alpha, "use ReLU() for 0")

    def forward(self, Z: Array) -> Array:
        xp = array_namespace(Z)
        return xp.maximum(Z, 0.0) + self.alpha * xp.expm1(xp.minimum(Z, 0.0))

    def derivative(self, Z: Array, A: Array) -> Array:
        xp = array_namespace(A)
        return 1.0 + (xp.minimum(A, 0.0) + (self.alpha - 1.0)) * xp.astype(A < 0.0, A.dtype)


@dataclass(frozen=True)
class Exp(Activation):
    """The exponential function, whose value is the mean of a Poisson distribution."""

    equation = "a = e^z"
    derivative_equation = "f' = a"

    def forward(self, Z: Array) -> Array:
        return array_namespace(Z).exp(Z)

    def derivative(self, Z: Array, A: Array) -> Array:
        return A


@dataclass(frozen=True)
class Softmax(Activation):
    """Probabilities over the last axis; ``backward`` is the product with its Jacobian.

    Each value depends on all units of its sample. Over one unit it would be the constant 1; layers refuse that.
    """

    equation = "a_j = e^z_j / sum_k e^z_k"
    derivative_equation = "dz = a * (da - sum_j da_j a_j)"
    source = "D0 forward 4"

    def forward(self, Z: Array) -> Array:
        return softmax(Z)

    def backward(self, dA: Array, Z: Array, A: Array) -> Array:
        return softmax_gradient(dA, A)


def softmax(Z: Array) -> Array:
    """e^z_j / sum_k e^z_k over the last axis; each row's maximum is subtracted first, so that e^z can't overflow.

    Parameters
    ----------
    Z : array, (m, n)
        The logits.

    Returns
    -------
    array, (m, n)
    """
    xp = array_namespace(Z)
    E = xp.exp(below_maximum(Z))
    return E / xp.sum(E, axis=-1, keepdims=True)


def softmax_gradient(dA: Array, A: Array) -> Array:
    """a * (da - sum_j da_j a_j)."""
    return A * (dA - array_namespace(A).sum(dA * A, axis=-1, keepdims=True))


def log_softmax(Z: Array) -> Array:
    """z_j - log sum_k e^z_k over the last axis, from the logits: -200 stays -200, although softmax rounds to 0.

    Parameters
    ----------
    Z : array, (m, n)
        The logits.

    Returns
    -------
    array, (m, n)
    """
    xp = array_namespace(Z)
    S = below_maximum(Z)
    return S - xp.log(xp.sum(xp.exp(S), axis=-1, keepdims=True))


def below_maximum(Z: Array) -> Array:
    """z_j - max_k z_k over the last axis, bounded below so that it is finite for all finite z."""
    xp = array_namespace(Z)
    M = xp.max(Z, axis=-1, keepdims=True)
    return xp.maximum(Z, xp.maximum(M, 0.0) - float(xp.finfo(Z.dtype).max)) - M


def log_sigmoid(Z: Array) -> Array:
    """log(1 / (1 + e^-z)) = min(z, 0) - log(1 + e^-|z|), from the logits.

    Parameters
    ----------
    Z : array, (m, n)
        The logits.

    Returns
    -------
    array, (m, n)
    """
    xp = array_namespace(Z)
    return xp.minimum(Z, 0.0) - xp.log1p(xp.exp(-xp.abs(Z)))


def _positive(name: str, alpha: float, fix: str) -> None:
    if not alpha > 0.0:
        raise ValueError(f"alpha of {name} is {alpha!r}; it must be above 0, so that a and z have the same sign: {fix}")


BY_NAME: dict[str, Activation] = {
    "linear": Linear(),
    "identity": Linear(),
    "sigmoid": Sigmoid(),
    "logistic": Sigmoid(),
    "tanh": Tanh(),
    "relu": ReLU(),
    "leaky_relu": LeakyReLU(),
    "elu": ELU(),
    "exp": Exp(),
    "softmax": Softmax(),
}
"""The names that users may give in place of an object; "identity" and "logistic" are scikit-learn's."""


def activation(given: str | Activation) -> Activation:
    """The activation of this name, or the object itself.

    Parameters
    ----------
    given : str or Activation
        A name of ``BY_NAME``, or an object.

    Returns
    -------
    Activation
    """
    if isinstance(given, Activation):
        return given
    if given in BY_NAME:
        return BY_NAME[given]
    raise ValueError(f"activation is {given!r}; allowed: {', '.join(BY_NAME)}, or an Activation such as ELU(alpha=0.5)")
