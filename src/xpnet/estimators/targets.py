"""What differs between classes and real numbers: the targets that are trained on, their loss, and their score."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.multiclass import unique_labels

from ..equations import losses
from .class_weight import weighed


@dataclass(frozen=True)
class Labels:
    """Class labels, or several labels of each sample (multilabel), as targets of 0 and 1.

    Attributes
    ----------
    binarizer : LabelBinarizer
        Fitted on the labels.
    classes : array, (n_classes,), or None
        The labels, sorted.
    class_weight : dict, "balanced" or None
        The classifier's parameter.
    """

    binarizer: LabelBinarizer
    classes: Any
    class_weight: Any = None

    is_numeric: ClassVar[bool] = False
    """Whether y must hold numbers."""

    @classmethod
    def of(cls, classifier: Any) -> "Labels":
        """The labels that a classifier has learned."""
        return cls(classifier._label_binarizer, vars(classifier).get("classes_"), classifier.class_weight)

    @staticmethod
    def learn(classifier: Any, y: Any, is_part: bool) -> None:
        """Give a classifier the labels of y, or check that it has the same; y ``is_part`` of the training data."""
        if not hasattr(classifier, "classes_") or (not classifier.warm_start and not is_part):
            classifier._label_binarizer = LabelBinarizer().fit(y)
            classifier.classes_ = classifier._label_binarizer.classes_
        elif not is_part and set(unique_labels(y)) != set(classifier.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {classifier.classes_}, `y` has {unique_labels(y)}"
            )

    @property
    def is_multilabel(self) -> bool:
        """Whether a sample may have several labels."""
        return self.binarizer.y_type_.startswith("multilabel")

    def loss(self, n_outputs: int) -> losses.Loss:
        """Binary cross-entropy for one output, or for each label; otherwise cross-entropy."""
        return losses.BinaryCrossEntropy() if n_outputs == 1 or self.is_multilabel else losses.CrossEntropy()

    def encode(self, y: np.ndarray) -> np.ndarray:
        """The targets of y, (n_samples, n_outputs), bool: a column for each class, or one if there are two."""
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        kinds = {"number" if a.dtype.kind in "biuf" else a.dtype.kind for a in (y, self.classes)}
        if y.ndim == 1 and not self.is_multilabel and kinds in ({"number"}, {"U"}):
            places = np.minimum(np.searchsorted(self.classes, y), len(self.classes) - 1)
            if (self.classes[places] == y).all():  # bool takes an eighth of int64's memory until it has X's dtype
                n = len(self.classes)
                return (places == 1)[:, None] if n < 3 else places[:, None] == np.arange(n)
        labels = unique_labels(y)
        if not np.isin(labels, self.classes).all():
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. 'y' has {labels}."
            )
        return self.binarizer.transform(y).astype(bool)

    def strata(self, Y: np.ndarray) -> np.ndarray | None:
        """The groups that a random split of the samples keeps in proportion, or None."""
        return Y if Y.shape[1] == 1 else None

    def weigh(self, y: np.ndarray, w: np.ndarray | None, is_part: bool = False) -> np.ndarray | None:
        """The weights w of the samples, or None, times those of their classes; ``is_part`` as in ``learn``."""
        if self.class_weight is None:
            return w
        classes = None if self.is_multilabel else self.classes
        return weighed(y, w, self.class_weight, classes, is_part)

    def score(self, Y: np.ndarray, A: np.ndarray, w: np.ndarray | None) -> float:
        """The accuracy of the probabilities A for the targets Y."""
        if Y.shape[1] > 1 and not self.is_multilabel:
            return accuracy_score(np.argmax(Y, axis=1), np.argmax(A, axis=1), sample_weight=w)
        return accuracy_score(Y > 0.5, A > 0.5, sample_weight=w)


@dataclass(frozen=True)
class ReportedPerOutput(losses.HalfSquaredError):
    """Half squared error whose value, not its gradient, is divided by the number of outputs: scikit-learn's report."""

    descended: ClassVar[losses.Loss] = losses.HalfSquaredError()
    """The loss that has this gradient."""

    def per_element(self, Z, Y):
        L, dZ = super().per_element(Z, Y)
        return L / Z.shape[1], dZ


_LOSSES: dict[str, losses.Loss] = {
    "squared_error": losses.HalfSquaredError(),
    "poisson": losses.HalfPoissonDeviance(),
    "huber": losses.Huber(),
    "quantile": losses.Quantile(),
    "absolute_error": losses.AbsoluteError(),
}


@dataclass(frozen=True)
class Numbers:
    """Real targets; ``loss_given`` is the regressor's parameter ``loss``."""

    loss_given: str | losses.Loss

    is_numeric: ClassVar[bool] = True

    @classmethod
    def of(cls, regressor: Any) -> "Numbers":
        """The targets of a regressor."""
        return cls(regressor.loss)

    @staticmethod
    def learn(regressor: Any, y: Any, is_part: bool) -> None:
        """Do nothing: numbers have no labels."""

    def loss(self, n_outputs: int) -> losses.Loss:
        """The loss that is given, or that has this name."""
        if isinstance(self.loss_given, losses.Loss):
            return self.loss_given
        if self.loss_given not in _LOSSES:
            raise ValueError(
                f"loss is {self.loss_given!r}; allowed: {', '.join(map(repr, _LOSSES))}, or a Loss such as "
                "xpnet.losses.Quantile(0.9)"
            )
        reports_mean = self.loss_given == "squared_error" and n_outputs > 1
        return ReportedPerOutput() if reports_mean else _LOSSES[self.loss_given]

    def encode(self, y: np.ndarray) -> np.ndarray:
        """y as (n_samples, n_outputs), checked."""
        if y.dtype.kind not in "fiub":
            raise ValueError(f"y has dtype {y.dtype}; a regressor needs real numbers")
        if not np.isfinite(y).all():
            raise ValueError("y contains NaN or infinity; remove or impute those samples first")
        if isinstance(self.loss_given, str) and self.loss_given == "poisson" and (y < 0).any():
            raise ValueError("loss='poisson' needs y >= 0, and y has negative values; use loss='squared_error'")
        return y.reshape(-1, 1) if y.ndim == 1 else y

    def strata(self, Y: np.ndarray) -> None:
        """None: a split is random."""

    def weigh(self, y: np.ndarray, w: np.ndarray | None, is_part: bool = False) -> np.ndarray | None:
        """The weights of the samples, unchanged."""
        return w

    def score(self, Y: np.ndarray, A: np.ndarray, w: np.ndarray | None) -> float:
        """R^2 of the predictions A for the targets Y."""
        return r2_score(Y, A, sample_weight=w)
