"""On what was measured: the processor, its cores, the libraries and the BLAS."""

import os
import platform
from typing import Any

import numpy as np
import threadpoolctl

import xpnet


def processor() -> str:
    """The processor's name, and the cores that this process may use."""
    try:
        with open("/proc/cpuinfo") as lines:
            name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def libraries() -> dict[str, Any]:
    """Versions, and each BLAS with its kernels and threads: two runs compare only where these agree."""
    blas = [
        f"{pool['internal_api']} {pool['version']}, {pool.get('architecture')} kernels, {pool['num_threads']} threads"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    ]
    return {"processor": processor(), "xpnet": xpnet.__version__, "numpy": np.__version__, "blas": sorted(set(blas))}


def description() -> str:
    """The same in one line."""
    found = libraries()
    return f"{found['processor']}; NumPy {found['numpy']}; {'; '.join(found['blas'])}"
