"""Fixtures: every array library at hand, in float32 and float64."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from xpnet.backends import Backend, get_backend, to_numpy
from xpnet.program.replayed_functions import may_replay

# Read when SciPy is first imported: without it scikit-learn skips its checks of other libraries' arrays.
os.environ.setdefault("SCIPY_ARRAY_API", "1")


def pytest_addoption(parser):
    parser.addoption(
        "--require-gpu", action="store_true", help="a GPU test that can't run fails, instead of being skipped"
    )


@dataclass(frozen=True)
class Library:
    """An array library, as tests see it: ``asarray`` makes arrays of the host's, ``to_numpy`` brings them back."""

    name: str
    backend: Backend
    read_only: bool = False

    @property
    def xp(self):
        return self.backend.xp

    def asarray(self, x: Any, dtype: Any = None) -> Any:
        """x as this library's array; dtype is a name such as "float32"."""
        a = np.array(x, dtype=dtype)
        if self.read_only:
            a.flags.writeable = False
        return self.backend.asarray(a)

    def owns(self, a: Any) -> bool:
        """Whether a is an array of this library on this device."""
        return get_backend(None, a) == self.backend if self.name != "numpy" else isinstance(a, np.ndarray)

    to_numpy = staticmethod(to_numpy)


def _strict(device: str) -> Library:
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    return Library(f"strict-{device}", get_backend(None, strict.asarray([0.0], device=strict.Device(device))))


def _torch() -> Library:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    return Library("torch", get_backend(None, torch.zeros(1)))


def _jax() -> Library:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    return Library("jax", get_backend(None, jax.numpy.zeros(1)))


def _cupy() -> Library:
    return Library("cupy", get_backend("cupy"))


LIBRARIES = {
    "numpy": lambda: Library("numpy", get_backend("numpy")),
    "numpy-readonly": lambda: Library("numpy", get_backend("numpy"), read_only=True),
    "strict": lambda: _strict("CPU_DEVICE"),
    "strict-device1": lambda: _strict("device1"),
    "torch": _torch,
    "jax": _jax,
    "cupy": _cupy,
}


# Only NumPy and CuPy replay programs: without that the other libraries run the very same code once more.
_RUN = LIBRARIES if may_replay() else ("numpy", "numpy-readonly", "cupy")
_EACH = [pytest.param(name, marks=pytest.mark.gpu) if name == "cupy" else name for name in _RUN]


@pytest.fixture(params=_EACH)
def library(request) -> Library:
    """Each array library in turn."""
    return LIBRARIES[request.param]()


@pytest.fixture(params=_EACH)
def other_library(request) -> Library:
    """Each array library in turn, for tests of two."""
    return LIBRARIES[request.param]()


@pytest.fixture(params=["float32", "float64"])
def dtype(request) -> str:
    """Both dtypes that xpnet computes in."""
    return request.param


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded host generator."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _no_backend_from_outside(monkeypatch):
    """Tests choose the backend themselves."""
    monkeypatch.delenv("XPNET_BACKEND", raising=False)


def _require_gpu(config):
    """Skip the test without CuPy and a GPU, or fail it under --require-gpu."""
    try:
        get_backend("cupy")
    except RuntimeError as error:
        if config.getoption("--require-gpu"):
            pytest.fail(f"--require-gpu: {error}", pytrace=False)
        pytest.skip(f"no GPU: {error}")


@pytest.fixture
def require_gpu(request):
    """A function for tests that find out on their way that they need a GPU."""
    return lambda: _require_gpu(request.config)


def pytest_runtest_setup(item):
    """A test marked ``gpu`` needs CuPy and a GPU."""
    if item.get_closest_marker("gpu") is not None:
        _require_gpu(item.config)
