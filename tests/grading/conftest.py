"""Sandboxes of this machine, and a grader for a source."""

import sys

import pytest

from normcourse.grading import NoSandbox, Rules, Submission, choose, grade

SEED = 20_261_127
QUICK = {
    "exercises": ("rescaling",),
    "seconds_per_call": 1.0,
    "seconds_per_statement": 1.0,
    "seconds_per_file": 3.0,
    "memory": 512,
}


@pytest.fixture(scope="session", params=["bwrap", "none"])
def sandbox(request, tmp_path_factory):
    if sys.platform == "win32":
        pytest.skip("grading needs fork")
    try:
        return choose(request.param, folder=tmp_path_factory.mktemp("bait"), memory=512 << 20)
    except NoSandbox as error:
        pytest.skip(f"no sandbox here: {error}")


@pytest.fixture
def graded(sandbox, tmp_path):
    """source -> the row of a file with it."""

    def graded(source, suffix=".py", **rules):
        path = tmp_path / f"work{suffix}"
        path.write_text(source, encoding="utf-8", errors="surrogatepass")
        return grade(Submission("work", (path,)), Rules(**{**QUICK, **rules}), sandbox, SEED)

    return graded
