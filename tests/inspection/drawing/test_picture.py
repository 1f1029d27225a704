"""The network's picture holds what the network has, in a form that browsers draw and people can read."""

import json
import re
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from xpnet import (
    Dense,
    FirstLayerWeightsDisplay,
    MLPClassifier,
    MLPRegressor,
    Model,
    PReLU,
    Sequential,
    summary,
    to_svg,
)
from xpnet.equations.layers import Parameter

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

D0 = Model(Sequential(Dense(4, "sigmoid"), Dense(2)), loss="cross_entropy")
D3_ONE = Model(Sequential(Dense(1)), loss="binary_cross_entropy")
D3_TWO = Model(Sequential(Dense(4, "tanh"), Dense(1)), loss="binary_cross_entropy")
D4 = Model(Sequential(Dense(2, "relu", bias=False), Dense(1, "relu", bias=False)))
D4_WEIGHTS = [2.0, 1.0, -3.0, 4.0, 2.0, -1.0]
DIGITS = Model(Sequential(Dense(100, "relu"), Dense(10)), loss="cross_entropy")
FLOWERS, SPECIES = load_iris(return_X_y=True, as_frame=True)


def drawn(model, n_features, seed=0, **options):
    """The picture with random weights."""
    return to_svg(
        model, n_features, Model(Sequential(*layers(model))).draw(np.random.default_rng(seed), n_features), **options
    )


def layers(model):
    return model.network.layers if isinstance(model, Model) else model.layers


def found(svg, name):
    """The picture's elements of this name; parsing proves that it is well-formed."""
    return [e for e in ElementTree.fromstring(svg).iter() if e.tag == f"{{http://www.w3.org/2000/svg}}{name}"]


def texts(svg):
    return ["".join(e.itertext()) for e in found(svg, "text")]


def edges(svg):
    """Each line's weight as its title says it (None: not known), and its attributes."""
    lines = [("".join(e.itertext()), e.attrib) for e in found(svg, "line")]
    return [(float(title.partition(" = ")[2]) if " = " in title else None, at) for title, at in lines]


# --- units, bias nodes, weights


@pytest.mark.parametrize(
    ("model", "n_features", "n_nodes", "n_biases"),
    [(D0, 3, 3 + 4 + 2, 2), (D3_ONE, 4, 4 + 1, 1), (D3_TWO, 3, 3 + 4 + 1, 2), (D4, 2, 2 + 2 + 1, 0)],
    ids=["D0", "D3, one layer", "D3, two layers", "D4"],
)
def test_the_documents_figures(model, n_features, n_nodes, n_biases):
    svg = to_svg(model, n_features)
    fills = [e.attrib["fill"] for e in found(svg, "circle")]
    assert len(fills) == n_nodes + n_biases
    assert fills.count("#ffdf5d") == n_biases  # D0: "Bias nodes are shown in yellow"
    assert len(found(svg, "line")) == model.layout(n_features).n_parameters
    assert {w for w, _ in edges(svg)} == {None}
    assert ("layer 2" in texts(svg)) == (len(layers(model)) == 2)  # D3: the input is not counted
    assert "layer 3" not in texts(svg)


def test_every_line_ends_at_nodes():
    svg = drawn(D0, 3)
    nodes = {(e.attrib["cx"], e.attrib["cy"]) for e in found(svg, "circle")}
    for _, at in edges(svg):
        assert {(at["x1"], at["y1"]), (at["x2"], at["y2"])} <= nodes
        assert float(at["x1"]) < float(at["x2"])


def test_d4s_weights_stand_on_their_lines():
    svg = to_svg(D4, 2, D4_WEIGHTS)
    assert sorted(w for w, _ in edges(svg)) == sorted(D4_WEIGHTS)
    assert {"2", "1", "−3", "4", "−1"} <= set(texts(svg))
    (title,) = [t for t in (("".join(e.itertext())) for e in found(svg, "line")) if "W1[2, 1]" in t]
    assert title == "W1[2, 1] = -3"  # w_23 of the document: from the second input to the first hidden unit


def test_sign_is_color_and_dash_and_size_is_width():
    lines = edges(drawn(D0, 3))
    assert {w > 0 for w, _ in lines if w != 0} == {True, False}
    for w, at in lines:
        assert ("stroke-dasharray" in at) == (w < 0)
        assert (at["stroke"] == "#d06a00") == (w < 0)
    by_size = sorted(lines, key=lambda line: abs(line[0]))
    widths = [float(at["stroke-width"]) for _, at in by_size]
    assert widths == sorted(widths)
    assert widths[-1] == pytest.approx(4.4)
    assert widths[0] >= 0.8


def test_weights_that_are_all_zero_are_drawn():
    assert {at["stroke-width"] for _, at in edges(to_svg(D4, 2, np.zeros(6)))} == {"0.8"}


def test_theta_may_be_of_any_library(library):
    theta = np.asarray(D4_WEIGHTS)
    assert to_svg(D4, 2, library.asarray(theta, "float64")) == to_svg(D4, 2, theta)


def test_names_stand_beside_units():
    svg = to_svg(D4, 2, feature_names=['<b> & "c"', "x" * 99], output_names=["price"])
    assert {'<b> & "c"', "x" * 21 + "…", "price"} <= set(texts(svg))
    with pytest.raises(ValueError, match=r"feature_names has 3 names, and there are 2 units"):
        to_svg(D4, 2, feature_names="abc")


def test_names_that_xml_cannot_hold_are_drawn_without():
    assert "a b" in texts(to_svg(D4, 2, output_names=["a\x00b"]))


def test_the_link_is_named_if_the_loss_has_one():
    assert "softmax" in texts(to_svg(D0, 3))
    assert "softmax" not in texts(to_svg(D0.network, 3))


# --- blocks


def test_large_networks_are_blocks():
    svg = drawn(DIGITS, 64)
    assert not found(svg, "circle")
    assert not found(svg, "line")
    assert {"64", "100", "10", "W 64×100", "b 100", "W 100×10", "b 10", "6,500 parameters"} <= set(texts(svg))
    heights = [float(e.attrib["height"]) for e in found(svg, "rect")]
    assert heights[1] > heights[0] > heights[2]
    assert len(found(svg, "path")) == 2


def test_max_units_says_what_is_large():
    assert found(to_svg(DIGITS, 64, max_units=100), "circle")
    assert not found(to_svg(D0, 3, max_units=3), "circle")
    with pytest.raises(ValueError, match=r"max_units is 0"):
        to_svg(D0, 3, max_units=0)


def test_layers_without_weights_are_functions_of_those_before():
    svg = to_svg(Sequential(Dense(3, "relu"), PReLU(), Dense(2)), 2)
    assert len(found(svg, "circle")) == 2 + 3 + 2 + 2
    assert {"layers 1–2", "relu, PReLU", "layer 3"} <= set(texts(svg))
    titles = ["".join(e.itertext()) for e in found(svg, "line")]
    assert {"W1[1, 1]", "b1[3]", "W3[3, 2]", "b3[2]"} <= set(titles)
    assert "PReLU" in texts(to_svg(Sequential(PReLU(), Dense(2)), 2))


@dataclass(frozen=True)
class Patches:
    """A = X * K   (a layer of the user's own)."""

    def shapes(self, in_shape):
        h, w, c = in_shape
        return (Parameter("K", (3, 3, c, 5), "weight"),), (h - 2, w - 2, 5)

    def forward(self, params, X, train=None):
        raise AssertionError("a picture computes nothing")


def test_layers_of_ones_own_that_join_no_units_are_blocks():
    svg = to_svg(Sequential(Patches()), (6, 6, 1))
    assert {"6×6×1", "4×4×5", "Patches, 4×4×5 units", "K 3×3×1×5"} <= set(texts(svg))


# --- estimators


@pytest.fixture(scope="module")
def flowers():
    model = make_pipeline(StandardScaler(), MLPClassifier((3,), max_iter=3, random_state=0))
    return model.fit(FLOWERS, load_iris().target_names[SPECIES])


def test_a_fitted_pipeline_knows_its_weights_and_names(flowers):
    svg, mlp = to_svg(flowers), flowers[-1]
    assert {*FLOWERS.columns, "setosa", "versicolor", "virginica"} <= set(texts(svg))
    arrays = (*mlp.coefs_, *mlp.intercepts_)
    wanted = np.sort(np.concatenate([np.ravel(a) for a in arrays]))
    assert np.allclose(sorted(w for w, _ in edges(svg)), wanted, rtol=1e-3)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda mlp: mlp,
        lambda mlp: make_pipeline(StandardScaler(), mlp),
        lambda mlp: TransformedTargetRegressor(make_pipeline(StandardScaler(), mlp), transformer=StandardScaler()),
        lambda mlp: GridSearchCV(mlp, {"alpha": [0.1]}, cv=2),
    ],
)
def test_networks_inside_others_are_found(wrap):
    model = wrap(MLPRegressor(hidden_layer_sizes=(2,), max_iter=2, random_state=0)).fit(FLOWERS, SPECIES)
    assert set(FLOWERS.columns) <= set(texts(to_svg(model)))


def test_features_that_were_mixed_have_other_names_or_none():
    mixed = make_pipeline(PCA(2), MLPClassifier((2,), max_iter=2)).fit(FLOWERS, SPECIES)
    assert {"pca0", "pca1"} <= set(texts(to_svg(mixed)))
    unnamed = make_pipeline(FunctionTransformer(np.asarray), MLPClassifier((2,), max_iter=2)).fit(FLOWERS, SPECIES)
    assert "x" in "".join(texts(to_svg(unnamed)))
    assert not set(FLOWERS.columns) & set(texts(to_svg(unnamed)))


def test_one_output_of_two_classes_is_the_second():
    model = MLPClassifier((2,), max_iter=2).fit(FLOWERS, np.where(SPECIES == 0, "setosa", "other"))
    assert "setosa" in texts(to_svg(model))
    assert "other" not in texts(to_svg(model))


# --- refused


@pytest.mark.parametrize("model", [make_pipeline(StandardScaler()), None, "net"])
def test_what_is_no_network_is_refused(model):
    with pytest.raises(ValueError, match=r"no network of xpnet in this .*; allowed: a Model, a Sequential, a fitted"):
        to_svg(model)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"n_features is missing: a Model does not know"):
        to_svg(D0)
    with pytest.raises(ValueError, match=r"theta has shape \(3,\).* 6 parameters"):
        to_svg(D4, 2, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"theta contains 1 value\(s\) that are NaN"):
        to_svg(D4, 2, [1.0, 2.0, 3.0, 4.0, 5.0, np.nan])


# --- shown


def test_it_is_a_string_that_notebooks_show_and_files_hold(tmp_path):
    svg = to_svg(D4, 2)
    assert svg._repr_svg_() == svg
    assert svg in svg._repr_html_()
    svg.write(tmp_path / "net.svg")
    assert (tmp_path / "net.svg").read_text(encoding="utf-8") == svg
    assert 'role="img"' in svg
    assert found(svg, "title")[0].text.startswith("network input 2 features, layer 1 Dense, 2 units")


def test_pictures_on_one_page_leave_each_other_alone():
    svg = drawn(D0, 3)
    assert not re.search(r"\b(id|class)=", svg)
    assert re.findall(r"<style>(.*?)</style>", svg)[0].count("{color") == svg.count("svg:root{color")


PICTURES = {
    "D0": drawn(D0, 3),
    "D0 without weights": to_svg(D0, 3),
    "D3, one layer": drawn(D3_ONE, 4),
    "D3, two layers": drawn(D3_TWO, 3),
    "D4": to_svg(D4, 2, D4_WEIGHTS),
    "one unit": to_svg(Sequential(Dense(1)), 1, [-123456.7, 0.001]),
    "many": drawn(Sequential(Dense(16, "tanh"), PReLU(), Dense(16, "elu"), Dense(3)), 16),
    "names": drawn(D4, 2, feature_names=["sepal length (cm)", "W" * 40], output_names=["M" * 40]),
    "digits": drawn(DIGITS, 64),
    "blocks": to_svg(Sequential(Patches(), Patches()), (100, 100, 1)),
}

_HEAD = "<!doctype html><meta charset='utf-8'>"
# Runs in the page: texts that are cut, that lie on one another, or on the nodes of others.
_MEASURE = """
<script>
const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
const box = e => e.getBoundingClientRect();
const wrong = [];
for (const svg of document.querySelectorAll("svg")) {
  const all = [...svg.querySelectorAll("text")], page = box(svg), name = svg.parentNode.title;
  for (const [i, text] of all.entries()) {
    const at = box(text), what = name + ": " + text.textContent;
    if (at.width < 1) wrong.push("empty " + what);
    if (at.left < page.left || at.right > page.right || at.top < page.top || at.bottom > page.bottom)
      wrong.push("cut " + what);
    for (const other of all.slice(i + 1))
      if (meet(at, box(other))) wrong.push("on each other " + what + " / " + other.textContent);
    for (const node of svg.querySelectorAll("circle, rect")) {
      const inside = box(node), c = (at.left + at.right) / 2;
      const belongs = inside.left <= c && c <= inside.right && meet(at, inside);
      if (belongs ? at.width > inside.width : meet(at, inside)) wrong.push("on a node " + what);
    }
  }
}
document.body.innerHTML = "<pre>" + JSON.stringify({n: document.querySelectorAll("svg").length, wrong}) + "</pre>";
</script>
"""


def test_a_browser_draws_every_label_whole_and_apart_from_others(browse):
    page = "".join(f'<div title="{name}" style="width:4000px">{svg}</div>' for name, svg in PICTURES.items())
    dom = browse(_HEAD + page + _MEASURE, "--dump-dom")
    said = json.loads(re.search(r"<pre>(\{.*?\})</pre>", dom, re.DOTALL)[1])
    assert said == {"n": len(PICTURES), "wrong": []}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_seen_on_light_and_on_dark_pages(browse, tmp_path, theme):
    PIL = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    PICTURES["digits"].write(tmp_path / "net.svg")
    paper = {"light": (255, 255, 255), "dark": (13, 17, 23)}[theme]
    style = f":root{{color-scheme:{theme}}}body{{margin:0;background:rgb{paper}}}"
    shot = tmp_path / "shot.png"
    browse(f"{_HEAD}<style>{style}</style><img src='net.svg'>", f"--screenshot={shot}", "--window-size=700,400")
    pixels = np.asarray(PIL.open(shot).convert("L"), dtype=float)
    captions = pixels[190:260, :400]  # below the blocks
    assert abs(captions - captions[0, 0]).max() > 150


@pytest.mark.parametrize(
    "unfitted",
    [
        MLPClassifier(),
        make_pipeline(StandardScaler(), MLPRegressor()),
        TransformedTargetRegressor(MLPRegressor()),
        GridSearchCV(MLPClassifier(), {"alpha": [0.1]}),
    ],
)
def test_estimators_that_are_not_fitted_raise_scikit_learns_error(unfitted):
    for show in (to_svg, summary, FirstLayerWeightsDisplay.from_estimator):
        with pytest.raises(NotFittedError, match="is not fitted: call fit first"):
            show(unfitted)


def test_a_picture_is_written_as_svg_alone(tmp_path):
    svg = to_svg(Sequential(Dense(1)), 2)
    for name in ("x.png", "x"):
        with pytest.raises(ValueError, match=rf"{name}', and the picture is written as \.svg"):
            svg.write(tmp_path / name)
    svg.write(tmp_path / "x.SVG")
    assert [path.name for path in tmp_path.iterdir()] == ["x.SVG"]


def test_a_weight_of_0_is_gray():
    svg = to_svg(Sequential(Dense(1, bias=False)), 3, np.asarray([1.0, 0.0, -1.0]))
    strokes = {w: at["stroke"] for w, at in edges(svg)}
    assert strokes[0.0] == "#8b949e"
    assert len(set(strokes.values())) == 3
