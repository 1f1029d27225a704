"""D3: Savoga, "Neural Network".

Logistic regression on flattened images: mean binary cross-entropy, full batch, the cost of every iteration; then two
layers. The document's columns are samples: its X is our X transposed.
"""

import math
from itertools import islice

import numpy as np
import pytest

from xpnet import Dense, GradientDescent, Model, Sequential, State, epochs


def logistic_regression():
    """S3a: the sigmoid comes with the loss."""
    return Model(Sequential(Dense(1, initializer="zeros")), loss="binary_cross_entropy")


def two_layers(h):
    """S3b."""
    return Model(Sequential(Dense(h, "sigmoid"), Dense(1)), loss="binary_cross_entropy")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def propagate(w, b, X, Y):
    """The document's function with its bracket closed and its results returned; X (n, m), Y (1, m), w (n, 1)."""
    m = X.shape[1]
    A = sigmoid(np.dot(w.T, X) + b)
    cost = (-1 / m) * np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    return {"dw": (1 / m) * np.dot(X, (A - Y).T), "db": (1 / m) * np.sum(A - Y)}, cost


def descend(w, b, X, Y, learning_rate, num_iterations):
    """The document's loop: (w, b, cost) of every iteration, the cost being that before the update."""
    for _ in range(num_iterations):
        grads, cost = propagate(w, b, X, Y)
        w = w - learning_rate * grads["dw"]
        b = b - learning_rate * grads["db"]
        yield w, b, cost


def flattened(images):
    """Each image as one row of pixels."""
    return images.reshape(images.shape[0], -1)


# One layer


def test_the_printed_program(images, library, dtype, same):
    n = 100 if library.name != "jax" else 30
    X, y, rate, model = flattened(images.X), images.y, 0.5, logistic_regression()
    start = model.initial(np.random.default_rng(0), 64, GradientDescent(rate))
    ours = islice(epochs(model, start, library.asarray(X, dtype), library.asarray(y, dtype)), n)
    printed = descend(np.zeros((64, 1)), 0.0, X.T, y[None, :], rate, n)
    for i, ((state, cost), (w, b, printed_cost)) in enumerate(zip(ours, printed, strict=True), 1):
        ((W_, b_),) = model.layout(64).unpack(state.theta)
        same(W_, w, f"w after {i} iterations")
        same(b_, [b], f"b after {i} iterations")
        same(library.asarray(cost), printed_cost, f"cost of iteration {i}")
    assert i == n


def test_s3a_learns_images(images, library, dtype, train, predict, rng):
    model = logistic_regression()
    theta, costs = train(model, model.initial(rng, 64, GradientDescent(0.5)), flattened(images.X), images.y)
    assert len(costs) == 30
    assert costs[0] == pytest.approx(math.log(2), rel=1e-6)  # all weights 0: every probability is 1/2
    assert np.all(np.diff(costs) < 0)
    assert costs[-1] < 0.35
    p = predict(model, theta, flattened(images.X_test))[:, 0]
    assert np.all((p > 0) & (p < 1))
    assert np.mean((p >= 0.5) == images.y_test) >= 0.93


def test_a_probability_of_one_half_is_class_1(library, dtype):
    model = logistic_regression()
    p = model.predict(library.asarray([1.0, -1.0, 0.0], dtype), library.asarray([[2, 2], [2, 2.1], [2.1, 2]], dtype))
    assert list(library.to_numpy(p)[:, 0] >= 0.5) == [True, False, True]


def test_the_loss_grows_with_the_error():
    """-[y log yhat + (1 - y) log(1 - yhat)] of one sample: 0 at y = yhat."""
    model = logistic_regression()
    for z in (-3.0, 0.0, 2.0):
        yhat = 1 / (1 + math.exp(-z))
        for y in (0.0, 1.0):
            printed = -(y * math.log(yhat) + (1 - y) * math.log(1 - yhat))
            assert model.cost(np.asarray([z, 0.0]), [[1.0]], [y]) == pytest.approx(printed, rel=1e-13)
    nearer = [model.cost(np.asarray([z, 0.0]), [[1.0]], [1.0]) for z in (-1.0, 0.0, 1.0, 5.0)]
    assert np.all(np.diff(nearer) < 0)


def test_the_derivation_step_by_step(rng, numerical_gradient, distance):
    """dL/da = (a - y) / (a (1 - a)); da/dz = a (1 - a); dL/dw = (a - y) x; dL/db = a - y."""
    x, y, theta = rng.normal(size=3), 1.0, rng.normal(size=4)
    a = sigmoid(x @ theta[:3] + theta[3])
    dL_da, da_dz = (1 - y) / (1 - a) - y / a, (1 - a) * a
    assert dL_da == pytest.approx((a - y) / (a * (1 - a)))
    printed = np.asarray([*(dL_da * da_dz * x), dL_da * da_dz])
    exact = numerical_gradient(lambda theta: -math.log(sigmoid(x @ theta[:3] + theta[3])), theta)
    assert distance(printed, exact) < 1e-12
    assert distance([*((a - y) * x), a - y], exact) < 1e-12
    _, ours = logistic_regression().cost_and_gradient(theta, x[None, :], [y])
    assert distance(ours, exact) < 1e-12


# Two layers


def two_layer_gradients(X, Y, W1, b1, W2, b2):
    """The document's two layers, corrected: columns are samples, X (n, m), Y (1, m), W1 (h, n), W2 (1, h), b (., 1).

    The mean over the samples as in its one layer; dW1 = [W2^T (a2 - y) * a1 (1 - a1)] x^T.
    """
    m = X.shape[1]
    a1 = sigmoid(W1 @ X + b1)
    a2 = sigmoid(W2 @ a1 + b2)
    dz2 = a2 - Y
    dz1 = (W2.T @ dz2) * ((1 - a1) * a1)
    cost = -np.mean(Y * np.log(a2) + (1 - Y) * np.log(1 - a2))
    return (
        cost,
        (dz1 @ X.T / m, dz1.sum(axis=1, keepdims=True) / m),
        (dz2 @ a1.T / m, dz2.sum(axis=1, keepdims=True) / m),
    )


@pytest.fixture
def numbers(rng):
    """(X, Y, W1, b1, W2, b2) with samples as columns: n = 3, h = 4, m = 5."""
    return (
        rng.normal(size=(3, 5)),
        np.asarray([[0.0, 1.0, 1.0, 0.0, 1.0]]),
        rng.normal(size=(4, 3)),
        rng.normal(size=(4, 1)),
        rng.normal(size=(1, 4)),
        rng.normal(size=(1, 1)),
    )


def packed(model, W1, b1, W2, b2):
    return model.layout(W1.shape[1]).pack(((W1.T, b1[:, 0]), (W2.T, b2[:, 0])))


def test_two_layers(numbers, library, dtype, same):
    X, Y, *parameters = numbers
    J, *layers = two_layer_gradients(X, Y, *parameters)
    model, rate = two_layers(4), 0.3
    start = State(packed(model, *parameters), (), GradientDescent(rate), rate)
    X_, Y_ = library.asarray(X.T, dtype), library.asarray(Y.T, dtype)
    cost, gradient = model.cost_and_gradient(library.asarray(start.theta, dtype), X_, Y_)
    same(library.asarray(cost), J, "J")
    state, _ = next(epochs(model, start, X_, Y_))
    updated = model.layout(3).unpack(state.theta)
    for k, (dW, db) in enumerate(model.layout(3).unpack(gradient)):
        same(dW, layers[k][0].T, f"dW[{k + 1}]")
        same(db, layers[k][1][:, 0], f"db[{k + 1}]")
        same(updated[k][0], (parameters[2 * k] - rate * layers[k][0]).T, f"W[{k + 1}]")
        same(updated[k][1], (parameters[2 * k + 1] - rate * layers[k][1])[:, 0], f"b[{k + 1}]")


def test_s3b_learns_images(images, library, dtype, train, predict, rng):
    model = two_layers(12)
    theta, costs = train(model, model.initial(rng, 64, GradientDescent(1.0)), flattened(images.X), images.y, n=40)
    assert costs[-1] < 0.5 * costs[0]
    p = predict(model, theta, flattened(images.X_test))[:, 0]
    assert np.mean((p >= 0.5) == images.y_test) >= 0.9


# Errata


def test_erratum_propagate_takes_the_logarithm_of_0(library, dtype):
    """log(1 - A) where A rounds to 1: 0 times -inf, or -inf. Ours is computed from the logits."""
    X, Y, w = np.asarray([[40.0, -800.0]]), np.asarray([[1.0, 0.0]]), np.asarray([[1.0]])
    model, theta = logistic_regression(), library.asarray([1.0, 0.0], dtype)
    with np.errstate(all="ignore"):
        assert math.isnan(propagate(w, 0.0, X, Y)[1])
        assert propagate(w, 0.0, X, 1 - Y)[1] == math.inf
    X_, Y_ = library.asarray(X.T, dtype), library.asarray(Y.T, dtype)
    assert model.cost(theta, X_, Y_) == pytest.approx(math.exp(-40.0) / 2, rel=1e-5)
    assert model.cost(theta, X_, 1.0 - Y_) == pytest.approx((40.0 + 800.0) / 2, rel=1e-6)


def test_erratum_two_layers(numbers, numerical_gradient, distance):
    """dW2 = (a2 - y) a1^T and db2 = a2 - y without 1/m and without a sum; dW1 = (a2 - y) W2 * (1 - a1) a1 x."""
    X, Y, W1, b1, W2, b2 = numbers
    m = X.shape[1]
    model = two_layers(4)

    def J(theta):
        (U1, c1), (U2, c2) = model.layout(3).unpack(theta)
        return two_layer_gradients(X, Y, U1.T, c1[:, None], U2.T, c2[:, None])[0]

    theta = packed(model, W1, b1, W2, b2)
    exact = numerical_gradient(J, theta)
    _, (dW2, db2) = model.layout(3).unpack(exact)
    a1 = sigmoid(W1 @ X + b1)
    a2 = sigmoid(W2 @ a1 + b2)
    assert distance((a2 - Y) @ a1.T, dW2) == pytest.approx(m - 1)  # m times too large
    assert (a2 - Y).shape != b2.shape  # a number for every sample, none for the bias
    assert distance((a2 - Y).sum(), db2) == pytest.approx(m - 1)
    with pytest.raises(ValueError, match="matmul"):  # (1, m) W2 (1, h)
        (a2 - Y) @ W2
    x, a1, a2, y = X[:, :1], a1[:, :1], a2[:, :1], Y[:, :1]  # one sample alone: (1, h) * (h, 1) spreads to (h, h)
    with pytest.raises(ValueError, match="matmul"):
        ((a2 - y) @ W2 * ((1 - a1) * a1)) @ x
    assert ((a2 - y) @ W2 * ((1 - a1) * a1)).shape != b1.shape
    _, ours = model.cost_and_gradient(theta, X.T, Y.T)
    assert distance(ours, exact) < 1e-11
