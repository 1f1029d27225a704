"""What is shown: a network over samples of one shape, with its parameters and names where there are any."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import check_finite, to_numpy
from ..equations.activations import Activation, Linear
from ..model import Model
from ..network import Layout, Sequential
from .equation_text import equation_of


@dataclass(frozen=True)
class Subject:
    """A network and its layout; the link after it, its parameters (host), and names of features and outputs."""

    network: Sequential
    layout: Layout
    link: Activation = Linear()
    precision: str | None = None
    theta: np.ndarray | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def subject_of(model: Any, n_features: Any = None, theta: Any = None) -> Subject:
    """Read a Model, a Sequential, or a fitted estimator, alone or inside pipelines and searches."""
    if isinstance(model, Model | Sequential):
        if n_features is None:
            raise ValueError(
                f"n_features is missing: a {type(model).__name__} does not know how many features a sample has"
            )
        whole = Model(model) if isinstance(model, Sequential) else model
        layout = whole.layout(n_features)
        link = Linear() if isinstance(model, Sequential) else whole.criterion.link
        return Subject(whole.network, layout, link, whole.precision, _host(theta, layout))
    path = path_to(model, "coefs_")
    mlp = path[-1]
    if not hasattr(mlp, "coefs_") or not hasattr(mlp, "_model"):
        raise ValueError(
            f"model is a {type(model).__name__}; allowed: Model, Sequential, or a fitted MLPClassifier or MLPRegressor "
            "of xpnet, alone or at the end of a pipeline, target transformer or search"
        )
    whole = mlp._model()
    layout = whole.layout(mlp.n_features_in_ if n_features is None else n_features)
    arrays = [np.ravel(to_numpy(a)) for a in (*mlp.coefs_, *mlp.intercepts_)]  # the layout's order is scikit-learn's
    precision = whole.precision or str(arrays[0].dtype)
    theta = np.concatenate(arrays) if theta is None else theta
    names = _feature_names(path), _output_names(mlp)
    return Subject(whole.network, layout, whole.criterion.link, precision, _host(theta, layout), *names)


def _host(theta: Any, layout: Layout) -> np.ndarray | None:
    if theta is None:
        return None
    theta = layout.checked(to_numpy(theta))
    check_finite(theta, "theta")
    return theta


def path_to(estimator: Any, attribute: str) -> list[Any]:
    """The estimator, and what lies inside pipelines, target transformers and searches, up to who has the attribute.

    Before ``fit`` there is none: scikit-learn's NotFittedError.
    """
    path = [estimator]
    while not hasattr(path[-1], attribute):
        inner = path[-1]
        if hasattr(inner, "steps"):
            path.append(inner.steps[-1][1])
        elif hasattr(inner, "regressor_") or hasattr(inner, "best_estimator_"):
            path.append(getattr(inner, "regressor_", None) or inner.best_estimator_)
        else:
            break
    holds_network = any(hasattr(path[-1], name) for name in ("_model", "regressor", "estimator"))
    if holds_network and not hasattr(path[-1], attribute):
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(path[-1], msg="this %(name)s is not fitted: call fit first")
    return path


def _feature_names(path: Sequence[Any]) -> tuple[str, ...]:
    """The columns of the table that was fitted on, as they reach the network; none where nobody names them."""
    *around, mlp = path
    names = getattr(mlp, "feature_names_in_", ())
    for outer in around:
        if len(getattr(outer, "steps", ())) > 1 and hasattr(outer, "feature_names_in_"):
            try:
                names = outer[:-1].get_feature_names_out()
            except (AttributeError, ValueError):  # a step that can't name what it makes
                return ()
    return tuple(map(str, names))


def _output_names(mlp: Any) -> tuple[str, ...]:
    """A class for each output; the second class where one output is its probability."""
    labels = tuple(map(str, getattr(mlp, "classes_", ())))
    return labels[-1:] if mlp.n_outputs_ == 1 else labels


def equation(part: Any) -> str:
    """What a layer or an activation computes: its ``equation``, or else its class's name."""
    return equation_of(part)


_UNITS = "kB", "MB", "GB", "TB"


def by_size(n_bytes: float) -> str:
    """Bytes in the unit that fits: 999 B, 12.8 kB, 3.4 MB."""
    if n_bytes < 1000:
        return f"{n_bytes:.0f} B"
    power = min(int(math.log(n_bytes / 0.99995, 1000)), len(_UNITS))
    return f"{n_bytes / 1000**power:.1f} {_UNITS[power - 1]}"


def by_shape(shape: Sequence[int]) -> str:
    """64 or 28×28×3."""
    return "×".join(map(str, shape))
