"""Dropout: the same masks on every library, fair and unrelated ones, and a gradient that is the masked cost's."""

import pickle
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from gradients import assert_is_gradient, unit_direction

from xpnet import Adam, Dense, Dropout, GradientDescent, Model, Sequential, epochs
from xpnet.backends import to_numpy
from xpnet.equations.dropout import step_key
from xpnet.equations.layers import Training


def masks(rate, shape, keys, layer=1, asarray=np.asarray, dtype="float64"):
    """The masks of these steps' keys, (n_keys, *shape), as 0 and 1."""
    ones = asarray(np.ones(shape, dtype))
    forward = Dropout(rate).forward
    return np.stack([to_numpy(forward((), ones, Training(key, layer))[0]) > 0.0 for key in keys])


KEYS = [step_key(7, t) for t in range(200)]


def test_masks_are_the_same_on_every_library(library, dtype):
    ours = masks(0.3, (33, 17), KEYS[:3], asarray=library.asarray, dtype=dtype)
    assert (ours == masks(0.3, (33, 17), KEYS[:3])).all()
    assert not ours.all()
    assert ours.any()


def test_masks_do_not_change_from_release_to_release():
    # Drawn once, and written down: a saved run must resume with its own masks.
    found = masks(0.5, (3, 8), [step_key(7, 2)])[0].astype(int)
    assert ["".join(map(str, row)) for row in found] == MASK


MASK = ["01100001", "11101100", "10101001"]


def test_a_key_as_an_array_without_dimensions_is_the_same_key(library):
    X = library.asarray(np.ones((5, 4)))
    as_number, as_array = (
        Dropout().forward((), X, Training(key, 2))[0] for key in (9.0, library.asarray(np.float32(9.0)))
    )
    assert (to_numpy(as_number) == to_numpy(as_array)).all()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_as_many_are_dropped_as_the_rate_says(rate):
    kept = masks(rate, (100, 64), KEYS)
    for axes in ((0, 1, 2), (0, 1), (0, 2), (1, 2), (0,)):
        n = np.prod([kept.shape[a] for a in axes])
        z = (kept.mean(axis=axes) - (1.0 - rate)) / np.sqrt(rate * (1.0 - rate) / n)
        assert np.abs(z).max() < 5.5
        if z.size > 100:
            assert abs(z.std() - 1.0) < 6.0 / np.sqrt(2 * z.size)


def test_masks_of_rows_columns_steps_layers_and_rectangles_are_unrelated():
    signs = masks(0.5, (100, 64), KEYS) * 2.0 - 1.0
    other_layer = masks(0.5, (100, 64), KEYS, layer=2) * 2.0 - 1.0

    def z(product):
        return abs(product.mean()) * np.sqrt(product.size)

    assert z(signs * other_layer) < 5.0
    assert z(signs[1:] * signs[:-1]) < 5.0
    assert z(signs[:, 1:] * signs[:, :-1]) < 5.0
    assert z(signs[..., 1:] * signs[..., :-1]) < 5.0
    # Were a mask a plain exclusive or of a row's and a column's bits, these four would always multiply to 1.
    assert z(signs[:, 1:, 1:] * signs[:, 1:, :-1] * signs[:, :-1, 1:] * signs[:, :-1, :-1]) < 5.0
    for pairs in ("tmn,tmk->nk", "tmn,tkn->mk", "tmn,smn->ts"):
        related = np.einsum(pairs, signs, signs)
        related /= np.sqrt(signs.size / len(related))
        np.fill_diagonal(related, 0.0)
        assert np.abs(related).max() < 5.5


def test_keys_differ_for_millions_of_steps_and_are_exact_in_float32():
    keys = [step_key(123, t) for t in range(100_000)]
    assert len(set(keys)) == len(keys)
    assert all(np.float32(key) == key and 0 <= key < 2**24 for key in keys)


def test_what_is_kept_is_scaled_and_prediction_drops_nothing():
    X = np.full((50, 40), 3.0)
    A, backward = Dropout(0.25).forward((), X, Training(5.0, 0))
    assert set(np.unique(A)) == {0.0, 4.0}
    dX, nothing = backward(np.full((50, 40), 1.5))
    assert nothing == ()
    np.testing.assert_array_equal(dX, A / 2.0)
    assert Dropout(0.25).forward((), X)[0] is X
    assert Dropout(0.25).forward((), X, Training())[0] is X
    assert Dropout(0.0).forward((), X, Training(5.0, 0))[0] is X


def test_samples_of_several_dimensions():
    kept = masks(0.5, (6, 4, 5), KEYS[:1])[0]
    assert (kept.reshape(6, 20) == masks(0.5, (6, 20), KEYS[:1])[0]).all()


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan"), "half"])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(ValueError, match=r"rate of Dropout"):
        Dropout(rate)


MODEL = Model(
    Sequential(Dropout(0.2), Dense(9, "tanh"), Dropout(0.5), Dense(7, "sigmoid"), Dropout(0.3), Dense(3)),
    loss="cross_entropy",
    l2=0.01,
)


@pytest.fixture
def data(rng):
    return rng.normal(size=(21, 4)), np.eye(3)[rng.integers(0, 3, 21)]


def test_the_gradient_is_that_of_the_cost_with_the_same_masks(data, rng):
    X, Y = data
    theta = MODEL.draw(rng, 4)
    train = Training(step_key(3, 4))
    g, _, _ = MODEL.sums(theta, X, Y, train=train)
    for _ in range(5):
        assert_is_gradient(
            lambda t: float(MODEL.sums(t, X, Y, train=train)[1]),
            theta,
            g,
            unit_direction(rng, theta.size),
        )


def test_training_is_the_same_on_every_library_and_resumes(library, data):
    def run(asarray, n, state=None):
        X, Y = map(asarray, data)
        state = state or MODEL.initial(np.random.default_rng(1), 4, Adam(0.01))
        return next(islice(epochs(MODEL, state, X, Y, batch_size=8, rng=np.random.default_rng(2)), n - 1, None))[0]

    state = run(library.asarray, 6)
    np.testing.assert_allclose(to_numpy(state.theta), run(np.asarray, 6).theta, rtol=1e-9, atol=1e-12)
    start = MODEL.initial(np.random.default_rng(1), 4, Adam(0.01))
    passes = epochs(MODEL, start, *map(library.asarray, data), batch_size=8, shuffle=False)
    half, _ = next(islice(passes, 2, None))
    half = replace(half, theta=to_numpy(half.theta), slots=tuple(map(to_numpy, half.slots)))
    rest = epochs(MODEL, pickle.loads(pickle.dumps(half)), *map(library.asarray, data), batch_size=8, shuffle=False)
    np.testing.assert_array_equal(to_numpy(next(rest)[0].theta), to_numpy(next(passes)[0].theta))


def test_a_seed_is_drawn_if_there_are_masks(data, rng):
    X, Y = data
    assert Model(Sequential(Dense(1))).initial(rng, 4, GradientDescent()).seed == 0
    start = MODEL.initial(np.random.default_rng(0), 4, GradientDescent(0.1))
    assert start.seed == MODEL.initial(np.random.default_rng(0), 4, GradientDescent(0.1)).seed
    assert start.seed != MODEL.initial(np.random.default_rng(1), 4, GradientDescent(0.1)).seed
    of_seeds = [next(epochs(MODEL, replace(start, seed=seed), X, Y))[1] for seed in (1, 2)]
    assert of_seeds[0] != of_seeds[1]


def test_the_mean_over_many_masks_is_the_prediction(rng):
    X = rng.normal(size=(10, 6))
    mean = np.mean([Dropout(0.4).forward((), X, Training(step_key(0, t), 0))[0] for t in range(20_000)], axis=0)
    np.testing.assert_allclose(mean, X, atol=0.05)


def test_the_cost_without_a_key_is_predictions(data, rng):
    X, Y = data
    theta = MODEL.draw(rng, 4)
    A = MODEL.predict(theta, X)
    penalty = 0.005 * (theta[: MODEL.layout(4).n_weights] ** 2).sum()
    assert MODEL.cost(theta, X, Y) == pytest.approx(-np.log(A[Y > 0]).mean() + penalty, rel=1e-12)
