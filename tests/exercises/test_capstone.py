"""The capstone: whichever planted bugs are left, each is named; right repairs are accepted."""

import ast
import contextlib
import io
import random
from itertools import chain, combinations, product
from pathlib import Path

import nbformat
import numpy as np
import pytest
from exercise_solutions import RIGHT

from normcourse.exercises import (
    EXERCISES,
    Session,
    export_network,
    find,
    judge,
    port_model,
    read_digits,
)
from normcourse.exercises.__main__ import main as grade
from normcourse.exercises.capstone import NETWORKS
from normcourse.exercises.recognize import _Attempt

CAPSTONE = EXERCISES["capstone"]
BOOK = Path(__file__).parents[2] / "book"
NOTEBOOK = nbformat.read(BOOK / "exercises" / "capstone.ipynb", as_version=4)
SHOWN = {
    "a reader of digits": read_digits,
    "a language model, ported": port_model,
    "fine-tuned, averaged, exported": export_network,
}
SEEDS = 20
each = pytest.mark.parametrize("exercise", CAPSTONE, ids=lambda e: e.name)
of_network = pytest.mark.parametrize("network", NETWORKS)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def tags(cell):
    return set(cell.metadata.get("tags", ()))


def subsets(bugs):
    return chain.from_iterable(combinations(bugs, size) for size in range(len(bugs) + 1))


def named(verdict):
    return {finding.name for finding in verdict.findings}


def told(bugs):
    return {bug.name for bug in bugs}


def handed_out():
    """The functions as they stand in the notebook."""
    namespace = {"np": np}
    for cell in NOTEBOOK.cells:
        if "stub" in tags(cell):
            exec(cell.source, namespace)
    return namespace


def function(exercise, *bugs):
    """A twin that returns what a learner's function would."""
    twin = exercise.twin(*bugs)

    def fn(*arguments):
        results = twin(*arguments)
        return results if len(results) > 1 else results[0]

    return fn


def printed(show, functions):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        show(*functions)
    return out.getvalue().splitlines()


def test_at_least_ten_kinds_are_planted():
    kinds = set().union(*(e.planted for e in CAPSTONE))
    assert len(kinds) >= 10
    assert all(told(e.bugs) == set(e.planted) for e in CAPSTONE)


@each
def test_the_notebook_holds_the_code_with_all_its_bugs(exercise):
    fn = handed_out()[exercise.name]
    for seed in range(SEEDS):
        verdict = judge(exercise, fn, seed)
        assert not verdict.started
        assert not verdict.passed
        assert verdict.points == 0
        assert named(verdict) == set(exercise.planted)


@each
def test_a_bug_shows_alone_somewhere(exercise):
    """On an input where no set of the others makes a difference."""
    for seed in range(SEEDS):
        attempt = _Attempt(exercise, judge(exercise, exercise.twin(), seed).trials, seed)
        assert all(attempt.places(bug) for bug in exercise.bugs)


@of_network
def test_whichever_bugs_are_left_are_named(network, record_property):
    """All subsets of the bugs of a network, each function with those that are its own."""
    verdicts = {
        (exercise.name, told_bugs): judge(exercise, exercise.twin(*bugs))
        for exercise in NETWORKS[network]
        for bugs in subsets(exercise.bugs)
        for told_bugs in [frozenset(told(bugs))]
    }
    sets, alone = 0, {}
    for left in product(*(subsets(exercise.bugs) for exercise in NETWORKS[network])):
        present = {
            name: frozenset(told(bugs))
            for name, bugs in zip((e.name for e in NETWORKS[network]), left, strict=True)
        }
        for name, bugs in present.items():
            verdict = verdicts[name, bugs]
            assert verdict.passed == (not bugs), (name, bugs)
            assert named(verdict) == bugs, (name, bugs)
        sets += 1
        whole = set().union(*present.values())
        if len(whole) == 1:
            alone |= dict.fromkeys(whole, "found, named")
    assert set(alone) == set().union(*(e.planted for e in NETWORKS[network]))
    for bug, verdict in alone.items():
        record_property("measured", f"capstone, {network}: {bug}: {verdict}")
    record_property("measured", f"capstone, {network}: {sets - 1} of {sets - 1} sets of bugs named")


@each
def test_bugs_are_named_on_other_inputs(exercise):
    for seed, bugs in product(range(1, SEEDS), subsets(exercise.bugs)):
        verdict = judge(exercise, exercise.twin(*bugs), seed)
        assert named(verdict) == told(bugs), seed
        assert verdict.passed == (not bugs)
        count = len(exercise.bugs)
        evidence = [f"Planted bugs mended: {count - len(bugs)} of {count}"] if bugs else []
        assert [reading.evidence for reading in verdict.readings] == evidence


@each
def test_right_repairs_are_accepted(exercise, record_property):
    accepted = [judge(exercise, fn, s).passed for fn in RIGHT[exercise.name] for s in range(200)]
    text = f"{len(RIGHT[exercise.name])} right repairs, {sum(accepted)} of {len(accepted)} accepted"
    record_property("measured", f"capstone, {exercise.name}: {text}")
    assert all(accepted)


def spoiled(exercise, bugs, k):
    """A twin, of which the result ``k`` has something else wrong where no bug shows alone."""
    twin = exercise.twin(*bugs)

    def fn(*arguments):
        results = list(twin(*arguments))
        results[k] = results[k] * 1.5 + 1
        return tuple(results)

    return fn


@pytest.mark.parametrize(
    ("name", "k"),
    [("norm_in_training", 0), ("norm_in_training", 2), ("tune_step", 0), ("average_state", 0)],
)
def test_bugs_are_named_beside_what_nobody_planted(name, k):
    """And the report says that there is more."""
    exercise = find(name)
    result = exercise.returns[k]
    attempt = _Attempt(exercise, judge(exercise, exercise.twin()).trials, 0)
    for bugs in subsets(exercise.bugs):
        seen = [
            bug
            for bug in bugs
            if all(exercise.returns[r] != result for _, r in attempt.places(bug))
        ]
        verdict = judge(exercise, spoiled(exercise, bugs, k))
        assert not verdict.passed
        assert told(seen) <= named(verdict), told(bugs)
        assert not named(verdict) & (set(exercise.planted) - told(bugs))
        if seen:
            assert "something else is wrong" in verdict.readings[0].evidence


@each
def test_bugs_and_one_more_mistake_are_all_named(exercise):
    """Unless one hides the other, or both look like another pair."""
    met = []
    for bugs in subsets(exercise.bugs):
        taken = frozenset().union(*(bug.about for bug in bugs))
        for mistake in exercise.mistakes:
            if not bugs or mistake in exercise.bugs or mistake.about & taken:
                continue
            verdict = judge(exercise, exercise.twin(*bugs, mistake))
            assert not verdict.passed
            met.append(named(verdict) == told((*bugs, mistake)))
    assert np.mean(met) >= 0.7


def mended(report):
    return [line.strip() for line in repr(report).splitlines() if "mended" in line]


def test_a_learner_is_told_what_is_left_and_not_before(capsys):
    session, exercise = Session(), find("token_norm")
    first = session.check(handed_out()["token_norm"])
    assert "not started yet, 0 of 3 points" in repr(first)
    assert "3 bugs are planted in this code." in repr(first)
    assert not any(bug in repr(first) for bug in exercise.planted)
    assert first.hints == ()
    left = exercise.bugs[1:]
    report = session.check(exercise.twin(*left), "token_norm")
    assert f"What went wrong: {left[0].name} and {left[1].name}" in repr(report)
    assert mended(report) == ["Planted bugs mended: 1 of 3."]
    assert len(report.hints) == 1
    assert "passed, 3 of 3 points" in repr(session.check(exercise.twin(), "token_norm"))


def test_one_planted_bug_is_told_as_one():
    assert "One bug is planted" in repr(Session().check(handed_out()["average_state"]))


def test_the_grader_reads_the_notebook(tmp_path, capsys):
    path = tmp_path / "capstone.ipynb"
    nbformat.write(NOTEBOOK, path)
    assert grade([str(path)]) == 1
    most = sum(exercise.points for exercise in CAPSTONE)
    out = capsys.readouterr().out
    assert f"capstone: 0 of {most} points" in out
    assert out.count("not started") == len(CAPSTONE)


# ---- what the networks do ------------------------------------------------------------------------


@of_network
def test_every_bug_changes_what_its_network_prints(network):
    """Alone, and among all others: each can be found from what is seen."""
    exercises = NETWORKS[network]
    rng = random.Random(0)
    all_bugs = [(e, bug) for e in exercises for bug in e.bugs]

    def shown(left):
        return printed(
            SHOWN[network],
            [function(e, *(bug for owner, bug in left if owner is e)) for e in exercises],
        )

    right = shown([])
    for bug in all_bugs:
        assert shown([bug]) != right, bug[1].name
    for bug in rng.sample(all_bugs, min(4, len(all_bugs))):
        rest = [other for other in all_bugs if other is not bug]
        assert shown(all_bugs) != shown(rest), bug[1].name


def test_mended_networks_do_as_they_should():
    lines = {
        network: "\n".join(printed(show, [function(e) for e in NETWORKS[network]]))
        for network, show in SHOWN.items()
    }
    reader, port, export = lines.values()
    assert "set by up to 0.00" in reader
    assert "8 of the 8" in reader
    assert "running mean 10% of the way" in reader
    assert "0.5: 3.00 (8 numbers of variance 5.25)" in reader  # 0.5 x 5.25 x 8 / 7
    assert "gets a spread of 0.71" in reader  # 1/√2
    assert "same next word as the original: 100%" in port
    assert "before it by up to 0.00" in port
    assert "running mean 0.00 to 0.00" in export
    assert "|γ| 1.00 to 1.00, running mean 0.00 to 2.00" in export
    assert "0.00 without a norm, 0.00 with" in export


def test_what_the_notebook_shows_is_what_its_code_does():
    functions = handed_out()
    cells = [cell for cell in NOTEBOOK.cells if "try" in tags(cell)]
    for cell, (network, show) in zip(cells, SHOWN.items(), strict=True):
        names = [exercise.name for exercise in NETWORKS[network]]
        call = ast.parse(cell.source).body[-1].value
        assert (call.func.id, [a.id for a in call.args]) == (show.__name__, names)
        (output,) = cell.outputs
        assert output.text.splitlines() == printed(show, [functions[name] for name in names])


def test_without_the_digits_the_reader_says_so(monkeypatch, capsys):
    def missing():
        raise ImportError

    monkeypatch.setitem(read_digits.__globals__, "_digits", missing)
    read_digits(None, None, None)
    assert "open the notebook" in capsys.readouterr().out


# ---- the page ------------------------------------------------------------------------------------


def test_each_function_stands_before_its_check():
    code = [cell for cell in NOTEBOOK.cells if cell.cell_type == "code"]
    expected = [{"setup"}]
    for exercises in NETWORKS.values():
        expected += [{"stub"}, {"check"}] * len(exercises) + [{"try"}]
    assert [tags(cell) for cell in code] == [*expected, {"scoreboard"}]
    sources = [cell.source for cell in code if tags(cell) & {"stub", "check"}]
    assert sources[1::2] == [f"check({e.name})" for e in CAPSTONE]
    for exercise, source in zip(CAPSTONE, sources[::2], strict=True):
        (stub,) = ast.parse(source).body
        assert stub.name == exercise.name
        assert tuple(a.arg for a in stub.args.args) == exercise.parameters
        assert ast.get_docstring(stub)
    assert code[-1].source == 'scoreboard("capstone")'


def test_the_folded_solutions_pass():
    """They are the lines of a whole function each."""
    text = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
    namespace = {"np": np}
    for block in text.split("```python\n")[1:]:
        exec(block.split("```")[0], namespace)
    for exercise in CAPSTONE:
        assert judge(exercise, namespace[exercise.name]).passed, exercise.name


def test_the_entries_of_the_gallery_are_there():
    """What the solutions link to."""
    gallery = nbformat.read(BOOK / "practice" / "pitfalls.ipynb", as_version=4)
    titles = [c.source.splitlines()[0] for c in gallery.cells if c.source.startswith("### ")]
    anchors = {title.removeprefix("### ").lower().replace(" ", "-") for title in titles}
    text = "\n".join(cell.source for cell in NOTEBOOK.cells)
    linked = {part.split(")")[0] for part in text.split("practice/pitfalls.ipynb#")[1:]}
    assert len(linked) >= 10
    assert linked <= anchors
