"""Predictions in blocks of rows, so that their memory is bounded, and the programs that are replayed on a GPU."""

from collections.abc import Callable, MutableMapping
from typing import Any

from .backends import Backend, RowSource, is_sparse
from .network import Layout
from .program import Replayed
from .program.bounded_dict import Bounded
from .program.steps import MOST_SIZES

Array = Any

FEWEST_ROWS = 512


class LastPredictions:
    """The programs of the last predictions on a GPU, which predictions of the same kind replay."""

    def __init__(self) -> None:
        self._kind: Any = None
        self._replayed = Bounded(MOST_SIZES)

    def of(self, method: str, model: Any, X: Array, backend: Backend) -> Callable:
        """See :func:`last_prediction`."""
        rounding = model.rounding
        kind = method, model.network, model.criterion.link, rounding, backend, X.shape[1:], X.dtype
        if kind != self._kind:
            self._kind, self._replayed = kind, Bounded(MOST_SIZES)
        replayed = self._replayed

        def last(n_rows: int, function: Callable) -> Replayed:
            return replayed.get_or_make(n_rows, lambda: Replayed(function, (), rounding))

        return last


def last_prediction(
    kept: MutableMapping[Any, LastPredictions], owner: Any, method: str, model: Any, X: Array, backend: Backend
) -> Callable | None:
    """A function ``last(n_rows, function)``: it returns the program of the owner's last predictions of so many rows, or
    a new one of the function if those were of another kind. None if predictions are not replayed.
    """
    if not backend.is_cupy or is_sparse(X):
        return None
    try:
        last = kept.setdefault(owner, LastPredictions())
    except TypeError:  # a model with a layer of the user's own that can't be hashed
        return None
    return last.of(method, model, X, backend)


def in_row_blocks(
    function: Callable, fixed: tuple, X: Array, layout: Layout, backend: Backend, last: Callable | None = None
) -> Array:
    """``function(X, *fixed)``, each row of which depends on that row of X alone, computed in blocks of rows.

    ``last`` replaces the function by the program of an earlier call, see :func:`last_prediction`.
    """
    m, rows = X.shape[0], rows_a_block(layout, backend)
    if backend.name == "numpy" and not isinstance(X, RowSource):
        # Blocks that stay in a cache; products of fewer rows than this are slower.
        rows = min(rows, max(FEWEST_ROWS, rows // 32))
    with backend.active():
        if last is not None:
            function = last(min(rows, m), function)
        elif m > rows:
            function, fixed = Replayed(function, fixed), ()
        if m <= rows:
            return function(backend.asarray(X[:, ...]), *fixed)
        blocks = (backend.asarray(X[at : min(at + rows, m), ...]) for at in range(0, m, rows))
        return backend.xp.concat([function(block, *fixed) for block in blocks])


_BLOCK_VALUES = 1 << 22
"""The number of values that one layer of a network holds at a time in prediction; the input counts as a layer."""


def rows_a_block(layout: Layout, backend: Backend | None = None) -> int:
    """How many rows to predict at a time: bounded memory, whatever the number of rows."""
    n_values = _BLOCK_VALUES
    if backend is not None and backend.is_cupy:
        # A GPU needs many rows to be busy. A block is copied in and out and has some arrays of its size in between:
        # each may have a sixteenth of the free memory in float64, rounded down to a power of two, so that programs of
        # the same size are used again although the free memory changes.
        n_values = max(n_values, 1 << (backend.free_bytes() // (16 * 8)).bit_length() >> 1)
    return max(1, n_values // layout.widest)
