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


class _Products:
    """The namespace of a sparse matrix: what else a network may ask of X would make it dense."""

    @staticmethod
    def matmul(A: Any, B: Any) -> Any:
        """A B, dense unless both are sparse."""
        return A @ B

    @staticmethod
    def matrix_transpose(A: Any) -> Any:
        """A^T: the same values, read as columns."""
        return A.T

    def __getattr__(self, name: str) -> Any:
        raise TypeError(
            f"X is sparse, and {name} would make it dense: let the first layer be Dense, or pass X.toarray()"
        )


ProductsAlone = _Products()
