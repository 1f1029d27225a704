"""Activations against their closed forms, in exact arithmetic where floats run out."""

import decimal
import pickle
from decimal import Decimal

import numpy as np
import pytest
import scipy.special

from xpnet.backends import to_numpy
from xpnet.equations import activations
from xpnet.equations.activations import (
    BY_NAME,
    ELU,
    Activation,
    Exp,
    LeakyReLU,
    Linear,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
    activation,
    log_sigmoid,
    log_softmax,
    softmax,
)

ELEMENTWISE = [
    Linear(), Linear(2.5, -1.0), Linear(-0.5), Sigmoid(), Tanh(), ReLU(), LeakyReLU(), LeakyReLU(0.2), LeakyReLU(1.5),
    ELU(), ELU(0.5), ELU(1.7), Exp(),
]  # fmt: skip

_EXACT = decimal.Context(prec=420, Emin=-99999, Emax=99999)


def exact(f, z):
    """(f(z), f'(z)) in 420 digits, which separate 1 + 2^-1074 from 1."""
    with decimal.localcontext(_EXACT):
        if isinstance(f, Linear):
            return Decimal(f.alpha) * z + Decimal(f.c), Decimal(f.alpha)
        if isinstance(f, Exp):
            return z.exp(), z.exp()
        if isinstance(f, Sigmoid):
            a = _exp(-abs(z)) / (1 + _exp(-abs(z)))
            return (1 - a if z > 0 else a), a * (1 - a)
        if isinstance(f, Tanh):
            q = _exp(-2 * abs(z))
            return ((1 - q) / (1 + q)).copy_sign(z), 4 * q / (1 + q) ** 2
        if isinstance(f, ReLU):
            return max(z, Decimal(0)), Decimal(int(z > 0))
        if z >= 0:
            return z, Decimal(1)
        alpha = Decimal(f.alpha)
        return (alpha * z, alpha) if isinstance(f, LeakyReLU) else (alpha * (_exp(z) - 1), alpha * _exp(z))


def _exp(z):
    return z.exp() if z > -2000 else Decimal(0)  # e^-2000 is 0 in every dtype, beside anything


def points(dtype):
    """Ordinary numbers, zeros, where exponentials leave float32 and float64, subnormals, and the largest number."""
    info = np.finfo(dtype)
    magnitudes = [0.0, 1e-30, 1e-8, 1e-3, 0.1, 0.5, 1.0, 2.3, 9.0, 17.0, 36.0, 38.0, 87.0, 88.0, 89.0, 103.0, 104.0]
    magnitudes += [708.0, 710.0, 744.0, 745.0, 746.0, 1e4, 1e30, info.max / 2, info.max]
    magnitudes += [8 * info.smallest_subnormal, info.smallest_normal / 2, info.smallest_normal]
    z = np.array([s * m for m in magnitudes for s in (1.0, -1.0)], dtype=dtype)
    return z[:, None]


def within(got, expected, ulps, dtype):
    """Whether each number lies within so many units in the last place of the exact one."""
    below_the_largest = np.nextafter(np.finfo(dtype).max, dtype(0))
    for g, e in zip(got.ravel(), expected, strict=True):
        assert np.isfinite(g)
        ulp = np.spacing(min(dtype(abs(e)), below_the_largest))
        assert abs(Decimal(float(g)) - e) <= ulps * Decimal(float(ulp)), (g, e)


def in_range(f, z, dtype):
    """The points at which f(z) is a finite number of this dtype."""
    return [bool(abs(exact(f, Decimal(float(x)))[0]) <= Decimal(float(np.finfo(dtype).max))) for x in z.ravel()]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", ELEMENTWISE, ids=repr)
def test_values_are_those_of_the_closed_form(f, dtype):
    z = points(dtype)
    if isinstance(f, Exp):
        z = z[np.abs(z) < (700 if dtype is np.float64 else 80)][:, None]
    z = z[in_range(f, z, dtype)]
    values = [exact(f, Decimal(float(x)))[0] for x in z.ravel()]
    A = f.forward(z)
    assert A.dtype == dtype
    within(A, values, 4, dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", ELEMENTWISE, ids=repr)
def test_derivatives_are_those_of_the_closed_form(f, dtype):
    z = points(dtype)
    if isinstance(f, Exp):
        z = z[np.abs(z) < (700 if dtype is np.float64 else 80)][:, None]
    z = z[in_range(f, z, dtype)]
    slopes = np.array([float(exact(f, Decimal(float(x)))[1]) for x in z.ravel()])
    dZ = f.backward(np.ones_like(z), z, f.forward(z))
    assert dZ.dtype == dtype
    # f' is written through a = f(z), which has been rounded: its error is of 1's order, not of f'(z)'s.
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(dZ.ravel(), slopes, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("f", [*ELEMENTWISE, Softmax()], ids=repr)
def test_every_library_agrees(library, dtype, f, rng):
    z = np.concatenate([rng.normal(0, 3, (6, 5)), [[0.0, -0.0, 20.0, -20.0, 60.0]]]).astype(dtype)
    dA = rng.normal(size=(7, 5)).astype(dtype)
    tolerance = {"rtol": 2e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-13, "atol": 1e-14}
    Z, G = (library.asarray(a, dtype) for a in (z, dA))
    for got, expected in (
        (f.forward(Z), f.forward(z)),
        (f.backward(G, Z, f.forward(Z)), f.backward(dA, z, f.forward(z))),
    ):
        assert library.owns(got)
        assert got.dtype == Z.dtype
        np.testing.assert_allclose(to_numpy(got), expected, **tolerance)
    np.testing.assert_array_equal(to_numpy(Z), z)


def test_extremes_on_every_library(library, dtype):
    """No NaN, and both limits; a library may flush subnormal numbers to 0."""
    z = points(getattr(np, dtype))
    for f in (Sigmoid(), Tanh(), ReLU(), LeakyReLU(), ELU(0.5)):
        Z = library.asarray(z, dtype)
        A = f.forward(Z)
        dZ = f.backward(library.asarray(np.ones_like(z), dtype), Z, A)
        assert np.isfinite(to_numpy(A)).all()
        assert np.isfinite(to_numpy(dZ)).all()
        np.testing.assert_allclose(to_numpy(A), f.forward(z), rtol=1e-5, atol=2e-38)


def test_relu_has_slope_zero_at_zero(library, dtype):
    z = library.asarray([[0.0, -0.0, 1.0, -1.0]], dtype)
    dZ = ReLU().backward(library.asarray(np.ones((1, 4)), dtype), z, ReLU().forward(z))
    np.testing.assert_array_equal(to_numpy(dZ), [[0.0, 0.0, 1.0, 0.0]])


@pytest.mark.parametrize("f", [LeakyReLU(0.3), ELU(0.3)], ids=repr)
def test_prelu_and_elu_have_slope_one_at_zero(f, dtype):
    z = np.zeros((1, 2), dtype)
    z[0, 1] = -0.0
    np.testing.assert_array_equal(f.backward(np.ones_like(z), z, f.forward(z)), [[1.0, 1.0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tails_keep_their_relative_accuracy(dtype):
    z = np.array([[-20.0, -50.0, -80.0]], dtype)
    e = np.exp(z.astype(np.float64))
    np.testing.assert_allclose(Sigmoid().forward(z), e / (1 + e), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(Sigmoid().backward(np.ones_like(z), z, Sigmoid().forward(z)), e, rtol=1e-6)


# --- softmax

ROWS = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [1e4, -1e4, 0.0], [-745.0, 745.0, 88.0], [-1e4, -1e4, -1e4]])


def test_softmax_is_scipys(library, dtype):
    P = softmax(library.asarray(ROWS, dtype))
    np.testing.assert_allclose(to_numpy(P), scipy.special.softmax(ROWS, axis=1), rtol=1e-6, atol=2e-38)
    np.testing.assert_allclose(to_numpy(P).sum(axis=1), 1.0, rtol=1e-6)


def test_log_softmax_is_scipys(library, dtype):
    L = log_softmax(library.asarray(ROWS, dtype))
    np.testing.assert_allclose(to_numpy(L), scipy.special.log_softmax(ROWS, axis=1), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_numbers_as_far_apart_as_possible(dtype):
    largest = np.finfo(dtype).max
    Z = np.array([[largest, -largest, 0.0], [-largest, -largest, largest / 2], [largest, largest, -largest]], dtype)
    np.testing.assert_array_equal(softmax(Z), [[1, 0, 0], [0, 0, 1], [0.5, 0.5, 0]])
    assert (log_softmax(Z)[0, 0], log_softmax(Z)[1, 2]) == (0.0, 0.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_of_numbers_up_to_half_the_largest(dtype):
    half = np.finfo(dtype).max / 2
    Z = np.array([[half, -half, 0.0], [half, half, -half]], dtype)
    np.testing.assert_array_equal(softmax(Z), [[1, 0, 0], [0.5, 0.5, 0]])
    np.testing.assert_array_equal(log_softmax(Z)[0], np.array([0, -2 * half, -half], dtype))


def test_logarithms_far_below_the_smallest_probability(library, dtype):
    L = to_numpy(log_softmax(library.asarray([[0.0, -200.0, -1e4]], dtype)))
    np.testing.assert_array_equal(L, [[0.0, -200.0, -1e4]])
    L = to_numpy(log_sigmoid(library.asarray([[-200.0, -1e4, 200.0, 1e4]], dtype)))
    np.testing.assert_allclose(L, [[-200.0, -1e4, 0.0, 0.0]], rtol=0, atol=1e-80)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_sigmoid_is_the_closed_form(dtype):
    z = points(dtype)
    with decimal.localcontext(_EXACT):
        expected = [min(Decimal(float(x)), Decimal(0)) - (1 + _exp(-abs(Decimal(float(x))))).ln() for x in z.ravel()]
    within(log_sigmoid(z), expected, 4, dtype)
    np.testing.assert_allclose(log_sigmoid(z), scipy.special.log_expit(z), rtol=1e-6, atol=1e-44)


def test_softmaxs_gradient_is_its_jacobians_product(rng):
    Z, dA = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    A = Softmax().forward(Z)
    for a, g, dz in zip(A, dA, Softmax().backward(dA, Z, A), strict=True):
        np.testing.assert_allclose(dz, (np.diag(a) - np.outer(a, a)) @ g, rtol=1e-12, atol=1e-15)


def test_softmax_depends_on_differences_alone(rng):
    Z = rng.integers(-5, 5, (4, 3)).astype(float)
    np.testing.assert_array_equal(softmax(Z), softmax(Z + 1024.0))


# --- parameters and names


def test_linear_is_alpha_z_plus_c(rng):
    Z = rng.normal(size=(3, 4))
    np.testing.assert_allclose(Linear(2.0, -1.0).forward(Z), 2.0 * Z - 1.0)
    np.testing.assert_allclose(Linear(2.0, -1.0).backward(Z, Z, Z), 2.0 * Z)
    assert Linear().forward(Z) is Z
    assert Linear().backward(Z, Z + 1.0, Z + 1.0) is Z


def test_a_fixed_slope_is_that_of_negative_numbers():
    np.testing.assert_allclose(LeakyReLU(0.1).forward(np.array([[-2.0, 3.0]])), [[-0.2, 3.0]])
    np.testing.assert_allclose(ELU(2.0).forward(np.array([[-1.0, 3.0]])), [[2 * np.expm1(-1.0), 3.0]])


@pytest.mark.parametrize("alpha", [0.0, -0.1, float("nan")])
@pytest.mark.parametrize("kind", [LeakyReLU, ELU])
def test_slopes_that_hide_the_sign_are_refused(kind, alpha):
    with pytest.raises(ValueError, match=rf"^alpha of {kind.__name__} is {alpha!r}; it must be above 0.*use ReLU\(\)"):
        kind(alpha)


@pytest.mark.parametrize("f", [LeakyReLU(np.float64(0.3)), ELU(np.float64(0.3)), Linear(np.float64(0.3))], ids=repr)
def test_parameters_that_are_numpys_numbers_change_no_dtype(library, f):
    z = library.asarray([[-1.0, 2.0]], "float32")
    assert f.forward(z).dtype == z.dtype
    assert f.backward(z, z, f.forward(z)).dtype == z.dtype


def test_names_stand_for_objects():
    for name, f in BY_NAME.items():
        assert activation(name) is f
    assert activation("identity") == Linear()
    assert activation("logistic") == Sigmoid()
    own = ELU(0.5)
    assert activation(own) is own


@pytest.mark.parametrize("given", ["Sigmoid", "swish", "", None, 3, Sigmoid])
def test_other_names_are_refused(given):
    with pytest.raises(ValueError, match=r"^activation is .*; allowed: linear, identity, sigmoid.*or an Activation"):
        activation(given)


def test_a_base_class_says_what_is_missing():
    with pytest.raises(TypeError, match=r"Activation must define forward\(self, Z\)"):
        Activation().forward(np.ones((1, 1)))
    with pytest.raises(TypeError, match=r"Activation must define derivative\(self, Z, A\)"):
        Activation().backward(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)))


@pytest.mark.parametrize("f", [*ELEMENTWISE, Softmax()], ids=repr)
def test_activations_are_values(f):
    copy = pickle.loads(pickle.dumps(f))
    assert copy == f
    assert hash(copy) == hash(f)
    with pytest.raises(AttributeError):
        f.alpha = 3.0


def test_activations_are_torchs(rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    z = np.concatenate([rng.normal(0, 4, (5, 6)), [[1e-5, 1e-9, -1e-9, 30.0, -30.0, -100.0]]])
    dA = rng.normal(size=z.shape)
    theirs = {
        Sigmoid(): torch.sigmoid,
        Tanh(): torch.tanh,
        ReLU(): torch.relu,
        LeakyReLU(0.2): lambda t: torch.nn.functional.leaky_relu(t, 0.2),
        ELU(0.7): lambda t: torch.nn.functional.elu(t, 0.7),
        Softmax(): lambda t: torch.softmax(t, dim=1),
        Exp(): torch.exp,
    }
    for f, function in theirs.items():
        t = torch.tensor(z, requires_grad=True)
        a = function(t)
        a.backward(torch.tensor(dA))
        A = f.forward(z)
        np.testing.assert_allclose(A, a.detach().numpy(), rtol=1e-13, atol=1e-300)
        np.testing.assert_allclose(f.backward(dA, z, A), t.grad.numpy(), rtol=1e-11, atol=1e-14)


def test_every_activation_has_a_test_here():
    tested = {type(f) for f in (*ELEMENTWISE, Softmax())}
    defined = {c for c in vars(activations).values() if isinstance(c, type) and issubclass(c, Activation)}
    assert defined - {Activation} == tested
