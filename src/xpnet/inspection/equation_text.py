"""The equations that classes carry as attributes, as text."""

import dataclasses
import re
from typing import Any


def equation_of(part: Any) -> str:
    """What a layer, activation or loss computes: its attribute ``equation``, or else its class's name."""
    equation = getattr(part, "equation", None)
    return equation if isinstance(equation, str) else type(part).__name__


def source_of(part: Any) -> str:
    """Where the equations of a layer, activation, loss or optimizer come from: its attribute ``source``, or nothing."""
    return getattr(part, "source", "")


def renamed(equation: str, names: dict[str, str]) -> str:
    """The equation with other symbols in place of its own; an index, as in "dZ_i", stays."""
    pattern = "|".join(rf"(?<![A-Za-z_]){re.escape(name)}(?![A-Za-z0-9])" for name in names)
    return re.sub(pattern, lambda found: names[found[0]], equation)


def described(config: Any) -> str:
    """A layer, loss or rule in words: its class, and the settings that are not its defaults."""
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return type(config).__name__
    # Initial values are in the numbers, and the rate is the state's.
    fields = [f for f in dataclasses.fields(config) if "initial" not in f.name and f.name != "learning_rate"]
    changed = [f for f in fields if f.default is dataclasses.MISSING or getattr(config, f.name) != f.default]
    return f"{type(config).__name__}({', '.join(f'{f.name}={getattr(config, f.name)!r}' for f in changed)})"
