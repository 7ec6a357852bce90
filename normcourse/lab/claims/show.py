"""Claims as pictures: each interval beside the region that the claim needs, in html and SVG.

Positions are percentages of the width, so that a picture fits a phone and a page while its text
keeps its size. It says nothing by colour alone, and its numbers stand beside it as text.
"""

import math
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from statistics import median

from normcourse.lab.claims.record import Result, State, Verdict
from normcourse.palette import ACCENT, INK

__all__ = [
    "MIME",
    "STYLE",
    "Cards",
    "accent",
    "chart",
    "curves",
    "link",
    "origin",
    "papers",
    "verdict",
]

MIME = "application/vnd.normcourse.claim+json"
_MARK = {Verdict.HOLDS: "✓", Verdict.PARTLY: "◐", Verdict.FAILS: "✕", Verdict.OPEN: "?"}
_SHAPE = {  # of a mean, by where its interval lies; drawn around 0, 0
    State.INSIDE: '<circle r="5"/>',
    State.OUTSIDE: '<path d="M-5-5 5 5M-5 5 5-5"/>',
    State.ACROSS: '<path class="nc-hollow" d="M0-6 6 0 0 6-6 0Z"/>',
}
_SAID = {State.INSIDE: "yes", State.OUTSIDE: "no", State.ACROSS: "open"}
_ARROW = '<path d="M0-6 8 0 0 6Z" transform="rotate({})"/>'
_DECADES = 8  # of a logarithmic axis on either side of the bounds; what is further, is an arrow

# The site's variables where there are any; the defaults are for notebooks.
STYLE = """<style>
.nc-claims { container-type: inline-size; margin: 1rem 0; padding: 0.25rem 1.25rem;
  border-left: 3px solid var(--nc-mark); background: var(--nc-surface, none); line-height: 1.45; }
.nc-claims p { margin: 0.5rem 0; }
.nc-claims .nc-chapter { font: 600 1.3em/1.35 var(--nc-serif, inherit); }
.nc-claim { padding: 0.75rem 0; }
.nc-claim + .nc-claim { border-top: 1px solid var(--nc-line, #7d838c80); }
.nc-claims p.nc-statement { margin: 0 0 0.75rem; font: 600 1.15em/1.35 var(--nc-serif, inherit); }
.nc-claims .nc-verdict { font-weight: 700; }
.nc-verdict span { display: inline-block; min-width: 1.5em; }
.nc-row { display: grid; grid-template: "label bar value state" / 11em 1fr 11.2em 4.5em;
  column-gap: 0.9em; align-items: center; }
.nc-row, .nc-head, .nc-keys, .nc-claims details { font-size: 0.9em; }
.nc-row > * { grid-area: label; }
.nc-row > .nc-bar { grid-area: bar; align-self: stretch; contain: size; overflow: visible;
  width: 100%; height: auto; min-height: 2.1em; }
.nc-row > .nc-value { grid-area: value; font-variant-numeric: tabular-nums; }
.nc-row > .nc-state { grid-area: state; }
.nc-axis + * { margin-top: 0.7em; }
.nc-axis span { font-style: italic; }
.nc-head { font-weight: 600; }
.nc-keys { display: flex; flex-wrap: wrap; gap: 0 1em; align-items: center; }
.nc-claims svg text { fill: currentColor; font-size: 12px; }
.nc-claims svg :is(line, path, circle) { fill: currentColor; stroke: currentColor; }
.nc-claims svg path { stroke-width: 2; }
.nc-claims svg .nc-hollow { fill: var(--nc-surface, Canvas); }
.nc-found { color: var(--nc-mark); }
.nc-plot { width: 100%; height: 16em; overflow: visible; }
.nc-claims summary { cursor: pointer; }
.nc-claims :is(th, td) { padding: 0 1.2em 0 0; text-align: left; font-weight: 400; }
@container (max-width: 34em) {
  .nc-row { grid-template: "label state" "value value" "bar bar" / 1fr auto; padding-top: 0.4em; }
  .nc-row > .nc-bar { min-height: 1.6em; }
  .nc-axis { grid-template: "bar" "label"; padding-top: 0; }
}
@media print { .nc-claims details::details-content { content-visibility: visible; height: auto; } }
</style>"""


@dataclass(frozen=True)
class Cards:
    """What ``measure`` shows: one card with the results of an experiment."""

    results: tuple[Result, ...]

    def __repr__(self):
        return "\n".join(map(repr, self.results))

    def _repr_mimebundle_(self, include=None, exclude=None):
        records = {result.claim.name: result.record() for result in self.results}
        return {"text/plain": repr(self), "text/html": self._html(), MIME: records}

    def _html(self):
        experiment, chapter = self.results[0].claim.experiment, self.results[0].claim.chapter
        picture, tried = "", "Read in the primary sources."
        if experiment:
            picture = experiment.picture(experiment.runs) if experiment.picture else ""
            tried = f"{experiment.setting} {len(experiment.seeds)} seeds; 95 % t intervals."
        return "\n".join(
            [
                STYLE,
                f'<div class="nc-claims" style="--nc-mark: {accent(chapter)}">',
                picture,
                *map(_card, self.results),
                f"<details><summary>How it was tried</summary>\n<p>{escape(tried)}</p>",
                *map(_fold, self.results),
                "</details>\n</div>",
            ]
        )


def accent(chapter):
    """The colour of what a chapter is about."""
    return ACCENT.get(chapter.split("/")[-1], INK)


def verdict(result):
    """The verdict with its shape, as html."""
    return f'<span aria-hidden="true">{_MARK[result.verdict]}</span>{escape(result.sentence)}'


def origin(result):
    """Where the numbers of a study come from, html; empty for what was run on the page."""
    text = result.origin
    return f'<p class="nc-keys">{escape(text[0].upper() + text[1:])}.</p>' if text else ""


def link(name, where):
    """A link to "arXiv:id" or a full address, html."""
    address = where.replace("arXiv:", "https://arxiv.org/abs/")
    return f'<a href="{escape(address)}">{escape(name)}</a>'


def papers(claim):
    """The claim's primary sources as links, html; empty where there are none."""
    links = [link(name, where) for name, where in claim.papers.items()]
    return f"<p>Read: {'; '.join(links)}.</p>" if links else ""


def _card(result):
    claim = result.claim
    return (
        f'<section class="nc-claim" id="claim-{claim.name}">\n'
        f'<p class="nc-statement">{escape(claim.statement)}</p>\n{chart(result)}\n'
        f'<p class="nc-verdict">{verdict(result)}.</p>\n{origin(result)}</section>'
    )


def _fold(result):
    """Criterion, context, revision and papers of one claim, as html."""
    claim, rows = result.claim, []
    for figure in claim.figures:
        for row, interval in result.intervals[figure.key].items() if not figure.region else ():
            label = escape(f"{figure.label}: {row}" if row else figure.label)
            mean, spread = figure.texts(interval)
            rows.append(f'<tr><th scope="row">{label}</th><td>{mean}</td><td>{spread}</td></tr>')
    return "\n".join(
        [
            f"<p><b>{escape(claim.statement)}</b> {escape(claim.criterion)}</p>",
            f"<table>{''.join(rows)}</table>" if rows else "",
            f"<p>Revised: {escape(claim.revision)}</p>" if claim.revision else "",
            papers(claim),
        ]
    )


def chart(result):
    """The intervals of a result against the regions that its claim needs, as html.

    Of a claim that the literature settles, what each source says.
    """
    parts = [
        f'<div class="nc-row"><span>{escape(source.case)}</span>'
        f'<span class="nc-bar" style="contain: none">{escape(source.says)}</span>'
        f'<span class="nc-value">{link(source.where, source.where)}</span>'
        f'<span class="nc-state">{_SAID[source.state]}</span></div>'
        for source in result.claim.literature
    ]
    for _, group in groupby(result.judged, key=lambda judged: id(judged[0])):
        rows = list(group)
        figure = rows[0][0]
        axis = _Axis(figure, [interval for _, _, interval, _ in rows])
        title, asked = figure.label, "needed" if figure.premise else "claimed"
        if rows[0][1]:
            parts.append(f'<div class="nc-head">{escape(title)}</div>')
        for _, row, interval, state in rows:
            mean, spread = figure.texts(interval)
            parts.append(
                f'<div class="nc-row"><span>{escape(row or title)}</span>'
                f"{axis.bar(interval, state)}"
                f'<span class="nc-value"><b>{mean}</b> {spread and f"({spread})"}</span>'
                f'<span class="nc-state">{state.value}</span></div>'
            )
        parts.append(
            f'<div class="nc-row nc-axis"><span>{asked}: {escape(figure.criterion)}</span>'
            f"{axis.ticks()}</div>"
        )
    return "\n".join(parts)


class _Axis:
    """Where a figure's numbers lie between the left (0) and the right (100) end of its chart."""

    def __init__(self, figure, intervals):
        self.figure = figure
        self.bounds = [b for pair in figure.region for b in pair if math.isfinite(b)]
        near = [self._scale(b) for b in self.bounds]
        ends = [self._scale(end) for i in intervals if not i.missing for end in i[:3]]
        if figure.log:
            ends = [min(max(end, near[0] - _DECADES), near[-1] + _DECADES) for end in ends]
        ends += [*near, 0, *([1] if figure.unit == "%" else [])]  # 0: a ratio of 1, or no gain
        pad = 0.06 * (max(ends) - min(ends)) or 0.5
        self.low, self.high = min(ends) - pad, max(ends) + pad

    def _scale(self, value):
        return math.log10(value) if self.figure.log else value

    def at(self, value):
        """Position in percent, at the end where the value lies beyond."""
        if math.isinf(value):
            return 100.0 if value > 0 else 0.0
        share = (self._scale(value) - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0), 1), 1)

    def bar(self, interval, state):
        """One row: the region shaded, its bounds dashed, the interval and its mean."""
        parts = [
            f'<rect x="{self.at(low)}%" width="{self.at(high) - self.at(low):.1f}%" height="100%" '
            'fill="currentColor" fill-opacity=".13"/>'
            for low, high in self.figure.region
        ] + [
            f'<line x1="{x}%" x2="{x}%" y2="100%" stroke-dasharray="3 2"/>'
            for x in map(self.at, self.bounds)
        ]
        if not interval.missing:
            mean, low, high = map(self.at, interval[:3])
            shape = _SHAPE[state] if 0 < mean < 100 else _ARROW.format(0 if mean else 180)
            parts.append(
                f'<g class="nc-found"><line x1="{low}%" x2="{high}%" y1="50%" y2="50%" '
                f'stroke-width="5" stroke-opacity=".55"/>{_mark(mean, 50, shape)}</g>'
            )
        return _svg(parts)

    def ticks(self):
        """The axis below the rows: the bounds, and round numbers that do not touch them."""
        shown = {self.at(bound): bound for bound in self.bounds}
        for value in self._round_numbers():
            if all(abs(self.at(value) - x) > 18 for x in shown):
                shown[self.at(value)] = value
        parts = []
        for x, value in shown.items():
            anchor = "start" if x < 6 else "end" if x > 94 else "middle"
            weight = 700 if value in self.bounds else 400
            parts.append(
                f'<text x="{x}%" y="1em" text-anchor="{anchor}" font-weight="{weight}">'
                f"{self.figure.text(value, unit=value in self.bounds)}</text>"
            )
        return _svg(parts)

    def _round_numbers(self):
        span = self.high - self.low
        step = 10 ** math.floor(math.log10(span / 2))
        step *= next(k for k in (5, 2, 1) if span / (k * step) >= 2)
        if self.figure.log:
            step = math.ceil(step)
        marks = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        if not self.figure.log:
            return [step * i for i in marks]
        digits = (1, 2, 5) if span < 2 else (1,)
        tens = [10.0 ** (step * i) for i in (marks.start - 1, *marks)]
        return [k * t for t in tens for k in digits if self.low < math.log10(k * t) < self.high]


def _svg(parts):
    return f'<svg class="nc-bar" aria-hidden="true">{"".join(parts)}</svg>'


def _mark(x, y, shape):
    return f'<svg x="{x}%" y="{y}%" overflow="visible">{shape}</svg>'


def curves(title, x_label, series, top):
    """Numbers over a logarithmic axis, a line per name: the median, and the range over seeds.

    Args:
        title: what the picture shows, in a sentence.
        x_label: what the horizontal axis shows.
        series: {name: {x: a number per seed}}, of two names; a number above ``top`` is "never".
        top: upper end of the vertical axis.
    """
    positions = sorted({x for points in series.values() for x in points})
    first, last = math.log10(positions[0]), math.log10(positions[-1])

    def across(x):
        return round(14 + 83 * (math.log10(x) - first) / (last - first), 1)

    def up(y):
        return 7.0 if y > top else round(88 - 71 * y / top, 1)

    parts, keys, said = [], [], []
    for y in (0, top // 3, 2 * top // 3, top, math.inf):
        parts.append(
            f'<line x1="11%" x2="100%" y1="{up(y)}%" y2="{up(y)}%" stroke-opacity=".2"/>'
            f'<text x="10%" y="{up(y)}%" dy="4" text-anchor="end">'
            f"{'never' if y > top else y}</text>"
        )
    parts += [
        f'<text x="{across(x)}%" y="98%" text-anchor="middle">{x:g}</text>' for x in positions
    ]
    looks = (_SHAPE[State.ACROSS], 'stroke-dasharray="6 4"'), (_SHAPE[State.INSIDE], "")
    for (name, points), (shape, dash) in zip(series.items(), looks, strict=True):
        at = [(across(x), *(up(f(v)) for f in (median, min, max))) for x, v in points.items()]
        parts += [
            f'<line x1="{a[0]}%" y1="{a[1]}%" x2="{b[0]}%" y2="{b[1]}%" stroke-width="2" {dash}/>'
            for a, b in pairwise(at)
        ] + [
            f'<line x1="{x}%" x2="{x}%" y1="{low}%" y2="{high}%" stroke-width="7" '
            f'stroke-opacity=".35"/>{_mark(x, y, shape)}'
            for x, y, low, high in at
        ]
        line = f'<line x2="100%" y1="50%" y2="50%" stroke-width="2" {dash}/>{_mark(50, 50, shape)}'
        key = f'<svg width="40" height="14" aria-hidden="true">{line}</svg>'
        keys.append(f"<span>{key} {escape(name)}</span>")
        medians = (f"{median(v):g} at {x:g}" for x, v in points.items())
        said.append(f"{name}: {', '.join(medians)}".replace("inf", "never"))
    label = escape(f"{title} Medians over {x_label}: {'; '.join(said)}.")
    return (
        f'<p class="nc-statement">{escape(title)}</p>\n<p class="nc-keys">{" ".join(keys)}</p>\n'
        f'<svg class="nc-plot" role="img" aria-label="{label}">{"".join(parts)}</svg>\n'
        f'<p class="nc-keys">{escape(x_label)}; mark: median, bar: range over seeds</p>'
    )
