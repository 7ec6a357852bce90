"""What several playgrounds draw: a batch before and after, and which cells share a statistic."""

import numpy as np

from normcourse.widgets import Grid, Histogram, Note
from normcourse.widgets.panels import summary

__all__ = ["before_after", "groups"]


def groups(axes, shape):
    """Which numbers share a statistic along ``axes``: one integer for each of them."""
    kept = [1 if axis in axes else n for axis, n in enumerate(shape)]
    return np.broadcast_to(np.arange(np.prod(kept)).reshape(kept), shape)


def before_after(x, y, axes, note, columns="channels"):
    """A batch and what a normalization along ``axes`` makes of it, as panels.

    Args:
        x, y: (N, ...), a row of cells for each sample.
        axes: those that share a statistic: their cells stand in one outline.
        note: a sentence on what is to be seen.
        columns: what the cells of a row are.
    """
    outlined = groups(axes, x.shape).reshape(len(x), -1)
    return [
        Grid("Raw batch", x.reshape(outlined.shape), outlined, columns=columns),
        Grid("Normalized batch", y.reshape(outlined.shape), outlined, columns=columns),
        Histogram("Raw values", x),
        Histogram("Normalized values", y, kind="normalized"),
        summary(x, y),
        Note(note),
    ]
