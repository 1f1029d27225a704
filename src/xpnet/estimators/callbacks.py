"""scikit-learn's callbacks, which are called at the beginning and end of a fit and its epochs, and may end it."""

from collections.abc import Callable
from typing import Any

from ..state import State


class Callbacks:
    """The callbacks of an estimator during one fit.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator that has the callbacks.
    X, y, sample_weight : as given to ``fit``
    reached : callable
        theta -> the attributes of the estimator with these parameters.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any, reached: Callable[[Any], dict]) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self.estimator, self.reached = estimator, reached
        self.given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        # One more than max_iter: L-BFGS may begin an iteration in which its line search fails.
        self.fit = estimator._init_callback_context(max_subtasks=estimator.max_iter + (estimator.solver == "lbfgs"))
        self.fit.call_on_fit_task_begin(**self.given)

    def begin_epoch(self, state: State) -> None:
        """Report that an epoch begins at this state."""
        self.epoch = self.fit.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(**self.given, reconstruction_attributes=lambda: self.reached(state.theta))

    def end_epoch(self, state: State) -> bool:
        """Report that it has led to this state. Returns whether a callback ends training."""
        reached = {"reconstruction_attributes": lambda: self.reached(state.theta)}
        return self.epoch.call_on_fit_task_end(**self.given, **reached)

    def end(self) -> None:
        """Report that training has ended."""
        self.fit.call_on_fit_task_end(**self.given)
