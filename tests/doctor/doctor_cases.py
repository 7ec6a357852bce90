"""For each check a sick model and its healthy twin, with what is given to the doctor beside them.

``CASES[check]`` has two functions without arguments, each of which returns the arguments of
``normcourse.doctor``, and the place where the finding must be.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import normcourse.nn

CASES: dict[str, "Case"] = {}


@dataclass(frozen=True)
class Case:
    """Two twins; ``where`` is the finding's place, ``severity`` what it must be."""

    sick: Callable[[], dict]
    healthy: Callable[[], dict]
    where: str
    severity: str


def case(name: str, where: str, severity: str):
    """From a function of True (sick) or False (healthy) to an entry of the table."""

    def register(made):
        def seeded(sick):
            torch.manual_seed(0)
            return made(sick)

        CASES[name] = Case(lambda: seeded(True), lambda: seeded(False), where, severity)
        return made

    return register


def batch(n=8, features=6):
    return torch.randn(n, features)


def images(n=8, channels=3, size=8):
    return torch.randn(n, channels, size, size)


def perceptron(norm=nn.BatchNorm1d, width=16):
    return nn.Sequential(
        nn.Linear(6, width, bias=False), norm(width), nn.ReLU(), nn.Linear(width, 4)
    )


def trained(model=None, x=None, steps=60):
    """γ and β as training leaves them, and running statistics that belong to N(0, 1) inputs."""
    model = perceptron() if model is None else model
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
                for parameter in (module.weight, module.bias):
                    parameter += 0.1 * torch.randn(len(parameter))
    model.train()
    for _ in range(steps):
        model(torch.randn(64, 6) if x is None else x())
    return model.eval()


# --- norms as people write them ---


class BatchOnly(nn.Module):
    """The batch's statistics, always."""

    def forward(self, x):
        return (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()


class HalfRowNorm(nn.Module):
    """Statistics in the dtype that came in."""

    def __init__(self, wide):
        super().__init__()
        self.wide = wide

    def forward(self, x):
        z = x.float() if self.wide else x
        z = z - z.mean(-1, keepdim=True)
        return (z / (z.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()).to(x.dtype)


class RMS(nn.Module):
    """RMS norm with the details that differ between published ones."""

    def __init__(self, width, cast="before", offset=0.0, in_place=False, eps=1e-6, wide=True):
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), 1.0 - offset))
        self.cast, self.offset, self.in_place = cast, offset, in_place
        self.eps, self.wide = eps, wide

    def forward(self, x):
        z = x.float() if self.wide else x
        r = torch.rsqrt(z.pow(2).mean(-1, keepdim=True) + self.eps)
        z = z.mul_(r) if self.in_place else z * r
        if self.cast == "before":
            return z.to(x.dtype) * (self.offset + self.weight)
        y = z * (self.offset + self.weight.float())
        return y if self.cast == "never" else y.to(x.dtype)


class Residual(nn.Module):
    def __init__(self, norm, width):
        super().__init__()
        self.norm, self.mix = norm, nn.Linear(width, width)

    def forward(self, x):
        return x + self.mix(self.norm(x))


# --- modes ---


@case("forgotten_eval", "1", "warning")
def _(sick):
    return {"model": trained().train(sick), "batch": batch()}


@case("evaluation_depends_on_batch", "1", "warning")
def _(sick):
    norm = (lambda width: BatchOnly()) if sick else nn.BatchNorm1d
    model = perceptron(norm).eval() if sick else trained()
    return {"model": model, "batch": batch()}


@case("frozen_by_requires_grad", "1", "warning")
def _(sick):
    model = trained()
    model[:3].requires_grad_(False)
    model.train()
    model[1].train(sick)
    return {"model": model, "batch": batch()}


class StaysInEvaluation(nn.Sequential):
    def train(self, mode=True):
        return super().train(False)


@case("freezing_undone_by_train", "0.1", "warning")
def _(sick):
    kind = nn.Sequential if sick else StaysInEvaluation
    model = nn.Sequential(kind(*trained()[:3]), nn.Linear(16, 4)).train()
    model[0].requires_grad_(False).eval()
    return {"model": model, "batch": batch()}


@case("no_running_statistics", "1", "warning")
def _(sick):
    model = perceptron(lambda width: nn.BatchNorm1d(width, track_running_stats=not sick))
    return {"model": model.eval(), "batch": batch()}


# --- running statistics ---


@case("far_statistics", "1", "severe")
def _(sick):
    return {"model": trained(), "batch": 16 * batch(32) + 40 if sick else batch(32)}


@case("never_updated", "1", "warning")
def _(sick):
    model = trained()
    if sick:
        model[1].reset_running_stats()
    return {"model": model, "batch": batch()}


@case("not_finite", "1", "severe")
def _(sick):
    model = trained()
    if sick:
        model.train()(torch.full((4, 6), float("inf")))
    return {"model": model.eval()}


@case("dead_channels", "1", "warning")
def _(sick):
    model = trained()
    if sick:
        model[1].running_var[3] = 1e-14
    return {"model": model}


@case("momentum", "1", "warning")
def _(sick):
    return {
        "model": perceptron(lambda width: nn.BatchNorm1d(width, momentum=0.99 if sick else 0.01))
    }


@case("epsilon_of_origin", "1", "warning")
def _(sick):
    eps = 1e-5 if sick else 1e-3
    return {"model": perceptron(lambda width: nn.BatchNorm1d(width, eps)), "origin": "keras"}


# --- batches ---


@case("one_number", "1", "severe")
def _(sick):
    groups = 16 if sick else 4
    return {"model": perceptron(lambda width: nn.GroupNorm(groups, width)), "batch": batch()}


@case("last_batch_of_one", "1", "severe")
def _(sick):
    rows = torch.randn(33, 6)
    data = torch.utils.data.DataLoader(rows, 8, drop_last=not sick)
    return {"model": perceptron(), "data": data}


@case("shrunk_batch", "1", "warning")
def _(sick):
    norm = nn.BatchNorm1d if sick else nn.LayerNorm
    model = perceptron(norm)
    return {
        "model": model,
        "batch": batch(32),
        "target_or_loss": torch.arange(32) % 4,
        "micro_batches": 16,
    }


class PowerIterated(nn.Module):
    def __init__(self, width, clone):
        super().__init__()
        self.W, self.clone = nn.Parameter(torch.randn(width, width)), clone
        self.register_buffer("u", torch.ones(width) / width**0.5)

    def forward(self, x):
        W = self.W.detach()
        v = F.normalize(W.T @ self.u, dim=0)
        if self.training:
            self.u.copy_(F.normalize(W @ v, dim=0))
        u = self.u.clone() if self.clone else self.u
        return x @ (self.W / (u @ self.W @ v)).T


@case("two_forwards", "0", "severe")
def _(sick):
    model = nn.Sequential(PowerIterated(6, clone=not sick), nn.ReLU(), nn.Linear(6, 1))
    return {"model": model, "batch": batch()}


# --- copies ---


@case("average_without_buffers", "1", "severe")
def _(sick):
    model = trained(x=lambda: 3 * torch.randn(64, 6) + 2)
    average = copy.deepcopy(model)
    if sick:
        average[1].reset_running_stats()
    return {"model": model, "batch": 3 * batch(32) + 2, "averaged": average}


@case("buffers_over_ranks", "1", "warning")
def _(sick):
    model = trained()
    other = copy.deepcopy(model).train()
    for _ in range(10 if sick else 1):
        other(torch.randn(64, 6) + (2 if sick else 0))
    return {"model": model, "ranks": [other.state_dict()]}


# --- precision ---


@case("half_statistics", "1", "warning")
def _(sick):
    model = perceptron(lambda width: HalfRowNorm(wide=not sick)).bfloat16()
    return {"model": model, "batch": batch().bfloat16()}


@case("epsilon_underflows", "1", "severe")
def _(sick):
    model = perceptron(lambda width: RMS(width, eps=1e-12 if sick else 1e-3, wide=False)).half()
    return {"model": model, "batch": batch().half()}


@case("cast_order", "5.norm", "note")
def _(sick):
    casts = ["before", "before", "after" if sick else "before"]
    layers = [Residual(RMS(16, cast), 16) for cast in casts]
    layers = [nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 16), *layers]
    return {"model": nn.Sequential(*layers), "batch": batch()}


@case("one_plus_weight", "1", "warning")
def _(sick):
    model = perceptron(RMS)
    with torch.no_grad():
        model[1].weight += 0.2 * torch.randn(16) - float(sick)
    return {"model": model, "batch": batch()}


@case("input_changed", "1.norm", "severe")
def _(sick):
    layers = [nn.Linear(6, 16), Residual(RMS(16, in_place=sick), 16)]
    return {"model": nn.Sequential(*layers), "batch": batch()}


# --- optimizer ---


def grouped(model, decay, split):
    few = [p for p in model.parameters() if p.ndim < 2]
    many = [p for p in model.parameters() if p.ndim > 1]
    groups = [{"params": many}, {"params": few, "weight_decay": 0.0 if split else decay}]
    return torch.optim.SGD(groups, lr=0.1, weight_decay=decay)


@case("decay_on_norm", "1.weight", "warning")
def _(sick):
    model = perceptron()
    return {"model": model, "optimizer": grouped(model, 0.01, split=not sick)}


@case("decay_on_logits", "1.mean_weight", "warning")
def _(sick):
    model = perceptron(normcourse.nn.SwitchableNorm1d)
    return {"model": model, "optimizer": grouped(model, 0.01, split=not sick)}


@case("missing_parameters", "1.weight", "warning")
def _(sick):
    model = perceptron()
    held = [p for n, p in model.named_parameters() if not (sick and n.startswith("1."))]
    return {"model": model, "optimizer": torch.optim.SGD(held, lr=0.1)}


# --- structure ---


@case("bias_before_norm", "0", "note")
def _(sick):
    layers = nn.Conv2d(3, 8, 3, bias=sick), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()
    return {"model": nn.Sequential(*layers, nn.Linear(288, 4)), "batch": images()}


@case("wrong_axes", "1", "warning")
def _(sick):
    norm = nn.LayerNorm((5, 16) if sick else 16)
    model = nn.Sequential(nn.Linear(6, 16), norm, nn.Linear(16, 4))
    return {"model": model, "batch": torch.randn(8, 5, 6)}


@case("norm_after_output", "4", "warning")
def _(sick):
    model = nn.Sequential(*perceptron())
    if sick:
        model.append(nn.BatchNorm1d(4))
    return {"model": model, "batch": batch(32)}


class Recurrent(nn.Module):
    def __init__(self, shared, steps=5):
        super().__init__()
        self.read, self.keep = nn.Linear(6, 16, bias=False), nn.Linear(16, 16, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(16) for _ in range(1 if shared else steps))

    def forward(self, x):
        state = x.new_zeros(len(x), 16)
        for t in range(x.shape[1]):
            z = self.read(x[:, t]) + self.keep(state) + t
            state = torch.tanh(self.norms[t % len(self.norms)](z))
        return state


@case("batch_norm_in_a_loop", "norms.0", "warning")
def _(sick):
    return {"model": Recurrent(shared=sick), "batch": torch.randn(32, 5, 6)}


@case("no_shift", "1", "warning")
def _(sick):
    norm = nn.BatchNorm1d(16, affine=not sick)
    model = nn.Sequential(nn.Linear(6, 16), norm, nn.Linear(16, 4, bias=False))
    return {"model": model, "batch": batch(32)}


def encoder(pre, layers=8, width=32):
    layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True, norm_first=pre)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


@case("post_norm_without_warm_up", "layers.7.norm2", "warning")
def _(sick):
    model = encoder(pre=not sick)
    return {
        "model": model,
        "batch": torch.randn(8, 10, 32),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
    }


@case("spectral_norm_estimate", "0.weight", "warning")
def _(sick):
    model = nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 16)), nn.ReLU())
    if sick:  # u and v were not in the file that was loaded
        held = model[0].parametrizations.weight[0]
        held._u.copy_(F.normalize(torch.randn(16), dim=0))
        held._v.copy_(F.normalize(torch.randn(6), dim=0))
    return {"model": model.eval()}


def under_weight_norm(wrap):
    return nn.Sequential(wrap(nn.Linear(6, 16)), nn.ReLU(), wrap(nn.Linear(16, 4)))


@case("weight_norm_old_keys", "0.weight_g", "severe")
def _(sick):
    new = under_weight_norm(parametrizations.weight_norm)
    old = under_weight_norm(nn.utils.weight_norm)
    return {"model": old, "checkpoint": (new if sick else old).state_dict()}


@case("checkpoint_without_buffers", "1.running_mean", "severe")
def _(sick):
    model = trained()
    saved = dict(model.named_parameters()) if sick else model.state_dict()
    return {"model": perceptron(), "checkpoint": {k: v.detach() for k, v in saved.items()}}


class SharedConvolution(nn.Module):
    def __init__(self, shared):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.second = self.conv if shared else copy.deepcopy(self.conv)

    def forward(self, x):
        return self.conv(x), self.norm(self.second(x))


@case("shared_convolution", "conv", "note")
def _(sick):
    model = SharedConvolution(sick)
    model.norm.running_var.fill_(4)
    return {"model": model, "batch": images()}


# --- data ---


def tables(shift=0.0):
    rng = np.random.default_rng(0)
    return rng.normal(size=(80, 3)), rng.normal(size=(20, 3)) + shift


@case("scaler_saw_test", "scaler", "warning")
def _(sick):
    train, test = tables()
    scaler = StandardScaler().fit(np.concatenate([train, test]) if sick else train)
    named = {"scaler": scaler, "train_table": train, "test_table": test}
    return {"model": perceptron(), **named}


@case("constant_features", "column 1", "warning")
def _(sick):
    train, test = tables()
    if sick:
        train[:, 1] = 14.62
        train[0, 1] += 1e-13
    return {"model": perceptron(), "train_table": train, "test_table": test}


@case("out_of_range", "column 2", "warning")
def _(sick):
    train, test = tables()
    if sick:
        test[:, 2] *= 255
    return {"model": perceptron(), "train_table": train, "test_table": test}
