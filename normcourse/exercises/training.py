"""Where the learner's functions lead: a network for handwritten digits, trained with them."""

from contextlib import suppress
from functools import partial

import numpy as np

from normcourse.exercises.display import Report, Section, Table
from normcourse.exercises.judge import told

__all__ = ["train_digits"]

HIDDEN, BATCH, RATE, STEPS, EVERY = 32, 64, 0.5, 200, 40
EPS = 1e-5


def train_digits(forward, backward, *more):
    """Train 64 - 32 - norm - ReLU - 10 on the digits with the learner's own forward and backward.

    The same network, with the same numbers at the start, is trained by torch where it is installed.

    Args:
        forward: ``forward(x, *more, weight, bias, eps)``, such as ``batch_norm``.
        backward: ``backward(dy, x, *more, weight, bias, eps)`` -> (dx, dweight, dbias).
        more: what stands between x and weight, such as ``(32,)`` for the normalized_shape of
            ``layer_norm``.

    Returns:
        Report: losses on the way, and how many digits of the test set are read right.
    """
    try:
        digits = _digits()
    except ImportError:
        return _report("a notebook is needed", "open", "The digits come with scikit-learn.")
    try:
        yours = _train(digits, _Learners(forward, backward, more))
    except NotImplementedError:
        return _report("not started yet", "open", "Write forward and backward first.")
    except Exception as error:  # the learner's, not ours
        return _report("it stopped", "wrong", f"{told(error)}. Pass the checks above first.")
    columns = {"yours": yours}
    with suppress(ImportError):
        columns["torch"] = _train(digits, _Torchs(more))
    rows = [
        (str(step), *(f"{column[0][i]:.3f}" for column in columns.values()))
        for i, step in enumerate(range(0, STEPS + 1, EVERY))
    ]
    table = Table(("step", *(f"loss, {name}" for name in columns)), tuple(rows))
    right = {name: f"{column[1]:.0%} ({name})" for name, column in columns.items()}
    told_right = f"Of the digits it never saw it reads {' and '.join(right.values())} right."
    return Report(
        "Your functions, trained on handwritten digits",
        "passed" if yours[1] > 0.9 else "wrong",
        [Section("Training loss", (table, told_right))],
    )


def _report(title, state, text):
    title = f"Your functions, trained on handwritten digits: {title}"
    return Report(title, state, [Section("To do", (text,))])


def _digits():
    """(train, test) of (images in [0, 1], labels); every fifth digit is kept for the test."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    test = np.arange(len(x)) % 5 == 0
    return (x[~test], y[~test]), (x[test], y[test])


def _train(digits, network):
    """(losses at every EVERY steps, accuracy on the test set as one batch)."""
    (x, y), (x_test, y_test) = digits
    rng = np.random.default_rng(0)
    parameters = {
        "first": rng.normal(0, (2 / 64) ** 0.5, (64, HIDDEN)),
        "weight": np.ones(HIDDEN),
        "bias": np.zeros(HIDDEN),
        "last": rng.normal(0, (1 / HIDDEN) ** 0.5, (HIDDEN, 10)),
    }
    parameters = {name: p.astype(np.float32) for name, p in parameters.items()}
    losses = []
    for step in range(STEPS + 1):
        rows = rng.choice(len(x), BATCH, replace=False)
        loss, gradients = network.gradients(parameters, x[rows], y[rows])
        if step % EVERY == 0:
            losses.append(loss)
        parameters = {name: p - RATE * gradients[name] for name, p in parameters.items()}
    return losses, (network.scores(parameters, x_test).argmax(1) == y_test).mean()


class _Learners:
    """The network by hand, normalized by the learner's functions."""

    def __init__(self, forward, backward, more):
        self.forward, self.backward, self.more = forward, backward, more

    def hidden(self, p, x):
        before = x @ p["first"]
        y = self.forward(before, *self.more, p["weight"], p["bias"], EPS)
        return before, np.asarray(y)

    def scores(self, p, x):
        return np.maximum(self.hidden(p, x)[1], 0) @ p["last"]

    def gradients(self, p, x, labels):
        before, normalized = self.hidden(p, x)
        active = np.maximum(normalized, 0)
        scores = active @ p["last"]
        scores = scores - scores.max(1, keepdims=True)
        share = np.exp(scores)
        share = share / share.sum(1, keepdims=True)
        picked = np.arange(len(x)), labels
        loss = -np.log(share[picked]).mean()
        dscores = share.copy()
        dscores[picked] -= 1
        dscores /= len(x)
        dnormalized = (dscores @ p["last"].T) * (normalized > 0)
        arguments = dnormalized, before, *self.more, p["weight"], p["bias"], EPS
        dbefore, dweight, dbias = map(np.asarray, self.backward(*arguments))
        gradients = {"first": x.T @ dbefore, "weight": dweight, "bias": dbias}
        return float(loss), gradients | {"last": active.T @ dscores}


class _Torchs:
    """The same network in torch: its normalization, its autograd."""

    def __init__(self, more):
        import torch

        norm = torch.nn.functional.layer_norm if more else torch.nn.functional.batch_norm
        given = more or (None, None)
        self.torch, self.norm = torch, partial(norm, **({} if more else {"training": True}))
        self.given = given

    def scores(self, p, x):
        torch = self.torch
        p, x = {name: torch.as_tensor(v) for name, v in p.items()}, torch.as_tensor(x)
        hidden = self.norm(x @ p["first"], *self.given, p["weight"], p["bias"], eps=EPS)
        scores = torch.relu(hidden) @ p["last"]
        return scores.numpy() if not scores.requires_grad else scores

    def gradients(self, p, x, labels):
        torch = self.torch
        leaves = {name: torch.tensor(v, requires_grad=True) for name, v in p.items()}
        scores = self.scores(leaves, x)
        loss = torch.nn.functional.cross_entropy(scores, torch.as_tensor(labels))
        loss.backward()
        return loss.item(), {name: leaf.grad.numpy() for name, leaf in leaves.items()}
