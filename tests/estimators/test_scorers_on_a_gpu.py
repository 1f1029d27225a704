"""Scorers get everything on the host, or on the GPU if scikit-learn computes there; never some here and some there."""

import numpy as np
import pytest
from sklearn import config_context
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_score

from xpnet import MLPClassifier, MLPRegressor
from xpnet.backends import get_backend, is_host_data, to_numpy

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]


@pytest.fixture
def data(rng):
    """300 samples of 5 features, 3 classes."""
    X = rng.normal(size=(300, 5))
    return X, np.argmax(X @ rng.normal(size=(5, 3)), axis=1)


@pytest.fixture(params=["host", "GPU"])
def bring(request):
    """Where X is."""
    return (lambda a: a) if request.param == "host" else get_backend("cupy").asarray


def right(estimator, X, y):
    """A user's own scorer, which needs X, y and predictions on one device."""
    found = estimator.predict(X)
    assert is_host_data(X) == is_host_data(y) == is_host_data(found)
    return float((found == y).mean())


@pytest.mark.parametrize("dispatch", [False, True], ids=["", "dispatch"])
@pytest.mark.parametrize("labels", [int, str])
@pytest.mark.parametrize("scoring", ["accuracy", "balanced_accuracy", "neg_log_loss", right])
def test_early_stopping_by_a_scorer(bring, data, scoring, labels, dispatch):
    X, y = data[0], data[1].astype(labels)
    settings = {"early_stopping": True, "scoring": scoring, "max_iter": 3, "random_state": 0}
    theirs = MLPClassifier((8,), **settings).fit(X, y)
    with config_context(array_api_dispatch=dispatch):
        ours = MLPClassifier((8,), backend="cupy", **settings).fit(bring(X), y)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, atol=1e-9)


@pytest.mark.parametrize("dispatch", [False, True], ids=["", "dispatch"])
@pytest.mark.parametrize("scoring", ["accuracy", right])
def test_a_scorer_of_validation_data(bring, data, scoring, dispatch):
    X, y = data
    w = np.linspace(0.5, 1.5, 100)
    settings = {"scoring": scoring, "max_iter": 3, "random_state": 0}
    theirs = MLPClassifier((8,), **settings).fit(X, y, validation_data=(X[:100], y[:100], w))
    with config_context(array_api_dispatch=dispatch):
        ours = MLPClassifier((8,), backend="cupy", **settings)
        ours.fit(bring(X), bring(y), validation_data=(bring(X[:100]), bring(y[:100]), bring(w)))
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, atol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_regressor_is_stopped_by_a_scorer(bring, data, solver):
    X, y = data[0], np.sin(data[0]).sum(axis=1)
    settings = {"early_stopping": True, "scoring": "neg_mean_absolute_error", "max_iter": 3, "random_state": 0}
    theirs = MLPRegressor(hidden_layer_sizes=(8,), solver=solver, **settings).fit(X, y)
    ours = MLPRegressor(hidden_layer_sizes=(8,), solver=solver, backend="cupy", **settings).fit(bring(X), bring(y))
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, atol=1e-9)


@pytest.mark.parametrize("dispatch", [False, True], ids=["", "dispatch"])
@pytest.mark.parametrize("labels", [int, str])
def test_score(bring, data, labels, dispatch):
    X, y = data[0], data[1].astype(labels)
    there, w = bring(X), np.linspace(0.5, 1.5, 300)
    with config_context(array_api_dispatch=dispatch):
        net = MLPClassifier((8,), max_iter=3, random_state=0, backend="cupy").fit(there, y)
        expected = accuracy_score(y, to_numpy(net.predict(there)), sample_weight=w)
        for of_y in (y, bring(y)) if labels is int else (y,):
            assert net.score(there, of_y, w) == net.score(there, of_y, bring(w)) == pytest.approx(expected)


def test_the_score_of_a_regressor(bring, data):
    X, y = data[0], np.sin(data[0]).sum(axis=1)
    there = bring(X)
    net = MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, random_state=0, backend="cupy").fit(there, y)
    residuals = y - to_numpy(net.predict(there))
    expected = 1.0 - (residuals**2).sum() / ((y - y.mean()) ** 2).sum()
    assert net.score(there, y) == pytest.approx(expected)
    assert net.score(there, bring(y)) == pytest.approx(expected)


def test_cross_validation_on_the_gpu(data):
    scores = cross_val_score(MLPClassifier((8,), max_iter=5, random_state=0, backend="cupy"), *data, cv=3)
    expected = cross_val_score(MLPClassifier((8,), max_iter=5, random_state=0), *data, cv=3)
    np.testing.assert_allclose(scores, expected)
