"""Rules about the network: dead and saturated units, gradients that vanish or explode.

A rule yields a :class:`Finding` for each place where its number is beyond its threshold.
"""

from collections.abc import Iterator

import numpy as np

from ..equations.activations import ReLU, Sigmoid, Tanh
from .case import Case
from .finding import Finding
from .learning import change
from .measures import Units


def dead_units(case: Case, found: list[Units]) -> Iterator[Finding]:
    """Units whose f' is 0 on every sample: no gradient reaches what lies before them."""
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
                "Karpathy, Stanford CS231n notes, Neural Networks 1 (2015), on ReLU: as much as 40 % dead where the "
                "rate is too high; Maas, Hannun and Ng, ICML 2013 workshop, section 2",
                f"{change(case, 0.1)}, scale the features, or take "
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
                "largest",
                tails,
                0.5,
                "Glorot and Bengio, AISTATS 2010, section 3; LeCun et al., Efficient BackProp, 1998, section 4.4: "
                "units are to work where they are nearly linear",
                "scale the features to mean 0 and standard deviation 1, start from smaller weights "
                "(initializer='glorot_uniform' of Dense), or take activation='relu'",
            )


def gradients_across_layers(case: Case, found: list[Units]) -> Iterator[Finding]:
    """||dA_1|| / ||dA_K|| of the first and the last layer: what is left of the error on its way back."""
    first, last = found[0], found[-1]
    if len(found) < 2 or not last.gradient > 0.0:
        return
    ratio, where = first.gradient / last.gradient, f"layer 1 against layer {last.number}"
    measure = "the norm of the gradient by the first layer's outputs over that by the last's"
    if ratio < 0.01:
        mend = "take activation='relu' with initializer='he_uniform', in Dense, or fewer hidden layers"
        source = (
            "Glorot and Bengio, AISTATS 2010, section 4.2: gradients of one size in all layers; a hundredth is far off"
        )
        yield Finding("vanishing gradients", where, measure, ratio, 0.01, source, mend)
    elif not ratio <= 100.0:
        mend = (
            "start from smaller weights (initializer='glorot_uniform' of Dense, 'he_uniform' for relu), lower the "
            "learning rate, or clip (clip_norm=1 of epochs)"
        )
        source = (
            "Pascanu, Mikolov and Bengio, ICML 2013, section 2.1: norms that grow by layers; a hundredfold is far off"
        )
        yield Finding("exploding gradients", where, measure, ratio, 100.0, source, mend)
