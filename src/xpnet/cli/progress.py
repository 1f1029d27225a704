"""The progress of training: rich's bar on a terminal, a few lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from .console import Console

Score = Callable[[], tuple[str, float]]
"""Computes a score when it is displayed, and names it."""
Show = Callable[[int, float, Score], None]
"""Shows an epoch, counted from 1, with its loss and its score."""
_LINES = 18
_SECONDS = 0.1
"""Between two movements of the bar: scoring every epoch would cost more than it tells."""


@contextlib.contextmanager
def progress(console: Console, total: int) -> Iterator[Show]:
    """A context of at most ``total`` epochs; epochs between two displays are not scored, the last one always is."""
    skipped: tuple[int, float, Score] | None = None
    with _bar(console, total) if console.rich is not None else _lines(console, total) as (is_due, display):

        def show(epoch: int, loss: float, score: Score) -> None:
            nonlocal skipped
            skipped = None if is_due(epoch) else (epoch, loss, score)
            if skipped is None:
                display(epoch, loss, *score())

        yield show
        if skipped is not None and not console.quiet:
            epoch, loss, score = skipped
            display(epoch, loss, *score())


_Display = tuple[Callable[[int], bool], Callable[[int, float, str, float], None]]
"""Whether an epoch is to be displayed, and how."""


@contextlib.contextmanager
def _lines(console: Console, total: int) -> Iterator[_Display]:
    """A line for the first epoch and then at regular distances."""
    each, width = -(-total // _LINES), len(str(total))

    def is_due(epoch: int) -> bool:
        return not console.quiet and (epoch == 1 or epoch % each == 0)

    def display(epoch: int, loss: float, name: str, value: float) -> None:
        console.line("epoch", f"{epoch:>{width}}/{total}   loss {loss:<10.4g} {name} {value:.4f}")

    yield is_due, display


@contextlib.contextmanager
def _bar(console: Console, total: int) -> Iterator[_Display]:
    """A bar that moves, with the latest loss and score beside it; it is full when training ends."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    epochs = TextColumn("[bold cyan]{task.description}[/] {task.completed:.0f}/{task.fields[most]}")
    columns = epochs, BarColumn(bar_width=24), TextColumn("{task.fields[text]}"), TimeElapsedColumn()
    shown = 0.0
    with Progress(*columns, console=console.rich) as bar:
        task = bar.add_task("epoch    ", total=total, most=total, text="")

        def display(epoch: int, loss: float, name: str, value: float) -> None:
            nonlocal shown
            shown = time.monotonic()
            bar.update(task, completed=epoch, text=f"loss {loss:.4g}   {name} {value:.4f}")

        yield lambda epoch: time.monotonic() - shown > _SECONDS, display
        bar.update(task, total=bar.tasks[0].completed or total)
