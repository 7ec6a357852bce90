"""Run the notebooks as other processors would: ``python -m normcourse.lab.processors [name ...]``.

Libraries choose their kernels by the processor, and kernels sum in different orders. Environment
variables choose for them. What a notebook prints must not depend on it, and what it draws may
differ by less than can be seen.
"""

import os
import re
import subprocess
import sys
import time

__all__ = ["PROCESSORS", "run"]

_OLD = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
_NO_AVX = {"NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL"}
_ALONE = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PROCESSORS = {
    "Prescott": {"OPENBLAS_CORETYPE": "Prescott", **_OLD, **_NO_AVX},  # unlike any of today's
    "Sandybridge": {"OPENBLAS_CORETYPE": "Sandybridge", "ATEN_CPU_CAPABILITY": "default"},
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2"},
    "Zen": {"OPENBLAS_CORETYPE": "Zen", "ATEN_CPU_CAPABILITY": "avx2"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "one-thread": dict.fromkeys(_ALONE, "1"),
}


def run(name: str, folder: str = "book") -> bool:
    """Run the notebooks in ``folder`` as on that processor; print a line, and what failed.

    Raises:
        ValueError: there is no such processor in :data:`PROCESSORS`.
    """
    if name not in PROCESSORS:
        raise ValueError(f"no processor {name!r}; there are {', '.join(PROCESSORS)}.")
    print(f"notebooks as on {name:<12}", end="", flush=True)
    started = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "--nbval", "-n", "2", "--dist", "loadfile"]
    done = subprocess.run(
        [*command, folder], env=os.environ | PROCESSORS[name], capture_output=True, text=True
    )
    *_, summary = done.stdout.strip().splitlines() or [done.stderr]
    print(f"{re.sub(' in .*', '', summary.strip('= '))}, {time.perf_counter() - started:.0f} s")
    if done.returncode:
        print(done.stdout, done.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    results = [run(name) for name in sys.argv[1:] or PROCESSORS]
    sys.exit(not all(results))
