"""Class weights, which become weights of the samples."""

from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight


def weighed(y: np.ndarray, w: np.ndarray | None, class_weight: Any, classes: Any, is_part: bool) -> np.ndarray:
    """The weights w of the samples (None stands for 1), multiplied by those of their classes.

    Parameters
    ----------
    y : array, (n_samples,), or (n_samples, n_labels)
        The labels.
    w : array, (n_samples,), or None
        The weights given to ``fit``.
    class_weight : dict or "balanced"
        The classifier's parameter.
    classes : array, (n_classes,), or None
        The labels, sorted; None if a sample may have several.
    is_part : bool
        Whether y is a part of the training data.
    """
    if class_weight == "balanced" and is_part:
        raise ValueError(
            "class_weight is 'balanced', which partial_fit can't know from a part of the samples; give a dict such "
            "as dict(zip(classes, compute_class_weight('balanced', classes=classes, y=y)))"
        )
    if not isinstance(class_weight, dict):
        of_samples = compute_sample_weight(class_weight, y)
    elif classes is None:
        raise ValueError("class_weight is a dict, and y has several labels: give 'balanced', or sample_weight")
    else:  # a part of the samples may lack a class
        of_classes = compute_class_weight(class_weight, classes=classes, y=y)
        of_samples = of_classes[np.searchsorted(classes, y)]
    return of_samples if w is None else w * of_samples
