"""One run of training, made by hand, without an estimator."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

import xpnet
from xpnet import DivergedError, MLPClassifier, MLPRegressor
from xpnet.backends import get_backend
from xpnet.equations.schedules import Adaptive, Plateau
from xpnet.estimators.history import History
from xpnet.estimators.lbfgs import minimize
from xpnet.estimators.settings import Settings, update_rule
from xpnet.estimators.training_run import Run, starting_state, warn
from xpnet.program.steps import Batch

MODEL = xpnet.Model(xpnet.Sequential(xpnet.Dense(1)), precision="float64")


def run_of(judge=None, plateau=Plateau(), **params):
    """A run of linear regression on 20 samples."""
    params = MLPRegressor(**{"learning_rate_init": 0.1, "batch_size": 5, **params})
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 3))
    Y = X @ [[1.0], [2.0], [3.0]]
    state = xpnet.initial_state(np.zeros(4), update_rule(params))
    history, plateau = History.of({}, params.early_stopping, judge is not None), replace(plateau, tol=params.tol)
    return Run(Settings.of(params), MODEL, get_backend("numpy"), Batch(X, Y, None), state, history, plateau, judge)


def rng():
    return np.random.RandomState(0)


def test_epochs_are_trained_and_shown():
    run = run_of()
    assert not run.train(rng(), None, n_epochs=3)
    assert run.history.n_iter_ == len(run.history.loss_curve_) == 3
    assert run.history.t_ == 60
    assert run.state.step == 12
    assert run.attributes["_resume"] is run.state
    assert run.attributes["_plateau"] is run.plateau
    assert run.attributes["loss_curve_"] is run.history.loss_curve_
    assert run.history.loss_curve_[0] > run.history.loss_curve_[-1]


def test_the_same_numbers_as_epochs():
    run = run_of(solver="sgd", shuffle=False)
    run.train(rng(), None, n_epochs=2)
    start = run_of(solver="sgd").state
    epochs = xpnet.epochs(MODEL, start, run.data.X, run.data.Y, batch_size=5, shuffle=False)
    next(epochs)
    expected, cost = next(epochs)
    np.testing.assert_array_equal(run.state.theta, expected.theta)
    assert run.history.loss_ == cost


@pytest.mark.parametrize("by_score", [False, True])
def test_a_plateau_stops(by_score):
    judge = (lambda theta: (1.0, 0.5)) if by_score else None
    run = run_of(judge, tol=1e9, n_iter_no_change=3, early_stopping=by_score)
    assert run.train(rng(), None, n_epochs=50)
    assert run.stops
    assert run.history.n_iter_ == 5
    assert run.plateau.epochs == 4


def test_the_learning_rate_falls_after_a_plateau():
    run = run_of(tol=1e9, learning_rate=Adaptive(patience=1))
    run.train(rng(), None, n_epochs=4)
    assert run.history._course["learning_rate"] == pytest.approx([0.1, 0.1, 0.1, 0.02])


def test_the_learning_rate_falls_with_the_samples_seen():
    run = run_of(solver="sgd", learning_rate="invscaling", power_t=0.5)
    run.train(rng(), None, n_epochs=2)
    assert run.history._course["learning_rate"] == pytest.approx([0.1, 0.1 * 21**-0.5])


def test_early_stopping_keeps_the_state_with_the_best_score():
    scores = iter([0.1, 0.9, 0.3, 0.2])
    thetas = []
    run = run_of(lambda theta: thetas.append(theta.copy()) or (1.0, next(scores)), early_stopping=True)
    run.train(rng(), None, n_epochs=4)
    np.testing.assert_array_equal(run.state.theta, thetas[1])
    assert run.is_best
    assert run.history.validation_scores_ == [0.1, 0.9, 0.3, 0.2]


@pytest.mark.parametrize("best", [math.inf, -0.5], ids=["first fit", "warm start"])
def test_without_a_better_score_the_last_state_is_kept(best):
    run = run_of(lambda theta: (1.0, 0.1 if best < math.inf else math.nan), Plateau(best=best), early_stopping=True)
    run.train(rng(), None, n_epochs=3)
    assert run.state.step == 12


def test_divergence_is_an_error_or_with_early_stopping_a_warning():
    diverging = {"solver": "sgd", "learning_rate_init": 1e200, "momentum": 0.0}
    run = run_of(**diverging)
    with pytest.raises(DivergedError, match=r"^Solver produced non-finite .*diverged in epoch 1"):
        run.train(rng(), None, n_epochs=3)
    assert np.isfinite(run.state.theta).all()
    run = run_of(lambda theta: (1.0, 0.5), early_stopping=True, **diverging)
    with pytest.warns(UserWarning, match="those of the best validation score"):
        assert run.train(rng(), None, n_epochs=3)
    assert math.isnan(run.history.loss_)


class Told:
    """A stand-in for callbacks."""

    def __init__(self, stop_after=math.inf):
        self.steps, self.stop_after = [], stop_after

    def begin_epoch(self, state):
        self.steps.append(state.step)

    def end_epoch(self, state):
        self.steps.append(state.step)
        return len(self.steps) >= 2 * self.stop_after


def test_callbacks_are_called_and_end_training():
    run = run_of()
    run.callbacks = Told(stop_after=2)
    assert run.train(rng(), None, n_epochs=9)
    assert run.callbacks.steps == [0, 4, 4, 8]
    assert not run.stops


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_an_interrupt_keeps_the_last_epoch(solver):
    calls = []

    def judge(theta):
        calls.append(theta)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return 1.0, 0.5

    run = run_of(judge, solver=solver)
    if solver == "lbfgs":
        with pytest.raises(KeyboardInterrupt):
            minimize(run)
    else:
        with pytest.warns(UserWarning, match="interrupted by user"):
            assert run.train(rng(), None, n_epochs=9)
    assert run.history.n_iter_ == 2
    np.testing.assert_array_equal(run.state.theta, calls[1])


def test_a_search_finds_the_minimum():
    run = run_of(solver="lbfgs", tol=1e-9)
    minimize(run)
    np.testing.assert_allclose(run.state.theta, [1.0, 2.0, 3.0, 0.0], atol=1e-4)
    assert run.history.loss_ == run.history.loss_curve_[-1]
    assert run.history._course["learning_rate"] == [None] * run.history.n_iter_


def test_a_search_stops_by_its_score():
    run = run_of(lambda theta: (1.0, 0.5), solver="lbfgs", early_stopping=True, n_iter_no_change=1, tol=1e-9)
    minimize(run)
    assert run.history.n_iter_ == 3
    assert run.plateau.best == -0.5


def test_a_batch_larger_than_the_samples_is_clipped():
    run = run_of(batch_size=999)
    with pytest.warns(UserWarning, match="It is going to be clipped"):
        run.train(rng(), None, n_epochs=1)
    assert run.state.step == 1


def test_warnings_name_the_line_outside_of_the_package():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn("here")
        MLPClassifier(max_iter=1).fit([[0.0], [1.0]], [0, 1])
        MLPClassifier(batch_size=9).partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1])
    assert [warning.filename for warning in caught] == [__file__] * 3


def test_a_starting_state_is_drawn_or_fitted_or_goes_on():
    X, y = np.eye(4), np.arange(4.0)
    regressor, backend = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1, random_state=0, dropout=0.5), get_backend()
    regressor.n_outputs_ = 1
    drawn = starting_state(regressor, regressor._model(), backend, X, rng(), resumes=False)
    assert (drawn.step, drawn.theta.shape) == (0, (3 * 4 + 3 + 3 + 1,))
    assert drawn.seed != 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        regressor.fit(X, y)
    for resumes in (False, True):
        state = starting_state(regressor, regressor._model(), backend, X, rng(), resumes)
        np.testing.assert_array_equal(state.theta, regressor._theta(backend, X))
        assert state.slots[0].any() == resumes
        assert state.step == resumes
