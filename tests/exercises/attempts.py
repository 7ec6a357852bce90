"""What students write, wrong and right, by somebody who saw no catalogue."""

import math
from functools import reduce

import numpy as np

ATTEMPTS = {}
RIGHT = {}


def bad(fn, why, n=1):
    def deco(f):
        ATTEMPTS.setdefault(fn, []).append((f, why, n))
        return f

    return deco


def good(fn):
    def deco(f):
        RIGHT.setdefault(fn, []).append(f)
        return f

    return deco


BN, BNB, RUN = "batch_norm", "batch_norm_backward", "update_running_statistics"
LN, LNB, SS, MS = "layer_norm", "layer_norm_backward", "standard_scale", "merge_statistics"
GN, GNB, B2G = "group_norm", "group_norm_backward", "batch_norm_to_group_norm"

# =====================================================================  batch_norm


@bad(BN, "eps is added to the standard deviation, outside the root")
def bn_w01(x, weight, bias, eps=1e-5):
    axes = tuple(i for i in range(x.ndim) if i != 1)
    shape = [1] * x.ndim
    shape[1] = -1
    mu = x.mean(axis=axes, keepdims=True)
    sd = x.std(axis=axes, keepdims=True)
    return weight.reshape(shape) * (x - mu) / (sd + eps) + bias.reshape(shape)


@bad(BN, "uses the unbiased variance (ddof=1)")
def bn_w02(x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    mu = x.mean(axis=axes, keepdims=True)
    var = x.var(axis=axes, keepdims=True, ddof=1)
    s = (1, x.shape[1]) + (1,) * (x.ndim - 2)
    return (x - mu) / np.sqrt(var + eps) * weight.reshape(s) + bias.reshape(s)


@bad(BN, "statistics over the batch axis only, every spatial position gets its own")
def bn_w03(x, weight, bias, eps=1e-5):
    mu = np.mean(x, axis=0)
    var = np.var(x, axis=0)
    xhat = (x - mu) / np.sqrt(var + eps)
    s = (1, -1) + (1,) * (x.ndim - 2)
    return weight.reshape(s) * xhat + bias.reshape(s)


@bad(BN, "normalizes every sample over its features (layer-norm axes)")
def bn_w04(x, weight, bias, eps=1e-5):
    axes = tuple(range(1, x.ndim))
    mu = x.mean(axes, keepdims=True)
    var = x.var(axes, keepdims=True)
    s = (1, -1) + (1,) * (x.ndim - 2)
    return (x - mu) / np.sqrt(var + eps) * weight.reshape(s) + bias.reshape(s)


@bad(BN, "instance norm for spatial inputs: the batch axis is left out of the statistics")
def bn_w05(x, weight, bias, eps=1e-5):
    if x.ndim == 2:
        axes = 0
        w, b = weight, bias
    else:
        axes = tuple(range(2, x.ndim))
        w = weight.reshape((1, -1) + (1,) * len(axes))
        b = bias.reshape((1, -1) + (1,) * len(axes))
    mu = x.mean(axis=axes, keepdims=True)
    var = ((x - mu) ** 2).mean(axis=axes, keepdims=True)
    return w * (x - mu) / np.sqrt(var + eps) + b


@bad(BN, "divides by the variance, not by its root")
def bn_w06(x, weight, bias, eps=1e-5):
    xt = np.moveaxis(x, 1, -1)
    flat = xt.reshape(-1, x.shape[1])
    out = weight * (flat - flat.mean(0)) / (flat.var(0) + eps) + bias
    return np.moveaxis(out.reshape(xt.shape), -1, 1)


@bad(BN, "the bias is never added")
def bn_w07(x, weight, bias, eps=1e-5):
    out = np.empty_like(x)
    for c in range(x.shape[1]):
        ch = x[:, c]
        out[:, c] = weight[c] * (ch - ch.mean()) / np.sqrt(ch.var() + eps)
    return out


@bad(BN, "the weight is never applied")
def bn_w08(x, weight, bias, eps=1e-5):
    axes = tuple(i for i in range(x.ndim) if i != 1)
    m, v = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - m) / np.sqrt(v + eps) + np.expand_dims(bias, axes)


@bad(BN, "adds the bias before multiplying by the weight")
def bn_w09(x, weight, bias, eps=1e-5):
    axes = tuple(i for i in range(x.ndim) if i != 1)
    w, b = np.expand_dims(weight, axes), np.expand_dims(bias, axes)
    xhat = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return (xhat + b) * w


@bad(BN, "reshapes to (-1, C) without first moving the channel axis last, which mixes channels")
def bn_w10(x, weight, bias, eps=1e-5):
    flat = x.reshape(-1, x.shape[1])
    mu, var = flat.mean(axis=0), flat.var(axis=0)
    out = (flat - mu) / np.sqrt(var + eps) * weight + bias
    return out.reshape(x.shape)


@bad(BN, "variance as E[x^2] - E[x]^2 in float32 cancels when the mean is large")
def bn_w11(x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    mu = np.mean(x, axis=axes)
    var = np.maximum(np.mean(x * x, axis=axes) - mu**2, 0)
    return (x - mu.reshape(s)) / np.sqrt(var + eps).reshape(s) * weight.reshape(s) + bias.reshape(s)


@bad(BN, "returns float64 for float32 input")
def bn_w12(x, weight, bias, eps=1e-5):
    z = x.astype(np.float64)
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    z = (z - z.mean(axes, keepdims=True)) / np.sqrt(z.var(axes, keepdims=True) + eps)
    return z * weight.reshape(s) + bias.reshape(s)


@bad(BN, "centres x in place, so the caller's array is changed")
def bn_w13(x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    x -= x.mean(axis=axes, keepdims=True)
    r = 1.0 / np.sqrt(np.mean(x**2, axis=axes, keepdims=True) + eps)
    return x * r * weight.reshape(s) + bias.reshape(s)


@bad(BN, "after flattening to (N*H*W, C) reshapes straight to x.shape, without the transpose back")
def bn_w14(x, weight, bias, eps=1e-5):
    flat = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    xhat = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + eps)
    return (xhat * weight + bias).reshape(x.shape)


@bad(
    BN,
    "weight of shape (C,) is not reshaped to meet the channel axis (exception with spatial axes)",
)
def bn_w15(x, weight, bias, eps=1e-5):
    axes = tuple(i for i in range(x.ndim) if i != 1)
    mean = x.mean(axis=axes, keepdims=True)
    var = x.var(axis=axes, keepdims=True)
    xhat = (x - mean) / np.sqrt(var + eps)
    return weight * xhat + bias


@bad(BN, "eps is not used at all")
def bn_w16(x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    with np.errstate(all="ignore"):
        xhat = (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True)
    return weight.reshape(s) * xhat + bias.reshape(s)


@bad(BN, "one mean and one variance over the whole array instead of one per channel")
def bn_w17(x, weight, bias, eps=1e-5):
    s = (1, -1) + (1,) * (x.ndim - 2)
    xhat = (x - np.mean(x)) / np.sqrt(np.var(x) + eps)
    return weight.reshape(s) * xhat + bias.reshape(s)


@bad(BN, "out is an alias of x, so the loop overwrites the argument")
def bn_w18(x, weight, bias, eps=1e-5):
    out = x
    for c in range(x.shape[1]):
        m = x[:, c].mean()
        v = x[:, c].var()
        out[:, c] = (x[:, c] - m) / np.sqrt(v + eps) * weight[c] + bias[c]
    return out


@bad(BN, "mean square of the raw x is used as the variance (not centred)")
def bn_w19(x, weight, bias, eps=1e-5):
    z = x.reshape(x.shape[0], x.shape[1], -1)
    n = z.shape[0] * z.shape[2]
    mu = np.einsum("ncl->c", z) / n
    var = np.einsum("ncl,ncl->c", z, z) / n
    out = (z - mu[:, None]) / np.sqrt(var + eps)[:, None] * weight[:, None] + bias[:, None]
    return out.reshape(x.shape)


@bad(BN, "the variance is clamped to at least eps, eps is not added")
def bn_w20(x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    var = np.maximum(x.var(axes, keepdims=True), eps)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(var) * weight.reshape(s) + bias.reshape(s)


@bad(BN, "the argument eps is ignored, 1e-5 is hard coded")
def bn_w21(x, weight, bias, eps=1e-5):
    outs = []
    for c in range(x.shape[1]):
        ch = x[:, c]
        outs.append((ch - ch.mean()) / np.sqrt(ch.var() + 1e-5) * weight[c] + bias[c])
    return np.stack(outs, axis=1)


@bad(BN, "sums over batch and space are divided by the batch size N only")
def bn_w22(x, weight, bias, eps=1e-5):
    N = x.shape[0]
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    mu = x.sum(axis=axes, keepdims=True) / N
    xc = x - mu
    var = (xc**2).sum(axis=axes, keepdims=True) / N
    return weight.reshape(s) * xc / np.sqrt(var + eps) + bias.reshape(s)


@bad(BN, "multiplies by sqrt(var+eps) instead of dividing")
def bn_w23(x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    c = x - x.mean(axes, keepdims=True)
    r = np.sqrt((c * c).mean(axes, keepdims=True) + eps)
    return c * r * weight.reshape(s) + bias.reshape(s)


@bad(
    BN,
    "folded affine form forgets to scale the mean: bias - mean instead of bias - mean*scale",
)
def bn_w24(x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    mu, var = x.mean(axes), x.var(axes)
    scale = weight / np.sqrt(var + eps)
    shift = bias - mu
    return x * scale.reshape(s) + shift.reshape(s)


@bad(BN, "the variance is averaged over per-sample variances, so variation between samples is lost")
def bn_w25(x, weight, bias, eps=1e-5):
    z = x.reshape(x.shape[0], x.shape[1], -1)
    mu = z.mean(axis=2).mean(axis=0)
    var = z.var(axis=2).mean(axis=0) if z.shape[2] > 1 else z[:, :, 0].var(axis=0)
    out = (z - mu[None, :, None]) / np.sqrt(var + eps)[None, :, None]
    out = out * weight[None, :, None] + bias[None, :, None]
    return out.reshape(x.shape)


@bad(BN, "unbiased variance, and eps outside the root", 2)
def bn_w26(x, weight, bias, eps=1e-5):
    xt = np.moveaxis(x, 1, -1)
    f = xt.reshape(-1, xt.shape[-1])
    y = (f - f.mean(0)) / (f.std(0, ddof=1) + eps) * weight + bias
    return np.moveaxis(y.reshape(xt.shape), -1, 1)


@bad(BN, "statistics over axis 0 only, and the bias is forgotten", 2)
def bn_w27(x, weight, bias, eps=1e-5):
    xhat = (x - x.mean(0, keepdims=True)) / np.sqrt(x.var(0, keepdims=True) + eps)
    return xhat * weight.reshape((1, -1) + (1,) * (x.ndim - 2))


@bad(BN, "ddof=1 and a float64 result", 2)
def bn_w28(x, weight, bias, eps=1e-5):
    out = np.zeros(x.shape)
    for c in range(x.shape[1]):
        v = x[:, c].ravel()
        n = len(v)
        mean = sum(v.tolist()) / n
        var = sum((t - mean) ** 2 for t in v.tolist()) / (n - 1)
        out[:, c] = (x[:, c] - mean) / math.sqrt(var + eps) * weight[c] + bias[c]
    return out


@bad(BN, "unbiased variance, eps outside the root, and x is centred in place", 3)
def bn_w29(x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    x -= x.mean(axes, keepdims=True)
    sd = x.std(axes, keepdims=True, ddof=1) + eps
    return x / sd * weight.reshape(s) + bias.reshape(s)


@good(BN)
def bn_r01(x, weight, bias, eps=1e-5):
    axes = tuple(i for i in range(x.ndim) if i != 1)
    s = (1, -1) + (1,) * (x.ndim - 2)
    mu = x.mean(axis=axes, keepdims=True)
    var = x.var(axis=axes, keepdims=True)
    return weight.reshape(s) * (x - mu) / np.sqrt(var + eps) + bias.reshape(s)


@good(BN)
def bn_r02(x, weight, bias, eps=1e-5):
    # float64 inside, folded affine
    z = x.astype(np.float64).reshape(x.shape[0], x.shape[1], -1)
    mu, var = z.mean((0, 2)), z.var((0, 2))
    a = weight / np.sqrt(var + eps)
    b = bias - mu * a
    return (z * a[:, None] + b[:, None]).reshape(x.shape).astype(x.dtype)


@good(BN)
def bn_r03(x, weight, bias, eps=1e-5):
    return np.stack(
        [
            (ch - ch.mean()) * (w / np.sqrt(ch.var() + eps)) + b
            for ch, w, b in zip(np.swapaxes(x, 0, 1), weight, bias, strict=False)
        ],
        axis=1,
    ).astype(x.dtype)


@good(BN)
def bn_r04(x, weight, bias, eps=1e-5):
    # Welford over Python lists
    out = np.empty(x.shape, dtype=x.dtype)
    for c in range(x.shape[1]):
        n, m, m2 = 0, 0.0, 0.0
        for t in x[:, c].ravel().tolist():
            n += 1
            d = t - m
            m += d / n
            m2 += d * (t - m)
        r = 1 / math.sqrt(m2 / n + eps)
        vals = [(t - m) * r * float(weight[c]) + float(bias[c]) for t in x[:, c].ravel().tolist()]
        out[:, c] = np.reshape(vals, x[:, c].shape)
    return out


@good(BN)
def bn_r05(x, weight, bias, eps=1e-5):
    flat = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1)
    n = flat.shape[1]
    c = flat - (flat @ np.ones((n, 1), x.dtype)) / n
    r = (np.einsum("cn,cn->c", c, c) / n + eps) ** -0.5
    y = np.einsum("cn,c,c->cn", c, r, weight) + bias[:, None]
    back = y.reshape((x.shape[1], x.shape[0], *x.shape[2:]))
    return np.ascontiguousarray(np.moveaxis(back, 0, 1)).astype(x.dtype, copy=False)


class _BatchNorm:
    def __init__(self, weight, bias, eps):
        self.w, self.b, self.eps = weight, bias, eps

    def __call__(self, x):
        y = x.T  # channel axis is now the last but one
        red = tuple(i for i in range(y.ndim) if i != y.ndim - 2)
        m = y.mean(axis=red, keepdims=True)
        v = np.square(y - m).mean(axis=red, keepdims=True)
        return ((y - m) / np.sqrt(v + self.eps) * self.w[:, None] + self.b[:, None]).T


@good(BN)
def bn_r06(x, weight, bias, eps=1e-5):
    return _BatchNorm(weight, bias, eps)(x)


# =====================================================================  batch_norm_backward


@bad(BNB, "treats mean and variance as constants: dx = g / sqrt(var+eps)")
def bnb_w01(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    r = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    xhat = (x - x.mean(axes, keepdims=True)) * r
    return dy * weight.reshape(s) * r, (dy * xhat).sum(axes), dy.sum(axes)


@bad(BNB, "the mean(g) term is missing from dx")
def bnb_w02(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    r = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    xhat = (x - x.mean(axes, keepdims=True)) * r
    g = dy * weight.reshape(s)
    dx = r * (g - xhat * (g * xhat).mean(axes, keepdims=True))
    return dx, (dy * xhat).sum(axes), dy.sum(axes)


@bad(BNB, "the xhat*mean(g*xhat) term (path through the variance) is missing")
def bnb_w03(dy, x, weight, bias, eps=1e-5):
    z = x.reshape(x.shape[0], x.shape[1], -1)
    d = dy.reshape(z.shape)
    mu = z.mean(axis=(0, 2), keepdims=True)
    std = np.sqrt(z.var(axis=(0, 2), keepdims=True) + eps)
    xhat = (z - mu) / std
    g = d * weight[None, :, None]
    dx = (g - g.mean(axis=(0, 2), keepdims=True)) / std
    return dx.reshape(x.shape), np.einsum("ncl,ncl->c", d, xhat), np.einsum("ncl->c", d)


@bad(BNB, "weight forgotten in dx (uses dy where g = dy*weight is meant)")
def bnb_w04(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    r = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    xhat = (x - x.mean(axes, keepdims=True)) * r
    dx = r * (dy - dy.mean(axes, keepdims=True) - xhat * (dy * xhat).mean(axes, keepdims=True))
    return dx, (dy * xhat).sum(axes), dy.sum(axes)


@bad(BNB, "dweight uses the raw x in place of xhat")
def bnb_w05(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size // x.shape[1]
    c = x - x.mean(axes, keepdims=True)
    r = (np.mean(c**2, axes, keepdims=True) + eps) ** -0.5
    g = dy * weight.reshape(s)
    dr = (g * c).sum(axes, keepdims=True)
    dvar = -0.5 * r**3 * dr
    dc = g * r + 2 / N * c * dvar
    dx = dc - dc.mean(axes, keepdims=True)
    return dx, (dy * x).sum(axes), dy.sum(axes)


@bad(BNB, "dweight is the sum of g*xhat, so the weight is counted in it")
def bnb_w06(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    g = dy * np.expand_dims(weight, axes)
    r = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    xhat = (x - x.mean(axes, keepdims=True)) * r
    dx = (g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True)) * r
    return dx, np.sum(g * xhat, axis=axes), np.sum(dy, axis=axes)


@bad(BNB, "dbias is the sum of g = dy*weight")
def bnb_w07(dy, x, weight, bias, eps=1e-5):
    dx = np.empty_like(x)
    dw, db = np.empty_like(weight), np.empty_like(bias)
    for k in range(x.shape[1]):
        xc = x[:, k] - x[:, k].mean()
        r = 1 / np.sqrt((xc**2).mean() + eps)
        h = xc * r
        g = dy[:, k] * weight[k]
        dx[:, k] = r * (g - g.mean() - h * (g * h).mean())
        dw[k] = (dy[:, k] * h).sum()
        db[k] = g.sum()
    return dx, dw, db


@bad(BNB, "the means in dx are taken over axis 0 only")
def bnb_w08(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    r = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    xhat = (x - x.mean(axes, keepdims=True)) * r
    g = dy * weight.reshape(s)
    dx = r * (g - g.mean(0) - xhat * (g * xhat).mean(0))
    return dx, (dy * xhat).sum(axes), dy.sum(axes)


@bad(BNB, "minus sign of dvar missing: dvar = +1/2 r^3 dr")
def bnb_w09(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size // x.shape[1]
    mu = x.mean(axes, keepdims=True)
    c = x - mu
    var = (c**2).mean(axes, keepdims=True)
    r = (var + eps) ** -0.5
    xhat = c * r
    g = dy * weight.reshape(s)
    dr = (g * c).sum(axes, keepdims=True)
    dvar = 0.5 * r**3 * dr
    dc = g * r + 2 / N * c * dvar
    return dc - dc.mean(axes, keepdims=True), (dy * xhat).sum(axes), dy.sum(axes)


@bad(BNB, "dvar uses r^2 where r^3 is right")
def bnb_w10(dy, x, weight, bias, eps=1e-5):
    z = np.moveaxis(x, 1, -1)
    f = z.reshape(-1, x.shape[1])
    d = np.moveaxis(dy, 1, -1).reshape(f.shape)
    N = len(f)
    c = f - f.mean(0)
    r = 1 / np.sqrt((c * c).mean(0) + eps)
    g = d * weight
    dr = np.sum(g * c, 0)
    dvar = -0.5 * r**2 * dr
    dc = g * r + 2.0 / N * c * dvar
    dx = dc - dc.mean(0)
    return np.moveaxis(dx.reshape(z.shape), -1, 1), np.sum(d * c * r, 0), np.sum(d, 0)


@bad(BNB, "the factor 1/2 is missing from dvar")
def bnb_w11(dy, x, weight, bias, eps=1e-5):
    f = x.swapaxes(0, 1).reshape(x.shape[1], -1)
    d = dy.swapaxes(0, 1).reshape(f.shape)
    N = f.shape[1]
    c = f - f.mean(1, keepdims=True)
    r = (np.mean(c * c, 1, keepdims=True) + eps) ** -0.5
    g = weight[:, None] * d
    dvar = -(r**3) * (g * c).sum(1, keepdims=True)
    dc = g * r + (2 / N) * c * dvar
    dx = dc - dc.mean(1, keepdims=True)
    dx = dx.reshape((x.shape[1], x.shape[0], *x.shape[2:])).swapaxes(0, 1)
    return dx, (d * c * r).sum(1), d.sum(1)


@bad(BNB, "the 2 of d(c^2) is missing in dc")
def bnb_w12(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = np.prod([x.shape[a] for a in axes]).item()
    c = x - x.mean(axes, keepdims=True)
    r = 1 / np.sqrt((c**2).mean(axes, keepdims=True) + eps)
    g = dy * weight.reshape(s)
    dvar = -0.5 * r**3 * np.sum(g * c, axes, keepdims=True)
    dc = g * r + c * dvar / N
    dx = dc - dc.mean(axes, keepdims=True)
    return dx, (dy * c * r).sum(axes), dy.sum(axes)


@bad(BNB, "N in 2/N is the batch size, not the count N*H*W")
def bnb_w13(dy, x, weight, bias, eps=1e-5):
    N = x.shape[0]
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    c = x - x.mean(axes, keepdims=True)
    r = 1 / np.sqrt((c**2).mean(axes, keepdims=True) + eps)
    g = dy * weight.reshape(s)
    dr = np.sum(g * c, axes, keepdims=True)
    dvar = -0.5 * r**3 * dr
    dc = g * r + 2 / N * c * dvar
    dx = dc - dc.mean(axes, keepdims=True)
    return dx, (dy * c * r).sum(axes), dy.sum(axes)


@bad(BNB, "stops at dc: the path through the mean is forgotten")
def bnb_w14(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size // x.shape[1]
    c = x - x.mean(axes, keepdims=True)
    r = 1 / np.sqrt((c**2).mean(axes, keepdims=True) + eps)
    g = dy * weight.reshape(s)
    dvar = -0.5 * r**3 * np.sum(g * c, axes, keepdims=True)
    dx = g * r + 2 / N * c * dvar
    return dx, (dy * c * r).sum(axes), dy.sum(axes)


@bad(BNB, "subtracts the sum of dc where its mean is right (1/N of the mean node forgotten)")
def bnb_w15(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size // x.shape[1]
    c = x - x.mean(axes, keepdims=True)
    r = 1 / np.sqrt((c**2).mean(axes, keepdims=True) + eps)
    g = dy * weight.reshape(s)
    dvar = -0.5 * r**3 * np.sum(g * c, axes, keepdims=True)
    dc = g * r + 2 / N * c * dvar
    dmu = -dc.sum(axes, keepdims=True)
    dx = dc + dmu
    return dx, (dy * c * r).sum(axes), dy.sum(axes)


@bad(BNB, "dx is divided by var+eps, the root is missing there")
def bnb_w16(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))

    def M(t):
        return t.mean(axes, keepdims=True)

    v = x.var(axes, keepdims=True) + eps
    h = (x - M(x)) / np.sqrt(v)
    g = dy * np.expand_dims(weight, axes)
    return (g - M(g) - h * M(g * h)) / v, (dy * h).sum(axes), dy.sum(axes)


@bad(BNB, "eps is missing from the backward pass")
def bnb_w17(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))

    def M(t):
        return t.mean(axes, keepdims=True)

    sd = x.std(axes, keepdims=True)
    with np.errstate(all="ignore"):
        h = (x - M(x)) / sd
        g = dy * np.expand_dims(weight, axes)
        return (g - M(g) - h * M(g * h)) / sd, (dy * h).sum(axes), dy.sum(axes)


@bad(BNB, "eps is added outside the root")
def bnb_w18(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(axes, keepdims=True)) + eps
    h = (x - x.mean(axes, keepdims=True)) / sd
    g = dy * weight.reshape(s)
    dx = (g - g.mean(axes, keepdims=True) - h * np.mean(g * h, axes, keepdims=True)) / sd
    return dx, (dy * h).sum(axes), dy.sum(axes)


@bad(BNB, "dweight and dbias are summed over the batch axis only, the spatial axes stay")
def bnb_w19(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    g = dy * weight.reshape(s)
    dx = (g - g.mean(axes, keepdims=True) - h * np.mean(g * h, axes, keepdims=True)) / sd
    return dx, np.sum(dy * h, axis=0), np.sum(dy, axis=0)


@bad(BNB, "keepdims left on: dweight and dbias have shape (1, C, 1, 1)")
def bnb_w20(dy, x, weight, bias, eps=1e-5):
    kw = {"axis": (0, *tuple(range(2, x.ndim))), "keepdims": True}
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(**kw) + eps)
    h = (x - x.mean(**kw)) / sd
    g = dy * weight.reshape(s)
    dx = (g - g.mean(**kw) - h * np.mean(g * h, **kw)) / sd
    return dx, np.sum(dy * h, **kw), np.sum(dy, **kw)


@bad(BNB, "dbias and dweight are returned in the wrong order")
def bnb_w21(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    dbias = dy.sum(axes)
    dweight = (dy * h).sum(axes)
    g = dy * weight.reshape(s)
    dx = (g - g.mean(axes, keepdims=True) - h * np.mean(g * h, axes, keepdims=True)) / sd
    return dx, dbias, dweight


@bad(BNB, "dweight and dbias are means over the batch instead of sums")
def bnb_w22(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    db = dy.mean(axes)
    dw = (dy * h).mean(axes)
    w = weight.reshape(s)
    dx = w * (dy - db.reshape(s) - h * dw.reshape(s)) / sd
    return dx, dw, db


@bad(BNB, "the variance term of dx is added instead of subtracted")
def bnb_w23(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    g = dy * weight.reshape(s)
    dx = (g - g.mean(axes, keepdims=True) + h * np.mean(g * h, axes, keepdims=True)) / sd
    return dx, (dy * h).sum(axes), dy.sum(axes)


@bad(BNB, "only the first term of dx carries the weight, the two means use bare dy")
def bnb_w24(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    dx = (
        dy * weight.reshape(s)
        - dy.mean(axes, keepdims=True)
        - h * np.mean(dy * h, axes, keepdims=True)
    ) / sd
    return dx, (dy * h).sum(axes), dy.sum(axes)


@bad(BNB, "compact form N*g - sum(g) - xhat*sum(g*xhat) without the 1/N in front")
def bnb_w25(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size // x.shape[1]
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    g = dy * weight.reshape(s)
    dx = (N * g - g.sum(axes, keepdims=True) - h * np.sum(g * h, axes, keepdims=True)) / sd
    return dx, (dy * h).sum(axes), dy.sum(axes)


@bad(BNB, "compact form with N = batch size though the sums run over the spatial axes as well")
def bnb_w26(dy, x, weight, bias, eps=1e-5):
    N = x.shape[0]
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    dw, db = (dy * h).sum(axes), dy.sum(axes)
    dx = weight.reshape(s) / (N * sd) * (N * dy - db.reshape(s) - h * dw.reshape(s))
    return dx, dw, db


@bad(BNB, "third term uses the centred c where xhat is meant inside the mean")
def bnb_w27(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    c = x - x.mean(axes, keepdims=True)
    r = 1 / np.sqrt(np.mean(c * c, axes, keepdims=True) + eps)
    g = dy * weight.reshape(s)
    dx = r * (g - g.mean(axes, keepdims=True) - c * r * np.mean(g * c, axes, keepdims=True))
    return dx, (dy * c * r).sum(axes), dy.sum(axes)


@bad(BNB, "the variance is unbiased (ddof=1)")
def bnb_w28(dy, x, weight, bias, eps=1e-5):
    dx, dw, db = np.zeros_like(x), [], []
    for k, (xc, dc) in enumerate(zip(x.swapaxes(0, 1), dy.swapaxes(0, 1), strict=False)):
        r = 1 / np.sqrt(np.var(xc, ddof=1) + eps)
        h = (xc - xc.mean()) * r
        g = weight[k] * dc
        dx[:, k] = r * (g - g.mean() - h * np.mean(g * h))
        dw.append((dc * h).sum())
        db.append(dc.sum())
    return dx, np.array(dw), np.array(db)


@bad(BNB, "Jacobian J = I - 1/N - xhat xhat^T: the outer product is not divided by N")
def bnb_w29(dy, x, weight, bias, eps=1e-5):
    C = x.shape[1]
    f = np.moveaxis(x, 1, 0).reshape(C, -1)
    d = np.moveaxis(dy, 1, 0).reshape(C, -1)
    n = f.shape[1]
    dx = np.zeros_like(f)
    dw, db = np.zeros_like(weight), np.zeros_like(bias)
    for k in range(C):
        sd = np.sqrt(f[k].var() + eps)
        h = (f[k] - f[k].mean()) / sd
        J = (np.eye(n, dtype=x.dtype) - 1 / n - np.outer(h, h)) / sd
        dx[k] = J @ (weight[k] * d[k])
        dw[k] = d[k] @ h
        db[k] = d[k].sum()
    return np.moveaxis(dx.reshape((C, x.shape[0], *x.shape[2:])), 0, 1), dw, db


@bad(BNB, "dy *= weight changes the caller's dy")
def bnb_w30(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    dw, db = (dy * h).sum(axes), dy.sum(axes)
    dy *= weight.reshape(s)
    dx = (dy - dy.mean(axes, keepdims=True) - h * np.mean(dy * h, axes, keepdims=True)) / sd
    return dx, dw, db


@bad(BNB, "all three gradients come back as float64")
def bnb_w31(dy, x, weight, bias, eps=1e-5):
    dy, x, weight = (np.asarray(t, dtype=float) for t in (dy, x, weight))
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    g = dy * weight.reshape(s)
    dx = (g - g.mean(axes, keepdims=True) - h * np.mean(g * h, axes, keepdims=True)) / sd
    return dx, (dy * h).sum(axes), dy.sum(axes)


@bad(BNB, "dy * weight without reshaping the weight (exception with spatial axes)")
def bnb_w32(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    g = dy * weight
    dx = (g - g.mean(axes, keepdims=True) - h * np.mean(g * h, axes, keepdims=True)) / sd
    return dx, (dy * h).sum(axes), dy.sum(axes)


@bad(BNB, "dr is computed as sum(g*xhat) instead of sum(g*c), so r is counted once too often")
def bnb_w33(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size / x.shape[1]
    c = x - x.mean(axes, keepdims=True)
    r = (np.mean(c**2, axes, keepdims=True) + eps) ** -0.5
    xhat = c * r
    g = dy * weight.reshape(s)
    dr = (g * xhat).sum(axes, keepdims=True)
    dvar = -0.5 * r**3 * dr
    dc = g * r + 2 / N * c * dvar
    return dc - dc.mean(axes, keepdims=True), (dy * xhat).sum(axes), dy.sum(axes)


@bad(BNB, "1/N of the mean of squares is missing: dc = g*r + 2*c*dvar")
def bnb_w34(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    c = x - x.mean(axes, keepdims=True)
    r = (np.mean(c**2, axes, keepdims=True) + eps) ** -0.5
    g = dy * weight.reshape(s)
    dvar = -0.5 * r**3 * (g * c).sum(axes, keepdims=True)
    dc = g * r + 2 * c * dvar
    return dc - dc.mean(axes, keepdims=True), (dy * c * r).sum(axes), dy.sum(axes)


@bad(BNB, "forgets the direct path g*r in dc (overwrites it with the variance path)")
def bnb_w35(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size // x.shape[1]
    c = x - x.mean(axes, keepdims=True)
    r = (np.mean(c**2, axes, keepdims=True) + eps) ** -0.5
    g = dy * weight.reshape(s)
    dc = g * r
    dvar = -0.5 * r**3 * (g * c).sum(axes, keepdims=True)
    dc = 2 / N * c * dvar
    return dc - dc.mean(axes, keepdims=True), (dy * c * r).sum(axes), dy.sum(axes)


@bad(BNB, "the mean node has the wrong sign: the mean of g*r is added instead of subtracted")
def bnb_w36(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size // x.shape[1]
    c = x - x.mean(axes, keepdims=True)
    r = (np.mean(c**2, axes, keepdims=True) + eps) ** -0.5
    g = dy * weight.reshape(s)
    dvar = -0.5 * r**3 * (g * c).sum(axes, keepdims=True)
    dmu = (g * r).sum(axes, keepdims=True)
    dx = g * r + 2 / N * c * dvar + dmu / N
    return dx, (dy * c * r).sum(axes), dy.sum(axes)


@bad(BNB, "reshapes to (-1, C) without moving the channel axis")
def bnb_w37(dy, x, weight, bias, eps=1e-5):
    C = x.shape[1]
    f, d = x.reshape(-1, C), dy.reshape(-1, C)
    sd = np.sqrt(f.var(0) + eps)
    h = (f - f.mean(0)) / sd
    g = d * weight
    dx = (g - g.mean(0) - h * (g * h).mean(0)) / sd
    return dx.reshape(x.shape), (d * h).sum(0), d.sum(0)


@bad(BNB, "numerical gradient with a float32 step of 1e-5: rounding swamps dx")
def bnb_w38(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)

    def loss(t):
        h = (t - t.mean(axes, keepdims=True)) / np.sqrt(t.var(axes, keepdims=True) + eps)
        return np.sum(dy * (weight.reshape(s) * h + bias.reshape(s)))

    dx = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        xp, xm = x.copy(), x.copy()
        xp[i] += 1e-5
        xm[i] -= 1e-5
        dx[i] = (loss(xp) - loss(xm)) / 2e-5
    h = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return dx, (dy * h).sum(axes), dy.sum(axes)


@bad(BNB, "xhat is not divided by the std for dweight (uses c), the rest is right")
def bnb_w39(dy, x, weight, bias, eps=1e-5):
    f = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    d = np.moveaxis(dy, 1, -1).reshape(f.shape)
    c = f - f.mean(0)
    v = np.mean(c**2, 0) + eps
    g = d * weight
    dx = (g - g.mean(0) - c * (g * c).mean(0) / v) / np.sqrt(v)
    dx = np.moveaxis(dx.reshape(np.moveaxis(x, 1, -1).shape), -1, 1)
    return dx, (d * c).sum(0), d.sum(0)


@bad(BNB, "dweight built from g, and dbias built from g: both include the weight", 2)
def bnb_w40(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    g = dy * np.expand_dims(weight, axes)
    sd = np.sqrt(x.var(axes, keepdims=True) + eps)
    h = (x - x.mean(axes, keepdims=True)) / sd
    dx = (g - g.mean(axes, keepdims=True) - h * (g * h).mean(axes, keepdims=True)) / sd
    return dx, (g * h).sum(axes), g.sum(axes)


@bad(BNB, "sign of dvar lost, and the mean path forgotten", 2)
def bnb_w41(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size // x.shape[1]
    c = x - x.mean(axes, keepdims=True)
    r = (np.mean(c**2, axes, keepdims=True) + eps) ** -0.5
    g = dy * weight.reshape(s)
    dvar = 0.5 * r**3 * (g * c).sum(axes, keepdims=True)
    return g * r + 2 / N * c * dvar, (dy * c * r).sum(axes), dy.sum(axes)


@bad(BNB, "ignores the weight in dx, and averages dweight", 2)
def bnb_w42(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))

    def m(t):
        return t.mean(axes, keepdims=True)

    sd = np.sqrt(m((x - m(x)) ** 2) + eps)
    h = (x - m(x)) / sd
    return (dy - m(dy) - h * m(dy * h)) / sd, (dy * h).mean(axes), dy.sum(axes)


@bad(BNB, "dx has only g*r, and dweight uses raw x", 2)
def bnb_w43(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    dx = dy * weight.reshape(s) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return dx, np.sum(dy * x, axis=axes), np.sum(dy, axis=axes)


@bad(BNB, "r^2 for r^3, N is the batch size, and the sum of dc is subtracted", 3)
def bnb_w44(dy, x, weight, bias, eps=1e-5):
    N = x.shape[0]
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    c = x - x.mean(axes, keepdims=True)
    r = (np.mean(c**2, axes, keepdims=True) + eps) ** -0.5
    g = dy * weight.reshape(s)
    dvar = -0.5 * r**2 * (g * c).sum(axes, keepdims=True)
    dc = g * r + 2 / N * c * dvar
    return dc - dc.sum(axes, keepdims=True), (dy * c * r).sum(axes), dy.sum(axes)


@good(BNB)
def bnb_r01(dy, x, weight, bias, eps=1e-5):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    N = x.size // x.shape[1]
    c = x - x.mean(axes, keepdims=True)
    var = np.mean(c**2, axes, keepdims=True)
    r = (var + eps) ** -0.5
    xhat = c * r
    g = dy * weight.reshape(s)
    dr = (g * c).sum(axes, keepdims=True)
    dvar = -0.5 * r**3 * dr
    dc = g * r + 2 / N * c * dvar
    return dc - dc.mean(axes, keepdims=True), (dy * xhat).sum(axes), dy.sum(axes)


@good(BNB)
def bnb_r02(dy, x, weight, bias, eps=1e-5):
    # classic CS231n: dmu has the (zero) variance term as well
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    X, D, W = x.astype(np.float64), dy.astype(np.float64), weight.astype(np.float64).reshape(s)
    N = x.size // x.shape[1]
    mu, var = X.mean(axes, keepdims=True), X.var(axes, keepdims=True)
    dxhat = D * W
    dvar = (dxhat * (X - mu) * -0.5 * (var + eps) ** -1.5).sum(axes, keepdims=True)
    dmu = (-dxhat / np.sqrt(var + eps)).sum(axes, keepdims=True) + dvar * (-2 * (X - mu)).mean(
        axes, keepdims=True
    )
    dx = dxhat / np.sqrt(var + eps) + dvar * 2 * (X - mu) / N + dmu / N
    xhat = (X - mu) / np.sqrt(var + eps)
    return tuple(t.astype(x.dtype) for t in (dx, (D * xhat).sum(axes), D.sum(axes)))


@good(BNB)
def bnb_r03(dy, x, weight, bias, eps=1e-5):
    # explicit Jacobian per channel
    C = x.shape[1]
    res_dx, dw, db = [], [], []
    for k in range(C):
        v = x[:, k].ravel().astype(float)
        d = dy[:, k].ravel().astype(float)
        n = v.size
        sd = math.sqrt(v.var() + eps)
        h = (v - v.mean()) / sd
        J = (np.eye(n) - np.ones((n, n)) / n - np.outer(h, h) / n) * float(weight[k]) / sd
        res_dx.append((J.T @ d).reshape(x[:, k].shape))
        dw.append(d @ h)
        db.append(d.sum())
    return (
        np.stack(res_dx, 1).astype(x.dtype),
        np.array(dw, dtype=x.dtype),
        np.array(db, dtype=x.dtype),
    )


@good(BNB)
def bnb_r04(dy, x, weight, bias, eps=1e-5):
    # compact with sums, dw and db reused
    axes = tuple(a for a in range(x.ndim) if a != 1)
    m = math.prod(x.shape[a] for a in axes)

    def up(v):
        return np.expand_dims(v, axes)

    rstd = 1 / np.sqrt(x.var(axis=axes) + eps)
    h = (x - up(x.mean(axis=axes))) * up(rstd)
    db, dw = dy.sum(axis=axes), (dy * h).sum(axis=axes)
    return up(weight * rstd / m) * (m * dy - up(db) - h * up(dw)), dw, db


@good(BNB)
def bnb_r05(dy, x, weight, bias, eps=1e-5):
    N, C = x.shape[:2]
    z, d = x.reshape(N, C, -1), dy.reshape(N, C, -1)
    m = N * z.shape[2]
    c = z - np.einsum("ncl->c", z)[:, None] / m
    r = 1 / np.sqrt(np.einsum("ncl,ncl->c", c, c) / m + eps)
    h = np.einsum("ncl,c->ncl", c, r)
    dw, db = np.einsum("ncl,ncl->c", d, h), np.einsum("ncl->c", d)
    k = weight * r
    dx = (
        np.einsum("c,ncl->ncl", k, d)
        - (k * db / m)[:, None]
        - np.einsum("c,ncl->ncl", k * dw / m, h)
    )
    return dx.reshape(x.shape), dw, db


@good(BNB)
def bnb_r06(dy, x, weight, bias, eps=1e-5):
    # projection view: remove the components along 1 and along c, the latter shrunk by var/(var+eps)
    C = x.shape[1]
    f = np.moveaxis(x, 1, 0).reshape(C, -1).astype(np.float64)
    d = np.moveaxis(dy, 1, 0).reshape(C, -1).astype(np.float64)
    out = np.empty_like(f)
    dw, db = np.empty(C), np.empty(C)
    for k in range(C):
        c = f[k] - f[k].mean()
        v = c @ c / c.size
        g = d[k] * weight[k]
        g = g - g.mean()
        if v > 0:
            g = g - c * (c @ g) / (c @ c) * (v / (v + eps))
        out[k] = g / np.sqrt(v + eps)
        dw[k] = d[k] @ c / np.sqrt(v + eps)
        db[k] = d[k].sum()
    dx = np.moveaxis(out.reshape((C, x.shape[0], *x.shape[2:])), 0, 1)
    return dx.astype(x.dtype), dw.astype(x.dtype), db.astype(x.dtype)


# =====================================================================  update_running_statistics


@bad(RUN, "the batch variance is biased")
def run_w01(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    return (
        (1 - momentum) * running_mean + momentum * x.mean(axes),
        (1 - momentum) * running_var + momentum * x.var(axes),
    )


@bad(RUN, "momentum weighs the old value, not the batch (Keras convention)")
def run_w02(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    m, v = x.mean(axes), x.var(axes, ddof=1)
    return momentum * running_mean + (1 - momentum) * m, momentum * running_var + (1 - momentum) * v


@bad(RUN, "the Bessel factor n/(n-1) is put on the mean as well")
def run_w03(running_mean, running_var, x, momentum=0.1):
    f = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    n = len(f)
    mean = f.sum(0) / (n - 1)
    var = f.var(0) * n / (n - 1)
    return running_mean * (1 - momentum) + momentum * mean, running_var * (
        1 - momentum
    ) + momentum * var


@bad(RUN, "averages the standard deviation into running_var")
def run_w04(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    keep = 1 - momentum
    return (
        keep * running_mean + momentum * x.mean(axes),
        keep * running_var + momentum * x.std(axes, ddof=1),
    )


@bad(RUN, "Bessel factor upside down: (n-1)/n")
def run_w05(running_mean, running_var, x, momentum=0.1):
    n = x.size // x.shape[1]
    axes = (0, *tuple(range(2, x.ndim)))
    var = x.var(axes) * ((n - 1) / n)
    return (1 - momentum) * running_mean + momentum * x.mean(axes), (
        1 - momentum
    ) * running_var + momentum * var


@bad(RUN, "n of the Bessel factor is the batch size, without the spatial positions")
def run_w06(running_mean, running_var, x, momentum=0.1):
    n = x.shape[0]
    axes = (0, *tuple(range(2, x.ndim)))
    var = x.var(axes) * (n / (n - 1))
    return (1 - momentum) * running_mean + momentum * x.mean(axes), (
        1 - momentum
    ) * running_var + momentum * var


@bad(RUN, "batch statistics over axis 0 only: (C, H, W) meets (C,) (exception with spatial axes)")
def run_w07(running_mean, running_var, x, momentum=0.1):
    m = np.mean(x, axis=0)
    v = np.var(x, axis=0, ddof=1)
    return running_mean + momentum * (m - running_mean), running_var + momentum * (v - running_var)


@bad(RUN, "updates the arguments in place")
def run_w08(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    running_mean *= 1 - momentum
    running_mean += momentum * x.mean(axes)
    running_var *= 1 - momentum
    running_var += momentum * x.var(axes, ddof=1)
    return running_mean, running_var


@bad(RUN, "the old value is not decayed: old + m*batch")
def run_w09(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    return running_mean + momentum * x.mean(axes), running_var + momentum * x.var(axes, ddof=1)


@bad(RUN, "sign wrong in the difference form: old + m*(old - batch)")
def run_w10(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    new = []
    for old, b in ((running_mean, x.mean(axes)), (running_var, x.var(axes, ddof=1))):
        new.append(old + momentum * (old - b))
    return tuple(new)


@bad(RUN, "returns (var, mean) in the wrong order")
def run_w11(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    mean = (1 - momentum) * running_mean + momentum * x.mean(axes)
    var = (1 - momentum) * running_var + momentum * x.var(axes, ddof=1)
    return var, mean


@bad(RUN, "comes back as float64")
def run_w12(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    m = x.mean(axes, dtype=np.float64)
    v = x.var(axes, dtype=np.float64, ddof=1)
    return (1 - momentum) * running_mean + momentum * m, (1 - momentum) * running_var + momentum * v


@bad(RUN, "0.9 and 0.1 are hard coded, the momentum argument is ignored")
def run_w13(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    return 0.9 * running_mean + 0.1 * x.mean(axes), 0.9 * running_var + 0.1 * x.var(axes, ddof=1)


@bad(RUN, "variance taken about the (old) running mean instead of the batch mean")
def run_w14(running_mean, running_var, x, momentum=0.1):
    f = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    n = f.shape[0]
    mean = (1 - momentum) * running_mean + momentum * f.mean(0)
    var = ((f - running_mean) ** 2).sum(0) / (n - 1)
    return mean, (1 - momentum) * running_var + momentum * var


@bad(RUN, "the mean name is overwritten, so the variance is about the new running mean")
def run_w15(running_mean, running_var, x, momentum=0.1):
    C = x.shape[1]
    means, vars_ = [], []
    for c in range(C):
        v = x[:, c].ravel()
        mean = v.mean()
        mean = (1 - momentum) * running_mean[c] + momentum * mean
        var = ((v - mean) ** 2).sum() / (v.size - 1)
        means.append(mean)
        vars_.append((1 - momentum) * running_var[c] + momentum * var)
    return np.array(means, dtype=x.dtype), np.array(vars_, dtype=x.dtype)


@bad(RUN, "ddof=1 and the factor n/(n-1) on top: corrected twice")
def run_w16(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    n = x.size // x.shape[1]
    var = x.var(axes, ddof=1) * n / (n - 1)
    return (1 - momentum) * running_mean + momentum * x.mean(axes), (
        1 - momentum
    ) * running_var + momentum * var


@bad(RUN, "the Bessel factor is put on the whole new running variance, the old part included")
def run_w17(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    n = x.size // x.shape[1]
    mean = (1 - momentum) * running_mean + momentum * x.mean(axes)
    var = (1 - momentum) * running_var + momentum * x.var(axes)
    return mean, var * (n / (n - 1))


@bad(RUN, "keepdims left on: results have shape (1, C, 1, 1)")
def run_w18(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    s = (1, -1) + (1,) * (x.ndim - 2)
    m, v = x.mean(axes, keepdims=True), x.var(axes, keepdims=True, ddof=1)
    return (
        (1 - momentum) * running_mean.reshape(s) + momentum * m,
        (1 - momentum) * running_var.reshape(s) + momentum * v,
    )


@bad(RUN, "variance is the mean over samples of per-sample variances for spatial inputs")
def run_w19(running_mean, running_var, x, momentum=0.1):
    if x.ndim == 2:
        m, v = x.mean(0), x.var(0, ddof=1)
    else:
        f = x.reshape(x.shape[0], x.shape[1], -1)
        m, v = f.mean(2).mean(0), f.var(2, ddof=1).mean(0)
    return (1 - momentum) * running_mean + momentum * m, (1 - momentum) * running_var + momentum * v


@bad(RUN, "the momentum factor is missing on the batch mean (the variance is updated rightly)")
def run_w20(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    return (
        (1 - momentum) * running_mean + x.mean(axes),
        (1 - momentum) * running_var + momentum * x.var(axes, ddof=1),
    )


@bad(RUN, "biased variance, and momentum on the wrong side", 2)
def run_w21(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    return (
        momentum * running_mean + (1 - momentum) * x.mean(axes),
        momentum * running_var + (1 - momentum) * x.var(axes),
    )


@bad(RUN, "standard deviation for variance, and biased", 2)
def run_w22(running_mean, running_var, x, momentum=0.1):
    f = x.swapaxes(0, 1).reshape(x.shape[1], -1)
    return (
        running_mean - momentum * (running_mean - f.mean(1)),
        running_var - momentum * (running_var - f.std(1)),
    )


@bad(RUN, "no decay of the old, biased variance, and arguments changed in place", 3)
def run_w23(running_mean, running_var, x, momentum=0.1):
    axes = (0, *tuple(range(2, x.ndim)))
    running_mean += momentum * x.mean(axes)
    running_var += momentum * x.var(axes)
    return running_mean, running_var


@good(RUN)
def run_r01(running_mean, running_var, x, momentum=0.1):
    axes = tuple(i for i in range(x.ndim) if i != 1)
    return (
        (1 - momentum) * running_mean + momentum * x.mean(axes),
        (1 - momentum) * running_var + momentum * x.var(axes, ddof=1),
    )


@good(RUN)
def run_r02(running_mean, running_var, x, momentum=0.1):
    n = x.size // x.shape[1]
    f = np.moveaxis(x, 1, -1).reshape(n, -1)
    m = f.mean(0)
    v = np.square(f - m).sum(0) / (n - 1)
    # lerp form
    return running_mean + momentum * (m - running_mean), running_var + momentum * (v - running_var)


@good(RUN)
def run_r03(running_mean, running_var, x, momentum=0.1):
    def one(rm, rv, col):
        vals = col.ravel().tolist()
        m = math.fsum(vals) / len(vals)
        v = math.fsum((t - m) ** 2 for t in vals) / (len(vals) - 1)
        return (1 - momentum) * rm + momentum * m, (1 - momentum) * rv + momentum * v

    pairs = [one(float(running_mean[c]), float(running_var[c]), x[:, c]) for c in range(x.shape[1])]
    a, b = zip(*pairs, strict=False)
    return np.asarray(a, running_mean.dtype), np.asarray(b, running_var.dtype)


@good(RUN)
def run_r04(running_mean, running_var, x, momentum=0.1):
    old = np.stack([running_mean, running_var])
    z = x.reshape(x.shape[0], x.shape[1], -1)
    n = z.shape[0] * z.shape[2]
    new = np.stack([z.mean((0, 2)), z.var((0, 2)) * (n / (n - 1))])
    mean, var = (1 - momentum) * old + momentum * new
    return mean, var


# =====================================================================  layer_norm


@bad(LN, "eps outside the root")
def ln_w01(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    return (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + eps) * weight + bias


@bad(LN, "unbiased variance")
def ln_w02(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    mu = x.mean(axes, keepdims=True)
    var = x.var(axes, keepdims=True, ddof=1)
    return weight * (x - mu) / np.sqrt(var + eps) + bias


@bad(LN, "normalizes over the last axis only, whatever normalized_shape")
def ln_w03(x, normalized_shape, weight, bias, eps=1e-5):
    mu = x.mean(axis=-1, keepdims=True)
    var = x.var(axis=-1, keepdims=True)
    return (x - mu) / np.sqrt(var + eps) * weight + bias


@bad(LN, "normalizes over every axis but the batch axis, whatever normalized_shape")
def ln_w04(x, normalized_shape, weight, bias, eps=1e-5):
    out = np.zeros_like(x)
    for n in range(x.shape[0]):
        mu, var = x[n].mean(), x[n].var()
        out[n] = (x[n] - mu) / np.sqrt(var + eps) * weight + bias
    return out


@bad(LN, "normalizes over the first len(normalized_shape) axes instead of the last")
def ln_w05(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(len(normalized_shape)))
    xhat = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return weight * xhat + bias


@bad(LN, "batch-norm axes: normalizes over the leading axes, per feature")
def ln_w06(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(x.ndim - len(normalized_shape)))
    xhat = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return weight * xhat + bias


@bad(LN, "weight not applied")
def ln_w07(x, normalized_shape, weight, bias, eps=1e-5):
    D = int(np.prod(normalized_shape))
    f = x.reshape(-1, D)
    h = (f - f.mean(1, keepdims=True)) / np.sqrt(f.var(1, keepdims=True) + eps)
    return (h + bias.ravel()).reshape(x.shape)


@bad(LN, "divides by var + eps without the root")
def ln_w08(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(-i - 1 for i in range(len(normalized_shape)))
    return (x - x.mean(axes, keepdims=True)) / (x.var(axes, keepdims=True) + eps) * weight + bias


@bad(LN, "float64 result")
def ln_w09(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    mu = np.mean(x, axes, dtype=np.float64, keepdims=True)
    var = np.var(x, axes, dtype=np.float64, keepdims=True)
    return weight * ((x - mu) / np.sqrt(var + eps)) + bias


@bad(LN, "x is normalized in place")
def ln_w10(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    x -= x.mean(axes, keepdims=True)
    x /= np.sqrt(x.var(axes, keepdims=True) + eps)
    return x * weight + bias


@bad(LN, "returns the flattened (rows, D) array, the reshape back is forgotten")
def ln_w11(x, normalized_shape, weight, bias, eps=1e-5):
    f = x.reshape(-1, math.prod(normalized_shape))
    mu, var = f.mean(1, keepdims=True), f.var(1, keepdims=True)
    return (f - mu) / np.sqrt(var + eps) * weight.reshape(-1) + bias.reshape(-1)


@bad(LN, "RMS norm: the mean is not subtracted")
def ln_w12(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    return x / np.sqrt(np.mean(x**2, axis=axes, keepdims=True) + eps) * weight + bias


@bad(LN, "centred, but scaled by the mean square of the raw x")
def ln_w13(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    mu = x.mean(axes, keepdims=True)
    ms = (x**2).mean(axes, keepdims=True)
    return (x - mu) / np.sqrt(ms + eps) * weight + bias


@bad(LN, "bias forgotten")
def ln_w14(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    mu = x.mean(axes, keepdims=True)
    return weight * (x - mu) * (x.var(axes, keepdims=True) + eps) ** -0.5


@bad(LN, "eps is unused")
def ln_w15(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    with np.errstate(all="ignore"):
        return weight * (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True) + bias


@bad(LN, "scales with (1 + weight)")
def ln_w16(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    h = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return h * (1 + weight) + bias


@bad(
    LN,
    "reduces axis by axis, so with several axes the variance is that of partial means",
)
def ln_w17(x, normalized_shape, weight, bias, eps=1e-5):
    mu, var = x, None
    for k in range(len(normalized_shape)):
        var = mu.var(axis=-1 - k, keepdims=True)
        mu = mu.mean(axis=-1 - k, keepdims=True)
    return (x - mu) / np.sqrt(var + eps) * weight + bias


@bad(LN, "no keepdims: the mean of shape (N,) cannot broadcast against (N, D) (exception)")
def ln_w18(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    mu = x.mean(axis=axes)
    var = x.var(axis=axes)
    return weight * (x - mu) / np.sqrt(var + eps) + bias


@bad(LN, "multiplies with weight after adding the bias: (xhat + bias) * weight")
def ln_w19(x, normalized_shape, weight, bias, eps=1e-5):
    D = weight.size
    rows = []
    for row in x.reshape(-1, D):
        h = (row - row.mean()) / np.sqrt(row.var() + eps)
        rows.append((h + bias.ravel()) * weight.ravel())
    return np.array(rows).reshape(x.shape)


@bad(LN, "float32 E[x^2]-E[x]^2 cancels for a large mean")
def ln_w20(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    mu = x.mean(axes, keepdims=True)
    var = np.abs((x * x).mean(axes, keepdims=True) - mu * mu)
    return (x - mu) / np.sqrt(var + eps) * weight + bias


@bad(LN, "last axis only, and ddof=1", 2)
def ln_w21(x, normalized_shape, weight, bias, eps=1e-5):
    h = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps)
    return weight * h + bias


@bad(LN, "all axes but the first, and eps outside the root", 2)
def ln_w22(x, normalized_shape, weight, bias, eps=1e-5):
    f = x.reshape(x.shape[0], -1)
    h = (f - f.mean(1)[:, None]) / (f.std(1)[:, None] + eps)
    return h.reshape(x.shape) * weight + bias


@bad(LN, "not centred, no weight, and a float64 result", 3)
def ln_w23(x, normalized_shape, weight, bias, eps=1e-5):
    z = x.astype("float64")
    axes = tuple(range(-len(normalized_shape), 0))
    return z / np.sqrt((z * z).mean(axes, keepdims=True) + eps) + bias


@good(LN)
def ln_r01(x, normalized_shape, weight, bias, eps=1e-5):
    axes = tuple(range(-len(normalized_shape), 0))
    mu = x.mean(axes, keepdims=True)
    return (x - mu) / np.sqrt(x.var(axes, keepdims=True) + eps) * weight + bias


@good(LN)
def ln_r02(x, normalized_shape, weight, bias, eps=1e-5):
    D = math.prod(normalized_shape)
    f = x.reshape(-1, D).astype(np.float64)
    c = f - f.mean(1)[:, None]
    r = (np.einsum("nd,nd->n", c, c) / D + eps) ** -0.5
    y = np.einsum("nd,n,d->nd", c, r, weight.ravel()) + bias.ravel()
    return y.reshape(x.shape).astype(x.dtype)


@good(LN)
def ln_r03(x, normalized_shape, weight, bias, eps=1e-5):
    out = np.empty_like(x)
    lead = x.shape[: x.ndim - len(normalized_shape)]
    for i in np.ndindex(*lead):
        v = x[i]
        out[i] = (v - v.mean()) / np.sqrt(v.var() + eps) * weight + bias
    return out


@good(LN)
def ln_r04(x, normalized_shape, weight, bias, eps=1e-5):
    # centring matrix, pure matmul
    D = weight.size
    P = np.eye(D) - np.full((D, D), 1 / D)
    c = x.reshape(-1, D) @ P
    s = np.linalg.norm(c, axis=1, keepdims=True) ** 2 / D
    return (c / np.sqrt(s + eps) * weight.ravel() + bias.ravel()).reshape(x.shape).astype(x.dtype)


@good(LN)
def ln_r05(x, normalized_shape, weight, bias, eps=1e-5):
    # vectorized with a signature
    D = weight.size

    def row(v):
        d = v - v.mean()
        return d / np.sqrt((d**2).mean() + eps)

    h = np.vectorize(row, signature="(d)->(d)")(x.reshape(-1, D))
    return (h.reshape(x.shape) * weight + bias).astype(x.dtype)


# =====================================================================  layer_norm_backward


def _axes(x, ns):
    k = x.ndim - len(ns)
    return tuple(range(k)), tuple(range(k, x.ndim))


@bad(LNB, "only the direct path: dx = g*r")
def lnb_w01(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    r = 1 / np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - x.mean(ax, keepdims=True)) * r
    return dy * weight * r, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "mean(g) missing")
def lnb_w02(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    r = 1 / np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - x.mean(ax, keepdims=True)) * r
    g = dy * weight
    return r * (g - h * (g * h).mean(ax, keepdims=True)), (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "path through the variance missing")
def lnb_w03(dy, x, normalized_shape, weight, bias, eps=1e-5):
    D = weight.size
    f, d = x.reshape(-1, D), dy.reshape(-1, D)
    sd = np.sqrt(f.var(1, keepdims=True) + eps)
    h = (f - f.mean(1, keepdims=True)) / sd
    g = d * weight.ravel()
    dx = (g - g.mean(1, keepdims=True)) / sd
    return dx.reshape(x.shape), (d * h).sum(0).reshape(weight.shape), d.sum(0).reshape(bias.shape)


@bad(LNB, "weight left out of dx")
def lnb_w04(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)

    def m(t):
        return t.mean(ax, keepdims=True)

    sd = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - m(x)) / sd
    return (dy - m(dy) - h * m(dy * h)) / sd, (dy * h).sum(lead), dy.sum(lead)


@bad(
    LNB,
    "the weight is multiplied on after the means, dx = weight*(dy - mean(dy) - ...)",
)
def lnb_w05(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)

    def m(t):
        return t.mean(ax, keepdims=True)

    sd = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - m(x)) / sd
    return weight / sd * (dy - m(dy) - h * m(dy * h)), (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "the means in dx run over the leading axes (copied from batch norm)")
def lnb_w06(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    sd = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - x.mean(ax, keepdims=True)) / sd
    g = dy * weight
    dx = (g - g.mean(lead, keepdims=True) - h * (g * h).mean(lead, keepdims=True)) / sd
    return dx, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "dweight and dbias summed over axis 0 only though there may be several leading axes")
def lnb_w07(dy, x, normalized_shape, weight, bias, eps=1e-5):
    _, ax = _axes(x, normalized_shape)
    sd = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - x.mean(ax, keepdims=True)) / sd
    g = dy * weight
    dx = (g - g.mean(ax, keepdims=True) - h * (g * h).mean(ax, keepdims=True)) / sd
    return dx, (dy * h).sum(axis=0), dy.sum(axis=0)


@bad(LNB, "dweight and dbias summed over the normalized axes")
def lnb_w08(dy, x, normalized_shape, weight, bias, eps=1e-5):
    _, ax = _axes(x, normalized_shape)
    sd = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - x.mean(ax, keepdims=True)) / sd
    g = dy * weight
    dx = (g - g.mean(ax, keepdims=True) - h * (g * h).mean(ax, keepdims=True)) / sd
    return dx, (dy * h).sum(ax), dy.sum(ax)


@bad(LNB, "dweight = sum(dy*x)")
def lnb_w09(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    r = (x.var(ax, keepdims=True) + eps) ** -0.5
    h = (x - x.mean(ax, keepdims=True)) * r
    g = dy * weight
    dx = r * (g - g.mean(ax, keepdims=True) - h * (g * h).mean(ax, keepdims=True))
    return dx, (dy * x).sum(lead), dy.sum(lead)


@bad(LNB, "dweight carries the weight (sum of g*xhat)")
def lnb_w10(dy, x, normalized_shape, weight, bias, eps=1e-5):
    D = math.prod(normalized_shape)
    dx = np.empty((x.size // D, D), x.dtype)
    dw, db = np.zeros(D, x.dtype), np.zeros(D, x.dtype)
    for i, (row, d) in enumerate(zip(x.reshape(-1, D), dy.reshape(-1, D), strict=False)):
        r = 1 / np.sqrt(row.var() + eps)
        h = (row - row.mean()) * r
        g = d * weight.reshape(D)
        dx[i] = r * (g - g.mean() - h * (g * h).mean())
        dw += g * h
        db += d
    return dx.reshape(x.shape), dw.reshape(normalized_shape), db.reshape(normalized_shape)


@bad(LNB, "dbias carries the weight (sum of g)")
def lnb_w11(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    g = dy * weight
    r = (x.var(ax, keepdims=True) + eps) ** -0.5
    h = (x - x.mean(ax, keepdims=True)) * r
    dx = r * (g - g.mean(ax, keepdims=True) - h * (g * h).mean(ax, keepdims=True))
    return dx, (dy * h).sum(lead), g.sum(lead)


@bad(LNB, "N of 2/N is the number of rows, not the number of normalized elements")
def lnb_w12(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    N = x.shape[0]
    c = x - x.mean(ax, keepdims=True)
    r = (np.mean(c * c, ax, keepdims=True) + eps) ** -0.5
    g = dy * weight
    dr = (g * c).sum(ax, keepdims=True)
    dvar = -0.5 * r**3 * dr
    dc = g * r + 2 / N * c * dvar
    dx = dc - dc.mean(ax, keepdims=True)
    return dx, (dy * c * r).sum(lead), dy.sum(lead)


@bad(LNB, "sign of dvar wrong")
def lnb_w13(dy, x, normalized_shape, weight, bias, eps=1e-5):
    D = weight.size
    f, d = x.reshape(-1, D), dy.reshape(-1, D)
    c = f - f.mean(1, keepdims=True)
    r = 1 / np.sqrt((c**2).mean(1, keepdims=True) + eps)
    g = d * weight.ravel()
    dvar = 0.5 * r**3 * (g * c).sum(1, keepdims=True)
    dc = g * r + 2 / D * c * dvar
    dx = dc - dc.mean(1, keepdims=True)
    return (
        dx.reshape(x.shape),
        (d * c * r).sum(0).reshape(weight.shape),
        d.sum(0).reshape(weight.shape),
    )


@bad(LNB, "r^3 written as r (chain rule of the power -1/2 wrong)")
def lnb_w14(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    c = x - x.mean(ax, keepdims=True)
    r = (np.mean(c * c, ax, keepdims=True) + eps) ** -0.5
    g = dy * weight
    dvar = -0.5 * r * (g * c).sum(ax, keepdims=True)
    dc = g * r + 2 / math.prod(normalized_shape) * c * dvar
    return dc - dc.mean(ax, keepdims=True), (dy * c * r).sum(lead), dy.sum(lead)


@bad(LNB, "the mean node is skipped: dx = dc")
def lnb_w15(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    c = x - x.mean(ax, keepdims=True)
    r = (np.mean(c * c, ax, keepdims=True) + eps) ** -0.5
    g = dy * weight
    dvar = -0.5 * r**3 * (g * c).sum(ax, keepdims=True)
    return g * r + 2 * c * dvar / weight.size, (dy * c * r).sum(lead), dy.sum(lead)


@bad(LNB, "all means over the last axis only")
def lnb_w16(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead = tuple(range(x.ndim - len(normalized_shape)))
    sd = np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - x.mean(-1, keepdims=True)) / sd
    g = dy * weight
    dx = (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True)) / sd
    return dx, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "dweight and dbias are left flat, shape (D,), for a multi-axis normalized_shape")
def lnb_w17(dy, x, normalized_shape, weight, bias, eps=1e-5):
    D = weight.size
    f, d = x.reshape(-1, D), dy.reshape(-1, D)
    sd = np.sqrt(f.var(1, keepdims=True) + eps)
    h = (f - f.mean(1, keepdims=True)) / sd
    g = d * weight.ravel()
    dx = (g - g.mean(1, keepdims=True) - h * (g * h).mean(1, keepdims=True)) / sd
    return dx.reshape(x.shape), (d * h).sum(0), d.sum(0)


@bad(LNB, "dweight and dbias averaged over the rows")
def lnb_w18(dy, x, normalized_shape, weight, bias, eps=1e-5):
    D = weight.size
    f, d = x.reshape(-1, D), dy.reshape(-1, D)
    sd = np.sqrt(f.var(1, keepdims=True) + eps)
    h = (f - f.mean(1, keepdims=True)) / sd
    g = d * weight.ravel()
    dx = (g - g.mean(1, keepdims=True) - h * (g * h).mean(1, keepdims=True)) / sd
    return (
        dx.reshape(x.shape),
        np.einsum("nd,nd->d", d, h).reshape(weight.shape) / len(f),
        np.einsum("nd->d", d).reshape(weight.shape) / len(f),
    )


@bad(LNB, "sums over the normalized axes, but 1/D forgotten on both")
def lnb_w19(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    r = (x.var(ax, keepdims=True) + eps) ** -0.5
    h = (x - x.mean(ax, keepdims=True)) * r
    g = dy * weight
    dx = r * (g - g.sum(ax, keepdims=True) - h * (g * h).sum(ax, keepdims=True))
    return dx, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "ddof=1 in the variance")
def lnb_w20(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    r = (x.var(ax, keepdims=True, ddof=1) + eps) ** -0.5
    h = (x - x.mean(ax, keepdims=True)) * r
    g = dy * weight
    dx = r * (g - g.mean(ax, keepdims=True) - h * (g * h).mean(ax, keepdims=True))
    return dx, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "eps outside the root")
def lnb_w21(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    sd = x.std(ax, keepdims=True) + eps
    h = (x - x.mean(ax, keepdims=True)) / sd
    g = dy * weight
    dx = (g - g.mean(ax, keepdims=True) - h * (g * h).mean(ax, keepdims=True)) / sd
    return dx, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "mean of the product written as product of means: mean(g)*mean(xhat)")
def lnb_w22(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)

    def M(t):
        return t.mean(ax, keepdims=True)

    sd = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - M(x)) / sd
    g = dy * weight
    return (g - M(g) - h * M(g) * M(h)) / sd, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "float64 gradients")
def lnb_w23(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    dy, x = dy.astype(np.float64), x.astype(np.float64)

    def M(t):
        return t.mean(ax, keepdims=True)

    sd = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - M(x)) / sd
    g = dy * weight
    return (g - M(g) - h * M(g * h)) / sd, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "x is centred in place")
def lnb_w24(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    x -= x.mean(ax, keepdims=True)
    r = 1 / np.sqrt((x * x).mean(ax, keepdims=True) + eps)
    h = x * r
    g = dy * weight
    dx = r * (g - g.mean(ax, keepdims=True) - h * (g * h).mean(ax, keepdims=True))
    return dx, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "dweight and dbias have keepdims: leading 1-axes remain")
def lnb_w25(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    r = (x.var(ax, keepdims=True) + eps) ** -0.5
    h = (x - x.mean(ax, keepdims=True)) * r
    g = dy * weight
    dx = r * (g - g.mean(ax, keepdims=True) - h * (g * h).mean(ax, keepdims=True))
    return dx, (dy * h).sum(lead, keepdims=True), dy.sum(lead, keepdims=True)


@bad(LNB, "the variance term lacks the outer xhat: subtracts mean(g*xhat) only")
def lnb_w26(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    r = (x.var(ax, keepdims=True) + eps) ** -0.5
    h = (x - x.mean(ax, keepdims=True)) * r
    g = dy * weight
    dx = r * (g - g.mean(ax, keepdims=True) - (g * h).mean(ax, keepdims=True))
    return dx, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "multiplies by sqrt(var+eps) instead of dividing at the end of dx")
def lnb_w27(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)

    def M(t):
        return t.mean(ax, keepdims=True)

    std = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - M(x)) / std
    g = dy * weight
    return (g - M(g) - h * M(g * h)) * std, (dy * h).sum(lead), dy.sum(lead)


@bad(LNB, "weight missing in dx, and dweight carries it", 2)
def lnb_w28(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)

    def M(t):
        return t.mean(ax, keepdims=True)

    std = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - M(x)) / std
    return (dy - M(dy) - h * M(dy * h)) / std, (dy * weight * h).sum(lead), dy.sum(lead)


@bad(LNB, "last axis only for the statistics, and sums over axis 0 only for dweight, dbias", 2)
def lnb_w29(dy, x, normalized_shape, weight, bias, eps=1e-5):
    def M(t):
        return t.mean(-1, keepdims=True)

    std = np.sqrt(x.var(-1, keepdims=True) + eps)
    h = (x - M(x)) / std
    g = dy * weight
    return (g - M(g) - h * M(g * h)) / std, (dy * h).sum(0), dy.sum(0)


@bad(LNB, "factor 2 missing in dc, and the sum of dc is subtracted", 2)
def lnb_w30(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    n = weight.size
    c = x - x.mean(ax, keepdims=True)
    r = (np.mean(c * c, ax, keepdims=True) + eps) ** -0.5
    g = dy * weight
    dvar = -0.5 * r**3 * (g * c).sum(ax, keepdims=True)
    dc = g * r + c * dvar / n
    return dc - dc.sum(ax, keepdims=True), (dy * c * r).sum(lead), dy.sum(lead)


@bad(LNB, "mean(g) missing, dweight averaged, and dbias averaged", 3)
def lnb_w31(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)
    r = (x.var(ax, keepdims=True) + eps) ** -0.5
    h = (x - x.mean(ax, keepdims=True)) * r
    g = dy * weight
    return r * (g - h * (g * h).mean(ax, keepdims=True)), (dy * h).mean(lead), dy.mean(lead)


@good(LNB)
def lnb_r01(dy, x, normalized_shape, weight, bias, eps=1e-5):
    lead, ax = _axes(x, normalized_shape)

    def M(t):
        return t.mean(ax, keepdims=True)

    sd = np.sqrt(x.var(ax, keepdims=True) + eps)
    h = (x - M(x)) / sd
    g = dy * weight
    return (g - M(g) - h * M(g * h)) / sd, (dy * h).sum(lead), dy.sum(lead)


@good(LNB)
def lnb_r02(dy, x, normalized_shape, weight, bias, eps=1e-5):
    # node by node on rows, gradients accumulated in a loop, float64
    D = math.prod(normalized_shape)
    rows, dw, db = [], np.zeros(D), np.zeros(D)
    x_rows, dy_rows = x.reshape(-1, D).astype(float), dy.reshape(-1, D).astype(float)
    for row, d in zip(x_rows, dy_rows, strict=True):
        c = row - row.mean()
        r = (np.dot(c, c) / D + eps) ** -0.5
        g = d * weight.ravel()
        dvar = -0.5 * r**3 * np.dot(g, c)
        dc = g * r + 2 / D * c * dvar
        rows.append(dc - dc.mean())
        dw += d * c * r
        db += d
    ns = tuple(normalized_shape)
    return (
        np.array(rows).reshape(x.shape).astype(x.dtype),
        dw.reshape(ns).astype(x.dtype),
        db.reshape(ns).astype(x.dtype),
    )


@good(LNB)
def lnb_r03(dy, x, normalized_shape, weight, bias, eps=1e-5):
    # batched Jacobian
    D = weight.size
    f, d = x.reshape(-1, D).astype(np.float64), dy.reshape(-1, D).astype(np.float64)
    sd = np.sqrt(f.var(1) + eps)
    h = (f - f.mean(1)[:, None]) / sd[:, None]
    J = (np.eye(D)[None] - 1 / D - h[:, :, None] * h[:, None, :] / D) / sd[:, None, None]
    dx = np.einsum("nij,ni->nj", J, d * weight.ravel())
    dw, db = (d * h).sum(0), d.sum(0)
    return tuple(
        t.reshape(s).astype(x.dtype)
        for t, s in ((dx, x.shape), (dw, weight.shape), (db, bias.shape))
    )


@good(LNB)
def lnb_r04(dy, x, normalized_shape, weight, bias, eps=1e-5):
    D = weight.size
    f, d, w = x.reshape(-1, D).T, dy.reshape(-1, D).T, weight.reshape(D, 1)
    rstd = 1 / np.sqrt(f.var(0) + eps)
    h = (f - f.mean(0)) * rstd
    g = d * w
    dx = rstd / D * (D * g - g.sum(0) - h * (g * h).sum(0))
    return (
        np.ascontiguousarray(dx.T).reshape(x.shape),
        (d * h).sum(1).reshape(weight.shape),
        d.sum(1).reshape(bias.shape),
    )


# =====================================================================  pre_norm_block

PNB, PNBB = "pre_norm_block", "pre_norm_block_backward"


def _ln(x, w, b, eps):
    mu = x.mean(-1, keepdims=True)
    return w * (x - mu) / np.sqrt(x.var(-1, keepdims=True) + eps) + b


@bad(PNB, "only the branch")
def pnb_w01(x, weight, bias, W, eps=1e-5):
    return _ln(x, weight, bias, eps) @ W


@bad(PNB, "Post-LN: the sum is normalized")
def pnb_w02(x, weight, bias, W, eps=1e-5):
    return _ln(x + x @ W, weight, bias, eps)


@bad(PNB, "the residual starts behind the norm")
def pnb_w03(x, weight, bias, W, eps=1e-5):
    x = _ln(x, weight, bias, eps)
    return x + x @ W


@bad(PNB, "norm after the linear map")
def pnb_w04(x, weight, bias, W, eps=1e-5):
    return x + _ln(x @ W, weight, bias, eps)


@bad(PNB, "W as torch.nn.Linear keeps it")
def pnb_w05(x, weight, bias, W, eps=1e-5):
    return x + np.einsum("...i,oi->...o", _ln(x, weight, bias, eps), W)


@bad(PNB, "eps is not handed on")
def pnb_w06(x, weight, bias, W, eps=1e-5):
    return x + _ln(x, weight, bias, 1e-5) @ W


@bad(PNB, "statistics over all tokens")
def pnb_w07(x, weight, bias, W, eps=1e-5):
    axes = tuple(range(1, x.ndim))
    h = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return x + (weight * h + bias) @ W


@bad(PNB, "batch norm: statistics per feature")
def pnb_w08(x, weight, bias, W, eps=1e-5):
    flat = x.reshape(-1, x.shape[-1])
    h = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + eps) * weight + bias
    return x + (h @ W).reshape(x.shape)


@bad(PNB, "no bias in the norm")
def pnb_w09(x, weight, bias, W, eps=1e-5):
    return x + _ln(x, weight, 0, eps) @ W


@bad(PNB, "changes x in place")
def pnb_w10(x, weight, bias, W, eps=1e-5):
    x += _ln(x, weight, bias, eps) @ W
    return x


@bad(PNB, "weight and bias applied behind W")
def pnb_w11(x, weight, bias, W, eps=1e-5):
    return x + weight * (_ln(x, 1, 0, eps) @ W) + bias


@bad(PNB, "normalized again at the end")
def pnb_w12(x, weight, bias, W, eps=1e-5):
    return _ln(x + _ln(x, weight, bias, eps) @ W, weight, bias, eps)


@bad(PNB, "unbiased std of torch")
def pnb_w13(x, weight, bias, W, eps=1e-5):
    h = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, ddof=1, keepdims=True) + eps)
    return x + (weight * h + bias) @ W


@good(PNB)
def pnb_r01(x, weight, bias, W, eps=1e-5):
    return x + _ln(x, weight, bias, eps) @ W


@good(PNB)
def pnb_r02(x, weight, bias, W, eps=1e-5):
    y = x.copy()
    for i in np.ndindex(x.shape[:-1]):
        v = x[i].astype(float)
        h = (v - v.mean()) / math.sqrt(v.var() + eps) * weight + bias
        y[i] += sum(h[k] * W[k] for k in range(len(h))).astype(x.dtype)
    return y


@good(PNB)
def pnb_r03(x, weight, bias, W, eps=1e-5):
    # gamma and beta folded into the linear map
    return x + _ln(x, 1, 0, eps) @ (weight[:, None] * W) + bias @ W


@good(PNB)
def pnb_r04(x, weight, bias, W, eps=1e-5):
    # the centring folded into the linear map
    d = len(weight)
    centre = np.eye(d) - 1 / d
    r = 1 / np.sqrt(x.var(-1, keepdims=True) + eps)
    y = x + r * (x @ (centre @ (weight[:, None] * W))) + bias @ W
    return y.astype(x.dtype)


@good(PNB)
def pnb_r05(x, weight, bias, W, eps=1e-5):
    rows = x.reshape(-1, x.shape[-1])
    return (rows + _ln(rows, weight, bias, eps).dot(W)).reshape(x.shape)


@good(PNB)
def pnb_r06(x, weight, bias, W, eps=1e-5):
    h = _ln(x, weight, bias, eps)
    return np.einsum("...i,io->...o", h, W) + x


# =====================================================================  pre_norm_block_backward


def _ln_back(d, x, w, eps):
    """(dx, dweight, dbias) for what arrives at the norm's result."""
    r = (x.var(-1, keepdims=True) + eps) ** -0.5
    h = (x - x.mean(-1, keepdims=True)) * r
    g = d * w
    dx = r * (g - g.mean(-1, keepdims=True) - h * (g * h).mean(-1, keepdims=True))
    lead = tuple(range(x.ndim - 1))
    return dx, (d * h).sum(lead), d.sum(lead)


def _flat(a):
    return a.reshape(-1, a.shape[-1])


def _block_back(dy, x, weight, bias, W, eps):
    dx, dw, db = _ln_back(dy @ W.T, x, weight, eps)
    return dy + dx, dw, db, _flat(_ln(x, weight, bias, eps)).T @ _flat(dy)


@bad(PNBB, "the residual path is forgotten")
def pnbb_w01(dy, x, weight, bias, W, eps=1e-5):
    dx, dw, db, dW = _block_back(dy, x, weight, bias, W, eps)
    return dx - dy, dw, db, dW


@bad(PNBB, "dy goes into the norm as it is")
def pnbb_w02(dy, x, weight, bias, W, eps=1e-5):
    dx, dw, db = _ln_back(dy, x, weight, eps)
    return dy + dx, dw, db, _flat(_ln(x, weight, bias, eps)).T @ _flat(dy)


@bad(PNBB, "W is not transposed")
def pnbb_w03(dy, x, weight, bias, W, eps=1e-5):
    dx, dw, db = _ln_back(dy @ W, x, weight, eps)
    return dy + dx, dw, db, _flat(_ln(x, weight, bias, eps)).T @ _flat(dy)


@bad(PNBB, "dW from x")
def pnbb_w04(dy, x, weight, bias, W, eps=1e-5):
    dx, dw, db, _ = _block_back(dy, x, weight, bias, W, eps)
    return dx, dw, db, _flat(x).T @ _flat(dy)


@bad(PNBB, "dW from xhat, before gamma and beta")
def pnbb_w05(dy, x, weight, bias, W, eps=1e-5):
    dx, dw, db, _ = _block_back(dy, x, weight, bias, W, eps)
    return dx, dw, db, _flat(_ln(x, 1, 0, eps)).T @ _flat(dy)


@bad(PNBB, "dW transposed")
def pnbb_w06(dy, x, weight, bias, W, eps=1e-5):
    *rest, dW = _block_back(dy, x, weight, bias, W, eps)
    return *rest, dW.T.copy()


@bad(PNBB, "dW is a mean over the tokens")
def pnbb_w07(dy, x, weight, bias, W, eps=1e-5):
    *rest, dW = _block_back(dy, x, weight, bias, W, eps)
    return *rest, dW / (x.size // x.shape[-1])


@bad(PNBB, "dW per sample: the sum over N is missing")
def pnbb_w08(dy, x, weight, bias, W, eps=1e-5):
    *rest, _ = _block_back(dy, x, weight, bias, W, eps)
    return *rest, np.swapaxes(_ln(x, weight, bias, eps), -1, -2) @ dy


@bad(PNBB, "dweight and dbias from dy")
def pnbb_w09(dy, x, weight, bias, W, eps=1e-5):
    dx, _, _, dW = _block_back(dy, x, weight, bias, W, eps)
    _, dw, db = _ln_back(dy, x, weight, eps)
    return dx, dw, db, dW


@bad(PNBB, "residual counted twice")
def pnbb_w10(dy, x, weight, bias, W, eps=1e-5):
    dx, dw, db, dW = _block_back(dy, x, weight, bias, W, eps)
    return dx + dy, dw, db, dW


@bad(PNBB, "dh on the residual path")
def pnbb_w11(dy, x, weight, bias, W, eps=1e-5):
    dh = dy @ W.T
    dx, dw, db = _ln_back(dh, x, weight, eps)
    return dh + dx, dw, db, _flat(_ln(x, weight, bias, eps)).T @ _flat(dy)


@bad(PNBB, "statistics are constants in the branch")
def pnbb_w12(dy, x, weight, bias, W, eps=1e-5):
    _, dw, db, dW = _block_back(dy, x, weight, bias, W, eps)
    dx = dy + (dy @ W.T) * weight / np.sqrt(x.var(-1, keepdims=True) + eps)
    return dx, dw, db, dW


@bad(PNBB, "eps is not handed on")
def pnbb_w13(dy, x, weight, bias, W, eps=1e-5):
    return _block_back(dy, x, weight, bias, W, 1e-5)


@bad(PNBB, "the sum goes through the norm")
def pnbb_w14(dy, x, weight, bias, W, eps=1e-5):
    dx, _, _ = _ln_back(dy + dy @ W.T, x, weight, eps)
    _, dw, db, dW = _block_back(dy, x, weight, bias, W, eps)
    return dx, dw, db, dW


@bad(PNBB, "dy arrives at the norm's result on both ways")
def pnbb_w15(dy, x, weight, bias, W, eps=1e-5):
    dx, dw, db = _ln_back(dy + dy @ W.T, x, weight, eps)
    return dx, dw, db, _flat(_ln(x, weight, bias, eps)).T @ _flat(dy)


@bad(PNBB, "gamma multiplied after the means")
def pnbb_w16(dy, x, weight, bias, W, eps=1e-5):
    _, dw, db, dW = _block_back(dy, x, weight, bias, W, eps)
    dx, _, _ = _ln_back(dy @ W.T, x, 1, eps)
    return dy + weight * dx, dw, db, dW


@bad(PNBB, "three results")
def pnbb_w17(dy, x, weight, bias, W, eps=1e-5):
    return _block_back(dy, x, weight, bias, W, eps)[:3]


@bad(PNBB, "only for rows: dW = h.T @ dy of the whole array")
def pnbb_w18(dy, x, weight, bias, W, eps=1e-5):
    *rest, _ = _block_back(dy, x, weight, bias, W, eps)
    return *rest, _ln(x, weight, bias, eps).T @ dy


@good(PNBB)
def pnbb_r01(dy, x, weight, bias, W, eps=1e-5):
    return _block_back(dy, x, weight, bias, W, eps)


@good(PNBB)
def pnbb_r02(dy, x, weight, bias, W, eps=1e-5):
    # token by token, by the Jacobian
    d = x.shape[-1]
    dx, dw, db, dW = np.zeros_like(x), np.zeros(d), np.zeros(d), np.zeros((d, d))
    for i in np.ndindex(x.shape[:-1]):
        v, up = x[i].astype(float), dy[i].astype(float)
        s = math.sqrt(v.var() + eps)
        h = (v - v.mean()) / s
        back = W.astype(float) @ up
        jacobian = (np.eye(d) - 1 / d - np.outer(h, h) / d) / s
        dx[i] = up + jacobian @ (weight * back)
        dw += back * h
        db += back
        dW += np.outer(weight * h + bias, up)
    return dx, *(a.astype(x.dtype) for a in (dw, db, dW))


@good(PNBB)
def pnbb_r03(dy, x, weight, bias, W, eps=1e-5):
    # gamma and beta folded into W: the gradients of the folded map, unfolded
    rows, up = _flat(x), _flat(dy)
    r = 1 / np.sqrt(rows.var(1, keepdims=True) + eps)
    h = (rows - rows.mean(1, keepdims=True)) * r
    folded, dfolded = weight[:, None] * W, h.T @ up
    g = up @ folded.T
    dx = up + r * (g - g.mean(1, keepdims=True) - h * (g * h).mean(1, keepdims=True))
    total = up.sum(0)
    dW = weight[:, None] * dfolded + np.outer(bias, total)
    return dx.reshape(x.shape), (dfolded * W).sum(1), W @ total, dW


@good(PNBB)
def pnbb_r04(dy, x, weight, bias, W, eps=1e-5):
    h = _ln(x, weight, bias, eps)
    dh = np.einsum("...o,io->...i", dy, W)
    dx, dw, db = _ln_back(dh, x, weight, eps)
    return dx + dy, dw, db, np.tensordot(h, dy, (range(x.ndim - 1), range(x.ndim - 1)))


@good(PNBB)
def pnbb_r05(dy, x, weight, bias, W, eps=1e-5):
    # node by node
    rows, up = _flat(x), _flat(dy)
    c = rows - rows.mean(1, keepdims=True)
    r = 1 / np.sqrt((c * c).mean(1, keepdims=True) + eps)
    h = c * r
    dout = up
    dW = (weight * h + bias).T @ dout
    dh = dout @ W.T
    g = dh * weight
    dc = g * r - c * r**3 * (g * c).mean(1, keepdims=True)
    dx = up + dc - dc.mean(1, keepdims=True)
    return dx.reshape(x.shape), (dh * h).sum(0), dh.sum(0), dW


# =====================================================================  standard_scale


@bad(SS, "uses the statistics of X_new")
def ss_w01(X_train, X_new):
    s = X_new.std(0)
    s[s == 0] = 1
    return (X_new - X_new.mean(0)) / s


@bad(SS, "statistics of train and new data together")
def ss_w02(X_train, X_new):
    A = np.concatenate([X_train, X_new])
    s = A.std(axis=0)
    return (X_new - A.mean(axis=0)) / np.where(s == 0, 1, s)


@bad(SS, "unbiased std")
def ss_w03(X_train, X_new):
    s = X_train.std(axis=0, ddof=1)
    s = np.where(np.ptp(X_train, axis=0) == 0, np.ones_like(s), s)
    return (X_new - X_train.mean(axis=0)) / s


@bad(SS, "one mean and std for the whole table")
def ss_w04(X_train, X_new):
    s = X_train.std()
    if s == 0:
        s = 1
    return (X_new - X_train.mean()) / s


@bad(SS, "statistics along axis 1, per row (exception when row counts differ)")
def ss_w05(X_train, X_new):
    m = X_train.mean(axis=1, keepdims=True)
    s = X_train.std(axis=1, keepdims=True)
    s[s == 0] = 1
    return (X_new - m) / s


@bad(SS, "divides by the variance")
def ss_w06(X_train, X_new):
    v = X_train.var(0)
    v[np.ptp(X_train, 0) == 0] = 1
    return (X_new - X_train.mean(0)) / v


@bad(SS, "constant features not handled: division by zero")
def ss_w07(X_train, X_new):
    with np.errstate(all="ignore"):
        return (X_new - np.mean(X_train, 0)) / np.std(X_train, 0)


@bad(SS, "adds 1e-8 to the std instead of taking 1 for constant features")
def ss_w08(X_train, X_new):
    return (X_new - X_train.mean(0)) / (X_train.std(0) + 1e-8)


@bad(SS, "constant features are set to 0 in the output instead of X_new - mean")
def ss_w09(X_train, X_new):
    m, s = X_train.mean(0), X_train.std(0)
    const = np.ptp(X_train, 0) == 0
    out = (X_new - m) / np.where(const, np.float32(1), s)
    out[:, const] = 0
    return out


@bad(SS, "scales and returns X_train")
def ss_w10(X_train, X_new):
    s = X_train.std(0)
    s = np.where(s > 0, s, np.float32(1))
    return (X_train - X_train.mean(0)) / s


@bad(SS, "looks for constant features in X_new, not in X_train")
def ss_w11(X_train, X_new):
    s = X_train.std(0)
    s = np.where(X_new.std(0) == 0, np.float32(1), s)
    with np.errstate(all="ignore"):
        return (X_new - X_train.mean(0)) / s


@bad(SS, "float64 result")
def ss_w12(X_train, X_new):
    T = X_train.astype(np.float64)
    s = T.std(0)
    s[s == 0] = 1.0
    return (X_new - T.mean(0)) / s


@bad(SS, "X_new is scaled in place")
def ss_w13(X_train, X_new):
    s = X_train.std(0)
    s[np.ptp(X_train, 0) == 0] = 1
    X_new -= X_train.mean(0)
    X_new /= s
    return X_new


@bad(SS, "the mean is not subtracted")
def ss_w14(X_train, X_new):
    s = X_train.std(0)
    s[np.ptp(X_train, 0) == 0] = 1
    return X_new / s


@bad(SS, "min-max scaling with the train range")
def ss_w15(X_train, X_new):
    lo, hi = X_train.min(0), X_train.max(0)
    rng = np.where(hi == lo, np.float32(1), hi - lo)
    return (X_new - lo) / rng


@bad(SS, "std is clipped from below at 1, so every feature with a small spread is affected")
def ss_w16(X_train, X_new):
    return (X_new - X_train.mean(0)) / np.maximum(X_train.std(0), 1)


@bad(SS, "threshold 0.01 for 'constant' swallows features with a small but real spread")
def ss_w17(X_train, X_new):
    s = X_train.std(0)
    s[s < 1e-2] = 1
    return (X_new - X_train.mean(0)) / s


@bad(SS, "one constant feature switches off scaling for all")
def ss_w18(X_train, X_new):
    s = X_train.std(axis=0)
    if np.any(np.ptp(X_train, axis=0) == 0):
        s = np.ones_like(s)
    return (X_new - X_train.mean(axis=0)) / s


@bad(SS, "nan_to_num hides the division by zero: 0 or huge numbers for constant features")
def ss_w19(X_train, X_new):
    with np.errstate(all="ignore"):
        return np.nan_to_num((X_new - X_train.mean(0)) / X_train.std(0))


@bad(SS, "constant features are dropped from the result")
def ss_w20(X_train, X_new):
    keep = np.ptp(X_train, 0) > 0
    return (X_new[:, keep] - X_train[:, keep].mean(0)) / X_train[:, keep].std(0)


@bad(SS, "mean of X_new with std of X_train")
def ss_w21(X_train, X_new):
    cols = []
    for j in range(X_train.shape[1]):
        s = X_train[:, j].std() if len(set(X_train[:, j].tolist())) > 1 else 1
        cols.append((X_new[:, j] - X_new[:, j].mean()) / s)
    return np.stack(cols, axis=1)


@bad(SS, "X_new's own statistics, and constants not handled", 2)
def ss_w22(X_train, X_new):
    with np.errstate(all="ignore"):
        return (X_new - X_new.mean(0)) / X_new.std(0)


@bad(SS, "unbiased std, and constants get a small epsilon instead of 1", 2)
def ss_w23(X_train, X_new):
    s = np.std(X_train, axis=0, ddof=1) + 1e-7
    return (X_new - np.mean(X_train, axis=0)) / s


@bad(SS, "divides by the variance, ddof=1, and no care for constant features", 3)
def ss_w24(X_train, X_new):
    with np.errstate(all="ignore"):
        return (X_new - X_train.mean(0)) / X_train.var(0, ddof=1)


@good(SS)
def ss_r01(X_train, X_new):
    s = X_train.std(0)
    s[np.ptp(X_train, axis=0) == 0] = 1
    return (X_new - X_train.mean(0)) / s


@good(SS)
def ss_r02(X_train, X_new):
    T = X_train.astype(np.float64)
    s = T.std(0)
    return ((X_new - T.mean(0)) / np.where(s == 0, 1.0, s)).astype(X_new.dtype)


class _Scaler:
    def fit(self, X):
        X = np.asarray(X, dtype=np.float64)
        self.mean = X.mean(axis=0)
        self.scale = np.sqrt(np.mean((X - self.mean) ** 2, axis=0))
        self.scale[self.scale == 0] = 1
        return self

    def __call__(self, X):
        return ((X - self.mean) / self.scale).astype(X.dtype)


@good(SS)
def ss_r03(X_train, X_new):
    return _Scaler().fit(X_train)(X_new)


@good(SS)
def ss_r04(X_train, X_new):
    cols = []
    for tr, nw in zip(X_train.T.tolist(), X_new.T.tolist(), strict=False):
        m = math.fsum(tr) / len(tr)
        s = math.sqrt(math.fsum((t - m) ** 2 for t in tr) / len(tr)) if min(tr) != max(tr) else 1.0
        cols.append([(t - m) / s for t in nw])
    return np.array(cols, dtype=X_new.dtype).T


@good(SS)
def ss_r05(X_train, X_new):
    T = X_train.astype(float)
    mu = T.mean(0)
    sd = T.std(0)
    sd = sd + (sd == 0)
    return (X_new / sd - mu / sd).astype(X_new.dtype)


# =====================================================================  merge_statistics


@bad(MS, "plain average of the two means, ignoring the counts")
def ms_w01(a, b):
    (na, ma, va), (nb, mb, vb) = a, b
    n = na + nb
    d = mb - ma
    var = (na * va + nb * vb) / n + d**2 * (na * nb / n**2)
    return n, (ma + mb) / 2, var


@bad(MS, "the between-chunk term (difference of the means) is missing from the variance")
def ms_w02(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    return n, (na * ma + nb * mb) / n, (na * va + nb * vb) / n


@bad(MS, "the between-chunk term has weight na*nb/n instead of na*nb/n^2")
def ms_w03(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    return n, ma + d * (nb / n), (na * va + nb * vb) / n + d * d * (na * nb / n)


@bad(MS, "M2 = var*(n-1): treats the given variances as unbiased")
def ms_w04(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    M2 = va * (na - 1) + vb * (nb - 1) + d**2 * (na * nb / n)
    return n, ma + d * nb / n, M2 / n


@bad(MS, "divides M2 by n-1, so the result is unbiased")
def ms_w05(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    M2 = va * na + vb * nb + d**2 * (na * nb / n)
    return n, ma + d * nb / n, M2 / (n - 1)


@bad(MS, "returns M2, the division by n is forgotten")
def ms_w06(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    return n, ma + d * nb / n, va * na + vb * nb + d**2 * (na * nb / n)


@bad(MS, "the difference of the means is not squared")
def ms_w07(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    return n, (na * ma + nb * mb) / n, (na * va + nb * vb) / n + d * (na * nb / n**2)


@bad(MS, "count weights swapped in the mean: ma + d*na/n")
def ms_w08(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    return n, ma + d * (na / n), (na * va + nb * vb) / n + d**2 * (na * nb / n**2)


@bad(MS, "delta with the wrong sign in the mean update: ma + (ma - mb)*nb/n")
def ms_w09(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    delta = ma - mb
    mean = ma + delta * (nb / n)
    return n, mean, (na * va + nb * vb + delta**2 * (na * nb / n)) / n


@bad(MS, "E[x^2] is rebuilt but the square of the total mean is not subtracted")
def ms_w10(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    mean = (na * ma + nb * mb) / n
    second = (na * (va + ma**2) + nb * (vb + mb**2)) / n
    return n, mean, second


@bad(MS, "float32 E[x^2] - mean^2 cancels when the means are large")
def ms_w11(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    mean = (na * ma + nb * mb) / n
    second = (na * (va + ma**2) + nb * (vb + mb**2)) / n
    return n, mean, second - mean**2


@bad(MS, "the variances are weighted equally")
def ms_w12(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    return n, (na * ma + nb * mb) / n, (va + vb) / 2 + d**2 * (na * nb / n**2)


@bad(MS, "between-chunk term as d^2/4, right only for equal counts")
def ms_w13(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    return n, (na * ma + nb * mb) / n, (na * va + nb * vb) / n + ((ma - mb) / 2) ** 2


@bad(MS, "the between-chunk term is subtracted")
def ms_w14(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    return n, (na * ma + nb * mb) / n, (na * va + nb * vb) / n - (na * nb / n**2) * (ma - mb) ** 2


@bad(MS, "the order of the result is (mean, variance, n)")
def ms_w15(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    return (na * ma + nb * mb) / n, (na * va + nb * vb) / n + (na * nb / n**2) * (ma - mb) ** 2, n


@bad(MS, "the mean of a is updated in place, the caller's tuple changes")
def ms_w16(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    ma += d * (nb / n)
    return n, ma, (na * va + nb * vb) / n + d**2 * (na * nb / n**2)


@bad(MS, "integer division: na*nb // n")
def ms_w17(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    return n, ma + d * nb / n, (na * va + nb * vb + d**2 * (na * nb // n)) / n


@bad(MS, "result in float64")
def ms_w18(a, b):
    na, ma, va = a
    nb, mb, vb = b
    w = np.array([na, nb], dtype=np.float64) / (na + nb)
    m = np.stack([ma, mb]).astype(np.float64)
    v = np.stack([va, vb]).astype(np.float64)
    mean = np.tensordot(w, m, 1)
    return na + nb, mean, np.tensordot(w, v + (m - mean) ** 2, 1)


@bad(MS, "only the first chunk's mean shift is added: (ma - mean)^2 for both chunks")
def ms_w19(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    mean = (na * ma + nb * mb) / n
    return n, mean, (na * (va + (ma - mean) ** 2) + nb * (vb + (ma - mean) ** 2)) / n


@bad(MS, "adds variances like independent sums: weights (na/n)^2 and (nb/n)^2")
def ms_w20(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    p, q = na / n, nb / n
    return n, p * ma + q * mb, p**2 * va + q**2 * vb + p * q * (ma - mb) ** 2


@bad(MS, "pools standard deviations: the squared weighted mean of the stds plus the between term")
def ms_w21(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    sd = (na * np.sqrt(va) + nb * np.sqrt(vb)) / n
    return n, (na * ma + nb * mb) / n, sd**2 + (na * nb / n**2) * (ma - mb) ** 2


@bad(MS, "plain average of the means, and between term missing", 2)
def ms_w22(a, b):
    na, ma, va = a
    nb, mb, vb = b
    return na + nb, 0.5 * (ma + mb), (na * va + nb * vb) / (na + nb)


@bad(MS, "no between term, and divides by n-2 (pooled variance)", 2)
def ms_w23(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    return n, (na * ma + nb * mb) / n, ((na - 1) * va + (nb - 1) * vb) / (n - 2)


@bad(MS, "means averaged, variances averaged, and no between term", 3)
def ms_w24(a, b):
    return a[0] + b[0], (a[1] + b[1]) / 2, (a[2] + b[2]) / 2


@good(MS)
def ms_r01(a, b):
    na, ma, va = a
    nb, mb, vb = b
    n = na + nb
    d = mb - ma
    M2 = va * na + vb * nb + d**2 * (na * nb / n)
    return n, ma + d * (nb / n), M2 / n


@good(MS)
def ms_r02(a, b):
    # law of total variance
    n = a[0] + b[0]
    p, q = a[0] / n, b[0] / n
    mean = p * a[1] + q * b[1]
    var = p * (a[2] + (a[1] - mean) ** 2) + q * (b[2] + (b[1] - mean) ** 2)
    return n, mean, var


@good(MS)
def ms_r03(a, b):
    counts = np.array([a[0], b[0]], dtype=np.float64)
    means = np.stack([a[1], b[1]]).astype(np.float64)
    vars_ = np.stack([a[2], b[2]]).astype(np.float64)
    mean = np.average(means, axis=0, weights=counts)
    var = np.average(vars_ + (means - mean) ** 2, axis=0, weights=counts)
    return a[0] + b[0], mean.astype(a[1].dtype), var.astype(a[2].dtype)


@good(MS)
def ms_r04(a, b):
    # sums and sums of squares, safe in float64
    def raw(t):
        n, m, v = t
        m, v = np.float64(m), np.float64(v)
        return np.array([n * m, n * (v + m * m)])

    n = a[0] + b[0]
    s, q = raw(a) + raw(b)
    return (
        n,
        np.asarray(s / n, a[1].dtype),
        np.asarray(np.maximum(q / n - (s / n) ** 2, 0), a[2].dtype),
    )


@good(MS)
def ms_r05(a, b):
    def step(acc, cur):
        n = acc[0] + cur[0]
        t = cur[0] / n
        d = cur[1] - acc[1]
        return n, acc[1] + t * d, (1 - t) * acc[2] + t * cur[2] + t * (1 - t) * d * d

    return reduce(step, [a, b])


# =====================================================================  group_norm


def _grouped(x, G):
    N, C, *rest = x.shape
    return x.reshape(N, G, C // G, *rest)


def _meet(v, x):
    return v.reshape((1, -1) + (1,) * (x.ndim - 2))


@bad(GN, "x.reshape(N, C // G, G, ...): number and size of the groups exchanged")
def gn_w01(x, num_groups, weight, bias, eps=1e-5):
    N, C = x.shape[:2]
    g = x.reshape(N, C // num_groups, num_groups, -1)
    mu, var = g.mean((2, 3), keepdims=True), g.var((2, 3), keepdims=True)
    y = ((g - mu) / np.sqrt(var + eps)).reshape(x.shape)
    return _meet(weight, x) * y + _meet(bias, x)


@bad(GN, "reshaped to (N, C // G, G, ...) and normalized over the first: every G-th channel")
def gn_w02(x, num_groups, weight, bias, eps=1e-5):
    N, C = x.shape[:2]
    g = x.reshape(N, C // num_groups, num_groups, -1)
    mu, var = g.mean((1, 3), keepdims=True), g.var((1, 3), keepdims=True)
    y = ((g - mu) / np.sqrt(var + eps)).reshape(x.shape)
    return _meet(weight, x) * y + _meet(bias, x)


@bad(GN, "the batch shares the statistics of a group")
def gn_w03(x, num_groups, weight, bias, eps=1e-5):
    out = np.empty_like(x)
    size = x.shape[1] // num_groups
    for k in range(num_groups):
        part = x[:, k * size : (k + 1) * size]
        out[:, k * size : (k + 1) * size] = (part - part.mean()) / np.sqrt(part.var() + eps)
    return out * _meet(weight, x) + _meet(bias, x)


@bad(GN, "the g-th group gets the g-th weight and bias")
def gn_w04(x, num_groups, weight, bias, eps=1e-5):
    out = np.empty_like(x)
    size = x.shape[1] // num_groups
    for n in range(len(x)):
        for k in range(num_groups):
            part = x[n, k * size : (k + 1) * size]
            xhat = (part - part.mean()) / np.sqrt(part.var() + eps)
            out[n, k * size : (k + 1) * size] = weight[k] * xhat + bias[k]
    return out


@bad(GN, "channels of a group averaged, positions each by themselves")
def gn_w05(x, num_groups, weight, bias, eps=1e-5):
    g = _grouped(x, num_groups)
    y = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + eps)
    return y.reshape(x.shape) * _meet(weight, x) + _meet(bias, x)


@bad(GN, "positions averaged, each channel by itself: instance norm")
def gn_w06(x, num_groups, weight, bias, eps=1e-5):
    ax = tuple(range(2, x.ndim))
    if not ax:
        return gn_r01(x, num_groups, weight, bias, eps)
    y = (x - x.mean(ax, keepdims=True)) / np.sqrt(x.var(ax, keepdims=True) + eps)
    return y * _meet(weight, x) + _meet(bias, x)


@bad(GN, "num_groups ignored: layer norm of the sample")
def gn_w07(x, num_groups, weight, bias, eps=1e-5):
    ax = tuple(range(1, x.ndim))
    y = (x - x.mean(ax, keepdims=True)) / np.sqrt(x.var(ax, keepdims=True) + eps)
    return y * _meet(weight, x) + _meet(bias, x)


@bad(GN, "eps outside the root")
def gn_w08(x, num_groups, weight, bias, eps=1e-5):
    g = x.reshape(len(x), num_groups, -1)
    y = (g - g.mean(2, keepdims=True)) / (g.std(2, keepdims=True) + eps)
    return y.reshape(x.shape) * _meet(weight, x) + _meet(bias, x)


@bad(GN, "unbiased variance")
def gn_w09(x, num_groups, weight, bias, eps=1e-5):
    g = x.reshape(len(x), num_groups, -1)
    y = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, ddof=1, keepdims=True) + eps)
    return y.reshape(x.shape) * _meet(weight, x) + _meet(bias, x)


@bad(GN, "written for images: H, W = x.shape[2:] (exception)")
def gn_w10(x, num_groups, weight, bias, eps=1e-5):
    N, C, H, W = x.shape
    g = x.reshape(N, num_groups, C // num_groups, H, W)
    y = (g - g.mean((2, 3, 4), keepdims=True)) / np.sqrt(g.var((2, 3, 4), keepdims=True) + eps)
    return y.reshape(N, C, H, W) * _meet(weight, x) + _meet(bias, x)


@bad(GN, "the grouped array is returned, not reshaped back")
def gn_w11(x, num_groups, weight, bias, eps=1e-5):
    g = _grouped(x, num_groups)
    ax = tuple(range(2, g.ndim))
    y = (g - g.mean(ax, keepdims=True)) / np.sqrt(g.var(ax, keepdims=True) + eps)
    s = (1, num_groups, -1) + (1,) * (x.ndim - 2)
    return y * weight.reshape(s) + bias.reshape(s)


@bad(GN, "weight (C,) meets the last axis (exception)")
def gn_w12(x, num_groups, weight, bias, eps=1e-5):
    g = x.reshape(len(x), num_groups, -1)
    y = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + eps)
    return y.reshape(x.shape) * weight + bias


@bad(GN, "the variance of a group is the mean of its channels' variances")
def gn_w13(x, num_groups, weight, bias, eps=1e-5):
    g = x.reshape(len(x), num_groups, x.shape[1] // num_groups, -1)
    var = g.var(3).mean(2)[:, :, None, None]
    y = (g - g.mean((2, 3), keepdims=True)) / np.sqrt(var + eps)
    return y.reshape(x.shape) * _meet(weight, x) + _meet(bias, x)


@bad(GN, "no bias")
def gn_w14(x, num_groups, weight, bias, eps=1e-5):
    g = x.reshape(len(x), num_groups, -1)
    y = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + eps)
    return y.reshape(x.shape) * _meet(weight, x)


@bad(GN, "E[x^2] - E[x]^2 in float32")
def gn_w15(x, num_groups, weight, bias, eps=1e-5):
    g = x.reshape(len(x), num_groups, -1)
    mu = g.mean(2, keepdims=True)
    var = np.maximum((g * g).mean(2, keepdims=True) - mu * mu, 0)
    return ((g - mu) / np.sqrt(var + eps)).reshape(x.shape) * _meet(weight, x) + _meet(bias, x)


@bad(GN, "the view of x is centred in place: the caller's array changes")
def gn_w16(x, num_groups, weight, bias, eps=1e-5):
    for sample in x:
        for part in np.split(sample, num_groups):
            part -= part.mean()
            part /= np.sqrt((part**2).mean() + eps)
    return x * _meet(weight, x) + _meet(bias, x)


@bad(GN, "channels taken from the last axis, as in TensorFlow")
def gn_w17(x, num_groups, weight, bias, eps=1e-5):
    z = np.moveaxis(x, 1, -1)
    g = z.reshape(len(x), num_groups, -1)
    y = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + eps)
    return np.moveaxis(y.reshape(z.shape) * weight + bias, -1, 1)


@bad(GN, "exchanged, and unbiased", 2)
def gn_w18(x, num_groups, weight, bias, eps=1e-5):
    g = x.reshape(len(x), x.shape[1] // num_groups, -1)
    y = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, ddof=1, keepdims=True) + eps)
    return y.reshape(x.shape) * _meet(weight, x) + _meet(bias, x)


@bad(GN, "interleaved, and eps outside the root", 2)
def gn_w19(x, num_groups, weight, bias, eps=1e-5):
    out = np.empty_like(x)
    for k in range(num_groups):
        part = x[:, k::num_groups]
        ax = tuple(range(1, x.ndim))
        mu, sd = part.mean(ax, keepdims=True), part.std(ax, keepdims=True)
        out[:, k::num_groups] = (part - mu) / (sd + eps)
    return out * _meet(weight, x) + _meet(bias, x)


@good(GN)
def gn_r01(x, num_groups, weight, bias, eps=1e-5):
    g = x.reshape(len(x), num_groups, -1)
    y = (g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + eps)
    return y.reshape(x.shape) * _meet(weight, x) + _meet(bias, x)


@good(GN)
def gn_r02(x, num_groups, weight, bias, eps=1e-5):
    out = np.empty_like(x)
    size = x.shape[1] // num_groups
    for n, k in np.ndindex(len(x), num_groups):
        own = slice(k * size, (k + 1) * size)
        v = x[n, own].astype(float)
        out[n, own] = (v - v.mean()) / np.sqrt(v.var() + eps)
    return out * _meet(weight, x) + _meet(bias, x)


@good(GN)
def gn_r03(x, num_groups, weight, bias, eps=1e-5):
    # rows of groups, parameters repeated for each number
    rows = x.reshape(len(x) * num_groups, -1)
    c = rows - rows.mean(1)[:, None]
    y = c / np.sqrt((c**2).mean(1)[:, None] + eps)
    positions = x.size // (len(x) * x.shape[1])
    w = np.tile(np.repeat(weight, positions), len(x)).reshape(rows.shape)
    b = np.tile(np.repeat(bias, positions), len(x)).reshape(rows.shape)
    return (y * w + b).reshape(x.shape)


@good(GN)
def gn_r04(x, num_groups, weight, bias, eps=1e-5):
    parts = np.split(x, num_groups, axis=1)
    ax = tuple(range(1, x.ndim))
    y = [(p - p.mean(ax, keepdims=True)) / np.sqrt(p.var(ax, keepdims=True) + eps) for p in parts]
    return np.concatenate(y, axis=1) * _meet(weight, x) + _meet(bias, x)


@good(GN)
def gn_r05(x, num_groups, weight, bias, eps=1e-5):
    # a matrix that averages within a group
    N, C = x.shape[:2]
    same = np.kron(np.eye(num_groups), np.ones((C // num_groups, C // num_groups)))
    f = x.reshape(N, C, -1).astype(float)
    A = same / (C // num_groups)
    mu = np.einsum("cd,ndp->nc", A, f) / f.shape[2]
    d = f - mu[:, :, None]
    var = np.einsum("cd,ndp->nc", A, d**2) / f.shape[2]
    y = d / np.sqrt(var + eps)[:, :, None] * weight[:, None] + bias[:, None]
    return y.reshape(x.shape).astype(x.dtype)


# =====================================================================  group_norm_backward


def _gn_parts(dy, x, G, weight, eps):
    xg = x.reshape(len(x), G, -1)
    sd = np.sqrt(xg.var(2, keepdims=True) + eps)
    h = (xg - xg.mean(2, keepdims=True)) / sd
    g = (dy * _meet(weight, x)).reshape(xg.shape)
    ax = (0, *range(2, x.ndim))
    return h, g, sd, ax


@bad(GNB, "weight multiplied at the end, as it may be in batch norm")
def gnb_w01(dy, x, num_groups, weight, bias, eps=1e-5):
    h, _, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    d = dy.reshape(h.shape)
    dx = (d - d.mean(2, keepdims=True) - h * (d * h).mean(2, keepdims=True)) / sd
    dx = dx.reshape(x.shape) * _meet(weight, x)
    return dx, (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "dx of instance norm: means per channel")
def gnb_w02(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    s = (len(x), x.shape[1], -1)
    h2, g2 = h.reshape(s), g.reshape(s)
    r = np.repeat(1 / sd[:, :, 0], x.shape[1] // num_groups, axis=1)[:, :, None]
    dx = (g2 - g2.mean(2, keepdims=True) - h2 * (g2 * h2).mean(2, keepdims=True)) * r
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "only the direct path")
def gnb_w03(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    return (g / sd).reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "mean(g) missing")
def gnb_w04(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    dx = (g - h * (g * h).mean(2, keepdims=True)) / sd
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "x missing behind its mean")
def gnb_w05(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    dx = (g - g.mean(2, keepdims=True) - (g * h).mean(2, keepdims=True)) / sd
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "dweight and dbias summed over the positions and kept per sample (shape)")
def gnb_w06(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, _ = _gn_parts(dy, x, num_groups, weight, eps)
    ax = tuple(range(2, x.ndim))
    dx = (g - g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True)) / sd
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "dweight and dbias are those of a group, for all its channels")
def gnb_w07(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, _ = _gn_parts(dy, x, num_groups, weight, eps)
    dx = (g - g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True)) / sd
    d = dy.reshape(h.shape)
    k = x.shape[1] // num_groups
    return dx.reshape(x.shape), np.repeat((d * h).sum((0, 2)), k), np.repeat(d.sum((0, 2)), k)


@bad(GNB, "dweight and dbias averaged over the batch")
def gnb_w08(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    dx = (g - g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True)) / sd
    N = len(x)
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax) / N, dy.sum(ax) / N


@bad(GNB, "sums in place of means")
def gnb_w09(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    dx = (g - g.sum(2, keepdims=True) - h * (g * h).sum(2, keepdims=True)) / sd
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "divided by C / G where H W C / G numbers share a statistic")
def gnb_w10(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    k = x.shape[1] // num_groups
    dx = (g - g.sum(2, keepdims=True) / k - h * (g * h).sum(2, keepdims=True) / k) / sd
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "number and size of the groups exchanged")
def gnb_w11(dy, x, num_groups, weight, bias, eps=1e-5):
    return gnb_r01(dy, x, x.shape[1] // num_groups, weight, bias, eps)


@bad(GNB, "weight forgotten in dx")
def gnb_w12(dy, x, num_groups, weight, bias, eps=1e-5):
    h, _, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    g = dy.reshape(h.shape)
    dx = (g - g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True)) / sd
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "dweight from x")
def gnb_w13(dy, x, num_groups, weight, bias, eps=1e-5):
    dx, _, dbias = gnb_r01(dy, x, num_groups, weight, bias, eps)
    return dx, (dy * x).sum((0, *range(2, x.ndim))), dbias


@bad(GNB, "the batch is in the means of dx")
def gnb_w14(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    dx = (g - g.mean((0, 2), keepdims=True) - h * (g * h).mean((0, 2), keepdims=True)) / sd
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@bad(GNB, "interleaved groups")
def gnb_w15(dy, x, num_groups, weight, bias, eps=1e-5):
    C = x.shape[1]
    order = np.arange(C).reshape(-1, num_groups).T.ravel()
    back = np.argsort(order)
    dx, dw, db = gnb_r01(dy[:, order], x[:, order], num_groups, weight[order], bias, eps)
    return dx[:, back], dw[back], db[back]


@bad(GNB, "the weight of the g-th group is weight[g]")
def gnb_w16(dy, x, num_groups, weight, bias, eps=1e-5):
    w = np.repeat(weight[:num_groups], x.shape[1] // num_groups)
    return gnb_r01(dy, x, num_groups, w, bias, eps)


@bad(GNB, "exchanged, and dweight averaged", 2)
def gnb_w17(dy, x, num_groups, weight, bias, eps=1e-5):
    dx, dw, db = gnb_r01(dy, x, x.shape[1] // num_groups, weight, bias, eps)
    return dx, dw / len(x), db


@good(GNB)
def gnb_r01(dy, x, num_groups, weight, bias, eps=1e-5):
    h, g, sd, ax = _gn_parts(dy, x, num_groups, weight, eps)
    dx = (g - g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True)) / sd
    return dx.reshape(x.shape), (dy * h.reshape(x.shape)).sum(ax), dy.sum(ax)


@good(GNB)
def gnb_r02(dy, x, num_groups, weight, bias, eps=1e-5):
    # node by node in a loop over samples and groups
    dx, size = np.zeros(x.shape), x.shape[1] // num_groups
    dw, db = np.zeros(len(weight)), np.zeros(len(weight))
    for i, k in np.ndindex(len(x), num_groups):
        own = slice(k * size, (k + 1) * size)
        v, d = x[i, own].astype(float), dy[i, own].astype(float)
        w = weight[own].reshape((-1,) + (1,) * (v.ndim - 1))
        c = v - v.mean()
        r = (np.mean(c**2) + eps) ** -0.5
        g = d * w
        dc = g * r + 2 / v.size * c * (-0.5 * r**3 * (g * c).sum())
        dx[i, own] = dc - dc.mean()
        positions = tuple(range(1, v.ndim))
        dw[own] += (d * c * r).sum(positions)
        db[own] += d.sum(positions)
    return dx.astype(x.dtype), dw.astype(x.dtype), db.astype(x.dtype)


@good(GNB)
def gnb_r03(dy, x, num_groups, weight, bias, eps=1e-5):
    # two sums of each plane serve dx and the parameters
    N, C = x.shape[:2]
    h, _, sd, _ = _gn_parts(dy, x, num_groups, weight, eps)
    d, hp = dy.reshape(N, C, -1), h.reshape(N, C, -1)
    one, along = d.sum(2), (d * hp).sum(2)
    n = hp[0].size // num_groups
    m1 = (one * weight).reshape(N, num_groups, -1).sum(2, keepdims=True) / n
    m2 = (along * weight).reshape(N, num_groups, -1).sum(2, keepdims=True) / n
    g = (d * weight[:, None]).reshape(h.shape)
    dx = (g - m1 - h * m2) / sd
    return dx.reshape(x.shape), along.sum(0), one.sum(0)


# =====================================================================  batch_norm_to_group_norm


def _gn_plain(x, G, eps):
    return gn_r01(x, G, np.ones(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype), eps)


@bad(B2G, "weight and bias are copied")
def b2g_w01(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    return weight.copy(), bias.copy()


@bad(B2G, "the quotient of the spreads upside down")
def b2g_w02(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    ax = (0, *range(2, x.ndim))
    h = _gn_plain(x, num_groups, eps)
    a = weight / np.sqrt(running_var + eps)
    w = a * h.std(ax) / x.std(ax)
    return w, a * (x.mean(ax) - running_mean) + bias - w * h.mean(ax)


@bad(B2G, "the new bias forgets that xhat has a mean")
def b2g_w03(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    ax = (0, *range(2, x.ndim))
    h = _gn_plain(x, num_groups, eps)
    a = weight / np.sqrt(running_var + eps)
    return a * x.std(ax) / h.std(ax), a * (x.mean(ax) - running_mean) + bias


@bad(B2G, "batch norm in training mode: the statistics of x in place of the running ones")
def b2g_w04(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    ax = (0, *range(2, x.ndim))
    h = _gn_plain(x, num_groups, eps)
    w = weight / np.sqrt(x.var(ax) + eps) * x.std(ax) / h.std(ax)
    return w, bias - w * h.mean(ax)


@bad(B2G, "the sign of the weight is lost in a quotient of standard deviations")
def b2g_w05(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    ax = (0, *range(2, x.ndim))
    s = (1, -1) + (1,) * (x.ndim - 2)
    y = (x - running_mean.reshape(s)) / np.sqrt(running_var.reshape(s) + eps)
    y = y * weight.reshape(s) + bias.reshape(s)
    h = _gn_plain(x, num_groups, eps)
    w = y.std(ax) / h.std(ax)
    return w, y.mean(ax) - w * h.mean(ax)


@bad(B2G, "number and size of the groups exchanged")
def b2g_w06(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    size = x.shape[1] // num_groups
    return b2g_r01(x, size, running_mean, running_var, weight, bias, eps)


@bad(B2G, "running_var taken for a standard deviation")
def b2g_w07(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    ax = (0, *range(2, x.ndim))
    h = _gn_plain(x, num_groups, eps)
    a = weight / (running_var + eps)
    w = a * x.std(ax) / h.std(ax)
    return w, a * (x.mean(ax) - running_mean) + bias - w * h.mean(ax)


@bad(B2G, "the running mean is left out")
def b2g_w08(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    ax = (0, *range(2, x.ndim))
    h = _gn_plain(x, num_groups, eps)
    a = weight / np.sqrt(running_var + eps)
    w = a * x.std(ax) / h.std(ax)
    return w, a * x.mean(ax) + bias - w * h.mean(ax)


@bad(B2G, "only the scale is converted")
def b2g_w09(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    ax = (0, *range(2, x.ndim))
    h = _gn_plain(x, num_groups, eps)
    return weight / np.sqrt(running_var + eps) * x.std(ax) / h.std(ax), bias


@bad(B2G, "xhat is not per group but per batch")
def b2g_w10(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    ax = (0, *range(2, x.ndim))
    s = (1, -1) + (1,) * (x.ndim - 2)
    h = (x - x.mean(ax).reshape(s)) / np.sqrt(x.var(ax).reshape(s) + eps)
    a = weight / np.sqrt(running_var + eps)
    w = a * x.std(ax) / h.std(ax)
    return w, a * (x.mean(ax) - running_mean) + bias - w * h.mean(ax)


@good(B2G)
def b2g_r01(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    ax = (0, *range(2, x.ndim))
    h = _gn_plain(x, num_groups, eps)
    a = weight / np.sqrt(running_var + eps)
    w = a * x.std(ax) / h.std(ax)
    return w, a * (x.mean(ax) - running_mean) + bias - w * h.mean(ax)


@good(B2G)
def b2g_r02(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    # from the outputs of both layers, one channel at a time
    h, new = _gn_plain(x, num_groups, eps), []
    for c in range(x.shape[1]):
        y = weight[c] * (x[:, c] - running_mean[c]) / np.sqrt(running_var[c] + eps) + bias[c]
        w = np.sign(weight[c]) * y.std() / h[:, c].std()
        new.append((w, y.mean() - w * h[:, c].mean()))
    w, b = np.array(new, dtype=x.dtype).T
    return w, b


@good(B2G)
def b2g_r03(x, num_groups, running_mean, running_var, weight, bias, eps=1e-5):
    # ddof does not matter in a quotient
    rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    xhat = np.moveaxis(_gn_plain(x, num_groups, eps), 1, -1).reshape(rows.shape)
    a = weight / np.sqrt(running_var + eps)
    w = a * rows.std(0, ddof=1) / xhat.std(0, ddof=1)
    return w, a * (rows.mean(0) - running_mean) + bias - w * xhat.mean(0)
