"""Claims of the chapter switchable_norm: where the shares go, whether that helps, what it costs."""

from functools import partial

import numpy as np

from normcourse.lab import data
from normcourse.lab.claims.record import Claim, Experiment, Figure

# ---- digits ------------------------------------------------------------------------------------

SIZES = (32, 8, 2)
RATES = (0.3, 1.0, 3.0)  # with batches of 32; others in proportion
RATE = 1.0  # at which the shares are looked at, the same for all batch sizes
CHANNELS = (16, 32, 32)  # the last convolution leaves 2 x 2 positions
LAYERS = tuple(f"layer {i + 1}" for i in range(len(CHANNELS)))
KINDS = ("means", "variances")
STATISTICS = ("instance", "layer", "batch")
SAMPLES = 3200  # that each network sees
LOOKS = 10
RIVALS = ("instance", "layer", "batch", "group")
LEARNED, EQUAL = "learned shares", "equal shares"


def quick_layer(channels):
    """A ``SwitchableNorm2d`` whose gradient autograd finds: small blocks take a third of the time.

    It is without what the course's own does for large means and half precision.
    """
    import torch

    from normcourse import nn
    from normcourse.nn.batch_norm import track

    class Quick(nn.SwitchableNorm2d):
        def forward(self, x):
            var, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
            means, variances = [mean], [var]
            for axis in (1, 0):
                means.append(mean.mean(axis, keepdim=True))
                between = (mean - means[-1]).square().mean(axis, keepdim=True)
                variances.append(var.mean(axis, keepdim=True) + between)
            if self.training:
                track(self, x)
            else:
                means[2], variances[2] = (
                    running.view(1, -1, 1, 1) for running in (self.running_mean, self.running_var)
                )
            w, v = self.mean_weight.softmax(0), self.var_weight.softmax(0)
            mean = w[0] * means[0] + w[1] * means[1] + w[2] * means[2]
            var = v[0] * variances[0] + v[1] * variances[1] + v[2] * variances[2]
            scale = self.weight.view(1, -1, 1, 1) * (var + self.eps).rsqrt()
            return (x - mean) * scale + self.bias.view(1, -1, 1, 1)

    return Quick(channels)


def network(norm, seed):
    """Three convolutions, each with a norm of that name, torch's own or the switchable one.

    The two kinds of switchable norm differ in whether the logits learn.
    """
    import torch

    from normcourse.lab.models import ConvolutionalNetwork

    def switchable(shape):
        layer = quick_layer(shape[0])
        for logits in (layer.mean_weight, layer.var_weight):
            logits.requires_grad_(norm == LEARNED)
        return layer

    layers = {
        "instance": lambda shape: torch.nn.InstanceNorm2d(shape[0], affine=True),
        "layer": torch.nn.LayerNorm,
        "batch": lambda shape: torch.nn.BatchNorm2d(shape[0]),
        "group": lambda shape: torch.nn.GroupNorm(4, shape[0]),
    }
    return ConvolutionalNetwork(layers.get(norm, switchable), CHANNELS, rng=seed)


def shares(model):
    """(layers, 2, 3): the shares of means and variances in each switchable norm of ``model``."""
    logits = [
        [layer.mean_weight.tolist(), layer.var_weight.tolist()]
        for layer in model.modules()
        if hasattr(layer, "mean_weight")
    ]
    power = np.exp(logits)
    return power / power.sum(-1, keepdims=True)


def trained(norm, size, rate, seed, samples=SAMPLES, looks=1):
    """(error on the test set, the shares at each look, the first before training)."""
    from normcourse.lab.training import fit

    rng, split = np.random.default_rng(seed), data.digits(seed=seed)
    model = network(norm, seed)
    seen = [shares(model)]
    for _ in range(looks):  # without momentum, parts of a training are the whole
        history = fit(model, split, samples // size // looks, rate * size / 32, size, rng)
        if history.diverged:
            return 0.9, seen  # as good as guessing
        seen.append(shares(model))
    return 1 - float(history.accuracy[-1]), seen


def digits(seed, sizes=SIZES, rates=RATES, samples=SAMPLES):
    """Errors of every norm at its best rate, for each batch size, and the path of the shares."""
    run = {"error": {}, "path": {}, "gain": {}}
    for size in sizes:
        learned, seen = trained(LEARNED, size, RATE, seed, samples, LOOKS)
        equal, _ = trained(EQUAL, size, RATE, seed, samples)
        known = {(LEARNED, RATE): learned}
        for norm in (*RIVALS, LEARNED):
            for rate in rates:
                if (norm, rate) not in known:
                    known[norm, rate], _ = trained(norm, size, rate, seed, samples)
            run["error"][f"{norm}, {size}"] = min(known[norm, rate] for rate in rates)
        run["gain"][f"batches of {size}"] = equal - learned
        run["path"] |= _named(size, seen)
    error = run["error"]
    worst = {norm: max(error[f"{norm}, {s}"] for s in sizes) for norm in (*RIVALS, LEARNED)}
    run["worst"] = worst
    run["safer"] = {f"{norm} norm": worst[norm] - worst[LEARNED] for norm in RIVALS}
    for kind in KINDS:
        large, small = (
            [run["path"][f"{s}, {layer}, {kind}, batch, {LOOKS}"] for layer in LAYERS]
            for s in (sizes[0], sizes[-1])
        )
        moved = np.subtract(large, small).tolist()
        run[f"{kind} moved"] = dict(zip(LAYERS, moved, strict=True))
    return run


def path(runs, size, layer, kind):
    """(runs, looks, 3): the shares in the order of ``STATISTICS``, from what was stored."""
    return np.array(
        [
            [
                [run["path"][f"{size}, {layer}, {kind}, {s}, {look}"] for s in STATISTICS]
                for look in range(LOOKS + 1)
            ]
            for run in runs
        ]
    )


def _named(size, seen):
    """{"size, layer, kind, statistic, look": share}."""
    return {
        f"{size}, {layer}, {kind}, {statistic}, {look}": round(float(seen[look][i, j, k]), 3)
        for i, layer in enumerate(LAYERS)
        for j, kind in enumerate(KINDS)
        for k, statistic in enumerate(STATISTICS)
        for look in range(len(seen))
    }


# ---- cost --------------------------------------------------------------------------------------

SHAPES = {"(32, 16, 8, 8)": (32, 16, 8, 8), "(32, 64, 16, 16)": (32, 64, 16, 16)}


def timing(seed, shapes=tuple(SHAPES), rounds=40):
    """Time of switchable norm, forward and backward, over that of each other layer."""
    import torch

    from normcourse import nn
    from normcourse.lab.training import quickest

    def both_ways(layer, x):
        layer(x).square().mean().backward()

    torch.manual_seed(seed)
    found = {"layer": {}, "torch": {}}
    for name in shapes:
        shape = SHAPES[name]
        x = torch.randn(shape, requires_grad=True)
        channels = shape[1]
        others = {
            f"instance norm, {name}": nn.InstanceNorm2d(channels, affine=True),
            f"layer norm, {name}": nn.LayerNorm(shape[1:]),
            f"batch norm, {name}": nn.BatchNorm2d(channels),
            f"group norm, {name}": nn.GroupNorm(4, channels),
        }
        theirs = torch.nn.BatchNorm2d(channels)
        layers = [nn.SwitchableNorm2d(channels), theirs, *others.values()]
        own, torchs, *times = quickest([partial(both_ways, m, x) for m in layers], rounds)
        found["torch"][name] = float(own / torchs)
        found["layer"] |= {k: float(own / t) for k, t in zip(others, times, strict=True)}
    return found


SEEDS = tuple(range(300, 312))
TIMES = tuple(range(300, 306))

DIGITS = Experiment(
    digits,
    f"Digits, convolutions of {CHANNELS} channels, the last of which leaves four positions, "
    f"averaged; batches of 32, 8 and 2, {SAMPLES} samples seen. Gradient descent without momentum; "
    f"each norm at the best of the rates {', '.join(map(str, RATES))} times batch size / 32, by "
    f"the test set, for all alike; shares, and equal against learned ones, at rate {RATE}. Rates "
    "from trials on seed 0.",
    SEEDS,
    study="switchable_norm_digits",
    reduced=lambda seed: digits(seed, rates=(RATE,), samples=32 * LOOKS),
)
COST = Experiment(
    timing,
    "One layer of the course, forward and backward, float32, one thread; of 40 turns the quickest. "
    "Extra cost: at least a tenth more.",
    TIMES,
    study="switchable_norm_time",
    reduced=lambda seed: timing(seed, rounds=2),
    timing=True,
)
LUO = {"Luo et al. 2018": "arXiv:1806.10779"}

MORE = (
    "The first run, on five seeds, left every case open, instance norm included. Seven seeds were "
    "added after that was seen, and the intervals do not account for it."
)
TRIAL = "The bound of 10 points was set after a trial on seed 0, where the shift was far larger."

CLAIMS = [
    Claim(
        "switchable_shifts",
        "The learned shares shift with the batch size.",
        DIGITS,
        tuple(
            Figure(
                f"batch's share of the {kind}, 32 minus 2",
                f"{kind} moved",
                unit="pts",
                above=0.1,
                when=f"the {kind} of {{}}",
            )
            for kind in KINDS
        ),
        LUO,
        TRIAL,
    ),
    Claim(
        "switchable_suits",
        "The learned shares suit the data better than equal ones.",
        DIGITS,
        (Figure("error with equal shares minus that with learned", "gain", unit="pts", above=0),),
        LUO,
        MORE,
    ),
    Claim(
        "switchable_robust",
        "Switchable norm is more robust to the batch size than any single norm.",
        DIGITS,
        (
            Figure("worst of three errors, minus switchable's", "safer", unit="pts", above=0),
            Figure("worst error over the batch sizes", "worst", unit="%"),
            Figure("error", "error", unit="%"),
        ),
        LUO,
        MORE,
    ),
    Claim(
        "switchable_costs",
        "Switchable norm costs more than a single norm.",
        COST,
        (
            Figure("time, switchable norm's over", "layer", log=True, above=1.1),
            Figure("time, switchable norm's over torch's batch norm", "torch", log=True),
        ),
        LUO,
    ),
]
