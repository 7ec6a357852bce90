"""For all tests: the surroundings in which the notebooks were executed, and figures at the end."""

import os

import pytest
from hypothesis import settings

from normcourse.lab.execute import ENVIRONMENT

os.environ.update(ENVIRONMENT)
pytest.register_assert_rewrite("techniques")
# A busy machine is no failure of a property; and the same code gives the same answer twice. To
# search for failures with other examples: pytest --hypothesis-profile=search
settings.register_profile("search", settings(), deadline=None)
settings.register_profile("course", settings.get_profile("search"), derandomize=True)
settings.load_profile("course")


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
