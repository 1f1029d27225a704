"""What the commands print: labeled lines on stdout, colored on a terminal, and notes on stderr."""

import importlib.util
import os
import sys
from collections.abc import Iterable
from typing import Any


def listed(names: Iterable[Any], most: int = 12) -> str:
    """The names in a row, and how many more there are."""
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def note(text: str) -> None:
    """Print a line on stderr, so that stdout holds what was asked for and nothing else."""
    print(f"note: {text}", file=sys.stderr)


class Console:
    """Labeled lines on stdout, in color on a terminal if rich is installed; nothing is printed if ``quiet``."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.rich: Any = None
        if _is_terminal() and not quiet and importlib.util.find_spec("rich") is not None:
            from rich.console import Console as RichConsole

            self.rich = RichConsole(highlight=False)

    def line(self, label: str, text: str = "", width: int = 10) -> None:
        """Print ``label`` in a column of this width, then the text."""
        if self.rich is not None:
            from rich.text import Text

            self.rich.print(Text.assemble((f"{label:<{width}}", "bold cyan"), text), soft_wrap=True)
        elif not self.quiet:
            print(f"{label:<{width}}{text}".rstrip(), flush=True)


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
