"""Name what is wrong with an attempt: one mistake, two at once, or wrong coefficients.

A mistake is named when the attempt computes, on all inputs, the numbers of the mistake's twin. If
no single one fits, each wrong result is looked at on its own, gradients are read as sums of known
terms, and pairs of mistakes are tried. What agrees on some inputs only is said to.

Bugs that were planted in the code that a learner mends come first, however many are left. Each is
looked for where it alone makes a difference, so that it is named whatever else is wrong.
"""

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np

__all__ = ["Finding", "Reading", "agrees", "recognize", "results", "untouched"]


@dataclass(frozen=True)
class Finding:
    """What is wrong with an attempt, in a few words and in a few sentences.

    ``about`` holds the steps of the reference that it concerns; hints on them come first.
    """

    name: str
    explanation: str
    about: frozenset = frozenset()


@dataclass(frozen=True)
class Reading:
    """Findings that together explain an attempt, and on what evidence."""

    findings: tuple[Finding, ...]
    evidence: str = ""

    @property
    def names(self):
        return tuple(finding.name for finding in self.findings)


def agrees(got, want, tolerance, least=0.0):
    """Where ``got`` is ``want`` up to ``tolerance`` times the largest finite entry of ``want``.

    Or times ``least``, if that is larger.
    """
    finite = np.abs(want[np.isfinite(want)])
    with np.errstate(invalid="ignore", over="ignore"):
        close = np.abs(got - want) <= tolerance * finite.max(initial=least)
    return close | (got == want) | (np.isnan(got) & np.isnan(want))


def results(fn, arguments):
    """What the reference or a twin returns for float64 arguments: a tuple of arrays."""
    with np.errstate(all="ignore"):
        value = fn(*as_float64(arguments))
    return tuple(np.asarray(v) for v in (value if isinstance(value, tuple) else (value,)))


def as_float64(value):
    if isinstance(value, tuple):
        return tuple(as_float64(v) for v in value)
    return value.astype(np.float64) if isinstance(value, np.ndarray) else value


def recognize(exercise, trials, seed, shaped=True):
    """Readings of a wrong attempt, from trials that all gave arrays: alternatives, surest first.

    Where not all are ``shaped`` as they should be, only whole mistakes are read.
    """
    attempt = _Attempt(exercise, trials, seed)
    if not shaped:
        return attempt.one_mistake() or attempt.two_of_another_shape()
    for read in (
        attempt.planted,
        attempt.one_mistake,
        attempt.planted_and_one,
        attempt.planted_and_more,
        attempt.one_for_each_result,
        attempt.two_mistakes,
        attempt.two_for_each_result,
        attempt.on_the_inputs_that_fail,
        attempt.on_one_input,
    ):
        readings = read()
        if readings:
            return readings
    return ()


def untouched(exercise, trials, seed):
    """Whether the attempt still computes what the code with all planted bugs does."""
    return bool(exercise.bugs) and bool(
        _Attempt(exercise, trials, seed).fitting([exercise.bugs], range(len(exercise.returns)))
    )


class _Attempt:
    def __init__(self, exercise, trials, seed):
        self.exercise, self.trials = exercise, trials
        self.arguments = [trial.probe.arguments(seed) for trial in trials]
        self.all = range(len(exercise.returns))
        self.wrong = [i for i in self.all if not all(trial.correct[i].all() for trial in trials)]
        # Small inputs tell most wrong guesses apart: look at them first.
        self.order = sorted(range(len(trials)), key=lambda i: (trials[i].passed, trials[i].size))
        self._computed = _computed(exercise, seed)

    # ---- what fits ---------------------------------------------------------------------------

    def twin(self, mistakes, i):
        key = (*map(id, mistakes), self.trials[i].probe.name)
        if key not in self._computed:
            try:
                value = results(self.exercise.twin(*mistakes), self.arguments[i])
            except (ValueError, IndexError):  # two steps that do not fit together
                value = None
            self._computed[key] = value
        return self._computed[key]

    def fits(self, mistakes, i, result):
        """Whether the attempt has the numbers of these mistakes in one result of one trial."""
        trial = self.trials[i]
        twin = self.twin(mistakes, i)
        if twin is None:
            return False
        got, want, wrong = trial.got[result], trial.expected[result], twin[result]
        tolerance = trial.probe.tolerance
        if any(trial.probe.name in mistake.noisy for mistake in mistakes):
            spoiled = wrong.shape != want.shape or not agrees(wrong, want, tolerance).all()
            return not spoiled or not trial.correct[result].all()
        # Where a twin is all but zero, rounding is not.
        least = np.abs(want[np.isfinite(want)]).max(initial=0.0)
        return got.shape == wrong.shape and bool(agrees(got, wrong, tolerance, least).all())

    def fitting(self, candidates, which, trials=None):
        """The sets of mistakes, or those of a size, that fit the results ``which``."""
        order = self.order if trials is None else trials
        if isinstance(candidates, int):
            candidates = self.exercise.together(candidates)
        return [
            mistakes
            for mistakes in candidates
            if all(self.fits(mistakes, i, result) for i in order for result in which)
        ]

    # ---- planted bugs ------------------------------------------------------------------------

    def planted(self):
        """The planted bugs that are left, where nothing else is wrong."""
        found = self.fitting(self.sets(), self.all)
        return found and _readings(found, self.mended(found[0]))

    def planted_and_one(self):
        """The planted bugs that are left, and one mistake that was not planted."""
        found = self.fitting(
            [
                (*left, mistake)
                for left in self.sets()
                for mistake in self.exercise.mistakes
                if mistake not in self.exercise.bugs and mistake.about
                if not mistake.about & frozenset().union(*(bug.about for bug in left))
            ],
            self.all,
        )
        return found and _readings(
            found, f"{self.mended(found[0][:-1])}, and there is one more mistake"
        )

    def sets(self):
        """All sets of planted bugs, the small ones first."""
        bugs = self.exercise.bugs
        return [s for size in range(1, len(bugs) + 1) for s in combinations(bugs, size)]

    def planted_and_more(self):
        """The planted bugs that are left, beside something that is in no record."""
        left = self.left()
        told = f"{self.mended(left)}, and something else is wrong that was not planted"
        return left and (self.two_mistakes() or _readings([left], told))

    def mended(self, left):
        count = len(self.exercise.bugs)
        return f"Planted bugs mended: {count - len(left)} of {count}"

    def left(self):
        """The planted bugs that show in all places where one shows alone."""
        return tuple(
            bug
            for bug in self.exercise.bugs
            if (places := self.places(bug)) and all(self.fits((bug,), *place) for place in places)
        )

    def places(self, bug):
        """(trial, result), where this bug makes a difference and no set of the others does."""
        others = [other for other in self.exercise.bugs if other is not bug]
        sets = [s for size in range(len(others) + 1) for s in combinations(others, size)]
        return [
            (i, result)
            for i in self.order
            for result in self.all
            if not self.same(i, result, (bug,), ())
            and all(self.same(i, result, s, ()) for s in sets)
            and all(self.same(i, result, (bug, *s), (bug,)) for s in sets)
        ]

    def same(self, i, result, these, those):
        """Whether two sets of mistakes give the same numbers in one result of one trial."""
        a, b = (self.twin(mistakes, i)[result] for mistakes in (these, those))
        least = np.abs(self.trials[i].expected[result]).max(initial=0.0)
        return bool(agrees(a, b, self.trials[i].probe.tolerance, least).all())

    # ---- readings, the surest first ----------------------------------------------------------

    def one_mistake(self):
        return _readings(self.fitting(1, self.all))

    def two_mistakes(self):
        return _readings(self.fitting(2, self.all), "Two mistakes at once")

    def two_of_another_shape(self):
        """Two mistakes of which one changes a shape: few, so that the search is short."""
        pairs = (
            pair
            for pair in self.exercise.together(2)
            if not all(self.keeps_shapes(mistake) for mistake in pair)
        )
        return _readings(self.fitting(pairs, self.all), "Two mistakes at once")

    def keeps_shapes(self, mistake):
        """Whether it gives results of the right shapes on all inputs, where it gives any."""
        for i in self.order:
            twin = self.twin((mistake,), i)
            right = [want.shape for want in self.trials[i].expected]
            if twin is not None and [wrong.shape for wrong in twin] != right:
                return False
        return True

    def one_for_each_result(self):
        return self.for_each_result(self.singly)

    def two_for_each_result(self):
        return self.for_each_result(lambda i: self.singly(i) or self.doubly(i))

    def for_each_result(self, read):
        """One reading made of one for each wrong result; () where one of them has none."""
        several = len(self.all) > 1
        parts = [(self.exercise.returns[i], read(i)) for i in self.wrong]
        if not all(found for _, found in parts):
            return ()
        if len(parts) == 1 and len(parts[0][1]) > 1:
            return parts[0][1]
        findings = {}
        for name, found in parts:
            for finding in found[0].findings:
                findings.setdefault(finding.name, (finding, []))[1].append(name)
        told = tuple(
            Finding(
                finding.name,
                f"In {' and '.join(names)}: {finding.explanation}"
                if several and len(parts) > 1
                else finding.explanation,
                finding.about,
            )
            for finding, names in findings.values()
        )
        return (Reading(told, "Each wrong result on its own"),) if told else ()

    def singly(self, result):
        """One mistake in one result; rather one that leaves right what is right."""
        right = [i for i in self.all if i not in self.wrong]
        return (
            _readings(self.fitting(1, (result, *right)))
            or self.by_coefficients(result)
            or _readings(self.fitting(1, (result,)))
        )

    def doubly(self, result):
        pairs = _readings(self.fitting(2, (result,)), "Two mistakes at once")
        return pairs or self.by_coefficients_and_one(result)

    def on_the_inputs_that_fail(self):
        """Mistakes that are made for some inputs, such as images, and not for others."""
        failing = [i for i in self.order if not self.trials[i].passed]
        if len(failing) == len(self.trials):
            return ()
        names = ", ".join(f"“{self.trials[i].probe.name}”" for i in failing)
        for size in (1, 2):
            found = self.fitting(size, self.all, failing)
            if found:
                return _readings(found, f"Only for {names}")
        return ()

    def on_one_input(self):
        """Agreement on some wrong inputs only: a guess, and said to be one."""
        failing = [i for i in self.order if not self.trials[i].passed]
        counts = {}
        for (mistake,) in self.exercise.together(1):
            hits = [
                i
                for i in failing
                if self.trials[i].probe.name not in mistake.noisy
                and all(self.fits((mistake,), i, result) for result in self.wrong)
            ]
            if len(hits) > len(counts.get(mistake.name, ((), None))[0]):
                counts[mistake.name] = hits, mistake
        most = max((len(hits) for hits, _ in counts.values()), default=0)
        best = [(hits, mistake) for hits, mistake in counts.values() if len(hits) == most]
        if len(best) != 1:
            return ()
        hits, mistake = best[0]
        where = ", ".join(f"“{self.trials[i].probe.name}”" for i in hits)
        return _readings(
            [(mistake,)], f"Not sure: it fits {where}, and there is more that is wrong"
        )

    # ---- coefficients ------------------------------------------------------------------------

    def by_coefficients(self, result, *mistakes):
        """A gradient read as a sum of its terms, where ``mistakes`` are made on the way to them."""
        for spec in self.exercise.coefficients:
            if spec.result == self.exercise.returns[result]:
                return _read(spec, self, result, mistakes)
        return ()

    def by_coefficients_and_one(self, result):
        found = {}
        for (mistake,) in self.exercise.together(1):
            if not mistake.about or mistake.noisy:
                continue
            for reading in self.by_coefficients(result, mistake):
                names = (mistake.name, *reading.names)
                findings = (_finding(mistake), *reading.findings)
                found[names] = Reading(findings, "Two mistakes at once")
        return tuple(found.values())


_last = [None, {}]


def _computed(exercise, seed):
    """What twins return for its probes, kept while attempts at the same exercise are judged."""
    if _last[0] is not exercise or len(_last[1]) > 8:
        _last[:] = exercise, {}
    return _last[1].setdefault(seed, {})


def _finding(mistake):
    return Finding(mistake.name, mistake.explanation, mistake.about)


def _readings(found, evidence=""):
    """Readings without repetition: variants of a mistake share its name."""
    told = {frozenset(m.name for m in mistakes): mistakes for mistakes in reversed(found)}
    return tuple(
        Reading(tuple(dict.fromkeys(map(_finding, mistakes))), evidence)
        for mistakes in reversed(told.values())
    )


SIMPLE = [Fraction(n, d) for d in (1, 2, 3, 4) for n in range(-8, 9)]
POWERS = (  # of the factors, the plainest first
    {},
    *({name: power} for power in (1, -1, 2, -2) for name in ("n", "m", "N", "s", "w")),
    {"n": 1, "N": -1},
    {"n": -1, "N": 1},
)


def _read(spec, attempt, result, mistakes):
    """The laws of the coefficients, as readings; () if they follow none, or are right."""
    rows = []
    turned = {name: step for mistake in mistakes for name, step in mistake.turns.items()}
    for trial, arguments in zip(attempt.trials, attempt.arguments, strict=True):
        if trial.probe.tolerance > 1e-3:  # too few digits to read
            continue
        with np.errstate(all="ignore"):
            try:
                q = attempt.exercise.reference.trace(*as_float64(arguments), **turned)
                fitted = _fit(spec, q, trial.got[result], trial.probe.tolerance)
            except (ValueError, IndexError):
                return ()
        if fitted is None:
            return ()
        rows += fitted
    if len(rows) < 2:
        return ()
    laws = [
        _law([(values[k] / right, factors) for values, factors in rows])
        for k, right in enumerate(spec.terms.values())
    ]
    if None in laws or set(laws) == {"1"}:
        return ()
    return (Reading(tuple(_causes(spec, laws))),)


def _fit(spec, q, got, tolerance):
    """[(coefficients, factors)] of each group that shows them; None if ``got`` is no such sum."""
    terms = [getattr(q, name) for name in spec.terms]
    shape, axes = np.shape(terms[0]), getattr(q, spec.along) if spec.along else ()

    def by_group(a):
        a = np.broadcast_to(a, shape)
        kept = [i for i in range(a.ndim) if i not in axes]
        count = int(np.prod([shape[i] for i in axes]))
        return a.transpose(*kept, *axes).reshape(-1, count)

    basis = np.stack([by_group(term) for term in terms], -1)
    wanted = by_group(np.reshape(got, shape))
    factors = {name: by_group(1.0 * factor(q)) for name, factor in spec.factors.items()}
    scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
    rows = []
    for i, (columns, column) in enumerate(zip(basis, wanted, strict=True)):
        norms = np.linalg.norm(columns, axis=0)
        if not (np.isfinite(columns).all() and np.isfinite(column).all()) or not norms.all():
            continue
        solution, _, rank, sizes = np.linalg.lstsq(columns / norms, column, rcond=None)
        if rank < len(norms) or sizes[-1] < 0.05:
            continue
        if np.abs(columns / norms @ solution - column).max() > 10 * tolerance * scale:
            return None
        constant = {
            name: f[i, 0] for name, f in factors.items() if np.ptp(f[i]) <= 1e-6 * abs(f[i, 0])
        }
        rows.append((solution / norms, constant))
    return rows


def _law(cases):
    """How a coefficient depends on the factors, as text; None if in no simple way."""
    values = np.array([value for value, _ in cases])
    if np.abs(values).max() < 0.01:
        return "0"
    for powers in POWERS:
        if not all(set(powers) <= factors.keys() for _, factors in cases):
            continue
        scale = np.array(
            [np.prod([factors[name] ** p for name, p in powers.items()]) for _, factors in cases]
        )
        ratio = values / scale
        middle = np.median(ratio)
        k = min(SIMPLE, key=lambda k: abs(float(k) - middle))
        if k and np.abs(ratio - float(k)).max() <= 0.02 * abs(float(k)):
            return _written(k, powers)
    return None


def _written(k, powers):
    """Such as 2, n/N, 1/s, -1/2."""
    raised = {1: "", 2: "²"}
    above = "".join(name + raised[p] for name, p in powers.items() if p > 0)
    below = "".join(name + raised[-p] for name, p in powers.items() if p < 0)
    number = str(k)
    if above:
        number = {"1": "", "-1": "-"}.get(number, f"{number} ") + above
    return f"{number}/{below}" if below else number


def _causes(spec, laws):
    """Findings that explain the laws of all terms; each is relative to what is right."""
    read = _sentence(spec, laws)
    names = list(spec.terms)
    about = frozenset((spec.result,))
    if len(set(laws)) == 1 and len(laws) > 1:
        known = spec.causes.get(("all", laws[0]))
        if known:
            yield Finding(known[0], f"{known[1]} {read}", about)
            return
    wrong = {name: law for name, law in zip(names, laws, strict=True) if law != "1"}
    if len(wrong) > 1 and len(set(wrong.values())) == 1:
        known = spec.causes.get((" ".join(wrong), next(iter(wrong.values()))))
        if known:
            yield Finding(known[0], f"{known[1]} {read}", about)
            return
    for name, law in wrong.items():
        symbol = spec.symbols[names.index(name)]
        title, text = spec.causes.get((name, law)) or (
            f"{symbol} in {spec.result} counts {law} times",
            "",
        )
        yield Finding(title, f"{text} {read}".strip(), about)


def _sentence(spec, laws):
    if len(laws) == 1:
        return f"Yours is {laws[0]} times what is right."
    pairs = list(zip(spec.symbols, laws, spec.terms.values(), strict=True))
    yours = ", ".join(f"{symbol} counts {_signed(law, right)}" for symbol, law, right in pairs)
    right = ", ".join(f"{right:+d}".replace("+", "") for _, _, right in pairs)
    over = f" over {spec.over}" if spec.over else ""
    return f"Read as a sum{over}, in your {spec.result} {yours}; right are {right}."


def _signed(law, right):
    if right > 0 or law == "0":
        return law
    return law[1:] if law.startswith("-") else f"-{law}"
