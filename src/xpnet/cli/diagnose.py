"""``xpnet diagnose``: what is wrong with a saved model's training."""

import argparse

from ..inspection.diagnosis import diagnose
from .backend_choice import computing_on
from .saved_model_data import with_target


def run(args: argparse.Namespace) -> int:
    """Run the command; a ValueError says what is wrong with its arguments or files."""
    with computing_on(args.backend):
        found = diagnose(*with_target(args, args.model))
    print(found.to_json() if args.json else found)
    return 1 if found else 0
