r"""Divisive normalization: each response is divided by the pooled activity of its neighbours.

.. math:: y_i = \gamma_i \frac{D_i^n}{\sigma_i^n + \sum_j w_{ij} D_j^n} \qquad
          y_i = \frac{x_i}{\bigl(b_i + \sum_j w_{ij} x_j^2\bigr)^p}

Left the form of neuroscience, right the signed form of deep networks (GDN) with local response
normalization as a special case. Layout (N, C, ...): i and j are channels; each position of each
sample is normalized on its own.
"""

from math import prod
from numbers import Real

from normcourse import checks, core
from normcourse.core import Array, narrow, widen

__all__ = [
    "divisive_norm",
    "divisive_norm_backward",
    "local_response_norm",
    "local_response_norm_backward",
    "signed_divisive_norm",
    "signed_divisive_norm_backward",
]


def divisive_norm(
    x: Array,
    weight: Array,
    sigma: Array | float = 1.0,
    gain: Array | float = 1.0,
    exponent: float = 2.0,
) -> Array:
    r"""Divide a power of each channel's drive by the pooled powers of all channels.

    .. math:: y_i = \gamma_i \frac{D_i^n}{\sigma_i^n + \sum_j w_{ij} D_j^n}, \qquad D = \max(x, 0)

    Args:
        x: (N, C, ...), floating point; rectified, for a power of a negative drive may be NaN.
        weight: (C, C), w; row i is the pool of channel i. No entry may be negative.
        sigma: above 0, in the units of ``x``: a number or (C,). A drive alone in its pool, with
            w = 1, reaches half of the gain there.
        gain: above 0, the response that is never exceeded where w = 1: a number or (C,).
        exponent: n, at least 1; a setting, not learned.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: wrong rank or parameter shape; sigma, gain or exponent out of range.

    Source: Heeger 1992, Visual Neuroscience 9; Carandini & Heeger 2012, Nat. Rev. Neurosci. 13.
    """
    _check(x, weight, sigma=sigma, gain=gain)
    checks.check_number("exponent", exponent, 1)
    power, floor, *_ = _powers(x, sigma, exponent)
    y = _vector(gain) * power / (floor + _pool(weight, power))
    return narrow(y.reshape(x.shape), x)


def divisive_norm_backward(
    dy: Array,
    x: Array,
    weight: Array,
    sigma: Array | float = 1.0,
    gain: Array | float = 1.0,
    exponent: float = 2.0,
) -> tuple[Array, Array, Array | None, Array | None]:
    r"""Gradients of :func:`divisive_norm`: (dx, dweight, dsigma, dgain).

    With :math:`d_i = \sigma_i^n + \sum_j w_{ij} D_j^n` and its gradient :math:`t = -dy\,y/d`,

    .. math::
        dx_j = n D_j^{n-1} \Bigl(\frac{\gamma_j\,dy_j}{d_j} + \sum_i w_{ij} t_i\Bigr) \quad
        dw_{ij} = \sum t_i D_j^n \quad d\sigma_i = \sum t_i\,n\,\sigma_i^{n-1} \quad
        d\gamma_i = \sum dy_i \frac{D_i^n}{d_i}

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, weight, sigma, gain, exponent: as they were given to :func:`divisive_norm`.

    Returns:
        dx, 0 where x <= 0; dweight; dsigma and dgain, each None for a parameter that is a number.

    Raises:
        TypeError, ValueError: as :func:`divisive_norm`; ``dy`` is not like ``x``.
    """
    _check(x, weight, sigma=sigma, gain=gain)
    checks.check_number("exponent", exponent, 1)
    checks.check_gradient("dy", dy, x)
    power, floor, slope, floor_slope = _powers(x, sigma, exponent)
    gamma, d = _vector(gain), floor + _pool(weight, power)
    g = _flat(dy) / d
    t = -gamma * g * power / d
    reaching = gamma * g + _pool(weight.T, t)  # D^n
    dx = exponent * slope * (_flat(x) > 0) * reaching
    dsigma = _parameter_gradient(t * exponent * floor_slope, sigma)
    dgain = _parameter_gradient(g * power, gain)
    dx = narrow(dx.reshape(x.shape), x)
    return dx, _pool_gradient(t, power, weight), dsigma, dgain


def signed_divisive_norm(
    x: Array, weight: Array, bias: Array | float = 1.0, power: float = 0.5
) -> Array:
    r"""Divide each channel by a power of the pooled squares of all channels; signs stay.

    .. math:: y_i = \frac{x_i}{\bigl(b_i + \sum_j w_{ij} x_j^2\bigr)^p}

    Args:
        x: (N, C, ...), floating point.
        weight: (C, C), w; row i is the pool of channel i. No entry may be negative. GDN's gamma.
        bias: above 0, in the squared units of ``x``: a number or (C,). GDN's beta; the s^2 of
            Ren et al., who first subtract the pool's mean from x.
        power: p, above 0; one half divides by a root.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: wrong rank or parameter shape; bias or power out of range.

    Source: Ren et al. 2016, arXiv:1611.04520; Ballé et al. 2015, arXiv:1511.06281.
    """
    _check(x, weight, bias=bias)
    checks.check_number("power", power)
    square, floor, scale = _squares(x, bias)
    y = _flat(x) / _root(floor + _pool(weight, square), scale, power)
    return narrow(y.reshape(x.shape), x)


def signed_divisive_norm_backward(
    dy: Array, x: Array, weight: Array, bias: Array | float = 1.0, power: float = 0.5
) -> tuple[Array, Array, Array | None]:
    r"""Gradients of :func:`signed_divisive_norm`: (dx, dweight, dbias).

    With :math:`d_i = b_i + \sum_j w_{ij} x_j^2` and its gradient :math:`t = -p\,dy\,y/d`,

    .. math::
        dx_j = dy_j\,d_j^{-p} + 2 x_j \sum_i w_{ij} t_i \qquad
        dw_{ij} = \sum t_i x_j^2 \qquad db_i = \sum t_i

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, weight, bias, power: as they were given to :func:`signed_divisive_norm`.

    Returns:
        dx; dweight; dbias, None for a bias that is a number.

    Raises:
        TypeError, ValueError: as :func:`signed_divisive_norm`; ``dy`` is not like ``x``.
    """
    _check(x, weight, bias=bias)
    checks.check_number("power", power)
    checks.check_gradient("dy", dy, x)
    dx, t, square, scale = _signed_backward(dy, x, weight, bias, power)
    dbias = _parameter_gradient(t / scale, bias)
    return dx, _pool_gradient(t, square, weight), dbias


def local_response_norm(
    x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    r"""Divide each channel by the energy of its neighbours: the signed form, its pool a band.

    .. math:: y_i = x_i \Bigl(k + \frac{\alpha}{\text{size}}
                    \sum_{j=i-\lfloor\text{size}/2\rfloor}^{i+\lfloor(\text{size}-1)/2\rfloor}
                    x_j^2\Bigr)^{-\beta}

    Args:
        x: (N, C, L) or (N, C, H, W) or longer, floating point.
        size: channels in a pool; beyond the first and last they count as 0. An even size reaches
            one channel further down than up.
        alpha: 0 or more, divided by ``size`` as in torch; the paper's is not.
        beta: the power, above 0.
        k: above 0. (torch takes 0, too; there a pool of zeros gives 0/0.)

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: x is no floating-point array, size no integer, or a setting no number.
        ValueError: fewer than 3 axes, or a setting out of range.

    Source: Krizhevsky, Sutskever & Hinton 2012, section 3.3: size 5, k 2, beta 0.75, alpha 1e-4
    (here 5e-4).
    """
    weight = _neighbours(x, size, alpha, beta, k)
    return signed_divisive_norm(x, weight, k, beta)


def local_response_norm_backward(
    dy: Array, x: Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Array:
    """Gradient of :func:`local_response_norm`, dx: that of the signed form with its pool.

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, size, alpha, beta, k: as they were given to :func:`local_response_norm`.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError, ValueError: as :func:`local_response_norm`; ``dy`` is not like ``x``.
    """
    weight = _neighbours(x, size, alpha, beta, k)
    checks.check_gradient("dy", dy, x)
    return _signed_backward(dy, x, weight, k, beta)[0]


def _signed_backward(dy, x, weight, bias, power):
    """(dx, t, x^2, scale); t is multiplied by scale, x^2 divided."""
    square, floor, scale = _squares(x, bias)
    d, v = floor + _pool(weight, square), _flat(x)
    g = _flat(dy) / _root(d, scale, power)
    t = -power * g * v / d
    dx = g + 2 * (v / scale) * _pool(weight.T, t)
    return narrow(dx.reshape(x.shape), x), t, square, scale


def _powers(x, sigma, exponent):
    """D^n, sigma^n, D^(n-1) and sigma^(n-1), all divided by scale^(n-1).

    The results do not depend on the units, but large powers would overflow in those of x. With
    all n factors in units of their mean size, sigma would vanish beside a drive it does not pool.
    """
    drive, floor = _flat(x).clip(0), _vector(sigma)
    scale = (drive + floor).mean(1, keepdims=True)
    off = _flat(x) <= 0  # adding it keeps a power of 0 out of the derivatives
    slope, floor_slope = (drive / scale + off) ** (exponent - 1), (floor / scale) ** (exponent - 1)
    return drive * slope, floor * floor_slope, slope, floor_slope


def _squares(x, bias):
    """x^2 and bias, divided by scale as in :func:`_powers`, and scale."""
    v, floor = _flat(x), _vector(bias)
    scale = (abs(v) + floor**0.5).mean(1, keepdims=True)
    return v * (v / scale), floor / scale, scale


def _root(d, scale, power):
    """(scale d)^power, without the product, which could overflow, and with one power only."""
    return (d**0.5 * scale**0.5) ** (2 * power)


def _pool(weight, v):
    """The sums over j of w_ij v_j: one matrix product along the channels."""
    return narrow(weight, v) @ v


def _pool_gradient(t, v, weight):
    """The gradient of w_ij: t_i v_j, summed over samples and positions.

    A product for each sample is as large as the weight. With fewer positions than channels that is
    more than x, so there is one product for all: of 1024 rows of 1024, 4 MB instead of 4 GB.
    """
    if v.shape[2] < v.shape[1]:
        t, v = [a.swapaxes(0, 1).reshape((1, a.shape[1], -1)) for a in (t, v)]
    return narrow((narrow(t, v) @ v.swapaxes(1, 2)).sum(0), weight)


def _flat(x):
    """(N, C, ...) as (N, C, positions), half precision as float32."""
    return widen(x).reshape((*x.shape[:2], prod(x.shape[2:])))


def _vector(p):
    """A parameter (C,) so that it meets the channels of (N, C, positions); a number as it is."""
    return p if isinstance(p, Real) else widen(p).reshape((1, -1, 1))


def _parameter_gradient(t, p):
    """The gradient of p from that of its copies; None for a number."""
    return None if isinstance(p, Real) else narrow(t.sum((0, 2)), p)


def _neighbours(x, size, alpha, beta, k):
    """Check the arguments of LRN; return its pool, alpha / size on a band around the diagonal."""
    checks.check_array("x", x)
    checks.check_rank(x, 3, "(N, C, L), (N, C, H, W) or longer")
    checks.check_integer("size", size)
    checks.check_number("alpha", alpha, 0)
    checks.check_number("beta", beta)
    checks.check_number("k", k)
    some = x[:1].sum(core.all_but_channels(x))  # (C,), whatever it holds
    place = core.arange_like(some)
    ahead = place.reshape((1, -1)) - place.reshape((-1, 1))
    band = (ahead >= -(size // 2)) & (ahead <= (size - 1) // 2)
    return narrow(band, widen(x)) * (alpha / size)


def _check(x, weight, **parameters):
    checks.check_array("x", x)
    checks.check_rank(x, 2, "(N, C, ...)")
    shape, what = (x.shape[1],) * 2, "a row and a column per channel"
    checks.check_shape("weight", weight, shape, x, what, optional=False)
    for name, p in parameters.items():
        if isinstance(p, Real):
            checks.check_number(name, p)
        else:
            checks.check_channels(name, p, x, optional=False)
