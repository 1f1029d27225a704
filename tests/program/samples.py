"""Samples for training steps."""

import numpy as np

M, N = 60, 7


def data(loss, n_out, rng, n=N):
    """M samples of n features, and targets that the loss takes."""
    X = rng.normal(size=(M, n))
    if loss == "cross_entropy":
        return X, np.eye(n_out)[rng.integers(0, n_out, M)]
    if loss == "binary_cross_entropy":
        return X, rng.integers(0, 2, (M, n_out)).astype(float)
    return X, rng.normal(size=(M, n_out)) if loss != "half_poisson_deviance" else rng.poisson(2.0, (M, n_out)) * 1.0
