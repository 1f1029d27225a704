"""What ``explain`` returns: the quantities of one step in the order in which they are computed."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .page import as_fragment, as_page
from .quantity import Quantity, Section
from .text import as_markdown, as_text


@dataclass(frozen=True, eq=False)
class Explanation:
    """One training step, quantity by quantity.

    ``explanation["dW2"].value`` is an array; ``print(explanation)``, :meth:`markdown`, :meth:`html` and :meth:`json`
    show all of it, and a notebook shows the page.

    Attributes
    ----------
    quantities : tuple of Quantity
        In the order in which they are computed; iterating over the explanation yields them.
    facts : mapping of str to str
        The network, loss, optimizer, number of samples, dtype and backend, in words.
    layers : tuple of str
        Each layer in words.
    title : str
    notes : tuple of str
        What a reader should know about this step.
    references : tuple of str
        What the sources of the quantities refer to.
    """

    quantities: tuple[Quantity, ...]
    facts: Mapping[str, str]
    layers: tuple[str, ...]
    title: str = "One training step"
    notes: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Quantity:
        found = next((q for q in self.quantities if q.name == name), None)
        if found is None:
            raise KeyError(f"no quantity is called {name!r}; there are: {', '.join(q.name for q in self.quantities)}")
        return found

    def __contains__(self, name: object) -> bool:
        return any(q.name == name for q in self.quantities)

    def __iter__(self) -> Iterator[Quantity]:
        return iter(self.quantities)

    def __len__(self) -> int:
        return len(self.quantities)

    def of(self, section: Section, layer: int = 0) -> list[Quantity]:
        """The quantities of one section and layer.

        Parameters
        ----------
        section : {"input", "forward", "loss", "backward", "update"}
        layer : int
            1, 2, ...; 0 for those that belong to no layer.

        Returns
        -------
        list of Quantity
        """
        return [q for q in self.quantities if q.section == section and q.layer == layer]

    def place(self, quantity: Quantity) -> int:
        """The place of a quantity of this explanation in the order of computation.

        Returns
        -------
        int
            From 1.
        """
        return next(i for i, q in enumerate(self.quantities, 1) if q is quantity)

    def beside(self, title: str, symbols: Mapping[str, str], printed: Mapping[str, Any] | None = None) -> "Explanation":
        """The same step under a title, beside a document's names and numbers.

        Parameters
        ----------
        title : str
        symbols : mapping of str to str
            The document's name of each quantity, by the quantity's name here.
        printed : mapping of str to array-like, optional
            The numbers that the document prints, by the quantity's name here.

        Returns
        -------
        Explanation
            Its quantities have ``symbol`` and ``printed``.

        Raises
        ------
        KeyError
            There is no quantity of one of these names.
        """
        arrays = {name: np.asarray(a, dtype=np.float64) for name, a in (printed or {}).items()}
        for name in {*symbols, *arrays}:
            self[name]
        named = (dataclasses.replace(q, symbol=symbols.get(q.name), printed=arrays.get(q.name)) for q in self)
        return dataclasses.replace(self, quantities=tuple(named), title=title)

    def text(self) -> str:
        """Plain text for a terminal, 100 columns wide.

        Returns
        -------
        str
        """
        return as_text(self)

    def markdown(self) -> str:
        """Markdown, with a table for each group of quantities.

        Returns
        -------
        str
        """
        return as_markdown(self)

    def html(self) -> str:
        """One page that needs nothing else: no network, no script.

        Returns
        -------
        str
        """
        return as_page(self)

    def to_dict(self) -> dict[str, Any]:
        """All of it as numbers, text, lists and None.

        Returns
        -------
        dict
            The attributes by name; "quantities" has a :meth:`Quantity.to_dict` of each.
        """
        names = ("title", "facts", "layers", "notes", "references")
        found = {name: getattr(self, name) for name in names}
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
        return {**found, "quantities": [q.to_dict() for q in self.quantities]}

    def json(self) -> str:
        """:meth:`to_dict` as JSON; NaN and infinity, which JSON lacks, become null.

        Returns
        -------
        str
        """
        return json.dumps(_finite(self.to_dict()), ensure_ascii=False, indent=1, allow_nan=False)

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return as_fragment(self)


def _finite(x: Any) -> Any:
    """x with None in place of numbers that are not finite."""
    if isinstance(x, Mapping):
        return {key: _finite(value) for key, value in x.items()}
    if isinstance(x, list):
        return [_finite(value) for value in x]
    return None if isinstance(x, float) and not np.isfinite(x) else x
