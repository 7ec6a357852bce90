"""The scalers as estimators, with the names, arguments and results of ``sklearn.preprocessing``.

Write ``normcourse.preprocessing`` for ``sklearn.preprocessing``. What is computed stands in
``normcourse/rescaling.py``; here are scikit-learn's validation and what a scaler remembers. NaN is
a missing value: it has no part in the statistics, and stays NaN.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.sparsefuncs import mean_variance_axis, min_max_axis
from sklearn.utils.validation import (
    FLOAT_DTYPES,
    _check_n_features,
    _check_sample_weight,
    check_array,
    check_is_fitted,
    validate_data,
)

from normcourse.rescaling import (
    Statistics,
    merge_statistics,
    min_max_inverse,
    min_max_line,
    min_max_scale,
    rescale,
    rescale_inverse,
    standard_line,
    standard_statistics,
)

__all__ = ["MinMaxScaler", "StandardScaler"]

NUMBERS = {"dtype": FLOAT_DTYPES, "ensure_all_finite": "allow-nan"}


class _Scaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What both scalers do around their statistics."""

    n_samples_seen_: Any
    scale_: Any

    @contextmanager
    def _learning(self) -> Iterator[None]:
        """Check the arguments of the constructor. An error leaves what was learned before."""
        before = self.__dict__.copy()
        try:
            self._validate_params()
            yield
        except BaseException:
            self.__dict__ = before
            raise

    def _is_new(self) -> bool:
        return not hasattr(self, "n_samples_seen_")

    def _new_data(self, X: Any, copy: bool, **accept: Any) -> Any:
        """X as a table with the features of the training data, by number and by name."""
        check_is_fitted(self)
        return validate_data(self, X, reset=False, force_writeable=not copy, **NUMBERS, **accept)

    def _scaled_data(self, X: Any, copy: bool, **accept: Any) -> Any:
        """X as a table with as many features as the training data, whatever they are called."""
        check_is_fitted(self)
        X = check_array(X, force_writeable=not copy, estimator=self, **NUMBERS, **accept)
        _check_n_features(self, X, reset=False)
        return X

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class MinMaxScaler(_Scaler):
    r"""Map each feature's training range linearly onto ``feature_range``.

    .. math:: x' = a + (b - a) \frac{x - \min}{\max - \min}

    A constant feature is mapped to the lower end: one whose range is at most 4 eps times
    :math:`|\min| + |\max|`. (scikit-learn's, 10 eps, does not go with the size of the numbers.)

    Args:
        feature_range: (a, b), where the training range goes.
        copy: False overwrites the data to transform, where they are a float array.
        clip: keep new data inside ``feature_range``, too; otherwise they may leave it.

    Attributes:
        data_min_, data_max_, data_range_: (features,), of the training data.
        scale_, min_: (features,), so that x' is ``x * scale_ + min_``.
        n_features_in_, feature_names_in_, n_samples_seen_: the columns and rows seen so far.

    Raises:
        NotFittedError: a call of ``transform`` or its inverse comes before ``fit``.
        TypeError: X is sparse.
        ValueError: X is no table of numbers, or has other features than the training data, or
            ``feature_range`` is empty or wider than the dtype of X.

    Source: scikit-learn's ``MinMaxScaler``, whose names and results it shares.
    """

    _parameter_constraints: ClassVar = {
        "feature_range": [tuple],
        "copy": ["boolean"],
        "clip": ["boolean"],
    }
    data_min_: Any
    data_max_: Any

    def __init__(
        self, feature_range: tuple[float, float] = (0, 1), *, copy: bool = True, clip: bool = False
    ) -> None:
        self.feature_range = feature_range
        self.copy = copy
        self.clip = clip

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the extremes of X (samples, features); earlier ones are forgotten."""
        return self._learn(X, first=True)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Merge one more chunk of training data into the extremes."""
        return self._learn(X, first=self._is_new())

    def _learn(self, X: Any, first: bool) -> Self:
        with self._learning():
            X = validate_data(self, X, reset=first, **NUMBERS)
            # Not NaN, unless a feature is nothing else.
            smallest, largest = np.fmin.reduce(X).astype(float), np.fmax.reduce(X).astype(float)
            if not first:
                smallest = np.fmin(smallest, self.data_min_)
                largest = np.fmax(largest, self.data_max_)
            origin, unit, low = min_max_line(X, smallest, largest, self.feature_range)
            self.n_samples_seen_ = len(X) + (0 if first else self.n_samples_seen_)
            self.data_min_, self.data_max_, self.data_range_ = smallest, largest, largest - smallest
            self.scale_, self.min_ = 1 / unit, low - origin / unit
            self._ends = self.feature_range  # changed, it waits for the next fit
        return self

    def transform(self, X: Any) -> Any:
        """X with the training range mapped onto ``feature_range``."""
        X = self._new_data(X, self.copy)
        Z = min_max_scale(X, self.data_min_, self.data_max_, self._ends)
        return _placed(Z.clip(*self._ends) if self.clip else Z, X, self.copy)

    def inverse_transform(self, X: Any) -> Any:
        """X back in the units of the training data; exact up to rounding."""
        X = self._scaled_data(X, self.copy)
        return _placed(min_max_inverse(X, self.data_min_, self.data_max_, self._ends), X, self.copy)


class StandardScaler(_Scaler):
    r"""Give each training feature mean 0 and standard deviation 1.

    .. math:: z = \frac{x - \mu}{\sigma}

    A constant feature becomes 0: its scale is 1. Constant is one whose standard deviation is at
    most 4 eps times its mean; scikit-learn's bound, n eps, grows with the rows and in the end takes
    a real spread for rounding.

    Args:
        copy: False overwrites the data to transform, where they are a float array.
        with_mean: subtract the mean. Sparse data need False: their zeros would be filled.
        with_std: divide by the standard deviation.

    Attributes:
        mean_, var_: (features,), the variance being the biased one (divided by n); NaN for a
            feature of which no value was seen.
        scale_: (features,), the square root of the variance. Without ``with_std`` it is None, and
            so is ``var_``; without ``with_mean`` as well, so is ``mean_``.
        n_features_in_, feature_names_in_: the columns seen so far.
        n_samples_seen_: the rows seen so far, or the sum of their weights; (features,) where
            values are missing.

    Raises:
        NotFittedError: a call of ``transform`` or its inverse comes before ``fit``.
        ValueError: X is no table of numbers, has other features than the training data, or is
            sparse and to be centred; or ``sample_weight`` is not one weight per row, none of them
            negative.

    Source: scikit-learn's ``StandardScaler``, whose names and results it shares.
    """

    _parameter_constraints: ClassVar = {
        "copy": ["boolean"],
        "with_mean": ["boolean"],
        "with_std": ["boolean"],
    }
    _merged: Statistics

    def __init__(self, *, copy: bool = True, with_mean: bool = True, with_std: bool = True) -> None:
        self.copy = copy
        self.with_mean = with_mean
        self.with_std = with_std

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn the statistics of X (samples, features); earlier ones are forgotten."""
        return self._learn(X, first=True, sample_weight=sample_weight)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Merge one more chunk of training data into the statistics."""
        return self._learn(X, first=self._is_new(), sample_weight=sample_weight)

    def _learn(self, X: Any, first: bool, sample_weight: Any) -> Self:
        with self._learning():
            X = validate_data(self, X, reset=first, accept_sparse=("csr", "csc"), **NUMBERS)
            self._check_centring(X)
            if sample_weight is not None:
                sample_weight = _check_sample_weight(
                    sample_weight, X, dtype=np.float64, ensure_non_negative=True
                )
            n, mean, var = _statistics(X, sample_weight)
            if not first:
                n, mean, var = merge_statistics(self._merged, (n, mean, var))
            self._merged = n, mean, var
            mean, var = (np.where(n > 0, statistic, np.nan) for statistic in (mean, var))
            self.n_samples_seen_ = n[0] if (n == n[0]).all() else n
            self.mean_ = mean if self.with_mean or self.with_std else None
            self.var_ = var if self.with_std else None
            self.scale_ = standard_line(mean, var)[1] if self.with_std else None
        return self

    def transform(self, X: Any, copy: bool | None = None) -> Any:
        """X in the new units; ``copy`` stands in for the constructor's."""
        copy = self.copy if copy is None else copy
        return self._map(rescale, self._new_data(X, copy, accept_sparse="csr"), copy)

    def inverse_transform(self, X: Any, copy: bool | None = None) -> Any:
        """X back in the units of the training data; exact up to rounding."""
        copy = self.copy if copy is None else copy
        return self._map(rescale_inverse, self._scaled_data(X, copy, accept_sparse="csr"), copy)

    def _map(self, line: Any, X: Any, copy: bool) -> Any:
        self._check_centring(X)
        origin = self.mean_ if self.with_mean else 0.0
        unit = self.scale_ if self.with_std else np.ones(X.shape[1])
        if not sparse.issparse(X):
            return _placed(line(X, origin, unit), X, copy)
        X = X.copy() if copy else X
        X.data[...] = line(X.data, 0.0, unit[X.indices])  # zeros stay where they are
        return X

    def _check_centring(self, X: Any) -> None:
        if self.with_mean and sparse.issparse(X):
            raise ValueError(
                "Cannot center sparse matrices: pass `with_mean=False` instead, or X.toarray() if "
                "it fits into memory. Minus a mean, zeros are zeros no longer."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = not self.with_mean
        return tags


def _statistics(X: Any, sample_weight: Any) -> Statistics:
    """(n, mean, variance) of what is not missing, each (features,)."""
    if sparse.issparse(X):
        X = X.astype(float)
        mean, var, n = mean_variance_axis(X, 0, weights=sample_weight, return_sum_weights=True)
        # Long sums of equal numbers are rounded there, and leave a variance.
        smallest, largest = min_max_axis(X, 0, ignore_nan=True)
        equal = smallest == largest
        mean, var = np.where(equal, smallest, mean), np.where(equal, 0, var)
        mean, var = np.where(n > 0, (mean, var), 0)
    else:
        missing = np.isnan(X)
        if sample_weight is None and not missing.any():
            n, mean, var = standard_statistics(X)
            return np.full(X.shape[1], n), mean, var
        weights = 1.0 if sample_weight is None else sample_weight[:, None]
        n, mean, var = standard_statistics(np.nan_to_num(X), weights * ~missing)
    return n.astype(int) if sample_weight is None else n, mean, var


def _placed(Z: Any, X: Any, copy: bool) -> Any:
    """The result Z; without a copy it is written over X."""
    if copy:
        return Z
    X[...] = Z
    return X
