"""An orthonormal block transform: each colour and frequency of a picture becomes a channel."""

import numpy as np

__all__ = ["block_channels", "block_picture", "frequency"]


def cosines(size):
    """The orthonormal DCT-II, (size, size): row k is the cosine of frequency k."""
    k, i = np.mgrid[:size, :size]
    waves = np.cos(np.pi * k * (2 * i + 1) / (2 * size)) * (2 / size) ** 0.5
    waves[0] /= 2**0.5
    return waves


def block_channels(image, size=8):
    """A picture (H, W, 3) as channels (1, 3 * size², H / size, W / size).

    Each block of size x size pixels becomes one position; the channels are its coefficients in an
    orthonormal cosine basis, colour by colour, row frequency by column frequency.

    Raises:
        ValueError: ``size`` divides not both height and width.
    """
    h, w, colours = image.shape
    if h % size or w % size:
        raise ValueError(f"size must divide height and width, got {size} and {h} x {w}.")
    blocks = image.reshape(h // size, size, w // size, size, colours)
    waves = cosines(size)
    found = np.einsum("ki,aibjc,lj->cklab", waves, blocks, waves, optimize=True)
    return found.reshape(1, -1, h // size, w // size)


def block_picture(channels, size=8):
    """The picture whose :func:`block_channels` these are: the basis is orthonormal."""
    h, w = channels.shape[2:]
    blocks = channels.reshape(-1, size, size, h, w)
    waves = cosines(size)
    image = np.einsum("ki,cklab,lj->aibjc", waves, blocks, waves, optimize=True)
    return image.reshape(h * size, w * size, -1)


def frequency(size=8, colours=3):
    """How fast each channel of :func:`block_channels` oscillates: the larger of its two orders."""
    down, across = np.mgrid[:size, :size]
    return np.tile(np.maximum(down, across).ravel(), colours)
