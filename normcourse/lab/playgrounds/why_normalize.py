"""What a step size does on two scales, and what layers do to a signal and to its gradient."""

import functools

import numpy as np

from normcourse import standard_scale, standard_statistics
from normcourse.lab import data
from normcourse.lab.descent import best_rate, descend
from normcourse.lab.network import depth_profile
from normcourse.palette import ACCENT, RAW
from normcourse.widgets import Choice, Lines, Note, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["playground", "step_size"]

DEEPEST = 30


def picture(function, depth, init, norm, activation):
    norm = None if norm == "none" else norm
    forward, backward, _ = function(depth=depth, init=init, norm=norm, activation=activation)
    padded = np.full((2, DEEPEST), np.nan)
    padded[:, :depth] = forward, backward
    return [
        Lines(
            "Signal and gradient, layer by layer",
            {"activations": padded[0], "gradients": padded[1]},
            limits=(1e-42, 1e18),
            xlabel="layer",
            ylabel="root mean square",
            start=1,
            stop=DEEPEST,
            colours={"gradients": RAW},
        ),
        Table(
            "Root mean square",
            ["activations", "gradients"],
            {
                "first layer": [forward[0], backward[0]],
                "last layer": [forward[-1], backward[-1]],
                "last / first": [_ratio(forward), _ratio(backward)],
            },
        ),
        Note(
            f"The signal {_fate(_ratio(forward))} on its way to layer {depth}. "
            f"The gradient {_fate(1 / _ratio(backward) if backward[-1] else np.nan)} on its way "
            "back to layer 1."
        ),
    ]


def _ratio(sizes):
    return sizes[-1] / sizes[0] if sizes[0] else np.nan


def _fate(ratio):
    if not np.isfinite(ratio) or ratio == 0:
        return "vanishes altogether"
    if ratio > 10:
        return f"grows by a factor of {number(float(f'{ratio:.2g}'), 2)}"
    if ratio < 0.1:
        return f"shrinks by a factor of {number(float(f'{1 / ratio:.2g}'), 2)}"
    return "keeps its size within a factor of 10"


def playground():
    """Depth x initialization x normalization x activation, on a network fed with digits."""
    return Playground(
        "why_normalize",
        "How deep can a signal go?",
        [
            Slider("depth", "Hidden layers", (5, 10, 20, 30), 30),
            Choice(
                "init",
                "Initialization: standard deviation of the weights, n inputs",
                ("small", "xavier", "he", "large"),
                texts=("small: 0.01", "Xavier: √(1/n)", "He: √(2/n)", "large: 3·√(2/n)"),
            ),
            Choice(
                "norm",
                "Normalization after each linear layer",
                ("none", "batch", "layer"),
                texts=("none", "batch norm", "layer norm"),
            ),
            Choice("activation", "Activation", ("relu", "tanh"), texts=("ReLU", "tanh")),
        ],
        picture,
        depth_profile,
        accent=ACCENT["batch_norm"],
        height=657,
    )


# ---- gradient descent on two features of the wines ------------------------------------------

STEPS = 40  # that are drawn
PATIENCE = 20_000  # for those that are counted
SHARES = (0.05, 0.25, 0.5, 0.6, 0.75, 0.9, 0.975, 1.0, 1.02)


@functools.cache
def curvature(table):
    """The Hessian of least squares on two features: colour intensity and magnesium."""
    wine = data.wine()
    x = wine.x[:, [wine.features.index(name) for name in ("color_intensity", "magnesium")]]
    _, mean, var = standard_statistics(x)
    x = x - mean if table == "raw" else standard_scale(x, mean, var)
    return x.T @ x / len(x)


def step_picture(function, table, share):
    """Both directions start with the same part of the loss, and one step size serves them."""
    H = curvature(table)
    curvatures, Q = np.linalg.eigh(H)
    lr = share * 2 / curvatures[-1]
    start = curvatures**-0.5
    path = function(H, Q @ start, lr, STEPS)
    flat, steep = (path @ Q / start).T
    loss = (path @ H * path).sum(1) / 2
    flat_factor, steep_factor = (f"{1 - lr * c + 1e-9:.2f}".replace("-", "−") for c in curvatures)
    best = best_rate(H) * curvatures[-1] / 2
    return [
        Lines(
            "Error along the two directions",
            {"steep": steep, "flat": flat},
            limits=(-2, 2),
            xlabel="step",
            ylabel="error, in units of the first",
            stop=STEPS,
            log=False,
            colours={"flat": RAW},
        ),
        Lines(
            "Loss above its minimum",
            {"loss": loss / loss[0]},
            limits=(1e-9, 1e2),
            xlabel="step",
            ylabel="loss, in units of the first",
            stop=STEPS,
        ),
        Note(
            f"{_verdict(function, H, Q @ start, lr)} η = {lr:.2g}: a step multiplies the steep "
            f"error by {steep_factor}, the flat one by {flat_factor}. The condition number is "
            f"{curvatures[-1] / curvatures[0]:.1f}, and the best share {100 * best:.1f} %."
        ),
    ]


def _verdict(function, H, error, lr):
    """Whether and when the errors are down to a thousandth."""
    first = error @ H @ error
    for step in range(1, PATIENCE):
        error = function(H, error, lr, 1)[-1]
        loss = error @ H @ error
        if loss <= 1e-6 * first:
            return f"Down to a thousandth after {step} steps."
        if not loss < 1e3 * first:
            return "It diverges: each jump is longer than the last."
    return "It never arrives: the steep error jumps from side to side for ever."


def step_size():
    """Gradient descent with one step size on two curvatures, raw and standardized."""
    texts = tuple(f"{100 * share:g} %" for share in SHARES)
    return Playground(
        "step_size",
        "One step size for two directions",
        [
            Choice("table", "Features", ("raw", "standardized")),
            Slider(
                "share", "Step size η, as a share of the limit 2/λmax", SHARES, 0.5, texts=texts
            ),
        ],
        step_picture,
        descend,
        accent=ACCENT["rescaling"],
        height=536,
    )
