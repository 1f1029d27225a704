"""The loss curve: the loss of every epoch, in training and validation, and the validation score."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..pipelines import opened
from .figures import LOSS_COLOR, SCORE_COLOR, VALIDATION_COLOR, axes, quiet_frame


class LossCurveDisplay:
    """The training loss per epoch, the validation loss beside it, and the validation score on a second axis.

    Make it with :meth:`from_estimator`, or from the numbers of a loop of your own.

    Parameters
    ----------
    loss_curve : sequence of float, (n_epochs,)
        The training loss of every epoch.
    validation_loss_curve : sequence of float, (n_epochs,), optional
        The validation loss of every epoch.
    validation_scores : sequence of float, (n_epochs,), optional
        The validation score of every epoch.
    score_name : str
        What the score is called.
    estimator_name : str
        What the title begins with.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the loss.
    score_ax_ : matplotlib Axes or None
        The axes of the score, if there is one.
    figure_ : matplotlib Figure
        The figure of both.
    lines_ : list of matplotlib Line2D
        One line for each curve.
    """

    def __init__(
        self,
        *,
        loss_curve: Sequence[float],
        validation_loss_curve: Sequence[float] | None = None,
        validation_scores: Sequence[float] | None = None,
        score_name: str = "score",
        estimator_name: str = "training",
    ):
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.validation_scores = validation_scores
        self.score_name = score_name
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> "LossCurveDisplay":
        """Plot the losses and scores that a fitted estimator has recorded.

        Parameters
        ----------
        estimator : estimator
            A fitted MLPClassifier or MLPRegressor, or a pipeline, target transformer or search around one.
            scikit-learn's own, which have a ``loss_curve_`` too, can also be plotted.
        ax : matplotlib Axes, optional
            Where to plot; by default a new figure of pyplot's.

        Returns
        -------
        LossCurveDisplay
            The display, already plotted.

        Raises
        ------
        ImportError
            matplotlib is missing; the message says how to install it.
        ValueError
            The estimator is not fitted, or has recorded no losses.
        """
        mlp = opened(estimator, "loss_curve_").network
        validation = getattr(mlp, "validation_loss_curve_", None) or ()
        display = cls(
            loss_curve=mlp.loss_curve_,
            validation_loss_curve=None if np.isnan(np.asarray(validation, float)).all() else validation,
            validation_scores=getattr(mlp, "validation_scores_", None) or None,
            score_name="accuracy" if hasattr(mlp, "classes_") else "R²",
            estimator_name=type(mlp).__name__,
        )
        return display.plot(ax)

    def plot(self, ax: Any = None) -> "LossCurveDisplay":
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to plot; by default a new figure of pyplot's.

        Returns
        -------
        LossCurveDisplay
            The display itself.
        """
        self.ax_ = ax = axes(ax, type(self).__name__)
        self.figure_, self.score_ax_ = ax.figure, None
        self.lines_: list[Any] = []
        self._plot_loss(ax)
        title = f"{self.estimator_name}: {len(self.loss_curve)} epochs, loss {self.loss_curve[-1]:.4g}"
        if self.validation_scores:
            title += self._plot_scores(ax)
        ax.set_title(title, loc="left", color="#222222", fontsize=11)
        return self

    def _plot_loss(self, ax: Any) -> None:
        label, values = "training loss", np.asarray(self.loss_curve, float)
        self._line(ax, self.loss_curve, LOSS_COLOR, label="training")
        if self.validation_loss_curve:
            self._line(ax, self.validation_loss_curve, VALIDATION_COLOR, label="validation", linestyle="--")
            ax.legend(frameon=False, loc="center right")
            label, values = "loss", np.concatenate([values, np.asarray(self.validation_loss_curve, float)])
        quiet_frame(ax)
        ax.margins(x=0.02)
        values = values[np.isfinite(values)]
        if 0.0 < values.min(initial=np.inf) < values.max(initial=0.0) / 20:  # it would lie flat on a linear axis
            from matplotlib.ticker import NullLocator

            ax.set_yscale("log")
            ax.yaxis.set_minor_locator(NullLocator())
            ax.yaxis.get_major_locator().set_params(subs=(1.0, 2.0, 5.0))
            ax.yaxis.set_major_formatter("{x:g}")
            label += " (log scale)"
        ax.set_ylabel(label, color=LOSS_COLOR)
        ax.tick_params(axis="y", which="both", colors=LOSS_COLOR, length=0)

    def _line(self, ax: Any, values: Any, color: str, **style: Any) -> None:
        marker = "o" if len(values) < 3 else None
        self.lines_ += ax.plot(np.arange(1, len(values) + 1), values, color=color, linewidth=2, marker=marker, **style)

    def _plot_scores(self, ax: Any) -> str:
        """The validation scores on an axis at the right, the best one marked and put into words."""
        scores = np.asarray(self.validation_scores, float)
        self.score_ax_ = right = ax.twinx()
        self._line(right, scores, SCORE_COLOR, label=self.score_name)
        right.set_ylabel(f"validation {self.score_name}", color=SCORE_COLOR)
        right.tick_params(axis="y", colors=SCORE_COLOR, length=0)
        right.spines[:].set_visible(False)
        if np.isnan(scores).all():
            return ""
        best = int(np.nanargmax(scores))
        right.plot([best + 1], [scores[best]], "o", color=SCORE_COLOR, markersize=7, markeredgecolor="white")
        return f", best validation {self.score_name} {scores[best]:.4g} in epoch {best + 1}"


def plot_loss_curve(estimator: Any, ax: Any = None, path: str | os.PathLike | None = None) -> Any:
    """Plot the loss curve of a fitted estimator, and write it to a file if a path is given.

    Parameters
    ----------
    estimator : estimator
        As for :meth:`LossCurveDisplay.from_estimator`.
    ax : matplotlib Axes, optional
        Where to plot. By default a new figure: pyplot's, or one that pyplot does not know of if ``path`` is given.
    path : path, optional
        Where to write the picture; its ending says which format, such as ``.png`` or ``.svg``.

    Returns
    -------
    matplotlib Axes
        The axes of the loss.

    Raises
    ------
    ImportError
        matplotlib is missing; the message says how to install it.
    ValueError
        The estimator is not fitted, or has recorded no losses.
    """
    if ax is None and path is not None:
        ax = axes(ax, "plot_loss_curve", off_screen=True)
    display = LossCurveDisplay.from_estimator(estimator, ax=ax)
    if path is not None:
        display.figure_.savefig(path, dpi=150)
    return display.ax_
