"""The progress of training: rich's bar on a terminal, a few lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from .console import Console

Score = Callable[[], tuple[str, float]]
"""Compute a score, for an epoch that is displayed: its name and its value."""
Show = Callable[[int, float, Score], None]
"""Show an epoch, counted from 1, with its loss and its score."""
_LINES = 18
_SECONDS = 0.1
"""Between two updates of the bar: scoring every epoch would take too long."""


@contextlib.contextmanager
def progress(console: Console, total: int) -> Iterator[Show]:
    """A context of at most ``total`` epochs, of which the first and the last are always displayed."""
    bar = _bar(console, total) if console.rich is not None else None
    each, width, displayed = -(-total // _LINES), len(str(total)), 0.0
    skipped: list[tuple[int, float, Score]] = []

    def is_due(epoch: int) -> bool:
        if bar is not None:
            return time.monotonic() - displayed > _SECONDS
        return not console.quiet and (epoch == 1 or epoch % each == 0)

    def display(epoch: int, loss: float, score: Score) -> None:
        nonlocal displayed
        name, value = score()
        if bar is not None:
            bar.update(bar.task_ids[0], completed=epoch, text=f"loss {loss:.4g}   {name} {value:.4f}")
        else:
            console.line("epoch", f"{epoch:>{width}}/{total}   loss {loss:<10.4g} {name} {value:.4f}")
        displayed = time.monotonic()

    def show(*epoch: Any) -> None:
        skipped[:] = [] if is_due(epoch[0]) else [epoch]
        if not skipped:
            display(*epoch)

    with bar or contextlib.nullcontext():
        yield show
        if skipped and not console.quiet:
            display(*skipped[0])
        if bar is not None:  # it is full, also if training has ended early
            bar.update(bar.task_ids[0], total=bar.tasks[0].completed or total)


def _bar(console: Console, total: int) -> Any:
    """A bar that moves, with the latest loss and score beside it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    epochs = TextColumn("[bold cyan]{task.description}[/] {task.completed:.0f}/{task.fields[most]}")
    columns = epochs, BarColumn(bar_width=24), TextColumn("{task.fields[text]}"), TimeElapsedColumn()
    bar = Progress(*columns, console=console.rich)
    bar.add_task("epoch    ", total=total, most=total, text="")
    return bar
