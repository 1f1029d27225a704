"""scikit-learn's callbacks, called by hand, without training."""

from dataclasses import replace

import numpy as np

import xpnet
from xpnet import MLPRegressor
from xpnet.estimators.callbacks import Callbacks


class Watcher:
    """Records its calls, and ends training after the second epoch."""

    def __init__(self):
        self.calls = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context, *, metadata=None, fitted_estimator=None):
        self.calls.append(("begin", context.task_name, context.max_subtasks, metadata))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        reached = None if fitted_estimator is None else fitted_estimator.reached
        self.calls.append(("end", context.task_name, context.task_id, reached))
        return context.task_id == 1


def test_a_fit_and_its_epochs_are_reported():
    watcher, w = Watcher(), np.ones(2)
    estimator = MLPRegressor(max_iter=7, solver="lbfgs").set_callbacks(watcher)
    callbacks = Callbacks(estimator, np.eye(2), np.ones(2), w, lambda theta: {"reached": float(theta[0])})
    state = xpnet.initial_state(np.zeros(1), xpnet.Adam())
    ends = []
    for k in range(2):
        callbacks.begin_epoch(state)
        ends.append(callbacks.end_epoch(replace(state, theta=np.full(1, k + 0.5))))
    callbacks.end()
    assert ends == [False, True]
    epochs = [[("begin", "epoch", 0, {"sample_weight": w}), ("end", "epoch", k, k + 0.5)] for k in range(2)]
    # L-BFGS may begin one more iteration than max_iter.
    fit = ("begin", "fit", 8, {"sample_weight": w}), ("end", "fit", 0, None)
    assert watcher.calls == [fit[0], *epochs[0], *epochs[1], fit[1]]
    assert not hasattr(estimator, "reached")
