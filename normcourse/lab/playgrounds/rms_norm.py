"""RMS normalization: a token's mean x spread x outlier x eps x how a model stores and rounds."""

import numpy as np

from normcourse.layer_norm import layer_norm
from normcourse.palette import ACCENT
from normcourse.rms_norm import rms_norm
from normcourse.widgets import Choice, Grid, Note, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["bfloat16", "playground"]

D = 16
_RNG = np.random.default_rng(3)
TOKEN = _RNG.standard_normal(D)
TOKEN = (TOKEN - TOKEN.mean()) / TOKEN.std()
GAMMA = 1 + 0.3 * _RNG.standard_normal(D)


def bfloat16(x):
    """``x`` rounded to bfloat16, the nearest, ties to even: float32 less its last 16 bits."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    even = 0x7FFF + ((bits >> 16) & 1)
    return ((bits + even) & np.uint32(0xFFFF0000)).view(np.float32)


WAYS = {  # name -> (x̂ in float32) -> y; what a model of that name does with its stored weight
    "float32": lambda xhat: xhat * GAMMA.astype(np.float32),
    "LLaMA, bfloat16": lambda xhat: bfloat16(bfloat16(xhat) * bfloat16(GAMMA)),
    "Gemma, bfloat16": lambda xhat: bfloat16(xhat * (1 + bfloat16(GAMMA - 1))),
    "Gemma's weights in LLaMA's code": lambda xhat: bfloat16(bfloat16(xhat) * bfloat16(GAMMA - 1)),
}


def picture(function, mean, spread, outlier, eps, way):
    x = mean + spread * TOKEN
    if outlier:
        x[4] += outlier * spread
    x = x.astype(np.float32)
    exact = function(x.astype(float), D, GAMMA, eps)
    y = WAYS[way](function(x, D, None, eps))
    centred = layer_norm(x.astype(float), D, GAMMA, None, eps)
    share = np.mean(x) ** 2 / np.mean(np.square(x))
    away = np.linalg.norm(y - exact) / np.linalg.norm(exact)
    apart = np.linalg.norm(exact - centred) / np.linalg.norm(centred)
    r = np.sqrt(np.mean(np.square(x.astype(float))))
    kept = r / np.sqrt(r * r + eps)

    def column(v):
        return [
            number(0.0 if abs(a) < 1e-6 else a, 2) for a in (v.mean(), v.std(), v.min(), v.max())
        ]

    columns = [column(v.astype(float)) for v in (x, centred, y)]
    note = (
        f"The mean holds {share:.0%} of the mean square; one of {D} directions at random holds "
        f"{1 / D:.0%}. The two outputs differ by {number(apart, 2)} of layer norm's length. "
        f"x̂ has a root mean square of {number(kept, 2)}"
    )
    note += ": ε is not small beside the token." if kept < 0.99 else "."
    note += f"\n{way}: {number(away, 2)} away from float64, relative."
    return [
        Grid("The token", x[None], rows="token", limit=float(np.abs(x).max())),
        Grid("After layer norm, γ applied", centred[None], rows="token", limit=5.0),
        Grid("After RMSNorm, γ applied", y[None], rows="token", limit=5.0),
        Table(
            "In numbers",
            ["token", "layer norm", "RMSNorm"],
            dict(zip(("mean", "std", "min", "max"), zip(*columns, strict=True), strict=True)),
        ),
        Note(note),
    ]


def playground():
    """What the mean, eps and the conventions of models do to one token."""
    spreads, eps = (0.001, 0.03, 1.0), (1e-6, 1e-3, 0.1)
    return Playground(
        "rms_norm",
        "RMSNorm beside layer norm, on one token",
        [
            Slider("mean", "Mean of the token", (0.0, 0.3, 1.0, 3.0, 10.0), 0.3),
            Slider("spread", "Spread of its features", spreads, 1.0),
            Choice("outlier", "An outlier, in spreads", (0, 5, 20)),
            Slider("eps", "ε", eps, 1e-6, texts=tuple(number(e, 1) for e in eps)),
            Choice("way", "As computed by", tuple(WAYS)),
        ],
        picture,
        rms_norm,
        accent=ACCENT["rms_norm"],
        height=837,
    )
