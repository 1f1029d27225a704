"""Histograms over the epochs hold the recorded numbers' shares, and are drawn where they belong."""

import sys
from itertools import islice

import numpy as np
import pytest

from xpnet import Adam, Dense, HistogramDisplay, Model, PReLU, Recorder, Sequential, epochs

figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 3)), RNG.normal(size=(40, 2))
MODEL = Model(Sequential(Dense(4, "tanh"), PReLU(), Dense(2, bias=False)))


@pytest.fixture
def ax():
    return figure.Figure().subplots()


@pytest.fixture(scope="module")
def recorder():
    recorder = Recorder(every=2)
    state = MODEL.initial(np.random.default_rng(0), 3, Adam(0.1))
    for epoch, (state, _) in enumerate(islice(epochs(MODEL, state, X, Y, batch_size=8), 10), start=1):
        recorder.record(epoch, MODEL, state, X, Y)
    return recorder


@pytest.mark.parametrize(
    ("quantity", "layer", "of"),
    [
        ("weights", 0, lambda record: record.parameters[0][0]),
        ("weights", -1, lambda record: record.parameters[2][0]),
        ("biases", 0, lambda record: record.parameters[0][1]),
        ("gradients", 0, lambda record: record.gradients[0][0]),
        ("activations", 1, lambda record: record.activations[1]),
    ],
)
def test_what_was_recorded_is_drawn(recorder, ax, quantity, layer, of):
    display = HistogramDisplay.from_recorder(recorder, quantity, layer=layer, bins=20, ax=ax)
    assert (display.ax_, display.figure_) == (ax, ax.figure)
    assert display.epochs == [2, 4, 6, 8, 10]
    assert display.counts_.shape == (20, 5)
    assert np.allclose(display.counts_.sum(axis=0), 1.0)
    for record, values, line in zip(recorder, display.values, display.counts_.T, strict=True):
        assert np.array_equal(values, np.ravel(of(record)))
        inside = np.clip(values, display.edges_[0], display.edges_[-1])
        assert np.allclose(np.histogram(inside, display.edges_)[0] / values.size, line)
    medians = ax.lines[1]
    assert list(medians.get_xdata()) == display.epochs
    assert np.allclose(medians.get_ydata(), [np.median(v) for v in display.values])
    assert f"{quantity} of layer {layer % 3 + 1}" in ax.get_title(loc="left")
    ax.figure.canvas.draw()


def test_one_epoch_and_equal_numbers_are_drawn(ax):
    display = HistogramDisplay(epochs=[7], values=[np.zeros(5)], name="zeros").plot(ax, bins=4)
    assert display.counts_.sum() == 1.0
    assert ax.get_xlim()[0] < 7 < ax.get_xlim()[1]
    ax.figure.canvas.draw()


def test_without_axes_the_figure_is_pyplots(recorder):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    display = HistogramDisplay.from_recorder(recorder)
    assert display.figure_.number in pyplot.get_fignums()
    pyplot.close(display.figure_)


def test_mistakes_are_named(recorder, ax):
    with pytest.raises(ValueError, match=r"this Recorder has no snapshots"):
        HistogramDisplay.from_recorder(Recorder(), ax=ax)
    with pytest.raises(ValueError, match=r"quantity is 'slots'; allowed: 'weights', 'biases'"):
        HistogramDisplay.from_recorder(recorder, "slots", ax=ax)
    with pytest.raises(ValueError, match=r"layer is 3; the network has 3 layers"):
        HistogramDisplay.from_recorder(recorder, layer=3, ax=ax)
    with pytest.raises(ValueError, match=r"layer 1 is a PReLU and has no parameters of the role 'weight'"):
        HistogramDisplay.from_recorder(recorder, "gradients", layer=1, ax=ax)
    with pytest.raises(ValueError, match=r"layer 2 is a Dense and has no parameters of the role 'bias'"):
        HistogramDisplay.from_recorder(recorder, "biases", layer=2, ax=ax)


def test_matplotlib_missing_names_the_install_line(recorder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'HistogramDisplay needs matplotlib.*pip install "xpnet\[cli\]"'):
        HistogramDisplay.from_recorder(recorder)


@pytest.mark.parametrize("bins", [0, -1, 2.5])
def test_bins_are_refused_by_name(bins):
    recorder, model = Recorder(), Model(Sequential(Dense(2)))
    X, Y = np.ones((3, 2)), np.ones((3, 2))
    recorder.record(1, model, model.initial(np.random.default_rng(0), 2, Adam()), X, Y)
    with pytest.raises(ValueError, match=f"bins is {bins}; it must be a whole number, 1 or more"):
        HistogramDisplay.from_recorder(recorder, bins=bins)
