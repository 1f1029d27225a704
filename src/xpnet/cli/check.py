"""``xpnet info --check``: compares a training at each level of a GPU with one by the definitions, in every precision.

The levels are those of :mod:`xpnet.program.levels`. A level that fails here is one that training leaves by itself.
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
from ..program import definitions_as_they_stand
from ..program.levels import (
    DEFINITIONS,
    EPILOGUES,
    GRAPH,
    LAUNCHES,
    LEVELS,
    TOLERANCES,
    LevelError,
    compare,
    difference,
)
from ..training import epochs

_SETTINGS = {
    EPILOGUES: {"XPNET_EPILOGUES": "on"},
    GRAPH: {"XPNET_EPILOGUES": "off"},
    LAUNCHES: {"XPNET_EPILOGUES": "off", "XPNET_CAPTURE": "off"},
}
SAMPLES, BATCH = 600, 128


def checked(backend: str | None) -> tuple[list[str], bool]:
    """The lines of the table, and whether no precision fails at the level "graph", at which training begins.

    Raises
    ------
    ValueError
        The backend is not CuPy.
    BackendUnavailableError
        There is no GPU.
    """
    gpu = get_backend(backend or "cupy")
    if not gpu.name.startswith("cupy"):
        raise ValueError(f"--check compares what a GPU computes, and the backend is {gpu.name}: use --backend cupy")
    from ..program.cuda.launches import device_name

    with gpu.active():
        lines = [f"device      {device_name()}", "", f"{'precision':<12}" + "".join(f"{x:<24}" for x in LEVELS[:-1])]
        notes: list[str] = []
        is_good = True
        for precision in TOLERANCES:
            found = [_cell(gpu, precision, level, notes) for level in LEVELS if level != DEFINITIONS]
            is_good &= not found[LEVELS.index(GRAPH)].startswith("FAILED")
            lines.append(f"{precision:<12}" + "".join(f"{x:<24}" for x in found))
    numbered = [f"[{k}] {note}" for k, note in enumerate(notes, 1)]
    legend = "Numbers: the difference from the definitions, relative to what training changed, and how much is allowed."
    return [line.rstrip() for line in (*lines, "", *numbered, legend)], is_good


def _cell(gpu: Backend, precision: str, level: str, notes: list[str]) -> str:
    """A cell of the table, for one level and precision; longer texts are added to the notes."""
    try:
        found = _difference(gpu, precision, level)
    except (LevelError, RuntimeWarning) as error:
        return f"FAILED [{_noted(notes, error.__cause__ or error)}]"
    except ValueError as error:  # a precision that this GPU does not have
        return f"not here [{_noted(notes, error)}]"
    return f"ok  {found:.0e} ({TOLERANCES[precision]:.0e})"


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
        The level failed, the programs ran at another one, or the results disagree.
    """
    from ..program.cuda.replay import chosen_levels

    expected, before = _trained(gpu, precision if precision == "float64" else "float32", None)
    chosen_levels.clear()
    found, _ = _trained(gpu, precision, level)
    if {*chosen_levels.values()} != {level}:
        raise LevelError(f"programs ran as {sorted({*chosen_levels.values()})}")
    settings = before, precision, True
    try:
        compare("the training and that by the definitions", found, expected, *settings)
    except ArithmeticError as error:
        raise LevelError(str(error)) from error
    return difference(found, expected, *settings)


def _trained(gpu: Backend, precision: Any, level: str | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Parameters and slots after a short training, and before it; by the definitions if the level is None."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(SAMPLES, 40)), np.eye(10)[rng.integers(0, 10, SAMPLES)]
    network = Sequential(Dense(64, "tanh"), Dense(36, "relu"), Dense(10))
    model = Model(network, "cross_entropy", l2=1e-3, precision=precision)
    start = model.initial(rng, 40, Momentum(1e-2))
    with definitions_as_they_stand() if level is None else _environment(_SETTINGS[level]):
        (*_, (state, _)) = islice(epochs(model, start, X, Y, batch_size=BATCH, rng=rng, backend=gpu), 1)
        arrays = [to_numpy(a) for a in (state.theta, *state.slots)]
    return arrays, [np.asarray(a, arrays[0].dtype) for a in (start.theta, *start.slots)]


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    """A context with these environment variables, in which a level that fails is an error."""
    was = {name: os.environ.get(name) for name in ("XPNET_REPLAY", "XPNET_CAPTURE", "XPNET_EPILOGUES")}
    os.environ.update({"XPNET_REPLAY": "on", "XPNET_CAPTURE": "require"} | settings)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            yield
    finally:
        for name, value in was.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
