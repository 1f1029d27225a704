"""A step inside training beside its matrix products alone, and beside scikit-learn's.

    python bench/step_ratio.py [--net 512] [--optimizer GradientDescent] [--rounds 31] [--no-sklearn] [--backend numpy]

A round is one epoch of several steps each, in turn: of the products, of ``xpnet.epochs``, of ``xpnet.MLPClassifier``'s
``fit``, and of scikit-learn's ``fit`` on the same data with the same settings. All ratios are per step.
"""

import argparse
import statistics
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from machine import description
from nets import NETS, OPTIMIZERS, Limit, Net, wait_for
from paired import ROUNDS, interleave, noise, paired_ratio
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier as ScikitLearns

import xpnet
from xpnet import BackendUnavailableError, epochs, get_backend
from xpnet.backends import Backend

SOLVERS = {
    "GradientDescent": {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False},
    "Momentum": {"solver": "sgd", "momentum": 0.9, "nesterovs_momentum": True},
    "Adam": {"solver": "adam"},
}
"""scikit-learn's names for the same rules."""


def epoch_of_xpnet(net: Net, optimizer: str, backend: Backend) -> Callable[[], Any]:
    """The next epoch of ``epochs``: shuffle, gather, step, add up the cost, check the state."""
    X, Y, _ = net.data(net.steps, backend)
    model, rng = net.model(), np.random.default_rng(0)
    state = model.initial(rng, net.widths[0], OPTIMIZERS[optimizer])
    training, wait = epochs(model, state, X, Y, batch_size=net.batch, rng=rng, backend=backend), wait_for(backend)

    def epoch():
        next(training)
        wait()

    return epoch


def epoch_of_products(net: Net, backend: Backend) -> Callable[[], None]:
    """As many times the products of a step as an epoch has steps."""
    limit, wait = Limit(net, backend), wait_for(backend)

    def epoch():
        with backend.active():
            for _ in range(net.steps):
                limit.step()
            wait()

    return epoch


class EpochOfFit:
    """One epoch of an estimator's own ``fit``, which runs in a thread and is held back after each epoch.

    ``held`` is the method that ``fit`` calls once an epoch. Validation and initialisation belong to no epoch.
    """

    def __init__(self, estimator: type, held: str, settings: dict[str, Any], X: Any, y: Any) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        fit_epochs = self

        def hold(self, *arguments):
            result = getattr(super(Held, self), held)(*arguments)
            fit_epochs._done.release()
            fit_epochs._go.acquire()
            return result

        Held = type(estimator.__name__, (estimator,), {held: hold})
        self._fit = lambda: Held(**settings).fit(X, y)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        self._go.acquire()
        try:
            with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
                self._fit()
            self._error = RuntimeError("fit ended before the last round")
        except BaseException as error:
            self._error = error
        self._done.release()

    def __call__(self) -> None:
        """Let the fit go on until its next epoch has ended."""
        self._go.release()
        self._done.acquire()
        if self._error is not None:
            raise self._error


def settings(net: Net, optimizer: str, rounds: int) -> dict[str, Any]:
    """The same net and rule for either library's MLPClassifier, which never stops by itself."""
    return {
        "hidden_layer_sizes": net.widths[1:-1],
        "activation": "relu",
        "alpha": 1e-4,
        "batch_size": net.batch,
        "learning_rate_init": OPTIMIZERS[optimizer].learning_rate,
        "max_iter": 10 * rounds + 100,
        "n_iter_no_change": 10 * rounds + 100,
        "random_state": 0,
        **SOLVERS[optimizer],
    }


def epoch_of_fit(net: Net, optimizer: str, backend: Backend, rounds: int) -> Callable[[], None]:
    """One epoch of ``xpnet.MLPClassifier.fit``."""
    X, _, y = net.data(net.steps, backend)
    of_fit, wait = (
        EpochOfFit(xpnet.MLPClassifier, "_after_epoch", settings(net, optimizer, rounds), X, y),
        wait_for(backend),
    )

    def epoch():
        of_fit()
        wait()

    return epoch


def epoch_of_scikit_learn(net: Net, optimizer: str, rounds: int) -> Callable[[], None]:
    """One epoch of ``sklearn.neural_network.MLPClassifier.fit``, on the host."""
    X, _, y = net.data(net.steps, get_backend("numpy"))
    return EpochOfFit(ScikitLearns, "_update_no_improvement_count", settings(net, optimizer, rounds), X, y)


def measure(net: Net, optimizer: str, backend: Backend, rounds: int, with_sklearn: bool) -> str:
    """One line of the table."""
    contenders = [
        epoch_of_products(net, backend),
        epoch_of_xpnet(net, optimizer, backend),
        epoch_of_fit(net, optimizer, backend, rounds),
    ]
    if with_sklearn:
        contenders.append(epoch_of_scikit_learn(net, optimizer, rounds))
    limit, step, in_fit, *sklearns = interleave(*contenders, rounds=rounds)
    ratio, bar = paired_ratio(step, limit), net.bar if optimizer == "GradientDescent" else None
    cells = [
        str(net),
        optimizer,
        str(ratio),
        "" if bar is None else f"{bar:.2f} {'met' if ratio.high <= bar else 'MISSED'}",
        str(paired_ratio(in_fit, limit)),
        *(str(paired_ratio(sklearn, limit)) for sklearn in sklearns),
        *(str(paired_ratio(in_fit, sklearn)) for sklearn in sklearns),
        *(f"{1e3 * statistics.median(seconds) / net.steps:.2f}" for seconds in (step, limit)),
        f"{noise(limit):.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def head(with_sklearn: bool) -> str:
    """The table's first two lines."""
    of_sklearn = ["scikit-learn's fit / products", "fit / scikit-learn's fit"] if with_sklearn else []
    columns = ["net @ batch", "optimiser", "epochs / products", "bar", "fit / products", *of_sklearn]
    columns += ["ms a step", "ms its products", "noise"]
    return f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"


def main() -> None:
    """Print the table, line by line as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=NETS, action="append")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, action="append")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--no-sklearn", action="store_true")
    parser.add_argument("--backend", default="numpy")
    given = parser.parse_args()
    try:
        backend = get_backend(given.backend)
    except (BackendUnavailableError, ValueError) as error:
        sys.exit(f"--backend: {error}")
    print(f"{description()}; xpnet {xpnet.__version__} on {backend.name}; {given.rounds} rounds\n")
    print(head(not given.no_sklearn), flush=True)
    for name in given.net or NETS:
        for optimizer in given.optimizer or OPTIMIZERS:
            print(measure(NETS[name], optimizer, backend, given.rounds, not given.no_sklearn), flush=True)


if __name__ == "__main__":
    main()
