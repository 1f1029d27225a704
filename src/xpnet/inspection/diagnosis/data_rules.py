"""Rules about the data: scales of features and targets, balance of classes.

A rule yields a :class:`Finding` for each place where its number is beyond its threshold.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...backends import to_numpy
from ...equations.activations import Linear
from ...equations.losses import BinaryCrossEntropy, CrossEntropy
from .case import Case
from .finding import Finding
from .measures import column_moments

_LARGE, _SMALL, _FAR = 10.0, 0.1, 3.0
_INPUTS = (
    "LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998, section 4.3: inputs of mean 0 and size 1; the thresholds "
    "are xpnet's own"
)
_TARGETS = (
    "Bishop, Neural Networks for Pattern Recognition, 1995, section 8.2: inputs and targets of order 1; the thresholds "
    "are xpnet's own"
)


def unscaled_features(case: Case) -> Iterator[Finding]:
    """A column of X ten times larger than 1, or all of them ten times smaller, or one far from mean 0."""
    fix = "scale each feature to mean 0 and standard deviation 1, such as make_pipeline(StandardScaler(), model)"
    yield from _unscaled("unscaled features", "X", case.X, _INPUTS, fix, each=False)


def unscaled_targets(case: Case) -> Iterator[Finding]:
    """The same for the targets of a regression, but any small column counts: its errors would have little weight."""
    if type(case.model.criterion.link) is Linear:
        fix = (
            "scale the targets to mean 0 and standard deviation 1, such as "
            "TransformedTargetRegressor(model, transformer=StandardScaler())"
        )
        yield from _unscaled("unscaled targets", "y", case.Y, _TARGETS, fix, each=True)


def _unscaled(kind: str, name: str, A: Any, source: str, fix: str, each: bool) -> Iterator[Finding]:
    """One finding at most: the column that is largest, smallest or farthest from mean 0."""
    means, sizes = column_moments(A)
    deviations = np.sqrt(np.maximum(sizes**2 - means**2, 0.0))
    counts = deviations > 1e-6 * sizes if each else sizes == sizes.max()  # a constant target is not small
    small = np.where(counts, sizes, np.inf)
    far = np.abs(means) / np.maximum(deviations, 1.0)
    size = "the root mean square of the {} column"
    if sizes.max() > _LARGE:
        numbers, at, threshold, measure = sizes, sizes.argmax(), _LARGE, size.format("largest")
    elif 0.0 < small.min() < _SMALL:
        numbers, at, threshold, measure = sizes, small.argmin(), _SMALL, size.format("smallest" if each else "largest")
    elif far.max() > _FAR:
        numbers, at, threshold = far, far.argmax(), _FAR
        measure = "the size of the column's mean over its standard deviation, or over 1 if that is smaller"
    else:
        return
    where = name if sizes.size == 1 else f"{name}[:, {at}]"
    yield Finding(kind, where, measure, float(numbers[at]), threshold, source, fix)


def class_imbalance(case: Case) -> Iterator[Finding]:
    """The largest class against the smallest, weighted by sample weights; not if a sample has several labels."""
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
            "xpnet's own threshold; He and Garcia, Learning from Imbalanced Data, IEEE TKDE 2009, section 2, speak of "
            "100:1 and more",
            "weight the classes alike, class_weight='balanced' of MLPClassifier (sample_weight= for a Model), or "
            "collect more samples of this class",
        )
