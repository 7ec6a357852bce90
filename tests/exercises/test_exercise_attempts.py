"""Attempts as students write them, and mistakes made two at a time."""

import random
from collections import Counter

import attempts_capstone  # noqa: F401  registers its attempts
import attempts_divisive_norm  # noqa: F401
import attempts_instance_norm  # noqa: F401
import attempts_rms_norm  # noqa: F401
import attempts_spectral_norm  # noqa: F401
import attempts_switchable_norm  # noqa: F401
import attempts_weight_norm  # noqa: F401
import pytest
from attempts import ATTEMPTS, RIGHT

from normcourse.exercises import EXERCISES, find, judge

ALL = [exercise for exercises in EXERCISES.values() for exercise in exercises]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def outcome(verdict):
    """How a wrong attempt was met."""
    if verdict.passed:
        return "accepted, with a note" if verdict.notes else "accepted"
    if any(trial.finding for trial in verdict.trials) or not verdict.trials:
        return "structural"
    if not verdict.readings or verdict.readings[0].evidence.startswith("Not sure"):
        return "not named"
    return "named"


def test_wrong_attempts_are_refused_and_named(record_property):
    met = Counter(
        outcome(judge(find(name), fn)) for name, wrong in ATTEMPTS.items() for fn, _, _ in wrong
    )
    record_property("measured", f"exercises: {met.total()} attempts of students: {dict(met)}")
    assert met["accepted"] == 0
    assert met["accepted, with a note"] == 7  # right numbers in float64
    assert met["not named"] <= 10


@pytest.mark.parametrize(
    ("name", "fn"), [(name, fn) for name, right in RIGHT.items() for fn in right]
)
def test_right_attempts_pass(name, fn):
    verdict = judge(find(name), fn)
    assert verdict.passed, verdict.findings


@pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
def test_two_mistakes_at_once_are_named(exercise):
    """At least three quarters get a right name, and hardly any a name of neither."""
    pairs = [pair for pair in exercise.together(2) if pair[0].name != pair[1].name]
    tried = random.Random(0).sample(pairs, min(40, len(pairs)))  # as_matrix is a single step
    met = Counter()
    for pair in tried:
        verdict = judge(exercise, exercise.twin(*pair))
        assert not verdict.passed
        made = {mistake.name for mistake in pair}
        named = [set(reading.names) for reading in verdict.readings]
        met["right" if any(made & names for names in named) else "wrong" if named else "none"] += 1
    assert met["right"] >= 0.75 * len(tried)
    assert met["wrong"] <= 1
