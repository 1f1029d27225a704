"""The arguments of the commands, with their types and help texts."""

import argparse
from collections.abc import Callable
from math import inf
from typing import Any, NoReturn

from .. import __version__

DOCUMENTS = ("exercise", "D0", "D1", "D2", "D3", "D4")
"""What ``explain`` shows without a model file."""
_TABLES = (
    "FILE is a .csv table with a header line (commas, semicolons or tabs), or an .npz of numbers with the arrays X "
    "(samples x features) and y."
)
# Arguments of several commands.
_MODEL: dict[str, Any] = {"metavar": "MODEL", "help": "a file that train wrote"}
_TARGET: dict[str, Any] = {
    "metavar": "COLUMN",
    "help": "the target's column, or array of an .npz; by default what train recorded",
}
_BACKEND: dict[str, Any] = {
    "metavar": "NAME",
    "help": "what computes: numpy, cupy, cupy:N or auto; otherwise XPNET_BACKEND, otherwise numpy",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, where argparse would print the whole usage
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parser_of_commands() -> argparse.ArgumentParser:
    """The parser, with every command and its options."""
    parser = _Parser(prog="xpnet", description="Train a neural network on a table, and use it.")
    parser.add_argument("--version", action="version", version=f"xpnet {__version__}")
    commands = parser.add_subparsers(dest="command")
    for add in (_add_train, _add_predict, _add_summary, _add_explain, _add_diagnose, _add_gradcheck, _add_info):
        add(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction) -> None:
    add = commands.add_parser(
        "train",
        help="train on digits, or on a table of your own",
        description="Train a network, score it on samples held out, and write the model and its loss curve. "
        f"{_TABLES} Features are scaled to mean 0 and standard deviation 1, and so is a regression's target; the "
        "scaling is saved with the model. Ctrl-C ends training early and keeps the model trained so far.",
        epilog="Text, booleans and at most 20 distinct whole numbers as the target mean classification, other numbers "
        "regression. In an .npz, y may have several columns: several targets, or 0/1 for each of several labels.",
    ).add_argument
    add("data", metavar="digits|FILE", help="'digits', 1797 scans of handwritten digits, or a .csv or .npz file")
    add("--target", metavar="COLUMN", help="the column to predict; for an .npz the array, y by default")
    add("--drop", metavar="COL,...", type=_names, default=[], help="columns of a .csv to leave out")
    add("--out", metavar="PATH", help="the model file to write, NAME.safetensors; by default after the data's name")
    add("--task", choices=("auto", "classification", "regression"), default="auto", help="by default by the target")
    add("--backend", **_BACKEND)
    add("--hidden", metavar="N,...", type=_sizes, default=(100,), help="units of each hidden layer (100), or 'none'")
    add("--activation", choices=("relu", "tanh", "logistic", "identity"), default="relu", help="(relu)")
    add("--solver", choices=("adam", "sgd"), default="adam", help="(adam)")
    add("--alpha", metavar="A", type=_not_negative, help="L2 penalty (0.01; for regression 1)")
    add("--learning-rate", metavar="R", type=_positive, default=0.001, help="(0.001)")
    add("--batch-size", metavar="N", type=_count, help="samples a step (32 to 200, growing with the data)")
    add("--epochs", metavar="N", type=_count, default=200, help="passes over the data at most (200)")
    add("--early-stopping", action="store_true", help="stop by the score on a tenth of the training data")
    add("--test-size", metavar="F", type=_fraction, default=0.25, help="share of the samples held out (0.25)")
    add("--seed", metavar="N", type=_seed, default=0, help="seed of the split, the initial values and the order (0)")
    add("--quiet", action="store_true", help="print nothing but errors and notes")


def _add_predict(commands: argparse._SubParsersAction) -> None:
    add = commands.add_parser(
        "predict",
        help="apply a saved model to a table",
        description=f"Apply a saved model to a table and write its predictions as CSV. {_TABLES} Columns are found by "
        "their names if the model knows them; others are left out. If the target is in the file too, the score is "
        "printed to stderr.",
    ).add_argument
    add("model", **_MODEL)
    add("data", metavar="FILE", help="a .csv or .npz file, or 'digits'")
    add("--out", metavar="FILE", help="the .csv file to write, instead of stdout")
    add("--proba", action="store_true", help="also the probability of each class")
    add("--backend", **_BACKEND)


def _add_summary(commands: argparse._SubParsersAction) -> None:
    add = commands.add_parser(
        "summary",
        help="a saved model's layers: equations, parameters, operations, memory; and its picture",
        description="Print a saved model layer by layer: the equation, shapes, parameters, FLOPs a sample, bytes, and "
        "the memory for activations. With --svg also draw it: units and signed weights if it is small, blocks if it "
        "is large.",
    ).add_argument
    add("model", **_MODEL)
    add("--batch-size", metavar="N", type=_count, default=200, help="samples held at a time (200)")
    add("--svg", metavar="FILE", help="the .svg file to write the picture to")


def _add_explain(commands: argparse._SubParsersAction) -> None:
    add = commands.add_parser(
        "explain",
        help="show one training step, quantity by quantity",
        description="Make one training step and show every quantity in order, with its equation, the document that it "
        "comes from, its numbers, and a check of each gradient by central differences.",
        epilog="'exercise' (D4) is shown beside the numbers that the document prints; D0 to D3 are the networks of the "
        "other documents. A saved model makes a step on samples of FILE, evenly spaced, which must hold the target.",
    ).add_argument
    add("what", metavar="exercise|D0|D1|D2|D3|D4|digits|MODEL", help="whose step: see below; MODEL is what train wrote")
    add("data", metavar="FILE", nargs="?", help="for a MODEL: a .csv or .npz file with the target, or 'digits'")
    add("--target", **_TARGET)
    add("--format", choices=("text", "markdown", "html", "json"), help="by --out's ending (text)")
    add("--out", metavar="FILE", help="the file to write, .txt, .md, .html or .json, instead of stdout")
    add("--batch-size", metavar="N", type=_count, help="samples of the step, for digits and a MODEL (32)")
    add("--learning-rate", metavar="R", type=_positive, help="in place of the example's or the model's own")
    add("--no-check", dest="check", action="store_false", help="leave out the central differences")
    add("--backend", **_BACKEND)


def _add_diagnose(commands: argparse._SubParsersAction) -> None:
    add = commands.add_parser(
        "diagnose",
        help="what is wrong with a saved model's training",
        description="Look at a saved model and what it was trained on: scales, balance of classes, learning rate, dead "
        f"and saturated units, gradients. {_TABLES} The exit code is 1 if something is found.",
    ).add_argument
    add("model", **_MODEL)
    add("data", metavar="FILE", help="what it was trained on: a .csv or .npz file, or 'digits'")
    add("--target", **_TARGET)
    add("--json", action="store_true", help="print the findings as JSON")
    add("--backend", **_BACKEND)


def _add_gradcheck(commands: argparse._SubParsersAction) -> None:
    add = commands.add_parser(
        "gradcheck",
        help="compare gradients with central differences",
        description="Compare the gradient of a saved model on a table, or of every layer, activation and loss of this "
        f"package, with central differences in float64. {_TABLES} The exit code is 1 if a gradient is wrong.",
    ).add_argument
    add("model", nargs="?", **_MODEL)
    add("data", metavar="FILE", nargs="?", help="a .csv or .npz file with the target, or 'digits'")
    add("--target", **_TARGET)
    add("--every", action="store_true", help="look at each parameter, instead of five directions")
    add("--backend", **_BACKEND)


def _add_info(commands: argparse._SubParsersAction) -> None:
    add = commands.add_parser(
        "info",
        help="versions, GPU and backends, or what a model file holds",
        description="Print versions, GPU and backends, or what a model file holds.",
    ).add_argument
    add("model", nargs="?", **_MODEL)
    add("--check", action="store_true", help="train on the GPU at each level in each precision, and compare results")
    add("--backend", **_BACKEND)


# --- types


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _sizes(text: str) -> tuple[int, ...]:
    sizes = [] if text == "none" else text.split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of layer sizes, such as 100 or 100,50, or 'none'")
    return tuple(map(int, sizes))


def _number(kind: Callable[[str], float], low: float, high: float, allowed: str) -> Callable[[str], Any]:
    """The type of an option: ``kind`` of its text, from ``low`` to ``high``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not {allowed}")
        return value

    return read


_count = _number(int, 1, inf, "a whole number above 0")
_seed = _number(int, 0, 2**32 - 1, "a whole number from 0 to 2^32 - 1")
_not_negative = _number(float, 0.0, 1e300, "a number, 0 or more")
_positive = _number(float, 1e-300, 1e300, "a number above 0")
_fraction = _number(float, 1e-9, 1.0 - 1e-9, "a share between 0 and 1, such as 0.25")
