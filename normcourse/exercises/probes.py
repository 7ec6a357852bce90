"""What records share: random inputs that are never degenerate by chance, and wrong variances."""

import math

import numpy as np

__all__ = ["channels", "mean_square", "naive_variance", "spread_out", "variances", "weights"]


def spread_out(rng, n, c, *rest, mean=0.0):
    """float32 (N, C, ...): per channel a variance near 1 and a mean 0.5 to 1.5 off ``mean``."""
    count = math.prod((n, *rest))
    levels = rng.permuted(np.tile(np.linspace(-1.6, 1.6, count), (c, 1)), axis=1)
    x = mean + weights(rng, c, 0.5, 1.5)[:, None] + levels + rng.uniform(-0.2, 0.2, levels.shape)
    return np.ascontiguousarray(x.reshape(c, n, *rest).swapaxes(0, 1), dtype=np.float32)


def channels(rng, shape, mean=0.0):
    """Standard normal around ``mean``."""
    return (mean + rng.standard_normal(shape)).astype(np.float32)


def weights(rng, shape, low=0.5, high=2.0):
    """Of either sign, and away from zero."""
    return (rng.uniform(low, high, shape) * (2 * rng.integers(0, 2, shape) - 1)).astype(np.float32)


def variances(rng, shape):
    """Positive, around 1."""
    return rng.uniform(0.5, 2.0, shape).astype(np.float32)


def mean_square(x, axis, keepdims=False):
    """The variance of those who forget to subtract the mean."""
    return (x**2).mean(axis, keepdims=keepdims)


def naive_variance(x, axis, keepdims=False, ddof=0):
    """E[x²] - E[x]² in the precision of the probes, where it cancels."""
    x = x.astype(np.float32)
    var = (x**2).mean(axis, keepdims=keepdims) - x.mean(axis, keepdims=keepdims) ** 2
    n = x.size / var.size
    return var * (n / (n - ddof))
