"""``xpnet train``: a table in; a model, its held-out score and its loss curve out."""

import argparse
import math
import time
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from ..estimators import MLPClassifier, MLPRegressor
from ..inspection.displays.curve import plot_loss_curve
from ..saving import ScaledNetwork, check_place, put_together, save
from ..training import DivergedError
from .console import Console, computing_on, note
from .data import Data, as_labels, as_targets, decide_task, training_data


def run(args: argparse.Namespace) -> int:
    """The whole command; errors are ValueErrors that explain themselves."""
    console = Console(args.quiet)
    place, curve = _places(args)
    with computing_on(args.backend) as (backend, why):
        data = training_data(args.data, args.target, args.drop)
        task, reason = decide_task(data.y, args.task, _quoted(data.target))
        job = _prepare(data, task, args)
        console.line("data", f"{data.about}: {len(job.rows[0])} to train on, {len(job.rows[1])} held out")
        console.line("task", f"{task} ({reason})")
        console.line("backend", f"{backend} ({why})")
        console.line("network", _described(job, args))
        mlp, seconds, interrupted = _fit(job, args, console)
        model = put_together(ScaledNetwork(mlp, job.features, job.target, ("standardscaler", "mlp"), data.y.ndim))
        result = _scored(model, data, job)
    save(model, place, target_names=data.target)
    plot_loss_curve(model, path=curve)
    console.line("held-out", f"{result}, trained in {seconds:.1f} s")
    console.line("wrote", f"{place} and {curve}")
    _say_next(console, args, place)
    return 130 if interrupted else 0


def _places(args: argparse.Namespace) -> tuple[Path, Path]:
    """The model file and the picture, in a folder that is there; decided before any work is done."""
    place = Path(args.out if args.out is not None else f"{Path(args.data).stem}.safetensors")
    if place.suffix != ".safetensors":
        raise ValueError(f"--out is {args.out!r}, and a model file ends in .safetensors: add the ending")
    curve = place.with_name(f"{place.stem}.curve.png")
    for path in (place, curve):
        check_place(path)
    return place, curve


# --- what is trained on


@dataclass(frozen=True)
class Job:
    """Scaled data, split, and the estimator for it."""

    kind: type
    rows: list[np.ndarray]
    features: Any
    target: Any
    X: list[np.ndarray]
    y: list[np.ndarray]
    params: dict[str, Any]


def _prepare(data: Data, task: str, args: argparse.Namespace) -> Job:
    is_classification = task == "classification"
    name = "the target " + _quoted(data.target)
    y = (as_labels if is_classification else as_targets)(data.y, name)
    rows = _split(y, is_classification, name, args)
    take = data.X.iloc if hasattr(data.X, "iloc") else data.X
    features = StandardScaler().fit(take[rows[0]])
    X = [features.transform(take[part]) for part in rows]
    targets = [y[part] for part in rows]
    scaler = None
    if not is_classification:
        scaler = StandardScaler().fit(_column(targets[0]))
        targets = [scaler.transform(_column(part)).reshape(part.shape) for part in targets]
    kind = MLPClassifier if is_classification else MLPRegressor
    return Job(kind, rows, features, scaler, X, targets, _params(args, is_classification, len(rows[0])))


def _column(y: np.ndarray) -> np.ndarray:
    return y.reshape(len(y), -1)


def _split(y: np.ndarray, is_classification: bool, name: str, args: argparse.Namespace) -> list[np.ndarray]:
    """Rows to train on and rows held out; each class in both where there are labels."""
    n, labels = len(y), y if is_classification and y.ndim == 1 else None
    n_held_out = math.ceil(args.test_size * n)
    needed, most = 2, n - 2
    if labels is not None:
        classes, counts = np.unique(labels, return_counts=True)
        _check_classes(name, classes, counts, least=3 if args.early_stopping else 2)
        needed, most = len(classes), n - len(classes)
    if args.early_stopping:
        most = min(most, n - 20)  # a tenth of the rest is what early stopping looks at
    if not needed <= n_held_out <= most:
        raise ValueError(
            f"{n} samples with --test-size {args.test_size:g} are too few: {n_held_out} would be held out, and at "
            f"least {needed} and at most {most} can be; add samples, or change --test-size"
            + (" or leave out --early-stopping" if args.early_stopping else "")
        )
    return train_test_split(np.arange(n), test_size=n_held_out, stratify=labels, random_state=args.seed)


def _check_classes(name: str, classes: np.ndarray, counts: np.ndarray, least: int) -> None:
    if len(classes) < 2:
        raise ValueError(f"{name} has only one class, {classes[0]}: at least two are needed; choose another target")
    if counts.min() < least:
        fix = ", or use --task regression" if classes.dtype.kind in "iu" else ""
        raise ValueError(
            f"{name} has {counts.min()} sample(s) of the class {classes[counts.argmin()]}, and {least} are "
            f"needed: add samples, or remove that class{fix}"
        )


def _params(args: argparse.Namespace, is_classification: bool, n: int) -> dict[str, Any]:
    size = args.batch_size or min(max(n // 50, 32), 200)
    alpha = args.alpha if args.alpha is not None else (0.01 if is_classification else 1.0)
    return {
        "hidden_layer_sizes": args.hidden,
        "activation": args.activation,
        "solver": args.solver,
        "alpha": alpha,
        "batch_size": size if size <= 0.8 * n else "auto",
        "learning_rate_init": args.learning_rate,
        "max_iter": args.epochs,
        "random_state": args.seed,
        "early_stopping": args.early_stopping,
    }


# --- training


class ShowEpochs:
    """A callback of scikit-learn's protocol that moves the progress bar."""

    def __init__(self, progress: Any, job: Job) -> None:
        self.progress, self.job = progress, job

    def setup(self, estimator: Any, context: Any) -> None:
        """Nothing: the bar is there already."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Nothing: the bar ends with its own block."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Nothing: an epoch is shown when it is over."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> None:
        """Show the epoch."""
        if fitted_estimator is not None:
            self.progress.show(
                estimator.n_iter_, estimator.loss_, lambda: _score_while_training(fitted_estimator, self.job)
            )


def _fit(job: Job, args: argparse.Namespace, console: Console) -> tuple[Any, float, bool]:
    """The fitted network, the seconds it took, and whether Ctrl-C ended it."""
    mlp = job.kind(**job.params)
    with console.progress(args.epochs) as progress:
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                mlp.set_callbacks(ShowEpochs(progress, job)).fit(job.X[0], job.y[0])
            except DivergedError as error:
                raise ValueError(
                    f"training diverged in epoch {error.epoch}: give a --learning-rate below {args.learning_rate:g}"
                ) from error
        seconds = time.perf_counter() - start
    mlp.set_callbacks()
    interrupted = any("interrupted" in str(warning.message) for warning in caught)
    if interrupted and mlp.n_iter_ == 0:
        raise KeyboardInterrupt
    _say_why_it_ended(mlp, caught, interrupted, console)
    return mlp, seconds, interrupted


def _score_while_training(mlp: Any, job: Job) -> tuple[str, float]:
    """The validation score of early stopping, or else the held-out score of the parameters reached."""
    name = "accuracy" if job.target is None else "R^2"
    if mlp.validation_scores_:
        return f"validation {name}", mlp.validation_scores_[-1]
    return f"held-out {name}", mlp.score(job.X[1], job.y[1])


def _say_why_it_ended(mlp: Any, caught: list, interrupted: bool, console: Console) -> None:
    what = "validation score" if mlp.early_stopping else "training loss"
    converged = not any(type(warning.message).__name__ == "ConvergenceWarning" for warning in caught)
    if interrupted:
        console.line("stopped", f"by Ctrl-C after {mlp.n_iter_} epochs; the model trained so far is kept")
    elif converged:
        console.line("stopped", f"after {mlp.n_iter_} epochs: the {what} no longer improves")
    else:
        console.line("stopped", f"at --epochs {mlp.max_iter}, still improving: more epochs may help")
    for warning in caught:
        if "interrupted" not in str(warning.message) and type(warning.message).__name__ != "ConvergenceWarning":
            note(" ".join(str(warning.message).split()))


# --- what came of it


def _scored(model: Any, data: Data, job: Job) -> str:
    rows = job.rows[1]
    X = data.X.iloc[rows] if hasattr(data.X, "iloc") else data.X[rows]
    if job.target is None:
        y = job.y[1]
        right = (model.predict(X) == y).reshape(len(y), -1).all(axis=1)
        return f"accuracy {100 * right.mean():.2f} % ({right.sum()} of {len(y)} right)"
    y = data.y[rows].astype(np.float64)
    error = root_mean_squared_error(y, model.predict(X))
    spread = np.std(y, axis=0).mean()
    return f"R^2 {model.score(X, y):.4f}, typical error (RMSE) {error:.4g} where the target spreads by {spread:.4g}"


def _say_next(console: Console, args: argparse.Namespace, place: Path) -> None:
    data = args.data
    target = f" --target {args.target}" if args.target is not None else ""
    console.line("")
    console.line("next", f"python -m xpnet predict {place} {data}   (labels or values for a table, as CSV)")
    console.line("", f"python -m xpnet train {data}{target} --backend auto   (on a GPU where there is one)")
    if data == "digits":
        console.line("", "python -m xpnet train YOUR.csv --target COLUMN   (your own data)")
    console.line("", f"python -m xpnet info {place}   (what the file holds)")


def _quoted(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _described(job: Job, args: argparse.Namespace) -> str:
    outputs = job.y[0].shape[1] if job.y[0].ndim == 2 else 1
    if job.target is None and job.y[0].ndim == 1:
        n_classes = len(np.unique(job.y[0]))
        outputs = n_classes if n_classes > 2 else 1
    sizes = [job.X[0].shape[1], *args.hidden, outputs]
    n = sum((before + 1) * after for before, after in pairwise(sizes))
    return f"{' -> '.join(map(str, sizes))}, {n} parameters, {args.activation}, {args.solver}, {job.X[0].dtype}"
