"""Peak memory of two passes by each library, each in a fresh process.

    python bench/memory.py

Linux and macOS: ``ru_maxrss`` is a process's highest resident memory so far, read after the imports and after the
passes. Nothing large is imported here, since a child process starts with the value of its parent.
"""

from collections.abc import Iterator
from dataclasses import replace

from cases import OPTIMIZERS, Case
from worker import PEERS, Worker, installed

NETS = [Case((784, 512, 512, 10), 512), Case((2048, 2048, 2048, 1000), 2048)]
CASES = [replace(net, path=path, optimizer=rule) for net in NETS for path in ("fit", "step") for rule in OPTIMIZERS]
HEAD = ["path", "net @ batch", "optimizer", "library", "MiB in all", "MiB above the imports", "above / xpnet's"]


def peaks(case: Case, library: str) -> tuple[float, float]:
    """The peak of two passes in MiB: in total, and above the imports."""
    worker = Worker(library)
    try:
        worker.ask("about")
        imports = worker.ask("peak")
        worker.ask("build", library, case, "cpu")
        worker.ask("check", library)
        in_all = worker.ask("peak")
    finally:
        worker.close()
    return in_all, in_all - imports


def rows() -> Iterator[list[str]]:
    """One line for each library."""
    for case in CASES:
        ours = 0.0
        for library in ("xpnet", *(name for name in installed() if name in PEERS and case.path in PEERS[name])):
            in_all, above = peaks(case, library)
            ours = ours or above
            ratio = "" if library == "xpnet" else f"{above / ours:.2f}"
            yield [case.path, case.net, case.optimizer, library, f"{in_all:.0f}", f"{above:.0f}", ratio]


def main() -> None:
    """Print the table, line by line as it is measured."""
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}", flush=True)
    for cells in rows():
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
