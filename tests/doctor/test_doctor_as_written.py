"""Models as they are written outside of a course: no check fails, and none is misled."""

import logging
from collections import UserDict

import pytest
import torch
from doctor_cases import RMS, trained
from torch import nn
from torch.utils.checkpoint import checkpoint

import normcourse


def looked_at(*given, **named):
    report = normcourse.doctor(*given, **named)
    assert not report.error
    assert not [n for n in report.not_checked if "itself failed" in n.reason], report.not_checked
    return report


class InstanceNorm(nn.Module):
    """Over all positions, or over time of (N, L, C), with a scale for each channel."""

    def __init__(self, width, axis=-1):
        super().__init__()
        self.axis = axis
        self.scale = nn.Parameter(torch.ones(width, 1) if axis == -1 else torch.ones(width))

    def forward(self, x):
        centre = x - x.mean(self.axis, keepdim=True)
        return centre / (centre.pow(2).mean(self.axis, keepdim=True) + 1e-5).sqrt() * self.scale


def test_ones_own_instance_norm_has_the_axes_that_it_means():
    """Behind a convolution; and of the input, as forecasts of time series begin."""
    sound = nn.Sequential(nn.Conv1d(8, 16, 3, bias=False), InstanceNorm(16), nn.Conv1d(16, 4, 1))
    assert not looked_at(sound, torch.randn(4, 8, 20)).findings
    first = nn.Sequential(InstanceNorm(6, axis=1), nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 6))
    assert not looked_at(first, torch.randn(4, 20, 6)).findings
    later = nn.Sequential(nn.Linear(6, 16), InstanceNorm(16, axis=1), nn.Linear(16, 6))
    assert [f.check for f in looked_at(later, torch.randn(4, 20, 6)).findings] == ["wrong_axes"]


class ResponseNorm(nn.Module):
    """Over all pixels, without a mean (Singh & Krishnan 2020)."""

    def forward(self, x):
        return x * (x.pow(2).mean((2, 3), keepdim=True) + 1e-6).rsqrt()


def test_a_filter_response_norm_has_the_axes_that_it_means():
    model = nn.Sequential(nn.Conv2d(3, 16, 3), ResponseNorm(), nn.Conv2d(16, 4, 1))
    assert not looked_at(model, torch.randn(4, 3, 12, 12)).findings


def test_a_leak_is_measured_along_the_axis_that_has_one():
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.LayerNorm(10), nn.Conv2d(16, 4, 1))
    (found,) = looked_at(model, torch.randn(4, 3, 12, 12)).of("wrong_axes")
    assert found.values["moved"] > 0.1


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_a_broken_statistic_is_not_said_to_be_an_epsilon_that_underflows(value):
    model = trained().eval()
    norm = next(m for m in model.modules() if isinstance(m, nn.BatchNorm1d))
    norm.running_var[3] = value
    assert {f.check for f in looked_at(model).findings} == {"not_finite"}


class ReturnsLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), RMS(16), nn.Linear(16, 4))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x, target):
        if self.training:
            self.steps += 1
        logits = self.layers(x)
        return {"loss": nn.functional.cross_entropy(logits, target), "logits": logits}


def test_a_model_may_return_its_loss():
    model = nn.Sequential(nn.BatchNorm1d(6), ReturnsLoss())
    model.forward = lambda x, target: model[1](model[0](x), target)
    report = looked_at(model, (torch.randn(8, 6), torch.arange(8) % 4), micro_batches=2)
    assert {"shrunk_batch", "two_forwards"} <= {*report.sound, *(f.check for f in report.findings)}


class Graph(nn.Module):
    """Takes all nodes or none."""

    def __init__(self, nodes):
        super().__init__()
        self.register_buffer("edges", torch.eye(nodes).to_sparse())
        self.first, self.norm, self.last = nn.Linear(6, 16), RMS(16), nn.Linear(16, 4)

    def forward(self, x):
        return self.last(torch.sparse.mm(self.edges, self.norm(self.first(x))))


def test_rows_that_belong_together_are_not_cut():
    report = looked_at(Graph(50), torch.randn(50, 6))
    assert "input_changed" in report.sound


class Checkpointed(nn.Module):
    """Layers that run again in the backward pass, with a Dropout that then has to be the same."""

    def __init__(self, reentrant):
        super().__init__()
        branches = [nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.1)) for _ in range(14)]
        self.branches = nn.ModuleList(branches)
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in branches)
        self.first, self.reentrant = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16)), reentrant

    def forward(self, x):
        x = self.first(x)
        for branch, norm in zip(self.branches, self.norms, strict=True):

            def layer(h, branch=branch, norm=norm):
                return norm(h + branch(h))

            x = checkpoint(layer, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize("reentrant", [False, True])
def test_layers_may_be_checkpointed(reentrant):
    model = Checkpointed(reentrant)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    report = looked_at(model, torch.randn(8, 6), optimizer, micro_batches=2)
    assert "post_norm_without_warm_up" in report.sound
    said = [n.reason for n in report.not_checked if n.check == "shrunk_batch"]
    assert bool(said) is reentrant
    assert all(reason.startswith("backward raised") for reason in said)


def test_gradients_may_be_sparse():
    model = nn.Sequential(nn.EmbeddingBag(20, 16, sparse=True), nn.BatchNorm1d(16))
    looked_at(model, torch.randint(20, (8, 5)), micro_batches=2)


class Fast(nn.Module):
    def forward(self, x):
        raise RuntimeError("no kernel for this device")


class FallsBack(nn.Module):
    def __init__(self):
        super().__init__()
        self.fast, self.slow = Fast(), nn.Linear(6, 6, bias=False)

    def forward(self, x):
        try:
            return self.fast(x)
        except RuntimeError:
            return self.slow(x)


def test_a_module_may_raise_what_the_model_catches():
    """What comes later is still seen in its place."""
    model = nn.Sequential(FallsBack(), nn.BatchNorm1d(6))
    (found,) = looked_at(model, torch.randn(8, 6)).of("norm_after_output")
    assert "0.slow" in found.measured


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.norm = nn.Embedding(20, 16), RMS(16)

    def forward(self, input_ids):
        return self.norm(self.table(input_ids)).mean(1)


def test_a_batch_may_be_any_mapping():
    """As tokenizers return."""
    report = looked_at(Named(), UserDict(input_ids=torch.randint(20, (4, 7))))
    assert "input_changed" in report.sound


def test_a_sample_may_be_a_vector():
    class Images(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.last = nn.LayerNorm(6), nn.Linear(6, 2)

        def forward(self, images):
            return [self.last(self.norm(image.flatten())) for image in images]

    report = looked_at(Images(), ([torch.randn(2, 3), torch.randn(3, 2)],))
    assert {"epsilon_underflows", "input_changed"} <= set(report.sound)


@pytest.mark.skipif(not hasattr(torch.compiler, "set_stance"), reason="since torch 2.6")
def test_compiled_layers_run_as_they_are_written(caplog):
    """Nothing is compiled again for the hooks, of which torch would warn."""
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    block = nn.Sequential(nn.Linear(6, 16), RMS(16), nn.Linear(16, 6))
    model = nn.Sequential(torch.compile(block, backend=backend), nn.LayerNorm(6), nn.ReLU())
    with caplog.at_level(logging.WARNING):
        looked_at(model, torch.randn(4, 6))
    assert not compiled
    assert not caplog.records
    model(torch.randn(4, 6))
    assert compiled
