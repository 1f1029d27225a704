"""The machine of a run: processor, GPU, driver, libraries, BLAS and commit. Only runs with the same can be compared."""

import contextlib
import datetime
import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from contender import cores

import xpnet
from xpnet.backends import Backend


def processor() -> str:
    """The processor's name, and the cores that this process may use."""
    try:
        with open("/proc/cpuinfo") as lines:
            name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {cores()} cores"


def commit() -> str:
    """The commit of the source, and whether files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent)]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        found = subprocess.run([*git, "describe", "--always", "--dirty"], check=True, capture_output=True, text=True)
        return found.stdout.strip()
    return "unknown"


def distribution(module: str) -> str:
    """The distribution of a module and its version; that of CuPy has several names."""
    names = importlib.metadata.packages_distributions().get(module, [])
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(names))) or "unknown"


def gpu() -> dict[str, str]:
    """The GPU that CuPy uses, its driver and runtime, and the version of CuPy."""
    import cupy

    runtime = cupy.cuda.runtime
    with contextlib.suppress(OSError, subprocess.CalledProcessError, IndexError):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()[0]
        return _gpu(cupy, runtime) | {"driver": driver}
    return _gpu(cupy, runtime)


def _gpu(cupy: Any, runtime: Any) -> dict[str, str]:
    def dotted(version: int) -> str:
        return f"{version // 1000}.{version % 1000 // 10}"

    return {
        "gpu": runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode(),
        "CUDA of the driver": dotted(runtime.driverGetVersion()),
        "CUDA runtime": dotted(runtime.runtimeGetVersion()),
        "CuPy": distribution("cupy"),
    }


def machine(backends: list[Backend]) -> dict[str, Any]:
    """Everything about the machine, for the record."""
    blas = [
        f"{pool['internal_api']} {pool['version']}, {pool.get('architecture')} kernels, {pool['num_threads']} threads"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    ]
    found = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "processor": processor(),
        "xpnet": xpnet.__version__,
        "NumPy": f"{np.__version__} with {'; '.join(sorted(set(blas)))}",
        "backends": [backend.name for backend in backends],
    }
    return found | (gpu() if any(backend.name != "numpy" for backend in backends) else {})
