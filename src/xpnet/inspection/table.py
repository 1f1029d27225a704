"""A table as text for a terminal, and as HTML for a notebook."""

import html
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of text below a head, and a row of totals if there is one."""

    head: Sequence[str]  # the names of the columns
    rows: Sequence[Sequence[str]]  # one cell for each column
    numbers: Collection[str] = ()  # the names of the columns that are aligned to the right
    total: Sequence[str] = ()  # the last row, set apart from the others; empty if there is none

    def __str__(self) -> str:
        lines = [self.head, *self.rows, *([self.total] if self.total else [])]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        head, *body = ("  ".join(self._padded(line, widths)).rstrip() for line in lines)
        rule = "-" * (sum(widths) + 2 * len(widths) - 2)
        if self.total:
            body.insert(-1, rule)
        return "\n".join([head, rule, *body])

    def _padded(self, line: Sequence[str], widths: Sequence[int]) -> list[str]:
        cells = zip(self.head, line, widths, strict=True)
        return [text.rjust(width) if name in self.numbers else text.ljust(width) for name, text, width in cells]

    def to_html(self) -> str:
        """The table as HTML, its text escaped."""
        body = "".join(self._html_row(row, "td") for row in self.rows)
        total = self._html_row(self.total, "td") if self.total else ""
        return (
            f'<table style="border-collapse:collapse"><thead>{self._html_row(self.head, "th")}</thead>'
            f'<tbody>{body}</tbody><tfoot style="font-weight:bold;border-top:1px solid">{total}</tfoot></table>'
        )

    def _html_row(self, row: Sequence[str], tag: str) -> str:
        cells = (
            f'<{tag} style="text-align:{"right" if name in self.numbers else "left"};padding:2px 10px">'
            f"{html.escape(text)}</{tag}>"
            for name, text in zip(self.head, row, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"
