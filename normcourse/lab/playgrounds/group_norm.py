"""Group normalization: number of groups x batch size x order of the channels."""

import functools

import numpy as np

from normcourse.group_norm import group_norm
from normcourse.lab import data
from normcourse.lab.filters import oriented_filters, responses
from normcourse.palette import ACCENT
from normcourse.widgets import Choice, Grid, Note, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["playground"]

ANGLES = "upright", "rising", "lying", "falling"  # the edges that each orientation answers to
WAVELENGTHS = 4, 7, 12
CHANNELS, POSITIONS, LARGEST = len(ANGLES) * len(WAVELENGTHS), 3, 6
DIVISORS = tuple(g for g in range(1, CHANNELS + 1) if CHANNELS % g == 0)
ORDERS = {  # name -> which channel comes when
    "by orientation": np.arange(CHANNELS),
    "by size": np.arange(CHANNELS).reshape(len(ANGLES), -1).T.ravel(),
    "shuffled": np.random.default_rng(1).permutation(CHANNELS),
}


@functools.cache
def photograph():
    """(samples, C, positions): what the filters answer at places of the temple."""
    image = data.photographs()[0].mean(2)
    maps = responses(image, oriented_filters(WAVELENGTHS, len(ANGLES)), step=20)
    spots = np.random.default_rng(3).permutation(maps[0].size)[: LARGEST * POSITIONS]
    return maps.reshape(CHANNELS, -1)[:, spots].reshape(CHANNELS, LARGEST, -1).swapaxes(0, 1)


def picture(function, groups, batch_size, order):
    placed = ORDERS[order]
    x = photograph()[:batch_size]
    y = function(x[:, placed], groups)
    plain = function(photograph(), groups)
    there = np.argsort(placed)  # where each channel went
    moved = np.sqrt(np.mean((y[:, there] - plain[:batch_size]) ** 2))
    outlines = np.arange(batch_size)[:, None] * groups + np.arange(CHANNELS * POSITIONS) // (
        CHANNELS * POSITIONS // groups
    )
    shown = {"columns": f"{CHANNELS} channels × {POSITIONS} positions"}
    before, after = (
        a.reshape(batch_size, len(ANGLES), len(WAVELENGTHS), -1).std((0, 1, 3))
        for a in (x, y[:, there])
    )
    size = CHANNELS // groups
    first = sorted({ANGLES[c // len(WAVELENGTHS)] for c in placed[:size]}, key=ANGLES.index)
    kept = {1: "It is layer norm over (C, H, W). ", CHANNELS: "It is instance norm. "}.get(
        groups, ""
    )
    if order == "by orientation":
        effect = "Now give the channels another order."
    elif moved < 1e-9:
        effect = f"Order “{order}”: each channel comes out as before, with any order."
    else:
        effect = (
            f"Order “{order}”: the same numbers came in, and each came out otherwise by "
            f"{number(moved, 2)} (root mean square), because its group is another."
        )
    statistics = batch_size * groups
    return [
        Grid("Raw", x[:, placed].reshape(batch_size, -1), outlines, limit=1.0, **shown),
        Grid("Normalized", y.reshape(batch_size, -1), outlines, limit=3.0, **shown),
        Table(
            "Standard deviation of all channels of a size",
            ["raw", "normalized"],
            {
                f"wavelength {w} pixels": [b, a]
                for w, b, a in zip(WAVELENGTHS, before, after, strict=True)
            },
        ),
        Note(
            f"{groups} group{'s' * (groups > 1)} of {size}: {statistics} "
            f"{'pairs' if statistics > 1 else 'pair'} of mean and variance for N = {batch_size}, "
            f"each shared by {size * POSITIONS} numbers. {kept}The first group answers to "
            f"{', '.join(first)} edges. {effect}"
        ),
    ]


def playground():
    """Groups x batch size x channel order, computed by ``normcourse.group_norm``."""
    return Playground(
        "group_norm",
        "One knob from layer norm to instance norm",
        [
            Slider("groups", "Groups G, of 12 channels", DIVISORS, 4),
            Slider("batch_size", "Batch size N", (1, 2, 4, LARGEST), 4),
            Choice("order", "Order of the channels", tuple(ORDERS)),
        ],
        picture,
        group_norm,
        accent=ACCENT["group_norm"],
        height=715,
    )
