"""The scores that ``train`` and ``predict`` print."""

from typing import Any

import numpy as np
from sklearn.metrics import root_mean_squared_error


def accuracy(predicted: np.ndarray, y: np.ndarray) -> str:
    """The share of samples with every label right."""
    right = (predicted == y).reshape(len(y), -1).all(axis=1)
    return f"accuracy {100 * right.mean():.2f} % ({right.sum()} of {len(y)} right)"


def held_out_score(model: Any, X: Any, y: np.ndarray) -> str:
    """The accuracy of a classifier; R^2 and the error of a regressor, in the units of the target."""
    predicted = model.predict(X)
    if hasattr(model, "classes_"):
        return accuracy(predicted, y)
    error, spread = root_mean_squared_error(y, predicted), np.std(y, axis=0).mean()
    return f"R^2 {model.score(X, y):.4f}, RMSE {error:.4g}; the target's standard deviation is {spread:.4g}"
