"""Training of the networks of :mod:`normcourse.lab.models`, the same on every machine."""

import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from normcourse.lab import network

__all__ = ["History", "descend", "evaluate", "fit", "one_thread", "quickest"]

OPTIMIZER = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


@dataclass(frozen=True)
class History(network.History):
    """What :func:`fit` saw: also the mean loss on the test set, in nats, where it was evaluated."""

    nats: np.ndarray


@contextmanager
def one_thread():
    """Let torch compute in one thread: sums are split, and rounded, in one way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def quickest(runs, rounds):
    """Seconds of each of ``runs``, functions without arguments: in turns, the least of many."""

    def seconds(run):
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    with one_thread():
        return np.min([[seconds(run) for run in runs] for _ in range(rounds)], axis=0)


def descend(parameters, loss, rates, change=lambda name, parameter, gradient: gradient):
    """A step of gradient descent for networks side by side, each at its own rate, in place.

    Args:
        parameters: {name: tensor}, its first axis the networks.
        loss: the sum of theirs.
        rates: (networks,).
        change: what is made of a gradient, from (name, parameter, gradient).
    """
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    with torch.no_grad():
        for (name, a), da in zip(parameters.items(), gradients, strict=True):
            a -= rates.reshape(-1, *[1] * (a.ndim - 1)) * change(name, a, da)


def fit(
    model,
    split,
    steps=200,
    lr=0.1,
    batch_size=64,
    rng=0,
    optimizer="sgd",
    warmup=0,
    every=None,
    stop_at=None,
    **options,
):
    """Train ``model`` in place with minibatches of a :class:`normcourse.lab.data.Split`.

    Args:
        model: a module from x to logits (..., classes).
        split: digits, or the windows of a text.
        steps: number of minibatches.
        lr: learning rate.
        batch_size: samples of a minibatch, drawn without replacement.
        rng: numpy Generator, or a seed for one.
        optimizer: "sgd", "adam", or a class of optimizers.
        warmup: steps in which the learning rate grows linearly to ``lr``.
        every: steps between evaluations on the test set; None for one at the end.
        stop_at: the test accuracy at which to end early.
        options: of the optimizer, for instance ``momentum=0.9``.

    Returns:
        A :class:`History`. It ends early, ``diverged``, when the loss is no longer finite.
    """
    rng, every = np.random.default_rng(rng), every or steps
    step_by = OPTIMIZER.get(optimizer, optimizer)(model.parameters(), lr, **options)
    loss, at, tested = [], [], []
    with one_thread():
        for step in range(1, steps + 1):
            model.train()
            rows = rng.choice(len(split.x_train), batch_size, replace=False)
            batch_loss, _ = _loss(model, split.x_train[rows], split.y_train[rows])
            loss.append(batch_loss.item())
            if not np.isfinite(loss[-1]):
                break
            step_by.zero_grad()
            batch_loss.backward()
            for group in step_by.param_groups:
                group["lr"] = lr * min(1, step / warmup) if warmup else lr
            step_by.step()
            if step % every == 0:
                at.append(step)
                tested.append(evaluate(model, split.x_test, split.y_test))
                if stop_at is not None and tested[-1][1] >= stop_at:
                    break
    nats, accuracy = np.array(tested).reshape(-1, 2).T
    diverged = not np.isfinite(loss[-1])
    return History(np.array(loss), np.array(at), accuracy, diverged, nats)


@torch.no_grad()
def evaluate(model, x, y):
    """(nats, accuracy): mean loss and share of right predictions, in evaluation mode."""
    training = model.training
    with one_thread():
        loss, logits = _loss(model.eval(), x, y)
    model.train(training)
    return loss.item(), float((logits.argmax(-1).numpy() == y.reshape(-1)).mean())


def _loss(model, x, y):
    """The mean of -log softmax(logits)[y], and the logits (predictions, classes)."""
    x = torch.tensor(x)
    if x.is_floating_point():
        x = x.to(next(model.parameters()).dtype)
    logits = model(x)
    logits = logits.flatten(0, -2)
    return functional.cross_entropy(logits, torch.tensor(y).flatten()), logits
