"""Exercises on instance normalization: forward, backward, and both for the adaptive one."""

from dataclasses import replace

import numpy as np

from normcourse.exercises.family import (
    EPS,
    FAR,
    SHAPES_HINT,
    affine_mistakes,
    all_but_channels,
    axes_mistakes,
    backward,
    backward_mistakes,
    both_passes,
    coefficients,
    forward,
    mistake,
    on_channels,
    statistics_mistakes,
)
from normcourse.exercises.probes import HAND, by_hand, channels, spread_out, weights
from normcourse.exercises.record import Coefficients, Exercise, Hint, Mistake, Probe, Steps

__all__ = ["EXERCISES"]

OWN = "axes of instance normalization"
RULE = "Here each channel of each sample has its own statistics, over its positions."
AXES_HINT = (
    "Which axes share a statistic? All behind N and C: tuple(range(2, x.ndim)). With keepdims=True "
    "what is left has the shape (N, C, 1, ...)."
)


def positions(x, *_):
    return tuple(range(2, x.ndim))


def channel_of_a_sample(rng, *shape, scale, mean=0.0):
    """(N, C, ...) of which one channel of one sample is narrow, or constant where scale is 0."""
    x = spread_out(rng, *shape, mean=mean)
    x[0, 0] = scale * x[0, 0] if scale else 2
    return x


def image(rng, n, c, h, w):
    """A channels-last batch with a narrow channel, seen as (N, C, H, W). w = c hides an axis."""
    x = channel_of_a_sample(rng, n, c, h, w, scale=0.05)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def affine(rng, c):
    return weights(rng, c), channels(rng, c)


def last_axis(which, *steps):
    """Parameters that meet the last axis."""
    given = {"w": lambda q: q.weight, "b": lambda q: q.bias}
    return mistake(
        f"{which} on the last axis",
        "A vector (C,) meets the last axis of x, but channels are axis 1. Give it the shape "
        "(1, C, 1, ...) first.",
        **{step: given[step] for step in steps},
    )


LAYOUT = (
    last_axis("weight and bias", "w", "b"),
    last_axis("weight", "w"),
    last_axis("bias", "b"),
    mistake(
        "channels on the last axis",
        "You treat the last axis as the channels, as TensorFlow does. Here the layout is "
        "(N, C, ...): channels are axis 1, positions follow.",
        axis=lambda q: tuple(range(1, q.x.ndim - 1)),
        w=lambda q: q.weight,
        b=lambda q: q.bias,
        noisy=(FAR,),
    ),
)
SHARED = (
    mistake(
        "samples and channels mixed",
        "x.reshape(C, -1) does not collect a channel: samples come first in memory. Flatten only "
        "the positions: x.reshape(N, C, -1).",
        view=lambda q: q.x.reshape(q.x.shape[1], -1),
        axis=lambda q: (1,),
        noisy=(FAR,),
    ),
    mistake(
        "variance averaged over the samples",
        "Each sample has its own mean in your code, but the variance is one for all samples. Both "
        "belong to one channel of one sample.",
        var=lambda q: (q.c**2).mean(all_but_channels(q.x), keepdims=True),
    ),
    mistake(
        "mean of the whole batch",
        "Your mean runs over the samples, too, and what is divided by does not. Both belong to one "
        "channel of one sample.",
        mean=lambda q: q.x.mean(all_but_channels(q.x), keepdims=True),
        noisy=(FAR,),
    ),
)

FORWARD, BACKWARD = both_passes(
    "instance_norm",
    task="Normalize each channel of each sample over its positions; then scale by weight and shift "
    "by bias, per channel.",
    axes=positions,
    place=on_channels,
    shared=lambda x, *_: all_but_channels(x),
    probes=(
        (
            "a sequence (N, C, L) and a large eps",
            lambda rng: (spread_out(rng, 2, 3, 3), *affine(rng, 3), 2.0),
        ),
        (
            "a constant channel",
            lambda rng: (channel_of_a_sample(rng, 4, 3, 3, scale=0), *affine(rng, 3), EPS),
            3e-4,
        ),
        (FAR, lambda rng: (spread_out(rng, 2, 5, 5, mean=1e4), *affine(rng, 5), EPS), 2e-2),
        ("an image (N, C, H, W)", lambda rng: (image(rng, 4, 3, 2, 3), *affine(rng, 3), EPS)),
    ),
    hand=(1, 1, 4),
    rule=RULE,
    own=OWN,
    hint=AXES_HINT,
    of_forward=(*LAYOUT, *SHARED),
    of_backward=(
        *(m for m in LAYOUT if m.about != {"b"} and m.about != {"w", "b"}),
        *SHARED,
        *(
            mistake(
                f"{name} averaged over the positions",
                f"Your {name} is a mean over the positions and a sum over the samples. {symbol} is "
                "used at each position of each sample: a sum over all of them.",
                **{name: collect},
            )
            for name, symbol, collect in (
                ("dweight", "γ", lambda q: (q.dy * q.xhat).mean(q.axis).sum(0)),
                ("dbias", "β", lambda q: q.dy.mean(q.axis).sum(0)),
            )
        ),
        *(
            mistake(
                f"{name} of the last sample only",
                f"Your {name} holds the last sample alone. All samples use the same parameter: add "
                "them up.",
                **{name: collect},
            )
            for name, collect in (
                ("dweight", lambda q: (q.dy * q.xhat)[-1:].sum(q.shared)),
                ("dbias", lambda q: q.dy[-1:].sum(q.shared)),
            )
        ),
    ),
)


# ---- adaptive: scale and shift are the statistics of another picture ---------------------------

STYLE = {
    "style_axis": lambda q: positions(q.style),
    "style_n": lambda q: q.style[0, 0].size,
    "style_mean": lambda q: q.style.mean(q.style_axis, keepdims=True),
    "style_c": lambda q: q.style - q.style_mean,
    "style_var": lambda q: (q.style_c**2).mean(q.style_axis, keepdims=True),
    "style_s": lambda q: np.sqrt(q.style_var + q.eps),
}
AFFINE = {"w": lambda q: q.style_s, "b": lambda q: q.style_mean}


def content_axes(q):
    return positions(q.x)


ADAPT = Steps("x style eps", "y", **STYLE | forward(content_axes, on_channels).steps | AFFINE)
BACK = STYLE | backward(content_axes, on_channels, None).steps | AFFINE
ADAPT_BACK = Steps(
    "dy x style eps",
    "dx dstyle",
    **{name: BACK[name] for name in BACK if name not in ("shared", "m", "dweight", "dbias")},
    to_mean=lambda q: q.dy.sum(content_axes(q), keepdims=True),
    to_spread=lambda q: (q.dy * q.xhat).sum(content_axes(q), keepdims=True),
    by_style_mean=lambda q: q.to_mean / q.style_n + 0 * q.style,
    by_style_spread=lambda q: q.style_c / q.style_s * q.to_spread / q.style_n,
    dstyle=lambda q: q.by_style_mean + q.by_style_spread,
)


def in_style(rule=RULE):
    """The axes of other techniques, for the style; and for both pictures at once.

    Of two sizes, positions do not meet: only axes are here that keep none of them.
    """
    of_content = axes_mistakes(rule, OWN)
    of_style = axes_mistakes(rule, OWN, "style_axis", "The style's mean runs")
    for content, style in zip(of_content, of_style, strict=True):
        if " only" in content.name or "all but the last" in content.name:
            continue
        name = style.name.replace(", in dx", ", in the style")
        yield replace(style, name=name)
        yield replace(content, turns={**content.turns, **style.turns})


def everywhere(name, explanation, **turns):
    """A mistake in the style's statistics, and the same one in those of both pictures."""
    of_style = {step: turn for step, turn in turns.items() if step.startswith("style")}
    yield Mistake(f"{name}, in the style", explanation, of_style)
    yield Mistake(name, KNOWN[name], turns)


KNOWN = {m.name: m.explanation for m in statistics_mistakes(RULE, OWN)}  # one text for a name
STATISTICS = (
    *in_style(),
    *everywhere(
        "unbiased variance",
        "Your variance divides by n - 1. To normalize, it is divided by n. Look for ddof=1, or for "
        "torch's x.var(), whose default it is.",
        var=lambda q: q.x.var(q.axis, ddof=1, keepdims=True),
        style_var=lambda q: q.style.var(q.style_axis, ddof=1, keepdims=True),
    ),
    *everywhere(
        "eps outside the square root",
        "You take √σ² + ε; the formula has √(σ² + ε), for the content and for the style.",
        s=lambda q: np.sqrt(q.var) + q.eps,
        style_s=lambda q: np.sqrt(q.style_var) + q.eps,
    ),
    *everywhere(
        "eps ignored",
        "Your result does not depend on eps. Add the parameter eps to σ², not a number of your "
        "own, for the content and for the style.",
        s=lambda q: np.sqrt(q.var + EPS),
        style_s=lambda q: np.sqrt(q.style_var + EPS),
    ),
    mistake(
        "eps missing in the style's spread",
        "Your content is divided by √(σ² + ε), but multiplied by √σ² of the style. With ε in both, "
        "a picture in its own style stays as it is.",
        style_s=lambda q: np.sqrt(q.style_var),
    ),
    *(
        mistake(
            "eps forgotten",
            KNOWN["eps forgotten"],
            s=s,
            style_s=lambda q: np.sqrt(q.style_var),
        )
        for s in (
            lambda q: np.sqrt(q.var),
            lambda q: np.sqrt(np.where(q.var == 0, 1, q.var)),
        )
    ),
    mistake(
        "scaled by the style's variance",
        "You multiply by σ² + ε of the style. Take its root: what was divided by has one, too.",
        style_s=lambda q: q.style_var + q.eps,
    ),
    mistake(
        "style's mean square as its variance",
        "The style's variance is mean((s - μ)²): subtract its mean before squaring.",
        style_var=lambda q: (q.style**2).mean(q.style_axis, keepdims=True),
    ),
    mistake(
        "divided by the style's spread",
        "You divide by the style's √(σ² + ε). x̂ has spread 1: multiply.",
        style_s=lambda q: 1 / np.sqrt(q.style_var + q.eps),
    ),
    mistake(
        "style's spread left out",
        "You return x̂ + μ of the style. Multiply x̂ by the style's √(σ² + ε) first.",
        w=lambda q: np.ones_like(q.style_s),
    ),
)
OF_SAMPLE = (
    mistake(
        "style of the first sample only",
        "All samples get the style of the first one. Each content has its own style.",
        w=lambda q: q.style_s[:1],
        b=lambda q: q.style_mean[:1],
    ),
    mistake(
        "content not normalized",
        "You scale and shift x itself. Take away its own mean and spread first.",
        xhat=lambda q: q.x,
        noisy=(FAR, "a constant channel"),
    ),
)


def pair(rng, content, style, eps=EPS, narrow=1.0):
    """A content, and as style an array of its own spread and mean per sample and channel.

    One channel of the style has a spread that is ``narrow``.
    """
    given = spread_out(rng, *style)
    scale = rng.uniform(0.4, 1.6, (*style[:2], *(1,) * (len(style) - 2)))
    scale[1, 0] *= narrow
    shift = rng.uniform(-1, 1, scale.shape)
    return content, (given * scale + shift).astype(np.float32), eps


PAIRS = (
    (
        "sequences of two lengths and a large eps",
        lambda rng: pair(rng, spread_out(rng, 2, 3, 3), (2, 3, 5), 2.0),
    ),
    (
        "a constant channel",
        lambda rng: pair(rng, channel_of_a_sample(rng, 3, 2, 4, scale=0), (3, 2, 3)),
        3e-4,
    ),
    (FAR, lambda rng: pair(rng, spread_out(rng, 2, 3, 5, mean=1e4), (2, 3, 4)), 2e-2),
    (
        "a narrow channel in each picture",
        lambda rng: pair(
            rng, channel_of_a_sample(rng, 3, 2, 4, scale=0.05), (3, 2, 5), narrow=0.004
        ),
    ),
    ("images of two sizes", lambda rng: pair(rng, image(rng, 3, 2, 2, 3), (3, 2, 4, 2))),
)


def hand(dy=None):
    x, *_, eps = by_hand(shape=(1, 1, 4))
    style = np.float32([2, 10, 10, 10]).reshape(1, 1, 4)
    arguments = x, style, eps
    return arguments if dy is None else (np.float32(dy).reshape(1, 1, 4), *arguments)


def with_dy(make):
    def arguments(rng):
        x, style, eps = make(rng)
        c = x - x.mean(positions(x), keepdims=True)
        return 0.5 + 0.8 * c + 0.6 * c**2 + 0.3 * channels(rng, x.shape), x, style, eps

    return arguments


STYLE_HINT = Hint(
    "style_axis style_mean style_var style_s w b",
    "The style's mean takes the place of bias, its √(σ² + ε) that of weight. Both have the shape "
    "(N, C, 1, ...), so the style may have another height and width.",
)
ADAPTIVE = Exercise(
    name="adaptive_instance_norm",
    task="Give each channel of each content x the mean and the spread that this channel has in the "
    "style of the same sample.",
    returns=("y",),
    reference=ADAPT,
    probes=(
        Probe(
            HAND,
            lambda rng: hand(),
            by_hand="x̂ = -1, -1/3, 1/3, 1; style 2, 10, 10, 10: mean 8, √(σ² + ε) = 4",
        ),
        *(Probe(*probe) for probe in PAIRS),
    ),
    mistakes=(
        *statistics_mistakes(RULE, OWN),
        *(
            m
            for m in affine_mistakes()
            if m.name in ("bias added before the weight", "weight and bias exchanged")
        ),
        *STATISTICS,
        *OF_SAMPLE,
        mistake(
            "style's mean left out",
            "You return x̂ times the style's spread. Add the style's mean.",
            b=lambda q: np.zeros_like(q.style_mean),
        ),
        mistake(
            "content's mean kept",
            "You add the content's mean again. The style's takes its place.",
            b=lambda q: q.x.mean(q.axis, keepdims=True),
            noisy=(FAR,),
        ),
    ),
    hints=(
        Hint("axis n mean c var s xhat", f"First instance normalization of x alone. {AXES_HINT}"),
        STYLE_HINT,
        SHAPES_HINT,
    ),
)

_STYLE_CAUSES = {
    ("by_style_mean", "0"): (
        "path through the style's mean missing",
        "Your dstyle lacks Σ dy / n: every number of the style moves its mean by 1/n.",
    ),
    ("by_style_spread", "0"): (
        "path through the style's spread missing",
        "Your dstyle lacks ŝ Σ dy x̂ / n: a number far from the style's mean widens its spread.",
    ),
    ("by_style_mean by_style_spread", "n"): (
        "1/n forgotten in dstyle",
        "Each number of the style contributes 1/n to its mean and variance.",
    ),
    ("all", "n"): (
        "1/n forgotten in dstyle",
        "Each number of the style contributes 1/n to its mean and variance.",
    ),
    ("by_style_spread", "2"): (
        "spread path of the style counted twice",
        "A factor ½ is missing: the derivative of √(σ² + ε) is ½ (σ² + ε)^(-½).",
    ),
    ("by_style_spread", "s"): (
        "s - μ where ŝ belongs in dstyle",
        "The spread path is √(σ² + ε) times too large: it has ŝ = (s - μ)/√(σ² + ε).",
    ),
    ("by_style_mean", "n"): (
        "1/n forgotten in the style's mean path",
        "Each number of the style contributes 1/n to its mean.",
    ),
    ("by_style_spread", "n"): (
        "1/n forgotten in the style's spread path",
        "The variance is a mean: each number contributes 1/n to it.",
    ),
    ("by_style_spread", "-1"): (
        "wrong sign of the style's spread path",
        "A wider style makes y wider: the term is added.",
    ),
    ("by_style_mean", "-1"): (
        "wrong sign of the style's mean path",
        "A larger mean of the style makes y larger: the term is added.",
    ),
    ("all", "-1"): ("sign of dstyle", "Your dstyle points the other way."),
}
ADAPTIVE_BACKWARD = Exercise(
    name="adaptive_instance_norm_backward",
    task="From dy, the gradient of the loss with respect to y, compute the gradients with respect "
    "to the content x and to every number of the style.",
    returns=("dx", "dstyle"),
    reference=ADAPT_BACK,
    probes=(
        Probe(
            HAND,
            lambda rng: hand((6, 0, 0, 2)),
            by_hand="x̂ = -1, -1/3, 1/3, 1 and ŝ = -3/2, 1/2, 1/2, 1/2; with dy = 6, 0, 0, 2: "
            "Σ dy = 8 and Σ dy x̂ = -4",
        ),
        *(Probe(what, with_dy(make), *rest) for what, make, *rest in PAIRS),
    ),
    mistakes=tuple(
        m
        for m in (
            *backward_mistakes(RULE, OWN),
            *STATISTICS,
            OF_SAMPLE[0],
            mistake(
                "dstyle from g",
                "Your sums for dstyle start from g. The style's mean and spread act on y itself: "
                "they collect dy.",
                to_mean=lambda q: q.g.sum(content_axes(q), keepdims=True),
                to_spread=lambda q: (q.g * q.xhat).sum(content_axes(q), keepdims=True),
            ),
            mistake(
                "means instead of sums for dstyle",
                "You collect mean(dy) and mean(dy x̂). The style's mean and spread are used at "
                "every position of the content: sums, over the content's positions.",
                to_mean=lambda q: q.dy.mean(content_axes(q), keepdims=True),
                to_spread=lambda q: (q.dy * q.xhat).mean(content_axes(q), keepdims=True),
            ),
            mistake(
                "spread path from x - μ",
                "Your spread path collects Σ dy (x - μ). What the spread multiplies is x̂.",
                to_spread=lambda q: (q.dy * q.c).sum(content_axes(q), keepdims=True),
            ),
            mistake(
                "divided by the content's positions",
                "You divide by the number of positions of x. The style's statistics are means over "
                "the positions of the style.",
                style_n=lambda q: q.x[0, 0].size,
            ),
            mistake(
                "content's x̂ in dstyle",
                "Your spread path has one number for all of the style. It goes to each by its "
                "own ŝ = (s - μ)/√(σ² + ε).",
                by_style_spread=lambda q: q.to_spread / q.style_n + 0 * q.style,
            ),
        )
        if m.about <= ADAPT_BACK.steps.keys()
        and m.name not in ("style's spread left out", "statistics over axis 1 only")
    ),
    hints=(
        Hint(
            "g w dx",
            "For the content it is instance normalization with γ = the style's √(σ² + ε).",
        ),
        Hint(
            "to_mean to_spread by_style_mean by_style_spread dstyle",
            "First the gradients of the style's mean and spread, as for β and γ: Σ dy and Σ dy x̂ "
            "over the content's positions. Then go on to the style's numbers: each moves its mean "
            "by 1/n; how far does it move √(σ² + ε)?",
        ),
        Hint("axis n mean dx_axis", AXES_HINT),
        STYLE_HINT,
    ),
    coefficients=(
        coefficients()[0],
        Coefficients(
            "dstyle",
            {"by_style_mean": 1, "by_style_spread": 1},
            ("Σ dy", "ŝ Σ dy x̂"),
            "style_axis",
            {
                "n": lambda q: q.style_n + 0 * q.style_s,
                "m": lambda q: q.n + 0 * q.style_s,
                "N": lambda q: len(q.x) + 0 * q.style_s,
                "s": lambda q: q.style_s,
            },
            _STYLE_CAUSES,
            "n",
        ),
    ),
)

EXERCISES = (FORWARD, BACKWARD, ADAPTIVE, ADAPTIVE_BACKWARD)
