"""Data that are read batch by batch: HDF5, Zarr, memmaps and other objects with shape, dtype and row slices."""

import tracemalloc
from itertools import islice

import numpy as np
import pytest

from xpnet import Adam, Dense, Model, Sequential, epochs
from xpnet.backends import get_backend, is_in_rows, read_data, to_numpy
from xpnet.backends.row_source import RowSource, shuffled


class Source:
    """Rows on a disk, as h5py and Zarr have them: slices are read, and it is counted how often and how much."""

    def __init__(self, values, chunk=None):
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.chunks = None if chunk is None else (chunk, *values.shape[1:])
        self.read, self.largest = 0, 0

    def __getitem__(self, key):
        assert isinstance(key, slice), "only slices of rows are read"
        found = self.values[key]
        self.read += len(found)
        self.largest = max(self.largest, len(found))
        return found.copy()


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of ten rows of 4 float64."""
    monkeypatch.setattr("xpnet.backends.row_source._BLOCK_BYTES", 10 * 4 * 8)


@pytest.fixture
def X(rng):
    return rng.normal(size=(203, 4))


def test_which_data_are_read_in_rows(tmp_path):
    import pandas as pd
    from scipy import sparse

    assert is_in_rows(Source(np.ones((2, 2))))
    assert is_in_rows(np.memmap(tmp_path / "m", np.uint8, "w+", shape=(2, 2)))
    floats = np.memmap(tmp_path / "f", np.float32, "w+", shape=(2, 2))
    for x in (np.ones(3), floats, [1.0], pd.DataFrame({"a": [1.0]}), sparse.csr_array(np.eye(2)), np.float64(1.0)):
        assert not is_in_rows(x)


def test_arrays_of_libraries_are_not(library):
    assert not is_in_rows(library.asarray(np.ones((2, 2))))


@pytest.mark.parametrize("at", [None, np.arange(3, 200, 2)], ids=["all", "part"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "bool"])
def test_rows_equal_those_of_the_source(X, at, kind, small_blocks):
    values = (10 * X).astype(kind)
    rows = RowSource(Source(values), None, None) if at is None else RowSource(Source(values)).part(at)
    expected = values if at is None else values[at]
    expected = expected.astype("float32" if kind == "float32" else "float64")
    assert (rows.shape, rows.dtype, len(rows), rows.ndim) == (expected.shape, expected.dtype, len(expected), 2)
    np.testing.assert_array_equal(rows[5:17], expected[5:17])
    np.testing.assert_array_equal(rows[:], expected)
    some = np.random.default_rng(0).permutation(len(expected))[:40]
    np.testing.assert_array_equal(rows.take(some), expected[some])
    out = np.empty((40, 4), "float32")
    assert rows.take(some, out=out) is out
    np.testing.assert_allclose(out, expected[some], rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate(list(rows.blocks())), expected)


def test_a_part_of_a_part(X):
    part = RowSource(Source(X)).part(np.arange(100, 0, -1)).part(np.asarray([3, 5]))
    np.testing.assert_array_equal(part[:], X[[97, 95]])


@pytest.mark.parametrize("chunk", [None, 7, 64])
def test_an_epoch_reads_every_block_once_and_holds_a_few(X, chunk, small_blocks):
    source = Source(X, chunk)
    rows = RowSource(source)
    assert rows.block % (chunk or 1) == 0
    order = shuffled(np.arange(203), rows, np.random.default_rng(0))
    assert sorted(order) == list(range(203))
    assert (order != np.arange(203)).mean() > 0.9
    for start in range(0, 203, 16):
        np.testing.assert_array_equal(rows.take(order[start : start + 16]), X[order[start : start + 16]])
    assert source.read == 203
    assert len(rows.read) <= 16


def test_memmaps_are_shuffled_as_arrays_are(tmp_path, X):
    file = np.memmap(tmp_path / "m", np.int16, "w+", shape=X.shape)
    orders = [shuffled(np.arange(203), x, np.random.default_rng(0)) for x in (RowSource(file), X)]
    np.testing.assert_array_equal(*orders)


MODEL = Model(Sequential(Dense(5, "tanh"), Dense(1)))


def train(X, y, backend=None, **settings):
    state = MODEL.initial(np.random.default_rng(0), 4, Adam(0.01))
    return next(islice(epochs(MODEL, state, X, y, backend=backend, **settings), 3, None))


@pytest.mark.parametrize("settings", [{"batch_size": 16, "shuffle": False}, {}], ids=str)
def test_training_is_the_same_as_with_an_array(library, X, settings):
    y = X[:, 0]
    state, cost = train(Source(X), y, library.backend, **settings)
    expected, expected_cost = train(X, y, **settings)
    assert library.owns(state.theta)
    np.testing.assert_allclose(to_numpy(state.theta), expected.theta, rtol=1e-9, atol=1e-12)
    assert cost == pytest.approx(expected_cost, rel=1e-9)


def test_training_and_prediction_in_blocks(X, small_blocks):
    y = X[:, 0]
    source = Source(X)
    state, cost = train(source, y, batch_size=16, rng=np.random.default_rng(1))
    assert source.largest <= 10
    assert cost == pytest.approx(train(X, y, batch_size=16, rng=np.random.default_rng(1))[1], rel=0.2)
    np.testing.assert_array_equal(MODEL.predict(state.theta, source), MODEL.predict(state.theta, X))


def test_bad_values_are_found_and_named(X, small_blocks):
    X[150, 2] = np.nan
    with pytest.raises(ValueError, match=r"^X contains 1 value\(s\) that are NaN"):
        read_data(Source(X), "X", may_stay=True)
    with pytest.raises(ValueError, match=r"X has dtype complex128; real numbers"):
        read_data(Source(X + 1j), "X", may_stay=True)
    with pytest.raises(ValueError, match=r"X has shape \(0, 4\); at least one sample"):
        read_data(Source(X[:0]), "X", may_stay=True)


def test_data_that_may_not_stay_in_the_file_are_read_whole(X):
    backend, found = read_data(Source(X), "X")
    assert backend == get_backend("numpy")
    np.testing.assert_array_equal(found, X)


def test_no_copy_of_all_rows_is_made(tmp_path):
    file = np.memmap(tmp_path / "m", np.uint8, "w+", shape=(1 << 20, 32))
    tracemalloc.start()
    train(file[:, :4], np.zeros(1 << 20), batch_size=1 << 14, shuffle=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * (1 << 20) * 8  # y, its copy and a batch; X in float64 would be four times that


@pytest.mark.parametrize("library_name", ["h5py", "zarr"])
def test_real_files(library_name, tmp_path, X):
    module = pytest.importorskip(library_name, reason=f"{library_name} is not installed")
    if library_name == "h5py":
        source = module.File(tmp_path / "x.h5", "w").create_dataset("X", data=X, chunks=(20, 4))
    else:
        source = module.create_array(store=str(tmp_path / "x"), shape=X.shape, chunks=(20, 4), dtype="f8")
        source[:] = X
    state, _ = train(source, X[:, 0], batch_size=16, shuffle=False)
    np.testing.assert_array_equal(state.theta, train(X, X[:, 0], batch_size=16, shuffle=False)[0].theta)
    train(source, X[:, 0], batch_size=16, rng=np.random.default_rng(0))
