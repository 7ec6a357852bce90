"""For all tests: the surroundings in which the notebooks were executed, and figures at the end."""

import os
import re

import pytest
from hypothesis import settings
from unchanged import pytest_addoption, pytest_collection_modifyitems, pytest_configure  # noqa: F401

from normcourse.lab.execute import ENVIRONMENT

os.environ.update(ENVIRONMENT)
pytest.register_assert_rewrite("techniques")
# A busy machine is no failure of a property; and the same code gives the same answer twice. To
# search for failures with other examples: pytest --hypothesis-profile=search
settings.register_profile("search", settings(), deadline=None)
settings.register_profile("course", settings.get_profile("search"), derandomize=True)
settings.load_profile("course")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """As ``--dist loadfile``, but the pages of the site, which take longest, go one by one."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            page = re.search(r"test_pages\.py::.*?([\w/]+)\.html", nodeid)
            return page[1] if page else super()._split_scope(nodeid)

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_terminal_summary(terminalreporter):
    """Print what tests measured: each calls ``record_property("measured", text)``."""
    figures = [
        value
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, value in report.user_properties
        if name == "measured"
    ]
    if figures:
        terminalreporter.section("measured")
        for figure in sorted(figures):
            terminalreporter.line(figure)
