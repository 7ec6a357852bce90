"""Sandboxes of this machine, and a grader for a source."""

import shutil
import subprocess
import sys

import pytest
from attacks import QUICK, SEED

from normcourse.grading import NoSandbox, Rules, Submission, choose, grade


@pytest.fixture(scope="session", params=["bwrap", "none"])
def sandbox(request, tmp_path_factory):
    if sys.platform == "win32":
        pytest.skip("grading needs fork")
    try:
        return choose(request.param, folder=tmp_path_factory.mktemp("bait"), memory=512 << 20)
    except NoSandbox as error:
        if request.param == "bwrap" and works():
            raise  # it is ours that does not hold
        pytest.skip(f"no sandbox here: {error}")


def works():
    """Whether bubblewrap can do anything here: inside another sandbox it mostly cannot."""
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    return shutil.which("bwrap") and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def graded(sandbox, tmp_path):
    """source -> the row of a file with it."""

    def graded(source, suffix=".py", **rules):
        path = tmp_path / f"work{suffix}"
        path.write_text(source, encoding="utf-8", errors="surrogatepass")
        return grade(Submission("work", (path,)), Rules(**{**QUICK, **rules}), sandbox, SEED)

    return graded
