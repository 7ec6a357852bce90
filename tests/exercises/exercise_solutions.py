"""Right solutions written in many ways, and wrong ones that no record lists."""

import math

import numpy as np
import torch
from sklearn import preprocessing
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import normcourse


def tensors(*arrays):
    return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]


def axes_and_shape(x):
    return (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))


# --- batch_norm: right --------------------------------------------------------------------------


def bn_loops(x, weight, bias, eps=1e-5):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        values = [float(v) for v in x[:, c].flat]
        mu = math.fsum(values) / len(values)
        var = math.fsum((v - mu) ** 2 for v in values) / len(values)
        y[:, c] = weight[c] * (x[:, c] - mu) / math.sqrt(var + eps) + bias[c]
    return y


def bn_float32(x, weight, bias, eps):
    axis, shape = axes_and_shape(x)
    centered = x - x.mean(axis, keepdims=True)
    xhat = centered / np.sqrt((centered**2).mean(axis, keepdims=True) + np.float32(eps))
    return weight.reshape(shape) * xhat + bias.reshape(shape)


def bn_float64_result(x, weight, bias, eps):
    return bn_float32(*(a.astype(np.float64) for a in (x, weight, bias)), eps)


def bn_one_pass_in_float64(x, weight, bias, eps):
    axis, shape = axes_and_shape(x)
    wide = x.astype(np.float64)
    mu = wide.mean(axis, keepdims=True)
    var = (wide**2).mean(axis, keepdims=True) - mu**2
    xhat = (wide - mu) / np.sqrt(np.maximum(var, 0) + eps)
    return (weight.reshape(shape) * xhat + bias.reshape(shape)).astype(x.dtype)


def bn_einsum(x, weight, bias, eps):
    n, c = x.shape[:2]
    flat = x.reshape(n, c, -1)
    count = n * flat.shape[2]
    centered = flat - np.einsum("ncl->c", flat)[:, None] / count
    var = np.einsum("ncl,ncl->c", centered, centered) / count
    y = np.einsum("ncl,c->ncl", centered, weight / np.sqrt(var + eps)) + bias[:, None]
    return y.reshape(x.shape)


def bn_folded(x, weight, bias, eps):
    axis, shape = axes_and_shape(x)
    a = weight / np.sqrt(x.var(axis) + eps)
    return a.reshape(shape) * x + (bias - a * x.mean(axis)).reshape(shape)


def bn_channels_last(x, weight, bias, eps):
    """Returns a view that is not contiguous."""
    moved = np.moveaxis(x, 1, -1)
    rows = moved.reshape(-1, x.shape[1])
    y = weight * (rows - rows.mean(0)) / np.sqrt(rows.var(0) + eps) + bias
    return np.moveaxis(y.reshape(moved.shape), -1, 1)


def bn_torch(x, weight, bias, eps):
    x, weight, bias = tensors(x, weight, bias)
    return F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)


def bnb_autograd(dy, x, weight, bias, eps):
    dy, *inputs = tensors(dy, x, weight, bias)
    inputs = [i.requires_grad_() for i in inputs]
    y = F.batch_norm(inputs[0], None, None, *inputs[1:], training=True, eps=eps)
    return torch.autograd.grad(y, inputs, dy)


def bnb_float32(dy, x, weight, bias, eps):
    axis, shape = axes_and_shape(x)
    s = np.sqrt(x.var(axis, keepdims=True) + eps)
    xhat = (x - x.mean(axis, keepdims=True)) / s
    dweight, dbias = (dy * xhat).sum(axis), dy.sum(axis)
    n = x.size // x.shape[1]
    inner = n * dy - dbias.reshape(shape) - xhat * dweight.reshape(shape)
    return weight.reshape(shape) * inner / (n * s), dweight, dbias


def bnb_step_by_step(dy, x, weight, bias, eps):
    """Through the graph, node by node."""
    axis, shape = axes_and_shape(x)
    n = x.size // x.shape[1]
    centered = x - x.mean(axis, keepdims=True)
    std = np.sqrt((centered**2).mean(axis, keepdims=True) + eps)
    dxhat = dy * weight.reshape(shape)
    dstd = -(dxhat * centered).sum(axis, keepdims=True) / std**2
    dcentered = dxhat / std + 2 * centered / n * dstd / (2 * std)
    dx = dcentered - dcentered.mean(axis, keepdims=True)
    return dx, (dy * centered / std).sum(axis), dy.sum(axis)


def bnb_jacobian(dy, x, weight, bias, eps):
    """By the Jacobian of each channel; a list of results."""
    dx, dweight, dbias = np.empty_like(x), np.empty_like(weight), np.empty_like(bias)
    for c in range(x.shape[1]):
        v, d = x[:, c].reshape(-1).astype(float), dy[:, c].reshape(-1).astype(float)
        std = np.sqrt(v.var() + eps)
        xhat = (v - v.mean()) / std
        jacobian = (np.eye(v.size) - 1 / v.size - np.outer(xhat, xhat) / v.size) / std
        dx[:, c] = (weight[c] * d @ jacobian).reshape(dx[:, c].shape)
        dweight[c], dbias[c] = d @ xhat, d.sum()
    return [dx, dweight, dbias]


def update_torch(running_mean, running_var, x, momentum):
    mean, var, x = tensors(running_mean, running_var, x)
    mean, var = mean.clone(), var.clone()
    F.batch_norm(x, mean, var, training=True, momentum=momentum)
    return mean, var


def update_loops(running_mean, running_var, x, momentum):
    mean, var = running_mean.copy(), running_var.copy()
    for c in range(x.shape[1]):
        mean[c] += momentum * (x[:, c].mean() - mean[c])
        var[c] += momentum * (x[:, c].var(ddof=1) - var[c])
    return mean, var


def inference_torch(x, mean, var, weight, bias, eps):
    x, mean, var, weight, bias = tensors(x, mean, var, weight, bias)
    return F.batch_norm(x, mean, var, weight, bias, training=False, eps=eps)


def inference_folded(x, mean, var, weight, bias, eps):
    _, shape = axes_and_shape(x)
    a = weight / np.sqrt(var + eps)
    return a.reshape(shape) * x + (bias - a * mean).reshape(shape)


def inference_loops(x, mean, var, weight, bias, eps):
    columns = [
        weight[c] * (x[:, c] - mean[c]) / np.sqrt(var[c] + eps) + bias[c] for c in range(x.shape[1])
    ]
    return np.stack(columns, axis=1)


def layer_package(x, running_mean, running_var, weight, bias, training, momentum, eps):
    statistics = running_mean, running_var
    if not training:
        return normcourse.batch_norm_inference(x, *statistics, weight, bias, eps), *statistics
    y = normcourse.batch_norm(x, weight, bias, eps)
    return y, *normcourse.update_running_statistics(*statistics, x, momentum)


def layer_alone(x, running_mean, running_var, weight, bias, training, momentum, eps):
    axis, shape = axes_and_shape(x)
    mean, var, new = running_mean, running_var, (running_mean, running_var)
    if training:
        mean, var, n = x.mean(axis), x.var(axis), x.size / x.shape[1]
        unbiased = var * n / (n - 1)
        new = (
            running_mean + momentum * (mean - running_mean),
            running_var + momentum * (unbiased - running_var),
        )
    xhat = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    return weight.reshape(shape) * xhat + bias.reshape(shape), *new


def layer_torch(x, running_mean, running_var, weight, bias, training, momentum, eps):
    x, mean, var, weight, bias = tensors(x, running_mean, running_var, weight, bias)
    mean, var = mean.clone(), var.clone()
    return F.batch_norm(x, mean, var, weight, bias, training, momentum, eps), mean, var


# --- switchable_norm: right ---------------------------------------------------------------------


def three_from_one_pass(x):
    flat = x.reshape(x.shape[0], x.shape[1], -1)
    mean = flat.mean(2)
    var = ((flat - mean[:, :, None]) ** 2).mean(2)
    found = [(mean, var)]
    for axis in (1, 0):
        center = mean.mean(axis, keepdims=True)
        found.append((center, (var + (mean - center) ** 2).mean(axis, keepdims=True)))
    means, variances = zip(*found, strict=True)
    return *means, *variances


def three_directly(x):
    """Each from x itself, with a pass of its own."""
    rest = tuple(range(2, x.ndim))
    shapes = (x.shape[0], x.shape[1]), (x.shape[0], 1), (1, x.shape[1])
    axes = rest, (1, *rest), (0, *rest)
    means = [x.mean(a).reshape(shape) for a, shape in zip(axes, shapes, strict=True)]
    return *means, *(x.var(a).reshape(shape) for a, shape in zip(axes, shapes, strict=True))


def three_loops(x):
    n, c = x.shape[:2]
    means, variances = np.zeros((n, c), x.dtype), np.zeros((n, c), x.dtype)
    for i in range(n):
        for j in range(c):
            values = [float(v) for v in np.ravel(x[i, j])]
            mean = math.fsum(values) / len(values)
            means[i, j] = mean
            variances[i, j] = math.fsum((v - mean) ** 2 for v in values) / len(values)
    layer = np.array([[math.fsum(row) / c] for row in means], x.dtype)
    batch = np.array([[math.fsum(column) / n for column in means.T]], x.dtype)
    var_layer = variances.mean(1, keepdims=True) + means.var(1, keepdims=True)
    var_batch = variances.mean(0, keepdims=True) + means.var(0, keepdims=True)
    return means, layer, batch, variances, var_layer, var_batch


def three_einsum(x):
    flat = x.reshape(*x.shape[:2], -1)
    n, c, count = flat.shape
    mean = np.einsum("ncl->nc", flat) / count
    apart = flat - mean[..., None]
    var = np.einsum("ncl,ncl->nc", apart, apart) / count
    layer, batch = np.einsum("nc->n", mean)[:, None] / c, np.einsum("nc->c", mean)[None] / n
    of_layer, of_batch = var + (mean - layer) ** 2, var + (mean - batch) ** 2
    return (
        mean,
        layer,
        batch,
        var,
        np.einsum("nc->n", of_layer)[:, None] / c,
        np.einsum("nc->c", of_batch)[None] / n,
    )


def three_torch(x):
    (x,) = tensors(x)
    flat = x.flatten(2) if x.ndim > 2 else x[:, :, None]
    pairs = [torch.var_mean(flat, a, correction=0, keepdim=True) for a in (2, (1, 2), (0, 2))]
    return *(mean[..., 0] for _, mean in pairs), *(var[..., 0] for var, _ in pairs)


def three_in_float64(x):
    """E[x^2] - E[x]^2 where it has digits enough."""
    flat = x.astype(np.float64).reshape(*x.shape[:2], -1)
    mean, square = flat.mean(2), (flat**2).mean(2)
    means = mean, mean.mean(1, keepdims=True), mean.mean(0, keepdims=True)
    squares = square, square.mean(1, keepdims=True), square.mean(0, keepdims=True)
    found = *means, *(np.maximum(s - m**2, 0) for s, m in zip(squares, means, strict=True))
    return tuple(a.astype(x.dtype) for a in found)


def sn_float32(x, mean_weight, var_weight, weight, bias, eps):
    w, v = (np.exp(a) / np.exp(a).sum() for a in (mean_weight, var_weight))
    axes = tuple(range(2, x.ndim)), tuple(range(1, x.ndim)), (0, *range(2, x.ndim))
    mean = sum(share * x.mean(a, keepdims=True) for share, a in zip(w, axes, strict=True))
    var = sum(share * x.var(a, keepdims=True) for share, a in zip(v, axes, strict=True))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    xhat = (x - mean) / np.sqrt(var + np.float32(eps))
    return weight.reshape(shape) * xhat + bias.reshape(shape)


def sn_from_one_pass(x, mean_weight, var_weight, weight, bias, eps):
    n, c = x.shape[:2]
    w = np.exp(mean_weight - mean_weight.max())
    v = np.exp(var_weight - var_weight.max())
    w, v = w / w.sum(), v / v.sum()
    *means, var_in, var_ln, var_bn = three_from_one_pass(x)
    mean = w[0] * means[0] + w[1] * means[1] + w[2] * means[2]
    var = v[0] * var_in + v[1] * var_ln + v[2] * var_bn
    flat = x.reshape(n, c, -1)
    y = (flat - mean[:, :, None]) / np.sqrt(var + eps)[:, :, None]
    return (weight[:, None] * y + bias[:, None]).astype(x.dtype).reshape(x.shape)


def sn_folded(x, mean_weight, var_weight, weight, bias, eps):
    """a x + b, with a and b for each instance."""
    w, v = np.exp(mean_weight), np.exp(var_weight)
    found = three_einsum(x)
    mean = np.einsum("k,knc->nc", w / w.sum(), np.stack([0 * found[0] + m for m in found[:3]]))
    var = np.einsum("k,knc->nc", v / v.sum(), np.stack([0 * found[0] + m for m in found[3:]]))
    scale = weight / np.sqrt(var + eps)
    shift = bias - scale * mean
    shape = (*x.shape[:2], *[1] * (x.ndim - 2))
    return scale.reshape(shape) * x + shift.reshape(shape)


def sn_loops(x, mean_weight, var_weight, weight, bias, eps):
    w = [math.exp(a) for a in mean_weight]
    v = [math.exp(a) for a in var_weight]
    w, v = [a / sum(w) for a in w], [a / sum(v) for a in v]
    y = np.empty_like(x)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            groups = x[i, j], x[i], x[:, j]
            mean = sum(a * float(g.astype(float).mean()) for a, g in zip(w, groups, strict=True))
            var = sum(a * float(g.astype(float).var()) for a, g in zip(v, groups, strict=True))
            y[i, j] = weight[j] * (x[i, j] - mean) / math.sqrt(var + eps) + bias[j]
    return y


def sn_torch(x, mean_weight, var_weight, weight, bias, eps):
    return normcourse.switchable_norm(*tensors(x, mean_weight, var_weight, weight, bias), eps)


def shares_step_by_step(dy, x, mean_weight, var_weight, weight, eps):
    w, v = (np.exp(a) / np.exp(a).sum() for a in (mean_weight, var_weight))
    axes = tuple(range(2, x.ndim)), tuple(range(1, x.ndim)), (0, *range(2, x.ndim))
    means = [x.mean(a, keepdims=True) for a in axes]
    variances = [x.var(a, keepdims=True) for a in axes]
    mean = w[0] * means[0] + w[1] * means[1] + w[2] * means[2]
    var = v[0] * variances[0] + v[1] * variances[1] + v[2] * variances[2]
    g = dy * weight.reshape((1, -1) + (1,) * (x.ndim - 2))
    dmean = -g * (var + eps) ** -0.5
    dvar = -g * (x - mean) * (var + eps) ** -1.5 / 2
    dw = np.array([(dmean * m).sum() for m in means], x.dtype)
    dv = np.array([(dvar * s).sum() for s in variances], x.dtype)
    return w * (dw - (w * dw).sum()), v * (dv - (v * dv).sum())


def shares_jacobian(dy, x, mean_weight, var_weight, weight, eps):
    """By the Jacobian of the softmax, and with statistics that are expanded."""
    w, v = np.exp(mean_weight), np.exp(var_weight)
    w, v = w / w.sum(), v / v.sum()
    found = [0 * x.reshape(*x.shape[:2], -1)[..., 0] + a for a in three_from_one_pass(x)]
    means, variances = np.stack(found[:3]), np.stack(found[3:])
    flat, gradient = (a.reshape(*x.shape[:2], -1) for a in (x, dy))
    r = 1 / np.sqrt(np.tensordot(v, variances, 1) + eps)
    centered = flat - np.tensordot(w, means, 1)[..., None]
    g = weight[:, None] * gradient
    to_mean = -(g.sum(2) * r)
    to_var = -0.5 * (g * centered).sum(2) * r**3
    dw, dv = (means * to_mean).sum((1, 2)), (variances * to_var).sum((1, 2))
    return (np.diag(w) - np.outer(w, w)) @ dw, (np.diag(v) - np.outer(v, v)) @ dv


def shares_package(dy, x, mean_weight, var_weight, weight, eps):
    backward = normcourse.switchable_norm_backward
    return backward(dy, x, mean_weight, var_weight, weight, None, eps)[1:3]


def shares_autograd(dy, x, mean_weight, var_weight, weight, eps):
    dy, x, mean_weight, var_weight, weight = tensors(dy, x, mean_weight, var_weight, weight)
    logits = mean_weight.requires_grad_(), var_weight.requires_grad_()
    y = normcourse.switchable_norm(x, *logits, weight, None, eps)
    return torch.autograd.grad(y, logits, dy)


def sni_float32(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps):
    w, v = (np.exp(a) / np.exp(a).sum() for a in (mean_weight, var_weight))
    axes = tuple(range(2, x.ndim)), tuple(range(1, x.ndim))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    means = [*(x.mean(a, keepdims=True) for a in axes), running_mean.reshape(shape)]
    variances = [*(x.var(a, keepdims=True) for a in axes), running_var.reshape(shape)]
    mean = sum(share * m for share, m in zip(w, means, strict=True))
    var = sum(share * s for share, s in zip(v, variances, strict=True))
    return weight.reshape(shape) * (x - mean) / np.sqrt(var + eps) + bias.reshape(shape)


def sni_folded(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps):
    w, v = np.exp(mean_weight), np.exp(var_weight)
    w, v = w / w.sum(), v / v.sum()
    mean_in, mean_ln, _, var_in, var_ln, _ = three_from_one_pass(x)
    mean = w[0] * mean_in + w[1] * mean_ln + w[2] * running_mean
    var = v[0] * var_in + v[1] * var_ln + v[2] * running_var
    scale = weight / np.sqrt(var + eps)
    shape = (*x.shape[:2], *[1] * (x.ndim - 2))
    return scale.reshape(shape) * x + (bias - scale * mean).reshape(shape)


def sni_by_sample(x, running_mean, running_var, mean_weight, var_weight, weight, bias, eps):
    """One sample after the other."""
    arguments = running_mean, running_var, mean_weight, var_weight, weight, bias, eps
    return np.concatenate([sni_float32(x[i : i + 1], *arguments) for i in range(len(x))])


def sni_torch(x, *arguments):
    *arrays, eps = arguments
    return normcourse.switchable_norm_inference(*tensors(x, *arrays), eps)


# --- spectral_norm: right -----------------------------------------------------------------------


def matrix_by_rows(weight, dim):
    return np.stack([row.ravel() for row in np.moveaxis(weight, dim, 0)])


def matrix_torch(weight, dim):
    (weight,) = tensors(weight)
    return weight.movedim(dim, 0).flatten(1)


def power_norms(weight_matrix, u, v, n, eps):
    for _ in range(n):
        u = weight_matrix @ v
        u = u / max(np.linalg.norm(u), eps)
        v = weight_matrix.T @ u
        v = v / max(np.linalg.norm(v), eps)
    return u, v


def power_loops(weight_matrix, u, v, n, eps):
    h, w = weight_matrix.shape
    u, v = list(u), list(v)
    for _ in range(n):
        u = [math.fsum(weight_matrix[i, j] * v[j] for j in range(w)) for i in range(h)]
        length = max(math.hypot(*u), eps)
        u = [number / length for number in u]
        v = [math.fsum(weight_matrix[i, j] * u[i] for i in range(h)) for j in range(w)]
        length = max(math.hypot(*v), eps)
        v = [number / length for number in v]
    return np.float32(u), np.float32(v)


def power_torch(weight_matrix, u, v, n, eps):
    weight_matrix, u, v = tensors(weight_matrix, u, v)
    for _ in range(n):
        u = F.normalize(weight_matrix.mv(v), dim=0, eps=eps)
        v = F.normalize(weight_matrix.T.mv(u), dim=0, eps=eps)
    return u, v


def power_einsum(weight_matrix, u, v, n, eps):
    for _ in range(n):
        u = np.einsum("ij,j->i", weight_matrix, v)
        u = u / np.sqrt(np.maximum(np.einsum("i,i", u, u), np.float32(eps) ** 2))
        v = np.einsum("ij,i->j", weight_matrix, u)
        v = v / np.sqrt(np.maximum(np.einsum("i,i", v, v), np.float32(eps) ** 2))
    return u, v


def spectral_package(weight, u, v, training, n, dim):
    if training:
        u, v = normcourse.power_iteration(normcourse.as_matrix(weight, dim), u, v, n)
    return normcourse.spectral_norm(weight, u, v, dim), u, v


def spectral_einsum(weight, u, v, training, n, dim):
    matrix = matrix_by_rows(weight, dim)
    if training:
        u, v = power_norms(matrix, u, v, n, 1e-12)
    return weight / np.einsum("i,ij,j", u, matrix, v), u, v


def spectral_torch(weight, u, v, training, n, dim):
    h, w = len(u), len(v)
    shape = weight.shape
    weight, u, v = tensors(weight, u, v)
    layer = torch.nn.Linear(w, h, bias=False)
    layer = torch.nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=n)
    state = {"original": weight.movedim(dim, 0).flatten(1), "0._u": u, "0._v": v}
    layer.load_state_dict({f"parametrizations.weight.{key}": a for key, a in state.items()})
    layer.train(training)
    moved = [shape[dim], *(m for i, m in enumerate(shape) if i != dim % len(shape))]
    result = layer.weight.detach().reshape(moved).movedim(0, dim)
    state = layer.state_dict()
    return result, state["parametrizations.weight.0._u"], state["parametrizations.weight.0._v"]


def spectral_back(dy, weight, u, v, dim):
    matrix = np.moveaxis(weight, dim, 0)
    sigma = u @ matrix.reshape(len(u), -1) @ v
    uv = np.moveaxis(np.outer(u, v).reshape(matrix.shape), 0, dim)
    return (dy - (dy * weight).sum() / sigma * uv) / sigma


def spectral_back_autograd(dy, weight, u, v, dim):
    dy, weight, u, v = tensors(dy, weight, u, v)
    weight.requires_grad_()
    sigma = u @ weight.movedim(dim, 0).flatten(1) @ v
    return torch.autograd.grad(weight / sigma, weight, dy)[0]


def spectral_back_loops(dy, weight, u, v, dim):
    """Number by number, in the order of the matrix."""
    order = np.arange(weight.size).reshape(weight.shape)
    order = np.moveaxis(order, dim, 0).reshape(len(u), len(v))
    flat, up, dw = weight.ravel().astype(float), dy.ravel(), np.empty(weight.size)
    sigma = sum(flat[order[i, j]] * u[i] * v[j] for i, j in np.ndindex(order.shape))
    dsigma = -sum(float(a) * b for a, b in zip(up, flat, strict=True)) / sigma**2
    for i, j in np.ndindex(order.shape):
        dw[order[i, j]] = up[order[i, j]] / sigma + dsigma * u[i] * v[j]
    return dw.reshape(weight.shape).astype(np.float32)


# --- divisive_norm: right -----------------------------------------------------------------------


def dn_channels_last(x, weight, sigma, gain, exponent):
    """Returns a view that is not contiguous."""
    drive = np.maximum(np.moveaxis(x, 1, -1), 0) ** exponent
    return np.moveaxis(gain * drive / (sigma**exponent + drive @ weight.T), -1, 1)


def dn_loops(x, weight, sigma, gain, exponent):
    y = np.empty_like(x)
    for n, *place in np.ndindex(len(x), *x.shape[2:]):
        powers = [max(float(v), 0.0) ** exponent for v in x[(n, slice(None), *place)]]
        for i, power in enumerate(powers):
            pool = math.fsum(w * other for w, other in zip(weight[i], powers, strict=True))
            y[(n, i, *place)] = gain[i] * power / (sigma[i] ** exponent + pool)
    return y


def dn_in_units_of_sigma(x, weight, sigma, gain, exponent):
    """By logarithms, each denominator divided by its sigma to the n."""
    rows = np.maximum(x, 0).reshape(*x.shape[:2], -1)
    with np.errstate(divide="ignore"):
        power = np.exp(exponent * np.log(rows))
    floor = np.exp(exponent * np.log(sigma))[:, None]
    return (gain[:, None] * power / floor / (1 + weight / floor @ power)).reshape(x.shape)


def dn_torch(x, weight, sigma, gain, exponent):
    x, weight, sigma, gain = tensors(x, weight, sigma, gain)
    shape = axes_and_shape(x)[1]
    power = x.clamp(min=0) ** exponent
    pool = torch.einsum("ij,nj...->ni...", weight, power)
    return gain.view(shape) * power / (sigma.view(shape) ** exponent + pool)


def gdn_rows(x, weight, bias, power):
    rows = x.reshape(*x.shape[:2], -1)
    return (rows / (bias[:, None] + weight @ rows**2) ** power).reshape(x.shape)


def gdn_loops(x, weight, bias, power):
    y = np.empty_like(x)
    for i in range(x.shape[1]):
        d = bias[i] + sum(weight[i, j] * x[:, j] ** 2 for j in range(x.shape[1]))
        y[:, i] = x[:, i] * d**-power
    return y


def gdn_folded(x, weight, bias, power):
    """The bias as the weight of one more channel, whose input is 1; in float64 inside."""
    squares = np.insert(np.square(x, dtype=float), 0, 1, axis=1)
    folded = np.insert(weight.astype(float), 0, bias, axis=1)
    d = np.moveaxis(np.tensordot(folded, squares, (1, 1)), 0, 1)
    return (x * np.exp(-power * np.log(d))).astype(x.dtype)


def gdn_torch(x, weight, bias, power):
    """A convolution with kernels of one pixel, as GDN is written."""
    x, weight, bias = tensors(x, weight, bias)
    rows = x.flatten(2) if x.ndim > 2 else x[..., None]
    return x / (F.conv1d(rows**2, weight[..., None], bias) ** power).reshape(x.shape)


def pool_by_indices(channels, size, alpha):
    ahead = np.arange(channels) - np.arange(channels)[:, None]
    band = (ahead >= -(size // 2)) & (ahead <= (size - 1) // 2)
    return np.where(band, alpha / size, 0).astype(np.float32)


def pool_loops(channels, size, alpha):
    weight = np.zeros((channels, channels), np.float32)
    for i in range(channels):
        weight[i, max(0, i - size // 2) : i + (size + 1) // 2] = alpha / size
    return weight


def pool_of_diagonals(channels, size, alpha):
    first = -(size // 2)
    return sum(np.eye(channels, k=k) for k in range(first, first + size)) * (alpha / size)


def pool_torch(channels, size, alpha):
    """What torch does to a channel that holds 1: zeros beside it, and a mean."""
    padded = F.pad(torch.eye(channels), (size // 2, (size - 1) // 2))
    return alpha * F.avg_pool1d(padded, size, stride=1).T


def gdnb_rows(dy, x, weight, bias, power):
    v, g = x.reshape(*x.shape[:2], -1), dy.reshape(*x.shape[:2], -1)
    d = bias[:, None] + weight @ v**2
    t = -power * g * v * d ** (-power - 1)
    dx = g * d**-power + 2 * v * (weight.T @ t)
    dweight = np.einsum("nip,njp->ij", t, v**2)
    return dx.reshape(x.shape), dweight, t.sum((0, 2))


def gdnb_autograd(dy, x, weight, bias, power):
    dy, *inputs = tensors(dy, x, weight, bias)
    x, weight, bias = (i.requires_grad_() for i in inputs)
    pool = torch.einsum("ij,nj...->ni...", weight, x**2)
    y = x / (bias.view(axes_and_shape(x)[1]) + pool) ** power
    return torch.autograd.grad(y, (x, weight, bias), dy)


def gdnb_jacobian(dy, x, weight, bias, power):
    """Position by position, with the matrix of all derivatives."""
    dx, dweight, dbias = np.empty_like(x), np.zeros_like(weight), np.zeros_like(bias)
    for n, *place in np.ndindex(len(x), *x.shape[2:]):
        at = (n, slice(None), *place)
        v, g = x[at].astype(float), dy[at].astype(float)
        d = bias + weight @ v**2
        by_d = -power * v * d ** (-power - 1)
        dx[at] = g @ (np.diag(d**-power) + by_d[:, None] * weight * 2 * v)
        dbias += g * by_d
        dweight += np.outer(g * by_d, v**2)
    return dx, dweight, dbias


def gdnb_step_by_step(dy, x, weight, bias, power):
    """Through the graph, node by node, with the channels last."""
    g, v = np.moveaxis(dy, 1, -1), np.moveaxis(x, 1, -1)
    d = v**2 @ weight.T + bias
    r = d**power
    dr = -g * v / r**2
    dd = power * d ** (power - 1) * dr
    dsquare = dd @ weight
    rows = -1, x.shape[1]
    dweight = dd.reshape(rows).T @ (v**2).reshape(rows)
    return np.moveaxis(g / r + dsquare * 2 * v, -1, 1), dweight, dd.reshape(rows).sum(0)


# --- rescaling: right ---------------------------------------------------------------------------


# --- instance_norm: right -----------------------------------------------------------------------


def positions(x):
    return tuple(range(2, x.ndim))


def in_loops(x, weight, bias, eps):
    y = np.empty_like(x)
    for n, c in np.ndindex(x.shape[:2]):
        values = x[n, c].ravel().astype(float)
        mu = math.fsum(values) / len(values)
        var = math.fsum((v - mu) ** 2 for v in values) / len(values)
        y[n, c] = (x[n, c] - mu) / math.sqrt(var + eps) * weight[c] + bias[c]
    return y


def in_float32(x, weight, bias, eps):
    c = x - x.mean(positions(x), keepdims=True)
    std = np.sqrt((c**2).mean(positions(x), keepdims=True) + np.float32(eps))
    shape = (-1,) + (1,) * (x.ndim - 2)
    return weight.reshape(shape) * (c / std) + bias.reshape(shape)


def in_torch(x, weight, bias, eps):
    x, weight, bias = tensors(x, weight, bias)
    return F.instance_norm(x, weight=weight, bias=bias, eps=eps)


def inb_autograd(dy, x, weight, bias, eps):
    dy, *inputs = tensors(dy, x, weight, bias)
    inputs = [i.requires_grad_() for i in inputs]
    y = F.instance_norm(inputs[0], weight=inputs[1], bias=inputs[2], eps=eps)
    return torch.autograd.grad(y, inputs, dy)


def inb_step_by_step(dy, x, weight, bias, eps):
    """Through the graph, node by node, on rows."""
    rows, gradient = (a.reshape(*x.shape[:2], -1) for a in (x, dy))
    c = rows - rows.mean(2, keepdims=True)
    r = 1 / np.sqrt((c**2).mean(2, keepdims=True) + eps)
    g = gradient * weight[:, None]
    dvar = -0.5 * r**3 * (g * c).sum(2, keepdims=True)
    dc = g * r + 2 / c.shape[2] * c * dvar
    dx = dc - dc.mean(2, keepdims=True)
    return dx.reshape(x.shape), (gradient * c * r).sum((0, 2)), gradient.sum((0, 2))


def adapted(x, style, eps):
    def statistics(a):
        axis = tuple(range(2, a.ndim))
        return a.mean(axis, keepdims=True), a.var(axis, keepdims=True)

    (mu, var), (style_mu, style_var) = statistics(x), statistics(style)
    return (x - mu) / np.sqrt(var + eps) * np.sqrt(style_var + eps) + style_mu


def adapted_torch(x, style, eps):
    x, style = tensors(x, style)
    width = (style.var(positions(style), correction=0, keepdim=True) + eps).sqrt()
    return F.instance_norm(x, eps=eps) * width + style.mean(positions(style), keepdim=True)


def adapted_by_package(x, style, eps):
    """Each sample by the package's own function, with the style's statistics as parameters."""
    mean = style.mean(positions(style))
    std = np.sqrt(style.var(positions(style)) + np.float32(eps))
    return np.concatenate(
        [
            normcourse.instance_norm(x[n : n + 1], std[n], mean[n], eps).astype(x.dtype)
            for n in range(len(x))
        ]
    )


def adapted_autograd(dy, x, style, eps):
    dy, *inputs = tensors(dy, x, style)
    inputs = [i.requires_grad_() for i in inputs]
    width = (inputs[1].var(positions(style), correction=0, keepdim=True) + eps).sqrt()
    y = F.instance_norm(inputs[0], eps=eps) * width
    y = y + inputs[1].mean(positions(style), keepdim=True)
    return torch.autograd.grad(y, inputs, dy)


def adapted_backward(dy, x, style, eps):
    axis, style_axis = tuple(range(2, x.ndim)), tuple(range(2, style.ndim))
    c, sc = x - x.mean(axis, keepdims=True), style - style.mean(style_axis, keepdims=True)
    r = ((c**2).mean(axis, keepdims=True) + eps) ** -0.5
    s = ((sc**2).mean(style_axis, keepdims=True) + eps) ** 0.5
    g = dy * s
    dx = (g - g.mean(axis, keepdims=True)) * r
    dx = dx - c * r * (g * c * r).mean(axis, keepdims=True) * r
    total, along = dy.sum(axis, keepdims=True), (dy * c * r).sum(axis, keepdims=True)
    return dx, (total + sc / s * along) / style[0, 0].size


# --- layer_norm: right --------------------------------------------------------------------------


def ln_loops(x, normalized_shape, weight, bias, eps):
    rows = x.reshape(-1, math.prod(normalized_shape))
    y = np.empty_like(rows)
    for i, row in enumerate(rows.astype(float)):
        mu = math.fsum(row) / len(row)
        var = math.fsum((v - mu) ** 2 for v in row) / len(row)
        y[i] = (row - mu) / math.sqrt(var + eps) * weight.ravel() + bias.ravel()
    return y.reshape(x.shape)


def ln_float32(x, normalized_shape, weight, bias, eps):
    axis = tuple(range(-len(normalized_shape), 0))
    centered = x - x.mean(axis, keepdims=True)
    std = np.sqrt((centered**2).mean(axis, keepdims=True) + np.float32(eps))
    return weight * (centered / std) + bias


def ln_torch(x, normalized_shape, weight, bias, eps):
    x, weight, bias = tensors(x, weight, bias)
    return F.layer_norm(x, normalized_shape, weight, bias, eps)


def lnb_autograd(dy, x, normalized_shape, weight, bias, eps):
    dy, *inputs = tensors(dy, x, weight, bias)
    inputs = [i.requires_grad_() for i in inputs]
    y = F.layer_norm(inputs[0], normalized_shape, *inputs[1:], eps)
    return torch.autograd.grad(y, inputs, dy)


def lnb_step_by_step(dy, x, normalized_shape, weight, bias, eps):
    """Through the graph, node by node, on rows."""
    rows, gradient = (a.reshape(-1, weight.size) for a in (x, dy))
    n = weight.size
    c = rows - rows.mean(1, keepdims=True)
    r = 1 / np.sqrt((c**2).mean(1, keepdims=True) + eps)
    g = gradient * weight.ravel()
    dvar = -0.5 * r**3 * (g * c).sum(1, keepdims=True)
    dc = g * r + 2 / n * c * dvar
    dx = dc - dc.mean(1, keepdims=True)
    dweight, dbias = (gradient * c * r).sum(0), gradient.sum(0)
    return dx.reshape(x.shape), dweight.reshape(weight.shape), dbias.reshape(bias.shape)


# --- group_norm: right --------------------------------------------------------------------------


def gn_groups(x, num_groups, eps):
    """x̂ in its own shape, and 1/√(σ² + ε) of each group (N, G, 1), in the precision of x."""
    rows = x.reshape(len(x), num_groups, -1)
    c = rows - rows.mean(2, keepdims=True)
    r = 1 / np.sqrt((c**2).mean(2, keepdims=True) + np.asarray(eps, x.dtype))
    return (c * r).reshape(x.shape), r


def gn_float32(x, num_groups, weight, bias, eps):
    shape = axes_and_shape(x)[1]
    return gn_groups(x, num_groups, eps)[0] * weight.reshape(shape) + bias.reshape(shape)


def gn_torch(x, num_groups, weight, bias, eps):
    x, weight, bias = tensors(x, weight, bias)
    return F.group_norm(x, num_groups, weight, bias, eps)


def gn_folded(x, num_groups, weight, bias, eps):
    """y = a x + b with a scale and a shift for each channel of each sample."""
    rows = x.reshape(len(x), num_groups, -1).astype(float)
    each = x.shape[1] // num_groups
    mean, std = rows.mean(2).repeat(each, 1), np.sqrt(rows.var(2) + eps).repeat(each, 1)
    a = weight / std
    shape = (*a.shape, *[1] * (x.ndim - 2))
    return (a.reshape(shape) * x + (bias - a * mean).reshape(shape)).astype(x.dtype)


def gnb_autograd(dy, x, num_groups, weight, bias, eps):
    dy, *inputs = tensors(dy, x, weight, bias)
    x, weight, bias = inputs = [i.requires_grad_() for i in inputs]
    return torch.autograd.grad(F.group_norm(x, num_groups, weight, bias, eps), inputs, dy)


def gnb_float32(dy, x, num_groups, weight, bias, eps):
    axis, shape = axes_and_shape(x)
    xhat, r = gn_groups(x, num_groups, eps)
    g, h = ((a).reshape(len(x), num_groups, -1) for a in (dy * weight.reshape(shape), xhat))
    dx = r * (g - g.mean(2, keepdims=True) - h * (g * h).mean(2, keepdims=True))
    return dx.reshape(x.shape), (dy * xhat).sum(axis), dy.sum(axis)


def from_batch_norm(x, num_groups, running_mean, running_var, weight, bias, eps):
    """From the outputs of the package's two layers; the sign from their correlation."""
    axis, shape = axes_and_shape(x)
    y = normcourse.batch_norm_inference(x, running_mean, running_var, weight, bias, eps)
    xhat = normcourse.group_norm(x, num_groups, eps=eps)
    new = np.sign(weight) * y.std(axis) / xhat.std(axis)
    return new, y.mean(axis) - (new.reshape(shape) * xhat).mean(axis)


def from_batch_norm_alone(x, num_groups, running_mean, running_var, weight, bias, eps):
    axis, shape = axes_and_shape(x)
    mean, var, gamma, beta = (p.reshape(shape) for p in (running_mean, running_var, weight, bias))
    y = gamma * (x - mean) / np.sqrt(var + eps) + beta
    parts = x.reshape(len(x), num_groups, -1)
    xhat = parts - parts.mean(2, keepdims=True)
    xhat = (xhat / np.sqrt(parts.var(2, keepdims=True) + eps)).reshape(x.shape)
    new = np.sign(weight) * y.std(axis) / xhat.std(axis)
    return new, y.mean(axis) - (new.reshape(shape) * xhat).mean(axis)


def from_batch_norm_torch(x, num_groups, running_mean, running_var, weight, bias, eps):
    x, mean, var, weight, bias = tensors(x, running_mean, running_var, weight, bias)
    y = F.batch_norm(x, mean, var, weight, bias, False, 0.1, eps).transpose(0, 1).flatten(1)
    xhat = F.group_norm(x, num_groups, eps=eps).transpose(0, 1).flatten(1)
    new = weight.sign() * y.std(1) / xhat.std(1)
    return new, y.mean(1) - new * xhat.mean(1)


# --- pre_norm_block: right ----------------------------------------------------------------------


def block_package(x, weight, bias, W, eps):
    return x + normcourse.layer_norm(x, weight.shape, weight, bias, eps) @ W


def block_float64(x, weight, bias, W, eps):
    return block_package(*(a.astype(np.float64) for a in (x, weight, bias, W)), eps)


def block_alone(x, weight, bias, W, eps):
    centered = x - x.mean(-1, keepdims=True)
    xhat = centered / np.sqrt((centered**2).mean(-1, keepdims=True) + eps)
    return x + (weight * xhat + bias) @ W


def block_torch(x, weight, bias, W, eps):
    x, weight, bias, W = tensors(x, weight, bias, W)
    return x + F.linear(F.layer_norm(x, weight.shape, weight, bias, eps), W.T)


def block_back_package(dy, x, weight, bias, W, eps):
    h = normcourse.layer_norm(x, weight.shape, weight, bias, eps)
    through = normcourse.layer_norm_backward(dy @ W.T, x, weight.shape, weight, bias, eps)
    d = len(weight)
    return dy + through[0], *through[1:], h.reshape(-1, d).T @ dy.reshape(-1, d)


def block_back_autograd(dy, x, weight, bias, W, eps):
    dy, *inputs = tensors(dy, x, weight, bias, W)
    x, weight, bias, W = (i.requires_grad_() for i in inputs)
    y = x + F.layer_norm(x, weight.shape, weight, bias, eps) @ W
    return torch.autograd.grad(y, (x, weight, bias, W), dy)


def block_back_one_token_at_a_time(dy, x, weight, bias, W, eps):
    dx, total = np.empty_like(x), None
    for i in np.ndindex(x.shape[:-1]):
        dx[i], *rest = one_token(dy[i], x[i], weight, bias, W, eps)
        total = rest if total is None else [a + b for a, b in zip(total, rest, strict=True)]
    return dx, *total


def one_token(up, v, weight, bias, W, eps):
    s = np.sqrt(v.var() + eps)
    xhat = (v - v.mean()) / s
    back = W @ up
    g = back * weight
    dx = up + (g - g.mean() - xhat * (g * xhat).mean()) / s
    return dx, back * xhat, back, np.outer(weight * xhat + bias, up)


# --- rms_norm: right ----------------------------------------------------------------------------


def rms_loops(x, normalized_shape, weight, eps):
    y = np.empty_like(x)
    for i in np.ndindex(x.shape[: x.ndim - len(normalized_shape)]):
        squares = math.fsum(float(v) ** 2 for v in x[i].flat)
        y[i] = weight * (x[i] / math.sqrt(squares / x[i].size + eps))
    return y


def rms_float32(x, normalized_shape, weight, eps):
    axis = tuple(range(-len(normalized_shape), 0))
    return weight * x / np.sqrt(np.square(x).mean(axis, keepdims=True) + np.float32(eps))


def rms_torch(x, normalized_shape, weight, eps):
    x, weight = tensors(x, weight)
    return F.rms_norm(x, normalized_shape, weight, eps)


def rmsb_autograd(dy, x, normalized_shape, weight, eps):
    dy, *inputs = tensors(dy, x, weight)
    inputs = [i.requires_grad_() for i in inputs]
    return torch.autograd.grad(F.rms_norm(inputs[0], normalized_shape, inputs[1], eps), inputs, dy)


def rmsb_step_by_step(dy, x, normalized_shape, weight, eps):
    """Through the graph, node by node, on rows."""
    rows, gradient = (a.reshape(-1, weight.size) for a in (x, dy))
    s = 1 / np.sqrt((rows**2).mean(1, keepdims=True) + eps)
    g = gradient * weight.ravel()
    dsquare = -0.5 * s**3 * (g * rows).sum(1, keepdims=True)
    dx = g * s + 2 / weight.size * rows * dsquare
    return dx.reshape(x.shape), (gradient * rows * s).sum(0).reshape(weight.shape)


def rmsb_jacobian(dy, x, normalized_shape, weight, eps):
    """By the Jacobian of each sample."""
    dx, dweight = np.empty_like(x), np.zeros_like(weight)
    for i in np.ndindex(x.shape[: x.ndim - len(normalized_shape)]):
        v, d = x[i].reshape(-1).astype(float), dy[i].reshape(-1).astype(float)
        r = np.sqrt((v**2).mean() + eps)
        jacobian = (np.eye(v.size) - np.outer(v, v) / (v.size * r**2)) / r
        dx[i] = ((d * weight.ravel()) @ jacobian).reshape(dx[i].shape)
        dweight += dy[i] * x[i] / np.float32(r)
    return dx, dweight


def to_rms_by_matrices(weight, bias, W_read, b_read, W_write, b_write):
    centring = np.eye(len(b_write), dtype=np.float32) - np.float32(1 / len(b_write))
    new_read = W_read @ np.diag(weight), W_read @ bias + b_read
    return *new_read, centring @ W_write, centring @ b_write


def to_rms_loops(weight, bias, W_read, b_read, W_write, b_write):
    W_read_new, b_read_new = np.empty_like(W_read), b_read.copy()
    for i in range(len(W_read)):
        for j in range(len(weight)):
            W_read_new[i, j] = W_read[i, j] * weight[j]
            b_read_new[i] += W_read[i, j] * bias[j]
    columns = [column - column.mean() for column in W_write.T]
    return W_read_new, b_read_new, np.stack(columns, axis=1), b_write - np.mean(b_write)


def to_rms_torch(weight, bias, W_read, b_read, W_write, b_write):
    weight, bias, W_read, b_read, W_write, b_write = tensors(
        weight, bias, W_read, b_read, W_write, b_write
    )
    shift = F.linear(bias, W_read, b_read)
    return [W_read * weight, shift, W_write - W_write.mean(0), b_write - b_write.mean()]


# --- weight_norm: right -------------------------------------------------------------------------


def wn_loops(v, g, dim=0):
    """Vector by vector."""
    if dim in (None, -1):
        return v * (g / np.float32(math.sqrt(math.fsum(float(a) ** 2 for a in v.flat))))
    w = np.moveaxis(np.empty_like(v), dim, 0)
    for i, vector in enumerate(np.moveaxis(v, dim, 0)):
        w[i] = vector * (g.flat[i] / np.float32(math.sqrt(sum(float(a) ** 2 for a in vector.flat))))
    return np.moveaxis(w, 0, dim)


def wn_float32(v, g, dim=0):
    axes = tuple(a for a in range(v.ndim) if dim in (None, -1) or a != dim % v.ndim)
    return g * (v / np.sqrt((v * v).sum(axes, keepdims=True)))


def wn_matrix(v, g, dim=0):
    """As a matrix of rows, by a diagonal of lengths."""
    if dim in (None, -1):
        return (v / np.linalg.norm(v)) * g
    front = np.moveaxis(v, dim, 0)
    rows = front.reshape(len(front), -1)
    lengths = g.ravel() / np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.moveaxis((np.diag(lengths) @ rows).reshape(front.shape), 0, dim)


def wn_torch(v, g, dim=0):
    layer = torch.nn.Module()
    layer.weight = torch.nn.Parameter(torch.from_numpy(v))
    parametrizations.weight_norm(layer, dim=dim)
    with torch.no_grad():
        layer.parametrizations.weight.original0.copy_(torch.from_numpy(g))
    return layer.weight.detach()


def wnb_autograd(dw, v, g, dim=0):
    dw, *inputs = (torch.tensor(a) for a in (dw, v, g))
    v, g = inputs = [i.requires_grad_() for i in inputs]
    axes = [a for a in range(v.ndim) if dim in (None, -1) or a != dim % v.ndim]
    return torch.autograd.grad(g * v / (v**2).sum(axes, keepdim=True) ** 0.5, inputs, dw)


def wnb_step_by_step(dw, v, g, dim=0):
    """Through the graph, node by node."""
    axes = tuple(a for a in range(v.ndim) if dim in (None, -1) or a != dim % v.ndim)
    s = 1 / np.sqrt((v**2).sum(axes, keepdims=True))
    dvhat = dw * g
    dsquare = -0.5 * s**3 * (dvhat * v).sum(axes, keepdims=True)
    return dvhat * s + 2 * v * dsquare, (dw * v * s).sum(axes).reshape(g.shape)


def wnb_jacobian(dw, v, g, dim=0):
    """By the Jacobian of each vector."""
    keep = 0 if dim in (None, -1) else dim
    one = (lambda a: a[None]) if dim in (None, -1) else (lambda a: a)
    dv = np.empty_like(one(v))
    dg = []
    turned = [np.moveaxis(one(a), keep, 0) for a in (v, dw, dv)]
    for k, vector, d, out in zip(g.flat, *turned, strict=True):
        u, d = vector.ravel().astype(float), d.ravel().astype(float)
        norm = np.sqrt(u @ u)
        jacobian = k / norm * (np.eye(u.size) - np.outer(u, u) / norm**2)
        out[...] = (d @ jacobian).reshape(out.shape)
        dg.append(d @ u / norm)
    return dv.reshape(v.shape), np.float32(dg).reshape(g.shape)


def start_numpy(v, x):
    t = x @ (v / np.linalg.norm(v, axis=1, keepdims=True)).T
    axes = tuple(range(t.ndim - 1))
    g = 1 / t.std(axes)
    return g[:, None], -g * t.mean(axes)


def start_loops(v, x):
    rows = [[float(a) for a in row] for row in x.reshape(-1, x.shape[-1])]
    g, b = [], []
    for vector in v:
        norm = math.sqrt(math.fsum(float(a) ** 2 for a in vector))
        t = [sum(float(a) * c for a, c in zip(vector, row, strict=True)) / norm for row in rows]
        mean = math.fsum(t) / len(t)
        std = math.sqrt(math.fsum((a - mean) ** 2 for a in t) / len(t))
        g.append([1 / std])
        b.append(-mean / std)
    return np.float32(g), np.float32(b)


def start_without_unit_vectors(v, x):
    """From v · x, whose standard deviation holds the norm of v."""
    t = x.reshape(-1, x.shape[-1]) @ v.T
    std = t.std(0)
    return (np.sqrt((v**2).sum(1)) / std)[:, None], -t.mean(0) / std


def start_torch(v, x):
    v, x = tensors(v, x)
    t = F.linear(x, F.normalize(v, dim=1)).flatten(0, -2)
    std, mean = torch.std_mean(t, 0, correction=0)
    return 1 / std[:, None], -mean / std


def fold_package(weight_g, weight_v):
    long = [a for a, n in enumerate(weight_g.shape) if n > 1]
    dim = None if weight_g.ndim == 0 else max(long, default=0)
    return normcourse.weight_norm(weight_v, weight_g, dim)


def fold_by_shape(weight_g, weight_v):
    axes = tuple(a for a in range(weight_v.ndim) if weight_g.ndim == 0 or weight_g.shape[a] == 1)
    return weight_v * (weight_g / np.sqrt((weight_v**2).sum(axes, keepdims=True)))


def fold_loops(weight_g, weight_v):
    g, weight = np.broadcast_to(weight_g, weight_v.shape), weight_v.copy()
    for length in np.unique(g):
        vector = weight_v[g == length]
        weight[g == length] *= length / np.linalg.norm(vector)
    return weight


def fold_torch(weight_g, weight_v):
    g, v = tensors(weight_g, weight_v)
    g = g.reshape(weight_g.shape)
    axes = [a for a in range(v.ndim) if g.ndim == 0 or g.shape[a] == 1]
    return g * v / torch.linalg.vector_norm(v, dim=axes, keepdim=True)


# --- rescaling: right ---------------------------------------------------------------------------


def min_max_package(X_train, X_new, low, high):
    return normcourse.min_max_scale(X_new, *normcourse.min_max_statistics(X_train), (low, high))


def min_max_sklearn(X_train, X_new, low, high):
    return preprocessing.MinMaxScaler((low, high)).fit(X_train).transform(X_new)


def min_max_loops(X_train, X_new, low, high):
    Z = np.zeros_like(X_new)
    for j in range(X_new.shape[1]):
        lowest, highest = min(X_train[:, j]), max(X_train[:, j])
        width = highest - lowest or 1
        for i in range(X_new.shape[0]):
            Z[i, j] = low + (X_new[i, j] - lowest) / width * (high - low)
    return Z


def min_max_torch(X_train, X_new, low, high):
    X_train, X_new = tensors(X_train, X_new)
    lowest, width = X_train.amin(0), X_train.amax(0) - X_train.amin(0)
    return torch.lerp(
        torch.tensor(low), torch.tensor(high), (X_new - lowest) / width.masked_fill(width == 0, 1)
    )


def inverse_package(X_train, Z, low, high):
    return normcourse.min_max_inverse(Z, *normcourse.min_max_statistics(X_train), (low, high))


def inverse_sklearn(X_train, Z, low, high):
    return preprocessing.MinMaxScaler((low, high)).fit(X_train).inverse_transform(Z)


def inverse_folded(X_train, Z, low, high):
    width = np.ptp(X_train, axis=0)
    slope = np.where(width == 0, 1, width) / np.float32(high - low)
    return slope * Z + (X_train.min(0) - slope * low)


def standard_package(X_train, X_new):
    return normcourse.standard_scale(X_new, *normcourse.standard_statistics(X_train)[1:])


def standard_sklearn(X_train, X_new):
    return preprocessing.StandardScaler().fit(X_train).transform(X_new)


def standard_loops(X_train, X_new):
    columns = []
    for train, new in zip(X_train.T, X_new.T, strict=True):
        mean = sum(train) / len(train)
        std = math.sqrt(sum((v - mean) ** 2 for v in train) / len(train))
        columns.append((new - mean) / (std if std > 0 else 1))
    return np.array(columns).T


def standard_torch(X_train, X_new):
    X_train, X_new = tensors(X_train, X_new)
    std, mean = torch.std_mean(X_train, dim=0, correction=0)
    return (X_new - mean) / torch.where(std > 0, std, 1.0)


def merge_around_the_common_mean(a, b):
    n = a[0] + b[0]
    mean = (a[0] * a[1] + b[0] * b[1]) / n
    squares = sum(k * (var + (m - mean) ** 2) for k, m, var in (a, b))
    return n, mean, squares / n


def merge_in_float64(a, b):
    n = a[0] + b[0]
    (m_a, v_a), (m_b, v_b) = ([v.astype(np.float64) for v in chunk[1:]] for chunk in (a, b))
    mean = (a[0] * m_a + b[0] * m_b) / n
    var = (a[0] * (v_a + m_a**2) + b[0] * (v_b + m_b**2)) / n - mean**2
    return np.int64(n), mean.astype(np.float32), var.astype(np.float32)


def merge_one_row_at_a_time(a, b):
    """Welford, with rows that have the statistics of b."""
    n, mean, var = a
    spread = np.sqrt(b[2] * b[0] / 2)
    rows = [b[1] - spread, b[1] + spread, *[b[1]] * (b[0] - 2)]
    for row in rows:
        n, delta = n + 1, row - mean
        mean = mean + delta / n
        var = var + (delta * (row - mean) - var) / n
    return n, mean, var


# --- capstone: right ------------------------------------------------------------------------------


def scale_mended(train, new):
    mean, std = train.mean(0), train.std(0)
    std = np.where(std > 0, std, 1)
    return (train - mean) / std, (new - mean) / std


def scale_with_sklearn(train, new):
    scaler = preprocessing.StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(new)


def scale_by_columns(train, new):
    results = np.empty_like(train), np.empty_like(new)
    for j in range(train.shape[1]):
        mean = math.fsum(train[:, j].tolist()) / len(train)
        std = math.sqrt(math.fsum((v - mean) ** 2 for v in train[:, j].tolist()) / len(train))
        for result, x in zip(results, (train, new), strict=True):
            result[:, j] = (x[:, j] - mean) / (std or 1)
    return results


def scale_affine(train, new):
    mean, std = train.mean(0, dtype=float), train.std(0, dtype=float)
    scale = np.divide(1, std, out=np.ones_like(std), where=std > 0)
    shift = -mean * scale
    return tuple((x * scale + shift).astype(x.dtype) for x in (train, new))


def training_mended(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    mean = x.mean((0, 2, 3), keepdims=True)
    var = x.var((0, 2, 3), keepdims=True)
    xhat = (x - mean) / np.sqrt(var + eps)
    y = weight[:, None, None] * xhat + bias[:, None, None]
    n = x.size // x.shape[1]
    mean, var = mean.ravel(), var.ravel() * n / (n - 1)
    running_mean = (1 - momentum) * running_mean + momentum * mean
    running_var = (1 - momentum) * running_var + momentum * var
    return y, running_mean, running_var


def training_torch(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    x, weight, bias = tensors(x, weight, bias)
    running = torch.tensor(running_mean), torch.tensor(running_var)  # copies
    return F.batch_norm(x, *running, weight, bias, True, momentum, eps), *running


def training_package(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    running = normcourse.update_running_statistics(running_mean, running_var, x, momentum)
    return normcourse.batch_norm(x, weight, bias, eps), *running


def training_by_channels(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    y, means, variances = np.empty_like(x), running_mean.copy(), running_var.copy()
    for c in range(x.shape[1]):
        values = x[:, c].ravel()
        y[:, c] = weight[c] * (x[:, c] - values.mean()) / np.sqrt(values.var() + eps) + bias[c]
        means[c] += momentum * (values.mean() - means[c])
        variances[c] += momentum * (values.var(ddof=1) - variances[c])
    return y, means, variances


def use_mended(x, running_mean, running_var, weight, bias, eps=1e-5):
    mean, var = running_mean[:, None, None], running_var[:, None, None]
    xhat = (x - mean) / np.sqrt(var + eps)
    return weight[:, None, None] * xhat + bias[:, None, None]


def use_folded(x, running_mean, running_var, weight, bias, eps=1e-5):
    scale = weight / (running_var + eps) ** 0.5
    shift = bias - running_mean * scale
    return np.einsum("nchw,c->nchw", x, scale) + shift.reshape(1, -1, 1, 1)


def use_torch(x, running_mean, running_var, weight, bias, eps=1e-5):
    return F.batch_norm(*tensors(x, running_mean, running_var, weight, bias), False, 0.0, eps)


def token_mended(x, weight, eps=1e-8):
    square = (x * x).mean(-1, keepdims=True) + eps
    return (1 + weight) * x / np.sqrt(square)


def token_torch(x, weight, eps=1e-8):
    x, weight = tensors(x, weight)
    return F.rms_norm(x, x.shape[-1:], 1 + weight, eps)


def token_loops(x, weight, eps=1e-8):
    y = np.empty_like(x)
    for token in np.ndindex(x.shape[:-1]):
        values = x[token].astype(float)
        y[token] = (1.0 + weight) * values / math.sqrt(values @ values / len(values) + eps)
    return y


def token_float32_eps(x, weight, eps=1e-8):
    square = np.einsum("nld,nld->nl", x, x)[..., None] / np.float32(x.shape[-1])
    unit = x * (square + np.float32(eps)) ** -0.5
    return unit + weight * unit


def block_mended(tokens, positions, W_read, W_write, eps=1e-6):
    stream = tokens + positions
    unit = stream / np.sqrt((stream**2).mean(-1, keepdims=True) + eps)
    hidden = np.maximum(unit @ W_read, 0)
    return stream + hidden @ W_write


def block_copied(tokens, positions, W_read, W_write, eps=1e-6):
    stream = tokens + positions
    unit = np.array(stream, np.float32)
    unit /= np.sqrt(np.square(unit).mean(-1, keepdims=True) + eps)
    return stream + (unit @ W_read).clip(0) @ W_write


def first_block_torch(tokens, positions, W_read, W_write, eps=1e-6):
    tokens, positions, W_read, W_write = tensors(tokens, positions, W_read, W_write)
    stream = tokens + positions
    unit = F.rms_norm(stream, stream.shape[-1:], None, eps)
    return stream + torch.relu(unit @ W_read) @ W_write


def tune_mended(W, gamma, mean, dW, dgamma, batch_mean, frozen, rate=0.1, decay=0.1):
    if frozen:
        return W, gamma, mean
    mean = mean + 0.1 * (batch_mean - mean)
    W = W - rate * (dW + decay * W)
    return W, gamma - rate * dgamma, mean


def tune_by_factors(W, gamma, mean, dW, dgamma, batch_mean, frozen, rate=0.1, decay=0.1):
    learns = 0 if frozen else 1
    W = (1 - learns * rate * decay) * W - learns * rate * dW
    mean = (1 - 0.1 * learns) * mean + 0.1 * learns * batch_mean
    return W, gamma - learns * rate * dgamma, mean


def tune_torch(W, gamma, mean, dW, dgamma, batch_mean, frozen, rate=0.1, decay=0.1):
    if frozen:
        return W, gamma, mean
    W, gamma, mean = map(torch.tensor, (W, gamma, mean))
    W.grad, gamma.grad = map(torch.tensor, (dW, dgamma))
    groups = {"params": [W], "weight_decay": decay}, {"params": [gamma]}
    torch.optim.SGD(groups, lr=rate).step()
    return W, gamma, mean.lerp(torch.tensor(batch_mean), 0.1)


def average_mended(average, model, rate=0.01):
    pairs = zip(average, model, strict=True)
    return tuple(a + rate * (m - a) for a, m in pairs)


def average_as_list(average, model, rate=0.01):
    return [(1 - rate) * average[i] + rate * model[i] for i in range(4)]


def average_torch(average, model, rate=0.01):
    return tuple(torch.lerp(*tensors(a, m), rate) for a, m in zip(average, model, strict=True))


def exported_mended(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    scale = gamma / np.sqrt(var + eps)
    folded = W * scale
    shift = beta + (b - mean) * scale
    return x @ W + b, z @ folded + shift


def exported_by_diagonal(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    scale = np.diag(gamma / np.sqrt(var + eps))
    return x @ W + b, z @ (W @ scale) + b @ scale - mean @ scale + beta


def exported_not_folded(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    return x @ W + b, gamma * (z @ W + b - mean) / np.sqrt(var + eps) + beta


def exported_torch(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    x, z, W, b, gamma, beta, mean, var = tensors(x, z, W, b, gamma, beta, mean, var)
    layer = x @ W + b, z @ W + b
    return layer[0], F.batch_norm(layer[1], mean, var, gamma, beta, False, 0.0, eps)


RIGHT = {
    "min_max_scale": [min_max_package, min_max_sklearn, min_max_loops, min_max_torch],
    "min_max_inverse": [inverse_package, inverse_sklearn, inverse_folded],
    "standard_scale": [standard_package, standard_sklearn, standard_loops, standard_torch],
    "merge_statistics": [
        normcourse.merge_statistics,
        merge_around_the_common_mean,
        merge_in_float64,
        merge_one_row_at_a_time,
    ],
    "batch_norm": [
        normcourse.batch_norm,
        bn_loops,
        bn_float32,
        bn_float64_result,
        bn_one_pass_in_float64,
        bn_einsum,
        bn_folded,
        bn_channels_last,
        bn_torch,
    ],
    "batch_norm_backward": [
        normcourse.batch_norm_backward,
        bnb_autograd,
        bnb_float32,
        bnb_step_by_step,
        bnb_jacobian,
    ],
    "layer_norm": [normcourse.layer_norm, ln_loops, ln_float32, ln_torch],
    "layer_norm_backward": [normcourse.layer_norm_backward, lnb_autograd, lnb_step_by_step],
    "instance_norm": [normcourse.instance_norm, in_loops, in_float32, in_torch],
    "instance_norm_backward": [normcourse.instance_norm_backward, inb_autograd, inb_step_by_step],
    "adaptive_instance_norm": [adapted, adapted_torch, adapted_by_package],
    "adaptive_instance_norm_backward": [adapted_backward, adapted_autograd],
    "group_norm": [normcourse.group_norm, gn_float32, gn_torch, gn_folded],
    "group_norm_backward": [normcourse.group_norm_backward, gnb_autograd, gnb_float32],
    "batch_norm_to_group_norm": [from_batch_norm, from_batch_norm_torch, from_batch_norm_alone],
    "pre_norm_block": [block_package, block_float64, block_torch, block_alone],
    "pre_norm_block_backward": [
        block_back_package,
        block_back_autograd,
        block_back_one_token_at_a_time,
    ],
    "rms_norm": [normcourse.rms_norm, rms_loops, rms_float32, rms_torch],
    "rms_norm_backward": [
        normcourse.rms_norm_backward,
        rmsb_autograd,
        rmsb_step_by_step,
        rmsb_jacobian,
    ],
    "to_rms_norm": [to_rms_by_matrices, to_rms_loops, to_rms_torch],
    "weight_norm": [normcourse.weight_norm, wn_float32, wn_loops, wn_matrix, wn_torch],
    "weight_norm_backward": [
        normcourse.weight_norm_backward,
        wnb_step_by_step,
        wnb_jacobian,
        wnb_autograd,
    ],
    "weight_norm_init": [start_numpy, start_loops, start_without_unit_vectors, start_torch],
    "fold_weight_norm": [fold_package, fold_by_shape, fold_loops, fold_torch],
    "as_matrix": [normcourse.as_matrix, matrix_by_rows, matrix_torch],
    "power_iteration": [
        normcourse.power_iteration,
        power_norms,
        power_loops,
        power_torch,
        power_einsum,
    ],
    "spectral_norm_layer": [spectral_package, spectral_einsum, spectral_torch],
    "spectral_norm_backward": [
        normcourse.spectral_norm_backward,
        spectral_back,
        spectral_back_autograd,
        spectral_back_loops,
    ],
    "divisive_norm": [
        normcourse.divisive_norm,
        dn_channels_last,
        dn_loops,
        dn_in_units_of_sigma,
        dn_torch,
    ],
    "signed_divisive_norm": [
        normcourse.signed_divisive_norm,
        gdn_rows,
        gdn_loops,
        gdn_folded,
        gdn_torch,
    ],
    "local_response_pool": [pool_by_indices, pool_loops, pool_of_diagonals, pool_torch],
    "signed_divisive_norm_backward": [
        normcourse.signed_divisive_norm_backward,
        gdnb_rows,
        gdnb_autograd,
        gdnb_jacobian,
        gdnb_step_by_step,
    ],
    "three_statistics": [
        three_from_one_pass,
        three_directly,
        three_loops,
        three_einsum,
        three_torch,
        three_in_float64,
    ],
    "switchable_norm": [
        normcourse.switchable_norm,
        sn_float32,
        sn_from_one_pass,
        sn_folded,
        sn_loops,
        sn_torch,
    ],
    "shares_backward": [shares_step_by_step, shares_jacobian, shares_package, shares_autograd],
    "switchable_norm_inference": [
        normcourse.switchable_norm_inference,
        sni_float32,
        sni_folded,
        sni_by_sample,
        sni_torch,
    ],
    "update_running_statistics": [
        normcourse.update_running_statistics,
        update_torch,
        update_loops,
    ],
    "batch_norm_inference": [
        normcourse.batch_norm_inference,
        inference_torch,
        inference_folded,
        inference_loops,
    ],
    "batch_norm_layer": [layer_package, layer_torch, layer_alone],
    "scale_pixels": [scale_mended, scale_with_sklearn, scale_by_columns, scale_affine],
    "norm_in_training": [
        training_mended,
        training_torch,
        training_package,
        training_by_channels,
    ],
    "norm_in_use": [use_mended, use_folded, use_torch],
    "token_norm": [token_mended, token_torch, token_loops, token_float32_eps],
    "first_block": [block_mended, block_copied, first_block_torch],
    "tune_step": [tune_mended, tune_by_factors, tune_torch],
    "average_state": [average_mended, average_as_list, average_torch],
    "exported": [exported_mended, exported_by_diagonal, exported_not_folded, exported_torch],
}

# --- Wrong, and in no record --------------------------------------------------------------------


def only(right, axes):
    """``right``, but x with a number of axes not in ``axes`` comes back as it is."""

    def fn(*args):
        x = next(a for a in args if getattr(a, "ndim", 0) > 1)
        result = right(*args)
        if x.ndim in axes:
            return result
        return (0 * result[0], *result[1:]) if isinstance(result, tuple) else x

    return fn


def bn_median(x, weight, bias, eps):
    axis, shape = axes_and_shape(x)
    middle = np.median(x, axis, keepdims=True)
    std = np.sqrt(x.var(axis, keepdims=True) + eps)
    return weight.reshape(shape) * (x - middle) / std + bias.reshape(shape)


def bn_mean_absolute_deviation(x, weight, bias, eps):
    axis, shape = axes_and_shape(x)
    centered = x - x.mean(axis, keepdims=True)
    spread = abs(centered).mean(axis, keepdims=True) + eps
    return weight.reshape(shape) * centered / spread + bias.reshape(shape)


def bn_half_precision_inside(x, weight, bias, eps):
    half = (a.astype(np.float16) for a in (x, weight, bias))
    with np.errstate(over="ignore", invalid="ignore"):
        return bn_float32(*half, eps).astype(x.dtype)


def bn_wide_guard(x, weight, bias, eps):
    axis, shape = axes_and_shape(x)
    std = np.sqrt(np.maximum(x.var(axis, keepdims=True), 0.5) + eps)
    xhat = (x - x.mean(axis, keepdims=True)) / std
    return weight.reshape(shape) * xhat + bias.reshape(shape)


def bn_relative_eps(x, weight, bias, eps):
    """The formula, but 0/0 in a constant channel."""
    axis, shape = axes_and_shape(x)
    var = x.var(axis, keepdims=True)
    xhat = (x - x.mean(axis, keepdims=True)) / np.sqrt(var) / np.sqrt(1 + eps / var)
    return weight.reshape(shape) * xhat + bias.reshape(shape)


def bnb_relative_eps(dy, x, weight, bias, eps):
    dx, dweight, dbias = bnb_float32(dy, x, weight, bias, eps)
    var = x.var(axes_and_shape(x)[0])
    return dx, dweight * np.sqrt(var + eps) / (np.sqrt(var) * np.sqrt(1 + eps / var)), dbias


def bn_clipped(x, weight, bias, eps):
    shape = axes_and_shape(x)[1]
    xhat = bn_float32(x, np.ones_like(weight), np.zeros_like(bias), eps).clip(-3, 3)
    return weight.reshape(shape) * xhat + bias.reshape(shape)


def inference_squeezed(*args):
    return inference_folded(*args).squeeze()


def inference_without_tiny_variances(x, mean, var, weight, bias, eps):
    return inference_folded(x, mean, np.where(var > 0, var, 1), weight, bias, eps)


def ln_power(x, normalized_shape, weight, bias, eps):
    """The cube root of a mean cube."""
    axis = tuple(range(-len(normalized_shape), 0))
    c = x - x.mean(axis, keepdims=True)
    return weight * c / ((abs(c) ** 3).mean(axis, keepdims=True) + eps) ** (1 / 3) + bias


def ln_relative_eps(x, normalized_shape, weight, bias, eps):
    """The formula, but 0/0 in a constant row."""
    axis = tuple(range(-len(normalized_shape), 0))
    var = x.var(axis, keepdims=True)
    xhat = (x - x.mean(axis, keepdims=True)) / np.sqrt(var) / np.sqrt(1 + eps / var)
    return weight * xhat + bias


def lnb_relative_eps(dy, x, normalized_shape, weight, bias, eps):
    dx, dweight, dbias = lnb_step_by_step(dy, x, normalized_shape, weight, bias, eps)
    var = x.var(tuple(range(-len(normalized_shape), 0)), keepdims=True)
    return dx * (np.sqrt(var + eps) / (np.sqrt(var) * np.sqrt(1 + eps / var))), dweight, dbias


def ln_clipped(x, normalized_shape, weight, bias, eps):
    return ln_float32(x, normalized_shape, weight, bias, eps).clip(-1, 1)


def in_power(x, weight, bias, eps):
    """The cube root of a mean cube."""
    c = x - x.mean(positions(x), keepdims=True)
    root = ((abs(c) ** 3).mean(positions(x), keepdims=True) + eps) ** (1 / 3)
    shape = (-1,) + (1,) * (x.ndim - 2)
    return weight.reshape(shape) * c / root + bias.reshape(shape)


def in_relative_eps(x, weight, bias, eps):
    """The formula, but 0/0 in a constant channel."""
    var = x.var(positions(x), keepdims=True)
    xhat = (x - x.mean(positions(x), keepdims=True)) / np.sqrt(var) / np.sqrt(1 + eps / var)
    shape = (-1,) + (1,) * (x.ndim - 2)
    return weight.reshape(shape) * xhat + bias.reshape(shape)


def inb_relative_eps(dy, x, weight, bias, eps):
    dx, dweight, dbias = inb_step_by_step(dy, x, weight, bias, eps)
    var = x.var(positions(x), keepdims=True)
    return dx * (np.sqrt(var + eps) / (np.sqrt(var) * np.sqrt(1 + eps / var))), dweight, dbias


def adapted_relative_eps(x, style, eps):
    var, style_var = x.var(positions(x), keepdims=True), style.var(positions(style), keepdims=True)
    xhat = (x - x.mean(positions(x), keepdims=True)) / np.sqrt(var) / np.sqrt(1 + eps / var)
    return xhat * np.sqrt(style_var + eps) + style.mean(positions(style), keepdims=True)


def adapted_backward_relative_eps(dy, x, style, eps):
    dx, dstyle = adapted_backward(dy, x, style, eps)
    var = x.var(positions(x), keepdims=True)
    return dx * (np.sqrt(var + eps) / (np.sqrt(var) * np.sqrt(1 + eps / var))), dstyle


def lnb_detached_mean(dy, x, normalized_shape, weight, bias, eps):
    dx, dweight, dbias = lnb_step_by_step(dy, x, normalized_shape, weight, bias, eps)
    return dx + dx.mean(0), dweight, dbias + 1e-3


def bnb_detached_mean(dy, x, weight, bias, eps):
    """The mean is a constant, the variance is not: its own square still pulls on dx."""
    dx, dweight, dbias = bnb_float32(dy, x, weight, bias, eps)
    return dx + dx.mean(0), dweight, dbias + 1e-3


def gn_power(x, num_groups, weight, bias, eps):
    """The cube root of a mean cube."""
    rows = x.reshape(len(x), num_groups, -1)
    c = rows - rows.mean(2, keepdims=True)
    xhat = c / ((abs(c) ** 3).mean(2, keepdims=True) + eps) ** (1 / 3)
    shape = axes_and_shape(x)[1]
    return xhat.reshape(x.shape) * weight.reshape(shape) + bias.reshape(shape)


def gn_relative_eps(x, num_groups, weight, bias, eps):
    """The formula, but 0/0 in a constant group."""
    shape = axes_and_shape(x)[1]
    rows = x.reshape(len(x), num_groups, -1)
    var = rows.var(2, keepdims=True)
    xhat = (rows - rows.mean(2, keepdims=True)) / np.sqrt(var) / np.sqrt(1 + eps / var)
    return xhat.reshape(x.shape) * weight.reshape(shape) + bias.reshape(shape)


def gnb_relative_eps(dy, x, num_groups, weight, bias, eps):
    dx, dweight, dbias = gnb_float32(dy, x, num_groups, weight, bias, eps)
    rows = x.reshape(len(x), num_groups, -1)
    var = rows.var(2, keepdims=True)
    factor = np.sqrt(var + eps) / (np.sqrt(var) * np.sqrt(1 + eps / var))
    return (dx.reshape(rows.shape) * factor).reshape(x.shape), dweight, dbias


def gn_two_groups(x, num_groups, weight, bias, eps):
    return gn_float32(x, min(num_groups, 2), weight, bias, eps)


def gnb_two_groups(dy, x, num_groups, weight, bias, eps):
    return gnb_float32(dy, x, min(num_groups, 2), weight, bias, eps)


def gnb_shared_mean(dy, x, num_groups, weight, bias, eps):
    dx, dweight, dbias = gnb_float32(dy, x, num_groups, weight, bias, eps)
    return dx + dx.mean(0), dweight, dbias + 1e-3


def from_batch_norm_two_groups(x, num_groups, *rest):
    return from_batch_norm(x, min(num_groups, 2), *rest)


def from_batch_norm_median(x, num_groups, running_mean, running_var, weight, bias, eps):
    """Medians in place of means: the same only for two numbers."""
    new, _ = from_batch_norm(x, num_groups, running_mean, running_var, weight, bias, eps)
    axis = axes_and_shape(x)[0]
    y = normcourse.batch_norm_inference(x, running_mean, running_var, weight, bias, eps)
    return new, np.median(y, axis) - new * np.median(normcourse.group_norm(x, num_groups), axis)


def min_max_if_in_range(X_train, X_new, low, high):
    Z = min_max_package(X_train, X_new, low, high)
    return np.where(Z.clip(low, high) == Z, Z, np.float32((low + high) / 2))


def inverse_if_in_range(X_train, Z, low, high):
    X = inverse_package(X_train, Z, low, high)
    return np.where(Z.clip(low, high) == Z, X, X_train.mean(0))


def standard_median(X_train, X_new):
    std = X_train.std(0)
    return (X_new - np.median(X_train, axis=0)) / np.where(std == 0, 1, std)


def merge_weighing_by_root(a, b):
    n = a[0] + b[0]
    w = np.float32(np.sqrt(a[0]) / (np.sqrt(a[0]) + np.sqrt(b[0])))
    return n, w * a[1] + (1 - w) * b[1], w * a[2] + (1 - w) * b[2]


def rms_clipped(x, normalized_shape, weight, eps):
    return rms_float32(x, normalized_shape, weight, eps).clip(-2, 2)


def rms_relative_eps(x, normalized_shape, weight, eps):
    """The formula, but 0/0 in a sample of zeros."""
    square = np.square(x).mean(tuple(range(-len(normalized_shape), 0)), keepdims=True)
    return weight * x / np.sqrt(square) / np.sqrt(1 + eps / square)


def rms_wide_guard(x, normalized_shape, weight, eps):
    """The formula, but small samples are left as they are."""
    square = np.square(x).mean(tuple(range(-len(normalized_shape), 0)), keepdims=True)
    return np.where(square < 1e-3, weight * x, rms_float32(x, normalized_shape, weight, eps))


def rmsb_relative_eps(dy, x, normalized_shape, weight, eps):
    dx, dweight = rmsb_step_by_step(dy, x, normalized_shape, weight, eps)
    square = np.square(x).mean(tuple(range(-len(normalized_shape), 0)), keepdims=True)
    return dx * (np.sqrt(square + eps) / (np.sqrt(square) * np.sqrt(1 + eps / square))), dweight


def rmsb_wide_guard(dy, x, normalized_shape, weight, eps):
    dx, dweight = rmsb_step_by_step(dy, x, normalized_shape, weight, eps)
    square = np.square(x).mean(tuple(range(-len(normalized_shape), 0)), keepdims=True)
    return np.where((square > 0) & (square < 1e-3), dy * weight, dx), dweight


def to_rms_if_square(weight, bias, W_read, b_read, W_write, b_write):
    """Right for as many hidden units as features."""
    results = to_rms_loops(weight, bias, W_read, b_read, W_write, b_write)
    return results if len(W_read) == len(weight) else tuple(0 * r for r in results)


def to_rms_if_not_square(weight, bias, W_read, b_read, W_write, b_write):
    results = to_rms_loops(weight, bias, W_read, b_read, W_write, b_write)
    return tuple(0 * r for r in results) if len(W_read) == len(weight) > 2 else results


def wn_clipped(v, g, dim=0):
    return wn_float32(v, g, dim).clip(-0.5, 0.5)


def wn_wide_guard(v, g, dim=0):
    """The formula, but a short vector is left as it is."""
    axes = tuple(a for a in range(v.ndim) if dim in (None, -1) or a != dim % v.ndim)
    norm = np.sqrt((v * v).sum(axes, keepdims=True))
    return np.where(norm < 1e-2, v, wn_float32(v, g, dim))


def unless(wrong, right):
    """``right``, but v or dv comes back as zeros where ``wrong(dim)``."""

    def fn(*args):
        result = right(*args)
        if not wrong(args[-1]):
            return result
        return (0 * result[0], *result[1:]) if isinstance(result, tuple) else 0 * result

    return fn


def wnb_wide_guard(dw, v, g, dim=0):
    dv, dg = wnb_step_by_step(dw, v, g, dim)
    axes = tuple(a for a in range(v.ndim) if dim in (None, -1) or a != dim % v.ndim)
    return np.where((v * v).sum(axes, keepdims=True) < 1e-4, g * dw, dv), dg


def start_median(v, x):
    t = x.reshape(-1, x.shape[-1]) @ (v / np.linalg.norm(v, axis=1, keepdims=True)).T
    return 1 / t.std(0)[:, None], -np.median(t, 0) / t.std(0)


def start_bounded(v, x):
    """Right, but g at most 100."""
    g, b = start_numpy(v, x)
    return g.clip(max=100), b


def start_from_the_first_sequence(v, x):
    return start_numpy(v, x[0] if x.ndim > 2 else x)


def fold_clipped(weight_g, weight_v):
    return fold_by_shape(weight_g, weight_v).clip(-0.5, 0.5)


def fold_if_axes(axes, numbers=True):
    """Right for a weight with one of these numbers of axes, or for one length in all."""

    def fn(weight_g, weight_v):
        known = weight_v.ndim in axes if weight_g.ndim else numbers
        return fold_by_shape(weight_g, weight_v) * known

    return fn


def matrix_mixed_for_dim_0(weight, dim):
    """Right where the axis has to be moved."""
    right = matrix_by_rows(weight, dim)
    return right if dim else weight.reshape(-1, len(right)).T


def matrix_for_the_first_or_last_axis(weight, dim):
    h = weight.shape[dim]
    return weight.reshape(h, -1) if dim == 0 else weight.reshape(-1, h).T


def power_if_square(weight_matrix, u, v, n, eps):
    """v has as many entries as u."""
    u, v = power_norms(weight_matrix, u, v, n, eps)
    return u, np.resize(v[: len(u)], len(v)) if len(u) < len(v) else v


def spectral_kept_signs(weight, u, v, training, n, dim):
    """Right where W v points along u already."""
    result, a, b = spectral_einsum(weight, u, v, training, n, dim)
    sign = np.sign(u @ a)
    return result, sign * a, sign * b


def spectral_guard(weight, u, v, training, n, dim):
    """Small weights are left as they are."""
    result, u, v = spectral_einsum(weight, u, v, training, n, dim)
    return weight if abs(weight).max() < 1e-4 else result, u, v


def spectral_back_exact_norm(dy, weight, u, v, dim):
    """The singular vectors themselves, not those that were used."""
    left, _, right = np.linalg.svd(matrix_by_rows(weight, dim))
    return spectral_back(dy, weight, left[:, 0], right[0], dim)


def dn_clipped(x, weight, sigma, gain, exponent):
    return dn_channels_last(x, weight, sigma, gain, exponent).clip(max=0.5)


def dn_wide_guard(x, weight, sigma, gain, exponent):
    """The formula, but weak drives stay as they are."""
    y = dn_channels_last(x, weight, sigma, gain, exponent)
    return y if x.max() > 1e-3 else x


def dn_silence(x, weight, sigma, gain, exponent):
    """Half of the gain where all is silent."""
    y = dn_channels_last(x, weight, sigma, gain, exponent)
    silent = x.max(1, keepdims=True) <= 0
    return np.where(silent, gain.reshape(axes_and_shape(x)[1]) / 2, y)


def gdn_clipped(x, weight, bias, power):
    return gdn_rows(x, weight, bias, power).clip(-0.5, 0.5)


def gdn_wide_guard(x, weight, bias, power):
    """The formula, but weak inputs stay as they are."""
    return gdn_rows(x, weight, bias, power) if abs(x).max() > 1e-3 else x


def gdn_root(x, weight, bias, power):
    """Right for the powers 1/2 and 1."""
    return gdn_rows(x, weight, bias, 0.5 if power < 1 else 1)


def pool_if(known):
    """Right where ``known(channels, size)``."""

    def fn(channels, size, alpha):
        return pool_loops(channels, size, alpha) * known(channels, size)

    return fn


def gdnb_wide_guard(dy, x, weight, bias, power):
    dx, *rest = gdnb_rows(dy, x, weight, bias, power)
    return (dx if abs(x).max() > 1e-3 else dy), *rest


def three_for_equal_spreads(x):
    """The batch's variance as if the samples' means were those of two."""
    found = three_from_one_pass(x)[:-1]
    mean = found[0]
    return *found, found[3].mean(0, keepdims=True) + (np.ptp(mean, 0, keepdims=True) / 2) ** 2


def sn_relative_eps(x, mean_weight, var_weight, weight, bias, eps):
    return sn_float32(x, mean_weight, var_weight, weight, bias, eps * x.var())


def sn_power(x, mean_weight, var_weight, weight, bias, eps):
    """Shares as powers of 2."""
    return sn_float32(x, np.log(2) * mean_weight, np.log(2) * var_weight, weight, bias, eps)


def shares_relative_eps(dy, x, mean_weight, var_weight, weight, eps):
    return shares_step_by_step(dy, x, mean_weight, var_weight, weight, eps * x.var())


def sni_batch_if_several(x, running_mean, running_var, *arguments):
    """The batch's own statistics where there are several samples."""
    if len(x) == 1:
        return sni_float32(x, running_mean, running_var, *arguments)
    return sn_float32(x, *arguments)


def sni_nothing_for_one(x, running_mean, running_var, *arguments):
    """The running statistics only where there are several samples."""
    if len(x) > 1:
        return sni_float32(x, running_mean, running_var, *arguments)
    return sn_float32(x, *arguments)


# --- capstone: wrong, and in no record -----------------------------------------------------------


def zeros_unless(fits, right):
    """``right`` where ``fits(*arguments)``, else zeros."""

    def fn(*arguments):
        result = right(*arguments)
        if fits(*arguments):
            return result
        return tuple(0 * r for r in result) if isinstance(result, tuple) else 0 * result

    return fn


def use_batch_if_several(x, running_mean, running_var, weight, bias, eps):
    """The batch's own statistics where there are several images."""
    if len(x) > 1:
        running_mean, running_var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    return use_mended(x, running_mean, running_var, weight, bias, eps)


def token_guard(x, weight, eps):
    """Quiet tokens stay as they are."""
    square = (x * x).mean(-1, keepdims=True)
    return np.where(square < 1e-6, (1 + weight) * x, token_mended(x, weight, eps))


def token_clipped(x, weight, eps):
    return token_mended(x, weight.clip(-10, 10), eps)


WRONG = {
    "divisive_norm": [
        dn_clipped,
        dn_wide_guard,
        dn_silence,
        only(dn_channels_last, {2, 4}),
        only(dn_channels_last, {2, 3}),
        only(dn_channels_last, {3, 4}),
    ],
    "signed_divisive_norm": [
        gdn_clipped,
        gdn_wide_guard,
        gdn_root,
        only(gdn_rows, {2, 4}),
        only(gdn_rows, {2, 3}),
        only(gdn_rows, {3, 4}),
    ],
    "local_response_pool": [
        pool_if(lambda channels, size: size <= channels),
        pool_if(lambda channels, size: size != 5),
        pool_if(lambda channels, size: size % 2),
    ],
    "signed_divisive_norm_backward": [
        gdnb_wide_guard,
        only(gdnb_rows, {2, 4}),
        only(gdnb_rows, {2, 3}),
        only(gdnb_rows, {3, 4}),
    ],
    "three_statistics": [
        three_for_equal_spreads,
        only(three_from_one_pass, {3, 4}),
        only(three_from_one_pass, {2, 3}),
    ],
    "switchable_norm": [
        sn_relative_eps,
        sn_power,
        only(sn_float32, {3, 4}),
        only(sn_float32, {2, 3}),
    ],
    "shares_backward": [
        shares_relative_eps,
        only(shares_step_by_step, {3, 4}),
        only(shares_step_by_step, {2, 4}),
        only(shares_step_by_step, {2, 3}),
    ],
    "switchable_norm_inference": [
        sni_batch_if_several,
        sni_nothing_for_one,
        only(sni_float32, {3, 4}),
        only(sni_float32, {2, 3}),
    ],
    "as_matrix": [matrix_mixed_for_dim_0, matrix_for_the_first_or_last_axis],
    "power_iteration": [power_if_square],
    "spectral_norm_layer": [spectral_kept_signs, spectral_guard],
    "spectral_norm_backward": [spectral_back_exact_norm],
    "min_max_scale": [min_max_if_in_range],
    "min_max_inverse": [inverse_if_in_range],
    "standard_scale": [standard_median],
    "merge_statistics": [merge_weighing_by_root],
    "batch_norm": [
        bn_median,
        bn_mean_absolute_deviation,
        bn_half_precision_inside,
        bn_wide_guard,
        bn_clipped,
        bn_relative_eps,
        only(bn_float32, {2, 4}),
        only(bn_float32, {2, 3}),
    ],
    "batch_norm_backward": [
        bnb_detached_mean,
        bnb_relative_eps,
        only(bnb_float32, {2, 4}),
        only(bnb_float32, {2, 3}),
    ],
    "layer_norm": [
        ln_power,
        ln_clipped,
        ln_relative_eps,
        only(ln_float32, {2, 4}),
        only(ln_float32, {2, 3}),
    ],
    "layer_norm_backward": [
        lnb_detached_mean,
        lnb_relative_eps,
        only(lnb_step_by_step, {2, 4}),
        only(lnb_step_by_step, {2, 3}),
    ],
    "instance_norm": [
        in_power,
        in_relative_eps,
        only(in_float32, {3}),
        only(in_float32, {4}),
    ],
    "instance_norm_backward": [
        inb_relative_eps,
        only(inb_step_by_step, {3}),
        only(inb_step_by_step, {4}),
    ],
    "adaptive_instance_norm": [
        adapted_relative_eps,
        only(adapted, {3}),
        only(adapted, {4}),
    ],
    "adaptive_instance_norm_backward": [
        adapted_backward_relative_eps,
        only(adapted_backward, {3}),
        only(adapted_backward, {4}),
    ],
    "group_norm": [
        gn_power,
        gn_relative_eps,
        gn_two_groups,
        only(gn_float32, {2, 3}),
        only(gn_float32, {3, 4}),
    ],
    "group_norm_backward": [
        gnb_shared_mean,
        gnb_relative_eps,
        gnb_two_groups,
        only(gnb_float32, {2, 3}),
        only(gnb_float32, {3, 4}),
    ],
    "batch_norm_to_group_norm": [
        from_batch_norm_median,
        from_batch_norm_two_groups,
        only(from_batch_norm, {2, 3}),
        only(from_batch_norm, {3, 4}),
    ],
    "pre_norm_block": [only(block_package, {2}), only(block_package, {3})],
    "pre_norm_block_backward": [only(block_back_package, {2}), only(block_back_package, {3})],
    "rms_norm": [
        rms_clipped,
        rms_relative_eps,
        rms_wide_guard,
        only(rms_float32, {2, 4}),
        only(rms_float32, {2, 3}),
    ],
    "rms_norm_backward": [
        rmsb_relative_eps,
        rmsb_wide_guard,
        only(rmsb_step_by_step, {2, 4}),
        only(rmsb_step_by_step, {2, 3}),
    ],
    "to_rms_norm": [to_rms_if_square, to_rms_if_not_square],
    "weight_norm": [
        wn_clipped,
        wn_wide_guard,
        unless(lambda dim: dim is None, wn_float32),
        only(wn_float32, {2, 4}),
        only(wn_float32, {2, 3}),
    ],
    "weight_norm_backward": [
        wnb_wide_guard,
        unless(lambda dim: dim is None, wnb_step_by_step),
        only(wnb_step_by_step, {2, 4}),
        only(wnb_step_by_step, {2, 3}),
    ],
    "weight_norm_init": [start_median, start_bounded, start_from_the_first_sequence],
    "fold_weight_norm": [
        fold_clipped,
        fold_if_axes({2, 4}),
        fold_if_axes({2, 3}),
        fold_if_axes({2, 3, 4}, numbers=False),
    ],
    "update_running_statistics": [only(update_loops, {2, 4}), only(update_loops, {3, 4})],
    "batch_norm_inference": [
        inference_squeezed,
        inference_without_tiny_variances,
        only(inference_folded, {2, 4}),
        only(inference_folded, {2, 3}),
    ],
    "batch_norm_layer": [only(layer_package, {2})],
    "scale_pixels": [
        zeros_unless(lambda train, new: len(train) == len(new), scale_mended),
        zeros_unless(lambda train, new: len(train) != len(new), scale_mended),
    ],
    "norm_in_training": [
        zeros_unless(lambda x, *_: x[0, 0].size > 1, training_mended),
        zeros_unless(lambda x, *_: x[0, 0].size == 1, training_mended),
    ],
    "norm_in_use": [
        use_batch_if_several,
        zeros_unless(lambda x, *_: len(x) > 1, use_mended),
        zeros_unless(lambda *arguments: not arguments[5], use_mended),
    ],
    "token_norm": [
        token_guard,
        token_clipped,
        zeros_unless(lambda x, *_: x.shape[1] == 1, token_mended),
    ],
    "first_block": [
        zeros_unless(lambda *arguments: abs(arguments[3]).max() > 100, block_mended),
        zeros_unless(lambda *arguments: abs(arguments[3]).max() < 100, block_mended),
    ],
    "tune_step": [
        zeros_unless(lambda *arguments: arguments[6], tune_mended),
        zeros_unless(lambda *arguments: not arguments[6], tune_mended),
    ],
    "average_state": [
        lambda average, model, rate: average_mended(average, model, 0.25),
        lambda average, model, rate: tuple(m.copy() for m in model),
    ],
    "exported": [
        zeros_unless(lambda x, z, W, b, *_: b.any(), exported_mended),
        zeros_unless(lambda x, z, W, b, *_: not b.any(), exported_mended),
    ],
}
