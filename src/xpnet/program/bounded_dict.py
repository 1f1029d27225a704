"""Dictionaries of bounded size."""

import threading
from collections.abc import Callable
from typing import Any


class Bounded(dict):
    """A dictionary of at most ``most`` entries: a new entry replaces the oldest. Threads may share it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self._lock = most, threading.Lock()

    def __setitem__(self, key: Any, value: Any) -> None:
        with self._lock:
            if key not in self and len(self) >= self.most:
                del self[next(iter(self))]
            super().__setitem__(key, value)

    def get_or_make(self, key: Any, make: Callable[[], Any]) -> Any:
        """The value of this key; if there is none, ``make()`` is stored."""
        try:
            return self[key]
        except KeyError:
            value = self[key] = make()
            return value
