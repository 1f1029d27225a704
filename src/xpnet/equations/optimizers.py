"""Update rules on one vector: parameters theta, gradient g, slots, and a step's scalars.

Each class is a rule. ``update`` moves all parameters of a network at once; the scalars that change with the step
(``scalars``) are computed on the host in float64 and rounded once, to theta's dtype.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

from ..backends import array_namespace
from . import plain_numbers

__all__ = ["Adam", "AdamW", "GradientDescent", "Momentum", "Optimizer"]

Array = Any


class Rate(NamedTuple):
    """A step's scalars if only the learning rate changes."""

    alpha: Any


class DecayedRate(NamedTuple):
    """A step's scalars of AdamW: the learning rate, and the fraction of each weight that is subtracted."""

    alpha: Any
    decay: Any


@dataclass(frozen=True)
class Optimizer:
    """The base class of update rules.

    Attributes
    ----------
    learning_rate : float
        alpha (D0, D2) or eta (D1, D4), above 0.
    """

    learning_rate: float = 0.1

    slots = 0
    """How many vectors besides theta the rule carries from step to step; they start at 0."""
    source = ""
    """Where the rule comes from."""

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate is {self.learning_rate!r}; it must be a finite number above 0")

    def scalars(self, t: int, learning_rate: float) -> Any:
        """The scalars of step t = 1, 2, ..., as floats."""
        return Rate(learning_rate)

    def equations(self, weights: bool = True) -> tuple[str, ...]:
        """The rule in symbols: each scalar, then the new value of each slot, then that of theta, for weights or for
        other parameters. Empty if a class of your own does not define it.
        """
        return ()

    def decayed(self, W: Array, scalars: Any) -> Array:
        """The weights that the update starts from."""
        return W

    def update(self, theta: Array, g: Array, slots: tuple[Array, ...], scalars: Any) -> tuple[Array, ...]:
        """(theta, *slots) after one step."""
        raise TypeError(f"{type(self).__name__} must define update(self, theta, g, slots, scalars)")


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """A step down the gradient; ``equations`` has the rule.

    Parameters
    ----------
    learning_rate : float
        alpha (D0, D2) or eta (D1, D4), above 0.
    """

    source = 'D0 "Weight updates"; D1; D2 eq. (13), (14); D3; D4 steps 4, 5'

    def equations(self, weights: bool = True) -> tuple[str, ...]:
        return "alpha", "theta -= alpha g"

    def update(self, theta: Array, g: Array, slots: tuple[Array, ...], scalars: Any) -> tuple[Array, ...]:
        return (theta - scalars.alpha * g,)


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with a velocity v, optionally Nesterov's; ``equations`` has the rule.

    Parameters
    ----------
    learning_rate : float
        alpha, above 0.
    momentum : float
        The share of the velocity that is kept, from 0 to 1.
    nesterov : bool
        Whether theta moves by the velocity that the same gradient would give one step later.
    """

    momentum: float = 0.9
    nesterov: bool = False

    slots = 1
    source = "Polyak, 1964; Sutskever et al., ICML 2013, eq. 1-4, in the form that keeps the gradient at theta"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.momentum <= 1.0:
            raise ValueError(f"momentum is {self.momentum!r}; it must be from 0 to 1")

    def equations(self, weights: bool = True) -> tuple[str, ...]:
        rise = "momentum v - alpha g" if self.nesterov else "v"
        return "alpha", "v = momentum v - alpha g", f"theta += {rise}"

    def update(self, theta: Array, g: Array, slots: tuple[Array, ...], scalars: Any) -> tuple[Array, ...]:
        (v,) = slots
        descent = scalars.alpha * g
        v = self.momentum * v - descent
        return theta + (self.momentum * v - descent if self.nesterov else v), v


@dataclass(frozen=True)
class Adam(Optimizer):
    """Steps along the gradient's mean m over the root of its mean square v; ``equations`` has the rule.

    Parameters
    ----------
    learning_rate : float
        alpha, above 0.
    beta_1, beta_2 : float
        The shares of m and v that are kept, at least 0 and below 1.
    epsilon : float
        What is added to the root of v, above 0.
    """

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    slots = 2
    source = "Kingma and Ba, ICLR 2015, end of section 2"

    def __post_init__(self) -> None:
        super().__post_init__()
        _fraction("beta_1", self.beta_1)
        _fraction("beta_2", self.beta_2)
        if not self.epsilon > 0.0:
            raise ValueError(f"epsilon is {self.epsilon!r}; it must be above 0, or a gradient of 0 divides by 0")

    def equations(self, weights: bool = True) -> tuple[str, ...]:
        alpha_t = "alpha_t = alpha sqrt(1 - beta_2^t) / (1 - beta_1^t)"
        slots = "m += (1 - beta_1) (g - m)", "v += (1 - beta_2) (g^2 - v)"
        return alpha_t, *slots, "theta -= alpha_t m / (sqrt(v) + epsilon)"

    def scalars(self, t: int, learning_rate: float) -> Any:
        return Rate(learning_rate * sqrt(1.0 - self.beta_2**t) / (1.0 - self.beta_1**t))

    def update(self, theta: Array, g: Array, slots: tuple[Array, ...], scalars: Any) -> tuple[Array, ...]:
        xp = array_namespace(theta)
        m, v = slots
        m = m + (1.0 - self.beta_1) * (g - m)
        v = v + (1.0 - self.beta_2) * (g * g - v)
        return theta - scalars.alpha * m / (xp.sqrt(v) + self.epsilon), m, v


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with weight decay that does not pass through the gradient; ``equations`` has the rule.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon : float
        As for :class:`Adam`.
    weight_decay : float
        The fraction of each weight that a step of learning rate 1 would subtract, 0 or more.
    """

    weight_decay: float = 0.01

    source = "Loshchilov and Hutter, ICLR 2019"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.weight_decay >= 0.0:
            raise ValueError(f"weight_decay is {self.weight_decay!r}; it must be 0 or more")

    def equations(self, weights: bool = True) -> tuple[str, ...]:
        alpha_t, *slots, of_theta = super().equations()
        decayed = " + alpha weight_decay theta" if weights else ""
        return alpha_t, "alpha weight_decay, of the weights", *slots, of_theta + decayed

    def scalars(self, t: int, learning_rate: float) -> Any:
        return DecayedRate(super().scalars(t, learning_rate).alpha, learning_rate * self.weight_decay)

    def decayed(self, W: Array, scalars: Any) -> Array:
        return W - scalars.decay * W


def _fraction(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name} is {value!r}; it must be at least 0 and below 1")
