"""What weights, activations and gradients were after every n-th epoch of a training."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import array_namespace, device, gather, to_numpy
from ..equations import whole_number
from ..equations.layers import Parameter
from ..model import Model
from ..state import State
from .observer import watched_model, watching

PerLayer = tuple[tuple[np.ndarray, ...], ...]


@dataclass(frozen=True)
class Snapshot:
    """Weights, gradients and activations after one epoch, as host arrays, layer by layer.

    Attributes
    ----------
    epoch : int
        Counted from 1; 0 is the state before training, if it was recorded.
    cost : float
        J, with its penalty, on the rows that are watched.
    parameters : tuple of tuples of arrays
        Each layer's arrays in the order of its ``shapes``: (W, b) of a Dense.
    gradients : tuple of tuples of arrays
        The gradient of J with respect to each of them, on the rows that are watched.
    activations : tuple of arrays
        Each layer's output A on the rows that are watched, with nothing dropped; the last one is before the link.
    """

    epoch: int
    cost: float
    parameters: PerLayer
    gradients: PerLayer
    activations: tuple[np.ndarray, ...]


class Recorder:
    """Keeps weights, activations and gradients of every n-th epoch, for an estimator or a loop of your own.

    Either call ``estimator.set_callbacks(recorder)`` before ``fit``, as scikit-learn's callbacks are set, or in a loop
    ``recorder.record(epoch, model, state, X, Y)``. It computes with the code that trains, on a few rows, and never
    changes the run: epochs that are not kept cost next to nothing.

    Parameters
    ----------
    every : int
        Epochs ``every``, 2 ``every``, ... are kept, and epoch 0 if it is recorded.
    samples : int
        How many rows are watched at most, spread evenly over the data.

    Attributes
    ----------
    snapshots : list of Snapshot
        What was kept, by epoch. A new fit begins a new list.
    layers : tuple
        The layers of the network that is watched.

    Notes
    -----
    A snapshot holds 8 (2 n_parameters + samples * units) bytes in float64. If an estimator is fitted in another
    process, the snapshots stay there.

    Examples
    --------
    >>> recorder = Recorder(every=5)
    >>> for epoch, (state, cost) in enumerate(islice(epochs(model, state, X, Y), 100), start=1):
    ...     recorder.record(epoch, model, state, X, Y)
    >>> W, b = recorder.snapshots[-1].parameters[0]
    """

    def __init__(self, every: int = 1, samples: int = 256):
        self.every = whole_number("every", every)
        self.samples = whole_number("samples", samples)
        self._begin()

    def _begin(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.layout: Any = None

    @property
    def layers(self) -> tuple[Any, ...]:
        """The layers of the network that is watched."""
        return self.layout.network.layers if self.layout is not None else ()

    @property
    def parameters(self) -> tuple[tuple[Parameter, ...], ...]:
        """Names, shapes and roles of what ``Snapshot.parameters`` holds."""
        return self.layout.network.shapes(self.layout.in_shape)[0] if self.layout is not None else ()

    def __len__(self) -> int:
        return len(self.snapshots)

    def __bool__(self) -> bool:
        return True  # also before it has snapshots

    def __iter__(self) -> Iterator[Snapshot]:
        return iter(self.snapshots)

    def record(
        self, epoch: int, model: Model, state: State, X: Any, Y: Any, sample_weight: Any = None, backend: Any = None
    ) -> None:
        """Keep a snapshot of this epoch, if it is one of those to be kept.

        Parameters
        ----------
        epoch : int
            Counted from 1; 0 before training.
        model, state
            As ``epochs`` takes and yields them.
        X, Y, sample_weight, backend
            As ``epochs`` takes them; rows of weight 0 are not watched.
        """
        if epoch % self.every == 0:
            self._record(epoch, model, state.theta, X, Y, sample_weight, backend)

    def _record(self, epoch: int, model: Model, theta: Any, X: Any, Y: Any, w: Any, backend: Any) -> None:
        backend, X, Y, w = model.read(X, Y, w, backend, may_stay=True)
        with backend.active():
            X, Y, w = self._watched(X, Y, w)
        self.layout = model.layout(X.shape[1:])
        with watching() as seen:
            cost, g = watched_model(model).objective(X, Y, w, backend)(theta)
        outputs = tuple(np.array(to_numpy(seen["A", k])) for k in range(1, len(self.layers) + 1))
        self.snapshots.append(Snapshot(epoch, cost, self._copies(theta), self._copies(g), outputs))

    def _copies(self, flat: Any) -> PerLayer:
        """Each layer's arrays in the flat vector, on the host."""
        return tuple(tuple(np.array(a) for a in layer) for layer in self.layout.unpack(to_numpy(flat)))

    def _watched(self, X: Any, Y: Any, w: Any) -> tuple[Any, Any, Any]:
        """The rows that are watched."""
        rows = np.arange(X.shape[0]) if w is None else np.flatnonzero(to_numpy(w))
        if len(rows) > self.samples:
            rows = rows[np.linspace(0, len(rows) - 1, self.samples).astype(int)]
        at = array_namespace(Y).asarray(rows, device=device(Y))
        return gather(X, at), gather(Y, at), None if w is None else gather(w, at)

    # --- scikit-learn's callback protocol (SLEP023)

    def setup(self, estimator: Any, context: Any) -> None:
        """A fit begins: start a new list of snapshots."""
        if not hasattr(estimator, "_model"):
            raise ValueError(
                f"a Recorder watches xpnet's MLPClassifier and MLPRegressor, and this is a {type(estimator).__name__}: "
                "give it to the network itself, such as pipeline[-1].set_callbacks(recorder)"
            )
        self._begin()

    def teardown(self, estimator: Any, context: Any) -> None:
        """A fit has ended; the snapshots stay."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """An epoch begins; there is nothing to keep yet."""

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        metadata: Any = None,
        fitted_estimator: Any = None,
    ) -> None:
        """An epoch has ended: keep it, if it is one of those to be kept. It never stops training."""
        epoch = context.task_id + 1
        is_epoch = context.max_subtasks == 0 and fitted_estimator is not None and X is not None
        if not is_epoch or epoch % self.every != 0:
            return
        w = (metadata or {}).get("sample_weight")
        backend, (X, Y, w) = fitted_estimator._as_trained(X, y, w)
        self._record(epoch, fitted_estimator._model(), fitted_estimator._theta(backend, X), X, Y, w, backend)
