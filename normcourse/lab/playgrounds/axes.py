"""The landing page's playground: one function, and the choice of axes that makes the techniques."""

import numpy as np

from normcourse.core import standardize
from normcourse.lab.playgrounds.pictures import groups
from normcourse.lab.playgrounds.samples import DISTRIBUTIONS, sample
from normcourse.widgets import Choice, Grid, Note, Playground, Slider
from normcourse.widgets.panels import summary

__all__ = ["playground"]

CHANNELS, POSITIONS, GROUPS = 4, 4, 2
SIZES, START = (1, 2, 4, 8), 4

# (N, groups, channels of a group, positions): which of these axes share a statistic.
AXES = {"batch": (0, 3), "layer": (1, 2, 3), "instance": (3,), "group": (2, 3)}
SHARE = {
    "batch": "per channel, over all samples and positions",
    "layer": "per sample, over all channels and positions",
    "instance": "per sample and channel, over positions",
    "group": f"per sample and group of {CHANNELS // GROUPS} channels, over positions",
}


def batch(distribution, batch_size):
    """The same first samples, however many follow."""
    shape = (batch_size, GROUPS, CHANNELS // GROUPS, POSITIONS)
    scale = np.array([0.5, 1.0, 2.0, 1.0]).reshape(1, GROUPS, -1, 1)
    offset = np.array([0.0, 1.5, -1.0, 3.0]).reshape(1, GROUPS, -1, 1)
    return sample(distribution, shape) * scale + offset


def picture(function, technique, batch_size, distribution):
    axes = AXES[technique]
    x = batch(distribution, batch_size)
    y = function(x, axes)
    before = function(batch(distribution, START), axes)
    same = np.allclose(y[0], before[0])
    flat = (batch_size, CHANNELS * POSITIONS)
    outlined = groups(axes, x.shape).reshape(flat)
    statistics = outlined.max() + 1
    if batch_size == START:
        company = "Now change N, and watch sample 1."
    elif same:
        company = f"Sample 1 comes out as in a batch of {START}: its neighbours do not count."
    else:
        company = f"Sample 1 is the same, but comes out otherwise than in a batch of {START}."
    if batch_size == 1 and technique == "batch":
        company += " Batch norm of one sample is instance norm."
    shown = {"columns": f"{CHANNELS} channels × {POSITIONS} positions", "margin": 74}
    marks = ["unchanged" if same else "CHANGED", *[""] * (batch_size - 1)]
    largest = float(np.abs(batch(distribution, SIZES[-1])).max())
    return [
        # One scale for all settings: what does not change must not look changed.
        Grid("Raw", x.reshape(flat), outlined, limit=largest, marks=["sample 1"], **shown),
        Grid("Normalized", y.reshape(flat), outlined, limit=3.0, marks=marks, **shown),
        summary(x, y),
        Note(
            f"{technique.capitalize()} normalization takes one mean and one variance "
            f"{SHARE[technique]}: {statistics} {'pair' if statistics == 1 else 'pairs'} here, "
            f"each shared by the {outlined.size // statistics} numbers inside an outline. "
            f"{company}"
        ),
    ]


def playground():
    """Technique x batch size x distribution, computed by ``normcourse.standardize``."""
    return Playground(
        "axes",
        "Which numbers share a statistic?",
        [
            Choice(
                "technique",
                "Technique",
                tuple(AXES),
                texts=tuple(f"{technique} norm" for technique in AXES),
            ),
            Slider("batch_size", "Batch size N", SIZES, START),
            Choice("distribution", "Distribution", DISTRIBUTIONS),
        ],
        picture,
        standardize,
        height=790,
    )
