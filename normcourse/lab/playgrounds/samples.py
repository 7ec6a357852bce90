"""The distributions a reader can choose from. All start from the same seed, whatever is chosen."""

import numpy as np

__all__ = ["DISTRIBUTIONS", "sample"]

DISTRIBUTIONS = ("normal", "shifted", "skewed", "heavy-tailed", "with an outlier")


def sample(distribution, shape, seed=0):
    """Numbers of the given distribution and shape, with a spread of about 1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    if distribution == "shifted":
        return x + 5
    if distribution == "skewed":
        return rng.exponential(1.0, shape)
    if distribution == "heavy-tailed":
        return rng.standard_t(2, shape)
    if distribution == "with an outlier":
        x[(0,) * x.ndim] = 12.0
    return x
