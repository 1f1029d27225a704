"""The estimators against scikit-learn's own: the same seed gives the same numbers, and its checks pass."""

import inspect
import itertools
import os
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context, neural_network as scikit_learns
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import xpnet
import xpnet.program.numpy

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def digits():
    X, y = load_digits(return_X_y=True)
    return StandardScaler().fit_transform(X)[:600], y[:600]


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(X), (y - y.mean()) / y.std()


def multilabel():
    X, y = make_multilabel_classification(300, random_state=0)
    return StandardScaler().fit_transform(X), y


def both(name, X, y, sample_weight=None, **params):
    theirs = getattr(scikit_learns, name)(**params).fit(X, y, sample_weight)
    ours = getattr(xpnet, name)(**params).fit(X, y, sample_weight)
    return theirs, ours


def assert_same(theirs, ours, atol=1e-10):
    for a, b in zip(theirs.coefs_ + theirs.intercepts_, ours.coefs_ + ours.intercepts_, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=atol)
        assert a.dtype == b.dtype
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "n_features_in_", "out_activation_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("loss_", "best_loss_", "best_validation_score_", "validation_scores_"):
        expected = getattr(theirs, name)
        assert (getattr(ours, name) is None) == (expected is None), name
        if expected is not None:
            np.testing.assert_allclose(getattr(ours, name), expected, rtol=1e-9, err_msg=name)


CLASSIFIERS = {
    "defaults": {},
    "tanh, two layers": {"activation": "tanh", "hidden_layer_sizes": (20, 10), "alpha": 0.1},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "logistic, momentum": {"activation": "logistic", "solver": "sgd", "learning_rate_init": 0.1},
    "plain descent": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05, "activation": "identity"},
    "no nesterov, unshuffled": {"solver": "sgd", "nesterovs_momentum": False, "shuffle": False},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.3},
    "early stopping": {"early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.01},
    "small batches": {"batch_size": 17, "solver": "sgd", "learning_rate_init": 0.01},
}


@pytest.mark.parametrize("params", CLASSIFIERS.values(), ids=CLASSIFIERS)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_classifier_trains_to_the_last_digit(params, weighted):
    X, y = digits()
    w = np.random.default_rng(0).uniform(0.0, 2.0, len(y)) if weighted else None
    theirs, ours = both("MLPClassifier", X, y, w, max_iter=12, random_state=3, **params)
    assert_same(theirs, ours)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-10)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.score(X, y) == theirs.score(X, y)


def test_adaptive_learning_rate_falls_and_ends_training_at_the_same_epoch():
    X, y = digits()
    params = {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "learning_rate_init": 0.2,
        "n_iter_no_change": 1,
        "tol": 1e-2,
    }
    theirs, ours = both("MLPClassifier", X, y, max_iter=300, random_state=0, activation="tanh", **params)
    assert theirs.n_iter_ < 300
    assert_same(theirs, ours)


@pytest.mark.parametrize("labels", [np.array(["no", "yes"]), np.array([-3, 7]), np.array([False, True])], ids=str)
def test_two_classes(labels):
    X, y = digits()
    theirs, ours = both("MLPClassifier", X, labels[(y == 3).astype(int)], max_iter=5, random_state=0)
    assert_same(theirs, ours)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-6)


def test_multilabel():
    X, y = multilabel()
    theirs, ours = both("MLPClassifier", X, y, max_iter=20, random_state=0)
    assert_same(theirs, ours)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-12)


REGRESSORS = {
    "defaults": {},
    "early stopping": {"early_stopping": True, "learning_rate_init": 0.01, "max_iter": 60},
    "momentum": {"solver": "sgd", "activation": "logistic", "learning_rate_init": 0.01},
    "poisson": {"loss": "poisson", "activation": "tanh"},
}


@pytest.mark.parametrize("params", REGRESSORS.values(), ids=REGRESSORS)
@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_regressor_trains_to_the_last_digit(params, n_outputs, weighted):
    X, y = diabetes()
    y = np.exp(y) if params.get("loss") == "poisson" else y
    y = y if n_outputs == 1 else np.stack([y, y**2], axis=1)
    w = np.random.default_rng(0).uniform(0.0, 2.0, len(y)) if weighted else None
    theirs, ours = both("MLPRegressor", X, y, w, random_state=1, **{"max_iter": 15, **params})
    assert_same(theirs, ours)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-10)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_partial_fit_goes_on_with_the_optimizer(solver):
    X, y = digits()
    theirs = scikit_learns.MLPClassifier(solver=solver, random_state=0)
    ours = xpnet.MLPClassifier(solver=solver, random_state=0)
    for batch in np.split(np.arange(600), 6):
        theirs.partial_fit(X[batch], y[batch], classes=np.arange(10))
        ours.partial_fit(X[batch], y[batch], classes=np.arange(10))
    assert_same(theirs, ours)


def test_warm_start():
    X, y = digits()
    params = {"warm_start": True, "max_iter": 3, "random_state": 0}
    theirs, ours = both("MLPClassifier", X, y, **params)
    assert_same(theirs.fit(X, y), ours.fit(X, y))


LBFGS = {
    "defaults": {},
    "logistic, two layers": {"activation": "logistic", "hidden_layer_sizes": (20, 10), "alpha": 0.1},
    "no hidden layer": {"hidden_layer_sizes": (), "activation": "identity"},
    "tanh": {"activation": "tanh", "hidden_layer_sizes": 15},
}


@pytest.mark.parametrize("params", LBFGS.values(), ids=LBFGS)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("name", ["digits", "diabetes", "counts", "two targets", "multilabel"])
def test_lbfgs_makes_the_same_ten_iterations(name, weighted, params):
    X, y = {"digits": digits, "multilabel": multilabel}.get(name, diabetes)()
    estimator = "MLPClassifier" if name in ("digits", "multilabel") else "MLPRegressor"
    if name == "counts":
        y, params = np.floor(np.exp(y)), {**params, "loss": "poisson"}
    if name == "two targets":
        y = np.stack([y, X[:, 0] * X[:, 1]], axis=1)
    w = np.random.default_rng(0).uniform(0.0, 2.0, len(y)) if weighted else None
    theirs, ours = both(estimator, X, y, w, solver="lbfgs", max_iter=10, random_state=3, **params)
    for a, b in zip(theirs.coefs_ + theirs.intercepts_, ours.coefs_ + ours.intercepts_, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=1e-6)
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
    for attribute in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    assert len(ours.loss_curve_) == ours.n_iter_  # of which scikit-learn keeps nothing
    assert ours.loss_curve_[-1] == ours.loss_ == ours.best_loss_


@pytest.mark.parametrize("params", LBFGS.values(), ids=LBFGS)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
def test_lbfgs_cost_and_gradient_are_scikit_learns(params, weighted):
    X, y = digits()
    w = np.random.default_rng(0).uniform(0.1, 2.0, len(y)) if weighted else None
    theirs, ours = both("MLPClassifier", X, y, w, solver="lbfgs", max_iter=1, random_state=3, **params)
    Y = np.eye(10)[y]
    shapes = [a.shape for a in theirs.coefs_ + theirs.intercepts_]
    theta = np.random.default_rng(1).normal(scale=0.2, size=sum(map(np.prod, shapes)))
    lists = [[X] + [None] * len(theirs.coefs_)] + [[None] * len(theirs.coefs_) for _ in range(3)]
    expected, expected_gradient = theirs._loss_grad_lbfgs(theta, X, Y, w, *lists)
    cost, gradient = ours._loss_grad_lbfgs(theta, X, Y, w)
    assert cost == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-12)


def test_lbfgs_warm_start_and_float32():
    X, y = digits()
    params = {"solver": "lbfgs", "warm_start": True, "max_iter": 4, "random_state": 0}
    theirs, ours = both("MLPClassifier", X, y, **params)
    theirs.fit(X, y), ours.fit(X, y)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=0, atol=1e-6)
    assert ours.n_iter_ == theirs.n_iter_
    theirs, ours = both("MLPClassifier", X.astype(np.float32), y, **params)
    assert ours.coefs_[0].dtype == theirs.coefs_[0].dtype == np.float64  # SciPy's search is in float64
    assert ours.predict_proba(X.astype(np.float32)).dtype == np.float64
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=0, atol=1e-4)
    narrow = xpnet.MLPClassifier(**params, precision="float32").fit(X, y)
    assert narrow.coefs_[0].dtype == narrow.predict_proba(X).dtype == np.float32
    _, ours = both("MLPClassifier", X, y, **params)
    ours.set_params(solver="adam", max_iter=2).fit(X, y)
    assert len(ours.loss_curve_) == 2


@pytest.mark.parametrize("estimator", [xpnet.MLPClassifier, xpnet.MLPRegressor])
def test_lbfgs_has_no_partial_fit(estimator):
    model = estimator(solver="lbfgs")
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError) as caught:
        model.partial_fit([[1.0]], [1.0])
    assert "lbfgs is not stochastic" in str(caught.value.__cause__)
    assert hasattr(model.set_params(solver="sgd"), "partial_fit")


def test_partial_fit_after_lbfgs_begins_with_a_new_optimizer():
    X, y = digits()
    theirs, ours = both("MLPClassifier", X, y, solver="lbfgs", max_iter=3, random_state=0)
    for model in (theirs, ours):
        model.set_params(solver="adam")
    theirs.loss_curve_, theirs.best_loss_, theirs._no_improvement_count = [], np.inf, 0  # without which it can't
    theirs.validation_scores_ = theirs.best_validation_score_ = None
    assert_same(theirs.partial_fit(X, y), ours.partial_fit(X, y), atol=1e-6)


def test_interrupting_lbfgs_keeps_the_parameters_of_the_last_iteration(monkeypatch):
    X, y = digits()
    for evaluation in (2, 7, 12):
        model = xpnet.MLPClassifier(solver="lbfgs", random_state=0)
        with monkeypatch.context() as patch:
            interrupt_at_evaluation(patch, evaluation)
            with pytest.raises(KeyboardInterrupt):
                model.fit(X, y)
        if model.loss_curve_:  # scikit-learn keeps a trial of the line search, which may be a worse place
            cost, _ = model._loss_grad_lbfgs(model._theta(xpnet.get_backend(), X), X, np.eye(10)[y])
            assert cost == pytest.approx(model.loss_curve_[-1], rel=1e-12)
        assert model.predict(X).shape == y.shape


OURS = ((xpnet.model.Model, "sums"), (xpnet.program.numpy.Replay, "__call__"))
"""What computes gradients: the definition, and a replay of it."""


def interrupt_at_evaluation(monkeypatch, n, methods=OURS):
    """Ctrl-C while the n-th gradient is computed."""
    calls = []

    def interrupted(function):
        def call(self, *arguments):
            is_recorded = isinstance(arguments[0], xpnet.program.recorder.Recorded) if arguments else False
            calls.extend([] if is_recorded else [1])
            value = function(self, *arguments)
            if len(calls) == n:
                raise KeyboardInterrupt
            return value

        return call

    for home, name in methods:
        monkeypatch.setattr(home, name, interrupted(getattr(home, name)))


def test_digits_five_splits_are_at_least_as_accurate():
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    scores = {"theirs": [], "ours": []}
    for seed in range(5):
        X_train, X_test, y_train, y_test = train_test_split(X / 16.0, y, test_size=0.25, stratify=y, random_state=seed)
        theirs, ours = both("MLPClassifier", X_train, y_train, max_iter=40, random_state=seed, learning_rate_init=0.01)
        scores["theirs"].append(theirs.score(X_test, y_test))
        scores["ours"].append(ours.score(X_test, y_test))
    assert np.mean(scores["ours"]) >= np.mean(scores["theirs"]) - 1e-12
    assert np.mean(scores["ours"]) > 0.97


def test_float32_stays():
    X, y = digits()
    theirs, ours = both("MLPClassifier", X.astype(np.float32), y, max_iter=3, random_state=0)
    assert_same_float32(theirs, ours)


def assert_same_float32(theirs, ours):
    for a, b in zip(theirs.coefs_, ours.coefs_, strict=True):
        assert b.dtype == np.float32 == a.dtype
        np.testing.assert_allclose(b, a, atol=2e-3)  # Adam's first steps are +-rate: a last bit may flip one
    assert ours.predict_proba(np.zeros((1, 64), np.float32)).dtype == np.float32


def test_verbose_text_is_the_same(capsys):
    X, y = digits()
    for early_stopping, verbose in itertools.product([False, True], [True, 1]):
        texts = []
        for home in (scikit_learns, xpnet):
            params = {"early_stopping": early_stopping, "n_iter_no_change": 1, "tol": 0.02, "solver": "sgd"}
            home.MLPClassifier(verbose=verbose, random_state=0, max_iter=30, learning_rate_init=0.1, **params).fit(X, y)
            texts.append(capsys.readouterr().out)
        assert texts[0] == texts[1] != ""


@pytest.mark.parametrize(
    "params", [{}, {"solver": "lbfgs"}, {"solver": "lbfgs", "max_fun": 3, "max_iter": 50}], ids=str
)
def test_the_message_at_the_limits_is_the_same(params, capsys):
    X, y = digits()
    messages = []
    for home in (scikit_learns, xpnet):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            home.MLPClassifier(**{"max_iter": 1, "verbose": True, "random_state": 0, **params}).fit(X, y)
        messages.append([(str(w.message), w.category) for w in caught] + [capsys.readouterr().out])
    assert messages[0] == messages[1]
    assert messages[0][0][1] is ConvergenceWarning


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interrupting_keeps_what_scikit_learn_keeps_and_says(early_stopping, monkeypatch):
    X, y = digits()
    params = {"random_state": 0, "max_iter": 9, "batch_size": 100, "early_stopping": early_stopping}
    at = 3 * 6 + 2  # of six batches an epoch: in the fourth epoch
    models = []
    for home, methods in ((scikit_learns, [(scikit_learns.MLPClassifier, "_backprop")]), (xpnet, OURS)):
        model = home.MLPClassifier(**params)
        interrupt_at_evaluation(monkeypatch, at, methods)
        with pytest.warns(UserWarning, match=r"^Training interrupted by user\.$"):
            model.fit(X, y)
        monkeypatch.undo()
        models.append(model)
    theirs, ours = models
    assert ours.n_iter_ == theirs.n_iter_ == 3
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-10)
    if early_stopping:
        assert_same(theirs, ours)
    whole = xpnet.MLPClassifier(**{**params, "max_iter": 3}).fit(X, y)  # ours ends with the last whole epoch
    for a, b in zip(whole.coefs_, ours.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


def test_sparse_labels_are_predicted_sparse():
    X, Y = multilabel()
    theirs, ours = both("MLPClassifier", X, sparse.csr_matrix(Y), max_iter=5, random_state=0)
    expected, predicted = theirs.predict(X), ours.predict(X)
    assert sparse.issparse(predicted)
    assert type(predicted) is type(expected)
    np.testing.assert_array_equal(predicted.toarray(), expected.toarray())


def test_pipelines_searches_and_clones_agree():
    X, y = digits()
    found = []
    for home in (scikit_learns, xpnet):
        model = home.MLPClassifier(hidden_layer_sizes=8, max_iter=5, random_state=0, learning_rate_init=0.01)
        steps = make_pipeline(StandardScaler(), clone(model))
        grid = {"mlpclassifier__alpha": [1e-4, 1.0], "mlpclassifier__solver": ["adam", "lbfgs"]}
        found.append(GridSearchCV(steps, grid, cv=3, n_jobs=2).fit(X, y))
    for name in ("mean_test_score", "rank_test_score"):
        np.testing.assert_allclose(found[1].cv_results_[name], found[0].cv_results_[name], atol=0.01)
    assert found[1].best_params_ == found[0].best_params_
    np.testing.assert_allclose(found[1].predict_proba(X), found[0].predict_proba(X), atol=1e-6)


def test_sample_weights_are_routed():
    X, y = digits()
    w = np.random.default_rng(0).uniform(size=len(y))
    weights = []
    with config_context(enable_metadata_routing=True):
        for home in (scikit_learns, xpnet):
            model = home.MLPClassifier(hidden_layer_sizes=8, max_iter=5, random_state=0)
            for method in ("fit", "partial_fit", "score"):
                getattr(model, f"set_{method}_request")(sample_weight=True)
            steps = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model)
            scores = cross_validate(steps, X, y, params={"sample_weight": w}, cv=3, return_estimator=True)
            weights.append((scores["test_score"], scores["estimator"][0][-1].coefs_[0]))
    np.testing.assert_allclose(weights[1][0], weights[0][0], atol=1e-12)
    np.testing.assert_allclose(weights[1][1], weights[0][1], atol=1e-10)


def test_other_feature_names_than_fits_are_refused_alike():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = digits()
    table = pandas.DataFrame(X, columns=[f"pixel {j}" for j in range(64)])
    said = []
    for home in (scikit_learns, xpnet):
        model = home.MLPClassifier(hidden_layer_sizes=4, max_iter=2).fit(table, y)
        with pytest.raises(ValueError, match="feature names") as error:
            model.predict(table.rename(columns={"pixel 0": "pixel 64"}))
        with pytest.warns(UserWarning, match="feature names") as caught:
            model.predict(X)
        said.append((str(error.value), str(caught[0].message), list(model.feature_names_in_)))
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_the_signatures_are_scikit_learns_and_keyword_arguments_more(name):
    theirs, ours = getattr(scikit_learns, name), getattr(xpnet, name)
    expected, given = (dict(inspect.signature(c.__init__).parameters) for c in (theirs, ours))
    for more in set(given) - set(expected):
        assert given.pop(more).kind is inspect.Parameter.KEYWORD_ONLY
    assert [(p.name, p.kind, p.default) for p in given.values()] == [
        (p.name, p.kind, p.default) for p in expected.values()
    ]
    public = {n for n in dir(theirs) if not n.startswith("_")}
    assert public <= set(dir(ours))
    for method in ("fit", "partial_fit", "predict", "score"):
        arguments = [list(inspect.signature(getattr(c, method)).parameters) for c in (theirs, ours)]
        assert arguments[0] == arguments[1][: len(arguments[0])], method
        more = list(inspect.signature(getattr(ours, method)).parameters.values())[len(arguments[0]) :]
        assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in more), method


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(os.environ.get("XPNET_REPLAY", "on") != "on", reason="the checks ran with the lowerings on")
@parametrize_with_checks([xpnet.MLPClassifier(max_iter=20), xpnet.MLPRegressor(max_iter=20)])
def test_scikit_learns_estimator_checks(estimator, check, require_gpu):
    if getattr(check, "keywords", {}).get("array_namespace") == "cupy":
        require_gpu()
    check(estimator)
