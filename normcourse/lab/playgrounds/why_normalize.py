"""Depth x initialization x normalization: what layers do to a signal and to its gradient."""

import numpy as np

from normcourse.lab.network import depth_profile
from normcourse.palette import ACCENT, RAW
from normcourse.widgets import Choice, Lines, Note, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["playground"]

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
