"""Derivatives by central differences: what a gradient is held against that nobody derived."""

from collections.abc import Callable
from typing import Any

import numpy as np

STEP = 0.01
"""h of the differences: with eighth order and float64 they reach 1e-13 of a smooth cost's gradient."""
_COEFFICIENTS = (4 / 5, -1 / 5, 4 / 105, -1 / 280)


def derivative_along(J: Callable[[Any], float], theta: Any, direction: Any, h: float = STEP) -> float:
    """dJ(theta + t direction)/dt at t = 0, of eighth order: the error is h^8 J''''''''' / 630.

    J is asked at eight points of the line, none further than 4 h from theta; theta and direction (n,) are of one kind.
    """
    return (
        sum(c * (J(theta + k * h * direction) - J(theta - k * h * direction)) for k, c in enumerate(_COEFFICIENTS, 1))
        / h
    )


def unit_direction(rng: Any, n: int) -> np.ndarray:
    """A random direction (n,) of length 1, drawn from rng, a NumPy Generator or RandomState."""
    d = rng.normal(size=n)
    return d / np.linalg.norm(d)
