"""What a learner meets: ``check`` and ``scoreboard``, which remember attempts and points."""

import json
from collections import Counter
from pathlib import Path

import numpy as np

from normcourse.exercises import (
    batch_norm,
    capstone,
    divisive_norm,
    group_norm,
    instance_norm,
    layer_norm,
    rescaling,
    rms_norm,
    spectral_norm,
    switchable_norm,
    weight_norm,
)
from normcourse.exercises.display import Report, Section, Table
from normcourse.exercises.judge import judge

__all__ = ["EXERCISES", "Feedback", "Session", "find", "register"]

# Per technique, in the order of the course.
EXERCISES = {
    "rescaling": rescaling.EXERCISES,
    "batch_norm": batch_norm.EXERCISES,
    "layer_norm": layer_norm.EXERCISES,
    "instance_norm": instance_norm.EXERCISES,
    "group_norm": group_norm.EXERCISES,
    "rms_norm": rms_norm.EXERCISES,
    "weight_norm": weight_norm.EXERCISES,
    "spectral_norm": spectral_norm.EXERCISES,
    "divisive_norm": divisive_norm.EXERCISES,
    "switchable_norm": switchable_norm.EXERCISES,
    "capstone": capstone.EXERCISES,
}

MOST_ENTRIES = 6  # of a wrong result that are listed
MOST_READINGS = 3  # that cannot be told apart and are listed
MOST_NUMBERS = 18  # of an argument that are written out


def register(technique, exercises):
    """Make exercises of one's own known to ``check``, and to whatever else looks for them.

    Args:
        technique: their common name, such as the name of the file that holds them.
        exercises: records, see :class:`~normcourse.exercises.record.Exercise`.

    Raises:
        ValueError: a technique or a function of that name is there already.
    """
    taken = {e.name for known in EXERCISES.values() for e in known} | EXERCISES.keys()
    for name in (technique, *(e.name for e in exercises if e.name != technique)):
        if name in taken:
            raise ValueError(f"{name!r} is an exercise already. Choose another name.")
    EXERCISES[technique] = tuple(exercises)


def find(name):
    """The exercise called ``name``, or "technique.name"; ValueError lists what there is."""
    return _locate(name)[1]


def _locate(name):
    """The technique and the exercise."""
    for technique, exercises in EXERCISES.items():
        for exercise in exercises:
            if name in (exercise.name, f"{technique}.{exercise.name}"):
                return technique, exercise
    known = ", ".join(f"{t}.{e.name}" for t, exercises in EXERCISES.items() for e in exercises)
    raise ValueError(f"There is no exercise {name!r}. There are: {known}.")


class Session:
    """Attempts of one learner: how often each exercise failed, and the best points."""

    def __init__(self):
        self._failures = Counter()  # by (technique, name), as are the points
        self._best = Counter()

    def check(self, fn, exercise=None):
        """Try ``fn`` on the inputs of its exercise and say what is right, what is wrong, and why.

        Args:
            fn: the function itself, without parentheses.
            exercise: its name, such as "batch_norm.batch_norm", where the function is called
                otherwise.

        Returns:
            Feedback. Each failing check of an exercise reveals one more hint.

        Raises:
            TypeError: ``fn`` is not a function.
            ValueError: there is no exercise of that name, or of the function's own.
        """
        if not callable(fn):
            raise TypeError(
                f"check needs the function itself, as in check(batch_norm); got a "
                f"{type(fn).__name__}. Leave out the parentheses after its name."
            )
        try:
            technique, exercise = _locate(exercise or getattr(fn, "__name__", type(fn).__name__))
        except ValueError as error:
            if exercise:
                raise
            advice = (
                'If this is your batch_norm under another name: check(fn, "batch_norm.batch_norm")'
            )
            raise ValueError(f"{error} {advice}.") from None
        verdict = judge(exercise, fn)
        key = technique, exercise.name
        self._best[key] = max(verdict.points, self._best[key])
        if verdict.started and not verdict.passed:
            self._failures[key] += 1
        return Feedback(verdict, self._failures[key])

    def state(self):
        """Failures and points as a plain dict, for :meth:`restore` in another session."""
        counts = {"failures": self._failures, "best": self._best}
        return {kind: {".".join(k): n for k, n in c.items() if n} for kind, c in counts.items()}

    def restore(self, state):
        """Go on from what :meth:`state` returned; what no longer fits the exercises is left out."""
        for technique, exercises in EXERCISES.items():
            for exercise in exercises:
                key, name = (technique, exercise.name), f"{technique}.{exercise.name}"
                self._failures[key] = state.get("failures", {}).get(name, 0)
                self._best[key] = min(state.get("best", {}).get(name, 0), exercise.points)

    def save_points(self, path):
        """Write failures and best points as JSON, for the page of progress to import.

        Args:
            path: of the file, such as "points.json"; one that is there is replaced.

        The file holds ``{"normcourse": 1, "session": state()}``. It is text that anyone can write:
        no proof of who solved what.
        """
        text = json.dumps({"normcourse": 1, "session": self.state()}, indent=1)
        Path(path).write_text(f"{text}\n", encoding="utf-8")

    def scoreboard(self, technique):
        """The best points so far of every exercise on ``technique``."""
        if technique not in EXERCISES:
            raise ValueError(f"No exercises on {technique!r}. There are: {', '.join(EXERCISES)}.")
        exercises = EXERCISES[technique]
        best = [self._best[technique, e.name] for e in exercises]
        most = sum(e.points for e in exercises)
        rows = tuple(
            (e.name, f"{b} of {e.points}", "done" if b == e.points else "open")
            for e, b in zip(exercises, best, strict=True)
        )
        table = Table(("function", "points", "state"), rows)
        advice = "All done." if sum(best) == most else "Points are the best of your checks so far."
        return Report(
            f"{technique}: {sum(best)} of {most} points",
            "passed" if sum(best) == most else "open",
            [Section("Points by function", (table, advice))],
        )


class Feedback(Report):
    """What :meth:`Session.check` returns.

    Attributes:
        verdict: all trials.
        arguments: those of the smallest failing input, to try by hand; None if all passed.
        hints: the ones revealed so far.
    """

    def __init__(self, verdict, failures, here=True):
        exercise = verdict.exercise
        failure = verdict.smallest_failure
        self.verdict = verdict
        self.hints = () if verdict.passed else _fitting_hints(verdict)[:failures]
        self.arguments = None if failure is None else failure.arguments
        points = f"{verdict.points} of {exercise.points} points"
        if not verdict.started:
            title, state, sections = f"not started yet, {points}", "open", _invitation(exercise)
        elif verdict.passed:
            title, state, sections = f"passed, {points}", "passed", [_tried(verdict)]
        else:
            title, state = f"not there yet, {points}", "wrong"
            sections = [*_diagnosis(verdict, here), *_hints(exercise, self.hints, here)]
        if verdict.notes:
            sections.append(Section("Note", verdict.notes))
        super().__init__(f"{exercise.name}: {title}", state, sections)


def _fitting_hints(verdict):
    """All hints, those on the steps that are wrong first."""
    about = frozenset().union(*(finding.about for finding in verdict.findings))
    hints = sorted(verdict.exercise.hints, key=lambda hint: not about & set(hint.about.split()))
    return tuple(hint.text for hint in hints)


def _invitation(exercise):
    count = len(exercise.planted)
    if count:
        planted = "One bug is" if count == 1 else f"{count} bugs are"
        advice = f"{planted} planted in this code. Mend one, run it, then check again."
        return [Section("To do", (exercise.task, advice))]
    return [Section("To do", (exercise.task, "Write the body, run it, then check again."))]


def _tried(verdict):
    rows = tuple((t.probe.name, _state(verdict.exercise, t)) for t in verdict.trials)
    return Section("What was tried", (Table(("input", "result"), rows), *_by_result(verdict)))


def _by_result(verdict):
    """A sentence where some results are right and others wrong: each is judged on its own."""
    right = [name for name, passed in verdict.by_result.items() if passed]
    wrong = [name for name, passed in verdict.by_result.items() if not passed]
    if right and wrong:
        not_right = f"{_listed(wrong)} {_are(wrong)} not"
        yield f"{_listed(right)} {_are(right)} right for every input, {not_right}."


def _state(exercise, trial):
    if trial.passed:
        return "right"
    right = [n for n, c in zip(exercise.returns, trial.correct, strict=False) if c.all()]
    return f"wrong, but {_listed(right)} {_are(right)} right" if right else "wrong"


def _listed(names):
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _are(names):
    return "is" if len(names) == 1 else "are"


def _diagnosis(verdict, here):
    if verdict.trials:
        yield _tried(verdict)
        yield from _smallest_failure(verdict, here)
    readings = verdict.readings
    if not readings:
        yield Section(
            "What went wrong",
            (
                "The numbers differ, and not in a way known here. Go through the formula by hand "
                "for the input above and print each intermediate result.",
            ),
        )
    elif len(readings) == 1:
        (reading,) = readings
        names = " and ".join(reading.names)
        texts = tuple(finding.explanation for finding in reading.findings)
        evidence = (f"{reading.evidence}.",) if reading.evidence else ()
        yield Section(f"What went wrong: {names}", (*evidence, *texts))
    else:
        paragraphs = tuple(
            f"{' and '.join(reading.names)}: "
            + " ".join(finding.explanation for finding in reading.findings)
            for reading in readings[:MOST_READINGS]
        )
        yield Section(
            "What went wrong: one of these",
            ("They give the same numbers on every input that was tried.", *paragraphs),
        )


def _smallest_failure(verdict, here):
    trial, exercise = verdict.smallest_failure, verdict.exercise
    rows = tuple(
        (name, _written(value))
        for name, value in zip(exercise.parameters, trial.arguments, strict=True)
    )
    blocks = [Table(("argument", "value"), rows)]
    if trial.probe.by_hand:
        blocks.append(f"By hand: {trial.probe.by_hand}.")
    if trial.got:
        blocks += _wrong_entries(exercise.returns, trial)
    if here:
        blocks.append("This input is check(...).arguments, to call your function with.")
    yield Section(f"The smallest input that fails: {trial.probe.name}", tuple(blocks))


def _wrong_entries(names, trial):
    """A table of expected against got for the first wrong entries, and how many there are."""
    wrong = [
        (name, index, want[index], got[index])
        for name, want, got, correct in zip(
            names, trial.expected, trial.got, trial.correct, strict=True
        )
        for index in map(tuple, np.argwhere(~correct))
    ]
    rows = tuple(
        (
            name + (f"[{', '.join(map(str, index))}]" if index else ""),
            _number(want),
            _number(got),
        )
        for name, index, want, got in wrong[:MOST_ENTRIES]
    )
    total = sum(want.size for want in trial.expected)
    shown = f", the first {len(rows)} above" if len(wrong) > len(rows) else ""
    count = f"{len(wrong)} of {total} entries are wrong{shown}."
    return [Table(("entry", "expected", "got"), rows), count]


def _hints(exercise, revealed, here):
    for i, hint in enumerate(revealed, 1):
        yield Section(f"Hint {i} of {len(exercise.hints)}", (hint,))
    if here and len(revealed) < len(exercise.hints):
        yield Section("More hints", ("The next check that fails shows another.",))


def _number(value):
    return f"{value:.6g}"


def _written(value):
    """An argument as text: in full while it is small."""
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_written, value)) + ")"
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size > MOST_NUMBERS:
        return f"{value.dtype} array of shape {value.shape}"
    if value.ndim == 0:
        return _number(value)
    return "[" + ", ".join(_written(np.asarray(row)) for row in value) + "]"
