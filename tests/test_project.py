"""The project around the package: lock, commands, Binder, launch buttons, colours."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_markdown_cell, new_notebook
from normcourse_site import PAGES, contrast, legible
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from normcourse.palette import ACCENT

ROOT = Path(__file__).parents[1]
LOCK = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
}


def needed(name, extra="", seen=None):
    """Every distribution that `name` with `extra` brings along, itself included."""
    seen = set() if seen is None else seen
    if (name, extra) not in seen:
        seen.add((name, extra))
        for requirement in map(Requirement, distribution(name).requires or []):
            if not requirement.marker or requirement.marker.evaluate({"extra": extra}):
                for extra_of_it in requirement.extras | {""}:
                    needed(canonicalize_name(requirement.name), extra_of_it, seen)
    return {name for name, _ in seen}


@pytest.mark.skipif(sys.platform != "linux", reason="the lock is made on Linux")
def test_lock_is_complete():
    cuda = {n for n in needed("torch") if n.startswith(("cuda", "nvidia", "triton"))}
    missing = needed("normcourse", "test") - {"normcourse", *LOCK} - cuda
    assert not missing, f"run `make lock`: requirements.txt lacks {sorted(missing)}"


def test_lock_is_within_the_ranges():
    declared = map(Requirement, distribution("normcourse").requires)
    outside = [
        str(requirement)
        for requirement in declared
        if requirement.name != "normcourse"
        and LOCK[canonicalize_name(requirement.name)] not in requirement.specifier
    ]
    assert not outside
    assert LOCK["torch"] == "2.13.0"
    assert LOCK["jupyter-book"].startswith("1.")


def test_make_explains_its_targets():
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split()
    assert re.findall(r"^ +make (\w+) +\S", shown.stdout, re.MULTILINE) == phony


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("no-such-python", "Install Python 3.11"),
        ("./old", "is too old"),
        ("./bare", "python3-venv"),
    ],
)
def test_make_says_what_is_wrong_with_python(tmp_path, python, message):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for file in ("requirements.txt", "pyproject.toml"):
        (tmp_path / file).touch()
    fails_at = {"./old": "version_info", "./bare": "ensurepip"}
    if python in fails_at:
        script = (
            f'#!/bin/sh\ncase "$*" in *{fails_at[python]}*) exit 1;; *--version*) echo 3;; esac\n'
        )
        (tmp_path / python).write_text(script)
        (tmp_path / python).chmod(0o755)
    command = ["make", "-s", "site", f"PYTHON={python}"]
    failed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert failed.returncode != 0
    assert message in failed.stdout


def test_binder_takes_the_lock_and_the_cpu_build():
    requirements = (ROOT / ".binder" / "requirements.txt").read_text()
    assert "--extra-index-url https://download.pytorch.org/whl/cpu\n" in requirements
    assert "-c ../requirements.txt\n" in requirements
    assert (ROOT / ".binder" / "runtime.txt").read_text() == "python-3.11\n"


@pytest.mark.parametrize("theme", PAGES)
@pytest.mark.parametrize("technique", ACCENT)
def test_accent_is_legible(technique, theme):
    color, page = ACCENT[technique], PAGES[theme]
    assert contrast(color, page) >= 3
    assert contrast(legible(color, page), page) >= 4.5


@pytest.fixture(scope="module", params=["", "https://github.com/someone/normcourse"])
def built(request, tmp_path_factory):
    """(address, folder) of a site of two pages, built without Python for the browser."""
    folder, url = tmp_path_factory.mktemp("book"), request.param
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["repository"]["url"] == ""
    config["repository"]["url"] = url
    config["sphinx"]["config"]["run_runtime"] = ""
    (folder / "_config.yml").write_text(yaml.safe_dump(config))
    toc = "{format: jb-book, root: book/page, chapters: [{file: book/exercise}]}\n"
    (folder / "_toc.yml").write_text(toc)
    for part in ("assets", "extensions"):
        shutil.copytree(ROOT / "book" / part, folder / "book" / part)
    page = new_notebook(cells=[new_markdown_cell("# A page")])
    nbformat.write(page, folder / "book" / "page.ipynb")
    notebook = nbformat.read(ROOT / "book/exercises/rescaling.ipynb", as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    notebook.cells.insert(0, new_markdown_cell("# An exercise"))
    nbformat.write(notebook, folder / "book" / "exercise.ipynb")
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    subprocess.run([jupyter_book, "build", ".", "-W", "--keep-going"], cwd=folder, check=True)
    return url, folder / "_build" / "html"


def test_launch_buttons_appear_with_the_address_of_the_repository(built):
    url, site = built
    html = (site / "book" / "page.html").read_text()
    links = [
        "https://mybinder.org/v2/gh/someone/normcourse/main?urlpath=lab/tree/book/page.ipynb",
        "https://colab.research.google.com/github/someone/normcourse/blob/main/book/page.ipynb",
        "https://github.com/someone/normcourse/issues/new",
    ]
    assert [link in html for link in links] == [bool(url)] * 3
    if not url:
        assert not re.search("mybinder|colab|github.com", html)


def test_a_site_without_the_runtime_says_so(built):
    url, site = built
    page = (site / "book" / "exercise.html").read_text()
    assert page.count("This site was built without Python for the browser.") == 1
    assert '<code class="literal">make lab</code>' in page
    assert ("opens this page in Binder or Colab" in page) == bool(url)
    link = re.search(r'<a href="([^"]+)" download>Download this page as a notebook', page)[1]
    assert (site / "book" / link).resolve().is_file()
    assert "run.js" not in page
    assert not list((site / "_static").glob("pyodide*"))
