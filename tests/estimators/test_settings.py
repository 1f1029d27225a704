"""Parameters as layers, a loss, an update rule and a schedule, without data."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from xpnet import Adam, AdamW, GradientDescent, MLPClassifier, MLPRegressor, Momentum
from xpnet.equations.activations import ELU, Linear, ReLU, Sigmoid, Tanh
from xpnet.equations.dropout import Dropout
from xpnet.equations.layers import Dense
from xpnet.equations.losses import CrossEntropy, HalfSquaredError
from xpnet.equations.schedules import Adaptive, ConstantRate, Cosine, InverseScaling
from xpnet.estimators.settings import Settings, activations, hidden_sizes, model_of, precision, update_rule


@pytest.mark.parametrize(
    ("params", "rule"),
    [
        ({}, Adam(0.1, 0.9, 0.999, 1e-8)),
        ({"solver": "adamw", "weight_decay": 0.2}, AdamW(0.1, 0.9, 0.999, 1e-8, 0.2)),
        ({"solver": "sgd"}, Momentum(0.1, 0.9, True)),
        ({"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.5}, Momentum(0.1, 0.5, False)),
        ({"solver": "sgd", "momentum": 0.0}, GradientDescent(0.1)),
        ({"solver": "lbfgs"}, GradientDescent(0.1)),
    ],
    ids=str,
)
def test_solvers_are_update_rules(params, rule):
    assert update_rule(MLPClassifier(learning_rate_init=0.1, **params)) == rule


@pytest.mark.parametrize(
    ("params", "schedule", "adaptive", "inverse_scaling", "patience"),
    [
        ({}, ConstantRate(), None, None, 7),
        ({"solver": "sgd", "learning_rate": "adaptive"}, ConstantRate(), Adaptive(7), None, 7),
        ({"solver": "sgd", "learning_rate": "invscaling"}, ConstantRate(), None, InverseScaling(0.3), 7),
        ({"learning_rate": "invscaling"}, ConstantRate(), None, None, 7),
        ({"learning_rate": Adaptive(2)}, ConstantRate(), Adaptive(2), None, 2),
        ({"learning_rate": Cosine(9)}, Cosine(9), None, None, 7),
    ],
    ids=str,
)
def test_learning_rates_are_schedules_and_rules_of_plateaus(params, schedule, adaptive, inverse_scaling, patience):
    settings = Settings.of(MLPRegressor(n_iter_no_change=7, power_t=0.3, **params))
    assert settings.schedule == schedule
    assert settings.adaptive == adaptive
    assert settings.inverse_scaling == inverse_scaling
    assert settings.patience == patience


def test_settings_are_a_frozen_copy():
    estimator = MLPClassifier(tol=0.5, clip_norm=1, max_iter=3, verbose=2)
    settings = Settings.of(estimator)
    estimator.set_params(tol=0.1, max_iter=4)
    assert (settings.tol, settings.max_iter, settings.verbose) == (0.5, 3, 2)
    assert type(settings.clip_norm) is float
    with pytest.raises(FrozenInstanceError):
        settings.tol = 0.1


@pytest.mark.parametrize(
    "params",
    [{"dropout": [0.0, 0.5]}, {"penalty": "l1"}, {"clip_norm": 1.0}, {"learning_rate": Cosine(3)}],
    ids=str,
)
def test_what_contradicts_lbfgs_is_refused(params):
    (name,) = params
    with pytest.raises(ValueError, match=rf"^{name} is .*, and solver='lbfgs' takes .* alone"):
        Settings.of(MLPClassifier(solver="lbfgs", **params))


def test_a_class_as_learning_rate_and_an_unknown_scorer_are_refused():
    with pytest.raises(ValueError, match=r"^learning_rate is the class Cosine; give an object of it"):
        Settings.of(MLPClassifier(learning_rate=Cosine))
    with pytest.raises(ValueError, match="nonsense"):
        Settings.of(MLPClassifier(scoring="nonsense"))


def test_hidden_sizes():
    assert hidden_sizes(5) == [5]
    assert hidden_sizes(np.array([3, 2])) == [3, 2]
    assert hidden_sizes(()) == []
    for wrong in ((0,), (2.0,), -1):
        with pytest.raises(ValueError, match=r"^hidden_layer_sizes must be > 0, got"):
            hidden_sizes(wrong)


def test_activations_of_the_hidden_layers_and_for_the_output_layers_weights():
    assert activations(MLPClassifier(activation="tanh"), 2) == [Tanh()] * 3
    assert activations(MLPClassifier(activation=["relu", ELU(0.3)]), 2) == [ReLU(), ELU(0.3), ELU(0.3)]
    assert activations(MLPClassifier(activation="logistic"), 0) == [Sigmoid()]
    assert activations(MLPClassifier(activation=[]), 0) == [Linear()]


def test_the_model_has_the_layers_the_loss_and_the_penalty():
    params = MLPClassifier(activation="tanh", dropout=[0.0, 0.5], alpha=0.1, penalty="elasticnet", l1_ratio=0.25)
    model = model_of(params, [5, 4], 3, CrossEntropy())
    kinds = [type(layer) for layer in model.network.layers]
    assert kinds == [Dense, Dense, Dropout, Dense]
    assert [layer.f for layer in model.network.layers if isinstance(layer, Dense)] == [Tanh(), Tanh(), Linear()]
    assert (model.loss, model.l1, model.l2, model.scale_penalty) == (CrossEntropy(), 0.025, pytest.approx(0.075), True)
    predicts = model_of(params, [5, 4], 3, CrossEntropy(), drops=False)
    assert [type(layer) for layer in predicts.network.layers] == [Dense] * 3
    assert model_of(params, [5, 4], 3, CrossEntropy()) is model  # built once


def test_lbfgs_computes_in_float64_unless_a_precision_is_given():
    assert precision(MLPClassifier(solver="lbfgs")) == "float64"
    assert precision(MLPClassifier(solver="lbfgs", precision="float32")) == "float32"
    assert precision(MLPClassifier()) is None
    assert model_of(MLPRegressor(solver="lbfgs"), [], 1, HalfSquaredError()).precision == "float64"
