"""Replayed training: the numbers of the definitions without new arrays, for any network and from any thread."""

import contextlib
import logging
import os
import subprocess
import sys
import threading
import tracemalloc
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import xpnet
from xpnet import (
    Adam,
    AdamW,
    Dense,
    Dropout,
    GradientDescent,
    Model,
    Momentum,
    PReLU,
    Sequential,
    epochs,
)
from xpnet.backends import array_namespace
from xpnet.equations import activations, losses
from xpnet.equations.optimizers import Optimizer
from xpnet.program import may_replay, numpy_steps, plan as planning, steps as steps_module, without_replays
from xpnet.program.numpy_steps import Replays
from xpnet.program.recorder import say_why
from xpnet.program.replayed_functions import FIRST_CALLS
from xpnet.state import State

from .samples import M, N, data
from .test_numpy import NUMPYS_OWN, allocated

pytestmark = pytest.mark.skipif(not may_replay(), reason="XPNET_REPLAY switches replays off")

HOUSE = str(Path(xpnet.__file__).parent)


def trained(model, X, Y, optimizer, n=6, **settings):
    """State and cost after so many epochs."""
    state = model.initial(np.random.default_rng(1), X.shape[1:], optimizer)
    settings = {"batch_size": 25, "rng": np.random.default_rng(2)} | settings
    *_, last = islice(epochs(model, state, X, Y, **settings), n)
    return last


def both(model, X, Y, optimizer, **settings):
    """The results of training with replays and without; asserts that the first were replayed."""
    replays = []
    original = numpy_steps.Bound.__call__

    def counted(self, *arguments):
        replays.append(self)
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_steps.Bound, "__call__", counted)
        replayed = trained(model, X, Y, optimizer, **settings)
    with without_replays():
        defined = trained(model, X, Y, optimizer, **settings)
    assert replays
    return replayed, defined


def assert_the_same(replayed, defined, dtype="float64"):
    (state, cost), (expected, expected_cost) = replayed, defined
    rtol, atol = {"float64": (1e-11, 1e-13), "float32": (2e-4, 2e-6)}[dtype]
    assert state.theta.dtype == dtype
    assert cost == pytest.approx(expected_cost, rel=rtol)
    for a, b in zip((state.theta, *state.slots), (expected.theta, *expected.slots), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
    assert state.step == expected.step
    if state.gradient_norm is not None or expected.gradient_norm is not None:
        assert state.gradient_norm == pytest.approx(expected.gradient_norm, rel=rtol)


# --- the same numbers

LOSSES = sorted(losses.BY_NAME)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss, dtype, rng):
    X, Y = data(loss, 3, rng)
    model = Model(Sequential(Dense(9, "tanh"), Dense(3)), loss, l2=1e-2)
    assert_the_same(*both(model, X.astype(dtype), Y, GradientDescent(0.05)), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("f", sorted(activations.BY_NAME))
def test_every_activation(f, dtype, rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(8, f), Dense(6, f), Dense(2)))
    assert_the_same(*both(model, (X / 4).astype(dtype), Y / 4, Momentum(1e-4)), dtype)


RULES = [
    GradientDescent(0.05), Momentum(0.05), Momentum(0.05, nesterov=True), Adam(0.01), AdamW(0.01, weight_decay=0.1)
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("block", [40, 1 << 17], ids=["in parts", "whole"])
@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_every_rule_with_dropout_penalties_weights_and_clipping(rule, block, dtype, rng, monkeypatch):
    monkeypatch.setattr(planning, "BLOCK", block)
    X, Y = data("cross_entropy", 4, rng)
    network = Sequential(
        Dense(12, "relu"), Dropout(0.3), PReLU(), Dense(10, activations.ELU(0.7)), Dropout(0.1), Dense(4)
    )
    for settings in ({}, {"sample_weight": rng.uniform(0.5, 2.0, M), "clip_norm": 0.3}, {"clip_norm": np.inf}):
        model = Model(network, "cross_entropy", l1=1e-3, l2=1e-2, scale_penalty=bool(settings))
        assert_the_same(*both(model, X.astype(dtype), Y, rule, **settings), dtype)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("batch_size", [None, 1, 25, 60, 1000])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_of_any_size(batch_size, shuffle, reduction, rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "sigmoid"), Dense(2)), reduction=reduction, l2=0.1)
    settings = {"batch_size": batch_size, "shuffle": shuffle}
    assert_the_same(*both(model, X, Y, GradientDescent(0.001), **settings))


def test_data_that_are_not_contiguous(rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "sigmoid"), Dense(2)))
    expected = trained(model, X, Y, Adam(0.01))
    wide = np.zeros((M, N + 3))
    wide[:, :N] = X
    for X_there in (np.asfortranarray(X), wide[:, :N], wide[:, :N][::-1][::-1]):
        assert_the_same(trained(model, X_there, np.asfortranarray(Y), Adam(0.01)), expected)


def test_a_large_net_is_replayed_from_its_first_step(rng, monkeypatch):
    X, Y = rng.normal(size=(80, 200)), rng.normal(size=(80, 100))
    model, defined = Model(Sequential(Dense(150, "relu"), Dense(100))), []
    original = Replays._run_definition
    monkeypatch.setattr(Replays, "_run_definition", lambda *a: defined.append(1) or original(*a))
    trained(model, X, Y, GradientDescent(1e-3), n=1, batch_size=80)
    assert defined == []
    small = Model(Sequential(Dense(4), Dense(100)))
    trained(small, X, Y, GradientDescent(1e-3), n=1, batch_size=10)
    assert len(defined) == FIRST_CALLS


def test_a_resumed_run_computes_the_same_bits(rng):
    """Even if only the first of its steps run as definitions."""
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)))
    state = model.initial(np.random.default_rng(1), N, Adam(0.01))
    whole = [state.theta.tobytes() for state, _ in islice(epochs(model, state, X, Y), 6)]
    for n in (1, 2, 3, 4):
        (*_, (then, _)) = islice(epochs(model, state, X, Y), n)
        rest = [after.theta.tobytes() for after, _ in islice(epochs(model, then, X, Y), 6 - n)]
        assert rest == whole[n:]


# --- rows in files


@pytest.mark.parametrize("stored", ["float64", "float32", "int16"])
def test_rows_of_a_memmap_are_read_into_the_batch(tmp_path, stored, rng):
    X, Y = data("half_squared_error", 2, rng)
    X = (X * 8).round().astype(stored)
    there = np.memmap(tmp_path / "X", stored, "w+", shape=X.shape)
    there[...] = X
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)))
    found = trained(model, there, Y, Adam(0.01))
    expected = trained(model, X.astype(found[0].theta.dtype), Y, Adam(0.01))
    assert found[0].theta.tobytes() == expected[0].theta.tobytes()


def test_rows_of_hdf5(tmp_path, rng):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)))
    with h5py.File(tmp_path / "X.h5", "w") as file:
        there = file.create_dataset("X", data=X, chunks=(8, N))
        found = trained(model, there, Y, Adam(0.01), shuffle=False)
    expected = trained(model, X, Y, Adam(0.01), shuffle=False)
    assert found[0].theta.tobytes() == expected[0].theta.tobytes()


# --- memory and calls


def test_a_step_allocates_nothing(rng):
    X, Y = rng.normal(size=(800, 120)), rng.normal(size=(800, 100))
    model = Model(Sequential(Dense(110, "relu"), Dense(100)))
    state = model.initial(rng, 120, Adam(1e-3))
    passes = epochs(model, state, X, Y, batch_size=200, rng=rng)
    per_epoch = allocated(lambda: next(passes), n=3)
    assert per_epoch < NUMPYS_OWN + 6 * 8 * 800 + 5000  # the order of the rows, and a RandomState
    assert 8 * model.layout(120).n_parameters > 2 * NUMPYS_OWN  # so no state is copied


def functions_of_xpnet(run):
    """The functions of xpnet that are called; a comprehension is part of one."""
    seen = set()

    def profile(frame, event, argument):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(HOUSE) and not code.co_name.startswith("<"):
            seen.add((code.co_filename, code.co_name))

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return seen


def test_a_minibatch_calls_few_functions(rng):
    X, Y = rng.normal(size=(90, N)), rng.normal(size=(90, 2))
    model = Model(Sequential(Dense(5, "relu"), Dense(2)))
    passes = epochs(model, model.initial(rng, N, Adam()), X, Y, batch_size=30, rng=rng)
    for _ in range(3):
        next(passes)
    assert len(functions_of_xpnet(lambda: next(passes))) <= 25


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
def test_batches_of_many_sizes_need_bounded_memory(rng):
    X, y = rng.normal(size=(400, 200)), rng.normal(size=400)
    mlp = xpnet.MLPRegressor(hidden_layer_sizes=(20,), batch_size=400)

    def passes(sizes):
        for n in sizes:
            mlp.partial_fit(X[:n], y[:n])

    passes(range(200, 230))
    tracemalloc.start()
    passes(range(230, 330))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 3 * steps_module.MOST_SIZES * 330 * (200 + 60) * 8


# --- yielded states are not overwritten


def states_of(model, X, Y, optimizer, n=8, **settings):
    state = model.initial(np.random.default_rng(1), N, optimizer)
    settings = {"batch_size": 20, "rng": np.random.default_rng(2)} | settings
    return [state for state, _ in islice(epochs(model, state, X, Y, **settings), n)]


def read(state):
    return state.theta.tobytes(), *(a.tobytes() for a in state.slots)


@pytest.mark.parametrize("optimizer", [GradientDescent(0.1), Adam(0.01)], ids=repr)
@pytest.mark.parametrize("order", [1, -1])
def test_states_that_are_read_later_have_not_changed(optimizer, order, rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)))
    at_once = []
    state = model.initial(np.random.default_rng(1), N, optimizer)
    for state, _ in islice(epochs(model, state, X, Y, batch_size=20, rng=np.random.default_rng(2)), 8):
        at_once.append(read(state))
    states = states_of(model, X, Y, optimizer)
    assert [read(state) for state in states[::order]] == at_once[::order]


def test_states_are_copied_only_if_they_are_referenced(rng, monkeypatch):
    X, Y = data("half_squared_error", 2, rng)
    model, copies = Model(Sequential(Dense(5, "tanh"), Dense(2))), []
    original = steps_module.Kept.take
    monkeypatch.setattr(steps_module.Kept, "take", lambda self, *which: copies.append(which) or original(self, *which))
    state = model.initial(rng, N, Adam())
    for _ in islice(epochs(model, state, X, Y), 8):
        pass
    assert copies == []


def test_only_the_arrays_that_are_read_are_copied(rng, monkeypatch):
    X, Y = data("half_squared_error", 2, rng)
    model, copied = Model(Sequential(Dense(5, "tanh"), Dense(2))), []
    state = model.initial(rng, N, Adam())
    passes = epochs(model, state, X, Y)
    for _ in range(3):
        state, _ = next(passes)
    monkeypatch.setattr(steps_module, "_copied", lambda a: copied.append(a) or np.array(a))
    theta = state.theta
    assert [a.shape for a in copied] == [theta.shape]
    assert state.theta is theta
    passes.close()
    del passes
    before = list(map(id, state._kept.arrays))
    assert list(map(id, state.slots)) == before[1:]  # as nothing overwrites them any more
    assert len(copied) == 1


def test_a_thread_may_read_states_while_training_goes_on(rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(30, "tanh"), Dense(2)))
    expected = [read(state) for state in states_of(model, X, Y, Adam(0.01), n=60)]
    found, waiting, done = {}, [], threading.Event()

    def reader():
        while not (done.is_set() and not waiting):
            while waiting:
                k, state = waiting.pop()
                found[k] = read(state)

    threads = [threading.Thread(target=reader) for _ in range(2)]
    for thread in threads:
        thread.start()
    state = model.initial(np.random.default_rng(1), N, Adam(0.01))
    for k, (state, _) in enumerate(islice(epochs(model, state, X, Y, batch_size=20, rng=np.random.default_rng(2)), 60)):
        waiting.append((k, state))
    done.set()
    for thread in threads:
        thread.join()
    assert [found[k] for k in range(60)] == expected


def test_training_continues_from_a_state_that_is_sent(rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)))
    start = model.initial(np.random.default_rng(1), N, Adam(0.01))
    passes = epochs(model, start, X, Y)
    states = [next(passes)[0] for _ in range(6)]
    again, _ = passes.send(states[2])
    assert read(again) == read(states[3])
    *_, (sixth, _) = islice(epochs(model, start, X, Y), 6)
    assert read(states[5]) == read(sixth)


@pytest.mark.parametrize(
    ("change", "shapes"),
    [(lambda a: a[:5], r"\(5,\)"), (lambda a: a[:1], r"\(1,\)"), (lambda a: a[0], r"\(\)")],
)
@pytest.mark.parametrize("is_replayed", [True, False])
def test_a_state_of_other_shapes_is_refused(change, shapes, is_replayed, rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)))
    with contextlib.nullcontext() if is_replayed else without_replays():
        passes = epochs(model, model.initial(rng, N, Adam(0.01)), X, Y)
        state, _ = next(passes)
        with pytest.raises(ValueError, match=f"a state sent has arrays of shapes .{shapes}"):
            passes.send(replace(state, theta=change(state.theta)))


@dataclass(frozen=True)
class Heavy(Optimizer):
    """A rule that returns its arguments as slots: the previous parameters, and another moment."""

    slots = 3

    def update(self, theta, g, slots, scalars):
        before, a, b = slots
        return theta - scalars.alpha * (g + 0.5 * a) + 0.01 * (theta - before), theta, b + g, a


def test_a_rule_may_return_its_arguments(rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)))
    for n in (1, 6):
        assert_the_same(*both(model, X, Y, Heavy(0.01), n=n, batch_size=10))


# --- processes and threads


FORKED = """
import os
import numpy as np
from xpnet import Adam, Dense, Model, Sequential, epochs

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(60, 7)), rng.normal(size=(60, 2))
model = Model(Sequential(Dense(5, "tanh"), Dense(2)))
passes = epochs(model, model.initial(rng, 7, Adam(0.01)), X, Y, batch_size=20, rng=rng)
for _ in range(4):
    state, _ = next(passes)  # which has not been read yet
receive, send = os.pipe()
child = os.fork()
if child == 0:
    os.write(send, next(passes)[0].theta.tobytes() + state.theta.tobytes())
    os._exit(0)
kept, after = state.theta.tobytes(), next(passes)[0].theta.tobytes()
os.waitpid(child, 0)
assert os.read(receive, 1 << 20) == after + kept
print("alike")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no os.fork")
def test_a_forked_child_continues_as_its_parent_does():
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("alike\n", 0), done.stderr


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_fits_in_several_threads_do_not_share_memory(rng):
    X, y = rng.normal(size=(M, N)), rng.integers(0, 3, M)
    seeds = range(6)

    def fitted(seed):
        return xpnet.MLPClassifier((8,), max_iter=12, random_state=seed, tol=0.0, n_iter_no_change=50).fit(X, y)

    def coefficients(mlp):
        return [a.tobytes() for a in (*mlp.coefs_, *mlp.intercepts_)]

    expected, found = {seed: coefficients(fitted(seed)) for seed in seeds}, {}
    threads = [threading.Thread(target=lambda s=s: found.update({s: coefficients(fitted(s))})) for s in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


# --- layers of a user's own


@dataclass(frozen=True)
class Sorted:
    """A layer whose operations can't be recorded."""

    def shapes(self, in_shape):
        return (), in_shape

    def initial(self, rng, in_shape):
        return ()

    def forward(self, params, X, train=None):
        order = np.argsort(X, axis=1)
        back = np.argsort(order, axis=1)
        return np.take_along_axis(X, order, 1), lambda dA, need_dX=True: (np.take_along_axis(dA, back, 1), ())


@dataclass(frozen=True)
class Noise:
    """A layer that draws random numbers on the host."""

    rng: np.random.Generator

    def shapes(self, in_shape):
        return (), in_shape

    def initial(self, rng, in_shape):
        return ()

    def forward(self, params, X, train=None):
        scale = 1.0 if train is None else float(self.rng.uniform(0.5, 1.5))
        return X * scale, lambda dA, need_dX=True: (dA * scale, ())


@dataclass(frozen=True)
class Skipped:
    """A layer that is skipped in half the steps: its random numbers are in no operation."""

    rng: np.random.Generator
    inner: Dense

    def shapes(self, in_shape):
        return self.inner.shapes(in_shape)

    def initial(self, rng, in_shape):
        return self.inner.initial(rng, in_shape)

    def forward(self, params, X, train=None):
        if train is None or self.rng.uniform() < 0.5:
            return self.inner.forward(params, X, train)
        zeros = tuple(p * 0.0 for p in params)
        return X, lambda dA, need_dX=True: (dA, zeros)


@pytest.fixture
def warnings_of(caplog):
    say_why.cache_clear()
    with caplog.at_level(logging.WARNING, "xpnet"):
        yield lambda: [record.getMessage() for record in caplog.records]


def test_a_layer_that_can_not_be_recorded_trains_by_its_definition(warnings_of, rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "tanh"), Sorted(), Dense(2)))
    found = trained(model, X, Y, Adam(0.01))
    (message,) = warnings_of()
    assert "a function can't be replayed" in message
    assert "the value of an array" in message
    assert "test_steps.py" in message
    with without_replays():
        assert_the_same(found, trained(model, X, Y, Adam(0.01)))


@pytest.mark.parametrize("layer", [Noise, lambda rng: Skipped(rng, Dense(5))], ids=["noise", "skipped"])
def test_a_layer_that_draws_on_the_host_trains_by_its_definition(layer, warnings_of, rng):
    X, Y = data("half_squared_error", 2, rng)
    costs = set()
    for seed in range(4):
        model = Model(Sequential(Dense(5, "tanh"), layer(np.random.default_rng(seed)), Dense(2)))
        state = model.initial(np.random.default_rng(1), N, GradientDescent(1e-300))
        costs |= {cost for _, cost in islice(epochs(model, state, X, Y), 12)}
    assert len(costs) > 1  # at such a learning rate only the random numbers make a difference
    assert all("random numbers of the host can't be recorded" in message for message in warnings_of())


@dataclass(frozen=True)
class Scaled:
    """A layer of a user's own that is recorded like any other."""

    factor: float

    def shapes(self, in_shape):
        return (), in_shape

    def initial(self, rng, in_shape):
        return ()

    def forward(self, params, X, train=None):
        xp = array_namespace(X)
        A = xp.tanh(X) * self.factor

        def backward(dA, need_dX=True):
            return dA * (self.factor - A * A / self.factor), ()

        return A, backward


def test_a_users_own_layer_is_replayed(warnings_of, rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5), Scaled(1.7), Dense(2)))
    assert_the_same(*both(model, X, Y, Adam(0.01)))
    assert warnings_of() == []


def test_trained_states_have_the_type_and_repr_of_states(rng):
    X, Y = data("half_squared_error", 2, rng)
    model = Model(Sequential(Dense(5, "tanh"), Dense(2)))
    state = trained(model, X, Y, Adam(0.01))[0]
    assert isinstance(state, State)
    assert repr(state).startswith("State(theta=array(")
