"""The checks, by what they look at; importing this fills ``CHECKS``."""

from normcourse.doctor.checks import (
    batches,
    copies,
    data,
    modes,
    optimizer,
    precision,
    statistics,
    structure,
    weights,
)
from normcourse.doctor.checks.record import CHECKS, Check, Found, Unchecked, check

# In the report's order: what was done to the model first, then what it is, then its data.
GROUPS = (modes, statistics, batches, copies, precision, optimizer, structure, weights, data)
_ORDER = [group.__name__.rsplit(".", 1)[-1] for group in GROUPS]
_sorted = sorted(CHECKS.items(), key=lambda item: _ORDER.index(item[1].group))
CHECKS.clear()
CHECKS.update(_sorted)

__all__ = [
    "CHECKS",
    "GROUPS",
    "Check",
    "Found",
    "Unchecked",
    "batches",
    "check",
    "copies",
    "data",
    "modes",
    "optimizer",
    "precision",
    "statistics",
    "structure",
    "weights",
]
