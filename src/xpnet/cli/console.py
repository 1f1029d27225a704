"""What the commands print: plain lines everywhere, colours and a progress bar where stdout is a terminal."""

import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..backends import auto_choice, get_backend, using_backend

Score = Callable[[], tuple[str, float]]


@contextlib.contextmanager
def computing_on(asked: str | None) -> Iterator[tuple[str, str]]:
    """A block in which host data is computed on the backend ``asked`` for; its name, and why it was taken."""
    with using_backend(asked) if asked is not None else contextlib.nullcontext():
        name = get_backend().name
        if asked is not None:
            why = "--backend auto: " + auto_choice()[1] if asked.lower() == "auto" else f"--backend {asked}"
        elif os.environ.get("XPNET_BACKEND"):
            why = f"XPNET_BACKEND={os.environ['XPNET_BACKEND']}"
        else:
            why = "the default; --backend and XPNET_BACKEND choose"
        yield name, why


def listed(names: Iterable, most: int = 12) -> str:
    """The names in a row, and how many more there are."""
    names = [str(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def note(text: str) -> None:
    """A line on stderr, so that stdout stays what was asked for."""
    print(f"note: {text}", file=sys.stderr)


class Console:
    """Labelled lines on stdout and the progress of training."""

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        self.rich: Any = None
        if _is_terminal() and not quiet and importlib.util.find_spec("rich") is not None:
            from rich.console import Console as RichConsole

            self.rich = RichConsole(highlight=False)

    def line(self, label: str, text: str = "", width: int = 10) -> None:
        """``label`` in a column of its own, then the text."""
        if self.rich is not None:
            from rich.text import Text

            self.rich.print(Text.assemble((f"{label:<{width}}", "bold cyan"), text), soft_wrap=True)
        elif not self.quiet:
            print(f"{label:<{width}}{text}".rstrip(), flush=True)

    def progress(self, total: int) -> Any:
        """A context whose value's ``show(epoch, loss, score)`` shows an epoch."""
        if self.rich is not None:
            return _BarProgress(self.rich, total)
        return _LineProgress(self, total)


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class _LineProgress:
    """A line for the first epoch and then at regular distances, 19 at most, and one for the last epoch."""

    def __init__(self, console: Console, total: int):
        self.console, self.total, self.each = console, total, max(1, -(-total // 18))
        self.missed: tuple | None = None

    def __enter__(self) -> "_LineProgress":
        return self

    def __exit__(self, *error: Any) -> None:
        if self.missed is not None and error[0] is None:
            self._print(*self.missed)

    def show(self, epoch: int, loss: float, score: Score) -> None:
        self.missed = (epoch, loss, score)
        if epoch == 1 or epoch % self.each == 0:
            self._print(epoch, loss, score)

    def _print(self, epoch: int, loss: float, score: Score) -> None:
        self.missed = None
        if not self.console.quiet:
            name, value = score()
            width = len(str(self.total))
            self.console.line("epoch", f"{epoch:>{width}}/{self.total}   loss {loss:<10.4g} {name} {value:.4f}")


class _BarProgress:
    """A bar that moves, with the latest loss and score beside it."""

    def __init__(self, console: Any, total: int):
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        described = "[bold cyan]{task.description}[/] {task.completed:.0f}/{task.fields[most]}"
        self.progress = Progress(
            TextColumn(described),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self.task = self.progress.add_task("epoch    ", total=total, most=total, text="")
        self.shown, self.last = 0.0, (0, 0.0, lambda: ("", 0.0))

    def __enter__(self) -> "_BarProgress":
        self.progress.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self.last[0]:
            self._update(*self.last)
            self.progress.update(self.task, total=self.last[0])
        self.progress.stop()

    def show(self, epoch: int, loss: float, score: Score) -> None:
        self.last = (epoch, loss, score)
        if time.monotonic() - self.shown > 0.1:  # scoring each epoch would cost more than it tells
            self._update(epoch, loss, score)

    def _update(self, epoch: int, loss: float, score: Score) -> None:
        self.shown = time.monotonic()
        name, value = score()
        self.progress.update(self.task, completed=epoch, text=f"loss {loss:.4g}   {name} {value:.4f}")
