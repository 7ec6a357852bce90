"""Scaler x distribution x outlier: what each scaler does to a feature, and to its shape."""

import numpy as np

from normcourse.lab.playgrounds.samples import sample
from normcourse.palette import ACCENT
from normcourse.rescaling import MinMaxScaler, StandardScaler
from normcourse.widgets import Choice, Histogram, Note, Playground, Slider
from normcourse.widgets.panels import number, summary

__all__ = ["playground"]

SCALERS = {"min-max": MinMaxScaler, "standardization": StandardScaler}


def rescale(scaler, X):
    """A table rescaled by one of the course's scalers, fitted on that table."""
    return SCALERS[scaler]().fit_transform(X)


def picture(function, scaler, distribution, outlier):
    # Standardized before the outlier comes: its size is in standard deviations of the others.
    x = sample(distribution, 200, seed=3)
    x = (x - x.mean()) / x.std() * 15 + 50
    inliers = slice(0, -1)
    if outlier:
        x[-1] = 50 + 15 * outlier
    y = function(scaler, x.reshape(-1, 1)).reshape(-1)
    width = np.ptp(y[inliers])
    share = f"{number(width, 2)} of {number(np.ptp(y), 2)} units"
    shape = (
        "The two histograms have the same shape: rescaling moves and stretches the axis, nothing else."
        if not outlier
        else f"One value lies {outlier} standard deviations out. The other 199 share {share}."
    )
    promise = {
        "min-max": "Min-max promises the range: 0 to 1 on the data it was fitted on.",
        "standardization": "Standardization promises mean 0 and std 1, not a range and not a bell.",
    }
    return [
        Histogram("Raw feature", x, bins=40),
        Histogram("Rescaled feature", y, bins=40, kind="normalized"),
        summary(x, y),
        Note(f"{promise[scaler]} {shape}"),
    ]


def playground():
    """Scaler x distribution x outlier, computed by the course's own scalers."""
    return Playground(
        "rescaling",
        "What does a scaler keep, and what does it change?",
        [
            Choice("scaler", "Scaler", tuple(SCALERS)),
            Choice("distribution", "Distribution", ("normal", "skewed", "heavy-tailed")),
            Slider(
                "outlier",
                "Outlier, in standard deviations",
                (0, 5, 10, 20, 50, 100),
                texts=("none", 5, 10, 20, 50, 100),
            ),
        ],
        picture,
        rescale,
        accent=ACCENT["rescaling"],
        height=560,
    )
