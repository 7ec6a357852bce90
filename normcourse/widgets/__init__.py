"""Interactive pictures that work on a static page, and live in JupyterLab, Binder and Colab."""

from normcourse.widgets.panels import Arrows, Grid, Histogram, Lines, Note, Picture, Sharing, Table
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
    "Picture",
    "Playground",
    "Prediction",
    "QuickCheck",
    "Sharing",
    "Slider",
    "Steps",
    "Table",
]
