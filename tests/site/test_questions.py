"""Predictions and quick checks on the built site.

The answer to a prediction is closed until the reader has answered.
"""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.site

ROOT = Path(__file__).parents[2]


def each_page_with(kind):
    """The page of every notebook that stores a widget of this kind."""
    pages = [
        path.relative_to(ROOT).with_suffix(".html").as_posix()
        for path in sorted((ROOT / "book").rglob("*.ipynb"))
        if f'"{kind}-' in path.read_text(encoding="utf-8")
    ]
    return pytest.mark.parametrize("visit", pages, indirect=True, scope="module")


@pytest.fixture(scope="module")
def visit(request, visit_page):
    visit = visit_page(request.param)
    yield visit
    visit.context.close()


@pytest.fixture
def page(visit):
    """One for all tests of what it asks, in this order: nothing is answered before its test."""
    yield visit.page
    assert not visit.problems


@each_page_with("quickcheck")
def test_quick_checks_answer_every_choice(page):
    questions = page.locator(".nc-quickcheck .nc-question")
    questions.first.wait_for()
    assert questions.count() >= 5
    for q in range(questions.count()):
        question = questions.nth(q)
        feedback = question.get_by_role("status")
        button = question.get_by_role("button", name="Check")
        button.click()
        assert "Choose an answer" in feedback.inner_text()
        radios = question.get_by_role("radio")
        said = []
        for i in range(radios.count()):
            if i % 2:  # by keyboard
                radios.nth(i - 1).focus()
                page.keyboard.press("ArrowDown")
                button.focus()
                page.keyboard.press("Enter")
            else:
                radios.nth(i).click()
                button.click()
            said.append(feedback.inner_text())
        assert len(set(said)) == len(said)
        assert sum(s.startswith("Yes.") for s in said) == 1
        assert all(s.startswith(("Yes.", "Not quite.")) for s in said)


@each_page_with("prediction")
def test_the_answer_is_printed(page):
    page.locator(".nc-prediction").first.wait_for()
    page.emulate_media(media="print")
    assert all(cell.is_visible() for cell in page.locator("div.cell.tag_answer").all())
    page.emulate_media(media="screen")


@each_page_with("prediction")
def test_the_answer_waits_for_the_reader(page):
    predictions = page.locator(".nc-prediction")
    predictions.first.wait_for()
    closed = page.locator("div.cell.tag_answer")
    assert closed.count() >= predictions.count()
    assert not any(cell.is_visible() for cell in closed.all())
    for i in range(predictions.count()):
        prediction = predictions.nth(i)
        before = sum(cell.is_visible() for cell in closed.all())
        choose(prediction, by_keyboard=i % 2)
        assert sum(cell.is_visible() for cell in closed.all()) == before
        prediction.get_by_role("button", name="Show the answer").click()
        said = prediction.locator(".nc-feedback").inner_text()
        assert re.match(r"You (said|drew) .+|As you said: .+", said)
        assert sum(cell.is_visible() for cell in closed.all()) > before
    assert all(cell.is_visible() for cell in closed.all())


def choose(prediction, by_keyboard):
    first = prediction.locator("input, [role=slider]").first
    if not by_keyboard:
        first.click(position={"x": 5, "y": 5})
        return
    first.focus()
    first.press("ArrowRight")


def test_a_line_is_drawn_in_one_stroke_and_by_keyboard(open_page):
    page = open_page("book/activations/batch_norm.html")
    prediction = page.locator(".nc-prediction:has(.nc-line)")
    picture, handles = prediction.locator(".nc-line"), prediction.get_by_role("slider")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    page.mouse.move(box["x"] + 0.15 * box["width"], box["y"] + 0.7 * box["height"])
    page.mouse.down()
    for share in (0.3, 0.5, 0.7, 0.9):
        at = box["y"] + (0.8 - 0.7 * share) * box["height"]
        page.mouse.move(box["x"] + share * box["width"], at, steps=5)
    page.mouse.up()
    drawn = [int(handle.get_attribute("aria-valuenow")) for handle in handles.all()]
    assert drawn == sorted(drawn)
    assert drawn[-1] - drawn[0] > 10
    handles.last.focus()
    handles.last.press("Home")
    handles.last.press("ArrowUp")
    assert handles.last.get_attribute("aria-valuenow") == "1"
    prediction.get_by_role("button", name="Show the answer").click()
    handles.last.press("ArrowUp")
    assert handles.last.get_attribute("aria-valuenow") == "1"  # what was drawn stays
