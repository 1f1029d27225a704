"""Initial weights, drawn on the host in float64, so that one seed gives one network everywhere.

``rng`` is a NumPy Generator or RandomState. Each class is a choice that D0 calls the "initialiser".
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

from ..backends import host

__all__ = [
    "BY_NAME",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Normal",
    "Zeros",
    "initializer",
]

Array = Any


@dataclass(frozen=True)
class Zeros:
    """0, the usual start of biases. Hidden units whose weights all start at 0 stay equal and can't learn."""

    def __call__(self, rng: Any, shape: tuple[int, ...], n_in: int, n_out: int) -> Array:
        return host.zeros(shape)


@dataclass(frozen=True)
class Constant:
    """One value everywhere.

    Parameters
    ----------
    value : float
        The value.
    """

    value: float

    def __call__(self, rng: Any, shape: tuple[int, ...], n_in: int, n_out: int) -> Array:
        return host.full(shape, float(self.value))


@dataclass(frozen=True)
class Normal:
    """N(0, std^2).

    Parameters
    ----------
    std : float
        The standard deviation.
    """

    std: float = 0.01

    def __call__(self, rng: Any, shape: tuple[int, ...], n_in: int, n_out: int) -> Array:
        return rng.normal(0.0, self.std, shape)


@dataclass(frozen=True)
class GlorotUniform:
    """U(-r, r), r = sqrt(6 / (n_in + n_out))   (Glorot and Bengio, AISTATS 2010, eq. 16).

    scikit-learn has ``factor`` 2 if the activation is logistic.

    Parameters
    ----------
    factor : float
        r^2 (n_in + n_out).
    """

    factor: float = 6.0

    def __call__(self, rng: Any, shape: tuple[int, ...], n_in: int, n_out: int) -> Array:
        r = sqrt(self.factor / (n_in + n_out))
        return rng.uniform(-r, r, shape)


@dataclass(frozen=True)
class GlorotNormal:
    """N(0, std^2), std = sqrt(2 / (n_in + n_out))   (Glorot and Bengio, AISTATS 2010, eq. 12)."""

    def __call__(self, rng: Any, shape: tuple[int, ...], n_in: int, n_out: int) -> Array:
        return rng.normal(0.0, sqrt(2.0 / (n_in + n_out)), shape)


@dataclass(frozen=True)
class HeUniform:
    """U(-r, r), r = sqrt(6 / n_in)   (He et al., ICCV 2015): for rectified units."""

    def __call__(self, rng: Any, shape: tuple[int, ...], n_in: int, n_out: int) -> Array:
        r = sqrt(6.0 / n_in)
        return rng.uniform(-r, r, shape)


@dataclass(frozen=True)
class HeNormal:
    """N(0, std^2), std = sqrt(2 / n_in)   (He et al., ICCV 2015, eq. 10): for rectified units."""

    def __call__(self, rng: Any, shape: tuple[int, ...], n_in: int, n_out: int) -> Array:
        return rng.normal(0.0, sqrt(2.0 / n_in), shape)


BY_NAME = {
    "zeros": Zeros(),
    "normal": Normal(),
    "glorot_uniform": GlorotUniform(),
    "glorot_normal": GlorotNormal(),
    "he_uniform": HeUniform(),
    "he_normal": HeNormal(),
}


def initializer(given: Any) -> Any:
    """The initializer of this name, or the callable itself.

    Parameters
    ----------
    given : str or callable
        A name of ``BY_NAME``, or a callable ``(rng, shape, n_in, n_out)``.

    Returns
    -------
    callable
    """
    if callable(given):
        return given
    if given in BY_NAME:
        return BY_NAME[given]
    raise ValueError(
        f"initializer is {given!r}; allowed: {', '.join(BY_NAME)}, or a callable (rng, shape, n_in, n_out)"
    )
