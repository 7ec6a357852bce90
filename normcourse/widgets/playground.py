"""A picture with controls, computed in Python for every setting and drawn without a kernel."""

import itertools
import math
from dataclasses import dataclass

import anywidget
import traitlets

from normcourse.widgets.base import CSS, identity, script
from normcourse.widgets.panels import Blocks

__all__ = ["Choice", "Playground", "Slider", "Steps"]


@dataclass(frozen=True)
class _Control:
    """One setting the reader can change: ``name`` is the trait, ``label`` what is shown."""

    name: str
    label: str
    values: tuple
    start: object = None
    texts: tuple = ()

    def initial(self):
        return self.values[0] if self.start is None else self.start

    def spec(self):
        return {
            "kind": type(self).__name__.lower(),
            "name": self.name,
            "label": self.label,
            "values": list(self.values),
            "texts": [str(t) for t in self.texts or self.values],
        }


class Slider(_Control):
    """Numbers on a slider. In a live kernel any other number can be set from Python."""

    def trait(self):
        integers = all(isinstance(v, int) for v in self.values)
        return (traitlets.Int if integers else traitlets.Float)(self.initial())


class Choice(_Control):
    """A few named values, one of which is chosen."""

    def trait(self):
        return traitlets.Enum(list(self.values), self.initial())


class Steps(Choice):
    """The steps of a walkthrough, gone through with Back and Next."""


class Playground(anywidget.AnyWidget):
    """A picture with controls.

    Each control is a synced trait of the widget, so ``observe``, ``jslink`` and
    ``interactive_output`` work with it. The pictures for all combinations of the controls' values
    are computed once and stored, so the widget works on a page without a kernel. With a kernel, a
    slider's trait takes any other number, and :attr:`function` can be replaced by your own.

    Args:
        key: the id under which the widget is stored; the same in every run.
        title: what it is about, shown as its heading.
        controls: list of :class:`Slider`, :class:`Choice` and :class:`Steps`.
        picture: ``picture(function, **settings)`` returns the panels for one setting.
        function: the course's function the picture calls.
        accent: css colour of what belongs to the technique.

    Raises:
        ValueError: two controls of one name, or a start that is not among the values.
    """

    _esm = script("playground")
    _css = CSS
    title = traitlets.Unicode().tag(sync=True)
    accent = traitlets.Unicode("#2f78c4").tag(sync=True)
    controls = traitlets.List().tag(sync=True)
    panels = traitlets.List().tag(sync=True)
    frames = traitlets.List().tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)
    live = traitlets.Dict().tag(sync=True)
    height_hint = traitlets.Int(640).tag(sync=True)

    def __init__(self, key, title, controls, picture, function=None, accent="#2f78c4", height=640):
        names = [c.name for c in controls]
        if len(set(names)) < len(names):
            raise ValueError(f"controls must have different names, got {names}.")
        for c in controls:
            if c.initial() not in c.values:
                raise ValueError(f"{c.name} starts at {c.start!r}, not among {c.values}.")
        self._controls = tuple(controls)
        self._picture = picture
        self._function = function
        self._compute(function)
        super().__init__(
            **identity(self, f"playground-{key}"),
            title=title,
            accent=accent,
            controls=[c.spec() for c in controls],
            height_hint=height,
            **self._stored,
        )
        self.add_traits(**{c.name: c.trait().tag(sync=True) for c in controls})
        self.observe(self._outside, names)

    def settings(self):
        """The controls' present values, by name."""
        return {c.name: getattr(self, c.name) for c in self._controls}

    def picture(self, **settings):
        """The panels for one setting, computed now; what is not given stays as it is."""
        return self._picture(self._function, **{**self.settings(), **settings})

    @property
    def function(self):
        """The function the picture calls. Set your own, with the same arguments, to see it."""
        return self._function

    @function.setter
    def function(self, function):
        self._compute(function)  # may raise: then nothing has changed
        self._function = function
        self.live = {}
        with self.hold_sync():
            for name, value in self._stored.items():
                setattr(self, name, value)
        self._outside()

    def _compute(self, function):
        """Draw all combinations; the last control changes fastest."""
        blocks, frames = Blocks(), []
        for values in itertools.product(*(c.values for c in self._controls)):
            settings = {c.name: v for c, v in zip(self._controls, values, strict=True)}
            panels = self._picture(function, **settings)
            frames.append([panel.frame(blocks) for panel in panels])
        specs = [panel.spec() for panel in panels]
        self._stored = {"panels": specs, "frames": frames, "data": bytes(blocks)}

    def _outside(self, change=None):
        """Draw a setting that is not among the stored ones."""
        settings = self.settings()
        if any(settings[c.name] not in c.values for c in self._controls):
            blocks = Blocks()
            frame = [panel.frame(blocks) for panel in self.picture()]
            self.live = {"settings": settings, "frame": frame, "data": bytes(blocks)}

    def __repr__(self):
        combinations = math.prod(len(c.values) for c in self._controls)
        names = ", ".join(c.label for c in self._controls)
        return f"<Playground {self.title!r}: {names}; {combinations} pictures>"
