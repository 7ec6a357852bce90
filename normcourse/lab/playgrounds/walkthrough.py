"""A tiny matrix taken through forward and backward, one step at a time."""

from functools import partial

import numpy as np

from normcourse.core import mean_and_variance, standardize, standardize_backward
from normcourse.palette import ACCENT
from normcourse.widgets import Grid, Note, Playground, Steps, Table
from normcourse.widgets.panels import number

__all__ = ["playground"]

X = np.array([[1.0, 2.0, 10.0], [2.0, 2.0, 30.0], [3.0, 6.0, 50.0], [6.0, 6.0, 70.0]])
DY = np.array([[0.5, -1.0, 0.2], [-0.5, 1.0, 0.4], [1.0, 0.5, -0.6], [0.0, -0.5, 1.0]])
EPS = 1e-5
STATISTICS = ("mean μ", "variance σ²", "√(σ² + ε)", "mean of g", "mean of g·x̂")
AFFINE = {  # γ and β belong to a channel, in whatever direction the statistics run
    "batch_norm": (np.array([1.5, 1.0, 0.5]), np.array([0.0, 1.0, -1.0])),
    "layer_norm": (np.array([1.5, 1.0, 0.5, 2.0]), np.array([0.0, 1.0, -1.0, 0.0])),
}
WORDS = {  # shape, line of the matrix that shares a statistic, its unit, over what, where γ is
    "batch_norm": (
        "4 samples, 3 channels. Each column is one channel",
        "column",
        "channel",
        "over the samples",
        "g = dy·γ: the gradient that reaches x̂. γ is one number in each column.",
    ),
    "layer_norm": (
        "3 samples, 4 features: the batch of batch norm's walkthrough, transposed. Each row is "
        "one sample",
        "row",
        "sample",
        "over the features",
        "g = dy·γ: the gradient that reaches x̂. γ differs within a row, so it comes before "
        "the means.",
    ),
}


def listed(values):
    return f"({', '.join(number(v) for v in values)})"


def steps(technique):
    """(name, matrix, statistics known so far, text) for every step."""
    shape, line, unit, over, affine = WORDS[technique]
    gamma, beta = AFFINE[technique]
    axis = 0 if technique == "batch_norm" else 1
    x, dy = (X, DY) if axis == 0 else (X.T, DY.T)
    mean, var = mean_and_variance(x, axis)
    std = (var + EPS) ** 0.5
    xhat = standardize(x, axis, EPS)
    g = dy * gamma
    g_one, g_xhat = g.mean(axis), (g * xhat).mean(axis)
    dx = standardize_backward(g, x, axis, EPS)
    forward = [mean.ravel(), var.ravel(), std.ravel()]
    backward = [g_one, g_xhat]
    return [
        ("the batch", x, [], f"x: {shape}."),
        ("mean", x, forward[:1], f"μ = mean(x) {over}: one number per {unit}."),
        ("centred", x - mean, forward[:1], f"x − μ: every {line} now sums to zero."),
        ("squared", (x - mean) ** 2, forward[:1], "(x − μ)²: how far each number lies from μ."),
        (
            "variance",
            (x - mean) ** 2,
            forward[:2],
            "σ² = mean((x − μ)²): divided by n = 4, not 3.",
        ),
        ("std", x - mean, forward, "√(σ² + ε): ε is added inside the root."),
        ("normalized", xhat, forward, f"x̂ = (x − μ)/√(σ² + ε): mean 0, std 1 in each {line}."),
        (
            "scale and shift",
            gamma * xhat + beta,
            forward,
            f"y = γ·x̂ + β with γ = {listed(gamma)} and β = {listed(beta)}: the layer's output.",
        ),
        ("dy", dy, forward, "Backward. dy = ∂L/∂y arrives from above, one number per output."),
        ("g", g, forward, affine),
        ("mean of g", g, forward + backward[:1], f"mean(g): what acts on μ, shared by the {line}."),
        (
            "mean of g·x̂",
            g * xhat,
            forward + backward,
            f"mean(g·x̂): what acts on σ², shared by the {line}.",
        ),
        (
            "dx",
            dx,
            forward + backward,
            f"dx = (g − mean(g) − x̂·mean(g·x̂))/√(σ² + ε): each {line} sums to 0, "
            "and so does, up to ε, its product with x̂.",
        ),
    ]


def picture(function, step, *, technique):
    every = steps(technique)
    name, matrix, known, text = every[step - 1]
    lines = matrix.shape[1] if technique == "batch_norm" else matrix.shape[0]
    groups = np.arange(lines) if technique == "batch_norm" else np.arange(lines)[:, None]
    unit = WORDS[technique][2]
    unknown = [["·"] * lines] * (len(STATISTICS) - len(known))
    entries = [[number(v + 0.0) for v in row] for row in known] + unknown
    columns = "channels" if technique == "batch_norm" else "features"
    return [
        Note(f"{name.capitalize()}. {text}", "This step"),
        Grid("The numbers now", matrix, groups, columns=columns, numbers=True),
        Table(
            f"Statistics of {unit}s 1 to {lines}",
            [str(i) for i in range(1, lines + 1)],
            dict(zip(STATISTICS, entries, strict=True)),
        ),
    ]


def playground(technique="batch_norm"):
    """Forward and backward, one step at a time; layer norm takes batch norm's batch transposed."""
    names = [name for name, *_ in steps(technique)]
    count = len(names)
    texts = tuple(f"{i} of {count}: {name}" for i, name in enumerate(names, 1))
    what = "a batch goes" if technique == "batch_norm" else "each sample goes"
    return Playground(
        f"{technique}_walkthrough",
        f"Walkthrough: {what} forward and a gradient comes back",
        [Steps("step", "Step", tuple(range(1, count + 1)), texts=texts)],
        partial(picture, technique=technique),
        accent=ACCENT[technique],
        height=556,
    )
