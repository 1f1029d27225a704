"""Sparse data: a CSR matrix of SciPy's or CuPy's meets a network in X W, in X^T dZ and as batches of rows.

Its values, a vector, are an array like any other and say which library and device it belongs to.
"""

from typing import Any


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse matrix or array of SciPy or CuPy: known by its methods, so that neither is imported."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def values_of(x: Any) -> Any:
    """The stored values of a sparse x, or x itself where it is dense."""
    if not is_sparse(x):
        return x
    return x.data if x.format in ("csr", "csc", "coo") else x.tocsr().data


def matmul(A: Any, B: Any) -> Any:
    """A B, dense, for a sparse A."""
    return A @ B


def matrix_transpose(A: Any) -> Any:
    """A^T: the same values, read as columns."""
    return A.T


def take(A: Any, rows: Any, *, axis: int) -> Any:
    """A's rows at these indices."""
    return A[rows]


def dense_needed(definition: Any, parts: Any, onto: Any = ()) -> Any:
    """Raise: elementwise work on sparse data would make it dense without a word."""
    raise TypeError(
        f"X is sparse, and {definition.__name__} would make it dense: let the first layer be Dense, or pass X.toarray()"
    )
