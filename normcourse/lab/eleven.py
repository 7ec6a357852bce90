"""The eleven techniques in one picture, by the three questions of the course.

Which numbers share a statistic is not told but tried: one number is changed, and whose result is
another goes with it.
"""

from html import escape
from typing import NamedTuple

import numpy as np

from normcourse import rescaling
from normcourse.batch_norm import batch_norm
from normcourse.divisive_norm import signed_divisive_norm
from normcourse.group_norm import group_norm
from normcourse.instance_norm import instance_norm
from normcourse.layer_norm import layer_norm
from normcourse.palette import ACCENT
from normcourse.rms_norm import rms_norm
from normcourse.spectral_norm import spectral_norm
from normcourse.switchable_norm import switchable_norm
from normcourse.weight_norm import weight_norm

__all__ = ["PICKED", "SHAPE", "TECHNIQUES", "Picture", "Technique", "shared"]

SHAPE = 4, 4, 2  # samples, channels, positions
TABLE = 4, 8  # data: samples, features; weights: units, inputs
PICKED = 1, 2  # in the block as a table
CELL = 10  # pixels


class Technique(NamedTuple):
    """A technique: its page below book/, and two of the answers."""

    name: str
    page: str
    share: str  # which numbers share a statistic
    decides: str  # who

    @property
    def what(self):
        """What is normalized, the third answer."""
        folder = self.page.split("/")[0]
        return {"foundations": "Data", "weights": "Weights"}.get(folder, "Activations")


TECHNIQUES = (
    Technique("Min-max scaling", "foundations/rescaling", "a feature", "the training set"),
    Technique("Standardization", "foundations/rescaling", "a feature", "the training set"),
    Technique("Batch norm", "activations/batch_norm", "a channel, over the batch", "the batch"),
    Technique("Layer norm", "activations/layer_norm", "a sample", "the sample"),
    Technique("Instance norm", "activations/instance_norm", "a channel of a sample", "the sample"),
    Technique("Group norm", "activations/group_norm", "some channels of a sample", "the sample"),
    Technique("RMSNorm", "activations/rms_norm", "a sample; no mean", "the sample"),
    Technique("Divisive norm", "adaptive/divisive_norm", "nearby channels", "the neighbours"),
    Technique("Switchable norm", "adaptive/switchable_norm", "a mixture", "learned shares"),
    Technique("Weight norm", "weights/weight_norm", "the weights of a unit", "a learned length"),
    Technique("Spectral norm", "weights/spectral_norm", "all weights of a layer", "the bound 1"),
)


def standardized(X):
    _, mean, var = rescaling.standard_statistics(X)
    return rescaling.standard_scale(X, mean, var)


NEAR = (abs(np.subtract.outer(range(4), range(4))) <= 1).astype(float)
FUNCTIONS = {  # each of a block; of a table, where these are data or weights
    "Min-max scaling": lambda X: rescaling.min_max_scale(X, *rescaling.min_max_statistics(X)),
    "Standardization": standardized,
    "Batch norm": batch_norm,
    "Layer norm": lambda x: layer_norm(x, SHAPE[1:]),
    "Instance norm": instance_norm,
    "Group norm": lambda x: group_norm(x, 2),
    "RMSNorm": lambda x: rms_norm(x, SHAPE[1:]),
    "Divisive norm": lambda x: signed_divisive_norm(x, NEAR),
    "Switchable norm": lambda x: switchable_norm(x, np.zeros(3), np.zeros(3)),
    "Weight norm": lambda v: weight_norm(v, np.ones((4, 1))),
    "Spectral norm": lambda W: spectral_norm(W, np.full(4, 4**-0.5), np.full(8, 8**-0.5)),
}


def shared(technique):
    """(4, 8) bool: whose result is another when the picked number is."""
    shape = SHAPE if technique.what == "Activations" else TABLE
    x = np.random.default_rng(0).standard_normal(TABLE)
    low, high = x.copy(), x.copy()
    low[PICKED], high[PICKED] = -9, 8  # a new smallest value, and a new largest one
    one, other = (FUNCTIONS[technique.name](a.reshape(shape)) for a in (low, high))
    return ~np.isclose(one, other, rtol=1e-9, atol=1e-9).reshape(TABLE)


# The site's variables where there are any; the defaults are for notebooks.
STYLE = """<style>
.nc-eleven p { margin: 1.1em 0 0.4em; font-weight: 600; }
.nc-eleven div { display: grid; grid-template-columns: repeat(auto-fill, minmax(14em, 1fr));
  gap: 0.7em; }
.nc-eleven a { display: grid; grid-template-columns: auto 1fr; gap: 0 0.8em; padding: 0.7em;
  border: 1px solid var(--nc-line, #7d838c80); border-radius: 0.4em; color: inherit;
  background: var(--nc-surface, none); text-decoration: none; font-size: 0.9em; line-height: 1.4; }
.nc-eleven a:is(:hover, :focus-visible) { border-color: var(--nc-mark); }
.nc-eleven svg { grid-row: span 3; align-self: center; fill: none; stroke: currentColor;
  stroke-opacity: 0.45; }
.nc-eleven .nc-shared { fill: var(--nc-mark); }
.nc-eleven circle { fill: currentColor; stroke: none; }
</style>"""


class Picture:
    """A card for each technique, with its link and with what shares a statistic, filled."""

    def __repr__(self):
        return "\n".join(
            f"{t.name:15}  {t.what:11}  {shared(t).sum():2} numbers: {t.share}; {t.decides}"
            for t in TECHNIQUES
        )

    def _repr_html_(self):
        parts = [STYLE, '<div class="nc-eleven">']
        for what in ("Data", "Activations", "Weights"):
            cards = [card(t) for t in TECHNIQUES if t.what == what]
            parts += [f"<p>{what}</p>", "<div>", *cards, "</div>"]
        return "\n".join([*parts, "</div>"])


def card(t):
    """A link with the drawing, the name and two of the answers, as html."""
    mark = ACCENT[t.page.split("/")[1]]
    return (
        f'<a class="nc-card" href="{t.page}.ipynb" style="--nc-mark: {mark}">'
        f"{drawing(shared(t))}<b>{t.name}</b>"
        f"<span>{escape(t.share)}</span><i>{escape(t.decides)}</i></a>"
    )


def drawing(filled):
    """The numbers as cells, those that share with the picked one filled, as svg."""
    rows, columns = filled.shape
    place = lambda i, j: f"{j * CELL + 0.5} {i * CELL + 0.5}"  # noqa: E731
    box = f"h{CELL}v{CELL}h-{CELL}z"
    every = "".join(f"M{place(i, j)}{box}" for i, j in np.ndindex(*filled.shape))
    some = "".join(f"M{place(i, j)}{box}" for i, j in np.argwhere(filled))
    x, y = ((k + 0.5) * CELL + 0.5 for k in reversed(PICKED))
    return (
        f'<svg width="{columns * CELL + 1}" height="{rows * CELL + 1}" aria-hidden="true">'
        f'<path class="nc-shared" d="{some}"/><path d="{every}"/>'
        f'<circle cx="{x}" cy="{y}" r="2"/></svg>'
    )
