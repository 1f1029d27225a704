"""D0: HyperionDev, tutorial "Neural Networks", 2024.

A sigmoid hidden layer, a softmax output, categorical cross-entropy, biases, L1 and L2 on the weights, gradient descent.
"""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from xpnet import (
    Dense,
    DivergedError,
    GradientDescent,
    Model,
    Sequential,
    State,
    activations,
    epochs,
    layers as equations,
    losses,
)
from xpnet.equations.layers import Training

L1, L2, ALPHA = 0.02, 0.03, 0.5


def printed_step(X, Y, W1, b1, W2, b2, l1, l2, alpha):
    """The document's one step, line by line, as a program; its names, and W1_, b1_, W2_, b2_ after the update."""
    m = X.shape[0]
    # forward 1-4
    Z1 = X @ W1 + b1
    A1 = 1 / (1 + np.exp(-Z1))
    Z2 = A1 @ W2 + b2
    A2 = np.exp(Z2) / np.exp(Z2).sum(axis=1, keepdims=True)
    # backward 1-8
    dZ2 = A2 - Y
    dW2 = 1 / m * A1.T @ dZ2
    db2 = 1 / m * dZ2.sum(axis=0, keepdims=True)
    dA1 = dZ2 @ W2.T
    sigma_prime = A1 * (1 - A1)
    dZ1 = dA1 * sigma_prime
    dW1 = 1 / m * X.T @ dZ1
    db1 = 1 / m * dZ1.sum(axis=0, keepdims=True)
    # L1, then L2
    dW2_L1, dW1_L1 = dW2 + l1 * np.sign(W2), dW1 + l1 * np.sign(W1)
    dW2_L2, dW1_L2 = dW2 + l2 * W2, dW1 + l2 * W1
    dW2_both, dW1_both = dW2_L1 + l2 * W2, dW1_L1 + l2 * W1
    # updates
    W1_, b1_ = W1 - alpha * dW1_both, b1 - alpha * db1
    W2_, b2_ = W2 - alpha * dW2_both, b2 - alpha * db2
    return SimpleNamespace(**locals())


@pytest.fixture
def numbers(rng):
    """(X, Y, W1, b1, W2, b2): 7 samples, 4 features, 5 hidden units, 3 classes; a weight of exactly 0 among them."""
    W1, W2 = rng.normal(size=(4, 5)), rng.normal(size=(5, 3))
    W1[1, 2] = 0.0
    Y = np.eye(3)[rng.integers(0, 3, 7)]
    return rng.normal(size=(7, 4)), Y, W1, rng.normal(size=(1, 5)), W2, rng.normal(size=(1, 3))


def network(l1=0.0, l2=0.0, h=5, initializer="glorot_uniform"):
    """S0: the softmax comes with the loss."""
    layers = Dense(h, "sigmoid", initializer=initializer), Dense(3, initializer=initializer)
    return Model(Sequential(*layers), loss="cross_entropy", l1=l1, l2=l2)


def packed(model, W1, b1, W2, b2):
    return model.layout(W1.shape[0]).pack(((W1, b1.ravel()), (W2, b2.ravel())))


def test_forward_1_to_4(numbers, library, dtype, same):
    X, Y, *parameters = numbers
    printed = printed_step(X, Y, *parameters, 0, 0, ALPHA)
    X, W1, b1, W2, b2 = (library.asarray(a, dtype) for a in (X, *parameters))
    same(equations.affine(X, W1, b1[0, :]), printed.Z1, "Z1")
    A1, _ = Dense(5, "sigmoid").forward((W1, b1[0, :]), X)
    same(A1, printed.A1, "A1")
    Z2, _ = Dense(3).forward((W2, b2[0, :]), A1)
    same(Z2, printed.Z2, "Z2")
    same(losses.CrossEntropy().link.forward(Z2), printed.A2, "A2")
    model = network()
    theta = library.asarray(packed(model, *parameters), dtype)
    same(model.predict(theta, X), printed.A2, "the whole network")


def test_backward_1_to_8(numbers, library, dtype, same):
    X, Y, *parameters = numbers
    printed = printed_step(X, Y, *parameters, 0, 0, ALPHA)
    X, Y, W1, b1, W2, b2 = (library.asarray(a, dtype) for a in (X, Y, *parameters))
    A1, backward_1 = Dense(5, "sigmoid").forward((W1, b1[0, :]), X, train=Training())
    Z2, backward_2 = Dense(3).forward((W2, b2[0, :]), A1, train=Training())
    loss_sum, m, dZ2 = losses.CrossEntropy()(Z2, Y)
    same(dZ2, printed.dZ2, "1: dZ2")
    dA1, (dW2, db2) = backward_2(dZ2)
    same(dW2 / m, printed.dW2, "2: dW2")
    same(db2 / m, printed.db2[0], "3: db2")
    same(dA1, printed.dA1, "4: dA1")
    sigmoid, Z1 = activations.Sigmoid(), equations.affine(X, W1, b1[0, :])
    same(sigmoid.derivative(Z1, A1), printed.sigma_prime, "5: sigma'")
    same(sigmoid.backward(dA1, Z1, A1), printed.dZ1, "6: dZ1")
    _, (dW1, db1) = backward_1(dA1, need_dX=False)
    same(dW1 / m, printed.dW1, "7: dW1")
    same(db1 / m, printed.db1[0], "8: db1")
    same(library.asarray(float(loss_sum)), -np.sum(printed.Y * np.log(printed.A2)), "categorical cross-entropy")


@pytest.mark.parametrize(("l1", "l2", "which"), [(0, 0, ""), (L1, 0, "_L1"), (0, L2, "_L2"), (L1, L2, "_both")])
def test_regularization_acts_on_the_weights_only(numbers, library, dtype, same, l1, l2, which):
    X, Y, *parameters = numbers
    printed = vars(printed_step(X, Y, *parameters, l1, l2, ALPHA))
    model = network(l1, l2)
    theta = library.asarray(packed(model, *parameters), dtype)
    J, gradient = model.cost_and_gradient(theta, library.asarray(X, dtype), library.asarray(Y, dtype))
    (dW1, db1), (dW2, db2) = model.layout(4).unpack(gradient)
    same(dW1, printed["dW1" + which], "dW1")
    same(dW2, printed["dW2" + which], "dW2")
    same(db1, printed["db1"][0], "db1")
    same(db2, printed["db2"][0], "db2")
    weights = np.concatenate([parameters[0].ravel(), parameters[2].ravel()])
    penalty = l1 * np.abs(weights).sum() + l2 / 2 * (weights**2).sum()
    same(library.asarray(J), -np.mean(np.sum(Y * np.log(printed["A2"]), axis=1)) + penalty, "J")


def test_the_update(numbers, library, dtype, same):
    X, Y, *parameters = numbers
    printed = printed_step(X, Y, *parameters, L1, L2, ALPHA)
    model = network(L1, L2)
    start = State(packed(model, *parameters), (), GradientDescent(ALPHA), ALPHA)
    state, cost = next(epochs(model, start, library.asarray(X, dtype), library.asarray(Y, dtype)))
    same(library.asarray(cost), model.cost(start.theta, X, Y), "J before the step")
    (W1, b1), (W2, b2) = model.layout(4).unpack(state.theta)
    for name, ours in {"W1_": W1, "W2_": W2}.items():
        same(ours, getattr(printed, name), name)
    for name, ours in {"b1_": b1, "b2_": b2}.items():
        same(ours, getattr(printed, name)[0], name)


def test_the_gradient_is_the_costs_derivative(numbers, numerical_gradient, distance):
    X, Y, W1, *others = numbers
    W1 = np.where(W1 == 0.0, 0.5, W1)  # |w| has no derivative at 0 ...
    W1, W2 = (np.sign(W) * np.maximum(np.abs(W), 0.1) for W in (W1, others[1]))  # ... nor do differences cross it
    model = network(L1, L2)

    def J(theta):
        (W1, b1), (W2, b2) = model.layout(4).unpack(theta)
        A2 = printed_step(X, Y, W1, b1, W2, b2, 0, 0, 0).A2
        weights = theta[: W1.size + W2.size]
        penalty = L1 * np.abs(weights).sum() + L2 / 2 * (weights**2).sum()
        return -np.mean(np.sum(Y * np.log(A2), axis=1)) + penalty

    theta = packed(model, W1, others[0], W2, others[2])
    cost, gradient = model.cost_and_gradient(theta, X, Y)
    assert cost == pytest.approx(J(theta), rel=1e-14)
    assert distance(gradient, numerical_gradient(J, theta)) < 1e-12


def test_s0_learns_iris(iris, library, dtype, train, predict, rng):
    model = network(l1=1e-4, l2=1e-3, h=8)
    theta, costs = train(model, model.initial(rng, 4, GradientDescent(2.0)), iris.X, np.eye(3)[iris.y])
    assert costs[0] == pytest.approx(np.log(3), abs=0.2)
    assert costs[-1] < 0.45
    P = predict(model, theta, iris.X_test)
    assert np.allclose(P.sum(axis=1), 1.0, atol=1e-6)
    assert np.mean(P.argmax(axis=1) == iris.y_test) >= 0.85


# "You must know what you are changing and how it affects training": one choice at a time.


def outcome(data, learning_rate=0.5, initializer="glorot_uniform", l1=0.0, l2=0.0, n=200):
    """The costs of n epochs; then the accuracy, ||W||, the number of |w| < 0.01, and the parameters."""
    model = network(l1, l2, 8, initializer)
    start = model.initial(np.random.default_rng(0), 4, GradientDescent(learning_rate))
    states, costs = zip(*islice(epochs(model, start, data.X, np.eye(3)[data.y]), n), strict=True)
    theta = states[-1].theta
    W = theta[: model.layout(4).n_weights]
    return SimpleNamespace(
        costs=np.asarray(costs),
        accuracy=np.mean(model.predict(theta, data.X_test).argmax(axis=1) == data.y_test),
        norm=np.linalg.norm(W),
        near_0=int(np.sum(np.abs(W) < 0.01)),
        params=model.layout(4).unpack(theta),
    )


CHANGES = {
    "learning_rate": (0.001, 0.5, 100.0),
    "initializer": ("zeros", "normal", "glorot_uniform"),
    "l2": (0.0, 0.01, 0.1),
    "l1": (0.0, 0.01, 0.03),
}


def table(data):
    """Lines that show what one change at a time does to training: every other choice stays at ``outcome``'s default."""
    yield f"{'changed':13} {'to':>14} {'cost':>6} {'accuracy':>8} {'||W||':>6} {'|w|<.01':>7}"
    for name, values in CHANGES.items():
        for value in values:
            now = outcome(data, **{name: value})
            yield f"{name:13} {value:>14} {now.costs[-1]:6.3f} {now.accuracy:8.2f} {now.norm:6.2f} {now.near_0:7d}"


def test_the_table(iris):
    head, *rows = table(iris)
    assert len(rows) == 12
    assert all(len(row) == len(head) for row in rows)
    print(*[head, *rows], sep="\n")


def test_learning_rate(iris):
    slow, right, large = (outcome(iris, learning_rate=rate) for rate in CHANGES["learning_rate"])
    assert np.all(np.diff(slow.costs) < 0)  # too small: downhill, and hardly moving
    assert slow.costs[-1] > 0.9 * slow.costs[0]
    assert np.all(np.diff(right.costs) < 0)
    assert right.costs[-1] < 0.5 * right.costs[0]
    assert np.sum(np.diff(large.costs) > 0) >= 10  # too large: the cost jumps up again and again
    assert large.costs.max() > 3 * large.costs[0]


def test_learning_rate_that_diverges(iris):
    with pytest.raises(DivergedError, match="Lower the learning rate") as caught:
        outcome(iris, learning_rate=1000.0, l2=0.01, n=1000)  # L2 multiplies each weight by 1 - alpha lambda = -9
    assert np.all(np.isfinite(caught.value.state.theta))
    assert caught.value.epoch > 1


def test_initializer(iris):
    balanced = outcome(iris, initializer="zeros")
    assert np.allclose(balanced.costs, np.log(3))  # as many of each class: every gradient is 0, nothing is learned
    assert balanced.near_0 == 56
    fewer = iris._replace(X=iris.X[10:], y=iris.y[10:])
    zeros, small, glorot = (outcome(fewer, initializer=name) for name in CHANGES["initializer"])
    (W1, b1), (W2, _) = zeros.params
    assert np.abs(W1).max() > 0.1  # they do learn, but every hidden unit the same
    assert np.ptp(W1, axis=1).max() < 1e-12
    assert np.ptp(b1) < 1e-12
    assert np.ptp(W2, axis=0).max() < 1e-12
    assert np.ptp(glorot.params[0][0], axis=1).min() > 0.1
    assert zeros.costs[-1] > glorot.costs[-1] + 0.1
    assert small.costs[20] > glorot.costs[20] + 0.1  # units that start almost alike part late


def test_larger_l2_gives_smaller_weights(iris):
    none, some, much = (outcome(iris, l2=value) for value in CHANGES["l2"])
    assert none.norm > 1.3 * some.norm
    assert some.norm > 2 * much.norm
    assert none.costs[-1] < some.costs[-1] < much.costs[-1]


def test_larger_l1_gives_more_weights_near_0(iris):
    none, some, much = (outcome(iris, l1=value) for value in CHANGES["l1"])
    assert none.near_0 < some.near_0 < much.near_0
    assert much.near_0 >= 25  # of 56
    assert some.accuracy >= 0.8  # what is left still tells the species apart
