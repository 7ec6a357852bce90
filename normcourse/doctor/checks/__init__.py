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

__all__ = [
    "CHECKS",
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
