"""What a playground shows. A panel holds the numbers; its ``frame`` is how they are stored.

Drawn values are stored as one byte each, numbers that are read as text rounded here in Python:
the browser draws what was computed and computes nothing itself.
"""

from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "Arrows",
    "Blocks",
    "Grid",
    "Histogram",
    "Lines",
    "Note",
    "Picture",
    "Sharing",
    "Table",
    "number",
    "summary",
]

ABSENT = 255  # the byte for "nothing to draw here"


def number(value, digits=3):
    """A number as a reader wants it: ``digits`` significant digits and a real minus sign."""
    value = float(value)
    if not np.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "undefined"
    whole = round(value)
    if abs(value - whole) <= 1e-9 * abs(value) and abs(value) < 10**6:  # 2 and 2 + 4e-16 are one
        text = str(whole)
    elif 1e-3 <= abs(value) < 10**6:
        decimals = digits - 1 - int(np.floor(np.log10(abs(value))))
        # A half goes away from 0, wherever the last bits of another processor leave it.
        text = f"{value * (1 + 1e-9):.{min(max(0, decimals), 3)}f}"
    else:
        mantissa, exponent = f"{value * (1 + 1e-9):.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", "−")


class Blocks:
    """Bytes of all frames of a playground; equal blocks are stored once."""

    def __init__(self):
        self._bytes = bytearray()
        self._offsets = {}

    def add(self, array):
        """Store a uint8 array; return where it starts."""
        block = np.ascontiguousarray(array, dtype=np.uint8).tobytes()
        if block not in self._offsets:
            self._offsets[block] = len(self._bytes)
            self._bytes += block
        return self._offsets[block]

    def __bytes__(self):
        return bytes(self._bytes)


@dataclass
class Grid:
    """A matrix as coloured cells; cells with one number in ``groups`` share a statistic.

    Args:
        title: heading of the panel.
        values: (rows, columns).
        groups: (rows, columns) integers, drawn as outlines; None draws none.
        rows, columns: what the two directions are.
        numbers: write the value into each cell.
        limit: the value of the strongest colour, for all settings; by default the largest.
        marks: what is said beside each row, on a ``margin`` of so many units (a grid has 320).
    """

    title: str
    values: np.ndarray
    groups: np.ndarray | None = None
    rows: str = "samples"
    columns: str = "features"
    numbers: bool = False
    limit: float | None = None
    marks: list = field(default_factory=list)
    margin: int = 0

    def spec(self):
        return {
            "kind": "grid",
            "title": self.title,
            "rows": self.rows,
            "columns": self.columns,
            "margin": self.margin,
        }

    def frame(self, blocks):
        values = np.asarray(self.values, float)
        limit = self.limit or np.abs(values[np.isfinite(values)]).max(initial=0.0) or 1.0
        frame = {
            "shape": list(values.shape),
            "limit": number(limit),
            "cells": blocks.add(np.rint(127 * np.clip(np.nan_to_num(values) / limit, -1, 1)) + 127),
        }
        if self.groups is not None:
            frame["groups"] = blocks.add(np.broadcast_to(self.groups, values.shape))
        if self.marks:
            frame["marks"] = list(self.marks)
        if self.numbers:
            frame["numbers"] = [f"{v:.2f}".replace("-", "−") for v in values.ravel() + 0.0]
        return frame


@dataclass
class Histogram:
    """How values are distributed, on equal bins between their own extremes."""

    title: str
    values: np.ndarray
    bins: int = 24
    kind: str = "raw"

    def counts(self):
        """(counts, low, high) of the bins drawn."""
        values = np.asarray(self.values, float)
        values = values[np.isfinite(values)]
        low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
        if low > high:  # nothing to count
            low, high = -1.0, 1.0
        if not low < high:
            low, high = low - 0.5, high + 0.5
        return np.histogram(values, self.bins, (low, high))[0], low, high

    def spec(self):
        return {"kind": "histogram", "title": self.title, "colour": self.kind, "bins": self.bins}

    def frame(self, blocks):
        counts, low, high = self.counts()
        top = max(1, counts.max())
        ticks = [number(t) for t in (low, (low + high) / 2, high)]
        bars = blocks.add(np.rint(254 * counts / top))
        return {"bars": bars, "ticks": ticks, "top": str(top)}


@dataclass
class Lines:
    """Curves over a common x; ``log`` draws decades. Non-finite points leave a gap.

    Args:
        title: heading of the panel.
        curves: name -> (points,) values.
        limits: (low, high) of the y axis, the same for all settings; values outside are clipped.
        xlabel, ylabel: axis labels with units; first and last x are ``start`` and ``stop``.
        colours: name -> css colour, the accent where missing.
    """

    title: str
    curves: dict
    limits: tuple
    xlabel: str
    ylabel: str
    start: float = 0
    stop: float = 1
    log: bool = True
    colours: dict = field(default_factory=dict)

    def positions(self, values):
        """Where values lie on the y axis: 0 at its bottom, 1 at its top, NaN for a gap."""
        scale = np.log10 if self.log else np.asarray
        low, high = scale(self.limits[0]), scale(self.limits[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            position = (scale(np.asarray(values, float)) - low) / (high - low)
        return np.where(np.isnan(position), np.nan, np.clip(position, 0, 1))

    def spec(self):
        low, high = self.limits
        if self.log:
            first, last = np.ceil(np.log10(low)), np.floor(np.log10(high))
            step = max(1, int(np.ceil((last - first) / 5)))
            ticks = [10.0**e for e in np.arange(first, last + 1, step)]
        else:
            ticks = list(np.linspace(low, high, 5))
        return {
            "kind": "lines",
            "title": self.title,
            "xlabel": self.xlabel,
            "ylabel": self.ylabel,
            "xticks": [number(t) for t in (self.start, (self.start + self.stop) / 2, self.stop)],
            "yticks": [[round(float(self.positions(t)), 4), number(t, 1)] for t in ticks],
            "curves": [[name, self.colours.get(name, "")] for name in self.curves],
        }

    def frame(self, blocks):
        points = []
        for values in self.curves.values():
            position = self.positions(values)
            byte = np.where(np.isnan(position), ABSENT, np.rint(254 * np.nan_to_num(position)))
            points.append([blocks.add(byte), len(byte)])
        return {"points": points}


@dataclass
class Arrows:
    """Vectors of a plane, some of which can be dragged.

    Args:
        title: heading of the panel.
        arrows: name -> (start, end), points of the plane.
        limit: the picture reaches from -limit to limit, for all settings.
        radius: of a circle around the origin.
        removed: (start, end) of a dashed line.
        colours: name -> css colour, the accent where missing.
        handles: name -> (control of the angle in degrees, control of the length or None), or
            (control, [(value, point of the plane), ...]). The end of the arrow is dragged, and
            the nearest stored setting is shown.
        outline: (points, 2) of a closed line behind the arrows, such as what a matrix makes of a
            circle.
    """

    title: str
    arrows: dict
    limit: float
    radius: float
    removed: tuple
    colours: dict = field(default_factory=dict)
    handles: dict = field(default_factory=dict)
    outline: np.ndarray | None = None

    def spec(self):
        return {
            "kind": "arrows",
            "title": self.title,
            "limit": self.limit,
            "radius": round(self.radius, 6),
            "arrows": [[name, self.colours.get(name, "")] for name in self.arrows],
            "handles": [[list(self.arrows).index(name), *h] for name, h in self.handles.items()],
        }

    def positions(self):
        """x and y of all ends as bytes: 0 at -limit, 254 at limit."""
        return self._as_bytes([*self.arrows.values(), self.removed])

    def _as_bytes(self, points):
        return np.rint(127 * np.clip(np.array(points, float) / self.limit, -1, 1)) + 127

    def frame(self, blocks):
        frame = {"ends": blocks.add(self.positions())}
        if self.outline is None:
            return frame
        outline = self._as_bytes(self.outline)
        return frame | {"points": [[blocks.add(outline), outline.size]]}


@dataclass
class Sharing:
    """Samples side by side as small matrices, one number of which is picked with a click.

    Args:
        title: heading of the panel.
        shared: (samples, rows, columns) booleans: what goes with the number that was picked.
        picked: (sample, row, column) of that number, counted from 0.
        rows, columns: what the two directions of a matrix are.
        controls: names of the controls that say what is picked, counted from 1.
    """

    title: str
    shared: np.ndarray
    picked: tuple
    rows: str
    columns: str
    controls: tuple

    def spec(self):
        return {
            "kind": "sharing",
            "title": self.title,
            "shape": list(self.shared.shape),
            "controls": list(self.controls),
        }

    def frame(self, blocks):
        return {
            "cells": blocks.add(self.shared),
            "picked": int(np.ravel_multi_index(self.picked, self.shared.shape)),
            "rows": self.rows,
            "columns": self.columns,
        }


@dataclass
class Picture:
    """A small picture in colour, drawn on a canvas: thousands of cells in one stroke.

    Args:
        title: heading of the panel.
        pixels: (height, width, 3), colours from 0 to 1; what lies outside is clipped.
        levels: of each colour; the fewer, the smaller what is stored.
    """

    title: str
    pixels: np.ndarray
    levels: int = 32

    def bytes(self):
        """(height, width, 3) integers from 0 to 255."""
        steps = np.rint((self.levels - 1) * np.clip(self.pixels, 0, 1))
        return np.rint(255 / (self.levels - 1) * steps).astype(np.uint8)

    def spec(self):
        return {"kind": "picture", "title": self.title, "shape": list(self.pixels.shape[:2])}

    def frame(self, blocks):
        return {"pixels": blocks.add(self.bytes())}


@dataclass
class Table:
    """Exact numbers, as text: ``rows`` maps a row's name to its entries, one per column."""

    title: str
    columns: list
    rows: dict

    def spec(self):
        return {
            "kind": "table",
            "title": self.title,
            "columns": list(self.columns),
            "rows": list(self.rows),
        }

    def frame(self, blocks):
        entries = [[v if isinstance(v, str) else number(v) for v in r] for r in self.rows.values()]
        return {"entries": entries}


@dataclass
class Note:
    """A sentence that says what the picture shows; read aloud when it changes."""

    text: str
    title: str = "What you see"

    def spec(self):
        return {"kind": "note", "title": self.title}

    def frame(self, blocks):
        return {"text": self.text}


def summary(raw, normalized, after="normalized"):
    """The table every playground has: mean, std, min, max, median, before and after."""
    statistics = {
        "mean": np.mean,
        "std": np.std,
        "min": np.min,
        "max": np.max,
        "median": np.median,
    }
    # Rounding noise below 1e-9 of the largest value is zero to a reader.
    columns = []
    for x in (np.asarray(raw, float), np.asarray(normalized, float)):
        floor = 1e-9 * max(1.0, np.abs(x).max())
        values = [f(x) for f in statistics.values()]
        columns.append([0.0 if abs(v) < floor else v for v in values])
    rows = {name: pair for name, *pair in zip(statistics, *columns, strict=True)}
    return Table("Before and after", ["raw", after], rows)
