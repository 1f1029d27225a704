"""D2: Otis Saint, "Neural Networks", 2022.

One perceptron of any activation with 1/(2r) sum (yhat - y)^2; then networks of N hidden layers of K units with a
hidden activation phi, an output activation phi0 and biases.
"""

import math
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from xpnet import Dense, GradientDescent, Model, Sequential, State, epochs, losses

SIGMOID = (lambda a: 1 / (1 + math.exp(-a)), lambda a: math.exp(-a) / (1 + math.exp(-a)) ** 2)
ACTIVATIONS = {  # the function and its derivative, of one number
    "linear": (lambda a: a, lambda a: 1.0),
    "sigmoid": SIGMOID,
    "tanh": (math.tanh, lambda a: 1 / math.cosh(a) ** 2),
    "relu": (lambda a: max(a, 0.0), lambda a: float(a > 0)),
    "leaky_relu": (lambda a: a if a >= 0 else a / 4, lambda a: 1.0 if a >= 0 else 1 / 4),
    "elu": (lambda a: a if a >= 0 else math.exp(a) - 1, lambda a: 1.0 if a >= 0 else math.exp(a)),
    "exp": (math.exp, math.exp),
}


# Section 2: one perceptron


def perceptron(activation):
    return Model(Sequential(Dense(1, activation)))


def gradients_of_one_sample(w, b, x, y, activation):
    """(dL/dw_1, ..., dL/dw_n), dL/db: (yhat - y) sigma'(a) x_k, and the same without x_k."""
    sigma, sigma_prime = ACTIVATIONS[activation]
    a = sum(w_i * x_i for w_i, x_i in zip(w, x, strict=True)) + b
    delta = (sigma(a) - y) * sigma_prime(a)
    return [delta * x_k for x_k in x], delta


@pytest.fixture
def samples(rng):
    """(X, y, w, b): five samples of three features; both signs of a occur."""
    X, y, w, b = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3), 0.1
    assert 0 < np.sum(X @ w + b > 0) < 5
    return X, y, w, b


def begin(model, w, b, alpha):
    return State(model.layout(len(w)).pack(((np.reshape(w, (-1, 1)), np.reshape(b, 1)),)), (), GradientDescent(), alpha)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_sample_at_a_time(activation, samples, library, dtype, same):
    X, y, w, b = samples
    model, alpha = perceptron(activation), 0.2
    start = begin(model, w, b, alpha)
    X_, y_ = library.asarray(X, dtype), library.asarray(y, dtype)
    state, cost = next(epochs(model, start, X_, y_, batch_size=1, shuffle=False))
    errors = []
    for x_i, y_i in zip(X, y, strict=True):
        errors.append(0.5 * (ACTIVATIONS[activation][0](x_i @ w + b) - y_i) ** 2)
        dw, db = gradients_of_one_sample(w, b, x_i, y_i, activation)
        w, b = [w_k - alpha * dw_k for w_k, dw_k in zip(w, dw, strict=True)], b - alpha * db
    ((w_, b_),) = model.layout(3).unpack(state.theta)
    same(w_, np.reshape(w, (3, 1)), "w")
    same(b_, [b], "b")
    same(library.asarray(cost), np.mean(errors), "the mean of L, each before its step")
    assert state.step == 5


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_batch(activation, samples, library, dtype, same):
    X, y, w, b = samples
    model, alpha = perceptron(activation), 0.2
    state, cost = next(epochs(model, begin(model, w, b, alpha), library.asarray(X, dtype), library.asarray(y, dtype)))
    each = [gradients_of_one_sample(w, b, x_i, y_i, activation) for x_i, y_i in zip(X, y, strict=True)]
    ((w_, b_),) = model.layout(3).unpack(state.theta)
    same(w_, np.reshape(w - alpha * np.mean([dw for dw, _ in each], axis=0), (3, 1)), "w")
    same(b_, [b - alpha * np.mean([db for _, db in each])], "b")
    sigma = ACTIVATIONS[activation][0]
    losses_of_samples = [0.5 * (sigma(x_i @ w + b) - y_i) ** 2 for x_i, y_i in zip(X, y, strict=True)]
    same(library.asarray(cost), np.mean(losses_of_samples), "L")


def test_samples_in_a_drawn_order(samples):
    X, y, w, b = samples
    model, alpha = perceptron("sigmoid"), 0.2
    state, _ = next(epochs(model, begin(model, w, b, alpha), X, y, batch_size=1, rng=np.random.default_rng(3)))
    assert sorted(state.order) == [0, 1, 2, 3, 4]
    assert list(state.order) != [0, 1, 2, 3, 4]
    for i in state.order:
        dw, db = gradients_of_one_sample(w, b, X[i], y[i], "sigmoid")
        w, b = w - alpha * np.asarray(dw), b - alpha * db
    assert np.allclose(state.theta, [*w, b], rtol=1e-13)


@pytest.mark.parametrize("r", [1, 3])
def test_the_loss_is_divided_by_2r(r, library, dtype, same, rng, numerical_gradient, distance):
    model = Model(Sequential(Dense(r, "tanh")), loss=losses.HalfSquaredError(mean_over_outputs=True))
    X, Y = rng.normal(size=(4, 2)), rng.normal(size=(4, r))
    theta = model.initial(rng, 2, GradientDescent()).theta

    def L(theta):
        ((W, b),) = model.layout(2).unpack(theta)
        return np.mean([1 / (2 * r) * np.sum((np.tanh(x @ W + b) - y) ** 2) for x, y in zip(X, Y, strict=True)])

    cost, gradient = model.cost_and_gradient(
        library.asarray(theta), library.asarray(X, dtype), library.asarray(Y, dtype)
    )
    same(library.asarray(cost), L(theta), "L")
    same(gradient, numerical_gradient(L, theta), "gradient")
    half = Model(model.network).cost_and_gradient(theta, X, Y)
    assert distance(r * library.to_numpy(gradient), half[1]) < 1e-5
    assert r * cost == pytest.approx(half[0], rel=1e-5)


def test_softmax_of_one_unit_is_refused():
    with pytest.raises(ValueError, match="softmax of one unit is the constant 1"):
        perceptron("softmax")
    with pytest.raises(ValueError, match="softmax of one unit is 1"):
        Model(Sequential(Dense(1)), loss="cross_entropy")
    Dense(2, "softmax")


@pytest.mark.parametrize("alpha", [0.0, -0.5, math.nan, math.inf])
def test_learning_rates_that_are_none(alpha):
    with pytest.raises(ValueError, match="learning_rate"):
        GradientDescent(alpha)


@pytest.mark.parametrize("alpha", [0.01, 0.5, 1.0])
def test_learning_rates_of_the_document(alpha, iris, rng):
    model, y = perceptron("sigmoid"), (iris.y == 0).astype(float)
    state = model.initial(rng, 4, GradientDescent(alpha))
    costs = [cost for _, cost in islice(epochs(model, state, iris.X, y), 30)]
    assert np.all(np.diff(costs) < 0)
    assert alpha == 0.01 or costs[-1] < 0.5 * costs[0]


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh", "relu", "leaky_relu", "elu"])
def test_s2a_learns_iris(activation, iris, library, dtype, train, predict, rng):
    model, y = perceptron(activation), iris.y == 0
    theta, costs = train(model, model.initial(rng, 4, GradientDescent(0.5)), iris.X, y)
    assert costs[-1] < 0.5 * costs[0]
    yhat = predict(model, theta, iris.X_test)[:, 0]
    assert np.mean((yhat >= 0.5) == (iris.y_test == 0)) >= 0.9


def test_s2a_learns_iris_one_sample_at_a_time(iris, library, dtype, train, predict, rng):
    model, y = perceptron("tanh"), iris.y == 0
    start = model.initial(rng, 4, GradientDescent(0.1))
    theta, costs = train(model, start, iris.X, y, n=2, batch_size=1, rng=rng)
    assert costs[1] < costs[0]
    yhat = predict(model, theta, iris.X_test)[:, 0]
    assert np.mean((yhat >= 0.5) == (iris.y_test == 0)) >= 0.9


# Section 3: N hidden layers of K units. M inputs, P outputs; layer k = 1 .. N + 1 = k*

M, K, N, P = 3, 4, 2, 2
LAST = N + 1


def governing_equations(x, y, w, b, phi, phi0, alpha):
    """Equations (1)-(14) for one sample, one index at a time; w[k][i][j], b[k][j]; (5) and (10) without their sum."""
    (f, df), (f0, df0) = ACTIVATIONS[phi], ACTIVATIONS[phi0]
    units = {0: range(M), **{k: range(K) for k in range(1, LAST)}, LAST: range(P)}
    a, out, delta = {}, {0: x}, {}
    for k in range(1, LAST + 1):
        a[k] = [sum(w[k][i][j] * out[k - 1][i] for i in units[k - 1]) + b[k][j] for j in units[k]]
        out[k] = [f(a[k][j]) for j in units[k]] if k <= N else [f0(a[k][j]) for j in units[k]]  # (1), (7); (2), (6)
    yhat = out[LAST]
    delta[LAST] = [(yhat[j] - y[j]) * df0(a[LAST][j]) for j in units[LAST]]  # (5), (10)
    for k in range(N, 0, -1):  # (4), (11)
        delta[k] = [df(a[k][j]) * sum(w[k + 1][j][l] * delta[k + 1][l] for l in units[k + 1]) for j in units[k]]
    dw, db, w_, b_ = {}, {}, {}, {}
    for k in range(1, LAST + 1):
        dw[k] = [[delta[k][j] * out[k - 1][i] for j in units[k]] for i in units[k - 1]]  # (3), (8)
        db[k] = [delta[k][j] for j in units[k]]  # (9)
        w_[k] = [[w[k][i][j] - alpha * dw[k][i][j] for j in units[k]] for i in units[k - 1]]  # (13)
        b_[k] = [b[k][j] - alpha * db[k][j] for j in units[k]]  # (14)
    return SimpleNamespace(a=a, x=out, delta=delta, dw=dw, db=db, w_=w_, b_=b_, yhat=yhat)


def network(phi, phi0, n=N, k=K, p=P, **choices):
    """S2b."""
    return Model(Sequential(*[Dense(k, phi, **choices) for _ in range(n)], Dense(p, phi0, **choices)))


@pytest.fixture
def parameters(rng):
    """(w, b): w[k] (units below, units), b[k] (units,), for k = 1 .. N + 1."""
    widths = [M, *[K] * N, P]
    w = {k: rng.normal(size=(widths[k - 1], widths[k])) for k in range(1, LAST + 1)}
    return w, {k: rng.normal(size=widths[k]) for k in range(1, LAST + 1)}


def packed(model, w, b):
    return model.layout(M).pack(tuple((w[k], b[k]) for k in w))


PAIRS = [("tanh", "sigmoid"), ("elu", "linear"), ("relu", "exp")]


@pytest.mark.parametrize(("phi", "phi0"), PAIRS)
def test_governing_equations(phi, phi0, parameters, library, dtype, same, rng):
    (w, b), alpha = parameters, 0.1
    x, y = rng.normal(size=M), rng.uniform(size=P)
    printed = governing_equations(x, y, w, b, phi, phi0, alpha)
    model = network(phi, phi0)
    start = State(packed(model, w, b), (), GradientDescent(alpha), alpha)
    theta, X, Y = library.asarray(start.theta, dtype), library.asarray([x], dtype), library.asarray([y], dtype)
    params = model.layout(M).unpack(theta)
    for k in range(1, LAST + 1):  # (1), (2), (6), (7)
        upto = Sequential(*model.network.layers[:k])
        same(upto.forward(params[:k], X)[0], [printed.x[k]], f"x[{k}]")
    cost, gradient = model.cost_and_gradient(theta, X, Y)
    half = 0.5 * sum((yhat_j - y_j) ** 2 for yhat_j, y_j in zip(printed.yhat, y, strict=True))
    same(library.asarray(cost), half, "half of the printed error")
    for k, (dw, db) in enumerate(model.layout(M).unpack(gradient), 1):  # (3), (4), (5), (8)-(11); db is delta
        same(dw, printed.dw[k], f"dw[{k}]")
        same(db, printed.delta[k], f"delta[{k}]")
    state, _ = next(epochs(model, start, X, Y))
    for k, (w_, b_) in enumerate(model.layout(M).unpack(state.theta), 1):
        same(w_, printed.w_[k], f"(13) of layer {k}")
        same(b_, printed.b_[k], f"(14) of layer {k}")


@pytest.mark.parametrize(("phi", "phi0"), PAIRS)
def test_a_batch_has_the_mean_of_its_samples_gradients(phi, phi0, parameters, rng, distance):
    w, b = parameters
    X, Y, model = rng.normal(size=(5, M)), rng.uniform(size=(5, P)), network(phi, phi0)
    each = [governing_equations(x, y, w, b, phi, phi0, 0.1) for x, y in zip(X, Y, strict=True)]
    mean = [packed(model, {k: np.asarray(s.dw[k]) for k in w}, {k: np.asarray(s.db[k]) for k in w}) for s in each]
    gradient = model.cost_and_gradient(packed(model, w, b), X, Y)[1]
    assert distance(gradient, np.mean(mean, axis=0)) < 1e-14


def test_s2b_learns_iris(iris, library, dtype, train, predict, rng):
    model = network("tanh", "sigmoid", n=2, k=6, p=3)
    theta, costs = train(model, model.initial(rng, 4, GradientDescent(1.0)), iris.X, np.eye(3)[iris.y])
    assert costs[-1] < 0.5 * costs[0]
    yhat = predict(model, theta, iris.X_test)
    assert np.mean(yhat.argmax(axis=1) == iris.y_test) >= 0.85


X_XOR, Y_XOR = np.asarray([[0, 0], [0, 1], [1, 0], [1, 1]]), np.asarray([0, 1, 1, 0])


def test_s2b_learns_xor(library, dtype, train, predict, rng):
    model = network("tanh", "sigmoid", n=2, k=8, p=1, initializer="he_normal")
    theta, costs = train(model, model.initial(rng, 2, GradientDescent(1.0)), X_XOR, Y_XOR, n=150)
    assert costs[-1] < 0.2 * costs[0]
    assert np.all((predict(model, theta, X_XOR)[:, 0] >= 0.5) == Y_XOR)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "linear"])
def test_one_perceptron_cannot_learn_xor(activation, rng):
    model = perceptron(activation)
    state = model.initial(rng, 2, GradientDescent(0.5))
    state, cost = next(islice(epochs(model, state, X_XOR, Y_XOR), 1999, None))
    assert cost == pytest.approx(0.125, abs=1e-3)  # a half for every sample
    assert np.allclose(model.predict(state.theta, X_XOR), 0.5, atol=0.05)


# Errata


def test_erratum_the_bias_of_a_perceptron(samples, numerical_gradient, distance):
    """Section 2.1, last equation: b <- b - alpha (yhat - y), where sigma'(a) is missing."""
    X, y, w, b = samples
    sigma = SIGMOID[0]

    def L(theta):
        return 0.5 * (sigma(X[0] @ theta[:3] + theta[3]) - y[0]) ** 2

    theta = np.asarray([*w, b])
    exact = numerical_gradient(L, theta)
    printed = sigma(X[0] @ w + b) - y[0]
    assert abs(printed - exact[3]) > abs(exact[3])
    dw, db = gradients_of_one_sample(w, b, X[0], y[0], "sigmoid")
    assert distance([*dw, db], exact) < 1e-12
    _, ours = perceptron("sigmoid").cost_and_gradient(theta, X[:1], y[:1])
    assert distance(ours, exact) < 1e-12


@pytest.fixture
def sample_with_error(parameters, rng):
    """(x, y, theta, L): L(theta) = sum_j (yhat_j - y_j)^2, as printed, of a network that ends in sigmoids."""
    x, y, model = rng.normal(size=M), rng.uniform(size=P), network("tanh", "sigmoid")

    def L(theta):
        w, b = zip(*model.layout(M).unpack(theta), strict=True)
        equations = governing_equations(x, y, dict(enumerate(w, 1)), dict(enumerate(b, 1)), "tanh", "sigmoid", 0.1)
        return sum((yhat_j - y_j) ** 2 for yhat_j, y_j in zip(equations.yhat, y, strict=True))

    return x, y, packed(model, *parameters), L


def test_erratum_the_output_delta(sample_with_error, parameters, numerical_gradient, distance):
    """Equations (5) and (10): delta_j = sum_l (yhat_l - y_l) phi0'(a_l), for the loss sum_j (yhat_j - y_j)^2.

    No sum belongs there, and the factor 2 is lost: without the sum it is the delta of half the loss.
    """
    x, y, theta, L = sample_with_error
    model, (w, b) = network("tanh", "sigmoid"), parameters
    equations = governing_equations(x, y, w, b, "tanh", "sigmoid", 0.1)
    exact = numerical_gradient(L, theta)
    delta = model.layout(M).unpack(exact)[N][1]  # dL/db of the output is its delta, (9)
    summed = sum((equations.yhat[l] - y[l]) * SIGMOID[1](equations.a[LAST][l]) for l in range(P))
    printed = np.full(P, summed)
    assert distance(printed, delta) > 0.1
    assert distance(2 * printed, delta) > 0.1
    assert distance(printed, delta / 2) > 0.1
    assert distance(equations.delta[LAST], delta / 2) < 1e-11
    _, ours = model.cost_and_gradient(theta, x[None, :], y[None, :])
    assert distance(ours, exact / 2) < 1e-11
    assert distance(ours, exact) > 0.1


def test_erratum_the_sum_belongs_to_softmax(parameters, rng, numerical_gradient, distance):
    """A phi0 that mixes units has the sum: delta_j = sum_l (yhat_l - y_l) d phi0_l / d a_j."""
    (w, b), x, y = parameters, rng.normal(size=M), np.eye(P)[1]
    model = network("tanh", "softmax")
    theta = packed(model, w, b)

    def outputs(theta):
        A = x
        for W, c in model.layout(M).unpack(theta)[:-1]:
            A = np.tanh(A @ W + c)
        W, c = model.layout(M).unpack(theta)[-1]
        E = np.exp(A @ W + c)
        return E / E.sum()

    yhat = outputs(theta)
    jacobian = [[yhat[l] * ((l == j) - yhat[j]) for j in range(P)] for l in range(P)]
    delta = [sum((yhat[l] - y[l]) * jacobian[l][j] for l in range(P)) for j in range(P)]
    exact = numerical_gradient(lambda theta: 0.5 * np.sum((outputs(theta) - y) ** 2), theta)
    _, ours = model.cost_and_gradient(theta, x[None, :], y[None, :])
    assert distance(ours, exact) < 1e-11
    assert distance(model.layout(M).unpack(ours)[N][1], np.asarray(delta)) < 1e-14
    elementwise = [(yhat[j] - y[j]) * yhat[j] * (1 - yhat[j]) for j in range(P)]
    assert distance(elementwise, np.asarray(delta)) > 0.1
