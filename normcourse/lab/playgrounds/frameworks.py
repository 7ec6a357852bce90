"""A batch norm layer copied from torch into another framework, and what training makes of it."""

import numpy as np

from normcourse.batch_norm import update_running_statistics
from normcourse.palette import ACCENT, RAW
from normcourse.widgets import Choice, Lines, Note, Playground, Slider, Table
from normcourse.widgets.panels import number

__all__ = ["COPIED", "averages", "batches", "playground"]

MEAN, VARIANCE, BATCHES = 2.0, 1.0, 50
COPIED = ("γ, β, mean, variance", "momentum and ε as well", "carried")
SHOWN = (0, 1, 10, BATCHES)


def batches(size, channels=1):
    """(BATCHES, size, channels): mean 2 and variance 1, so that nothing should change."""
    return np.random.default_rng(0).normal(MEAN, VARIANCE**0.5, (BATCHES, size, channels))


def averages(update, framework, copied, size):
    """(BATCHES + 1, 2): the mean and variance that inference uses, batch by batch.

    A layer of torch with momentum 0.1 and settled statistics is copied into ``framework``.
    """
    new = 0.1  # the weight of the new batch
    if framework != "torch" and copied != "carried":
        new = 0.01 if copied == COPIED[0] else 0.9  # the default; torch's number, read otherwise
    x = batches(size)
    mean, var = np.full(x.shape[2], MEAN), np.full(x.shape[2], VARIANCE)
    found = [(MEAN, VARIANCE)]
    for k, batch in enumerate(x, 1):
        old = var
        mean, var = update(mean, var, batch, new)
        if framework != "torch":  # the others store the biased variance
            var = (1 - new) * old + (var - (1 - new) * old) * (size - 1) / size
        counted = framework == "Equinox" and copied != "carried"
        total = 1 - (1 - new) ** k if counted else 1.0
        found.append((np.mean(mean) / total, np.mean(var) / total))
    return np.array(found)


def picture(update, framework, copied, size):
    reference = averages(update, "torch", "carried", size)
    found = averages(update, framework, copied, size)
    eps = 1e-3 if framework == "Keras" and copied == COPIED[0] else 1e-5
    curves = {
        name: {"as in torch": reference[:, i], "the copy": found[:, i]}
        for i, name in enumerate(("mean", "variance"))
    }
    lines = [
        Lines(
            f"Running {name}",
            drawn,
            (0.1, 1000),
            "batches after copying",
            f"running {name}",
            0,
            BATCHES,
            colours={"as in torch": RAW},
        )
        for name, drawn in curves.items()
    ]
    outputs = (3 - found[:, 0]) / np.sqrt(found[:, 1] + eps)
    rows = {
        f"{k} batches" if k != 1 else "1 batch": [number(v, 2) for v in (*found[k], outputs[k])]
        for k in SHOWN
    }
    expected = (3 - reference[:, 0]) / np.sqrt(reference[:, 1] + 1e-5)
    away = np.abs(outputs - expected).max()
    return [
        *lines,
        Table("What inference uses", ["mean", "variance", "x̂ of x = 3"], rows),
        Note(
            f"ε = {number(eps, 1)}. The data have mean 2 and variance 1 throughout. At worst, x̂ of "
            f"x = 3 is {number(away, 2)} away from what torch goes on to compute."
        ),
    ]


def playground():
    """Framework x what is copied x batch size, computed by ``update_running_statistics``."""
    return Playground(
        "frameworks",
        "A batch norm layer leaves torch",
        [
            Choice("framework", "Copied into", ("torch", "Keras", "Flax", "Equinox"), "Equinox"),
            Choice("copied", "What is copied", COPIED),
            Slider("size", "Batch size N", (2, 8, 32), 8),
        ],
        picture,
        update_running_statistics,
        accent=ACCENT["batch_norm"],
        height=800,
    )
