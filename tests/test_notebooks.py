"""What every stored notebook keeps to. That it runs and prints the same is nbval's part."""

import base64
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from normcourse.lab import claims
from normcourse.lab.claims import Verdict
from normcourse.lab.claims.show import MIME
from normcourse.lab.playgrounds import PLAYGROUNDS
from normcourse.widgets import Prediction, QuickCheck

BOOK = Path(__file__).parents[1] / "book"
NOTEBOOKS = sorted(p for p in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
CHAPTERS = [p for p in NOTEBOOKS if p.with_suffix(".checks.toml").exists()]
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: str(p.relative_to(BOOK)))


def code_cells(path):
    return [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]


def stored_models(path):
    """model id -> its state and buffers, as the static page reads them."""
    return nbformat.read(path, 4).metadata.get("widgets", {}).get(STATE, {}).get("state", {})


def ids(cell):
    """The ids of the widgets that a cell shows."""
    return [o["data"][VIEW]["model_id"] for o in cell.outputs if VIEW in o.get("data", {})]


def drawn_bytes(model):
    """{path: the bytes that a stored widget draws, as whole numbers}."""
    return {
        tuple(buffer["path"]): np.frombuffer(base64.b64decode(buffer["data"]), np.uint8).astype(int)
        for buffer in model.get("buffers", [])
    }


def views(path):
    return [id for cell in code_cells(path) for id in ids(cell)]


@each
def test_is_stored_executed_and_without_errors(path):
    for cell in code_cells(path):
        assert cell.execution_count, f"not executed: {cell.source!r}"
        assert "execution" not in cell.metadata, "timings would differ in every run"
        assert all(o.output_type != "error" for o in cell.outputs), cell.source


@each
def test_code_fits_on_the_page(path):
    for cell in code_cells(path):
        lines = cell.source.splitlines()
        assert len(lines) <= 15, cell.source
        assert max(map(len, lines), default=0) <= 75, cell.source


@each
def test_figures_say_what_they_show(path):
    for cell in code_cells(path):
        if any({"image/png", "image/svg+xml"} & set(o.get("data", {})) for o in cell.outputs):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 6, cell.source


@each
def test_has_one_title(path):
    text = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "markdown"]
    titles = re.findall(r"^# .+", "\n".join(text), re.MULTILINE)
    assert len(titles) == 1


@each
def test_nbval_compares_every_output(path):
    """A cell may only leave out its output where that is a timing; so far there is none."""
    for cell in code_cells(path):
        assert not any(t.startswith("nbval") for t in cell.metadata.get("tags", [])), cell.source


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_chapter_has_five_quick_checks(path):
    assert len(fresh(f"quickcheck-{path.stem}").questions) >= 5
    assert f"quickcheck-{path.stem}" in views(path)


@pytest.mark.parametrize(
    "path", [p for p in CHAPTERS if p.parent.name != "practice"], ids=lambda p: p.stem
)
def test_a_chapter_on_a_technique_has_a_playground(path):
    assert any(v.startswith("playground-") for v in views(path))


def fresh(model_id):
    """The widget of that id, made now."""
    kind, key = model_id.split("-", 1)
    if key.startswith("bet-"):
        claim = claims.claims()[key.removeprefix("bet-")]
        return claims.bet_on(claim, stored_verdict(claim))
    if kind == "playground":
        return PLAYGROUNDS[key]()
    (path,) = BOOK.rglob(f"{key}.checks.toml")
    return QuickCheck(path)


def stored_verdict(claim):
    """What the card on the claim's page says: nbval runs the experiment anew."""
    outputs = [o for cell in code_cells(BOOK / f"{claim.chapter}.ipynb") for o in cell.outputs]
    records = [o["data"][MIME] for o in outputs if MIME in o.get("data", {})]
    (sentence,) = (r[claim.name]["verdict"] for r in records if claim.name in r)
    # "Holds" is the beginning of "Holds only for", so the longest fits.
    return max((v for v in Verdict if sentence.startswith(v.value)), key=lambda v: len(v.value))


@each
def test_predictions_stand_before_their_answers(path):
    """The code of a question is not shown, and what answers it is closed until then."""
    following = iter(code_cells(path))
    for cell in following:
        if any(v.startswith("prediction-") for v in ids(cell)):
            assert "remove-input" in cell.metadata.tags
            assert "answer" in next(following).metadata.tags


@each
def test_stored_widgets_are_those_of_today(path):
    models = stored_models(path)
    shown = views(path)
    assert len(set(shown)) == len(shown), "one id, two places"
    assert set(models) == {id for v in shown for id in (v, f"{v}-layout")}
    for model_id in shown:
        if is_computed(model_id):
            continue
        widget = fresh(model_id)
        state = widget.get_manager_state(widgets=[widget])["state"][model_id]
        expected = json.loads(json.dumps(state))
        stored = models[model_id]
        assert stored["model_module"] == "anywidget", "only anywidgets draw on a static page"
        assert stored["state"] == expected["state"]
        drawn, now = (drawn_bytes(model) for model in (stored, expected))
        assert drawn.keys() == now.keys()
        for path, block in drawn.items():
            # Of 254 steps, one: another processor may round a half the other way.
            assert block.shape == now[path].shape
            assert np.abs(block - now[path]).max(initial=0) <= 1


def is_computed(model_id):
    """A prediction with an answer from its chapter's own cells."""
    return model_id.startswith("prediction-") and not model_id.startswith("prediction-bet-")


@each
def test_predictions_are_those_of_their_cells(path):
    """nbval computes each answer anew and compares the text; the stored widget says the same."""
    today = Prediction("any", "one", ["one", "other"]).get_state()
    models = stored_models(path)
    for cell in code_cells(path):
        for model_id in filter(is_computed, ids(cell)):
            state = models[model_id]["state"]
            assert {k: state[k] for k in ("_esm", "_css")} == {
                k: today[k] for k in ("_esm", "_css")
            }
            restored = Prediction("any", "one", ["one"])
            restored.set_state({k: state[k] for k in ("choices", "right", "axis")})
            restored.answer = (state["choices"] or [None])[state["right"]]
            assert [repr(restored)] == [o["data"]["text/plain"] for o in cell.outputs]
