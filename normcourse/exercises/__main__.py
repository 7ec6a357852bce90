"""Grade one learner's file: ``python -m normcourse.exercises path/to/notebook.ipynb``.

A notebook or a Python file. A function must be written in the file; an imported one earns nothing.
The exit status is 0 for full points, 1 for less, and 2 where there is nothing to grade. The code
runs in a process of its own, under a sandbox if there is one. For a class there is
:mod:`normcourse.grading`.
"""

import secrets
import sys
import textwrap
from pathlib import Path

from normcourse.grading.grade import grade
from normcourse.grading.rules import Rules
from normcourse.grading.sandbox import NoSandbox, choose
from normcourse.grading.submission import Submission


def main(argv=None):
    """Print points and mistakes per function, and the total; return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print("usage: python -m normcourse.exercises path/to/notebook.ipynb", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    row = grade(Submission(path.stem, (path,)), Rules(), sandbox(), secrets.randbits(48))
    for problem in row.problems:
        print(problem)
    if not row.exercises:
        print(f"{path} cannot be graded: {row.why}", file=sys.stderr)
        return 2
    for technique in dict.fromkeys(name.partition(".")[0] for name in row.exercises):
        report(technique, {n: e for n, e in row.exercises.items() if n.startswith(f"{technique}.")})
    return 0 if row.points == row.most else 1


def sandbox():
    """One that holds, or else limits alone: whoever asks for one file mostly wrote it."""
    try:
        return choose("auto")
    except NoSandbox:
        print("No sandbox: this file runs with your rights, under limits alone.", file=sys.stderr)
        return choose("none")


def report(technique, graded):
    """Print a line per exercise and the total of a technique."""
    for name, exercise in graded.items():
        print(f"{name}: {exercise.points} of {exercise.most} points, {exercise.state}")
        for explanation in exercise.explanations:
            print(textwrap.indent(textwrap.fill(explanation, 96), "    "))
    earned, most = (sum(getattr(e, a) for e in graded.values()) for a in ("points", "most"))
    print(f"{technique}: {earned} of {most} points")


if __name__ == "__main__":
    sys.exit(main())
