"""Initial weights: their ranges, their spread, and one seed for one network."""

import numpy as np
import pytest

from xpnet.equations.initializers import (
    BY_NAME,
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Normal,
    Zeros,
    initializer,
)

N_IN, N_OUT = 300, 200
SHAPE = (N_IN, N_OUT)


@pytest.mark.parametrize(
    ("kind", "bound"),
    [
        (GlorotUniform(), np.sqrt(6 / (N_IN + N_OUT))),
        (GlorotUniform(factor=2.0), np.sqrt(2 / (N_IN + N_OUT))),
        (HeUniform(), np.sqrt(6 / N_IN)),
    ],
    ids=repr,
)
def test_uniform_draws_fill_their_range_evenly(kind, bound, rng):
    W = kind(rng, SHAPE, N_IN, N_OUT)
    assert W.shape == SHAPE
    assert W.dtype == np.float64
    assert np.abs(W).max() <= bound
    assert np.abs(W).max() > 0.999 * bound
    assert abs(W.mean()) < 4 * bound / np.sqrt(3 * W.size)
    assert W.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)


@pytest.mark.parametrize(
    ("kind", "std"),
    [
        (Normal(), 0.01),
        (Normal(0.5), 0.5),
        (GlorotNormal(), np.sqrt(2 / (N_IN + N_OUT))),
        (HeNormal(), np.sqrt(2 / N_IN)),
    ],
    ids=repr,
)
def test_normal_draws_have_their_spread(kind, std, rng):
    W = kind(rng, SHAPE, N_IN, N_OUT)
    assert W.shape == SHAPE
    assert W.dtype == np.float64
    assert W.std() == pytest.approx(std, rel=0.01)
    assert abs(W.mean()) < 4 * std / np.sqrt(W.size)
    assert (np.abs(W) > 2 * std).mean() == pytest.approx(0.0455, abs=0.005)


def test_zeros_and_constants_draw_nothing(rng):
    before = rng.bit_generator.state
    np.testing.assert_array_equal(Zeros()(rng, (3, 2), 3, 2), np.zeros((3, 2)))
    np.testing.assert_array_equal(Constant(0.25)(rng, (4,), 3, 2), np.full(4, 0.25))
    assert rng.bit_generator.state == before
    assert Constant(1)(rng, (4,), 3, 2).dtype == np.float64


@pytest.mark.parametrize("source", [np.random.default_rng, np.random.RandomState])
@pytest.mark.parametrize("name", BY_NAME)
def test_one_seed_gives_one_draw(name, source):
    first, again, other = (initializer(name)(source(seed), (5, 4), 5, 4) for seed in (1, 1, 2))
    assert first.shape == (5, 4)
    np.testing.assert_array_equal(first, again)
    assert name == "zeros" or not np.array_equal(first, other)


def test_fan_in_and_fan_out_are_those_given(rng):
    b = GlorotUniform()(rng, (1000,), N_IN, N_OUT)
    assert np.abs(b).max() <= np.sqrt(6 / (N_IN + N_OUT))


def test_names_stand_for_objects():
    for name, kind in BY_NAME.items():
        assert initializer(name) is kind
    assert initializer(len) is len


@pytest.mark.parametrize("given", ["glorot", "", None, 0.1])
def test_other_names_are_refused(given):
    with pytest.raises(ValueError, match=r"^initializer is .*; allowed: zeros, normal, .*or a callable \(rng, shape"):
        initializer(given)
