"""Data that are read batch by batch: HDF5, Zarr, a memmap, or any object that has shape, dtype and row slices.

They are never copied as a whole. A batch is a NumPy array.
"""

import mmap
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from .arrays import array_namespace, is_sparse

_BLOCK_BYTES = 1 << 22
"""The approximate size of a read, which is a whole number of the source's own chunks."""
_BLOCKS_SHUFFLED_TOGETHER = 8


class RowSource:
    """Rows of a source, in float32 or float64.

    Parameters
    ----------
    source : object
        Has ``shape`` (M, n), ``dtype`` and ``source[start:stop]``.
    dtype : dtype, optional
        The dtype of batches: by default that of the source if it is float32 or float64, otherwise float64.
    at : host array of int, (m,), optional
        The indices of the rows; by default all of them.
    """

    def __init__(self, source: Any, dtype: Any = None, at: np.ndarray | None = None) -> None:
        own = np.dtype(source.dtype)
        self.dtype = np.dtype(dtype or (own if own in (np.float32, np.float64) else np.float64))
        self.source, self.at = source, at
        self.shape = (source.shape[0] if at is None else len(at), *source.shape[1:])
        self.ndim = len(self.shape)
        self.nbytes = int(np.prod(self.shape)) * self.dtype.itemsize
        chunk = (getattr(source, "chunks", None) or (1,))[0]
        row = max(1, self.nbytes // max(1, self.shape[0]))
        self.block = chunk * max(1, round(_BLOCK_BYTES / (row * chunk)))
        self.read: OrderedDict[int, np.ndarray] = OrderedDict()

    @property
    def is_in_blocks(self) -> bool:
        """Whether single rows are expensive to read, so that neighbors should be read together. A memmap's are not."""
        return not isinstance(self.source, np.ndarray)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        rows = key[0] if isinstance(key, tuple) else key
        start, stop, _ = rows.indices(self.shape[0])
        if self.at is not None:
            return self.take(np.arange(start, stop))
        return self._in_dtype(self.source[start:stop])

    def _in_dtype(self, rows: Any) -> np.ndarray:
        return np.asarray(rows, self.dtype)

    def part(self, at: np.ndarray) -> "RowSource":
        """Some of the rows, which are not read yet."""
        return RowSource(self.source, self.dtype, at if self.at is None else self.at[at])

    def take(self, indices: np.ndarray, axis: int = 0, out: np.ndarray | None = None, mode: str = "clip") -> np.ndarray:
        """The rows at these indices, as ``numpy.take`` returns them."""
        at = indices if self.at is None else self.at[indices]
        if not self.is_in_blocks:
            found = self._in_dtype(np.take(self.source, at, axis=0))
            if out is not None:
                out[...] = found
            return found if out is None else out
        found = np.empty((len(at), *self.shape[1:]), self.dtype) if out is None else out
        blocks = at // self.block
        for k in np.unique(blocks):
            here = blocks == k
            found[here] = self._block(int(k))[at[here] - k * self.block]
        return found

    def _block(self, k: int) -> np.ndarray:
        """Block k of the source; the last ones are kept in memory."""
        if k not in self.read:
            while len(self.read) >= 2 * _BLOCKS_SHUFFLED_TOGETHER:
                self.read.popitem(last=False)
            self.read[k] = self._in_dtype(self.source[k * self.block : (k + 1) * self.block])
        self.read.move_to_end(k)
        return self.read[k]

    def blocks(self) -> Iterator[np.ndarray]:
        """All rows, a block at a time."""
        for start in range(0, self.shape[0], self.block):
            yield self[start : start + self.block]

    def in_random_order(self, rng: Any) -> np.ndarray:
        """The indices of the rows: the blocks are shuffled, and then the rows within each eight consecutive blocks.

        Thus every block is read once an epoch, and only a few are held in memory.
        """
        rows = np.arange(self.shape[0])
        blocks = (rows if self.at is None else self.at) // self.block
        cuts = np.split(rows, np.flatnonzero(np.diff(blocks)) + 1)
        order = rng.permutation(len(cuts))
        groups = [order[i : i + _BLOCKS_SHUFFLED_TOGETHER] for i in range(0, len(order), _BLOCKS_SHUFFLED_TOGETHER)]
        together = [np.concatenate([cuts[k] for k in group]) for group in groups]
        return np.concatenate([group[rng.permutation(len(group))] for group in together])


def gather(A: Any, rows: Any) -> Any:
    """The rows of A at these indices (an array of A's library), or in this range; A itself if the range covers it."""
    if isinstance(rows, range):
        is_all = len(rows) == A.shape[0] and not isinstance(A, RowSource)
        return A if is_all else A[rows.start : rows.stop, ...]
    if isinstance(A, RowSource):
        return A.take(rows)
    return A[rows] if is_sparse(A) else array_namespace(A).take(A, rows, axis=0)


def is_in_rows(x: Any) -> bool:
    """Whether x is to be read batch by batch.

    That is a source that is neither an array of a library nor a table, or a memmap whose dtype has to be converted.
    """
    if isinstance(x, np.ndarray):
        return isinstance(x, np.memmap) and x.dtype not in (np.float32, np.float64)
    is_table = any(hasattr(x, name) for name in ("iloc", "tocsr", "to_numpy"))
    is_source = all(hasattr(x, name) for name in ("shape", "dtype", "__getitem__"))
    is_array = is_array_api_obj(x) or hasattr(x, "__cuda_array_interface__")
    return is_source and not is_table and not is_array


def _lies_in_a_file(x: Any) -> bool:
    """Whether x is a memmap, or an array that is a view of one, as scikit-learn's checks return."""
    while isinstance(x, np.ndarray) and not isinstance(x, np.memmap):
        x = x.base
    return isinstance(x, np.memmap | mmap.mmap)


def shuffled(order: np.ndarray, X: Any, rng: Any) -> np.ndarray:
    """A new random order of X's rows; if X is read in blocks, one in which reading is fast."""
    if isinstance(X, RowSource) and X.is_in_blocks:
        return X.in_random_order(rng)
    return order[rng.permutation(len(order))]


def reading_order(X: Any, at: np.ndarray) -> np.ndarray:
    """The rows ``at``, sorted if X is read in blocks."""
    return np.sort(at) if isinstance(X, RowSource) and X.is_in_blocks else at


def subset(X: Any, at: np.ndarray) -> "RowSource | None":
    """These rows of X, to be read when they are needed, if X lies in a file; None if it is in memory."""
    rows = RowSource(X) if _lies_in_a_file(X) else X
    return rows.part(at) if isinstance(rows, RowSource) else None
