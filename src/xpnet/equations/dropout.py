"""Dropout, and the counter hash that draws its masks: a function of seed, step, layer and position, on every library.

The masks need no generator, no state and nothing from the host, so a recorded step draws new ones each time it runs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..backends import array_namespace, device
from . import plain_numbers
from .layers import Parameter, Shape, Training

Array = Any

_A, _B, _C = 31743, 28607, 25411
"""Multipliers below 2^15: products with 16 bits stay within int32, which every library has."""


@dataclass(frozen=True)
class Dropout:
    """Units that are left out at random in training.

    ``keep`` is 0 with probability ``rate``, else 1, for each unit of each sample. In prediction A = X.

    Parameters
    ----------
    rate : float
        The probability of leaving a unit out, at least 0 and below 1.
    """

    rate: float = 0.5

    equation = "A = X keep / (1 - rate) in training, A = X in prediction"
    source = "Srivastava et al., JMLR 2014, section 4, in the form that scales while training"

    is_stochastic = True
    """The initial state of training has a random seed if a layer has this attribute."""

    def __post_init__(self) -> None:
        plain_numbers(self)
        if not 0.0 <= self.rate < 1.0:
            raise ValueError(f"rate of Dropout is {self.rate!r}; it must be at least 0 and below 1, such as 0.5")

    def shapes(self, in_shape: Shape) -> tuple[tuple[Parameter, ...], Shape]:
        """No parameters, and the input's own shape."""
        return (), in_shape

    def initial(self, rng: Any, in_shape: Shape) -> tuple[Array, ...]:
        """Nothing."""
        return ()

    def forward(self, params: tuple[Array, ...], X: Array, train: Training | None = None) -> tuple[Array, Callable]:
        """X * keep / (1 - rate) if ``train`` has a key, otherwise X itself; and its backward."""
        if train is None or train.key is None or self.rate == 0.0:
            return X, lambda dA, need_dX=True: (dA, ())
        xp = array_namespace(X)
        row, column = places(X, train.key, train.layer)
        keep = xp.astype(mixed(row, column) >= int(self.rate * (_C << 16)), X.dtype)
        scale = 1.0 / (1.0 - self.rate)
        return X * keep * scale, lambda dA, need_dX=True: (dA * keep * scale if need_dX else None, ())


def mixed(row: Array, column: Array) -> Array:
    """A hash of two hashes, int32, from 0 to below _C 2^16."""
    x = carried(row ^ column, _A)
    x = carried(x ^ (x >> 15), _B)
    return carried(x ^ (x >> 12), _C)


def places(X: Array, key: Any, layer: int) -> tuple[Array, Array]:
    """Hashes of X's rows (m, 1, ...) and of its columns, X.shape[1:], in this step and layer: int32, 0 or more."""
    xp = array_namespace(X)
    key = int(key) if isinstance(key, float) else xp.astype(key, xp.int32)
    m, *rest = X.shape
    rows, columns = (xp.arange(n, dtype=xp.int32, device=device(X)) for n in (m, math.prod(rest)))
    row, column = hashed(rows, key, 2 * layer), hashed(columns, key, 2 * layer + 1)
    return xp.reshape(row, (m, *[1] * len(rest))), xp.reshape(column, tuple(rest))


def hashed(positions: Array, key: Any, salt: int) -> Array:
    """A hash of position, key (a whole number below 2^24) and salt, int32, from 0 to below 2^31."""
    x = carried(carried(positions ^ 0x1B873593, _A), _B)
    x = carried(x ^ (x >> 13) ^ key, _C)
    x = carried(x ^ (x >> 11), _A)
    x = carried(x ^ (x >> 15) ^ salt, _B)
    return carried(x ^ (x >> 13), _C)


def carried(x: Array, a: int) -> Array:
    """a (x mod 2^16) + floor(x / 2^16), for 0 <= x < 2^31: multiplication modulo 2^16 a - 1 (Marsaglia's
    multiply-with-carry, 1994), which permutes the numbers below it.
    """
    return (x & 0xFFFF) * a + (x >> 16)


def step_key(seed: int, t: int) -> float:
    """A whole number below 2^24, exact in float32, and different for each of a run's first 2^24 steps t = 0, 1, ..."""
    return float((seed + 0x9E3779 * t) % (1 << 24))


def draw_seed(rng: Any) -> int:
    """A seed for the masks, from a NumPy Generator or RandomState."""
    return int(rng.random() * (1 << 24))
