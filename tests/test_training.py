"""The training loop: what a step is, what an epoch is, and that a run can be kept, resumed and trusted."""

import math
import pickle
import threading
import warnings
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from xpnet.backends import to_numpy
from xpnet.distributed import Alone
from xpnet.equations.layers import Dense, PReLU
from xpnet.equations.optimizers import Adam, AdamW, GradientDescent, Momentum, Rate
from xpnet.equations.schedules import Adaptive, Cosine, InverseScaling, Plateau, WarmUp
from xpnet.model import Model
from xpnet.network import Sequential
from xpnet.program.recorder import leaves
from xpnet.program.steps import Batch, Carry
from xpnet.state import initial_state
from xpnet.step import StepScalars, training_step
from xpnet.training import DivergedError, epochs, weights_settled

NETWORK = Sequential(Dense(5, "tanh"), PReLU(), Dense(3))
MODEL = Model(NETWORK, "cross_entropy", l1=1e-3, l2=1e-2)
M = 23


@pytest.fixture
def XY(rng):
    """23 samples of 4 features in 3 classes."""
    X = rng.normal(size=(M, 4))
    return X, np.eye(3)[np.argmax(X[:, :3] + 0.3 * rng.normal(size=(M, 3)), axis=1)]


def start(model=MODEL, optimizer=GradientDescent(0.3), seed=1, n_features=4):
    return model.initial(np.random.default_rng(seed), n_features, optimizer)


def last(run, n):
    """The last of the first n (state, cost)."""
    *_, pair = islice(run, n)
    return pair


def everything(state):
    """A state's arrays as bytes, to see whether anything changed."""
    return [to_numpy(a).tobytes() for a in (state.theta, *state.slots)], state.step, state.learning_rate


# --- one step


def test_a_step_is_gradient_descent_on_the_cost(library, dtype, XY):
    X, Y = XY
    state = start()
    cost, g = MODEL.cost_and_gradient(state.theta, X, Y)
    after, J = next(epochs(MODEL, state, library.asarray(X, dtype), library.asarray(Y, dtype)))
    rtol = 1e-5 if dtype == "float32" else 1e-12
    assert library.owns(after.theta)
    assert after.theta.dtype == getattr(library.xp, dtype)
    np.testing.assert_allclose(to_numpy(after.theta), state.theta - 0.3 * g, rtol=rtol, atol=rtol)
    assert J == pytest.approx(cost, rel=rtol)
    assert (after.step, type(J)) == (1, float)


def by_hand(model, theta, X, Y, batches, optimizer, w=None, rate=lambda t: 1.0):
    """theta after an epoch over these batches of row numbers, by ``cost_and_gradient`` and ``update`` alone."""
    slots, costs = tuple(np.zeros_like(theta) for _ in range(optimizer.slots)), []
    n_weights = model.layout(X.shape[1]).n_weights
    for t, rows in enumerate(batches, 1):
        cost, g = model.cost_and_gradient(theta, X[rows], Y[rows], None if w is None else w[rows])
        scalars = optimizer.scalars(t, optimizer.learning_rate * rate(t - 1))
        theta = np.concatenate([optimizer.decayed(theta[:n_weights], scalars), theta[n_weights:]])
        theta, *slots = optimizer.update(theta, g, tuple(slots), scalars)
        costs.append((cost, len(rows)))
    return theta, sum(c * n for c, n in costs) / sum(n for _, n in costs)


OPTIMIZERS = [
    GradientDescent(0.3),
    Momentum(0.1, 0.8),
    Momentum(0.1, 0.8, nesterov=True),
    Adam(0.01),
    AdamW(0.01, weight_decay=0.3),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_several_epochs_are_one_after_the_other(XY, optimizer):
    X, Y = XY
    batches = [np.arange(i, min(i + 8, M)) for i in range(0, M, 8)]
    after, _ = last(epochs(MODEL, start(optimizer=optimizer), X, Y, batch_size=8, shuffle=False), 4)
    theta, _ = by_hand(MODEL, start().theta, X, Y, 4 * batches, optimizer)
    np.testing.assert_allclose(after.theta, theta, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("batch_size", [None, 1, 5, 8, M - 1, M, 1000])
def test_an_epoch_is_its_batches_one_after_the_other(XY, batch_size, optimizer):
    X, Y = XY
    state = start(optimizer=optimizer)
    size = min(batch_size or M, M)
    batches = [np.arange(i, min(i + size, M)) for i in range(0, M, size)]
    after, cost = next(epochs(MODEL, state, X, Y, batch_size=batch_size, shuffle=False))
    theta, expected = by_hand(MODEL, state.theta, X, Y, batches, optimizer)
    np.testing.assert_allclose(after.theta, theta, rtol=1e-10, atol=1e-13)
    assert cost == pytest.approx(expected, rel=1e-12)
    assert after.step == len(batches)


def test_weighted_batches(XY, rng):
    X, Y = XY
    w = rng.uniform(0.1, 2.0, M)
    batches = [np.arange(i, min(i + 8, M)) for i in range(0, M, 8)]
    after, cost = next(epochs(MODEL, start(), X, Y, sample_weight=w, batch_size=8, shuffle=False))
    theta, expected = by_hand(MODEL, start().theta, X, Y, batches, GradientDescent(0.3), w)
    np.testing.assert_allclose(after.theta, theta, rtol=1e-10)
    assert cost == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_a_step_is_pure(library, dtype, XY, optimizer):
    X, Y = (library.asarray(a, dtype) for a in XY)
    step = training_step(MODEL, MODEL.layout(4), optimizer, clip_norm=0.5)
    theta = library.asarray(start().theta, dtype)
    xp = library.xp
    carry = Carry(theta, (0.5 * theta * theta,) * optimizer.slots, xp.sum(theta), xp.max(theta))
    scalars = StepScalars(1.0, 0.0, optimizer.scalars(1, 0.1))
    before = [to_numpy(a).tobytes() for a in leaves(carry)]
    after, again = (step(carry, Batch(X, Y, None), scalars) for _ in range(2))
    assert [to_numpy(a).tobytes() for a in leaves(carry)] == before
    assert [to_numpy(a).tobytes() for a in leaves(after)] == [to_numpy(a).tobytes() for a in leaves(again)]
    assert [a.shape for a in leaves(after)] == [a.shape for a in leaves(carry)]
    assert all(library.owns(a) for a in (after.theta, *after.slots))
    assert all(a.dtype == theta.dtype for a in leaves(after))


def test_sum_against_mean(XY):
    """A sum's steps are m times a mean's, so the learning rate over m makes them alike."""
    X, Y = XY
    mean, total = Model(NETWORK, "cross_entropy"), Model(NETWORK, "cross_entropy", reduction="sum")
    one, cost = last(epochs(mean, start(mean), X, Y), 5)
    other, total_cost = last(epochs(total, start(total, GradientDescent(0.3 / M)), X, Y), 5)
    np.testing.assert_allclose(other.theta, one.theta, rtol=1e-11)
    assert total_cost == pytest.approx(M * cost, rel=1e-11)


def test_the_cost_of_a_sum_adds_up_over_the_batches(XY):
    X, Y = XY
    model = Model(NETWORK, "cross_entropy", l2=0.1, reduction="sum")
    state = start(model, GradientDescent(1e-12))  # theta stays, so that each batch has the same penalty
    _, cost = next(epochs(model, state, X, Y, batch_size=5, shuffle=False))
    assert cost == pytest.approx(model.cost(state.theta, X, Y), rel=1e-9)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("optimizer", [GradientDescent(0.01), Momentum(0.01)], ids=repr)
def test_a_weight_of_two_is_the_sample_twice(library, XY, optimizer, reduction):
    X, Y = XY
    w = np.resize([1.0, 2.0, 0.0, 1.0, 3.0], M)
    rows = np.repeat(np.arange(M), w.astype(int))
    model = Model(NETWORK, "cross_entropy", l2=0.1, reduction=reduction)
    state = start(model, optimizer)
    weighted, _ = last(epochs(model, state, library.asarray(X, "float64"), Y, sample_weight=w), 3)
    repeated, _ = last(epochs(model, state, X[rows], Y[rows]), 3)
    np.testing.assert_allclose(to_numpy(weighted.theta), repeated.theta, rtol=1e-11, atol=1e-13)


def test_a_batch_whose_weights_are_all_zero_moves_nothing(library, dtype, XY):
    X, Y = XY
    w = np.r_[np.zeros(8), np.ones(M - 8)]
    model = Model(NETWORK, "cross_entropy")
    state = start(model)
    run = epochs(model, state, library.asarray(X, dtype), Y, sample_weight=w, batch_size=8, shuffle=False)
    after, cost = next(run)
    assert np.isfinite(cost)
    without = next(epochs(model, state, library.asarray(X[8:], dtype), Y[8:], batch_size=8, shuffle=False))[0]
    np.testing.assert_allclose(to_numpy(after.theta), to_numpy(without.theta), rtol=1e-6)


def test_a_batch_whose_weights_are_all_zero_is_still_penalised(XY):
    X, Y = XY
    w = np.r_[np.zeros(8), np.ones(M - 8)]
    for scale_penalty in (False, True):
        model = Model(NETWORK, "cross_entropy", l2=0.5, scale_penalty=scale_penalty)
        state, step = start(model), training_step(model, model.layout(4), GradientDescent(0.1))
        carry, scalars = Carry(state.theta, (), np.zeros(())), StepScalars(1.0, 0.0, Rate(0.1))
        theta, _, cost, _ = step(carry, Batch(X[:8], Y[:8], w[:8]), scalars)
        n = model.layout(4).n_weights
        shrunk = state.theta[:n] * (1.0 if scale_penalty else 1 - 0.1 * 0.5)
        np.testing.assert_allclose(theta, np.concatenate([shrunk, state.theta[n:]]), rtol=1e-12)
        assert cost == pytest.approx(0.0 if scale_penalty else 0.25 * state.theta[:n] @ state.theta[:n])


def test_clipping_bounds_a_step_over_all_parameters(library, dtype, XY):
    X, Y = XY
    state = start()
    _, g = MODEL.cost_and_gradient(state.theta, X, Y)
    norm = np.linalg.norm(g)
    for bound in (norm / 3, norm * 3):
        after, _ = next(epochs(MODEL, state, library.asarray(X, dtype), Y, clip_norm=bound))
        expected = state.theta - 0.3 * g * min(1.0, bound / norm)
        np.testing.assert_allclose(to_numpy(after.theta), expected, rtol=1e-5, atol=1e-6)


def test_the_norm_of_the_gradient_is_recorded(library, dtype, XY):
    X, Y = XY
    state = MODEL.initial(np.random.default_rng(0), X.shape[1], GradientDescent(0.1))
    X, Y = library.asarray(X, dtype), library.asarray(Y, dtype)
    expected, theta = [], state
    for at in (slice(0, 8), slice(8, 16)):  # of each step's own parameters
        _, g = MODEL.cost_and_gradient(theta.theta, X[at, :], Y[at, :])
        expected.append(float(np.linalg.norm(to_numpy(g))))
        theta = next(epochs(MODEL, theta, X[at, :], Y[at, :]))[0]
    batches = {"batch_size": 8, "shuffle": False}
    recorded, _ = next(epochs(MODEL, state, X[:16, :], Y[:16, :], clip_norm=math.inf, **batches))
    assert recorded.gradient_norm == pytest.approx(np.sqrt(np.mean(np.square(expected))), rel=1e-5)
    plain, _ = next(epochs(MODEL, state, X[:16, :], Y[:16, :], **batches))
    assert plain.gradient_norm is None
    np.testing.assert_allclose(to_numpy(recorded.theta), to_numpy(plain.theta), rtol=1e-5, atol=1e-7)


def test_clipping_counts_the_penalty(XY):
    X, Y = XY
    model = Model(NETWORK, "cross_entropy", l2=10.0)
    state = start(model)
    _, g = model.cost_and_gradient(state.theta, X, Y)
    after, _ = next(epochs(model, state, X, Y, clip_norm=0.1))
    np.testing.assert_allclose(after.theta, state.theta - 0.3 * g * 0.1 / np.linalg.norm(g), rtol=1e-11)


# --- the order of the samples


def test_one_pass_takes_every_sample_once(XY):
    seen = []
    X, Y = np.arange(M, dtype=float)[:, None], np.zeros((M, 1))
    model = Model(Sequential(Recorder(seen), Dense(1)))
    run = epochs(model, start(model, n_features=1), X, Y, batch_size=5, rng=np.random.default_rng(3))
    next(run)
    first, seen[:] = list(seen), []
    next(run)
    assert [len(batch) for batch in first] == [5, 5, 5, 5, 3]
    for epoch in (first, seen):
        assert sorted(np.concatenate(epoch)) == list(range(M))
    assert not np.array_equal(np.concatenate(first), np.concatenate(seen))
    assert not np.array_equal(np.concatenate(first), np.arange(M))


class Recorder:
    """A layer that passes X on and notes its first column."""

    def __init__(self, seen):
        self.seen = seen

    def shapes(self, in_shape):
        return (), in_shape

    def initial(self, rng, in_shape):
        return ()

    def forward(self, params, X, train=None):
        if train is not None:
            self.seen.append(X[:, 0].copy())
        return X, lambda dA, need_dX=True: (dA, ())


@pytest.mark.parametrize("options", [{}, {"batch_size": None}, {"batch_size": 5, "shuffle": False}])
def test_without_shuffling_the_order_is_Xs_own(options):
    seen = []
    X, Y = np.arange(M, dtype=float)[:, None], np.zeros((M, 1))
    model = Model(Sequential(Recorder(seen), Dense(1)))
    state = replace(start(model, n_features=1), rng=None)
    last(epochs(model, state, X, Y, **options), 2)
    np.testing.assert_array_equal(np.concatenate(seen), np.tile(np.arange(M), 2))


def test_X_Y_and_weights_are_shuffled_alike(XY, rng):
    """The order of the samples can't matter to a full batch, whatever their weights."""
    X, Y = XY
    w = rng.uniform(0.1, 2.0, M)
    shuffled, _ = next(epochs(MODEL, start(), X, Y, sample_weight=w, batch_size=M, rng=rng))
    plain, _ = next(epochs(MODEL, start(), X, Y, sample_weight=w))
    assert not np.array_equal(shuffled.order, np.arange(M))
    np.testing.assert_allclose(shuffled.theta, plain.theta, rtol=1e-12)


@pytest.mark.parametrize("source", [np.random.default_rng, np.random.RandomState])
def test_each_shuffle_permutes_the_one_before(XY, source):
    """scikit-learn's shuffles do so too: one seed gives both the same batches."""
    X, Y = XY
    rng, order = source(5), np.arange(M)
    run = epochs(MODEL, start(), X, Y, batch_size=5, rng=source(5))
    for state, _ in islice(run, 3):
        order = order[rng.permutation(M)]
        np.testing.assert_array_equal(state.order, order)


@pytest.mark.parametrize("source", [np.random.default_rng, np.random.RandomState])
def test_shuffles_come_from_the_states_generator(XY, source):
    X, Y = XY
    state = MODEL.initial(source(1), 4, GradientDescent(0.3))
    by_default, _ = last(epochs(MODEL, state, X, Y, batch_size=5), 3)
    again, _ = last(epochs(MODEL, state, X, Y, batch_size=5), 3)
    given, _ = last(epochs(MODEL, state, X, Y, batch_size=5, rng=pickle.loads(pickle.dumps(state.rng))), 3)
    other, _ = last(epochs(MODEL, state, X, Y, batch_size=5, rng=source(99)), 3)
    assert everything(by_default) == everything(again) == everything(given)
    assert everything(by_default) != everything(other)


def test_a_generator_that_is_given_moves_on(XY):
    X, Y = XY
    rng = np.random.default_rng(5)
    next(epochs(MODEL, start(), X, Y, batch_size=5, rng=rng))
    assert rng.bit_generator.state != np.random.default_rng(5).bit_generator.state


def test_the_states_own_generator_stays(XY):
    X, Y = XY
    state = start()
    before = state.rng.bit_generator.state
    next(epochs(MODEL, state, X, Y, batch_size=5))
    assert state.rng.bit_generator.state == before


# --- keeping, resuming, changing


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("options", [{}, {"batch_size": 5}, {"batch_size": 5, "shuffle": False}], ids=str)
def test_a_pickled_state_resumes_the_same_run(XY, options, optimizer):
    X, Y = XY
    options = {**options, "schedule": Cosine(40, 0.1)}
    whole, _ = last(epochs(MODEL, start(optimizer=optimizer), X, Y, **options), 7)
    half, _ = last(epochs(MODEL, start(optimizer=optimizer), X, Y, **options), 3)
    resumed, _ = last(epochs(MODEL, pickle.loads(pickle.dumps(half)), X, Y, **options), 4)
    assert everything(resumed) == everything(whole)
    assert resumed.step == whole.step


def test_a_state_that_is_kept_resumes_from_where_it_stood(XY):
    """It does not matter that the run that yielded it has gone on, with its generator."""
    X, Y = XY
    kept = [state for state, _ in islice(epochs(MODEL, start(), X, Y, batch_size=5), 7)]
    resumed, _ = last(epochs(MODEL, kept[2], X, Y, batch_size=5), 4)
    assert everything(resumed) == everything(kept[-1])


def test_a_state_resumes_on_another_library(library, XY):
    X, Y = XY
    half, _ = last(epochs(MODEL, start(optimizer=Momentum(0.05)), library.asarray(X, "float64"), Y, batch_size=8), 2)
    resumed, _ = last(epochs(MODEL, half, X, Y, batch_size=8), 2)
    whole, _ = last(epochs(MODEL, start(optimizer=Momentum(0.05)), X, Y, batch_size=8), 4)
    np.testing.assert_allclose(resumed.theta, whole.theta, rtol=1e-11)


@pytest.mark.parametrize("optimizer", [GradientDescent(0.3), Adam(0.01)], ids=repr)
def test_yielded_states_are_never_overwritten(library, XY, optimizer):
    X, Y = XY
    state = start(optimizer=optimizer)
    kept = [(state, everything(state))]
    for state, _ in islice(epochs(MODEL, state, library.asarray(X, "float64"), Y, batch_size=10), 4):
        kept.append((state, everything(state)))
    for state, before in kept:
        assert everything(state) == before
    assert len({tuple(before[0]) for _, before in kept}) == 5


def test_large_states_are_never_overwritten(rng):
    """Their memory is not used for a later state while they are kept."""
    X, Y = rng.normal(size=(40, 90)), rng.normal(size=(40, 100))
    model = Model(Sequential(Dense(110, "relu"), Dense(100)))
    kept = []
    for state, _ in islice(epochs(model, start(model, Adam(1e-3), n_features=90), X, Y, batch_size=20), 6):
        kept.append((state, everything(state)))
    assert all(everything(state) == before for state, before in kept)


def test_the_callers_arrays_are_never_written_to(XY):
    X, Y = XY
    arrays = X, Y, np.ones(M), start().theta.copy(), np.zeros_like(start().theta)
    copies = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    state = replace(start(optimizer=Momentum(0.1)), theta=arrays[3], slots=(arrays[4],))
    for options in ({}, {"batch_size": 5}, {"batch_size": 5, "shuffle": False, "clip_norm": 0.1}):
        last(epochs(MODEL, state, X, Y, sample_weight=arrays[2], **options), 3)
    for a, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(a, copy)


def test_the_callers_arrays_are_never_written_to_in_any_library(library, dtype, XY):
    host = *XY, start().theta
    X, Y, theta = (library.asarray(a, dtype) for a in host)
    before = [to_numpy(a).tobytes() for a in (X, Y, theta)]
    last(epochs(MODEL, initial_state(theta, Momentum(0.1)), X, Y, batch_size=10, shuffle=False), 2)
    assert [to_numpy(a).tobytes() for a in (X, Y, theta)] == before


def test_a_state_that_is_sent_changes_the_learning_rate(XY):
    X, Y = XY
    run = epochs(MODEL, start(), X, Y)
    state, _ = next(run)
    slower, _ = run.send(replace(state, learning_rate=0.01))
    _, g = MODEL.cost_and_gradient(state.theta, X, Y)
    np.testing.assert_allclose(slower.theta, state.theta - 0.01 * g, rtol=1e-12)
    assert slower.learning_rate == 0.01
    assert next(run)[0].learning_rate == 0.01


def test_a_state_that_is_sent_goes_back(XY):
    X, Y = XY
    run = epochs(MODEL, start(), X, Y)
    first, _ = next(run)
    second, cost = next(run)
    next(run)
    again, cost_again = run.send(first)
    assert everything(again) == everything(second)
    assert cost_again == cost


def test_an_adaptive_learning_rate(XY):
    """The whole of scikit-learn's rule in the caller's loop, which ends by itself."""
    X, Y = XY
    adaptive, plateau, run = Adaptive(patience=2, minimum=1e-2), Plateau(tol=1e-2), epochs(MODEL, start(), X, Y)
    (state, cost), rates = next(run), []
    for _ in range(2000):
        rate, plateau = adaptive(state.learning_rate, plateau.after(cost))
        if rate is None:
            break
        rates.append(rate)
        state, cost = run.send(replace(state, learning_rate=rate))
    assert rate is None
    assert sorted(set(rates), reverse=True) == pytest.approx([0.3, 0.06, 0.012, 0.0024])


def test_a_schedule_acts_at_every_step(XY):
    X, Y = XY
    batches = [np.arange(i, min(i + 5, M)) for i in range(0, M, 5)]
    for schedule in (InverseScaling(), WarmUp(3), Cosine(4), lambda t: 1.0 / (1 + t)):
        after, _ = next(epochs(MODEL, start(), X, Y, batch_size=5, shuffle=False, schedule=schedule))
        theta, _ = by_hand(MODEL, start().theta, X, Y, batches, GradientDescent(0.3), rate=schedule)
        np.testing.assert_allclose(after.theta, theta, rtol=1e-11)
        assert after.learning_rate == 0.3


def test_a_schedule_goes_on_from_the_states_step(XY):
    X, Y = XY
    asked = []

    def schedule(t):
        asked.append(t)
        return 1.0

    state, _ = last(epochs(MODEL, start(), X, Y, batch_size=8, schedule=schedule), 2)
    next(epochs(MODEL, state, X, Y, batch_size=8, schedule=schedule))
    assert asked == list(range(9))


def test_adam_goes_on_from_the_states_step(XY):
    """Its bias correction counts the steps of the whole run."""
    X, Y = XY
    whole, _ = last(epochs(MODEL, start(optimizer=Adam(0.01)), X, Y), 4)
    state = start(optimizer=Adam(0.01))
    for _ in range(4):
        state, _ = next(epochs(MODEL, state, X, Y))
    assert everything(state) == everything(whole)


# --- divergence


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"batch_size": 5}, {"batch_size": 1}], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("hidden", ["relu", "exp", "tanh"])
def test_a_diverged_run_ends_with_its_last_finite_state(XY, dtype, options, reduction, hidden):
    X, Y = XY
    model = Model(Sequential(Dense(5, hidden), Dense(3)), l1=0.1, l2=0.1, reduction=reduction)
    kept = [start(model, GradientDescent(50.0))]

    def run():
        for state, cost in islice(epochs(model, kept[0], X.astype(dtype), Y, **options), 1000):
            assert np.isfinite(cost)
            kept.append(state)

    with pytest.raises(
        DivergedError, match=r"^training diverged in epoch \d+: .* \(learning rate 50\).*Lower"
    ) as caught:
        run()
    error = caught.value
    assert error.epoch == len(kept)
    assert all(np.isfinite(state.theta).all() for state in kept)
    np.testing.assert_array_equal(error.state.theta, kept[-1].theta.astype(dtype))
    assert isinstance(error, FloatingPointError)


def test_divergence_in_every_library(library, dtype, XY):
    X, Y = XY
    model = Model(Sequential(Dense(3)))
    with warnings.catch_warnings():
        if library.name.startswith("strict"):  # it warns on NumPy's behalf, and no lowering quiets it
            warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(DivergedError) as caught:
            last(epochs(model, start(model, GradientDescent(1e30)), library.asarray(X, dtype), Y), 1000)
    assert library.owns(caught.value.state.theta)
    assert np.isfinite(to_numpy(caught.value.state.theta)).all()


def test_a_diverged_error_can_be_pickled(XY):
    X, Y = XY
    with pytest.raises(DivergedError) as caught:
        last(epochs(Model(NETWORK), start(Model(NETWORK), GradientDescent(1e9)), X, Y), 1000)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.epoch, str(copy)) == (caught.value.epoch, str(caught.value))
    assert everything(copy.state) == everything(caught.value.state)


def test_a_parameter_that_is_not_finite_is_noticed_though_the_cost_is():
    X, Y = np.full((2, 1), 1e30, np.float32), np.zeros((2, 1), np.float32)
    model = Model(Sequential(Dense(1, bias=False)))
    state = initial_state(np.full(1, 1e-15, np.float32), GradientDescent(1e30))
    with pytest.raises(DivergedError, match="in epoch 1: a parameter is no longer finite") as caught:
        next(epochs(model, state, X, Y))
    assert caught.value.state.step == 0


def test_costs_that_overflow_only_together_end_without_a_warning():
    """Each batch's cost is finite in float32, their sum is not."""
    X, Y = np.ones((8, 1), np.float32), np.zeros((8, 1), np.float32)
    model = Model(Sequential(Dense(1, bias=False)), reduction="sum")
    state = initial_state(np.full(1, 1.5e19, np.float32), GradientDescent(1e-10))
    with pytest.raises(DivergedError):
        next(epochs(model, state, X, Y, batch_size=1, shuffle=False))


def test_a_diverged_run_is_over(XY):
    X, Y = XY
    run = epochs(Model(NETWORK), start(Model(NETWORK), GradientDescent(1e9)), X, Y)
    with pytest.raises(DivergedError):
        last(run, 1000)
    with pytest.raises(StopIteration):
        next(run)


# --- the same run everywhere


def run_200(X, Y, dtype, optimizer, batch_size=None):
    state, cost = last(epochs(MODEL, start(optimizer=optimizer), X, Y, batch_size=batch_size), 200)
    return to_numpy(state.theta), cost


def test_200_steps_are_the_same_in_every_library(library, dtype, XY):
    """Gradient descent: Adam's first steps are the gradient's sign, and turn a rounding of it into whole steps."""
    X, Y = XY
    theta, cost = run_200(library.asarray(X, dtype), library.asarray(Y, dtype), dtype, GradientDescent(0.3))
    expected, expected_cost = run_200(X.astype(dtype), Y.astype(dtype), dtype, GradientDescent(0.3))
    rtol = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(theta, expected, rtol=rtol, atol=rtol)
    assert cost == pytest.approx(expected_cost, rel=rtol)


@pytest.mark.parametrize("optimizer", [Momentum(0.05, nesterov=True), AdamW(0.01, epsilon=1e-3)], ids=repr)
def test_shuffled_minibatches_are_the_same_in_every_library(library, XY, optimizer):
    X, Y = XY
    options = {"batch_size": 8, "sample_weight": np.linspace(0.1, 1.0, M), "clip_norm": 0.5, "schedule": Cosine(9)}
    ours, cost = last(epochs(MODEL, start(optimizer=optimizer), library.asarray(X, "float64"), Y, **options), 3)
    expected, expected_cost = last(epochs(MODEL, start(optimizer=optimizer), X, Y, **options), 3)
    np.testing.assert_allclose(to_numpy(ours.theta), expected.theta, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(ours.order, expected.order)
    assert cost == pytest.approx(expected_cost, rel=1e-11)


def test_training_lowers_the_cost_and_learns(XY):
    X, Y = XY
    costs = [cost for _, cost in islice(epochs(MODEL, start(), X, Y), 300)]
    assert costs == sorted(costs, reverse=True)
    state, _ = last(epochs(MODEL, start(), X, Y), 300)
    assert (MODEL.predict(state.theta, X).argmax(axis=1) == Y.argmax(axis=1)).mean() > 0.9


def test_runs_in_two_threads_give_the_numbers_of_a_run_alone(rng):
    X, Y = rng.normal(size=(120, 60)), np.eye(3)[rng.integers(0, 3, 120)]
    model = Model(Sequential(Dense(150, "relu"), Dense(120, "tanh"), Dense(3)), "cross_entropy", l2=1e-3)
    optimizers = [Adam(1e-3), Momentum(0.01)]

    def run(optimizer):
        return everything(last(epochs(model, start(model, optimizer, n_features=60), X, Y, batch_size=50), 6)[0])

    alone, results = [run(optimizer) for optimizer in optimizers], {}
    threads = [threading.Thread(target=lambda o=o: results.update({o: run(o)})) for o in optimizers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[o] for o in optimizers] == alone


def test_two_runs_of_one_thread_may_alternate(XY):
    X, Y = XY
    one, other = (epochs(MODEL, start(seed=seed), X, Y, batch_size=5) for seed in (1, 2))
    for _ in range(4):
        a, b = next(one), next(other)
    for pair, seed in ((a, 1), (b, 2)):
        assert everything(pair[0]) == everything(last(epochs(MODEL, start(seed=seed), X, Y, batch_size=5), 4)[0])


# --- what comes in


def test_everything_follows_X(library, dtype, XY):
    X, Y = XY
    state, _ = next(
        epochs(MODEL, start(optimizer=Adam()), library.asarray(X, dtype), Y.astype(int).tolist(), batch_size=10)
    )
    assert library.owns(state.theta)
    assert all(library.owns(v) for v in state.slots)
    assert all(a.dtype == getattr(library.xp, dtype) for a in (state.theta, *state.slots))


def test_host_data_goes_to_the_given_backend(library, XY):
    X, Y = XY
    state, _ = next(epochs(MODEL, start(), X.tolist(), Y, backend=library.backend))
    assert library.owns(state.theta)


@pytest.mark.parametrize(
    ("model", "optimizer", "options"),
    [
        (Model(NETWORK, l2=np.float64(0.1)), GradientDescent(0.1), {}),
        (MODEL, GradientDescent(np.float64(0.1)), {}),
        (MODEL, Momentum(0.1, np.float64(0.5)), {}),
        (MODEL, AdamW(0.1, np.float64(0.5), np.float64(0.9), np.float64(1e-8), np.float64(0.1)), {}),
        (MODEL, GradientDescent(0.1), {"clip_norm": np.float64(1.0)}),
        (MODEL, GradientDescent(0.1), {"schedule": lambda t: np.float64(0.5)}),
        (MODEL, GradientDescent(0.1), {"batch_size": np.int64(5)}),
    ],
)
def test_numpys_numbers_among_the_settings_change_no_dtype(library, XY, model, optimizer, options):
    X, Y = XY
    state, _ = next(epochs(model, start(model, optimizer), library.asarray(X, "float32"), Y, **options))
    assert library.owns(state.theta)
    assert state.theta.dtype == library.xp.float32


def test_transposed_and_sliced_data_is_data(XY):
    X, Y = XY
    expected = everything(last(epochs(MODEL, start(), X[::2], Y[::2]), 3)[0])
    again = everything(last(epochs(MODEL, start(), X[::2].copy(), Y[::2].copy()), 3)[0])
    fortran = last(epochs(MODEL, start(), np.asfortranarray(X[::2]), Y[::2]), 3)[0]
    assert expected[1:] == again[1:]
    np.testing.assert_allclose(np.frombuffer(expected[0][0]), fortran.theta, rtol=1e-12)


REFUSED = {
    "no batch": ({"batch_size": 0}, r"^batch_size.* is 0; it must be a whole number, 1 or more"),
    "half a sample": ({"batch_size": 2.5}, r"^batch_size.* is 2.5; it must be a whole number"),
    "a truth": ({"batch_size": True}, r"^batch_size.* is True; it must be a whole number"),
    "no norm": ({"clip_norm": 0.0}, r"^clip_norm is 0.0; it must be a number above 0, or None"),
    "a negative norm": ({"clip_norm": -1.0}, r"^clip_norm is -1.0; it must be a number above 0, or None"),
    "no number as norm": ({"clip_norm": float("nan")}, r"^clip_norm is nan; it must be a number above 0, or None"),
    "a text as norm": ({"clip_norm": "a"}, r"^clip_norm is 'a'; it must be a number above 0, or None"),
    "a schedule that is a number": ({"schedule": 3}, r"^schedule is 3; it must be a function of the step"),
    "a seed as generator": ({"rng": 5, "batch_size": 2}, r"^rng is 5; shuffled minibatches need a generator"),
    "weights": ({"sample_weight": np.ones(3)}, r"^sample_weight has shape \(3,\); it must be \(23,\)"),
    "backend": ({"backend": "abacus"}, r"^backend is 'abacus'; allowed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_named_before_the_first_epoch(XY, what):
    options, said = REFUSED[what]
    with pytest.raises(ValueError, match=said):
        epochs(MODEL, start(), *XY, **options)


def test_a_state_of_another_network_is_refused(XY):
    X, Y = XY
    with pytest.raises(
        ValueError, match=r"^state.theta has shape \(48,\).*\(3,\).* has 43 parameters: .*model.initial\("
    ):
        epochs(MODEL, start(), X[:, :3], Y)


def test_shuffling_needs_a_generator(XY):
    state = replace(start(), rng=None)
    with pytest.raises(ValueError, match=r"^rng is None; shuffled minibatches need a generator, .*shuffle=False"):
        epochs(MODEL, state, *XY, batch_size=5)
    next(epochs(MODEL, state, *XY, batch_size=5, rng=np.random.default_rng(0)))


# --- the rest


def test_alone_every_sum_is_complete():
    assert Alone().sum(1.0, 2.0) == (1.0, 2.0)
    assert (Alone().rank, Alone().size) == (0, 1)


def test_a_communicators_sums_are_what_is_divided(XY):
    """Two processes that hold the same data: sums double, means stay."""
    X, Y = XY

    class Twin(Alone):
        def sum(self, *sums):
            return tuple(2 * s for s in sums)

    for model, factor in ((MODEL, 1), (Model(NETWORK, "cross_entropy", reduction="sum"), 2)):
        twin, cost = next(epochs(model, start(model, GradientDescent(0.01)), X, Y, communicator=Twin()))
        alone, alone_cost = next(epochs(model, start(model, GradientDescent(0.01 * factor)), X, Y))
        np.testing.assert_allclose(twin.theta, alone.theta, rtol=1e-12)
        assert cost == pytest.approx(factor * alone_cost, rel=1e-12)


@pytest.mark.parametrize(
    ("change", "size", "tol", "settled"),
    [
        (1e-5, 0.5, 1e-4, True),
        (2e-4, 0.5, 1e-4, False),
        (5e-4, 10.0, 1e-4, True),
        (2e-3, 10.0, 1e-4, False),
        (0.0, 0.5, 0.0, True),
        (-2e-4, 0.5, 1e-4, False),
    ],
)
def test_weights_have_settled(library, dtype, change, size, tol, settled):
    after = np.array([0.1, -size, 0.2])
    before = after - np.array([0.0, 0.0, change])
    given = library.asarray(before, dtype), library.asarray(after, dtype)
    assert weights_settled(*given, tol) is settled


def test_a_loop_ends_after_n_epochs(XY):
    X, Y = XY
    state = MODEL.initial(np.random.default_rng(0), 4, Adam())
    counted = list(epochs(MODEL, state, X, Y, batch_size=7, n_epochs=3))
    endless = list(islice(epochs(MODEL, state, X, Y, batch_size=7), 3))
    assert [cost for _, cost in counted] == [cost for _, cost in endless]
    np.testing.assert_array_equal(counted[-1][0].theta, endless[-1][0].theta)
    with pytest.raises(ValueError, match=r"n_epochs \(None for no end\) is 0"):
        epochs(MODEL, state, X, Y, n_epochs=0)


def test_parameters_by_name(library, XY):
    X, Y = (library.asarray(a, "float64") for a in XY)
    state = MODEL.initial(np.random.default_rng(0), 4, Adam())
    assert state.in_shape == (4,)
    for trained, _ in epochs(MODEL, state, X, Y, n_epochs=1):
        named = trained.parameters(MODEL)
        assert list(named) == ["W1", "b1", "alpha2", "W3", "b3"]
        (W1, b1), (alpha,), (W3, b3) = MODEL.layout(4).unpack(trained.theta)
        for given, wanted in zip(named.values(), (W1, b1, alpha, W3, b3), strict=True):
            np.testing.assert_array_equal(to_numpy(given), to_numpy(wanted))
    by_hand = initial_state(state.theta, Adam())
    with pytest.raises(ValueError, match="this state has no in_shape"):
        by_hand.parameters(MODEL)
    (after, _), *_ = epochs(MODEL, by_hand, *XY, n_epochs=1)  # epochs knows the shape of a sample
    assert after.parameters(MODEL)["W1"].shape == (4, 5)
    with pytest.raises(ValueError, match="theta has shape"):
        after.parameters(Model(Sequential(Dense(1))))


def test_a_state_that_is_sent_knows_the_shape_of_a_sample(XY):
    state = MODEL.initial(np.random.default_rng(0), 4, Adam())
    passes = epochs(MODEL, state, *XY)
    next(passes)
    after, _ = passes.send(initial_state(state.theta, Adam()))
    assert (after.in_shape, after.parameters(MODEL)["W1"].shape) == ((4,), (4, 5))
    after, _ = passes.send(replace(after, in_shape=(99,)))
    assert after.in_shape == (4,)


def test_a_state_of_another_optimizer_is_refused(XY):
    state = MODEL.initial(np.random.default_rng(0), 4, Adam())
    for other in (GradientDescent(0.1), Adam(beta_1=0.5)):
        passes = epochs(MODEL, state, *XY)
        after, _ = next(passes)
        with pytest.raises(ValueError, match=r"a state sent has the optimizer .*; training began with Adam"):
            passes.send(replace(after, optimizer=other))
    with pytest.raises(ValueError, match="state has 2 slots, and GradientDescent needs 0"):
        epochs(MODEL, replace(state, optimizer=GradientDescent(0.1)), *XY)
    with pytest.raises(ValueError, match=r"state is a tuple; it must be a State, and epochs yields \(state, cost\)"):
        epochs(MODEL, (state, 0.0), *XY)
