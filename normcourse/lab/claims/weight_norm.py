"""Claims of the chapter weight_norm: how fast, at what price, and how well in the end."""

from functools import partial
from itertools import pairwise

import numpy as np

from normcourse.lab import data
from normcourse.lab.claims.record import Claim, Experiment, Figure
from normcourse.lab.network import Linear, Network, train
from normcourse.weight_norm import weight_norm, weight_norm_backward

SEEDS = tuple(range(100, 106))
WIDTH, TARGET = 32, 0.9
STARTING = 256  # digits that the start of weight norm is computed from


# ---- networks ----------------------------------------------------------------------------------


class WeightNormLinear(Linear):
    """x W + b with each output's column of W written as a length g and a direction v.

    v is drawn from N(0, 0.05^2), as in the paper. g and b follow from the first x it sees, which
    leaves with a mean of 0 and a variance of 1.
    """

    def __init__(self, inputs, outputs, rng):
        v = rng.normal(0, 0.05, (inputs, outputs))
        self.parameters = [v, np.ones((1, outputs)), np.zeros(outputs)]
        self.seen = False

    def forward(self, x, training):
        v, g, b = self.parameters
        if not self.seen:
            t = x @ weight_norm(v, g, 1)
            g /= _spread(t)
            b -= t.mean(0) * g[0]
            self.seen = True
        self.x = x
        return x @ weight_norm(v, g, 1) + b

    def backward(self, dy):
        v, g, _ = self.parameters
        dv, dg = weight_norm_backward(self.x.T @ dy, v, g, 1)
        self.gradients = [dv, dg, dy.sum(0)]
        return dy @ weight_norm(v, g, 1).T


class InitializedLinear(Linear):
    """x W + b that starts where weight norm does, and learns W as it is."""

    def __init__(self, inputs, outputs, rng):
        self.start = WeightNormLinear(inputs, outputs, rng)
        self.parameters = None

    def forward(self, x, training):
        if self.parameters is None:
            self.start.forward(x, training)
            v, g, b = self.start.parameters
            self.parameters = [weight_norm(v, g, 1), b]
        return super().forward(x, training)


def _spread(t):
    """Standard deviation of each column; 1 where it is 0, of a unit that is always silent."""
    spread = t.std(0)
    return spread + (spread == 0)


ARMS = {  # name -> linear layers, None for those from He's weights; and learning rates to try
    "none": (None, (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)),
    "the same start": (InitializedLinear, (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)),
    "weight norm": (WeightNormLinear, (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)),
    "batch norm": (None, (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)),
}


def network(arm, depth, seed, x):
    """A ReLU network with ``depth`` hidden layers; its start may depend on some of ``x``."""
    sizes = (64, *[WIDTH] * depth, 10)
    net = Network(sizes, "batch" if arm == "batch norm" else None, rng=seed)
    if linear := ARMS[arm][0]:
        rng, pairs = np.random.default_rng(seed), pairwise(sizes)
        net.layers = [
            linear(*next(pairs), rng) if type(layer) is Linear else layer for layer in net.layers
        ]
        net.forward(x[:STARTING])
    return net


# ---- how fast ----------------------------------------------------------------------------------


def best_steps(arm, depth, batch, seed, rates, limit):
    """Steps to 90 % of the test set at the best rate; ``limit`` where none gets there."""
    split, best = data.digits(seed=seed), limit
    for lr in rates or ARMS[arm][1]:
        net = network(arm, depth, seed, split.x_train)
        # Who is slower than the best so far need not arrive.
        history = train(net, split, best, lr, batch, seed, every=5, stop_at=TARGET)
        best = int(min(history.steps_to(TARGET), best))
    return best


CASES = ((3, 64), (3, 8), (10, 64))  # hidden layers, batch


def speed(seed, rates=(), limit=400):
    """Steps of the others over those of weight norm, each at its own best rate."""
    steps = {"none": {}, "the same start": {}, "weight norm": {}, "batch norm": {}}
    for arm, found in steps.items():
        for depth, batch in CASES:
            name = f"{depth} layers, batches of {batch}"
            found[name] = best_steps(arm, depth, batch, seed, rates, limit)

    def over_weight_norm(arm):
        return {case: n / steps["weight norm"][case] for case, n in steps[arm].items()}

    return {
        "none": over_weight_norm("none"),
        "same start": over_weight_norm("the same start"),
        "batch norm": over_weight_norm("batch norm"),
        "steps": {f"{arm}, {case}": n for arm, found in steps.items() for case, n in found.items()},
    }


# ---- how well in the end -----------------------------------------------------------------------


def errors_in_the_end(arm, seed, rates, steps):
    """Test errors, of 500, at the rate with the best accuracy on 300 held out of the training."""
    split = data.digits(seed=seed)
    x, y = split.x_train, split.y_train
    held = split._replace(x_train=x[300:], y_train=y[300:], x_test=x[:300], y_test=y[:300])
    found = []
    for lr in rates or ARMS[arm][1]:
        net = network(arm, 3, seed, held.x_train)
        history = train(net, held, steps, lr, rng=seed, every=steps)
        if not history.diverged:
            wrong = 500 * (1 - net.accuracy(split.x_test, split.y_test))
            found.append((history.accuracy[-1], -lr, round(wrong)))
    return max(found)[-1]  # of equal ones the smaller rate


def quality(seed, rates=(), steps=1500):
    """Test errors of weight norm less those of batch norm and of none."""
    errors = {
        arm: errors_in_the_end(arm, seed, rates, steps)
        for arm in ("none", "weight norm", "batch norm")
    }
    more = {f"than {arm}": errors["weight norm"] - errors[arm] for arm in ("batch norm", "none")}
    return {"more": more, "errors": errors}


# ---- at what price -----------------------------------------------------------------------------

SHAPES = {
    "linear, batches of 8": (8, 512),
    "linear, batches of 1024": (1024, 512),
    "convolution, batches of 2": (2, 64, 16, 16),
    "convolution, batches of 32": (32, 64, 16, 16),
}


def _modules(shape):
    """The same layer as it is, with weight norm and with batch norm behind it."""
    import torch
    from torch.nn.utils.parametrizations import weight_norm as parametrized

    channels = shape[1]
    if len(shape) == 2:

        def layer():
            return torch.nn.Linear(channels, channels)

        norm = torch.nn.BatchNorm1d(channels)
    else:

        def layer():
            return torch.nn.Conv2d(channels, channels, 3, padding=1)

        norm = torch.nn.BatchNorm2d(channels)
    return {
        "none": layer(),
        "weight norm": parametrized(layer()),
        "batch norm": torch.nn.Sequential(layer(), norm),
    }


def cost(seed, shapes=SHAPES, rounds=60):
    """Time forward and backward: the least of many turns, in turns."""
    import torch

    from normcourse.lab.training import quickest

    def both_ways(module, x):
        module(x).backward(x.detach())

    rng, ratio, over_none = np.random.default_rng(seed), {}, {}
    for name, shape in shapes.items():
        x = torch.tensor(rng.standard_normal(shape, np.float32), requires_grad=True)
        modules = _modules(shape)
        seconds = quickest([partial(both_ways, m, x) for m in modules.values()], rounds)
        least = dict(zip(modules, seconds, strict=True))
        ratio[name] = float(least["weight norm"] / least["batch norm"])
        for arm in ("weight norm", "batch norm"):
            over_none[f"{arm}, {name}"] = float(least[arm] / least["none"])
    return {"ratio": ratio, "over none": over_none}


PAPER = {"Salimans & Kingma 2016": "arXiv:1602.07868"}
NETWORKS = (
    "Digits, hidden layers of 32, ReLU, gradient descent, each at its own best of six learning "
    "rates in factors of 3. Weight norm starts as in its paper, g and b computed from 256 digits; "
    "batch norm and none start from He's weights"
)
SPEED = Experiment(
    speed,
    f"{NETWORKS}, and for comparison none from the same start as weight norm. Steps until 90 % of "
    "the test set are right, of at most 400.",
    SEEDS,
    study="weight_norm_speed",
    reduced=lambda seed: speed(seed, (0.1,), 10),
)

CLAIMS = [
    Claim(
        "wn_faster_than_none",
        "Weight normalization converges faster than no normalization.",
        SPEED,
        (
            Figure("steps, none over weight norm", "none", log=True, above=1),
            Figure("steps, none from the same start over weight norm", "same start", log=True),
            Figure("steps at the best rate", "steps", log=True),
        ),
        PAPER,
    ),
    Claim(
        "wn_faster_than_bn",
        "It sometimes converges faster than batch normalization.",
        SPEED,
        (Figure("steps, batch norm over weight norm", "batch norm", log=True, above=1),),
        PAPER,
    ),
    Claim(
        "wn_costs_less",
        "Weight normalization costs less than batch normalization.",
        Experiment(
            cost,
            "Float32, torch's own modules, one thread, forward and backward of a layer with 512 "
            "features, or 64 channels of 16 x 16 and 3 x 3 weights; of 60 turns the quickest. Of "
            "one kind of processor.",
            SEEDS,
            study="weight_norm_cost",
            reduced=lambda seed: cost(seed, {n: (2, 4, *s[2:]) for n, s in SHAPES.items()}, 2),
            timing=True,
        ),
        (
            Figure("time, weight norm over batch norm", "ratio", log=True, below=1),
            Figure("time, over the layer alone", "over none", log=True),
        ),
        PAPER,
    ),
    Claim(
        "wn_worse_in_the_end",
        "Weight normalization can end in worse solutions.",
        Experiment(
            quality,
            f"{NETWORKS}. Three hidden layers, batches of 64, 1500 steps; the rate is that with "
            "the best accuracy on 300 digits held out of the training set.",
            SEEDS,
            study="weight_norm_quality",
            reduced=lambda seed: quality(seed, (0.1,), 5),
        ),
        (
            Figure(
                "errors among 500 test digits, weight norm minus the other",
                "more",
                above=0,
                when="more errors {}",
            ),
            Figure("errors among 500 test digits", "errors"),
        ),
        {"Gitman & Ginsburg 2017": "arXiv:1709.08145"},
    ),
]
