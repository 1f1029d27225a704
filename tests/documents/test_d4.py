"""D4: Trần Minh Dương, "Neural Networks".

The worked exercise: two inputs, two hidden units, one output, all ReLU, no biases, half squared error; one step of
gradient descent with eta = 0.1. And the table of activations.
"""

import math
from itertools import pairwise

import numpy as np
import pytest

from xpnet import Dense, GradientDescent, Model, Sequential, State, activations, epochs, layers

ETA = 0.1
W1, W2 = [[2.0, 1.0], [-3.0, 4.0]], [[2.0], [-1.0]]
X, Y = [[1.0, -1.0]], [[0.0]]


def exercise():
    """S4."""
    return Model(Sequential(Dense(2, "relu", bias=False), Dense(1, "relu", bias=False)), reduction="sum")


def packed(model, *weights):
    """theta of layers that have weights alone."""
    return model.layout(np.shape(weights[0])[0]).pack(tuple((np.asarray(W),) for W in weights))


@pytest.fixture
def theta(library, dtype):
    return library.asarray(packed(exercise(), W1, W2), dtype)


# The exercise


def test_forward(theta, library, dtype):
    model, x = exercise(), library.asarray(X, dtype)
    (W1,), (W2,) = model.layout(2).unpack(theta)
    hidden, output = model.network.layers
    for ours, page in [
        (x @ W1, [[5, -3]]),  # x3, x4
        (hidden.forward((W1,), x)[0], [[5, 0]]),  # y3, y4
        (hidden.forward((W1,), x)[0] @ W2, [[10]]),  # x5
        (output.forward((W2,), hidden.forward((W1,), x)[0])[0], [[10]]),  # y5
        (model.predict(theta, x), [[10]]),
    ]:
        assert library.to_numpy(ours).tolist() == page
    assert model.cost(theta, x, library.asarray(Y, dtype)) == 50.0


def test_gradients(theta, library, dtype):
    model = exercise()
    J, gradient = model.cost_and_gradient(theta, library.asarray(X, dtype), library.asarray(Y, dtype))
    (dW1,), (dW2,) = model.layout(2).unpack(gradient)
    assert J == 50.0
    assert library.to_numpy(dW2).tolist() == [[50], [0]]
    assert library.to_numpy(dW1).tolist() == [[20, 0], [-20, 0]]


def one_step(library, dtype):
    """The weights after one step, on the host, by their printed names."""
    model = exercise()
    start = State(packed(model, W1, W2), (), GradientDescent(ETA), ETA)
    state, cost = next(epochs(model, start, library.asarray(X, dtype), library.asarray(Y, dtype)))
    assert cost == 50.0
    assert library.owns(state.theta)
    values = library.to_numpy(state.theta)
    assert str(values.dtype) == dtype
    return dict(zip(("w13", "w14", "w23", "w24", "w35", "w45"), values.tolist(), strict=True))


def test_one_step(library, dtype):
    page = {"w13": 0.0, "w23": -1.0, "w14": 1.0, "w24": 4.0, "w35": -3.0, "w45": -1.0}
    ours = one_step(library, dtype)
    # A fused multiply-add rounds once where the page rounds twice: 2 - 0.1 * 20 is then -3e-8 or -1e-16.
    assert ours == pytest.approx(page, rel=2e-7, abs=4e-8 if dtype == "float32" else 2e-16)
    assert {name: f"{w:.1f}".replace("-0.0", "0.0") for name, w in ours.items()} == {
        name: f"{w:.1f}" for name, w in page.items()
    }


def test_the_printed_program(library, dtype):
    """The document's PyTorch cell: a number for every weight, automatic differentiation, one step of SGD."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    start = {"w13": 2.0, "w23": -3.0, "w14": 1.0, "w24": 4.0, "w35": 2.0, "w45": -1.0}
    w = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    x1, x2, y_actual = torch.tensor(1.0), torch.tensor(-1.0), torch.tensor(0.0)
    optimizer = torch.optim.SGD(list(w.values()), lr=ETA)
    y3 = torch.relu(x1 * w["w13"] + x2 * w["w23"])
    y4 = torch.relu(x1 * w["w14"] + x2 * w["w24"])
    y5 = torch.relu(y3 * w["w35"] + y4 * w["w45"])
    loss = 0.5 * (y5 - y_actual) ** 2
    loss.backward()
    optimizer.step()
    assert (y5.item(), loss.item()) == (10.0, 50.0)
    assert one_step(library, dtype) == pytest.approx({name: value.item() for name, value in w.items()}, abs=4e-8)
    assert f"{w['w13'].item():.1f}" in ("-0.0", "0.0")


def test_bias_update(library, dtype):
    """Step 5, "if applicable": b_j - eta dLoss/db_j, with dLoss/db_j = (y_output - y_actual) F'(x)."""
    model = Model(Sequential(Dense(1, "sigmoid")), reduction="sum")
    start = State(np.asarray([0.5, -0.25, 0.75]), (), GradientDescent(ETA), ETA)
    state, _ = next(epochs(model, start, library.asarray(X, dtype), library.asarray(Y, dtype)))
    f = 1 / (1 + math.exp(-(0.5 + 0.25 + 0.75)))
    delta = f * f * (1 - f)
    expected = [0.5 - ETA * delta, -0.25 + ETA * delta, 0.75 - ETA * delta]
    assert library.to_numpy(state.theta).tolist() == pytest.approx(expected, rel=1e-6 if dtype == "float32" else 1e-14)


def test_s4_learns_petal_width(datasets, library, dtype, train, predict):
    """The exercise's network, from a flower's sepal width and petal length to its petal width; all are above 0."""
    flowers, rate = datasets.load_iris().data, 0.3
    X, y = flowers[:, [1, 2]] / 5.0, flowers[:, 3]
    model = Model(exercise().network)
    start = State(packed(model, [[-0.5, 0.5], [0.5, 0.5]], [[0.5], [0.5]]), (), GradientDescent(rate), rate)
    theta, costs = train(model, start, X[::2], y[::2], n=40)
    assert costs[-1] < 0.1 * costs[0]
    residual = np.mean((predict(model, theta, X[1::2])[:, 0] - y[1::2]) ** 2)
    assert residual < 0.2 * np.var(y[1::2])


# The table of activations: (ours, the printed function, its printed derivative), of one number

A, C = 1.7, 0.3
TABLE = {
    "linear": (activations.Linear(A, C), lambda x: A * x + C, lambda x: A),
    "sigmoid": (
        activations.Sigmoid(),
        lambda x: 1 / (1 + math.exp(-x)),
        lambda x: 1 / (1 + math.exp(-x)) * (1 - 1 / (1 + math.exp(-x))),
    ),
    "tanh": (
        activations.Tanh(),
        lambda x: 2 / (1 + math.exp(-2 * x)) - 1,
        lambda x: 1 - (2 / (1 + math.exp(-2 * x)) - 1) ** 2,
    ),
    "relu": (activations.ReLU(), lambda x: 0 if x < 0 else x, lambda x: 0 if x < 0 else 1),
    "leaky_relu": (activations.LeakyReLU(C), lambda x: C * x if x < 0 else x, lambda x: C if x < 0 else 1),
    "elu": (
        activations.ELU(A),
        lambda x: A * (math.exp(x) - 1) if x < 0 else x,
        lambda x: A * (math.exp(x) - 1) + A if x < 0 else 1,
    ),
}
POINTS = [-4.0, -1.0, -0.25, -1e-3, 0.0, 1e-3, 0.25, 1.0, 4.0]


@pytest.mark.parametrize("row", TABLE)
def test_the_table_of_activations(row, library, dtype, same):
    f, function, derivative = TABLE[row]
    points = [x for x in POINTS if not (row == "relu" and x == 0.0)]  # see the erratum
    Z = library.asarray([points], dtype)
    A = f.forward(Z)
    dA = library.asarray([[2.0] * len(points)], dtype)
    same(A, [[function(x) for x in points]], "f(x)")
    same(f.backward(dA, Z, A), [[2.0 * derivative(x) for x in points]], "2 f'(x)")
    assert float(f.forward(library.asarray([[0.0]], dtype))[0, 0]) == pytest.approx(function(0.0))


@pytest.mark.parametrize("row", TABLE)
def test_the_names_of_the_table(row):
    assert type(activations.activation(row)) is type(TABLE[row][0])


@pytest.mark.parametrize("row", TABLE)
def test_derivatives_are_those_of_the_functions(row, numerical_gradient):
    f, function, derivative = TABLE[row]
    for x in (-1.5, -0.3, 0.3, 1.5):
        (difference,) = numerical_gradient(lambda z: function(z[0]), np.asarray([x]))
        assert derivative(x) == pytest.approx(difference, rel=1e-12, abs=1e-12)
        z = np.asarray([[x]])
        assert f.backward(np.ones((1, 1)), z, f.forward(z))[0, 0] == pytest.approx(difference, abs=1e-12)


def test_parametric_relu_with_a_learned_slope(library, dtype, same, numerical_gradient):
    """The slope as a parameter: d alpha = sum over x < 0 of dA x."""
    Z, alpha = np.asarray([[-2.0, 0.5], [1.0, -0.5], [-1.0, -3.0]]), np.asarray([0.25, -0.5])
    dA = np.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    layer = layers.PReLU()
    A, backward = layer.forward((library.asarray(alpha, dtype),), library.asarray(Z, dtype), train=layers.Training())
    dZ, (dalpha,) = backward(library.asarray(dA, dtype))
    same(A, np.where(Z < 0, alpha * Z, Z), "f(x)")
    same(dZ, np.where(Z < 0, alpha * dA, dA), "f'(x)")
    exact = numerical_gradient(lambda alpha: np.sum(dA * np.where(Z < 0, alpha * Z, Z)), alpha)
    same(dalpha, exact, "d alpha")


# Errata


def test_erratum_relu_at_0(library, dtype):
    """The table has 1 at x = 0, the exercise 0. Both are slopes of one side; ours is the exercise's."""
    f = activations.ReLU()
    zero = library.asarray([[0.0]], dtype)
    at_0 = f.backward(library.asarray([[1.0]], dtype), zero, f.forward(zero))
    assert float(at_0[0, 0]) == 0.0
    function = TABLE["relu"][1]
    assert (function(0.0) - function(-0.5)) / 0.5 == 0.0
    assert (function(0.5) - function(0.0)) / 0.5 == TABLE["relu"][2](0.0) == 1.0


def printed_hidden_gradients(x, y_actual, *weights):
    """Step 3 for every hidden layer, F the sigmoid: sum_k (y_k - y_actual) F'(x_k) w_jk F'(x_j) y_i for w_ij."""
    y = [np.asarray(x)]
    for W in weights:
        y.append(1 / (1 + np.exp(-(y[-1] @ W))))
    slope = [y_j * (1 - y_j) for y_j in y]
    return [
        np.asarray(
            [
                [
                    sum((y[n + 2][k] - y_actual) * slope[n + 2][k] * weights[n + 1][j, k] for k in range(len(y[n + 2])))
                    * slope[n + 1][j]
                    * y[n][i]
                    for j in range(len(y[n + 1]))
                ]
                for i in range(len(y[n]))
            ]
        )
        for n in range(len(weights) - 1)
    ]


@pytest.mark.parametrize("widths", [(3, 2, 1), (3, 2, 4, 1), (3, 4, 2, 3, 1)])
def test_erratum_hidden_weights_of_deeper_networks(widths, rng, numerical_gradient, distance):
    """Step 3 holds for the last hidden layer alone: below it, delta_k takes the place of (y_k - y_actual) F'(x_k)."""
    x, y_actual = rng.normal(size=3), 0.2
    weights = [rng.normal(size=shape) for shape in pairwise(widths)]
    model = Model(Sequential(*[Dense(n, "sigmoid", bias=False) for n in widths[1:]]), reduction="sum")

    def loss(theta):
        y = x
        for (W,) in model.layout(3).unpack(theta):
            y = 1 / (1 + np.exp(-(y @ W)))
        return 0.5 * (y[0] - y_actual) ** 2

    theta = packed(model, *weights)
    exact = numerical_gradient(loss, theta)
    _, ours = model.cost_and_gradient(theta, x[None, :], [y_actual])
    assert distance(ours, exact) < 1e-11
    of_layers = [dW for (dW,) in model.layout(3).unpack(exact)]
    *deeper, last = printed_hidden_gradients(x, y_actual, *weights)
    assert distance(last, of_layers[-2]) < 1e-11
    for printed, dW in zip(deeper, of_layers, strict=False):
        assert distance(printed, dW) > 0.5
    assert len(deeper) == len(widths) - 3
