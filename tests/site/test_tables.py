"""Tables that are sorted and filtered on the built site, by mouse and by keyboard."""

import pytest
from axe import in_both_themes

from normcourse.lab import compare

pytestmark = pytest.mark.site

PAGE = "book/practice/compare.html"


def answered(page):
    """The page, its predictions answered: behind some of them there is a table."""
    page.locator(".nc-prediction").first.wait_for()
    for prediction in page.locator(".nc-prediction").all():
        prediction.get_by_role("button").last.click()
    return page


@pytest.fixture
def memory(open_page):
    """(the page, its table of what is kept, the same table in Python)."""
    page = answered(open_page(PAGE))
    made = compare.memory_table()
    table = page.locator("table.nc-table").filter(has_text=made.caption)
    return page, table, made


def names(table):
    return [row.inner_text() for row in table.locator("tbody tr:visible th").all()]


def tools(table):
    above = table.locator("xpath=../preceding-sibling::*[1]")
    return above.get_by_role("searchbox"), above.get_by_role("status")


def by_mouse(button):
    button.click()


def by_keyboard(button):
    button.focus()
    button.press("Enter")


@pytest.mark.parametrize("use", [by_mouse, by_keyboard])
def test_a_head_sorts_up_then_down_then_as_it_was(memory, use):
    _, table, made = memory
    first = names(table)
    assert first == list(compare.NAMES)
    k = made.heads.index("Bytes, torch")
    known = {row[0].text: row[k].order for row in made.rows if row[k].text != "–"}
    head = table.get_by_role("columnheader", name="Bytes, torch")
    for direction, sign in (("ascending", 1), ("descending", -1)):
        use(head.get_by_role("button"))
        assert head.get_attribute("aria-sort") == direction
        shown = names(table)
        orders = [sign * known[name] for name in shown[: len(known)]]
        assert orders == sorted(orders)
        assert set(shown[len(known) :]) == set(first) - set(known)  # what is empty comes last
    use(head.get_by_role("button"))
    assert head.get_attribute("aria-sort") is None
    assert names(table) == first


def test_only_one_column_says_that_it_is_sorted(memory):
    _, table, _ = memory
    for head in table.get_by_role("columnheader").all():
        head.get_by_role("button").click()
        assert table.locator("[aria-sort]").count() == 1
        assert head.get_attribute("aria-sort") == "ascending"
    shown = [
        int(row.split()[-1].replace(",", "")) for row in table.locator("tbody tr").all_inner_texts()
    ]
    assert shown == sorted(shown)  # numbers, not text: 64 before 128


def test_rows_are_filtered_by_what_is_typed(memory):
    page, table, _ = memory
    field, status = tools(table)
    assert status.inner_text() == "11 rows"
    field.focus()
    page.keyboard.type("norm 129")
    assert names(table) == ["Batch norm", "Switchable norm"]
    assert status.inner_text() == "2 of 11 rows"
    table.get_by_role("columnheader", name="Parameters").get_by_role("button").click()
    table.get_by_role("columnheader", name="Parameters").get_by_role("button").click()
    assert names(table) == ["Switchable norm", "Batch norm"]
    field.fill("nothing of the kind")
    assert names(table) == []
    assert status.inner_text() == "0 of 11 rows"
    field.fill("")
    assert len(names(table)) == 11


@pytest.mark.parametrize("width", [1280, 390])
def test_sorted_and_filtered_it_is_accessible(open_page, width):
    page = answered(open_page(PAGE, width=width))
    table = page.locator("table.nc-table").first
    table.get_by_role("button").first.click()
    tools(table)[0].fill("norm")
    assert not in_both_themes(page, ".bd-article")


def test_on_a_phone_names_stay_while_numbers_scroll(open_page):
    page = answered(open_page(PAGE, width=390))
    for box in page.locator(".nc-table-box").all():
        box.focus()
        name = box.locator("tbody th").first
        before = name.bounding_box()
        wide = box.evaluate("box => box.scrollWidth > box.clientWidth + 1")
        box.evaluate("box => box.scrollTo(1000, 0)")
        if wide:
            assert box.evaluate("box => box.scrollLeft") > 0
        assert abs(name.bounding_box()["x"] - before["x"]) <= 1
        assert all(
            th.evaluate("th => th.scrollWidth <= th.clientWidth")
            for th in box.locator("tbody th").all()
        )


def test_nothing_moves_when_the_script_has_run(browser, address):
    """The heights with and without the script are the same, but for what it adds in its room."""
    tops = []
    for script in (True, False):
        context = browser.new_context(viewport={"width": 1280, "height": 844})
        page = context.new_page()
        if not script:
            page.route("**/tables.js*", lambda route: route.abort())
        page.goto(f"{address}/{PAGE}")
        page.wait_for_load_state("networkidle")
        answered(page)
        boxes = page.locator("table.nc-table").all()
        tops.append([round(box.bounding_box()["y"] + page.evaluate("scrollY")) for box in boxes])
        assert bool(page.locator(".nc-table-tools").count()) == script
        context.close()
    assert max(abs(a - b) for a, b in zip(*tops, strict=True)) <= 2
