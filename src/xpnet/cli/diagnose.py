"""``xpnet diagnose``: what is wrong with a saved model's training."""

import argparse
from typing import Any

from ..inspection.diagnosis import diagnose
from ..saving import describe, load
from .console import computing_on
from .data import as_labels
from .predict import samples


def run(args: argparse.Namespace) -> int:
    """The whole command; errors are ValueErrors that explain themselves."""
    with computing_on(args.backend):
        found = diagnose(*with_target(args, args.model))
    print(found.to_json() if args.json else found)
    return 1 if found else 0


def with_target(args: argparse.Namespace, path: str) -> tuple[Any, Any, Any]:
    """The model saved at ``path``, its samples, and the target as it was trained on."""
    model = load(path, args.backend)
    document = describe(path)
    X, y = samples(args.data, model, document, args.target)
    if y is None:
        named = args.target or ", ".join(document.get("target_names") or ["y"])
        raise ValueError(
            f"{args.data!r} lacks the target {named}, which {args.command} needs: add it, or name its column with "
            "--target"
        )
    return model, X, y if document["labels"] is None else as_labels(y, "the target")
