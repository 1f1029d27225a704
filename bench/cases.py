"""The cases: a path through one net at one batch size, in one precision, with one optimizer; and three sets of them.

A net's layers are dense, the hidden ones ReLU with softmax and cross-entropy at the end, or sigmoid with half squared
error at a linear end. The data are random; the first parameters are the same for every contender.
"""

import functools
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from xpnet import Adam, Dense, GradientDescent, Model, Sequential

PATHS = ("forward", "backward", "update", "step", "epoch", "fit", "predict")
# The rates are so small that parameters neither grow nor vanish nor become NaN, however many rounds are run.
OPTIMIZERS = {"GradientDescent": GradientDescent(1e-3), "Adam": Adam(1e-5)}


@dataclass(frozen=True)
class Case:
    """One line of the report."""

    widths: tuple[int, ...]
    """From the features to the outputs."""
    batch: int
    path: str = "step"
    optimizer: str = "GradientDescent"
    precision: str = "float32"
    hidden: str = "relu"
    l2: float = 0.0
    """The penalty, scaled as scikit-learn's; other peers have none and are left out if it is not 0."""
    bar: float | None = None
    """What the upper end of the interval time / limit may be, on two cores of a CPU."""
    claim: bool = False
    """Whether it counts in the geometric mean against each peer."""
    compiled: bool = False
    """Whether torch.compile is among the contenders: each of its modes takes half a minute to compile, or longer."""
    pass_flops: float = 8e9
    """How much a pass should compute, some 20 ms: about this on two cores, on a GPU a hundred times as much."""

    @property
    def net(self) -> str:
        """Widths and batch, "784-512-10 @ 512"."""
        sigmoid = " sigmoid" if self.hidden == "sigmoid" else ""
        return f"{'-'.join(map(str, self.widths))}{sigmoid} @ {self.batch}"

    @property
    def id(self) -> str:
        """A name for the command line's ``-k``."""
        rule = f"-{self.optimizer}" if self.path in ("update", "step", "epoch", "fit") else ""
        return f"{self.path}-{self.net.replace(' ', '')}{rule}-{self.precision}{'-compiled' * self.compiled}"

    @property
    def dtype(self) -> str:
        """The dtype of X; the two narrow precisions compute on float32 data."""
        return "float64" if self.precision == "float64" else "float32"

    def batches(self, array: Any) -> list[Any]:
        """The rows of each step."""
        return [array[i * self.batch : (i + 1) * self.batch] for i in range(self.steps)]

    @property
    def steps(self) -> int:
        """The number of batches in a pass: many if they are small, so that neither caches nor calls dominate."""
        most = {"update": 32, "backward": 4, "fit": 8}.get(self.path, 64)
        return int(min(max(2, self.pass_flops // flops(self)), most))

    def model(self) -> Model:
        """The net as a Model of xpnet."""
        *hidden, n_out = self.widths[1:]
        network = Sequential(*(Dense(n, self.hidden) for n in hidden), Dense(n_out))
        narrow = {} if self.precision in ("float32", "float64") else {"precision": self.precision}
        loss = "half_squared_error" if self.hidden == "sigmoid" else "cross_entropy"
        return Model(network, loss=loss, l2=self.l2, scale_penalty=True, **narrow)

    def theta(self) -> np.ndarray:
        """The flat vector of initial parameters of every contender."""
        return self.model().draw(np.random.default_rng(0), self.widths[0]).astype(self.dtype)

    def layers(self, theta: np.ndarray) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """(W, b) of each layer."""
        return self.model().layout(self.widths[0]).unpack(theta)

    def gradient(self) -> np.ndarray:
        """A flat gradient, for the path that measures the update alone."""
        return 1e-2 * random(self.theta().shape, self.dtype)

    def data(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X, Y and, for a classifier, the labels; ``steps`` batches on the host."""
        m, n_out = self.steps * self.batch, self.widths[-1]
        X, labels = random((m, self.widths[0]), self.dtype), np.arange(m) % n_out
        if self.hidden == "sigmoid":
            Y = random((m, n_out), self.dtype)
            return X, Y, Y
        Y = np.zeros((m, n_out), self.dtype)
        Y[np.arange(m), labels] = 1.0
        return X, Y, labels


@functools.cache
def _pool(dtype: str) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(4194301, dtype=np.dtype(dtype))


def random(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Standard normal numbers, which repeat after 4,194,301, a prime, so that no two rows are equal."""
    return np.resize(_pool(dtype), shape)


def products(widths: tuple[int, ...], batch: int) -> tuple[int, int]:
    """FLOPs of the matrix products forward and backward, without the gradient of the first layer's input."""
    of_layer = [2 * batch * n_in * n_out for n_in, n_out in pairwise(widths)]
    return sum(of_layer), 2 * sum(of_layer) - of_layer[0]


def flops(case: Case) -> int:
    """FLOPs of a step's matrix products on this path; for an update, which has none, those of the whole step."""
    forward, backward = products(case.widths, case.batch)
    return {"forward": forward, "predict": forward, "backward": backward}.get(case.path, forward + backward)


def elementwise_bytes(case: Case) -> int:
    """Bytes that a step's elementwise work must move: each operand read once, each result written once.

    The forward pass moves 2 values for each unit and sample (Z read, A written), the backward pass 4 (dA and A read, dZ
    written, dZ read for the gradient of the bias), also at the output (Z and Y read). The update moves 3 values for
    each parameter (theta and g read, theta written), that of Adam 7 (two slots read and written). An epoch moves 2
    values for each feature and output of a sample, whose row is copied.
    """
    units, item = sum(case.widths[1:]) * case.batch, 8 if case.precision == "float64" else 4
    n_parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(case.widths))
    forward, backward = 2 * units * item, 4 * units * item
    if case.precision == "bfloat16":
        forward, backward = forward // 2, backward // 2
    update = (7 if case.optimizer == "Adam" else 3) * n_parameters * item
    gathered = 2 * case.batch * (case.widths[0] + case.widths[-1]) * item
    by_path = {
        "forward": forward,
        "predict": forward,
        "backward": backward,
        "update": update,
        "step": forward + backward + update,
    }
    return by_path.get(case.path, by_path["step"] + gathered)


def square(width: int, batch: int, depth: int = 2, **settings: Any) -> Case:
    """A net with ``depth`` hidden layers as wide as its input, and ten classes."""
    return Case((width,) * (depth + 1) + (10,), batch, **settings)


def _both(case: Case) -> list[Case]:
    return [replace(case, optimizer=name) for name in OPTIMIZERS]


def _with_passes(pass_flops: float, *cases: Case) -> list[Case]:
    return [replace(case, pass_flops=pass_flops) for case in cases]


_TINY = Case((64, 32, 10), 32)
_BARS = [
    Case(widths, batch, l2=1e-4, optimizer=optimizer, bar=bar)
    for widths, batch, bars in (
        ((784, 512, 512, 10), 512, (1.10, 1.18)),
        ((1024, 1024, 1024, 10), 1024, (1.07, 1.12)),
        ((2048, 2048, 2048, 1000), 2048, (1.04, 1.08)),
    )
    for optimizer, bar in zip(OPTIMIZERS, bars, strict=True)
]
_CLAIM = [
    Case((64, 100, 10), 200, claim=True),
    Case((256, 256, 10), 256, hidden="sigmoid", claim=True),
    Case((784, 256, 10), 128, claim=True),
    Case((784, 512, 512, 10), 512, claim=True),
    Case((1024, 1024, 1024, 10), 1024, claim=True),
    Case((2048, 2048, 2048, 1000), 2048, claim=True),
]
_MIDDLE = _CLAIM[3]
_WIDE = square(1024, 4096)
_NARROW = ("tf32", "bfloat16")
_SMALL_BATCHES = [
    *_both(Case((64, 100, 10), 200)),
    Case((256, 256, 10), 256, hidden="sigmoid"),
    *_both(Case((784, 256, 10), 128)),
    *(Case((784, 256, 10), 128, precision=precision) for precision in _NARROW),
    *(Case((784, 256, 10), 128, path=path) for path in ("epoch", "predict")),
    *(square(width, 32) for width in (64, 1024)),
    *(square(1024, 256, precision=precision) for precision in ("float32", *_NARROW)),
]
_LARGE_BATCHES = [
    *(square(width, 4096) for width in (256, 1024)),
    *_both(square(2048, 4096)),
    *(square(width, 4096, precision=precision) for width in (2048, 4096) for precision in _NARROW),
    square(4096, 4096),
    *_both(Case((2048, 2048, 2048, 1000), 2048)),
    *(replace(_WIDE, path=path) for path in ("epoch", "predict")),
    *(square(width, 4096) for width in (64, 8192)),
    *(square(1024, 65536, precision=precision) for precision in ("float32", "bfloat16")),
]
_COMPILED = [
    replace(case, compiled=True, precision=precision)
    for case in (Case((784, 256, 10), 128), square(2048, 4096))
    for precision in ("float32", "bfloat16", "tf32")
]

SETS: dict[str, list[Case]] = {
    "small": _with_passes(
        3e6,
        *(replace(_TINY, path=path) for path in PATHS if path != "step"),
        replace(_TINY, compiled=True),
        replace(_TINY, hidden="sigmoid", optimizer="Adam", precision="float64"),
        replace(_TINY, widths=(64, 64, 64, 64, 64, 10), optimizer="Adam"),
        *(square(width, 64) for width in (128, 256)),
    ),
    "medium": [
        *(case for net in _CLAIM for case in _both(net)),
        *(replace(net, path="epoch") for net in _BARS),
        *(replace(net, path="fit", bar=None) for net in _BARS if net.optimizer == "GradientDescent"),
        *(square(width, 512, compiled=True) for width in (64, 128, 256, 512, 1024, 2048)),
        *(replace(_MIDDLE, claim=False, path=path) for path in ("forward", "backward", "predict")),
        *_both(replace(_MIDDLE, claim=False, path="update")),
        replace(_MIDDLE, claim=False, precision="float64"),
        *(square(256, batch) for batch in (32, 4096)),
    ],
    # A run that is out of time misses the last cases: the short ones come first, torch.compile last.
    "large": _with_passes(1e12, *_SMALL_BATCHES, *_LARGE_BATCHES, *_COMPILED),
}
ROUNDS = {"small": 2, "medium": 31, "large": 11}

NUMPY_UP_TO = 1e11
"""FLOPs a step above which NumPy is left out if a GPU is measured too: the GPU would wait for minutes."""
