"""The versions that a report of trouble needs."""

import importlib.metadata
import os
import platform
from collections.abc import Iterator

import numpy as np

from .. import __version__
from ..backends import BackendUnavailableError, get_backend


def show_versions() -> None:
    """Print the versions of Python, xpnet and what it stands on, the GPU, and the BLAS with its threads."""
    for name, value in versions():
        print(f"{name:<18} {value}")


def versions() -> Iterator[tuple[str, str]]:
    """What ``show_versions`` prints, as pairs of name and text; each is looked up when it is asked for."""
    yield "python", f"{platform.python_version()} ({platform.python_implementation()}, {platform.platform()})"
    yield "xpnet", __version__
    for name in "numpy array-api-compat scikit-learn safetensors pandas matplotlib rich".split():
        yield name, _version(name)
    yield "cupy", _cupy_version()
    yield "GPU", _gpu()
    yield "CPU cores", f"{_cores()} for this process"
    yield "BLAS", _blas()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cupy_version() -> str:
    found = [f"{name} {_version(name)}" for name in ("cupy-cuda12x", "cupy-cuda13x", "cupy")]
    return ", ".join(line for line in found if not line.endswith("not installed")) or "not installed"


def _gpu() -> str:
    try:
        cuda = get_backend("cupy").xp.cuda
    except BackendUnavailableError as error:
        return f"none ({error})"
    runtime = cuda.runtime
    gpus = [runtime.getDeviceProperties(i) for i in range(runtime.getDeviceCount())]
    named = [f"{gpu['name'].decode()}, {gpu['totalGlobalMem'] / 2**30:.0f} GiB" for gpu in gpus]
    driver, toolkit = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    return "; ".join(named) + f" (CUDA driver {_cuda(driver)}, runtime {_cuda(toolkit)})"


def _cuda(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _blas() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "unknown (threadpoolctl is not installed)"
    np.ones((2, 2)) @ np.ones((2, 2))
    found = [f"{i['internal_api']} {i['version']}, {i['num_threads']} threads" for i in threadpool_info()]
    return "; ".join(dict.fromkeys(found)) or "none found by threadpoolctl"
