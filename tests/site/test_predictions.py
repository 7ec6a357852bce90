"""Predictions on the built site: the answer is closed until the reader has answered."""

import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.site

BOOK = Path(__file__).parents[2] / "book"
PAGES = sorted(
    path.relative_to(BOOK.parent).with_suffix(".html").as_posix()
    for path in BOOK.rglob("*.ipynb")
    if re.search('"model_id": "prediction-', path.read_text(encoding="utf-8"))
)


def behind(prediction):
    """The cells tagged ``answer`` that follow a prediction."""
    return prediction.locator(
        "xpath=ancestor::div[contains(@class, 'cell ')]/following-sibling::*[1]"
    )


@pytest.mark.parametrize("path", PAGES)
def test_the_answer_opens_when_asked_for(open_page, path):
    page = open_page(path)
    predictions = page.locator(".nc-prediction")
    assert predictions.count()
    for prediction in predictions.all():
        answer = behind(prediction)
        assert "tag_answer" in answer.get_attribute("class")
        assert not answer.is_visible()
        button = prediction.get_by_role("button")
        assert button.inner_text() == "Show without a prediction"
        first = prediction.locator("input").first
        first.focus()
        page.keyboard.press("Space" if first.get_attribute("type") == "radio" else "ArrowRight")
        assert button.inner_text() == "Show the answer"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert answer.is_visible()
        status = prediction.locator("[role=status]").inner_text()
        assert status.startswith(("You said", "As you said"))
        assert not button.is_visible()


@pytest.mark.parametrize("path", PAGES[:1])
def test_in_print_all_is_there(open_page, path):
    page = open_page(path)
    page.emulate_media(media="print")
    assert all(behind(p).is_visible() for p in page.locator(".nc-prediction").all())


@pytest.mark.parametrize("path", PAGES[:1])
def test_without_javascript_all_is_there(open_page, path, site):
    html = (site / path).read_text(encoding="utf-8")
    assert not re.search('class="[^"]*nc-veiled', html)
    state = re.search(
        r'<script type="application/vnd.jupyter.widget-state\+json">(.*?)</script>', html, re.S
    )
    models = json.loads(state[1])["state"]
    assert all(
        model["state"]["guess"] == -1
        for name, model in models.items()
        if name.startswith("prediction-") and not name.endswith("-layout")
    )
