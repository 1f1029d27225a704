"""Peak memory of a fit by xpnet and by scikit-learn with the same settings, each in a process of its own.

    python bench/memory.py [--case digits] [--dtype float32]

Linux and macOS: ``ru_maxrss`` is a process's highest resident memory so far. It is read after the imports, after the
data is there, and after the fit. This module imports nothing large itself: a child begins with its parent's figure.
"""

import argparse
import json
import resource
import subprocess
import sys
from typing import Any

CASES: dict[str, dict[str, Any]] = {
    "digits": {"hidden": (100,), "batch": 200, "epochs": 20},
    "60000x784-256-10": {"samples": 60000, "features": 784, "classes": 10, "hidden": (256,), "batch": 200, "epochs": 2},
    "2048-2048-2048-1000": {
        "samples": 6144,
        "features": 2048,
        "classes": 1000,
        "hidden": (2048, 2048),
        "batch": 2048,
        "epochs": 2,
    },
}
LIBRARIES = ["xpnet", "scikit-learn"]
SOLVERS: dict[str, dict[str, Any]] = {
    "sgd": {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False},
    "adam": {"solver": "adam"},
}

SMALLEST = 4.0
"""MiB below which a ratio would be one of two rounding errors."""


def peak() -> float:
    """MiB, the highest so far."""
    kilo = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / kilo


def fit(case: str, library: str, solver: str) -> dict[str, float]:
    """In this process: the peaks after the imports, the data and the fit."""
    import warnings

    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    if library == "xpnet":
        from xpnet import MLPClassifier
    imports = peak()
    settings = CASES[case]
    if case == "digits":
        X, y = load_digits(return_X_y=True)
        X = X.astype(np.float32)
    else:
        shape = settings["samples"], settings["features"]
        X = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        y = np.arange(shape[0]) % settings["classes"]
    data = peak()
    net = MLPClassifier(
        settings["hidden"],
        batch_size=settings["batch"],
        max_iter=settings["epochs"],
        n_iter_no_change=settings["epochs"],
        random_state=0,
        **SOLVERS[solver],
    )
    warnings.simplefilter("ignore", ConvergenceWarning)
    net.fit(X, y)
    return {"imports": imports, "data": data, "fit": peak()}


def above(peaks: dict[str, float]) -> list[float]:
    """The fit's peak: in all, above the imports, above the imports and the data."""
    return [peaks["fit"], peaks["fit"] - peaks["imports"], peaks["fit"] - peaks["data"]]


def in_own_process(case: str, library: str, solver: str) -> dict[str, float]:
    """``fit`` in a fresh interpreter."""
    command = [sys.executable, __file__, "--one", case, library, solver]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the table, line by line as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--one", nargs=3, metavar=("CASE", "LIBRARY", "SOLVER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(fit(*given.one)))
        return
    print("Peak resident memory in MiB: in all, above the imports, and above the imports and the data\n")
    columns = ["case", "solver", "library", "in all", "above imports", "above data"]
    columns += ["in all / scikit-learn's", "above data / scikit-learn's"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)
    for case in given.case or CASES:
        for solver in SOLVERS:
            peaks = {library: in_own_process(case, library, solver) for library in LIBRARIES}
            theirs = above(peaks["scikit-learn"])
            for library, of_library in peaks.items():
                ours = above(of_library)
                ratios = [f"{ours[i] / theirs[i]:.2f}" if theirs[i] >= SMALLEST else "" for i in (0, 2)]
                cells = [case, solver, library, *(f"{mib:.0f}" for mib in ours), *ratios]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
