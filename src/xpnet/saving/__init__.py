"""A fitted model is one safetensors file: its arrays as tensors, all else as JSON in the header; no pickle.

Tensors: ``coefs.0``, ``intercepts.0``, ``coefs.1``, ... and, where a model scales its data, ``features.mean``,
``features.scale``, ``features.variance`` and the same for ``target``. Loading runs no code that a file brings along.
"""

import json
import os
from typing import Any

from .. import __version__
from ..backends import get_backend
from .document import decode, describe_parts, rebuild, tensors_of
from .files import check_place, read_file, write_file
from .parts import Parts, check, put_together, take_apart

FORMAT = "xpnet"
"""The one entry of the file's metadata: several would be written in an order that changes from run to run."""
FORMAT_VERSION = 1

__all__ = ["Parts", "check_place", "describe", "load", "put_together", "save", "take_apart", "write_file"]


def save(model: Any, path: str | os.PathLike, *, target_names: list[str] | None = None) -> None:
    """Write a fitted model to one file; an existing file is replaced at once, or kept where anything fails.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, Pipeline or TransformedTargetRegressor
        Fitted, from any backend. A pipeline is StandardScaler and one of the two; a TransformedTargetRegressor holds
        such a pipeline and a StandardScaler. The optimiser's slots stay behind, and so does a generator given as
        random_state, which becomes None.
    path : path
        Customarily ends in ``.safetensors``.
    target_names : list of str, optional
        What the outputs are called: ``python -m xpnet predict`` looks for these columns in a table.

    Raises
    ------
    ValueError
        The model is of another kind, not fitted, not finite, or holds labels or parameters that JSON can't.
    """
    parts = take_apart(model)
    check(parts, f"this {type(model).__name__} can't be saved")
    versions = {"format_version": FORMAT_VERSION, "xpnet_version": __version__}
    document = versions | describe_parts(parts) | {"target_names": target_names}
    write_file(path, tensors_of(parts), {FORMAT: json.dumps(document, allow_nan=False)})


def load(path: str | os.PathLike, backend: str | None = None) -> Any:
    """The model that ``save`` wrote: of the same kind, ready to predict, or to go on with a fresh optimiser.

    Parameters
    ----------
    path : path
        A file written by ``save``, on any machine.
    backend : str, optional
        Takes the place of the model's own ``backend`` parameter; see :func:`xpnet.get_backend`.

    Returns
    -------
    The model, its arrays on the host.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is no xpnet model, damaged, or of a newer format; the message says which.
    """
    if backend is not None:
        get_backend(backend)
    document, tensors = _read(path)
    try:
        parts = rebuild(document, tensors)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{_quoted(path)} is damaged: {what}; get the file afresh, or save the model again") from error
    check(parts, f"{_quoted(path)} can't be loaded")
    if backend is not None:
        parts.mlp.backend = backend
    return put_together(parts)


def describe(path: str | os.PathLike) -> dict[str, Any]:
    """What a model file says about itself: versions, class, parameters, facts, labels, names of the targets."""
    return _read(path)[0]


def _read(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document and the tensors of a model file in a format that this version knows."""
    header, tensors = read_file(path)
    if FORMAT not in header:
        raise ValueError(
            f"{_quoted(path)} is a safetensors file, but not a model of xpnet: give one that xpnet.save wrote"
        )
    try:
        document = json.loads(header[FORMAT], object_hook=decode)
        version, writer = int(document["format_version"]), document["xpnet_version"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{_quoted(path)} is damaged: its header is incomplete; get the file afresh") from error
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{_quoted(path)} has format version {version}, written by xpnet {writer}; xpnet {__version__} reads up to "
            f"{FORMAT_VERSION}: upgrade with  python -m pip install --upgrade xpnet"
        )
    return document, tensors


def _quoted(path: str | os.PathLike) -> str:
    return repr(os.fspath(path))
