"""A prediction that the reader makes before the answer is shown."""

import anywidget
import numpy as np
import traitlets

from normcourse.widgets.base import CSS, identity, script
from normcourse.widgets.panels import number

__all__ = ["Prediction"]


class Prediction(anywidget.AnyWidget):
    """Choose an answer, place a point or draw a line; then the answer stands beside the guess.

    The question stands in the text before it. On the course's site the cells tagged ``answer``
    behind it stay closed until the reader has answered, or asks to see them; in print, in a
    kernel and without JavaScript they are simply there.

    Args:
        key: the id under which the widget is stored; the same in every run.
        answer: one of ``choices``; or {name: number}, the points to be guessed; or {name: numbers},
            the lines to be guessed, with one number for each of ``over``.
        choices: what can be chosen; None to place a point or draw a line.
        limits: (low, high) of the axis.
        label: of the axis, with its unit.
        log: the axis shows factors, not differences.
        over: what a line is drawn over: the places on the horizontal axis, in equal distances.
        over_label: of the horizontal axis.
        title: above the question's answers.

    Raises:
        ValueError: the answer is not among the choices, or a point not between the limits, or a
            line has not one number for each of ``over``.
    """

    _esm = script("prediction")
    _css = CSS
    title = traitlets.Unicode("Your prediction").tag(sync=True)
    choices = traitlets.List().tag(sync=True)
    right = traitlets.Int(-1).tag(sync=True)
    axis = traitlets.Dict().tag(sync=True)
    guess = traitlets.Int(-1).tag(sync=True)
    line = traitlets.List().tag(sync=True)
    shown = traitlets.Bool(False).tag(sync=True)
    height_hint = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        key,
        answer,
        choices=None,
        limits=None,
        label="",
        log=False,
        over=(),
        over_label="",
        title="Your prediction",
    ):
        choices = list(choices or ())
        if choices and answer not in choices:
            raise ValueError(f"answer must be one of the choices {choices}, got {answer!r}.")
        self.answer = answer
        super().__init__(
            **identity(self, f"prediction-{key}"),
            title=title,
            choices=choices,
            right=choices.index(answer) if choices else -1,
            axis={} if choices else _axis(answer, limits, label, log, list(over), over_label),
            height_hint=114 + 32 * len(choices) if choices else 490 if over else 290,
        )

    @property
    def value(self):
        """What was guessed: a choice, a number on the axis, the numbers of a line, or None."""
        if self.line:
            return [self.axis["values"][stop] for stop in self.line]
        if self.guess < 0:
            return None
        return self.choices[self.guess] if self.choices else self.axis["values"][self.guess]

    def __repr__(self):
        # The answer is in the text, so that nbval compares it.
        if self.choices:
            return f"<Prediction: {', '.join(self.choices)}; it is: {self.answer}>"
        found = ", ".join(
            f"{name}: {text if isinstance(text, str) else ' '.join(text)}"
            for name, _, text in self.axis["answers"]
        )
        return f"<Prediction of {self.axis['label']}; {found}>"


STOPS = 48  # of the handle along the axis


def _axis(answers, limits, label, log, over, over_label):
    """The stops of the handle, the ticks and the answers, with their places from 0 to 1."""
    low, high = limits
    for name, values in answers.items():
        if over and len(values) != len(over):
            raise ValueError(f"{name!r} must have {len(over)} numbers, one for each of {over}.")
        if not np.all((low <= np.asarray(values)) & (np.asarray(values) <= high)):
            raise ValueError(f"limits must hold the answers {answers}, got {limits}.")
    scale = np.log10 if log else np.asarray

    def place(value):
        return round(float((scale(value) - scale(low)) / (scale(high) - scale(low))), 4)

    def each(function, values):
        return [function(v) for v in values] if over else function(values)

    stops = np.geomspace(low, high, STOPS + 1) if log else np.linspace(low, high, STOPS + 1)
    if log:
        first, last = int(np.ceil(np.log10(low))), int(np.log10(high))
        ticks = [10.0**e for e in range(first, last + 1, max(1, (last - first) // 3))]
    else:
        ticks = np.linspace(low, high, 5)
    return {
        "label": label,
        "values": [float(f"{v:.2g}") for v in stops],
        "texts": [readable(v) for v in stops],
        "ticks": [[place(t), readable(t)] for t in ticks],
        "answers": [[name, each(place, v), each(readable, v)] for name, v in answers.items()],
        "over": [str(place) for place in over],
        "over_label": over_label,
    }


def readable(value):
    """Two significant digits, in full where a reader would write them so."""
    value = float(f"{value:.2g}")
    if 1000 <= abs(value) < 1e9:
        return f"{value:,.0f}".replace("-", "−")
    if value and not 1e-3 <= abs(value) < 1e9:
        mantissa, exponent = f"{value:.1e}".split("e")
        power = "10" + str(int(exponent)).translate(RAISED)
        return power if mantissa == "1.0" else f"{mantissa}·{power}".replace("-", "−")
    return number(value, 2)


RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
