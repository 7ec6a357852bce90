"""A fully connected network in NumPy, trained with the backward passes of this package."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from normcourse import (
    batch_norm,
    batch_norm_backward,
    batch_norm_inference,
    standardize,
    standardize_backward,
    update_running_statistics,
)
from normcourse.lab import data

__all__ = ["BatchNorm", "History", "Network", "cross_entropy", "depth_profile", "train"]


class Linear:
    """y = x W + b, with x (N, inputs) and W (inputs, outputs) drawn from N(0, std^2)."""

    def __init__(self, inputs, outputs, std, rng):
        self.parameters = [rng.normal(0, std, (inputs, outputs)), np.zeros(outputs)]

    def forward(self, x, training):
        self.x = x
        weight, bias = self.parameters
        return x @ weight + bias

    def backward(self, dy):
        self.gradients = [self.x.T @ dy, dy.sum(0)]
        return dy @ self.parameters[0].T


class BatchNorm:
    """The batch's statistics in training, running statistics otherwise."""

    def __init__(self, features, eps=1e-5, momentum=0.1):
        self.eps, self.momentum = eps, momentum
        self.parameters = [np.ones(features), np.zeros(features)]
        self.running = np.zeros(features), np.ones(features)

    def forward(self, x, training):
        self.x = x
        if not training:
            return batch_norm_inference(x, *self.running, *self.parameters, self.eps)
        self.running = update_running_statistics(*self.running, x, self.momentum)
        return batch_norm(x, *self.parameters, self.eps)

    def backward(self, dy):
        dx, *self.gradients = batch_norm_backward(dy, self.x, *self.parameters, self.eps)
        return dx


class LayerNorm:
    """Each sample normalized over its own features, without learned scale and shift."""

    parameters = gradients = ()

    def __init__(self, features):
        pass

    def forward(self, x, training):
        self.x = x
        return standardize(x, -1)

    def backward(self, dy):
        return standardize_backward(dy, self.x, -1)


class ReLU:
    parameters = gradients = ()

    def forward(self, x, training):
        self.positive = x > 0
        return x * self.positive

    def backward(self, dy):
        return dy * self.positive


class Tanh:
    parameters = gradients = ()

    def forward(self, x, training):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * (1 - self.y**2)


INIT = {  # name -> standard deviation of the weights, from the layer's inputs and outputs
    "small": lambda inputs, outputs: 0.01,
    "xavier": lambda inputs, outputs: (2 / (inputs + outputs)) ** 0.5,
    "he": lambda inputs, outputs: (2 / inputs) ** 0.5,
    "large": lambda inputs, outputs: 3 * (2 / inputs) ** 0.5,
}
NORM = {"batch": BatchNorm, "layer": LayerNorm}
ACTIVATION = {"relu": ReLU, "tanh": Tanh}


class Network:
    """Linear, norm, activation for each hidden layer; then a linear layer to the logits.

    Args:
        sizes: features from input to logits, for instance (64, 32, 32, 10).
        norm: None, "batch", "layer", or a layer class that is called with the features.
        init: "small", "xavier", "he" or "large" (:data:`INIT`), or the weights' standard deviation.
        activation: "relu" or "tanh".
        rng: numpy Generator, or a seed for one.
    """

    def __init__(self, sizes, norm=None, init="he", activation="relu", rng=0):
        for name, value, known in (("norm", norm, NORM), ("init", init, INIT)):
            if isinstance(value, str) and value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}.")
        if activation not in ACTIVATION:
            raise ValueError(f"activation must be 'relu' or 'tanh', got {activation!r}.")
        rng = np.random.default_rng(rng)
        norm, std = NORM.get(norm, norm), INIT.get(init, lambda inputs, outputs: init)
        self.layers = []
        for inputs, outputs in pairwise(sizes):
            self.layers.append(Linear(inputs, outputs, std(inputs, outputs), rng))
            if norm:
                self.layers.append(norm(outputs))
            self.layers.append(ACTIVATION[activation]())
        while not isinstance(self.layers[-1], Linear):
            self.layers.pop()  # the logits are neither normalized nor activated

    def forward(self, x, training=False):
        """Logits (N, classes) of x (N, features)."""
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, dlogits):
        """Fill every layer's gradients from that of the logits; return the gradient of x."""
        for layer in reversed(self.layers):
            dlogits = layer.backward(dlogits)
        return dlogits

    def step(self, lr, momentum=0.0):
        """One step of gradient descent, on every parameter in place."""
        for layer in self.layers:
            if momentum:
                old = getattr(layer, "velocity", [0.0] * len(layer.parameters))
                layer.velocity = [
                    momentum * v + g for v, g in zip(old, layer.gradients, strict=True)
                ]
            updates = layer.velocity if momentum else layer.gradients
            for parameter, update in zip(layer.parameters, updates, strict=True):
                parameter -= lr * update

    def accuracy(self, x, y, training=False):
        """Share of the rows of x whose largest logit is that of their class y."""
        return float((self.forward(x, training).argmax(1) == y).mean())


def cross_entropy(logits, y):
    """Mean of -log softmax(logits)[y] and its gradient: (loss, dlogits)."""
    shifted = logits - logits.max(1, keepdims=True)  # exp never overflows
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    rows = np.arange(len(y))
    dlogits = np.exp(log_p)
    dlogits[rows, y] -= 1
    return -log_p[rows, y].mean(), dlogits / len(y)


@dataclass(frozen=True)
class History:
    """What :func:`train` saw: the loss of each step, and test accuracy after some of them."""

    loss: np.ndarray
    steps: np.ndarray
    accuracy: np.ndarray
    diverged: bool

    def steps_to(self, accuracy):
        """The first evaluated step with at least this test accuracy; inf if there is none."""
        reached = self.steps[self.accuracy >= accuracy]
        return float(reached[0]) if len(reached) else float("inf")


def train(
    network, split, steps=200, lr=0.1, batch_size=64, rng=0, momentum=0.0, every=10, stop_at=None
):
    """Minibatch gradient descent on a :class:`normcourse.lab.data.Split`, in place.

    Every ``every`` steps the test accuracy is taken in evaluation mode; training ends early at
    ``stop_at``, or when the loss is no longer finite: then the history says ``diverged``.
    """
    rng = np.random.default_rng(rng)
    loss, at, accuracy = [], [], []
    with np.errstate(all="ignore"):  # a diverging run is a result, not a warning
        for step in range(1, steps + 1):
            rows = rng.choice(len(split.x_train), batch_size, replace=False)
            logits = network.forward(split.x_train[rows], training=True)
            batch_loss, dlogits = cross_entropy(logits, split.y_train[rows])
            loss.append(batch_loss)
            if not np.isfinite(batch_loss):
                break
            network.backward(dlogits)
            network.step(lr, momentum)
            if step % every == 0:
                at.append(step)
                accuracy.append(network.accuracy(split.x_test, split.y_test))
                if stop_at is not None and accuracy[-1] >= stop_at:
                    break
    diverged = not np.isfinite(loss[-1])
    return History(np.array(loss), np.array(at), np.array(accuracy), diverged)


def depth_profile(
    depth=30, init="he", norm=None, activation="relu", width=64, batch_size=64, seed=0
):
    """How large activations and gradients are in each layer of an untrained network on digits.

    Returns:
        (activations, gradients, weight_gradients), each (depth,): the root mean square of a
        hidden layer's output, of the loss's gradient with respect to it, and to its weights.
    """
    split = data.digits()
    rng = np.random.default_rng(seed)
    network = Network([64] + [width] * depth + [10], norm, init, activation, rng)
    rows = rng.choice(len(split.x_train), batch_size, replace=False)
    x, outputs, gradients, weight_gradients = split.x_train[rows], [], [], []
    for layer in network.layers:
        x = layer.forward(x, training=True)
        if isinstance(layer, ReLU | Tanh):
            outputs.append(_rms(x))
    _, dx = cross_entropy(x, split.y_train[rows])
    for layer in reversed(network.layers):
        if isinstance(layer, ReLU | Tanh):
            gradients.append(_rms(dx))
        dx = layer.backward(dx)
        if isinstance(layer, Linear):
            weight_gradients.append(_rms(layer.gradients[0]))
    return np.array(outputs), np.array(gradients[::-1]), np.array(weight_gradients[:0:-1])


def _rms(x):
    return float((x**2).mean() ** 0.5)
