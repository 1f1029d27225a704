"""Compares fits and other calls of xpnet's and scikit-learn's estimators on the same data, settings and epochs.

    python bench/estimators.py [--case digits] [--rounds 31]

All settings are defaults except those in the name of a case, and ``max_iter`` and ``n_iter_no_change``, so that both
run the same epochs. The time includes validation, initial parameters and the estimator's own bookkeeping.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from machine import processor
from paired import noise, paired_ratio
from sklearn import neural_network as scikit_learns
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

import xpnet

Data = tuple[np.ndarray, np.ndarray]


digits = partial(load_digits, return_X_y=True)  # 1797 x 64, 10 classes
iris = partial(load_iris, return_X_y=True)  # 150 x 4, 3 classes
breast_cancer = partial(load_breast_cancer, return_X_y=True)  # 569 x 30, 2 classes


def standardised() -> Data:
    """The breast cancer data, whose features have mean 0 and standard deviation 1."""
    X, y = breast_cancer()
    return StandardScaler().fit_transform(X), y


def regression() -> Data:
    """20000 x 100, one target."""
    return make_regression(20000, 100, random_state=0)


def images() -> Data:
    """60000 x 784 in float32, 10 classes."""
    X = np.random.default_rng(0).standard_normal((60000, 784), dtype=np.float32)
    return X, np.arange(60000) % 10


class Case(NamedTuple):
    """A fit to these data; or, if there is a ``call``, ``call(estimator, X, y)`` on a fitted estimator.

    A call is timed ``repeats`` times in each round, on this number of rows; the data are repeated if there are fewer.
    """

    data: Callable[[], Data]
    n_epochs: int
    settings: dict[str, Any]
    estimator: str = "MLPClassifier"
    call: Callable[[Any, np.ndarray, np.ndarray], Any] | None = None
    n_rows: int = 0
    dtype: str | None = None
    repeats: int = 1


def partial_fit(mlp: Any, X: np.ndarray, y: np.ndarray) -> None:
    """One more pass."""
    mlp.partial_fit(X, y)


def predict(mlp: Any, X: np.ndarray, _: np.ndarray) -> None:
    """The classes of all rows."""
    mlp.predict(X)


CASES = {
    "fit digits": Case(digits, 200, {}),
    "fit iris": Case(iris, 200, {}),
    "fit iris, few epochs": Case(iris, 3, {}),
    "fit breast cancer": Case(breast_cancer, 200, {}),
    "fit breast cancer, standardised": Case(standardised, 200, {}),
    "fit breast cancer, early stopping": Case(breast_cancer, 100, {"early_stopping": True}),
    "fit iris, L-BFGS": Case(iris, 200, {"solver": "lbfgs"}),
    "fit 20000 x 100 regression": Case(regression, 10, {}, "MLPRegressor"),
    "fit 60000 x 784 -> 256 -> 10, float32": Case(images, 1, {"hidden_layer_sizes": (256,)}),
    "partial_fit of 10 rows": Case(digits, 5, {}, call=partial_fit, n_rows=10, repeats=60),
    "partial_fit of 200 rows": Case(digits, 5, {}, call=partial_fit, n_rows=200, repeats=40),
    "predict 1 row": Case(digits, 5, {}, call=predict, n_rows=1, repeats=200),
    "predict 36,000 rows": Case(digits, 5, {}, call=predict, n_rows=36_000),
    "predict 100,000 rows": Case(digits, 5, {}, call=predict, n_rows=100_000),
    "predict 100,000 rows, float32": Case(digits, 5, {}, call=predict, n_rows=100_000, dtype="float32"),
}


def fit(library: Any, case: Case, X: np.ndarray, y: np.ndarray) -> Any:
    """A fit of exactly ``n_epochs`` epochs."""
    epochs = {"max_iter": case.n_epochs, "n_iter_no_change": case.n_epochs}
    return getattr(library, case.estimator)(random_state=0, **epochs, **case.settings).fit(X, y)


def measure(name: str, rounds: int) -> str:
    """One line of the table."""
    case = CASES[name]
    X, y = case.data()
    X = X.astype(case.dtype) if case.dtype else X
    ours, theirs = fit(xpnet, case, X, y), fit(scikit_learns, case, X, y)
    apart = max(float(np.max(np.abs(a - b))) for a, b in zip(ours.coefs_, theirs.coefs_, strict=True))
    if case.call is None:
        runs = [lambda library=library: fit(library, case, X, y) for library in (xpnet, scikit_learns)]
    else:
        at = np.arange(case.n_rows) % len(y)
        rows, labels = X[at], y[at]
        runs = [lambda mlp=mlp: case.call(mlp, rows, labels) for mlp in (ours, theirs)]
    times: list[list[float]] = [[], []]
    for k in range(-1, rounds):  # the first round is not counted
        for which in ((0, 1), (1, 0))[k % 2]:
            start = time.perf_counter()
            for _ in range(case.repeats):
                runs[which]()
            times[which] += [(time.perf_counter() - start) / case.repeats] * (k >= 0)
    of_ours, of_theirs = times
    seconds = [f"{statistics.median(each):.2g}" for each in times]
    cells = [name, str(case.n_epochs), str(paired_ratio(of_theirs, of_ours)), *seconds, f"{apart:.0e}"]
    return f"| {' | '.join([*cells, f'{noise(of_ours):.0%}, {noise(of_theirs):.0%}'])} |"


def main() -> None:
    """Print the table, line by line as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--rounds", type=int, default=31)
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{processor()}; xpnet {xpnet.__version__}; {given.rounds} rounds\n")
    columns = ["what", "epochs of the fit", "scikit-learn's time / xpnet's", "s, xpnet", "s, scikit-learn"]
    columns += ["coefficients apart", "noise"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)
    for name in given.case or CASES:
        print(measure(name, given.rounds), flush=True)


if __name__ == "__main__":
    main()
