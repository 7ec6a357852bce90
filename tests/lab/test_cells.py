"""Cells of a page run as in a notebook. That they do so in a browser is tests/site's part."""

import json

import pytest

from normcourse.lab.cells import MOST_LINES, run

SETUP = {"name": "setup", "source": "from normcourse.exercises import check, scoreboard"}


def go(source, before=(), check=None, scoreboard=None, state=None):
    """The answer, and what was printed, in whatever portions it came."""
    printed = []

    def emit(entries):
        for where, text in json.loads(entries):
            if printed and printed[-1][0] == where:
                printed[-1][1] += text
            else:
                printed.append([where, text])

    request = {
        "before": [SETUP, *({"name": f"above {i}", "source": s} for i, s in enumerate(before))],
        "cell": {"name": "mine", "source": source},
        "check": check,
        "scoreboard": scoreboard,
        "state": state or {},
    }
    return json.loads(run(json.dumps(request), emit)), printed


def test_a_cell_has_what_stands_above_and_prints_alone():
    answer, printed = go(
        "def g():\n    print(x, end=' ')\n    print('and')\n\nprint(1)\ng()\ng()\n[y, z]",
        before=["x = 1\nprint('above')", "y = 2\nraise SystemExit", "z = 3 +", "z = 4"],
    )
    assert answer["error"] is None
    assert answer["text"] == "[2, 4]"
    twice = [["line 2", "1 "], ["line 3", "and\n"]] * 2
    assert printed == [["line 5", "1\n"], *twice]
    assert answer["cut"] == 0


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("\nx = (1,\n", "line 2: x = (1,\nSyntaxError: '(' was never closed"),
        ("a = 1\n  b = 2", "line 2:   b = 2\nIndentationError: unexpected indent"),
        (
            "def f():\n    1 / 0\nf()",
            "line 3: f()\nline 2: 1 / 0\nZeroDivisionError: division by zero",
        ),
        ("above()", "line 1: above()\nabove 0, line 2: raise ValueError('no')\nValueError: no"),
        ("raise KeyboardInterrupt", "line 1: raise KeyboardInterrupt\nKeyboardInterrupt"),
        ("def f(): f()\nf()", "line 2: f()\nline 1: def f(): f()\nline 1: def f(): f()\n...\n"),
    ],
)
def test_an_error_names_the_lines_that_led_to_it(source, error):
    answer, _ = go(source, before=["def above():\n    raise ValueError('no')"])
    assert answer["error"].startswith(error)
    assert answer["text"] is None


def test_a_report_is_that_of_the_notebook():
    source = "def merge_statistics(a, b):\n    return a"
    answer, _ = go(source, check="check(merge_statistics)", scoreboard="scoreboard('rescaling')")
    assert answer["title"] == "merge_statistics: not there yet, 1 of 9 points"
    assert "Hint 1 of" in answer["html"]
    assert "Hint 2 of" not in answer["html"]
    assert answer["state"] == {
        "failures": {"rescaling.merge_statistics": 1},
        "best": {"rescaling.merge_statistics": 1},
    }
    assert "rescaling: 1 of 23 points" in answer["scoreboard"]
    again, _ = go(source, check="check(merge_statistics)", state=answer["state"])
    assert "Hint 2 of" in again["html"]


def test_endless_output_is_cut_and_counted():
    answer, printed = go("for i in range(10 * 500):\n    print('abc')")
    shown = "".join(text for _, text in printed)
    assert shown.count("\n") == MOST_LINES
    assert len(shown) + answer["cut"] == 4 * 10 * 500


def test_what_the_page_cannot_do_is_said():
    assert "nobody to ask" in go("input('n = ')")[0]["error"]
    assert "there are NumPy and Python's standard" in go("import nowhere")[0]["error"]
    assert "ends the run" in go("exit()")[0]["error"]


def test_output_and_warnings_go_back_to_where_they_went(capsys):
    _, printed = go("import warnings\nwarnings.warn('careful')")
    assert printed == [["line 2", "UserWarning: careful\n"]]
    print("here")
    assert capsys.readouterr().out == "here\n"
    assert input.__name__ != "_no_input"
