"""The axes that displays plot on, and their colors."""

from typing import Any

LOSS_COLOR, VALIDATION_COLOR, SCORE_COLOR, GRAY = "#1f5fa8", "#7a4fb5", "#c25a00", "#555555"
SIZE = (7.2, 4.2)


def axes(ax: Any, who: str, off_screen: bool = False) -> Any:
    """The given Axes, or those of a new figure: pyplot's, or one that pyplot does not know of if ``off_screen``."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f'{who} needs matplotlib ({error}): python -m pip install "xpnet[cli]"') from error
    if ax is not None:
        return ax
    if off_screen:
        return Figure(figsize=SIZE, layout="constrained").subplots()
    from matplotlib import pyplot

    return pyplot.subplots(figsize=SIZE, layout="constrained")[1]


def quiet_frame(ax: Any) -> None:
    """An x axis of whole epochs, faint lines across, and no frame."""
    ax.set_xlabel("epoch", color=GRAY)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(axis="y", color="#dddddd", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(axis="x", colors=GRAY)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color("#999999")
