"""A claim, the experiment that tries it, and the verdict that follows from what was measured."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

__all__ = [
    "STUDIES",
    "Claim",
    "Experiment",
    "Figure",
    "Interval",
    "Result",
    "Source",
    "State",
    "Verdict",
]

STUDIES = Path(__file__).with_name("studies")  # what longer runs gave, one file each


class State(Enum):
    """Where an interval lies: in the region that the claim needs, outside it, or across a bound."""

    OUTSIDE = "outside"
    ACROSS = "straddles"
    INSIDE = "inside"


class Verdict(Enum):
    """What the intervals of a claim add up to."""

    HOLDS = "Holds"
    PARTLY = "Holds only for"
    FAILS = "Does not hold here"
    OPEN = "Not shown"


class Interval(NamedTuple):
    """Mean and 95 % interval over ``runs`` seeds, rounded as they are printed.

    Verdict, chart and text follow from these rounded numbers, so they cannot disagree, and
    another processor's last digits change none of them. All three are None where ``missing`` of
    the runs have no finite number.
    """

    mean: float | None
    low: float | None
    high: float | None
    runs: int
    missing: int = 0


@dataclass(frozen=True)
class Figure:
    """Numbers of an experiment on one axis, and where the claim needs them to lie.

    One of ``above``, ``below``, ``between`` and ``outside`` is the criterion. A figure without
    one is context: it stands in the folded part and decides nothing.

    Args:
        label: what was measured.
        key: of the number, or of the {row: number}, in what the experiment returns.
        log: geometric mean and its interval, for ratios and learning rates.
        unit: "%" or "pts" (points) shows a share, or a difference of shares, times 100.
        above, below: the bound.
        between, outside: both bounds.
        when: the case that a row speaks about, "{}" being its name. The claim may hold in some
            cases only; where the case is empty, it is needed in all.
        premise: without it the experiment shows nothing, neither for the claim nor against it.
        grid: step of the grid that the number was found on, as a factor; widens the interval.
    """

    label: str
    key: str
    log: bool = False
    unit: str = ""
    above: float | None = None
    below: float | None = None
    between: tuple[float, float] | None = None
    outside: tuple[float, float] | None = None
    when: str = "{}"
    premise: bool = False
    grid: float = 1.0

    def __post_init__(self):
        given = (self.above, self.below, self.between, self.outside)
        if sum(c is not None for c in given) > 1:
            raise ValueError(f"{self.label!r} has several criteria; give one, or one Figure each.")
        if self.grid != 1 and not self.log:
            raise ValueError(f"{self.label!r}: grid is a factor, which needs log=True.")

    @property
    def region(self):
        """The open intervals (low, high) in which the claim needs the number; none: context."""
        if self.between:
            return [self.between]
        below, above = self.outside or (self.below, self.above)
        ends = (-math.inf, below), (above, math.inf)
        return [end for end in ends if None not in end]

    @property
    def criterion(self):
        """The region in words."""
        if self.between:
            return "between {} and {}".format(*map(self.text, self.between))
        return " or ".join(
            f"below {self.text(high)}" if low == -math.inf else f"above {self.text(low)}"
            for low, high in self.region
        )

    def state(self, interval):
        """Where an interval lies; one that touches a bound shows nothing."""
        if interval.missing:
            return State.ACROSS
        if any(low < interval.low and interval.high < high for low, high in self.region):
            return State.INSIDE
        out = all(interval.high < low or high < interval.low for low, high in self.region)
        return State.OUTSIDE if out else State.ACROSS

    def interval(self, values):
        """The :class:`Interval` of one number per seed, Student's t."""
        from scipy.special import stdtrit

        with np.errstate(all="ignore"):
            values = np.log(values) if self.log else np.array(values, float)
        n, missing = len(values), int((~np.isfinite(values)).sum())
        if missing:
            return Interval(None, None, None, n, missing)
        mean, half = values.mean(), stdtrit(n - 1, 0.975) * values.std(ddof=1) / n**0.5
        three = np.array([mean, mean - half, mean + half])
        if self.log:
            three = np.exp(three) * [1, 1 / self.grid, self.grid]
        return Interval(*map(self._rounded, three.tolist()), n)

    def _rounded(self, value):
        """Whole percent, or two significant digits; what is left of rounding is no finding."""
        if self.unit:
            return round(value, 2) + 0.0  # no -0
        return 0.0 if abs(value) < 1e-14 and not self.log else float(f"{value:.1e}")

    def text(self, value, unit=True):
        """A number as the course prints it."""
        text = f"{100 * value if self.unit else value:g}"
        mantissa, _, exponent = text.partition("e")
        if exponent:
            power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
            text = power if mantissa == "1" else f"{mantissa}·{power}"
        text = text.replace("-", "−")
        return f"{text}\u00a0{self.unit}" if self.unit and unit else text

    def texts(self, interval):
        """Mean, and "low … high"; or how many runs have no number, and nothing."""
        if interval.missing:
            count = "all" if interval.missing == interval.runs else f"{interval.missing} of"
            return f"no number in {count} {interval.runs} runs", ""
        low, high = (self.text(end, unit=False) for end in interval[1:3])
        return self.text(interval.mean), f"{low}\u00a0…\u00a0{high}"


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Experiment:
    """What is run for each seed, once, however many claims it tries.

    Args:
        run: seed -> {key: number, or {row: number}}.
        setting: data, network and what is measured, in a few words.
        seeds: at least 5.
        picture: runs -> html, one picture over all claims of the experiment.
        study: name under which ``make study`` stores the runs (:mod:`normcourse.lab.study`), for
            what takes longer than a chapter may; empty: they run where they are shown.
        reduced: of a study, a run of some seconds at most, seed -> the same keys.
        timing: the study measures time, so the processor is told with it.
    """

    run: Callable
    setting: str
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    picture: Callable | None = None
    study: str = ""
    reduced: Callable | None = None
    timing: bool = False

    def __post_init__(self):
        if len(set(self.seeds)) < 5:
            raise ValueError(f"seeds must be at least 5 different ones, got {self.seeds}.")
        if bool(self.study) != bool(self.reduced) or (self.timing and not self.study):
            raise ValueError("a study needs both a name and a reduced run; a timing is a study.")

    @cached_property
    def runs(self):
        """What each seed gave, now or in the study."""
        if self.study:
            return self.stored["runs"]
        with np.errstate(all="ignore"):
            return [self.run(seed) for seed in self.seeds]

    @property
    def path(self):
        """The file of the study."""
        return STUDIES / f"{self.study}.json"

    @property
    def stored(self):
        """The study as it was stored.

        Raises:
            ValueError: it was not run yet, or with another setting or other seeds.
        """
        found = json.loads(self.path.read_text("utf-8")) if self.path.exists() else {}
        if (found.get("setting"), found.get("seeds")) != (self.setting, [*self.seeds]):
            raise ValueError(
                f"study {self.study!r} {'changed since it was' if found else 'was not'} run: "
                f"python -m normcourse.lab.study {self.study}"
            )
        return found

    @property
    def origin(self):
        """Of a study, when its runs were made and with what; else empty."""
        if not self.study:
            return ""
        where = "; {processor}" if self.timing else ""
        return ("stored run of {date}, torch {torch}" + where).format_map(self.stored)


class Source(NamedTuple):
    """What a primary source says about one case of a claim that no experiment can settle.

    Args:
        case: that the source speaks about.
        state: inside where it says what the claim says, outside where it says otherwise, across
            where it leaves it open.
        says: in our words.
        where: "arXiv:id" or a full address.
    """

    case: str
    state: State
    says: str
    where: str


@dataclass(frozen=True)
class Claim:
    """A statement that people make, and how it is tried: by an experiment, or in the literature.

    Args:
        name: snake_case, unique in the course.
        statement: one sentence, in the words people use.
        experiment: what tries it; None where the literature alone can.
        figures: what is read from the experiment, and what the claim needs of it.
        literature: what settles it in the place of an experiment.
        papers: primary sources, {"Authors year": "arXiv:id" or a full address}.
        revision: what was changed after a first run, and why.
        chapter: the page it stands on; filled in by :func:`normcourse.lab.claims.claims`.
    """

    name: str
    statement: str
    experiment: Experiment | None = field(default=None, repr=False)
    figures: tuple[Figure, ...] = field(default=(), repr=False)
    papers: dict[str, str] = field(default_factory=dict)
    revision: str = ""
    chapter: str = ""
    literature: tuple[Source, ...] = ()

    def __post_init__(self):
        if bool(self.experiment) == bool(self.literature):
            raise ValueError(f"{self.name} needs either an experiment or literature.")
        judged = any(figure.region and not figure.premise for figure in self.figures)
        if self.experiment and not judged:
            raise ValueError(f"{self.name} has no criterion: give a figure above=, below=, ….")

    @property
    def study(self):
        """The name of its experiment's study; empty where it has none."""
        return self.experiment.study if self.experiment else ""

    @property
    def criterion(self):
        """What must be measured for which verdict, in words."""
        if self.literature:
            return (
                "No experiment here can settle it. Holds for what its primary source says so, does "
                "not hold where it says otherwise, not shown where it is silent."
            )

        def needs(premise):
            found = (f for f in self.figures if f.region and f.premise == premise)
            return "; ".join(f"{f.label} {f.criterion}" for f in found)

        premise = f"Shows something only with {needs(True)}. " if needs(True) else ""
        return (
            f"{premise}Holds if each interval lies in its region: {needs(False)}. Does not hold "
            "here if one lies outside, not shown if one straddles a bound; of several cases, holds "
            "only for those whose intervals lie inside."
        )

    def measure(self):
        """Run the experiment, unless it was, and read off the :class:`Result`."""
        intervals = {}
        for figure in self.figures:
            runs = [run[figure.key] for run in self.experiment.runs]
            runs = [run if isinstance(run, dict) else {"": run} for run in runs]
            intervals[figure.key] = {
                row: figure.interval([float(run[row]) for run in runs]) for row in runs[0]
            }
        return Result(self, intervals)


@dataclass(frozen=True)
class Result:
    """What an experiment gave for a claim: {key: {row: Interval}}, and what they add up to."""

    claim: Claim
    intervals: dict[str, dict[str, Interval]]

    @property
    def judged(self):
        """(figure, row, interval, state) of each number with a criterion."""
        for figure in self.claim.figures:
            for row, interval in self.intervals[figure.key].items() if figure.region else ():
                yield figure, row, interval, figure.state(interval)

    @property
    def premise(self):
        """The state of all that is needed to show anything."""
        return _all(state for figure, *_, state in self.judged if figure.premise)

    @property
    def cases(self):
        """{case: state of the claim in it}, what all need included; {"": state} of no case."""
        if self.claim.literature:
            return {source.case: source.state for source in self.claim.literature}
        found = {"": []}
        for figure, row, _, state in self.judged:
            if not figure.premise:
                found.setdefault(figure.when.format(row), []).append(state)
        common = found.pop("")
        return {case: _all([*common, *own]) for case, own in (found or {"": ()}).items()}

    @property
    def verdict(self):
        """The :class:`Verdict`."""
        states = set(self.cases.values())
        if self.premise is not State.INSIDE:
            return Verdict.OPEN
        if State.INSIDE in states:
            return Verdict.HOLDS if len(states) == 1 else Verdict.PARTLY
        return Verdict.FAILS if State.OUTSIDE in states else Verdict.OPEN

    @property
    def sentence(self):
        """The verdict in words, for instance "Holds only for batches of 2 samples"."""
        held, left, failed = (
            [case for case, found in self.cases.items() if found is state]
            for state in (State.INSIDE, State.ACROSS, State.OUTSIDE)
        )
        also = ""
        if self.verdict is Verdict.PARTLY:
            also = f" {_listed(held)}"
        if self.verdict is Verdict.FAILS and left:
            also = f" for {_listed(failed)}"
        if also and left:
            also += f"; not shown for {_listed(left)}"
        if self.verdict is Verdict.OPEN:
            met = self.premise is State.INSIDE
            also = ": an interval straddles its bound" if met else ": the premise is not met"
        return self.verdict.value + also

    def record(self):
        """What the ledger reads from a chapter's stored output: text and rounded numbers."""
        origin = self.origin
        said = [[s.case, s.state.value, s.says, s.where] for s in self.claim.literature]
        return {
            "statement": self.claim.statement,
            "criterion": self.claim.criterion,
            "intervals": {  # lists, because a notebook sorts the keys of what it stores
                key: [[row, *interval] for row, interval in rows.items()]
                for key, rows in self.intervals.items()
            },
            "verdict": self.sentence,
        } | {key: value for key, value in (("origin", origin), ("literature", said)) if value}

    @property
    def origin(self):
        """Where the numbers come from; empty for what was run on the page."""
        return self.claim.experiment.origin if self.claim.experiment else "from the literature"

    def __repr__(self):
        origin = self.origin
        lines = [f"{self.claim.statement} {self.sentence}{origin and f' ({origin})'}."]
        lines += [f"  {s.case}: {s.says} ({s.where})" for s in self.claim.literature]
        for figure, row, interval, state in self.judged:
            mean, spread = figure.texts(interval)
            name = f"{figure.label}: {row}" if row else figure.label
            number = f"{mean} [{spread}]" if spread else mean
            lines.append(f"  {name}: {number}, {state.value}: {figure.criterion}")
        return "\n".join(lines)


def _all(states):
    """The state of what needs all of ``states``: that of the worst."""
    return min(states, key=list(State).index, default=State.INSIDE)


def _listed(names):
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
