"""core: the statistics, their backward, and the rule that nothing else computes them."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from techniques import LIBRARIES, PRECISIONS

import normcourse
from normcourse import mean_and_variance, merge_statistics, standardize, standardize_backward

floats = st.floats(-1e3, 1e3).map(lambda v: round(v, 6))


@st.composite
def array_and_axis(draw):
    x = draw(
        arrays(float, array_shapes(min_dims=1, max_dims=4, min_side=2, max_side=5), elements=floats)
    )
    axes = st.integers(0, x.ndim - 1)
    return x, tuple(sorted(draw(st.sets(axes, min_size=1))))


@given(array_and_axis())
def test_statistics_are_those_of_numpy(case):
    x, axis = case
    mean, variance = mean_and_variance(x, axis)
    np.testing.assert_allclose(mean, np.mean(x, axis, keepdims=True), atol=1e-10)
    np.testing.assert_allclose(variance, np.var(x, axis, keepdims=True), atol=1e-8)


def test_the_mean_is_right_to_the_last_place():
    """A sum of 100 000 float32 numbers is not; what centring leaves over is added back."""
    x = (np.random.default_rng(0).normal(size=(100_000, 2)) + 1e4).astype(np.float32)
    mean, _ = mean_and_variance(x, 0)
    np.testing.assert_array_max_ulp(mean[0], x.astype(float).mean(0).astype(np.float32), 1)


@pytest.mark.parametrize("offset", [0, 100, 1e4])
@pytest.mark.parametrize(("shape", "axis"), [((1_000_003, 2), 0), ((2, 700, 701, 2), (0, 1, 2))])
def test_a_million_rows_lose_no_digits(shape, axis, offset):
    """One after another they lose three, and near 1e4 the variance was 260 times too large."""
    x = (np.random.default_rng(0).normal(size=shape) + offset).astype(np.float32)
    mean, variance = mean_and_variance(x, axis)
    exact = x.astype(float)
    np.testing.assert_allclose(mean, exact.mean(axis, keepdims=True), 1e-7, 1e-7)
    np.testing.assert_allclose(variance, exact.var(axis, keepdims=True), 1e-5)
    np.testing.assert_allclose(standardize(x, axis).var(axis, dtype=float), 1, 0, 3e-5)


@pytest.mark.parametrize("n", [2_000_000, 2_000_001])
def test_a_million_rows_give_a_parameter_its_gradient(n):
    """Also an odd number of them, where one after another two digits were left."""
    x = np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)
    dy, one = np.full_like(x, 0.1), np.ones(2, np.float32)
    for name, setting in (("batch_norm", ()), ("layer_norm", (2,))):
        backward = getattr(normcourse, f"{name}_backward")
        *_, dbias = backward(dy, x, *setting, one, one)
        np.testing.assert_allclose(dbias, dy.sum(0, dtype=float), 1e-5, err_msg=name)


@given(st.integers(1025, 3000), st.integers(1, 40), st.sampled_from("CF"), st.data())
def test_long_sums_are_those_of_numpy(rows, columns, order, data):
    """Along any axes, by their names from either end, whatever their order in memory."""
    x = np.random.default_rng(rows).normal(size=(2, rows, columns)).astype(np.float32)
    axis = data.draw(st.lists(st.integers(0, 2), min_size=1, unique=True))
    axis = tuple(a - 3 * data.draw(st.booleans()) for a in axis)
    some = slice(None, None, data.draw(st.sampled_from([1, -1, 2])))
    x = np.asarray(x, order=order)[:, some, some]
    for a in (x, np.broadcast_to(x[:, :1], x.shape)):
        mean, variance = mean_and_variance(a, axis)
        exact = a.astype(float)
        np.testing.assert_allclose(mean, exact.mean(axis, keepdims=True), atol=1e-6)
        np.testing.assert_allclose(variance, exact.var(axis, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("n", [3, 768, 896, 3136])
@pytest.mark.parametrize(("library", "dtype"), PRECISIONS)
def test_equal_numbers_become_zero_exactly(library, dtype, n):
    """Also where neither their mean nor 1 / n has an exact float."""
    sizes = 10.0 ** np.arange(-3, 13)
    rows = (np.random.default_rng(n).uniform(1, 10, (16, 1)) * sizes[:, None]).repeat(n, axis=1)
    x = LIBRARIES[library](rows.astype(dtype))
    mean, variance = mean_and_variance(x, 1)
    assert np.asarray(mean == x[:, :1]).all()
    assert not np.asarray(variance).any()
    assert not np.asarray(standardize(x, 1)).any()


def test_a_variance_is_never_negative():
    """In a long column of nearly equal numbers rounding is all there is."""
    rng = np.random.default_rng(0)
    for n in (20_000, 91_531, 100_000):
        column = rng.uniform(1, 10, 20) * (1 + 1e-7 * rng.integers(0, 2, (n, 20)))
        _, variance = mean_and_variance(column.astype(np.float32), 0)
        assert (variance >= 0).all()


@given(array_and_axis(), st.data())
def test_statistics_of_two_parts_merge_to_those_of_the_whole(case, data):
    x, axis = case
    cut = data.draw(st.integers(1, x.shape[axis[0]] - 1))
    parts = np.split(x, [cut], axis[0])
    statistics = [(np.prod([p.shape[a] for a in axis]), *mean_and_variance(p, axis)) for p in parts]
    n, *merged = merge_statistics(*statistics)
    assert n == np.prod([x.shape[a] for a in axis])
    for a, b in zip(merged, mean_and_variance(x, axis), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-8)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_numbers_have_no_statistics():
    """But of no samples there are no statistics to have."""
    with pytest.raises(ValueError, match=r"x is empty, shape \(0, 3\)"):
        mean_and_variance(np.ones((0, 3)), 0)
    assert [a.shape for a in mean_and_variance(np.ones((0, 3)), 1)] == [(0, 1)] * 2


WRONG = {
    "none": ((2, 3), None, TypeError, "axis must be an int or a tuple of ints, got None"),
    "list": ((2, 3), [0], TypeError, r"axis must be an int or a tuple of ints, got \[0\]"),
    "float": ((2, 3), 1.0, TypeError, "axis must be an int or a tuple of ints, got 1.0"),
    "truth": ((2, 3), True, TypeError, "axis must be an int or a tuple of ints, got True"),
    "empty": ((2, 3), (), ValueError, r"axis must name axes of x, -2 to 1 .*\(2, 3\); got \(\)"),
    "too far": ((2, 3), 2, ValueError, "axis must name axes of x, -2 to 1 .*got 2"),
    "twice": ((2, 3), (1, -1), ValueError, r"axis names an axis twice: \(1, -1\)"),
    "no axes": ((), 0, ValueError, r"x must have at least 1 axis.*\(\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_axis(name):
    shape, axis, error, message = WRONG[name]
    x = np.ones(shape)
    for call in (
        lambda: standardize(x, axis),
        lambda: standardize_backward(x, x, axis),
        lambda: mean_and_variance(x, axis),
    ):
        with pytest.raises(error, match=message):
            call()


def test_errors_name_x_eps_and_the_gradient():
    x = np.ones((2, 3))
    with pytest.raises(TypeError, match=r"^x must be an array or tensor, got list"):
        mean_and_variance([1.0], 0)
    for call in (lambda: standardize(x, 0, -1.0), lambda: standardize_backward(x, x, 0, -1.0)):
        with pytest.raises(
            ValueError, match=r"^eps must be zero or positive and finite, got -1\.0"
        ):
            call()
    with pytest.raises(
        ValueError, match=r"^dxhat must have the shape of x, \(2, 3\); got \(1, 3\)"
    ):
        standardize_backward(x[:1], x, 0)


def test_half_precision_is_computed_in_float32():
    """The squares of these numbers are beyond the largest float16."""
    x = (300 * np.random.default_rng(0).normal(size=(64, 3))).astype(np.float16)
    wide = x.astype(np.float32)
    assert [a.dtype for a in mean_and_variance(x, 0)] == [np.float32] * 2
    for function in (standardize, lambda x, axis: standardize_backward(x, x, axis)):
        result = function(x, 0)
        assert result.dtype == np.float16
        np.testing.assert_array_equal(result, function(wide, 0).astype(np.float16))


def test_default_eps_is_that_of_the_techniques():
    x, dxhat = np.random.default_rng(0).normal(size=(2, 6, 5))
    np.testing.assert_array_equal(standardize(x, 0), standardize(x, 0, 1e-5))
    backward = standardize_backward(dxhat, x, 0), standardize_backward(dxhat, x, 0, 1e-5)
    np.testing.assert_array_equal(*backward)


@given(array_and_axis(), st.floats(-100, 100), st.floats(0.1, 10))
def test_shift_and_positive_scale_change_nothing(case, shift, scale):
    x, axis = case
    with np.errstate(all="ignore"):
        expected = standardize(x, axis, eps=1e-3)
        # Scaling x by s is the same as scaling eps by 1/s^2.
        result = standardize(scale * x + shift, axis, eps=1e-3 * scale**2)
    np.testing.assert_allclose(result, expected, atol=1e-6)


@given(array_and_axis())
def test_gradient_is_orthogonal_to_ones(case):
    x, axis = case
    dxhat = np.cos(np.arange(x.size, dtype=float)).reshape(x.shape)
    dx = standardize_backward(dxhat, x, axis, eps=1e-2)
    np.testing.assert_allclose(dx.sum(axis), 0, atol=1e-9 * (1 + abs(dx).max()))


def test_gradient_is_orthogonal_to_xhat_without_eps():
    rng = np.random.default_rng(0)
    x, dxhat = rng.normal(size=(2, 6, 5))
    dx = standardize_backward(dxhat, x, 1, eps=0.0)
    np.testing.assert_allclose((dx * standardize(x, 1, 0.0)).sum(1), 0, atol=1e-12)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([(0,), (1,), (0, 2), (1, 2), (0, 1, 2)]))
def test_backward_is_the_finite_difference_of_forward(seed, axis):
    rng = np.random.default_rng(seed)
    x, dxhat = rng.normal(size=(2, 3, 4, 5))
    direction = rng.normal(size=x.shape)
    h = 1e-6
    up, down = (standardize(x + s * h * direction, axis, 1e-3) for s in (1, -1))
    expected = ((up - down) * dxhat).sum() / (2 * h)
    result = (standardize_backward(dxhat, x, axis, 1e-3) * direction).sum()
    assert result == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_importing_the_package_stays_light():
    code = "import sys, normcourse; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "matplotlib", "ipywidgets", "anywidget", "sklearn", "jax", "IPython"}
    assert not heavy & set(loaded.stdout.split())


@pytest.mark.parametrize("library", LIBRARIES)
def test_squares_that_overflow_make_no_nan(library):
    """The variance is infinite, so all is 0; infinity less infinity would be NaN."""
    x = LIBRARIES[library](1e28 * np.random.default_rng(0).normal(size=(64, 6)).astype("float32"))
    _, variance = mean_and_variance(x, 0)
    assert np.isinf(np.asarray(variance)).all()
    np.testing.assert_array_equal(np.asarray(standardize(x, 0)), np.zeros((64, 6)))
    assert np.isfinite(np.asarray(standardize_backward(x / x, x, 0))).all()
