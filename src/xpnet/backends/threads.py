"""One BLAS thread for small products.

A second thread shortens a step of small products by a tenth if a core is idle. If none is, the product waits
until the system runs that thread: such steps took 7 to 100 times as long. The number of threads belongs to the whole
process, so it is lowered only while a step computes, and never raised.
"""

import contextlib
import functools
import os
import threading
from typing import Any

SMALL_PRODUCT = 3e6
"""A step whose largest product has fewer floating-point operations gets one thread."""


class OneThread:
    """A context, reentrant and shared by all threads: the first to enter lowers the number, the last restores it."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.before: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                several = [(blas, n) for blas in libraries() if (n := blas.get_num_threads() or 1) > 1]
                for blas, _ in several:
                    blas.set_num_threads(1)
                # If another thread has set limits, threadpoolctl leaves them alone.
                self.before = [(blas, n) for blas, n in several if blas.get_num_threads() == 1]

    def __exit__(self, *_: Any) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.restore()

    def restore(self) -> None:
        """Set the number that was there before, unless another one has been set since."""
        for blas, n in self.before:
            # threadpoolctl obeys the thread that set the number first, and another may be the last to leave.
            release(blas)
            if blas.get_num_threads() == 1:
                blas.set_num_threads(n)
            release(blas)
        self.before = []

    def after_fork(self) -> None:
        """Restore the number in a child process: it has none of its parent's threads, so no thread is inside."""
        self.restore()
        self.lock, self.inside = threading.Lock(), 0


def release(blas: Any) -> None:
    """Let any thread set the number again, if this version of threadpoolctl reserves it for one."""
    clear = getattr(blas, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


ONE_THREAD = OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ONE_THREAD.after_fork)


@functools.cache
def libraries() -> list[Any]:
    """The BLAS libraries of this process, found by threadpoolctl, which scikit-learn installs; none without it."""
    try:
        import threadpoolctl
    except ImportError:
        return []
    return threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers


def threads_for(operations: float) -> contextlib.AbstractContextManager:
    """A context for products of at most this many floating-point operations."""
    return ONE_THREAD if operations < SMALL_PRODUCT else contextlib.nullcontext()
