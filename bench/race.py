"""The race of a case: all contenders are built, checked and timed in turn. The result is a line of a report."""

import contextlib
import gc
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import ours
from cases import NUMPY_UP_TO, Case, elementwise_bytes, flops
from contender import Times
from limit import limit
from paired import noise, paired_ratio
from tables import OURS
from worker import PEERS, PeerError, Remote, Worker, installed

from xpnet.backends import Backend

TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "tf32": 1e-2, "bfloat16": 5e-2}
ADAM = 1e-2
"""PyTorch adds Adam's epsilon to another term than its authors, which matters if a gradient is near 1e-8."""
SHUFFLED = 2e-2
"""Each contender shuffles by its own generator: after two passes the costs nearly agree."""
SPINS = {"here": 0.15, "scikit-learn": 0.15, "torch": 0.03, "jax": 0.03}
"""Seconds for which a process may still spin on a CPU after its last work: OpenBLAS's threads do for a tenth of one."""


def disagreement(a: Sequence[float], b: Sequence[float]) -> float:
    """The largest relative difference of numbers that should be equal."""
    if len(a) != len(b):
        return float("inf")
    return max((abs(x - y) / max(abs(x), abs(y), 1e-30) for x, y in zip(a, b, strict=True)), default=0.0)


def in_turn(where: dict[str, str], i: int) -> list[str]:
    """The contenders in the order of round i, process by process; each round begins with another one of both."""

    def rotated(values: list[str]) -> list[str]:
        return values[i % len(values) :] + values[: i % len(values)]

    processes = rotated(list(dict.fromkeys(where.values())))
    return [name for process in processes for name in rotated([name for name in where if where[name] == process])]


def tolerance(case: Case) -> float:
    """The relative difference that is allowed between contenders."""
    by_rule, by_order = ADAM if case.optimizer == "Adam" else 0.0, SHUFFLED if case.path == "epoch" else 0.0
    return max(TOLERANCE[case.precision], by_rule, by_order)


class Races:
    """The backends, the processes of the peers, and the number of rounds."""

    def __init__(self, backends: list[Backend], peers: list[str], rounds: int) -> None:
        self.backends, self.rounds = backends, rounds
        self.device = "cpu" if backends[-1].name == "numpy" else "cuda"
        here = [name for name in peers if name in installed()]
        self.libraries = here if self.device == "cpu" else [name for name in here if name != "scikit-learn"]
        self._workers: dict[str, Worker] = {}

    def worker(self, library: str) -> Worker:
        """The process of a library, which is started again if it has ended."""
        if library not in self._workers or not self._workers[library].is_alive:
            on_cpu = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"} if self.device == "cpu" else {}
            self._workers[library] = Worker(library, on_cpu)
        return self._workers[library]

    def meet_peers(self) -> dict[str, str]:
        """The description of each peer, or why it can't take part; on a GPU those without CUDA are left out."""
        found = {}
        for library in tuple(self.libraries):
            try:
                found[library] = self.worker(library).ask("about")
                if self.device == "cuda" and not self.worker(library).ask("has_gpu"):
                    found[library] += ", left out: it finds no GPU (is it a build for CUDA?)"
                    self.libraries.remove(library)
            except PeerError as error:
                found[library] = f"{library}: {str(error).splitlines()[0]}"
        return found

    def close(self) -> None:
        """End the processes of the peers."""
        for worker in self._workers.values():
            worker.close()

    def _makers(self, case: Case) -> dict[str, Callable[[], Any]]:
        """For each contender, by its name, a function that makes it; xpnet's come first."""
        makers: dict[str, Callable[[], Any]] = {}
        if case.compiled and self.device == "cuda" and "torch" not in self.libraries:
            return makers  # the large set has the same case without torch.compile
        for backend in reversed(self.backends):  # numbers are compared with those on the peers' device
            is_numpy, name, of_backend = backend.name == "numpy", backend.name.split(":")[0], case
            if is_numpy and self.device == "cuda":
                if flops(case) > NUMPY_UP_TO or case.compiled or case.precision in ("tf32", "bfloat16"):
                    continue
                of_backend = replace(case, pass_flops=Case.pass_flops)
            makers[name] = partial(ours.build, of_backend, "xpnet", backend.name)
            makers[f"{name} limit"] = partial(limit, of_backend, backend, ours.device_of(backend))
        for library in self.libraries if makers else ():
            for name in PEERS[library].get(case.path, []):
                if _takes_part(name, case, self.device):
                    makers[name] = partial(self._remote, library, name, case)
        return makers

    def _remote(self, library: str, name: str, case: Case) -> Remote:
        return Remote(self.worker(library), name, case, self.device)

    def run(self, case: Case, pedantic: Callable) -> dict[str, Any] | None:
        """The record of a case; None if no backend of this run computes it.

        ``pedantic`` is that of pytest-benchmark: it runs xpnet's own rounds, so that it has their times too.
        """
        contenders, memory, failed = {}, {}, {}
        reference: dict[int, list[float]] = {}
        for name, make in self._makers(case).items():
            try:
                before = self._free_memory()
                contender = make()
                numbers = contender.check()
                memory[name] = before - self._free_memory()
                # Contenders that make as many steps have the same data.
                wanted = reference.setdefault(contender.steps, numbers) if numbers else []
                if not disagreement(numbers, wanted) <= tolerance(case):
                    raise PeerError(f"computes something else: {numbers}, and the first contender {wanted}")
                contender.warm_up()
                contenders[name] = contender
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {error}"
        record = None
        if contenders or failed:
            times = self._rounds(contenders, failed, pedantic)
            record = _record(case, times, memory if self.device == "cuda" else {}, failed)
        contenders.clear()
        self._forget()
        return record

    def _rounds(self, contenders: dict[str, Any], failed: dict[str, str], pedantic: Callable) -> dict[str, list[Times]]:
        times: dict[str, list[Times]] = {name: [] for name in contenders}
        turns, first = self._turns(contenders, failed, times), next(iter(contenders))

        def own() -> None:
            times[first].append(contenders[first].timed(contenders[first].passes))

        if first in OURS:
            pedantic(own, setup=lambda: next(turns), rounds=self.rounds)
        for _ in turns:  # the remaining turns; all of them if benchmarks are disabled
            own()
        return times

    def _turns(self, contenders: dict[str, Any], failed: dict[str, str], times: dict) -> Iterator[None]:
        """Run the rounds of all contenders; yield before each round of xpnet's, which is settled but not timed."""
        where, last = {name: getattr(contender, "library", "here") for name, contender in contenders.items()}, None
        for i in range(self.rounds):
            for name in in_turn(where, i):
                rest = SPINS[last] if last not in (None, where[name]) and self.device == "cpu" else 0.0
                last = where[name]
                if name == next(iter(contenders)) and name in OURS:
                    contenders[name].settle(rest)
                    yield
                    continue
                try:
                    if name in times:
                        times[name].append(contenders[name].round(rest))
                except Exception as error:  # its process may have ended; the others continue
                    failed[name] = f"{type(error).__name__}: {error}"
                    del times[name]

    def _free_memory(self) -> int:
        """The free bytes of the GPU. What a contender takes is its memory, including the caches of its library."""
        if self.device == "cpu":
            return 0
        import cupy

        return cupy.cuda.runtime.memGetInfo()[0]

    def _forget(self) -> None:
        gc.collect()
        for worker in self._workers.values():
            if worker.is_alive:
                with contextlib.suppress(PeerError):  # then it is closed, and started anew for the next case
                    worker.ask("forget")
        if self.device == "cuda":
            import cupy

            cupy.get_default_memory_pool().free_all_blocks()


def _takes_part(name: str, case: Case, device: str) -> bool:
    if name in ("torch compile", "torch reduce-overhead") and not case.compiled:
        return False
    if name in ("torch graph", "torch reduce-overhead") and device == "cpu":
        return False
    return name == "scikit-learn" or not case.l2


def _waits_for_launches(times: list[Times]) -> bool:
    """Whether the GPU has waited for the host; if so, products that are launched one by one are no limit."""
    return times[0].device is not None and statistics.median(t.host / t.wall for t in times) > 0.9


def _record(case: Case, times: dict[str, list[Times]], memory: dict, failed: dict) -> dict[str, Any]:
    times = {name: of_one for name, of_one in times.items() if " limit" not in name or not _waits_for_launches(of_one)}
    found: dict[str, Any] = {
        **asdict(case),
        "steps": case.steps,
        "flops": flops(case),
        "bytes": elementwise_bytes(case),
    }
    found["contenders"] = {name: _figures(of_one, memory.get(name)) for name, of_one in times.items()}
    found["ratios"], found["failed"], found["by_round"] = {}, failed, {}
    for backend in (backend for backend in OURS if backend in times):
        peers = [name for name in times if name.split()[0] in (*PEERS, "numpy") and " limit" not in name]
        others = {"limit": f"{backend} limit"} | {name: name for name in peers if name != backend}
        wall = [of_round.wall for of_round in times[backend]]
        found["ratios"][backend], found["by_round"][backend] = {}, {}
        for label, name in others.items():
            if name in times:
                theirs = [of_round.wall for of_round in times[name]]
                found["ratios"][backend][label] = list(paired_ratio(wall, theirs))
                found["by_round"][backend][label] = [a / b for a, b in zip(wall, theirs, strict=True)]
    return found


def _figures(times: list[Times], memory: int | None) -> dict[str, Any]:
    wall, host, device = zip(*times, strict=True)
    found = {"seconds": statistics.median(wall), "host": statistics.median(host), "noise": noise(wall)}
    if device[0] is not None:
        found["device"] = statistics.median(device)
    return found | ({"memory": memory} if memory is not None else {})
