"""``xpnet info --check``: a training at each level of a GPU beside one by the definitions, in every precision.

The levels are those of :mod:`xpnet.program.cuda.levels`. If a level fails, training leaves it by itself.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from ..backends import Backend, get_backend, to_numpy
from ..equations.layers import Dense
from ..equations.optimizers import Momentum
from ..model import Model
from ..network import Sequential
from ..program import without_replays
from ..program.cuda import levels
from ..training import epochs

_SETTINGS = {
    levels.EPILOGUES: {"XPNET_EPILOGUES": "on"},
    levels.GRAPH: {"XPNET_EPILOGUES": "off"},
    levels.LAUNCHES: {"XPNET_EPILOGUES": "off", "XPNET_CAPTURE": "off"},
}
_SAMPLES, _BATCH = 600, 128
_LEGEND = "Numbers: the difference from the definitions, relative to what training changed, and how much is allowed."


def check_levels(backend: str | None) -> bool:
    """Print the table, each row as soon as it is known; whether every precision passes at "graph", the default."""
    gpu = get_backend(backend or "cupy")
    if not gpu.name.startswith("cupy"):
        raise ValueError(f"--check compares what a GPU computes, and the backend is {gpu.name}: use --backend cupy")
    from ..program.cuda.launches import device_name

    columns = [level for level in levels.LEVELS if level != levels.DEFINITIONS]
    notes: list[str] = []
    is_good = True
    with gpu.active():
        _print_row("device", [device_name()])
        print()
        _print_row("precision", columns)
        try:
            for precision in levels.TOLERANCES:
                cells = [_cell(gpu, precision, level, notes) for level in columns]
                _print_row(precision, cells)
                is_good &= not cells[columns.index(levels.GRAPH)].startswith("FAILED")
        finally:
            print("", *(f"[{k}] {note}" for k, note in enumerate(notes, 1)), _LEGEND, sep="\n", flush=True)
    return is_good


def _print_row(label: str, cells: list[str]) -> None:
    print((f"{label:<12}" + "".join(f"{cell:<24}" for cell in cells)).rstrip(), flush=True)


def _cell(gpu: Backend, precision: str, level: str, notes: list[str]) -> str:
    """A cell of the table, for one level and precision; longer texts are added to the notes."""
    try:
        found = _difference(gpu, precision, level)
    except (levels.LevelError, levels.Disagreement, RuntimeWarning) as error:
        return f"FAILED [{_noted(notes, error.__cause__ or error)}]"
    except ValueError as error:  # a precision that this GPU does not have
        return f"not here [{_noted(notes, error)}]"
    return f"ok  {found:.0e} ({levels.TOLERANCES[precision]:.0e})"


def _noted(notes: list[str], error: BaseException) -> int:
    """The number of the note with this error, which is added if it is new."""
    if str(error) not in notes:
        notes.append(str(error))
    return notes.index(str(error)) + 1


def _difference(gpu: Backend, precision: str, level: str) -> float:
    """The difference of a training at this level from one by the definitions.

    Raises
    ------
    LevelError
        The level failed, or the programs ran at another one.
    Disagreement
        The results differ by more than the precision explains.
    """
    from ..program.cuda.replay import chosen_levels

    expected, before = _trained(gpu, precision if precision == "float64" else "float32", None)
    chosen_levels.clear()
    found, _ = _trained(gpu, precision, level)
    if {*chosen_levels.values()} != {level}:
        raise levels.LevelError(f"programs ran as {sorted({*chosen_levels.values()})}")
    levels.compare("the training and that by the definitions", found, expected, before, precision, True)
    return levels.difference(found, expected, before, precision, has_slots=True)


def _trained(gpu: Backend, precision: Any, level: str | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Parameters and slots after a short training, and before it; by the definitions if the level is None."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(_SAMPLES, 40)), np.eye(10)[rng.integers(0, 10, _SAMPLES)]
    network = Sequential(Dense(64, "tanh"), Dense(36, "relu"), Dense(10))
    model = Model(network, "cross_entropy", l2=1e-3, precision=precision)
    start = model.initial(rng, 40, Momentum(1e-2))
    with without_replays() if level is None else _environment(_SETTINGS[level]):
        (*_, (state, _)) = islice(epochs(model, start, X, Y, batch_size=_BATCH, rng=rng, backend=gpu), 1)
        arrays = [to_numpy(a) for a in (state.theta, *state.slots)]
    return arrays, [np.asarray(a, arrays[0].dtype) for a in (start.theta, *start.slots)]


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """A context with these environment variables, in which a level that fails is an error."""
    settings = {"XPNET_REPLAY": "on", "XPNET_CAPTURE": "require"} | settings
    before = {name: os.environ.pop(name) for name in settings if name in os.environ}
    os.environ.update(settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            yield
    finally:
        for name in settings:
            del os.environ[name]
        os.environ.update(before)
