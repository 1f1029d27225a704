"""xpnet's contenders, which call its public functions, so that they do not depend on how a step is implemented."""

import functools
import importlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
from cases import OPTIMIZERS, Case
from contender import Contender, Device, of_outputs
from limit import FIT_EPOCHS, steps_of

import xpnet
from xpnet import epochs, get_backend, initial_state, step as step_module
from xpnet.backends import Backend, to_numpy
from xpnet.equations.layers import Training


def device_of(backend: Backend) -> Device:
    """NumPy has finished when a call returns; on a GPU wait for the whole device, including captured streams."""
    if backend.name == "numpy":
        return Device()
    import cupy

    return Device(
        wait=backend.device.synchronize,
        event=lambda: cupy.cuda.get_current_stream().record(),
        elapsed=lambda first, last: cupy.cuda.get_elapsed_time(first, last) / 1e3,
    )


def about() -> str:
    """The version. The estimators, which import scikit-learn, are imported too."""
    importlib.import_module("xpnet.estimators")
    return f"xpnet {xpnet.__version__}"


def forget() -> None:
    """Nothing to free: this module keeps nothing."""


def build(case: Case, name: str, device: str) -> Contender:
    """The case's path by xpnet; the device is "cpu" or a backend's name."""
    backend = get_backend(device)
    if case.path == "fit":
        return fit(xpnet, case, device_of(backend), backend.asarray)
    kinds = {"forward": _forward, "backward": _backward, "predict": _predict, "update": _update}
    return kinds.get(case.path, _training)(case, backend)


def _norm(a: Any) -> float:
    return float(np.linalg.norm(to_numpy(a).astype(np.float64)))


def _training(case: Case, backend: Backend) -> Contender:
    X, Y, _ = case.data()
    return _passes(case, backend, case.model(), backend.asarray(X), backend.asarray(Y), case.batch)


def _passes(case: Case, backend: Backend, model: Any, X: Any, Y: Any, batch: int) -> Contender:
    """Passes of ``xpnet.epochs``; the numbers are the cost of a pass and the distance from the initial parameters."""
    theta = backend.asarray(case.theta())
    state, cost, clock = initial_state(theta, OPTIMIZERS[case.optimizer]), 0.0, LaunchClock()
    settings = {"batch_size": batch, "shuffle": case.path == "epoch", "rng": np.random.default_rng(2)}
    with mock.patch.object(step_module, "training_steps", clock.timed(step_module.training_steps)):
        passes = epochs(model, state, X, Y, backend=backend, **settings)

    def run() -> None:
        nonlocal state, cost
        with clock:
            state, cost = next(passes)

    def numbers() -> list[float]:
        return [float(cost), _norm(state.theta - theta)]

    return Contender(run, numbers, case.steps, device_of(backend), launching=clock.read)


class LaunchClock:
    """The seconds of a pass until the last step has been launched; then ``epochs`` waits for the cost."""

    def __init__(self) -> None:
        self.start = self.last = self.spent = 0.0

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.spent += self.last - self.start

    def read(self) -> float:
        """The seconds since the last reading."""
        spent, self.spent = self.spent, 0.0
        return spent

    def timed(self, training_steps: Callable) -> Callable:
        """``training_steps`` with epochs that record the time when the last step has been launched.

        On a GPU that is before the sums of the epoch are read, elsewhere it is the end of the epoch.
        """

        def timed_steps(*arguments: Any, **settings: Any) -> Any:
            steps = training_steps(*arguments, **settings)
            name = "read" if hasattr(steps, "read") else "epoch"
            original = getattr(steps, name)

            @functools.wraps(original)
            def timed(*given: Any) -> Any:
                self.last = time.perf_counter()
                result = original(*given)
                self.last = self.last if name == "read" else time.perf_counter()
                return result

            setattr(steps, name, timed)
            return steps

        return timed_steps


@dataclass(frozen=True, eq=False)
class KnownGradient:
    """A model whose gradient is given, so that its step consists of the update."""

    model: Any
    known: tuple

    def sums(self, *batch: Any) -> tuple:
        """The given gradient, for every batch."""
        return self.known

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def _update(case: Case, backend: Backend) -> Contender:
    """``epochs`` with batches of one row, whose gradient is given."""
    model = case.model()
    gradient = backend.asarray(case.gradient())
    X, Y = (backend.asarray(A[: case.steps]) for A in case.data()[:2])
    known = KnownGradient(model, (gradient, backend.xp.sum(X[:1, :1] * 0.0), 1.0))
    return _passes(case, backend, known, X, Y, 1)


def _batches(case: Case, backend: Backend) -> tuple[list, list]:
    X, Y = ([backend.asarray(rows) for rows in case.batches(array)] for array in case.data()[:2])
    return X, Y


def _forward(case: Case, backend: Backend) -> Contender:
    model = case.model()
    params = model.layout(case.widths[0]).unpack(backend.asarray(case.theta()))
    forward = lambda X: model.network.forward(params, X, train=Training())[0]
    return of_outputs(forward, _batches(case, backend)[0], _norm, device_of(backend))


def _backward(case: Case, backend: Backend) -> Contender:
    model = case.model()
    layout = model.layout(case.widths[0])
    params, waiting, g = layout.unpack(backend.asarray(case.theta())), [], []
    Xs, Ys = _batches(case, backend)

    def before() -> None:
        waiting[:] = [model.network.forward(params, X, train=Training()) for X in Xs]

    def run() -> None:
        nonlocal g
        for i, Y in enumerate(Ys):
            Z, backward = waiting[i]
            waiting[i] = None  # as in a step, the arrays that a layer keeps are freed once they have been used
            g = layout.pack(backward(model.criterion(Z, Y)[2]))

    def numbers() -> list[float]:
        return [_norm(g) / case.batch]

    return Contender(run, numbers, case.steps, device_of(backend), before)


def _predict(case: Case, backend: Backend) -> Contender:
    model, theta = case.model(), backend.asarray(case.theta())
    return of_outputs(partial(model.predict, theta), _batches(case, backend)[0], _norm, device_of(backend))


def estimator(library: Any, case: Case, **settings: Any) -> Any:
    """The net as an MLPClassifier or MLPRegressor of xpnet or scikit-learn, which have the same settings."""
    is_adam = case.optimizer == "Adam"
    rule = {"solver": "adam"} if is_adam else {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False}
    kind = library.MLPRegressor if case.hidden == "sigmoid" else library.MLPClassifier
    return kind(
        hidden_layer_sizes=case.widths[1:-1],
        activation="logistic" if case.hidden == "sigmoid" else "relu",
        alpha=case.l2,
        batch_size=case.batch,
        learning_rate_init=OPTIMIZERS[case.optimizer].learning_rate,
        random_state=0,
        **rule,
        **settings,
    )


def fit(library: Any, case: Case, device: Device, asarray: Callable) -> Contender:
    """A call of ``fit``: validation, initialization and FIT_EPOCHS epochs."""
    X, _, y = case.data()
    X, net = asarray(X), estimator(library, case, max_iter=FIT_EPOCHS)

    def run() -> None:
        with warnings.catch_warnings(action="ignore"):  # two epochs don't converge
            net.fit(X, y)

    return Contender(run, lambda: [float(net.loss_)], steps_of(case), device)
