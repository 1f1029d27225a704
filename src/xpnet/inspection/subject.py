"""What summaries and pictures show: a network for samples of one shape, with parameters and names if known."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import check_finite, to_numpy
from ..equations.activations import Activation, Linear
from ..equations.layers import Layer, Parameter, Shape
from ..model import Model
from ..network import Layout, Sequential
from .pipelines import opened


@dataclass(frozen=True)
class Subject:
    """A network and its layout; the link after it, its parameters (host), and the names of features and outputs."""

    network: Sequential
    layout: Layout
    link: Activation = Linear()
    precision: str | None = None
    theta: np.ndarray | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    def layers(self) -> Iterator[tuple[Layer, tuple[Parameter, ...], Shape]]:
        """Each layer with its parameters and the shape of its output for one sample."""
        shape = self.layout.in_shape
        for layer in self.network.layers:
            parameters, shape = layer.shapes(shape)
            yield layer, parameters, shape


def subject_of(model: Any, n_features: Any = None, theta: Any = None) -> Subject:
    """Read a Model, a Sequential, or a fitted estimator, alone or inside pipelines and searches."""
    if isinstance(model, Model | Sequential):
        if n_features is None:
            raise ValueError(
                f"n_features is missing: a {type(model).__name__} does not know how many features a sample has"
            )
        whole = Model(model) if isinstance(model, Sequential) else model
        layout = whole.layout(n_features)
        link = Linear() if isinstance(model, Sequential) else whole.criterion.link
        return Subject(whole.network, layout, link, whole.precision, _host(theta, layout))
    found = opened(model, also="a Model, a Sequential, ")
    mlp = found.network
    whole = mlp._model()
    layout = whole.layout(mlp.n_features_in_ if n_features is None else n_features)
    arrays = [np.ravel(to_numpy(a)) for a in (*mlp.coefs_, *mlp.intercepts_)]  # the layout's order is scikit-learn's
    theta = _host(np.concatenate(arrays) if theta is None else theta, layout)
    precision = whole.precision or str(arrays[0].dtype)
    names = found.feature_names, found.output_names
    return Subject(whole.network, layout, whole.criterion.link, precision, theta, *names)


def _host(theta: Any, layout: Layout) -> np.ndarray | None:
    if theta is None:
        return None
    theta = layout.checked(to_numpy(theta))
    check_finite(theta, "theta")
    return theta


def size_of(parameters: Sequence[Parameter]) -> int:
    """How many numbers these parameters hold."""
    return sum(math.prod(p.shape) for p in parameters)


_UNITS = "kB", "MB", "GB", "TB"


def by_size(n_bytes: float) -> str:
    """Bytes in the unit that fits: 999 B, 12.8 kB, 3.4 MB."""
    if n_bytes < 1000:
        return f"{n_bytes:.0f} B"
    power = min(int(math.log(n_bytes / 0.99995, 1000)), len(_UNITS))
    return f"{n_bytes / 1000**power:.1f} {_UNITS[power - 1]}"


def by_shape(shape: Sequence[int]) -> str:
    """64 or 28×28×3."""
    return "×".join(map(str, shape))
