"""One thing that is wrong with a training."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        What, such as "dead ReLUs".
    where : str
        Where: a layer, a column of X, a class, the history.
    measure : str
        What the number is.
    number, threshold : float
        What was found, and beyond what it is a finding.
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
