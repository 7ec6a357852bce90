"""Examine one's own model for mistakes in normalization.

    import normcourse

    normcourse.doctor(model)                    # what can be seen without data
    normcourse.doctor(model, batch, optimizer)  # and what it does with a batch

In a terminal: ``python -m normcourse.doctor module:factory --batch file``. The module itself can be
called; ``examine`` is the same function under a name of its own.
"""

import sys
from types import ModuleType

from normcourse.doctor.checks import CHECKS
from normcourse.doctor.examine import examine
from normcourse.doctor.porting import compare
from normcourse.doctor.report import Finding, NotChecked, Report

__all__ = ["CHECKS", "Finding", "NotChecked", "Report", "compare", "examine"]


class Doctor(ModuleType):
    """A module that can be called: ``normcourse.doctor(model)`` is :func:`examine`."""

    __call__ = staticmethod(examine)


sys.modules[__name__].__class__ = Doctor
