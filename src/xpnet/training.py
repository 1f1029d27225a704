"""Minibatches, the training step, and ``epochs``, the loop over the data.

for state, cost in epochs(model, state, X, Y, n_epochs=100): ...
"""

import copy
import math
from collections.abc import Generator
from itertools import count
from numbers import Real
from typing import Any

from .backends import Backend, array_namespace, host, on_device_of, shuffled
from .distributed import Alone
from .equations import whole_number
from .equations.optimizers import Optimizer
from .equations.schedules import ConstantRate, Schedule
from .model import Model
from .network import Layout
from .program.steps import Batch, Steps
from .state import State, copy_on_call
from .step import step_scalars, steps_of

Array = Any


class DivergedError(FloatingPointError, ValueError):
    """The cost or a parameter is NaN or infinite.

    Attributes
    ----------
    epoch : int
        The epoch, counted from 1, in which it happened.
    state : State
        The last finite state: before that epoch.

    Parameters
    ----------
    epoch, state
        See the attributes.
    cost : float
        The cost, for the message.
    """

    def __init__(self, epoch: int, state: State, cost: float):
        what = f"the cost is {cost}" if not math.isfinite(cost) else "a parameter is no longer finite"
        super().__init__(
            f"training diverged in epoch {epoch}: {what} (learning rate {state.learning_rate:g}). Lower the learning "
            "rate, scale the features (to mean 0 and standard deviation 1, or to [0, 1]), or clip the gradient "
            "(clip_norm of epochs). The last finite parameters are kept, in this error's state.theta or an estimator's "
            "coefs_"
        )
        self.epoch, self.state = epoch, state

    def __reduce__(self):
        return _diverged, (self.epoch, self.state, self.args)


def _diverged(epoch: int, state: State, args: tuple) -> DivergedError:
    error = DivergedError(epoch, state, math.nan)
    error.args = args
    return error


def epochs(
    model: Model,
    state: State,
    X: Any,
    Y: Any,
    *,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: bool = True,
    rng: Any = None,
    schedule: Schedule = ConstantRate(),
    clip_norm: float | None = None,
    backend: str | Backend | None = None,
    communicator: Any = Alone(),
    n_epochs: int | None = None,
) -> Generator[tuple[State, float], State | None, None]:
    """Train: each epoch is one pass over the data, after which (state, cost) is yielded.

    Data that are already on the backend are not copied, and nothing that is given is written to.

    Parameters
    ----------
    model : Model
        The model that is trained.
    state : State
        Where to begin: ``model.initial(...)``, or any state that was yielded or unpickled.
    X : array-like, (m, n)
        Samples. Everything follows X: library, device, dtype (float32 or float64; all else becomes float64).
    Y : array-like, (m, n_out)
        Targets: one-hot rows, 0/1, or real; (m,) is allowed for one output.
    sample_weight : array-like, (m,), optional
        Weights of the samples' losses.
    batch_size : int, optional
        Samples a step; the last batch may be smaller. None is the whole of X in its own order, 1 is one at a time.
    shuffle : bool
        Whether minibatches are drawn in a new order each epoch.
    rng : numpy.random.Generator or RandomState, optional
        The source of shuffles, which moves on; by default a copy of ``state.rng``.
    schedule : callable
        The factor of ``state.learning_rate`` at step t, see :mod:`xpnet.schedules`.
    clip_norm : float, optional
        Gradients of a larger norm, over all parameters, are scaled down to it; with inf none is. With either, the
        states that are yielded have the gradient's norm.
    backend : str or Backend, optional
        See :func:`xpnet.get_backend`.
    communicator : object
        Adds up the sums of several processes.
    n_epochs : int, optional
        The number of epochs. By default training goes on until its caller leaves the loop.

    Yields
    ------
    state : State
        After the epoch. Its arrays are never overwritten, and are not to be written into; keep it, pickle it, or begin
        from it. ``send(state)`` in place of ``next`` goes on from the state sent, which may have another learning rate,
        theta, slots or step.
    cost : float
        J over the epoch: the mean of the batches' costs, each before its step, weighted by their numbers of samples
        (for ``reduction="sum"`` the data's part is added up instead).

    Raises
    ------
    DivergedError
        The cost or a parameter became NaN or infinite; it carries the last finite state.

    Examples
    --------
    >>> model = Model(Sequential(Dense(16, "relu"), Dense(1)))
    >>> state = model.initial(np.random.default_rng(0), 3, Adam())
    >>> for state, cost in epochs(model, state, X, Y, batch_size=32, n_epochs=10):
    ...     print(cost)
    """
    backend, X, Y, w = model.read(X, Y, sample_weight, backend, may_stay=True)
    m = X.shape[0]
    batch_size = None if batch_size is None else whole_number("batch_size (None for all samples)", batch_size)
    if clip_norm is not None and not (isinstance(clip_norm, Real) and clip_norm > 0.0):
        raise ValueError(f"clip_norm is {clip_norm!r}; it must be a number above 0, or None")
    clip_norm = None if clip_norm is None else float(clip_norm)
    if not callable(schedule):
        raise ValueError(f"schedule is {schedule!r}; it must be a function of the step, such as Cosine(1000)")
    _check_state(state, model.layout(X.shape[1:]))
    is_shuffled = shuffle and batch_size is not None
    rng = rng if rng is not None else copy.deepcopy(state.rng)
    if is_shuffled and not hasattr(rng, "permutation"):
        raise ValueError(
            f"rng is {rng!r}; shuffled minibatches need a generator, such as numpy.random.default_rng(0), or "
            "shuffle=False"
        )
    steps = steps_of(model, X, state.optimizer, clip_norm, backend, communicator)
    rng = rng if is_shuffled else None
    n_epochs = None if n_epochs is None else whole_number("n_epochs (None for no end)", n_epochs)
    return passes(steps, state, Batch(X, Y, w), min(batch_size or m, m), rng, schedule, backend, n_epochs=n_epochs)


def passes(
    steps: Steps,
    state: State,
    data: Batch,
    batch_size: int,
    rng: Any,
    schedule: Schedule,
    backend: Backend,
    is_last: bool = True,
    n_epochs: int | None = None,
) -> Generator[tuple[State, float], State | None, None]:
    """``epochs`` over data that have been read; shuffled if there is an rng. ``is_last`` says that the runner of steps
    serves no other training and is closed.
    """
    with backend.active():
        steps.use_data(data)
    X, m, start, in_shape = data.X, data.X.shape[0], state.optimizer, {"in_shape": tuple(data.X.shape[1:])}
    course, n_parameters = state.course | in_shape, state.theta.shape[0]
    order = state.order if state.order is not None and len(state.order) == m else host.arange(m)
    shares = [min(batch_size, m - at) / m for at in range(0, m, batch_size)]
    given: State | None = state
    del state
    try:
        for epoch in count(1) if n_epochs is None else range(1, n_epochs + 1):
            order = range(m) if rng is None else shuffled(order, X, rng)
            with backend.active():
                if given is not None:
                    _begin(steps, given, n_parameters, X.dtype, backend)
                    given = None
                cost, square, finite = steps.epoch(order, batch_size, step_scalars(course, schedule, shares))
                if not finite:
                    raise DivergedError(epoch, State.at(steps.before(), course), cost)
            course = {**course, "step": course["step"] + len(shares), "gradient_norm": square and math.sqrt(square)}
            if rng is not None:
                course = {k: v for k, v in course.items() if k != "rng"} | {"_rng": copy_on_call(rng), "order": order}
            kept = steps.after()
            given = yield State.at(kept, course), cost
            if given is not None:
                _check_optimizer(given, start)
                course, given = given.course | in_shape, None if given.is_at(kept) else given
    finally:
        if is_last:
            steps.close()


def _check_state(state: State, layout: Layout) -> None:
    """Raise if training can't begin at the state."""
    if not isinstance(state, State):
        raise ValueError(f"state is a {type(state).__name__}; it must be a State, and epochs yields (state, cost)")
    if tuple(state.theta.shape) != (layout.n_parameters,):
        raise ValueError(
            f"state.theta has shape {tuple(state.theta.shape)}; for samples of shape {layout.in_shape} this network "
            f"has {layout.n_parameters} parameters: make it with model.initial(rng, {layout.in_shape}, optimizer)"
        )
    n_slots = state.optimizer.slots
    if [tuple(a.shape) for a in state.slots] != [tuple(state.theta.shape)] * n_slots:
        raise ValueError(
            f"state has {len(state.slots)} slots, and {type(state.optimizer).__name__} needs {n_slots} of theta's "
            "shape: make a state for it with initial_state(state.theta, optimizer, rng)"
        )


def _check_optimizer(state: State, start: Optimizer) -> None:
    """Raise if a state that is sent has another optimizer than training began with."""
    if state.optimizer != start:
        raise ValueError(
            f"a state sent has the optimizer {state.optimizer}; training began with {start}: begin another training "
            "with epochs (a state's own learning_rate may change)"
        )


def _begin(steps: Steps, state: State, n_parameters: int, dtype: Any, backend: Backend) -> None:
    """Begin at the state, whose arrays only the runner keeps."""
    theta, *slots = (backend.asarray(a, dtype) for a in (state.theta, *state.slots))
    shapes, expected = [tuple(a.shape) for a in (theta, *slots)], [(n_parameters,)] * (1 + state.optimizer.slots)
    if shapes != expected:
        raise ValueError(f"a state sent has arrays of shapes {shapes}; training began with {expected}")
    steps.begin(theta, tuple(slots), state.step)


def weights_settled(before: Array, after: Array, tol: float) -> bool:
    """Whether max |after - before| <= tol max(1, max |after|): "once our weights stop changing very much"   (D1).

    Parameters
    ----------
    before, after : array, (n_parameters,)
        The parameters before and after an epoch.
    tol : float
        The tolerance, relative to the largest parameter if that is above 1.

    Returns
    -------
    bool
    """
    xp = array_namespace(after)
    with on_device_of(after):
        change, size = float(xp.max(xp.abs(after - before))), float(xp.max(xp.abs(after)))
    return change <= tol * max(1.0, size)
