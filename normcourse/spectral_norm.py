r"""Spectral normalization (Miyato, Kataoka, Koyama & Yoshida 2018, arXiv:1802.05957).

.. math:: \hat W = \frac{W}{\sigma}, \qquad \sigma = u^\top W v

sigma is the largest singular value of W, and u and v are its singular vectors. They are estimated
by power iteration: a step or two for each step of training, as W moves little in between.
"""

from math import prod
from numbers import Integral

from normcourse import checks
from normcourse.core import Array, narrow, widen

__all__ = ["as_matrix", "power_iteration", "spectral_norm", "spectral_norm_backward"]


def power_iteration(
    weight_matrix: Array, u: Array, v: Array, n: int = 1, eps: float = 1e-12
) -> tuple[Array, Array]:
    r"""``n`` steps towards the first singular vectors: (u, v), new arrays.

    .. math:: u \leftarrow \frac{W v}{\max(\lVert W v \rVert, \varepsilon)} \qquad
              v \leftarrow \frac{W^\top u}{\max(\lVert W^\top u \rVert, \varepsilon)}

    With :math:`\theta` the first angle between v and the singular vector, k steps leave
    :math:`\tan\theta_k = (\sigma_2 / \sigma_1)^{2k} \tan\theta` at most, and
    :math:`0 \le 1 - (\sigma / \sigma_1)^2 \le (\sigma_2 / \sigma_1)^{4k - 2} \tan^2\theta`:
    sigma is never too large.

    Args:
        weight_matrix: (h, w), floating point; see :func:`as_matrix`.
        u, v: (h,) and (w,), what the last call returned. The first step makes no use of u.
        n: how many steps, 0 or more.
        eps: least norm to divide by. Far above ``eps`` it changes nothing; below, u and v become
            shorter than 1 and sigma too small, as in torch. Where W v = 0, u stays as it was.

    Returns:
        (u, v), each with the shape and dtype of what was given.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: wrong shape, ``n`` or ``eps``.

    Source: Miyato et al. 2018, arXiv:1802.05957, section 2.1 and algorithm 1.
    """
    checks.check_array("weight_matrix", weight_matrix)
    if weight_matrix.ndim != 2:
        raise ValueError(
            "weight_matrix must have two axes, got shape "
            f"{tuple(weight_matrix.shape)}. Try as_matrix(weight)."
        )
    matrix = _matrix(weight_matrix, 0, u, v)
    checks.check_integer("n", n, least=0)
    checks.check_eps(eps)
    new_u, new_v = narrow(u, matrix), narrow(v, matrix)
    for _ in range(n):
        new_u = _unit(matrix @ new_v, new_u, eps)
        new_v = _unit(matrix.T @ new_u, new_v, eps)
    return narrow(new_u, u), narrow(new_v, v)


def spectral_norm(weight: Array, u: Array, v: Array, dim: int = 0) -> Array:
    r"""Divide a weight by an estimate of its largest singular value.

    .. math:: \hat W = \frac{W}{\sigma}, \qquad \sigma = u^\top W v

    Args:
        weight: two or more axes, floating point, read as the matrix that :func:`as_matrix` makes
            of it. For a convolution this is **not** the operator that acts on images, whose norm
            can be larger: see :mod:`normcourse.nn.utils.operator_norm`.
        u, v: singular vectors from :func:`power_iteration`, (h,) and (w,) for an h x w matrix.
        dim: axis of the outputs, 0; in transposed convolutions 1.

    Returns:
        Array with the shape and dtype of ``weight``. Where sigma is 0, as for W = 0, it counts
        as 1; torch returns NaN.

    Raises:
        TypeError: an argument is no floating-point array, libraries are mixed, dim is no integer.
        ValueError: ``weight`` has fewer than two axes, wrong ``dim``, shape of ``u`` or ``v``.

    Source: Miyato et al. 2018, arXiv:1802.05957, equations 7 and 8.
    """
    sigma = _sigma(_matrix(weight, dim, u, v), u, v)
    return narrow(widen(weight) / sigma, weight)


def spectral_norm_backward(dy: Array, weight: Array, u: Array, v: Array, dim: int = 0) -> Array:
    r"""Gradient of :func:`spectral_norm` with respect to ``weight``; u and v are constants.

    .. math:: dW = \frac{dY - \langle dY, \hat W \rangle \, u v^\top}{\sigma}

    Constants are no approximation: at the singular vectors :math:`d\sigma = u^\top dW\, v`.

    Args:
        dy: gradient of the loss with respect to the result, shape of ``weight``.
        weight, u, v, dim: as they were given to :func:`spectral_norm`.

    Returns:
        Array with the shape and dtype of ``weight``.

    Raises:
        TypeError, ValueError: as :func:`spectral_norm`; ``dy`` is not like ``weight``.
    """
    sigma = _sigma(_matrix(weight, dim, u, v), u, v)
    checks.check_gradient("dy", dy, weight, of="weight")
    dy, what = widen(dy), widen(weight) / sigma
    before, h, after = _split(weight, dim)
    uv = widen(u).reshape((1, h, 1)) * widen(v).reshape((before, 1, after))
    dw = (dy - (dy * what).sum() * uv.reshape(dy.shape)) / sigma
    return narrow(dw, weight)


def as_matrix(weight: Array, dim: int = 0) -> Array:
    """A weight of any rank as the matrix that torch makes of it.

    Args:
        weight, dim: as in :func:`spectral_norm`.

    Returns:
        Array (h, w): the axis ``dim`` first, and all others in one.

    Raises:
        TypeError, ValueError: as :func:`spectral_norm`.
    """
    checks.check_array("weight", weight)
    shape = tuple(weight.shape)
    if len(shape) < 2:
        raise ValueError(
            f"weight must have two or more axes, got shape {shape}. "
            "The norm of a vector needs no estimate: see weight_norm."
        )
    if not isinstance(dim, Integral) or isinstance(dim, bool):
        raise TypeError(f"dim must be an integer, got {dim!r}.")
    if not -len(shape) <= dim < len(shape):
        raise ValueError(
            f"dim must be an axis of weight, {-len(shape)} to "
            f"{len(shape) - 1} for shape {shape}; got {dim}."
        )
    before, h, after = _split(weight, dim)
    rows_first = weight.reshape((before, h, after)).swapaxes(0, 1)
    return rows_first.reshape((h, before * after))


def _split(weight: Array, dim: int) -> tuple[int, int, int]:
    """How many numbers lie before, on and after the axis ``dim``."""
    shape, dim = weight.shape, dim % weight.ndim
    return prod(shape[:dim]), shape[dim], prod(shape[dim + 1 :])


def _sigma(matrix: Array, u: Array, v: Array) -> Array:
    sigma = narrow(u, matrix) @ (matrix @ narrow(v, matrix))
    return sigma + (sigma == 0)


def _unit(x: Array, old: Array, eps: float) -> Array:
    """x / max(||x||, eps), or ``old`` for zeros. Scaled first: squares overflow or vanish."""
    scale = abs(x).sum()
    zero = scale == 0
    scale = scale + zero
    x = x / scale
    norm = ((x * x).sum() + zero) ** 0.5
    return x * (scale / (scale * norm).clip(eps)) + zero * old


def _matrix(weight, dim, u, v):
    """The weight as a matrix, in at least float32, after a check of all arguments."""
    matrix = as_matrix(weight, dim)
    h, w = matrix.shape
    checks.check_shape("u", u, (h,), weight, "one entry per index along dim", False, "weight")
    checks.check_shape(
        "v", v, (w,), weight, "one entry per index of all axes but dim", False, "weight"
    )
    return widen(matrix)
