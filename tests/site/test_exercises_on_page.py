"""Exercises are written, checked, kept and taken away on the built site, without a kernel."""

import gzip
import inspect
import re
import time
from pathlib import Path

import exercise_solutions
import nbformat
import numpy as np
import pytest
import yaml
from axe import in_both_themes
from bs4 import BeautifulSoup

from normcourse.exercises import (
    EXERCISES,
    find,
    train_bounded,
    train_digits,
    train_divided,
    train_rescaled,
    train_switched,
    train_weights,
)
from normcourse.exercises.__main__ import main as grade

ROOT = Path(__file__).parents[2]
FINISHED = "points|error|Stopped|Done|could not|Python ended"
NO_RUNTIME = "the site was built without Python for the browser: `make site` says why"
# What trains digits at the end of an exercise: the learner's functions, and what else it is given.
TRAINED = {
    "rescaling": (train_rescaled, ["standard_scale", "merge_statistics"]),
    "batch_norm": (train_digits, ["batch_norm", "batch_norm_backward"]),
    "layer_norm": (train_digits, ["layer_norm", "layer_norm_backward"], (32,)),
    "group_norm": (train_digits, ["group_norm", "group_norm_backward"], 4),
    "rms_norm": (train_digits, ["rms_norm", "rms_norm_backward"], (32,)),
    "weight_norm": (
        train_weights,
        ["weight_norm_init", "weight_norm", "weight_norm_backward"],
    ),
    "spectral_norm": (train_bounded, ["spectral_norm_layer", "spectral_norm_backward"]),
    "divisive_norm": (train_divided, ["signed_divisive_norm", "signed_divisive_norm_backward"]),
    "switchable_norm": (
        train_switched,
        ["switchable_norm", "shares_backward", "switchable_norm_inference"],
    ),
}
WRONG = """def batch_norm(x, weight, bias, eps=1e-5):
    mu = x.mean(0)
    return weight * (x - mu) / np.sqrt(x.var(0) + eps) + bias"""


class Lab:
    """A page whose cells run."""

    def __init__(self, page):
        self.page = page

    def editor(self, name):
        return self.page.get_by_label(f"Your code: {name}", exact=True)

    def cell(self, name):
        return self.page.get_by_role("region", name=f"Exercise {name}", exact=True)

    def status(self, name):
        return self.cell(name).get_by_role("status").inner_text()

    def report(self, name):
        return self.cell(name).locator(".nc-report").inner_text()

    def output(self, name):
        return self.cell(name).locator(".nc-output").inner_text()

    def focus_by_tab(self, locator):
        for _ in range(400):
            if locator.evaluate("element => element === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError("Tab does not lead there")

    def finish(self, name):
        """Wait for what a run says in the end."""
        status = self.cell(name).get_by_role("status").element_handle()
        self.page.wait_for_function(
            f"status => /{FINISHED}/.test(status.textContent)", arg=status, timeout=60_000
        )
        return self.status(name)

    def train(self):
        """Run the cell that trains: what its status and its report say."""
        cell = self.page.locator(".nc-cell", has=self.page.get_by_role("button", name="Run it"))
        cell.get_by_role("button", name="Run it").click()
        report = cell.locator(".nc-report .nc-check")
        report.wait_for(timeout=60_000)
        self.page.wait_for_function("!document.querySelector('.nc-run[aria-disabled]')")
        return cell.get_by_role("status").first.inner_text(), report.inner_text()

    def check(self, name, code):
        self.editor(name).fill(code)
        self.editor(name).press("Control+Enter")
        return self.finish(name)

    def scoreboard(self):
        return self.page.get_by_role("region", name="Points", exact=True).inner_text()

    def download(self, kind, folder):
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=f"Download {kind}").click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


@pytest.fixture(scope="session")
def runtime(site):
    """Python for the browser, without which the test is skipped."""
    if not list(site.glob("_static/pyodide-*/pyodide-lock.json")):
        pytest.skip(NO_RUNTIME)


@pytest.fixture
def lab(open_page, runtime):
    """Open the exercises of a technique."""
    return lambda technique, **how: Lab(open_page(f"book/exercises/{technique}.html", **how))


def notebook_of(technique):
    return nbformat.read(ROOT / f"book/exercises/{technique}.ipynb", as_version=4)


def solution(name):
    """A right solution that needs NumPy alone, as a learner would write it, and may hand in."""
    for fn in exercise_solutions.RIGHT[name]:
        if fn.__module__ == "exercise_solutions":
            helpers = [
                inspect.getsource(helper)
                for used in fn.__code__.co_names
                if inspect.isfunction(helper := getattr(exercise_solutions, used, None))
            ]
            source = inspect.getsource(fn).replace(f"def {fn.__name__}(", f"def {name}(")
            source = "".join(["import math\n", *helpers, source])
            if not re.search(r"tensors|torch|preprocessing|normcourse\.", source):
                return source
    raise ValueError(f"{name} has no solution that needs NumPy alone.")


def write(keyboard, code, enter=None):
    """Type code, with the indentation that the editor gives; what a line says, key by key.

    ``enter`` instead brings what a line says as one input: a key of it means nothing to the editor.
    """
    indent, enter = 0, enter or keyboard.type
    for number, line in enumerate(code.strip().splitlines()):
        if number:
            keyboard.press("Enter")
        wanted = len(line) - len(line.lstrip()) if line.strip() else indent
        while wanted < indent:
            keyboard.press("Backspace")
            indent -= (indent - 1) % 4 + 1
        enter(" " * (wanted - indent) + line.lstrip())
        indent = wanted + 4 * bool(re.search(r":\s*(#.*)?$", line))


def assert_fits_a_phone(page):
    page.evaluate("window.scrollTo(1000, 0)")
    assert page.evaluate("window.scrollX") == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def assert_results_fit_a_phone(page, technique):
    """What was trained, on a phone and then on the screen as before."""
    screen = page.viewport_size
    page.set_viewport_size({"width": 390, "height": 844})
    assert_fits_a_phone(page)
    if technique == "rescaling":  # the widest table of numbers
        broken = page.evaluate(
            """() => [...document.querySelectorAll(".nc-number")].filter((cell) => {
              const { paddingTop, paddingBottom, lineHeight } = getComputedStyle(cell);
              const used = cell.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom);
              return used > 1.5 * parseFloat(lineHeight);
            }).map((cell) => cell.textContent)"""
        )
        assert not broken
        assert page.locator(".nc-number").count() == 4 * 6
    page.set_viewport_size(screen)


@pytest.mark.parametrize("technique", EXERCISES)
def test_every_exercise_is_solved_by_keyboard_and_trains(
    visit_page, runtime, technique, tmp_path, capsys, record_property
):
    visit = visit_page(f"book/exercises/{technique}.html")
    page, keyboard = Lab(visit.page), visit.page.keyboard
    for exercise in EXERCISES[technique]:
        page.focus_by_tab(page.editor(exercise.name))
        keyboard.press("Control+a")
        keyboard.press("Delete")
        code = solution(exercise.name)
        write(keyboard, code, enter=None if technique == "rescaling" else keyboard.insert_text)
        assert page.editor(exercise.name).input_value().split() == code.split()
        keyboard.press("Tab")
        keyboard.press("Enter")
        page.finish(exercise.name)
        assert f"{exercise.name}: passed" in page.report(exercise.name)
    most = sum(e.points for e in EXERCISES[technique])
    assert f"{technique}: {most} of {most} points" in page.scoreboard()
    assert "All done." in page.scoreboard()
    for kind in ("notebook", ".py"):
        path = page.download(kind, tmp_path)
        assert grade([str(path)]) == 0
        assert f"{technique}: {most} of {most} points" in capsys.readouterr().out
    if technique in TRAINED:
        trains_as_in_a_notebook(page, visit, technique, record_property)
    assert not visit.problems
    visit.context.close()


def trains_as_in_a_notebook(page, visit, technique, measured):
    """The solutions in the editors train on the page; once more, what stands there then."""
    train, names, *more = TRAINED[technique]
    namespace = {"np": np}
    for name in names:
        exec(solution(name), namespace)

    def fetched():
        return [r.url for r in visit.responses if r.url.endswith("/digits.csv")]

    assert not fetched()
    assert not visit.page.get_by_text("Your functions, ").is_visible()
    started = time.perf_counter()
    status, report = page.train()
    measured("measured", f"Training, {train.__name__}: {time.perf_counter() - started:.1f} s")
    assert status == "The same result"
    here = repr(train(*(namespace[name] for name in names), *more))
    assert re.findall(r"[\d.]*\d", report) == re.findall(r"[\d.]*\d", here)
    assert re.search(r"\byours\b.*\bcourse\b", report)
    assert len(fetched()) == 1
    assert_results_fit_a_phone(visit.page, technique)
    page.editor(names[1]).fill(f"def {names[1]}(*arguments):\n    return 1 / 0")
    status, report = page.train()
    assert status == "It stopped"
    assert f"ZeroDivisionError: division by zero ({names[1]}, line 2: return 1 / 0)" in report
    page.editor(names[1]).fill(f"def {names[1]}(*arguments):\n    raise NotImplementedError")
    status, report = page.train()
    assert status == "Not started yet"
    assert f"Write {names[1]} first." in report
    assert len(fetched()) == 1


@pytest.fixture(scope="class")
def visit(request, visit_page, runtime):
    """One for all tests of a class: Python on a page takes longest to start."""
    visit = visit_page(f"book/exercises/{request.cls.technique}.html")
    yield visit
    visit.context.close()


@pytest.fixture
def page(visit):
    yield Lab(visit.page)
    assert not visit.problems


class TestFromTheFirstClickToTheDownloads:
    technique = "batch_norm"

    def test_nothing_is_loaded_before_the_first_click(self, visit, record_property):
        page = Lab(visit.page)
        asked = re.compile(r"/_static/(pyodide|normcourse|worker)")
        assert not [r.url for r in visit.responses if asked.search(r.url)]
        page.page.evaluate(
            """() => {
              window.shown = [];
              const place = document.querySelector(".nc-progress");
              new MutationObserver(() => shown.push(place.innerText.trim()))
                .observe(place, { subtree: true, childList: true });
            }"""
        )
        page.editor("batch_norm").fill("1 / 0")
        started = time.perf_counter()
        page.editor("batch_norm").press("Control+Enter")
        page.page.wait_for_function("document.documentElement.dataset.ncPython === 'loaded'")
        seconds = time.perf_counter() - started
        page.finish("batch_norm")
        shown = list(dict.fromkeys(filter(None, page.page.evaluate("shown"))))
        percents = [int(re.fullmatch(r"Loading Python: (\d+) %", text)[1]) for text in shown[:-1]]
        assert percents == sorted(percents)
        assert len(set(percents)) > 3
        assert shown[-1] == "Python starts"
        assert not page.page.locator(".nc-progress").first.is_visible()
        loaded = {r.url: r for r in visit.responses if asked.search(r.url)}
        sent = sum(len(gzip.compress(r.body(), 6)) for r in loaded.values())
        label = page.cell("batch_norm").locator(".nc-cost").text_content()
        record_property(
            "measured",
            f"Python for the browser: {sent / 1e6:.2f} MB gzipped, ready in {seconds:.1f} s",
        )
        assert label == f"loads Python, about {sent / 1e6:.0f} MB, once"

    def test_a_mistake_is_named_and_hints_come_one_at_a_time(self, page):
        # Those on axes and parameters come first.
        hints = [find("batch_norm").hints[i].text for i in (0, 2, 1)]
        for shown in (1, 2):
            status = page.check("batch_norm", WRONG)
            assert status == "Not there yet, 4 of 6 points"
            report = page.report("batch_norm")
            assert "What went wrong: written for (N, C) only" in report
            assert [hint in report for hint in hints] == [i < shown for i in range(3)]
        assert "batch_norm: 4 of 46 points" in page.scoreboard()
        # What is typed now is not what the report is about.
        page.editor("batch_norm").press("End")
        page.page.keyboard.type(" ")
        assert page.status("batch_norm") == "Changed since the last check."
        page.page.keyboard.press("Backspace")
        assert page.status("batch_norm") == status

    def test_what_was_written_survives_a_reload_and_a_reset(self, page):
        cells = notebook_of("batch_norm").cells
        (stub,) = (c.source for c in cells if c.source.startswith("def batch_norm("))
        for _ in range(2):
            if "Hint 2 of 3" not in page.report("batch_norm"):  # else the test above was here
                page.check("batch_norm", WRONG)
        page.page.reload()
        assert page.editor("batch_norm").input_value() == WRONG
        assert page.status("batch_norm") == "Not there yet, 4 of 6 points"
        assert "Hint 2 of 3" in page.report("batch_norm")
        assert "batch_norm: 4 of 46 points" in page.scoreboard()

        cell = page.cell("batch_norm")
        undo = cell.get_by_role("button", name="Undo reset")
        assert not undo.is_visible()
        cell.get_by_role("button", name="Reset", exact=True).click()
        assert page.editor("batch_norm").input_value() == stub
        undo.click()
        assert page.editor("batch_norm").input_value() == WRONG
        cell.get_by_role("button", name="Reset", exact=True).click()
        page.editor("batch_norm").press("Control+End")
        page.page.keyboard.type("\n# on")
        assert not undo.is_visible()

        # The session goes on where it was: two checks have failed, this one shows the third hint.
        hints = [hint.text for hint in find("batch_norm").hints]
        for _ in range(2):
            assert page.check("batch_norm", WRONG) == "Not there yet, 4 of 6 points"
            assert "Hint 3 of 3" in page.report("batch_norm")
            assert all(hint in page.report("batch_norm") for hint in hints)

    def test_downloads_are_graded_to_the_points_of_the_page(self, page, tmp_path, capsys):
        page.check("batch_norm", WRONG)
        page.check("batch_norm_backward", "def batch_norm_backward(:\n# %% no cell begins here")
        page.check("batch_norm_inference", solution("batch_norm_inference"))
        assert "batch_norm: 9 of 46 points" in page.scoreboard()
        for kind in ("notebook", ".py"):
            path = page.download(kind, tmp_path)
            assert grade([str(path)]) == 1
            assert "batch_norm: 9 of 46 points" in capsys.readouterr().out
        notebook = nbformat.read(tmp_path / "batch_norm.ipynb", as_version=4)
        nbformat.validate(notebook)
        original = notebook_of("batch_norm")
        assert [cell.id for cell in notebook.cells] == [cell.id for cell in original.cells]


class TestEditorAndPython:
    technique = "rescaling"

    def test_the_editor_knows_pythons_indentation(self, page):
        area, keyboard = page.editor("min_max_inverse"), page.page.keyboard
        stub = area.input_value()
        area.focus()
        keyboard.press("Control+a")
        write(keyboard, "if a:  # why\n    for b in c:\n        d\n    e\n(")
        assert area.input_value() == "if a:  # why\n    for b in c:\n        d\n    e\n("
        keyboard.press("Control+a")
        keyboard.press("Control+]")
        assert area.input_value() == (
            "    if a:  # why\n        for b in c:\n            d\n        e\n    ("
        )
        keyboard.press("Control+[")
        keyboard.press("Control+[")
        assert area.input_value() == "if a:  # why\nfor b in c:\n    d\ne\n("
        assert page.cell("min_max_inverse").locator(".nc-lines").inner_text().split() == list(
            "12345"
        )
        for _ in range(60):
            keyboard.press("Control+z")
        assert area.input_value() == stub
        keyboard.press("Tab")
        assert area.input_value() == stub
        assert page.page.evaluate("document.activeElement.textContent") == "Run and check"

    def test_prints_and_errors_name_the_learners_line(self, page):
        head = "def merge_statistics(a, b):\n"
        page.check("merge_statistics", head + "    print('n is', a[0])\n    return a[0] / nothing")
        assert re.search(r"line 2\s+n is \d+\n", page.output("merge_statistics"))
        assert "NameError: name 'nothing' is not defined (line 3: return" in page.report(
            "merge_statistics"
        )
        cases = {
            "def merge_statistics(a, b)": ("line 1: def merge", "SyntaxError: expected ':'"),
            "\nx = 1\nx / 0": ("line 3: x / 0", "ZeroDivisionError"),
            "name = input()": ("line 1: name = input()", "nobody to ask"),
            "import torch": ("line 1: import torch", "there are NumPy"),
            "exit()": ("line 1: exit()", "SystemExit"),
            "print('long' * 9000)": ("long", "... and 16001 more characters"),
            "import warnings\nwarnings.warn('oh')": (
                "line 2\nUserWarning: oh",
                "merge_statistics'",
            ),
            "min_max_scale(1, 2)": ("line 1: min_max", "min_max_scale, line 3: raise", "NotImpl"),
        }
        for code, expected in cases.items():
            assert "error" in page.check("merge_statistics", code)
            for text in expected:
                assert text in page.output("merge_statistics"), code
        assert "From an earlier version" in page.cell("merge_statistics").evaluate(
            "cell => getComputedStyle(cell.querySelector('.nc-report'), '::before').content"
        )

    def test_an_endless_loop_is_ended_and_nothing_is_lost(self, page):
        endless = "def merge_statistics(a, b):\n    while True:\n        print('again')"
        right = solution("min_max_scale")
        page.check("min_max_scale", right)
        page.page.evaluate("document.querySelector('#nc-run').dataset.deadline = 1")
        started = time.perf_counter()
        status = page.check("merge_statistics", endless)
        assert 1 <= time.perf_counter() - started < 6
        assert status.startswith("Stopped after 1 s")
        assert page.editor("merge_statistics").input_value() == endless
        assert page.output("merge_statistics").count("again") == 500
        page.page.evaluate("document.querySelector('#nc-run').dataset.deadline = 10")
        page.check("merge_statistics", solution("merge_statistics"))
        assert "merge_statistics: passed" in page.report("merge_statistics")
        assert "rescaling: 14 of 23 points" in page.scoreboard()


def test_is_accessible_with_an_open_report(lab):
    page = lab("batch_norm", width=390)
    page.check("batch_norm", WRONG.replace("mu =", "mu = print(x.shape, '-' * 200) or"))
    page.check("batch_norm_inference", solution("batch_norm_inference"))
    page.check("batch_norm_layer", "1 / 0")
    page.train()
    page.editor("batch_norm").press("End")
    page.page.keyboard.type(" ")
    assert not in_both_themes(page.page)
    assert_fits_a_phone(page.page)


def test_what_is_missing_is_told_of(lab):
    """A browser that keeps nothing, a site without the digits."""
    page = lab("rescaling")
    assert "stays in this browser" in page.scoreboard()
    page.page.context.add_init_script(
        """const keep = Storage.prototype.setItem;
        Storage.prototype.setItem = function (key, value) {
          if (key.startsWith("normcourse")) throw new DOMException("full", "QuotaExceededError");
          keep.call(this, key, value);
        };"""
    )

    def without_digits(route):
        answer = route.fetch()
        body = re.sub(r', "digits": "[^"]+"', "", answer.text())
        assert body != answer.text()
        route.fulfill(response=answer, body=body)

    page.page.route("**/rescaling.html", without_digits)
    page.page.reload()
    page.page.get_by_text("This browser keeps nothing for this page").wait_for()
    assert "stays in this browser" not in page.scoreboard()
    status, report = page.train()
    assert status == "The digits are not here"
    assert "open the notebook" in report
    page.check("min_max_scale", solution("min_max_scale"))
    assert "rescaling: 5 of 23 points" in page.scoreboard()


def test_a_report_out_of_the_storage_brings_no_code(lab):
    page = lab("rescaling")
    html = """<p class="x" onclick="document.title = 'taken'">Kept
      <img src="x" onerror="document.title = 'taken'"><a href="#">link</a></p>"""
    kept = {"min_max_scale": {"code": "", "title": "a: b", "html": html}}
    page.page.evaluate(
        "kept => localStorage.setItem('normcourse:exercises/rescaling:1', JSON.stringify(kept))",
        {"reports": kept, "code": None, "state": 3},
    )
    page.page.reload()
    report = page.cell("min_max_scale").locator(".nc-report")
    assert report.inner_html() == '<p class="x">Kept\n      </p>'
    assert page.page.title() != "taken"


def test_a_cell_of_a_chapter_runs(open_page, lab):
    page = open_page("book/foundations/rescaling.html")
    for prediction in page.locator(".nc-prediction button").all():
        prediction.click()  # the cell is the answer to one
    cell = page.get_by_role("region", name="Code to try: cell 1")
    area = cell.get_by_label("Code to try: cell 1", exact=True).locator("xpath=self::textarea")
    stored = cell.locator("xpath=..").locator(".cell_output").inner_text()
    area.press("Control+End")
    page.keyboard.type("\nfour.dtype")
    cell.get_by_role("button", name="Run it here").click()
    cell.get_by_text("Done.").wait_for(timeout=60_000)
    printed = re.sub(r"line \d+\s", "", cell.locator(".nc-output").inner_text())
    assert printed.split() == [*stored.split(), "dtype('float32')"]


def test_an_exercise_stands_behind_its_chapter(site):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    chapters = {Path(file).name for file in listed if "/exercises/" not in file}
    for technique in chapters & EXERCISES.keys():
        chapter = listed[listed.index(f"book/exercises/{technique}") - 1]
        assert Path(chapter).name == technique
        page = BeautifulSoup((site / f"{chapter}.html").read_bytes(), "html.parser")
        title = page.select_one("a.right-next .prev-next-title")
        assert title.get_text(strip=True).startswith("Exercise: ")
