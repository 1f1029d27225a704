"""A dictionary of bounded size."""

import threading

from xpnet.program.bounded_dict import Bounded


def test_a_new_entry_replaces_the_oldest():
    kept = Bounded(2)
    kept["a"], kept["b"], kept["a"] = 1, 2, 3
    assert kept == {"a": 3, "b": 2}
    kept["c"] = 4
    assert kept == {"b": 2, "c": 4}


def test_a_value_is_made_once():
    kept, calls = Bounded(2), []
    for _ in range(3):
        assert kept.get_or_make("a", lambda: calls.append(1)) is None
    assert calls == [1]


def test_threads_may_share_it():
    kept, errors = Bounded(3), []

    def fill(k):
        try:
            for i in range(2000):
                assert kept.get_or_make((k, i), lambda: i) == i  # noqa: B023 (called at once)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=fill, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(kept) == 3
