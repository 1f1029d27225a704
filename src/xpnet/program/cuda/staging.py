"""Copies from the host to a GPU: an epoch's order and scalars, and batches of data that stay on the host."""

from typing import Any

import cupy
import cupyx
import numpy as np

from ..recorder import leaves, mapped
from ..steps import Batch, read_rows

Array = Any


class EpochTables:
    """The order of an epoch's samples, and the scalars of each step, on the device.

    ``kind`` is the number of samples, the batch size, and the shape and dtype of the scalars of all steps.
    """

    def __init__(self, kind: tuple) -> None:
        self.kind = kind
        self._m, self._size, shape, dtype = kind
        self.counter, self.scalars = cupy.zeros(1, np.int64), cupy.empty(shape, dtype)
        self._on_host = cupyx.empty_pinned(shape, dtype)
        self._order: Any = None
        self._order_on_host: Any = None
        self._sent: Any = None

    def send(self, order: Any, table: np.ndarray, is_needed: bool) -> None:
        """Copy them to the device, without waiting for the copies; the order only if it ``is_needed``.

        The page-locked memory that they are copied from is not written again before the epoch has ended.
        """
        self.counter.fill(0)
        self._on_host[...] = table
        self.scalars.set(self._on_host)
        if not is_needed or (isinstance(order, range) and self._sent == order):
            return
        if self._order is None:
            self._order, self._order_on_host = cupy.empty(self._m, np.int64), cupyx.empty_pinned(self._m, np.int64)
        self._order_on_host[...] = order
        self._order.set(self._order_on_host)
        self._sent = order if isinstance(order, range) else None

    def rows(self, first: int, n: int) -> Array:
        """The indices of the rows of n steps, beginning with step ``first``; shape (n, batch size)."""
        return self._order[first * self._size : (first + n) * self._size].reshape(n, -1)

    def row(self, i: int) -> tuple:
        """The scalars of step i, as 0-d arrays."""
        return tuple(self.scalars[i, j] for j in range(self.scalars.shape[1]))


class StagedBatch:
    """A batch on the device, and page-locked memory of the host from which it is copied."""

    def __init__(self, data: Batch, size: int) -> None:
        self._data = [*leaves(data)]
        self._on_host = [cupyx.empty_pinned((size, *A.shape[1:]), A.dtype) for A in self._data]
        self.batch: Batch = mapped(lambda A: cupy.empty((size, *A.shape[1:]), A.dtype), data)
        self._copies = cupy.cuda.Stream(non_blocking=True)
        self._filled, self.consumed = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
        self.consumed.record()  # the pool's memory may still be in use on this stream

    def fill(self, at: Any) -> None:
        """Copy these rows of the data to the device; the current stream waits for the copies, the host does not."""
        self._filled.synchronize()  # the page-locked memory has been read
        for A, here in zip(self._data, self._on_host, strict=True):
            read_rows(A, at, here)
        self._copies.wait_event(self.consumed)
        for here, there in zip(self._on_host, leaves(self.batch), strict=True):
            there.set(here, stream=self._copies)
        self._filled.record(self._copies)
        cupy.cuda.get_current_stream().wait_event(self._filled)
