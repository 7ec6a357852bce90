r"""Weight normalization (Salimans & Kingma 2016, arXiv:1602.07868).

.. math:: w = g \, \hat v, \qquad \hat v = \frac{v}{\lVert v \rVert}

A weight vector is written as a length g and a direction v, learned apart. No data is looked at.
"""

from numbers import Integral

from normcourse import checks
from normcourse.core import Array, narrow, widen

__all__ = ["norm_except_dim", "weight_norm", "weight_norm_backward"]


def weight_norm(v: Array, g: Array, dim: int | None = 0) -> Array:
    r"""Give each vector of ``v`` the length ``g``.

    .. math:: w = g \frac{v}{\lVert v \rVert}

    Args:
        v: weight, floating point. For each index along ``dim``, all other axes are one vector.
        g: lengths, the shape of ``v`` with 1 on all axes but ``dim``; shape () if that is None.
        dim: an axis of ``v``, or None for one norm over everything. As in torch, -1 means None
            and **not** the last axis; -2 and below count from the end.

    Returns:
        Array with the shape and dtype of ``v``. A zero vector has no direction; its norm counts
        as 1, so w = 0, dg = 0 and dv = g dw, where torch returns NaN.

    Raises:
        TypeError: an argument is no floating-point array, libraries are mixed, dim is no integer.
        ValueError: ``dim`` is out of range, or ``g`` has another shape.

    Source: Salimans & Kingma 2016, arXiv:1602.07868, equation 2.
    """
    vhat, _, _ = _direction(v, _check(v, dim, g=g))
    return narrow(widen(g) * vhat, v)


def weight_norm_backward(dw: Array, v: Array, g: Array, dim: int | None = 0) -> tuple[Array, Array]:
    r"""Gradients of :func:`weight_norm`: (dv, dg).

    .. math::
        dg = dw \cdot \hat v \qquad
        dv = \frac{g}{\lVert v \rVert} \bigl( dw - (dw \cdot \hat v)\, \hat v \bigr)

    dv is orthogonal to v, so a step along it can only make v longer.

    Args:
        dw: gradient of the loss with respect to the result, shape of ``v``.
        v, g, dim: as they were given to :func:`weight_norm`.

    Returns:
        (dv, dg), each with the shape and dtype of what it belongs to.

    Raises:
        TypeError, ValueError: as :func:`weight_norm`; ``dw`` is not like ``v``.
    """
    axes = _check(v, dim, g=g, dw=dw)
    vhat, scale, length = _direction(v, axes)
    dw = widen(dw)
    along = _sum(dw * vhat, axes)
    # Divided by the norm in two steps: that of the smallest numbers has no
    # finite inverse.
    dv = (dw - along * vhat) * (widen(g) / length) / scale
    return narrow(dv, v), narrow(along.reshape(g.shape), g)


def norm_except_dim(v: Array, dim: int | None = 0) -> Array:
    r"""The norm of each vector of ``v``, in the shape of g. With it as g, w = v.

    .. math:: \lVert v \rVert = v \cdot \hat v

    Args:
        v, dim: as in :func:`weight_norm`.

    Returns:
        Array in the dtype of ``v``, with 1 on all axes but ``dim``; shape () if that is None.

    Raises:
        TypeError, ValueError: as :func:`weight_norm`.
    """
    axes = _check(v, dim)
    vhat, _, _ = _direction(v, axes)
    norm = _sum(widen(v) * vhat, axes)
    return narrow(norm.reshape(_shape_of_g(v, axes)), v)


def _direction(v: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """(v / ||v||, and two factors of ||v||: the sum of magnitudes, and the norm of v over it).

    After division by that sum, no square overflows and not all of them vanish.
    """
    v = widen(v)
    scale = _sum(abs(v), axes)
    scale = scale + (scale == 0)
    v = v / scale
    square = _sum(v * v, axes)
    length = (square + (square == 0)) ** 0.5  # not after the root, whose slope at 0 is infinite
    return v / length, scale, length


def _sum(x: Array, axes: tuple[int, ...]) -> Array:
    """The sum along ``axes``, kept with length 1; for no axes torch would sum over all."""
    return x.sum(axes, keepdims=True) if axes else x


def _shape_of_g(v: Array, axes: tuple[int, ...]) -> tuple[int, ...]:
    shape = [1 if a in axes else n for a, n in enumerate(v.shape)]
    return tuple(shape) if len(axes) < v.ndim else ()


def _check(v, dim, **more):
    """Check the arguments; return the axes that make a vector: all but ``dim``."""
    checks.check_array("v", v)
    if dim is not None and (not isinstance(dim, Integral) or isinstance(dim, bool)):
        raise TypeError(f"dim must be an integer or None, got {dim!r}.")
    shape, axis = tuple(v.shape), -1 if dim is None else dim
    if not -v.ndim <= axis < v.ndim:
        raise ValueError(
            f"dim must be None or an axis of v, here {-v.ndim} to {v.ndim - 1} "
            f"for shape {shape}; got {dim}."
        )
    axes = tuple([a for a in range(v.ndim) if axis == -1 or a != axis % v.ndim])
    if "g" in more:
        shape, what = _shape_of_g(v, axes), "one length per index along dim"
        checks.check_shape("g", more["g"], shape, v, what, optional=False, of="v")
    if "dw" in more:
        checks.check_gradient("dw", more["dw"], v, of="v")
    return axes
