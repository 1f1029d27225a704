"""``xpnet summary``: a saved model as a table, and as a picture."""

import argparse

from ..inspection.drawing.network import to_svg
from ..inspection.summary import summary
from ..saving import check_place, describe, load, write_file
from .console import note


def run(args: argparse.Namespace) -> int:
    """The whole command; errors are ValueErrors that explain themselves."""
    if args.svg is not None:
        if not args.svg.lower().endswith(".svg"):
            raise ValueError(f"--svg is {args.svg!r}, and the picture is written as .svg: add the ending")
        check_place(args.svg)
    document, model = describe(args.model), load(args.model)
    print(summary(model, batch_size=args.batch_size))
    if args.svg is not None:
        targets = document["target_names"] if document["labels"] is None else None
        write_file(args.svg, to_svg(model, output_names=targets).encode())
        note(f"wrote the picture to {args.svg}")
    return 0
