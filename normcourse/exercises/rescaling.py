"""Exercises on rescaling: min-max and its inverse, standardization, merging statistics."""

import numpy as np

from normcourse.exercises.family import FAR, mistake
from normcourse.exercises.probes import naive_variance, spread_out, variances, weights
from normcourse.exercises.record import Exercise, Hint, Mistake, Probe, Steps

__all__ = ["EXERCISES"]


TINY = (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5)  # what is added against 0/0


def guarded(scale):
    """A constant feature has no scale: it counts as 1."""
    return np.where(scale == 0, 1, scale)


def constant(rng):
    """Training data whose first feature never changes."""
    return spread_out(rng, 4, 2) * np.float32([0, 1]) + np.float32([3, 0])


def some_constant(rng):
    """Training data with three features, of which only the last changes."""
    return spread_out(rng, 4, 3) * np.float32([0, 0, 1]) + np.float32([3, -2, 0])


def narrow(rng):
    """Training data whose first feature has a standard deviation near 0.002."""
    return spread_out(rng, 4, 2) * np.float32([0.002, 1])


def between(rng, X_train, n=2):
    """n rows within the training range of each feature; where that is 0, a little above it."""
    lowest, width = X_train.min(0), guarded(np.ptp(X_train, 0))
    return (lowest + rng.uniform(0.2, 0.8, (n, X_train.shape[1])) * width).astype(np.float32)


def beyond(rng, X_train):
    """Two rows, one above the training range and one below."""
    lowest, highest = X_train.min(0), X_train.max(0)
    step = rng.uniform(0.2, 0.8, X_train.shape[1])
    return np.stack([highest + step, lowest - step]).astype(np.float32)


# ---- what is done wrong alike in several of the functions ---------------------------------------


def fitting_mistakes(new, *, noisy=()):
    """On which data, and along which axis, statistics are taken; ``new`` is the other argument."""
    return (
        mistake(
            "fitted on the new data",
            f"Your statistics come from {new}. A scaling is learned from the training data, once, "
            "and then applied to whatever comes; even a single row must work.",
            fitted=lambda q: getattr(q, new),
        ),
        mistake(
            "fitted on training and new data together",
            f"Your statistics also see {new}. That is a leak: what you measure on new data then "
            "depends on them. Use X_train alone.",
            fitted=lambda q: np.concatenate([q.X_train, getattr(q, new)]),
        ),
        mistake(
            "one statistic for the whole table",
            "You use one number for all features. Each column has its own: reduce over axis 0.",
            axis=lambda q: None,
        ),
        mistake(
            "statistics per row",
            "You scale each sample by itself. A feature is a column: reduce X_train over axis 0.",
            fitted=lambda q: getattr(q, new),
            axis=lambda q: 1,
            noisy=noisy,
        ),
    )


def guard_mistakes(name, *, inverse=False):
    """What becomes of a feature whose scale, the step ``name`` before its guard, is 0."""

    def turned(title, text, guards, **more):
        return (
            mistake(title, text, scale=lambda q, guard=guard: guard(getattr(q, name)), **more)
            for guard in guards
        )

    wide = turned(
        "small scale replaced by 1",
        "You also let a small scale count as 1, so a narrow feature stays narrow. Only a scale of "
        "exactly 0 needs that.",
        [
            lambda scale, least=least: np.where(scale < least, 1, scale)
            for least in (0.01, 0.5, 1.0)
        ],
    )
    if inverse:
        return (
            mistake(
                "constant feature collapsed",
                "Where a feature is constant, you multiply by its range, 0, and what Z says is "
                "lost. The scaling counted that range as 1; the inverse must, too.",
                scale=lambda q: getattr(q, name),
            ),
            *wide,
        )
    return (
        *turned(
            "constant feature divided by zero",
            "Where a feature is constant in the training data, its scale is 0. Let it count as 1.",
            [lambda scale: scale],
        ),
        *turned(
            "constant feature divided by a tiny number",
            "You add something like 1e-8 to the scale. A constant feature then turns the smallest "
            "change into an enormous number. Let its scale count as 1.",
            [
                *(lambda scale, tiny=tiny: scale + tiny for tiny in TINY),
                lambda scale: np.sqrt(scale**2 + 1e-5),
            ],
        ),
        *wide,
        *(
            mistake(
                "division by zero papered over",
                "np.nan_to_num turns x/0 into the largest number there is. Let the scale of a "
                "constant feature count as 1 before dividing.",
                unit=lambda q, dtype=dtype: np.nan_to_num(
                    ((q.X_new - q.origin) / getattr(q, name)).astype(dtype)
                ),
            )
            for dtype in (np.float32, np.float64)  # what infinity becomes depends on it
        ),
        mistake(
            "new values of a constant feature erased",
            "Where a feature is constant in the training data you return one fixed number, "
            "whatever X_new holds. Let its scale count as 1, then the same formula applies.",
            scale=lambda q: np.where(getattr(q, name) == 0, np.inf, getattr(q, name)),
        ),
        mistake(
            "constant feature left as it is",
            "Where a feature is constant in the training data you return it unchanged. Let its "
            "scale count as 1: then it is still shifted.",
            unit=lambda q: np.where(getattr(q, name) == 0, q.X_new, (q.X_new - q.origin) / q.scale),
        ),
    )


# ---- min-max ------------------------------------------------------------------------------------

RANGE = {
    "fitted": lambda q: q.X_train,
    "axis": lambda q: 0,
    "origin": lambda q: q.fitted.min(q.axis, keepdims=True),
    "highest": lambda q: q.fitted.max(q.axis, keepdims=True),
    "width": lambda q: q.highest - q.origin,
    "scale": lambda q: guarded(q.width),
}

MIN_MAX_SCALE = Exercise(
    name="min_max_scale",
    task="Map each feature linearly so that its range in X_train becomes [low, high]; return X_new "
    "mapped like that. A feature that is constant in X_train counts as having the range 1.",
    returns=("Z_new",),
    reference=Steps(
        "X_train X_new low high",
        "Z",
        **RANGE,
        unit=lambda q: (q.X_new - q.origin) / q.scale,
        Z=lambda q: q.low + q.unit * (q.high - q.low),
    ),
    probes=(
        Probe(
            "numbers for the hand: 1, 3, 5",
            lambda rng: (np.float32([[1], [3], [5]]), np.float32([[2], [7]]), -1.0, 3.0),
            by_hand="2 lies a quarter of the way from 1 to 5, and 7 one and a half",
        ),
        Probe(
            "another interval",
            lambda rng: (X := spread_out(rng, 3, 2), between(rng, X), -2.0, 3.0),
        ),
        Probe(
            "values beyond the training range",
            lambda rng: (X := spread_out(rng, 3, 2), beyond(rng, X), 0.0, 1.0),
        ),
        Probe("a constant feature", lambda rng: (X := constant(rng), between(rng, X), 0.0, 1.0)),
        Probe("a narrow feature", lambda rng: (X := narrow(rng), between(rng, X), 0.0, 1.0)),
    ),
    mistakes=(
        *fitting_mistakes("X_new"),
        *guard_mistakes("width"),
        mistake(
            "low and high ignored",
            "You use the interval [0, 1] whatever the caller passes. Use low and high.",
            Z=lambda q: q.unit,
        ),
        mistake(
            "high where high - low belongs",
            "The width of the interval is high - low. It equals high only if low is 0.",
            Z=lambda q: q.low + q.unit * q.high,
        ),
        mistake(
            "low not added",
            "You stretch to the right width, but the interval starts at low. Add it.",
            Z=lambda q: q.unit * (q.high - q.low),
        ),
        mistake(
            "clipped",
            "You cut off what lies outside. New data may leave the interval; cutting hides that "
            "and cannot be undone.",
            Z=lambda q: (q.low + q.unit * (q.high - q.low)).clip(q.low, q.high),
        ),
        mistake(
            "divided by the maximum",
            "You divide by the maximum. Subtract the minimum first, then divide by max - min.",
            unit=lambda q: q.X_new / q.highest,
        ),
        mistake(
            "minimum not subtracted",
            "You divide by max - min, but the smallest training value must come out as low: "
            "subtract the minimum first.",
            unit=lambda q: q.X_new / q.scale,
        ),
        mistake(
            "only the minimum divided",
            "You compute x - min/(max - min). Put x - min in parentheses.",
            unit=lambda q: q.X_new - q.origin / q.scale,
        ),
        mistake(
            "standardized",
            "You use mean and standard deviation. Min-max scaling uses minimum and maximum.",
            origin=lambda q: q.fitted.mean(q.axis, keepdims=True),
            width=lambda q: q.fitted.std(q.axis, keepdims=True),
        ),
    ),
    hints=(
        Hint(
            "fitted axis origin highest",
            "X_train.min(axis=0) and X_train.max(axis=0) have one entry per feature; X_new must "
            "not enter into them.",
        ),
        Hint(
            "unit Z",
            "Two steps: first how far between min and max each number lies, from 0 to 1 for "
            "training data; then the same way from low to high.",
        ),
        Hint("scale", "np.where(scale == 0, 1, scale) takes care of constant features."),
    ),
)


def in_range(rng):
    return between(rng, np.float32([[0, 0], [1, 1]]))


MIN_MAX_INVERSE = Exercise(
    name="min_max_inverse",
    task="Undo min_max_scale: return the data whose scaled values are Z, in the units of X_train.",
    returns=("X",),
    reference=Steps(
        "X_train Z low high",
        "X",
        **RANGE,
        given=lambda q: q.Z,
        unit=lambda q: (q.given - q.low) / (q.high - q.low),
        X=lambda q: q.origin + q.unit * q.scale,
    ),
    probes=(
        Probe(
            "numbers for the hand: 1, 3, 5",
            lambda rng: (np.float32([[1], [3], [5]]), np.float32([[0], [5]]), -1.0, 3.0),
            by_hand="0 lies a quarter of the way from -1 to 3, and 5 one and a half",
        ),
        Probe(
            "another interval",
            lambda rng: (
                spread_out(rng, 3, 2),
                between(rng, np.float32([[-2, -2], [3, 3]])),
                -2.0,
                3.0,
            ),
        ),
        Probe(
            "values beyond the interval",
            lambda rng: (
                spread_out(rng, 3, 2),
                beyond(rng, np.float32([[0, 0], [1, 1]])),
                0.0,
                1.0,
            ),
        ),
        Probe("a constant feature", lambda rng: (constant(rng), in_range(rng), 0.0, 1.0)),
        Probe("a narrow feature", lambda rng: (narrow(rng), in_range(rng), 0.0, 1.0)),
    ),
    mistakes=(
        *fitting_mistakes("Z"),
        *guard_mistakes("width", inverse=True),
        mistake(
            "low and high ignored",
            "You use the interval [0, 1] whatever the caller passes. Use low and high.",
            unit=lambda q: q.given,
        ),
        mistake(
            "high where high - low belongs",
            "The width of the interval is high - low. It equals high only if low is 0.",
            unit=lambda q: (q.given - q.low) / q.high,
        ),
        mistake(
            "low not subtracted",
            "You divide Z by high - low. The interval starts at low: subtract it first.",
            unit=lambda q: q.given / (q.high - q.low),
        ),
        mistake(
            "multiplied by high - low",
            "You multiply Z - low by the width of the interval. Scaling multiplied by it: undo "
            "that by dividing.",
            unit=lambda q: (q.given - q.low) * (q.high - q.low),
        ),
        mistake(
            "low subtracted last",
            "You subtract low from the result. It belongs to the scaled values: subtract it from Z "
            "first.",
            unit=lambda q: q.given / (q.high - q.low),
            X=lambda q: q.origin + q.unit * q.scale - q.low,
        ),
        mistake(
            "scaled forward",
            "You scale once more. Undo the steps in reverse order: subtract low, divide by "
            "high - low, multiply by max - min, add min.",
            unit=lambda q: (q.given - q.origin) / q.scale,
            X=lambda q: q.low + q.unit * (q.high - q.low),
        ),
        mistake(
            "minimum not added",
            "Your result starts at 0. The last step adds the minimum of the training data.",
            X=lambda q: q.unit * q.scale,
        ),
        mistake(
            "range not restored",
            "You add the minimum, but the spread is still that of [0, 1]: multiply by max - min.",
            X=lambda q: q.origin + q.unit,
        ),
        mistake(
            "maximum where max - min belongs",
            "You multiply by the maximum. The range is max - min.",
            X=lambda q: q.origin + q.unit * q.highest,
        ),
        mistake(
            "clipped",
            "You cut off what lies outside. New data may leave the interval; cutting hides that "
            "and cannot be undone.",
            given=lambda q: q.Z.clip(q.low, q.high),
        ),
    ),
    hints=(
        Hint("unit X", "Write down the steps of min_max_scale and undo the last one first."),
        Hint(
            "fitted axis origin highest",
            "The inverse uses the same statistics: min and max of X_train, nothing of Z.",
        ),
        Hint("scale", "Use the same scale as in min_max_scale, also for constant features."),
    ),
)

# ---- standardization ----------------------------------------------------------------------------

STANDARD_SCALE = Exercise(
    name="standard_scale",
    task="Shift and scale each feature so that X_train would get mean 0 and standard deviation 1 "
    "(divided by n); return X_new treated like that. A constant feature counts as having the "
    "standard deviation 1.",
    returns=("Z_new",),
    reference=Steps(
        "X_train X_new",
        "unit",
        fitted=lambda q: q.X_train,
        axis=lambda q: 0,
        origin=lambda q: q.fitted.mean(q.axis, keepdims=True),
        var=lambda q: q.fitted.var(q.axis, keepdims=True),
        std=lambda q: np.sqrt(q.var),
        scale=lambda q: guarded(q.std),
        unit=lambda q: (q.X_new - q.origin) / q.scale,
    ),
    probes=(
        Probe(
            "numbers for the hand: 1, 3, 5, 7, 9",
            lambda rng: (np.float32([[1], [3], [5], [7], [9]]), np.float32([[5], [8]])),
            by_hand="the mean is 5 and the variance 8",
        ),
        Probe("a narrow feature", lambda rng: (X := narrow(rng), between(rng, X) + 0.5)),
        Probe(
            "constant features",
            lambda rng: (X := some_constant(rng), between(rng, X) + np.float32([-1, 0.5, 0])),
        ),
        Probe(
            FAR,
            lambda rng: (spread_out(rng, 5, 2, mean=1e4), spread_out(rng, 2, 2, mean=1e4)),
            tolerance=5e-3,
        ),
    ),
    mistakes=(
        *fitting_mistakes("X_new", noisy=(FAR,)),
        *guard_mistakes("std"),
        mistake(
            "divided by n - 1",
            "Your standard deviation divides by n - 1, as pandas does. The task divides by n: "
            "X_train.std(axis=0) in NumPy.",
            var=lambda q: q.fitted.var(q.axis, ddof=1, keepdims=True),
        ),
        mistake(
            "divided by the variance",
            "You divide by σ². Divide by its square root, so that the result has no unit.",
            std=lambda q: q.var,
        ),
        mistake(
            "mean not subtracted",
            "You divide X_new itself. Subtract the mean of X_train first.",
            unit=lambda q: q.X_new / q.scale,
        ),
        mistake(
            "mean of the new data",
            "You subtract the mean of X_new. Mean and standard deviation both come from X_train.",
            origin=lambda q: q.X_new.mean(q.axis, keepdims=True),
        ),
        mistake(
            "standard deviation of the new data",
            "You divide by the standard deviation of X_new. Both statistics come from X_train.",
            var=lambda q: q.X_new.var(q.axis, keepdims=True),
        ),
        mistake(
            "only the mean subtracted",
            "The features keep their spread. Divide by the standard deviation of X_train.",
            scale=lambda q: np.ones_like(q.std),
        ),
        mistake(
            "only the mean divided",
            "You compute x - μ/σ. Put x - μ in parentheses.",
            unit=lambda q: q.X_new - q.origin / q.scale,
        ),
        mistake(
            "mean of squares as the variance",
            "Your variance is mean(X²). Subtract the mean before squaring.",
            var=lambda q: (q.fitted**2).mean(q.axis, keepdims=True),
        ),
        mistake(
            "scaled by the range",
            "You divide by max - min. Standardizing divides by the standard deviation.",
            std=lambda q: np.ptp(q.fitted, q.axis, keepdims=True),
        ),
        mistake(
            "minimum subtracted",
            "You subtract the minimum. Standardizing subtracts the mean.",
            origin=lambda q: q.fitted.min(q.axis, keepdims=True),
        ),
        mistake(
            "median subtracted",
            "You subtract the median. Standardizing subtracts the mean.",
            origin=lambda q: np.median(q.fitted, q.axis, keepdims=True),
        ),
        mistake(
            "cancellation",
            "Right everywhere but far from zero: there E[x²] - E[x]² subtracts two nearly equal "
            "numbers, and float32 has no digits left. Subtract the mean first, then square.",
            var=lambda q: naive_variance(q.fitted, q.axis, keepdims=True),
            noisy=(FAR,),
        ),
    ),
    hints=(
        Hint(
            "fitted axis origin",
            "Mean and standard deviation have one entry per feature (axis=0), all from X_train.",
        ),
        Hint("var std", "X_train.std(axis=0) divides by n: of 1, 3, 5, 7, 9 it is √8."),
        Hint("scale unit", "What if the standard deviation is 0? np.where(std == 0, 1, std)."),
    ),
)

# ---- merging ------------------------------------------------------------------------------------


def merge_naively(a, b):
    """By E[x²] - E[x]², in the precision of the probes."""
    (n_a, mean_a, var_a), (n_b, mean_b, var_b) = a, b
    mean_a, mean_b = mean_a.astype(np.float32), mean_b.astype(np.float32)
    n, mean, _ = MERGE(a, b)
    square = (n_a * (var_a + mean_a**2) + n_b * (var_b + mean_b**2)) / n
    return n, mean, square.astype(np.float32) - mean.astype(np.float32) ** 2


MERGE = Steps(
    "a b",
    "n mean result",
    n_a=lambda q: q.a[0],
    n_b=lambda q: q.b[0],
    n=lambda q: q.n_a + q.n_b,
    delta=lambda q: q.b[1] - q.a[1],
    share=lambda q: q.n_b / q.n,
    mean=lambda q: q.a[1] + q.delta * q.share,
    within=lambda q: (q.n_a * q.a[2] + q.n_b * q.b[2]) / q.n,
    across=lambda q: q.delta**2 * q.n_a * q.n_b / q.n**2,
    variance=lambda q: q.within + q.across,
    result=lambda q: q.variance,
)


def chunk(rng, n, mean=0.0):
    return n, weights(rng, 2) + np.float32(mean), variances(rng, 2)


MERGE_STATISTICS = Exercise(
    name="merge_statistics",
    task="a and b are (n, mean, variance) of two chunks of data, the variance divided by n. Return "
    "the same for both chunks together, without seeing the data.",
    returns=("n", "mean", "variance"),
    reference=MERGE,
    probes=(
        Probe(
            "numbers for the hand: (1, 3) and (4, 6, 8, 10)",
            lambda rng: (
                (2, np.float32([2]), np.float32([1])),
                (4, np.float32([7]), np.float32([5])),
            ),
            by_hand="the six numbers have the mean 32/6; around it, squares add up to 55 1/3",
        ),
        Probe("chunks of different size", lambda rng: (chunk(rng, 3), chunk(rng, 5))),
        Probe(FAR, lambda rng: (chunk(rng, 7, mean=1e4), chunk(rng, 2, mean=1e4)), tolerance=5e-3),
    ),
    mistakes=(
        mistake(
            "plain average of the means",
            "You average the two means. The larger chunk counts more: weigh by n.",
            share=lambda q: 0.5,
        ),
        mistake(
            "weights of the means exchanged",
            "You weigh each mean by the size of the other. In the mean, b counts n_b/n.",
            share=lambda q: q.n_a / q.n,
        ),
        mistake(
            "plain average of the variances",
            "Within the chunks, the larger one counts more: weigh the variances by n.",
            within=lambda q: (q.a[2] + q.b[2]) / 2,
        ),
        mistake(
            "weights of the variances exchanged",
            "You weigh each variance by the size of the other chunk. The one of b counts n_b/n.",
            within=lambda q: (q.n_b * q.a[2] + q.n_a * q.b[2]) / q.n,
        ),
        mistake(
            "variances added",
            "You add the two variances. The variance within the chunks is their average, weighted "
            "by n.",
            within=lambda q: q.a[2] + q.b[2],
        ),
        mistake(
            "distance between the means forgotten",
            "You average the variances within the chunks. If the means differ by δ, the data "
            "spread further: add δ² n_a n_b / n².",
            across=lambda q: 0 * q.delta,
        ),
        mistake(
            "distance between the means not squared",
            "The term for the distance δ of the means has δ². Without the square it would have the "
            "wrong unit.",
            across=lambda q: q.delta * q.n_a * q.n_b / q.n**2,
        ),
        mistake(
            "distance between the means not divided by n",
            "δ² n_a n_b / n belongs to the sum of squares. For the variance divide by n once more.",
            across=lambda q: q.delta**2 * q.n_a * q.n_b / q.n,
        ),
        mistake(
            "distance between the means with full weight",
            "You add δ². It counts n_a n_b / n² of that, a quarter at most.",
            across=lambda q: q.delta**2,
        ),
        mistake(
            "chunks taken as of equal size",
            "You add δ²/4, which is right for two chunks of equal size. In general it is "
            "δ² n_a n_b / n².",
            across=lambda q: q.delta**2 / 4,
        ),
        mistake(
            "distance between the means subtracted",
            "You subtract the term of the distance. Means that differ spread the data further.",
            across=lambda q: -(q.delta**2) * q.n_a * q.n_b / q.n**2,
        ),
        mistake(
            "only the distance of the first chunk",
            "You add (mean_a - mean)² for both chunks. Each has its own distance from the common "
            "mean, and its own weight.",
            across=lambda q: (q.delta * q.share) ** 2,
        ),
        mistake(
            "square of the mean not subtracted",
            "You return E[x²]. The variance is E[x²] less the square of the common mean.",
            across=lambda q: (q.n_a * q.a[1] ** 2 + q.n_b * q.b[1] ** 2) / q.n,
        ),
        mistake(
            "integer division",
            "n_a n_b // n loses what is behind the point. Use /.",
            across=lambda q: q.delta**2 * (q.n_a * q.n_b // q.n) / q.n,
        ),
        mistake(
            "mean moved the wrong way",
            "You move the mean of a away from that of b. It is mean_a + (mean_b - mean_a) n_b/n.",
            mean=lambda q: q.a[1] - q.delta * q.share,
        ),
        mistake(
            "variances weighed as of independent sums",
            "You weigh the variances by (n_a/n)² and (n_b/n)². That is the variance of a sum of "
            "means; within the chunks the weights are n_a/n and n_b/n.",
            within=lambda q: (q.n_a**2 * q.a[2] + q.n_b**2 * q.b[2]) / q.n**2,
        ),
        mistake(
            "standard deviations averaged",
            "You average standard deviations and square the result. Average the variances.",
            within=lambda q: ((q.n_a * np.sqrt(q.a[2]) + q.n_b * np.sqrt(q.b[2])) / q.n) ** 2,
        ),
        mistake(
            "weights n - 1 for variances divided by n",
            "You weigh the variances by n_a - 1 and n_b - 1, as if they were unbiased. They are "
            "divided by n: weigh by n.",
            within=lambda q: ((q.n_a - 1) * q.a[2] + (q.n_b - 1) * q.b[2]) / q.n,
        ),
        mistake(
            "sum of squares returned",
            "You return n σ². Divide by n.",
            result=lambda q: q.variance * q.n,
        ),
        mistake(
            "standard deviation returned",
            "You return σ. The third number is the variance, σ².",
            result=lambda q: np.sqrt(q.variance),
        ),
        mistake(
            "merged variance divided by n - 1",
            "Your variance has the factor n/(n - 1). The variances here are divided by n, before "
            "and after.",
            result=lambda q: q.variance * q.n / (q.n - 1),
        ),
        mistake(
            "merged as unbiased variances",
            "You weigh by n - 1. The variances here are divided by n: weigh by n.",
            within=lambda q: ((q.n_a - 1) * q.a[2] + (q.n_b - 1) * q.b[2]) / (q.n - 1),
            across=lambda q: q.delta**2 * q.n_a * q.n_b / (q.n * (q.n - 1)),
        ),
        Mistake(
            "cancellation",
            "Right everywhere but far from zero: there E[x²] - E[x]² subtracts two nearly equal "
            "numbers. Use the difference of the means, δ, which stays small.",
            merge_naively,
            noisy=(FAR,),
        ),
    ),
    hints=(
        Hint("n share mean", "n = n_a + n_b, and the mean is an average weighted by n_a and n_b."),
        Hint(
            "within across result",
            "The variance has two parts: the weighted average of the variances within the chunks, "
            "and the variance of the two means around the common one.",
        ),
        Hint(
            "across",
            "The second part: the means lie δ apart, and their weights are n_a/n and n_b/n. How "
            "far is each from the common mean?",
        ),
    ),
)

EXERCISES = (MIN_MAX_SCALE, MIN_MAX_INVERSE, STANDARD_SCALE, MERGE_STATISTICS)
