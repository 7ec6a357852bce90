"""Judge an attempt: run it on the probes, compare with the reference, name the mistake."""

import inspect
import itertools
import traceback
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from normcourse.exercises.recognize import (
    Finding,
    Reading,
    agrees,
    recognize,
    results,
    untouched,
)
from normcourse.exercises.record import Exercise, Probe

__all__ = ["Elsewhere", "Place", "Stopped", "Trial", "Verdict", "judge", "leaves", "told", "where"]

MOST_CHARACTERS = 300  # of an exception's message that are shown
NO_BROADCAST = (  # as NumPy and torch say it
    "operands could not",
    "could not be broadcast",
    "could not broadcast input array",
    "must match the size of tensor",
)
NO_PRODUCT = (  # of matrices and vectors, as NumPy, einsum and torch say it
    "mismatch in its core dimension",
    "not aligned",
    "remapped shapes",
    "cannot be multiplied",
    "size mismatch, got",
    "inconsistent tensor size",
)
SHAPES = "wrong shape", "kept an axis of length 1", "lost keepdims"
NO_SUCH_AXIS = (
    "out of bounds for array of dimension",
    "Dimension out of range",
    "axes don't match array",
    "too many indices",
    "not enough values to unpack",
    "too many values to unpack",
)


class Place(NamedTuple):
    """A line of a learner's code, as a traceback tells it."""

    name: str
    lineno: int
    line: str


class Elsewhere(Exception):
    """What the learner's code raised in another process, and where."""

    place: Place | None = None


class Stopped(Exception):
    """The learner's code did not come to an end, or may not be believed; ``finding`` says why."""

    def __init__(self, finding):
        super().__init__(finding.explanation)
        self.finding = finding


@dataclass(frozen=True)
class Trial:
    """What the attempt did with one probe.

    ``finding`` is a structural fault (no result, wrong shape, ...); ``got`` then is None.
    ``correct`` has one entry per result: where its numbers are right. ``misshapen`` holds the
    results whose only fault is a shape.
    """

    probe: Probe
    arguments: tuple
    expected: tuple
    got: tuple | None = None
    correct: tuple = ()
    finding: Finding | None = None
    error: BaseException | None = None
    misshapen: tuple = ()

    @property
    def passed(self):
        return self.finding is None and all(c.all() for c in self.correct)

    @property
    def size(self):
        return sum(np.size(leaf) for leaf in leaves(self.arguments))


@dataclass(frozen=True)
class Verdict:
    """All trials of one attempt; several ``readings`` mean that they cannot be told apart.

    ``strict``, a result that is right for the numbers for the hand alone, which are the same for
    everybody, is worth nothing.
    """

    exercise: Exercise
    trials: tuple[Trial, ...]
    readings: tuple[Reading, ...] = ()
    notes: tuple[str, ...] = ()
    started: bool = True
    strict: bool = False

    @property
    def findings(self):
        """Those of all readings, each once."""
        return tuple(dict.fromkeys(f for reading in self.readings for f in reading.findings))

    @property
    def points(self):
        """One for each result that is right for a probe; none for code as it was handed out."""
        if not self.started:
            return 0
        right = [
            [trial.probe for trial in self.trials if trial.correct and trial.correct[i].all()]
            for i in range(len(self.exercise.returns))
        ]
        return sum(len(probes) for probes in right if not self.strict or self._earned(probes))

    def _earned(self, probes):
        others = [probe for probe in self.exercise.probes if not probe.by_hand]
        return not others or any(not probe.by_hand for probe in probes)

    @property
    def passed(self):
        return self.points == self.exercise.points

    @property
    def by_result(self):
        """{name of a result: whether it is right for all probes}; {} where no numbers came."""
        if not self.trials or any(trial.finding for trial in self.trials):
            return {}
        return {
            name: all(trial.correct[i].all() for trial in self.trials)
            for i, name in enumerate(self.exercise.returns)
        }

    @property
    def smallest_failure(self):
        """The failing trial with the fewest numbers; None if all passed or none was run."""
        failed = [t for t in self.trials if not t.passed]
        if self.findings and any(t.finding == self.findings[0] for t in failed):
            failed = [t for t in failed if t.finding == self.findings[0]]
        return min(failed, key=lambda t: t.size, default=None)


def judge(exercise, fn, seed=0):
    """Try ``fn`` on every probe of ``exercise``; return a :class:`Verdict`.

    Structural faults come first, since they leave no numbers to compare. Code with planted bugs is
    not started while all of them are there, and nothing else is wrong.
    """
    finding = _check_parameters(exercise, fn)
    if finding:
        return Verdict(exercise, (), (Reading((finding,)),))
    trials = [_try(exercise, fn, probe, seed) for probe in exercise.probes]
    if all(isinstance(trial.error, NotImplementedError) for trial in trials):
        return Verdict(exercise, tuple(trials), started=False)
    # The numbers for the hand are always the same: another probe shows what a seed changes.
    k = next((i for i, probe in enumerate(exercise.probes) if not probe.by_hand), 0)
    trials[k] = _try_again(exercise, fn, trials[k], seed)
    structural = sorted((t for t in trials if t.finding), key=lambda t: t.size)
    started = bool(structural) or not untouched(exercise, trials, seed)
    if structural:
        readings = _misshapen(exercise, trials, seed) or (Reading((structural[0].finding,)),)
    elif all(t.passed for t in trials):
        readings = ()
    else:
        readings = recognize(exercise, trials, seed) or _not_finite(exercise, trials)
    return Verdict(exercise, tuple(trials), readings, _notes(exercise, trials), started)


def _check_parameters(exercise, fn):
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # a function written in C has none: its calls will tell
        return None
    try:
        signature.bind(*exercise.parameters)
    except TypeError:
        return Finding(
            "wrong parameters",
            f"It is called as {exercise.signature}, yours takes {signature}. Keep the first line "
            "of the stub as it was.",
        )
    names = tuple(signature.parameters)
    if names != exercise.parameters and sorted(names) == sorted(exercise.parameters):
        return Finding(
            "parameters in another order",
            f"It is called as {exercise.signature}, by position; yours takes {signature}.",
        )
    return None


def _try(exercise, fn, probe, seed):
    arguments, untouched = probe.arguments(seed), probe.arguments(seed)
    expected = results(exercise.reference, untouched)
    trial = {"probe": probe, "arguments": untouched, "expected": expected}
    try:
        with np.errstate():  # np.seterr in the learner's code ends with the call
            value = fn(*arguments)
    except (Exception, SystemExit) as error:  # whatever the learner's code raises is an answer
        return Trial(**trial, finding=_raised(error, fn), error=error)
    got, finding = _arrays(exercise, value, expected)
    modified = _modified(exercise, arguments, untouched)
    if finding or modified:
        misshapen = () if modified or got else _of_another_shape(exercise, finding, value)
        return Trial(**trial, finding=finding or modified, misshapen=misshapen)
    correct = tuple(agrees(g, e, probe.tolerance) for g, e in zip(got, expected, strict=True))
    return Trial(**trial, got=got, correct=correct)


def _try_again(exercise, fn, trial, seed):
    """The first trial once more, after all others: it must end as before.

    What was right must also be right for new numbers of the same shapes.
    """
    if trial.finding:
        return trial
    again = _try(exercise, fn, trial.probe, seed)
    pairs = zip(again.got or (), trial.got, strict=False)
    same = again.got and all(agrees(a, b, trial.probe.tolerance).all() for a, b in pairs)
    if same and not (trial.passed and not _try(exercise, fn, trial.probe, seed + 1).passed):
        return trial
    finding = Finding(
        "depends on an earlier call",
        "The same input, or another of the same shape, came out differently the second time. Look "
        "for a variable outside the function, a mutable default argument, a cache, or a random "
        "number: the result may depend on the arguments only.",
    )
    return Trial(trial.probe, trial.arguments, trial.expected, finding=finding)


def _of_another_shape(exercise, finding, value):
    """The results as arrays, if there is nothing wrong with them but a shape."""
    values = value if isinstance(value, tuple | list) else (value,)
    if finding.name not in SHAPES or len(values) != len(exercise.returns):
        return ()
    of_any_shape = [np.broadcast_to(np.float32(0), np.shape(v)) for v in values]
    pairs = [_array("", v, like) for v, like in zip(values, of_any_shape, strict=True)]
    return () if any(fault for _, fault in pairs) else tuple(array for array, _ in pairs)


def _misshapen(exercise, trials, seed):
    """Readings of results whose shapes, too, are those of a mistake; () if there are none."""
    faults = [trial for trial in trials if trial.finding]
    if not all(trial.misshapen for trial in faults):
        return ()
    shown = min(faults, key=lambda trial: trial.size).finding.explanation.split(". ")[0]
    came = [_as_it_came(trial) if trial.finding else trial for trial in trials]
    readings = recognize(exercise, came, seed, shaped=False)
    return tuple(replace(reading, evidence=shown) for reading in readings)


def _as_it_came(trial):
    correct = tuple(
        agrees(g, e, trial.probe.tolerance) if g.shape == e.shape else np.array(False)
        for g, e in zip(trial.misshapen, trial.expected, strict=True)
    )
    return replace(trial, got=trial.misshapen, correct=correct, finding=None)


def leaves(value):
    """The parts of an argument that are no tuples."""
    return [leaf for v in value for leaf in leaves(v)] if isinstance(value, tuple) else [value]


def told(error):
    """An exception as "Type: message", on one line and not too long."""
    message = " ".join(str(error).split())
    if len(message) > MOST_CHARACTERS:
        message = message[:MOST_CHARACTERS] + " ..."
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def where(error, *functions):
    """The last line that ran in the files of the learner's functions; None if there is none."""
    if isinstance(error, Elsewhere):
        return error.place
    codes = [getattr(inspect.unwrap(fn), "__code__", None) for fn in functions]
    files = {code.co_filename for code in codes if code}
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in files]
    return own[-1] if own else None


def _raised(error, fn):
    if isinstance(error, Stopped):
        return error.finding
    line = where(error, fn)
    place = f" (line {line.lineno}: {line.line})" if line else ""
    if any(words in str(error) for words in NO_PRODUCT):
        return Finding(
            "matrix and vector do not fit",
            f"{told(error)}{place}. A matrix (h, w) takes a vector of length w and makes one of "
            "length h; its transpose does it the other way round. Print the shapes.",
        )
    if any(words in str(error) for words in NO_BROADCAST):
        return Finding(
            "axes do not line up",
            f"{told(error)}{place}. Shapes are lined up from the last axis. Keep the reduced axes "
            "with keepdims=True, and give a vector of length C the shape (1, C, 1, ...).",
            frozenset({"axis", "w", "b"}),
        )
    if any(words in str(error) for words in NO_SUCH_AXIS):
        return Finding(
            "written for one number of axes",
            f"{told(error)}{place}. The input may have any number of axes: count them with x.ndim.",
            frozenset({"axis"}),
        )
    return Finding("raised an exception", f"{told(error)}{place}.")


def _arrays(exercise, value, expected):
    """The results as NumPy arrays and None, or None and what is wrong with them."""
    names = exercise.returns
    wanted = ", ".join(names)
    if value is None:
        return None, Finding(
            "returned None", f"The function ends without `return`. It should return {wanted}."
        )
    several = isinstance(value, tuple if len(names) == 1 else tuple | list)
    if getattr(value, "shape", None) == (len(names), *expected[0].shape):
        several = True  # np.stack([mean, var]) is as good as a tuple
    if isinstance(value, list) and len(value) == 1:  # [y] is y; one row of numbers is no y
        several = getattr(value[0], "shape", None) == expected[0].shape
    values = tuple(value) if several else (value,)
    if len(values) != len(names):
        asked = f"a tuple of {len(names)}: {wanted}" if len(names) > 1 else f"{wanted} alone"
        returned = len(values) if several else f"a value of type {type(value).__name__}"
        return None, Finding(
            "wrong number of results", f"It should return {asked}. Yours returned {returned}."
        )
    pairs = list(zip(names, values, expected, strict=True))
    arrays, findings = zip(*(_array(*pair) for pair in pairs), strict=True)
    if any(findings):
        return None, _other_order(exercise, values, expected) or next(filter(None, findings))
    right = all(agrees(g, e, 1e-2).all() for g, e in zip(arrays, expected, strict=True))
    return arrays, None if right else _other_order(exercise, arrays, expected)


def _other_order(exercise, values, expected):
    """The finding that all results are right but stand in another order, if so."""
    places = range(len(values))
    fits = [[_close_to(value, e) for e in expected] for value in values]
    for order in itertools.permutations(places):
        if order != (*places,) and all(fits[i][k] for k, i in enumerate(order)):
            wanted = ", ".join(exercise.returns)
            return Finding(
                "results in another order",
                f"The results are right, in the wrong order: return {wanted}.",
            )
    return None


def _close_to(value, expected):
    array, _ = _array("", value, expected)
    return array is not None and agrees(array, expected, 1e-3).all()


def _array(name, value, expected):
    if hasattr(value, "detach"):  # a torch tensor, perhaps with a graph or on another device
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # ragged lists; a dtype that NumPy lacks
        array = np.asarray(None)
    if array.dtype.kind not in "biufc":
        kind = type(value).__name__
        return None, Finding(
            "not an array", f"{name} should be an array of numbers, yours is of type {kind}."
        )
    if array.shape != expected.shape:
        return None, _wrong_shape(name, array.shape, expected.shape)
    exact = expected.dtype.kind in "iu"
    kept = array.dtype.kind in ("iuf" if exact else "f") and (exact or array.dtype.itemsize >= 4)
    if not kept:
        return None, Finding(
            "changed dtype",
            f"The arguments are float32, {name} is {array.dtype}: digits are lost or a type is "
            f"made up. Results keep the dtype of the input.",
        )
    return array, None


def _wrong_shape(name, got, expected):
    if [n for n in got if n != 1] != [n for n in expected if n != 1]:
        return Finding(
            "wrong shape",
            f"{name} should have shape {expected}, yours has {got}. Look at the axes over which "
            "you sum or average, and at what NumPy's broadcasting makes of two shapes.",
        )
    if len(got) < len(expected):
        return Finding(
            "lost keepdims",
            f"{name} should have shape {expected}, yours has {got}: an axis of length 1 was "
            "dropped. Look for a mean without keepdims=True, or a squeeze.",
        )
    return Finding(
        "kept an axis of length 1",
        f"{name} should have shape {expected}, yours has {got}. Use .reshape({expected}) or leave "
        "out keepdims=True in the last step.",
    )


def _modified(exercise, arguments, untouched):
    for name, now, before in zip(exercise.parameters, arguments, untouched, strict=True):
        pairs = zip(leaves((now,)), leaves((before,)), strict=True)
        if not all(np.array_equal(a, b) for a, b in pairs):
            return Finding(
                "modified its input",
                f"After the call, {name} holds other numbers than before. Operators like -= and "
                f"/= and assignments like {name}[...] = write into the caller's array: compute a "
                "new one.",
            )
    return None


def _not_finite(exercise, trials):
    for trial in trials:
        for name, g, e in zip(exercise.returns, trial.got, trial.expected, strict=True):
            if np.isfinite(e).all() and not np.isfinite(g).all():
                finding = Finding(
                    "NaN or infinity",
                    f"{name} has entries that are no finite numbers, for the input "
                    f"“{trial.probe.name}”. Look for a division by zero or the square root of "
                    "a negative number.",
                )
                return (Reading((finding,)),)
    return ()


def _notes(exercise, trials):
    wide = [
        name
        for i, name in enumerate(exercise.returns)
        if any(t.got and t.expected[i].dtype.kind == "f" and t.got[i].itemsize > 4 for t in trials)
    ]
    given = any(isinstance(a, np.ndarray) for t in trials for a in leaves(t.arguments))
    if not wide or not given:  # without an array there is no dtype to keep
        return ()
    return (
        f"The arguments are float32, {' and '.join(wide)} came back wider. That is accepted, but a "
        "layer should keep the dtype of its input: np.zeros(shape) makes float64, np.zeros_like(x) "
        "does not.",
    )
