"""A network as a table: each layer's equation, and its cost in parameters, operations and memory."""

import html
import math
from dataclasses import dataclass
from typing import Any

from ..backends import checked_precision
from ..equations import whole_number
from ..equations.activations import Linear
from ..equations.layers import Parameter, Shape
from .equation_text import equation_of
from .flops import Gradient, flops, gradient_of
from .subject import by_shape, by_size, size_of, subject_of
from .table import Table

_NUMBERS = "number", "FLOPs", "bytes", "activations"
_HEAD = "layer", "equation", "output", "parameters", *_NUMBERS


@dataclass(frozen=True)
class Row:
    """A layer: its equation, its parameters, and what they cost."""

    layer: str
    equation: str
    shape: Shape  # of the output for one sample
    parameters: tuple[Parameter, ...] = ()
    flops: int = 0  # of one sample's forward pass
    n_bytes: int = 0  # of the parameters
    activation_bytes: int = 0  # of the output at the summary's batch size

    @property
    def n_parameters(self) -> int:
        """How many numbers are learned."""
        return size_of(self.parameters)


@dataclass(frozen=True, repr=False)
class Summary:
    """A network layer by layer, with totals; it prints as a table, and is one in a notebook.

    Attributes
    ----------
    rows : tuple of Row
        The input, each layer, and the link of the loss if there is one.
    batch_size : int
        The batch size for which the memory of activations is counted.
    dtype : str
        The precision of the computation.
    gradient : Gradient or None
        What the gradient for one batch costs. It is None for a network that can't be recorded, such as one with a
        layer of your own that looks at the value of an array.
    """

    rows: tuple[Row, ...]
    batch_size: int
    dtype: str
    gradient: Gradient | None = None

    @property
    def n_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(row.n_parameters for row in self.rows)

    @property
    def flops(self) -> int:
        """FLOPs of one sample's forward pass: 2 n_in n_out for each product with a matrix of weights."""
        return sum(row.flops for row in self.rows)

    @property
    def n_bytes(self) -> int:
        """Bytes of all parameters."""
        return sum(row.n_bytes for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Bytes of X and of every layer's output at the batch size: what the backward pass needs."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the columns count, and the cost of a batch's gradient."""
        counted = (
            f"{self.dtype}, batches of {self.batch_size}; activations: X and every layer's output.",
            "FLOPs: one sample's forward pass, 2 n_in n_out for each product with weights.",
        )
        g = self.gradient
        if g is None:
            return counted
        return (
            *counted,
            f"A batch's gradient takes {g.flops:,} FLOPs, {g.product_flops:,} of them in products, and needs "
            f"{by_size(g.n_bytes)} of memory on NumPy.",
        )

    def _table(self) -> Table:
        rows = []
        for row in self.rows:
            parameters = ", ".join(f"{p.name} {by_shape(p.shape)}" for p in row.parameters)
            rows.append((row.layer, row.equation, by_shape(row.shape), parameters, *_costs(row)))
        return Table(_HEAD, rows, _NUMBERS, total=("total", "", "", "", *_costs(self)))

    def __repr__(self) -> str:
        return "\n".join([str(self._table()), *self.notes])

    def _repr_html_(self) -> str:
        return f'{self._table().to_html()}<p style="font-size:90%">{html.escape(" ".join(self.notes))}</p>'


def _costs(of: Row | Summary) -> tuple[str, ...]:
    """Counts with commas, bytes in units; an empty cell in place of 0."""
    counts = of.n_parameters, of.flops, of.n_bytes, of.activation_bytes
    shown = f"{counts[0]:,}", f"{counts[1]:,}", by_size(counts[2]), by_size(counts[3])
    return tuple(text if count else "" for text, count in zip(shown, counts, strict=True))


def summary(model: Any, n_features: Any = None, batch_size: int = 200, dtype: str | None = None) -> Summary:
    """Summarize a network layer by layer: equations, shapes, parameters, FLOPs and memory.

    Parameters
    ----------
    model : Model, Sequential or fitted estimator
        An estimator may stand at the end of a pipeline, target transformer or search. A layer of your own appears by
        the name of its class, with its attribute ``equation``.
    n_features : int or tuple of int
        The features of a sample, or its shape; a fitted estimator knows its own.
    batch_size : int
        The batch size for which the memory of activations is counted.
    dtype : {"float32", "float64", "tf32", "bfloat16"}, optional
        The precision of the computation; by default the model's, else a fitted estimator's dtype, else float64.

    Returns
    -------
    Summary
        It has ``rows``, the totals ``n_parameters``, ``flops``, ``n_bytes`` and ``activation_bytes``, and the exact
        cost of a batch's ``gradient``.

    Raises
    ------
    ValueError
        The model is not fitted or holds no network, ``n_features`` is missing, or an option is not allowed.

    Examples
    --------
    >>> from xpnet import Dense, Sequential, summary
    >>> summary(Sequential(Dense(100, "relu"), Dense(10)), n_features=64).n_parameters
    7510
    """
    subject = subject_of(model, n_features)
    batch_size = whole_number("batch_size", batch_size)
    dtype = dtype or subject.precision or "float64"
    checked_precision(dtype)
    size, activation_size = (8 if dtype == "float64" else 4), {"float64": 8, "bfloat16": 2}.get(dtype, 4)

    def held(shape: Shape) -> int:
        return batch_size * math.prod(shape) * activation_size

    shape = subject.layout.in_shape
    rows = [Row("input", "X", shape, activation_bytes=held(shape))]
    for k, (layer, parameters, shape) in enumerate(subject.layers(), start=1):
        name, cost, n_bytes = f"{k} {type(layer).__name__}", flops(parameters, shape), size * size_of(parameters)
        rows.append(Row(name, equation_of(layer), shape, parameters, cost, n_bytes, held(shape)))
    if subject.link != Linear():
        rows.append(Row(f"link {type(subject.link).__name__}", equation_of(subject.link), shape))
    return Summary(tuple(rows), batch_size, dtype, gradient_of(subject, batch_size, dtype))
