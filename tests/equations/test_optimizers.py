"""Update rules against PyTorch's over twenty steps, and against their own recurrences."""

import pickle

import numpy as np
import pytest

from xpnet.backends import to_numpy
from xpnet.equations.optimizers import Adam, AdamW, GradientDescent, Momentum, Optimizer

RULES = [
    GradientDescent(0.1),
    Momentum(0.1, 0.8),
    Momentum(0.1, 0.8, nesterov=True),
    Adam(0.05),
    AdamW(0.05, weight_decay=0.2),
]
STEPS = 20


def gradient(theta, t):
    """Any gradient will do, as long as it depends on theta and on the step."""
    return np.sin(theta) + 0.1 * theta + 0.3 * np.cos(t + np.arange(theta.size))


def run(optimizer, theta, *, weights=True, steps=STEPS, asarray=np.asarray):
    """theta after these steps, all of it weights or none."""
    theta, slots = asarray(theta), tuple(asarray(np.zeros_like(theta)) for _ in range(optimizer.slots))
    for t in range(1, steps + 1):
        g = asarray(gradient(to_numpy(theta).astype(np.float64), t))
        scalars = optimizer.scalars(t, optimizer.learning_rate)
        start = optimizer.decayed(theta, scalars) if weights else theta
        theta, *slots = optimizer.update(start, g, tuple(slots), scalars)
        assert len(slots) == optimizer.slots
    return theta


def torch_run(make, theta):
    """The same with one of torch's optimizers."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    parameter = torch.nn.Parameter(torch.tensor(theta))
    optimizer = make(torch.optim, [parameter])
    for t in range(1, STEPS + 1):
        parameter.grad = torch.tensor(gradient(parameter.detach().numpy(), t))
        optimizer.step()
    return parameter.detach().numpy()


# PyTorch adds epsilon to sqrt(v / (1 - b2^t)), Kingma and Ba's section 2 to sqrt(v): alike only for a tiny epsilon.
TORCHS = [
    (GradientDescent(0.1), lambda optim, p: optim.SGD(p, lr=0.1)),
    (Momentum(0.1, 0.8), lambda optim, p: optim.SGD(p, lr=0.1, momentum=0.8)),
    (Momentum(0.1, 0.8, nesterov=True), lambda optim, p: optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True)),
    (Adam(0.05, epsilon=1e-30), lambda optim, p: optim.Adam(p, lr=0.05, eps=1e-30)),
    (Adam(0.01, 0.5, 0.6, 1e-30), lambda optim, p: optim.Adam(p, lr=0.01, betas=(0.5, 0.6), eps=1e-30)),
    (
        AdamW(0.05, epsilon=1e-30, weight_decay=0.2),
        lambda optim, p: optim.AdamW(p, lr=0.05, eps=1e-30, weight_decay=0.2),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), TORCHS, ids=[repr(ours) for ours, _ in TORCHS])
def test_rules_are_torchs(ours, theirs, rng):
    theta = rng.normal(size=7)
    np.testing.assert_allclose(run(ours, theta), torch_run(theirs, theta), rtol=1e-12)


def test_momentum_is_torchs_velocity_times_the_learning_rate(rng):
    """Ours is v = mu v - alpha g, theirs u = mu u + g and theta -= alpha u: v = -alpha u while alpha stays."""
    theta, g, v, u = rng.normal(size=3), rng.normal(size=3), np.zeros(3), np.zeros(3)
    for _ in range(5):
        _, v = Momentum(0.1, 0.8).update(theta, g, (v,), Momentum().scalars(1, 0.1))
        u = 0.8 * u + g
        np.testing.assert_allclose(v, -0.1 * u, rtol=1e-14)


def test_adams_epsilon_is_added_to_the_root_of_v(rng):
    theta, m, v = rng.normal(size=5), np.zeros(5), np.zeros(5)
    ours = run(Adam(0.05, 0.9, 0.99, 0.1), theta)
    for t in range(1, STEPS + 1):
        g = gradient(theta, t)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        theta = theta - 0.05 * np.sqrt(1 - 0.99**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 0.1)
    np.testing.assert_allclose(ours, theta, rtol=1e-12)


def test_adams_first_step_has_the_learning_rates_length():
    theta, _, _ = Adam(0.01).update(np.zeros(2), np.array([3.0, -1e-3]), (np.zeros(2),) * 2, Adam().scalars(1, 0.01))
    np.testing.assert_allclose(theta, [-0.01, 0.01], rtol=1e-3)


def test_adam_is_scikit_learns(rng):
    from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

    theta = rng.normal(size=5)
    theirs = [theta.copy()]
    optimizer = AdamOptimizer(theirs, learning_rate_init=0.05)
    for t in range(1, STEPS + 1):
        optimizer.update_params(theirs, [gradient(theirs[0], t)])
    np.testing.assert_allclose(run(Adam(0.05), theta), theirs[0], rtol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_scikit_learns(rng, nesterov):
    from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

    theta = rng.normal(size=5)
    theirs = [theta.copy()]
    optimizer = SGDOptimizer(theirs, 0.05, momentum=0.7, nesterov=nesterov)
    for t in range(1, STEPS + 1):
        optimizer.update_params(theirs, [gradient(theirs[0], t)])
    np.testing.assert_allclose(run(Momentum(0.05, 0.7, nesterov), theta), theirs[0], rtol=1e-12)


def test_weight_decay_acts_on_weights_alone(rng):
    theta = rng.normal(size=5)
    np.testing.assert_array_equal(run(AdamW(0.05, weight_decay=0.2), theta, weights=False), run(Adam(0.05), theta))
    assert not np.allclose(run(AdamW(0.05, weight_decay=0.2), theta), run(Adam(0.05), theta))
    np.testing.assert_array_equal(run(AdamW(0.05, weight_decay=0.0), theta), run(Adam(0.05), theta))


def test_without_momentum_it_is_gradient_descent(rng):
    theta = rng.normal(size=5)
    for nesterov in (False, True):
        np.testing.assert_allclose(
            run(Momentum(0.1, 0.0, nesterov), theta), run(GradientDescent(0.1), theta), rtol=1e-14
        )


@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_every_library_agrees(library, optimizer, rng):
    theta = rng.normal(size=5)
    ours = run(optimizer, theta, asarray=lambda a: library.asarray(a, "float64"), steps=8)
    assert library.owns(ours)
    np.testing.assert_allclose(to_numpy(ours), run(optimizer, theta, steps=8), rtol=1e-12)


@pytest.mark.parametrize("optimizer", RULES, ids=repr)
def test_rules_are_pure_values(optimizer, rng):
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer
    theta, g = rng.normal(size=(2, 4))
    arrays = (theta, g, *rng.uniform(size=(optimizer.slots, 4)))
    for a in arrays:
        a.flags.writeable = False
    scalars = optimizer.scalars(1, 0.1)
    optimizer.update(optimizer.decayed(theta, scalars), g, arrays[2:], scalars)


@pytest.mark.parametrize("given", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [GradientDescent, Momentum, Adam, AdamW])
def test_learning_rates_are_finite_and_above_zero(kind, given):
    with pytest.raises(ValueError, match=rf"^learning_rate is {given!r}; it must be a finite number above 0"):
        kind(given)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Momentum(momentum=-0.1), r"^momentum is -0.1; it must be"),
        (lambda: Momentum(momentum=1.5), r"^momentum is 1.5; it must be"),
        (lambda: Adam(beta_1=1.0), r"^beta_1 is 1.0; it must be at least 0 and below 1"),
        (lambda: Adam(beta_2=-1.0), r"^beta_2 is -1.0; it must be at least 0 and below 1"),
        (lambda: Adam(epsilon=0.0), r"^epsilon is 0.0; it must be above 0"),
        (lambda: AdamW(weight_decay=-1.0), r"^weight_decay is -1.0; it must be 0 or more"),
        (lambda: AdamW(weight_decay=float("nan")), r"^weight_decay is nan; it must be 0 or more"),
    ],
)
def test_other_settings_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_a_base_class_says_what_is_missing():
    with pytest.raises(TypeError, match="Optimizer must define update"):
        Optimizer().update(np.ones(1), np.ones(1), (), Optimizer().scalars(1, 0.1))
