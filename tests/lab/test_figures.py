"""figures: rounding is not seen, and whatever is seen is compared."""

import io
import re

import numpy as np
import pytest

from normcourse.lab.figures import TOLERANCE, Figure
from normcourse.lab.processors import PROCESSORS, run


def draw(shift=0.0, label="seconds", color="C0", width=1.5, points=50, ids="a", more=False):
    """A curve with markers, ticks, a legend and clipping, as an SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    with rc_context({"svg.hashsalt": ids}):
        figure = Canvas(figsize=(7, 3))
        axes = figure.subplots()
        x = np.linspace(0, 1, points)
        axes.plot(x, np.sin(6 * x) + shift, "o-", color=color, linewidth=width, label="sine")
        if more:
            axes.axhline(0.5)
        axes.set(xlabel=label, ylim=(-2, 2))
        axes.legend()
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


PLAIN = draw()
UNITS_PER_POINT = 4 / (0.77 * 3 * 72)  # of the y axis: 4 units on 77 % of 3 inches


def test_a_figure_equals_itself_and_its_copy_with_other_ids():
    assert Figure(PLAIN) == Figure(PLAIN)
    other = draw(ids="b")
    assert other != PLAIN
    assert Figure(other) == Figure(PLAIN)


@pytest.mark.parametrize("noise", [1e-6, 1e-4, TOLERANCE / 2])
def test_rounding_is_not_seen(noise):
    rng = np.random.default_rng(0)
    moved = re.sub(
        r"\d+\.\d{4,}", lambda m: f"{float(m[0]) + rng.uniform(-noise, noise):.6f}", PLAIN
    )
    assert moved != PLAIN
    assert Figure(moved) == Figure(PLAIN)
    assert 0 < Figure(moved).largest_move(Figure(PLAIN)) <= noise + 1e-6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shift": 0.5 * UNITS_PER_POINT}, r"<path> d moved by 0\.[45]\d* points"),
        ({"shift": 3 * TOLERANCE * UNITS_PER_POINT}, r"moved by 0\.0\d+ points; 0\.01 are allowed"),
        ({"label": "minutes"}, "elements|<use>|<path> d"),
        ({"color": "C1"}, "<path> style"),
        ({"width": 1.6}, "<path> style: .*1.6"),
        ({"points": 51}, r"<path> d|elements"),
        ({"more": True}, "elements, not"),
    ],
)
def test_what_is_seen_counts(change, message):
    changed = Figure(draw(**change))
    assert changed != Figure(PLAIN)
    assert re.search(message, "\n".join(changed.differences(Figure(PLAIN))))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"<use xlink:href", "<image xlink:href"),  # another element
        (r" clip-path=\"url\(#\w+\)\"", ""),  # one attribute fewer
        (r"url\(#\w+\)", "url(#nothing)"),  # a reference to nothing
        (r"sine -->", "cosine -->"),  # a comment: not seen
    ],
)
def test_elements_attributes_and_references_count_and_comments_do_not(old, new):
    changed, times = re.subn(old, new, PLAIN, count=1)
    assert times == 1
    assert (Figure(changed) == Figure(PLAIN)) == ("--" in new)


def test_what_is_a_figure():
    assert Figure.is_drawn_in(PLAIN)
    assert not any(map(Figure.is_drawn_in, ["0.5 <svg", "", None, ["<svg"]]))
    assert Figure(PLAIN) != PLAIN


NOTEBOOK = """
import numpy as np, matplotlib.pyplot as plt
from normcourse.lab import style
style.use_style()
plt.plot(np.arange(9) + {shift});
plt.ylim(0, 20)
plt.show()
"""


@pytest.mark.parametrize(("shift", "passes"), [(0.0, True), (1e-6, True), (0.05, False)])
def test_nbval_compares_figures_as_figures(tmp_path, shift, passes, monkeypatch):
    """A notebook whose code was changed after it was stored."""
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook

    from normcourse.lab.execute import execute

    path = tmp_path / "figure.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(NOTEBOOK.format(shift=0))]), path)
    execute(path)
    notebook = nbformat.read(path, 4)
    notebook.cells[0].source = NOTEBOOK.format(shift=shift)
    nbformat.write(notebook, path)
    conftest = __import__("pathlib").Path(__file__).parents[2] / "book" / "conftest.py"
    (tmp_path / "conftest.py").write_text(conftest.read_text())
    monkeypatch.setitem(PROCESSORS, "mine", {})
    assert run("mine", str(tmp_path)) is passes


def test_processors_are_named():
    with pytest.raises(ValueError, match="no processor 'Pentium'; there are Prescott, "):
        run("Pentium")
