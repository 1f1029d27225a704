"""A contender: it runs passes over the batches of a case, times them, and returns numbers to check the results."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


def nothing() -> None:
    """Do nothing."""


class Times(NamedTuple):
    """Seconds for each step."""

    wall: float
    host: float
    """Until the last launching call had returned; on a CPU that is the whole."""
    device: float | None
    """Between two events on the device, if the library offers them."""


@dataclass
class Device:
    """How to wait for the device, and its own clock."""

    wait: Callable[[], None] = nothing
    event: Callable[[], Any] = nothing
    """Records an event behind all that was launched so far."""
    elapsed: Callable[[Any, Any], float] | None = None
    """Seconds between two events that have happened."""


SHORTEST = 0.02
"""Seconds that a round should last at least."""


@dataclass
class Contender:
    """``run`` makes one pass of ``steps`` steps; the next pass continues from its state."""

    run: Callable[[], object]
    numbers: Callable[[], list[float]]
    """What has been computed so far, the same for every contender of a case after as many passes."""
    steps: int
    device: Device
    before: Callable[[], object] = nothing
    """Untimed, before each pass."""
    launching: Callable[[], float] | None = None
    """Seconds spent on launches since the last call, if a pass itself waits for the device."""
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
        """Run a round that is not counted, to find how many passes make a round long enough."""
        seconds = self.round(rest=0.0).wall * self.steps
        if self.before is nothing:
            self.passes = max(1, min(100, round(SHORTEST / seconds)))

    def round(self, rest: float) -> Times:
        """Time some passes, after ``rest`` seconds of sleep, in which the last contender's threads stop spinning."""
        self.settle(rest)
        return self.timed(self.passes)

    def settle(self, rest: float) -> None:
        """Prepare a round, before the clock starts."""
        if rest:
            time.sleep(rest)
            if self.passes > 1:
                self.settle(0.0)
                self.timed(1)  # wakes this one's threads, and fills the caches
        self.before()
        self.device.wait()

    def timed(self, passes: int) -> Times:
        """Seconds for each step of so many passes, after ``settle``."""
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
    """A contender that computes the output of each batch; the number for the check is the norm of the last output."""
    last = None

    def run() -> None:
        nonlocal last
        for X in batches:
            last = compute(X)

    return Contender(run, lambda: [float(norm(last))], len(batches), device)


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
