"""Every technique at every learning rate and batch size: loss, accuracy, and which rates work."""

import numpy as np

from normcourse.lab import rates
from normcourse.lab.rates import ARMS, LOOKS, RATES, SAMPLES, SIZES
from normcourse.palette import ACCENT, RAW
from normcourse.widgets import Choice, Grid, Lines, Note, Playground, Slider, Table

__all__ = ["playground"]

LIMITS = 0.05, 50


def percent(share):
    return f"{100 * share + 1e-9:.0f}"


def picture(function, arm, size, rate):
    found = function()
    a, s, r = ARMS.index(arm), SIZES.index(size), RATES.index(rate)
    losses = np.sort(found.loss[:, a, s, r], axis=0)
    none = np.median(found.loss[:, 0, s, found.best[0, s]], axis=0)
    groups = found.works[a].astype(int)
    groups[s, r] = 2
    return [
        Lines(
            "Training loss of five seeds",
            {"highest": losses[-1], "middle": losses[2], "lowest": losses[0], "none, best": none},
            limits=LIMITS,
            xlabel="digits seen",
            ylabel="cross-entropy, nats",
            start=round(SAMPLES / LOOKS),
            stop=SAMPLES,
            colours={"none, best": RAW},
        ),
        Grid(
            "Accuracy; outlined: works, or chosen",
            found.mean[a],
            groups,
            rows="batch size",
            columns=f"learning rate, {', '.join(f'{rate:g}' for rate in RATES)}",
            numbers=True,
            limit=1.0,
            marks=[str(size) for size in SIZES],
            margin=26,
        ),
        Table(
            "At the best rate, in %",
            ["rate", "mean", "seeds", "none"],
            {f"{size}": _row(found, arm, size) for size in SIZES},
        ),
        Note(_sentence(found, a, s, r)),
    ]


def _row(found, arm, size):
    a, s, right = ARMS.index(arm), SIZES.index(size), found.at_best(arm, size)
    return [
        f"{RATES[found.best[a, s]]:g}",
        percent(right.mean()),
        f"{percent(right.min())}…{percent(right.max())}",
        percent(found.at_best("none", size).mean()),
    ]


def _sentence(found, a, s, r):
    right, ended = found.accuracy[:, a, s, r], found.ended[a, s, r]
    text = (
        f"{ARMS[a]}, batches of {SIZES[s]}, rate {RATES[r]:g}: {percent(right.mean())} % of the "
        f"test digits, {percent(right.min())} … {percent(right.max())} % over five seeds."
    )
    if ended:
        text += f" In {ended} of {len(right)} runs the loss ended as no number."
    elif right.max() < 0.2:
        text += " All are as good as guessing."
    return text[0].upper() + text[1:]


def playground():
    """Technique x batch size x learning rate, from the stored study."""
    return Playground(
        "compare",
        "Find the rates that work",
        [
            Choice("arm", "Technique", ARMS, "batch norm"),
            Choice("size", "Batch size", SIZES),
            Slider("rate", "Learning rate", RATES, 0.1, texts=tuple(f"{r:g}" for r in RATES)),
        ],
        picture,
        rates.results,
        accent=ACCENT["batch_norm"],
        height=842,
    )
