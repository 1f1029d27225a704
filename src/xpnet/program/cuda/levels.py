"""The levels at which a GPU can run a program, and the comparison of their results.

Each level is compared with the one below it before it is used:

==========================  ==========================================================================================
level                       a training step is
==========================  ==========================================================================================
graph with epilogues        a CUDA graph whose products also add biases and take ReLUs (``XPNET_EPILOGUES=on``)
graph                       a CUDA graph of the plan's launches (the default)
launches                    the plan's launches, one after the other (``XPNET_CAPTURE=off``)
definitions                 the equations themselves, run by CuPy (``XPNET_REPLAY=off``)
==========================  ==========================================================================================

If a level disagrees with the one below it or raises an error, the program runs at the lower level, and a RuntimeWarning
says so; with ``XPNET_CAPTURE=require`` that is a :class:`LevelError`. The result of a comparison holds for the process.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...backends import NARROW
from ...backends.environment import setting

Array = Any

EPILOGUES, GRAPH, LAUNCHES, DEFINITIONS = "graph with epilogues", "graph", "launches", "definitions"
LEVELS = (EPILOGUES, GRAPH, LAUNCHES, DEFINITIONS)

TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "tf32": 1e-2, "bfloat16": 5e-2}
"""The largest difference between two levels, relative to what a step changes."""


class LevelError(RuntimeError):
    """A program failed at a level that XPNET_CAPTURE=require does not allow it to leave."""


class Disagreement(ArithmeticError):
    """The results of two levels differ by more than the precision explains."""


def first_level() -> str:
    """The level that the environment selects."""
    if setting("XPNET_REPLAY") == "off":
        return DEFINITIONS
    if setting("XPNET_CAPTURE") == "off":
        return LAUNCHES
    return EPILOGUES if setting("XPNET_EPILOGUES") == "on" else GRAPH


LONGEST = 500
"""The largest number of characters of an error that a warning repeats: those of compilers may fill pages."""


def step_down(level: str, to: str, why: Exception, device: str) -> None:
    """Warn that a program continues at a lower level, or raise a LevelError if the level is required.

    ``device`` names the GPU and the versions of the libraries that compute.
    """
    reason = f"{type(why).__name__}: {why}"
    reason = reason if len(reason) <= LONGEST else reason[:LONGEST] + "..."
    fix = {EPILOGUES: "XPNET_EPILOGUES=off", GRAPH: "XPNET_CAPTURE=off"}.get(level, "XPNET_REPLAY=off")
    what = f'the level "{level}" failed ({reason}) on {device}'
    if setting("XPNET_CAPTURE") == "require":
        raise LevelError(f"{what}, and XPNET_CAPTURE=require forbids a lower one") from why
    warnings.warn(
        f'{what}; this program continues at the level "{to}". Set {fix} in the environment to skip the '
        "failing level, and please report this with the output of  python -m xpnet info --check",
        RuntimeWarning,
        stacklevel=2,
    )


def difference(
    ours: Sequence[Array], expected: Sequence[Array], before: Sequence[Array], precision: str, has_slots: bool = False
) -> float:
    """The largest difference between two lists of arrays, relative to the change of each array since ``before``.

    ``precision`` is a key of ``TOLERANCES``. With ``has_slots`` the first array is theta and the second its first
    moment. Adam divides by the size of the gradient, which magnifies rounding errors if the gradient is almost 0: such
    elements of theta are left out, and their slots are compared.
    """
    # Rounding factors changes the sign of the inputs of a small share of all ReLUs. If a share s of the terms of a
    # gradient changes, it changes by about sqrt(s) of its Euclidean norm; so the square of the relative change is used.
    worst = 0.0
    is_narrow = precision in NARROW
    size = np.linalg.norm if is_narrow else lambda a: np.max(np.abs(a), initial=0.0)
    for k, (a, b, old) in enumerate(zip(ours, expected, before, strict=True)):
        if b.dtype.kind != "f":
            worst = worst if np.array_equal(a, b) else np.inf
            continue
        if not np.isfinite(b).all():
            worst = worst if np.array_equal(np.isfinite(a), np.isfinite(b)) else np.inf
            continue
        if k == 0 and has_slots:
            moved = np.abs(expected[1] - before[1])
            is_clear = moved >= np.sqrt(TOLERANCES[precision]) * np.max(moved)
            a, b, old = a[is_clear], b[is_clear], old[is_clear]
        rounding = 8 * float(np.finfo(b.dtype).eps) * float(size(b))
        room = max(float(size(b - old)), rounding / TOLERANCES[precision], float(np.finfo(b.dtype).tiny))
        found = (float(size(a - b)) / room) ** (2 if is_narrow and a.ndim else 1)
        worst = max(worst, np.inf if np.isnan(found) else found)
    return worst


def compare(what: str, ours: Sequence[Array], expected: Sequence[Array], *settings: Any) -> None:
    """Raise a Disagreement if results differ by more than the precision allows; see :func:`difference`."""
    precision = settings[1]
    found = difference(ours, expected, *settings)
    if not found <= TOLERANCES[precision]:
        raise Disagreement(
            f"{what} differ by {found:.1e} of what a step changes, and {TOLERANCES[precision]:.0e} is allowed in "
            f"{precision}"
        )
