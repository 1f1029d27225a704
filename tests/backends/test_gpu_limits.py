"""GPUs with too little memory, without units for narrow products, and with slow float64."""

import warnings
from itertools import islice

import numpy as np
import pytest

from xpnet import Adam, Dense, MLPClassifier, MLPRegressor, Model, Sequential
from xpnet.backends import get_backend, precision
from xpnet.backends.gpu import Facts
from xpnet.training import epochs

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]

# --- memory

MESSAGE = (
    r"^GPU 0 has too little memory: .* of .* GiB are free\. Use a smaller batch_size, .*nvidia-smi .*Out of memory"
)


@pytest.fixture
def spare():
    """A function that limits what CuPy may still allocate to this number of bytes."""
    import cupy

    pool = cupy.get_default_memory_pool()

    def leave(n_bytes):
        pool.free_all_blocks()
        pool.set_limit(pool.used_bytes() + n_bytes)

    yield leave
    pool.set_limit(0)
    pool.free_all_blocks()


@pytest.fixture
def data(rng):
    """4,000 samples of 50 features, 1.6 MB, in 3 classes."""
    return rng.normal(size=(4000, 50)), rng.integers(0, 3, 4000)


def test_too_little_memory_for_the_data(data, spare):
    spare(1 << 19)
    with pytest.raises(MemoryError, match=MESSAGE) as caught:
        MLPClassifier((8,), backend="cupy").fit(*data)
    assert type(caught.value) is MemoryError


@pytest.mark.parametrize("kind", ["adam", "sgd", "lbfgs"])
def test_too_little_memory_for_training(data, spare, kind):
    spare(1 << 22)
    net = MLPClassifier((2000,), solver=kind, batch_size=4000, max_iter=3, backend="cupy")
    with pytest.raises(MemoryError, match=MESSAGE):
        net.fit(*data)
    assert not hasattr(net, "coefs_") or np.isfinite(net.coefs_[0]).all()


def test_too_little_memory_for_validation(data, spare):
    X, y = data
    net = MLPRegressor(hidden_layer_sizes=(2000,), batch_size=10, max_iter=3, backend="cupy")
    spare(1 << 25)
    with pytest.raises(MemoryError, match=MESSAGE):
        net.fit(X[:20], y[:20], validation_data=(X, y))


def test_too_little_memory_for_predictions(data, spare):
    X, y = data
    net = MLPClassifier((2000,), batch_size=20, max_iter=1, backend="cupy").fit(X[:20], y[:20])
    model = Model(Sequential(Dense(2000), Dense(3)), "cross_entropy")
    theta = model.draw(np.random.default_rng(0), 50)
    there = get_backend("cupy").asarray(X)
    spare(1 << 23)
    for predict in (net.predict, net.predict_proba, lambda X: model.predict(theta, X, "cupy")):
        for given in (X, there):
            with pytest.raises(MemoryError, match=MESSAGE):
                predict(given)


def test_smaller_batches_train_after_the_memory_was_full(data, spare):
    X, y = data
    model, rng = Model(Sequential(Dense(2000, "tanh"), Dense(3)), "cross_entropy"), np.random.default_rng(0)
    start, Y = model.initial(rng, 50, Adam(0.01)), np.eye(3)[y]
    spare(1 << 25)
    with pytest.raises(MemoryError, match=MESSAGE):
        next(epochs(model, start, X, Y, backend="cupy"))
    costs = [cost for _, cost in islice(epochs(model, start, X, Y, batch_size=100, rng=rng, backend="cupy"), 2)]
    assert costs[1] < costs[0]


# --- precision


@pytest.fixture
def set_gpu(monkeypatch):
    """A function that sets the properties of every GPU."""
    precision.warn_of_slow_float64.cache_clear()

    def set_facts(*given):
        monkeypatch.setattr(precision, "facts", lambda index: Facts(*given))

    yield set_facts
    precision.warn_of_slow_float64.cache_clear()


@pytest.mark.parametrize("narrow", ["tf32", "bfloat16"])
def test_narrow_products_need_ampere(data, set_gpu, narrow):
    X, y = data
    net = MLPClassifier((8,), max_iter=1, precision=narrow, backend="cupy")
    set_gpu("Tesla T4", (7, 5), 32)
    with pytest.raises(
        ValueError,
        match=rf'^precision is "{narrow}", and GPU 0 \(Tesla T4\) has compute capability 7\.5; 8\.0 or newer is '
        'needed: use precision="float32"',
    ):
        net.fit(X, y)
    set_gpu("A10", (8, 6), 32)
    assert net.fit(X, y).coefs_[0].dtype == np.float32


@pytest.mark.parametrize("ratio", [32, 64])
def test_slow_float64_causes_one_warning(data, set_gpu, ratio):
    X, y = data
    set_gpu("A10", (8, 6), ratio)
    with pytest.warns(RuntimeWarning, match=rf'^GPU 0 \(A10\) computes float64 at 1/{ratio} .*precision="float32"'):
        MLPClassifier((8,), max_iter=1, backend="cupy").fit(X, y)
    MLPClassifier((8,), max_iter=1, backend="cupy").fit(X, y)


@pytest.mark.parametrize(("ratio", "dtype"), [(0, "float64"), (2, "float64"), (64, "float32")])
def test_gpus_with_fast_float64_and_float32_data_cause_no_warning(data, set_gpu, ratio, dtype):
    set_gpu("H100", (9, 0), ratio)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        MLPClassifier((8,), max_iter=1, precision=dtype, backend="cupy").fit(*data)


def test_the_properties_of_a_gpu():
    import cupy

    from xpnet.backends.gpu import facts

    found = facts(0)
    assert found.name
    assert found.capability == divmod(int(cupy.cuda.Device(0).compute_capability), 10)
    assert found.float32_to_float64 >= 0
