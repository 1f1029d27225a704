"""What the commands take: their options and the words that explain them."""

import argparse
from typing import NoReturn

from .. import __version__

DOCUMENTS = ("exercise", "D0", "D1", "D2", "D3", "D4")
"""What ``explain`` shows without a model file."""
_TABLES = (
    "FILE is a .csv table with a header line (commas, semicolons or tabs), or an .npz of numbers with the arrays X "
    "(samples x features) and y."
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # one line, where argparse would print the whole usage
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parser_of_commands() -> argparse.ArgumentParser:
    """The parser, with every command and its options."""
    parser = _Parser(prog="xpnet", description="Train a neural network on a table, and use it.")
    parser.add_argument("--version", action="version", version=f"xpnet {__version__}")
    commands = parser.add_subparsers(dest="command")
    _add_train(commands)
    _add_predict(commands)
    _add_summary(commands)
    _add_explain(commands)
    _add_diagnose(commands)
    _add_gradcheck(commands)
    _add_info(commands)
    return parser


def _add_backend(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--backend",
        metavar="NAME",
        help="who computes: numpy, cupy, cupy:N or auto; otherwise XPNET_BACKEND, otherwise numpy",
    )


def _add_target(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--target", metavar="COLUMN", help="the target's column, or array of an .npz; by default what train recorded"
    )


def _add_train(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "train",
        help="train on digits, or on a table of your own",
        description="Train a network, score it on samples held out, and write the model and its loss curve. "
        f"{_TABLES} Features are scaled to mean 0 and standard deviation 1, and so is a regression's target; the "
        "scaling is saved with the model. Ctrl-C ends training early and keeps the model trained so far.",
        epilog="Text, booleans and at most 20 distinct whole numbers as the target mean classification, other numbers "
        "regression. In an .npz, y may have several columns: several targets, or 0/1 for each of several labels.",
    )
    add = command.add_argument
    add("data", metavar="digits|FILE", help="'digits', 1797 scans of handwritten digits, or a .csv or .npz file")
    add("--target", metavar="COLUMN", help="the column to predict; for an .npz the array, y by default")
    add("--drop", metavar="COL,...", type=_names, default=[], help="columns of a .csv to leave out")
    add("--out", metavar="PATH", help="the model file to write, NAME.safetensors; by default after the data's name")
    add("--task", choices=("auto", "classification", "regression"), default="auto", help="by default by the target")
    _add_backend(command)
    add("--hidden", metavar="N,...", type=_sizes, default=(100,), help="units of each hidden layer (100), or 'none'")
    add("--activation", choices=("relu", "tanh", "logistic", "identity"), default="relu", help="(relu)")
    add("--solver", choices=("adam", "sgd"), default="adam", help="(adam)")
    add("--alpha", metavar="A", type=_not_negative, help="L2 penalty (0.01; for regression 1)")
    add("--learning-rate", metavar="R", type=_positive, default=0.001, help="(0.001)")
    add("--batch-size", metavar="N", type=_count, help="samples a step (32 to 200, growing with the data)")
    add("--epochs", metavar="N", type=_count, default=200, help="passes over the data at most (200)")
    add("--early-stopping", action="store_true", help="stop by the score on a tenth of the training data")
    add("--test-size", metavar="F", type=_fraction, default=0.25, help="share of the samples held out (0.25)")
    add("--seed", metavar="N", type=_seed, default=0, help="of the split, the first parameters and the order (0)")
    add("--quiet", action="store_true", help="print nothing but errors and notes")


def _add_predict(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "predict",
        help="apply a saved model to a table",
        description=f"Apply a saved model to a table and write its predictions as CSV. {_TABLES} Columns are found by "
        "their names where the model knows them; others are left out. If the target is in the file too, the score is "
        "printed to stderr.",
    )
    command.add_argument("model", metavar="MODEL", help="a file that train wrote")
    command.add_argument("data", metavar="FILE", help="a .csv or .npz file, or 'digits'")
    command.add_argument("--out", metavar="FILE", help="the .csv file to write, instead of stdout")
    command.add_argument("--proba", action="store_true", help="also the probability of each class")
    _add_backend(command)


def _add_summary(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "summary",
        help="a saved model's layers: equations, parameters, operations, memory; and its picture",
        description="Print a saved model layer by layer: the equation, shapes, parameters, FLOPs a sample, bytes, and "
        "the memory for activations. With --svg also draw it: units and signed weights where it is small, blocks where "
        "it is large.",
    )
    command.add_argument("model", metavar="MODEL", help="a file that train wrote")
    command.add_argument("--batch-size", metavar="N", type=_count, default=200, help="samples held at a time (200)")
    command.add_argument("--svg", metavar="FILE", help="the .svg file to write the picture to")


def _add_explain(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "explain",
        help="show one training step, quantity by quantity",
        description="Make one training step and show every quantity in order, with its equation, the document that it "
        "comes from, its numbers, and a check of each gradient by central differences.",
        epilog="'exercise' (D4) stands beside the numbers that the document prints; D0 to D3 are the other documents' "
        "networks. A saved model makes a step on samples of FILE, evenly spaced, which must hold the target.",
    )
    add = command.add_argument
    add("what", metavar="exercise|D0|D1|D2|D3|D4|digits|MODEL", help="whose step: see below; MODEL is what train wrote")
    add("data", metavar="FILE", nargs="?", help="for a MODEL: a .csv or .npz file with the target, or 'digits'")
    _add_target(command)
    add("--format", choices=("text", "markdown", "html", "json"), help="(text)")
    add("--out", metavar="FILE", help="the file to write, .txt, .md, .html or .json, instead of stdout")
    add("--batch-size", metavar="N", type=_count, help="samples of the step, for digits and a MODEL (32)")
    add("--learning-rate", metavar="R", type=_positive, help="in place of the example's or the model's own")
    add("--no-check", dest="check", action="store_false", help="leave out the central differences")
    _add_backend(command)


def _add_diagnose(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "diagnose",
        help="what is wrong with a saved model's training",
        description="Look at a saved model and what it was trained on: scales, balance of classes, learning rate, dead "
        f"and saturated units, gradients. {_TABLES} The exit code is 1 where something is found.",
    )
    command.add_argument("model", metavar="MODEL", help="a file that train wrote")
    command.add_argument("data", metavar="FILE", help="what it was trained on: a .csv or .npz file, or 'digits'")
    _add_target(command)
    command.add_argument("--json", action="store_true", help="print the findings as JSON")
    _add_backend(command)


def _add_gradcheck(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "gradcheck",
        help="hold gradients against central differences",
        description="Hold the gradient of a saved model on a table, or of every layer, activation and loss of this "
        f"package, against central differences in float64. {_TABLES} The exit code is 1 where a gradient is wrong.",
    )
    command.add_argument("model", metavar="MODEL", nargs="?", help="a file that train wrote")
    command.add_argument("data", metavar="FILE", nargs="?", help="a .csv or .npz file with the target, or 'digits'")
    _add_target(command)
    command.add_argument("--every", action="store_true", help="look at each parameter, instead of five directions")
    _add_backend(command)


def _add_info(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "info", help="versions, GPU and backends, or what a model file holds", description="Print what is here."
    )
    command.add_argument("model", metavar="MODEL", nargs="?", help="a file that train wrote")
    command.add_argument(
        "--check",
        action="store_true",
        help="train on the GPU at each level and in each precision, and compare the results",
    )
    _add_backend(command)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _sizes(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    if not all(part.strip().isdecimal() and int(part) > 0 for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of layer sizes, such as 100 or 100,50, or 'none'")
    return tuple(int(part) for part in text.split(","))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^32 - 1")
    return int(text)


def _number(text: str, allowed: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {allowed}")
    return value


def _not_negative(text: str) -> float:
    return _number(text, "a number, 0 or more", 0.0, 1e300)


def _positive(text: str) -> float:
    return _number(text, "a number above 0", 1e-300, 1e300)


def _fraction(text: str) -> float:
    return _number(text, "a share between 0 and 1, such as 0.25", 1e-9, 1.0 - 1e-9)
