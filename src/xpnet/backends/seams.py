"""The seams: one definition, run the best way each array library has.

========================  ============================  =====================  ==================
seam                      NumPy                         CuPy                   any other library
========================  ============================  =====================  ==================
``@elementwise``          cache-sized blocks, pooled    one fused kernel       as it stands
``@rowwise``              blocks of rows, pooled        in fused pieces        as it stands
``@composite``            large results pooled          cuBLASLt's epilogues   as it stands
``compile_step``          one thread for small steps    CUDA graphs            as it stands
========================  ============================  =====================  ==================

A lowering holds no mathematics of its own. With ``XPNET_LOWERINGS=off`` in the environment every definition runs as it
stands, on every library; the results agree, only slower.
"""

import contextlib
import contextvars
import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device, is_cupy_array

from . import numpy as numpy_way
from . import sparse
from .precision import current_precision, narrow_error
from .rows import Rows
from .threads import threads_for

LOWERINGS = os.environ.get("XPNET_LOWERINGS", "on").lower() not in ("off", "0", "no", "false")


class Way(NamedTuple):
    """How one array library runs definitions: its namespace, the composites' namespace, and the lowerings."""

    xp: Any
    composites: Any
    elementwise: Callable[..., Any]
    rowwise: Callable[..., Any]
    compile_step: Callable[[Callable, tuple, Any, float], Callable]
    lowered: Mapping[str, Callable] = MappingProxyType({})
    """Composites, by name, that have one call in their place: ``lowered[name](definition, *arguments)``."""
    cast: Callable[[Any, str], Any] | None = None
    """An array in float32 or bfloat16, where the library computes with both."""


def _each_part(
    xp: Any, evaluate: Callable, definition: Callable, parts: Sequence[tuple], onto: Sequence[Any] = ()
) -> Any:
    values = [evaluate(definition, part) for part in parts]
    if len(values) == 1:
        return values[0]
    if isinstance(values[0], tuple):
        return tuple(xp.concat(column) for column in zip(*values, strict=True))
    return xp.concat(values)


def _in_turn(step: Callable, data: tuple, like: Any, work: float) -> Callable[..., tuple]:
    def run(carry: tuple, order: Any, size: int, table: np.ndarray) -> tuple:
        rows = order if isinstance(order, range) else namespace(like).asarray(order, device=device(like))
        for i, scalars in enumerate(table.tolist()):
            of_step = rows[i * size : min((i + 1) * size, len(order))]
            carry = step(carry, [None if A is None else gather(A, of_step) for A in data], scalars, i > 0)
        return carry

    return run


def _silent(step: Callable, data: tuple, like: Any, work: float, threads: Callable = threads_for) -> Callable:
    in_turn = _in_turn(step, data, like, work)

    def run(carry: tuple, order: Any, size: int, table: np.ndarray) -> tuple:
        # A diverged run ends with an error of its own, not with NumPy's warnings.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"), threads(size * work):
            return in_turn(carry, order, size, table)

    return run


_silent_as_it_stands = functools.partial(_silent, threads=contextlib.nullcontext)

_WAYS: dict[type, Way] = {}
_DEFINITIONS: dict[type, Way] = {}
_watchers: list[None] = []
_as_they_stand: contextvars.ContextVar[bool] = contextvars.ContextVar("xpnet_definitions", default=False)


@contextlib.contextmanager
def definitions_as_they_stand() -> Iterator[None]:
    """A context, of this thread or task alone, without lowerings: bit for bit as ``XPNET_LOWERINGS=off``."""
    _watchers.append(None)  # where nobody is in such a context, nobody has to ask who is
    token = _as_they_stand.set(True)
    try:
        yield
    finally:
        _as_they_stand.reset(token)
        _watchers.pop()


def _way(array: Any) -> Way:
    """The way of this array's library, found once a type."""
    if _watchers and _as_they_stand.get():
        way = _DEFINITIONS.get(type(array))
        if way is None:
            way = _DEFINITIONS[type(array)] = _find_way(array, lowered=False)
        return way
    way = _WAYS.get(type(array))
    if way is None:
        way = _WAYS[type(array)] = _find_way(array, LOWERINGS)
    return way


def _find_way(array: Any, lowered: bool) -> Way:
    if sparse.is_sparse(array):
        return _sparse_way(_way(sparse.values_of(array)), _silent if lowered else _silent_as_it_stands)
    if isinstance(array, Rows):
        return _way(array[:0])._replace(composites=SimpleNamespace(take=Rows.take))
    xp = array_namespace(array)
    is_numpy = isinstance(array, np.ndarray | np.generic)
    if is_numpy and lowered:
        return Way(xp, numpy_way.pooled, numpy_way.blocked, numpy_way.blocked, _silent)
    each_part = functools.partial(_each_part, xp)
    as_it_stands = functools.partial(each_part, lambda definition, part: definition(xp, *part))
    if is_cupy_array(array) and lowered:
        from . import cupy as cupy_way
        from . import kernels
        from .graphs import CapturedSteps

        return Way(
            xp,
            cupy_way.namespace,
            functools.partial(kernels.joined, each_part),
            as_it_stands,
            functools.partial(CapturedSteps, gather),
            cupy_way.COMPOSITES,
            cupy_way.cast,
        )
    return Way(xp, xp, as_it_stands, as_it_stands, _silent_as_it_stands if is_numpy else _in_turn)


def _sparse_way(dense: Way, compile_step: Callable) -> Way:
    """Products and rows by the sparse matrix itself; what follows from them is dense. No graph holds such steps."""
    mine = {name: getattr(sparse, name) for name in ("matmul", "matrix_transpose", "take")}
    composites = SimpleNamespace(**{**vars(dense.xp), **mine})
    return Way(dense.xp, composites, sparse.dense_needed, sparse.dense_needed, compile_step)


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

    def within(self, xp: Any, *arguments: Any) -> Any:
        """The results inside a rowwise definition: one kernel of its own where the definition isn't cut into blocks."""
        return self.definition(xp, *arguments) if xp is numpy_way.blockwise else self(*arguments)

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

    name = definition.__name__

    @functools.wraps(definition)
    def evaluate(*arguments: Any) -> Any:
        way = _way(arguments[0])
        if name in way.lowered:
            return way.lowered[name](functools.partial(definition, way.composites), *arguments)
        return definition(way.composites, *arguments)

    return evaluate


@composite
def gather(xp: Any, A: Any, rows: Any) -> Any:
    """A's rows at these indices, or in this range: A itself where that is all of it."""
    if not isinstance(rows, range):
        return xp.take(A, rows, axis=0)
    is_all = len(rows) == A.shape[0] and not isinstance(A, Rows)
    return A if is_all else A[rows.start : rows.stop, ...]


@composite
def counting(xp: Any, like: Any, n: int) -> Any:
    """0, 1, ..., n - 1 as int32, on the device of ``like``."""
    return xp.arange(n, dtype=xp.int32, device=device(like))


def operand(A: Any) -> Any:
    """A as products take it here: rounded to bfloat16 where that is the precision, itself elsewhere."""
    return _in_dtype(A, "bfloat16")


def in_full(A: Any) -> Any:
    """A as losses and links take it: float32 again where products are in bfloat16, itself elsewhere."""
    return _in_dtype(A, "float32")


def _in_dtype(A: Any, dtype: str) -> Any:
    if current_precision() != "bfloat16":
        return A
    way = _way(A)
    if way.cast is None:
        raise narrow_error("bfloat16", way.xp.__name__)
    return way.cast(A, dtype)


def release_memory() -> None:
    """Give back what NumPy's pool keeps for this thread; arrays in use live on."""
    numpy_way.POOL.clear()


def compile_step(step: Callable, data: tuple, like: Any, work: float = math.inf) -> Callable:
    """Seam 4: many training steps, run the best way the library of the array ``like`` has.

    Parameters
    ----------
    step : callable
        ``step(carry, batch, scalars, owned) -> carry``: carry is a tuple of arrays that the step may overwrite where
        it is owned; a batch has the rows of each array of ``data``; scalars are numbers or 0-d arrays.
    data : tuple of arrays or None
        What batches are taken from.
    like : array
        Its library and device compute.
    work : float
        Floating-point operations a row of the step's largest product.

    Returns
    -------
    callable
        ``run(carry, order, size, table) -> carry``: one step for each row of scalars in ``table`` (host), step i on
        the rows ``order[i * size : (i + 1) * size]`` of the data. ``order`` is a host array of indices or a range. The
        carry that comes in is left as it is.
    """
    way = _way(next(filter(sparse.is_sparse, data), like))
    return way.compile_step(step, data, like, work)
