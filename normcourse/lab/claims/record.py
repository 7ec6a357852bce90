"""A claim, the experiment that tries it, and what was found."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from html import escape

import numpy as np

from normcourse.palette import ACCENT, INK

__all__ = [
    "ARTICLE",
    "COURSE",
    "GUIDE",
    "LESSON",
    "SURVEY",
    "Claim",
    "Estimate",
    "Figure",
    "Finding",
]

MIME = "application/vnd.normcourse.claim+json"

# Who says it: widely read introductions to the subject.
ARTICLE = "“The 5 Normalization Techniques” (Mustafa, Towards AI)"
COURSE = "“Normalization in Deep Learning” (course page)"
SURVEY = "survey of normalization techniques (Schneppat)"
LESSON = "“Normalization techniques: stabilizing neural networks” (interactive lesson)"
GUIDE = "guide to normalization with formulas and a decision table"


@dataclass(frozen=True)
class Figure:
    """One number that an experiment returns for each seed: what it is and how it is averaged.

    Args:
        label: what was measured, with its unit.
        log: geometric mean and its interval, for ratios and learning rates.
        unit: "%" or "pts" (points) shows a share, or a difference of shares, times 100.
        missing: what to call a number that is not finite.
    """

    label: str
    log: bool = False
    unit: str = ""
    missing: str = "not reached"


@dataclass(frozen=True)
class Claim:
    """A statement that people make, and how it is tried.

    Args:
        name: snake_case, unique in the course.
        statement: in the words people use.
        said_by: the sources.
        chapter: page of the book, such as "activations/batch_norm".
        criterion: what the figures must show for which verdict, written before the first run.
        experiment: seed -> {key: number}, one entry per entry of ``figures``.
        figures: {key: Figure}, what the experiment measures.
        decide: {key: Estimate} -> verdict; starts with "holds", "does not hold" or "not shown".
        seeds: at least 5.
        literature: primary sources, "Authors year, arXiv:id".
        revision: what was changed after a first run, and why; shown with the criterion.
    """

    name: str
    statement: str
    said_by: tuple[str, ...]
    chapter: str
    criterion: str
    experiment: Callable = field(repr=False)
    figures: dict[str, Figure] = field(repr=False)
    decide: Callable = field(repr=False)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    literature: tuple[str, ...] = ()
    revision: str = ""

    def __post_init__(self):
        if len(self.seeds) < 5:
            raise ValueError(f"{self.name} needs at least 5 seeds, got {len(self.seeds)}.")

    def measure(self):
        """Run the experiment for each seed and decide: a :class:`Finding`."""
        with np.errstate(all="ignore"):
            runs = [self.experiment(seed) for seed in self.seeds]
        estimates = {
            key: Estimate(figure, tuple(float(run[key]) for run in runs))
            for key, figure in self.figures.items()
        }
        return Finding(self, estimates, self.decide(estimates))


@dataclass(frozen=True)
class Estimate:
    """A figure over seeds: mean and 95 % Student t interval.

    If ``figure.log`` they are taken of the logarithm, which makes the mean geometric.

    ``mean``, ``low`` and ``high`` are NaN where some run has no finite number.
    """

    figure: Figure
    values: tuple[float, ...]

    @property
    def finite(self):
        """How many runs have a finite number."""
        return sum(map(math.isfinite, self.values))

    @cached_property
    def _interval(self):
        from scipy.special import stdtrit

        n = len(self.values)
        if self.finite < n:
            return math.nan, math.nan, math.nan
        values = np.log(self.values) if self.figure.log else np.array(self.values)
        mean, half = values.mean(), stdtrit(n - 1, 0.975) * values.std(ddof=1) / n**0.5
        three = np.array([mean, mean - half, mean + half])
        return tuple(map(float, np.exp(three) if self.figure.log else three))

    mean = property(lambda self: self._interval[0])
    low = property(lambda self: self._interval[1])
    high = property(lambda self: self._interval[2])

    def texts(self):
        """(figure, interval) as the course prints them: two significant digits."""
        runs = len(self.values)
        if self.finite < runs:
            count = "all" if self.finite == 0 else f"{runs - self.finite} of"
            return f"{self.figure.missing} in {count} {runs} runs", "–"
        mean, low, high = (_digits(v, self.figure) for v in self._interval)
        same = max(self.values) - min(self.values) <= 1e-9 * abs(self.values[0])
        return mean, "every run the same" if same else f"{low}\u00a0…\u00a0{high}"

    def __str__(self):
        mean, interval = self.texts()
        return f"{mean} [{interval}]" if "…" in interval else f"{mean} ({interval})"


def _digits(value, figure):
    """Two significant digits, or whole percent: what no other CPU's rounding changes."""
    if figure.unit:
        return f"{round(100 * value):d}\u00a0{figure.unit}".replace("-", "−")
    if value == 0 or (abs(value) < 1e-14 and not figure.log):  # rounding is no finding
        return "0"
    mantissa, exponent = f"{value:.1e}".split("e")
    decimals = 1 - int(exponent)
    if -4 < int(exponent) < 4:
        text = f"{round(value, decimals):.{max(0, decimals)}f}"
    else:
        text = f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return text.replace("-", "−")


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

# :where() has no specificity: any rule of the page wins over these.
_STYLE = """<style>
:where(.nc-claim) { border-left: .25rem solid; margin: 1rem 0; padding: .1rem 1rem; }
:where(.nc-claim a) { color: inherit; }
:where(.nc-claim blockquote) { background: none; border: 0; margin: .4rem 0; padding: 0;
  font-size: 1.1em; }
:where(.nc-claim p) { margin: .4rem 0; }
:where(.nc-claim table) { border-collapse: collapse; margin: .6rem 0; font-size: .95em; }
:where(.nc-claim :is(th, td)) { text-align: left; padding: .2rem 1.2rem .2rem 0; border: 0;
  background: none; font-variant-numeric: tabular-nums; vertical-align: baseline; }
:where(.nc-claim tbody th) { font-weight: 400; }
:where(.nc-claim thead) { border-bottom: 1px solid currentColor; }
</style>"""


@dataclass(frozen=True)
class Finding:
    """What an experiment found: estimates by key, and the verdict that the criterion gives."""

    claim: Claim
    estimates: dict[str, Estimate]
    verdict: str

    def rows(self):
        """(label, figure, interval) of each estimate, as text."""
        return [(e.figure.label, *e.texts()) for e in self.estimates.values()]

    def record(self):
        """What the ledger reads from a chapter's stored output: text and nothing else."""
        claim = self.claim
        return {
            "name": claim.name,
            "statement": claim.statement,
            "criterion": claim.criterion,
            "figures": [list(row) for row in self.rows()],
            "runs": len(claim.seeds),
            "verdict": self.verdict,
        }

    def __repr__(self):
        claim, rows = self.claim, self.rows()
        width = max(len(label) for label, _, _ in rows)
        wide = max(len(figure) for _, figure, _ in rows)
        return "\n".join(
            [
                f"Claim: {claim.statement}",
                f"Said by: {'; '.join(claim.said_by)}",
                f"Criterion: {claim.criterion}",
                *([f"Revised: {claim.revision}"] if claim.revision else []),
                f"Measured ({self._interval_note()}):",
                *(f"  {label:{width}}  {figure:{wide}}  {i}".rstrip() for label, figure, i in rows),
                f"Verdict: {self.verdict}",
                *([f"Literature: {'; '.join(claim.literature)}"] if claim.literature else []),
            ]
        )

    def _repr_html_(self):
        claim = self.claim
        label = escape(f"Claim: {claim.statement}", quote=True)
        accent = ACCENT.get(claim.chapter.split("/")[-1], INK)
        return "\n".join(
            [
                _STYLE,
                f'<article class="nc-claim {kind(self.verdict)}" id="claim-{claim.name}"'
                f' aria-label="{label}" style="border-color: {accent}">',
                f'<blockquote class="nc-claim-statement">{escape(claim.statement)}</blockquote>',
                f'<p class="nc-claim-source">Said by: {escape("; ".join(claim.said_by))}</p>',
                f'<p class="nc-claim-criterion"><b>Criterion.</b> {escape(claim.criterion)}</p>',
                revision(claim),
                _figures_table(self.rows(), self._interval_note()),
                f'<p class="nc-claim-verdict"><b>Verdict: {escape(self.verdict)}.</b></p>',
                literature(claim),
                "</article>",
            ]
        )

    def _interval_note(self):
        logs = [figure.log for figure in self.claim.figures.values()]
        mean = "geometric mean" if all(logs) else "mean"
        if any(logs) and not all(logs):
            mean = "mean (of ratios and rates: geometric)"
        return f"{mean} and 95 % t interval over {len(self.claim.seeds)} seeds"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {
            "text/plain": repr(self),
            "text/html": self._repr_html_(),
            MIME: self.record(),
        }


def kind(verdict):
    """The css class of a verdict."""
    if verdict.startswith("holds only if"):
        return "nc-claim-partly"
    if verdict.startswith("not shown"):
        return "nc-claim-open"
    return "nc-claim-holds" if verdict.startswith("holds") else "nc-claim-fails"


def _figures_table(rows, note):
    """An html table of (label, figure, interval) rows."""
    body = "\n".join(
        f'<tr><th scope="row">{escape(label)}</th><td>{escape(figure)}</td>'
        f"<td>{escape(interval)}</td></tr>"
        for label, figure, interval in rows
    )
    return (
        f'<table class="nc-claim-figures">\n<thead><tr><th scope="col">{escape(note)}</th>'
        '<th scope="col">figure</th><th scope="col">interval</th></tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table>"
    )


def revision(claim):
    """What was changed after a first run, as html; empty where nothing was."""
    if not claim.revision:
        return ""
    return f'<p class="nc-claim-revision"><b>Revised.</b> {escape(claim.revision)}</p>'


def literature(claim):
    """The claim's primary sources as html, arXiv ids linked; empty where there are none."""
    if not claim.literature:
        return ""
    links = []
    for source in claim.literature:
        text, _, arxiv = source.partition("arXiv:")
        url = f'<a href="https://arxiv.org/abs/{arxiv}">arXiv:{arxiv}</a>' if arxiv else ""
        links.append(escape(text) + url)
    return f'<p class="nc-claim-literature">Literature: {"; ".join(links)}</p>'
