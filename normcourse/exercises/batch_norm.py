"""Exercises on batch normalization: forward, backward, running statistics, train and eval."""

import numpy as np

from normcourse.exercises.family import (
    EPS,
    FAR,
    SHAPES_HINT,
    affine_mistakes,
    all_but_channels,
    both_passes,
    eps_mistakes,
    mistake,
    on_channels,
)
from normcourse.exercises.probes import (
    HAND,
    by_hand,
    channels,
    channels_last_images,
    constant_channel,
    naive_variance,
    narrow_sequence,
    spread_out,
    variances,
    weights,
)
from normcourse.exercises.record import Exercise, Hint, Probe, Steps

__all__ = ["EXERCISES"]

AXES = (
    "Which axes share a statistic? All but axis 1: for (N, C) that is axis 0, for (N, C, H, W) "
    "axes 0, 2 and 3. x.mean accepts a tuple of axes."
)


def axes(x, *_):
    return all_but_channels(x)


def affine(rng, c):
    return weights(rng, c), channels(rng, c)


# The last number is the tolerance, where float32 needs more than usual: folded to a x + b, the
# shift b of a constant channel is some 600 times as large as y; far from zero the mean itself is
# off by up to 5e-4.
BATCHES = (
    (
        "a small batch and a large eps",
        lambda rng: (spread_out(rng, 4, 2), *affine(rng, 2), 2.0),
    ),
    ("a constant channel", lambda rng: (constant_channel(rng), *affine(rng, 2), EPS), 3e-4),
    (FAR, lambda rng: (spread_out(rng, 5, 2, mean=1e4), *affine(rng, 2), EPS), 2e-2),
    ("a sequence (N, C, L)", lambda rng: (narrow_sequence(rng), *affine(rng, 3), EPS)),
    (
        "an image (N, C, H, W)",
        lambda rng: (channels_last_images(rng, 4, 3, 2, 3), *affine(rng, 3), EPS),
    ),
)


def last_axis(which, *steps):
    """Parameters that meet the last axis."""
    given = {"w": lambda q: q.weight, "b": lambda q: q.bias}
    given |= {"mu": lambda q: q.mean, "sigma2": lambda q: q.var}
    return mistake(
        f"{which} on the last axis",
        "A vector (C,) meets the last axis of x, but channels are axis 1. Give it the shape "
        "(1, C, 1, ...) first.",
        **{step: given[step] for step in steps},
    )


LAYOUT = (
    mistake(
        "written for (N, C) only",
        "Right for (N, C), but with more axes your statistics run over the batch only, and weight "
        "and bias meet the last axis. Channels are axis 1, whatever follows.",
        axis=lambda q: (0,),
        w=lambda q: q.weight,
        b=lambda q: q.bias,
    ),
    mistake(
        "channels on the last axis",
        "You treat the last axis as the channels, as TensorFlow and x.reshape(-1, C) do. Here the "
        "layout is (N, C, ...): channels are axis 1.",
        axis=lambda q: tuple(range(q.x.ndim - 1)),
        w=lambda q: q.weight,
        b=lambda q: q.bias,
    ),
    mistake(
        "variance averaged over the samples",
        "You average the variances of the samples. That misses how the samples differ: take the "
        "variance over all axes at once.",
        var=lambda q: q.x.var(tuple(range(2, q.x.ndim)), keepdims=True).mean(0, keepdims=True),
    ),
    mistake(
        "axes not moved back",
        "You flatten x with the channels last, and reshape the result straight to x.shape. Undo "
        "the transpose first.",
        xhat=lambda q: np.moveaxis(q.c / q.s, 1, -1).reshape(q.x.shape),
    ),
    mistake(
        "statistics lost their axes",
        "Right for (N, C), but with more axes your mean of shape (C,) meets the last axis instead "
        "of the channels. Keep the reduced axes: keepdims=True.",
        mean=lambda q: q.view.mean(q.axis),
        var=lambda q: q.view.var(q.axis),
    ),
)

LAST = next(m for m in LAYOUT if m.name == "channels on the last axis")

BATCH_NORM, BATCH_NORM_BACKWARD = both_passes(
    "batch_norm",
    task="Normalize each channel of x (N, C, ...) with the statistics of the batch, then scale "
    "by weight (C,) and shift by bias (C,).",
    axes=axes,
    place=on_channels,
    shared=axes,
    probes=BATCHES,
    hand=(4, 1),
    rule="Here a channel shares its statistics over N and all axes behind C.",
    hint=AXES,
    own="axes of batch normalization",
    of_forward=(
        last_axis("weight and bias", "w", "b"),
        last_axis("weight", "w"),
        last_axis("bias", "b"),
        *LAYOUT,
    ),
    of_backward=(
        last_axis("weight", "w"),
        *LAYOUT,
        mistake(
            "channels on the last axis",
            LAST.explanation,
            **LAST.turns,
            shared=lambda q: tuple(range(q.x.ndim - 1)),
        ),
    ),
)

# ---- running statistics ------------------------------------------------------------------------

COMPLEMENT = (
    "You weigh the new batch by 1 - momentum. Here, as in torch, momentum is the weight of the new "
    "batch; Keras and Flax use the complement."
)


def blended(old, new):
    """The step (1 - m) old + m new, for names of steps or arguments."""
    return lambda q: (1 - q.momentum) * getattr(q, old) + q.momentum * getattr(q, new)


def complement(old, new):
    return lambda q: q.momentum * getattr(q, old) + (1 - q.momentum) * getattr(q, new)


def both(step):
    """One way to blend, for the mean and for the variance."""
    return {
        "new_mean": step("running_mean", "batch_mean"),
        "new_var": step("running_var", "kept"),
    }


TRACKING = {
    "batch_axis": lambda q: all_but_channels(q.x),
    "count": lambda q: q.x.size // q.x.shape[1],
    "batch_mean": lambda q: q.x.mean(q.batch_axis),
    "batch_var": lambda q: q.x.var(q.batch_axis),
    "factor": lambda q: q.count / (q.count - 1),
    "stored": lambda q: q.batch_var * q.factor,
    "kept": lambda q: q.stored,
    **both(blended),
}

TRACKING_MISTAKES = (
    mistake(
        "biased variance stored",
        "The running variance estimates that of the data, so it takes the unbiased variance of "
        "the batch: divide by n - 1, where n counts all numbers of a channel.",
        factor=lambda q: 1,
    ),
    mistake(
        "n/(n - 1) turned around",
        "You multiply by (n - 1)/n, which makes the variance smaller still. It is n/(n - 1).",
        factor=lambda q: (q.count - 1) / q.count,
    ),
    mistake(
        "corrected twice",
        "Your variance divides by n - 1 already, and then takes the factor n/(n - 1) once more.",
        factor=lambda q: (q.count / (q.count - 1)) ** 2,
    ),
    mistake(
        "mean corrected, too",
        "The factor n/(n - 1) belongs to the variance. A mean is divided by n.",
        batch_mean=lambda q: q.x.mean(q.batch_axis) * q.count / (q.count - 1),
    ),
    mistake(
        "moved the wrong way",
        "You add momentum · (old - batch), which moves away from the batch. It is (batch - old).",
        **both(
            lambda old, new: (
                lambda q: getattr(q, old) + q.momentum * (getattr(q, old) - getattr(q, new))
            )
        ),
    ),
    mistake(
        "momentum missing on the mean",
        "You add the whole mean of the batch to (1 - momentum) · old. It has the weight momentum.",
        new_mean=lambda q: (1 - q.momentum) * q.running_mean + q.batch_mean,
    ),
    mistake(
        "momentum missing on the variance",
        "You add the whole variance of the batch to (1 - momentum) · old. It has the weight "
        "momentum.",
        new_var=lambda q: (1 - q.momentum) * q.running_var + q.kept,
    ),
    mistake("momentum turned around", COMPLEMENT, **both(complement)),
    mistake(
        "momentum turned around for the mean",
        "The variance moves by momentum, the mean by 1 - momentum. Both move alike.",
        new_mean=complement("running_mean", "batch_mean"),
    ),
    mistake(
        "momentum turned around for the variance",
        "The mean moves by momentum, the variance by 1 - momentum. Both move alike.",
        new_var=complement("running_var", "kept"),
    ),
    mistake(
        "momentum hard-coded",
        "You use 0.1 whatever the caller passes. Use the parameter momentum.",
        **both(
            lambda old, new: lambda q: 0.9 * getattr(q, old) + 0.1 * getattr(q, new),
        ),
    ),
    mistake(
        "replaced instead of blended",
        "You return the statistics of the batch. Keep (1 - momentum) of the old ones.",
        **both(lambda old, new: lambda q: getattr(q, new)),
    ),
    mistake(
        "never decays",
        "You compute old + momentum · new, which grows forever. The old value is multiplied by "
        "1 - momentum.",
        **both(lambda old, new: lambda q: getattr(q, old) + q.momentum * getattr(q, new)),
    ),
    mistake(
        "unchanged",
        "You return the running statistics as they came in.",
        **both(lambda old, new: lambda q: getattr(q, old)),
    ),
    mistake(
        "standard deviation stored",
        "You blend in the standard deviation of the batch. The second buffer is a variance.",
        kept=lambda q: np.sqrt(q.stored),
    ),
    mistake(
        "standard deviations blended",
        "You blend standard deviations and square the result. Blend the variances.",
        new_var=lambda q: (
            ((1 - q.momentum) * np.sqrt(q.running_var) + q.momentum * np.sqrt(q.stored)) ** 2
        ),
    ),
    mistake(
        "n counts samples only",
        "Right for (N, C), but with more axes your factor n/(n - 1) uses N. n is how many numbers "
        "share the variance: N times the axes behind C.",
        count=lambda q: len(q.x),
    ),
    mistake(
        "n counts the whole array",
        "Your factor n/(n - 1) uses x.size. n is how many numbers share the variance.",
        count=lambda q: q.x.size,
    ),
    mistake(
        "n/(n - 1) on the whole running variance",
        "You multiply the blend by n/(n - 1). Only the variance of the batch takes that factor.",
        new_var=lambda q: (
            ((1 - q.momentum) * q.running_var + q.momentum * q.batch_var) * q.count / (q.count - 1)
        ),
    ),
    mistake(
        "variance per position",
        "Right for (N, C), but with more axes you average the variances of the positions. That "
        "misses how the positions differ: take the variance over all axes at once.",
        stored=lambda q: q.x.var(0, ddof=1).mean(tuple(range(1, q.x.ndim - 1))),
    ),
    mistake(
        "variance averaged over the samples",
        "You average the variances of the samples. That misses how the samples differ: take the "
        "variance over all axes at once.",
        batch_var=lambda q: q.x.var(tuple(range(2, q.x.ndim))).mean(0),
    ),
    mistake(
        "variance around the new running mean",
        "You square x minus the running mean that you have just updated. The variance of the batch "
        "is around the mean of the batch.",
        stored=lambda q: (
            ((q.x - on_channels(blended("running_mean", "batch_mean")(q), q.x)) ** 2).mean(
                q.batch_axis
            )
            * q.factor
        ),
    ),
    mistake(
        "variance around the running mean",
        "You square x minus the running mean. The variance of the batch is around the mean of the "
        "batch.",
        batch_var=lambda q: ((q.x - on_channels(q.running_mean, q.x)) ** 2).mean(q.batch_axis),
    ),
    mistake(
        "cancellation",
        "Right everywhere but far from zero: there E[x²] - E[x]² subtracts two nearly equal "
        "numbers, and float32 has no digits left. Subtract the mean first, then square.",
        batch_var=lambda q: naive_variance(q.x, q.batch_axis),
        noisy=(FAR,),
    ),
)
BUFFERS_HINT = Hint(
    "new_mean new_var",
    "Both buffers move alike: (1 - momentum) · old + momentum · new. Return new arrays, leave the "
    "old ones as they are.",
)
TWO_VARIANCES_HINT = Hint(
    "stored count batch_var var",
    "Two variances: the batch is normalized with the one divided by n, the running variance "
    "stores the one divided by n - 1.",
)


def buffers(rng, c, mean=0.0):
    return channels(rng, c, mean), variances(rng, c)


def images(rng, n):
    return channels_last_images(rng, n, 3, 2, 3)


UPDATE_RUNNING_STATISTICS = Exercise(
    name="update_running_statistics",
    task="Move the running mean and variance (C,) towards those of the batch x (N, C, ...). "
    "momentum is the weight of the new batch.",
    returns=("running_mean", "running_var"),
    reference=Steps("running_mean running_var x momentum", "new_mean new_var", **TRACKING),
    probes=(
        Probe(
            HAND,
            lambda rng: (np.float32([2]), np.float32([1]), by_hand()[0], 0.5),
            by_hand="μ = 4, the sum of squares around it is 20, and 20/3 is the unbiased variance",
        ),
        Probe("a small batch", lambda rng: (*buffers(rng, 2), spread_out(rng, 3, 2), 0.3)),
        Probe("a sequence (N, C, L)", lambda rng: (*buffers(rng, 3), narrow_sequence(rng), 0.2)),
        Probe(
            FAR,
            lambda rng: (*buffers(rng, 3, mean=1e4), spread_out(rng, 2, 3, 2, 3, mean=1e4), 0.7),
            tolerance=5e-3,
        ),
    ),
    mistakes=TRACKING_MISTAKES,
    hints=(BUFFERS_HINT, TWO_VARIANCES_HINT, Hint("count batch_var", AXES)),
)

# ---- inference ---------------------------------------------------------------------------------

FOLDED = "shift folded without the scale"
INFERENCE = {
    "view": lambda q: q.x,
    "mu": lambda q: on_channels(q.mean, q.x),
    "sigma2": lambda q: on_channels(q.var, q.x),
    "s": lambda q: np.sqrt(q.sigma2 + q.eps),
    "xhat": lambda q: (q.x - q.mu) / q.s,
    "w": lambda q: on_channels(q.weight, q.x),
    "b": lambda q: on_channels(q.bias, q.x),
    "y": lambda q: q.w * q.xhat + q.b,
}


def _of_batch(statistic):
    return lambda q: getattr(q.x, statistic)(all_but_channels(q.x), keepdims=True)


def given(rng, n, *shape, eps=EPS, c=2, make=spread_out):
    return make(rng, n, c, *shape), *buffers(rng, c), *affine(rng, c), eps


def without_variance(rng):
    x, mean, var, *rest = given(rng, 3)
    return x, mean, var * np.float32([0, 1]), *rest


BATCH_NORM_INFERENCE = Exercise(
    name="batch_norm_inference",
    task="Normalize x (N, C, ...) with given statistics mean and var (C,), then scale and shift.",
    returns=("y",),
    reference=Steps("x mean var weight bias eps", "y", **INFERENCE),
    probes=(
        Probe("a single sample", lambda rng: given(rng, 1)),
        Probe("a large eps", lambda rng: given(rng, 3, eps=2.0)),
        Probe("a running variance of zero", without_variance, tolerance=3e-4),
        Probe("a sequence (N, C, L)", lambda rng: given(rng, 2, 3, c=3)),
        Probe(
            "an image (N, C, H, W)",
            lambda rng: given(rng, 2, 2, 3, c=3, make=channels_last_images),
        ),
    ),
    mistakes=(
        mistake(
            "statistics of the batch",
            "You compute mean and variance from x. Inference uses the ones it is given, so that a "
            "sample's result does not depend on its neighbours in the batch.",
            mu=_of_batch("mean"),
            sigma2=_of_batch("var"),
        ),
        mistake(
            "variance of the batch",
            "The mean is the given one, but the variance comes from x. Use var.",
            sigma2=_of_batch("var"),
        ),
        mistake(
            "mean of the batch",
            "The variance is the given one, but the mean comes from x. Use mean.",
            mu=_of_batch("mean"),
        ),
        *eps_mistakes("sigma2"),
        mistake(
            "variance taken for a standard deviation",
            "You square var before the root. It is a variance already: √(var + ε).",
            s=lambda q: np.sqrt(q.sigma2**2 + q.eps),
        ),
        mistake(
            FOLDED,
            "Written as a x + b, the shift is b = β - a μ with a = γ/√(σ² + ε). You subtract γ μ.",
            y=lambda q: q.w / q.s * q.x + q.b - q.mu * q.w,
        ),
        mistake(
            "only the mean divided",
            "You compute x - μ/√(σ² + ε). Put x - μ in parentheses.",
            xhat=lambda q: q.x - q.mu / q.s,
        ),
        mistake(
            "mean not subtracted",
            "You divide x itself. Subtract the mean first.",
            mu=lambda q: 0 * on_channels(q.mean, q.x),
        ),
        last_axis("statistics", "mu", "sigma2"),
        last_axis("weight and bias", "w", "b"),
        mistake(
            "channels on the last axis",
            "All four vectors meet the last axis of x. Here the layout is (N, C, ...): channels "
            "are axis 1.",
            **last_axis("", "w", "b", "mu", "sigma2").turns,
        ),
        *(m for m in affine_mistakes() if m.name != FOLDED),
    ),
    hints=(
        Hint(
            "mu sigma2",
            "Nothing is averaged here: mean and var are given. It is a scale and a shift per "
            "channel.",
        ),
        Hint("s xhat", "var is a variance: divide by its root, with the same ε as in training."),
        SHAPES_HINT,
    ),
)

# ---- the layer ---------------------------------------------------------------------------------


def _layer_y(q):
    """y from the statistics that the step ``source`` names."""
    mean, var = q.source
    xhat = (q.x - on_channels(mean, q.x)) / np.sqrt(on_channels(var, q.x) + q.used_eps)
    return on_channels(q.weight, q.x) * xhat + on_channels(q.bias, q.x)


def _batch(q):
    return q.batch_mean, q.normalizing


def _old(q):
    return q.running_mean, q.running_var


def _new(q):
    return q.new_mean, q.new_var


def _tracked(tracks):
    """The steps of what is returned, where ``tracks(q)`` decides whether the buffers move."""
    return {
        "kept_mean": lambda q: q.new_mean if tracks(q) else q.running_mean,
        "kept_var": lambda q: q.new_var if tracks(q) else q.running_var,
    }


def _default_eps(in_training, in_evaluation):
    return lambda q: EPS if (in_training if q.training else in_evaluation) else q.eps


def _in_training(rng, x, momentum, eps, training=True):
    c = x.shape[1]
    return x, *buffers(rng, c), *affine(rng, c), training, momentum, eps


def always(q):
    return True


def never(q):
    return False


BATCH_NORM_LAYER = Exercise(
    name="batch_norm_layer",
    task="Put it together: with training=True normalize with the batch and update the running "
    "statistics; with training=False use the running statistics and leave them alone.",
    returns=("y", "running_mean", "running_var"),
    reference=Steps(
        "x running_mean running_var weight bias training momentum eps",
        "y kept_mean kept_var",
        **TRACKING,
        normalizing=lambda q: q.batch_var,
        used_eps=lambda q: q.eps,
        source=lambda q: _batch(q) if q.training else _old(q),
        y=_layer_y,
        **_tracked(lambda q: q.training),
    ),
    probes=(
        Probe("training", lambda rng: _in_training(rng, spread_out(rng, 3, 2), 0.3, 0.5)),
        Probe("evaluation", lambda rng: _in_training(rng, spread_out(rng, 3, 2), 0.3, 0.5, False)),
        Probe("training on images", lambda rng: _in_training(rng, images(rng, 2), 0.2, EPS)),
    ),
    mistakes=(
        mistake(
            "flag turned around",
            "You do in training what belongs to evaluation, and the other way round.",
            source=lambda q: _old(q) if q.training else _batch(q),
            **_tracked(lambda q: not q.training),
        ),
        mistake(
            "always training",
            "You ignore the flag: in evaluation, too, you use the batch and update the buffers.",
            source=_batch,
            **_tracked(always),
        ),
        mistake(
            "always evaluation",
            "You ignore the flag: in training, too, you use the running statistics.",
            source=_old,
            **_tracked(never),
        ),
        mistake(
            "evaluation uses the batch",
            "The buffers are right, but with training=False y must come from running_mean and "
            "running_var.",
            source=_batch,
        ),
        mistake(
            "training uses the running statistics",
            "You update the buffers, but also normalize with the old ones. In training y comes "
            "from the batch.",
            source=_old,
        ),
        mistake(
            "training uses the updated running statistics",
            "You update the buffers, then normalize with them. In training y comes from the batch "
            "alone.",
            source=lambda q: _new(q) if q.training else _old(q),
        ),
        mistake(
            "evaluation updates the buffers",
            "With training=False the running statistics must stay as they are.",
            **_tracked(always),
        ),
        mistake(
            "buffers never updated",
            "With training=True the running statistics must move towards the batch.",
            **_tracked(never),
        ),
        mistake(
            "unbiased variance",
            "In training you normalize with the variance divided by n - 1; that one is for the "
            "buffer.",
            normalizing=lambda q: q.batch_var * q.count / (q.count - 1),
        ),
        mistake(
            "eps not passed on",
            "Your y does not depend on eps. Hand eps on to what you call, or its default counts.",
            used_eps=_default_eps(True, True),
        ),
        mistake(
            "eps not passed on in training",
            "In training your y does not depend on eps. Hand eps on to what you call.",
            used_eps=_default_eps(True, False),
        ),
        mistake(
            "eps not passed on in evaluation",
            "In evaluation your y does not depend on eps. Hand eps on to what you call.",
            used_eps=_default_eps(False, True),
        ),
        mistake(
            "momentum not passed on",
            "You update with the default momentum of 0.1. Hand momentum on to what you call.",
            **next(m for m in TRACKING_MISTAKES if m.name == "momentum hard-coded").turns,
        ),
        *(
            m
            for m in TRACKING_MISTAKES
            if m.name in ("biased variance stored", "n counts samples only")
            or m.name.startswith("momentum turned around")
        ),
    ),
    hints=(
        Hint(
            "",
            "You have all the parts: batch_norm, batch_norm_inference and "
            "update_running_statistics. Call them.",
        ),
        Hint(
            "source used_eps normalizing",
            "Training normalizes with the batch, never with the buffers; the buffers are for "
            "later. In both modes every parameter is handed on.",
        ),
        Hint(
            "kept_mean kept_var",
            "Return three results in both modes: y, and two buffers. What are the buffers in "
            "evaluation?",
        ),
        TWO_VARIANCES_HINT,
    ),
)

EXERCISES = (
    BATCH_NORM,
    BATCH_NORM_BACKWARD,
    UPDATE_RUNNING_STATISTICS,
    BATCH_NORM_INFERENCE,
    BATCH_NORM_LAYER,
)
