"""What an explanation shows: text, Markdown, JSON, and a page that a browser draws without network or script."""

import html.parser
import json
import re

import numpy as np
import pytest

from xpnet import Adam, Dense, Model, Sequential, explain
from xpnet.examples.documents import EXAMPLES
from xpnet.inspection.explanation.page import as_page


@pytest.fixture(scope="module")
def exercise():
    return EXAMPLES["exercise"]()[0].explanation()


@pytest.fixture(scope="module")
def large():
    """A network whose arrays are too large to be shown whole."""
    rng = np.random.default_rng(0)
    model = Model(Sequential(Dense(40, "relu"), Dense(10)), "cross_entropy", l2=0.01)
    X, Y = rng.normal(size=(100, 64)), np.eye(10)[rng.integers(0, 10, 100)]
    return explain(model, X, Y, state=model.initial(rng, 64, Adam()), check=False)


class Checked(html.parser.HTMLParser):
    """Every tag closed in its order, nothing fetched, nothing run."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text, self.ids, self.links = [], [], "", [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]
        self.links += [value for name, value in attributes if name in ("href", "src")]
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text += f"{data} "


def parsed(page):
    reader = Checked()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_the_page_is_whole_and_alone(exercise, large):
    for page in (exercise.html(), large.html(), as_page(exercise, large)):
        reader = parsed(page)
        assert page.startswith("<!DOCTYPE html>")
        assert "script" not in reader.tags
        assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)
        assert len(set(reader.ids)) == len(reader.ids)
        assert "url(" not in page
        assert "@import" not in page
        assert len(page) < 100_000


def test_the_page_shows_everything(exercise):
    reader = parsed(exercise.html())
    text = " ".join(reader.text.split())
    assert reader.tags.count("article") == len(exercise)
    assert reader.tags.count("details") == 5  # data, two layers, loss, update
    assert "forward ↓" in text
    assert "backward ↑" in text
    assert "6 of 6 agree" in text
    assert "15 of 15" in text
    for q in exercise:
        assert str(exercise.place(q)) in text
        assert q.source in text
    assert "2 1 -3 4" in text
    assert "D0 backward 2, 7" in text


def test_a_notebook_shows_the_page(exercise):
    fragment = exercise._repr_html_()
    assert "<html" not in fragment
    assert parsed(fragment).tags.count("article") == len(exercise)
    # No rule of the style reaches beyond the fragment.
    style = re.search(r"<style>(.*?)</style>", fragment, flags=re.DOTALL)[1]
    selectors = re.findall(r"(?:^|[{}])\s*([^{}@]+?)\s*\{", style)
    assert selectors
    assert all(part.strip().startswith(".xpnet-step") for s in selectors for part in s.split(",") if part.strip())


def test_text(exercise, large):
    text = exercise.text()
    assert str(exercise) == text
    assert max(map(len, text.splitlines())) <= 110
    assert "Z1 = X W1" in text
    assert "\n       2  1\n      -3  4\n" in text
    order = [text.index(f"── {title}") for title in ("input", "forward, layer 1", "forward, layer 2", "loss")]
    order += [text.index(f"── {title}") for title in ("backward, layer 2", "backward, layer 1", "update")]
    assert order == sorted(order)
    assert "64 × 40" in large.text()
    assert "% zeros; it begins" in large.text()


def test_large_arrays_are_never_dumped(large):
    for shown in (large.text(), large.markdown(), large.html(), large.json()):
        assert len(shown) < 100_000  # W1 alone has 2560 numbers, and there are 15 of its size
    assert large["W1"].summary()["norm"] == pytest.approx(np.linalg.norm(large["W1"].value))
    assert large["A1"].summary()["zeros"] == np.mean(large["A1"].value == 0.0)
    assert large["W1"].corner.shape == (3, 5)


def test_markdown(exercise):
    lines = exercise.markdown().splitlines()
    assert lines[0] == "# D4: the worked exercise"
    rows = [line for line in lines if line.startswith("| **")]
    assert len(rows) == len(exercise)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 6 for row in rows)
    assert "`2  1`<br>`-3  4`" in exercise.markdown()


def test_json(exercise, large):
    found = json.loads(exercise.json())
    assert found == exercise.to_dict()
    by_name = {q["name"]: q for q in found["quantities"]}
    assert by_name["dW1"]["values"] == [[20.0, 0.0], [-20.0, 0.0]]
    assert by_name["dW1"]["check"]["verdict"] == "agrees"
    assert by_name["Z1"]["document"] == {"symbol": "x_3, x_4", "values": [[5.0, -3.0]], "same": True}
    of_large = {q["name"]: q for q in json.loads(large.json())["quantities"]}
    assert "values" not in of_large["W1"]
    assert of_large["W1"]["shape"] == [64, 40]
    assert np.shape(of_large["W1"]["corner"]) == (3, 5)


def test_an_explanation_is_a_sequence_with_names(exercise):
    assert len(exercise) == len(list(exercise))
    assert "dW1" in exercise
    assert "dW9" not in exercise
    assert exercise["X"] is next(iter(exercise))


def test_indices_and_letters_are_set(large):
    page = as_page(large)
    assert "dZ<sub>2,i</sub>" in page
    assert "β<sub>2</sub><sup>t</sup>" in page
    assert "ε = 1e-08" in page
    assert "(dW<sub>1</sub><sup>2</sup> − v)" in page


# --- a browser


def test_a_browser_reads_the_numbers(exercise, browse):
    dom = browse(exercise.html(), "--dump-dom")
    tables = re.findall(r'<table class="matrix">(.*?)</table>', dom, flags=re.DOTALL)
    numbers = [re.findall(r"<td>(.*?)</td>", table) for table in tables]
    for expected in (["2", "1", "-3", "4"], ["5", "-3"], ["50", "0"], ["20", "0", "-20", "0"], ["0", "1", "-1", "4"]):
        assert expected in numbers


@pytest.mark.parametrize("width", [1300, 420])
def test_a_browser_draws_it(exercise, browse, tmp_path, width):
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
    browse(exercise.html(), f"--screenshot={tmp_path / 'page.png'}", f"--window-size={width},1600")
    pixels = image.imread(tmp_path / "page.png")[..., :3]
    assert pixels.shape[:2] == (1600, width)
    background = pixels[-1, 0]
    drawn = np.abs(pixels - background).max(axis=2) > 0.2
    assert 0.01 < drawn.mean() < 0.5  # letters and lines, neither nothing nor everything
    thirds = [part.mean() for part in np.array_split(drawn, 3)]
    assert min(thirds) > 0.005  # from top to bottom
    assert not drawn[:, -4:].any()  # nothing runs out at the right
