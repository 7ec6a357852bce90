"""Oriented filters, and what they answer on a photograph: channels that belong together."""

import numpy as np

__all__ = ["oriented_filters", "responses"]


def oriented_filters(wavelengths=(4, 6, 9, 13), angles=4, size=21):
    """Gabor filters (C, size, size): all wavelengths of the first orientation, then of the next.

    Each is a wave under a Gaussian window, without mean and of length 1.

    Args:
        wavelengths: in pixels.
        angles: number of orientations in half a turn.
        size: of the kernels, in pixels, odd.
    """
    y, x = np.mgrid[:size, :size] - size // 2
    kernels = []
    for angle in np.arange(angles) * np.pi / angles:
        for wavelength in wavelengths:
            along = x * np.cos(angle) + y * np.sin(angle)
            window = np.exp(-(x**2 + y**2) / (2 * (0.4 * wavelength) ** 2))
            kernel = window * np.sin(2 * np.pi * along / wavelength)
            kernels.append(kernel / np.linalg.norm(kernel))
    return np.array(kernels)


def responses(image, kernels, step=1):
    """What each filter answers: (C, H, W) of a grey image, at every ``step``-th position."""
    windows = np.lib.stride_tricks.sliding_window_view(image, kernels.shape[1:])[::step, ::step]
    return np.tensordot(kernels, windows, ((1, 2), (2, 3)))
