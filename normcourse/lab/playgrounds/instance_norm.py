"""Content and style by frequency: the statistics of one photograph given to the other."""

import functools

import numpy as np

from normcourse.instance_norm import instance_norm
from normcourse.lab import data
from normcourse.lab.blocks import block_channels, block_picture, frequency
from normcourse.palette import ACCENT
from normcourse.widgets import Note, Picture, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["playground"]

SIZE, BLOCK, EPS = (32, 48), 4, 1e-6
BANDS = ("low", "middle", "high")
SHARES = (0.0, 0.5, 1.0)


@functools.cache
def photographs():
    """Temple and flower, each pixel the mean of 12 x 12."""
    h, w = SIZE
    return [p[: 12 * h, : 12 * w].reshape(h, 12, w, 12, 3).mean((1, 3)) for p in data.photographs()]


@functools.cache
def prepared():
    """Channels of the temple, and (mean, spread) of both photographs, channel by channel."""
    channels = [block_channels(p, BLOCK) for p in photographs()]
    return channels[0], [(c.mean((2, 3))[0], (c.var((2, 3))[0] + EPS) ** 0.5) for c in channels]


def band():
    """0, 1 or 2 for each channel: the mean of a block, slow and fast waves in it."""
    return np.digitize(frequency(BLOCK), [1, 2])


def picture(function, low, middle, high):
    x, statistics = prepared()
    share = np.array([low, middle, high])[band()]
    mean, spread = ((1 - share) * a + share * b for a, b in zip(*statistics, strict=True))
    y = function(x, spread, mean, EPS)
    rows = {
        name: [number(np.mean(v[band() == k]), 2) for v in (statistics[0][1], statistics[1][1])]
        + [number(np.mean(spread[band() == k]), 2)]
        for k, name in enumerate(BANDS)
    }
    away = np.sqrt(np.mean((block_picture(y, BLOCK) - photographs()[0]) ** 2))
    shares = {"low": low, "middle": middle, "high": high}
    given = [f"{name} ({100 * s:.0f} %)" for name, s in shares.items() if s]
    told = "Nothing is changed: the temple in its own statistics."
    if given:
        told = (
            f"The flower's mean and spread in: {', '.join(given)}. Its pixels moved "
            f"by {number(away, 2)} (root mean square), and what stands where did not."
        )
    return [
        Picture("The temple, restyled", block_picture(y, BLOCK)),
        Picture("The flower, which gives them", photographs()[1]),
        Table("Mean spread of the channels", ["temple", "flower", "now"], rows),
        Note(told),
    ]


def playground():
    """Share of the style in the statistics of three bands, computed by instance_norm."""
    texts = tuple(f"{100 * share:.0f} % style" for share in SHARES)
    names = ("Low: block averages", "Middle: slow waves", "High: fast waves")
    return Playground(
        "instance_norm",
        "Style is a mean and a spread: mix them by frequency",
        [
            Slider(key, label, SHARES, 0.0, texts=texts)
            for key, label in zip(BANDS, names, strict=True)
        ],
        picture,
        instance_norm,
        accent=ACCENT["instance_norm"],
        height=640,
    )
