"""How students mend the capstone's networks: wrong repairs, half repairs, and right ones."""

import numpy as np
from attempts import bad, good

SCALE, TRAINING, USE = "scale_pixels", "norm_in_training", "norm_in_use"
TOKEN, BLOCK = "token_norm", "first_block"
TUNE, AVERAGE, EXPORTED = "tune_step", "average_state", "exported"


def affine(y, weight, bias):
    return weight[:, None, None] * y + bias[:, None, None]


# =====================================================================  scale_pixels


@bad(SCALE, "the new images are divided, too, but the test set still sits in the scaler")
def scale_w01(train, new):
    seen = np.concatenate([train, new])
    std = np.where(seen.std(0) > 0, seen.std(0), 1)
    return (train - seen.mean(0)) / std, (new - seen.mean(0)) / std


@bad(SCALE, "fitted on the training set; the division of the new images is overlooked")
def scale_w02(train, new):
    std = train.std(0)
    std[std == 0] = 1
    return (train - train.mean(0)) / std, new - train.mean(0)


@bad(SCALE, "each set by itself: nothing leaks, and nothing is comparable")
def scale_w03(train, new):
    def standardized(x):
        std = np.where(x.std(0) > 0, x.std(0), 1)
        return (x - x.mean(0)) / std

    return standardized(train), standardized(new)


@bad(SCALE, "one mean and one deviation for all pixels")
def scale_w04(train, new):
    mean, std = train.mean(), train.std()
    return (train - mean) / std, (new - mean) / std


@bad(SCALE, "the guard went with the repair: 0/0 for a pixel that never changes")
def scale_w05(train, new):
    mean, std = train.mean(0), train.std(0)
    return (train - mean) / std, (new - mean) / std


@bad(SCALE, "by the new images instead")
def scale_w06(train, new):
    std = np.where(new.std(0) > 0, new.std(0), 1)
    return (train - new.mean(0)) / std, (new - new.mean(0)) / std


@good(SCALE)
def scale_r01(train, new):
    mean, std = np.mean(train, axis=0), np.std(train, axis=0)
    std[std == 0] = 1
    return [(x - mean) / std for x in (train, new)]


@good(SCALE)
def scale_r02(train, new):
    n = len(train)
    mean = sum(train) / n
    var = sum((row - mean) ** 2 for row in train) / n
    std = np.maximum(var**0.5, 1e-6)
    return (train - mean) / std, (new - mean) / std


# =====================================================================  norm_in_training


@bad(TRAINING, "axes mended only")
def training_w01(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    y = affine((x - mean) / np.sqrt(var + eps), weight, bias)
    mean, var = mean.ravel(), var.ravel()
    running_mean = momentum * running_mean + (1 - momentum) * mean
    running_var = momentum * running_var + (1 - momentum) * var
    return y, running_mean, running_var


@bad(TRAINING, "momentum mended for the mean, forgotten for the variance")
def training_w02(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    y = affine((x - mean) / np.sqrt(var + eps), weight, bias)
    n = x.size // x.shape[1]
    running_mean = (1 - momentum) * running_mean + momentum * mean.ravel()
    running_var = momentum * running_var + (1 - momentum) * var.ravel() * n / (n - 1)
    return y, running_mean, running_var


@bad(TRAINING, "ddof=1 at the top: now the batch normalizes itself with it, too")
def training_w03(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    mean = x.mean((0, 2, 3), keepdims=True)
    var = x.var((0, 2, 3), keepdims=True, ddof=1)
    y = affine((x - mean) / np.sqrt(var + eps), weight, bias)
    running_mean = (1 - momentum) * running_mean + momentum * mean.ravel()
    running_var = (1 - momentum) * running_var + momentum * var.ravel()
    return y, running_mean, running_var


@bad(TRAINING, "n is the number of images; the axes are as they were")
def training_w04(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    mean, var = x.mean(0, keepdims=True), x.var(0, keepdims=True)
    y = affine((x - mean) / np.sqrt(var + eps), weight, bias)
    n = len(x)
    mean, var = mean.mean((0, 2, 3)), var.mean((0, 2, 3)) * n / (n - 1)
    running_mean = (1 - momentum) * running_mean + momentum * mean
    running_var = (1 - momentum) * running_var + momentum * var
    return y, running_mean, running_var


@bad(TRAINING, "batch axis left out, momentum turned around still")
def training_w05(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    mean, var = x.mean((2, 3), keepdims=True), x.var((2, 3), keepdims=True)
    y = affine((x - mean) / np.sqrt(var + eps), weight, bias)
    n = x.size // x.shape[1]
    mean, var = mean.mean((0, 2, 3)), var.mean((0, 2, 3)) * n / (n - 1)
    running_mean = momentum * running_mean + (1 - momentum) * mean
    running_var = momentum * running_var + (1 - momentum) * var
    return y, running_mean, running_var


@good(TRAINING)
def training_r01(x, running_mean, running_var, weight, bias, momentum=0.1, eps=1e-5):
    rows = x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])
    xhat = (x - rows.mean(0)[:, None, None]) / np.sqrt(rows.var(0) + eps)[:, None, None]
    running_mean = running_mean + momentum * (rows.mean(0) - running_mean)
    running_var = running_var + momentum * (rows.var(0, ddof=1) - running_var)
    return affine(xhat, weight, bias), running_mean, running_var


# =====================================================================  norm_in_use


@bad(USE, "running statistics, ε still outside the root")
def use_w01(x, running_mean, running_var, weight, bias, eps=1e-5):
    mean, std = running_mean[:, None, None], np.sqrt(running_var)[:, None, None]
    return affine((x - mean) / (std + eps), weight, bias)


@bad(USE, "ε under the root, statistics still those of the batch")
def use_w02(x, running_mean, running_var, weight, bias, eps=1e-5):
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return affine((x - mean) / np.sqrt(var + eps), weight, bias)


@bad(USE, "the batch's statistics where there are several images, as a compromise")
def use_w03(x, running_mean, running_var, weight, bias, eps=1e-5):
    mean, var = running_mean[:, None, None], running_var[:, None, None]
    if len(x) > 1:
        mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return affine((x - mean) / (np.sqrt(var) + eps), weight, bias)


@bad(USE, "the running mean, and the batch's variance")
def use_w04(x, running_mean, running_var, weight, bias, eps=1e-5):
    var = x.var((0, 2, 3), keepdims=True)
    return affine((x - running_mean[:, None, None]) / np.sqrt(var + eps), weight, bias)


@bad(USE, "running_var taken for a deviation")
def use_w05(x, running_mean, running_var, weight, bias, eps=1e-5):
    mean, var = running_mean[:, None, None], running_var[:, None, None]
    return affine((x - mean) / (var + eps), weight, bias)


@good(USE)
def use_r01(x, running_mean, running_var, weight, bias, eps=1e-5):
    rows = x.transpose(0, 2, 3, 1)
    y = weight * (rows - running_mean) / np.sqrt(running_var + eps) + bias
    return y.transpose(0, 3, 1, 2)


# =====================================================================  token_norm


@bad(TOKEN, "axes mended only")
def token_w01(x, weight, eps=1e-8):
    square = (x * x).mean(-1, keepdims=True) + np.float16(eps)
    return weight * x / np.sqrt(square)


@bad(TOKEN, "axes and γ mended, ε left in float16")
def token_w02(x, weight, eps=1e-8):
    square = (x * x).mean(-1, keepdims=True) + np.float16(eps)
    return (1 + weight) * x / np.sqrt(square)


@bad(TOKEN, "1 - weight")
def token_w03(x, weight, eps=1e-8):
    square = (x * x).mean(-1, keepdims=True) + eps
    return (1 - weight) * x / np.sqrt(square)


@bad(TOKEN, "no ε any more, and a mean that is subtracted")
def token_w04(x, weight, eps=1e-8):
    c = x - x.mean(-1, keepdims=True)
    return (1 + weight) * c / np.sqrt((c * c).mean(-1, keepdims=True))


@bad(TOKEN, "a larger ε, which float16 can hold")
def token_w05(x, weight, eps=1e-8):
    square = (x * x).mean(-1, keepdims=True) + max(eps, 1e-5)
    return (1 + weight) * x / np.sqrt(square)


@bad(TOKEN, "over the time axis only")
def token_w06(x, weight, eps=1e-8):
    square = (x * x).mean(1, keepdims=True) + eps
    return (1 + weight) * x / np.sqrt(square)


@bad(TOKEN, "γ mended; mean and ε as they were")
def token_w07(x, weight, eps=1e-8):
    square = (x * x).mean((1, 2), keepdims=True) + np.float16(eps)
    return (1 + weight) * x / np.sqrt(square)


@good(TOKEN)
def token_r01(x, weight, eps=1e-8):
    gamma = weight + 1.0
    rows = x.reshape(-1, x.shape[-1])
    r = np.sqrt(np.sum(rows**2, axis=1) / rows.shape[1] + eps)
    return (gamma * rows / r[:, None]).reshape(x.shape)


# =====================================================================  first_block


@bad(BLOCK, "no more in place, the variance is overlooked")
def block_w01(tokens, positions, W_read, W_write, eps=1e-6):
    stream = tokens + positions
    unit = stream / np.sqrt(stream.var(-1, keepdims=True) + eps)
    return stream + np.maximum(unit @ W_read, 0) @ W_write


@bad(BLOCK, "mean square, still in place")
def block_w02(tokens, positions, W_read, W_write, eps=1e-6):
    stream = tokens + positions
    unit = np.asarray(stream, np.float32)
    unit /= np.sqrt((unit**2).mean(-1, keepdims=True) + eps)
    return stream + np.maximum(unit @ W_read, 0) @ W_write


@bad(BLOCK, "a copy of the tokens, and the positions are lost at the end")
def block_w03(tokens, positions, W_read, W_write, eps=1e-6):
    unit = tokens + positions
    unit /= np.sqrt((unit**2).mean(-1, keepdims=True) + eps)
    return tokens + np.maximum(unit @ W_read, 0) @ W_write


@bad(BLOCK, "made into a whole layer norm")
def block_w04(tokens, positions, W_read, W_write, eps=1e-6):
    stream = tokens + positions
    c = stream - stream.mean(-1, keepdims=True)
    unit = c / np.sqrt((c**2).mean(-1, keepdims=True) + eps)
    return stream + np.maximum(unit @ W_read, 0) @ W_write


@bad(BLOCK, "the sum of squares in place of the mean")
def block_w05(tokens, positions, W_read, W_write, eps=1e-6):
    stream = tokens + positions
    unit = stream / np.sqrt((stream**2).sum(-1, keepdims=True) + eps)
    return stream + np.maximum(unit @ W_read, 0) @ W_write


@bad(BLOCK, "mean square, and the positions are added in place, into the caller's tokens")
def block_w06(tokens, positions, W_read, W_write, eps=1e-6):
    tokens += positions
    unit = tokens / np.sqrt((tokens**2).mean(-1, keepdims=True) + eps)
    return tokens + np.maximum(unit @ W_read, 0) @ W_write


@good(BLOCK)
def block_r01(tokens, positions, W_read, W_write, eps=1e-6):
    stream = tokens + positions
    unit = stream.copy()
    unit /= np.sqrt((unit * unit).mean(axis=-1, keepdims=True) + eps)
    hidden = unit @ W_read
    hidden[hidden < 0] = 0
    return stream + hidden @ W_write


# =====================================================================  tune_step


@bad(TUNE, "decay mended, the running mean still moves in a frozen layer")
def tune_w01(W, gamma, mean, dW, dgamma, batch_mean, frozen, rate=0.1, decay=0.1):
    mean = mean + 0.1 * (batch_mean - mean)
    if frozen:
        return W, gamma, mean
    return W - rate * (dW + decay * W), gamma - rate * dgamma, mean


@bad(TUNE, "frozen as a whole, decay on γ overlooked")
def tune_w02(W, gamma, mean, dW, dgamma, batch_mean, frozen, rate=0.1, decay=0.1):
    if frozen:
        return W, gamma, mean
    W = W - rate * (dW + decay * W)
    gamma = gamma - rate * (dgamma + decay * gamma)
    return W, gamma, mean + 0.1 * (batch_mean - mean)


@bad(TUNE, "no decay at all")
def tune_w03(W, gamma, mean, dW, dgamma, batch_mean, frozen, rate=0.1, decay=0.1):
    if frozen:
        return W, gamma, mean
    return W - rate * dW, gamma - rate * dgamma, mean + 0.1 * (batch_mean - mean)


@bad(TUNE, "the running mean never moves")
def tune_w04(W, gamma, mean, dW, dgamma, batch_mean, frozen, rate=0.1, decay=0.1):
    if frozen:
        return W, gamma, mean
    return W - rate * (dW + decay * W), gamma - rate * dgamma, mean


@bad(TUNE, "gradients of a frozen layer set to 0: decay still pulls W")
def tune_w05(W, gamma, mean, dW, dgamma, batch_mean, frozen, rate=0.1, decay=0.1):
    if frozen:
        dW, dgamma, batch_mean = 0 * dW, 0 * dgamma, mean
    return W - rate * (dW + decay * W), gamma - rate * dgamma, mean + 0.1 * (batch_mean - mean)


@good(TUNE)
def tune_r01(W, gamma, mean, dW, dgamma, batch_mean, frozen, rate=0.1, decay=0.1):
    if not frozen:
        W = (1 - rate * decay) * W - rate * dW
        gamma = gamma - rate * dgamma
        mean = 0.9 * mean + 0.1 * batch_mean
    return W, gamma, mean


# =====================================================================  average_state


@bad(AVERAGE, "the running mean, too; the variance is forgotten")
def average_w01(average, model, rate=0.01):
    moved = [a + rate * (m - a) for a, m in zip(average[:3], model[:3], strict=True)]
    return *moved, average[3]


@bad(AVERAGE, "buffers copied from the last network")
def average_w02(average, model, rate=0.01):
    moved = [a + rate * (m - a) for a, m in zip(average[:2], model[:2], strict=True)]
    return *moved, *model[2:]


@bad(AVERAGE, "all four, the wrong way round")
def average_w03(average, model, rate=0.01):
    return tuple(rate * a + (1 - rate) * m for a, m in zip(average, model, strict=True))


@good(AVERAGE)
def average_r01(average, model, rate=0.01):
    return tuple((1 - rate) * a + rate * m for a, m in zip(average, model, strict=True))


# =====================================================================  exported


@bad(EXPORTED, "b goes through the norm, the first result is still folded")
def exported_w01(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    scale = gamma / np.sqrt(var + eps)
    W = W * scale
    b = beta + (b - mean) * scale
    return x @ W + b, z @ W + b


@bad(EXPORTED, "a weight of its own for the norm; b is overlooked")
def exported_w02(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    scale = gamma / np.sqrt(var + eps)
    return x @ W + b, z @ (W * scale) + beta - mean * scale


@bad(EXPORTED, "another weight, but b is one name for both")
def exported_w03(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    scale = gamma / np.sqrt(var + eps)
    folded = W * scale
    b = beta + (b - mean) * scale
    return x @ W + b, z @ folded + b


@bad(EXPORTED, "b added, but not scaled")
def exported_w04(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    scale = gamma / np.sqrt(var + eps)
    return x @ W + b, z @ (W * scale) + b + beta - mean * scale


@bad(EXPORTED, "folded in place: the caller's weight changes")
def exported_w05(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    scale = gamma / np.sqrt(var + eps)
    plain = x @ W + b
    W *= scale
    return plain, z @ W + beta + (b - mean) * scale


@good(EXPORTED)
def exported_r01(x, z, W, b, gamma, beta, mean, var, eps=1e-5):
    plain = x @ W + b
    scale = gamma / np.sqrt(var + eps)
    W, b = W * scale, (b - mean) * scale + beta
    return plain, z @ W + b
