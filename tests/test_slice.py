from itertools import islice

import numpy as np

from xpnet import Dense, GradientDescent, Model, Sequential, epochs


def test_slice(library, dtype, rng):
    X = library.asarray(rng.normal(size=(70, 5)), dtype)
    Y = library.asarray(np.eye(3)[rng.integers(0, 3, 70)], dtype)
    model = Model(Sequential(Dense(4, "tanh"), Dense(3)), loss="cross_entropy", l2=0.01, l1=0.01)
    state = model.initial(rng, 5, GradientDescent(0.5))
    costs = []
    for state, cost in islice(epochs(model, state, X, Y, batch_size=16, rng=rng), 5):
        costs.append(cost)
    assert costs[-1] < costs[0]
    assert library.owns(state.theta)
    P = model.predict(state.theta, X)
    assert library.owns(P)
