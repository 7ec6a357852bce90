"""Tables of the site: what is said, how it is sorted, and that nothing is left unsaid."""

import pytest
from bs4 import BeautifulSoup

from normcourse.lab.tables import Absent, Cell, Table

MADE = Table(
    "Which <is> it?",
    ["Name", "Size", "Kind"],
    [
        [Cell("one", link="../a/one.ipynb", mark="#123456"), 1234, "a"],
        ["two", 0.12345, Absent("it has none.")],
        ["three", -2.0, Absent("it has none.")],
    ],
)


def test_reads_as_text():
    assert repr(MADE).splitlines() == [
        "Which <is> it?",
        "Name   Size   Kind",
        "one    1,234  a",
        "two    0.12   –",
        "three  −2     –",
        "– two, three: it has none.",
    ]
    assert MADE.column("Size") == {"one": "1,234", "two": "0.12", "three": "−2"}


def test_html_says_the_same_and_how_it_is_sorted():
    html = BeautifulSoup(MADE._repr_html_(), "html.parser")
    assert html.caption.text == html.select_one("[role=region]")["aria-label"] == MADE.caption
    rows = [[cell.text for cell in row.select("th, td")] for row in html.select("tbody tr")]
    assert rows == [[cell.text for cell in row] for row in MADE.rows]
    orders = [cell.get("data-order") for cell in html.select("td")]
    assert orders == ["1234", None, "0.12345", "", "-2", ""]
    assert html.select_one("tbody th a")["href"] == "../a/one.ipynb"
    assert html.select_one(".nc-table-notes").text == "– two, three: it has none."
    assert all(head["scope"] == "col" for head in html.select("thead th"))


def test_a_row_of_another_length_is_refused():
    with pytest.raises(
        ValueError, match="row 'one' must have 2 cells, one for each of A, B; got 3"
    ):
        Table("?", ["A", "B"], [["one", 1, 2]])
