"""Which backend computes, and the error if it can't."""

import contextvars
import logging
import os
import subprocess
import sys
import threading
from contextlib import nullcontext

import numpy as np
import pytest

from xpnet.backends import (
    Backend,
    BackendUnavailableError,
    auto_choice,
    get_backend,
    selector,
    set_backend,
    to_numpy,
    using_backend,
)

HOST = np.zeros((2, 2))


@pytest.fixture(autouse=True)
def _as_it_was():
    """Reset the process-wide choice and the decision about "auto" after each test."""
    yield
    set_backend(None)
    selector._auto.cache_clear()


@pytest.fixture
def gpus(monkeypatch):
    """Every "cupy:N" can be named, on any machine."""
    monkeypatch.setattr(selector, "_cupy", lambda index: Backend(f"cupy:{index}", None, index))


@pytest.fixture
def no_gpu(monkeypatch):
    """No "cupy" is available, on any machine."""

    def unavailable(index):
        raise BackendUnavailableError("the backend needs a GPU")

    monkeypatch.setattr(selector, "_cupy", unavailable)


def in_a_thread(function):
    """What function() returns in a thread of its own."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


# --- the order


def test_the_first_choice_that_is_given_decides(gpus, monkeypatch):
    strict = pytest.importorskip("array_api_strict")
    X = strict.zeros((2, 2), device=strict.Device("device1"))
    monkeypatch.setenv("XPNET_BACKEND", "cupy:4")
    set_backend("cupy:3")
    with using_backend("cupy:2"):
        assert get_backend("cupy:1", X).name == "cupy:1"
        assert get_backend(None, X) == Backend("array_api_strict", None, strict.Device("device1"))
        assert get_backend(None, HOST).name == "cupy:2"
        assert get_backend().name == "cupy:2"
    assert get_backend(None, HOST).name == "cupy:3"
    set_backend(None)
    assert get_backend(None, HOST).name == "cupy:4"
    monkeypatch.delenv("XPNET_BACKEND")
    assert get_backend(None, HOST).name == "numpy"


def test_numpy_is_a_choice_too(gpus, monkeypatch):
    monkeypatch.setenv("XPNET_BACKEND", "cupy:4")
    set_backend("cupy:3")
    with using_backend("cupy:2"):
        assert get_backend("numpy", HOST).name == "numpy"
        with using_backend("numpy"):
            assert get_backend(None, HOST).name == "numpy"
    set_backend("numpy")
    assert get_backend(None, HOST).name == "numpy"


@pytest.mark.parametrize("X", [None, 1.0, [[1.0]], ((1, 2),), np.ones((2, 1)), np.float32(1)], ids=repr)
def test_host_data_do_not_decide(gpus, X):
    with using_backend("cupy:2"):
        assert get_backend(None, X).name == "cupy:2"


def test_a_table_does_not_decide(gpus):
    pandas = pytest.importorskip("pandas")
    with using_backend("cupy:2"):
        assert get_backend(None, pandas.DataFrame({"a": [1.0]})).name == "cupy:2"


def test_the_library_and_device_of_X_compute(library):
    a = library.asarray([[1.0]])
    backend = get_backend(None, a)
    assert backend == library.backend
    assert backend.asarray(HOST).device == a.device
    assert library.owns(backend.asarray(HOST))


def test_a_backend_may_be_given_as_an_object(library):
    assert get_backend(library.backend, HOST) is library.backend


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("numpy", "numpy"),
        ("cpu", "numpy"),
        ("NumPy", "numpy"),
        ("cupy", "cupy:0"),
        ("cuda", "cupy:0"),
        ("cupy:1", "cupy:1"),
        ("CUDA:12", "cupy:12"),
    ],
)
def test_names(gpus, name, means):
    assert get_backend(name).name == means


# --- threads and contexts


def test_set_backend_is_seen_in_every_thread(gpus):
    set_backend("cupy:3")
    assert in_a_thread(get_backend).name == "cupy:3"
    in_a_thread(lambda: set_backend("cupy:1"))
    assert get_backend().name == "cupy:1"
    assert contextvars.Context().run(get_backend).name == "cupy:1"


def test_using_backend_stays_in_its_context(gpus):
    with using_backend("cupy:2") as backend:
        assert backend.name == "cupy:2"
        assert in_a_thread(lambda: contextvars.Context().run(get_backend)).name == "numpy"
        assert contextvars.copy_context().run(get_backend).name == "cupy:2"


def test_using_backend_nests_and_ends_with_its_block(gpus):
    def fail_inside():
        with using_backend("cupy:2"):
            assert get_backend().name == "cupy:2"
            raise KeyError

    with using_backend("cupy:1"):
        with pytest.raises(KeyError):
            fail_inside()
        assert get_backend().name == "cupy:1"
    assert get_backend().name == "numpy"


def test_the_environment_is_read_when_it_is_needed(gpus, monkeypatch):
    for name in ("cupy:1", "cupy:2"):
        monkeypatch.setenv("XPNET_BACKEND", name)
        assert get_backend().name == name
    monkeypatch.setenv("XPNET_BACKEND", "")
    assert get_backend().name == "numpy"


def test_the_environment_is_not_read_at_import():
    code = (
        "import os, xpnet.backends as b\n"
        "assert b.get_backend('numpy').name == 'numpy'\n"
        "try: b.get_backend()\n"
        "except ValueError as error: print(error)\n"
        "os.environ['XPNET_BACKEND'] = 'numpy'\n"
        "print(b.get_backend().name)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(XPNET_BACKEND="abacus"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert said[0].startswith("the environment variable XPNET_BACKEND is 'abacus'; allowed: ")
    assert said[1] == "numpy"


def environment(**changes):
    """This process's environment with these changes."""
    return {**os.environ, **changes}


# --- errors


@pytest.mark.parametrize("name", ["gpu", "cupy:", "cupy:-1", "cupy:x", "numpy:0", " numpy", "torch", "", 3, True, np])
def test_wrong_names_are_refused(name):
    for choose in (get_backend, set_backend, lambda name: using_backend(name).__enter__()):
        with pytest.raises(ValueError, match=r'^backend is .*; allowed: "numpy" \(or "cpu"\), "cupy"'):
            choose(name)


def test_a_refused_choice_changes_nothing(gpus, monkeypatch):
    set_backend("cupy:1")
    with pytest.raises(ValueError, match="allowed"):
        set_backend("abacus")
    assert get_backend().name == "cupy:1"
    monkeypatch.setattr(selector, "_cupy", lambda index: (_ for _ in ()).throw(BackendUnavailableError("none")))
    with pytest.raises(BackendUnavailableError):
        set_backend("cupy:7")
    with pytest.raises(BackendUnavailableError):
        get_backend()
    set_backend(None)
    assert get_backend().name == "numpy"


def test_without_cupy_the_error_gives_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendUnavailableError, match="needs CuPy, which can't be imported") as caught:
        get_backend("cupy")
    assert 'python -m pip install "xpnet[cuda12]"' in str(caught.value)
    assert '"xpnet[cuda13]"' in str(caught.value)


@pytest.fixture
def runtime(monkeypatch):
    """A function that sets the number of GPUs that CUDA reports, or the number of the error that it raises."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")

    def answer(gpus=0, error=None):
        def count():
            if error is not None:
                raise cupy.cuda.runtime.CUDARuntimeError(error)
            return gpus

        monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", count)

    return answer


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"error": 35}, r'needs an NVIDIA GPU and its driver.*install or update the NVIDIA driver.*"numpy"'),
        ({"error": 100}, r"no GPU is visible: check nvidia-smi and CUDA_VISIBLE_DEVICES"),
        ({"gpus": 0}, r'needs an NVIDIA GPU and none is visible: check CUDA_VISIBLE_DEVICES, or use backend="numpy"'),
        ({"gpus": 2}, r'backend is "cupy:2", but this machine has 2 GPU\(s\): use "cupy:0" to "cupy:1"'),
    ],
)
def test_a_missing_gpu_is_named_with_the_fix(runtime, found, said):
    runtime(**found)
    with pytest.raises(BackendUnavailableError, match=said):
        get_backend("cupy:2")


def test_a_gpu_that_is_there_is_taken(runtime):
    runtime(gpus=2)
    backend = get_backend("cuda:1")
    assert (backend.name, backend.device.id) == ("cupy:1", 1)
    assert backend.xp.__name__ == "array_api_compat.cupy"


def test_a_missing_gpu_is_never_replaced_silently(no_gpu, monkeypatch):
    monkeypatch.setenv("XPNET_BACKEND", "cupy")
    with pytest.raises(BackendUnavailableError):
        get_backend()
    with pytest.raises(BackendUnavailableError), using_backend("cupy"):
        pass
    assert get_backend("numpy").name == "numpy"


# --- "auto"


def test_auto_takes_a_gpu_and_says_so_once(gpus, caplog):
    with caplog.at_level(logging.INFO, "xpnet"):
        assert [get_backend("auto").name, get_backend("AUTO").name] == ["cupy:0", "cupy:0"]
        assert auto_choice() == ("cupy:0", "a GPU and CuPy are available")
    assert caplog.messages == ['backend "auto" takes cupy:0: a GPU and CuPy are available']


def test_auto_without_a_gpu_takes_numpy_and_says_why_once(no_gpu, caplog):
    with caplog.at_level(logging.INFO, "xpnet"), using_backend("auto"):
        assert [get_backend().name, get_backend().name] == ["numpy", "numpy"]
        assert auto_choice() == ("numpy", "the backend needs a GPU")
    assert caplog.messages == ['backend "auto" takes numpy: the backend needs a GPU']


# --- conversion of arrays


@pytest.mark.parametrize("kind", ["float32", "float64", "int64", "int32", "bool"])
def test_arrays_are_converted_and_back(library, kind):
    host = np.array([[0, 1, 2], [3, 0, 5]], dtype=kind)
    a = library.asarray(host, kind)
    assert library.owns(a)
    assert a.dtype == getattr(library.xp, kind)
    back = to_numpy(a)
    assert type(back) is np.ndarray
    assert back.dtype == host.dtype
    np.testing.assert_array_equal(back, host)


def test_an_array_of_the_backend_is_returned_itself(library, dtype):
    a = library.asarray([[1.0, 2.0]], dtype)
    assert library.backend.asarray(a) is a
    assert library.backend.asarray(a, a.dtype) is a


def test_asarray_returns_the_requested_dtype(library, dtype):
    wanted = getattr(library.xp, dtype)
    for given in (
        [[1, 2]],
        np.array([[1.0, 2.0]]),
        library.asarray([[1, 2]]),
        library.asarray([[1.0, 2.0]], "float32"),
    ):
        a = library.backend.asarray(given, wanted)
        assert library.owns(a)
        assert a.dtype == wanted
        np.testing.assert_array_equal(to_numpy(a), [[1, 2]])


def test_arrays_are_converted_between_any_two_libraries(library, other_library, dtype):
    a = library.asarray([[1.5, -2.0], [0.0, 4.0]], dtype)
    b = other_library.backend.asarray(a)
    assert other_library.owns(b)
    assert b.dtype == getattr(other_library.xp, dtype)
    np.testing.assert_array_equal(to_numpy(b), to_numpy(a))


def test_a_copy_is_made_if_the_library_could_write_to_the_original(library):
    host = np.ones((2, 2))
    a = library.backend.asarray(host)
    if library.name.startswith(("strict", "torch")):
        a[0, 0] = 9.0
    elif library.name.startswith("numpy"):
        assert a is host
    np.testing.assert_array_equal(host, np.ones((2, 2)))


LAYOUTS = {
    "reversed": lambda a: a[::-1],
    "every other": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "other byte order": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "read-only": lambda a: np.frombuffer(a.tobytes()).reshape(a.shape),
}


@pytest.mark.parametrize("change", LAYOUTS)
def test_host_arrays_of_any_memory_layout_are_converted(library, change):
    host = LAYOUTS[change](np.arange(6.0).reshape(3, 2))
    a = library.backend.asarray(host, library.xp.float64)
    assert library.owns(a)
    np.testing.assert_array_equal(to_numpy(a), host)


def test_only_a_device_of_cupy_is_made_current(library):
    """PyTorch's devices are contexts too, but would make each of its calls twice as slow."""
    entered = library.backend.active()
    assert isinstance(entered, nullcontext) == (library.name != "cupy")


def test_to_numpy_takes_lists_numbers_and_gradients():
    np.testing.assert_array_equal(to_numpy([[1, 2]]), np.array([[1, 2]]))
    assert to_numpy(2.5) == to_numpy(np.float32(2.5)) == 2.5
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    np.testing.assert_array_equal(to_numpy(torch.ones(2, requires_grad=True)), np.ones(2))


def test_to_numpy_copies_no_host_memory(library):
    if library.name in ("cupy", "strict-device1"):
        pytest.skip("its memory is not the host's")
    a = library.asarray([[1.0, 2.0]], "float64")
    assert np.shares_memory(to_numpy(a), to_numpy(a))


# --- dtypes


def test_float32_and_float64_stay_and_all_else_becomes_float64(library):
    xp, floating = library.xp, library.backend.floating
    assert floating(xp.float32) == xp.float32
    assert floating(xp.float64) == xp.float64
    for name in ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "bfloat16"):
        if hasattr(xp, name):
            assert floating(getattr(xp, name)) == xp.float64


def test_jax_without_float64_computes_in_float32_without_warnings():
    pytest.importorskip("jax", reason="JAX is not installed")
    code = """
import warnings
import jax.numpy as jnp
import numpy as np
from itertools import islice
warnings.simplefilter("error")
from xpnet.backends import get_backend, read_data
from xpnet.equations.layers import Dense
from xpnet.equations.optimizers import Adam
from xpnet.model import Model
from xpnet.network import Sequential
from xpnet.training import epochs

rng = np.random.default_rng(0)
X, Y = jnp.asarray(rng.integers(-3, 4, (12, 3))), rng.normal(size=(12, 2))
backend, A = read_data(X, "X")
assert A.dtype == jnp.float32 and backend.floating(A.dtype) == jnp.float32
model = Model(Sequential(Dense(4, "tanh"), Dense(2)), l2=0.1)
state = model.initial(rng, 3, Adam(0.05))
costs = []
for state, cost in islice(epochs(model, state, X, Y, sample_weight=np.ones(12), batch_size=6, rng=rng), 6):
    costs.append(cost)
assert state.theta.dtype == jnp.float32 and costs[-1] < costs[0]
assert model.predict(state.theta, X).dtype == jnp.float32
try:
    read_data(jnp.asarray([[jnp.nan, 1.0]]), "X")
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(JAX_ENABLE_X64="0"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("X contains 1 value(s) that are NaN or infinite")
