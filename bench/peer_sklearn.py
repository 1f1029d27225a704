"""scikit-learn's contenders: ``partial_fit``, ``fit`` and ``predict_proba``, on the CPU."""

import importlib.metadata

import numpy as np
import ours
from cases import Case
from contender import Contender, Device, of_outputs
from sklearn import neural_network


def about() -> str:
    """The version."""
    return f"scikit-learn {importlib.metadata.version('scikit-learn')}"


def forget() -> None:
    """Nothing to free: this module keeps nothing."""


def build(case: Case, name: str, device: str) -> Contender:
    """A contender for the path of a case; a pass of "step" or "epoch" is one ``partial_fit`` on all batches."""
    if case.path == "fit":
        return ours.fit(neural_network, case, Device(), np.asarray)
    X, _, y = case.data()
    net = ours.estimator(neural_network, case, shuffle=case.path == "epoch")
    net.random_state = np.random.RandomState(0)  # an integer, so that each call of partial_fit draws the same order
    classes = {} if case.hidden == "sigmoid" else {"classes": np.unique(y)}
    net.partial_fit(X[: case.batch], y[: case.batch], **classes)  # makes the arrays
    first = case.layers(case.theta())
    for at, arrays in enumerate((net.coefs_, net.intercepts_)):
        for array, of_layer in zip(arrays, first, strict=True):
            array[...] = of_layer[at]
    del net._optimizer  # along with its slots: the next call makes a new one
    if case.path == "predict":
        return of_outputs(net.predict_proba, case.batches(X), np.linalg.norm, Device())
    # scikit-learn's squared error is the mean over the outputs too; its gradient is not.
    outputs = case.widths[-1] if case.hidden == "sigmoid" else 1

    def numbers() -> list[float]:
        layers = zip(net.coefs_, net.intercepts_, strict=True)
        gone = [a - b for new, old in zip(layers, first, strict=True) for a, b in zip(new, old, strict=True)]
        return [net.loss_ * outputs, float(np.sqrt(sum(np.vdot(d, d) for d in gone)))]

    return Contender(lambda: net.partial_fit(X, y), numbers, case.steps, Device())
