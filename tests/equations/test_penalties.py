"""Penalties: their values, their gradients, and on which parameters they act."""

import numpy as np
import pytest

from xpnet.backends import to_numpy
from xpnet.equations.layers import Dense, PReLU
from xpnet.equations.penalties import add_penalty, cost_gradient, penalty
from xpnet.model import Model
from xpnet.network import Sequential

W = np.array([0.5, -2.0, 0.0, 3.0])
G = np.array([1.0, 1.0, -1.0, 0.5])


@pytest.mark.parametrize("l1", [None, 0.3])
@pytest.mark.parametrize("l2", [None, 0.2])
def test_penalty_and_gradient(library, dtype, l1, l2):
    w, g = library.asarray(W, dtype), library.asarray(G, dtype)
    value = (l1 or 0) * 5.5 + (l2 or 0) / 2 * 13.25
    assert float(penalty(w, l1, l2)) == pytest.approx(value, rel=1e-6)
    expected = 0.25 * G + (l1 or 0) * np.sign(W) + (l2 or 0) * W
    for n_weights in (4, 3, 0):
        gradient = cost_gradient(g, w, n_weights, 0.25, l1, l2)
        assert library.owns(gradient)
        assert gradient.dtype == w.dtype
        np.testing.assert_allclose(to_numpy(gradient)[:n_weights], expected[:n_weights], rtol=1e-6)
        np.testing.assert_allclose(to_numpy(gradient)[n_weights:], 0.25 * G[n_weights:], rtol=1e-6)


def test_lambda_is_added_after_c():
    np.testing.assert_allclose(cost_gradient(G, W, 4, 0.0, 0.3, 0.2), 0.3 * np.sign(W) + 0.2 * W)
    np.testing.assert_array_equal(add_penalty(G, W, None, None), G)


def test_numbers_and_arrays_without_dimensions_are_alike(library, dtype):
    w, g = library.asarray(W, dtype), library.asarray(G, dtype)
    c, l1, l2 = (library.xp.sum(library.asarray([x], dtype)) for x in (0.25, 0.5, 2.0))
    np.testing.assert_array_equal(
        to_numpy(cost_gradient(g, w, 4, c, l1, l2)), to_numpy(cost_gradient(g, w, 4, 0.25, 0.5, 2.0))
    )
    assert float(penalty(w, l1, l2)) == float(penalty(w, 0.5, 2.0))


def test_no_penalty_is_a_plain_zero():
    assert penalty(W, None, None) == 0.0


def test_the_sign_of_zero_is_zero():
    for zero in (0.0, -0.0):
        np.testing.assert_array_equal(cost_gradient(np.zeros(1), np.array([zero]), 1, 1.0, 0.3, None), [0.0])


def test_the_gradient_is_the_penaltys(rng):
    w = rng.normal(size=5)
    for i in range(5):
        step = np.zeros(5)
        step[i] = 1e-6
        slope = (penalty(w + step, 0.3, 0.2) - penalty(w - step, 0.3, 0.2)) / 2e-6
        assert cost_gradient(np.zeros(5), w, 5, 1.0, 0.3, 0.2)[i] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_penalties_act_on_weights_alone(library, rng, reduction):
    network = Sequential(Dense(4, "tanh", bias_initializer="normal"), PReLU(), Dense(2, bias_initializer="normal"))
    X, Y = library.asarray(rng.normal(size=(5, 3)), "float64"), library.asarray(rng.normal(size=(5, 2)), "float64")
    plain, penalised = (Model(network, reduction=reduction, l1=l1, l2=l2) for l1, l2 in ((0.0, 0.0), (0.3, 0.2)))
    layout = plain.layout(3)
    theta = rng.normal(size=layout.n_parameters)
    w = theta[: layout.n_weights]
    (cost, g), (penalised_cost, penalised_g) = (model.cost_and_gradient(theta, X, Y) for model in (plain, penalised))
    assert penalised_cost - cost == pytest.approx(0.3 * np.abs(w).sum() + 0.1 * w @ w, rel=1e-12)
    difference = to_numpy(penalised_g) - to_numpy(g)
    np.testing.assert_allclose(difference[: w.size], 0.3 * np.sign(w) + 0.2 * w, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(difference[w.size :], 0.0)


def test_a_network_without_weights_has_no_penalty(rng):
    X, Y, theta = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), np.full(3, 0.3)
    plain, penalised = Model(Sequential(PReLU())), Model(Sequential(PReLU()), l1=0.3, l2=0.2)
    assert penalised.cost(theta, X, Y) == plain.cost(theta, X, Y)
    np.testing.assert_array_equal(penalised.cost_and_gradient(theta, X, Y)[1], plain.cost_and_gradient(theta, X, Y)[1])


def test_lambda_may_be_scaled_with_the_cost(rng):
    """scikit-learn's alpha: lambda is alpha over the sum of the sample weights."""
    X, Y, w = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.uniform(1, 2, 5)
    network = Sequential(Dense(2))
    theta = rng.normal(size=8)
    scaled = Model(network, l1=0.4, l2=0.3, scale_penalty=True)
    for weights, total in ((None, 5.0), (w, w.sum())):
        plain = Model(network, l1=0.4 / total, l2=0.3 / total)
        assert scaled.cost(theta, X, Y, weights) == pytest.approx(plain.cost(theta, X, Y, weights), rel=1e-12)
        np.testing.assert_allclose(
            scaled.cost_and_gradient(theta, X, Y, weights)[1],
            plain.cost_and_gradient(theta, X, Y, weights)[1],
            rtol=1e-12,
        )
