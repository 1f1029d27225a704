"""``python -m xpnet``: the commands. Each imports the packages that it needs only when it runs."""

import argparse
import importlib
import importlib.util
import io
import os
import sys
from collections.abc import Sequence

from .arguments import DOCUMENTS, parser_of_commands

_PACKAGES = {"sklearn": "scikit-learn", "pandas": "pandas", "matplotlib": "matplotlib"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, by default that of the process, and return its exit code.

    It is 0; 1 if diagnose, gradcheck or info --check found something; 2 for a mistake, which one line on stderr
    explains; 130 after Ctrl-C.
    """
    parser = parser_of_commands()
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        command = f"xpnet {args.command}" if args.command else "xpnet"
        print(f"{command}: error: unrecognized arguments: {' '.join(unknown)} (see {command} --help)", file=sys.stderr)
        return 2
    if args.command is None:
        parser.print_help()
        return 0
    if args.command != "predict" and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # "?" for a letter that the encoding lacks; predictions stay exact
    try:
        code = _run(args)
        print(end="", flush=True)  # what is still in the buffer; at exit a closed pipe would be reported
        return code
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain again when it exits.
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
    if missing and _needs_packages(args):
        raise ValueError(f'{" and ".join(missing)} not installed: run python -m pip install "xpnet[cli]"')
    return importlib.import_module(f".{args.command}", __package__).run(args)


def _needs_packages(args: argparse.Namespace) -> bool:
    """Whether a command needs the packages of the extra "cli"."""
    if args.command == "explain":
        return args.what not in DOCUMENTS
    return getattr(args, "model", args.command) is not None  # info and gradcheck without a model need none


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {str(error.filename)!r}"
    return " ".join(str(error).split()) or type(error).__name__
