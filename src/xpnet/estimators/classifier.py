"""MLPClassifier: labels to targets, and probabilities to labels."""

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.neural_network import MLPClassifier as ScikitLearns
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d

from ..backends import array_namespace, get_backend, is_host_data, on_host, to_numpy
from ..equations.activations import log_sigmoid, log_softmax, sigmoid
from ..equations.losses import BinaryCrossEntropy, CrossEntropy, Loss
from .architecture import Array
from .base import BEYOND_SCIKIT_LEARN, BaseMLP


class MLPClassifier(ClassifierMixin, BaseMLP):
    """scikit-learn's multilayer perceptron classifier, on NumPy, CuPy or any Array API library.

    Hidden layers, and softmax and cross-entropy over more than two classes (D0), one sigmoid unit and
    binary cross-entropy for two (D3), one for each label where y has several (multilabel). Parameters, defaults and
    attributes are those of :class:`sklearn.neural_network.MLPClassifier`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
        Units of each hidden layer; () is logistic regression.
    activation : str, Activation, or a list of them
        Of the hidden layers; a list has one for each. scikit-learn's "identity", "logistic", "tanh" and "relu", any
        other name of :data:`xpnet.activations.BY_NAME`, or an object, also of a class of your own.
    solver : {"adam", "sgd", "lbfgs", "adamw"}
        :class:`xpnet.Adam`, :class:`xpnet.Momentum`, SciPy's L-BFGS on all samples at once, or :class:`xpnet.AdamW`.
        L-BFGS computes in float64 unless ``precision`` says otherwise, and has no ``partial_fit``.
    alpha : float
        The penalty's strength; lambda = alpha / sum of the batch's sample weights.
    learning_rate : {"constant", "invscaling", "adaptive"} or callable
        scikit-learn's names are for sgd alone. A schedule such as ``xpnet.schedules.Cosine(steps)``, a function of the
        step, and ``xpnet.schedules.Adaptive()`` are for every solver that steps.
    class_weight : dict or "balanced", optional
        Label: weight, by which the samples' weights are multiplied; "balanced" makes all classes weigh the same.
    penalty : {"l2", "l1", "elasticnet"} or None
        On the weights (D0): alpha/2 sum w^2, alpha sum |w|, or ``l1_ratio`` of the one and the rest of the other.
    l1_ratio : float
        L1's share in "elasticnet", from 0 to 1.
    weight_decay : float
        AdamW's: theta -= rate * weight_decay * theta on the weights.
    dropout : float or list of float
        The share of each hidden layer's units that is left out of a step; a list has one for each layer. The masks
        follow from ``random_state`` and are the same on every backend.
    clip_norm : float, optional
        Longer gradients are scaled down to this norm; inf only records the norm in ``history_``.
    scoring : str or callable, optional
        What early stopping looks at: by default the accuracy, "loss" the loss of the held-out samples, or any scorer of
        scikit-learn's.
    backend : {"numpy", "cpu", "cupy", "cuda", "cupy:N", "auto"}, optional
        Who computes; see :func:`xpnet.get_backend`. By default everything follows X.
    precision : {"float32", "float64", "tf32", "bfloat16"}, optional
        What is computed in, see :class:`xpnet.Model`. By default float32 or float64 as X is.
    verbose : bool or int
        scikit-learn's lines; 2 is a table of ``history_``.
    batch_size, learning_rate_init, power_t, max_iter, shuffle, random_state, tol, warm_start, \
momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As in scikit-learn.

    Attributes
    ----------
    classes_ : host array of the labels, sorted.
    coefs_, intercepts_ : lists of arrays, of X's library
        W_k (n_{k-1}, n_k) and b_k (n_k,).
    history_ : dict of lists
        Epoch by epoch: loss, validation_loss, validation_score, learning_rate, gradient_norm, seconds; what was not
        recorded is not there.
    validation_loss_curve_ : list of float, or None without held-out samples
        Their loss after each epoch, without the penalty.
    loss_curve_, loss_, best_loss_, validation_scores_, best_validation_score_, n_iter_, t_, n_features_in_, \
feature_names_in_, n_layers_, n_outputs_, out_activation_
        As in scikit-learn.
    """

    _parameter_constraints: ClassVar[dict] = {
        **ScikitLearns._parameter_constraints,
        **BEYOND_SCIKIT_LEARN,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }
    _y_numeric = False
    _stratify = True
    classes_: np.ndarray

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        class_weight=None,
        penalty="l2",
        l1_ratio=0.15,
        weight_decay=0.01,
        dropout=0.0,
        clip_norm=None,
        scoring=None,
        backend=None,
        precision=None,
    ):
        self._keep(locals())

    @available_if(lambda est: est._check_solver())
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        validation_data: tuple | None = None,
    ) -> "MLPClassifier":
        """One pass over X; ``classes`` (all labels there will be) is needed at the first call.

        The others are as in ``fit``. With ``early_stopping`` and ``validation_data``, ``stopped_early_`` tells when the
        score of ``n_iter_no_change`` calls has not improved; ``coefs_`` are then the best ones.
        """
        if not hasattr(self, "classes_") and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        known: Any = np.unique(to_numpy(classes)) if classes is not None else None
        if known is not None and hasattr(self, "classes_") and not np.array_equal(known, self.classes_):
            raise ValueError(
                f"`classes={known}` is not the same as on last call to partial_fit, was: {self.classes_}; "
                "leave it out after the first call"
            )
        with self._unchanged_by_errors():
            if not hasattr(self, "classes_"):
                labels = on_host(y)
                self._learn_labels(labels if type_of_target(labels).startswith("multilabel") else known)
                self.classes_ = known
            return self._fit(X, y, sample_weight, validation_data, incremental=True)

    def predict(self, X: Any) -> Array:
        """The label of the largest probability, (n_samples,), or 0/1 for each label, (n_samples, n_labels)."""
        self._follows_fit(X, "predict")
        if self._multilabel and is_host_data(X):
            return self._label_binarizer.inverse_transform(self._output(X, "predict"))  # sparse where y was
        places = to_numpy(self._output(X, "predict", self._places))
        if self._multilabel:
            return self._labels(places, X)
        # y may have had one class only, as in scikit-learn.
        return self._labels(self.classes_[np.minimum(places, len(self.classes_) - 1)], X)

    def _places(self, A: Array) -> Array:
        """The place of the largest probability, (n_samples,), or 0/1 for each label, (n_samples, n_labels)."""
        xp = array_namespace(A)
        if self._multilabel:
            return xp.astype(A > 0.5, xp.int64)
        return xp.argmax(A, axis=1) if self.n_outputs_ > 1 else xp.astype(A[:, 0] > 0.5, xp.int64)

    @staticmethod
    def _labels(labels: Any, X: Any) -> Array:
        """Labels follow X where its library can hold them; text stays NumPy's."""
        if is_host_data(X) or (isinstance(labels, np.ndarray) and labels.dtype.kind not in "biuf"):
            return labels
        return get_backend(None, X).asarray(labels)

    def predict_proba(self, X: Any) -> Array:
        """Probabilities, (n_samples, n_classes), columns as in ``classes_``."""
        self._follows_fit(X, "predict_proba")
        if self.n_outputs_ > 1 or self._multilabel:
            return self._output(X, "predict")
        return self._output(X, "predict", lambda A: array_namespace(A).concat([1.0 - A, A], axis=1))

    def predict_log_proba(self, X: Any) -> Array:
        """Log-probabilities, (n_samples, n_classes), from the logits: finite where a probability is rounded to 0."""
        self._follows_fit(X, "predict_log_proba")
        return self._output(X, "output", self._log_probabilities)

    def _log_probabilities(self, Z: Array) -> Array:
        if self._multilabel:
            # Above 1/2 the probability's own log: labels that are all rounded to 1 must rank alike in both methods.
            A, xp = sigmoid(Z), array_namespace(Z)
            return xp.where(A < 0.5, log_sigmoid(Z), xp.log(xp.maximum(A, 0.5)))
        if self.n_outputs_ > 1:
            return log_softmax(Z)
        return array_namespace(Z).concat([log_sigmoid(-Z), log_sigmoid(Z)], axis=1)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy of ``predict(X)``, or for several labels the share of samples with all of them right.

        Labels and weights of any library are compared on the host.
        """
        return accuracy_score(on_host(y), on_host(self.predict(X)), sample_weight=on_host(sample_weight))

    @property
    def _multilabel(self) -> bool:
        return self._label_binarizer.y_type_.startswith("multilabel")

    def _loss(self) -> Loss:
        return BinaryCrossEntropy() if self.n_outputs_ == 1 or self._multilabel else CrossEntropy()

    def _learn_labels(self, y: np.ndarray) -> None:
        self._label_binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._label_binarizer.classes_

    def _learn_targets(self, y: np.ndarray, incremental: bool) -> np.ndarray:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._learn_labels(y)
        elif self.warm_start and not incremental and set(unique_labels(y)) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {unique_labels(y)}"
            )
        return y

    def _encode(self, y: np.ndarray) -> np.ndarray:
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        kinds = {"number" if a.dtype.kind in "biuf" else a.dtype.kind for a in (y, self.classes_)}
        if y.ndim == 1 and not self._multilabel and kinds in ({"number"}, {"U"}):
            places = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
            if (self.classes_[places] == y).all():  # bool costs an eighth of int64 until it takes X's dtype
                n = len(self.classes_)
                return (places == 1)[:, None] if n < 3 else places[:, None] == np.arange(n)
        labels = unique_labels(y)
        if not np.isin(labels, self.classes_).all():
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {labels}."
            )
        return self._label_binarizer.transform(y).astype(bool)

    def _decode(self, Y: np.ndarray) -> np.ndarray:
        return self._label_binarizer.inverse_transform(Y)

    def _weigh_classes(self, y: np.ndarray, w: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return w
        if self.class_weight == "balanced" and incremental:
            raise ValueError(
                "class_weight is 'balanced', which partial_fit can't know from a part of the samples; give a dict such "
                "as dict(zip(classes, compute_class_weight('balanced', classes=classes, y=y)))"
            )
        if not isinstance(self.class_weight, dict):
            of_samples = compute_sample_weight(self.class_weight, y)
        elif self._multilabel:
            raise ValueError("class_weight is a dict, and y has several labels: give 'balanced', or sample_weight")
        else:  # a part of the samples may lack a class
            of_classes = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            of_samples = of_classes[np.searchsorted(self.classes_, y)]
        return of_samples if w is None else w * of_samples

    def _score_outputs(self, y: np.ndarray, A: np.ndarray, sample_weight: np.ndarray | None) -> float:
        if self.n_outputs_ > 1 and not self._multilabel:
            return accuracy_score(np.argmax(y, axis=1), np.argmax(A, axis=1), sample_weight=sample_weight)
        return accuracy_score(y > 0.5, A > 0.5, sample_weight=sample_weight)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
