"""Learning rates that change: factors of the step, and the plateau rule that looks at the cost.

A schedule maps the step t = 0, 1, 2, ... to a factor of the learning rate. Scalars only, on the host.
"""

from dataclasses import dataclass, replace
from math import cos, inf, pi
from typing import Protocol

__all__ = ["Adaptive", "ConstantRate", "Cosine", "InverseScaling", "Plateau", "Schedule", "WarmUp"]


class Schedule(Protocol):
    """A callable that maps a step to a factor, such as a function."""

    def __call__(self, t: float) -> float:
        """The factor of the learning rate at step t."""


@dataclass(frozen=True)
class ConstantRate:
    """The factor 1 at every step."""

    def __call__(self, t: float) -> float:
        return 1.0


@dataclass(frozen=True)
class InverseScaling:
    """1 / (t + 1)^power   (scikit-learn's "invscaling", where t counts samples).

    Parameters
    ----------
    power : float
        How fast the rate falls.
    """

    power: float = 0.5

    def __call__(self, t: float) -> float:
        return (t + 1.0) ** -self.power


@dataclass(frozen=True)
class Cosine:
    """From 1 to ``end`` along half a cosine, then constant   (Loshchilov and Hutter, ICLR 2017, eq. 5).

    Parameters
    ----------
    steps : int
        The number of steps after which ``end`` is reached.
    end : float
        The last factor.
    """

    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        _at_least_one("steps of Cosine", self.steps)

    def __call__(self, t: float) -> float:
        return self.end + (1.0 - self.end) * 0.5 * (1.0 + cos(pi * min(t / self.steps, 1.0)))


@dataclass(frozen=True)
class WarmUp:
    """Linearly up to 1 in ``steps`` steps, then another schedule from its start   (Goyal et al., 2017, section 2.2).

    Parameters
    ----------
    steps : int
        The number of steps until the factor is 1.
    then : callable
        The schedule after it.
    """

    steps: int
    then: Schedule = ConstantRate()

    def __post_init__(self) -> None:
        _at_least_one("steps of WarmUp", self.steps)

    def __call__(self, t: float) -> float:
        return (t + 1.0) / self.steps if t < self.steps else self.then(t - self.steps)


@dataclass(frozen=True)
class Plateau:
    """Epochs since the cost last fell by more than ``tol`` below its best.

    ``plateau.after(cost)`` is the plateau one epoch later. Early stopping and the adaptive learning rate share it.

    Parameters
    ----------
    tol : float
        How far the cost must fall to count as better.
    best : float
        The lowest cost so far.
    epochs : int
        Epochs since the cost was better.
    """

    tol: float = 1e-4
    best: float = inf
    epochs: int = 0

    def after(self, cost: float) -> "Plateau":
        """One epoch later. A cost below the best, by however little, is the new best (scikit-learn's rule)."""
        epochs = self.epochs + 1 if cost > self.best - self.tol else 0
        return Plateau(self.tol, min(self.best, cost), epochs)


@dataclass(frozen=True)
class Adaptive:
    """The learning rate, divided by ``factor`` after each plateau longer than ``patience`` epochs, down to ``minimum``.

    ``adaptive(learning_rate, plateau)`` is (learning rate, plateau) for the next epoch; the learning rate is None once
    it can't fall any further, which ends training   (scikit-learn's "adaptive").

    Parameters
    ----------
    patience : float
        How many epochs a plateau may last.
    factor : float
        What the learning rate is divided by.
    minimum : float
        The learning rate below which training ends.
    """

    patience: float = 10
    factor: float = 5.0
    minimum: float = 1e-6

    def __call__(self, learning_rate: float, plateau: Plateau) -> tuple[float | None, Plateau]:
        if plateau.epochs <= self.patience:
            return learning_rate, plateau
        if learning_rate <= self.minimum:
            return None, plateau
        return learning_rate / self.factor, replace(plateau, epochs=0)


def _at_least_one(name: str, value: float) -> None:
    if not value >= 1:
        raise ValueError(f"{name} is {value!r}; it must be 1 or more")
