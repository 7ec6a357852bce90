"""Figures that read on the light and on the dark page, and the picture of the whole course."""

from itertools import product

import numpy as np

from normcourse.palette import ACCENT, INK

__all__ = ["axes_picture", "use_style"]


def use_style():
    """Give matplotlib the look of the course; in a notebook, draw SVG that never changes.

    Transparent background, mid-tone ink, no upper and right spine. Executing a notebook again
    gives the same bytes: element ids are salted with a constant and no date is stored.
    """
    import matplotlib
    from cycler import cycler

    inked = ("axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "text.color")
    ink = dict.fromkeys((*inked, "xtick.color", "ytick.color", "grid.color"), INK)
    matplotlib.rcParams.update(
        ink
        | {
            "figure.figsize": (7.0, 3.2),
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            "savefig.facecolor": "none",
            "axes.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.prop_cycle": cycler(color=list(ACCENT.values())),
            "font.size": 10,
            "grid.alpha": 0.35,
            "grid.linewidth": 0.6,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "path.simplify": False,  # what it leaves out depends on the last digits
            "svg.hashsalt": "normcourse",
        }
    )
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:  # a plain script: there is nothing to display
        return
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None})


_N, _C, _H = 4, 6, 5  # cells of the drawn block: samples, channels, positions
_DEPTH = 0.46, 0.40  # one step along N on the page, in cell widths

# Technique -> what it is called, what its statistics run over, and which cells share one.
_SHARES = {
    "batch_norm": ("Batch Norm", "over N, H, W", lambda n, c: c == _C - 1),
    "layer_norm": ("Layer Norm", "over C, H, W", lambda n, c: n == 0),
    "instance_norm": ("Instance Norm", "over H, W", lambda n, c: n == 0 and c == _C - 1),
    "group_norm": ("Group Norm", "over C/G, H, W", lambda n, c: n == 0 and c >= _C // 2),
    "rms_norm": ("RMSNorm", "over C, H, W · no mean", lambda n, c: n == 0),
}


def axes_picture(*techniques, highlight=None):
    """Which numbers share a statistic: a block of N x C x (H, W) activations per technique.

    The coloured cells share one statistic with the cell that has a dot. It is drawn as pyplot's
    current figure, which a notebook shows at the end of the cell.

    Args:
        techniques: names as in :data:`normcourse.palette.ACCENT`, from batch_norm to rms_norm;
            all five where none is given.
        highlight: the one technique that is drawn in colour; None for all of them.
    """
    import matplotlib.pyplot as plt

    techniques = techniques or tuple(_SHARES)
    for name in (*techniques, *([highlight] if highlight else [])):
        if name not in _SHARES:
            raise ValueError(f"{name!r} has no axes picture; there are {', '.join(_SHARES)}.")
    size = (1.62 * len(techniques) + 0.25, 2.25)
    with plt.rc_context({"text.color": INK}):
        _, panels = plt.subplots(1, len(techniques), figsize=size, squeeze=False)
        for i, (name, panel) in enumerate(zip(techniques, panels[0], strict=True)):
            _draw_block(panel, name, muted=highlight not in (None, name), label=i == 0)


def _draw_block(panel, name, muted, label):
    """The three visible faces of the block, cell by cell, like figure 2 of arXiv:1803.08494."""
    from matplotlib.colors import to_rgba
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    title, over, shares = _SHARES[name]
    accent = INK if muted else ACCENT[name]

    def at(c, h, n):
        return c + n * _DEPTH[0], h + n * _DEPTH[1]

    front, top, side = {}, {}, {}  # corner of a cell -> whether it shares the statistic
    for c, h, n in product(range(_C), range(_H), range(_N)):
        front[c, h, 0] = shares(0, c)
        top[c, _H, n] = shares(n, c)
        side[_C, h, n] = shares(n, _C - 1)
    for face, shade, u, v in [
        (front, 0.88, (1, 0, 0), (0, 1, 0)),
        (top, 0.66, (1, 0, 0), (0, 0, 1)),
        (side, 1.0, (0, 0, 1), (0, 1, 0)),
    ]:
        for chosen in (False, True):
            cells = [
                [at(*np.add(corner, step)) for step in ((0, 0, 0), u, np.add(u, v), v)]
                for corner, shared in face.items()
                if shared == chosen
            ]
            if not cells:
                continue
            path = Path.make_compound_path(*(Path([*xy, xy[0]], closed=True) for xy in cells))
            alpha = shade * (0.2 if not chosen else 0.55 if muted else 1)
            fill = to_rgba(accent if chosen else INK, alpha)
            edge = "white" if chosen and not muted else INK
            panel.add_patch(PathPatch(path, facecolor=fill, edgecolor=edge, linewidth=0.55))
    if not muted:
        panel.plot(*at(_C - 0.5, _H // 2 + 0.5, 0), "o", color="white", markersize=4.2)

    middle = (_C + _N * _DEPTH[0]) / 2
    panel.text(middle, -2.0, title, ha="center", color=accent, weight="bold", size=10.5)
    panel.text(middle, -3.25, over, ha="center", size=8.5)
    if label:
        panel.text(_C / 2, -0.25, "C", ha="center", va="top", size=8.5)
        panel.text(-0.3, _H / 2, "H, W", ha="right", va="center", size=8.5, rotation=90)
        x, y = at(0, _H, _N / 2)
        panel.text(x - 0.25, y + 0.2, "N", ha="right", va="bottom", size=8.5)
    panel.set_xlim(-1.2, _C + _N * _DEPTH[0] + 0.2)
    panel.set_ylim(-3.6, _H + _N * _DEPTH[1] + 0.3)
    panel.set_aspect("equal")
    panel.axis("off")
