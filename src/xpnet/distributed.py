"""Floor 4: where a step's sums come together. One process needs nothing more than :class:`Alone`."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Alone:
    """One process: every sum is already complete."""

    rank: int = 0
    size: int = 1

    def sum(self, *sums: Any) -> tuple[Any, ...]:
        """The sums over all processes of each array or number."""
        return sums
