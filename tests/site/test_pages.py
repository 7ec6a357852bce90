"""Every page of the built site: self-contained, accessible, light, and whole on a phone."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
import yaml
from axe import violations
from bs4 import BeautifulSoup
from normcourse_site import contrast

SITE = Path(__file__).parents[2] / "_build" / "html"
CONTRAST = "color-contrast"
# Formulas have the colour of the text around them, and the tokens of code and of signatures are
# looked at one by one: the two tests of it take a tenth of what axe would for most of a page.
ELSEWHERE = {"exclude": [["mjx-container"], [".highlight"], ["dt.sig"]]}
NO_CONTRAST = {"rules": {CONTRAST: {"enabled": False}}}  # all rules but that of colours
BUDGET = 600_000  # bytes of a page with all it loads, gzipped
PAGES = sorted(p.relative_to(SITE).as_posix() for p in SITE.glob("book/**/*.html"))
each_page = pytest.mark.parametrize("path", PAGES)


@pytest.fixture(scope="module", params=[*PAGES, "search.html"])
def visit(request, visit_page):
    visit = visit_page(request.param)
    visit.path = request.param
    visit.page.wait_for_load_state("networkidle")  # what comes late counts, too
    yield visit
    visit.context.close()


@cache
def soup(path):
    return BeautifulSoup((SITE / path).read_bytes(), "html.parser")


@cache
def ids(path):
    return {element["id"] for element in soup(path).find_all(id=True)}


def set_theme(page, theme):
    page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)


def test_loads_without_a_problem(visit):
    assert not visit.problems


def test_weighs_less_than_the_budget(visit, record_property):
    weight = visit.weight()
    record_property("measured", f"{visit.path}: {weight / 1000:.0f} kB gzipped")
    assert weight < BUDGET


def test_draws_every_widget(visit):
    widgets = visit.page.locator(".nc-widget > div")
    assert widgets.count() == len(soup(visit.path).select('script[type$="widget-view+json"]'))
    for widget in widgets.all():
        assert widget.locator("*").count() > 1
        assert widget.bounding_box()["height"] > 20


def test_reserves_the_room_a_widget_takes(visit):
    places = [place["style"] for place in soup(visit.path).select(".nc-widget")]
    reserved = [int(re.fullmatch(r"min-height: (\d+)px", style)[1]) for style in places]
    drawn = [round(w.bounding_box()["height"]) for w in visit.page.locator(".nc-widget").all()]
    pairs = zip(reserved, drawn, strict=True)
    assert all(abs(room - height) <= 40 for room, height in pairs), (reserved, drawn)


def test_what_a_phone_folds_is_accessible(visit):
    """The article is tried on the phone."""
    assert not violations(visit.page, {"exclude": [["article"]]}, unfold=True, **NO_CONTRAST)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_are_legible(visit, theme):
    set_theme(visit.page, theme)
    assert not violations(visit.page, ELSEWHERE, unfold=True, runOnly=[CONTRAST])
    strange = visit.page.evaluate(
        """() => [...document.querySelectorAll("mjx-container, mjx-container *")].filter((part) => {
          const { color, backgroundColor } = getComputedStyle(part);
          return color !== getComputedStyle(part.parentElement).color
            || backgroundColor !== "rgba(0, 0, 0, 0)";
        }).map((part) => part.outerHTML.slice(0, 200))"""
    )
    assert not strange


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_code_is_legible(visit, theme):
    set_theme(visit.page, theme)
    pairs = visit.page.evaluate(
        """() => {
          const tokens = ".cell_input .highlight span, dt.sig, dt.sig :not(.headerlink)";
          const paper = (box) => {
            const { backgroundColor, opacity } = getComputedStyle(box);
            if (opacity !== "1") return `opacity ${opacity}`;
            return backgroundColor === "rgba(0, 0, 0, 0)" && box.parentElement
              ? paper(box.parentElement) : backgroundColor;
          };
          return [...document.querySelectorAll(tokens)].map(
            (token) => `${getComputedStyle(token).color} on ${paper(token)}`);
        }"""
    )
    assert bool(pairs) == bool(soup(visit.path).select(".cell_input .highlight span, dt.sig"))
    for pair in set(pairs):
        ink, paper = (
            bytes(map(int, rgb)).hex() for rgb in re.findall(r"\((\d+), (\d+), (\d+)\)", pair)
        )
        assert contrast(ink, paper) >= 4.5, pair


def test_fits_a_phone_and_is_accessible(visit):
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    page.reload()
    visit.settle()
    page.evaluate("window.scrollTo(1000, 0)")
    assert page.evaluate("window.scrollX") == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert not violations(page, unfold=True, **NO_CONTRAST)


def test_boxes_that_scroll_take_the_focus(visit):
    """Called on the phone, where most boxes scroll: a keyboard must reach what is hidden."""
    unreachable = visit.page.evaluate(
        """() => [...document.querySelectorAll("article *")].filter((box) =>
          box.scrollWidth > box.clientWidth + 1
          && /auto|scroll/.test(getComputedStyle(box).overflowX)
          && box.tabIndex < 0 && !box.querySelector("[tabindex='0'], a, button, input")
        ).map((box) => box.outerHTML.slice(0, 200))"""
    )
    assert not unreachable


def test_images_say_what_they_show(visit):
    for image in visit.page.locator("article img").all():
        alt = image.get_attribute("alt") or ""
        assert len(alt.split()) > 4, f"alt text of {image.get_attribute('src')}: {alt!r}"
        assert "/" not in alt.split()[0], f"a path is not an alt text: {alt!r}"


@each_page
def test_links_are_alive(path):
    dead = []
    for link in soup(path).select("a[href]"):
        target = urlsplit(urljoin(f"http://site/{path}", link["href"]))
        if target.netloc != "site":
            continue
        file = SITE / unquote(target.path).lstrip("/")
        anchor = unquote(target.fragment)
        if not file.is_file() or (anchor and anchor not in ids(file)):
            dead.append(link["href"])
    assert not dead


@each_page
def test_asks_no_other_host(path):
    page = soup(path)
    sources = [e["src"] for e in page.select("[src]")]
    sources += [e["href"] for e in page.select("link[href]")]
    assert not [source for source in sources if urlsplit(source).netloc]


def test_first_page_leads_to_the_landing_page(open_page):
    page = open_page("index.html")
    page.wait_for_url("**/book/index.html")
    assert page.locator("article h1").count() == 1


def test_first_page_has_the_name_of_the_course_and_asks_for_nothing(site):
    first, landing = (
        BeautifulSoup((site / name).read_text(), "html.parser")
        for name in ("index.html", "book/index.html")
    )
    assert first.title.text == landing.title.text == "normcourse"
    # Not for an icon either, which would be a request for /favicon.ico, or cut off by leading on.
    assert [tag["href"] for tag in first.select("link, script, img")] == ["data:,"]


def test_styles_are_named_by_what_they_hold(site):
    """Without a checksum in the first build, all pages are other ones in the second."""
    page = BeautifulSoup((site / "book/index.html").read_text(), "html.parser")
    styles = [link["href"] for link in page.select("link[rel=stylesheet]")]
    assert styles
    assert not [style for style in styles if not re.search(r"\?(v|digest)=\w+$", style)]


def test_search_finds_a_chapter(open_page):
    page = open_page("book/index.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("momentum")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=momentum")
    page.locator("ul.search a").first.wait_for()


def test_theme_switch_works_by_keyboard(open_page):
    page = open_page("book/index.html")
    background = "getComputedStyle(document.body).backgroundColor"
    seen = set()
    for _ in range(3):  # automatic, light, dark
        page.locator(".theme-switch-button").first.focus()
        page.keyboard.press("Enter")
        seen.add(page.evaluate(background))
    assert len(seen) == 2


def test_has_every_page_of_the_table_of_contents(site):
    toc = yaml.safe_load((site.parents[1] / "_toc.yml").read_text())
    listed = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert sorted(f"{page}.html" for page in [toc["root"], *listed]) == PAGES
