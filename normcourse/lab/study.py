"""Studies: experiments too long for a chapter, and timings: ``python -m normcourse.lab.study``.

Named ones, or all, are run and what each seed gave is stored beside the claims, with date,
versions, the kind of processor, setting and seeds. Chapters show what is stored.
"""

import datetime
import json
import os
import platform
import sys
import time
from importlib import import_module

import numpy as np

from normcourse.lab.claims import claims

__all__ = ["processor", "run", "studies"]


# Modules with a list ``STUDIES``: what a page shows without a claim.
MODULES = (
    "normcourse.lab.compare",
    "normcourse.lab.frontier",
    "normcourse.lab.layer_search",
    "normcourse.lab.rates",
)


def studies():
    """All studies of the course, {name: Experiment}.

    Raises:
        ValueError: two experiments store their runs under one name.
    """
    found = {}
    shown = [e for module in MODULES for e in import_module(module).STUDIES]
    tried = [claim.experiment for claim in claims().values() if claim.experiment]
    for experiment in [*tried, *shown]:
        if experiment.study and found.setdefault(experiment.study, experiment) is not experiment:
            raise ValueError(f"two studies are named {experiment.study!r}.")
    return found


def processor():
    """The kind of processor in words, for instance "x86-64 with AVX-512, 2 cores"."""
    import torch

    machine = platform.machine().lower()
    kind = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64"}.get(machine, machine)
    able = torch.backends.cpu.get_cpu_capability()
    names = {"AVX512": " with AVX-512", "DEFAULT": "", "NO AVX": ""}
    cores = os.cpu_count()
    return f"{kind}{names.get(able, f' with {able}')}, {cores} core{'s' * (cores != 1)}"


def run(experiment):
    """Run the seeds of a study, printing the seconds of each, and store what they gave."""
    import torch

    runs = []
    for seed in experiment.seeds:
        start = time.perf_counter()
        with np.errstate(all="ignore"):
            runs.append(experiment.run(seed))
        seconds = time.perf_counter() - start
        print(f"{experiment.study}: seed {seed} took {seconds:.0f} s", flush=True)
    stored = {
        "setting": experiment.setting,
        "seeds": experiment.seeds,
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__.partition("+")[0],
        "processor": processor(),
        "runs": runs,
    }
    experiment.path.parent.mkdir(exist_ok=True)
    text = json.dumps(stored, indent=1, default=float, ensure_ascii=False)
    experiment.path.write_text(f"{text}\n", encoding="utf-8")
    vars(experiment).pop("runs", None)  # read again what was stored


def main(names):
    """Run these studies, or all."""
    known = studies()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"no study {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
    for name in names or known:
        run(known[name])


if __name__ == "__main__":
    main(sys.argv[1:])
