"""The learner's notebooks fit their records, and no solution has slipped into them."""

import ast
from pathlib import Path

import nbformat
import pytest

from normcourse.exercises import EXERCISES

BOOK = Path(__file__).parents[2] / "book" / "exercises"


def tags(cell):
    return set(cell.metadata.get("tags", ()))


@pytest.fixture(params=EXERCISES)
def technique(request):
    return request.param


@pytest.fixture
def code(technique):
    notebook = nbformat.read(BOOK / f"{technique}.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_each_exercise_has_a_stub_and_a_check(technique, code):
    sources = [cell.source for cell in code if tags(cell) & {"stub", "check"}]
    assert sources[1::2] == [f"check({e.name})" for e in EXERCISES[technique]]
    for exercise, source in zip(EXERCISES[technique], sources[::2], strict=True):
        (stub,) = ast.parse(source).body
        assert stub.name == exercise.name
        assert tuple(a.arg for a in stub.args.args) == exercise.parameters
        docstring, body = stub.body
        assert ast.get_docstring(stub), docstring
        assert ast.unparse(body) == "raise NotImplementedError"
    assert code[-1].source == f'scoreboard("{technique}")'


def test_tags_tell_the_site_what_a_cell_is(technique, code):
    """The site makes an editor of a stub and its check (book/extensions/normcourse_run.py)."""
    pairs = [{"stub"}, {"check"}] * len(EXERCISES[technique])
    known = [tags(cell) for cell in code if "train_digits" not in cell.source]
    assert known == [{"setup"}, *pairs, {"scoreboard"}]


def test_the_stored_outputs_invite_to_start(technique, code):
    checks = [cell for cell in code if tags(cell) == {"check"}]
    for exercise, cell in zip(EXERCISES[technique], checks, strict=True):
        (output,) = cell.outputs
        for kind in ("text/plain", "text/html"):
            text = output["data"][kind]
            assert f"{exercise.name}: not started yet, 0 of {exercise.points} points" in text
            assert "What was tried" not in text
