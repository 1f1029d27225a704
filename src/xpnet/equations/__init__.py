"""The mathematics, each equation written once, for arrays of any library: ``xp`` is their Array API namespace.

Rows are samples; ``Z = X W + b`` with X (m, n_in), W (n_in, n_out), b (n_out,); a gradient carries a ``d``. D0 to
D4 are the documents that the README's table names.
"""

import dataclasses
import operator
from typing import Any


def plain_numbers(config: Any) -> None:
    """Make a configuration's numbers Python floats, as a NumPy scalar would change the dtype of arrays."""
    for field in dataclasses.fields(config):
        if field.type is float:
            value = getattr(config, field.name)
            try:
                object.__setattr__(config, field.name, float(value))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{field.name} of {type(config).__name__} is {value!r}; it must be a number"
                ) from error


def whole_number(name: str, value: Any) -> int:
    """The value as an int; a ValueError that names it if it is not a whole number, 1 or more."""
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"{name} is {value!r}; it must be a whole number, 1 or more")
    return number
