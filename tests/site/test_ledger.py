"""The ledger on the built site: rows are filtered, and a reader bets before a verdict is shown."""

import json
import re

import pytest
from axe import in_both_themes

from normcourse.lab.claims import bet_on, claims
from normcourse.lab.claims.ledger import CHOICES
from normcourse.lab.claims.record import Verdict
from normcourse.lab.claims.said import INTRODUCTIONS, STATEMENTS, said_by

pytestmark = pytest.mark.site

LEDGER = "book/practice/claims.html"


@pytest.fixture
def page(open_page):
    page = open_page(LEDGER)
    page.locator(".nc-ledger-tools").wait_for()
    return page


def shown(page):
    return [row.get_attribute("data-claim") for row in page.locator(".nc-claim:visible").all()]


def test_every_statement_is_tried_by_a_claim_with_a_verdict(page):
    assert len(STATEMENTS) == 54
    assert {name for _, names in STATEMENTS for name in names} <= claims().keys()
    assert {letter for letters, _ in STATEMENTS for letter in letters} == set(INTRODUCTIONS)
    assert "54 of the 54 statements" in page.locator(".nc-ledger-summary").inner_text()
    assert shown(page) == list(claims())
    assert page.locator(".nc-claim[data-right='-1']").count() == 0


@pytest.mark.parametrize("letter", INTRODUCTIONS)
def test_rows_are_filtered_by_who_says_it(page, letter):
    page.get_by_label("Said by").select_option(letter)
    assert shown(page) == [name for name in claims() if letter in said_by(name)]
    count = page.locator(".nc-ledger-tools [role=status]").first.inner_text()
    assert count.startswith(f"{len(shown(page))} of {len(claims())} ")


def test_filters_join(page):
    page.get_by_label("Chapter").select_option("Batch norm")
    of_chapter = shown(page)
    assert of_chapter == [n for n, c in claims().items() if c.chapter.endswith("/batch_norm")]
    found = []
    for index in range(4):
        page.get_by_label("Verdict").select_option(str(index))
        found += shown(page)
        for row in page.locator(".nc-claim:visible").all():
            assert row.get_attribute("data-right") == str(index)
    assert sorted(found) == sorted(of_chapter)
    assert page.locator(".nc-chapter:visible").count() <= 1


def test_a_bet_comes_before_the_verdict_and_is_counted_by_keyboard(page):
    toggle = page.get_by_role("button", name="Bet before a verdict is shown")
    toggle.focus()
    page.keyboard.press("Enter")
    assert page.locator(".nc-outcome:visible").count() == 0
    row = page.locator(".nc-claim").first
    button = row.get_by_role("button", name="Show the verdict")
    button.click()
    assert "Choose first" in row.inner_text()
    right = int(row.get_attribute("data-right"))
    row.get_by_role("radio").nth(right).focus()
    page.keyboard.press("Space")
    button.focus()
    page.keyboard.press("Enter")
    assert row.locator(".nc-outcome").is_visible()
    assert row.locator(".nc-said-bet").inner_text().endswith(": right.")
    other = page.locator(".nc-claim").nth(1)
    other.get_by_role("radio").nth((int(other.get_attribute("data-right")) + 1) % 4).check()
    other.get_by_role("button").click()
    assert (
        f"bet on 2 of {len(claims())} claims, and were right 1"
        in page.locator(".nc-score").inner_text()
    )
    page.reload()
    page.locator(".nc-ledger-tools").wait_for()
    assert "bet on 2 of" in page.locator(".nc-score").inner_text()


def test_a_bet_of_a_chapter_is_a_bet_here(open_page):
    page = open_page("book/activations/batch_norm.html")
    prediction = page.locator(".nc-prediction", has_text="Your bet").first
    prediction.locator("input").first.check()
    prediction.get_by_role("button", name="Show the answer").click()
    page.goto(re.sub("book/.*", LEDGER, page.url))
    page.locator(".nc-ledger-tools").wait_for()
    assert "bet on 1 of" in page.locator(".nc-score").inner_text()


def test_a_row_asks_what_the_chapter_asks(page):
    """One key, one question, one right answer: else a bet there would not count here."""
    for row in page.locator(".nc-claim").all():
        claim = claims()[row.get_attribute("data-claim")]
        verdict = list(Verdict)[int(row.get_attribute("data-right"))]
        widget = bet_on(claim, verdict)
        assert widget.model_id == f"prediction-bet-{claim.name}"
        assert widget.choices == list(CHOICES.values())
        assert widget.choices[widget.right] == CHOICES[verdict]
        asked = page.evaluate(
            """(texts) => [...texts.join("\\n")].reduce(
              (sum, c) => (31 * sum + c.codePointAt(0)) % 2147483647, 7)""",
            [widget.title, *widget.choices],
        )
        assert int(row.get_attribute("data-of")) == asked


@pytest.mark.parametrize("width", [1280, 390])
def test_with_bets_it_is_accessible(open_page, width):
    page = open_page(LEDGER, width=width)
    page.get_by_role("button", name="Bet before a verdict is shown").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert not in_both_themes(page)
    assert json.loads(page.locator(".nc-ledger").get_attribute("data-choices"))
