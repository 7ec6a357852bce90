"""Scaler x distribution x outlier: what each scaler does to a feature, and to its shape."""

import numpy as np

from normcourse.lab.playgrounds.samples import sample
from normcourse.palette import ACCENT
from normcourse.rescaling import (
    min_max_scale,
    min_max_statistics,
    standard_scale,
    standard_statistics,
)
from normcourse.widgets import Choice, Histogram, Lines, Note, Playground, Slider
from normcourse.widgets.panels import number, summary

__all__ = ["playground"]

SCALERS = "min-max", "standardization"
RAW_AXIS = np.linspace(0, 100, 51)


def rescale(scaler, X):
    """A table rescaled by one of the course's functions, with the statistics of that table."""
    if scaler == "min-max":
        return min_max_scale(X, *min_max_statistics(X))
    _, mean, var = standard_statistics(X)
    return standard_scale(X, mean, var)


def mapped(x, y):
    """Where raw values from 0 to 100 go, between the data's own extremes."""
    order = np.argsort(x)
    return np.interp(RAW_AXIS, x[order], y[order], left=np.nan, right=np.nan)


def picture(function, scaler, distribution, outlier):
    # Standardized before the outlier comes: its size is in standard deviations of the others.
    x = sample(distribution, 200, seed=3)
    x = (x - x.mean()) / x.std() * 15 + 50
    if outlier:
        x[-1] = 50 + 15 * outlier
    y = function(scaler, x.reshape(-1, 1)).reshape(-1)
    others = y[:-1]
    if not outlier:
        effect = (
            "The two histograms have the same shape: rescaling moves and stretches the axis, "
            "nothing else."
        )
    elif scaler == "min-max":
        share = np.ptp(others) / np.ptp(y)
        effect = (
            f"The outlier sets the unit: it leaves the other 199 values {share:.0%} of the range."
        )
    else:
        effect = (
            f"The outlier becomes {number(y[-1], 2)}. It inflates the unit, too: the other 199 "
            f"values have a standard deviation of {number(others.std(), 2)} left."
        )
    promise = {
        "min-max": "Min-max promises the range: 0 to 1 on the data it was fitted on.",
        "standardization": "Standardization promises mean 0 and std 1, not a range and not a bell.",
    }
    return [
        Histogram("Raw feature", x, bins=40),
        Histogram("Rescaled feature", y, bins=40, kind="normalized"),
        Lines(
            "The map between them",
            {"rescaled value": mapped(x, y)},
            limits=(-4, 4),
            xlabel="raw value",
            ylabel="rescaled value",
            start=RAW_AXIS[0],
            stop=RAW_AXIS[-1],
            log=False,
        ),
        summary(x, y, after="rescaled"),
        Note(f"{promise[scaler]} {effect}"),
    ]


def playground():
    """Scaler x distribution x outlier, computed by the course's own functions."""
    return Playground(
        "rescaling",
        "What does a scaler keep, and what does it change?",
        [
            Choice("scaler", "Scaler", SCALERS),
            Choice("distribution", "Distribution", ("normal", "skewed", "heavy-tailed")),
            Slider(
                "outlier",
                "One outlier, in standard deviations of the others",
                (0, 5, 10, 20, 50, 100),
                texts=("none", 5, 10, 20, 50, 100),
            ),
        ],
        picture,
        rescale,
        accent=ACCENT["rescaling"],
        height=829,
    )
