"""Floor 5: minibatches, the step, and ``epochs``, which never ends by itself: stopping is its caller's.

for state, cost in islice(epochs(model, state, X, Y), 100): ...
"""

import copy
import functools
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

from array_api_compat import device

from .backends import Backend, all_finite, compile_step, elementwise, host, namespace, release_memory, shuffled
from .communicators import Alone
from .equations import whole_number
from .equations.dropout import step_key
from .equations.layers import Training
from .equations.optimizers import Optimizer
from .equations.regularization import add_penalty, clipping_scale, cost_gradient, euclidean_norm
from .equations.schedules import Constant, Schedule
from .model import Model
from .network import Layout
from .state import State

Array = Any


class DivergedError(FloatingPointError, ValueError):
    """The cost or a parameter is NaN or infinite.

    Attributes
    ----------
    epoch : int
        The epoch, counted from 1, in which it happened.
    state : State
        The last finite state: before that epoch.
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


@functools.cache
def descent(optimizer: Optimizer) -> Any:
    """The whole update as one elementwise definition: theta, c * gradient + penalty, and the optimiser's rule."""

    def descend(xp, theta, g, c, l1, l2, *rest):
        moments, scalars = rest[: optimizer.moments], rest[optimizer.moments :]
        return optimizer.update(xp, theta, add_penalty(xp, c * g, theta, l1, l2), moments, scalars)

    descend.__qualname__ = f"{type(optimizer).__name__}_step"
    return elementwise(descend)


def training_step(
    model: Model, layout: Layout, optimizer: Optimizer, clip_norm: float | None = None, communicator: Any = Alone()
) -> Callable:
    """``step((theta, *moments, cost, square), (X, Y, w), scalars, owned=False)``: the same after one step on a batch.

    Pure, unless what comes in is ``owned``: then theta and moments may be overwritten by what comes out. ``scalars``
    is a row of ``step_scalars``. The batch's cost before the step is added to ``cost``, weighted by its share of the
    epoch (for a sum, the penalty alone is); so is the square of the gradient's norm to ``square``, which is carried
    where there is a ``clip_norm``.
    """
    descend = descent(replace(optimizer, learning_rate=1.0))  # the rate comes with the scalars
    is_mean, n = model.reduction == "mean", len(optimizer.scalars(1, 1.0, True))

    def step(carry: tuple, batch: tuple, scalars: Sequence, owned: bool = False) -> tuple:
        theta, moments, (cost, *square) = carry[0], carry[1 : 1 + optimizer.moments], carry[1 + optimizer.moments :]
        share, key, of_weights, of_others = scalars[0], scalars[1], scalars[2 : 2 + n], scalars[2 + n :]
        X, Y, w = batch
        g, loss_sum, weight_sum = model.sums(theta, X, Y, w, Training(key))
        *g, loss_sum, weight_sum = communicator.sum(*g, loss_sum, weight_sum)
        c = model.scale(weight_sum)
        cost = add_up(cost, share if is_mean else 1.0, c, loss_sum, share, model.penalty(theta, layout, c))
        g_and_window = zip(g, layout.parts, strict=True)
        pieces = [
            (g_k, at, model.lambdas(c, is_w), of_weights if is_w else of_others) for g_k, (at, is_w) in g_and_window
        ]
        if clip_norm is not None:
            clipped = cost_gradient.join([(g_k, theta[at], c, *lambdas) for g_k, at, lambdas, _ in pieces])
            norm = euclidean_norm(clipped)
            square = [add_up(square[0], share, norm, norm, 0.0, 0.0)]
            c = clipping_scale(norm, clip_norm) if clip_norm < math.inf else 1.0
            pieces = [(clipped[at], at, (None, None), s) for _, at, _, s in pieces]
        moved = descend.join(
            [(theta[at], g_k, c, *lambdas, *(v[at] for v in moments), *s) for g_k, at, lambdas, s in pieces],
            (theta, *moments) if owned else (),
        )
        return *moved, cost, *square

    return step


@elementwise
def add_up(xp: Any, cost: Any, share: Any, c: Any, loss_sum: Any, penalty_share: Any, penalty: Any) -> Any:
    """The epoch's cost so far, and this batch's."""
    return cost + share * (c * loss_sum) + penalty_share * penalty


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
    schedule: Schedule = Constant(),
    clip_norm: float | None = None,
    backend: str | Backend | None = None,
    communicator: Any = Alone(),
) -> Generator[tuple[State, float], State | None, None]:
    """Train without end: each ``next`` makes one pass over the data and yields (state, cost).

    What is given is taken by reference where it already is on the backend, and never written to.

    Parameters
    ----------
    model : Model
        What is fitted.
    state : State
        Where to begin: ``model.initial(...)``, or any state that was yielded or unpickled.
    X : array-like, (m, n)
        Samples. Everything follows X: library, device, dtype (float32 or float64; all else becomes float64).
    Y : array-like, (m, n_out)
        Targets: one-hot rows, 0/1, or real; (m,) will do for one output.
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
        Where the sums of several processes come together.

    Yields
    ------
    state : State
        After the epoch. It is never overwritten; keep it, pickle it, or begin from it. ``send(state)`` in place of
        ``next`` goes on from the state sent, which may have another learning rate, theta, moments or step.
    cost : float
        J over the epoch: the mean of the batches' costs, each before its step, weighted by their numbers of samples
        (for ``reduction="sum"`` the data's part is added up instead).

    Raises
    ------
    DivergedError
        The cost or a parameter became NaN or infinite; it carries the last finite state.
    """
    backend, X, Y, w = model.read(X, Y, sample_weight, backend, may_stay=True)
    m = X.shape[0]
    batch_size = None if batch_size is None else whole_number("batch_size (None for all samples)", batch_size)
    if clip_norm is not None and not clip_norm > 0.0:
        raise ValueError(f"clip_norm is {clip_norm!r}; it must be above 0, or None")
    clip_norm = None if clip_norm is None else float(clip_norm)
    layout = model.layout(X.shape[1:])
    if tuple(state.theta.shape) != (layout.n_parameters,):
        raise ValueError(
            f"state.theta has shape {tuple(state.theta.shape)}; for samples of shape {layout.in_shape} this network "
            f"has {layout.n_parameters} parameters: make it with model.initial(rng, {layout.in_shape}, optimizer)"
        )
    is_shuffled = shuffle and batch_size is not None
    rng = rng if rng is not None else copy.deepcopy(state.rng)
    if is_shuffled and rng is None:
        raise ValueError("shuffled minibatches need rng=, for example numpy.random.default_rng(0), or shuffle=False")
    theta, *moments = (backend.asarray(a, X.dtype) for a in (state.theta, *state.moments))
    state = replace(state, theta=theta, moments=tuple(moments))
    step = training_step(model, layout, state.optimizer, clip_norm, communicator)
    run = compile_step(step, (X, Y, w), theta, layout.largest_product)
    n_sums = 1 if clip_norm is None else 2
    size = min(batch_size or m, m)
    return _epochs(state, X, size, rng if is_shuffled else None, schedule, run, backend, n_sums)


def _epochs(
    state: State, X: Array, batch_size: int, rng: Any, schedule: Schedule, run: Callable, backend: Backend, n_sums: int
) -> Generator[tuple[State, float], State | None, None]:
    m = X.shape[0]
    order = state.order if state.order is not None and len(state.order) == m else host.arange(m)
    shares = [min(batch_size, m - start) / m for start in range(0, m, batch_size)]
    epoch = 0
    try:
        while True:
            epoch += 1
            if rng is not None:
                order = shuffled(order, X, rng)
            with backend.active():
                theta = state.theta
                xp = namespace(theta)
                sums = [xp.zeros((), dtype=theta.dtype, device=device(theta)) for _ in range(n_sums)]
                table = step_scalars(state, schedule, shares)
                # The state before the epoch stays as it is; what the epoch's own steps made is overwritten.
                theta, *rest = run(
                    (theta, *state.moments, *sums), order if rng is not None else range(m), batch_size, table
                )
                moments, (cost, *square) = tuple(rest[:-n_sums]), map(float, rest[-n_sums:])
                finite = math.isfinite(cost) and all_finite(theta)
            if not finite:
                raise DivergedError(epoch, state, cost)
            state = replace(
                state,
                theta=theta,
                moments=moments,
                step=state.step + len(shares),
                gradient_norm=math.sqrt(square[0]) if square else None,
                rng=copy.deepcopy(rng) if rng is not None else state.rng,
                order=order if rng is not None else state.order,
            )
            changed = yield state, cost
            if changed is not None:
                state = changed
    finally:
        release_memory()


def step_scalars(state: State, schedule: Schedule, shares: Sequence[float]) -> Any:
    """A row for each of an epoch's steps: its share of the epoch, its key, the optimiser's scalars for weights, for all
    else.

    Host float64, (n_steps, 2 + 2 n_scalars): in float32 Adam's 1 - b2^t would be off by 1e-5.
    """
    t, optimizer = state.step, state.optimizer
    rates = [state.learning_rate * schedule(t + i) for i in range(len(shares))]
    return host.asarray(
        [
            (
                share,
                step_key(state.seed, t + i),
                *optimizer.scalars(t + i + 1, rate, True),
                *optimizer.scalars(t + i + 1, rate, False),
            )
            for i, (share, rate) in enumerate(zip(shares, rates, strict=True))
        ]
    )


def weights_settled(before: Array, after: Array, tol: float) -> bool:
    """max |theta_new - theta| <= tol max(1, max |theta|): "once our weights stop changing very much"   (D1)."""
    xp = namespace(after)
    change, size = float(xp.max(xp.abs(after - before))), float(xp.max(xp.abs(after)))
    return change <= tol * max(1.0, size)
