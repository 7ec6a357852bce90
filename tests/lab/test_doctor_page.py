"""The three patients of the doctor's page: what ails them, what cures them, and what is shown."""

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch

import normcourse
from normcourse.doctor import CHECKS
from normcourse.lab import data
from normcourse.lab.doctor_cases import CASES, Checks, _original, case, printed
from normcourse.lab.pitfalls import accuracy, perceptron, trained
from normcourse.lab.playgrounds import doctor as playgrounds
from normcourse.lab.training import fit

BOOK = Path(__file__).parents[2] / "book"
WHOLE = {"average": ("eval", "renewed"), "frozen": ("eval",), "port": ("converted",)}


def names(one):
    return [finding.check for finding in one.report().findings]


@pytest.mark.parametrize("name", CASES)
def test_a_patient_is_sick_and_its_cure_helps(name):
    sick, cured = case(name), case(name, *WHOLE[name])
    assert cured.read[-1] > 0.95
    assert np.mean(sick.read) < np.mean(cured.read) - 0.08
    assert sick.report().worst in ("severe", "warning")
    assert len(sick.read) == 20


def test_what_the_doctor_finds_first():
    found = {name: names(case(name)) for name in CASES}
    assert found["average"] == ["never_updated", "never_updated", "bias_before_norm"]
    assert found["frozen"] == ["frozen_by_requires_grad"] * 2
    assert found["port"] == ["momentum"] * 2 + ["epsilon_of_origin"] * 2


def test_faults_of_the_average_hide_one_another():
    """Half of the cure is no better than none, and uncovers the other fault."""
    none, one = case("average"), case("average", "eval")
    assert one.read[-1] < none.read[-1]
    assert names(case("average", "renewed")) == ["forgotten_eval", "bias_before_norm"]
    assert case("average", "renewed").read == none.read
    assert names(case("average", "eval", "renewed")) == ["bias_before_norm"]


def test_the_average_comes_from_a_network_that_reads():
    model, rng = perceptron(), np.random.default_rng(0)
    for _ in range(20):
        fit(model, data.digits(), 6, lr=0.3, rng=rng)
    assert round(accuracy(model), 2) == 0.97


def test_the_body_of_a_frozen_patient_keeps_its_parameters():
    """It is the running statistics alone that make the old head forget."""
    original, model = _original(False), case("frozen").model
    for (name, p), q in zip(original[:-1].named_parameters(), model[0].parameters(), strict=True):
        assert torch.equal(p, q), name
    assert not torch.equal(original[1].running_mean, model[0][1].running_mean)


def test_epsilon_is_not_what_ails_the_port():
    model = trained_with(1e-5), trained_with(1e-3)
    assert abs(accuracy(model[0]) - accuracy(model[1])) < 0.01
    assert round(accuracy(model[1]), 2) == 0.97


def trained_with(eps):
    model = torch.nn.Sequential(*_original(False))
    for k in (1, 4):
        model[k].eps = eps
    return model


def test_a_case_is_a_copy():
    model = case("port").model
    with torch.no_grad():
        model[0].weight.zero_()
    assert case("port").model[0].weight.abs().sum() > 0


@pytest.mark.parametrize(("name", "cures"), [("flu", ()), ("port", ("rest",))])
def test_what_is_unknown_is_said(name, cures):
    with pytest.raises(ValueError, match=r"must be"):
        case(name, *cures)


def test_what_is_printed_is_the_same_everywhere():
    """No seconds, no rounding noise; all else as it was."""
    report = normcourse.doctor(trained().train(), torch.tensor(data.digits().x_test[:32]))
    for shown in (repr(printed(report, True)), printed(report, True)._repr_html_()):
        assert not re.search(r"\d s\)|\de-\d\d", shown)
        assert "less than 10⁻⁹" in " ".join(shown.split())
        assert report.of("forgotten_eval")[0].measured[:50] in unescape(" ".join(shown.split()))
        assert "Not checked" in shown
    assert "Not checked" not in repr(printed(report))
    title, line, *_ = repr(printed(report)).split("\n")
    assert len(title) == len(line)


def test_the_table_has_all_checks_with_their_pages_and_reports():
    shown = Checks()._repr_html_()
    assert shown.count("<tr>") == len(CHECKS) + 1
    for check in CHECKS.values():
        assert f'href="../{check.page}"' in shown
        for thread in check.threads:
            repository, number = thread.split("#")
            assert f'href="https://github.com/{repository}/issues/{number}">{thread}<' in shown


def test_the_playground_has_a_row_for_every_finding():
    for patient in playgrounds.PATIENTS:
        for treatment in playgrounds.TREATMENTS:
            panels = playgrounds.picture(normcourse.doctor, patient, treatment)
            assert panels[1].rows["momentum"][0] == ("warning" if "port" in patient else "–")


def test_the_playground_leaves_nothing_out(monkeypatch):
    monkeypatch.setattr(playgrounds, "CHECKS", ("momentum",))
    with pytest.raises(AssertionError, match="no row for epsilon_of_origin"):
        playgrounds.picture(normcourse.doctor, "a port from Keras", "none")
