"""The equations that classes carry as text are what they compute."""

import re
from dataclasses import fields

import numpy as np
import pytest
from equation_text import worked_out

from xpnet import Adam, AdamW, Dense, GradientDescent, Momentum, PReLU
from xpnet.equations import activations, losses
from xpnet.equations.activations import ELU, LeakyReLU, Linear
from xpnet.equations.losses import HalfSquaredError, Huber, Quantile

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(6, 4))
RULES = [GradientDescent(0.3), Momentum(0.3, 0.8), Momentum(0.3, 0.8, nesterov=True), Adam(0.02), AdamW(0.02)]
ACTIVATIONS = {f: f for f in [*activations.BY_NAME.values(), Linear(2.0, 0.5), LeakyReLU(0.1), ELU(0.7)]}
LOSSES = {f: f for f in [*losses.BY_NAME.values(), HalfSquaredError(mean_over_outputs=True), Huber(0.3), Quantile(0.9)]}


def settings(of):
    return {f.name: getattr(of, f.name) for f in fields(of) if isinstance(getattr(of, f.name), float)}


@pytest.mark.parametrize("f", ACTIVATIONS, ids=str)
def test_activations(f):
    A, dA = f.forward(Z), RNG.normal(size=Z.shape)
    np.testing.assert_allclose(worked_out(f.equation, z=Z, **settings(f)), A, rtol=1e-12)
    slope = worked_out(f.derivative_equation, z=Z, a=A, da=dA, **settings(f))
    dZ = slope if f.derivative_equation.startswith("dz = ") else dA * slope
    np.testing.assert_allclose(dZ, f.backward(dA, Z, A), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_losses(loss):
    A = loss.link.forward(Z)
    Y = np.eye(4)[RNG.integers(4, size=6)] if "BinaryCrossEntropy" in str(loss) else RNG.dirichlet(np.ones(4), size=6)
    L, dZ = loss.per_element(Z, Y)
    known = {"A": A, "Y": Y, "a": A, "y": Y, "yhat": A, "E": A - Y, "r": 4, **settings(loss)}
    expected = L.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(worked_out(loss.equation, **known), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(worked_out(loss.derivative_equation, **known), dZ, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rules(rule, weights):
    """Each line in its order, from the scalars to theta, against ``scalars``, ``decayed`` and ``update``."""
    theta, g = RNG.normal(size=(2, 5))
    slots, t, rate = tuple(RNG.uniform(0.1, 1.0, (rule.slots, 5))), 3, rule.learning_rate
    scalars = rule.scalars(t, rate)
    new, *new_slots = rule.update(rule.decayed(theta, scalars) if weights else theta, g, slots, scalars)
    known = {**settings(rule), "theta": theta, "g": g, "t": t, "alpha": rate}
    lines = rule.equations(weights)
    for line, expected in zip(lines, scalars, strict=False):
        symbol, said = line.split(" = ") if " = " in line else (line.partition(",")[0], line.partition(",")[0])
        value = worked_out(f"{symbol} = {said}", **known)
        assert value == pytest.approx(expected, rel=1e-14)
        known[symbol] = value
    symbols = [line.split(" ")[0] for line in lines[len(scalars) : -1]]
    known |= dict(zip(symbols, slots, strict=True))
    for line, expected in zip(lines[len(scalars) :], [*new_slots, new], strict=True):
        symbol, operator, right = re.match(r"(\w+) ([+-]?=) (.*)", line).groups()
        value = worked_out(f"{symbol} = {right}", **known)
        known[symbol] = {"=": value, "+=": known[symbol] + value, "-=": known[symbol] - value}[operator]
        np.testing.assert_allclose(known[symbol], expected, rtol=1e-13, err_msg=line)


def test_dense():
    W, b, dA = RNG.normal(size=(4, 3)), RNG.normal(size=3), RNG.normal(size=(6, 3))
    A, backward = Dense(3).forward((W, b), Z)
    dX, (dW, db) = backward(dA)
    known = {"X": Z, "W": W, "b": b, "dZ": dA}
    steps = dict(Dense(3).steps)
    np.testing.assert_allclose(worked_out(steps.pop("db"), **known), db, rtol=1e-13)
    for name, expected in {"Z": A, "dX": dX, "dW": dW}.items():
        product = re.sub(r"(?<=\w) (?=[A-Za-z])", " @ ", steps.pop(name).replace("ᵀ", ".T"))
        np.testing.assert_allclose(eval(product, {}, known), expected, rtol=1e-13)
    assert not steps
    assert Dense(3, bias=False).steps["Z"] == "X W"


def test_prelu():
    alpha, dA = RNG.uniform(-1.0, 1.0, 4), RNG.normal(size=Z.shape)
    A, backward = PReLU().forward((alpha,), Z)
    dX, (dalpha,) = backward(dA)
    known = {"z": Z, "X": Z, "dA": dA, "alpha": alpha}
    np.testing.assert_allclose(worked_out(PReLU.equation, **known), A)
    np.testing.assert_allclose(worked_out(PReLU.steps["dX"], **known), dX)
    np.testing.assert_allclose(worked_out(PReLU.steps["dalpha"], **known), dalpha)


@pytest.mark.parametrize("text", ["f' = a (1 + a)", "f' = 1 - a"])
def test_a_wrong_text_is_noticed(text):
    A = activations.Sigmoid().forward(Z)
    assert not np.allclose(worked_out(text, a=A), A * (1.0 - A))
