"""Other processors are imitated, and what fails on one of them fails the run."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from normcourse.lab import agreed, processors
from normcourse.lab.processors import OLDEST, PROCESSORS, environment, main, run

ROUNDING = """
import math, hashlib, numpy
rng = numpy.random.default_rng(0)
a = rng.normal(size=(300, 300))
results = [a @ a, numpy.exp(a), numpy.array([math.sin(x) for x in a.flat])]
print(*(hashlib.md5(numpy.ascontiguousarray(r)).hexdigest() for r in results))
"""


def test_a_processor_is_all_that_is_chosen(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Nehalem")
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "512")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert environment("Zen")["OPENBLAS_CORETYPE"] == "Zen"
    assert "OPENBLAS_L2_SIZE" not in environment("Zen")
    assert "OPENBLAS_CORETYPE" not in environment("native")
    assert environment("native")["OMP_NUM_THREADS"] == "1"


def modern():
    found = subprocess.run(["cat", "/proc/cpuinfo"], capture_output=True, text=True).stdout
    return bool(re.search(r"^flags.* fma .*avx2", found, re.MULTILINE))


@pytest.mark.skipif(not modern(), reason="this processor is none of x86 with AVX2 under Linux")
def test_the_oldest_rounds_otherwise_in_every_library():
    """Else `make test` would not see what another processor does."""
    both = [
        subprocess.run(
            [sys.executable, "-c", ROUNDING],
            env=environment(name),
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for name in ("native", OLDEST)
    ]
    assert [a != b for a, b in zip(*both, strict=True)] == [True] * 3


def test_notebooks_run_on_it(tmp_path, capsys):
    code = "import os\nprint(os.environ['OPENBLAS_CORETYPE'])"
    for printed in ("Prescott", "Zen"):
        outputs = [new_output("stream", text=f"{printed}\n")]
        cell = new_code_cell(code, execution_count=1, outputs=outputs)
        nbformat.write(new_notebook(cells=[cell]), tmp_path / f"{printed}.ipynb")
    assert run("Prescott", "-n0", str(tmp_path)) is False
    shown = capsys.readouterr().out
    counts = r"notebooks as on Prescott +\(OpenBLAS \w+ torch \w+\): 1 failed, 1 passed"
    assert re.match(counts, shown)
    assert "Zen.ipynb::Cell 0" in shown
    assert "Prescott.ipynb::Cell 0" not in shown
    assert "'Zen\\n' == 'Prescott\\n'" in shown


def test_instructions_that_are_missing_are_no_failure(monkeypatch, capsys):
    monkeypatch.setattr(processors, "_PROBE", "import os; os.kill(os.getpid(), 4)")
    assert run("SkylakeX") is None
    assert "not possible on this machine" in capsys.readouterr().out


def test_a_library_that_is_missing_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(processors, "_PROBE", "import no_such_library")
    assert run("SkylakeX") is False
    assert "No module named 'no_such_library'" in capsys.readouterr().out


def test_one_failure_fails_all(monkeypatch, capsys):
    results = dict.fromkeys(PROCESSORS, True) | {"Zen": False, "SkylakeX": None}
    monkeypatch.setattr(processors, "run", results.get)
    assert main(["Zen"]) == main([]) == 1
    assert "8 agree; failed: Zen; not possible here: SkylakeX" in capsys.readouterr().out
    assert main([OLDEST]) == main(["native", "SkylakeX"]) == 0


def test_processors_are_named():
    with pytest.raises(ValueError, match="no processor 'Pentium'; there are oldest, "):
        run("Pentium")


def test_make_test_runs_the_oldest_and_make_cpus_the_others():
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    lines = re.findall(r"-m normcourse\.lab\.processors(.*)", makefile)
    assert lines == [f" --changed native {OLDEST}", ""]


def test_what_agreed_is_run_again_when_anything_changed(monkeypatch, tmp_path, capsys):
    runs, passes = [], [True]
    monkeypatch.setattr(agreed, "FOLDER", tmp_path / "agreed")
    monkeypatch.setattr(processors, "run", lambda name: runs.append(name) or passes[-1])
    monkeypatch.chdir(tmp_path)
    notebook = tmp_path / "book" / "practice" / "page.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.write_text("one")
    for _ in range(2):
        assert main(["--changed", OLDEST]) == 0
    assert runs == [OLDEST]
    assert "agreed before, and nothing changed" in capsys.readouterr().out
    notebook.write_text("two")
    passes.append(False)
    for _ in range(2):  # what failed is run again
        assert main(["--changed", OLDEST]) == 1
    assert len(runs) == 3
    passes.append(True)
    assert main(["--changed", OLDEST]) == main([OLDEST]) == 0  # without the word it always runs
    assert len(runs) == 5
