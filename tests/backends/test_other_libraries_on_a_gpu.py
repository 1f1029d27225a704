"""Arrays of other libraries on a GPU: read by DLPack or the CUDA array interface, and never through the host."""

from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from xpnet import Adam, Dense, MLPClassifier, Model, Sequential
from xpnet.backends import Backend, get_backend, read_data, to_numpy
from xpnet.backends.gpu import is_nvidia_gpu
from xpnet.training import epochs

pytestmark = pytest.mark.gpu


class Foreign:
    """An array of another library, which holds CuPy's memory and can't be copied to the host."""

    def __init__(self, a):
        self.a = a
        self.shape, self.dtype, self.ndim, self.size = a.shape, a.dtype, a.ndim, a.size
        self.device = SimpleNamespace(type="cuda", index=a.device.id)  # as PyTorch names it

    def __array_namespace__(self, api_version=None):
        return FOREIGN

    def __getitem__(self, key):
        return Foreign(self.a[key])

    def __dlpack_device__(self):
        return self.a.__dlpack_device__()

    def __dlpack__(self, **how):
        return self.a.__dlpack__(**how)

    def __array__(self, *_, **__):
        raise AssertionError("it was copied to the host")

    to_device = __array__


FOREIGN: object = ModuleType("foreign")
FOREIGN.isdtype, FOREIGN.float32, FOREIGN.float64 = np.isdtype, np.float32, np.float64
FOREIGN.from_dlpack = lambda x: Foreign(x)
FOREIGN.asarray = lambda x, copy: Foreign(x.a.copy())
FOREIGN.reshape = lambda x, shape: Foreign(x.a.reshape(shape))


class Interface:
    """An array with the CUDA array interface alone, as Numba's."""

    def __init__(self, a):
        self.a, self.shape, self.dtype, self.ndim = a, a.shape, a.dtype, a.ndim

    @property
    def __cuda_array_interface__(self):
        return self.a.__cuda_array_interface__

    def __getitem__(self, key):
        raise AssertionError("it was read row by row")

    __array__ = __getitem__


@pytest.fixture(params=[Foreign, Interface])
def kind(request):
    """Another library's arrays."""
    return request.param


@pytest.fixture
def data(rng):
    """100 samples of 5 features in 3 classes."""
    return rng.normal(size=(100, 5)), rng.integers(0, 3, 100)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_the_memory_is_shared(kind, dtype):
    import cupy

    a = cupy.arange(12).reshape(3, 4).astype(dtype)[:, ::2]
    there = get_backend("cupy").asarray(kind(a))
    assert there.data.ptr == a.data.ptr
    np.testing.assert_array_equal(there.get(), a.get())


def test_arrays_are_read_in_the_requested_dtype(kind):
    import cupy

    a = cupy.arange(12.0).reshape(3, 4)
    backend, X = read_data(kind(a), "X", "cupy", np.float32)
    assert (backend.name, X.dtype) == ("cupy:0", np.float32)
    np.testing.assert_array_equal(X.get(), a.get())
    with pytest.raises(ValueError, match=r"^X contains 1 value"):
        read_data(kind(cupy.asarray([[np.nan, 1.0]])), "X", "cupy")


def test_training_on_such_arrays(kind, data):
    X, y = data
    model, rng = Model(Sequential(Dense(4, "tanh"), Dense(3)), "cross_entropy"), np.random.default_rng(0)
    there = kind(get_backend("cupy").asarray(X))
    state, _ = next(epochs(model, model.initial(rng, 5, Adam(0.01)), there, np.eye(3)[y], backend="cupy"))
    theirs, _ = next(epochs(model, model.initial(np.random.default_rng(0), 5, Adam(0.01)), X, np.eye(3)[y]))
    np.testing.assert_allclose(to_numpy(state.theta), theirs.theta, atol=1e-12)


def test_cupy_computes_with_arrays_that_have_only_the_cuda_array_interface(data):
    X, y = data
    there = Interface(get_backend("cupy").asarray(X))
    assert get_backend(None, there).name == "cupy:0"
    for solver in ("adam", "lbfgs"):
        settings = {"solver": solver, "max_iter": 30, "tol": 1.0, "random_state": 0}
        net, theirs = MLPClassifier((4,), **settings).fit(there, y), MLPClassifier((4,), **settings).fit(X, y)
        for method in ("predict", "predict_proba"):
            found = getattr(net, method)(there)
            assert get_backend(None, found).name == "cupy:0"
            np.testing.assert_allclose(to_numpy(found), getattr(theirs, method)(X), atol=1e-8)
        assert net.score(there, y) == theirs.score(X, y)


def test_an_estimator_takes_and_returns_arrays_of_another_library(data):
    X, y = data
    there = Foreign(get_backend("cupy").asarray(X))
    net = MLPClassifier((4,), max_iter=30, tol=1.0, random_state=0, backend="cupy").fit(there, y)
    found = net.predict_proba(there)
    assert all(isinstance(a, Foreign) for a in (found, *net.coefs_))
    theirs = MLPClassifier((4,), max_iter=30, tol=1.0, random_state=0).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(found.a.get(), theirs, atol=1e-8)


def test_arrays_of_cupy_are_passed_to_other_libraries():
    import cupy

    a = cupy.arange(6.0)
    there = Backend("foreign", FOREIGN, Foreign(a).device).asarray(a)
    assert there.a.data.ptr == a.data.ptr
    assert is_nvidia_gpu(SimpleNamespace(platform="gpu"))  # JAX's
    assert not is_nvidia_gpu("cpu")


def test_host_arrays_are_copied_through_the_host(data):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    a = torch.asarray(data[0]).requires_grad_()
    np.testing.assert_array_equal(get_backend("cupy").asarray(a).get(), data[0])
    there = get_backend(None, a).asarray(get_backend("cupy").asarray(data[0]))
    np.testing.assert_array_equal(to_numpy(there), data[0])
