"""scikit-learn's warts, as the README lists them: what both libraries do, side by side."""

import logging
import pickle
import warnings

import numpy as np
import pytest
import sklearn.neural_network as scikit_learns
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import xpnet
from xpnet.equations.schedules import Adaptive

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:500] / 16.0, y[:500]


def both(name, *data, method="fit", **params):
    """scikit-learn's and xpnet's, fitted alike."""
    return [getattr(getattr(home, name)(**params), method)(*data) for home in (scikit_learns, xpnet)]


# --- fixed by default


def sharp(estimator):
    """Two classes, and logits of 1000."""
    X, y = np.asarray([[-1.0], [1.0]] * 5), np.asarray([0, 1] * 5)
    model = estimator(hidden_layer_sizes=(), max_iter=1, random_state=0).fit(X, y)
    model.coefs_[0][:], model.intercepts_[0][:] = 1000.0, 0.0
    return model, X, y


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_log_probabilities_come_from_the_logits():
    (theirs, X, _), (ours, _, _) = sharp(scikit_learns.MLPClassifier), sharp(xpnet.MLPClassifier)
    assert theirs.predict_log_proba(X)[1, 0] == -np.inf
    assert ours.predict_log_proba(X)[1, 0] == -1000.0


def test_the_loss_is_not_clipped():
    losses = []
    for estimator in (scikit_learns.MLPClassifier, xpnet.MLPClassifier):
        model, X, y = sharp(estimator)
        model.set_params(solver="sgd", learning_rate_init=1e-12, alpha=0.0, warm_start=True).fit(X, 1 - y)
        losses.append(model.loss_)
    assert losses[0] == pytest.approx(36.04, abs=0.01)
    assert losses[1] == pytest.approx(1000.0)


def test_lbfgs_for_regression_has_no_partial_fit():
    assert hasattr(scikit_learns.MLPRegressor(solver="lbfgs"), "partial_fit")
    assert not hasattr(xpnet.MLPRegressor(solver="lbfgs"), "partial_fit")


def test_lbfgs_records_its_losses_and_stops_early(digits):
    theirs, ours = both("MLPClassifier", *digits, solver="lbfgs", early_stopping=True, max_iter=60, random_state=0)
    assert not hasattr(theirs, "loss_curve_")
    assert getattr(theirs, "validation_scores_", None) is None
    assert len(ours.loss_curve_) == len(ours.validation_scores_) == ours.n_iter_ < theirs.n_iter_


def test_divergence_is_an_error_in_its_epoch_and_keeps_finite_parameters(digits):
    X, y = digits
    params = {"solver": "sgd", "learning_rate_init": 1e4, "activation": "identity", "max_iter": 20, "random_state": 0}
    found = []
    for home in (scikit_learns, xpnet):
        model = home.MLPRegressor(**params)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(ValueError, match="non-finite"):
                model.fit(X, y)
        found.append((model.n_iter_, all(np.isfinite(a).all() for a in model.coefs_)))
    assert found[0] == (20, False)
    assert found[1][0] < 3
    assert found[1][1]


# --- fixed by an option


def test_the_rate_falls_for_adam_with_an_adaptive_schedule(digits, caplog):
    caplog.set_level(logging.CRITICAL, "xpnet")
    params = {"tol": 1e9, "n_iter_no_change": 2, "max_iter": 12, "random_state": 0}
    by_name = [m.n_iter_ for m in both("MLPClassifier", *digits, learning_rate="adaptive", **params)]
    assert by_name == [4, 4]  # the rate never falls: training ends at the first plateau
    adaptive = xpnet.MLPClassifier(learning_rate=Adaptive(patience=2), **params).fit(*digits)
    assert adaptive.n_iter_ == 12
    assert adaptive.history_["learning_rate"][-1] < 0.001


def test_early_stopping_may_monitor_the_loss(digits):
    X, y = digits
    theirs, ours = both("MLPClassifier", X, y, early_stopping=True, max_iter=3, random_state=0)
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_)  # the accuracy, in both
    by_loss = xpnet.MLPClassifier(early_stopping=True, scoring="loss", max_iter=3, random_state=0).fit(X, y)
    assert by_loss.validation_scores_ == [-loss for loss in by_loss.validation_loss_curve_]


def test_partial_fit_may_stop_early(digits):
    X, y = digits
    for home in (scikit_learns, xpnet):
        with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
            home.MLPClassifier(early_stopping=True).partial_fit(X, y, classes=range(10))
    model = xpnet.MLPClassifier(early_stopping=True)
    assert not model.partial_fit(X, y, classes=range(10), validation_data=(X, y)).stopped_early_


def test_a_saved_file_holds_the_weights_alone(digits, tmp_path):
    theirs, ours = both("MLPClassifier", *digits, max_iter=2, random_state=0)
    weights = sum(a.nbytes for a in ours.coefs_ + ours.intercepts_)
    xpnet.save(ours, tmp_path / "m.safetensors")
    assert len(pickle.dumps(theirs)) > 3 * weights
    assert (tmp_path / "m.safetensors").stat().st_size < weights + 8000


# --- kept


def test_several_targets_report_a_mean_and_train_on_a_sum(digits):
    X, y = digits
    Y = np.stack([y, -y], axis=1).astype(float)
    theirs, ours = both("MLPRegressor", X, Y, max_iter=2, random_state=0)
    assert ours.loss_ == pytest.approx(theirs.loss_)
    by_equation = xpnet.Model(xpnet.Sequential(xpnet.Dense(2)))
    theta = np.zeros(by_equation.layout(64).n_parameters)
    assert by_equation.cost(theta, X, Y) == pytest.approx(0.5 * (Y * Y).sum() / len(Y))  # the low-level API's is D2's


def test_half_precision_becomes_double(digits):
    X, y = digits
    for model in both("MLPClassifier", X.astype(np.float16), y, max_iter=1):
        assert model.coefs_[0].dtype == np.float64


def test_a_probability_of_one_half_is_the_first_class():
    for estimator in (scikit_learns.MLPClassifier, xpnet.MLPClassifier):
        model, _, _ = sharp(estimator)
        model.coefs_[0][:] = 0.0
        assert model.predict([[1.0]]) == [0]


def test_convergence_warnings_are_the_same(digits):
    for home in (scikit_learns, xpnet):
        with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(1\) reached"):
            home.MLPClassifier(max_iter=1).fit(*digits)
