"""Watching training: what weights, activations and gradients were after every n-th epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import Backend, array_namespace, device, gather, to_numpy
from ..equations import whole_number
from ..equations.layers import Parameter
from ..model import Model
from ..network import Layout
from ..state import State

PerLayer = tuple[tuple[np.ndarray, ...], ...]


@dataclass(frozen=True)
class Record:
    """One epoch's state, as host arrays, layer by layer.

    Attributes
    ----------
    epoch : int
        Counted from 1; 0 may stand for the state before training.
    cost : float
        J, the penalty among it, on the rows that are watched.
    parameters : tuple of tuples of arrays
        Each layer's arrays in the order of its ``shapes``: (W, b) of a Dense.
    gradients : tuple of tuples of arrays
        dJ by each of them, on the rows that are watched.
    activations : tuple of arrays
        Each layer's output A on the rows that are watched; the last one's is before the link.
    """

    epoch: int
    cost: float
    parameters: PerLayer
    gradients: PerLayer
    activations: tuple[np.ndarray, ...]


class Recorder:
    """Keeps weights, activations and gradients of every n-th epoch, for an estimator or a loop of your own.

    Either ``estimator.set_callbacks(recorder)`` before ``fit``, as scikit-learn's callbacks are set, or in a loop
    ``recorder.record(epoch, model, state, X, Y)``. It computes with the code that trains, on a few rows, and never
    changes the run: epochs that are not recorded cost nothing but the question.

    Parameters
    ----------
    every : int
        Epochs from record to record: every-th, 2 every-th, ... are kept, and epoch 0 where it is handed in.
    samples : int
        How many rows are watched at most, spread evenly over the data.

    Attributes
    ----------
    records : list of Record
        What was kept, by epoch. A new fit begins a new list.
    layers : tuple
        The layers of the network that is watched.

    Notes
    -----
    A record holds 8 (2 n_parameters + samples * units) bytes in float64. Estimators that are fitted in other
    processes record there.
    """

    def __init__(self, every: int = 1, samples: int = 256):
        self.every = whole_number("every", every)
        self.samples = whole_number("samples", samples)
        self._begin()

    def _begin(self) -> None:
        self.records: list[Record] = []
        self.layout: Any = None

    @property
    def layers(self) -> tuple[Any, ...]:
        """The layers of the network that is watched."""
        return self.layout.network.layers if self.layout is not None else ()

    @property
    def parameters(self) -> tuple[tuple[Parameter, ...], ...]:
        """Names, shapes and roles of what ``Record.parameters`` holds."""
        return self.layout.network.shapes(self.layout.in_shape)[0] if self.layout is not None else ()

    def __len__(self) -> int:
        return len(self.records)

    def __bool__(self) -> bool:
        return True  # a Recorder is there before it has records

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def record(
        self, epoch: int, model: Model, state: State, X: Any, Y: Any, sample_weight: Any = None, backend: Any = None
    ) -> None:
        """Keep this epoch's state, if it is one of those to be recorded.

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
        cost, g = model.objective(X, Y, w, backend)(theta)
        outputs = activations(model, self.layout, theta, X, backend)
        self.records.append(Record(epoch, cost, self._copies(theta), self._copies(g), outputs))

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
        """A fit begins: so do the records."""
        if not hasattr(estimator, "_model"):
            raise ValueError(
                f"a Recorder watches xpnet's MLPClassifier and MLPRegressor, and this is a {type(estimator).__name__}: "
                "give it to the network itself, such as pipeline[-1].set_callbacks(recorder)"
            )
        self._begin()

    def teardown(self, estimator: Any, context: Any) -> None:
        """A fit has ended; the records stay."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """An epoch begins; nothing to record yet."""

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
        """An epoch has ended: keep it, if it is one of those to be recorded; never asks to stop."""
        epoch = context.task_id + 1
        is_epoch = context.max_subtasks == 0 and fitted_estimator is not None and X is not None
        if not is_epoch or epoch % self.every != 0:
            return
        w = (metadata or {}).get("sample_weight")
        backend, (X, Y, w) = fitted_estimator._as_trained(X, y, w)
        self._record(epoch, fitted_estimator._model(), fitted_estimator._theta(backend, X), X, Y, w, backend)


def activations(model: Model, layout: Layout, theta: Any, X: Any, backend: Backend) -> tuple[np.ndarray, ...]:
    """Each layer's output A on X, as host arrays: the forward pass as the network makes it."""
    outputs = []
    with backend.active():
        params = layout.unpack(backend.asarray(theta, X.dtype))
        A = backend.asarray(X)
        for layer, of_layer in zip(layout.network.layers, params, strict=True):
            A, _ = layer.forward(of_layer, A)
            outputs.append(np.array(to_numpy(A)))
    return tuple(outputs)
