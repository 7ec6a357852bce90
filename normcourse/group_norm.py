r"""Group normalization (Wu & He 2018, arXiv:1803.08494).

.. math:: y = \gamma \hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}

Layout (N, C, ...): the channels of a sample are cut into groups; each group has its own mean and
variance, over its channels and all positions. One group is layer normalization over (C, ...)
without its weight; a group for each channel is instance normalization.
"""

from normcourse import checks, core
from normcourse.core import Array, narrow, per_channel

__all__ = ["group_norm", "group_norm_backward"]


def group_norm(
    x: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    r"""Normalize each group of channels of each sample.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    Args:
        x: (N, C, ...), floating point. One value per group gives the bias, and a warning.
        num_groups: G, a divisor of C. Groups are C / G neighbouring channels.
        weight, bias: (C,), one entry per channel and not per group, or None for 1 and 0.
        eps: added to the biased variance, inside the square root.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: C is not divisible by G; wrong rank, parameter shape or eps.

    Source: Wu & He 2018, arXiv:1803.08494.
    """
    groups, axes = _groups(x, num_groups, weight, bias, eps)
    xhat, _ = core.normalize(groups, axes, eps)
    weight, bias = per_channel(weight, x), per_channel(bias, x)
    return core.affine(xhat.reshape(x.shape), weight, bias, x)


def group_norm_backward(
    dy: Array,
    x: Array,
    num_groups: int,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array | None, Array | None]:
    r"""Gradients of :func:`group_norm`: (dx, dweight, dbias).

    With :math:`g = dy\,\gamma`, multiplied **before** the means over a group,

    .. math::
        dx = \frac{g - \operatorname{mean}(g) - \hat x \operatorname{mean}(g\,\hat x)}
             {\sqrt{\sigma^2 + \varepsilon}} \qquad
        d\gamma = \sum dy\,\hat x \qquad d\beta = \sum dy

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, num_groups, weight, bias, eps: as they were given to :func:`group_norm`.

    Returns:
        (dx, dweight, dbias), each with the shape and dtype of what it belongs to; None for a
        parameter that is None.

    Raises:
        TypeError, ValueError: as :func:`group_norm`; ``dy`` is not like ``x``.
    """
    groups, axes = _groups(x, num_groups, weight, bias, eps)
    checks.check_gradient("dy", dy, x)
    xhat, rstd = core.normalize(groups, axes, eps)
    dy = dy.reshape(groups.shape)
    dx, dweight, dbias = core.channels_backward(
        dy, xhat, rstd, weight, bias, axis=axes, positions=axes[1:]
    )
    return narrow(dx.reshape(x.shape), x), dweight, dbias


def _groups(
    x: Array, num_groups: int, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, tuple[int, ...]]:
    """Check the arguments; return x as (N, G, C / G, ...), and the axes that share a statistic."""
    checks.check_array("x", x)
    checks.check_rank(x, 2, "(N, C, ...)")
    n, channels, *positions = x.shape
    checks.check_groups(num_groups, channels, x)
    checks.check_channels("weight", weight, x)
    checks.check_channels("bias", bias, x)
    checks.check_eps(eps)
    groups = x.reshape((n, num_groups, channels // num_groups, *positions))
    axes = tuple(range(2, groups.ndim))
    checks.check_count(groups, axes, "group", "Use fewer groups.", allowed=True)
    return groups, axes
