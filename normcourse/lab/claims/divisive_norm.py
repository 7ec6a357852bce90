"""Claims of the chapter divisive_norm: filters on photographs, digits, and the cost of a pool."""

from functools import cache, partial

import numpy as np

from normcourse.divisive_norm import divisive_norm, signed_divisive_norm
from normcourse.lab import data
from normcourse.lab.claims.record import Claim, Experiment, Figure
from normcourse.lab.filters import oriented_filters

# ---- filters on photographs --------------------------------------------------------------------

PHOTOGRAPHS = ("temple", "flower")
ANGLES, WAVELENGTHS, SIZE = 36, (6, 10), 25  # steps of 5 degrees; pixels
QUARTERS = ANGLES // 4  # the filters of a pool are 45 degrees apart
HALF = 0.2  # sigma, in pooled drives of a typical patch at full contrast
CONTRASTS = np.geomspace(0.01, 100, 161)
FREE, ALONE, POOLED = "no pool", "own pool", "all in the pool"


@cache
def answers(photograph):
    """(patches, wavelengths, angles): what the filters answer to patches with some contrast."""
    image = data.photographs()[PHOTOGRAPHS.index(photograph)].mean(2)
    windows = np.lib.stride_tricks.sliding_window_view(image, (SIZE, SIZE))[::9, ::9]
    windows = windows.reshape(-1, SIZE, SIZE)
    contrast = windows.std((1, 2))
    windows = windows[contrast >= np.median(contrast)]
    kernels = oriented_filters(WAVELENGTHS, ANGLES, SIZE).reshape(-1, SIZE * SIZE)
    found = windows.reshape(-1, SIZE * SIZE) @ kernels.T
    return found.reshape(-1, ANGLES, len(WAVELENGTHS)).swapaxes(1, 2)


def turned(answer):
    """(turns, wavelengths, 4): answers to a patch that is turned by -90 to 90 degrees.

    Turning the patch is turning the filters the other way. The first of the four filters is the
    one that the patch as it is drives most; half a turn changes the sign of an answer.
    """
    wave, best = np.unravel_index(abs(answer).argmax(), answer.shape)
    answer = answer * np.sign(answer[wave, best])
    circle = np.concatenate([answer, -answer], axis=1)
    turns = np.arange(-ANGLES // 2, ANGLES // 2 + 1)[:, None]
    places = (best + QUARTERS * np.arange(4) - turns) % (2 * ANGLES)
    return np.roll(circle, -wave, axis=0)[:, places].swapaxes(0, 1)


def drives(answer):
    """The filters and their negatives, each rectified later: (samples, channels)."""
    flat = answer.reshape(len(answer), -1)
    return np.concatenate([flat, -flat], axis=1)


def response(drive, sigma, pool):
    """What the first filter responds, with n = 2."""
    channels = drive.shape[1]
    weight = np.eye(channels) if pool == ALONE else np.ones((channels, channels))
    if pool == FREE:
        return np.maximum(drive[:, 0], 0) ** 2
    return divisive_norm(drive, weight, sigma)[:, 0]


def width(curve):
    """Full width at half height of a curve over turns, in degrees; 180 if it does not fall."""
    half, peak = curve.max() / 2, int(curve.argmax())
    ends = []
    for side in (curve[peak:], curve[peak::-1]):
        below = np.flatnonzero(side < half)
        if not len(below):
            return 180.0
        i = below[0]
        ends.append(i - 1 + (side[i - 1] - half) / (side[i - 1] - side[i]))
    return 180 / ANGLES * sum(ends)


def gain_control(seed, patches=60):
    """Contrast response, masking and width of tuning of filters on patches of each photograph."""
    rng = np.random.default_rng(seed)
    found = {key: {} for key in ("half", "doubling", "mask", "width", "share")}
    for photograph in PHOTOGRAPHS:
        every = answers(photograph)
        energy = (drives(every.reshape(len(every), -1)) ** 2).sum(1) / 2
        energy *= 4 / ANGLES  # of the 36 angles a pool has 4
        sigma = HALF * np.median(energy) ** 0.5
        tuned = [k for k in rng.permutation(len(every)) if _has_peak(every[k])][:patches]
        found["share"][photograph] = float(np.mean([_has_peak(a) for a in every]))
        measured = [_unit(turned(every[k]), sigma) for k in tuned]
        for key in ("half", "doubling", "mask", "width"):
            for pool in measured[0][key]:
                values = [one[key][pool] for one in measured]
                name = f"{photograph}, {pool}" if pool else photograph
                found[key][name] = float(np.exp(np.mean(np.log(values))))
    found["width"] = {row: ratio - 1 for row, ratio in found["width"].items()}
    for key in ("doubling", "mask", "width"):
        rows = found.pop(key)
        found[key] = {p: rows[f"{p}, {POOLED}"] for p in PHOTOGRAPHS}
        found[f"{key}, others"] = {r: v for r, v in rows.items() if not r.endswith(POOLED)}
    return found


def _has_peak(answer):
    """The patch drives one orientation so much more than those across that a width exists."""
    curve = np.maximum(turned(answer)[:, 0, 0], 0) ** 2
    return curve[[0, -1]].max() < 0.1 * curve.max()


def _unit(answer, sigma):
    """The four numbers of the unit that a patch drives most."""
    best = drives(answer[ANGLES // 2 : ANGLES // 2 + 1])
    across = drives(answer[:1])  # the patch turned by 90 degrees
    every = drives(answer)
    found = {"half": {}, "doubling": {}, "mask": {}, "width": {}}
    course = response(CONTRASTS[:, None] * best, sigma, POOLED)
    at_half = np.interp(course[-1] / 2, course, CONTRASTS)
    pooled = (np.maximum(best, 0) ** 2).sum() ** 0.5
    found["half"][""] = at_half * pooled / sigma
    for pool in (POOLED, ALONE, FREE):
        plain, twice, masked = (
            response(d, sigma, pool)[0] for d in (0.5 * best, best, 0.5 * (best + across))
        )
        found["doubling"][pool] = twice / plain
        found["mask"][pool] = max(masked, 1e-9) / plain
        low, high = (width(response(c * every, sigma, pool)) for c in (0.05, 1.0))
        found["width"][pool] = high / low
    return found


# ---- digits ------------------------------------------------------------------------------------

SEEDS = tuple(range(300, 310))
SIZES = (200, 997)
RATES = (0.01, 0.03, 0.1, 0.3)
SIGMA = 0.1  # of the norm at its start; on seed 0 no worse than 0.01 and 1
CHANNELS = (8, 16)
STEPS = 200


def learned(sigma=SIGMA):
    """shape -> divisive norm that learns pool and sigma."""
    from normcourse.nn import DivisiveNorm

    return lambda shape: DivisiveNorm(shape[0], sigma=sigma)


def fixed(pool, sigma=SIGMA):
    """shape -> divisive norm with this pool, "own", "band" or "all", and nothing to learn."""
    import torch

    class Fixed(torch.nn.Module):
        def __init__(self, channels):
            super().__init__()
            apart = abs(torch.arange(channels)[:, None] - torch.arange(channels))
            weight = (apart <= {"own": 0, "band": 1, "all": channels}[pool]).double()
            self.register_buffer("weight", weight / weight.sum(1, keepdim=True))

        def forward(self, x):
            return signed_divisive_norm(x, self.weight, sigma**2)

    return lambda shape: Fixed(shape[0])


def digits(seed, steps=STEPS, rates=RATES):
    """Test accuracy of divisive norm less that of none and of batch norm, each at its best rate."""
    from normcourse.lab.training import evaluate

    split = data.digits(seed=seed)
    accuracy, dim = {}, {}
    for size in SIZES:
        for name, norm in (("none", None), ("batch", "batch"), ("divisive", learned())):
            model = fit_best(norm, split, size, seed, steps, rates)
            row = f"{name} norm, {size} digits" if norm else f"none, {size} digits"
            accuracy[row] = evaluate(model, split.x_test, split.y_test)[1]
            dim[row] = evaluate(model, 0.25 * split.x_test, split.y_test)[1]
    more = {}
    for other in ("none", "batch norm"):
        for size in SIZES:
            case = f"than {other}, {size} digits"
            more[case] = (
                accuracy[f"divisive norm, {size} digits"] - accuracy[f"{other}, {size} digits"]
            )
    return {"more": more, "accuracy": accuracy, "dim": dim}


def fit_best(norm, split, size, seed, steps, rates):
    """A network trained on ``size`` digits, at the rate that 300 others choose."""
    from normcourse.lab.models import ConvolutionalNetwork
    from normcourse.lab.training import fit

    held = split._replace(
        x_train=split.x_train[:size],
        y_train=split.y_train[:size],
        x_test=split.x_train[-300:],
        y_test=split.y_train[-300:],
    )
    best = None
    for rate in rates:
        model = ConvolutionalNetwork(norm, CHANNELS, pool=False, rng=seed)
        history = fit(model, held, steps, rate, 32, seed, momentum=0.9)
        accuracy = 0.0 if history.diverged else float(history.accuracy[-1])
        if best is None or accuracy > best[0]:  # of equal ones the smaller rate
            best = accuracy, model
    return best[1]


SIGMAS = (0.001, 0.01, 1.0, 10.0)
POOLS = {"own channel only": "own", "three neighbours": "band", "all alike": "all"}


def settings(seed, steps=STEPS, rates=RATES[1:]):
    """Test accuracy with other sigmas and other pools, less that of the usual one."""
    from normcourse.lab.training import evaluate

    split = data.digits(seed=seed)
    arms = {f"σ = {SIGMA:g}, learned": learned()}
    arms |= {f"σ starts at {s:g}": learned(s) for s in SIGMAS}
    arms |= {f"pool fixed: {name}": fixed(pool) for name, pool in POOLS.items()}
    accuracy = {
        name: evaluate(fit_best(norm, split, 997, seed, steps, rates), split.x_test, split.y_test)[
            1
        ]
        for name, norm in arms.items()
    }
    usual, *others = accuracy
    return {
        "lost": {name: accuracy[name] - accuracy[usual] for name in others},
        "accuracy": accuracy,
    }


# ---- cost --------------------------------------------------------------------------------------

WIDTHS = (3, 27)  # neighbours in a pool
CHANNELS_TIMED = (32, 256)


def timing(seed, rounds=40):
    """Time with a large pool over that with a small one, and over batch norm's."""
    import torch

    from normcourse import nn
    from normcourse.lab.training import quickest

    torch.manual_seed(seed)

    def both_ways(module, x):
        module(x).square().mean().backward()

    def image(channels):
        return torch.randn(8, channels, 8, 2048 // channels, requires_grad=True)

    runs = {}
    for width_ in WIDTHS:
        runs["torch's LRN", width_] = torch.nn.LocalResponseNorm(width_), image(64)
        runs["the course's LRN", width_] = nn.LocalResponseNorm(width_), image(64)
    for channels in CHANNELS_TIMED:
        runs["divisive", channels] = nn.DivisiveNorm(channels), image(channels)
        runs["batch", channels] = nn.BatchNorm2d(channels), image(channels)
    seconds = quickest([partial(both_ways, *run) for run in runs.values()], rounds)
    took = dict(zip(runs, map(float, seconds), strict=True))
    small, large = WIDTHS
    few, many = CHANNELS_TIMED
    grows = {
        f"{name}, {large} neighbours over {small}": took[name, large] / took[name, small]
        for name in ("torch's LRN", "the course's LRN")
    }
    grows[f"learned pool, {many} channels over {few}"] = (
        took["divisive", many] / took["divisive", few]
    )
    return {
        "grows": grows,
        "over batch norm": {
            f"{c} channels": took["divisive", c] / took["batch", c] for c in CHANNELS_TIMED
        },
    }


CLAIMS = [
    Claim(
        "dn_models_gain_control",
        "Divisive normalization models contrast gain control of V1 neurons.",
        Experiment(
            gain_control,
            "Gabor filters, 4 orientations x 2 wavelengths x 2 signs, one pool with w = 1 and "
            "n = 2; σ is a fifth of the pooled drive of a typical patch. For each seed 60 "
            "patches of each photograph that drive one orientation ten times as much as the one "
            "across; a patch is turned, dimmed, and laid over itself turned by 90 degrees.",
            tuple(range(20, 28)),
        ),
        (
            Figure("pooled drive at half height over σ", "half", log=True, between=(0.95, 1.05)),
            Figure("response, contrast 1 over 1/2", "doubling", log=True, below=1.5),
            Figure("response with a mask across, over without", "mask", log=True, below=0.8),
            Figure(
                "width of tuning wider at contrast 1 than at 1/20",
                "width",
                unit="%",
                between=(-0.1, 0.1),
            ),
            Figure("the same of other pools: contrast", "doubling, others", log=True),
            Figure("of other pools: mask", "mask, others", log=True),
            Figure("of other pools: width", "width, others", unit="%"),
            Figure("patches with such a peak", "share", unit="%"),
        ),
        {
            "Heeger 1992": "https://doi.org/10.1017/S0952523800009640",
            "Carandini & Heeger 2012": "https://doi.org/10.1038/nrn3136",
        },
        "The first run, with 20 patches a seed and the width as a ratio of two digits, left two of "
        "the eight open: temple, width 1.1 (1 … 1.1), and flower, doubling 1.4 (1.2 … 1.5). The "
        "same criteria, on new seeds.",
    ),
    Claim(
        "dn_improves_generalization",
        "Divisive normalization improves generalization in visual tasks.",
        Experiment(
            digits,
            f"Digits, two convolutions of {CHANNELS} channels and a linear layer, {STEPS} steps "
            "of SGD with momentum 0.9, batches of 32. Each at the best of four rates, by 300 "
            f"digits held out; σ starts at {SIGMA:g}, pool and σ are learned.",
            SEEDS,
            study="divisive_norm_digits",
            reduced=lambda seed: digits(seed, steps=2, rates=(0.1,)),
        ),
        (
            Figure("test accuracy more", "more", unit="pts", above=0),
            Figure("test accuracy", "accuracy", unit="%"),
            Figure("at a quarter of the contrast", "dim", unit="%"),
        ),
        {"Ren et al. 2016": "arXiv:1611.04520"},
    ),
    Claim(
        "dn_cost_grows",
        "The cost of divisive normalization grows with the neighbourhood.",
        Experiment(
            timing,
            "Forward and backward, float32, one thread, 131 072 numbers: LRN on 64 channels; a "
            "learned pool over all channels, with as many numbers; of 40 turns the quickest. "
            "Grows: a fifth more.",
            tuple(range(6)),
            study="divisive_norm_time",
            reduced=lambda seed: timing(seed, rounds=2),
            timing=True,
        ),
        (
            Figure("time of a large pool over a small one", "grows", log=True, above=1.2),
            Figure("time over that of batch norm", "over batch norm", log=True),
        ),
        {"Krizhevsky et al. 2012": "https://papers.nips.cc/paper/4824"},
    ),
    Claim(
        "dn_settings_matter",
        "σ and the pool of divisive normalization matter.",
        Experiment(
            settings,
            f"The network of the claim before, on 997 digits; best of three rates. Compared with a "
            f"learned pool and σ that starts at {SIGMA:g}.",
            SEEDS,
            study="divisive_norm_settings",
            reduced=lambda seed: settings(seed, steps=2, rates=(0.1,)),
        ),
        (
            Figure("test accuracy less the usual one's", "lost", unit="pts", outside=(-0.01, 0.01)),
            Figure("test accuracy", "accuracy", unit="%"),
        ),
        {"Ren et al. 2016": "arXiv:1611.04520"},
    ),
]
