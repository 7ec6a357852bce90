"""How much two numbers say about each other: mutual information, and conditional histograms."""

import numpy as np

__all__ = ["conditional_histogram", "mutual_information"]


def mutual_information(a, b, bins=16):
    """Mutual information of two samples in bits, from counts on bins that are equally full.

    Whatever each of the two is replaced with, as long as its order stays, gives the same. What
    independent samples would show on average, by chance, is subtracted.

    Args:
        a, b: (n,), samples in pairs.
        bins: for each of the two.
    """
    edges = np.arange(1, bins) / bins
    places = [np.searchsorted(np.quantile(v, edges), v) for v in (a, b)]
    counts = np.zeros((bins, bins))
    np.add.at(counts, tuple(places), 1)
    p = counts / counts.sum()
    alone = p.sum(1, keepdims=True) * p.sum(0, keepdims=True)
    some = p > 0
    by_chance = (bins - 1) ** 2 / (2 * len(a) * np.log(2))
    return float((p[some] * np.log2(p[some] / alone[some])).sum() - by_chance)


def conditional_histogram(a, b, reach, bins=21):
    """(rows of a, columns of b): how often a has a value where b has one; each column up to 1.

    Args:
        a, b: (n,), samples in pairs.
        reach: both are counted from -reach to reach.
        bins: for each; odd, so that zero lies in the middle of one.
    """
    counts, _, _ = np.histogram2d(a, b, bins, [[-reach, reach]] * 2)
    return counts / counts.max(0, keepdims=True).clip(1)
