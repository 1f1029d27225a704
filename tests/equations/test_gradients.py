"""The gradient of every layer, activation and loss: central differences, PyTorch's autograd, and every library's own.

Networks with kinks (ReLU, PReLU, ELU, L1) are compared along lines on which no unit with a kink and no weight changes
its sign: between the kinks they are smooth. (ELU with alpha = 1 has a kink in its second derivative only.)
"""

import itertools

import numpy as np
import pytest
from gradients import assert_is_gradient, derivative_along, smooth_line, unit_direction

from xpnet.backends import to_numpy
from xpnet.equations.activations import ELU, LeakyReLU, Linear, ReLU
from xpnet.equations.layers import Dense, PReLU
from xpnet.equations.losses import HalfSquaredError, Huber
from xpnet.model import Model
from xpnet.network import Sequential

M, N_IN, N_OUT = 5, 3, 3

SMOOTH = ["linear", Linear(0.5, 0.2), "sigmoid", "tanh", "softmax", "exp"]
KINKED = ["relu", "leaky_relu", LeakyReLU(1.5), "elu", ELU(0.5), ELU(2.0), PReLU()]

KINKS = (ReLU, LeakyReLU, ELU)

# Each loss after a linear layer, and half the squared error after any other.
HUBER = Huber(3.0)
ENDS = {
    "half squared error": ("linear", "half_squared_error"),
    "its mean over the outputs": ("linear", HalfSquaredError(mean_over_outputs=True)),
    "after linear": (Linear(0.5, 0.2), "half_squared_error"),
    "after sigmoid": ("sigmoid", "half_squared_error"),
    "after tanh": ("tanh", "half_squared_error"),
    "after exp": ("exp", "half_squared_error"),
    "after softmax": ("softmax", "half_squared_error"),
    "softmax, mean over the outputs": ("softmax", HalfSquaredError(mean_over_outputs=True)),
    "binary cross-entropy": ("linear", "binary_cross_entropy"),
    "binary cross-entropy of a scaled output": (Linear(2.0, 0.2), "binary_cross_entropy"),
    "cross-entropy": ("linear", "cross_entropy"),
    "half Poisson deviance": ("linear", "half_poisson_deviance"),
    "Huber": ("tanh", HUBER),
}
KINKED_ENDS = {
    "after relu": ("relu", "half_squared_error"),
    "after leaky_relu": ("leaky_relu", "half_squared_error"),
    "after elu": (ELU(0.5), "half_squared_error"),
}


def network(hidden, end, depth, bias):
    """``depth`` hidden layers of 4 units and an output layer; a layer as ``hidden`` follows each linear one."""
    layers = []
    for _ in range(depth):
        layers += [Dense(4, "linear", bias), hidden] if isinstance(hidden, PReLU) else [Dense(4, hidden, bias)]
    return Sequential(*layers, Dense(N_OUT, end, bias))


def data(rng, loss):
    X = rng.uniform(-1.0, 1.0, (M, N_IN))
    Y = {
        "binary_cross_entropy": lambda: rng.integers(0, 2, (M, N_OUT)).astype(float),
        "cross_entropy": lambda: np.eye(N_OUT)[rng.integers(0, N_OUT, M)],
        # From tanh, errors well inside and well outside of delta: no kink lies near.
        HUBER: lambda: np.where(rng.uniform(size=(M, N_OUT)) < 0.5, rng.uniform(-1, 1, (M, N_OUT)), 8.0),
        "half_poisson_deviance": lambda: rng.poisson(1.5, (M, N_OUT)).astype(float),
    }.get(loss, lambda: rng.uniform(size=(M, N_OUT)))()
    return X, Y, rng.uniform(0.5, 2.0, M)


def point(rng, layout, largest=0.8):
    """Parameters at least 0.1 from 0."""
    return rng.choice([-1.0, 1.0], layout.n_parameters) * rng.uniform(0.1, largest, layout.n_parameters)


def signs(model, X):
    """On which side of its kink every weight, slope and unit lies, as a function of theta."""
    layers, layout = model.network.layers, model.layout(N_IN)
    kinked = [k for k, layer in enumerate(layers, 1) if isinstance(getattr(layer, "f", None), KINKS)]
    kinked += [k for k, layer in enumerate(layers) if isinstance(layer, PReLU)]  # its input has the sign that counts

    def of(theta):
        params = layout.unpack(theta)
        Zs = [Sequential(*layers[:k]).forward(params[:k], X)[0] for k in kinked]
        return np.concatenate([theta > 0.0, *(Z.ravel() > 0.0 for Z in Zs)])

    return of


def shapes(hidden):
    """(hidden layers, whether there are biases); e^e^e^z is left out: its ninth derivative drowns the difference."""
    return ((1, True), (1 if hidden == "exp" else 3, True), (1, False))


OPTIONS = list(itertools.product(["mean", "sum"], [False, True], [0.0, 0.02], [0.0, 0.05]))


def check(model, X, Y, w, rng, largest=0.8):
    def draw():
        while True:  # a network whose outputs are all dead has no gradient to be compared with
            theta = point(rng, model.layout(N_IN), largest)
            if np.linalg.norm(model.cost_and_gradient(theta, X, Y, w)[1]) > 0.01:
                return theta

    theta, direction = smooth_line(signs(model, X), draw, rng)
    _, g = model.cost_and_gradient(theta, X, Y, w)
    assert_is_gradient(lambda t: model.cost(t, X, Y, w), theta, g, direction)


@pytest.mark.parametrize("end", [*ENDS, *KINKED_ENDS])
@pytest.mark.parametrize("hidden", [*SMOOTH, *KINKED], ids=str)
def test_gradients_are_those_of_central_differences(hidden, end, rng):
    f, loss = {**ENDS, **KINKED_ENDS}[end]
    X, Y, w = data(rng, loss)
    for depth, bias in shapes(hidden):
        for reduction, weighted, l1, l2 in OPTIONS if (depth, bias) == (1, True) else OPTIONS[:1] + OPTIONS[-1:]:
            model = Model(network(hidden, f, depth, bias), loss, l1, l2, reduction)
            check(model, X, Y, w if weighted else None, rng, 0.3 if hidden == "exp" else 0.8)


@pytest.mark.parametrize("end", ENDS)
def test_gradients_without_a_hidden_layer(end, rng):
    f, loss = ENDS[end]
    X, Y, w = data(rng, loss)
    for bias, weights in itertools.product([True, False], [None, w]):
        check(Model(Sequential(Dense(N_OUT, f, bias)), loss, 0.02, 0.05), X, Y, weights, rng)


def test_gradients_with_a_penalty_that_is_scaled(rng):
    X, Y, w = data(rng, "cross_entropy")
    for reduction in ("mean", "sum"):
        model = Model(network("tanh", "linear", 1, True), "cross_entropy", 0.02, 0.05, reduction, scale_penalty=True)
        check(model, X, Y, w, rng)


def test_gradients_of_one_unit_and_one_sample(rng):
    for loss in ("half_squared_error", "binary_cross_entropy", "half_poisson_deviance"):
        model = Model(Sequential(Dense(1, "tanh"), Dense(1)), loss)
        check(model, rng.normal(size=(1, N_IN)), np.ones((1, 1)), None, rng)


def test_the_central_difference_would_show_an_error(rng):
    """A gradient that is off by a hundred thousandth is caught; so is one that forgets 1/m, biases or weights."""
    X, Y, w = data(rng, "cross_entropy")
    model = Model(network("tanh", "linear", 1, True), "cross_entropy")
    theta = point(rng, model.layout(N_IN))
    _, g = model.cost_and_gradient(theta, X, Y, w)
    direction = unit_direction(rng, theta.size)

    def J(t):
        return model.cost(t, X, Y, w)

    assert_is_gradient(J, theta, g, direction)
    without_biases = np.where(np.arange(g.size) < model.layout(N_IN).n_weights, g, 0.0)
    for wrong in (g * (1 + 1e-5), M * g, without_biases, model.cost_and_gradient(theta, X, Y)[1]):
        with pytest.raises(AssertionError, match="off by"):
            assert_is_gradient(J, theta, wrong, direction)


def test_the_difference_is_of_eighth_order():
    def J(t):
        return float(np.exp(3.0 * t[0]))

    errors = [abs(derivative_along(J, np.zeros(1), np.ones(1), h) - 3.0) for h in (0.2, 0.1)]
    assert 200 < errors[0] / errors[1] < 320


# --- PyTorch


def torch_cost(torch, model, layout, theta, X, Y, w):
    """J(theta) written once more, in PyTorch's own words."""
    F = torch.nn.functional
    functions = {
        "Sigmoid": lambda f, z: torch.sigmoid(z),
        "Tanh": lambda f, z: torch.tanh(z),
        "ReLU": lambda f, z: torch.relu(z),
        "LeakyReLU": lambda f, z: F.leaky_relu(z, f.alpha),
        "ELU": lambda f, z: F.elu(z, f.alpha),
        "Exp": lambda f, z: torch.exp(z),
        "Softmax": lambda f, z: torch.softmax(z, dim=1),
        "Linear": lambda f, z: f.alpha * z + f.c,
    }
    at, penalty, A = iter(torch.split(theta, sizes(layout))), 0.0, X
    pieces = {place: next(at).reshape(shape) for place, shape in places(layout)}
    for k, layer in enumerate(model.network.layers):
        if isinstance(layer, PReLU):
            A = F.prelu(A, pieces[k, 0])
            continue
        W = pieces[k, 0]
        Z = A @ W + (pieces[k, 1] if layer.bias else 0.0)
        A = functions[type(layer.f).__name__](layer.f, Z)
        penalty = penalty + model.l1 * W.abs().sum() + model.l2 / 2 * (W * W).sum()
    losses = {
        "half_squared_error": lambda: 0.5 * ((A - Y) ** 2).sum(1),
        "binary_cross_entropy": lambda: F.binary_cross_entropy_with_logits(A, Y, reduction="none").sum(1),
        "cross_entropy": lambda: F.cross_entropy(A, Y, reduction="none"),
        HUBER: lambda: F.huber_loss(A, Y, reduction="none", delta=HUBER.delta).sum(1),
        "half_poisson_deviance": lambda: (
            (
                F.poisson_nll_loss(A, Y, reduction="none")
                + torch.xlogy(Y, Y)
                - Y  # torch leaves out what Y alone decides
            ).sum(1)
        ),
    }
    L = losses[model.loss]() * w
    return (L.sum() / w.sum() if model.reduction == "mean" else L.sum()) + penalty


def places(layout):
    """((layer, parameter), shape) in the order of theta."""
    found = [((k, i), at.start, shape) for k, of in enumerate(layout.windows) for i, (at, shape) in enumerate(of)]
    return [(place, shape) for place, _, shape in sorted(found, key=lambda each: each[1])]


def sizes(layout):
    return [int(np.prod(shape)) for _, shape in places(layout)]


@pytest.mark.parametrize("end", [end for end, (_, loss) in ENDS.items() if isinstance(loss, str)])
@pytest.mark.parametrize("hidden", [*SMOOTH, *KINKED], ids=str)
def test_gradients_are_torchs(hidden, end, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    f, loss = ENDS[end]
    X, Y, w = data(rng, loss)
    for (depth, bias), reduction in itertools.product(shapes(hidden), ("mean", "sum")):
        model = Model(network(hidden, f, depth, bias), loss, 0.02, 0.05, reduction)
        layout = model.layout(N_IN)
        theta = point(rng, layout)
        cost, g = model.cost_and_gradient(theta, X, Y, w)
        leaf = torch.tensor(theta, requires_grad=True)
        theirs = torch_cost(torch, model, layout, leaf, *map(torch.tensor, (X, Y, w)))
        theirs.backward()
        assert cost == pytest.approx(theirs.item(), rel=1e-12)
        error = np.linalg.norm(g - leaf.grad.numpy())
        assert error <= 1e-12 * np.linalg.norm(g)


# --- every library

NETWORKS = {
    "sigmoid, cross-entropy": (["sigmoid"], "linear", "cross_entropy"),
    "relu and tanh, binary cross-entropy": (["relu", "tanh"], "linear", "binary_cross_entropy"),
    "elu and learned slopes, softmax": ([ELU(0.5), PReLU()], "softmax", "half_squared_error"),
    "leaky_relu and softmax, Poisson": (["leaky_relu", "softmax"], "linear", "half_poisson_deviance"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_library_has_numpys_gradient(library, dtype, name, rng):
    hidden, f, loss = NETWORKS[name]
    layers = []
    for h in hidden:
        layers += [Dense(4), h] if isinstance(h, PReLU) else [Dense(4, h)]
    model = Model(Sequential(*layers, Dense(N_OUT, f)), loss, 0.02, 0.05)
    X, Y, w = data(rng, loss)
    theta = point(rng, model.layout(N_IN))
    cost, g = model.cost_and_gradient(theta.astype(dtype), X.astype(dtype), Y, w)
    theirs_cost, theirs = model.cost_and_gradient(theta, library.asarray(X, dtype), Y, w)
    assert library.owns(theirs)
    assert theirs.dtype == getattr(library.xp, dtype)
    rtol = 1e-5 if dtype == "float32" else 1e-12
    assert theirs_cost == pytest.approx(cost, rel=rtol)
    assert np.linalg.norm(to_numpy(theirs) - g) <= rtol * np.linalg.norm(g)
