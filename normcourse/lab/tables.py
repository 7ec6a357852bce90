"""Tables that a reader sorts and filters on the site (book/assets/tables.js); plain elsewhere."""

from html import escape
from typing import NamedTuple

from normcourse.widgets.panels import number

__all__ = ["Absent", "Cell", "Table"]


class Cell(NamedTuple):
    """What stands in a cell, if it is more than a text or a number.

    Args:
        text: what is read.
        order: by what the column is sorted; the text where there is none.
        link: a page of the book, as a notebook of the same folder would link it.
        mark: css colour of the row, for the cell that names it.
        why: the reason why there is nothing, said below the table.
    """

    text: str
    order: float | None = None
    link: str = ""
    mark: str = ""
    why: str = ""


def Absent(why):
    """A cell that does not apply, and why."""
    return Cell("–", why=why)


class Table:
    """A table with a question as its caption; numbers are rounded as the course prints them.

    Args:
        caption: the question that it answers.
        heads: of the columns; the first column names the rows.
        rows: lists of cells: text, a number, or a :class:`Cell`.
        digits: significant digits of numbers.

    Raises:
        ValueError: a row has not one cell for each head.
    """

    def __init__(self, caption, heads, rows, digits=2):
        self.caption, self.heads = caption, list(heads)
        self.rows = [[_cell(cell, digits) for cell in row] for row in rows]
        for row in self.rows:
            if len(row) != len(self.heads):
                raise ValueError(
                    f"row {row[0].text!r} must have {len(self.heads)} cells, one for each of "
                    f"{', '.join(self.heads)}; got {len(row)}."
                )

    @property
    def reasons(self):
        """{why: the names of the rows that have such an empty cell}."""
        found = {}
        for name, *cells in self.rows:
            for why in dict.fromkeys(cell.why for cell in cells if cell.why):
                found.setdefault(why, []).append(name.text)
        return found

    def column(self, head):
        """{row: text} of one column."""
        k = self.heads.index(head)
        return {row[0].text: row[k].text for row in self.rows}

    def __repr__(self):
        lines = [self.heads, *([cell.text for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        texts = (zip(line, widths, strict=True) for line in lines)
        body = ["  ".join(f"{text:{width}}" for text, width in line).rstrip() for line in texts]
        notes = [f"– {', '.join(names)}: {why}" for why, names in self.reasons.items()]
        return "\n".join([self.caption, *body, *notes])

    def _repr_html_(self):
        heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in self.heads)
        rows = "\n".join(
            f"<tr>{_html(name, 'th')}{''.join(_html(cell, 'td') for cell in cells)}</tr>"
            for name, *cells in self.rows
        )
        caption = escape(self.caption)
        notes = "<br>".join(
            f"– {escape(', '.join(names))}: {escape(why)}" for why, names in self.reasons.items()
        )
        return (
            f'<div class="nc-table-box" role="region" aria-label="{caption}" tabindex="0">'
            f'<table class="nc-table"><caption>{caption}</caption>'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>"
            + (f'<p class="nc-table-notes">{notes}</p>' if notes else "")
        )


def _cell(cell, digits):
    if isinstance(cell, Cell):
        return cell
    if isinstance(cell, str):
        return Cell(cell)
    if isinstance(cell, int) or float(cell).is_integer():
        return Cell(f"{int(cell):,}".replace("-", "−"), float(cell))
    return Cell(number(cell, digits), float(cell))


def _html(cell, tag):
    attributes = ' scope="row"' if tag == "th" else ""
    if cell.mark:
        attributes += f' style="--nc-mark: {cell.mark}"'
    if cell.order is not None:
        attributes += f' data-order="{cell.order:.6g}"'
    if cell.why:
        attributes += f' data-order="" title="{escape(cell.why)}"'
    text = escape(cell.text)
    if cell.link:
        text = f'<a class="nc-card" href="{cell.link}">{text}</a>'
    return f"<{tag}{attributes}>{text}</{tag}>"
