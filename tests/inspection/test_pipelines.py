"""The network inside pipelines, target transformers and searches is found, with the data as it sees them."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor as ScikitLearns
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from xpnet import MLPClassifier, MLPRegressor
from xpnet.inspection.pipelines import opened

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FLOWERS, SPECIES = load_iris(return_X_y=True, as_frame=True)
WIDTHS = FLOWERS["petal width (cm)"].to_numpy()
WRAPS = {
    "alone": lambda mlp: mlp,
    "pipeline": lambda mlp: make_pipeline(StandardScaler(), mlp),
    "nested pipelines": lambda mlp: make_pipeline(StandardScaler(), make_pipeline(PCA(2), mlp)),
    "target": lambda mlp: TransformedTargetRegressor(mlp, transformer=StandardScaler()),
    "both": lambda mlp: TransformedTargetRegressor(make_pipeline(StandardScaler(), mlp), transformer=StandardScaler()),
    "search": lambda mlp: GridSearchCV(make_pipeline(StandardScaler(), mlp), {"mlpregressor__alpha": [0.1]}, cv=2),
}


def regressor():
    return MLPRegressor(hidden_layer_sizes=(3,), max_iter=3, random_state=0)


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_networks_inside_others_are_found(wrap):
    outer = wrap(regressor()).fit(FLOWERS, WIDTHS)
    found = opened(outer)
    assert found.estimators[0] is outer
    assert type(found.network) is MLPRegressor
    assert hasattr(found.network, "coefs_")


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_data_arrive_as_the_network_was_fitted_on_them(wrap, monkeypatch):
    seen = []
    fit = MLPRegressor.fit
    monkeypatch.setattr(MLPRegressor, "fit", lambda self, X, y: seen.append((X, y)) or fit(self, X, y))
    outer = wrap(regressor()).fit(FLOWERS, WIDTHS)
    for given, wanted in zip(opened(outer).reached(FLOWERS, WIDTHS), seen[-1], strict=True):
        np.testing.assert_array_equal(given, wanted)


def test_two_scaled_targets_stay_two():
    Y = FLOWERS.to_numpy()[:, :2]
    _, reached = opened(WRAPS["target"](regressor()).fit(FLOWERS, Y)).reached(FLOWERS, Y)
    np.testing.assert_allclose(reached, StandardScaler().fit_transform(Y))


def test_names_of_features_and_outputs():
    mlp, names = MLPClassifier((2,), max_iter=2), load_iris().target_names[SPECIES]
    found = opened(make_pipeline(StandardScaler(), mlp).fit(FLOWERS, names))
    assert found.feature_names == tuple(FLOWERS.columns)
    assert found.output_names == ("setosa", "versicolor", "virginica")
    assert opened(make_pipeline(PCA(2), mlp).fit(FLOWERS, names)).feature_names == ("pca0", "pca1")
    unnamed = opened(make_pipeline(FunctionTransformer(np.asarray), mlp).fit(FLOWERS, names == "setosa"))
    assert unnamed.feature_names == ()
    assert unnamed.output_names == ("True",)
    assert opened(regressor().fit(FLOWERS.to_numpy(), WIDTHS)).output_names == ()


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_estimators_that_are_not_fitted_raise_scikit_learns_error(wrap):
    with pytest.raises(NotFittedError, match="is not fitted: call fit first"):
        opened(wrap(regressor()))


@pytest.mark.parametrize(
    "other", [None, "net", make_pipeline(StandardScaler()), StandardScaler().fit(FLOWERS), ScikitLearns()]
)
def test_what_holds_no_network_is_refused(other):
    with pytest.raises(ValueError, match=r"no network of xpnet in this .*; allowed: a Model, a fitted MLPClassifier"):
        opened(other, also="a Model, ")


def test_another_attribute_may_be_all_that_is_wanted():
    theirs = ScikitLearns(hidden_layer_sizes=(2,), max_iter=2).fit(FLOWERS, WIDTHS)
    with pytest.raises(ValueError, match="no network of xpnet"):
        opened(theirs)
    assert opened(make_pipeline(theirs), "loss_curve_").network is theirs
    by_hand = SimpleNamespace(loss_curve_=[2.0, 1.0])
    assert opened(by_hand, "loss_curve_").network is by_hand
    with pytest.raises(ValueError, match="this SimpleNamespace has no coefs_; allowed: a fitted"):
        opened(by_hand, "coefs_")
