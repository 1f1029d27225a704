"""Whole fits by xpnet and by scikit-learn: the same data, settings and number of epochs, in turn.

    python bench/fit_ratio.py [--case digits] [--rounds 15]

Everything is default but ``max_iter`` and ``n_iter_no_change``, which make both run the same epochs, and the hidden
layers of the last case. Validation, initial parameters and the estimator's own bookkeeping are all within the time.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
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


class Case(NamedTuple):
    """An estimator, its data, and how many epochs a fit has."""

    estimator: str
    data: Callable[[], Data]
    n_epochs: int
    settings: dict[str, Any]


def digits() -> Data:
    """1797 x 64, 10 classes."""
    return load_digits(return_X_y=True)


def iris() -> Data:
    """150 x 4, 3 classes."""
    return load_iris(return_X_y=True)


def breast_cancer() -> Data:
    """569 x 30, 2 classes."""
    return load_breast_cancer(return_X_y=True)


def standardised() -> Data:
    """Breast cancer's features at mean 0 and standard deviation 1."""
    X, y = breast_cancer()
    return StandardScaler().fit_transform(X), y


def regression() -> Data:
    """20000 x 100, one target."""
    return make_regression(20000, 100, random_state=0)


def images() -> Data:
    """60000 x 784 in float32, 10 classes."""
    X = np.random.default_rng(0).standard_normal((60000, 784), dtype=np.float32)
    return X, np.arange(60000) % 10


CASES = {
    "digits": Case("MLPClassifier", digits, 200, {}),
    "iris": Case("MLPClassifier", iris, 200, {}),
    "breast cancer": Case("MLPClassifier", breast_cancer, 200, {}),
    "breast cancer, standardised": Case("MLPClassifier", standardised, 200, {}),
    "20000 x 100 regression": Case("MLPRegressor", regression, 10, {}),
    "60000 x 784 -> 256 -> 10": Case("MLPClassifier", images, 1, {"hidden_layer_sizes": (256,)}),
}


def fit(library: Any, case: Case, X: np.ndarray, y: np.ndarray) -> Any:
    """A whole fit of exactly ``n_epochs`` epochs."""
    epochs = {"max_iter": case.n_epochs, "n_iter_no_change": case.n_epochs}
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        return getattr(library, case.estimator)(random_state=0, **epochs, **case.settings).fit(X, y)


def measure(name: str, rounds: int) -> str:
    """One line of the table."""
    case = CASES[name]
    X, y = case.data()
    ours, theirs = fit(xpnet, case, X, y), fit(scikit_learns, case, X, y)
    apart = max(float(np.max(np.abs(a - b))) for a, b in zip(ours.coefs_, theirs.coefs_, strict=True))
    of_ours, of_theirs = [], []
    for _ in range(rounds):
        for library, times in ((xpnet, of_ours), (scikit_learns, of_theirs)):
            start = time.perf_counter()
            fit(library, case, X, y)
            times.append(time.perf_counter() - start)
    seconds = [f"{statistics.median(times):.3f}" for times in (of_ours, of_theirs)]
    cells = [name, str(case.n_epochs), str(paired_ratio(of_theirs, of_ours)), *seconds, f"{apart:.0e}"]
    return f"| {' | '.join([*cells, f'{noise(of_ours):.0%}, {noise(of_theirs):.0%}'])} |"


def main() -> None:
    """Print the table, line by line as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    print(f"{processor()}; xpnet {xpnet.__version__}; {given.rounds} rounds\n")
    columns = ["data", "epochs", "scikit-learn's fit / xpnet's", "s, xpnet", "s, scikit-learn"]
    columns += ["coefficients apart", "noise"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)
    for name in given.case or CASES:
        print(measure(name, given.rounds), flush=True)


if __name__ == "__main__":
    main()
