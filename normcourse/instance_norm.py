r"""Instance normalization (Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022).

.. math:: y = \gamma \hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}

Layout (N, C, ...): each channel of each sample has its own mean and variance, over positions.
"""

from normcourse import checks, core
from normcourse.core import Array, narrow, per_channel

__all__ = [
    "instance_norm",
    "instance_norm_backward",
    "update_running_instance_statistics",
]


def instance_norm(
    x: Array, weight: Array | None = None, bias: Array | None = None, eps: float = 1e-5
) -> Array:
    r"""Normalize each channel of each sample over its positions.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    Args:
        x: (N, C, L) or (N, C, H, W) or longer, floating point; more than one position.
        weight, bias: (C,) or None for 1 and 0.
        eps: added to the biased variance, inside the square root.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: wrong rank, parameter shape or eps, or a single position.

    Source: Ulyanov, Vedaldi & Lempitsky 2016, arXiv:1607.08022.
    """
    axes, _ = _check(x, weight, bias, eps)
    xhat, _ = core.normalize(x, axes, eps)
    weight, bias = per_channel(weight, x), per_channel(bias, x)
    return core.affine(xhat, weight, bias, x)


def instance_norm_backward(
    dy: Array,
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array | None, Array | None]:
    r"""Gradients of :func:`instance_norm`: (dx, dweight, dbias).

    With :math:`g = dy\,\gamma` and means over the positions of one channel of one sample,

    .. math::
        dx = \frac{g - \operatorname{mean}(g) - \hat x \operatorname{mean}(g\,\hat x)}
             {\sqrt{\sigma^2 + \varepsilon}} \qquad
        d\gamma = \sum dy\,\hat x \qquad d\beta = \sum dy

    The sums run over samples, too.

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, weight, bias, eps: as they were given to :func:`instance_norm`.

    Returns:
        (dx, dweight, dbias), each with the shape and dtype of what it belongs to; None for a
        parameter that is None.

    Raises:
        TypeError, ValueError: as :func:`instance_norm`; ``dy`` is not like ``x``.
    """
    axes, _ = _check(x, weight, bias, eps)
    checks.check_gradient("dy", dy, x)
    xhat, rstd = core.normalize(x, axes, eps)
    dx, dweight, dbias = core.channels_backward(
        dy, xhat, rstd, weight, bias, axis=axes, positions=axes
    )
    return narrow(dx, x), dweight, dbias


def update_running_instance_statistics(
    running_mean: Array, running_var: Array, x: Array, momentum: float = 0.1
) -> tuple[Array, Array]:
    r"""The running statistics after one more batch.

    .. math::
        \text{running} \leftarrow (1 - m)\,\text{running} + m \operatorname{mean}_N(\text{sample})

    The variance of each sample is the **unbiased** one (factor n / (n - 1)).

    Args:
        running_mean, running_var: (C,), the statistics so far.
        x: (N, C, L) or longer, one more batch.
        momentum: m, the weight of the **new** batch.

    Returns:
        (mean, var), each (C,): new arrays with the dtype of the old ones.

    Raises:
        TypeError, ValueError: as :func:`instance_norm`; an empty batch.
    """
    names = "running_mean", "running_var"
    axes, n = _check(x, running_mean, running_var, names=names)
    checks.check_momentum(momentum, x)
    checks.check_not_empty(x)
    statistics = core.mean_and_variance(x, axes)
    mean, var = (s.mean(0).reshape(-1) for s in statistics)
    new_mean = core.moving_average(running_mean, mean, momentum)
    unbiased = var * (n / (n - 1))
    return new_mean, core.moving_average(running_var, unbiased, momentum)


def _check(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float = 0.0,
    names: tuple[str, str] = ("weight", "bias"),
) -> tuple[tuple[int, ...], int]:
    """Check the arguments; return the axes that share a statistic, and how many numbers do."""
    checks.check_array("x", x)
    checks.check_rank(x, 3, "(N, C, L), (N, C, H, W) or longer")
    for name, vector in zip(names, (weight, bias), strict=True):
        checks.check_channels(name, vector, x, optional=name in ("weight", "bias"))
    checks.check_eps(eps)
    axes = tuple(range(2, x.ndim))
    instead = "Normalize a larger map, or over channels with layer_norm or group_norm."
    return axes, checks.check_count(x, axes, "channel of a sample", instead)
