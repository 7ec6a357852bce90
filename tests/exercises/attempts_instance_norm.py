"""What students write for instance normalization: 44 wrong attempts and 12 right ones."""

import math

import numpy as np
from attempts import bad, good

IN, INB = "instance_norm", "instance_norm_backward"
AIN, AINB = "adaptive_instance_norm", "adaptive_instance_norm_backward"


def channel(v, x):
    return v.reshape((1, -1) + (1,) * (x.ndim - 2))


def moments(x):
    axes = tuple(range(2, x.ndim))
    return x.mean(axes, keepdims=True), x.var(axes, keepdims=True)


# =====================================================================  instance_norm


@bad(IN, "batch-norm axes, copied from the last exercise")
def in_w01(x, weight, bias, eps=1e-5):
    axes = (0, *range(2, x.ndim))
    xhat = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return channel(weight, x) * xhat + channel(bias, x)


@bad(IN, "layer-norm axes: the channels share one statistic")
def in_w02(x, weight, bias, eps=1e-5):
    flat = x.reshape(len(x), -1)
    flat = (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + eps)
    return channel(weight, x) * flat.reshape(x.shape) + channel(bias, x)


@bad(IN, "the last axis only, so that each row of an image has its own statistics")
def in_w03(x, weight, bias, eps=1e-5):
    m, v = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return channel(weight, x) * (x - m) / np.sqrt(v + eps) + channel(bias, x)


@bad(IN, "reshaped to (C, -1): samples and channels are mixed")
def in_w04(x, weight, bias, eps=1e-5):
    rows = x.reshape(x.shape[1], -1)
    rows = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + eps)
    return channel(weight, x) * rows.reshape(x.shape) + channel(bias, x)


@bad(IN, "axes (2, 3) written down: fails for sequences")
def in_w05(x, weight, bias, eps=1e-5):
    m, v = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    return channel(weight, x) * (x - m) / np.sqrt(v + eps) + channel(bias, x)


@bad(IN, "unbiased variance")
def in_w06(x, weight, bias, eps=1e-5):
    z = x.reshape(*x.shape[:2], -1)
    z = (z - z.mean(2, keepdims=True)) / np.sqrt(z.var(2, ddof=1, keepdims=True) + eps)
    return (z * weight[:, None] + bias[:, None]).reshape(x.shape)


@bad(IN, "eps added to the standard deviation")
def in_w07(x, weight, bias, eps=1e-5):
    z = x.reshape(*x.shape[:2], -1)
    z = (z - z.mean(2, keepdims=True)) / (z.std(2, keepdims=True) + eps)
    return (z * weight[:, None] + bias[:, None]).reshape(x.shape)


@bad(IN, "no weight and bias, as in torch's default")
def in_w08(x, weight, bias, eps=1e-5):
    m, v = moments(x)
    return (x - m) / np.sqrt(v + eps)


@bad(IN, "weight and bias meet the last axis")
def in_w09(x, weight, bias, eps=1e-5):
    m, v = moments(x)
    return weight * ((x - m) / np.sqrt(v + eps)) + bias


@bad(IN, "the loop over samples and channels takes the weight of the sample's number")
def in_w10(x, weight, bias, eps=1e-5):
    out = np.empty_like(x)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            v = x[n, c]
            k = n % len(weight)
            out[n, c] = weight[k] * (v - v.mean()) / np.sqrt(v.var() + eps) + bias[k]
    return out


@bad(IN, "variance by E[x²] - E[x]² in float32")
def in_w11(x, weight, bias, eps=1e-5):
    axes = tuple(range(2, x.ndim))
    m = x.mean(axes, keepdims=True)
    v = np.maximum((x * x).mean(axes, keepdims=True) - m * m, 0)
    return channel(weight, x) * (x - m) / np.sqrt(v + eps) + channel(bias, x)


@bad(IN, "centred in place")
def in_w12(x, weight, bias, eps=1e-5):
    for n in range(len(x)):
        for c in range(x.shape[1]):
            x[n, c] -= x[n, c].mean()
            x[n, c] /= np.sqrt((x[n, c] ** 2).mean() + eps)
    return channel(weight, x) * x + channel(bias, x)


@bad(IN, "mean per instance, variance per batch")
def in_w13(x, weight, bias, eps=1e-5):
    c = x - moments(x)[0]
    v = (c**2).mean((0, *range(2, x.ndim)), keepdims=True)
    return channel(weight, x) * c / np.sqrt(v + eps) + channel(bias, x)


@bad(IN, "divides by the sum of x over positions, the paper's simple contrast normalization")
def in_w14(x, weight, bias, eps=1e-5):
    axes = tuple(range(2, x.ndim))
    return channel(weight, x) * x / (x.sum(axes, keepdims=True) + eps) + channel(bias, x)


@bad(IN, "divides by the variance and forgets the bias", 2)
def in_w15(x, weight, bias, eps=1e-5):
    m, v = moments(x)
    return channel(weight, x) * (x - m) / (v + eps)


@good(IN)
def in_r01(x, weight, bias, eps=1e-5):
    m, v = moments(x)
    return channel(weight, x) * (x - m) / np.sqrt(v + eps) + channel(bias, x)


@good(IN)
def in_r02(x, weight, bias, eps=1e-5):
    out = np.empty_like(x)
    for n, sample in enumerate(x):
        for c, v in enumerate(sample):
            out[n, c] = weight[c] * (v - v.mean()) / math.sqrt(float(v.var()) + eps) + bias[c]
    return out


@good(IN)
def in_r03(x, weight, bias, eps=1e-5):
    # a batch norm of one sample with N * C channels
    z = x.reshape(x.shape[0] * x.shape[1], -1).astype(np.float64)
    z = (z - z.mean(1, keepdims=True)) * (z.var(1, keepdims=True) + eps) ** -0.5
    y = z * np.tile(weight, len(x))[:, None] + np.tile(bias, len(x))[:, None]
    return y.reshape(x.shape).astype(x.dtype)


@good(IN)
def in_r04(x, weight, bias, eps=1e-5):
    # folded to a x + b per instance
    z = x.astype(np.float64)
    m, v = moments(z)
    a = channel(weight, x) / np.sqrt(v + eps)
    return (a * z + (channel(bias, x) - a * m)).astype(x.dtype)


# =====================================================================  instance_norm_backward


def back(dy, x, weight, eps, g=None, r=None):
    """What a right solution computes on the way."""
    axes = tuple(range(2, x.ndim))
    m, v = moments(x)
    r = 1 / np.sqrt(v + eps)
    xhat = (x - m) * r
    return axes, r, xhat, dy * channel(weight, x)


def mean(a):
    return a.mean(tuple(range(2, a.ndim)), keepdims=True)


@bad(INB, "the statistics are constants")
def inb_w01(dy, x, weight, bias, eps=1e-5):
    _, r, xhat, g = back(dy, x, weight, eps)
    every = (0, *range(2, x.ndim))
    return g * r, (dy * xhat).sum(every), dy.sum(every)


@bad(INB, "the mean of g is missing")
def inb_w02(dy, x, weight, bias, eps=1e-5):
    _, r, xhat, g = back(dy, x, weight, eps)
    every = (0, *range(2, x.ndim))
    return (g - xhat * mean(g * xhat)) * r, (dy * xhat).sum(every), dy.sum(every)


@bad(INB, "the path through the variance is missing")
def inb_w03(dy, x, weight, bias, eps=1e-5):
    _, r, xhat, g = back(dy, x, weight, eps)
    every = (0, *range(2, x.ndim))
    return (g - mean(g)) * r, (dy * xhat).sum(every), dy.sum(every)


@bad(INB, "the means in dx run over the samples, too, as in batch normalization")
def inb_w04(dy, x, weight, bias, eps=1e-5):
    _, r, xhat, g = back(dy, x, weight, eps)
    every = (0, *range(2, x.ndim))
    dx = g - g.mean(every, keepdims=True) - xhat * (g * xhat).mean(every, keepdims=True)
    return dx * r, (dy * xhat).sum(every), dy.sum(every)


@bad(INB, "dweight and dbias are averaged over the samples")
def inb_w05(dy, x, weight, bias, eps=1e-5):
    axes, r, xhat, g = back(dy, x, weight, eps)
    dx = (g - mean(g) - xhat * mean(g * xhat)) * r
    return dx, (dy * xhat).sum(axes).mean(0), dy.sum(axes).mean(0)


@bad(INB, "dweight and dbias keep the sample axis")
def inb_w06(dy, x, weight, bias, eps=1e-5):
    axes, r, xhat, g = back(dy, x, weight, eps)
    return (g - mean(g) - xhat * mean(g * xhat)) * r, (dy * xhat).sum(axes), dy.sum(axes)


@bad(INB, "dweight and dbias are means over the positions")
def inb_w07(dy, x, weight, bias, eps=1e-5):
    axes, r, xhat, g = back(dy, x, weight, eps)
    dx = (g - mean(g) - xhat * mean(g * xhat)) * r
    return dx, (dy * xhat).mean(axes).sum(0), dy.mean(axes).sum(0)


@bad(INB, "dweight from x - μ")
def inb_w08(dy, x, weight, bias, eps=1e-5):
    _, r, xhat, g = back(dy, x, weight, eps)
    every = (0, *range(2, x.ndim))
    dx = (g - mean(g) - xhat * mean(g * xhat)) * r
    return dx, (dy * (x - moments(x)[0])).sum(every), dy.sum(every)


@bad(INB, "the weight is left out of dx")
def inb_w09(dy, x, weight, bias, eps=1e-5):
    _, r, xhat, _ = back(dy, x, weight, eps)
    every = (0, *range(2, x.ndim))
    dx = (dy - mean(dy) - xhat * mean(dy * xhat)) * r
    return dx, (dy * xhat).sum(every), dy.sum(every)


@bad(INB, "sums in dx are divided by the batch size")
def inb_w10(dy, x, weight, bias, eps=1e-5):
    axes, r, xhat, g = back(dy, x, weight, eps)
    n, every = len(x), (0, *range(2, x.ndim))
    one, along = g.sum(axes, keepdims=True) / n, (g * xhat).sum(axes, keepdims=True) / n
    return (g - one - xhat * along) * r, (dy * xhat).sum(every), dy.sum(every)


@bad(INB, "the gradients of the last sample alone reach weight and bias")
def inb_w11(dy, x, weight, bias, eps=1e-5):
    _, r, xhat, g = back(dy, x, weight, eps)
    for n in range(len(x)):
        dw = (dy[n] * xhat[n]).reshape(len(weight), -1).sum(1)
        db = dy[n].reshape(len(weight), -1).sum(1)
    return (g - mean(g) - xhat * mean(g * xhat)) * r, dw, db


@bad(INB, "sign of the variance path, and dbias from g", 2)
def inb_w12(dy, x, weight, bias, eps=1e-5):
    _, r, xhat, g = back(dy, x, weight, eps)
    every = (0, *range(2, x.ndim))
    dx = (g - mean(g) + xhat * mean(g * xhat)) * r
    return dx, (dy * xhat).sum(every), g.sum(every)


@good(INB)
def inb_r01(dy, x, weight, bias, eps=1e-5):
    _, r, xhat, g = back(dy, x, weight, eps)
    every = (0, *range(2, x.ndim))
    dx = (g - mean(g) - xhat * mean(g * xhat)) * r
    return dx, (dy * xhat).sum(every), dy.sum(every)


@good(INB)
def inb_r02(dy, x, weight, bias, eps=1e-5):
    # one channel of one sample at a time, node by node, float64
    dx, dw, db = np.empty_like(x), np.zeros(len(weight)), np.zeros(len(weight))
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            v, d = x[n, c].astype(float), dy[n, c].astype(float)
            centred = v - v.mean()
            r = ((centred**2).mean() + eps) ** -0.5
            g = d * weight[c]
            dvar = -0.5 * r**3 * (g * centred).sum()
            dc = g * r + 2 / v.size * centred * dvar
            dx[n, c] = dc - dc.mean()
            dw[c] += (d * centred * r).sum()
            db[c] += d.sum()
    return dx, dw.astype(weight.dtype), db.astype(bias.dtype)


@good(INB)
def inb_r03(dy, x, weight, bias, eps=1e-5):
    # Jacobian of each instance
    N, C = x.shape[:2]
    z, d = (a.reshape(N * C, -1).astype(float) for a in (x, dy))
    n = z.shape[1]
    sd = np.sqrt(z.var(1) + eps)
    h = (z - z.mean(1)[:, None]) / sd[:, None]
    J = (np.eye(n) - 1 / n - h[:, :, None] * h[:, None, :] / n) / sd[:, None, None]
    dx = np.einsum("kij,kj->ki", J, d * np.tile(weight, N)[:, None])
    per = lambda a: a.reshape(N, C, -1).sum((0, 2)).astype(x.dtype)  # noqa: E731
    return dx.reshape(x.shape).astype(x.dtype), per(d * h), per(d)


# =====================================================================  adaptive_instance_norm


@bad(AIN, "content and style exchanged")
def ain_w01(x, style, eps=1e-5):
    return ain_r01(style, x, eps)


@bad(AIN, "unbiased variances, as in the torch code that everybody copies")
def ain_w02(x, style, eps=1e-5):
    a, b = x.reshape(*x.shape[:2], -1), style.reshape(*style.shape[:2], -1)
    sa, sb = (np.sqrt(v.var(2, ddof=1, keepdims=True) + eps) for v in (a, b))
    return ((a - a.mean(2, keepdims=True)) / sa * sb + b.mean(2, keepdims=True)).reshape(x.shape)


@bad(AIN, "eps outside both roots")
def ain_w03(x, style, eps=1e-5):
    (m, v), (ms, vs) = moments(x), moments(style)
    return (x - m) / (np.sqrt(v) + eps) * (np.sqrt(vs) + eps) + ms


@bad(AIN, "eps only where the content is divided")
def ain_w04(x, style, eps=1e-5):
    (m, v), (ms, vs) = moments(x), moments(style)
    return (x - m) / np.sqrt(v + eps) * np.sqrt(vs) + ms


@bad(AIN, "the content keeps its own mean")
def ain_w05(x, style, eps=1e-5):
    (m, v), (_, vs) = moments(x), moments(style)
    return (x - m) / np.sqrt(v + eps) * np.sqrt(vs + eps) + m


@bad(AIN, "multiplied by the variance of the style")
def ain_w06(x, style, eps=1e-5):
    (m, v), (ms, vs) = moments(x), moments(style)
    return (x - m) / np.sqrt(v + eps) * (vs + eps) + ms


@bad(AIN, "one style for the whole batch")
def ain_w07(x, style, eps=1e-5):
    axes = (0, *range(2, style.ndim))
    (m, v), ms, vs = moments(x), style.mean(axes, keepdims=True), style.var(axes, keepdims=True)
    return (x - m) / np.sqrt(v + eps) * np.sqrt(vs + eps) + ms


@bad(AIN, "one mean and spread for all channels, of content and of style")
def ain_w08(x, style, eps=1e-5):
    axes, axes_s = tuple(range(1, x.ndim)), tuple(range(1, style.ndim))
    m, v = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    ms, vs = style.mean(axes_s, keepdims=True), style.var(axes_s, keepdims=True)
    return (x - m) / np.sqrt(v + eps) * np.sqrt(vs + eps) + ms


@bad(AIN, "the mean of the style only is given")
def ain_w09(x, style, eps=1e-5):
    (m, v), (ms, _) = moments(x), moments(style)
    return (x - m) / np.sqrt(v + eps) + ms


@bad(AIN, "scaled and shifted without being normalized")
def ain_w10(x, style, eps=1e-5):
    ms, vs = moments(style)
    return x * np.sqrt(vs + eps) + ms


@good(AIN)
def ain_r01(x, style, eps=1e-5):
    (m, v), (ms, vs) = moments(x), moments(style)
    return (x - m) / np.sqrt(v + eps) * np.sqrt(vs + eps) + ms


@good(AIN)
def ain_r02(x, style, eps=1e-5):
    out = np.empty_like(x)
    for n in range(len(x)):
        for c in range(x.shape[1]):
            a, b = x[n, c].astype(float), style[n, c].astype(float)
            scale = math.sqrt((b.var() + eps) / (a.var() + eps))
            out[n, c] = (a - a.mean()) * scale + b.mean()
    return out


@good(AIN)
def ain_r03(x, style, eps=1e-5):
    a, b = (v.reshape(v.shape[0] * v.shape[1], -1).astype(float).T for v in (x, style))
    y = (a - a.mean(0)) / np.sqrt(a.var(0) + eps) * np.sqrt(b.var(0) + eps) + b.mean(0)
    return y.T.reshape(x.shape).astype(x.dtype)


# ============================================================  adaptive_instance_norm_backward


def adapt_back(dy, x, style, eps):
    (m, v), (ms, vs) = moments(x), moments(style)
    r, s = 1 / np.sqrt(v + eps), np.sqrt(vs + eps)
    xhat, shat = (x - m) * r, (style - ms) / s
    dx = s * r * (dy - mean(dy) - xhat * mean(dy * xhat))
    total = dy.sum(tuple(range(2, x.ndim)), keepdims=True)
    along = (dy * xhat).sum(tuple(range(2, x.ndim)), keepdims=True)
    return dx, total, along, shat, style[0, 0].size, s


@bad(AINB, "the style is a constant in dx's own formula: scale left out of dx")
def ainb_w01(dy, x, style, eps=1e-5):
    dx, total, along, shat, n, s = adapt_back(dy, x, style, eps)
    return dx / s, (total + shat * along) / n


@bad(AINB, "dstyle without the path through the spread")
def ainb_w02(dy, x, style, eps=1e-5):
    dx, total, _, _, n, _ = adapt_back(dy, x, style, eps)
    return dx, np.broadcast_to(total / n, style.shape).copy()


@bad(AINB, "dstyle without the path through the mean")
def ainb_w03(dy, x, style, eps=1e-5):
    dx, _, along, shat, n, _ = adapt_back(dy, x, style, eps)
    return dx, shat * along / n


@bad(AINB, "1/n forgotten in dstyle")
def ainb_w04(dy, x, style, eps=1e-5):
    dx, total, along, shat, _, _ = adapt_back(dy, x, style, eps)
    return dx, total + shat * along


@bad(AINB, "divided by the positions of the content")
def ainb_w05(dy, x, style, eps=1e-5):
    dx, total, along, shat, _, _ = adapt_back(dy, x, style, eps)
    return dx, (total + shat * along) / x[0, 0].size


@bad(AINB, "the spread path has s - μ for ŝ")
def ainb_w06(dy, x, style, eps=1e-5):
    dx, total, along, shat, n, s = adapt_back(dy, x, style, eps)
    return dx, (total + shat * s * along) / n


@bad(AINB, "returns the gradients of mean and spread, not those of the style's numbers")
def ainb_w07(dy, x, style, eps=1e-5):
    dx, total, along, *_ = adapt_back(dy, x, style, eps)
    return dx, np.concatenate([total, along], axis=-1)


@good(AINB)
def ainb_r01(dy, x, style, eps=1e-5):
    dx, total, along, shat, n, _ = adapt_back(dy, x, style, eps)
    return dx, (total + shat * along) / n


@good(AINB)
def ainb_r02(dy, x, style, eps=1e-5):
    # an instance at a time, mean and variance of the style as nodes
    dx, ds = np.empty_like(x), np.empty_like(style)
    for i in np.ndindex(x.shape[:2]):
        a, b, d = (v[i].astype(float) for v in (x, style, dy))
        ra, sb = (a.var() + eps) ** -0.5, (b.var() + eps) ** 0.5
        h = (a - a.mean()) * ra
        g = d * sb
        dx[i] = ra * (g - g.mean() - h * (g * h).mean())
        dmean, dspread = d.sum(), (d * h).sum()
        dvar = dspread * 0.5 / sb
        ds[i] = dmean / b.size + dvar * 2 * (b - b.mean()) / b.size
    return dx, ds
