"""What a doctor says: findings, what could not be checked, and a report of both."""

import html
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from normcourse.exercises import display

__all__ = ["SEVERITIES", "Finding", "NotChecked", "Report"]

SEVERITIES = ("note", "warning", "severe")
TITLES = {
    "severe": "Severe: results are wrong, or will be",
    "warning": "Warnings: this likely costs something",
    "note": "Notes",
}
NAMED = 3  # places that a table names; JSON has all


@dataclass(frozen=True)
class Finding:
    """One thing that was measured and should be changed, or known.

    Args:
        check: its name.
        severity: note, warning or severe.
        where: a qualified name in the model; ``""`` for all of it.
        measured: what was measured, in words.
        values: the numbers of it.
        why, change: why it matters and what to do, a line each.
        page: the part of the course that explains it.
        threads: public reports of the same, ``"owner/repository#number"``.
    """

    check: str
    severity: str
    where: str
    measured: str
    values: Mapping[str, float] = field(default_factory=dict)
    why: str = ""
    change: str = ""
    page: str = ""
    threads: tuple[str, ...] = ()


@dataclass(frozen=True)
class NotChecked:
    """A check that could not be made, and why.

    Args:
        check: its name.
        reason: for instance what was not given.
    """

    check: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What was found: HTML in a notebook, text elsewhere, and :meth:`json` for machines.

    Args:
        model: the name of its class.
        findings: the most severe first.
        sound: names of the checks that found nothing.
        not_checked: the other checks.
        seconds: how long it took.
        error: what the model raised, if it did.
        site: where the pages of the course are, for the links in HTML.

    Attributes:
        worst: the severity of the first finding; ``""`` where there is none.
    """

    model: str
    findings: tuple[Finding, ...]
    sound: tuple[str, ...]
    not_checked: tuple[NotChecked, ...]
    seconds: float
    error: str = ""
    site: str = "../"  # seen from a chapter

    def of(self, check: str) -> list[Finding]:
        """The findings of one check."""
        return [finding for finding in self.findings if finding.check == check]

    @property
    def worst(self) -> str:
        """The severity of the first finding; "" where there is none."""
        return self.findings[0].severity if self.findings else ""

    def exit_status(self, fail_on: str = "warning") -> int:
        """For a command: 0 for nothing, 1 for a warning, 2 for something severe or an error.

        Args:
            fail_on: the least severity that counts; of a note the status is 1.

        Raises:
            ValueError: ``fail_on`` is no severity.
        """
        if fail_on not in SEVERITIES:
            raise ValueError(f"fail_on must be one of {SEVERITIES}, got {fail_on!r}.")
        if self.error or self.worst == "severe":
            return 2
        counts = SEVERITIES[SEVERITIES.index(fail_on) :]
        return int(self.worst in counts)

    def as_dict(self) -> dict[str, Any]:
        """All of it in lists, dictionaries, numbers and text."""
        return asdict(self) | {"worst": self.worst}

    def json(self) -> str:
        """All of it as JSON."""
        return json.dumps(_finite(self.as_dict()), indent=2)

    def __repr__(self) -> str:
        return repr(self._display())

    def _repr_html_(self) -> str:
        shown = self._display()._repr_html_()
        for page in sorted({f.page for f in self.findings}, key=len, reverse=True):
            address = html.escape(f"{self.site}{page}")
            cell = html.escape(page)
            shown = shown.replace(f"{cell}</", f'<a href="{address}">{cell}</a></')
        return shown

    def _display(self) -> display.Report:
        sections = []
        for severity in reversed(SEVERITIES):
            groups: dict[str, list[Finding]] = {}
            for finding in self.findings:
                if finding.severity == severity:
                    groups.setdefault(finding.check, []).append(finding)
            sections += [_section(severity, found) for found in groups.values()]
        if self.error:
            said = f"The model raised {self.error}"
            sections.insert(0, display.Section("The model could not be run", (said,)))
        told = [f"{len(self.sound)} checks found nothing."] if self.sound else []
        reasons: dict[str, list[str]] = {}
        for skipped in self.not_checked:
            reasons.setdefault(skipped.reason, []).append(skipped.check)
        rows = tuple((reason, ", ".join(names)) for reason, names in reasons.items())
        blocks: list[Any] = told
        if rows:
            blocks = [*told, *(f"Not checked ({reason}): {names}." for reason, names in rows)]
        if blocks:
            sections.append(display.Section("Checked", tuple(blocks)))
        numbers = {s: sum(f.severity == s for f in self.findings) for s in reversed(SEVERITIES)}
        counts = [f"{numbers.pop('severe')} severe"]
        counts += [f"{n} {name}{'s' * (n != 1)}" for name, n in numbers.items()]
        title = f"{self.model}: {', '.join(counts)} ({self.seconds:.1f} s)"
        bad = self.error or self.worst == "severe"
        state = "wrong" if bad else "open" if self.worst == "warning" else "passed"
        return display.Report(title, state, sections)


def _section(severity: str, found: list[Finding]) -> display.Section:
    """The findings of one check: its places in one table, what they have in common once."""
    first = found[0]
    rows = [("where", finding.where or "the model", finding.measured) for finding in found[:NAMED]]
    lines = [(where, measured) for _, where, measured in rows]
    if len(found) > NAMED:
        rest = ", ".join(finding.where for finding in found[NAMED : 2 * NAMED])
        more = ", ..." if len(found) > 2 * NAMED else ""
        lines.append((f"and {len(found) - NAMED} more", f"{rest}{more}"))
    lines += [("why", first.why), ("change", first.change), ("page", first.page)]
    head = f"{severity}: {first.check.replace('_', ' ')}"
    return display.Section(head, (display.Table(("where", "measured"), tuple(lines)),))


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become text."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not (abs(value) < float("inf")):
        return str(value)
    return value
