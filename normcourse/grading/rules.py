"""What an instructor sets, in one file of TOML."""

import tomllib
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, time
from pathlib import Path

from normcourse.exercises.judge import told
from normcourse.exercises.record import Exercise
from normcourse.exercises.session import EXERCISES, register
from normcourse.grading.sandbox import CHOICES

__all__ = ["FRAMEWORKS", "Rules"]

FRAMEWORKS = ("allowed", "without norms", "numpy only")
# What "numpy only" takes out of view.
BLOCKED = ("torch", "jax", "jaxlib", "flax", "equinox", "keras", "tensorflow", "sklearn", "scipy")


@dataclass(frozen=True)
class Rules:
    """The rules of one assignment; what is not set has the value that stands here.

    Attributes:
        exercises: techniques ("batch_norm") or single exercises ("batch_norm.batch_norm") that
            count; none for all those on whose technique a file has a function.
        frameworks: "allowed"; "without norms" takes torch's, scikit-learn's and JAX's own norms
            away, by name; "numpy only" takes these packages away.
        sandbox: "auto", "bwrap", "container" or "none"; ``image`` is that of the container.
        due: when the assignment was due; without a time, the end of that day. None: no penalty.
        free_days: days that cost nothing, counted as begun.
        penalty: percent of the points that each further day costs.
        late_days: after so many days a submission earns nothing; None: there is no such limit.
        seconds_per_call, ..._function, ..._statement, ..._file, ..._submission: wall clock of one
            call, of all calls of a function, of one statement that is run when a file is read, of
            reading it, and of all together.
        memory: megabytes that a process may hold.
        processes: that one submission may have at once.
        seed: of the inputs; None for another in each run.
        title: of the column in gradebooks.
        hints: the most that feedback shows for an exercise.
        records: (name, source) of files with exercises of your own; in TOML their paths.
    """

    exercises: tuple[str, ...] = ()
    frameworks: str = "allowed"
    sandbox: str = "auto"
    image: str = ""
    due: datetime | None = None
    free_days: int = 0
    penalty: float = 0.0
    late_days: int | None = None
    seconds_per_call: float = 5.0
    seconds_per_function: float = 40.0
    seconds_per_statement: float = 10.0
    seconds_per_file: float = 30.0
    seconds_per_submission: float = 180.0
    memory: int = 1024
    processes: int = 64
    seed: int | None = None
    title: str = "normcourse"
    hints: int = 99
    records: tuple[tuple[str, str], ...] = ()

    def __post_init__(self):
        _one_of("frameworks", self.frameworks, FRAMEWORKS)
        _one_of("sandbox", self.sandbox, CHOICES)
        self.load()
        for name in self.exercises:
            self._located(name)
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(f.default, int | float) and not (
                isinstance(value, int | float) and value >= 0
            ):
                raise ValueError(f"{f.name} must be a number, 0 or more; got {value!r}.")

    def load(self):
        """Make the exercises of one's own known in this process."""
        for name, source in self.records:
            if name not in EXERCISES:
                register(name, _exercises(name, source))

    @staticmethod
    def _located(name):
        technique, _, single = name.partition(".")
        known = [e.name for e in EXERCISES.get(technique, ())]
        if technique not in EXERCISES or (single and single not in known):
            there = ", ".join((known and [f"{technique}.{e}" for e in known]) or EXERCISES)
            raise ValueError(f"exercises names {name!r}, which does not exist. There are: {there}.")
        return technique, [single] if single else known

    @classmethod
    def read(cls, path=None, **given):
        """The rules of a file, with what is ``given`` in their place.

        Raises:
            ValueError: what the file holds is no rule, or no value for it.
        """
        said = {}
        if path is not None:
            try:
                said = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise ValueError(f"{path} is no TOML: {error}.") from None
        said.update({name: value for name, value in given.items() if value is not None})
        known = [f.name for f in fields(cls)]
        for name in said:
            if name not in known:
                raise ValueError(f"{name!r} is no rule. There are: {', '.join(known)}.")
        for name in ("exercises", "records"):
            if isinstance(said.get(name), str):
                said[name] = [said[name]]
        said["exercises"] = tuple(said.get("exercises", ()))
        near = Path(path).parent if path is not None else Path()
        said["records"] = tuple(_record(near / file) for file in said.get("records", ()))
        if isinstance(said.get("due"), date) and not isinstance(said["due"], datetime):
            said["due"] = datetime.combine(said["due"], time(23, 59, 59))
        if said.get("due") is not None and not isinstance(said["due"], datetime):
            raise ValueError(f"due must be a date such as 2026-12-01; got {said['due']!r}.")
        return cls(**said)

    @property
    def blocked(self):
        """Packages that a submission cannot import."""
        return list(BLOCKED) if self.frameworks == "numpy only" else []

    def techniques(self):
        """{technique: names of the exercises that count}; all of them where none were named."""
        if not self.exercises:
            return {t: [e.name for e in exercises] for t, exercises in EXERCISES.items()}
        found = {}
        for name in self.exercises:
            technique, names = self._located(name)
            found.setdefault(technique, []).extend(n for n in names if n not in found[technique])
        return found

    def share(self, submitted):
        """(the share of its points that a submission keeps, days late)."""
        if self.due is None or submitted is None:
            return 1.0, 0
        due, now = self.due.astimezone(), submitted.astimezone()
        seconds = (now - due).total_seconds()
        days = max(0, -int(-seconds // 86400))
        if self.late_days is not None and days > self.late_days:
            return 0.0, days
        return max(0.0, 1 - self.penalty / 100 * max(0, days - self.free_days)), days

    def as_dict(self):
        """As JSON takes them."""
        return {**asdict(self), "due": self.due and self.due.isoformat()}


def _record(path):
    """(technique, source) of a file of records."""
    try:
        return path.stem, path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"records names {path}, which cannot be read: {error.strerror}.") from None


def _exercises(name, source):
    """What an instructor's own file calls EXERCISES."""
    namespace = {"__name__": name}
    try:
        exec(compile(source, f"{name}.py", "exec"), namespace)
        found = tuple(namespace["EXERCISES"])
    except Exception as error:
        raise ValueError(f"The records in {name}.py cannot be used: {told(error)}.") from None
    if not found or not all(isinstance(e, Exercise) for e in found):
        raise ValueError(f"EXERCISES in {name}.py must hold records of exercises.")
    return found


def _one_of(name, value, known):
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}.")
