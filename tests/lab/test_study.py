"""Studies: runs that are stored, shown with their date, and refused when the claim has changed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from normcourse.lab import claims, study
from normcourse.lab.claims import record
from normcourse.lab.claims.ledger import Ledger
from normcourse.lab.claims.record import Claim, Experiment, Figure
from normcourse.lab.claims.show import MIME, Cards


def run(seed, scale=10):
    return {"ratio": np.float64(scale + seed), "steps": {"a": np.int64(3), "b": np.inf}}


MADE = Experiment(run, "Made up.", study="made_up", reduced=lambda seed: run(seed, 1))
CLAIM = Claim("made_up", "Made up.", MADE, (Figure("ratio", "ratio", above=5),), chapter="a/page")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where studies are stored for a test; the made-up one is."""
    monkeypatch.setattr(record, "STUDIES", tmp_path / "studies")
    study.run(MADE)
    return tmp_path


def shape(result):
    """The keys of a run, without its numbers."""
    return {key: list(v) if isinstance(v, dict) else None for key, v in result.items()}


def numbers(result):
    for value in result.values():
        for entry in value.values() if isinstance(value, dict) else [value]:
            yield from np.ravel(entry)


def check(experiment):
    """The file is that of the experiment, whose reduced run gives the same keys."""
    runs = experiment.stored["runs"]
    assert len(runs) == len(experiment.seeds)
    reduced = experiment.reduced(experiment.seeds[0])
    assert all(shape(run) == shape(reduced) for run in runs)
    assert np.isfinite([float(n) for n in numbers(reduced)]).all()


@pytest.mark.parametrize("name", study.studies() or ["none"])
def test_each_study_is_up_to_date_and_its_reduced_run_works(name):
    if name != "none":
        check(study.studies()[name])
    files = {path.stem for path in record.STUDIES.glob("*.json")}
    assert files <= set(study.studies())


def test_the_check_fails_for_what_is_wrong(folder):
    with pytest.raises(AssertionError):  # a number of the reduced run is infinite
        check(MADE)
    finite = {"ratio": 1.0, "steps": {"a": 1, "b": 2}}
    check(replace(MADE, reduced=lambda seed: finite))
    for wrong in ({"ratio": 1.0}, finite | {"steps": {"a": 1}}, finite | {"more": 1.0}):
        with pytest.raises(AssertionError):
            check(replace(MADE, reduced=lambda seed, wrong=wrong: wrong))


def test_a_study_is_read_and_not_run(folder):
    stored = replace(MADE, run=None)
    assert stored.runs == [run(seed) for seed in range(5)]
    assert list(stored.runs[0]["steps"]) == ["a", "b"]
    found = json.loads(MADE.path.read_text())
    assert found["seeds"] == [0, 1, 2, 3, 4]
    assert {"date", "python", "numpy", "torch", "processor"} < set(found)


@pytest.mark.parametrize("drift", [{"setting": "Made up otherwise."}, {"seeds": tuple(range(6))}])
def test_a_study_that_drifted_is_refused(folder, drift):
    with pytest.raises(ValueError, match="'made_up' changed since it was run: python -m norm"):
        replace(MADE, **drift).runs  # noqa: B018
    with pytest.raises(
        ValueError, match=r"'other' was not run: python -m normcourse.lab.study oth"
    ):
        replace(MADE, study="other").runs  # noqa: B018


def test_running_it_again_renews_what_is_shown(folder):
    again = replace(MADE, run=lambda seed: {"ratio": seed})
    assert again.runs[1]["ratio"] == 11
    study.run(again)
    assert again.runs[1]["ratio"] == 1


def test_card_and_ledger_say_where_the_numbers_come_from(folder):
    found = MADE.stored
    short = f"stored run of {found['date']}, torch {found['torch']}"
    timed = replace(CLAIM, experiment=replace(MADE, timing=True))
    cards, with_processor = (Cards((c.measure(),))._repr_mimebundle_() for c in (CLAIM, timed))
    assert f"Holds ({short})." in cards["text/plain"]
    assert f">S{short[1:]}.<" in cards["text/html"]
    assert cards[MIME]["made_up"]["origin"] == short
    assert f"({short}; {found['processor']})." in with_processor["text/plain"]
    assert "origin" not in claims.claims()["feature_scales"].measure().record()

    page = folder / "a" / "page.ipynb"
    page.parent.mkdir()
    outputs = [{"data": {MIME: cards[MIME]}}]
    page.write_text(json.dumps({"cells": [{"outputs": outputs}]}))
    ledger = Ledger.read(folder, {"made_up": CLAIM})
    assert not ledger.problems
    assert f">S{short[1:]}.<" in ledger._repr_html_()
    assert short in repr(ledger)
    study.run(replace(MADE, run=lambda seed: run(seed, 20)))
    fresh = replace(CLAIM, experiment=replace(MADE))
    assert "changed since a/page was" in Ledger.read(folder, {"made_up": fresh}).problems[0]
    drifted = replace(CLAIM, experiment=replace(MADE, setting="Otherwise."))
    assert "python -m normcourse.lab.study" in Ledger.read(folder, {"made_up": drifted}).problems[0]


def test_a_study_needs_a_name_and_a_reduced_run():
    for wrong in ({"study": "a"}, {"reduced": run}, {"timing": True}):
        with pytest.raises(ValueError, match="a study needs both"):
            Experiment(run, "", **wrong)


def test_the_command_runs_what_it_is_told(folder, monkeypatch, capsys):
    monkeypatch.setattr(study, "MODULES", ())  # the real ones take half an hour
    second = replace(MADE, study="second")
    monkeypatch.setattr(
        study,
        "claims",
        lambda: {"a": CLAIM, "b": replace(CLAIM), "c": replace(CLAIM, experiment=second)},
    )
    study.main(["second"])
    assert capsys.readouterr().out.count("second: seed") == 5
    study.main([])
    assert capsys.readouterr().out.count("seed 4 took 0 s") == 2
    with pytest.raises(SystemExit, match="no study third; there are: made_up, second"):
        study.main(["third"])
    monkeypatch.setattr(
        study, "claims", lambda: {"a": CLAIM, "b": replace(CLAIM, experiment=replace(MADE))}
    )
    with pytest.raises(ValueError, match="two studies are named 'made_up'"):
        study.studies()


@pytest.mark.parametrize(
    ("machine", "able", "cores", "words"),
    [
        ("x86_64", "AVX512", 2, "x86-64 with AVX-512, 2 cores"),
        ("AMD64", "AVX2", 1, "x86-64 with AVX2, 1 core"),
        ("arm64", "DEFAULT", 8, "arm64, 8 cores"),
    ],
)
def test_the_processor_in_words(monkeypatch, machine, able, cores, words):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(study.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: able)
    monkeypatch.setattr(study.os, "cpu_count", lambda: cores)
    assert study.processor() == words
