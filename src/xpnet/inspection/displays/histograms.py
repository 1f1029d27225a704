"""How weights, activations and gradients are distributed, epoch by epoch."""

from typing import Any, Literal, get_args

import numpy as np

from ...equations import whole_number
from ..snapshots import Recorder, Snapshot
from .figures import GRAY, SCORE_COLOR, axes, quiet_frame

Quantity = Literal["weights", "biases", "activations", "gradients"]
_QUANTILES = 0.05, 0.5, 0.95
_OUTSIDE = 0.001


class HistogramDisplay:
    """A histogram of one layer's numbers for every recorded epoch, side by side, with its median and 5 % tails.

    Parameters
    ----------
    epochs : sequence of int, (n_epochs,)
        The epochs that were recorded.
    values : sequence of arrays, each of one dimension
        The layer's numbers in each of them.
    name : str
        What the numbers are.

    Attributes
    ----------
    counts_ : array, (bins, n_epochs)
        The share of the numbers in each bin.
    edges_ : array, (bins + 1,)
        The edges of the bins; the outermost bins also hold the 0.1 % that lie beyond them.
    ax_ : matplotlib Axes
        The axes of the histograms.
    figure_ : matplotlib Figure
        The figure of the axes.
    """

    def __init__(self, *, epochs: Any, values: Any, name: str = "value"):
        self.epochs, self.values, self.name = epochs, values, name

    @classmethod
    def from_recorder(
        cls, recorder: Recorder, quantity: Quantity = "weights", *, layer: int = 0, bins: int = 60, ax: Any = None
    ) -> "HistogramDisplay":
        """Plot one layer's weights, biases, activations, or gradients by its weights, over the recorded epochs.

        Parameters
        ----------
        recorder : Recorder
            A recorder after training.
        quantity : {"weights", "biases", "activations", "gradients"}
            What is plotted.
        layer : int
            Which layer, from 0; -1 is the last.
        bins : int
            How many bins the histograms have.
        ax : matplotlib Axes, optional
            Where to plot; by default a new figure of pyplot's.

        Returns
        -------
        HistogramDisplay
            The display, already plotted.

        Raises
        ------
        ImportError
            matplotlib is missing; the message says how to install it.
        ValueError
            Nothing was recorded, or the layer has no such numbers.
        """
        if quantity not in get_args(Quantity):
            raise ValueError(f"quantity is {quantity!r}; allowed: {', '.join(map(repr, get_args(Quantity)))}")
        if not recorder.snapshots:
            raise ValueError("this Recorder has no snapshots: train with it first, for at least `every` epochs")
        bins, layers = whole_number("bins", bins), recorder.layers
        if not -len(layers) <= layer < len(layers):
            raise ValueError(f"layer is {layer}; the network has {len(layers)} layers, 0 to {len(layers) - 1}")
        layer %= len(layers)
        values = [_numbers(snapshot, recorder, quantity, layer) for snapshot in recorder.snapshots]
        name = f"{quantity} of layer {layer + 1}, {type(layers[layer]).__name__}"
        return cls(epochs=[snapshot.epoch for snapshot in recorder.snapshots], values=values, name=name).plot(
            ax, bins=bins
        )

    def plot(self, ax: Any = None, *, bins: int = 60) -> "HistogramDisplay":
        """Plot the histograms.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to plot; by default a new figure of pyplot's.
        bins : int
            How many bins the histograms have.

        Returns
        -------
        HistogramDisplay
            The display itself.
        """
        self.ax_ = ax = axes(ax, type(self).__name__)
        from matplotlib.colors import PowerNorm
        from matplotlib.ticker import PercentFormatter

        self.figure_ = ax.figure
        low, high = np.quantile(np.concatenate(self.values), (_OUTSIDE, 1.0 - _OUTSIDE))
        margin = 0.0 if high > low else 0.5  # equal numbers still need a range
        self.edges_ = edges = np.linspace(low - margin, high + margin, bins + 1)
        inside = [np.clip(v, edges[0], edges[-1]) for v in self.values]
        self.counts_ = np.stack([np.histogram(v, edges)[0] / len(v) for v in inside], axis=1)
        # Many numbers are 0 (rectified units, dead pixels); in proportion that one bin would pale all others.
        scale = PowerNorm(0.4, vmin=0.0)
        mesh = ax.pcolormesh(_halfway(self.epochs), edges, self.counts_, cmap="Blues", norm=scale)
        ax.figure.colorbar(mesh, ax=ax, label="share", format=PercentFormatter(1.0))
        quantiles = np.array([np.quantile(v, _QUANTILES) for v in self.values])
        for column, width in zip(quantiles.T, (0.9, 1.8, 0.9), strict=True):
            ax.plot(self.epochs, column, color=SCORE_COLOR, linewidth=width)
        quiet_frame(ax)
        ax.grid(False)
        ax.tick_params(axis="y", colors=GRAY, length=0)
        ax.set_ylim(edges[0], edges[-1])
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


def _halfway(epochs: Any) -> np.ndarray:
    """Edges halfway between the epochs, (n_epochs + 1,)."""
    at = np.asarray(epochs, float)
    first, last = (at[:2], at[-2:]) if len(at) > 1 else ([at[0], at[0] + 1.0], [at[0] - 1.0, at[0]])
    padded = np.concatenate([[2 * first[0] - first[1]], at, [2 * last[1] - last[0]]])
    return (padded[1:] + padded[:-1]) / 2
