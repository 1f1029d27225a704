"""What a network costs: the FLOPs of a layer, and the exact FLOPs and memory of a batch's gradient."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..equations.layers import Parameter, Shape, Training
from ..program import record
from ..program.plan import plan
from .subject import Subject


@dataclass(frozen=True)
class Gradient:
    """What the gradient for one batch costs, forward and backward, as the program that is replayed on NumPy."""

    flops: int  # all operations
    product_flops: int  # matrix products alone
    n_bytes: int  # the memory that it needs besides the batch and the parameters


def flops(parameters: Sequence[Parameter], out_shape: Shape) -> int:
    """2 n_in n_out a sample for weights (n_in, n_out); a kernel (..., channels) counts at each place of the output."""
    weights = [p.shape for p in parameters if p.role == "weight" and len(p.shape) > 1]
    return sum(2 * math.prod(shape) * max(1, math.prod(out_shape) // shape[-1]) for shape in weights)


def gradient_of(subject: Subject, batch_size: int, dtype: str) -> Gradient | None:
    """The cost of a batch's gradient, counted on the program that is replayed."""
    network, layout = subject.network, subject.layout

    def gradient(theta: Any, key: Any, X: Any, dZ: Any) -> Any:
        _, backward = network.forward(layout.unpack(theta), X, Training(key))
        return layout.pack(backward(dZ))

    number = np.zeros((), "float64" if dtype == "float64" else "float32")
    shapes = (layout.n_parameters,), (), (batch_size, *layout.in_shape), (batch_size, *layout.out_shape)
    try:
        program = record(gradient, *(np.broadcast_to(number, shape) for shape in shapes))
        return Gradient(program.flops, program.product_flops, plan(program).memory)
    except Exception:  # a layer of the user's own may raise anything here, and will raise it again in training
        return None
