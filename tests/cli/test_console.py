"""Colors and plain lines."""

import re

import pytest

FEW = "--epochs", "3"


def test_no_color_is_honoured(in_a_terminal):
    pytest.importorskip("rich", reason="rich is not installed")
    colored, _ = in_a_terminal(["train", "iris.csv", "--target", "species", *FEW])
    plain, _ = in_a_terminal(["train", "iris.csv", "--target", "species", *FEW], NO_COLOR="1")
    colors = re.compile(r"\x1b\[[\d;]*3\d[\d;]*m")
    assert colors.search(colored)
    assert not colors.search(plain)


def test_a_console_without_rich_or_a_terminal_is_plain(monkeypatch):
    from xpnet.cli import console

    monkeypatch.setattr(console, "_is_terminal", lambda: True)
    assert (console.Console().rich is None) == (console.importlib.util.find_spec("rich") is None)
    assert console.Console(quiet=True).rich is None
    monkeypatch.setattr(console.importlib.util, "find_spec", lambda name: None)
    assert console.Console().rich is None
    monkeypatch.undo()
    assert console.Console().rich is None
