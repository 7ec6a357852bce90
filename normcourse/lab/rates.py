"""Each technique alone on one network and one set of data, at every learning rate and batch size.

The networks of all rates are trained at once: the course's functions, mapped over a first axis by
``torch.vmap``. The whole grid is kept, so that a page can show each at its own best rate and let
the reader look at the others.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

import normcourse
from normcourse.lab import data
from normcourse.lab.claims.record import Experiment

__all__ = ["ARMS", "GRID", "RATES", "SIZES", "Results", "results", "train"]

ARMS = (
    "none",
    "min-max scaling",
    "standardization",
    "batch norm",
    "layer norm",
    "instance norm",
    "group norm",
    "RMSNorm",
    "weight norm",
    "spectral norm",
    "divisive norm",
    "switchable norm",
)
SIZES = 32, 8, 2
RATES = 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0
CHANNELS = 8, 16, 16
SIDES = 8, 4, 2  # of the maps behind each convolution
GROUPS = 4
SAMPLES = 2048  # that each network sees
LOOKS = 10  # parts of the training, whose mean losses are kept
CEILING = 1e6  # a larger loss, or one that is no number, counts as this
CLOSE = 0.05  # a rate works where the accuracy is this close to that of the best rate
SEEDS = tuple(range(400, 405))


# ---- the network -------------------------------------------------------------------------------


def start(arm, seed):
    """(parameters, state) of a network, {name: array}: He's weights, and what the arm adds."""
    rng, inputs, p, s = np.random.default_rng(seed), 1, {}, {}
    for i, (C, side) in enumerate(zip(CHANNELS, SIDES, strict=True)):
        p[f"W{i}"] = W = rng.normal(0, (2 / (9 * inputs)) ** 0.5, (C, inputs, 3, 3))
        p[f"c{i}"] = np.zeros(C)
        shape = (C, side, side) if arm in ("layer norm", "RMSNorm") else (C,)
        if arm in AFFINE:
            p[f"gamma{i}"] = np.ones(shape)
        if arm in AFFINE and arm != "RMSNorm":
            p[f"beta{i}"] = np.zeros(shape)
        if arm in ("batch norm", "switchable norm"):
            s |= {f"mean{i}": np.zeros(C), f"var{i}": np.ones(C)}
        if arm == "switchable norm":
            p |= {f"means{i}": np.ones(3), f"variances{i}": np.ones(3)}
        if arm == "divisive norm":
            p |= {f"pool{i}": np.full((C, C), C**-0.5), f"sigma{i}": np.ones(C)}
        if arm == "weight norm":
            p[f"g{i}"] = normcourse.norm_except_dim(W)
        if arm == "spectral norm":
            apart = np.random.default_rng((seed, i))  # all arms draw the same weights
            u, v = apart.standard_normal(C), apart.standard_normal(9 * inputs)
            u, v = normcourse.power_iteration(normcourse.as_matrix(W), u, v, 15)
            s |= {f"u{i}": u, f"v{i}": v}
        inputs = C
    p |= {"V": rng.normal(0, inputs**-0.5, (10, inputs)), "d": np.zeros(10)}
    return p, s


AFFINE = ARMS[3:8] + ARMS[-1:]


def forward(arm, p, s, x, training):
    """(logits, the next state): three convolutions, averaged over positions, a linear layer."""
    from torch.nn import functional

    x, s = x.reshape(-1, 1, 8, 8), dict(s)
    for i in range(len(CHANNELS)):
        W = _weight(arm, p, s, i, training)
        x = functional.conv2d(x, W, p[f"c{i}"], 1 if i == 0 else 2, 1)
        x = _normalize(arm, p, s, i, x, training).clip(0)
    return x.mean((2, 3)) @ p["V"].T + p["d"], s


def _weight(arm, p, s, i, training):
    W = p[f"W{i}"]
    if arm == "weight norm":
        return normcourse.weight_norm(W, p[f"g{i}"])
    if arm != "spectral norm":
        return W
    if training:
        matrix = normcourse.as_matrix(W.detach())
        new = normcourse.power_iteration(matrix, s[f"u{i}"], s[f"v{i}"])
        s |= {f"u{i}": new[0], f"v{i}": new[1]}
    return normcourse.spectral_norm(W, s[f"u{i}"], s[f"v{i}"])


def _normalize(arm, p, s, i, x, training):
    gamma, beta = p.get(f"gamma{i}"), p.get(f"beta{i}")
    running = s.get(f"mean{i}"), s.get(f"var{i}")
    if arm in ("batch norm", "switchable norm"):
        logits = [p[f"{kind}{i}"] for kind in ("means", "variances")] if arm[0] == "s" else []
        if not training:
            at = getattr(normcourse, f"{arm.replace(' ', '_')}_inference")
            return at(x, *running, *logits, gamma, beta)
        new = normcourse.update_running_statistics(*running, x.detach())
        s |= {f"mean{i}": new[0], f"var{i}": new[1]}
        return getattr(normcourse, arm.replace(" ", "_"))(x, *logits, gamma, beta)
    if arm == "layer norm":
        return normcourse.layer_norm(x, gamma.shape, gamma, beta)
    if arm == "instance norm":
        return normcourse.instance_norm(x, gamma, beta)
    if arm == "group norm":
        return normcourse.group_norm(x, GROUPS, gamma, beta)
    if arm == "RMSNorm":
        return normcourse.rms_norm(x, gamma.shape, gamma)
    if arm == "divisive norm":  # squares: neither may be negative
        floor = 1e-6 + p[f"sigma{i}"] ** 2
        return normcourse.signed_divisive_norm(x, p[f"pool{i}"] ** 2, floor)
    return x


def scaled(arm, split):
    """The digits, grey levels 0 to 16; rescaled pixel by pixel where that is the technique."""
    if arm == "min-max scaling":
        fitted, scale = normcourse.min_max_statistics(split.x_train), normcourse.min_max_scale
    elif arm == "standardization":
        _, *fitted = normcourse.standard_statistics(split.x_train)
        scale = normcourse.standard_scale
    else:
        return split
    return split._replace(
        x_train=scale(split.x_train, *fitted), x_test=scale(split.x_test, *fitted)
    )


# ---- training ----------------------------------------------------------------------------------


def train(arm, size, seed, rates=RATES, samples=SAMPLES, looks=LOOKS, tests=500):
    """Gradient descent at all rates at once, from the same weights and on the same batches.

    Returns:
        (loss, accuracy): the mean training loss of each part of the training, (rates, looks), and
        the share of test digits that are read, (rates,).
    """
    import torch
    from torch.nn import functional

    from normcourse.lab.training import one_thread

    def tensor(a):
        return torch.tensor(np.asarray(a), dtype=torch.float32)

    def loss(p, s, x, y):
        logits, s = forward(arm, p, s, x, True)
        return functional.cross_entropy(logits, y), s

    split, rng = scaled(arm, data.digits(None, seed)), np.random.default_rng(seed)
    p, s = (
        {k: torch.stack([tensor(a)] * len(rates)) for k, a in group.items()}
        for group in start(arm, seed)
    )
    every, losses = torch.vmap(loss, (0, 0, None, None)), []
    with one_thread():
        for _ in range(samples // size):
            rows = rng.choice(len(split.x_train), size, replace=False)
            x, y = tensor(split.x_train[rows]), torch.tensor(split.y_train[rows])
            p = {k: a.detach().requires_grad_() for k, a in p.items()}
            values, s = every(p, s, x, y)
            gradients = torch.autograd.grad(values.sum(), list(p.values()))
            losses.append(values.detach().numpy())
            with torch.no_grad():
                for a, da in zip(p.values(), gradients, strict=True):
                    a -= tensor(rates).reshape(-1, *[1] * (a.ndim - 1)) * da
        with torch.no_grad():
            test = torch.vmap(lambda p, s, x: forward(arm, p, s, x, False)[0], (0, 0, None))
            answers = test(p, s, tensor(split.x_test[:tests])).argmax(-1).numpy()
    parts = np.array_split(np.nan_to_num(losses, nan=CEILING).clip(max=CEILING), looks)
    return np.array([part.mean(0) for part in parts]).T, (answers == split.y_test[:tests]).mean(1)


def run(seed, samples=SAMPLES, looks=LOOKS, tests=500):
    """All arms, batch sizes and rates: {"loss": {setting: [...]}, "accuracy": {setting: ...}}."""
    found = {"loss": {}, "accuracy": {}}
    for arm in ARMS:
        for size in SIZES:
            loss, accuracy = train(arm, size, seed, RATES, samples, looks, tests)
            for rate, curve, right in zip(RATES, loss, accuracy, strict=True):
                found["loss"][setting(arm, size, rate)] = [float(f"{v:.3g}") for v in curve]
                found["accuracy"][setting(arm, size, rate)] = float(right)
    return found


def setting(arm, size, rate):
    """The name of a run in the study."""
    return f"{arm}, {size}, {rate:g}"


GRID = Experiment(
    run,
    f"Digits, grey levels 0 to 16, convolutions of {CHANNELS} channels, the last of which leaves "
    f"four positions, averaged; float32. Each technique alone: behind each convolution, on its "
    f"weights, or on the pixels. Gradient descent without momentum, {SAMPLES} digits seen, batches "
    f"of {', '.join(map(str, SIZES))}, rates {', '.join(f'{rate:g}' for rate in RATES)}, accuracy "
    "on 500 test digits. Group norm with 4 groups, layer norm and RMSNorm over (C, H, W), "
    "divisive norm over all channels, spectral norm without a scale.",
    SEEDS,
    study="compare_rates",
    reduced=lambda seed: run(seed, SIZES[0], 1, 10),
)
STUDIES = [GRID]


# ---- what was found ----------------------------------------------------------------------------


class Results(NamedTuple):
    """The study as arrays: ``accuracy`` (seeds, arms, sizes, rates), ``loss`` (..., LOOKS)."""

    accuracy: np.ndarray
    loss: np.ndarray

    @property
    def mean(self):
        """(arms, sizes, rates): the accuracy, mean over the seeds."""
        return self.accuracy.mean(0)

    @property
    def best(self):
        """(arms, sizes): the number of the best rate."""
        return self.mean.argmax(-1)

    @property
    def works(self):
        """(arms, sizes, rates): whether the mean accuracy is close to that of the best rate."""
        return self.mean >= self.mean.max(-1, keepdims=True) - CLOSE

    @property
    def ended(self):
        """(arms, sizes, rates): in how many seeds the loss was no number in the end."""
        return (self.loss[..., -1] >= CEILING).sum(0)

    def at_best(self, arm, size):
        """(seeds,): the accuracies at the best rate."""
        a, s = ARMS.index(arm), SIZES.index(size)
        return self.accuracy[:, a, s, self.best[a, s]]


@cache
def results():
    """The stored study."""

    def array(key):
        return np.array(
            [
                [
                    [[run[key][setting(arm, size, rate)] for rate in RATES] for size in SIZES]
                    for arm in ARMS
                ]
                for run in GRID.runs
            ]
        )

    return Results(array("accuracy"), array("loss"))
