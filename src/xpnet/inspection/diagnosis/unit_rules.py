"""Rules about units and gradients: units all alike, dead or saturated, gradients that vanish or explode.

A rule yields a :class:`Finding` for each place where its number is beyond its threshold.
"""

from collections.abc import Iterator

import numpy as np

from ...backends import to_numpy
from ...equations.activations import ReLU, Sigmoid, Tanh
from .case import Case
from .finding import Finding
from .learning_rules import change
from .measures import Units


def alike_units(case: Case) -> Iterator[Finding]:
    """Hidden units that all have the same weights: they compute the same, and so do their gradients."""
    theta = to_numpy(case.theta)
    weights = [w for w in case.layout.named if w.role == "weight"]
    for window in weights[:-1]:
        shape = window.shape
        if len(shape) != 2 or shape[1] < 2:
            continue
        W = theta[window.at].reshape(shape)
        apart, size = float(np.max(np.ptp(W, axis=1))), float(np.max(np.abs(W)))
        if apart <= 1e-6 * size:
            yield Finding(
                "units all alike",
                window.name,
                f"how far the weights of the {shape[1]} units differ, as a share of the largest",
                apart / (size or 1.0),
                1e-6,
                "Goodfellow, Bengio and Courville, Deep Learning, 2016, section 8.4: initial parameters need to break "
                "the symmetry between units; the threshold is xpnet's own",
                "start from random weights (initializer='glorot_uniform' of Dense, 'he_uniform' for relu), not zeros"
                + (", and lower l1, which pulls all weights to 0" if case.model.l1 else ""),
            )


def dead_units(case: Case, found: list[Units], unscaled: bool) -> Iterator[Finding]:
    """Units whose f' is 0 on every sample: no gradient reaches what lies before them."""
    first = "scale the data first, as above" if unscaled else change(case, 0.1)
    for layer in found:
        if not isinstance(layer.activation, ReLU) or layer.slopes is None:
            continue
        dead = np.all(layer.slopes == 0.0, axis=0)
        if dead.mean() > 0.4:
            yield Finding(
                "dead ReLUs",
                f"layer {layer.number}",
                f"the share of units that are 0 on all {len(layer.slopes)} samples, {dead.sum()} of {dead.size}",
                float(dead.mean()),
                0.4,
                "Karpathy, Stanford CS231n notes, Neural Networks 1 (2015), on ReLU: as much as 40 % dead if the "
                "rate is too high; Maas, Hannun and Ng, ICML 2013 workshop, section 2",
                f"{first}, and train afresh, since dead units stay dead; if they die again, take activation='tanh' (or "
                "'elu', 'leaky_relu' in a Dense)",
            )


def saturated_units(found: list[Units], unscaled: bool) -> Iterator[Finding]:
    """Sigmoids and tanhs that never leave their tails, |tanh| > 0.97: f' below 0.06 of its largest.

    A converged classifier has many outputs in the tails; units that are there on nearly all samples hardly learn.
    """
    first = "scale the data first, as above" if unscaled else "scale the features to mean 0 and standard deviation 1"
    for layer in found:
        if not isinstance(layer.activation, Sigmoid | Tanh) or layer.slopes is None:
            continue
        stuck = np.mean(layer.slopes < 1.0 - 0.97**2, axis=0) > 0.95
        if stuck.mean() > 0.5:
            yield Finding(
                "saturated units",
                f"layer {layer.number}",
                f"the share of {type(layer.activation).__name__.lower()} units in the tails, f' < 0.06 of its largest, "
                f"on more than 95 % of the samples, {stuck.sum()} of {stuck.size}",
                float(stuck.mean()),
                0.5,
                "Glorot and Bengio, AISTATS 2010, section 3; LeCun et al., Efficient BackProp, 1998, section 4.4: "
                "units should work where they are nearly linear; the threshold is xpnet's own",
                f"{first}, start from smaller weights (initializer='glorot_uniform' of Dense), or take "
                "activation='relu'; train afresh",
            )


def gradients_across_layers(found: list[Units]) -> Iterator[Finding]:
    """||dA_1|| / ||dA_K|| of the first and the last layer: how the error shrinks or grows on its way back."""
    first, last = found[0], found[-1]
    if len(found) < 2 or not last.gradient > 0.0:
        return
    ratio, own = first.gradient / last.gradient, "; the threshold is xpnet's own"
    if ratio < 0.01:
        kind, threshold = "vanishing gradients", 0.01
        fix = "take activation='relu' with initializer='he_uniform', in Dense, or fewer hidden layers"
        source = "Glorot and Bengio, AISTATS 2010, section 4.2: gradients of one size in all layers" + own
    elif not ratio <= 100.0:
        kind, threshold = "exploding gradients", 100.0
        fix = (
            "start from smaller weights (initializer='glorot_uniform' of Dense, 'he_uniform' for relu), lower the "
            "learning rate, or clip (clip_norm=1 of epochs)"
        )
        source = "Pascanu, Mikolov and Bengio, ICML 2013, section 2.1: norms that grow from layer to layer" + own
    else:
        return
    measure = "the norm of the gradient by the first layer's outputs over that by the last's"
    yield Finding(kind, f"layer 1 against layer {last.number}", measure, ratio, threshold, source, fix)
