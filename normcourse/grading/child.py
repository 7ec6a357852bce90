"""A learner's functions in another process: called through here, judged as if they were here."""

import inspect
import itertools
import time
from functools import lru_cache

import numpy as np

from normcourse.exercises.judge import Elsewhere, Place, Stopped, leaves
from normcourse.exercises.recognize import Finding, results
from normcourse.grading import wire
from normcourse.grading.channel import Broken, Excess, Late
from normcourse.grading.submission import Unreadable

__all__ = ["Child", "Function"]

GRACE = 2.0  # seconds that an answer may be later than the limit on the code itself
STARTS = 20.0  # seconds that Python and NumPy may take to start
SAME = 1e-5  # of the largest number: the same code on the same input differs by less
MOST_STARTS = 12  # of the process for one submission
MOST_ENDED = 2  # calls of a function that had to be ended

AGAIN = Finding(
    "depends on an earlier call",
    "The same input came out differently in a fresh process. Look for a variable outside the "
    "function, a mutable default argument, a cache, or a random number: the result may depend on "
    "the arguments only.",
)


def _too_long(what):
    return Finding(
        "took too long",
        f"{what} Look for a loop that does not end, or for work that should be done once.",
    )


_ENDED = {
    "SIGSEGV": "It read or wrote memory that is not its own.",
    "SIGKILL": "It was killed, as happens where memory runs out.",
    "SIGXFSZ": "It wrote a larger file than it may.",
    "exit": "It left Python while it was to return a result.",
}


class Child:
    """The process that holds one submission, started again whenever it ends.

    Args:
        sandbox: a :class:`~normcourse.grading.sandbox.Sandbox`.
        submission: with the ``contents`` of its files.
        techniques: {technique: names of its functions}.
        rules: limits in seconds, and which frameworks count.
    """

    def __init__(self, sandbox, submission, techniques, rules):
        self.sandbox, self.submission, self.rules = sandbox, submission, rules
        self.techniques = techniques
        self.functions, self.problems, self.cut = {}, [], []
        self._process, self._numbers, self._starts = None, itertools.count(1), 0
        self._end = time.monotonic() + rules.seconds_per_submission

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def stop(self):
        if self._process is not None:
            self._process.stop()
            self._process = None

    @property
    def left(self):
        """Seconds that this submission still has."""
        return self._end - time.monotonic()

    def define(self):
        """Run the cells; {technique.name: [what is told of each function that may be meant]}."""
        header, _ = self._open()
        told = header.get("functions")
        unread = [wire.clean(reason) for reason in _texts(header.get("unread"))]
        if unread and not header.get("cells"):
            raise Unreadable("; ".join(unread))
        self.problems = unread + [wire.clean(p) for p in _texts(header.get("problems"))]
        known = {f"{t}.{name}" for t, names in self.techniques.items() for name in names}
        if isinstance(told, dict):
            self.functions = {
                name: versions[:3]
                for name, versions in told.items()
                if name in known and isinstance(versions, list)
            }
        return self.functions

    def _open(self):
        if self._starts >= MOST_STARTS:
            raise Broken("it ended too often")
        self._starts += 1
        self._process = self.sandbox.start()
        self._process.boot(STARTS)
        request = {
            "do": "define",
            "files": [[name, len(data)] for name, data in self.submission.contents],
            "techniques": self.techniques,
            "seconds": self.rules.seconds_per_statement,
            "frameworks": self.rules.frameworks,
            "blocked": self.rules.blocked,
        }
        seconds = min(self.rules.seconds_per_file, max(self.left, 1.0))
        payload = b"".join(data for _, data in self.submission.contents)
        self._process.send(wire.frame(request, payload), STARTS)
        return self._process.receive(STARTS + seconds, 0)

    def ask(self, name, version, arguments, room, fresh):
        """(header, bytes) of the answer to one call; raises :class:`Stopped` if there is none."""
        if self.left <= 0:
            raise self.stopped(_too_long(_limit("The file", self.rules.seconds_per_submission)))
        seconds = min(self.rules.seconds_per_call, self.left)
        number = next(self._numbers)
        description, payload = wire.encode(arguments)
        request = {
            "do": "call", "id": number, "name": name, "version": version, "fresh": fresh,
            "seconds": seconds, "room": room, "arguments": description,
        }  # fmt: skip
        try:
            if self._process is None:
                self._open()
            self._process.send(wire.frame(request, payload), GRACE)
            header, payload = self._process.receive(seconds + GRACE, 4 * room)
            if header.get("id") != number:
                raise wire.Malformed("it answered another question")
        except Late:
            self.stop()
            text = _limit("A call", self.rules.seconds_per_call)
            raise self.stopped(_too_long(text)) from None
        except Excess as error:
            self.stop()
            raise self.stopped(_too_much(error)) from None
        except Broken:
            self.stop()
            raise self.stopped(_ended("exit")) from None
        except wire.Malformed as error:
            self.stop()
            raise self.stopped(_no_answer(error)) from None
        if "ended" in header:
            raise self.stopped(self._how(str(header["ended"])))
        return header, payload

    def _how(self, ended):
        if ended == "SIGALRM":
            return _too_long(_limit("A call", self.rules.seconds_per_call))
        return _ended(ended)

    def stopped(self, finding):
        """The exception for what was cut off, which is noted."""
        if finding.name not in self.cut:
            self.cut.append(finding.name)
        return Stopped(finding)


def _texts(value):
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _limit(what, seconds):
    return f"{what} took longer than {seconds:g} s and was ended."


def _ended(how):
    return Finding(
        "ended the process",
        f"Your code ended the process that ran it ({wire.clean(how, 20)}). {_ENDED.get(how, '')}",
    )


def _too_much(error):
    return Finding(
        "took too much memory",
        f"Your code held {error} and was ended. Look for a list that grows without an end.",
    )


def _no_answer(error):
    return Finding(
        "no proper answer", f"What came back is no result of a function: {wire.clean(error, 80)}."
    )


class Function:
    """One function of a learner's, as the judge calls it.

    Each call is made twice: in the process that keeps its state, as in a notebook, and in a fresh
    one. What differs depends on more than its arguments.
    """

    def __init__(self, child, exercise, name, version):
        self.child, self.exercise, self.name, self.version = child, exercise, name, version
        self.__name__ = exercise.name
        told = child.functions[name][version]
        told = told if isinstance(told, dict) else {}
        self.origin = wire.clean(told.get("origin"), 60)
        self.__signature__ = _signature(told.get("signature"))
        self.spent, self.ended = 0.0, []

    def __call__(self, *arguments):
        limit = self.child.rules.seconds_per_function
        if self.spent > limit:
            raise self.child.stopped(_too_long(_limit("All calls together", limit)))
        if len(self.ended) >= MOST_ENDED:  # what was ended so often is called no more
            raise Stopped(self.ended[-1])
        started = time.monotonic()
        try:
            room = 4 * _size(self.exercise, arguments)
            value, changed = self._value(arguments, room, fresh=False)
            again, _ = self._value(arguments, room, fresh=True)
        except Stopped as error:
            self.ended.append(error.finding)
            raise
        finally:
            self.spent += time.monotonic() - started
        if not _same(value, again):
            raise Stopped(AGAIN)
        for leaf in changed:
            _spoil(arguments, leaf)
        return value

    def _value(self, arguments, room, fresh):
        header, payload = self.child.ask(self.name, self.version, arguments, room, fresh)
        error = header.get("error")
        if isinstance(error, dict):
            raise _elsewhere(error)
        try:
            value = wire.decode(header.get("value"), payload)
        except wire.Malformed as malformed:
            raise self.child.stopped(_no_answer(malformed)) from None
        changed = header.get("changed")
        changed = changed if isinstance(changed, list) else []
        return value, [i for i in changed if type(i) is int and i >= 0]


def _signature(told):
    """The signature that was told; None, which the judge takes for unknown, if it is none."""
    try:
        kinds = list(inspect._ParameterKind)
        parameters = [
            inspect.Parameter(name, kinds[kind], default=None if has else inspect.Parameter.empty)
            for name, kind, has in told
        ]
        return inspect.Signature(parameters)
    except (TypeError, ValueError, IndexError):
        return None


def _size(exercise, arguments):
    """Bytes that a result may have, from that of the reference in float64."""
    given = [np.shape(leaf) for leaf in leaves(arguments)]
    largest = max(r.nbytes for r in results(exercise.reference, arguments))
    return max(1024, largest) + 8 * sum(int(np.prod(shape)) for shape in given)


def _spoil(arguments, which):
    """Other numbers in an argument: the learner's code changed it."""
    parts = leaves(arguments)
    if which < len(parts) and isinstance(parts[which], np.ndarray):
        parts[which][...] = 1 - (parts[which] == 1)


def _same(a, b):
    """Whether two values are equal up to the rounding of sums in another order."""
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(_same, a, b))
    try:
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if a.dtype.kind not in wire.KINDS or 0 in a.strides:
            return True
        with np.errstate(all="ignore"):
            finite = np.abs(a[np.isfinite(a)])
            close = np.abs(a - b) <= SAME * finite.max(initial=0) if a.dtype.kind != "b" else a == b
        return bool((close | (a == b) | ((a != a) & (b != b))).all())
    except (TypeError, ValueError, FloatingPointError):
        return False


@lru_cache(256)
def _kind(name, not_written):
    bases = (Elsewhere, NotImplementedError) if not_written else (Elsewhere,)
    return type(name, bases, {})


def _elsewhere(told):
    """An exception that says what one in the other process said; it is no class of theirs."""
    kinds = _texts(told.get("kinds"))
    name = wire.clean(told.get("type"), 60) or "Exception"
    error = _kind(name, "NotImplementedError" in kinds)(wire.clean(told.get("message"), 400))
    line, text = told.get("line"), told.get("text")
    if type(line) is int and 0 < line < 1 << 31 and isinstance(text, str):
        error.place = Place(wire.clean(told.get("name"), 60), line, wire.clean(text, 200))
    return error
