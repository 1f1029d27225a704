"""Layers of a user's own: Mazur's network, whose biases are held fixed, and layers that depend on ``train``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from xpnet import Dense, GradientDescent, Model, Sequential, State, explain
from xpnet.backends import array_namespace
from xpnet.equations.layers import Parameter


@dataclass(frozen=True)
class FixedBias:
    """A bias that is not learned."""

    value: float

    equation = "A = X + value"

    def shapes(self, in_shape):
        return (), in_shape

    def initial(self, rng, in_shape):
        return ()

    def forward(self, params, X, train=None):
        return X + self.value, lambda dA, need_dX=True: (dA if need_dX else None, ())


@dataclass(frozen=True)
class Sigmoids:
    """The logistic function as a layer."""

    equation = "A = 1 / (1 + e^-X)"
    source = "D0 forward 2"

    @property
    def steps(self):
        return {"dX": "dA A (1 - A)"}

    def shapes(self, in_shape):
        return (), in_shape

    def initial(self, rng, in_shape):
        return ()

    def forward(self, params, X, train=None):
        A = 1.0 / (1.0 + array_namespace(X).exp(-X))
        return A, lambda dA, need_dX=True: (dA * A * (1.0 - A), ())


def test_mazurs_network():
    """Matt Mazur, "A Step by Step Backpropagation Example", 2015; its digits are those printed there."""
    linear = Dense(2, bias=False)
    model = Model(
        Sequential(linear, FixedBias(0.35), Sigmoids(), linear, FixedBias(0.6), Sigmoids()),
        "half_squared_error",
        reduction="sum",
    )
    W1, W4 = np.asarray([[0.15, 0.25], [0.20, 0.30]]), np.asarray([[0.40, 0.50], [0.45, 0.55]])
    theta = model.layout(2).pack(((W1,), (), (), (W4,), (), ()))
    explanation = explain(model, [[0.05, 0.10]], [[0.01, 0.99]], state=State(theta, (), GradientDescent(0.5), 0.5))

    def printed(name, numbers, digits):
        assert explanation[name].value.ravel() == pytest.approx(numbers, rel=0, abs=1.01 * 10**-digits), name

    printed("A2", [0.3775, 0.3925], 4)  # net_h1
    printed("A3", [0.593269992, 0.596884378], 9)  # out_h
    printed("A6", [0.75136507, 0.772928465], 9)  # out_o
    printed("J", [0.298371109], 9)
    printed("dA6", [0.74136507, -0.217071535], 9)
    printed("dA5", [0.138498562, -0.038098236], 9)  # delta_o
    assert explanation["dW4"].value[0, 0] == pytest.approx(0.082167041, abs=5e-10)
    assert explanation["dW1"].value[0, 0] == pytest.approx(0.000438568, abs=5e-10)
    new = explanation["W4 new"].value
    assert [new[0, 0], new[1, 0], new[0, 1], new[1, 1]] == pytest.approx(
        [0.35891648, 0.408666186, 0.511301270, 0.561370121], abs=5e-10
    )
    new = explanation["W1 new"].value
    assert [new[0, 0], new[1, 0], new[0, 1], new[1, 1]] == pytest.approx(
        [0.149780716, 0.19956143, 0.24975114, 0.29950229], abs=5e-9
    )
    printed("J new", [0.291027774], 9)
    assert {q.check.verdict for q in explanation if q.check is not None} == {"agrees"}


def test_a_users_layers_are_named_by_their_attributes(rng):
    model = Model(Sequential(Dense(2), Sigmoids(), FixedBias(1.0)))
    explanation = explain(model, np.ones((3, 2)), np.ones((3, 2)), state=model.initial(rng, 2, GradientDescent()))
    assert explanation["A2"].equation == "A2 = Sigmoids(A1), A = 1 / (1 + e^-X)"
    assert explanation["A2"].source == "D0 forward 2"
    assert explanation["A3"].equation == "A3 = FixedBias(A2), A = X + value"
    assert explanation["dA2"].equation == "dA2, by FixedBias's backward"
    assert explanation["dA1"].equation == "dA1 = dA2 A2 (1 - A2)"
    assert explanation.layers[1:] == ("Sigmoids()", "FixedBias(value=1.0)")
    assert "Z2" not in explanation
    assert explanation["dA2"].check.verdict == "agrees"
    assert explanation["dA1"].check.verdict == "agrees"


@dataclass(frozen=True)
class Masked:
    """A = scale * X * mask in training, A = X elsewhere; the mask depends on the place alone."""

    def shapes(self, in_shape):
        return (Parameter("scale", in_shape, "other"),), in_shape

    def initial(self, rng, in_shape):
        return (np.ones(in_shape),)

    def forward(self, params, X, train: Any = None):
        (scale,) = params
        xp = array_namespace(X)
        keep = xp.asarray([1.0, 0.0] * X.shape[1], dtype=X.dtype)[: X.shape[1]] if train is not None else 1.0

        def backward(dA, need_dX=True):
            return dA * keep * scale, (xp.sum(dA * keep * X, axis=0),)

        return scale * X * keep, backward


def test_the_check_passes_train_on_as_the_step_did(rng):
    model = Model(Sequential(Dense(4, "tanh"), Masked(), Dense(2)), "cross_entropy", l2=0.1)
    X, Y = rng.normal(size=(5, 3)), np.eye(2)[[0, 1, 1, 0, 1]]
    explanation = explain(model, X, Y, state=model.initial(rng, 3, GradientDescent()))
    assert (explanation["A2"].value[:, 1::2] == 0.0).all()
    assert (explanation["dA1"].value[:, 1::2] == 0.0).all()
    assert {q.check.verdict for q in explanation if q.check is not None} == {"agrees"}
    assert explanation["dscale2"].value.tolist()[1] == 0.0


def test_logits_of_a_users_own_layer(rng):
    model = Model(Sequential(Dense(3, "tanh"), FixedBias(0.5)), "cross_entropy")
    explanation = explain(
        model, rng.normal(size=(4, 2)), np.eye(3)[[0, 1, 2, 2]], state=model.initial(rng, 2, GradientDescent())
    )
    assert explanation["Z2"].equation.startswith("Z2 = FixedBias(A1)")
    np.testing.assert_allclose(explanation["A2"].value.sum(axis=1), 1.0)
    np.testing.assert_allclose(
        explanation["dZ2"].value, explanation["A2"].value - explanation["Y"].value, rtol=1e-12, atol=1e-15
    )
    assert {q.check.verdict for q in explanation if q.check is not None} == {"agrees"}


@dataclass(frozen=True)
class OfImages:
    """A = the sum of each row of an image."""

    def shapes(self, in_shape):
        return (), in_shape[:1]

    def initial(self, rng, in_shape):
        return ()

    def forward(self, params, X, train=None):
        xp = array_namespace(X)

        def backward(dA, need_dX=True):
            return (dA[:, :, None] * xp.ones_like(X) if need_dX else None), ()

        return xp.sum(X, axis=2), backward


def test_a_class_without_an_equation_is_named(rng):
    model = Model(Sequential(OfImages(), Dense(2)))
    state = model.initial(rng, (3, 4), GradientDescent())
    explanation = explain(model, rng.normal(size=(5, 3, 4)), np.ones((5, 2)), state=state, check=False)
    assert explanation["A1"].equation == "A1 = OfImages(X)"
    assert explanation["A1"].source == ""


def test_samples_of_two_dimensions(rng):
    model = Model(Sequential(OfImages(), Dense(2)))
    explanation = explain(
        model, rng.normal(size=(5, 3, 4)), np.ones((5, 2)), state=model.initial(rng, (3, 4), GradientDescent())
    )
    assert explanation["X"].value.shape == (5, 3, 4)
    assert "3x4 → 3 → 2" in explanation.facts["network"]
    assert explanation["dA1"].check.verdict == "agrees"
    for text in (explanation.text(), explanation.markdown(), explanation.html(), explanation.json()):
        assert "OfImages" in text
