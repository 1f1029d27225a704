"""What a diagnosis says: its findings, each with a number, a threshold, a source and a fix."""

import html
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..table import Table


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a training.

    Attributes
    ----------
    kind : str
        What is wrong, such as "dead ReLUs".
    where : str
        A layer, a column of X, a class, or the history.
    measure : str
        What the number is.
    number, threshold : float
        What was found, and the limit that it is beyond.
    source : str
        Where the threshold comes from.
    fix : str
        Which parameter to change, and to what.
    """

    kind: str
    where: str
    measure: str
    number: float
    threshold: float
    source: str
    fix: str

    def __str__(self) -> str:
        return (
            f"{self.kind} ({self.where}): {self.number:.3g}, threshold {self.threshold:g}: {self.measure}\n"
            f"    fix: {self.fix}\n    source: {self.source}"
        )


@dataclass(frozen=True, repr=False)
class Diagnosis(Sequence):
    """A sequence of findings, causes before their consequences; empty, and so false, if nothing is wrong.

    It prints as a numbered list, and is a table in a notebook.

    Attributes
    ----------
    findings : tuple of Finding
        What is wrong.
    looked_at : str
        What was looked at, in words.
    """

    findings: tuple[Finding, ...]
    looked_at: str

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, place: Any) -> Any:
        return self.findings[place]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __repr__(self) -> str:
        if not self.findings:
            return f"nothing found: {self.looked_at}"
        numbered = [f"{i}. {finding}" for i, finding in enumerate(self.findings, 1)]
        return "\n".join([f"{len(self)} finding(s): {self.looked_at}", *numbered])

    def _repr_html_(self) -> str:
        head = "kind", "where", "measure", "number", "threshold", "fix", "source"
        rows = [[f"{v:.3g}" if isinstance(v, float) else v for v in (getattr(f, n) for n in head)] for f in self]
        table = Table(head, rows, numbers=("number", "threshold")).to_html() if rows else ""
        return f"<div><p>{len(self) or 'no'} finding(s): {html.escape(self.looked_at)}</p>{table}</div>"

    def to_json(self) -> str:
        """The diagnosis as JSON: {"looked_at", "findings": [{"kind", "where", "number", ...}]}.

        Returns
        -------
        str
            JSON, with null for an infinite number.
        """
        found = [{k: None if v == float("inf") else v for k, v in asdict(f).items()} for f in self.findings]
        return json.dumps({"looked_at": self.looked_at, "findings": found}, allow_nan=False)
