r"""Rescaling features: min-max scaling and standardization, fitted once and applied to all data.

.. math:: x' = a + (b - a) \frac{x - \min}{\max - \min} \qquad\qquad z = \frac{x - \mu}{\sigma}

Statistics are per column of a table (samples, features), in float64 where the library has it.
Names follow scikit-learn, so that the scalers go into its pipelines.
"""

from typing import Any, Self

import numpy

from normcourse.checks import check_array
from normcourse.core import mean_and_variance, narrow

__all__ = ["MinMaxScaler", "StandardScaler", "merge_statistics"]


Statistics = tuple[Any, Any, Any]


def merge_statistics(a: Statistics, b: Statistics) -> Statistics:
    r"""Count, mean and variance of two data sets together.

    .. math::
        \delta = \mu_b - \mu_a \qquad \mu = \mu_a + \delta \frac{n_b}{n} \qquad
        n \sigma^2 = n_a \sigma_a^2 + n_b \sigma_b^2
        + \delta^2 \frac{n_a n_b}{n}

    Args:
        a, b: (n, mean, biased variance) of each; mean and variance numbers or arrays.

    Returns:
        (n, mean, biased variance) of both together.

    Raises:
        ZeroDivisionError: there are no data in either.

    Source: Chan, Golub & LeVeque 1983; with n_b = 1, Welford 1962.
    """
    (n_a, mean_a, var_a), (n_b, mean_b, var_b) = a, b
    n, delta = n_a + n_b, mean_b - mean_a
    share_a, share_b = n_a / n, n_b / n
    within = share_a * var_a + share_b * var_b
    between = share_a * share_b * delta**2
    return n, mean_a + share_b * delta, within + between


class _Scaler:
    """A rescaling is a choice of origin and unit: ``_learn`` finds them, ``_affine`` names them."""

    n_samples_seen_: int = 0
    n_features_in_: int | None = None
    scale_: Any

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the statistics of X (samples, features); earlier ones are forgotten."""
        before = self.n_samples_seen_, self.n_features_in_
        self.n_samples_seen_, self.n_features_in_ = 0, None
        try:
            return self.partial_fit(X)
        except Exception:  # what was learned from other data is not lost
            self.n_samples_seen_, self.n_features_in_ = before
            raise

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Merge one more chunk of training data into the statistics."""
        X = self._table(X)
        if len(X) == 0 or not (abs(X) < float("inf")).all():
            raise ValueError(
                "X must have at least one row, and no NaN or infinity: impute or drop."
            )
        # Constants from here on: no gradient flows into them.
        self._learn(X.astype(float) if hasattr(X, "astype") else X.detach().to(float))
        self.n_samples_seen_, self.n_features_in_ = self.n_samples_seen_ + len(X), X.shape[1]
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """``fit(X).transform(X)``. For training data only: other data must not be fitted on."""
        return self.fit(X).transform(X)

    def transform(self, X: Any) -> Any:
        """X in the new units, in its own dtype; NaN stays NaN."""
        X = self._table(X, fitted=True)
        origin, unit, low = self._affine()
        return narrow((X - origin) / unit + low, X)

    def inverse_transform(self, X: Any) -> Any:
        """X back in the units of the data; exact up to rounding."""
        X = self._table(X, fitted=True)
        origin, unit, low = self._affine()
        return narrow((X - low) * unit + origin, X)

    def _table(self, X: Any, fitted: bool = False) -> Any:
        """X as a floating-point table with as many columns as before, or a clear error."""
        if fitted and not self.n_samples_seen_:
            raise ValueError(f"{self!r} is not fitted yet: call fit(X) with training data first.")
        if not hasattr(X, "dtype") or not hasattr(X, "shape"):
            X = numpy.asarray(X)
        X = X * 1.0 if "int" in str(X.dtype) or "bool" in str(X.dtype) else X
        check_array("X", X)
        if X.ndim != 2:
            raise ValueError(
                f"X must be a table (samples, features), got shape {tuple(X.shape)}. For a single "
                "feature use X.reshape(-1, 1), for a single sample X.reshape(1, -1)."
            )
        if self.n_features_in_ not in (None, X.shape[1]):
            n = self.n_features_in_
            raise ValueError(f"X has {X.shape[1]} features, but {self!r} was fitted on {n}.")
        if self.n_samples_seen_ and hasattr(X, "detach") != hasattr(self.scale_, "detach"):
            kind = type(self.scale_).__name__
            raise TypeError(f"X is a {type(X).__name__}, but {self!r} was fitted on a {kind}.")
        return X

    def __repr__(self) -> str:
        params = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({params})"

    # What scikit-learn's clone, Pipeline and GridSearchCV ask for.

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name."""
        return {name: value for name, value in vars(self).items() if not name.endswith("_")}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments by name; an unknown name raises ValueError."""
        for name in params.keys() - self.get_params().keys():
            raise ValueError(f"{name!r} is no parameter; there are {list(self.get_params())}.")
        vars(self).update(params)
        return self

    def _learn(self, X: Any) -> None:
        raise NotImplementedError

    def _affine(self) -> tuple[Any, Any, Any]:
        """(origin, unit, low): x becomes (x - origin) / unit + low."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags, TransformerTags  # only scikit-learn calls this

        return Tags(None, TargetTags(required=False), TransformerTags())


class MinMaxScaler(_Scaler):
    r"""Map each feature's training range linearly onto ``feature_range``.

    .. math:: x' = a + (b - a) \frac{x - \min}{\max - \min}

    A constant feature is mapped to the lower end.

    Args:
        feature_range: (a, b), where the training range goes.
        clip: keep new data inside it, too; otherwise it may leave.

    Attributes:
        data_min_, data_max_, data_range_: (features,), of the training data.
        scale_, min_: (features,), so that x' is ``x * scale_ + min_``.
        n_features_in_, n_samples_seen_: the columns and rows seen so far.

    Raises:
        TypeError: X is no number table, or of another library than the training data.
        ValueError: X is not 2-D or not finite, has another number of features, or comes
            before ``fit``; or ``feature_range`` is empty, or wider than the dtype of X.

    Source: scikit-learn's ``MinMaxScaler``, whose names and results it shares.
    """

    data_min_: Any
    data_max_: Any

    def __init__(self, feature_range: tuple[float, float] = (0, 1), *, clip: bool = False) -> None:
        self.feature_range = feature_range
        self.clip = clip

    def _learn(self, X: Any) -> None:
        low, high = self.feature_range
        if not low < high:
            raise ValueError(f"feature_range must have low < high, got {low, high}.")
        self._check_range(X, high - low)
        # Along an axis, torch returns (values, indices).
        extremes = X.min(0), X.max(0)
        smallest, largest = (getattr(m, "values", m) for m in extremes)
        if self.n_samples_seen_:
            smallest = smallest.clip(None, self.data_min_)
            largest = largest.clip(self.data_max_, None)
        self.data_min_, self.data_max_ = smallest, largest
        self.data_range_ = largest - smallest
        _, unit, _ = self._affine()
        self.scale_, self.min_ = 1 / unit, low - smallest / unit

    def _affine(self) -> tuple[Any, Any, Any]:
        low, high = self.feature_range
        span = self.data_range_ + (self.data_range_ == 0)
        # An array: a number would take the dtype of X, in which X - low is rounded or infinite.
        return self.data_min_, span / (high - low), self.data_min_ * 0 + low

    def _check_range(self, X: Any, *bounds: float) -> None:
        with numpy.errstate(over="ignore"):  # a sum of nothing is 0 in the dtype of X
            fits = all(abs(X[:0].sum() + float(bound)) < float("inf") for bound in bounds)
        if not fits:
            instead = ", or convert X to float64 first" if X.dtype.itemsize < 8 else ""
            raise ValueError(
                f"feature_range={tuple(self.feature_range)} does not fit into {X.dtype}, the dtype "
                f"of X. Choose a smaller one{instead}."
            )

    def transform(self, X: Any) -> Any:
        """X with the training range mapped onto ``feature_range``."""
        X = self._table(X, fitted=True)
        self._check_range(X, *self.feature_range)
        scaled = super().transform(X)
        return scaled.clip(*self.feature_range) if self.clip else scaled


class StandardScaler(_Scaler):
    r"""Give each training feature mean 0 and standard deviation 1.

    .. math:: z = \frac{x - \mu}{\sigma}

    A constant feature becomes 0: its scale is 1.

    Args:
        with_mean: subtract the mean.
        with_std: divide by the standard deviation.

    Attributes:
        mean_, var_: (features,), the variance being the biased one (divided by n).
        scale_: (features,), the square root of the variance.
        n_features_in_, n_samples_seen_: the columns and rows seen so far.

    Raises:
        TypeError: X is no number table, or of another library than the training data.
        ValueError: X is not 2-D or not finite, has another number of features, or comes
            before ``fit``.

    Source: scikit-learn's ``StandardScaler``, whose names and results it shares.
    """

    mean_: Any
    var_: Any

    def __init__(self, *, with_mean: bool = True, with_std: bool = True) -> None:
        self.with_mean = with_mean
        self.with_std = with_std

    def _learn(self, X: Any) -> None:
        mean, var = mean_and_variance(X, 0)
        chunk = n, mean, var = len(X), mean[0], var[0]
        if self.n_samples_seen_:
            seen = self.n_samples_seen_, self.mean_, self.var_
            n, mean, var = merge_statistics(seen, chunk)
        # Rounding alone can give a constant feature this much variance.
        precision = 2.0**-52 if X.dtype.itemsize == 8 else 2.0**-23
        constant = var <= (precision * n * mean) ** 2
        self.mean_, self.var_ = mean, var
        self.scale_ = (var * ~constant + constant) ** 0.5

    def _affine(self) -> tuple[Any, Any, Any]:
        unit = self.scale_ if self.with_std else 1.0
        return self.mean_ * self.with_mean, unit, 0.0
