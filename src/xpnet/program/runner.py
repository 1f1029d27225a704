"""Chooses the runner of training steps on a backend: replays on NumPy or a GPU, or the definitions."""

from collections.abc import Callable
from typing import Any

from ..backends import Backend, is_sparse, say_that_it_is_float32
from ..backends.environment import check_environment
from .numpy_steps import Replays
from .replayed_functions import may_replay
from .steps import Definitions, Steps


def training_steps(
    step: Callable,
    X: Any,
    backend: Backend,
    has_norm: bool = False,
    work: float = 0.0,
    precision: str | None = None,
) -> Steps:
    """The runner of epochs on a backend.

    Parameters
    ----------
    step : callable
        ``step(carry, batch, row) -> carry``, a pure function; ``row`` holds the step's scalars as 0-d arrays.
    X : array
        The samples, or similar ones: steps on sparse samples are not replayed.
    backend : Backend
    has_norm : bool
        Whether the gradient's norm is recorded.
    work : float
        Floating-point operations of the step's largest product for one sample.
    precision : {"tf32", "bfloat16"}, optional
        What products on a GPU may round their factors to.

    Raises
    ------
    ValueError
        An environment variable is unknown or has a value that is not allowed.
    """
    check_environment()
    if is_sparse(X) or not may_replay():
        if precision is not None:
            say_that_it_is_float32(precision)
        return Definitions(step, backend, has_norm)
    if backend.is_cupy:
        from .cuda.gpu_steps import GPUSteps

        return GPUSteps(step, has_norm, backend, precision)
    return Replays(step, has_norm, work) if backend.name == "numpy" else Definitions(step, backend, has_norm)
