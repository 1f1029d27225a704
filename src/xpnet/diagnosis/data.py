"""Rules about the data: scales of features and targets, balance of classes.

A rule yields a :class:`Finding` for each place where its number is beyond its threshold.
"""

from collections.abc import Iterator

import numpy as np

from ..backends import to_numpy
from ..equations.activations import Linear
from ..equations.losses import BinaryCrossEntropy, CrossEntropy
from .case import Case
from .finding import Finding
from .measures import column_sizes

_LARGE, _SMALL = 10.0, 0.1
_INPUTS = (
    "LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, section 4.3: inputs of mean 0 and size 1; ten times more "
    "or less is far off"
)
_TARGETS = (
    "Bishop, Neural Networks for Pattern Recognition, 1995, section 8.2: inputs and targets of order 1; ten times more "
    "or less is far off"
)


def unscaled_features(case: Case) -> Iterator[Finding]:
    """A column of X ten times larger than 1, or all of them ten times smaller."""
    mend = "scale each feature to mean 0 and standard deviation 1, such as make_pipeline(StandardScaler(), model)"
    yield from _unscaled("unscaled features", "X", column_sizes(case.X), _INPUTS, mend)


def unscaled_targets(case: Case) -> Iterator[Finding]:
    """The same of the targets of a regression."""
    if type(case.model.criterion.link) is Linear:
        mend = (
            "scale the targets to mean 0 and standard deviation 1, such as "
            "TransformedTargetRegressor(model, transformer=StandardScaler())"
        )
        yield from _unscaled("unscaled targets", "y", column_sizes(case.Y), _TARGETS, mend)


def _unscaled(kind: str, name: str, sizes: np.ndarray, source: str, mend: str) -> Iterator[Finding]:
    largest = int(np.argmax(sizes))
    size = float(sizes[largest])
    if size > _LARGE or 0.0 < size < _SMALL:
        where = name if sizes.size == 1 else f"{name}[:, {largest}]"
        measure = "the root mean square of the largest column"
        yield Finding(kind, where, measure, size, _LARGE if size > _LARGE else _SMALL, source, mend)


def class_imbalance(case: Case) -> Iterator[Finding]:
    """The largest class against the smallest, sample weights counted; for several labels at once there is no such."""
    loss, Y = case.model.criterion, to_numpy(case.Y)
    w = np.ones(len(Y)) if case.w is None else to_numpy(case.w)
    if isinstance(loss, BinaryCrossEntropy) and Y.shape[1] == 1:
        Y = np.concatenate([1.0 - Y, Y], axis=1)
    elif not isinstance(loss, CrossEntropy):
        return
    counts = w @ Y
    most, least = int(np.argmax(counts)), int(np.argmin(counts))
    ratio = float(counts[most] / max(counts[least], np.mean(w)))
    if ratio > 10.0:
        name = case.classes[least] if len(case.classes) == len(counts) else least
        yield Finding(
            "class imbalance",
            f"class {name}",
            f"the weight of the largest class over this one's, {counts[most]:.6g} to {counts[least]:.6g}",
            ratio,
            10.0,
            "He and Garcia, Learning from Imbalanced Data, IEEE TKDE 2009, section 2: imbalance from 10:1 on",
            "weigh the classes alike, class_weight='balanced' of MLPClassifier, or collect more samples of this class",
        )
