"""The decision guide on the built site: by mouse, by keyboard, by address, and without a script."""

import pytest
from axe import in_both_themes

from normcourse.lab import choose

pytestmark = pytest.mark.site

PAGE = "book/practice/choose.html"
DETECTION, TRANSFORMER, DISCRIMINATOR = choose.EXAMPLES


def shown(page):
    return [
        answer.get_attribute("id").removeprefix("answer-")
        for answer in page.locator(".nc-answer:visible").all()
    ]


def expected(choice):
    return [advice.name for advice in choose.fitting(choose.ADVICE, choice)]


def agrees(page, choice):
    """The page shows what Python says of this choice: questions, answers, their number."""
    legends = page.locator(".nc-choose fieldset:visible legend").all_inner_texts()
    assert legends == [choose.QUESTIONS[name].ask for name in choose.asked(choice)]
    checked = page.locator(".nc-choose fieldset:visible input:checked").all()
    assert {i.get_attribute("name"): i.get_attribute("value") for i in checked} == choice
    assert shown(page) == expected(choice)
    count = f"{len(expected(choice))} of {len(choose.ADVICE)} answers fit"
    assert page.get_by_role("status").first.inner_text().startswith(count)
    if "framework" in choice:
        lines = page.locator("[data-framework]:visible").all()
        assert {line.get_attribute("data-framework") for line in lines} <= {choice["framework"]}


def at(page, choice):
    page.wait_for_function("hash => location.hash === hash", arg=f"#{choose.address(choice)}")
    agrees(page, choice)


def pick(page, choice):
    for name, key in choice.items():
        page.get_by_role("radio", name=choose.QUESTIONS[name].options[key], exact=True).click()


@pytest.mark.parametrize("choice", choose.EXAMPLES)
def test_by_mouse(open_page, choice):
    page = open_page(PAGE)
    agrees(page, {})
    made = {}
    for name, key in choice.items():
        pick(page, {name: key})
        made[name] = key
        at(page, made)


def test_by_keyboard_alone(open_page):
    """Tab to each question, arrows or space within it."""
    page = open_page(PAGE)
    page.locator(".nc-choose input").first.focus()
    page.keyboard.press("ArrowRight")  # the second: activations
    at(page, {"what": "activations"})
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # the first: convolution
    at(page, {"what": "activations", "network": "convolution"})
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    choice = {"what": "activations", "network": "convolution", "batch": "2"}
    at(page, choice)
    for _ in range(9):  # past the other questions, to the button
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "reset":
            break
    page.keyboard.press("Enter")
    page.wait_for_function("() => !location.hash")
    agrees(page, {})
    assert page.evaluate("document.activeElement.name") == "what"


@pytest.mark.parametrize("choice", choose.EXAMPLES)
def test_an_address_restores_the_choice(open_page, choice):
    page = open_page(f"{PAGE}#{choose.address(choice)}")
    at(page, choice)
    link = page.get_by_role("link", name="Link to this choice")
    assert link.get_attribute("href") == f"#{choose.address(choice)}"
    assert page.locator(".nc-choose form").is_visible()
    assert page.evaluate("scrollY") > 0  # it leads to the guide


def test_back_and_forward(open_page):
    page = open_page(PAGE)
    pick(page, {"what": "weights"})
    pick(page, {"network": "gan"})
    pick(page, {"what": "data"})
    at(page, {"what": "data"})
    page.go_back()
    at(page, {"what": "weights", "network": "gan"})
    page.go_back()
    at(page, {"what": "weights"})
    page.go_back()
    page.wait_for_function("() => !location.hash")
    agrees(page, {})
    page.go_forward()
    at(page, {"what": "weights"})


def test_worked_examples_lead_into_the_guide(open_page):
    page = open_page(PAGE)
    links = page.get_by_role("link", name="the answers")
    assert links.count() == len(choose.EXAMPLES)
    for link, choice in zip(links.all(), choose.EXAMPLES, strict=True):
        link.click()
        at(page, choice)
    page.go_back()
    at(page, TRANSFORMER)


def test_a_place_on_the_page_is_no_choice(open_page):
    page = open_page(f"{PAGE}#{choose.address(DISCRIMINATOR)}")
    page.evaluate("location.hash = '#quick-checks'")
    page.wait_for_timeout(50)
    agrees(page, DISCRIMINATOR)
    other = open_page(f"{PAGE}#answer-pre-norm")
    agrees(other, {})


def test_an_unknown_choice_is_none(open_page):
    page = open_page(f"{PAGE}#what=soup&network=attention")
    agrees(page, {})


def test_what_is_asked_no_more_is_forgotten_in_the_address_and_kept_in_the_form(open_page):
    page = open_page(PAGE)
    pick(page, {"what": "activations", "network": "style", "batch": "1"})
    pick(page, {"network": "attention"})
    at(page, {"what": "activations", "network": "attention"})
    pick(page, {"network": "style"})
    at(page, {"what": "activations", "network": "style", "batch": "1"})


def test_each_answer_links_to_the_card_of_its_claim(open_page):
    page = open_page(PAGE)
    link = page.locator("#answer-group-norm .nc-carried a").first
    assert link.get_attribute("href").endswith("group_norm.html#claim-group_norm_and_batch_size")


def test_without_a_script_all_answers_are_there(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}/{PAGE}")
    assert shown(page) == [advice.name for advice in choose.ADVICE]
    assert not page.locator(".nc-choose form").is_visible()
    for advice in choose.ADVICE:
        assert f"For: {advice.condition}." in page.locator(f"#answer-{advice.name}").inner_text()
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_accessible_and_fits(open_page, width):
    page = open_page(f"{PAGE}#{choose.address(DETECTION)}", width=width)
    assert not in_both_themes(page, ".bd-article")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_role("button", name="Begin again").click()
    assert not in_both_themes(page, ".bd-article")
    assert page.evaluate("document.documentElement.scrollWidth") == width
