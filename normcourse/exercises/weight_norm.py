"""Exercises on weight normalization: forward, backward, a start from data, folding it away."""

from math import prod

import numpy as np

from normcourse.exercises.family import FAR, mistake
from normcourse.exercises.probes import channels, naive_variance, spread_out, weights
from normcourse.exercises.record import Coefficients, Exercise, Hint, Probe, Steps

__all__ = ["EXERCISES"]

HAND = "numbers for the hand: 3, 4"
RULE = "For each index along dim, all other axes together are one vector."
STORED = "One vector is all axes along which weight_g has length 1."


# ---- axes --------------------------------------------------------------------------------------


def all_axes(v):
    return tuple(range(v.ndim))


def others(v, dim):
    """The axes of one vector: all but ``dim``; -1 and None stand for one vector in all."""
    return all_axes(v) if dim in (None, -1) else along_others(v, dim)


def along_others(v, dim):
    return all_axes(v) if dim is None else tuple(a for a in all_axes(v) if a != dim % v.ndim)


def along_dim(v, vectors):
    """The axes that are no part of a vector; all where none is left."""
    return tuple(a for a in all_axes(v) if a not in vectors) or all_axes(v)


# (name, where the norm runs, trace -> axes)
AXES = (
    ("norm along dim", "along dim itself", lambda q: along_dim(q.v, q.vectors)),
    ("one norm for everything", "over the whole array", lambda q: all_axes(q.v)),
    (
        "axis 0 taken for granted",
        "over all axes but the first, whatever was asked for",
        lambda q: all_axes(q.v)[1:],
    ),
    ("norm over the first axis only", "over axis 0 alone", lambda q: (0,)),
    ("norm over axis 1 only", "over axis 1 alone", lambda q: (1,)),
    ("norm over the last axis only", "over the last axis alone", lambda q: (q.v.ndim - 1,)),
    (
        "norm over the positions of the kernel only",
        "over the axes behind the second only",
        lambda q: all_axes(q.v)[2:],
    ),
    (
        "norm over all but the last axis",
        "over all axes but the last",
        lambda q: all_axes(q.v)[:-1],
    ),
)
# Where dim is an argument, it has a sign.
SIGNS = (
    (
        "dim = -1 taken for the last axis",
        "Where dim is -1 you keep the last axis. As in torch, -1 means None here: one norm over "
        "everything.",
        lambda q: along_others(q.v, q.dim),
    ),
    (
        "negative dim taken for None",
        "Where dim is -2 your norm runs over everything. Only -1 and None mean that; -2 and below "
        "count from the end: dim % v.ndim.",
        lambda q: tuple(a for a in all_axes(q.v) if a != q.dim),
    ),
)


# ---- g v/‖v‖, and what goes wrong in it ----------------------------------------------------------


def steps(vectors, **first):
    """w = g v/‖v‖ as steps; ``vectors`` is trace -> the axes of one vector."""
    return first | {
        "vectors": vectors,
        "axes": lambda q: q.vectors,
        "n": lambda q: prod(q.v.shape[a] for a in q.vectors),
        "square": lambda q: (q.v**2).sum(q.axes, keepdims=True),
        "norm": lambda q: np.sqrt(q.square),
        "vhat": lambda q: q.v / q.norm,
        "length": lambda q: q.g,
    }


def axes_mistakes(rule):
    return tuple(
        mistake(name, f"Your norm runs {where}. {rule}", axes=axes) for name, where, axes in AXES
    )


def eps_mistakes(
    inside=(1e-5, 1e-6, 1e-8, 1e-10, 1e-12), outside=(1e-5, 1e-6, 1e-8), least=(1e-5,)
):
    """A small number where the formula has none, as far as it shows beside a short vector."""
    shorter = "The formula has none: with it, a short vector comes out shorter than g."
    return (
        *(
            mistake(
                "eps inside the root",
                f"You add a small number to Σv². {shorter}",
                norm=lambda q, eps=eps: np.sqrt(q.square + eps),
            )
            for eps in inside
        ),
        *(
            mistake(
                "eps added to the norm",
                f"You add a small number to ‖v‖. {shorter}",
                norm=lambda q, eps=eps: np.sqrt(q.square) + eps,
            )
            for eps in outside
        ),
        *(
            mistake(
                "eps as a lower bound",
                f"You divide by the larger of ‖v‖ and a small number. {shorter}",
                norm=lambda q, eps=eps: np.maximum(np.sqrt(q.square), eps),
            )
            for eps in least
        ),
    )


def norm_mistakes(twice="squared norm"):
    """What else can be taken for ‖v‖; ``twice`` is the name of a norm that counts double."""
    return (
        mistake(
            twice,
            "You divide by ‖v‖². One ‖v‖ makes a vector of length 1; the second one changes it "
            "again. Look for a root that is missing, or a second division.",
            norm=lambda q: q.square,
        ),
        mistake(
            "not divided by the norm",
            "You multiply v by g, and its own length stays in the result. Divide by ‖v‖, so that g "
            "alone says how long w is.",
            norm=lambda q: 1.0,
        ),
        mistake(
            "multiplied by the norm",
            "You multiply by ‖v‖. Divide.",
            norm=lambda q: 1 / np.sqrt(q.square),
        ),
        mistake(
            "sum of magnitudes",
            "You divide by Σ|v|. ‖v‖ is the root of the sum of squares.",
            norm=lambda q: abs(q.v).sum(q.axes, keepdims=True),
        ),
        mistake(
            "largest magnitude",
            "You divide by the largest |v|. ‖v‖ is the root of the sum of squares.",
            norm=lambda q: abs(q.v).max(q.axes, keepdims=True),
        ),
        mistake(
            "root mean square",
            "You divide by √mean(v²). ‖v‖ is the root of the *sum* of squares: w has the length g, "
            "however many numbers it has.",
            norm=lambda q: np.sqrt((q.v**2).mean(q.axes, keepdims=True)),
        ),
        mistake(
            "standard deviation",
            "You divide by the standard deviation of v. ‖v‖ is √Σv²: no mean in it.",
            norm=lambda q: q.v.std(q.axes, keepdims=True),
        ),
        mistake(
            "mean subtracted",
            "You subtract the mean of v first. Here v is divided as it is.",
            vhat=lambda q: centred(q) / np.sqrt((centred(q) ** 2).sum(q.axes, keepdims=True)),
        ),
        mistake(
            "weight standardization",
            "You subtract the mean of v and divide by its standard deviation. That is weight "
            "standardization. Here v is divided by ‖v‖ as it is.",
            vhat=lambda q: centred(q) / q.v.std(q.axes, keepdims=True),
        ),
    )


def centred(q):
    return q.v - q.v.mean(q.axes, keepdims=True)


ABSOLUTE = "sign of g lost"
G_MISTAKES = (
    mistake(
        "g forgotten",
        "You return v/‖v‖, whose length is 1. Multiply by g.",
        length=lambda q: 1.0,
    ),
    mistake(
        ABSOLUTE,
        "You use |g|. g is a plain number: where it is negative, w points against v.",
        length=lambda q: abs(q.g),
    ),
    mistake(
        "g inside the norm",
        "You divide by ‖g v‖, so that g cancels and only its sign is left. The norm is that of v.",
        length=lambda q: np.sign(q.g),
    ),
    mistake(
        "exponential of g",
        "You use e^g, as if g were the logarithm of the length. g is the length itself.",
        length=lambda q: np.exp(q.g),
    ),
    mistake(
        "g squared",
        "You use g². g is the length itself.",
        length=lambda q: q.g**2,
    ),
    mistake(
        "one added to g",
        "You use 1 + g. g is the length itself.",
        length=lambda q: 1 + q.g,
    ),
    mistake(
        "divided by g",
        "You divide by g. Multiply.",
        length=lambda q: 1 / q.g,
    ),
)
RESULT_MISTAKES = (
    mistake(
        "v itself",
        "You return v. It holds the direction only; its length counts for nothing.",
        w=lambda q: q.v,
    ),
    mistake(
        "only longer vectors shortened",
        "You shorten what is longer than g and leave the rest, as a max-norm constraint does. Here "
        "every vector gets the length g.",
        w=lambda q: q.v * np.minimum(1, abs(q.length) / q.norm),
    ),
    mistake(
        "g added",
        "You add g to v/‖v‖. It multiplies.",
        w=lambda q: q.vhat + q.length,
    ),
)


# ---- probes --------------------------------------------------------------------------------------


def by_hand(*more):
    return np.float32([[3, 4]]), np.float32([[10]]), *more


def given(rng, shape, dim):
    """(v, g, dim): vectors of several lengths, and a g for each; every second is negative."""
    v = channels(rng, shape, 0.5)
    vectors = others(v, dim)
    kept = [1 if a in vectors else n for a, n in enumerate(shape)]
    v = v * rng.uniform(0.5, 2, kept).astype(np.float32)
    signs = rng.permuted(np.resize(np.float32([-1, 1]), prod(kept)))
    g = signs * abs(weights(rng, prod(kept)))
    return v, g.reshape(kept if len(vectors) < v.ndim else ()), dim


def short(rng, norm=3e-6):
    """The second vector is so short that no eps is small beside it."""
    v, g, dim = given(rng, (3, 4), 0)
    v[1] *= np.float32(norm) / np.linalg.norm(v[1])
    # In a gradient it outweighs the others, so its sign has to show.
    g[:2] = np.abs(g[:2]) * np.float32([[1], [-1]])
    return v, g, dim


INPUTS = (
    ("counted from the end, dim = -2", lambda rng: given(rng, (3, 2), -2)),
    ("a convolution, dim = 0", lambda rng: given(rng, (3, 2, 2, 3), 0)),
    ("a transposed convolution, dim = 1", lambda rng: given(rng, (2, 3, 3), 1)),
    ("dim = None", lambda rng: given(rng, (2, 3), None)),
    ("dim = -1", lambda rng: given(rng, (2, 3), -1)),
)


def with_dw(make):
    """``make`` with a gradient in front that has a part along v and one across."""

    def arguments(rng):
        v, *rest = make(rng)
        return channels(rng, v.shape, 0.5), v, *rest

    return arguments


# ---- forward -----------------------------------------------------------------------------------

FORWARD = steps(lambda q: others(q.v, q.dim))

AXES_HINT = Hint(
    "axes vectors dot_axes",
    "All axes but one: tuple(a for a in range(v.ndim) if a != dim % v.ndim), and all of them where "
    "dim is None or -1. keepdims=True keeps them with length 1, so that the norm meets v. "
    "np.linalg.norm takes two axes at most; a sum of squares takes any.",
)

WEIGHT_NORM = Exercise(
    name="weight_norm",
    task="Give each vector of v the length g. For each index along dim, all other axes of v "
    "are one vector; for dim None or -1, all of v is one.",
    returns=("w",),
    reference=Steps("v g dim", "w", **FORWARD, w=lambda q: q.length * q.vhat),
    probes=(
        Probe(HAND, lambda rng: by_hand(0), by_hand="‖v‖ = 5, v/‖v‖ = 0.6, 0.8"),
        Probe("a short vector", short),
        *(Probe(*probe) for probe in INPUTS),
    ),
    mistakes=(
        *axes_mistakes(RULE),
        *(mistake(name, text, axes=axes) for name, text, axes in SIGNS),
        *norm_mistakes(),
        *eps_mistakes(),
        *G_MISTAKES,
        *RESULT_MISTAKES,
    ),
    hints=(
        AXES_HINT,
        Hint(
            "square norm vhat",
            "Three steps: Σv² over a vector, then its root ‖v‖, then v/‖v‖. Take v = 3, 4 on "
            "paper: Σv² is 25, ‖v‖ is 5.",
        ),
        Hint(
            "length w",
            "Last, multiply by g as it is, whatever its sign. It has the shape of v with 1 on all "
            "axes of a vector, so it meets v by itself.",
        ),
    ),
)

# ---- backward ----------------------------------------------------------------------------------


def _sum_for_g(q, a):
    """Σ over each vector, in the shape of g."""
    return a.sum(q.vectors).reshape(q.g.shape)


DV = Coefficients(
    "dv",
    {"direct": 1, "by_norm": -1},
    ("g dw", "g (dw · v̂) v̂"),
    "axes",
    {
        "n": lambda q: q.n,
        "s": lambda q: q.norm,
        "w": lambda q: np.broadcast_to(q.length, q.v.shape),
    },
    {
        ("by_norm", "0"): (
            "norm treated as a constant",
            "Your dv is g dw/‖v‖. But ‖v‖ depends on every number of v: what lies along v has to "
            "go, - (dw · v̂) v̂.",
        ),
        ("direct", "0"): (
            "only the part along v",
            "Your dv has only the part along v. That is the part to take away from dw.",
        ),
        ("by_norm", "-1"): (
            "projection added",
            "You add (dw · v̂) v̂. It is subtracted: a longer v makes no longer w.",
        ),
        ("by_norm", "2"): (
            "projection counted twice",
            "What lies along v is taken away twice. The derivative of ‖v‖ is v̂, not 2v.",
        ),
        ("by_norm", "1/2"): (
            "half of the projection",
            "Only half of what lies along v is taken away.",
        ),
        ("by_norm", "1/n"): (
            "mean instead of the dot product in dv",
            "dw · v̂ is a sum over the vector; yours is divided by how many numbers it has.",
        ),
        ("by_norm", "s²"): (
            "v where v̂ belongs in dv",
            "Your projection is ‖v‖² times too large: both factors are v̂ = v/‖v‖, or (dw · v) v is "
            "divided by ‖v‖².",
        ),
        ("by_norm", "s"): (
            "v where v̂ belongs once in dv",
            "Your projection is ‖v‖ times too large: one factor is v instead of v̂, or one "
            "division by ‖v‖ is missing. Both terms are divided by ‖v‖, beside two v̂.",
        ),
        ("by_norm", "1/s"): (
            "projection divided by the norm once more",
            "Your projection is ‖v‖ times too small. With two v̂ in it, it is divided by ‖v‖ once, "
            "as dw is.",
        ),
        ("by_norm", "1/s²"): (
            "projection divided by the squared norm, though it holds v̂",
            "(dw · v) v is divided by ‖v‖² to become (dw · v̂) v̂. Yours holds v̂ already.",
        ),
        ("by_norm", "1/w"): (
            "g forgotten in the projection",
            "g multiplies the whole bracket: g (dw - (dw · v̂) v̂).",
        ),
        ("direct", "1/w"): (
            "g forgotten beside dw",
            "g multiplies the whole bracket: g (dw - (dw · v̂) v̂).",
        ),
        ("by_norm", "w"): (
            "w where v̂ belongs once in dv",
            "Your projection holds g once more: one factor is w = g v̂ instead of v̂.",
        ),
        ("by_norm", "w²"): (
            "w where v̂ belongs in dv",
            "Your projection holds g twice more: its factors are w = g v̂ instead of v̂.",
        ),
        ("direct", "s"): (
            "dw not divided by the norm",
            "Both terms of dv are divided by ‖v‖; your first one is not.",
        ),
        ("direct", "1/s"): (
            "dw divided by the squared norm",
            "Your first term is g dw/‖v‖². One ‖v‖ is too many.",
        ),
        ("all", "1/w"): (
            "g forgotten in dv",
            "Your dv is that of v/‖v‖. w is g times that, and so is its gradient.",
        ),
        ("all", "w"): ("g twice in dv", "You multiply by g twice."),
        ("all", "1/w²"): ("dv divided by g", "You divide by g. Multiply."),
        ("all", "s"): (
            "dv not divided by the norm",
            "The factor 1/‖v‖ is missing: v is divided by ‖v‖ on its way to w, and so is the "
            "gradient on its way back.",
        ),
        ("all", "1/s"): (
            "dv divided by the squared norm",
            "You divide by ‖v‖² in front of the bracket. It is ‖v‖.",
        ),
        ("all", "s²"): (
            "dv multiplied by the norm",
            "You multiply by ‖v‖. Divide, as on the way to w.",
        ),
        ("all", "-1"): ("sign of dv", "Your dv points the other way."),
    },
    over="‖v‖",
)
DG = Coefficients(
    "dg",
    {"dg": 1},
    ("dw · v̂",),
    "",
    {
        "n": lambda q: q.n,
        "s": lambda q: np.reshape(q.norm, q.g.shape) if np.size(q.norm) == q.g.size else np.nan,
        "w": lambda q: q.g,
    },
    {
        ("dg", "s"): (
            "v where v̂ belongs in dg",
            "Your dg is dw · v. g multiplies v̂ = v/‖v‖, so it is dw · v̂.",
        ),
        ("dg", "1/s"): (
            "dg divided by the norm once more",
            "Your dg is ‖v‖ times too small: v̂ holds the division already.",
        ),
        ("dg", "w"): (
            "w where v̂ belongs in dg",
            "Your dg is dw · w. g multiplies v̂, without g: dw · v̂.",
        ),
        ("dg", "1/n"): (
            "mean instead of a sum for dg",
            "Your dg is a mean. g multiplies each number of a vector, so their gradients add up.",
        ),
        ("dg", "-1"): ("sign of dg", "Your dg has the wrong sign."),
        ("dg", "0"): (
            "dg is zero",
            "Your dg is 0. If you took it from dv or from dw - (dw · v̂) v̂: nothing along v̂ is left "
            "in them. It is dw · v̂.",
        ),
    },
)

# The most frequent of these as steps, too: they are also made together with another mistake.
AS_STEPS = (
    *(
        mistake(*DV.causes["by_norm", law], by_norm=turn)
        for law, turn in (
            ("0", lambda q: 0 * q.direct),
            ("-1", lambda q: -q.length * q.along * q.vhat / q.norm),
            ("s", lambda q: q.length * q.along * q.vhat),
            ("s²", lambda q: q.length * q.along * q.vhat * q.norm),
        )
    ),
    *(
        mistake(*DG.causes["dg", law], dg=turn)
        for law, turn in (
            ("s", lambda q: _sum_for_g(q, q.dw * q.v)),
            ("w", lambda q: q.g * _sum_for_g(q, q.dw * q.vhat)),
            ("1/n", lambda q: _sum_for_g(q, q.dw * q.vhat) / q.n),
        )
    ),
)

WEIGHT_NORM_BACKWARD = Exercise(
    name="weight_norm_backward",
    task="From dw, the gradient of the loss with respect to w, compute the gradients with respect "
    "to v and g.",
    returns=("dv", "dg"),
    reference=Steps(
        "dw v g dim",
        "dv dg",
        **FORWARD,
        dot_axes=lambda q: q.axes,
        along=lambda q: (q.dw * q.vhat).sum(q.dot_axes, keepdims=True),
        direct=lambda q: q.length * q.dw / q.norm,
        by_norm=lambda q: q.length * q.along * q.vhat / q.norm,
        dv=lambda q: q.direct - q.by_norm,
        dg=lambda q: _sum_for_g(q, q.dw * q.vhat),
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: (np.float32([[5, 0]]), *by_hand(0)),
            by_hand="‖v‖ = 5, v̂ = 0.6, 0.8, g/‖v‖ = 2; with dw = 5, 0: dw · v̂ = 3",
        ),
        # Not shorter: the powers of ‖v‖ in a wrong gradient are to be read.
        Probe("a short vector", with_dw(lambda rng: short(rng, 3e-4))),
        *(Probe(what, with_dw(make)) for what, make in INPUTS),
    ),
    mistakes=(
        *AS_STEPS,
        *axes_mistakes(RULE),
        *(
            mistake(
                name, f"Your norm runs {where}. {RULE}", axes=axes, dot_axes=lambda q: q.vectors
            )
            for name, where, axes in AXES
        ),
        *(
            mistake(
                f"{name.replace('norm', 'dot product')}, in dv",
                f"The sum in dw · v̂ of your dv runs {where}. {RULE}",
                dot_axes=axes,
            )
            for name, where, axes in AXES
        ),
        *(mistake(name, text, axes=axes) for name, text, axes in SIGNS),
        *norm_mistakes(),
        *eps_mistakes((1e-5, 1e-6, 1e-8), (1e-5, 1e-6), ()),
        *(m for m in G_MISTAKES if m.name not in ("g forgotten", "g squared")),
        mistake(
            ABSOLUTE,
            "You use |g|. g is a plain number: where it is negative, w points against v.",
            length=lambda q: abs(q.g),
            dg=lambda q: np.sign(q.g) * _sum_for_g(q, q.dw * q.vhat),
        ),
        mistake(
            "direction of w in dg",
            "You take w/‖w‖ for v̂. Where g is negative it points against v, and dg has the wrong "
            "sign.",
            dg=lambda q: np.sign(q.g) * _sum_for_g(q, q.dw * q.vhat),
        ),
        mistake(
            "sum over the vector forgotten",
            "You take away dw v̂ v̂, number by number. Every number of v pulls on ‖v‖, so dw · v̂ is "
            "a sum over the vector, before it goes on to each.",
            by_norm=lambda q: q.length * q.dw * q.vhat**2 / q.norm,
        ),
        mistake(
            "v̂ missing behind the dot product",
            "You subtract dw · v̂ from every number alike. What is taken away lies along v̂: "
            "(dw · v̂) v̂.",
            by_norm=lambda q: q.length * q.along / q.norm + 0 * q.v,
        ),
        mistake(
            "projected on dw",
            "You take away (dw · v̂) dw. What has to go lies along v: (dw · v̂) v̂.",
            by_norm=lambda q: q.length * q.along * q.dw / q.norm,
        ),
        mistake(
            "mean of dw subtracted",
            "You subtract the mean of dw, as if v had been centred. What has to go is the part "
            "along v: (dw · v̂) v̂.",
            by_norm=lambda q: q.length * q.dw.mean(q.axes, keepdims=True) / q.norm + 0 * q.v,
        ),
        mistake(
            "dg without v̂",
            "Your dg is Σ dw: that is the gradient of something added. g multiplies v̂: dw · v̂.",
            dg=lambda q: _sum_for_g(q, q.dw),
        ),
        mistake(
            "one dg for everything",
            f"Your dg is the sum over all of dw v̂, the same for each vector. {RULE}",
            dg=lambda q: np.full(q.g.shape, (q.dw * q.vhat).sum()),
        ),
        mistake(
            "norm of dw as dg",
            "Your dg is ‖dw‖. What g can change lies along v̂: dw · v̂.",
            dg=lambda q: np.sqrt(_sum_for_g(q, q.dw**2)),
        ),
    ),
    hints=(
        Hint(
            "dg along",
            "Start with the easy one: w = g v̂ is linear in g, which multiplies each number of a "
            "vector. Its gradient is a dot product.",
        ),
        Hint(
            "dv by_norm direct",
            "v reaches v/‖v‖ on two paths: directly, and through ‖v‖, whose derivative is v̂. Write "
            "down each on paper, then add them.",
        ),
        Hint(
            "dv by_norm dot_axes length norm",
            "Turning v makes w turn, making v longer changes nothing: so dv has no part along v. "
            "Take (dw · v̂) v̂ away from dw, then scale as on the way to w: g/‖v‖.",
        ),
        AXES_HINT,
    ),
    coefficients=(DV, DG),
)

# ---- a start from data ---------------------------------------------------------------------------


def batch(rng, *shape, out=4, scale=1.0, offset=0.0):
    """(v, x): inputs whose features are correlated and have means."""
    features = 3
    x = spread_out(rng, *shape, features).reshape(-1, features)
    mixed = x @ (np.eye(features) + 0.3 * rng.standard_normal((features, features))) + offset
    v, _, _ = given(rng, (out, features), 0)
    return v, (scale * mixed).astype(np.float32).reshape(*shape, features)


def short_row(rng):
    v, x = batch(rng, 5, scale=30)  # of which no variance is small by chance
    v[1] *= np.float32(3e-6) / np.linalg.norm(v[1])
    return v, x


def _lengths(q):
    return np.linalg.norm(q.v, axis=1, keepdims=True)


def _alike(q, a):
    """The same number for each output."""
    return np.full(len(q.v), a)


WEIGHT_NORM_INIT = Exercise(
    name="weight_norm_init",
    task="From a first batch x, choose g and b so that each output (g v/‖v‖) · x + b of a linear "
    "layer has mean 0 and standard deviation 1 over the samples.",
    returns=("g", "b"),
    reference=Steps(
        "v x",
        "g b",
        axes=lambda q: (1,),
        square=lambda q: (q.v**2).sum(q.axes, keepdims=True),
        norm=lambda q: np.sqrt(q.square),
        vhat=lambda q: q.v / q.norm,
        t=lambda q: q.x @ q.vhat.T,
        samples=lambda q: tuple(range(q.x.ndim - 1)),
        n=lambda q: prod(q.x.shape[:-1]),
        mean=lambda q: q.t.mean(q.samples),
        var=lambda q: ((q.t - q.t.mean(q.samples)) ** 2).sum(q.samples) / q.n,
        std=lambda q: np.sqrt(q.var),
        scale=lambda q: 1 / q.std,
        g=lambda q: q.scale.reshape(-1, 1),
        b=lambda q: -q.mean * q.scale,
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: (np.float32([[3, 4]]), np.float32([[5, 5], [5, -5]])),
            by_hand="v/‖v‖ = 0.6, 0.8; (v/‖v‖) · x = 7 and -1, whose mean is 3 and whose standard "
            "deviation is 4",
        ),
        Probe("a short vector", short_row),
        Probe("a quiet batch", lambda rng: batch(rng, 5, scale=1e-5)),
        Probe("tokens (N, L, in)", lambda rng: batch(rng, 2, 3)),
        Probe(FAR, lambda rng: batch(rng, 6, offset=1e3), 1e-3),
    ),
    mistakes=(
        mistake(
            "norm of v ignored",
            "Your g fits v · x. w is g v/‖v‖: take the standard deviation of (v/‖v‖) · x, or "
            "multiply by ‖v‖.",
            vhat=lambda q: q.v,
        ),
        mistake(
            "norm of v counted twice",
            "Your g is ‖v‖/σ. That fits the σ of v · x; yours is that of (v/‖v‖) · x. Or you "
            "divide v by ‖v‖².",
            g=lambda q: _lengths(q) * q.scale.reshape(-1, 1),
        ),
        mistake(
            "norms of the columns",
            "You divide v by the norms of its columns (axis 0). Each *output* has a vector: v is "
            "(out, in), so the norm runs along axis 1.",
            axes=lambda q: (0,),
        ),
        mistake(
            "one norm for all vectors",
            "You divide v by one norm. Each row of v has its own: axis 1, keepdims=True.",
            axes=lambda q: (0, 1),
        ),
        *eps_mistakes(),
        *(
            mistake(
                "variance instead of the standard deviation",
                "You divide by σ². Divide by σ, so that the standard deviation becomes 1.",
                **turns,
            )
            for turns in (
                {"std": lambda q: q.var},
                {"g": lambda q: 1 / q.var.reshape(-1, 1)},
            )
        ),
        mistake(
            "unbiased standard deviation",
            "Your variance divides by n - 1. The mean of the squares is to be 1: divide by n. Look "
            "for ddof=1, or for torch's t.std(), whose default it is.",
            var=lambda q: q.t.var(q.samples, ddof=1),
        ),
        mistake(
            "root mean square",
            "You divide by √mean(t²). The mean goes away through b, so what has to become 1 is the "
            "standard deviation: subtract the mean before squaring.",
            var=lambda q: (q.t**2).mean(q.samples),
        ),
        mistake(
            "mean absolute deviation",
            "You divide by the mean of |t - μ|. The standard deviation is the root of the mean "
            "square.",
            std=lambda q: abs(q.t - q.mean).mean(q.samples),
        ),
        mistake(
            "sum of squares as the variance",
            "Your variance is a sum. It is a mean over the samples.",
            var=lambda q: q.n * q.t.var(q.samples),
        ),
        mistake(
            "cancellation",
            "Right everywhere but far from zero: there E[t²] - E[t]² subtracts two nearly equal "
            "numbers, and float32 has no digits left. Subtract the mean first, then square.",
            var=lambda q: naive_variance(q.t, q.samples),
            noisy=(FAR,),
        ),
        *(
            mistake(
                "eps inside the root of the variance",
                "You add a small number to σ². The standard deviation is to be 1 for a quiet "
                "batch, too.",
                std=lambda q, eps=eps: np.sqrt(q.var + eps),
            )
            for eps in (1e-5, 1e-6, 1e-8, 1e-12)
        ),
        *(
            mistake(
                "eps added to the standard deviation",
                "You add a small number to σ. The standard deviation is to be 1 for a quiet "
                "batch, too.",
                std=lambda q, eps=eps: np.sqrt(q.var) + eps,
            )
            for eps in (1e-5, 1e-6, 1e-8)
        ),
        *(
            mistake(
                "multiplied by the standard deviation",
                "Your g is σ. It is 1/σ: what spreads much has to become smaller.",
                **turns,
            )
            for turns in (
                {"scale": lambda q: q.std},
                {"g": lambda q: q.std.reshape(-1, 1)},
            )
        ),
        mistake(
            "norm of v as g",
            "Your g is ‖v‖: then w = v, as torch starts, and the batch counts for nothing.",
            g=_lengths,
        ),
        mistake(
            "g is 1",
            "Your g is 1. Then the standard deviation of the outputs is σ, not 1.",
            g=lambda q: np.ones((len(q.v), 1)),
        ),
        mistake(
            "b is zero",
            "Your b is 0. Then the mean of the outputs is μ/σ, not 0.",
            b=lambda q: 0 * q.mean,
        ),
        mistake(
            "sign of b",
            "Your b is μ/σ. It is added, and has to take the mean away: -μ/σ.",
            b=lambda q: q.mean * q.scale,
        ),
        mistake(
            "b not divided by the standard deviation",
            "Your b is -μ. What it has to take away is the mean of g (v/‖v‖) · x, which is μ/σ.",
            b=lambda q: -q.mean,
        ),
        mistake(
            "b is the mean",
            "Your b is μ. It has to take the mean away, and that of g (v/‖v‖) · x: -μ/σ.",
            b=lambda q: q.mean,
        ),
        mistake(
            "b multiplied by the standard deviation",
            "Your b is -μ σ. It is -μ/σ.",
            b=lambda q: -q.mean * q.std,
        ),
        mistake(
            "b divided by the variance",
            "Your b is -μ/σ². It is -μ/σ.",
            b=lambda q: -q.mean / q.var,
        ),
        mistake(
            "b from v itself",
            "For b you take the mean of v · x, but the σ of (v/‖v‖) · x. Take both from the same.",
            b=lambda q: -(q.x @ q.v.T).mean(q.samples) * q.scale,
        ),
        mistake(
            "one statistic for all outputs",
            "You use one mean and one standard deviation for all outputs. Each has its own: only "
            "the axes before the last count samples.",
            mean=lambda q: _alike(q, q.t.mean()),
            std=lambda q: _alike(q, q.t.std()),
        ),
        mistake(
            "one standard deviation for all outputs",
            "You use one standard deviation for all outputs. Each has its own: only the axes "
            "before the last count samples.",
            std=lambda q: _alike(q, q.t.std()),
        ),
        mistake(
            "one mean for all outputs",
            "You use one mean for all outputs. Each has its own: only the axes before the last "
            "count samples.",
            mean=lambda q: _alike(q, q.t.mean()),
        ),
        mistake(
            "average of standard deviations",
            "For tokens you average a standard deviation per sequence. All tokens of all "
            "sequences are one sample: both axes at once.",
            std=lambda q: q.t.std(-2).reshape(-1, len(q.v)).mean(0),
        ),
        mistake(
            "inputs taken for independent",
            "Your σ² is Σ v̂² var(x), which leaves out how the inputs vary together. Compute the "
            "outputs, then their standard deviation.",
            var=lambda q: q.x.var(q.samples) @ (q.vhat**2).T,
        ),
    ),
    hints=(
        Hint(
            "t vhat norm axes",
            "First the outputs with g = 1 and b = 0: t = x @ (v/‖v‖).T, with the norm of each row "
            "of v. Take v = 3, 4 on paper.",
        ),
        Hint(
            "g b mean std scale",
            "With g and b the output is g t + b. Its mean is g mean(t) + b, its standard "
            "deviation |g| std(t). Solve for g > 0 and b.",
        ),
        Hint(
            "samples var std mean",
            "mean and std of t run over all axes but the last: tuple(range(t.ndim - 1)). They have "
            "length out, as b; g is (out, 1): reshape(-1, 1).",
        ),
    ),
)

# ---- folded into one weight ----------------------------------------------------------------------


def stored(rng, shape, dim):
    v, g, _ = given(rng, shape, dim)
    return g, v


FOLD_WEIGHT_NORM = Exercise(
    name="fold_weight_norm",
    task="An old checkpoint has weight_g and weight_v. Return the one weight that the layer uses. "
    "Which axes make a vector is seen from the shape of weight_g.",
    returns=("weight",),
    reference=Steps(
        "weight_g weight_v",
        "w",
        **steps(
            lambda q: tuple(a for a in all_axes(q.v) if not q.g.ndim or q.g.shape[a] == 1),
            v=lambda q: q.weight_v,
            g=lambda q: q.weight_g,
        ),
        w=lambda q: q.length * q.vhat,
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: by_hand()[::-1],
            by_hand="‖weight_v‖ = 5, weight_v/‖weight_v‖ = 0.6, 0.8",
        ),
        Probe("a short vector", lambda rng: short(rng)[1::-1]),
        Probe("a convolution, weight_g (out, 1, 1, 1)", lambda rng: stored(rng, (3, 2, 2, 3), 0)),
        Probe("a transposed one, weight_g (1, out, 1)", lambda rng: stored(rng, (2, 3, 3), 1)),
        Probe("one number, weight_g ()", lambda rng: stored(rng, (2, 3), None)),
    ),
    mistakes=(
        *axes_mistakes(STORED),
        *norm_mistakes("normalized twice"),
        *eps_mistakes(),
        *G_MISTAKES,
        *RESULT_MISTAKES,
        *(
            mistake(
                "weight_g normalized",
                "You divide weight_g by its own norm. It is weight_v whose length counts for "
                "nothing.",
                w=w,
            )
            for w in (
                lambda q: q.v * q.g / np.sqrt((q.g**2).sum()),
                lambda q: q.v * q.g / abs(q.g),
            )
        ),
    ),
    hints=(
        Hint(
            "axes vectors",
            "There is no dim in a checkpoint, but weight_g has length 1 on every axis of a vector. "
            "Where its shape is (), all of weight_v is one vector.",
        ),
        Hint(
            "norm vhat square",
            "The layer computes with weight_g * weight_v / ‖weight_v‖. That array is the weight.",
        ),
        Hint(
            "length w",
            "The sign of weight_g belongs to the weight. A short weight_v is divided by its norm, "
            "too, without an eps.",
        ),
    ),
)

EXERCISES = (WEIGHT_NORM, WEIGHT_NORM_BACKWARD, WEIGHT_NORM_INIT, FOLD_WEIGHT_NORM)
