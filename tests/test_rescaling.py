"""Rescaling: against exact formulas, its own inverse and its chunks, on three libraries."""

from fractions import Fraction

import jax
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import preprocessing
from techniques import LIBRARIES

from normcourse import (
    merge_statistics,
    min_max_inverse,
    min_max_scale,
    min_max_statistics,
    standard_inverse,
    standard_scale,
    standard_statistics,
)
from normcourse.rescaling import standard_line

DTYPES = ("float16", "float32", "float64")
PAIRS = [
    (name, dtype) for name in LIBRARIES for dtype in DTYPES if (name, dtype[5:]) != ("jax", "64")
]
each_pair = pytest.mark.parametrize(("library", "dtype"), PAIRS)
each_library = pytest.mark.parametrize("library", LIBRARIES)

tables = st.tuples(st.integers(1, 30), st.integers(1, 4)).flatmap(
    lambda shape: arrays(float, shape, elements=st.floats(-1e6, 1e6).map(lambda v: round(v, 3)))
)


def near(offset, dtype="float64", shape=(200, 3)):
    rng = np.random.default_rng(int(offset) % 97)
    return (rng.normal(size=shape) * rng.uniform(0.5, 40, shape[1]) + offset).astype(dtype)


def min_max(X, *feature_range):
    return min_max_scale(X, *min_max_statistics(X), *feature_range)


def standardized(X):
    _, mean, var = standard_statistics(X)
    return standard_scale(X, mean, var)


def in_chunks(X, rows, weights=None):
    """Statistics, merged from chunk to chunk."""
    merged = 0, 0.0, 0.0
    for i in range(0, X.shape[0], rows):
        some = None if weights is None else weights[i : i + rows]
        merged = merge_statistics(merged, standard_statistics(X[i : i + rows], some))
    return merged


def exact_statistics(X, weights):
    """(n, mean, variance) of one feature, in fractions."""
    x, w = [Fraction(float(v)) for v in X], [Fraction(float(v)) for v in weights]
    n = sum(w)
    mean = sum(a * b for a, b in zip(w, x, strict=True)) / n
    var = sum(a * (b - mean) ** 2 for a, b in zip(w, x, strict=True)) / n
    return float(n), float(mean), float(var)


# ---- the formulas ----------------------------------------------------------------------------


def tolerance(library, dtype):
    return float(np.finfo("float32" if library == "jax" and dtype == "float64" else dtype).eps)


@each_pair
@pytest.mark.parametrize("seed", range(5))
def test_scales_by_the_formula_and_back(library, dtype, seed):
    """Statistics are those of other data, so that none of them can be taken from X."""
    rng, array = np.random.default_rng(seed), LIBRARIES[library]
    X = rng.normal(2, 3, (7, 4)).astype(dtype)
    low, width, origin = rng.uniform(-3, 3), rng.uniform(0.5, 4), rng.normal(size=4)
    unit = rng.uniform(0.5, 5, 4)
    statistics = "float32" if library == "jax" else "float64"
    origin, unit = origin.astype(statistics), unit.astype(statistics)
    x, o, u = (a.astype(np.longdouble) for a in (X, origin, unit))
    ends = (low, low + width)
    o_array, far, var = array(origin), array(origin + unit), array(unit * unit)
    eps = float(np.finfo(dtype).eps)
    for result, expected in (
        (min_max_scale(array(X), o_array, far, ends), low + (x - o) / u * width),
        (min_max_inverse(array(X), o_array, far, ends), o + (x - low) / width * u),
        (standard_scale(array(X), o_array, var), (x - o) / u),
        (standard_inverse(array(X), o_array, var), o + x * u),
    ):
        assert type(result) is type(array(X))
        assert result.dtype == array(X).dtype
        atol = 8 * max(eps, np.finfo(statistics).eps) * abs(expected).max()
        np.testing.assert_allclose(np.asarray(result, float), expected.astype(float), atol=atol)


@pytest.mark.parametrize("seed", range(20))
@each_library
def test_statistics_are_exact_up_to_rounding(library, seed):
    rng, array = np.random.default_rng(seed), LIBRARIES[library]
    dtype = "float32" if library == "jax" else "float64"
    X = (rng.normal(size=(rng.integers(1, 30), 2)) * 3 + rng.choice([0, 1e4])).astype(dtype)
    weights = rng.choice([0, 0.5, 1, 3.7], X.shape)
    weights[rng.integers(len(X))] = 1
    rtol = 1e-5 if library == "jax" else 1e-12
    for given_weights, full in (
        (None, np.ones(X.shape)),
        (weights[:, :1], weights[:, :1] * [1, 1]),
        (weights, weights),
    ):
        some = None if given_weights is None else array(given_weights.astype(dtype))
        n, mean, var = standard_statistics(array(X), some)
        for j in range(2):
            expected = exact_statistics(X[:, j], full[:, j].astype(dtype))
            got = [float(np.broadcast_to(np.asarray(s), 2)[j]) for s in (n, mean, var)]
            largest = np.abs(X).max()
            np.testing.assert_allclose(got[:2], expected[:2], rtol / 10, rtol / 10 * largest)
            np.testing.assert_allclose(got[2], expected[2], rtol=rtol, atol=rtol**2)
    minimum, maximum = min_max_statistics(array(X))
    np.testing.assert_array_equal(np.asarray(minimum), X.min(0))
    np.testing.assert_array_equal(np.asarray(maximum), X.max(0))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_statistics_are_in_float64_where_the_library_has_it(library, dtype):
    X = LIBRARIES[library](near(3, dtype))
    n, mean, var = standard_statistics(X)
    assert n == 200
    for statistic in (mean, var, *min_max_statistics(X), *standard_statistics(X, abs(X))):
        assert "float64" in str(statistic.dtype)
    for result in (standardized(X), min_max(X)):
        assert result.dtype == X.dtype


@each_pair
def test_libraries_agree(library, dtype):
    X, new, array = near(10, dtype), near(20, dtype), LIBRARIES[library]
    eps = np.finfo("float32" if library == "jax" and dtype == "float64" else dtype).eps
    for statistics, scale, inverse, more in (
        (min_max_statistics, min_max_scale, min_max_inverse, [(-3, 5)]),
        (lambda X: standard_statistics(X)[1:], standard_scale, standard_inverse, []),
    ):
        y = scale(array(new), *statistics(array(X)), *more)
        back = inverse(y, *statistics(array(X)), *more)
        expected = scale(new, *statistics(X), *more)
        for got, right in ((y, expected), (back, inverse(expected, *statistics(X), *more))):
            atol = 8 * eps * np.abs(right.astype(float)).max()
            np.testing.assert_allclose(np.asarray(got, float), right.astype(float), atol=atol)


@pytest.mark.parametrize(
    "X", [near(1e4, "float32"), near(1e4), near(1e8, "float32"), near(1e8)], ids=str
)
def test_never_further_from_the_truth_than_scikit_learn(X):
    truth = X.astype(np.longdouble)
    z = (truth - truth.mean(0)) / truth.std(0)
    xs = (truth - truth.min(0)) / np.ptp(truth, axis=0)
    for scale, name, expected in (
        (standardized, "StandardScaler", z),
        (min_max, "MinMaxScaler", xs),
    ):
        theirs = getattr(preprocessing, name)().fit_transform(X)
        error, allowed = (np.abs(y - expected).max() for y in (scale(X), theirs))
        assert error <= allowed + 4 * np.finfo(X.dtype).eps


# ---- properties ------------------------------------------------------------------------------


@given(tables, st.floats(-2, 2), st.floats(0.1, 3))
def test_inverses_give_the_data_back(X, low, width):
    ends = low, low + width
    minimum, maximum = min_max_statistics(X)
    _, mean, var = standard_statistics(X)
    y = min_max_scale(X, minimum, maximum, ends)
    z = standard_scale(X, mean, var)
    for back in (min_max_inverse(y, minimum, maximum, ends), standard_inverse(z, mean, var)):
        np.testing.assert_allclose(back, X, rtol=1e-12, atol=1e-13 * np.abs(X).max())


@given(tables)
def test_min_max_training_data_stay_in_the_interval(X):
    y = min_max(X)
    assert y.min() == 0
    assert y.max() <= 1
    varies = np.ptp(X, axis=0) > 0
    np.testing.assert_array_equal(y.max(0)[varies], 1)
    np.testing.assert_array_equal(y[:, ~varies], 0)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(-2, 2), st.floats(0.1, 3))
def test_the_feature_range_is_reached(seed, low, width):
    y = min_max(np.random.default_rng(seed).normal(size=(20, 3)), (low, low + width))
    np.testing.assert_allclose(y.min(0), low, atol=1e-12)
    np.testing.assert_allclose(y.max(0), low + width, atol=1e-12)


@given(tables)
def test_standardized_has_mean_0_and_variance_1_or_is_0(X):
    z = standardized(X)
    assume(((X.std(0) == 0) | (X.std(0) > 1e-6 * np.abs(X).max(0))).all())
    constant = np.ptp(X, axis=0) == 0
    np.testing.assert_array_equal(z[:, constant], 0)
    np.testing.assert_allclose(z[:, ~constant].mean(0), 0, atol=1e-8)
    np.testing.assert_allclose(z[:, ~constant].var(0), 1, atol=1e-8)


def test_new_data_leave_the_interval():
    ends = np.array([0.0]), np.array([2.0])
    y = min_max_scale(np.array([[-1.0], [1.0], [5.0]]), *ends)
    np.testing.assert_array_equal(y, [[-0.5], [0.5], [2.5]])


@each_library
def test_nan_stays_nan_and_infinity_infinite(library):
    X = LIBRARIES[library](np.array([[np.nan, 1, -np.inf], [2, np.nan, np.inf]], "float32"))
    zero, one = (LIBRARIES[library](np.full(3, v, "float32")) for v in (0, 1))
    for y in (min_max_scale(X, zero, one), standard_scale(X, zero, one)):
        np.testing.assert_array_equal(np.asarray(y), np.asarray(X))
    for statistic in (*min_max_statistics(X[:, :2]), *standard_statistics(X[:, :2])[1:]):
        assert np.isnan(np.asarray(statistic)).all()


def test_denormal_features():
    X = np.array([[0.0], [5e-324], [1e-310]])
    np.testing.assert_allclose(min_max(X), X / 1e-310, atol=1e-12)
    np.testing.assert_allclose(standardized(X), 0, atol=1e-300)


@each_library
def test_the_gradient_is_divided_by_the_unit_and_never_enters_the_statistics(library):
    X, dy = near(2, "float32"), near(0, "float32")
    array = LIBRARIES[library]
    _, mean, var = standard_statistics(array(X))
    minimum, maximum = min_max_statistics(array(X))
    functions = {
        standard_scale: (array(1 / X.std(0)), mean, var),
        standard_inverse: (array(X.std(0)), mean, var),
        min_max_scale: (array(2 / np.ptp(X, axis=0)), minimum, maximum, (-1, 1)),
        min_max_inverse: (array(np.ptp(X, axis=0) / 2), minimum, maximum, (-1, 1)),
    }
    for function, (slope, *fitted) in functions.items():
        if library == "torch":
            x = array(X).requires_grad_()
            function(x, *fitted).backward(array(dy))
            gradient = x.grad
        elif library == "jax":
            _, pull = jax.vjp(lambda x, f=function, s=fitted: f(x, *s), array(X))
            (gradient,) = pull(array(dy))
        else:
            step = 2.0**-6
            wide = X.astype(float)
            gradient = (function(wide + step, *fitted) - function(wide, *fitted)) / step * dy
        np.testing.assert_allclose(gradient, np.asarray(slope) * dy, rtol=1e-4)


def test_torch_statistics_are_constants():
    X = torch.tensor(near(2), requires_grad=True)
    weights = torch.ones(X.shape, dtype=X.dtype, requires_grad=True)
    both = *standard_statistics(X)[1:], *standard_statistics(X, weights), *min_max_statistics(X)
    assert not any(statistic.requires_grad for statistic in both)


# ---- chunks, weights, missing values ---------------------------------------------------------


@given(tables, st.integers(0, 2**32))
def test_chunks_give_the_statistics_of_the_whole(X, seed):
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(len(X), rng.integers(len(X)), replace=False))
    merged = 0, 0.0, 0.0
    for chunk in np.split(X, cuts):
        if len(chunk):
            merged = merge_statistics(merged, standard_statistics(chunk))
    n, mean, var = standard_statistics(X)
    assert merged[0] == n == len(X)
    largest = np.abs(X).max()
    np.testing.assert_allclose(merged[1], mean, rtol=1e-13, atol=1e-13 * largest)
    np.testing.assert_allclose(merged[2], var, rtol=1e-10, atol=(1e-13 * largest) ** 2)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize("offset", [1e4, 1e8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_chunks_do_not_cancel_at_a_large_offset(library, offset, dtype, rows):
    X = near(offset, dtype)
    n, mean, var = in_chunks(LIBRARIES[library](X), rows)
    truth = X.astype(np.longdouble)
    assert n == 200
    np.testing.assert_allclose(mean, truth.mean(0).astype(float), rtol=1e-14)
    np.testing.assert_allclose(var, truth.var(0).astype(float), rtol=1e-7)


@given(
    st.lists(
        arrays(float, st.integers(1, 9), elements=st.floats(-1e3, 1e3)), min_size=3, max_size=3
    )
)
def test_merging_is_associative_and_right(parts):
    a, b, c = ((len(p), p.mean(), p.var()) for p in parts)
    n, mean, var = merge_statistics(merge_statistics(a, b), c)
    whole = np.concatenate(parts)
    right = merge_statistics(a, merge_statistics(b, c))
    for merged in ((n, mean, var), right):
        assert merged[0] == len(whole)
        np.testing.assert_allclose(merged[1:], (whole.mean(), whole.var()), rtol=1e-9, atol=1e-9)
    assert var >= 0


@each_library
def test_merging_counts_each_feature_by_itself(library):
    """In the first feature one side has no data, in the second the other, in the third neither."""
    array = LIBRARIES[library]
    a = [array(np.array(v, "float32")) for v in ([0, 3, 0, 2], [0, 5.3, 0, 1], [0, 0.7, 0, 3])]
    b = [array(np.array(v, "float32")) for v in ([4, 0, 0, 6], [0.1, 0, 0, 5], [0.2, 0, 0, 1])]
    for x, y in ((a, b), (b, a)):
        n, mean, var = (np.asarray(s) for s in merge_statistics(x, y))
        np.testing.assert_array_equal(n, [4, 3, 0, 8])
        np.testing.assert_array_equal(mean, np.array([0.1, 5.3, 0, 4], "float32"))
        np.testing.assert_array_equal(var, np.array([0.2, 0.7, 0, 4.5], "float32"))
    assert merge_statistics((0, 0.0, 0.0), (0, 0.0, 0.0)) == (0, 0, 0)
    assert merge_statistics((0, 0.0, 0.0), (5, 0.1, 0.3)) == (5, 0.1, 0.3)
    assert merge_statistics((5, 0.1, 0.3), (0, 0.0, 0.0)) == (5, 0.1, 0.3)


@given(tables, st.integers(0, 2**32), st.sampled_from([0, 1e4, -1e7]))
def test_weights_count_rows_and_missing_values_count_none(X, seed, offset):
    X, rng = X / 1e3 + offset, np.random.default_rng(seed)
    weights = rng.integers(0, 4, X.shape)
    n, mean, var = standard_statistics(X, weights.astype(float))
    other = np.where(weights > 0, X, 7e4)  # what stands there does not matter
    scaled = standard_statistics(other, weights * 0.3)
    for j in range(X.shape[1]):
        repeated = np.repeat(X[:, j], weights[:, j])
        assert n[j] == len(repeated)
        if not len(repeated):
            assert mean[j] == var[j] == scaled[1][j] == scaled[2][j] == 0
            continue
        _, exact_mean, exact_var = exact_statistics(X[:, j], weights[:, j])
        for m, v in ((mean[j], var[j]), (scaled[1][j], scaled[2][j])):
            np.testing.assert_allclose(m, exact_mean, rtol=1e-13, atol=1e-13)
            np.testing.assert_allclose(v, exact_var, rtol=1e-9, atol=(1e-13 * offset) ** 2)


def test_a_missing_value_may_be_marked_by_a_number_whose_square_overflows():
    X = np.array([[1e200], [3.0], [5.0]])
    weights = np.array([[0.0], [1.0], [1.0]])
    for order in ([0, 1, 2], [1, 0, 2]):
        n, mean, var = standard_statistics(X[order], weights[order])
        assert (n, mean, var) == (2, 4, 1)


# ---- constant features -----------------------------------------------------------------------

WAYS = [
    0.1, 0.3 - 0.2, 1 - 0.9, 0.7 - 0.6, 1.1 - 1, 0.2 - 0.1, 1 / 10, 0.1 * 3 - 0.2,
    sum([0.01] * 10), 0.5 * 0.2, 1e-3 * 100, 0.4 - 0.3, 0.01**0.5,
]  # fmt: skip
SIZES = [1, 2, 3, 10, 1000, 10**5, 10**6]
LONG = [(name, dtype) for name, dtype in PAIRS if dtype != "float16"]
each_long = pytest.mark.parametrize(("library", "dtype"), LONG)


def unit(statistics):
    _, mean, var = statistics
    return float(standard_line(mean, var)[1][0])


@each_long
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("value", [0.1, -3e7, 1e-12, 2000.3])
def test_equal_numbers_are_constant(library, dtype, n, value):
    X = np.full((n, 1), value, dtype)
    some = np.ones_like(X)
    some[0] = n == 1
    held = np.where(some, X, 0).astype(dtype)
    array = LIBRARIES[library]
    for statistics in (
        standard_statistics(array(X)),
        in_chunks(array(X), max(1, n // 7)),
        standard_statistics(array(held), array(some)),
    ):
        _, mean, var = statistics
        assert float(mean[0]) == float(X[0, 0])
        assert float(var[0]) == 0
        assert unit(statistics) == 1
        np.testing.assert_array_equal(np.asarray(standard_scale(array(X[:5]), mean, var)), 0)
    np.testing.assert_array_equal(np.asarray(min_max(array(X))), 0)


@pytest.mark.parametrize(
    ("library", "dtype"), [("numpy", "float64"), ("torch", "float64"), ("jax", "float32")]
)
@pytest.mark.parametrize("rows", [1, 30, 100])
@pytest.mark.parametrize("value", [0.1, -3e7, 1e-12])
@pytest.mark.parametrize("n", [7, 100, 10**6])
def test_a_feature_constant_up_to_rounding_is_constant(library, dtype, rows, value, n):
    """Equal numbers, computed in different ways, differ in their last digits: by up to 7 eps.

    The dtype is that of the statistics: in float64, numbers of float32 are taken at their word.
    """
    X = value * (1 + np.finfo(dtype).eps * (np.arange(n) * 97 % 7))
    X = X.astype(dtype)[:, None]
    statistics = in_chunks(LIBRARIES[library](X), rows if n < 1000 else rows * n // 100)
    assert unit(statistics) == 1
    assert len(np.unique(X)) > 3


@pytest.mark.parametrize("rows", [1, 5, 13])
def test_a_tenth_computed_in_different_ways_is_constant(rows):
    X = np.array(WAYS)[:, None]
    assert len(set(WAYS)) > 4
    assert unit(in_chunks(X, rows)) == 1


@each_long
@pytest.mark.parametrize("n", SIZES[2:])
@pytest.mark.parametrize("chunks", [1, 7])
@pytest.mark.parametrize("value", [0.1, -3e7, 1.0])
def test_a_small_but_real_spread_is_kept_however_many_rows_there_are(
    library, dtype, n, chunks, value
):
    """A spread of 16 eps: some 20 to 50 units in the last place."""
    eps = np.finfo("float32" if library == "jax" else dtype).eps
    X = value * (1 + 16 * eps * np.where(np.arange(n) % 2, 1, -1))
    X = X.astype(dtype)[:, None]
    truth = X.astype(np.longdouble).std()
    got = unit(in_chunks(LIBRARIES[library](X), -(-n // chunks)))
    np.testing.assert_allclose(got, float(truth), rtol=0.1)


@each_long
@pytest.mark.parametrize("chunks", [1, 10])
@pytest.mark.parametrize("n", [10**5, 10**6])
def test_many_rows_do_not_make_a_real_spread_constant(library, dtype, n, chunks):
    X = np.random.default_rng(0).normal(2000, 10, (n, 1)).astype(dtype)
    statistics = in_chunks(LIBRARIES[library](X), n // chunks)
    np.testing.assert_allclose(unit(statistics), X.astype(float).std(), rtol=1e-5)
    if dtype == "float64":
        X = 2000 + (X - 2000) * 1e-8  # 200000 units in the last place
        kept = unit(in_chunks(LIBRARIES[library](X), n // chunks))
        np.testing.assert_allclose(kept, X.std(), rtol=1e-5)
        if n == 10**6:  # where scikit-learn takes it for a constant
            assert preprocessing.StandardScaler().fit(X).scale_ == 1


def test_one_float_of_spread_is_what_float32_data_say():
    """Statistics in float64 take numbers at their word, as scikit-learn's do."""
    X = np.float32([[2000], [2000], [2000 + 2.0**-13]])
    assert unit(standard_statistics(X)) == pytest.approx(X.astype(float).std())
    assert preprocessing.StandardScaler().fit(X).scale_ == pytest.approx(X.astype(float).std())


@each_library
def test_units_of_constant_features_are_1(library):
    array = LIBRARIES[library]
    X = array(np.array([[5, 3, 1], [6, 9, 1]], "float32"))
    mean, var = (array(np.array(v, "float32")) for v in ([2, 3, 1], [0, 4, 0]))
    np.testing.assert_array_equal(np.asarray(standard_scale(X, mean, var)), [[3, 0, 0], [4, 3, 0]])
    np.testing.assert_array_equal(np.asarray(standard_inverse(X, mean, var))[1], [8, 21, 2])
    high = array(np.array([2, 5, 1], "float32"))
    y = min_max_scale(X, mean, high, (-1, 1))
    np.testing.assert_array_equal(np.asarray(y), [[5, -1, -1], [7, 5, -1]])
    np.testing.assert_array_equal(
        np.asarray(min_max_inverse(y, mean, high, (-1, 1))), np.asarray(X)
    )


# ---- half precision, and ranges wider than a dtype -------------------------------------------


@each_library
def test_half_precision_is_computed_in_float32(library):
    """Statistics and data in float16; 40000 - (-40000) is no float16."""
    array = LIBRARIES[library]
    X, low, high, mean, var = (
        array(np.float16(v)) for v in ([[-40000], [40000]], [-40000], [40000], [300], [60000])
    )
    y = min_max_scale(X, low, high)
    np.testing.assert_array_equal(np.asarray(y), [[0], [1]])
    np.testing.assert_array_equal(np.asarray(min_max_inverse(y, low, high)), np.asarray(X))
    z = standard_scale(X, mean, var)
    assert z.dtype == y.dtype == X.dtype
    expected = (np.array([[-40000], [40000]]) - 300) / np.sqrt(float(np.float16(60000)))
    np.testing.assert_allclose(np.asarray(z, float), expected, rtol=1e-3)
    far = standard_scale(X, array(np.float16([-60000])), var)
    assert float(far[1, 0]) == pytest.approx(100000 / np.sqrt(60000), rel=1e-3)
    assert float(standard_inverse(far, array(np.float16([-60000])), var)[1, 0]) == 40000
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(1, 4, (1, 200)).astype("float16") for _ in range(2))
    z = standard_scale(array(a), array(a[0] * 0), array(b[0]))
    exact = a / np.sqrt(b.astype(float))  # to which only the rounding of the result is added
    np.testing.assert_allclose(np.asarray(z, float), exact, rtol=2.0**-11 * 1.01)


@each_library
@pytest.mark.parametrize(("dtype", "high"), [("float16", 1e6), ("float32", 1e39)])
def test_a_feature_range_wider_than_the_dtype_is_named(library, dtype, high):
    X = LIBRARIES[library](np.array([[0.0], [1.0]], dtype))
    words = rf"^feature_range=.*{high!r}.* does not fit into .*{dtype}.* of X.*smaller.*float64"
    for ends in ((0, high), (-high, 0), (np.float64(0), np.float64(high))):
        for function in (min_max_scale, min_max_inverse):
            with pytest.raises(ValueError, match=words.replace("+", r"\+")):
                function(X, *min_max_statistics(X), ends)


def test_a_feature_range_wider_than_the_statistics_is_named():
    X = np.eye(2)
    with pytest.raises(ValueError, match=r"does not fit into float64, .* smaller one\.$"):
        min_max(X, (-1.7e308, 1.7e308))
    small = X.astype("float32")
    ends = (-3e38, 3e38)
    np.testing.assert_array_equal(min_max(small, ends), np.float32(ends)[np.eye(2, dtype=int)])
    with pytest.raises(ValueError, match=r"does not fit into float32, the dtype of the statistics"):
        min_max_scale(small, small[0] * 0, small[0] * 0 + 1, ends)
    for library in ("torch", "jax"):
        X = LIBRARIES[library](small)
        if library == "torch":
            X = X.bfloat16()
            assert min_max(X, (-3e38, 3e38)).isfinite().all()
        with pytest.raises(ValueError, match="does not fit into"):
            min_max(X, (0, 3.4e38) if library == "torch" else ends)


@pytest.mark.parametrize(("dtype", "largest"), [("float16", 65504.0), ("float32", None)])
def test_the_largest_number_of_a_dtype_fits_and_the_next_does_not(dtype, largest):
    X, largest = np.eye(2, dtype=dtype), largest or float(np.finfo(dtype).max)
    np.testing.assert_array_equal(min_max(X, (-1, largest)).max(0), largest)
    with pytest.raises(ValueError, match=f"does not fit into {dtype}"):
        min_max(X, (-1, largest * 1.001))


@each_library
def test_the_whole_range_of_a_dtype_is_reached_and_left(library):
    """120000 is no float16, but no result either."""
    X = LIBRARIES[library](np.array([[0], [0.25], [1]], np.float16))
    fitted = min_max_statistics(X)
    y = min_max_scale(X, *fitted, (-60000, 60000))
    np.testing.assert_array_equal(np.asarray(y), [[-60000], [-30000], [60000]])
    back = min_max_inverse(y, *fitted, (-60000, 60000))
    np.testing.assert_array_equal(np.asarray(back), np.asarray(X))


def test_the_lower_end_is_not_rounded_to_the_dtype_of_the_data():
    X = np.float32([[-6e6], [-6e6 + 0.5]])
    ends = (-6e6 - 0.1, 6e6)
    back = min_max_inverse(X, np.array([0.0]), np.array([ends[1] - ends[0]]), ends)
    np.testing.assert_allclose(back, [[0.1], [0.6]], rtol=1e-6)


# ---- errors that teach -----------------------------------------------------------------------

ONE = np.ones(2)
FUNCTIONS = {
    "min_max_statistics": (min_max_statistics, "X", ()),
    "standard_statistics": (standard_statistics, "X", ()),
    "min_max_scale": (min_max_scale, "X", (0 * ONE, ONE)),
    "min_max_inverse": (min_max_inverse, "Z", (0 * ONE, ONE)),
    "standard_scale": (standard_scale, "X", (0 * ONE, ONE)),
    "standard_inverse": (standard_inverse, "Z", (0 * ONE, ONE)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (np.ones(3), ValueError, r"^{} must be a table .* shape \(3,\).*{}\.reshape"),
        (np.ones((2, 2, 2)), ValueError, r"^{} must be a table"),
        ([[1.0, 2.0]], TypeError, r"^{} must be an array or tensor, got list"),
        (np.ones((2, 2), int), TypeError, r"^{} must be real floating point, got dtype int64"),
        (np.ones((2, 2), complex), TypeError, r"^{} must be real floating point, got dtype compl"),
    ],
)
def test_wrong_tables_are_named(name, X, error, words):
    function, argument, statistics = FUNCTIONS[name]
    with pytest.raises(error, match=words.replace("{}", argument)):
        function(X, *statistics)


@pytest.mark.parametrize("function", [min_max_statistics, standard_statistics])
def test_a_table_without_rows_has_no_statistics(function):
    with pytest.raises(ValueError, match=r"^X must have at least one row, got shape \(0, 2\)"):
        function(np.ones((0, 2)))


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if "statistics" not in name])
@pytest.mark.parametrize("which", [0, 1])
def test_wrong_statistics_are_named(name, which):
    function, argument, statistics = FUNCTIONS[name]
    named = (("mean", "var") if "standard" in name else ("minimum", "maximum"))[which]
    for wrong, error, words in (
        (np.ones(3), ValueError, rf"must have shape \(2,\), one per feature of {argument} with"),
        (np.ones((1, 2)), ValueError, r"must have shape \(2,\), .*; got \(1, 2\)"),
        (1.0, TypeError, "must be an array or tensor, got float"),
        (torch.ones(2), TypeError, f"is a torch.Tensor but {argument} is a numpy.ndarray"),
    ):
        arguments = list(statistics)
        arguments[which] = wrong
        with pytest.raises(error, match=f"^{named} {words}"):
            function(np.ones((3, 2)), *arguments)


@pytest.mark.parametrize("shape", [(3,), (1, 2), (2, 2), (3, 3)])
def test_wrong_weights_are_named(shape):
    words = r"^weights must have shape \(3, 1\), one per row of X, or \(3, 2\), .* got \(" + str(
        shape[0]
    )
    with pytest.raises(ValueError, match=words):
        standard_statistics(np.ones((3, 2)), np.ones(shape))
    with pytest.raises(TypeError, match=r"^weights must be real floating point, got dtype bool"):
        standard_statistics(np.ones((3, 2)), np.ones((3, 2), bool))
    with pytest.raises(TypeError, match=r"^weights is a torch.Tensor but X is a numpy"):
        standard_statistics(np.ones((3, 2)), torch.ones(3, 2))


@pytest.mark.parametrize("ends", [(1, 1), (2, 1), (0, np.nan), (1,), (0, 1, 2)])
def test_a_wrong_feature_range_is_named(ends):
    for function in (min_max_scale, min_max_inverse):
        with pytest.raises(ValueError, match=r"^feature_range must be \(low, high\) .* got \("):
            function(np.ones((2, 2)), ONE, ONE, ends)


def test_statistics_to_merge_are_three():
    with pytest.raises(ValueError, match="unpack"):
        merge_statistics((1, 2.0), (1, 2.0, 0.0))
