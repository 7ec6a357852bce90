"""``python -m normcourse.exercises``: a learner's notebook or file becomes points."""

import json

import pytest

from normcourse.exercises.__main__ import main

SOLUTION = """
from functools import partial
import numpy as np
def on_channels(p, x):
    return p.reshape(1, -1, *(1,) * (x.ndim - 2))
def batch_norm(x, weight, bias, eps):
    axes = (0, *range(2, x.ndim))
    xhat = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)
    return on_channels(weight, x) * xhat + on_channels(bias, x)
def my_backward(dy, x, weight, bias, eps):
    axes = (0, *range(2, x.ndim))
    s = np.sqrt(x.var(axes, keepdims=True) + eps)
    xhat, g = (x - x.mean(axes, keepdims=True)) / s, on_channels(weight, x) * dy
    dx = (g - g.mean(axes, keepdims=True) - xhat * (g * xhat).mean(axes, keepdims=True)) / s
    return dx, (dy * xhat).sum(axes), dy.sum(axes)
batch_norm_backward = my_backward
def my_inference(scale, x, mean, var, weight, bias, eps):
    xhat = (x - on_channels(mean, x)) / np.sqrt(on_channels(var, x) + eps)
    return scale * (on_channels(weight, x) * xhat + on_channels(bias, x))
batch_norm_inference = partial(my_inference, 1)
update_running_statistics = lambda mean, var, x, momentum: (
    mean + momentum * (x.mean((0, *range(2, x.ndim))) - mean),
    var + momentum * (x.var((0, *range(2, x.ndim)), ddof=1) - var),
)
"""
LAYER = """
def batch_norm_layer(x, mean, var, weight, bias, training, momentum, eps):
    if not training:
        return batch_norm_inference(x, mean, var, weight, bias, eps), mean, var
    new = update_running_statistics(mean, var, x, momentum)
    return batch_norm(x, weight, bias, eps), *new
"""


@pytest.fixture
def grade(tmp_path, capsys):
    def grade(*cells, suffix=".ipynb"):
        path = tmp_path / f"work{suffix}"
        if suffix.lower() == ".ipynb":
            code = [{"cell_type": "code", "source": [cell]} for cell in cells]
            text = {"cells": [{"cell_type": "markdown", "source": ["def no:"]}, *code]}
            path.write_text(json.dumps(text))
        else:
            path.write_text("\n".join(cells), encoding="utf-8-sig")
        status = main([str(path)])
        return status, capsys.readouterr().out

    return grade


@pytest.mark.parametrize("suffix", [".ipynb", ".IPYNB", ".py"])
def test_full_points(grade, suffix):
    status, out = grade(SOLUTION, LAYER, suffix=suffix)
    assert status == 0
    assert "batch_norm.batch_norm: 6 of 6 points, passed" in out
    assert "batch_norm: 46 of 46 points" in out


@pytest.mark.parametrize("mark", ["# %%", "#%% forward"])
def test_a_mistake_in_a_cell_of_a_python_file_leaves_the_others(grade, mark):
    status, out = grade(SOLUTION, f"{mark}\ndef broken(:", f"{mark}\n{LAYER}", suffix=".py")
    assert status == 0
    line = SOLUTION.count("\n") + 3
    assert f"(work.py, cell 1, line {line})" in out
    status, out = grade("x = 1", f"{mark}\ny = 1 / 0", f"{mark}\n{SOLUTION}", suffix=".py")
    assert "work.py, cell 1, line 3: ZeroDivisionError" in out
    assert "batch_norm: 37 of 46 points" in out


def test_a_mistake_is_named_and_the_rest_still_counts(grade):
    status, out = grade(
        "%matplotlib inline\nimport numpy as np",
        "raise SystemExit('never run')",
        "def broken(:",
        "import no_such_module",
        "FACTOR = 1",
        "def merge_statistics(a, b):\n"
        "    n = a[0] + b[0]\n"
        "    mean = FACTOR * (a[0] * a[1] + b[0] * b[1]) / n\n"
        "    return n, mean, (a[0] * a[2] + b[0] * b[2]) / n\n",
        "def standard_scale(X_train, X_new):\n    raise NotImplementedError",
        "def min_max_scale(X_train, X_new, low, high):\n    return X_new / nothing",
    )
    assert status == 1
    assert "SyntaxError" in out
    assert "no_such_module" in out
    assert "merge_statistics: 6 of 9 points, distance between the means forgotten" in out
    assert "standard_scale: 0 of 4 points, not started" in out
    assert "min_max_scale: 0 of 5 points, raised an exception" in out
    assert "min_max_inverse: 0 of 5 points, not defined" in out
    assert "NameError: name 'nothing' is not defined" in out
    assert "rescaling: 6 of 23 points" in out


MERGE = """
def merge_statistics(a, b):
    n, delta = a[0] + b[0], b[1] - a[1]
    within, across = (a[0] * a[2] + b[0] * b[2]) / n, delta**2 * a[0] * b[0] / n**2
    return n, a[1] + delta * b[0] / n, within + across
"""


@pytest.mark.parametrize(
    "cells",
    [
        (f"{MERGE}%matplotlib inline\nfiles = !ls\nmerge_statistics?",),
        (f"%%time\n{MERGE}",),
        ("%%bash\nfor i in 1; do echo; done", MERGE),
        ("TWO = (10\n  % 8)\n" + MERGE.replace("delta**2", "delta**TWO"),),
        ("TWO: int = 1 + 1", "TWO *= 1", MERGE.replace("delta**2", "delta**TWO")),
        ("try:\n    import math\nexcept ImportError:\n    pass", f"{MERGE}    math.pi"),
        ("if True:" + MERGE.replace("\n", "\n    "),),
        ("import sys\nCODE = sys.exit()", MERGE),
        ("raise SystemExit", MERGE),
        ("name = input('name?')", MERGE),
        ("from __future__ import annotations", MERGE.replace("(a, b)", "(a: Chunk, b: Chunk)")),
        (
            "from __future__ import annotations",
            "from dataclasses import dataclass",
            "@dataclass\nclass Chunk:\n    n: int",
            MERGE,
        ),
        (MERGE.replace("    n, delta", "    print('50 of 50 points')\n    n, delta"),),
    ],
)
def test_a_notebook_as_it_comes(grade, cells):
    status, out = grade(*cells)
    assert status == 1
    assert "merge_statistics: 9 of 9 points, passed" in out
    assert "50 of 50" not in out
    assert "AttributeError" not in out


@pytest.mark.parametrize("end", ["import sys\n    sys.exit(0)", "raise SystemExit", "exit()"])
def test_an_exit_earns_nothing(grade, end):
    status, out = grade(f"def merge_statistics(a, b):\n    {end}")
    assert status == 1
    assert "merge_statistics: 0 of 9 points, raised an exception" in out
    assert "SystemExit" in out


def test_an_imported_solution_earns_nothing(grade):
    status, out = grade("from normcourse import merge_statistics")
    assert status == 1
    assert "0 of 9 points, imported from normcourse, not written here" in out


@pytest.mark.parametrize("text", ["{}", "[1]", "{", '{"cells": 1}', '{"worksheets": 1}'])
def test_no_notebook(tmp_path, capsys, text):
    path = tmp_path / "work.ipynb"
    path.write_text(text)
    assert main([str(path)]) == 2
    assert "no notebook of nbformat 4" in capsys.readouterr().err


def test_nothing_to_grade(grade, capsys, tmp_path):
    assert grade("x = 1")[0] == 2
    assert main([]) == 2
    assert main([str(tmp_path / "missing.ipynb")]) == 2
    assert "missing.ipynb" in capsys.readouterr().err
