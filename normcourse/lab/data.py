"""Real data that ships with scikit-learn: nothing is downloaded, everything is float64."""

from functools import cache
from typing import NamedTuple

import numpy as np

from normcourse.rescaling import standard_scale, standard_statistics

__all__ = ["Split", "Table", "breast_cancer", "digits", "photographs", "split", "wine"]


class Split(NamedTuple):
    """A training and a test set: x (samples, features), y (samples,) with class numbers."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Table(NamedTuple):
    """A table x (samples, features) with the class y of each row and the features' names."""

    x: np.ndarray
    y: np.ndarray
    features: tuple[str, ...]
    classes: tuple[str, ...]


def digits(scaling="unit", seed=0):
    """Handwritten digits of 8 x 8 pixels: 1297 to train on, 500 to test, 64 features, 10 classes.

    Args:
        scaling: "unit" divides the grey levels 0..16 by 16; "standard" standardizes each pixel
            with the training set's statistics; None leaves the grey levels.
        seed: of the split.
    """
    if scaling not in ("unit", "standard", None):
        raise ValueError(f"scaling must be 'unit', 'standard' or None, got {scaling!r}.")
    data = split(*_digits(), test_size=500, seed=seed)
    if scaling == "standard":
        _, *fitted = standard_statistics(data.x_train)
        return data._replace(
            x_train=standard_scale(data.x_train, *fitted),
            x_test=standard_scale(data.x_test, *fitted),
        )
    range_ = 16.0 if scaling else 1.0
    return data._replace(x_train=data.x_train / range_, x_test=data.x_test / range_)


def wine():
    """Chemical analysis of 178 wines of 3 cultivars: 13 features in very different units."""
    from sklearn.datasets import load_wine

    return _table(load_wine())


def breast_cancer():
    """569 tumours, benign or malignant: 30 features of cell nuclei, from 0 to 4254."""
    from sklearn.datasets import load_breast_cancer

    return _table(load_breast_cancer())


def photographs():
    """Two photographs, a temple in China and a flower: (427, 640, 3) each, RGB in 0..1."""
    from sklearn.datasets import load_sample_images

    return [image / 255.0 for image in load_sample_images().images]


def split(x, y, test_size, seed=0):
    """Shuffle the rows with ``seed`` and keep ``test_size`` of them for testing."""
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = order[:test_size], order[test_size:]
    return Split(x[train], y[train], x[test], y[test])


@cache
def _digits():
    from sklearn.datasets import load_digits

    return load_digits(return_X_y=True)


def _table(bunch):
    return Table(
        bunch.data.astype(np.float64),
        bunch.target,
        tuple(str(name) for name in bunch.feature_names),
        tuple(str(name) for name in bunch.target_names),
    )
