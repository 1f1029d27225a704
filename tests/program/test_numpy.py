"""Replays on NumPy: calls one after the other, with outputs in memory that is allocated beforehand."""

import tracemalloc

import numpy as np
import pytest

from xpnet import Adam, GradientDescent
from xpnet.backends import array_namespace
from xpnet.program import numpy as numpy_replay, plan as planning, record
from xpnet.program.numpy import Replay, aligned
from xpnet.program.plan import plan
from xpnet.program.plan_items import ALIGNMENT

from .test_plan import a_step

NUMPYS_OWN = 8 * np.getbufsize() + 2048
"""Bytes of the buffer of NumPy's own loop over rows, and of the arguments of Python's calls."""


def bound(function, *arrays, **settings):
    return Replay(plan(record(function, *arrays), **settings), arrays)


def allocated(function, n=20):
    """The peak of the bytes that a function allocated."""
    for _ in range(3):
        function()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(n):
            function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def drawn(program, rng):
    """Random numbers for the inputs of a training step."""
    return [np.array(np.abs(rng.normal(size=v.shape)), v.dtype) for v in program.inputs]


@pytest.mark.parametrize("block", [500, 1 << 17])
@pytest.mark.parametrize("optimizer", [GradientDescent(0.1), Adam(0.1)], ids=repr)
def test_a_replay_allocates_nothing(optimizer, block, monkeypatch, rng):
    monkeypatch.setattr(planning, "BLOCK", block)
    program, planned = a_step(optimizer, (90, 110, 100, 10), 200, l1=0.1, l2=0.1)
    replay = Replay(planned, drawn(program, rng))
    assert len(replay.calls) > 40
    with np.errstate(all="ignore"):
        assert allocated(replay) < NUMPYS_OWN
    assert all(nbytes > NUMPYS_OWN for nbytes in (8 * 200 * 90, 8 * 90 * 110))  # a batch, a hidden layer, a gradient
    assert allocated(lambda: np.ones((200, 100))) > NUMPYS_OWN


def test_a_constant_is_freed_with_the_last_replay_that_needs_it():
    def at_least(x):
        return array_namespace(x).maximum(x, 0.123)

    replays = [bound(at_least, np.zeros(1000)) for _ in range(2)]
    assert [key for key in numpy_replay._CONSTANTS if key[0] == "0.123"] == [("0.123", np.dtype("float64"), 1000)]
    del replays
    assert not [key for key in numpy_replay._CONSTANTS if key[0] == "0.123"]


def test_inputs_are_read_in_place():
    x = np.zeros(3)
    replay = bound(lambda x: x + 1.0, x)
    x[...] = 5.0
    replay()
    np.testing.assert_array_equal(replay.outputs[0], 6.0)
    np.testing.assert_array_equal(x, 5.0)


@pytest.mark.parametrize("wrong", [np.zeros(4), np.zeros(3, np.float32), np.zeros(6)[::2]])
def test_inputs_of_another_shape_dtype_or_layout_are_refused(wrong):
    planned = plan(record(lambda x: x + 1.0, np.zeros(3)))
    with pytest.raises(ValueError, match="an input is float"):
        Replay(planned, [wrong])


def test_replays_may_share_their_memory():
    x, y = np.arange(3.0), np.arange(4.0)
    one = bound(lambda x: (x + 1.0) * 2.0, x)
    other = Replay(plan(record(lambda y: (y - 1.0) * 3.0, y)), [y], one.memory)
    assert other.memory is not one.memory  # which is too small
    third = Replay(plan(record(lambda x: x * 7.0, x)), [x], other.memory)
    assert third.memory is other.memory
    for replay, expected in ((one, (x + 1.0) * 2.0), (other, (y - 1.0) * 3.0), (third, x * 7.0)):
        replay()
        np.testing.assert_array_equal(replay.outputs[0], expected)


@pytest.mark.parametrize("size", [1, 63, 64, 1000])
def test_memory_begins_at_a_cache_line(size):
    memory = aligned(size)
    assert (memory.size, memory.dtype) == (size, np.uint8)
    assert memory.ctypes.data % ALIGNMENT == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(7, 3), (7, 32), (7, 33), (1, 5), (5, 1), (40, 200)])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_reductions_of_narrow_and_wide_rows(shape, dtype, axis, rng):
    def function(x):
        xp = array_namespace(x)
        return [f(x, axis=axis, keepdims=k) for f in (xp.sum, xp.max, xp.min) for k in (False, True)]

    x = rng.normal(size=shape).astype(dtype)
    replay = bound(function, x)
    replay()
    for found, expected in zip(replay.outputs, function(x), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-5)


def test_a_maximum_propagates_nan_as_numpy_does():
    x = np.array([[np.nan, 1.0], [2.0, -3.0]])
    replay = bound(lambda x: (array_namespace(x).maximum(x, 0.0), array_namespace(x).max(x, axis=1)), x)
    replay()
    np.testing.assert_array_equal(replay.outputs[0], np.maximum(x, 0.0))
    np.testing.assert_array_equal(replay.outputs[1], x.max(axis=1))
