"""Grade a class: a process that holds nothing computes, and the course's judge judges.

    normcourse-grade submissions/ --out grades/

``check()``, the exercises on the page and this command have one judge. What is handed in runs in
another process, under a sandbox, and cannot see what it is compared with.
"""

from normcourse.grading.grade import Graded, Row, grade
from normcourse.grading.rules import Rules
from normcourse.grading.sandbox import NoSandbox, Sandbox, choose
from normcourse.grading.submission import Submission, find, read_roster

__all__ = [
    "Graded",
    "NoSandbox",
    "Row",
    "Rules",
    "Sandbox",
    "Submission",
    "choose",
    "find",
    "grade",
    "read_roster",
]
