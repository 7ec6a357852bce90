"""Divisive normalization: stimulus x contrast x sigma x exponent x width of the pool."""

import numpy as np

from normcourse.divisive_norm import divisive_norm
from normcourse.palette import ACCENT, RAW
from normcourse.widgets import Choice, Lines, Note, Playground, Slider, Table

__all__ = ["drive", "playground", "pool", "width"]

STEP = 15  # degrees between neighbouring filters
PREFERRED = np.arange(-90, 90, STEP)
MIDDLE = int(np.flatnonzero(PREFERRED == 0)[0])
TURNS = np.arange(-90, 91, 3)  # orientations of the grating
CONTRASTS = np.linspace(0, 1, 51)
SHOWN = (0.05, 0.1, 0.2, 0.5, 1.0)
POOLS = {"itself": 0, "3 filters": 1, "7 filters": 3, "all 12": 6}  # name -> neighbours, each side
STIMULI = ("one grating", "and one across")
SHARPNESS = 2.0  # of the drive: it falls to half 35 degrees away


def tuning(degrees):
    """The drive of a filter so many degrees away from a grating of contrast 1."""
    return np.exp(SHARPNESS * (np.cos(2 * np.radians(degrees)) - 1))


def drive(contrast, turn, stimulus):
    """(stimuli, filters): what each filter hears of gratings of these contrasts and turns."""
    contrast, turn = (np.reshape(v, (-1, 1)) for v in (contrast, turn))
    found = contrast * tuning(PREFERRED - turn)
    if stimulus == STIMULI[1]:
        found = found + contrast * tuning(PREFERRED - 90)
    return found


def pool(name):
    """w: 1 for the filters in the pool of each, 0 for the others; orientations form a circle."""
    apart = abs(PREFERRED[:, None] - PREFERRED)
    return (np.minimum(apart, 180 - apart) <= STEP * POOLS[name]).astype(float)


def width(curve):
    """Full width at half of the height above the lowest, in degrees; None if there is no peak."""
    low, peak = curve.min(), curve.max()
    if peak - low < 1e-9:
        return None
    above = np.flatnonzero(curve - low >= (peak - low) / 2)
    first, last = above[0], above[-1]
    if first == 0 or last == len(curve) - 1:
        return None
    level = (peak + low) / 2
    left = first - (curve[first] - level) / (curve[first] - curve[first - 1])
    right = last + (curve[last] - level) / (curve[last] - curve[last + 1])
    return float((right - left) * (TURNS[1] - TURNS[0]))


def picture(function, contrast, sigma, exponent, neighbours, stimulus):
    w = pool(neighbours)

    def respond(c, turn, shown=stimulus):
        return np.asarray(function(drive(c, turn, shown), w, sigma, 1.0, exponent))[:, MIDDLE]

    now, full = respond(contrast, TURNS), respond(1.0, TURNS)
    course = respond(CONTRASTS, 0.0)
    alone, both = (float(respond(contrast, 0.0, shown)[0]) for shown in STIMULI)
    narrow = width(drive(1.0, TURNS, stimulus)[:, MIDDLE] ** exponent)
    widths = [narrow, width(now), width(full)]
    texts = ["none" if v is None else f"{round(v, 6):.0f}°" for v in widths]
    half = np.interp(course[-1] / 2, course, CONTRASTS) if course[-1] else np.nan
    change = both / alone
    if abs(change - 1) < 0.02:
        across = "a grating across changes nothing here: it is not in the pool"
    elif change < 1:
        across = f"with a grating across it responds {1 - change:.0%} less"
    else:
        across = f"with a grating across it responds {change - 1:.0%} more"
    note = f"To the grating it prefers, at this contrast: {alone:.1%} of its gain; {across}. "
    if None in widths[1:]:
        note += "The curve has no width: it is flat where it should fall."
    elif contrast == 1:
        note += f"Its tuning is {texts[2]} wide; the drive to the n alone would be {texts[0]}."
    elif abs(widths[2] / widths[1] - 1) < 0.05:
        note += f"From this contrast to the full one the width of tuning stays: {texts[2]}."
    else:
        note += f"From this contrast to the full one the width goes from {texts[1]} to {texts[2]}."
    return [
        Lines(
            "Tuning of the filter that prefers 0°",
            {
                "at this contrast": 100 * now,
                "at full contrast": 100 * full,
                "drive, this contrast": 100 * drive(contrast, TURNS, stimulus)[:, MIDDLE],
            },
            limits=(0, 100),
            xlabel="grating's orientation in degrees",
            ylabel="% of the gain",
            start=-90,
            stop=90,
            log=False,
            colours={"drive, this contrast": RAW},
        ),
        Lines(
            "Its response to the grating it prefers",
            {"response": 100 * course, "drive": 100 * CONTRASTS},
            limits=(0, 100),
            xlabel="contrast in %",
            ylabel="% of the gain",
            stop=100,
            log=False,
            colours={"drive": RAW},
        ),
        Table(
            "In numbers",
            ["value"],
            {
                "width of tuning, now": [texts[1]],
                "width at full contrast": [texts[2]],
                "width of the drive to the n": [texts[0]],
                "contrast of half its full response": [f"{100 * half:.1f} %"],
                "response with a grating across": [f"{change:.0%} of that alone"],
            },
        ),
        Note(note),
    ]


def playground():
    """Twelve orientations, computed by ``normcourse.divisive_norm``; the middle one is drawn."""
    return Playground(
        "divisive_norm",
        "One filter, and who divides it",
        [
            Slider("contrast", "Contrast", SHOWN, 0.2, tuple(f"{c:.0%}" for c in SHOWN)),
            Slider("sigma", "σ, in units of the drive", (0.05, 0.1, 0.3, 1.0), 0.1),
            Slider("exponent", "Exponent n", (1, 2, 4), 2),
            Choice("neighbours", "Its pool", tuple(POOLS), "all 12"),
            Choice("stimulus", "Stimulus", STIMULI),
        ],
        picture,
        divisive_norm,
        accent=ACCENT["divisive_norm"],
        height=920,
    )
