"""``explain_step`` of the estimators: the step that partial_fit makes next."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import NotFittedError

from xpnet import MLPClassifier, MLPRegressor

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
FEW = {"hidden_layer_sizes": (6, 4), "max_iter": 3, "shuffle": False, "batch_size": 150, "random_state": 0}
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2.0, 150)
ends_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def assert_next_step(mlp, X, y, w=None):
    """The record's new parameters are those that partial_fit makes; the model is not changed by looking."""
    before = [a.copy() for a in (*mlp.coefs_, *mlp.intercepts_)]
    record = mlp.explain_step(X, y, w)
    for a, b in zip((*mlp.coefs_, *mlp.intercepts_), before, strict=True):
        np.testing.assert_array_equal(a, b)
    mlp.partial_fit(X, y, w)
    for k, (W, b) in enumerate(zip(mlp.coefs_, mlp.intercepts_, strict=True), 1):
        np.testing.assert_allclose(record[f"W{k} new"].value, W, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(record[f"b{k} new"].value, b, rtol=1e-12, atol=1e-15)
    assert {q.check.verdict for q in record if q.check is not None} <= {"agrees", "kink"}
    return record


@ends_early
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("w", [None, WEIGHTS], ids=["plain", "weighted"])
def test_a_classifiers_next_step(solver, w):
    mlp = MLPClassifier(solver=solver, activation="tanh", **FEW).fit(X, Y, w)
    record = assert_next_step(mlp, X, Y, w)
    assert "step 4" in record.facts["rule"]
    assert np.linalg.norm(record["m of W1" if solver == "adam" else "v of W1"].value) > 0.0  # the fit's own
    assert {q.check.verdict for q in record if q.check is not None} == {"agrees"}
    assert "c 0.0001" in record["penalty"].equation


@ends_early
def test_two_classes_by_name():
    names = np.asarray(["no", "yes"])[(Y > 0).astype(int)]
    record = assert_next_step(MLPClassifier(**FEW).fit(X, names), X, names)
    assert record["Y"].value.shape == (150, 1)
    assert record["A3"].equation.startswith("A3 = f(Z3), a = 1 / (1 + e^-z)")


@ends_early
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber"])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_a_regressors_next_step(loss, n_targets):
    features, y = make_regression(150, 4, n_targets=n_targets, random_state=0)
    y = np.abs(y) / 100.0
    mlp = MLPRegressor(loss=loss, activation="logistic", **FEW).fit(features, y)
    record = assert_next_step(mlp, features, y)
    assert record["dZ3"].check.verdict == "agrees"  # of the loss that is descended, whatever value is reported


@ends_early
def test_arrays_of_other_libraries(library):
    mlp = MLPClassifier(**FEW).fit(X, Y)
    expected = mlp.explain_step(X, Y, check=False)
    record = mlp.explain_step(library.asarray(X), Y, check=False)
    np.testing.assert_allclose(record["W1 new"].value, expected["W1 new"].value, rtol=1e-10)
    assert all(q.check is None for q in record)


@ends_early
def test_what_is_refused():
    with pytest.raises(NotFittedError):
        MLPClassifier().explain_step(X, Y)
    with pytest.raises(ValueError, match="solver='lbfgs' searches along lines"):
        MLPClassifier(solver="lbfgs", max_iter=2).fit(X, Y).explain_step(X, Y)
    with pytest.raises(ValueError, match="classes not in"):
        MLPClassifier(**FEW).fit(X, Y).explain_step(X, Y + 1)
