"""Claims: verdicts that can go either way, intervals, pictures, and the ledger."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from normcourse.lab import claims
from normcourse.lab.claims.ledger import Ledger
from normcourse.lab.claims.record import (
    Claim,
    Experiment,
    Figure,
    Interval,
    Result,
    Source,
    State,
    Verdict,
)
from normcourse.lab.claims.show import MIME, Cards, chart, curves

ALL = claims.claims()
BOOK = Path(__file__).parents[2] / "book"
LOW, ACROSS, HIGH = (2.0, 3.0), (4.0, 6.0), (7.0, 8.0)  # intervals around the bound 5


def interval(low, high):
    return Interval((low + high) / 2, low, high, 5)


def claim(*figures, run=lambda seed: {"key": seed}, **options):
    return Claim("made_up", 'Is 1 < 2 & "3".', Experiment(run, "Made up."), figures, **options)


def result(figures, **ends):
    """A made-up result from {key: ends of its interval} or {key: {row: ends}}."""
    rows = {key: e if isinstance(e, dict) else {"": e} for key, e in ends.items()}
    return Result(
        claim(*figures),
        {key: {row: interval(*e) for row, e in found.items()} for key, found in rows.items()},
    )


def one(figure, values):
    """The result of one figure with a value per seed."""
    return Result(claim(figure), {figure.key: {"": figure.interval(values)}})


ONE = Figure("ratio", "a", above=5)
CASES = Figure("ratio", "b", above=5)
TOGETHER = replace(CASES, when="")
NEEDED = (Figure("speed", "c", above=5), CASES)
PREMISE = (Figure("shift", "c", above=5, premise=True), CASES)


@pytest.mark.parametrize(
    ("figures", "sentence", "intervals"),
    [
        ([ONE], "Holds", {"a": HIGH}),
        ([ONE], "Does not hold here", {"a": LOW}),
        ([ONE], "Not shown: an interval straddles its bound", {"a": ACROSS}),
        ([CASES], "Holds", {"b": {"deep": HIGH, "wide": HIGH}}),
        ([CASES], "Holds only for deep", {"b": {"deep": HIGH, "wide": LOW}}),
        ([CASES], "Holds only for wide; not shown for deep", {"b": {"deep": ACROSS, "wide": HIGH}}),
        ([CASES], "Does not hold here", {"b": {"deep": LOW, "wide": LOW}}),
        (
            [CASES],
            "Does not hold here for deep; not shown for wide",
            {"b": {"deep": LOW, "wide": ACROSS}},
        ),
        ([TOGETHER], "Holds", {"b": {"deep": HIGH, "wide": HIGH}}),
        ([TOGETHER], "Does not hold here", {"b": {"deep": HIGH, "wide": LOW}}),
        (NEEDED, "Holds only for deep", {"b": {"deep": HIGH, "wide": LOW}, "c": HIGH}),
        (NEEDED, "Does not hold here", {"b": {"deep": HIGH, "wide": HIGH}, "c": LOW}),
        (
            NEEDED,
            "Does not hold here for wide; not shown for deep",
            {"b": {"deep": HIGH, "wide": LOW}, "c": ACROSS},
        ),
        (
            PREMISE,
            "Not shown: the premise is not met",
            {"b": {"deep": HIGH, "wide": HIGH}, "c": LOW},
        ),
        (
            PREMISE,
            "Not shown: the premise is not met",
            {"b": {"deep": LOW, "wide": LOW}, "c": ACROSS},
        ),
        (PREMISE, "Does not hold here", {"b": {"deep": LOW, "wide": LOW}, "c": HIGH}),
    ],
)
def test_the_verdict_follows_from_the_intervals(figures, sentence, intervals):
    assert result(figures, **intervals).sentence == sentence


@pytest.mark.parametrize(
    ("criterion", "text", "inside", "outside"),
    [
        ({"above": 5}, "above 5", HIGH, LOW),
        ({"below": 5}, "below 5", LOW, HIGH),
        ({"between": (1, 5)}, "between 1 and 5", LOW, HIGH),
        ({"outside": (5, 1e-5 + 8.5)}, "below 5 or above 8.50001", LOW, HIGH),
    ],
)
def test_a_criterion_is_data(criterion, text, inside, outside):
    figure = Figure("ratio", "a", **criterion)
    assert figure.criterion == text
    assert figure.state(interval(*inside)) is State.INSIDE
    assert figure.state(interval(*outside)) is State.OUTSIDE
    assert figure.state(interval(*ACROSS)) is State.ACROSS
    for touching in ((3.0, 5.0), (5.0, 8.0)):
        assert figure.state(interval(*touching)) is State.ACROSS
    assert text in result([figure], a=inside).claim.criterion
    assert text in repr(result([figure], a=inside))


def test_a_run_without_a_number_shows_nothing():
    figure = Figure("steps", "a", log=True, below=5)
    some = one(figure, [1.0, 2.0, np.inf, 1.0, np.inf])
    assert some.verdict is Verdict.OPEN
    assert "no number in 2 of 5 runs" in repr(some)
    assert "no number in 2 of 5 runs" in chart(some)
    assert figure.texts(figure.interval([0.0] * 5)) == ("no number in all 5 runs", "")


def ends(figure, state):
    """An interval that lies inside or outside the region of a figure."""
    bounds = sorted(b for pair in figure.region for b in pair if np.isfinite(b))
    gaps = [high - low for low, high in figure.region if np.isfinite(high - low)]
    size = 0.1 * min([abs(b) or 1 for b in bounds] + gaps)
    for low in (bounds[0] - 2 * size, bounds[0] + size, bounds[-1] + size):
        made = interval(low, low + size / 2)
        if figure.state(made) is state:
            return made
    raise AssertionError(f"{figure.label} cannot come out {state.value}")


@pytest.mark.parametrize("claim", ALL.values(), ids=ALL)
def test_every_claim_may_hold_and_may_not(claim):
    for state, verdict in ((State.INSIDE, Verdict.HOLDS), (State.OUTSIDE, Verdict.FAILS)):
        intervals = {
            f.key: {"": ends(f, State.INSIDE if f.premise else state) if f.region else ()}
            for f in claim.figures
        }
        said = tuple(source._replace(state=state) for source in claim.literature)
        assert Result(replace(claim, literature=said), intervals).verdict is verdict
    assert claim.statement.endswith(".")
    assert claim.chapter.count("/") == 1
    for where in (*claim.papers.values(), *(source.where for source in claim.literature)):
        assert re.match(r"https://|arXiv:\d{4}\.\d{5}$", where)


def test_what_the_literature_settles_says_who_says_what():
    says = (
        Source("a <", State.INSIDE, "so & so", "arXiv:2001.00001"),
        Source("b", State.ACROSS, "nothing", "arXiv:2001.00002"),
    )
    made = Claim("made_up", "It is so.", literature=says).measure()
    assert made.sentence == "Holds only for a <; not shown for b"
    assert "(from the literature)" in repr(made)
    html = Cards((made,))._html()
    assert "so &amp; so" in html
    assert 'href="https://arxiv.org/abs/2001.00001"' in html
    assert made.record()["literature"][1] == ["b", "straddles", "nothing", "arXiv:2001.00002"]
    assert Claim("made_up", "", literature=says[1:]).measure().verdict is Verdict.OPEN
    for options in ({}, {"literature": says, "experiment": Experiment(dict, "")}):
        with pytest.raises(ValueError, match="either an experiment or literature"):
            Claim("made_up", "It is so.", **options)


def test_records_that_cannot_decide_are_refused():
    with pytest.raises(ValueError, match=r"at least 5 different ones, got \(1, 2, 3, 4, 4\)"):
        Experiment(dict, "", (1, 2, 3, 4, 4))
    with pytest.raises(ValueError, match="several criteria"):
        Figure("ratio", "a", above=1, between=(0, 1))
    with pytest.raises(ValueError, match="needs log=True"):
        Figure("rate", "a", grid=3)
    for figure in (Figure("ratio", "a"), replace(ONE, premise=True)):
        with pytest.raises(ValueError, match="made_up has no criterion"):
            claim(figure)


def test_interval_is_students():
    values = np.random.default_rng(0).lognormal(size=7)
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert Figure("x", "a").interval(values)[:3] == pytest.approx(
        (values.mean(), low, high), rel=0.05
    )
    low, high = stats.t.interval(0.95, 6, np.log(values).mean(), stats.sem(np.log(values)))
    three = np.array([stats.gmean(values), *np.exp([low, high])])
    assert Figure("x", "a", log=True).interval(values)[:3] == pytest.approx(three, rel=0.05)
    wide = Figure("x", "a", log=True, grid=3).interval(values)[:3]
    assert wide == pytest.approx(three * [1, 1 / 3, 3], rel=0.05)


def test_interval_covers_the_truth_95_times_in_100():
    samples = np.random.default_rng(1).normal(3, 2, (4000, 5))
    found = (Figure("x", "a").interval(s) for s in samples)
    assert np.mean([i.low < 3 < i.high for i in found]) == pytest.approx(0.95, abs=0.015)


def test_a_ratio_from_a_grid_does_not_hold_by_the_width_of_the_grid():
    ratios = [10.0] * 10  # every run, on a grid with factors of 3
    for grid, verdict in ((1.0, Verdict.HOLDS), (3.0, Verdict.OPEN), (1.1, Verdict.HOLDS)):
        figure = Figure("largest rate", "a", log=True, above=5, grid=grid)
        assert one(figure, ratios).verdict is verdict


@pytest.mark.parametrize(
    ("value", "options", "text"),
    [
        (0.0123, {}, "0.012"),
        (9.96, {}, "10"),
        (123.0, {}, "120"),
        (4.04e6, {}, "4·10⁶"),
        (-1.234e-7, {}, "−1.2·10⁻⁷"),
        (1e-5, {}, "10⁻⁵"),
        (3e-17, {}, "0"),
        (3e-17, {"log": True}, "3·10⁻¹⁷"),
        (0.956, {"unit": "%"}, "96\u00a0%"),
        (-0.123, {"unit": "pts"}, "−12\u00a0pts"),
        (-0.001, {"unit": "pts"}, "0\u00a0pts"),
    ],
)
def test_printed_numbers(value, options, text):
    figure = Figure("", "a", **options)
    end = text.partition("\u00a0")[0]
    assert figure.texts(figure.interval([value] * 5)) == (text, f"{end}\u00a0…\u00a0{end}")


def test_measure_is_deterministic_and_says_all():
    first, second = (claims.measure("feature_scales")._repr_mimebundle_() for _ in range(2))
    assert first == second
    assert "Holds." in first["text/plain"]
    for text in (ALL["feature_scales"].statement, ALL["feature_scales"].criterion, "10 seeds"):
        assert text in first["text/html"]
    assert json.loads(json.dumps(first[MIME])) == first[MIME]
    with pytest.raises(ValueError, match="no claim is named 'nonsense'; there are act"):
        claims.measure("feature_scales", "nonsense")


def test_claims_of_one_experiment_run_it_once_and_share_a_picture():
    seen = []
    shared = Experiment(
        lambda s: seen.append(s) or {"key": s}, "", picture=lambda r: f"<b>{len(r)}"
    )
    both = [replace(claim(replace(ONE, key="key")), name=n, experiment=shared) for n in "ab"]
    html = Cards(tuple(made.measure() for made in both))._html()
    assert seen == [0, 1, 2, 3, 4]
    assert html.count("<b>5") == 1
    assert re.findall(r'id="claim-(\w)"', html) == ["a", "b"]


def test_html_is_escaped_and_says_the_verdict_without_colour():
    made = claim(Figure("a < b", "key", above=5), papers={"Some & One": "arXiv:2001.00001"})
    html = Cards((made.measure(),))._html()
    assert "Is 1 &lt; 2 &amp; " in html
    assert "a &lt; b" in html
    assert "✕</span>Does not hold here." in html
    assert ">outside<" in html
    assert '<a href="https://arxiv.org/abs/2001.00001">Some &amp; One</a>' in html


def test_a_picture_shows_where_an_interval_lies():
    """At 10 and 100 of a logarithmic axis, the bound 5 comes before both."""
    figure = Figure("ratio", "a", log=True, above=5)
    html = chart(result([figure], a=(10, 100)))
    (bound,) = re.findall(r'<line x1="([\d.]+)%" x2="[\d.]+%" y2="100%"', html)
    low, high = re.findall(r'<line x1="([\d.]+)%" x2="([\d.]+)%" y1="50%"', html)[0]
    assert 0 < float(bound) < float(low) < float(high) < 100
    assert f'<rect x="{bound}%" width="{100 - float(bound):.1f}%"' in html
    assert "rotate(0)" in chart(result([figure], a=(1e30, 1e31)))


def test_curves_say_what_they_show():
    inf = np.inf
    html = curves("Found.", "rate", {"plain": {0.1: [1, 2, inf], 1: [inf] * 3}, "b": {1: [3]}}, 30)
    assert "plain: 2 at 0.1, never at 1; b: 3 at 1." in html


def notebook(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    outputs = [{"output_type": "display_data", "data": {MIME: r}} for r in records]
    cells = [{"cell_type": "markdown", "source": ""}, {"cell_type": "code", "outputs": outputs}]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")


@pytest.fixture
def two():
    return {name: ALL[name] for name in ("feature_scales", "min_max_keeps")}


def record(claim):
    intervals = {figure.key: {"": interval(3.0, 4.0)} for figure in claim.figures}
    return {claim.name: Result(claim, intervals).record()}


def test_ledger_joins_records_with_chapters(tmp_path, two):
    for made in two.values():
        notebook(tmp_path / f"{made.chapter}.ipynb", record(made))
    book = Ledger.read(tmp_path, two)
    assert book.problems == []
    html = book._repr_html_()
    assert "2 of 2 claims measured: 2 hold, 0 hold only in some cases, 0 do not hold" in html
    for made in two.values():
        assert f"{made.chapter}.html#claim-{made.name}" in html
        assert made.statement in html
        assert made.statement in repr(book)
    assert html.count('class="nc-row nc-axis"') == 2


def test_ledger_complains(tmp_path, two):
    scales, keeps = two.values()
    book = Ledger.read(tmp_path, two)
    assert len(book.problems) == 2
    assert "0 of 2 claims measured" in repr(book)
    assert f"not measured yet in {scales.chapter}" in book._repr_html_()

    notebook(tmp_path / f"{scales.chapter}.ipynb", record(scales))
    notebook(tmp_path / "elsewhere.ipynb", record(keeps), {"forgotten": {}})
    broken = replace(scales, figures=(replace(scales.figures[0], above=3.5),))
    problems = Ledger.read(tmp_path, two | {scales.name: broken}).problems
    assert problems == [
        f"feature_scales: it changed since {scales.chapter} was executed.",
        f"min_max_keeps: expected once, in {keeps.chapter}; found in elsewhere.",
        "forgotten: stored in a chapter, but no such claim.",
    ]


def test_the_book_is_in_order_and_a_bent_criterion_changes_its_verdict():
    entries = claims.ledger(BOOK).entries
    assert not claims.ledger(BOOK).problems
    faster = next(e.result for e in entries if e.claim.name == "five_to_ten_times_faster")
    for bound, verdict in ((5, Verdict.OPEN), (20, Verdict.FAILS), (2, Verdict.HOLDS)):
        first, *rest = faster.claim.figures
        bent = replace(faster.claim, figures=(replace(first, above=bound), *rest))
        assert replace(faster, claim=bent).verdict is verdict


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ((7, 8, 7, 8, 7), "it holds"),
        ((1, 2, 1, 2, 1), "it does not hold here"),
        ((1, 9, 1, 9, 1), "the runs cannot decide"),
    ],
)
def test_a_bet_is_on_the_verdict(monkeypatch, values, answer):
    found = claim(replace(ONE, key="key"), run=lambda seed: {"key": values[seed]})
    monkeypatch.setattr(claims, "claims", lambda: {"made_up": found})
    widget = claims.bet("made_up")
    assert widget.answer == answer
    assert "Is 1 < 2" in widget.title


def test_a_bet_on_no_claim_is_refused():
    with pytest.raises(ValueError, match="no claim is named 'luck'"):
        claims.bet("luck")
