"""Floor 0: the border. Who computes, and how; the equations never see past it.

``host`` is the namespace in which random numbers are drawn and tables of scalars are made.
"""

from typing import Any

import array_api_compat.numpy

from .inputs import all_finite, check_finite, read_data
from .seams import Elementwise, compile_step, composite, elementwise, namespace, release_memory, rowwise, small_step
from .selector import (
    Backend,
    BackendUnavailableError,
    auto_choice,
    get_backend,
    is_host_data,
    set_backend,
    to_numpy,
    using_backend,
)

host: Any = array_api_compat.numpy

__all__ = [
    "Backend",
    "BackendUnavailableError",
    "Elementwise",
    "all_finite",
    "auto_choice",
    "check_finite",
    "compile_step",
    "composite",
    "elementwise",
    "get_backend",
    "host",
    "is_host_data",
    "namespace",
    "read_data",
    "release_memory",
    "rowwise",
    "set_backend",
    "small_step",
    "to_numpy",
    "using_backend",
]
