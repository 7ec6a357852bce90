"""The ledger: every claim with its figures, read from the outputs stored in the chapters."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

from normcourse.lab.claims.record import MIME, kind, literature, revision

__all__ = ["Ledger"]


# Side by side where there is room, below one another where there is not; the page's rules win.
_STYLE = """<style>
:where(.nc-ledger table) { border-collapse: collapse; width: 100%; margin: 0 0 2rem; }
:where(.nc-ledger caption) { caption-side: top; text-align: left; font-weight: 700; }
:where(.nc-ledger :is(th, td)) { text-align: left; vertical-align: top; padding: .6rem 1rem .6rem 0;
  border: 0; border-bottom: 1px solid #7d838c80; background: none; white-space: normal; }
:where(.nc-ledger td:nth-child(1)) { width: 38%; }
:where(.nc-ledger td:nth-child(2)) { width: 40%; font-variant-numeric: tabular-nums; }
:where(.nc-ledger :is(p, ul)) { margin: 0 0 .3rem; }
:where(.nc-ledger ul) { padding-left: 1.1rem; }
:where(.nc-ledger :is(.nc-claim-statement, .nc-claim-verdict)) { font-weight: 700; }
:where(.nc-ledger :is(.nc-claim-source, .nc-claim-literature, details, td + td)) {
  font-size: .9em; }
@media (max-width: 40rem) {
  :where(.nc-ledger :is(table, tbody, tr, td)) { display: block; }
  :where(.nc-ledger thead) { display: none; }
  :where(.nc-ledger td) { width: auto; border: 0; padding: .2rem 0; }
  :where(.nc-ledger tr) { border-bottom: 1px solid #7d838c80; padding: .6rem 0; }
}
</style>"""


@dataclass(frozen=True)
class Entry:
    """A claim joined with its stored record; ``record`` is None and ``problem`` says why not."""

    claim: object
    record: dict | None
    problem: str | None


@dataclass(frozen=True)
class Ledger:
    """All claims in the order of the book; shown as a table, or as plain text.

    ``unknown`` names stored findings whose claim no longer exists.
    """

    root: Path
    entries: tuple[Entry, ...]
    unknown: tuple[str, ...]

    @classmethod
    def read(cls, root, claims):
        """Join ``claims`` ({name: Claim}) with the findings stored in the notebooks of ``root``."""
        root = Path(root)
        stored = {}
        for path in sorted(root.rglob("*.ipynb")):
            if ".ipynb_checkpoints" in path.parts:
                continue
            page = path.relative_to(root).with_suffix("").as_posix()
            for record in _records(path):
                stored.setdefault(record["name"], []).append((page, record))
        entries = tuple(_join(claim, stored.pop(claim.name, [])) for claim in claims.values())
        return cls(root, entries, tuple(sorted(stored)))

    @property
    def problems(self):
        """What is missing, stale or unknown, one sentence each; empty when all is well."""
        missing = [f"{e.claim.name}: {e.problem}." for e in self.entries if e.problem]
        return missing + [
            f"{name}: stored in a chapter, but no such claim." for name in self.unknown
        ]

    def _chapters(self):
        """(chapter, its entries), in the order of the claims."""
        return [(chapter, list(group)) for chapter, group in groupby(self.entries, _chapter)]

    def _summary(self):
        """How many claims were measured, and how many came out which way."""
        verdicts = [entry.record["verdict"] for entry in self.entries if entry.record]
        kinds = Counter(map(kind, verdicts))
        return (
            f"{len(verdicts)} of {len(self.entries)} claims measured: "
            f"{kinds['nc-claim-holds']} hold, {kinds['nc-claim-partly']} hold only under a "
            f"condition, {kinds['nc-claim-fails']} do not hold here, "
            f"{kinds['nc-claim-open']} not shown"
        )

    def __repr__(self):
        lines = [self._summary()]
        for chapter, entries in self._chapters():
            lines += ["", chapter]
            for entry in entries:
                verdict = entry.record["verdict"] if entry.record else entry.problem
                lines.append(f"  {entry.claim.statement}")
                for label, figure, interval in entry.record["figures"] if entry.record else ():
                    lines.append(f"      {label}: {figure} ({interval})")
                lines.append(f"    → {verdict}")
        return "\n".join([*lines, *(["", *self.problems] if self.problems else [])])

    def _repr_html_(self):
        summary = f'<p class="nc-ledger-summary">{self._summary()}.</p>'
        parts = [_STYLE, '<div class="nc-ledger">', summary]
        for chapter, entries in self._chapters():
            title = chapter.split("/")[-1].replace("_", " ").capitalize()
            rows = "\n".join(map(self._row, entries))
            parts.append(
                '<table class="nc-ledger-table">\n'
                f'<caption><a href="{self._link(chapter)}">{escape(title)}</a></caption>\n'
                '<thead><tr><th scope="col">Claim</th>'
                '<th scope="col">Measured (mean, of ratios and rates geometric; 95 % t interval '
                "over seeds)</th>"
                '<th scope="col">Verdict</th></tr></thead>\n'
                f"<tbody>\n{rows}\n</tbody></table>"
            )
        if self.problems:
            items = "".join(f"<li>{escape(problem)}</li>" for problem in self.problems)
            parts.append(f'<p>Not in order:</p><ul class="nc-ledger-problems">{items}</ul>')
        return "\n".join([*parts, "</div>"])

    def _link(self, chapter):
        """The chapter's page, from the folder of the notebook that shows the ledger."""
        return (
            escape(os.path.relpath(self.root / chapter, os.curdir).replace(os.sep, "/")) + ".html"
        )

    def _row(self, entry):
        claim, record = entry.claim, entry.record
        if record is None:
            measured, verdict, css = "–", escape(entry.problem), "nc-claim-missing"
        else:
            figures = "".join(
                f"<li>{escape(label)}: <b>{escape(figure)}</b> ({escape(interval)})</li>"
                for label, figure, interval in record["figures"]
            )
            measured = f"<ul>{figures}</ul><p>{record['runs']} seeds</p>"
            link = f"{self._link(claim.chapter)}#claim-{claim.name}"
            verdict = f'<a href="{link}">{escape(record["verdict"])}</a>'
            css = kind(record["verdict"])
        return (
            f'<tr class="{css}"><td><p class="nc-claim-statement">{escape(claim.statement)}</p>'
            f'<p class="nc-claim-source">{escape("; ".join(claim.said_by))}</p>'
            f"<details><summary>Criterion</summary><p>{escape(claim.criterion)}</p>"
            f"{revision(claim)}</details>"
            f"{literature(claim)}</td><td>{measured}</td>"
            f'<td class="nc-claim-verdict">{verdict}</td></tr>'
        )


def _chapter(entry):
    return entry.claim.chapter


def _records(path):
    """The claim records among the outputs of one notebook."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            record = output.get("data", {}).get(MIME)
            if record:
                yield record


def _join(claim, stored):
    """One claim with its stored record, or with what is wrong about it."""
    if not stored:
        return Entry(claim, None, f"not measured yet in {claim.chapter}")
    pages = [page for page, _ in stored]
    if pages != [claim.chapter]:
        return Entry(claim, None, f"expected once, in {claim.chapter}; found in {', '.join(pages)}")
    record = stored[0][1]
    for key in ("statement", "criterion"):
        if record[key] != getattr(claim, key):
            return Entry(claim, None, f"its {key} changed since {claim.chapter} was executed")
    return Entry(claim, record, None)
