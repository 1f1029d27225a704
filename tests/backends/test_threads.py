"""The number of BLAS threads: lowered for small steps, never raised, and restored whenever the caller runs."""

import threading

import pytest

from xpnet.backends import threads
from xpnet.backends.threads import OneThread
from xpnet.distributed import Alone
from xpnet.equations.layers import Dense
from xpnet.equations.optimizers import GradientDescent
from xpnet.model import Model
from xpnet.network import Sequential
from xpnet.program.replayed_functions import may_replay
from xpnet.training import epochs


class Blas:
    """A controller like those of threadpoolctl."""

    def __init__(self, n):
        self.n, self.seen = n, []

    def get_num_threads(self):
        return self.n

    def set_num_threads(self, n):
        self.seen.append(n)
        self.n = n


@pytest.fixture
def blas(monkeypatch):
    """Libraries with four threads, with one, and with an unknown number."""
    found = [Blas(4), Blas(1), Blas(None)]
    monkeypatch.setattr(threads, "libraries", lambda: found)
    return found


def numbers(blas):
    return [library.n for library in blas]


def test_one_thread_inside_and_as_before_afterwards(blas):
    one = OneThread()
    with one:
        assert numbers(blas) == [1, 1, None]
        with one:
            assert numbers(blas) == [1, 1, None]
        assert numbers(blas) == [1, 1, None]
    assert numbers(blas) == [4, 1, None]
    with pytest.raises(KeyError), one:
        raise KeyError
    assert numbers(blas) == [4, 1, None]
    assert [library.seen for library in blas] == [[1, 4, 1, 4], [], []]


def test_a_number_that_was_set_inside_stays(blas):
    with OneThread():
        blas[0].set_num_threads(2)
    assert blas[0].n == 2


def test_the_last_thread_to_leave_restores(blas):
    one, entered, leave = OneThread(), threading.Event(), threading.Event()

    def other():
        with one:
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with one:
        thread.start()
        assert entered.wait(10)
    assert blas[0].n == 1
    leave.set()
    thread.join()
    assert blas[0].n == 4


def test_a_child_process_has_its_parents_number(blas):
    one = OneThread()
    one.__enter__()
    one.after_fork()
    assert blas[0].n == 4
    with one:
        assert blas[0].n == 1
    assert blas[0].n == 4


def test_small_and_large(blas):
    with threads.threads_for(threads.SMALL_PRODUCT):
        assert blas[0].n == 4
    with threads.threads_for(threads.SMALL_PRODUCT - 1):
        assert blas[0].n == 1


@pytest.mark.parametrize(("width", "inside"), [(10, 1), (4000, 4)])
def test_training_lowers_the_number_for_small_steps_and_never_for_its_caller(blas, rng, width, inside):
    X, Y, seen = rng.normal(size=(50, 10)), rng.normal(size=(50, 1)), []
    model = Model(Sequential(Dense(width), Dense(1)))

    class Watching(Alone):
        def sum(self, *sums):
            seen.append(blas[0].n)
            return sums

    state = model.initial(rng, 10, GradientDescent(1e-5))
    run = epochs(model, state, X, Y, batch_size=50, shuffle=False, communicator=Watching())
    for _ in range(2):
        next(run)
        assert blas[0].n == 4
    run.close()
    assert blas[0].n == 4
    assert seen == ([inside, inside] if may_replay() else [4, 4])


def test_any_thread_may_lower_it_and_another_restore_it():
    """threadpoolctl obeys one thread at a time; this test uses its own controllers."""
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    before = [library.get_num_threads() for library in threads.libraries()]
    seen, entered, leave = [], threading.Event(), threading.Event()

    def first():
        with threads.ONE_THREAD:
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    assert entered.wait(10)
    with threads.ONE_THREAD:
        leave.set()
        thread.join()
        seen += [library.get_num_threads() for library in threads.libraries()]
    assert set(seen) <= {1}
    assert [library.get_num_threads() for library in threads.libraries()] == before
    other = threading.Thread(target=lambda: threads.ONE_THREAD.__enter__() or seen.append(threads.ONE_THREAD.before))
    other.start()
    other.join()
    threads.ONE_THREAD.__exit__()
    assert [n for _, n in seen[-1]] == [n for n in before if n > 1]
    assert [library.get_num_threads() for library in threads.libraries()] == before


def test_the_limits_of_another_thread_are_left_alone():
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    if not hasattr(threadpoolctl.LibController, "clear_controlling_thread") and not any(
        hasattr(library, "clear_controlling_thread") for library in threads.libraries()
    ):
        pytest.skip("this threadpoolctl lets every thread set the number")
    before = [library.get_num_threads() for library in threads.libraries()]
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        thread = threading.Thread(target=lambda: threads.ONE_THREAD.__enter__())
        thread.start()
        thread.join()
        inside = [library.get_num_threads() for library in threads.libraries()]
        threads.ONE_THREAD.__exit__()
        assert inside == [library.get_num_threads() for library in threads.libraries()]
    assert [library.get_num_threads() for library in threads.libraries()] == before


def test_the_libraries_are_found():
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    with threads.ONE_THREAD:
        assert all(library.get_num_threads() == 1 for library in threads.libraries())
