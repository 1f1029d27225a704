"""The limit: a path's matrix products and nothing else; for the update, a copy of as many bytes.

The same shapes, transposes and dtype, outputs made beforehand, no gradient for the first layer's input.
"""

import contextlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from cases import Case, elementwise_bytes, random
from contender import Contender, Device

from xpnet.backends import Backend

Array = Any
FIT_EPOCHS = 2


class Products:
    """A_k = A_{k-1} W_k forward; dW_k = A_{k-1}^T dZ_k and dA_{k-1} = dZ_k W_k^T backward."""

    def __init__(self, case: Case, asarray: Callable, matmul: Callable) -> None:
        self.case, self.matmul = case, matmul
        pairs = list(pairwise(case.widths))

        def normal(*shape: int) -> Array:
            return asarray(random(shape, case.dtype) / np.asarray(shape[-1] ** 0.5, case.dtype))

        self.X = normal(case.steps * case.batch, case.widths[0])
        self.A = [None, *(normal(case.batch, n) for n in case.widths[1:])]
        self.dA = [None, *(normal(case.batch, n) for n in case.widths[1:])]
        self.W, self.dW = [normal(*pair) for pair in pairs], [normal(*pair) for pair in pairs]

    def forward(self) -> None:
        """One product a layer."""
        for k, W in enumerate(self.W):
            self.matmul(self.A[k], W, out=self.A[k + 1])

    def backward(self) -> None:
        """Two products a layer, one for the first."""
        for k in reversed(range(len(self.W))):
            self.matmul(self.A[k].T, self.dA[k + 1], out=self.dW[k])
            if k > 0:
                self.matmul(self.dA[k + 1], self.W[k].T, out=self.dA[k])

    def one_pass(self) -> None:
        """The path's products for each batch in turn."""
        path, batch = self.case.path, self.case.batch
        for _ in range(FIT_EPOCHS if path == "fit" else 1):
            for i in range(self.case.steps):
                self.A[0] = self.X[i * batch : (i + 1) * batch]
                if path != "backward":
                    self.forward()
                if path not in ("forward", "predict"):
                    self.backward()


def limits(case: Case, backend: Backend, device: Device) -> dict[str, Callable[[], Contender]]:
    """How to make each of the limits of this path on this backend."""

    def contender(run: Callable[[], object]) -> Contender:
        return Contender(run, list, steps_of(case), device)

    def copy() -> Contender:
        n = elementwise_bytes(case) // 2 // np.dtype(case.dtype).itemsize
        source, target = (backend.asarray(random((n,), case.dtype)) for _ in range(2))
        target = target + 0.0  # an array of its own, in memory that has been touched

        def run() -> None:
            for _ in range(case.steps):
                target[...] = source

        return contender(run)

    if case.path == "update":
        return {"limit": copy}
    if backend.name == "numpy":
        return {"limit": lambda: contender(Products(case, np.asarray, np.matmul).one_pass)}
    return {"limit": lambda: contender(_on_cupy(case))}


def steps_of(case: Case) -> int:
    """Steps a pass: of a fit there are several epochs."""
    return case.steps * (FIT_EPOCHS if case.path == "fit" else 1)


def _on_gpu(case: Case) -> Callable[[np.ndarray], Array]:
    import cupy

    if case.precision != "bfloat16":
        return cupy.asarray
    import ml_dtypes

    return lambda a: cupy.asarray(a).astype(ml_dtypes.bfloat16)


def _on_cupy(case: Case) -> Callable[[], None]:
    """Launched one by one, because CuPy refuses to capture its cuBLAS calls; small products wait for their launches."""
    import cupy

    products = Products(case, _on_gpu(case), cupy.matmul)

    def run() -> None:
        with tf32_matmul() if case.precision == "tf32" else contextlib.nullcontext():
            products.one_pass()

    return run


@contextlib.contextmanager
def tf32_matmul() -> Iterator[None]:
    """CuPy's float32 products in TF32; the setting is the process's, so it is put back."""
    import cupy
    from cupy._core import _routines_linalg as linalg

    before = linalg.get_compute_type(cupy.float32)
    linalg.set_compute_type(cupy.float32, linalg.COMPUTE_TYPE_TF32)
    try:
        yield
    finally:
        linalg.set_compute_type(cupy.float32, before)
