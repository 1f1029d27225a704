"""Losses against scipy and scikit-learn, with sample weights, and far out in their tails."""

import numpy as np
import pytest
import scipy.special
from sklearn.metrics import log_loss, mean_pinball_loss, mean_poisson_deviance, mean_squared_error

from xpnet.backends import to_numpy
from xpnet.equations.activations import Exp, Linear, Sigmoid, Softmax
from xpnet.equations.losses import (
    BY_NAME,
    AbsoluteError,
    BinaryCrossEntropy,
    CrossEntropy,
    HalfPoissonDeviance,
    HalfSquaredError,
    Huber,
    Loss,
    Quantile,
    loss,
)

LOSSES = [
    HalfSquaredError(),
    HalfSquaredError(mean_over_outputs=True),
    BinaryCrossEntropy(),
    CrossEntropy(),
    HalfPoissonDeviance(),
    Huber(),
    Huber(0.3),
    Quantile(),
    Quantile(0.9),
    AbsoluteError(),
]
REAL = (HalfSquaredError, Huber, Quantile, AbsoluteError)
M, N = 6, 4


def targets(criterion, rng):
    """Targets that the loss is made for, (M, N)."""
    if isinstance(criterion, REAL):
        return rng.normal(size=(M, N))
    if isinstance(criterion, BinaryCrossEntropy):
        return np.concatenate([rng.integers(0, 2, (M - 2, N)), rng.uniform(size=(2, N))]).astype(float)
    if isinstance(criterion, CrossEntropy):
        return np.concatenate([np.eye(N)[rng.integers(0, N, M - 2)], rng.dirichlet(np.ones(N), 2)])
    return rng.poisson(1.5, (M, N)).astype(float)


def closed_form(criterion, Z, Y):
    """Each sample's loss, written through the prediction with scipy's functions."""
    if isinstance(criterion, HalfSquaredError):
        return 0.5 * ((Z - Y) ** 2).sum(axis=1) / (Z.shape[1] if criterion.mean_over_outputs else 1)
    if isinstance(criterion, BinaryCrossEntropy):
        return -(Y * scipy.special.log_expit(Z) + (1 - Y) * scipy.special.log_expit(-Z)).sum(axis=1)
    if isinstance(criterion, CrossEntropy):
        return -(Y * scipy.special.log_softmax(Z, axis=1)).sum(axis=1)
    if isinstance(criterion, Huber):
        return scipy.special.huber(criterion.delta, Z - Y).sum(axis=1)
    if isinstance(criterion, Quantile):
        return np.where(Y >= Z, criterion.q * (Y - Z), (1 - criterion.q) * (Z - Y)).sum(axis=1)
    if isinstance(criterion, AbsoluteError):
        return np.abs(Z - Y).sum(axis=1)
    A = np.exp(Z)
    return (A - scipy.special.xlogy(Y, A) + scipy.special.xlogy(Y, Y) - Y).sum(axis=1)


def slope(criterion, E):
    """dZ for the error E = A - Y, before sample weights."""
    if isinstance(criterion, Huber):
        return np.clip(E, -criterion.delta, criterion.delta)
    if isinstance(criterion, Quantile):
        return np.where(E > 0, 1 - criterion.q, -criterion.q)
    if isinstance(criterion, AbsoluteError):
        return np.sign(E)
    return E / N if criterion == HalfSquaredError(mean_over_outputs=True) else E


@pytest.fixture(params=LOSSES, ids=repr)
def criterion(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["unweighted", "weighted"])
def w(request, rng):
    """Sample weights, one of them 0, or None."""
    return np.append(rng.uniform(0.2, 3.0, M - 1), 0.0) if request.param else None


def test_sums_are_those_of_the_closed_form(library, dtype, criterion, w, rng):
    Z, Y = rng.normal(0, 2, (M, N)), targets(criterion, rng)
    ours = [None if a is None else library.asarray(a, dtype) for a in (Z, Y, w)]
    loss_sum, weight_sum, dZ = criterion(*ours)
    weights = np.ones(M) if w is None else w
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(float(loss_sum), weights @ closed_form(criterion, Z, Y), rtol=tolerance)
    np.testing.assert_allclose(float(weight_sum), weights.sum(), rtol=tolerance)
    assert dZ.dtype == ours[0].dtype
    expected = weights[:, None] * slope(criterion, criterion.link.forward(Z) - Y)
    np.testing.assert_allclose(to_numpy(dZ), expected, rtol=tolerance, atol=tolerance)


def test_dZ_is_the_derivative(criterion, rng):
    Z, Y = rng.normal(size=(M, N)), targets(criterion, rng)
    _, _, dZ = criterion(Z, Y)
    for i, j in np.ndindex(M, N):
        step = np.zeros((M, N))
        step[i, j] = 1e-5
        slope = (criterion(Z + step, Y)[0] - criterion(Z - step, Y)[0]) / 2e-5
        assert slope == pytest.approx(dZ[i, j], rel=1e-6, abs=1e-8)


def test_nothing_is_written_to(criterion, rng):
    arrays = rng.normal(size=(M, N)), targets(criterion, rng), rng.uniform(size=M)
    for a in arrays:
        a.flags.writeable = False
    criterion(*arrays)


# --- against scikit-learn's metrics


def test_cross_entropy_is_scikit_learns_log_loss(rng, w):
    Z, labels = rng.normal(size=(M, N)), np.array([0, 1, 2, 3, 1, 0])
    ours, _, _ = CrossEntropy()(Z, np.eye(N)[labels], w)
    theirs = log_loss(labels, scipy.special.softmax(Z, axis=1), normalize=False, sample_weight=w)
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_binary_cross_entropy_is_scikit_learns_log_loss(rng, w):
    Z, labels = rng.normal(size=(M, 1)), np.array([0, 1, 1, 0, 1, 0])
    ours, _, _ = BinaryCrossEntropy()(Z, labels[:, None].astype(float), w)
    theirs = log_loss(labels, scipy.special.expit(Z[:, 0]), normalize=False, sample_weight=w)
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_half_poisson_deviance_is_half_of_scikit_learns(rng, w):
    Z, Y = rng.normal(size=(M, 1)), np.array([[0.0], [1.0], [5.0], [2.5], [0.0], [1e3]])
    ours, weight_sum, _ = HalfPoissonDeviance()(Z, Y, w)
    theirs = mean_poisson_deviance(Y[:, 0], np.exp(Z[:, 0]), sample_weight=w) / 2
    assert ours / weight_sum == pytest.approx(theirs, rel=1e-12)


def test_half_squared_error_is_half_of_scikit_learns(rng, w):
    Z, Y = rng.normal(size=(M, N)), rng.normal(size=(M, N))
    ours, weight_sum, _ = HalfSquaredError(mean_over_outputs=True)(Z, Y, w)
    assert ours / weight_sum == pytest.approx(mean_squared_error(Y, Z, sample_weight=w) / 2, rel=1e-12)


def test_quantile_is_scikit_learns_pinball_loss(rng, w):
    Z, Y = rng.normal(size=(M, 1)), rng.normal(size=(M, 1))
    for q in (0.1, 0.5, 0.95):
        ours, weight_sum, _ = Quantile(q)(Z, Y, w)
        theirs = mean_pinball_loss(Y, Z, sample_weight=w, alpha=q)
        assert ours / weight_sum == pytest.approx(theirs, rel=1e-12)
    median, _, slope_of_median = Quantile(0.5)(Z, Y, w)
    absolute, _, slope_of_absolute = AbsoluteError()(Z, Y, w)
    assert 2 * median == pytest.approx(absolute, rel=1e-12)
    np.testing.assert_allclose(2 * slope_of_median, slope_of_absolute, rtol=1e-12)


def test_the_gradient_is_zero_at_the_target(library, dtype):
    Y = library.asarray([[0.5, -3.0]], dtype)
    for criterion in (Huber(), Quantile(0.9), AbsoluteError()):
        loss_sum, _, dZ = criterion(Y, Y)
        assert float(loss_sum) == 0.0
        np.testing.assert_array_equal(to_numpy(dZ), [[0.0, 0.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Huber(0.0), r"^delta of Huber is 0.0; it must be a finite number above 0$"),
        (lambda: Huber(float("inf")), r"^delta of Huber is inf"),
        (lambda: Quantile(1.0), r"^q of Quantile is 1.0; it must be above 0 and below 1, such as 0.9$"),
        (lambda: Quantile(float("nan")), r"^q of Quantile is nan"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- tails


@pytest.mark.parametrize("z", [1e4, 745.0, 88.0, 200.0])
def test_binary_cross_entropy_in_its_tails(library, dtype, z):
    Z, Y = library.asarray([[z], [-z], [z], [-z]], dtype), library.asarray([[1.0], [0.0], [0.0], [1.0]], dtype)
    loss_sum, _, dZ = BinaryCrossEntropy()(Z, Y)
    assert float(loss_sum) == pytest.approx(2 * z, rel=1e-6)
    np.testing.assert_allclose(to_numpy(dZ), [[0.0], [0.0], [1.0], [-1.0]], atol=1e-30)
    right, _, _ = BinaryCrossEntropy()(Z[:2, :], Y[:2, :])
    assert 0.0 <= float(right) < 1e-30


@pytest.mark.parametrize("z", [1e4, 745.0, 88.0, 200.0])
def test_cross_entropy_in_its_tails(library, dtype, z):
    Z, Y = library.asarray([[z, -z], [z, -z]], dtype), library.asarray([[1.0, 0.0], [0.0, 1.0]], dtype)
    loss_sum, _, dZ = CrossEntropy()(Z, Y)
    assert float(loss_sum) == pytest.approx(2 * z, rel=1e-6)
    np.testing.assert_allclose(to_numpy(dZ), [[0.0, 0.0], [1.0, -1.0]], atol=1e-30)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropies_of_the_largest_numbers(dtype):
    largest = np.finfo(dtype).max
    Z, Y = np.array([[largest, -largest, 0.0]], dtype), np.array([[1.0, 0.0, 0.0]], dtype)
    for criterion in (BinaryCrossEntropy(), CrossEntropy()):
        loss_sum, _, dZ = criterion(Z[:, :2], Y[:, :2])
        assert loss_sum == 0.0
        np.testing.assert_array_equal(dZ, [[0.0, 0.0]])


def test_half_poisson_deviance_of_zero_counts(library, dtype):
    Z, Y = library.asarray([[-100.0], [0.0], [2.0]], dtype), library.asarray([[0.0], [0.0], [0.0]], dtype)
    loss_sum, _, dZ = HalfPoissonDeviance()(Z, Y)
    assert float(loss_sum) == pytest.approx(1.0 + np.exp(2.0), rel=1e-6)
    np.testing.assert_allclose(to_numpy(dZ)[1:], [[1.0], [np.exp(2.0)]], rtol=1e-6)


def test_the_best_prediction_costs_nothing(library, dtype):
    Y = library.asarray([[0.5, 3.0, 20.0]], dtype)
    loss_sum, _, dZ = HalfPoissonDeviance()(library.xp.log(Y), Y)
    assert float(loss_sum) == pytest.approx(0.0, abs=1e-4 if dtype == "float32" else 1e-12)
    np.testing.assert_allclose(to_numpy(dZ), 0.0, atol=1e-4)


# --- links and names


def test_each_loss_brings_its_link():
    links = {name: type(criterion.link) for name, criterion in BY_NAME.items()}
    assert links == {
        "half_squared_error": Linear,
        "huber": Linear,
        "quantile": Linear,
        "absolute_error": Linear,
        "binary_cross_entropy": Sigmoid,
        "cross_entropy": Softmax,
        "half_poisson_deviance": Exp,
    }


def test_log_predictions_come_from_the_logits(library, dtype):
    Z = library.asarray([[-200.0, 0.0]], dtype)
    np.testing.assert_allclose(to_numpy(CrossEntropy().log_predict(Z)), [[-200.0, 0.0]], atol=1e-80)
    np.testing.assert_allclose(to_numpy(BinaryCrossEntropy().log_predict(Z)), [[-200.0, -np.log(2)]], rtol=1e-6)


@pytest.mark.parametrize("criterion", [HalfSquaredError(), HalfPoissonDeviance()], ids=repr)
def test_other_losses_have_no_log_predictions(criterion):
    with pytest.raises(TypeError, match=f"{type(criterion).__name__} has no log-probabilities; BinaryCrossEntropy and"):
        criterion.log_predict(np.zeros((1, 1)))


def test_names_stand_for_objects():
    for name, criterion in BY_NAME.items():
        assert loss(name) is criterion
    own = HalfSquaredError(mean_over_outputs=True)
    assert loss(own) is own
    for given in ("mse", "", None, 3):
        with pytest.raises(ValueError, match=r"^loss is .*; allowed: half_squared_error, .*or a Loss such as"):
            loss(given)


def test_a_base_class_says_what_is_missing():
    with pytest.raises(TypeError, match="Loss must define per_element"):
        Loss()(np.ones((1, 1)), np.ones((1, 1)))
