r"""Layer normalization (Ba, Kiros & Hinton 2016, arXiv:1607.06450).

.. math:: y = \gamma \hat x + \beta, \qquad \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}

Each sample has its own mean and variance, over its last axes; no batch, no running statistics.
"""

from collections.abc import Sequence

from normcourse import checks, core
from normcourse.core import Array, narrow

__all__ = ["layer_norm", "layer_norm_backward"]


def layer_norm(
    x: Array,
    normalized_shape: int | Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    r"""Normalize each sample over its last axes.

    .. math:: y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    Args:
        x: (..., \*normalized_shape), floating point. One value per sample gives the bias, and a
            warning.
        normalized_shape: int or ints, the last axes of ``x``, which share a statistic.
        weight, bias: arrays of shape ``normalized_shape``, or None for 1 and 0.
        eps: added to the biased variance, inside the square root.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: ``x`` does not end in ``normalized_shape``; wrong parameter shape or eps.

    Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
    """
    axes, _ = _check(x, normalized_shape, weight, bias, eps)
    xhat, _ = core.normalize(x, axes, eps)
    return core.affine(xhat, weight, bias, x)


def layer_norm_backward(
    dy: Array,
    x: Array,
    normalized_shape: int | Sequence[int],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array | None, Array | None]:
    r"""Gradients of :func:`layer_norm`: (dx, dweight, dbias).

    With :math:`g = dy\,\gamma`, multiplied **before** the means over a sample,

    .. math::
        dx = \frac{g - \operatorname{mean}(g) - \hat x \operatorname{mean}(g\,\hat x)}
             {\sqrt{\sigma^2 + \varepsilon}} \qquad
        d\gamma = \sum dy\,\hat x \qquad d\beta = \sum dy

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, normalized_shape, weight, bias, eps: as they were given to :func:`layer_norm`.

    Returns:
        (dx, dweight, dbias), each with the shape and dtype of what it belongs to; None for a
        parameter that is None.

    Raises:
        TypeError, ValueError: as :func:`layer_norm`; ``dy`` is not like ``x``.
    """
    axes, batch = _check(x, normalized_shape, weight, bias, eps)
    checks.check_gradient("dy", dy, x)
    xhat, rstd = core.normalize(x, axes, eps)
    g, dweight, dbias = core.affine_backward(dy, xhat, weight, bias, batch)
    dx = core.normalize_backward(g, xhat, rstd, axes)
    return narrow(dx, x), dweight, dbias


def _check(
    x: Array,
    normalized_shape: int | Sequence[int],
    weight: Array | None,
    bias: Array | None,
    eps: float,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Check the arguments; return the axes that share a statistic, and those before them."""
    checks.check_array("x", x)
    axes, shared = checks.check_normalized_shape(normalized_shape, x, weight=weight, bias=bias)
    checks.check_eps(eps)
    checks.check_count(x, axes, "sample", "Include another axis, or use rms_norm.", allowed=True)
    return axes, shared
