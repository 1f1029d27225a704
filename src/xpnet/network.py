"""Networks, and the one flat vector of their parameters."""

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .backends import array_namespace
from .equations.layers import Layer, Parameter, Shape, Training

Array = Any


@dataclass(frozen=True, init=False)
class Sequential:
    """Layers one after the other: A_k = layer_k(A_{k-1})   (D1, "keep stacking"; D2 eq. (6), (7))."""

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Layer):
        if not layers:
            raise ValueError("Sequential needs at least one layer, for example Sequential(Dense(1))")
        for layer in layers:
            if not hasattr(layer, "shapes") or isinstance(layer, type):
                raise ValueError(
                    f"Sequential got {layer!r}, which is no layer: Sequential(Dense(16, 'relu'), Dense(1))"
                )
        object.__setattr__(self, "layers", layers)

    def shapes(self, in_shape: Shape) -> tuple[tuple[tuple[Parameter, ...], ...], Shape]:
        """Each layer's parameters, and the shape of one sample's output."""
        parameters = []
        for layer in self.layers:
            of_layer, in_shape = layer.shapes(in_shape)
            parameters.append(of_layer)
        return tuple(parameters), in_shape

    def initial(self, rng: Any, in_shape: Shape) -> tuple[tuple[Array, ...], ...]:
        """Initial host arrays, drawn layer by layer."""
        arrays = []
        for layer in self.layers:
            arrays.append(layer.initial(rng, in_shape))
            _, in_shape = layer.shapes(in_shape)
        return tuple(arrays)

    def forward(self, params: tuple, X: Array, train: Training | None = None) -> tuple[Array, Callable]:
        """The output, and ``backward(dA) -> gradients`` of each layer. Inference (``train=None``) keeps no closure."""
        A, backwards = X, []
        for k, (layer, of_layer) in enumerate(zip(self.layers, params, strict=True)):
            A, backward = layer.forward(of_layer, A, train if train is None else Training(train.key, k))
            if train is not None:
                backwards.append(backward)
            del backward

        def backward_all(dA):
            gradients = []
            while backwards:  # each closure is released, with its arrays, once it has run
                dA, of_layer = backwards.pop()(dA, need_dX=len(backwards) > 0)
                gradients.append(of_layer)
            return tuple(reversed(gradients))

        return A, backward_all


_ROLES = ("weight", "bias", "other")


class Window(NamedTuple):
    """Where one parameter lies in theta: its symbol, such as "W", and the number of its layer, from 1."""

    symbol: str
    layer: int
    role: str
    at: slice
    shape: Shape

    @property
    def name(self) -> str:
        """Symbol and number, such as "W1"."""
        return f"{self.symbol}{self.layer}"


@dataclass(frozen=True)
class Layout:
    """Where each parameter lies in the flat vector theta: [weights | biases | other learned], layers in order in each.

    Penalties act on the first part, the optimizer on all. This is also scikit-learn's order.

    Parameters
    ----------
    network : Sequential
        The network that has the parameters.
    in_shape : tuple of int
        The shape of one sample.

    Attributes
    ----------
    windows : tuple of tuples of (slice, shape)
        For each layer, where each of its parameters lies in theta, and its shape.
    out_shape : tuple of int
        The shape of one sample's output.
    n_weights, n_parameters : int
        The numbers of weights, which come first, and of all parameters.
    """

    network: Sequential
    in_shape: Shape
    windows: tuple[tuple[tuple[slice, Shape], ...], ...] = field(init=False, repr=False)
    out_shape: Shape = field(init=False)
    n_weights: int = field(init=False)
    n_parameters: int = field(init=False)

    def __post_init__(self):
        parameters, out_shape = self.network.shapes(self.in_shape)
        at, windows, n_weights = 0, {}, 0
        for role in _ROLES:
            for k, i in self._places(parameters, role):
                size = math.prod(parameters[k][i].shape)
                windows[k, i] = (slice(at, at + size), parameters[k][i].shape)
                at += size
            n_weights = at if role == "weight" else n_weights
        nested = tuple(tuple(windows[k, i] for i in range(len(ps))) for k, ps in enumerate(parameters))
        found = {"windows": nested, "out_shape": out_shape, "n_weights": n_weights, "n_parameters": at}
        for name, value in found.items():
            object.__setattr__(self, name, value)

    @staticmethod
    def _places(parameters: tuple, role: str) -> list[tuple[int, int]]:
        return [(k, i) for k, ps in enumerate(parameters) for i, p in enumerate(ps) if p.role == role]

    def checked(self, theta: Array) -> Array:
        """theta itself; a ValueError if it does not have as many parameters as the network."""
        if tuple(theta.shape) != (self.n_parameters,):
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}, and this network over samples of shape {self.in_shape} has "
                f"{self.n_parameters} parameters: X must have the features that the model was trained on"
            )
        return theta

    @functools.cached_property
    def named(self) -> tuple[Window, ...]:
        """Each parameter with its name, in the order of the layers."""
        parameters, _ = self.network.shapes(self.in_shape)
        return tuple(
            Window(parameter.name, k, parameter.role, at, shape)
            for k, (of_layer, windows) in enumerate(zip(parameters, self.windows, strict=True), 1)
            for parameter, (at, shape) in zip(of_layer, windows, strict=True)
        )

    def by_name(self, theta: Array) -> dict[str, Array]:
        """The parameters of theta by name, as ``unpack`` has them."""
        arrays = itertools.chain(*self.unpack(self.checked(theta)))
        return {window.name: a for window, a in zip(self.named, arrays, strict=True)}

    def unpack(self, theta: Array) -> tuple[tuple[Array, ...], ...]:
        """Each layer's parameters as windows of theta (copies, in libraries without views): never write to them."""
        xp = array_namespace(theta)
        return tuple(tuple(xp.reshape(theta[at], shape) for at, shape in layer) for layer in self.windows)

    def pack(self, nested: tuple[tuple[Array, ...], ...]) -> Array:
        """One flat vector from each layer's arrays."""
        placed = zip(itertools.chain(*self.windows), itertools.chain(*nested), strict=True)
        in_order = [a for _, a in sorted(placed, key=lambda both: both[0][0].start)]
        xp = array_namespace(in_order[0])
        return xp.concat([xp.reshape(a, (-1,)) for a in in_order])

    @functools.cached_property
    def largest_product(self) -> int:
        """Multiplications and additions a sample of the largest product with a matrix of weights."""
        return max((2 * math.prod(shape) for layer in self.windows for _, shape in layer if len(shape) > 1), default=0)

    @functools.cached_property
    def widest(self) -> int:
        """The largest number of values that a sample has before a layer or after the last one."""
        shape = self.in_shape
        widest = math.prod(shape)
        for layer in self.network.layers:
            _, shape = layer.shapes(shape)
            widest = max(widest, math.prod(shape))
        return widest


@functools.lru_cache(maxsize=64)
def layout_of(network: Sequential, in_shape: Shape) -> Layout:
    """The layout, made once for each network and input shape."""
    return Layout(network, in_shape)
