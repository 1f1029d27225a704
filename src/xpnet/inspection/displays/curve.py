"""The learning curve: the loss of every epoch, in training and validation, and the validation score."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..subject import path_to
from .figures import LOSS_COLOUR, SCORE_COLOUR, VALIDATION_COLOUR, axes, quiet_frame


class LossCurveDisplay:
    """The training loss per epoch, the validation loss beside it, and the validation score on a second axis.

    Make it with :meth:`from_estimator`, or from the numbers of a loop of your own.

    Parameters
    ----------
    loss_curve : sequence of float
        The training loss of every epoch.
    validation_loss_curve : sequence of float, optional
        The validation loss of every epoch.
    validation_scores : sequence of float, optional
        The validation score of every epoch.
    score_name : str
        What the score is called.
    estimator_name : str
        What the title begins with.

    Attributes
    ----------
    ax_ : matplotlib Axes of the loss.
    score_ax_ : matplotlib Axes of the score, None where there is none.
    figure_ : matplotlib Figure.
    lines_ : list of matplotlib Line2D, one for each curve.
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
        """Draw what a fitted estimator has recorded.

        Parameters
        ----------
        estimator : estimator
            Fitted: MLPClassifier, MLPRegressor, or a pipeline, target transformer or search around one.
        ax : matplotlib Axes, optional
            Where to draw; by default a new figure of pyplot's.

        Raises
        ------
        ImportError
            matplotlib is missing; the message has the install line.
        ValueError
            The estimator has no learning curve.
        """
        return cls._of(estimator).plot(ax)

    @classmethod
    def _of(cls, estimator: Any) -> "LossCurveDisplay":
        mlp = path_to(estimator, "loss_curve_")[-1]
        if not getattr(mlp, "loss_curve_", None):
            raise ValueError(
                f"this {type(estimator).__name__} has no learning curve: give an MLPClassifier or MLPRegressor, or a "
                "pipeline that ends in one, after fit"
            )
        return cls(
            loss_curve=mlp.loss_curve_,
            validation_loss_curve=_known(getattr(mlp, "validation_loss_curve_", None)),
            validation_scores=getattr(mlp, "validation_scores_", None) or None,
            score_name="accuracy" if hasattr(mlp, "classes_") else "R²",
            estimator_name=type(mlp).__name__,
        )

    def plot(self, ax: Any = None) -> "LossCurveDisplay":
        """Draw on the Axes, or on a new figure of pyplot's; returns the display itself."""
        self.ax_ = ax = axes(ax, type(self).__name__)
        self.figure_, self.score_ax_ = ax.figure, None
        self.lines_: list[Any] = []
        self._draw_loss(ax)
        title = f"{self.estimator_name}: {len(self.loss_curve)} epochs, loss {self.loss_curve[-1]:.4g}"
        if self.validation_scores:
            title += self._draw_scores(ax)
        ax.set_title(title, loc="left", color="#222222", fontsize=11)
        return self

    def _draw_loss(self, ax: Any) -> None:
        loss = self.loss_curve
        marker = "o" if len(loss) < 3 else None
        self._line(ax, loss, color=LOSS_COLOUR, marker=marker, label="training")
        quiet_frame(ax)
        ax.margins(x=0.02)
        label = "training loss"
        if self.validation_loss_curve:
            self._line(ax, self.validation_loss_curve, color=VALIDATION_COLOUR, marker=marker, label="validation")
            self.lines_[-1].set_linestyle("--")
            ax.legend(frameon=False, loc="center right")
            label = "loss"
        drawn = np.asarray([*loss, *(self.validation_loss_curve or ())], dtype=float)
        drawn = drawn[np.isfinite(drawn)]
        if len(drawn) > 0 and drawn.min() > 0 and drawn.max() > 20 * drawn.min():
            _log_scale(ax)
            label += " (log scale)"
        ax.set_ylabel(label, color=LOSS_COLOUR)
        ax.tick_params(axis="y", which="both", colors=LOSS_COLOUR, length=0)

    def _line(self, ax: Any, values: Any, color: str, marker: str | None, label: str) -> None:
        epochs = np.arange(1, len(values) + 1)
        self.lines_ += ax.plot(epochs, values, color=color, linewidth=2, marker=marker, label=label)

    def _draw_scores(self, ax: Any) -> str:
        """The validation scores on an axis at the right, the best one marked and put into words."""
        scores = np.asarray(self.validation_scores, dtype=float)
        self.score_ax_ = right = ax.twinx()
        self._line(right, scores, color=SCORE_COLOUR, marker=None, label=self.score_name)
        right.set_ylabel(f"validation {self.score_name}", color=SCORE_COLOUR)
        right.tick_params(axis="y", colors=SCORE_COLOUR, length=0)
        right.spines[:].set_visible(False)
        if np.isnan(scores).all():
            return ""
        best = int(np.nanargmax(scores))
        right.plot([best + 1], [scores[best]], "o", color=SCORE_COLOUR, markersize=7, markeredgecolor="white")
        return f", best validation {self.score_name} {scores[best]:.4g} in epoch {best + 1}"


def _known(curve: Any) -> Any:
    """The curve, or None where no epoch has a value."""
    return curve if curve and not np.isnan(np.asarray(curve, dtype=float)).all() else None


def _log_scale(ax: Any) -> None:
    """A curve that falls far would lie flat on the axis for most of its length."""
    from matplotlib.ticker import NullLocator

    ax.set_yscale("log")
    ax.yaxis.get_major_locator().set_params(subs=(1.0, 2.0, 5.0))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())


def plot_learning_curve(estimator: Any, ax: Any = None, path: str | os.PathLike | None = None) -> Any:
    """:class:`LossCurveDisplay` in one call, which may write a file and leave pyplot alone.

    Parameters
    ----------
    estimator : estimator
        Fitted: MLPClassifier, MLPRegressor, or a pipeline, target transformer or search around one.
    ax : matplotlib Axes, optional
        Where to draw. By default a new figure: pyplot's, or one of its own where ``path`` is given.
    path : path, optional
        Where to write the picture; its ending says which format, such as ``.png`` or ``.svg``.

    Returns
    -------
    The matplotlib Axes of the loss.

    Raises
    ------
    ImportError
        matplotlib is missing; the message has the install line.
    ValueError
        The estimator has no learning curve.
    """
    display = LossCurveDisplay._of(estimator)
    display.plot(axes(ax, "plot_learning_curve", off_screen=path is not None))
    if path is not None:
        display.figure_.savefig(path, dpi=150)
    return display.ax_
