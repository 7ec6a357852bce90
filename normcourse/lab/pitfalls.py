"""What the gallery of pitfalls measures with: a small network, and three questions to any network.

Which numbers of its state have moved, how far a batch is from what the network remembers, and which
module is the first whose output is not finite.
"""

import copy
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from normcourse.lab import data
from normcourse.lab.models import _linear
from normcourse.lab.training import fit, one_thread

__all__ = ["accuracy", "changed", "first_bad", "mode_gap", "perceptron", "trained"]

_Batch = nn.modules.batchnorm._BatchNorm


def perceptron(norm=nn.BatchNorm1d, widths=(64, 32, 32, 10), rng=0, dtype=torch.float64):
    """Linear, norm, ReLU for each hidden layer, and a linear layer to the logits.

    Args:
        norm: from a width to a module, for instance ``torch.nn.BatchNorm1d``.
        widths: of the input, the hidden layers and the logits; 64 pixels are a digit.
        rng: numpy Generator, or a seed for one.
        dtype: of all parameters.
    """
    rng, layers = np.random.default_rng(rng), []
    for inputs, outputs in pairwise(widths[:-1]):
        layers += [_linear(inputs, outputs, rng), norm(outputs), nn.ReLU()]
    return nn.Sequential(*layers, _linear(*widths[-2:], rng)).to(dtype)


@cache
def _trained(norm, steps, lr, batch_size):
    model = perceptron(norm)
    fit(model, data.digits(), steps, lr, batch_size)
    return model.eval()


def trained(norm=nn.BatchNorm1d, steps=200, lr=0.3, batch_size=64):
    """A copy of :func:`perceptron`, trained on the digits, in evaluation mode."""
    return copy.deepcopy(_trained(norm, steps, lr, batch_size))


@torch.no_grad()
def accuracy(model, x=None, y=None, batch_size=None, training=False):
    """The share of the digits, by default those of the test set, that a network reads right.

    The network stays as it is: what moves in training mode is put back.

    Args:
        model: from images to logits.
        x, y: images and digits; None for the test set.
        batch_size: images that are read together; None for all.
        training: the mode in which they are read.
    """
    if x is None:
        x, y = data.digits()[2:]
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    x = x.to(next(model.parameters()).dtype)
    with _left_as_it_is(model), one_thread():
        model.train(training)
        read = [model(part).argmax(-1) for part in x.split(batch_size or len(x))]
    return (torch.cat(read) == y).double().mean().item()


def changed(before, after):
    """The names of what is not equal in two states, or is in one of them only.

    Args:
        before, after: modules, or what their ``state_dict`` returned. A state holds the tensors
            themselves: deep-copy the one that is to stay.
    """
    before, after = (m.state_dict() if isinstance(m, nn.Module) else m for m in (before, after))
    both = before.keys() & after.keys()
    return [
        name
        for name in dict.fromkeys([*before, *after])
        if name not in both or not torch.equal(before[name], after[name])
    ]


@torch.no_grad()
def mode_gap(model, x):
    """How far what a batch norm sees is from what it remembers: {name of the layer: distance}.

    The distance is that of the batch's mean to the running mean, in running standard deviations,
    the root mean square over the channels. About 1 / √n for a batch of n from the same data; of a
    layer that is called several times, the largest.

    Args:
        model: a network; it is run on ``x`` in evaluation mode and stays as it is.
        x: a batch that it takes.
    """
    found, hooks = {}, []

    def watch(name):
        def hook(layer, inputs):
            seen = inputs[0].mean([k for k in range(inputs[0].ndim) if k != 1])
            away = (seen - layer.running_mean) / (layer.running_var + layer.eps).sqrt()
            distance = away.pow(2).mean().sqrt().item()
            found[name] = max(distance, found.get(name, 0))

        return hook

    for name, layer in model.named_modules():
        if isinstance(layer, _Batch) and layer.running_mean is not None:
            hooks.append(layer.register_forward_pre_hook(watch(name)))
    with _left_as_it_is(model, hooks):
        model.eval()(x)
    return found


@torch.no_grad()
def first_bad(model, x):
    """The name of the first module of ``model`` whose output is not finite for ``x``, or None."""
    bad, hooks = [], []

    def watch(name):
        def hook(module, inputs, output):
            if isinstance(output, torch.Tensor) and not output.isfinite().all():
                bad.append(name)

        return hook

    for name, module in model.named_modules():
        if not any(module.children()):
            hooks.append(module.register_forward_hook(watch(name)))
    with _left_as_it_is(model, hooks):
        model(x)
    return bad[0] if bad else None


@contextmanager
def _left_as_it_is(model, hooks=()):
    """Put back modes and state in the end, and take the hooks off. Not every module has a copy."""
    modes = {module: module.training for module in model.modules()}
    state = copy.deepcopy(model.state_dict())
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        model.load_state_dict(state)
        for module, training in modes.items():
            module.training = training
