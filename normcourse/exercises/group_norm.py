"""Exercises on group normalization: forward, backward, and what a batch norm layer becomes."""

import numpy as np

from normcourse.exercises.family import (
    EPS,
    FAR,
    all_but_channels,
    both_passes,
    eps_mistakes,
    forward,
    mistake,
    on_channels,
)
from normcourse.exercises.probes import (
    channels,
    channels_last_images,
    spread_out,
    variances,
    weights,
)
from normcourse.exercises.record import Exercise, Hint, Mistake, Probe, Steps

__all__ = ["EXERCISES"]


def cut(x, num_groups, *_):
    """x (N, C, ...) as (N, G, C / G, ...)."""
    n, c, *positions = x.shape
    return x.reshape(n, num_groups, c // num_groups, *positions)


def in_group(x, *_):
    return tuple(range(2, x.ndim + 1))


def seen(axes):
    """The axes of x in its view (N, G, C / G, ...)."""
    return tuple(b for a in axes for b in ((1, 2) if a == 1 else (a + (a > 1),)))


def given(rng, x, num_groups, eps=EPS):
    c = x.shape[1]
    return x, num_groups, weights(rng, c), channels(rng, c), eps


def constant_group(rng):
    """Sequences of two samples; the first group of the first never changes."""
    x = spread_out(rng, 2, 6, 2)
    x[0, :3] = 2
    return x


def narrow_group(rng):
    """Sequences whose first two channels have a standard deviation near 0.05."""
    x = spread_out(rng, 2, 6, 3)
    x[:, :2] *= np.float32(0.05)
    return x


# 6 channels: 2 groups of 3 or 3 groups of 2, so that number and size are never the same.
PROBES = (
    ("channels (N, C) and a large eps", lambda rng: given(rng, spread_out(rng, 3, 6), 2, 2.0)),
    ("a constant group", lambda rng: given(rng, constant_group(rng), 2), 3e-4),
    (FAR, lambda rng: given(rng, spread_out(rng, 2, 6, 2, mean=1e4), 2), 2e-2),
    ("a narrow group", lambda rng: given(rng, narrow_group(rng), 3)),
    (
        "an image (N, C, H, W)",
        lambda rng: given(rng, channels_last_images(rng, 3, 6, 2, 3), 2),
    ),
)

# ---- mistakes that only group normalization has --------------------------------------------------


def interleaved(a, num_groups):
    """a (N, C, ...) as (N, G, C / G, ...), every G-th channel in one group."""
    n, c, *positions = a.shape
    return a.reshape(n, c // num_groups, num_groups, *positions).swapaxes(1, 2)


def in_order(a, q):
    """What :func:`interleaved` did, undone."""
    return a.swapaxes(1, 2).reshape(q.x.shape)


def per_group(q, p):
    """The first G entries of a vector, each for a whole group."""
    first = np.resize(p[: q.num_groups], q.num_groups)
    return on_channels(np.repeat(first, len(p) // q.num_groups), q.x)


def of_groups(q, a):
    """The sum of a over samples and each group, repeated for its channels."""
    sums = cut(a, q.num_groups).sum((0, *in_group(q.x)))
    return np.repeat(sums, q.x.shape[1] // q.num_groups)


def with_batch(q):
    return (0, *in_group(q.x))


INTERLEAVED = (
    "Your groups hold every G-th channel. They are C/G neighbours: reshape to (N, G, C/G, ...), "
    "with G in front of C/G, and average over all axes behind G."
)
EXCHANGED = mistake(
    "number and size of the groups exchanged",
    "You make C/G groups of G channels. num_groups is how many groups there are: G, each of C/G "
    "channels.",
    view=lambda q: cut(q.x, q.x.shape[1] // q.num_groups),
)
OVER_THE_BATCH = mistake(
    "statistics of a group over the batch",
    "Your mean of a group runs over the samples, too. Each sample has its own: that is what makes "
    "group normalization independent of the batch.",
    noisy=(FAR,),
    axis=with_batch,
)
EACH_POSITION = mistake(
    "each position by itself",
    "Your mean runs over the channels of a group only. It runs over their positions, too.",
    noisy=(FAR,),
    axis=lambda q: (2,),
)
OF_CHANNELS = mistake(
    "variance averaged over the channels",
    "You average the variances of the channels. That misses how the channels of a group differ: "
    "take the variance over all of the group's numbers at once.",
    var=lambda q: q.view.var(tuple(range(3, q.view.ndim)), keepdims=True).mean(2, keepdims=True),
)
PER_GROUP = mistake(
    "weight and bias per group",
    "You give all channels of the g-th group weight[g] and bias[g]. Statistics are shared by a "
    "group, parameters are not: each channel has its own.",
    w=lambda q: per_group(q, q.weight),
    b=lambda q: per_group(q, q.bias),
)
LAST_AXIS = mistake(
    "groups cut from the last axis",
    "You move the channels to the last axis and cut there: a group then holds positions with all "
    "their channels. Channels are axis 1, and so are the groups.",
    noisy=(FAR,),
    view=lambda q: np.moveaxis(q.x, 1, -1).reshape(len(q.x), q.num_groups, -1),
    axis=lambda q: (2,),
    xhat=lambda q: np.moveaxis((q.c / q.s).reshape(np.moveaxis(q.x, 1, -1).shape), -1, 1),
)
AFTER_THE_MEANS = (
    "You take the means of dy and multiply by γ afterwards. In batch normalization that is the "
    "same; here γ differs between the channels of a group, so g = dy γ comes before the means."
)


def closed_mean(q):
    return q.g.mean(q.dx_axis, keepdims=True) / q.dx_s


def means_in_dx(name, explanation, axis):
    """Means along other axes: in the graph, or in the closed form, which drops the mean of x̂."""
    return (
        mistake(name, explanation, noisy=(FAR,), dx_axis=axis),
        mistake(name, explanation, noisy=(FAR,), dx_axis=axis, by_mean=closed_mean),
    )


def divided_by(name, explanation, count):
    """Sums in the closed form of dx that are divided by another count."""
    return (
        mistake(
            name,
            explanation,
            by_mean=lambda q: q.g.sum(q.axis, keepdims=True) / count(q) / q.s,
            by_var=lambda q: q.z * (q.g * q.z).sum(q.axis, keepdims=True) / count(q) / q.s,
        ),
    )


GROUP_NORM, GROUP_NORM_BACKWARD = both_passes(
    "group_norm",
    task="Cut the channels of x (N, C, ...) into num_groups groups of neighbours and normalize "
    "each group of each sample; then scale by weight (C,) and shift by bias (C,).",
    axes=in_group,
    place=on_channels,
    shared=lambda x, *_: all_but_channels(x),
    view=cut,
    seen=seen,
    probes=PROBES,
    hand=(1, 4),
    more=("num_groups", (1,)),
    rule="Here C/G neighbouring channels of one sample share their statistics, over all positions.",
    hint="x.reshape(N, G, C // G, *x.shape[2:]) puts each group on an axis of its own; all axes "
    "behind G share a statistic. The same numbers, reshaped back, are in their old order.",
    of_forward=(
        EXCHANGED,
        OVER_THE_BATCH,
        EACH_POSITION,
        OF_CHANNELS,
        LAST_AXIS,
        PER_GROUP,
        mistake(
            "interleaved groups",
            INTERLEAVED,
            view=lambda q: interleaved(q.x, q.num_groups),
            xhat=lambda q: in_order(q.c / q.s, q),
        ),
    ),
    of_backward=(
        EXCHANGED,
        OVER_THE_BATCH,
        EACH_POSITION,
        OF_CHANNELS,
        mistake(
            "interleaved groups",
            INTERLEAVED,
            view=lambda q: interleaved(q.x, q.num_groups),
            xhat=lambda q: in_order(q.c / q.s, q),
            g=lambda q: interleaved(q.dy * q.w, q.num_groups),
            z=lambda q: q.c / q.s,
            dx=lambda q: in_order(q.direct - q.by_mean - q.by_var, q),
        ),
        mistake(
            "weight per group",
            "You give all channels of the g-th group weight[g]. Each channel has its own.",
            w=lambda q: per_group(q, q.weight),
        ),
        mistake(
            "weight multiplied after the means",
            AFTER_THE_MEANS,
            g=lambda q: q.dy.reshape(q.view.shape),
            dx=lambda q: q.w * (q.direct - q.by_mean - q.by_var).reshape(q.x.shape),
        ),
        *means_in_dx(
            "means over the batch, in dx",
            "The means in your dx run over the samples, too. They run over what shares a "
            "statistic: one group of one sample.",
            with_batch,
        ),
        *means_in_dx(
            "means of each position, in dx",
            "The means in your dx run over the channels of a group only. They run over their "
            "positions, too.",
            lambda q: (2,),
        ),
        *divided_by(
            "sums in dx divided by the channels of a group",
            "You divide sums by C/G. A mean divides by how many numbers share a statistic: "
            "C/G channels times their positions.",
            lambda q: q.view.shape[2],
        ),
        *divided_by(
            "sums in dx divided by the positions",
            "You divide sums by H·W. A mean divides by how many numbers share a statistic: "
            "C/G channels times their positions.",
            lambda q: q.n / q.view.shape[2],
        ),
        mistake(
            "dweight and dbias of a group",
            "You sum over the channels of a group, too. A channel has parameters of its own: sum "
            "over samples and positions only.",
            dweight=lambda q: of_groups(q, q.dy * q.xhat),
            dbias=lambda q: of_groups(q, q.dy),
        ),
    ),
)

# ---- from batch normalization --------------------------------------------------------------------


def layer(rng, x, num_groups, eps=EPS):
    """x, and a batch normalization with statistics that are not those of x."""
    c = x.shape[1]
    statistics = channels(rng, c), variances(rng, c)
    return x, num_groups, *statistics, weights(rng, c), channels(rng, c), eps


def for_the_hand(rng):
    values = (1, 6, 6, 1)  # running_mean, running_var, weight, bias
    return np.float32([[[1, 3]]]), 1, *(np.float32([v]) for v in values), 3.0


def of_channel(name, of):
    """A statistic of each channel over samples and positions, as a step."""
    return lambda q: getattr(getattr(q, of), name)(all_but_channels(q.x))


def averaged(of):
    """The spread of each channel within a sample, averaged over the samples, as a step."""

    def spread(q):
        a = getattr(q, of)
        return a.std(tuple(range(2, a.ndim))).mean(0) if a.ndim > 2 else a.std(0)

    return spread


def of_batch_norm(m):
    """A mistake in the root of group norm, made in that of batch norm."""
    return mistake(f"{m.name}, in batch norm", m.explanation, bn_s=m.turns["s"])


FORWARD = forward(lambda q: in_group(q.x), on_channels, view=lambda q: cut(q.x, q.num_groups))
XHAT_STEPS = ("view", "axis", "n", "mean", "c", "var", "s", "xhat")
OF_XHAT = (
    EXCHANGED.name,
    OVER_THE_BATCH.name,
    EACH_POSITION.name,
    "interleaved groups",
    "axes of layer normalization",
    "unbiased variance",
)
IN_THE_ROOT = "eps outside the square root", "eps forgotten"

BATCH_NORM_TO_GROUP_NORM = Exercise(
    name="batch_norm_to_group_norm",
    task="Find weight and bias for a group normalization that takes the place of a trained batch "
    "normalization: on the images x, each channel of its output has the mean and the standard "
    "deviation that batch norm gives it in evaluation mode.",
    returns=("new_weight", "new_bias"),
    reference=Steps(
        "x num_groups running_mean running_var weight bias eps",
        "new_weight new_bias",
        **{name: FORWARD.steps[name] for name in XHAT_STEPS},
        x_mean=of_channel("mean", "x"),
        x_std=of_channel("std", "x"),
        xhat_mean=of_channel("mean", "xhat"),
        xhat_std=of_channel("std", "xhat"),
        bn_s=lambda q: np.sqrt(q.running_var + q.eps),
        slope=lambda q: q.weight / q.bn_s,
        center=lambda q: q.running_mean,
        wanted=lambda q: q.slope * (q.x_mean - q.center) + q.bias,
        new_weight=lambda q: q.slope * q.x_std / q.xhat_std,
        new_bias=lambda q: q.wanted - q.new_weight * q.xhat_mean,
    ),
    probes=(
        Probe(
            "numbers for the hand: 1, 3",
            for_the_hand,
            by_hand="batch norm is 2 (x - 1) + 1 here and gives 1, 5: mean 3, standard deviation "
            "2; x̂ is -1/2, 1/2: mean 0, standard deviation 1/2",
        ),
        Probe(
            "channels (N, C) and a large eps", lambda rng: layer(rng, spread_out(rng, 5, 6), 2, 2.0)
        ),
        Probe("a sequence (N, C, L)", lambda rng: layer(rng, spread_out(rng, 4, 6, 3), 3)),
        Probe(
            "an image (N, C, H, W)",
            lambda rng: layer(rng, channels_last_images(rng, 4, 6, 2, 3), 2),
        ),
    ),
    mistakes=(
        mistake(
            "weight and bias copied",
            "You return γ and β as they are. Batch norm's x̂ has another spread and another mean in "
            "each channel than group norm's: both numbers must make up for that.",
            new_weight=lambda q: q.weight,
            new_bias=lambda q: q.bias,
        ),
        mistake(
            "weight copied",
            "Your weight is that of batch norm. Batch norm multiplies x by γ/√(running_var + ε), "
            "group norm divides each sample by a spread of its own.",
            new_weight=lambda q: q.weight,
        ),
        mistake(
            "bias copied",
            "Your bias is that of batch norm. It must hold the mean that batch norm's output has "
            "on x, less what x̂ brings along.",
            new_bias=lambda q: q.bias,
        ),
        mistake(
            "slope as the weight",
            "Your weight is γ/√(running_var + ε): that multiplies x. The new one multiplies x̂, "
            "whose spread is another: times the spread of x over that of x̂.",
            new_weight=lambda q: q.slope,
        ),
        mistake(
            "spreads upside down",
            "You multiply by the spread of x̂ over that of x. A channel of x̂ that is narrower than "
            "x needs a larger weight: turn the quotient around.",
            new_weight=lambda q: q.slope * q.xhat_std / q.x_std,
        ),
        mistake(
            "mean of x̂ forgotten",
            "A channel of x̂ does not have mean 0, only its group has. Subtract the new weight "
            "times its mean from the bias.",
            new_bias=lambda q: q.wanted,
        ),
        mistake(
            "mean of x̂ added",
            "The new weight times the mean of x̂ is what group norm brings along by itself: "
            "subtract it.",
            new_bias=lambda q: q.wanted + q.new_weight * q.xhat_mean,
        ),
        mistake(
            "bias of batch norm forgotten",
            "The mean that you keep lacks β.",
            wanted=lambda q: q.slope * (q.x_mean - q.center),
        ),
        mistake(
            "sign of the weight lost",
            "Your weight is a quotient of standard deviations, which is never negative. γ may be: "
            "keep its sign.",
            new_weight=lambda q: abs(q.slope) * q.x_std / q.xhat_std,
        ),
        mistake(
            "batch norm in training mode",
            "You normalize x with its own statistics. In evaluation mode batch norm uses "
            "running_mean and running_var.",
            bn_s=lambda q: np.sqrt(q.x.var(all_but_channels(q.x)) + q.eps),
            center=lambda q: q.x_mean,
        ),
        mistake(
            "running mean left out",
            "Batch norm subtracts running_mean before it scales; your mean of its output does not.",
            center=lambda q: 0,
        ),
        mistake(
            "variance taken for a standard deviation",
            "You divide by running_var + ε. It is a variance: take the root.",
            bn_s=lambda q: q.running_var + q.eps,
        ),
        mistake(
            "spread averaged over the samples",
            "Your standard deviations are those within a sample, averaged. Samples differ in their "
            "means, too: take it over samples and positions at once.",
            x_std=averaged("x"),
            xhat_std=averaged("xhat"),
        ),
        mistake(
            "variances in place of standard deviations",
            "Your weight holds a quotient of variances. A weight scales standard deviations: take "
            "the root.",
            new_weight=lambda q: q.slope * (q.x_std / q.xhat_std) ** 2,
        ),
        *(m for m in eps_mistakes() if m.name in IN_THE_ROOT),
        *(of_batch_norm(m) for m in eps_mistakes("running_var") if m.name in IN_THE_ROOT),
        mistake(
            "x̂ of batch normalization",
            "Your x̂ is normalized per channel over the batch. The new layer is a group norm: "
            "normalize x in groups, each sample by itself.",
            axis=lambda q: seen(all_but_channels(q.x)),
        ),
        *(
            Mistake(m.name, m.explanation, {k: m.turns[k] for k in XHAT_STEPS if k in m.about})
            for m in GROUP_NORM.mistakes
            if m.name in OF_XHAT
        ),
    ),
    hints=(
        Hint(
            "xhat view axis mean var",
            "Two layers see the same x. Compute what each makes of it: batch norm with the running "
            "statistics, and x̂ of group norm, which is normalized in groups.",
        ),
        Hint(
            "new_weight slope x_std xhat_std bn_s",
            "Per channel, over samples and positions: which number makes the standard deviation of "
            "x̂ that of batch norm's output? Mind its sign.",
        ),
        Hint(
            "new_bias wanted xhat_mean center",
            "With the new weight fixed, γ' x̂ has some mean in each channel. The bias is what it "
            "lacks to the mean of batch norm's output.",
        ),
    ),
)

EXERCISES = (GROUP_NORM, GROUP_NORM_BACKWARD, BATCH_NORM_TO_GROUP_NORM)
