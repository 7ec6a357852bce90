"""How long a chapter takes to read: what counts, what does not, and half an hour at most."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from normcourse.lab.reading import CLAIM, WIDGET, Reading, chapters, read

BOOK = Path(__file__).parents[2] / "book"


def reading(tmp_path, *cells):
    path = tmp_path / "chapter.ipynb"
    nbformat.write(new_notebook(cells=list(cells)), path)
    return read(path)


def shows(kind, content, source="show()", tags=()):
    cell = new_code_cell(source, metadata={"tags": list(tags)})
    cell.outputs = [new_output("display_data", {kind: content})]
    return cell


def test_words_and_formulas_are_counted(tmp_path):
    text = (
        "Four words [with one-link](https://example.org/not/read).\n\n"
        "$$a + b = c$$\n\n$$\\begin{aligned} x &= 1 \\\\ y &= 2 \\end{aligned}$$\n\n"
        "<details><summary>Answer</summary>Not read. $$z$$\n\nNor this.</details>\n\nEnd."
    )
    assert reading(tmp_path, new_markdown_cell(text)) == Reading(5, 0, 2, 0)


def test_code_is_counted_where_it_is_seen(tmp_path):
    cells = [new_code_cell("a = 1\n\n# two\nb = 2")]
    for tag in ("hide-input", "hide-cell", "remove-input", "remove-cell"):
        cells.append(new_code_cell("folded = 1", metadata={"tags": [tag]}))
    assert reading(tmp_path, *cells) == Reading(0, 3, 0, 0)


def test_source_that_a_cell_shows_is_code(tmp_path):
    shown = "```python\ndef f(x):\n\n    return x\n```"
    cell = shows("text/markdown", shown, tags=["remove-input"])
    assert reading(tmp_path, cell) == Reading(0, 2, 0, 0)


def test_a_prediction_is_half_a_card(tmp_path):
    cells = [
        shows(CLAIM, {}, tags=["remove-input"]),
        shows(WIDGET, {"model_id": "playground-axes"}, tags=["remove-input"]),
        shows(WIDGET, {"model_id": "prediction-steps"}, tags=["remove-input"]),
        shows(WIDGET, {"model_id": "playground-folded"}, tags=["remove-input", "hide-output"]),
    ]
    assert reading(tmp_path, *cells) == Reading(0, 0, 0, 2.5)


def test_minutes_are_those_of_the_parts():
    assert Reading(200, 10, 2, 1.5).minutes == pytest.approx(1 + 1 + 1 + 1.5)


def test_every_part_with_chapters_is_read():
    found = {path.relative_to(BOOK).as_posix() for path in chapters(BOOK)}
    assert {"foundations/why_normalize.ipynb", "activations/batch_norm.ipynb"} <= found


READ = [path for path in chapters(BOOK) if path.stem != "pitfalls"]  # a gallery is looked up


@pytest.mark.parametrize("path", READ, ids=lambda path: path.stem)
def test_a_chapter_takes_at_most_half_an_hour(path):
    assert read(path).minutes <= 30
