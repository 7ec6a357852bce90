"""What students write for switchable normalization: 52 wrong attempts and 10 right ones."""

import numpy as np
from attempts import bad, good

STA, SWN = "three_statistics", "switchable_norm"
SHB, SWI = "shares_backward", "switchable_norm_inference"


def softmax(z):
    e = np.exp(z - np.max(z))
    return e / e.sum()


def chan(p, x):
    return np.reshape(p, (1, -1) + (1,) * (x.ndim - 2))


def axes(x):
    sp = tuple(range(2, x.ndim))
    return sp, (1, *sp), (0, *sp)


# =====================================================================  three_statistics


@bad(STA, "layer's and batch's variance: the plain mean of the instances'")
def sta_w01(x):
    f = x.reshape(x.shape[0], x.shape[1], -1)
    mu, var = f.mean(-1), f.var(-1)
    return (
        mu,
        mu.mean(1, keepdims=True),
        mu.mean(0, keepdims=True),
        var,
        var.mean(1, keepdims=True),
        var.mean(0, keepdims=True),
    )


@bad(STA, "as the official code: E[x^2] kept and E[x]^2 subtracted")
def sta_w02(x):
    f = x.reshape(x.shape[0], x.shape[1], -1)
    mean_in = f.mean(-1)
    var_in = f.var(-1)
    temp = var_in + mean_in**2
    mean_ln = mean_in.mean(1, keepdims=True)
    var_ln = temp.mean(1, keepdims=True) - mean_ln**2
    mean_bn = mean_in.mean(0, keepdims=True)
    var_bn = temp.mean(0, keepdims=True) - mean_bn**2
    return mean_in, mean_ln, mean_bn, var_in, var_ln, var_bn


@bad(STA, "torch's habit: unbiased within the instance")
def sta_w03(x):
    f = x.reshape(x.shape[0], x.shape[1], -1)
    m, v = f.mean(2), f.var(2, ddof=1)
    ml, mb = m.mean(1, keepdims=True), m.mean(0, keepdims=True)
    vl = v.mean(1, keepdims=True) + np.square(m - ml).mean(1, keepdims=True)
    vb = v.mean(0, keepdims=True) + np.square(m - mb).mean(0, keepdims=True)
    return m, ml, mb, v, vl, vb


@bad(STA, "only the variance of the means")
def sta_w04(x):
    f = x.reshape(x.shape[0], x.shape[1], -1)
    m, v = f.mean(2), f.var(2)
    return (
        m,
        m.mean(1)[:, None],
        m.mean(0)[None],
        v,
        m.var(1)[:, None],
        m.var(0)[None],
    )


@bad(STA, "layer and batch taken for each other")
def sta_w05(x):
    f = x.reshape(x.shape[0], x.shape[1], -1)
    m, v = f.mean(2), f.var(2)
    ln = m.mean(0, keepdims=True), v.mean(0, keepdims=True) + m.var(0, keepdims=True)
    bn = m.mean(1, keepdims=True), v.mean(1, keepdims=True) + m.var(1, keepdims=True)
    return m, ln[0], bn[0], v, ln[1], bn[1]


@bad(STA, "no keepdims at the end")
def sta_w06(x):
    f = x.reshape(x.shape[0], x.shape[1], -1)
    m, v = f.mean(2), f.var(2)
    return m, m.mean(1), m.mean(0), v, v.mean(1) + m.var(1), v.mean(0) + m.var(0)


@bad(STA, "mean and variance side by side")
def sta_w07(x):
    f = x.reshape(x.shape[0], x.shape[1], -1)
    out = []
    for ax in (2, (1, 2), (0, 2)):
        out += [f.mean(ax, keepdims=True)[..., 0], f.var(ax, keepdims=True)[..., 0]]
    return tuple(out)


@bad(STA, "for images only")
def sta_w08(x):
    res = [f(ax, keepdims=True) for f in (x.mean, x.var) for ax in ((2, 3), (1, 2, 3), (0, 2, 3))]
    n, c = x.shape[:2]
    return tuple(r.reshape(s) for r, s in zip(res, [(n, c), (n, 1), (1, c)] * 2, strict=True))


@bad(STA, "standard deviations, which go into the sum as they are")
def sta_w09(x):
    f = x.reshape(x.shape[0], x.shape[1], -1)
    m, s = f.mean(2), f.std(2)
    ml, mb = m.mean(1, keepdims=True), m.mean(0, keepdims=True)
    sl = np.sqrt(np.mean(s**2 + (m - ml) ** 2, 1, keepdims=True))
    sb = np.sqrt(np.mean(s**2 + (m - mb) ** 2, 0, keepdims=True))
    return m, ml, mb, s, sl, sb


@bad(STA, "np.var with ddof=1 for the means' spread as well")
def sta_w10(x):
    f = x.reshape(x.shape[0], x.shape[1], -1)
    m, v = f.mean(2), f.var(2)
    vl = v.mean(1, keepdims=True) + np.var(m, axis=1, ddof=1, keepdims=True)
    vb = v.mean(0, keepdims=True) + np.var(m, axis=0, ddof=1, keepdims=True)
    return m, m.mean(1, keepdims=True), m.mean(0, keepdims=True), v, vl, vb


@good(STA)
def sta_r01(x):
    n, c = x.shape[:2]
    f = x.reshape(n, c, -1)
    count = f.shape[-1]
    mu = f.sum(-1) / np.float32(count)
    ss = ((f - mu[..., None]) ** 2).sum(-1)
    ln, bn = mu.sum(1, keepdims=True) / c, mu.sum(0, keepdims=True) / n
    ss_ln = ss.sum(1, keepdims=True) + count * ((mu - ln) ** 2).sum(1, keepdims=True)
    ss_bn = ss.sum(0, keepdims=True) + count * ((mu - bn) ** 2).sum(0, keepdims=True)
    v = ss / count, ss_ln / (c * count), ss_bn / (n * count)
    return tuple(a.astype(x.dtype) for a in (mu, ln, bn, *v))


@good(STA)
def sta_r02(x):
    """Chan's formula, one instance after the other."""
    n, c = x.shape[:2]
    f = x.reshape(n, c, -1).astype(float)
    mu, var = f.mean(2), f.var(2)

    def merged(pairs):
        m, v = 0.0, 0.0
        for k, (mean, variance) in enumerate(pairs):
            d = mean - m
            v = (k * v + variance + d * d * k / (k + 1)) / (k + 1)
            m += d / (k + 1)
        return m, v

    ln = np.array([merged(zip(mu[i], var[i], strict=True)) for i in range(n)])
    bn = np.array([merged(zip(mu[:, j], var[:, j], strict=True)) for j in range(c)])
    out = mu, ln[:, :1], bn[:, 0][None], var, ln[:, 1:], bn[:, 1][None]
    return [np.float32(a) for a in out]


@good(STA)
def sta_r03(x):
    x = np.atleast_3d(x) if x.ndim > 2 else x[..., np.newaxis]
    x = np.stack([[np.ravel(ch) for ch in sample] for sample in x])
    m, v = np.mean(x, -1), np.var(x, -1)
    both = [(np.mean(m, a, keepdims=True), np.mean(v, a, keepdims=True)) for a in (1, 0)]
    both = [(a, b + np.var(m, k, keepdims=True)) for k, (a, b) in zip((1, 0), both, strict=True)]
    return m, both[0][0], both[1][0], v, both[0][1], both[1][1]


# =====================================================================  switchable_norm


@bad(SWN, "one set of shares for both")
def swn_w01(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p = softmax(mean_weight)
    mu = sum(p[k] * x.mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    var = sum(p[k] * x.var(a, keepdims=True) for k, a in enumerate(axes(x)))
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWN, "the logits are used as they are")
def swn_w02(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    mu = sum(w * x.mean(a, keepdims=True) for w, a in zip(mean_weight, axes(x), strict=True))
    var = sum(w * x.var(a, keepdims=True) for w, a in zip(var_weight, axes(x), strict=True))
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWN, "order batch, instance, layer")
def swn_w03(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    sp, rest, batch = axes(x)
    mu, var = 0, 0
    for k, a in enumerate([batch, sp, rest]):
        mu = mu + p[k] * x.mean(a, keepdims=True)
        var = var + q[k] * x.var(a, keepdims=True)
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWN, "the three outputs are mixed, with the means' shares")
def swn_w04(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p = softmax(mean_weight)
    y = 0
    for k, a in enumerate(axes(x)):
        m, v = x.mean(a, keepdims=True), x.var(a, keepdims=True)
        y = y + p[k] * (x - m) / np.sqrt(v + eps)
    return chan(weight, x) * y + chan(bias, x)


@bad(SWN, "each part divided by its own root: two mixtures, then their quotient")
def swn_w05(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mu = sum(p[k] * x.mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    sd = sum(q[k] * np.sqrt(x.var(a, keepdims=True) + eps) for k, a in enumerate(axes(x)))
    return chan(weight, x) * (x - mu) / sd + chan(bias, x)


@bad(SWN, "np.std mixed, eps at the end")
def swn_w06(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mu = sum(p[k] * x.mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    sd = sum(q[k] * x.std(a, keepdims=True) for k, a in enumerate(axes(x)))
    return chan(weight, x) * (x - mu) / (sd + eps) + chan(bias, x)


@bad(SWN, "layer's variance from the instances' without that of their means")
def swn_w07(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    i, _, b = axes(x)
    m, v = x.mean(i, keepdims=True), x.var(i, keepdims=True)
    mu = p[0] * m + p[1] * m.mean(1, keepdims=True) + p[2] * m.mean(0, keepdims=True)
    var = q[0] * v + q[1] * v.mean(1, keepdims=True) + q[2] * x.var(b, keepdims=True)
    return (x - mu) / np.sqrt(var + eps) * chan(weight, x) + chan(bias, x)


@bad(SWN, "both of them without it")
def swn_w08(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    i = axes(x)[0]
    m, v = x.mean(i, keepdims=True), x.var(i, keepdims=True)
    mu = p[0] * m + p[1] * m.mean(1, keepdims=True) + p[2] * m.mean(0, keepdims=True)
    var = q[0] * v + q[1] * v.mean(1, keepdims=True) + q[2] * v.mean(0, keepdims=True)
    return (x - mu) / np.sqrt(var + eps) * chan(weight, x) + chan(bias, x)


@bad(SWN, "the official code's numbers: unbiased instances and E[x^2]")
def swn_w09(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    n, c = x.shape[:2]
    f = x.reshape(n, c, -1)
    mean_in, var_in = f.mean(-1, keepdims=True), f.var(-1, ddof=1, keepdims=True)
    mean_ln = mean_in.mean(1, keepdims=True)
    temp = var_in + mean_in**2
    var_ln = temp.mean(1, keepdims=True) - mean_ln**2
    mean_bn = mean_in.mean(0, keepdims=True)
    var_bn = temp.mean(0, keepdims=True) - mean_bn**2
    p, q = softmax(mean_weight), softmax(var_weight)
    mean = p[0] * mean_in + p[1] * mean_ln + p[2] * mean_bn
    var = q[0] * var_in + q[1] * var_ln + q[2] * var_bn
    y = ((f - mean) / np.sqrt(var + eps)).reshape(x.shape)
    return y * chan(weight, x) + chan(bias, x)


@bad(SWN, "softmax over a stack of both: along the wrong axis")
def swn_w10(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    e = np.exp(np.stack([mean_weight, var_weight]))
    p, q = e / e.sum(axis=0)
    mu = sum(p[k] * x.mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    var = sum(q[k] * x.var(a, keepdims=True) for k, a in enumerate(axes(x)))
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWN, "softmax of six")
def swn_w11(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    e = np.exp(np.stack([mean_weight, var_weight]))
    p, q = e / e.sum()
    mu = sum(p[k] * x.mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    var = sum(q[k] * x.var(a, keepdims=True) for k, a in enumerate(axes(x)))
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWN, "the layer's statistics over the whole array: x.mean()")
def swn_w12(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    sp = axes(x)[0]
    mu = p[0] * x.mean(sp, keepdims=True) + p[1] * x.mean() + p[2] * x.mean((0, *sp), keepdims=True)
    var = q[0] * x.var(sp, keepdims=True) + q[1] * x.var() + q[2] * x.var((0, *sp), keepdims=True)
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWN, "eps in each variance and under the root again")
def swn_w13(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mu = sum(p[k] * x.mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    var = sum(q[k] * (x.var(a, keepdims=True) + eps) for k, a in enumerate(axes(x)))
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWN, "variances around the mixed mean")
def swn_w14(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mu = sum(p[k] * x.mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    d = x - mu
    var = sum(q[k] * (d * d).mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    return chan(weight, x) * d / np.sqrt(var + eps) + chan(bias, x)


@bad(SWN, "squared shares for the variances, as for a sum of independent parts")
def swn_w15(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mu = sum(p[k] * x.mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    var = sum(q[k] ** 2 * x.var(a, keepdims=True) for k, a in enumerate(axes(x)))
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@good(SWN)
def swn_r01(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    w = np.exp(mean_weight) / np.sum(np.exp(mean_weight))
    v = np.exp(var_weight) / np.sum(np.exp(var_weight))
    out = np.zeros_like(x)
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            m = np.dot(w, [x[n, c].mean(), x[n].mean(), x[:, c].mean()])
            s = np.dot(v, [x[n, c].var(), x[n].var(), x[:, c].var()])
            out[n, c] = (x[n, c] - m) / (s + eps) ** 0.5 * weight[c] + bias[c]
    return out


@good(SWN)
def swn_r02(x, mean_weight, var_weight, weight, bias, eps=1e-5):
    shape = x.shape
    x = x.reshape(*shape[:2], -1)
    m, v = x.mean(2, keepdims=True), x.var(2, keepdims=True)
    ml, mb = m.mean(1, keepdims=True), m.mean(0, keepdims=True)
    means = np.stack(np.broadcast_arrays(m, ml, mb), -1)
    varis = np.stack(
        np.broadcast_arrays(
            v,
            (v + (m - ml) ** 2).mean(1, keepdims=True),
            (v + (m - mb) ** 2).mean(0, keepdims=True),
        ),
        -1,
    )
    y = (x - means @ softmax(mean_weight)) / np.sqrt(varis @ softmax(var_weight) + eps)
    return (y * weight[:, None] + bias[:, None]).reshape(shape)


# =====================================================================  shares_backward


def forward(x, mean_weight, var_weight, eps):
    p, q = softmax(mean_weight), softmax(var_weight)
    mus = [x.mean(a, keepdims=True) for a in axes(x)]
    vs = [x.var(a, keepdims=True) for a in axes(x)]
    mu = sum(a * b for a, b in zip(p, mus, strict=True))
    var = sum(a * b for a, b in zip(q, vs, strict=True))
    return p, q, mus, vs, x - mu, 1 / np.sqrt(var + eps)


def jac(p, d):
    return (np.diag(p) - np.outer(p, p)) @ d


@bad(SHB, "stops at the shares")
def shb_w01(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    _, _, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).sum() for v in vs])
    return dp, dq


@bad(SHB, "softmax as if each share depended on its own logit")
def shb_w02(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).sum() for v in vs])
    return p * (1 - p) * dp, q * (1 - q) * dq


@bad(SHB, "gamma is not there")
def shb_w03(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    dp = np.array([-(dy * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (dy * c * r**3 * v).sum() for v in vs])
    return jac(p, dp), jac(q, dq)


@bad(SHB, "no half")
def shb_w04(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-(g * c * r**3 * v).sum() for v in vs])
    return jac(p, dp), jac(q, dq)


@bad(SHB, "signs: both mean and variance as if added")
def shb_w05(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    dp = np.array([(g * r * m).sum() for m in mus])
    dq = np.array([0.5 * (g * c * r**3 * v).sum() for v in vs])
    return jac(p, dp), jac(q, dq)


@bad(SHB, "xhat instead of x - mu in front of r^3")
def shb_w06(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    xhat = c * r
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (g * xhat * r**3 * v).sum() for v in vs])
    return jac(p, dp), jac(q, dq)


@bad(SHB, "the derivative of the root: r instead of r^3")
def shb_w07(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (g * c * r * v).sum() for v in vs])
    return jac(p, dp), jac(q, dq)


@bad(SHB, "the same shares in both Jacobians")
def shb_w08(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, _, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).sum() for v in vs])
    return jac(p, dp), jac(p, dq)


@bad(SHB, "means over the batch")
def shb_w09(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    dp = np.array([-(g * r * m).mean() for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).mean() for v in vs])
    return jac(p, dp), jac(q, dq)


@bad(SHB, "divided by N")
def shb_w10(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x) / len(x)
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).sum() for v in vs])
    return jac(p, dp), jac(q, dq)


@bad(SHB, "the batch's root and mean in place of the mixture's")
def shb_w11(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, _, _ = forward(x, mean_weight, var_weight, eps)
    c, r = x - mus[2], 1 / np.sqrt(vs[2] + eps)
    g = dy * chan(weight, x)
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).sum() for v in vs])
    return jac(p, dp), jac(q, dq)


@bad(SHB, "each statistic with its own root and mean, as for mixed outputs")
def shb_w12(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    g = dy * chan(weight, x)
    dp, dq = np.zeros(3), np.zeros(3)
    for k, a in enumerate(axes(x)):
        m, v = x.mean(a, keepdims=True), x.var(a, keepdims=True)
        r = (v + eps) ** -0.5
        dp[k] = -(g * r * m).sum()
        dq[k] = -0.5 * (g * (x - m) * r**3 * v).sum()
    return jac(p, dp), jac(q, dq)


@bad(SHB, "cross-entropy's gradient in mind: p - something")
def shb_w13(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).sum() for v in vs])
    return p - dp, q - dq


@bad(SHB, "dvar first")
def shb_w14(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    dp = np.array([-(g * r * m).sum() for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).sum() for v in vs])
    return jac(q, dq), jac(p, dp)


@bad(SHB, "gradients per channel, not summed over channels")
def shb_w15(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    a = axes(x)[2]
    dp = np.array([-(g * r * m).sum(a) for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).sum(a) for v in vs])
    return jac(p, dp), jac(q, dq)


@bad(SHB, "a sum over samples and positions and a mean over channels")
def shb_w16(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    g = dy * chan(weight, x)
    a = axes(x)[2]
    dp = np.array([-(g * r * m).sum(a).mean() for m in mus])
    dq = np.array([-0.5 * (g * c * r**3 * v).sum(a).mean() for v in vs])
    return jac(p, dp), jac(q, dq)


@good(SHB)
def shb_r01(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    """Only differences from the mixture, so that no common part is left."""
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    mu, var = x - c, 1 / r**2 - np.float32(eps)
    h = dy * chan(weight, x) * r
    dm = [-w * (h * (m - mu)).sum() for w, m in zip(p, mus, strict=True)]
    dv = [-w / 2 * (h * r * r * c * (v - var)).sum() for w, v in zip(q, vs, strict=True)]
    return np.float32(dm), np.float32(dv)


@good(SHB)
def shb_r02(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    """What reaches the mixture is first summed over each instance."""
    p, q, mus, vs, c, r = forward(x, mean_weight, var_weight, eps)
    sp = axes(x)[0]
    g = dy * chan(weight, x)
    a = -(g.sum(sp, keepdims=True) * r)
    b = -0.5 * (g * c).sum(sp, keepdims=True) * r**3
    dp = [float((a * m).sum()) for m in mus]
    dq = [float((b * v).sum()) for v in vs]
    return jac(p, dp).astype(x.dtype), jac(q, dq).astype(x.dtype)


@good(SHB)
def shb_r03(dy, x, mean_weight, var_weight, weight, eps=1e-5):
    """By central differences in float64."""
    x, dy, weight = x.astype(float), dy.astype(float), weight.astype(float)
    out = []
    for which in (0, 1):
        d = np.zeros(3)
        for k in range(3):
            up = [mean_weight.astype(float), var_weight.astype(float)]
            down = [a.copy() for a in up]
            up[which][k] += 1e-5
            down[which][k] -= 1e-5
            (*_, c1, r1), (*_, c2, r2) = forward(x, *up, eps), forward(x, *down, eps)
            d[k] = (dy * chan(weight, x) * (c1 * r1 - c2 * r2)).sum() / 2e-5
        out.append(d.astype(np.float32))
    return tuple(out)


# =====================================================================  inference


@bad(SWI, "training's statistics, running ones not looked at")
def swi_w01(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mu = sum(p[k] * x.mean(a, keepdims=True) for k, a in enumerate(axes(x)))
    var = sum(q[k] * x.var(a, keepdims=True) for k, a in enumerate(axes(x)))
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWI, "batch norm's inference")
def swi_w02(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    xhat = (x - chan(running_mean, x)) / np.sqrt(chan(running_var, x) + eps)
    return chan(weight, x) * xhat + chan(bias, x)


def own(x):
    pair = axes(x)[:2]
    return *(x.mean(a, keepdims=True) for a in pair), *(x.var(a, keepdims=True) for a in pair)


@bad(SWI, "running_var is taken for a standard deviation")
def swi_w03(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mi, ml, vi, vl = own(x)
    mu = p[0] * mi + p[1] * ml + p[2] * chan(running_mean, x)
    var = q[0] * vi + q[1] * vl + q[2] * chan(running_var, x) ** 2
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWI, "running mean used, variance of the batch")
def swi_w04(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mi, ml, vi, vl = own(x)
    mu = p[0] * mi + p[1] * ml + p[2] * chan(running_mean, x)
    var = q[0] * vi + q[1] * vl + q[2] * x.var(axes(x)[2], keepdims=True)
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWI, "moves the running statistics in place, then uses them")
def swi_w05(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    b = axes(x)[2]
    running_mean += 0.1 * (x.mean(b) - running_mean)
    running_var += 0.1 * (x.var(b) - running_var)
    p, q = softmax(mean_weight), softmax(var_weight)
    mi, ml, vi, vl = own(x)
    mu = p[0] * mi + p[1] * ml + p[2] * chan(running_mean, x)
    var = q[0] * vi + q[1] * vl + q[2] * chan(running_var, x)
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWI, "the same on copies")
def swi_w06(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    b = axes(x)[2]
    running_mean = 0.9 * running_mean + 0.1 * x.mean(b)
    running_var = 0.9 * running_var + 0.1 * x.var(b)
    p, q = softmax(mean_weight), softmax(var_weight)
    mi, ml, vi, vl = own(x)
    mu = p[0] * mi + p[1] * ml + p[2] * chan(running_mean, x)
    var = q[0] * vi + q[1] * vl + q[2] * chan(running_var, x)
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWI, "no reshape of the running vectors")
def swi_w07(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mi, ml, vi, vl = own(x)
    mu = p[0] * mi + p[1] * ml + p[2] * running_mean
    var = q[0] * vi + q[1] * vl + q[2] * running_var
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWI, "only the layer and the instance, shares made to add up to 1 again")
def swi_w08(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight[:2]), softmax(var_weight[:2])
    mi, ml, vi, vl = own(x)
    mu = p[0] * mi + p[1] * ml
    var = q[0] * vi + q[1] * vl
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWI, "the running statistics stand for instance and batch: both were 'per channel'")
def swi_w09(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    _, ml, _, vl = own(x)
    mu = (p[0] + p[2]) * chan(running_mean, x) + p[1] * ml
    var = (q[0] + q[2]) * chan(running_var, x) + q[1] * vl
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@bad(SWI, "mixes outputs: batch norm's inference and the two others")
def swi_w10(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p = softmax(mean_weight)
    mi, ml, vi, vl = own(x)
    y = p[0] * (x - mi) / np.sqrt(vi + eps) + p[1] * (x - ml) / np.sqrt(vl + eps)
    y = y + p[2] * (x - chan(running_mean, x)) / np.sqrt(chan(running_var, x) + eps)
    return chan(weight, x) * y + chan(bias, x)


@bad(SWI, "running variance biased before it is used: times (n - 1)/n, unbiased instances")
def swi_w11(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mi, ml, vi, vl = own(x)
    n = x.size / x.shape[1]
    mu = p[0] * mi + p[1] * ml + p[2] * chan(running_mean, x)
    var = q[0] * vi + q[1] * vl + q[2] * chan(running_var, x) * np.float32((n - 1) / n)
    return chan(weight, x) * (x - mu) / np.sqrt(var + eps) + chan(bias, x)


@good(SWI)
def swi_r01(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    out = []
    for s in x:
        rows = s.reshape(len(s), -1)
        m = p[0] * rows.mean(1) + p[1] * rows.mean() + p[2] * running_mean
        v = q[0] * rows.var(1) + q[1] * rows.var() + q[2] * running_var
        y = (rows - m[:, None]) * (weight / np.sqrt(v + eps))[:, None] + bias[:, None]
        out.append(y.reshape(s.shape))
    return np.array(out)


@good(SWI)
def swi_r02(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps=1e-5):
    p, q = softmax(mean_weight), softmax(var_weight)
    mi, ml, vi, vl = own(x)
    mu = np.einsum("k,k...->...", p, np.stack(np.broadcast_arrays(mi, ml, chan(running_mean, x))))
    var = np.einsum("k,k...->...", q, np.stack(np.broadcast_arrays(vi, vl, chan(running_var, x))))
    return np.multiply((x - mu) * (var + eps) ** -0.5, chan(weight, x)) + chan(bias, x)
