"""What the three networks of the capstone do with the learner's functions, in a few numbers."""

import numpy as np

from normcourse.batch_norm import batch_norm_backward
from normcourse.exercises.training import EPS, _cross_entropy, _digits

__all__ = ["export_network", "port_model", "read_digits"]

FILTERS, BATCH, STEPS, RATE, MOMENTUM, LAST = 24, 32, 200, 0.1, 0.1, 40  # of the reader
WORDS, LENGTH, FEATURES, HIDDEN = 12, 6, 16, 32  # of the language model
QUIET = 1e-4  # the size of a token that means silence
TUNED = 100  # steps


def read_digits(scale_pixels, norm_in_training, norm_in_use):
    """Train a convolution, the learner's norm, ReLU and a linear layer; print what is read.

    Gradients are the course's, whatever the norm computes. The new images are darker than those
    of the training set, as from another camera.
    """
    try:
        (x, labels), (x_new, labels_new) = _digits()
    except (ImportError, KeyError):
        print("The digits come with scikit-learn: open the notebook where it is installed.")
        return
    z, z_new = scale_pixels(x, 0.8 * x_new)
    use, read = _train_reader(z, labels, norm_in_training, norm_in_use)

    def read_right(order, size):
        parts = np.array_split(order, len(order) // size)
        return (np.concatenate([use(z_new[part]) for part in parts]) == labels_new[order]).mean()

    new, by_digit = np.arange(len(z_new)), labels_new.argsort(kind="stable")
    print(f"reads right in training: {np.mean(read[-LAST:]):.0%}")
    print(f"new images: in one batch {read_right(new, len(new)):.0%},", end=" ")
    print(f"one by one {read_right(new, 1):.0%}, sorted by digit {read_right(by_digit, 30):.0%}")
    moved = np.abs(scale_pixels(x, x_new)[0] - z).max()
    print(f"other new images move the scaled training set by up to {moved:.2f}")
    print(f"spread of scaled images: training set {z.std():.2f}, new {z_new.std():.2f}")
    _measure(norm_in_training, norm_in_use)


def _train_reader(z, labels, norm_in_training, norm_in_use):
    """(images -> digits, with the norm in use; the share that was read right in each step)."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, (2 / 16) ** 0.5, (16, FILTERS))
    last = rng.normal(0, (1 / (4 * FILTERS)) ** 0.5, (4 * FILTERS, 10))
    affine, running = [np.ones(FILTERS), np.zeros(FILTERS)], [np.zeros(FILTERS), np.ones(FILTERS)]
    read = []
    for _ in range(STEPS):
        rows = rng.choice(len(z), BATCH, replace=False)
        quarters, before = _filtered(z[rows], kernel)
        y, *running = norm_in_training(before, *running, *affine, MOMENTUM, EPS)
        active = np.maximum(y, 0).reshape(BATCH, -1)
        scores = active @ last
        read.append((scores.argmax(1) == labels[rows]).mean())
        _, dscores = _cross_entropy(scores, labels[rows])
        dy = ((dscores @ last.T) * (active > 0)).reshape(before.shape)
        dx, *daffine = batch_norm_backward(dy, before, *affine, EPS)
        kernel = kernel - RATE * np.einsum("npk,nfp->kf", quarters, dx.reshape(BATCH, FILTERS, 4))
        last = last - RATE * active.T @ dscores
        affine = [p - RATE * dp for p, dp in zip(affine, daffine, strict=True)]

    def use(images):
        y = norm_in_use(_filtered(images, kernel)[1], *running, *affine, EPS)
        return (np.maximum(y, 0).reshape(len(images), -1) @ last).argmax(1)

    return use, read


def _filtered(images, kernel):
    """The four quarters of each image (N, 4, 16), and what the filters see in them (N, C, 2, 2)."""
    quarters = np.reshape(images, (-1, 2, 4, 2, 4)).swapaxes(2, 3).reshape(-1, 4, 16)
    return quarters, np.swapaxes(quarters @ kernel, 1, 2).reshape(len(images), -1, 2, 2)


def _measure(norm_in_training, norm_in_use):
    """Three questions to a batch norm in training, and one in use."""
    zero, one = np.zeros(1), np.ones(1)
    x = np.array([1.0, 3, 5, 7, 2, 4, 6, 8]).reshape(2, 1, 2, 2)
    bright = x.copy()
    bright[0, 0, 0, 0] = 100
    y, mean, _ = norm_in_training(x, zero, zero, one, zero, MOMENTUM, EPS)
    moved = np.abs(norm_in_training(bright, zero, zero, one, zero, MOMENTUM, EPS)[0] - y)
    _, _, var = norm_in_training(x, zero, zero, one, zero, 0.5, EPS)
    faint = 0.01 * (x - x.mean()) / x.std()
    spread = norm_in_use(faint, zero, 0.0001 * one, one, zero, 0.0001).std()
    print(f"a bright pixel moves {(moved > 0.01).sum()} of the 8 numbers of its channel")
    print(f"a batch moves the running mean {(mean / x.mean())[0]:.0%} of the way, momentum 0.1")
    print(f"running variance, from 0 with momentum 0.5: {var[0]:.2f}", end=" ")
    print(f"({x.size} numbers of variance {x.var():.2f})")
    print(f"a faint batch of variance 0.0001, used with ε 0.0001, gets a spread of {spread:.2f}")


def port_model(token_norm, first_block):
    """Compare the port of a language model, made of the learner's functions, with the original."""
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(WORDS, FEATURES)).astype(np.float32)
    positions = rng.normal(0.5, 0.2, (LENGTH, FEATURES)).astype(np.float32)
    shapes = (FEATURES, HIDDEN), (HIDDEN, FEATURES)
    read, write = (rng.normal(0, (2 / s[0]) ** 0.5, s).astype(np.float32) for s in shapes)
    stored = rng.normal(0, 0.3, FEATURES).astype(np.float32)  # as in the file: γ - 1
    text = rng.integers(0, WORDS, (200, LENGTH))
    other_end = text.copy()
    other_end[:, -1] = (text[:, -1] + 1) % WORDS

    def size(a):
        return np.sqrt((a**2).mean(-1, keepdims=True))

    def port(text):
        stream = first_block(embedding[text], positions, read, write, 1e-6)
        return stream, token_norm(stream, stored, 1e-8)

    stream = embedding[text] + positions
    stream = stream + np.maximum(stream / size(stream) @ read, 0) @ write
    published = ((1 + stored) * stream / size(stream) @ embedding.T).argmax(-1)
    ported, y = port(text)
    same = (y @ embedding.T).argmax(-1) == published
    moved = np.abs(port(other_end)[1] - y)[:, :-1].max()
    silence = np.full((1, 1, FEATURES), QUIET, np.float32)
    loud = size(token_norm(silence, stored, 1e-8)).item()
    print(f"same next word as the original: {same.mean():.0%}")
    print(f"spread behind the block: {ported.std():.2f}, in the original {stream.std():.2f}")
    print(f"another last word moves the results before it by up to {moved:.2f}")
    print(f"silence comes out {loud:.2f} loud,", end=" ")
    print(f"in the original {size(1 + stored).item() / 2**0.5:.2f}")


def export_network(tune_step, average_state, exported):
    """Tune a layer that gets no gradients, average networks, export a layer with its norm."""
    rng = np.random.default_rng(0)
    W, gamma, mean = rng.normal(size=(4, 3)), np.ones(3), np.zeros(3)
    for frozen in (True, False):
        layer = W, gamma, mean
        for _ in range(TUNED):
            layer = tune_step(*layer, 0 * W, 0 * gamma, mean + 2, frozen, 0.1, 0.1)
        print("frozen:  " if frozen else "learning:", end=" ")
        pairs = zip((W, gamma, mean), layer, strict=True)
        told = (f"{np.abs(a).mean():.2f} to {np.abs(b).mean():.2f}" for a, b in pairs)
        print("mean |W| {}, |γ| {}, running mean {}".format(*told))
    average = 0 * W, gamma, mean, np.ones(3)
    for _ in range(TUNED):
        average = average_state(average, (W, gamma, mean + 2, np.full(3, 4.0)), 0.1)
    print(f"averaged: running mean {average[2].mean():.2f} of 2.00,", end=" ")
    print(f"running variance {average[3].mean():.2f} of 4.00")
    x, z, b, beta, mean = (rng.normal(size=size) for size in ((50, 4), (50, 4), 3, 3, 3))
    gamma, var = rng.uniform(0.5, 1.5, 3), rng.uniform(1, 4, 3)
    original = x @ W + b, gamma * (z @ W + b - mean) / np.sqrt(var + EPS) + beta
    results = exported(x, z, W, b, gamma, beta, mean, var, EPS)
    off = [np.abs(a - b).max() for a, b in zip(results, original, strict=True)]
    print("exported: off by up to {:.2f} without a norm, {:.2f} with".format(*off))
