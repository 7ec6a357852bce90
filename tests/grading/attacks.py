"""The submissions of ``attacks.toml`` as files, and an honest one."""

import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

HONEST = """
import numpy as np

def min_max_scale(X_train, X_new, low, high):
    X_train, X_new = np.asarray(X_train), np.asarray(X_new)
    least, most = X_train.min(0), X_train.max(0)
    span = np.where(most > least, most - least, 1)
    return (low + (high - low) * (X_new - least) / span).astype(X_new.dtype)

def min_max_inverse(X_train, Z, low, high):
    least, most = X_train.min(0), X_train.max(0)
    span = np.where(most > least, most - least, 1)
    return least + (Z - low) / (high - low) * span

def standard_scale(X_train, X_new):
    sd = X_train.std(0)
    return (X_new - X_train.mean(0)) / np.where(sd > 0, sd, 1)

def merge_statistics(a, b):
    n, delta = a[0] + b[0], b[1] - a[1]
    within, across = (a[0] * a[2] + b[0] * b[2]) / n, delta**2 * a[0] * b[0] / n**2
    return n, a[1] + delta * b[0] / n, within + across
"""
SEED = 20_261_127
QUICK = {
    "exercises": ("rescaling",),
    "seconds_per_call": 1.0,
    "seconds_per_statement": 1.0,
    "seconds_per_file": 3.0,
    "memory": 512,
}
FULL, MERGE = 23, 9
REST = FULL - MERGE
RIGHT = """
n, delta = a[0] + b[0], b[1] - a[1]
right = n, a[1] + delta * b[0] / n, (a[0]*a[2] + b[0]*b[2]) / n + delta**2 * a[0]*b[0] / n**2
"""


@dataclass(frozen=True)
class Attack:
    """A file, the most and the least that it may earn, and what it does without a sandbox."""

    name: str
    source: str
    deserved: int
    least: int
    bare: str


def _attack(name, file="", merge="", before="", deserved=None, least=None, bare=""):
    source = file.replace("HONEST", HONEST)
    if merge:
        body = textwrap.indent(merge.replace("RIGHT", RIGHT).strip("\n"), "    ")
        rest = HONEST[: HONEST.index("def merge_statistics")]
        source = f"{rest}\n{before}\ndef merge_statistics(a, b):\n{body}\n"
    other = REST if merge else 0
    deserved, least = (other if points is None else points for points in (deserved, least))
    return Attack(name, source, deserved, least, bare)


ATTACKS = [
    _attack(**said)
    for said in tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["attack"]
]
