"""Right solutions written in many ways, and wrong ones that no record lists."""

import math

import numpy as np
import torch
from sklearn import preprocessing
from torch.nn import functional as F

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


def layer_torch(x, running_mean, running_var, weight, bias, training, momentum, eps):
    x, mean, var, weight, bias = tensors(x, running_mean, running_var, weight, bias)
    mean, var = mean.clone(), var.clone()
    return F.batch_norm(x, mean, var, weight, bias, training, momentum, eps), mean, var


# --- rescaling: right ---------------------------------------------------------------------------


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
    "batch_norm_layer": [layer_package, layer_torch],
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


def lnb_detached_mean(dy, x, normalized_shape, weight, bias, eps):
    dx, dweight, dbias = lnb_step_by_step(dy, x, normalized_shape, weight, bias, eps)
    return dx + dx.mean(0), dweight, dbias + 1e-3


def bnb_detached_mean(dy, x, weight, bias, eps):
    """The mean is a constant, the variance is not: its own square still pulls on dx."""
    dx, dweight, dbias = bnb_float32(dy, x, weight, bias, eps)
    return dx + dx.mean(0), dweight, dbias + 1e-3


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


WRONG = {
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
    "update_running_statistics": [only(update_loops, {2, 4}), only(update_loops, {3, 4})],
    "batch_norm_inference": [
        inference_squeezed,
        inference_without_tiny_variances,
        only(inference_folded, {2, 4}),
        only(inference_folded, {2, 3}),
    ],
    "batch_norm_layer": [only(layer_package, {2})],
}
