"""Run the code cells of a page as a notebook would, for a learner who has no kernel.

``book/assets/worker.js`` calls :func:`run` in the browser. Everything a learner's code says comes
back with the line of the cell that said it.
"""

import ast
import builtins
import contextlib
import json
import linecache
import sys
import time
import traceback
import warnings

from normcourse import exercises
from normcourse.exercises.display import Report
from normcourse.exercises.judge import told

__all__ = ["run"]

MOST_CHARACTERS = 20_000  # of what is printed in one run
MOST_LINES = 500
SECONDS = 0.1  # between two messages to the page


def run(request, emit):
    """Run cells one after the other, as a notebook would; JSON in, JSON out.

    Args:
        request: {"before": [cell, ...], "cell": cell, "check": source or None, "scoreboard":
            source or None, "state": dict}, where a cell is {"name", "source"}. What stands before
            runs quietly, and what fails there leaves its names undefined.
        emit: called with JSON, a list of [where, text], as the cell prints.

    Returns:
        {"error": text or None, "html": report or None, "text": value of the last expression,
        "title": of the report, "scoreboard": its HTML, "cut": characters not shown, "state": dict}
    """
    request = json.loads(request)
    session = exercises.check.__self__
    session.restore(request["state"])
    cell, namespace = request["cell"], {"__name__": "__main__"}
    printed = Printed(emit, cell["name"])
    answer = dict.fromkeys(("error", "html", "text", "title", "scoreboard"))
    with _as_on_a_page(printed):
        for before in request["before"]:
            printed.quiet = True
            with contextlib.suppress(BaseException):
                execute(before, namespace)
        printed.quiet = False
        try:
            value = execute(cell, namespace)
            if request["check"]:
                value = execute({"name": "check", "source": request["check"]}, namespace)
        except BaseException as error:  # exit() and Ctrl+C included: the page goes on
            answer["error"] = explained(error, cell["name"])
        else:
            if isinstance(value, Report):
                answer |= {"html": value._repr_html_(), "title": value.title}
            elif value is not None:
                answer["text"] = repr(value)[:MOST_CHARACTERS]
        if request["scoreboard"]:
            printed.quiet = True
            board = execute({"name": "scoreboard", "source": request["scoreboard"]}, namespace)
            answer["scoreboard"] = board._repr_html_()
    printed.flush()
    return json.dumps(answer | {"cut": printed.cut, "state": session.state()})


def execute(cell, namespace):
    """Run a cell; return the value of its last expression, None if it ends otherwise."""
    name, source = _filename(cell["name"]), cell["source"]
    # Tracebacks and reports quote the line; without a time stamp linecache asks for no file.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    statements = ast.parse(source, name).body
    last = statements.pop() if statements and isinstance(statements[-1], ast.Expr) else None
    exec(compile(ast.Module(statements, []), name, "exec"), namespace)
    if last is not None:
        return eval(compile(ast.Expression(last.value), name, "eval"), namespace)
    return None


def explained(error, cell):
    """An exception, and the lines of the learner's cells that led to it."""
    if isinstance(error, SyntaxError) and _cell(error.filename or ""):
        lines = [
            _place(_cell(error.filename), error.lineno, cell) + f": {error.text or ''}".rstrip()
        ]
        problem = f"{type(error).__name__}: {error.msg}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if _cell(f.filename)]
        lines = [f"{_place(_cell(f.filename), f.lineno, cell)}: {f.line}" for f in own]
        problem = told(error)
    if len(lines) > 6:  # an endless recursion
        lines[3:-2] = ["..."]
    if isinstance(error, ModuleNotFoundError):
        problem += (
            ". On this page there are NumPy and Python's standard library; everything else is "
            "there where you open the notebook."
        )
    if isinstance(error, SystemExit):
        problem += ". Code that ends the program ends the run."
    return "\n".join([*lines, problem])


class Printed:
    """Standard output of a page: each text with its line, in portions, and not without end."""

    def __init__(self, emit, cell):
        self.quiet = False
        self.cut = 0
        self._emit, self._name = emit, cell
        self._entries, self._flushed = [], time.monotonic()
        self._characters, self._lines = MOST_CHARACTERS, MOST_LINES

    def write(self, text):
        if self.quiet:
            return len(text)
        shown = text[: self._characters]
        self._lines -= shown.count("\n")
        self._characters = self._characters - len(shown) if self._lines > 0 else 0
        self.cut += len(text) - len(shown)
        if shown:
            where = self._where(sys._getframe(1))
            if self._entries and self._entries[-1][0] == where:
                self._entries[-1][1] += shown
            else:
                self._entries.append([where, shown])
            if not self._characters or time.monotonic() - self._flushed > SECONDS:
                self.flush()
        return len(text)

    def flush(self):
        if self._entries:
            entries, self._entries, self._flushed = self._entries, [], time.monotonic()
            self._emit(json.dumps(entries))

    def _where(self, frame):
        """The innermost line of a cell that is running."""
        while frame:
            if cell := _cell(frame.f_code.co_filename):
                return _place(cell, frame.f_lineno, self._name)
            frame = frame.f_back
        return ""


@contextlib.contextmanager
def _as_on_a_page(printed):
    """Output goes to the page, and nobody is there to be asked."""
    ask = builtins.input
    builtins.input = _no_input
    try:
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            warnings.catch_warnings(),
        ):
            warnings.showwarning = _show_warning
            yield
    finally:
        builtins.input = ask


def _no_input(prompt=""):
    raise RuntimeError("input() has nobody to ask here: write the value into the code, as in n = 3")


def _show_warning(message, category, *_, **__):
    print(f"{category.__name__}: {message}")


def _filename(cell):
    return f"cell {cell}"


def _cell(filename):
    """The name of the cell that is compiled under this name; "" for any other file."""
    return filename.removeprefix("cell ") if filename.startswith("cell ") else ""


def _place(cell, line, current):
    return f"line {line}" if cell == current else f"{cell}, line {line}"
