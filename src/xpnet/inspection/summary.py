"""A network as a table: what each layer computes, and what it costs in parameters, operations and memory."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import checked_precision
from ..equations import whole_number
from ..equations.activations import Linear
from ..equations.layers import Parameter, Shape, Training
from ..program import record
from ..program.plan import plan
from .subject import Subject, by_shape, by_size, equation, subject_of

_HEAD = "layer", "equation", "output", "parameters", "number", "FLOPs", "bytes", "activations"
_LEFT = "layer", "equation", "parameters"


@dataclass(frozen=True)
class Row:
    """A layer: its equation, the shape of one sample's output, its parameters, and what they cost.

    ``flops`` are those of a sample's forward pass, ``n_bytes`` those of the parameters, ``activation_bytes`` those of
    the output at the summary's batch size.
    """

    layer: str
    equation: str
    shape: Shape
    parameters: tuple[Parameter, ...] = ()
    flops: int = 0
    n_bytes: int = 0
    activation_bytes: int = 0

    @property
    def n_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(math.prod(p.shape) for p in self.parameters)


@dataclass(frozen=True)
class Gradient:
    """What the gradient for one batch takes, forward and backward, in the form in which it is replayed on NumPy.

    ``flops`` counts all operations, ``product_flops`` matrix products alone; ``n_bytes`` is the memory that it needs
    beside the batch and the parameters.
    """

    flops: int
    product_flops: int
    n_bytes: int


@dataclass(frozen=True)
class Summary:
    """The rows of the table, input and link among them, and their totals; ``print`` it, or show it in a notebook.

    ``gradient`` is None for a network that can't be recorded, such as one with a layer of your own that looks at the
    value of an array.
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
        """Of a sample's forward pass: 2 n_in n_out for each product with a matrix of weights."""
        return sum(row.flops for row in self.rows)

    @property
    def n_bytes(self) -> int:
        """Of all parameters."""
        return sum(row.n_bytes for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """Of X and every layer's output at the batch size: what the backward pass needs."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is counted."""
        counted = (
            f"{self.dtype}, batches of {self.batch_size}; activations: X and every layer's output.",
            "FLOPs: of a sample's forward pass, 2 n_in n_out for each product with weights.",
        )
        g = self.gradient
        if g is None:
            return counted
        return (
            *counted,
            f"A batch's gradient takes {g.flops:,} FLOPs, {g.product_flops:,} of them in products, and needs "
            f"{by_size(g.n_bytes)} of memory on NumPy.",
        )

    def _cells(self) -> list[tuple[str, ...]]:
        rows = [
            (
                row.layer,
                row.equation,
                by_shape(row.shape),
                ", ".join(f"{p.name} {by_shape(p.shape)}" for p in row.parameters),
                *_costs(row),
            )
            for row in self.rows
        ]
        return [*rows, ("total", "", "", "", *_costs(self))]

    def __str__(self) -> str:
        table = [_HEAD, *self._cells()]
        widths = [max(len(row[i]) for row in table) for i in range(len(_HEAD))]
        lines = [_line(row, widths) for row in table]
        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *self.notes])

    def _repr_html_(self) -> str:
        head, *body = (_html_row(row, tag) for row, tag in [(_HEAD, "th"), *((row, "td") for row in self._cells())])
        notes = html.escape(" ".join(self.notes))
        return (
            f'<table style="border-collapse:collapse"><thead>{head}</thead><tbody>{"".join(body[:-1])}</tbody>'
            f'<tfoot style="font-weight:bold;border-top:1px solid">{body[-1]}</tfoot></table>'
            f'<p style="font-size:90%">{notes}</p>'
        )


def summary(model: Any, n_features: Any = None, batch_size: int = 200, dtype: str | None = None) -> Summary:
    """Layer by layer: the equation, shapes, parameters, FLOPs a sample, bytes, and memory for activations.

    Parameters
    ----------
    model : Model, Sequential or fitted estimator
        An estimator may stand at the end of a pipeline, target transformer or search. Layers of your own appear by
        their class's name, and by their attribute ``equation`` if they have one.
    n_features : int or tuple of int
        The features of a sample, or its shape; a fitted estimator knows its own.
    batch_size : int
        The samples that activations are held for.
    dtype : {"float32", "float64", "tf32", "bfloat16"}, optional
        What is computed in; by default the model's precision, else a fitted estimator's dtype, else float64.

    Returns
    -------
    Summary
        With ``rows``, the totals ``n_parameters``, ``flops``, ``n_bytes`` and ``activation_bytes``, the exact cost of
        a batch's ``gradient``, the table as text and, in notebooks, as HTML.
    """
    subject = subject_of(model, n_features)
    batch_size = whole_number("batch_size", batch_size)
    dtype = dtype or subject.precision or "float64"
    checked_precision(dtype)
    size, activation_size = (8 if dtype == "float64" else 4), {"float64": 8, "bfloat16": 2}.get(dtype, 4)
    shape = subject.layout.in_shape
    rows = [Row("input", "X", shape, activation_bytes=batch_size * math.prod(shape) * activation_size)]
    for k, layer in enumerate(subject.network.layers, start=1):
        parameters, shape = layer.shapes(shape)
        n = sum(math.prod(p.shape) for p in parameters)
        memory = batch_size * math.prod(shape) * activation_size
        name = f"{k} {type(layer).__name__}"
        rows.append(Row(name, equation(layer), shape, parameters, flops(parameters, shape), n * size, memory))
    if subject.link != Linear():
        rows.append(Row(f"link {type(subject.link).__name__}", equation(subject.link), shape))
    return Summary(tuple(rows), batch_size, dtype, gradient_of(subject, batch_size, shape, dtype))


def gradient_of(subject: Subject, batch_size: int, out_shape: Shape, dtype: str) -> Gradient | None:
    """The cost of a batch's gradient, counted on the program that is replayed."""
    network, layout = subject.network, subject.layout

    def gradient(theta: Any, key: Any, X: Any, dZ: Any) -> Any:
        _, backward = network.forward(layout.unpack(theta), X, Training(key))
        return layout.pack(backward(dZ))

    number = np.zeros((), "float64" if dtype == "float64" else "float32")
    shapes = (layout.n_parameters,), (), (batch_size, *layout.in_shape), (batch_size, *out_shape)
    try:
        program = record(gradient, *(np.broadcast_to(number, shape) for shape in shapes))
        return Gradient(program.flops, program.product_flops, plan(program).memory)
    except Exception:  # whatever a user's own layer may raise here: training will say so itself
        return None


def flops(parameters: Sequence[Parameter], out_shape: Shape) -> int:
    """2 n_in n_out a sample for weights (n_in, n_out); a kernel (..., channels) counts at each place of the output."""
    weights = [p.shape for p in parameters if p.role == "weight" and len(p.shape) > 1]
    return sum(2 * math.prod(shape) * max(1, math.prod(out_shape) // shape[-1]) for shape in weights)


def _costs(of: Row | Summary) -> tuple[str, ...]:
    """Numbers with commas, bytes in units; nothing where there is nothing to pay."""
    counts = of.n_parameters, of.flops, of.n_bytes, of.activation_bytes
    shown = f"{counts[0]:,}", f"{counts[1]:,}", by_size(counts[2]), by_size(counts[3])
    return tuple(text if count else "" for text, count in zip(shown, counts, strict=True))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = zip(_HEAD, row, widths, strict=True)
    return "  ".join(text.ljust(w) if name in _LEFT else text.rjust(w) for name, text, w in cells).rstrip()


def _html_row(row: Sequence[str], tag: str) -> str:
    cells = (
        f'<{tag} style="text-align:{"left" if name in _LEFT else "right"};padding:2px 10px">{html.escape(text)}</{tag}>'
        for name, text in zip(_HEAD, row, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"
