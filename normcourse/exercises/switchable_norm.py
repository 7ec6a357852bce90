"""Exercises on switchable normalization: three statistics at once, mixture, shares, inference."""

from itertools import permutations

import numpy as np

from normcourse.exercises.family import (
    EPS,
    FAR,
    affine_mistakes,
    eps_mistakes,
    mistake,
    on_channels,
)
from normcourse.exercises.instance_norm import affine, last_axis, positions
from normcourse.exercises.probes import channels, naive_variance, variances
from normcourse.exercises.record import Coefficients, Exercise, Hint, Probe, Steps

__all__ = ["EXERCISES"]

ONE = "one position per channel (N, C), small numbers"
IMAGE = "an image (N, C, H, W)"
WIDE = "a sequence (N, C, L) and a large eps"
ORDER = "instance, layer, batch"

# ---- inputs ------------------------------------------------------------------------------------


def apart(rng, n, c, *rest, mean=0.0):
    """float32 (N, C, ...): each sample, channel and instance has a mean and a spread of its own."""
    count = int(np.prod(rest))
    levels = np.linspace(-1.6, 1.6, count) if count > 1 else np.zeros(1)
    x = rng.permuted(np.tile(levels, (n, c, 1)), axis=2) + rng.uniform(-0.2, 0.2, (n, c, count))
    x = x * rng.permuted(np.linspace(0.5, 1.7, n * c)).reshape(n, c, 1)
    of_sample = rng.permuted(np.linspace(-1.2, 1.2, n) if n > 1 else np.ones(1)).reshape(n, 1, 1)
    of_channel = rng.permuted(np.linspace(-0.9, 1.4, c)).reshape(1, c, 1)
    of_both = rng.permuted(np.linspace(-0.5, 0.5, n * c)).reshape(n, c, 1)
    x = mean + x + of_sample + of_channel + of_both
    return np.ascontiguousarray(x.reshape(n, c, *rest), dtype=np.float32)


def image(rng, n, c, h, w):
    """A channels-last batch with an outlier, seen as (N, C, H, W). w = c hides a wrong axis."""
    x = apart(rng, n, c, h, w)
    x[0, 0, 0, 0] += 4
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def close(rng, n, c):
    """(N, C) of a variance near 1e-4, small enough to see an eps of 1e-5."""
    return np.float32(0.01) * apart(rng, n, c)


def logits(rng, largest):
    """(mean_weight, var_weight), whose shares all differ; the largest has a place that is known."""
    of_mean = np.roll([1.2, *rng.permuted([0.1, -0.8])], largest)
    of_var = np.roll([0.6, *rng.permuted([0.1, -0.4])], largest + 1)
    return tuple((a + rng.uniform(-0.05, 0.05, 3)).astype(np.float32) for a in (of_mean, of_var))


def many(name, explanation, *turns, noisy=()):
    """One mistake in several variants."""
    return tuple(mistake(name, explanation, noisy=noisy, **turned) for turned in turns)


def alone_and_together(turns, *sets):
    """Each step turned alone, all together, and these sets of steps."""
    chosen = (*((step,) for step in turns), tuple(turns), *sets)
    return [{step: turns[step] for step in steps} for steps in dict.fromkeys(chosen)]


# ---- the statistics of all three from one pass ---------------------------------------------------


def deviations(q, axis):
    """Of the instances' means from their mean."""
    return q.mean_in - q.mean_in.mean(axis, keepdims=True)


def between(axis):
    """The variance of the instances' means."""
    return lambda q: (deviations(q, axis) ** 2).mean(axis, keepdims=True)


THREE = Steps(
    "x",
    "mean_in mean_ln mean_bn var_in var_ln var_bn",
    view=lambda q: q.x.reshape(*q.x.shape[:2], -1),
    mean_in=lambda q: q.view.mean(2),
    mean_ln=lambda q: q.mean_in.mean(1, keepdims=True),
    mean_bn=lambda q: q.mean_in.mean(0, keepdims=True),
    var_in=lambda q: q.view.var(2),
    parts=lambda q: q.var_in,  # what is averaged
    within_ln=lambda q: q.parts.mean(1, keepdims=True),
    within_bn=lambda q: q.parts.mean(0, keepdims=True),
    between_ln=between(1),
    between_bn=between(0),
    var_ln=lambda q: q.within_ln + q.between_ln,
    var_bn=lambda q: q.within_bn + q.between_bn,
)


def in_layer_and_batch(name, step, explanation, of):
    """A mistake in one of the two, and the same in the other; ``of`` is a function of the axis."""
    return (
        mistake(
            f"{name} in the {long}'s",
            explanation.format(which=long, others=others),
            **{f"{step}_{short}": of(axis)},
        )
        for short, long, others, axis in (
            ("ln", "layer", "channels", 1),
            ("bn", "batch", "samples", 0),
        )
    )


def in_each_variance(name, explanation, way, *, sets=None, noisy=()):
    """A wrong way to a variance, each taken from x itself, or the others from the instances'."""
    of = {
        "var_in": lambda q: way(q.view, 2)[..., 0],
        "var_ln": lambda q: way(q.view, (1, 2))[..., 0],
        "var_bn": lambda q: way(q.view, (0, 2))[..., 0],
    }
    alone = {"var_in": of["var_in"], "parts": lambda q: q.view.var(2)}
    turns = alone_and_together(of, ("var_ln", "var_bn")) if sets is None else []
    turns += [{step: of[step] for step in steps} for steps in sets or ()]
    return many(name, explanation, *turns, alone, noisy=noisy)


def around_another_mean(axis):
    """The instances' variance around the mean over other axes of the view."""
    return lambda q: ((q.view - q.view.mean(axis, keepdims=True)) ** 2).mean(2)


UNBIASED = (
    "unbiased variance",
    "A variance of yours divides by n - 1. All three are divided by n, and only then does the "
    "layer's follow from the instances'. Look for ddof=1, or for torch's x.var(): the official "
    "code has it, too.",
    lambda x, axis: x.var(axis, ddof=1, keepdims=True),
)
CANCELLATION = (
    "cancellation",
    "Right everywhere but far from zero: there E[x²] - E[x]² subtracts two nearly equal numbers, "
    "and float32 has no digits left. Subtract a mean first, then square: the mean of the "
    "instances' variances, plus the variance of their means.",
    lambda x, axis: naive_variance(x, axis, keepdims=True),
)
MEAN_OF_SQUARES = (
    "mean of squares as the variance",
    "A variance of yours is mean(x²). It is mean((x - μ)²): subtract the mean before squaring.",
    lambda x, axis: (x**2).mean(axis, keepdims=True),
)
SUM_OF_SQUARES = (
    "sum of squares as the variance",
    "A variance of yours is a sum. It is a mean: divide by how many numbers share it.",
    lambda x, axis: ((x - x.mean(axis, keepdims=True)) ** 2).sum(axis, keepdims=True),
)

THREE_STATISTICS = Exercise(
    name="three_statistics",
    task="Return the means of the instances, of the layer and of the batch, then their biased "
    "variances. x is read once, for the instances; the other four follow from theirs.",
    returns=(
        "mean_instance",
        "mean_layer",
        "mean_batch",
        "var_instance",
        "var_layer",
        "var_batch",
    ),
    reference=THREE,
    probes=(
        Probe(
            "numbers for the hand: two samples, two channels, two positions",
            lambda rng: (np.float32([[[1, 3], [5, 7]], [[9, 11], [1, 3]]]),),
            by_hand="instance means 2, 6 and 10, 2, all variances 1; layer: means 4, 6, variances "
            "1 + 4, 1 + 16; batch: means 6, 4, variances 1 + 16, 1 + 4",
        ),
        Probe(ONE, lambda rng: (close(rng, 4, 3),)),
        Probe(FAR, lambda rng: (apart(rng, 3, 4, 5, mean=1e4),), 2e-2),
        Probe(IMAGE, lambda rng: (image(rng, 4, 3, 2, 3),)),
    ),
    mistakes=(
        *in_layer_and_batch(
            "variance of the means missing",
            "between",
            "Your {which} variance is the mean of the instances' variances. Their means differ, "
            "too: add the variance of the means over the {others}.",
            lambda axis: lambda q: 0 * between(axis)(q),
        ),
        *in_layer_and_batch(
            "mean of the variances missing",
            "within",
            "Your {which} variance is that of the instances' means only. Add the mean of their "
            "variances over the {others}.",
            lambda axis: lambda q: 0 * between(axis)(q),
        ),
        *in_layer_and_batch(
            "variance of the means subtracted",
            "between",
            "You subtract the variance of the means. Means that differ make the {which} variance "
            "larger: add it.",
            lambda axis: lambda q: -between(axis)(q),
        ),
        *in_layer_and_batch(
            "mean of the squared means added",
            "between",
            "To the mean of the variances you add the mean of the squared means. That makes "
            "mean(x²): take the squares around the {which} mean.",
            lambda axis: lambda q: (q.mean_in**2).mean(axis, keepdims=True),
        ),
        *in_layer_and_batch(
            "unbiased variance of the means",
            "between",
            "The variance of the means divides by one less than the number of {others}. Divide by "
            "their number: look for ddof=1.",
            lambda axis: lambda q: q.mean_in.var(axis, ddof=1, keepdims=True),
        ),
        *in_layer_and_batch(
            "standard deviation of the means",
            "between",
            "You add the standard deviation of the means. Variances add up: take no root.",
            lambda axis: lambda q: np.sqrt(between(axis)(q)),
        ),
        *in_layer_and_batch(
            "absolute deviations of the means",
            "between",
            "You add the mean of |difference| of the means. Variances add up: square it.",
            lambda axis: lambda q: abs(deviations(q, axis)).mean(axis, keepdims=True),
        ),
        *in_layer_and_batch(
            "sum of the squared deviations of the means",
            "between",
            "You add up the squared deviations of the means. Take their mean over the {others}.",
            lambda axis: lambda q: (deviations(q, axis) ** 2).sum(axis, keepdims=True),
        ),
        *in_layer_and_batch(
            "deviations of the means from the other mean",
            "between",
            "You take the means' deviations from the wrong mean. For the {which} variance they run "
            "around the {which} mean, over the {others}.",
            lambda axis: lambda q: (deviations(q, 1 - axis) ** 2).mean(axis, keepdims=True),
        ),
        *in_layer_and_batch(
            "deviations of the means from one mean of all",
            "between",
            "You take the means' deviations from one mean of the whole array. For the {which} "
            "variance they run around the {which} mean.",
            lambda axis: lambda q: (deviations(q, (0, 1)) ** 2).mean(axis, keepdims=True),
        ),
        *in_layer_and_batch(
            "mean of standard deviations",
            "within",
            "You average standard deviations and square. Average the variances over the {others}.",
            lambda axis: lambda q: np.sqrt(q.parts).mean(axis, keepdims=True) ** 2,
        ),
        *in_layer_and_batch(
            "sum of the variances",
            "within",
            "You add up the instances' variances. Take their mean over the {others}.",
            lambda axis: lambda q: q.parts.sum(axis, keepdims=True),
        ),
        *in_layer_and_batch(
            "sum of the means",
            "mean",
            "You add up the instances' means. Take their mean over the {others}.",
            lambda axis: lambda q: q.mean_in.sum(axis, keepdims=True),
        ),
        *in_layer_and_batch(
            "median",
            "mean",
            "Your {which} mean is a median. Take the mean of the instances' over the {others}.",
            lambda axis: lambda q: np.median(q.view, (axis, 2), keepdims=True)[..., 0],
        ),
        *in_each_variance(*UNBIASED, noisy=(FAR,)),
        *in_each_variance(*CANCELLATION, noisy=(FAR,)),
        # In the layer's or the batch's alone, that is the mean of the squared means added.
        *in_each_variance(*MEAN_OF_SQUARES, sets=[("var_in",), ("var_in", "var_ln", "var_bn")]),
        *in_each_variance(*SUM_OF_SQUARES),
        *in_each_variance(
            "standard deviations",
            "You return standard deviations. Return variances: the root is taken after mixing.",
            lambda x, axis: x.std(axis, keepdims=True),
        ),
        *many(
            "instance variance around another mean",
            "Your instance variance is taken around the mean of the layer or of the batch. Each "
            "instance has its own mean.",
            *(
                {"var_in": around_another_mean(axis), "parts": lambda q: q.view.var(2)}
                for axis in ((1, 2), (0, 2), (0, 1, 2))
            ),
        ),
        mistake(
            "samples and channels mixed",
            "A reshape of yours mixes samples and channels: it reads along the last axis, and "
            "samples come first. Flatten only the positions: x.reshape(N, C, -1).",
            view=lambda q: q.x.reshape(*q.x.shape[1::-1], -1).swapaxes(0, 1),
            noisy=(FAR,),
        ),
        mistake(
            "channels on the last axis",
            "You treat the last axis as the channels. Here the layout is (N, C, ...): channels "
            "are axis 1, positions follow.",
            view=lambda q: np.moveaxis(q.x, -1, 1).reshape(len(q.x), q.x.shape[-1], -1),
            noisy=(FAR,),
        ),
        *many(
            "one statistic for everything",
            "A statistic of yours runs over the whole array. The layer's is per sample, the "
            "batch's per channel.",
            *(
                {
                    f"mean_{name}": lambda q: q.mean_in.mean(keepdims=True),
                    f"within_{name}": lambda q: q.parts.mean(keepdims=True),
                    f"between_{name}": lambda q: q.mean_in.var(keepdims=True),
                }
                for name in ("ln", "bn")
            ),
        ),
    ),
    hints=(
        Hint(
            "view mean_in var_in parts",
            "One axis for all positions: x.reshape(N, C, -1), also where there are none. Its mean "
            "and variance over axis 2 are the instances', with the shape (N, C).",
        ),
        Hint(
            "mean_ln mean_bn within_ln within_bn",
            "All instances have as many numbers, so the layer's mean is the mean of the instances' "
            "over axis 1, and the batch's over axis 0. With keepdims=True the shapes are (N, 1) "
            "and (1, C).",
        ),
        Hint(
            "between_ln between_bn var_ln var_bn within_ln within_bn",
            "Variances are more than their mean: the numbers scatter around means that scatter. "
            "Mean of the variances, plus variance of the means. In the numbers for the hand, the "
            "first sample has 1 + 4.",
        ),
    ),
)

# ---- the mixture -------------------------------------------------------------------------------


def softmax(a):
    power = np.exp(a - a.max())
    return power / power.sum()


def mix(shares, parts):
    return sum(share * part for share, part in zip(shares, parts, strict=True))


def along(kind, statistic):
    """A statistic of x over the axes of one of the three."""
    return lambda q: statistic(q.x, getattr(q, f"axis_{kind}"), keepdims=True)


KINDS = "in", "ln", "bn"
FORWARD = {
    "view": lambda q: q.x,
    "axis_in": lambda q: positions(q.x),
    "axis_ln": lambda q: tuple(range(1, q.x.ndim)),
    "axis_bn": lambda q: (0, *range(2, q.x.ndim)),
    **{f"mean_{kind}": along(kind, np.mean) for kind in KINDS},
    "softmax": lambda q: softmax,
    "share_mean": lambda q: q.softmax(q.mean_weight),
    "share_var": lambda q: q.softmax(q.var_weight),
    "order": lambda q: (0, 1, 2),  # of the statistics that the shares belong to
    "order_mean": lambda q: q.order,
    "order_var": lambda q: q.order,
    "means": lambda q: [(q.mean_in, q.mean_ln, q.mean_bn)[i] for i in q.order_mean],
    "mean": lambda q: mix(q.share_mean, q.means),
    **{f"var_{kind}": along(kind, np.var) for kind in KINDS},
    "vars": lambda q: [(q.var_in, q.var_ln, q.var_bn)[i] for i in q.order_var],
    "var": lambda q: mix(q.share_var, q.vars),
    "c": lambda q: q.x - q.mean,
    "s": lambda q: np.sqrt(q.var + q.eps),
    "xhat": lambda q: q.c / q.s,
    "w": lambda q: on_channels(q.weight, q.x),
}
RESULT = {"b": lambda q: on_channels(q.bias, q.x), "y": lambda q: q.w * q.xhat + q.b}


def wrong_shares(name, explanation, wrong):
    """Logits made to shares in a wrong way: for both, for the means, for the variances."""
    return many(
        name,
        explanation,
        {"softmax": lambda q: wrong},
        {"share_mean": lambda q: wrong(q.mean_weight)},
        {"share_var": lambda q: wrong(q.var_weight)},
    )


def of_six(q):
    return softmax(np.concatenate([q.mean_weight, q.var_weight]))


NOT_DIVIDED = (
    "exponentials not divided by their sum",
    "Your shares are the exponentials of the logits. Divide by their sum, that of the same three.",
)
SHARE_MISTAKES = (
    mistake(
        "means' shares for the variances",
        "You use the shares of the means for the variances, too. They have logits of their own: "
        "the softmax of var_weight.",
        share_var=lambda q: q.share_mean,
    ),
    mistake(
        "variances' shares for the means",
        "You use the shares of the variances for the means, too. They have logits of their own: "
        "the softmax of mean_weight.",
        share_mean=lambda q: q.softmax(q.var_weight),
    ),
    mistake(
        "mean_weight and var_weight exchanged",
        "Your means have the shares of var_weight, your variances those of mean_weight.",
        share_mean=lambda q: q.softmax(q.var_weight),
        share_var=lambda q: q.softmax(q.mean_weight),
    ),
    mistake(
        "one softmax for all six",
        "You take one softmax of all six logits. There are two: the shares of the means add up to "
        "1, and those of the variances do, too.",
        share_mean=lambda q: of_six(q)[:3],
        share_var=lambda q: of_six(q)[3:],
    ),
    mistake(
        "softmax over the two instead of the three",
        "You stack the two sets and take the softmax along the wrong axis: each pair of logits "
        "adds up to 1. It is each set of three that does.",
        share_mean=lambda q: 1 / (1 + np.exp(q.var_weight - q.mean_weight)),
        share_var=lambda q: 1 / (1 + np.exp(q.mean_weight - q.var_weight)),
    ),
    *wrong_shares(
        "shares squared",
        "You square the shares, as for the variance of a weighted sum. The variances are mixed "
        "with the shares themselves.",
        lambda a: softmax(a) ** 2,
    ),
    *wrong_shares(
        "logits as shares",
        "You use the logits as they are. Shares are their softmax: positive, with the sum 1.",
        lambda a: a,
    ),
    *wrong_shares(
        "sigmoid instead of the softmax",
        "You take the sigmoid of each logit. Shares are a softmax: they add up to 1.",
        lambda a: 1 / (1 + np.exp(-a)),
    ),
    *wrong_shares(*NOT_DIVIDED, np.exp),
    *wrong_shares(*NOT_DIVIDED, lambda a: np.exp(a - a.max())),
    *wrong_shares(
        "logits divided by their sum",
        "You divide the logits by their sum. Take their exponentials first.",
        lambda a: a / a.sum(),
    ),
    *wrong_shares(
        "logits ignored",
        "Each statistic has the share 1/3 in your code. The shares are the softmax of the logits.",
        lambda a: np.full(3, 1 / 3),
    ),
    *wrong_shares(
        "sign of the logits",
        "Your softmax has exp(-λ): the largest logit gets the smallest share.",
        lambda a: softmax(-a),
    ),
    *wrong_shares(
        "largest logit takes all",
        "You take the statistic with the largest logit alone. All three are mixed.",
        lambda a: (a == a.max()) * 1.0,
    ),
    *many(
        "shares in another order",
        "Your shares belong to other statistics than they should. The logits are those of "
        f"{ORDER}, in this order. Or the axes are exchanged: the layer is one sample with all its "
        "channels, the batch one channel in all samples.",
        *(
            {step: lambda q, order=order: order}
            for order in [*permutations(range(3))][1:]
            for step in ("order", "order_mean", "order_var")
        ),
    ),
    *(
        alone
        for kind in KINDS
        for alone in (
            mistake(
                "a single mean",
                "Your mean is that of one of the three alone. Mix them with their shares.",
                mean=lambda q, name=f"mean_{kind}": getattr(q, name),
            ),
            mistake(
                "a single variance",
                "Your variance is that of one of the three alone. Mix them with their shares.",
                var=lambda q, name=f"var_{kind}": getattr(q, name),
            ),
        )
    ),
)


def roots(q, eps=0.0):
    return [np.sqrt(var + eps) for var in q.vars]


def normalized(q):
    """x by each of the three statistics for itself."""
    return [(q.x - mean) / s for mean, s in zip(q.means, roots(q, q.eps), strict=True)]


DEVIATIONS_MIXED = many(
    "standard deviations mixed",
    "You mix standard deviations. Mix the variances, add ε, then take one root.",
    {"s": lambda q: mix(q.share_var, roots(q, q.eps))},
    {"s": lambda q: mix(q.share_var, roots(q)) + q.eps},
    {"s": lambda q: mix(q.share_var, roots(q))},
    {"var": lambda q: mix(q.share_var, roots(q)) ** 2},
    {"var": lambda q: mix(q.share_var, roots(q))},
)
AROUND_MIXED = (
    mistake(
        "variances around the mixed mean",
        "Your variances are taken around the mixed mean. Each belongs to its own mean.",
        **{
            f"var_{kind}": lambda q, axis=f"axis_{kind}": ((q.x - q.mean) ** 2).mean(
                getattr(q, axis), keepdims=True
            )
            for kind in KINDS
        },
    ),
    mistake(
        "variance of what is left",
        "Your variance is the batch's of x - μ, with the mixed μ. Mix the three variances.",
        var=lambda q: ((q.x - q.mean) ** 2).mean(q.axis_bn, keepdims=True),
    ),
)
OUTPUTS_MIXED = (
    *many(
        "normalized outputs mixed",
        "You normalize three times and mix the results. Mix the statistics, then normalize once.",
        {"xhat": lambda q: mix(q.share_mean, normalized(q))},
        {"xhat": lambda q: mix(q.share_var, normalized(q))},
        {"xhat": lambda q: mix((q.share_mean + q.share_var) / 2, normalized(q))},
    ),
    mistake(
        "inverse roots mixed",
        "You mix 1/√(σ² + ε) of the three. Mix the variances, then take one root and divide.",
        xhat=lambda q: q.c * mix(q.share_var, [1 / s for s in roots(q, q.eps)]),
    ),
)


def in_variances(name, explanation, way, kinds, noisy=()):
    """A wrong way to a variance: in each statistic, in all, and in what follows from instances."""

    def follows(q, axis):
        means = q.x.mean(q.axis_in, keepdims=True)
        return way(q.x, q.axis_in).mean(axis, keepdims=True) + means.var(axis, keepdims=True)

    of = {
        f"var_{kind}": lambda q, axis=f"axis_{kind}": way(q.x, getattr(q, axis)) for kind in kinds
    }
    after = {"var_ln": lambda q: follows(q, 1), "var_bn": lambda q: follows(q, 0)}
    after = {"var_in": of["var_in"]} | {step: after[step] for step in after if step in of}
    return many(name, explanation, *alone_and_together(of), after, noisy=noisy)


def without_means(kind, name, others, axis):
    return mistake(
        f"{name} variance without the variance of the means",
        f"Your {name} variance is the mean of the instances' variances. Their means differ, too: "
        f"add the variance of the means over the {others}.",
        **{f"var_{kind}": lambda q: q.x.var(q.axis_in, keepdims=True).mean(axis, keepdims=True)},
    )


def everything(x):
    return tuple(range(x.ndim))


OTHER_AXES = (  # kind, mistake, explanation, axes of x
    (
        "in",
        "instance statistics over the last axis only",
        "Your instance statistics run over the last axis alone. They run over all positions, the "
        "axes behind N and C.",
        lambda x: (x.ndim - 1,),
    ),
    (
        "ln",
        "layer statistics over the channels only",
        "Your layer statistics run over axis 1 alone, so that each position has its own. They run "
        "over channels and positions.",
        lambda x: (1,),
    ),
    (
        "ln",
        "layer statistics over the whole array",
        "Your layer statistics run over all samples, too. Each sample has its own.",
        everything,
    ),
    (
        "bn",
        "batch statistics over the samples only",
        "Your batch statistics run over axis 0 alone, so that each position has its own. They run "
        "over samples and positions.",
        lambda x: (0,),
    ),
    (
        "bn",
        "batch statistics over the whole array",
        "Your batch statistics run over all channels, too. Each channel has its own.",
        everything,
    ),
)


def statistics_mistakes(*kinds):
    """What goes wrong in the statistics of these kinds."""
    return (
        *in_variances(*UNBIASED, kinds, noisy=(FAR,)),
        *in_variances(*CANCELLATION, kinds, noisy=(FAR,)),
        *in_variances(*MEAN_OF_SQUARES, kinds),
        *in_variances(*SUM_OF_SQUARES, kinds),
        *(
            without_means(*told)
            for told in (("ln", "layer", "channels", 1), ("bn", "batch", "samples", 0))
            if told[0] in kinds
        ),
        *(
            mistake(name, explanation, noisy=(FAR,), **{f"axis_{kind}": lambda q, of=axes: of(q.x)})
            for kind, name, explanation, axes in OTHER_AXES
            if kind in kinds
        ),
    )


EPS_MISTAKES = (
    *eps_mistakes(),
    mistake(
        "eps added twice",
        "You add ε to each variance, and once more to the mixture. The shares add up to 1: add it "
        "once.",
        s=lambda q: np.sqrt(q.var + 2 * q.eps),
    ),
)
OF_THE_RESULT = (
    *EPS_MISTAKES,
    *affine_mistakes(),
    last_axis("weight and bias", "w", "b"),
    last_axis("weight", "w"),
    last_axis("bias", "b"),
    mistake(
        "not divided",
        "You return x - μ, scaled and shifted. Divide by √(σ² + ε), too.",
        xhat=lambda q: q.c,
    ),
    mistake(
        "mean not subtracted",
        "You divide x itself. Subtract the mixed mean first.",
        c=lambda q: q.x,
    ),
)
SHARES_HINT = Hint(
    "softmax share_mean share_var order order_mean order_var mean",
    "Two softmaxes, exp(λ) over the sum of the three exponentials: one of mean_weight, one of "
    f"var_weight. The order is {ORDER}; each set of shares adds up to 1.",
)
MIX_HINT = Hint(
    "mean var vars means c s xhat",
    "The mixed mean is w[0] * mean_in + w[1] * mean_ln + w[2] * mean_bn, and shapes meet by "
    "broadcasting. Mix the variances in the same way, add ε, take one root. On paper, with the "
    "numbers for the hand, the means are 3 and 5 and the root is 2.",
)
STATISTICS_HINT = Hint(
    "axis_in axis_ln axis_bn mean_in mean_ln mean_bn var_in var_ln var_bn w b",
    "Your three_statistics has all six. To meet an x with positions, they need the shapes "
    "(N, C, 1, ...), (N, 1, 1, ...) and (1, C, 1, ...); weight and bias need (1, C, 1, ...).",
)


def mixture(make, largest, *more, eps=EPS):
    """Arguments: an x, what ``more`` makes from (rng, C), logits, weight, bias, eps."""

    def arguments(rng):
        x = make(rng)
        between = [part(rng, x.shape[1]) for part in more]
        return x, *between, *logits(rng, largest), *affine(rng, x.shape[1]), eps

    return arguments


def small(*between):
    """Two samples of one channel and two positions; shares ¼, ¼, ½ and ¼, ½, ¼."""
    x, one = np.float32([[[1, 3]], [[5, 7]]]), np.ones(1, np.float32)
    given = np.log(np.float32([1, 1, 2])), np.log(np.float32([1, 2, 1]))
    return x, *between, *given, one, 0 * one, 2.0


HAND = "numbers for the hand: 1, 3 and 5, 7"
SWITCHABLE_NORM = Exercise(
    name="switchable_norm",
    task="Mix the means of instance, layer and batch with the softmax of mean_weight, their biased "
    "variances with that of var_weight; normalize once, then scale by weight and shift by bias, "
    "per channel.",
    returns=("y",),
    reference=Steps("x mean_weight var_weight weight bias eps", "y", **FORWARD, **RESULT),
    probes=(
        Probe(
            HAND,
            lambda rng: small(),
            by_hand="instance and layer: means 2, 6, variances 1; batch: 4 and 5; shares ¼, ¼, ½ "
            "and ¼, ½, ¼. Mixed: means 3, 5, variance 2 and √(σ² + ε) = 2",
        ),
        Probe(ONE, mixture(lambda rng: close(rng, 4, 3), 0)),
        Probe(WIDE, mixture(lambda rng: apart(rng, 2, 3, 3), 1, eps=4.0)),
        Probe(FAR, mixture(lambda rng: apart(rng, 3, 4, 4, mean=1e4), 2), 5e-3),
        Probe(IMAGE, mixture(lambda rng: image(rng, 4, 3, 2, 3), 0)),
    ),
    mistakes=(
        *SHARE_MISTAKES,
        *DEVIATIONS_MIXED,
        *OUTPUTS_MIXED,
        *AROUND_MIXED,
        *statistics_mistakes(*KINDS),
        *OF_THE_RESULT,
    ),
    hints=(SHARES_HINT, MIX_HINT, STATISTICS_HINT),
)

# ---- the backward pass of the shares -------------------------------------------------------------


def collected(gradients, parts):
    """The three numbers that reach the shares."""
    return np.array([(d * part).sum() for d, part in zip(gradients, parts, strict=True)])


def through_softmax(shares, d):
    return shares * (d - shares @ d)


def in_jacobian(name, explanation, wrong):
    """A wrong way back through the softmax: for both, for the means, for the variances."""
    return many(
        name,
        explanation,
        {"back": lambda q: wrong},
        {"dmean_weight": lambda q: wrong(q.share_mean, q.d_mean)},
        {"dvar_weight": lambda q: wrong(q.share_var, q.d_var)},
    )


def averaged(q, gradient):
    """The gradient, in the place of each of its three sums as a mean over the group."""
    return [gradient.mean(axis, keepdims=True) for axis in (q.axis_in, q.axis_ln, q.axis_bn)]


def own_root_mean(q):
    return collected([-q.g_mean / s for s in roots(q, q.eps)], q.with_mean)


def own_root_var(own_mean):
    """What reaches the shares of variances with a root, and perhaps a mean, for each of them."""

    def of(q):
        centered = [q.x - mean if own_mean else q.c for mean in q.means]
        pairs = zip(centered, roots(q, q.eps), strict=True)
        return collected([-0.5 * q.g_var * c / s**3 for c, s in pairs], q.with_var)

    return of


def scaled(shares, parts):
    return [share * part for share, part in zip(shares, parts, strict=True)]


def small_with_dy():
    x, *given, weight, _, eps = small()
    return np.float32([[[2, 0]], [[0, 4]]]), x, *given, weight, eps


def with_dy(make, largest, eps=EPS):
    """(dy, x, logits, weight, eps): dy has parts along 1, along x and along its square."""

    def arguments(rng):
        x, *given, weight, _, eps_ = mixture(make, largest, eps=eps)(rng)
        z = (x - x.mean()) / x.std()
        dy = 0.5 + 0.8 * z + 0.6 * z**2 + 0.3 * channels(rng, x.shape)
        return dy.astype(np.float32), x, *given, weight, eps_

    return arguments


TO_VARIANCE = "What reaches the mixed variance is -½ g (x - μ) r³, the same as -½ g x̂ r²."
SHARES_BACKWARD = Exercise(
    name="shares_backward",
    task="From dy, the gradient of the loss with respect to the result of switchable_norm, compute "
    "the gradients with respect to the logits mean_weight and var_weight.",
    returns=("dmean_weight", "dvar_weight"),
    reference=Steps(
        "dy x mean_weight var_weight weight eps",
        "dmean_weight dvar_weight",
        **FORWARD,
        r=lambda q: 1 / q.s,
        g=lambda q: q.dy * q.w,
        g_mean=lambda q: q.g,
        g_var=lambda q: q.g,
        to_mean=lambda q: -q.g_mean * q.r,
        to_var=lambda q: -0.5 * q.g_var * q.c * q.r**3,
        with_mean=lambda q: q.means,
        with_var=lambda q: q.vars,
        d_mean=lambda q: collected([q.to_mean] * 3, q.with_mean),
        d_var=lambda q: collected([q.to_var] * 3, q.with_var),
        back=lambda q: through_softmax,
        dmean_weight=lambda q: q.back(q.share_mean, q.d_mean),
        dvar_weight=lambda q: q.back(q.share_var, q.d_var),
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: small_with_dy(),
            by_hand="x̂ = -1, 0, 0, 1 and r = ½. What reaches the shares is -14, -14, -12 for the "
            "means and -¼, -¼, -5/4 for the variances",
        ),
        Probe(ONE, with_dy(lambda rng: close(rng, 4, 3), 0)),
        Probe(WIDE, with_dy(lambda rng: apart(rng, 2, 3, 3), 1, eps=4.0)),
        Probe(IMAGE, with_dy(lambda rng: image(rng, 4, 3, 2, 3), 2)),
    ),
    mistakes=(
        *in_jacobian(
            "softmax not differentiated",
            "You return the gradients of the shares. The logits are behind a softmax, whose "
            "Jacobian is w_k (δ_kj - w_j).",
            lambda shares, d: d,
        ),
        *in_jacobian(
            "diagonal of the Jacobian only",
            "Your gradient is w (1 - w) times that of the share. A logit moves the other two "
            "shares, too: it is w_k (dw_k - Σ w_j dw_j), with all three in the sum.",
            lambda shares, d: shares * (1 - shares) * d,
        ),
        *in_jacobian(
            "common part of the shares forgotten",
            "Your gradient is w_k dw_k. The shares add up to 1, so a larger logit takes from the "
            "other two: subtract Σ w_j dw_j first.",
            lambda shares, d: shares * d,
        ),
        *in_jacobian(
            "share in front forgotten",
            "You compute dw_k - Σ w_j dw_j. It is w_k times that.",
            lambda shares, d: d - shares @ d,
        ),
        *in_jacobian(
            "share not in front of both",
            "You compute w_k dw_k - Σ w_j dw_j. The share w_k is in front of both.",
            lambda shares, d: shares * d - shares @ d,
        ),
        *in_jacobian(
            "plain mean subtracted",
            "You subtract the plain mean of the three. It is weighted by the shares: Σ w_j dw_j.",
            lambda shares, d: shares * (d - d.mean()),
        ),
        *in_jacobian(
            "plain mean subtracted, share forgotten",
            "You take away the plain mean of the three. It is w_k (dw_k - Σ w_j dw_j).",
            lambda shares, d: d - d.mean(),
        ),
        *in_jacobian(
            "plain sum subtracted",
            "You subtract the plain sum of the three. It is weighted by the shares: Σ w_j dw_j.",
            lambda shares, d: shares * (d - d.sum()),
        ),
        *in_jacobian(
            "sign inside the Jacobian",
            "You add Σ w_j dw_j. It is subtracted: the shares add up to 1.",
            lambda shares, d: shares * (d + shares @ d),
        ),
        *in_jacobian(
            "off-diagonal part of the Jacobian only",
            "Your gradient has only - w_k Σ w_j dw_j. The term w_k dw_k is missing.",
            lambda shares, d: -shares * (shares @ d),
        ),
        *in_jacobian(
            "common part without its own share",
            "You subtract w_j dw_j of the other two only. All three are in the sum.",
            lambda shares, d: shares * (d - shares @ d + shares * d),
        ),
        *in_jacobian(
            "common part taken twice",
            "You subtract Σ w_j dw_j and multiply by w_k (1 - w_k), which is meant to take it away "
            "once more. It is w_k (dw_k - Σ w_j dw_j).",
            lambda shares, d: shares * (1 - shares) * (d - shares @ d),
        ),
        mistake(
            "means' shares in the Jacobian of the variances",
            "In dvar_weight you use the shares of the means. The variances have their own.",
            dvar_weight=lambda q: q.back(q.share_mean, q.d_var),
        ),
        mistake(
            "variances' shares in the Jacobian of the means",
            "In dmean_weight you use the shares of the variances. The means have their own.",
            dmean_weight=lambda q: q.back(q.share_var, q.d_mean),
        ),
        *many(
            "weight missing",
            "You start from dy. What reaches x̂ is g = dy γ.",
            *alone_and_together({"g_mean": lambda q: q.dy, "g_var": lambda q: q.dy}),
        ),
        mistake(
            "divided by the weight",
            "You divide dy by γ. y = γ x̂ + β, so g = dy γ.",
            g=lambda q: q.dy / q.w,
        ),
        mistake(
            "r missing on the way to the mean",
            "What reaches the mixed mean is -g r: x̂ = (x - μ) r.",
            to_mean=lambda q: -q.g_mean,
        ),
        *many(
            "another power of r on the way to the mean",
            "What reaches the mixed mean is -g r, with one r.",
            *({"to_mean": lambda q, power=power: -q.g_mean * q.r**power} for power in (2, 3, -1)),
        ),
        *many(
            "x - μ on the way to the mean",
            "What reaches the mixed mean is -g r, without x - μ: x̂ is linear in μ.",
            *({"to_mean": lambda q, power=power: -q.g_mean * q.c * q.r**power} for power in (1, 2)),
        ),
        mistake(
            "the gradient of the mean for the variance, too",
            f"For both you use -g r, what reaches the mixed mean. {TO_VARIANCE}",
            to_var=lambda q: q.to_mean,
        ),
        *(
            mistake(
                name,
                f"{TO_VARIANCE} {text}",
                to_var=lambda q, power=power: -0.5 * q.g_var * q.c * q.r**power,
            )
            for name, power, text in (
                ("r² instead of r³", 2, "Yours has one r less."),
                ("r instead of r³", 1, "Yours has two less: that is no derivative of r yet."),
                ("no r on the way to the variance", 0, "Yours has none."),
                ("r⁴ instead of r³", 4, "Yours has one r more: x̂ holds an r already."),
                ("r⁵ instead of r³", 5, "Yours has two r more."),
                ("√r³ instead of r³", 1.5, "(σ² + ε) to the power -3/2 is r³."),
            )
        ),
        *many(
            "x - μ missing on the way to the variance",
            f"{TO_VARIANCE} Yours lacks x - μ.",
            *({"to_var": lambda q, power=power: -0.5 * q.g_var * q.r**power} for power in (3, 2)),
        ),
        *many(
            "x where x - μ belongs",
            f"{TO_VARIANCE} In the place of x - μ you use x itself.",
            {"c": lambda q: q.x},
        ),
        mistake(
            "x minus each mean of its own",
            f"{TO_VARIANCE} For each share you use x minus the mean of its statistic; μ is the "
            "mixed mean, for all three.",
            d_var=lambda q: collected(
                [-0.5 * q.g_var * (q.x - mean) * q.r**3 for mean in q.means], q.with_var
            ),
        ),
        *many(
            "each statistic's own root",
            "You use 1/√(σ_k² + ε) of each statistic, as if three normalized outputs were mixed. "
            "There is one r, from the mixed variance.",
            *alone_and_together({"d_mean": own_root_mean, "d_var": own_root_var(False)}),
            *alone_and_together({"d_mean": own_root_mean, "d_var": own_root_var(True)})[1:],
        ),
        mistake(
            "standard deviations where the variances belong",
            "You multiply by σ_k. The derivative of Σ w_k σ_k² by a share is σ_k².",
            with_var=lambda q: roots(q),
        ),
        mistake(
            "squares of the variances",
            "You square the variances once more. The derivative of Σ w_k σ_k² by a share is σ_k².",
            with_var=lambda q: [var**2 for var in q.vars],
        ),
        mistake(
            "means where the variances belong",
            "In dvar_weight you multiply by the means. The derivative of Σ w_k σ_k² by a share is "
            "σ_k².",
            with_var=lambda q: q.means,
        ),
        mistake(
            "variances where the means belong",
            "In dmean_weight you multiply by the variances. The derivative of Σ w_k μ_k by a share "
            "is μ_k.",
            with_mean=lambda q: q.vars,
        ),
        *many(
            "statistics that hold their share already",
            "You multiply by w_k μ_k or w_k σ_k². The derivative of the mixture by a share is the "
            "statistic alone; the share comes with the softmax.",
            *alone_and_together(
                {
                    "with_mean": lambda q: scaled(q.share_mean, q.means),
                    "with_var": lambda q: scaled(q.share_var, q.vars),
                }
            ),
        ),
        *many(
            "means over each group instead of sums",
            "You average what reaches a statistic over the numbers that share it. All of them "
            "pull at the share: sum.",
            *alone_and_together(
                {
                    "d_mean": lambda q: collected(averaged(q, q.to_mean), q.with_mean),
                    "d_var": lambda q: collected(averaged(q, q.to_var), q.with_var),
                }
            ),
        ),
        *many(
            "absolute values summed",
            "You sum absolute values. Where dy points the other way, a number takes away.",
            {"d_mean": lambda q: collected([1] * 3, [abs(q.to_mean * m) for m in q.with_mean])},
            {"d_var": lambda q: collected([1] * 3, [abs(q.to_var * v) for v in q.with_var])},
        ),
        mistake(
            "product of a sum and a mean",
            "You sum the gradient by itself and multiply by the mean of each variance. Multiply "
            "number by number, then sum.",
            d_var=lambda q: q.to_var.sum() * np.array([*map(np.mean, q.with_var)]),
        ),
        # With all for one, a little more of a logit changes nothing.
        *(m for m in SHARE_MISTAKES if m.name != "largest logit takes all"),
        *DEVIATIONS_MIXED,
        *AROUND_MIXED,
        *(m for m in statistics_mistakes(*KINDS) if m.name != "cancellation"),
        *EPS_MISTAKES,
        last_axis("weight", "w"),
    ),
    hints=(
        Hint(
            "to_mean to_var g g_mean g_var r c",
            "With g = dy γ and r one over the root: what reaches the mixed mean is -g r, for each "
            "number of x. What reaches the mixed variance is -½ g (x - μ) r³.",
        ),
        Hint(
            "d_mean d_var with_mean with_var",
            "The mixed mean is Σ w_k μ_k, so a share gets the sum over all of x of what reaches "
            "the mixture, times μ_k: three numbers. The same with the σ_k² for the variances.",
        ),
        Hint(
            "back dmean_weight dvar_weight",
            "Through a softmax, three numbers d become w (d - Σ w d), with the shares w. Check "
            "yourself: the three results add up to 0, since the same number on all three logits "
            "changes nothing.",
        ),
        SHARES_HINT,
    ),
    coefficients=tuple(
        Coefficients(
            name,
            {name: 1},
            (symbol,),
            "",
            {
                "n": lambda q: np.full(3, q.x.size),
                "N": lambda q: np.full(3, len(q.x)),
                "m": lambda q: np.full(3, q.x.shape[1]),
            },
            {
                (name, "-1"): (f"sign of {name}", f"Your {name} has the wrong sign. {sign}"),
                (name, "0"): (
                    f"{name} is zero",
                    f"Your {name} is 0, and the logits change y. Three equal numbers come out of "
                    "the softmax as 0: did you use the mixture in the place of each statistic?",
                ),
                (name, "2"): (f"{name} twice too large", f"A factor ½ is missing. {sign}"),
                (name, "-2"): (
                    f"{name} twice too large, and its sign",
                    f"A factor -½ is missing. {sign}",
                ),
                (name, "1/2"): (f"half of {name}", f"A factor ½ is too many. {sign}"),
                (name, "1/n"): (
                    f"mean instead of a sum for {name}",
                    "You take a mean over all numbers. All of them pull at a share: sum.",
                ),
                (name, "1/m"): (
                    f"{name} averaged over the channels",
                    "You take a mean over the channels. All numbers pull at a share: sum.",
                ),
                (name, "1/N"): (
                    f"{name} divided by the batch size",
                    "If the loss is a mean over the batch, dy holds that 1/N already: it is a "
                    "plain sum.",
                ),
            },
        )
        for name, symbol, sign in (
            (
                "dmean_weight",
                "dλ",
                "The mean is subtracted, so what reaches it is -g r. Or you multiply by x - μ_k: "
                "the derivative of the mixed mean by a share is μ_k itself.",
            ),
            (
                "dvar_weight",
                "dλ'",
                "A larger variance makes x̂ smaller, and (σ² + ε)^(-½) has the derivative "
                "-½ (σ² + ε)^(-3/2).",
            ),
        )
    ),
)

# ---- inference ---------------------------------------------------------------------------------


def running(kind):
    return lambda q: on_channels(getattr(q, f"running_{kind}"), q.x)


RUNNING = {"mean_bn": running("mean"), "var_bn": running("var")}


def in_place_of(*kinds):
    return {f"{kind}_{of}": running(kind) for of in kinds for kind in ("mean", "var")}


def of_batch(ddof=0):
    """The statistics of the batch that comes in."""
    return {
        "mean_bn": lambda q: q.x.mean(q.axis_bn, keepdims=True),
        "var_bn": lambda q: q.x.var(q.axis_bn, ddof=ddof, keepdims=True),
    }


def updated(momentum, ddof):
    """The running statistics after one more batch."""
    return {
        step: lambda q, old=RUNNING[step], new=new: (1 - momentum) * old(q) + momentum * new(q)
        for step, new in of_batch(ddof).items()
    }


def without_batch(shares):
    return np.array([*shares[:2], 0]) / shares[:2].sum()


def corrected(power):
    """The running variance times n/(n - 1), or divided by it."""

    def of(q):
        n = np.float64(q.x.size / q.x.shape[1])
        return RUNNING["var_bn"](q) * (n / (n - 1)) ** power

    return of


def kept(make, largest, scale=1.0, mean=0.0, eps=EPS):
    """Arguments of inference: running statistics that are not those of x."""

    def running_mean(rng, c):
        spread = np.linspace(0.6, 1.8, c) * rng.choice([-1, 1])
        return (mean + scale * rng.permuted(spread)).astype(np.float32)

    def running_var(rng, c):
        return (scale**2 * (0.6 + variances(rng, c))).astype(np.float32)

    return mixture(make, largest, running_mean, running_var, eps=eps)


INFERENCE = Exercise(
    name="switchable_norm_inference",
    task="Normalize with the running statistics in the place of the batch's; those of instance and "
    "layer stay x's own. The running variance is used as it is.",
    returns=("y",),
    reference=Steps(
        "x running_mean running_var mean_weight var_weight weight bias eps",
        "y",
        **FORWARD | RUNNING,
        **RESULT,
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: small(np.float32([4]), np.float32([5])),
            by_hand="instance and layer: means 2, 6, variances 1; running: 4 and 5; shares ¼, ¼, ½ "
            "and ¼, ½, ¼. Mixed: means 3, 5, variance 2 and √(σ² + ε) = 2",
        ),
        Probe("a single vector (1, C), small numbers", kept(lambda rng: close(rng, 1, 3), 0, 0.01)),
        Probe(WIDE, kept(lambda rng: apart(rng, 2, 3, 3), 1, eps=4.0)),
        Probe(FAR, kept(lambda rng: apart(rng, 3, 4, 4, mean=1e4), 2, mean=1e4), 5e-3),
        Probe(IMAGE, kept(lambda rng: image(rng, 4, 3, 2, 3), 0)),
    ),
    mistakes=(
        *many(
            "statistics of the batch itself",
            "You use the statistics of the batch that comes in. In inference a result must not "
            "depend on the other samples: running_mean and running_var take their place.",
            *alone_and_together(of_batch()),
            of_batch(1),
        ),
        mistake(
            "running variance taken for a standard deviation",
            "You square running_var. It is a variance already.",
            var_bn=lambda q: RUNNING["var_bn"](q) ** 2,
        ),
        mistake(
            "root of the running variance",
            "You take the root of running_var before you mix. Mix variances, then take one root.",
            var_bn=lambda q: np.sqrt(RUNNING["var_bn"](q)),
        ),
        mistake(
            "running statistics in the place of all three",
            "You use the running statistics alone, as batch normalization does. Instance and layer "
            "keep x's own.",
            **in_place_of("in", "ln"),
        ),
        *many(
            "running statistics in the place of another",
            "You put the running statistics in the place of the instance's or the layer's. Only "
            "the batch's are replaced.",
            *(in_place_of(kind) | batch for kind in ("in", "ln") for batch in ({}, of_batch())),
        ),
        mistake(
            "running mean and variance exchanged",
            "Your batch mean is running_var, and your batch variance running_mean.",
            mean_bn=running("var"),
            var_bn=running("mean"),
        ),
        *many(
            "running statistics updated",
            "You move the running statistics towards the batch first. In inference they stay: a "
            "result must not depend on the other samples.",
            *(updated(momentum, ddof) for momentum in (0.1, 0.9) for ddof in (0, 1)),
        ),
        *many(
            "batch left out",
            "You leave out the batch. Its share stays, with the running statistics.",
            {
                "share_mean": lambda q: without_batch(q.softmax(q.mean_weight)),
                "share_var": lambda q: without_batch(q.softmax(q.var_weight)),
            },
            {"mean_bn": lambda q: 0 * q.mean_in, "var_bn": lambda q: 0 * q.var_in},
        ),
        *many(
            "running statistics on the last axis",
            "A vector (C,) meets the last axis of x, but channels are axis 1. Give it the shape "
            "(1, C, 1, ...) first.",
            *alone_and_together(
                {"mean_bn": lambda q: q.running_mean, "var_bn": lambda q: q.running_var}
            ),
        ),
        *many(
            "running variance corrected",
            "You multiply running_var by (n - 1)/n or n/(n - 1). It is used as it is.",
            {"var_bn": corrected(1)},
            {"var_bn": corrected(-1)},
        ),
        mistake(
            "eps added to the running variance",
            "You add ε to running_var, and once more behind the mixture. It is added once.",
            var_bn=lambda q: RUNNING["var_bn"](q) + q.eps,
        ),
        *SHARE_MISTAKES,
        *DEVIATIONS_MIXED,
        *OUTPUTS_MIXED,
        *statistics_mistakes("in", "ln"),
        *OF_THE_RESULT,
    ),
    hints=(
        Hint(
            "mean_bn var_bn",
            "Take your switchable_norm, and put running_mean and running_var, as (1, C, 1, ...), "
            "in the place of the batch's mean and variance. Nothing else changes.",
        ),
        SHARES_HINT,
        MIX_HINT,
        STATISTICS_HINT,
    ),
)

EXERCISES = (THREE_STATISTICS, SWITCHABLE_NORM, SHARES_BACKWARD, INFERENCE)
