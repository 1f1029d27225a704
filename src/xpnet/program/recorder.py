"""``record(function, *examples)`` calls a function with arrays that have a shape and a dtype but no numbers.

The result is a Program: the list of operations, each with its operands, shape, dtype and source line.
"""

import functools
import logging
import random
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from .namespace import RecordedNamespace
from .recorded_array import Recorded
from .recorded_values import NotRecordable, Program, described

logger = logging.getLogger("xpnet")


def leaves(nest: Any) -> Iterator[Any]:
    """The arrays of nested tuples and lists, in order."""
    if isinstance(nest, tuple | list):
        for x in nest:
            yield from leaves(x)
    elif hasattr(nest, "shape"):
        yield nest


def mapped(leaf: Callable, nest: Any) -> Any:
    """Nested tuples and lists with ``leaf(array)`` in place of each array; None and numbers stay as they are."""
    if isinstance(nest, tuple | list):
        found = [mapped(leaf, x) for x in nest]
        return type(nest)(*found) if hasattr(nest, "_fields") else type(nest)(found)
    return leaf(nest) if hasattr(nest, "shape") else nest


def record(function: Callable, *examples: Any) -> Program:
    """The program of a function.

    Parameters
    ----------
    function : callable
        A pure function of arrays, which may come in nested tuples, and of other arguments that stay the same.
    *examples : arrays, or other objects with a shape and a dtype; nested tuples of them
        The arguments of the call. The values of arrays are not read.

    Returns
    -------
    Program

    Raises
    ------
    NotRecordable
        The function needs the value of an array, or a function that RecordedNamespace does not have. Or it uses objects
        from outside this package and does something else when it is called again, for example because it draws random
        numbers on the host.
    """
    foreign = list(_foreign_objects(function, set()))
    for x in foreign:
        if not any(hasattr(x, name) for name in ("__dict__", "__slots__", "__call__")):
            raise NotRecordable(f"the function uses a {type(x).__name__}; random numbers of the host can't be recorded")
    program = _recorded(function, examples)
    if foreign:
        before, again = _random_states(), _recorded(function, examples)
        if program.identity != again.identity or before != _random_states():
            pairs = zip(program.values, program.descriptions, again.descriptions, strict=False)
            where = next((f" ({x.operation}, {described(x.site)})" for x, one, other in pairs if one != other), "")
            raise NotRecordable(
                "the function does something else when it is called again; random numbers of the host can't be "
                f"recorded{where}"
            )
    return program


def _recorded(function: Callable, examples: tuple) -> Program:
    program = Program()
    xp = RecordedNamespace(program)
    results = function(*mapped(lambda a: Recorded(program.input(a.shape, a.dtype), xp), examples))
    program.results = mapped(xp._value, results)
    program.outputs += leaves(program.results)
    return program


_DATA = int | float | str | slice | np.ndarray | np.generic | np.dtype | ModuleType | None


def _foreign_objects(x: Any, seen: set[int]) -> Iterator[Any]:
    """The objects that a function uses, except for data and this package's, which draw nothing on the host."""
    if isinstance(x, MethodType | BuiltinFunctionType):
        x = x.__self__
    if isinstance(x, _DATA | Recorded) or id(x) in seen:
        return
    seen.add(id(x))
    if isinstance(x, tuple | list | dict | set | frozenset):
        parts = x.values() if isinstance(x, dict) else x
    else:
        home = x if isinstance(x, FunctionType | type) else type(x)
        if home.__module__.partition(".")[0] != __name__.partition(".")[0]:
            yield x
        if isinstance(x, FunctionType):
            parts = [cell.cell_contents for cell in x.__closure__ or ()]
        else:
            names = () if isinstance(x, type) else (*getattr(x, "__slots__", ()), *getattr(x, "__dict__", ()))
            parts = [getattr(x, name) for name in names]
    for part in parts:
        yield from _foreign_objects(part, seen)


def _random_states() -> tuple:
    """The states of the process-wide random number generators."""
    return random.getstate(), str(np.random.get_state(legacy=False))  # noqa: NPY002 (only read)


@functools.lru_cache(maxsize=64)
def say_why(reason: str) -> None:
    """Log why a function is not replayed, once for each reason."""
    logger.warning("a function can't be replayed and runs directly, which is slower: %s", reason)


def recorded(function: Callable, *examples: Any) -> Program | None:
    """The program of ``function(*examples)``; None, and the reason in the log once, if it can't be recorded."""
    try:
        return record(function, *examples)
    except Exception as error:  # a user's layer may raise anything, and raises it again if its definition runs
        say_why(f"{type(error).__name__}: {error}")
        return None
