"""The loss curve is a readable picture that leaves pyplot alone."""

import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpnet import LossCurveDisplay, MLPClassifier, MLPRegressor, plot_loss_curve

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


def fitted(model, y=Y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def classifier(**params):
    return fitted(MLPClassifier(**{"hidden_layer_sizes": (4,), "max_iter": 5, "random_state": 0} | params))


def png_size(path):
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert content[-8:-4] == b"IEND"
    return struct.unpack(">II", content[16:24])


def test_the_picture_is_a_png_of_readable_size(tmp_path):
    plot_loss_curve(classifier(), path=tmp_path / "curve.png")
    width, height = png_size(tmp_path / "curve.png")
    assert 800 <= width <= 2000
    assert 500 <= height <= 1400
    assert 5_000 < (tmp_path / "curve.png").stat().st_size < 200_000


def test_the_loss_of_each_epoch_is_drawn():
    from matplotlib.figure import Figure

    ax, model = Figure().subplots(), classifier()
    assert plot_loss_curve(model, ax=ax) is ax
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [1, 2, 3, 4, 5]
    assert line.get_ydata().tolist() == model.loss_curve_
    assert ax.get_xlabel() == "epoch"
    assert "loss" in ax.get_ylabel()
    assert "5 epochs" in ax.get_title(loc="left")
    assert len(ax.figure.axes) == 1


@pytest.mark.parametrize(("kind", "name"), [(MLPClassifier, "accuracy"), (MLPRegressor, "R²")])
def test_validation_scores_have_an_axis_of_their_own(kind, name):
    from matplotlib.figure import Figure

    model = fitted(kind(hidden_layer_sizes=(4,), max_iter=6, early_stopping=True, random_state=0))
    ax = plot_loss_curve(model, ax=Figure().subplots())
    _, right = ax.figure.axes
    assert right.get_ylabel() == f"validation {name}"
    assert right.lines[0].get_ydata().tolist() == model.validation_scores_
    (best,) = right.lines[1].get_xdata()
    assert model.validation_scores_[best - 1] == model.best_validation_score_
    assert f"in epoch {best}" in ax.get_title(loc="left")


def test_a_loss_that_falls_far_is_drawn_on_a_log_scale(tmp_path):
    model = classifier()
    assert plot_loss_curve(model, path=tmp_path / "a.png").get_yscale() == "linear"
    model.loss_curve_ = [1.0, 0.1, 0.01]
    assert plot_loss_curve(model, path=tmp_path / "a.png").get_yscale() == "log"
    model.loss_curve_ = [1.0, 0.1, 0.0]
    assert plot_loss_curve(model, path=tmp_path / "a.png").get_yscale() == "linear"


def test_one_epoch_is_visible(tmp_path):
    ax = plot_loss_curve(classifier(max_iter=1), path=tmp_path / "a.png")
    assert ax.lines[0].get_marker() == "o"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda mlp: make_pipeline(StandardScaler(), mlp),
        lambda mlp: TransformedTargetRegressor(make_pipeline(StandardScaler(), mlp), transformer=StandardScaler()),
        lambda mlp: GridSearchCV(mlp, {"alpha": [0.1]}, cv=2),
    ],
)
def test_models_inside_others_are_found(wrap, tmp_path):
    plot_loss_curve(
        fitted(wrap(MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=0))), path=tmp_path / "a.svg"
    )
    assert b"<svg" in (tmp_path / "a.svg").read_bytes()


@pytest.mark.parametrize("model", [MLPClassifier(), StandardScaler(), None, make_pipeline(StandardScaler())])
def test_models_without_a_curve_are_refused(model, tmp_path):
    with pytest.raises(
        ValueError, match=r"has no loss_curve_; allowed: .*|MLPClassifier is not fitted: call fit first"
    ):
        plot_loss_curve(model, path=tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_writing_a_file_leaves_pyplot_alone(tmp_path):
    code = (
        "import sys, types, xpnet\n"
        "model = types.SimpleNamespace(loss_curve_=[3.0, 2.0])\n"
        "xpnet.plot_loss_curve(model, path='a.png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert png_size(tmp_path / "a.png")


def test_without_a_path_the_figure_is_pyplots(monkeypatch):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    ax = plot_loss_curve(classifier())
    assert ax.figure.number in pyplot.get_fignums()
    pyplot.close(ax.figure)


def test_matplotlib_missing_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'needs matplotlib.*pip install "xpnet\[cli\]"'):
        plot_loss_curve(classifier())


# --- the display


@pytest.fixture
def ax():
    from matplotlib.figure import Figure

    return Figure().subplots()


def test_the_display_follows_scikit_learns_convention(ax):
    model = classifier()
    display = LossCurveDisplay.from_estimator(make_pipeline(model), ax=ax)
    assert (display.ax_, display.figure_, display.score_ax_) == (ax, ax.figure, None)
    assert display.loss_curve == model.loss_curve_
    assert display.plot(ax) is display
    with pytest.raises(ValueError, match="is not fitted: call fit first"):
        LossCurveDisplay.from_estimator(MLPClassifier())


def test_the_display_makes_a_figure_of_pyplots():
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    display = LossCurveDisplay.from_estimator(classifier())
    assert display.figure_.number in pyplot.get_fignums()
    pyplot.close(display.figure_)


def test_the_validation_loss_is_drawn_beside_the_training_loss(ax):
    model = classifier(early_stopping=True)
    model.validation_loss_curve_ = [loss + 0.1 for loss in model.loss_curve_]
    display = LossCurveDisplay.from_estimator(model, ax=ax)
    training, validation, scores = display.lines_
    assert training.get_ydata().tolist() == model.loss_curve_
    assert validation.get_ydata().tolist() == model.validation_loss_curve_
    assert validation.get_linestyle() != training.get_linestyle()
    assert scores.get_ydata().tolist() == model.validation_scores_
    assert display.score_ax_.get_ylabel() == "validation accuracy"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation"]
    assert ax.get_ylabel() == "loss"


def test_epochs_without_a_validation_loss_leave_a_gap_or_no_line(ax):
    model = classifier()
    model.loss_curve_ = [1.0, 0.1, 0.01]
    model.validation_loss_curve_ = [np.nan, np.nan, 0.02]
    display = LossCurveDisplay.from_estimator(model, ax=ax)
    assert len(display.lines_) == 2
    assert ax.get_yscale() == "log"
    ax.figure.canvas.draw()
    model.validation_loss_curve_ = [np.nan] * 3
    assert LossCurveDisplay.from_estimator(model, ax=ax).validation_loss_curve is None


def test_the_numbers_of_a_loop_of_ones_own(ax):
    display = LossCurveDisplay(loss_curve=[3.0, 2.0, 1.0], estimator_name="by hand").plot(ax)
    assert ax.get_title(loc="left") == "by hand: 3 epochs, loss 1"
    assert display.lines_[0].get_xdata().tolist() == [1, 2, 3]


def test_matplotlib_missing_for_the_display(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'LossCurveDisplay needs matplotlib.*pip install "xpnet\[cli\]"'):
        LossCurveDisplay.from_estimator(classifier())
