"""The techniques of the course in their one order, with the colour each has everywhere.

Figures, playgrounds and the site take their colours from here. Each has a contrast of at least
3:1 on both the light and the dark page.
"""

__all__ = ["ACCENT", "INK", "RAW"]

INK = "#7d838c"  # axes, labels and grid lines of figures: legible on both pages
RAW = "#8b8f96"  # data before any normalization

ACCENT = {
    "rescaling": "#b0730a",
    "batch_norm": "#2f78c4",
    "layer_norm": "#c2483d",
    "instance_norm": "#2d8a57",
    "group_norm": "#8a5fc7",
    "rms_norm": "#c24a86",
    "weight_norm": "#0f8a94",
    "spectral_norm": "#6f7d1c",
    "divisive_norm": "#a8552a",
    "switchable_norm": "#59798f",
}
