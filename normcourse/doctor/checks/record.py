"""A check is one function and one record of what stands around it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from normcourse.doctor.patient import Patient

__all__ = ["CHECKS", "GIVEN", "ORIGINS", "Check", "Found", "Unchecked", "check", "inspect"]

CHECKS: dict[str, "Check"] = {}

# What a check may need, and what is said where it was not given.
GIVEN = {
    "averaged": "no averaged copy was given",
    "batch": "no batch was given",
    "checkpoint": "no checkpoint was given",
    "data": "no data was given",
    "micro_batches": "no number of micro_batches was given",
    "optimizer": "no optimizer was given",
    "origin": "no origin was given",
    "ranks": "no states of other ranks were given",
    "scaler": "no scaler was given",
    "tables": "no tables of training and test data were given",
}

# ε and the weight of the new batch that layers of an origin have where nobody said otherwise.
ORIGINS: dict[str, dict[str, Any]] = {
    "keras": {"eps": {"batch": 1e-3, "layer": 1e-3, "group": 1e-3, "rms": 1e-6}, "momentum": 0.01},
    "tensorflow": {"eps": {"batch": 1e-3, "layer": 1e-3}, "momentum": 0.01},
    "flax": {"eps": {"batch": 1e-5, "layer": 1e-6, "group": 1e-6, "rms": 1e-6}, "momentum": 0.01},
    "torch": {"eps": {"batch": 1e-5, "layer": 1e-5, "group": 1e-5}, "momentum": 0.1},
    "llama": {"eps": {"rms": 1e-6}, "cast": "before"},
    "gemma": {"eps": {"rms": 1e-6}, "cast": "after", "offset": True},
}


class Unchecked(Exception):
    """The reason why a check cannot be made."""


@dataclass(frozen=True)
class Found:
    """What one check found in one place; what is None is said by the record."""

    where: str
    measured: str
    values: Mapping[str, float] = field(default_factory=dict)
    severity: str | None = None
    why: str | None = None
    change: str | None = None


@dataclass(frozen=True)
class Check:
    """What is looked for.

    ``severity`` is the usual one, ``why`` says why it matters and ``change`` what to do, a line
    each, ``page`` is where the course explains it, ``threads`` are public reports ("owner/repo#n"),
    ``needs`` are arguments without which it is not made.
    """

    name: str
    group: str
    severity: str
    why: str
    change: str
    page: str
    threads: tuple[str, ...]
    needs: tuple[str, ...]
    run: Callable[["Patient"], Iterable[Found]]

    @property
    def about(self) -> str:
        """The first line of the function's docstring."""
        return (self.run.__doc__ or "").split("\n")[0]


def check(
    severity: str, why: str, change: str, page: str, threads: str, needs: str = ""
) -> Callable[[Callable[["Patient"], Iterator[Found]]], Callable[["Patient"], Iterator[Found]]]:
    """Make a check of a generator of findings. ``threads`` and ``needs`` are separated by spaces.

    The page is that of the pitfalls where it begins with a #.
    """

    def register(run: Callable[["Patient"], Iterator[Found]]) -> Any:
        group = run.__module__.rsplit(".", 1)[-1]
        address = f"practice/pitfalls.html{page}" if page.startswith("#") else page
        made = Check(
            run.__name__,
            group,
            severity,
            why,
            change,
            address,
            tuple(threads.split()),
            tuple(needs.split()),
            run,
        )
        CHECKS[made.name] = made
        return run

    return register


def inspect(checked: Check, patient: "Patient") -> list[Found]:
    """What the check finds.

    Raises:
        Unchecked: something that it needs was not given, or cannot be had.
    """
    for name in checked.needs:
        if not patient.has(name):
            raise Unchecked(GIVEN[name])
    return list(checked.run(patient))
