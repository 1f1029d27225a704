"""How weights, activations and gradients are spread, epoch by epoch."""

from typing import Any, Literal, get_args

import numpy as np

from ...equations import whole_number
from ..recorder import Recorder, Snapshot
from .figures import GRAY, axes, quiet_frame

Quantity = Literal["weights", "biases", "activations", "gradients"]
_QUANTILES = 0.05, 0.5, 0.95
_OUTSIDE = 0.001


class HistogramDisplay:
    """A histogram of one layer's numbers for every recorded epoch, side by side, with its median and 5 % tails.

    Parameters
    ----------
    epochs : sequence of int
        The epochs that were recorded.
    values : sequence of arrays
        The layer's numbers in each of them.
    name : str
        What the numbers are.

    Attributes
    ----------
    counts_ : array, (bins, n_epochs)
        The share of the numbers in each bin.
    edges_ : array, (bins + 1,)
        Where the bins end; the outermost hold the 0.1 % that lie beyond, too.
    ax_ : matplotlib Axes.
    figure_ : matplotlib Figure.
    """

    def __init__(self, *, epochs: Any, values: Any, name: str = "value"):
        self.epochs, self.values, self.name = epochs, values, name

    @classmethod
    def from_recorder(
        cls, recorder: Recorder, quantity: Quantity = "weights", *, layer: int = 0, bins: int = 60, ax: Any = None
    ) -> "HistogramDisplay":
        """Draw one layer's weights, biases, activations, or gradients by its weights, over the recorded epochs.

        Parameters
        ----------
        recorder : Recorder
            After training.
        quantity : {"weights", "biases", "activations", "gradients"}
            What is drawn.
        layer : int
            Which layer, from 0; -1 is the last.
        bins : int
            How many bins the histograms have.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure of pyplot's.

        Raises
        ------
        ImportError
            matplotlib is missing; the message has the install line.
        ValueError
            Nothing was recorded, or the layer has none of this.
        """
        if quantity not in get_args(Quantity):
            raise ValueError(f"quantity is {quantity!r}; allowed: {', '.join(map(repr, get_args(Quantity)))}")
        if not recorder.snapshots:
            raise ValueError("this Recorder has no snapshots: train with it first, for at least `every` epochs")
        bins = whole_number("bins", bins)
        layers = recorder.layers
        if not -len(layers) <= layer < len(layers):
            raise ValueError(f"layer is {layer}; the network has {len(layers)} layers, 0 to {len(layers) - 1}")
        layer %= len(layers)
        values = [_numbers(snapshot, recorder, quantity, layer) for snapshot in recorder.snapshots]
        name = f"{quantity} of layer {layer + 1}, {type(layers[layer]).__name__}"
        return cls(epochs=[snapshot.epoch for snapshot in recorder.snapshots], values=values, name=name).plot(
            ax, bins=bins
        )

    def plot(self, ax: Any = None, *, bins: int = 60) -> "HistogramDisplay":
        """Draw on the Axes, or on a new figure of pyplot's; returns the display itself."""
        self.ax_ = ax = axes(ax, type(self).__name__)
        from matplotlib.colors import PowerNorm
        from matplotlib.ticker import PercentFormatter

        self.figure_ = ax.figure
        self.edges_ = np.linspace(*_range(np.concatenate(self.values)), bins + 1)
        inside = [np.clip(v, self.edges_[0], self.edges_[-1]) for v in self.values]
        self.counts_ = np.stack([np.histogram(v, self.edges_)[0] / len(v) for v in inside], axis=1)
        # Many numbers are 0 (rectified units, dead pixels); in proportion that one bin would pale all others.
        scale = PowerNorm(0.4, vmin=0.0)
        mesh = ax.pcolormesh(_between(self.epochs), self.edges_, self.counts_, cmap="Blues", norm=scale)
        ax.figure.colorbar(mesh, ax=ax, label="share", format=PercentFormatter(1.0))
        quantiles = np.array([np.quantile(v, _QUANTILES) for v in self.values])
        for column, width in zip(quantiles.T, (0.9, 1.8, 0.9), strict=True):
            ax.plot(self.epochs, column, color="#c25a00", linewidth=width)
        quiet_frame(ax)
        ax.grid(False)
        ax.tick_params(axis="y", colors=GRAY, length=0)
        ax.set_ylim(self.edges_[0], self.edges_[-1])
        ax.set_title(f"{self.name}: median, 5 % and 95 %", loc="left", color="#222222", fontsize=11)
        return self


def _numbers(snapshot: Snapshot, recorder: Recorder, quantity: Quantity, layer: int) -> np.ndarray:
    """The layer's numbers in this epoch, as one vector."""
    if quantity == "activations":
        return np.ravel(snapshot.activations[layer])
    nested = snapshot.gradients if quantity == "gradients" else snapshot.parameters
    role = "bias" if quantity == "biases" else "weight"
    named = zip(recorder.parameters[layer], nested[layer], strict=True)
    found = [np.ravel(a) for p, a in named if p.role == role]
    if not found:
        kind = type(recorder.layers[layer]).__name__
        raise ValueError(f"layer {layer} is a {kind} and has no parameters of the role {role!r}, so no {quantity}")
    return np.concatenate(found)


def _range(values: np.ndarray) -> tuple[float, float]:
    """What all epochs' histograms span: all but 0.1 % at either end, and something where all are alike."""
    low, high = np.quantile(values, (_OUTSIDE, 1.0 - _OUTSIDE))
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def _between(epochs: Any) -> np.ndarray:
    """Edges half-way between the epochs."""
    at = np.asarray(epochs, dtype=float)
    if len(at) == 1:
        return np.array([at[0] - 0.5, at[0] + 0.5])
    middle = (at[1:] + at[:-1]) / 2
    return np.concatenate([[2 * at[0] - middle[0]], middle, [2 * at[-1] - middle[-1]]])
