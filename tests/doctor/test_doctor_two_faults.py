"""Ten networks with two faults each: both are found, and nothing else is blamed."""

import copy

import pytest
import torch
from doctor_cases import RMS, HalfRowNorm, Recurrent, Residual, grouped, trained
from torch import nn

import normcourse

FAULTS = {}


def fault(*checks):
    """A function that returns the arguments; the two checks that must find something."""

    def register(made):
        FAULTS[made.__name__] = checks, made
        return made

    return register


def digits(n=32):
    return torch.randn(n, 6)


def two_norms(first, second):
    layers = nn.Linear(6, 16, bias=False), first, nn.ReLU(), nn.Linear(16, 16, bias=False), second
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(16, 4))


@fault("momentum", "decay_on_norm")
def ported_and_decayed():
    model = two_norms(nn.BatchNorm1d(16, momentum=0.99), nn.BatchNorm1d(16))
    return {"model": model, "batch": digits(), "optimizer": grouped(model, 0.1, split=False)}


@fault("dead_channels", "forgotten_eval")
def dead_and_in_training():
    model = trained(two_norms(nn.BatchNorm1d(16), nn.BatchNorm1d(16)))
    model[4].running_var[2] = 1e-13
    return {"model": model.train(), "batch": digits()}


@fault("far_statistics", "freezing_undone_by_train")
def fine_tuned_on_other_units():
    body, head = trained()[:3], nn.Linear(16, 4)
    body.requires_grad_(False)
    return {"model": nn.Sequential(body, head).eval(), "batch": 20 * digits() + 30}


@fault("no_running_statistics", "norm_after_output")
def untracked_and_normalized_logits():
    model = two_norms(nn.BatchNorm1d(16, track_running_stats=False), nn.LayerNorm(16))
    return {"model": nn.Sequential(*model, nn.BatchNorm1d(4)), "batch": digits()}


@fault("input_changed", "one_plus_weight")
def ported_language_model():
    model = nn.Sequential(nn.Linear(6, 16), *(Residual(RMS(16, in_place=True), 16) for _ in "ab"))
    with torch.no_grad():
        for block in model[1:]:
            block.norm.weight += 0.2 * torch.randn(16) - 1
    return {"model": model, "batch": digits()}


@fault("half_statistics", "wrong_axes")
def half_precision_over_time():
    model = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm((5, 16)), nn.Linear(16, 16))
    more = HalfRowNorm(wide=False), nn.Linear(16, 4)
    return {
        "model": nn.Sequential(*model, *more).bfloat16(),
        "batch": torch.randn(8, 5, 6).bfloat16(),
    }


@fault("one_number", "missing_parameters")
def groups_of_one_and_a_late_head():
    model = two_norms(nn.GroupNorm(16, 16), nn.LayerNorm(16))
    optimizer = torch.optim.SGD(model[:-1].parameters(), lr=0.1)
    return {"model": model, "batch": digits(), "optimizer": optimizer}


@fault("batch_norm_in_a_loop", "frozen_by_requires_grad")
def frozen_recurrent():
    model = Recurrent(shared=True)
    model.requires_grad_(False)
    return {"model": model, "batch": torch.randn(32, 5, 6)}


@fault("average_without_buffers", "buffers_over_ranks")
def averaged_and_distributed():
    model = trained(x=lambda: 3 * torch.randn(64, 6) + 2)
    average, rank = copy.deepcopy(model), copy.deepcopy(model).train()
    average[1].reset_running_stats()
    for _ in range(20):
        rank(3 * torch.randn(64, 6) - 4)
    x = 3 * digits() + 2
    return {"model": model, "batch": x, "averaged": average, "ranks": [rank]}


@fault("never_updated", "checkpoint_without_buffers")
def loaded_from_parameters():
    model = trained()
    model[1].reset_running_stats()
    checkpoint = {k: v.detach() for k, v in model.named_parameters()}
    return {"model": model, "batch": digits(), "checkpoint": checkpoint}


def test_there_are_ten():
    assert len(FAULTS) == 10


@pytest.mark.parametrize("name", FAULTS)
def test_both_are_found_and_no_other(name):
    checks, make = FAULTS[name]
    torch.manual_seed(0)
    report = normcourse.doctor(**make())
    assert {f.check for f in report.findings if f.severity != "note"} == set(checks), report
