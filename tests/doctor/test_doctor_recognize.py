"""What a norm is, is seen from what it computes; and what is none is not taken for one."""

import pytest
import torch
from doctor_cases import RMS, BatchOnly
from torch import nn
from torch.nn import functional as F

import normcourse.nn
from normcourse.doctor import recognize as recognizing
from normcourse.doctor.checks.measure import measured_eps, moved_by_a_batch
from normcourse.doctor.patient import Patient


class ChannelsFirst(nn.LayerNorm):
    def forward(self, x):
        x = x.permute(0, 2, 3, 1)
        y = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


class OwnBatchNorm(nn.Module):
    """Buffers under other names, and replaced instead of written into."""

    def __init__(self, width, in_place, momentum=0.2):
        super().__init__()
        self.g, self.b = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("average", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.in_place, self.momentum = in_place, momentum

    def forward(self, x):
        mean, var = self.average, self.spread
        if self.training:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            if self.in_place:
                self.average.lerp_(mean.detach(), self.momentum)
                self.spread.lerp_(var.detach(), self.momentum)
            else:
                self.average = torch.lerp(self.average, mean.detach(), self.momentum)
                self.spread = torch.lerp(self.spread, var.detach(), self.momentum)
        mean, var, g, b = (t[:, None, None] for t in (mean, var, self.g, self.b))
        return (x - mean) / (var + 1e-3).sqrt() * g + b


class Groups(nn.Module):
    def forward(self, x):
        y = x.reshape(len(x), 4, -1)
        y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        return y.reshape(x.shape)


class Unit(nn.Module):
    """Each row has length 1."""

    def forward(self, x):
        return F.normalize(x, dim=-1)


class ScaledBy(nn.Module):
    """With a second argument, and the first by name."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, scale, x):
        return F.layer_norm(x, (self.width,)) * scale


class CallsByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = ScaledBy(8)

    def forward(self, x):
        return self.norm(2, x=x)


def norm_of(module, x):
    (norm,) = Patient(nn.Sequential(nn.Identity(), module), x).norms
    return norm


ROWS, IMAGES = torch.randn(5, 7, 16), torch.randn(4, 8, 5, 6)


@pytest.mark.parametrize(
    ("module", "x", "kind", "axes", "count"),
    [
        (nn.BatchNorm2d(8), IMAGES, "batch", (0, 2, 3), 120),
        (normcourse.nn.BatchNorm2d(8), IMAGES, "batch", (0, 2, 3), 120),
        (nn.InstanceNorm2d(8), IMAGES, "instance", (2, 3), 30),
        (nn.GroupNorm(4, 8), IMAGES, "group", (1, 2, 3), 60),
        (nn.LayerNorm((7, 16)), ROWS, "layer", (1, 2), 112),
        (normcourse.nn.RMSNorm(16), ROWS, "rms", (2,), 16),
        (normcourse.nn.SwitchableNorm2d(8), IMAGES, "switchable", (0, 2, 3), 120),
        (ChannelsFirst(8), IMAGES, "layer", (1,), 8),
        (OwnBatchNorm(8, in_place=True), IMAGES, "batch", (0, 2, 3), 120),
        (OwnBatchNorm(8, in_place=False), IMAGES, "batch", (0, 2, 3), 120),
        (Groups(), IMAGES, "group", (1, 2, 3), 60),
        (RMS(16), ROWS, "rms", (2,), 16),
        (RMS(16).bfloat16(), ROWS.bfloat16(), "rms", (2,), 16),
        (RMS(16, "after").half(), ROWS.half(), "rms", (2,), 16),
        (Unit(), ROWS, "rms", (2,), 16),
        (BatchOnly(), torch.randn(9, 4), "batch", (0,), 9),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_a_norm_is_recognized(module, x, kind, axes, count):
    norm = norm_of(module, x)
    assert (norm.kind, norm.axes, norm.count) == (kind, axes, count)
    assert norm.centred == (kind != "rms")


@pytest.mark.parametrize(
    ("module", "x", "axes"),
    [
        (ChannelsFirst(768), torch.randn(4, 768, 1, 1), (1,)),
        (RMS(4096), torch.randn(2, 7, 4096), (2,)),
        (RMS(8192, "after", offset=1.0).bfloat16(), torch.randn(2, 3, 8192).bfloat16(), (2,)),
        (Groups(), torch.randn(2, 64, 56, 56), (1, 2, 3)),
        (OwnBatchNorm(64, in_place=True), torch.randn(8, 64, 56, 56), (0, 2, 3)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_a_norm_of_the_size_of_real_networks_is_recognized(module, x, axes):
    """Among thousands of numbers some are by chance the same after another one has moved."""
    norm = norm_of(module, x)
    assert norm.axes == axes
    assert norm.offset == bool(getattr(module, "offset", 0))


class Squared(nn.Module):
    def forward(self, x):
        return x / (1 + x.pow(2).mean(-1, keepdim=True))


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(-1, keepdim=True)


class Ranks(nn.Module):
    """Knows neither scale nor shift, and is no norm."""

    def forward(self, x):
        return x.argsort(-1).argsort(-1).to(x.dtype)


class Mixed(nn.Module):
    """A norm and a matrix: no linear function of the normalized number at that place."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 16))

    def forward(self, x):
        return F.layer_norm(x, (16,)) @ self.weight


class Frozen(nn.Module):
    """A batch norm that only has constants left."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.full((16,), 2.0))

    def forward(self, x):
        return x * self.scale + 1


class Random(nn.Module):
    def forward(self, x):
        return F.layer_norm(x, (16,)) + torch.randn_like(x)


@pytest.mark.parametrize(
    "module",
    [Squared(), Centred(), Ranks(), Mixed(), Frozen(), Random(), nn.Softmax(-1), nn.GELU()],
    ids=lambda module: type(module).__name__,
)
def test_what_is_no_norm_is_not_taken_for_one(module):
    assert not Patient(nn.Sequential(module), ROWS).norms


@pytest.mark.parametrize("in_place", [True, False])
def test_the_buffers_of_ones_own_batch_norm_are_found(in_place):
    norm = norm_of(OwnBatchNorm(8, in_place), IMAGES)
    assert norm.running == ("average", "spread")
    assert (norm.weight, norm.bias) == ("g", "b")
    assert moved_by_a_batch(norm) == pytest.approx(0.2, rel=1e-3)


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_one_plus_weight_is_seen(offset):
    norm = norm_of(RMS(16, offset=offset), ROWS)
    assert norm.weight == "weight"
    assert norm.offset == bool(offset)


def test_the_first_tensor_may_be_named_and_second():
    (norm,) = Patient(CallsByName(), torch.randn(4, 8)).norms
    assert (norm.name, norm.kind, norm.axes) == ("norm", "layer", (1,))


def test_without_a_batch_a_norm_with_parameters_is_recognized_too():
    model = nn.Sequential(nn.Linear(6, 16), RMS(16), OwnBatchNorm(8, True), Mixed())
    kinds = [(norm.name, norm.kind) for norm in Patient(model).norms]
    assert kinds == [("1", "rms"), ("2", "batch")]


@pytest.mark.parametrize("eps", [1e-3, 1e-5, 1e-6])
@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.LayerNorm, nn.RMSNorm])
def test_epsilon_is_measured(kind, eps):
    norm = norm_of(kind(32, eps=eps), torch.randn(16, 32))
    assert measured_eps(norm, None) == pytest.approx(eps, rel=0.1)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("width", [64, 4096])
def test_epsilon_of_ones_own_norm_is_measured(width, in_place):
    """Also where it writes into its input, which is then another one for what follows."""
    norm = norm_of(RMS(width, in_place=in_place, eps=1e-4), torch.randn(4, width))
    assert measured_eps(norm, None) == pytest.approx(1e-4, rel=0.1)


class Modulated(nn.Module):
    """With a condition for each sample, and a vector."""

    def forward(self, x, shift, weight):
        return F.layer_norm(x, x.shape[-1:]) * weight + shift[:, None]


class Conditioned(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.weight = Modulated(), nn.Parameter(torch.ones(16))

    def forward(self, x, condition):
        return self.norm(x, condition, self.weight)


@pytest.mark.parametrize("n", [1, 3, 9, 16])
def test_a_norm_with_a_condition_for_each_sample_is_recognized(n):
    """It is tried with other numbers of samples than came."""
    x = torch.randn(n, 7, 16), torch.randn(n, 16)
    (norm,) = Patient(Conditioned(), x).norms
    assert (norm.kind, norm.axes, norm.count) == ("layer", (2,), 16)


def test_a_norm_whose_scale_starts_at_0_is_recognized():
    """As at the end of a residual branch."""
    module = RMS(16)
    nn.init.zeros_(module.weight)
    norm = norm_of(module, ROWS)
    assert (norm.kind, norm.axes, norm.weight, norm.offset) == ("rms", (2,), "weight", False)


class RoundsInside(nn.Module):
    """Computes in bfloat16 whatever comes in."""

    def __init__(self, width, centred):
        super().__init__()
        self.g, self.b = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.centred = centred

    def forward(self, x):
        x, g, b = (t.bfloat16() for t in (x, self.g, self.b))
        norm = F.layer_norm if self.centred else F.rms_norm
        return (norm(x, x.shape[-1:]) * g + b).to(self.g.dtype)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("width", [16, 4096])
def test_a_norm_that_rounds_inside_is_recognized(centred, width):
    norm = norm_of(RoundsInside(width, centred), torch.randn(4, 5, width))
    assert (norm.kind, norm.axes) == ("layer" if centred else "rms", (2,))
    assert (norm.weight, norm.bias, norm.offset) == ("g", "b", False)


def test_norms_that_are_alike_are_looked_at_once(monkeypatch):
    """One takes seconds at real sizes. Another attribute, or another shape, makes another norm."""
    looked = []
    by_computation = recognizing._by_computation

    def counted(name, module, call):
        looked.append(name)
        return by_computation(name, module, call)

    monkeypatch.setattr(recognizing, "_by_computation", counted)
    model = nn.Sequential(RMS(16), RMS(16), RMS(16, offset=1.0), nn.Linear(16, 8), RMS(8), RMS(8))
    images = nn.Sequential(OwnBatchNorm(8, True), OwnBatchNorm(8, True), OwnBatchNorm(8, False))
    nn.init.zeros_(model[1].weight)
    norms = Patient(model, ROWS).norms
    assert looked == ["0", "2", "4"]
    assert [(n.name, n.offset, n.count) for n in norms] == [
        ("0", False, 16), ("1", False, 16), ("2", True, 16), ("4", False, 8), ("5", False, 8),
    ]  # fmt: skip
    assert all(norm.module is model[int(norm.name)] for norm in norms)
    assert [n.call.name for n in norms] == [n.name for n in norms]
    looked.clear()
    images[1](IMAGES)
    norms = Patient(images, IMAGES).norms
    assert looked == ["0", "2"]
    assert [n.running for n in norms] == 3 * [("average", "spread")]
