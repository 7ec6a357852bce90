"""What students write for spectral normalization: 37 wrong attempts and 13 right ones."""

import numpy as np
from attempts import bad, good

SAM, SPI = "as_matrix", "power_iteration"
SNL, SNB = "spectral_norm_layer", "spectral_norm_backward"


def unit(a, eps=1e-12):
    return a / max(np.linalg.norm(a), eps)


# =====================================================================  as_matrix


@bad(SAM, "the outputs last: w x h")
def sam_w01(weight, dim=0):
    return weight.reshape(-1, weight.shape[dim])


@bad(SAM, "the same, turned around afterwards: the right shape, other rows")
def sam_w02(weight, dim=0):
    return weight.reshape(-1, weight.shape[dim]).T


@bad(SAM, "reshaped at once, without moving the axis")
def sam_w03(weight, dim=0):
    return weight.reshape(weight.shape[dim], -1)


@bad(SAM, "dim does nothing")
def sam_w04(weight, dim=0):
    return weight.reshape(weight.shape[0], -1)


@bad(SAM, "axes 0 and dim exchanged, which puts the others out of order")
def sam_w05(weight, dim=0):
    moved = np.swapaxes(weight, 0, dim)
    return moved.reshape(moved.shape[0], -1)


@bad(SAM, "the axis moved to the end, not to the front")
def sam_w06(weight, dim=0):
    moved = np.moveaxis(weight, dim, -1)
    return moved.reshape(-1, moved.shape[-1])


@bad(SAM, "all axes turned around")
def sam_w07(weight, dim=0):
    return weight.T.reshape(weight.shape[dim], -1)


@bad(SAM, "the length of axis 0 after the move: taken from the old array")
def sam_w08(weight, dim=0):
    return np.moveaxis(weight, dim, 0).reshape(len(weight), -1)


@good(SAM)
def sam_r01(weight, dim=0):
    return np.stack([np.take(weight, i, axis=dim).ravel() for i in range(weight.shape[dim])])


@good(SAM)
def sam_r02(weight, dim=0):
    dim = dim % weight.ndim
    order = [dim] + [a for a in range(weight.ndim) if a != dim]
    return weight.transpose(order).reshape(weight.shape[dim], -1)


@good(SAM)
def sam_r03(weight, dim=0):
    rows = np.zeros((weight.shape[dim], weight.size // weight.shape[dim]), weight.dtype)
    seen = [0] * len(rows)
    for index in np.ndindex(weight.shape):
        i = index[dim]
        rows[i, seen[i]] = weight[index]
        seen[i] += 1
    return rows


# =====================================================================  power_iteration


@bad(SPI, "v first, as in the paper's algorithm")
def spi_w01(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        v = unit(weight_matrix.T @ u, eps)
        u = unit(weight_matrix @ v, eps)
    return u, v


@bad(SPI, "both from the old vectors, in one line")
def spi_w02(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        u, v = unit(weight_matrix @ v, eps), unit(weight_matrix.T @ u, eps)
    return u, v


@bad(SPI, "u is used as it comes out of the product")
def spi_w03(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        u = weight_matrix @ v
        v = weight_matrix.T @ u
        v = v / max(np.sqrt((v**2).sum()), eps)
    return u, v


@bad(SPI, "W and its transpose exchanged")
def spi_w04(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        u = unit(weight_matrix.T @ v, eps)
        v = unit(weight_matrix @ u, eps)
    return u, v


@bad(SPI, "a single step whatever n is")
def spi_w05(weight_matrix, u, v, n=1, eps=1e-12):
    u = unit(weight_matrix @ v, eps)
    return u, unit(weight_matrix.T @ u, eps)


@bad(SPI, "eps is added to the norm")
def spi_w06(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        u = weight_matrix @ v
        u = u / (np.linalg.norm(u) + eps)
        v = u @ weight_matrix
        v = v / (np.linalg.norm(v) + eps)
    return u, v


@bad(SPI, "norms without eps, and a small number of its own")
def spi_w07(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        u = weight_matrix @ v
        u = u / (np.linalg.norm(u) + 1e-8)
        v = weight_matrix.T @ u
        v = v / (np.linalg.norm(v) + 1e-8)
    return u, v


@bad(SPI, "the largest entry becomes 1")
def spi_w08(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        u = weight_matrix @ v
        u = u / max(np.abs(u).max(), eps)
        v = weight_matrix.T @ u
        v = v / max(np.abs(v).max(), eps)
    return u, v


@bad(SPI, "writes into the vectors it was given")
def spi_w09(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        u[:] = unit(weight_matrix @ v, eps)
        v[:] = unit(weight_matrix.T @ u, eps)
    return u, v


@bad(SPI, "the squared length")
def spi_w10(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        u = weight_matrix @ v
        u = u / max(u @ u, eps)
        v = weight_matrix.T @ u
        v = v / max(v @ v, eps)
    return u, v


@good(SPI)
def spi_r01(weight_matrix, u, v, n=1, eps=1e-12):
    for _ in range(n):
        u = np.einsum("ij,j->i", weight_matrix, v)
        u = u / np.maximum(np.sqrt(np.einsum("i,i->", u, u)), eps)
        v = np.einsum("ij,i->j", weight_matrix, u)
        v = v / np.maximum(np.sqrt(np.einsum("i,i->", v, v)), eps)
    return u, v


@good(SPI)
def spi_r02(weight_matrix, u, v, n=1, eps=1e-12):
    if n == 0:
        return u, v
    u, v = spi_r02(weight_matrix, u, v, n - 1, eps)
    u = np.array([sum(row * v) for row in weight_matrix])
    u = u / max(sum(u**2) ** 0.5, eps)
    v = sum(u[i] * weight_matrix[i] for i in range(len(u)))
    return u, v / max(sum(v**2) ** 0.5, eps)


@good(SPI)
def spi_r03(weight_matrix, u, v, n=1, eps=1e-12):
    u, v = u.copy()[:, None], v.copy()[:, None]
    for _ in range(n):
        u = weight_matrix @ v
        u /= max(np.linalg.norm(u), eps)
        v = weight_matrix.T @ u
        v /= max(np.linalg.norm(v), eps)
    return u[:, 0], v[:, 0]


# =====================================================================  spectral_norm_layer


def rows(weight, dim):
    return np.moveaxis(weight, dim, 0).reshape(weight.shape[dim], -1)


@bad(SNL, "sigma is the Frobenius norm")
def snl_w01(weight, u, v, training, n=1, dim=0):
    if training:
        u, v = spi_r01(rows(weight, dim), u, v, n)
    return weight / np.linalg.norm(weight), u, v


@bad(SNL, "steps in evaluation, too")
def snl_w02(weight, u, v, training, n=1, dim=0):
    u, v = spi_r01(rows(weight, dim), u, v, n)
    return weight / (u @ rows(weight, dim) @ v), u, v


@bad(SNL, "sigma from the vectors before the step")
def snl_w03(weight, u, v, training, n=1, dim=0):
    w = rows(weight, dim)
    sigma = u @ w @ v
    if training:
        u, v = spi_r01(w, u, v, n)
    return weight / sigma, u, v


@bad(SNL, "the new vectors are not returned: each call starts anew")
def snl_w04(weight, u, v, training, n=1, dim=0):
    w = rows(weight, dim)
    a, b = spi_r01(w, u, v, n) if training else (u, v)
    return weight / (a @ w @ b), u, v


@bad(SNL, "divided only where sigma is above 1")
def snl_w05(weight, u, v, training, n=1, dim=0):
    w = rows(weight, dim)
    if training:
        u, v = spi_r01(w, u, v, n)
    return weight / max(u @ w @ v, 1), u, v


@bad(SNL, "the exact norm, no estimate")
def snl_w06(weight, u, v, training, n=1, dim=0):
    w = rows(weight, dim)
    if training:
        u, v = spi_r01(w, u, v, n)
    return weight / np.linalg.norm(w, 2), u, v


@bad(SNL, "the kernel is reshaped to (-1, C_out) and turned around")
def snl_w07(weight, u, v, training, n=1, dim=0):
    w = weight.reshape(-1, weight.shape[dim]).T
    if training:
        u, v = spi_r01(w, u, v, n)
    return weight / (u @ w @ v), u, v


@bad(SNL, "a matrix comes back")
def snl_w08(weight, u, v, training, n=1, dim=0):
    w = rows(weight, dim)
    if training:
        u, v = spi_r01(w, u, v, n)
    return w / (u @ w @ v), u, v


@bad(SNL, "sigma is the length of W v, with the old v")
def snl_w09(weight, u, v, training, n=1, dim=0):
    w = rows(weight, dim)
    if training:
        for _ in range(n):
            wv = w @ v
            sigma = np.linalg.norm(wv)
            u = wv / sigma
            v = w.T @ u
            v = v / np.linalg.norm(v)
    else:
        sigma = u @ w @ v
    return weight / sigma, u, v


@good(SNL)
def snl_r01(weight, u, v, training, n=1, dim=0):
    w = rows(weight, dim)
    if training:
        u, v = spi_r02(w, u, v, n)
    return weight / np.einsum("i,ij,j->", u, w, v), u, v


@good(SNL)
def snl_r02(weight, u, v, training, n=1, dim=0):
    w = np.stack([np.take(weight, i, axis=dim).ravel() for i in range(weight.shape[dim])])
    for _ in range(n if training else 0):
        u = unit(w @ v)
        v = unit(u @ w)
    flat = w / np.trace(w.T @ np.outer(u, v))
    shape = [weight.shape[dim], *np.delete(weight.shape, dim)]
    return np.moveaxis(flat.reshape(shape), 0, dim), u, v


@good(SNL)
def snl_r03(weight, u, v, training, n=1, dim=0):
    w = sam_r02(weight, dim)
    a, b = u.astype(np.float32), v.astype(np.float32)
    k = 0
    while training and k < n:
        a, b, k = *spi_r03(w, a, b, 1), k + 1
    return (weight / np.dot(a, np.dot(w, b))).astype(np.float32), a, b


# =====================================================================  spectral_norm_backward


@bad(SNB, "sigma is taken for a constant")
def snb_w01(dy, weight, u, v, dim=0):
    return dy / (u @ rows(weight, dim) @ v)


@bad(SNB, "projected on W, not on W-hat")
def snb_w02(dy, weight, u, v, dim=0):
    w, d = rows(weight, dim), rows(dy, dim)
    sigma = u @ w @ v
    dw = (d - (d * w).sum() * np.outer(u, v)) / sigma
    back = dw.reshape([weight.shape[dim], *np.delete(weight.shape, dim)])
    return np.moveaxis(back, 0, dim)


@bad(SNB, "as for weight normalization: what is along W-hat is taken away")
def snb_w03(dy, weight, u, v, dim=0):
    sigma = u @ rows(weight, dim) @ v
    what = weight / sigma
    return (dy - (dy * what).sum() * what) / sigma


@bad(SNB, "the rank-one term is reshaped without moving its axis back")
def snb_w04(dy, weight, u, v, dim=0):
    sigma = u @ rows(weight, dim) @ v
    uv = np.outer(u, v).reshape(weight.shape)
    return (dy - (dy * weight / sigma).sum() * uv) / sigma


@bad(SNB, "not divided by sigma")
def snb_w05(dy, weight, u, v, dim=0):
    w, d = rows(weight, dim), rows(dy, dim)
    sigma = u @ w @ v
    dw = d - (d * w / sigma).sum() * np.outer(u, v)
    return np.moveaxis(dw.reshape([len(w), *np.delete(weight.shape, dim)]), 0, dim)


@bad(SNB, "the sum over all numbers is forgotten")
def snb_w06(dy, weight, u, v, dim=0):
    w, d = rows(weight, dim), rows(dy, dim)
    sigma = u @ w @ v
    dw = (d - d * w / sigma * np.outer(u, v)) / sigma
    return np.moveaxis(dw.reshape([len(w), *np.delete(weight.shape, dim)]), 0, dim)


@bad(SNB, "quotient rule with a sign lost")
def snb_w07(dy, weight, u, v, dim=0):
    w, d = rows(weight, dim), rows(dy, dim)
    sigma = u @ w @ v
    dw = d / sigma + (d * w).sum() / sigma**2 * np.outer(u, v)
    return np.moveaxis(dw.reshape([len(w), *np.delete(weight.shape, dim)]), 0, dim)


@bad(SNB, "a mean where the sum belongs")
def snb_w08(dy, weight, u, v, dim=0):
    w, d = rows(weight, dim), rows(dy, dim)
    sigma = u @ w @ v
    dw = (d - np.mean(d * w / sigma) * np.outer(u, v)) / sigma
    return np.moveaxis(dw.reshape([len(w), *np.delete(weight.shape, dim)]), 0, dim)


@bad(SNB, "what dy has along u and v is taken away, along u and v")
def snb_w09(dy, weight, u, v, dim=0):
    w, d = rows(weight, dim), rows(dy, dim)
    sigma = u @ w @ v
    dw = (d - (u @ d @ v) * np.outer(u, v)) / sigma
    return np.moveaxis(dw.reshape([len(w), *np.delete(weight.shape, dim)]), 0, dim)


@bad(SNB, "the square of sigma is forgotten in the quotient rule")
def snb_w10(dy, weight, u, v, dim=0):
    w, d = rows(weight, dim), rows(dy, dim)
    sigma = u @ w @ v
    dw = (sigma * d - (d * w).sum() * np.outer(u, v)) / sigma
    return np.moveaxis(dw.reshape([len(w), *np.delete(weight.shape, dim)]), 0, dim)


@good(SNB)
def snb_r01(dy, weight, u, v, dim=0):
    w, d = rows(weight, dim), rows(dy, dim)
    sigma = u @ w @ v
    dsigma = -(d * w).sum() / sigma**2
    dw = d / sigma + dsigma * np.outer(u, v)
    return np.moveaxis(dw.reshape([len(w), *np.delete(weight.shape, dim)]), 0, dim)


@good(SNB)
def snb_r02(dy, weight, u, v, dim=0):
    shape = [1] * weight.ndim
    shape[dim] = -1
    rest = list(weight.shape)
    rest[dim] = 1
    uv = u.reshape(shape) * v.reshape(rest)
    sigma = (weight * uv).sum()
    return (dy - np.vdot(dy, weight / sigma) * uv) / sigma


@good(SNB)
def snb_r03(dy, weight, u, v, dim=0):
    """The Jacobian, number by number."""
    w, d = rows(weight, dim).astype(float), rows(dy, dim).astype(float)
    sigma = u.astype(float) @ w @ v
    dw = np.zeros_like(w)
    for i in range(len(u)):
        for j in range(len(v)):
            dwhat = -w * u[i] * v[j] / sigma**2
            dwhat[i, j] += 1 / sigma
            dw[i, j] = (d * dwhat).sum()
    back = np.moveaxis(dw.reshape([len(w), *np.delete(weight.shape, dim)]), 0, dim)
    return back.astype(np.float32)


@good(SNB)
def snb_r04(dy, weight, u, v, dim=0):
    w = rows(weight, dim)
    sigma = u @ w @ v
    along = np.trace(rows(dy, dim).T @ w) / sigma
    uv = np.multiply.outer(u, v).ravel()
    uv = np.moveaxis(uv.reshape(np.moveaxis(weight, dim, 0).shape), 0, dim)
    return dy / sigma - along / sigma * uv
