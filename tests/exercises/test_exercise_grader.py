"""``python -m normcourse.exercises``: a learner's notebook or file becomes points."""

import json

import pytest

from normcourse.exercises.__main__ import main

IMPORT = "from normcourse import batch_norm, batch_norm_backward, batch_norm_inference"
REST = """
from normcourse import update_running_statistics
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
        if suffix == ".ipynb":
            code = [{"cell_type": "code", "source": [cell]} for cell in cells]
            text = {"cells": [{"cell_type": "markdown", "source": ["def no:"]}, *code]}
            path.write_text(json.dumps(text))
        else:
            path.write_text("\n".join(cells))
        status = main([str(path)])
        return status, capsys.readouterr().out

    return grade


@pytest.mark.parametrize("suffix", [".ipynb", ".py"])
def test_full_points(grade, suffix):
    status, out = grade(IMPORT, REST, suffix=suffix)
    assert status == 0
    assert "batch_norm.batch_norm: 5 of 5 points, passed" in out
    assert "batch_norm: 21 of 21 points" in out


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
    assert "merge_statistics: 0 of 2 points, distance between the means forgotten" in out
    assert "standard_scale: 0 of 3 points, not started" in out
    assert "min_max_scale: 0 of 3 points, raised an exception" in out
    assert "min_max_inverse: 0 of 3 points, not defined" in out
    assert "rescaling: 0 of 11 points" in out


def test_nothing_to_grade(grade, capsys, tmp_path):
    assert grade("x = 1")[0] == 2
    assert main([]) == 2
    assert main([str(tmp_path / "missing.ipynb")]) == 2
    assert "missing.ipynb" in capsys.readouterr().err
