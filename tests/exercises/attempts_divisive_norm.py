"""What students write for divisive normalization: 49 wrong attempts and 12 right ones."""

import contextlib

import numpy as np
from attempts import bad, good

DN, SDN = "divisive_norm", "signed_divisive_norm"
LRP, SDB = "local_response_pool", "signed_divisive_norm_backward"


def col(p, x):
    return p.reshape(1, -1, *[1] * (x.ndim - 2))


# =====================================================================  divisive_norm


@bad(DN, "sigma is added as it is")
def dn_w01(x, weight, sigma, gain, exponent=2.0):
    n, c = x.shape[:2]
    d = np.maximum(x, 0).reshape(n, c, -1) ** exponent
    return (gain[:, None] * d / (sigma[:, None] + weight @ d)).reshape(x.shape)


@bad(DN, "columns of the weights instead of rows")
def dn_w02(x, weight, sigma, gain, exponent=2.0):
    d = np.clip(np.moveaxis(x, 1, -1), 0, None) ** exponent
    y = gain * d / (sigma**exponent + d @ weight)
    return np.moveaxis(y, -1, 1)


@bad(DN, "the last axis is taken for the channels")
def dn_w03(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x, 0) ** exponent
    return gain * d / (sigma**exponent + d @ weight.T)


@bad(DN, "a fully normalized softmax of powers: no sigma, and a guard")
def dn_w04(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x, 0) ** exponent
    pool = np.einsum("ij,nj...->ni...", weight, d)
    return col(gain, x) * d / (pool + 1e-8)


@bad(DN, "the surround only: loops skip the channel itself")
def dn_w05(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x, 0) ** exponent
    y = np.zeros_like(x)
    for i in range(x.shape[1]):
        total = sigma[i] ** exponent
        for j in range(x.shape[1]):
            if j != i:
                total = total + weight[i, j] * d[:, j]
        y[:, i] = gain[i] * d[:, i] / total
    return y


@bad(DN, "the whole ratio to the n: (D / (sigma + pool))^n")
def dn_w06(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x, 0)
    ratio = d / (col(sigma, x) + np.einsum("ij,nj...->ni...", weight, d))
    return col(gain, x) * ratio**exponent


@bad(DN, "the sign of x is put back")
def dn_w07(x, weight, sigma, gain, exponent=2.0):
    d = np.abs(x) ** exponent
    pool = np.einsum("ij,nj...->ni...", weight, d)
    return np.sign(x) * col(gain, x) * d / (col(sigma, x) ** exponent + pool)


@bad(DN, "tensordot leaves the channels in front")
def dn_w08(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x, 0) ** exponent
    pool = np.tensordot(weight, d, axes=(1, 1))
    return col(gain, x) * d / (col(sigma, x) ** exponent + pool)


@bad(DN, "the half-saturation constant squared whatever the exponent, weights transposed")
def dn_w09(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x, 0) ** exponent
    pool = np.einsum("ji,nj...->ni...", weight, d)
    return col(gain, x) * d / (col(sigma, x) ** 2 + pool)


@bad(DN, "rectified in place")
def dn_w10(x, weight, sigma, gain, exponent=2.0):
    x[x < 0] = 0
    d = x**exponent
    return col(gain, x) * d / (col(sigma, x) ** exponent + np.einsum("ij,nj...->ni...", weight, d))


@bad(DN, "each channel's own power times the sum of its row")
def dn_w11(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x, 0) ** exponent
    pool = col(weight.sum(axis=1), x) * d
    return col(gain, x) * d / (col(sigma, x) ** exponent + pool)


@bad(DN, "half of the response as a threshold")
def dn_w12(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x - col(sigma, x), 0) ** exponent
    return col(gain, x) * d / (col(sigma, x) ** exponent + np.einsum("ij,nj...->ni...", weight, d))


@bad(DN, "scaled by the gain before the pool is taken")
def dn_w13(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x, 0) ** exponent
    scaled = col(gain, x) * d
    return scaled / (col(sigma, x) ** exponent + np.einsum("ij,nj...->ni...", weight, scaled))


@bad(DN, "D over a norm: the n-th root of the denominator")
def dn_w14(x, weight, sigma, gain, exponent=2.0):
    d = np.maximum(x, 0)
    pool = np.einsum("ij,nj...->ni...", weight, d**exponent)
    return col(gain, x) * d / (col(sigma, x) ** exponent + pool) ** (1 / exponent)


@good(DN)
def dn_r01(x, weight, sigma, gain, exponent=2.0):
    d = np.where(x > 0, x, 0) ** exponent
    y = np.zeros_like(x)
    for i in range(x.shape[1]):
        pool = sum(weight[i, j] * d[:, j] for j in range(x.shape[1]))
        y[:, i] = gain[i] * d[:, i] / (sigma[i] ** exponent + pool)
    return y


@good(DN)
def dn_r02(x, weight, sigma, gain, exponent=2.0):
    p = np.power((x + np.abs(x)) / 2, exponent)
    pool = np.swapaxes(np.swapaxes(p, 1, -1) @ weight.T, 1, -1)
    return p / (pool + col(sigma, x) ** exponent) * col(gain, x)


@good(DN)
def dn_r03(x, weight, sigma, gain, exponent=2.0):
    """Divided by sigma first: contrast in units of the half-saturation constant."""
    z = np.maximum(x, 0) / col(sigma, x)
    scaled = weight * (sigma[None, :] / sigma[:, None]) ** exponent
    zn = z**exponent
    return col(gain, x) * zn / (1 + np.einsum("ij,bj...->bi...", scaled, zn))


# =====================================================================  signed_divisive_norm


@bad(SDN, "the bias stands outside of the root")
def sdn_w01(x, weight, bias, power=0.5):
    pool = np.einsum("ij,nj...->ni...", weight, x**2)
    return x / (pool**power + col(bias, x))


@bad(SDN, "the root is forgotten")
def sdn_w02(x, weight, bias, power=0.5):
    rows = x.reshape(x.shape[0], x.shape[1], -1)
    return (rows / (bias[:, None] + weight @ (rows * rows))).reshape(x.shape)


@bad(SDN, "a root and the power")
def sdn_w03(x, weight, bias, power=0.5):
    norm = np.sqrt(col(bias, x) + np.einsum("ij,nj...->ni...", weight, x**2))
    return x / norm**power


@bad(SDN, "rectified as in the canonical form")
def sdn_w04(x, weight, bias, power=0.5):
    x = np.maximum(x, 0)
    return x / (col(bias, x) + np.einsum("ij,nj...->ni...", weight, x**2)) ** power


@bad(SDN, "the weighted sum is squared")
def sdn_w05(x, weight, bias, power=0.5):
    s = np.einsum("ij,nj...->ni...", weight, x)
    return x / (col(bias, x) + s**2) ** power


@bad(SDN, "mean taken off, and the bias squared as a sigma")
def sdn_w06(x, weight, bias, power=0.5):
    c = x - x.mean(axis=1, keepdims=True)
    return c / (col(bias, x) ** 2 + np.einsum("ij,nj...->ni...", weight, c**2)) ** power


@bad(SDN, "a small number besides the bias, outside of the power")
def sdn_w07(x, weight, bias, power=0.5):
    d = np.einsum("ij,nj...->ni...", weight, x**2) + col(bias, x)
    return x / (d**power + 1e-8)


@bad(SDN, "the bias beside a norm")
def sdn_w08(x, weight, bias, power=0.5):
    norm = np.sqrt(np.einsum("ij,nj...->ni...", weight, x**2))
    return x / (norm + col(bias, x)) ** (2 * power)


@bad(SDN, "the bias taken out of the power")
def sdn_w09(x, weight, bias, power=0.5):
    return x / (1 + np.einsum("ij,nj...->ni...", weight, x**2) / col(bias, x)) ** power


@bad(SDN, "the square of the result, and its sign")
def sdn_w10(x, weight, bias, power=0.5):
    ratio = x**2 / (col(bias, x) + np.einsum("ij,nj...->ni...", weight, x**2))
    return np.sign(x) * ratio**power


@good(SDN)
def sdn_r01(x, weight, bias, power=0.5):
    sq = x * x
    d = np.stack(
        [np.tensordot(row, sq, (0, 1)) + b for row, b in zip(weight, bias, strict=True)], axis=1
    )
    return x * np.power(d, -power)


@good(SDN)
def sdn_r02(x, weight, bias, power=0.5):
    y = x.copy()
    for n in range(len(x)):
        flat = x[n].reshape(x.shape[1], -1)
        y[n] = (flat / (weight @ flat**2 + bias[:, None]) ** power).reshape(x[n].shape)
    return y


@good(SDN)
def sdn_r03(x, weight, bias, power=0.5):
    w = weight[None, :, :, *[None] * (x.ndim - 2)]
    return x / np.power((w * x[:, None] ** 2).sum(2) + col(bias, x), power)


# =====================================================================  local_response_pool


@bad(LRP, "alpha is not divided")
def lrp_w01(channels, size, alpha=1e-4):
    w = np.zeros((channels, channels))
    for i in range(channels):
        lo, hi = max(0, i - size // 2), min(channels, i + (size - 1) // 2 + 1)
        w[i, lo:hi] = alpha
    return w


@bad(LRP, "size // 2 on both sides")
def lrp_w02(channels, size, alpha=1e-4):
    i = np.arange(channels)
    return (np.abs(i[:, None] - i) <= size // 2) * alpha / size


@bad(LRP, "circular, by roll")
def lrp_w03(channels, size, alpha=1e-4):
    w = np.zeros((channels, channels))
    for k in range(-(size // 2), (size - 1) // 2 + 1):
        w += np.roll(np.eye(channels), k, axis=1)
    return w * alpha / size


@bad(LRP, "rows at the ends are averaged over what is there")
def lrp_w04(channels, size, alpha=1e-4):
    w = np.zeros((channels, channels))
    for i in range(channels):
        window = [j for j in range(i - size // 2, i + (size - 1) // 2 + 1) if 0 <= j < channels]
        w[i, window] = alpha / len(window)
    return w


@bad(LRP, "a negative start of a slice")
def lrp_w05(channels, size, alpha=1e-4):
    w = np.zeros((channels, channels))
    for i in range(channels):
        w[i, i - size // 2 : i + (size - 1) // 2 + 1] = alpha / size
    return w


@bad(LRP, "IndexError caught, negative indices not")
def lrp_w06(channels, size, alpha=1e-4):
    w = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(i - size // 2, i + (size - 1) // 2 + 1):
            with contextlib.suppress(IndexError):
                w[i, j] = alpha / size
    return w


@bad(LRP, "an array of whole numbers swallows alpha / size")
def lrp_w07(channels, size, alpha=1e-4):
    w = np.zeros((channels, channels), dtype=int)
    for i in range(channels):
        w[i, max(0, i - size // 2) : i + (size - 1) // 2 + 1] = alpha / size
    return w


@bad(LRP, "strictly smaller than half a size")
def lrp_w08(channels, size, alpha=1e-4):
    i = np.arange(channels)
    return np.where(abs(i - i[:, None]) < size / 2, alpha / size, 0.0)


@bad(LRP, "alpha not divided, and the wider side above")
def lrp_w09(channels, size, alpha=1e-4):
    i = np.arange(channels)
    ahead = i[None] - i[:, None]
    return alpha * ((ahead >= -((size - 1) // 2)) & (ahead <= size // 2))


@bad(LRP, "-size // 2 is rounded down")
def lrp_w10(channels, size, alpha=1e-4):
    return sum(np.eye(channels, k=k) for k in range(-size // 2, size // 2 + 1)) * alpha / size


@bad(LRP, "size // 2 on both sides, divided by what is there")
def lrp_w11(channels, size, alpha=1e-4):
    i = np.arange(channels)
    band = np.abs(i[:, None] - i) <= size // 2
    return alpha * band / band.sum(1, keepdims=True)


@good(LRP)
def lrp_r01(channels, size, alpha=1e-4):
    w = np.tri(channels, k=(size - 1) // 2) - np.tri(channels, k=-(size // 2) - 1)
    return w * (alpha / size)


@good(LRP)
def lrp_r02(channels, size, alpha=1e-4):
    rows = []
    for i in range(channels):
        rows.append(
            [
                alpha / size if -(size // 2) <= j - i <= (size - 1) // 2 else 0.0
                for j in range(channels)
            ]
        )
    return np.array(rows, dtype=np.float32)


@good(LRP)
def lrp_r03(channels, size, alpha=1e-4):
    padded = np.zeros((channels, channels + size))
    for i in range(channels):
        padded[i, i : i + size] = alpha / size
    return padded[:, size // 2 : size // 2 + channels]


# ==================================================================  signed_divisive_norm_backward


def parts(dy, x, weight, bias):
    n, c = x.shape[:2]
    v, g = x.reshape(n, c, -1), dy.reshape(n, c, -1)
    return v, g, bias[:, None] + weight @ v**2


@bad(SDB, "the pool is taken for a constant")
def sdb_w01(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g / d**power
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, v**2), t.sum((0, 2))


@bad(SDB, "only the channel's own path through the pool")
def sdb_w02(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    own = np.diag(weight)[:, None]
    dx = g / d**power + 2 * v * own * t
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, v**2), t.sum((0, 2))


@bad(SDB, "the forward matrix on the way back")
def sdb_w03(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g / d**power + 2 * v * (weight @ t)
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, v**2), t.sum((0, 2))


@bad(SDB, "2p left out: written down for the root")
def sdb_w04(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    s = -g * v / d ** (power + 1)
    dx = g / d**power + v * (weight.T @ s)
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", s / 2, v**2), s.sum((0, 2)) / 2


@bad(SDB, "means over the batch for the parameters")
def sdb_w05(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g / d**power + 2 * v * (weight.T @ t)
    dweight = np.mean(t @ v.swapaxes(1, 2) ** 2, axis=0)
    return dx.reshape(x.shape), dweight, t.sum(2).mean(0)


@bad(SDB, "x of the other channel in front")
def sdb_w06(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    dx = g / d**power
    for i in range(len(bias)):
        for j in range(len(bias)):
            dx[:, j] -= 2 * power * g[:, i] * v[:, i] ** 2 * weight[i, j] / d[:, i] ** (power + 1)
    t = -power * g * v / d ** (power + 1)
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, v**2), t.sum((0, 2))


@bad(SDB, "dweight: sums first, then their outer product")
def sdb_w07(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g / d**power + 2 * v * (weight.T @ t)
    return dx.reshape(x.shape), np.outer(t.sum((0, 2)), (v**2).sum((0, 2))), t.sum((0, 2))


@bad(SDB, "p left out everywhere")
def sdb_w08(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -g * v / d ** (power + 1)
    dx = g / d**power + 2 * v * (weight.T @ t)
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, v**2), t.sum((0, 2))


@bad(SDB, "dweight has the factor 2x of dx")
def sdb_w09(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g / d**power + 2 * v * (weight.T @ t)
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, 2 * v), t.sum((0, 2))


@bad(SDB, "diagonal, and no 2")
def sdb_w10(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g / d**power + v * np.diag(weight)[:, None] * t
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, v**2), t.sum((0, 2))


@bad(SDB, "d/dx as of a single number: (d - 2 p w x^2) / d^(p + 1), and w_ij for it")
def sdb_w11(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g * (d - 2 * power * (weight @ v**2)) / d ** (power + 1)
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, v**2), t.sum((0, 2))


@bad(SDB, "the sum over channels with the own weight row and t of the channel")
def sdb_w12(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g / d**power + 2 * t * (weight @ v)
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, v**2), t.sum((0, 2))


@bad(SDB, "dweight through y, not x")
def sdb_w13(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    y = v / d**power
    t = -power * g * y / d
    dx = g / d**power + 2 * v * (weight.T @ t)
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, y**2), t.sum((0, 2))


@bad(SDB, "the gradient of a quadratic form")
def sdb_w14(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g / d**power + v * ((weight + weight.T) @ t)
    return dx.reshape(x.shape), np.einsum("nip,njp->ij", t, v**2), t.sum((0, 2))


@good(SDB)
def sdb_r01(dy, x, weight, bias, power=0.5):
    v, g, d = parts(dy, x, weight, bias)
    t = -power * g * v / d ** (power + 1)
    dx = g / d**power + 2 * v * (weight.T @ t)
    return dx.reshape(x.shape), (t @ (v**2).swapaxes(1, 2)).sum(0), t.sum((0, 2))


@good(SDB)
def sdb_r02(dy, x, weight, bias, power=0.5):
    """With loops over pairs of channels."""
    c = x.shape[1]
    sq = x**2
    d = np.stack([bias[i] + sum(weight[i, j] * sq[:, j] for j in range(c)) for i in range(c)], 1)
    y = x * d**-power
    dx, dweight, dbias = dy * d**-power, np.zeros_like(weight), np.zeros_like(bias)
    for i in range(c):
        t = -power * dy[:, i] * y[:, i] / d[:, i]
        dbias[i] = t.sum()
        for j in range(c):
            dweight[i, j] = (t * sq[:, j]).sum()
            dx[:, j] += 2 * x[:, j] * weight[i, j] * t
    return dx, dweight, dbias


@good(SDB)
def sdb_r03(dy, x, weight, bias, power=0.5):
    xt, gt = np.moveaxis(x, 1, -1), np.moveaxis(dy, 1, -1)
    sq = xt**2
    d = bias + sq @ weight.T
    logs = -power * gt * xt * np.exp(-(power + 1) * np.log(d))
    dx = gt * np.exp(-power * np.log(d)) + 2 * xt * (logs @ weight)
    axes = tuple(range(xt.ndim - 1))
    return np.moveaxis(dx, -1, 1), np.tensordot(logs, sq, (axes, axes)), logs.sum(axes)
