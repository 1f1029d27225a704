"""Functions that are replayed once they have been called a few times."""

import logging
import threading

import numpy as np
import pytest

from xpnet.backends import array_namespace
from xpnet.program import Replayed, may_replay, without_replays
from xpnet.program.recorder import say_why
from xpnet.program.replayed_functions import FIRST_CALLS

pytestmark = pytest.mark.skipif(not may_replay(), reason="XPNET_REPLAY switches replays off")


class Counted:
    """x -> (x A + b, its sum), and how often it was called with numbers."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x, fixed):
        self.calls += isinstance(x, np.ndarray)
        A, b = fixed
        y = x @ A + b
        return y, array_namespace(y).sum(y)


FIXED = np.arange(6.0).reshape(2, 3), np.ones(3)


def test_a_function_is_replayed_from_the_fourth_call_on(rng):
    counted = Counted()
    replayed = Replayed(counted, (FIXED,))
    for _ in range(FIRST_CALLS + 3):
        x = rng.normal(size=(4, 2))
        y, total = replayed(x)
        np.testing.assert_allclose(y, x @ FIXED[0] + FIXED[1], rtol=1e-14)
        assert total == pytest.approx(y.sum())
    assert counted.calls == FIRST_CALLS


def test_earlier_results_are_not_overwritten(rng):
    replayed = Replayed(Counted(), (FIXED,))
    xs = [rng.normal(size=(4, 2)) for _ in range(8)]
    results = [replayed(x) for x in xs]
    for x, (y, _) in zip(xs, results, strict=True):
        np.testing.assert_allclose(y, x @ FIXED[0] + FIXED[1], rtol=1e-14)


def test_other_shapes_and_other_arrays_are_not_replayed(rng):
    counted = Counted()
    replayed = Replayed(counted, (FIXED,))
    for _ in range(5):
        replayed(rng.normal(size=(4, 2)))
    before = counted.calls
    x = rng.normal(size=(7, 2))
    np.testing.assert_allclose(replayed(x)[0], x @ FIXED[0] + FIXED[1], rtol=1e-14)
    x = x[:4].astype(np.float32)
    np.testing.assert_allclose(replayed(x)[0], x @ FIXED[0] + FIXED[1], rtol=1e-6)
    assert counted.calls == before + 2


def test_nothing_is_replayed_within_without_replays(rng):
    counted = Counted()
    replayed = Replayed(counted, (FIXED,))
    with without_replays():
        assert not may_replay()
        for _ in range(6):
            replayed(rng.normal(size=(4, 2)))
    assert counted.calls == 6
    assert may_replay()


@pytest.mark.parametrize("value", ["off", "0", "no", "False"])
def test_the_environment_switches_replays_off(monkeypatch, value):
    monkeypatch.setenv("XPNET_REPLAY", value)
    assert not may_replay()


def test_without_replays_holds_for_this_thread_only():
    seen = []
    with without_replays():
        thread = threading.Thread(target=lambda: seen.append(may_replay()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_threads_may_call_one_function(rng):
    replayed, wrong = Replayed(Counted(), (FIXED,)), []
    xs = rng.normal(size=(4, 200, 4, 2))

    def call(mine):
        wrong.extend(x for x in mine if not np.allclose(replayed(x)[0], x @ FIXED[0] + FIXED[1], rtol=1e-13))

    threads = [threading.Thread(target=call, args=(mine,)) for mine in xs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_function_that_can_not_be_recorded_runs_directly_and_is_logged_once(caplog):
    say_why.cache_clear()

    def function(x):
        return (array_namespace(x).sort(x),)

    with caplog.at_level(logging.WARNING, "xpnet"):
        for _ in range(2):
            replayed = Replayed(function)
            for _ in range(8):
                (y,) = replayed(np.array([2.0, 1.0]))
                assert y.tolist() == [1.0, 2.0]
    (message,) = [record.getMessage() for record in caplog.records]
    assert "xp.sort can't be recorded" in message
    assert f"test_replayed_functions.py:{function.__code__.co_firstlineno + 1}" in message


def test_a_fixed_number_keeps_its_shape():
    replayed = Replayed(lambda x, s: array_namespace(x).stack([s, s]) * x[0], (np.asarray(2.0),))
    assert [replayed(np.ones(3)).shape for _ in range(6)] == [(2,)] * 6
