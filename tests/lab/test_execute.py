"""Executing a notebook a second time must leave no difference."""

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from normcourse.lab.execute import execute, notebooks

CODE = """
import anywidget, ipywidgets
print(set("abcdef"))
print("two streams", flush=True)
class Widget(anywidget.AnyWidget):
    __repr__ = lambda self: "a widget"
Widget(model_id="w", layout=ipywidgets.Layout(model_id="w-layout"))
"""


def test_twice_is_the_same(tmp_path):
    path = tmp_path / "notebook.ipynb"
    cells = [new_code_cell(CODE, id="cell")]
    nbformat.write(new_notebook(cells=cells), path)
    execute(path)
    first = path.read_bytes()
    execute(path)
    assert path.read_bytes() == first
    stored = nbformat.read(path, 4)
    assert "execution" not in stored.cells[0].metadata
    assert "version" not in stored.metadata.language_info
    (widgets,) = stored.metadata.widgets.values()
    assert set(widgets["state"]) == {"w", "w-layout"}


def test_the_ledger_of_claims_comes_last(tmp_path):
    for name in ("practice/claims", "activations/batch_norm", "weights/weight_norm"):
        path = tmp_path / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert notebooks(tmp_path)[-1].stem == "claims"
