r"""Batch normalization (Ioffe & Szegedy 2015, arXiv:1502.03167).

.. math:: y = \gamma \hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}

Layout (N, C, ...): each channel has its own mean and variance, over N and everything behind C.
"""

from normcourse import checks, core
from normcourse.core import Array, narrow, per_channel, widen

__all__ = [
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_inference",
    "batch_norm_inference_backward",
    "update_running_statistics",
]


def batch_norm(
    x: Array, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5
) -> Array:
    r"""Normalize each channel with the batch's statistics.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    Args:
        x: (N, C, ...), floating point; more than one value per channel.
        weight, bias: (C,) or None for 1 and 0. The gamma and beta of the paper.
        eps: added to the biased variance, inside the square root.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: wrong rank, parameter shape or eps, or one value per channel.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 1.
    """
    axes = _check(x, eps, weight=weight, bias=bias)
    _check_count(x)
    xhat, _ = core.normalize(x, axes, eps)
    weight, bias = per_channel(weight, x), per_channel(bias, x)
    return core.affine(xhat, weight, bias, x)


def batch_norm_backward(
    dy: Array,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array | None, Array | None]:
    r"""Gradients of :func:`batch_norm`: (dx, dweight, dbias).

    With :math:`g = dy\,\gamma` and means over a channel,

    .. math::
        dx = \frac{g - \operatorname{mean}(g) - \hat x \operatorname{mean}(g\,\hat x)}
             {\sqrt{\sigma^2 + \varepsilon}} \qquad
        d\gamma = \sum dy\,\hat x \qquad d\beta = \sum dy

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, weight, bias, eps: as they were given to :func:`batch_norm`.

    Returns:
        (dx, dweight, dbias), each with the shape and dtype of what it belongs to; None for a
        parameter that is None.

    Raises:
        TypeError, ValueError: as :func:`batch_norm`; ``dy`` is not like ``x``.
    """
    axes = _check(x, eps, weight=weight, bias=bias)
    _check_count(x)
    checks.check_gradient("dy", dy, x)
    xhat, rstd = core.normalize(x, axes, eps)
    dx, dweight, dbias = core.channels_backward(
        dy, xhat, rstd, weight, bias, axis=axes, positions=axes[1:]
    )
    return narrow(dx, x), dweight, dbias


def batch_norm_inference(
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    r"""Normalize each channel with given statistics: a fixed scale and shift.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta = a x + b

    Args:
        x: (N, C, ...), any N.
        mean, var: (C,), the running mean and the running (unbiased) variance.
        weight, bias, eps: as in :func:`batch_norm`.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError, ValueError: as :func:`batch_norm`, but one value per channel is enough.

    Source: Ioffe & Szegedy 2015, arXiv:1502.03167, algorithm 2.
    """
    _check(x, eps, mean=mean, var=var, weight=weight, bias=bias)
    mean, var = per_channel(mean, x), per_channel(var, x)
    xhat = (widen(x) - widen(mean)) / (widen(var) + eps) ** 0.5
    weight, bias = per_channel(weight, x), per_channel(bias, x)
    return core.affine(xhat, weight, bias, x)


def batch_norm_inference_backward(
    dy: Array,
    x: Array,
    mean: Array,
    var: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array | None, Array | None]:
    r"""Gradients of :func:`batch_norm_inference`: (dx, dweight, dbias). Statistics are constants.

    No mean depends on x, so the two correction terms vanish:

    .. math:: dx = \frac{dy\,\gamma}{\sqrt{\sigma^2 + \varepsilon}} \qquad
              d\gamma = \sum dy\,\hat x \qquad d\beta = \sum dy

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, mean, var, weight, bias, eps: as they were given to :func:`batch_norm_inference`.

    Returns:
        (dx, dweight, dbias) as :func:`batch_norm_backward`.

    Raises:
        TypeError, ValueError: as :func:`batch_norm_inference`; ``dy`` is not like ``x``.
    """
    axes = _check(x, eps, mean=mean, var=var, weight=weight, bias=bias)
    checks.check_gradient("dy", dy, x)
    std = (widen(per_channel(var, x)) + eps) ** 0.5
    xhat = (widen(x) - widen(per_channel(mean, x))) / std
    weight, bias = per_channel(weight, x), per_channel(bias, x)
    g, dweight, dbias = core.affine_backward(dy, xhat, weight, bias, axes)
    return narrow(g / std, x), dweight, dbias


def update_running_statistics(
    running_mean: Array, running_var: Array, x: Array, momentum: float = 0.1
) -> tuple[Array, Array]:
    r"""The running statistics after one more batch.

    .. math:: \text{running} \leftarrow (1 - m)\,\text{running} + m\,\text{batch}

    The variance of the batch is the **unbiased** one (factor n / (n - 1)).

    Args:
        running_mean, running_var: (C,), the statistics so far.
        x: (N, C, ...), one more batch.
        momentum: m, the weight of the **new** batch. Keras and Flax call 1 - m the momentum.

    Returns:
        (mean, var), each (C,): new arrays with the dtype of the old ones.

    Raises:
        TypeError, ValueError: as :func:`batch_norm`.
    """
    axes = _check(x, running_mean=running_mean, running_var=running_var)
    checks.check_momentum(momentum, x)
    n = _check_count(x)
    mean, var = core.mean_and_variance(x, axes)
    mean, var = mean.reshape(-1), var.reshape(-1) * (n / (n - 1))
    new_mean = core.moving_average(running_mean, mean, momentum)
    return new_mean, core.moving_average(running_var, var, momentum)


def _check(x: Array, eps: float = 0.0, **vectors: Array | None) -> tuple[int, ...]:
    """Check the arguments; return the axes that share a statistic: all but the channel axis."""
    checks.check_array("x", x)
    checks.check_rank(x, 2, "(N, C, ...)")
    checks.check_eps(eps)
    for name, vector in vectors.items():
        checks.check_channels(name, vector, x, optional=name in ("weight", "bias"))
    return core.all_but_channels(x)


def _check_count(x: Array) -> int:
    return checks.check_count(
        x,
        core.all_but_channels(x),
        "channel",
        "Use a larger batch, or batch_norm_inference with running statistics.",
    )
