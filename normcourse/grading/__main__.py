"""``normcourse-grade submissions/ --out grades/``: a folder of submissions becomes grades."""

import argparse
import json
import sys
from pathlib import Path

from normcourse.grading import classroom, tables
from normcourse.grading.grade import Row
from normcourse.grading.rules import FRAMEWORKS, Rules
from normcourse.grading.run import run
from normcourse.grading.sandbox import CHOICES, NoSandbox
from normcourse.grading.submission import find, read_roster

ABOUT = """Grade notebooks and Python files with the exercises of the course.

Each submission runs in a process of its own, under a sandbox, and becomes a row whatever it does.
Files are submissions, and so are folders inside a folder. Exit status: 0 all were graded or could
not be and have a row that says why; 2 nothing was graded."""


def parser():
    made = argparse.ArgumentParser(
        "normcourse-grade", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add("submissions", nargs="*", help="notebooks, Python files, or folders of them")
    add("--out", default="grades", metavar="FOLDER", help="where all results go (grades)")
    add("--rules", metavar="FILE", help="the rules of the assignment, in TOML")
    add("--roster", metavar="FILE", help="CSV with a column id; name, email, file, submitted")
    add("--exercises", metavar="NAMES", help="techniques or exercises that count, with commas")
    add("--frameworks", choices=FRAMEWORKS, help="whether a framework's own norms count (allowed)")
    add("--sandbox", choices=CHOICES, help="what holds the learners' code (auto)")
    add("--one", metavar="LEARNER", default="", help="all that is handed in is this learner's")
    add("--records", metavar="FILE", help="exercises of your own")
    add("--image", help="the image of a container with Python and NumPy")
    add("--seed", type=int, help="of the inputs, to repeat a run")
    add("--jobs", type=int, default=-1, help="processes at once (one per core)")
    add("--dask", metavar="ADDRESS", help="of a Dask scheduler, whose workers grade")
    add("--regrade", action="append", default=[], metavar="LEARNER", help="grade this one anew")
    add("--compare", nargs=2, metavar="FOLDER", help="tell what differs between two runs")
    add("--quiet", action="store_true", help="no line for each submission")
    return made


def main(argv=None):
    said = parser().parse_args(argv)
    try:
        return _compare(*said.compare) if said.compare else _grade(said)
    except (ValueError, OSError, NoSandbox) as error:
        print(f"normcourse-grade: {error}", file=sys.stderr)
        return 2


def _grade(said):
    names = said.exercises and tuple(n.strip() for n in said.exercises.split(","))
    rules = Rules.read(
        said.rules, exercises=names, frameworks=said.frameworks, sandbox=said.sandbox,
        image=said.image, seed=said.seed, records=said.records,
    )  # fmt: skip
    if not said.submissions:
        raise ValueError("Name the files or folders that were handed in, such as submissions/.")
    roster = read_roster(said.roster) if said.roster else None
    submissions = find(said.submissions, roster, said.one)
    progress = None if said.quiet else _line
    result = run(submissions, said.out, rules, said.jobs, said.dask, said.regrade, progress)
    tables.write(said.out, result)
    classroom.write(said.out, result)
    rows = result.rows
    graded = sum(row.status == "graded" for row in rows)
    print(
        f"{len(rows)} learners, {graded} graded ({result.kept} rows kept from before), "
        f"{result.seconds:.1f} s, seed {result.seed}"
    )
    for what in sorted({f"{row.sandbox}: {'; '.join(row.held)}" for row in rows if row.started}):
        print(f"Sandbox {what}")
    print(f"Written to {said.out}: class.html, learners.csv, exercises.csv, feedback/, and for")
    print("gradebooks canvas.csv, moodle.csv, gradescope/")
    return 0


def _line(row, done, of):
    what = f"{row.points} of {row.most} points" if row.status == "graded" else row.status
    cut = f", cut off: {', '.join(row.cut)}" if row.cut else ""
    print(f"{done:>5} of {of}  {row.learner}: {what}{cut} ({row.seconds:.1f} s)", flush=True)


def rows_of(folder):
    """The rows of a run."""
    files = sorted(Path(folder, "rows").glob("*.json"))
    if not files:
        raise ValueError(f"{folder} holds no run: it has no rows.")
    rows = []
    for file in files:
        said = json.loads(file.read_text(encoding="utf-8"))
        said.pop("key", None)
        rows.append(Row.from_dict(said))
    return rows


def _compare(before, after):
    lines = classroom.compare(rows_of(before), rows_of(after))
    print("\n".join(lines) if lines else "Nothing differs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
