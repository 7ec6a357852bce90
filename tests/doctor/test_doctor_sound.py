"""Sound architectures: nothing severe, no warning, few notes; and how long it takes."""

import pytest
import torch
from doctor_models import MODELS

import normcourse
from normcourse.doctor.patient import samples

NOTES = {"bias_before_norm"}  # which is so in published networks, too


def silent(report):
    assert not report.error
    assert not [n for n in report.not_checked if "itself failed" in n.reason]
    assert {f.check for f in report.findings} <= NOTES, report
    assert len(report.findings) <= 1


@pytest.mark.parametrize("name", MODELS)
def test_a_fresh_network_is_sound(name, record_property):
    model, batch = MODELS[name]()
    silent(normcourse.doctor(model.train()))
    report = normcourse.doctor(model.train(), batch)
    silent(report)
    silent(normcourse.doctor(model.eval(), batch))
    alone = normcourse.doctor(model, samples(batch, 0, 1))
    assert not [n for n in alone.not_checked if "itself failed" in n.reason]
    assert alone.worst != "severe"
    if name in ("resnet18", "vit"):
        text = f"doctor on {name}: {report.seconds:.1f} s, {len(report.sound)} checks"
        record_property("measured", text)


@pytest.mark.parametrize("name", ["mobilenet", "efficientnet", "unet", "vit", "llama", "gpt2"])
def test_a_network_in_training_is_sound(name):
    """Some steps of AdamW, with decay on the matrices only."""
    model, batch = MODELS[name]()
    few = [p for p in model.parameters() if p.ndim < 2]
    many = [p for p in model.parameters() if p.ndim > 1]
    groups = [{"params": many}, {"params": few, "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.05)
    for _ in range(40 if name != "efficientnet" else 5):
        optimizer.zero_grad()
        model(batch).float().pow(2).mean().backward()
        optimizer.step()
    silent(normcourse.doctor(model, batch, optimizer))
    silent(normcourse.doctor(model.eval(), batch))


def test_a_random_start_of_the_scales_is_no_training():
    """As RepVGG starts, γ and β; with one norm that was updated it cannot be a start."""
    model, batch = MODELS["resnet18"]()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, 0.1, 0.1)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    for mode in (True, False):
        report = normcourse.doctor(model.train(mode), batch)
        assert report.worst != "severe", report
    next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)).running_mean += 1
    assert normcourse.doctor(model.eval(), batch).worst == "severe"


def test_decay_on_everything_is_a_note_where_it_is_slow():
    model, batch = MODELS["mobilenet"]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    report = normcourse.doctor(model, batch, optimizer)
    assert [(f.check, f.severity) for f in report.findings] == [("decay_on_norm", "note")]


def test_a_warm_up_is_enough_for_post_norm():
    model, batch = MODELS["bert"]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step / 100))
    report = normcourse.doctor(model, batch, optimizer)
    assert not report.of("post_norm_without_warm_up")
