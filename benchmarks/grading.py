"""Grade a generated class whose grades are known: python benchmarks/grading.py [how many] [--dask]

Right, wrong, broken and hostile submissions, on one process and on two, then on a local Dask
cluster; what differs from the known grades, the time, the memory, and where the time goes.
"""

import argparse
import random
import resource
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "grading"))

from attacks import ATTACKS, HONEST

from normcourse.exercises import EXERCISES, judge
from normcourse.grading import Rules, choose, find, grade
from normcourse.grading.run import run

SEED = 2026
RULES = Rules(exercises=("rescaling",), seed=SEED, seconds_per_call=1.0, seconds_per_file=5.0)
# One change of an honest file each; the first changes nothing.
CHANGES = {
    "min_max_scale": (
        ("", ""),
        ("low + (high - low) * (X_new", "low + high * (X_new"),
        (
            "X_train.min(0), X_train.max(0)\n    span = np",
            "X_new.min(0), X_new.max(0)\n    span = np",
        ),
        (
            "np.where(most > least, most - least, 1)\n    return (low",
            "(most - least)\n    return (low",
        ),
    ),
    "min_max_inverse": (("", ""), ("(Z - low) /", "Z /"), ("(high - low) * span", "high * span")),
    "standard_scale": (
        ("", ""),
        ("X_train.std(0)", "X_train.std(0, ddof=1)"),
        ("X_train.std(0)", "X_new.std(0)"),
        ("X_train.mean(0)", "X_train.mean()"),
        ("sd = X_train.std(0)", "sd = X_train.var(0)"),
    ),
    "merge_statistics": (
        ("", ""),
        ("delta**2 * a[0]", "0 * a[0]"),
        ("n, a[1] + delta * b[0] / n", "n, (a[1] + b[1]) / 2"),
        ("a[0] * b[0] / n**2", "a[0] * b[0] / n"),
        ("return n, a[1]", "return a[1]"),
    ),
}
BROKEN = ("{", '{"cells": []}', "[" * 50_000, "\x00\x01", "")


def generate(folder, many):
    """Write a class; {learner: (least, most) points that are right for it}."""
    rng, known, judged = random.Random(SEED), {}, {}
    hostile = [attack for attack in ATTACKS if not attack.bare]
    for i in range(many):
        name, kind = f"learner{i:04}", rng.random()
        if kind < 0.05:
            (folder / f"{name}.ipynb").write_text(rng.choice(BROKEN), encoding="utf-8")
            known[name] = 0, 0
        elif kind < 0.15:
            attack = rng.choice(hostile)
            (folder / f"{name}.py").write_text(attack.source, encoding="utf-8")
            known[name] = attack.least, attack.deserved
        else:
            chosen = {
                function: rng.choice(changes) if kind > 0.6 else changes[0]
                for function, changes in CHANGES.items()
            }
            source = HONEST
            for old, new in chosen.values():
                source = source.replace(old, new) if old else source
            (folder / f"{name}.py").write_text(source, encoding="utf-8")
            if source not in judged:
                judged[source] = points(source)
            known[name] = judged[source], judged[source]
    return known


def points(source):
    """What the judge gives in this process."""
    namespace = {}
    exec(source, namespace)
    warnings.simplefilter("ignore")  # of wrong solutions
    verdicts = (judge(e, namespace[e.name], SEED) for e in EXERCISES["rescaling"])
    return sum(replace(verdict, strict=True).points for verdict in verdicts)


def differing(rows, known):
    found = {row.learner: row.points for row in rows}
    return {
        learner: (found.get(learner), wanted)
        for learner, wanted in known.items()
        if not wanted[0] <= found.get(learner, -1) <= wanted[1]
    }


def memory():
    """The largest process of this one and of those that it waited for, in MB."""
    most = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return " and ".join(f"{resource.getrusage(who).ru_maxrss / 1024:.0f}" for who in most)


def timed(what, submissions, known, **how):
    with tempfile.TemporaryDirectory() as out:
        result = run(submissions, out, RULES, **how)
    wrong = differing(result.rows, known)
    print(f"{what:24}{result.seconds:8.1f} s  {len(result.rows)} rows, {len(wrong)} not as known")
    for learner, (got, wanted) in wrong.items():
        print(f"    {learner}: {got}, known: {wanted}")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("many", nargs="?", type=int, default=1000)
    parser.add_argument("--dask", action="store_true", help="on a local cluster of two, too")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        known = generate(folder, said.many)
        one = timed("one process", find([folder]), known, jobs=1)
        two = timed("two processes", find([folder]), known, jobs=2)
        print(f"speed-up {one.seconds / two.seconds:.2f}; memory of the largest: {memory()} MB")
        whole = [row.seconds for row in one.rows if row.status == "graded" and not row.cut]
        starts = [row.started for row in one.rows if row.status == "graded" and not row.cut]
        print(
            f"one submission: {median(whole):.2f} s, of it start and reading {median(starts):.2f}"
        )
        if said.dask:
            from distributed import Client, LocalCluster

            with (
                LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
                Client(cluster),
            ):
                address = cluster.scheduler_address
                timed("Dask, two workers", find([folder]), known, dask=address)
        sandbox = choose("auto")
        honest = folder / "honest.py"
        honest.write_text(HONEST, encoding="utf-8")
        (submission,) = find([honest])
        bare = [grade(submission, RULES, sandbox, SEED).seconds for _ in range(5)]
        print(f"an honest file, {sandbox.name}: {median(bare):.2f} s")


if __name__ == "__main__":
    main()
