"""``xpnet train``: a table in; a model, its held-out score and its loss curve out."""

import argparse
import time
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from ..estimators import MLPClassifier, MLPRegressor
from ..inspection.displays.loss_curve import plot_loss_curve
from ..inspection.pipelines import Opened, opened
from ..saving import save
from ..training import DivergedError
from .backend_choice import computing_on
from .console import Console, note
from .held_out import Split, split
from .output_files import model_and_curve
from .progress import Show, progress
from .scores import held_out_score
from .task import as_labels, as_targets, decide_task
from .training_data import training_data


def run(args: argparse.Namespace) -> int:
    """Run the command; a ValueError says what is wrong with its arguments or files."""
    console = Console(args.quiet)
    place, curve = model_and_curve(args.out, args.data)
    with computing_on(args.backend) as (backend, why):
        data = training_data(args.data, args.target, args.drop)
        name = ", ".join(map(repr, data.target_names))
        task, reason = decide_task(data.y, args.task, name)
        is_classification, name = task == "classification", f"the target {name}"
        y = as_labels(data.y, name) if is_classification else as_targets(data.y, name)
        samples = split(data.X, y, name, is_classification, args)
        model = _unfitted(args, is_classification, len(samples.y))
        console.line("data", f"{data.description}: {len(samples.y)} to train on, {len(samples.y_held_out)} held out")
        console.line("task", f"{task} ({reason})")
        console.line("backend", f"{backend} ({why})")
        console.line("network", _network(args, samples, is_classification))
        seconds, interrupted = _fit(model, samples, args, console)
        score = held_out_score(model, samples.X_held_out, samples.y_held_out)
    save(model, place, target_names=data.target_names)
    plot_loss_curve(model, path=curve)
    console.line("held-out", f"{score}, trained in {seconds:.1f} s")
    console.line("wrote", f"{place} and {curve}")
    _say_next(console, args, place)
    return 130 if interrupted else 0


# --- the model


def _unfitted(args: argparse.Namespace, is_classification: bool, n: int) -> Pipeline | TransformedTargetRegressor:
    """The network and the scaling of its features, and of the target of a regression, for n samples."""
    size = args.batch_size or min(max(n // 50, 32), 200)
    kind, alpha = (MLPClassifier, 0.01) if is_classification else (MLPRegressor, 1.0)
    network = kind(
        hidden_layer_sizes=args.hidden,
        activation=args.activation,
        solver=args.solver,
        alpha=alpha if args.alpha is None else args.alpha,
        batch_size=size if size <= 0.8 * n else "auto",
        learning_rate_init=args.learning_rate,
        max_iter=args.epochs,
        random_state=args.seed,
        early_stopping=args.early_stopping,
    )
    model = Pipeline([("standardscaler", StandardScaler()), ("mlp", network)])
    if is_classification:
        return model
    return TransformedTargetRegressor(model, transformer=StandardScaler(), check_inverse=False)


def _network(args: argparse.Namespace, samples: Split, is_classification: bool) -> str:
    """The sizes of the network in words."""
    X, y = samples.X, samples.y
    outputs = y.shape[1] if y.ndim == 2 else 1
    if is_classification and y.ndim == 1 and (n_classes := len(np.unique(y))) > 2:
        outputs = n_classes
    sizes = [X.shape[1], *args.hidden, outputs]
    n = sum((before + 1) * after for before, after in pairwise(sizes))
    dtype = np.asarray(X[:1]).dtype
    return f"{' -> '.join(map(str, sizes))}, {n} parameters, {args.activation}, {args.solver}, {dtype}"


# --- training


class ShowEpochs:
    """A callback of scikit-learn's protocol that shows each epoch."""

    def __init__(self, show: Show, model: Any, samples: Split) -> None:
        self.show, self.model, self.samples = show, model, samples

    def setup(self, estimator: Any, context: Any) -> None:
        """Do nothing: the display has begun."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Do nothing: the display ends with its own context."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Do nothing: an epoch is shown when it is over."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> None:
        """Show the epoch."""
        if fitted_estimator is not None:
            score = lambda: _score_while_training(self.model, fitted_estimator, self.samples)
            self.show(estimator.n_iter_, estimator.loss_, score)


def _score_while_training(model: Any, network: Any, samples: Split) -> tuple[str, float]:
    """The validation score of early stopping, or else the held-out score of the parameters reached."""
    name = "accuracy" if hasattr(network, "classes_") else "R^2"
    if network.validation_scores_:
        return f"validation {name}", network.validation_scores_[-1]
    outer = (model, model.regressor_) if hasattr(model, "regressor_") else (model,)
    X, y = Opened((*outer, network)).reached(samples.X_held_out, samples.y_held_out)
    return f"held-out {name}", network.score(X, y)


def _fit(model: Any, samples: Split, args: argparse.Namespace, console: Console) -> tuple[float, bool]:
    """Fit the model; the seconds it took, and whether Ctrl-C ended it."""
    pipeline = getattr(model, "regressor", model)
    with progress(console, args.epochs) as show, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pipeline[-1].set_callbacks(ShowEpochs(show, model, samples))
        start = time.perf_counter()
        try:
            model.fit(samples.X, samples.y)
        except DivergedError as error:
            raise ValueError(
                f"training diverged in epoch {error.epoch}: give a --learning-rate below {args.learning_rate:g}"
            ) from error
        seconds = time.perf_counter() - start
    network = opened(model).network
    network.set_callbacks()
    messages = [warning.message for warning in caught]
    interrupted = any("interrupted" in str(message) for message in messages)
    if interrupted and network.n_iter_ == 0:
        raise KeyboardInterrupt
    _say_why_it_ended(console, network, messages, interrupted)
    return seconds, interrupted


def _say_why_it_ended(console: Console, network: Any, messages: Sequence[Warning | str], interrupted: bool) -> None:
    """Print why training ended, and the warnings about anything else as notes."""
    unconverged = [message for message in messages if isinstance(message, ConvergenceWarning)]
    if interrupted:
        console.line("stopped", f"by Ctrl-C after {network.n_iter_} epochs; the model trained so far is kept")
    elif not unconverged:
        what = "validation score" if network.early_stopping else "training loss"
        console.line("stopped", f"after {network.n_iter_} epochs: the {what} no longer improves")
    elif network.n_iter_ >= network.max_iter:
        console.line("stopped", f"at --epochs {network.max_iter}, still improving: more epochs may help")
    else:
        kept = "the parameters of the best validation score are kept"
        console.line("stopped", f"after {network.n_iter_} epochs: training diverged, and {kept}")
    for message in messages:
        if message not in unconverged and "interrupted" not in str(message):
            note(" ".join(str(message).split()))


def _say_next(console: Console, args: argparse.Namespace, place: Path) -> None:
    """Print commands that may follow."""
    target = f" --target {args.target}" if args.target is not None else ""
    console.line("")
    console.line("next", f"python -m xpnet predict {place} {args.data}   (labels or values for a table, as CSV)")
    console.line("", f"python -m xpnet train {args.data}{target} --backend auto   (on a GPU if there is one)")
    if args.data == "digits":
        console.line("", "python -m xpnet train YOUR.csv --target COLUMN   (your own data)")
    console.line("", f"python -m xpnet info {place}   (what the file holds)")
