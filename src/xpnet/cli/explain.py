"""``xpnet explain``: one training step, quantity by quantity, of a document's network, the digits or a saved model."""

import argparse
import dataclasses
import sys
from pathlib import Path

from ..equations.layers import Dense
from ..equations.optimizers import Adam
from ..estimators.settings import update_rule
from ..inspection.explanation import Record, explain
from ..inspection.explanation.documents import EXAMPLES
from ..inspection.explanation.page import as_page
from ..model import Model
from ..network import Sequential
from .console import computing_on, note

ENDINGS = {".txt": "text", ".md": "markdown", ".html": "html", ".json": "json"}
_AFRESH = "A model file holds no slots: the rule starts afresh here, and training would have gone on with its own."
SAMPLES = 32
"""Samples of the step where ``--batch-size`` says nothing else."""


def run(args: argparse.Namespace) -> int:
    """The whole command; errors are ValueErrors that explain themselves."""
    form = _form(args)
    with computing_on(args.backend):
        records = _records(args)
    text = rendered(records, form)
    if args.out is None:
        _print(text)
    else:
        Path(args.out).write_text(text, encoding="utf-8")
        note(f"wrote {args.out}")
    return 0


def _form(args: argparse.Namespace) -> str:
    """The format asked for, by name or by the file's ending."""
    if args.out is None:
        return args.format or "text"
    place = Path(args.out)
    form = ENDINGS.get(place.suffix.lower())
    if form is None:
        raise ValueError(f"--out is {args.out!r}; its ending says the format, and allowed are {', '.join(ENDINGS)}")
    if args.format not in (None, form):
        raise ValueError(f"--out {args.out!r} is for {form}, and --format is {args.format}: leave one of them out")
    if not place.parent.is_dir():
        raise ValueError(f"the folder {str(place.parent)!r} is not there: make it, or give another path with --out")
    return form


def rendered(records: list[Record], form: str) -> str:
    """The records in one of the formats."""
    if form == "html":
        return as_page(*records)
    if form == "json":
        texts = [record.json() for record in records]
        return (texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]") + "\n"
    return "\n".join(record.text() if form == "text" else record.markdown() for record in records)


def _print(text: str) -> None:
    """To stdout, with "?" for a letter that a terminal's encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, errors="replace").decode(encoding))
    sys.stdout.flush()


def _records(args: argparse.Namespace) -> list[Record]:
    if args.what not in EXAMPLES:
        return [_digits(args) if args.what == "digits" else _saved(args)]
    if args.data is not None or args.batch_size is not None or args.target is not None:
        raise ValueError(f"{args.what!r} brings its own samples: leave out the data file, --target and --batch-size")
    if args.learning_rate is not None and args.what in ("exercise", "D4"):
        raise ValueError("the exercise's numbers are those of the learning rate 0.1: leave out --learning-rate")
    return [example.record(args.learning_rate, args.check) for example in EXAMPLES[args.what]()]


def _digits(args: argparse.Namespace) -> Record:
    """The first step of a network on the handwritten digits, freshly drawn."""
    import numpy as np
    from sklearn.datasets import load_digits

    if args.data is not None or args.target is not None:
        raise ValueError("'digits' brings its own samples: leave out the data file and --target")
    X, y = load_digits(return_X_y=True)
    take = args.batch_size or SAMPLES
    model = Model(Sequential(Dense(32, "relu"), Dense(10)), "cross_entropy", l2=1e-4)
    state = model.initial(np.random.default_rng(0), 64, Adam(args.learning_rate or 0.001))
    record = explain(model, state, X[:take] / 16.0, np.eye(10)[y[:take]], check=args.check)
    return record.beside("The first step of a network on scans of handwritten digits", {})


def _saved(args: argparse.Namespace) -> Record:
    """A step of a saved model on evenly spaced samples of a file."""
    import numpy as np

    from ..saving import take_apart
    from .data import as_targets
    from .diagnose import with_target

    if args.data is None:
        if Path(args.what).suffix == ".safetensors" or Path(args.what).is_file():
            raise ValueError(f"FILE is missing: give samples with their target, xpnet explain {args.what} FILE")
        known = ", ".join(EXAMPLES)
        raise ValueError(f"{args.what!r} is none of {known}, digits; for a saved model give its data file as well")
    model, X, y = with_target(args, args.what)
    parts = take_apart(model)
    mlp, X = parts.mlp, X if parts.features is None else parts.features.transform(X)
    if not hasattr(mlp, "classes_"):
        y = as_targets(y, "the target")
        y = y if parts.target is None else parts.target.transform(y.reshape(len(y), -1)).reshape(y.shape)
    if args.learning_rate is not None:
        mlp.set_params(learning_rate_init=args.learning_rate)
    take = min(args.batch_size or SAMPLES, len(y))
    rows = np.linspace(0, len(y) - 1, take).astype(int)  # a sorted file begins with one class
    record = mlp.explain_step(np.asarray(X)[rows], y[rows], check=args.check)
    if update_rule(mlp).slots:
        record = dataclasses.replace(record, notes=(*record.notes, _AFRESH))
    return record.beside(f"A step of {args.what} on {args.data}", {})
