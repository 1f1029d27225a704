"""D1: "Simple neural network walkthrough", 2018.

No biases, sigmoid hidden and output units, J = sum 1/2 (y - yhat)^2 as a sum, inputs in [0, 1], deeper by stacking, and
training that stops once the weights stop changing.
"""

import numpy as np
import pytest

from xpnet import Dense, GradientDescent, Model, Sequential, State, epochs, weights_settled


def network(*widths):
    """S1 with these hidden layers; one output."""
    layers = [Dense(k, "sigmoid", bias=False) for k in (*widths, 1)]
    return Model(Sequential(*layers), loss="half_squared_error", reduction="sum")


def f(z):
    return 1 / (1 + np.exp(-z))


def f_prime(z):
    return np.exp(-z) / (1 + np.exp(-z)) ** 2


def printed_forward(X, *weights):
    """The document's z and a of every layer, counted as it counts: z[2] = X W1, a[2] = f(z[2]), z[3] = a[2] W2, ..."""
    z, a = {}, {1: X}
    for k, W in enumerate(weights, 2):
        z[k] = a[k - 1] @ W
        a[k] = f(z[k])
    return z, a


@pytest.fixture
def numbers(rng):
    """(X, y, W1, W2): n = 6 examples, m = 3 features, k = 4 hidden units."""
    return rng.uniform(size=(6, 3)), rng.uniform(size=(6, 1)), rng.normal(size=(3, 4)), rng.normal(size=(4, 1))


def test_forward_and_cost(numbers, library, dtype, same):
    X, y, W1, W2 = numbers
    z, a = printed_forward(X, W1, W2)
    model = network(4)
    theta = library.asarray(model.layout(3).pack(((W1,), (W2,))), dtype)
    X_, W1_, W2_ = (library.asarray(A, dtype) for A in (X, W1, W2))
    a2, _ = Dense(4, "sigmoid", bias=False).forward((W1_,), X_)
    same(X_ @ W1_, z[2], "z2")
    same(a2, a[2], "a2")
    same(a2 @ W2_, z[3], "z3")
    same(model.predict(theta, X_), a[3], "yhat")
    J = model.cost(theta, X_, library.asarray(y, dtype))
    same(library.asarray(J), sum(0.5 * (y_i - yhat_i) ** 2 for y_i, yhat_i in zip(y[:, 0], a[3][:, 0], strict=True)))


def test_the_derivation_in_its_conforming_form(numbers, library, dtype, same):
    X, y, W1, W2 = numbers
    z, a = printed_forward(X, W1, W2)
    error = -(y - a[3])
    dW2 = a[2].T @ (error * f_prime(z[3]))
    dW1 = X.T @ (((error * f_prime(z[3])) @ W2.T) * f_prime(z[2]))
    model, eta = network(4), 0.3
    start = State(model.layout(3).pack(((W1,), (W2,))), (), GradientDescent(eta), eta)
    X_, y_ = library.asarray(X, dtype), library.asarray(y, dtype)
    _, gradient = model.cost_and_gradient(start.theta, X_, y_)
    (dW1_,), (dW2_,) = model.layout(3).unpack(gradient)
    same(dW2_, dW2, "dJ/dW2")
    same(dW1_, dW1, "dJ/dW1")
    state, _ = next(epochs(model, start, X_, y_))
    (W1_,), (W2_,) = model.layout(3).unpack(state.theta)
    same(W1_, W1 - eta * dW1, "W1 after the step")
    same(W2_, W2 - eta * dW2, "W2 after the step")


def test_the_printed_products_do_not_conform(numbers):
    X, y, W1, W2 = numbers
    z, a = printed_forward(X, W1, W2)
    error = y - a[3]
    with pytest.raises(ValueError, match="broadcast"):  # -(a2)^T (y - yhat) f'(z3), from the left: (k, 1) beside (n, 1)
        -a[2].T @ error * f_prime(z[3])
    with pytest.raises(ValueError, match="matmul"):
        -a[2].T @ error @ f_prime(z[3])
    with pytest.raises(ValueError, match="broadcast"):  # -X^T (y - yhat) f'(z3) (W2)^T f'(z2): (m, 1) beside (n, 1)
        -X.T @ error * f_prime(z[3]) @ W2.T * f_prime(z[2])
    with pytest.raises(ValueError, match="matmul"):
        -X.T @ error @ f_prime(z[3]) @ W2.T @ f_prime(z[2])


@pytest.mark.parametrize("widths", [(4,), (4, 3), (4, 3, 2)])
def test_the_gradient_is_the_costs_derivative_however_deep(widths, rng, numerical_gradient, distance):
    X, y, model = rng.uniform(size=(6, 3)), rng.uniform(size=(6, 1)), network(*widths)
    theta = model.initial(rng, 3, GradientDescent()).theta

    def J(theta):
        weights = [W for (W,) in model.layout(3).unpack(theta)]
        return np.sum(0.5 * (y - printed_forward(X, *weights)[1][len(weights) + 1]) ** 2)

    cost, gradient = model.cost_and_gradient(theta, X, y)
    assert cost == pytest.approx(J(theta), rel=1e-14)
    assert distance(gradient, numerical_gradient(J, theta)) < 1e-11


def test_j_is_a_sum(numbers, distance):
    X, y, *_ = numbers
    model = network(4)
    theta = model.initial(np.random.default_rng(1), 3, GradientDescent()).theta
    once = model.cost_and_gradient(theta, X, y)
    twice = model.cost_and_gradient(theta, np.concatenate([X, X]), np.concatenate([y, y]))
    assert twice[0] == pytest.approx(2 * once[0])
    assert distance(twice[1], 2 * once[1]) < 1e-14
    start = State(theta, (), GradientDescent(0.1), 0.1)
    _, cost = next(epochs(model, start, X, y, batch_size=4, shuffle=False))
    after_4 = theta - 0.1 * model.cost_and_gradient(theta, X[:4], y[:4])[1]
    assert cost == pytest.approx(model.cost(theta, X[:4], y[:4]) + model.cost(after_4, X[4:], y[4:]))


def test_s1_learns_breast_cancer(breast_cancer, library, dtype, train, predict, rng):
    data, model = breast_cancer, network(8)
    assert data.X.min() >= 0.0
    assert data.X.max() <= 1.0
    theta, costs = train(model, model.initial(rng, 30, GradientDescent(0.05)), data.X, data.y)
    assert costs[-1] < 0.5 * costs[0]
    yhat = predict(model, theta, data.X_test)[:, 0]
    assert np.mean((yhat >= 0.5) == data.y_test) >= 0.9


def test_s1_fits_a_real_target(diabetes, library, dtype, train, predict, rng):
    model = network(6)
    theta, costs = train(model, model.initial(rng, 10, GradientDescent(0.2)), diabetes.X, diabetes.y, n=40)
    assert costs[-1] < 0.6 * costs[0]
    error = np.mean((predict(model, theta, diabetes.X_test)[:, 0] - diabetes.y_test) ** 2)
    assert error < 0.7 * np.var(diabetes.y_test)


def test_deeper_stacks_learn(breast_cancer, library, dtype, train, predict, rng):
    layers = [Dense(k, "sigmoid", bias=False, initializer="he_normal") for k in (8, 8, 1)]
    model = Model(Sequential(*layers), loss="half_squared_error", reduction="sum")
    theta, costs = train(model, model.initial(rng, 30, GradientDescent(0.05)), breast_cancer.X, breast_cancer.y, n=40)
    assert costs[-1] < 0.5 * costs[0]
    yhat = predict(model, theta, breast_cancer.X_test)[:, 0]
    assert np.mean((yhat >= 0.5) == breast_cancer.y_test) >= 0.85


def test_training_stops_once_the_weights_stop_changing(iris):
    X = iris.X - iris.X.min(axis=0)
    X, y = X / X.max(axis=0), (iris.y > 0).astype(float)
    model, eta, tol = network(3), 0.5, 1e-3
    state = model.initial(np.random.default_rng(0), 4, GradientDescent(eta))
    path, costs = [state.theta], []
    for state, cost in epochs(model, state, X, y):
        costs.append(cost)
        settled = weights_settled(path[-1], state.theta, tol)
        path.append(state.theta)
        if settled or len(path) > 5000:
            break
    path = np.asarray(path)
    change, size = np.abs(np.diff(path, axis=0)).max(axis=1), np.abs(path[1:]).max(axis=1)
    still = change <= tol * np.maximum(1.0, size)
    assert 50 < len(costs) < 5000
    assert still[-1]
    assert not np.any(still[:-1])
    _, gradient = model.cost_and_gradient(path[-1], X, y)
    assert np.abs(eta * gradient).max() <= tol * max(1.0, np.abs(path[-1]).max())
    assert costs[-1] < 0.05 * costs[0]


def test_weights_settled_at_its_bounds(library):
    tol = 0.25  # exact in binary: the bound itself still counts as settled
    for size, bound in ((0.5, 0.25), (8.0, 2.0)):
        after = library.asarray([0.0, -size], "float64")
        for change, settled in ((bound, True), (bound * 1.01, False)):
            assert weights_settled(library.asarray([change, -size], "float64"), after, tol) is settled
