"""nbval compares figures as figures, all else letter by letter."""

import os

from normcourse.lab.execute import ENVIRONMENT
from normcourse.lab.figures import Figure

os.environ.update(ENVIRONMENT)


def pytest_itemcollected(item):
    """A cell sanitizes what it compares: here a figure becomes one."""
    if hasattr(item, "sanitize"):
        text = item.sanitize
        item.sanitize = lambda output: (
            Figure(output) if Figure.is_drawn_in(output) else text(output)
        )


def pytest_assertrepr_compare(left, right):
    """What nbval prints of a figure that differs."""
    if isinstance(left, Figure) and isinstance(right, Figure):
        return ["stored figure == new figure", *left.differences(right)]
    return None
