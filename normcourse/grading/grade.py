"""One submission becomes one row, whatever it is."""

import hashlib
import math
import time
import warnings
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from normcourse.exercises.judge import judge
from normcourse.exercises.record import Exercise
from normcourse.exercises.session import EXERCISES, Feedback
from normcourse.grading import wire
from normcourse.grading.channel import Broken, Excess, Late
from normcourse.grading.child import Child, Function
from normcourse.grading.submission import Unreadable

__all__ = ["Graded", "Row", "grade"]

MOST_PROBLEMS = 30  # that a row holds
NOTHING = "no function of an exercise is defined there"
LEARNER = "learner"  # what the process that computes calls the learner's module


@dataclass
class Graded:
    """What came of one exercise: points, its state in a few words, mistakes that were named."""

    points: int
    most: int
    state: str
    mistakes: tuple[str, ...] = ()
    explanations: tuple[str, ...] = ()
    text: str = ""
    html: str = ""
    seconds: float = 0.0
    numbers: str = ""  # of a wrong attempt, as a fingerprint


@dataclass
class Row:
    """All that is known of one learner's submission.

    ``status`` is "graded", "nothing handed in" or "not graded"; ``why`` says more.
    """

    learner: str
    status: str = "graded"
    why: str = ""
    files: tuple[str, ...] = ()
    digest: str = ""
    submitted: str | None = None
    about: dict = field(default_factory=dict)
    exercises: dict = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    sandbox: str = ""
    held: tuple[str, ...] = ()
    seed: int = 0
    seconds: float = 0.0
    started: float = 0.0

    @property
    def points(self):
        return sum(e.points for e in self.exercises.values())

    @property
    def most(self):
        return sum(e.most for e in self.exercises.values())

    def as_dict(self):
        return asdict(self)

    @classmethod
    def from_dict(cls, said):
        row = cls(**said)
        row.exercises = {name: Graded(**graded) for name, graded in row.exercises.items()}
        return row


def grade(submission, rules, sandbox, seed):
    """The :class:`Row` of a submission; it does not raise, whatever was handed in."""
    started = time.perf_counter()
    row = Row(submission.learner, about=submission.about, seed=seed)
    row.files = tuple(wire.clean(f.name, 120) for f in submission.files)
    row.sandbox, row.held = sandbox.name, sandbox.held
    try:
        _fill(row, submission, rules, sandbox, seed)
    except Unreadable as error:
        row.status, row.why = "not graded", str(error)
    except Exception as error:  # ours or the machine's: the others are graded all the same
        row.status, row.why = "not graded", f"the grader failed: {wire.clean(repr(error))}"
    row.digest = submission.digest
    row.submitted = submission.submitted and submission.submitted.isoformat()
    if row.status != "graded" and rules.exercises:
        row.exercises = {
            name: Graded(0, exercise.points, row.status)
            for name, exercise in _asked(rules.techniques()).items()
        }
    row.seconds = time.perf_counter() - started
    return row


def _fill(row, submission, rules, sandbox, seed):
    if not submission.files:
        row.status = "nothing handed in"
        return
    submission.read()
    techniques = rules.techniques()
    begun = time.perf_counter()
    with Child(sandbox, submission, techniques, rules) as child:
        try:
            functions = child.define()
        except (Late, Broken, Excess, wire.Malformed) as error:
            row.cut = ("not read to its end",)
            raise Unreadable(_unread(error, rules)) from None
        row.started = time.perf_counter() - begun
        if not rules.exercises:
            techniques = {
                technique: names
                for technique, names in techniques.items()
                if any(f"{technique}.{name}" in functions for name in names)
            }
        for name, exercise in _asked(techniques).items():
            row.exercises[name] = _graded(child, exercise, name, seed)
        row.problems = (*submission.notes, *child.problems)[:MOST_PROBLEMS]
        row.cut = tuple(child.cut)
    if not row.exercises:
        raise Unreadable(NOTHING)


def _unread(error, rules):
    if isinstance(error, Late):
        return f"running its definitions took longer than {rules.seconds_per_file:g} s"
    if isinstance(error, Excess):
        return f"its definitions held {error}"
    return "its definitions ended the process that ran them, or spoke in its name"


def _asked(techniques):
    return {
        f"{technique}.{exercise.name}": exercise
        for technique, names in techniques.items()
        for exercise in EXERCISES[technique]
        if exercise.name in names
    }


def _graded(child, exercise, name, seed):
    """The best that one of the functions of this name earns."""
    best = Graded(0, exercise.points, "not defined")
    started = time.perf_counter()
    for version in range(len(child.functions.get(name, ()))):
        function = Function(child, exercise, name, version)
        if function.origin.partition(".")[0] != LEARNER:
            found = Graded(0, exercise.points, _imported(function))
        else:
            found = _judged(exercise, function, seed, child.rules.hints)
        if version == 0 or found.points > best.points:
            best = found
        if best.points == exercise.points:
            break
    best.seconds = time.perf_counter() - started
    return best


def _imported(function):
    return f"imported from {function.origin}, not written here"


def _judged(exercise: Exercise, function, seed, hints):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of wrong twins: nobody here can mend them
            verdict = replace(judge(exercise, function, seed), strict=True)
        feedback = Feedback(verdict, hints, here=False)
    except Exception as error:  # an answer that the judge cannot take is worth nothing
        return Graded(0, exercise.points, f"not judged: {wire.clean(type(error).__name__)}")
    return Graded(
        points=verdict.points,
        most=exercise.points,
        state=state(verdict),
        mistakes=tuple(f.name for f in verdict.findings),
        explanations=tuple(f.explanation for f in verdict.findings),
        text=repr(feedback),
        html=feedback._repr_html_(),
        numbers=_fingerprint(verdict),
    )


def state(verdict):
    """A verdict in a few words."""
    if verdict.passed:
        return "passed"
    if not verdict.started:
        return "not started"
    readings = (" and ".join(reading.names) for reading in verdict.readings)
    return " or ".join(readings) or "wrong in a way known to no record"


def _fingerprint(verdict):
    """The same for attempts with the same wrong numbers; "" where there are none."""
    wrong = [
        (trial.probe.name, i, _rounded(trial.got[i]))
        for trial in verdict.trials
        if trial.got
        for i, right in enumerate(trial.correct)
        if not right.all()
    ]
    return hashlib.sha256(repr(wrong).encode()).hexdigest()[:16] if wrong else ""


def _rounded(array):
    """Four digits of each number, relative to the largest: the rounding of float32 is lost."""
    array = np.asarray(array, np.float64)
    finite = np.abs(array[np.isfinite(array)])
    largest = finite.max(initial=0.0)
    digits = 4 - (math.floor(math.log10(largest)) if largest > 0 else 0)
    return np.round(array, digits).tolist()
