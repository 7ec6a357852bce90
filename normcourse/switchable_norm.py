r"""Switchable normalization (Luo et al. 2018, arXiv:1806.10779).

Instance, layer and batch normalization differ in which numbers share a statistic. Here a layer
learns shares of the three, one set for its means and one for its variances. Layout (N, C, ...).
"""

from math import e, prod

from normcourse import checks, core
from normcourse.core import Array, narrow, per_channel, widen

__all__ = [
    "switchable_norm",
    "switchable_norm_backward",
    "switchable_norm_inference",
    "switchable_norm_inference_backward",
]


def switchable_norm(
    x: Array,
    mean_weight: Array,
    var_weight: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    r"""Normalize with a learned mixture of instance, layer and batch statistics.

    .. math::
        y &= \gamma \frac{x - \sum_k w_k \mu_k}{\sqrt{\sum_k w'_k \sigma_k^2 + \varepsilon}}
             + \beta \\
        w_k &= \frac{e^{\lambda_k}}{\sum_j e^{\lambda_j}}

    Args:
        x: (N, C, ...), floating point. With one position per channel the instance's mean is x
            and its variance 0; a logit of -inf leaves it out, as the official code does there.
        mean_weight, var_weight: (3,), the logits for means and for variances, in the order
            instance, layer (all channels), batch: that of the paper's code.
        weight, bias: (C,) or None for 1 and 0.
        eps: added to the mixed variance, inside the square root. All variances are biased (the
            official code's are not: on a single position they are NaN).

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError: an argument is no floating-point array, or libraries are mixed.
        ValueError: wrong rank, parameter shape or eps, or a single value.

    Source: Luo et al. 2018, arXiv:1806.10779, section 2.
    """
    logits = mean_weight, var_weight
    xhat, *_ = _normalize(x, None, logits, weight, bias, eps)
    weight, bias = per_channel(weight, x), per_channel(bias, x)
    return core.affine(xhat, weight, bias, x)


def switchable_norm_backward(
    dy: Array,
    x: Array,
    mean_weight: Array,
    var_weight: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    r"""Gradients of :func:`switchable_norm`: (dx, dmean_weight, dvar_weight, dweight, dbias).

    With :math:`g = dy\,\gamma`, r one over the root, and means over what shares statistic k,

    .. math::
        dx = r g - \sum_k w_k \operatorname{mean}_k(r g)
             - \sum_k w'_k (x - \mu_k) \operatorname{mean}_k(r^2 g\,\hat x) \\
        dw_k = -\sum r g\,\mu_k \qquad dw'_k = -\tfrac12 \sum r^2 g\,\hat x\,\sigma_k^2 \qquad
        d\lambda_k = w_k \Bigl(dw_k - \sum_j w_j\,dw_j\Bigr)

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, mean_weight, var_weight, weight, bias, eps: as in :func:`switchable_norm`.

    Returns:
        Five gradients, each like its input; None for a parameter that is None.

    Raises:
        TypeError, ValueError: as :func:`switchable_norm`; ``dy`` is not like ``x``.
    """
    logits = mean_weight, var_weight
    return _backward(dy, x, None, logits, weight, bias, eps)


def switchable_norm_inference(
    x: Array,
    running_mean: Array,
    running_var: Array,
    mean_weight: Array,
    var_weight: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    """Normalize with running statistics in the place of the batch's; the others stay x's own.

    Args:
        x: (N, C, ...), any N: no sample depends on another.
        running_mean, running_var: (C,), kept by :func:`update_running_statistics` as for batch
            normalization: the stored variance is unbiased. The paper instead averages over
            batches after training; its code has a moving average whose momentum is the weight of
            the old, of a variance that is unbiased only within an instance.
        mean_weight, var_weight, weight, bias, eps: as in :func:`switchable_norm`.

    Returns:
        Array with the shape and dtype of ``x``.

    Raises:
        TypeError, ValueError: as :func:`switchable_norm`.
    """
    running = running_mean, running_var
    logits = mean_weight, var_weight
    xhat, *_ = _normalize(x, running, logits, weight, bias, eps)
    weight, bias = per_channel(weight, x), per_channel(bias, x)
    return core.affine(xhat, weight, bias, x)


def switchable_norm_inference_backward(
    dy: Array,
    x: Array,
    running_mean: Array,
    running_var: Array,
    mean_weight: Array,
    var_weight: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """Gradients of :func:`switchable_norm_inference`, in the order of the backward above.

    The running statistics are constants: dx loses its two terms with k = batch.

    Args:
        dy: gradient of the loss with respect to the result, shape of ``x``.
        x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps: as they were
            given to :func:`switchable_norm_inference`.

    Returns:
        Five gradients, as :func:`switchable_norm_backward`.

    Raises:
        TypeError, ValueError: as :func:`switchable_norm_inference`; ``dy`` is not like ``x``.
    """
    running = running_mean, running_var
    logits = mean_weight, var_weight
    return _backward(dy, x, running, logits, weight, bias, eps)


def _backward(dy, x, running, logits, weight, bias, eps):
    normalized = _normalize(x, running, logits, weight, bias, eps)
    xhat, r, centered, apart, variances, w, v = normalized
    checks.check_gradient("dy", dy, x)
    weight, bias = per_channel(weight, x), per_channel(bias, x)
    shared = core.all_but_channels(x)
    g, dweight, dbias = core.affine_backward(dy, xhat, weight, bias, shared)
    rg = r * g.reshape(centered.shape)
    along_one = _means(rg, running)
    along_xhat = _means(rg * r * xhat.reshape(centered.shape), running)
    along_apart = [m * d for m, d in zip(along_xhat, apart, strict=True)]
    dx = rg - _mix(w, along_one) - centered * _mix(v, along_xhat) - _mix(v, along_apart)
    n = centered.shape[2]
    dw = [n * (along_one[0] * d).sum() for d in apart]
    # A variance that overflows meets a 0 in along_xhat: times infinity that would be NaN.
    finite = [s.clip(None, core.largest(s)) for s in variances]
    dv = [-n / 2 * (along_xhat[0] * s).sum() for s in finite]
    shares = [_softmax_backward(d, p) for d, p in zip((dw, dv), logits, strict=True)]
    return narrow(dx.reshape(x.shape), x), *shares, dweight, dbias


def _normalize(x, running, logits, weight, bias, eps):
    """(xhat, r, x - mu_instance, [mu_instance - mu_k], [sigma_k^2], w, w'), from one pass over x.

    Only differences of means are mixed: near 1e4 the means themselves are rounded too coarsely.
    Layer and batch have the mean of the instances' variances plus the variance of their means.
    """
    mean_weight, var_weight = logits
    _check(x, running, mean_weight, var_weight, weight, bias, eps)
    flat = widen(x).reshape((*x.shape[:2], prod(x.shape[2:])))
    mean, var = core.mean_and_variance(flat, 2)
    centered = flat - mean
    rest = centered.mean(2, keepdims=True)  # what rounding took from the mean
    centered = centered - rest
    layer = _apart(mean, rest, 1)
    var_layer = (var + layer * layer).mean(1, keepdims=True)
    if running is None:
        batch = _apart(mean, rest, 0)
        var_batch = (var + batch * batch).mean(0, keepdims=True)
    else:
        running_mean, var_batch = [widen(p).reshape((1, -1, 1)) for p in running]
        batch = mean - running_mean + rest
    apart, variances = (0.0, layer, batch), (var, var_layer, var_batch)
    w, v = _shares(mean_weight), _shares(var_weight)
    r = 1 / (_mix(v, variances) + eps) ** 0.5
    xhat = (centered + _mix(w, apart)) * r
    return xhat.reshape(x.shape), r, centered, apart, variances, w, v


def _apart(mean, rest, axis):
    """How far the means of the instances, mean + rest, are from their mean along ``axis``."""
    apart = mean - mean.mean(axis, keepdims=True) + rest
    return apart - apart.mean(axis, keepdims=True)


def _means(a, running):
    """The means of a over what shares each statistic; 0 for running ones, which are constant."""
    a = a.mean(2, keepdims=True)
    return a, a.mean(1, keepdims=True), (a.mean(0, keepdims=True) if running is None else 0.0)


def _mix(shares, parts):
    return shares[0] * parts[0] + shares[1] * parts[1] + shares[2] * parts[2]


def _softmax(logits):
    """(the shares, 1 2 3 in the library of the logits)."""
    power = e ** (widen(logits) - widen(logits).max())
    return power / power.sum(), core.arange_like(power)


def _shares(logits):
    """The three shares, each as a sum of its own.

    Compiled, a sum is kept, where an entry of the softmax is computed again for every number of
    x: forward and backward took three times as long.
    """
    shares, place = _softmax(logits)
    return [(shares * (place == k)).sum() for k in (1, 2, 3)]


def _softmax_backward(d, logits):
    """The gradient for the logits from the three numbers d, those for the shares."""
    shares, place = _softmax(logits)
    d = (place == 1) * d[0] + (place == 2) * d[1] + (place == 3) * d[2]
    return narrow(shares * (d - (shares * d).sum()), logits)


def _check(x, running, mean_weight, var_weight, weight, bias, eps):
    checks.check_array("x", x)
    checks.check_rank(x, 2, "(N, C, ...)")
    checks.check_eps(eps)
    for name, logits in (("mean_weight", mean_weight), ("var_weight", var_weight)):
        what = "logits for the instance, layer and batch statistics"
        checks.check_shape(name, logits, (3,), x, what, optional=False)
    checks.check_channels("weight", weight, x)
    checks.check_channels("bias", bias, x)
    if running is None:
        instead = "Use a larger batch, or switchable_norm_inference with running statistics."
        checks.check_count(x, tuple(range(x.ndim)), "batch", instead)
    else:
        for name, p in zip(("running_mean", "running_var"), running, strict=True):
            checks.check_channels(name, p, x, optional=False)
