"""Floor 8: ``python -m xpnet``: the commands. Heavy packages are imported when one runs."""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from .arguments import DOCUMENTS, parser_of_commands

_PACKAGES = {"sklearn": "scikit-learn", "pandas": "pandas", "matplotlib": "matplotlib"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    The exit code is 0; 1 where diagnose or gradcheck found something; 2 for a mistake that one line on stderr explains;
    130 after Ctrl-C.
    """
    parser = parser_of_commands()
    args = parser.parse_args(argv)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        return _run(args)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        print(f"xpnet {args.command}: error: {_one_line(error)}", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace) -> int:
    missing = [name for module, name in _PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing and not _is_plain(args):
        raise ValueError(f'{" and ".join(missing)} not installed: run python -m pip install "xpnet[cli]"')
    return importlib.import_module(f".{args.command}", __package__).run(args)


def _is_plain(args: argparse.Namespace) -> bool:
    """Whether a command does without the packages of the extra "cli"."""
    if args.command == "explain":
        return args.what in DOCUMENTS
    return getattr(args, "model", args.command) is None  # info and gradcheck need nothing by themselves


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {str(error.filename)!r}"
    return " ".join(str(error).split()) or type(error).__name__
