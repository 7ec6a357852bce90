"""Predictions on the built site: the answer is closed until the reader has answered."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.site

ROOT = Path(__file__).parents[2]
PAGES = [
    path.relative_to(ROOT).with_suffix(".html").as_posix()
    for path in sorted((ROOT / "book").rglob("*.ipynb"))
    if '"prediction-' in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", PAGES)
def test_the_answer_waits_for_the_reader(open_page, path):
    page = open_page(path)
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


@pytest.mark.parametrize("path", PAGES)
def test_the_answer_is_printed(open_page, path):
    page = open_page(path)
    page.locator(".nc-prediction").first.wait_for()
    page.emulate_media(media="print")
    assert all(cell.is_visible() for cell in page.locator("div.cell.tag_answer").all())


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
