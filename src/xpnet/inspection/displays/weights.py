"""What the first layer looks for: the weights of each of its units, in the shape of the image that it sees."""

import math
from typing import Any

import numpy as np

from ...backends import to_numpy
from ...equations import whole_number
from ..subject import path_to
from .figures import GRAY, axes


class FirstLayerWeightsDisplay:
    """The first layer's weights, one image a unit: red where a pixel excites it, blue where it inhibits it.

    All images share one scale, with white at 0.

    Parameters
    ----------
    weights : array, (n_features, n_units)
        W of the first layer, on any backend.
    image_shape : (int, int), optional
        Height and width of an image; a square where n_features is one.
    max_units : int
        How many units are drawn at most; the first ones.

    Attributes
    ----------
    ax_ : matplotlib Axes.
    figure_ : matplotlib Figure.
    image_ : matplotlib AxesImage of all units, side by side.
    """

    def __init__(self, *, weights: Any, image_shape: tuple[int, int] | None = None, max_units: int = 100):
        self.weights = to_numpy(weights)
        self.image_shape = _image_shape(self.weights.shape[0], image_shape)
        self.max_units = whole_number("max_units", max_units)

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, image_shape: tuple[int, int] | None = None, max_units: int = 100, ax: Any = None
    ) -> "FirstLayerWeightsDisplay":
        """Draw the first layer of a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            Fitted: MLPClassifier, MLPRegressor, or a pipeline, target transformer or search around one.
        image_shape, max_units
            As for the class.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure of pyplot's.

        Raises
        ------
        ImportError
            matplotlib is missing; the message has the install line.
        ValueError
            The estimator is not fitted, or n_features is no square and image_shape does not fit it.
        """
        mlp = path_to(estimator, "coefs_")[-1]
        if not hasattr(mlp, "coefs_"):
            raise ValueError(
                f"this {type(estimator).__name__} has no coefs_: give an MLPClassifier or MLPRegressor, or a pipeline "
                "that ends in one, after fit"
            )
        return cls(weights=mlp.coefs_[0], image_shape=image_shape, max_units=max_units).plot(ax)

    def plot(self, ax: Any = None) -> "FirstLayerWeightsDisplay":
        """Draw on the Axes, or on a new figure of pyplot's; returns the display itself."""
        self.ax_ = ax = axes(ax, type(self).__name__)
        self.figure_ = ax.figure
        n = min(self.weights.shape[1], self.max_units)
        largest = float(np.abs(self.weights[:, :n]).max()) or 1.0
        tiles = side_by_side(self.weights[:, :n], self.image_shape)
        self.image_ = ax.imshow(tiles, cmap="RdBu_r", vmin=-largest, vmax=largest, interpolation="nearest")
        ax.set_axis_off()
        bar = ax.figure.colorbar(self.image_, ax=ax, shrink=0.8)
        bar.outline.set_visible(False)
        bar.ax.tick_params(colors=GRAY, length=0)
        height, width = self.image_shape
        of = f"{n} of {self.weights.shape[1]}" if n < self.weights.shape[1] else f"{n}"
        title = f"first layer's weights: {of} units, {height}×{width}"
        ax.set_title(title, loc="left", color="#222222", fontsize=11)
        return self


def side_by_side(W: np.ndarray, image_shape: tuple[int, int]) -> np.ndarray:
    """W (n_features, n_units) as one picture: a tile for each unit, row by row, NaN between them."""
    height, width = image_shape
    n = W.shape[1]
    columns = min(n, math.ceil(math.sqrt(n * height / width * 1.4)))  # the figure is wider than it is high
    rows = math.ceil(n / columns)
    picture = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for unit in range(n):
        top, left = unit // columns * (height + 1), unit % columns * (width + 1)
        picture[top : top + height, left : left + width] = W[:, unit].reshape(image_shape)
    return picture


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
