"""Clipping: the norm of a gradient, and the factor that bounds it."""

import numpy as np
import pytest

from xpnet.backends import to_numpy
from xpnet.equations.clipping import clipping_scale, euclidean_norm


@pytest.mark.parametrize(("norm", "scale"), [(10.0, 1.0), (5.0, 1.0), (2.5, 0.5), (0.05, 0.01)])
def test_long_gradients_are_clipped(library, dtype, norm, scale):
    g = library.asarray([3.0, 0.0, -4.0], dtype)
    assert float(clipping_scale(euclidean_norm(g), norm)) == pytest.approx(scale, rel=1e-6)


def test_a_gradient_whose_norm_overflows_when_squared_is_clipped_too(library, dtype):
    g = library.asarray([3e25, 0.0, -4e25] if dtype == "float32" else [3e200, 0.0, -4e200], dtype)
    clipped = to_numpy(g * clipping_scale(euclidean_norm(g), 0.5))
    np.testing.assert_allclose(clipped, [0.3, 0.0, -0.4], rtol=1e-5)


def test_a_gradient_of_zero_stays(library, dtype):
    assert float(clipping_scale(euclidean_norm(library.asarray([0.0, 0.0], dtype)), 1e-3)) == 1.0
