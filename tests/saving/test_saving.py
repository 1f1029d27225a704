"""A saved model predicts bit for bit what it did before; a damaged file says so; a failed save changes nothing."""

import json
import os
import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.neural_network import MLPClassifier as ScikitLearns
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from xpnet import BackendUnavailableError, MLPClassifier, MLPRegressor, load, save
from xpnet.saving import describe

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)) * [1.0, 20.0, 0.1] + [0.0, 5.0, 1.0]
NUMBER = X[:, 0] + 0.1 * X[:, 1]
THREE = np.digitize(X[:, 0], [-0.5, 0.5])

LABELS = {
    "binary-int": (THREE > 0).astype(np.int32) * 7,
    "multiclass-int": THREE - 1,
    "bool": THREE > 0,
    "float": (THREE > 0) + 1.0,
    "string": np.array(["low", "mid", "hïgh"])[THREE],
    "binary-string": np.array(["no", "yes"])[(THREE > 0).astype(int)],
    "object": np.array(["low", "mid", "high"], dtype=object)[THREE],
    "multilabel": np.stack([THREE == 0, THREE > 0], axis=1).astype(int),
}
TARGETS = {
    "one": (NUMBER, "squared_error"),
    "two": (np.stack([NUMBER, X[:, 2]], axis=1), "squared_error"),
    "poisson": (np.exp(X[:, 0] / 2), "poisson"),
}


def quick(kind, **params):
    return kind(**{"hidden_layer_sizes": (5, 4), "max_iter": 3, "random_state": 0} | params)


def fitted(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def classifier(y=LABELS["string"], dtype="float64", **params):
    return fitted(quick(MLPClassifier, **params), X.astype(dtype), y)


def pipeline(kind=MLPClassifier, y=LABELS["string"], dtype="float64", scaler=None):
    return fitted(make_pipeline(scaler or StandardScaler(), quick(kind)), X.astype(dtype), y)


def on_scaled_target(y=NUMBER):
    inner = make_pipeline(StandardScaler(), quick(MLPRegressor))
    return fitted(TransformedTargetRegressor(regressor=inner, transformer=StandardScaler()), X, y)


def there_and_back(model, tmp_path, **options):
    save(model, tmp_path / "m.safetensors")
    return load(tmp_path / "m.safetensors", **options)


def assert_same(a, b):
    a, b = np.asarray(a), np.asarray(b)
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert a.tobytes() == b.tobytes() if a.dtype != object else a.tolist() == b.tolist()


# --- round trips


@pytest.mark.parametrize("name", LABELS)
def test_classifiers_come_back_bit_for_bit(name, dtype, tmp_path):
    model = classifier(LABELS[name], dtype)
    back = there_and_back(model, tmp_path)
    A = X.astype(dtype)
    assert type(back) is MLPClassifier
    assert back.coefs_[0].dtype == dtype
    assert_same(back.classes_, model.classes_)
    for method in ("predict", "predict_proba", "predict_log_proba"):
        assert_same(getattr(back, method)(A), getattr(model, method)(A))


@pytest.mark.parametrize("name", TARGETS)
def test_regressors_come_back_bit_for_bit(name, dtype, tmp_path):
    y, loss = TARGETS[name]
    model = fitted(quick(MLPRegressor, loss=loss), X.astype(dtype), y)
    assert_same(there_and_back(model, tmp_path).predict(X.astype(dtype)), model.predict(X.astype(dtype)))


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("scaler", [StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False)])
def test_pipelines_come_back_with_their_scaling(kind, scaler, dtype, tmp_path):
    model = pipeline(kind, THREE, dtype, scaler)
    back = there_and_back(model, tmp_path)
    assert [name for name, _ in back.steps] == [name for name, _ in model.steps]
    assert back[0].get_params() == scaler.get_params()
    assert_same(back.predict(X.astype(dtype)), model.predict(X.astype(dtype)))
    assert back.n_features_in_ == 3


@pytest.mark.parametrize("y", [NUMBER, NUMBER.reshape(-1, 1), TARGETS["two"][0]], ids=["flat", "column", "two"])
def test_a_scaled_target_comes_back(y, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's about a column of y
        model = on_scaled_target(y)
    back = there_and_back(model, tmp_path)
    assert type(back) is TransformedTargetRegressor
    assert_same(back.predict(X), model.predict(X))
    assert back.score(X, y) == model.score(X, y)


def test_what_training_recorded_comes_back(tmp_path):
    model = classifier(early_stopping=True, hidden_layer_sizes=[4], beta_1=np.float64(0.8), n_iter_no_change=np.inf)
    back = there_and_back(model, tmp_path)
    assert back.get_params() == model.get_params()
    assert isinstance(back.hidden_layer_sizes, list)
    for name in "loss_ loss_curve_ validation_scores_ best_loss_ best_validation_score_ n_iter_ t_ n_layers_".split():
        assert getattr(back, name) == getattr(model, name), name
    assert (back.n_outputs_, back.out_activation_) == (3, "softmax")


def test_feature_names_come_back(tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = pandas.DataFrame(X, columns=["a", "b", "ç"])
    for model in (quick(MLPClassifier), make_pipeline(StandardScaler(), quick(MLPClassifier))):
        back = there_and_back(fitted(model, table, THREE), tmp_path)
        assert back.feature_names_in_.tolist() == ["a", "b", "ç"]
        assert_same(back.predict(table), model.predict(table))  # and no warning about names
        with pytest.raises(ValueError, match="feature names"):
            back.predict(table[["b", "a", "ç"]])


def test_partial_fit_goes_on_with_a_fresh_optimizer(tmp_path):
    model = classifier(THREE)
    back = there_and_back(model, tmp_path)
    before = back.predict_proba(X)
    back.partial_fit(X, THREE)
    assert len(back.loss_curve_) == len(model.loss_curve_) + 1
    assert not np.array_equal(before, back.predict_proba(X))
    fitted(back, X, THREE)
    assert_same(back.predict_proba(X), model.predict_proba(X))


def test_the_same_model_is_the_same_bytes(tmp_path):
    for model in (classifier(), pipeline(), on_scaled_target()):
        save(model, tmp_path / "1")
        save(load(tmp_path / "1"), tmp_path / "2")
        assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_a_generator_as_random_state_is_not_saved(tmp_path):
    model = classifier(random_state=np.random.RandomState(3))
    assert there_and_back(model, tmp_path).random_state is None
    assert isinstance(model.random_state, np.random.RandomState)
    assert there_and_back(classifier(random_state=np.int64(3)), tmp_path).random_state == 3


def test_parameters_set_by_hand_are_what_is_saved(tmp_path):
    model = classifier(THREE)
    model.coefs_[0] = np.asfortranarray(model.coefs_[0] * 2.0).astype(">f8")
    model.intercepts_[0] = np.zeros(5, dtype=int)
    back = there_and_back(model, tmp_path)
    assert_same(back.predict_proba(X), model.predict_proba(X))


def test_arrays_of_other_libraries_are_saved_as_the_hosts(library, tmp_path):
    model = fitted(quick(MLPClassifier), library.asarray(X), THREE)
    back = there_and_back(model, tmp_path)
    assert all(type(a) is np.ndarray for a in (*back.coefs_, *back.intercepts_))
    A = back.predict_proba(library.asarray(X))
    assert library.owns(A)
    assert_same(library.to_numpy(A), library.to_numpy(model.predict_proba(library.asarray(X))))


def test_a_model_for_a_gpu_loads_without_one(tmp_path):
    model = classifier()
    model.backend = "cupy"
    save(model, tmp_path / "m")
    assert load(tmp_path / "m").backend == "cupy"
    assert_same(load(tmp_path / "m", backend="numpy").predict(X), classifier().predict(X))
    save(pipeline(), tmp_path / "m")
    assert load(tmp_path / "m", backend="auto")[-1].backend == "auto"
    with pytest.raises(ValueError, match="'tpu'; allowed"):
        load(tmp_path / "m", backend="tpu")


def test_backend_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    def missing(name):
        raise BackendUnavailableError("no GPU: use numpy")

    save(classifier(), tmp_path / "m")
    monkeypatch.setattr("xpnet.saving.get_backend", missing)
    with pytest.raises(BackendUnavailableError, match="use numpy"):
        load(tmp_path / "m", backend="cupy")


def test_the_file_is_tensors_and_json_alone(tmp_path):
    save(on_scaled_target(), tmp_path / "m.safetensors", target_names=["price"])
    with safe_open(tmp_path / "m.safetensors", framework="numpy") as file:
        header, names = file.metadata(), set(file.keys())
    assert names == {f"{kind}.{k}" for kind in ("coefs", "intercepts") for k in range(3)} | {
        f"{part}.{kind}" for part in ("features", "target") for kind in ("mean", "scale", "variance")
    }
    assert set(header) == {"xpnet"}
    assert json.loads(header["xpnet"])["class"] == "MLPRegressor"
    assert json.loads(header["xpnet"])["format_version"] == 1
    assert describe(tmp_path / "m.safetensors")["target_names"] == ["price"]


def test_loading_in_a_fresh_process_predicts_the_same(tmp_path):
    model = pipeline()
    save(model, tmp_path / "m.safetensors")
    np.save(tmp_path / "X.npy", X)
    code = (
        "import numpy, xpnet; print(*xpnet.load('m.safetensors').predict_proba(numpy.load('X.npy')).ravel().tolist())"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert_same(np.array(run.stdout.split(), dtype=float).reshape(-1, 3), model.predict_proba(X))


# --- what can't be saved


class Derived(MLPClassifier):
    pass


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (None, "None"),
        ("model", "builtins's str"),
        (ScikitLearns(), "sklearn's MLPClassifier"),
        (Derived(), "Derived"),
        (BaseEstimator(), "BaseEstimator"),
        (make_pipeline(StandardScaler()), "a Pipeline of sklearn's StandardScaler"),
        (make_pipeline(MinMaxScaler(), MLPClassifier()), "MinMaxScaler, xpnet's MLPClassifier"),
        (make_pipeline(StandardScaler(), ScikitLearns()), "sklearn's MLPClassifier"),
        (make_pipeline(PCA(), StandardScaler(), MLPClassifier()), "PCA"),
        (make_pipeline("passthrough", MLPClassifier()), "Pipeline of"),
        (TransformedTargetRegressor(MLPRegressor(), transformer=StandardScaler()), "TransformedTargetRegressor of"),
        (TransformedTargetRegressor(make_pipeline(StandardScaler(), MLPRegressor())), "and None"),
        (
            TransformedTargetRegressor(make_pipeline(StandardScaler(), MLPClassifier()), transformer=StandardScaler()),
            "MLPClassifier",
        ),
    ],
)
def test_other_models_are_refused_by_name(model, named, tmp_path):
    with pytest.raises(ValueError, match=r"model is .* can't hold; allowed: an xpnet MLPClassifier") as error:
        save(model, tmp_path / "m")
    assert named in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "model",
    [
        MLPClassifier(),
        make_pipeline(StandardScaler(), MLPClassifier()),
        make_pipeline(StandardScaler(), classifier()),
        TransformedTargetRegressor(make_pipeline(StandardScaler(), MLPRegressor()), transformer=StandardScaler()),
    ],
)
def test_unfitted_models_are_refused(model, tmp_path):
    with pytest.raises(NotFittedError, match="call fit first"):
        save(model, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def spoil(model, name, value):
    setattr(model, name, value)
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: spoil(classifier(), "classes_", np.array([b"a", b"b", b"c"])), "y.astype"),
        (lambda: spoil(classifier(), "classes_", np.array(["2024", "2025", "2026"], "M8[Y]")), "y.astype"),
        (lambda: spoil(classifier(), "classes_", np.array(["a", "b"])), "2 classes don't fit 3 outputs"),
        (lambda: spoil(classifier(), "hidden_layer_sizes", (5,)), "needs 2 coefs_"),
        (lambda: spoil(classifier(), "hidden_layer_sizes", (5, 6)), r"coefs\.1 has shape \(5, 4\)"),
        (lambda: spoil(classifier(), "alpha", -1.0), "alpha"),
        (lambda: spoil(classifier(), "verbose", object()), "verbose"),
        (lambda: spoil(classifier(), "n_features_in_", 4), r"coefs\.0 has shape"),
        (lambda: spoil(classifier(), "intercepts_", [np.full(n, np.nan) for n in (5, 4, 3)]), "NaN or infinity"),
        (lambda: spoil(classifier(), "intercepts_", [np.zeros(n, complex) for n in (5, 4, 3)]), "dtype complex128"),
    ],
)
def test_models_that_could_not_be_loaded_are_not_saved(make, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save(make(), tmp_path / "m")
    assert not list(tmp_path.iterdir())


# --- what can't be loaded


def edited(tmp_path, document=None, tensors=None, text=None):
    """A saved model with parts of its file replaced; None removes, and text takes the place of all JSON."""
    path = tmp_path / "m.safetensors"
    save(pipeline(), path)
    with safe_open(path, framework="numpy") as file:
        inner = json.loads(file.metadata()["xpnet"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    for held, given in ((inner, document), (arrays, tensors)):
        for name, value in (given or {}).items():
            held[name] = value
            if value is None:
                del held[name]
    save_file(arrays, path, {"xpnet": json.dumps(inner) if text is None else text})
    return path


def assert_refused(path, message):
    for read in (load, describe):
        with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
            read(path)
        assert os.path.basename(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "is not a model file"),
        (b"a,b\n1,2\n3,4\n5,6\n", "is not a model file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is not a model file"),
        (bytes(100), "is not a model file"),
        (struct.pack("<Q", 5) + b"{abc}", "cut short or damaged"),
    ],
)
def test_files_that_are_no_models(content, message, tmp_path):
    (tmp_path / "x.png").write_bytes(content)
    assert_refused(tmp_path / "x.png", message)


def test_files_that_are_not_there(tmp_path):
    assert_refused(tmp_path / "none", "there is no file")
    assert_refused(tmp_path, "is a folder")
    with pytest.raises(FileNotFoundError):
        load(str(tmp_path / "none"))


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.9, 0.999])
def test_a_file_cut_short(keep, tmp_path):
    path = tmp_path / "m.safetensors"
    save(pipeline(), path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert_refused(path, "cut short or damaged at .* get the file afresh")


def test_a_file_of_somebody_else(tmp_path):
    save_file({"w": np.zeros(3)}, tmp_path / "m")
    assert_refused(tmp_path / "m", "not a model of xpnet")
    save_file({"w": np.zeros(3)}, tmp_path / "m", {"format": "pt"})
    assert_refused(tmp_path / "m", "not a model of xpnet")


def test_a_file_of_a_newer_format(tmp_path):
    path = edited(tmp_path, document={"format_version": 2, "xpnet_version": "9.1", "class": "MLPTransformer"})
    assert_refused(path, r"format version 2, written by xpnet 9\.1.*upgrade")


@pytest.mark.parametrize(
    "change",
    [{"document": {"format_version": "new"}}, {"document": {"format_version": None}}, {"text": "{"}, {"text": "[]"}],
    ids=str,
)
def test_an_incomplete_header(change, tmp_path):
    assert_refused(edited(tmp_path, **change), "header is incomplete")


@pytest.mark.parametrize("name", ["MLPClassifier", "Popen", "builtins.eval", "__import__", "Activations"])
def test_a_header_names_no_code_but_settings(name, tmp_path):
    named = {"object": name, "settings": {"args": "true"}}
    assert_refused(edited(tmp_path, document={"params": {"activation": named}}), "header is incomplete")


def test_a_header_that_is_nested_without_end(tmp_path):
    assert_refused(edited(tmp_path, text="[" * 200_000), "header is incomplete")


@pytest.mark.parametrize(
    "change",
    [
        {"tensors": {"coefs.1": None}},
        {"tensors": {"intercepts.2": None}},
        {"tensors": {"features.scale": None}},
        {"tensors": {"features.mean": np.zeros(4)}},
        {"tensors": {"coefs.1": np.zeros((4, 5))}},
        {"tensors": {"intercepts.0": np.zeros((5, 1))}},
        {"tensors": {"coefs.0": np.full((3, 5), np.nan)}},
        {"tensors": {"features.scale": np.full(3, np.inf)}},
        {"tensors": {"coefs.0": np.zeros((3, 5), dtype=np.int64)}},
        {"document": {"class": "Pickle"}},
        {"document": {"class": None}},
        {"document": {"facts": {}}},
        {"document": {"params": {"nonsense": 1}}},
        {"document": {"params": {"activation": "step"}}},
        {"document": {"params": {"hidden_layer_sizes": [10**9]}}},
        {"document": {"params": {"hidden_layer_sizes": [5.0, 4.0]}}},
        {"document": {"labels": {"values": ["a", "b"], "dtype": "<U1"}}},
        {"document": {"labels": {"values": ["a", "b", "c"], "dtype": "nonsense"}}},
        {"document": {"features": {"params": {}}}},
    ],
    ids=str,
)
def test_a_damaged_file_never_becomes_a_model(change, tmp_path):
    path = edited(tmp_path, **change)
    with pytest.raises(ValueError, match=r"m\.safetensors.*(is damaged|can't be loaded)"):
        load(path)


# --- atomicity


def test_a_failed_save_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    save(classifier(), path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(f"xpnet.saving.files.os.{name}", fail)
            with pytest.raises(OSError, match="no space left"):
                save(pipeline(), path)
            with pytest.raises(OSError, match="no space left"):
                save(pipeline(), tmp_path / "other")
    with pytest.raises(NotFittedError):
        save(MLPClassifier(), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_save_replaces_the_file_and_keeps_its_mode(tmp_path):
    path = tmp_path / "m.safetensors"
    save(classifier(), path)
    path.chmod(0o600)
    save(pipeline(), path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert type(load(path)).__name__ == "Pipeline"


def test_a_link_stays_a_link(tmp_path):
    save(classifier(), tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    save(pipeline(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert type(load(tmp_path / "real")).__name__ == "Pipeline"


def test_places_where_no_file_can_be(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"folder .* is not there: make it"):
        save(classifier(), tmp_path / "no" / "m")
    with pytest.raises(ValueError, match="not an ordinary file"):
        save(classifier(), tmp_path)
    with pytest.raises(ValueError, match="not an ordinary file"):
        save(classifier(), os.devnull)
