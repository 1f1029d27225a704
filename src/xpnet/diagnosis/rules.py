"""What goes wrong in training, each rule with its threshold, where that comes from, and the mend.

A rule takes a :class:`Case` and yields a :class:`Finding` for each place where its number is beyond its threshold.
Thresholds stand clear of what healthy training shows: networks trained on scaled digits, iris and diabetes, with ReLU,
tanh and sigmoid, by Adam, SGD and L-BFGS, stay below two thirds of each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..backends import namespace, to_numpy
from ..equations.activations import Linear, ReLU, Sigmoid, Tanh
from ..equations.losses import BinaryCrossEntropy, CrossEntropy
from .case import Case
from .measures import Units, column_sizes, units, updates


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        What, such as "dead ReLUs".
    where : str
        Where: a layer, a column of X, a class, the history.
    measure : str
        What the number is.
    number, threshold : float
        What was found, and beyond what it is a finding.
    source : str
        Where the threshold comes from.
    mend : str
        Which parameter to change, and to what.
    """

    kind: str
    where: str
    measure: str
    number: float
    threshold: float
    source: str
    mend: str

    def __str__(self) -> str:
        return (
            f"{self.kind} ({self.where}): {self.measure} is {self.number:.3g}, threshold {self.threshold:g}\n"
            f"    mend: {self.mend}\n    source: {self.source}"
        )


# --- data

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
            f"the weight of the largest class over this one's, {counts[most]:.6g} to {counts[least]:.6g},",
            ratio,
            10.0,
            "He and Garcia, Learning from Imbalanced Data, IEEE TKDE 2009, section 2: imbalance from 10:1 on",
            "weigh the classes alike, sample_weight=sklearn.utils.class_weight.compute_sample_weight('balanced', y) in "
            "fit, or collect more samples of this class",
        )


# --- the learning rate

_SMITH = "Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017, section 3.3 (range test): "
_CURVES = "Karpathy, Stanford CS231n notes, Neural Networks 3, on loss curves (2015): "


def _change(case: Case, factor: float) -> str:
    return f"set {case.rate_name} to {case.rate * factor:.3g} (it is {case.rate:.3g})"


def learning_rate(case: Case) -> Iterator[Finding]:
    """Too high, or else too low: a cost that leaps about may also fall in the end."""
    yield from list(rate_too_high(case)) or rate_too_low(case)


def rate_too_high(case: Case) -> Iterator[Finding]:
    """A cost above what outputs of 0 cost, above its own lowest at the end, or rising again and again."""
    L = case.history
    if len(L) < 3 or np.ptp(L) == 0.0:
        return
    range_, blank = float(np.ptp(L)), _blank_cost(case)
    above = float(np.max(L) / blank) if blank > 0.0 else 0.0
    rise = float(L[-1] - np.min(L)) / range_
    ups = float(np.mean(np.maximum(np.diff(L[len(L) // 2 :]), 0.0))) / range_ if len(L) >= 6 else 0.0
    of_range = "as a share of its range,"
    for number, threshold, measure, source in (
        (rise, 0.2, f"how far the cost rose above its lowest, {of_range}", "the loss rises where the rate is too high"),
        (above, 3.0, "the highest cost over that of a network that puts out 0", "the loss leaps up, not down"),
        (ups, 0.02, f"the mean rise an epoch in the second half, {of_range}", "the loss becomes ragged"),
    ):
        if number > threshold:
            yield Finding(
                "learning rate too high", "history", measure, number, threshold, _SMITH + source, _change(case, 0.1)
            )
            return


def _blank_cost(case: Case) -> float:
    """The cost of outputs that are all 0, without a penalty: where training begins with small weights."""
    loss_sum, weight_sum, _ = case.model.criterion(namespace(case.Y).zeros_like(case.Y), case.Y, case.w)
    of_all = case.n_samples / case.Y.shape[0] if case.model.reduction == "sum" else 1.0
    return of_all * float(case.model.scale(weight_sum) * loss_sum)


def rate_too_low(case: Case) -> Iterator[Finding]:
    """A cost that hardly moved, or was still falling like a straight line when training ended."""
    L, kind = case.history, "learning rate too low"
    if len(L) < 10 or L[0] == 0.0:
        return
    moved = float(np.ptp(L) / abs(L[0]))
    tenth = len(L) // 10
    late = float((L[-1 - tenth] - L[-1]) / max(np.ptp(L), 1e-300))
    if moved < 0.01:
        what = f"how far the cost moved in {len(L)} epochs, as a share of its first value,"
        source = _CURVES + "too low a rate makes hardly any improvement"
        mend = f"{_change(case, 10.0)}; if the cost still stands, start from other weights (not zeros) and check y"
        yield Finding(kind, "history", what, moved, 0.01, source, mend)
    elif late > 0.05 and not case.stopped:
        what = "the part of the cost's whole fall that came in the last tenth of the epochs"
        source = _CURVES + "with too low a rate improvements are linear; a straight line would give 0.1"
        yield Finding(kind, "history", what, late, 0.05, source, f"{_change(case, 10.0)}, or train for more epochs")


def large_updates(case: Case) -> Iterator[Finding]:
    """||step|| / ||W|| above 0.1, a hundred times the rule."""
    for where, ratio in updates(case).items():
        if ratio > 0.1:
            yield Finding(
                "updates too large",
                where,
                "the norm of the next step over that of the weights",
                ratio,
                0.1,
                "Karpathy, Stanford CS231n notes, Neural Networks 3, on ratios of updates to weights (2015): about 1e-3",
                _change(case, 0.1),
            )


# --- the network


def dead_units(case: Case, found: list[Units]) -> Iterator[Finding]:
    """Units whose f' is 0 on every sample: no gradient reaches what lies before them."""
    for layer in found:
        if not isinstance(layer.activation, ReLU) or layer.slopes is None:
            continue
        dead = np.all(layer.slopes == 0.0, axis=0)
        if dead.mean() > 0.25:
            yield Finding(
                "dead ReLUs",
                f"layer {layer.number}",
                f"the share of units that are 0 on all {len(layer.slopes)} samples, {dead.sum()} of {dead.size},",
                float(dead.mean()),
                0.25,
                "Maas, Hannun and Ng, ICML 2013 workshop, section 2; Stanford CS231n notes, Neural Networks 1 (2015): "
                "up to 0.4 where the rate was too high",
                f"{_change(case, 0.1) + ', ' if case.rate is not None else ''}scale the features, or take "
                "activation='tanh' (or 'elu', 'prelu' in a Dense), and train afresh: dead units stay dead",
            )


def saturated_units(case: Case, found: list[Units]) -> Iterator[Finding]:
    """Sigmoids and tanhs in their tails, |tanh| > 0.97: f' below 0.06 of its largest."""
    for layer in found:
        if not isinstance(layer.activation, Sigmoid | Tanh) or layer.slopes is None:
            continue
        tails = float(np.mean(layer.slopes < 1.0 - 0.97**2))
        if tails > 0.5:
            yield Finding(
                "saturated units",
                f"layer {layer.number}",
                f"the share of {type(layer.activation).__name__.lower()} outputs in the tails, f' < 0.06 of its "
                "largest,",
                tails,
                0.5,
                "Glorot and Bengio, AISTATS 2010, section 3; LeCun et al., Efficient BackProp, 1998, section 4.4: "
                "units are to work where they are nearly linear",
                "scale the features to mean 0 and standard deviation 1, start from smaller weights "
                "(initializer='glorot_uniform'), or take activation='relu'",
            )


def gradients_across_layers(case: Case, found: list[Units]) -> Iterator[Finding]:
    """||dA_1|| / ||dA_K|| of the first and the last layer: what is left of the error on its way back."""
    first, last = found[0], found[-1]
    if len(found) < 2 or not last.gradient > 0.0:
        return
    ratio, where = first.gradient / last.gradient, f"layer 1 against layer {last.number}"
    measure = "the norm of the gradient by the first layer's outputs over that by the last's"
    if ratio < 0.01:
        mend = "take activation='relu' with initializer='he_uniform', or fewer hidden layers"
        source = "Glorot and Bengio, AISTATS 2010, section 4.2: gradients of one size in all layers; a hundredth is far off"
        yield Finding("vanishing gradients", where, measure, ratio, 0.01, source, mend)
    elif not ratio <= 100.0:
        mend = "start from smaller weights (initializer='glorot_uniform', or 'he_uniform' for relu), or clip (clip_norm=1)"
        source = "Pascanu, Mikolov and Bengio, ICML 2013, section 2.1: norms that grow layer by layer; a hundredfold is far off"
        yield Finding("exploding gradients", where, measure, ratio, 100.0, source, mend)


def findings(case: Case) -> Iterator[Finding]:
    """All that is wrong, causes before what follows from them: the data, the learning rate, the network."""
    for rule in (unscaled_features, unscaled_targets, class_imbalance, learning_rate, large_updates):
        yield from rule(case)
    found = units(case)
    for rule_of_units in (dead_units, saturated_units, gradients_across_layers):
        yield from rule_of_units(case, found)
