"""One BLAS thread for small products.

A second thread shortens a step of small products by a tenth where a core is idle for it. Where none is, the product
waits until the system lets that thread run: such steps took 7 to 100 times as long. The number of threads belongs to
the whole process, so it is lowered while a step computes and not while its caller does, and never raised.
"""

import contextlib
import functools
import os
import threading
from typing import Any

SMALL_PRODUCT = 3e6
"""Floating-point operations of a step's largest product below which it gets one thread."""


class OneThread:
    """A context, reentrant and shared by all threads: the first to enter lowers the number, the last restores it."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nobody is inside."""
        self.lock, self.inside = threading.Lock(), 0
        self.before: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                several = [(blas, n) for blas in libraries() if (n := blas.get_num_threads() or 1) > 1]
                for blas, _ in several:
                    blas.set_num_threads(1)
                # Where another thread's limits hold, threadpoolctl leaves them alone, and so do we.
                self.before = [(blas, n) for blas, n in several if blas.get_num_threads() == 1]

    def __exit__(self, *_: Any) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.restore()

    def restore(self) -> None:
        """As it was before, where nobody has set another number since."""
        for blas, n in self.before:
            # threadpoolctl obeys the thread that set the number first, and another may be the last to leave.
            let_go(blas)
            if blas.get_num_threads() == 1:
                blas.set_num_threads(n)
            let_go(blas)
        self.before = []

    def after_fork(self) -> None:
        """A child has none of its parent's threads, so nobody is inside."""
        self.restore()
        self.clear()


def let_go(blas: Any) -> None:
    """Let any thread set the number again, where this threadpoolctl has it belong to one."""
    clear = getattr(blas, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


ONE_THREAD = OneThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ONE_THREAD.after_fork)


@functools.cache
def libraries() -> list[Any]:
    """The BLAS libraries of this process, by threadpoolctl, which comes with scikit-learn; none without it."""
    try:
        import threadpoolctl
    except ImportError:
        return []
    return threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers


def threads_for(operations: float) -> contextlib.AbstractContextManager:
    """A context for products of at most so many floating-point operations."""
    return ONE_THREAD if operations < SMALL_PRODUCT else contextlib.nullcontext()
