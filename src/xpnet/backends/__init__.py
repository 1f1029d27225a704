"""Which array library computes, and how data are read, checked and moved to it.

``host`` is the namespace in which random numbers are drawn and tables of scalars are made.
"""

from typing import Any

import array_api_compat.numpy
from array_api_compat import device

from .arrays import array_namespace, is_host_data, is_sparse, on_host, to_numpy
from .backend import Backend
from .inputs import all_finite, check_finite, finite_check, read_data
from .precision import NARROW, Precision, checked_precision, data_dtype, say_that_it_is_float32
from .row_source import RowSource, gather, is_in_rows, reading_order, shuffled, subset
from .selector import (
    BackendUnavailableError,
    auto_choice,
    get_backend,
    on_device_of,
    set_backend,
    using_backend,
)

host: Any = array_api_compat.numpy

__all__ = [
    "Backend",
    "BackendUnavailableError",
    "NARROW",
    "Precision",
    "RowSource",
    "all_finite",
    "array_namespace",
    "auto_choice",
    "check_finite",
    "finite_check",
    "checked_precision",
    "data_dtype",
    "device",
    "gather",
    "get_backend",
    "host",
    "is_host_data",
    "is_in_rows",
    "is_sparse",
    "on_device_of",
    "on_host",
    "read_data",
    "reading_order",
    "say_that_it_is_float32",
    "set_backend",
    "shuffled",
    "subset",
    "to_numpy",
    "using_backend",
]
