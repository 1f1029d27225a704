"""What people look at: the learning curve, and the versions that a report of trouble needs."""

import importlib.metadata
import os
import platform
from typing import Any

import numpy as np

from . import __version__
from .backends import BackendUnavailableError, get_backend

LOSS_COLOUR, SCORE_COLOUR, GRAY = "#1f5fa8", "#c25a00", "#555555"


def plot_learning_curve(estimator: Any, ax: Any = None, path: str | os.PathLike | None = None) -> Any:
    """The training loss per epoch and, where there is one, the validation score on a second axis.

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
    mlp = _with_curve(estimator)
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            f'plot_learning_curve needs matplotlib ({error}): python -m pip install "xpnet[cli]"'
        ) from error
    if ax is None and path is not None:
        # pyplot would keep the figure, and may ask for a screen.
        ax = Figure(figsize=(7.2, 4.2), layout="constrained").subplots()
    elif ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(figsize=(7.2, 4.2), layout="constrained")[1]
    _draw(ax, mlp)
    if path is not None:
        ax.figure.savefig(path, dpi=150)
    return ax


def _with_curve(estimator: Any) -> Any:
    """The network inside pipelines, target transformers and searches."""
    inner = estimator
    while not hasattr(inner, "loss_curve_"):
        if hasattr(inner, "steps"):
            inner = inner.steps[-1][1]
        elif hasattr(inner, "regressor_") or hasattr(inner, "best_estimator_"):
            inner = getattr(inner, "regressor_", None) or inner.best_estimator_
        else:
            break
    if not getattr(inner, "loss_curve_", None):
        raise ValueError(
            f"this {type(estimator).__name__} has no learning curve: give an MLPClassifier or MLPRegressor, or a "
            "pipeline that ends in one, after fit"
        )
    return inner


def _draw(ax: Any, mlp: Any) -> None:
    from matplotlib.ticker import NullLocator

    loss = mlp.loss_curve_
    epochs = np.arange(1, len(loss) + 1)
    marker = "o" if len(loss) < 3 else None
    ax.plot(epochs, loss, color=LOSS_COLOUR, linewidth=2, marker=marker)
    ax.set_xlabel("epoch", color=GRAY)
    ax.set_ylabel("training loss", color=LOSS_COLOUR)
    if min(loss) > 0 and max(loss) > 20 * min(loss):
        ax.set_yscale("log")  # otherwise most of the curve lies flat on the axis
        ax.yaxis.get_major_locator().set_params(subs=(1.0, 2.0, 5.0))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_ylabel("training loss (log scale)", color=LOSS_COLOUR)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.margins(x=0.02)
    ax.grid(axis="y", color="#dddddd", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", which="both", colors=LOSS_COLOUR, length=0)
    ax.tick_params(axis="x", colors=GRAY)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color("#999999")
    title = f"{type(mlp).__name__}: {len(loss)} epochs, loss {loss[-1]:.4g}"
    if getattr(mlp, "validation_scores_", None):
        title += _draw_scores(ax, mlp)
    ax.set_title(title, loc="left", color="#222222", fontsize=11)


def _draw_scores(ax: Any, mlp: Any) -> str:
    """The validation scores on an axis at the right, the best one marked and put into words."""
    scores = np.asarray(mlp.validation_scores_, dtype=float)
    name = "accuracy" if hasattr(mlp, "classes_") else "R²"
    right = ax.twinx()
    right.plot(np.arange(1, len(scores) + 1), scores, color=SCORE_COLOUR, linewidth=2)
    right.set_ylabel(f"validation {name}", color=SCORE_COLOUR)
    right.tick_params(axis="y", colors=SCORE_COLOUR, length=0)
    right.spines[:].set_visible(False)
    if np.isnan(scores).all():
        return ""
    best = int(np.nanargmax(scores))
    right.plot([best + 1], [scores[best]], "o", color=SCORE_COLOUR, markersize=7, markeredgecolor="white")
    return f", best validation {name} {scores[best]:.4g} in epoch {best + 1}"


def show_versions() -> None:
    """Print the versions of Python, xpnet and what it stands on, the GPU, and the BLAS with its threads."""
    for name, value in versions():
        print(f"{name:<18} {value}")


def versions() -> list[tuple[str, str]]:
    """What ``show_versions`` prints, as pairs of name and text."""
    packages = "numpy array-api-compat scikit-learn safetensors pandas matplotlib rich".split()
    return [
        ("python", f"{platform.python_version()} ({platform.python_implementation()}, {platform.platform()})"),
        ("xpnet", __version__),
        *((name, _version(name)) for name in packages),
        ("cupy", _cupy_version()),
        ("GPU", _gpu()),
        ("CPU cores", f"{_cores()} for this process"),
        ("BLAS", _blas()),
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _cupy_version() -> str:
    found = [f"{name} {_version(name)}" for name in ("cupy-cuda12x", "cupy-cuda13x", "cupy")]
    return ", ".join(line for line in found if not line.endswith("not installed")) or "not installed"


def _gpu() -> str:
    try:
        cuda = get_backend("cupy").xp.cuda
    except BackendUnavailableError as error:
        return f"none ({error})"
    runtime = cuda.runtime
    gpus = [runtime.getDeviceProperties(i) for i in range(runtime.getDeviceCount())]
    named = [f"{gpu['name'].decode()}, {gpu['totalGlobalMem'] / 2**30:.0f} GiB" for gpu in gpus]
    driver, toolkit = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    return "; ".join(named) + f" (CUDA driver {_cuda(driver)}, runtime {_cuda(toolkit)})"


def _cuda(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _blas() -> str:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "unknown (threadpoolctl is not installed)"
    np.ones((2, 2)) @ np.ones((2, 2))
    found = [f"{i['internal_api']} {i['version']}, {i['num_threads']} threads" for i in threadpool_info()]
    return "; ".join(dict.fromkeys(found)) or "none found by threadpoolctl"
