"""What every normalization is made of: a mean, a centred square, a division.

This is the only place in the package where statistics are computed. The functions use nothing but
operators and array methods, so the same lines run on NumPy arrays, PyTorch tensors and JAX arrays.
"""

__all__ = [
    "mean_and_variance",
    "scale_and_shift",
    "scale_and_shift_backward",
    "standardize",
    "standardize_backward",
]


def standardize(x, axis, eps=1e-5):
    r"""Subtract the mean and divide by the standard deviation.

    .. math:: \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}}

    The numbers along ``axis`` share one mean and one biased variance.

    Args:
        x: array of any shape, floating point.
        axis: int or tuple of ints, the axes that share a statistic.
        eps: what is added to the variance, in the squared units of ``x``.

    Returns:
        Array with the shape and dtype of ``x``.
    """
    _, centered, variance = _center(widen(x), axis)
    return narrow(centered / (variance + eps) ** 0.5, x)


def standardize_backward(dxhat, x, axis, eps=1e-5):
    r"""Gradient of the loss with respect to the ``x`` of :func:`standardize`.

    .. math:: dx = \frac{d\hat x - \operatorname{mean}(d\hat x)
                   - \hat x \operatorname{mean}(d\hat x\,\hat x)}
                   {\sqrt{\sigma^2 + \varepsilon}}

    Args:
        dxhat: gradient of the loss with respect to the result, shape of ``x``.
        x, axis, eps: as they were given to :func:`standardize`.

    Returns:
        Array with the shape and dtype of ``x``.
    """
    _, centered, variance = _center(widen(x), axis)
    std = (variance + eps) ** 0.5
    xhat = centered / std
    g = widen(dxhat)
    along_one = g.mean(axis, keepdims=True)
    along_xhat = (g * xhat).mean(axis, keepdims=True)
    return narrow((g - along_one - xhat * along_xhat) / std, x)


def mean_and_variance(x, axis):
    r"""Mean and biased variance (divided by n) along ``axis``, kept as axes of length 1.

    .. math:: \mu = \tfrac1n \sum_i x_i \qquad \sigma^2 = \tfrac1n \sum_i (x_i - \mu)^2

    Returns:
        Two arrays; float32 where ``x`` is half precision, else the dtype of ``x``.
    """
    mean, _, variance = _center(widen(x), axis)
    return mean, variance


def _center(x, axis):
    """(mean, x - mean, variance). Never E[x^2] - E[x]^2, which cancels (Chan et al. 1983)."""
    mean = x.mean(axis, keepdims=True)
    centered = x - mean
    # That mean was rounded: near 1e4, float32 is off by up to 5e-4. Centring again removes it.
    rest = centered.mean(axis, keepdims=True)
    centered = centered - rest
    return mean + rest, centered, (centered**2).mean(axis, keepdims=True)


def scale_and_shift(xhat, weight, bias, x):
    r"""The learned affine map per channel, :math:`y = \gamma \hat x + \beta`, like ``x`` in dtype.

    ``xhat`` is (N, C, ...); ``weight`` and ``bias`` are (C,), or None for 1 and 0.
    """
    y = xhat if weight is None else xhat * per_channel(weight, x)
    return narrow(y if bias is None else y + per_channel(bias, x), x)


def scale_and_shift_backward(dy, xhat, weight, bias):
    r"""Gradients of :func:`scale_and_shift`: (dxhat, dweight, dbias).

    A parameter is shared by all of its channel, so its gradient is a **sum** over it:
    :math:`d\gamma = \sum dy\,\hat x`, :math:`d\beta = \sum dy`.
    """
    axes = all_but_channels(xhat)
    dxhat = widen(dy) if weight is None else widen(dy) * per_channel(weight, xhat)
    dweight = None if weight is None else narrow((widen(dy) * xhat).sum(axes), weight)
    dbias = None if bias is None else narrow(widen(dy).sum(axes), bias)
    return dxhat, dweight, dbias


def per_channel(p, x):
    """A vector (C,) shaped so that it meets the channel axis of ``x`` (N, C, ...)."""
    return widen(p).reshape((1, -1) + (1,) * (x.ndim - 2))


def all_but_channels(x):
    """The axes of (N, C, ...) except C."""
    return (0, *range(2, x.ndim))


def widen(x):
    """Half precision as float32, in which 300**2 does not overflow; anything else as it is."""
    if x.dtype.itemsize > 2:
        return x
    return x.astype("float32") if hasattr(x, "astype") else x.float()


def narrow(y, x):
    """``y`` in the dtype of ``x``: what :func:`widen` changed, changed back."""
    if y.dtype == x.dtype:
        return y
    return y.astype(x.dtype) if hasattr(y, "astype") else y.to(x.dtype)


def _is_float(dtype):
    """Whether a dtype is real floating point; NumPy's kind first, for its name is slow to make."""
    return getattr(dtype, "kind", None) == "f" or "float" in str(dtype)


def check_array(name, x, like=None):
    """Raise TypeError unless ``x`` is a floating-point array, of the library of ``like``."""
    kind = type(x).__name__
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise TypeError(
            f"{name} must be an array or tensor, got {kind}. Try numpy.asarray({name})."
        )
    if not _is_float(x.dtype):
        raise TypeError(
            f"{name} must be real floating point, got dtype {x.dtype}. "
            f"Convert it first: {name}.astype('float32') in NumPy, {name}.float() in torch."
        )
    # A traced tensor (torch.compile, jax.jit) has another class than an eager one of its library.
    if like is not None and hasattr(x, "astype") != hasattr(like, "astype"):
        raise TypeError(
            f"{name} is a {type(x).__module__}.{kind} but x is a "
            f"{type(like).__module__}.{type(like).__name__}. Use one library for all arguments."
        )


def check_channels(name, value, x, channels):
    """Raise unless ``value`` is None or a vector with one entry per channel."""
    if value is None:
        return
    check_array(name, value, like=x)
    if tuple(value.shape) != (channels,):
        raise ValueError(
            f"{name} must have shape ({channels},), one entry per channel of x with shape "
            f"{tuple(x.shape)}; got {tuple(value.shape)}."
        )


def check_gradient(name, dy, x):
    """Raise unless ``dy`` is an array of the library and shape of ``x``."""
    check_array(name, dy, like=x)
    if tuple(dy.shape) != tuple(x.shape):
        raise ValueError(
            f"{name} must have the shape of x, {tuple(x.shape)}; got {tuple(dy.shape)}."
        )


def check_eps(eps):
    """Raise ValueError for an eps under which a square root could fail."""
    if not eps >= 0:
        raise ValueError(f"eps must be zero or positive, got {eps}. Usual values: 1e-8 to 1e-3.")
