"""Grade one learner's file: ``python -m normcourse.exercises path/to/notebook.ipynb``.

A notebook or a Python file. Only its imports, assignments and definitions are run, each on its own:
what fails does not stop the others. A function must be written in the file; an imported one earns
nothing. The exit status is 0 for full points, 1 for less, and 2 where there is nothing to grade.
The learner's code runs in this process, without limits: read the printed points, too.
"""

import __future__

import ast
import inspect
import json
import linecache
import os
import re
import sys
import textwrap
from contextlib import contextmanager, redirect_stdout
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from normcourse.exercises.judge import judge, told
from normcourse.exercises.session import EXERCISES

LEARNER = "learner"  # the module that the file becomes
IMPORTS = (ast.Import, ast.ImportFrom)
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
KEPT = IMPORTS + DEFINITIONS + ASSIGNMENTS

# Lines that only Jupyter reads: %magic, !shell, ?help, files = !ls, np.mean?
JUPYTER = re.compile(
    r"^([ \t]*)(?:[%!?].*|\w[\w, ]*=[ \t]*[%!].*|[\w.]+\?{1,2}[ \t]*)$", re.MULTILINE
)
CELL = re.compile(
    r"^# ?%%", re.MULTILINE
)  # as Jupytext and editors mark the cells of a Python file
OTHER_LANGUAGE = re.compile(r"\s*%%(?!time\b|capture\b)")


def main(argv=None):
    """Print points and mistakes per function, and the total; return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if len(arguments) != 1:
        print("usage: python -m normcourse.exercises path/to/notebook.ipynb", file=sys.stderr)
        return 2
    try:
        sources = read(Path(arguments[0]))
    except (OSError, ValueError) as error:
        print(f"{arguments[0]} cannot be read: {error}", file=sys.stderr)
        return 2
    namespace, problems = define(sources)
    for problem in problems:
        print(problem)
    techniques = [
        t for t, exercises in EXERCISES.items() if any(e.name in namespace for e in exercises)
    ]
    if not techniques:
        print("No function of an exercise is defined there.", file=sys.stderr)
        return 2
    complete = [grade(technique, namespace) for technique in techniques]
    return 0 if all(complete) else 1


def read(path):
    """(name, source) of each code cell of a notebook, or of a Python file, which may have some."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix.lower() != ".ipynb":
        starts = [0, *(found.start() for found in CELL.finditer(text)), len(text)]
        # A cell keeps the lines it has in the file.
        cells = ["\n" * text.count("\n", 0, a) + text[a:b] for a, b in pairwise(starts)]
        return [(f"{path.name}, cell {i}" if i else path.name, c) for i, c in enumerate(cells)]
    try:
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        return [(f"code cell {i}", "".join(cell["source"])) for i, cell in enumerate(cells, 1)]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise ValueError(
            "it is no notebook of nbformat 4. Open it in Jupyter and save it again"
        ) from None


def define(sources):
    """Run imports, assignments and definitions; return the names they bind, and what failed."""
    # Dataclasses look their module up.
    module = sys.modules[LEARNER] = ModuleType(LEARNER)
    namespace, problems, future = vars(module), [], 0
    for name, source in sources:
        # Errors quote the line that raised them.
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        try:
            statements = parse(source, name)
        except (SyntaxError, ValueError) as error:  # the latter for null bytes
            problems.append(told(error))
            continue
        for statement in filter(_is_definition, statements):
            future |= _future_flags(statement)
            try:
                code = compile(ast.Module([statement], []), name, "exec", future)
                with muted():
                    exec(code, namespace)
            except (Exception, SystemExit) as error:  # the learner's, not ours
                problems.append(f"{name}, line {statement.lineno}: {told(error)}")
    return namespace, problems


def parse(source, name):
    """The statements of a cell, without Jupyter's own lines where Python cannot read them."""
    try:
        return ast.parse(source, name).body
    except SyntaxError:
        if OTHER_LANGUAGE.match(source):
            return []
        return ast.parse(JUPYTER.sub(r"\1pass", source), name).body


def _is_definition(statement):
    """What a function may need: nothing that only acts."""
    if isinstance(statement, ast.If | ast.Try):
        return all(map(_is_definition, statement.body))
    return isinstance(statement, KEPT)


def _future_flags(statement):
    if not isinstance(statement, ast.ImportFrom) or statement.module != "__future__":
        return 0
    features = (getattr(__future__, alias.name, None) for alias in statement.names)
    return sum(feature.compiler_flag for feature in features if feature)


@contextmanager
def muted():
    """What the learner's code prints stays out of the grades, and there is nothing to read."""
    stdin = sys.stdin
    with open(os.devnull, "w") as sink, open(os.devnull) as sys.stdin, redirect_stdout(sink):
        try:
            yield
        finally:
            sys.stdin = stdin


def origin(fn):
    """The module in which a function was written, also behind decorators and partial."""
    while isinstance(fn, partial):
        fn = fn.func
    return getattr(inspect.unwrap(fn), "__module__", type(fn).__name__)


def grade(technique, namespace):
    """Print a line per exercise and the total of ``technique``; whether it is the full one."""
    earned = 0
    for exercise in EXERCISES[technique]:
        state, points, explanations = "not defined", 0, ()
        fn = namespace.get(exercise.name)
        if callable(fn) and origin(fn) != LEARNER:
            state = f"imported from {origin(fn)}, not written here"
        elif callable(fn):
            with muted():
                verdict = judge(exercise, fn)
            points, state = verdict.points, _state(verdict)
            explanations = [finding.explanation for finding in verdict.findings]
        earned += points
        print(f"{technique}.{exercise.name}: {points} of {exercise.points} points, {state}")
        for explanation in explanations:
            print(textwrap.indent(textwrap.fill(explanation, 96), "    "))
    most = sum(exercise.points for exercise in EXERCISES[technique])
    print(f"{technique}: {earned} of {most} points")
    return earned == most


def _state(verdict):
    if verdict.passed:
        return "passed"
    if not verdict.started:
        return "not started"
    readings = (" and ".join(reading.names) for reading in verdict.readings)
    return " or ".join(readings) or "wrong in a way known to no record"


if __name__ == "__main__":
    sys.exit(main())
