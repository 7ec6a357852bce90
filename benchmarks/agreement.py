"""How close every technique is to its counterpart elsewhere, and both to the exact result.

    python benchmarks/agreement.py

Distances are in units in the last place (ulp) of the largest exact value: the step from one float
to the next there. Inputs, weights and gradients are random with fixed seeds, and one thread sums in
one order: a machine prints the same table each time.
"""

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn import preprocessing
from torch.nn import functional as F

import normcourse.preprocessing
from normcourse.divisive_norm import (
    divisive_norm,
    divisive_norm_backward,
    local_response_norm,
    local_response_norm_backward,
    signed_divisive_norm,
    signed_divisive_norm_backward,
)
from normcourse.spectral_norm import spectral_norm, spectral_norm_backward
from normcourse.switchable_norm import switchable_norm, switchable_norm_backward
from normcourse.weight_norm import weight_norm, weight_norm_backward

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import techniques as t

EPS = 1e-5
IMAGES = (8, 6, 16, 16)


@dataclass
class Row:
    """A technique, its counterpart, and the formula in float64 where the counterpart is not it."""

    name: str
    counterpart: str
    ours: Callable  # (x, *parameters) -> y
    backward: Callable  # (dy, x, *parameters) -> gradients
    theirs: Callable  # (x, *parameters) -> y, differentiated by autograd
    exact: Callable | None = None
    parameters: Callable = field(default=lambda random: [])
    shape: tuple[int, ...] = IMAGES

    def inputs(self, kind, dtype):
        """(dy, x, *parameters); the tests' hard inputs say what ``kind`` may be."""
        generator = torch.Generator().manual_seed(0)
        random = lambda *shape: torch.randn(shape, generator=generator, dtype=dtype)  # noqa: E731
        x, dy, parameters = random(*self.shape), random(*self.shape), self.parameters(random)
        x = t.HARD[kind](x)
        if "parameters too" in kind:
            parameters = [p.to(x.dtype) for p in parameters]
        return dy.to(x.dtype), x, *parameters

    def compare(self, kind, dtype):
        """(ours, theirs, exact), each a value followed by gradients."""
        dy, *inputs = self.inputs(kind, dtype)
        gradients = self.backward(dy, *inputs)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        ours = self.ours(*inputs), *gradients
        formula = self.exact or self.theirs
        exact = t.autograd(formula, dy.double(), *(a.double() for a in inputs))[: len(ours)]
        try:
            theirs = t.autograd(self.theirs, dy, *inputs)[: len(ours)]  # without those of constants
        except NotImplementedError:  # in half precision, on a CPU
            theirs = [torch.full_like(a, torch.nan) for a in ours]
        return ours, [a.to(b.dtype) for a, b in zip(theirs, ours, strict=True)], exact


# ---- activations -------------------------------------------------------------------------


def activation(technique, setting, counterpart):
    def parameters(random):
        shape = t.parameter_shape(technique, IMAGES, setting)
        return [random(*shape) for _ in technique.parameters]

    def call(function, x, *parameters):
        return function(x, *setting, *parameters, EPS)

    return Row(
        technique.name,
        counterpart,
        partial(call, technique.forward),
        lambda dy, x, *p: technique.backward(dy, x, *setting, *p, EPS),
        partial(call, technique.torchs),
        lambda x, *p: t.reference(technique, x, setting, p, EPS),
        parameters,
    )


def mixed(x, mean_logits, var_logits, weight, bias):
    """The equations of switchable normalization with torch's own statistics."""
    v = x.flatten(2)
    pairs = [torch.var_mean(v, a, correction=0, keepdim=True) for a in (2, (1, 2), (0, 2))]
    w, p = (torch.softmax(logits, 0) for logits in (mean_logits, var_logits))
    mu = sum(share * mean for share, (_, mean) in zip(w, pairs, strict=True))
    sigma2 = sum(share * var for share, (var, _) in zip(p, pairs, strict=True))
    y = (v - mu) / torch.sqrt(sigma2 + EPS) * weight[:, None] + bias[:, None]
    return y.reshape(x.shape)


def pooled(x, weight):
    return torch.einsum("ij,njhw->nihw", weight.to(x.dtype), x)


def divided(x, weight, sigma):
    """Divisive normalization as it is written, with exponent 2."""
    power, sigma = F.relu(x) ** 2, sigma.reshape(-1, 1, 1)
    return power / (sigma**2 + pooled(power, weight))


def signed_divided(x, weight, bias):
    return x / torch.sqrt(bias.reshape(-1, 1, 1) + pooled(x**2, weight))


def spread(x, size=5, alpha=1e-2):
    """Local response normalization over slices of channels."""
    c = x.shape[1]
    sums = [(x[:, max(0, i - 2) : i + 3] ** 2).sum(1) for i in range(c)]
    return x / (1 + alpha / size * torch.stack(sums, 1)) ** 0.75


def pool(random):
    c = IMAGES[1]
    return [random(c, c).abs() / c, random(c).abs() + 0.5]


def singular_vectors(random):
    return [F.normalize(random(n), dim=0) for n in (64, 6 * 3 * 3)]


ROWS = [
    activation(t.BATCH, (), "F.batch_norm"),
    activation(t.LAYER, (IMAGES[1:],), "F.layer_norm"),
    activation(t.INSTANCE, (), "F.instance_norm"),
    activation(t.GROUP, (3,), "F.group_norm"),
    activation(t.RMS, (IMAGES[1:],), "F.rms_norm"),
    Row(
        "weight_norm",
        "torch._weight_norm",
        weight_norm,
        weight_norm_backward,
        lambda v, g: torch._weight_norm(v, g.to(v.dtype), 0),
        lambda v, g: g * v / (v * v).sum((1, 2, 3), keepdim=True) ** 0.5,
        lambda random: [random(64, 1, 1, 1)],
        (64, 6, 3, 3),
    ),
    Row(
        "spectral_norm",
        "W / (u @ W v)",
        spectral_norm,
        spectral_norm_backward,
        lambda w, u, v: w / torch.dot(u.to(w.dtype), w.flatten(1) @ v.to(w.dtype)),
        parameters=singular_vectors,
        shape=(64, 6, 3, 3),
    ),
    Row(
        "divisive_norm",
        "the formula",
        divisive_norm,
        lambda *inputs: divisive_norm_backward(*inputs)[:3],
        divided,
        parameters=pool,
    ),
    Row(
        "signed_divisive_norm",
        "the formula",
        signed_divisive_norm,
        signed_divisive_norm_backward,
        signed_divided,
        parameters=pool,
    ),
    Row(
        "local_response_norm",
        "F.local_response_norm",
        lambda x: local_response_norm(x, 5, 1e-2),
        lambda dy, x: local_response_norm_backward(dy, x, 5, 1e-2),
        lambda x: F.local_response_norm(x, 5, 1e-2),
        spread,
    ),
    Row(
        "switchable_norm",
        "the formula",
        switchable_norm,
        switchable_norm_backward,
        mixed,
        parameters=lambda random: [random(3), random(3), random(IMAGES[1]), random(IMAGES[1])],
    ),
]

# ---- scalers -----------------------------------------------------------------------------

FLOATS = ("float32", "float64")
TABLES = {"normal": 0, "offset 1e4": 1e4, "offset -1e6": -1e6}


def scaler_cells(name, kind, dtype):
    """[ours and theirs, ours and exact, theirs and exact], for transform and for its inverse."""
    x = (np.random.default_rng(0).normal(size=(200, 5)) * 3 + TABLES[kind]).astype(dtype)
    true = x.astype(np.longdouble)
    unit, origin = true.std(0), true.mean(0)
    if name == "MinMaxScaler":
        unit, origin = np.ptp(true, axis=0), true.min(0)
    scaled = ((true - origin) / unit).astype(dtype)
    libraries = normcourse.preprocessing, preprocessing
    scalers = [getattr(library, name)().fit(x) for library in libraries]
    parts = [
        ([s.transform(x) for s in scalers], (true - origin) / unit),
        ([s.inverse_transform(scaled) for s in scalers], scaled * unit + origin),
    ]
    for (ours, theirs), exact in parts:
        step = np.spacing(abs(exact).max().astype(dtype))
        pairs = ((ours, theirs), (ours, exact), (theirs, exact))
        yield [float(abs(a - b.astype(np.longdouble)).max() / step) for a, b in pairs]


# ---- tables ------------------------------------------------------------------------------


def ulps(results, others, exact):
    """The largest distance of several arrays, each in ulp; NaN where nothing is defined."""
    found = [0.0]
    for a, b, c in zip(results, others, exact, strict=True):
        info, largest = torch.finfo(a.dtype), c.abs().max().item()
        step = info.eps * max(2.0 ** np.floor(np.log2(max(largest, info.tiny))), info.tiny)
        found.append(t.distance(a, b.double()) / step if np.isfinite(largest) else np.nan)
    return float(np.max(found))


def relative(results, others, exact):
    triples = zip(results, others, exact, strict=True)
    return max(t.distance(a, b.double()) / c.abs().max().item() for a, b, c in triples)


def short(distance):
    """Beyond 1e6 no digit is right, or a few are wrong of what is exactly 0."""
    return "-" if np.isnan(distance) else ">1e6" if distance > 1e6 else f"{distance:.3g}"


PARTS = {"forward": slice(0, 1), "backward": slice(1, None)}


def agreement():
    print("Ours and its counterpart: the largest difference, in ulp and relative.\n")
    print(f"{'':32}{'float32':>18}{'float64':>20}   counterpart")
    for row in ROWS:
        triples = [row.compare("normal", dtype) for dtype in (torch.float32, torch.float64)]
        for part, pick in PARTS.items():
            cells = [[values[pick] for values in triple] for triple in triples]
            line = "".join(f"{ulps(*c):10.1f}{relative(*c):10.1e}" for c in cells)
            print(f"{row.name:22}{part:10}{line}   {row.counterpart}")
    for name in ("MinMaxScaler", "StandardScaler"):
        cells = [list(scaler_cells(name, "normal", d)) for d in FLOATS]
        for part, both in zip(("transform", "inverse"), zip(*cells, strict=True), strict=True):
            eps = [np.finfo(d).eps for d in FLOATS]
            line = "".join(f"{c[0]:10.1f}{c[0] * e:10.1e}" for c, e in zip(both, eps, strict=True))
            print(f"{name:22}{part:10}{line}   sklearn.preprocessing")


def hard_inputs():
    for part, pick in PARTS.items():
        for rows in (ROWS[:5], ROWS[5:]):
            print(f"\n{part.capitalize()} on hard inputs: ours | counterpart to exact, in ulp.")
            print(
                "(-: 0/0, or not implemented; >1e6: no digit is right, or not 0 where 0 is exact)\n"
            )
            print(f"{'':26}" + "".join(f"{row.name:>22}" for row in rows))
            for kind in t.HARD:
                cells = []
                for row in rows:
                    ours, theirs, exact = (v[pick] for v in row.compare(kind, torch.float32))
                    distances = ulps(ours, exact, exact), ulps(theirs, exact, exact)
                    cells.append(" | ".join(map(short, distances)))
                print(f"{kind:26}" + "".join(f"{cell:>22}" for cell in cells))
    print("\nScalers near an offset: ours | scikit-learn's to exact, in ulp.\n")
    print(f"{'':26}" + "".join(f"{f'{d}, {p}':>22}" for d in FLOATS for p in ("", "inverse")))
    for name in ("MinMaxScaler", "StandardScaler"):
        for kind in TABLES:
            cells = [c for d in FLOATS for c in scaler_cells(name, kind, d)]
            line = "".join(f"{f'{short(ours)} | {short(theirs)}':>22}" for _, ours, theirs in cells)
            print(f"{f'{name}, {kind}':26}{line}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")
    agreement()
    hard_inputs()
