"""``explain_step`` of estimators, and ``explain`` of pipelines and searches: the step that partial_fit makes next."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import MLPClassifier, MLPRegressor, explain

X, Y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
FEW = {"hidden_layer_sizes": (6, 4), "max_iter": 3, "shuffle": False, "batch_size": 150, "random_state": 0}
WEIGHTS = np.random.default_rng(0).uniform(0.5, 2.0, 150)
ends_early = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def assert_next_step(mlp, X, y, w=None):
    """The explanation's new parameters are those that partial_fit makes; the model is not changed by looking."""
    before = [a.copy() for a in (*mlp.coefs_, *mlp.intercepts_)]
    explanation = mlp.explain_step(X, y, w)
    for a, b in zip((*mlp.coefs_, *mlp.intercepts_), before, strict=True):
        np.testing.assert_array_equal(a, b)
    mlp.partial_fit(X, y, w)
    for k, (W, b) in enumerate(zip(mlp.coefs_, mlp.intercepts_, strict=True), 1):
        np.testing.assert_allclose(explanation[f"W{k} new"].value, W, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(explanation[f"b{k} new"].value, b, rtol=1e-12, atol=1e-15)
    assert {q.check.verdict for q in explanation if q.check is not None} <= {"agrees", "kink"}
    return explanation


@ends_early
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("w", [None, WEIGHTS], ids=["plain", "weighted"])
def test_a_classifiers_next_step(solver, w):
    mlp = MLPClassifier(solver=solver, activation="tanh", **FEW).fit(X, Y, w)
    explanation = assert_next_step(mlp, X, Y, w)
    assert "step 4" in explanation.facts["rule"]
    assert np.linalg.norm(explanation["m of W1" if solver == "adam" else "v of W1"].value) > 0.0  # the fit's own
    assert {q.check.verdict for q in explanation if q.check is not None} == {"agrees"}
    assert "c 0.0001" in explanation["penalty"].equation


@ends_early
def test_two_classes_by_name():
    names = np.asarray(["no", "yes"])[(Y > 0).astype(int)]
    explanation = assert_next_step(MLPClassifier(**FEW).fit(X, names), X, names)
    assert explanation["Y"].value.shape == (150, 1)
    assert explanation["A3"].equation.startswith("A3 = f(Z3), a = 1 / (1 + e^-z)")


@ends_early
@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber"])
@pytest.mark.parametrize("n_targets", [1, 2])
def test_a_regressors_next_step(loss, n_targets):
    features, y = make_regression(150, 4, n_targets=n_targets, random_state=0)
    y = np.abs(y) / 100.0
    mlp = MLPRegressor(loss=loss, activation="logistic", **FEW).fit(features, y)
    explanation = assert_next_step(mlp, features, y)
    assert explanation["dZ3"].check.verdict == "agrees"  # of the loss that is descended, whatever value is reported


@ends_early
def test_arrays_of_other_libraries(library):
    mlp = MLPClassifier(**FEW).fit(X, Y)
    expected = mlp.explain_step(X, Y, check=False)
    explanation = mlp.explain_step(library.asarray(X), Y, check=False)
    np.testing.assert_allclose(explanation["W1 new"].value, expected["W1 new"].value, rtol=1e-10)
    assert all(q.check is None for q in explanation)


@ends_early
def test_what_is_refused():
    with pytest.raises(NotFittedError):
        MLPClassifier().explain_step(X, Y)
    with pytest.raises(ValueError, match="solver='lbfgs' searches along lines"):
        MLPClassifier(solver="lbfgs", max_iter=2).fit(X, Y).explain_step(X, Y)
    with pytest.raises(ValueError, match="classes not in"):
        MLPClassifier(**FEW).fit(X, Y).explain_step(X, Y + 1)


@ends_early
def test_explain_opens_pipelines_and_searches():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**FEW)).fit(3.0 * X, Y)
    expected = pipeline[-1].explain_step(pipeline[:-1].transform(3.0 * X), Y, WEIGHTS, check=False)
    assert explain(pipeline, 3.0 * X, Y, WEIGHTS, check=False).json() == expected.json()
    pipeline.set_params(mlpclassifier__batch_size=50)
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1]}, cv=2).fit(3.0 * X, Y)
    assert "c 0.1" in explain(search, 3.0 * X, Y, check=False)["penalty"].equation
    assert explain(pipeline[-1], X, Y).json() == pipeline[-1].explain_step(X, Y).json()


@ends_early
def test_explain_sees_a_target_as_the_network_does():
    features, y = make_regression(150, 4, random_state=0)
    inner = make_pipeline(StandardScaler(), MLPRegressor(**FEW))
    model = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(features, y)
    explanation = explain(model, features, y)
    np.testing.assert_allclose(explanation["Y"].value[:, 0], (y - y.mean()) / y.std())
    assert {q.check.verdict for q in explanation if q.check is not None} == {"agrees"}


@ends_early
def test_explain_refuses_what_an_estimator_decides_itself():
    mlp = MLPClassifier(**FEW).fit(X, Y)
    for option in ({"clip_norm": 1.0}, {"backend": "numpy"}):
        with pytest.raises(ValueError, match="are for a Model, and model is a MLPClassifier"):
            explain(mlp, X, Y, **option)
    with pytest.raises(ValueError, match="there is no network of xpnet in this LogisticRegression"):
        explain(LogisticRegression().fit(X, Y), X, Y)
    with pytest.raises(NotFittedError):
        explain(make_pipeline(StandardScaler(), MLPClassifier()), X, Y)
