"""Power iteration as a picture, and spectral normalization in steps, there and back."""

import numpy as np

from normcourse.lab.playgrounds.walkthrough import listed
from normcourse.palette import ACCENT, RAW
from normcourse.spectral_norm import power_iteration, spectral_norm, spectral_norm_backward
from normcourse.widgets import (
    Arrows,
    Grid,
    Lines,
    Note,
    Playground,
    Slider,
    Steps,
    Table,
)
from normcourse.widgets.panels import number

__all__ = ["matrix", "playground", "walkthrough"]

# ---- the ellipse -------------------------------------------------------------------------------

LONG = 2.0  # the largest singular value of the matrix that is drawn
TILT = np.radians(35)  # of the ellipse's long axis
RATIOS = (0.1, 0.4, 0.6, 0.8, 0.95)
ANGLES = (10, 30, 50, 70, 80, 89, 90)
MOST = 8  # steps
WARM = "#c9671f"
FLOOR = 1e-10
CIRCLE = np.stack([f(2 * np.pi * np.arange(120) / 120) for f in (np.cos, np.sin)], axis=1)


def matrix(ratio):
    """(2, 2) with singular values 2 and 2·ratio; v₁ = (1, 0), and u₁ has the tilt."""
    c, s = np.cos(TILT), np.sin(TILT)
    return np.array([[c, -s], [s, c]]) @ np.diag([LONG, LONG * ratio])


def states(function, ratio, angle, steps):
    """(v, σ) after 0 to ``steps`` steps from a start at ``angle`` degrees to v₁."""
    w = matrix(ratio)
    v = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    if angle == 90:
        v = np.array([0.0, 1.0])  # the cosine is 6e-17, from which it would grow
    found = []
    for k in range(steps + 1):
        u, moved = function(w, v, v, 1)  # u of this v; what v becomes is the next
        found.append((v, float(u @ w @ v)))
        v = moved if k < steps else v
    return found


def picture(function, steps, ratio, angle):
    w = matrix(ratio)
    every = states(function, ratio, angle, max(MOST, steps))
    start, (v, sigma) = every[0][0], every[steps]
    axis = LONG * np.array([np.cos(TILT), np.sin(TILT)])
    errors = np.array([1 - s / LONG for _, s in every])
    # tan θ falls by ratio² in each step; σ² is a mean of both squares, weighted by cos² and sin².
    with np.errstate(over="ignore", divide="ignore"):
        tangent = np.tan(np.radians(angle)) * ratio ** (2.0 * np.arange(len(every)))
        if angle == 90:
            tangent = np.full(len(every), np.inf)
        cos2 = 1 / (1 + tangent**2)
    predicted = 1 - np.sqrt(cos2 + ratio**2 * (1 - cos2))
    away = np.round(np.degrees(np.arctan2(abs(v[1]), abs(v[0]))), 9)
    note = (
        f"v is {number(away, 2)}° away from v₁, here to the right: what W takes to the long axis. "
        f"σ = uᵀWv = {number(sigma, 4)}; the truth is {number(LONG)}. After division by σ the "
        f"largest stretch is {number(LONG / sigma, 4)} instead of 1. Each step multiplies tan θ by "
        f"(σ₂/σ₁)² = {number(ratio**2, 3)}."
    )
    if angle == 90:
        note += " This start has no part along v₁: nothing can grow."
    elif LONG / sigma - 1 < 1e-3:
        note += " Good to a thousandth."
    shown = slice(0, MOST + 1)
    return [
        Arrows(
            "W turns the circle into an ellipse",
            {"v₀": ((0, 0), start), "v": ((0, 0), v), "Wv": ((0, 0), w @ v)},
            limit=2.4,
            radius=1.0,
            removed=(-axis, axis),
            colours={"v₀": RAW, "Wv": WARM},
            handles={"v₀": ("angle", None)},
            outline=CIRCLE @ w.T,
        ),
        Lines(
            "How much σ is too small",
            {
                "measured": np.maximum(errors[shown], FLOOR),
                "predicted": np.maximum(predicted[shown], FLOOR),
            },
            limits=(FLOOR, 1),
            xlabel="steps",
            ylabel="1 − σ/σ₁",
            start=0,
            stop=MOST,
            colours={"predicted": RAW},
        ),
        Table(
            "In numbers",
            ["start", "now"],
            {
                "angle to v₁": [f"{angle}°", f"{number(away, 2)}°"],
                "σ = uᵀWv": [number(every[0][1]), number(sigma)],
                "1 − σ/σ₁": [number(e, 2) for e in np.round([errors[0], errors[steps]], 12) + 0.0],
            },
        ),
        Note(note),
    ]


def playground():
    """Steps x ratio of the singular values x angle of the start."""
    return Playground(
        "spectral_norm",
        "Power iteration: W v turns to the long axis",
        [
            Slider("steps", "Steps k", tuple(range(MOST + 1)), 1),
            Slider("ratio", "Ratio σ₂/σ₁", RATIOS, 0.6),
            Slider("angle", "Angle of the start v₀", ANGLES, 70, tuple(f"{a}°" for a in ANGLES)),
        ],
        picture,
        power_iteration,
        accent=ACCENT["spectral_norm"],
        height=748,
    )


# ---- in steps ----------------------------------------------------------------------------------

W = np.array([[2.0, 3.0], [0.0, 2.0]])  # singular values 4 and 1
V0 = np.array([1.0, 0.0])
DY = np.array([[1.0, 0.0], [2.0, 1.0]])


def steps():
    """(name, matrix, vectors and numbers known so far, text) for every step."""
    u1, v1 = power_iteration(W, V0, V0, 1)
    u2, v2 = power_iteration(W, u1, v1, 1)
    u, v = power_iteration(W, u2, v2, 30)
    first, second, sigma = (float(a @ W @ b) for a, b in ((u1, v1), (u2, v2), (u, v)))
    what = spectral_norm(W, u, v)
    inner = float((DY * what).sum())
    rank_one = np.outer(u, v)
    dw = spectral_norm_backward(DY, W, u, v)
    end = {"u": u, "v": v, "σ": sigma}

    return [
        ("the weight", W, {}, "W: how far can it stretch a vector? Its singular values are 4, 1."),
        (
            "the start",
            W,
            {"v": V0},
            "v = (1, 0): any direction, of length 1. Usually it is drawn at random.",
        ),
        (
            "forward",
            W,
            {"v": V0, "W v": W @ V0},
            f"W v = {listed(W @ V0)}: where v goes.",
        ),
        ("u", W, {"v": V0, "u": u1}, "u = W v/‖W v‖: its direction, of length 1."),
        (
            "back",
            W,
            {"v": V0, "u": u1, "Wᵀu": W.T @ u1},
            f"Wᵀu = {listed(W.T @ u1)}: the same weight, from its outputs to its inputs.",
        ),
        (
            "v",
            W,
            {"v": v1, "u": u1},
            "v = Wᵀu/‖Wᵀu‖: one step is done, and v lies nearer to the direction that grows most.",
        ),
        (
            "the first estimate",
            W,
            {"v": v1, "u": u1, "σ": first},
            f"σ = uᵀW v = √13 = {number(first, 4)}: too small, as always. The truth is 4.",
        ),
        (
            "the second step",
            W,
            {"v": v2, "u": u2},
            "u = W v/‖W v‖ and v = Wᵀu/‖Wᵀu‖ once more. The error shrinks by (1/4)² in each.",
        ),
        (
            "the second estimate",
            W,
            {"v": v2, "u": u2, "σ": second},
            f"σ = {number(second, 5)}: still {number(4 - second, 1)} too small.",
        ),
        (
            "the limit",
            W,
            end,
            "After many steps u = (2, 1)/√5, v = (1, 2)/√5 and σ = 4: W v = 4u and Wᵀu = 4v.",
        ),
        (
            "normalized",
            what,
            end,
            "Ŵ = W/σ: nothing is stretched by more than 1. v still is, by exactly 1.",
        ),
        ("dY", DY, end, "Backward. dY = ∂L/∂Ŵ arrives, one number for each entry of Ŵ."),
        (
            "the inner product",
            DY * what,
            end | {"⟨dY, Ŵ⟩": inner},
            f"⟨dY, Ŵ⟩ = the sum of these products = {number(inner, 4)}: what acts on σ.",
        ),
        (
            "u vᵀ",
            rank_one,
            end | {"⟨dY, Ŵ⟩": inner},
            "u vᵀ = ∂σ/∂W: by how much σ grows with each entry of W. A matrix of rank one.",
        ),
        (
            "taken away",
            inner * rank_one,
            end | {"⟨dY, Ŵ⟩": inner},
            "⟨dY, Ŵ⟩ u vᵀ: the part of the gradient that would only have changed σ.",
        ),
        (
            "dW",
            dw,
            end | {"⟨dY, Ŵ⟩": inner, "⟨dW, W⟩": float((dw * W).sum())},
            "dW = (dY − ⟨dY, Ŵ⟩ u vᵀ)/σ. Its product with W is 0: making W longer changes nothing.",
        ),
    ]


ROWS = ("v", "W v", "u", "Wᵀu", "σ", "⟨dY, Ŵ⟩", "⟨dW, W⟩")


def _entries(known):
    """Two cells for each row; a number takes the first, what is not known yet has dots."""
    rows = {}
    for name in ROWS:
        value = known.get(name)
        cells = ["·"] * 2 if value is None else [number(v) for v in np.round([value], 9).ravel()]
        rows[name] = cells + [""] * (2 - len(cells))
    return rows


def step_picture(function, step):
    name, now, known, text = steps()[step - 1]
    return [
        Note(f"{name[0].upper()}{name[1:]}. {text}", "This step"),
        Grid("The numbers now", now, rows="outputs", columns="inputs", numbers=True, limit=4.0),
        Table("Known so far", ["1", "2"], _entries(known)),
    ]


def walkthrough():
    """A weight of small integers, through two steps of power iteration and back."""
    names = [name for name, *_ in steps()]
    count = len(names)
    texts = tuple(f"{i} of {count}: {name}" for i, name in enumerate(names, 1))
    return Playground(
        "spectral_norm_walkthrough",
        "Walkthrough: a weight is normalized and a gradient comes back",
        [Steps("step", "Step", tuple(range(1, count + 1)), texts=texts)],
        step_picture,
        accent=ACCENT["spectral_norm"],
        height=618,
    )
