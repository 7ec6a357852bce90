r"""Batch normalization (Ioffe & Szegedy 2015, arXiv:1502.03167).

.. math:: y = \gamma \hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}

Layout (N, C, ...): each channel has its own mean and variance, over N and everything behind C.
"""

from normcourse import core
from normcourse.core import narrow, per_channel, widen

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "update_running_statistics",
]


def batch_norm(x, weight=None, bias=None, eps=1e-5):
    """Normalize each channel with the batch's statistics: y = weight * xhat + bias.

    Args:
        x: (N, C, ...), floating point; more than one value per channel.
        weight, bias: (C,) or None for 1 and 0. The gamma and beta of the paper.
        eps: added to the biased variance, inside the square root.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: wrong rank, parameter shape or eps, or one value per channel.
    """
    axes = _check(x, weight=weight, bias=bias, eps=eps)
    _check_count(x)
    xhat = core.standardize(widen(x), axes, eps)
    return core.scale_and_shift(xhat, weight, bias, x)


def batch_norm_backward(dy, x, weight=None, bias=None, eps=1e-5):
    """Gradients of :func:`batch_norm`: (dx, dweight, dbias).

    None stands for the gradient of a parameter that is None.
    With g = dy * weight and means over a channel,
    dx = (g - mean(g) - xhat * mean(g * xhat)) / sqrt(var + eps),
    dweight = sum(dy * xhat), dbias = sum(dy).
    """
    axes = _check(x, weight=weight, bias=bias, eps=eps)
    _check_count(x)
    core.check_gradient("dy", dy, x)
    xhat = core.standardize(widen(x), axes, eps)
    g, dweight, dbias = core.scale_and_shift_backward(dy, xhat, weight, bias)
    return core.standardize_backward(g, x, axes, eps), dweight, dbias


def batch_norm_inference(x, mean, var, weight=None, bias=None, eps=1e-5):
    """Normalize each channel with given statistics: a fixed scale and shift, y = a * x + b.

    Args:
        x: (N, C, ...), any N.
        mean, var: (C,), the running mean and the running (unbiased) variance.
        weight, bias, eps: as in :func:`batch_norm`.
    """
    _check(x, mean=mean, var=var, weight=weight, bias=bias, eps=eps)
    xhat = (widen(x) - per_channel(mean, x)) / (per_channel(var, x) + eps) ** 0.5
    return core.scale_and_shift(xhat, weight, bias, x)


def batch_norm_inference_backward(dy, x, mean, var, weight=None, bias=None, eps=1e-5):
    """Gradients of :func:`batch_norm_inference`: (dx, dweight, dbias). Statistics are constants.

    No mean depends on x, so the two correction terms vanish: dx = dy * weight / sqrt(var + eps).
    """
    _check(x, mean=mean, var=var, weight=weight, bias=bias, eps=eps)
    core.check_gradient("dy", dy, x)
    std = (per_channel(var, x) + eps) ** 0.5
    xhat = (widen(x) - per_channel(mean, x)) / std
    g, dweight, dbias = core.scale_and_shift_backward(dy, xhat, weight, bias)
    return narrow(g / std, x), dweight, dbias


def update_running_statistics(running_mean, running_var, x, momentum=0.1):
    """The running statistics after one more batch: (mean, var), each (C,), new arrays.

    running = (1 - momentum) * running + momentum * batch, with the **unbiased**
    batch variance (factor n / (n - 1)). Keras and Flax call 1 - momentum the momentum.
    """
    axes = _check(x, running_mean=running_mean, running_var=running_var)
    n = _check_count(x)
    mean, var = core.mean_and_variance(x, axes)
    mean, var = mean.reshape(-1), var.reshape(-1) * (n / (n - 1))
    new_mean = (1 - momentum) * running_mean + momentum * mean
    new_var = (1 - momentum) * running_var + momentum * var
    return narrow(new_mean, running_mean), narrow(new_var, running_var)


def _check(x, eps=0.0, **vectors):
    """Check the arguments; return the axes that share a statistic: all but the channel axis."""
    core.check_array("x", x)
    if x.ndim < 2:
        raise ValueError(f"x must have at least 2 axes, (N, C, ...), got shape {tuple(x.shape)}.")
    core.check_eps(eps)
    for name, vector in vectors.items():
        core.check_channels(name, vector, x, x.shape[1])
    return core.all_but_channels(x)


def _check_count(x):
    """How many numbers share a statistic; one alone would always normalize to zero."""
    n = x.shape[0]
    for length in x.shape[2:]:
        n *= length
    if n == 1:
        raise ValueError(
            f"x has one value per channel (shape {tuple(x.shape)}): minus its own mean it is "
            "always zero. Use a larger batch, or batch_norm_inference with running statistics."
        )
    return n
