"""The ledger: every claim with its picture, read from the outputs stored in the chapters."""

import json
import os
from collections import Counter
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

from normcourse.lab.claims.record import Claim, Interval, Result, Verdict
from normcourse.lab.claims.said import INTRODUCTIONS, STATEMENTS, said_by
from normcourse.lab.claims.show import MIME, STYLE, accent, chart, origin, papers, verdict

__all__ = ["CHOICES", "Ledger", "bet_title", "fingerprint"]

CHOICES = {  # of a bet
    Verdict.HOLDS: "it holds",
    Verdict.PARTLY: "it holds only in some of the cases",
    Verdict.FAILS: "it does not hold here",
    Verdict.OPEN: "the runs cannot decide",
}


@dataclass(frozen=True)
class Entry:
    """A claim with its stored result; where there is none, ``problem`` says why."""

    claim: Claim
    result: Result | None
    problem: str = ""


@dataclass(frozen=True)
class Ledger:
    """All claims in the order of the book, as pictures or as plain text.

    ``unknown`` names stored results whose claim no longer exists.
    """

    root: Path
    entries: tuple[Entry, ...]
    unknown: tuple[str, ...]

    @classmethod
    def read(cls, root, claims):
        """Join ``claims`` ({name: Claim}) with the results stored in the notebooks of ``root``."""
        root = Path(root)
        stored = {}
        for path in sorted(root.rglob("*.ipynb")):
            if ".ipynb_checkpoints" in path.parts:
                continue
            page = path.relative_to(root).with_suffix("").as_posix()
            for name, record in _records(path):
                stored.setdefault(name, []).append((page, record))
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
        return groupby(self.entries, lambda entry: entry.claim.chapter)

    def _summary(self):
        """How many claims were measured, and how many came out which way."""
        count = Counter(entry.result.verdict for entry in self.entries if entry.result)
        read = sum(bool(entry.claim.literature) for entry in self.entries)
        tried = f"tried, {read} of them in the literature alone" if read else "measured"
        return (
            f"{count.total()} of {len(self.entries)} claims {tried}: {count[Verdict.HOLDS]} hold, "
            f"{count[Verdict.PARTLY]} hold only in some cases, {count[Verdict.FAILS]} do not hold "
            f"here, {count[Verdict.OPEN]} not shown"
        )

    def __repr__(self):
        lines = [self._summary()]
        for chapter, entries in self._chapters():
            lines += ["", chapter]
            lines += [
                repr(e.result) if e.result else f"{e.claim.name}: {e.problem}" for e in entries
            ]
        return "\n".join([*lines, *(["", *self.problems] if self.problems else [])])

    def _repr_html_(self):
        names = {entry.claim.name for entry in self.entries if entry.result}
        done = sum(names.issuperset(tried) for _, tried in STATEMENTS)
        parts = [
            STYLE,
            f'<div class="nc-ledger" data-choices="{escape(json.dumps(list(CHOICES.values())))}" '
            f'data-sources="{escape(json.dumps(INTRODUCTIONS))}">',
            f'<p class="nc-ledger-summary">{self._summary()}. With them {done} of the '
            f"{len(STATEMENTS)} statements of the introductions have a verdict.</p>",
        ]
        for chapter, entries in self._chapters():
            title = chapter.split("/")[-1].replace("_", " ").capitalize()
            page = os.path.relpath(self.root / chapter, os.curdir).replace(os.sep, "/") + ".html"
            parts += [
                f'<div class="nc-claims" data-chapter="{escape(title)}" '
                f'style="--nc-mark: {accent(chapter)}">',
                f'<p class="nc-chapter"><a href="{escape(page)}">{escape(title)}</a></p>',
                *(_row(entry, escape(page)) for entry in entries),
                "</div>",
            ]
        parts.append("</div>")
        if self.problems:
            items = "".join(f"<li>{escape(problem)}</li>" for problem in self.problems)
            parts.append(f'<p>Not in order:</p><ul class="nc-ledger-problems">{items}</ul>')
        return "\n".join(parts)


def _row(entry, page):
    claim, result = entry.claim, entry.result
    shown = f'<p class="nc-verdict">{escape(entry.problem)}</p>'
    if result:
        link = f'<a href="{page}#claim-{claim.name}">{verdict(result)}</a>'
        shown = f'{chart(result)}\n<p class="nc-verdict">{link}</p>\n{origin(result)}'
    verdicts = list(CHOICES)
    right = verdicts.index(result.verdict) if result else -1
    sources = said_by(claim.name)
    said = ", ".join(sources) or "the paper named above"
    return (
        f'<div class="nc-claim" data-claim="{claim.name}" data-said="{sources}" '
        f'data-right="{right}" data-of="{fingerprint([bet_title(claim), *CHOICES.values()])}">'
        f'<p class="nc-statement">{escape(claim.statement)}</p>\n'
        f'<div class="nc-outcome">{shown}\n{papers(claim)}</div>'
        f'<p class="nc-said-by">Said by {said}.</p></div>'
    )


def bet_title(claim):
    """The question of a bet on a claim."""
    return f"Your bet: “{claim.statement}”"


def fingerprint(texts):
    """A number that tells one question from another, as book/assets/loader.js computes it."""
    total = 7
    for character in "\n".join(texts):
        total = (31 * total + ord(character)) % 2147483647
    return total


def _records(path):
    """(name, record) of each claim among the outputs of one notebook."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", ()):
            yield from output.get("data", {}).get(MIME, {}).items()


def _join(claim, stored):
    """One claim with its stored result, or with what is wrong about it."""
    pages = [page for page, _ in stored]
    if not stored:
        return Entry(claim, None, f"not measured yet in {claim.chapter}")
    if pages != [claim.chapter]:
        return Entry(claim, None, f"expected once, in {claim.chapter}; found in {', '.join(pages)}")
    record = stored[0][1]
    result = Result(
        claim,
        {
            key: {row: Interval(*interval) for row, *interval in rows}
            for key, rows in record["intervals"].items()
        },
    )
    try:  # what is stored in the chapter is that of the study of today
        today = claim.measure() if claim.study else result
    except ValueError as problem:
        return Entry(claim, None, str(problem))
    # Where a key is missing there is no picture; all else is compared with the claim of today.
    if {f.key for f in claim.figures} != set(result.intervals) or today.record() != record:
        return Entry(claim, None, f"it changed since {claim.chapter} was executed")
    return Entry(claim, result)
