"""MLPClassifier: labels to targets, and probabilities to labels."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.neural_network import MLPClassifier as ScikitLearns
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.multiclass import type_of_target

from ..backends import array_namespace, get_backend, is_host_data, on_host, to_numpy
from ..equations.activations import Activation, log_sigmoid, log_softmax, sigmoid
from ..equations.schedules import Adaptive, Schedule
from . import fitting
from .base import BaseMLP
from .prediction import check_library, predicted
from .settings import ATTRIBUTES, BEYOND_SCIKIT_LEARN, PARAMETERS
from .targets import Labels
from .typed_decorators import available_if

Array = Any


class MLPClassifier(ClassifierMixin, BaseMLP):
    __doc__ = (
        """scikit-learn's multilayer perceptron classifier, on NumPy, CuPy or any Array API library.

    Hidden layers, and softmax and cross-entropy over more than two classes (D0), one sigmoid unit and
    binary cross-entropy for two (D3), one for each label if y has several (multilabel). Parameters, defaults and
    attributes are those of :class:`sklearn.neural_network.MLPClassifier`.

    Parameters
    ----------
"""
        + PARAMETERS
        + """    class_weight : dict or "balanced", optional
        Weights of the labels, which multiply the samples' weights; with "balanced" all classes have the same total.

    Attributes
    ----------
    classes_ : host array of the labels, sorted.
"""
        + ATTRIBUTES
    )

    _parameter_constraints: ClassVar[dict] = {
        **ScikitLearns._parameter_constraints,
        **BEYOND_SCIKIT_LEARN,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }
    _kind = Labels
    classes_: np.ndarray

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Activation | Sequence[str | Activation] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str | Schedule | Adaptive = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: dict | str | None = None,
        penalty: str | None = "l2",
        l1_ratio: float = 0.15,
        weight_decay: float = 0.01,
        dropout: float | Sequence[float] = 0.0,
        clip_norm: float | None = None,
        scoring: str | Callable | None = None,
        backend: str | None = None,
        precision: str | None = None,
    ) -> None:
        self._keep(locals())

    @available_if(BaseMLP._has_steps)
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        validation_data: tuple | None = None,
    ) -> Self:
        """Make one pass over X.

        With ``early_stopping`` and ``validation_data``, ``stopped_early_`` tells when the score of ``n_iter_no_change``
        calls has not improved; ``coefs_`` are then the best ones.

        Parameters
        ----------
        X, y, sample_weight, validation_data
            As in ``fit``.
        classes : array-like, (n_classes,)
            All labels there will be; needed at the first call.

        Returns
        -------
        self : MLPClassifier
            The estimator after the pass.

        Raises
        ------
        ValueError
            ``classes`` is missing or another one than at the first call, or as in ``fit``.
        """
        if not hasattr(self, "classes_") and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        known: Any = np.unique(to_numpy(classes)) if classes is not None else None
        if known is not None and hasattr(self, "classes_") and not np.array_equal(known, self.classes_):
            raise ValueError(
                f"`classes={known}` is not the same as on last call to partial_fit, was: {self.classes_}; "
                "leave it out after the first call"
            )
        with fitting.unchanged_by_errors(self):
            if not hasattr(self, "classes_"):
                labels = on_host(y)
                is_multilabel = type_of_target(labels).startswith("multilabel")
                self._label_binarizer = LabelBinarizer().fit(labels if is_multilabel else known)
                self.classes_ = known
            return fitting.fit(self, X, y, sample_weight, validation_data, is_part=True)

    def predict(self, X: Any) -> Array:
        """Predict the label of the largest probability.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Samples.

        Returns
        -------
        array of X's library, (n_samples,), or (n_samples, n_labels) of 0 and 1 for several labels
            Labels; text is an array of NumPy's.
        """
        check_library(self, X, "predict")
        if self._multilabel and is_host_data(X):
            return self._label_binarizer.inverse_transform(predicted(self, X))  # sparse if y was
        places = to_numpy(predicted(self, X, self._places))
        # y may have had one class only, as in scikit-learn.
        labels = places if self._multilabel else self.classes_[np.minimum(places, len(self.classes_) - 1)]
        is_text = labels.dtype.kind not in "biuf"
        return labels if is_text or is_host_data(X) else get_backend(None, X).asarray(labels)

    def _places(self, A: Array) -> Array:
        """The index of the largest probability, (n_samples,), or 0/1 for each label, (n_samples, n_labels)."""
        xp = array_namespace(A)
        if self._multilabel:
            return xp.astype(A > 0.5, xp.int64)
        return xp.argmax(A, axis=1) if self.n_outputs_ > 1 else xp.astype(A[:, 0] > 0.5, xp.int64)

    def predict_proba(self, X: Any) -> Array:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Samples.

        Returns
        -------
        array of X's library, (n_samples, n_classes)
            Columns as in ``classes_``.
        """
        check_library(self, X, "predict_proba")
        if self.n_outputs_ > 1 or self._multilabel:
            return predicted(self, X)
        return predicted(self, X, lambda A: array_namespace(A).concat([1.0 - A, A], axis=1))

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithm of each class's probability from the logits: finite if a probability is rounded to 0.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Samples.

        Returns
        -------
        array of X's library, (n_samples, n_classes)
            Columns as in ``classes_``.
        """
        check_library(self, X, "predict_log_proba")
        return predicted(self, X, self._log_probabilities, linked=False)

    def _log_probabilities(self, Z: Array) -> Array:
        if self._multilabel:
            # Above 1/2 the log of the probability, so that probabilities rounded to 1 rank alike in both methods.
            A, xp = sigmoid(Z), array_namespace(Z)
            return xp.where(A < 0.5, log_sigmoid(Z), xp.log(xp.maximum(A, 0.5)))
        if self.n_outputs_ > 1:
            return log_softmax(Z)
        return array_namespace(Z).concat([log_sigmoid(-Z), log_sigmoid(Z)], axis=1)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score ``predict(X)`` by its accuracy: for several labels, the fraction of samples with all of them right.

        Parameters
        ----------
        X : array-like, (n_samples, n_features)
            Samples.
        y : array-like, (n_samples,) or (n_samples, n_labels)
            Their labels, of any library; they are compared on the host.
        sample_weight : array-like, (n_samples,), optional
            Weights of the samples.

        Returns
        -------
        float
            From 0 to 1.
        """
        return accuracy_score(on_host(y), on_host(self.predict(X)), sample_weight=on_host(sample_weight))

    @property
    def _multilabel(self) -> bool:
        return self._label_binarizer.y_type_.startswith("multilabel")
