"""What a whole class tells: mistakes that many made, wrong numbers that several share, changes."""

from collections import Counter, defaultdict
from html import escape
from pathlib import Path

from normcourse.exercises.display import STYLE
from normcourse.grading.tables import PAGE

__all__ = ["alike", "compare", "mistakes", "write"]


def mistakes(rows):
    """{exercise: [(mistake, how many, explanation)]}, the most frequent first."""
    counts, explained = defaultdict(Counter), {}
    for row in rows:
        for name, e in row.exercises.items():
            for mistake, explanation in zip(e.mistakes, e.explanations, strict=False):
                counts[name][mistake] += 1
                explained.setdefault((name, mistake), explanation)
    return {
        name: [(m, n, explained[name, m]) for m, n in found.most_common()]
        for name, found in counts.items()
    }


def alike(rows):
    """[(exercise, learners, state)] of those whose wrong numbers are equal on all inputs.

    A mistake that is named gives everyone who makes it the same numbers: what is listed is rarer,
    wrong in a way that no record knows.
    """
    groups = defaultdict(list)
    for row in rows:
        for name, e in row.exercises.items():
            if e.numbers and not e.mistakes:
                groups[name, e.numbers].append((row.learner, e.state))
    return [
        (name, [learner for learner, _ in found], found[0][1])
        for (name, _), found in sorted(groups.items())
        if len(found) > 1
    ]


def compare(before, after):
    """Lines on what differs between two runs: learners, points, states."""
    old, new = ({row.learner: row for row in rows} for rows in (before, after))
    lines = [f"{learner}: only before" for learner in sorted(old.keys() - new.keys())]
    lines += [f"{learner}: only after" for learner in sorted(new.keys() - old.keys())]
    for learner in sorted(old.keys() & new.keys()):
        a, b = old[learner], new[learner]
        if (a.status, a.why) != (b.status, b.why):
            lines.append(f"{learner}: {a.status} {a.why} -> {b.status} {b.why}")
        for name in sorted(a.exercises.keys() | b.exercises.keys()):
            was, now = (_told(row.exercises.get(name)) for row in (a, b))
            if was != now:
                lines.append(f"{learner}, {name}: {was} -> {now}")
    return lines


def _told(graded):
    return f"{graded.points} of {graded.most}, {graded.state}" if graded else "not there"


def write(out, result):
    """Write class.html and class.txt."""
    blocks = list(_blocks(result.rows))
    text = "\n\n".join(
        "\n".join([heading, "-" * len(heading), *("   ".join(line) for line in lines)])
        for heading, _, lines in blocks
    )
    Path(out, "class.txt").write_text(f"{text}\n", encoding="utf-8")
    body = "\n".join(
        f"<h2>{escape(heading)}</h2>" + _table(columns, lines) for heading, columns, lines in blocks
    )
    page = PAGE.format(title="The class", style=STYLE, body=f"<h1>The class</h1>{body}")
    Path(out, "class.html").write_text(page, encoding="utf-8")


def _blocks(rows):
    status = Counter(row.status for row in rows)
    yield "Submissions", ("status", "how many"), [(s, str(n)) for s, n in status.most_common()]
    held = Counter((row.sandbox or "none", "; ".join(row.held)) for row in rows if row.started)
    if held:
        lines = [(name, what, str(n)) for (name, what), n in held.most_common()]
        yield "What held", ("sandbox", "what it was seen to hold", "submissions"), lines
    yield "Points", ("exercise", "full", "some", "none"), list(_points(rows))
    for name, found in sorted(mistakes(rows).items()):
        lesson = f"To repeat: the chapter {name.partition('.')[0].replace('_', ' ')}"
        lines = [(f"{n} made it", mistake, explanation) for mistake, n, explanation in found]
        yield f"{name}. {lesson}", ("how many", "mistake", "what it is"), lines
    same = [(name, ", ".join(who), state) for name, who, state in alike(rows)]
    if same:
        yield (
            "Equal wrong numbers: a place to look, not a proof. Learners who worked from the same "
            "source, or together, come out like this, too",
            ("exercise", "learners", "state"),
            same,
        )
    cut = [(row.learner, ", ".join(row.cut)) for row in rows if row.cut]
    if cut:
        yield "Cut off", ("learner", "what was"), cut


def _points(rows):
    names = dict.fromkeys(name for row in rows for name in row.exercises)
    for name in names:
        found = [row.exercises[name] for row in rows if name in row.exercises]
        full = sum(e.points == e.most for e in found)
        none = sum(e.points == 0 for e in found)
        yield name, str(full), str(len(found) - full - none), str(none)


def _table(columns, lines):
    head = "".join(f"<th scope=col>{escape(c)}</th>" for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines
    )
    return f"<div class=wide><table><thead><tr>{head}</tr></thead>{body}</table></div>"
