"""The three seams: one definition, run the best way each array library has.

========================  ============================  =====================  ==================
seam                      NumPy                         CuPy                   any other library
========================  ============================  =====================  ==================
``@elementwise``          cache-sized blocks, pooled    one fused kernel       as it stands
``@composite``            large results pooled          as it stands           as it stands
``compile_step``          silent about overflow         on theta's device      as it stands
========================  ============================  =====================  ==================

A lowering holds no mathematics of its own. With ``XPNET_LOWERINGS=off`` in the environment every definition runs as it
stands, on every library; the results agree, only slower.
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_cupy_array

from . import numpy as numpy_way

LOWERINGS = os.environ.get("XPNET_LOWERINGS", "on").lower() not in ("off", "0", "no", "false")


class Way(NamedTuple):
    """How one array library runs definitions: its namespace, the composites' namespace, and the two lowerings."""

    xp: Any
    composites: Any
    elementwise: Callable[[Callable, Sequence[tuple]], Any]
    compile_step: Callable[[Callable, Any], Callable]


def _each_part(xp: Any, evaluate: Callable, definition: Callable, parts: Sequence[tuple]) -> Any:
    values = [evaluate(definition, *part) for part in parts]
    if len(values) == 1:
        return values[0]
    if isinstance(values[0], tuple):
        return tuple(xp.concat(column) for column in zip(*values, strict=True))
    return xp.concat(values)


def _itself(step: Callable, like: Any) -> Callable:
    return step


_WAYS: dict[type, Way] = {}


def _way(array: Any) -> Way:
    """The way of this array's library, found once a type."""
    way = _WAYS.get(type(array))
    if way is None:
        way = _WAYS[type(array)] = _find_way(array)
    return way


def _find_way(array: Any) -> Way:
    xp = array_namespace(array)
    is_numpy = isinstance(array, np.ndarray | np.generic)
    if is_numpy and LOWERINGS:
        return Way(xp, numpy_way.pooled, numpy_way.elementwise, numpy_way.without_warnings)
    if is_cupy_array(array) and LOWERINGS:
        from . import cupy as cupy_way

        return Way(xp, xp, functools.partial(_each_part, xp, cupy_way.evaluate), cupy_way.on_device)
    as_it_stands = functools.partial(_each_part, xp, lambda definition, *part: definition(xp, *part))
    return Way(xp, xp, as_it_stands, numpy_way.without_warnings if is_numpy else _itself)


def namespace(array: Any) -> Any:
    """The Array API namespace of this array's library, by array-api-compat."""
    return _way(array).xp


class Elementwise:
    """A function ``definition(xp, *arrays)`` in which every element of the result depends on its own place alone.

    The first argument is an array of the result's shape; the others broadcast to it (a row, a column, a 0-d array, a
    Python scalar). A definition uses arithmetic, comparisons and elementwise functions of ``xp``, nothing else: that
    much fits in one CUDA kernel.
    """

    def __init__(self, definition: Callable) -> None:
        functools.update_wrapper(self, definition)
        self.definition = definition

    def __call__(self, *arguments: Any) -> Any:
        return _way(arguments[0]).elementwise(self.definition, (arguments,))

    def join(self, parts: Sequence[tuple]) -> Any:
        """The results for each part, one after the other along the first axis."""
        return _way(parts[0][0]).elementwise(self.definition, parts)


@functools.cache
def elementwise(definition: Callable) -> Elementwise:
    """Seam 1: see :class:`Elementwise`. The same definition always gives the same object."""
    return Elementwise(definition)


def composite(definition: Callable) -> Callable:
    """Seam 2: a function ``definition(xp, *arguments)`` of matrix products and other whole-array work.

    ``xp`` is the namespace of the first argument's library; a backend may also put one call of its own in its place.
    """

    @functools.wraps(definition)
    def evaluate(*arguments: Any) -> Any:
        return definition(_way(arguments[0]).composites, *arguments)

    return evaluate


def compile_step(step: Callable, like: Any) -> Callable:
    """Seam 3: the training step, made ready for the library of the array ``like``."""
    return _way(like).compile_step(step, like)
