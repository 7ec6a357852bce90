"""Exercises on RMS normalization: forward, backward, and a layer normalization turned into it."""

from dataclasses import replace
from math import prod

import numpy as np

from normcourse.exercises.family import (
    EPS,
    affine_mistakes,
    axes_mistakes,
    coefficients,
    eps_mistakes,
    mistake,
    statistics_mistakes,
)
from normcourse.exercises.layer_norm import (
    ONE_LENGTH,
    axes_before,
    last_axes,
    other_axes,
    rows,
)
from normcourse.exercises.probes import channels, spread_out, weights
from normcourse.exercises.record import Exercise, Hint, Probe, Steps

__all__ = ["EXERCISES"]

HAND = "numbers for the hand: 1, 3, 1, −3"
RULE = "Here each sample, or token, has its own statistic, over the axes of normalized_shape."

# ---- what the family says of a variance, said of a mean of squares -----------------------------

WORDS = {
    "σ² is 0": "x is 0",
    "σ²": "mean(x²)",
    "(x - μ)": "x",
    "x - μ": "x",
    "the variance": "the mean square",
    "Your variance": "Your mean square",
    "the standard deviation": "the root mean square",
    "γ and β": "γ",
    "μ and mean(x²) depend": "r depends",
}


def in_our_words(*mistakes):
    """The family's mistakes, where no mean is subtracted and no bias is added."""

    def said(text):
        for theirs, ours in WORDS.items():
            text = text.replace(theirs, ours)
        return text

    return tuple(replace(m, name=said(m.name), explanation=said(m.explanation)) for m in mistakes)


def chosen(mistakes, *names):
    return tuple(m for m in mistakes if m.name in names)


# ---- probes ----------------------------------------------------------------------------


def by_hand(dy=None):
    x = np.float32([[1, 3, 1, -3]])
    rest = x, (4,), np.ones(4, np.float32), 4.0
    return rest if dy is None else (np.float32([dy]), *rest)


def given(rng, x, k=1, eps=EPS):
    return x, x.shape[-k:], weights(rng, x.shape[-k:]), eps


def small(rng):
    """Samples of size 1 and 0.002: beside the second one ε is not small."""
    return given(rng, spread_out(rng, 3, 4) * np.float32([[1], [2e-3], [1]]))


def silent(rng):
    """A sample that is 0."""
    return given(rng, rows(rng, 3, 4, scale=1) * np.float32([[0], [1], [1]]))


INPUTS = (
    ("rows and a large eps", lambda rng: given(rng, spread_out(rng, 5, 4), eps=2.0)),
    ("a sample of zeros", silent),
    ("a small sample", small),
    ("tokens (N, L, D)", lambda rng: given(rng, rows(rng, 3, 4, 4, scale=0.5))),
    (
        "an image (N, C, H, W), over C, H and W",
        lambda rng: given(rng, spread_out(rng, 3, 3, 2, 3), 3),
    ),
)


def with_dy(make):
    """``make`` with a gradient in front that has parts along 1 and along x and across."""

    def arguments(rng):
        x, *rest = make(rng)
        return 0.5 + 0.8 * x + 0.6 * x**2 + 0.3 * channels(rng, x.shape), x, *rest

    return arguments


# ---- forward -----------------------------------------------------------------------------------

FORWARD = {
    "axis": lambda q: last_axes(q.x, q.normalized_shape),
    "n": lambda q: prod(q.x.shape[a] for a in q.axis),
    "c": lambda q: q.x,
    "var": lambda q: (q.c**2).sum(q.axis, keepdims=True) / q.n,
    "s": lambda q: np.sqrt(q.var + q.eps),
    "xhat": lambda q: q.c / q.s,
    "w": lambda q: q.weight,
    # The family's words for what is not there.
    "view": lambda q: q.x,
    "b": lambda q: 0.0,
}


def centred(q):
    return q.x - q.x.mean(q.axis, keepdims=True)


STATISTIC_MISTAKES = (
    *axes_mistakes(RULE),
    *other_axes("axis", "Your mean of squares runs"),
    ONE_LENGTH,
    *in_our_words(
        *eps_mistakes(),
        *chosen(
            statistics_mistakes(RULE),
            "not divided",
            "sums divided by the batch size",
            "sums divided by the size of the array",
            "sum of squares as the variance",
        ),
    ),
    mistake(
        "mean subtracted",
        "You subtract the mean first: that is layer normalization. Here x itself is divided, and "
        "its mean square is that of x.",
        c=centred,
    ),
    mistake(
        "divided by the standard deviation",
        "You divide x by its standard deviation. The root mean square is √(mean(x²) + ε): no mean "
        "is subtracted inside it, so np.var and np.std do not fit.",
        var=lambda q: q.x.var(q.axis, keepdims=True),
    ),
    mistake(
        "mean subtracted, but not in the root",
        "You divide x - mean(x) by √(mean(x²) + ε). Divide x itself.",
        xhat=lambda q: centred(q) / q.s,
    ),
    mistake(
        "square of the mean",
        "You square the mean. It is the mean of the squares: square first.",
        var=lambda q: q.x.mean(q.axis, keepdims=True) ** 2,
    ),
    mistake(
        "mean absolute value",
        "You divide by the mean of |x|. The formula has the root of the mean square.",
        var=lambda q: abs(q.x).mean(q.axis, keepdims=True) ** 2,
    ),
    mistake(
        "largest value",
        "You divide by the largest |x|. The formula has the root of the mean square.",
        var=lambda q: abs(q.x).max(q.axis, keepdims=True) ** 2,
    ),
    mistake(
        "divided by n - 1",
        "Your mean square divides by n - 1. That is for a variance whose mean was estimated; here "
        "none was, and it is a plain mean.",
        n=lambda q: prod(q.x.shape[a] for a in q.axis) - 1,
    ),
)

RMS_NORM = Exercise(
    name="rms_norm",
    task="Divide each sample by the root mean square of its last axes, whose lengths are "
    "normalized_shape; then scale by weight, which has that shape. There is no mean and no bias.",
    returns=("y",),
    reference=Steps("x normalized_shape weight eps", "y", **FORWARD, y=lambda q: q.w * q.xhat),
    probes=(
        Probe(HAND, lambda rng: by_hand(), by_hand="mean(x²) = 5, r = 3, x̂ = 1/3, 1, 1/3, −1"),
        *(Probe(*probe) for probe in INPUTS),
    ),
    mistakes=(
        *STATISTIC_MISTAKES,
        *chosen(
            affine_mistakes(),
            "no weight",
            "one added to the weight",
            "divided by the weight",
            "eps added to the result",
        ),
        mistake(
            "weight inside the statistic",
            "You multiply by γ first and divide by the root mean square of γ x. It is the root "
            "mean square of x; γ comes after.",
            var=lambda q: ((q.c * q.weight) ** 2).sum(q.axis, keepdims=True) / q.n,
        ),
        mistake(
            "one weight for all features",
            "You use a mean of the weights. Each feature of a row has a weight of its own.",
            w=lambda q: q.weight.mean(),
        ),
    ),
    hints=(
        Hint(
            "axis n",
            "The last len(normalized_shape) axes share a statistic; those before them count "
            "samples. x.mean takes a tuple of axes; negative ones count from the end.",
        ),
        Hint(
            "var s xhat c y",
            "Three steps: mean(x²), then r = √(mean(x²) + ε), then γ x / r. Take x = 1, 3, 1, −3 "
            "and ε = 4 on paper: the mean square is 5 and r is 3.",
        ),
        Hint(
            "w n axis",
            "keepdims=True keeps reduced axes with length 1, so that r meets x. The weight has "
            "the shape of the last axes and meets x by itself.",
        ),
    ),
)

# ---- backward ----------------------------------------------------------------------------------


def _mean(q, a):
    return a.sum(q.dx_axis, keepdims=True) / prod(a.shape[i] for i in q.dx_axis)


def by_rms(q):
    return q.xhat * _mean(q, q.g * q.xhat) / q.dx_s


def minus_mean(a, q):
    return a - _mean(q, a)


def _coefficients():
    """dx of two terms, and dweight."""
    dx, dweight, _ = coefficients(("g", "x̂ mean(g x̂)"))
    causes = {
        where: in_our_words(mistake(*told))[0]
        for where, told in dx.causes.items()
        if "by_mean" not in where[0]
    }
    causes = {where: (told.name, told.explanation) for where, told in causes.items()}
    causes["by_var", "0"] = (
        "statistic treated as a constant",
        "Your dx is g/r. But r depends on every x of the sample: the term - x̂ mean(g x̂) is "
        "missing.",
    )
    for law in ("-1", "2", "1/2", "n", "1/n", "n/N", "s²", "s"):
        name, text = causes["by_var", law]
        causes["by_var", law] = (
            name.replace("variance path", "path through r"),
            text.replace("variance path", "path through r"),
        )
    return (
        replace(dx, terms={"direct": 1, "by_var": -1}, causes=causes),
        dweight,
    )


RMS_NORM_BACKWARD = Exercise(
    name="rms_norm_backward",
    task="From dy, the gradient of the loss with respect to y, compute the gradients with respect "
    "to x and weight.",
    returns=("dx", "dweight"),
    reference=Steps(
        "dy x normalized_shape weight eps",
        "dx dweight",
        **FORWARD,
        shared=lambda q: axes_before(q.x, q.normalized_shape),
        m=lambda q: prod(q.x.shape[a] for a in q.shared),
        g=lambda q: q.dy * q.w,
        dx_axis=lambda q: q.axis,
        dx_s=lambda q: q.s,
        direct=lambda q: q.g / q.dx_s,
        by_var=by_rms,
        dx=lambda q: q.direct - q.by_var,
        dweight=lambda q: (q.dy * q.xhat).sum(q.shared),
    ),
    probes=(
        Probe(
            HAND,
            lambda rng: by_hand((6, 0, 0, 6)),
            by_hand="x̂ = 1/3, 1, 1/3, −1 and r = 3; with g = 6, 0, 0, 6: mean(g x̂) = −1",
        ),
        *(Probe(what, with_dy(make), *rest) for what, make, *rest in INPUTS),
    ),
    mistakes=(
        *STATISTIC_MISTAKES,
        *axes_mistakes(RULE, step="dx_axis", what="The mean in your dx runs"),
        *other_axes("dx_axis", "The mean in your dx runs", ", in dx"),
        mistake(
            "mean of g subtracted",
            "You subtract mean(g), too, as in layer normalization. There it is the path through "
            "μ; here there is no μ.",
            dx=lambda q: minus_mean(q.direct, q) - q.by_var,
        ),
        mistake(
            "mean of dx subtracted",
            "You subtract the mean of dx at the end, as if x had been centred. It was not: dx is "
            "orthogonal to x̂, and its sum may be anything.",
            dx=lambda q: minus_mean(q.direct - q.by_var, q),
        ),
        mistake(
            "weight multiplied after the mean",
            "You take the mean of dy x̂ and multiply by γ afterwards. γ differs within a row, so "
            "g = dy γ comes before the mean.",
            g=lambda q: q.dy,
            dx=lambda q: q.w * (q.direct - q.by_var),
        ),
        mistake(
            "weight missing in dx",
            "Your dx starts from dy. What reaches x̂ is g = dy γ.",
            g=lambda q: q.dy,
        ),
        mistake(
            "weight missing in the mean of dx",
            "Your dx starts from g = dy γ, but its mean is that of dy x̂. It is mean(g x̂).",
            by_var=lambda q: q.xhat * _mean(q, q.dy * q.xhat) / q.dx_s,
        ),
        *(
            mistake(
                "sum over the sample forgotten",
                "Your path through r is not summed. Every number that shares r pulls on it, so its "
                "gradient is a sum over all of them, before it goes on to each.",
                by_var=lambda q, n=n: q.xhat**2 * q.g / q.dx_s / (q.n if n else 1),
            )
            for n in (False, True)
        ),
        mistake(
            "x̂ missing behind its mean",
            "You subtract mean(g x̂) from every number alike. What is taken away lies along x̂: "
            "x̂ mean(g x̂).",
            by_var=lambda q: _mean(q, q.g * q.xhat) / q.dx_s + 0 * q.x,
        ),
        mistake(
            "product of two means",
            "You multiply mean(g) by mean(x̂). It is the mean of the product.",
            by_var=lambda q: q.xhat * _mean(q, q.g) * _mean(q, q.xhat) / q.dx_s,
        ),
        *(
            mistake(
                "eps forgotten in the last division",
                "Your x̂ has √(mean(x²) + ε), but dx is divided by √mean(x²). It is the same root "
                "in both places.",
                dx_s=root,
            )
            for root in (
                lambda q: np.sqrt(q.var),
                lambda q: np.sqrt(np.where(q.var == 0, 1, q.var)),
            )
        ),
        mistake(
            "dweight from x",
            "Your dweight is Σ dy x. The weight multiplies x̂, so it is Σ dy x̂.",
            dweight=lambda q: (q.dy * q.x).sum(q.shared),
        ),
        mistake(
            "dweight from y",
            "Your dweight is Σ dy y. The weight multiplies x̂, before γ: Σ dy x̂.",
            dweight=lambda q: (q.dy * q.w * q.xhat).sum(q.shared),
        ),
        mistake(
            "dweight without x̂",
            "Your dweight is Σ dy: that is the gradient of a bias. The weight multiplies x̂.",
            dweight=lambda q: q.dy.sum(q.shared),
        ),
    ),
    hints=(
        Hint(
            "dweight g w",
            "Start with the easy one: y = γ x̂ is linear in γ, which is used by every sample. What "
            "reaches x̂ is g = dy γ.",
        ),
        Hint(
            "dx by_var",
            "x reaches x̂ = x/r on two paths: directly, and through r. Write down the derivative "
            "of each on paper, then add them. A path through a mean is not among them.",
        ),
        Hint(
            "dx by_var dx_axis dx_s",
            "What is left of g has (for ε = 0) no part along x̂: x̂ mean(g x̂) is taken away. Then "
            "divide by r, as on the way to x̂.",
        ),
        RMS_NORM.hints[0],
    ),
    coefficients=_coefficients(),
)

# ---- layer normalization, turned into it ---------------------------------------------------------


def _centre(a):
    """Less its mean over the outputs, axis 0 of a weight and the only one of a bias."""
    return a - a.mean(0, keepdims=True)


SMALL_BLOCK = [2, 3], [1, 1], [[1, 2], [3, 4]], [0, 1], [[1, 5], [3, 1]], [4, 2]
NOT_NEEDED = (
    "The stream is centred, so this changes no output; but it changes a weight that may stay. "
    "What *writes* into the stream is centred, what reads from it only takes γ and β."
)

TO_RMS_NORM = Exercise(
    name="to_rms_norm",
    task="A block adds W_write f(W_read LN(x) + b_read) + b_write to a stream x of vectors whose "
    "mean is 0. Return W_read, b_read, W_write, b_write for the same block with x̂ = x/r in the "
    "place of LN: fold γ and β into what reads, centre what writes.",
    returns=("W_read", "b_read", "W_write", "b_write"),
    reference=Steps(
        "weight bias W_read b_read W_write b_write",
        "new_W_read new_b_read new_W_write new_b_write",
        new_W_read=lambda q: q.W_read * q.weight,
        shift=lambda q: q.W_read @ q.bias,
        new_b_read=lambda q: q.b_read + q.shift,
        new_W_write=lambda q: _centre(q.W_write),
        new_b_write=lambda q: _centre(q.b_write),
    ),
    probes=(
        Probe(
            "numbers for the hand: two features",
            lambda rng: tuple(map(np.float32, SMALL_BLOCK)),
            by_hand="columns of W_read times 2 and 3; b_read plus 1 + 2 and 3 + 4; the columns of "
            "W_write have means 2 and 3, b_write has the mean 3",
        ),
        Probe("as many hidden units as features", lambda rng: _block(rng, 4, 4)),
        Probe("more hidden units", lambda rng: _block(rng, 3, 5)),
    ),
    mistakes=(
        mistake(
            "writing weight not centred",
            "Your W_write is as it was: what the block adds to the stream has a mean.",
            new_W_write=lambda q: q.W_write,
        ),
        mistake(
            "bias of the writing layer forgotten",
            "Your b_write is as it was. It is added to the stream, too, so its mean has to go.",
            new_b_write=lambda q: q.b_write,
        ),
        mistake(
            "bias of the writing layer dropped",
            "Your b_write is 0. Only its mean must go.",
            new_b_write=lambda q: 0 * q.b_write,
        ),
        mistake(
            "centred along the wrong axis",
            "You subtract from W_write its mean over the inputs (axis 1). The mean over the D "
            "*outputs* has to be 0, for every input: W is (out, in), so axis 0.",
            new_W_write=lambda q: q.W_write - q.W_write.mean(1, keepdims=True),
        ),
        mistake(
            "one mean for the whole weight",
            "You subtract the mean of all numbers of W_write. Each column has its own.",
            new_W_write=lambda q: q.W_write - q.W_write.mean(),
        ),
        mistake(
            "sum subtracted instead of the mean",
            "You subtract the sum over the outputs. A mean divides by D.",
            new_W_write=lambda q: q.W_write - q.W_write.sum(0, keepdims=True),
        ),
        mistake(
            "sum subtracted from the bias",
            "You subtract the sum of b_write. A mean divides by D.",
            new_b_write=lambda q: q.b_write - q.b_write.sum(),
        ),
        mistake(
            "writing weight standardized",
            "You also divide W_write by its standard deviation. Only the mean may go: the block "
            "has to compute the same.",
            new_W_write=lambda q: _centre(q.W_write) / q.W_write.std(0, keepdims=True),
        ),
        mistake(
            "mean of the weight subtracted from the bias",
            "From b_write you subtract the mean of W_write. It has a mean of its own.",
            new_b_write=lambda q: q.b_write - q.W_write.mean(),
        ),
        mistake(
            "reading weight centred, too",
            NOT_NEEDED,
            new_W_read=lambda q: q.W_read * q.weight - (q.W_read * q.weight).mean(1, keepdims=True),
        ),
        mistake(
            "reading weight centred, too",
            NOT_NEEDED,
            new_W_read=lambda q: (q.W_read - q.W_read.mean(1, keepdims=True)) * q.weight,
        ),
        mistake(
            "reading weight centred over its outputs",
            "You centre W_read over its outputs. They do not go into the stream but into f.",
            new_W_read=lambda q: _centre(q.W_read * q.weight),
        ),
        mistake(
            "γ not folded in",
            "Your W_read is as it was, so γ is lost: W (γ x̂) = (W γ) x̂.",
            new_W_read=lambda q: q.W_read,
        ),
        mistake(
            "γ on the outputs of the reading layer",
            "You scale the rows of W_read by γ. It scales what comes in: W is (out, in), so its "
            "columns.",
            new_W_read=lambda q: _on_rows(q.W_read, q.weight),
        ),
        mistake(
            "divided by γ",
            "You divide W_read by γ. LN multiplies by it, and so must W_read.",
            new_W_read=lambda q: q.W_read / q.weight,
        ),
        mistake(
            "one added to γ",
            "You scale by 1 + γ, as some models store it. Here γ itself is the weight.",
            new_W_read=lambda q: q.W_read * (1 + q.weight),
        ),
        mistake(
            "β not folded in",
            "Your b_read is as it was, so β is lost: W (γ x̂ + β) + b = (W γ) x̂ + (W β + b).",
            shift=lambda q: 0,
        ),
        mistake(
            "β folded through the scaled weight",
            "You add (W γ) β. β is added after γ, so it meets W_read alone: keep the old one.",
            shift=lambda q: (q.W_read * q.weight) @ q.bias,
        ),
        mistake(
            "β folded through the transposed weight",
            "You add Wᵀ β. The layer computes W x with W (out, in), so it is W β.",
            shift=lambda q: _on_columns(q.W_read, q.bias),
        ),
        mistake(
            "β added as it is",
            "You add β to b_read. On its way there it goes through W_read: W β.",
            shift=lambda q: _same_length(q.bias, q.b_read),
        ),
        mistake(
            "β subtracted",
            "You subtract W β. LN adds β, and the new bias must, too.",
            shift=lambda q: -q.W_read @ q.bias,
        ),
        mistake(
            "old bias of the reading layer dropped",
            "Your b_read is W β alone. The old bias stays: add it.",
            new_b_read=lambda q: q.shift,
        ),
        mistake(
            "bias of the reading layer centred",
            "You centre b_read. It does not go into the stream but into f.",
            new_b_read=lambda q: _centre(q.b_read + q.shift),
        ),
    ),
    hints=(
        Hint(
            "new_W_read new_b_read shift",
            "First what reads: W (γ x̂ + β) + b. Multiply out, and collect what stands before x̂ "
            "and what does not depend on x.",
        ),
        Hint(
            "new_W_write new_b_write",
            "Then what writes: its D outputs must have the mean 0, whatever comes in. The mean of "
            "W h + b over the outputs is (mean of each column of W) h + mean(b).",
        ),
        Hint(
            "new_W_write new_b_write new_W_read",
            "W is (out, in), as in torch.nn.Linear. Means over the outputs run along axis 0; γ "
            "multiplies inputs, along axis 1, where a vector of length D broadcasts by itself.",
        ),
    ),
)


def _block(rng, d, hidden):
    return (
        weights(rng, d),
        channels(rng, d),
        channels(rng, (hidden, d), 0.5),
        channels(rng, hidden),
        channels(rng, (d, hidden), 0.5),
        channels(rng, d, 0.5),
    )


def _on_rows(W, v):
    """W with its rows scaled by v, if there are as many; else W with its columns scaled."""
    return W * v[:, None] if len(W) == len(v) else W * v


def _on_columns(W, v):
    return W.T @ v if len(W) == len(v) else W @ v


def _same_length(v, like):
    return v if len(v) == len(like) else 0


EXERCISES = (RMS_NORM, RMS_NORM_BACKWARD, TO_RMS_NORM)
