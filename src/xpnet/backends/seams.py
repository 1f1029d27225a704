"""The seams: one definition, run the best way each array library has.

========================  ============================  =====================  ==================
seam                      NumPy                         CuPy                   any other library
========================  ============================  =====================  ==================
``@elementwise``          cache-sized blocks, pooled    one fused kernel       as it stands
``@rowwise``              blocks of rows, pooled        as it stands           as it stands
``@composite``            large results pooled          as it stands           as it stands
``compile_step``          silent about overflow         on theta's device      as it stands
========================  ============================  =====================  ==================

A lowering holds no mathematics of its own. With ``XPNET_LOWERINGS=off`` in the environment every definition runs as it
stands, on every library; the results agree, only slower.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_cupy_array

from . import numpy as numpy_way
from .threads import threads_for

LOWERINGS = os.environ.get("XPNET_LOWERINGS", "on").lower() not in ("off", "0", "no", "false")


class Way(NamedTuple):
    """How one array library runs definitions: its namespace, the composites' namespace, and the lowerings."""

    xp: Any
    composites: Any
    elementwise: Callable[..., Any]
    rowwise: Callable[..., Any]
    compile_step: Callable[[Callable, Any], Callable]


def _each_part(
    xp: Any, evaluate: Callable, definition: Callable, parts: Sequence[tuple], onto: Sequence[Any] = ()
) -> Any:
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
        return Way(xp, numpy_way.pooled, numpy_way.blocked, numpy_way.blocked, numpy_way.without_warnings)
    as_it_stands = functools.partial(_each_part, xp, lambda definition, *part: definition(xp, *part))
    if is_cupy_array(array) and LOWERINGS:
        from . import cupy as cupy_way

        return Way(xp, xp, functools.partial(_each_part, xp, cupy_way.evaluate), as_it_stands, cupy_way.on_device)
    return Way(xp, xp, as_it_stands, as_it_stands, numpy_way.without_warnings if is_numpy else _itself)


def namespace(array: Any) -> Any:
    """The Array API namespace of this array's library, by array-api-compat."""
    return _way(array).xp


class Elementwise:
    """A function ``definition(xp, *arrays)`` in which every element of the result depends on its own place alone.

    The first argument is an array of the result's shape; the others broadcast to it (a row, a column, a 0-d array, a
    Python scalar). A definition uses arithmetic, comparisons and elementwise functions of ``xp``, nothing else: that
    much fits in one CUDA kernel.
    """

    _lowering = "elementwise"

    def __init__(self, definition: Callable) -> None:
        functools.update_wrapper(self, definition)
        self.definition = definition

    def __call__(self, *arguments: Any) -> Any:
        return self.join((arguments,))

    def join(self, parts: Sequence[tuple], onto: Sequence[Any] = ()) -> Any:
        """The results for each part, one after the other along the first axis.

        ``onto`` names arrays that the caller owns and is done with, such as the joined arguments themselves: a
        library whose arrays can be written to may put the results there.
        """
        return getattr(_way(parts[0][0]), self._lowering)(self.definition, parts, onto)


class Rowwise(Elementwise):
    """A function ``definition(xp, *arrays)`` in which every row of the results depends on that row alone.

    Unlike an elementwise one it may reduce along the last axis; the first argument has as many rows as the results.
    """

    _lowering = "rowwise"


@functools.cache
def elementwise(definition: Callable) -> Elementwise:
    """Seam 1: see :class:`Elementwise`. The same definition always gives the same object."""
    return Elementwise(definition)


def rowwise(definition: Callable) -> Rowwise:
    """Seam 2: see :class:`Rowwise`."""
    return Rowwise(definition)


def composite(definition: Callable) -> Callable:
    """Seam 3: a function ``definition(xp, *arguments)`` of matrix products and other whole-array work.

    ``xp`` is the namespace of the first argument's library; a backend may also put one call of its own in its place.
    """

    @functools.wraps(definition)
    def evaluate(*arguments: Any) -> Any:
        return definition(_way(arguments[0]).composites, *arguments)

    return evaluate


def release_memory() -> None:
    """Give back what NumPy's pool keeps for this thread; arrays in use live on."""
    numpy_way.POOL.clear()


def compile_step(step: Callable, like: Any) -> Callable:
    """Seam 4: the training step, made ready for the library of the array ``like``."""
    return _way(like).compile_step(step, like)


def small_step(like: Any, operations: float) -> contextlib.AbstractContextManager:
    """A context for steps on the array ``like`` whose largest product takes so many floating-point operations."""
    is_numpy = isinstance(like, np.ndarray)
    return threads_for(operations) if is_numpy and LOWERINGS else contextlib.nullcontext()
