"""Execute the book's notebooks in place: ``python -m normcourse.lab.execute [notebook ...]``.

Executing a notebook twice leaves no difference: one thread, a fixed hash seed, no timings and no
versions in the metadata. Widget state is stored, so that the site can draw the widgets.
"""

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

__all__ = ["ENVIRONMENT", "execute", "notebooks"]

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # sums in one order, on every machine
    "PYTHONHASHSEED": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # silences a warning of the debugger in stderr
}
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "name": "python", "pygments_lexer": "ipython3"},
}


def notebooks(root="book"):
    """The notebooks of the book, the ledger of claims last: it reads the chapters' outputs."""
    found = (p for p in Path(root).rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    return sorted(found, key=lambda path: (path.stem == "claims", path))


def execute(path):
    """Execute the notebook at `path` in its own folder and write it back."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("widgets", None)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(Path(path).parent)}},
    ).execute(env={**os.environ, **ENVIRONMENT})
    notebook.metadata.update(METADATA)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main(paths):
    for path in map(Path, paths or notebooks()):
        print(f"{path} ", end="", flush=True)
        started = time.perf_counter()
        execute(path)
        print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
