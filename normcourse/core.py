"""What every normalization is made of: a mean, a centred square, a scale and a shift.

Statistics are computed here and nowhere else. Only operators and array methods are used, so the
same lines run on NumPy arrays, PyTorch tensors and JAX arrays.
"""

from math import prod
from typing import Any, TypeVar

from normcourse.checks import (
    check_array,
    check_axis,
    check_eps,
    check_gradient,
    check_not_empty,
)

__all__ = [
    "Array",
    "affine",
    "affine_backward",
    "all_but_channels",
    "arange_like",
    "channels_backward",
    "largest",
    "mean_and_variance",
    "moving_average",
    "narrow",
    "normalize",
    "normalize_backward",
    "per_channel",
    "project",
    "standardize",
    "standardize_backward",
    "widen",
]

Array = TypeVar("Array", bound=Any)  # NumPy, PyTorch or JAX: what goes in comes out
Axis = int | tuple[int, ...]


def standardize(x: Array, axis: Axis, eps: float = 1e-5) -> Array:
    r"""Subtract the mean and divide by the standard deviation.

    .. math:: \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}

    The numbers along ``axis`` share one mean and one biased variance.

    Args:
        x: array of any shape, floating point.
        axis: int or tuple of ints, the axes that share a statistic.
        eps: what is added to the variance, in the squared units of ``x``.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: ``x`` is no floating-point array, or ``axis`` holds no integers.
        ValueError: ``axis`` is empty or out of range, or ``eps`` is negative.
    """
    _check(x, axis, eps)
    xhat, _ = normalize(x, axis, eps)
    return narrow(xhat, x)


def standardize_backward(dxhat: Array, x: Array, axis: Axis, eps: float = 1e-5) -> Array:
    r"""Gradient of the loss with respect to the ``x`` of :func:`standardize`.

    .. math:: dx = \frac{d\hat x - \operatorname{mean}(d\hat x)
                   - \hat x \operatorname{mean}(d\hat x\,\hat x)}
                   {\sqrt{\sigma^2 + \varepsilon}}

    Args:
        dxhat: gradient of the loss with respect to the result, shape of ``x``.
        x, axis, eps: as they were given to :func:`standardize`.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError, ValueError: as :func:`standardize`; ``dxhat`` is not like ``x``.
    """
    _check(x, axis, eps)
    check_gradient("dxhat", dxhat, x)
    xhat, rstd = normalize(x, axis, eps)
    return narrow(normalize_backward(widen(dxhat), xhat, rstd, axis), x)


def mean_and_variance(x: Array, axis: Axis) -> tuple[Array, Array]:
    r"""Mean and biased variance (divided by n) along ``axis``, kept as axes of length 1.

    .. math:: \mu = \tfrac1n \sum_i x_i \qquad \sigma^2 = \tfrac1n \sum_i (x_i - \mu)^2

    Args:
        x: array of any shape, floating point.
        axis: int or tuple of ints, the axes that share a statistic.

    Returns:
        Two arrays; float32 where ``x`` is half precision, else the dtype of ``x``.

    Raises:
        TypeError, ValueError: as :func:`standardize`; a statistic of no numbers.
    """
    _check(x, axis)
    mean, _, rest, variance = _center(widen(x), axis)
    if 0 not in mean.shape:  # there are statistics: of some numbers?
        check_not_empty(x)
    return mean + rest, variance


def normalize(x: Array, axis: Axis, eps: float) -> tuple[Array, Array]:
    """(xhat, 1 / sqrt(variance + eps)), in float32 where ``x`` is half precision; no checks."""
    _, centered, rest, variance = _center(widen(x), axis)
    rstd = 1 / (variance + eps) ** 0.5
    return (centered - rest) * rstd, rstd


def normalize_backward(g: Array, xhat: Array, rstd: Array, axis: Axis) -> Array:
    """What reaches x when ``g`` reaches xhat: less its mean, less its part along xhat, scaled."""
    return project(g, xhat, rstd, _mean(g, axis), _mean(g * xhat, axis))


def project(g: Array, xhat: Array, rstd: Array, along_one: Array, along_xhat: Array) -> Array:
    """What reaches x, from the means of g and of g * xhat, wherever these were taken."""
    return (g - along_one - xhat * along_xhat) * rstd


def channels_backward(
    dy: Array,
    xhat: Array,
    rstd: Array,
    weight: Array | None,
    bias: Array | None,
    axis: tuple[int, ...],
    positions: tuple[int, ...],
) -> tuple[Array, Array | None, Array | None]:
    r"""Gradients of normalization and an affine map per channel: (dx, dweight, dbias).

    With :math:`g = dy\,\gamma`, dx is g less its mean, less its part along xhat, scaled. Along
    ``positions`` neither statistics nor weight change, so of each channel of a sample two sums
    are needed, of dy and of :math:`dy\,\hat x`. Over the samples they are dbias and dweight; times
    the weight and along ``axis`` they are the means of g and :math:`g\,\hat x`.
    """
    g = widen(dy)
    one = _sum_keepdims(g, positions)
    along = _sum_keepdims(g * xhat, positions)
    per_sample = (g.shape[0], prod(one.shape[1:]))
    dbias = _parameter_gradient(one.reshape(per_sample), bias, (0,))
    dweight = _parameter_gradient(along.reshape(per_sample), weight, (0,))
    if weight is not None:
        gamma = widen(weight).reshape(one.shape[1:])
        g, one, along = g * gamma, one * gamma, along * gamma
    part = 1 / _count(xhat, axis)
    along_one = _sum_keepdims(one, axis) * part
    along_xhat = _sum_keepdims(along, axis) * part
    return project(g, xhat, rstd, along_one, along_xhat), dweight, dbias


def _center(x: Array, axis: Axis) -> tuple[Array, Array, Array, Array]:
    """(mean, x - mean, rest, variance) by the corrected two-pass algorithm (Chan et al. 1983).

    The mean is rounded: ``rest`` is what it lacks. Never E[x^2] - E[x]^2, which cancels.
    """
    n = _count(x, axis)
    mean = _mean(x, axis)
    centered = x - mean
    # Near 1e4 float32 is off by up to 5e-4. What is left over has a mean again, so small that
    # subtracting its square cancels nothing; abs() is for a variance of 0. A quotient, for 1 / n
    # is rounded, too, and equal numbers must come out as exactly 0.
    left = _sum_keepdims(centered, axis)
    rest = left / n
    # Of squares that overflow, no infinity may be subtracted: that would be NaN.
    lacking = (left * rest).clip(None, largest(x))
    variance = abs(_sum_keepdims(centered * centered, axis) - lacking) * (1 / n)
    return mean, centered, rest, variance


def _mean(x: Array, axis: Axis) -> Array:
    """The mean along ``axis``, kept as axes of length 1.

    A product, not a quotient: compilers divide again for each number that uses it. So compiled
    layer normalization takes three quarters of the time.
    """
    return _sum_keepdims(x, axis) * (1 / _count(x, axis))


def _sum_keepdims(x: Array, axis: Axis) -> Array:
    """The sum along ``axis``, kept as axes of length 1; along many axes a sum of sums.

    The first are those of one sample or channel, which lie together in memory. Compiled, one long
    sum over all axes took nearly twice as long (batch normalization, CPU).
    """
    if axis == ():
        return x  # torch would sum over all axes
    if isinstance(axis, tuple) and len(axis) > 2:
        x, axis = _add(x, axis[1:]), axis[:1]
    return _add(x, axis)


def _add(x: Array, axis: Axis, keepdims: bool = True) -> Array:
    """``x.sum(axis, keepdims=keepdims)``, and of long rows in NumPy no worse than in torch or JAX.

    NumPy adds in parts along neighbours in memory only, else one after another: of a million rows
    of float32 three digits are left, of ten million one. Those it adds in float64.
    """
    if hasattr(x, "strides") and x.dtype.itemsize == 4 and _count(x, axis) > 1024:
        axes = {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
        if not (x.flags.c_contiguous and min(axes) == x.ndim - len(axes)):
            return x.sum(axis, keepdims=keepdims, dtype="float64").astype(x.dtype)
    return x.sum(axis, keepdims=keepdims)


def _count(x: Array, axis: Axis) -> int:
    """How many numbers share a statistic; 1 if there are none, so that it can divide."""
    return max(1, prod([x.shape[a] for a in (axis if isinstance(axis, tuple) else (axis,))]))


def affine(xhat: Array, weight: Array | None, bias: Array | None, x: Array) -> Array:
    r"""The learned affine map :math:`y = \gamma \hat x + \beta`, in the dtype of ``x``.

    ``weight`` and ``bias`` broadcast against ``xhat``; None stands for 1 and 0.
    """
    y = xhat if weight is None else xhat * widen(weight)
    return narrow(y if bias is None else y + widen(bias), x)


def affine_backward(
    dy: Array, xhat: Array, weight: Array | None, bias: Array | None, shared: tuple[int, ...]
) -> tuple[Array, Array | None, Array | None]:
    r"""Gradients of :func:`affine`: (dxhat, dweight, dbias).

    A parameter is shared along the axes ``shared``, so its gradient is a **sum** over them:
    :math:`d\gamma = \sum dy\,\hat x`, :math:`d\beta = \sum dy`.
    """
    dy = widen(dy)
    dxhat = dy if weight is None else dy * widen(weight)
    dweight = _parameter_gradient(dy * xhat, weight, shared)
    return dxhat, dweight, _parameter_gradient(dy, bias, shared)


def _parameter_gradient(copies: Array, p: Array | None, axis: tuple[int, ...]) -> Array | None:
    """The gradient of ``p``, the sum of those of its copies along ``axis``; None for None."""
    return None if p is None else narrow(_sum_dropdims(copies, axis), p)


def _sum_dropdims(x: Array, axis: tuple[int, ...]) -> Array:
    """The sum along ``axis``, without those axes.

    In two steps, each along neighbours in memory: of channels within each sample, of rows eight
    by eight. Compiled, a column of all rows at once took up to three times as long.
    """
    if not axis:
        return x * 1  # a copy, where torch would sum over all axes
    inner = x.shape[len(axis) :]
    rows = prod(x.shape[: len(axis)])
    if axis[-1] == len(axis) - 1 and rows % 8 == 0:
        return _add(x.reshape((rows // 8, 8, *inner)).sum(1), 0, keepdims=False)
    if len(axis) > 1:
        x, axis = x.sum(axis[1:]), axis[:1]
    return _add(x, axis, keepdims=False)


def moving_average(running: Array, new: Array, momentum: Any) -> Array:
    """``running`` after one more value, of which ``momentum`` is the weight; its dtype stays."""
    return narrow((1 - momentum) * running + momentum * new, running)


def per_channel(p: Array, x: Any) -> Array:
    """A vector (C,) shaped so that it meets the channel axis of ``x`` (N, C, ...)."""
    return p if p is None else p.reshape((1, -1) + (1,) * (x.ndim - 2))


def all_but_channels(x: Array) -> tuple[int, ...]:
    """The axes of (N, C, ...) except C."""
    return (0, *range(2, x.ndim))


def arange_like(vector: Array) -> Array:
    """1, 2, ..., n in the library of ``vector`` (n,) and on its device, even if it holds NaN."""
    # not "(vector == vector) | True": jit.trace keeps no Python bool
    return ((vector == vector) | (vector != vector)).cumsum(0)


def largest(x: Any) -> float:
    """The largest power of two in the arithmetic of ``x``."""
    return 2.0**1023 if x.dtype.itemsize >= 8 else 2.0**127


def widen(x: Array) -> Array:
    """Half precision as float32, in which 300**2 does not overflow; anything else as it is."""
    if x.dtype.itemsize > 2:
        return x
    return x.astype("float32") if hasattr(x, "astype") else x.float()


def narrow(y: Any, x: Array) -> Array:
    """``y`` in the dtype of ``x``: what :func:`widen` changed, changed back."""
    if y.dtype == x.dtype:
        return y
    return y.astype(x.dtype) if hasattr(y, "astype") else y.to(x.dtype)


def _check(x: Array, axis: Axis, eps: float = 0.0) -> None:
    check_array("x", x)
    check_axis(axis, x)
    check_eps(eps)
