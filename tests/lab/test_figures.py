"""Rounding is not seen in a figure, and whatever is seen is compared."""

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from normcourse.lab.figures import TOLERANCE, difference

HEIGHT = 216  # of the figure, in points


def draw(points=50, rise=0.0, more=False, salt="a", label="seconds", size=10, **line):
    """A curve with markers, ticks and a legend, clipped to its axes; it rises by `rise` points."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": salt}):
        figure = Figure(figsize=(7, HEIGHT / 72))
        axes = figure.add_axes((0.1, 0.2, 0.8, 0.5), ylim=(-0.25 * HEIGHT, 0.25 * HEIGHT))
        x = np.linspace(0, 1, points)
        style = {"color": "C0", "linewidth": 1.5, "marker": "o"} | line
        axes.plot(x, 40 * np.sin(6 * x) + rise, label="sine", **style)
        if more:
            axes.axhline(20)
        axes.set_xlabel(label, fontsize=size)
        axes.legend()
        file = io.StringIO()
        figure.savefig(file, format="svg")
    return file.getvalue()


PLAIN = draw()


def with_noise(size):
    """Every coordinate of a line, a tick or a text a bit elsewhere."""
    rng = np.random.default_rng(0)

    def move(number):
        return f"{float(number[0]) + rng.uniform(-size, size):.6f}"

    noisy = re.sub(r"(?<!scale\()\b\d+\.\d{4,}", move, PLAIN)
    assert noisy != PLAIN
    return noisy


@pytest.mark.parametrize("size", [1e-6, 1e-4, 0.9 * TOLERANCE])
def test_rounding_is_not_seen(size):
    assert difference(PLAIN, with_noise(size)) is None


def test_names_dates_and_comments_are_not_seen():
    other = draw(salt="b").replace("sine -->", "cosine -->").replace("<dc:date>", "<dc:date>not ")
    ids = [set(re.findall(r'id="(\w+)"', svg)) for svg in (PLAIN, other)]
    assert ids[0] - ids[1]
    assert difference(PLAIN, other) is None


CURVE = r"^svg/figure_1/axes_1/line2d_\d+/path: "


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rise": 0.5}, CURVE + r"d, number \d+: .*: 0\.5 apart, 0\.01 is allowed"),
        ({"rise": 2 * TOLERANCE}, CURVE + r"d, number .*: 0\.02 apart"),
        ({"points": 51}, CURVE + "count of numbers in d: stored 100, drawn 102"),
        ({"color": "C1"}, CURVE + "style: .*#1f77b4.*#ff7f0e"),
        ({"linewidth": 1.6}, CURVE + "style: .*1.6"),
        ({"linestyle": "--"}, CURVE + "style: .*dasharray"),
        ({"marker": "s"}, "->"),
        ({"markersize": 6.1}, "->"),
        ({"clip_on": False}, CURVE + "attributes: stored 'clip-path d style'"),
        ({"more": True}, r"axes_1: number of elements: stored \d+, drawn \d+"),
        ({"label": "records"}, "text_7"),
        ({"size": 10.1}, "text_7"),
    ],
    ids=str,
)
def test_what_is_seen_counts(change, said):
    found = difference(PLAIN, draw(**change))
    assert found
    assert re.search(said, found)
    assert difference(draw(**change), PLAIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r'<use xlink:href="#DejaVuSans-14"/>', '<use xlink:href="#DejaVuSans-15"/>'),  # a digit
        (r"scale\(0\.1 -0\.1\)", "scale(0.105 -0.105)"),  # small numbers, seen all the same
        (r"scale\(0\.015625\)", "scale(0.016)"),
        (r'<rect x="50', '<rect x="60'),  # what a curve is clipped to
        (r"url\(#\w+\)", "url(#nothing)"),
        (r"stroke-linejoin: round", "stroke-linejoin: bevel"),  # for all elements
        (r"<use xlink:href", "<image xlink:href"),
        (r" L ([\d.]+ [\d.]+)", r" Q \1"),
        (r" z", ""),
        (r'height="216pt"', 'height="217pt"'),
        (r'viewBox="0 0', 'viewBox="1 0'),
    ],
)
def test_so_does_each_part(old, new):
    spaced = " ".join(PLAIN.replace("\n", " ").split())
    assert difference(PLAIN, spaced) is None
    changed, times = re.subn(old, new, spaced, count=1)
    assert times == 1
    assert difference(PLAIN, changed)
    assert difference(changed, PLAIN)


def test_closing_a_line_that_is_back_at_its_start_draws_nothing():
    svg = '<svg><path d="M 1 2 L 3 4 L 5 2 L {} {}"/></svg>'
    assert difference(svg.format("1 2", "z"), svg.format("1 2", "")) is None
    assert difference(svg.format("1 3", "z"), svg.format("1 3", ""))


SETUP = """
from pathlib import Path
def show(*names):
    for name in names:
        data = {"image/svg+xml": Path(name).read_text()} if name != "none" else {}
        display({"text/plain": "a figure"} | data, raw=True)
"""


def test_nbval_compares_figures_as_figures_and_all_else_by_letter(tmp_path):
    drawings = {"plain": PLAIN, "noisy": with_noise(1e-5), "other": draw(rise=0.5)}
    for name, svg in drawings.items():
        (tmp_path / name).write_text(svg)
    figures = [
        new_output("display_data", {"text/plain": "a figure", "image/svg+xml": PLAIN})
        for _ in range(2)
    ]
    cases = {
        "show('plain', 'plain')": True,
        "show('plain', 'noisy')": True,
        "show('plain', 'other')": False,
        "show('plain')": False,
        "show('plain', 'none')": False,
        "show('plain', 'plain', 'plain')": False,
        "print('text'); show('plain', 'noisy')": False,
    }
    cells = [new_code_cell(code, execution_count=1, outputs=figures) for code in cases]
    setup = new_code_cell(SETUP, execution_count=1)
    nbformat.write(new_notebook(cells=[setup, *cells]), tmp_path / "notebook.ipynb")
    shutil.copy(Path(__file__).parents[2] / "book" / "conftest.py", tmp_path)

    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-v", "."]
    tested = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    passed = [word == "PASSED" for word in re.findall(r"Cell \d+ (PASSED|FAILED)", tested.stdout)]
    assert passed == [True, *cases.values()], tested.stdout
    assert re.search("the figure differs: svg/figure_1/axes_1/line2d.* 0.5 apart", tested.stdout)
    assert "the figure differs: 2 are stored, 1 drawn" in tested.stdout
