"""Interactive pictures that work on a static page, and live in JupyterLab, Binder and Colab."""

from normcourse.widgets.panels import Grid, Histogram, Lines, Note, Table
from normcourse.widgets.playground import Choice, Playground, Slider, Steps
from normcourse.widgets.quickcheck import QuickCheck

__all__ = [
    "Choice",
    "Grid",
    "Histogram",
    "Lines",
    "Note",
    "Playground",
    "QuickCheck",
    "Slider",
    "Steps",
    "Table",
]
