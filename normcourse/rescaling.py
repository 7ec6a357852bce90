r"""Rescaling features: min-max scaling and standardization, fitted once and applied to all data.

.. math:: x' = a + (b - a) \frac{x - \min}{\max - \min} \qquad\qquad z = \frac{x - \mu}{\sigma}

Statistics are per column of a table (samples, features). They are in float64 where the library
has it, and constants: no gradient flows into them.
"""

from sys import float_info
from typing import Any

from normcourse.checks import check_array, check_shape
from normcourse.core import Array, mean_and_variance, narrow, widen

__all__ = [
    "merge_statistics",
    "min_max_inverse",
    "min_max_line",
    "min_max_scale",
    "min_max_statistics",
    "rescale",
    "rescale_inverse",
    "standard_inverse",
    "standard_line",
    "standard_scale",
    "standard_statistics",
    "unit_of",
]

Statistics = tuple[Any, Any, Any]
LARGEST = {"float16": 65504.0, "bfloat16": 2.0**128 - 2.0**120, "float32": 2.0**128 - 2.0**104}


# ---- one form for both: an origin, a unit, and where the origin goes -------------------------


def rescale(X: Array, origin: Any, unit: Any, low: Any = 0.0) -> Array:
    """How many units each value lies from the origin, counted from ``low``."""
    return narrow((X - origin) / unit + low, X)


def rescale_inverse(Z: Array, origin: Any, unit: Any, low: Any = 0.0) -> Array:
    """Back in the units of the data; exact up to rounding."""
    return narrow((Z - low) * unit + origin, Z)


def unit_of(spread: Array, size: Array) -> Array:
    """The spread of features of this size, or 1 where rounding alone can make it.

    Equal numbers have a spread of exactly 0. But what should be equal is often computed in
    different ways: 0.1 and 1.1 - 1 differ by 4 eps. That is rounding in the data, so it does not
    grow with their number, and neither may the bound: in float32 n eps soon exceeds a real spread.
    """
    eps = 2.0**-52 if spread.dtype.itemsize == 8 else 2.0**-23
    constant = spread <= 4 * eps * size
    return spread * ~constant + constant


# ---- min-max scaling -------------------------------------------------------------------------


def min_max_statistics(X: Array) -> tuple[Array, Array]:
    """The smallest and the largest value of each feature.

    Args:
        X: (samples, features), floating point, at least one row.

    Returns:
        (minimum, maximum), each (features,); NaN for a feature with a NaN.

    Raises:
        TypeError: ``X`` is no floating-point array.
        ValueError: ``X`` is no table, or has no rows.
    """
    _check_rows(X)
    X = _constant(X)
    # Along an axis, torch returns (values, indices).
    minimum, maximum = (getattr(extreme, "values", extreme) for extreme in (X.min(0), X.max(0)))
    return minimum, maximum


def min_max_scale(
    X: Array, minimum: Array, maximum: Array, feature_range: tuple[float, float] = (0, 1)
) -> Array:
    r"""Map the range of each feature linearly onto ``feature_range``.

    .. math:: x' = a + (b - a) \frac{x - \min}{\max - \min}

    Other values than those of the statistics may leave it. A constant feature has the unit 1, as
    in :func:`standard_scale`; here it is one whose range is at most 4 eps times
    :math:`|\min| + |\max|`.

    Args:
        X: (samples, features), floating point.
        minimum, maximum: (features,), of the training data: :func:`min_max_statistics`.
        feature_range: (a, b), where the training range goes.

    Returns:
        Array with the shape and dtype of ``X``; NaN stays NaN.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: ``X`` is no table, a statistic is not one per feature, or ``feature_range`` is
            empty or wider than the dtype.

    Source: scikit-learn's ``minmax_scale``, here with given statistics.
    """
    _check_table("X", X, minimum=minimum, maximum=maximum)
    return rescale(X, *min_max_line(X, minimum, maximum, feature_range))


def min_max_inverse(
    Z: Array, minimum: Array, maximum: Array, feature_range: tuple[float, float] = (0, 1)
) -> Array:
    r"""The data that :func:`min_max_scale` mapped to ``Z``.

    .. math:: x = \min + (\max - \min) \frac{x' - a}{b - a}

    Args:
        Z: (samples, features), floating point.
        minimum, maximum, feature_range: as they were given to :func:`min_max_scale`.

    Returns:
        Array with the shape and dtype of ``Z``; exact up to rounding.

    Raises:
        TypeError, ValueError: as :func:`min_max_scale`.
    """
    _check_table("Z", Z, minimum=minimum, maximum=maximum)
    return rescale_inverse(Z, *min_max_line(Z, minimum, maximum, feature_range))


def min_max_line(
    X: Array, minimum: Array, maximum: Array, feature_range: tuple[float, float]
) -> tuple[Array, Array, Array]:
    """(origin, unit, low) for :func:`rescale`; raise for a range that does not fit into ``X``."""
    minimum, maximum = widen(minimum), widen(maximum)
    low, high = _check_range(feature_range, X, minimum)
    unit = unit_of(maximum - minimum, abs(minimum) + abs(maximum)) / (high - low)
    # An array: a number would take the dtype of X, in which X - low is rounded or infinite.
    return minimum, unit, minimum * 0 + low


# ---- standardization -------------------------------------------------------------------------


def standard_statistics(X: Array, weights: Array | None = None) -> Statistics:
    r"""Count, mean and biased variance of each feature.

    .. math:: n = \sum_i w_i \qquad \mu = \frac1n \sum_i w_i x_i \qquad
              \sigma^2 = \frac1n \sum_i w_i (x_i - \mu)^2

    Args:
        X: (samples, features), floating point, at least one row.
        weights: (samples, 1), (samples, features), or None for 1: how often each row or number
            counts. A missing value has weight 0, and any finite number in its place.

    Returns:
        (n, mean, variance), mean and variance (features,). n is the number of rows, or the sum of
        the weights along them. Where that is 0, mean and variance are 0, too.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: ``X`` is no table or has no rows, or ``weights`` has another shape.

    Source: Chan, Golub & LeVeque 1983, the corrected two-pass algorithm, on shifted data.
    """
    _check_rows(X)
    X, shape = _constant(X), tuple(X.shape)
    # Any origin near the data will do. With one of them, equal numbers become 0 and stay equal.
    origin = X[:1]
    if weights is None:
        mean, var = mean_and_variance(X - origin, 0)
        return shape[0], (origin + mean)[0], var[0]
    check_array("weights", weights, X, "X")
    if tuple(weights.shape) not in ((shape[0], 1), shape):
        raise ValueError(
            f"weights must have shape {(shape[0], 1)}, one per row of X, or {shape}, one per "
            f"number; got {tuple(weights.shape)}."
        )
    weights = _constant(weights)
    n = weights.sum(0)
    share = weights / (n + (n == 0))
    for _ in range(2):  # once from there, and once for what was rounded on the way
        origin = origin + (share * (X - origin)).sum(0)
    centered = X - origin
    return n, origin[0] * (n != 0), (share * centered * centered).sum(0)


def merge_statistics(a: Statistics, b: Statistics) -> Statistics:
    r"""Count, mean and variance of two data sets together.

    .. math::
        \delta = \mu_b - \mu_a \qquad \mu = \mu_a + \delta \frac{n_b}{n} \qquad
        n \sigma^2 = n_a \sigma_a^2 + n_b \sigma_b^2
        + \delta^2 \frac{n_a n_b}{n}

    Args:
        a, b: (n, mean, biased variance) of each, numbers or arrays. No data are (0, 0, 0).

    Returns:
        (n, mean, biased variance) of both together.

    Raises:
        ValueError: ``a`` or ``b`` does not hold three statistics.

    Source: Chan, Golub & LeVeque 1983; with n_b = 1, Welford 1962.
    """
    (n_a, mean_a, var_a), (n_b, mean_b, var_b) = a, b
    n, delta = n_a + n_b, mean_b - mean_a
    total = n + (n == 0)  # no data in either: the shares are 0
    share_a, share_b = n_a / total, n_b / total
    within = share_a * var_a + share_b * var_b
    between = share_a * share_b * delta**2
    return n, mean_a + share_b * delta, within + between


def standard_scale(X: Array, mean: Array, var: Array) -> Array:
    r"""Subtract the mean of each feature and divide by its standard deviation.

    .. math:: z = \frac{x - \mu}{\sigma}

    A constant feature has the unit 1: one whose standard deviation is at most 4 eps times its
    mean, eps being that of the statistics. (scikit-learn's bound, n times eps, grows with the
    number of rows and in the end takes a real spread for rounding.)

    Args:
        X: (samples, features), floating point.
        mean, var: (features,), of the training data: :func:`standard_statistics`.

    Returns:
        Array with the shape and dtype of ``X``; NaN stays NaN.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: ``X`` is no table, or a statistic is not one per feature.

    Source: scikit-learn's ``scale``, here with given statistics.
    """
    _check_table("X", X, mean=mean, var=var)
    return rescale(X, *standard_line(mean, var))


def standard_inverse(Z: Array, mean: Array, var: Array) -> Array:
    r"""The data that :func:`standard_scale` mapped to ``Z``.

    .. math:: x = \mu + \sigma z

    Args:
        Z: (samples, features), floating point.
        mean, var: as they were given to :func:`standard_scale`.

    Returns:
        Array with the shape and dtype of ``Z``; exact up to rounding.

    Raises:
        TypeError, ValueError: as :func:`standard_scale`.
    """
    _check_table("Z", Z, mean=mean, var=var)
    return rescale_inverse(Z, *standard_line(mean, var))


def standard_line(mean: Array, var: Array) -> tuple[Array, Array]:
    """(origin, unit) for :func:`rescale`."""
    mean = widen(mean)
    return mean, unit_of(widen(var) ** 0.5, abs(mean))


# ---- checks ----------------------------------------------------------------------------------


def _constant(X: Array) -> Array:
    """In float64 where the library has it; whatever is computed from it, no gradient flows back."""
    return X.astype(float) if hasattr(X, "astype") else X.detach().double()


def _check_table(name: str, X: Any, **statistics: Any) -> None:
    check_array(name, X)
    if X.ndim != 2:
        raise ValueError(
            f"{name} must be a table (samples, features), got shape {tuple(X.shape)}. For a single "
            f"feature use {name}.reshape(-1, 1), for a single sample {name}.reshape(1, -1)."
        )
    for key, value in statistics.items():
        check_shape(key, value, (X.shape[1],), X, "one per feature", optional=False, of=name)


def _check_rows(X: Any) -> None:
    _check_table("X", X)
    if X.shape[0] == 0:
        raise ValueError(f"X must have at least one row, got shape {tuple(X.shape)}.")


def _check_range(feature_range: Any, X: Any, statistic: Any) -> tuple[float, float]:
    ends = tuple(float(end) for end in feature_range)
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise ValueError(f"feature_range must be (low, high) with low < high, got {feature_range}.")
    low, high = ends
    for value, x, of in ((low, X, "X"), (high, X, "X"), (high - low, statistic, "the statistics")):
        largest = LARGEST.get(str(x.dtype).rpartition(".")[2], float_info.max)
        if abs(value) > largest:
            instead = ", or convert X to float64 first" if largest < float_info.max else ""
            raise ValueError(
                f"feature_range={tuple(feature_range)} does not fit into {x.dtype}, the dtype of "
                f"{of}. Choose a smaller one{instead}."
            )
    return low, high
