"""The landing page's playground: one function, and the choice of axes that makes the techniques."""

import numpy as np

from normcourse.core import standardize
from normcourse.lab.playgrounds.samples import DISTRIBUTIONS, sample
from normcourse.widgets import Choice, Grid, Histogram, Note, Playground, Slider
from normcourse.widgets.panels import summary

__all__ = ["playground"]

CHANNELS, POSITIONS, GROUPS = 4, 4, 2

# (N, groups, channels of a group, positions): which of these axes share a statistic.
AXES = {"batch": (0, 3), "layer": (1, 2, 3), "instance": (3,), "group": (2, 3)}
SHARE = {
    "batch": "per channel, over all samples and positions",
    "layer": "per sample, over all channels and positions",
    "instance": "per sample and channel, over positions",
    "group": f"per sample and group of {CHANNELS // GROUPS} channels, over positions",
}


def grouped(technique, shape):
    """Which cells share a statistic: one integer for each of them."""
    kept = [1 if axis in AXES[technique] else n for axis, n in enumerate(shape)]
    return np.broadcast_to(np.arange(np.prod(kept)).reshape(kept), shape)


def picture(function, technique, batch_size, distribution):
    shape = (batch_size, GROUPS, CHANNELS // GROUPS, POSITIONS)
    scale = np.array([0.5, 1.0, 2.0, 1.0]).reshape(1, GROUPS, -1, 1)
    offset = np.array([0.0, 1.5, -1.0, 3.0]).reshape(1, GROUPS, -1, 1)
    x = sample(distribution, shape) * scale + offset
    y = function(x, AXES[technique])
    flat = (batch_size, CHANNELS * POSITIONS)
    groups = grouped(technique, shape).reshape(flat)
    columns = f"{CHANNELS} channels × {POSITIONS} positions"
    statistics = groups.max() + 1
    if technique != "batch":
        company = "A sample's result does not depend on the other samples."
    elif batch_size > 1:
        company = "A sample's result depends on the other samples."
    else:
        company = (
            "There is no other sample: batch norm equals instance norm now, and the first "
            "sample's result has changed. With the other techniques it has not."
        )
    return [
        Grid("Raw", x.reshape(flat), groups, columns=columns),
        Grid("Normalized", y.reshape(flat), groups, columns=columns),
        Histogram("Raw values", x),
        Histogram("Normalized values", y, kind="normalized"),
        summary(x, y),
        Note(
            f"{technique.capitalize()} normalization takes one mean and one variance "
            f"{SHARE[technique]}: {statistics} {'pair' if statistics == 1 else 'pairs'} here, "
            f"each shared by the {groups.size // statistics} numbers inside an outline. "
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
            Slider("batch_size", "Batch size N", (1, 2, 4, 8), 4),
            Choice("distribution", "Distribution", DISTRIBUTIONS),
        ],
        picture,
        standardize,
        height=1057,
    )
