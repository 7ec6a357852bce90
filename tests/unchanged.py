"""With ``--skip-unchanged`` the tests of the built site are skipped if nothing changed since they
passed: the site itself, its tests, all files of the course, what is installed, the browser.

`make test` says so; without the option they always run. What passed is noted by a run of them all.
"""

import shutil
import subprocess
import sys
from importlib.metadata import distributions

import pytest

from normcourse.lab.agreed import Agreed

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SITE = "tests/site/"
REASON = "the site and all that its tests depend on are as when they passed: pytest tests/site"
NEEDED = (
    *("_build/html/**/*", "book/**/*", "normcourse/**/*", "tests/site/**/*"),
    *("tests/conftest.py", "tests/unchanged.py", "tests/exercises/exercise_solutions.py"),
    *("_config.yml", "_toc.yml", "pyproject.toml", "requirements.txt"),
)


def executable():
    """The browser, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def installed():
    browser = executable()
    version = browser and subprocess.run([browser, "--version"], capture_output=True).stdout
    return version, sys.version, sorted((d.name, d.version) for d in distributions())


class Unchanged:
    """In the process that decides: what is skipped, and whether all of it passed."""

    def __init__(self, config):
        self.agreed = Agreed("site", NEEDED, *installed(), root=config.rootpath)
        config.skip_site = bool(self.agreed)
        chosen = ("keyword", "markexpr", "deselect", "lf", "ignore", "ignore_glob")
        self.whole = not any(getattr(config.option, name, None) for name in chosen)
        self.whole &= not any("::" in argument for argument in config.args)
        self.collected, self.passed, self.failed = set(), set(), False

    def note(self, ids):
        self.collected |= {name for name in ids if name.startswith(SITE)}

    def pytest_collection_finish(self, session):
        self.note(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node):
        node.workerinput["skip_site"] = bool(self.agreed)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids):
        self.note(ids)

    def pytest_runtest_logreport(self, report):
        if report.nodeid.startswith(SITE):
            self.failed |= not report.passed  # or skipped
            if report.when == "call" and report.passed:
                self.passed.add(report.nodeid)

    def pytest_sessionfinish(self, session):
        files = {str(f) for f in session.config.rootpath.joinpath(SITE).glob("test_*.py")}
        seen = {str(session.config.rootpath / name.split("::")[0]) for name in self.passed}
        if self.whole and not self.failed and self.passed == self.collected and seen == files:
            self.agreed.passed()


def pytest_addoption(parser):
    parser.addoption("--skip-unchanged", action="store_true", help=__doc__)


def pytest_configure(config):
    config.skip_site = getattr(config, "workerinput", {}).get("skip_site", False)
    if config.option.skip_unchanged and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Unchanged(config))


def pytest_collection_modifyitems(config, items):
    for item in items:
        if config.skip_site and item.nodeid.startswith(SITE):
            item.add_marker(pytest.mark.skip(reason=REASON))
