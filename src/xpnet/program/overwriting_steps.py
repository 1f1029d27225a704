"""Parameters and slots that a replayed step overwrites, and earlier ones that may still be read."""

import weakref
from collections.abc import Callable
from typing import Any

from ..backends import array_namespace
from .recorder import leaves
from .steps import Array, Carry, Kept, _copied


class Overwriting:
    """Steps that overwrite parameters and slots in place; earlier ones are copied if they may still be read."""

    def __init__(self, step: Callable, has_norm: bool) -> None:
        self.step, self.has_norm = step, has_norm
        self._carry: Any = None
        self._now: tuple[Array, ...] = ()
        self._earlier: tuple[Array, ...] = ()
        """The arrays before the last epoch: those that were given, or ``_copies``."""
        self._copies: tuple[Array, ...] = ()
        self._has_begun = False
        self._kept: list[weakref.ref[Kept]] = []

    def begin(self, theta: Array, slots: tuple[Array, ...], step: int) -> None:
        self._step, self._has_begun, self._earlier = step, True, (theta, *slots)
        if self._carry is None:
            xp = array_namespace(theta)
            self._now = copied, *others = tuple(a.copy() for a in self._earlier)
            cost, square = xp.zeros((), dtype=theta.dtype), xp.zeros((), dtype=theta.dtype)
            self._carry = Carry(copied, tuple(others), cost, square if self.has_norm else None)
            return
        for kept in self._waiting():
            if kept.arrays is self._now:
                kept.take_all()
        for mine, given in zip(self._now, self._earlier, strict=True):
            mine[...] = given

    def _waiting(self) -> list[Kept]:
        """The states that may still be read."""
        found = [kept for look in self._kept if (kept := look()) is not None and not kept.is_taken]
        self._kept = list(map(weakref.ref, found))
        return found

    def _keep(self) -> None:
        """Copy the arrays at the start of an epoch, before they are overwritten."""
        if self._has_begun:  # the arrays that were given are not overwritten
            self._has_begun = False
            return
        waiting = self._waiting()
        for kept in waiting:
            if kept.arrays is self._copies:
                kept.take_all()
        self._earlier = ()  # frees the given arrays before the copies are allocated
        self._copies = self._copies or tuple(map(array_namespace(self._now[0]).empty_like, self._now))
        for copied, now in zip(self._copies, self._now, strict=True):
            copied[...] = now
        self._earlier = self._copies
        for kept in waiting:
            if kept.arrays is self._now:
                kept.move(self._copies)

    def after(self) -> Kept:
        kept = Kept(self._now, self)
        self._kept.append(weakref.ref(kept))
        return kept

    def before(self) -> Kept:
        return Kept(tuple(map(_copied, self._earlier)))

    def _take_over(self, carry: Carry, may_share: Callable) -> None:
        """Overwrite the parameters and slots with the results of a step."""
        mine, new = list(leaves(self._carry)), list(leaves(carry))
        for k, a in enumerate(new):  # an optimizer may return its arguments, which are overwritten below
            if any(may_share(a, other) for other in mine):
                new[k] = a.copy()
        for array, a in zip(mine, new, strict=True):
            array[...] = a

    def close(self) -> None:
        """Free the arrays; those that have been handed out stay."""
        self._carry, self._now, self._earlier, self._copies = None, (), (), ()
