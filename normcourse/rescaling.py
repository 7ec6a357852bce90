r"""Rescaling features: min-max scaling and standardization, fitted once and applied to all data.

.. math:: x' = a + (b - a) \frac{x - \min}{\max - \min} \qquad\qquad z = \frac{x - \mu}{\sigma}

Statistics are per column of a table (samples, features). Names follow scikit-learn, so that the
scalers go into its pipelines. Left out: NaN as a missing value, sparse input, sample weights.
"""

import numpy

from normcourse.core import check_array, mean_and_variance

__all__ = ["MinMaxScaler", "StandardScaler", "merge_statistics"]


def merge_statistics(a, b):
    r"""Count, mean and variance of two data sets together (Chan, Golub & LeVeque 1983).

    .. math:: \mu = \mu_a + \delta \frac{n_b}{n}, \qquad
              n \sigma^2 = n_a \sigma_a^2 + n_b \sigma_b^2 + \delta^2 \frac{n_a n_b}{n},
              \qquad \delta = \mu_b - \mu_a

    With n_b = 1 and variance 0 this is Welford's update (1962). ``a``, ``b`` and the result are
    (n, mean, biased variance).
    """
    (n_a, mean_a, var_a), (n_b, mean_b, var_b) = a, b
    n, delta = n_a + n_b, mean_b - mean_a
    var = (n_a / n) * var_a + (n_b / n) * var_b + delta**2 * ((n_a / n) * (n_b / n))
    return n, mean_a + delta * (n_b / n), var


def _table(X, columns=None):
    """X as a floating-point table (samples, features), or a clear error."""
    if not hasattr(X, "dtype") or not hasattr(X, "shape"):
        X = numpy.asarray(X)
    if "int" in str(X.dtype) or "bool" in str(X.dtype):
        X = X * 1.0
    check_array("X", X)
    if X.ndim != 2 or X.shape[0] == 0:
        raise ValueError(
            f"X must be a table (samples, features) with at least one sample, got shape "
            f"{tuple(X.shape)}. For a single feature use X.reshape(-1, 1)."
        )
    if columns is not None and X.shape[1] != columns:
        raise ValueError(f"X has {X.shape[1]} features, but the scaler was fitted on {columns}.")
    if not (X - X == 0).all():
        raise ValueError("X contains NaN or infinity. Impute or drop those rows first.")
    return X


def _values(extremes):
    """torch's min and max along an axis return (values, indices); the others the values."""
    return getattr(extremes, "values", extremes)


def _choose(condition, a, b):
    """a where condition, else b: exact for finite numbers, in every library."""
    return a * condition + b * ~condition


class _Scaler:
    """What both scalers share: fitting from scratch or in chunks, and scikit-learn's protocol."""

    def fit(self, X, y=None):
        """Learn the statistics of X (samples, features), forgetting any earlier ones."""
        self.__dict__.pop("n_samples_seen_", None)
        return self.partial_fit(X)

    def fit_transform(self, X, y=None):
        """``fit(X).transform(X)``. For the training set only: other data must not be fitted on."""
        return self.fit(X).transform(X)

    def transform(self, X):
        """X in the scaled units: X * factor + offset, column by column."""
        factor, offset = self._affine()
        return _table(X, self.n_features_in_) * factor + offset

    def inverse_transform(self, X):
        """X back in the units of the data; exact up to rounding."""
        factor, offset = self._affine()
        return (_table(X, self.n_features_in_) - offset) / factor

    def _affine(self):
        if not hasattr(self, "n_samples_seen_"):
            name = type(self).__name__
            raise ValueError(f"this {name} is not fitted yet: call fit(X) with training data first.")
        return self._factor_and_offset()

    def _seen_before(self, X):
        """Whether statistics exist already; records how many columns X has."""
        if hasattr(self, "n_samples_seen_"):
            return True
        self.n_features_in_ = X.shape[1]
        self.n_samples_seen_ = 0
        return False

    def __sklearn_tags__(self):
        from sklearn.utils import Tags, TargetTags, TransformerTags  # only scikit-learn calls this

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(),
        )

    def __sklearn_is_fitted__(self):
        return hasattr(self, "n_samples_seen_")

    def get_params(self, deep=True):
        """The constructor's arguments, as scikit-learn's ``clone`` and searches ask for them."""
        return {name: value for name, value in vars(self).items() if not name.endswith("_")}

    def set_params(self, **params):
        """Change constructor arguments by name; an unknown name raises ValueError."""
        for name, value in params.items():
            if name not in self.get_params():
                raise ValueError(f"{name!r} is no parameter; there are {list(self.get_params())}.")
            setattr(self, name, value)
        return self


class MinMaxScaler(_Scaler):
    """Map each feature's training range linearly onto ``feature_range``.

    ``inverse_transform`` undoes it; new data outside the training range leaves the interval
    unless ``clip``. A constant feature is mapped to the lower end.

    Attributes after fit: data_min_, data_max_, data_range_, scale_, min_, n_features_in_,
    n_samples_seen_.
    """

    def __init__(self, feature_range=(0, 1), *, clip=False):
        self.feature_range = feature_range
        self.clip = clip

    def partial_fit(self, X, y=None):
        """Extend the range by one more chunk of training data."""
        low, high = self.feature_range
        if not low < high:
            raise ValueError(f"feature_range must be (low, high) with low < high, got {low, high}.")
        X = _table(X, getattr(self, "n_features_in_", None))
        lowest, highest = _values(X.min(0)), _values(X.max(0))
        if self._seen_before(X):
            lowest = _choose(lowest < self.data_min_, lowest, self.data_min_)
            highest = _choose(highest > self.data_max_, highest, self.data_max_)
        self.data_min_, self.data_max_ = lowest, highest
        self.data_range_ = highest - lowest
        self.scale_ = (high - low) / _choose(self.data_range_ > 0, self.data_range_, 1.0)
        self.min_ = low - lowest * self.scale_
        self.n_samples_seen_ += X.shape[0]
        return self

    def transform(self, X):
        """X mapped onto the feature range of the training data."""
        scaled = super().transform(X)
        return scaled.clip(*self.feature_range) if self.clip else scaled

    def _factor_and_offset(self):
        return self.scale_, self.min_


class StandardScaler(_Scaler):
    """Give each feature mean 0 and standard deviation 1 on the training data.

    The variance is the biased one (divided by n). It changes location and scale, never the
    shape of a distribution. A constant feature becomes 0: its scale counts as 1.

    Attributes after fit: mean_, var_, scale_, n_features_in_, n_samples_seen_.
    """

    def __init__(self, *, with_mean=True, with_std=True):
        self.with_mean = with_mean
        self.with_std = with_std

    def partial_fit(self, X, y=None):
        """Merge one more chunk of training data into the statistics."""
        X = _table(X, getattr(self, "n_features_in_", None))
        mean, var = mean_and_variance(X, 0)
        chunk = X.shape[0], mean[0], var[0]
        if self._seen_before(X):
            chunk = merge_statistics((self.n_samples_seen_, self.mean_, self.var_), chunk)
        self.n_samples_seen_, self.mean_, self.var_ = chunk
        # Rounding can leave a constant feature a tiny variance: count that as constant, too.
        rounding = {8: 2.0**-52, 4: 2.0**-23, 2: 2.0**-10}[X.dtype.itemsize]
        varies = self.var_ > (rounding * self.n_samples_seen_ * self.mean_) ** 2
        self.scale_ = _choose(varies, self.var_, 1.0) ** 0.5
        return self

    def _factor_and_offset(self):
        factor = 1 / self.scale_ if self.with_std else self.scale_**0
        return factor, -self.mean_ * factor if self.with_mean else 0 * factor
