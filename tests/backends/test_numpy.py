"""NumPy's way: the pool never hands out memory that lives, and blocks change no bit of a result."""

import ctypes
import gc
import itertools
import os
import pickle
import queue
import random
import subprocess
import sys
import threading

import numpy as np
import pytest

from xpnet.backends import compile_step
from xpnet.backends import numpy as way
from xpnet.backends.numpy import Pool

if not way._COUNTS:
    pytest.skip("the pool stands aside where reference counts are not exact", allow_module_level=True)

SHAPE = (128, 128)
BYTES = 128 * 128 * 8


@pytest.fixture
def pool():
    """A pool of this test's own."""
    return Pool()


def address(a):
    return a.__array_interface__["data"][0]


def filled(pool, value, shape=SHAPE, dtype=np.float64):
    a = pool.empty(shape, dtype)
    a[...] = value
    return a


# --- one buffer's life


def test_a_buffer_is_used_again_once_nothing_lives_in_it(pool):
    a = pool.empty(SHAPE, np.float64)
    first = address(a)
    b = pool.empty(SHAPE, np.float64)
    assert address(b) != first
    del a
    c = pool.empty(SHAPE, np.float64)
    assert address(c) == first
    assert pool.bytes == 2 * (BYTES + 64)


def test_a_buffer_serves_every_shape_and_dtype_of_its_size(pool):
    a = pool.empty(SHAPE, np.float64)
    first = address(a)
    del a
    a = pool.empty((2, 128, 128), np.float32)
    assert (address(a), a.shape, a.dtype) == (first, (2, 128, 128), np.float32)
    del a
    assert address(pool.empty((BYTES,), np.uint8)) == first


def _traceback(a):
    def fail(x):
        raise ValueError

    try:
        fail(a)
    except ValueError as error:
        return error


def _generator(a):
    def generate():
        yield a.sum()
        yield a

    running = generate()
    next(running)
    return running


def _cycle(a):
    cycle = [a]
    cycle.append(cycle)
    return cycle


KEEPERS = {
    "the array itself": lambda a: a,
    "a view": lambda a: a[2:5],
    "a view of a view": lambda a: a[2:100][:, 3:9][::2],
    "a transposed view": lambda a: a.T,
    "a reshaped view": lambda a: a.reshape(-1)[5:],
    "one number's view": lambda a: a[3:4, 3:4].reshape(()),
    "other numbers": lambda a: a.view(np.uint8)[1:],
    "a broadcast view": lambda a: np.broadcast_to(a[0], (5, 128)),
    "a strided view": lambda a: np.lib.stride_tricks.sliding_window_view(a, (3, 3)),
    "a subclass": lambda a: a.view(np.ma.MaskedArray),
    "a field": lambda a: a.view([("x", float), ("y", float)])["y"],
    "a memoryview": memoryview,
    "a slice of a memoryview": lambda a: memoryview(a)[3:],
    "a pickle's buffer": pickle.PickleBuffer,
    "DLPack": np.from_dlpack,
    "a view by DLPack": lambda a: np.from_dlpack(a)[1:].T,
    "an array on a memoryview": lambda a: np.asarray(memoryview(a)),
    "an iterator": iter,
    "a flat iterator": lambda a: a.flat,
    "an nditer": lambda a: np.nditer(a),
    "an object array": lambda a: np.array([a, None], dtype=object),
    "a dictionary": lambda a: {"a": a[1:]},
    "an exception's traceback": _traceback,
    "a generator": _generator,
    "a closure": lambda a: lambda: a,
    "a ctypes pointer": lambda a: a.ctypes.data_as(ctypes.c_void_p),
    "a reference cycle": _cycle,
}


@pytest.mark.parametrize("what", KEEPERS)
def test_whatever_holds_an_array_keeps_its_memory(pool, what):
    a = filled(pool, 7.0)
    first = address(a)
    kept = KEEPERS[what](a)
    del a
    others = [filled(pool, -1.0) for _ in range(5)]
    assert first not in map(address, others)
    del others
    assert first not in [address(filled(pool, -2.0)) for _ in range(7)]
    if isinstance(kept, np.ndarray) and kept.dtype == np.float64:
        assert (kept == 7.0).all()
    del kept
    gc.collect()
    assert address(pool.empty(SHAPE, np.float64)) == first


def test_a_tensor_keeps_its_memory(pool):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    a = filled(pool, 7.0)
    first = address(a)
    kept = torch.from_numpy(a)[3:].T
    del a
    assert first not in [address(filled(pool, -1.0)) for _ in range(5)]
    assert bool((kept == 7.0).all())


def test_an_array_outlives_its_pool():
    pool = Pool()
    a = filled(pool, 7.0)
    pool.clear()
    b = filled(pool, -1.0)
    del pool
    gc.collect()
    assert (a == 7.0).all()
    assert (b == -1.0).all()


def test_pooled_arrays_are_ordinary_arrays(pool):
    a = filled(pool, 7.0)
    assert type(a) is np.ndarray
    assert a.flags.c_contiguous
    assert a.flags.writeable
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(a)), a)
    np.testing.assert_array_equal(a.copy(), a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.complex128])
def test_arrays_are_aligned(pool, dtype):
    for n in (1 << 17, (1 << 17) + 1, 70001, 99991):
        kept = [pool.empty((n,), dtype) for _ in range(3)]
        assert [address(a) % 64 for a in kept] == [0, 0, 0]


# --- bounds


def test_small_arrays_are_left_to_the_c_library(pool):
    for shape in ((), (0,), (0, 5), (1,), (8191,), (3, 7)):
        a = pool.empty(shape, np.float64)
        assert a.shape == shape
        assert a.base is None
    assert pool.bytes == 0
    assert pool.empty((8192,), np.float64).base is not None


def test_arrays_above_the_limit_are_left_to_the_c_library(pool):
    pool.limit = BYTES
    assert pool.empty((2, *SHAPE), np.float64).base is None
    assert pool.bytes == 0


def test_at_most_so_many_buffers_of_one_size(pool):
    kept = [filled(pool, i) for i in range(pool.most + 20)]
    assert pool.bytes == pool.most * (BYTES + 64)
    assert all((a == i).all() for i, a in enumerate(kept))
    assert len({address(a) for a in kept}) == len(kept)


def test_the_memory_kept_track_of_is_bounded(pool):
    pool.limit = 10 * BYTES
    kept = []
    for i in range(60):
        kept.append(filled(pool, i, (128 + i % 17, 128)))
        assert pool.bytes <= pool.limit
        assert pool.bytes == sum(len(b) for same in pool.buffers.values() for b in same)
    assert all((a == i).all() for i, a in enumerate(kept))


def test_the_sizes_longest_unused_go_first(pool):
    pool.limit = 5 * BYTES
    often, seldom = (128, 128), (129, 128)
    first, other = address(pool.empty(often, float)), address(pool.empty(seldom, float))
    for rows in range(130, 140):
        assert address(pool.empty(often, float)) == first
        pool.empty((rows, 128), float)
    kept = pool.empty(seldom, float)
    assert address(pool.empty(often, float)) == first
    assert seldom == kept.shape
    assert other  # its buffer had gone, whether or not the C library gave the same place again
    assert len(pool.buffers[129 * 128 * 8]) == 1


# --- threads and processes


def test_each_thread_has_a_pool_of_its_own(pool):
    mine = address(pool.empty(SHAPE, np.float64))  # free again at once
    theirs = []

    def work():
        kept = [pool.empty(SHAPE, np.float64) for _ in range(3)]
        theirs.extend(map(address, kept))
        theirs.append(pool.bytes)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert mine not in theirs[:3]
    assert theirs[3] == 3 * (BYTES + 64)
    assert pool.bytes == BYTES + 64


def test_an_array_handed_to_another_thread_keeps_its_memory(pool):
    box, done = queue.Queue(), queue.Queue()
    seen = []

    def hold():
        a = box.get()
        done.put("held")
        box.get()
        seen.append(bool((a == 7.0).all()))
        del a
        done.put("dropped")

    thread = threading.Thread(target=hold)
    thread.start()
    a = filled(pool, 7.0)
    first = address(a)
    box.put(a)
    del a
    assert done.get() == "held"
    assert first not in [address(filled(pool, -1.0)) for _ in range(5)]
    box.put("go on")
    assert done.get() == "dropped"
    thread.join()
    assert seen == [True]
    assert address(pool.empty(SHAPE, np.float64)) == first


def test_an_array_outlives_the_thread_that_made_it(pool):
    made = []
    thread = threading.Thread(target=lambda: made.append(filled(pool, 7.0)))
    thread.start()
    thread.join()
    gc.collect()
    kept = [filled(pool, -1.0) for _ in range(5)]
    assert (made[0] == 7.0).all()
    assert address(made[0]) not in map(address, kept)


FORK = """
import os, sys, warnings
import numpy as np
from xpnet.backends.numpy import POOL, matmul

warnings.simplefilter("ignore")  # newer Pythons warn of every fork beside BLAS's threads
def filled(value):
    a = POOL.empty((128, 128), np.float64)
    a[...] = value
    return a

kept, view = filled(1.0), filled(2.0)[1:]
free = filled(3.0)
del free
child = os.fork()
if child == 0:
    ok = POOL.bytes == 0 and (kept == 1.0).all() and (view == 2.0).all()
    others = [filled(-1.0) for _ in range(6)]
    ok = ok and (kept == 1.0).all() and (view == 2.0).all()
    kept[...] = 5.0
    A = np.arange(128.0 * 128).reshape(128, 128)
    ok = ok and np.array_equal(matmul(A, np.eye(128)), A)
    os._exit(0 if ok else 1)
others = [filled(-2.0) for _ in range(6)]
_, status = os.waitpid(child, 0)
assert (kept == 1.0).all() and (view == 2.0).all()
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system doesn't fork")
def test_a_forked_child_works_and_leaves_its_parents_arrays_alone():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def _stress(pool, seed, n_steps, inbox, outbox, errors):
    """Arrays come, are cut, handed over, checked and dropped at random; each must keep its own value all the while."""
    draw = random.Random(seed)
    shapes = [(8192,), (64, 128), (96, 128), (4, 64, 64)]
    live = []
    try:
        for step in range(n_steps):
            value = float(1000000 * seed + step)
            action = draw.random()
            if action < 0.45:
                live.append((filled(pool, value, draw.choice(shapes)), value))
            elif action < 0.55 and live:
                held, old = live[draw.randrange(len(live))]
                a = np.asarray(held)
                views = [a[:1], a.T, a[..., ::2], a.reshape(-1)[:99], memoryview(a)]
                if a.flags.writeable:  # NumPy 2.0's come back read-only, and can't be handed on again
                    views.append(np.from_dlpack(a))
                live.append((draw.choice(views), old))
                del held, a, views
            elif action < 0.65 and live:
                outbox.put(live.pop(draw.randrange(len(live))))
            elif action < 0.7 and not inbox.empty():
                live.append(inbox.get())
            elif action < 0.72 and live:
                cycle = [live.pop()]
                cycle.append(cycle)
            elif live:
                a, old = live.pop(draw.randrange(len(live)))
                _holds(a, old)
            if len(live) > 40:
                del live[: draw.randrange(40)]
            if step % 100 == 0:
                for a, old in live:
                    _holds(a, old)
        for a, old in live:
            _holds(a, old)
    except BaseException as error:
        errors.append(error)


def _holds(held, value):
    a = np.asarray(held)
    assert a.min() == a.max() == value


class Tight(Pool):
    """A pool that has to give buffers up all the time."""

    limit = 5 << 20
    most = 12


@pytest.mark.parametrize("pool", [Pool(), Tight()], ids=["ample", "tight"])
def test_every_live_array_keeps_its_values_under_stress(pool):
    boxes, errors = [queue.Queue() for _ in range(3)], []
    threads = [
        threading.Thread(target=_stress, args=(pool, i + 1, 2500, boxes[i], boxes[(i + 1) % 3], errors))
        for i in range(3)
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not errors
    for box in boxes:
        while not box.empty():
            _holds(*box.get())


def test_the_stress_would_notice_a_buffer_that_is_handed_out_twice(monkeypatch):
    monkeypatch.setattr(way, "_IDLE", way._IDLE + 1)  # a buffer with one array in it would pass for idle
    errors = []
    _stress(Pool(), 1, 300, queue.Queue(), queue.Queue(), errors)
    assert [type(error) for error in errors] == [AssertionError]


# --- blocks


def chain(xp, Z, *others):
    """A few roundings after one another, so that another order of evaluation would show."""
    for i, other in enumerate(others):
        if other is not None:
            Z = Z * (1.0 + 0.1 * i) + xp.exp(-xp.abs(Z)) * other
    return xp.tanh(Z) / 3.0 + xp.log1p(Z * Z) + xp.maximum(Z, 0.5) * xp.minimum(Z, -0.5)


def several(xp, Z, *others):
    Y = chain(xp, Z, *others)
    return Y, Z > 0.0, Y * Z


def assert_same_bits(blocked, whole):
    blocked, whole = (values if isinstance(values, tuple) else (values,) for values in (blocked, whole))
    assert len(blocked) == len(whole)
    for a, b in zip(blocked, whole, strict=True):
        assert (a.shape, a.dtype, a.tobytes()) == (b.shape, b.dtype, b.tobytes())


def arguments_beside(rng, shape, dtype):
    """What may stand beside an array of this shape, by name."""

    def array(*shape):
        return rng.normal(size=shape).astype(dtype)

    beside = {"none": None, "scalar": 0.3, "0-d": array(), "same": array(*shape), "fortran": array(*shape[::-1]).T}
    if len(shape) > 1:
        m, n = shape[0], shape[-1]
        beside |= {"row": array(n), "row of two": array(1, n), "column": array(m, *[1] * (len(shape) - 1))}
    return beside


def softmax(xp, Z, *others):
    """Rows that depend on themselves alone."""
    Z = chain(xp, Z, *others)
    E = xp.exp(Z - xp.max(Z, axis=-1, keepdims=True))
    total = xp.sum(E, axis=-1, keepdims=True)
    return E / total, xp.log(total)


BLOCK = 64


@pytest.fixture
def blocks_of(monkeypatch):
    """``blocks_of(64)`` makes blocks so small."""

    def change(n):
        way._repeated.cache_clear()
        monkeypatch.setattr(way, "BLOCK", n)

    yield change
    way._repeated.cache_clear()


NEAR_A_BLOCK = [(n,) for n in (1, 63, 64, 65, 127, 128, 129, 200)] + [
    (8, 8), (7, 8), (9, 8), (16, 4), (17, 4), (3, 64), (3, 63), (3, 65), (1, 64), (1, 65), (1, 1000), (2, 300),
    (65, 1), (64, 1), (200, 1), (64, 64), (5, 4, 4), (20, 3, 5), (70, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("definition", [chain, several, softmax])
@pytest.mark.parametrize("shape", NEAR_A_BLOCK, ids=str)
def test_blocks_change_no_bit(blocks_of, rng, dtype, shape, definition):
    if definition is softmax and len(shape) == 1:
        shape = (*shape, 3)
    blocks_of(BLOCK)
    Z = rng.normal(size=shape).astype(dtype)
    beside = arguments_beside(rng, shape, dtype)
    for one, other in itertools.product(beside.values(), repeat=2):
        assert_same_bits(way.blocked(definition, [(Z, one, other)]), definition(way.xp, Z, one, other))


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_blocks_change_no_bit_at_their_real_size(rng, dtype, extra):
    n = way.BLOCK
    for shape in ((n + extra,), (n // 8 + extra, 8), (1, n + extra), (2 * n // 500 + extra, 500)):
        Z = rng.normal(size=shape).astype(dtype)
        beside = arguments_beside(rng, shape, dtype)
        for other in (None, 0.3, beside["same"], beside.get("row"), beside.get("column")):
            assert_same_bits(way.blocked(several, [(Z, other)]), several(way.xp, Z, other))


@pytest.mark.parametrize(
    "view", [lambda a: a.T, lambda a: a[::2], lambda a: a[::-1], lambda a: a[:, ::3], lambda a: a[5:]]
)
def test_blocks_of_memory_with_gaps(blocks_of, rng, dtype, view):
    blocks_of(BLOCK)
    Z = view(rng.normal(size=(40, 30)).astype(dtype))
    other = view(rng.normal(size=(40, 30)).astype(dtype))
    before = Z.copy()
    np.testing.assert_array_equal(way.blocked(chain, [(Z, other)]), chain(way.xp, Z, other))
    np.testing.assert_array_equal(Z, before)


@pytest.mark.parametrize("block", [1, 7, BLOCK, 1 << 15])
@pytest.mark.parametrize("definition", [chain, several])
def test_parts_are_joined(blocks_of, rng, dtype, block, definition):
    blocks_of(block)

    def part(n, *others):
        return (rng.normal(size=n).astype(dtype), *others)

    for parts in (
        [part(50, 0.5, None), part(20, None, None)],
        [
            part(1, 0.1, 0.2),
            part(200, rng.normal(size=200).astype(dtype), 0.3),
            part(64, None, rng.normal(size=64).astype(dtype)),
        ],
        [part(0, 0.5, None), part(30, None, None)],
        [part(30, 0.5, None), part(0, None, None)],
        [part(0, 0.5, None), part(0, None, None)],
        [part(0, 0.5, None)],
    ):
        whole = [definition(way.xp, *p) for p in parts]
        if definition is several:
            whole = tuple(np.concatenate(column) for column in zip(*whole, strict=True))
        else:
            whole = np.concatenate(whole)
        assert_same_bits(way.blocked(definition, parts), whole)


def test_parts_of_rows_are_joined(blocks_of, rng):
    blocks_of(16)
    A, B, row = rng.normal(size=(9, 5)), rng.normal(size=(4, 5)), rng.normal(size=5)
    joined = way.blocked(chain, [(A, row), (B, row)])
    assert_same_bits(joined, np.concatenate([chain(way.xp, A, row), chain(way.xp, B, row)]))


def test_no_argument_is_written_to(blocks_of, rng):
    blocks_of(16)
    Z, column = rng.normal(size=(40, 3)), rng.normal(size=(40, 1))
    for a in (Z, column):
        a.flags.writeable = False
    way.blocked(chain, [(Z, column), (Z, column)])


@pytest.mark.parametrize("block", [1, 7, BLOCK, 1 << 15])
def test_results_may_be_written_onto_the_arguments(blocks_of, rng, dtype, block):
    """Each block is read before it is written, whatever has been written before it."""
    blocks_of(block)
    Z, V, g = rng.normal(size=(3, 150)).astype(dtype)
    windows = (slice(0, 90), slice(90, 91), slice(91, 150))

    def step(xp, z, g, scale, v):
        v = 0.9 * v - scale * g
        return z + v * xp.exp(-z * z), v

    expected = [step(way.xp, Z[at], g[at], 0.1 * k, V[at]) for k, at in enumerate(windows)]
    parts = [(Z[at], g[at], 0.1 * k, V[at]) for k, at in enumerate(windows)]
    results = way.blocked(step, parts, (Z, V))
    assert results[0] is Z
    assert results[1] is V
    assert_same_bits(results, tuple(np.concatenate(column) for column in zip(*expected, strict=True)))


@pytest.mark.parametrize("number", [0.0, -0.0, 1.5, np.inf, -np.inf])
def test_the_larger_and_the_smaller_are_numpys(rng, dtype, number):
    X = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1.5, -3.0, 1e-45], dtype)
    for A in (X, X.reshape(2, 4), X[::2], X.reshape(2, 4).T, X[:0], X[0], np.resize(X, way.BLOCK + 9)):
        for ours, theirs in ((way.maximum, np.maximum), (way.minimum, np.minimum)):
            result = ours(A, number)
            assert result.dtype == A.dtype
            np.testing.assert_array_equal(result, theirs(A, number))
            np.testing.assert_array_equal(ours(A, A), A)


def test_constants_stay_constant():
    ones = way.maximum(np.zeros(5), 1.0)
    ones[...] = 7.0
    np.testing.assert_array_equal(way.maximum(np.zeros(5), 1.0), np.ones(5))


# --- the functions of composites


@pytest.fixture(params=[1 << 30, 0], ids=["unpooled", "pooled"])
def _pooled_or_not(request, monkeypatch):
    monkeypatch.setattr(Pool, "smallest", request.param)


@pytest.mark.usefixtures("_pooled_or_not")
def test_products_are_numpys(rng, dtype):
    A, B = rng.normal(size=(30, 20)).astype(dtype), rng.normal(size=(20, 40)).astype(dtype)
    for left, right in [
        (A, B), (B.T, A.T), (A[::2], B[:, ::3]), (A, B.astype(np.float32)), (A[0], B), (A, B[:, 0]), (A[0], B[:, 0]),
        (A[None], B[None]), (A[:0], B), (A[:, :0], B[:0]), (A[:1], B), ((A * 9).astype(int), (B * 9).astype(int)),
    ]:  # fmt: skip
        product = way.matmul(left, right)
        expected = np.matmul(left, right)
        assert product.dtype == expected.dtype
        np.testing.assert_allclose(product, expected, rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)
    with pytest.raises(ValueError, match="mismatch"):
        way.matmul(A, A)


@pytest.mark.usefixtures("_pooled_or_not")
def test_rows_are_numpys(rng, dtype):
    A = rng.normal(size=(30, 20)).astype(dtype)
    for X in (A, A.T, A[::2], A[0], rng.normal(size=(9, 2, 3)).astype(dtype)):
        indices = rng.integers(0, X.shape[0], 17)
        for at in (indices, indices[:0], indices[::-1], indices.astype(np.int32)):
            assert_same_bits(way.take(X, at, axis=0), np.take(X, at, axis=0))
    assert_same_bits(way.take(A, np.array([3, 1]), axis=1), np.take(A, [3, 1], axis=1))


@pytest.mark.usefixtures("_pooled_or_not")
def test_joined_arrays_are_numpys(rng, dtype):
    a, b, A = rng.normal(size=9).astype(dtype), rng.normal(size=4).astype(dtype), rng.normal(size=(3, 4)).astype(dtype)
    for arrays, axis in [
        ([a, b], 0), ([a], 0), ([a[:0], b], 0), ([a[::2], b[::-1]], 0), ([a, b.astype(np.float64)], 0),
        ([A, A[:1]], 0), ([A, A[:, :2]], 1), ([A, a], None),
    ]:  # fmt: skip
        assert_same_bits(way.concat(arrays, axis=axis), np.concatenate(arrays, axis=axis))
    assert_same_bits(way.concat([a, b]), np.concatenate([a, b]))


def test_sums_and_largest_values_are_numpys(rng, dtype):
    for X in (
        rng.normal(size=(30, 20)).astype(dtype),
        rng.normal(size=(5, 40, 3)).astype(dtype).T,
        np.ones((4, 2), bool),
    ):
        for axis, keepdims in itertools.product((None, 0, -1, (0, 1)), (False, True)):
            how = {"axis": axis, "keepdims": keepdims}
            assert_same_bits(way.total(X, **how), np.sum(X, **how))
            assert_same_bits(way.largest(X, **how), np.max(X, **how))
        assert_same_bits(way.total(X, dtype=np.float64), np.sum(X, dtype=np.float64))
        assert_same_bits(way.reshape(X, (-1,)), np.reshape(X, (-1,)))
        assert not np.may_share_memory(way.reshape(X, (-1,), copy=True), X)


def test_the_namespaces_are_numpys_otherwise():
    def changed(namespace):
        return {name for name, value in vars(namespace).items() if value is not getattr(way.xp, name)}

    assert changed(way.pooled) == {"reshape", "sum", "max", "matmul", "take", "concat"}
    assert changed(way.blockwise) == {"reshape", "sum", "max", "maximum", "minimum"}
    assert way.pooled.matmul is way.matmul
    assert way.blockwise.maximum is way.maximum


def test_a_step_is_silent_about_overflow():
    def step(carry, batch, scalars, owned):
        (x,) = carry
        return (np.exp(x) - np.exp(x) + 1.0 / (x - x),)

    run = compile_step(step, (), np.ones(1))
    assert np.isnan(run((np.full(2, 1e4),), range(2), 2, np.ones((1, 1)))[0]).all()
    with pytest.warns(RuntimeWarning, match="overflow"):
        np.exp(np.full(2, 1e4))


# --- without lowerings

RUN = """
import sys
import numpy as np
from itertools import islice
from xpnet.backends import seams
from xpnet.equations.layers import Dense, PReLU
from xpnet.equations.optimizers import Adam
from xpnet.model import Model
from xpnet.network import Sequential
from xpnet.training import epochs

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(300, 40)), np.eye(5)[rng.integers(0, 5, 300)]
network = Sequential(Dense(300, "elu"), Dense(120, "tanh"), PReLU(), Dense(5))
model = Model(network, "cross_entropy", l1=1e-4, l2=1e-3)
state = model.initial(rng, 40, Adam(1e-3))
run = epochs(model, state, X, Y, sample_weight=rng.uniform(0.5, 1.5, 300), batch_size=250, rng=rng, clip_norm=1.0)
*_, (state, cost) = islice(run, 3)
np.save(sys.argv[1], np.concatenate([state.theta, *state.moments, [cost], model.predict(state.theta, X).ravel()]))
print(seams.LOWERINGS)
"""


def test_every_lowering_may_be_switched_off(tmp_path):
    results = {}
    for switch, means in (("on", "True"), ("off", "False")):
        path = tmp_path / f"{switch}.npy"
        environment = {**os.environ, "XPNET_LOWERINGS": switch}
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(path)], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == means
        results[switch] = np.load(path)
    np.testing.assert_allclose(results["on"], results["off"], rtol=1e-9, atol=1e-12)
