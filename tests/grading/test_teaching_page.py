"""What the page for instructors shows works as it stands there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from normcourse.exercises import EXERCISES, judge
from normcourse.grading import Rules
from normcourse.grading.__main__ import parser

PAGE = Path(__file__).parents[2] / "book" / "practice" / "teaching.md"
BLOCKS = re.findall(
    r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def blocks(language):
    return [source for said, source in BLOCKS if said == language]


@pytest.fixture(scope="module")
def exercise():
    namespace = {}
    exec(blocks("python")[0], namespace)
    (exercise,) = namespace["EXERCISES"]
    return exercise


def by_norm(x, g, eps):
    return g * x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), eps)


def test_its_exercise_accepts_what_is_right(exercise):
    for seed in range(20):
        assert judge(exercise, by_norm, seed).passed


def test_its_exercise_names_each_mistake(exercise):
    for mistake in exercise.mistakes:
        verdict = judge(exercise, exercise.twin(mistake))
        assert [finding.name for finding in verdict.findings] == [mistake.name]


def test_its_wrong_attempt_gets_the_answer_that_it_shows(tmp_path, monkeypatch):
    record, source = blocks("python")
    (tmp_path / "scale_norm.py").write_text(record, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    attempt, shown = source.split("check(scale_norm)  # What went wrong: ")
    namespace = {}
    try:
        exec(attempt, namespace)
        feedback = namespace["check"](namespace["scale_norm"])
    finally:
        EXERCISES.pop("scale_norm", None)
    assert f"What went wrong: {shown.strip()}" in repr(feedback)


def test_its_rules_are_rules(tmp_path):
    (source,) = blocks("toml")
    path = tmp_path / "rules.toml"
    path.write_text(source, encoding="utf-8")
    assert Rules.read(path).frameworks == "without norms"


def test_its_commands_have_the_options_that_it_names():
    text = "\n".join(blocks("sh")).replace("\\\n", " ")
    lines = text.splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("normcourse-grade")]
    assert len(commands) >= 4
    for command in commands:
        parser().parse_args(command)
