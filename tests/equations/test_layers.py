"""Layers: shapes, forward and backward, written out beside them in plain NumPy."""

import pickle

import numpy as np
import pytest

from xpnet.backends import to_numpy
from xpnet.equations.activations import ELU, Sigmoid
from xpnet.equations.initializers import Constant, Normal
from xpnet.equations.layers import Dense, Parameter, PReLU, Training, affine_gradients, column_sum

RTOL = {"float32": 2e-5, "float64": 1e-12}


def test_dense_is_an_affine_map_and_an_activation(library, dtype, rng):
    host = rng.normal(size=(6, 3)), rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(6, 4))
    X, W, b, dA = (library.asarray(a, dtype) for a in host)
    x, w, bias, g = host
    A, backward = Dense(4, "tanh").forward((W, b), X, train=Training())
    a = np.tanh(x @ w + bias)
    dz = g * (1 - a * a)
    dX, (dW, db) = backward(dA)
    for got, expected in ((A, a), (dX, dz @ w.T), (dW, x.T @ dz), (db, dz.sum(axis=0))):
        assert library.owns(got)
        assert got.dtype == X.dtype
        np.testing.assert_allclose(to_numpy(got), expected, rtol=RTOL[dtype], atol=RTOL[dtype])


def test_dense_without_a_bias(library, rng):
    x, w = rng.normal(size=(6, 3)), rng.normal(size=(3, 4))
    X, W = library.asarray(x, "float64"), library.asarray(w, "float64")
    layer = Dense(4, Sigmoid(), bias=False)
    assert layer.shapes((3,)) == ((Parameter("W", (3, 4), "weight"),), (4,))
    A, backward = layer.forward((W,), X, train=Training())
    np.testing.assert_allclose(to_numpy(A), 1 / (1 + np.exp(-x @ w)), rtol=1e-12)
    dX, gradients = backward(A)
    assert dX.shape == (6, 3)
    assert len(gradients) == 1


def test_the_first_layers_input_needs_no_gradient(library, rng):
    X = library.asarray(rng.normal(size=(6, 3)), "float64")
    for layer, shape in ((Dense(4), (3, 4)), (Dense(4, bias=False), (3, 4))):
        params = tuple(library.asarray(rng.normal(size=p.shape), "float64") for p in layer.shapes((3,))[0])
        A, backward = layer.forward(params, X, train=Training())
        with_dX, without = backward(A), backward(A, need_dX=False)
        assert with_dX[0].shape == (6, 3)
        assert without[0] is None
        assert without[1][0].shape == shape
        np.testing.assert_array_equal(to_numpy(without[1][0]), to_numpy(with_dX[1][0]))


def test_dense_shapes():
    parameters, out = Dense(4).shapes((3,))
    assert parameters == (Parameter("W", (3, 4), "weight"), Parameter("b", (4,), "bias"))
    assert out == (4,)


def test_weights_are_drawn_before_biases(rng):
    layer = Dense(4, initializer="he_normal", bias_initializer=Normal(0.5))
    W, b = layer.initial(rng, (3,))
    again = np.random.default_rng(0)
    np.testing.assert_array_equal(W, again.normal(0, np.sqrt(2 / 3), (3, 4)))
    np.testing.assert_array_equal(b, again.normal(0, 0.5, 4))
    W, b = Dense(4).initial(rng, (3,))
    assert np.abs(W).max() <= np.sqrt(6 / 7)
    np.testing.assert_array_equal(b, np.zeros(4))
    assert len(Dense(4, bias=False).initial(rng, (3,))) == 1


@pytest.mark.parametrize("n_out", [0, -1, 2.0, True, "3", None, np.float64(3)])
def test_a_layer_has_a_whole_number_of_units(n_out):
    with pytest.raises(ValueError, match=r"^n_out of Dense is .*; it must be a whole number.*1 or more"):
        Dense(n_out)


def test_a_whole_number_may_be_numpys():
    assert Dense(np.int64(3)).shapes((2,)) == Dense(3).shapes((2,))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Dense(3, "swish"), r"^activation is 'swish'; allowed: linear"),
        (lambda: Dense(3, initializer="best"), r"^initializer is 'best'; allowed: zeros"),
        (lambda: Dense(3, bias_initializer=0.1), r"^initializer is 0.1; allowed: zeros"),
        (lambda: Dense(1, "softmax"), r"^Dense\(1, 'softmax'\): softmax of one unit is the constant 1.*use 'sigmoid'"),
        (
            lambda: Dense(3).shapes((2, 2)),
            r"^Dense takes samples of one dimension, got samples of shape \(2, 2\); resh",
        ),
        (lambda: Dense(3).shapes(()), r"^Dense takes samples of one dimension, got samples of shape \(\); reshape X"),
    ],
)
def test_what_a_layer_refuses(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_layers_are_values():
    for layer in (Dense(3), Dense(3, ELU(0.5), bias=False, initializer=Constant(1.0)), PReLU(), PReLU(0.1)):
        copy = pickle.loads(pickle.dumps(layer))
        assert copy == layer
        assert hash(copy) == hash(layer)
        with pytest.raises(AttributeError):
            layer.n_out = 4


# --- learned slopes


def test_prelu_has_one_slope_a_unit(library, dtype, rng):
    x, slopes, g = rng.normal(size=(6, 3)), np.array([0.25, -0.5, 2.0]), rng.normal(size=(6, 3))
    x[0] = [0.0, -0.0, 0.0]
    X, alpha, dA = (library.asarray(a, dtype) for a in (x, slopes, g))
    A, backward = PReLU().forward((alpha,), X, train=Training())
    dX, (dalpha,) = backward(dA)
    np.testing.assert_allclose(to_numpy(A), np.where(x >= 0, x, slopes * x), rtol=RTOL[dtype])
    np.testing.assert_allclose(to_numpy(dX), np.where(x >= 0, g, slopes * g), rtol=RTOL[dtype])
    expected = np.where(x < 0, g * x, 0.0).sum(axis=0)
    np.testing.assert_allclose(to_numpy(dalpha), expected, rtol=RTOL[dtype], atol=1e-6)


def test_prelus_slopes_are_neither_weights_nor_biases(rng):
    parameters, out = PReLU().shapes((3,))
    assert parameters == (Parameter("alpha", (3,), "other"),)
    assert out == (3,)
    np.testing.assert_array_equal(PReLU(0.1).initial(rng, (3,))[0], np.full(3, 0.1))


# --- column sums


@pytest.mark.parametrize("m", [1, 2, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 1088, 4096, 5000, 70001])
def test_column_sums(m, rng):
    Z = rng.integers(-8, 8, (m, 3)).astype(np.float64)
    np.testing.assert_array_equal(column_sum(Z), Z.sum(axis=0))
    np.testing.assert_array_equal(column_sum(np.asfortranarray(Z)), Z.sum(axis=0))


@pytest.mark.parametrize("m", [5, 1500])
def test_column_sums_in_every_library(library, dtype, rng, m):
    z = rng.integers(-8, 8, (m, 3))
    sums = column_sum(library.asarray(z, dtype))
    assert library.owns(sums)
    np.testing.assert_array_equal(to_numpy(sums), z.sum(axis=0))


def test_column_sums_stay_accurate_over_very_many_rows(rng):
    """One row after the other, float32 would be off by 3e-5."""
    Z = rng.uniform(0.5, 1.0, (1 << 19, 2)).astype(np.float32)
    np.testing.assert_allclose(column_sum(Z), Z.sum(axis=0, dtype=np.float64), rtol=2e-6)
    np.testing.assert_array_equal(column_sum(np.full((1 << 22, 1), 1.25, np.float32)), [1.25 * (1 << 22)])


def test_affine_gradients_leave_out_what_is_not_needed(rng):
    X, W, dZ = rng.normal(size=(6, 3)), rng.normal(size=(3, 4)), rng.normal(size=(6, 4))
    dX, dW, db = affine_gradients(X, W, None, dZ, False)
    assert dX is None
    assert db is None
    np.testing.assert_allclose(dW, X.T @ dZ, rtol=1e-12)
