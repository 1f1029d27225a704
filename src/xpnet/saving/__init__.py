"""A fitted model is one safetensors file: its arrays as tensors, all else as JSON in the header; no pickle.

Tensors: ``coefs.0``, ``intercepts.0``, ``coefs.1``, ... and, if a model scales its data, ``features.mean``,
``features.scale``, ``features.variance`` and the same for ``target``. Loading runs no code that a file brings along.
"""

import os
from typing import Any

import numpy as np

from ..backends import get_backend
from .document import rebuilt, to_document
from .files import check_place, read_file, write_file
from .header import checked_document, to_header
from .scaled_network import ScaledNetwork, check, put_together, take_apart

__all__ = ["ScaledNetwork", "check_place", "describe", "load", "put_together", "save", "take_apart", "write_file"]


def save(model: Any, path: str | os.PathLike, *, target_names: list[str] | None = None) -> None:
    """Save a fitted model to one file; an existing file is replaced at once, or kept if anything fails.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, Pipeline or TransformedTargetRegressor
        A fitted model, from any backend. A pipeline is StandardScaler and one of the two; a TransformedTargetRegressor
        holds such a pipeline and a StandardScaler. The optimizer's slots are not saved, and a generator given as
        random_state becomes None.
    path : path
        Where to write; the name customarily ends in ``.safetensors``.
    target_names : list of str, optional
        What the outputs are called: ``python -m xpnet predict`` looks for these columns in a table.

    Raises
    ------
    NotFittedError
        The model is not fitted.
    ValueError
        The model is of another kind, not finite, or has labels or parameters that JSON can't hold.

    Examples
    --------
    >>> import xpnet
    >>> model = xpnet.MLPClassifier(max_iter=500).fit([[0.0], [1.0]], ["no", "yes"])
    >>> xpnet.save(model, "model.safetensors")
    >>> xpnet.load("model.safetensors").predict([[1.0]])
    array(['yes'], dtype='<U3')
    """
    network = take_apart(model)
    check(network, f"this {type(model).__name__} can't be saved")
    # float32 or float64 in C order, which is all that tensors and this reader know
    arrays = {
        name: np.ascontiguousarray(a, np.float32 if a.dtype == np.float32 else np.float64)
        for name, a in network.arrays().items()
    }
    write_file(path, arrays, to_header(to_document(network) | {"target_names": target_names}))


def load(path: str | os.PathLike, backend: str | None = None) -> Any:
    """Load a model that :func:`save` wrote, ready to predict, or to go on training with a fresh optimizer.

    Parameters
    ----------
    path : path
        A file written by ``save``, on any machine.
    backend : str, optional
        Takes the place of the model's own ``backend`` parameter; see :func:`xpnet.get_backend`.

    Returns
    -------
    MLPClassifier, MLPRegressor, Pipeline or TransformedTargetRegressor
        A model of the kind that was saved, its arrays on the host.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is no xpnet model, damaged, or of a newer format; the message says which.
    """
    if backend is not None:
        get_backend(backend)
    header, tensors = read_file(path)
    document, file = checked_document(header, path), repr(os.fspath(path))
    try:
        network = rebuilt(document, tensors)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{file} is damaged: {what}; get the file afresh, or save the model again") from error
    check(network, f"{file} can't be loaded")
    if backend is not None:
        network.mlp.backend = backend
    return put_together(network)


def describe(path: str | os.PathLike) -> dict[str, Any]:
    """The header of a model file: versions, class, parameters, facts, labels, names of the targets."""
    return checked_document(read_file(path)[0], path)
