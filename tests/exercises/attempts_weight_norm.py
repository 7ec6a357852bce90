"""What students write for weight normalization: 61 wrong attempts and 11 right ones."""

import math

import numpy as np
import torch
from attempts import bad, good

WN, WNB = "weight_norm", "weight_norm_backward"
INIT, FOLD = "weight_norm_init", "fold_weight_norm"


def others(v, dim):
    """The axes of one vector, with torch's -1 for all."""
    if dim is None or dim == -1:
        return tuple(range(v.ndim))
    return tuple(a for a in range(v.ndim) if a != dim % v.ndim)


def length(v, dim):
    return np.sqrt((v * v).sum(others(v, dim), keepdims=True))


# =====================================================================  weight_norm


@bad(WN, "one norm for the whole tensor: np.linalg.norm without an axis")
def wn_w01(v, g, dim=0):
    return g * v / np.linalg.norm(v)


@bad(WN, "norm along dim instead of over the others")
def wn_w02(v, g, dim=0):
    if dim is None or dim == -1:
        return g * v / np.linalg.norm(v)
    return g * v / np.sqrt((v**2).sum(dim, keepdims=True))


@bad(WN, "dim = -1 is the last axis, as everywhere else in NumPy")
def wn_w03(v, g, dim=0):
    keep = () if dim is None else (dim % v.ndim,)
    axes = tuple(a for a in range(v.ndim) if a not in keep)
    return g * v / np.sqrt((v**2).sum(axes, keepdims=True))


@bad(WN, "a negative dim is never met by the loop, so all axes are summed")
def wn_w04(v, g, dim=0):
    axes = tuple(a for a in range(v.ndim) if a != dim)
    return g * v / np.sqrt((v**2).sum(axes, keepdims=True))


@bad(WN, "dim ignored: rows are vectors, whatever was asked for")
def wn_w05(v, g, dim=0):
    rows = v.reshape(len(v), -1)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return g * unit.reshape(v.shape)


@bad(WN, "the square root is forgotten")
def wn_w06(v, g, dim=0):
    return g * v / (v * v).sum(others(v, dim), keepdims=True)


@bad(WN, "an epsilon for safety inside the root")
def wn_w07(v, g, dim=0):
    return g * v / np.sqrt((v * v).sum(others(v, dim), keepdims=True) + 1e-8)


@bad(WN, "root mean square: np.mean where the sum belongs")
def wn_w08(v, g, dim=0):
    return g * v / np.sqrt((v * v).mean(others(v, dim), keepdims=True))


@bad(WN, "np.std, so the mean of the weights is taken away in the root")
def wn_w09(v, g, dim=0):
    return g * v / v.std(others(v, dim), keepdims=True)


@bad(WN, "weight standardization: centred, then divided by the norm of what is left")
def wn_w10(v, g, dim=0):
    c = v - v.mean(others(v, dim), keepdims=True)
    return g * c / length(c, dim)


@bad(WN, "a length is positive, so g is made positive")
def wn_w11(v, g, dim=0):
    return abs(g) * v / length(v, dim)


@bad(WN, "g is the logarithm of the length")
def wn_w12(v, g, dim=0):
    return np.exp(g) * v / length(v, dim)


@bad(WN, "divides in place")
def wn_w13(v, g, dim=0):
    v /= length(v, dim)
    return g * v


@bad(WN, "sum of absolute values, and |g|", 2)
def wn_w14(v, g, dim=0):
    return abs(g) * v / abs(v).sum(others(v, dim), keepdims=True)


@bad(WN, "rescales only vectors that are longer than g")
def wn_w15(v, g, dim=0):
    return v * np.minimum(1, abs(g) / length(v, dim))


@bad(WN, "g is left out: unit vectors")
def wn_w16(v, g, dim=0):
    return v / length(v, dim)


@good(WN)
def wn_r01(v, g, dim=0):
    return g * v / length(v, dim)


@good(WN)
def wn_r02(v, g, dim=0):
    # rows of a matrix, one at a time
    if dim is None or dim == -1:
        return (v * (float(g) / math.sqrt(sum(float(a) ** 2 for a in v.flat)))).astype(v.dtype)
    rows = np.moveaxis(v, dim, 0)
    out = [k * row / np.linalg.norm(row) for k, row in zip(g.ravel(), rows, strict=True)]
    return np.moveaxis(np.stack(out), 0, dim)


@good(WN)
def wn_r03(v, g, dim=0):
    return torch._weight_norm(torch.from_numpy(v), torch.from_numpy(g), -1 if dim is None else dim)


# =====================================================================  weight_norm_backward


def back(dw, v, g, dim):
    """norm, v̂, dw · v̂, all with their axes kept, and dg."""
    norm = length(v, dim)
    vhat = v / norm
    along = (dw * vhat).sum(others(v, dim), keepdims=True)
    return norm, vhat, along, along.reshape(g.shape)


@bad(WNB, "the norm is treated as a constant")
def wnb_w01(dw, v, g, dim=0):
    norm, _, _, dg = back(dw, v, g, dim)
    return g * dw / norm, dg


@bad(WNB, "the projection is added")
def wnb_w02(dw, v, g, dim=0):
    norm, vhat, along, dg = back(dw, v, g, dim)
    return g / norm * (dw + along * vhat), dg


@bad(WNB, "v itself in the projection")
def wnb_w03(dw, v, g, dim=0):
    norm, _, _, dg = back(dw, v, g, dim)
    dot = (dw * v).sum(others(v, dim), keepdims=True)
    return g / norm * (dw - dot * v), dg


@bad(WNB, "one power of the norm is missing in the second term")
def wnb_w04(dw, v, g, dim=0):
    norm, _, _, dg = back(dw, v, g, dim)
    dot = (dw * v).sum(others(v, dim), keepdims=True)
    return g * dw / norm - g * dot * v / norm**2, dg


@bad(WNB, "g left out of dv")
def wnb_w05(dw, v, g, dim=0):
    norm, vhat, along, dg = back(dw, v, g, dim)
    return (dw - along * vhat) / norm, dg


@bad(WNB, "dv not divided by the norm")
def wnb_w06(dw, v, g, dim=0):
    _, vhat, along, dg = back(dw, v, g, dim)
    return g * (dw - along * vhat), dg


@bad(WNB, "g only in the first term, as in Δv = g/‖v‖ Δw - Δg/‖v‖ v̂ read too fast")
def wnb_w07(dw, v, g, dim=0):
    norm, vhat, along, dg = back(dw, v, g, dim)
    return g / norm * dw - along / norm * vhat, dg


@bad(WNB, "dg = dw · v")
def wnb_w08(dw, v, g, dim=0):
    norm, vhat, along, _ = back(dw, v, g, dim)
    dg = (dw * v).sum(others(v, dim), keepdims=True)
    return g / norm * (dw - along * vhat), dg.reshape(g.shape)


@bad(WNB, "dg = dw · w")
def wnb_w09(dw, v, g, dim=0):
    norm, vhat, along, dg = back(dw, v, g, dim)
    return g / norm * (dw - along * vhat), g * dg


@bad(WNB, "means in place of both sums")
def wnb_w10(dw, v, g, dim=0):
    norm, vhat, _, _ = back(dw, v, g, dim)
    along = (dw * vhat).mean(others(v, dim), keepdims=True)
    return g / norm * (dw - along * vhat), along.reshape(g.shape)


@bad(WNB, "dg keeps the shape of v")
def wnb_w11(dw, v, g, dim=0):
    norm, vhat, along, _ = back(dw, v, g, dim)
    return g / norm * (dw - along * vhat), dw * vhat


@bad(WNB, "the projection of all vectors together")
def wnb_w12(dw, v, g, dim=0):
    norm, vhat, _, dg = back(dw, v, g, dim)
    return g / norm * (dw - (dw * vhat).sum() * vhat), dg


@bad(WNB, "dg sums one axis only")
def wnb_w13(dw, v, g, dim=0):
    norm, vhat, along, _ = back(dw, v, g, dim)
    return g / norm * (dw - along * vhat), (dw * vhat).sum(-1, keepdims=True)


@bad(WNB, "the results are exchanged")
def wnb_w14(dw, v, g, dim=0):
    norm, vhat, along, dg = back(dw, v, g, dim)
    return dg, g / norm * (dw - along * vhat)


@bad(WNB, "|g| in dv: the sign is lost")
def wnb_w15(dw, v, g, dim=0):
    norm, vhat, along, dg = back(dw, v, g, dim)
    return abs(g) / norm * (dw - along * vhat), dg


@bad(WNB, "the projection is w (dw · w), and dg is not summed with v̂ but with v", 2)
def wnb_w16(dw, v, g, dim=0):
    norm, vhat, along, _ = back(dw, v, g, dim)
    dot = (dw * v).sum(others(v, dim), keepdims=True)
    return g / norm * (dw - g * g * along * vhat), dot.reshape(g.shape)


@bad(WNB, "squared norm below, and no projection", 2)
def wnb_w17(dw, v, g, dim=0):
    norm, _, _, dg = back(dw, v, g, dim)
    return g * dw / norm**2, dg


@good(WNB)
def wnb_r01(dw, v, g, dim=0):
    norm, vhat, along, dg = back(dw, v, g, dim)
    return g / norm * (dw - along * vhat), dg


@good(WNB)
def wnb_r02(dw, v, g, dim=0):
    # the paper's form: dv = g/‖v‖ dw - g dg/‖v‖² v
    norm = length(v, dim)
    dg = (dw * v).sum(others(v, dim), keepdims=True) / norm
    return g / norm * dw - g * dg / norm**2 * v, dg.reshape(g.shape)


@good(WNB)
def wnb_r03(dw, v, g, dim=0):
    # by the derivative of 1/norm as a node of its own
    axes = others(v, dim)
    v, dw, k = v.astype(float), dw.astype(float), g.astype(float)
    r = (v**2).sum(axes, keepdims=True) ** -0.5
    dr = (dw * k * v).sum(axes, keepdims=True)
    return dw * k * r - dr * r**3 * v, ((dw * v).sum(axes, keepdims=True) * r).reshape(g.shape)


# =====================================================================  weight_norm_init


def before(v, x):
    """The pre-activations of unit vectors, as rows, in float64."""
    rows = x.reshape(-1, x.shape[-1]).astype(float)
    return rows @ (v / np.linalg.norm(v, axis=1, keepdims=True)).T


def answer(g, b, like):
    return np.asarray(g, like.dtype).reshape(-1, 1), np.asarray(b, like.dtype).reshape(-1)


@bad(INIT, "divides by the variance")
def init_w01(v, x):
    t = before(v, x)
    return answer(1 / t.var(0), -t.mean(0) / t.var(0), v)


@bad(INIT, "torch's std, which divides by N - 1")
def init_w02(v, x):
    t = torch.from_numpy(before(v, x))
    g = 1 / t.std(0)
    return g[:, None].float(), (-g * t.mean(0)).float()


@bad(INIT, "b is not negated")
def init_w03(v, x):
    t = before(v, x)
    return answer(1 / t.std(0), t.mean(0) / t.std(0), v)


@bad(INIT, "b = -mean, though w is divided by the std")
def init_w04(v, x):
    t = before(v, x)
    return answer(1 / t.std(0), -t.mean(0), v)


@bad(INIT, "the pre-activations of v, not of v/‖v‖")
def init_w05(v, x):
    t = x.reshape(-1, x.shape[-1]).astype(float) @ v.T
    return answer(1 / t.std(0), -t.mean(0) / t.std(0), v)


@bad(INIT, "g is the standard deviation")
def init_w06(v, x):
    t = before(v, x)
    return answer(t.std(0), -t.mean(0) * t.std(0), v)


@bad(INIT, "g starts at the norm of v, b at 0: no data")
def init_w07(v, x):
    return answer(np.linalg.norm(v, axis=1), np.zeros(len(v)), v)


@bad(INIT, "one mean and one std for all outputs")
def init_w08(v, x):
    t = before(v, x)
    return answer(np.full(len(v), 1 / t.std()), np.full(len(v), -t.mean() / t.std()), v)


@bad(INIT, "statistics per sample")
def init_w09(v, x):
    t = before(v, x)
    return answer(1 / t.std(1), -t.mean(1) / t.std(1), v)


@bad(INIT, "the statistics of the first axis only: fails for tokens")
def init_w10(v, x):
    t = x @ (v / np.linalg.norm(v, axis=1, keepdims=True)).T
    g = 1 / t.std(0)
    return g[:, None], -t.mean(0) * g


@bad(INIT, "the root mean square, since the mean goes away anyway")
def init_w11(v, x):
    t = before(v, x)
    g = 1 / np.sqrt((t**2).mean(0))
    return answer(g, -t.mean(0) * g, v)


@bad(INIT, "the inputs are taken for independent")
def init_w12(v, x):
    rows = x.reshape(-1, x.shape[-1]).astype(float)
    u = v / np.linalg.norm(v, axis=1, keepdims=True)
    std = np.sqrt(u**2 @ rows.var(0))
    return answer(1 / std, -u @ rows.mean(0) / std, v)


@bad(INIT, "an eps beside the variance, as in batch normalization")
def init_w13(v, x):
    t = before(v, x)
    g = 1 / np.sqrt(t.var(0) + 1e-5)
    return answer(g, -t.mean(0) * g, v)


@bad(INIT, "b only centres; it is left out", 1)
def init_w14(v, x):
    return answer(1 / before(v, x).std(0), np.zeros(len(v)), v)


@bad(INIT, "norms of columns")
def init_w15(v, x):
    rows = x.reshape(-1, x.shape[-1]).astype(float)
    t = rows @ (v / np.linalg.norm(v, axis=0)).T
    return answer(1 / t.std(0), -t.mean(0) / t.std(0), v)


@bad(INIT, "g without its axis")
def init_w16(v, x):
    t = before(v, x)
    return 1 / t.std(0), -t.mean(0) / t.std(0)


@bad(INIT, "unbiased, and the sign of b", 2)
def init_w17(v, x):
    t = before(v, x)
    g = 1 / t.std(0, ddof=1)
    return answer(g, t.mean(0) * g, v)


@bad(INIT, "E[t²] - E[t]² in float32")
def init_w18(v, x):
    t = x.reshape(-1, x.shape[-1]) @ (v / np.sqrt((v * v).sum(1, keepdims=True))).T
    var = abs((t * t).mean(0) - t.mean(0) ** 2)
    return answer(1 / np.sqrt(var), -t.mean(0) / np.sqrt(var), v)


@good(INIT)
def init_r01(v, x):
    t = before(v, x)
    return answer(1 / t.std(0), -t.mean(0) / t.std(0), v)


@good(INIT)
def init_r02(v, x):
    # without unit vectors: g is the norm over the std of v's own pre-activations
    t = x.reshape(-1, x.shape[-1]).astype(float) @ v.T
    return answer(np.linalg.norm(v, axis=1) / t.std(0), -t.mean(0) / t.std(0), v)


@good(INIT)
def init_r03(v, x):
    # by the covariance of the inputs
    rows = x.reshape(-1, x.shape[-1]).astype(float)
    u = v / np.linalg.norm(v, axis=1, keepdims=True)
    std = np.sqrt(np.einsum("oi,ij,oj->o", u, np.cov(rows.T, bias=True), u))
    return answer(1 / std, -u @ rows.mean(0) / std, v)


# =====================================================================  fold_weight_norm


@bad(FOLD, "norm of rows, whatever the shape of weight_g")
def fold_w01(weight_g, weight_v):
    rows = weight_v.reshape(len(weight_v), -1)
    norm = np.linalg.norm(rows, axis=1).reshape((-1,) + (1,) * (weight_v.ndim - 1))
    return weight_g * weight_v / norm


@bad(FOLD, "no norm: only the two stored arrays multiplied")
def fold_w02(weight_g, weight_v):
    return weight_g * weight_v


@bad(FOLD, "v is taken for the weight")
def fold_w03(weight_g, weight_v):
    return weight_v.copy()


@bad(FOLD, "a negative g is a damaged checkpoint: |g|")
def fold_w04(weight_g, weight_v):
    axes = tuple(a for a in range(weight_v.ndim) if weight_g.ndim == 0 or weight_g.shape[a] == 1)
    return abs(weight_g) * weight_v / np.sqrt((weight_v**2).sum(axes, keepdims=True))


@bad(FOLD, "normalized, and then normalized once more")
def fold_w05(weight_g, weight_v):
    axes = tuple(a for a in range(weight_v.ndim) if weight_g.ndim == 0 or weight_g.shape[a] == 1)
    norm = np.sqrt((weight_v**2).sum(axes, keepdims=True))
    return weight_g * (weight_v / norm) / norm


@bad(FOLD, "one norm for everything")
def fold_w06(weight_g, weight_v):
    return weight_g * weight_v / np.linalg.norm(weight_v)


@bad(FOLD, "the weight is clipped to the stored length", 1)
def fold_w07(weight_g, weight_v):
    axes = tuple(a for a in range(weight_v.ndim) if weight_g.ndim == 0 or weight_g.shape[a] == 1)
    norm = np.sqrt((weight_v**2).sum(axes, keepdims=True))
    return weight_v * np.minimum(abs(weight_g) / norm, 1)


@bad(FOLD, "the norm of g v is what is divided by")
def fold_w08(weight_g, weight_v):
    w = weight_g * weight_v
    axes = tuple(a for a in range(w.ndim) if weight_g.ndim == 0 or weight_g.shape[a] == 1)
    return w / np.sqrt((w**2).sum(axes, keepdims=True))


@bad(FOLD, "|g| and rows only", 2)
def fold_w09(weight_g, weight_v):
    rows = weight_v.reshape(len(weight_v), -1)
    norm = np.linalg.norm(rows, axis=1).reshape((-1,) + (1,) * (weight_v.ndim - 1))
    return abs(weight_g) * weight_v / norm


@bad(FOLD, "the norm is taken along the axis where g is long")
def fold_w10(weight_g, weight_v):
    axes = tuple(a for a in range(weight_g.ndim) if weight_g.shape[a] > 1)
    if not axes:
        return weight_g * weight_v / np.linalg.norm(weight_v)
    return weight_g * weight_v / np.sqrt((weight_v**2).sum(axes, keepdims=True))


@good(FOLD)
def fold_r01(weight_g, weight_v):
    axes = tuple(a for a in range(weight_v.ndim) if weight_g.ndim == 0 or weight_g.shape[a] == 1)
    return weight_g * weight_v / np.sqrt((weight_v**2).sum(axes, keepdims=True))


@good(FOLD)
def fold_r02(weight_g, weight_v):
    # one vector at a time
    out = np.empty_like(weight_v)
    if weight_g.size == 1:
        out[...] = weight_g.item() * weight_v / np.linalg.norm(weight_v)
        return out
    dim = max(range(weight_g.ndim), key=lambda a: weight_g.shape[a])
    for k in range(weight_g.size):
        at = (slice(None),) * dim + (k,)
        out[at] = weight_g.flat[k] * weight_v[at] / np.linalg.norm(weight_v[at])
    return out
