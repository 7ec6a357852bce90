"""What an instructor takes on: tables, gradebooks, and a page for each learner."""

import csv
import json
from datetime import datetime
from html import escape
from pathlib import Path

from normcourse.exercises.display import STYLE
from normcourse.grading.run import safe

__all__ = ["final", "write"]

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto;
  padding: 0 1rem; }}
h1, h2, th, td {{ overflow-wrap: anywhere; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent); }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums; }} .wide {{ overflow-x: auto; }}
{style}</style></head><body>
{body}
</body></html>
"""


def write(out, result):
    """Write all tables and pages of a :class:`~normcourse.grading.run.Run` into ``out``."""
    out, rules = Path(out), result.rules
    graded = [(row, *final(row, rules)) for row in result.rows]
    _csv(out / "learners.csv", _LEARNERS, map(_of_learner, graded))
    _csv(out / "exercises.csv", _EXERCISES, (line for g in graded for line in _of_exercises(g[0])))
    for folder in ("feedback", "gradescope"):
        (out / folder).mkdir(exist_ok=True)
    for row, points, days in graded:
        name = safe(row.learner)
        page = _page(row, points, days)
        (out / "feedback" / f"{name}.html").write_text(page, encoding="utf-8")
        (out / "feedback" / f"{name}.txt").write_text(_text(row, points, days), encoding="utf-8")
        told = json.dumps(gradescope(row, points, days), ensure_ascii=False, indent=1)
        (out / "gradescope" / f"{name}.json").write_text(f"{told}\n", encoding="utf-8")
    _csv(out / "canvas.csv", *_canvas(graded, rules.title))
    _csv(out / "moodle.csv", *_moodle(graded, rules.title))


def final(row, rules):
    """(points after the penalty for days late, rounded to hundredths; days late)."""
    when = datetime.fromisoformat(row.submitted) if row.submitted else None
    share, days = rules.share(when)
    return round(row.points * share, 2), days


# ---- tables ------------------------------------------------------------------------------------

_LEARNERS = (
    "id", "name", "email", "status", "points", "of", "days late", "final", "why", "cut off",
    "sandbox", "seconds", "seed",
)  # fmt: skip
_EXERCISES = ("id", "exercise", "points", "of", "state", "mistakes", "seconds")


def _of_learner(graded):
    row, points, days = graded
    about = row.about
    cut = "; ".join(row.cut)
    return (
        row.learner, about.get("name", ""), about.get("email", ""), row.status, row.points,
        row.most, days, points, row.why, cut, row.sandbox, f"{row.seconds:.2f}", row.seed,
    )  # fmt: skip


def _of_exercises(row):
    for name, e in row.exercises.items():
        mistakes = "; ".join(e.mistakes)
        yield row.learner, name, e.points, e.most, e.state, mistakes, f"{e.seconds:.2f}"


def _csv(path, header, lines):
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([[_cell(value) for value in line] for line in lines])


def _cell(value):
    """Text that a spreadsheet takes for text, and not for a formula."""
    text = str(value)
    return (
        f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _number(text) else text
    )


def _number(text):
    try:
        float(text)
        return True
    except ValueError:
        return False


def _canvas(graded, title):
    """As Canvas imports grades: who is known by the roster's columns, and a row of what is most."""
    most = max((row.most for row, _, _ in graded), default=0)
    header = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section", title)
    lines = [("    Points Possible", "", "", "", "", most)]
    for row, points, _ in graded:
        about = row.about
        known = about.get("canvas id", ""), about.get("sis user id", "") or row.learner
        lines.append(
            (about.get("name", "") or row.learner, *known, about.get("sis login id", "")
             or about.get("email", ""), about.get("section", ""), points)
        )  # fmt: skip
    return header, lines


def _moodle(graded, title):
    """As Moodle imports grades; map the column that identifies a learner."""
    header = ("ID number", "Full name", "Email address", title, "Feedback")
    lines = []
    for row, points, days in graded:
        about = row.about
        lines.append(
            (
                row.learner,
                about.get("name", ""),
                about.get("email", ""),
                points,
                _in_short(row, days),
            )
        )
    return header, lines


def _in_short(row, days):
    if row.status != "graded":
        return f"{row.status}: {row.why}" if row.why else row.status
    parts = [f"{name}: {e.points} of {e.most}, {e.state}" for name, e in row.exercises.items()]
    return "; ".join([*parts, *([_late(days)] if days else [])])


def _late(days):
    return "1 day late" if days == 1 else f"{days} days late"


def gradescope(row, points, days):
    """What Gradescope reads from results.json."""
    tests = [
        {
            "name": name,
            "score": e.points,
            "max_score": e.most,
            "status": "passed" if e.points == e.most else "failed",
            "output": e.text or e.state,
            "output_format": "text",
        }
        for name, e in row.exercises.items()
    ]
    return {
        "score": points,
        "output": "\n".join(_head(row, points, days)),
        "output_format": "text",
        "execution_time": round(row.seconds, 2),
        "visibility": "visible",
        "tests": tests,
    }


# ---- a page for each learner -------------------------------------------------------------------


def _head(row, points, days):
    yield f"{row.learner}: {row.points} of {row.most} points"
    if days:
        yield f"{_late(days)}: {points:g} points count."
    if row.status != "graded":
        yield f"{row.status}: {row.why}".rstrip(": ")
    if row.cut:
        yield f"Cut off: {', '.join(row.cut)}."
    yield from row.problems


def _text(row, points, days):
    parts = [e.text or f"{name}: {e.points} of {e.most} points, {e.state}" for name, e in _of(row)]
    return "\n\n\n".join(["\n".join(_head(row, points, days)), *parts, _foot(row)]) + "\n"


def _of(row):
    return row.exercises.items()


def _page(row, points, days):
    title, *more = _head(row, points, days)
    body = [f"<h1>{escape(title)}</h1>", *(f"<p>{escape(line)}</p>" for line in more)]
    cells = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td class=n>{e.points} of {e.most}</td>"
        f"<td>{escape(e.state)}</td></tr>"
        for name, e in _of(row)
    )
    head = "<tr><th scope=col>exercise</th><th scope=col>points</th><th scope=col>state</th></tr>"
    if cells:
        body.append(f"<div class=wide><table><thead>{head}</thead>{cells}</table></div>")
    body += [e.html.replace(f"<style>{STYLE}</style>", "") for _, e in _of(row) if e.html]
    body.append(f"<p><small>{escape(_foot(row))}</small></p>")
    return PAGE.format(title=escape(title), style=STYLE, body="\n".join(body))


def _foot(row):
    held = "; ".join(row.held) or "nothing"
    return f"Graded with seed {row.seed}, sandbox {row.sandbox or 'none'}. What held: {held}."
