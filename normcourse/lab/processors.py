"""Run the notebooks as on other processors: ``python -m normcourse.lab.processors [name ...]``.

With ``--changed`` nothing is run again that agreed when all it depends on was as it is now.

NumPy, PyTorch and the libraries below them hold code for many processors, choose by the one they
find, and what they choose rounds in its own way. Variables choose for them. What a notebook prints
must not depend on it, and what it draws may differ by less than can be seen.
"""

import os
import signal
import subprocess
import sys

from normcourse.lab.agreed import EXTENSIONS, Agreed

__all__ = ["OLDEST", "PROCESSORS", "environment", "run"]

OLDEST, NATIVE = "oldest", "native"

# Name -> what is set. `make test` runs the native one, which is as this one is, and the oldest:
# nothing that processors learned after 2008, so it is unlike any machine of today. `make cpus` runs
# all but the oldest.
PROCESSORS = {
    OLDEST: {
        "OPENBLAS_CORETYPE": "Prescott",
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "NPY_DISABLE_CPU_FEATURES": " ".join(EXTENSIONS.get("found", [])),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
    },
    NATIVE: {},
    "Prescott": {"OPENBLAS_CORETYPE": "Prescott"},
    "Sandybridge": {"OPENBLAS_CORETYPE": "Sandybridge"},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "Zen": {"OPENBLAS_CORETYPE": "Zen"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "torch-default": {"ATEN_CPU_CAPABILITY": "default"},
    "torch-avx2": {"ATEN_CPU_CAPABILITY": "avx2"},
    "one-thread": {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "two-threads": {"OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
}

# Prints what really runs: a library that does not know a name chooses for itself.
_PROBE = """
import numpy, threadpoolctl, torch
matrix = numpy.ones((300, 300), dtype="float32")
torch.tensor(matrix @ matrix) @ torch.tensor(matrix)
blas = {pool["architecture"] for pool in threadpoolctl.threadpool_info() if "architecture" in pool}
print("OpenBLAS", *sorted(blas) or "-", "torch", torch.backends.cpu.get_cpu_capability())
"""
_NBVAL = ["-m", "pytest", "-q", "--nbval", "-n", "2", "--dist", "loadfile"]
_PATHS = "book", "tests/test_notebooks.py"
_NEEDED = "book/**/*", "normcourse/**/*", "tests/test_notebooks.py", "requirements.txt"


def environment(name: str) -> dict[str, str]:
    """The variables of this process; of the libraries chosen for, only those of `name`."""
    libraries = tuple({key.split("_")[0] + "_" for chosen in PROCESSORS.values() for key in chosen})
    return {k: v for k, v in os.environ.items() if not k.startswith(libraries)} | PROCESSORS[name]


def run(name: str, *paths: str) -> bool | None:
    """Run the notebooks as on that processor, and make their playgrounds; print what failed.

    Args:
        name: of :data:`PROCESSORS`.
        paths: what pytest is given; without any, the book and the tests of what it stores.

    Returns:
        Whether all agree with what they store; None where this machine lacks what that one has.

    Raises:
        ValueError: there is no such processor in :data:`PROCESSORS`.
    """
    if name not in PROCESSORS:
        raise ValueError(f"no processor {name!r}; there are {', '.join(PROCESSORS)}.")
    print(f"notebooks as on {name:14}", end="", flush=True)
    done = _python("-c", _PROBE, name=name)
    if done.returncode == -signal.SIGILL:
        print("not possible on this machine")
        return None
    if done.returncode == 0:
        print(f"({done.stdout.strip()}): ", end="", flush=True)
        # What is stored beside the outputs, the other tests look at on this processor.
        done = _python(*_NBVAL, *(paths or _PATHS[: 1 if name == NATIVE else 2]), name=name)
    print((done.stdout.strip() or "failed").splitlines()[-1])
    if done.returncode:
        print(done.stdout, done.stderr)
    return done.returncode == 0


def _python(*arguments, name):
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment(name), capture_output=True, text=True)


def run_changed(name: str) -> bool | None:
    """As :func:`run`, unless all agreed when every file was as it is now."""
    agreed = Agreed(name, _NEEDED)
    if agreed:
        print(f"notebooks as on {name}: agreed before, and nothing changed since")
        return True
    passed = run(name)
    if passed:
        agreed.passed()
    return passed


def main(names):
    """Run these, or all but the oldest, and return the number of those that failed."""
    runs = run_changed if "--changed" in names else run
    names = [name for name in names if name != "--changed"]
    passed = {name: runs(name) for name in names or [n for n in PROCESSORS if n != OLDEST]}
    failed = [name for name, result in passed.items() if result is False]
    if len(passed) > 1:
        absent = [name for name, result in passed.items() if result is None]
        equal = len(passed) - len(failed) - len(absent)
        print(f"{equal} agree; failed: {', '.join(failed) or 'none'}", end="; ")
        print(f"not possible here: {', '.join(absent) or 'none'}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
