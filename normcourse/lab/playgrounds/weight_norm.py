"""Weight normalization: where v starts x how long it is x step size x steps."""

from functools import cache, lru_cache

import numpy as np

from normcourse.lab import data
from normcourse.palette import ACCENT, INK, RAW
from normcourse.weight_norm import weight_norm, weight_norm_backward
from normcourse.widgets import Arrows, Lines, Note, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["descend", "length_and_direction", "one_vector", "playground", "problem"]

ANGLES = tuple(range(0, 360, 30))
LENGTHS, RATES = (0.25, 0.7, 1.5), (0.03, 0.1, 0.3, 1.0)
STEPS = (0, 1, 2, 3, 5, 10, 30)
LAST = STEPS[-1]
G = 1.0  # the length of w at the start, whatever that of v
LIMIT = 2.0
FARTHEST = 1.8  # what is longer is drawn so long, in its own direction
WARM = "#c9671f"  # of w


@cache
def problem():
    """(H, goal) of |Xw - y|^2 / 2n: two features of the tumours, y = 1 malignant, -1 benign."""
    table = data.breast_cancer()
    x = table.x[:, :2]
    x = (x - x.mean(0)) / x.std(0)
    y = np.where(table.y == 0, 1.0, -1.0)
    H = x.T @ x / len(x)
    return H, np.linalg.solve(H, x.T @ (y - y.mean()) / len(x))


def length_and_direction(v, g):
    """w, and what its gradient becomes: (dv, dg)."""
    return weight_norm(v, g, None), lambda dw: weight_norm_backward(dw, v, g, None)


def one_vector(v, g):
    """The vector itself is what is learned; there is no g."""
    return v, lambda dw: (dw, 0 * g)


@lru_cache(512)  # all pictures of one start and step size show the same descent
def descend(function, v, g, lr, steps):
    """v, g and w before the first step and after each of ``steps``, and the norm of each dv."""
    H, goal = problem()
    v, g = np.asarray(v, float), np.asarray(g, float)
    path, norms = [], []
    for step in range(steps + 1):
        w, backward = function(v, g)
        path.append((v, g, w))
        if step < steps:
            dv, dg = backward(H @ (w - goal))
            norms.append(np.linalg.norm(dv))
            v, g = v - lr * dv, g - lr * dg
    v, g, w = (np.array(part) for part in zip(*path, strict=True))
    return v, g, w, np.array(norms)


def angle_to(goal, w):
    """Degrees between each row of ``w`` and ``goal``."""
    turned = np.arctan2(w[:, 1], w[:, 0]) - np.arctan2(goal[1], goal[0])
    return np.degrees(np.abs((turned + np.pi) % (2 * np.pi) - np.pi))


def losses(H, goal, w):
    """How far the loss is above its minimum, for each row of ``w``."""
    return np.einsum("ki,ij,kj->k", w - goal, H, w - goal) / 2


def within(vector):
    """``vector``, shortened where it would leave the picture."""
    return vector * min(1, FARTHEST / max(np.linalg.norm(vector), 1e-12))


def picture(function, angle, length, lr, steps):
    H, goal = problem()
    start = length * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    unit = G * start / max(length, 1e-12)
    v, g, w, norms = descend(function, tuple(start), G, lr, max(steps, LAST))
    plain = descend(one_vector, tuple(unit), G, lr, max(steps, LAST))[2]
    angles, above = angle_to(goal, w), losses(H, goal, w)
    size = np.linalg.norm(v, axis=1)
    grown = float(((lr * norms[:steps]) ** 2).sum())
    alone = angle_to(goal, plain)

    def column(k):
        values = size[k], g[k], angles[k], above[k], lr / max(size[k], 1e-12) ** 2
        return [number(0.0 if abs(a) < 1e-6 else float(a), 2) for a in values]

    note = (
        f"{steps} step{'s' * (steps != 1)}: ‖v‖² = {number(size[0] ** 2, 3)} at the start, plus "
        f"{number(grown, 3)}, the sum of (step size · ‖dv‖)², is {number(size[steps] ** 2, 3)}. "
        f"w is {number(np.round(angles[steps], 6), 2)}° away from the best direction; one vector, "
        f"learned as it is from the same w, {number(np.round(alone[steps], 6), 2)}°."
    )
    if size[steps] > FARTHEST:
        note += " v is longer than the picture; its direction is right."
    shown, origin = within(v[steps]), (0, 0)
    names = ("v₀", "v", "w", "best w")
    titles = "‖v‖", "g", "angle to the best w, °", "loss above its minimum", "step size / ‖v‖²"
    return [
        Arrows(
            "v grows and turns; w turns with it",
            dict(
                zip(
                    names,
                    [(origin, start), (origin, shown), (origin, within(w[steps])), (origin, goal)],
                    strict=True,
                )
            ),
            limit=LIMIT,
            radius=float(np.linalg.norm(goal)),
            removed=(start, shown),
            colours={names[0]: RAW, "w": WARM, "best w": INK},
            handles={names[0]: ("angle", "length")},
        ),
        Table(
            "In numbers",
            ["start", "now"],
            dict(zip(titles, zip(column(0), column(steps), strict=True), strict=True)),
        ),
        Lines(
            "Away from the best direction",
            {"v and g": angles[: LAST + 1], "one vector": alone[: LAST + 1]},
            (0, 180),
            "step",
            "degrees",
            stop=LAST,
            log=False,
            colours={"one vector": RAW},
        ),
        Note(note),
    ]


def playground():
    """What the length of v does to the turning of w, and what the steps do to that length."""
    return Playground(
        "weight_norm",
        "Length and direction, learned apart",
        [
            Slider("angle", "Direction of v₀, v at the start", ANGLES, 90),
            Slider("length", "Its length, ‖v‖", LENGTHS, 0.7),
            Slider("lr", "Step size", RATES, 0.3),
            Slider("steps", "Steps taken", STEPS, 3),
        ],
        picture,
        length_and_direction,
        accent=ACCENT["weight_norm"],
        height=790,
    )
