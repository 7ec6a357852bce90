"""A class: every submission becomes a row on disk, once, whatever the others do."""

import hashlib
import json
import os
import re
import secrets
import sys
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import joblib

from normcourse import __version__
from normcourse.grading.grade import Row, grade
from normcourse.grading.rules import BLOCKED, Rules
from normcourse.grading.sandbox import choose
from normcourse.grading.submission import Unreadable

__all__ = ["Run", "run"]

ROUNDS = 3  # in which work that was lost is done again; the last of them one by one
_ONE_AT_A_TIME = threading.Lock()  # a judge keeps what it computed last


@dataclass
class Run:
    """What :func:`run` returns: the rows in order of the learners, and how they came about."""

    rows: list
    seed: int
    rules: Rules
    graded: int
    kept: int
    seconds: float


def run(submissions, out, rules, jobs=-1, dask=None, again=(), progress=None):
    """Grade submissions into the folder ``out``; rows that are there and still true are kept.

    Args:
        submissions: as :func:`~normcourse.grading.submission.find` returns them.
        out: the folder of this run; nothing outside it is written.
        rules: of the assignment.
        jobs: processes at once; -1 for one per core.
        dask: address of a Dask scheduler whose workers grade.
        again: learners who are graded anew in any case, with the seed of the run.
        progress: called with (row, done, of) for each row that is made.

    Raises:
        NoSandbox: what the rules ask for does not hold on this machine.
        ValueError: a learner in ``again`` has no submission.
    """
    started = time.perf_counter()
    out = Path(out)
    folder = out / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    learners = {s.learner for s in submissions}
    for learner in again:
        if learner not in learners:
            raise ValueError(f"{learner!r} handed in nothing. There are: {', '.join(learners)}.")
    seed = _seed(out, rules, whole=not again)
    if dask is None:
        _sandbox(rules, str(out))  # refuses before anything is graded
    kept, left = {}, []
    for submission in submissions:
        row = None if submission.learner in again else _kept(folder, submission, rules, seed)
        if row is None:
            left.append(submission)
        else:
            kept[submission.learner] = row
    made = {}
    for row in _graded(left, rules, seed, jobs, dask, str(out)):
        made[row.learner] = row
        _write(_file(folder, row.learner), {**row.as_dict(), "key": _key(row.digest, rules, seed)})
        if progress:
            progress(row, len(made), len(left))
    rows = [(made | kept)[s.learner] for s in submissions]
    return Run(rows, seed, rules, len(made), len(kept), time.perf_counter() - started)


def _graded(left, rules, seed, jobs, dask, out):
    """Rows as they come. A process that ends takes no row with it: its work is done again."""
    with _cluster(dask):
        for attempt in range(ROUNDS):
            done = set()
            alone = attempt == ROUNDS - 1
            for part in [[s] for s in left] if alone else [left]:
                try:
                    for row in _parallel(part, rules, seed, jobs, dask, out):
                        if row.learner not in done:
                            done.add(row.learner)
                            yield row
                except (RuntimeError, OSError) as error:  # the pool or the cluster lost a process
                    print(f"A process was lost ({type(error).__name__}).", file=sys.stderr)
            left = [s for s in left if s.learner not in done]
            if not left:
                return
    for submission in left:
        yield _ended(submission, seed)


def _ended(submission, seed):
    row = Row(submission.learner, "not graded", seed=seed, about=submission.about)
    row.why = f"the grader's process ended {ROUNDS} times while it was graded"
    return row


def _cluster(dask):
    if dask is None:
        return nullcontext()
    from distributed import Client

    return Client(dask, timeout=30)


def _parallel(submissions, rules, seed, jobs, dask, out):
    todo = [
        joblib.delayed(_one)(s, rules, seed, None if dask else out)
        for s in _loaded(submissions, dask)
    ]
    if not todo:
        return
    # At least two, so that even one job has a process of its own.
    jobs = joblib.cpu_count() if jobs < 1 else jobs
    kind = {"backend": "dask"} if dask else {"backend": "loky", "n_jobs": max(2, jobs)}
    limit = {} if dask or jobs > 1 else {"pre_dispatch": 1, "batch_size": 1}
    with joblib.parallel_config(**kind):
        yield from joblib.Parallel(return_as="generator_unordered", **limit)(todo)


def _loaded(submissions, dask):
    """With the bytes of the files, where another machine grades that may not see them."""
    for submission in submissions:
        if dask:
            with suppress(Unreadable):
                submission.read()
        yield submission


def _one(submission, rules, seed, out):
    rules.load()
    with _ONE_AT_A_TIME:
        return grade(submission, rules, _sandbox(rules, out), seed)


@cache
def _sandbox(rules, out):
    """Proven once in each process that grades."""
    hidden = _folders(BLOCKED) if rules.frameworks == "numpy only" else ()
    settings = {"memory": rules.memory << 20, "processes": rules.processes, "hidden": hidden}
    return choose(rules.sandbox, rules.image, out, **settings)


def _folders(packages):
    folders = (Path(p, name) for p in sys.path for name in packages)
    return tuple(str(folder) for folder in folders if folder.is_dir())


# ---- what is on disk ---------------------------------------------------------------------------


def _seed(out, rules, whole):
    """That of the rules, or of the run that is gone on with, or a new one; and it is kept."""
    file, wanted = out / "run.json", json.loads(json.dumps(rules.as_dict()))
    said = {}
    with suppress(OSError, ValueError):
        said = json.loads(file.read_text(encoding="utf-8"))
    same = _lasting(said.get("rules")) == _lasting(wanted) or not whole
    seed = said.get("seed") if same and type(said.get("seed")) is int else None
    seed = rules.seed if rules.seed is not None else seed
    seed = secrets.randbits(48) if seed is None else seed
    _write(file, {"course": __version__, "seed": seed, "rules": wanted})
    return seed


def _key(digest, rules, seed):
    """What a row depends on beside the learner; when a row was due changes no row."""
    said = [digest, _lasting(rules.as_dict()), seed, __version__]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _lasting(rules):
    """The rules without those that change no row: when it was due, and what it is called."""
    after = ("due", "free_days", "penalty", "late_days", "title")
    return {k: v for k, v in rules.items() if k not in after} if rules else None


def _kept(folder, submission, rules, seed):
    """The row that an earlier run made of the same files by the same rules, or None."""
    try:
        said = json.loads(_file(folder, submission.learner).read_text(encoding="utf-8"))
        key = said.pop("key")
        row = Row.from_dict(said)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    with suppress(Unreadable):
        if submission.files:
            submission.read()
    row.about = submission.about
    same = key == _key(submission.digest, rules, seed)
    submission.contents.clear()
    return row if same else None


def _file(folder, learner):
    return folder / f"{safe(learner)}.json"


def safe(learner):
    """The id of a learner as the name of a file: no two have the same."""
    plain = re.sub(r"[^\w.@+-]+", "_", learner)[:80].lstrip(".")
    mark = hashlib.sha256(learner.encode()).hexdigest()[:8]
    return plain if plain == learner and plain == plain.lower() else f"{plain}-{mark}"


def _write(path, said):
    """All of it or nothing: a run that is cut off leaves no half row."""
    text = json.dumps(said, ensure_ascii=False, indent=1, default=str)
    made = path.with_suffix(".part")
    made.write_text(f"{text}\n", encoding="utf-8")
    os.replace(made, path)
