"""What the page on the frontier runs: adaptive norms, residual networks without one, bytes moved.

Weights are drawn by a NumPy generator, and all is float64: the same on every machine, up to
rounding that short training does not blow up.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import normcourse
from normcourse.lab import data, text
from normcourse.lab.claims.record import Experiment
from normcourse.lab.models import Transformer, _linear
from normcourse.lab.training import descend, evaluate, fit, one_thread

__all__ = [
    "ARMS",
    "KINDS",
    "TASKS",
    "TEXT",
    "AdaptiveNorm",
    "DynamicTanh",
    "ManyTasks",
    "Traffic",
    "ZeroBlock",
    "fit_rates",
    "fit_tasks",
    "read_tasks",
    "spread",
    "text_losses",
    "trained_norms",
]

# ---- adaptive ----------------------------------------------------------------------------------

TASKS = {  # questions that one network answers about a digit
    "odd?": lambda y: y % 2 == 1,
    "at least 5?": lambda y: y >= 5,
    "a closed loop?": lambda y: np.isin(y, (0, 6, 8, 9)),
}


class AdaptiveNorm(torch.nn.Module):
    """Layer norm whose gamma and beta are rows of tables, looked up by a condition.

    Args:
        width: features of a sample.
        conditions: how many rows there are; 1 is plain layer norm.
    """

    def __init__(self, width, conditions):
        super().__init__()
        self.gamma = torch.nn.Parameter(torch.ones(conditions, width, dtype=torch.float64))
        self.beta = torch.nn.Parameter(torch.zeros(conditions, width, dtype=torch.float64))

    def forward(self, x, c):
        """y of x (N, width), with the condition c (N,) of each sample."""
        xhat = normcourse.layer_norm(x, x.shape[-1])
        c = c % len(self.gamma)
        return self.gamma[c] * xhat + self.beta[c]


class ManyTasks(torch.nn.Module):
    """Digits and a question in, the logit of yes out: linear layers, each but the last normed.

    Args:
        conditions: rows of each norm's gamma and beta: one for all questions, or one for each.
        widths: of the input and the hidden layers.
        rng: numpy Generator, or a seed for one.
    """

    def __init__(self, conditions, widths=(64, 32, 32), rng=0):
        super().__init__()
        rng = np.random.default_rng(rng)
        pairs = list(pairwise(widths))
        self.linear = torch.nn.ModuleList(_linear(*pair, rng) for pair in pairs)
        self.norms = torch.nn.ModuleList(AdaptiveNorm(width, conditions) for width in widths[1:])
        self.output = _linear(widths[-1], 1, rng)

    def forward(self, x, c):
        for linear, norm in zip(self.linear, self.norms, strict=True):
            x = torch.relu(norm(linear(x), c))
        return self.output(x)[:, 0]


def fit_tasks(model, tasks, parameters=None, steps=400, lr=0.3, batch_size=64, rng=0):
    """Gradient descent on random digits, each with a random one of the tasks (their numbers)."""
    split, rng = data.digits(), np.random.default_rng(rng)
    answers = np.array([ask(split.y_train) for ask in TASKS.values()])
    step_by = torch.optim.SGD(list(parameters or model.parameters()), lr)
    with one_thread():
        for _ in range(steps):
            rows = rng.choice(len(split.x_train), batch_size)
            c = rng.choice(tasks, batch_size)
            yes = torch.tensor(answers[c, rows]).double()
            logits = model(torch.tensor(split.x_train[rows]), torch.tensor(c))
            step_by.zero_grad()
            functional.binary_cross_entropy_with_logits(logits, yes).backward()
            step_by.step()
    return model


@torch.no_grad()
def read_tasks(model, tasks):
    """The share of the test digits about which the model is right, for each task."""
    split, x = data.digits(), torch.tensor(data.digits().x_test)
    asks = list(TASKS.values())
    yes = [model(x, torch.full((len(x),), task)).numpy() > 0 for task in tasks]
    return [float((y == asks[t](split.y_test)).mean()) for t, y in zip(tasks, yes, strict=True)]


class ZeroBlock(torch.nn.Module):
    """A residual block with adaLN-Zero: x + a(c) f((1 + g(c)) x̂ + b(c)), where a, g, b start at 0.

    Args:
        width: features of a sample and of its condition.
        rng: numpy Generator, or a seed for one.
    """

    def __init__(self, width, rng=0):
        super().__init__()
        rng = np.random.default_rng(rng)
        self.up, self.down = _linear(width, width, rng), _linear(width, width, rng)
        self.gate, self.scale, self.shift = (_linear(width, width, rng) for _ in range(3))
        for layer in (self.gate, self.scale, self.shift):
            torch.nn.init.zeros_(layer.weight)

    def forward(self, x, c):
        xhat = normcourse.layer_norm(x, x.shape[-1])
        y = (1 + self.scale(c)) * xhat + self.shift(c)
        return x + self.gate(c) * self.down(torch.relu(self.up(y)))


# ---- without normalization ---------------------------------------------------------------------

KINDS = ("none", "layer norm", "SkipInit", "Fixup", "NF", "Dynamic Tanh")
WIDTH = 32
ALPHA = 0.2  # of NF: how much of each branch is added
GAIN = (2 / (1 - 1 / np.pi)) ** 0.5  # of ReLU, where a unit's weights sum to 0


def start(kind, depth, rng=0):
    """Parameters {name: array} of a residual network on digits with ``depth`` blocks.

    A branch is W2 relu(W1 x), drawn so that it keeps the mean square of what it reads.
    """
    rng, D = np.random.default_rng(rng), WIDTH
    p = {
        "in": rng.normal(0, 64**-0.5, (64, D)),
        "W1": rng.normal(0, D**-0.5, (depth, D, D)),
        "W2": rng.normal(0, (2 / D) ** 0.5, (depth, D, D)),
        "out": rng.normal(0, D**-0.5, (D, 10)),
    }
    if kind in ("layer norm", "Dynamic Tanh"):
        p |= {"gamma": np.ones((depth + 1, 1, D)), "beta": np.zeros((depth + 1, 1, D))}
    if kind == "Dynamic Tanh":
        p["alpha"] = np.full((depth + 1, 1, 1), 0.5)
    if kind == "Fixup":
        p |= {"W1": p["W1"] * depth**-0.5, "W2": 0 * p["W2"], "out": 0 * p["out"]}
        p |= {"biases": np.zeros((depth, 3, 1, 1))}
    if kind in ("SkipInit", "Fixup", "NF"):
        p["gain"] = np.full((depth, 1, 1), float(kind == "Fixup"))
    if kind == "NF":
        p["gain"] += ALPHA
    return p


def expected(blocks):
    """The standard deviation of NF's stream that is expected behind so many blocks."""
    return (1 + blocks * ALPHA**2) ** 0.5


def forward(kind, p, x, seen=None):
    """Logits (rates, N, 10) of standardized digits x (N, 64); each p has rates as its first axis.

    ``seen`` is called with the stream before the first and behind each block.
    """
    x = x @ p["in"]
    if kind == "NF":  # scaled weight standardization: over the inputs of each unit
        W1, W2 = (normcourse.standardize(p[name], -2) * WIDTH**-0.5 for name in ("W1", "W2"))
        p = p | {"W1": W1, "W2": GAIN * W2}
    layers = {k: a.unbind(1) for k, a in p.items() if k not in ("in", "out")}
    depth = len(layers["W1"])
    for i in range(depth):
        if seen:
            seen(x)
        x = x + _branch(kind, {k: a[i] for k, a in layers.items()}, x, i)
    if seen:
        seen(x)
    return _norm(kind, {k: a[-1] for k, a in layers.items()}, x, depth) @ p["out"]


def _norm(kind, p, x, i):
    if kind == "layer norm":
        return p["gamma"] * normcourse.layer_norm(x, WIDTH) + p["beta"]
    if kind == "Dynamic Tanh":
        return p["gamma"] * torch.tanh(p["alpha"] * x) + p["beta"]
    return x / expected(i) if kind == "NF" else x


def _branch(kind, p, x, i):
    W1, W2, x = p["W1"], p["W2"], _norm(kind, p, x, i)
    if kind == "Fixup":
        one, two, three = p["biases"].unbind(1)
        return p["gain"] * (torch.relu((x + one) @ W1 + two) + three) @ W2
    return p.get("gain", 1.0) * (torch.relu(x @ W1) @ W2)


def _stacked(kind, depth, rates, rng):
    return {
        k: torch.tensor(np.stack([a] * rates), requires_grad=True)
        for k, a in start(kind, depth, rng).items()
    }


@cache
def spread(kind, depth, seed=0):
    """The variance of the stream at the start, before the first and behind each block."""
    found, x = [], torch.tensor(data.digits("standard").x_train[:512])
    x = x / x.std()
    p = _stacked(kind, depth, 1, seed)
    with torch.no_grad(), one_thread():
        forward(kind, p, x, lambda h: found.append((h**2).mean().item()))
    return tuple(np.array(found) / found[0])


@cache
def fit_rates(kind, depth, rates, clip=None, steps=60, batch_size=64, seed=0):
    """Test accuracy after gradient descent at each of the rates, (rates,).

    ``clip`` is the bound of :func:`adaptive_clip`; None clips nothing.
    """
    split, rng = data.digits("standard"), np.random.default_rng(seed)
    p = _stacked(kind, depth, len(rates), seed)

    def change(name, a, da):
        clipped = clip and name in ("in", "W1", "W2")
        return adaptive_clip(da, a, clip) if clipped else da

    with one_thread():
        for _ in range(steps):
            rows = rng.choice(len(split.x_train), batch_size, replace=False)
            logits = forward(kind, p, torch.tensor(split.x_train[rows]))
            y = torch.tensor(split.y_train[rows]).repeat(len(rates))
            loss = functional.cross_entropy(logits.flatten(0, 1), y, reduction="sum") / batch_size
            descend(p, loss, torch.tensor(rates).double(), change)
        with torch.no_grad():
            read = forward(kind, p, torch.tensor(split.x_test)).argmax(-1).numpy()
    return tuple((read == split.y_test).mean(1).tolist())


def adaptive_clip(gradient, weight, bound, floor=1e-3):
    """A unit's gradient, shortened to ``bound`` times the length of its weights (over axis -2)."""
    lengths = [(a**2).sum(-2, keepdim=True) ** 0.5 for a in (gradient, weight)]
    longest = bound * lengths[1].clip(min=floor)
    return gradient * (longest / lengths[0].clip(min=1e-12)).clip(max=1)


# ---- without a statistic: Dynamic Tanh ---------------------------------------------------------


class DynamicTanh(torch.nn.Module):
    """y = gamma tanh(alpha x) + beta, with one alpha for all features, 0.5 to start with."""

    def __init__(self, shape):
        super().__init__()
        self.alpha = torch.nn.Parameter(torch.tensor(0.5))
        self.weight = torch.nn.Parameter(torch.ones(shape))
        self.bias = torch.nn.Parameter(torch.zeros(shape))

    def forward(self, x):
        return self.weight * torch.tanh(self.alpha * x) + self.bias


ARMS = {"layer norm": "layer", "Dynamic Tanh": DynamicTanh, "none": None}
TEXT_RATES = 0.003, 0.01, 0.03


def read_text(seed, steps=200):
    """Test loss of small Pre-LN transformers, in nats: {"nats": {"arm, rate": ...}}."""
    split, found = text.windows(length=32, tests=64), {}
    for arm, norm in ARMS.items():
        for rate in TEXT_RATES:
            model = Transformer(norm, length=32, depth=4, rng=seed)
            fit(model, split, steps, rate, 16, seed, "adam")
            nats, _ = evaluate(model, split.x_test, split.y_test)
            found[f"{arm}, {rate:g}"] = nats
    return {"nats": found}


TEXT = Experiment(
    read_text,
    "Characters of Python's help texts, windows of 32; decoders of 4 blocks of width 32, the norms "
    "before each sublayer and behind the last one as named, float64; Adam, 200 steps of 16 "
    f"windows, rates {', '.join(f'{rate:g}' for rate in TEXT_RATES)}; loss on 64 windows.",
    tuple(range(610, 615)),
    study="frontier_text",
    reduced=lambda seed: read_text(seed, 1),
)
STUDIES = [TEXT]


def text_losses():
    """The stored losses at each arm's best rate, {arm: (seeds,)}, and these rates, {arm: rate}."""
    found = np.array(
        [
            [[run["nats"][f"{arm}, {rate:g}"] for rate in TEXT_RATES] for arm in ARMS]
            for run in TEXT.runs
        ]
    )
    best = found.mean(0).argmin(-1)
    losses = {arm: found[:, a, best[a]] for a, arm in enumerate(ARMS)}
    return losses, {arm: TEXT_RATES[best[a]] for a, arm in enumerate(ARMS)}


@cache
def trained_norms(steps=100, seed=0):
    """What the norms of a trained Pre-LN transformer read and give: {name: (x, x̂)}, tests flat."""
    split, found = text.windows(length=32, tests=64), {}
    model = Transformer("layer", length=32, depth=4, rng=seed)
    fit(model, split, steps, 3e-3, 16, seed, "adam")

    def hook(name, norm, inputs):
        x = inputs[0].detach()
        found[name] = x.flatten(0, 1), normcourse.layer_norm(x, x.shape[-1]).flatten(0, 1)

    for name, module in model.named_modules():
        if "norm" in name:
            module.register_forward_pre_hook(lambda m, i, name=name: hook(name, m, i))
    with torch.no_grad():
        model(torch.tensor(split.x_test))
    return {name: (x.numpy(), xhat.numpy()) for name, (x, xhat) in found.items()}


# ---- hardware ----------------------------------------------------------------------------------


SUMS = {"sum", "mean", "amax", "amin"}


class Traffic(TorchDispatchMode):
    """Counts what each operation of torch reads and writes, while it is entered.

    What only looks at the same memory otherwise, such as a reshape, moves nothing.

    Attributes:
        operations: (name, bytes read, bytes written) of each, in order.
        loops: how many loops are left if all is fused. Element by element all is done in the loop
            at hand; a sum must have ended before what needs it can begin. So it is the longest
            chain of sums, plus one if anything comes behind it.
    """

    def __init__(self):
        super().__init__()
        self.operations, self.loops = [], 0
        self._loop, self._kept = {}, []  # kept: no address is used twice

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        read, written = _memory((args, kwargs)), _memory(out)
        in_place, name = function._schema.is_mutable, function.overloadpacket.__name__
        moved = {at: size for at, size in written.items() if in_place or at not in read}
        if moved:
            self.operations.append((name, sum(read.values()), sum(moved.values())))
            loop = max((self._loop.get(at, 1) for at in read), default=1)
            self.loops = max(self.loops, loop)
            self._loop |= dict.fromkeys(moved, loop + (name in SUMS))
            self._kept.append(out)
        return out

    def blocks(self, x):
        """Bytes read and written, in units of the bytes of ``x``."""
        return sum(r + w for _, r, w in self.operations) / (x.numel() * x.element_size())


def _memory(tree):
    """{address: bytes} of the memory that its tensors look at."""
    tensors = [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
    return {t.untyped_storage().data_ptr(): t.numel() * t.element_size() for t in tensors}
