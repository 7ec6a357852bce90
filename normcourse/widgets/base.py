"""What all widgets share: their JavaScript's beginning, and ids that are the same in every run."""

from pathlib import Path

from ipywidgets import Layout

__all__ = ["CSS", "identity", "script"]

HERE = Path(__file__).parent
CSS = HERE / "widgets.css"

_open = {}


def script(name):
    """The JavaScript of a widget: what all share, then its own file."""
    return "".join((HERE / f"{part}.js").read_text(encoding="utf-8") for part in ("common", name))


def identity(widget, key):
    """Constructor arguments that give ``widget`` and its layout ids made from ``key``.

    A stored notebook then does not change when it is executed again. A cell that is run twice
    makes a second widget of the same id: the first one is closed here, or its end would later
    take the second one's connection with it.
    """
    if key in _open:
        _open[key].layout.close()
        _open[key].close()
    _open[key] = widget
    return {"model_id": key, "layout": Layout(model_id=f"{key}-layout")}
