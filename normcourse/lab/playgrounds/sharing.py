"""Which numbers share a statistic: pick one, and see whose result it changes.

Nothing is told here about axes. One number is changed, and what comes out otherwise goes with it.
"""

import functools

import numpy as np

from normcourse.batch_norm import batch_norm
from normcourse.group_norm import group_norm
from normcourse.instance_norm import instance_norm
from normcourse.layer_norm import layer_norm
from normcourse.palette import ACCENT
from normcourse.rms_norm import rms_norm
from normcourse.widgets import Choice, Note, Playground, Sharing, Slider

__all__ = ["playground"]

SHAPE = 3, 4, 4  # samples, then channels x positions, or tokens x features
GROUPS = 2


def per_position(function, x):
    """A norm of the last axis, along the channels: ConvNeXt's layer norm of an image."""
    return np.moveaxis(function(np.moveaxis(x, 1, -1), x.shape[1:2]), -1, 1)


TECHNIQUES = {  # name -> (accent, function of x (N, C, positions))
    "batch": ("batch_norm", batch_norm),
    "layer, whole sample": ("layer_norm", lambda x: layer_norm(x, x.shape[1:])),
    "layer, each position": ("layer_norm", lambda x: per_position(layer_norm, x)),
    "instance": ("instance_norm", instance_norm),
    "group": ("group_norm", lambda x: group_norm(x, GROUPS)),
    "RMS, each position": ("rms_norm", lambda x: per_position(rms_norm, x)),
}
BLOCKS = {"image (N, C, H·W)": ("channels", "positions"), "text (N, L, D)": ("tokens", "features")}

IN_IMAGES = {
    "batch": "all samples and positions of one channel",
    "layer, whole sample": "all channels and positions of one sample: layer norm in the GN paper",
    "layer, each position": "all channels at one position: layer norm in ConvNeXt",
    "instance": "all positions of one channel of one sample",
    "group": f"all positions of {SHAPE[1] // GROUPS} channels of one sample",
    "RMS, each position": "all channels at one position, as in layer norm; no mean is subtracted",
}
IN_TEXTS = {
    "batch": "one feature in all tokens of all samples, padding and later words included",
    "layer, whole sample": "all features of all tokens of one sample: rare, since later tokens "
    "then change earlier ones",
    "layer, each position": "all features of one token: layer norm in every transformer",
    "instance": "one feature in all tokens of one sample",
    "group": f"{SHAPE[1] // GROUPS} features in all tokens of one sample",
    "RMS, each position": "all features of one token, as in layer norm; no mean is subtracted",
}


@functools.cache
def goes_with(technique, picked):
    """Whose result is another when the number at ``picked`` (sample, channel, position) is."""
    x = np.random.default_rng(0).standard_normal(SHAPE)
    changed = x.copy()
    changed[picked] += 1
    function = TECHNIQUES[technique][1]
    return ~np.isclose(function(x), function(changed), rtol=1e-9, atol=1e-9)


def picture(function, block, technique, sample, row, column):
    rows, columns = BLOCKS[block]
    image = rows == "channels"
    picked = sample - 1, row - 1, column - 1
    shared = goes_with(technique, picked if image else (picked[0], picked[2], picked[1]))
    if not image:
        shared = shared.swapaxes(1, 2)
    what = (IN_IMAGES if image else IN_TEXTS)[technique]
    return [
        Sharing(
            "Filled: their result depends on the number with the dot",
            shared,
            picked,
            rows,
            columns,
            ("sample", "row", "column"),
        ),
        Note(
            f"Sample {sample}, {rows[:-1]} {row}, {columns[:-1]} {column}: {shared.sum()} of "
            f"{shared.size} numbers share its statistic, {what}. "
            f"{shared.size // shared.sum()} statistics in all."
        ),
    ]


def playground(technique="batch_norm"):
    """All techniques of activations on one block: each is a choice of axes."""
    start = next(
        name
        for name, (owner, _) in TECHNIQUES.items()
        if owner == technique and name != "layer, whole sample"
    )
    text = technique in ("layer_norm", "rms_norm")
    return Playground(
        f"sharing_{technique}",
        "Pick a number: who shares its statistic?",
        [
            Choice("technique", "Normalization", tuple(TECHNIQUES), start),
            Choice("block", "Block", tuple(BLOCKS), tuple(BLOCKS)[text]),
            Slider("sample", "Sample", (1, 2, 3), 2),
            Slider("row", "Row", (1, 2, 3, 4), 2),
            Slider("column", "Column", (1, 2, 3, 4), 3),
        ],
        picture,
        accent=ACCENT[technique],
        height=665,
    )
