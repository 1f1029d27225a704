"""Derivatives by central differences, for tests: ``from gradients import assert_is_gradient``."""

import numpy as np

from xpnet.inspection.central_differences import STEP, derivative_along, unit_direction


def smooth_line(signs, draw, rng):
    """A point that ``draw()`` gives and a unit direction: on the line J is asked along, ``signs(theta)`` never changes.

    ``signs`` gives an array of bools. A function with kinks (ReLU, |w|) has its gradient for a slope only between them.
    """
    for _ in range(2000):
        theta = draw()
        d = unit_direction(rng, theta.size)
        here = signs(theta)
        if all(np.array_equal(signs(theta + t * d), here) for t in np.linspace(-4 * STEP, 4 * STEP, 17)):
            return theta, d
    raise AssertionError("every line crosses a kink: take fewer samples or units")


def assert_is_gradient(J, theta, g, direction, rtol=1e-12):
    """g is J's gradient at theta along this direction, to rtol times g's norm."""
    error = abs(derivative_along(J, theta, direction) - float(g @ direction)) / np.linalg.norm(g)
    assert error <= rtol, f"off by {error:.1e} of the gradient's norm"
