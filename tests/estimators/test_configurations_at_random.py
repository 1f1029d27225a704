"""Configurations drawn at random: scikit-learn's estimators and xpnet's do the same with each."""

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn import neural_network as scikit_learns
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

import xpnet

pytestmark = pytest.mark.filterwarnings("ignore")  # each case compares the two libraries' warnings itself


def draw_params(rng):
    solver = str(rng.choice(["sgd", "adam", "lbfgs"], p=[0.4, 0.35, 0.25]))
    return {
        "hidden_layer_sizes": tuple(map(int, rng.integers(1, 20, rng.integers(0, 3)))),
        "activation": str(rng.choice(["identity", "logistic", "tanh", "relu"])),
        "solver": solver,
        "alpha": float(10.0 ** rng.uniform(-6, 0)),
        "batch_size": "auto" if rng.integers(3) == 0 else int(rng.integers(10, 150)),
        "learning_rate": str(rng.choice(["constant", "invscaling", "adaptive"])),
        "learning_rate_init": float(10.0 ** rng.uniform(-4, -2)),
        "power_t": float(rng.uniform(0.1, 0.9)),
        "momentum": float(rng.choice([0.0, rng.uniform(0.0, 0.95)])),
        "nesterovs_momentum": bool(rng.integers(2)),
        "shuffle": bool(rng.integers(2)),
        "random_state": int(rng.integers(1000)),
        # At its optimum L-BFGS stops by the last bit: only a tolerance makes both stop at the same iteration.
        "tol": float(rng.choice([1e-4 if solver == "lbfgs" else 0.0, 1e-4, 1e-2])),
        "early_stopping": bool(rng.integers(2)),
        "validation_fraction": float(rng.uniform(0.05, 0.3)),
        "n_iter_no_change": np.inf if rng.integers(5) == 0 else int(rng.integers(1, 4)),
        "beta_1": float(rng.uniform(0.5, 0.95)),
        "beta_2": float(rng.uniform(0.9, 0.999)),
        "warm_start": bool(rng.integers(2)),
        "max_iter": int(rng.integers(1, 9)),
        "verbose": [False, True, 10][rng.integers(3)],
        "max_fun": int(rng.integers(4, 30)),
    }


def draw_data(rng):
    """The estimator's name, X (dense, sparse or a table), y, weights or None, and the loss."""
    m, n = int(rng.integers(60, 160)), int(rng.integers(2, 12))
    X = StandardScaler().fit_transform(rng.normal(size=(m, n)))
    Z = X @ rng.normal(size=(n, 3))
    kind = str(rng.choice(["two classes", "labels", "text", "multilabel", "regression", "several targets", "poisson"]))
    y = {
        "two classes": (Z[:, 0] > 0).astype(int),
        "labels": Z.argmax(axis=1) * 2 - 1,
        "text": np.array(["one", "two", "three"])[Z.argmax(axis=1)],
        "multilabel": (Z > 0).astype(int),
        "regression": np.tanh(Z[:, 0]),
        "several targets": np.tanh(Z),
        "poisson": rng.poisson(np.exp(np.tanh(Z[:, 0]))).astype(float),
    }[kind]
    form = str(rng.choice(["dense", "dense", "float32", "CSR", "CSC", "table", "list"]))
    w = rng.uniform(0.1, 2.0, m) if rng.integers(2) else None
    if w is not None and rng.integers(4) == 0:
        w[rng.integers(m, size=3)] *= -1.0  # scikit-learn accepts negative weights
    is_regression = kind in ("regression", "several targets", "poisson")
    loss = {"loss": "poisson" if kind == "poisson" else "squared_error"} if is_regression else {}
    return "MLPRegressor" if is_regression else "MLPClassifier", in_form(X, form, rng), y, w, loss


def in_form(X, form, rng):
    if form in ("CSR", "CSC"):
        X = X * (rng.uniform(size=X.shape) < 0.5)
        return sparse.csr_array(X) if form == "CSR" else sparse.csc_matrix(X)
    if form == "table":
        pandas = pytest.importorskip("pandas", reason="pandas is not installed")
        return pandas.DataFrame(X, columns=[f"feature {j}" for j in range(X.shape[1])])
    return X.astype(np.float32) if form == "float32" else X.tolist() if form == "list" else X


def run(estimator, methods, X, y, w, capsys):
    """What the calls did: the model, what was warned of, how it ended, and what was printed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for method in methods:
                of_labels = method == "partial_fit" and "Classifier" in type(estimator).__name__
                classes = {"classes": np.unique(y) if y.ndim == 1 else range(y.shape[1])} if of_labels else {}
                getattr(estimator, method)(X, y, w, **classes)
            ended = "trained"
        except (ValueError, AttributeError) as error:
            ended = type(error) if isinstance(error, AttributeError) else ValueError
    said = [(str(m.message), m.category) for m in caught if m.category is not RuntimeWarning]
    return estimator, said, ended, capsys.readouterr().out


NAMES = "n_iter_ t_ n_layers_ n_outputs_ n_features_in_ out_activation_ feature_names_in_ classes_".split()
RECORDS = "loss_ loss_curve_ best_loss_ validation_scores_ best_validation_score_".split()


def compare(theirs, ours, X, atol):
    for a, b in zip(theirs.coefs_ + theirs.intercepts_, ours.coefs_ + ours.intercepts_, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=atol)
        assert a.dtype == b.dtype
    for name in NAMES:
        assert hasattr(theirs, name) == hasattr(ours, name), name
        np.testing.assert_array_equal(getattr(ours, name, None), getattr(theirs, name, None), err_msg=name)
    for name in RECORDS if theirs.solver != "lbfgs" else ("loss_",):  # scikit-learn's L-BFGS records nothing else
        expected, value = getattr(theirs, name, None), getattr(ours, name, None)
        assert (value is None) == (expected is None), name
        if expected is not None:
            np.testing.assert_allclose(value, expected, rtol=1e3 * atol, atol=atol, err_msg=name)
    methods = [m for m in ("predict", "predict_proba") if hasattr(theirs, m)]
    for method in methods:
        expected, value = getattr(theirs, method)(X), getattr(ours, method)(X)
        assert value.dtype == expected.dtype
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value, expected, rtol=0, atol=10 * atol)
        elif atol < 1e-8:
            np.testing.assert_array_equal(value, expected)


# The two differ if a trial step of L-BFGS makes probabilities so small that scikit-learn's loss clips them: 2 of 3000.
@pytest.mark.parametrize("seed", range(150))
def test_the_two_libraries_agree(seed, capsys):
    rng = np.random.default_rng(seed)
    name, X, y, w, loss = draw_data(rng)
    params = {**draw_params(rng), **loss}
    if params["solver"] == "lbfgs":
        # A problem that is solved to the last bit within the limit may end an iteration sooner or later.
        params["hidden_layer_sizes"] = (7, *params["hidden_layer_sizes"])
        # On float32 data scikit-learn's search compares costs in float32, and whatever it rounds it amplifies.
        X = X.astype(np.float64) if getattr(X, "dtype", None) == np.float32 else X
        params["early_stopping"] = False  # which scikit-learn's L-BFGS ignores
    methods = [["fit"], ["fit", "fit"], ["partial_fit"] * 3, ["fit", "partial_fit"]][rng.integers(4)]
    if "partial_fit" in methods:
        params["early_stopping"] = False
    if methods == ["fit", "partial_fit"] and params["solver"] == "lbfgs":
        methods = ["fit"]
    theirs, they_said, they_ended, they_printed = run(getattr(scikit_learns, name)(**params), methods, X, y, w, capsys)
    ours, we_said, we_ended, we_printed = run(clone(getattr(xpnet, name)(**params)), methods, X, y, w, capsys)
    if name == "MLPRegressor" and params["solver"] == "lbfgs" and "partial_fit" in methods:
        assert we_ended is AttributeError  # scikit-learn does not check this, and fits
        return
    assert we_ended == they_ended
    assert we_said == they_said
    if getattr(X, "dtype", None) != np.float32:
        assert we_printed == they_printed
    if they_ended == "trained":
        atol = 1e-6 if params["solver"] == "lbfgs" else 1e-10
        compare(theirs, ours, X, 2e-3 if getattr(X, "dtype", None) == np.float32 else atol)
        compare(ours, pickle.loads(pickle.dumps(ours)), X, 1e-15)
