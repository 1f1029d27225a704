"""``coefs_`` and ``intercepts_``, the flat vector theta of all parameters, and the state that training begins with."""

from dataclasses import replace
from typing import Any

from ..backends import Backend, array_namespace, on_device_of
from ..equations.dropout import draw_seed
from ..model import Model
from ..network import Layout
from ..state import State, initial_state
from .settings import update_rule

Array = Any


def attributes_of(layout: Layout, theta: Array) -> dict[str, list]:
    """``coefs_`` and ``intercepts_`` for this theta, copied out of it, in its library."""
    layers = [layer for layer in layout.unpack(theta) if layer]  # Dropout has no parameters
    xp = array_namespace(theta)
    with on_device_of(theta):
        coefs, intercepts = ([xp.asarray(layer[i], copy=True) for layer in layers] for i in (0, 1))
    return {"coefs_": coefs, "intercepts_": intercepts}


def layers_of(estimator: Any, backend: Backend, dtype: Any) -> tuple[tuple[Array, Array], ...]:
    """The estimator's W_k and b_k, layer by layer, on the backend."""
    asarray = backend.asarray
    return tuple(
        (asarray(W, dtype), asarray(b, dtype)) for W, b in zip(estimator.coefs_, estimator.intercepts_, strict=True)
    )


def theta_of(estimator: Any, backend: Backend, dtype: Any) -> Array:
    """All parameters in the order of :class:`xpnet.Layout`, which is also scikit-learn's: weights, then biases."""
    with backend.active():
        weights, biases = zip(*layers_of(estimator, backend, dtype), strict=True)
        return backend.xp.concat([backend.xp.reshape(a, (-1,)) for a in (*weights, *biases)])


def starting_state(estimator: Any, model: Model, backend: Backend, X: Array, rng: Any, resumes: bool) -> State:
    """New parameters, or those of a fitted estimator, and with them its slots if training ``resumes``."""
    if not hasattr(estimator, "coefs_"):
        state = initial_state(backend.asarray(model.draw(rng, X.shape[1]), X.dtype), update_rule(estimator))
    else:
        theta = estimator._theta(backend, X)
        resumes = resumes and hasattr(estimator, "_resume")
        state = replace(estimator._resume, theta=theta) if resumes else initial_state(theta, update_rule(estimator))
    return replace(state, seed=draw_seed(rng)) if model.is_stochastic and state.seed == 0 else state
