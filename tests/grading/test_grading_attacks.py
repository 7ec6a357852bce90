"""Nothing that is handed in earns a point it does not deserve, or reaches beyond its process."""

import signal
from dataclasses import replace
from pathlib import Path

import joblib
import pytest
from attacks import ATTACKS, FULL, HONEST, QUICK, SEED

from normcourse.grading import Rules, Submission, grade


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_earns_no_more_than_it_deserves(graded, sandbox, attack):
    if sandbox.name == "none" and attack.bare:
        pytest.skip("limits alone do not stop this: see the table in the instructors' page")
    row = graded(attack.source)
    assert attack.least <= row.points <= attack.deserved, row
    told = repr(row)
    assert "\x1b" not in told
    assert "\n" not in "".join(row.problems) + row.why + "".join(
        e.state for e in row.exercises.values()
    )


def test_the_honest_file_earns_all(graded):
    row = graded(HONEST)
    assert (row.points, row.most, row.cut, row.problems) == (FULL, FULL, (), ())


def test_nothing_is_left_running(graded):
    before = _children()
    source = next(a.source for a in ATTACKS if a.name == "daemon that stays")
    graded(source)
    assert _children() <= before


def _children():
    found = set()
    for task in Path("/proc/self/task").iterdir():
        found |= set((task / "children").read_text().split())
    return found


HARM = """
import os
def touch():
    for path in ({paths}):
        try:
            with open(path, 'w') as f:
                f.write('spoiled')
        except OSError:
            pass
        try:
            os.remove(path)
        except OSError:
            pass
touch()
"""


def test_files_of_others_are_neither_read_nor_changed(graded, sandbox, tmp_path):
    if sandbox.name == "none" and not sandbox.drops:
        pytest.skip("without a sandbox a file may do what its user may")
    other = tmp_path / "alice.py"
    other.write_text(HONEST)
    paths = f"{str(other)!r}, {str(Path(__file__).resolve())!r}"
    row = graded(HARM.format(paths=paths) + f"exec(open({str(other)!r}).read())")
    assert other.read_text() == HONEST
    assert Path(__file__).exists()
    if sandbox.name == "bwrap":
        assert row.points == 0


def test_no_sandbox_lets_through_what_it_says_to_hold(sandbox):
    if sandbox.name != "bwrap":
        pytest.skip("limits alone")
    held = "; ".join(sandbox.held)
    for what in ("cannot be read", "nothing can be written", "no network", "references"):
        assert what in held


ESCAPES = """
import os, socket
def write(path):
    told = open(path, 'rb').read()
    os.write(os.open(path, os.O_WRONLY), told)  # nothing is changed even if it can be
def tries():
    yield lambda: write('/proc/sys/kernel/core_pattern')
    yield lambda: os.open('/proc/sysrq-trigger', os.O_WRONLY)
    yield lambda: open('/etc/shadow').read()
    yield lambda: open('/usr/bin/spoiled', 'w')
    yield lambda: os.mkdir('/spoiled')
    yield lambda: open('/dev/kmsg', 'w')
    yield lambda: os.listdir({course!r} + '/normcourse')
    yield lambda: os.listdir('/home/learner')[0]
    yield lambda: socket.create_connection(('8.8.8.8', 53), 1)
    yield lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('8.8.8.8', 53))
    yield lambda: os.setuid(0)
    yield lambda: os.mount('none', '/tmp', 'tmpfs')
    yield lambda: [open(f'/dev/shm/{i}', 'wb').write(bytes(1 << 20)) for i in range(100)]
    yield lambda: [open(f'/tmp/{i}', 'wb').write(bytes(1 << 20)) for i in range(100)]
done = []
for i, act in enumerate(tries()):
    try:
        act()
        done.append(i)
    except (OSError, AttributeError, IndexError):
        pass
raise ValueError(f'done: {done}')
"""


def test_the_sandbox_holds_what_files_and_sockets_try(sandbox, tmp_path):
    if sandbox.name != "bwrap":
        pytest.skip("limits alone")
    course = Path(__file__).parents[2]
    path = tmp_path / "work.py"
    path.write_text(ESCAPES.replace("{course!r}", repr(str(course))) + HONEST)
    for drops in {sandbox.drops, False}:
        held = replace(sandbox, drops=drops)
        row = grade(Submission("work", (path,)), Rules(**QUICK), held, SEED)
        assert any("done: []" in problem for problem in row.problems), (drops, row.problems)


LIMITS = """
import os, resource
def tries():
    yield lambda: os.write(os.open('large', os.O_CREAT | os.O_WRONLY), bytes(32 << 20)) - (32 << 20)
    yield lambda: bytearray(1 << 30)
    yield lambda: [os.open('/dev/null', os.O_RDONLY) for _ in range(1000)]
    if os.getuid():  # root may raise its limits
        yield lambda: resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40))
done = []
for i, act in enumerate(tries()):
    try:
        if not act():
            done.append(i)
    except (OSError, MemoryError, ValueError):
        pass
raise ValueError(f'done: {done}')
"""


def test_all_processes_together_have_a_limit(graded, sandbox):
    if sandbox.name != "bwrap":
        pytest.skip("limits alone")
    source = next(a.source for a in ATTACKS if a.name == "takes memory in many processes")
    assert "took too much memory" in graded(source).cut


def test_limits_hold(graded, sandbox):
    row = graded(LIMITS + HONEST)
    assert any("done: []" in problem for problem in row.problems), row.problems


def test_an_installed_course_is_not_in_view_either(sandbox, monkeypatch, tmp_path):
    """Where it lies among the packages that a submission may import, its folder is covered."""
    if sandbox.name != "bwrap":
        pytest.skip("limits alone")
    monkeypatch.setattr("normcourse.grading.sandbox.PACKAGE", Path(joblib.__file__).parent)
    path = tmp_path / "work.py"
    path.write_text(f"import joblib\njoblib.Parallel\n{HONEST}")
    other = replace(sandbox, hidden=("/nowhere",))  # what was made of the old folder is kept
    row = grade(Submission("work", (path,)), Rules(**QUICK), other, SEED)
    assert any("joblib" in problem for problem in row.problems), row.problems
    assert row.points == FULL


def test_the_process_sees_neither_expected_results_nor_seed(graded, sandbox):
    """All that is sent: sources, names of functions, limits, and the arguments of one call."""
    source = """
import gc, sys
def merge_statistics(a, b):
    texts = [o for o in gc.get_objects() if isinstance(o, dict) and 'do' in o]
    raise ValueError(sorted({key for o in texts for key in o}))
"""
    row = graded(source)
    (told,) = (e for name, e in row.exercises.items() if name.endswith("merge_statistics"))
    known = "arguments', 'do', 'fresh', 'id', 'name', 'room', 'seconds', 'version"
    assert known in " ".join(told.explanations)


def test_the_judge_goes_on_after_a_signal_to_the_child(graded):
    source = f"import os, signal\nos.kill(os.getpid(), signal.{signal.SIGTERM.name})\n{HONEST}"
    row = graded(source)
    assert row.status == "not graded"
    assert row.points == 0
