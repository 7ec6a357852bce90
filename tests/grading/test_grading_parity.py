"""The grader accepts, refuses and names what ``check()`` does, whatever way it is written."""

from pathlib import Path

import attempts
import attempts_capstone
import attempts_divisive_norm
import attempts_instance_norm
import attempts_rms_norm
import attempts_spectral_norm
import attempts_switchable_norm
import attempts_weight_norm
import pytest
from attempts import ATTEMPTS, RIGHT

from normcourse.exercises import EXERCISES, find, judge
from normcourse.grading import NoSandbox, Rules, Submission, choose
from normcourse.grading.child import Child, Function

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
FILES = (
    attempts, attempts_capstone, attempts_divisive_norm, attempts_instance_norm, attempts_rms_norm,
    attempts_spectral_norm, attempts_switchable_norm, attempts_weight_norm,
)  # fmt: skip
SEED = 7
DECORATORS = b"def bad(*args):\n    return lambda fn: fn\n\ngood = bad\n"


def technique_of(name):
    return next(t for t, exercises in EXERCISES.items() if find(name) in exercises)


def written(table, file):
    """{exercise: the attempts of a file at it}; those of a file share its helpers."""
    found = {}
    for name, entries in table.items():
        fns = [entry[0] if isinstance(entry, tuple) else entry for entry in entries]
        own = [fn for fn in fns if fn.__module__ == file.__name__]
        if own:
            found[name] = own
    return found


@pytest.fixture(scope="module")
def sandbox():
    try:
        return choose("auto")
    except NoSandbox:
        return choose("none")


@pytest.fixture(scope="module", params=FILES, ids=lambda file: file.__name__)
def file(request):
    return request.param


@pytest.fixture(scope="module")
def child(sandbox, file):
    """A process that holds all attempts of a file, each under its own name."""
    techniques = {}
    for table in (ATTEMPTS, RIGHT):
        for name, fns in written(table, file).items():
            techniques.setdefault(technique_of(name), []).extend(fn.__name__ for fn in fns)
    contents = [("first.py", DECORATORS), ("then.py", Path(file.__file__).read_bytes())]
    submission = Submission("all", contents=contents)
    rules = Rules(seconds_per_submission=600, seconds_per_file=60)
    with Child(sandbox, submission, techniques, rules) as child:
        child.define()
        yield child


def told(verdict):
    readings = [(reading.names, reading.evidence) for reading in verdict.readings]
    return verdict.points, verdict.started, readings, verdict.notes


def same(child, name, fn):
    exercise = find(name)
    there = Function(child, exercise, f"{technique_of(name)}.{fn.__name__}", 0)
    return told(judge(exercise, fn, SEED)), told(judge(exercise, there, SEED))


def test_what_check_accepts_the_grader_accepts(child, file):
    for name, fns in written(RIGHT, file).items():
        for fn in fns:
            here, there = same(child, name, fn)
            assert there == here, fn.__name__


def test_wrong_attempts_get_the_same_points_and_names(child, file, request):
    whole = request.config.getoption("--hypothesis-profile") == "search"
    for name, fns in written(ATTEMPTS, file).items():
        for fn in fns[:: 1 if whole else 4]:
            here, there = same(child, name, fn)
            assert there == here, fn.__name__
