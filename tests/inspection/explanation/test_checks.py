"""The check finds wrong gradients, and distinguishes them from kinks."""

from dataclasses import dataclass

import numpy as np
import pytest

from xpnet import Dense, GradientDescent, Model, Sequential, explain, initial_state
from xpnet.equations.activations import Activation
from xpnet.equations.losses import Loss, Quantile
from xpnet.inspection.explanation.checks import check

EPS = float(np.finfo(np.float64).eps) ** 0.5


@dataclass(frozen=True)
class Cube(Activation):
    """a = z^3, which is not in xpnet."""

    wrong_by: float = 0.0

    def forward(self, Z):
        return Z * Z * Z

    def derivative(self, Z, A):
        return 3.0 * Z * Z * (1.0 + self.wrong_by)


@dataclass(frozen=True)
class Skewed(Dense):
    """A Dense layer whose dX, dW or db is off."""

    off: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def forward(self, params, X, train=None):
        A, backward = super().forward(params, X, train)

        def wrong(dA, need_dX=True):
            dX, (dW, db) = backward(dA, need_dX)
            x, w, b = self.off
            return (x * dX if need_dX else None), (w * dW, b * db)

        return A, wrong


@dataclass(frozen=True)
class WrongLoss(Loss):
    """L = (yhat - y)^2, whose dZ forgets the 2."""

    def per_element(self, Z, Y):
        return (Z - Y) ** 2, Z - Y


def verdicts(model, rng, n=3, m=4):
    theta = rng.normal(size=model.layout(n).n_parameters)
    out = model.layout(n).out_shape[0]
    X, Y = rng.normal(size=(m, n)), rng.uniform(size=(m, out))
    explanation = explain(model, X, Y, state=initial_state(theta, GradientDescent()))
    return {q.name: q.check.verdict for q in explanation if q.check is not None}


def wrong(found):
    return {name for name, verdict in found.items() if verdict == "differs"}


def test_what_is_right_agrees(rng):
    for model in (Model(Sequential(Dense(3, Cube()), Skewed(2))), Model(Sequential(Dense(40, "tanh"), Dense(2)))):
        assert set(verdicts(model, rng).values()) == {"agrees"}


@pytest.mark.parametrize("off", [1e-3, 1.0])
def test_a_wrong_derivative_is_found_where_it_is(off, rng):
    assert wrong(verdicts(Model(Sequential(Dense(3, Cube(off)), Dense(2))), rng)) == {
        *("dZ1", "sum dW1", "dW1", "sum db1", "db1")
    }


@pytest.mark.parametrize(
    ("off", "names"),
    [
        ((1.0, 1.001, 1.0), {"sum dW2", "dW2"}),
        ((1.0, 1.0, -1.0), {"sum db2", "db2"}),
        ((0.99, 1.0, 1.0), {"dA1", "dZ1", "sum dW1", "dW1", "sum db1", "db1"}),
    ],
)
def test_a_wrong_backward_is_found_where_it_is(off, names, rng):
    assert wrong(verdicts(Model(Sequential(Dense(3, "tanh"), Skewed(2, off=off))), rng)) == names


def test_a_wrong_loss_is_found(rng):
    assert "dZ1" in wrong(verdicts(Model(Sequential(Dense(2)), WrongLoss()), rng))


def test_wrong_gradients_of_large_arrays_are_found_along_directions(rng):
    model = Model(Sequential(Dense(100, "tanh"), Skewed(2, off=(1.0, 1.01, 1.0))))
    assert wrong(verdicts(model, rng, n=50)) == {"sum dW2", "dW2"}


def test_a_kink_at_the_very_point_is_named():
    """Z = 0 and w = 0 exactly: the differences take the mean of both slopes, ReLU and |w| have 0 there."""
    model = Model(Sequential(Dense(2, "relu"), Dense(1)), l1=0.1)
    theta = np.asarray([1.0, 2.0, 0.0, -1.0, 1.0, 2.0, -1.0, 0.0, 0.5])
    explanation = explain(model, [[1.0, 1.0]], [[0.0]], state=initial_state(theta, GradientDescent()))
    assert explanation["Z1"].value.tolist() == [[0.0, 1.0]]
    found = {q.name: q.check.verdict for q in explanation if q.check is not None}
    assert found["dZ1"] == found["dW1"] == found["db1"] == "kink"
    assert found["dW2"] == found["db2"] == found["dZ2"] == "agrees"
    assert "a kink" in str(explanation["dW1"].check)
    assert "kink" in explanation.text()


def test_a_kink_nearby_is_stepped_between():
    """At 1e-3 from ReLU's kink the first, wide differences cross it."""
    model = Model(Sequential(Dense(1, "relu")))
    theta = np.asarray([1.0, 0.001])
    explanation = explain(model, [[0.0]], [[1.0]], state=initial_state(theta, GradientDescent()))
    assert {q.check.verdict for q in explanation if q.check is not None} == {"agrees"}


def test_an_error_of_0_is_a_quantiles_kink():
    model = Model(Sequential(Dense(1)), Quantile(0.9))
    theta = np.asarray([1.0, 0.0])
    explanation = explain(model, [[1.0]], [[1.0]], state=initial_state(theta, GradientDescent()))
    assert explanation["dZ1"].check.verdict == "kink"


def test_a_wrong_gradient_beside_a_kink_is_wrong():
    """A kink of slope 1e-6 does not excuse an error of 1."""

    def F(t):
        return t[0] ** 2 + 1e-6 * abs(t[0] - 1.0), 2.0 * t + 1e-6 * np.sign(t - 1.0)

    assert check(F, np.ones(1), np.asarray([2.0 + 1e-6]), EPS).verdict == "kink"
    assert check(F, np.ones(1), np.asarray([1.0]), EPS).verdict == "differs"


def test_a_gradient_of_0_is_compared_as_it_is():
    found = check(lambda t: (3.0, np.zeros(2)), np.ones(2), np.zeros(2), EPS)
    assert (found.verdict, found.error) == ("agrees", 0.0)
    assert check(lambda t: (t.sum(), np.ones(2)), np.ones(2), np.zeros(2), EPS).verdict == "differs"
    assert check(lambda t: (t.sum(), np.zeros(2)), np.ones(2), np.zeros(2), EPS).verdict == "differs"


def test_large_values_are_no_excuse(rng):
    """Unscaled features, in the thousands: the wide differences are useless, the narrow ones are not."""
    model = Model(Sequential(Dense(3, "tanh"), Dense(1)))
    theta = 1e-3 * rng.normal(size=model.layout(2).n_parameters)
    X = 1000.0 * rng.uniform(size=(5, 2))
    explanation = explain(model, X, rng.uniform(size=(5, 1)), state=initial_state(theta, GradientDescent()))
    assert {q.check.verdict for q in explanation if q.check is not None} == {"agrees"}


def test_float32_is_checked_in_float64(library, rng):
    model = Model(Sequential(Dense(4, "sigmoid"), Dense(2)), "cross_entropy")
    state = model.initial(rng, 3, GradientDescent())
    X, Y = (library.asarray(a, "float32") for a in (rng.normal(size=(5, 3)), np.eye(2)[[0, 1, 1, 0, 0]]))
    explanation = explain(model, X, Y, state=state)
    checks = [q.check for q in explanation if q.check is not None]
    assert {check.verdict for check in checks} == {"agrees"}
    assert 1e-9 < max(check.error for check in checks) < 1e-5  # float32's rounding, not float64's
    assert checks[0].tolerance == pytest.approx(3.45e-4, rel=0.01)


def test_no_check(rng):
    model = Model(Sequential(Dense(2)))
    explanation = explain(
        model, np.ones((2, 3)), np.ones((2, 2)), state=model.initial(rng, 3, GradientDescent()), check=False
    )
    assert all(q.check is None for q in explanation)
    assert "central differences" not in explanation.text() + explanation.html() + explanation.markdown()
