"""The three networks that are measured, their data, and the limit: the same matrix products and nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnet import Adam, Dense, GradientDescent, Model, Momentum, Sequential
from xpnet.backends import Backend

Array = Any


@dataclass(frozen=True)
class Net:
    """Layer widths from the features to the classes, the batch, and the batches an epoch inside training."""

    widths: tuple[int, ...]
    batch: int
    steps: int
    bar: float
    """What the upper end of the interval step / limit may be with gradient descent inside training."""

    @property
    def width(self) -> int:
        """The width of the hidden layers."""
        return self.widths[1]

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.widths))} @ {self.batch}"

    def model(self, **settings: Any) -> Model:
        """ReLU layers, softmax and cross-entropy, and scikit-learn's default penalty."""
        *hidden, n_classes = self.widths[1:]
        network = Sequential(*(Dense(n, "relu") for n in hidden), Dense(n_classes))
        return Model(network, **{"loss": "cross_entropy", "l2": 1e-4, "scale_penalty": True, **settings})

    def data(self, n_batches: int, backend: Backend) -> tuple[Array, Array, np.ndarray]:
        """Random X and one-hot Y in float32 on the backend, and the labels on the host."""
        m = n_batches * self.batch
        X = np.random.default_rng(0).standard_normal((m, self.widths[0]), dtype=np.float32)
        labels = np.arange(m) % self.widths[-1]
        Y = np.zeros((m, self.widths[-1]), np.float32)
        Y[np.arange(m), labels] = 1.0
        return backend.asarray(X), backend.asarray(Y), labels


NETS = {
    "512": Net((784, 512, 512, 10), batch=512, steps=8, bar=1.30),
    "1024": Net((1024, 1024, 1024, 10), batch=1024, steps=6, bar=1.20),
    "2048": Net((2048, 2048, 2048, 1000), batch=2048, steps=3, bar=1.12),
}

# Small learning rates: however many rounds are run, no parameter grows, vanishes or becomes NaN.
OPTIMIZERS = {
    "GradientDescent": GradientDescent(1e-3),
    "Momentum": Momentum(1e-3, nesterov=True),
    "Adam": Adam(1e-5),
}


def wait_for(backend: Backend) -> Callable[[], None]:
    """What returns once the backend has finished all that was asked of it; NumPy always has.

    On a GPU the whole device is waited for: its current stream, and any other that a captured step runs on.
    """
    return getattr(backend.device, "synchronize", _finished)


def _finished() -> None:
    pass


class Limit:
    """A training step's matrix products alone: the same shapes and transposes, into arrays made beforehand.

    A_k = A_{k-1} W_k forward; dW_k = A_{k-1}^T dZ_k and dA_{k-1} = dZ_k W_k^T backward, but no dA for the input.
    """

    def __init__(self, net: Net, backend: Backend) -> None:
        rng, m = np.random.default_rng(1), net.batch
        pairs = list(zip(net.widths[:-1], net.widths[1:], strict=True))

        def normal(*shape: int) -> Array:
            return backend.asarray(rng.standard_normal(shape, dtype=np.float32) / np.float32(shape[-1] ** 0.5))

        self.matmul = backend.xp.matmul
        self.A = [normal(m, n) for n in net.widths]
        self.dA = [normal(m, n) for n in net.widths]
        self.W = [normal(*pair) for pair in pairs]
        self.dW = [normal(*pair) for pair in pairs]

    def forward(self) -> None:
        """One product a layer."""
        for k, W in enumerate(self.W):
            self.matmul(self.A[k], W, out=self.A[k + 1])

    def backward(self) -> None:
        """Two products a layer, one for the first."""
        for k in reversed(range(len(self.W))):
            self.matmul(self.A[k].T, self.dA[k + 1], out=self.dW[k])
            if k > 0:
                self.matmul(self.dA[k + 1], self.W[k].T, out=self.dA[k])

    def step(self) -> None:
        """Forward and backward: an update has no products."""
        self.forward()
        self.backward()
