"""One quantity of a training step, as numbers on the host, and the check of a gradient."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Section = Literal["input", "forward", "loss", "backward", "update"]

SMALL, WIDE = 64, 12
"""An array of at most this many entries and columns is shown whole; a larger one is summarized."""
CORNER = 3, 5
"""Rows and columns that a summary shows."""


@dataclass(frozen=True)
class Check:
    """What central differences say about one gradient.

    Attributes
    ----------
    verdict : {"agrees", "kink", "differs"}
        "kink": a kink such as ReLU's or |w|'s lies exactly at the parameters, and beside them the gradient agrees.
    error : float
        Norm of (gradient - differences) over the gradient's norm (over 1 if that is 0).
    tolerance : float
        What counts as agreement: the square root of the precision computed in.
    directions : int
        How many directions were taken.
    every_entry : bool
        Whether each entry was checked by itself, and not the gradient's own direction and random ones.
    """

    verdict: Literal["agrees", "kink", "differs"]
    error: float
    tolerance: float
    directions: int
    every_entry: bool

    def __str__(self) -> str:
        off = f"off by {self.error:.0e} of its norm" if self.error else "off by nothing"
        if self.verdict == "kink":
            return f"a kink lies at this very point: central differences agree beside it ({off} at it)"
        along = "every entry" if self.every_entry else f"{self.directions} directions"
        return f"central differences of {along} {'agree' if self.verdict == 'agrees' else 'DISAGREE'} ({off})"


@dataclass(frozen=True, eq=False)
class Quantity:
    """One quantity of a training step, an entry of an :class:`Explanation`.

    Attributes
    ----------
    name : str
        As in the README's table of notation: X, W1, Z1, A1, L, dZ2, dW2, ... and "W2 new".
    equation : str
        The equation by which it was computed.
    source : str
        Where that equation comes from, as its class says; may be empty.
    value : numpy array
        A copy on the host, in the dtype computed in; 0-d for a number.
    section : {"input", "forward", "loss", "backward", "update"}
    layer : int
        1, 2, ...; 0 if it belongs to no layer.
    check : Check, optional
        For a gradient, what central differences say about it.
    symbol, printed : str, numpy array, optional
        The name and the numbers that a document has for it; see :meth:`Explanation.beside`.
    """

    name: str
    equation: str
    source: str
    value: np.ndarray
    section: Section
    layer: int = 0
    check: Check | None = None
    symbol: str | None = None
    printed: np.ndarray | None = None

    @property
    def is_small(self) -> bool:
        """Whether it is shown whole."""
        return self.value.size <= SMALL and self.value.ndim <= 2 and max(self.value.shape[-1:], default=1) <= WIDE

    @property
    def corner(self) -> np.ndarray:
        """The first rows and columns."""
        flat = self.value.reshape(len(self.value), -1) if self.value.ndim > 1 else self.value
        return flat[: CORNER[0], : CORNER[1]] if flat.ndim == 2 else flat[: CORNER[1]]

    @property
    def is_as_printed(self) -> bool | None:
        """Whether the value is what the document prints, up to rounding; None if it prints none."""
        if self.printed is None:
            return None
        tolerance = 4.0 * float(np.finfo(self.value.dtype).eps) * max(1.0, float(np.max(np.abs(self.printed))))
        return bool(np.allclose(self.value, self.printed.reshape(self.value.shape), rtol=0.0, atol=tolerance))

    def summary(self) -> dict[str, float]:
        """The value in five numbers, computed in float64.

        Returns
        -------
        dict of str to float
            "min", "mean", "max", "norm" (Euclidean) and "zeros", the share of entries that are 0.
        """
        a = self.value.astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            found = {"min": a.min(), "mean": a.mean(), "max": a.max(), "norm": np.linalg.norm(a.ravel())}
        return {**{name: float(x) for name, x in found.items()}, "zeros": float(np.mean(a == 0.0))}

    def to_dict(self) -> dict[str, Any]:
        """All of it as numbers, text, lists and None.

        Returns
        -------
        dict
            The attributes by name; a small array is in "values", a large one has a "summary" and a "corner".
        """
        facts = {name: getattr(self, name) for name in ("name", "equation", "source", "section", "layer")}
        facts |= {"shape": list(self.value.shape), "dtype": str(self.value.dtype)}
        small = {"values": self.value.tolist()} if self.is_small else {}
        facts |= small or {"summary": self.summary(), "corner": self.corner.tolist()}
        if self.check is not None:
            facts["check"] = dataclasses.asdict(self.check)
        if self.symbol is not None:
            facts["document"] = {"symbol": self.symbol}
        if self.printed is not None:
            facts["document"] |= {"values": self.printed.tolist(), "same": self.is_as_printed}
        return facts
