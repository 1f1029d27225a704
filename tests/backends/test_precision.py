"""Precision: the dtype of data and parameters, and an error if the backend does not have it."""

from contextlib import nullcontext

import numpy as np
import pytest

from xpnet import MLPClassifier
from xpnet.backends import Backend, data_dtype, read_data
from xpnet.equations.layers import Dense
from xpnet.equations.optimizers import GradientDescent
from xpnet.model import Model
from xpnet.network import Sequential
from xpnet.training import epochs

NETWORK = Sequential(Dense(5, "tanh"), Dense(3))


@pytest.fixture
def XY(rng):
    return rng.normal(size=(20, 4)), np.eye(3)[rng.integers(0, 3, 20)]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("given", ["float32", "float64", "int32"])
def test_data_and_parameters_have_its_dtype(library, XY, precision, given):
    X, Y = XY
    model = Model(NETWORK, "cross_entropy", precision=precision)
    X = library.asarray(np.round(4 * X), given)
    state, _ = next(epochs(model, model.initial(np.random.default_rng(0), 4, GradientDescent(0.1)), X, Y))
    assert state.theta.dtype == getattr(library.xp, precision)
    A = model.predict(state.theta, X)
    assert A.dtype == getattr(library.xp, precision)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_narrow_products_are_refused_on_other_backends(library, XY, precision):
    if library.name == "cupy":
        pytest.skip("CuPy has them")
    X, Y = XY
    X = library.asarray(X)
    model = Model(NETWORK, "cross_entropy", precision=precision)
    state = model.initial(np.random.default_rng(0), 4, GradientDescent(0.1))
    message = rf'^precision is "{precision}", which \w+ can\'t compute: .*precision="float32", or backend="cupy"'
    for refused in (
        lambda: next(epochs(model, state, X, Y)),
        lambda: model.predict(state.theta, X),
        lambda: model.cost(state.theta, X, Y),
    ):
        with pytest.raises(ValueError, match=message):
            refused()


def test_there_are_four_precisions():
    with pytest.raises(ValueError, match=r"^precision is 'half'; allowed: \"float32\", .* or None for that of X"):
        Model(NETWORK, "cross_entropy", precision="half")
    with pytest.raises(ValueError, match=r"^precision is 'half'; allowed"):
        MLPClassifier(precision="half").fit([[0.0], [1.0]], [0, 1])


def test_estimators_have_a_precision(XY):
    X, Y = XY
    y = Y.argmax(axis=1)
    net = MLPClassifier((5,), max_iter=300, tol=1.0, precision="float32", random_state=0).fit(X, y)
    assert net.coefs_[0].dtype == np.float32
    assert net.predict_proba(X).dtype == np.float32
    with pytest.raises(ValueError, match=r'^precision is "tf32", which numpy can\'t compute'):
        MLPClassifier(precision="tf32").fit(X, y)


def test_the_dtype_of_the_data(library):
    backend = library.backend
    assert data_dtype(None, backend) is None
    assert data_dtype("float64", backend) == library.xp.float64
    assert data_dtype("float32", backend) == library.xp.float32


def test_host_data_stay_on_the_host_if_the_backend_can_not_hold_them(monkeypatch, rng):
    backend = Backend("cupy:0", None, nullcontext())
    asked = []
    monkeypatch.setattr(Backend, "holds", lambda self, n_bytes: asked.append((self.name, n_bytes)))
    X = rng.normal(size=(10, 3)).astype(np.float32)
    chosen, there = read_data(X, "X", backend, may_stay=True)
    assert chosen is backend
    assert there is X
    assert asked == [("cupy:0", 120)]
