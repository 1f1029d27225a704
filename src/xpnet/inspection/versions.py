"""The versions that a bug report needs."""

import importlib.metadata
import os
import platform
from collections.abc import Iterator

import numpy as np

from .. import __version__
from ..backends import BackendUnavailableError, get_backend


def show_versions() -> None:
    """Print the versions of Python, xpnet and its dependencies, the GPU, and the BLAS with its threads.

    Examples
    --------
    >>> import xpnet
    >>> xpnet.show_versions()  # doctest: +SKIP
    python             3.12.3 (CPython, Linux-6.8.0-x86_64-with-glibc2.39)
    xpnet              0.1.0
    """
    for name, value in versions():
        print(f"{name:<18} {value}")


def versions() -> Iterator[tuple[str, str]]:
    """What ``show_versions`` prints, as pairs of name and text; each is looked up when it is needed."""
    yield "python", f"{platform.python_version()} ({platform.python_implementation()}, {platform.platform()})"
    yield "xpnet", __version__
    for name in "numpy array-api-compat scikit-learn safetensors pandas matplotlib rich".split():
        yield name, _version(name)
    cupy = importlib.metadata.packages_distributions().get("cupy", [])  # such as cupy-cuda12x
    yield "cupy", ", ".join(f"{name} {_version(name)}" for name in cupy) or "not installed"
    yield "GPU", _gpu()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield "CPU cores", f"{cores} for this process"
    yield "BLAS", _blas()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _gpu() -> str:
    try:
        runtime = get_backend("cupy").xp.cuda.runtime
    except BackendUnavailableError as error:
        return f"none ({error})"
    gpus = [runtime.getDeviceProperties(i) for i in range(runtime.getDeviceCount())]
    named = [f"{gpu['name'].decode()}, {gpu['totalGlobalMem'] / 2**30:.0f} GiB" for gpu in gpus]
    numbers = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    driver, toolkit = (f"{number // 1000}.{number % 1000 // 10}" for number in numbers)
    return f"{'; '.join(named)} (CUDA driver {driver}, runtime {toolkit})"


def _blas() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "unknown (threadpoolctl is not installed)"
    np.ones((2, 2)) @ np.ones((2, 2))  # a BLAS is loaded when it is first used
    found = [f"{i['internal_api']} {i['version']}, {i['num_threads']} threads" for i in threadpool_info()]
    return "; ".join(dict.fromkeys(found)) or "none found by threadpoolctl"
