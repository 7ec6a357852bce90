"""What records share: random inputs that are never degenerate by chance, and wrong variances."""

import math

import numpy as np

__all__ = [
    "HAND",
    "by_hand",
    "channels",
    "channels_last_images",
    "constant_channel",
    "naive_variance",
    "narrow_sequence",
    "spread_out",
    "variances",
    "weights",
]

HAND = "numbers for the hand: 1, 3, 5, 7"


def by_hand(dy=None, shape=(4, 1), size=(1,)):
    """x = 1, 3, 5, 7 with eps = 4: then σ² + eps = 9. With ``dy`` in front where it is given.

    ``shape`` is that of x, ``size`` that of weight and bias.
    """
    x = np.float32([1, 3, 5, 7]).reshape(shape)
    parameters = np.ones(size, np.float32), np.zeros(size, np.float32), 4.0
    return (x, *parameters) if dy is None else (np.float32(dy).reshape(shape), x, *parameters)


def spread_out(rng, n, c, *rest, mean=0.0):
    """float32 (N, C, ...): per channel a variance near 1 and a mean 0.5 to 1.5 off ``mean``."""
    count = math.prod((n, *rest))
    levels = rng.permuted(np.tile(np.linspace(-1.6, 1.6, count), (c, 1)), axis=1)
    x = mean + weights(rng, c, 0.5, 1.5)[:, None] + levels + rng.uniform(-0.2, 0.2, levels.shape)
    return np.ascontiguousarray(x.reshape(c, n, *rest).swapaxes(0, 1), dtype=np.float32)


def channels_last_images(rng, n, c, h, w):
    """A channels-last batch with an outlier, seen as (N, C, H, W). w = c hides a wrong axis."""
    x = spread_out(rng, n, c, h, w)
    x[0, 0, 0, 0] += 8
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def narrow_sequence(rng, n=2, c=3, length=3):
    """(N, C, L), the first channel with a standard deviation near 0.05."""
    x = spread_out(rng, n, c, length)
    x[:, 0] *= np.float32(0.05)
    return x


def constant_channel(rng):
    """(N, C) whose second channel never changes."""
    return spread_out(rng, 4, 2) * np.float32([1, 0]) + np.float32([0, 2])


def channels(rng, shape, mean=0.0):
    """Standard normal around ``mean``."""
    return (mean + rng.standard_normal(shape)).astype(np.float32)


def weights(rng, shape, low=0.5, high=2.0):
    """Of either sign, and away from zero."""
    return (rng.uniform(low, high, shape) * (2 * rng.integers(0, 2, shape) - 1)).astype(np.float32)


def variances(rng, shape):
    """Positive, around 1."""
    return rng.uniform(0.5, 2.0, shape).astype(np.float32)


def naive_variance(x, axis, keepdims=False, ddof=0):
    """E[x²] - E[x]² in the precision of the probes, where it cancels."""
    x = x.astype(np.float32)
    var = (x**2).mean(axis, keepdims=keepdims) - x.mean(axis, keepdims=keepdims) ** 2
    n = x.size / var.size
    return var * (n / (n - ddof))
