"""``xpnet gradcheck``: gradients compared with central differences, of a saved model or of the package itself."""

import argparse
from collections.abc import Iterator

import numpy as np

from ..equations import activations, losses
from ..equations.dropout import Dropout, step_key
from ..equations.layers import Dense, PReLU, Training
from ..inspection.gradient_check import GradientCheck, check_gradients
from ..model import Model
from ..network import Sequential
from .backend_choice import computing_on
from .console import Console

LAYERS = (Dense(3), Dense(3, "tanh", bias=False), PReLU(), Dropout(0.5))
_WIDTH = 32
_ROWS = 100
"""Samples that a saved model is checked on at most; more would only take longer."""


def run(args: argparse.Namespace) -> int:
    """Run the command; a ValueError says what is wrong with its arguments or files."""
    console = Console()
    if args.model is not None and args.data is None:
        raise ValueError(f"FILE is missing: give samples with their target, xpnet gradcheck {args.model} FILE")
    with computing_on(args.backend) as (backend, why):
        console.line("backend", f"{backend} ({why})", _WIDTH)
        if args.model is not None:
            check = _of_model(args)
            console.line("model", str(check), _WIDTH)
            return 0 if check.ok else 1
        return _show_all(console, _of_package(args.every))


def _show_all(console: Console, checks: Iterator[tuple[str, GradientCheck]]) -> int:
    """Print a line for each check, in full if the gradient is wrong."""
    right = []
    for name, check in checks:
        kink = "; a kink or a sharp bend lies near" if check.kink else ""
        console.line(name, f"right: off by {check.error:.1e}{kink}" if check.ok else str(check), _WIDTH)
        right.append(check.ok)
    console.line("")
    console.line("together", f"{sum(right)} of {len(right)} gradients are right", _WIDTH)
    return 0 if all(right) else 1


def _of_model(args: argparse.Namespace) -> GradientCheck:
    from .saved_model_data import with_target

    model, X, y = with_target(args, args.model)
    each = -(-len(y) // _ROWS)
    return check_gradients(model, X[::each], y[::each], every=args.every)


def _of_package(every: bool) -> Iterator[tuple[str, GradientCheck]]:
    """Every layer, activation and loss, and a model of several with penalties and sample weights."""
    rng = np.random.default_rng(0)
    X, Y, w = rng.normal(size=(6, 4)), np.eye(4)[rng.integers(4, size=6)], rng.uniform(0.5, 2.0, 6)
    train = Training(step_key(0, 0))  # a step's masks of Dropout
    for layer in LAYERS:
        yield (
            f"layer {type(layer).__name__}{' ' + f if (f := getattr(layer, 'activation', '')) else ''}",
            check_gradients(layer, X, train=train, every=every),
        )
    for f in dict.fromkeys(activations.BY_NAME.values()):
        yield f"activation {type(f).__name__}", check_gradients(f, X, every=every)
    for loss in losses.BY_NAME.values():
        yield f"loss {type(loss).__name__}", check_gradients(loss, X, Y, sample_weight=w, every=every)
    network = Sequential(Dense(5, "relu"), PReLU(), Dropout(0.5), Dense(5, "tanh"), Dense(4))
    model = Model(network, "cross_entropy", l1=0.01, l2=0.01)
    yield "model", check_gradients(model, X, Y, sample_weight=w, train=train, every=every)
