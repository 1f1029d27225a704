"""A table says the same as text and as HTML."""

from xml.etree import ElementTree

import pytest

from xpnet.inspection.table import Table

HEAD, ROWS = ("layer", "number"), [("1 <Dense>", "7"), ("2", "1,000")]


def test_text_is_aligned_by_columns():
    assert str(Table(HEAD, ROWS, numbers=["number"])).splitlines() == [
        "layer      number",
        "-----------------",
        "1 <Dense>       7",
        "2           1,000",
    ]


def test_totals_are_set_apart():
    lines = str(Table(HEAD, ROWS, total=("total", "1,007"))).splitlines()
    assert lines[-2:] == ["-----------------", "total      1,007"]
    assert lines[1] == lines[-2]


@pytest.mark.parametrize("total", [(), ("total", "1,007")])
def test_html_holds_the_same_cells(total):
    html = Table(HEAD, ROWS, numbers=["number"], total=total).to_html()
    rows = [list(row) for row in ElementTree.fromstring(html).iter("tr")]
    assert [tuple(cell.text for cell in row) for row in rows] == [HEAD, *ROWS, *([total] if total else [])]
    for left, right in rows:
        assert "text-align:left" in left.attrib["style"]
        assert "text-align:right" in right.attrib["style"]
    assert "<Dense>" not in html
