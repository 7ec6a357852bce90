"""Style transfer without a pretrained network: random filters, their Gram matrices, a stylizer.

Random filters of several widths tell textures apart nearly as trained ones do (Ustyuzhaninov,
Brendel, Gatys & Bethge 2016, arXiv:1606.00021).
"""

import numpy as np
import torch
from torch.nn import functional

from normcourse.lab.models import norm_layer
from normcourse.lab.training import one_thread

__all__ = ["RandomFilters", "Stylizer", "gram", "gram_loss", "train_stylizer"]

WIDTHS = 3, 7, 11  # of the filters, in pixels


class RandomFilters:
    """Rectified responses of random filters: pictures (N, 3, H, W) to one (N, C, h, w) per width.

    Each filter has no mean and length 1, but for three that average a colour.
    """

    def __init__(self, rng, filters=24, widths=WIDTHS):
        rng = np.random.default_rng(rng)
        self.banks = []
        for width in widths:
            bank = rng.normal(size=(filters, 3, width, width))
            bank -= bank.mean((1, 2, 3), keepdims=True)
            bank /= (bank**2).sum((1, 2, 3), keepdims=True) ** 0.5
            colour = np.eye(3)[:, :, None, None] * np.ones((width, width)) / width**2
            self.banks.append(torch.from_numpy(np.concatenate([bank, colour])))

    def __call__(self, pictures):
        return [torch.relu(functional.conv2d(pictures, bank)) for bank in self.banks]


def gram(features):
    """Mean products of channels over positions, (N, C, C) of (N, C, H, W)."""
    flat = features.flatten(2)
    return flat @ flat.mT / flat.shape[2]


def gram_loss(features, style):
    """Squared distance of Gram matrices over the squared length of the style's, one per picture.

    Args:
        features, style: what :class:`RandomFilters` makes of the pictures, and of the style.
    """
    pairs = [(gram(f), gram(s)) for f, s in zip(features, style, strict=True)]
    return sum(((f - s) ** 2).sum((1, 2)) / (s**2).sum() for f, s in pairs) / len(pairs)


class Stylizer(torch.nn.Module):
    """Three times convolution, norm, ReLU, then a convolution to the picture's colours.

    Small, but built like the generator of Ulyanov, Vedaldi & Lempitsky 2017, arXiv:1701.02096. The
    border is mirrored, so that it has no contrast of its own. He initialization.
    """

    def __init__(self, norm, channels=12, rng=0):
        super().__init__()
        rng = np.random.default_rng(rng)
        layers, inputs = [], 3
        for outputs in (channels, channels, channels, 3):
            convolution = torch.nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")
            weight = rng.normal(0, (2 / (9 * inputs)) ** 0.5, convolution.weight.shape)
            convolution.weight.data = torch.from_numpy(weight)
            layers += [convolution, norm_layer(norm, (outputs, 1, 1)), torch.nn.ReLU()]
            inputs = outputs
        self.layers = torch.nn.Sequential(*layers[:-2]).to(torch.float64)

    def forward(self, x):
        """Stylized pictures (N, 3, H, W)."""
        return torch.sigmoid(self.layers(x))


def losses(pictures, content, style, filters):
    """(content, style) per picture: relative distance of responses, and of Gram matrices."""
    made, given = filters(pictures), filters(content)
    kept = sum(
        ((m - g) ** 2).mean((1, 2, 3)) / (g**2).mean() for m, g in zip(made, given, strict=True)
    )
    return kept / len(made), gram_loss(made, style)


def train_stylizer(model, draw, style, filters, steps=300, lr=0.01, weight=5.0):
    """Train ``model`` in place with Adam on the loss content + ``weight`` * style.

    Args:
        model: from pictures to pictures.
        draw: () -> the content of the next step, (N, 3, H, W).
        style: responses of ``filters`` to the style.
        filters: a :class:`RandomFilters`.

    Returns:
        (steps,): the loss of each batch.
    """
    optimizer, seen = torch.optim.Adam(model.parameters(), lr), []
    with one_thread():
        for _ in range(steps):
            content = draw()
            kept, styled = losses(model(content), content, style, filters)
            loss = (kept + weight * styled).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
    return np.array(seen)
