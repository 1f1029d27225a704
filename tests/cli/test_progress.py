"""The progress of training: a bar on a terminal, a few lines elsewhere."""

import re

import pytest


def test_a_terminal_shows_a_bar_that_moves(in_a_terminal):
    pytest.importorskip("rich", reason="rich is not installed")
    text, code = in_a_terminal(["train", "digits", "--epochs", "40"])
    assert code == 0
    assert "\x1b[" in text
    shown = {int(n) for n in re.findall(r"(\d+)/40", text)}
    assert {0, 40} < shown
    assert re.search(r"loss [\d.]+ +held-out accuracy 0\.\d+", text)
    assert "held-out" in text
    assert "━" in text


def test_long_runs_print_few_lines(succeed):
    out, _ = succeed("train", "iris.csv", "--target", "species", "--epochs", "397", "--hidden", "2")
    shown = [int(n) for n in re.findall(r"(?m)^epoch +(\d+)/397", out)]
    assert shown[0] == 1
    assert len(shown) <= 20
    assert f"{shown[-1]}" in re.search(r"stopped +.*", out)[0]
