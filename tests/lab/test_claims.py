"""Claims: criteria that can go either way, intervals, determinism, and the ledger."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from normcourse.lab import claims
from normcourse.lab.claims.ledger import Ledger
from normcourse.lab.claims.record import MIME, Claim, Estimate, Figure, Finding, kind

ALL = claims.claims()


def estimates(claim, figures):
    """Made-up estimates in which all runs agree: {key: value}, 1 where nothing is said."""
    return {key: Estimate(f, (float(figures.get(key, 1)),) * 5) for key, f in claim.figures.items()}


INITS = ("half", "he", "double")
DECISIONS = [
    (
        "adding_layers",
        "holds",
        {f"gradient_{i}": 1e-5 for i in INITS} | {f"{i}_30": 0.1 for i in INITS},
    ),
    ("adding_layers", "holds only if", {"gradient_half": 1e-9, "half_30": 0.1}),
    ("adding_layers", "does not hold here", {}),
    ("feature_scales", "holds", {"wine": 3, "cancer": 30}),
    ("feature_scales", "holds only if", {"wine": 1, "cancer": 30}),
    ("feature_scales", "does not hold here", {"wine": 1.5, "cancer": 0.9}),
    ("activations_with_depth", "holds", dict.fromkeys(ALL["activations_with_depth"].figures, 1e9)),
    ("activations_with_depth", "holds only if", {"relu_small": 1e-9}),
    ("activations_with_depth", "does not hold here", {}),
    ("effective_learning_rate", "holds", {"one": -1, "two": -1, "gain": 1.6, "said": 1.6}),
    ("effective_learning_rate", "holds only if", {"one": -2, "two": -1}),
    ("effective_learning_rate", "holds only if", {"one": -1, "two": -1, "gain": 9}),
    ("effective_learning_rate", "does not hold here", {"one": -2, "two": -1.5}),
    ("min_max_keeps", "holds", {}),
    ("min_max_keeps", "holds only if", {"neighbours": 0.1}),
    ("min_max_keeps", "does not hold here", {"order": 0.9}),
    ("standardization_helps", "holds", {"em": 2}),
    ("standardization_helps", "holds only if", {"skewed": 9, "gaussian": 9}),
    ("standardization_helps", "does not hold here", {"skewed": 9}),
    (
        "covariate_shift",
        "holds",
        {"shift_batch": 0.1, "steps_plain": 90, "steps_batch": 20, "steps_noisy": 120},
    ),
    (
        "covariate_shift",
        "does not hold here",
        {"shift_noisy": 2, "steps_plain": 90, "steps_noisy": 20},
    ),
    ("covariate_shift", "holds only if", {"shift_noisy": 0.5, "steps_plain": 9}),
    ("five_to_ten_times_faster", "holds", {"ratio": 6}),
    ("five_to_ten_times_faster", "does not hold here", {"ratio": 4}),
    ("learning_rates_needed", "holds", {"plain_above": 0}),
    ("learning_rates_needed", "holds only if", {}),
    ("learning_rates_needed", "does not hold here", {"batch_range": 0.3}),
    ("higher_learning_rates", "holds", {"ratio": 6}),
    ("higher_learning_rates", "does not hold here", {"ratio": 2}),
    ("faster_and_bolder", "holds", {"best": 2, "same": 2, "rate": 2}),
    ("faster_and_bolder", "holds only if", {"best": 2, "same": 0.5}),
    ("faster_and_bolder", "does not hold here", {"best": 0.5, "same": 0.5, "rate": 0.9}),
    ("prevents_vanishing_and_exploding", "holds", {}),
    ("prevents_vanishing_and_exploding", "holds only if", {"thirty_large": 1e3}),
    ("prevents_vanishing_and_exploding", "does not hold here", {"ten_large": 1e-3}),
    ("initialization_matters_less", "holds", {"works_batch": 7}),
    ("initialization_matters_less", "holds only if the weights", {"works_batch": 5, "batch_64": 0}),
    ("initialization_matters_less", "holds only if the scale", {"works_batch": 5}),
    ("initialization_matters_less", "does not hold here", {"works_batch": 2, "works_plain": 2}),
    ("small_batches", "holds", {"convolution_2": -0.2}),
    ("small_batches", "holds only if", {}),
    ("small_batches", "does not hold here", {"loses_2": 0}),
    ("small_batches", "does not hold here", {"gain_16": -0.2}),
    ("wrong_mode", "holds", {k: 0.5 for k in ALL["wrong_mode"].figures if k != "eval"}),
    ("wrong_mode", "holds only if", {"2": 0.4}),
    ("wrong_mode", "does not hold here", {}),
]


@pytest.mark.parametrize(("name", "verdict", "figures"), DECISIONS)
def test_criterion_can_go_either_way(name, verdict, figures):
    claim = ALL[name]
    assert set(figures) <= set(claim.figures)
    decided = claim.decide(estimates(claim, figures))
    assert decided == verdict if verdict == "holds" else decided.startswith(verdict)


@pytest.mark.parametrize("name", ["five_to_ten_times_faster", "higher_learning_rates"])
def test_an_interval_that_contains_the_bound_shows_nothing(name):
    ratio = Estimate(Figure("ratio", log=True), (3.0, 5.0, 4.0, 6.0, 7.0))
    verdict = ALL[name].decide({"ratio": ratio})
    assert verdict.startswith("not shown")
    assert kind(verdict) == "nc-claim-open"


def test_every_claim_is_decided_both_ways():
    for name in ALL:
        assert len({verdict for n, verdict, _ in DECISIONS if n == name}) >= 2, name


@pytest.mark.parametrize("claim", ALL.values(), ids=ALL)
def test_records_are_complete(claim):
    assert claim.statement.endswith(".")
    assert claim.said_by
    assert "olds if" in claim.criterion
    assert claim.chapter.count("/") == 1


def test_too_few_seeds_are_refused():
    with pytest.raises(ValueError, match="at least 5 seeds"):
        replace(ALL["feature_scales"], seeds=(1, 2, 3, 4))


def test_interval_is_students():
    values = np.random.default_rng(0).lognormal(size=7)
    linear = Estimate(Figure("x"), tuple(values))
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert (linear.mean, linear.low, linear.high) == pytest.approx((values.mean(), low, high))
    log = Estimate(Figure("x", log=True), tuple(values))
    low, high = stats.t.interval(0.95, 6, np.log(values).mean(), stats.sem(np.log(values)))
    assert (log.mean, log.low, log.high) == pytest.approx(
        (stats.gmean(values), *np.exp([low, high]))
    )


def test_interval_covers_the_truth_95_times_in_100():
    samples = np.random.default_rng(1).normal(3, 2, (4000, 5))
    inside = [e.low < 3 < e.high for e in (Estimate(Figure("x"), tuple(s)) for s in samples)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_runs_that_never_get_there_are_counted():
    some = Estimate(Figure("steps"), (10.0, 20.0, np.inf, 10.0, np.inf))
    assert np.isnan(some.mean)
    assert str(some) == "not reached in 2 of 5 runs (–)"
    none = Estimate(Figure("loss", missing="diverged"), (np.nan,) * 5)
    assert str(none) == "diverged in all 5 runs (–)"


@pytest.mark.parametrize(
    ("value", "figure", "text"),
    [
        (0.0123, Figure(""), "0.012"),
        (9.96, Figure(""), "10"),
        (123.0, Figure(""), "120"),
        (4.04e6, Figure(""), "4.0·10⁶"),
        (-1.234e-7, Figure(""), "−1.2·10⁻⁷"),
        (3e-17, Figure(""), "0"),
        (3e-17, Figure("", log=True), "3.0·10⁻¹⁷"),
        (0.956, Figure("", unit="%"), "96\u00a0%"),
        (-0.123, Figure("", unit="pts"), "−12\u00a0pts"),
    ],
)
def test_printed_numbers(value, figure, text):
    assert Estimate(figure, (value,) * 5).texts() == (text, "every run the same")


def test_measure_is_deterministic_and_says_all():
    claim = ALL["feature_scales"]
    first, second = claim.measure(), claim.measure()
    assert repr(first) == repr(second)
    assert first._repr_html_() == second._repr_html_()
    for text in (claim.statement, claim.criterion, "Verdict: holds", *claim.said_by):
        assert text in repr(first)
    assert json.loads(json.dumps(first._repr_mimebundle_()[MIME])) == first.record()
    with pytest.raises(ValueError, match="no claim is named"):
        claims.measure("nonsense")


def test_html_is_escaped_and_the_verdict_is_a_word():
    figure = Figure("a < b")
    claim = Claim(
        name="made_up",
        statement='1 < 2 & "3".',
        said_by=("A & B",),
        chapter="foundations/rescaling",
        criterion="Holds if 1 < 2.",
        experiment=lambda seed: {"key": seed},
        figures={"key": figure},
        decide=lambda e: "does not hold here",
        literature=("Someone 2020, arXiv:2001.00001",),
    )
    html = claim.measure()._repr_html_()
    assert "1 &lt; 2 &amp; " in html
    assert "a &lt; b" in html
    assert "Verdict: does not hold here" in html
    assert "nc-claim-fails" in html
    assert 'href="https://arxiv.org/abs/2001.00001"' in html


def notebook(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    outputs = [
        {"output_type": "display_data", "data": {MIME: r, "text/plain": ""}} for r in records
    ]
    cells = [{"cell_type": "markdown", "source": ""}, {"cell_type": "code", "outputs": outputs}]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")


@pytest.fixture
def two():
    return {name: ALL[name] for name in ("feature_scales", "min_max_keeps")}


def record(claim):
    return Finding(claim, estimates(claim, {"wine": 3.0}), "holds").record()


def test_ledger_joins_records_with_chapters(tmp_path, two):
    for claim in two.values():
        notebook(tmp_path / f"{claim.chapter}.ipynb", record(claim))
    book = Ledger.read(tmp_path, two)
    assert book.problems == []
    html = book._repr_html_()
    assert "2 of 2 claims measured" in html
    for claim in two.values():
        assert f"{claim.chapter}.html#claim-{claim.name}" in html
        assert claim.statement in html
        assert claim.statement in repr(book)
    assert "3.0" in html
    assert "2 hold, 0 hold only under a condition, 0 do not hold here, 0 not shown" in html


def test_the_mean_is_named_as_it_was_taken():
    claim = ALL["min_max_keeps"]
    for logs, name in (
        ((False, False), "(mean and"),
        ((True, True), "(geometric mean and"),
        ((True, False), "(mean (of ratios and rates: geometric) and"),
    ):
        figures = {str(i): Figure("ratio", log=log) for i, log in enumerate(logs)}
        made_up = replace(claim, figures=figures)
        assert name in repr(Finding(made_up, estimates(made_up, {}), "holds"))


def test_ledger_complains(tmp_path, two):
    scales, keeps = two.values()
    book = Ledger.read(tmp_path, two)
    assert len(book.problems) == 2
    assert "0 of 2 claims measured" in repr(book)
    assert f"not measured yet in {scales.chapter}" in book._repr_html_()

    notebook(tmp_path / f"{scales.chapter}.ipynb", record(scales) | {"criterion": "another"})
    notebook(tmp_path / "elsewhere.ipynb", record(keeps), record(keeps) | {"name": "forgotten"})
    problems = Ledger.read(tmp_path, two).problems
    assert problems == [
        f"feature_scales: its criterion changed since {scales.chapter} was executed.",
        f"min_max_keeps: expected once, in {keeps.chapter}; found in elsewhere.",
        "forgotten: stored in a chapter, but no such claim.",
    ]
