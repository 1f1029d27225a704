"""The header of a model file: a document in JSON, read without trust in its author.

A header is data and can name no code: the only objects in it are settings of the package, such as activations, which
are looked up by name among those that it allows.
"""

import dataclasses
import json
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import __version__
from ..equations import activations, losses, schedules

ENTRY = "xpnet"
"""The one entry of the file's metadata: several would be written in an order that changes from run to run."""
FORMAT_VERSION = 1
_SETTINGS: dict[str, Any] = {
    name: kind
    for module in (activations, losses, schedules)
    for name, kind in vars(module).items()
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind.__module__ == module.__name__
}


def to_header(document: dict[str, Any]) -> dict[str, str]:
    """The document, with the version of the format, as the metadata of a file."""
    versions = {"format_version": FORMAT_VERSION, "xpnet_version": __version__}
    return {ENTRY: json.dumps(versions | document, allow_nan=False)}


def checked_document(header: dict[str, str], path: str | os.PathLike) -> dict[str, Any]:
    """The document in the metadata of the file at ``path``, if it is in a format that this version knows."""
    file = repr(os.fspath(path))
    if ENTRY not in header:
        raise ValueError(f"{file} is a safetensors file, but not a model of xpnet: give one that xpnet.save wrote")
    try:
        document = json.loads(header[ENTRY], object_hook=_decoded)
        version, writer = int(document["format_version"]), document["xpnet_version"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: its header is incomplete; get the file afresh") from error
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{file} has format version {version}, written by xpnet {writer}; xpnet {__version__} reads up to "
            f"{FORMAT_VERSION}: upgrade with  python -m pip install --upgrade xpnet"
        )
    return document


def encoded(value: Any, what: str) -> Any:
    """The value in JSON's types; what JSON doesn't know is an object with a name for its kind.

    {"tuple": [...]}, {"float": "inf"}, {"dict": [[key, value], ...]}, {"object": "ELU", "settings": {...}}.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = tuple(value.tolist())
    if isinstance(value, list | tuple):
        items = [encoded(item, what) for item in value]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, dict):
        return {"dict": [[encoded(k, what), encoded(v, what)] for k, v in value.items()]}
    if type(value) in _SETTINGS.values():
        settings = {field.name: encoded(getattr(value, field.name), what) for field in dataclasses.fields(value)}
        return {"object": type(value).__name__, "settings": settings}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{what} is {value!r}; a model file holds numbers, text, None and lists of these: set one of them")


_DECODERS: dict[tuple[str, ...], Callable[..., Any]] = {
    ("tuple",): tuple,
    ("float",): float,
    ("dict",): lambda items: dict(map(tuple, items)),
    ("object", "settings"): lambda name, settings: _SETTINGS[name](**settings),
}


def _decoded(item: dict[str, Any]) -> Any:
    """The inverse of ``encoded`` for one JSON object, whose own items are decoded already."""
    decode = _DECODERS.get(tuple(item))
    return item if decode is None else decode(*item.values())
