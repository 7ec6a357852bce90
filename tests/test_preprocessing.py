"""The estimators: scikit-learn's own checks, and scikit-learn's scalers beside ours."""

import pickle
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import sklearn
import torch
from scipy import sparse
from sklearn import preprocessing as theirs
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from normcourse import preprocessing as ours
from normcourse.preprocessing import MinMaxScaler, StandardScaler

nan = np.nan
SCALERS = [MinMaxScaler, StandardScaler]
FLAGS = [
    dict(zip(("with_mean", "with_std"), v, strict=True)) for v in product([True, False], repeat=2)
]
OPTIONS = {
    "MinMaxScaler": [{}, {"feature_range": (-3, 5)}, {"clip": True}],
    "StandardScaler": FLAGS,
}
VARIANTS = [(name, options) for name in OPTIONS for options in OPTIONS[name]]
each_scaler = pytest.mark.parametrize("scaler", SCALERS)
each_variant = pytest.mark.parametrize(("name", "options"), VARIANTS)


# Not with copy=False: a check transforms the same table twice. scikit-learn's own fail it, too.
@parametrize_with_checks([getattr(ours, name)(**options) for name, options in VARIANTS])
def test_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


# ---- the same numbers as scikit-learn's ------------------------------------------------------


def near(offset, dtype="float64", shape=(60, 4), seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * rng.uniform(0.5, 40, shape[1]) + offset).astype(dtype)


def with_holes(X, seed=1):
    return np.where(np.random.default_rng(seed).uniform(size=X.shape) < 0.2, nan, X).astype(X.dtype)


OFFSETS = ("0", "1e4", "1e8")
TABLES = {
    **{f"{d}, offset {o}": near(float(o), d) for d in ("float32", "float64") for o in OFFSETS},
    "float16": near(0, "float16"),
    "int64": near(50, "int64"),
    "int8": near(3, "int8"),
    "bool": near(0) > 0,
    "longdouble": near(7, np.longdouble),
    "list": [[1, 2.5, 0, 9], [3, -4.0, 1, 9], [0, 0, 7, 9]],
    "object": near(1).astype(object),
    "one row": near(3)[:1],
    "one row, float32": near(3, "float32")[:1],
    "constant features": near(0) * [1, 0, 1, 0] + [0, 0.1, 0, 1e8 + 0.1],
    "constant features, float32": np.tile(np.float32([0, 0.1, -1e8, 0.3]), (37, 1)),
    "rounding only": near(0)[:2] * [0, 0, 1, 1] + [[1e8, 1, 0, 0], [1e8 + 1.5e-8, 1 + 2e-16, 0, 0]],
    "tiny": near(0) * 1e-12,
    "missing": with_holes(near(4)),
    "missing, float32": with_holes(near(4, "float32")),
    "missing, float16": with_holes(near(4, "float16")),
    "missing constant": with_holes(np.tile([0.1, 3, -7e5, 0], (60, 1))),
    "missing first row": np.vstack([np.full(4, nan), near(1e4)]),
    "all of a feature missing": near(4) * [1, nan, 1, 1],
    "one value": [[nan, 1, nan, 3], [5, nan, nan, 3]],
    "fortran": np.asfortranarray(near(3)),
    "strided": near(3, shape=(60, 8))[::2, ::2],
    "read-only": near(3),
}  # fmt: skip
TABLES["read-only"].flags.writeable = False
FEW = ["float64, offset 1e4", "float32, offset 1e8", "int64", "missing", "constant features"]
WEIGHTS = {
    "none": None,
    "random": np.random.default_rng(2).uniform(0, 3, 60),
    "with zeros": np.random.default_rng(3).choice([0, 1, 2.5], 60),
    "integers": np.random.default_rng(4).integers(1, 4, 60),
}
FITTED = ("scale_", "mean_", "var_", "min_", "data_min_", "data_max_", "data_range_")


def attributes(scaler):
    return {name: value for name, value in vars(scaler).items() if name.endswith("_")}


def number(X):
    return np.asarray(X.toarray() if sparse.issparse(X) else X, float)


def assert_alike(mine, other, X, new):
    """The same attributes and results, up to the rounding of the less precise."""
    X, found, expected = number(X), attributes(mine), attributes(other)
    assert found.keys() == expected.keys()
    assert found.pop("n_features_in_") == expected.pop("n_features_in_")
    n = expected.pop("n_samples_seen_")
    np.testing.assert_array_equal(found["n_samples_seen_"], n)
    assert np.shape(found["n_samples_seen_"]) == np.shape(n)
    largest = np.fmax.reduce(abs(X))
    scale = np.ones(X.shape[1]) if mine.scale_ is None else mine.scale_
    unit = 1 / scale if hasattr(mine, "min_") else scale
    for name, b in expected.items():
        a = found[name]
        if b is None:
            assert a is None, name
            continue
        assert a.shape == b.shape
        assert isinstance(a, np.ndarray)
        # scikit-learn keeps some statistics in the precision of the data.
        digits = {2: 2e-3, 4: 1e-6, 8: 1e-12}[b.dtype.itemsize]
        atol = digits * (abs(scale * largest) if name == "min_" else largest)
        if name == "var_":
            atol = 1e-14 * largest**2 if mine.scale_ is None else 4 * digits * largest * unit
        close = abs(a - b) <= digits * abs(b) + atol + 1e-300
        assert (close | (np.isnan(a) & np.isnan(b))).all(), (name, a, b)
    for method, data in (("transform", X), ("transform", number(new)), ("inverse_transform", new)):
        a, b = (number(getattr(s, method)(new if data is not X else X)) for s in (mine, other))
        raw = getattr(other, method)(new)
        assert getattr(mine, method)(new).dtype == raw.dtype
        eps = np.finfo(getattr(raw, "dtype", float)).eps
        # It multiplies before it subtracts: it is off by the rounding of the offset.
        reach = np.fmax(largest, np.fmax.reduce(abs(number(new))))
        size = np.fmax(1, reach / unit) if method == "transform" else np.fmax(reach, reach * unit)
        off = abs(a - b) > 16 * eps * (abs(b) + size)
        assert not off.any(), (method, a[off], b[off])
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # scikit-learn's, about NaN
@each_variant
@pytest.mark.parametrize("table", TABLES)
def test_agrees_with_scikit_learn(name, options, table):
    X = TABLES[table]
    if (name, table) == ("MinMaxScaler", "rounding only"):
        X = X * [0, 1, 1, 1]  # see test_rounding_does_not_make_a_constant_feature_vary
    pair = [getattr(module, name)(**options).fit(X) for module in (ours, theirs)]
    dtype = getattr(X, "dtype", np.dtype(float))
    new = near(5, dtype if dtype.kind == "f" else "float64", seed=7)
    assert_alike(*pair, np.asarray(X, float).astype(pair[1].transform(X).dtype), new)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("options", FLAGS)
@pytest.mark.parametrize("table", FEW)
@pytest.mark.parametrize("weights", list(WEIGHTS)[1:])
def test_weighted_rows_agree_with_scikit_learn(options, table, weights):
    X, weights = TABLES[table], WEIGHTS[weights]
    if not options["with_mean"] and not options["with_std"]:
        return  # scikit-learn does not weigh there
    pair = [m.StandardScaler(**options).fit(X, sample_weight=weights) for m in (ours, theirs)]
    mine, other = pair
    np.testing.assert_allclose(mine.n_samples_seen_, other.n_samples_seen_, rtol=1e-6)
    mine.n_samples_seen_ = other.n_samples_seen_
    if X.dtype.itemsize < 8:  # scikit-learn rounds the weights to the dtype of X
        np.testing.assert_allclose(mine.mean_, other.mean_, rtol=1e-3)
        if mine.var_ is not None:
            np.testing.assert_allclose(mine.var_, other.var_, rtol=1e-2)
        return
    assert_alike(mine, other, X, near(5))


def test_weights_are_counts():
    X, weights = with_holes(near(1e4)), WEIGHTS["with zeros"] * 2
    weighted = StandardScaler().fit(X, sample_weight=weights)
    repeated = StandardScaler().fit(np.repeat(X, weights.astype(int), 0))
    assert weighted.n_samples_seen_.dtype == float
    assert repeated.n_samples_seen_.dtype == int
    np.testing.assert_array_equal(weighted.n_samples_seen_, repeated.n_samples_seen_)
    np.testing.assert_allclose(weighted.mean_, repeated.mean_, rtol=1e-14)
    np.testing.assert_allclose(weighted.var_, repeated.var_, rtol=1e-12)
    stream = StandardScaler()
    for i in range(0, 60, 17):
        stream.partial_fit(X[i : i + 17], sample_weight=weights[i : i + 17])
    np.testing.assert_allclose(stream.n_samples_seen_, repeated.n_samples_seen_)
    np.testing.assert_allclose(stream.mean_, repeated.mean_, rtol=1e-14)
    np.testing.assert_allclose(stream.scale_, repeated.scale_, rtol=1e-12)
    fitted = StandardScaler().fit(X, sample_weight=2).n_samples_seen_
    np.testing.assert_array_equal(fitted, 2 * (~np.isnan(X)).sum(0))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@each_variant
@pytest.mark.parametrize("table", FEW)
@pytest.mark.parametrize("rows", [1, 7, 30])
def test_chunks_agree_with_scikit_learn(name, options, table, rows):
    X, scalers = TABLES[table], [getattr(m, name)(**options) for m in (ours, theirs)]
    for scaler in scalers:
        for i in range(0, len(X), rows):
            if scaler is scalers[1] and np.isnan(X[i : i + rows]).all(0).any():
                pytest.skip("scikit-learn: once NaN, always NaN")
            scaler.partial_fit(X[i : i + rows])
    mine, other = scalers
    whole = getattr(ours, name)(**options).fit(X)
    for attribute in ("mean_", "var_", "data_min_", "data_max_", "n_samples_seen_"):
        if getattr(mine, attribute, None) is not None:
            a, b, c = (getattr(s, attribute) for s in (mine, whole, other))
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-20, err_msg=attribute)
            np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-5, err_msg=attribute)


def test_a_feature_that_was_missing_begins_with_its_first_values():
    """Where scikit-learn's stays NaN for ever."""
    X = np.array([[nan, 1.0], [nan, 3.0]])
    for scaler in (StandardScaler(), MinMaxScaler()):
        scaler.fit(X)
        np.testing.assert_array_equal(np.isnan(scaler.scale_), [True, False])
        np.testing.assert_array_equal(np.isnan(scaler.transform(np.ones((1, 2)))), [[True, False]])
        later = clone(scaler).fit(X[:, 1:].repeat(2, 1))
        scaler.partial_fit(X[:, [1, 0]])
        np.testing.assert_array_equal(scaler.scale_, later.scale_)
        scaler.partial_fit(X)  # and keeps them
        np.testing.assert_array_equal(scaler.scale_, later.scale_)
    standard = StandardScaler().fit(X)
    np.testing.assert_array_equal(standard.n_samples_seen_, [0, 2])
    np.testing.assert_array_equal(standard.mean_, [nan, 2])
    np.testing.assert_array_equal(standard.var_, [nan, 1])
    standard.partial_fit(np.array([[7.0, nan]]))
    np.testing.assert_array_equal(standard.n_samples_seen_, [1, 2])
    np.testing.assert_array_equal(standard.mean_, [7, 2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_rows_do_not_make_a_real_spread_constant(dtype):
    X = np.random.default_rng(0).normal(2000, 10, (10**6, 1)).astype(dtype)
    spread, scaler = X.astype(float).std(), StandardScaler()
    np.testing.assert_allclose(scaler.fit(X).scale_, spread, rtol=1e-9)
    X = (2000 + (X.astype(float) - 2000) * 1e-8).reshape(10, -1, 1)
    scaler = StandardScaler()
    for chunk in X:
        scaler.partial_fit(chunk)
    np.testing.assert_allclose(scaler.scale_, X.std(), rtol=1e-4)
    assert theirs.StandardScaler().fit(X.reshape(-1, 1)).scale_ == 1


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, sparse.csc_array])
@pytest.mark.parametrize("n", [3, 1000, 10**6])
def test_rounding_does_not_make_a_constant_feature_vary(make, n):
    X = np.full((n, 1), 0.1)
    scaler = StandardScaler(with_mean=False).fit(make(X)).partial_fit(make(X))
    assert scaler.scale_ == 1
    assert scaler.var_ == 0
    assert scaler.mean_ == 0.1


@pytest.mark.parametrize("size", [1e8, 0.1, 1e-20])
def test_a_feature_constant_up_to_rounding_is_constant(size):
    X = size * (1 + np.finfo(float).eps * np.array([[0, 0], [5, 500], [2, 200]]))
    for scaler in (StandardScaler(), MinMaxScaler()):
        np.testing.assert_array_equal(scaler.fit(X).scale_ == 1, [True, False])
        assert abs(scaler.transform(X)[:, 0]).max() <= 1.2e-15 * size
        assert abs(scaler.transform(X)[:, 1]).max() == pytest.approx(1.2, abs=0.2)
    for chunk in X:
        scaler = StandardScaler() if chunk is X[0] else scaler
        scaler.partial_fit(chunk[None])
    np.testing.assert_array_equal(scaler.scale_ == 1, [True, False])
    # scikit-learn's bound is the same for all sizes: too small for some, too large for others.
    constant = theirs.MinMaxScaler().fit(X).scale_ == 1
    assert list(constant) == {1e8: [False, False], 0.1: [True, False], 1e-20: [True, True]}[size]


# ---- sparse tables ---------------------------------------------------------------------------

SPARSE = [
    sparse.csr_array,
    sparse.csc_array,
    sparse.csr_matrix,
    sparse.csc_matrix,
    sparse.coo_array,
]


def thin(dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    X = near(3, seed=seed) * (rng.uniform(size=(60, 4)) < 0.3)
    X[0, 0] = nan
    X[:, 3] = 0
    return X.astype(dtype)


@pytest.mark.parametrize("make", SPARSE)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("with_std", [True, False])
@pytest.mark.parametrize("weights", ["none", "with zeros"])
def test_sparse_tables_agree_with_dense_ones_and_with_scikit_learn(make, dtype, with_std, weights):
    X = thin() if dtype != "int64" else np.nan_to_num(thin())
    X, new, weights = make(X.astype(dtype)), thin("float32", seed=5), WEIGHTS[weights]
    options = {"with_mean": False, "with_std": with_std}
    mine = StandardScaler(**options).fit(X, sample_weight=weights)
    other = theirs.StandardScaler(**options).fit(X, sample_weight=weights)
    dense = StandardScaler(**options).fit(X.toarray(), sample_weight=weights)
    np.testing.assert_allclose(mine.n_samples_seen_, other.n_samples_seen_)
    if with_std:
        for attribute in ("mean_", "var_", "scale_", "n_samples_seen_"):
            a, b, c = (getattr(s, attribute) for s in (mine, dense, other))
            np.testing.assert_allclose(a, b, rtol=1e-12, err_msg=attribute)
            np.testing.assert_allclose(a, c, rtol=1e-5, err_msg=attribute)
    else:
        assert mine.scale_ is mine.var_ is mine.mean_ is None
    for method in ("transform", "inverse_transform"):
        a, b = (getattr(s, method)(make(new)) for s in (mine, other))
        assert a.format == b.format == "csr"
        assert a.dtype == b.dtype == "float32"
        assert a.nnz == b.nnz
        np.testing.assert_allclose(a.toarray(), b.toarray(), rtol=1e-5)
        np.testing.assert_allclose(a.toarray(), getattr(mine, method)(new), rtol=1e-6)


@pytest.mark.parametrize("make", SPARSE[:2])
def test_sparse_chunks_give_the_statistics_of_the_whole(make):
    X, stream = thin(), StandardScaler(with_mean=False)
    for i, rows in enumerate(np.split(X, [1, 20, 33])):
        stream.partial_fit(make(rows) if i != 2 else rows)
    whole = StandardScaler(with_mean=False).fit(X)
    np.testing.assert_array_equal(stream.n_samples_seen_, whole.n_samples_seen_)
    np.testing.assert_allclose(stream.mean_, whole.mean_, rtol=1e-14)
    np.testing.assert_allclose(stream.var_, whole.var_, rtol=1e-12)


def test_sparse_tables_are_refused_where_scikit_learn_refuses_them():
    X = sparse.csr_array(np.eye(3))
    for module in (ours, theirs):
        for scaler, error, words in (
            (module.StandardScaler(), ValueError, r"^Cannot center sparse matrices: pass `with_m"),
            (module.MinMaxScaler(), TypeError, r"[Ss]parse"),
        ):
            with pytest.raises(error, match=words):
                scaler.fit(X)
            if module is ours:
                assert attributes(scaler) == {}
            scaler.fit(X.toarray())
            for method in (scaler.transform, scaler.inverse_transform):
                with pytest.raises(error, match=r"[Ss]parse|Cannot (un)?center"):
                    method(X)


# ---- data frames -----------------------------------------------------------------------------


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas")


@each_scaler
def test_columns_must_be_those_of_the_training_data(scaler, pandas):
    frame = pandas.DataFrame(near(3), columns=list("abcd"))
    scaler = scaler().fit(frame)
    assert list(scaler.feature_names_in_) == list("abcd")
    assert list(scaler.get_feature_names_out()) == list("abcd")
    other_order, renamed = frame[list("bacd")], frame.rename(columns={"a": "z"})
    for call in (scaler.transform, scaler.partial_fit):
        for wrong in (other_order, renamed):
            with pytest.raises(ValueError, match="The feature names should match those"):
                call(wrong)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            call(frame.to_numpy())
    back = scaler.inverse_transform(renamed)  # what is scaled may be called anything
    np.testing.assert_array_equal(back, scaler.inverse_transform(frame.to_numpy()))
    assert list(scaler.fit(renamed).feature_names_in_) == list("zbcd")
    scaler.fit(frame.to_numpy())
    assert not hasattr(scaler, "feature_names_in_")
    assert list(scaler.get_feature_names_out()) == ["x0", "x1", "x2", "x3"]


@each_scaler
def test_the_output_may_be_a_data_frame(scaler, pandas):
    frame = pandas.DataFrame(near(3), columns=list("abcd"), index=range(100, 160))
    plain = scaler().fit_transform(frame)
    assert isinstance(plain, np.ndarray)
    with sklearn.config_context(transform_output="pandas"):
        by_config = scaler().fit_transform(frame)
    for result in (scaler().set_output(transform="pandas").fit_transform(frame), by_config):
        pandas.testing.assert_frame_equal(
            result, pandas.DataFrame(plain, columns=frame.columns, index=frame.index)
        )


# ---- fitted, refused, forgotten --------------------------------------------------------------


@each_scaler
def test_an_unfitted_scaler_says_so(scaler):
    for method in (scaler().transform, scaler().inverse_transform):
        with pytest.raises(NotFittedError, match=f"This {scaler.__name__} instance is not fitted"):
            method(np.ones((2, 2)))


@each_scaler
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("X", "words"),
    [
        (np.ones(3), "Expected 2D array, got 1D array"),
        (np.ones((2, 2, 2)), "dim 3"),
        (np.ones((0, 2)), "0 sample"),
        ([[1.0, np.inf]], "infinity"),
        ([["a", "b"]], "could not convert string to float"),
        (np.array([[1j]]), "Complex data not supported"),
    ],
)
def test_a_refused_first_fit_leaves_it_unfitted(scaler, method, X, words):
    scaler = scaler()
    with pytest.raises(ValueError, match=words):
        getattr(scaler, method)(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(scaler)
    assert attributes(scaler) == {}


@each_scaler
def test_a_refused_fit_of_a_data_frame_leaves_it_unfitted(scaler, pandas):
    scaler = scaler()
    with pytest.raises(ValueError, match="infinity"):
        scaler.fit(pandas.DataFrame({"a": [np.inf]}))
    assert attributes(scaler) == {}  # with the names alone it would count as fitted
    scaler.fit(pandas.DataFrame({"a": [1.0]}))
    with pytest.raises(ValueError, match="infinity"):
        scaler.fit(pandas.DataFrame({"b": [np.inf]}))
    assert list(scaler.feature_names_in_) == ["a"]


@each_scaler
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_refused_fit_forgets_nothing(scaler, method):
    X = near(3)
    scaler = scaler().fit(X)
    expected, before = scaler.transform(X), attributes(scaler)
    for wrong in (X * np.inf, X[0], sparse.csr_array(X)):
        with pytest.raises((TypeError, ValueError)):
            getattr(scaler, method)(wrong)
    with pytest.raises(ValueError, match="parameter"):
        getattr(scaler.set_params(copy="yes"), method)(X)
    scaler.set_params(copy=True)
    if isinstance(scaler, StandardScaler):
        for weights in (np.ones(3), -np.ones(60)):
            with pytest.raises(ValueError, match=r"[Ss]ample.?weight"):
                getattr(scaler, method)(X * 2, sample_weight=weights)
    else:
        with pytest.raises(ValueError, match="feature_range"):
            getattr(scaler.set_params(feature_range=(1, 1)), method)(X * 2)
    assert attributes(scaler).keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(scaler, name), value)
    np.testing.assert_array_equal(scaler.transform(X), expected)


@each_scaler
def test_fitting_again_forgets_and_another_chunk_does_not(scaler):
    X = near(3)
    again = scaler().fit(X * 7 + 1).fit(X[:, :2])
    once = scaler().fit(X[:, :2])
    for name, value in attributes(once).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    stream = scaler().partial_fit(X[:20]).partial_fit(X[20:])
    np.testing.assert_allclose(stream.scale_, scaler().fit(X).scale_, rtol=1e-13)
    np.testing.assert_array_equal(stream.n_samples_seen_, 60)


@each_scaler
def test_other_features_are_named(scaler):
    fitted = scaler().fit(np.ones((2, 2)))
    words = f"X has 3 features, but {scaler.__name__} is expecting 2 features as input"
    for call in (fitted.transform, fitted.inverse_transform, fitted.partial_fit):
        with pytest.raises(ValueError, match=words):
            call(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("scaler", "words"),
    [
        (MinMaxScaler(feature_range=[0, 1]), "The 'feature_range' parameter .* 'tuple'"),
        (MinMaxScaler(feature_range=(1, 1)), r"^feature_range must be .* got \(1, 1\)"),
        (MinMaxScaler(feature_range=(-1.7e308, 1.7e308)), "does not fit into float64"),
        (MinMaxScaler(clip="yes"), "The 'clip' parameter of MinMaxScaler"),
        (StandardScaler(with_mean="yes"), "The 'with_mean' parameter of StandardScaler"),
        (StandardScaler(with_std="yes"), "The 'with_std' parameter of StandardScaler"),
        (StandardScaler(copy="yes"), "The 'copy' parameter of StandardScaler"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(scaler, words):
    with pytest.raises(ValueError, match=words):
        scaler.fit(np.eye(2))
    with pytest.raises(ValueError, match="Invalid parameter 'width' for estimator"):
        scaler.set_params(width=1)


def test_a_feature_range_wider_than_the_dtype_is_named():
    X = np.float16([[0], [1]])
    with pytest.raises(ValueError, match="does not fit into float16, the dtype of X"):
        MinMaxScaler((0, 1e6)).fit(X)
    scaler = MinMaxScaler((0, 1e6)).fit(X.astype(float))
    for method in (scaler.transform, scaler.inverse_transform):
        with pytest.raises(ValueError, match="does not fit into float16, the dtype of X"):
            method(X)


# ---- what a scaler does besides --------------------------------------------------------------


def test_clipping_keeps_new_data_inside():
    X, new = np.array([[0.0], [2.0]]), np.array([[-1.0], [1.0], [5.0], [nan]])
    inside = MinMaxScaler((-1, 3), clip=True).fit(X).transform(new)
    np.testing.assert_array_equal(inside, [[-1], [1], [3], [nan]])


def test_another_feature_range_waits_for_the_next_fit():
    X = np.array([[0.0], [2.0]])
    for module in (ours, theirs):
        scaler = module.MinMaxScaler().fit(X).set_params(feature_range=(0, 10))
        np.testing.assert_array_equal(scaler.transform(X), [[0], [1]])
        np.testing.assert_array_equal(scaler.inverse_transform(X), [[0], [4]])
        np.testing.assert_array_equal(scaler.partial_fit(X).transform(X), [[0], [10]])


IN_PLACE = [
    MinMaxScaler(copy=False),
    MinMaxScaler(copy=False, clip=True),
    *(StandardScaler(copy=False, **options) for options in FLAGS),
]


@pytest.mark.parametrize("scaler", IN_PLACE, ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_without_a_copy_the_data_are_overwritten(scaler, dtype):
    X = near(3, dtype)
    copying = clone(scaler).set_params(copy=True).fit(X)
    scaler = clone(scaler).fit(X)
    np.testing.assert_array_equal(X, near(3, dtype))
    for method in ("transform", "inverse_transform"):
        kept = X.copy()
        expected = getattr(copying, method)(kept)
        np.testing.assert_array_equal(kept, X)
        assert not np.shares_memory(expected, kept)
        assert getattr(scaler, method)(X) is X
        np.testing.assert_array_equal(X, expected)
    if isinstance(scaler, StandardScaler):
        assert scaler.transform(X, copy=True) is not X
        assert copying.transform(X, copy=False) is X
        assert copying.inverse_transform(X, copy=False) is X
    integers = np.arange(8).reshape(2, 4)
    scaler.transform(integers)
    np.testing.assert_array_equal(integers, np.arange(8).reshape(2, 4))


@pytest.mark.parametrize("with_std", [True, False])
def test_without_a_copy_stored_values_are_overwritten(with_std):
    X = sparse.csr_array(np.diag([1.0, 3, 9]))
    scaler = StandardScaler(with_mean=False, with_std=with_std, copy=False).fit(X)
    np.testing.assert_array_equal(X.toarray(), np.diag([1, 3, 9]))
    expected = scaler.transform(X, copy=True).toarray()
    np.testing.assert_array_equal(X.toarray(), np.diag([1, 3, 9]))
    scaler.transform(X)
    np.testing.assert_array_equal(X.toarray(), expected)
    scaler.inverse_transform(X)
    np.testing.assert_allclose(X.toarray(), np.diag([1, 3, 9]))


@each_scaler
def test_tensors_become_arrays(scaler):
    X = near(3)
    y = scaler().fit(torch.tensor(X)).transform(torch.tensor(X))
    assert isinstance(y, np.ndarray)
    np.testing.assert_array_equal(y, scaler().fit_transform(X))


@pytest.mark.parametrize(
    "scaler", [MinMaxScaler((-1, 2), clip=True, copy=False), StandardScaler(with_std=False)]
)
def test_clones_and_pickles(scaler):
    scaler = clone(scaler).fit(with_holes(near(3)))
    again = pickle.loads(pickle.dumps(scaler))
    np.testing.assert_array_equal(again.transform(near(4)), scaler.transform(near(4)))
    again.partial_fit(near(5))
    assert attributes(again).keys() == attributes(scaler).keys()
    copy = clone(scaler)
    assert copy.get_params() == scaler.get_params()
    assert attributes(copy) == {}


@each_variant
def test_tags_parameters_and_names_are_scikit_learns(name, options):
    mine, other = (getattr(module, name)(**options) for module in (ours, theirs))
    assert mine.get_params() == other.get_params()
    assert repr(mine) == repr(other)
    assert mine._repr_html_()
    a, b = get_tags(mine), get_tags(other)
    b.array_api_support = False  # arrays and tensors are for the functions
    b.transformer_tags.preserves_dtype = ["float64", "float32"]  # as scikit-learn's do in fact
    assert a == b


def test_pipelines_and_searches():
    X, y = load_wine(return_X_y=True)
    model = LogisticRegression(max_iter=500)
    pipes = [
        make_pipeline(module.MinMaxScaler((-1, 1)), module.StandardScaler(), model)
        for module in (ours, theirs)
    ]
    np.testing.assert_allclose(*(cross_val_score(pipe, X, y) for pipe in pipes))
    grid = {"minmaxscaler__clip": [True, False], "standardscaler__with_std": [True, False]}
    searches = [GridSearchCV(clone(pipe), grid, cv=3).fit(X, y) for pipe in pipes]
    np.testing.assert_allclose(*(search.cv_results_["mean_test_score"] for search in searches))
    fitted = pipes[0][:-1].fit(X)
    assert list(fitted.get_feature_names_out()) == [f"x{i}" for i in range(13)]
    np.testing.assert_allclose(fitted.inverse_transform(fitted.transform(X)), X)


def test_sample_weights_are_routed_on_request():
    X, y = load_wine(return_X_y=True)
    weights = np.random.default_rng(0).uniform(0, 2, len(y))
    scores = []
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression(max_iter=500).set_fit_request(sample_weight=False)
        model.set_score_request(sample_weight=True)
        for module in (ours, theirs):
            scaler = module.StandardScaler().set_fit_request(sample_weight=True)
            assert scaler.set_partial_fit_request(sample_weight=True) is scaler
            pipe = make_pipeline(scaler, clone(model)).fit(X, y, sample_weight=weights)
            np.testing.assert_allclose(pipe[0].mean_, np.average(X, 0, weights))
            run = cross_validate(pipe, X, y, params={"sample_weight": weights}, error_score="raise")
            scores.append(run["test_score"])
            with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
                make_pipeline(module.StandardScaler(), model).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(*scores)


def test_the_package_alone_loads_neither_scikit_learn_nor_torch():
    code = "import sys, normcourse; print(sorted({'sklearn', 'scipy', 'torch'} & {*sys.modules}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert not hasattr(__import__("normcourse"), "StandardScaler")
