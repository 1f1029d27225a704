"""The backend that a command computes on, and why."""

import contextlib
import os
from collections.abc import Iterator

from ..backends import auto_choice, get_backend, using_backend


@contextlib.contextmanager
def computing_on(asked: str | None) -> Iterator[tuple[str, str]]:
    """A context in which host data is computed on the backend of ``--backend``; its name, and why it was taken."""
    with using_backend(asked) if asked is not None else contextlib.nullcontext():
        name = get_backend().name
        if asked is not None:
            why = "--backend auto: " + auto_choice()[1] if asked.lower() == "auto" else f"--backend {asked}"
        elif os.environ.get("XPNET_BACKEND"):
            why = f"XPNET_BACKEND={os.environ['XPNET_BACKEND']}"
        else:
            why = "the default; --backend and XPNET_BACKEND choose"
        yield name, why
