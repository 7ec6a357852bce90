"""Exercises: write a function, then ``check`` it.

    from normcourse.exercises import check, scoreboard

    check(batch_norm)          # what was tried, the smallest failing input, the mistake, a hint
    scoreboard("batch_norm")   # points so far

One exercise is one record (:mod:`~normcourse.exercises.record`), read by ``check`` in a notebook,
by pytest and by ``python -m normcourse.exercises``, which grades a learner's file.
"""

from normcourse.exercises.judge import judge
from normcourse.exercises.record import Exercise, Hint, Mistake, Probe, Steps
from normcourse.exercises.session import EXERCISES, Session, find

__all__ = [
    "EXERCISES",
    "Exercise",
    "Hint",
    "Mistake",
    "Probe",
    "Steps",
    "check",
    "find",
    "judge",
    "scoreboard",
]

_session = Session()
check = _session.check
scoreboard = _session.scoreboard
