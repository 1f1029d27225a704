"""y as targets, their loss and their score, without a network."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, r2_score
from sklearn.preprocessing import LabelBinarizer

from xpnet import MLPClassifier
from xpnet.equations.losses import (
    BinaryCrossEntropy,
    CrossEntropy,
    HalfPoissonDeviance,
    HalfSquaredError,
    Huber,
    Quantile,
)
from xpnet.estimators.targets import Labels, Numbers, ReportedPerOutput


def labels_of(y, **class_weight):
    binarizer = LabelBinarizer().fit(y)
    return Labels(binarizer, binarizer.classes_, **class_weight)


TEXT = ["b", "a", "c", "a"]


@pytest.mark.parametrize("y", [[3, 1, 2, 3], [False, True], TEXT, np.array(TEXT, object), [1.0, 2.0, 7.0]], ids=repr)
def test_labels_are_columns_of_0_and_1(y):
    y = np.asarray(y)
    labels = labels_of(y)
    Y = labels.encode(y)
    assert Y.dtype == bool
    np.testing.assert_array_equal(Y, LabelBinarizer().fit_transform(y).astype(bool))
    np.testing.assert_array_equal(labels.encode(y[:, None]), Y)


def test_unknown_labels_are_refused():
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`"):
        labels_of(np.arange(3)).encode(np.array([0, 3]))


def test_the_loss_follows_from_the_outputs():
    assert labels_of(np.arange(3)).loss(3) == CrossEntropy()
    assert labels_of(np.arange(2)).loss(1) == BinaryCrossEntropy()
    several = labels_of(np.eye(3, dtype=int))
    assert several.is_multilabel
    assert several.loss(3) == BinaryCrossEntropy()
    assert Numbers("poisson").loss(2) == HalfPoissonDeviance()
    assert Numbers("huber").loss(1) == Huber()
    assert Numbers(Quantile(0.9)).loss(1) == Quantile(0.9)
    assert Numbers("squared_error").loss(1) == HalfSquaredError()
    with pytest.raises(ValueError, match=r"^loss is 'mse'; allowed: 'squared_error', 'poisson'"):
        Numbers("mse").loss(1)


def test_the_reported_loss_is_a_mean_and_its_gradient_a_sums(rng):
    Z, Y = rng.normal(size=(2, 5, 3))
    reported, descended = (loss.per_element(Z, Y) for loss in (Numbers("squared_error").loss(3), HalfSquaredError()))
    np.testing.assert_array_equal(reported[0], descended[0] / 3)
    np.testing.assert_array_equal(reported[1], descended[1])
    assert ReportedPerOutput().descended == HalfSquaredError()


def test_class_weights_multiply_the_samples_weights():
    y, w = np.array([0, 1, 1, 1]), np.array([1.0, 2.0, 1.0, 1.0])
    assert labels_of(y).weigh(y, w) is w
    np.testing.assert_allclose(labels_of(y, class_weight="balanced").weigh(y, None), [2.0, 2 / 3, 2 / 3, 2 / 3])
    by_dict = labels_of(y, class_weight={0: 3.0, 1: 0.5})
    np.testing.assert_allclose(by_dict.weigh(y, w), [3.0, 1.0, 0.5, 0.5])
    np.testing.assert_allclose(by_dict.weigh(y[1:], None, is_part=True), [0.5] * 3)
    with pytest.raises(ValueError, match=r"'balanced', which partial_fit can't know"):
        labels_of(y, class_weight="balanced").weigh(y, None, is_part=True)
    assert Numbers("huber").weigh(y, w) is w


def test_scores_are_scikit_learns(rng):
    y, A, w = rng.integers(3, size=20), rng.uniform(size=(20, 3)), rng.uniform(size=20)
    labels = labels_of(np.arange(3))
    assert labels.score(labels.encode(y), A, w) == accuracy_score(y, A.argmax(axis=1), sample_weight=w)
    two = labels_of(np.arange(2))
    assert two.score(two.encode(y > 1), A[:, :1], None) == accuracy_score(y > 1, A[:, 0] > 0.5)
    several, Y = labels_of(np.eye(3, dtype=int)), A > 0.3
    assert several.score(Y, A, None) == accuracy_score(Y, A > 0.5)
    assert Numbers("huber").score(A, A + 0.1, w) == r2_score(A, A + 0.1, sample_weight=w)


def test_strata_of_a_split():
    assert labels_of(np.arange(3)).strata(np.eye(3)) is None
    assert Numbers("huber").strata(np.ones((3, 1))) is None
    Y = np.array([[True], [False]])
    assert labels_of(np.arange(2)).strata(Y) is Y


def test_numbers_are_checked():
    numbers = Numbers("poisson")
    np.testing.assert_array_equal(numbers.encode(np.arange(3)), [[0], [1], [2]])
    for wrong, message in ((["a"], "dtype"), ([np.nan], "NaN"), ([-1.0], "y >= 0")):
        with pytest.raises(ValueError, match=message):
            numbers.encode(np.asarray(wrong))


def test_a_classifier_learns_labels_once_or_afresh():
    classifier = MLPClassifier()
    Labels.learn(classifier, np.array([2, 0, 2]), is_part=False)
    np.testing.assert_array_equal(classifier.classes_, [0, 2])
    Labels.learn(classifier, np.array([0]), is_part=True)
    np.testing.assert_array_equal(classifier.classes_, [0, 2])
    classifier.set_params(warm_start=True)
    with pytest.raises(ValueError, match="warm_start can only be used"):
        Labels.learn(classifier, np.array([0, 1]), is_part=False)
    assert Labels.of(classifier).classes is classifier.classes_
