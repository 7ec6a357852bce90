"""Exercises on batch normalization: forward, backward, running statistics, train and eval.

A reference takes knobs after ``*``; a mistake is the reference with one of them turned.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np

from normcourse.exercises.probes import (
    channels,
    mean_square,
    naive_variance,
    spread_out,
    variances,
    weights,
)
from normcourse.exercises.record import Exercise, Mistake, Probe

__all__ = ["EXERCISES"]

EPS = 1e-5
FAR = "a large offset"  # where E[x²] - E[x]² is nothing but rounding


def per_channel(x):
    """The axes that share a statistic in batch normalization: all but the channel axis."""
    return (0, *range(2, x.ndim))


def on_channels(p, x):
    """The vector p (C,) on the channel axis of x (N, C, ...)."""
    return p.reshape((1, -1) + (1,) * (x.ndim - 2))


def on_last_axis(p, x):
    return p


def image(rng, n, c, h, w):
    """A channels-last batch with an outlier, seen as (N, C, H, W). w = c hides a wrong axis."""
    x = spread_out(rng, n, c, h, w)
    x[0, 0, 0, 0] += 8
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def sequence(rng, n, c, length):
    """(N, C, L), the first channel with a standard deviation near 0.05."""
    x = spread_out(rng, n, c, length)
    x[:, 0] *= np.float32(0.05)
    return x


def constant_channel(rng):
    return spread_out(rng, 4, 2) * np.float32([1, 0]) + np.float32([0, 2])


def affine_parameters(rng, c):
    return weights(rng, c), channels(rng, c)


def running_statistics(rng, c, mean=0.0):
    return channels(rng, c, mean), variances(rng, c)


def root(var, eps):
    return np.sqrt(var + eps)


def guarded_root(var, eps):
    """Without eps, but with another remedy for a constant channel."""
    return np.sqrt(np.where(var == 0, 1, var))


def affine(xhat, weight, bias):
    return weight * xhat + bias


unbiased = partial(np.var, ddof=1)

# What is done wrong alike in several of the functions.
EPS_OUTSIDE = (
    "eps outside the square root",
    "You divide by √σ² + ε; the formula has √(σ² + ε). Inside the root, ε also keeps the gradient "
    "finite where σ² is 0.",
)
EPS_FORGOTTEN = (
    "eps forgotten",
    "You divide by √σ²; the formula has √(σ² + ε). It is ε that keeps a constant channel from "
    "being 0/0.",
)
EPS_FIXED = (
    "eps ignored",
    "Your result does not depend on eps. Add the parameter eps to σ², not a number of your own.",
)
NO_ROOT = (
    "divided by the variance",
    "You divide by σ² + ε. Divide by its square root, so that the result has no unit.",
)
UNBIASED = (
    "unbiased variance",
    "Your variance divides by n - 1. To normalize, batch normalization divides by n; n - 1 is for "
    "the running variance only. Look for ddof=1, or torch's x.var(), whose default it is.",
)
CANCELLING = (
    "cancellation",
    "Right everywhere but far from zero: there E[x²] - E[x]² subtracts two nearly equal numbers, "
    "and float32 has no digits left. Subtract the mean first, then square: mean((x - μ)²).",
)
LAST_AXIS = (
    "weight and bias on the last axis",
    "A vector (C,) meets the last axis of x, but channels are axis 1. Give it the shape "
    "(1, C, 1, ...) first.",
)
WEIGHT_AFTER_BIAS = (
    "bias added before the weight",
    "You compute γ (x̂ + β); the formula is γ x̂ + β.",
)
EXCHANGED = (
    "weight and bias exchanged",
    "You compute β x̂ + γ. The weight γ multiplies, the bias β is added.",
)
NO_AFFINE = ("no weight and bias", "You return x̂ itself. Multiply by γ and add β, per channel.")
COMPLEMENT = (
    "momentum turned around",
    "You weigh the new batch by 1 - momentum. Here, as in torch, momentum is the weight of the new "
    "batch; Keras and Flax use the complement.",
)
COMPLEMENT_BIASED = (
    "momentum turned around, biased variance stored",
    "This is the convention of Keras and Flax: they weigh the new batch by 1 - momentum and store "
    "the variance divided by n. Here, as in torch, it is momentum, and n - 1.",
)
COMPLEMENT_MEAN = (
    "momentum turned around for the mean",
    "The variance moves by momentum, the mean by 1 - momentum. Both move alike.",
)
COMPLEMENT_VARIANCE = (
    "momentum turned around for the variance",
    "The mean moves by momentum, the variance by 1 - momentum. Both move alike.",
)
BIASED_STORED = (
    "biased variance stored",
    "The running variance estimates that of the data, so it takes the unbiased variance of the "
    "batch: divide by n - 1, where n counts all numbers of a channel.",
)


def forward(
    x, weight, bias, eps, *, axes=per_channel, mean=np.mean, var=np.var, root=root, affine=affine,
    on=on_channels,
):  # fmt: skip
    axis = axes(x)
    xhat = (x - mean(x, axis, keepdims=True)) / root(var(x, axis, keepdims=True), eps)
    return affine(xhat, on(weight, x), on(bias, x))


def without_keepdims(x, weight, bias, eps):
    axis = per_channel(x)
    xhat = (x - x.mean(axis)) / np.sqrt(x.var(axis) + eps)
    return affine(xhat, on_channels(weight, x), on_channels(bias, x))


BATCHES = (
    (
        "a small batch and a large eps",
        lambda rng: (spread_out(rng, 4, 2), *affine_parameters(rng, 2), 2.0),
    ),
    (
        "a constant channel",
        lambda rng: (constant_channel(rng), *affine_parameters(rng, 2), EPS),
        3e-4,  # folded to a x + b, the shift b is some 600 times as large as y
    ),
    (
        FAR,
        lambda rng: (spread_out(rng, 5, 2, mean=1e4), *affine_parameters(rng, 2), EPS),
        2e-2,  # in float32 the mean itself is off by up to 5e-4
    ),
    (
        "a sequence (N, C, L)",
        lambda rng: (sequence(rng, 2, 3, 3), *affine_parameters(rng, 3), EPS),
    ),
    (
        "an image (N, C, H, W)",
        lambda rng: (image(rng, 4, 3, 2, 3), *affine_parameters(rng, 3), EPS),
    ),
)

BATCH_NORM = Exercise(
    name="batch_norm",
    task="Normalize each channel of x (N, C, ...) with the statistics of the batch, then scale "
    "by weight (C,) and shift by bias (C,).",
    returns=("y",),
    reference=forward,
    probes=tuple(Probe(name, *rest) for name, *rest in BATCHES),
    mistakes=(
        Mistake(*UNBIASED, partial(forward, var=unbiased)),
        Mistake(*EPS_OUTSIDE, partial(forward, root=lambda var, eps: np.sqrt(var) + eps)),
        Mistake(
            "unbiased variance, eps outside the square root",
            "You divide by the standard deviation with n - 1, plus ε. Take the variance with n, "
            "add ε to it, then take the root: √(σ² + ε).",
            partial(forward, var=unbiased, root=lambda var, eps: np.sqrt(var) + eps),
        ),
        Mistake(*EPS_FORGOTTEN, partial(forward, root=lambda var, eps: np.sqrt(var))),
        Mistake(*EPS_FORGOTTEN, partial(forward, root=guarded_root)),
        Mistake(*EPS_FIXED, partial(forward, root=lambda var, eps: np.sqrt(var + EPS))),
        Mistake(
            "eps as a lower bound",
            "You take the larger of σ² and ε. The formula adds ε to σ².",
            partial(forward, root=lambda var, eps: np.sqrt(np.maximum(var, eps))),
        ),
        Mistake(*NO_ROOT, partial(forward, root=lambda var, eps: var + eps)),
        Mistake(
            "mean not subtracted",
            "You divide x itself. Subtract the mean of its channel first.",
            partial(forward, mean=lambda x, axis, keepdims: np.zeros_like(x)),
        ),
        Mistake(
            "mean of squares as the variance",
            "Your variance is mean(x²). It is mean((x - μ)²): subtract the mean before squaring.",
            partial(forward, var=mean_square),
        ),
        Mistake(*CANCELLING, partial(forward, var=naive_variance), noisy=(FAR,)),
        Mistake(
            "statistics per sample",
            "Your mean runs over the axes behind N, as in layer normalization. In batch "
            "normalization a channel shares its statistics over N and the axes behind C.",
            partial(forward, axes=lambda x: tuple(range(1, x.ndim))),
            noisy=(FAR,),
        ),
        Mistake(
            "statistics per sample and channel",
            "Your mean runs over the axes behind C only, as in instance normalization. Include "
            "the batch axis 0.",
            partial(forward, axes=lambda x: tuple(range(2, x.ndim))),
        ),
        Mistake(
            "statistics over the batch axis only",
            "Right for (N, C), but with more axes each position has a mean of its own. A channel "
            "shares one: average over axis 0 and all axes behind axis 1.",
            partial(forward, axes=lambda x: (0,)),
        ),
        Mistake(
            "written for (N, C) only",
            "Right for (N, C), but with more axes your statistics run over the batch only, and "
            "weight and bias meet the last axis. Channels are axis 1, whatever follows.",
            partial(forward, axes=lambda x: (0,), on=on_last_axis),
        ),
        Mistake(
            "one statistic for all channels",
            "You take the mean of the whole array. Each channel has its own: leave out axis 1.",
            partial(forward, axes=lambda x: tuple(range(x.ndim))),
        ),
        Mistake(
            "channels on the last axis",
            "You treat the last axis as the channels, as TensorFlow does. Here the layout is "
            "(N, C, ...): channels are axis 1.",
            partial(forward, axes=lambda x: tuple(range(x.ndim - 1)), on=on_last_axis),
        ),
        Mistake(
            "statistics lost their axes",
            "Right for (N, C), but with more axes your mean of shape (C,) meets the last axis "
            "instead of the channels. Keep the reduced axes: keepdims=True.",
            without_keepdims,
        ),
        Mistake(*LAST_AXIS, partial(forward, on=on_last_axis)),
        Mistake(*WEIGHT_AFTER_BIAS, partial(forward, affine=lambda xhat, w, b: w * (xhat + b))),
        Mistake(*EXCHANGED, partial(forward, affine=lambda xhat, w, b: b * xhat + w)),
        Mistake(*NO_AFFINE, partial(forward, affine=lambda xhat, w, b: xhat)),
        Mistake(
            "no weight",
            "You return x̂ + β. Multiply by γ before.",
            partial(forward, affine=lambda xhat, w, b: xhat + b),
        ),
        Mistake(
            "no bias",
            "You return γ x̂. Add β.",
            partial(forward, affine=lambda xhat, w, b: w * xhat),
        ),
    ),
    hints=(
        "Which axes share a statistic? All but axis 1: for (N, C) that is axis 0, for (N, C, H, W) "
        "axes 0, 2 and 3. x.mean accepts a tuple of axes.",
        "Four steps: μ, then σ² = mean((x - μ)²), then x̂ = (x - μ)/√(σ² + ε), then γ x̂ + β. Print "
        "the shape after each.",
        "With axis = (0, *range(2, x.ndim)) and keepdims=True the statistics have the shape "
        "(1, C, 1, ...). Bring weight and bias into it by reshape((1, -1) + (1,) * (x.ndim - 2)).",
    ),
)


def backward(
    dy, x, weight, bias, eps, *, var=np.var, root=root,
    dx=lambda q: (q.g - q.mean(q.g) - q.xhat * q.mean(q.g * q.xhat)) / q.s,
    dweight=lambda q: q.sum(q.dy * q.xhat),
    dbias=lambda q: q.sum(q.dy),
):  # fmt: skip
    axis, w = per_channel(x), on_channels(weight, x)
    mean, total = partial(np.mean, axis=axis, keepdims=True), partial(np.sum, axis=axis)
    centered, s = x - mean(x), root(var(x, axis, keepdims=True), eps)
    q = SimpleNamespace(
        dy=dy, x=x, w=w, b=on_channels(bias, x), g=dy * w, centered=centered, s=s,
        xhat=centered / s, n=x.size // x.shape[1], mean=mean, sum=total,
    )  # fmt: skip
    return dx(q), dweight(q), dbias(q)


def with_dy(make):
    """``make`` with a gradient in front; its parts along 1, along xhat and across are all there."""

    def arguments(rng):
        x, *rest = make(rng)
        c = x - x.mean(per_channel(x), keepdims=True)
        return 0.5 + 0.8 * c + 0.6 * c**2 + 0.3 * channels(rng, x.shape), x, *rest

    return arguments


def exchanged_gradients(dy, x, weight, bias, eps):
    dx, dweight, dbias = backward(dy, x, weight, bias, eps)
    return dx, dbias, dweight


BATCH_NORM_BACKWARD = Exercise(
    name="batch_norm_backward",
    task="From dy, the gradient of the loss with respect to y, compute the gradients with respect "
    "to x, weight and bias.",
    returns=("dx", "dweight", "dbias"),
    reference=backward,
    probes=tuple(Probe(name, with_dy(make), *rest) for name, make, *rest in BATCHES),
    mistakes=(
        Mistake(
            "statistics treated as constants",
            "Your dx is g/√(σ² + ε). But μ and σ² depend on every x of the channel: two terms are "
            "missing, - mean(g) and - x̂ mean(g x̂). Alone it is right for inference.",
            partial(backward, dx=lambda q: q.g / q.s),
        ),
        Mistake(
            "path through the mean missing",
            "Your dx lacks the term - mean(g): x also reaches y through μ.",
            partial(backward, dx=lambda q: (q.g - q.xhat * q.mean(q.g * q.xhat)) / q.s),
        ),
        Mistake(
            "path through the variance missing",
            "Your dx lacks the term - x̂ mean(g x̂): x also reaches y through σ².",
            partial(backward, dx=lambda q: (q.g - q.mean(q.g)) / q.s),
        ),
        Mistake(
            "wrong sign of the variance path",
            "You add x̂ mean(g x̂). It is subtracted: a larger σ² makes x̂ smaller.",
            partial(
                backward, dx=lambda q: (q.g - q.mean(q.g) + q.xhat * q.mean(q.g * q.xhat)) / q.s
            ),
        ),
        Mistake(
            "sums instead of means in dx",
            "Your dx subtracts sum(g) and x̂ sum(g x̂). Both are means: each x contributes 1/n to μ.",
            partial(
                backward,
                dx=lambda q: (q.g - q.n * (q.mean(q.g) + q.xhat * q.mean(q.g * q.xhat))) / q.s,
            ),
        ),
        Mistake(
            "weight missing in dx",
            "Your dx starts from dy. What reaches x̂ is g = dy γ.",
            partial(
                backward, dx=lambda q: (q.dy - q.mean(q.dy) - q.xhat * q.mean(q.dy * q.xhat)) / q.s
            ),
        ),
        Mistake(
            "weight missing in the means of dx",
            "Your dx starts from g = dy γ, but its means are those of dy. They are mean(g) and "
            "mean(g x̂).",
            partial(
                backward, dx=lambda q: (q.g - q.mean(q.dy) - q.xhat * q.mean(q.dy * q.xhat)) / q.s
            ),
        ),
        Mistake(
            "sums in dx divided by the batch size",
            "Right for (N, C), but with more axes your dx divides by N. n is how many numbers "
            "share the statistics: N times the axes behind C.",
            partial(
                backward,
                dx=lambda q: (
                    (q.g - q.n / len(q.x) * (q.mean(q.g) + q.xhat * q.mean(q.g * q.xhat))) / q.s
                ),
            ),
        ),
        Mistake(
            "means over the batch axis only",
            "Right for (N, C), but with more axes the means in your dx run over axis 0 alone. They "
            "run over all axes that share a statistic: 0 and those behind 1.",
            partial(
                backward,
                dx=lambda q: (q.g - q.g.mean(0) - q.xhat * (q.g * q.xhat).mean(0)) / q.s,
            ),
        ),
        Mistake(
            "dx not divided by the standard deviation",
            "The last factor of dx is missing: x is divided by √(σ² + ε) on its way to x̂, and so "
            "is the gradient on its way back.",
            partial(backward, dx=lambda q: q.g - q.mean(q.g) - q.xhat * q.mean(q.g * q.xhat)),
        ),
        Mistake(
            "dx divided by the variance",
            "You divide by σ² + ε. Divide by its square root.",
            partial(
                backward,
                dx=lambda q: (q.g - q.mean(q.g) - q.xhat * q.mean(q.g * q.xhat)) / q.s**2,
            ),
        ),
        Mistake(
            "x - μ where x̂ belongs in dx",
            "In the last term of dx you use x - μ; both factors are x̂ = (x - μ)/√(σ² + ε).",
            partial(
                backward,
                dx=lambda q: (q.g - q.mean(q.g) - q.centered * q.mean(q.g * q.centered)) / q.s,
            ),
        ),
        Mistake(
            "dweight from x",
            "Your dweight is Σ dy x. The weight multiplies x̂, so it is Σ dy x̂.",
            partial(backward, dweight=lambda q: q.sum(q.dy * q.x)),
        ),
        Mistake(
            "dweight from x - μ",
            "Your dweight is Σ dy (x - μ). The weight multiplies x̂: divide by √(σ² + ε), too.",
            partial(backward, dweight=lambda q: q.sum(q.dy * q.centered)),
        ),
        Mistake(
            "dweight from y",
            "Your dweight is Σ dy y. The weight multiplies x̂, before γ and β: Σ dy x̂.",
            partial(backward, dweight=lambda q: q.sum(q.dy * (q.w * q.xhat + q.b))),
        ),
        Mistake(
            "weight inside dweight",
            "Your dweight is Σ g x̂. γ is the parameter itself: its gradient is Σ dy x̂.",
            partial(backward, dweight=lambda q: q.sum(q.g * q.xhat)),
        ),
        Mistake(
            "weight inside dbias",
            "Your dbias is Σ g. The bias is added after γ: its gradient is Σ dy.",
            partial(backward, dbias=lambda q: q.sum(q.g)),
        ),
        Mistake(
            "weight inside dweight and dbias",
            "You sum g = dy γ. The gradients of the parameters come from dy: Σ dy x̂ and Σ dy.",
            partial(backward, dweight=lambda q: q.sum(q.g * q.xhat), dbias=lambda q: q.sum(q.g)),
        ),
        Mistake(
            "means instead of sums for dweight and dbias",
            "Your dweight and dbias are means. A parameter collects the gradient of all numbers "
            "it is used for: a sum.",
            partial(
                backward,
                dweight=lambda q: q.sum(q.dy * q.xhat) / q.n,
                dbias=lambda q: q.sum(q.dy) / q.n,
            ),
        ),
        Mistake(
            "mean instead of a sum for dweight",
            "Your dweight is a mean. γ collects the gradient of all numbers it multiplies: a sum.",
            partial(backward, dweight=lambda q: q.sum(q.dy * q.xhat) / q.n),
        ),
        Mistake(
            "mean instead of a sum for dbias",
            "Your dbias is a mean. β collects the gradient of all numbers it is added to: a sum.",
            partial(backward, dbias=lambda q: q.sum(q.dy) / q.n),
        ),
        Mistake(
            "dweight and dbias divided by the batch size",
            "You divide the sums by N. If the loss is a mean over the batch, dy contains that 1/N "
            "already: dweight and dbias are plain sums.",
            partial(
                backward,
                dweight=lambda q: q.sum(q.dy * q.xhat) / len(q.x),
                dbias=lambda q: q.sum(q.dy) / len(q.x),
            ),
        ),
        Mistake(
            "dweight and dbias exchanged",
            "The results are right, in the wrong order: return dx, dweight, dbias.",
            exchanged_gradients,
        ),
        Mistake(*UNBIASED, partial(backward, var=unbiased)),
        Mistake(*EPS_OUTSIDE, partial(backward, root=lambda var, eps: np.sqrt(var) + eps)),
        Mistake(*EPS_FORGOTTEN, partial(backward, root=lambda var, eps: np.sqrt(var))),
        Mistake(*EPS_FORGOTTEN, partial(backward, root=guarded_root)),
        Mistake(*EPS_FIXED, partial(backward, root=lambda var, eps: np.sqrt(var + EPS))),
        Mistake(*CANCELLING, partial(backward, var=naive_variance), noisy=(FAR,)),
    ),
    hints=(
        "Start with the easy two: y = γ x̂ + β is linear in γ and β, and each is shared by a whole "
        "channel. What reaches x̂ is g = dy γ.",
        "x reaches x̂ on three paths: directly, through μ and through σ². Write down the derivative "
        "of each on paper, then add them.",
        "The sum of the three paths is dx = (g - mean(g) - x̂ mean(g x̂))/√(σ² + ε), with means over "
        "the axes that share a statistic.",
    ),
)


def blend(old, new, momentum):
    return (1 - momentum) * old + momentum * new


def blend_turned_around(old, new, momentum):
    return momentum * old + (1 - momentum) * new


def update(running_mean, running_var, x, momentum, *, var=unbiased, blend=blend, blend_var=None):
    axis = per_channel(x)
    new_mean = blend(running_mean, x.mean(axis), momentum)
    return new_mean, (blend_var or blend)(running_var, var(x, axis), momentum)


def var_by_batch_size(x, axis):
    """Corrected with N/(N - 1), although more than N numbers share the variance."""
    return x.var(axis) * x.shape[0] / (x.shape[0] - 1)


def var_per_position(x, axis):
    """The variance over the batch at each position, then averaged over the positions."""
    return x.var(0, ddof=1).mean(tuple(range(1, x.ndim - 1)))


def update_around_running_mean(running_mean, running_var, x, momentum):
    def var(x, axis):
        squares = (x - on_channels(running_mean, x)) ** 2
        return squares.sum(axis) / (x.size // x.shape[1] - 1)

    return update(running_mean, running_var, x, momentum, var=var)


UPDATE_RUNNING_STATISTICS = Exercise(
    name="update_running_statistics",
    task="Move the running mean and variance (C,) towards those of the batch x (N, C, ...). "
    "momentum is the weight of the new batch.",
    returns=("running_mean", "running_var"),
    reference=update,
    probes=(
        Probe(
            "a small batch",
            lambda rng: (*running_statistics(rng, 2), spread_out(rng, 3, 2), 0.3),
        ),
        Probe(
            "a sequence (N, C, L)",
            lambda rng: (*running_statistics(rng, 3), spread_out(rng, 2, 3, 3), 0.2),
        ),
        Probe(
            FAR,
            lambda rng: (
                *running_statistics(rng, 3, mean=1e4),
                spread_out(rng, 2, 3, 2, 3, mean=1e4),
                0.7,
            ),
            tolerance=5e-3,
        ),
    ),
    mistakes=(
        Mistake(*BIASED_STORED, partial(update, var=np.var)),
        Mistake(*COMPLEMENT, partial(update, blend=blend_turned_around)),
        Mistake(*COMPLEMENT_BIASED, partial(update, blend=blend_turned_around, var=np.var)),
        Mistake(*COMPLEMENT_MEAN, partial(update, blend=blend_turned_around, blend_var=blend)),
        Mistake(*COMPLEMENT_VARIANCE, partial(update, blend_var=blend_turned_around)),
        Mistake(
            "momentum hard-coded",
            "You use 0.1 whatever the caller passes. Use the parameter momentum.",
            partial(update, blend=lambda old, new, m: 0.9 * old + 0.1 * new),
        ),
        Mistake(
            "replaced instead of blended",
            "You return the statistics of the batch. Keep (1 - momentum) of the old ones.",
            partial(update, blend=lambda old, new, m: new),
        ),
        Mistake(
            "never decays",
            "You compute old + momentum · new, which grows forever. The old value is multiplied "
            "by 1 - momentum.",
            partial(update, blend=lambda old, new, m: old + m * new),
        ),
        Mistake(
            "unchanged",
            "You return the running statistics as they came in.",
            partial(update, blend=lambda old, new, m: old),
        ),
        Mistake(
            "standard deviation stored",
            "You blend in the standard deviation of the batch. The second buffer is a variance.",
            partial(update, var=lambda x, axis: x.std(axis, ddof=1)),
        ),
        Mistake(
            "standard deviations blended",
            "You blend standard deviations and square the result. Blend the variances.",
            partial(
                update,
                blend_var=lambda old, new, m: blend(np.sqrt(old), np.sqrt(new), m) ** 2,
            ),
        ),
        Mistake(
            "n counts samples only",
            "Right for (N, C), but with more axes your factor n/(n - 1) uses N. n is how many "
            "numbers share the variance: N times the axes behind C.",
            partial(update, var=var_by_batch_size),
        ),
        Mistake(
            "variance per position",
            "Right for (N, C), but with more axes you average the variances of the positions. "
            "That misses how the positions differ: take the variance over all axes at once.",
            partial(update, var=var_per_position),
        ),
        Mistake(
            "variance around the running mean",
            "You square x minus the running mean. The variance of the batch is around the mean "
            "of the batch.",
            update_around_running_mean,
        ),
        Mistake(
            "mean and variance exchanged",
            "The results are right, in the wrong order: return the mean, then the variance.",
            lambda running_mean, running_var, x, momentum: update(
                running_mean, running_var, x, momentum
            )[::-1],
        ),
        Mistake(
            *CANCELLING,
            partial(update, var=lambda x, axis: naive_variance(x, axis, ddof=1)),
            noisy=(FAR,),
        ),
    ),
    hints=(
        "Both buffers move alike: (1 - momentum) · old + momentum · new. Return new arrays, leave "
        "the old ones as they are.",
        "Two variances: the batch is normalized with the one divided by n, the running variance "
        "stores the one divided by n - 1.",
        "axis = (0, *range(2, x.ndim)), then x.mean(axis) and x.var(axis, ddof=1).",
    ),
)


def inference(
    x, mean, var, weight, bias, eps, *, root=root, affine=affine, on=on_channels, place=on_channels
):
    xhat = (x - place(mean, x)) / root(place(var, x), eps)
    return affine(xhat, on(weight, x), on(bias, x))


def folded_without_scale(x, mean, var, weight, bias, eps):
    a = weight / np.sqrt(var + eps)
    return on_channels(a, x) * x + on_channels(bias - mean * weight, x)


BATCH_NORM_INFERENCE = Exercise(
    name="batch_norm_inference",
    task="Normalize x (N, C, ...) with given statistics mean and var (C,), then scale and shift.",
    returns=("y",),
    reference=inference,
    probes=(
        Probe(
            "a single sample",
            lambda rng: (
                spread_out(rng, 1, 2),
                *running_statistics(rng, 2),
                *affine_parameters(rng, 2),
                EPS,
            ),
        ),
        Probe(
            "a large eps",
            lambda rng: (
                spread_out(rng, 3, 2),
                *running_statistics(rng, 2),
                *affine_parameters(rng, 2),
                2.0,
            ),
        ),
        Probe(
            "a running variance of zero",
            lambda rng: (
                spread_out(rng, 3, 2),
                channels(rng, 2),
                variances(rng, 2) * np.float32([0, 1]),
                *affine_parameters(rng, 2),
                EPS,
            ),
            tolerance=3e-4,
        ),
        Probe(
            "a sequence (N, C, L)",
            lambda rng: (
                spread_out(rng, 2, 3, 3),
                *running_statistics(rng, 3),
                *affine_parameters(rng, 3),
                EPS,
            ),
        ),
        Probe(
            "an image (N, C, H, W)",
            lambda rng: (
                image(rng, 2, 3, 2, 3),
                *running_statistics(rng, 3),
                *affine_parameters(rng, 3),
                EPS,
            ),
        ),
    ),
    mistakes=(
        Mistake(
            "statistics of the batch",
            "You compute mean and variance from x. Inference uses the ones it is given, so that a "
            "sample's result does not depend on its neighbours in the batch.",
            lambda x, mean, var, weight, bias, eps: forward(x, weight, bias, eps),
        ),
        Mistake(
            "variance of the batch",
            "The mean is the given one, but the variance comes from x. Use var.",
            lambda x, mean, var, weight, bias, eps: inference(
                x, mean, x.var(per_channel(x)), weight, bias, eps
            ),
        ),
        Mistake(
            "mean of the batch",
            "The variance is the given one, but the mean comes from x. Use mean.",
            lambda x, mean, var, weight, bias, eps: inference(
                x, x.mean(per_channel(x)), var, weight, bias, eps
            ),
        ),
        Mistake(*NO_ROOT, partial(inference, root=lambda var, eps: var + eps)),
        Mistake(
            "variance taken for a standard deviation",
            "You square var before the root. It is a variance already: √(var + ε).",
            partial(inference, root=lambda var, eps: np.sqrt(var**2 + eps)),
        ),
        Mistake(*EPS_OUTSIDE, partial(inference, root=lambda var, eps: np.sqrt(var) + eps)),
        Mistake(*EPS_FORGOTTEN, partial(inference, root=lambda var, eps: np.sqrt(var))),
        Mistake(*EPS_FORGOTTEN, partial(inference, root=guarded_root)),
        Mistake(*EPS_FIXED, partial(inference, root=lambda var, eps: np.sqrt(var + EPS))),
        Mistake(
            "shift folded without the scale",
            "Written as a x + b, the shift is b = β - a μ with a = γ/√(σ² + ε). You subtract γ μ.",
            folded_without_scale,
        ),
        Mistake(
            "statistics on the last axis",
            "mean and var (C,) meet the last axis of x, but channels are axis 1. Give them the "
            "shape (1, C, 1, ...) first.",
            partial(inference, place=on_last_axis),
        ),
        Mistake(*LAST_AXIS, partial(inference, on=on_last_axis)),
        Mistake(
            "channels on the last axis",
            "All four vectors meet the last axis of x. Here the layout is (N, C, ...): channels "
            "are axis 1.",
            partial(inference, on=on_last_axis, place=on_last_axis),
        ),
        Mistake(*WEIGHT_AFTER_BIAS, partial(inference, affine=lambda xhat, w, b: w * (xhat + b))),
        Mistake(*EXCHANGED, partial(inference, affine=lambda xhat, w, b: b * xhat + w)),
        Mistake(*NO_AFFINE, partial(inference, affine=lambda xhat, w, b: xhat)),
    ),
    hints=(
        "Nothing is averaged here: mean and var are given. It is a scale and a shift per channel.",
        "var is a variance: divide by √(var + ε), with the same ε as in training.",
        "Bring all four vectors into the shape (1, C, 1, ...) with "
        "reshape((1, -1) + (1,) * (x.ndim - 2)); then it is one line.",
    ),
)


def as_training(training):
    return training


def always(training):
    return True


def never(training):
    return False


def layer(
    x, running_mean, running_var, weight, bias, training, momentum, eps, *,
    normalizes=as_training, tracks=as_training, tracks_first=False, var=np.var, stored=unbiased,
    blend=blend, blend_var=None,
):  # fmt: skip
    """normalizes: with the batch; tracks: updates the running statistics."""
    old = running_mean, running_var
    new = (
        update(*old, x, momentum, var=stored, blend=blend, blend_var=blend_var)
        if tracks(training)
        else old
    )
    mean, variance = new if tracks_first else old
    if normalizes(training):
        mean, variance = x.mean(per_channel(x)), var(x, per_channel(x))
    return inference(x, mean, variance, weight, bias, eps), *new


def default_eps(*arguments):
    return layer(*arguments[:-1], EPS)


def default_eps_in(mode):
    """The layer that forgets to pass eps on where ``training`` is ``mode``."""
    return lambda *arguments: (default_eps if arguments[5] is mode else layer)(*arguments)


def default_momentum(*arguments):
    return layer(*arguments[:-2], 0.1, arguments[-1])


BATCH_NORM_LAYER = Exercise(
    name="batch_norm_layer",
    task="Put it together: with training=True normalize with the batch and update the running "
    "statistics; with training=False use the running statistics and leave them alone.",
    returns=("y", "running_mean", "running_var"),
    reference=layer,
    probes=(
        Probe(
            "training",
            lambda rng: (
                spread_out(rng, 3, 2),
                *running_statistics(rng, 2),
                *affine_parameters(rng, 2),
                True,
                0.3,
                0.5,
            ),
        ),
        Probe(
            "evaluation",
            lambda rng: (
                spread_out(rng, 3, 2),
                *running_statistics(rng, 2),
                *affine_parameters(rng, 2),
                False,
                0.3,
                0.5,
            ),
        ),
        Probe(
            "training on images",
            lambda rng: (
                image(rng, 2, 3, 2, 3),
                *running_statistics(rng, 3),
                *affine_parameters(rng, 3),
                True,
                0.2,
                EPS,
            ),
        ),
    ),
    mistakes=(
        Mistake(
            "flag turned around",
            "You do in training what belongs to evaluation, and the other way round.",
            partial(layer, normalizes=np.logical_not, tracks=np.logical_not),
        ),
        Mistake(
            "always training",
            "You ignore the flag: in evaluation, too, you use the batch and update the buffers.",
            partial(layer, normalizes=always, tracks=always),
        ),
        Mistake(
            "always evaluation",
            "You ignore the flag: in training, too, you use the running statistics.",
            partial(layer, normalizes=never, tracks=never),
        ),
        Mistake(
            "evaluation uses the batch",
            "The buffers are right, but with training=False y must come from running_mean and "
            "running_var.",
            partial(layer, normalizes=always),
        ),
        Mistake(
            "training uses the running statistics",
            "You update the buffers, but also normalize with the old ones. In training y comes "
            "from the batch.",
            partial(layer, normalizes=never),
        ),
        Mistake(
            "training uses the updated running statistics",
            "You update the buffers, then normalize with them. In training y comes from the batch "
            "alone.",
            partial(layer, normalizes=never, tracks_first=True),
        ),
        Mistake(
            "evaluation updates the buffers",
            "y is right, but with training=False the running statistics must stay as they are.",
            partial(layer, tracks=always),
        ),
        Mistake(
            "buffers never updated",
            "y is right, but with training=True the running statistics must move towards the "
            "batch.",
            partial(layer, tracks=never),
        ),
        Mistake(*BIASED_STORED, partial(layer, stored=np.var)),
        Mistake(*UNBIASED, partial(layer, var=unbiased)),
        Mistake(
            "the two variances exchanged",
            "You normalize with n - 1 and store with n. It is the other way round.",
            partial(layer, var=unbiased, stored=np.var),
        ),
        Mistake(
            "eps not passed on",
            "Your y does not depend on eps. Hand eps on to what you call, or its default counts.",
            default_eps,
        ),
        Mistake(
            "eps not passed on in training",
            "In training your y does not depend on eps. Hand eps on to what you call.",
            default_eps_in(True),
        ),
        Mistake(
            "eps not passed on in evaluation",
            "In evaluation your y does not depend on eps. Hand eps on to what you call.",
            default_eps_in(False),
        ),
        Mistake(
            "momentum not passed on",
            "You update with the default momentum of 0.1. Hand momentum on to what you call.",
            default_momentum,
        ),
        Mistake(*COMPLEMENT, partial(layer, blend=blend_turned_around)),
        Mistake(*COMPLEMENT_BIASED, partial(layer, blend=blend_turned_around, stored=np.var)),
        Mistake(*COMPLEMENT_MEAN, partial(layer, blend=blend_turned_around, blend_var=blend)),
        Mistake(*COMPLEMENT_VARIANCE, partial(layer, blend_var=blend_turned_around)),
    ),
    hints=(
        "You have all the parts: batch_norm, batch_norm_inference and update_running_statistics. "
        "Call them.",
        "Training normalizes with the batch, never with the buffers; the buffers are for later.",
        "if training: y = batch_norm(...) and new buffers; otherwise y = batch_norm_inference(...) "
        "and the buffers as they came. Return all three in both cases.",
    ),
)

EXERCISES = (
    BATCH_NORM,
    BATCH_NORM_BACKWARD,
    UPDATE_RUNNING_STATISTICS,
    BATCH_NORM_INFERENCE,
    BATCH_NORM_LAYER,
)
