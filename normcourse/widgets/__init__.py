"""Interactive pictures that work on a static page, and live in JupyterLab, Binder and Colab."""

from normcourse.widgets.panels import Arrows, Grid, Histogram, Lines, Note, Table
from normcourse.widgets.playground import Choice, Playground, Slider, Steps
from normcourse.widgets.prediction import Prediction
from normcourse.widgets.quickcheck import QuickCheck

__all__ = [
    "Arrows",
    "Choice",
    "Grid",
    "Histogram",
    "Lines",
    "Note",
    "Playground",
    "Prediction",
    "QuickCheck",
    "Slider",
    "Steps",
    "Table",
]
