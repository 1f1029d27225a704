"""Data at the border: what comes in as numbers, and what is refused."""

import numpy as np
import pytest

from xpnet.backends import check_finite, read_data, to_numpy


def test_numbers_come_in_as_they_are(library, dtype):
    a = library.asarray([[1.5, 2.0], [0.0, -1.0]], dtype)
    backend, X = read_data(a, "X")
    assert X is a
    assert backend == library.backend


@pytest.mark.parametrize("kind", ["bool", "int8", "uint8", "int16", "int32", "int64"])
def test_whole_numbers_become_float64(library, kind):
    backend, X = read_data(library.asarray([[1, 0], [1, 1]], kind), "X")
    assert X.dtype == backend.xp.float64
    np.testing.assert_array_equal(to_numpy(X), [[1, 0], [1, 1]])


@pytest.mark.parametrize("kind", [np.float16, np.longdouble, np.uint16, np.uint64, ">i4", ">f8"])
def test_host_numbers_of_any_kind_become_float64_everywhere(library, kind):
    _, X = read_data(np.array([[1, 2], [3, 4]], dtype=kind), "X", library.backend)
    assert library.owns(X)
    assert X.dtype == library.xp.float64
    np.testing.assert_array_equal(to_numpy(X), [[1, 2], [3, 4]])


def test_float16_becomes_float64():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for X in (
        np.ones((2, 2), np.float16),
        torch.ones(2, 2, dtype=torch.float16),
        torch.ones(2, 2, dtype=torch.bfloat16),
    ):
        backend, read = read_data(X, "X")
        assert read.dtype == backend.xp.float64


def test_large_whole_numbers_keep_their_value(library):
    _, X = read_data([[2**40, -(2**40)]], "X", library.backend)
    np.testing.assert_array_equal(to_numpy(X), [[2.0**40, -(2.0**40)]])


def test_lists_and_tables_come_in_as_float64():
    pandas = pytest.importorskip("pandas")
    for X in ([[1, 2], [3, 4]], ((1.0, 2.0), (3.0, 4.0)), pandas.DataFrame({"a": [1, 3], "b": [2.0, 4.0]})):
        backend, read = read_data(X, "X")
        assert (backend.name, read.dtype) == ("numpy", np.float64)
        np.testing.assert_array_equal(read, [[1, 2], [3, 4]])


def test_host_data_goes_to_the_given_backend(library, dtype):
    backend, X = read_data([[1, 2]], "X", library.backend, getattr(library.xp, dtype))
    assert backend == library.backend
    assert library.owns(X)
    assert X.dtype == getattr(library.xp, dtype)


def test_what_came_in_is_not_written_to(library):
    host = np.arange(6).reshape(2, 3)
    host.flags.writeable = False
    read_data(host, "X", library.backend)
    np.testing.assert_array_equal(host, np.arange(6).reshape(2, 3))


REFUSED = {
    "text": ([["a", "b"]], r"^y has dtype <U1; real numbers are needed: encode text as numbers first"),
    "numbers as text": (np.array([["1", "2"]]), r"^y has dtype <U1"),
    "objects": (np.array([[1, None]], dtype=object), r"^y has dtype object"),
    "None": (None, r"^y has dtype object"),
    "ragged": ([[1, 2], [3]], r"^y can't be made an array: its rows must all have the same length"),
    "complex": ([[1j]], r"^y has dtype complex128; real numbers are needed: take the real part"),
    "dates": (np.array([["2020-01-01"]], dtype="datetime64[D]"), r"^y has dtype datetime64"),
    "a NaN": ([[1.0, float("nan")]], r"^y contains 1 value\(s\) that are NaN or infinite; remove or impute"),
    "infinities": ([[1.0, -np.inf], [np.inf, np.nan]], r"^y contains 3 value\(s\) that are NaN or infinite"),
    "no rows": (np.ones((0, 3)), r"^y has shape \(0, 3\); at least one sample and one value are needed"),
    "no columns": (np.ones((3, 0)), r"^y has shape \(3, 0\); at least one sample"),
    "an empty list": ([], r"^y has shape \(0,\); at least one sample"),
    "one number": (3.0, r"^y has shape \(\); at least one sample"),
    "one number of NumPy's": (np.float64(3.0), r"^y has shape \(\); at least one sample"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_numbers_is_refused(what):
    given, said = REFUSED[what]
    with pytest.raises(ValueError, match=said):
        read_data(given, "y")


SPARSE = {
    "CSR": lambda sparse, A: sparse.csr_matrix(A),
    "CSC": lambda sparse, A: sparse.csc_array(A),
    "COO": lambda sparse, A: sparse.coo_array(A),
    "whole numbers": lambda sparse, A: sparse.csr_array(A.astype(int)),
}


@pytest.mark.parametrize("form", SPARSE.values(), ids=SPARSE)
def test_sparse_data_become_rows_of_floating_numbers(form):
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    A = np.array([[0.0, 2.0], [0.0, 0.0], [3.0, 0.0]])
    backend, X = read_data(form(sparse, A), "X")
    assert backend.name == "numpy"
    assert X.format == "csr"
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X.toarray(), A)


def test_bad_sparse_data_are_refused(library):
    sparse = pytest.importorskip("scipy.sparse", reason="SciPy is not installed")
    with pytest.raises(ValueError, match=r"X contains 1 value\(s\) that are NaN"):
        read_data(sparse.csr_array([[0.0, np.nan]]), "X")
    with pytest.raises(ValueError, match="X has dtype complex128"):
        read_data(sparse.csr_array([[0.0, 1j]]), "X")
    if library.backend.name != "numpy":
        with pytest.raises(TypeError, match=r"csr_array of scipy.*X.toarray\(\)"):
            read_data(sparse.csr_array([[0.0, 1.0]]), "X", library.backend)


def test_what_is_not_numbers_is_refused_in_every_library(library, dtype):
    xp = library.xp
    with pytest.raises(ValueError, match=r"^X has dtype .*complex.*; real numbers are needed"):
        read_data(xp.asarray([[1.0]], dtype=xp.complex128, device=library.backend.device), "X")
    with pytest.raises(ValueError, match=r"^X contains 2 value\(s\) that are NaN or infinite"):
        read_data(library.asarray([[1.0, np.nan], [np.inf, 0.0]], dtype), "X")
    with pytest.raises(ValueError, match=r"^X has shape \(0, 2\); at least one sample"):
        read_data(library.asarray(np.ones((0, 2)), dtype), "X")


def test_every_value_is_looked_at():
    X = np.ones((300, 500), np.float32)
    check_finite(X, "X")
    X[-1, -1] = np.nan
    with pytest.raises(ValueError, match=r"X contains 1 value"):
        check_finite(X, "X")
