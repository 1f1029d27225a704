"""The weights of each unit of the first layer, as images of the shape of the input."""

import math
from typing import Any

import numpy as np

from ...backends import to_numpy
from ...equations import whole_number
from ..pipelines import opened
from .figures import GRAY, axes


class FirstLayerWeightsDisplay:
    """The weights of the first layer, one image for each unit: red pixels excite the unit, blue ones inhibit it.

    All images share one scale, with white at 0.

    Parameters
    ----------
    weights : array, (n_features, n_units)
        W of the first layer, on any backend.
    image_shape : (int, int), optional
        Height and width of an image; by default a square.
    max_units : int
        How many units are plotted at most: the first ones.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the image.
    figure_ : matplotlib Figure
        The figure of the axes.
    image_ : matplotlib AxesImage
        All units, side by side.
    """

    def __init__(self, *, weights: Any, image_shape: tuple[int, int] | None = None, max_units: int = 100):
        self.weights = to_numpy(weights)
        self.image_shape = _image_shape(self.weights.shape[0], image_shape)
        self.max_units = whole_number("max_units", max_units)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, image_shape: tuple[int, int] | None = None, max_units: int = 100, ax: Any = None
    ) -> "FirstLayerWeightsDisplay":
        """Plot the first layer of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted MLPClassifier or MLPRegressor, or a pipeline, target transformer or search around one. Any
            estimator that has ``coefs_`` can be plotted, such as scikit-learn's own.
        image_shape, max_units
            As for the class.
        ax : matplotlib Axes, optional
            Where to plot; by default a new figure of pyplot's.

        Returns
        -------
        FirstLayerWeightsDisplay
            The display, already plotted.

        Raises
        ------
        ImportError
            matplotlib is missing; the message says how to install it.
        ValueError
            The estimator is not fitted, or ``image_shape`` does not fit its features.
        """
        coefs = opened(estimator, "coefs_").network.coefs_
        return cls(weights=coefs[0], image_shape=image_shape, max_units=max_units).plot(ax)

    def plot(self, ax: Any = None) -> "FirstLayerWeightsDisplay":
        """Plot the images.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to plot; by default a new figure of pyplot's.

        Returns
        -------
        FirstLayerWeightsDisplay
            The display itself.
        """
        self.ax_ = ax = axes(ax, type(self).__name__)
        self.figure_ = ax.figure
        n_units = self.weights.shape[1]
        W = self.weights[:, : self.max_units]
        largest = float(np.abs(W).max()) or 1.0
        tiles = _side_by_side(W, self.image_shape)
        self.image_ = ax.imshow(tiles, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        ax.set_axis_off()
        bar = ax.figure.colorbar(self.image_, ax=ax, shrink=0.8)
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=GRAY, length=0)
        height, width = self.image_shape
        units = f"{W.shape[1]} of {n_units}" if W.shape[1] < n_units else f"{n_units}"
        title = f"first layer's weights: {units} units, {height}×{width}"
        ax.set_title(title, loc="left", color="#222222", fontsize=11)
        return self


def _side_by_side(W: np.ndarray, image_shape: tuple[int, int]) -> np.ndarray:
    """W (n_features, n_units) as one picture: a tile for each unit, row by row, NaN between them."""
    height, width = image_shape
    n = W.shape[1]
    columns = min(n, math.ceil(math.sqrt(n * height / width * 1.4)))  # the figure is wider than it is high
    rows = math.ceil(n / columns)
    tiles = np.full((rows * columns, height + 1, width + 1), np.nan)
    tiles[:n, :height, :width] = W.T.reshape(n, height, width)
    picture = tiles.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    return picture.reshape(rows * (height + 1), columns * (width + 1))[:-1, :-1]


def _image_shape(n_features: int, given: tuple[int, int] | None) -> tuple[int, int]:
    side = math.isqrt(n_features)
    if given is None and side * side == n_features:
        return side, side
    if given is None:
        raise ValueError(f"{n_features} features make no square image: give image_shape=(height, width)")
    if len(given) != 2 or math.prod(given) != n_features:
        raise ValueError(
            f"image_shape is {given!r}; it must be (height, width) with height x width = {n_features}, the features"
        )
    return int(given[0]), int(given[1])
