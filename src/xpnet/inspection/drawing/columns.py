"""A network as the columns of its picture: the input, and one for every layer that has weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from ...equations.activations import Activation, Linear
from ...equations.layers import Parameter, Shape
from ..subject import Subject, by_shape


@dataclass(frozen=True)
class Column:
    """The values of one sample at one depth, and the layers that lead there from the column before."""

    layers: tuple[int, int]  # the first and the last that lead here, counted from 1; the input is 0, no layer (D3)
    kind: str  # the class of the first
    shape: Shape  # of one sample's values
    parameters: tuple[Parameter, ...] = ()
    arrays: tuple[np.ndarray, ...] = ()  # the parameters' values; empty if they are not known
    functions: tuple[str, ...] = ()  # applied after the weights: activations, layers without weights, the link

    @property
    def size(self) -> int:
        """How many values."""
        return math.prod(self.shape)

    def learned(self, role: str) -> list[tuple[Shape, np.ndarray | None]]:
        """The shape of each parameter of this role, with its values or None."""
        return [(p.shape, a) for p, a in zip_longest(self.parameters, self.arrays) if p.role == role]

    def joins_units(self, before: "Column") -> bool:
        """Whether weights (n_in, n_out) join each unit of the column before to each of this one."""
        weights, biases = ([shape for shape, _ in self.learned(role)] for role in ("weight", "bias"))
        is_flat = len(before.shape) == len(self.shape) == 1
        return is_flat and weights == [before.shape + self.shape] and biases in ([], [self.shape])

    @property
    def caption(self) -> tuple[str, ...]:
        """The lines below the column."""
        first, last = self.layers
        head = "input" if first == 0 else f"layer {first}" if first == last else f"layers {first}–{last}"
        count = f"{by_shape(self.shape)} {'unit' if first else 'feature'}{'' if self.size == 1 else 's'}"
        lines = head, f"{self.kind}, {count}" if self.kind else count, ", ".join(self.functions)
        return tuple(line for line in lines if line)


def columns_of(subject: Subject) -> list[Column]:
    """The input, and each layer with weights, to which layers without any are added as functions."""
    arrays: Sequence[Any] = [()] * len(subject.network.layers)
    if subject.theta is not None:
        arrays = subject.layout.unpack(subject.theta)
    columns = [Column((0, 0), "", subject.layout.in_shape)]
    for k, ((layer, parameters, shape), of_layer) in enumerate(zip(subject.layers(), arrays, strict=True), start=1):
        last, kind = columns[-1], type(layer).__name__
        if shape == last.shape and not any(p.role == "weight" for p in parameters):
            columns[-1] = replace(
                last,
                layers=(last.layers[0], k if last.layers[0] else 0),
                parameters=last.parameters + parameters,
                arrays=last.arrays + tuple(of_layer),
                functions=(*last.functions, kind),
            )
        else:
            f = getattr(layer, "f", Linear())
            functions = (type(f).__name__.lower(),) if isinstance(f, Activation) and f != Linear() else ()
            columns.append(Column((k, k), kind, shape, parameters, tuple(of_layer), functions))
    if subject.link != Linear():
        columns[-1] = replace(columns[-1], functions=(*columns[-1].functions, type(subject.link).__name__.lower()))
    return columns
