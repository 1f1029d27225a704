"""Two GPUs: computations run on the GPU of the data, whichever is current."""

import pickle
from contextlib import nullcontext
from itertools import islice

import numpy as np
import pytest
from sklearn import config_context

import xpnet
from xpnet import Adam, Dense, MLPClassifier, MLPRegressor, Model, Sequential
from xpnet.backends import get_backend, to_numpy
from xpnet.inspection.snapshots import Recorder
from xpnet.training import epochs, weights_settled

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]


@pytest.fixture(autouse=True)
def _needs_two():
    """A second GPU, while the first one is current."""
    import cupy

    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU, and this needs two")
    with cupy.cuda.Device(0):
        yield


@pytest.fixture(params=["host", "GPU 1"])
def place(request, rng):
    """The place of X: a function that moves host arrays there, and the backend= that selects the second GPU."""
    if request.param == "host":
        return (lambda a: a), "cupy:1"
    return get_backend("cupy:1").asarray, None


@pytest.fixture
def data(rng):
    """400 samples of 6 features in 3 classes."""
    X = rng.normal(size=(400, 6))
    return X, np.argmax(X @ rng.normal(size=(6, 3)), axis=1)


def is_home(a, X):
    """Whether a is where X is: on the host, or on the second GPU."""
    return isinstance(a, np.ndarray) if isinstance(X, np.ndarray) else a.device.id == 1


SETTINGS = {
    "adam": {"max_iter": 5},
    "early stopping": {"max_iter": 5, "early_stopping": True},
    "a scorer": {"max_iter": 3, "early_stopping": True, "scoring": "neg_log_loss"},
    "lbfgs": {"max_iter": 8, "solver": "lbfgs"},
    "lbfgs with early stopping": {"max_iter": 5, "solver": "lbfgs", "early_stopping": True},
}


@pytest.mark.parametrize("dispatch", [False, True], ids=["", "dispatch"])
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_classifier(place, data, settings, dispatch):
    (bring, backend), (X, y) = place, data
    there = bring(X)
    theirs = MLPClassifier((8,), random_state=0, **SETTINGS[settings]).fit(X, y)
    with config_context(array_api_dispatch=dispatch):
        ours = MLPClassifier((8,), random_state=0, backend=backend, **SETTINGS[settings]).fit(there, y)
        found = [ours.predict(there), ours.predict_proba(there), ours.predict_log_proba(there)]
        assert all(is_home(a, there) for a in (*ours.coefs_, *ours.intercepts_, *found))
        assert ours.score(there, y) == theirs.score(X, y)
    for a, b in zip(found, (theirs.predict(X), theirs.predict_proba(X), theirs.predict_log_proba(X)), strict=True):
        np.testing.assert_allclose(to_numpy(a), b, rtol=0, atol=1e-8)


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
def test_a_regressor(place, data, settings):
    (bring, backend), (X, _) = place, data
    there, y = bring(X), np.sin(X).sum(axis=1)
    ours = MLPRegressor("huber", (8,), max_iter=5, random_state=0, backend=backend, **settings)
    theirs = MLPRegressor("huber", (8,), max_iter=5, random_state=0, **settings).fit(X, y)
    ours.fit(there, bring(y))
    assert is_home(ours.predict(there), there)
    np.testing.assert_allclose(to_numpy(ours.predict(there)), theirs.predict(X), rtol=0, atol=1e-8)
    assert ours.score(there, bring(y)) == pytest.approx(theirs.score(X, y))


def test_methods_after_a_fit(place, data, tmp_path):
    (bring, backend), (X, y) = place, data
    there = bring(X)
    net = MLPClassifier((8,), random_state=0, early_stopping=True, backend=backend)
    for _ in range(3):
        net.partial_fit(there, y, classes=[0, 1, 2], validation_data=(there, y))
    expected = to_numpy(net.predict_proba(there))
    assert net.explain_step(there, y)["A2"].value == pytest.approx(expected)
    assert "parameters" in str(xpnet.diagnose(net, there, y, backend=backend))
    assert "relu" in str(net.summary())
    xpnet.save(net, tmp_path / "net")
    for copied in (pickle.loads(pickle.dumps(net)), xpnet.load(tmp_path / "net")):
        assert all(isinstance(a, np.ndarray) for a in copied.coefs_)
        np.testing.assert_allclose(to_numpy(copied.predict_proba(there)), expected, atol=1e-12)


def test_several_labels(place, data):
    (bring, backend), (X, _) = place, data
    there, y = bring(X), (X[:, :3] > 0).astype(int)
    ours, theirs = (MLPClassifier((8,), max_iter=30, tol=1, random_state=0, backend=b) for b in (backend, None))
    ours.fit(there, y), theirs.fit(X, y)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        found = getattr(ours, method)(there)
        assert is_home(found, there)
        np.testing.assert_allclose(to_numpy(found), getattr(theirs, method)(X), atol=1e-8)


@pytest.mark.parametrize("of_X", [0, 1])
def test_X_on_another_gpu_than_the_backend(data, of_X):
    X, y = data
    there = get_backend(f"cupy:{of_X}").asarray(X)
    net = MLPClassifier((8,), max_iter=30, tol=1, random_state=0, backend=f"cupy:{1 - of_X}").fit(there, y)
    assert {a.device.id for a in (*net.coefs_, net.predict_proba(there), net.predict(there))} == {of_X}
    theirs = MLPClassifier((8,), max_iter=30, tol=1, random_state=0).fit(X, y)
    np.testing.assert_allclose(to_numpy(net.predict_proba(there)), theirs.predict_proba(X), atol=1e-8)


@pytest.mark.parametrize("with_weights", [False, True])
def test_a_model(place, data, with_weights):
    (bring, backend), (X, y) = place, data
    there, Y, w = bring(X), bring(np.eye(3)[y]), bring(np.linspace(0.5, 1.5, 400)) if with_weights else None
    model, rng = Model(Sequential(Dense(8, "tanh"), Dense(3)), "cross_entropy", l2=1e-3), np.random.default_rng(0)
    start, recorder = model.initial(rng, 6, Adam(0.01)), Recorder()
    passes = epochs(model, start, there, Y, sample_weight=w, batch_size=100, rng=rng, backend=backend)
    state, _ = list(islice(passes, 3))[-1]
    state, _ = passes.send(state)
    assert state.theta.device.id == 1
    for found in (model.predict(state.theta, there, backend), model.log_predict(state.theta, there, backend)):
        assert is_home(found, there)
    cost, gradient = model.objective(there, Y, w, backend)(state.theta)
    on_host = to_numpy(state.theta), X, np.eye(3)[y], None if w is None else to_numpy(w)
    expected, of_host = model.cost_and_gradient(*on_host)
    assert cost == pytest.approx(expected)
    np.testing.assert_allclose(to_numpy(gradient), of_host, atol=1e-12)
    recorder.record(1, model, state, there, Y, w, backend)
    assert xpnet.explain(model, there, Y, w, state=state, backend=backend)["J"].value == pytest.approx(expected)
    assert xpnet.check_gradients(model, there, Y, theta=state.theta, sample_weight=w, backend=backend).ok
    assert (
        xpnet.diagnose(model, there, Y, state=state, history=[1.0, 0.9, 0.8], sample_weight=w, backend=backend)
        is not None
    )


def test_settled_weights():
    backend = get_backend("cupy:1")
    before, after = (backend.asarray(np.full(1000, value)) for value in (1.0, 1.001))
    assert weights_settled(before, after, 0.01)
    assert not weights_settled(before, after, 1e-4)


def test_sparse_X(data):
    import cupy
    from cupyx.scipy import sparse

    X, y = data
    with cupy.cuda.Device(1):
        there = sparse.csr_matrix(cupy.asarray(X * (X > 0)))
    net = MLPClassifier((8,), max_iter=5, tol=1, random_state=0, early_stopping=True).fit(there, y)
    theirs = MLPClassifier((8,), max_iter=5, tol=1, random_state=0, early_stopping=True).fit(X * (X > 0), y)
    assert net.predict_proba(there).device.id == 1
    np.testing.assert_allclose(to_numpy(net.predict_proba(there)), theirs.predict_proba(X * (X > 0)), atol=1e-8)
    assert xpnet.diagnose(net, there, y) is not None


def test_a_copy_from_another_gpu_waits_for_the_computation_of_the_array(rng):
    import cupy

    host = rng.normal(size=(1000, 1000))
    with cupy.cuda.Device(1):
        x = cupy.asarray(host)
        x = x @ x
        x *= 2.0
    there = get_backend("cupy:0").asarray(x.T)
    with cupy.cuda.Device(1):
        x[...] = 0.0
    assert there.device.id == 0
    np.testing.assert_allclose(there.get(), (2.0 * host @ host).T)


def test_the_device_that_was_current_is_restored():
    import cupy

    for block in (nullcontext(), cupy.cuda.Device(1)):
        with block:
            before = cupy.cuda.Device().id
            with get_backend("cupy:1").active():
                assert cupy.cuda.Device().id == 1
            assert cupy.cuda.Device().id == before
