"""Layer normalization: one sample of any size and mean, its neighbours, and where all come out."""

import numpy as np

from normcourse.lab.playgrounds.samples import sample
from normcourse.layer_norm import layer_norm
from normcourse.palette import ACCENT
from normcourse.widgets import Choice, Grid, Note, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["playground"]

SAMPLES = 4
DISTRIBUTIONS = ("normal", "with an outlier")
COMPANY = ("as they are", "others, ten times as large")
GAMMA = ("off", "on")


def tokens(distribution, features, scale, shift, company):
    """(SAMPLES, features): the first as the reader wants it, then its neighbours."""
    x = sample("normal", (SAMPLES, features), seed=3)
    if company != COMPANY[0]:
        x = 10 * sample("normal", (SAMPLES, features), seed=4)
    x[0] = scale * sample(distribution, (features,), seed=5) + shift
    return x


def picture(function, features, scale, shift, distribution, eps, gamma, company):
    x = tokens(distribution, features, scale, shift, company)
    weight = np.random.default_rng(6).uniform(0.3, 1.8, features) if gamma == "on" else None
    y = function(x, features, weight, None, eps)
    root, std = features**0.5, x[0].std()
    share = std**2 / (std**2 + eps)
    lengths = np.linalg.norm(y, axis=1)
    note = (
        f"Sample 1 has a standard deviation of {number(std, 2)}; √ε is {number(eps**0.5, 2)}. "
        f"So {number(100 * share, 2)} % of its variance are left to be 1"
    )
    if weight is not None:
        note += ", and γ, the same for all samples, turns the sphere into an ellipsoid."
    elif share > 0.99:
        note += f": it comes out on the sphere of radius √{features} = {number(root)}."
    else:
        note += f": it stays inside the sphere of radius √{features} = {number(root)}."
    if features == 2:
        note += " Of two features only their order is left."
    else:
        largest = np.abs(y[0]).argmax()
        note += (
            f" Its largest feature takes {number(100 * (y[0, largest] / lengths[0]) ** 2, 2)} % of "
            "the squared length."
        )
    if company != COMPANY[0]:
        note += " The neighbours are others: sample 1 does not see them."
    names = [f"sample {i}" for i in range(1, SAMPLES + 1)]
    entries = zip(x.mean(1), x.std(1), np.linalg.norm(x, axis=1), lengths, strict=True)
    return [
        Grid("Raw", x, np.arange(SAMPLES)[:, None], limit=20.0, marks=names, margin=74),
        Grid(
            "Normalized",
            y,
            np.arange(SAMPLES)[:, None],
            limit=3.0,
            marks=[f"length {number(length)}" for length in lengths],
            margin=90,
        ),
        Table(
            "Each sample by itself",
            ["mean", "std", "length", "length after"],
            {str(n): [number(v, 2) for v in row] for n, row in enumerate(entries, 1)},
        ),
        Note(note),
    ]


def playground():
    """A sample's features, size and mean; its neighbours; ε, D and γ."""
    eps = (1e-12, 1e-5, 0.1)
    scales = (0.01, 1.0, 100.0)
    return Playground(
        "layer_norm",
        "Layer normalization, with your hands on it",
        [
            Slider("features", "Features D", (2, 3, 8, 32), 8),
            Slider("eps", "ε", eps, 1e-5, texts=tuple(number(e, 1) for e in eps)),
            Slider("scale", "Scale of sample 1", scales, 1.0, texts=tuple(map(number, scales))),
            Slider("shift", "Shift of sample 1", (-10.0, 0.0, 10.0), 0.0, texts=("−10", "0", "10")),
            Choice("distribution", "Features of sample 1", DISTRIBUTIONS),
            Choice("company", "The other samples", COMPANY),
            Choice("gamma", "Scale γ", GAMMA),
        ],
        picture,
        layer_norm,
        accent=ACCENT["layer_norm"],
        height=831,
    )
