"""Copies of large host arrays to a GPU: their values, and the page-locked memory that they need."""

import numpy as np
import pytest

from xpnet.backends import get_backend, read_data, upload

pytestmark = pytest.mark.gpu

SHAPE = 3000, 700  # 16.8 MB in float64


@pytest.fixture
def host(rng):
    """An array that is copied in chunks, the last of which is smaller than the others."""
    return rng.integers(-100, 100, SHAPE).astype(np.float64)


@pytest.fixture
def pinned():
    """The sizes in bytes of the page-locked memory that has been allocated."""
    import cupy

    sizes = []
    pool = cupy.cuda.PinnedMemoryPool()

    def allocate(n_bytes):
        sizes.append(n_bytes)
        return pool.malloc(n_bytes)

    cupy.cuda.set_pinned_memory_allocator(allocate)
    yield sizes
    cupy.cuda.set_pinned_memory_allocator(cupy.get_default_pinned_memory_pool().malloc)


def memmap(a, folder):
    mapped = np.memmap(folder / "a", a.dtype, "w+", shape=a.shape)
    mapped[...] = a
    return mapped


LAYOUTS = {
    "C": lambda a, _: a,
    "Fortran": lambda a, _: np.asfortranarray(a),
    "reversed": lambda a, _: np.ascontiguousarray(a[::-1])[::-1],
    "every other column": lambda a, _: np.repeat(a, 2, axis=1)[:, ::2],
    "other byte order": lambda a, _: a.astype(a.dtype.newbyteorder("S")),
    "read-only": lambda a, _: np.frombuffer(a.tobytes()).reshape(a.shape),
    "memmap": memmap,
    "a vector": lambda a, _: a.ravel(),
    "long rows": lambda a, _: np.asfortranarray(a.reshape(2, -1)),
    "three dimensions": lambda a, _: a.reshape(30, 100, 700),
}


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_values_are_copied(host, pinned, tmp_path, layout, dtype):
    given = LAYOUTS[layout](host, tmp_path)
    there = get_backend("cupy").asarray(given, dtype)
    host[...] = 0.0  # nothing is read after the call
    expected = np.array(LAYOUTS[layout](np.random.default_rng(0).integers(-100, 100, SHAPE).astype(float), tmp_path))
    assert there.dtype == (dtype or np.float64)
    assert there.flags.c_contiguous
    np.testing.assert_array_equal(there.get(), expected)
    assert sum(pinned) <= 2 * upload.CHUNK


@pytest.mark.parametrize("dtype", ["int64", "uint16", "bool", "float16"])
def test_other_dtypes_are_converted(host, monkeypatch, dtype):
    monkeypatch.setattr("xpnet.backends.backend.LARGE", 1 << 20)
    given = host.astype(dtype)
    there = get_backend("cupy").asarray(given, np.float32)
    np.testing.assert_array_equal(there.get(), given.astype(np.float32))


def test_an_upload_is_ordered_on_the_current_stream(host):
    import cupy

    with cupy.cuda.Stream(non_blocking=True):
        there = get_backend("cupy").asarray(host)
        there *= 2.0
        np.testing.assert_array_equal(there.get(), 2.0 * host)


def test_an_upload_into_freed_memory_waits_for_its_readers(host):
    """The pool hands out memory again while kernels that read it are still in the stream."""
    import cupy

    pool, backend = cupy.get_default_memory_pool(), get_backend("cupy")
    pool.free_all_blocks()
    first = backend.asarray(host)
    total = first.sum(axis=1)
    del first
    second = backend.asarray(host + 1.0)
    np.testing.assert_array_equal(total.get(), host.sum(axis=1))
    np.testing.assert_array_equal(second.get(), host + 1.0)


def test_data_are_uploaded_in_their_final_dtype(host, pinned):
    import cupy

    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    _, X = read_data(host, "X", "cupy", np.float32)
    assert X.dtype == np.float32
    assert pool.total_bytes() - before < 1.2 * X.nbytes
    assert sum(n for n in pinned if n > 1 << 20) <= 2 * upload.CHUNK


def test_small_arrays_are_copied_at_once(pinned):
    a = get_backend("cupy").asarray(np.arange(1000.0))
    assert float(a.sum()) == 499500.0
    assert sum(pinned) <= 16384
