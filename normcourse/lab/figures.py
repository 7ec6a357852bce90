"""Figures compared as figures: what is drawn must be equal, up to the rounding of coordinates."""

import re
from itertools import count
from xml.etree import ElementTree

__all__ = ["TOLERANCE", "Figure"]

# In points of 1/72 inch. Coordinates are written with six decimals. On another processor sums are
# rounded in another order; what that moved in the course's figures was below 1e-4 points. A
# screen shows 1 point as one or two pixels, so nobody can see a hundredth.
TOLERANCE = 0.01

_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?(?:e-?\d+)?)")
_REFERENCE = re.compile(r"#([\w.-]+)")
_GEOMETRY = {"d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "transform", "viewBox"}


class Figure:
    """An SVG as matplotlib draws it; equal to another where the same is seen.

    Metadata, white space and the names of ids do not count; what refers to an id must refer to an
    element at the same place. Coordinates may differ by :data:`TOLERANCE`. Everything else is
    compared letter by letter: elements and their order, texts, colours, widths, numbers of points.
    """

    def __init__(self, svg: str) -> None:
        self.elements = list(_elements(svg))

    @staticmethod
    def is_drawn_in(text: object) -> bool:
        """Whether ``text`` is an SVG."""
        return isinstance(text, str) and text.lstrip().startswith(("<?xml", "<svg"))

    def differences(self, other: "Figure") -> list[str]:
        """What is seen in one of the two and not in the other, a line each."""
        found = []
        if len(self.elements) != len(other.elements):
            found.append(f"{len(self.elements)} elements, not {len(other.elements)}")
        for mine, theirs in zip(self.elements, other.elements, strict=False):
            found += _differences(mine, theirs)
        return found

    def largest_move(self, other: "Figure") -> float:
        """By how many points the coordinates of two figures with the same elements differ."""
        pairs = zip(self.elements, other.elements, strict=True)
        return max((_move(a[k], b[k]) for a, b in pairs for k in a.keys() & _GEOMETRY), default=0.0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Figure) and not self.differences(other)

    __hash__ = None  # type: ignore[assignment]


def _elements(svg):
    """A dictionary for each element in order: its tag, its text, and its attributes."""
    root = ElementTree.fromstring(svg.encode())
    for metadata in root.findall("{*}metadata"):
        root.remove(metadata)
    number = count()
    places = {e.get("id"): str(next(number)) for e in root.iter() if e.get("id")}

    def refer(text):
        return _REFERENCE.sub(lambda m: f"#{places[m[1]]}" if m[1] in places else m[0], text)

    for element in root.iter():
        attributes = {
            name.rpartition("}")[2]: refer(value)
            for name, value in element.attrib.items()
            if name != "id"
        }
        texts = ((element.text or "").strip(), (element.tail or "").strip())
        yield {"tag": element.tag.rpartition("}")[2], "text": texts, **attributes}


def _differences(mine, theirs):
    what = f"<{mine['tag']}>"
    if mine.keys() != theirs.keys():
        yield f"{what} has {sorted(mine)}, not {sorted(theirs)}"
    for key in mine.keys() & theirs.keys():
        a, b = mine[key], theirs[key]
        if a == b:
            continue
        if key not in _GEOMETRY or _NUMBER.sub("", a).split() != _NUMBER.sub("", b).split():
            yield f"{what} {key}: {_short(a)}, not {_short(b)}"
        elif _move(a, b) > TOLERANCE:
            yield f"{what} {key} moved by {_move(a, b):.3g} points; {TOLERANCE} are allowed"


def _move(a, b):
    numbers = ([float(n) for n in _NUMBER.findall(text)] for text in (a, b))
    return max((abs(m - n) for m, n in zip(*numbers, strict=True)), default=0.0)


def _short(value):
    text = str(value)
    return repr(text if len(text) < 80 else text[:77] + "...")
