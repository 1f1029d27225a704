"""The first layer's weights are images, each unit's in its tile; scikit-learn's decision surface serves our models."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_moons
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from xpnet import FirstLayerWeightsDisplay, MLPClassifier, MLPRegressor

figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def ax():
    return figure.Figure().subplots()


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return make_pipeline(MinMaxScaler(), MLPClassifier((6,), max_iter=2, random_state=0)).fit(X, y)


def test_each_unit_is_an_image(digits, ax):
    display = FirstLayerWeightsDisplay.from_estimator(digits, ax=ax)
    W = digits[-1].coefs_[0]
    assert (display.ax_, display.figure_, display.image_shape) == (ax, ax.figure, (8, 8))
    picture = np.asarray(display.image_.get_array().filled(np.nan), dtype=float)
    rows, columns = (n // 9 for n in (picture.shape[0] + 1, picture.shape[1] + 1))
    assert rows * columns >= 6
    for unit in range(6):
        top, left = unit // columns * 9, unit % columns * 9
        assert np.array_equal(picture[top : top + 8, left : left + 8], W[:, unit].reshape(8, 8))
    assert np.isnan(picture).sum() == picture.size - W.size
    ax.figure.canvas.draw()


def test_the_scale_is_centred_on_0(digits, ax):
    low, high = FirstLayerWeightsDisplay.from_estimator(digits, ax=ax).image_.get_clim()
    assert -low == high == abs(digits[-1].coefs_[0]).max()


def test_shapes_and_numbers_of_units(ax):
    W = np.arange(60.0).reshape(6, 10)
    display = FirstLayerWeightsDisplay(weights=W, image_shape=(2, 3), max_units=4).plot(ax)
    assert np.isfinite(np.asarray(display.image_.get_array().filled(np.nan))).sum() == 4 * 6
    assert "4 of 10 units, 2×3" in ax.get_title(loc="left")
    with pytest.raises(ValueError, match=r"6 features make no square image: give image_shape"):
        FirstLayerWeightsDisplay(weights=W)
    with pytest.raises(ValueError, match=r"image_shape is \(2, 2\); it must be \(height, width\).* = 6"):
        FirstLayerWeightsDisplay(weights=W, image_shape=(2, 2))
    with pytest.raises(ValueError, match=r"max_units is 0"):
        FirstLayerWeightsDisplay(weights=W, image_shape=(2, 3), max_units=0)


def test_weights_of_any_library(library, ax):
    W = np.arange(12.0).reshape(4, 3)
    assert np.array_equal(FirstLayerWeightsDisplay(weights=library.asarray(W)).plot(ax).weights, W)


def test_weights_that_are_all_zero_are_drawn(ax):
    FirstLayerWeightsDisplay(weights=np.zeros((4, 1))).plot(ax).figure_.canvas.draw()


def test_models_that_are_not_fitted_are_refused():
    with pytest.raises(ValueError, match="this MLPClassifier is not fitted: call fit first"):
        FirstLayerWeightsDisplay.from_estimator(MLPClassifier())


def test_matplotlib_missing_names_the_install_line(digits, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'FirstLayerWeightsDisplay needs matplotlib.*pip install "xpnet\[cli\]"'):
        FirstLayerWeightsDisplay.from_estimator(digits)


# --- decision surface for two features: scikit-learn's


@pytest.mark.parametrize(
    ("model", "n_classes"),
    [
        (MLPClassifier((8,), max_iter=20, random_state=0), 2),
        (MLPClassifier((8,), max_iter=20, random_state=0), 3),
        (MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=0), 2),
        (make_pipeline(MinMaxScaler(), MLPClassifier((8,), max_iter=20, random_state=0)), 2),
    ],
)
def test_scikit_learns_decision_surface_takes_our_estimators(model, n_classes, ax):
    X, _ = make_moons(60, noise=0.2, random_state=0)
    model.fit(X, np.arange(60) % n_classes)
    display = DecisionBoundaryDisplay.from_estimator(model, X, grid_resolution=20, ax=ax)
    assert display.ax_ is ax
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    if n_classes == 2:
        method = getattr(model, "predict_proba", None)
        wanted = model.predict(grid) if method is None else method(grid)[:, 1]
    else:
        wanted = model.predict_proba(grid)
    assert np.allclose(np.ravel(display.response), np.ravel(wanted))
