"""Batch normalization: batch size x distribution x eps x mode, and the walkthrough in steps."""

import functools

import numpy as np

from normcourse.batch_norm import batch_norm, batch_norm_inference, update_running_statistics
from normcourse.core import mean_and_variance, standardize, standardize_backward
from normcourse.lab.playgrounds.samples import DISTRIBUTIONS, sample
from normcourse.palette import ACCENT
from normcourse.widgets import Choice, Grid, Histogram, Note, Playground, Slider, Steps, Table
from normcourse.widgets.panels import number, summary

__all__ = ["playground", "walkthrough"]

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
    groups = np.broadcast_to(np.arange(len(SPREAD)), x.shape)
    outlined = groups if mode == "train" else np.zeros_like(groups)
    return [
        Grid("Raw batch", x, outlined, columns="channels"),
        Grid("Normalized batch", y, outlined, columns="channels"),
        Histogram("Raw values", x),
        Histogram("Normalized values", y, kind="normalized"),
        summary(x, y),
        Note(note),
    ]


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


# ---- the walkthrough: a tiny batch taken through the computation ---------------------------

X = np.array([[1.0, 2.0, 10.0], [2.0, 2.0, 30.0], [3.0, 6.0, 50.0], [6.0, 6.0, 70.0]])
DY = np.array([[0.5, -1.0, 0.2], [-0.5, 1.0, 0.4], [1.0, 0.5, -0.6], [0.0, -0.5, 1.0]])
GAMMA, BETA, EPS = np.array([1.5, 1.0, 0.5]), np.array([0.0, 1.0, -1.0]), 1e-5


@functools.cache
def _steps():
    """(name, matrix, statistics known so far, text) for every step."""
    mean, var = mean_and_variance(X, 0)
    std = (var + EPS) ** 0.5
    xhat = standardize(X, 0, EPS)
    g = DY * GAMMA
    g_one, g_xhat = g.mean(0), (g * xhat).mean(0)
    dx = standardize_backward(g, X, 0, EPS)
    forward = [mean[0], var[0], std[0]]
    backward = [g_one, g_xhat]
    return [
        ("the batch", X, [], "x: 4 samples, 3 channels. Each column is one channel."),
        ("mean", X, forward[:1], "μ = mean(x) over the samples: one number per channel."),
        ("centred", X - mean, forward[:1], "x − μ: every column now sums to zero."),
        ("squared", (X - mean) ** 2, forward[:1], "(x − μ)²: how far each number lies from μ."),
        ("variance", (X - mean) ** 2, forward[:2], "σ² = mean((x − μ)²): divided by n = 4, not 3."),
        ("std", X - mean, forward, "√(σ² + ε): ε is added inside the root."),
        ("normalized", xhat, forward, "x̂ = (x − μ)/√(σ² + ε): mean 0, std 1 in each column."),
        (
            "scale and shift",
            GAMMA * xhat + BETA,
            forward,
            "y = γ·x̂ + β with γ = (1.5, 1, 0.5) and β = (0, 1, −1): the layer's output.",
        ),
        ("dy", DY, forward, "Backward. dy = ∂L/∂y arrives from above, one number per output."),
        ("g", g, forward, "g = dy·γ: the gradient that reaches x̂."),
        ("mean of g", g, forward + backward[:1], "mean(g): what acts on μ, shared by the column."),
        (
            "mean of g·x̂",
            g * xhat,
            forward + backward,
            "mean(g·x̂): what acts on σ², shared by the column.",
        ),
        (
            "dx",
            dx,
            forward + backward,
            "dx = (g − mean(g) − x̂·mean(g·x̂))/√(σ² + ε): each column sums to 0, "
            "and so does, up to ε, its product with x̂.",
        ),
    ]


STATISTICS = ("mean μ", "variance σ²", "√(σ² + ε)", "mean of g", "mean of g·x̂")


def step_picture(function, step):
    name, matrix, known, text = _steps()[step - 1]
    unknown = [["·"] * 3] * (len(STATISTICS) - len(known))
    entries = [[number(v + 0.0) for v in row] for row in known] + unknown
    return [
        Note(f"{name.capitalize()}. {text}", "This step"),
        Grid("The numbers now", matrix, np.arange(3), columns="channels", numbers=True),
        Table(
            "Statistics of channels 1 to 3",
            ["1", "2", "3"],
            dict(zip(STATISTICS, entries, strict=True)),
        ),
    ]


def walkthrough():
    """Forward and backward of a batch of 4 samples and 3 channels, one step at a time."""
    steps = tuple(range(1, len(_steps()) + 1))
    texts = tuple(f"{i} of {len(steps)}: {name}" for i, (name, *_) in enumerate(_steps(), 1))
    return Playground(
        "batch_norm_walkthrough",
        "Walkthrough: a batch goes forward and a gradient comes back",
        [Steps("step", "Step", steps, texts=texts)],
        step_picture,
        accent=ACCENT["batch_norm"],
        height=547,
    )
