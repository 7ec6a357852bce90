"""What all normalizations of activations share: their steps, and what goes wrong in them.

A technique says along which axes a statistic is shared and how a parameter meets its input. The
axes of every other technique are then its mistakes, and so is whatever can be done wrong in a
mean, a variance, a root, a scale and shift, and in the gradient of each.
"""

from math import prod

import numpy as np

from normcourse.exercises.probes import HAND, by_hand, channels, naive_variance
from normcourse.exercises.record import Coefficients, Exercise, Hint, Mistake, Probe, Steps

__all__ = [
    "AXES",
    "EPS",
    "FAR",
    "SHAPES_HINT",
    "UNBIASED",
    "affine_mistakes",
    "all_but_channels",
    "axes_mistakes",
    "backward",
    "both_passes",
    "coefficients",
    "eps_mistakes",
    "forward",
    "mistake",
    "on_channels",
    "statistics_mistakes",
]

EPS = 1e-5
FAR = "a large offset"  # where E[x²] - E[x]² is nothing but rounding
# For an x whose mean is left in it: what is left beside it is small.
NOISY = (FAR, "a constant channel", "a constant row", "a constant group", "tokens (N, L, D)")


def mistake(name, explanation, *, noisy=(), **turns):
    """A :class:`Mistake` that turns the steps given by name."""
    return Mistake(name, explanation, turns, noisy)


# ---- axes --------------------------------------------------------------------------------------


def all_but_channels(x):
    return (0, *range(2, x.ndim))


def on_channels(p, x):
    """The vector p (C,) on the channel axis of x (N, C, ...)."""
    return p.reshape((1, -1) + (1,) * (x.ndim - 2))


# Each technique's axes are the mistakes of the others: (name, where the mean runs, axes of x).
AXES = (
    (
        "axes of batch normalization",
        "over N and all axes behind C, as in batch normalization",
        all_but_channels,
    ),
    (
        "axes of layer normalization",
        "over all axes behind N, as in layer normalization of whole samples",
        lambda x: tuple(range(1, x.ndim)),
    ),
    (
        "axes of instance normalization",
        "over the axes behind C only, as in instance normalization",
        lambda x: tuple(range(2, x.ndim)),
    ),
    ("statistics over the batch axis only", "over axis 0 alone", lambda x: (0,)),
    ("statistics over axis 1 only", "over axis 1 alone", lambda x: (1,)),
    ("statistics over the last axis only", "over the last axis alone", lambda x: (x.ndim - 1,)),
    (
        "statistics over all but the last axis",
        "over all axes but the last, as x.reshape(-1, C) does",
        lambda x: tuple(range(x.ndim - 1)),
    ),
    ("one statistic for everything", "over the whole array", lambda x: tuple(range(x.ndim))),
)


def axes_mistakes(rule, own="", step="axis", what="Your mean runs", seen=lambda axes: axes):
    """The axes of all techniques but its ``own``, turned in ``step``.

    ``seen`` says which axes of the step ``view`` the axes of x are.
    """
    return tuple(
        mistake(
            name if step == "axis" else f"{name}, in dx",
            f"{what} {where}. {rule}",
            noisy=(FAR,),
            **{step: lambda q, axes=axes: seen(axes(q.x))},
        )
        for name, where, axes in AXES
        if name != own
    )


# ---- forward -----------------------------------------------------------------------------------


def forward(axis, place, parameters="x weight bias eps", view=lambda q: q.x):
    """The forward pass as :class:`Steps`.

    Args:
        axis: trace -> the axes of the step ``view`` that share a statistic.
        place: (parameter, x) -> the parameter, shaped to meet ``x``.
        parameters: those of the function, by the names ``x weight bias eps`` and others.
        view: trace -> x, cut so that axes can share a statistic.
    """
    return Steps(parameters, "y", **_forward(axis, place, view), y=lambda q: q.w * q.xhat + q.b)


def _forward(axis, place, view):
    return {
        "view": view,
        "axis": axis,
        "n": lambda q: prod(q.view.shape[a] for a in q.axis),
        "mean": lambda q: q.view.sum(q.axis, keepdims=True) / q.n,
        "c": lambda q: q.view - q.mean,
        "var": lambda q: (q.c**2).sum(q.axis, keepdims=True) / q.n,
        "s": lambda q: np.sqrt(q.var + q.eps),
        "xhat": lambda q: (q.c / q.s).reshape(q.x.shape),
        "w": lambda q: place(q.weight, q.x),
        "b": lambda q: place(q.bias, q.x),
    }


def eps_mistakes(variance="var"):
    """What goes wrong in √(σ² + ε), whose σ² is the step ``variance``."""

    def var(q):
        return getattr(q, variance)

    forgotten = (
        lambda q: np.sqrt(var(q)),
        lambda q: np.sqrt(np.where(var(q) == 0, 1, var(q))),
        lambda q: np.sqrt(var(q)) + 1e-12,
    )
    return (
        mistake(
            "eps outside the square root",
            "You divide by √σ² + ε; the formula has √(σ² + ε). Inside the root, ε also keeps the "
            "gradient finite where σ² is 0.",
            s=lambda q: np.sqrt(var(q)) + q.eps,
        ),
        *(
            mistake(
                "eps forgotten",
                "You divide by √σ²; the formula has √(σ² + ε). It is ε that keeps a constant "
                "group from being 0/0: a guard of your own is not the same.",
                s=s,
            )
            for s in forgotten
        ),
        mistake(
            "eps ignored",
            "Your result does not depend on eps. Add the parameter eps to σ², not a number of "
            "your own.",
            s=lambda q: np.sqrt(var(q) + EPS),
        ),
        mistake(
            "eps as a lower bound",
            "You take the larger of σ² and ε. The formula adds ε to σ².",
            s=lambda q: np.sqrt(np.maximum(var(q), q.eps)),
        ),
        mistake(
            "eps squared",
            "You add ε² to σ². The formula adds ε itself.",
            s=lambda q: np.sqrt(var(q) + q.eps**2),
        ),
        mistake(
            "divided by the variance",
            "You divide by σ² + ε. Divide by its square root, so that the result has no unit.",
            s=lambda q: var(q) + q.eps,
        ),
        mistake(
            "multiplied by the standard deviation",
            "You multiply by √(σ² + ε). Divide, so that a wide group becomes narrower.",
            s=lambda q: 1 / np.sqrt(var(q) + q.eps),
        ),
    )


UNBIASED = mistake(
    "unbiased variance",
    "Your variance divides by n - 1. To normalize, it is divided by n. Look for ddof=1, or for "
    "torch's x.var(), whose default it is.",
    var=lambda q: q.view.var(q.axis, ddof=1, keepdims=True),
)


def statistics_mistakes(rule, own="", seen=lambda axes: axes):
    """What goes wrong in a mean and a variance.

    Args:
        rule: a sentence that says which numbers share them.
        own: the name of the technique's axes in ``AXES``, if it is there.
        seen: which axes of the step ``view`` some axes of x are.
    """
    return (
        *axes_mistakes(rule, own, seen=seen),
        UNBIASED,
        *eps_mistakes(),
        mistake(
            "cancellation",
            "Right everywhere but far from zero: there E[x²] - E[x]² subtracts two nearly equal "
            "numbers, and float32 has no digits left. Subtract the mean first, then square.",
            var=lambda q: naive_variance(q.view, q.axis, keepdims=True),
            noisy=(FAR,),
        ),
        mistake(
            "mean not subtracted",
            "You divide x itself. Subtract the mean first.",
            c=lambda q: q.view,
            var=lambda q: q.view.var(q.axis, keepdims=True),
            noisy=NOISY,
        ),
        mistake(
            "mean of squares as the variance",
            "Your variance is mean(x²). It is mean((x - μ)²): subtract the mean before squaring.",
            var=lambda q: (q.view**2).sum(q.axis, keepdims=True) / q.n,
            noisy=NOISY,
        ),
        mistake(
            "root mean square",
            "You divide x by √(mean(x²) + ε), as RMS normalization does. Here the mean is "
            "subtracted first, everywhere.",
            c=lambda q: q.view,
            noisy=NOISY,
        ),
        mistake(
            "only the mean divided",
            "You compute x - μ/√(σ² + ε). Put x - μ in parentheses.",
            xhat=lambda q: (q.view - q.mean / q.s).reshape(q.x.shape),
            noisy=NOISY,
        ),
        mistake(
            "not divided",
            "You return x - μ, scaled and shifted. Divide by √(σ² + ε), too.",
            xhat=lambda q: q.c.reshape(q.x.shape),
        ),
        mistake(
            "sums divided by the batch size",
            "You divide sums by N. A mean divides by how many numbers share the statistic.",
            n=lambda q: len(q.x),
        ),
        mistake(
            "sums divided by the size of the array",
            "You divide sums by x.size. A mean divides by how many numbers share the statistic.",
            n=lambda q: q.x.size,
        ),
        mistake(
            "sum of squares as the variance",
            "Your variance is a sum. It is a mean: divide by how many numbers share it.",
            var=lambda q: (q.c**2).sum(q.axis, keepdims=True),
        ),
        mistake(
            "mean absolute deviation",
            "You divide by the mean of |x - μ|. The formula has the root of the mean square.",
            var=lambda q: abs(q.c).mean(q.axis, keepdims=True) ** 2,
        ),
        mistake(
            "median subtracted",
            "You subtract the median. The formula has the mean.",
            c=lambda q: q.view - np.median(q.view, q.axis, keepdims=True),
            var=lambda q: q.view.var(q.axis, keepdims=True),
        ),
    )


def affine_mistakes():
    """What goes wrong in γ x̂ + β."""
    return (
        mistake(
            "bias added before the weight",
            "You compute γ (x̂ + β); the formula is γ x̂ + β.",
            y=lambda q: q.w * (q.xhat + q.b),
        ),
        mistake(
            "weight and bias exchanged",
            "You compute β x̂ + γ. The weight γ multiplies, the bias β is added.",
            y=lambda q: q.b * q.xhat + q.w,
        ),
        mistake(
            "no weight and bias",
            "You return x̂ itself. Multiply by γ and add β.",
            y=lambda q: q.xhat,
        ),
        mistake(
            "one added to the weight",
            "You scale by 1 + γ, as some implementations store it. Here γ itself is the weight.",
            y=lambda q: (1 + q.w) * q.xhat + q.b,
        ),
        mistake(
            "shift folded without the scale",
            "Written as a x + b, the shift is b = β - a μ with a = γ/√(σ² + ε). Yours subtracts μ.",
            y=lambda q: q.w * q.x / spread(q.s, q) + q.b - spread(q.mean, q),
        ),
        mistake(
            "no weight",
            "You return x̂ + β. Multiply by γ before.",
            y=lambda q: q.xhat + q.b,
        ),
        mistake("no bias", "You return γ x̂. Add β.", y=lambda q: q.w * q.xhat),
        mistake(
            "bias subtracted",
            "You subtract β. The formula adds it.",
            y=lambda q: q.w * q.xhat - q.b,
        ),
        mistake(
            "divided by the weight",
            "You divide x̂ by γ. The formula multiplies.",
            y=lambda q: q.xhat / q.w + q.b,
        ),
        mistake(
            "bias divided, too",
            "You divide γ (x - μ) + β by √(σ² + ε). The bias is added after the division.",
            y=lambda q: q.w * q.xhat + q.b / spread(q.s, q),
        ),
        mistake(
            "eps added to the result",
            "You add ε to y. It belongs to the variance only.",
            y=lambda q: q.w * q.xhat + q.b + q.eps,
        ),
    )


def spread(statistic, q):
    """A statistic, repeated for each number that shares it, in the shape of x."""
    return np.broadcast_to(statistic, q.view.shape).reshape(q.x.shape)


# ---- backward ----------------------------------------------------------------------------------


def backward(axis, place, shared, parameters="dy x weight bias eps", view=lambda q: q.x):
    """The backward pass as :class:`Steps`; dx is the sum of three terms, each a step.

    Args:
        axis, place, parameters, view: as for :func:`forward`.
        shared: trace -> the axes of x along which a parameter is shared.
    """

    def mean(q, a):
        return a.sum(q.dx_axis, keepdims=True) / prod(a.shape[i] for i in q.dx_axis)

    return Steps(
        parameters,
        "dx dweight dbias",
        **_forward(axis, place, view),
        shared=shared,
        m=lambda q: prod(q.x.shape[a] for a in q.shared),
        g=lambda q: (q.dy * q.w).reshape(q.view.shape),
        z=lambda q: q.xhat.reshape(q.view.shape),
        dx_axis=lambda q: q.axis,
        dx_s=lambda q: q.s,
        direct=lambda q: q.g / q.dx_s,
        by_var=lambda q: q.z * mean(q, q.g * q.z) / q.dx_s,
        by_mean=lambda q: mean(q, q.direct - q.by_var),
        dx=lambda q: (q.direct - q.by_mean - q.by_var).reshape(q.x.shape),
        dweight=lambda q: (q.dy * q.xhat).sum(q.shared).reshape(q.weight.shape),
        dbias=lambda q: q.dy.sum(q.shared).reshape(q.bias.shape),
    )


def _mean_of(q, a):
    return a.mean(q.axis, keepdims=True)


def _closed_mean(q):
    return _mean_of(q, q.g) / q.s


def _closed_along(q):
    return q.g.mean(tuple(q.dx_axis), keepdims=True) / q.dx_s


def backward_mistakes(rule, own="", seen=lambda axes: axes):
    """What goes wrong in a gradient and is no wrong coefficient; arguments as above."""
    unsummed = (
        "Your path through the variance is not summed. Every number that shares σ² pulls on it, so "
        "its gradient is a sum over all of them, before it goes on to each."
    )
    statistics = statistics_mistakes(rule, own, seen)
    in_dx = axes_mistakes(rule, own, "dx_axis", "The means in your dx run", seen)
    return (
        *statistics,
        # Where x̂ has a mean, the graph and the closed form, which drops it, differ.
        *(
            Mistake(m.name, m.explanation, {**m.turns, "by_mean": _closed_mean}, m.noisy)
            for m in statistics
            if m.about & {"c", "xhat"}
        ),
        *in_dx,
        # In the closed form the mean is that of g, along the same axes.
        *(
            Mistake(m.name, m.explanation, {**m.turns, "by_mean": _closed_along}, m.noisy)
            for m in in_dx
        ),
        *(
            mistake("sum over the group forgotten", unsummed, by_var=by_var, by_mean=by_mean)
            for by_var in (
                lambda q: q.z * q.g * q.z / q.n / q.s,
                lambda q: q.z * q.g * q.z / q.s,
            )
            for by_mean in (lambda q: _mean_of(q, q.direct - q.by_var), _closed_mean)
        ),
        mistake(
            "weight missing in dx",
            "Your dx starts from dy. What reaches x̂ is g = dy γ.",
            g=lambda q: q.dy.reshape(q.view.shape),
        ),
        mistake(
            "weight missing in the means of dx",
            "Your dx starts from g = dy γ, but its means are those of dy. They are mean(g) and "
            "mean(g x̂).",
            by_mean=lambda q: _mean_of(q, q.dy.reshape(q.view.shape)) / q.s,
            by_var=lambda q: q.z * _mean_of(q, q.dy.reshape(q.view.shape) * q.z) / q.s,
        ),
        mistake(
            "x̂ missing behind its mean",
            "You subtract mean(g x̂) from every number alike. What is taken away lies along x̂: "
            "x̂ mean(g x̂).",
            by_var=lambda q: _mean_of(q, q.g * q.z) / q.s,
            by_mean=_closed_mean,
        ),
        mistake(
            "x where x̂ belongs in dx",
            "In the last term of dx you use x itself; both factors are x̂.",
            by_var=lambda q: q.view * _mean_of(q, q.g * q.view) / q.s,
            by_mean=_closed_mean,
            noisy=NOISY,
        ),
        mistake(
            "eps forgotten in the last division",
            "Your x̂ has √(σ² + ε), but dx is divided by √σ². It is the same root in both places.",
            dx_s=lambda q: np.sqrt(np.where(q.var == 0, 1, q.var)),
        ),
        mistake(
            "eps forgotten in the last division",
            "Your x̂ has √(σ² + ε), but dx is divided by √σ². It is the same root in both places.",
            dx_s=lambda q: np.sqrt(q.var),
        ),
        mistake(
            "eps forgotten in x̂",
            "dx is divided by √(σ² + ε), but your x̂ by √σ². It is the same root in both places.",
            xhat=lambda q: (q.c / np.sqrt(np.where(q.var == 0, 1, q.var))).reshape(q.x.shape),
        ),
        mistake(
            "dweight from x",
            "Your dweight is Σ dy x. The weight multiplies x̂, so it is Σ dy x̂.",
            dweight=lambda q: (q.dy * q.x).sum(q.shared).reshape(q.weight.shape),
            noisy=NOISY,
        ),
        mistake(
            "dweight from x - μ",
            "Your dweight is Σ dy (x - μ). The weight multiplies x̂: divide by √(σ² + ε), too.",
            dweight=lambda q: (q.dy * q.c.reshape(q.x.shape)).sum(q.shared).reshape(q.weight.shape),
        ),
        mistake(
            "dweight from y",
            "Your dweight is Σ dy y. The weight multiplies x̂, before γ and β: Σ dy x̂.",
            dweight=lambda q: (q.dy * (q.w * q.xhat + q.b)).sum(q.shared).reshape(q.weight.shape),
        ),
        mistake(
            "dweight is dbias",
            "Your dweight is Σ dy. The weight multiplies x̂: Σ dy x̂.",
            dweight=lambda q: q.dy.sum(q.shared).reshape(q.weight.shape),
        ),
    )


_CONSTANT = (
    "Your dx is g/√(σ² + ε). But μ and σ² depend on every x of the group: two terms are missing, "
    "- mean(g) and - x̂ mean(g x̂). Alone it is right for inference."
)
_CAUSES = {
    ("by_mean by_var", "0"): ("statistics treated as constants", _CONSTANT),
    ("by_mean", "0"): (
        "path through the mean missing",
        "Your dx lacks the term - mean(g): x also reaches y through μ.",
    ),
    ("by_var", "0"): (
        "path through the variance missing",
        "Your dx lacks the term - x̂ mean(g x̂): x also reaches y through σ².",
    ),
    ("by_mean", "-1"): (
        "wrong sign of the mean path",
        "You add mean(g). It is subtracted: a larger μ makes x̂ smaller.",
    ),
    ("by_var", "-1"): (
        "wrong sign of the variance path",
        "You add x̂ mean(g x̂). It is subtracted: a larger σ² makes x̂ smaller.",
    ),
    ("by_mean by_var", "-1"): (
        "wrong sign of both paths",
        "You add mean(g) and x̂ mean(g x̂). Both are subtracted.",
    ),
    ("by_var", "2"): (
        "variance path counted twice",
        "A factor ½ is missing: the derivative of (σ² + ε)^(-½) is -½ (σ² + ε)^(-3/2).",
    ),
    ("by_var", "1/2"): (
        "half of the variance path",
        "A factor 2 is missing: the derivative of c² is 2c.",
    ),
    ("by_mean by_var", "n"): (
        "sums instead of means in dx",
        "Your dx subtracts sum(g) and x̂ sum(g x̂). Both are means: each x contributes 1/n to μ.",
    ),
    ("by_mean", "n"): (
        "a sum instead of mean(g)",
        "Your dx subtracts sum(g). Each x contributes 1/n to μ, so it is the mean.",
    ),
    ("by_var", "n"): (
        "1/n forgotten in the variance path",
        "Your variance path is n times too large: σ² is a mean, so each x contributes 2c/n to it.",
    ),
    ("by_mean", "1/n"): (
        "mean(g) divided by n once more",
        "A mean is divided by n already.",
    ),
    ("by_var", "1/n"): (
        "variance path divided by n once more",
        "A mean is divided by n already. Or dr is a mean: it is a sum, since all share it.",
    ),
    ("by_mean by_var", "n/N"): (
        "sums in dx divided by the batch size",
        "Your dx divides sums by N. n is how many numbers share the statistics.",
    ),
    ("by_mean", "n/N"): (
        "sum of g divided by the batch size",
        "Your dx divides the sum of g by N. n is how many numbers share the statistics.",
    ),
    ("by_var", "n/N"): (
        "sum of g x̂ divided by the batch size",
        "Your dx divides the sum of g x̂ by N. n is how many numbers share the statistics.",
    ),
    ("by_var", "s²"): (
        "x - μ where x̂ belongs in dx",
        "The variance path is σ² + ε times too large: both factors are x̂ = (x - μ)/√(σ² + ε). In "
        "the derivation it is the power of r: the derivative of the root has r³.",
    ),
    ("by_var", "s"): (
        "x - μ where x̂ belongs once in dx",
        "The variance path is √(σ² + ε) times too large: one factor is x - μ instead of x̂, or a "
        "power of r is missing. The derivative of the root has r³.",
    ),
    ("all", "s"): (
        "dx not divided by the standard deviation",
        "The last factor of dx is missing: x is divided by √(σ² + ε) on its way to x̂, and so is "
        "the gradient on its way back.",
    ),
    ("all", "1/s"): (
        "dx divided by the variance",
        "You divide by σ² + ε. Divide by its square root.",
    ),
    ("all", "s²"): (
        "dx multiplied by the standard deviation",
        "You multiply by √(σ² + ε). Divide by it, as on the way to x̂.",
    ),
    ("all", "n"): (
        "dx not divided by n",
        "Written with sums, dx is (n g - Σg - x̂ Σ g x̂)/(n √(σ² + ε)). The n below is missing.",
    ),
    ("all", "-1"): ("sign of dx", "Your dx points the other way."),
    ("all", "w"): ("weight twice in dx", "You multiply by γ twice. g = dy γ already holds it."),
}


def _parameter_causes(name, symbol, what):
    return {
        (name, "1/m"): (
            f"mean instead of a sum for {name}",
            f"Your {name} is a mean. {symbol} collects the gradient of all numbers {what}: a sum.",
        ),
        (name, "1/N"): (
            f"{name} divided by the batch size",
            "If the loss is a mean over the batch, dy holds that 1/N already: it is a plain sum.",
        ),
        (name, "w"): (
            f"weight inside {name}",
            f"Your {name} starts from g = dy γ. The gradients of the parameters come from dy.",
        ),
        (name, "-1"): (f"sign of {name}", f"Your {name} has the wrong sign."),
        (name, "0"): (f"{name} is zero", f"Your {name} is 0. {symbol} changes y, too."),
    }


def coefficients(symbols=("g", "mean(g)", "x̂ mean(g x̂)")):
    """How dx, dweight and dbias of a normalization are read."""
    return (
        Coefficients(
            "dx",
            {"direct": 1, "by_mean": -1, "by_var": -1},
            symbols,
            "axis",
            {
                "n": lambda q: q.n,
                "N": lambda q: len(q.x),
                "s": lambda q: q.s,
                "w": lambda q: np.broadcast_to(q.w, q.x.shape).reshape(q.view.shape),
            },
            _CAUSES,
        ),
        *(
            Coefficients(
                name,
                {name: 1},
                (symbol,),
                "",
                {"m": lambda q: q.m, "N": lambda q: len(q.x), "w": lambda q: q.weight},
                _parameter_causes(name, letter, what),
            )
            for name, symbol, letter, what in (
                ("dweight", "Σ dy x̂", "γ", "it multiplies"),
                ("dbias", "Σ dy", "β", "it is added to"),
            )
        ),
    )


# ---- both exercises of a technique -------------------------------------------------------------


def both_passes(
    name, *, task, axes, place, shared, probes, hand, rule, hint,
    more=(), own="", of_forward=(), of_backward=(),
    view=lambda x, *_: x, seen=lambda axes: axes,
):  # fmt: skip
    """The exercises ``name`` and ``name_backward`` of a technique.

    Args:
        name: of the technique and of the function.
        task: what the forward pass computes.
        axes: (x, *more) -> the axes that share a statistic.
        place: (parameter, x) -> the parameter, shaped to meet x.
        shared: (x, *more) -> the axes along which a parameter is shared.
        probes: (what is special, rng -> arguments of the forward pass, tolerance if not the usual).
        hand: shape of the four numbers for the hand, which are one group.
        rule: a sentence that says which numbers share a statistic.
        hint: on these axes.
        more: (parameters between x and weight, their values for the numbers for the hand).
        own: the name of these axes in ``AXES``, if they are there.
        of_forward, of_backward: mistakes that only this technique has.
        view: (x, *more) -> x, cut so that axes can share a statistic; ``axes`` are those of it.
        seen: axes of x -> the same axes of the view.
    """
    between, values = more or ("", ())
    parameters = " ".join(("x", between, "weight bias eps"))

    def of(axes_of):
        return lambda q: axes_of(q.x, *(getattr(q, given) for given in between.split()))

    def row(dy=None):
        alike = shared(np.empty(hand), *values)
        size = tuple(n for axis, n in enumerate(hand) if axis not in alike)
        *first, weight, bias, eps = by_hand(dy, hand, size)
        return *first, *values, weight, bias, eps

    about_axes = Hint("axis n view mean dx_axis shared", hint)
    return (
        Exercise(
            name=name,
            task=task,
            returns=("y",),
            reference=forward(of(axes), place, parameters, of(view)),
            probes=(
                Probe(HAND, lambda rng: row(), by_hand="μ = 4, σ² = 5, x̂ = -1, -1/3, 1/3, 1"),
                *(Probe(*probe) for probe in probes),
            ),
            mistakes=(*statistics_mistakes(rule, own, seen), *affine_mistakes(), *of_forward),
            hints=(
                about_axes,
                Hint(
                    "c var s xhat y",
                    "Four steps: μ, then σ² = mean((x - μ)²), then x̂ = (x - μ)/√(σ² + ε), then "
                    "γ x̂ + β. Take x = 1, 3, 5, 7 and ε = 4 on paper, and print the same steps.",
                ),
                SHAPES_HINT,
            ),
        ),
        Exercise(
            name=f"{name}_backward",
            task="From dy, the gradient of the loss with respect to y, compute the gradients with "
            "respect to x, weight and bias.",
            returns=("dx", "dweight", "dbias"),
            reference=backward(of(axes), place, of(shared), f"dy {parameters}", of(view)),
            probes=(
                Probe(
                    HAND,
                    lambda rng: row((6, 0, 0, 2)),
                    by_hand="x̂ = -1, -1/3, 1/3, 1 and √(σ² + ε) = 3; with g = 6, 0, 0, 2: "
                    "mean(g) = 2 and mean(g x̂) = -1",
                ),
                *(Probe(what, _with_dy(make, axes, view), *rest) for what, make, *rest in probes),
            ),
            mistakes=(*backward_mistakes(rule, own, seen), *of_backward),
            hints=(
                Hint(
                    "dweight dbias g w",
                    "Start with the easy two: y = γ x̂ + β is linear in γ and β, and each is used "
                    "by many numbers. What reaches x̂ is g = dy γ.",
                ),
                Hint(
                    "dx by_mean by_var",
                    "x reaches x̂ on three paths: directly, through μ and through σ². Write down "
                    "the derivative of each on paper, then add them.",
                ),
                Hint(
                    "dx by_mean by_var dx_axis dx_s",
                    "What is left of g has no mean, and (for ε = 0) no part along x̂: it is taken "
                    "away, with means over the axes that share a statistic. Then divide as on the "
                    "way to x̂.",
                ),
                about_axes,
            ),
            coefficients=coefficients(),
        ),
    )


SHAPES_HINT = Hint(
    "w b mean mu sigma2",
    "keepdims=True keeps reduced axes with length 1, so that a statistic meets x. A vector (C,) "
    "meets the last axis by itself; reshape((1, -1) + (1,) * (x.ndim - 2)) moves it to axis 1.",
)


def _with_dy(make, axes, view):
    """``make`` with a gradient in front; its parts along 1, along xhat and across are all there."""

    def arguments(rng):
        x, *rest = make(rng)
        v = view(x, *rest)
        c = (v - v.mean(axes(x, *rest), keepdims=True)).reshape(x.shape)
        return 0.5 + 0.8 * c + 0.6 * c**2 + 0.3 * channels(rng, x.shape), x, *rest

    return arguments
