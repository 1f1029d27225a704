"""Floor 3: networks, and the one flat vector of their parameters."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .backends import composite
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
            while backwards:  # each closure, and what it holds, is let go once it has run
                dA, of_layer = backwards.pop()(dA, need_dX=len(backwards) > 0)
                gradients.append(of_layer)
            return tuple(reversed(gradients))

        return A, backward_all


_ROLES = ("weight", "bias", "other")
_SMALL_PIECE = 1 << 15
"""Parameters up to which calling once more costs more than joining arrays in memory."""


@dataclass(frozen=True)
class Layout:
    """Where each parameter lies in the flat vector theta: [weights | biases | other learned], layers in order in each.

    Penalties act on the first part, the optimiser on all. This is also the order in which scikit-learn packs.
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
        """theta, where it has as many parameters as the network."""
        if tuple(theta.shape) != (self.n_parameters,):
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}, and this network over samples of shape {self.in_shape} has "
                f"{self.n_parameters} parameters: X must have the features that the model was trained on"
            )
        return theta

    def unpack(self, theta: Array) -> tuple[tuple[Array, ...], ...]:
        """Each layer's parameters as windows of theta (copies, in libraries without views): never write to them."""
        return windows_of(theta, self.windows)

    def pieces(self, nested: tuple[tuple[Array, ...], ...]) -> list[Array]:
        """Each layer's arrays, flattened, in theta's order: one after the other they are the flat vector.

        Small arrays of one role come as one piece, so that what acts on pieces is called a few times and not often.
        """
        layers = zip(self.windows, nested, strict=True)
        arrays = [a for layer, of_layer in layers for _, a in zip(layer, of_layer, strict=True)]
        flat = flattened(*arrays)
        return [flat[run[0]] if len(run) == 1 else join(*[flat[i] for i in run]) for run in self._runs]

    def pack(self, nested: tuple[tuple[Array, ...], ...]) -> Array:
        """One flat vector from each layer's arrays."""
        return join(*self.pieces(nested))

    @functools.cached_property
    def largest_product(self) -> int:
        """Multiplications and additions a sample of the largest product with a matrix of weights."""
        return max((2 * math.prod(shape) for layer in self.windows for _, shape in layer if len(shape) > 1), default=0)

    @functools.cached_property
    def parts(self) -> tuple[tuple[slice, bool], ...]:
        """The window of each of ``pieces``, and whether it holds weights."""
        at = [window for layer in self.windows for window, _ in layer]
        windows = [slice(at[run[0]].start, at[run[-1]].stop) for run in self._runs]
        return tuple((window, window.start < self.n_weights) for window in windows)

    @functools.cached_property
    def _runs(self) -> list[list[int]]:
        """The arrays' places, layer by layer, in theta's order, where those of one piece stand together."""
        at = [window for layer in self.windows for window, _ in layer]
        runs: list[list[int]] = []
        for i in sorted(range(len(at)), key=lambda i: at[i].start):
            start = at[runs[-1][0]].start if runs else 0
            is_small = at[i].stop - start <= _SMALL_PIECE and (start < self.n_weights) == (at[i].start < self.n_weights)
            if runs and is_small:
                runs[-1].append(i)
            else:
                runs.append([i])
        return runs


@functools.lru_cache(maxsize=64)
def layout_of(network: Sequential, in_shape: Shape) -> Layout:
    """The layout, worked out once a network and input shape."""
    return Layout(network, in_shape)


@composite
def windows_of(xp: Any, theta: Array, windows: tuple) -> tuple[tuple[Array, ...], ...]:
    """Each layer's arrays in theta."""
    return tuple([tuple([xp.reshape(theta[at], shape) for at, shape in layer]) for layer in windows])


@composite
def flattened(xp: Any, *arrays: Array) -> list[Array]:
    """Each array as a vector."""
    return [xp.reshape(a, (-1,)) for a in arrays]


@composite
def join(xp: Any, *pieces: Array) -> Array:
    """The one-dimensional pieces, one after the other."""
    return xp.concat(pieces)
