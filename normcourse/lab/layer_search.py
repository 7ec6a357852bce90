"""A small space of layers that normalize and activate, each tried on the digits.

After EvoNorm (Liu et al. 2020, arXiv:2004.02967), where such layers are expressions found by
evolution. Here the space is so small that all of it can be tried, and chance can be looked at.
"""

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np

from normcourse.lab import data
from normcourse.lab.claims.record import Experiment

__all__ = ["CANDIDATES", "KNOWN", "SEARCH", "Candidate", "chosen", "layer", "results", "train"]

OVER = {  # who shares -> the axes of (N, networks, G, C / G, H, W)
    "batch": (0, 4, 5),
    "instance": (4, 5),
    "group": (3, 4, 5),
    "layer": (2, 3, 4, 5),
}
ACTIVATIONS = ("", "relu", "swish", "tanh")
GROUPS, EPS = 4, 1e-5
CHANNELS = 8, 16
RATES = 0.03, 0.1, 0.3, 1.0, 3.0
SEEDS = tuple(range(600, 606))


class Candidate(NamedTuple):
    """act((x - mean) / deviation), or act(x - mean) / deviation; gamma and beta where norms end.

    Args:
        mean, deviation: who shares it, a name in :data:`OVER`, or "" for none.
        act: one of :data:`ACTIVATIONS`.
        first: whether the activation comes before the division.
    """

    mean: str
    deviation: str
    act: str
    first: bool = False

    def __str__(self):
        inner = f"x − μ_{self.mean}" if self.mean else "x"
        divide = f" / σ_{self.deviation}" if self.deviation else ""
        if self.first:
            return f"{self.act}({inner}){divide}"
        inner = f"({inner}){divide}" if self.mean and divide else f"{inner}{divide}"
        return f"{self.act}({inner})" if self.act else inner


CANDIDATES = tuple(
    Candidate(mean, deviation, act, first)
    for mean, deviation in product(("", *OVER), repeat=2)
    for act, first in product(ACTIVATIONS, (False, True))
    if not first or (act and deviation)
)
KNOWN = {
    "ReLU alone": Candidate("", "", "relu"),
    "BN, ReLU": Candidate("batch", "batch", "relu"),
    "GN, ReLU": Candidate("group", "group", "relu"),
    "as EvoNorm-S0": Candidate("", "group", "swish", True),
}


def layer(candidate, x, gamma, beta):
    """What a candidate makes of x (N, networks, C, H, W); gamma and beta are (networks, C, 1, 1).

    sigma is always the deviation of x from its own mean. Batch statistics are those of ``x``, in
    the test, too.
    """
    grouped = x.unflatten(2, (GROUPS, -1))
    y = grouped
    if candidate.mean:
        y = y - grouped.mean(OVER[candidate.mean], keepdim=True)
    if candidate.first:
        y = _activate(candidate.act, y)
    if candidate.deviation:
        axes = OVER[candidate.deviation]
        variance = grouped.var(axes, correction=0, keepdim=True)
        y = y / (variance + EPS) ** 0.5
    y = y.flatten(2, 3) * gamma + beta
    return y if candidate.first else _activate(candidate.act, y)


def _activate(act, x):
    return {"relu": x.relu, "tanh": x.tanh, "swish": lambda: x * x.sigmoid()}.get(act, lambda: x)()


def start(networks, seed):
    """Parameters of two convolutions and a linear layer, the same for each of the networks."""
    rng, inputs, p = np.random.default_rng(seed), 1, {}
    for i, C in enumerate(CHANNELS):
        p[f"W{i}"] = rng.normal(0, (2 / (9 * inputs)) ** 0.5, (C, inputs, 3, 3))
        p |= {f"gamma{i}": np.ones((C, 1, 1)), f"beta{i}": np.zeros((C, 1, 1))}
        inputs = C
    p |= {"V": rng.normal(0, (16 * inputs) ** -0.5, (16 * inputs, 10)), "d": np.zeros((1, 10))}
    return {k: np.stack([a] * networks) for k, a in p.items()}


def forward(candidate, p, x):
    """Logits (networks, N, 10) of digits x (N, 64)."""
    from torch.nn import functional

    networks = len(p["V"])
    x = x.reshape(-1, 1, 1, 8, 8).expand(-1, networks, 1, 8, 8)
    for i in range(len(CHANNELS)):
        W = p[f"W{i}"].flatten(0, 1)
        x = functional.conv2d(x.flatten(1, 2), W, None, 1 + i, 1, groups=networks)
        x = layer(candidate, x.unflatten(1, (networks, -1)), p[f"gamma{i}"], p[f"beta{i}"])
    return x.flatten(2).transpose(0, 1) @ p["V"] + p["d"]


def train(candidate, seed, steps=48, batch_size=32, tests=500):
    """(validation, test) accuracy at the rate that is best on 400 digits kept for validation."""
    import torch
    from torch.nn import functional

    from normcourse.lab.training import descend, one_thread

    split, rng = data.digits(seed=seed), np.random.default_rng(seed)
    kept, rates = slice(0, 400), torch.tensor(RATES).double()
    x_train, y_train = split.x_train[400:], split.y_train[400:]
    p = {k: torch.tensor(a, requires_grad=True) for k, a in start(len(RATES), seed).items()}
    with one_thread():
        for _ in range(steps):
            rows = rng.choice(len(x_train), batch_size, replace=False)
            logits = forward(candidate, p, torch.tensor(x_train[rows])).flatten(0, 1)
            y = torch.tensor(y_train[rows]).repeat(len(RATES))
            loss = functional.cross_entropy(logits, y, reduction="sum") / batch_size
            descend(p, loss, rates)

        def right(x, y):
            with torch.no_grad():
                return (forward(candidate, p, torch.tensor(x)).argmax(-1).numpy() == y).mean(1)

        validation = right(split.x_train[kept], split.y_train[kept])
        test = right(split.x_test[:tests], split.y_test[:tests])
    best = validation.argmax()
    return float(validation[best]), float(test[best])


def run(seed, candidates=CANDIDATES, **options):
    """All candidates: {"validation": {formula: accuracy}, "test": {formula: accuracy}}."""
    found = {str(c): train(c, seed, **options) for c in candidates}
    return {
        "validation": {name: both[0] for name, both in found.items()},
        "test": {name: both[1] for name, both in found.items()},
    }


SEARCH = Experiment(
    run,
    f"Digits, two convolutions of {CHANNELS} channels, each with the candidate behind it, and a "
    f"linear layer; float64, gradient descent, 48 batches of 32, the best of the rates "
    f"{', '.join(f'{rate:g}' for rate in RATES)} on 400 digits for validation; 500 to test. "
    f"{len(CANDIDATES)} candidates, group statistics with {GROUPS} groups.",
    SEEDS,
    study="frontier_search",
    reduced=lambda seed: run(seed, steps=1, batch_size=4, tests=10),
)
STUDIES = [SEARCH]


@cache
def results():
    """(validation, test), each (seeds, candidates): accuracies of the stored study."""
    return tuple(
        np.array([[run[key][str(c)] for c in CANDIDATES] for run in SEARCH.runs])
        for key in ("validation", "test")
    )


def chosen(size, draws=2000, rng=0):
    """What a search of ``size`` random candidates with one seed finds, mean of many searches.

    Returns:
        (promised, kept): the validation accuracy by which the best was chosen, and its mean test
        accuracy in the other seeds.
    """
    validation, test = results()
    rng, promised, kept = np.random.default_rng(rng), [], []
    for draw in range(draws):
        seed = draw % len(validation)
        tried = rng.permutation(len(CANDIDATES))[:size]
        best = tried[validation[seed, tried].argmax()]
        promised.append(validation[seed, best])
        kept.append(np.delete(test[:, best], seed).mean())
    return float(np.mean(promised)), float(np.mean(kept))
