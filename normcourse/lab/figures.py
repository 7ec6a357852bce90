"""Figures compared as figures: by what they show, not letter by letter.

Another processor rounds otherwise, and a coordinate of a figure drawn there is not quite the one
stored in the notebook. It is the same figure as long as nobody can see a difference.
"""

import re
from xml.etree import ElementTree

__all__ = ["TOLERANCE", "difference"]

# In points: a figure is some 500 of them wide, a pixel on the page is 0.75. On the processors of
# `make cpus` no coordinate moves by a thousandth; ten times that is still a 75th of a pixel.
TOLERANCE = 0.01

# What is a length. All else has to be equal: colours, widths of lines, angles, scales, text.
_LENGTHS = {"d", "points", "x", "y", "width", "height", "viewBox", "translate"}
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
_LINE_TO_ITS_START_CLOSED = re.compile(r"(M (\S+ \S+) [^Mz]*L \2) z")


def difference(stored, drawn):
    """The first difference between two SVGs of matplotlib that may be seen, in words, or None.

    Not seen are metadata, comments, white space and ids: two references are equal where what
    they refer to is equal. Lengths may differ by :data:`TOLERANCE`, but not in number: a path
    has as many points as before.

    Args:
        stored: the SVG in the notebook.
        drawn: the SVG drawn now.

    Raises:
        xml.etree.ElementTree.ParseError: one of them is not XML.
    """
    return next(_Pair(stored, drawn).differences(), None)


class _Pair:
    """Two SVGs, walked through together.

    Each method yields differences. Only the first is asked for, so one that comes later may rely
    on what was compared before: as many children, the same attributes.
    """

    def __init__(self, *svgs):
        self.roots = [ElementTree.fromstring(svg) for svg in svgs]
        self.ids = [{e.get("id"): e for e in root.iter()} for root in self.roots]

    def differences(self):
        return self.of_elements(self.roots, "")

    def of_elements(self, pair, where):
        where += f"{pair[0].get('id') or _tag(pair[0])}"
        yield from _unequal(where, "element", map(_tag, pair))
        yield from _unequal(where, "text", (_words(f"{e.text or ''} {e.tail or ''}") for e in pair))
        yield from self.of_attributes([_attributes(e) for e in pair], where)
        children = [list(_seen(e)) for e in pair]
        yield from _unequal(where, "number of elements", map(len, children))
        for both in zip(*children, strict=True):
            yield from self.of_elements(both, f"{where}/")

    def of_attributes(self, pair, where):
        yield from _unequal(where, "attributes", (" ".join(sorted(a)) for a in pair))
        for name in pair[0]:
            values = [attributes[name] for attributes in pair]
            reference = r"^#(.+)" if name.endswith("href") else r"url\(#(.+?)\)"
            yield from self.of_values(name, [re.sub(reference, "#", v) for v in values], where)
            for ids in zip(*(re.findall(reference, v) for v in values), strict=True):
                found = [known.get(id) for known, id in zip(self.ids, ids, strict=True)]
                if None in found:
                    yield f"{where}: {name} refers to nothing: {ids[found.index(None)]}"
                yield from self.of_elements(found, f"{where} -> ")

    def of_values(self, name, pair, where):
        if name.split()[0] not in _LENGTHS:
            yield from _unequal(where, name, map(_words, pair))
            return
        if name == "d":
            pair = map(_without_empty_line, pair)
        # Split at its numbers, a text is: words, number, words, ..., number, words.
        stored, drawn = (_NUMBER.split(_words(value)) for value in pair)
        count = f"count of numbers in {name}"
        yield from _unequal(where, count, (len(stored) // 2, len(drawn) // 2))
        for i, (a, b) in enumerate(zip(stored, drawn, strict=True)):
            if i % 2 == 0:
                yield from _unequal(where, f"{name}, before number {i // 2 + 1}", (a, b))
            elif abs(float(a) - float(b)) > TOLERANCE:
                apart = f"{abs(float(a) - float(b)):.3g} apart, {TOLERANCE} is allowed"
                yield f"{where}: {name}, number {i // 2 + 1}: stored {a}, drawn {b}: {apart}"


def _unequal(where, what, pair):
    stored, drawn = pair
    if stored != drawn:
        yield f"{where}: {what}: stored {stored!r}, drawn {drawn!r}"


def _tag(element):
    return element.tag.rpartition("}")[2]


def _words(text):
    return " ".join(text.split())


def _seen(element):
    """The children that are drawn. What is defined counts where it is used; a style, everywhere."""
    for child in element:
        if _tag(child) == "defs":
            yield from (e for e in child if _tag(e) == "style")
        elif _tag(child) != "metadata":
            yield child


def _attributes(element):
    """Name -> value without the id, each function of a transform for itself."""
    found = {n: v for n, v in element.attrib.items() if n not in ("id", "transform")}
    functions = re.findall(r"(\w+)\((.*?)\)", element.get("transform", ""))
    return found | {f"{name} {i}": value for i, (name, value) in enumerate(functions)}


def _without_empty_line(path):
    """A closing line has no length where the path is back at its start.

    Rounding decides whether matplotlib closes the round line of a contour in this way.
    """
    return _LINE_TO_ITS_START_CLOSED.sub(r"\1", _words(path))
