"""The backward pass as a picture: what comes back is tangent to the circle of what went out."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from normcourse.core import standardize, standardize_backward
from normcourse.palette import ACCENT, RAW
from normcourse.rms_norm import rms_norm, rms_norm_backward
from normcourse.weight_norm import weight_norm, weight_norm_backward
from normcourse.widgets import Arrows, Note, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["playground"]

EPS = 1e-12
WARM = "#c9671f"  # of the gradient that arrives
PLANE = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])  # orthogonal to (1, 1, 1)
ANGLES = tuple(range(0, 360, 24))
SPREADS = (0.5, 1.0, 1.5)
LENGTHS = (1.0, 2.6, 3.4)  # of v, never that of w
MEAN = 2.0
GRADIENT = 1.5  # length of g less its mean
G = np.array(1.5)  # the length that weight normalization gives w


def centred(x):
    return standardize(x, 0, EPS), lambda g: standardize_backward(g, x, 0, EPS)


def uncentred(x):
    return rms_norm(x, x.shape, eps=EPS), lambda g: rms_norm_backward(g, x, x.shape, eps=EPS)[0]


def given_length(v):
    return weight_norm(v, G, None), lambda dw: weight_norm_backward(dw, v, G, None)[0]


@dataclass(frozen=True)
class Case:
    """What goes through a technique, and what is said of it.

    Args:
        function: x -> (result, backward).
        names: of x, the result, the gradient that arrives and what becomes of it.
        says: (x, result, gradient, what becomes of it) -> the note.
        size: name of the size of x, on the slider.
        sizes: its values; times ``unit`` they are lengths of the arrow.
        basis: of the plane that is drawn.
        mean: of x, where the plane does not show it.
    """

    function: Callable
    names: tuple
    says: Callable
    size: str
    sizes: tuple = SPREADS
    unit: float = 1.0
    basis: np.ndarray = field(default_factory=lambda: np.eye(2))
    mean: float = 0.0


def turn(degrees):
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])


def says_centred(numbers):
    def says(x, xhat, g, dx):
        return (
            f"{numbers} share mean and variance; the picture shows them without their mean. "
            "g without its mean starts at x̂. Its part along x̂ is taken away (dashed): here "
            f"mean(g·x̂) = {short(np.mean(g * xhat))}. What is left is tangent to the circle; "
            f"divided by σ = {short(x.std())}, it is dx."
        )

    return says


def says_uncentred(x, xhat, g, dx):
    return (
        "Two features of one sample share a root mean square. g starts at x̂. Its part along x̂ is "
        f"taken away (dashed): here mean(g·x̂) = {short(np.mean(g * xhat))}. What is left is "
        f"tangent to the circle; divided by r = {short(np.sqrt(np.mean(x * x)))}, it is dx. "
        f"No mean is subtracted, and none from g: dx need not sum to 0, here to {short(dx.sum())}."
    )


def says_of_weights(v, w, dw, dv):
    length, after = np.linalg.norm(v), np.linalg.norm(v - dv)
    return (
        f"w = g·v/‖v‖ has the length g = {short(G)}, whatever that of v. dw starts at w. Its part "
        "along w is taken away (dashed): only g can make w longer. What is left is tangent to the "
        f"circle; times g/‖v‖ = {short(G / length)}, it is dv. It is orthogonal to v, too: by "
        f"Pythagoras the step v − dv takes ‖v‖ from {short(length)} to {short(after)}. Steps never "
        "shorten v, and the longer v, the shorter dv."
    )


CENTRED = {
    "function": centred,
    "names": ("x", "x̂", "g", "dx"),
    "size": "Standard deviation σ",
    "unit": np.sqrt(3),
    "basis": PLANE,
    "mean": MEAN,
}
CASES = {
    "batch_norm": Case(says=says_centred("Three samples of one channel"), **CENTRED),
    "layer_norm": Case(says=says_centred("Three features of one sample"), **CENTRED),
    "rms_norm": Case(
        uncentred, CENTRED["names"], says_uncentred, "Root mean square r", unit=np.sqrt(2)
    ),
    "weight_norm": Case(
        given_length, ("v", "w", "dw", "dv"), says_of_weights, "Length of v, ‖v‖", LENGTHS
    ),
}


def short(value):
    """Two digits, rounding noise as 0."""
    return number(value if abs(value) > 1e-6 else 0.0, 2)


def table(names, vectors):
    """The vectors in numbers. What matters besides: their sums, or the length of a weight."""
    x, xhat, _, dx = vectors
    rows = dict(zip(names, vectors, strict=True))
    if "w" in names:
        rows["v − dv"] = x - dx
        title, columns = "The numbers, their length, and their product with v", ("length", "· v")
        more = {name: (np.linalg.norm(u), u @ x) for name, u in rows.items()}
    else:
        title, columns = "The numbers, their sum, and their product with x̂", ("sum", "· x̂")
        more = {name: (u.sum(), u @ xhat) for name, u in rows.items()}
    entries = {name: [short(v) for v in (*u, *more[name])] for name, u in rows.items()}
    return Table(title, [*map(str, range(1, len(x) + 1)), *columns], entries)


def picture(function, case, angle, length, gradient):
    """x in a few numbers, of which the plane shows what is left without their mean."""
    x = case.mean + length * turn(angle) @ case.basis
    g = 0.5 * bool(case.mean) + GRADIENT * turn(gradient) @ case.basis
    xhat, backward = function(x)
    vectors = x, xhat, g, backward(g)
    start, tip, arriving, left = (case.basis @ v for v in vectors)
    radius = round(float(np.linalg.norm(tip)), 9)  # without what rounding and eps leave
    kept = left * length / radius  # g less its mean and less its part along xhat
    moving, _, warm, _ = case.names
    ends = ((0, 0), start), ((0, 0), tip), (tip, tip + arriving), (start, start + left)
    return [
        Arrows(
            f"What is left of {warm} is tangent to the circle",
            dict(zip(case.names, ends, strict=True)),
            limit=3.7,
            radius=radius,
            removed=(tip + arriving, tip + kept),
            colours={moving: RAW, warm: WARM},
            handles={moving: ("angle", "length"), warm: ("gradient", None)},
        ),
        table(case.names, vectors),
        Note(case.says(*vectors)),
    ]


def playground(technique="batch_norm"):
    """Three numbers that share mean and variance, two that share a size, or a weight of two."""
    case = CASES[technique]
    moving, _, arriving, _ = case.names

    def draw(function, angle, length, gradient):
        return picture(function, case, angle, length, gradient)

    lengths = tuple(float(round(case.unit * s, 3)) for s in case.sizes)
    texts = tuple(number(s) for s in case.sizes)
    degrees = tuple(f"{a}°" for a in ANGLES)
    return Playground(
        f"geometry_{technique}",
        f"The gradient, seen from where {moving} lies",
        [
            Slider("angle", f"Direction of {moving}", ANGLES, 48, texts=degrees),
            Slider("length", case.size, lengths, lengths[1], texts=texts),
            Slider("gradient", f"Direction of {arriving}", ANGLES, 120, texts=degrees),
        ],
        draw,
        case.function,
        accent=ACCENT[technique],
        height=693,
    )
