"""The network as a picture: units, bias nodes and signed weights if it is small, blocks if it is large."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ...equations import whole_number
from ..subject import subject_of
from .block_diagram import drawn_blocks
from .columns import columns_of
from .svg import SVG, picture
from .unit_diagram import drawn_units


def to_svg(
    model: Any,
    n_features: Any = None,
    theta: Any = None,
    *,
    feature_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    max_units: int = 16,
) -> SVG:
    """Draw a network: units, bias nodes and signed weights if it is small, blocks if it is large.

    A weight above 0 is a solid blue line, one below 0 a dashed orange one; the larger the weight, the wider the line.
    Bias nodes are yellow, one for each layer that has biases (D0, figure 1). The input is not counted as a layer (D3).

    Parameters
    ----------
    model : Model, Sequential or fitted estimator
        An estimator may stand at the end of a pipeline, target transformer or search.
    n_features : int or tuple of int
        The features of a sample, or its shape; a fitted estimator knows its own.
    theta : array, (n_parameters,), optional
        The weights to draw, on any backend, such as ``state.theta``; by default those of a fitted estimator. Without
        them lines are gray.
    feature_names, output_names : sequence of str, optional
        Labels of the units in the first and the last column; by default the columns and the classes that an estimator
        was fitted on.
    max_units : int
        The most units a layer may have to be drawn one by one.

    Returns
    -------
    SVG
        A str that notebooks show as a picture; ``write(path)`` makes a file of it.

    Raises
    ------
    ValueError
        The model is not fitted or holds no network, ``n_features`` is missing, ``theta`` does not fit the network, or
        there are not as many names as units.
    """
    subject = subject_of(model, n_features, theta)
    columns, max_units = columns_of(subject), whole_number("max_units", max_units)
    inputs = _names("feature_names", feature_names, subject.inputs, columns[0].size)
    outputs = _names("output_names", output_names, subject.outputs, columns[-1].size)
    title = "network " + ", ".join(" ".join(column.caption[:2]) for column in columns)
    joined = all(column.joins_units(before) for before, column in pairwise(columns))
    if joined and max(column.size for column in columns) <= max_units:
        return picture(*drawn_units(columns, inputs, outputs), title)
    return picture(*drawn_blocks(columns), title)


def _names(argument: str, given: Sequence[str] | None, known: Sequence[str], n: int) -> Sequence[str]:
    names = known if given is None else [str(name) for name in given]
    if given is not None and len(names) != n:
        raise ValueError(f"{argument} has {len(names)} names, and there are {n} units to name")
    return names
