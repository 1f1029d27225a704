"""The limit: the matrix products of a path and nothing else; for the update, a copy of as many bytes.

Shapes, transposes and dtype are the same. Outputs are allocated beforehand, and there is no gradient of the first
layer's input.
"""

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from cases import Case, elementwise_bytes, random
from contender import Contender, Device

from xpnet.backends import Backend

Array = Any
FIT_EPOCHS = 2


class Products:
    """The products A_k = A_{k-1} W_k forward; dW_k = A_{k-1}^T dZ_k and dA_{k-1} = dZ_k W_k^T backward."""

    def __init__(self, case: Case, asarray: Callable, matmul: Callable) -> None:
        self.case, self.matmul = case, matmul
        pairs = list(pairwise(case.widths))

        def normal(*shape: int) -> Array:
            return asarray(random(shape, case.dtype) / np.asarray(shape[-1] ** 0.5, case.dtype))

        self.batches = case.batches(normal(case.steps * case.batch, case.widths[0]))
        self.A = [None, *(normal(case.batch, n) for n in case.widths[1:])]
        self.dA = [None, *(normal(case.batch, n) for n in case.widths[1:])]
        self.W, self.dW = [normal(*pair) for pair in pairs], [normal(*pair) for pair in pairs]

    def over(self, arrays: Sequence[Array], matmul: Callable) -> "Products":
        """The same products of other arrays: a batch, the outputs of layers, their gradients, the weights."""
        other, n = copy.copy(self), len(self.W)
        other.matmul, other.A = matmul, list(arrays[: n + 1])
        other.dA, other.W = [None, *arrays[n + 1 : 2 * n + 1]], list(arrays[2 * n + 1 :])
        return other

    def forward(self) -> None:
        """One product for each layer."""
        for k, W in enumerate(self.W):
            self.matmul(self.A[k], W, out=self.A[k + 1])

    def backward(self) -> None:
        """Two products for each layer, and one for the first."""
        for k in reversed(range(len(self.W))):
            self.matmul(self.A[k].T, self.dA[k + 1], out=self.dW[k])
            if k > 0:
                self.matmul(self.dA[k + 1], self.W[k].T, out=self.dA[k])

    def one_pass(self) -> None:
        """The path's products for each batch in turn."""
        for _ in range(steps_of(self.case) // self.case.steps):
            for self.A[0] in self.batches:
                self.step()

    def step(self) -> None:
        """The path's products for the batch that is A[0]."""
        if self.case.path != "backward":
            self.forward()
        if self.case.path not in ("forward", "predict"):
            self.backward()


def limit(case: Case, backend: Backend, device: Device) -> Contender:
    """The limit of this path on this backend."""
    if case.path == "update":
        run = _copies(case, backend)
    elif backend.name == "numpy":
        run = Products(case, np.asarray, np.matmul).one_pass
    else:
        run = _on_cupy(case)
    return Contender(run, list, steps_of(case), device)


def _copies(case: Case, backend: Backend) -> Callable[[], None]:
    n = elementwise_bytes(case) // 2 // np.dtype(case.dtype).itemsize
    source, target = (backend.asarray(random((n,), case.dtype)) for _ in range(2))
    target = target + 0.0  # a separate array, in memory that has been written to

    def run() -> None:
        for _ in range(case.steps):
            target[...] = source

    return run


def steps_of(case: Case) -> int:
    """The number of steps in a pass: a fit has several epochs."""
    return case.steps * (FIT_EPOCHS if case.path == "fit" else 1)


def _on_cupy(case: Case) -> Callable[[], None]:
    """One graph of all products of a pass, made by the same calls as those of a training step."""
    import cupy

    from xpnet.program import record
    from xpnet.program.cuda.launches import Compiled, Launches, captured

    products = Products(case, cupy.asarray, np.matmul)
    others = [*products.A[1:], *products.dA[1:], *products.W]

    def one_step(*arrays: Array) -> list[Array]:
        made: list[Array] = []
        products.over(arrays, lambda a, b, out: made.append(a @ b)).step()
        return made

    program = record(one_step, products.batches[0], *others)
    compiled = Compiled(program, {}, {}, case.precision)
    memory, steps = None, []
    for X in products.batches:
        steps.append(Launches(compiled, [X, *others], memory=memory))
        memory = steps[0].memory
    steps[0](cupy.cuda.get_current_stream())  # which also rounds factors to bfloat16

    def all_products(stream: Any) -> None:
        for launches in steps * (steps_of(case) // case.steps):
            launches.multiply(stream)

    return captured(all_products).launch
