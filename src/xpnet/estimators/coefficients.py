"""``coefs_`` and ``intercepts_``, and the flat vector theta of all parameters."""

from typing import Any

from ..backends import Backend, array_namespace, on_device_of
from ..network import Layout

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
