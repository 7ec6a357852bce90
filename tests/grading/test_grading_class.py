"""A folder of submissions becomes grades: tables, feedback, late days, and no row is lost."""

import csv
import json
import os
import sys
import threading
import time
from datetime import datetime

import pytest
from attacks import ATTACKS, FULL, HONEST, REST

from normcourse.exercises import EXERCISES
from normcourse.grading import NoSandbox, Row, Rules, choose, classroom, find, read_roster
from normcourse.grading.__main__ import main, rows_of
from normcourse.grading.run import run, safe

HALF = HONEST.replace("delta**2 * a[0] * b[0] / n**2", "0 * delta")  # one mistake that is named
ODD = HONEST.replace("return n, a[1] +", "return n + 17, 3.7 * a[1] +")  # and one that is not
STUB = "def merge_statistics(a, b):\n    raise NotImplementedError"
CELLS = {"cells": [{"cell_type": "code", "source": [HONEST]}], "nbformat": 4}


@pytest.fixture(scope="module")
def bare():
    """What holds here: bubblewrap, or else limits alone."""
    try:
        choose("auto")
        return "auto"
    except NoSandbox:
        return "none"


def put(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        name, _, suffix = name.rpartition("_")
        (folder / f"{name}.{suffix}").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def graded(tmp_path, bare, capsys):
    """Run the command on files; (exit status, {id: row of learners.csv}, what was printed)."""

    def graded(*more, out="grades", **files):
        folder = put(tmp_path / "in", **files) if files else tmp_path / "in"
        where = str(tmp_path / out)
        options = ["--exercises", "rescaling", "--sandbox", bare, "--jobs", "2", "--out", where]
        status = main([str(folder), *options, *more])
        with open(tmp_path / out / "learners.csv", encoding="utf-8", newline="") as file:
            rows = {row["id"]: row for row in csv.DictReader(file)}
        return status, rows, capsys.readouterr().out

    return graded


def test_each_has_a_row_whatever_it_is(graded, tmp_path):
    folder = put(tmp_path / "in", alice_py=HONEST, bob_ipynb=json.dumps(CELLS), carol_ipynb="{")
    (folder / "dave.ipynb").write_bytes(json.dumps(CELLS).encode("utf-16"))
    (folder / "eve.py").symlink_to("alice.py")
    os.mkfifo(folder / "frank.ipynb")
    (folder / "grace.ipynb").write_text("[" * 100_000)
    (folder / "heidi.ipynb").write_text('{"cells": []}')
    many = [{"cell_type": "code", "source": f"x = {i}"} for i in range(10_000)]
    (folder / "ivan.ipynb").write_text(json.dumps({"cells": many + CELLS["cells"]}))
    outputs = [{**CELLS["cells"][0], "outputs": [{"text": "x" * 20_000_000}]}]
    (folder / "judy.ipynb").write_text(json.dumps({"cells": outputs}))
    status, rows, out = graded()
    assert status == 0
    points = {name: int(row["points"]) for name, row in rows.items()}
    right = ("alice", "bob", "dave", "ivan", "judy")
    assert points == {name: FULL if name in right else 0 for name in rows}
    assert len(rows) == 10
    why = {name: row["why"] for name, row in rows.items()}
    assert "a link" in why["eve"]
    assert "no regular file" in why["frank"]
    assert "no notebook" in why["carol"]
    assert "no notebook" in why["grace"]
    assert "no cell with code" in why["heidi"]
    assert "10 of 10" in out


def test_what_an_instructor_takes_on(graded, tmp_path):
    roster = tmp_path / "roster.csv"
    roster.write_text(
        "ID,Name,Email,Submitted\n1,Ada Lovelace,ada@x.org,2026-12-02T12:00\n2,Bob,bob@x.org,\n"
    )
    rules = tmp_path / "rules.toml"
    rules.write_text("due = 2026-12-01\nfree_days = 0\npenalty = 10\n")
    status, rows, _ = graded("--roster", str(roster), "--rules", str(rules), lovelaceada_py=HALF)
    assert status == 0
    assert set(rows) == {"1", "2"}  # as Canvas writes a name
    folder = tmp_path / "in"
    (folder / "lovelaceada.py").rename(folder / "Ada Lovelace_77_assignsubmission_file.py")
    _, rows, _ = graded("--roster", str(roster), "--rules", str(rules))
    assert set(rows) == {"1", "2"}
    ada, bob = rows["1"], rows["2"]
    assert (ada["points"], ada["days late"], float(ada["final"])) == ("20", "1", 18.0)
    assert bob["status"] == "nothing handed in"
    out = tmp_path / "grades"
    feedback = (out / "feedback" / "1.txt").read_text(encoding="utf-8")
    assert "distance between the means forgotten" in feedback
    assert "1 day late: 18 points count" in feedback
    page = (out / "feedback" / "1.html").read_text(encoding="utf-8")
    assert "distance between the means forgotten" in page
    assert "http" not in page  # all of it is in the file
    said = json.loads((out / "gradescope" / "1.json").read_text(encoding="utf-8"))
    assert said["score"] == 18
    assert sum(test["score"] for test in said["tests"]) == 20
    assert sum(test["max_score"] for test in said["tests"]) == FULL
    canvas = list(csv.reader((out / "canvas.csv").open(encoding="utf-8")))
    assert canvas[0][:2] == ["Student", "ID"]
    assert canvas[1][-1] == str(FULL)
    assert canvas[2][0] == "Ada Lovelace"
    moodle = list(csv.DictReader((out / "moodle.csv").open(encoding="utf-8")))
    assert moodle[0]["Email address"] == "ada@x.org"
    assert moodle[0]["normcourse"] == "18.0"


def test_the_class_report_names_mistakes_and_equal_numbers(graded, tmp_path):
    files = {f"half{i}_py": HALF for i in range(3)}
    graded(**files, odd1_py=ODD, odd2_py=f"# mine\n{ODD}", alice_py=HONEST)
    text = (tmp_path / "grades" / "class.txt").read_text(encoding="utf-8")
    assert "3 made it   distance between the means forgotten" in text
    assert "odd1, odd2" in text
    assert "a place to look, not a proof" in text
    assert "half1, half2" not in text  # a mistake that is named makes equal numbers
    assert "chapter rescaling" in text


def test_a_run_goes_on_and_a_learner_is_graded_again(graded, tmp_path):
    _, first, out = graded(alice_py=HONEST, bob_py=STUB)
    assert "0 rows kept" in out
    _, again, out = graded(carol_py=HALF)
    assert "2 rows kept" in out
    assert again["alice"] == first["alice"]
    assert {row["seed"] for row in again.values()} == {first["alice"]["seed"]}
    (tmp_path / "in" / "bob.py").write_text(HONEST)
    _, changed, out = graded()
    assert "2 rows kept" in out
    assert changed["bob"]["points"] == str(FULL)
    _, _, out = graded("--regrade", "alice")
    assert "1 of 1" in out
    (tmp_path / "due.toml").write_text("due = 2020-01-01\npenalty = 1\nlate_days = 1\n")
    _, late, out = graded("--rules", str(tmp_path / "due.toml"))
    assert "3 rows kept" in out  # a deadline changes no grade, but what counts of it
    assert {row["final"] for row in late.values()} == {"0.0"}
    _, mine, _ = graded("--one", "team", out="one")
    assert list(mine) == ["team"]
    before = tmp_path / "grades"
    _, _, out = graded("--frameworks", "numpy only", out="other")
    assert main(["--compare", str(before), str(tmp_path / "other")]) == 0


def test_two_runs_are_compared(graded, tmp_path, capsys):
    graded(alice_py=HONEST, bob_py=HALF)
    (tmp_path / "in" / "bob.py").write_text(HONEST)
    graded(carol_py=STUB, out="after")
    assert main(["--compare", str(tmp_path / "grades"), str(tmp_path / "after")]) == 0
    told = capsys.readouterr().out
    assert "carol: only after" in told
    assert "bob, rescaling.merge_statistics: 6 of 9, distance between the means forgotten" in told
    assert "alice" not in told


def test_the_seed_is_another_in_each_run_and_repeats_a_grade(graded, tmp_path):
    _, first, _ = graded(alice_py=HALF)
    _, other, _ = graded(out="b")
    assert first["alice"]["seed"] != other["alice"]["seed"]
    _, _, _ = graded("--seed", first["alice"]["seed"], out="c")
    a, b = (rows_of(tmp_path / out)[0] for out in ("grades", "c"))
    texts = [row.exercises["rescaling.merge_statistics"].text for row in (a, b)]
    assert texts[0] == texts[1]


def test_nothing_outside_the_folder_of_grades_is_written(graded, tmp_path):
    put(tmp_path / "in", alice_py=HONEST)
    before = set(tmp_path.rglob("*"))
    graded()
    made = set(tmp_path.rglob("*")) - before
    assert all((tmp_path / "grades") in (path, *path.parents) for path in made)
    assert not list((tmp_path / "grades").glob(".trial*"))


KILLS = """
import os
def parent(pid):
    return int(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1])
pid = os.getpid()
while b'forkserver' not in (line := open(f'/proc/{pid}/cmdline', 'rb').read()) and (
    b'loky' not in line
):
    pid = parent(pid)
os.kill(pid, 9)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it looks for the grader in /proc")
def test_who_ends_the_grader_loses_no_row_but_the_own(graded, capsys):
    others = {f"honest{i}_py": HONEST for i in range(3)}
    status, rows, _ = graded("--sandbox", "none", mallory_py=KILLS, **others)
    assert status == 0
    assert [rows[f"honest{i}"]["points"] for i in range(3)] == [str(FULL)] * 3
    assert rows["mallory"]["points"] == "0"
    assert rows["mallory"]["status"] == "not graded"


def test_a_cluster_that_loses_a_worker_loses_no_row(tmp_path, bare):
    distributed = pytest.importorskip("distributed")
    folder = put(tmp_path / "in", **{f"learner{i:02}_py": HONEST for i in range(16)})
    submissions = find([folder])
    rules = Rules(exercises=("rescaling",), sandbox=bare)
    pids, seen = [], []

    def killer(row, done, of):
        seen.append(row.learner)
        if done == 3:
            os.kill(pids[0], 9)

    with (
        distributed.LocalCluster(3, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids += client.run(os.getpid).values()
        result = run(submissions, tmp_path / "out", rules, dask=cluster.scheduler_address,
                     progress=killer)  # fmt: skip
    assert sorted(seen) == [s.learner for s in submissions]  # none lost, none twice
    assert [row.points for row in result.rows] == [FULL] * 16


def test_what_a_message_holds_is_no_formula_and_no_command(graded, tmp_path):
    source = f"{HONEST}\ndef merge_statistics(a, b):\n    raise ValueError('=cmd()\\x1b[2J')"
    _, _, out = graded(**{"=cmd()_py": source}, alice_py=HONEST)
    assert "\x1b" not in out
    for file in (tmp_path / "grades").glob("*.csv"):
        for row in csv.reader(file.open(encoding="utf-8")):
            assert not any(cell[:1] in "=+-@" and cell[:1] for cell in row), row
    for file in (tmp_path / "grades" / "feedback").iterdir():
        assert "\x1b" not in file.read_text(encoding="utf-8")


OWN = """
import numpy as np
from normcourse.exercises import record

EXERCISES = (
    record.Exercise(
        "center", "Subtract the mean of all numbers.", ("y",),
        record.Steps("x", "y", mu=lambda q: q.x.mean(), y=lambda q: q.x - q.mu),
        (record.Probe("three numbers", lambda rng: (rng.normal(size=3).astype("f4"),)),),
        (record.Mistake("median", "It is the mean.", {"mu": lambda q: np.median(q.x)}),), (),
    ),
)
"""


@pytest.fixture
def as_before():
    known = dict(EXERCISES)
    yield
    EXERCISES.clear()
    EXERCISES.update(known)


@pytest.mark.usefixtures("as_before")
def test_exercises_of_ones_own_are_graded_in_every_process(tmp_path, bare):
    (tmp_path / "own_center.py").write_text(OWN)
    (tmp_path / "rules.toml").write_text('records = "own_center.py"\nexercises = "own_center"\n')
    right, wrong = (
        "def center(x):\n    return x - x.mean()",
        ("import numpy as np\ndef center(x):\n    return x - np.median(x)"),
    )
    folder = put(tmp_path / "in", alice_py=right, bob_py=wrong)
    rules = Rules.read(tmp_path / "rules.toml", sandbox=bare)
    alice, bob = run(find([folder]), tmp_path / "out", rules).rows
    assert (alice.points, bob.points) == (1, 0)
    assert bob.exercises["own_center.center"].mistakes == ("median",)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["nowhere"], "nowhere does not exist"),
        ([], "Name the files or folders"),
        (["."], "No notebook and no Python file"),
        ([".", "--exercises", "batch_norms"], "'batch_norms', which does not exist"),
        ([".", "--rules", "rules.toml"], "'pennalty' is no rule"),
        ([".", "--roster", "roster.csv"], "needs a column id"),
        ([".", "--records", "none.py"], "none.py, which cannot be read"),
        ([".", "--records", "rules.toml"], "rules.py cannot be used"),
        (["--compare", "a", "b"], "a holds no run"),
    ],
)
def test_what_is_asked_wrongly_is_told(tmp_path, monkeypatch, capsys, options, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.toml").write_text("pennalty = 10")
    (tmp_path / "roster.csv").write_text("name\nAda\n")
    assert main([*options, "--out", "grades"]) == 2
    assert told in capsys.readouterr().err


def test_where_no_sandbox_holds_nothing_is_graded(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    folder = put(tmp_path / "in", alice_py=HONEST)
    assert main([str(folder), "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "No sandbox holds" in told
    assert "--sandbox none" in told
    assert not list((tmp_path / "out" / "rows").glob("*"))


def test_a_container_is_asked_for_and_its_trial_decides(tmp_path, monkeypatch, capsys):
    """A program in the place of docker that lets everything through is not believed."""
    engine = tmp_path / "docker"
    engine.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >> {tmp_path}/asked\n'
        'if [ "$1" = run ]; then\n'
        "  while [ $# -gt 4 ]; do shift; done\n"
        f'  exec {sys.executable} "$2" "$3" "$4"\n'
        "fi\n"
    )
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(NoSandbox, match="let through"):
        choose("container", "image:1", tmp_path)
    asked = (tmp_path / "asked").read_text()
    for option in ("--network none", "--read-only", "--cap-drop ALL", "--pids-limit", "image:1"):
        assert option in asked
    assert "rm --force" in asked


@pytest.mark.parametrize(
    ("submitted", "share", "days"),
    [
        ("2026-12-01T12:00", 1.0, 0),
        ("2026-12-01T23:59:59", 1.0, 0),
        ("2026-12-02T00:00:30", 1.0, 1),
        ("2026-12-03T12:00", 0.9, 2),
        ("2026-12-04T12:00", 0.8, 3),
        ("2026-12-06T12:00", 0.0, 5),
    ],
)
def test_late_days(submitted, share, days):
    due = datetime.fromisoformat("2026-12-01T23:59:59")
    rules = Rules(due=due, free_days=1, penalty=10, late_days=4)
    found = rules.share(datetime.fromisoformat(submitted))
    assert found == (pytest.approx(share), days)


def test_rules_refuse_what_is_none():
    with pytest.raises(ValueError, match="frameworks must be one of"):
        Rules(frameworks="some")
    with pytest.raises(ValueError, match="memory must be a number"):
        Rules(memory=-1)
    with pytest.raises(ValueError, match=r"batch_norm\.nothing"):
        Rules(exercises=("batch_norm.nothing",))


TORCH = """
import torch
def batch_norm_inference(x, mean, var, weight, bias, eps):
    mean, var, weight, bias = map(torch.tensor, (mean, var, weight, bias))
    norm = torch.nn.functional.batch_norm
    return norm(torch.tensor(x), mean, var, weight, bias, False, 0.0, eps)
"""


@pytest.mark.parametrize(
    ("frameworks", "points", "told"),
    [("allowed", 5, "passed"), ("without norms", 0, "raised"), ("numpy only", 0, "raised")],
)
def test_whether_a_frameworks_own_norm_counts(tmp_path, bare, frameworks, points, told):
    folder = put(tmp_path / "in", alice_py=TORCH)
    name = "batch_norm.batch_norm_inference"
    rules = Rules(exercises=(name,), frameworks=frameworks, sandbox=bare)
    (row,) = run(find([folder]), tmp_path / "out", rules).rows
    assert (row.points, row.exercises[name].state[: len(told)]) == (points, told)


def test_a_roster_refuses_an_id_that_is_there_twice(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("id\n1\n1\n")
    with pytest.raises(ValueError, match=r"line 3 .* twice"):
        read_roster(path)


def test_ids_make_different_files():
    names = ["Ada", "ada", "ada/..", "../ada", "ada ", "Ä", ".."]
    assert len({safe(name).lower() for name in names}) == len(names)
    assert not any("/" in safe(name) or safe(name).startswith(".") for name in names)


def test_comparison_and_likeness_of_rows():
    rows = [Row("a"), Row("b")]
    assert classroom.compare(rows, rows) == []
    assert classroom.alike(rows) == []


def test_all_attacks_together_leave_the_honest_full_points(tmp_path, bare):
    """Quick attacks, in one run on two processes, beside honest files."""
    quick = [a for a in ATTACKS if not a.bare][::6]
    files = {f"attack{i:02}_py": a.source for i, a in enumerate(quick)}
    folder = put(tmp_path / "in", **files, **{f"honest{i}_py": HONEST for i in range(3)})
    rules = Rules(exercises=("rescaling",), sandbox=bare, seconds_per_call=1.0, memory=512)
    started = time.monotonic()
    result = run(find([folder]), tmp_path / "out", rules, jobs=2)
    points = {row.learner: row.points for row in result.rows}
    for i, attack in enumerate(quick):
        assert attack.least <= points[f"attack{i:02}"] <= attack.deserved, attack.name
    assert all(points[f"honest{i}"] == FULL for i in range(3))
    assert REST < FULL
    assert time.monotonic() - started < 120
    assert threading.active_count() < 20
