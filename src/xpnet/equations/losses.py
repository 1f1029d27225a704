"""Losses: per sample, with the link that turns the network's output into a prediction.

``loss(Z, Y, w)`` returns (loss_sum, weight_sum, dZ) for the network's output Z (m, n), targets Y (m, n) and sample
weights w (m,) or None. They are sums over the samples, without 1/m: the caller divides once. A loss that has its own
link ("canonical") has dZ = A - Y, computed from the logits, so that no logarithm is taken of a rounded 0.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from ..backends import array_namespace
from . import plain_numbers
from .activations import Activation, Exp, Linear, Sigmoid, Softmax, below_maximum, log_sigmoid, log_softmax, sigmoid

__all__ = [
    "AbsoluteError",
    "BY_NAME",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "HalfPoissonDeviance",
    "HalfSquaredError",
    "Huber",
    "Loss",
    "Quantile",
    "binary_cross_entropy",
    "cross_entropy",
    "loss",
]

Array = Any


@dataclass(frozen=True)
class Loss:
    """The base class of losses: ``link`` (prediction = link(Z)) and ``per_element`` (L and dZ from Z and Y).

    Three attributes describe what it computes; they are optional in a class of your own: ``equation``, "L = ...",
    ``derivative_equation``, "dZ = ..." with A for the prediction, and ``source``, where they come from.
    """

    link: ClassVar[Activation] = Linear()

    def per_element(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        """Each sample's loss, (m, 1), or its addends, (m, n); and dZ, (m, n)."""
        raise TypeError(f"{type(self).__name__} must define per_element(self, Z, Y)")

    @property
    def descended(self) -> "Loss":
        """The loss whose gradient is dZ: this one, unless its value is reported on another scale."""
        return self

    def check(self, Y: Array) -> None:
        """Raise a ValueError if Y can't be targets of this loss."""

    def log_predict(self, Z: Array) -> Array:
        """log(link(Z)), from the logits."""
        raise TypeError(f"{type(self).__name__} has no log-probabilities; BinaryCrossEntropy and CrossEntropy have")

    def __call__(self, Z: Array, Y: Array, w: Array | None = None) -> tuple[Any, Any, Array]:
        """(loss_sum, weight_sum, dZ)."""
        xp = array_namespace(Z)
        L, dZ = self.per_element(Z, Y)
        if w is None:
            return xp.sum(L), float(Z.shape[0]), dZ
        w = w[:, None]
        L, dZ = w * L, w * dZ
        return xp.sum(L), xp.sum(w), dZ


@dataclass(frozen=True)
class HalfSquaredError(Loss):
    """Half the squared error, summed over the outputs, or with ``mean_over_outputs`` their mean, as in D2.

    Any activation may precede it: dA = A - Y then passes through f'.

    Parameters
    ----------
    mean_over_outputs : bool
        Whether to divide by the number of outputs.
    """

    mean_over_outputs: bool = False

    source = "D1; D2 section 2.1 and, halved, section 3; D4 step 1"

    @property
    def equation(self) -> str:
        """L = ..., with r for the number of outputs."""
        return f"L = {'1/(2r)' if self.mean_over_outputs else '1/2'} sum_j (yhat_j - y_j)^2"

    @property
    def derivative_equation(self) -> str:
        """dZ = ..."""
        return "dZ = (A - Y) / r" if self.mean_over_outputs else "dZ = A - Y"

    def per_element(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        E = Z - Y
        scale = 1.0 / Z.shape[1] if self.mean_over_outputs else 1.0
        return (0.5 * scale) * (E * E), E if scale == 1.0 else scale * E


@dataclass(frozen=True)
class Huber(Loss):
    """Squared error near y, absolute error further than delta from it.

    Parameters
    ----------
    delta : float
        The error above which the loss is linear; it must be above 0.
    """

    delta: float = 1.0

    equation = "L = sum_j E_j^2 / 2 if |E_j| <= delta, else delta (|E_j| - delta / 2), E = yhat - y"
    derivative_equation = "dZ = max(-delta, min(A - Y, delta))"
    source = "Huber, Ann. Math. Stat. 1964"

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 < self.delta < float("inf"):
            raise ValueError(f"delta of Huber is {self.delta!r}; it must be a finite number above 0")

    def per_element(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        xp = array_namespace(Z)
        E = Z - Y
        D = xp.maximum(xp.minimum(E, self.delta), -self.delta)
        return D * (E - 0.5 * D), D  # both of L's cases in one


@dataclass(frozen=True)
class Quantile(Loss):
    """The pinball loss, whose minimum is the q-quantile of y.

    Parameters
    ----------
    q : float
        The quantile, above 0 and below 1.
    """

    q: float = 0.5

    equation = "L = sum_j q max(y_j - yhat_j, 0) + (1 - q) max(yhat_j - y_j, 0)"
    derivative_equation = "dZ = 1 - q if A > Y, -q if A < Y, else 0"
    source = "Koenker and Bassett, Econometrica 1978"

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 < self.q < 1.0:
            raise ValueError(f"q of Quantile is {self.q!r}; it must be above 0 and below 1, such as 0.9")

    def per_element(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        return sloped(Z - Y, self.q, 1.0 - self.q)


@dataclass(frozen=True)
class AbsoluteError(Loss):
    """The absolute error, whose minimum is the median of y."""

    equation = "L = sum_j |yhat_j - y_j|"
    derivative_equation = "dZ = sign(A - Y)"

    def per_element(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        return sloped(Z - Y, 1.0, 1.0)


def sloped(E: Array, below_y: float, above_y: float) -> tuple[Array, Array]:
    """A loss with the slope -``below_y`` for e < 0 and ``above_y`` for e > 0; and this slope."""
    xp = array_namespace(E)
    is_above, is_below = xp.astype(E > 0.0, E.dtype), xp.astype(E < 0.0, E.dtype)
    return above_y * xp.maximum(E, 0.0) - below_y * xp.minimum(E, 0.0), above_y * is_above - below_y * is_below


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Minus the log-likelihood of labels that are 0 or 1, summed over the labels if there are several."""

    equation = "L = -sum_j [y_j log a_j + (1 - y_j) log(1 - a_j)], a = sigmoid(z)"
    derivative_equation = "dZ = A - Y"
    source = "D3"
    link = Sigmoid()

    def per_element(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        return binary_cross_entropy(Z, Y), sigmoid(Z) - Y

    def log_predict(self, Z: Array) -> Array:
        return log_sigmoid(Z)


def binary_cross_entropy(Z: Array, Y: Array) -> Array:
    """max(z, 0) - z y + log(1 + e^-|z|), which is -[y log a + (1 - y) log(1 - a)].

    Parameters
    ----------
    Z, Y : array, (m, n)
        The logits, and targets from 0 to 1.

    Returns
    -------
    array, (m, n)
    """
    xp = array_namespace(Z)
    return xp.maximum(Z, 0.0) - Z * Y + xp.log1p(xp.exp(-xp.abs(Z)))


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Minus the log-likelihood of one class among several, for rows of Y that sum to 1."""

    equation = "L = -sum_j y_j log a_j, a = softmax(z)"
    derivative_equation = "dZ = A - Y"
    source = "D0 backward 1"
    link = Softmax()

    def per_element(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        return cross_entropy(Z, Y)

    def check(self, Y: Array) -> None:
        xp = array_namespace(Y)
        off = float(xp.max(xp.abs(xp.sum(Y, axis=-1) - 1.0)))
        if off > 1e-3:
            raise ValueError(
                f"a row of Y sums to 1 only within {off:.3g}; cross_entropy needs one-hot rows or probabilities: "
                "for several labels at once use binary_cross_entropy"
            )

    def log_predict(self, Z: Array) -> Array:
        return log_softmax(Z)


def cross_entropy(Z: Array, Y: Array) -> tuple[Array, Array]:
    """-y_j log a_j, whose sum is the loss, and a - y, for a = softmax(z)   (D0 backward 1).

    Parameters
    ----------
    Z, Y : array, (m, n)
        The logits, and targets whose rows sum to 1.

    Returns
    -------
    tuple of two arrays, (m, n)
        The addends of the loss, and dZ.
    """
    xp = array_namespace(Z)
    S = below_maximum(Z)
    E = xp.exp(S)
    total = xp.sum(E, axis=-1, keepdims=True)
    return Y * (xp.log(total) - S), E / total - Y  # -y log a, however small a is


@dataclass(frozen=True)
class HalfPoissonDeviance(Loss):
    """Half the deviance of a Poisson distribution, for Y >= 0."""

    equation = "L = sum_j [yhat_j - y_j log yhat_j + (y_j log y_j - y_j)], yhat = e^z"
    derivative_equation = "dZ = A - Y"
    link = Exp()

    def per_element(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        xp = array_namespace(Z)
        A = xp.exp(Z)
        # 0 log 0 is 0.
        return A - Y * Z + (Y * xp.log(xp.maximum(Y, 1e-37)) - Y), A - Y

    def check(self, Y: Array) -> None:
        least = float(array_namespace(Y).min(Y))
        if least < 0.0:
            raise ValueError(f"Y has values down to {least:.3g}; half_poisson_deviance needs Y >= 0, such as counts")


BY_NAME: dict[str, Loss] = {
    "half_squared_error": HalfSquaredError(),
    "huber": Huber(),
    "quantile": Quantile(),
    "absolute_error": AbsoluteError(),
    "binary_cross_entropy": BinaryCrossEntropy(),
    "cross_entropy": CrossEntropy(),
    "half_poisson_deviance": HalfPoissonDeviance(),
}


def loss(given: str | Loss) -> Loss:
    """The loss of this name, or the object itself.

    Parameters
    ----------
    given : str or Loss
        A name of ``BY_NAME``, or an object.

    Returns
    -------
    Loss
    """
    if isinstance(given, Loss):
        return given
    if given in BY_NAME:
        return BY_NAME[given]
    raise ValueError(f"loss is {given!r}; allowed: {', '.join(BY_NAME)}, or a Loss such as HalfSquaredError()")
