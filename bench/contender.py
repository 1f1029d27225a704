"""A contender: what runs a pass over a case's batches, how it is timed, and the numbers that prove what it computed."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


def nothing() -> None:
    """Nothing to do."""


class Times(NamedTuple):
    """Seconds a step."""

    wall: float
    host: float
    """Until the last launching call had returned; on a CPU that is the whole."""
    device: float | None
    """Between two events on the device, if the library offers them."""


@dataclass
class Device:
    """How to wait for the work that was asked for, and the device's own clock."""

    wait: Callable[[], None] = nothing
    event: Callable[[], Any] = nothing
    """Records an event behind all that was launched so far."""
    elapsed: Callable[[Any, Any], float] | None = None
    """Seconds between two events that have happened."""


SHORTEST = 0.02
"""Seconds that a round should last at least."""


@dataclass
class Contender:
    """``run`` is one pass of ``steps`` steps; the state lives on from pass to pass."""

    run: Callable[[], object]
    numbers: Callable[[], list[float]]
    """What has been computed so far, the same for every contender of a case after as many passes."""
    steps: int
    device: Device
    before: Callable[[], object] = nothing
    """Untimed, before each pass."""
    launching: Callable[[], float] | None = None
    """Seconds that launching has taken since it was last asked, if a pass itself waits for the device."""
    passes: int = 1
    """A round's, set by ``warm_up``."""

    def check(self) -> list[float]:
        """The numbers after the first pass, and after the second."""
        found = []
        for _ in range(2):
            self.before()
            self.run()
            self.device.wait()
            found += self.numbers()
        return found

    def warm_up(self) -> None:
        """A round that is not kept; it says how many passes make a round long enough."""
        seconds = self.round(rest=0.0).wall * self.steps
        if self.before is nothing:
            self.passes = max(1, min(100, round(SHORTEST / seconds)))

    def round(self, rest: float) -> Times:
        """Time some passes. ``rest``: seconds of sleep first, in which the last contender's threads stop spinning."""
        self.settle(rest)
        return self.timed(self.passes)

    def settle(self, rest: float) -> None:
        """All that comes before the clock starts."""
        if rest:
            time.sleep(rest)
            if self.passes > 1:
                self.settle(0.0)
                self.timed(1)  # wakes this one's threads, and fills the caches
        self.before()
        self.device.wait()

    def timed(self, passes: int) -> Times:
        """Seconds a step of so many passes, once settled."""
        if self.launching:
            self.launching()
        start = time.perf_counter()
        first = self.device.event()
        for _ in range(passes):
            self.run()
        host, last = time.perf_counter() - start, self.device.event()
        self.device.wait()
        end, n = time.perf_counter(), passes * self.steps
        elapsed, host = self.device.elapsed, self.launching() if self.launching else host
        return Times((end - start) / n, host / n, elapsed(first, last) / n if elapsed else None)


def of_outputs(compute: Callable, batches: Sequence[Any], norm: Callable, device: Device) -> Contender:
    """A contender that computes the output of each batch; its number is the norm of the last output."""
    last = None

    def run() -> None:
        nonlocal last
        for X in batches:
            last = compute(X)

    return Contender(run, lambda: [float(norm(last))], len(batches), device)


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
