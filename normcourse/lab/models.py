"""Small networks in torch with any normalization: convolutional, recurrent, a transformer.

Weights are drawn by a NumPy generator, and all is float64: the same on every machine, up to
rounding that training does not blow up.
"""

import numpy as np
import torch
from torch.nn import functional

from normcourse import nn

__all__ = [
    "ConvolutionalNetwork",
    "RecurrentNetwork",
    "Transformer",
    "gradient_norms",
    "norm_layer",
]


class PositionNorm(nn.LayerNorm):
    """Layer norm of (N, C, ...) over the C channels of each position."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def _batch(shape, groups):
    return (nn.BatchNorm1d if len(shape) == 1 else nn.BatchNorm2d)(shape[0])


NORM = {  # name -> layer, from the shape of a sample and the number of groups
    "batch": _batch,
    "layer": lambda shape, groups: nn.LayerNorm(shape),
    "position": lambda shape, groups: PositionNorm(shape[0]),
    "instance": lambda shape, groups: nn.InstanceNorm2d(shape[0], affine=True),
    "group": lambda shape, groups: nn.GroupNorm(groups, shape[0]),
    "rms": lambda shape, groups: nn.RMSNorm(shape),
}


def norm_layer(norm, shape, groups=4):
    """A layer that normalizes samples of this shape.

    Args:
        norm: "batch", "layer" (over all of ``shape``), "position" (layer norm over the channels of
            each position), "instance", "group", "rms" (over all of ``shape``), None for no
            normalization, or a function from the shape to a module.
        shape: of a sample, (C, H, W) or (D,).
        groups: of group norm.

    Raises:
        ValueError: no such name.
    """
    if norm is None:
        return torch.nn.Identity()
    if callable(norm):
        return norm(shape)
    if norm not in NORM:
        raise ValueError(f"norm must be one of {', '.join(NORM)}, a function or None; got {norm!r}")
    return NORM[norm](shape, groups)


class ConvolutionalNetwork(torch.nn.Module):
    """Convolution 3x3, norm, ReLU for each of ``channels``; then a linear layer to the logits.

    Every convolution but the first halves height and width. He initialization.

    Args:
        norm, groups: see :func:`norm_layer`; samples are (C, H, W).
        channels: of each convolution.
        pool: average over the positions before the linear layer; else it sees each of them.
        size: height and width of an image.
        classes: number of logits.
        rng: numpy Generator, or a seed for one.
        dtype: of all parameters.
    """

    def __init__(
        self,
        norm=None,
        channels=(16, 32),
        groups=4,
        pool=True,
        size=8,
        classes=10,
        rng=0,
        dtype=torch.float64,
    ):
        super().__init__()
        rng, self.size, layers, inputs = np.random.default_rng(rng), size, [], 1
        for stride, outputs in zip([1] + [2] * len(channels), channels, strict=False):
            size = -(-size // stride)
            convolution = torch.nn.Conv2d(inputs, outputs, 3, stride, padding=1)
            layers += [
                _draw(convolution, (2 / (9 * inputs)) ** 0.5, rng),
                norm_layer(norm, (outputs, size, size), groups),
                torch.nn.ReLU(),
            ]
            inputs = outputs
        self.features = torch.nn.Sequential(*layers)
        self.pool = torch.nn.AdaptiveAvgPool2d(1 if pool else size)
        features = inputs * (1 if pool else size**2)
        self.output = _linear(features, classes, rng)
        self.to(dtype)

    def forward(self, x):
        """Logits (N, classes) of images (N, H * W) or (N, 1, H, W)."""
        x = self.features(x.reshape(-1, 1, self.size, self.size))
        return self.output(self.pool(x).flatten(1))


class RecurrentNetwork(torch.nn.Module):
    r"""A recurrent network that reads a sequence and then names its class.

    .. math:: h_t = \tanh(\operatorname{norm}(W h_{t-1} + V x_t + b))

    The norm is inside the cell, on the summed inputs, as in layer normalization's paper (Ba, Kiros
    & Hinton 2016, arXiv:1607.06450). ``norm="batch"`` has statistics of its own for each time step
    and a scale and shift for all (Cooijmans et al. 2016, arXiv:1603.09025); other layers, and what
    a function makes, are shared by all steps.

    Args:
        norm, groups: see :func:`norm_layer`; samples are (hidden,).
        features: read in a step; 8 reads a digit row by row, 1 pixel by pixel.
        steps: for how many steps batch norm has statistics.
        hidden: size of the state.
        classes: number of logits.
        rng: numpy Generator, or a seed for one.
        dtype: of all parameters.
    """

    def __init__(
        self,
        norm=None,
        features=8,
        steps=8,
        hidden=32,
        groups=4,
        classes=10,
        rng=0,
        dtype=torch.float64,
    ):
        super().__init__()
        rng = np.random.default_rng(rng)
        self.features, self.hidden, self.per_step = features, hidden, norm == "batch"
        self.input = _linear(features, hidden, rng)
        self.state = _linear(hidden, hidden, rng, bias=False)
        layers = [norm_layer(norm, (hidden,), groups) for _ in range(steps if self.per_step else 1)]
        for layer in layers[1:]:
            layer.weight, layer.bias = layers[0].weight, layers[0].bias
        self.norms = torch.nn.ModuleList(layers)
        self.output = _linear(hidden, classes, rng)
        self.to(dtype)

    def forward(self, x):
        """Logits (N, classes) of sequences (N, steps * features) or (N, steps, features).

        Raises:
            ValueError: batch norm has no statistics for so many steps.
        """
        x = self.input(x.reshape(len(x), -1, self.features))
        if self.per_step and x.shape[1] > len(self.norms):
            raise ValueError(
                f"a sequence of {x.shape[1]} steps, but batch norm has statistics for "
                f"{len(self.norms)}: cut it, train with steps={x.shape[1]}, or take norm='layer'."
            )
        h = x.new_zeros(len(x), self.hidden)
        for t in range(x.shape[1]):
            norm = self.norms[t if self.per_step else 0]
            h = torch.tanh(norm(self.state(h) + x[:, t]))
        return self.output(h)


class Block(torch.nn.Module):
    """Causal self-attention, then a linear layer, ReLU, a linear layer, each with a residual."""

    def __init__(self, width, heads, norm, place, rng):
        super().__init__()
        self.heads, self.place = heads, place
        self.norm1, self.norm2 = norm_layer(norm, (width,)), norm_layer(norm, (width,))
        self.query, self.key, self.value, self.mix = (
            _linear(width, width, rng, xavier=True) for _ in range(4)
        )
        self.up = _linear(width, 4 * width, rng, xavier=True)
        self.down = _linear(4 * width, width, rng, xavier=True)

    def forward(self, x):
        if self.place == "pre":
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))

    def attention(self, x):
        q, k, v = (
            f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for f in (self.query, self.key, self.value)
        )
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.mix(y.transpose(1, 2).flatten(2))

    def mlp(self, x):
        return self.down(torch.relu(self.up(x)))


class Transformer(torch.nn.Module):
    """A decoder: for each character of a text, the logits of the next one.

    ``place="pre"`` normalizes what a sublayer reads, x + f(norm(x)), and the last block's output;
    ``place="post"`` its sum with the residual, norm(x + f(x)). Xavier initialization, as in Xiong
    et al. 2020, arXiv:2002.04745.

    Args:
        norm: "layer", "rms", None, or a function from the shape (width,) to a module.
        place: "pre" or "post".
        depth: number of blocks.
        width: features of a character; its multiple of 4 within a block.
        heads: of the attention, a divisor of ``width``.
        length: of the longest text, in characters.
        vocabulary: number of different characters.
        rng: numpy Generator, or a seed for one.
        dtype: of all parameters.

    Raises:
        ValueError: no such place or norm; ``heads`` does not divide ``width``.
    """

    def __init__(
        self,
        norm="layer",
        place="pre",
        depth=2,
        width=32,
        heads=2,
        length=64,
        vocabulary=96,
        rng=0,
        dtype=torch.float64,
    ):
        super().__init__()
        if place not in ("pre", "post"):
            raise ValueError(f"place must be 'pre' or 'post', got {place!r}.")
        if width % heads:
            raise ValueError(f"heads must divide width, got {heads} and {width}.")
        rng = np.random.default_rng(rng)
        self.tokens = _draw(torch.nn.Embedding(vocabulary, width), 1, rng)
        self.positions = _draw(torch.nn.Embedding(length, width), 0.1, rng)
        self.blocks = torch.nn.ModuleList(
            Block(width, heads, norm, place, rng) for _ in range(depth)
        )
        self.norm = norm_layer(norm if place == "pre" else None, (width,))
        self.output = _linear(width, vocabulary, rng, xavier=True)
        self.to(dtype)

    def forward(self, x):
        """Logits (N, L, vocabulary) of characters (N, L)."""
        x = self.tokens(x) + self.positions.weight[: x.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.output(self.norm(x))


def gradient_norms(model, x, y, weight=None):
    """How large the loss's gradient is in the weights of each block of a transformer.

    Args:
        model: a :class:`Transformer`.
        x, y: characters (N, L), and those to be predicted.
        weight: "query", "key", "value", "mix", "up" or "down"; None for all six together.

    Returns:
        (depth,): the Euclidean norm.
    """
    logits = model(torch.as_tensor(x))
    loss = functional.cross_entropy(logits.flatten(0, -2), torch.as_tensor(y).flatten())
    names = [weight] if weight else ["query", "key", "value", "mix", "up", "down"]
    weights = [getattr(block, name).weight for block in model.blocks for name in names]
    squares = [float((g**2).sum()) for g in torch.autograd.grad(loss, weights)]
    return np.sqrt(np.reshape(squares, (len(model.blocks), -1)).sum(1))


def _linear(inputs, outputs, rng, bias=True, xavier=False):
    """y = x Wᵀ + b with W from N(0, 1 / inputs), or Xavier's N(0, 2 / (inputs + outputs))."""
    std = (2 / (inputs + outputs) if xavier else 1 / inputs) ** 0.5
    return _draw(torch.nn.Linear(inputs, outputs, bias), std, rng)


@torch.no_grad()
def _draw(layer, std, rng):
    """The layer, its weight drawn from N(0, std^2), its bias zero."""
    layer.to(torch.float64)
    layer.weight.copy_(torch.from_numpy(rng.normal(0, std, layer.weight.shape)))
    if getattr(layer, "bias", None) is not None:
        layer.bias.zero_()
    return layer
