"""The estimators on every library, and what they do with bad input."""

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn import config_context, neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

import xpnet
from xpnet import DivergedError, MLPClassifier, MLPRegressor
from xpnet.equations.losses import Quantile
from xpnet.estimators.history import History

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def iris():
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


@pytest.mark.parametrize(
    "labels", [np.array([0, 1, 2]), np.array(["setosa", "versicolor", "virginica"])], ids=["int", "text"]
)
def test_classifier_follows_X(library, labels):
    X, y = iris()
    on_host = MLPClassifier(hidden_layer_sizes=8, max_iter=8, random_state=0).fit(X, labels[y])
    there = MLPClassifier(hidden_layer_sizes=8, max_iter=8, random_state=0)
    X_there = library.asarray(X)
    there.fit(X_there, labels[y])
    assert all(library.owns(a) for a in there.coefs_ + there.intercepts_)
    np.testing.assert_allclose(library.to_numpy(there.coefs_[0]), on_host.coefs_[0], atol=1e-9)
    P = there.predict_proba(X_there)
    assert library.owns(P)
    np.testing.assert_allclose(library.to_numpy(P), on_host.predict_proba(X), atol=1e-9)
    log_P = there.predict_log_proba(X_there)
    np.testing.assert_allclose(library.to_numpy(log_P), np.log(library.to_numpy(P)), atol=1e-9)
    predicted = there.predict(X_there)
    assert library.owns(predicted) or labels.dtype.kind == "U"
    np.testing.assert_array_equal(library.to_numpy(predicted), on_host.predict(X))
    np.testing.assert_array_equal(there.predict(X), on_host.predict(X))  # fitted there, predicting on the host
    assert there.loss_curve_ == pytest.approx(on_host.loss_curve_, rel=1e-9)


def test_regressor_follows_X_and_y_moves_to_it(library):
    X, _ = iris()
    y = X[:, 0] * X[:, 1]
    on_host = MLPRegressor(hidden_layer_sizes=8, max_iter=8, random_state=0, early_stopping=True).fit(X, y)
    there = MLPRegressor(hidden_layer_sizes=8, max_iter=8, random_state=0, early_stopping=True)
    w = library.asarray(np.ones(len(y)))
    there.fit(library.asarray(X), library.asarray(y), sample_weight=w)
    predicted = there.predict(library.asarray(X))
    assert library.owns(predicted)
    np.testing.assert_allclose(library.to_numpy(predicted), on_host.predict(X), atol=1e-9)


def test_partial_fit_on_every_library(library):
    X, y = iris()
    on_host = MLPClassifier(hidden_layer_sizes=8, random_state=0)
    there = MLPClassifier(hidden_layer_sizes=8, random_state=0)
    for _ in range(3):
        on_host.partial_fit(X, y, classes=[0, 1, 2])
        there.partial_fit(library.asarray(X), y, classes=[0, 1, 2])
    np.testing.assert_allclose(library.to_numpy(there.coefs_[0]), on_host.coefs_[0], atol=1e-9)


@pytest.mark.gpu
def test_host_data_on_the_gpu():
    X, y = iris()
    on_host = MLPClassifier(hidden_layer_sizes=8, max_iter=8, random_state=0).fit(X, y)
    on_gpu = MLPClassifier(hidden_layer_sizes=8, max_iter=8, random_state=0, backend="cupy").fit(X, y)
    assert all(isinstance(a, np.ndarray) for a in on_gpu.coefs_)
    np.testing.assert_allclose(on_gpu.coefs_[0], on_host.coefs_[0], atol=1e-9)


def test_log_probabilities_stay_finite_where_probabilities_round_to_zero():
    X, y = np.array([[-1.0], [1.0]], np.float32), np.array([0, 1])
    model = MLPClassifier(hidden_layer_sizes=(), max_iter=1).fit(X, y)
    model.coefs_, model.intercepts_ = [np.array([[200.0]], np.float32)], [np.zeros(1, np.float32)]
    assert model.predict_log_proba(X)[0, 1] == -200.0
    assert model.predict_proba(X)[0, 1] < 1e-37


def test_coefs_set_by_hand_are_used():
    X, y = iris()
    model = MLPClassifier(hidden_layer_sizes=(), max_iter=1).fit(X, y)
    model.coefs_ = [np.zeros_like(model.coefs_[0])]
    model.intercepts_ = [np.array([0.0, 5.0, 0.0])]
    assert (model.predict(X) == 1).all()


def test_clone_pickle_and_grid_search_keep_the_backend():
    X, y = iris()
    model = MLPClassifier(hidden_layer_sizes=4, max_iter=5, random_state=0, backend="cpu")
    assert clone(model).backend == "cpu"
    model.fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    search = GridSearchCV(model, {"alpha": [1e-4, 1.0]}, cv=2, n_jobs=1).fit(X, y)
    assert search.best_estimator_.backend == "cpu"


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_a_saved_model_holds_host_arrays_alone(library, solver, tmp_path):
    X, y = iris()
    X_there = library.asarray(X)
    model = MLPClassifier(hidden_layer_sizes=4, max_iter=5, random_state=0, solver=solver).fit(X_there, y)
    joblib.dump(model, tmp_path / "model.joblib")
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib")):
        assert all(isinstance(a, np.ndarray) for a in again.coefs_ + again.intercepts_)
        P, expected = (library.to_numpy(m.predict_proba(X_there)) for m in (again, model))
        np.testing.assert_array_equal(P, expected)
        if solver != "lbfgs":  # training goes on, with the slots, where it stood
            there, here = model.partial_fit(X_there, y), again.partial_fit(X, y)
            np.testing.assert_allclose(here.coefs_[0], library.to_numpy(there.coefs_[0]), atol=1e-12)
        model = MLPClassifier(hidden_layer_sizes=4, max_iter=5, random_state=0, solver=solver).fit(X_there, y)


def test_a_model_loads_where_its_library_is_missing(tmp_path):
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    X, y = iris()
    model = MLPClassifier(hidden_layer_sizes=4, max_iter=5, random_state=0).fit(strict.asarray(X), y)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    program = """
import pickle, sys
sys.modules["array_api_strict"] = None  # as if it were not installed
model = pickle.load(open("model.pickle", "rb"))
print(model.predict_proba([[0.0, 0.0, 0.0, 0.0]])[0, 0], model.partial_fit([[0.0] * 4], [0]).t_)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    probability, t = done.stdout.split()
    assert float(probability) == pytest.approx(model.predict_proba(np.zeros((1, 4)))[0, 0], rel=1e-12)
    assert int(t) == model.t_ + 1


def test_one_class_is_predicted_always():
    X, _ = iris()
    for y in (np.full(150, "all"), np.full(150, 7)):
        model = MLPClassifier(hidden_layer_sizes=3, max_iter=3, random_state=0, early_stopping=True).fit(X, y)
        theirs = neural_network.MLPClassifier(hidden_layer_sizes=3, max_iter=3, random_state=0, early_stopping=True)
        np.testing.assert_allclose(model.predict_proba(X), theirs.fit(X, y).predict_proba(X), atol=1e-12)
        model.intercepts_[-1][:] = 5.0  # a probability above 1/2 of a second class that there isn't
        np.testing.assert_array_equal(model.predict(X), y)


def test_dispatch_on_refuses_another_library_than_fits(library):
    X, y = iris()
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=3).fit(library.asarray(X), y)
    with config_context(array_api_dispatch=True):
        assert library.owns(model.predict(library.asarray(X)))
        if library.backend.name != "numpy":
            with pytest.raises(ValueError, match=r"MLPRegressor.predict\(\) must use the same namespace"):
                model.predict(X)


SPARSE = {
    "csr_matrix": sparse.csr_matrix,
    "csc_matrix": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "64-bit indices": lambda X: with_index_dtype(sparse.csr_array(X), np.int64),
    "32-bit indices": lambda X: with_index_dtype(sparse.csc_array(X), np.int32),
}


def with_index_dtype(X, dtype):
    X.indices, X.indptr = X.indices.astype(dtype), X.indptr.astype(dtype)
    return X


@pytest.mark.parametrize("form", SPARSE.values(), ids=SPARSE)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse_X_gives_scikit_learns_numbers(form, solver):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 40)) * (rng.uniform(size=(200, 40)) < 0.1)
    y = (X[:, :8].sum(axis=1) > 0).astype(int) + (X[:, 8:20].sum(axis=1) > 0)
    S, w = form(X), rng.uniform(size=200)
    early = {} if solver == "lbfgs" else {"early_stopping": True}
    for estimator in ("MLPClassifier", "MLPRegressor"):
        params = {"solver": solver, "max_iter": 8, "random_state": 0, "hidden_layer_sizes": (20, 10), **early}
        theirs = getattr(neural_network, estimator)(**params).fit(S, y, w)
        ours = globals()[estimator](**params).fit(S, y, w)
        for a, b in zip(theirs.coefs_ + theirs.intercepts_, ours.coefs_ + ours.intercepts_, strict=True):
            np.testing.assert_allclose(b, a, rtol=0, atol=1e-10)
        np.testing.assert_allclose(ours.predict(S), theirs.predict(S), rtol=0, atol=1e-10)
        np.testing.assert_allclose(ours.predict(X), ours.predict(S), rtol=0, atol=1e-10)
        if solver != "lbfgs":
            for model in (theirs, ours):
                model.set_params(early_stopping=False, max_iter=2).fit(S, y).partial_fit(S, y, w)
            np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=0, atol=1e-10)


@pytest.mark.gpu
def test_sparse_X_of_the_host_on_the_gpu_names_the_fix():
    with pytest.raises(TypeError, match=r"X.toarray\(\)"):
        MLPRegressor(max_iter=2, backend="cupy").fit(sparse.csr_array(np.eye(5)), np.arange(5.0))


@pytest.mark.gpu
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_sparse_X_of_the_gpu_gives_the_numbers_of_dense_X(solver):
    import cupy
    from cupyx.scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 40)) * (rng.uniform(size=(200, 40)) < 0.1)
    y = (X[:, :8].sum(axis=1) > 0).astype(int)
    model = MLPClassifier(hidden_layer_sizes=10, solver=solver, max_iter=8, random_state=0)
    S = csr_matrix(cupy.asarray(X))
    there = clone(model).fit(S, y)
    on_host = clone(model).fit(X, y)
    assert all(isinstance(a, cupy.ndarray) for a in there.coefs_)
    np.testing.assert_allclose(there.coefs_[0].get(), on_host.coefs_[0], atol=1e-9)
    np.testing.assert_allclose(there.predict_proba(S).get(), on_host.predict_proba(X), atol=1e-9)


NOT_NUMBERS = {
    "text": (lambda X, y: (X.astype(str).astype(object) + "a", y), "could not convert string to float"),
    "NaN": (lambda X, y: (np.where(X > 2, np.nan, X), y), "NaN"),
    "infinity": (lambda X, y: (np.where(X > 2, np.inf, X), y), "infinity"),
    "empty": (lambda X, y: (X[:0], y[:0]), "0 sample"),
    "lengths": (lambda X, y: (X, y[:-1]), "inconsistent numbers of samples"),
    "ragged": (lambda X, y: ([[1.0, 2.0], [3.0]], y[:2]), "inhomogeneous"),
    "complex": (lambda X, y: (X + 1j, y), "Complex data not supported"),
    "one dimension": (lambda X, y: (X[:, 0], y), "Expected 2D array"),
    "NaN in y": (lambda X, y: (X, np.where(y > 1, np.nan, y)), "NaN"),
}


@pytest.mark.parametrize(("spoil", "message"), NOT_NUMBERS.values(), ids=NOT_NUMBERS)
def test_bad_data_is_refused_and_changes_no_fitted_model(spoil, message):
    X, y = iris()
    fresh = MLPClassifier(hidden_layer_sizes=4, max_iter=3, random_state=0)
    with pytest.raises(ValueError, match=message):
        fresh.fit(*spoil(X, y))
    fitted = MLPClassifier(hidden_layer_sizes=4, max_iter=3, random_state=0).fit(X, y)
    before = pickle.dumps(fitted)
    for method in (fitted.fit, fitted.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(*spoil(X, y))
    assert pickle.dumps(fitted) == before


PARAMETERS = {
    "learning_rate_init": (-0.1, "learning_rate_init"),
    "alpha": (-1.0, "alpha"),
    "hidden_layer_sizes": ((10, 0), "hidden_layer_sizes must be > 0"),
    "activation": ("swish", "activation"),
    "solver": ("newton", "solver"),
    "backend": ("cuda13", 'allowed: "numpy"'),
    "batch_size": (0, "batch_size"),
    "beta_1": (1.0, "beta_1"),
}


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_bad_parameters_are_refused(estimator, name):
    X, y = iris()
    value, message = PARAMETERS[name]
    fitted = estimator(max_iter=2, random_state=0).fit(X, y)
    before = fitted.coefs_[0].copy()
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**{name: value}).fit(X, y)
    np.testing.assert_array_equal(fitted.coefs_[0], before)


def test_cupy_that_is_not_there_says_what_is_missing(monkeypatch):
    X, y = iris()
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(xpnet.BackendUnavailableError, match="pip install"):
        MLPClassifier(backend="cupy").fit(X, y)


def test_wrong_width_at_predict():
    X, y = iris()
    model = MLPClassifier(max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        model.predict(X[:, :3])


def test_wrong_width_at_predict_on_every_library(library):
    X, y = iris()
    model = MLPClassifier(max_iter=2).fit(library.asarray(X), y)
    with pytest.raises(ValueError, match="X has 3 features, but MLPClassifier is expecting 4"):
        model.predict(library.asarray(X[:, :3]))
    with pytest.raises(ValueError, match="NaN"):
        model.predict(library.asarray(np.where(X > 2, np.nan, X)))


def test_divergence_says_where_and_keeps_the_last_finite_parameters():
    X, y = iris()
    model = MLPRegressor(solver="sgd", learning_rate_init=1e3, activation="identity", max_iter=50, random_state=0)
    with pytest.raises(DivergedError, match=r"diverged in epoch .*Lower the learning rate") as caught:
        model.fit(X, y)
    assert caught.value.epoch >= 1
    assert all(np.isfinite(a).all() for a in model.coefs_ + model.intercepts_)
    assert np.isfinite(model.predict(X)).all()


def test_divergence_under_early_stopping_ends_training_with_the_best_parameters():
    X, y = iris()
    model = MLPRegressor(solver="sgd", learning_rate_init=1.0, max_iter=50, early_stopping=True, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged in epoch"):
        model.set_params(activation="identity").fit(10 * X, y)
    assert np.isnan(model.validation_scores_[-1])
    assert np.isnan(model.loss_curve_[-1])
    assert model.n_iter_ == len(model.loss_curve_) == len(model.validation_scores_) < 50
    assert np.isfinite(model.best_validation_score_)
    assert all(np.isfinite(a).all() for a in model.coefs_ + model.intercepts_)


def test_interrupting_keeps_the_model_so_far(monkeypatch):
    X, y = iris()
    model = MLPClassifier(max_iter=100, random_state=0)
    add = History.add

    def interrupt_at_three(self, *values, **course):
        is_best = add(self, *values, **course)
        if self.n_iter_ == 3:
            raise KeyboardInterrupt
        return is_best

    monkeypatch.setattr(History, "add", interrupt_at_three)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, y)
    assert len(model.loss_curve_) == 3
    assert model.predict(X).shape == (150,)


def test_unknown_label_in_partial_fit():
    X, y = iris()
    model = MLPClassifier().partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes not in"):
        model.partial_fit(X, np.where(y == 2, 5, y))
    with pytest.raises(ValueError, match="classes must be passed"):
        MLPClassifier().partial_fit(X, y)


def test_one_sample_one_feature():
    model = MLPRegressor(max_iter=2, random_state=0).fit([[1.0]], [2.0])
    assert model.predict([[1.0]]).shape == (1,)


# --- losses beyond scikit-learn's


@pytest.mark.parametrize(
    ("loss", "level"),
    [("absolute_error", 0.5), ("quantile", 0.5), (Quantile(0.9), 0.9), (Quantile(0.1), 0.1)],
    ids=repr,
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_quantiles_loss_puts_that_share_of_the_targets_below(loss, level, solver, rng):
    X = rng.uniform(-1.0, 1.0, size=(2000, 1))
    y = X[:, 0] + (1.5 + X[:, 0]) * rng.exponential(size=2000)
    net = MLPRegressor(
        loss, (20,), activation="tanh", solver=solver, learning_rate_init=0.01, max_iter=300, random_state=0, alpha=0.0
    )
    A = net.fit(X, y).predict(X)
    for part in (X[:, 0] < 0.0, X[:, 0] >= 0.0):
        assert np.mean(y[part] < A[part]) == pytest.approx(level, abs=0.06)


def test_hubers_loss_is_not_drawn_by_outliers(rng):
    X = rng.normal(size=(500, 2))
    y = X @ [1.0, -2.0] + 0.1 * rng.normal(size=500)
    y[::10] += 50.0
    settings = {"hidden_layer_sizes": (), "alpha": 0.0, "max_iter": 2000, "learning_rate_init": 0.01, "random_state": 0}
    huber, squared = (MLPRegressor(loss, **settings).fit(X, y) for loss in ("huber", "squared_error"))
    assert abs(huber.intercepts_[-1][0]) < 0.3 < 3.0 < abs(squared.intercepts_[-1][0])
    np.testing.assert_allclose(huber.coefs_[-1][:, 0], [1.0, -2.0], atol=0.15)
    assert huber.out_activation_ == "identity"


def test_a_loss_object_is_cloned_and_an_unknown_name_refused(rng):
    net = clone(MLPRegressor(Quantile(0.9), (5,)))
    assert net.loss == Quantile(0.9)
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    with pytest.raises(ValueError, match=r"^loss is 'mse'; allowed: 'squared_error', 'poisson', .*Quantile\(0.9\)$"):
        MLPRegressor("mse").fit(X, y)
