"""A report that says the same in plain text and in HTML, from one list of blocks."""

import re
import textwrap
from dataclasses import dataclass
from html import escape

__all__ = ["Report", "Section", "Table"]

WIDTH = 79

# Colours follow the page; a state is always said in words, too.
STYLE = """
.nc-check { border-left: .25rem solid currentColor; padding: .25rem 1rem; color: inherit;
  background: transparent; max-width: 48rem; }
.nc-check-passed { border-color: var(--nc-good, #2d8a57); }
.nc-check-wrong { border-color: var(--nc-bad, #c2483d); }
.nc-check-open { border-color: var(--nc-muted, #7d838c); }
.nc-check :is(h3, h4) { color: inherit; margin: .75rem 0 .25rem; line-height: 1.3; }
.nc-check h3 { font-size: 1.1rem; margin-top: .25rem; }
.nc-check h4 { font-size: 1rem; }
.nc-check p { margin: .25rem 0; overflow-wrap: anywhere; }
.nc-check table { border-collapse: collapse; margin: .25rem 0; width: auto; color: inherit;
  font-size: .9rem; }
.nc-check :is(th, td) { text-align: left; vertical-align: top; padding: .15rem .9rem .15rem 0;
  border: 0; border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  background: transparent; color: inherit; white-space: normal; }
.nc-check td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
"""


@dataclass(frozen=True)
class Table:
    """Rows of text under header cells; the first cell of a row names it."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def text(self):
        lines = [self.header, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.header))]
        # The last column takes what is left and wraps.
        start = sum(widths[:-1]) + 3 * (len(widths) - 1)
        body = []
        for line in lines:
            left = "".join(cell.ljust(w + 3) for cell, w in zip(line, widths[:-1], strict=False))
            right = textwrap.wrap(line[-1], max(WIDTH - 2 - start, 24)) or [""]
            body += [(left + right[0]).rstrip(), *(" " * start + more for more in right[1:])]
        return body

    def html(self):
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in self.header)
        rows = "".join(
            f'<tr><th scope="row">{escape(first)}</th>'
            + "".join(f"<td{_kind(cell)}>{escape(cell)}</td>" for cell in rest)
            + "</tr>"
            for first, *rest in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _kind(cell):
    """A number stays on its line, also on a phone; text may break anywhere."""
    return ' class="nc-number"' if re.fullmatch(r"-?[\d.]+(e[-+]\d+)?|nan", cell) else ""


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it: paragraphs (str) and tables."""

    heading: str
    blocks: tuple

    def text(self):
        lines = [self.heading]
        for block in self.blocks:
            part = block.text() if isinstance(block, Table) else textwrap.wrap(block, WIDTH - 2)
            lines += ["  " + line for line in part]
        return "\n".join(lines)

    def html(self):
        parts = [
            block.html() if isinstance(block, Table) else f"<p>{escape(block)}</p>"
            for block in self.blocks
        ]
        return f"<h4>{escape(self.heading)}</h4>" + "".join(parts)


class Report:
    """Shown by a notebook as HTML and by everything else as text.

    ``state`` is "passed", "wrong" or "open" and decides the colour of the edge only.
    """

    def __init__(self, title, state, sections):
        self.title, self.state, self.sections = title, state, tuple(sections)

    def __repr__(self):
        parts = [f"{self.title}\n{'=' * len(self.title)}", *(s.text() for s in self.sections)]
        return "\n\n".join(parts)

    def _repr_html_(self):
        return (
            f"<style>{STYLE}</style>"
            f'<section class="nc-check nc-check-{self.state}" role="status">'
            f"<h3>{escape(self.title)}</h3>"
            + "".join(section.html() for section in self.sections)
            + "</section>"
        )
