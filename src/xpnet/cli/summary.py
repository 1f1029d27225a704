"""``xpnet summary``: a saved model as a table, and as a picture."""

import argparse

from ..inspection.drawing.picture import to_svg
from ..inspection.summary import summary
from ..saving import describe, load, write_file
from .console import note
from .output_files import output_file


def run(args: argparse.Namespace) -> int:
    """Run the command; a ValueError says what is wrong with its arguments or files."""
    if args.svg is not None:
        output_file("--svg", args.svg, ".svg", "the picture is written as .svg: add the ending")
    document, model = describe(args.model), load(args.model)
    print(summary(model, batch_size=args.batch_size))
    if args.svg is not None:
        targets = document["target_names"] if document["labels"] is None else None
        write_file(args.svg, to_svg(model, output_names=targets).encode())
        note(f"wrote the picture to {args.svg}")
    return 0
