"""The eleven techniques beside one another: what each does is tried, not told.

A technique is a module: a layer of the course or of torch, a convolution whose weights are
normalized, or a scaler that fits in training. What it is asked is a function of that module.
"""

import copy
import warnings
from functools import cache, partial

import numpy as np
import torch
from torch.nn import functional

from normcourse import nn, rescaling
from normcourse.lab import eleven, rates
from normcourse.lab.claims.record import Experiment
from normcourse.lab.claims.rms_norm import kept_bytes
from normcourse.lab.tables import Absent, Cell, Table
from normcourse.lab.training import quickest
from normcourse.palette import ACCENT
from normcourse.widgets.panels import number

__all__ = [
    "NAMES",
    "agree",
    "arm_name",
    "axes",
    "company",
    "company_table",
    "cost_table",
    "edge_table",
    "erased",
    "erased_table",
    "layer",
    "memory_table",
    "rates_table",
    "row",
]

SHAPE = 4, 4, 3, 3  # N, C, H, W of what is tried
LARGE = 32, 64, 16, 16  # of what is counted and timed
NAMES = tuple(t.name for t in eleven.TECHNIQUES)
DATA, ACTIVATIONS, WEIGHTS = (
    tuple(t.name for t in eleven.TECHNIQUES if t.what == what)
    for what in ("Data", "Activations", "Weights")
)


class Scaler(torch.nn.Module):
    """A scaler as a layer: in training it fits what it sees, in evaluation it remembers."""

    def __init__(self, statistics, scale):
        super().__init__()
        self.statistics, self.scale = statistics, scale

    def forward(self, x):
        X = x.flatten(1)
        if self.training:
            self.fitted = self.statistics(X)
        return self.scale(X, *self.fitted).reshape(x.shape)


def layer(name, library=nn, shape=SHAPE, groups=2):
    """The technique for blocks of this shape, or None where the library has none.

    Args:
        name: one of ``NAMES``.
        library: ``normcourse.nn`` or ``torch.nn``.
        shape: (N, C, H, W). A technique for weights comes in a 3 x 3 convolution, C to C.
        groups: of group norm.
    """
    _, C, H, W = shape
    if name in DATA and library is nn:
        if name == "Min-max scaling":
            return Scaler(rescaling.min_max_statistics, rescaling.min_max_scale)
        return Scaler(lambda X: rescaling.standard_statistics(X)[1:], rescaling.standard_scale)
    if name in WEIGHTS:
        wrap = getattr(library.utils.parametrizations, name.lower().replace(" ", "_"))
        return wrap(convolution(C))
    make = {
        "Batch norm": lambda: library.BatchNorm2d(C),
        "Layer norm": lambda: library.LayerNorm((C, H, W)),
        "Instance norm": lambda: library.InstanceNorm2d(C, affine=True),
        "Group norm": lambda: library.GroupNorm(groups, C),
        "RMSNorm": lambda: library.RMSNorm((C, H, W)),
        "Divisive norm": lambda: library.DivisiveNorm(C) if library is nn else None,
        "Switchable norm": lambda: library.SwitchableNorm2d(C) if library is nn else None,
    }
    return make[name]() if name in make else None


def convolution(channels):
    return torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)


def numbers(shape=SHAPE, seed=0):
    """Standard normal numbers, float64, the same in every run."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@cache
def warm(name):
    """The layer in float64 with fixed weights, after some batches in training."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = layer(name).double()
        if name in WEIGHTS:
            with torch.no_grad():
                module.parametrizations.weight[0].eval()
                module.weight = numbers(module.weight.shape, 1)
                module.parametrizations.weight[0].train()
    for seed in range(2, 22):
        module(numbers(seed=seed))
    return module


def called(name, x, training=True, weight=None):
    """What the layer makes of a batch; a layer that was asked before has not changed.

    ``weight``: of a convolution in front of it, or in which it is.
    """
    module = copy.deepcopy(warm(name)).train(training)
    if weight is not None and name in WEIGHTS:
        list(module.parametrizations.weight.parameters())[-1].data.copy_(weight)
    elif weight is not None:
        x = functional.conv2d(x, weight, padding=1)
    with torch.no_grad():
        return module(x)


def same(one, other):
    """Equal, up to ε and rounding."""
    return torch.allclose(one, other, rtol=1e-3, atol=1e-3)


# ---- who shares --------------------------------------------------------------------------------


def axes(name):
    """The axes that share a statistic, as text, found by who moves with a changed number."""
    technique = eleven.TECHNIQUES[NAMES.index(name)]
    names, shape, place = ("N", "C", "H, W"), eleven.SHAPE, (1, 1, 0)
    if name not in ACTIVATIONS:
        names = ("samples", "features") if name in DATA else ("units", "inputs")
        shape, place = eleven.TABLE, eleven.PICKED
    moved = eleven.shared(technique).reshape(shape)

    def block(free):
        return tuple(slice(None) if i in free else k for i, k in enumerate(place))

    full = [s for s in subsets(len(names)) if moved[block(s)].all()]
    largest = [s for s in full if not any(s < other for other in full)]
    partly = [f"some {names[i]}" for i in range(len(names)) if _partly(moved[block({i})])]
    texts = [", ".join([*partly, *(names[i] for i in sorted(s))]) for s in largest]
    return " + ".join(sorted(texts))


def subsets(n):
    return [frozenset(i for i in range(n) if bits >> i & 1) for bits in range(2**n)]


def _partly(moved):
    return 1 < moved.sum() < moved.size


def company(name, training):
    """Whether a sample comes out otherwise when the others of its batch are others."""
    x = numbers()
    others = torch.cat([x[:1], 3 * numbers(seed=1)[1:]])
    return not same(called(name, x, training)[0], called(name, others, training)[0])


def agree(name):
    """Whether training and evaluation make the same of one batch."""
    module, x = copy.deepcopy(warm(name)), numbers()
    with torch.no_grad():
        return same(module.train()(x), module.eval()(x))


# ---- what is erased ----------------------------------------------------------------------------

OVER = {
    "everything": (1, 1, 1, 1),
    "each sample": (SHAPE[0], 1, 1, 1),
    "each channel": (1, 4, 1, 1),
}
FRONT = {"all weights": (1, 1, 1, 1), "a unit's weights": (SHAPE[1], 1, 1, 1)}


def erased(name, over):
    """What the layer does not notice in its input: "scale", "shift", both or nothing.

    Each of ``over`` is multiplied by, or gets added, a number of its own.
    """
    shape = (1, *SHAPE[1:]) if name in DATA and over == "each channel" else OVER[over]
    x, factor = numbers(), 1 + 2 * torch.rand(shape, generator=_generator(), dtype=torch.float64)
    tried = {"scale": factor * x, "shift": x + factor}
    found = [how for how, other in tried.items() if same(called(name, x), called(name, other))]
    return " and ".join(found) or "nothing"


def erased_in_front(name, of):
    """Whether the layer does not notice that weights are larger: of its own, or in front of it."""
    W, x = numbers((4, 4, 3, 3), 1), numbers()
    factor = 1 + 2 * torch.rand(FRONT[of], generator=_generator(), dtype=torch.float64)
    return same(called(name, x, weight=W), called(name, x, weight=factor * W))


def _generator():
    return torch.Generator().manual_seed(0)


# ---- at the edges ------------------------------------------------------------------------------


def outcome(call):
    """What comes out: "error", "no number", the one number that all are, "±1", or "varies"."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = call()
    except ValueError:
        return "error"
    if not torch.isfinite(y).all():
        return "no number"
    if y.max() - y.min() < 1e-3:
        return number(round(float(y.mean()), 2), 2)
    return "±1" if (y.abs() - 1).abs().max() < 1e-3 else "varies"


def alone(name):
    """What becomes of one sample with one position, in training."""

    def call():
        module = layer(name, shape=(1, 4, 1, 1)).double()
        with torch.no_grad():
            return module(numbers((1, 4, 1, 1)))

    return outcome(call)


def constant_sample(name):
    """What becomes of a sample of threes."""
    x = numbers()
    x[0] = 3
    return outcome(lambda: called(name, x)[0])


def constant_channel(name):
    """What becomes of a channel that is 3 everywhere."""
    x = numbers()
    x[:, 0] = 3
    return outcome(lambda: called(name, x)[:, 0])


# ---- what it keeps -----------------------------------------------------------------------------


def kept(name, library=nn, shape=LARGE):
    """What autograd keeps for the backward pass, over the bytes of the input; None without a layer.

    Of a technique for weights, what it keeps beyond the same convolution without it.
    """
    module = layer(name, library, shape, GROUPS)
    if module is None or name in DATA:
        return None
    x = torch.zeros(shape, requires_grad=True)
    extra = kept_bytes(convolution(shape[1]), x) if name in WEIGHTS else 0
    return (kept_bytes(module, x) - extra) / (x.numel() * x.element_size())


def parameters(name, library=nn, shape=LARGE):
    """How many numbers are learned; of a technique for weights, beyond those of the convolution."""
    module = layer(name, library, shape, GROUPS)
    own = convolution(shape[1]).weight.numel() if name in WEIGHTS else 0
    return sum(p.numel() for p in module.parameters()) - own


def state(name, library=nn, shape=LARGE):
    """How many numbers are remembered and not learned: buffers, and what a scaler was fitted to."""
    module = layer(name, library, shape, GROUPS)
    if name in DATA:
        module(torch.zeros(2, *shape[1:]))
        return sum(fitted.numel() for fitted in module.fitted)
    return sum(b.numel() for b in module.buffers())


# ---- what it costs -----------------------------------------------------------------------------


def runs(name, library, shape):
    """(forward, both ways): functions without arguments to be timed; None where there is none."""
    module = layer(name, library, shape, GROUPS)
    if module is None:
        return None, None
    x = torch.randn(shape)
    if name in DATA:
        module(x)
        return partial(module.eval(), x), None
    x.requires_grad_()
    make = (lambda: module.weight) if name in WEIGHTS else (lambda: module(x))
    dy = torch.ones_like(make())
    return make, lambda: make().backward(dy)


def timing(seed, shape=LARGE, rounds=40):
    """Time of each technique over that of a copy of the block, {"forward", "both ways"}."""
    torch.manual_seed(seed)
    # A large array, freed: from now on glibc keeps memory, and does not ask for it in every call.
    torch.ones(30 << 20, dtype=torch.uint8)
    x = torch.randn(shape)
    found = {"forward": {}, "both ways": {}}
    for source, library in LIBRARIES.items():
        for name in NAMES:
            for way, call in zip(found, runs(name, library, shape), strict=True):
                if call is not None:
                    own, copied = quickest([call, x.clone], rounds)
                    found[way][f"{name}, {source}"] = float(f"{own / copied:.3g}")
    return found


GROUPS = 32
LIBRARIES = {"torch": torch.nn, "course": nn}
COST = Experiment(
    timing,
    f"One layer for blocks {LARGE} in float32, one thread, as multiples of the time of a copy of "
    "the block; of 40 turns the quickest. Weight and spectral norm: computing the weights of a "
    "3 x 3 convolution with 64 channels to 64. Scalers: transforming, already fitted.",
    tuple(range(500, 505)),
    study="compare_cost",
    reduced=lambda seed: timing(seed, (2, 64, 2, 2), 1),
    timing=True,
)
STUDIES = [COST]


def cost(name, source, way):
    """The stored multiple of a copy's time, median of the seeds; None if there is none."""
    found = [run[way].get(f"{name}, {source}") for run in COST.runs]
    return None if None in found else float(np.median(found))


# ---- the tables --------------------------------------------------------------------------------

YES = {True: "yes", False: "no"}
BEFORE = "it stands before the network, and has no gradient."
NO_TORCH = "torch has no such module."


def row(name, link=False):
    """The cell that names a technique, with its colour and a link to its chapter."""
    technique = eleven.TECHNIQUES[NAMES.index(name)]
    page = f"../{technique.page}.ipynb" if link else ""
    return Cell(name, float(NAMES.index(name)), page, ACCENT[technique.page.split("/")[1]])


def company_table():
    """Who shares a statistic, and whether the rest of the batch can be seen in a sample."""
    return Table(
        "Does the company change a sample?",
        ["Technique", "Acts on", "Shares over", "In training", "In evaluation", "Both agree"],
        [
            [
                row(t.name, link=True),
                t.what.lower(),
                axes(t.name),
                *(YES[company(t.name, training)] for training in (True, False)),
                YES[agree(t.name)],
            ]
            for t in eleven.TECHNIQUES
        ],
    )


def erased_table():
    """What a layer does not notice."""
    none = Absent("no layer with weights stands in front of it.")
    return Table(
        "What does it not notice?",
        ["Technique", *(f"In {over}" for over in OVER), *(f"Scale of {of}" for of in FRONT)],
        [
            [
                row(name),
                *(erased(name, over) for over in OVER),
                *(none if name in DATA else YES[erased_in_front(name, of)] for of in FRONT),
            ]
            for name in NAMES
        ],
    )


def edge_table():
    """What comes out where there is little to divide by."""
    none = Absent("its statistic is one of weights, so a sample is nothing special.")
    return Table(
        "What comes out at the edges?",
        ["Technique", "One sample, one position", "A sample of threes", "A channel of threes"],
        [
            [
                row(name),
                alone(name),
                *(
                    none if name in WEIGHTS else call(name)
                    for call in (constant_sample, constant_channel)
                ),
            ]
            for name in NAMES
        ],
    )


def memory_table():
    """What is kept: bytes for the backward pass, parameters, state."""

    def cell(name, library):
        if name in DATA:
            return Absent(BEFORE)
        found = kept(name, library)
        return Absent(NO_TORCH) if found is None else Cell(f"{found:.2f}", found)

    return Table(
        "What does it keep?",
        ["Technique", "Bytes, torch", "Bytes, course", "Parameters", "State"],
        [
            [
                row(name),
                *(cell(name, library) for library in LIBRARIES.values()),
                parameters(name),
                state(name),
            ]
            for name in NAMES
        ],
    )


def cost_table():
    """What it costs: stored timings, as multiples of a copy."""

    def cell(name, source, way):
        found = cost(name, source, way)
        if found is None:
            none = source == "torch" and name not in WEIGHTS
            return Absent(NO_TORCH if none else BEFORE)
        return Cell(f"{found:.0f}" if found >= 3 else f"{found:.1f}", found)

    return Table(
        "How many copies of the block does it take?",
        [
            "Technique",
            *(f"{way}, {source}" for source in LIBRARIES for way in ("Forward", "Both ways")),
        ],
        [
            [
                row(name),
                *(
                    cell(name, source, way)
                    for source in LIBRARIES
                    for way in ("forward", "both ways")
                ),
            ]
            for name in NAMES
        ],
    )


def arm_name(arm):
    """What the study calls "batch norm", as the tables call it."""
    return arm[0].upper() + arm[1:]


def rates_table():
    """Each technique at its best rate, and how many of the rates work, for each batch size."""
    found = rates.results()
    heads = [f"{what}, {size}" for what in ("Right", "Rates") for size in rates.SIZES]

    def cells(a):
        arm, name = rates.ARMS[a], arm_name(rates.ARMS[a])
        right = [round(100 * found.at_best(arm, size).mean()) for size in rates.SIZES]
        works = found.works[a]
        first = row(name) if name in NAMES else Cell("None", -1.0)
        return [first, *right, *works.sum(-1).tolist(), int(works.all(0).sum())]

    return Table(
        "How many % are right at the best rate, how many of eight rates work, by batch size?",
        ["Technique", *heads, "At all sizes"],
        [cells(a) for a in range(len(rates.ARMS))],
    )
