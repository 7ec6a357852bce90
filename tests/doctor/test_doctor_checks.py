"""Each check finds its sick model and is silent about the healthy twin; nothing has changed."""

import random
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from doctor_cases import CASES, batch, trained
from torch import nn

import normcourse
from normcourse.doctor import CHECKS
from normcourse.doctor.report import SEVERITIES

BOOK = Path(__file__).parents[2] / "book"
each = pytest.mark.parametrize("name", CHECKS)


def state(given):
    """All that must stay: values, identities, versions, modes, gradients, hooks, random states."""
    held = {"python": random.getstate(), "torch": torch.get_rng_state().numpy().tobytes()}
    held["numpy"] = str(np.random.get_state())
    models = [v for v in given.values() if isinstance(v, nn.Module)]
    models += [r for r in given.get("ranks", ()) if isinstance(r, nn.Module)]
    for k, model in enumerate(models):
        for name, module in model.named_modules():
            attributes = vars(module)
            held[k, name, "mode"] = module.training
            held[k, name, "attributes"] = {a: id(v) for a, v in attributes.items()}
            held[k, name, "hooks"] = {
                a: list(v) for a, v in attributes.items() if isinstance(v, dict) and "hook" in a
            }
            tensors = {**module._parameters, **module._buffers}
            for key, tensor in tensors.items():
                held[k, name, key] = tensor if tensor is None else of(tensor)
    for tensor in (v for v in given.values() if isinstance(v, torch.Tensor)):
        held["given", id(tensor)] = of(tensor)
    if "optimizer" in given:
        held["optimizer"] = repr(given["optimizer"].state_dict())
    if "checkpoint" in given:
        held["checkpoint"] = {key: of(t) for key, t in given["checkpoint"].items()}
    return held


def of(tensor):
    value = tensor.detach().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
    grad = None if not tensor.is_leaf or tensor.grad is None else of(tensor.grad)
    return id(tensor), tensor._version, tensor.requires_grad, grad, value


class Broken(nn.Module):
    """Runs a model, and raises."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, *args, **kwargs):
        self.model(*args, **kwargs)
        raise RuntimeError("midway")


def test_each_check_has_its_twins():
    assert set(CASES) == set(CHECKS)


@each
def test_the_sick_is_found_and_the_healthy_is_not(name, record_property):
    case = CASES[name]
    given = case.sick()
    before = state(given)
    report = normcourse.doctor(**given)
    assert state(given) == before
    found = report.of(name)
    assert [(f.where, f.severity) for f in found][:1] == [(case.where, case.severity)]
    assert not report.error
    assert not [n for n in report.not_checked if "itself failed" in n.reason]
    for finding in found:
        assert re.search(r"\d", finding.measured)
        assert finding.values
        assert all(isinstance(value, int | float) for value in finding.values.values())
    record_property("measured", f"doctor, {name}: {found[0].measured}")

    given = case.healthy()
    before = state(given)
    report = normcourse.doctor(**given)
    assert state(given) == before
    assert name in report.sound
    assert report.worst != "severe"


@each
def test_a_model_that_raises_is_left_as_it_was(name):
    for given in (CASES[name].sick(), CASES[name].healthy()):
        given["model"] = Broken(given["model"])
        for k, p in enumerate(given["model"].parameters()):
            p.grad = torch.full_like(p, 0.5) if k % 2 else None
        before = state(given)
        report = normcourse.doctor(**given)
        assert state(given) == before
        if given.get("batch") is not None:
            assert report.error == "RuntimeError: midway"
            assert report.exit_status() == 2


@each
def test_a_record_is_whole(name):
    checked = CHECKS[name]
    assert checked.severity in SEVERITIES
    assert checked.threads
    for thread in checked.threads:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", thread)
    for text in (checked.why, checked.change, checked.about):
        assert text.endswith(".")
        assert "!" not in text
    page, anchor = checked.page.split("#")
    notebook = nbformat.read(BOOK / page.replace(".html", ".ipynb"), 4)
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    assert anchor in [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]


def test_gradients_stay_and_none_stays_none():
    model = trained().train()
    model(batch()).sum().backward()
    model[3].bias.grad = None
    given = {"model": model, "batch": batch(), "micro_batches": 2}
    before = state(given)
    normcourse.doctor(**given)
    assert state(given) == before
    assert model[3].bias.grad is None


@pytest.mark.parametrize("limit", [1e-9, 0.02])
def test_the_time_limit_ends_it_and_leaves_all_as_it_was(limit):
    class Slow(nn.Module):
        def forward(self, x):
            torch.rand(1)
            return [x := x + 1e-9 for _ in range(20000)][-1]

    given = {"model": nn.Sequential(trained(), *(Slow() for _ in range(20))), "batch": batch()}
    before = state(given)
    report = normcourse.doctor(**given, time_limit=limit)
    assert state(given) == before
    assert f"the {limit:g} seconds were over" in {n.reason for n in report.not_checked}


def test_an_interrupt_goes_through_and_leaves_all_as_it_was():
    class Interrupted(nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    given = {"model": nn.Sequential(trained(), Interrupted()), "batch": batch()}
    before = state(given)
    with pytest.raises(KeyboardInterrupt):
        normcourse.doctor(**given)
    assert state(given) == before
