"""What students write for RMS normalization: 38 wrong attempts and 12 right ones."""

import math

import numpy as np
from attempts import bad, good

RMS, RMSB, TO = "rms_norm", "rms_norm_backward", "to_rms_norm"


def last(x, normalized_shape):
    return tuple(range(x.ndim - len(normalized_shape), x.ndim))


def lead(x, normalized_shape):
    return tuple(range(x.ndim - len(normalized_shape)))


def rms(x, normalized_shape, eps):
    return np.sqrt((x * x).mean(last(x, normalized_shape), keepdims=True) + eps)


# =====================================================================  rms_norm


@bad(RMS, "layer norm without its bias: the mean is subtracted")
def rms_w01(x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    x = x - x.mean(axes, keepdims=True)
    return weight * x / np.sqrt((x**2).mean(axes, keepdims=True) + eps)


@bad(RMS, "the variance in the place of the mean square: x is not centred, its statistic is")
def rms_w02(x, normalized_shape, weight, eps=1e-5):
    var = np.var(x, axis=last(x, normalized_shape), keepdims=True)
    return x / np.sqrt(var + eps) * weight


@bad(RMS, "no root: divided by the mean square")
def rms_w03(x, normalized_shape, weight, eps=1e-5):
    ms = np.mean(np.square(x), axis=last(x, normalized_shape), keepdims=True)
    return weight * (x / (ms + eps))


@bad(RMS, "sum for mean: rows of length 1 in place of mean square 1")
def rms_w04(x, normalized_shape, weight, eps=1e-5):
    ss = np.sum(x**2, axis=last(x, normalized_shape), keepdims=True)
    return weight * x / np.sqrt(ss + eps)


@bad(RMS, "eps added to the root, not under it")
def rms_w05(x, normalized_shape, weight, eps=1e-5):
    r = np.sqrt((x**2).mean(last(x, normalized_shape), keepdims=True)) + eps
    return weight * (x / r)


@bad(RMS, "the last axis only, whatever normalized_shape says")
def rms_w06(x, normalized_shape, weight, eps=1e-5):
    r = np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps)
    return x / r * weight


@bad(RMS, "counts the axes from the front: batch norm's direction")
def rms_w07(x, normalized_shape, weight, eps=1e-5):
    axes = tuple(range(len(normalized_shape)))
    return weight * x / np.sqrt((x**2).mean(axes, keepdims=True) + eps)


@bad(RMS, "scales with 1 + weight, as a model seen elsewhere does")
def rms_w08(x, normalized_shape, weight, eps=1e-5):
    r = np.sqrt((x**2).mean(last(x, normalized_shape), keepdims=True) + eps)
    return x / r * (1 + weight)


@bad(RMS, "divides in place and so changes the caller's x")
def rms_w09(x, normalized_shape, weight, eps=1e-5):
    x /= np.sqrt((x**2).mean(last(x, normalized_shape), keepdims=True) + eps)
    return x * weight


@bad(RMS, "scales first, so that the root mean square is that of weight * x")
def rms_w10(x, normalized_shape, weight, eps=1e-5):
    z = x * weight
    return z / np.sqrt((z**2).mean(last(x, normalized_shape), keepdims=True) + eps)


@bad(RMS, "takes normalized_shape[-1] for the number of features")
def rms_w11(x, normalized_shape, weight, eps=1e-5):
    ss = (x * x).sum(axis=last(x, normalized_shape), keepdims=True)
    return weight * x / np.sqrt(ss / normalized_shape[-1] + eps)


@bad(RMS, "square of the mean in the place of the mean of the squares")
def rms_w12(x, normalized_shape, weight, eps=1e-5):
    m = x.mean(axis=last(x, normalized_shape), keepdims=True)
    return weight * x / np.sqrt(m**2 + eps)


@bad(RMS, "divides by the standard deviation, and eps stands outside of the root", 2)
def rms_w13(x, normalized_shape, weight, eps=1e-5):
    sd = x.std(axis=last(x, normalized_shape), keepdims=True)
    return weight * x / (sd + eps)


@good(RMS)
def rms_r01(x, normalized_shape, weight, eps=1e-5):
    d = math.prod(normalized_shape)
    rows, w = x.reshape(-1, d), weight.reshape(d)
    out = np.empty_like(rows)
    for i, row in enumerate(rows):
        total = 0.0
        for v in row:
            total += float(v) ** 2
        r = math.sqrt(total / d + eps)
        for j in range(d):
            out[i, j] = float(w[j]) * float(row[j]) / r
    return out.reshape(x.shape)


@good(RMS)
def rms_r02(x, normalized_shape, weight, eps=1e-5):
    rows = x.reshape(-1, weight.size)
    ms = np.einsum("nd,nd->n", rows, rows) / weight.size
    inv = (ms + eps) ** -0.5
    return np.einsum("nd,n,d->nd", rows, inv, weight.ravel()).reshape(x.shape)


@good(RMS)
def rms_r03(x, normalized_shape, weight, eps=1e-5):
    rows = x.astype(np.float64).reshape(-1, weight.size)
    length = np.linalg.norm(rows, axis=1, keepdims=True) / math.sqrt(weight.size)
    y = rows / np.hypot(length, math.sqrt(eps)) * weight.reshape(1, -1)
    return y.reshape(x.shape).astype(x.dtype)


@good(RMS)
def rms_r04(x, normalized_shape, weight, eps=1e-5):
    ms = np.square(x)
    for k in range(1, len(normalized_shape) + 1):
        ms = np.mean(ms, axis=-k, keepdims=True)
    return np.multiply(weight, np.divide(x, np.sqrt(ms + eps)))


# =====================================================================  rms_norm_backward


@bad(RMSB, "takes r for a constant")
def rmsb_w01(dy, x, normalized_shape, weight, eps=1e-5):
    r = rms(x, normalized_shape, eps)
    dweight = (dy * x / r).sum(lead(x, normalized_shape))
    return dy * weight / r, dweight


@bad(RMSB, "layer norm's three terms: the mean of the gradient is subtracted as well")
def rmsb_w02(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    r = rms(x, normalized_shape, eps)
    xhat = x / r
    g = dy * weight
    dx = g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True)
    return dx / r, (dy * xhat).sum(lead(x, normalized_shape))


@bad(RMSB, "layer norm's backward as it was: centred statistics, and the mean's term", 2)
def rmsb_w03(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    xc = x - x.mean(axes, keepdims=True)
    std = np.sqrt((xc**2).mean(axes, keepdims=True) + eps)
    xhat = xc / std
    g = dy * weight
    dx = g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True)
    return dx / std, (dy * xhat).sum(lead(x, normalized_shape))


@bad(RMSB, "dx without the weight")
def rmsb_w04(dy, x, normalized_shape, weight, eps=1e-5):
    r = rms(x, normalized_shape, eps)
    xhat = x / r
    inner = np.mean(dy * xhat, axis=last(x, normalized_shape), keepdims=True)
    return (dy - xhat * inner) / r, np.sum(dy * xhat, axis=lead(x, normalized_shape))


@bad(RMSB, "the weight multiplied last, outside of the projection")
def rmsb_w05(dy, x, normalized_shape, weight, eps=1e-5):
    r = rms(x, normalized_shape, eps)
    xhat = x / r
    inner = np.mean(dy * xhat, axis=last(x, normalized_shape), keepdims=True)
    dx = weight * (dy - xhat * inner) / r
    return dx, np.sum(dy * xhat, axis=lead(x, normalized_shape))


@bad(RMSB, "the sign of the derivative of 1/r")
def rmsb_w06(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    r = rms(x, normalized_shape, eps)
    g = weight * dy
    dx = g / r + x * (g * x).mean(axes, keepdims=True) / r**3
    return dx, (dy * x / r).sum(lead(x, normalized_shape))


@bad(RMSB, "the 1/D of the mean forgotten: a sum in the projection")
def rmsb_w07(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    r = rms(x, normalized_shape, eps)
    xhat, g = x / r, weight * dy
    dx = (g - xhat * (g * xhat).sum(axes, keepdims=True)) / r
    return dx, (dy * xhat).sum(lead(x, normalized_shape))


@bad(RMSB, "dweight with x in the place of x / r")
def rmsb_w08(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    r = rms(x, normalized_shape, eps)
    xhat, g = x / r, weight * dy
    dx = (g - xhat * (g * xhat).mean(axes, keepdims=True)) / r
    return dx, (dy * x).sum(lead(x, normalized_shape))


@bad(RMSB, "dweight summed over axis 0 only: the tokens' axis stays")
def rmsb_w09(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    r = rms(x, normalized_shape, eps)
    xhat, g = x / r, weight * dy
    dx = (g - xhat * (g * xhat).mean(axes, keepdims=True)) / r
    return dx, (dy * xhat).sum(axis=0)


@bad(RMSB, "dweight averaged over the samples, not summed")
def rmsb_w10(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    r = rms(x, normalized_shape, eps)
    xhat, g = x / r, weight * dy
    dx = (g - xhat * (g * xhat).mean(axes, keepdims=True)) / r
    return dx, (dy * xhat).mean(lead(x, normalized_shape))


@bad(RMSB, "r squared where r cubed belongs: the derivative of 1/r without that of the root")
def rmsb_w11(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    r = rms(x, normalized_shape, eps)
    g = weight * dy
    dx = g / r - x * (g * x).mean(axes, keepdims=True) / r**2
    return dx, (dy * x / r).sum(lead(x, normalized_shape))


@bad(RMSB, "multiplies dy by the weight in place")
def rmsb_w12(dy, x, normalized_shape, weight, eps=1e-5):
    r = rms(x, normalized_shape, eps)
    xhat = x / r
    dweight = (dy * xhat).sum(lead(x, normalized_shape))
    dy *= weight
    inner = (dy * xhat).mean(last(x, normalized_shape), keepdims=True)
    return (dy - xhat * inner) / r, dweight


@bad(RMSB, "the diagonal of the Jacobian only: each y as a function of its own x")
def rmsb_w13(dy, x, normalized_shape, weight, eps=1e-5):
    r = rms(x, normalized_shape, eps)
    dx = weight * dy * (1 / r - x**2 / (weight.size * r**3))
    return dx, (dy * x / r).sum(lead(x, normalized_shape))


@bad(RMSB, "the root's 1/2 forgotten, and dweight holds the weight once more", 2)
def rmsb_w14(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    r = rms(x, normalized_shape, eps)
    xhat, g = x / r, weight * dy
    dx = (g - 2 * xhat * (g * xhat).mean(axes, keepdims=True)) / r
    return dx, (g * xhat).sum(lead(x, normalized_shape))


@good(RMSB)
def rmsb_r01(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    r = rms(x, normalized_shape, eps)
    xhat, g = x / r, weight * dy
    dx = (g - xhat * (g * xhat).mean(axes, keepdims=True)) / r
    return dx, (dy * xhat).sum(lead(x, normalized_shape))


@good(RMSB)
def rmsb_r02(dy, x, normalized_shape, weight, eps=1e-5):
    d = weight.size
    w = weight.ravel().astype(np.float64)
    dx = np.zeros((x.size // d, d))
    dweight = np.zeros(d)
    for i, (v, g) in enumerate(zip(x.reshape(-1, d), dy.reshape(-1, d), strict=True)):
        v = v.astype(np.float64)
        r = math.sqrt(v @ v / d + eps)
        jacobian = w[:, None] * (np.eye(d) / r - np.outer(v, v) / (d * r**3))
        dx[i] = jacobian.T @ g
        dweight += g * v / r
    return dx.reshape(x.shape).astype(x.dtype), dweight.reshape(weight.shape).astype(x.dtype)


@good(RMSB)
def rmsb_r03(dy, x, normalized_shape, weight, eps=1e-5):
    d = weight.size
    v, g, w = x.reshape(-1, d), dy.reshape(-1, d), weight.ravel()
    s = 1 / np.sqrt(np.einsum("nd,nd->n", v, v) / d + eps)
    dot = np.einsum("nd,nd,d->n", v, g, w) / d
    dx = np.einsum("n,nd,d->nd", s, g, w) - np.einsum("n,nd->nd", dot * s**3, v)
    return dx.reshape(x.shape), np.einsum("nd,nd,n->d", g, v, s).reshape(weight.shape)


@good(RMSB)
def rmsb_r04(dy, x, normalized_shape, weight, eps=1e-5):
    axes = last(x, normalized_shape)
    # forward
    sq = x * x
    ms = sq.mean(axis=axes, keepdims=True)
    r = np.sqrt(ms + eps)
    inv = 1 / r
    xhat = x * inv
    # backward
    dweight = (dy * xhat).sum(axis=lead(x, normalized_shape))
    dxhat = dy * weight
    dinv = (dxhat * x).sum(axis=axes, keepdims=True)
    dr = -dinv / r**2
    dms = dr / (2 * r)
    dsq = np.broadcast_to(dms / weight.size, x.shape)
    return dxhat * inv + 2 * x * dsq, dweight


@good(RMSB)
def rmsb_r05(dy, x, normalized_shape, weight, eps=1e-5):
    d = weight.size
    v = x.astype(np.float64).reshape(-1, d)
    g = (dy * weight).astype(np.float64).reshape(-1, d)
    length2 = (v * v).sum(1, keepdims=True)
    r = np.sqrt(length2 / d + eps)
    along = (g * v).sum(1, keepdims=True) / np.where(length2 > 0, length2, 1) * v
    dx = (g - along) / r + along * eps / r**3
    dweight = (dy.reshape(-1, d) * v / r).sum(0)
    return dx.astype(x.dtype).reshape(x.shape), dweight.astype(x.dtype).reshape(weight.shape)


# =====================================================================  to_rms_norm


@bad(TO, "bias forgotten: b_read stays as it was")
def to_w01(weight, bias, W_read, b_read, W_write, b_write):
    W_write = W_write - W_write.mean(axis=0)
    return W_read * weight, b_read.copy(), W_write, b_write - b_write.mean()


@bad(TO, "bias goes through the matrix that has the weight in it already")
def to_w02(weight, bias, W_read, b_read, W_write, b_write):
    W_read = W_read * weight
    b_read = b_read + W_read @ bias
    return W_read, b_read, W_write - W_write.mean(axis=0), b_write - b_write.mean()


@bad(TO, "W_write centred along its rows, over the hidden units")
def to_w03(weight, bias, W_read, b_read, W_write, b_write):
    b_read = b_read + W_read @ bias
    W_write = W_write - W_write.mean(axis=1, keepdims=True)
    return W_read * weight, b_read, W_write, b_write - b_write.mean()


@bad(TO, "b_write not centred")
def to_w04(weight, bias, W_read, b_read, W_write, b_write):
    W_write = W_write - W_write.mean(axis=0, keepdims=True)
    return W_read @ np.diag(weight), b_read + W_read @ bias, W_write, b_write.copy()


@bad(TO, "W_write not centred, only its bias")
def to_w05(weight, bias, W_read, b_read, W_write, b_write):
    b_write = b_write - b_write.mean()
    return W_read * weight, b_read + W_read @ bias, W_write.copy(), b_write


@bad(TO, "W_read centred too, though x has mean 0 already: more than is needed")
def to_w06(weight, bias, W_read, b_read, W_write, b_write):
    b_read = b_read + W_read @ bias
    W_read = W_read * weight
    W_read = W_read - W_read.mean(axis=1, keepdims=True)
    return W_read, b_read, W_write - W_write.mean(axis=0), b_write - b_write.mean()


@bad(TO, "one mean for the whole of W_write")
def to_w07(weight, bias, W_read, b_read, W_write, b_write):
    b_read = b_read + W_read @ bias
    return W_read * weight, b_read, W_write - np.mean(W_write), b_write - np.mean(b_write)


@bad(TO, "works in place and so changes the block that is converted")
def to_w08(weight, bias, W_read, b_read, W_write, b_write):
    b_read += W_read @ bias
    W_read *= weight
    W_write -= W_write.mean(axis=0)
    b_write -= b_write.mean()
    return W_read, b_read, W_write, b_write


@bad(TO, "the read side only: the mean of what is written is not thought of", 2)
def to_w09(weight, bias, W_read, b_read, W_write, b_write):
    return W_read * weight, b_read + W_read @ bias, W_write.copy(), b_write.copy()


@bad(TO, "W_write standardized like a normalized layer: centred, then divided by its deviation")
def to_w10(weight, bias, W_read, b_read, W_write, b_write):
    b_read = b_read + W_read @ bias
    W_write = (W_write - W_write.mean(axis=0)) / W_write.std(axis=0)
    return W_read * weight, b_read, W_write, b_write - b_write.mean()


@bad(TO, "bias multiplied by the weight, and b_write not centred", 2)
def to_w11(weight, bias, W_read, b_read, W_write, b_write):
    b_read = b_read + W_read @ (weight * bias)
    return W_read * weight, b_read, W_write - W_write.mean(axis=0), b_write.copy()


@good(TO)
def to_r01(weight, bias, W_read, b_read, W_write, b_write):
    d = len(weight)
    centre = np.eye(d, dtype=weight.dtype) - np.full((d, d), 1 / d, dtype=weight.dtype)
    return W_read @ np.diag(weight), W_read @ bias + b_read, centre @ W_write, centre @ b_write


@good(TO)
def to_r02(weight, bias, W_read, b_read, W_write, b_write):
    W_read2, b_read2 = W_read.copy(), b_read.copy()
    W_write2, b_write2 = W_write.copy(), b_write.copy()
    hidden, features = W_read.shape
    for h in range(hidden):
        for j in range(features):
            W_read2[h, j] = W_read[h, j] * weight[j]
            b_read2[h] += W_read[h, j] * bias[j]
        W_write2[:, h] -= W_write[:, h].sum() / np.float32(features)
    b_write2 -= b_write.sum() / np.float32(features)
    return W_read2, b_read2, W_write2, b_write2


@good(TO)
def to_r03(weight, bias, W_read, b_read, W_write, b_write):
    def read(z):
        return W_read.astype(np.float64) @ (weight * z + bias) + b_read

    def write(h):
        out = W_write.astype(np.float64) @ h + b_write
        return out - out.mean()

    def columns(f, n):
        at0 = f(np.zeros(n))
        matrix = np.stack([f(e) - at0 for e in np.eye(n)], axis=1)
        return matrix.astype(weight.dtype), at0.astype(weight.dtype)

    return *columns(read, len(weight)), *columns(write, len(b_read))
