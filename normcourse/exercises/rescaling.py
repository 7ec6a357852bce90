"""Exercises on rescaling: min-max and its inverse, standardization, merging statistics.

A reference takes knobs after ``*``; a mistake is the reference with one of them turned.
"""

from functools import partial
from types import SimpleNamespace

import numpy as np

from normcourse.exercises.probes import (
    mean_square,
    naive_variance,
    spread_out,
    variances,
    weights,
)
from normcourse.exercises.record import Exercise, Mistake, Probe

__all__ = ["EXERCISES"]

FAR = "a large offset"  # where E[x²] - E[x]² is nothing but rounding


def guarded(scale):
    """A constant feature has no scale: it counts as 1."""
    return np.where(scale == 0, 1, scale)


def unguarded(scale):
    return scale


def plus(tiny):
    return lambda scale: scale + tiny


def guarded_below(least):
    return lambda scale: np.where(scale < least, 1, scale)


def nan_to_num(fn, dtype):
    """``fn`` without NaN and infinity; what infinity becomes depends on the dtype."""
    return lambda *arguments: np.nan_to_num(fn(*arguments).astype(dtype))


def on_train(X_train, X_new):
    return X_train


def on_new(X_train, X_new):
    return X_new


def on_both(X_train, X_new):
    return np.concatenate([X_train, X_new])


def rescaled(unit, low, high):
    return low + unit * (high - low)


def constant(rng):
    """Training data whose first feature never changes."""
    return spread_out(rng, 4, 2) * np.float32([0, 1]) + np.float32([3, 0])


def narrow(rng):
    """Training data whose first feature has a standard deviation near 0.05."""
    return spread_out(rng, 4, 2) * np.float32([0.05, 1]) + np.float32([1, 0])


def between(rng, X_train, n=2):
    """n rows within the training range of each feature; where that is 0, a little above it."""
    lowest, width = X_train.min(0), guarded(np.ptp(X_train, 0))
    return (lowest + rng.uniform(0.2, 0.8, (n, X_train.shape[1])) * width).astype(np.float32)


def beyond(rng, X_train):
    """Two rows, one above the training range and one below."""
    lowest, highest = X_train.min(0), X_train.max(0)
    step = rng.uniform(0.2, 0.8, X_train.shape[1])
    return np.stack([highest + step, lowest - step]).astype(np.float32)


# What is done wrong alike in several of the functions.
LEAK_NEW = (
    "fitted on the new data",
    "Your statistics come from X_new. A scaling is learned from the training data, once, and then "
    "applied to whatever comes; even a single row must work.",
)
LEAK_BOTH = (
    "fitted on training and new data together",
    "Your statistics also see X_new. That is a leak: what you measure on new data then depends on "
    "them. Use X_train alone.",
)
WHOLE_TABLE = (
    "one statistic for the whole table",
    "You use one number for all features. Each column has its own: reduce over axis 0.",
)
PER_ROW = (
    "statistics per row",
    "You scale each sample by itself. A feature is a column: reduce X_train over axis 0.",
)
NO_GUARD = (
    "constant feature divided by zero",
    "Where a feature is constant in the training data, its scale is 0. Let it count as 1.",
)
TINY_GUARD = (
    "constant feature divided by a tiny number",
    "You add something like 1e-8 to the scale. A constant feature then turns the smallest change "
    "into an enormous number. Let its scale count as 1.",
)
TINY = (1e-12, 1e-10, 1e-8, 1e-7, 1e-5)
WIDE_GUARD = (
    "small scale replaced by 1",
    "You also let a small scale count as 1, so a narrow feature stays narrow. Only a scale of "
    "exactly 0 needs that.",
)
WIDE = (0.5, 1.0)
NAN_REPLACED = (
    "division by zero papered over",
    "np.nan_to_num turns x/0 into the largest number there is. Let the scale of a constant feature "
    "count as 1 before dividing.",
)
CONSTANT_TO_ZERO = (
    "new values of a constant feature erased",
    "Where a feature is constant in the training data you return one fixed number, whatever "
    "X_new holds. Let its scale count as 1, then the same formula applies.",
)
INTERVAL_IGNORED = (
    "low and high ignored",
    "You use the interval [0, 1] whatever the caller passes. Use low and high.",
)
HIGH_FOR_WIDTH = (
    "high where high - low belongs",
    "The width of the interval is high - low. It equals high only if low is 0.",
)
CLIPPED = (
    "clipped",
    "You cut off what lies outside. New data may leave the interval; cutting hides that and cannot "
    "be undone.",
)


def min_max(X_train, X_new, low, high, *, fit=on_train, axis=0, guard=guarded, rescaled=rescaled):
    X = fit(X_train, X_new)
    lowest, highest = X.min(axis, keepdims=True), X.max(axis, keepdims=True)
    return rescaled((X_new - lowest) / guard(highest - lowest), low, high)


def min_max_clipped(X_train, X_new, low, high):
    return min_max(X_train, X_new, low, high).clip(low, high)


def min_max_by_maximum(X_train, X_new, low, high):
    return rescaled(X_new / X_train.max(0), low, high)


def min_max_uncentered(X_train, X_new, low, high):
    return rescaled(X_new / guarded(np.ptp(X_train, 0)), low, high)


def min_max_erased(X_train, X_new, low, high):
    return np.where(np.ptp(X_train, 0) == 0, low, min_max(X_train, X_new, low, high))


MIN_MAX_SCALE = Exercise(
    name="min_max_scale",
    task="Map each feature linearly so that its range in X_train becomes [low, high]; return X_new "
    "mapped like that. A feature that is constant in X_train counts as having the range 1.",
    returns=("Z_new",),
    reference=min_max,
    probes=(
        Probe(
            "another interval",
            lambda rng: (X := spread_out(rng, 3, 2), between(rng, X), -2.0, 3.0),
        ),
        Probe(
            "values beyond the training range",
            lambda rng: (X := spread_out(rng, 3, 2), beyond(rng, X), 0.0, 1.0),
        ),
        Probe(
            "a constant feature",
            lambda rng: (X := constant(rng), between(rng, X), 0.0, 1.0),
        ),
        Probe("a narrow feature", lambda rng: (X := narrow(rng), between(rng, X), 0.0, 1.0)),
    ),
    mistakes=(
        Mistake(*LEAK_NEW, partial(min_max, fit=on_new)),
        Mistake(*LEAK_BOTH, partial(min_max, fit=on_both)),
        Mistake(*WHOLE_TABLE, partial(min_max, axis=None)),
        Mistake(*PER_ROW, partial(min_max, fit=on_new, axis=1)),
        Mistake(*INTERVAL_IGNORED, partial(min_max, rescaled=lambda unit, low, high: unit)),
        Mistake(
            *HIGH_FOR_WIDTH, partial(min_max, rescaled=lambda unit, low, high: low + unit * high)
        ),
        Mistake(
            "low not added",
            "You stretch to the right width, but the interval starts at low. Add it.",
            partial(min_max, rescaled=lambda unit, low, high: unit * (high - low)),
        ),
        Mistake(
            "divided by the maximum",
            "You divide by the maximum. Subtract the minimum first, then divide by max - min.",
            min_max_by_maximum,
        ),
        Mistake(
            "minimum not subtracted",
            "You divide by max - min, but the smallest training value must come out as low: "
            "subtract the minimum first.",
            min_max_uncentered,
        ),
        Mistake(*CLIPPED, min_max_clipped),
        Mistake(*NO_GUARD, partial(min_max, guard=unguarded)),
        *(Mistake(*TINY_GUARD, partial(min_max, guard=plus(tiny))) for tiny in TINY),
        Mistake(*WIDE_GUARD, partial(min_max, guard=guarded_below(1))),
        Mistake(*NAN_REPLACED, nan_to_num(partial(min_max, guard=unguarded), np.float32)),
        Mistake(*NAN_REPLACED, nan_to_num(partial(min_max, guard=unguarded), np.float64)),
        Mistake(*CONSTANT_TO_ZERO, min_max_erased),
    ),
    hints=(
        "X_train.min(axis=0) and X_train.max(axis=0) have one entry per feature; X_new must not "
        "enter into them.",
        "First to [0, 1]: (X_new - min) / (max - min). Then stretch by high - low and add low.",
        "scale = max - min, then np.where(scale == 0, 1, scale) takes care of constant features.",
    ),
)


def min_max_back(
    X_train, Z, low, high, *, fit=on_train, axis=0, guard=guarded,
    unit=lambda Z, low, high: (Z - low) / (high - low),
    restore=lambda unit, lowest, width: lowest + unit * width,
):  # fmt: skip
    X = fit(X_train, Z)
    lowest, highest = X.min(axis, keepdims=True), X.max(axis, keepdims=True)
    return restore(unit(Z, low, high), lowest, guard(highest - lowest))


def low_subtracted_last(X_train, Z, low, high):
    return min_max_back(X_train, Z, low, high, unit=lambda Z, low, high: Z / (high - low)) - low


MIN_MAX_INVERSE = Exercise(
    name="min_max_inverse",
    task="Undo min_max_scale: return the data whose scaled values are Z, in the units of X_train.",
    returns=("X",),
    reference=min_max_back,
    probes=(
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
        Probe(
            "a constant feature",
            lambda rng: (constant(rng), between(rng, np.float32([[0, 0], [1, 1]])), 0.0, 1.0),
        ),
        Probe(
            "a narrow feature",
            lambda rng: (narrow(rng), between(rng, np.float32([[0, 0], [1, 1]])), 0.0, 1.0),
        ),
    ),
    mistakes=(
        Mistake(*LEAK_NEW, partial(min_max_back, fit=on_new)),
        Mistake(*WHOLE_TABLE, partial(min_max_back, axis=None)),
        Mistake(*INTERVAL_IGNORED, partial(min_max_back, unit=lambda Z, low, high: Z)),
        Mistake(*HIGH_FOR_WIDTH, partial(min_max_back, unit=lambda Z, low, high: (Z - low) / high)),
        Mistake(
            "low not subtracted",
            "You divide Z by high - low. The interval starts at low: subtract it first.",
            partial(min_max_back, unit=lambda Z, low, high: Z / (high - low)),
        ),
        Mistake(
            "multiplied by high - low",
            "You multiply Z - low by the width of the interval. Scaling multiplied by it: undo "
            "that by dividing.",
            partial(min_max_back, unit=lambda Z, low, high: (Z - low) * (high - low)),
        ),
        Mistake(
            "low subtracted last",
            "You subtract low from the result. It belongs to the scaled values: subtract it from Z "
            "first.",
            low_subtracted_last,
        ),
        Mistake(
            "scaled forward",
            "You scale once more. Undo the steps in reverse order: subtract low, divide by "
            "high - low, multiply by max - min, add min.",
            min_max,
        ),
        Mistake(
            "minimum not added",
            "Your result starts at 0. The last step adds the minimum of the training data.",
            partial(min_max_back, restore=lambda unit, lowest, width: unit * width),
        ),
        Mistake(
            "range not restored",
            "You add the minimum, but the spread is still that of [0, 1]: multiply by max - min.",
            partial(min_max_back, restore=lambda unit, lowest, width: lowest + unit),
        ),
        Mistake(
            "maximum where max - min belongs",
            "You multiply by the maximum. The range is max - min.",
            partial(
                min_max_back,
                restore=lambda unit, lowest, width: lowest + unit * (lowest + width),
            ),
        ),
        Mistake(*CLIPPED, lambda X, Z, low, high: min_max_back(X, Z.clip(low, high), low, high)),
        Mistake(
            "constant feature collapsed",
            "Where a feature is constant, you multiply by its range, 0, and what Z says is lost. "
            "The scaling counted that range as 1; the inverse must, too.",
            partial(min_max_back, guard=unguarded),
        ),
        Mistake(*WIDE_GUARD, partial(min_max_back, guard=guarded_below(1))),
    ),
    hints=(
        "Write down the steps of min_max_scale and undo the last one first.",
        "The inverse uses the same statistics: min and max of X_train, nothing of Z.",
        "(Z - low) / (high - low) * scale + min, with the same scale as in min_max_scale.",
    ),
)


def standard(
    X_train, X_new, *, fit=on_train, axis=0, guard=guarded, mean=np.mean, var=np.var, root=np.sqrt
):
    X = fit(X_train, X_new)
    return (X_new - mean(X, axis, keepdims=True)) / guard(root(var(X, axis, keepdims=True)))


def standard_erased(X_train, X_new):
    return np.where(X_train.std(0) == 0, 0, standard(X_train, X_new))


def standard_around_new_mean(X_train, X_new):
    return standard(X_train, X_new - X_new.mean(0) + X_train.mean(0))


STANDARD_SCALE = Exercise(
    name="standard_scale",
    task="Shift and scale each feature so that X_train would get mean 0 and standard deviation 1 "
    "(divided by n); return X_new treated like that. A constant feature counts as having the "
    "standard deviation 1.",
    returns=("Z_new",),
    reference=standard,
    probes=(
        Probe("a narrow feature", lambda rng: (X := narrow(rng), between(rng, X) + 0.5)),
        Probe(
            "constant features",
            lambda rng: (
                np.tile(np.float32([3, -2]), (4, 1)),
                weights(rng, (2, 2)) + np.float32([3, -2]),
            ),
        ),
        Probe(
            FAR,
            lambda rng: (
                spread_out(rng, 5, 2, mean=1e4),
                spread_out(rng, 2, 2, mean=1e4),
            ),
            tolerance=5e-3,
        ),
    ),
    mistakes=(
        Mistake(*LEAK_NEW, partial(standard, fit=on_new)),
        Mistake(*LEAK_BOTH, partial(standard, fit=on_both)),
        Mistake(*WHOLE_TABLE, partial(standard, axis=None)),
        Mistake(*PER_ROW, partial(standard, fit=on_new, axis=1), noisy=(FAR,)),
        Mistake(
            "divided by n - 1",
            "Your standard deviation divides by n - 1, as pandas does. The task divides by n: "
            "X_train.std(axis=0) in NumPy.",
            partial(standard, var=partial(np.var, ddof=1)),
        ),
        Mistake(
            "divided by the variance",
            "You divide by σ². Divide by its square root, so that the result has no unit.",
            partial(standard, root=lambda var: var),
        ),
        Mistake(
            "mean not subtracted",
            "You divide X_new itself. Subtract the mean of X_train first.",
            partial(standard, mean=lambda X, axis, keepdims: 0.0),
        ),
        Mistake(
            "mean of the new data",
            "You subtract the mean of X_new. Mean and standard deviation both come from X_train.",
            standard_around_new_mean,
        ),
        Mistake(
            "only the mean subtracted",
            "The features keep their spread. Divide by the standard deviation of X_train.",
            partial(standard, root=np.ones_like),
        ),
        Mistake(
            "mean of squares as the variance",
            "Your variance is mean(X²). Subtract the mean before squaring.",
            partial(standard, var=mean_square),
        ),
        Mistake(
            "scaled by the range",
            "You divide by max - min. Standardizing divides by the standard deviation.",
            partial(standard, var=np.ptp, root=lambda width: width),
        ),
        Mistake(*NO_GUARD, partial(standard, guard=unguarded)),
        *(Mistake(*TINY_GUARD, partial(standard, guard=plus(tiny))) for tiny in TINY),
        Mistake(*TINY_GUARD, partial(standard, root=lambda var: np.sqrt(var + 1e-5))),
        *(Mistake(*WIDE_GUARD, partial(standard, guard=guarded_below(least))) for least in WIDE),
        Mistake(*NAN_REPLACED, nan_to_num(partial(standard, guard=unguarded), np.float32)),
        Mistake(*NAN_REPLACED, nan_to_num(partial(standard, guard=unguarded), np.float64)),
        Mistake(*CONSTANT_TO_ZERO, standard_erased),
        Mistake(
            "cancellation",
            "Right everywhere but far from zero: there E[x²] - E[x]² subtracts two nearly equal "
            "numbers, and float32 has no digits left. Subtract the mean first, then square.",
            partial(standard, var=naive_variance),
            noisy=(FAR,),
        ),
    ),
    hints=(
        "Mean and standard deviation have one entry per feature (axis=0) and come from X_train.",
        "X_train.std(axis=0) divides by n. What if it is 0?",
        "(X_new - mean) / np.where(std == 0, 1, std)",
    ),
)


def merge(
    a, b, *,
    mean=lambda q: q.mean_a + q.delta * q.n_b / q.n,
    within=lambda q: (q.n_a * q.var_a + q.n_b * q.var_b) / q.n,
    across=lambda q: q.delta**2 * q.n_a * q.n_b / q.n**2,
):  # fmt: skip
    """The variance of both: that within the chunks plus that between their means."""
    (n_a, mean_a, var_a), (n_b, mean_b, var_b) = a, b
    q = SimpleNamespace(
        n_a=n_a, mean_a=mean_a, var_a=var_a, n_b=n_b, mean_b=mean_b, var_b=var_b,
        n=n_a + n_b, delta=mean_b - mean_a,
    )  # fmt: skip
    return q.n, mean(q), within(q) + across(q)


def merge_naively(a, b):
    """By E[x²] - E[x]², in the precision of the probes."""
    (n_a, mean_a, var_a), (n_b, mean_b, var_b) = a, b
    mean_a, mean_b = mean_a.astype(np.float32), mean_b.astype(np.float32)
    n, mean, _ = merge(a, b)
    square = (n_a * (var_a + mean_a**2) + n_b * (var_b + mean_b**2)) / n
    return n, mean, square.astype(np.float32) - mean.astype(np.float32) ** 2


def merged_into(results):
    return lambda a, b: results(*merge(a, b))


def chunk(rng, n, mean=0.0):
    return n, weights(rng, 2) + np.float32(mean), variances(rng, 2)


MERGE_STATISTICS = Exercise(
    name="merge_statistics",
    task="a and b are (n, mean, variance) of two chunks of data, the variance divided by n. Return "
    "the same for both chunks together, without seeing the data.",
    returns=("n", "mean", "variance"),
    reference=merge,
    probes=(
        Probe("chunks of different size", lambda rng: (chunk(rng, 3), chunk(rng, 5))),
        Probe(FAR, lambda rng: (chunk(rng, 7, mean=1e4), chunk(rng, 2, mean=1e4)), tolerance=5e-3),
    ),
    mistakes=(
        Mistake(
            "plain average of the means",
            "You average the two means. The larger chunk counts more: weigh by n.",
            partial(merge, mean=lambda q: (q.mean_a + q.mean_b) / 2),
        ),
        Mistake(
            "plain averages",
            "You average the means and the variances. The larger chunk counts more: weigh by n.",
            partial(
                merge,
                mean=lambda q: (q.mean_a + q.mean_b) / 2,
                within=lambda q: (q.var_a + q.var_b) / 2,
                across=lambda q: 0,
            ),
        ),
        Mistake(
            "plain average of the variances",
            "Within the chunks, the larger one counts more: weigh the variances by n.",
            partial(merge, within=lambda q: (q.var_a + q.var_b) / 2),
        ),
        Mistake(
            "weights exchanged",
            "You weigh each chunk by the size of the other. In the mean, b counts n_b/n.",
            partial(
                merge,
                mean=lambda q: q.mean_a + q.delta * q.n_a / q.n,
                within=lambda q: (q.n_b * q.var_a + q.n_a * q.var_b) / q.n,
            ),
        ),
        Mistake(
            "distance between the means forgotten",
            "You average the variances within the chunks. If the means differ by δ, the data "
            "spread further: add δ² n_a n_b / n².",
            partial(merge, across=lambda q: 0),
        ),
        Mistake(
            "distance between the means not squared",
            "The term for the distance δ of the means has δ². Without the square it would have the "
            "wrong unit.",
            partial(merge, across=lambda q: q.delta * q.n_a * q.n_b / q.n**2),
        ),
        Mistake(
            "distance between the means not divided by n",
            "δ² n_a n_b / n belongs to the sum of squares. For the variance divide by n once more.",
            partial(merge, across=lambda q: q.delta**2 * q.n_a * q.n_b / q.n),
        ),
        Mistake(
            "distance between the means with full weight",
            "You add δ². It counts n_a n_b / n² of that, a quarter at most.",
            partial(merge, across=lambda q: q.delta**2),
        ),
        Mistake(
            "sum of squares returned",
            "You return n σ². Divide by n.",
            partial(
                merge,
                within=lambda q: q.n_a * q.var_a + q.n_b * q.var_b,
                across=lambda q: q.delta**2 * q.n_a * q.n_b / q.n,
            ),
        ),
        Mistake(
            "standard deviation returned",
            "You return σ. The third number is the variance, σ².",
            merged_into(lambda n, mean, var: (n, mean, np.sqrt(var))),
        ),
        Mistake(
            "mean and variance exchanged",
            "The results are right, in the wrong order: return n, mean, variance.",
            merged_into(lambda n, mean, var: (n, var, mean)),
        ),
        Mistake(
            "merged variance divided by n - 1",
            "Your variance has the factor n/(n - 1). The variances here are divided by n, before "
            "and after.",
            merged_into(lambda n, mean, var: (n, mean, var * n / (n - 1))),
        ),
        Mistake(
            "merged as unbiased variances",
            "You weigh by n - 1. The variances here are divided by n: weigh by n.",
            partial(
                merge,
                within=lambda q: ((q.n_a - 1) * q.var_a + (q.n_b - 1) * q.var_b) / (q.n - 1),
                across=lambda q: q.delta**2 * q.n_a * q.n_b / (q.n * (q.n - 1)),
            ),
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
        "n = n_a + n_b, and the mean is the average weighted by n_a/n and n_b/n.",
        "The variance has two parts: the weighted average of the variances within the chunks, and "
        "the variance of the two means around the common one.",
        "With δ = mean_b - mean_a the second part is δ² n_a n_b / n².",
    ),
)

EXERCISES = (MIN_MAX_SCALE, MIN_MAX_INVERSE, STANDARD_SCALE, MERGE_STATISTICS)
