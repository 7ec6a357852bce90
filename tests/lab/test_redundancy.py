"""Mutual information and conditional histograms: known cases."""

import numpy as np
import pytest

from normcourse.lab.redundancy import conditional_histogram, mutual_information

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 50_000))


def test_independent_samples_share_nothing():
    assert mutual_information(A, B) == pytest.approx(0, abs=0.002)


def test_equal_samples_share_all_that_a_bin_says():
    assert mutual_information(A, -A) == pytest.approx(4, abs=0.01)


def test_gaussian_samples_share_what_their_correlation_says():
    r = 0.6
    found = mutual_information(A, r * A + (1 - r**2) ** 0.5 * B)
    assert found == pytest.approx(-np.log2(1 - r**2) / 2, rel=0.05)


def test_a_common_loudness_is_shared_without_correlation():
    loud = np.exp(RNG.normal(size=A.shape))
    assert abs(np.corrcoef(A * loud, B * loud)[0, 1]) < 0.05
    found = mutual_information(A * loud, B * loud)
    assert found > 0.1
    # Whatever keeps the order keeps what is shared; the sign is kept, too.
    assert mutual_information((A * loud) ** 3, np.arctan(B * loud)) == found


def test_each_column_is_a_histogram():
    shown = conditional_histogram(A, 2 * B, reach=3, bins=5)
    assert shown.shape == (5, 5)
    np.testing.assert_array_equal(shown.max(0), 1)
    np.testing.assert_array_equal(shown.argmax(0), 2)
