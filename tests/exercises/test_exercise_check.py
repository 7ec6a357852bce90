"""What the learner sees: text and HTML alike, hints one at a time, points."""

import json
import re
import subprocess
import sys
from html import unescape

import numpy as np
import pytest

import normcourse
from normcourse.exercises.display import Report, Section, Table
from normcourse.exercises.session import EXERCISES, Session, find


@pytest.fixture
def session():
    return Session()


def unbiased(x, weight, bias, eps):
    axis, shape = (0, *range(2, x.ndim)), (1, -1, *[1] * (x.ndim - 2))
    xhat = (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, ddof=1, keepdims=True) + eps)
    return weight.reshape(shape) * xhat + bias.reshape(shape)


unbiased.__name__ = "batch_norm"


def stub(x, weight, bias, eps):
    raise NotImplementedError


def words(text):
    return re.findall(r"[^\s=]+", text)


def visible(html):
    html = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    return unescape(re.sub(r"<[^>]+>", " ", html))


def feedbacks(session):
    yield session.check(stub, "batch_norm")
    yield session.check(unbiased)
    yield session.check(lambda x: x, "batch_norm")
    yield session.check(normcourse.batch_norm)
    yield session.check(lambda *args: (1, 2, 3), "merge_statistics")
    yield session.scoreboard("batch_norm")


def test_text_and_html_say_the_same(session):
    for feedback in feedbacks(session):
        assert words(visible(feedback._repr_html_())) == words(repr(feedback))


def test_html_is_accessible_and_takes_the_colours_of_the_page(session):
    for feedback in feedbacks(session):
        html = feedback._repr_html_()
        assert 'role="status"' in html
        assert re.findall(r"<h(\d)", html)[0] == "3"
        assert html.count("<table>") == html.count("<thead>")
        assert all('scope="' in cell for cell in re.findall(r"<th[ >][^>]*", html))
        assert all(name.startswith("nc-") for name in re.findall(r'class="(\S+)', html))
        assert "color: inherit" in html
        assert not re.search(r"[^-]color: #|background: #", html)


def test_what_a_learner_wrote_is_escaped(session):
    def batch_norm(x, weight, bias, eps):
        raise ValueError("<b>&")

    html = session.check(batch_norm)._repr_html_()
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html


def test_table_cells_are_escaped():
    html = Report("t", "open", [Section("s", (Table(("<i>",), (("<i>", "<i>"),)),))])._repr_html_()
    assert html.count("&lt;i&gt;") == 3


def test_a_failing_check_shows_input_numbers_and_mistake(session):
    feedback = session.check(unbiased)
    text = repr(feedback)
    x, weight, bias, eps = feedback.arguments
    expected = normcourse.batch_norm(x.astype(float), *map(np.float64, (weight, bias)), eps)
    assert "not there yet, 0 of 6 points" in text
    assert "numbers for the hand" in text
    assert "By hand: μ = 4, σ² = 5" in text
    assert f"{x[0, 0]:.6g}" in text
    assert f"{expected[1, 0]:.6g}" in text
    assert f"{unbiased(*feedback.arguments)[1, 0]:.6g}" in text
    assert "What went wrong: unbiased variance" in text


def test_hints_come_one_at_a_time(session):
    about_the_variance, *rest = [hint.text for hint in find("batch_norm").hints[1::-1]]
    hints = (about_the_variance, *rest, find("batch_norm").hints[2].text)
    assert session.check(stub, "batch_norm").hints == ()
    for shown in (1, 2, 3, 3):
        feedback = session.check(unbiased)
        assert feedback.hints == hints[:shown]
        assert repr(feedback).count("Hint ") == shown
        assert ("More hints" in repr(feedback)) == (shown < 3)
    assert session.check(normcourse.batch_norm).hints == ()
    assert len(session.check(normcourse.merge_statistics).hints) == 0


def test_hints_count_per_exercise_and_session(session):
    session.check(unbiased)
    session.check(unbiased)
    assert len(session.check(lambda a, b: None, "merge_statistics").hints) == 1
    assert len(Session().check(unbiased).hints) == 1


def test_the_scoreboard_keeps_the_best_points(session):
    most = sum(exercise.points for exercise in EXERCISES["batch_norm"])
    assert f"batch_norm: 0 of {most} points" in repr(session.scoreboard("batch_norm"))
    session.check(normcourse.batch_norm)
    session.check(unbiased)
    assert f"batch_norm: 6 of {most} points" in repr(session.scoreboard("batch_norm"))
    for name in ("batch_norm_backward", "update_running_statistics", "batch_norm_inference"):
        session.check(getattr(normcourse, name))
    left = find("batch_norm_layer").points
    assert f"{most - left} of {most}" in repr(session.scoreboard("batch_norm"))


def test_a_session_goes_on_where_another_ended(session):
    session.check(unbiased)
    session.check(normcourse.update_running_statistics)
    state = json.loads(json.dumps(session.state()))
    assert state == {
        "failures": {"batch_norm.batch_norm": 1},
        "best": {"batch_norm.update_running_statistics": 8},
    }
    other = Session()
    other.check(normcourse.batch_norm)  # forgotten by what is restored
    other.restore(state)
    assert "batch_norm: 8 of 46 points" in repr(other.scoreboard("batch_norm"))
    assert len(other.check(unbiased).hints) == 2
    other.restore({"best": {"gone.batch_norm": 1, "batch_norm.batch_norm": 99}})
    assert other.state() == {"failures": {}, "best": {"batch_norm.batch_norm": 6}}
    other.restore({})
    assert other.state() == {"failures": {}, "best": {}}


def test_an_exercise_is_found_by_name(session):
    assert session.check(normcourse.batch_norm).verdict.passed
    assert session.check(normcourse.batch_norm, "batch_norm.batch_norm").verdict.passed
    assert find("rescaling.merge_statistics") is EXERCISES["rescaling"][-1]


def test_misuse_is_explained(session):
    with pytest.raises(TypeError, match="parentheses"):
        session.check(np.ones(3))
    with pytest.raises(ValueError, match=r"no exercise 'layer_nrom'.*batch_norm\.batch_norm"):
        session.check(stub, "layer_nrom")
    with pytest.raises(ValueError, match="There are: rescaling, batch_norm"):
        session.scoreboard("batchnorm")
    for unnamed in (lambda *args: None, type("Solution", (), {"__call__": stub})()):
        with pytest.raises(ValueError, match=r'check\(fn, "batch_norm\.batch_norm"\)'):
            session.check(unnamed)


def test_points_are_kept_per_technique(session, monkeypatch):
    monkeypatch.setitem(EXERCISES, "other", (find("batch_norm"),))
    session.check(normcourse.batch_norm)
    assert "other: 0 of 6 points" in repr(session.scoreboard("other"))


def test_prints_of_the_learner_survive(session, capsys):
    def batch_norm(x, weight, bias, eps):
        print("looking at", x.shape)
        return normcourse.batch_norm(x, weight, bias, eps)

    session.check(batch_norm)
    assert "looking at (4, 2)" in capsys.readouterr().out


def test_feedback_is_deterministic():
    assert repr(Session().check(unbiased)) == repr(Session().check(unbiased))


def test_exercises_need_neither_torch_nor_matplotlib():
    code = "import sys, normcourse.exercises; print({'torch', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ((0,), "dweight and dbias are right for every input, dx is not."),
        ((0, 2), "dweight is right for every input, dx and dbias are not."),
        ((1,), "dx and dbias are right for every input, dweight is not."),
        ((), None),
        ((0, 1, 2), None),
    ],
)
def test_each_result_is_judged_in_words(session, wrong, sentence):
    def batch_norm_backward(*arguments):
        gradients = normcourse.batch_norm_backward(*arguments)
        return tuple(1.01 * g if i in wrong else g for i, g in enumerate(gradients))

    feedback = session.check(batch_norm_backward)
    for text in (repr(feedback), visible(feedback._repr_html_())):
        text = " ".join(text.split())
        if sentence:
            assert sentence in text
        else:
            assert "for every input" not in text


def test_a_result_that_is_wrong_once_is_not_right_for_every_input(session):
    def batch_norm_backward(dy, x, *rest):
        dx, dweight, dbias = normcourse.batch_norm_backward(dy, x, *rest)
        return dx, dweight, dbias + 1 if x.ndim > 2 else dbias

    feedback = session.check(batch_norm_backward)
    assert "dx and dweight are right for every input, dbias is not." in repr(feedback)
