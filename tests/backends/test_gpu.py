"""Training on a GPU: compared with NumPy, dropout masks, other work in between, data that stay on the host."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from xpnet import MLPClassifier
from xpnet.backends import Backend, get_backend, inputs, to_numpy
from xpnet.equations.activations import ReLU
from xpnet.equations.dropout import Dropout
from xpnet.equations.layers import Dense
from xpnet.equations.optimizers import Adam, GradientDescent
from xpnet.model import Model
from xpnet.network import Sequential
from xpnet.training import epochs

pytestmark = pytest.mark.gpu


@pytest.fixture
def gpu():
    """The first GPU."""
    return get_backend("cupy")


@pytest.fixture
def data(rng):
    """1,000 samples of 30 features in 5 classes."""
    return rng.normal(size=(1000, 30)), np.eye(5)[rng.integers(0, 5, 1000)]


def model(activation="tanh", **settings):
    network = Sequential(Dense(64, activation), Dense(40, activation), Dense(5))
    return Model(network, "cross_entropy", l2=1e-3, **settings)


def train(backend, data, of, n_epochs, optimizer=GradientDescent(0.1), batch_size=100):
    rng = np.random.default_rng(0)
    state = of.initial(rng, 30, optimizer)
    return [*islice(epochs(of, state, *data, batch_size=batch_size, rng=rng, backend=backend), n_epochs)]


def distance(ours, theirs):
    """The largest difference between parameters."""
    return max(np.abs(to_numpy(a.theta) - b.theta).max() for (a, _), (b, _) in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("batch_size", [None, 32, 100])
def test_a_hundred_steps_in_float64_have_the_same_costs_as_on_numpy(gpu, data, activation, batch_size):
    n_epochs = 100 if batch_size is None else 10
    of = model(activation)
    ours, theirs = (train(backend, data, of, n_epochs, batch_size=batch_size) for backend in (gpu, "numpy"))
    costs = [cost for _, cost in theirs]
    np.testing.assert_allclose([cost for _, cost in ours], costs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_every_precision_trains(gpu, data, precision, activation):
    ours = train(gpu, data, model(activation, precision=precision), 10)
    theirs = train("numpy", data, model(activation, precision="float32"), 10)
    assert ours[-1][0].theta.dtype == np.float32
    assert distance(ours, theirs) < {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 5e-2}[precision]


@pytest.mark.parametrize("precision", [None, "bfloat16"], ids=str)
@pytest.mark.parametrize("batch_size", [None, 32])
def test_steps_draw_the_same_masks_as_numpy(gpu, data, batch_size, precision):
    layers = Dense(64, "tanh"), Dropout(0.5), Dense(40, "tanh"), Dropout(0.2), Dense(5)
    of = Model(Sequential(*layers), "cross_entropy", precision=precision)
    ours = train(gpu, data, of, 5, batch_size=batch_size)
    theirs = train("numpy", data, replace(of, precision=None), 5, batch_size=batch_size)
    assert distance(ours, theirs) < (1e-10 if precision is None else 0.02)


def test_the_norm_of_the_gradient_is_the_same_as_on_numpy(gpu, data):
    rng = np.random.default_rng(0)
    start = model().initial(rng, 30, GradientDescent(0.1))
    norms = []
    for backend in (gpu, "numpy"):
        passes = epochs(model(), start, *data, batch_size=100, shuffle=False, clip_norm=np.inf, backend=backend)
        norms.append([state.gradient_norm for state, _ in islice(passes, 5)])
    np.testing.assert_allclose(norms[0], norms[1], rtol=1e-9)


def test_other_work_between_epochs_changes_nothing(gpu, data):
    import cupy

    rng = np.random.default_rng(0)
    of, costs = model(), []
    training = epochs(of, of.initial(rng, 30, Adam(0.01)), *data, batch_size=50, rng=rng, backend=gpu)
    for state, cost in islice(training, 30):
        costs.append(cost)
        for n in (1 << 10, 1 << 16, 1 << 22):
            cupy.full(n, np.nan, np.float32)
        cupy.get_default_memory_pool().free_all_blocks()
        of.predict(state.theta, data[0])
    expected = [cost for _, cost in train(gpu, data, of, 30, Adam(0.01), batch_size=50)]
    assert costs == expected


@pytest.mark.parametrize("batch_size", [64, 300])
def test_data_from_the_host_in_batches(gpu, data, monkeypatch, batch_size):
    resident = train(gpu, data, model(), 5, batch_size=batch_size)
    monkeypatch.setattr(Backend, "holds", lambda self, n_bytes: not self.name.startswith("cupy"))
    streamed = train(gpu, data, model(), 5, batch_size=batch_size)
    for (a, cost), (b, expected) in zip(streamed, resident, strict=True):
        assert cost == expected
        np.testing.assert_array_equal(to_numpy(a.theta), to_numpy(b.theta))


@pytest.mark.filterwarnings("ignore:cupyx.allow_synchronize")
@pytest.mark.parametrize("m", [100, 100_000])
def test_predictions_wait_for_the_gpu_once_at_the_end(gpu, rng, monkeypatch, m):
    import cupyx

    passed = []

    class Watched(ReLU):
        def forward(self, Z):
            passed.append(Z.shape)
            return super().forward(Z)

    of = Model(Sequential(Dense(50, Watched()), Dense(3)), "cross_entropy")
    theta, X = (gpu.asarray(a) for a in (of.draw(rng, 30), rng.normal(size=(m, 30))))
    with cupyx.allow_synchronize(False):
        with pytest.raises(cupyx.DeviceSynchronized):
            of.predict(theta, X)
        assert passed
        monkeypatch.setattr(inputs, "all_finite", lambda X: True)
        of.predict(theta, X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_from_nan_or_infinity_are_refused(gpu, rng, bad):
    of, X = Model(Sequential(Dense(5), Dense(3)), "cross_entropy"), rng.normal(size=(100, 30))
    theta = of.draw(rng, 30)
    net = MLPClassifier((5,), max_iter=30, tol=1.0).fit(X, np.arange(100) % 3)
    X[17, 3] = bad
    for predict in (lambda X: of.predict(theta, X, gpu), net.set_params(backend="cupy").predict_proba):
        with pytest.raises(ValueError, match=r"^X contains 1 value|^Input X contains (NaN|infinity)"):
            predict(X)
        with pytest.raises(ValueError, match=r"^X contains 1 value\(s\) that are NaN or infinite"):
            predict(gpu.asarray(X))
