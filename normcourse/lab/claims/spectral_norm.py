"""Claims of the chapter spectral_norm: bounds, modes of a small GAN, digits, and the cost."""

from functools import partial
from itertools import pairwise

import numpy as np

from normcourse.lab import data
from normcourse.lab.claims.record import Claim, Experiment, Figure

# ---- a small GAN -------------------------------------------------------------------------------

SCALE = 8.0
CLIPS = (0.1, 0.3, 1.0)
LOOKS = 8
NONE, UNSCALED, SPECTRAL = "no bound", "spectral norm, scale 1", "spectral norm"
CLIPPED = {  # name -> (threshold, factor on the logits, which spectral norm has, too)
    f"clipped at {c:g}{f', logits × {s:g}' if s > 1 else ''}": (c, s)
    for s in (1.0, SCALE)
    for c in CLIPS
}
BINS = 20


def variants():
    """name -> :class:`normcourse.lab.gan.Variant`."""
    from normcourse.lab.gan import Variant

    clipped = {name: Variant(clip=c, scale=s) for name, (c, s) in CLIPPED.items()}
    free = {NONE: Variant(), SPECTRAL: Variant(True, scale=SCALE), UNSCALED: Variant(True)}
    return free | clipped


def gan(seed, steps=1500, looks=LOOKS):
    """Modes held and the discriminator's gradient, of every variant, over training and at its end.

    The reduced run has the study's keys: looks are numbered, not named by their step.
    """
    import torch

    from normcourse.lab import gan as lab

    every = variants()
    game, gradient, _ = lab.train(list(every.values()), steps, seed, looks=looks)
    points = game.points(2000, np.random.default_rng(seed))
    shares, held = lab.hits(points), lab.modes(points)
    found = {
        "modes": dict(zip(every, held.tolist(), strict=True)),
        "on a mode": dict(zip(every, shares.sum(1).tolist(), strict=True)),
        "gradient": dict(zip(every, gradient[-1].tolist(), strict=True)),
        "share": {
            f"{name}, {k}": float(shares[i, k])
            for i, name in enumerate(every)
            for k in range(lab.MODES)
        },
        "course": {
            f"{name}, {look}": float(gradient[look, i])
            for i, name in enumerate(every)
            for look in range(looks)
        },
    }
    modes, largest = found["modes"], found["gradient"]
    scaled = {f"logits × {SCALE:g}": SPECTRAL, "logits × 1": UNSCALED}
    found["gained"] = {scale: modes[name] - modes[NONE] for scale, name in scaled.items()}
    found["over clipping"] = modes[SPECTRAL] - max(modes[name] for name in CLIPPED)
    found["of the bound"] = largest[SPECTRAL] / SCALE
    weights = dict(zip(every, zip(*game.weights(), strict=True), strict=True))
    with torch.no_grad():
        found["stretch"] = float(
            np.prod([torch.linalg.matrix_norm(w, 2).item() for w in weights[SPECTRAL]])
        )
        found["at the limit"] = {
            name: float((weights[name][1].abs() >= 0.999 * c).double().mean())
            for name, (c, _) in CLIPPED.items()
        }
        found["weights"] = {}
        for name in (NONE, SPECTRAL, "clipped at 0.1"):
            middle = weights[name][1].numpy()
            counts, _ = np.histogram(middle / np.abs(middle).max(), BINS, (-1.0, 1.0))
            found["weights"] |= {f"{name}, {i}": int(n) for i, n in enumerate(counts)}
    return found


def series(key, name, count):
    """(runs, count) numbers of the study of the GAN that belong to one variant."""
    return np.array([[run[key][f"{name}, {i}"] for i in range(count)] for run in GAN.runs])


# ---- digits ------------------------------------------------------------------------------------

SIZES = (200, 1297)
RATES = (0.1, 0.3, 1.0)
SCALES = (1.0, 10.0)  # on seed 0, a rate of 3 and a scale of 40 were worse, for both


def classifier(norm, scale, rng):
    """64-64-64-10 with ReLU; each weight divided by its largest singular value, or not."""
    import torch

    from normcourse.lab.network import INIT
    from normcourse.nn.utils.parametrizations import spectral_norm

    class Scaled(torch.nn.Module):
        def forward(self, logits):
            return scale * logits

    rng, layers = np.random.default_rng(rng), []
    for inputs, outputs in ((64, 64), (64, 64), (64, 10)):
        linear = torch.nn.Linear(inputs, outputs, dtype=torch.float64)
        with torch.no_grad():
            std = INIT["he"](inputs, outputs)
            linear.weight.copy_(torch.from_numpy(rng.normal(0, std, (outputs, inputs))))
            linear.bias.zero_()
        torch.manual_seed(int(rng.integers(2**31)))  # of the first u and v
        layers += [spectral_norm(linear) if norm else linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1], Scaled())


def digits(seed, steps=300, sizes=SIZES, rates=RATES, scales=SCALES):
    """Test accuracy with spectral norm less that without, each at its best rate and scale."""
    import torch

    from normcourse.lab.training import fit

    full, found = data.digits(seed=seed), {"more": {}, "accuracy": {}, "training": {}}
    excess = []
    for size in sizes:
        split = full._replace(x_train=full.x_train[:size], y_train=full.y_train[:size])
        best = {}
        for norm in (False, True):
            runs = []
            for scale in scales:
                for rate in rates:
                    model = classifier(norm, scale, seed)
                    # Steps in the network's output are ``scale`` times as large in the logits.
                    history = fit(model, split, steps, rate / scale, 64, seed)
                    runs.append((0.0 if history.diverged else history.accuracy[-1], model))
                    if norm:
                        linears = [m for m in model.eval() if isinstance(m, torch.nn.Linear)]
                        with torch.no_grad():
                            stretch = [torch.linalg.matrix_norm(m.weight, 2) for m in linears]
                        excess.append(float(max(stretch)) - 1)
            best[norm] = max(runs, key=lambda run: run[0])
            name = f"{'spectral norm' if norm else 'none'}, {size} digits"
            found["accuracy"][name] = float(best[norm][0])
            right = best[norm][1](torch.from_numpy(split.x_train)).argmax(1).numpy()
            found["training"][name] = float((right == split.y_train).mean())
        found["more"][f"{size} digits"] = float(best[True][0] - best[False][0])
    found["excess"] = float(np.max(excess))
    found["typical excess"] = float(np.median(excess))
    return found


# ---- cost --------------------------------------------------------------------------------------

NETWORKS = {  # name -> (sizes of the layers, batch)
    "64 wide, 64 samples": ((64, 64, 64, 10), 64),
    "512 wide, 64 samples": ((512, 512, 512, 10), 64),
    "512 wide, 1024 samples": ((512, 512, 512, 10), 1024),
}


def timing(seed, networks=tuple(NETWORKS), rounds=40):
    """Time of a training step with spectral norm over one without; the least of many turns."""
    import torch
    from torch.nn.utils import parametrizations as torchs

    from normcourse.lab.training import quickest
    from normcourse.nn.utils import parametrizations as ours

    def both_ways(model, x):
        model(x).square().mean().backward()

    def model(sizes, wrap):
        layers = []
        for inputs, outputs in pairwise(sizes):
            linear = torch.nn.Linear(inputs, outputs)
            layers += [wrap(linear) if wrap else linear, torch.nn.ReLU()]
        return torch.nn.Sequential(*layers[:-1])

    torch.manual_seed(seed)
    found = {"torch": {}, "course": {}}
    for name in networks:
        sizes, batch = NETWORKS[name]
        x = torch.randn(batch, sizes[0])
        models = [model(sizes, wrap) for wrap in (None, torchs.spectral_norm, ours.spectral_norm)]
        none, *others = quickest([partial(both_ways, m, x) for m in models], rounds)
        found["torch"][name], found["course"][name] = (float(other / none) for other in others)
    return found


GAN_SEEDS = tuple(range(10, 15))
SEEDS = tuple(range(200, 206))

GAN = Experiment(
    gan,
    "Ring of eight Gaussians of std 0.1 on a circle of radius 2; generator 8-64-64-2, "
    "discriminator 2-64-64-1, logistic losses, 1500 steps of Adam at 0.001 each, batches of 64. "
    "Spectral norm: logit = 8 x output, a scale chosen on seed 0. Clipping: each run has what "
    "suits it best of the thresholds 0.1, 0.3 and 1 and of the same two scales. A mode is held "
    "with 2 % of the points within 3 std.",
    GAN_SEEDS,
    study="spectral_norm_gan",
    reduced=lambda seed: gan(seed, steps=LOOKS),
)
DIGITS = Experiment(
    digits,
    "Digits, 64-64-64-10 with ReLU, 300 steps of SGD in batches of 64. Each at the best of three "
    "rates and two fixed scales of the logits, by the test set, for both alike.",
    SEEDS,
    study="spectral_norm_digits",
    reduced=lambda seed: digits(seed, steps=2, rates=(0.1,), scales=(1.0,)),
)

CLAIMS = [
    Claim(
        "spectral_bounds_and_stabilizes",
        "Spectral normalization bounds the Lipschitz constant and stabilizes GAN training.",
        GAN,
        (
            Figure("largest gradient over its bound", "of the bound", below=1),
            Figure("modes more than without", "gained", above=1),
            Figure("product of the true norms", "stretch"),
            Figure("modes held, of 8", "modes"),
            Figure("largest gradient", "gradient", log=True),
            Figure("points on a mode", "on a mode", unit="%"),
        ),
        {"Miyato et al. 2018": "arXiv:1802.05957"},
    ),
    Claim(
        "spectral_makes_clipping_unnecessary",
        "Spectral normalization makes weight clipping unnecessary.",
        GAN,
        (
            Figure("modes more than with clipping", "over clipping", above=-1),
            Figure("weights at the limit", "at the limit", unit="%"),
        ),
        {"Arjovsky et al. 2017": "arXiv:1701.07875", "Miyato et al. 2018": "arXiv:1802.05957"},
    ),
    Claim(
        "spectral_generalizes",
        "Spectral normalization improves generalization outside GANs.",
        DIGITS,
        (
            Figure("test accuracy more than without", "more", unit="pts", above=0),
            Figure("test accuracy", "accuracy", unit="%"),
            Figure("training accuracy", "training", unit="%"),
        ),
        {"Yoshida & Miyato 2017": "arXiv:1705.10941"},
    ),
    Claim(
        "power_iteration_accurate",
        "One step of power iteration per update is accurate enough.",
        DIGITS,
        (
            Figure("true norm minus 1, worst layer of all runs", "excess", below=0.05),
            Figure("true norm minus 1, worst layer of a middle run", "typical excess"),
        ),
        {"Miyato et al. 2018": "arXiv:1802.05957"},
    ),
    Claim(
        "power_iteration_cheap",
        "Power iteration is cheap.",
        Experiment(
            timing,
            "Forward and backward of networks of three linear layers with ReLU, float32, one "
            "thread, one step of power iteration; of 40 turns the quickest. Cheap: less than a "
            "tenth more.",
            SEEDS,
            study="spectral_norm_time",
            reduced=lambda seed: timing(seed, rounds=2),
            timing=True,
        ),
        (
            Figure("time of a step, torch's over none", "torch", log=True, below=1.1),
            Figure("time of a step, the course's over none", "course", log=True),
        ),
        {"Miyato et al. 2018": "arXiv:1802.05957"},
    ),
]
