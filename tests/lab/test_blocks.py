"""The block transform is orthonormal, and each channel is what it is called."""

import numpy as np
import pytest
from scipy.fft import dctn

from normcourse.lab.blocks import block_channels, block_picture, frequency


@pytest.mark.parametrize("size", [2, 4, 8])
def test_the_picture_comes_back_and_lengths_stay(size):
    image = np.random.default_rng(0).random((2 * size, 3 * size, 3))
    channels = block_channels(image, size)
    assert channels.shape == (1, 3 * size**2, 2, 3)
    np.testing.assert_allclose(block_picture(channels, size), image, atol=1e-12)
    assert (channels**2).sum() == pytest.approx((image**2).sum())


def test_a_block_is_scipys_cosine_transform():
    image = np.random.default_rng(0).random((16, 24, 3))
    found = block_channels(image)[0].reshape(3, 8, 8, 2, 3)[1, :, :, 1, 2]
    np.testing.assert_allclose(found, dctn(image[8:, 16:, 1], norm="ortho"), atol=1e-12)


def test_frequencies_tell_how_fast_a_channel_oscillates():
    flat = block_channels(np.ones((8, 8, 3)))[0, :, 0, 0]
    assert np.array_equal(np.abs(flat) > 1e-9, frequency() == 0)
    stripes = np.ones((8, 8, 3)) * np.cos(np.pi * 7 * (2 * np.arange(8) + 1) / 16)[:, None, None]
    waves = block_channels(stripes)[0, :, 0, 0]
    assert set(frequency()[np.abs(waves) > 1e-9]) == {7}


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="size must divide height and width, got 8 and 9 x 16"):
        block_channels(np.ones((9, 16, 3)))
