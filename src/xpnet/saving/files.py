"""Writes files completely or not at all, under another name that is then replaced; reads them with helpful errors."""

import os
import secrets
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors


def write_file(path: str | os.PathLike, content: Any, header: dict[str, str] | None = None) -> None:
    """Replace ``path`` at once by ``content``: bytes, or a dictionary of arrays for a safetensors file.

    If anything fails, a file that was there before is still there, unchanged.
    """
    place = check_place(path)
    data = content if isinstance(content, bytes) else to_safetensors(content, header)
    beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            shutil.copymode(place, beside)
        os.replace(beside, place)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def check_place(path: str | os.PathLike) -> Path:
    """The place that ``path`` leads to, links followed; an error if no file can be written there."""
    place = Path(os.path.realpath(path))
    if not place.parent.is_dir():
        raise FileNotFoundError(f"the folder {str(place.parent)!r} is not there: make it, or give another path")
    if not os.access(place.parent, os.W_OK):
        raise PermissionError(f"the folder {str(place.parent)!r} can't be written to: give another path")
    if place.exists() and not place.is_file():
        raise ValueError(f"{os.fspath(path)!r} is not an ordinary file: give another path")
    return place


def read_file(path: str | os.PathLike) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The header's entries and the tensors of a safetensors file."""
    name = repr(os.fspath(path))
    if not os.path.exists(path):
        raise FileNotFoundError(f"there is no file {name}: check the path, or train and save a model first")
    if not os.path.isfile(path):
        raise ValueError(f"{name} is a folder, not a file: give the model file in it")
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}
    except (SafetensorError, TypeError, AttributeError) as error:
        raise ValueError(f"{name} {_what_is_wrong(path)}") from error


def _what_is_wrong(path: str | os.PathLike) -> str:
    with open(path, "rb") as file:
        start = file.read(9)
    size = os.path.getsize(path)
    if size == 0:
        return "is empty: get the file afresh, or save the model again"
    if len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] < 1 << 27:
        return f"is cut short or damaged at {size} bytes: get the file afresh, or save the model again"
    return "is not a model file: give one that xpnet.save wrote (customarily *.safetensors)"
