"""What the tests of the documents share: real data, training, comparison, and central differences."""

from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pytest

from xpnet import epochs


class Data(NamedTuple):
    """Real data in a split: even rows to train on, odd rows to judge by."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def _split(X: np.ndarray, y: np.ndarray) -> Data:
    return Data(X[::2], y[::2], X[1::2], y[1::2])


def _unit_range(X: np.ndarray) -> np.ndarray:
    low, high = X.min(axis=0), X.max(axis=0)
    return (X - low) / (high - low)


@pytest.fixture(scope="session")
def datasets() -> Any:
    """scikit-learn's data sets."""
    return pytest.importorskip("sklearn.datasets", reason="scikit-learn, whose data sets are used, is not installed")


@pytest.fixture(scope="session")
def iris(datasets) -> Data:
    """Four measurements, standardised; three species of 50 flowers each."""
    X, y = datasets.load_iris(return_X_y=True)
    return _split((X - X.mean(axis=0)) / X.std(axis=0), y)


@pytest.fixture(scope="session")
def breast_cancer(datasets) -> Data:
    """30 measurements, scaled to [0, 1]; benign is 1."""
    X, y = datasets.load_breast_cancer(return_X_y=True)
    return _split(_unit_range(X), y)


@pytest.fixture(scope="session")
def diabetes(datasets) -> Data:
    """Ten measurements and the disease's progress after a year, all scaled to [0, 1]."""
    X, y = datasets.load_diabetes(return_X_y=True)
    return _split(_unit_range(X), _unit_range(y))


@pytest.fixture(scope="session")
def images(datasets) -> Data:
    """Images of 8 x 8 pixels in [0, 1] of the digits 3 and 8; 8 is 1."""
    digits = datasets.load_digits()
    chosen = np.isin(digits.target, (3, 8))
    return _split(digits.images[chosen] / 16.0, (digits.target[chosen] == 8).astype(int))


@pytest.fixture
def train(library, dtype) -> Callable:
    """``train(model, start, X, Y, n, **options) -> (theta, costs)``: n epochs on the library at hand, in dtype.

    ``start`` is a State; X and Y are the host's. The trained parameters must be arrays of that library and dtype.
    """
    if library.name == "jax" and dtype == "float64":
        pytest.skip("JAX compiles every operation anew for each shape and dtype: one dtype will do")

    def run(model, start, X, Y, n=30, **options):
        X, Y = library.asarray(X, dtype), library.asarray(Y, dtype)
        states = list(islice(epochs(model, start, X, Y, **options), n))
        theta = states[-1][0].theta
        assert library.owns(theta)
        assert theta.dtype == X.dtype
        return theta, [cost for _, cost in states]

    return run


@pytest.fixture
def predict(library, dtype) -> Callable:
    """``predict(model, theta, X) -> host array``, computed by the library at hand in dtype."""
    return lambda model, theta, X: library.to_numpy(model.predict(theta, library.asarray(X, dtype)))


@pytest.fixture
def same(library, dtype) -> Callable:
    """``same(ours, printed, name)``: equal up to rounding in dtype, relative to the largest entry; shapes too."""

    def check(ours: Any, printed: Any, name: str = "", float32: float = 1e-5, float64: float = 1e-12):
        ours, printed = library.to_numpy(ours), np.asarray(printed, dtype="float64")
        tolerance = float32 if dtype == "float32" else float64
        np.testing.assert_allclose(
            ours, printed, rtol=0, atol=tolerance * max(1.0, np.abs(printed).max()), err_msg=name
        )
        assert ours.shape == printed.shape, name

    return check


@pytest.fixture(scope="session")
def numerical_gradient() -> Callable:
    """``numerical_gradient(J, theta)``: dJ/dtheta by eighth-order central differences, one parameter at a time."""
    weights = (4 / 5, -1 / 5, 4 / 105, -1 / 280)

    def differences(J: Callable, theta: np.ndarray, h: float = 0.01) -> np.ndarray:
        units = h * np.eye(theta.size)
        return np.asarray(
            [sum(w * (J(theta + k * e) - J(theta - k * e)) for k, w in enumerate(weights, 1)) / h for e in units]
        )

    return differences


@pytest.fixture(scope="session")
def distance() -> Callable:
    """``distance(g, exact)``: ||g - exact|| / ||exact||."""
    return lambda g, exact: np.linalg.norm(np.ravel(g) - np.ravel(exact)) / np.linalg.norm(exact)
