"""Scalable Vector Graphics (W3C, SVG 1.1) as text: the few shapes that a network is drawn with.

Text on the page takes the page's own color, and filled shapes have dark text on a light color, so that pictures are
readable on light and on dark pages. Nothing has an id or a class, so that pictures on one page don't affect each other.
"""

import os
from pathlib import Path
from unicodedata import east_asian_width
from xml.sax.saxutils import escape, quoteattr

INK, PAPER, OUTLINE = "#1f2328", "#ffffff", "#57606a"
FILLS = {"x": "#eaeef2", "a": "#cfe3f8", "ŷ": "#d3efd5", "bias": "#ffdf5d"}
"""The colors of the input, hidden units, the output, and bias nodes (yellow in D0's figure 1)."""
MARGIN, LINE = 16.0, 18.0
FONT = "system-ui,-apple-system,'Segoe UI',Helvetica,Arial,'DejaVu Sans',sans-serif"
# In a page the root is the page and not the picture, which then has the page's color.
_ALONE = (
    "<style>svg:root{color:#1f2328;color-scheme:light dark}"
    "@media(prefers-color-scheme:dark){svg:root{color:#e6edf3}}</style>"
)


class SVG(str):
    """A picture as text: show it in a notebook, or ``write`` it to a file."""

    def _repr_svg_(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f'<div style="max-width:100%;overflow-x:auto">{self}</div>'

    def write(self, path: str | os.PathLike) -> None:
        """Write the picture to a file, ``NAME.svg``; another ending is a ValueError."""
        if Path(path).suffix.lower() != ".svg":
            raise ValueError(f"path is {os.fspath(path)!r}, and the picture is written as .svg: give NAME.svg")
        Path(path).write_text(str(self), encoding="utf-8")


def element(name: str, content: str = "", /, **attributes: object) -> str:
    """<name attributes>content</name>; an underscore in an attribute's name stands for a hyphen."""
    given = "".join(
        f" {key.replace('_', '-')}={quoteattr(_text(value))}" for key, value in attributes.items() if value is not None
    )
    return f"<{name}{given}>{content}</{name}>" if content else f"<{name}{given}/>"


def _text(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def label(
    text: str, x: float, y: float, size: int = 13, anchor: str = "middle", fill: str = "currentColor", **more: object
) -> str:
    """One line of text, its middle at the height y."""
    at = {"x": x, "y": y + 0.35 * size, "font_size": size, "text_anchor": anchor, "fill": fill}
    return element("text", escape(text), **at, **more)


def indexed(letter: str, index: int | None, x: float, y: float) -> str:
    """A letter with its index below, as it stands in a node."""
    below = "" if index is None else element("tspan", str(index), dy=4, font_size=10)
    inside = escape(letter) + below
    return element("text", inside, x=x, y=y + 4.5, font_size=14, text_anchor="middle", fill=INK, font_style="italic")


def titled(text: str) -> str:
    """What a browser shows while the pointer rests on a shape."""
    return element("title", escape(text))


def width_of(text: str, size: int = 13) -> float:
    """An upper estimate of a line's width: fonts differ, and the browser's is not known here."""
    return size * sum(
        1.05 if east_asian_width(c) in "WF" or c in "MWmw@%…" else 0.8 if c.isupper() else 0.62 for c in text
    )


def shortened(text: str, most: int = 22) -> str:
    """The text without what XML can't hold, and without its end if it is long."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def picture(shapes: list[str], width: float, height: float, title: str) -> SVG:
    """The shapes as one picture of this size, which shrinks if the page is narrower."""
    head = titled(title)
    return SVG(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" font-family="{FONT}" style="max-width:100%;height:auto">{head}{_ALONE}\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )
