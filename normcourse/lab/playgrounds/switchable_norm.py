"""Switchable normalization: a point in a triangle for the means, another for the variances."""

import numpy as np

from normcourse.core import mean_and_variance
from normcourse.palette import ACCENT
from normcourse.switchable_norm import switchable_norm
from normcourse.widgets import Arrows, Grid, Note, Playground, Slider, Table

__all__ = ["place", "playground", "shares"]

STATISTICS = "instance", "layer", "batch"
AXES = {"instance": 2, "layer": (1, 2), "batch": (0, 2)}
CHANNELS, POSITIONS, LARGEST = 4, 4, 4

# A walk through the triangle in steps of a third: instance, layer, batch.
STOPS = np.array(
    [
        (3, 0, 0), (2, 1, 0), (2, 0, 1), (1, 0, 2), (1, 1, 1),
        (1, 2, 0), (0, 3, 0), (0, 2, 1), (0, 1, 2), (0, 0, 3),
    ]
) / 3  # fmt: skip
EQUAL = 4.0
CORNERS = np.array([(np.cos(a), np.sin(a)) for a in np.radians((90, 210, 330))])
LIMIT = 1.6
BELOW = (0.0, -LIMIT / 127)  # the centre, one step lower: a label stands above its point


def block():
    """(N, C, positions): samples differ in level and contrast, and so do channels."""
    rng = np.random.default_rng(5)
    noise = rng.standard_normal((LARGEST, CHANNELS, POSITIONS))
    noise -= noise.mean(2, keepdims=True)
    noise /= noise.std(2, keepdims=True)
    sample = np.array([1.0, -2.0, 0.0, 2.5])[:, None, None]
    channel = np.array([-2.0, 0.5, 2.5, 0.0])[:, None]
    contrast = (
        np.array([0.5, 1.0, 1.5, 0.7])[:, None, None] * np.array([1.0, 0.6, 1.4, 1.0])[:, None]
    )
    return sample + channel + contrast * noise


def shares(at):
    """(3,) of instance, layer and batch: a stop of the walk, or a point between two."""
    return np.array([np.interp(at, np.arange(len(STOPS)), s) for s in STOPS.T])


def place(point):
    """Where shares lie in the plane of the triangle."""
    return np.asarray(point) @ CORNERS


def text(point):
    """The shares in words."""
    if np.allclose(point, 1 / 3):
        return "a third of each"
    every = [(f"{s:.0%}", name) for s, name in zip(point, STATISTICS, strict=True) if s > 1e-9]
    return every[0][1] if len(every) == 1 else ", ".join(f"{name} {s}" for s, name in every)


def triangle(title, name, point, control):
    """The point of some shares; it is dragged to another stop of the walk."""
    corners = {k: (1.45 * c, 1.45 * c) for k, c in zip(STATISTICS, CORNERS, strict=True)}
    places = [(float(at), (place(s).round(6) + 0.0).tolist()) for at, s in enumerate(STOPS)]
    return Arrows(
        title,
        {name: (BELOW, place(point))} | corners,
        limit=LIMIT,
        radius=0.0,
        removed=((0, 0), (0, 0)),
        colours={k: ACCENT[f"{k}_norm"] for k in STATISTICS},
        handles={name: (control, places)},
        outline=CORNERS,
    )


def spreads(x):
    """Standard deviations of the samples' means, of the channels' means, and in an instance."""
    return [x.mean((1, 2)).std(), x.mean((0, 2)).std(), x.var(2).mean() ** 0.5]


def picture(function, batch_size, means, variances):
    x = block()[:batch_size]
    w, v = shares(means), shares(variances)
    with np.errstate(divide="ignore"):
        y = function(x, np.log(w), np.log(v))
    found = [mean_and_variance(x, AXES[k]) for k in STATISTICS]
    first = [[float(s.ravel()[0]) for s in pair] for pair in found]  # sample 1, channel 1
    mixed = [
        (share @ k).round(9) + 0.0 for share, k in zip((w, v), np.transpose(first), strict=True)
    ]
    before, after = spreads(x), [0.0 if s < 1e-6 else s for s in spreads(y)]
    n, c = np.indices(x.shape)[:2]
    whole = {"instance": CHANNELS * n + c, "layer": n, "batch": c}
    outlines = whole.get(text(w), whole["instance"]).reshape(batch_size, -1)
    shown = {"columns": f"{CHANNELS} channels × {POSITIONS} positions"}
    note = f"Means: {text(w)}. Variances: {text(v)}. "
    if text(w) == text(v):
        note += f"A corner: this is {text(w)} norm. " if text(w) in STATISTICS else ""
    if batch_size == 1:
        note += "With one sample the batch's statistics are the instance's: two corners are one. "
    names = "samples", "channels"
    lost = [k for k, b, a in zip(names, before, after, strict=False) if b > 1e-6 and a == 0]
    kept = [k for k, b, a in zip(names, before, after, strict=False) if b > 1e-6 and a > 0]
    for what, which in (("gone", lost), ("kept", kept)):
        if which:
            note += f"Differences of level between {' and between '.join(which)} are {what}. "
    return [
        triangle("Shares of the means", "μ", w, "means"),
        triangle("Shares of the variances", "σ²", v, "variances"),
        Grid("Raw", x.reshape(batch_size, -1), outlines, limit=6.0, **shown),
        Grid("Normalized", y.reshape(batch_size, -1), outlines, limit=3.0, **shown),
        Table(
            "Statistics of sample 1, channel 1",
            ["μ", "σ²"],
            dict(zip(STATISTICS, first, strict=True)) | {"mixed": mixed},
        ),
        Table(
            "Standard deviation",
            ["raw", "normalized"],
            {
                row: pair
                for row, *pair in zip(
                    ("of the samples' means", "of the channels' means", "inside an instance"),
                    [0.0 if s < 1e-6 else s for s in before],
                    after,
                    strict=True,
                )
            },
        ),
        Note(note.strip()),
    ]


def playground():
    """Batch size x shares of the means x shares of the variances."""
    stops = tuple(float(i) for i in range(len(STOPS)))
    texts = tuple(text(stop) for stop in STOPS)
    return Playground(
        "switchable_norm",
        "Two points in a triangle",
        [
            Slider("means", "Shares of the means", stops, EQUAL, texts),
            Slider("variances", "Shares of the variances", stops, EQUAL, texts),
            Slider("batch_size", "Batch size N", (1, 2, LARGEST), LARGEST),
        ],
        picture,
        switchable_norm,
        accent=ACCENT["switchable_norm"],
        height=1187,
    )
