"""diagnose finds nothing in healthy training, and each of its findings in a network that has that fault."""

import json
from dataclasses import FrozenInstanceError
from itertools import islice

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import xpnet
from xpnet import (
    Dense,
    DivergedError,
    GradientDescent,
    MLPClassifier,
    MLPRegressor,
    Model,
    Sequential,
    diagnose,
    epochs,
)
from xpnet.backends import to_numpy
from xpnet.equations.initializers import Constant, Normal
from xpnet.inspection.diagnosis import Diagnosis

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DIGITS, IRIS = load_digits(return_X_y=True), load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True, scaled=False)
SCALED = StandardScaler().fit_transform(DIGITS[0])
ONE_HOT = np.eye(10)[DIGITS[1]]


def classifier(**params):
    return make_pipeline(StandardScaler(), MLPClassifier(**{"random_state": 0} | params))


def regressor(**params):
    network = MLPRegressor(**{"random_state": 0, "alpha": 1.0, "max_iter": 500} | params)
    return TransformedTargetRegressor(make_pipeline(StandardScaler(), network), transformer=StandardScaler())


def kinds(found):
    return [finding.kind for finding in found]


def the(kind, found):
    """The one finding of this kind, with all that a finding must say."""
    (finding,) = [finding for finding in found if finding.kind == kind]
    assert finding.where
    assert finding.source
    assert finding.fix
    assert f"{finding.number:.3g}" in str(finding)
    assert f"threshold {finding.threshold:g}" in str(finding)
    return finding


def trained(model, X, Y, rate, n_epochs, batch_size=100, seed=0):
    """The last state and the costs, by hand; rate is that of gradient descent, or an optimizer."""
    rng = np.random.default_rng(seed)
    state = model.initial(
        rng, X.shape[1], rate if isinstance(rate, xpnet.Adam | GradientDescent) else GradientDescent(rate)
    )
    passes = list(islice(epochs(model, state, X, Y, batch_size=batch_size, rng=rng), n_epochs))
    return passes[-1][0], [cost for _, cost in passes]


# --- healthy


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("make", "params", "data"),
    [
        pytest.param(classifier, {}, DIGITS, id="digits"),
        pytest.param(classifier, {"learning_rate_init": 0.01, "max_iter": 500}, IRIS, id="iris"),
        pytest.param(regressor, {}, DIABETES, id="diabetes"),
    ],
)
def test_silent_on_healthy_training(make, params, data, seed):
    found = diagnose(make(random_state=seed, **params).fit(*data), *data)
    assert not found, str(found)


@pytest.mark.parametrize("seed", range(2))
def test_silent_on_healthy_training_of_other_kinds(seed):
    for params in (
        {"solver": "sgd", "learning_rate_init": 0.1, "batch_size": 32, "max_iter": 300},
        {"activation": "tanh", "learning_rate_init": 0.01, "max_iter": 500},
        {"activation": "logistic", "learning_rate_init": 0.01, "max_iter": 500},
        {"solver": "lbfgs", "alpha": 0.01, "max_iter": 500},
        {"hidden_layer_sizes": (20, 20, 20), "learning_rate_init": 0.003, "max_iter": 500},
    ):
        found = diagnose(classifier(random_state=seed, **params).fit(*IRIS), *IRIS)
        assert not found, f"{params}: {found}"
    stopped = classifier(early_stopping=True, hidden_layer_sizes=(50, 50), random_state=seed).fit(*DIGITS)
    assert not diagnose(stopped, *DIGITS)


@pytest.mark.parametrize("seed", range(3))
def test_silent_on_poor_starts_and_converged_networks(seed):
    for hidden in ((10,), (5,), (10, 10), ()):
        made = regressor(
            hidden_layer_sizes=hidden, alpha=1e-4, learning_rate_init=0.003, max_iter=1000, random_state=seed
        )
        found = diagnose(made.fit(*DIABETES), *DIABETES)
        assert not found, f"{hidden}: {found}"
    for data in (IRIS, DIGITS):
        for activation in ("tanh", "logistic", "relu"):
            found = diagnose(classifier(solver="lbfgs", activation=activation, random_state=seed).fit(*data), *data)
            assert not found, f"{activation}: {found}"


def test_lbfgs_has_no_rate():
    model = regressor(solver="lbfgs", activation="logistic", alpha=1e-4, max_iter=200, random_state=10).fit(*DIABETES)
    found = diagnose(model, *DIABETES)  # still falling, which scikit-learn's warning says
    assert not found, str(found)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("rate", [0.2, 0.3, 0.5])
def test_silent_on_dropout(rate, seed):
    small_batches = {"batch_size": 8, "learning_rate_init": 0.003}
    for make, params, data in (
        (classifier, {}, DIGITS),
        (classifier, small_batches, IRIS),
        (regressor, {}, DIABETES),
        (regressor, {"batch_size": 8, "max_iter": 100}, DIABETES),
    ):
        found = diagnose(make(dropout=rate, random_state=seed, **params).fit(*data), *data)
        assert not found, f"{params}: {found}"


@pytest.mark.parametrize("rate", [0.01, 0.001, 1e-4, 1e-5])
def test_a_poor_start_of_unscaled_data_is_no_rate_too_high(rate):
    model = MLPClassifier((8,), learning_rate_init=rate, max_iter=200, random_state=0).fit(*IRIS)
    found = kinds(diagnose(model, *IRIS))
    assert found[0] == "unscaled features"
    assert "learning rate too high" not in found


def test_a_penalty_in_the_cost_is_no_rate_too_high():
    assert not diagnose(classifier(alpha=100.0).fit(*DIGITS), *DIGITS)


@pytest.mark.parametrize(
    ("make", "params", "data"),
    [
        (classifier, {"learning_rate_init": 0.3}, DIGITS),
        (classifier, {"learning_rate_init": 0.3}, IRIS),
        (regressor, {"learning_rate_init": 0.1, "alpha": 1e-4}, DIABETES),
        (regressor, {"learning_rate_init": 1.0, "alpha": 1e-4}, DIABETES),
        (regressor, {"learning_rate_init": 0.1, "solver": "sgd", "alpha": 1e-4}, DIABETES),
    ],
)
def test_rates_that_are_too_high(make, params, data):
    for seed in range(3):
        found = diagnose(make(random_state=seed, **params).fit(*data), *data)
        assert kinds(found)[0] == "learning rate too high", f"{seed}: {found}"


def test_silent_on_healthy_training_by_hand():
    model = Model(Sequential(Dense(64, "relu"), Dense(10)), "cross_entropy")
    state, history = trained(model, SCALED, ONE_HOT, 0.1, 60)
    found = diagnose(model, SCALED, ONE_HOT, state=state, history=history)
    assert not found, str(found)
    assert str(found) == "nothing found: 1797 samples, 4810 parameters, 60 epochs"


# --- the data


def test_unscaled_features_and_targets():
    found = diagnose(MLPRegressor(random_state=0).fit(*DIABETES), *DIABETES)
    assert kinds(found)[:2] == ["unscaled features", "unscaled targets"]
    sizes = np.sqrt(np.mean(DIABETES[0] ** 2, axis=0))
    features, targets = the("unscaled features", found), the("unscaled targets", found)
    assert features.where == f"X[:, {sizes.argmax()}]"
    assert features.number == pytest.approx(sizes.max(), rel=1e-12)
    assert targets.number == pytest.approx(np.sqrt(np.mean(DIABETES[1] ** 2)), rel=1e-12)
    assert features.threshold == targets.threshold == 10.0
    assert "StandardScaler" in features.fix
    assert "TransformedTargetRegressor" in targets.fix


def test_data_far_from_mean_0():
    y = StandardScaler().fit_transform(DIABETES[1][:, None]).ravel() + 9.0
    X = StandardScaler().fit_transform(DIABETES[0])
    targets = the("unscaled targets", diagnose(MLPRegressor(random_state=0).fit(X, y), X, y))
    assert targets.number == pytest.approx(9.0, rel=1e-9)
    assert targets.threshold == 3.0
    features = the("unscaled features", diagnose(MLPClassifier((100,), random_state=2).fit(*IRIS), *IRIS))
    assert features.number == pytest.approx(IRIS[0].mean(axis=0).max(), rel=1e-9)
    assert features.where == "X[:, 0]"


def test_dummies_are_scaled():
    X = np.concatenate([StandardScaler().fit_transform(IRIS[0]), np.ones((150, 1)), np.zeros((150, 1))], axis=1)
    X[:3, 4] = 0.0
    model = MLPClassifier(random_state=0, learning_rate_init=0.01, max_iter=500).fit(X, IRIS[1])
    assert not diagnose(model, X, IRIS[1])


def test_one_target_of_several_that_is_small():
    Y = StandardScaler().fit_transform(np.stack([DIABETES[1], DIABETES[0][:, 2]], axis=1)) * [1.0, 0.01]
    X = StandardScaler().fit_transform(DIABETES[0])
    finding = the("unscaled targets", diagnose(MLPRegressor(random_state=0, alpha=1.0).fit(X, Y), X, Y))
    assert finding.where == "y[:, 1]"
    assert finding.number == pytest.approx(0.01, rel=1e-9)


def test_features_that_are_all_small():
    X, y = load_diabetes(return_X_y=True)  # columns of norm 1: each number is about 1 / sqrt(442)
    model = TransformedTargetRegressor(
        MLPRegressor(random_state=0, alpha=1.0, max_iter=500), transformer=StandardScaler()
    )
    finding = the("unscaled features", diagnose(model.fit(X, y), X, y))
    assert finding.number == pytest.approx(442**-0.5, rel=1e-6)
    assert finding.threshold == 0.1


def test_counts_are_no_unscaled_targets():
    y = np.random.default_rng(0).poisson(20.0, len(IRIS[0])).astype(float)
    model = make_pipeline(
        StandardScaler(), MLPRegressor("poisson", random_state=0, learning_rate_init=0.01, max_iter=300)
    )
    assert "unscaled targets" not in kinds(diagnose(model.fit(IRIS[0], y), IRIS[0], y))


def rare(n):
    """Digits with n threes."""
    kept = np.concatenate([np.flatnonzero(DIGITS[1] != 3), np.flatnonzero(DIGITS[1] == 3)[:n]])
    return DIGITS[0][kept], DIGITS[1][kept]


def test_class_imbalance_and_its_fix():
    X, y = rare(8)
    model = classifier().fit(X, y)
    finding = the("class imbalance", diagnose(model, X, y))
    assert finding.number == np.bincount(y).max() / 8
    assert finding.threshold == 10.0
    assert finding.where == "class 3"
    assert "class_weight='balanced'" in finding.fix
    assert not diagnose(classifier(class_weight="balanced").fit(X, y), X, y)
    w = compute_sample_weight("balanced", y)
    model.fit(X, y, mlpclassifier__sample_weight=w)
    assert not diagnose(model, X, y, sample_weight=w)


def test_class_imbalance_of_two_classes():
    kept = np.concatenate([np.flatnonzero(DIGITS[1] == 0), np.flatnonzero(DIGITS[1] == 1)[:5]])
    X, y = DIGITS[0][kept], np.where(DIGITS[1][kept] == 1, "one", "nought")
    finding = the("class imbalance", diagnose(classifier().fit(X, y), X, y))
    assert finding.where == "class one"
    assert finding.number == 178 / 5


# --- the learning rate


@pytest.mark.parametrize("params", [{"learning_rate_init": 1.0}, {"solver": "sgd", "learning_rate_init": 1.0}])
def test_a_rate_too_high(params):
    model = classifier(**params).fit(*DIGITS)
    finding = the("learning rate too high", diagnose(model, *DIGITS))
    assert finding.number > finding.threshold
    assert "set learning_rate_init to 0.1 (it is 1)" in finding.fix
    assert "learning rate too low" not in kinds(diagnose(model, *DIGITS))


def test_a_rate_at_which_training_diverges():
    model = MLPClassifier(solver="sgd", learning_rate_init=100.0, random_state=0)
    with pytest.raises(DivergedError):
        model.fit(SCALED, DIGITS[1])
    found = diagnose(model, SCALED, DIGITS[1])  # of the last finite parameters, which fit keeps
    assert the("learning rate too high", found).number > 0.2
    assert "updates too large" in kinds(found)


def history_of(L):
    """The diagnosis of this history with a healthy network."""
    model = Model(Sequential(Dense(16, "relu"), Dense(10)), "cross_entropy")
    state, _ = trained(model, SCALED, ONE_HOT, 0.1, 10)
    return diagnose(model, SCALED, ONE_HOT, state=state, history=L)


@pytest.mark.parametrize(
    ("history", "kind", "number"),
    [
        ([2.0, 1.0, 0.5, 0.75, 1.25], "learning rate too high", 0.5),  # rises to half its range
        ([2.0, 0.5] + [0.6, 0.5] * 20, "learning rate too high", 0.1 / 1.5 / 2),  # each other epoch up by 0.1
        ([2.302585, 23.02585, 2.0, 1.0, 0.5, 0.4], "learning rate too high", 9.0),  # log 10 is what blank outputs cost
        ([23.0, 5.0, 5.2, 4.0, 4.2, 2.0, 1.0, 0.5, 0.4, 0.3, 0.3], "learning rate too high", 0.4 / 2.302585),
        ([23.0, 2.0, 1.0, 0.5, 0.4, 0.3], None, None),  # a poor start, and no leap
        ([2.0, 0.5] + [0.55, 0.5] * 20, None, None),  # the noise of small batches
        (list(np.linspace(2.3, 2.2, 51)), "learning rate too low", 0.1),  # a straight line
        ([0.001] * 30, None, None),  # converged
        ([2.3 * 0.8**i for i in range(40)], None, None),
        ([], None, None),
        ([2.0], None, None),
    ],
)
def test_findings_from_a_history(history, kind, number):
    found = history_of(history)
    assert kinds(found) == ([kind] if kind else [])
    if kind:
        assert the(kind, found).number == pytest.approx(number, rel=0.03)


@pytest.mark.parametrize("rate", [1e-5, 1e-6])
def test_a_rate_too_low(rate):
    model = classifier(learning_rate_init=rate, max_iter=50).fit(*DIGITS)
    finding = the("learning rate too low", diagnose(model, *DIGITS))
    L = model[-1].loss_curve_
    assert finding.number == pytest.approx((L[-6] - L[-1]) / (max(L) - min(L)), rel=1e-9)
    assert f"set learning_rate_init to {10 * rate:.3g} (it is {rate:.3g})" in finding.fix


@pytest.mark.parametrize("n_epochs", [3, 20])
def test_a_cost_that_hardly_moves(n_epochs):
    model = Model(Sequential(Dense(20, "relu"), Dense(10)), "cross_entropy")
    state, history = trained(model, SCALED, ONE_HOT, 1e-6, n_epochs)
    found = diagnose(model, SCALED, ONE_HOT, state=state, history=history)
    finding = the("learning rate too low", found)
    assert kinds(found) == ["learning rate too low"]
    assert finding.threshold == 0.01
    assert finding.number == pytest.approx(np.ptp(history) / history[0], rel=1e-9)


@pytest.mark.parametrize("optimizer", [GradientDescent(0.01), xpnet.Adam(0.01)])
def test_units_that_are_all_alike(optimizer):
    model = Model(Sequential(Dense(20, "relu", initializer="zeros"), Dense(10, initializer="zeros")), "cross_entropy")
    state, history = trained(model, SCALED, ONE_HOT, optimizer, 20)
    found = diagnose(model, SCALED, ONE_HOT, state=state, history=history)
    assert kinds(found) == ["units all alike"]  # and not its consequences: dead units, a cost that hardly moves
    assert found[0].where == "W1"
    assert found[0].number == 0.0
    assert "not zeros" in found[0].fix


def test_units_that_are_alike_and_learn():
    halves = Dense(20, "tanh", initializer=Constant(0.1))
    model = Model(Sequential(halves, Dense(10, initializer="zeros")), "cross_entropy")
    state, history = trained(model, SCALED, ONE_HOT, 0.1, 30)
    found = diagnose(model, SCALED, ONE_HOT, state=state, history=history)
    assert kinds(found) == ["units all alike"]
    assert np.ptp(history) > 0.1


def test_updates_too_large():
    model = Model(Sequential(Dense(20, "tanh"), Dense(10)), "cross_entropy")
    state = model.initial(np.random.default_rng(0), 64, GradientDescent(10.0))
    found = [f for f in diagnose(model, SCALED, ONE_HOT, state=state) if f.kind == "updates too large"]
    g, layout = model.cost_and_gradient(state.theta, SCALED, ONE_HOT)[1], model.layout(64)
    assert [f.where for f in found] == ["W1", "W2"]
    for finding, layer in zip(found, layout.windows, strict=True):
        at, _ = layer[0]
        ratio = 10.0 * np.linalg.norm(g[at]) / np.linalg.norm(state.theta[at])
        assert finding.number == pytest.approx(ratio, rel=1e-9)
        assert "set the optimizer's learning rate to 1 (it is 10)" in finding.fix


# --- the outcome


@pytest.mark.parametrize("seed", range(3))
def test_a_penalty_too_large(seed):
    for make, data in ((classifier, DIGITS), (classifier, IRIS), (regressor, DIABETES)):
        found = diagnose(make(alpha=1000.0, random_state=seed, max_iter=200).fit(*data), *data)
        assert kinds(found) == ["no better than a constant"]
        assert "lower the penalty" in found[0].fix
        assert 0.95 < found[0].number < 1.01


def test_early_stopping_that_came_too_early():
    model = classifier(early_stopping=True, learning_rate_init=1e-4, random_state=1).fit(*IRIS)
    found = diagnose(model, *IRIS)
    finding = the("no better than a constant", found)
    loss = -np.mean(np.log(model.predict_proba(IRIS[0])[np.arange(150), IRIS[1]]))
    assert finding.number == pytest.approx(loss / np.log(3.0), rel=1e-6)
    assert "validation_fraction" in finding.fix
    assert "after 12 epochs" in finding.fix


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber"])
def test_noise_is_no_better_than_a_constant(loss):
    y = np.random.default_rng(0).normal(size=442)
    model = regressor(loss=loss, hidden_layer_sizes=(2,), learning_rate_init=0.003, alpha=10.0).fit(DIABETES[0], y)
    found = diagnose(model, DIABETES[0], y)
    assert kinds(found) == ["no better than a constant"]
    assert 0.95 < found[0].number < 1.05


# --- the network


def test_dead_relus_after_a_rate_too_high():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(solver="sgd", learning_rate_init=0.1, random_state=0).fit(X, y)  # y is not scaled
    finding = the("dead ReLUs", diagnose(model, X, y))
    assert finding.number == 1.0
    assert finding.where == "layer 1"
    assert "100 of 100" in finding.measure
    assert finding.fix.startswith("scale the data first, as above, and train afresh")


def test_dead_relus_of_scaled_data():
    model = regressor(learning_rate_init=1.0, alpha=1e-4, random_state=2).fit(*DIABETES)
    found = diagnose(model, *DIABETES)
    assert kinds(found) == ["learning rate too high", "dead ReLUs"]
    assert found[1].fix.startswith("set learning_rate_init to 0.1 (it is 1), and train afresh")


def test_dead_relus_are_counted():
    model = Model(Sequential(Dense(4, "relu"), Dense(3)), "cross_entropy")
    X, Y = StandardScaler().fit_transform(IRIS[0]), np.eye(3)[IRIS[1]]
    state, _ = trained(model, X, Y, 0.1, 20, 30)
    theta = state.theta.copy()
    theta[model.layout(4).windows[0][1][0]] = [-100.0, 0.0, -100.0, -100.0]
    finding = the("dead ReLUs", diagnose(model, X, Y, state=xpnet.initial_state(theta, GradientDescent(0.01))))
    assert finding.number == 0.75


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_saturated_units_of_unscaled_features(activation):
    model = MLPClassifier(activation=activation, random_state=0, max_iter=30).fit(16 * DIGITS[0], DIGITS[1])
    found = diagnose(model, 16 * DIGITS[0], DIGITS[1])
    finding = the("saturated units", found)
    Z = 16 * DIGITS[0] @ model.coefs_[0] + model.intercepts_[0]
    in_tails = np.abs(np.tanh(Z if activation == "tanh" else Z / 2)) > 0.97
    assert finding.number == np.mean(in_tails.mean(axis=0) > 0.95) > 0.5
    assert kinds(found)[0] == "unscaled features"


def test_vanishing_gradients():
    model = classifier(hidden_layer_sizes=(50,) * 6, activation="logistic", max_iter=10).fit(*DIGITS)
    finding = the("vanishing gradients", diagnose(model, *DIGITS))
    assert finding.number < 0.002
    assert finding.where == "layer 1 against layer 7"
    assert "activation='relu'" in finding.fix
    deep = classifier(hidden_layer_sizes=(50,) * 10, activation="logistic", max_iter=20).fit(*DIGITS)
    assert kinds(diagnose(deep, *DIGITS)) == ["vanishing gradients"]  # no rate too low: that is not the cause
    fixed = classifier(hidden_layer_sizes=(50,) * 6, activation="relu", max_iter=60).fit(*DIGITS)
    assert "vanishing gradients" not in kinds(diagnose(fixed, *DIGITS))


def test_exploding_gradients():
    layers = [Dense(100, "relu", initializer=Normal(1.0)) for _ in range(4)]
    model = Model(Sequential(*layers, Dense(10)), "cross_entropy")
    state = model.initial(np.random.default_rng(0), 64, GradientDescent(1e-9))
    finding = the("exploding gradients", diagnose(model, SCALED, ONE_HOT, state=state))
    assert finding.number > 100.0
    assert "glorot_uniform" in finding.fix
    he = [Dense(100, "relu", initializer="he_uniform") for _ in range(4)]
    model = Model(Sequential(*he, Dense(10)), "cross_entropy")
    state = model.initial(np.random.default_rng(0), 64, GradientDescent(0.01))
    assert not diagnose(model, SCALED, ONE_HOT, state=state)


def test_the_ratio_of_gradients_is_that_of_the_backward_pass():
    model = Model(Sequential(*[Dense(30, "sigmoid") for _ in range(6)], Dense(10)), "cross_entropy")
    state = model.initial(np.random.default_rng(0), 64, GradientDescent(0.1))
    finding = the("vanishing gradients", diagnose(model, SCALED, ONE_HOT, state=state))
    params = model.layout(64).unpack(state.theta)
    A, sizes = [SCALED], []
    for (W, b), layer in zip(params, model.network.layers, strict=True):
        A.append(layer.forward((W, b), A[-1])[0])
    dA = model.criterion.link.forward(A[-1]) - ONE_HOT
    for k in reversed(range(7)):
        sizes.append(np.linalg.norm(dA))
        dA = (dA if k == 6 else dA * A[k + 1] * (1.0 - A[k + 1])) @ params[k][0].T
    assert finding.number == pytest.approx(sizes[-1] / sizes[0], rel=1e-9)


# --- subjects and data


def test_networks_inside_searches_and_pipelines():
    X, y = load_iris(return_X_y=True, as_frame=True)
    search = GridSearchCV(classifier(max_iter=30), {"mlpclassifier__alpha": [1e-4, 1e-2]}, cv=2).fit(X, y)
    found = diagnose(search, X, y)
    assert kinds(found) == ["learning rate too low"]  # 30 epochs at 0.001 are too few
    assert kinds(diagnose(search.best_estimator_, X, y)) == kinds(found)


def test_a_model_from_a_file(tmp_path):
    X, y = rare(8)
    xpnet.save(classifier(max_iter=60).fit(X, y), tmp_path / "m.safetensors")
    found = diagnose(xpnet.load(tmp_path / "m.safetensors"), X, y)
    assert kinds(found) == ["class imbalance"]
    assert "no optimizer's state: updates not looked at" in found.looked_at


def test_several_labels_and_several_targets():
    Y = np.stack([DIGITS[1] == 3, DIGITS[1] > 4], axis=1).astype(int)
    assert not diagnose(classifier(max_iter=60).fit(DIGITS[0], Y), DIGITS[0], Y)
    targets = np.stack([DIABETES[1], 3.0 * DIABETES[0][:, 2]], axis=1)
    assert not diagnose(regressor().fit(DIABETES[0], targets), DIABETES[0], targets)


def test_sparse_features():
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    for X in (DIGITS[0], 2.0 * DIGITS[0]):
        model = MLPClassifier(random_state=0, max_iter=20).fit(X, DIGITS[1])
        dense, found = (diagnose(model, given, DIGITS[1]) for given in (X, sparse.csr_array(X)))
        assert kinds(found) == kinds(dense)
        assert found[0].number == pytest.approx(dense[0].number, rel=1e-12)


def test_every_library(library):
    X, y = SCALED[:300], DIGITS[1][:300]
    sick = {"activation": "logistic", "hidden_layer_sizes": (20,) * 6, "max_iter": 12, "random_state": 0}
    there = MLPClassifier(**sick).fit(library.asarray(3.0 * 16.0 * X), library.asarray(y))
    here = MLPClassifier(**sick).fit(3.0 * 16.0 * X, y)
    expected = diagnose(here, 48.0 * X, y)
    found = diagnose(there, library.asarray(48.0 * X), library.asarray(y))
    assert kinds(found) == kinds(expected) != []
    assert [f.number for f in found] == pytest.approx([f.number for f in expected], rel=1e-6)
    assert kinds(diagnose(there, 48.0 * X, y)) == kinds(expected)  # fitted there, data here


@pytest.mark.parametrize(
    ("network", "y"),
    [
        (MLPClassifier, DIGITS[1][:300]),
        (MLPClassifier, (DIGITS[1][:300] == 3).astype(int)),
        (MLPRegressor, SCALED[:300, 30]),
        (lambda **params: MLPRegressor("poisson", **params), DIGITS[0][:300, 30]),
    ],
    ids=["softmax", "sigmoid", "linear", "exp"],
)
def test_no_better_than_a_constant_on_every_library(library, network, y):
    X = SCALED[:300, 1:21]
    model = network(alpha=3000.0, random_state=0, max_iter=200, learning_rate_init=0.01, batch_size=50).fit(
        library.asarray(X), library.asarray(y)
    )
    finding = the("no better than a constant", diagnose(model, library.asarray(X), library.asarray(y)))
    assert 0.95 < finding.number < 1.02
    assert "lower the penalty" in finding.fix


def test_by_hand_on_every_library(library):
    model = Model(Sequential(Dense(20, "tanh"), Dense(10)), "cross_entropy")
    X, Y = library.asarray(100.0 * SCALED[:200]), library.asarray(ONE_HOT[:200])
    state, history = trained(model, X, Y, 1.0, 12, 50)
    found = diagnose(model, X, Y, state=state, history=history)
    assert {"unscaled features", "saturated units"} <= set(kinds(found))
    assert library.owns(state.theta)


def test_many_samples_are_thinned_out(monkeypatch):
    monkeypatch.setattr("xpnet.block_prediction._BLOCK_VALUES", 64 * 600)
    found = diagnose(classifier(hidden_layer_sizes=(20,)).fit(*DIGITS), *DIGITS)
    assert not found
    assert found.looked_at.startswith("599 of 1797 samples, evenly spaced")


def test_nothing_is_changed():
    model = classifier(max_iter=40).fit(*DIGITS)
    mlp = model[-1]
    before = [to_numpy(a).copy() for a in (*mlp.coefs_, *mlp.intercepts_, *mlp._resume.slots)]
    state, names = mlp._resume, set(vars(mlp))
    assert str(diagnose(model, *DIGITS)) == str(diagnose(model, *DIGITS))
    after = [*mlp.coefs_, *mlp.intercepts_, *mlp._resume.slots]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert mlp._resume is state
    assert set(vars(mlp)) == names


def test_refusals():
    model = Model(Sequential(Dense(3)), "cross_entropy")
    X, Y = IRIS[0], np.eye(3)[IRIS[1]]
    with pytest.raises(ValueError, match="state is missing"):
        diagnose(model, X, Y)
    state = model.initial(np.random.default_rng(0), 5, GradientDescent(0.1))
    with pytest.raises(ValueError, match=r"theta has shape \(18,\)"):
        diagnose(model, X, Y, state=state)
    with pytest.raises(ValueError, match="this MLPClassifier is not fitted: call fit first"):
        diagnose(MLPClassifier(), *IRIS)
    with pytest.raises(ValueError, match="no network of xpnet in this StandardScaler; allowed: a fitted"):
        diagnose(StandardScaler().fit(X), *IRIS)
    fitted = MLPClassifier(max_iter=2, random_state=0).fit(*IRIS)
    with pytest.raises(ValueError, match="history= are for a Model"):
        diagnose(fitted, *IRIS, history=[1.0])
    with pytest.raises(ValueError, match="classes not in"):
        diagnose(fitted, IRIS[0], IRIS[1] + 7)


# --- the result


def test_a_diagnosis_is_a_sequence_a_text_a_table_and_json():
    found = diagnose(MLPRegressor(random_state=0, max_iter=20).fit(*DIABETES), *DIABETES)
    assert isinstance(found, Diagnosis)
    assert found
    assert len(found) == len(list(found)) == len(found.findings) >= 2
    assert found[0] is found.findings[0]
    assert str(found).splitlines()[0] == f"{len(found)} finding(s): {found.looked_at}"
    assert "1. unscaled features (X[:, 4])" in str(found)
    assert repr(found) == str(found)
    document = json.loads(found.to_json())
    assert document["findings"][0]["number"] == found[0].number
    assert set(document["findings"][0]) == {"kind", "where", "measure", "number", "threshold", "source", "fix"}
    table = found._repr_html_()
    assert table.count("<tr>") == len(found) + 1
    with pytest.raises(FrozenInstanceError):
        found.findings = ()


def test_a_table_escapes_what_users_name():
    kept = np.concatenate([np.flatnonzero(DIGITS[1] == 0), np.flatnonzero(DIGITS[1] == 1)[:5]])
    X, y = DIGITS[0][kept], np.where(DIGITS[1][kept] == 1, "<b>", "nought")
    table = diagnose(classifier().fit(X, y), X, y)._repr_html_()
    assert "class &lt;b&gt;" in table
    assert "<b>" not in table


def test_an_infinite_number_is_null_in_json():
    model = Model(Sequential(Dense(3)), "half_squared_error")
    state = model.initial(np.random.default_rng(0), 4, GradientDescent(1e308))
    found = diagnose(model, 1e3 * IRIS[0], 1e6 * np.eye(3)[IRIS[1]], state=state)
    assert the("updates too large", found).number == np.inf
    numbers = {f["kind"]: f["number"] for f in json.loads(found.to_json())["findings"]}
    assert numbers["updates too large"] is None
