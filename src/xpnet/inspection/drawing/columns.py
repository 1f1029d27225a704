"""A network as the columns of its picture: the input, and one for every layer that has weights."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...equations.activations import Activation, Linear
from ...equations.layers import Parameter, Shape
from ..subject import Subject, by_shape


@dataclass(frozen=True)
class Column:
    """The values of one sample at one depth, and what leads there from the column before.

    Attributes
    ----------
    layers : (int, int)
        The first and the last layer that lead here, counted from 1; 0 is the input (D3: it is not a layer).
    kind : str
        The class of the first.
    shape : tuple of int
        Of one sample's values.
    parameters, arrays : tuples
        What is learned on the way here, and its values, empty where they are not known.
    functions : tuple of str
        What is applied after the weights: activations, layers without weights, the link.
    """

    layers: tuple[int, int]
    kind: str
    shape: Shape
    parameters: tuple[Parameter, ...] = ()
    arrays: tuple[np.ndarray, ...] = ()
    functions: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many values."""
        return math.prod(self.shape)

    @property
    def n_parameters(self) -> int:
        """How many numbers are learned on the way here."""
        return sum(math.prod(p.shape) for p in self.parameters)

    def has(self, role: str) -> bool:
        """Whether a parameter of this role leads here."""
        return any(p.role == role for p in self.parameters)

    def values(self, role: str) -> np.ndarray | None:
        """The parameter of this role, where there is one and it is known."""
        known = zip(self.parameters, self.arrays, strict=bool(self.arrays))
        return next((a for p, a in known if p.role == role), None)

    def joins_units(self, before: "Column") -> bool:
        """Whether weights (n_in, n_out) join each unit of the column before to each of this one."""
        shapes = {role: [p.shape for p in self.parameters if p.role == role] for role in ("weight", "bias")}
        n_in, n_out = before.shape, self.shape
        return len(n_in) == len(n_out) == 1 and (
            shapes["weight"] == [(*n_in, *n_out)] and shapes["bias"] in ([], [n_out])
        )

    @property
    def caption(self) -> tuple[str, ...]:
        """What stands below."""
        many = "units" if self.layers[0] else "features"
        count = f"{by_shape(self.shape)} {many[:-1] if self.size == 1 else many}"
        first, last = self.layers
        head = "input" if first == 0 else f"layer {first}" if first == last else f"layers {first}–{last}"
        lines = head, f"{self.kind}, {count}" if self.kind else count, ", ".join(self.functions)
        return tuple(line for line in lines if line)


def columns_of(subject: Subject) -> list[Column]:
    """The input, and each layer with weights, to which layers without any are added as functions."""
    shape = subject.layout.in_shape
    arrays: Sequence[Any] = [()] * len(subject.network.layers)
    if subject.theta is not None:
        arrays = subject.layout.unpack(subject.theta)
    columns = [Column((0, 0), "", shape)]
    for k, (layer, of_layer) in enumerate(zip(subject.network.layers, arrays, strict=True), start=1):
        parameters, out_shape = layer.shapes(shape)
        if out_shape == shape and not any(p.role == "weight" for p in parameters):
            last = columns[-1]
            columns[-1] = replace(
                last,
                layers=(last.layers[0], k if last.layers[0] else 0),
                parameters=last.parameters + parameters,
                arrays=last.arrays + tuple(of_layer),
                functions=(*last.functions, type(layer).__name__),
            )
        else:
            columns.append(
                Column((k, k), type(layer).__name__, out_shape, parameters, tuple(of_layer), _functions(layer))
            )
        shape = out_shape
    if subject.link != Linear():
        columns[-1] = replace(columns[-1], functions=(*columns[-1].functions, type(subject.link).__name__.lower()))
    return columns


def _functions(layer: Any) -> tuple[str, ...]:
    f = getattr(layer, "f", None)
    return (type(f).__name__.lower(),) if isinstance(f, Activation) and f != Linear() else ()
