"""What a fitted estimator shows of itself: a step explained, its layers as a table, its network as a picture."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..equations.losses import Loss
from ..equations.schedules import Schedule
from ..model import Model
from ..state import State


class Inside:
    """``explain_step``, ``summary`` and ``to_svg``."""

    solver: str
    random_state: Any
    clip_norm: float | None
    _as_trained: Callable[..., tuple]
    _state: Callable[..., State]
    _model: Callable[[], Model]
    _schedule: Callable[[], Schedule]
    _loss_descended: Callable[[], Loss]

    def explain_step(self, X: Any, y: Any, sample_weight: Any = None, *, check: bool = True) -> Any:
        """The step that ``partial_fit`` would make next on all of X at once, explained; the model stays as it is.

        X, y and sample_weight are as in ``fit``; see :func:`xpnet.explain` for ``check`` and what is returned.
        """
        from ..inspection.explanation import explain

        check_is_fitted(self)
        if self.solver == "lbfgs":
            raise ValueError(
                "solver='lbfgs' searches along lines and makes no single steps: explain_step is for 'sgd' and 'adam'"
            )
        backend, (X, Y, w) = self._as_trained(X, y, sample_weight)
        with backend.active():
            state = self._state(backend, X, check_random_state(self.random_state), incremental=True)
        model = replace(self._model(), loss=self._loss_descended())
        schedule, clip_norm = self._schedule(), self.clip_norm
        return explain(
            model, X, Y, w, state=state, check=check, schedule=schedule, clip_norm=clip_norm, backend=backend
        )

    def summary(self, batch_size: int = 200) -> Any:
        """The fitted network layer by layer: equations, shapes, parameters, FLOPs and memory; see
        :func:`xpnet.summary`.
        """
        from ..inspection.summary import summary

        check_is_fitted(self)
        return summary(self, batch_size=batch_size)

    def to_svg(self, max_units: int = 16) -> Any:
        """The fitted network as a picture, a str that notebooks show; see :func:`xpnet.to_svg`."""
        from ..inspection.drawing.network import to_svg

        check_is_fitted(self)
        return to_svg(self, max_units=max_units)
