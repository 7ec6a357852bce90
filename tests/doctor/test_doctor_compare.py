"""Two models that should be the same: each difference is placed and explained, twins are silent."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from doctor_cases import RMS
from test_doctor_checks import state
from torch import nn
from torch.nn import functional as F

import normcourse
from normcourse import carry
from normcourse.doctor.conventions import EXPLANATIONS
from normcourse.lab.frameworks import Layer

compare = normcourse.doctor.compare
PORTS = {}


@dataclass(frozen=True)
class Port:
    """A model, another one that is sick or its equal, a batch, and the checks to be named."""

    make: object
    names: frozenset


def port(*names):
    """From a function of True (sick) or False (equal) to an entry of the table."""

    def register(made):
        def seeded(sick):
            torch.manual_seed(0)
            return made(sick)

        PORTS[made.__name__] = Port(seeded, frozenset(names))
        return made

    return register


def scattered(model):
    """Random γ, β and running statistics; channels that vary little, where ε counts."""
    with torch.no_grad():
        for module in model.modules():
            if getattr(module, "weight", None) is not None and module.weight.ndim == 1:
                module.weight.copy_(1 + 0.3 * torch.randn_like(module.weight))
                if getattr(module, "bias", None) is not None:
                    module.bias.copy_(0.3 * torch.randn_like(module.bias))
            if getattr(module, "running_mean", None) is not None:
                module.running_mean.copy_(0.3 * torch.randn_like(module.running_mean))
                module.running_var.copy_(torch.rand_like(module.running_var) + 0.02)
    return model.eval()


def around(norm, width=8):
    """A network with the norm as module 1."""
    layers = nn.Linear(6, width), norm, nn.ReLU(), nn.Linear(width, 4)
    return scattered(nn.Sequential(*layers))


def exchanged_norm(model, norm):
    """The same model with another norm, which gets the vectors."""
    other = copy.deepcopy(model)
    norm.load_state_dict(model[1].state_dict(), strict=False)
    other[1] = norm.train(False)
    return other


def images(n=4, size=5):
    return torch.randn(n, 3, size, size)


class Rows(nn.Module):
    """Layer norm over the last axis as people write it, with their conventions."""

    def __init__(self, width, axis=-1, eps=1e-5, outside=False, correction=0, centred=True):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.axis, self.eps, self.outside = axis, eps, outside
        self.correction, self.centred = correction, centred

    def forward(self, x):
        z = x - x.mean(self.axis, keepdim=True) if self.centred else x
        n = x.shape[self.axis] - self.correction
        v = z.pow(2).sum(self.axis, keepdim=True) / n
        z = z / (v.sqrt() + self.eps if self.outside else (v + self.eps).sqrt())
        return z * self.weight + self.bias


@port("epsilon")
def epsilon_of_keras(sick):
    model = around(nn.BatchNorm1d(8))
    return model, exchanged_norm(model, nn.BatchNorm1d(8, eps=1e-3 if sick else 1e-5)), rows()


def rows(n=16):
    return torch.randn(n, 6)


@port("epsilon")
def epsilon_of_layer_norm(sick):
    model = around(nn.LayerNorm(8))
    return model, exchanged_norm(model, nn.LayerNorm(8, eps=1e-3 if sick else 1e-5)), rows()


@port("momentum")
def momentum_of_keras(sick):
    model = around(nn.BatchNorm1d(8, momentum=0.01))
    other = nn.BatchNorm1d(8, momentum=0.99 if sick else 0.01)
    return model, exchanged_norm(model, other), rows()


@port("momentum")
def momentum_in_a_convolutional_network(sick):
    norms = [nn.BatchNorm2d(8, momentum=m) for m in (0.1, 0.01 if sick else 0.1)]
    models = [nn.Sequential(nn.Conv2d(3, 8, 3), norm) for norm in norms]
    scattered(models[0])
    models[1].load_state_dict(models[0].state_dict())
    return models[0], models[1].eval(), images()


class StoredBiased(nn.BatchNorm1d):
    def forward(self, x):
        if self.training:
            n, m = len(x), self.momentum
            old = self.running_var.clone()
            y = super().forward(x)
            self.running_var.copy_(old + (self.running_var - old - m * (x.var(0) / n)))
            return y
        return super().forward(x)


@port("stored_variance")
def the_biased_variance_is_stored(sick):
    model = around(nn.BatchNorm1d(8))
    return model, exchanged_norm(model, (StoredBiased if sick else nn.BatchNorm1d)(8)), rows()


@port("biased_variance")
def unbiased_variance(sick):
    model = around(nn.LayerNorm(8))
    return model, exchanged_norm(model, Rows(8, correction=int(sick))), rows()


@port("epsilon_outside_the_root")
def epsilon_outside(sick):
    model = around(nn.LayerNorm(8, eps=1e-3))
    return model, exchanged_norm(model, Rows(8, eps=1e-3, outside=sick)), rows()


@port("layout")
def axis_of_a_sequence(sick):
    model = around(nn.LayerNorm(8))
    return model, exchanged_norm(model, Rows(8, axis=1 if sick else -1)), torch.randn(4, 5, 6)


@port("layout")
def layer_norm_of_an_image(sick):
    """Over the channels of a position, as ConvNeXt, or over all but the batch."""

    class Channels(nn.LayerNorm):
        def forward(self, x):
            if self.all:
                y = F.layer_norm(x, x.shape[1:], None, None, self.eps)
                return y * self.weight[:, None, None] + self.bias[:, None, None]
            x = x.movedim(1, -1)
            y = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
            return y.movedim(-1, 1)

    models = [nn.Sequential(nn.Conv2d(3, 8, 3), Channels(8), nn.ReLU()) for _ in "ab"]
    models[0][1].all, models[1][1].all = False, sick
    scattered(models[0])
    models[1].load_state_dict(models[0].state_dict())
    return models[0], models[1].eval(), images()


@port("rms_for_layer_norm")
def rms_norm(sick):
    model = around(nn.LayerNorm(8))
    return model, exchanged_norm(model, Rows(8, centred=not sick)), rows()


@port("batch_statistics")
def left_in_training_mode(sick):
    model = around(nn.BatchNorm1d(8))
    other = copy.deepcopy(model)
    other[1].train(sick)
    return model, other, rows()


@port("batch_statistics")
def no_running_statistics(sick):
    model = around(nn.BatchNorm1d(8))
    return model, exchanged_norm(model, nn.BatchNorm1d(8, track_running_stats=not sick)), rows()


@port("running_statistics")
def running_statistics_of_a_norm_without(sick):
    model = around(nn.BatchNorm1d(8, track_running_stats=False))
    other = scattered(nn.Sequential(nn.BatchNorm1d(8, track_running_stats=sick)))[0]
    return model, exchanged_norm(model, other), rows()


@port("missing_scale")
def without_scale(sick):
    model = around(nn.LayerNorm(8))
    other = copy.deepcopy(model)
    if sick:
        nn.init.ones_(other[1].weight)
    return model, other, rows()


@port("missing_shift")
def without_shift(sick):
    model = around(nn.GroupNorm(2, 8))
    other = copy.deepcopy(model)
    if sick:
        nn.init.zeros_(other[1].bias)
    return model, other, rows()


@port("missing_scale", "missing_shift")
def without_both(sick):
    model = around(nn.BatchNorm1d(8))
    return model, exchanged_norm(model, nn.BatchNorm1d(8, affine=not sick)), rows()


@port("missing_scale", "epsilon")
def without_scale_and_with_another_epsilon(sick):
    model = around(nn.BatchNorm1d(8))
    other = exchanged_norm(model, nn.BatchNorm1d(8, eps=1e-3 if sick else 1e-5))
    if sick:
        nn.init.ones_(other[1].weight)
    return model, other, rows()


@port("statistics_not_copied")
def parameters_only(sick):
    model = around(nn.BatchNorm1d(8))
    other = copy.deepcopy(model)
    if sick:
        other[1].reset_running_stats()
    return model, other, rows()


@port("exchanged")
def mean_and_variance_exchanged(sick):
    model = around(nn.BatchNorm1d(8))
    model[1].running_mean.abs_().add_(0.1)
    other = copy.deepcopy(model)
    if sick:
        other[1].running_mean.copy_(model[1].running_var)
        other[1].running_var.copy_(model[1].running_mean)
    return model, other, rows()


@port("other_vectors")
def another_scale(sick):
    model = around(nn.LayerNorm(8))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[1].weight += 0.1 * sick * torch.randn(8)
    return model, other, rows()


@port("groups")
def other_groups(sick):
    model = around(nn.GroupNorm(2, 8))
    return model, exchanged_norm(model, nn.GroupNorm(4 if sick else 2, 8)), rows()


class Mixed(nn.GroupNorm):
    """Channels last, reshaped without moving the axes."""

    def forward(self, x):
        last = x.movedim(1, -1)
        z = last.reshape(len(x), self.num_groups, -1)
        z = F.layer_norm(z, z.shape[2:], eps=self.eps).reshape(last.shape)
        return (z * self.weight + self.bias).movedim(-1, 1)


@port("groups")
def groups_of_positions(sick):
    models = [nn.Sequential(nn.Conv2d(3, 8, 3), g(4, 8)) for g in (nn.GroupNorm, Mixed)]
    scattered(models[0])
    models[1].load_state_dict(models[0].state_dict())
    return models[0], models[1].eval() if sick else copy.deepcopy(models[0]), images()


def language_model(width=64, **options):
    return scattered(nn.Sequential(nn.Linear(6, width), RMS(width, **options)))


@port("one_plus_weight")
def weights_of_gemma(sick):
    model, other = (nn.Sequential(nn.Linear(6, 64), RMS(64, offset=o)) for o in (1.0, not sick))
    with torch.no_grad():
        model[1].weight.copy_(0.3 * torch.randn(64))
    other.load_state_dict(model.state_dict())
    return model.eval(), other.eval(), rows()


@port("cast_order")
def cast_before_the_scale(sick):
    model = language_model(cast="before")
    other = language_model(cast="after" if sick else "before")
    other.load_state_dict(model.state_dict())
    return model.bfloat16(), other.bfloat16(), rows().bfloat16()


@port("half_statistics")
def statistics_in_half(sick):
    model, other = (language_model(cast="before", wide=wide) for wide in (True, not sick))
    other.load_state_dict(model.state_dict())
    return model.bfloat16(), other.bfloat16(), rows(64).bfloat16()


def named(report):
    return {f.check for f in report.findings} - {"outputs_part"}


def test_each_explanation_has_a_port():
    assert set().union(*(p.names for p in PORTS.values())) == set(EXPLANATIONS)


@pytest.mark.parametrize("name", PORTS)
def test_the_sick_port_is_explained_and_nothing_else_is_told(name, record_property):
    model, other, x = PORTS[name].make(True)
    before = [state({"a": m}) for m in (model, other)]
    report = compare(model, other, x)
    assert [state({"a": m}) for m in (model, other)] == before
    assert named(report) == PORTS[name].names, report
    assert not report.error
    assert report.exit_status()
    where = {f.where for f in report.findings}
    assert where == {"1"}
    later = PORTS[name].names & {"momentum", "stored_variance"}
    assert len(report.of("outputs_part")) == (0 if later else 1)
    record_property("measured", f"compare, {name}: {report.findings[-1].measured}")


@pytest.mark.parametrize("name", PORTS)
def test_the_equal_port_is_silent(name):
    model, other, x = PORTS[name].make(False)
    before = [state({"a": m}) for m in (model, other)]
    report = compare(model, other, x)
    assert [state({"a": m}) for m in (model, other)] == before
    assert not report.findings, report
    assert not report.not_checked
    assert set(report.sound) == set(EXPLANATIONS)


# --- other frameworks ---


def carried(framework, kind="batch", **options):
    """A torch network of a convolution and a norm; the norm of another framework for it."""
    torch.manual_seed(0)
    norm = {"batch": nn.BatchNorm2d(8), "group": nn.GroupNorm(2, 8)}[kind]
    model = scattered(nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU()))
    layer = Layer(framework, kind, 8, **options)
    layer.write(carry.read(model[1]))
    return model, layer, images()


def outputs(model, layer, x, names=("conv", "bn", "relu"), **options):
    """Channels last, as the framework has them."""
    hidden = model[0](x).detach().numpy()
    y = layer(hidden, **options)
    last = (np.moveaxis(a, 1, -1) for a in (hidden, y, np.maximum(y, 0)))
    return dict(zip(names, last, strict=True))


@pytest.mark.parametrize("framework", ["keras", "flax"])
@pytest.mark.parametrize("names", [("conv", "bn", "relu"), ("0", "1", "2")])
def test_recorded_outputs(framework, names):
    model, layer, x = carried(framework)
    report = compare(model, outputs(model, layer, x, names), x)
    assert not report.findings, report
    assert not report.not_checked
    layer.layer.epsilon = 1e-3
    report = compare(model, outputs(model, layer, x, names), x)
    assert named(report) == {"epsilon"}, report
    assert report.of("outputs_part")[0].where.startswith("1")
    assert "ε is 0.001 in the place of 1e-05" in report.of("epsilon")[0].measured


@pytest.mark.parametrize("framework", ["keras", "flax"])
def test_recorded_outputs_of_a_training_mode(framework):
    model, layer, x = carried(framework)
    report = compare(model, outputs(model, layer, x, training=True), x)
    assert named(report) == {"batch_statistics"}, report


@pytest.mark.parametrize("framework", ["keras", "flax"])
def test_recorded_statistics(framework):
    for momentum, expected in ((0.9, set()), (0.1, {"momentum"})):
        model, layer, x = carried(framework)
        recorded = outputs(model, layer, x)
        layer.layer.momentum = momentum
        outputs(model, layer, x, training=True)
        after = layer.read()
        report = compare(model, recorded, x, statistics={"bn": (after.mean, after.var)})
        assert named(report) - {"stored_variance"} == expected, report
        assert report.of("stored_variance")  # which the frameworks differ in
    assert "the weight of the old statistics" in report.of("momentum")[0].measured


# --- where, and what cannot be explained ---


def test_modules_are_paired_by_order_where_names_differ():
    model, other, x = PORTS["epsilon_of_keras"].make(True)
    renamed = nn.ModuleDict({"first": other[0], "bn": other[1], "last": other[3]})

    class Renamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = renamed

        def forward(self, x):
            return self.parts["last"](torch.relu(self.parts["bn"](self.parts["first"](x))))

    report = compare(model, Renamed().eval(), x)
    assert named(report) == {"epsilon"}
    assert report.of("outputs_part")[0].where == "1 (parts.bn in the other)"


def test_channels_last_inside():
    class Last(nn.Module):
        def __init__(self, conv):
            super().__init__()
            self.conv, self.norm = conv, nn.LayerNorm(8, eps=1e-3)

        def forward(self, x):
            return self.norm(self.conv(x).movedim(1, -1))

    class First(nn.LayerNorm):
        def forward(self, x):
            x = x.movedim(1, -1)
            y = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
            return y.movedim(-1, 1)

    torch.manual_seed(0)
    model = scattered(nn.Sequential(nn.Conv2d(3, 8, 3), First(8)))
    other = Last(model[0]).eval()
    other.norm.load_state_dict(model[1].state_dict())
    assert named(compare(model, other, images())) == {"epsilon"}
    other.norm.eps = 1e-5
    assert not compare(model, other, images()).findings


def test_every_norm_is_explained_not_only_the_first():
    torch.manual_seed(0)
    blocks = [nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU()]
    model = scattered(nn.Sequential(*blocks, *copy.deepcopy(blocks)))
    other = copy.deepcopy(model)
    other[1].eps, other[4].momentum = 1e-3, 0.9
    nn.init.ones_(other[4].weight)
    report = compare(model, other, rows())
    found = {(f.check, f.where) for f in report.findings}
    assert found == {
        ("outputs_part", "1"), ("epsilon", "1"), ("missing_scale", "4"), ("momentum", "4"),
    }  # fmt: skip


def test_another_weight_is_no_norms_fault():
    model, other, x = PORTS["epsilon_of_keras"].make(False)
    with torch.no_grad():
        other[3].weight[0, 0] += 0.5
    report = compare(model, other, x)
    assert [(f.check, f.where) for f in report.findings] == [("outputs_part", "3")]
    assert "its weight differs by up to 0.5" in report.findings[0].measured


def test_a_function_between_modules():
    model, _, x = PORTS["epsilon_of_keras"].make(False)

    class Doubled(nn.Sequential):
        def forward(self, x):
            return self[3](self[2](self[1](2 * self[0](x))))

    report = compare(model, Doubled(*copy.deepcopy(model)).eval(), x)
    assert [(f.check, f.where) for f in report.findings] == [("outputs_part", "1")]
    assert "its input differs already" in report.findings[0].measured


def test_what_nothing_explains_is_told():
    class Odd(nn.LayerNorm):
        def forward(self, x):
            return super().forward(x) * 1.5

    model = around(nn.LayerNorm(8))
    report = compare(model, exchanged_norm(model, Odd(8)), rows())
    assert named(report) == {"not_explained"}
    assert "no pair of them" in report.of("not_explained")[0].measured


def test_a_norm_without_a_partner_is_told():
    model = around(nn.LayerNorm(8))
    report = compare(model, {"nothing": np.zeros((2, 3))}, rows())
    assert not report.findings
    assert {n.check for n in report.not_checked} == {"1", "all modules"}
    assert not report.sound


def test_a_change_of_the_output_alone():
    model = around(nn.LayerNorm(8))
    x = rows()
    y = model(x).detach().numpy()
    assert not compare(model, {"1": model[:2](x).detach().numpy(), "output": y}, x).findings
    report = compare(model, {"1": model[:2](x).detach().numpy(), "output": y + 1}, x)
    assert [(f.check, f.where) for f in report.findings] == [("outputs_part", "output")]


# --- nothing changes ---


class Broken(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, x):
        self.model(x)
        raise RuntimeError("midway")


@pytest.mark.parametrize("first", [True, False])
def test_a_model_that_raises_is_left_as_it_was(first):
    model, other, x = PORTS["epsilon_of_keras"].make(True)
    pair = (Broken(model.train()), other) if first else (model.train(), Broken(other))
    before = [state({"a": m}) for m in pair]
    report = compare(*pair, x)
    assert [state({"a": m}) for m in pair] == before
    assert report.error == "RuntimeError: midway"
    assert report.exit_status() == 2


def test_two_models_in_training_mode_are_compared_in_evaluation_mode():
    model, other, x = PORTS["epsilon_of_keras"].make(True)
    before = [state({"a": m}) for m in (model.train(), other.train())]
    assert named(compare(model, other, x)) == {"epsilon"}
    assert [state({"a": m}) for m in (model, other)] == before


def test_the_time_limit():
    model, other, x = PORTS["epsilon_of_keras"].make(True)
    report = compare(model, other, x, time_limit=1e-9)
    assert "seconds were over" in report.not_checked[0].reason
    assert not report.sound


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ((3, {}, None), TypeError, "model_a must be a torch.nn.Module, got int"),
        ((nn.Identity(), [1], None), TypeError, "a dictionary of outputs, got list"),
    ],
)
def test_a_wrong_argument_is_told(given, error, says):
    with pytest.raises(error, match=says):
        compare(*given)
    with pytest.raises(ValueError, match="above 0 seconds"):
        compare(nn.Identity(), nn.Identity(), torch.ones(2, 2), time_limit=0)


def test_the_report_is_one_of_the_doctors():
    report = compare(*PORTS["epsilon_of_keras"].make(True))
    assert "momentum-and-epsilon-of-another-framework" in report._repr_html_()
    assert report.as_dict()["findings"][1]["check"] == "epsilon"
    assert "Sequential and Sequential" in repr(report)
