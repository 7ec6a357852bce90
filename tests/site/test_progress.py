"""What a reader answers stays in the browser; the page of progress sums up, exports and imports."""

import json
import re

import pytest
from axe import in_both_themes

from normcourse.exercises import EXERCISES, Session

pytestmark = pytest.mark.site

PROGRESS = "book/practice/progress.html"
CHAPTER = "book/activations/batch_norm.html"
CONTENTS = "() => JSON.parse(document.querySelector('#nc-contents').textContent)"
ALL_DONE = """() => {
  for (const page of JSON.parse(document.querySelector("#nc-contents").textContent)) {
    if (!page.counts) continue;
    for (const { key, of, right } of page.checks) {
      localStorage.setItem(key, JSON.stringify({ of, answers: { ...right } }));
    }
    const done = { state: { best: page.points } };
    if (page.kept) localStorage.setItem(page.kept, JSON.stringify(done));
  }
}"""


def row(page, title):
    name = page.get_by_role("rowheader", name=title, exact=True)
    return name.locator("xpath=..").locator("td").all_inner_texts()


def say(page):
    return page.locator(".nc-kept-status").inner_text()


def go(page, path):
    page.goto(re.sub(r"book/.*", path, page.url))
    page.wait_for_load_state("networkidle")


def test_answers_and_bets_are_there_again(open_page):
    page = open_page(CHAPTER)
    question = page.locator(".nc-question").first
    question.locator("input").first.check()
    question.get_by_role("button", name="Check").click()
    said = question.locator(".nc-feedback").inner_text()
    prediction = page.locator(".nc-prediction:has(input[type=radio])").first
    prediction.locator("input").first.check()
    prediction.get_by_role("button", name="Show the answer").click()
    answer = prediction.locator(".nc-feedback").inner_text()

    page.reload()
    question = page.locator(".nc-question").first
    question.wait_for()
    assert question.locator(".nc-feedback").inner_text() == said
    assert question.locator("input").first.is_checked()
    prediction = page.locator(".nc-prediction:has(input[type=radio])").first
    assert prediction.locator(".nc-feedback").inner_text() == answer
    assert not prediction.get_by_role("button").is_visible()

    go(page, PROGRESS)
    checks, predictions, _ = row(page, "Batch normalization")
    assert checks[:5] == ("1 of " if said.startswith("Yes") else "0 of ")
    assert predictions.startswith("1 of ")


def test_an_answer_to_another_question_counts_no_more(open_page):
    page = open_page(PROGRESS)
    found = next(p for p in page.evaluate(CONTENTS) if p["title"] == "Batch normalization")
    (check,) = found["checks"]
    answers = dict(enumerate(check["right"]))
    for of, count in ((check["of"], len(answers)), (check["of"] + 1, 0)):
        page.evaluate(
            "([key, kept]) => localStorage.setItem(key, JSON.stringify(kept))",
            [check["key"], {"of": of, "answers": answers}],
        )
        page.reload()
        assert row(page, "Batch normalization")[0].startswith(f"{count} of {len(answers)}")
        go(page, CHAPTER)  # the page of the questions takes the same for the same
        page.locator(".nc-question").first.wait_for()
        assert page.locator(".nc-feedback.nc-right").count() == count
        go(page, PROGRESS)


def test_every_page_that_asks_is_listed(open_page):
    page = open_page(PROGRESS)
    found = page.evaluate(CONTENTS)
    exercises = [part["points"] for part in found if part["points"]]
    assert exercises == [
        {f"{name}.{e.name}": e.points for e in tasks} for name, tasks in EXERCISES.items()
    ]
    assert page.locator(".nc-progress-table tbody tr").count() == len(found)
    assert page.locator(".nc-next").inner_text() == "Begin with Why normalize."


def test_what_is_exported_comes_back_and_nothing_is_lost(open_page, tmp_path):
    page = open_page(PROGRESS)
    key = "normcourse:exercises/batch_norm:1"
    mine = {"code": {"batch_norm": "mine"}, "state": {"best": {"batch_norm.batch_norm": 3}}}
    page.evaluate("([k, v]) => localStorage.setItem(k, JSON.stringify(v))", [key, mine])
    page.reload()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    file = tmp_path / "kept.json"
    download.value.save_as(file)
    assert json.loads(file.read_text()) == {"normcourse": 1, "kept": {key: mine}}

    page.get_by_role("button", name="Reset").click()
    assert "Everything is deleted" in say(page)
    assert page.evaluate("localStorage.getItem('normcourse:exercises/batch_norm:1')") is None
    page.get_by_role("button", name="Undo").click()
    assert row(page, "Exercise: batch normalization")[2].startswith("3 of")
    page.get_by_role("button", name="Reset").click()

    better = {"code": {"batch_norm": "here"}, "state": {"best": {"batch_norm.batch_norm": 2}}}
    page.evaluate("([k, v]) => localStorage.setItem(k, JSON.stringify(v))", [key, better])
    page.set_input_files("input[type=file]", file)
    page.get_by_text("Brought in 1 parts").wait_for()
    kept = json.loads(page.evaluate(f"localStorage.getItem('{key}')"))
    assert kept["code"] == {"batch_norm": "here"}  # what is here stays
    assert kept["state"]["best"] == {"batch_norm.batch_norm": 3}  # the better points count


@pytest.mark.parametrize("text", ["", "[1]", '{"normcourse": 2}', '{"kept": {}}', "PK"])
def test_a_strange_file_changes_nothing(open_page, tmp_path, text):
    page = open_page(PROGRESS)
    page.evaluate("localStorage.setItem('normcourse:answers/a:1', '{}')")
    file = tmp_path / "strange.json"
    file.write_text(text)
    page.set_input_files("input[type=file]", file)
    page.get_by_text("strange.json is no file of this course").wait_for()
    assert page.evaluate("localStorage.length") >= 1


def test_points_of_a_session_are_brought_in(open_page, tmp_path):
    session, file = Session(), tmp_path / "points.json"
    (exercise, *_), technique = EXERCISES["rms_norm"], "rms_norm"
    session.check(lambda *arguments: exercise.reference(*arguments)[0], f"rms_norm.{exercise.name}")
    session.save_points(file)
    earned = session.state()["best"][f"{technique}.{exercise.name}"]
    assert earned == exercise.points
    page = open_page(PROGRESS)
    page.set_input_files("input[type=file]", file)
    page.get_by_text("Brought in 1 parts").wait_for()
    assert row(page, "Exercise: RMS normalization")[2].startswith(f"{earned} of")


def test_the_certificate_waits_until_all_is_done_and_is_printed_alone(open_page):
    page = open_page(PROGRESS)
    certificate = page.locator("article .nc-certificate")
    assert not certificate.is_visible()
    page.evaluate(ALL_DONE)
    page.reload()
    page.get_by_label("Your name").fill("Ada")
    assert certificate.is_visible()
    assert "Ada" in certificate.inner_text()
    assert "no proof of authorship" in certificate.inner_text()
    page.emulate_media(media="print")
    printed = page.locator("body > .nc-printed")
    assert printed.is_visible()
    assert "Ada" in printed.inner_text()
    for other in ("h1", ".nc-progress-table", ".nc-progress-tools", "#what-the-certificate-says"):
        assert not page.locator(other).first.is_visible(), other


def test_a_browser_that_keeps_nothing_is_told_of(open_page):
    page = open_page("book/index.html")
    page.context.add_init_script(
        """const keep = Storage.prototype.setItem;
        Storage.prototype.setItem = function (key, value) {
          if (key.startsWith("normcourse")) throw new DOMException("full", "QuotaExceededError");
          keep.call(this, key, value);
        };"""
    )
    go(page, PROGRESS)
    page.locator(".nc-progress-table").wait_for()
    assert "keeps nothing" in say(page)
    go(page, CHAPTER)
    question = page.locator(".nc-question").first
    question.locator("input").first.check()
    question.get_by_role("button", name="Check").click()
    assert question.locator(".nc-feedback").inner_text()


@pytest.mark.parametrize("width", [1280, 390])
def test_with_a_certificate_it_is_accessible(open_page, width):
    page = open_page(PROGRESS, width=width)
    page.evaluate(ALL_DONE)
    page.reload()
    page.locator("article .nc-certificate").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert not in_both_themes(page)
