"""Rescaling: against scikit-learn, against its own inverse, in chunks, on three libraries."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import preprocessing
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from techniques import LIBRARIES

from normcourse import MinMaxScaler, StandardScaler, merge_statistics

SCALERS = [MinMaxScaler, StandardScaler]

tables = st.tuples(st.integers(1, 30), st.integers(1, 4)).flatmap(
    lambda shape: arrays(float, shape, elements=st.floats(-1e6, 1e6).map(lambda v: round(v, 3)))
)


def near(offset, dtype, shape=(200, 3)):
    rng = np.random.default_rng(int(offset) % 97)
    return (rng.normal(size=shape) * rng.uniform(0.5, 40, shape[1]) + offset).astype(dtype)


HARD = {
    "random": near(0, "float64"),
    "offset 1e4, float32": near(1e4, "float32"),
    "offset 1e4, float64": near(1e4, "float64"),
    "offset 1e8, float32": near(1e8, "float32"),
    "offset 1e8, float64": near(1e8, "float64"),
    "float16": near(0, "float16"),
    "constant columns": near(0, "float64") * [1, 0, 1] + [0, 0.1, 0],
    "constant 1e8 + 0.1": np.full((37, 2), 1e8 + 0.1),
    "varies by rounding only": [[1e8], [1e8 + 1.5e-8]],
    "one row": near(3, "float64", (1, 3)),
    "tiny": near(0, "float64") * 1e-12,
    "integers": near(50, "int64"),
    "booleans": near(0, "float64") > 0,
    "list": [[1, 2.5], [3, -4.0], [0, 0]],
}


def attributes(scaler):
    return [name for name in vars(scaler) if name.endswith("_")]


@pytest.mark.parametrize("name", ["MinMaxScaler", "StandardScaler"])
@pytest.mark.parametrize("X", HARD.values(), ids=HARD)
def test_agrees_with_scikit_learn(name, X):
    ours = next(s for s in SCALERS if s.__name__ == name)().fit(X)
    theirs = getattr(preprocessing, name)().fit(X)
    scale = np.abs(np.asarray(X, float)).max(0)
    for attribute in attributes(theirs):
        a, b = getattr(ours, attribute), getattr(theirs, attribute)
        # scikit-learn keeps some statistics in the precision of the data.
        digits = {2: 2e-3, 4: 1e-6, 8: 1e-12}[getattr(b, "dtype", np.dtype(float)).itemsize]
        atol = digits * (np.abs(ours.scale_ * scale) if attribute == "min_" else scale)
        np.testing.assert_array_less(np.abs(a - b), digits * np.abs(b) + atol + 1e-300, attribute)
    ours_fitted, ours, theirs = ours, ours.transform(X), theirs.transform(X)
    assert ours.dtype == theirs.dtype
    # scikit-learn multiplies before it subtracts: it is off by the rounding of the offset.
    unit = 1 / ours_fitted.scale_ if name == "MinMaxScaler" else ours_fitted.scale_
    atol = 8 * np.finfo(theirs.dtype).eps * max(1, (scale / unit).max())
    np.testing.assert_allclose(ours, theirs, atol=atol)


@pytest.mark.parametrize("X", [HARD[k] for k in HARD if "offset" in k])
def test_never_further_from_the_truth_than_scikit_learn(X):
    truth = X.astype(np.longdouble)
    z = (truth - truth.mean(0)) / truth.std(0)
    xs = (truth - truth.min(0)) / np.ptp(truth, axis=0)
    for scaler, expected in ((StandardScaler, z), (MinMaxScaler, xs)):
        theirs = getattr(preprocessing, scaler.__name__)().fit_transform(X)
        error, allowed = (np.abs(y - expected).max() for y in (scaler().fit_transform(X), theirs))
        assert error <= allowed + 4 * np.finfo(X.dtype).eps


@given(tables, st.sampled_from([MinMaxScaler(), MinMaxScaler((-3, 5)), StandardScaler()]))
def test_inverse_gives_the_data_back(X, scaler):
    scaler.fit(X)
    back = scaler.inverse_transform(scaler.transform(X))
    np.testing.assert_allclose(back, X, rtol=1e-12, atol=1e-14 * np.abs(X).max())


@given(tables)
def test_min_max_training_data_stay_in_the_interval(X):
    y = MinMaxScaler().fit_transform(X)
    assert y.min() == 0
    assert y.max() <= 1
    varies = np.ptp(X, axis=0) > 0
    np.testing.assert_array_equal(y.max(0)[varies], 1)
    np.testing.assert_array_equal(y[:, ~varies], 0)


@given(tables)
def test_standardized_has_mean_0_and_variance_1_or_is_0(X):
    z = StandardScaler().fit_transform(X)
    assume(((X.std(0) == 0) | (X.std(0) > 1e-6 * np.abs(X).max(0))).all())
    constant = np.ptp(X, axis=0) == 0
    np.testing.assert_array_equal(z[:, constant], 0)
    np.testing.assert_allclose(z[:, ~constant].mean(0), 0, atol=1e-8)
    np.testing.assert_allclose(z[:, ~constant].var(0), 1, atol=1e-8)


@given(tables, st.sampled_from(SCALERS), st.integers(0, 2**32))
def test_chunks_give_the_statistics_of_the_whole(X, scaler, seed):
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(len(X), rng.integers(len(X)), replace=False))
    chunks = [c for c in np.split(X, cuts) if len(c)]
    whole, stream = scaler().fit(X), scaler()
    for chunk in chunks:
        stream.partial_fit(chunk)
    assert sorted(attributes(stream)) == sorted(attributes(whole))
    for name in ("data_min_", "data_max_", "mean_", "n_samples_seen_"):
        if hasattr(whole, name):
            a, b = getattr(stream, name), getattr(whole, name)
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13 * np.abs(X).max())
    if scaler is StandardScaler:
        atol = (1e-13 * np.abs(X).max()) ** 2
        np.testing.assert_allclose(stream.var_, whole.var_, rtol=1e-10, atol=atol)


@pytest.mark.parametrize("X", [HARD[k] for k in HARD if "offset" in k])
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_chunks_do_not_cancel_at_a_large_offset(X, rows):
    stream = StandardScaler()
    for i in range(0, len(X), rows):
        stream.partial_fit(X[i : i + rows])
    truth = X.astype(np.longdouble)
    np.testing.assert_allclose(stream.mean_, truth.mean(0).astype(float), rtol=1e-14)
    np.testing.assert_allclose(stream.var_, truth.var(0).astype(float), rtol=1e-7)


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


@pytest.mark.parametrize(
    "scaler", [MinMaxScaler((-3, 5)), MinMaxScaler(clip=True), StandardScaler()]
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_libraries_agree(scaler, dtype):
    X, new = near(10, dtype), near(20, dtype)
    results = {}
    for name, array in LIBRARIES.items():
        scaler = clone(scaler).fit(array(X[:50])).partial_fit(array(X[50:]))
        y = scaler.transform(array(new))
        assert type(y) is type(array(new))
        assert y.dtype == array(new).dtype
        results[name] = np.asarray(y, float), np.asarray(scaler.inverse_transform(y), float)
    eps = np.finfo("float32" if dtype == "float64" else dtype).eps  # JAX has no float64 by default
    for name in ("torch", "jax"):
        for got, expected in zip(results[name], results["numpy"], strict=True):
            atol = 8 * eps * np.abs(expected).max()
            np.testing.assert_allclose(got, expected, atol=atol)


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(-2, 2), st.floats(0.1, 3))
def test_the_feature_range_is_reached(seed, low, width):
    X = np.random.default_rng(seed).normal(size=(20, 3))
    y = MinMaxScaler((low, low + width)).fit_transform(X)
    np.testing.assert_allclose(y.min(0), low, atol=1e-12)
    np.testing.assert_allclose(y.max(0), low + width, atol=1e-12)


@pytest.mark.parametrize("options", [{"with_mean": False}, {"with_std": False}])
def test_options_of_the_standard_scaler(options):
    X, new = near(5, "float64"), near(9, "float64")
    ours = StandardScaler(**options).fit(X)
    theirs = preprocessing.StandardScaler(**options).fit(X)
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new))
    np.testing.assert_allclose(ours.inverse_transform(new), theirs.inverse_transform(new))


def test_new_data_leave_the_interval_unless_clipped():
    X, new = np.array([[0.0], [2.0]]), np.array([[-1.0], [1.0], [5.0]])
    np.testing.assert_array_equal(MinMaxScaler().fit(X).transform(new), [[-0.5], [0.5], [2.5]])
    np.testing.assert_array_equal(MinMaxScaler(clip=True).fit(X).transform(new), [[0], [0.5], [1]])


@pytest.mark.parametrize("n", [2, 3, 10, 1000])
def test_rounding_does_not_make_a_constant_feature_vary(n):
    X = np.full((n, 1), 0.1)
    assert n != 3 or X.std() > 0  # what a test for std == 0 would fall for
    scaler = StandardScaler().fit(X[:1]).partial_fit(X[1:])
    assert scaler.scale_ == 1
    np.testing.assert_allclose(scaler.transform(X), 0, atol=1e-15)


@pytest.mark.filterwarnings("ignore:overflow")
def test_denormal_features():
    X = np.array([[0.0], [5e-324], [1e-310]])
    np.testing.assert_allclose(MinMaxScaler().fit_transform(X), X / 1e-310, atol=1e-12)
    np.testing.assert_allclose(StandardScaler().fit_transform(X), 0, atol=1e-300)


def test_the_gradient_is_divided_by_the_unit_and_never_enters_the_statistics():
    X = torch.tensor(near(2, "float64"), requires_grad=True)
    dy = torch.randn(X.shape, dtype=X.dtype, generator=torch.Generator().manual_seed(0))
    scaler = StandardScaler().fit(X)
    scaler.transform(X).backward(dy)
    np.testing.assert_allclose(X.grad, dy / scaler.scale_)
    assert not scaler.mean_.requires_grad


def test_nan_passes_through_transform_and_not_through_fit():
    X = near(0, "float64")
    scaler = StandardScaler().fit(X)
    X[3, 1] = np.nan
    assert (np.isnan(scaler.transform(X)) == np.isnan(X)).all()
    before = scaler.mean_
    with pytest.raises(ValueError, match="NaN"):
        scaler.partial_fit(X)
    assert scaler.n_samples_seen_ == 200
    np.testing.assert_array_equal(scaler.mean_, before)


def test_fitting_again_forgets():
    X = near(0, "float64")
    scaler = StandardScaler().fit(X * 7 + 1).fit(X[:, :2])
    assert scaler.n_features_in_ == 2
    np.testing.assert_allclose(scaler.mean_, X[:, :2].mean(0))


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (np.ones(3), ValueError, "X must be a table .* shape \\(3,\\).*reshape"),
        (np.ones((2, 2, 2)), ValueError, "X must be a table"),
        (np.ones((0, 2)), ValueError, "X must have at least one row"),
        ([[1.0, np.inf]], ValueError, "X must have .* infinity"),
        ([["a", "b"]], TypeError, "X must be real floating point"),
        ([[1j]], TypeError, "X must be real floating point, got dtype complex128"),
    ],
)
def test_wrong_tables_are_named(scaler, X, error, words):
    with pytest.raises(error, match=words):
        scaler().fit(X)


@pytest.mark.parametrize("scaler", SCALERS)
def test_wrong_use_is_named(scaler):
    with pytest.raises(ValueError, match=f"{scaler.__name__}.* is not fitted yet: call fit"):
        scaler().transform(np.ones((2, 2)))
    fitted = scaler().fit(np.ones((2, 2)))
    for call in (fitted.transform, fitted.inverse_transform, fitted.partial_fit):
        with pytest.raises(ValueError, match=r"X has 3 features, but .* fitted on 2"):
            call(np.ones((2, 3)))
    with pytest.raises(ValueError, match="'width' is no parameter; there are"):
        scaler().set_params(width=1)


def test_wrong_feature_range_is_named():
    with pytest.raises(ValueError, match=r"feature_range .* got \(1, 1\)"):
        MinMaxScaler((1, 1)).fit(np.ones((2, 2)))


def test_libraries_are_not_mixed():
    for fit, use in ((np.ones, torch.ones), (torch.ones, np.ones)):
        with pytest.raises(TypeError, match=r"X is a .*, but .* was fitted on a"):
            StandardScaler().fit(fit((2, 2))).transform(use((2, 2)))


def test_scikit_learn_pipelines_and_searches():
    X, y = load_wine(return_X_y=True)
    model = LogisticRegression(max_iter=500)
    ours = make_pipeline(MinMaxScaler((-1, 1)), StandardScaler(), model)
    theirs = make_pipeline(
        preprocessing.MinMaxScaler((-1, 1)), preprocessing.StandardScaler(), model
    )
    np.testing.assert_allclose(cross_val_score(ours, X, y), cross_val_score(theirs, X, y))
    grid = {"minmaxscaler__clip": [True, False], "standardscaler__with_std": [True, False]}
    searches = [GridSearchCV(clone(p), grid, cv=3).fit(X, y) for p in (ours, theirs)]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_allclose(*scores)
    assert "MinMaxScaler(feature_range=(-1, 1), clip=False)" in repr(ours)
    assert ours._repr_html_()


@pytest.mark.parametrize(
    "scaler", [MinMaxScaler((-1, 2), clip=True), StandardScaler(with_std=False)]
)
def test_clone_keeps_parameters_and_no_statistics(scaler):
    scaler.fit(np.ones((3, 2)))
    copy = clone(scaler)
    assert copy.get_params() == scaler.get_params()
    assert attributes(copy) == []


def test_a_refused_fit_forgets_nothing():
    x = np.array([[1.0], [3.0]])
    for scaler in (MinMaxScaler().fit(x), StandardScaler().fit(x)):
        expected = scaler.transform(x)
        with pytest.raises(ValueError, match="no NaN"):
            scaler.fit(np.array([[np.nan]]))
        np.testing.assert_array_equal(scaler.transform(x), expected)


@pytest.mark.parametrize("scaler", [MinMaxScaler, StandardScaler])
def test_what_scikit_learn_asks_and_what_an_unfitted_or_mixed_scaler_says(scaler):
    tags = get_tags(scaler())
    assert tags.estimator_type is None
    assert tags.target_tags.required is False
    assert tags.transformer_tags is not None
    for method in (scaler().transform, scaler().inverse_transform):
        with pytest.raises(ValueError, match="not fitted yet"):
            method(np.ones((2, 1)))
    fitted = scaler().fit(torch.tensor([[1.0], [3.0]]))
    assert fitted.scale_.dtype == torch.float64
    with pytest.raises(TypeError, match=r"^X is a ndarray, but .* was fitted on a Tensor"):
        fitted.inverse_transform(np.ones((2, 1)))
    with pytest.raises(TypeError, match=r"^X must be real floating point"):
        scaler().fit(np.ones((2, 1), complex))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("dtype", "high"), [("float16", 1e6), ("float32", 1e39)])
def test_a_feature_range_wider_than_the_dtype_is_named(library, dtype, high):
    X = LIBRARIES[library](np.array([[0.0], [1.0]], dtype))
    words = rf"^feature_range=.*{high!r}.* does not fit into .*{dtype}.*smaller.*float64".replace(
        "+", r"\+"
    )
    for ends in ((0, high), (-high, 0), (np.float64(0), np.float64(high))):
        for scaler in (MinMaxScaler(ends), MinMaxScaler(ends, clip=True)):
            with pytest.raises(ValueError, match=words):
                scaler.fit(X).transform(X)
    with pytest.raises(ValueError, match=r"does not fit into float64, .* smaller one\.$"):
        MinMaxScaler((-1.7e308, 1.7e308)).fit(np.eye(2))


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_whole_range_of_a_dtype_is_reached_and_left(library):
    """120000 is no float16, but no result either."""
    X = LIBRARIES[library](np.array([[0], [0.25], [1]], np.float16))
    scaler = MinMaxScaler((-60000, 60000)).fit(X)
    y = scaler.transform(X)
    np.testing.assert_array_equal(np.asarray(y), [[-60000], [-30000], [60000]])
    np.testing.assert_array_equal(np.asarray(scaler.inverse_transform(y)), np.asarray(X))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("rows", [1, 30, 100])
@pytest.mark.parametrize("value", [0.1, -3e7, 1e-12])
def test_a_feature_constant_up_to_rounding_is_constant(library, rows, value):
    """Equal numbers, computed in different ways, differ in their last digits."""
    eps = 2.0**-52 if library != "jax" else 2.0**-23
    dtype = "float64" if library != "jax" else "float32"
    for digits, constant in ((7, True), (1000, False)):
        X = (value * (1 + eps * (np.arange(100) * 97 % digits))).astype(dtype)[:, None]
        scaler = StandardScaler()
        for i in range(0, 100, rows):
            scaler.partial_fit(LIBRARIES[library](X[i : i + rows]))
        assert bool(scaler.scale_ == 1) is constant
        if library != "jax":
            theirs = preprocessing.StandardScaler().fit(X)
            assert bool(theirs.scale_ == 1) is constant
