"""The built site, served on localhost and opened in headless Chromium with other hosts blocked."""

import gzip
import threading
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright
from unchanged import executable

from normcourse.lab.serve import server

SITE = Path(__file__).parents[2] / "_build" / "html"
# No name of another host leads anywhere: quicker than to ask here about each request.
BLOCKED = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server"
NO_BROWSER = "no Chromium found: install it (Debian and Ubuntu: apt-get install chromium)"
NO_SITE = "the site is not built: run `make site`"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("site")


@pytest.fixture(scope="session")
def site():
    """The folder of the built site."""
    if not SITE.exists():
        pytest.skip(NO_SITE)
    return SITE


@pytest.fixture(scope="session")
def address(site):
    with server(site, port=0) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.fixture(scope="session")
def browser():
    path = executable()
    if path is None:
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", *BLOCKED],
        )
        yield browser
        browser.close()


class Visit:
    """One open page, and everything that went wrong on it."""

    def __init__(self, browser, address, path, theme="light", width=1280):
        self.context = browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme=theme,
            reduced_motion="reduce",
        )
        self.address = address
        self.problems = []
        self.responses = []
        self.under_way = set()
        self.page = page = self.context.new_page()
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("request", self._note_request)
        page.on("requestfinished", lambda request: self.under_way.discard(request))
        page.on("requestfailed", self._note_failure)
        page.on("response", self._note_response)
        page.goto(f"{address}/{path}")
        self.settle()

    def settle(self):
        """Wait until the page is loaded, its formulas are set and its widgets are drawn."""
        for _ in range(20):
            try:
                return self._settle()
            except Error as error:  # the page is leading on to another one
                if "navigation" not in str(error):
                    raise
                self.page.wait_for_timeout(50)
        raise AssertionError("the page leads on without an end")

    def _settle(self):
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        self.page.wait_for_function(
            "() => !document.querySelector('script[type$=\"widget-view+json\"]')"
        )
        while self.under_way:
            self.page.wait_for_timeout(10)

    def _note_request(self, request):
        self.under_way.add(request)
        if not request.url.startswith((self.address, "blob:", "data:")):
            self.problems.append(f"another host: {request.url}")

    def _note_failure(self, request):
        self.under_way.discard(request)
        self.problems.append(f"failed: {request.url}")

    def _note_console(self, message):
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text} {message.location['url']}")

    def _note_response(self, response):
        self.responses.append(response)
        if response.status >= 400:
            self.problems.append(f"{response.status}: {response.url}")

    def weight(self):
        """Bytes of all transfers, gzipped as a web server would send them."""
        sent = (r.body() for r in self.responses if r.url.startswith("http") and r.ok)
        return sum(len(gzip.compress(body)) for body in sent)


@pytest.fixture(scope="session")
def visit_page(browser, address):
    """Open a page and get all that is known about the visit; close its context when done."""
    return partial(Visit, browser, address)


@pytest.fixture
def open_page(visit_page):
    """Open a page of the site, ``open_page("book/index.html", theme="dark", width=390)``.

    The test fails if the page requests another host, fails a request or logs an error.
    """
    visits = []

    def open_page(path, theme="light", width=1280):
        visits.append(visit_page(path, theme, width))
        return visits[-1].page

    yield open_page
    problems = [problem for visit in visits for problem in visit.problems]
    for visit in visits:
        visit.context.close()
    assert not problems
