"""The capstone: eight functions of three networks, with planted bugs to find and to mend.

A reference is the mended function; what stands in the notebook computes what the twin of all
planted bugs does. Each bug has a probe on which it alone makes a difference.
"""

import numpy as np

from normcourse.exercises.family import mistake
from normcourse.exercises.probes import channels, spread_out, variances, weights
from normcourse.exercises.record import Exercise, Hint, Probe, Steps

__all__ = ["EXERCISES", "NETWORKS"]

HUGE = np.float32(1e6)  # a factor beside which all else is rounding


def on_images(vector):
    return np.reshape(vector, (-1, 1, 1))


def root_mean_square(x, eps):
    return np.sqrt((x**2).mean(-1, keepdims=True) + eps)


# ---- a reader of digits --------------------------------------------------------------------------


def _tables(rng):
    """The last column never changes."""
    train, new = spread_out(rng, 6, 3), 3 * spread_out(rng, 4, 3) + 2
    train[:, -1] = new[:, -1] = 2
    return train, new


def _the_same_rows(rng):
    train = 2 * spread_out(rng, 6, 3)
    return train, train[rng.permutation(6)]


SCALE_PIXELS = Exercise(
    name="scale_pixels",
    task="Standardize the training set and new images by the mean and the deviation of the "
    "training set; a pixel that never changes is not divided.",
    returns=("scaled_train", "scaled_new"),
    reference=Steps(
        "train new",
        "scaled_train scaled_new",
        seen=lambda q: q.train,
        mean=lambda q: q.seen.mean(0),
        std=lambda q: q.seen.std(0),
        scale=lambda q: np.where(q.std > 0, q.std, 1),
        scaled_train=lambda q: (q.train - q.mean) / q.scale,
        scaled_new=lambda q: (q.new - q.mean) / q.scale,
    ),
    probes=(
        Probe("new images unlike the old, and a pixel that never changes", _tables, 3e-4),
        Probe("the old images once more, in another order", _the_same_rows),
    ),
    mistakes=(
        mistake(
            "the test set in the scaler",
            "Change only the new images: the scaled training set moves. What is fitted may see "
            "the training set alone.",
            seen=lambda q: np.concatenate([q.train, q.new]),
        ),
        mistake(
            "inputs scaled in training only",
            "Give the training set as the new images, too: both results should be the same "
            "numbers, and are not. One of them misses half of the scaling.",
            scaled_new=lambda q: q.new - q.mean,
        ),
        mistake(
            "new images scaled by themselves",
            "The new images have their own mean and deviation. Then a dark image looks like any "
            "other; use those of the training set.",
            scaled_new=lambda q: (
                (q.new - q.new.mean(0)) / np.where(q.new.std(0) > 0, q.new.std(0), 1)
            ),
        ),
        mistake(
            "scaled by the new images",
            "Both are scaled by the new images, which nobody knows in training.",
            seen=lambda q: q.new,
        ),
        mistake(
            "one scale for all pixels",
            "You take one mean and one deviation of all numbers. Each pixel has its own: axis 0.",
            mean=lambda q: q.seen.mean(),
            std=lambda q: q.seen.std(),
        ),
        mistake(
            "divided by n - 1",
            "np.std divides by n. With ddof=1 the training set no longer has deviation 1.",
            std=lambda q: q.seen.std(0, ddof=1),
        ),
        mistake(
            "divided by the variance",
            "You divide by σ². Then the unit of a pixel matters: divide by σ.",
            std=lambda q: q.seen.var(0),
        ),
    ),
    hints=(
        Hint("", "Print mean and deviation of both results, pixel by pixel."),
        Hint("seen std", "Which rows may a mean see that is used in training?"),
        Hint("scaled_new", "Both results take the same two steps, with the same numbers."),
    ),
    planted=("the test set in the scaler", "inputs scaled in training only"),
)


def _in_training(rng, *shape, momentum):
    c = shape[1]
    x = spread_out(rng, *shape)
    running = channels(rng, c), variances(rng, c)
    return x, *running, weights(rng, c), channels(rng, c), momentum, 0.5


NORM_IN_TRAINING = Exercise(
    name="norm_in_training",
    task="Normalize each channel of x (N, C, H, W) with the statistics of the batch, and move the "
    "running mean and the running, unbiased variance towards them; momentum is the weight of the "
    "new batch.",
    returns=("y", "running_mean", "running_var"),
    reference=Steps(
        "x running_mean running_var weight bias momentum eps",
        "y new_mean new_var",
        axes=lambda q: (0, 2, 3),
        mean=lambda q: q.x.mean(q.axes, keepdims=True),
        var=lambda q: q.x.var(q.axes, keepdims=True),
        count=lambda q: q.x.size / q.x.shape[1],
        used_mean=lambda q: q.mean,
        used_var=lambda q: q.var,
        s=lambda q: np.sqrt(q.used_var + q.eps),
        y=lambda q: on_images(q.weight) * (q.x - q.used_mean) / q.s + on_images(q.bias),
        unbiased=lambda q: q.count / (q.count - 1),
        share=lambda q: q.momentum,
        new_mean=lambda q: (1 - q.share) * q.running_mean + q.share * q.mean.mean((0, 2, 3)),
        batch_var=lambda q: q.var.mean((0, 2, 3)) * q.unbiased,
        new_var=lambda q: (1 - q.share) * q.running_var + q.share * q.batch_var,
    ),
    probes=(
        Probe("images", lambda rng: _in_training(rng, 3, 2, 2, 3, momentum=0.2)),
        Probe(
            "images of one pixel, momentum 0.5",
            lambda rng: _in_training(rng, 5, 2, 1, 1, momentum=0.5),
        ),
    ),
    mistakes=(
        mistake(
            "a mean for each pixel",
            "Print the shape of the mean: a channel should have one number, and every pixel has "
            "its own. With few images each is noise.",
            axes=lambda q: (0,),
        ),
        mistake(
            "momentum of another framework",
            "Begin with running statistics of 0 and give one batch: they have gone 0.9 of the way "
            "instead of 0.1. Keras and Flax call 1 - m the momentum.",
            share=lambda q: 1 - q.momentum,
        ),
        mistake(
            "biased variance stored",
            "The batch normalizes itself with the variance divided by n; what is stored for later "
            "is divided by n - 1, n being the count of all numbers of a channel.",
            unbiased=lambda q: 1,
        ),
        mistake(
            "a mean for each image",
            "Each image has its own mean: that is instance normalization. A channel has one mean "
            "for the whole batch.",
            axes=lambda q: (2, 3),
        ),
        mistake(
            "n counts images only",
            "A channel has N H W numbers, not N: n / (n - 1) is nearer to 1.",
            count=lambda q: len(q.x),
        ),
        mistake(
            "unbiased variance in y",
            "y takes the variance divided by n; the one divided by n - 1 is for later only.",
            used_var=lambda q: q.var * q.count / (q.count - 1),
        ),
        mistake(
            "training uses the running statistics",
            "In training y comes from the batch; the running statistics are for later.",
            used_mean=lambda q: on_images(q.running_mean),
            used_var=lambda q: on_images(q.running_var),
        ),
        mistake(
            "ε outside the square root",
            "ε belongs to the variance, under the root.",
            s=lambda q: np.sqrt(q.used_var) + q.eps,
        ),
    ),
    hints=(
        Hint("axes", "Which numbers share a mean? Print the shape of each statistic."),
        Hint("share", "Where do the running statistics stand after a single batch?"),
        Hint("unbiased count", "What is a variance estimated for: this batch, or all data?"),
    ),
    planted=("a mean for each pixel", "momentum of another framework", "biased variance stored"),
)


def _in_use(rng, n):
    x = spread_out(rng, n, 2, 2, 3)
    return x, channels(rng, 2), variances(rng, 2), weights(rng, 2), channels(rng, 2), 0.0


def _as_in_training(rng):
    """The running statistics are exactly those of the batch."""
    x = spread_out(rng, 4, 2, 2, 2)
    own = (f((0, 2, 3), dtype=float).astype(np.float32) for f in (x.mean, x.var))
    return x, *own, weights(rng, 2), channels(rng, 2), 0.5


NORM_IN_USE = Exercise(
    name="norm_in_use",
    task="Normalize each channel of x (N, C, H, W) with the running mean and the running variance, "
    "whatever the batch.",
    returns=("y",),
    reference=Steps(
        "x running_mean running_var weight bias eps",
        "y",
        mean=lambda q: on_images(q.running_mean),
        var=lambda q: on_images(q.running_var),
        s=lambda q: np.sqrt(q.var + q.eps),
        y=lambda q: on_images(q.weight) * (q.x - q.mean) / q.s + on_images(q.bias),
    ),
    probes=(
        Probe("one image, eps = 0", lambda rng: _in_use(rng, 1)),
        Probe("three images, eps = 0", lambda rng: _in_use(rng, 3)),
        Probe("a batch with just the running statistics, a large eps", _as_in_training),
    ),
    mistakes=(
        mistake(
            "a forgotten eval",
            "Give one image alone, then in company: its result changes. In use the batch must not "
            "matter.",
            mean=lambda q: q.x.mean((0, 2, 3), keepdims=True),
            var=lambda q: q.x.var((0, 2, 3), keepdims=True),
        ),
        mistake(
            "ε outside the square root",
            "Give the same batch and its own statistics to training and to use, with eps = 0.5: "
            "the results differ. ε is added to the variance in one of them, to its root in the "
            "other.",
            s=lambda q: np.sqrt(q.var) + q.eps,
        ),
        mistake(
            "mean of the batch",
            "The variance is the running one, the mean still comes from the batch.",
            mean=lambda q: q.x.mean((0, 2, 3), keepdims=True),
        ),
        mistake(
            "variance of the batch",
            "The mean is the running one, the variance still comes from the batch.",
            var=lambda q: q.x.var((0, 2, 3), keepdims=True),
        ),
        mistake(
            "ε forgotten",
            "A channel that hardly changed in training would be divided by almost 0.",
            s=lambda q: np.sqrt(q.var),
        ),
        mistake(
            "divided by the variance",
            "running_var is a variance: divide by the root.",
            s=lambda q: q.var + q.eps,
        ),
    ),
    hints=(
        Hint("mean var", "What may the result for one image depend on, once training is over?"),
        Hint("s", "Beside training it should be the same formula, with other statistics."),
        Hint("", "Two arguments of the first line are the statistics. Where are they used?"),
    ),
    planted=("a forgotten eval", "ε outside the square root"),
)

# ---- a language model, ported --------------------------------------------------------------------


def _quiet_token(rng):
    """Alone in its sentence, about 1e-4 large, and eps of that size squared."""
    return 1e-4 * _tokens(rng, 2, 1), HUGE * weights(rng, 4), 1e-8


def _loud_and_quiet(rng):
    x = _tokens(rng, 2, 3) * np.float32([1, 4, 9]).reshape(3, 1)
    return x, HUGE * weights(rng, 4), 0.0


def _alone(rng):
    return _tokens(rng, 2, 1), weights(rng, 4), 0.0


def _tokens(rng, n, length, features=4):
    """(N, L, D), each token with a mean square near 1 and a mean off 0."""
    return np.moveaxis(spread_out(rng, features, n, length), 0, -1).astype(np.float32)


TOKEN_NORM = Exercise(
    name="token_norm",
    task="Divide each token of x (N, L, D) by its root mean square, and multiply by γ. The file "
    "stores γ - 1 as weight.",
    returns=("y",),
    reference=Steps(
        "x weight eps",
        "y",
        axes=lambda q: (-1,),
        centre=lambda q: 0.0,
        c=lambda q: q.x - q.centre,
        square=lambda q: (q.c**2).mean(q.axes, keepdims=True),
        used_eps=lambda q: q.eps,
        r=lambda q: np.sqrt(q.square + q.used_eps),
        gamma=lambda q: 1 + q.weight,
        y=lambda q: q.gamma * q.c / q.r,
    ),
    probes=(
        Probe("quiet tokens of one-word sentences, huge weights", _quiet_token),
        Probe("loud and quiet tokens, huge weights, eps = 0", _loud_and_quiet),
        Probe("one-word sentences, eps = 0", _alone),
    ),
    mistakes=(
        mistake(
            "a mean over the sentence",
            "Change the last token: the first one moves, so the model sees what it shall predict. "
            "A token shares its mean square with no other.",
            axes=lambda q: (1, 2),
        ),
        mistake(
            "an ε that is 0 in float16",
            "Print eps as it is added: float16 has nothing between 0 and 6e-8. A quiet token comes "
            "out as loud as any other, and silence as NaN.",
            used_eps=lambda q: 0.0,
        ),
        mistake(
            "weights stored as γ - 1",
            "Print the mean of weight: it is near 0, where a γ is near 1. The file stores γ - 1.",
            gamma=lambda q: q.weight,
        ),
        mistake(
            "1 subtracted",
            "The file stores γ - 1. What has to be done to get γ?",
            gamma=lambda q: q.weight - 1,
        ),
        mistake(
            "layer norm for RMSNorm",
            "You subtract the mean. RMSNorm does not: x + 1 gives another result than x.",
            centre=lambda q: q.x.mean(-1, keepdims=True),
        ),
        mistake(
            "a mean over time",
            "Each feature is normalized over the tokens of a sentence. A token is normalized over "
            "its features.",
            axes=lambda q: (1,),
        ),
        mistake(
            "sign of the weight turned",
            "You multiply by 1 - weight. The file stores γ - 1: solve that for γ.",
            gamma=lambda q: 1 - q.weight,
        ),
        mistake(
            "a mean over the batch",
            "Each feature is normalized over the batch. A token is normalized over its features.",
            axes=lambda q: (0,),
        ),
        mistake(
            "no square root",
            "You divide by the mean square. Then 2 x gives half of what x gives.",
            r=lambda q: q.square + q.used_eps,
        ),
    ),
    hints=(
        Hint("axes", "What may one token know of the others?"),
        Hint("used_eps r", "Print each number as it is used, with its dtype."),
        Hint("gamma", "What is the mean of a γ at the start of training?"),
    ),
    planted=("a mean over the sentence", "an ε that is 0 in float16", "weights stored as γ - 1"),
)


def _block(rng, stream, write=1):
    positions = channels(rng, stream.shape[1:])
    tokens = (stream - positions).astype(np.float32)
    return tokens, positions, weights(rng, (4, 3)), np.float32(write) * weights(rng, (3, 4)), 0.25


def _centred(rng):
    x = 2 * _tokens(rng, 2, 3)
    return _block(rng, x - x.mean(-1, keepdims=True))


FIRST_BLOCK = Exercise(
    name="first_block",
    task="The stream is tokens (N, L, D) + positions (L, D). Add W_write to its branch: "
    "stream + relu(RMSNorm(stream) W_read) W_write.",
    returns=("y",),
    reference=Steps(
        "tokens positions W_read W_write eps",
        "y",
        stream=lambda q: q.tokens + q.positions,
        centre=lambda q: 0.0,
        square=lambda q: (q.stream**2).mean(-1, keepdims=True),
        unit=lambda q: (q.stream - q.centre) / np.sqrt(q.square + q.eps),
        hidden=lambda q: np.maximum(q.unit @ q.W_read, 0),
        kept=lambda q: q.stream,
        y=lambda q: q.kept + q.hidden @ q.W_write,
    ),
    probes=(
        Probe("a branch that drowns the stream", lambda rng: _block(rng, _tokens(rng, 2, 3), HUGE)),
        Probe("tokens of mean 0", _centred),
    ),
    mistakes=(
        mistake(
            "the norm changes its input",
            "Print the stream before and behind the norm: it changed, and what is added at the end "
            "is the changed one. Which line writes into an array that it did not make?",
            kept=lambda q: q.unit,
        ),
        mistake(
            "a variance for the mean square",
            "Add 1 to all features: the deviation stays, the root mean square does not. RMSNorm "
            "divides by the latter.",
            square=lambda q: q.stream.var(-1, keepdims=True),
        ),
        mistake(
            "layer norm for RMSNorm",
            "You subtract the mean and divide by the deviation. RMSNorm does neither.",
            square=lambda q: q.stream.var(-1, keepdims=True),
            centre=lambda q: q.stream.mean(-1, keepdims=True),
        ),
        mistake(
            "mean subtracted",
            "You subtract the mean. RMSNorm does not.",
            centre=lambda q: q.stream.mean(-1, keepdims=True),
        ),
        mistake(
            "sum for mean",
            "You divide by the root of the sum of squares. Then D features are each about 1/√D.",
            square=lambda q: (q.stream**2).sum(-1, keepdims=True),
        ),
        mistake(
            "the stream is lost",
            "The branch alone is left. The stream is added to it.",
            kept=lambda q: 0 * q.stream,
        ),
        mistake(
            "positions forgotten at the end",
            "What is added at the end is the whole stream, tokens and positions.",
            kept=lambda q: q.tokens,
        ),
        mistake(
            "relu forgotten",
            "The hidden units are relu(...): never below 0.",
            hidden=lambda q: q.unit @ q.W_read,
        ),
    ),
    hints=(
        Hint("kept", "Print the stream before and after each line that should not change it."),
        Hint("square centre", "Which question tells RMSNorm from layer norm?"),
        Hint("", "np.asarray(x, np.float32) copies a float64 array. And a float32 one?"),
    ),
    planted=("the norm changes its input", "a variance for the mean square"),
)

# ---- fine-tuned, averaged, exported --------------------------------------------------------------


def _tuned(rng, frozen):
    layer = weights(rng, (3, 2)), weights(rng, 2), channels(rng, 2)
    gradients = weights(rng, (3, 2)), weights(rng, 2), weights(rng, 2, 2, 3)
    return *layer, *gradients, frozen, 0.25, 0.5


TUNE_STEP = Exercise(
    name="tune_step",
    task="A step of gradient descent for W, with weight decay, and for γ, without; the running "
    "mean goes a tenth of the way to the batch's. A frozen layer stays as it is.",
    returns=("W", "gamma", "mean"),
    reference=Steps(
        "W gamma mean dW dgamma batch_mean frozen rate decay",
        "new_W new_gamma new_mean",
        share=lambda q: 0.1,
        pull_W=lambda q: q.decay,
        pull_gamma=lambda q: 0.0,
        rate_when_frozen=lambda q: 0.0,
        share_when_frozen=lambda q: 0.0,
        step=lambda q: q.rate_when_frozen if q.frozen else q.rate,
        pull_when_frozen=lambda q: 0.0,
        pulled=lambda q: q.rate * q.pull_when_frozen * q.W if q.frozen else 0.0,
        new_W=lambda q: q.W - q.step * (q.dW + q.pull_W * q.W) - q.pulled,
        new_gamma=lambda q: q.gamma - q.step * (q.dgamma + q.pull_gamma * q.gamma),
        moved=lambda q: q.share_when_frozen if q.frozen else q.share,
        new_mean=lambda q: q.mean + q.moved * (q.batch_mean - q.mean),
    ),
    probes=(
        Probe("a layer that learns", lambda rng: _tuned(rng, False)),
        Probe("a frozen layer", lambda rng: _tuned(rng, True)),
    ),
    mistakes=(
        mistake(
            "weight decay on γ",
            "Set all gradients to 0: γ shrinks from step to step. Decay is for matrices.",
            pull_gamma=lambda q: q.decay,
        ),
        mistake(
            "frozen in its parameters only",
            "Compare a frozen layer before and after the step: not all of it is the same. What "
            "moves without a gradient?",
            share_when_frozen=lambda q: q.share,
        ),
        mistake(
            "nothing frozen",
            "A frozen layer learns like any other: frozen is not asked for.",
            rate_when_frozen=lambda q: q.rate,
            share_when_frozen=lambda q: q.share,
        ),
        mistake(
            "decay pulls what is frozen",
            "Without gradients W still shrinks, because decay needs none. A frozen layer stays as "
            "it is.",
            pull_when_frozen=lambda q: q.decay,
        ),
        mistake(
            "no decay at all",
            "γ keeps its size, and W now, too. W shall be pulled towards 0.",
            pull_W=lambda q: 0.0,
        ),
        mistake(
            "the running mean never moves",
            "A layer that learns also follows the batches: its running mean goes a tenth of the "
            "way.",
            share=lambda q: 0.0,
        ),
        mistake(
            "momentum turned around",
            "The running mean goes a tenth of the way to the batch's, not nine tenths.",
            share=lambda q: 0.9,
        ),
    ),
    hints=(
        Hint("pull_gamma pull_W", "Set all gradients to 0. What moves, and should it?"),
        Hint("share_when_frozen rate_when_frozen", "List all that belongs to a layer's state."),
        Hint("share", "The running mean is no parameter: no gradient moves it, and none stops it."),
    ),
    planted=("weight decay on γ", "frozen in its parameters only"),
)


def _state(rng):
    return weights(rng, (3, 2)), weights(rng, 2), channels(rng, 2), variances(rng, 2)


def _fresh():
    zeros, ones = np.zeros(2, np.float32), np.ones(2, np.float32)
    return np.zeros((3, 2), np.float32), ones, zeros, ones.copy()


def _averaged(q, i, rate):
    return q.average[i] + rate * (q.model[i] - q.average[i])


AVERAGE_STATE = Exercise(
    name="average_state",
    task="Move each of the four arrays of average, which are W, γ, running mean and running "
    "variance, by the share rate towards that of model.",
    returns=("W", "gamma", "mean", "var"),
    reference=Steps(
        "average model rate",
        "W gamma mean var",
        share=lambda q: q.rate,
        buffer_share=lambda q: q.share,
        W=lambda q: _averaged(q, 0, q.share),
        gamma=lambda q: _averaged(q, 1, q.share),
        mean=lambda q: _averaged(q, 2, q.buffer_share),
        var=lambda q: _averaged(q, 3, q.buffer_share),
    ),
    probes=(
        Probe("two networks", lambda rng: (_state(rng), _state(rng), 0.25)),
        Probe("a fresh average, rate 1", lambda rng: (_fresh(), _state(rng), 1.0)),
    ),
    mistakes=(
        mistake(
            "an average without the buffers",
            "Start from a fresh network and average for a while: its running statistics are still "
            "0 and 1. They are no parameters, but part of the state.",
            buffer_share=lambda q: 0.0,
        ),
        mistake(
            "buffers copied",
            "Many copy the running statistics of the last network. Here all four are averaged.",
            buffer_share=lambda q: 1.0,
        ),
        mistake(
            "rate turned around",
            "rate is the share of the new network: with 0.01 the average moves slowly.",
            share=lambda q: 1 - q.rate,
        ),
    ),
    hints=(
        Hint("", "Which entries of the average are still those of a fresh network?"),
        Hint("buffer_share", "A state is what is needed to compute the same, not what is learned."),
        Hint("share", "All four arrays take the same step."),
    ),
    planted=("an average without the buffers",),
)


def _export(rng, bias):
    x, z = spread_out(rng, 3, 3), spread_out(rng, 2, 3)
    layer = weights(rng, (3, 2)), bias * weights(rng, 2)
    return x, z, *layer, weights(rng, 2), channels(rng, 2), channels(rng, 2), variances(rng, 2), 0.5


EXPORTED = Exercise(
    name="exported",
    task="A linear layer is called twice: x W + b as it is, and z W + b with a batch norm behind "
    "it, which is folded into weight and bias.",
    returns=("plain", "normed"),
    reference=Steps(
        "x z W b gamma beta mean var eps",
        "plain normed",
        s=lambda q: np.sqrt(q.var + q.eps),
        scale=lambda q: q.gamma / q.s,
        folded=lambda q: q.W * q.scale,
        kept=lambda q: q.b,
        shift=lambda q: q.beta + (q.kept - q.mean) * q.scale,
        shared=lambda q: (q.W, q.b),
        plain=lambda q: q.x @ q.shared[0] + q.shared[1],
        normed=lambda q: q.z @ q.folded + q.shift,
    ),
    probes=(
        Probe("a layer with a bias", lambda rng: _export(rng, np.float32(1))),
        Probe("a layer whose bias is 0", lambda rng: _export(rng, np.float32(0))),
    ),
    mistakes=(
        mistake(
            "a layer that is used twice was folded",
            "Compare both results with those of the network before the export: the one without a "
            "norm is wrong, too. Folding changed the layer for both.",
            shared=lambda q: (q.folded, q.shift),
        ),
        mistake(
            "the bias in front of the norm forgotten",
            "Set b to 0, and it is right: b has to go through the norm as all else does.",
            kept=lambda q: 0 * q.b,
        ),
        mistake(
            "weight folded for both",
            "The first result has its own bias again, but still the folded weight.",
            shared=lambda q: (q.folded, q.b),
        ),
        mistake(
            "bias folded for both",
            "The first result has its own weight again, but still the folded bias.",
            shared=lambda q: (q.W, q.shift),
        ),
        mistake(
            "bias not scaled",
            "b comes before the norm: it is scaled as W is.",
            shift=lambda q: q.beta + q.kept - q.mean * q.scale,
        ),
        mistake(
            "ε forgotten",
            "The norm divides by the root of var + eps.",
            s=lambda q: np.sqrt(q.var),
        ),
    ),
    hints=(
        Hint("shared", "Which of the two results had a norm before the export?"),
        Hint("kept shift", "Write down what the norm does to z W + b, and sort by z."),
        Hint("", "An export is right where both networks give the same for random numbers."),
    ),
    planted=(
        "a layer that is used twice was folded",
        "the bias in front of the norm forgotten",
    ),
)

NETWORKS = {
    "a reader of digits": (SCALE_PIXELS, NORM_IN_TRAINING, NORM_IN_USE),
    "a language model, ported": (TOKEN_NORM, FIRST_BLOCK),
    "fine-tuned, averaged, exported": (TUNE_STEP, AVERAGE_STATE, EXPORTED),
}

EXERCISES = tuple(exercise for network in NETWORKS.values() for exercise in network)
