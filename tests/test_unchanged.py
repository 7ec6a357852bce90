"""What is skipped because nothing changed: only what passed whole, and only as it was then."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import unchanged

from normcourse.lab import agreed

ROOT = Path(__file__).parents[1]
IDS = ["tests/site/test_a.py::test_one", "tests/site/test_b.py::test_two"]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """The folder of a course whose site has two tests."""
    monkeypatch.setattr(agreed, "FOLDER", tmp_path / "agreed")
    monkeypatch.setattr(unchanged, "installed", lambda: ["browser 1"])
    for file in ("_build/html/book/index.html", *(name.split("::")[0] for name in IDS)):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("def test_one(): pass\n")
    return tmp_path


def run(course, ids=IDS, outcomes=("passed", "passed"), args=("tests",), between=None, **option):
    """Whether the tests of the site are skipped; else they end so."""
    config = SimpleNamespace(option=SimpleNamespace(**option), args=args, rootpath=course)
    plugin = unchanged.Unchanged(config)
    if config.skip_site:
        return True
    plugin.pytest_xdist_node_collection_finished(["tests/test_core.py::test_it", *ids])
    for name, outcome in zip(ids, outcomes, strict=False):  # without one it was not reached
        for when in ("setup", "call", "teardown"):
            passed = outcome == "passed" or outcome != when
            report = SimpleNamespace(nodeid=name, when=when, passed=passed)
            plugin.pytest_runtest_logreport(report)
    between and between()
    plugin.pytest_sessionfinish(SimpleNamespace(config=config))
    return False


@pytest.mark.parametrize(
    "file", ["_build/html/book/index.html", "tests/site/test_a.py", "_build/html/new.css"]
)
def test_what_passed_is_skipped_until_a_file_changes(course, file):
    assert [run(course), run(course), run(course)] == [False, True, True]
    (course / file).write_text("changed")
    assert [run(course), run(course)] == [False, True]


def test_another_browser_or_package_is_a_change(course, monkeypatch):
    assert [run(course), run(course)] == [False, True]
    monkeypatch.setattr(unchanged, "installed", lambda: ["browser 2"])
    assert not run(course)


@pytest.mark.parametrize(
    "how",
    [
        {"outcomes": ("passed", "call")},  # failed
        {"outcomes": ("setup", "passed")},  # an error, or skipped
        {"outcomes": ("passed", "teardown")},
        {"outcomes": ("passed",)},  # interrupted
        {"ids": IDS[:1]},
        {"ids": []},
        {"args": (IDS[0], IDS[1])},
        {"keyword": "test_one or test_two"},
        {"markexpr": "not slow"},
        {"lf": True},
        {"deselect": ["tests/site/test_c.py"]},
    ],
    ids=str,
)
def test_nothing_less_than_all_of_it_counts(course, how):
    assert [run(course, **how), run(course), run(course)] == [False, False, True]


def test_what_changed_while_it_ran_counts_as_changed(course):
    page = course / "_build/html/book/index.html"
    assert not run(course, between=lambda: page.write_text("changed"))
    assert not run(course)


def test_pytest_skips_and_says_why(course):
    """Where a process runs what another decides on; without the option all run."""
    shutil.copy(ROOT / "tests" / "unchanged.py", course / "tests")
    hooks = re.search(
        "^from unchanged import .*", (ROOT / "tests" / "conftest.py").read_text(), re.M
    )
    (course / "tests" / "conftest.py").write_text(hooks[0])
    (course / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-ra'\n")
    code = (
        "import pathlib, sys, pytest; from normcourse.lab import agreed;"
        "agreed.FOLDER = pathlib.Path('agreed'); sys.exit(pytest.main(sys.argv[1:]))"
    )

    def say(*arguments):
        command = [sys.executable, "-c", code, "-p", "xdist", *arguments, "tests"]
        alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # quicker
        done = subprocess.run(command, cwd=course, env=alone, capture_output=True, text=True)
        return done.stdout

    skipping = "-n", "1", "--dist", "loadfile", "--skip-unchanged"
    assert re.search(r"= 2 passed", say(*skipping))
    said = say(*skipping)
    assert re.search(r"= 2 skipped", said)
    assert unchanged.REASON in said
    assert re.search(r"= 2 passed", say())


def test_only_make_test_skips():
    lines = re.findall(r"\$\(BIN\)/pytest (.*)", (ROOT / "Makefile").read_text())
    assert lines == [
        "-n 2 --dist loadfile --skip-unchanged tests",
        "-n 2 --dist loadfile --hypothesis-profile=search tests",
    ]
