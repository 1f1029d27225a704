"""Floor 0: the border. Who computes, and how; the equations never see past it.

``host`` is the namespace in which random numbers are drawn and tables of scalars are made.
"""

from typing import Any

import array_api_compat.numpy

from .inputs import all_finite, check_finite, read_data
from .precision import Precision, checked_precision, data_dtype, products_in
from .rows import Rows, is_in_rows, reading_order, shuffled, subset
from .seams import (
    Elementwise,
    compile_step,
    composite,
    counting,
    definitions_as_they_stand,
    elementwise,
    gather,
    in_full,
    namespace,
    operand,
    release_memory,
    rowwise,
)
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
    "Precision",
    "Rows",
    "all_finite",
    "auto_choice",
    "check_finite",
    "checked_precision",
    "compile_step",
    "composite",
    "counting",
    "data_dtype",
    "definitions_as_they_stand",
    "elementwise",
    "get_backend",
    "gather",
    "host",
    "in_full",
    "is_host_data",
    "is_in_rows",
    "namespace",
    "operand",
    "products_in",
    "read_data",
    "reading_order",
    "release_memory",
    "rowwise",
    "set_backend",
    "shuffled",
    "subset",
    "to_numpy",
    "using_backend",
]
