"""Activations f and their derivatives: D4's table, D0's softmax, and exp.

Each class is one row of the table. ``f`` and ``gradient`` are elementwise definitions: ``gradient(dA, A)`` is
dA * f'(Z), with f' written through A = f(Z), so that a layer keeps nothing but its output. All are free of branches
and stable for every finite float32 and float64 input.
"""

import functools
from dataclasses import dataclass
from typing import Any

from ..backends import Elementwise, elementwise, rowwise
from . import plain_numbers

Array = Any


@dataclass(frozen=True)
class Activation:
    """A function applied to every element of Z, and its derivative. Subclasses write ``f`` and ``gradient``."""

    def __post_init__(self):
        plain_numbers(self)

    def f(self, xp: Any, Z: Array) -> Array:
        """A = f(Z)."""
        raise TypeError(f"{type(self).__name__} must define f(self, xp, Z)")

    def gradient(self, xp: Any, dA: Array, A: Array) -> Array:
        """dZ = dA * f'(Z), from A = f(Z)."""
        raise TypeError(f"{type(self).__name__} must define gradient(self, xp, dA, A)")

    def biased(self, xp: Any, Z: Array, b: Array) -> Array:
        """A = f(Z + b)."""
        return self.f(xp, Z + b)

    def forward(self, Z: Array, b: Array | None = None) -> Array:
        """A = f(Z) or f(Z + b) in one pass over Z (m, n), b (n,)."""
        of_sum, of_Z, _ = _kernels(self)
        return of_Z(Z) if b is None else of_sum(Z, b)

    def backward(self, dA: Array, A: Array) -> Array:
        """dZ = dA * f'(Z), all (m, n)."""
        return _kernels(self)[2](dA, A)


@functools.cache
def _kernels(of: Activation) -> tuple[Elementwise, Elementwise, Elementwise]:
    """f(Z + b), f(Z) and the gradient, made once for equal activations."""
    return elementwise(of.biased), elementwise(of.f), elementwise(of.gradient)


@dataclass(frozen=True)
class Linear(Activation):
    """a = alpha z + c, f' = alpha   (D4, table)."""

    alpha: float = 1.0
    c: float = 0.0

    def f(self, xp, Z):
        return self.alpha * Z + self.c

    def gradient(self, xp, dA, A):
        return self.alpha * dA

    def biased(self, xp, Z, b):
        return Z + b if self._identity else self.f(xp, Z + b)

    def forward(self, Z, b=None):
        return Z if self._identity and b is None else super().forward(Z, b)

    def backward(self, dA, A):
        return dA if self._identity else super().backward(dA, A)

    @property
    def _identity(self):
        return self.alpha == 1.0 and self.c == 0.0


@dataclass(frozen=True)
class Sigmoid(Activation):
    """a = 1 / (1 + e^-z), f' = a (1 - a)   (D0 forward 2 and backward 5; D1; D3; D4, table)."""

    def f(self, xp, Z):
        return sigmoid.definition(xp, Z)

    def gradient(self, xp, dA, A):
        return dA * (A * (1.0 - A))


@elementwise
def sigmoid(xp: Any, Z: Array) -> Array:
    """1 / (1 + e^-z); neither exponential can overflow, and both tails keep their relative accuracy."""
    return xp.exp(xp.minimum(Z, 0.0)) / (1.0 + xp.exp(-xp.abs(Z)))


@dataclass(frozen=True)
class Tanh(Activation):
    """a = 2 / (1 + e^-2z) - 1 = tanh z, f' = 1 - a^2   (D4, table)."""

    def f(self, xp, Z):
        return xp.tanh(Z)

    def gradient(self, xp, dA, A):
        return dA * (1.0 - A * A)


@dataclass(frozen=True)
class ReLU(Activation):
    """a = max(z, 0), f' = 1 where z > 0, else 0   (D4, exercise; its table has 1 at z = 0)."""

    def f(self, xp, Z):
        return xp.maximum(Z, 0.0)

    def gradient(self, xp, dA, A):
        return dA * xp.astype(A > 0.0, dA.dtype)


@dataclass(frozen=True)
class PReLU(Activation):
    """a = z where z >= 0, else alpha z, with alpha > 0 fixed; f' = 1 where z >= 0, else alpha   (D4, table).

    The slope that is learned is a layer of its own, :class:`xpnet.layers.PReLU`, and may have either sign.
    """

    alpha: float = 0.25

    def __post_init__(self):
        super().__post_init__()
        _positive("PReLU", self.alpha, "use ReLU() for 0, or the layer PReLU() for a slope that is learned")

    def f(self, xp, Z):
        return xp.maximum(Z, 0.0) + self.alpha * xp.minimum(Z, 0.0)

    def gradient(self, xp, dA, A):
        return dA * (1.0 + (self.alpha - 1.0) * xp.astype(A < 0.0, dA.dtype))


@dataclass(frozen=True)
class ELU(Activation):
    """a = z where z >= 0, else alpha (e^z - 1), alpha > 0; f' = 1 where z >= 0, else a + alpha   (D4, table)."""

    alpha: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        _positive("ELU", self.alpha, "use ReLU() for 0")

    def f(self, xp, Z):
        return xp.maximum(Z, 0.0) + self.alpha * xp.expm1(xp.minimum(Z, 0.0))

    def gradient(self, xp, dA, A):
        return dA * (1.0 + (xp.minimum(A, 0.0) + (self.alpha - 1.0)) * xp.astype(A < 0.0, dA.dtype))


@dataclass(frozen=True)
class Exp(Activation):
    """a = e^z, f' = a: the mean of a Poisson distribution."""

    def f(self, xp, Z):
        return xp.exp(Z)

    def gradient(self, xp, dA, A):
        return dA * A


@dataclass(frozen=True)
class Softmax(Activation):
    """a_j = e^z_j / sum_k e^z_k; dz = a * (da - sum_j da_j a_j), its Jacobian's product   (D0 forward 4).

    Units are mixed, so it is not elementwise. Over one unit it would be the constant 1; layers refuse that.
    """

    def forward(self, Z, b=None):
        return softmax(Z if b is None else Linear().forward(Z, b))

    def backward(self, dA, A):
        return softmax_gradient(dA, A)


@rowwise
def softmax(xp: Any, Z: Array) -> Array:
    """e^z_j / sum_k e^z_k over the last axis; each row's maximum is taken off first, so that e^z can't overflow."""
    E = xp.exp(below_maximum.definition(xp, Z))
    return E / xp.sum(E, axis=-1, keepdims=True)


@rowwise
def softmax_gradient(xp: Any, dA: Array, A: Array) -> Array:
    """a * (da - sum_j da_j a_j)."""
    return A * (dA - xp.sum(dA * A, axis=-1, keepdims=True))


@rowwise
def log_softmax(xp: Any, Z: Array) -> Array:
    """z_j - log sum_k e^z_k over the last axis, from the logits: -200 stays -200, where log(softmax) has -inf."""
    S = below_maximum.definition(xp, Z)
    return S - xp.log(xp.sum(xp.exp(S), axis=-1, keepdims=True))


@rowwise
def below_maximum(xp: Any, Z: Array) -> Array:
    """z_j - max_k z_k over the last axis."""
    return below.within(xp, Z, xp.max(Z, axis=-1, keepdims=True))


@elementwise
def below(xp: Any, Z: Array, M: Array) -> Array:
    """z - M for M >= z; where finite values lie further apart than a float goes, it stops there."""
    return xp.maximum(Z, xp.maximum(M, 0.0) - float(xp.finfo(Z.dtype).max)) - M


@elementwise
def log_sigmoid(xp: Any, Z: Array) -> Array:
    """log(1 / (1 + e^-z)) = min(z, 0) - log(1 + e^-|z|), from the logits."""
    return xp.minimum(Z, 0.0) - xp.log1p(xp.exp(-xp.abs(Z)))


def _positive(name: str, alpha: float, mend: str) -> None:
    if not alpha > 0.0:
        raise ValueError(f"alpha of {name} is {alpha!r}; it must be above 0, so that a tells the sign of z: {mend}")


BY_NAME: dict[str, Activation] = {
    "linear": Linear(),
    "identity": Linear(),
    "sigmoid": Sigmoid(),
    "logistic": Sigmoid(),
    "tanh": Tanh(),
    "relu": ReLU(),
    "prelu": PReLU(),
    "elu": ELU(),
    "exp": Exp(),
    "softmax": Softmax(),
}
"""The names that users may give in place of an object; "identity" and "logistic" are scikit-learn's."""


def activation(given: str | Activation) -> Activation:
    """The activation of this name, or the object itself."""
    if isinstance(given, Activation):
        return given
    if given in BY_NAME:
        return BY_NAME[given]
    raise ValueError(f"activation is {given!r}; allowed: {', '.join(BY_NAME)}, or an Activation such as ELU(alpha=0.5)")
