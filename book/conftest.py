"""nbval compares figures as figures, and all else letter by letter."""

import os

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from normcourse.lab.execute import ENVIRONMENT
from normcourse.lab.figures import difference

os.environ.update(ENVIRONMENT)
FIGURE = "image/svg+xml"


class Cell(IPyNbCell):
    """A cell whose figures are compared by us, the rest by nbval."""

    def compare_outputs(self, test, ref, skip_compare=None):
        skip = (*(skip_compare or self.parent.skip_compare), FIGURE)
        rest_agrees = super().compare_outputs(test, ref, skip)
        stored, drawn = figures_in(ref), figures_in(test)
        found = [f"{len(stored)} are stored, {len(drawn)} drawn"]
        if len(stored) == len(drawn):
            found = [d for d in map(difference, stored, drawn) if d]
        said = [f"the figure differs: {d}" for d in found]
        self.comparison_traceback += said
        return rest_agrees and not found


def figures_in(outputs):
    data = [output.get("data", {}) for output in outputs]
    return [each[FIGURE] for each in data if FIGURE in each]


class Notebook(IPyNbFile):
    def collect(self):
        for cell in super().collect():
            parts = {
                name: getattr(cell, name)
                for name in ("name", "cell_num", "cell", "options")
            }
            yield Cell.from_parent(self, **parts)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path, parent):
    """Where nbval would collect a notebook, ours is collected."""
    return [
        Notebook.from_parent(parent, path=file_path)
        if type(found) is IPyNbFile
        else found
        for found in (yield)
    ]
