"""The learner's notebooks fit their records, and no solution has slipped into them."""

import ast
from pathlib import Path

import nbformat
import pytest

from normcourse.exercises import EXERCISES

# The cell that says where it leads, and what it needs: "try" where the site has it, too.
LEADS = {
    "rescaling": "train_rescaled(standard_scale, merge_statistics)",
    "batch_norm": "train_digits(batch_norm, batch_norm_backward)",
    "layer_norm": "train_digits(layer_norm, layer_norm_backward, (32,))",
    "instance_norm": "restyle(adaptive_instance_norm)",
    "group_norm": "train_digits(group_norm, group_norm_backward, 4)",
    "rms_norm": "train_digits(rms_norm, rms_norm_backward, (32,))",
    "weight_norm": "train_weights(weight_norm_init, weight_norm, weight_norm_backward)",
    "spectral_norm": "train_bounded(spectral_norm_layer, spectral_norm_backward)",
    "divisive_norm": "train_divided(signed_divisive_norm, signed_divisive_norm_backward)",
    "switchable_norm": (
        "train_switched(switchable_norm, shares_backward, switchable_norm_inference)"
    ),
}
BOOK = Path(__file__).parents[2] / "book" / "exercises"


def tags(cell):
    return set(cell.metadata.get("tags", ()))


@pytest.fixture(params=[t for t in EXERCISES if t != "capstone"])  # it has a test of its own
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
    lead = {"try"} if LEADS[technique].startswith("train") else set()
    assert [tags(cell) for cell in code] == [{"setup"}, *pairs, lead, {"scoreboard"}]


def test_the_last_cell_leads_somewhere(technique, code):
    *imported, call = code[-2].source.split("\n\n")
    function = call.split("(")[0]
    assert imported == [f"from normcourse.exercises import {function}"]
    assert call == LEADS[technique]
    (output,) = code[-2].outputs
    first = call.split("(")[1].split(",")[0].rstrip(")")
    text = output["data"]["text/plain"]
    assert "not started yet" in text
    assert f"Write {first} first." in text


def test_the_stored_outputs_invite_to_start(technique, code):
    checks = [cell for cell in code if tags(cell) == {"check"}]
    for exercise, cell in zip(EXERCISES[technique], checks, strict=True):
        (output,) = cell.outputs
        for kind in ("text/plain", "text/html"):
            text = output["data"][kind]
            assert f"{exercise.name}: not started yet, 0 of {exercise.points} points" in text
            assert "What was tried" not in text
