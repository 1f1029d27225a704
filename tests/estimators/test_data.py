"""Samples, read, checked, encoded and brought to the backend once; and the validation set."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.utils import validation

from xpnet import MLPClassifier, MLPRegressor
from xpnet.backends import RowSource, get_backend, inputs
from xpnet.estimators import settings
from xpnet.estimators.base import BaseMLP
from xpnet.estimators.data import Samples, ValidationSet
from xpnet.model import Model

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def XY(rng):
    X = rng.normal(size=(60, 4))
    return X, np.argmax(X[:, :3], axis=1)


def test_samples_are_read_encoded_and_placed(library, XY):
    X, y = XY
    classifier, w = MLPClassifier(), np.linspace(0.5, 2.0, 60)
    there = library.asarray(X, "float32")
    samples = Samples.read(classifier, get_backend(None, there), there, y, w, trains=True, is_first=True)
    for array in (samples.X, samples.Y, samples.w):
        assert library.owns(array)
        assert array.dtype == there.dtype
    np.testing.assert_array_equal(library.to_numpy(samples.Y), np.eye(3)[y])
    assert samples.targets.dtype == bool
    assert classifier.n_features_in_ == 4
    np.testing.assert_array_equal(classifier.classes_, [0, 1, 2])


def test_rows_of_samples(library, XY):
    X, y = XY
    there = library.asarray(X)
    samples = Samples.read(MLPRegressor(), get_backend(None, there), there, y, None, trains=True, is_first=True)
    at = np.array([5, 0, 7])
    some = samples.rows(at)
    np.testing.assert_array_equal(library.to_numpy(some.X), X[at])
    np.testing.assert_array_equal(some.targets[:, 0], y[at])
    np.testing.assert_array_equal(some.y, y[at])
    assert some.w is None


def test_rows_of_a_file_are_read_when_they_are_needed(tmp_path, XY):
    X, y = XY
    file = np.memmap(tmp_path / "X", np.float64, "w+", shape=X.shape)
    file[:] = X
    samples = Samples.read(MLPRegressor(), get_backend(), file, y, None, trains=True, is_first=True)
    some = samples.rows(np.array([3, 1]))
    assert isinstance(some.X, RowSource)
    np.testing.assert_array_equal(some.X[:], X[[3, 1]])


def test_other_features_and_lengths_are_refused(library, XY):
    X, y = XY
    there, regressor = library.asarray(X), MLPRegressor()
    backend = get_backend(None, there)
    Samples.read(regressor, backend, there, y, None, trains=True, is_first=True)
    with pytest.raises(ValueError, match="X has 3 features, but MLPRegressor is expecting 4"):
        Samples.read(regressor, backend, library.asarray(X[:, :3]), y, None)
    with pytest.raises(ValueError, match=r"inconsistent numbers|each sample needs one row of y"):
        Samples.read(regressor, backend, there, y[:-1], None)


# --- once a fit


def places(name, X, tmp_path):
    """X as it may be given."""
    if name == "memmap" or name == "integers in a file":
        dtype = np.float64 if name == "memmap" else np.int16
        file = np.memmap(tmp_path / name, dtype, "w+", shape=X.shape)
        file[:] = X
        return file
    if name == "strict":
        return pytest.importorskip("array_api_strict", reason="array-api-strict is not installed").asarray(X)
    return {"dense": X, "float32": X.astype(np.float32), "CSR": sparse.csr_array(X), "list": X.tolist()}[name]


@pytest.mark.parametrize("early_stopping", [False, True], ids=["", "early stopping"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("place", ["dense", "float32", "CSR", "list", "memmap", "integers in a file", "strict"])
def test_X_is_scanned_for_NaN_once_a_fit(place, solver, early_stopping, XY, tmp_path, monkeypatch):
    X, y = np.round(2 * XY[0]), XY[1]
    n_nonzero, n_rows = np.count_nonzero(X), []

    def counted(check):
        def call(array, *arguments, **keywords):
            values = array.data if sparse.issparse(array) else array
            if values.shape == (n_nonzero,):  # all that a sparse matrix holds
                n_rows.append(len(X))
            elif values.shape[1:] == X.shape[1:]:
                n_rows.append(values.shape[0])
            return check(array, *arguments, **keywords)

        return call

    model = MLPRegressor(hidden_layer_sizes=(3,), solver=solver, early_stopping=early_stopping, max_iter=3)
    given = places(place, X, tmp_path)
    for module, name in ((inputs, "all_finite"), (validation, "_assert_all_finite")):
        monkeypatch.setattr(module, name, counted(getattr(module, name)))
    model.fit(given, 1.0 * y)
    assert sum(n_rows) == len(X)
    model.predict(given)
    assert sum(n_rows) == 2 * len(X)


@pytest.mark.parametrize(
    "params",
    [{}, {"solver": "lbfgs"}, {"early_stopping": True}, {"dropout": 0.2, "hidden_layer_sizes": (5, 4)}],
    ids=str,
)
@pytest.mark.parametrize("is_warm", [False, True], ids=["", "warm start"])
def test_the_model_is_built_once_a_fit(params, is_warm, XY, monkeypatch):
    X, y = XY
    classifier = MLPClassifier(max_iter=3, warm_start=is_warm, **params)
    if is_warm:
        classifier.fit(X, y)
    asked, built = [], []
    model_of, check = BaseMLP._model, Model.__post_init__
    monkeypatch.setattr(BaseMLP, "_model", lambda self, drops=True: asked.append(drops) or model_of(self, drops))
    monkeypatch.setattr(Model, "__post_init__", lambda self: built.append(self) or check(self))
    settings._model.cache_clear()
    classifier.fit(X, y, validation_data=(X[:20], y[:20]))
    assert len(asked) == len(built) == 1


# --- the validation set


def test_a_part_of_the_samples_is_split_off(XY):
    X, y = XY
    classifier = MLPClassifier(validation_fraction=0.25, scoring="accuracy")
    samples = Samples.read(classifier, get_backend(), X, y, np.ones(60), trains=True, is_first=True)
    train, rest = ValidationSet.split_off(samples, classifier, np.random.RandomState(0))
    assert (train.X.shape[0], rest.samples.X.shape[0]) == (45, 15)
    together = np.concatenate([train.X, rest.samples.X])
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(X, axis=0))
    np.testing.assert_array_equal(rest.samples.targets, np.eye(3, dtype=bool)[rest.y])
    np.testing.assert_array_equal(rest.X, rest.samples.X)
    with pytest.raises(ValueError, match="validation set is too small"):
        ValidationSet.split_off(samples, classifier.set_params(validation_fraction=0.01), np.random.RandomState(0))


@pytest.mark.parametrize("scoring", [None, "loss", "accuracy"])
def test_the_validation_set_is_judged(library, scoring, XY):
    X, y = XY
    there = library.asarray(X)
    classifier = MLPClassifier((5,), max_iter=2, random_state=0).fit(there, y).set_params(scoring=scoring)
    backend, model = get_backend(None, there), classifier._model()
    given = ValidationSet.given((there, y), classifier, model, backend)
    loss, score = given.judge(classifier, model, backend)(classifier._theta(backend, there))
    P = library.to_numpy(classifier.predict_proba(there))
    assert loss == pytest.approx(-np.log(P[np.arange(60), y]).mean(), rel=1e-10)
    assert score == pytest.approx(-loss if scoring == "loss" else (P.argmax(axis=1) == y).mean())


def test_errors_in_validation_data_say_so(XY):
    X, y = XY
    classifier = MLPClassifier(max_iter=1).fit(X, y)
    for wrong, message in (((X[:, :3], y), "X has 3 features"), ((X, y + 9), "`y` has classes not in")):
        with pytest.raises(ValueError, match=f"^validation_data: {message}"):
            ValidationSet.given(wrong, classifier, classifier._model(), get_backend())
