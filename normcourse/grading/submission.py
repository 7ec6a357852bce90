"""What was handed in: files that may be anything, and whose they are."""

import csv
import hashlib
import os
import re
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from normcourse.grading.wire import clean

__all__ = ["Submission", "Unreadable", "find", "read_roster"]

LARGEST = 100_000_000  # bytes of a file
SUFFIXES = (".ipynb", ".py")


class Unreadable(ValueError):
    """A file that cannot be graded; the message says why."""


@dataclass
class Submission:
    """What one learner handed in.

    Attributes:
        learner: the id under which it is graded.
        files: the paths of what was handed in; none if nothing was.
        about: the learner's row of the roster.
        submitted: when, if that is known.
        contents: (name, bytes) of the files; what they hold is looked at in the sandbox.
        digest: of all bytes.
        notes: why files were not read.
    """

    learner: str
    files: tuple[Path, ...] = ()
    about: dict = field(default_factory=dict)
    submitted: datetime | None = None
    contents: list = field(default_factory=list)
    digest: str = ""
    notes: list = field(default_factory=list)

    def read(self):
        """Read the files; :class:`Unreadable` if not one of them can be."""
        if self.contents:
            return
        digest, whens = hashlib.sha256(), []
        for path in self.files:
            shown = clean(path.name, 80)
            try:
                data, when = contents(path)
            except Unreadable as error:
                self.notes.append(f"{shown}: {error}" if len(self.files) > 1 else str(error))
                continue
            digest.update(data)
            whens.append(when)
            self.contents.append((shown, data))
        if not self.contents:
            raise Unreadable("; ".join(self.notes) or "nothing was handed in")
        self.digest, self.submitted = digest.hexdigest(), self.submitted or max(whens)


def contents(path):
    """(bytes, when it was changed) of a regular file; links, devices and the like are not read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK)
    except OSError as error:
        linked = os.path.islink(path)
        raise Unreadable("it is a link, which is not followed" if linked else told(error)) from None
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise Unreadable("it is no regular file")
        if about.st_size > LARGEST:
            raise Unreadable(f"it is larger than {LARGEST // 10**6} MB")
        data = file.read(LARGEST)
    return data, datetime.fromtimestamp(about.st_mtime, UTC)


def told(error):
    return f"it cannot be opened ({error.strerror or type(error).__name__})"


# ---- who handed in what ------------------------------------------------------------------------


def read_roster(path):
    """Rows of a CSV file with a column ``id``, and perhaps name, email, file and submitted.

    Raises:
        ValueError: there is no such column, or an id that is empty or there twice.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = [c.strip().lower() for c in reader.fieldnames or ()]
        if "id" not in columns:
            raise ValueError(f"The roster {path} needs a column id; it has {', '.join(columns)}.")
        reader.fieldnames = columns
        rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]
    seen = set()
    for line, row in enumerate(rows, 2):
        if not row["id"] or row["id"] in seen:
            kind = "is there twice" if row["id"] else "is empty"
            raise ValueError(f"The id {row['id']!r} in line {line} of {path} {kind}.")
        seen.add(row["id"])
    return rows


def find(places, roster=None, one=""):
    """The submissions under files and folders, in order of their ids.

    A file is a submission; a folder inside a folder is one, too, with all that lies in it, as
    Moodle and Gradescope unpack them. With a roster, each of its learners has one row, also who
    handed in nothing; what belongs to nobody on it keeps its own name. ``one`` is the id of a
    learner to whom all that is found belongs.

    Raises:
        ValueError: a place does not exist, or nothing was handed in.
    """
    groups = {}
    for place in map(Path, places):
        if not os.path.lexists(place):
            raise ValueError(f"{place} does not exist.")
        inside = sorted(place.iterdir()) if place.is_dir() else [place]
        for entry in inside:
            if entry.is_dir() and not entry.is_symlink():
                files = tuple(sorted(f for f in _walk(entry) if _is_code(f)))
                if files:
                    groups[entry] = files
            elif _is_code(entry) or not place.is_dir():
                groups[entry] = (entry,)
    if not groups and not roster:
        raise ValueError(f"No notebook and no Python file in {', '.join(map(str, places))}.")
    found, rows = {}, {row["id"]: row for row in roster or ()}
    for entry, files in groups.items():
        learner = one or _whose(entry, rows) or _unused(entry, {*found, *rows})
        if learner in found:
            found[learner].files += files
        else:
            found[learner] = Submission(learner, files, rows.get(learner, {}))
    for learner, row in rows.items():
        found.setdefault(learner, Submission(learner, (), row))
    for submission in found.values():
        submission.submitted = _when(submission.about.get("submitted"))
    return [found[learner] for learner in sorted(found)]


def _walk(folder):
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "_")))
        yield from (Path(root, f) for f in files)


def _is_code(path):
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _whose(entry, rows):
    """The learner on the roster whom a file or folder names, if it is one."""
    name = entry.stem if _is_code(entry) else entry.name
    words = {w.casefold() for w in (name, *name.split("_"))}
    for learner, row in rows.items():
        if row.get("file") and row["file"] in (entry.name, str(entry)):
            return learner
        if words & {known.casefold() for known in _names(learner, row) if known}:
            return learner
    return None


def _names(learner, row):
    """What may stand for a learner: Moodle writes the name, Canvas "lastfirst" and a number."""
    full, mail = row.get("name", ""), row.get("email", "")
    first, _, last = full.rpartition(" ")
    if "," in full:
        last, _, first = full.partition(",")
    yield from (learner, full, row.get("canvas id", ""), mail, mail.partition("@")[0])
    yield from (re.sub(r"[ ,]", "", name) for name in (full, last + first))


def _unused(entry, taken):
    """An id from a file's name, safe as the name of a file, and not another's."""
    name = entry.stem if _is_code(entry) else entry.name
    name = re.sub(r"[^\w.@+-]+", "_", clean(name, 80)).strip("._-") or "unnamed"
    unique, i = name, 2
    while unique in taken:
        unique, i = f"{name}-{i}", i + 1
    return unique


def _when(text):
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"submitted must be a time such as 2026-12-01T18:00; got {text!r}."
        ) from None
