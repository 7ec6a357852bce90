"""The backward pass as a picture: what reaches x is tangent to the circle on which x̂ lies."""

import numpy as np

from normcourse.core import standardize, standardize_backward
from normcourse.palette import ACCENT, RAW
from normcourse.rms_norm import rms_norm, rms_norm_backward
from normcourse.widgets import Arrows, Note, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["playground"]

EPS = 1e-12
WARM = "#c9671f"  # of the gradient that arrives
PLANE = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])  # orthogonal to (1, 1, 1)
ANGLES = tuple(range(0, 360, 24))
SPREADS = (0.5, 1.0, 1.5)
MEAN = 2.0
GRADIENT = 1.5  # length of g less its mean


def centred(x):
    return standardize(x, 0, EPS), lambda g: standardize_backward(g, x, 0, EPS)


def uncentred(x):
    return rms_norm(x, x.shape, eps=EPS), lambda g: rms_norm_backward(g, x, x.shape, eps=EPS)[0]


def turn(degrees):
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


def picture(function, angle, spread, gradient, *, basis, mean):
    """x in three numbers, of which the plane shows what is left without their mean."""
    n = basis.shape[1]
    x = mean + spread * np.sqrt(n) * turn(angle) @ basis
    g = 0.5 * bool(mean) + GRADIENT * turn(gradient) @ basis
    xhat, backward = function(x)
    dx = backward(g)

    def flat(v):
        return basis @ v

    kept = flat(spread * dx)  # g less its mean and less its part along xhat
    tip = flat(xhat)
    where = flat(x)
    along = number(flat(g) @ tip / n, 2)
    entries = {
        name: [*v, v.sum(), v @ xhat] for name, v in {"x": x, "x̂": xhat, "g": g, "dx": dx}.items()
    }
    rows = {
        name: [number(v if abs(v) > 1e-6 else 0.0, 2) for v in values]
        for name, values in entries.items()
    }
    what = "σ" if mean else "r"
    less = "g without its mean" if mean else "g"
    return [
        Arrows(
            "What is left of g is tangent to the circle",
            {
                "x": ((0, 0), where),
                "x̂": ((0, 0), tip),
                "g": (tip, tip + flat(g)),
                "dx": (where, where + flat(dx)),
            },
            limit=3.7,
            radius=float(np.sqrt(n)),
            removed=(tip + flat(g), tip + kept),
            colours={"x": RAW, "g": WARM},
            handles={"x": ("angle", "length"), "g": ("gradient", None)},
        ),
        Table(
            "The numbers, their sum, and their product with x̂",
            [*map(str, range(1, n + 1)), "sum", "· x̂"],
            rows,
        ),
        Note(
            f"{less} starts at x̂. Its part along x̂ is taken away (dashed): here mean(g·x̂) = "
            f"{along}. What is left is tangent to the circle; divided by {what} = "
            f"{number(spread)}, it is dx."
        ),
    ]


def playground(technique="batch_norm"):
    """Three numbers that share mean and variance; for RMS normalization two without a mean."""
    rms = technique == "rms_norm"
    basis, mean = (np.eye(2), 0.0) if rms else (PLANE, MEAN)
    root = np.sqrt(basis.shape[1])

    def draw(function, angle, length, gradient):
        spread = length / root
        return picture(function, angle, spread, gradient, basis=basis, mean=mean)

    lengths = tuple(float(round(root * s, 3)) for s in SPREADS)
    texts = tuple(number(s) for s in SPREADS)
    name = "Root mean square r" if rms else "Standard deviation σ"
    return Playground(
        f"geometry_{technique}",
        "The gradient, seen from where x lies",
        [
            Slider("angle", "Direction of x", ANGLES, 48, texts=tuple(f"{a}°" for a in ANGLES)),
            Slider("length", name, lengths, lengths[1], texts=texts),
            Slider("gradient", "Direction of g", ANGLES, 120, texts=tuple(f"{a}°" for a in ANGLES)),
        ],
        draw,
        uncentred if rms else centred,
        accent=ACCENT[technique],
        height=673,
    )
