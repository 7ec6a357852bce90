"""Batch normalization: batch size x distribution x eps x mode."""

import functools

import numpy as np

from normcourse.batch_norm import batch_norm, batch_norm_inference, update_running_statistics
from normcourse.lab.playgrounds.pictures import before_after
from normcourse.lab.playgrounds.samples import DISTRIBUTIONS, sample
from normcourse.palette import ACCENT
from normcourse.widgets import Choice, Playground, Slider
from normcourse.widgets.panels import number

__all__ = ["playground"]

# One spread per channel: where it is small, eps is no longer small beside the variance.
SPREAD = np.array([3.0, 1.0, 1.0, 0.3, 0.3, 0.1, 0.03, 0.01])


def batch(distribution, size, seed):
    return sample(distribution, (size, len(SPREAD)), seed) * SPREAD


@functools.cache
def running_statistics(distribution):
    """What 200 training batches of 32 leave behind."""
    mean, var = np.zeros(len(SPREAD)), np.ones(len(SPREAD))
    for seed in range(1, 201):
        mean, var = update_running_statistics(mean, var, batch(distribution, 32, seed))
    return mean, var


def picture(function, batch_size, distribution, eps, mode):
    x = batch(distribution, batch_size, seed=0)
    statistics = running_statistics(distribution)
    if mode == "eval":
        y = batch_norm_inference(x, *statistics, eps=eps)
        note = "The running statistics are used: a sample's result does not depend on its batch."
    elif batch_size == 1:
        y = np.full_like(x, np.nan)
        note = (
            "One sample, one number per channel: minus its own mean it would always be 0. "
            "The function refuses, as torch does. Use eval mode or a larger batch."
        )
    else:
        y = function(x, eps=eps)
        away = np.sqrt(np.mean((y - batch_norm_inference(x, *statistics, eps=eps)) ** 2))
        note = (
            f"{batch_size} samples estimate each mean and variance. The result differs from that "
            f"of the running statistics by {number(away, 2)} (root mean square)."
        )
    if batch_size > 1:
        smallest = np.std(y[:, -1])
        note += (
            f"\nThe last channel has a spread of {SPREAD[-1]}: with ε = {number(eps, 1)} its "
            f"standard deviation becomes {number(smallest, 2)}."
        )
    # In eval mode no number of the batch goes into a statistic: one outline holds all.
    return before_after(x, y, (0,) if mode == "train" else (0, 1), note)


def playground():
    """Batch size x distribution x eps x mode, computed by ``normcourse.batch_norm``."""
    eps = (1e-8, 1e-5, 1e-3, 0.1, 1.0)
    return Playground(
        "batch_norm",
        "Batch normalization, with your hands on it",
        [
            Slider("batch_size", "Batch size N", (1, 2, 4, 8, 16, 32), 8),
            Slider("eps", "ε", eps, 1e-5, texts=tuple(number(e, 1) for e in eps)),
            Choice("distribution", "Distribution", DISTRIBUTIONS),
            Choice("mode", "Mode", ("train", "eval")),
        ],
        picture,
        batch_norm,
        accent=ACCENT["batch_norm"],
        height=1002,
    )
