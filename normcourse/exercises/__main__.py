"""Grade one learner's file: ``python -m normcourse.exercises path/to/notebook.ipynb``.

A notebook or a Python file. Only its imports, constants and definitions are run, each on its own:
what fails does not stop the others. The exit status is 0 for full points, 1 for less, and 2 where
there is nothing to grade. The learner's code runs in this process, without limits.
"""

import ast
import json
import linecache
import sys
from pathlib import Path

from normcourse.exercises.judge import judge
from normcourse.exercises.session import EXERCISES

KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


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
    """(name, source) of each code cell of a notebook, or of a whole Python file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return [(path.name, text)]
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return [(f"code cell {i}", "".join(cell["source"])) for i, cell in enumerate(cells, 1)]


def define(sources):
    """Run imports, constants and definitions; return the names they bind, and what failed."""
    namespace, problems = {"__name__": "learner"}, []
    for name, source in sources:
        lines = ["" if ln.lstrip().startswith(("%", "!")) else ln for ln in source.splitlines()]
        # Errors quote the line that raised them.
        linecache.cache[name] = (len(source), None, [line + "\n" for line in lines], name)
        try:
            statements = ast.parse("\n".join(lines)).body
        except SyntaxError as error:
            problems.append(f"{name}: SyntaxError in line {error.lineno}: {error.msg}")
            continue
        for statement in filter(_is_definition, statements):
            try:
                code = compile(ast.Module([statement], []), name, "exec")
                exec(code, namespace)
            except Exception as error:  # the learner's, not ours
                where = f"{name}, line {statement.lineno}"
                problems.append(f"{where}: {type(error).__name__}: {error}")
    return namespace, problems


def _is_definition(statement):
    if isinstance(statement, KEPT):
        return True
    if not isinstance(statement, ast.Assign):
        return False
    try:
        ast.literal_eval(statement.value)
    except ValueError:
        return False
    return True


def grade(technique, namespace):
    """Print a line per exercise and the total of ``technique``; whether it is the full one."""
    earned = 0
    for exercise in EXERCISES[technique]:
        state, points = "not defined", 0
        if callable(namespace.get(exercise.name)):
            verdict = judge(exercise, namespace[exercise.name])
            points, state = verdict.points, _state(verdict)
        earned += points
        print(f"{technique}.{exercise.name}: {points} of {exercise.points} points, {state}")
    most = sum(exercise.points for exercise in EXERCISES[technique])
    print(f"{technique}: {earned} of {most} points")
    return earned == most


def _state(verdict):
    if verdict.passed:
        return "passed"
    if not verdict.started:
        return "not started"
    return " or ".join(f.name for f in verdict.findings) or "wrong in a way known to no record"


if __name__ == "__main__":
    sys.exit(main())
