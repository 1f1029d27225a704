"""What the estimators do beyond scikit-learn's: against the low-level API, another library, or by what it is for."""

import logging
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import joblib
import numpy as np
import pytest
import sklearn.neural_network as scikit_learns
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score, log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

import xpnet
from xpnet import MLPClassifier, MLPRegressor
from xpnet.backends import to_numpy
from xpnet.equations.activations import ELU, Activation
from xpnet.equations.schedules import Adaptive, Cosine
from xpnet.estimators import settings

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600] / 16.0, y[:600]


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X / X.std(axis=0), (y - y.mean()) / y.std()


def same(one, other, atol=0.0):
    for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_allclose(to_numpy(a), to_numpy(b), rtol=0, atol=atol)


# --- class weights


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 5.0, 3: 0.5}], ids=str)
def test_class_weights_are_sample_weights(digits, solver, class_weight):
    X, y = digits
    w = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    params = {"solver": solver, "max_iter": 4, "random_state": 0}
    ours = MLPClassifier(class_weight=class_weight, **params).fit(X, y, w)
    by_hand = scikit_learns.MLPClassifier(**params).fit(X, y, w * compute_sample_weight(class_weight, y))
    same(ours, by_hand, atol=1e-6 if solver == "lbfgs" else 1e-12)


def test_class_weights_of_several_labels_and_in_partial_fit(digits):
    X, y = digits
    labels = np.stack([y > 4, y % 2 == 0], axis=1).astype(int)
    weights = [{0: 1.0, 1: 3.0}, {0: 2.0, 1: 1.0}]
    by_hand = MLPClassifier(max_iter=2, random_state=0).fit(X, labels, compute_sample_weight("balanced", labels))
    same(MLPClassifier(max_iter=2, random_state=0, class_weight="balanced").fit(X, labels), by_hand)
    with pytest.raises(ValueError, match="class_weight"):
        MLPClassifier(class_weight=weights).fit(X, labels)
    model = MLPClassifier(class_weight="balanced")
    with pytest.raises(ValueError, match=r"'balanced', which partial_fit can't know.*give a dict"):
        model.partial_fit(X, y, classes=range(10))
    of_dict = dict(enumerate(compute_class_weight("balanced", classes=np.arange(10), y=y)))
    ours = MLPClassifier(class_weight=of_dict, random_state=0).partial_fit(X, y, classes=range(10))
    weighted = MLPClassifier(random_state=0).partial_fit(X, y, compute_sample_weight("balanced", y), range(10))
    same(ours, weighted)


def test_class_weights_find_the_rare_class():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2))
    y = (X[:, 0] + 0.5 * rng.normal(size=2000) > 2.0).astype(int)
    recalls = []
    for class_weight in (None, "balanced"):
        found = MLPClassifier((8,), max_iter=40, random_state=0, class_weight=class_weight).fit(X, y).predict(X)
        recalls.append(found[y == 1].mean())
    assert recalls[1] > recalls[0] + 0.2


# --- validation data, scoring


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_validation_loss_is_scikit_learns_log_loss(digits, solver):
    X, y = digits
    model = MLPClassifier(max_iter=5, random_state=0, solver=solver)
    model.fit(X[:400], y[:400], validation_data=(X[400:], y[400:]))
    assert len(model.validation_loss_curve_) == len(model.validation_scores_) == model.n_iter_ == 5
    assert model.validation_loss_curve_[-1] == pytest.approx(log_loss(y[400:], model.predict_proba(X[400:])), rel=1e-10)
    assert model.validation_scores_[-1] == model.score(X[400:], y[400:])
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_loss_ is not None
    same(model, MLPClassifier(max_iter=5, random_state=0, solver=solver).fit(X[:400], y[:400]))  # it changes nothing


def test_validation_data_have_weights_and_follow_x(library, diabetes):
    X, y = diabetes
    w = np.linspace(0.1, 2.0, 100)
    there = [library.asarray(a) for a in (X[:300], y[:300], X[300:400], y[300:400], w)]
    model = MLPRegressor(max_iter=3, random_state=0).fit(*there[:2], validation_data=tuple(there[2:]))
    E = np.asarray(to_numpy(model.predict(there[2]))) - y[300:400]
    assert model.validation_loss_curve_[-1] == pytest.approx(np.average(0.5 * E * E, weights=w), rel=1e-9)


def test_early_stopping_by_given_data_keeps_the_best_of_it(digits):
    X, y = digits
    model = MLPClassifier(
        early_stopping=True, n_iter_no_change=3, max_iter=200, random_state=0, learning_rate_init=0.01
    )
    model.fit(X[:400], y[:400], validation_data=(X[400:], y[400:]))
    assert model.n_iter_ < 200
    assert model.score(X[400:], y[400:]) == model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_loss_ is None


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("scoring", ["loss", "f1_macro", "neg_log_loss"])
def test_scoring_chooses_the_best_parameters(digits, scoring, solver):
    X, y = digits
    model = MLPClassifier(
        early_stopping=True, scoring=scoring, solver=solver, max_iter=30, n_iter_no_change=2, tol=1e-3, random_state=0
    )
    model.fit(X[:400], y[:400], validation_data=(X[400:], y[400:]))
    P = model.predict_proba(X[400:])
    by_hand = f1_score(y[400:], P.argmax(axis=1), average="macro") if scoring == "f1_macro" else -log_loss(y[400:], P)
    assert by_hand == pytest.approx(model.best_validation_score_, rel=1e-9)
    assert model.best_validation_score_ == max(model.validation_scores_)


@pytest.mark.parametrize("source", ["split", "given"])
def test_a_scorer_gets_labels_and_samples(digits, source):
    X, y = digits
    names = np.asarray([f"digit {k}" for k in range(10)])[y]
    seen = []

    def scorer(estimator, X, y):
        seen.append((type(estimator), X.shape, set(y) <= set(names)))
        return estimator.score(X, y)

    given = (X[500:], names[500:]) if source == "given" else None
    model = MLPClassifier(early_stopping=True, scoring=scorer, max_iter=2, random_state=0)
    model.fit(X[:500], names[:500], validation_data=given)
    assert seen == [(MLPClassifier, (100 if given else 50, 64), True)] * 2
    plain = MLPClassifier(early_stopping=True, max_iter=2, random_state=0)
    plain.fit(X[:500], names[:500], validation_data=given)
    assert model.validation_scores_ == plain.validation_scores_


def test_regression_is_stopped_by_its_loss(diabetes):
    X, y = diabetes
    model = MLPRegressor(early_stopping=True, scoring="loss", max_iter=300, random_state=0).fit(X, y)
    assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]


def test_partial_fit_stops_early_by_given_data(digits):
    X, y = digits
    validation_data = (X[400:], y[400:])
    model = MLPClassifier((16,), early_stopping=True, n_iter_no_change=3, random_state=0, learning_rate_init=0.05)
    for _ in range(200):
        model.partial_fit(X[:400], y[:400], classes=range(10), validation_data=validation_data)
        if model.stopped_early_:
            break
        assert model.score(*validation_data) == model.validation_scores_[-1]  # until then the last parameters are shown
    assert model.stopped_early_
    assert len(model.validation_scores_) == len(model.loss_curve_) < 200
    assert model.score(*validation_data) == model.best_validation_score_ == max(model.validation_scores_)
    again = pickle.loads(pickle.dumps(model)).partial_fit(X[:400], y[:400], validation_data=validation_data)
    assert not again.stopped_early_
    with pytest.raises(ValueError, match=r"early_stopping=True without validation_data"):
        model.partial_fit(X, y)


@pytest.mark.parametrize("bad", [3, ([[1.0]],), (1, 2, 3, 4)], ids=str)
def test_validation_data_of_another_form_are_refused(digits, bad):
    with pytest.raises(ValueError, match=r"^validation_data is a .*give a tuple \(X, y\)"):
        MLPClassifier().fit(*digits, validation_data=bad)


def test_validation_data_that_do_not_fit_are_refused(digits):
    X, y = digits
    with pytest.raises(ValueError, match="features"):
        MLPClassifier().fit(X, y, validation_data=(X[:, :3], y))
    with pytest.raises(ValueError, match="classes not in"):
        MLPClassifier().fit(X[y < 9], y[y < 9], validation_data=(X, y))


# --- layers


@dataclass(frozen=True)
class Softsign(Activation):
    """a = z / (1 + |z|), f' = (1 - |a|)^2."""

    def forward(self, Z):
        return Z / (1.0 + abs(Z))

    def derivative(self, Z, A):
        return (1.0 - abs(A)) ** 2


@pytest.mark.parametrize(
    "activation", [["tanh", "elu"], [Softsign(), ELU(0.3)], "leaky_relu", Softsign(), "sigmoid"], ids=str
)
def test_activations_of_each_layer(digits, activation):
    X, y = digits
    model = MLPClassifier((12, 8), activation=activation, max_iter=3, random_state=0, shuffle=False).fit(X, y)
    first, second = activation if isinstance(activation, list) else (activation, activation)
    network = xpnet.Sequential(xpnet.Dense(12, first), xpnet.Dense(8, second), xpnet.Dense(10))
    by_hand = xpnet.Model(network, "cross_entropy", l2=1e-4, scale_penalty=True)
    rng, layout = np.random.RandomState(0), by_hand.layout(64)
    theta = MLPClassifier((12, 8), activation=activation, random_state=0)
    theta.n_outputs_, theta._label_binarizer = 10, model._label_binarizer
    state = xpnet.initial_state(theta._model().draw(rng, 64), xpnet.Adam())
    state, _ = next(islice(epochs_in_order(by_hand, state, X, np.eye(10)[y]), 2, None))
    for a, (W, _) in zip(model.coefs_, layout.unpack(state.theta), strict=True):
        np.testing.assert_allclose(a, W, rtol=1e-12)
    clone(model).fit(X, y)
    assert pickle.loads(pickle.dumps(model)).score(X, y) == model.score(X, y)


def epochs_in_order(model, state, X, Y):
    return xpnet.epochs(model, state, X, Y, batch_size=200, shuffle=False)


def test_one_activation_or_dropout_for_each_hidden_layer(digits):
    for params in ({"activation": ["relu"]}, {"dropout": [0.1, 0.2, 0.3]}):
        (name,) = params
        with pytest.raises(
            ValueError, match=rf"^{name} has \d entries and there are 2 hidden layers; give one for each"
        ):
            MLPClassifier((5, 4), **params).fit(*digits)
    with pytest.raises(ValueError, match="activation"):
        MLPClassifier(activation="swoosh").fit(*digits)


@pytest.mark.parametrize("dropout", [0.3, [0.0, 0.5]], ids=str)
def test_dropout_is_the_same_on_every_library_and_off_in_prediction(library, digits, dropout):
    X, y = digits
    params = {"hidden_layer_sizes": (20, 10), "dropout": dropout, "max_iter": 3, "random_state": 0}
    model = MLPClassifier(**params).fit(library.asarray(X), library.asarray(y))
    same(model, MLPClassifier(**params).fit(X, y), atol=1e-10)
    assert [a.shape for a in model.coefs_] == [(64, 20), (20, 10), (10, 10)]
    first, second = (to_numpy(model.predict_proba(library.asarray(X))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    plain = MLPClassifier(**{**params, "dropout": 0.0}).fit(X, y)
    assert np.abs(plain.coefs_[0] - to_numpy(model.coefs_[0])).max() > 1e-3


def test_dropout_keeps_a_large_net_from_overfitting(diabetes):
    X, y = diabetes
    params = {"hidden_layer_sizes": (200,), "alpha": 0.0, "max_iter": 500, "tol": 0.0, "learning_rate_init": 0.003}
    nets = [MLPRegressor(dropout=rate, random_state=0, **params).fit(X[:100], y[:100]) for rate in (0.0, 0.5)]
    by_heart, dropped = (net.score(X[100:], y[100:]) for net in nets)
    assert dropped > by_heart + 0.3


# --- penalties, rules, rates


def test_penalties_are_the_models(diabetes):
    X, y = diabetes
    alpha, start = 0.3, {"max_iter": 1, "random_state": 0, "alpha": 0.3, "batch_size": len(y)}
    costs = {
        p: MLPRegressor(penalty=p, l1_ratio=0.25, **start).fit(X, y).loss_ for p in ("l1", "l2", "elasticnet", None)
    }
    first = MLPRegressor(**{**start, "solver": "sgd", "learning_rate_init": 1e-12}).fit(X, y)
    W = np.concatenate([a.ravel() for a in first.coefs_])
    l1, l2 = alpha * np.abs(W).sum() / len(y), 0.5 * alpha * (W @ W) / len(y)
    assert costs["l2"] - costs[None] == pytest.approx(l2, rel=1e-8)
    assert costs["l1"] - costs[None] == pytest.approx(l1, rel=1e-8)
    assert costs["elasticnet"] - costs[None] == pytest.approx(0.25 * l1 + 0.75 * l2, rel=1e-8)


def test_l1_sends_weights_to_zero(diabetes):
    X, y = diabetes
    small = []
    for penalty in ("l2", "l1"):
        model = MLPRegressor(hidden_layer_sizes=(20,), penalty=penalty, alpha=5.0, max_iter=400, random_state=0)
        small.append((np.abs(model.fit(X, y).coefs_[0]) < 0.003).mean())
    assert small[1] > 0.9 > 0.3 > small[0]


def test_adamw_is_torchs(diabetes):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    X, y = diabetes
    params = {"hidden_layer_sizes": (7,), "activation": "tanh", "batch_size": len(y), "alpha": 0.0, "random_state": 0}
    model = MLPRegressor(solver="adamw", weight_decay=0.3, max_iter=5, **params).fit(X, y)
    start = MLPRegressor(solver="sgd", learning_rate_init=1e-300, max_iter=1, **params).fit(X, y)
    weights, biases = (
        [torch.tensor(a, requires_grad=True) for a in list_] for list_ in (start.coefs_, start.intercepts_)
    )
    groups = [{"params": weights, "weight_decay": 0.3}, {"params": biases, "weight_decay": 0.0}]
    rule = torch.optim.AdamW(groups, lr=0.001)
    for _ in range(5):
        rule.zero_grad()
        A = torch.tanh(torch.tensor(X) @ weights[0] + biases[0]) @ weights[1] + biases[1]
        (0.5 * (A[:, 0] - torch.tensor(y)) ** 2).mean().backward()
        rule.step()
    for a, b in zip(model.coefs_ + model.intercepts_, weights + biases, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=0, atol=2e-6)  # torch adds epsilon elsewhere


def test_the_gradient_is_clipped_and_its_norm_recorded(diabetes):
    X, y = diabetes
    params = {"solver": "sgd", "momentum": 0.0, "max_iter": 1, "batch_size": len(y), "random_state": 0}
    steps = []
    for clip_norm in (None, np.inf, 0.01):
        model = MLPRegressor(clip_norm=clip_norm, **params).fit(X, y)
        start = MLPRegressor(**{**params, "learning_rate_init": 1e-300}).fit(X, y)
        parts = zip(model.coefs_ + model.intercepts_, start.coefs_ + start.intercepts_, strict=True)
        steps.append(np.sqrt(sum(((a - b) ** 2).sum() for a, b in parts)) / 0.001)
    assert "gradient_norm" not in MLPRegressor(**params).fit(X, y).history_
    assert model.history_["gradient_norm"][0] == pytest.approx(steps[0], rel=1e-8)
    assert steps[1] == pytest.approx(steps[0], rel=1e-12)
    assert steps[2] == pytest.approx(0.01, rel=1e-8)


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_schedules_work_for_every_solver_that_steps(diabetes, solver):
    X, y = diabetes
    params = {"solver": solver, "max_iter": 4, "random_state": 0, "batch_size": len(y), "momentum": 0.0}
    stopped = MLPRegressor(learning_rate=Cosine(steps=2), **params).fit(X, y)
    twice = MLPRegressor(learning_rate=Cosine(steps=2), **{**params, "max_iter": 2}).fit(X, y)
    same(stopped, twice)  # without momentum, from the second step on the rate is 0
    falling = MLPRegressor(learning_rate=Adaptive(patience=2), tol=1e9, **{**params, "max_iter": 7}).fit(X, y)
    rates = falling.history_["learning_rate"]
    assert rates[0] == 0.001
    assert rates[-1] == pytest.approx(0.001 / 5.0)


def test_schedules_of_sgd_are_reported_as_ignored_by_other_solvers(diabetes, caplog):
    settings._say_that_it_is_ignored.cache_clear()
    for _ in range(2):
        MLPRegressor(learning_rate="adaptive", max_iter=1).fit(*diabetes)
    (record,) = (r for r in caplog.records if r.name == "xpnet")
    assert record.levelno == logging.WARNING
    assert "learning_rate='adaptive' is for solver='sgd' and does nothing for 'adam'" in record.getMessage()


@pytest.mark.parametrize(
    "params",
    [{"dropout": 0.1}, {"penalty": "l1"}, {"penalty": "elasticnet"}, {"clip_norm": 1.0}, {"learning_rate": Cosine(3)}],
    ids=str,
)
def test_lbfgs_refuses_what_it_can_not_do(diabetes, params):
    (name,) = params
    with pytest.raises(ValueError, match=rf"^{name} is .*, and solver='lbfgs' takes .* alone: .*; use solver='adam'"):
        MLPRegressor(solver="lbfgs", **params).fit(*diabetes)


def test_lbfgs_stops_early_with_the_best_parameters(digits):
    X, y = digits
    model = MLPClassifier(solver="lbfgs", early_stopping=True, n_iter_no_change=3, max_iter=200, random_state=0).fit(
        X, y
    )
    assert model.n_iter_ == len(model.validation_scores_) == len(model.loss_curve_) < 200
    assert model.best_validation_score_ == max(model.validation_scores_)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        clone(model).fit(X, y)


# --- callbacks, history, the table


class Watcher:
    """A callback that records its calls, and may end training."""

    def __init__(self, stop_after=None):
        self.calls, self.stop_after = [], stop_after

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, fitted_estimator=None):
        self.calls.append(("begin", context.task_name, context.task_id, X.shape, fitted_estimator is not None))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        score = None if fitted_estimator is None else fitted_estimator.score(X, y)
        self.calls.append(("end", context.task_name, context.task_id, metadata, score))
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_are_called_for_every_epoch(digits, solver):
    X, y = digits
    watcher = Watcher(stop_after=3)
    w = np.ones(len(y))
    model = MLPClassifier(solver=solver, max_iter=20, random_state=0).set_callbacks(watcher).fit(X, y, w)
    assert model.n_iter_ == 3
    calls = [entry[:3] if isinstance(entry, tuple) else entry for entry in watcher.calls]
    epochs = [(what, "epoch", k) for k in range(3) for what in ("begin", "end")]
    assert calls == ["setup", ("begin", "fit", 0), *epochs, ("end", "fit", 0), "teardown"]
    last = watcher.calls[-3]
    assert last[3]["sample_weight"] is w
    assert last[4] == model.score(X, y)
    same(model, MLPClassifier(solver=solver, max_iter=3, random_state=0).fit(X, y, w))


def test_callbacks_end_also_if_training_fails(digits):
    class Ended(Watcher):
        def on_fit_task_end(self, estimator, context):
            return False

    watcher = Ended()
    X, y = digits
    model = MLPRegressor(solver="sgd", learning_rate_init=1e6, activation="identity", random_state=0)
    with pytest.raises(xpnet.DivergedError):
        model.set_callbacks(watcher).fit(X, y)
    assert watcher.calls[-1] == "teardown"


def test_scikit_learns_own_callbacks(digits, capsys):
    pytest.importorskip("rich", reason="rich is not installed")
    X, y = digits
    monitor = ScoringMonitor(scoring="accuracy")
    model = MLPClassifier(max_iter=4, random_state=0).set_callbacks(ProgressBar(), monitor).fit(X, y)
    log = monitor.get_logs()
    assert [row["accuracy"] for row in log.data if row["task_name"] == "epoch"][-1] == model.score(X, y)
    assert "MLPClassifier" in capsys.readouterr().out


def test_callbacks_reach_the_networks_of_a_search(digits):
    pytest.importorskip("rich", reason="rich is not installed")
    X, y = digits
    search = GridSearchCV(MLPClassifier(max_iter=2, random_state=0), {"alpha": [1e-4, 1e-2]}, cv=2)
    watcher = Watcher()
    search.estimator.set_callbacks(watcher)
    search.fit(X, y)
    assert watcher.calls.count("setup") == 5  # two alphas, two folds, and the best once more


def test_history_has_a_value_for_every_epoch(digits):
    X, y = digits
    model = MLPClassifier(max_iter=3, random_state=0, clip_norm=np.inf, warm_start=True)
    model.fit(X, y, validation_data=(X, y)).fit(X, y, validation_data=(X, y))
    columns = {"loss", "validation_loss", "validation_score", "learning_rate", "gradient_norm", "seconds"}
    assert set(model.history_) == columns
    assert {len(values) for values in model.history_.values()} == {6}
    assert model.history_["loss"] == model.loss_curve_
    assert all(s > 0 for s in model.history_["seconds"])
    assert set(MLPClassifier(max_iter=1).fit(X, y).history_) == {"loss", "learning_rate", "seconds"}


def test_validation_data_may_come_later(digits):
    X, y = digits
    model = MLPClassifier(max_iter=2, random_state=0, warm_start=True).fit(X, y).fit(X, y, validation_data=(X, y))
    model.fit(X, y)
    missing = np.isnan(model.validation_scores_)
    assert missing.tolist() == [True, True, False, False, True, True]
    assert model.best_validation_score_ == np.nanmax(model.validation_scores_)


def test_the_table_of_verbose_2(digits, capsys):
    X, y = digits
    MLPClassifier(max_iter=3, random_state=0, verbose=2, early_stopping=True).fit(X, y)
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["epoch", "loss", "val_loss", "val_score", "learning_rate", "seconds"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert rows[0].split()[3].endswith("*")
    assert len({len(line.rstrip()) - len(line.rstrip()) for line in rows}) == 1


# --- where fits run


def fitted(seed, X, y):
    return MLPClassifier((30, 10), max_iter=4, random_state=seed, dropout=0.1).fit(X, y).coefs_


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_fits_side_by_side_give_the_numbers_of_a_fit_alone(digits, backend):
    X, y = digits
    alone = [fitted(seed, X, y) for seed in range(4)]
    together = joblib.Parallel(n_jobs=2, backend=backend, max_nbytes=100)(
        joblib.delayed(fitted)(seed, X, y) for seed in range(4)
    )
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_fits_in_threads_of_ones_own(digits):
    with ThreadPoolExecutor(3) as pool:
        together = [*pool.map(lambda seed: fitted(seed, *digits), range(6))]
    for seed, coefs in enumerate(together):
        for a, b in zip(fitted(seed, *digits), coefs, strict=True):
            np.testing.assert_array_equal(a, b)


# --- to scikit-learn and back


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("targets", ["labels", "two", "text", "multilabel"])
def test_classifiers_go_to_scikit_learn_and_back(digits, solver, targets):
    X, y = digits
    y = {"labels": y, "two": y > 4, "text": y.astype(str), "multilabel": np.eye(10, dtype=int)[y]}[targets]
    ours = MLPClassifier((12,), "logistic", max_iter=5, random_state=0, solver=solver, backend="numpy").fit(X, y)
    theirs = ours.to_sklearn()
    assert type(theirs) is scikit_learns.MLPClassifier
    np.testing.assert_allclose(theirs.predict_proba(X), ours.predict_proba(X), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(theirs.predict(X), ours.predict(X))
    back = MLPClassifier.from_sklearn(theirs)
    np.testing.assert_array_equal(back.predict_proba(X), ours.predict_proba(X))
    if solver != "lbfgs":
        theirs.partial_fit(X, y)
        same(back.partial_fit(X, y), theirs, atol=1e-12)
    clone(theirs).fit(X, y)


def test_regressors_go_to_scikit_learn_and_back(library, diabetes):
    X, y = diabetes
    for loss, targets in (("squared_error", y), ("poisson", np.exp(y)), ("squared_error", np.stack([y, -y], axis=1))):
        ours = MLPRegressor(loss, (9, 5), "tanh", max_iter=4, random_state=0)
        ours.fit(library.asarray(X), library.asarray(targets))
        theirs = ours.to_sklearn()
        expected = to_numpy(ours.predict(library.asarray(X)))
        np.testing.assert_allclose(theirs.predict(X), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(MLPRegressor.from_sklearn(theirs).predict(X), expected, rtol=1e-12, atol=1e-12)


def test_what_scikit_learn_lacks_is_named(diabetes):
    X, y = diabetes
    ours = MLPRegressor("huber", solver="adamw", dropout=0.1, learning_rate=Cosine(9), max_iter=2).fit(X, y)
    with pytest.warns(UserWarning, match=r"has no learning_rate=Cosine.*, loss='huber', solver.*dropout=0.1: the"):
        theirs = ours.to_sklearn()
    np.testing.assert_allclose(theirs.predict(X), ours.predict(X), rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"^activation is 'elu'; scikit-learn has one for all.*save the model"):
        MLPRegressor(activation="elu", max_iter=1).fit(X, y).to_sklearn()
    for wrong in (
        3,
        scikit_learns.MLPRegressor(),
        scikit_learns.MLPClassifier(max_iter=1).fit(*load_iris(return_X_y=True)),
    ):
        with pytest.raises(ValueError, match=r"takes a fitted sklearn\.neural_network\.MLPRegressor"):
            MLPRegressor.from_sklearn(wrong)


# --- out of core


class OnDisk:
    """What HDF5 and Zarr have: shape, dtype and slices of rows."""

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype

    def __getitem__(self, key):
        assert isinstance(key, slice)
        self.largest = max(getattr(self, "largest", 0), key.stop - key.start)
        return self.values[key]


@pytest.mark.parametrize("early_stopping", [False, True])
def test_rows_on_a_disk_are_fitted_and_predicted(digits, early_stopping, monkeypatch):
    monkeypatch.setattr("xpnet.backends.row_source._BLOCK_BYTES", 50 * 64 * 8)
    X, y = digits
    params = {"max_iter": 30, "random_state": 0, "early_stopping": early_stopping}
    source = OnDisk(X)
    model = MLPClassifier(**params).fit(source, y)
    assert source.largest <= 50
    expected = MLPClassifier(**params).fit(X, y)
    assert abs(model.score(X, y) - expected.score(X, y)) < 0.05
    np.testing.assert_array_equal(model.predict(OnDisk(X)), model.predict(X))
    in_order = [MLPClassifier(shuffle=False, max_iter=3, random_state=0).fit(data, y) for data in (X, OnDisk(X))]
    same(*in_order)


def test_lbfgs_refuses_rows_on_a_disk(digits):
    with pytest.raises(ValueError, match=r"^X is a OnDisk that is read in rows, and solver='lbfgs'.*pass X\[:\]"):
        MLPClassifier(solver="lbfgs").fit(OnDisk(digits[0]), digits[1])


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_memmaps_give_the_numbers_of_arrays(digits, dtype, early_stopping, tmp_path):
    X, y = (16 * digits[0]).astype(dtype), digits[1]
    file = np.memmap(tmp_path / "X", dtype, "w+", shape=X.shape)
    file[:] = X
    params = {"max_iter": 3, "random_state": 0, "early_stopping": early_stopping}
    same(MLPClassifier(**params).fit(file, y), MLPClassifier(**params).fit(X, y))


# --- a fitted model survives


def survives(model, X, y, error, **fit):
    """The fit fails, and the model is what it was."""
    before, P = dict(vars(model)), model.predict(X)
    with pytest.raises(error):
        model.fit(X, y, **fit)
    assert vars(model).keys() == before.keys()
    np.testing.assert_array_equal(model.predict(X), P)


def test_a_fit_that_can_not_begin_leaves_the_model_as_it_was(diabetes):
    X, y = diabetes
    counts = MLPRegressor(xpnet.losses.HalfPoissonDeviance(), max_iter=3).fit(X, np.exp(y))
    survives(counts, X, y, ValueError)
    model = MLPRegressor(max_iter=2).fit(X, y)
    survives(model.set_params(scoring="nonsense"), X, y, ValueError)
    survives(model.set_params(scoring=None, learning_rate=Cosine), X, y, ValueError)
    model.set_params(learning_rate="constant")
    survives(model, X, y, ValueError, validation_data=(X, np.stack([y, y], axis=1)))

    class Failing(Watcher):
        def on_fit_task_begin(self, estimator, context):
            raise OSError("no room")

    watcher = Failing()
    survives(model.set_callbacks(watcher), X, y, OSError)
    assert watcher.calls == ["setup", "teardown"]
    with pytest.raises(ValueError, match=r"1-hot|one-hot|sums to 1"):
        MLPRegressor(loss=xpnet.losses.CrossEntropy()).fit(X, np.stack([y, y], axis=1))


def test_a_fitted_model_predicts_whatever_its_parameters_are_set_to(digits):
    X, y = digits
    model = MLPClassifier((8,), dropout=0.2, max_iter=3, random_state=0).fit(X, y)
    P = model.predict_proba(X)
    model.set_params(hidden_layer_sizes=(16, 16), dropout=[0.5])
    np.testing.assert_array_equal(model.predict_proba(X), P)
    assert [a.shape for a in model.partial_fit(X, y).coefs_] == [(64, 8), (8, 10)]


def test_copies_keep_their_arrays_where_they_are(library, digits):
    import copy

    X, y = digits
    model = MLPClassifier(max_iter=1).fit(library.asarray(X), library.asarray(y))
    for copied in (copy.copy(model), copy.deepcopy(model)):
        assert library.owns(copied.coefs_[0])
        assert library.owns(copied.predict_proba(library.asarray(X)))
    assert copy.deepcopy(model).coefs_[0] is not model.coefs_[0]


def test_warnings_point_at_the_line_that_called_fit(digits):
    with pytest.warns(ConvergenceWarning) as caught:
        MLPClassifier(max_iter=1).fit(*digits)
    assert [warning.filename for warning in caught] == [__file__]


# --- early stopping at its edges


def test_partial_fit_after_fit_may_stop_early_and_keeps_the_better(digits):
    X, y = digits
    params = {"early_stopping": True, "n_iter_no_change": 2, "random_state": 0, "max_iter": 60}
    model = MLPClassifier(learning_rate_init=0.01, **params).fit(X, y, validation_data=(X, y))
    best = [a.copy() for a in model.coefs_]
    model.set_params(solver="sgd", learning_rate_init=50.0, momentum=0.0).__dict__.pop("_resume")
    while not getattr(model, "stopped_early_", False):
        model.partial_fit(X, y, validation_data=(X, y))
    for a, b in zip(model.coefs_, best, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_without_a_finite_score_the_last_parameters_are_kept(digits, solver):
    X, y = digits
    model = MLPClassifier(early_stopping=True, scoring=lambda *_: np.nan, max_iter=6, random_state=0, solver=solver)
    with pytest.warns(UserWarning, match="No validation score was finite"):
        model.fit(X, y, validation_data=(X, y))
    assert model.score(X, y) > MLPClassifier(solver="sgd", learning_rate_init=1e-9, max_iter=1).fit(X, y).score(X, y)
    assert np.isnan(model.validation_scores_).all()
    with pytest.warns(UserWarning, match="No validation score was finite"):
        MLPClassifier(early_stopping=True, scoring=lambda *_: np.nan).partial_fit(
            X, y, classes=range(10), validation_data=(X, y)
        )


def test_divergence_under_early_stopping_keeps_the_curves_of_one_length(diabetes):
    X, y = diabetes
    watcher = Watcher()
    watcher.on_fit_task_end = lambda estimator, context: watcher.calls.append(("end", context.task_name, 0))
    params = {"solver": "sgd", "learning_rate_init": 10, "activation": "identity", "random_state": 0}
    model = MLPRegressor(early_stopping=True, **params).set_callbacks(watcher).fit(X, y)
    assert len({len(values) for values in model.history_.values()}) == 1
    begun, ended = ([e for e in watcher.calls if e[0] == what and e[1] == "epoch"] for what in ("begin", "end"))
    assert len(begun) == len(ended) == model.n_iter_


def test_the_scorer_gets_the_weights_of_validation_data(digits):
    X, y = digits
    w = np.where(y < 5, 1.0, 1e-6)
    scores = []
    for scoring in (None, "accuracy"):
        model = MLPClassifier(max_iter=2, random_state=0, scoring=scoring).fit(X, y, validation_data=(X, y, w))
        scores.append(model.validation_scores_)
    assert scores[0] == pytest.approx(scores[1])


def test_a_table_is_scored_without_warnings(digits):
    import pandas as pd

    X, y = digits
    table = pd.DataFrame(X, columns=[f"pixel {k}" for k in range(64)])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*feature names")
        MLPClassifier(early_stopping=True, scoring="accuracy", max_iter=2).fit(table, y)
        MLPClassifier(scoring="accuracy", max_iter=2).fit(table, y, validation_data=(table, y))


@pytest.mark.parametrize("targets", [1, 3])
def test_validation_targets_must_be_like_the_training_targets(diabetes, targets):
    X, y = diabetes
    Y, other = (y if n == 1 else np.stack([y] * n, axis=1) for n in (targets, 4 - targets))
    with pytest.raises(ValueError, match=r"^validation_data: y has \d outputs, and the training data have \d"):
        MLPRegressor(max_iter=1).fit(X, Y, validation_data=(X, other))


# --- what else was found


@pytest.mark.parametrize("first", ["float32", "float64"])
def test_coefficients_go_on_in_their_own_dtype(library, digits, first):
    X, y = digits
    other = "float64" if first == "float32" else "float32"
    models = [home.MLPClassifier(max_iter=2, random_state=0) for home in (scikit_learns, xpnet)]
    for model, asarray in zip(models, (np.asarray, library.asarray), strict=True):
        model.fit(asarray(X.astype(first)), y).partial_fit(asarray(X.astype(other)), y)
    theirs, ours = models
    assert to_numpy(ours.coefs_[0]).dtype == theirs.coefs_[0].dtype == first
    same(ours, theirs, atol=1e-10 if first == "float64" else 1e-3)


def test_class_weights_of_classes_that_a_part_lacks(digits):
    X, y = digits
    some = y < 4
    model = MLPClassifier(class_weight={0: 2.0, 9: 3.0}, random_state=0)
    weighted = MLPClassifier(random_state=0).partial_fit(X[some], y[some], np.where(y[some] == 0, 2.0, 1.0), range(10))
    same(model.partial_fit(X[some], y[some], classes=range(10)), weighted)


def test_balanced_weights_if_the_validation_set_lacks_a_class(digits):
    X, y = digits
    some = y < 4
    model = MLPClassifier(class_weight="balanced", max_iter=2).fit(X, y, validation_data=(X[some], y[some]))
    assert np.isfinite(model.validation_loss_curve_).all()
    assert model.explain_step(X[some], y[some], check=False)["w"].value.shape == (some.sum(),)


def test_sparse_labels(digits):
    from scipy import sparse

    X, y = digits
    Y = sparse.csr_matrix(np.eye(10, dtype=int)[y])
    model = MLPClassifier(random_state=0).partial_fit(X, Y, classes=range(10))
    same(model, MLPClassifier(random_state=0).partial_fit(X, Y.toarray(), classes=range(10)))
    model.set_params(scoring="f1_macro").fit(X, Y, validation_data=(X, Y))


def test_lbfgs_takes_a_memmap_of_integers_as_workers_get_it(digits, tmp_path):
    X, y = (16 * digits[0]).astype("u1"), digits[1]
    file = np.memmap(tmp_path / "X", "u1", "w+", shape=X.shape)
    file[:] = X
    params = {"solver": "lbfgs", "max_iter": 3, "random_state": 0}
    same(MLPClassifier(**params).fit(file, y), MLPClassifier(**params).fit(X, y))


def test_the_table_of_verbose_2_when_a_column_stops(digits, capsys):
    X, y = digits
    model = MLPClassifier(max_iter=2, verbose=2, clip_norm=1.0, warm_start=True).fit(X, y)
    model.set_params(clip_norm=None).fit(X, y)
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_a_patience_may_be_a_float(digits):
    params = {"max_iter": 5, "tol": 1e9, "verbose": True}
    MLPClassifier(learning_rate=Adaptive(patience=2.0), **params).fit(*digits)


def test_models_of_scikit_learn_go_on_as_they_would_there(digits):
    X, y = digits
    params = {"max_iter": 30, "random_state": 0, "warm_start": True, "n_iter_no_change": 2, "tol": 0.05}
    theirs = scikit_learns.MLPClassifier(learning_rate_init=0.01, **params).fit(X, y)
    ours = MLPClassifier.from_sklearn(theirs)
    assert set(ours.history_) == {"loss", "learning_rate"}
    same(ours.fit(X, y), theirs.fit(X, y), atol=1e-12)
    assert ours.n_iter_ == theirs.n_iter_
    stopped = scikit_learns.MLPClassifier(early_stopping=True, warm_start=True, max_iter=2, random_state=0).fit(X, y)
    MLPClassifier.from_sklearn(stopped).fit(X, y, validation_data=(X, y))
    MLPClassifier(early_stopping=True, warm_start=True, max_iter=2).fit(X, y).to_sklearn().fit(X, y)
    searched = MLPClassifier.from_sklearn(scikit_learns.MLPClassifier(solver="lbfgs", max_iter=2).fit(X, y))
    assert searched.history_ == {}
