"""The observer sees what passes through layers, activations, loss and optimizer, and changes nothing."""

import threading

import numpy as np
import pytest

from xpnet import Adam, Dense, Dropout, Model, PReLU, Sequential
from xpnet.inspection.observer import WatchedOptimizer, watched_model, watching

RNG = np.random.default_rng(0)
X, Y, W = RNG.normal(size=(5, 3)), np.eye(2)[[0, 1, 1, 0, 1]], RNG.uniform(0.5, 2.0, 5)
MODEL = Model(Sequential(Dense(4, "tanh"), PReLU(), Dropout(0.5), Dense(2)), "cross_entropy", l2=0.1)
THETA = MODEL.draw(RNG, 3)


def seen_at(theta):
    with watching() as seen:
        found = watched_model(MODEL).cost_and_gradient(theta, X, Y, W)
    return seen, found


def test_results_are_those_of_the_model_itself():
    _, (cost, gradient) = seen_at(THETA)
    expected_cost, expected = MODEL.cost_and_gradient(THETA, X, Y, W)
    assert cost == expected_cost
    assert gradient.tobytes() == expected.tobytes()


def test_everything_is_seen():
    seen, _ = seen_at(THETA)
    (W1, b1), (alpha,), (), (W4, b4) = MODEL.layout(3).unpack(THETA)
    Z1 = X @ W1 + b1
    np.testing.assert_allclose(seen["Z", 1], Z1)
    np.testing.assert_allclose(seen["A", 1], np.tanh(Z1))
    np.testing.assert_allclose(seen["X", 4], seen["A", 3])
    np.testing.assert_allclose(seen["A", 4], seen["A", 3] @ W4 + b4)
    np.testing.assert_allclose(seen["dZ", 4], W[:, None] * (seen["A", 0] - Y))
    np.testing.assert_allclose(seen["dX", 4], seen["dA", 3])
    np.testing.assert_allclose(seen["gradients", 4][1], seen["dZ", 4].sum(axis=0))
    np.testing.assert_allclose(seen["loss_sum", 0], (W[:, None] * seen["L", 0]).sum())
    assert seen["weight_sum", 0] == W.sum()
    assert ("Z", 2) not in seen  # PReLU has no activation inside
    assert seen["params", 2][0] is not None
    assert np.array_equal(seen["params", 2][0], alpha)


def test_an_optimizer_reports_its_update():
    rule, theta = Adam(0.1), np.ones(3)
    watched = WatchedOptimizer(0.1, rule)
    slots = np.zeros(3), np.zeros(3)
    with watching() as seen:
        scalars = watched.scalars(2, 0.1)
        new = watched.update(theta, np.arange(3.0), slots, scalars)
    assert (seen["t", 0], seen["rate", 0]) == (2, 0.1)
    assert seen["scalars", 0] == rule.scalars(2, 0.1)
    for ours, expected in zip(new, rule.update(theta, np.arange(3.0), slots, scalars), strict=True):
        assert np.array_equal(ours, expected)
    assert watched.slots == 2


def test_nothing_is_kept_in_the_wrappers_or_after_the_block():
    assert watched_model(MODEL) == watched_model(MODEL)
    seen_at(THETA)
    with pytest.raises(LookupError):
        watched_model(MODEL).cost_and_gradient(THETA, X, Y)


def test_blocks_see_their_own_in_turn_and_in_threads():
    with watching() as outer:
        seen, _ = seen_at(THETA)
        assert not outer
    found = {}

    def run(scale):
        found[scale] = seen_at(scale * THETA)[0]["A", 4]

    threads = [threading.Thread(target=run, args=(scale,)) for scale in (1.0, 2.0, 3.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(found[1.0], seen["A", 4])
    assert not np.array_equal(found[2.0], found[3.0])
