"""Exercises on layer normalization: forward, backward, and the block that it stands in."""

from dataclasses import replace

import numpy as np

from normcourse.exercises.family import (
    EPS,
    FAR,
    UNBIASED,
    affine_mistakes,
    axes_mistakes,
    backward,
    both_passes,
    coefficients,
    eps_mistakes,
    forward,
    mistake,
)
from normcourse.exercises.probes import HAND, by_hand, channels, spread_out, weights
from normcourse.exercises.record import Coefficients, Exercise, Hint, Probe, Steps

__all__ = ["EXERCISES"]


def last_axes(x, normalized_shape, *_):
    return tuple(range(x.ndim - len(normalized_shape), x.ndim))


def axes_before(x, normalized_shape, *_):
    return tuple(range(x.ndim - len(normalized_shape)))


def given(rng, x, k=1, eps=EPS):
    shape = x.shape[-k:]
    return x, shape, weights(rng, shape), channels(rng, shape), eps


def rows(rng, *shape, scale):
    """Rows, or tokens, of which the first is narrow, or constant where ``scale`` is 0."""
    x = spread_out(rng, *shape)
    x[0] = scale * x[0] if scale else 2
    return x


def first_axes(x, normalized_shape, *_):
    return tuple(range(len(normalized_shape)))


def other_axes(step, what, ending=""):
    """Statistics along the axes that count samples, and along the first instead of the last."""
    return (
        mistake(
            f"statistics per feature{ending}",
            f"{what} over the samples, one for each feature, as in batch normalization. Here each "
            "sample has its own.",
            noisy=(FAR,),
            **{step: lambda q: axes_before(q.x, q.normalized_shape)},
        ),
        mistake(
            f"statistics over the first axes{ending}",
            f"{what} over the first len(normalized_shape) axes. It is the last ones that "
            "normalized_shape names.",
            noisy=(FAR,),
            **{step: lambda q: first_axes(q.x, q.normalized_shape)},
        ),
    )


ONE_LENGTH = mistake(
    "divided by the length of the last axis",
    "You divide sums by the length of the last axis. Where several axes are normalized, a mean "
    "divides by the product of normalized_shape.",
    n=lambda q: q.x.shape[-1],
)
LAYER_NORM, LAYER_NORM_BACKWARD = both_passes(
    "layer_norm",
    task="Normalize the last axes of x, whose lengths are normalized_shape, for each sample by "
    "itself; then scale by weight and shift by bias, which have that shape.",
    axes=last_axes,
    place=lambda p, x: p,
    shared=axes_before,
    probes=(
        ("rows and a large eps", lambda rng: given(rng, spread_out(rng, 4, 4), eps=2.0)),
        ("a constant row", lambda rng: given(rng, rows(rng, 3, 4, scale=0)), 3e-4),
        (FAR, lambda rng: given(rng, spread_out(rng, 3, 5, mean=1e4)), 2e-2),
        ("tokens (N, L, D)", lambda rng: given(rng, rows(rng, 3, 4, 4, scale=0.05))),
        (
            "an image (N, C, H, W), over C, H and W",
            lambda rng: given(rng, spread_out(rng, 3, 3, 2, 3), 3),
        ),
    ),
    hand=(1, 4),
    more=("normalized_shape", ((4,),)),
    rule="Here each sample, or token, has its own statistics, over the axes of normalized_shape.",
    hint="The last len(normalized_shape) axes share a statistic; those before them count samples. "
    "x.mean takes a tuple of axes; negative ones count from the end.",
    of_forward=(
        *other_axes("axis", "Your mean runs"),
        ONE_LENGTH,
        mistake(
            "one weight for all features",
            "You use a mean of the weights. Each feature of a row has a weight of its own.",
            w=lambda q: q.weight.mean(),
        ),
    ),
    of_backward=(
        *other_axes("axis", "Your mean runs"),
        ONE_LENGTH,
        *other_axes("dx_axis", "The means in your dx run", ", in dx"),
        mistake(
            "weight multiplied after the means",
            "You take the means of dy and multiply by γ afterwards. In batch normalization that is "
            "the same; here γ differs within a row, so g = dy γ comes before the means.",
            g=lambda q: q.dy,
            dx=lambda q: q.w * (q.direct - q.by_mean - q.by_var),
        ),
    ),
)

# ---- a Pre-LN block ----------------------------------------------------------------------------


def last_axis(q):
    return (q.x.ndim - 1,)


def inside(steps):
    """Steps of a layer norm, under the names that its results have inside the block."""
    names = {"y": "h", "dx": "branch"}
    return {names.get(name, name): step for name, step in steps.items()}


def of_the_norm(mistakes):
    """Mistakes of a layer norm, made inside the block."""
    return tuple(replace(m, turns=inside(m.turns)) for m in mistakes)


def block(rng, *shape, eps=EPS):
    """x, weight, bias, W and eps; the first rows are narrow."""
    d = shape[-1]
    square = (0.6 * rng.standard_normal((d, d))).astype(np.float32)
    return rows(rng, *shape, scale=0.05), weights(rng, d), channels(rng, d), square, eps


def block_by_hand(dy=None):
    *first, eps = by_hand(dy, (1, 4), (4,))
    return *first, np.eye(4, dtype=np.float32)[::-1].copy(), eps


def with_dy(make):
    def arguments(rng):
        x, *rest = make(rng)
        return channels(rng, x.shape, mean=0.5), x, *rest

    return arguments


def per_token(a):
    """(tokens, D), whatever stands before the features."""
    return a.reshape(-1, a.shape[-1])


BLOCKS = (
    ("rows and a large eps", lambda rng: block(rng, 4, 6, eps=2.0)),
    ("tokens (N, L, D)", lambda rng: block(rng, 2, 3, 6)),
)
EPS_NOT_PASSED = mistake(
    "eps not passed on",
    "Your result does not depend on eps. Hand it on to what you call, or its default counts.",
    s=lambda q: np.sqrt(q.var + EPS),
)
STATISTICS = of_the_norm(
    (
        *axes_mistakes(
            "Each token has its own statistics, over its features: the last axis.",
            "statistics over the last axis only",
        ),
        UNBIASED,
        *(m for m in eps_mistakes() if m.name != "eps ignored"),
        EPS_NOT_PASSED,
        *(m for m in affine_mistakes() if m.name != "eps added to the result"),
    )
)

PRE_NORM_BLOCK = Exercise(
    name="pre_norm_block",
    task="Normalize each token of x (..., D), multiply by W (D, D), and add the result to x.",
    returns=("y",),
    reference=Steps(
        "x weight bias W eps",
        "y",
        **inside(forward(last_axis, lambda p, x: p).steps),
        out=lambda q: q.h @ q.W,
        y=lambda q: q.x + q.out,
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: block_by_hand(),
            by_hand="x̂ = -1, -1/3, 1/3, 1; W turns their order around; y = 2, 10/3, 14/3, 6",
        ),
        *(Probe(*probe) for probe in BLOCKS),
    ),
    mistakes=(
        mistake(
            "residual path forgotten",
            "You return LN(x) W. The block adds it to x.",
            y=lambda q: q.out,
        ),
        mistake(
            "normalized x on the residual path",
            "You add LN(x) W to LN(x). It is x itself that goes on, past the norm: that is what "
            "Pre-LN is for.",
            y=lambda q: q.h + q.out,
        ),
        mistake(
            "Post-LN",
            "You compute LN(x + x W), the block of 2017. Pre-LN normalizes what W reads, and not "
            "the sum.",
            view=lambda q: q.x + q.x @ q.W,
            y=lambda q: q.h,
        ),
        mistake(
            "normalized after W",
            "You compute x + LN(x W). Normalize what W reads, not what it returns.",
            view=lambda q: q.x @ q.W,
            y=lambda q: q.x + q.h,
        ),
        mistake(
            "the sum normalized, too",
            "You normalize x + LN(x) W once more. In Pre-LN nothing normalizes the residual path.",
            y=lambda q: q.w * standardized(q.x + q.out, q.eps) + q.b,
        ),
        mistake(
            "not normalized",
            "You compute x + x W. Normalize what W reads.",
            h=lambda q: q.x,
        ),
        mistake(
            "W forgotten",
            "You return x + LN(x). LN(x) is multiplied by W first.",
            out=lambda q: q.h,
        ),
        mistake(
            "W transposed",
            "You multiply by Wᵀ, as torch.nn.Linear does with its weight. Here it is LN(x) @ W.",
            out=lambda q: q.h @ q.W.T,
        ),
        mistake(
            "added before W",
            "You compute (x + LN(x)) W. W belongs to the branch; x is added behind it.",
            y=lambda q: (q.x + q.h) @ q.W,
        ),
        mistake(
            "weight and bias behind W",
            "You compute γ (x̂ W) + β. W multiplies γ x̂ + β.",
            out=lambda q: q.w * (q.xhat @ q.W) + q.b,
        ),
        mistake(
            "subtracted",
            "You subtract LN(x) W from x. The block adds it.",
            y=lambda q: q.x - q.out,
        ),
        *STATISTICS,
    ),
    hints=(
        Hint(
            "y out h",
            "Three lines: h = layer_norm(x, weight.shape, weight, bias, eps), then h @ W, then the "
            "sum. What is added to what?",
        ),
        Hint(
            "view h xhat w b",
            "The norm stands on the branch: W reads the normalized x. The residual path goes past "
            "both, from x to y.",
        ),
        Hint(
            "axis n mean c var s",
            "normalized_shape is (D,), whatever stands before: weight.shape says it. And eps has "
            "to be handed on.",
        ),
    ),
)


def standardized(x, eps):
    c = x - x.mean(-1, keepdims=True)
    return c / np.sqrt((c**2).mean(-1, keepdims=True) + eps)


READ_DX, READ_DWEIGHT, READ_DBIAS = coefficients()
BRANCH = (
    "The branch reaches x through the norm. What arrives at the norm's result is dy Wᵀ; give that "
    "to layer_norm_backward."
)

PRE_NORM_BLOCK_BACKWARD = Exercise(
    name="pre_norm_block_backward",
    task="From dy, the gradient of the loss with respect to y, compute the gradients with "
    "respect to x, weight, bias and W.",
    returns=("dx", "dweight", "dbias", "dW"),
    reference=Steps(
        "dy x weight bias W eps",
        "dx dweight dbias dW",
        arrived=lambda q: q.dy,
        # From here on dy is what arrives at the norm's result, as its own steps call it.
        dy=lambda q: q.arrived @ q.W.T,
        **inside(
            backward(last_axis, lambda p, x: p, lambda q: tuple(range(q.x.ndim - 1)), "dy x").steps
        ),
        dx=lambda q: q.arrived + q.branch,
        h=lambda q: q.w * q.xhat + q.b,
        dW=lambda q: per_token(q.h).T @ per_token(q.arrived),
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: block_by_hand((2, 0, 0, 6)),
            by_hand="dy Wᵀ = 6, 0, 0, 2; behind the norm 1, -7/9, -5/9, 1/3; dx adds dy",
        ),
        *(Probe(what, with_dy(make)) for what, make in BLOCKS),
    ),
    mistakes=(
        mistake(
            "residual path forgotten",
            "Your dx is that of the branch alone. y = x + ..., so dy itself reaches x, too.",
            dx=lambda q: q.branch,
        ),
        mistake(
            "branch forgotten",
            "Your dx is dy alone. x also reaches y through the norm and W.",
            dx=lambda q: q.arrived,
        ),
        mistake(
            "dy Wᵀ on the residual path",
            "You add dy Wᵀ to dx. The residual path meets no W: what it carries is dy itself.",
            dx=lambda q: q.dy + q.branch,
        ),
        *(
            mistake(
                "residual path through the norm",
                "You add dy to dy Wᵀ and send both through the norm. The residual path goes past "
                "it: add dy behind.",
                **turned,
                dx=lambda q: q.branch,
            )
            for turned in (
                {"branch": lambda q: through_the_norm(q, q.arrived + q.dy)},
                {"dy": lambda q: q.arrived + q.arrived @ q.W.T},
            )
        ),
        mistake(
            "dy divided by the standard deviation",
            "You add dy before the last division. The residual path goes past the norm: add it "
            "behind.",
            dx=lambda q: q.branch + q.arrived / q.s,
        ),
        mistake("W not transposed", f"You take dy W. {BRANCH}", dy=lambda q: q.arrived @ q.W),
        mistake("W forgotten", f"You give dy itself. {BRANCH}", dy=lambda q: q.arrived),
        mistake(
            "parameters from dy",
            f"Your dweight and dbias start from dy. {BRANCH}",
            dweight=lambda q: per_token(q.arrived * q.xhat).sum(0),
            dbias=lambda q: per_token(q.arrived).sum(0),
        ),
        mistake(
            "dweight from dy",
            f"Your dweight starts from dy. {BRANCH}",
            dweight=lambda q: per_token(q.arrived * q.xhat).sum(0),
        ),
        mistake(
            "dbias from dy",
            f"Your dbias is the sum of dy. {BRANCH}",
            dbias=lambda q: per_token(q.arrived).sum(0),
        ),
        mistake(
            "dW from x",
            "Your dW is xᵀ dy. W multiplies LN(x), so it is LN(x)ᵀ dy.",
            dW=lambda q: per_token(q.x).T @ per_token(q.arrived),
        ),
        mistake(
            "dW from x̂",
            "Your dW is x̂ᵀ dy. W multiplies γ x̂ + β.",
            dW=lambda q: per_token(q.xhat).T @ per_token(q.arrived),
        ),
        mistake(
            "dW transposed",
            "Your dW is that of Wᵀ: dyᵀ LN(x). It is LN(x)ᵀ dy.",
            dW=lambda q: per_token(q.arrived).T @ per_token(q.h),
        ),
        mistake(
            "dW from dy Wᵀ",
            "Your dW uses what arrives at the norm. W is met before: LN(x)ᵀ dy.",
            dW=lambda q: per_token(q.h).T @ per_token(q.dy),
        ),
        mistake(
            "weight multiplied after the means",
            LAYER_NORM_BACKWARD.mistakes[-1].explanation,
            g=lambda q: q.dy,
            branch=lambda q: q.w * (q.direct - q.by_mean - q.by_var),
        ),
        *of_the_norm(
            (
                UNBIASED,
                *(m for m in eps_mistakes() if m.name != "eps ignored"),
                EPS_NOT_PASSED,
                mistake(
                    "weight missing in dx",
                    "What reaches x̂ is g = (dy Wᵀ) γ. Yours lacks γ.",
                    g=lambda q: q.dy,
                ),
            )
        ),
    ),
    hints=(
        Hint(
            "dx arrived branch",
            "Two paths lead from x to y: past the norm, and through it. Their gradients are added.",
        ),
        Hint(
            "dy dweight dbias",
            "Walk back: out = h @ W, so dh = dy @ W.T. Then layer_norm_backward(dh, x, "
            "weight.shape, weight, bias, eps) gives the branch's dx, dweight and dbias.",
        ),
        Hint(
            "dW h",
            "W is used by every token, so dW is a sum over all of them: reshape h and dy to "
            "(tokens, D), then h.T @ dy.",
        ),
        Hint(
            "direct by_mean by_var g s",
            "Check layer_norm_backward first, and that eps is handed on to it.",
        ),
    ),
    coefficients=(
        replace(
            READ_DX,
            terms={"arrived": 1, **READ_DX.terms},
            symbols=("√(σ² + ε) dy", *READ_DX.symbols),
            causes={
                **READ_DX.causes,
                ("arrived", "0"): (
                    "residual path forgotten",
                    "y = x + ..., so dy itself reaches x, too.",
                ),
                ("arrived", "2"): (
                    "residual path counted twice",
                    "dy reaches x once on the residual path.",
                ),
                ("arrived", "-1"): ("sign of the residual path", "dy is added."),
            },
        ),
        READ_DWEIGHT,
        READ_DBIAS,
        Coefficients(
            "dW",
            {"dW": 1},
            ("LN(x)ᵀ dy",),
            "",
            {"m": lambda q: q.m, "N": lambda q: len(q.x)},
            {
                ("dW", "1/m"): (
                    "mean instead of a sum for dW",
                    "Your dW is a mean over the tokens. W is used by each of them: a sum.",
                ),
                ("dW", "1/N"): (
                    "dW divided by the batch size",
                    "If the loss is a mean over the batch, dy holds that 1/N already.",
                ),
                ("dW", "-1"): ("sign of dW", "Your dW has the wrong sign."),
                ("dW", "0"): ("dW is zero", "Your dW is 0. W changes y, too."),
            },
        ),
    ),
)


def through_the_norm(q, dy):
    """The norm's gradient with respect to x, for ``dy`` at its result."""
    g = dy * q.w
    along = q.xhat * (g * q.xhat).mean(-1, keepdims=True)
    return (g - g.mean(-1, keepdims=True) - along) / q.s


EXERCISES = (LAYER_NORM, LAYER_NORM_BACKWARD, PRE_NORM_BLOCK, PRE_NORM_BLOCK_BACKWARD)
