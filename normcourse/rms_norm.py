r"""Root mean square normalization (Zhang & Sennrich 2019, arXiv:1910.07467).

.. math:: y = \gamma \frac{x}{r}, \qquad r = \sqrt{\operatorname{mean}(x^2) + \varepsilon}

Layer normalization without the mean: each sample keeps its direction and loses its length.
"""

from collections.abc import Sequence

from normcourse import checks, core
from normcourse.core import Array, narrow, widen

__all__ = ["rms_norm", "rms_norm_backward"]


def rms_norm(
    x: Array,
    normalized_shape: int | Sequence[int],
    weight: Array | None = None,
    eps: float | None = None,
) -> Array:
    r"""Divide each sample by its root mean square over the last axes.

    .. math:: y = \gamma \frac{x}{\sqrt{\operatorname{mean}(x^2) + \varepsilon}}

    Args:
        x: (..., \*normalized_shape), floating point.
        normalized_shape: int or ints, the last axes of ``x``, which share a statistic.
        weight: array of shape ``normalized_shape``, or None for 1.
        eps: added inside the root (the paper has none); None stands for the machine epsilon of
            the arithmetic, 2^-23 up to float32 and 2^-52 in float64, as in torch.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: ``x`` does not end in ``normalized_shape``; wrong parameter shape or eps.

    Source: Zhang & Sennrich 2019, arXiv:1910.07467.
    """
    axes, _ = _check(x, normalized_shape, weight, eps)
    xhat, _ = _normalize(x, axes, eps)
    return core.affine(xhat, weight, None, x)


def rms_norm_backward(
    dy: Array,
    x: Array,
    normalized_shape: int | Sequence[int],
    weight: Array | None = None,
    eps: float | None = None,
) -> tuple[Array, Array | None]:
    r"""Gradients of :func:`rms_norm`: (dx, dweight).

    With :math:`g = dy\,\gamma` and :math:`\hat x = x / r`,

    .. math:: dx = \frac{g - \hat x \operatorname{mean}(g\,\hat x)}{r} \qquad
              d\gamma = \sum dy\,\hat x

    One term fewer than in layer normalization: dx is orthogonal to xhat, not to 1.

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, normalized_shape, weight, eps: as they were given to :func:`rms_norm`.

    Returns:
        (dx, dweight), each with the shape and dtype of what it belongs to; None for a weight that
        is None.

    Raises:
        TypeError, ValueError: as :func:`rms_norm`; ``dy`` is not like ``x``.
    """
    axes, batch = _check(x, normalized_shape, weight, eps)
    checks.check_gradient("dy", dy, x)
    xhat, scale = _normalize(x, axes, eps)
    g, dweight, _ = core.affine_backward(dy, xhat, weight, None, batch)
    along_xhat = (g * xhat).mean(axes, keepdims=True)
    return narrow((g - xhat * along_xhat) * scale, x), dweight


def _normalize(x: Array, axes: tuple[int, ...], eps: float | None) -> tuple[Array, Array]:
    """(xhat, 1 / r), in float32 where x is half precision."""
    x = widen(x)
    if eps is None:
        eps = 2.0**-52 if x.dtype.itemsize >= 8 else 2.0**-23
    scale = 1 / ((x * x).mean(axes, keepdims=True) + eps) ** 0.5
    return x * scale, scale


def _check(
    x: Array, normalized_shape: int | Sequence[int], weight: Array | None, eps: float | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Check the arguments; return the axes that share a statistic, and those before them."""
    checks.check_array("x", x)
    checks.check_eps(0.0 if eps is None else eps)
    return checks.check_normalized_shape(normalized_shape, x, weight=weight)
