"""The curves of training and their printed lines, without an estimator."""

import math

import pytest

from xpnet import MLPClassifier
from xpnet.equations.schedules import Plateau
from xpnet.estimators.history import RECORDS, History, curves, drop_other_kind, print_epoch, restore
from xpnet.estimators.settings import Settings

COURSE = {"learning_rate": 0.1, "gradient_norm": None, "seconds": 0.5}


def settings(**params):
    return Settings.of(MLPClassifier(**params))


def test_epochs_are_added():
    history = History.of({}, early_stopping=False, is_validated=True)
    assert not hasattr(history, "loss_")
    assert history.add(2.0, 3.0, 0.5, best_cost=2.0, **COURSE)
    assert not history.add(2.5, 3.5, 0.4, best_cost=2.0, **COURSE)
    assert (history.n_iter_, history.loss_, history.best_loss_, history.best_validation_score_) == (2, 2.5, 2.0, 0.5)
    expected = {
        "loss": [2.0, 2.5],
        "validation_loss": [3.0, 3.5],
        "validation_score": [0.5, 0.4],
        "learning_rate": [0.1, 0.1],
        "seconds": [0.5, 0.5],
    }
    assert curves(history) == expected  # there is no clip_norm


def test_without_a_validation_set_there_are_no_scores():
    history = History.of({}, early_stopping=False, is_validated=False)
    assert not history.add(2.0, math.nan, math.nan, best_cost=2.0, **COURSE)
    assert history.validation_scores_ is history.validation_loss_curve_ is history.best_validation_score_ is None


def test_early_stopping_has_no_best_loss():
    history = History.of({}, early_stopping=True, is_validated=True)
    history.add(2.0, 3.0, 0.5, best_cost=-0.5, **COURSE)
    assert history.best_loss_ is None


def test_a_history_goes_on_where_it_was():
    first = History.of({}, early_stopping=False, is_validated=False)
    first.add(2.0, math.nan, math.nan, best_cost=2.0, **COURSE)
    first.t_ = 150
    second = History.of(vars(first), early_stopping=False, is_validated=True)
    second.add(1.0, 3.0, 0.5, best_cost=1.0, **COURSE)
    assert (second.n_iter_, second.t_, second.loss_curve_) == (1, 150, [2.0, 1.0])
    assert math.isnan(second.validation_scores_[0])
    assert second.validation_scores_[1:] == [0.5]


@pytest.mark.parametrize(
    ("params", "is_kept"), [({}, True), ({"early_stopping": True}, False), ({"solver": "lbfgs"}, False)], ids=str
)
def test_a_history_of_another_kind_of_training_is_dropped(params, is_kept):
    history = History.of({}, early_stopping=False, is_validated=False)
    history.add(2.0, math.nan, math.nan, best_cost=2.0, **COURSE)
    attributes = {**vars(history), "_plateau": Plateau(), "coefs_": []}
    drop_other_kind(attributes, settings(**params))
    assert set(attributes) - {"coefs_", "n_iter_", "t_", "loss_"} == ({*RECORDS, "_plateau"} if is_kept else set())


def test_after_a_search_steps_begin_a_history_of_their_own():
    history = History.of({}, early_stopping=False, is_validated=False)
    history.add(2.0, math.nan, math.nan, best_cost=2.0, **{**COURSE, "learning_rate": None})
    attributes = dict(vars(history))
    drop_other_kind(attributes, settings())
    assert "loss_curve_" not in attributes


def test_what_is_unknown_of_a_model_made_elsewhere_is_NaN():
    attributes = {"loss_curve_": [2.0, 1.0], "best_loss_": 1.0}
    restore(attributes, tol=0.1, plateau_epochs=1)
    assert set(attributes) == {*RECORDS, "_plateau"}
    assert attributes["_plateau"] == Plateau(0.1, 1.0, 1)
    assert all(map(math.isnan, attributes["_course"]["learning_rate"]))
    scored = {"loss_curve_": [2.0], "validation_scores_": [0.5], "best_validation_score_": 0.5}
    restore(scored, tol=0.1)
    assert math.isnan(scored["validation_loss_curve_"][0])
    assert scored["_plateau"].best == -0.5


@pytest.mark.parametrize("verbose", [True, 1, 10])
def test_the_lines_are_scikit_learns(verbose, capsys):
    history = History.of({}, early_stopping=True, is_validated=True)
    history.add(2.0, 3.0, 0.5, best_cost=-0.5, **COURSE)
    for params in ({"verbose": verbose}, {"verbose": verbose, "solver": "lbfgs"}, {}):
        print_epoch(history, settings(**params), 0.5)
    assert capsys.readouterr().out == "Iteration 1, loss = 2.00000000\nValidation score: 0.500000\n"


def test_the_table_marks_the_best(capsys):
    history = History.of({}, early_stopping=False, is_validated=False)
    for cost, best in ((2.0, 2.0), (1.0, 1.0), (1.5, 1.0)):
        history.add(cost, math.nan, math.nan, best_cost=best, **COURSE)
        print_epoch(history, settings(verbose=2), None)
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["epoch", "loss", "learning_rate", "seconds"]
    assert [row.split()[:2] for row in rows] == [["1", "2*"], ["2", "1*"], ["3", "1.5"]]
