"""Peers, which may start threads of their own, run in separate processes, which are idle until it is their turn.

A process exists as long as the run; commands over a pipe make it build a contender, check it, and run a round.
"""

import gc
import importlib
import importlib.util
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

try:
    import resource
except ModuleNotFoundError:  # Windows does not have it
    resource = None

from cases import Case
from contender import Contender, Times

MODULES = {"xpnet": "ours", "torch": "peer_torch", "jax": "peer_jax", "scikit-learn": "peer_sklearn"}
PEERS = {
    "scikit-learn": {path: ["scikit-learn"] for path in ("step", "epoch", "fit", "predict")},
    "torch": {
        "step": ["torch", "torch fused", "torch graph", "torch reduce-overhead", "torch compile"],
        **{path: ["torch", "torch fused"] for path in ("epoch", "update")},
        **{path: ["torch"] for path in ("forward", "backward", "predict")},
    },
    "jax": {path: ["jax"] for path in ("forward", "step", "predict")},
}
"""The contenders of each library on each path."""


class PeerError(RuntimeError):
    """An error in the process of a peer."""


def serve(connection: Connection, library: str, environment: dict[str, str]) -> None:
    """Answer commands, in the process of a peer, until the pipe is closed."""
    os.environ.update(environment)
    contenders: dict[str, Contender] = {}
    while True:
        try:
            command, *arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = _answer(importlib.import_module(MODULES[library]), contenders, command, arguments)
            connection.send(("ok", answer))
        except Exception as error:
            where = traceback.format_exc().strip().splitlines()
            connection.send(("error", f"{type(error).__name__}: {error}"[:2000] + "\n" + "\n".join(where[-6:])))


def _answer(peer: Any, contenders: dict[str, Contender], command: str, arguments: list) -> Any:
    if command in ("about", "has_gpu"):
        return getattr(peer, command)()
    if command == "peak":
        kilo = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / kilo
    if command == "forget":
        contenders.clear()
        gc.collect()
        return peer.forget()
    if command == "build":
        name, case, device = arguments
        contenders[name] = peer.build(case, name, device)
        return contenders[name].steps
    name, *rest = arguments
    return getattr(contenders[name], command)(*rest)


class Worker:
    """The process of a peer, as the run sees it."""

    def __init__(self, library: str, environment: dict[str, str] | None = None, patience: float = 300.0) -> None:
        context = multiprocessing.get_context("spawn")
        self.library, self.patience = library, patience
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, library, environment or {}), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, command: str, *arguments: Any) -> Any:
        """The answer to a command. A PeerError is raised if there is none, and the process is ended."""
        try:
            self._pipe.send((command, *arguments))
            if not self._pipe.poll(self.patience):
                self.close()
                raise PeerError(f"{self.library} gave no answer to {command!r} within {self.patience:.0f} s")
            status, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise PeerError(f"the process of {self.library} ended during {command!r}") from error
        if status == "error":
            raise PeerError(answer)
        return answer

    @property
    def is_alive(self) -> bool:
        """Whether it can answer."""
        return self._process.is_alive()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.terminate()
        self._process.join(10)


class Remote:
    """A contender in the process of a worker, with the methods of ``Contender`` that a race needs."""

    def __init__(self, worker: Worker, name: str, case: Case, device: str) -> None:
        self.check: Callable[[], list[float]] = lambda: worker.ask("check", name)
        self.warm_up: Callable[[], None] = lambda: worker.ask("warm_up", name)
        self.round: Callable[[float], Times] = lambda rest: worker.ask("round", name, rest)
        self.library = worker.library
        self.steps: int = worker.ask("build", name, case, device)


def installed() -> list[str]:
    """The peers that are installed."""
    return [library for library in PEERS if importlib.util.find_spec(library.replace("scikit-learn", "sklearn"))]
