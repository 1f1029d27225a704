"""``coefs_`` and ``intercepts_`` and the flat vector of parameters."""

from types import SimpleNamespace

import numpy as np

import xpnet
from xpnet.equations.dropout import Dropout
from xpnet.estimators.coefficients import attributes_of, layers_of, theta_of


def test_there_and_back(library, rng):
    sizes = [(3, 4), (4, 2)]
    coefs = [library.asarray(rng.normal(size=shape)) for shape in sizes]
    intercepts = [library.asarray(rng.normal(size=shape[1])) for shape in sizes]
    fitted = SimpleNamespace(coefs_=coefs, intercepts_=intercepts)
    theta = theta_of(fitted, library.backend, coefs[0].dtype)
    assert library.owns(theta)
    network = xpnet.Sequential(xpnet.Dense(4, "relu"), Dropout(0.5), xpnet.Dense(2))
    found = attributes_of(xpnet.Layout(network, (3,)), theta)
    for name, arrays in (("coefs_", coefs), ("intercepts_", intercepts)):
        for a, b in zip(found[name], arrays, strict=True):
            assert library.owns(a)
            np.testing.assert_array_equal(library.to_numpy(a), library.to_numpy(b))


def test_attributes_are_copies(rng):
    layout = xpnet.Layout(xpnet.Sequential(xpnet.Dense(2)), (3,))
    theta = rng.normal(size=layout.n_parameters)
    found = attributes_of(layout, theta)
    assert not np.shares_memory(found["coefs_"][0], theta)


def test_layers_take_the_dtype_that_is_computed_in(library, rng):
    fitted = SimpleNamespace(coefs_=[rng.normal(size=(3, 2))], intercepts_=[np.zeros(2)])
    ((W, b),) = layers_of(fitted, library.backend, library.xp.float32)
    assert W.dtype == b.dtype == library.xp.float32
    assert library.owns(W)
